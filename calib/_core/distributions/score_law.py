"""Distributions as increasing, piecewise linear functions of a score that has one law."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.special import ndtri

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core.distributions.search import picked, rank_in_rows
from calib._core.distributions.shapes import STANDARD_NORMAL, Moments, Shape

#: Share of the overall slope that the slope of a tail has at least.
LEAST_TAIL = 0.1
#: The same in units of the largest value of a row, where all its values are equal; and of nothing.
LEAST_SPREAD, LEAST_SLOPE = 1e-9, 1e-100


@dataclass(frozen=True, eq=False)
class ScoreLaw:
    """``Y = H_x(Z)`` with Z of one law and H_x linear between knots and beyond them.

    A given distribution is such a map from normal scores to y; a recalibration changes the law of
    the score. Equal values make a plateau of H_x, on which the distribution has an atom.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_knots)
        Values of H_x at the knots, ascending.
    knots : ndarray of shape (n_knots,)
        Scores, strictly ascending unless `shape` has atoms there.
    left, right : ndarray of shape (n_rows,)
        Slopes beyond the knots, > 0.
    shape : Shape
        Law of the score.
    kind : str
        Name of the family.

    Notes
    -----
    The score (CRPS) is exact: on a segment of slope b, ``F^2`` integrates to b times what the
    shape gives for the scores at its ends. So are mean and standard deviation.
    """

    values: Float64Array
    knots: Float64Array
    left: Float64Array
    right: Float64Array
    shape: Shape = STANDARD_NORMAL
    kind: str = "quantiles"

    @property
    def n_rows(self) -> int:
        """Number of distributions."""
        return len(self.values)

    @property
    def row_size(self) -> int:
        """Numbers that one argument of one row takes."""
        return int(self.values.shape[1]) + 2

    @property
    def has_plateaus(self) -> bool:
        """Whether values of a row are equal."""
        return bool((self._slopes[:, 1:-1] == 0).any())

    @property
    def has_spread(self) -> LabelArray:
        """Whether the values of each row are more than one point."""
        if self.values.shape[1] == 1:
            return np.ones(self.n_rows, dtype=bool)
        return np.asarray(self.values[:, 0] < self.values[:, -1])

    def take(self, rows: slice | IntArray) -> Self:
        """Return the law of some rows."""
        return replace(self, values=self.values[rows], left=self.left[rows], right=self.right[rows])

    def with_shape(self, shape: Shape) -> ScoreLaw:
        """Return the same maps of a score that has another law."""
        return replace(self, shape=shape, kind=f"recalibrated {self.kind}")

    # ------------------------------------------------------------------ the law

    def cdf(self, t: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return P(Y <= t), or P(Y < t) if `lower`."""
        return self.shape.cdf(self._given_score(t, lower), lower=lower)

    def quantile(self, levels: Float64Array) -> Float64Array:
        """Return quantiles."""
        return self.at(np.asarray(ndtri(levels)))

    def sample(self, uniform: Float64Array) -> Float64Array:
        """Return draws made of uniform random numbers."""
        return self.quantile(uniform)

    def mean(self) -> Float64Array:
        """Return means."""
        place, size, first, _ = self._central_moments()
        return place + size * first

    def std(self) -> Float64Array:
        """Return standard deviations."""
        _, size, first, second = self._central_moments()
        return size * np.sqrt(np.maximum(second - first**2, 0.0))

    def crps(self, y: Float64Array) -> Float64Array:
        """Return the continuous ranked probability score."""
        t = y[:, None]
        return (self.below(t) + self.above(t))[:, 0]

    def pit(self, y: Float64Array, uniform: Float64Array) -> Float64Array:
        """Return P(Y < y) + uniform P(Y = y)."""
        low, high = self.cdf(y[:, None], lower=True)[:, 0], self.cdf(y[:, None])[:, 0]
        return low + uniform * (high - low)

    def log_density(self, y: Float64Array) -> Float64Array:
        """Return log densities; an atom is spread as far as the knots around it."""
        return self.log_density_at(y[:, None])[:, 0]

    # ------------------------------------------------------------------ as a shape, and in a pool

    def scores(self, t: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return the normal scores of `cdf`."""
        return self.shape.scores(self._given_score(t, lower), lower=lower)

    def at(self, scores: Float64Array) -> Float64Array:
        """Return quantiles at normal scores, one row for all rows of the law or one each."""
        return self.value_at(self.shape.at(scores))

    def slope(self, scores: Float64Array) -> Float64Array:
        """Return the derivative of `at`; 0 on a plateau."""
        z = self.shape.at(scores)
        segment = np.searchsorted(self.knots, z, side="right")
        return picked(self._slopes, segment) * self.shape.slope(scores)

    def log_density_at(self, t: Float64Array) -> Float64Array:
        """Return log densities at a matrix of values."""
        z = self._given_score(t, lower=False)
        low = self._given_score(t, lower=True)
        slope = picked(self._slopes, rank_in_rows(self.values, t))
        atom = low < z
        if atom.any():
            z = np.where(atom, 0.5 * (low + z), z)
            slope = np.where(atom, self._spread_slope(t), slope)
        return np.asarray(self.shape.log_density_at(z) - np.log(slope))

    def below(self, t: Float64Array) -> Float64Array:
        """Return the integral of F^2 up to t."""
        z = self._given_score(t, lower=False)
        segment = rank_in_rows(self.values, t)
        at_knots = self.shape.below(self.knots[None])[0]
        steps = np.diff(at_knots, prepend=0.0) * self._slopes[:, :-1]
        start = np.concatenate([np.zeros(1), at_knots])
        slope = picked(self._slopes, segment)
        total = picked(_summed(steps), segment)
        return np.asarray(total + slope * (self.shape.below(z) - start[segment]))

    def above(self, t: Float64Array) -> Float64Array:
        """Return the integral of (1 - F)^2 from t on."""
        z = self._given_score(t, lower=False)
        segment = rank_in_rows(self.values, t)
        at_knots = self.shape.above(self.knots[None])[0]
        steps = -np.diff(at_knots, append=0.0) * self._slopes[:, 1:]
        start = np.concatenate([at_knots, np.zeros(1)])
        slope = picked(self._slopes, segment)
        total = picked(_summed(steps[:, ::-1])[:, ::-1], segment)
        return np.asarray(total + slope * (self.shape.above(z) - start[segment]))

    def moments(self, t: Float64Array) -> Moments:
        """Return the integrals of 1, y and y^2 against F up to t, which may be infinite."""
        z = self._given_score(t, lower=False)
        segment = rank_in_rows(self.values, t)
        anchor = np.maximum(np.arange(self._slopes.shape[1]) - 1, 0)
        slopes = self._slopes
        offsets = self.values[:, anchor] - slopes * self.knots[anchor]
        at_knots = [m[0] for m in self.shape.moments(self.knots[None])]
        steps = [np.diff(m, prepend=0.0) for m in at_knots]
        starts = [np.concatenate([np.zeros(1), m])[segment] for m in at_knots]
        last = [m - start for m, start in zip(self.shape.moments(z), starts, strict=True)]
        a, b = picked(offsets, segment), picked(slopes, segment)
        a_all, b_all = offsets[:, :-1], slopes[:, :-1]
        out = []
        for power in range(3):
            summed = _summed(_expanded(a_all, b_all, steps, power))
            out.append(picked(summed, segment) + _expanded(a, b, last, power))
        return out[0], out[1], out[2]

    # ------------------------------------------------------------------ parts

    @cached_property
    def _slopes(self) -> Float64Array:
        """Slopes of all segments, the tails included, shape (n_rows, n_knots + 1)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = np.diff(self.values, axis=1) / np.diff(self.knots)
        inner[~np.isfinite(inner)] = 0.0  # equal knots: nothing lies between them
        return np.concatenate([self.left[:, None], inner, self.right[:, None]], axis=1)

    def _given_score(self, t: Float64Array, lower: bool) -> Float64Array:
        """Return the largest score z with ``H_x(z) <= t``; if `lower`, the least with ``>= t``."""
        segment = rank_in_rows(self.values, t, right=not lower)
        anchor = np.maximum(segment - 1, 0)
        slope = picked(self._slopes, segment)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            z = self.knots[anchor] + (t - picked(self.values, anchor)) / slope
        highest = np.append(self.knots, np.inf)[segment]
        lowest = np.append(-np.inf, self.knots)[segment]
        return np.clip(np.where(np.isnan(z), highest, z), lowest, highest)

    def value_at(self, z: Float64Array) -> Float64Array:
        """Return values of H_x at scores."""
        segment = np.searchsorted(self.knots, z, side="right")
        anchor = np.maximum(segment - 1, 0)
        value = picked(self.values, anchor)
        value = value + picked(self._slopes, segment) * (z - self.knots[anchor])
        last = self.values.shape[1] - 1
        inside = segment <= last
        highest = picked(self.values, np.minimum(segment, last))
        return np.where(inside, np.minimum(value, highest), value)

    def _spread_slope(self, t: Float64Array) -> Float64Array:
        """Return the slope from the knot before to the knot after an atom."""
        before = rank_in_rows(self.values, t, right=False)
        after = rank_in_rows(self.values, t) + 1
        values = np.concatenate(
            [
                self.values[:, :1] - self.left[:, None],
                self.values,
                self.values[:, -1:] + self.right[:, None],
            ],
            axis=1,
        )
        knots = np.concatenate([self.knots[:1] - 1, self.knots, self.knots[-1:] + 1])
        rise = picked(values, after) - picked(values, before)
        return np.asarray(rise / (knots[after] - knots[before]))

    def _central_moments(self) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
        """Return a place and a size for every row, and two moments of what lies around."""
        place = self.values[:, self.values.shape[1] // 2]
        centred = self.values - place[:, None]
        size = np.maximum(np.abs(centred[:, [0, -1]]).max(axis=1), self.left)
        size = np.maximum(size, self.right)
        around = replace(
            self,
            values=centred / size[:, None],
            left=self.left / size,
            right=self.right / size,
        )
        _, first, second = around.moments(np.full((1, 1), np.inf))
        return place, size, first[:, 0], second[:, 0]


def score_law(
    values: Float64Array,
    scores: Float64Array,
    n_outer: int,
    kind: str,
    *,
    shape: Shape | None = None,
) -> ScoreLaw:
    """Return the law of ascending values at normal scores, with tails of the outer intervals.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_knots)
        n_knots >= 2.
    scores : ndarray of shape (n_knots,)
        Ascending.
    n_outer : int
        Intervals whose slope a tail takes on; at least `LEAST_TAIL` of that of all.
    kind : str
        Name of the family.
    shape : Shape, default=None
        Law of the score; None for the normal one.
    """
    n_outer = min(n_outer, values.shape[1] - 1)
    overall = (values[:, -1] - values[:, 0]) / (scores[-1] - scores[0])
    left = (values[:, n_outer] - values[:, 0]) / (scores[n_outer] - scores[0])
    right = (values[:, -1] - values[:, -1 - n_outer]) / (scores[-1] - scores[-1 - n_outer])
    left, right = tail_slopes(left, right, overall, np.abs(values[:, [0, -1]]).max(axis=1))
    return ScoreLaw(values, scores, left, right, shape or STANDARD_NORMAL, kind)


def tail_slopes(
    left: Float64Array, right: Float64Array, overall: Float64Array, size: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return slopes of tails that are no less than their share of the overall one, and > 0."""
    least = np.maximum(LEAST_TAIL * overall, np.maximum(LEAST_SPREAD * size, LEAST_SLOPE))
    narrow = overall > 0
    least = np.where(narrow, LEAST_TAIL * overall, least)
    return np.maximum(left, least), np.maximum(right, least)


def normal_law(mean: Float64Array, std: Float64Array, shape: Shape | None = None) -> ScoreLaw:
    """Return normal laws, or those of another law of ``(y - mean) / std``."""
    kind = "normal" if shape is None else "location and scale"
    return ScoreLaw(mean[:, None], np.zeros(1), std, std, shape or STANDARD_NORMAL, kind)


def _summed(steps: Float64Array) -> Float64Array:
    """Return sums over all earlier steps, of none first."""
    return np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)


def _expanded(
    a: Float64Array, b: Float64Array, moments: list[Float64Array], power: int
) -> Float64Array:
    """Return the integral of (a + b z)^power from moments of z."""
    if power == 0:
        return np.asarray(moments[0] + 0 * a)
    if power == 1:
        return np.asarray(a * moments[0] + b * moments[1])
    return np.asarray(a * a * moments[0] + 2 * a * b * moments[1] + b * b * moments[2])
