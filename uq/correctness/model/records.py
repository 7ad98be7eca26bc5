"""Records of answers: columns of any table, read once, by what they mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calib._border.arrays import eager
from calib._border.checks import describe
from calib._border.columns import class_name
from calib._border.labels import check_same_length
from calib._border.sklearn_compat import is_named_arrays
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.validation import as_numbers
from calib._border.warn import warn
from calib._border.words import did_you_mean
from uq.correctness.texts import checked_texts
from uq.warnings import DuplicateQuestionsWarning, InvalidConfidenceWarning

#: Columns that an error lists.
N_LISTED = 12
#: Different texts below which questions that share them are told apart by their names alone.
FEWEST_TEXTS = 10


@dataclass(frozen=True)
class Fields:
    """Names of the columns that are read, by what they mean.

    Attributes
    ----------
    text, confidence, numeric, categorical : tuple of str
        Columns of texts, of confidences in [0, 1], of numbers, of names.
    model, group, agreement : str or None
        Columns of model names, of questions, of the final answers that are compared.
    """

    text: tuple[str, ...]
    model: str | None
    group: str | None
    confidence: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    agreement: str | None

    @property
    def names(self) -> list[str]:
        """All columns, each once."""
        single = [name for name in (self.model, self.group, self.agreement) if name is not None]
        several = (*self.text, *self.confidence, *self.numeric, *self.categorical)
        return list(dict.fromkeys([*several, *single]))


@dataclass(frozen=True, eq=False)
class Records:
    """Checked columns of n answers.

    Attributes
    ----------
    texts : tuple of list of str
        Each field of text.
    numbers : ndarray of shape (n, n_confidences + n_numeric)
        Confidences first; nan where missing or invalid.
    categories : tuple of list of str
        Each categorical field, ``""`` where missing.
    models : list of str or None
        Name of the model, ``""`` where missing.
    groups : ndarray of int, shape (n,)
        Number of the question as it was named; every row its own where nothing names it.
    units : ndarray of int, shape (n,)
        Number of what splits keep whole: questions, those of equal text as one.
    keys : list of str or None
        Final answers, ``""`` where there is none.
    among : Records or None
        The same answers followed by others, which agreement is counted among.
    """

    texts: tuple[list[str], ...]
    numbers: Float64Array
    categories: tuple[list[str], ...]
    models: list[str] | None
    groups: IntArray
    units: IntArray
    keys: list[str] | None
    among: Records | None = None

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.groups)

    def take(self, rows: IntArray) -> Records:
        """Return some of the answers."""
        places = rows.tolist()

        def taken(values: list[str]) -> list[str]:
            return [values[place] for place in places]

        return replace(
            self,
            texts=tuple(taken(values) for values in self.texts),
            numbers=self.numbers[rows],
            categories=tuple(taken(values) for values in self.categories),
            models=None if self.models is None else taken(self.models),
            groups=self.groups[rows],
            units=self.units[rows],
            keys=None if self.keys is None else taken(self.keys),
            among=None,
        )


def read_columns(
    records: Any, names: Sequence[str], kept: LabelArray | None = None
) -> dict[str, list[Any]]:
    """Return columns of a table or of a mapping as lists.

    Parameters
    ----------
    records : table of any dataframe library, or mapping of str to columns
    names : sequence of str
    kept : ndarray of bool, shape (n_rows,), or None
        Rows to read; None reads all.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If a column is missing, columns differ in length, or there is no row.
    """
    table = eager(records)
    if is_named_arrays(table):
        present = [str(name) for name in table]
    else:
        import narwhals as nw

        native: Any = nw.from_native(table, pass_through=True)
        if not isinstance(native, nw.DataFrame):
            raise TypeError(
                f"records must be a table (pandas, polars, Arrow, ...) or a dict of columns; got "
                f"{type(records).__name__}. Of a list of dicts make a table first, for example "
                f"pandas.DataFrame(records)"
            )
        table, present = native, native.columns
    missing = [name for name in names if name not in present]
    if missing:
        shown = ", ".join(repr(name) for name in present[:N_LISTED])
        more = f", ... ({len(present)} in all)" if len(present) > N_LISTED else ""
        hint = did_you_mean(missing[0], present)
        raise ValueError(
            f"records has no column {', '.join(map(repr, missing))}{hint or '.'} It has {shown}"
            f"{more}; name the columns in the constructor (text=, model=, group=, ...)"
        )
    columns: dict[str, list[Any]] = {}
    first = names[0] if names else None
    for name in names:
        column = _as_list(table[name], name)
        if first != name:
            check_same_length(
                len(columns[str(first)]), len(column), f"records[{first!r}]", f"records[{name!r}]"
            )
        columns[name] = column
    n_rows = len(columns[str(first)]) if names else 0
    if n_rows == 0:
        raise ValueError("records has no rows; pass at least one answer")
    if kept is not None:
        check_same_length(n_rows, len(kept), "records", "sample_weight")
        places = np.flatnonzero(kept).tolist()
        columns = {name: [column[k] for k in places] for name, column in columns.items()}
    return columns


def _as_list(column: Any, name: str) -> list[Any]:
    if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
        raise TypeError(
            f"records[{name!r}] is {describe(column)}: one value per row is needed, in a list, an "
            f"array or a column"
        )
    for method in ("to_list", "to_pylist", "tolist"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)


def read_records(
    records: Any,
    fields: Fields,
    *,
    kept: LabelArray | None = None,
    among: Any = None,
    duplicates: bool = False,
) -> Records:
    """Read and check the columns that a correctness model was told of.

    Parameters
    ----------
    records : table or mapping of str to columns
    fields : Fields
    kept : ndarray of bool, shape (n_rows,), or None
        Rows that are there.
    among : table, mapping or None
        Further answers to the same questions, for agreement; other columns are not read.
    duplicates : bool, default=False
        Whether questions that stand under several names are looked for, and warned of.
    """
    columns = read_columns(records, fields.names, kept)
    n_rows = len(columns[fields.names[0]])
    if among is not None:
        others = _read_others(among, fields)
        n_others = len(next(iter(others.values())))
        joined = {name: columns[name] + others.get(name, [None] * n_others) for name in columns}
        everyone = _of_columns(joined, fields, n_rows + n_others, duplicates=False)
        return replace(everyone.take(np.arange(n_rows)), among=everyone)
    return _of_columns(columns, fields, n_rows, duplicates=duplicates)


def _read_others(among: Any, fields: Fields) -> dict[str, list[Any]]:
    """Return the columns of further answers that agreement needs."""
    if fields.agreement is None:
        raise ValueError(
            "among holds answers to compare with, but the model counts no agreement; pass "
            "agreement= to the constructor, or leave among out"
        )
    question = fields.group if fields.group is not None else next(iter(fields.text), None)
    needed = (fields.agreement, fields.model, question)
    return read_columns(among, [name for name in needed if name is not None])


def _of_columns(
    columns: Mapping[str, list[Any]], fields: Fields, n_rows: int, *, duplicates: bool
) -> Records:
    texts = tuple(checked_texts(columns[name], f"records[{name!r}]") for name in fields.text)
    numbers = np.empty((n_rows, len(fields.confidence) + len(fields.numeric)))
    for place, name in enumerate((*fields.confidence, *fields.numeric)):
        is_confidence = place < len(fields.confidence)
        numbers[:, place] = _checked_numbers(columns[name], name, is_confidence)
    models = None if fields.model is None else names_of(columns[fields.model])
    groups = _groups(columns, fields, texts, n_rows)
    units = groups
    if duplicates and fields.group is not None and texts:
        units = _units(groups, texts, fields)
    keys = None
    if fields.agreement is not None:
        keys = [key.strip() for key in names_of(columns[fields.agreement])]
    categories = tuple(names_of(columns[name]) for name in fields.categorical)
    return Records(texts, numbers, categories, models, groups, units, keys)


def names_of(values: list[Any]) -> list[str]:
    """Return names as texts (1.0 as ``1``); missing ones are empty."""
    return checked_texts(
        [None if _is_missing(value) else class_name(value) for value in values], "names"
    )


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _checked_numbers(values: list[Any], name: str, is_confidence: bool) -> Float64Array:
    """Return numbers, nan where they are missing or cannot be what they are said to be."""
    plain = np.empty(len(values), dtype=object)
    plain[:] = [np.nan if _is_missing(value) else value for value in values]
    numbers = as_numbers(plain, f"records[{name!r}]")
    if is_confidence:
        wrong = (numbers < 0) | (numbers > 1)
        what = "outside [0, 1]"
        cure = "divide the column by 100 before if all of it is in per cent"
    else:
        wrong, what = np.isinf(numbers), "infinite"
        cure = "repair them before where the size says something"
    if wrong.any():
        shown = numbers[wrong]
        warn(
            f"{int(wrong.sum())} of {len(numbers)} values of records[{name!r}] are {what} "
            f"({shown.min():g} to {shown.max():g}) and count as missing; {cure}",
            InvalidConfidenceWarning,
        )
        numbers[wrong] = np.nan
    return numbers


def _groups(
    columns: Mapping[str, list[Any]], fields: Fields, texts: tuple[list[str], ...], n_rows: int
) -> IntArray:
    if fields.group is None:
        if not texts:
            return np.arange(n_rows)
        return _codes([normalized(text) for text in texts[0]])
    values = columns[fields.group]
    for row, value in enumerate(values):
        if _is_missing(value):
            raise ValueError(
                f"records[{fields.group!r}] is missing in row {row}: splits keep questions whole. "
                f"Name every question, or pass group=None (--group none on the command line) to "
                "tell them apart by their text"
            )
    return _codes([class_name(value) for value in values])


def _codes(values: Sequence[str]) -> IntArray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.intp)


def normalized(text: str) -> str:
    """Return a text without differences of case, marks and spaces."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _units(groups: IntArray, texts: tuple[list[str], ...], fields: Fields) -> IntArray:
    """Return questions of equal text as one, where the first text is that of the question.

    It is where it is the same in all rows of every group, unless nothing shows that: one text
    column and one row a group.
    """
    text_codes = _codes([normalized(text) for text in texts[0]])
    counts = np.bincount(groups)
    text_of_group = np.zeros(len(counts), dtype=np.intp)
    text_of_group[groups] = text_codes
    alike = bool((text_of_group[groups] == text_codes).all())
    shown = len(texts) > 1 or bool((counts > 1).any())
    if not (alike and shown):
        return groups
    n_texts = len(np.unique(text_of_group))
    repeated = len(counts) - n_texts
    if repeated == 0 or (n_texts < FEWEST_TEXTS and repeated > n_texts):
        return groups
    warn(
        f"{repeated} of {len(counts)} questions have the text of another one, in "
        f"records[{fields.text[0]!r}]. Splits keep equal texts together; remove repeated questions "
        f"or pass group=None (--group none), which tells questions apart by their text alone",
        DuplicateQuestionsWarning,
    )
    return text_codes
