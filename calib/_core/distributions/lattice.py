"""Distributions that are steps: equally likely points, and any other on values of a lattice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.distributions.law import Law
from calib._core.distributions.scores import points_crps
from calib._core.distributions.search import picked, rank_in_rows

#: Most values of labels on a lattice, and times that each of them occurs on average.
MOST_VALUES, LEAST_TIMES = 50, 2


def lattice_of(y: Float64Array) -> Float64Array | None:
    """Return the values of labels that take few of them, None for labels that take many."""
    values = np.unique(y)
    few = 2 <= len(values) <= MOST_VALUES and len(values) * LEAST_TIMES <= len(y)
    return values if few else None


@dataclass(frozen=True, eq=False)
class PointLaw:
    """A distribution on equally likely points in every row.

    Parameters
    ----------
    points : ndarray of shape (n_rows, n_points)
        Ascending in each row.
    fair : bool, default=False
        Whether the points are scored as draws of the distribution that is meant.
    """

    points: Float64Array
    fair: bool = False
    kind: str = "points"

    @property
    def n_rows(self) -> int:
        """Number of distributions."""
        return len(self.points)

    @property
    def row_size(self) -> int:
        """Numbers that one argument of one row takes."""
        return int(self.points.shape[1])

    def take(self, rows: slice | IntArray) -> Self:
        """Return the law of some rows."""
        return replace(self, points=self.points[rows])

    def cdf(self, t: Float64Array) -> Float64Array:
        """Return the share of points that are at most t."""
        return np.asarray(rank_in_rows(self.points, t) / self.points.shape[1])

    def quantile(self, levels: Float64Array) -> Float64Array:
        """Return the smallest point that has at least the level."""
        m = self.points.shape[1]
        place = np.ceil(levels * m - 1e-9).astype(np.intp) - 1  # .3 * 10 is a little above 3
        return picked(self.points, np.clip(place, 0, m - 1))

    def sample(self, uniform: Float64Array) -> Float64Array:
        """Return points that are drawn with repetition."""
        return self.quantile(uniform)

    def mean(self) -> Float64Array:
        """Return means."""
        return np.asarray(self.points.mean(axis=1))

    def std(self) -> Float64Array:
        """Return standard deviations of the points as they are, or of what they were drawn from."""
        return np.asarray(self.points.std(axis=1, ddof=int(self.fair)))

    def crps(self, y: Float64Array) -> Float64Array:
        """Return the continuous ranked probability score."""
        return points_crps(self.points, y, self.fair)

    def pit(self, y: Float64Array, uniform: Float64Array) -> Float64Array:
        """Return P(Y < y) + uniform P(Y = y); for draws, the label takes a place among them."""
        m = self.points.shape[1]
        below = rank_in_rows(self.points, y[:, None], right=False)[:, 0]
        up_to = rank_in_rows(self.points, y[:, None])[:, 0]
        if self.fair:
            return np.asarray((below + uniform * (up_to - below + 1)) / (m + 1))
        return np.asarray((below + uniform * (up_to - below)) / m)


@dataclass(frozen=True, eq=False)
class Lattice:
    """The distribution on support values of which another one is the smooth form.

    ``P(Y <= t)`` is read half-way from the largest support value up to t to the next one, so that
    a support value has the probability of all that is nearer to it than to its neighbours.

    Parameters
    ----------
    law : Law
        Distributions on the line.
    support : ndarray of shape (n_values,)
        Ascending, without repetition, n_values >= 2.
    """

    law: Law
    support: Float64Array

    @property
    def kind(self) -> str:
        """Name of the family."""
        return f"{self.law.kind} on {len(self.support)} values"

    @property
    def n_rows(self) -> int:
        """Number of distributions."""
        return self.law.n_rows

    @property
    def row_size(self) -> int:
        """Numbers that one argument of one row takes."""
        return max(1, self.law.row_size) * len(self.support)

    @property
    def middles(self) -> Float64Array:
        """What lies half-way between neighbours."""
        return np.asarray(self.support[:-1] + np.diff(self.support) / 2)

    def take(self, rows: slice | IntArray) -> Self:
        """Return the law of some rows."""
        return replace(self, law=self.law.take(rows))

    def cdf(self, t: Float64Array) -> Float64Array:
        """Return P(Y <= t)."""
        place = np.searchsorted(self.support, t, side="right")
        last = len(self.support)
        inner = self.law.cdf(self.middles[np.clip(place - 1, 0, last - 2)])
        return np.where(place == 0, 0.0, np.where(place == last, 1.0, inner))

    def quantile(self, levels: Float64Array) -> Float64Array:
        """Return the support values nearest to quantiles."""
        return self.nearest(self.law.quantile(levels))

    def sample(self, uniform: Float64Array) -> Float64Array:
        """Return draws among the support values."""
        return self.nearest(self.law.sample(uniform))

    def nearest(self, values: Float64Array) -> Float64Array:
        """Return the nearest support values; the lower one of two."""
        return self.support[np.searchsorted(self.middles, values, side="left")]

    def probabilities(self) -> Float64Array:
        """Return the probability of every support value, shape (n_rows, n_values)."""
        inner = self.law.cdf(self.middles[None])
        return np.diff(inner, axis=1, prepend=0.0, append=1.0)

    def mean(self) -> Float64Array:
        """Return means."""
        return np.asarray((self.probabilities() * self.support).sum(axis=1))

    def std(self) -> Float64Array:
        """Return standard deviations."""
        chances = self.probabilities()
        gap = self.support - (chances * self.support).sum(axis=1)[:, None]
        return np.asarray(np.sqrt((chances * gap**2).sum(axis=1)))

    def crps(self, y: Float64Array) -> Float64Array:
        """Return the continuous ranked probability score, exact for the steps."""
        low, high = self.support[:-1], self.support[1:]
        inner = self.law.cdf(self.middles[None])
        t = np.clip(y, self.support[0], self.support[-1])[:, None]
        left = np.clip(t - low, 0.0, high - low)  # the part of every gap that is under the label
        score = (inner**2 * left + (1 - inner) ** 2 * (high - low - left)).sum(axis=1)
        return np.asarray(score + np.abs(y - t[:, 0]))

    def pit(self, y: Float64Array, uniform: Float64Array) -> Float64Array:
        """Return P(Y < y) + uniform P(Y = y)."""
        high = self.cdf(y[:, None])[:, 0]
        below = np.searchsorted(self.support, y, side="left") - 1
        before = self.support[np.maximum(below, 0)]
        low = np.where(below < 0, 0.0, self.cdf(before[:, None])[:, 0])
        return np.asarray(low + uniform * (high - low))

    def log_density(self, y: Float64Array) -> Float64Array:
        """Return log probabilities; -inf for what is no support value."""
        chances = self.probabilities()
        place = np.clip(np.searchsorted(self.support, y), 0, len(self.support) - 1)
        chance = np.take_along_axis(chances, place[:, None], axis=1)[:, 0]
        with np.errstate(divide="ignore"):
            return np.where(self.support[place] == y, np.log(np.maximum(chance, 0.0)), -np.inf)
