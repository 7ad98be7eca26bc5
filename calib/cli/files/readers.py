"""Reading tables, arrays and tensors into tables, without pandas."""

from __future__ import annotations

import csv
import io
import json
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.optional import is_installed, require
from calib._border.typing import LabelArray
from calib.cli.files.columns import one_line
from calib.cli.files.contents import (
    Dialect,
    check_header,
    dialect_of,
    kind_of,
    open_binary,
    open_for_arrow,
    open_text,
)
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import check_source


def read_table(path: Path) -> FileTable:
    """Read a file; its kind is told by its content, and by its name where that does not tell.

    Parameters
    ----------
    path : Path

    Returns
    -------
    table : FileTable

    Raises
    ------
    ValueError
        If the file is empty, damaged, of an unknown kind, or has no rows or repeated names.
    OSError
        If it does not exist or must not be read.
    ImportError
        If it needs pyarrow or torch and that is missing.
    """
    check_source(path)
    with damage_named(path):
        return _READERS[kind_of(path)](path)


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Say of errors of decompression and decoding which file they are about."""
    try:
        yield
    except (EOFError, zlib.error, zipfile.BadZipFile, csv.Error) as error:
        raise ValueError(f"{path.name} is damaged: {one_line(error)}") from None
    except UnicodeError:
        raise ValueError(f"{path.name} is not a text file in UTF-8") from None
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(f"{path.name} is damaged: {one_line(error)}") from None


# ---------------------------------------------------------------------- tables of Arrow


def _read_parquet(path: Path) -> FileTable:
    parquet = require("pyarrow.parquet", extra="cli", purpose=f"reading {path.name}")
    with arrow_errors(path, "parquet file"), open_for_arrow(path) as file:
        native = parquet.ParquetFile(file).read()
    return _arrow_table(path, "parquet", native)


def _read_feather(path: Path) -> FileTable:
    feather = require("pyarrow.feather", extra="cli", purpose=f"reading {path.name}")
    import pyarrow

    with arrow_errors(path, "Arrow file"), open_for_arrow(path) as file:
        try:
            native = feather.read_table(file)
        except pyarrow.ArrowInvalid:  # a stream has no mark at its beginning
            file.seek(0)
            native = pyarrow.ipc.open_stream(file).read_all()
    return _arrow_table(path, "feather", native)


def _read_json_lines(path: Path) -> FileTable:
    """Read one object a line, or one list of objects."""
    pyarrow = require("pyarrow", extra="cli", purpose=f"reading {path.name}")
    from pyarrow import json as arrow_json

    with arrow_errors(path, "file of JSON lines"), open_for_arrow(path) as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        file.seek(0)
        if start.startswith(b"["):
            rows = json.loads(file.read().decode("utf-8-sig"))
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("a list must hold one object a row, such as {...}")
            native = pyarrow.Table.from_pylist(rows)
        elif not start.startswith(b"{"):
            raise ValueError("it begins with neither an object nor a list")
        else:
            native = arrow_json.read_json(file)
    return _arrow_table(path, "jsonl", native)


@contextmanager
def arrow_errors(path: Path, kind: str = "", fault: str | None = None) -> Iterator[None]:
    """Turn what pyarrow raises into one error that names the file and what is wrong with it."""
    import pyarrow

    try:
        yield
    except (ValueError, pyarrow.ArrowException, OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        fault = fault or f"is not a readable {kind}"
        raise ValueError(f"{path.name} {fault}: {one_line(error)}") from None


def _arrow_table(path: Path, kind: str, native: Any) -> FileTable:
    check_header(path, native.column_names)
    columns = dict(zip(native.column_names, native.columns, strict=True))
    if not native.num_rows:
        raise ValueError(f"{path.name} has no rows")
    return FileTable(path, kind, columns, native)


# ---------------------------------------------------------------------- text


def read_header(path: Path) -> tuple[Dialect, list[str]]:
    """Return how a text file is written, and its first line as it stands there."""
    dialect = dialect_of(path)
    with open_text(path, dialect) as file:
        return dialect, _first_row(file, dialect)[1]


def _first_row(file: Any, dialect: Dialect) -> tuple[Any, list[str]]:
    for _ in range(dialect.skipped):
        next(file, None)
    reader = csv.reader(file, delimiter=dialect.separator)
    return reader, next((row for row in reader if row), [])


def _read_csv(path: Path) -> FileTable:
    dialect = dialect_of(path)
    with open_text(path, dialect) as file:
        reader, header = _first_row(file, dialect)
        names = [name.strip() for name in header]
        check_header(path, names)
        if not is_installed("pyarrow"):
            columns: Any = _columns_of(path, reader, names)
            return FileTable(path, "csv", columns, dialect=dialect)
    with arrow_errors(path, "CSV file"), open_for_arrow(path) as binary:
        from pyarrow import csv as arrow_csv

        table = arrow_csv.read_csv(binary, **csv_options(dialect, header))
    if not table.num_rows:
        raise ValueError(f"{path.name} has no rows")
    return FileTable(path, "csv", dict(zip(names, table.columns, strict=True)), dialect=dialect)


def csv_options(dialect: Dialect, header: list[str]) -> dict[str, Any]:
    """Return what pyarrow needs to read every value of a text file as text."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    encoding = "utf8" if dialect.encoding == "utf-8-sig" else dialect.encoding
    return {
        "read_options": arrow_csv.ReadOptions(encoding=encoding, skip_rows=dialect.skipped),
        "parse_options": arrow_csv.ParseOptions(
            delimiter=dialect.separator, newlines_in_values=True
        ),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pyarrow.string()), strings_can_be_null=False
        ),
    }


def _columns_of(path: Path, reader: Any, names: list[str]) -> dict[str, list[str]]:
    columns: list[list[str]] = [[] for _ in names]
    for row in reader:
        if not row:
            continue
        if len(row) != len(names):
            raise ValueError(
                f"{path.name} is not a readable CSV file: line {reader.line_num} has {len(row)} "
                f"values, the header {len(names)}"
            )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    if not columns[0]:
        raise ValueError(f"{path.name} has no rows")
    return dict(zip(names, columns, strict=True))


# ---------------------------------------------------------------------- arrays


def _read_npz(path: Path) -> FileTable:
    """Open an archive; its arrays are read when they are asked for."""
    with open_binary(path) as file:
        packed = not isinstance(file, io.BufferedReader)
        source: Any = io.BytesIO(file.read()) if packed else path
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{path.name} is not a NumPy archive (or only a part of one)")
    archive = np.load(source, allow_pickle=False)
    return _array_table(path, "npz", archive)


def _read_npy(path: Path) -> FileTable:
    """Read one array under the name of its file, or the fields of a record array."""
    with open_binary(path) as file:
        try:
            array = np.load(file, allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"{path.name} is not a readable array: {one_line(error)}") from None
    fields = array.dtype.names
    arrays = {_stem(path): array} if fields is None else {name: array[name] for name in fields}
    return _array_table(path, "npy", arrays)


def _array_table(path: Path, kind: str, arrays: Mapping[str, LabelArray]) -> FileTable:
    if not arrays:
        raise ValueError(f"{path.name} holds no arrays")
    return FileTable(path, kind, arrays)


def _read_tensors(path: Path) -> FileTable:
    """Read a tensor, or tensors by name, without running code of the file."""
    torch = require("torch", extra="torch", purpose=f"reading {path.name}")
    with open_binary(path) as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise ValueError(
                f"{path.name} holds more than tensors, which is not read because it can run "
                f"code; save tensors, a dict or a list of them"
            ) from None
        except (RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
            raise ValueError(
                f"{path.name} is not a readable file of tensors: {one_line(error)}"
            ) from None
    if isinstance(content, (list, tuple)):
        content = {f"arr_{k}": value for k, value in enumerate(content)}
    elif not isinstance(content, dict):
        content = {_stem(path): content}
    arrays = {}
    for name, value in content.items():
        if isinstance(value, torch.Tensor) and value.layout is torch.strided:
            plain = value.detach().resolve_conj().resolve_neg()
            plain = plain.float() if plain.dtype is torch.bfloat16 else plain
            try:
                arrays[str(name)] = plain.numpy()
            except (RuntimeError, TypeError) as error:
                raise ValueError(
                    f"tensor {name!r} of {path.name} cannot be read: {one_line(error)}"
                ) from None
        elif isinstance(value, (list, tuple)) and value:
            arrays[str(name)] = np.asarray(value)
    return _array_table(path, "pt", arrays)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


_READERS: dict[str, Callable[[Path], FileTable]] = {
    "parquet": _read_parquet,
    "feather": _read_feather,
    "jsonl": _read_json_lines,
    "csv": _read_csv,
    "npz": _read_npz,
    "npy": _read_npy,
    "pt": _read_tensors,
}


def single_column(path: Path) -> tuple[FileTable, str]:
    """Return a table with the name of its only column."""
    table = read_table(path)
    if len(table.columns) != 1:
        raise ValueError(
            f"{path.name} has {len(table.columns)} columns; a file named in place of a column "
            f"must hold one alone"
        )
    return table, next(iter(table.columns))
