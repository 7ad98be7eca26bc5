"""A file as named columns, and the choice among them by names and globs."""

from __future__ import annotations

import difflib
import fnmatch
import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np

from calib._border.typing import FloatArray, LabelArray
from calib._cli.columns import (
    first_without_number,
    missing,
    one_line,
    row_text,
    shorten,
    to_numbers,
    to_values,
)

#: Kind of file that belongs to the end of a file name.
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv", ".npz": "npz"}


@dataclass(frozen=True)
class Table:
    """Named columns in the order of a file.

    Attributes
    ----------
    path : Path
        The file.
    kind : {"parquet", "csv", "npz"}
        Its kind.
    columns : mapping of str to column
        Arrow columns (parquet), text (csv) or arrays (npz), each with `n_rows` rows or, in
        archives, any number.
    native : object
        What the reader returned, for writing it again without loss.
    """

    path: Path
    kind: str
    columns: Mapping[str, Any]
    native: Any = None

    def select(self, patterns: str, *, exclude: Iterable[str] = ()) -> list[str]:
        """Return the columns that a comma-separated list of names and globs stands for.

        Parameters
        ----------
        patterns : str
            For instance ``"p_*"`` or ``"cat,dog"``. A glob takes columns in the order of the file.
        exclude : iterable of str
            Columns that globs leave out, because they have another role.
        """
        if patterns in self.columns:
            return [patterns]
        chosen: dict[str, None] = {}
        for item in filter(None, (part.strip() for part in patterns.split(","))):
            if item not in self.columns and set(item) & set("*?["):
                found = [name for name in self.columns if fnmatch.fnmatchcase(name, item)]
                found = [name for name in found if name not in set(exclude)]
                if not found:
                    raise ValueError(f"no column matches {item!r}; {self._listing()}")
                chosen.update(dict.fromkeys(found))
            else:
                self.column(item)
                chosen[item] = None
        if not chosen:
            raise ValueError(f"{patterns!r} names no column; {self._listing()}")
        return list(chosen)

    def scores(self, names: list[str]) -> FloatArray:
        """Return columns as one matrix (n_samples, n_columns), or one two-dimensional array."""
        parts = [self.numbers(name) for name in names]
        if len(parts) == 1:
            return parts[0] if parts[0].ndim > 1 else parts[0][:, None]
        for name, part in zip(names, parts, strict=True):
            if part.ndim > 1:
                raise ValueError(
                    f"several arrays were named ({shorten(names)}) and {name!r} has shape "
                    f"{part.shape}; name one two-dimensional array or several one-dimensional ones"
                )
            if len(part) != len(parts[0]):
                raise ValueError(
                    f"{names[0]!r} has {len(parts[0])} rows, but {name!r} has {len(part)}"
                )
        matrix = np.empty((len(parts[0]), len(parts)), dtype=np.result_type(*parts))
        return np.stack(parts, axis=1, out=matrix)  # row by row in memory, as users have it

    def numbers(self, name: str) -> FloatArray:
        """Return a column of finite numbers; its floating type is kept."""
        column = self.column(name)
        try:
            array = to_numbers(column)
        except (TypeError, ValueError):
            raise ValueError(
                f"column {name!r} of {self.path.name} is not numeric: "
                f"{first_without_number(column)}"
            ) from None
        if array.ndim not in (1, 2):
            raise ValueError(
                f"array {name!r} of {self.path.name} has shape {array.shape}; scores have one or "
                f"two dimensions"
            )
        self._check_rows(name, array.size)
        if not np.isfinite(array).all():
            row, *rest = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
            where = f"{row_text(row)}, column {rest[0]}" if rest else row_text(row)
            value = array[(row, *rest)]
            raise ValueError(f"column {name!r} of {self.path.name} has {value} in {where}")
        return array

    def labels(self, name: str) -> LabelArray:
        """Return a column of labels: integers, floats, booleans or text, none of them missing."""
        array = to_values(self.column(name), is_text=self.kind == "csv")
        if array.ndim != 1:
            raise ValueError(
                f"array {name!r} of {self.path.name} has shape {array.shape}; labels and groups "
                f"have one dimension"
            )
        self._check_rows(name, array.size)
        gaps = missing(array)
        if gaps.any():
            row = row_text(int(np.argmax(gaps)))
            raise ValueError(f"column {name!r} of {self.path.name} has no value in {row}")
        return array

    def column(self, name: str) -> Any:
        """Return a column as it was read."""
        if name not in self.columns:
            near = difflib.get_close_matches(name, list(self.columns), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"unknown column {name!r}{hint}; {self._listing()}")
        try:
            return self.columns[name]
        except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:  # of an archive
            raise ValueError(
                f"array {name!r} of {self.path.name} cannot be read: {one_line(error)}"
            ) from None

    def _check_rows(self, name: str, n_rows: int) -> None:
        if not n_rows:
            raise ValueError(f"column {name!r} of {self.path.name} has no rows")

    def _listing(self) -> str:
        names = list(self.columns)
        text = f"{self.path.name} has: {shorten(names)}"
        if self.kind == "csv" and len(names) == 1 and re.search(r"[;\t|]", names[0]):
            text += " (calib reads values separated by commas)"
        return text


def format_of(path: Path) -> str:
    """Return the kind of file that a name stands for: "parquet", "csv" or "npz"."""
    for ending, kind in FORMATS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise ValueError(f"{path.name}: unknown kind of file; use one of {', '.join(FORMATS)}")


def check_target(path: Path) -> None:
    """Raise before any work is done if a file cannot be written at `path`."""
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: permission denied")


def check_source(path: Path) -> None:
    """Raise if there is no file with content that can be read at `path`."""
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name a file")
    with path.open("rb") as file:
        if not file.read(1):
            raise ValueError(f"{path} is empty")


def open_text(path: Path, mode: str, *, compress: bool | None = None) -> TextIO:
    """Open a text file in UTF-8, compressed or not, with its line ends as they are."""
    if compress is None:
        compress = path.name.lower().endswith(".gz")
    encoding = "utf-8-sig" if mode == "rt" else "utf-8"  # a byte order mark may come first
    if compress:
        return cast(TextIO, gzip.open(path, mode, encoding=encoding, newline=""))
    return cast(TextIO, path.open(mode, encoding=encoding, newline=""))
