"""Fits of the law of scores: scale, Student's t, tables of ranks, and weights of a pool."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

from calib._border.typing import Float64Array, IntArray
from calib._core.distributions.pool import QuantileAverage
from calib._core.distributions.score_law import ScoreLaw, tail_slopes
from calib._core.distributions.scores import t_log_density
from calib._core.distributions.shapes import LARGEST_SCORE, STANDARD_NORMAL, Shape, StudentShape

#: Degrees of freedom that are tried.
DEGREES = (2.1, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 200.0)
#: Smallest scale, relative change that ends its search, and most steps.
LEAST_SCALE, STEADY, MOST_STEPS = 1e-100, 1e-7, 200
#: Median of the absolute value of a standard normal number.
NORMAL_MEDIAN = 0.6744897501960817
#: Rows with a spread that say something about it.
FEWEST_SPREAD = 2
#: Levels at which weights of a pool are judged.
POOL_LEVELS = (np.arange(39) + 0.5) / 39
#: One of so many ranks, at least one, gives the slope of the tails of a table.
TAIL_SHARE = 20
#: Ranks of residuals that a pool keeps.
POOL_KNOTS = 101
#: Weights of a pool that are as good as nothing.
LEAST_WEIGHT = 1e-6
#: Where the search for weights begins: the share of the best member.
FIRST_SHARE = 0.6


def drawn_scores(
    law: ScoreLaw, y: Float64Array, uniform: Callable[[], Float64Array]
) -> Float64Array:
    """Return normal scores of labels, drawn in level over the plateau that a label stands on."""
    t = y[:, None]
    z = law.scores(t)[:, 0]
    if law.has_plateaus:
        low = law.scores(t, lower=True)[:, 0]
        tied = low < z
        if tied.any():
            first, last = ndtr(low[tied]), ndtr(z[tied])
            z = z.copy()
            z[tied] = ndtri(first + uniform()[tied] * (last - first))
    return np.clip(z, -LARGEST_SCORE, LARGEST_SCORE)


def fitted_scale(z: Float64Array, weight: Float64Array) -> float:
    """Return the root mean square of scores."""
    largest = max(float(np.abs(z).max()), LEAST_SCALE)
    return max(
        largest * float(np.sqrt(np.average((z / largest) ** 2, weights=weight))), LEAST_SCALE
    )


def fitted_student(z: Float64Array, weight: Float64Array) -> StudentShape:
    """Return Student's t about 0 of the largest likelihood among `DEGREES`.

    For each of them the scale is a fixed point, ``s^2 = mean w z^2`` with
    ``w = (df + 1) / (df + (z / s)^2)``.
    """
    if weight.sum() < FEWEST_SPREAD:
        return StudentShape(1.0, DEGREES[-1])
    share = weight / weight.sum()
    square = z * z
    scale = max(weighted_median(np.abs(z), weight) / NORMAL_MEDIAN, LEAST_SCALE)
    best, highest = StudentShape(scale, DEGREES[0]), -np.inf
    for df in DEGREES:
        for _ in range(MOST_STEPS):
            pull = (df + 1) / (df + square / scale**2)
            new = max(float(np.sqrt(share @ (pull * square))), LEAST_SCALE)
            steady = abs(new - scale) <= STEADY * scale
            scale = new
            if steady or scale == LEAST_SCALE:
                break
        likelihood = float(share @ t_log_density(z / scale, df)) - float(np.log(scale))
        if likelihood > highest:
            best, highest = StudentShape(scale, df), likelihood
    return best


def weighted_median(values: Float64Array, weight: Float64Array) -> float:
    """Return the smallest value that half the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    place = np.searchsorted(total, 0.5 * total[-1] * (1 - 1e-12))
    return float(values[order[min(place, len(order) - 1)]])


def rank_table(values: Float64Array, weight: Float64Array, n_knots: int | None = None) -> ScoreLaw:
    """Return the law whose levels at sorted values are ranks over ``n + 1``.

    A weight of k stands for k equal values. Between ranks it is linear in normal scores; a tail
    goes on as the outer twentieth of the ranks, or the outermost two. At most `n_knots` ranks, as
    far from each other as they can be, make a density that is no list of gaps between neighbours.
    """
    total = float(weight.sum())
    if (weight == 1).all():
        v, ranks = np.sort(values), np.arange(1.0, len(values) + 1)
    else:
        v, ranks = _weighted_ranks(values, weight)
    scores = np.asarray(ndtri(ranks / (total + 1)))
    outer = max(1.0, total // TAIL_SHARE)
    inner = np.array([min(ranks[0] + outer, ranks[-1]), max(ranks[-1] - outer, ranks[0])])
    at = np.asarray(ndtri(inner / (total + 1)))
    reached = np.interp(at, scores, v)
    left = (reached[0] - v[0]) / (at[0] - scores[0])
    right = (v[-1] - reached[1]) / (scores[-1] - at[1])
    overall = (v[-1] - v[0]) / (scores[-1] - scores[0])
    size = np.abs(v[[0, -1]]).max()
    ends = tail_slopes(*(np.array([x]) for x in (left, right, overall, size)))
    if n_knots is not None and total > n_knots:
        at = np.asarray(ndtri(np.linspace(ranks[0], ranks[-1], n_knots) / (total + 1)))
        v, scores = np.interp(at, scores, v), at
    return ScoreLaw(v[None], scores, *ends, STANDARD_NORMAL, "ranks")


def _weighted_ranks(
    values: Float64Array, weight: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return sorted values with their ranks: of more than one row the first and the last."""
    order = np.argsort(values, kind="stable")
    v, w = values[order], weight[order]
    before = np.concatenate([[0.0], np.cumsum(w)[:-1]])
    several = w > 1
    copies = 1 + several
    ranks = np.repeat(before + np.minimum(0.5 * (w + 1), 1.0), copies)
    ranks[np.cumsum(copies)[several] - 1] = (before + w)[several]
    rising = np.append(True, np.diff(ranks) > 0)  # weights of nothing leave a rank as it is
    return np.repeat(v, copies)[rising], ranks[rising]


def around_median(law: ScoreLaw, residuals: Shape) -> ScoreLaw:
    """Return the laws of residuals around the medians of given ones."""
    median = law.at(np.zeros((1, 1)))
    ones = np.ones(len(median))
    return ScoreLaw(median, np.zeros(1), ones, ones, residuals, "residuals around the median")


def pooled(laws: list[ScoreLaw], weights: Float64Array) -> ScoreLaw | QuantileAverage:
    """Return the average of quantile functions, without members that have no weight."""
    kept = np.flatnonzero(weights > 0).tolist()
    if len(kept) == 1:
        return laws[kept[0]]
    return QuantileAverage(tuple(laws[j] for j in kept), tuple(float(weights[j]) for j in kept))


def pool_weights(
    quantiles: Float64Array, y: Float64Array, weight: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return the weights of the least mean pinball loss, and losses of rows.

    Parameters
    ----------
    quantiles : ndarray of shape (n_members, n_rows, n_levels)
        Of levels `POOL_LEVELS`, for rows that the members have not seen.
    y : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,)

    Returns
    -------
    weights : ndarray of shape (n_members,)
    first, best : ndarray of shape (n_rows,)
        Losses of the first member, and of the pool.
    """
    from scipy.optimize import minimize

    n_members = len(quantiles)
    share = weight / weight.sum()
    unit = max(float(share @ np.abs(quantiles[0] - y[:, None]).mean(axis=1)), 1e-300)
    gaps = (y[:, None] - quantiles) / unit

    def losses(weights: Float64Array) -> Float64Array:
        gap = np.tensordot(weights, gaps, 1)
        return np.asarray(2 * np.maximum(POOL_LEVELS * gap, (POOL_LEVELS - 1) * gap).mean(axis=1))

    def mean_and_slope(weights: Float64Array) -> tuple[float, Float64Array]:
        gap = np.tensordot(weights, gaps, 1)
        side = (POOL_LEVELS - (gap < 0)) * share[:, None]
        slope = np.array([(side * gaps[j]).sum() for j in range(n_members)])
        scale = 2 / len(POOL_LEVELS)
        return scale * float((side * gap).sum()), scale * slope

    vertices = np.eye(n_members)
    alone = [float(share @ losses(vertex)) for vertex in vertices]
    best = int(np.argmin(alone))
    start = np.full(n_members, (1 - FIRST_SHARE) / (n_members - 1))
    start[best] = FIRST_SHARE
    result = minimize(
        mean_and_slope,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_members,
        constraints={
            "type": "eq",
            "fun": lambda weights: weights.sum() - 1.0,
            "jac": lambda weights: np.ones(n_members),
        },
        options={"maxiter": 60, "ftol": 1e-9},
    )
    weights = np.where(result.x > LEAST_WEIGHT, result.x, 0.0)
    weights = weights / weights.sum() if weights.sum() > 0 else vertices[best]
    if not np.isfinite(weights).all() or alone[best] <= float(share @ losses(weights)):
        weights = vertices[best]
    return weights, unit * losses(vertices[0]), unit * losses(weights)


def held_out_quantiles(
    law: ScoreLaw,
    scores: Float64Array,
    y: Float64Array,
    weight: Float64Array,
    fold: IntArray,
    n_folds: int,
) -> Float64Array:
    """Return quantiles of identity, t and residuals, fitted to the rows of other folds.

    Returns
    -------
    quantiles : ndarray of shape (3, n_rows, 39)
    """
    at = np.asarray(ndtri(POOL_LEVELS))[None]
    median = law.at(np.zeros((1, 1)))
    out = np.empty((3, len(y), len(POOL_LEVELS)))
    out[0] = law.at(at)
    spread = law.has_spread
    for number in range(n_folds):
        test = np.flatnonzero(fold == number)
        rest = fold != number
        told = rest & spread
        student = fitted_student(scores[told], weight[told])
        table = rank_table((y - median[:, 0])[rest], weight[rest], POOL_KNOTS)
        out[1, test] = law.take(test).value_at(student.at(at))
        out[2, test] = median[test] + table.at(at)
    return out
