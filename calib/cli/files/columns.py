"""Columns of a file as arrays: numbers and labels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from calib._border.columns import INTEGER
from calib._border.typing import FloatArray, LabelArray

#: Columns named in an error text before it is cut.
N_LISTED = 20
#: Beginning of a code such as 007 that would lose its zeros as a number.
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")


class ColumnError(ValueError):
    """What is wrong with a column, without its name."""


def to_numbers(column: Any) -> FloatArray:
    """Return a column as a floating array, NaN for null; raise where it holds something else.

    Lists of equal length become the rows of a matrix. Text may have decimal commas.

    Raises
    ------
    ColumnError
        With the place and the value at fault.
    """
    try:
        if isinstance(column, list):
            return _numbers_of_text(column)
        array = column if isinstance(column, np.ndarray) else _numbers_of_arrow(column)
        if array.dtype.kind == "f":
            precise = np.float64 if array.dtype.itemsize > 8 else array.dtype.newbyteorder("=")
            return cast(FloatArray, array.astype(precise, copy=False))
        if array.dtype.kind not in "iubO":
            raise TypeError(f"dtype {array.dtype}")
        return cast(FloatArray, array.astype(np.float64))
    except ColumnError:
        raise
    except (TypeError, ValueError, OverflowError):
        raise ColumnError(f"is not numeric: {first_without_number(column)}") from None


def _numbers_of_text(texts: list[Any]) -> FloatArray:
    read = number_reader(texts)
    return np.array([np.nan if text is None else read(text) for text in texts], dtype=np.float64)


def _numbers_of_arrow(column: Any) -> LabelArray:
    import pyarrow
    from pyarrow import compute, types

    column = _plain(column)
    if is_list(column.type):
        return _matrix_of_lists(column)
    if types.is_string(column.type):
        try:
            column = compute.cast(compute.utf8_trim_whitespace(column), pyarrow.float64())
        except pyarrow.ArrowInvalid:  # it reads fewer spellings than Python, such as no "+1"
            return _numbers_of_text(column.to_pylist())
    if not holds_numbers(column.type):
        raise TypeError(f"type {column.type}")
    return cast(LabelArray, column.to_numpy())


def holds_numbers(kind: Any) -> bool:
    """Return whether an Arrow type holds numbers."""
    from pyarrow import types

    numbers = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    return any(is_kind(kind) for is_kind in numbers)


def is_list(kind: Any) -> bool:
    """Return whether an Arrow type holds a list in every row."""
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _matrix_of_lists(column: Any) -> LabelArray:
    """Return a column of lists of one length as a matrix."""
    from pyarrow import compute

    lengths = compute.list_value_length(column).to_numpy()
    if column.null_count:
        raise ColumnError(f"has no value in {row_text(int(np.argmax(np.isnan(lengths))))}")
    uneven = lengths != lengths[0] if len(lengths) else np.zeros(0, dtype=bool)
    if uneven.any():
        row = int(np.argmax(uneven))
        raise ColumnError(
            f"has lists of different lengths: {lengths[0]} values in row 0, {lengths[row]} in "
            f"{row_text(row)}"
        )
    values = compute.list_flatten(column)
    if is_list(values.type):
        raise ColumnError(f"has type {column.type}; scores are numbers, or one list a row")
    matrix: LabelArray = to_numbers(values).reshape(len(lengths), -1)
    return matrix


def _plain(column: Any) -> Any:
    """Return an Arrow column without encodings, and of the one common type of text."""
    import pyarrow
    from pyarrow import types

    if isinstance(column.type, pyarrow.BaseExtensionType):
        column = pyarrow.chunked_array(
            [chunk.storage for chunk in column.chunks], column.type.storage_type
        )
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_large_string(column.type) or "string_view" in str(column.type):
        column = column.cast(pyarrow.string())
    return column


#: A decimal comma, and one that groups of three digits may as well explain.
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_COMMA_OR_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
#: Groups of three digits with something between them.
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}([,.' _\u00a0\u202f\u2019][0-9]{3})+([.,][0-9]+)?")
#: What spreadsheets and data frames write where there is no value.
_NO_VALUE = frozenset({"nan", "na", "n/a", "null", "none", "<na>", "#n/a", "-nan", "nat"})


def number_reader(texts: list[Any]) -> Callable[[Any], float]:
    """Return what reads the numbers of a column of text: with decimal commas where it has some.

    A comma is one where no value has a point as well, and where at least one cannot be a group of
    three digits: ``0,5`` or ``1,25`` settle what ``1,234`` in the same column is.

    Raises
    ------
    ColumnError
        If every comma may stand before a group of three digits.
    """
    commas = [text.strip() for text in texts if text is not None and "," in text]
    if not commas or not all(DECIMAL_COMMA.fullmatch(text) for text in commas):
        return _float
    if any("." in text for text in texts if text is not None):
        return _float
    if all(_COMMA_OR_THOUSANDS.fullmatch(text) for text in commas):
        raise ColumnError(
            f"has {commas[0]!r}, which may be a decimal comma or a separator of thousands; write "
            f"points and no separators"
        )
    return lambda text: _float(text.replace(",", "."))


def _float(text: Any) -> float:
    if isinstance(text, str) and "_" in text:
        raise ValueError("underscores are Python's alone")
    return float(text)


def first_without_number(column: Any) -> str:
    """Say what a column first holds that is no number, and where."""
    values = to_list(column)
    read = number_reader(values) if values and isinstance(values[0], str) else _float
    for row, value in enumerate(values):
        try:
            read(np.nan if value is None else value)
        except (TypeError, ValueError, OverflowError):
            if isinstance(value, (dict, list, tuple)):
                break
            text = str(value).strip()
            shown = "nothing" if not text else repr(text if len(text) <= 40 else f"{text[:37]}...")
            hint = " (write numbers without separators of thousands)"
            return f"{shown} in {row_text(row)}{hint if _THOUSANDS.fullmatch(text) else ''}"
    return f"its type is {getattr(column, 'type', getattr(column, 'dtype', 'text'))}"


def to_values(column: Any, *, is_text: bool) -> LabelArray:
    """Return a column as an array of its natural type; text of a CSV file may stand for numbers.

    Raises
    ------
    ColumnError
        If it holds neither numbers, booleans, text nor lists of numbers.
    """
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "biufUO":
            raise ColumnError(f"has dtype {column.dtype}; {_READABLE}")
        return column
    if is_text:
        return _parse(to_list(column))
    from pyarrow import types

    column = _plain(column)
    if is_list(column.type):
        return to_numbers(column)
    if not (
        holds_numbers(column.type) or types.is_string(column.type) or types.is_null(column.type)
    ):
        raise ColumnError(f"has type {column.type}; {_READABLE}")
    if column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    array: LabelArray = column.to_numpy()
    return np.array(array.tolist()) if array.dtype.kind == "O" else array


_READABLE = "numbers, booleans and text are read"


def _parse(texts: list[str]) -> LabelArray:
    """Return text as integers or as floats where every entry is one, else as it is.

    Among numbers, words such as ``nan`` and ``NA`` say that there is no value; among other text
    they are labels.
    """
    distinct = {text: text.strip() for text in set(texts)}
    present = [text for text in distinct.values() if text]
    numbers = [text for text in present if text.lower() not in _NO_VALUE]
    read: Callable[[str], Any] = str
    if numbers and all(INTEGER.fullmatch(text) for text in numbers):
        read = int
    elif numbers and (as_float := _reads_floats(numbers)) is not None:
        read = as_float
    absent = set() if read is str else set(present) - set(numbers)
    values = {
        text: read(short) if short and short not in absent else None
        for text, short in distinct.items()
    }
    array = [values[text] for text in texts]
    return np.array(array, dtype=object if None in values.values() else None)


def _reads_floats(texts: list[str]) -> Callable[[str], float] | None:
    """Return what reads all of these as numbers, None where something is none.

    Infinities among finite numbers are numbers, which labels are told apart from; alone they are
    words.
    """
    try:
        read = number_reader(texts)
        finite = [bool(np.isfinite(read(text))) for text in texts]
    except ValueError:
        return None
    return read if any(finite) and not any(map(_LEADING_ZERO.match, texts)) else None


def no_label(array: LabelArray) -> tuple[int, str] | None:
    """Return the first row that holds no label, and what it holds; None if there is none."""
    if array.dtype.kind not in ("f", "O"):
        return None
    gaps = array != array  # nan is not itself
    if array.dtype.kind == "O":
        gaps = gaps | np.array([value is None for value in array])
    if gaps.any():
        return int(np.argmax(gaps)), "no value"
    infinite = np.array([isinstance(value, float) and math.isinf(value) for value in array])
    if not infinite.any():
        return None
    row = int(np.argmax(infinite))
    return row, f"{array[row]} among numbers, which is no class or group,"


def check_column_numbers(
    array: FloatArray, column: str, place: Callable[[int], str], *, masked: bool
) -> FloatArray:
    """Return numbers that are finite, or minus infinity with `masked`; raise for all others.

    `column` and `place` say what the column and its rows are called.
    """
    bad = ~np.isfinite(array)
    if masked:
        bad &= array != -np.inf
    if bad.any():
        row, *rest = (int(i) for i in np.argwhere(bad)[0])
        where = f", column {rest[0]}" if rest else ""
        raise ValueError(f"{column} has {array[(row, *rest)]} in {place(row)}{where}")
    return array


def check_column_labels(array: LabelArray, column: str, place: Callable[[int], str]) -> LabelArray:
    """Return labels none of which is missing or infinite; raise for all others."""
    gap = no_label(array)
    if gap is not None:
        raise ValueError(f"{column} has {gap[1]} in {place(gap[0])}")
    return array


def to_list(column: Any) -> list[Any]:
    """Return a column as Python values."""
    if isinstance(column, list):
        return column
    values: list[Any] = column.tolist() if isinstance(column, np.ndarray) else column.to_pylist()
    return values


def shorten(names: list[str], limit: int = N_LISTED) -> str:
    """Return names in one line, the rest of a long list counted."""
    if len(names) <= limit:
        return ", ".join(names)
    head, last = ", ".join(names[: limit - 2]), names[-1]
    return f"{head}, ..., {last} ({len(names)} columns)"


def row_text(index: int) -> str:
    """Return how messages name a row."""
    return f"row {index} (the first is row 0)"


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line of at most 200 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
