"""From scores to interval ends: per category, per side, with weights, folds or bootstrap draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import describe
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from uq.conformal.bands import Ends
from uq.conformal.categories import CategoryTable, codes_of_known, read_categories, read_ratios
from uq.conformal.interval_fitting import Calibration
from uq.conformal.quantiles import (
    conformal_rank,
    effective_size,
    in_words,
    join_passed,
    report_small,
    samples_needed,
    scaled_test_ratio,
)
from uq.warnings import EffectiveSampleSizeWarning, EmptyIntervalWarning

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

    def by_fold(self) -> list[Float64Array]:
        """Return the list of every fold."""
        return [self.values[a:b] for a, b in zip(self.start[:-1], self.start[1:], strict=True)]


def kth_smallest(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: int | IntArray
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
    rank : int or ndarray of shape (n_rows,)
        From 1, of all rows or of each; beyond the number of scores the answer is infinite.

    Returns
    -------
    selected : ndarray of shape (n_rows,)
        Identical to a selection in the full matrix, at a memory that does not grow with it.
    """
    n_rows, n_folds = centre.shape
    ranks = np.broadcast_to(rank, n_rows)
    out = np.full(n_rows, np.inf)
    step = max(1, BLOCK_NUMBERS // (64 * n_folds))
    for first in range(0, n_rows, step):
        rows = first + np.flatnonzero(ranks[first : first + step] <= lists.n_scores)
        if len(rows):
            row_scale = None if scale is None else scale[rows]
            out[rows] = _select(lists, centre[rows], row_scale, ranks[rows])
    return out


def _select(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: IntArray
) -> Float64Array:
    if len(lists.values) <= 4 * centre.shape[1]:  # lists so short that there is nothing to search
        return _by_sorting(lists, centre, scale, rank)
    low, high = _bracket(lists, centre, scale, rank)
    selected, certain = _among_candidates(lists, centre, scale, rank, low, high)
    if not certain.all():
        left = ~certain
        left_scale = None if scale is None else scale[left]
        selected[left] = _by_sorting(lists, centre[left], left_scale, rank[left])
    return selected


def _bracket(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: IntArray
) -> tuple[IntArray, IntArray]:
    """Return, per row and list, the positions between which the wanted value stands."""
    n_rows, n_folds = centre.shape
    fold_lists = lists.by_fold()
    pivot = lists.pooled[rank - 1][:, None]
    around = centre + pivot if scale is None else centre + scale * pivot
    bottom, top = around.min(axis=1), around.max(axis=1)

    def positions(value: Float64Array, rows: IntArray) -> tuple[IntArray, IntArray]:
        place = np.empty((len(rows), n_folds), dtype=np.intp)
        count = np.zeros(len(rows), dtype=np.intp)
        for k, fold_scores in enumerate(fold_lists):
            wanted = value - centre[rows, k]
            if scale is not None:
                wanted /= scale[rows, k]
            place[:, k] = np.searchsorted(fold_scores, wanted, side="right")
            count += lists.below[lists.start[k] + k + place[:, k]]
        return place, count

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
        place, count = positions(middle, active)
        enough = count >= rank[active]
        top[active[enough]], high[active[enough]] = middle[enough], place[enough]
        bottom[active[~enough]], low[active[~enough]] = middle[~enough], place[~enough]
    return low, high


def _among_candidates(
    lists: ScoreLists,
    centre: Float64Array,
    scale: Float64Array | None,
    rank: IntArray,
    low: IntArray,
    high: IntArray,
) -> tuple[Float64Array, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Select exactly among the candidates, and say for which rows this is proved.

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
                rank[rows],
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
    first = np.minimum((reached < rank[:, None]).sum(axis=1), values.shape[1] - 1)
    row = np.arange(n_rows)
    selected = values[row, order[row, first]]
    certain = (before < rank) & (reached[:, -1] >= rank)
    for position, exists, sign in ((low - 1, low > 0, 1.0), (high, high < sizes, -1.0)):
        outside = lists.values[np.clip(position + offset, 0, last)]
        outside = (outside if scale is None else outside * scale) + centre
        certain &= (~exists | (sign * outside <= sign * selected[:, None])).all(axis=1)
    return selected, certain


def _by_sorting(
    lists: ScoreLists, centre: Float64Array, scale: Float64Array | None, rank: IntArray
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
    block: Callable[[slice], Float64Array], n_rows: int, n_columns: int, rank: int | IntArray
) -> Float64Array:
    """Return the rank-th smallest of every row of a matrix that is made in blocks.

    Ranks, of all rows or of each, beyond the number of columns give infinity.
    """
    ranks = np.broadcast_to(rank, n_rows)
    out = np.full(n_rows, np.inf)
    step = max(1, BLOCK_NUMBERS // n_columns)
    for first in range(0, n_rows, step):
        rows = slice(first, first + step)
        finite = ranks[rows] <= n_columns
        if finite.any():
            places = np.where(finite, ranks[rows], 1) - 1
            ordered = np.partition(block(rows), np.unique(places), axis=1)
            selected = np.take_along_axis(ordered, places[:, None], axis=1)[:, 0]
            out[rows] = np.where(finite, selected, np.inf)
    return out


Tails: TypeAlias = Literal["symmetric", "asymmetric", "lower", "upper"]

#: Weights that leave fewer effective calibration samples than this outside the level are warned of.
FEW_EFFECTIVE = 5


def interval_ends(
    calibration: Calibration,
    X: Any,
    levels: Float64Array,
    categories: ArrayLike,
    ratio: ArrayLike,
    est: Any,
) -> Float64Array:
    """Return intervals of shape (n_samples, 2, n_levels) with the options of `est`."""
    bands = [band.ends(X) for band in calibration.bands]
    n = len(bands[0].low)
    names, codes = read_categories(est.mondrian, categories, X, n), None
    if names is not None and calibration.categories is not None:
        codes = codes_of_known(names, calibration.categories, "categories")
    new_weight = read_ratios(est.likelihood_ratio, ratio, X, n)
    if new_weight is not None:
        new_weight = scaled_test_ratio(new_weight, n, calibration.ratio_scale, "likelihood_ratio")
    if calibration.weight is not None:
        _warn_of_size(effective_size(calibration.weight), len(calibration.rows), levels)
    out = np.empty((n, 2, len(levels)))
    out[:, 0], out[:, 1] = -np.inf, np.inf
    for members, rows in _by_category(calibration, codes, n):
        category = _CategoryIntervals(calibration, members, bands, rows, new_weight, est)
        for j, level in enumerate(levels):
            out[rows, :, j] = category.interval(float(level))
    _report_infinite(out, calibration, names, levels, est)
    return _with_point(_without_empty(out), bands, est)


def _by_category(
    calibration: Calibration, codes: IntArray | None, n: int
) -> list[tuple[IntArray, IntArray]]:
    """Return calibration and new samples of every category that has both."""
    everything = np.arange(n)
    if calibration.categories is None or codes is None:
        return [(np.arange(len(calibration.rows)), everything)]
    pairs = []
    for k in range(len(calibration.categories)):
        rows = np.flatnonzero(codes == k)
        if len(rows):
            pairs.append((np.flatnonzero(calibration.codes == k), rows))
    return pairs


class _CategoryIntervals:
    """Calibration and new samples of one category."""

    def __init__(
        self,
        calibration: Calibration,
        members: IntArray,
        bands: list[Ends],
        rows: IntArray,
        new_weight: Float64Array | None,
        est: Any,
    ) -> None:
        self.calibration, self.members, self.est = calibration, members, est
        self.bands = [
            Ends(b.low[rows], b.high[rows], None if b.scale is None else b.scale[rows])
            for b in bands
        ]
        scores = calibration.scores[members]
        if est.tails == "symmetric":
            scores = np.repeat(scores.max(axis=1, keepdims=True), 2, axis=1)
        self.scores = scores
        self.new_weight = None if new_weight is None else new_weight[rows]
        self._lists: dict[int, ScoreLists] = {}

    def interval(self, level: float) -> Float64Array:
        """Return both ends, shape (n_rows, 2)."""
        tails = self.est.tails
        wanted = 0.5 + 0.5 * level if tails == "asymmetric" else level
        if self.est.backend == "mapie":
            from uq.mapie import mapie_interval

            answer = mapie_interval(self.calibration, self.bands, level, wanted, self.est)
            if answer is not None:
                return answer
        n_rows = len(self.bands[0].low)
        out = np.stack([np.full(n_rows, -np.inf), np.full(n_rows, np.inf)], axis=1)
        if tails != "upper":
            out[:, 0] = -self._end(0, wanted)
        if tails != "lower":
            out[:, 1] = self._end(1, wanted)
        return out

    def _end(self, side: int, level: float) -> Float64Array:
        """Return the upper end of what `side` looks at: y, or -y for the lower end."""
        centre = [band.high if side else -band.low for band in self.bands]
        if self.est.method == "split":
            margin = self._margin(side, level)
            scale = self.bands[0].scale
            return np.asarray(centre[0] + (margin if scale is None else margin * scale))
        if self.est.aggregation == "minmax":
            return self._widest(side, centre, level)
        rank = conformal_rank(len(self.members), level)
        if self.est.method == "bootstrap":
            scores = self.scores[:, side]
            averaged = self._averaged(np.stack(centre, axis=1))
            return select_by_block(
                lambda rows: averaged(rows) + scores, len(centre[0]), len(scores), rank
            )
        if side not in self._lists:
            fold = self.calibration.fold[self.members]
            self._lists[side] = ScoreLists.of(self.scores[:, side], fold, len(centre))
        scales = [band.scale for band in self.bands if band.scale is not None]
        return kth_smallest(
            self._lists[side],
            np.stack(centre, axis=1),
            np.stack(scales, axis=1) if scales else None,
            rank,
        )

    def _margin(self, side: int, level: float) -> Any:
        """Return what is added to the ends: one number, or one per sample under weights."""
        weight = self.calibration.weight
        weight = None if weight is None else weight[self.members]
        category = np.zeros(len(self.members), dtype=np.intp)
        table = CategoryTable.build(self.scores[:, side], category, 1, weight=weight)
        return table.threshold(0, level, self.new_weight)

    def _widest(self, side: int, centre: list[Float64Array], level: float) -> Float64Array:
        """Return the highest end that any model gives with the pooled scores."""
        margin = self._margin(side, level)
        if self.est.method == "bootstrap":
            averaged = self._averaged(np.stack(centre, axis=1))
            step = max(1, BLOCK_NUMBERS // len(self.members))
            blocks = [slice(first, first + step) for first in range(0, len(centre[0]), step)]
            top = np.concatenate([averaged(rows).max(axis=1) for rows in blocks])
            return np.asarray(top + margin)
        ends = [
            c + (margin if band.scale is None else margin * band.scale)
            for c, band in zip(centre, self.bands, strict=True)
        ]
        return np.asarray(np.max(ends, axis=0))

    def _averaged(self, centre: Float64Array) -> Callable[[slice], Float64Array]:
        """Return the mean prediction of the draws without each calibration sample, by block."""
        assert self.calibration.averages is not None
        transposed = np.ascontiguousarray(self.calibration.averages[self.members].T)
        return lambda rows: centre[rows] @ transposed


def _warn_of_size(effective: float, n: int, levels: Float64Array) -> None:
    few = levels[(1 - levels) * effective < FEW_EFFECTIVE]
    if len(few):
        warn(
            f"the likelihood ratios make {n} calibration samples worth {effective:.1f}; intervals "
            f"at level {in_words(few)} rest on fewer than {FEW_EFFECTIVE} of these",
            EffectiveSampleSizeWarning,
        )


def _report_infinite(
    out: Float64Array,
    calibration: Calibration,
    names: LabelArray | None,
    levels: Float64Array,
    est: Any,
) -> None:
    """Warn of (or refuse) infinite ends that the tails did not ask for."""
    sides = {"lower": [0], "upper": [1]}.get(est.tails, [0, 1])
    infinite: LabelArray = np.any(np.isinf(out[:, sides]), axis=1)
    if not np.any(infinite):
        return
    bad = levels[np.any(infinite, axis=0)]
    top = float(bad.max())
    needed = samples_needed(0.5 + 0.5 * top if est.tails == "asymmetric" else top)
    if calibration.categories is None or names is None:
        have = f"{len(calibration.rows)} calibration samples"
    else:
        unknown = np.setdiff1d(names, calibration.categories)
        rows = np.any(infinite, axis=1)
        have = f"the calibration samples of categories {describe(np.unique(names[rows]).tolist())}"
        if len(unknown):
            have += f" (of which {describe(unknown.tolist())} were not seen at fit)"
    if calibration.weight is not None:
        have += " with these likelihood ratios"
    text = (
        f"{have} do not suffice for level {in_words(bad)}, which takes {needed}: "
        f"{int(np.any(infinite, axis=1).sum())} of {len(out)} intervals are infinite"
    )
    report_small(text, est.small, "Lower the level or pass small='infinite'")


def _without_empty(out: Float64Array) -> Float64Array:
    """Put both ends of empty intervals in their middle, which covers no less than nothing."""
    empty = join_passed(out[:, 0], out[:, 1])
    if empty.any():
        warn(
            f"{int(empty.any(axis=1).sum())} of {len(out)} intervals are empty because the margins "
            f"are negative and larger than the band; both ends were put in the middle",
            EmptyIntervalWarning,
        )
    return out


def _with_point(out: Float64Array, bands: list[Ends], est: Any) -> Float64Array:
    """Move ends of quantile models outwards to the point prediction, which covers no less."""
    points = [band.point for band in bands if band.point is not None]
    if points and est.tails in ("symmetric", "asymmetric"):
        point = np.mean(points, axis=0)[:, None]
        np.minimum(out[:, 0], point, out=out[:, 0])
        np.maximum(out[:, 1], point, out=out[:, 1])
    return out
