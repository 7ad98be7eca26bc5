"""Order statistics over the union of shifted lists: the ends of cross-conformal intervals.

Leave-fold-out intervals need, for every new sample, the k-th smallest of ``centre_k(x) + score_j``
over all calibration samples j, where k is the fold of j. Only as many centres occur as there are
folds, so this is a selection in a union of sorted lists: bisection for the neighbourhood, then an
exact selection among the few candidates that are left, then a check that nothing outside could
have been meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calib._border.typing import Float64Array, IntArray

#: Numbers a block may hold (32 MB of float64).
BLOCK_NUMBERS = 1 << 22
#: Candidates per list that end the bisection.
FEW = 2
#: More steps than the bits of a double need.
STEPS = 80


@dataclass(frozen=True)
class ScoreLists:
    """Ascending distinct scores of every fold, one fold after the other, with their counts.

    Attributes
    ----------
    values : ndarray of shape (n_distinct,)
        All lists, concatenated.
    start : ndarray of shape (n_lists + 1,)
        Where each list begins.
    below : ndarray of shape (n_distinct + n_lists,)
        Per list, how many scores lie before each distinct value; one more entry for all of them.
    pooled : ndarray of shape (n_scores,)
        All scores, ascending.
    n_scores : int
        Number of scores, repetitions included.
    """

    values: Float64Array
    start: IntArray
    below: IntArray
    pooled: Float64Array
    n_scores: int

    @classmethod
    def of(cls, scores: Float64Array, fold: IntArray, n_folds: int) -> ScoreLists:
        """Sort scores by fold."""
        values, below, start = [], [], [0]
        for k in range(n_folds):
            distinct, counts = np.unique(scores[fold == k], return_counts=True)
            values.append(distinct)
            below.append(np.concatenate([[0], np.cumsum(counts)]))
            start.append(start[-1] + len(distinct))
        return cls(
            np.concatenate(values),
            np.array(start),
            np.concatenate(below).astype(np.intp),
            np.sort(scores),
            len(scores),
        )

    def parts(self) -> list[Float64Array]:
        """Return the list of every fold."""
        return [self.values[a:b] for a, b in zip(self.start[:-1], self.start[1:], strict=True)]


def kth_smallest(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: int
) -> Float64Array:
    """Return the rank-th smallest of ``centre[i, k] + scale[i, k] * score`` for every row i.

    Parameters
    ----------
    lists : ScoreLists
        Scores of every fold.
    centre : ndarray of shape (n_rows, n_folds)
        Shift of every list.
    scale : ndarray of shape (n_rows, n_folds) or None
        Positive factor of every list; None means 1.
    rank : int
        From 1; beyond the number of scores the answer is infinite.

    Returns
    -------
    selected : ndarray of shape (n_rows,)
        Identical to a selection in the full matrix, at a memory that does not grow with it.
    """
    n_rows, n_folds = centre.shape
    if rank > lists.n_scores:
        return np.full(n_rows, np.inf)
    out = np.empty(n_rows)
    step = max(1, BLOCK_NUMBERS // (64 * n_folds))
    for first in range(0, n_rows, step):
        rows = slice(first, first + step)
        out[rows] = _select(lists, centre[rows], None if scale is None else scale[rows], rank)
    return out


def _select(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: int
) -> Float64Array:
    if len(lists.values) <= 4 * centre.shape[1]:  # lists so short that there is nothing to search
        return _by_sorting(lists, centre, scale, rank)
    low, high = _bracket(lists, centre, scale, rank)
    selected, certain = _among_candidates(lists, centre, scale, rank, low, high)
    if not certain.all():
        left = ~certain
        part = None if scale is None else scale[left]
        selected[left] = _by_sorting(lists, centre[left], part, rank)
    return selected


def _bracket(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: int
) -> tuple[IntArray, IntArray]:
    """Return, per row and list, the positions between which the wanted value stands."""
    n_rows, n_folds = centre.shape
    parts = lists.parts()
    pivot = lists.pooled[rank - 1]
    around = centre + pivot if scale is None else centre + scale * pivot
    bottom, top = around.min(axis=1), around.max(axis=1)

    def positions(value: Float64Array, rows: IntArray) -> tuple[IntArray, IntArray]:
        found = np.empty((len(rows), n_folds), dtype=np.intp)
        count = np.zeros(len(rows), dtype=np.intp)
        for k, part in enumerate(parts):
            wanted = value - centre[rows, k]
            if scale is not None:
                wanted /= scale[rows, k]
            found[:, k] = np.searchsorted(part, wanted, side="right")
            count += lists.below[lists.start[k] + k + found[:, k]]
        return found, count

    everything = np.arange(n_rows)
    high, _ = positions(top, everything)
    low, _ = positions(np.nextafter(bottom, -np.inf), everything)
    active = everything
    for _ in range(STEPS):
        width = (high[active] - low[active]).sum(axis=1)
        middle = 0.5 * bottom[active] + 0.5 * top[active]
        inside = (middle > bottom[active]) & (middle < top[active])
        keep = (width > FEW * n_folds) & inside
        active, middle = active[keep], middle[keep]
        if not len(active):
            break
        found, count = positions(middle, active)
        enough = count >= rank
        top[active[enough]], high[active[enough]] = middle[enough], found[enough]
        bottom[active[~enough]], low[active[~enough]] = middle[~enough], found[~enough]
    return low, high


def _among_candidates(
    lists: ScoreLists,
    centre: Float64Array,
    scale: Float64Array | None,
    rank: int,
    low: IntArray,
    high: IntArray,
) -> tuple[Float64Array, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Select exactly among the candidates, and tell for which rows this is proved.

    Rounding may misplace a bracket by a position, so it is widened by one on both sides. If every
    value before the candidates is no larger than the selected one and every value after them no
    smaller, the selection is that of the whole union.
    """
    n_rows, n_folds = centre.shape
    sizes = np.diff(lists.start)
    low, high = np.maximum(low - 1, 0), np.minimum(high + 1, sizes)
    width = max(int((high - low).max()), 1)
    if n_rows > 1 and n_rows * n_folds * width > 2 * BLOCK_NUMBERS:
        half = n_rows // 2
        pieces = [
            _among_candidates(
                lists,
                centre[rows],
                None if scale is None else scale[rows],
                rank,
                low[rows],
                high[rows],
            )
            for rows in (slice(0, half), slice(half, None))
        ]
        return np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])
    index = low[:, :, None] + np.arange(width)
    real = index < high[:, :, None]
    offset, shifted = lists.start[:-1], lists.start[:-1] + np.arange(n_folds)
    last = len(lists.values) - 1
    values = lists.values[np.minimum(index + offset[:, None], last)]
    if scale is not None:
        values = values * scale[:, :, None]
    values = np.where(real, values + centre[:, :, None], np.inf).reshape(n_rows, -1)
    at = np.minimum(index + shifted[:, None], len(lists.below) - 2)
    counts = np.where(real, lists.below[at + 1] - lists.below[at], 0).reshape(n_rows, -1)
    before = lists.below[shifted + low].sum(axis=1)
    order = np.argsort(values, axis=1)
    reached = np.cumsum(np.take_along_axis(counts, order, axis=1), axis=1) + before[:, None]
    first = np.minimum((reached < rank).sum(axis=1), values.shape[1] - 1)
    row = np.arange(n_rows)
    selected = values[row, order[row, first]]
    certain = (before < rank) & (reached[:, -1] >= rank)
    for position, exists, sign in ((low - 1, low > 0, 1.0), (high, high < sizes, -1.0)):
        outside = lists.values[np.clip(position + offset, 0, last)]
        outside = (outside if scale is None else outside * scale) + centre
        certain &= (~exists | (sign * outside <= sign * selected[:, None])).all(axis=1)
    return selected, certain


def _by_sorting(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: int
) -> Float64Array:
    """Select in the full matrix, block by block."""
    fold = np.repeat(np.arange(centre.shape[1]), np.diff(lists.start))
    counts = np.diff(lists.below)[np.arange(len(fold)) + fold]
    fold, scores = np.repeat(fold, counts), np.repeat(lists.values, counts)

    def block(rows: slice) -> Float64Array:
        if scale is None:
            return centre[rows][:, fold] + scores
        return centre[rows][:, fold] + scale[rows][:, fold] * scores

    return select_by_block(block, len(centre), len(scores), rank)


def select_by_block(
    block: Callable[[slice], Float64Array], n_rows: int, n_columns: int, rank: int
) -> Float64Array:
    """Return the rank-th smallest of every row of a matrix that is made in blocks."""
    out = np.full(n_rows, np.inf)
    if rank > n_columns:
        return out
    step = max(1, BLOCK_NUMBERS // n_columns)
    for first in range(0, n_rows, step):
        rows = slice(first, first + step)
        out[rows] = np.partition(block(rows), rank - 1, axis=1)[:, rank - 1]
    return out
