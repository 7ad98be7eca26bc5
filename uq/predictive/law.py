"""Conformal predictive distributions: scaled residuals of every fold around a row's predictions.

`ConformalLaw` answers what is asked of unchecked rows, `ConformalDistribution` is what users hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_fraction
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.distributions.predictive import PredictiveDistribution
from calib._core.distributions.scores import points_crps
from uq.conformal.categories import Side
from uq.conformal.ends import ScoreLists, kth_smallest
from uq.conformal.quantiles import conformal_ranks, report_small

#: Support points that are looked at together: 16 MB of them.
BLOCK_POINTS = 1 << 21
#: Residuals this close, in units of the last place, are equal where a threshold was rounded.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class ResidualLists:
    """Scaled calibration residuals of one category, by fold.

    Attributes
    ----------
    lists : ScoreLists
        Distinct residuals of every fold, ascending, with their counts.
    sums : ndarray of shape (n_distinct + n_folds,)
        Per fold, the sum of the residuals before each distinct one; one more entry for all.
    sizes : ndarray of shape (n_folds,)
        Residuals of every fold.
    means, stds : ndarray of shape (n_folds,)
        Of every fold; 0 of an empty one.
    """

    lists: ScoreLists
    sums: Float64Array
    sizes: IntArray
    means: Float64Array
    stds: Float64Array

    @classmethod
    def of(cls, residuals: Float64Array, fold: IntArray, n_folds: int) -> ResidualLists:
        """Sort residuals by fold."""
        lists = ScoreLists.of(residuals, fold, n_folds)
        sums, sizes, means, stds = [], [], [], []
        for k, distinct in enumerate(lists.by_fold()):
            first = lists.start[k] + k
            counts = np.diff(lists.below[first : first + len(distinct) + 1])
            sums.append(np.concatenate([[0.0], np.cumsum(counts * distinct)]))
            size = max(int(counts.sum()), 1)
            mean = float(sums[-1][-1]) / size
            sizes.append(int(counts.sum()))
            means.append(mean)
            stds.append(float(_root_mean_square((distinct - mean)[None], counts / size)[0]))
        return cls(
            lists,
            np.concatenate(sums),
            np.array(sizes, dtype=np.intp),
            np.array(means),
            np.array(stds),
        )

    @property
    def n(self) -> int:
        """Number of residuals."""
        return self.lists.n_scores

    def places(self, fold: int, values: Float64Array, side: Side) -> IntArray:
        """Return where values stand in the cumulative arrays of a fold.

        ``"right"`` is behind equal residuals, ``"left"`` before them.
        """
        start, stop = self.lists.start[fold], self.lists.start[fold + 1]
        found = np.searchsorted(self.lists.values[start:stop], values, side=side)
        return np.asarray(found + (start + fold))

    def count(self, standardised: list[Float64Array], side: Side) -> IntArray:
        """Return how many residuals lie before values that were standardised for every fold."""
        counts = [self.lists.below[self.places(k, z, side)] for k, z in enumerate(standardised)]
        return np.asarray(np.sum(counts, axis=0))

    def distances(self, fold: int, values: Float64Array) -> Float64Array:
        """Return the sum of ``|residual - value|`` over a fold."""
        place = self.places(fold, values, "right")
        end = self.lists.start[fold + 1] + fold
        before, total = self.sums[place], self.sums[end]
        more_below = 2 * self.lists.below[place] - self.sizes[fold]
        return np.asarray(values * more_below + (total - 2 * before))


@dataclass(frozen=True, eq=False)
class ConformalLaw:
    """Support points ``centre[i, k] + scale[i, k] r`` of every residual r of every fold k.

    Nothing here grows with rows times calibration rows, except blocks of them.

    Attributes
    ----------
    residuals : tuple of ResidualLists
        One for each category.
    code : ndarray of int, shape (n_rows,)
        Category of each row; -1 for one without residuals, of which nothing is known.
    centre, scale : ndarray of shape (n_rows, n_folds)
        Predictions and scales (> 0) of the models of every fold.
    """

    residuals: tuple[ResidualLists, ...]
    code: IntArray
    centre: Float64Array
    scale: Float64Array
    kind = "points"

    @property
    def n_rows(self) -> int:
        """Number of distributions."""
        return len(self.centre)

    @property
    def row_size(self) -> int:
        """Numbers that one argument of one row takes: one for each fold."""
        return int(self.centre.shape[1])

    @property
    def n_calibration(self) -> IntArray:
        """Calibration rows behind every distribution, shape (n_rows,)."""
        sizes = np.array([*(lists.n for lists in self.residuals), 0])
        return sizes[self.code]  # the last stands at -1

    def take(self, rows: slice | IntArray) -> Self:
        """Return the law of some rows."""
        return replace(self, code=self.code[rows], centre=self.centre[rows], scale=self.scale[rows])

    def cdf(self, t: Float64Array) -> Float64Array:
        """Return the middle of the conformal P(Y <= t), which is known up to 1 / (n + 1).

        Thresholds that were rounded count as the points that they come from.
        """

        def of_category(part: _Category) -> Float64Array:
            z = part.standardised(part.own(t))
            for values, centre in zip(z, (part.centre / part.scale).T, strict=True):
                values += ROUNDING * (np.abs(values) + np.abs(centre)[:, None])
            return (part.residuals.count(z, "right") + 0.5) / (part.residuals.n + 1)

        return self._answers((self.n_rows, t.shape[1]), 0.5, of_category)

    def quantile(self, levels: Float64Array) -> Float64Array:
        """Return the order statistics that conformal ranks ask for."""

        def of_category(part: _Category) -> Float64Array:
            ranks = conformal_ranks(part.residuals.n, part.own(levels))
            return np.stack([part.selected(rank) for rank in ranks.T], axis=1)

        unknown = np.where(levels < 0.5, -np.inf, np.inf)
        return self._answers((self.n_rows, levels.shape[1]), unknown, of_category)

    def sample(self, uniform: Float64Array) -> Float64Array:
        """Return points that are drawn with repetition."""
        if (self.code < 0).any():
            raise ValueError(
                f"{int((self.code < 0).sum())} of the distributions belong to categories that were "
                f"not seen at fit: nothing can be drawn from them; choose the others"
            )

        def of_category(part: _Category) -> Float64Array:
            lists = part.residuals.lists
            point = (part.own(uniform) * part.residuals.n).astype(np.intp)
            fold = np.searchsorted(np.cumsum(part.residuals.sizes), point, side="right")
            everything = np.repeat(lists.values, _counts(lists))
            row = np.arange(len(point))[:, None]
            return part.centre[row, fold] + part.scale[row, fold] * everything[point]

        return self._answers(uniform.shape, np.nan, of_category)

    def mean(self) -> Float64Array:
        """Return means of the points; nan where nothing is known."""
        return self._answers((self.n_rows,), np.nan, lambda part: part.moments()[0])

    def std(self) -> Float64Array:
        """Return standard deviations of the points; infinite where nothing is known."""
        return self._answers((self.n_rows,), np.inf, lambda part: part.moments()[1])

    def crps(self, y: Float64Array) -> Float64Array:
        """Return the score of the distribution that is the points, 1 / n each."""

        def of_category(part: _Category) -> Float64Array:
            lists = part.residuals
            if self.centre.shape[1] == 1:
                z = part.standardised(part.own(y)[:, None])[0][:, 0]
                apart = lists.distances(0, z) / lists.n
                return part.scale[:, 0] * (apart - _half_spread(lists))
            out = np.empty(len(part.rows))
            for rows in row_blocks(len(out), lists.n, n_elements=BLOCK_POINTS):
                out[rows] = points_crps(np.sort(part.points(rows), axis=1), part.own(y)[rows])
            return out

        return self._answers((self.n_rows,), np.inf, of_category)

    def pit(self, y: Float64Array, uniform: Float64Array) -> Float64Array:
        """Return ``(#{C < y} + u (#{C = y} + 1)) / (n + 1)``, exactly uniform if exchangeable."""

        def of_category(part: _Category) -> Float64Array:
            z = part.standardised(part.own(y)[:, None])
            below = part.residuals.count(z, "left")[:, 0]
            equal = part.residuals.count(z, "right")[:, 0] - below
            return (below + part.own(uniform) * (equal + 1)) / (part.residuals.n + 1)

        return self._answers((self.n_rows,), uniform, of_category)

    def _answers(
        self,
        shape: tuple[int, ...],
        unknown: Float64Array | float,
        answer: Callable[[_Category], Float64Array],
    ) -> Float64Array:
        """Return the answers of every category, and `unknown` for rows without one."""
        out = np.array(np.broadcast_to(unknown, shape), dtype=np.float64)
        for code in np.unique(self.code[self.code >= 0]):
            rows = np.flatnonzero(self.code == code)
            part = _Category(self.residuals[code], rows, self.centre[rows], self.scale[rows])
            out[rows] = answer(part)
        return out


@dataclass(frozen=True, eq=False)
class _Category:
    """Rows of one category."""

    residuals: ResidualLists
    rows: IntArray
    centre: Float64Array
    scale: Float64Array

    def own(self, values: Float64Array) -> Float64Array:
        """Return the rows of an argument, or what is asked of all rows."""
        return values if values.ndim == 2 and len(values) == 1 else values[self.rows]

    def standardised(self, values: Float64Array) -> list[Float64Array]:
        """Return values in residuals of every fold, each of shape (n_rows, k)."""
        return [
            (values - self.centre[:, k, None]) / self.scale[:, k, None]
            for k in range(self.centre.shape[1])
        ]

    def selected(self, rank: IntArray) -> Float64Array:
        """Return the rank-th smallest point of every row; infinite beyond the last."""
        lists = self.residuals.lists
        if self.centre.shape[1] > 1:
            return kth_smallest(lists, self.centre, self.scale, rank)
        margin = np.append(lists.pooled, np.inf)[np.minimum(rank, lists.n_scores + 1) - 1]
        return np.asarray(self.centre[:, 0] + self.scale[:, 0] * margin)

    def moments(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and standard deviation of the points of every row."""
        share = self.residuals.sizes / self.residuals.n
        means = self.centre + self.scale * self.residuals.means
        mean = means @ share
        spread = np.concatenate([self.scale * self.residuals.stds, means - mean[:, None]], axis=1)
        return mean, _root_mean_square(spread, np.concatenate([share, share]))

    def points(self, rows: slice) -> Float64Array:
        """Return all points of some rows, shape (n_rows, n_calibration)."""
        lists = self.residuals.lists
        fold = np.repeat(np.arange(len(self.residuals.sizes)), self.residuals.sizes)
        everything = np.repeat(lists.values, _counts(lists))
        return self.centre[rows][:, fold] + self.scale[rows][:, fold] * everything


def _counts(lists: ScoreLists) -> IntArray:
    """Return how often each distinct residual occurs."""
    return np.concatenate(
        [
            np.diff(lists.below[a + k : b + k + 1])
            for k, (a, b) in enumerate(zip(lists.start[:-1], lists.start[1:], strict=True))
        ]
    )


def _root_mean_square(values: Float64Array, share: Float64Array) -> Float64Array:
    """Return the root of the weighted sum of squares of every row, for any size of values."""
    top = np.abs(values).max(axis=1, initial=np.finfo(np.float64).tiny)
    return np.asarray(top * np.sqrt((values / top[:, None]) ** 2 @ share))


def _half_spread(residuals: ResidualLists) -> float:
    """Return half the mean distance of two residuals of a single fold."""
    points = residuals.lists.pooled
    middle = points[[len(points) // 2]]
    apart = residuals.distances(0, middle) / residuals.n
    return float((apart - points_crps(points[None], middle))[0])


@dataclass(frozen=True, eq=False, repr=False)
class ConformalDistribution(PredictiveDistribution):
    """Distributions of a conformal predictive system.

    Quantiles are order statistics of conformal rank, ``P(Y <= quantile(u)) >= u``; both ends of an
    interval are ranked so that it covers. P(Y <= t) is known up to 1 / (n + 1), and its middle is
    returned. `crps`, `mean`, `std` and `sample` take the support points as equally likely.

    Attributes
    ----------
    law : Law
    n_calibration : ndarray of int, shape (n_samples,)
        Calibration samples behind each distribution; 0 for categories not seen at fit.
    small : {"infinite", "raise"}
        What becomes of infinite quantiles.
    lowest : float
        What no label lies below.

    Warns
    -----
    SmallCalibrationSetWarning
        If a quantile is infinite for want of calibration samples.
    """

    n_calibration: IntArray
    small: Literal["infinite", "raise"] = "infinite"
    lowest: float = -np.inf

    def __getitem__(self, rows: int | slice | ArrayLike) -> Self:
        places = self._places(rows)
        return replace(self, law=self.law.take(places), n_calibration=self.n_calibration[places])

    def quantile(self, levels: ArrayLike) -> Float64Array:
        """Return quantiles; see `PredictiveDistribution.quantile`.

        Parameters
        ----------
        levels : float or array-like of shape (n_levels,) or (n_samples, n_levels)
            In (0, 1): the same for all rows, or those of each row.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_levels)
            In units of y, non-decreasing in the level; infinite where the level is beyond
            ``n / (n + 1)``.

        Raises
        ------
        ValueError
            If a level is outside (0, 1), `levels` has another shape, or, with ``small="raise"``, a
            quantile is infinite.
        """
        return self._reported(super().quantile(levels), "quantiles")

    def interval(self, confidence_level: float) -> Float64Array:
        """Return intervals that leave at most the same share out on both sides.

        Parameters
        ----------
        confidence_level : float
            In (0, 1).

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper end, in units of y. The lower end has the rank that counts from the
            top as the upper one does from below, so it may be one point under the quantile.

        Raises
        ------
        ValueError
            If `confidence_level` is outside (0, 1), or, with ``small="raise"``, an end is infinite.
        """
        level = 0.5 + 0.5 * check_fraction("confidence_level", confidence_level)
        n = self.n_calibration
        rank = n + 1 - conformal_ranks(n, np.full(len(n), level))
        lower = np.where(rank > 0, rank, 0.5) / (n + 1)
        levels = np.stack([lower, np.full(len(n), level)], axis=1)
        ends = super().quantile(levels) if len(n) else np.empty((0, 2))
        ends[rank < 1, 0] = self.lowest
        return self._reported(ends, "intervals")

    def _reported(self, quantiles: Float64Array, what: str) -> Float64Array:
        """Warn of (or refuse) infinite quantiles."""
        rows: LabelArray = np.asarray(np.isinf(quantiles).any(axis=1))
        if rows.any():
            n = self.n_calibration[rows]
            few = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
            unseen = int((n == 0).sum())
            note = f" ({unseen} rows belong to categories that were not seen at fit)"
            report_small(
                f"{few} calibration samples do not suffice: the {what} of {int(rows.sum())} of "
                f"{len(rows)} rows are infinite{note if unseen else ''}",
                self.small,
                "Ask for levels nearer to 1/2 or pass small='infinite'",
            )
        return quantiles
