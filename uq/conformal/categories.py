"""Calibration scores sorted by category and fold: the table every conformal answer is read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import describe
from calib._border.labels import check_same_length, check_vector
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from uq.conformal.quantiles import (
    RANK_TOLERANCE,
    conformal_rank,
    quantile_of_sorted,
    ratio_vector,
    weighted_quantile,
)

Side: TypeAlias = Literal["left", "right"]
#: Part of a test matrix (rows, columns) that belongs to one category.
Cell: TypeAlias = tuple[Any, Any, int]


@dataclass(frozen=True)
class CategoryTable:
    """Sorted calibration scores, segment after segment (category-major, then fold).

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Sorted inside each segment.
    prefix : ndarray of shape (n_samples,) or None
        Cumulative weights inside each segment; None when all weigh 1.
    starts : ndarray of shape (n_categories * n_folds + 1,)
        Where segments begin.
    n_folds : int
    counts : ndarray of shape (n_categories,)
        Number of calibration samples.
    totals : ndarray of shape (n_categories,)
        Their weight.
    effective : ndarray of shape (n_categories,)
        Their effective number, ``(sum w)^2 / sum w^2``.
    """

    scores: Float64Array
    prefix: Float64Array | None
    starts: IntArray
    n_folds: int
    counts: IntArray
    totals: Float64Array
    effective: Float64Array

    @classmethod
    def build(
        cls,
        scores: Float64Array,
        category: IntArray,
        n_categories: int,
        *,
        fold: IntArray | None = None,
        n_folds: int = 1,
        weight: Float64Array | None = None,
    ) -> CategoryTable:
        """Sort scores into segments."""
        segment = category if fold is None else category * n_folds + fold
        order = np.lexsort((scores, segment))
        sizes = np.bincount(segment, minlength=n_categories * n_folds)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        counts = np.bincount(category, minlength=n_categories)
        if weight is None:
            number = counts.astype(np.float64)
            return cls(scores[order], None, starts, n_folds, counts, number, number)
        prefix = np.empty(len(scores))
        totals = np.zeros(n_categories)
        for index, (low, high) in enumerate(pairwise(starts)):
            np.cumsum(weight[order[low:high]], out=prefix[low:high])
            if high > low:
                totals[index // n_folds] += prefix[high - 1]
        squares = np.bincount(category, weight * weight, minlength=n_categories)
        effective = totals * totals / np.where(squares > 0, squares, 1.0)
        return cls(scores[order], prefix, starts, n_folds, counts, totals, effective)

    def _segment(self, category: int, fold: int) -> slice:
        index = category * self.n_folds + fold
        return slice(self.starts[index], self.starts[index + 1])

    def below(
        self, category: int, fold: int, values: Float64Array, side: Side = "left"
    ) -> Float64Array:
        """Return the weight of scores below `values` (``"right"``: below or equal) of a fold."""
        segment = self._segment(category, fold)
        position = np.searchsorted(self.scores[segment], values, side=side)
        if self.prefix is None:
            return np.asarray(position, dtype=np.float64)
        return np.concatenate([[0.0], self.prefix[segment]])[position]

    def threshold(self, category: int, level: float, ratio: Float64Array | None) -> Any:
        """Return what scores may reach: one number, or one per test sample under weights."""
        segment = self._segment(category, 0)
        ordered = self.scores[segment]
        if self.prefix is None or ratio is None:
            return quantile_of_sorted(ordered, level)
        prefix = self.prefix[segment]
        if not len(prefix) or not prefix[-1]:  # nothing can be excluded
            return np.full(len(ratio), np.inf)
        return weighted_quantile(ordered, prefix, ratio, level)

    def within(
        self, category: int, level: float, below: Float64Array, ratio: Float64Array | None
    ) -> Any:
        """Return which labels are in the set, from the weight of the scores below theirs."""
        if ratio is None:
            return below < conformal_rank(int(self.counts[category]), level)
        if not self.totals[category]:  # nothing can be excluded
            return np.ones(below.shape, dtype=bool)
        return below < level * (self.totals[category] + ratio) * (1 - RANK_TOLERANCE)

    def p_value(
        self,
        category: int,
        below: Float64Array,
        below_or_equal: Float64Array | None,
        ratio: Float64Array | float,
        tau: Float64Array | float,
    ) -> Float64Array:
        """Return p-values; smoothed by `tau` where `below_or_equal` is given."""
        total = self.totals[category]
        if not total:  # nothing can be excluded
            return np.broadcast_to(tau, below.shape)
        if below_or_equal is None:
            above = total - below + ratio
        else:
            above = (total - below_or_equal) + tau * (below_or_equal - below + ratio)
        return np.asarray(above / (total + ratio))


def cells(
    row_codes: IntArray | None, label_codes: IntArray | None, n_codes: int = 1
) -> Iterator[Cell]:
    """Yield the parts of a test matrix (n_samples, n_classes) by category.

    Parameters
    ----------
    row_codes : ndarray of shape (n_samples,) or None
        Group of each row, -1 for unknown ones; None for one group.
    label_codes : ndarray of shape (n_classes,) or None
        Category of each column, below `n_codes`; None for one category.
    n_codes : int, default=1
        Number of label categories.

    Yields
    ------
    cell : tuple
        Rows, an index of the matrix, and the category: category-major, -1 for unknown ones.
    """
    everything = slice(None)
    members: list[tuple[int, Any]] = [(0, everything)]
    if row_codes is not None:
        members = [(int(g), np.flatnonzero(row_codes == g)) for g in np.unique(row_codes)]
    for group, rows in members:
        if label_codes is None or group < 0:
            yield rows, (rows, everything), group
            continue
        for code in np.unique(label_codes):
            columns = np.flatnonzero(label_codes == code)
            index = (rows, columns) if row_codes is None else np.ix_(rows, columns)
            yield rows, index, group * n_codes + int(code)


def function_or_array(
    function: Callable[[Any], ArrayLike] | None, given: ArrayLike, X: Any, name: str
) -> ArrayLike:
    """Return what a function says of X, or the array that was passed; None without either."""
    if function is None:
        return given
    if given is not None:
        raise ValueError(
            f"{name} came as a function and as an array; choose one (leave it out here if the "
            f"function is meant)"
        )
    return function(X)


def read_categories(
    function: Callable[[Any], ArrayLike] | None, given: ArrayLike, X: Any, n_samples: int
) -> LabelArray | None:
    """Return the category of every sample, None without categories."""
    given = function_or_array(function, given, X, "categories")
    if given is None:
        return None
    names = check_vector(given, "categories")
    check_same_length(n_samples, len(names), "X", "categories")
    return names


def read_ratios(
    function: Callable[[Any], ArrayLike] | None, given: ArrayLike, X: Any, n_samples: int
) -> Float64Array | None:
    """Return the likelihood ratio of every sample, None without ratios."""
    given = function_or_array(function, given, X, "likelihood_ratio")
    return None if given is None else ratio_vector(given, n_samples, "likelihood_ratio")


def known_categories(names: LabelArray, name: str) -> tuple[LabelArray, IntArray]:
    """Return the sorted categories and the position of every sample's among them."""
    try:
        known, codes = np.unique(names, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"{name} mix values that cannot be sorted ({error})") from error
    return known, codes.astype(np.intp)


def _kind(values: LabelArray) -> str:
    """Return what sort of values an array holds: truth values, numbers, or its own kind."""
    kind = values.dtype.kind
    return "number" if kind in "iuf" else "text or object" if kind in "UTO" else kind


def codes_of_known(values: LabelArray, known: LabelArray, name: str) -> IntArray:
    """Return positions among sorted `known` values, -1 for others."""
    message = f"{name} holds values of another type than at calibration"
    if _kind(values) != _kind(known):
        raise ValueError(
            f"{message}: {describe(values[:3].tolist())} and {describe(known[:3].tolist())}"
        )
    try:
        position = np.minimum(np.searchsorted(known, values), len(known) - 1)
    except TypeError as error:
        raise ValueError(f"{message}: {error}") from error
    return np.where(known[position] == values, position, -1).astype(np.intp)
