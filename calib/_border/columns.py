"""Names of columns, and the classes that they tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from calib._border.arrays import is_foreign_array
from calib._border.typing import ArrayLike, IntArray, LabelArray

#: Text that stands for an integer and loses nothing when it is read as one.
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
#: A text label that ends in a number, such as ``class_10``.
_NUMBERED = re.compile(r"(.*?)(0|[1-9][0-9]{0,17})", re.DOTALL)
#: What stands between a label and the rest of the name of a single column.
_SEPARATOR = re.compile(r"[\s_.:;/|\-]")


def class_name(label: object) -> str:
    """Return a label as it stands in column names: ``1`` for 1, 1.0 and NumPy's ones."""
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def column_names(x: ArrayLike) -> list[str] | None:
    """Return the names of the columns of a table or of a series, None where it has none.

    The numbers that pandas gives to columns without names are none.
    """
    if isinstance(x, (np.ndarray, np.generic, list, tuple)) or is_foreign_array(x):
        return None
    names = getattr(x, "column_names", None)  # Arrow
    if names is None:
        names = getattr(x, "columns", None)
    if names is None:
        name = getattr(x, "name", None)
        if not isinstance(name, (str, np.str_)) or not name or not hasattr(x, "dtype"):
            return None
        return [str(name)]
    if type(names).__name__ == "RangeIndex" and names.start == 0 and names.step == 1:
        return None
    return [class_name(name) for name in names]


def told_classes(names: Sequence[str], labels: LabelArray) -> LabelArray | None:
    """Return the class that each column name tells, None where names do not tell.

    Names tell where they are the labels, or the labels behind or before one common text, in any
    order. They may know classes that the labels lack: ``p_ant, p_cat, p_dog`` with labels out of
    these three are telling, ``p_0, p_1, p_2`` are not. Linear in the number of names.

    Parameters
    ----------
    names : sequence of str
        Two or more.
    labels : ndarray
        Labels that occur, each once or more often.
    """
    known = np.unique(labels)
    texts = [class_name(label) for label in known]
    if known.dtype.kind == "b":
        names = [name.lower() for name in names]
        words = {"True": "1", "False": "0"} if set(names) == {"0", "1"} else {}
        texts = [words.get(text, text.lower()) for text in texts]
    if len(set(names)) < len(names) or len(texts) > len(names):
        return None
    choices = {_alone(names, texts), _behind(names, texts)}
    turned = _behind([name[::-1] for name in names], [text[::-1] for text in texts])
    choices.add(None if turned is None else tuple(end[::-1] for end in turned))
    found = [
        classes
        for ends in choices - {None}
        if ends is not None and (classes := _as_labels(ends, known)) is not None
    ]
    return found[0] if len(found) == 1 else None


def _alone(names: Sequence[str], texts: Sequence[str]) -> tuple[str, ...] | None:
    return tuple(names) if set(texts) <= set(names) else None


def _behind(names: Sequence[str], texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return what follows the one common beginning after which all labels stand."""
    present = set(names)
    first, last = min(names), max(names)
    found = []
    for length in range(1, len(first) + 1):
        beginning = first[:length]
        if not last.startswith(beginning):
            break
        if all(beginning + text in present for text in texts):
            found.append(tuple(name[length:] for name in names))
    return found[0] if len(found) == 1 else None


def _as_labels(ends: Sequence[str], known: LabelArray) -> LabelArray | None:
    """Return the ends of names as labels of the type of those that are known."""
    if known.dtype.kind == "b":
        values = {"true": True, "false": False, "1": True, "0": False}
        told = [values.get(end.lower()) for end in ends]
        return None if None in told else np.array(told)
    if known.dtype.kind in "iuf":
        if not all(INTEGER.fullmatch(end) for end in ends):
            return None
        numbers = np.array([int(end) for end in ends])
        fits = known.dtype.kind == "f" or (
            numbers.min() >= np.iinfo(known.dtype).min
            and numbers.max() <= np.iinfo(known.dtype).max
        )
        return numbers.astype(known.dtype) if fits else numbers
    if known.dtype.kind == "O" and not all(isinstance(label, str) for label in known):
        return None
    return np.array(ends, dtype=object if known.dtype.kind == "O" else None)


def named_positive(name: str, classes: LabelArray) -> int | None:
    """Return which of two classes the name of a single column is, None where it does not tell.

    ``diseased`` and ``p_diseased`` tell; ``0`` may be the number of the column.
    """
    texts = [class_name(label) for label in classes]
    if name in texts:
        return None if name == "0" else texts.index(name)
    found = [
        place
        for place, text in enumerate(texts)
        if text
        and not INTEGER.fullmatch(text)
        and name.endswith(text)
        and _SEPARATOR.fullmatch(name[-len(text) - 1])
        and not re.search(r"(^|[\W_])(no|not|non)[\W_]$", name[: -len(text)].lower())
    ]
    return found[0] if len(found) == 1 else None


def check_overlap(names: Sequence[str], labels: LabelArray, name: str, columns_of: str) -> None:
    """Raise if columns are named like some of the labels (texts), but not like all of them."""
    texts = [label for label in np.unique(labels).tolist() if isinstance(label, str)]
    if any(INTEGER.fullmatch(text) for text in texts):
        return
    present = set(names)
    lacking = [text for text in texts if text not in present]
    if lacking and len(lacking) < len(texts):
        raise ValueError(
            f"{name} has the label {lacking[0]!r}, but no column of {columns_of} is named so "
            f"(columns: {_listing(names)}); name the columns by the labels, or pass an array and "
            f"labels="
        )


def order_of(told: LabelArray, classes: LabelArray) -> IntArray | None:
    """Return the places at which the columns of `classes` stand, None if they stand in order."""
    place = {label: k for k, label in enumerate(told.tolist())}
    order = np.array([place[label] for label in classes.tolist()], dtype=np.intp)
    return None if np.array_equal(order, np.arange(len(order))) else order


def same_ends(names: Sequence[str], others: Sequence[str]) -> IntArray | None:
    """Return the places of the names that end as others do, None unless all of both are paired.

    ``t_ant, t_bee`` are paired with ``p_bee, p_ant``: what all names of a side begin with, and
    what they end with, does not count.
    """
    place = {end: k for k, end in enumerate(_middles(names))}
    wanted = _middles(others)
    if not len(names) == len(others) == len(place) or set(wanted) != set(place):
        return None
    return np.array([place[end] for end in wanted], dtype=np.intp)


def places_of(labels: Sequence[str], names: Sequence[str]) -> IntArray | None:
    """Return the place in `names` of the column of each label, None where names do not tell.

    Names tell by `told_classes` (``p_cat`` of ``cat``) or, where both have something of their own
    before or behind (``p_cat`` of ``y_cat``), by `same_ends`.
    """
    known = np.array(labels, dtype=object)
    if len(names) != len(labels):
        return None
    told = told_classes(names, known) if len(names) > 1 else None
    if told is None:
        return same_ends(names, labels)
    order = order_of(told, known)
    return np.arange(len(names)) if order is None else order


def _middles(names: Sequence[str]) -> list[str]:
    for _ in range(2):  # beginning, then end, and turned again
        first, last = min(names), max(names)
        pairs = zip(first, last, strict=False)  # all others begin as these two do
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        names = [name[common:][::-1] for name in names]
    return list(names)


def sorts_as_text(labels: LabelArray) -> tuple[str, str] | None:
    """Return the first two texts that stand before each other in another order than their numbers.

    None unless all labels are one text followed by a number and their order as texts differs from
    that of the numbers: ``'10'`` comes before ``'2'``.
    """
    if labels.dtype.kind not in "UO" or not all(isinstance(label, str) for label in labels):
        return None
    parts = [_NUMBERED.fullmatch(label) for label in labels]
    if not parts or None in parts or len({part[1] for part in parts if part}) > 1:
        return None
    numbers = [int(part[2]) for part in parts if part]
    for k in range(1, len(numbers)):
        if numbers[k] < numbers[k - 1]:
            return str(labels[k - 1]), str(labels[k])
    return None


def _listing(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:6]]
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 6 else "")
