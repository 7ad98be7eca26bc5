"""What ``calib report`` does: one file or one file a network, at once or in batches."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from calib._border.advice import coming_through
from calib._border.columns import class_name
from calib._border.typing import FloatArray, InputKind, IntArray, LabelArray
from calib._border.words import did_you_mean
from calib.base import BaseCalibrator
from calib.cli.commands import (
    column_files,
    column_of,
    load_calibrator,
    read_target,
    weighted_rows,
)
from calib.cli.features import features_of, reads_features
from calib.cli.files import batches
from calib.cli.files.batches import LargeFile, open_batches
from calib.cli.files.columns import row_text, shorten
from calib.cli.files.contents import kind_of
from calib.cli.files.readers import read_table
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import check_files
from calib.cli.files.writers import report_outputs, write_report
from calib.cli.saved_scores import (
    DOOR,
    SavedScores,
    calibrated_scores,
    class_names,
    labelled_scores,
    settle,
)
from calib.cli.terminal import say
from calib.progress import Progress

#: Rows from which a parquet file is read in batches without being told to.
LARGE = 5_000_000


def report(args: argparse.Namespace) -> None:
    """Measure the probabilities of files, as they are and calibrated."""
    in_batches = _in_batches(args)
    if not args.scores:
        hint = " ('*' takes all columns of every file of --scores)" if args.networks else ""
        raise ValueError(f"name the columns of scores with --proba or --logits{hint}")
    names = _names_of_networks(args) if args.networks else names_of_scores(args)
    if in_batches and not isinstance(args.bins, int):
        raise ValueError(
            f"--stream adds up equal-width bins: pass --bins {len(args.bins) - 1}, or the edges "
            f"without --stream"
        )
    network_files = [path for _, path in args.networks]
    inputs = [args.file, *network_files, *args.calibrator, *column_files(args)]
    check_files(report_outputs(args), inputs)
    write_report((_report_in_batches if in_batches else _report_at_once)(args, names), args)


def names_of_scores(args: argparse.Namespace) -> list[str]:
    """Return the names of the scores of one file in the report.

    Parameters
    ----------
    args : Namespace
        With `file`, `scores`, `name`, `calibrator` and `id`.
    """
    if args.file is None:
        raise ValueError("the following arguments are required: FILE (see calib report --help)")
    if args.id is not None:
        raise ValueError("--id is for the files of --scores, and none is named; leave it out")
    names: list[str] = args.name or [columns for _, columns in args.scores]
    if len(args.scores) == 1 and not args.name:
        names = ["raw" if args.calibrator else "model"]
    if len(names) != len(args.scores) or len(set(names)) < len(names):
        raise ValueError(
            f"{len(args.scores)} sets of scores need as many different --name; got "
            f"{', '.join(names)}"
        )
    return names


def _names_of_networks(args: argparse.Namespace) -> list[str]:
    """Return the names of networks after checking that the options go with a file for each."""
    for option, given, cure in (
        ("--stream", args.stream, "leave it out"),
        ("--name", args.name, "name every network before its file"),
        ("--calibrator", args.calibrator, "run calib apply, and name what it writes by --scores"),
    ):
        if given:
            raise ValueError(f"{option} is for the scores of one FILE, not for --scores; {cure}")
    names = [name for name, _ in args.networks]
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise ValueError(f"--scores has two networks named {twice[0]!r}; give each its own name")
    if len(args.scores) not in (1, len(names)):
        raise ValueError(
            f"--scores names {len(names)} files, --proba and --logits {len(args.scores)} sets of "
            f"columns; give one set for all files, or one per file in the same order"
        )
    return names


# ---------------------------------------------------------------------- at once


def _report_at_once(args: argparse.Namespace, names: list[str]) -> Any:
    """Return the report on files that are read as a whole."""
    from calib.evaluation import calibration_report

    n_files = max(1, len(args.networks))
    with Progress(2 + n_files) as progress:
        tables = []
        for name, path in args.networks or [("", args.file)]:
            progress.step(f"reading {path.name}")
            with _naming(args, name):
                tables.append(read_table(path))
        table = _table_of_labels(args, tables)
        y, weight = read_target(args, table)
        by = _segment_columns(args, table, len(y))
        roles = {args.label, args.weight, args.group, args.id, *(by or ())} - {None}
        groups = None
        if args.group is not None:
            source, name = column_of(table, args.group)
            groups = source.labels(name)
            if len(groups) != len(y):
                raise ValueError(
                    f"{source.path.name} has {len(groups):,} groups for {len(y):,} rows; one group "
                    f"per row is needed"
                )
        scored: list[SavedScores] = []
        positive, kept = args.positive, weighted_rows(weight)
        declared = args.scores * (len(names) // len(args.scores))
        sources = tables * (len(names) // len(tables))
        for name, (kind, columns), source in zip(names, declared, sources, strict=True):
            with _naming(args, name):
                rows = _rows(args, table, source, y)
                called = f"{columns} of {name}" if args.networks else columns
                one = labelled_scores(
                    source,
                    kind,
                    columns,
                    y,
                    roles,
                    positive=positive,
                    kept=kept,
                    rows=rows,
                    called=called,
                )
                classes = cast(LabelArray, (scored or [one])[0].classes)
                _check_classes(called, cast(LabelArray, one.classes), classes)
            scored.append(one)
            positive = _positive_of(classes)
        probas = {name: one.probabilities() for name, one in zip(names, scored, strict=True)}
        progress.step("calibrating")
        kinds = [one.kind for one in scored]
        for name, calibrator, place in _calibrators(args, names, kinds, classes):
            features = features_of(calibrator, table, len(y))
            probas[name] = calibrated_scores(calibrator, scored[place], features)
        if args.reference is not None and args.reference not in probas:
            raise ValueError(
                f"--reference {args.reference!r} is no model of the report; it has "
                f"{shorten(list(probas))}{did_you_mean(args.reference, probas)}"
            )
        progress.step("resampling")
        options = {"n_bins" if isinstance(args.bins, int) else "bins": args.bins}
        if args.measures is not None:
            options["measures"] = args.measures
        with coming_through(DOOR):
            return calibration_report(
                y,
                probas,
                labels=classes,
                sample_weight=weight,
                groups=groups,
                by=by,
                pairs=args.pairs,
                tolerance=args.tolerance,
                reference=args.reference,
                confidence_level=args.level,
                n_resamples=args.resamples,
                random_state=args.seed,
                **options,
            )


def _segment_columns(
    args: argparse.Namespace, table: FileTable, n_rows: int
) -> dict[str, LabelArray] | None:
    """Return the columns that make segments, None without any."""
    if not args.by:
        if args.pairs:
            raise ValueError("--pairs are products of columns of --by; name these as well")
        return None
    names = table.select(",".join(args.by), exclude=[args.label])
    columns = {name: table.values(name) for name in names}
    for name, values in columns.items():
        if len(values) != n_rows:
            raise ValueError(
                f"column {name!r} of {table.path.name} has {len(values):,} rows, the labels "
                f"{n_rows:,}"
            )
    return columns


@contextmanager
def _naming(args: argparse.Namespace, name: str) -> Iterator[None]:
    """Say, for errors inside, which network and file they are about."""
    try:
        yield
    except ValueError as error:
        path = dict(args.networks).get(name)
        raise ValueError(f"--scores {name}={path}: {error}" if path else str(error)) from error


def _table_of_labels(args: argparse.Namespace, tables: list[FileTable]) -> FileTable:
    """Return the table that labels, weights and groups are columns of."""
    if not args.networks:
        return tables[0]
    if args.file is not None:
        return read_table(args.file)
    holding = [table for table in tables if args.label in table.columns]
    if not holding and not column_files(args):
        raise ValueError(
            f"no file of --scores has a column {args.label!r}; name a table that has it as FILE, "
            f"or a file of labels alone with --label"
        )
    return (holding or tables)[0]


def _rows(
    args: argparse.Namespace, table: FileTable, source: FileTable, y: LabelArray
) -> IntArray | None:
    """Return which row of a network's file belongs to each label, None for those in order.

    Raises
    ------
    ValueError
        If ids are repeated or are not those of the labels, or if the file has other labels.
    """
    if source is table:
        return None
    rows = None if args.id is None else _matched(table, source, args.id)
    if rows is not None and len(rows) != len(y):
        raise ValueError(f"column {args.id!r} has {len(rows)} ids for {len(y)} labels")
    if args.label not in source.columns:
        return rows
    theirs = source.labels(args.label)
    if len(theirs) != len(y):
        raise ValueError(f"column {args.label!r} has {len(theirs)} labels for {len(y)} rows")
    theirs = theirs if rows is None else theirs[rows]
    if not np.array_equal(theirs, y):
        differ = np.array(class_names(theirs)) != np.array(class_names(y))
        if differ.any():
            row = int(np.argmax(differ))
            cure = "correct one of them"
            if rows is None:
                cure = "put the rows in one order, or name a column of ids with --id"
            raise ValueError(
                f"column {args.label!r} has {class_name(theirs[row])} where {table.path.name} has "
                f"{class_name(y[row])}, in {row_text(row)}; {cure}"
            )
    return rows


def _matched(table: FileTable, source: FileTable, name: str) -> IntArray:
    """Return the row of a network's file that has each id of the table of labels."""
    wanted, known = _ids(table, name), _ids(source, name)
    lacking, beyond = np.setdiff1d(wanted, known), np.setdiff1d(known, wanted)
    if len(lacking):
        raise ValueError(
            f"column {name!r} lacks {len(lacking)} of the {len(wanted)} ids of {table.path.name}, "
            f"such as {lacking[0]}; every file needs a row for each id"
        )
    if len(beyond):
        raise ValueError(
            f"column {name!r} has {len(beyond)} ids that {table.path.name} lacks, such as "
            f"{beyond[0]}; leave out these rows, or add their labels"
        )
    order = np.argsort(known)
    return order[np.searchsorted(known, wanted, sorter=order)]


def _ids(table: FileTable, name: str) -> LabelArray:
    """Return a column of ids as text, each of which belongs to one row."""
    ids = np.array(class_names(table.labels(name)))
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < len(ids):
        raise ValueError(
            f"column {name!r} of {table.path.name} has the id {distinct[np.argmax(counts)]} "
            f"{counts.max()} times; an id belongs to one row"
        )
    return ids


# ---------------------------------------------------------------------- what both forms share


def _positive_of(classes: LabelArray) -> str | None:
    """Return the positive one of two classes, which is the same for all scores."""
    return class_name(classes[1]) if len(classes) == 2 else None


def _check_classes(columns: str, found: LabelArray, classes: LabelArray) -> None:
    if len(found) != len(classes):
        raise ValueError(f"{columns} has {len(found)} classes, other scores {len(classes)}")


def _calibrators(
    args: argparse.Namespace, names: list[str], kinds: list[InputKind], classes: LabelArray
) -> Iterator[tuple[str, BaseCalibrator, int]]:
    """Yield the name of every calibrator, itself, and the place of the scores that it takes."""
    taken = set(names)
    for path in args.calibrator:
        calibrator = load_calibrator(path)
        known, found = class_names(calibrator.classes_), class_names(classes)
        if set(known) != set(found):
            raise ValueError(
                f"{path.name} knows the classes {shorten(known)}, the columns are {shorten(found)}"
            )
        if calibrator.input not in kinds:
            raise ValueError(
                f"{path.name} was fitted with --{calibrator.input}; name such columns with "
                f"--{calibrator.input}"
            )
        name = path.stem if path.stem not in taken else str(path)
        taken.add(name)
        yield name, calibrator, kinds.index(calibrator.input)


# ---------------------------------------------------------------------- in batches


def _report_in_batches(args: argparse.Namespace, names: list[str]) -> Any:
    """Return the report on a file that is read in batches, in a memory that does not grow."""
    from calib.evaluation.stream.accumulator import CalibrationAccumulator, accumulated_report

    file = open_batches(args.file)
    for name in filter(None, (args.label, args.weight)):
        if name not in file.table.columns and column_files(args):
            raise ValueError(
                f"--stream reads columns of {args.file.name} alone and {name} is none; leave out "
                f"--stream to read it from a file"
            )
        file.table.column(name)
    models, classes = _models(args, file, names)
    columns = list(dict.fromkeys(name for model in models for name in model.columns))
    n_columns = 1 + sum(file.width(name) for name in columns)
    n_rows = max(batches.BATCH_ROWS, batches.BATCH_NUMBERS // n_columns)
    sums = {
        model.name: CalibrationAccumulator(len(classes), labels=classes, n_bins=args.bins)
        for model in models
    }
    masked = {name for model in models if model.kind == "logits" for name in model.columns}
    wanted = list(dict.fromkeys(filter(None, [args.label, args.weight, *columns])))
    with Progress(file.n_batches(n_rows) + 1) as progress:
        for batch in file.batches(wanted, n_rows):
            progress.step(f"reading {args.file.name}")
            y = batch.labels(args.label)
            weight = None if args.weight is None else batch.weights(args.weight)
            numbers = {name: batch.numbers(name, masked=name in masked) for name in columns}
            with batch.naming():
                for model in models:
                    sums[model.name].update(y, model.probabilities(numbers), weight)
        progress.step("resampling")
        return accumulated_report(
            sums,
            confidence_level=args.level,
            n_resamples=args.resamples,
            random_state=args.seed,
        )


def _in_batches(args: argparse.Namespace) -> bool:
    """Return whether the file is read in batches."""
    if args.networks:
        return False
    further = None if args.measures == "core" else args.measures
    whole = [
        (args.group, "--group", "cannot resample groups"),
        (further, "--measures", "adds up the core alone"),
        (args.reference, "--reference", "chooses no reference"),
        (args.by or None, "--by", "looks at no segments"),
    ]
    for given, option, why in whole:
        if given is not None and args.stream:
            raise ValueError(f"--stream {why}; leave out {option} or --stream")
    if args.stream or args.file is None or any(given is not None for given, _, _ in whole):
        return bool(args.stream)
    try:
        if args.file.is_dir() or kind_of(args.file) != "parquet":
            return False
        rows = batches.ParquetFile(args.file).n_rows
    except (ValueError, OSError, ImportError):
        return False  # reading the file as a whole will say what is wrong with it
    if rows >= LARGE and column_files(args):
        return False  # columns of their own are read beside the file as a whole
    if rows >= LARGE:
        say("note", f"{args.file.name} has {rows:,} rows and is read in batches (--stream)")
    return rows >= LARGE


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
    args: argparse.Namespace, file: LargeFile, names: list[str]
) -> tuple[list[_Model], LabelArray]:
    """Return what to measure and the classes, from the names of columns and the labels."""
    labels = file.distinct(args.label)
    roles = {args.label, args.weight} - {None}
    models: list[_Model] = []
    positive = args.positive
    for name, (kind, patterns) in zip(names, args.scores, strict=True):
        columns = file.table.select(patterns, exclude=roles)
        widths = [file.width(column) for column in columns]
        if len(columns) > 1 and max(widths) > 1:
            raise ValueError(
                f"{patterns} names several columns and {columns[widths.index(max(widths))]!r} "
                f"holds lists; name one column of lists or several of numbers"
            )
        columns, told, _, _ = settle(columns, sum(widths), labels, patterns, positive)
        classes = models[0].classes if models else told
        _check_classes(patterns, told, classes)
        positive = _positive_of(classes)
        for column in columns:
            file.check_numeric(column)
        models.append(_Model(name, kind, columns, classes))
    kinds = [model.kind for model in models]
    for name, calibrator, place in _calibrators(args, names, kinds, classes):
        if reads_features(calibrator):
            raise ValueError(
                f"{name} reads features beside the scores, which --stream does not; run calib "
                f"apply, and report what it writes"
            )
        models.append(replace(models[place], name=name, calibrator=calibrator))
    return models, classes
