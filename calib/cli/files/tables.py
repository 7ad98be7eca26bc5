"""A file as named columns, and the choice among them by names and globs."""

from __future__ import annotations

import fnmatch
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, FloatArray, LabelArray
from calib._border.words import nearest
from calib.cli.files.columns import (
    ColumnError,
    check_column_labels,
    check_column_numbers,
    is_list,
    one_line,
    row_text,
    shorten,
    to_numbers,
    to_values,
)
from calib.cli.files.contents import Dialect, separator_hint

#: Kinds whose columns are arrays, of any length and number of dimensions.
ARRAYS = ("npz", "npy", "pt")


@dataclass(frozen=True)
class FileTable:
    """Named columns in the order of a file.

    Attributes
    ----------
    path : Path
        The file.
    kind : {"parquet", "feather", "jsonl", "csv", "npz", "npy", "pt"}
        Its kind.
    columns : mapping of str to column
        Arrow columns (parquet, feather, jsonl), text (csv) or arrays (npz, npy, pt), each with
        `n_rows` rows or, among arrays, any number.
    native : pyarrow.Table or None
        What the reader returned, for writing it again without loss.
    dialect : Dialect
        How the text of a CSV file is written.
    """

    path: Path
    kind: str
    columns: Mapping[str, Any]
    native: Any = None
    dialect: Dialect = field(default_factory=Dialect)

    @property
    def holds_arrays(self) -> bool:
        """Whether columns are arrays, which may have two dimensions and any length."""
        return self.kind in ARRAYS

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

    def scores(self, names: list[str], *, masked: bool = False) -> FloatArray:
        """Return columns as one matrix (n_samples, n_columns), or one two-dimensional array."""
        parts = [self.numbers(name, masked=masked) for name in names]
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

    def widths(self) -> dict[str, int | None]:
        """Return the number of columns of every matrix, None of arrays of other dimensions."""
        if self.holds_arrays:
            shapes = {name: np.shape(self.column(name)) for name in self.columns}
            return {n: shape[1] if len(shape) == 2 else None for n, shape in shapes.items()}
        if self.native is None:
            return {}
        lists = [name for name in self.columns if is_list(self.native.schema.field(name).type)]
        return {name: len(self.columns[name][0].as_py() or ()) for name in lists}

    def numbers(self, name: str, *, masked: bool = False) -> FloatArray:
        """Return a column of finite numbers; its floating type is kept.

        With `masked`, minus infinity counts as one: the logit of a class that is ruled out.
        """
        array = self._read_numbers(self.column(name), name, "scores")
        return check_column_numbers(array, self._called(name), row_text, masked=masked)

    def _read_numbers(self, values: Any, name: str, what: str) -> FloatArray:
        """Return values as numbers of the table's rows, or say which column holds none."""
        try:
            array: FloatArray = to_numbers(values)
        except ColumnError as error:
            raise ValueError(f"{self._called(name)} {error}") from None
        if array.ndim not in (1, 2):
            raise ValueError(
                f"array {name!r} of {self.path.name} has shape {array.shape}; {what} have one or "
                f"two dimensions"
            )
        self._check_rows(name, array.size)
        return array

    def numbers_or_none(self, name: str) -> Float64Array:
        """Return a column of finite numbers and truth values, nan where one is missing."""
        array = self.values(name)
        if self.kind == "csv" and array.dtype.kind in "UO":
            truth = {"true": 1.0, "false": 0.0}
            known = [value for value in array if value is not None]
            if all(str(value).lower() in truth for value in known):
                array = np.array([truth.get(str(value).lower(), np.nan) for value in array])
        numbers = self._read_numbers(array, name, "columns of labels").astype(np.float64)
        known_numbers = np.where(np.isnan(numbers), 0.0, numbers)
        check_column_numbers(known_numbers, self._called(name), row_text, masked=False)
        return numbers

    def labels(self, name: str) -> LabelArray:
        """Return a column of labels: integers, floats, booleans or text, none of them missing."""
        array = self.values(name)
        if array.ndim != 1:
            raise ValueError(
                f"array {name!r} of {self.path.name} has shape {array.shape}; labels and groups "
                f"have one dimension"
            )
        self._check_rows(name, array.size)
        return check_column_labels(array, self._called(name), row_text)

    def values(self, name: str) -> LabelArray:
        """Return a column as an array of its natural type."""
        try:
            return to_values(self.column(name), is_text=self.kind == "csv")
        except ColumnError as error:
            raise ValueError(f"{self._called(name)} {error}") from None

    def column(self, name: str) -> Any:
        """Return a column as it was read."""
        if name not in self.columns:
            near = nearest(name, self.columns)
            hint = "" if near is None else f" (did you mean {near!r}?)"
            raise ValueError(f"unknown column {name!r}{hint}; {self._listing()}")
        try:
            return self.columns[name]
        except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:  # of an archive
            raise ValueError(
                f"array {name!r} of {self.path.name} cannot be read: {one_line(error)}"
            ) from None

    def _check_rows(self, name: str, n_rows: int) -> None:
        if not n_rows:
            raise ValueError(f"{self._called(name)} has no rows")

    def _called(self, name: str) -> str:
        return f"column {name!r} of {self.path.name}"

    def _listing(self) -> str:
        names = list(self.columns)
        return f"{self.path.name} has: {shorten(names)}{separator_hint(names)}"
