"""Laws of a score that all rows share: normal and Student's t about 0.

What a shape answers is enough to score any increasing, piecewise linear function of the score in
closed form. `ScoreLaw` of one row answers the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from calib._border.typing import Float64Array
from calib._core.distributions.scores import (
    LOG_ROOT,
    ROOT_OF_PI,
    normal_density,
    t_constant,
    t_log_density,
    t_tail_mean,
)

Moments: TypeAlias = tuple[Float64Array, Float64Array, Float64Array]
#: Normal scores beyond which quantiles of Student's t go on as a line: levels of 1e-138.
SCORE_LIMIT = 25.0
#: Scores that can be squared.
LARGEST_SCORE = 1e150


class Shape(Protocol):
    """A distribution G of a score z; arguments are matrices."""

    def cdf(self, z: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return P(Z <= z), or P(Z < z) if `lower`."""

    def scores(self, z: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return the normal scores of what `cdf` returns."""

    def at(self, scores: Float64Array) -> Float64Array:
        """Return quantiles at normal scores."""

    def slope(self, scores: Float64Array) -> Float64Array:
        """Return the derivative of `at`."""

    def log_density_at(self, z: Float64Array) -> Float64Array:
        """Return log densities."""

    def below(self, z: Float64Array) -> Float64Array:
        """Return the integral of G^2 up to z."""

    def above(self, z: Float64Array) -> Float64Array:
        """Return the integral of (1 - G)^2 from z on."""

    def moments(self, z: Float64Array) -> Moments:
        """Return the integrals of 1, x and x^2 against G up to z, which may be infinite."""


@dataclass(frozen=True, eq=False)
class NormalShape:
    """A normal law with mean 0."""

    scale: float = 1.0

    def cdf(self, z: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return the distribution function."""
        return np.asarray(ndtr(z / self.scale))

    def scores(self, z: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return normal scores."""
        return z / self.scale

    def at(self, scores: Float64Array) -> Float64Array:
        """Return quantiles at normal scores."""
        return scores * self.scale

    def slope(self, scores: Float64Array) -> Float64Array:
        """Return the derivative of `at`."""
        return np.full(scores.shape, self.scale)

    def log_density_at(self, z: Float64Array) -> Float64Array:
        """Return log densities."""
        x = np.clip(z / self.scale, -LARGEST_SCORE, LARGEST_SCORE)
        return np.asarray(-0.5 * x * x - LOG_ROOT - np.log(self.scale))

    def below(self, z: Float64Array) -> Float64Array:
        """Return the integral of the squared distribution function up to z."""
        x = np.clip(z / self.scale, -LARGEST_SCORE, LARGEST_SCORE)
        p = ndtr(x)
        value = p * (x * p + 2 * normal_density(x)) - ndtr(np.sqrt(2.0) * x) / ROOT_OF_PI
        return np.asarray(self.scale * np.maximum(value, 0.0))

    def above(self, z: Float64Array) -> Float64Array:
        """Return the integral of the squared survival function from z on."""
        return self.below(-z)

    def moments(self, z: Float64Array) -> Moments:
        """Return partial moments up to z."""
        x = np.clip(z / self.scale, -LARGEST_SCORE, LARGEST_SCORE)
        p, f = np.asarray(ndtr(x)), normal_density(x)
        return p, -self.scale * f, self.scale**2 * (p - x * f)


@dataclass(frozen=True, eq=False)
class StudentShape:
    """Student's t about 0, with more than two degrees of freedom."""

    scale: float
    df: float

    def cdf(self, z: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return the distribution function."""
        return np.asarray(stdtr(self.df, z / self.scale))

    def scores(self, z: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return normal scores."""
        last, slope = self._edge
        size = np.abs(z)
        inner = np.minimum(
            -ndtri(stdtr(self.df, -np.minimum(size, last) / self.scale)), SCORE_LIMIT
        )
        return np.asarray(np.copysign(inner + np.maximum(size - last, 0.0) / slope, z))

    def at(self, scores: Float64Array) -> Float64Array:
        """Return quantiles at normal scores."""
        last, slope = self._edge
        size = np.abs(scores)
        inner = np.minimum(
            -self.scale * stdtrit(self.df, ndtr(-np.minimum(size, SCORE_LIMIT))), last
        )
        return np.asarray(np.copysign(inner + np.maximum(size - SCORE_LIMIT, 0.0) * slope, scores))

    @cached_property
    def _edge(self) -> tuple[float, float]:
        """The quantile at `SCORE_LIMIT`, and the slope of the line that goes on from there."""
        last = -self.scale * float(stdtrit(self.df, ndtr(-SCORE_LIMIT)))
        log_density = float(self.log_density_at(np.array(last)))
        return last, float(np.exp(-0.5 * SCORE_LIMIT**2 - LOG_ROOT - log_density))

    def slope(self, scores: Float64Array) -> Float64Array:
        """Return the derivative of `at`."""
        x = np.clip(scores, -SCORE_LIMIT, SCORE_LIMIT)
        return np.asarray(np.exp(-0.5 * x * x - LOG_ROOT - self.log_density_at(self.at(x))))

    def log_density_at(self, z: Float64Array) -> Float64Array:
        """Return log densities."""
        return np.asarray(t_log_density(z / self.scale, self.df) - np.log(self.scale))

    def below(self, z: Float64Array) -> Float64Array:
        """Return the integral of the squared distribution function up to z.

        By parts, with the integral of f (df + x^2) f, which is a distribution function of t with
        2 df - 1 degrees.
        """
        x = np.clip(z / self.scale, -LARGEST_SCORE, LARGEST_SCORE)
        p = stdtr(self.df, x)
        inner = stdtr(2 * self.df - 1, x * np.sqrt((2 * self.df - 1) / self.df))
        value = p * (x * p + 2 * t_tail_mean(x, self.df)) - 2 * t_constant(self.df) * inner
        return np.asarray(self.scale * np.maximum(value, 0.0))

    def above(self, z: Float64Array) -> Float64Array:
        """Return the integral of the squared survival function from z on."""
        return self.below(-z)

    def moments(self, z: Float64Array) -> Moments:
        """Return partial moments up to z."""
        x, df = z / self.scale, self.df
        p = np.asarray(stdtr(df, x))
        wide = stdtr(df - 2, x * np.sqrt((df - 2) / df))
        second = df * ((df - 1) / (df - 2) * wide - p)
        return p, -self.scale * t_tail_mean(x, df), self.scale**2 * np.asarray(second)


STANDARD_NORMAL = NormalShape()
