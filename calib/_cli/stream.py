"""Reports on parquet files of any size: batch after batch, in a memory that does not grow."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, FloatArray, InputKind, LabelArray
from calib._cli import commands
from calib._cli.columns import missing, one_line, shorten, to_values
from calib._cli.readers import _check_header
from calib._cli.saved_scores import SavedScores, calibrate, settle
from calib._cli.tables import Table, check_source, check_target, format_of
from calib._cli.terminal import Progress, say
from calib._core.columns import class_name
from calib._core.optional import require
from calib.base import BaseCalibrator

#: Rows from which a parquet file is read in batches without being told to.
LARGE = 5_000_000
#: Numbers of a batch (8 MB in float64), and the fewest rows of one.
BATCH_NUMBERS, BATCH_ROWS = 1 << 20, 256
#: Distinct labels beyond which the label column cannot be one.
MOST_LABELS = 100_000


def report(args: argparse.Namespace) -> None:
    """Measure the probabilities of a file, in batches where it is large."""
    if not _in_batches(args):
        commands.report(args)
        return
    from calib.evaluation.accumulator import accumulated_report

    if not args.scores:
        raise ValueError("name the columns of scores with --proba or --logits")
    names = args.name or commands._default_names(args.scores, bool(args.calibrator))
    if len(names) != len(args.scores) or len(set(names)) < len(names):
        raise ValueError(
            f"{len(args.scores)} sets of scores need as many different --name; got "
            f"{', '.join(names)}"
        )
    if args.html is not None and args.html == args.json:
        raise ValueError(f"--html and --json name the same file {args.html}")
    for path in filter(None, (args.html, args.json)):
        check_target(path)
    file = LargeFile(args.file)
    found = file.distinct(args.label)
    models, classes = _models(args, file, names, found)
    columns = list(dict.fromkeys(name for model in models for name in model.columns))
    n_rows = max(BATCH_ROWS, BATCH_NUMBERS // (len(columns) + 1))
    from calib.evaluation.accumulator import CalibrationAccumulator

    sums = {
        model.name: CalibrationAccumulator(len(classes), labels=classes, n_bins=args.bins)
        for model in models
    }
    with Progress(file.n_batches(n_rows) + 1) as progress:
        wanted = [args.label, *([args.weight] if args.weight else []), *columns]
        for batch in file.batches(wanted, n_rows):
            progress.step(f"reading {args.file.name}")
            y = batch.labels(args.label)
            weight = None if args.weight is None else batch.weights(args.weight)
            numbers = {name: batch.numbers(name) for name in columns}
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
    if args.html is not None:
        result.to_html(args.html)
    if args.json is not None:
        args.json.write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
    print(result)
    for path in filter(None, (args.html, args.json)):
        print(f"wrote {path}")


def _in_batches(args: argparse.Namespace) -> bool:
    """Tell whether the file is read in batches."""
    if args.stream:
        if not args.file.is_dir() and format_of(args.file) != "parquet":
            raise ValueError(f"--stream reads .parquet files; {args.file.name} is another kind")
        if args.group is not None:
            raise ValueError("--stream cannot resample groups; leave out --group or --stream")
        return True
    try:
        if format_of(args.file) != "parquet" or args.group is not None:
            return False
        rows = LargeFile(args.file).n_rows
    except (ValueError, OSError, ImportError):
        return False  # reading the file as a whole will say what is wrong with it
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
        matrix = parts[0][:, None] if len(parts) == 1 else np.stack(parts, axis=1)
        scored = SavedScores(self.kind, self.columns, matrix, self.classes)
        if self.calibrator is None:
            return scored.probabilities()
        return calibrate(self.calibrator, scored)


def _models(
    args: argparse.Namespace, file: LargeFile, names: list[str], found: LabelArray
) -> tuple[list[_Model], LabelArray]:
    """Return what to measure and the classes, from the names of columns and the labels."""
    from calib.persistence import load

    roles = {args.label, args.weight} - {None}
    models, classes, positive = [], None, args.positive
    for name, (kind, patterns) in zip(names, args.scores, strict=True):
        columns = file.table.select(patterns, exclude=roles)
        columns, told, _, _ = settle(columns, len(columns), found, patterns, positive)
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


# ---------------------------------------------------------------------- the file


class LargeFile:
    """A parquet file that is read in batches.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        parquet = require("pyarrow.parquet", extra="cli", purpose=f"reading {path.name}")
        check_source(path)
        self.path = path
        try:
            self._file = parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{path.name} is not a readable parquet file: {one_line(error)}"
            ) from None
        self.n_rows = int(self._file.metadata.num_rows)
        names = list(self._file.schema_arrow.names)
        _check_header(path, names)
        self.table = Table(path, "parquet", dict.fromkeys(names))

    def n_batches(self, n_rows: int) -> int:
        """Return how many batches of at most `n_rows` rows the file makes."""
        metadata = self._file.metadata
        sizes = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
        return sum(-(-size // n_rows) for size in sizes)

    def check_numeric(self, name: str) -> None:
        """Raise unless the column holds numbers."""
        from pyarrow import types

        kind = self._file.schema_arrow.field(name).type
        numeric = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
        if not any(is_kind(kind) for is_kind in numeric):
            raise ValueError(f"column {name!r} of {self.path.name} is not numeric: it has {kind}s")

    def batches(self, columns: list[str], n_rows: int) -> Iterator[Batch]:
        """Yield batches of the named columns, none of them empty."""
        first = 0
        for group in range(self._file.metadata.num_row_groups):
            row = 0
            reader = self._file.iter_batches(
                batch_size=n_rows, row_groups=[group], columns=columns, use_threads=False
            )
            while True:
                try:
                    native = next(reader, None)
                except (ValueError, OSError) as error:
                    raise ValueError(
                        f"{self.path.name} is damaged in row group {group}: {one_line(error)}"
                    ) from None
                if native is None:
                    break
                if native.num_rows:
                    yield Batch(self.path, native, group, row, first + row)
                row += native.num_rows
            first += row
        if first != self.n_rows:
            raise ValueError(
                f"{self.path.name} is damaged: it has {first} rows and announces {self.n_rows}"
            )

    def distinct(self, name: str) -> LabelArray:
        """Return the distinct labels of a column."""
        from pyarrow import chunked_array, compute

        self.table.column(name)
        found: LabelArray | None = None
        for batch in self.batches([name], BATCH_NUMBERS):
            column = batch.native.column(0)
            if column.null_count:
                batch.labels(name)  # says in which row
            values = to_values(chunked_array([compute.unique(column)]), is_text=False)
            if missing(values).any():
                batch.labels(name)
            found = values if found is None else np.unique(np.concatenate([found, values]))
            if len(found) > MOST_LABELS:
                raise ValueError(
                    f"column {name!r} of {self.path.name} has more than {MOST_LABELS:,} distinct "
                    f"values; name the column of labels with --label"
                )
        if found is None:
            raise ValueError(f"{self.path.name} has no rows")
        return np.unique(found)


@dataclass(frozen=True)
class Batch:
    """Some rows of one row group.

    Attributes
    ----------
    path : Path
    native : pyarrow.RecordBatch
    group, row, row_of_file : int
        Row group, and the number of the first row in it and in the file.
    """

    path: Path
    native: Any
    group: int
    row: int
    row_of_file: int

    def place(self, index: int) -> str:
        return (
            f"row group {self.group}, row {self.row + index} (row {self.row_of_file + index} of "
            f"the file; the first is row 0)"
        )

    def numbers(self, name: str) -> FloatArray:
        """Return a column of finite numbers."""
        array = self.native.column(name).to_numpy(zero_copy_only=False)
        if array.dtype.kind != "f":
            array = array.astype(np.float64)
        finite = np.isfinite(array)
        if not finite.all():
            index = int(np.argmin(finite))
            raise ValueError(
                f"column {name!r} of {self.path.name} has {array[index]} in {self.place(index)}"
            )
        out: FloatArray = array
        return out

    def weights(self, name: str) -> Float64Array:
        """Return a column of non-negative numbers."""
        weight = self.numbers(name).astype(np.float64)
        if (weight < 0).any():
            index = int(np.argmax(weight < 0))
            raise ValueError(
                f"column {name!r} of {self.path.name} (weights) has {weight[index]} in "
                f"{self.place(index)}"
            )
        return weight

    def labels(self, name: str) -> LabelArray:
        """Return a column of labels without gaps."""
        from pyarrow import chunked_array

        values = to_values(chunked_array([self.native.column(name)]), is_text=False)
        gaps = missing(values)
        if gaps.any():
            raise ValueError(
                f"column {name!r} of {self.path.name} has no value in "
                f"{self.place(int(np.argmax(gaps)))}"
            )
        return values

    def naming(self) -> _Naming:
        """Say, for errors inside, which rows they are about."""
        last = self.row + self.native.num_rows - 1
        return _Naming(
            f"{self.path.name}, row group {self.group}, rows {self.row} to {last} (counted from 0 "
            f"in these rows)"
        )


class _Naming:
    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValueError):
            raise ValueError(f"{self.where}: {error}") from error
