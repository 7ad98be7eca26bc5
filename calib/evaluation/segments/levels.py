"""Columns of a table as partitions of the rows into segments, and products of two columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_integer, describe
from calib._border.labels import check_same_length
from calib._border.limits import MOST_BINS
from calib._border.typing import ArrayLike, IntArray, LabelArray
from calib._border.words import did_you_mean
from calib._core.features.columns import FeatureColumn, feature_columns


@dataclass(frozen=True, eq=False)
class Partition:
    """Rows shared out among segments.

    Attributes
    ----------
    names : list of str
        Of the segments.
    codes : ndarray of int of shape (n_samples,)
        Segment of every row.
    """

    names: list[str]
    codes: IntArray

    def kept(self, rows: LabelArray) -> Partition:
        """Return the same for some of the rows."""
        return Partition(self.names, self.codes[rows])


@dataclass(frozen=True, eq=False)
class Partitions:
    """All partitions of a question, with what is to be said of its columns.

    Attributes
    ----------
    parts : list of Partition
    remarks : list of str
    """

    parts: list[Partition]
    remarks: list[str]

    def kept(self, rows: LabelArray) -> Partitions:
        """Return the same for some of the rows."""
        return Partitions([part.kept(rows) for part in self.parts], self.remarks)


def partitions_of(
    by: ArrayLike,
    n_samples: int,
    *,
    pairs: object = False,
    max_levels: int = 30,
    n_bins: int = 10,
) -> Partitions:
    """Return the segments that the columns of a table make.

    Parameters
    ----------
    by : table, mapping of str to arrays, or array-like of shape (n_samples, n_columns)
    n_samples : int
    pairs : bool or sequence of (str, str)
        Whether products of two columns are segments as well: all, or those named.
    max_levels : int >= 2
        Levels of a column that are told apart.
    n_bins : int >= 2
        Segments of equal size of a column of numbers.
    """
    check_integer("max_levels", max_levels, low=2)
    check_integer("n_bins", n_bins, low=2, high=MOST_BINS)
    columns = feature_columns(by, "by")
    check_same_length(n_samples, len(columns[0].values), "y_true", "by")
    names = [column.name for column in columns]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"by has the column {sorted(twice)[0]!r} twice; rename one")
    remarks: list[str] = []
    singles = [_partition(column, max_levels, n_bins, remarks) for column in columns]
    products = [_product(singles[a], singles[b]) for a, b in _pairs(pairs, names)]
    return Partitions([*singles, *products], remarks)


def _pairs(pairs: object, names: list[str]) -> list[tuple[int, int]]:
    if isinstance(pairs, (bool, np.bool_)):
        return list(itertools.combinations(range(len(names)), 2)) if pairs else []
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise ValueError(f"pairs must be a bool or a list of pairs of names; got {describe(pairs)}")
    out = []
    for pair in pairs:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"pairs must hold pairs of names of columns; got {describe(pair)}")
        for name in pair:
            if name not in names:
                hint = did_you_mean(name, tuple(names))
                raise ValueError(f"pairs names {describe(name)}, which by lacks{hint}")
        first, second = (names.index(name) for name in pair)
        if first == second:
            raise ValueError(f"pairs holds a column with itself: {describe(pair)}")
        out.append((first, second))
    return out


def _product(first: Partition, second: Partition) -> Partition:
    n_second = len(second.names)
    both = first.codes * n_second + second.codes
    counts = np.bincount(both, minlength=len(first.names) * n_second)
    there = np.flatnonzero(counts)
    place = np.empty(len(counts), dtype=np.intp)
    place[there] = np.arange(len(there))
    names = [
        f"{first.names[cell // n_second]}, {second.names[cell % n_second]}"
        for cell in there.tolist()
    ]
    return Partition(names, place[both])


def _partition(
    column: FeatureColumn, max_levels: int, n_bins: int, remarks: list[str]
) -> Partition:
    if column.kind == "category":
        texts = np.array([_text(value) for value in column.values], dtype=object)
        missing = np.array([value is None for value in column.values], dtype=bool)
        return _of_levels(column.name, texts, missing, max_levels, remarks)
    values = np.asarray(column.values, dtype=np.float64)
    missing = np.isnan(values)
    there = values[~missing]
    if np.isinf(there).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(
            f"by holds {values[row]} in row {row} of column {column.name!r}; a segment needs a "
            f"finite number, or nan where it is missing"
        )
    whole = bool((there == np.floor(there)).all())
    if whole and len(np.unique(there)) <= max_levels:
        return _of_numbers(column.name, values, missing)
    return _of_ranges(column.name, values, missing, n_bins, whole)


def _text(value: Any) -> str:
    return str(value.item() if isinstance(value, np.generic) else value)


def _of_levels(
    name: str, texts: LabelArray, missing: LabelArray, max_levels: int, remarks: list[str]
) -> Partition:
    levels, place = np.unique(texts[~missing].astype(str), return_inverse=True)
    counts = np.bincount(place, minlength=len(levels))
    most = np.argsort(-counts, kind="stable")
    n_own = len(levels) if len(levels) <= max_levels else max_levels - 1
    own = np.sort(most[:n_own])
    code = np.full(len(levels), n_own, dtype=np.intp)
    code[own] = np.arange(n_own)
    names = [f"{name} = {level}" for level in levels[own].tolist()]
    if n_own < len(levels):
        n_rest = len(levels) - n_own
        names.append(f"{name}: other ({n_rest:,} levels)")
        if counts[most[0]] == 1:
            code[:] = 0
            names = [f"{name}: other ({len(levels):,} levels)"]
            remarks.append(
                f"Column {name!r} has {len(levels):,} levels of one row each: too many to judge."
            )
        else:
            remarks.append(
                f"Column {name!r} has {len(levels):,} levels; the {n_rest:,} rarest count as one."
            )
    codes = np.full(len(texts), len(names), dtype=np.intp)
    codes[~missing] = code[place]
    return Partition([*names, *([f"{name}: missing"] if missing.any() else [])], codes)


def _of_numbers(name: str, values: LabelArray, missing: LabelArray) -> Partition:
    levels, place = np.unique(values[~missing], return_inverse=True)
    codes = np.full(len(values), len(levels), dtype=np.intp)
    codes[~missing] = place
    names = [f"{name} = {level:.15g}" for level in levels.tolist()]
    return Partition([*names, *([f"{name}: missing"] if missing.any() else [])], codes)


def _of_ranges(
    name: str, values: LabelArray, missing: LabelArray, n_bins: int, whole: bool
) -> Partition:
    """Return ranges of equal size; equal values stay together."""
    there = values[~missing]
    ordered = np.sort(there)
    n = len(ordered)
    starts = np.unique(ordered[[n * k // n_bins for k in range(n_bins)]])
    place = np.searchsorted(starts, there, side="right") - 1
    codes = np.full(len(values), len(starts), dtype=np.intp)
    codes[~missing] = place
    names = []
    for number in range(len(starts)):
        part = there[place == number]
        low, high = float(part.min()), float(part.max())
        span = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        names.append(f"{name} = {span}" if low == high else f"{name} {span}")
    return Partition([*names, *([f"{name}: missing"] if missing.any() else [])], codes)
