"""Columns of two samples as numbers with names: normal scores, levels, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack
from scipy.special import ndtri
from scipy.stats import rankdata

from calib._border.arrays import eager
from calib._border.checks import describe, is_number
from calib._border.columns import column_names
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import as_numbers
from uq.correctness.texts import checked_texts

#: Levels of a column and words of a text that are looked at: the most frequent ones.
MOST_LEVELS, MOST_WORDS = 50, 2000
#: Distinct texts in a column of categories, as a number and as a share of the rows, beyond which it
#: is no column of categories.
CATEGORIES, SHARE_OF_ROWS = 20, 0.5
#: Length of a row of words, so that they weigh like this number squared of other columns.
WORDS_LENGTH = 10.0
#: Name of the column of samples that are texts, one per row.
WHOLE = ""


@dataclass(frozen=True, eq=False)
class SampleFeatures:
    """Numbers of the rows of both samples, those of the first above those of the second.

    Attributes
    ----------
    matrix : ndarray or sparse matrix of shape (n_rows, n_features)
        Without constant features.
    names : list of str
    values : ndarray or sparse matrix of shape (n_rows, n_features)
        What is averaged for a reader: the numbers as received, NaN where missing, and 0 or 1.
    shares : list of bool
        Whether the values are 0 or 1, so that their mean is a share of the rows.
    row_codes : ndarray of int, shape (n_rows,)
        Equal for rows that are identical in all columns.
    """

    matrix: Any
    names: list[str]
    values: Any
    shares: list[bool]
    row_codes: IntArray


def sample_features(a: ArrayLike, b: ArrayLike, texts: Sequence[str]) -> tuple[SampleFeatures, int]:
    """Return the features of two samples, and the number of rows of the first.

    Raises
    ------
    ValueError, TypeError
        For empty samples, other columns in one than in the other, infinite numbers, columns that
        are numbers in one sample and texts in the other, dates, and texts that are no categories.
    """
    columns_a, columns_b = _columns(a, "a"), _columns(b, "b")
    for name, columns, others, other in (
        ("a", columns_a, columns_b, "b"),
        ("b", columns_b, columns_a, "a"),
    ):
        extra = [column for column in columns if column not in others]
        if extra:
            raise ValueError(
                f"{name} has columns that {other} lacks: {describe(extra)}; pass the same columns "
                f"of both, for example {name}[list({other}.columns)]"
            )
    unknown = [column for column in texts if column not in columns_a]
    if unknown:
        raise ValueError(f"texts names columns that there are not: {describe(unknown)}")
    n_a, n_b = (len(next(iter(columns.values()))) for columns in (columns_a, columns_b))
    blocks, codes = [], []
    for column in columns_a:
        as_text = column in texts or column == WHOLE
        pair = [_read(columns[column], column, side, as_text)
                for columns, side in ((columns_a, "a"), (columns_b, "b"))]  # fmt: skip
        kinds = [isinstance(values, np.ndarray) for values in pair]
        if kinds[0] != kinds[1]:
            number, text = ("a", "b") if kinds[0] else ("b", "a")
            raise ValueError(
                f"column {column!r} holds numbers in {number} and texts in {text}; make both the "
                f"same"
            )
        if kinds[0]:
            pooled: Any = np.concatenate(pair)
            blocks.append(_number_block(pooled, column))
        else:
            pooled = [*pair[0], *pair[1]]
            blocks.append(_word_block(pooled, column) if as_text else _level_block(pooled, column))
        codes.append(np.unique(pooled, return_inverse=True)[1].astype(np.int32))
    rows = np.ascontiguousarray(np.stack(codes, axis=1))
    row_codes = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.intp)
    return _joined(blocks, row_codes, n_a + n_b), n_a


_Block = tuple[Any, list[str], Any, bool]


def _joined(blocks: list[_Block], row_codes: IntArray, n_rows: int) -> SampleFeatures:
    names = [name for block in blocks for name in block[1]]
    shares = [block[3] for block in blocks for _ in block[1]]
    sparse = any(not isinstance(block[0], np.ndarray) for block in blocks)
    join = (lambda parts: csr_matrix(hstack(parts))) if sparse else np.hstack
    empty = np.empty((n_rows, 0))
    matrix = join([block[0] for block in blocks]) if names else empty
    values = join([block[2] for block in blocks]) if names else empty
    return SampleFeatures(matrix, names, values, shares, row_codes)


def _columns(x: ArrayLike, name: str) -> dict[str, Any]:
    """Return the columns of a sample by name."""
    x = eager(x)
    columns: dict[str, Any]
    if isinstance(x, Mapping):
        columns = {str(key): values for key, values in x.items()}
    elif hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise ValueError(
            f"{name} is a sparse matrix; pass the texts themselves, or {name}.toarray()"
        )
    elif hasattr(x, "columns") and len(x.shape) == 2:
        names = column_names(x) or [f"column {place}" for place in range(x.shape[1])]
        if len(set(names)) < len(names):
            raise ValueError(f"{name} has two columns of one name: {describe(names)}; rename one")
        native = list(getattr(x, "column_names", x.columns))
        columns = {shown: x[key] for shown, key in zip(names, native, strict=True)}
    else:
        array = _array(x, name)
        if array.ndim == 1:
            first = next((value for value in array.tolist() if value is not None), 0.0)
            key = WHOLE if isinstance(first, str) else (column_names(x) or ["column 0"])[0]
            columns = {key: array}
        else:
            columns = {f"column {place}": array[:, place] for place in range(array.shape[1])}
    lengths = {column: len(values) for column, values in columns.items()}
    if not lengths or not min(lengths.values()):
        raise ValueError(f"{name} has no rows or no columns; pass at least two rows of each sample")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} has columns of different lengths: {describe(lengths)}")
    return columns


def _array(x: ArrayLike, name: str) -> LabelArray:
    """Return a vector or a matrix; texts and None stay what they are."""
    if isinstance(x, (str, bytes)) or x is None or not hasattr(x, "__len__"):
        raise TypeError(f"{name} must hold one row per sample; got {describe(x)}")
    if isinstance(x, (list, tuple)) and not any(np.ndim(row) for row in x if row is not None):
        array = np.empty(len(x), dtype=object)
        array[:] = x
        return array
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} has rows of different lengths; {error}") from error
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (n_rows, n_columns); got shape {array.shape}")
    return array


def _read(values: Any, column: str, side: str, as_text: bool) -> Float64Array | list[str]:
    """Return a column as numbers, NaN where missing, or as texts."""
    label = f"column {column!r} of {side}" if column else side
    if as_text:
        return checked_texts(values, label)
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if array.dtype.kind in "biuf":
        numbers = array.astype(np.float64)
    elif array.dtype.kind in "OUT":
        listed = array.tolist()
        known = [value for value in listed if not _is_missing(value)]
        if any(isinstance(value, str) for value in known):
            return checked_texts(listed, label)
        for value in known:
            if not is_number(value) and not isinstance(value, (bool, np.bool_)):
                raise TypeError(
                    f"{label} holds {describe(value)}; pass numbers, or texts as categories"
                )
        numbers = np.array(
            [np.nan if _is_missing(value) else float(value) for value in listed], dtype=np.float64
        )
    else:
        numbers = as_numbers(array, label)
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        raise ValueError(
            f"{label} is {numbers[row]} in row {row}; pass a finite number, or NaN if it is missing"
        )
    return numbers


def _is_missing(value: object) -> bool:
    return value is None or value != value or type(value).__name__ == "NAType"


def _number_block(values: Float64Array, column: str) -> _Block:
    """Return normal scores (the middle where missing), and whether a number is missing."""
    missing = np.isnan(values)
    features, shown, names = [], [], []
    known = values[~missing]
    if len(known) and known.min() < known.max():
        scores = np.zeros(len(values))
        scores[~missing] = _normal_scores(known)
        features.append(scores)
        shown.append(values)
        names.append(column)
    block: _Block = (
        (np.stack(features, 1), names, np.stack(shown, 1), False) if names else _none(len(values))
    )
    if not missing.any() or missing.all():
        return block
    gone = missing.astype(np.float64)[:, None]
    return (
        np.hstack([block[0], gone]),
        [*block[1], f"{column} is missing"],
        np.hstack([block[2], gone]),
        False,
    )


def _none(n_rows: int) -> _Block:
    return np.empty((n_rows, 0)), [], np.empty((n_rows, 0)), False


def _normal_scores(values: Float64Array) -> Float64Array:
    """Return standard normal quantiles of average ranks, with mean 0 and variance 1."""
    scores = ndtri((rankdata(values) - 0.5) / len(values))
    return np.asarray((scores - scores.mean()) / scores.std())


def _level_block(values: list[str], column: str) -> _Block:
    """Return which of the frequent levels a row has, constant ones left out."""
    levels, codes, counts = np.unique(
        np.array(values, dtype=object), return_inverse=True, return_counts=True
    )
    if len(levels) > max(CATEGORIES, SHARE_OF_ROWS * len(values)):
        raise ValueError(
            f"column {column!r} holds {len(levels):,} different texts in {len(values):,} rows, "
            f"which are no categories; pass texts=[{column!r}] to compare their words, or leave it "
            f"out"
        )
    frequent = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
    frequent = frequent[(counts[frequent] > 1) & (counts[frequent] < len(values))]
    if not len(frequent):
        return _none(len(values))
    names = [
        f"{column} = {levels[level]}" if levels[level] else f"{column} is missing"
        for level in frequent
    ]
    ones = (codes[:, None] == frequent).astype(np.float64)
    return ones, names, ones, True


def _word_block(texts: list[str], column: str) -> _Block:
    """Return logarithms of counts of words, rows of one length, and how many words there are."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(min_df=2, token_pattern=r"(?u)\b\w+\b", max_features=MOST_WORDS)
    prefix = f"{column}: " if column else ""
    try:
        counts = counter.fit_transform(texts).astype(np.float64)
        words = counter.get_feature_names_out().tolist()
    except ValueError:  # no word in two rows
        counts, words = csr_matrix((len(texts), 0)), []
    present = (counts > 0).astype(np.float64)
    varies = np.flatnonzero(np.ravel(present.sum(axis=0)) < len(texts))
    counts, present = counts[:, varies], present[:, varies]
    counts.data = np.log1p(counts.data)
    size = np.sqrt(np.ravel(counts.multiply(counts).sum(axis=1)))
    scaled = diags(WORDS_LENGTH / np.where(size > 0, size, 1.0)) @ counts
    length = np.array([float(len(text.split())) for text in texts])
    names = [f'{prefix}"{words[place]}"' for place in varies]
    if length.min() == length.max():
        return csr_matrix(scaled), names, csr_matrix(present), True
    return (
        csr_matrix(hstack([scaled, _normal_scores(length)[:, None]])),
        [*names, f"{prefix}number of words"],
        csr_matrix(hstack([present, length[:, None]])),
        True,
    )
