"""Reading parquet, CSV and NumPy files into tables, without pandas."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from calib._cli.columns import one_line
from calib._cli.tables import Table, check_source, format_of, open_text
from calib._core.optional import is_installed, require


def read_table(path: Path) -> Table:
    """Read a file.

    Raises
    ------
    ValueError
        If the file is empty, damaged, of an unknown kind, or has no rows or repeated names.
    OSError
        If it does not exist or must not be read.
    ImportError
        If it is a parquet file and pyarrow is missing.
    """
    if not path.is_dir():  # the name of a directory says nothing
        format_of(path)
    check_source(path)
    try:
        return _READERS[format_of(path)](path)
    except (EOFError, zlib.error, zipfile.BadZipFile, csv.Error) as error:
        raise ValueError(f"{path.name} is damaged: {one_line(error)}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not a text file in UTF-8") from None
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(f"{path.name} is damaged: {one_line(error)}") from None


def _read_parquet(path: Path) -> Table:
    parquet = require("pyarrow.parquet", extra="cli", purpose=f"reading {path.name}")
    try:
        native = parquet.ParquetFile(path).read()
    except (ValueError, OSError) as error:
        raise ValueError(f"{path.name} is not a readable parquet file: {one_line(error)}") from None
    _check_header(path, native.column_names)
    columns = dict(zip(native.column_names, native.columns, strict=True))
    if not native.num_rows:
        raise ValueError(f"{path.name} has no rows")
    return Table(path, "parquet", columns, native)


def _read_csv(path: Path) -> Table:
    with open_text(path, "rt") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        names = [name.strip() for name in header]
        _check_header(path, names)
        if not is_installed("pyarrow"):
            return Table(path, "csv", _columns_of(path, reader, names))
    columns = _read_csv_with_arrow(path, header)
    if not len(columns[0]):
        raise ValueError(f"{path.name} has no rows")
    return Table(path, "csv", dict(zip(names, columns, strict=True)))


def _read_csv_with_arrow(path: Path, header: list[str]) -> list[Any]:
    import pyarrow
    from pyarrow import csv as arrow_csv

    as_text = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pyarrow.string()), strings_can_be_null=False
    )
    parsing = arrow_csv.ParseOptions(newlines_in_values=True)
    try:
        table = arrow_csv.read_csv(path, parse_options=parsing, convert_options=as_text)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path.name} is not a readable CSV file: {one_line(error)}") from None
    return cast(list[Any], table.columns)


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


def _read_npz(path: Path) -> Table:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not a NumPy archive (or only a part of one)")
    archive = np.load(path, allow_pickle=False)
    if not archive.files:
        raise ValueError(f"{path.name} holds no arrays")
    return Table(path, "npz", archive)


def _check_header(path: Path, names: list[str]) -> None:
    if not names:
        raise ValueError(f"{path.name} has no columns")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{path.name} has two columns named {name!r}")
        seen.add(name)


_READERS: dict[str, Callable[[Path], Table]] = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "npz": _read_npz,
}
