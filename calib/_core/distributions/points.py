"""Distributions that are equally weighted points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.distributions.scores import points_crps
from calib._core.distributions.search import picked, rank_in_rows


@dataclass(frozen=True, eq=False)
class Points:
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
    has_density: bool = False

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

    def log_density(self, y: Float64Array) -> Float64Array:
        """Return log densities, which there are none."""
        raise NotImplementedError
