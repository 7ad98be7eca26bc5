"""Reports on files of any size: batch after batch, in a memory that does not grow."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from calib._border.columns import class_name
from calib._border.typing import FloatArray, InputKind, LabelArray
from calib.base import BaseCalibrator
from calib.cli import batches, commands
from calib.cli.batches import LargeFile, open_batches
from calib.cli.columns import shorten
from calib.cli.contents import kind_of
from calib.cli.saved_scores import SavedScores, calibrated_scores, settle
from calib.cli.targets import check_source
from calib.cli.terminal import Progress, say
from calib.cli.writers import write_report

#: Rows from which a parquet file is read in batches without being told to.
LARGE = 5_000_000


def report_in_batches(args: argparse.Namespace) -> None:
    """Measure the probabilities of a file, in batches where it is large."""
    if not _in_batches(args):
        commands.report_on_file(args)
        return
    from calib.evaluation.stream.accumulator import accumulated_report

    if not args.scores:
        raise ValueError("name the columns of scores with --proba or --logits")
    names = args.name or commands.default_names(args.scores, bool(args.calibrator))
    if len(names) != len(args.scores) or len(set(names)) < len(names):
        raise ValueError(
            f"{len(args.scores)} sets of scores need as many different --name; got "
            f"{', '.join(names)}"
        )
    if not isinstance(args.bins, int):
        raise ValueError(
            f"--stream adds up equal-width bins: pass --bins {len(args.bins) - 1}, or the edges "
            f"without --stream"
        )
    commands.check_report_targets(args)
    file = open_batches(args.file)
    for name in filter(None, (args.label, args.weight)):
        if name not in file.table.columns and commands.column_files(args):
            raise ValueError(
                f"--stream reads columns of {args.file.name} alone and {name} is none; leave out "
                f"--stream to read it from a file"
            )
        file.table.column(name)
    found = file.distinct(args.label)
    models, classes = _models(args, file, names, found)
    columns = list(dict.fromkeys(name for model in models for name in model.columns))
    n_columns = 1 + sum(file.width(name) for name in columns)
    n_rows = max(batches.BATCH_ROWS, batches.BATCH_NUMBERS // n_columns)
    from calib.evaluation.stream.accumulator import CalibrationAccumulator

    sums = {
        model.name: CalibrationAccumulator(len(classes), labels=classes, n_bins=args.bins)
        for model in models
    }
    with Progress(file.n_batches(n_rows) + 1) as progress:
        masked = {name for model in models if model.kind == "logits" for name in model.columns}
        wanted = list(
            dict.fromkeys([args.label, *([args.weight] if args.weight else []), *columns])
        )
        for batch in file.batches(wanted, n_rows):
            progress.step(f"reading {args.file.name}")
            y = batch.labels(args.label)
            weight = None if args.weight is None else batch.weights(args.weight)
            numbers = {name: batch.numbers(name, masked=name in masked) for name in columns}
            with batch.naming():
                for model in models:
                    sums[model.name].update(y, model.probabilities(numbers), weight)
        progress.step("resampling")
        result = accumulated_report(
            sums,
            confidence_level=args.level,
            n_resamples=args.resamples,
            random_state=args.seed,
        )
    write_report(result, args.html, args.json)
    print(result)
    for path in filter(None, (args.html, args.json)):
        print(f"wrote {path}")


def _in_batches(args: argparse.Namespace) -> bool:
    """Return whether the file is read in batches."""
    if args.stream:
        if args.group is not None:
            raise ValueError("--stream cannot resample groups; leave out --group or --stream")
        return True
    try:
        if args.group is not None or args.file.is_dir() or kind_of(args.file) != "parquet":
            return False
        rows = batches.ParquetFile(args.file).n_rows
    except (ValueError, OSError, ImportError):
        return False  # reading the file as a whole will say what is wrong with it
    if rows >= LARGE and commands.column_files(args):
        return False  # columns of their own are read beside the file as a whole
    if rows >= LARGE:
        say("note", f"{args.file.name} has {rows:,} rows and is read in batches (--stream)")
    return rows >= LARGE


# ---------------------------------------------------------------------- models


@dataclass(frozen=True)
class _Model:
    """Scores of the file, as they are or calibrated.

    Attributes
    ----------
    name : str
    kind : {"logits", "proba"}
    columns : list of str
        In the order of the classes.
    classes : ndarray of shape (n_classes,)
        Classes of the columns.
    calibrator : BaseCalibrator or None
    """

    name: str
    kind: InputKind
    columns: list[str]
    classes: LabelArray
    calibrator: BaseCalibrator | None = None

    def probabilities(self, numbers: dict[str, FloatArray]) -> FloatArray:
        parts = [numbers[name] for name in self.columns]
        scored = SavedScores(self.kind, self.columns, np.column_stack(parts), self.classes)
        if self.calibrator is None:
            return scored.probabilities()
        return calibrated_scores(self.calibrator, scored)


def _models(
    args: argparse.Namespace, file: LargeFile, names: list[str], found: LabelArray
) -> tuple[list[_Model], LabelArray]:
    """Return what to measure and the classes, from the names of columns and the labels."""
    from calib.persistence import load

    roles = {args.label, args.weight} - {None}
    models, classes, positive = [], None, args.positive
    for name, (kind, patterns) in zip(names, args.scores, strict=True):
        columns = file.table.select(patterns, exclude=roles)
        widths = [file.width(column) for column in columns]
        if len(columns) > 1 and max(widths) > 1:
            raise ValueError(
                f"{patterns} names several columns and {columns[widths.index(max(widths))]!r} "
                f"holds lists; name one column of lists or several of numbers"
            )
        columns, told, _, _ = settle(columns, sum(widths), found, patterns, positive)
        if classes is not None and len(told) != len(classes):
            raise ValueError(f"{patterns} has {len(told)} classes, other scores {len(classes)}")
        classes = told if classes is None else classes
        positive = class_name(classes[1]) if len(classes) == 2 else None  # the same for all
        for column in columns:
            file.check_numeric(column)
        models.append(_Model(name, kind, columns, classes))
    assert classes is not None
    scored = list(models)
    for path in args.calibrator:
        check_source(path)
        calibrator = load(path)
        model = next((one for one in scored if one.kind == calibrator.input), None)
        if model is None:
            raise ValueError(
                f"{path.name} was fitted with --{calibrator.input}; name such columns with "
                f"--{calibrator.input}"
            )
        known = [class_name(label) for label in calibrator.classes_]
        if set(known) != {class_name(label) for label in classes}:
            raise ValueError(f"{path.name} knows the classes {shorten(known)}, the columns do not")
        name = path.stem if path.stem not in names else str(path)
        models.append(_Model(name, model.kind, model.columns, classes, calibrator))
    return models, classes
