"""Averages of quantile functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from calib._border.typing import Float64Array, IntArray
from calib._core.distributions.score_law import ScoreLaw
from calib._core.distributions.scores import LOG_ROOT

#: Rounding of scores that ends a search, and most steps of it.
CONVERGED, MOST_STEPS = 1e-13, 200
#: Normal scores beyond which products of quantiles have no weight, panels, nodes of each.
EDGE, N_PANELS, N_NODES = 10.0, 24, 8


@dataclass(frozen=True, eq=False)
class QuantileAverage:
    """``Q(u) = sum_j w_j Q_j(u)``: quantile functions averaged (Vincentisation).

    Parameters
    ----------
    laws : tuple of ScoreLaw
        Of the same rows.
    weights : tuple of float
        Positive, sum 1.

    Notes
    -----
    With u the level of y in the pool, its score is ``sum_j w_j CRPS_j(Q_j(u))``: the integrals of
    F^2 and (1 - F)^2 over y are integrals over levels against Q, which is a sum. Exact up to the
    search of u. Standard deviations take covariances of two members from a quadrature over normal
    scores, accurate to 1e-4 of them.
    """

    laws: tuple[ScoreLaw, ...]
    weights: tuple[float, ...]
    kind: str = "averaged quantiles"

    @property
    def n_rows(self) -> int:
        """Number of distributions."""
        return self.laws[0].n_rows

    @property
    def row_size(self) -> int:
        """Numbers that one argument of one row takes."""
        return sum(law.row_size for law in self.laws) + N_PANELS * N_NODES

    def take(self, rows: slice | IntArray) -> Self:
        """Return the law of some rows."""
        return replace(self, laws=tuple(law.take(rows) for law in self.laws))

    def cdf(self, t: Float64Array) -> Float64Array:
        """Return P(Y <= t)."""
        return np.asarray(ndtr(self.scores(t)))

    def quantile(self, levels: Float64Array) -> Float64Array:
        """Return quantiles."""
        return self.at(np.asarray(ndtri(levels)))

    def sample(self, uniform: Float64Array) -> Float64Array:
        """Return draws made of uniform random numbers."""
        return self.quantile(uniform)

    def at(self, scores: Float64Array) -> Float64Array:
        """Return quantiles at normal scores."""
        return self._summed(law.at(scores) for law in self.laws)

    def mean(self) -> Float64Array:
        """Return means."""
        return self._summed(law.mean() for law in self.laws)

    def std(self) -> Float64Array:
        """Return standard deviations."""
        x, mass = _nodes()
        centred = [law.at(x[None]) - law.mean()[:, None] for law in self.laws]
        total = np.zeros(self.n_rows)
        for i, weight in enumerate(self.weights):
            total += (weight * self.laws[i].std()) ** 2
            for j in range(i):
                cross = np.ascontiguousarray(centred[i] * centred[j] * mass).sum(axis=1)
                total += 2 * weight * self.weights[j] * cross
        return np.sqrt(np.maximum(total, 0.0))

    def crps(self, y: Float64Array) -> Float64Array:
        """Return the continuous ranked probability score."""
        scores = self.scores(y[:, None])
        return self._summed(law.crps(law.at(scores)[:, 0]) for law in self.laws)

    def pit(self, y: Float64Array, uniform: Float64Array) -> Float64Array:
        """Return P(Y < y) + uniform P(Y = y)."""
        low, high = (ndtr(self.scores(y[:, None], lower=lower)[:, 0]) for lower in (True, False))
        return np.asarray(low + uniform * (high - low))

    def log_density(self, y: Float64Array) -> Float64Array:
        """Return log densities; an atom of all members is spread as in theirs."""
        scores = self.scores(y[:, None])
        slope = self._summed(law.slope(scores) for law in self.laws)[:, 0]
        z = np.clip(scores[:, 0], -1e150, 1e150)
        with np.errstate(divide="ignore"):
            density = -0.5 * z * z - LOG_ROOT - np.log(slope)
        atom = slope == 0
        if atom.any():
            inner = self.take(np.flatnonzero(atom))
            each = [law.log_density_at(law.at(scores[atom])) for law in inner.laws]
            logs = np.stack([values[:, 0] for values in each])
            density[atom] = -np.log(np.asarray(self.weights) @ np.exp(-logs))
        return density

    def scores(self, t: Float64Array, *, lower: bool = False) -> Float64Array:
        """Return normal scores of P(Y <= t), or of P(Y < t) if `lower`.

        The level of t in the pool lies between its levels in the members; Newton's steps inside a
        bracket, which is halved where they leave it.
        """
        each = np.stack([law.scores(t, lower=lower) for law in self.laws])
        low, high = each.min(axis=0), each.max(axis=0)
        score = self._summed(each)
        open_ = high - low > CONVERGED * (1 + np.abs(score))
        for step in range(MOST_STEPS):
            if not open_.any():
                break
            gap = self._summed(law.at(score) - t for law in self.laws)
            slope = self._summed(law.slope(score) for law in self.laws)
            under = gap < 0 if lower else gap <= 0
            low, high = np.where(open_ & under, score, low), np.where(open_ & ~under, score, high)
            size = CONVERGED * (1 + np.abs(score))
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                move = np.where(slope > 0, np.abs(gap) / slope, np.inf)
            # a small step may stop at a knot whose other side is flat: go a little beyond the root
            move = np.where(under, 1.0, -1.0) * (move + 2 * size * (move <= size))
            new = score + move
            inside = (new > low) & (new < high) & ((step < 8) | (step % 4 < 3))
            middle = np.sinh(0.5 * (np.arcsinh(low) + np.arcsinh(high)))  # brackets may be huge
            new = np.where(inside, new, np.clip(middle, low, high))
            open_ = open_ & (high - low > 5 * size)
            score = np.where(open_, new, score)
        return score

    def _summed(self, parts: object) -> Float64Array:
        total = 0.0
        for weight, part in zip(self.weights, parts, strict=True):  # type: ignore[call-overload]
            total = total + weight * part
        return np.asarray(total)


def _nodes() -> tuple[Float64Array, Float64Array]:
    """Return normal scores and weights of a quadrature against the normal density."""
    x, w = np.polynomial.legendre.leggauss(N_NODES)
    half = EDGE / N_PANELS
    centres = -EDGE + half * (2 * np.arange(N_PANELS) + 1)
    nodes = (centres[:, None] + half * x).ravel()
    mass = np.tile(half * w, N_PANELS) * np.exp(-0.5 * nodes**2 - LOG_ROOT)
    return nodes, mass / mass.sum()
