"""Columns of a file as arrays: numbers and labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from calib._border.typing import FloatArray, LabelArray
from calib._core.columns import INTEGER

#: Columns named in an error text before it is cut.
N_LISTED = 20
#: Beginning of a code such as 007 that would lose its zeros as a number.
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")


def to_numbers(column: Any) -> FloatArray:
    """Return a column as a floating array, NaN for null; raise where it holds something else."""
    if isinstance(column, list):
        return np.array([float(text) for text in column])
    array = column if isinstance(column, np.ndarray) else _numbers_of_arrow(column)
    if array.dtype.kind == "f":
        return cast(FloatArray, array)
    if array.dtype.kind not in "iubO":
        raise TypeError(f"dtype {array.dtype}")
    return cast(FloatArray, array.astype(np.float64))


def _numbers_of_arrow(column: Any) -> LabelArray:
    import pyarrow
    from pyarrow import compute, types

    column = _plain(column)
    if types.is_string(column.type):
        try:
            column = compute.cast(compute.utf8_trim_whitespace(column), pyarrow.float64())
        except pyarrow.ArrowInvalid:  # it reads fewer spellings than Python, such as no "+1"
            return np.array([np.nan if t is None else float(t) for t in column.to_pylist()])
    numeric = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    if not any(is_kind(column.type) for is_kind in numeric):
        raise TypeError(f"type {column.type}")
    return cast(LabelArray, column.to_numpy())


def _plain(column: Any) -> Any:
    """Return an Arrow column without dictionary encoding and of the one common type of text."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_large_string(column.type):
        column = column.cast(pyarrow.string())
    return column


def first_without_number(column: Any) -> str:
    """Say what a column first holds that is no number, and where."""
    for row, value in enumerate(to_list(column)):
        try:
            float(np.nan if value is None else value)
        except (TypeError, ValueError):
            text = str(value).strip()
            shown = "nothing" if not text else repr(text if len(text) <= 40 else f"{text[:37]}...")
            return f"{shown} in {row_text(row)}"
    return f"its type is {getattr(column, 'type', getattr(column, 'dtype', 'text'))}"


def to_values(column: Any, *, is_text: bool) -> LabelArray:
    """Return a column as an array of its natural type; text of a CSV file may stand for numbers."""
    if isinstance(column, np.ndarray):
        return column
    if is_text:
        return _parse(to_list(column))
    column = _plain(column)
    if column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    array: LabelArray = column.to_numpy()
    return np.array(array.tolist()) if array.dtype.kind == "O" else array


def _parse(texts: list[str]) -> LabelArray:
    """Return text as integers or as floats where every entry is one, else as it is."""
    distinct = {text: text.strip() for text in set(texts)}
    present = [text for text in distinct.values() if text]
    read: Callable[[str], Any] = str
    if present and all(INTEGER.fullmatch(text) for text in present):
        read = int
    elif present and all(_is_float(text) for text in present):
        read = float
    values = {text: read(short) if short else None for text, short in distinct.items()}
    array = [values[text] for text in texts]
    return np.array(array, dtype=object if None in values.values() else None)


def _is_float(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text))) and not _LEADING_ZERO.match(text)
    except ValueError:
        return False


def missing(array: LabelArray) -> LabelArray:
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind == "O":
        return np.array([value is None or value != value for value in array], dtype=bool)
    return np.zeros(len(array), dtype=bool)


def to_list(column: Any) -> list[Any]:
    if isinstance(column, list):
        return column
    values: list[Any] = column.tolist() if isinstance(column, np.ndarray) else column.to_pylist()
    return values


def shorten(names: list[str], limit: int = N_LISTED) -> str:
    if len(names) <= limit:
        return ", ".join(names)
    head, last = ", ".join(names[: limit - 2]), names[-1]
    return f"{head}, ..., {last} ({len(names)} columns)"


def row_text(index: int) -> str:
    return f"row {index} (the first is row 0)"


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
