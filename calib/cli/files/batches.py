"""Large files as batches of rows: parquet files and folders of them, Arrow, CSV and JSON lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.optional import require
from calib._border.typing import Float64Array, FloatArray, LabelArray
from calib.cli.files.columns import (
    ColumnError,
    check_column_labels,
    check_column_numbers,
    holds_numbers,
    is_list,
    no_label,
    to_numbers,
    to_values,
)
from calib.cli.files.contents import check_header, kind_of, open_binary, open_for_arrow
from calib.cli.files.readers import arrow_errors, csv_options, damage_named, read_header
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import check_source

#: Numbers of a batch (8 MB in float64), and the fewest rows of one.
BATCH_NUMBERS, BATCH_ROWS = 1 << 20, 256
#: Fewest bytes of a text file that are read together; a row has to fit.
BLOCK_BYTES = 1 << 16
#: Distinct labels beyond which the label column cannot be one.
MOST_LABELS = 100_000
#: Kinds of files that can be read in batches.
STREAMED = ("parquet", "feather", "csv", "jsonl")


def open_batches(path: Path) -> LargeFile:
    """Open a file, or a folder of parquet files, that is read in batches.

    Raises
    ------
    ValueError
        If it is empty, damaged, or of a kind that has to be read as a whole.
    """
    require("pyarrow", extra="cli", purpose=f"reading {path.name} in batches")
    if path.is_dir():
        return Folder(path)
    check_source(path)
    with damage_named(path):
        kind = kind_of(path)
        if kind not in STREAMED:
            raise ValueError(
                f"--stream reads {', '.join(STREAMED)} files; {path.name} is another kind ({kind})"
            )
        opened: LargeFile = _KINDS[kind](path)
        return opened


class LargeFile(ABC):
    """A file that is read in batches.

    Attributes
    ----------
    path : Path
    table : Table
        Its columns, without values.
    schema : pyarrow.Schema or None
        Types of the columns; None where values are text that may stand for numbers.
    """

    schema: Any = None

    def __init__(self, path: Path, kind: str, names: list[str]) -> None:
        check_header(path, names)
        self.path = path
        self.table = FileTable(path, kind, dict.fromkeys(names))
        self._labels: Mapping[str, Any] | None = None

    @abstractmethod
    def n_batches(self, n_rows: int) -> int:
        """Return about how many batches of at most `n_rows` rows the file makes."""

    @abstractmethod
    def batches(self, columns: list[str], n_rows: int) -> Iterator[Batch]:
        """Yield batches of the named columns, none of them empty."""

    def type_of(self, name: str) -> Any:
        """Return the Arrow type of a column, None where it is text of unknown meaning."""
        return None if self.schema is None else self.schema.field(name).type

    def check_numeric(self, name: str) -> None:
        """Raise unless the column can hold numbers."""
        kind = self.type_of(name)
        if kind is None:
            return
        if not holds_numbers(kind.value_type if is_list(kind) else kind):
            raise ValueError(f"column {name!r} of {self.path.name} is not numeric: it has {kind}s")

    def width(self, name: str) -> int:
        """Return how many numbers a row of the column holds."""
        kind = self.type_of(name)
        if kind is None or not is_list(kind):
            return 1
        first = next(self.batches([name], BATCH_ROWS), None)
        if first is None:
            raise ValueError(f"{self.path.name} has no rows")
        return int(first.numbers(name, masked=True).shape[1])

    def distinct(self, name: str) -> LabelArray:
        """Return the distinct labels of a column, and keep what its text stands for."""
        from pyarrow import chunked_array, compute

        self.table.column(name)
        self._check_label_type(name)
        known: LabelArray | None = None
        first: Path | None = None
        for batch in self.batches([name], BATCH_NUMBERS):
            column = batch.native.column(0)
            if column.null_count:
                batch.labels(name)  # says in which row
            with batch.column_errors(name):
                if self.schema is None:
                    values = np.array(compute.unique(column).to_pylist(), dtype=object)
                else:
                    values = to_values(chunked_array([compute.unique(column)]), is_text=False)
            if self.schema is not None and no_label(values) is not None:
                batch.labels(name)  # says in which row
            if known is None:
                known, first = values, batch.path
            elif (known.dtype.kind in "UO") != (values.dtype.kind in "UO"):
                raise ValueError(
                    f"column {name!r} holds text in one of {first} and {batch.path} and numbers "
                    f"in the other"
                )
            else:
                known = np.unique(np.concatenate([known, values]))
            if len(known) > MOST_LABELS:
                raise ValueError(
                    f"column {name!r} of {self.path.name} has more than {MOST_LABELS:,} distinct "
                    f"values; name the column of labels with --label"
                )
        if known is None:
            raise ValueError(f"{self.path.name} has no rows")
        if self.schema is not None:
            return np.unique(known)
        values = to_values(known.tolist(), is_text=True)
        self._labels = dict(zip(known.tolist(), values.tolist(), strict=True))
        if no_label(values) is not None:
            for batch in self.batches([name], BATCH_NUMBERS):
                batch.labels(name)  # says in which row
        return np.unique(values)

    def _check_label_type(self, name: str) -> None:
        """Raise unless a column of this type can hold labels."""
        from pyarrow import chunked_array

        kind = self.type_of(name)
        if kind is None:
            return
        try:
            if is_list(kind):
                raise ColumnError(f"has type {kind}; labels are numbers, booleans or text")
            to_values(chunked_array([], type=kind), is_text=False)
        except ColumnError as error:
            raise ValueError(f"column {name!r} of {self.path.name} {error}") from None


class ParquetFile(LargeFile):
    """A parquet file, row group by row group."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        with arrow_errors(path, "parquet file"):
            self._file = parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        self.n_rows = int(self._file.metadata.num_rows)
        self.schema = self._file.schema_arrow  # made anew at every look
        super().__init__(path, "parquet", list(self.schema.names))

    def n_batches(self, n_rows: int) -> int:
        """Return how many batches of that many rows the file gives."""
        metadata = self._file.metadata
        sizes = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
        return sum(-(-size // n_rows) for size in sizes)

    def batches(self, columns: list[str], n_rows: int) -> Iterator[Batch]:
        """Yield columns of the file in batches of rows."""
        first = 0
        for group in range(self._file.metadata.num_row_groups):
            row = 0
            reader = self._file.iter_batches(
                batch_size=n_rows, row_groups=[group], columns=columns, use_threads=False
            )
            for native in _each(reader, self.path, f"is damaged in row group {group}"):
                if native.num_rows:
                    yield Batch(self.path, native, first + row, group, row)
                row += native.num_rows
            first += row
        if first != self.n_rows:
            raise ValueError(
                f"{self.path.name} is damaged: it has {first} rows and announces {self.n_rows}"
            )


class Folder(LargeFile):
    """Parquet files of one folder in the order of their names: a data frame saved in parts."""

    def __init__(self, path: Path) -> None:
        parts = sorted(file for file in path.iterdir() if file.name.endswith((".parquet", ".pq")))
        if not parts:
            raise ValueError(f"{path} is a directory without .parquet files; name a file")
        for file in parts:
            check_source(file)
        self._parts = [ParquetFile(part) for part in parts]
        self.schema = self._parts[0].schema
        super().__init__(path, "parquet", list(self._parts[0].table.columns))
        for part in self._parts[1:]:
            lost = [name for name in self.table.columns if name not in part.table.columns]
            more = [name for name in part.table.columns if name not in self.table.columns]
            where, first = f"partition {part.path.name} of {path}", parts[0].name
            if lost:
                raise ValueError(f"{where} lacks the column {lost[0]!r} of {first}")
            if more:
                raise ValueError(f"{where} has a column {more[0]!r} that {first} lacks")
        self.n_rows = sum(part.n_rows for part in self._parts)

    def n_batches(self, n_rows: int) -> int:
        """Return how many batches of that many rows the file gives."""
        return sum(part.n_batches(n_rows) for part in self._parts)

    def check_numeric(self, name: str) -> None:
        """Raise a `ValueError` unless a column holds numbers."""
        for part in self._parts:
            part.check_numeric(name)

    def batches(self, columns: list[str], n_rows: int) -> Iterator[Batch]:
        """Yield columns of the file in batches of rows."""
        for part in self._parts:
            yield from part.batches(columns, n_rows)


class _Sequential(LargeFile):
    """A file whose batches come one after the other, of a size that its reader chooses."""

    @abstractmethod
    def _reader(self, columns: list[str]) -> Iterator[Any]:
        """Yield record batches of the named columns."""

    def n_batches(self, n_rows: int) -> int:
        return 1 + self.path.stat().st_size // max(BLOCK_BYTES, 8 * BATCH_NUMBERS)

    def batches(self, columns: list[str], n_rows: int) -> Iterator[Batch]:
        first = 0
        fault = f"is not a readable {self.table.kind} file"
        for native in _each(self._reader(columns), self.path, fault):
            for start in range(0, native.num_rows, n_rows):
                rows, row = native.slice(start, n_rows), first + start
                yield Batch(self.path, rows, row, labels_of_text=self._labels)
            first += native.num_rows


def _each(reader: Iterator[Any], path: Path, fault: str) -> Iterator[Any]:
    """Yield what a reader yields; its errors say what is wrong with the file."""
    while True:
        with damage_named(path), arrow_errors(path, fault=fault):
            native = next(reader, None)
        if native is None:
            return
        yield native


class CsvFile(_Sequential):
    """A CSV file, block by block; every value is text until it is asked for."""

    def __init__(self, path: Path) -> None:
        self._dialect, self._header = read_header(path)
        super().__init__(path, "csv", [name.strip() for name in self._header])

    def _reader(self, columns: list[str]) -> Iterator[Any]:
        from pyarrow import csv as arrow_csv

        options = csv_options(self._dialect, self._header)
        width = 64 * sum(len(name) + 32 for name in self._header)
        options["read_options"].block_size = max(BLOCK_BYTES, width, 8 * BATCH_NUMBERS)
        raw = {name.strip(): name for name in self._header}
        options["convert_options"].include_columns = [raw[name] for name in columns]
        with open_for_arrow(self.path) as file:
            for native in arrow_csv.open_csv(file, **options):
                yield native.rename_columns(columns)


class _WithSchema(_Sequential):
    """A file whose columns have types."""

    @abstractmethod
    def _open(self, file: Any) -> tuple[Any, Iterable[Any]]:
        """Return the schema and the record batches of an open file."""

    def _read_schema(self, path: Path, meaning: str) -> list[str]:
        with arrow_errors(path, meaning), open_for_arrow(path) as file:
            self.schema = self._open(file)[0]
        return list(self.schema.names)

    def _reader(self, columns: list[str]) -> Iterator[Any]:
        """Yield record batches of the named columns."""
        with open_for_arrow(self.path) as file:
            for native in self._open(file)[1]:
                yield native.select(columns)


class JsonLines(_WithSchema):
    """A file with one JSON object a line, block by block."""

    def __init__(self, path: Path) -> None:
        with open_binary(path) as file:
            if file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
                raise ValueError(
                    f"--stream reads one object a line; {path.name} is one list of them"
                )
        super().__init__(path, "jsonl", self._read_schema(path, "file of JSON lines"))

    def _open(self, file: Any) -> tuple[Any, Iterable[Any]]:
        from pyarrow import json as arrow_json

        block = max(BLOCK_BYTES, 8 * BATCH_NUMBERS)
        reader = arrow_json.open_json(file, read_options=arrow_json.ReadOptions(block_size=block))
        return reader.schema, reader


class FeatherFile(_WithSchema):
    """An Arrow file, in the batches that it was written in."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "feather", self._read_schema(path, "Arrow file"))

    def _open(self, file: Any) -> tuple[Any, Iterable[Any]]:
        import pyarrow

        try:
            reader = pyarrow.ipc.open_file(file)
        except pyarrow.ArrowInvalid:  # a stream has no mark at its beginning
            file.seek(0)
            stream = pyarrow.ipc.open_stream(file)
            return stream.schema, stream
        batches = (reader.get_batch(k) for k in range(reader.num_record_batches))
        return reader.schema, batches


_KINDS: dict[str, Any] = {
    "parquet": ParquetFile,
    "feather": FeatherFile,
    "csv": CsvFile,
    "jsonl": JsonLines,
}


# ---------------------------------------------------------------------- batches


@dataclass(frozen=True)
class Batch:
    """Some rows of a file, in parquet files of one row group.

    Attributes
    ----------
    path : Path
        The file, in a folder the part.
    native : pyarrow.RecordBatch
    row_of_file : int
        Number of the first row in the file.
    group, row : int or None
        Row group, and the number of the first row in it.
    labels_of_text : mapping of str to label or None
        What the text of the label column stands for in the whole file.
    """

    path: Path
    native: Any
    row_of_file: int
    group: int | None = None
    row: int = 0
    labels_of_text: Mapping[str, Any] | None = None

    def place(self, index: int) -> str:
        """Return where a row of the batch stands in its file."""
        row = self.row_of_file + index
        if self.group is None:
            return f"row {row} of the file (the first is row 0)"
        return (
            f"row group {self.group}, row {self.row + index} (row {row} of the file; the first is "
            f"row 0)"
        )

    def numbers(self, name: str, *, masked: bool = False) -> FloatArray:
        """Return a column of finite numbers; with `masked`, minus infinity counts as one."""
        from pyarrow import chunked_array

        with self.column_errors(name):
            array = to_numbers(chunked_array([self.native.column(name)]))
        return check_column_numbers(array, self._called(name), self.place, masked=masked)

    def weights(self, name: str) -> Float64Array:
        """Return a column of non-negative numbers."""
        weight = self.numbers(name).astype(np.float64)
        if (weight < 0).any():
            index = int(np.argmax(weight < 0))
            raise ValueError(
                f"{self._called(name)} (weights) has {weight[index]} in {self.place(index)}"
            )
        return weight

    def labels(self, name: str) -> LabelArray:
        """Return a column of labels without gaps."""
        from pyarrow import chunked_array

        with self.column_errors(name):
            column = chunked_array([self.native.column(name)])
            if self.labels_of_text is None:
                values = to_values(column, is_text=False)
            else:
                values = np.array([self.labels_of_text[text] for text in column.to_pylist()])
        return check_column_labels(values, self._called(name), self.place)

    def _called(self, name: str) -> str:
        return f"column {name!r} of {self.path.name}"

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Say, for errors inside, which rows they are about."""
        try:
            yield
        except ValueError as error:
            last = self.native.num_rows - 1
            if self.group is None:
                rows = f"rows {self.row_of_file} to {self.row_of_file + last}"
            else:
                rows = f"row group {self.group}, rows {self.row} to {self.row + last}"
            raise ValueError(
                f"{self.path.name}, {rows} (counted from 0 in these rows): {error}"
            ) from error

    @contextmanager
    def column_errors(self, name: str) -> Iterator[None]:
        """Say what is wrong with a column, and in which rows."""
        try:
            yield
        except ColumnError as error:
            with self.naming():
                raise ValueError(f"column {name!r} {error}") from None
