"""Columns out of the rows of a JSON file, checked fast; errors name the file and the row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Literal, NoReturn

import numpy as np

from calib._border.checks import describe, is_number
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib.detection.tables.checks import integers

OnInvalid = Literal["raise", "drop"]
_Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Columns:
    """Rows of a JSON list, all of them objects, read column by column.

    Values are checked by the set of their types, which costs milliseconds for 100,000 rows; rows
    are looked at one by one only to find the one at fault.
    """

    def __init__(self, name: str, rows: Any) -> None:
        if not isinstance(rows, (list, tuple)):
            raise ValueError(f"{name} must be a list; got {_kind(rows)}")
        self.name = name
        self.rows: list[dict[str, Any]] = list(rows)
        if not _all(self.rows, lambda kind: issubclass(kind, Mapping)):
            row = next(i for i, one in enumerate(rows) if not isinstance(one, Mapping))
            raise ValueError(f"{name}, row {row} must be an object; got {_kind(rows[row])}")

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, row: int) -> str:
        """Name a row, with the id that it carries in the file."""
        own = self.rows[row].get("id")
        return f"{self.name}, row {row}" + ("" if own is None else f" (id {describe(own)})")

    def refuse(self, row: int, problem: str) -> NoReturn:
        """Raise for a row."""
        raise ValueError(f"{self.where(row)} {problem}")

    def refuse_where(self, bad: Any, problem: str) -> None:
        """Raise for the first row that is marked, if any is."""
        if bad.any():
            self.refuse(int(np.argmax(bad)), problem)

    def column(self, key: str, hint: str = "") -> list[Any]:
        """Return the values of a key that every row must have."""
        try:
            return [row[key] for row in self.rows]
        except KeyError:
            row = next(i for i, one in enumerate(self.rows) if key not in one)
            self.refuse(row, f"has no {key!r}{hint}")

    def has(self, key: str) -> bool:
        """Return whether the rows have a key; all of them or none."""
        given = [key in row for row in self.rows]
        if any(given) and not all(given):
            self.refuse(given.index(False), f"has no {key!r}, but other rows have")
        return any(given)

    def numbers(self, key: str, hint: str = "") -> Float64Array:
        """Return the numbers of a key; NaN and infinities are left to the caller."""
        values = self.column(key, hint)
        if not _all(values, _is_number):
            self._refuse_first(key, values, "a number", lambda v: _is_number(type(v)))
        return self._floats(key, values, values)

    def optional_numbers(self, key: str) -> tuple[Float64Array, _Mask]:
        """Return the numbers of a key, 0 where it is absent, and which rows have it."""
        given = np.array([key in row for row in self.rows], dtype=bool)
        values = [row.get(key, 0) for row in self.rows]
        if not _all(values, _is_number):
            self._refuse_first(key, values, "a number", lambda v: _is_number(type(v)))
        return self._floats(key, values, values), given

    def boxes(self, key: str) -> Float64Array:
        """Return the four numbers of a key; NaN and infinities are left to the caller."""
        values = self.column(key)
        wanted = "four numbers x, y, width, height"
        if not _all(values, _is_list) or any(n != 4 for n in set(map(len, values))):
            self._refuse_first(key, values, wanted, lambda v: _is_list(type(v)) and len(v) == 4)
        flat = list(chain.from_iterable(values))
        if not _all(flat, _is_number):
            self._refuse_first(key, values, wanted, lambda v: _all(v, _is_number))
        return self._floats(key, flat, values).reshape(-1, 4)

    def integers(self, key: str, *, texts: bool = False) -> IntArray:
        """Return the integers of a key."""
        values = self.column(key)
        if not _all(values, _is_integer):  # a float may stand for an integer: 3.0
            values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
        wanted = "an integer of at most 64 bits"
        if not _all(values, _is_integer):
            wanted = f"{wanted}, or a text in every row" if texts else wanted
            if key == "category_id" and _all(values, lambda kind: issubclass(kind, str)):
                wanted = f"{wanted}, the id of a class and not its name"
            self._refuse_first(key, values, wanted, lambda v: _is_integer(type(v)))
        whole = integers(np.array(values))
        if whole is None:
            self._refuse_first(key, values, wanted, lambda v: -(2**63) <= v < 2**63)
        return whole

    def ids(self, key: str) -> LabelArray:
        """Return ids: integers, or texts in every row."""
        values = self.column(key)
        if values and _all(values, lambda kind: issubclass(kind, str)):
            return np.array(values)
        return self.integers(key, texts=True)

    def flags(self, key: str) -> _Mask:
        """Return the flags of a key, 0 and 1 or booleans; absent means 0."""
        values = [row.get(key, 0) for row in self.rows]
        try:
            if set(values) <= {0, 1}:
                return np.array(values, dtype=bool)
        except TypeError:
            pass
        self._refuse_first(key, values, "0 or 1", lambda v: _is_flag(v))

    def _floats(self, key: str, flat: list[Any], values: list[Any]) -> Float64Array:
        try:
            return np.array(flat, dtype=np.float64)
        except OverflowError:
            self._refuse_first(key, values, "of a size that fits a float", _fits_float)

    def _refuse_first(
        self, key: str, values: list[Any], wanted: str, good: Callable[[Any], bool]
    ) -> NoReturn:
        row = next(i for i, value in enumerate(values) if not good(value))
        self.refuse(row, f"has {key!r} that must be {wanted}; got {_shown(values[row])}")


def rows_with_boxes(
    columns: Columns, boxes: Float64Array, key: str, values: Float64Array, on_invalid: OnInvalid
) -> _Mask:
    """Return which rows have possible boxes (x, y, width, height) and numbers.

    Others raise unless they are to be dropped.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        corners = boxes[:, :2] + boxes[:, 2:]
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(corners).all(axis=1)
    usable: _Mask = finite & (boxes[:, 2:] >= 0).all(axis=1) & np.isfinite(values)
    if on_invalid == "raise" and not usable.all():
        row = int(np.argmax(~usable))
        columns.refuse(
            row,
            f"holds NaN, an infinity or a negative width or height (bbox {boxes[row].tolist()} as "
            f"x, y, width, height; {key} {values[row]}); repair it, or pass on_invalid='drop' to "
            f"drop such rows",
        )
    return usable


def check_known(columns: Columns, key: str, values: LabelArray, known: Any, problem: str) -> None:
    """Raise if ids are not among the known ones; the first few are listed."""
    unknown = ~np.isin(values, known)
    if unknown.any():
        first = list(dict.fromkeys(values[unknown][:1000].tolist()))[:5]
        columns.refuse(
            int(np.argmax(unknown)),
            f"is the first of {int(unknown.sum())} rows with {key!r} that {problem}; such ids are "
            f"{first}",
        )


def _all(values: Iterable[Any], accepts: Callable[[type], bool]) -> bool:
    return all(accepts(kind) for kind in set(map(type, values)))


def _is_number(kind: type) -> bool:
    return issubclass(kind, (float, np.floating)) or _is_integer(kind)


def _is_integer(kind: type) -> bool:
    return issubclass(kind, (int, np.integer)) and kind is not bool


def _is_list(kind: type) -> bool:
    return issubclass(kind, (list, tuple, np.ndarray))


def _is_flag(value: Any) -> bool:
    return (is_number(value) or isinstance(value, (bool, np.bool_))) and value in (0, 1)


def _fits_float(value: Any) -> bool:
    try:
        np.array(value, dtype=np.float64)
    except OverflowError:
        return False
    return True


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), f"a value of type {type(value).__name__}")


def _shown(value: Any) -> str:
    try:
        return describe(value)
    except ValueError:  # an integer with more digits than Python prints
        return "an integer of thousands of digits"
