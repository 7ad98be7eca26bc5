"""Logistic regression on a few functions of the log-odds, one class against the rest at a time.

Every map of the form ``expit(a + b1 f1(s) + ... + bm fm(s))`` is fitted here: Platt scaling, the
quadratic map, beta calibration. Sums run over cache-sized blocks, and a subsample provides the
starting point, so that full passes are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, LabelArray
from calib._core.links import bounded_log_odds
from calib._core.newton import Minimum, minimize
from calib._core.scores import Scores

#: Rows of the systematic subsample that provides the starting point of a large fit.
START_ROWS = 1 << 14
#: Log-odds held at a time (16 MB): as many classes as fit are solved side by side.
CHUNK_ELEMENTS = 1 << 21

#: How far outside the range of both targets log-odds count as they are, in widths of that range.
FAR = 30.0
#: Quantile of the distances from its middle that is typical, and rows that it is taken from.
FAR_QUANTILE, FAR_ROWS = 0.3, 1024

#: Log-odds of absent classes count up to this size, so that no sum overflows.
LARGEST = 1e30

#: Bounds of the log-odds that are tried, in units of ``log(2 n + 1)``; without a bound first.
BOUNDS = (np.inf, 4.0, 2.0, 1.0, 0.7, 0.5, 0.35)

#: Features of a block of log-odds (n_rows, n_problems): a tuple of arrays of that shape.
Design: TypeAlias = Callable[[Float64Array], tuple[Float64Array, ...]]
#: Penalty of a fit to log-odds (n_rows, n_problems) with weights: shape (n_problems, n_unknowns).
PenaltyOf: TypeAlias = Callable[[Float64Array, Float64Array | None], Float64Array]


def one_vs_rest_problems(
    scores: Scores, target: Float64Array
) -> Iterator[tuple[slice, Float64Array, LabelArray]]:
    """Yield log-odds and targets, shape (n_samples, n_problems), for some problems at a time.

    Two classes make one problem, that of the second class; K classes make K problems.
    """
    if scores.n_classes == 2:
        yield slice(0, 1), scores.log_odds()[:, None], target[:, None]
        return
    n_samples, n_classes = scores.n_samples, scores.n_classes
    top = np.empty(n_samples, dtype=np.intp)
    peak, total, rest_of_top = np.empty((3, n_samples))
    for rows, z in scores:
        index = np.arange(len(z))
        top[rows] = z.argmax(axis=1)
        peak[rows] = z[index, top[rows]]
        total[rows] = np.exp(z - peak[rows, None]).sum(axis=1)
        others = z.copy()
        others[index, top[rows]] = -np.inf
        runner_up = others.max(axis=1)
        others = np.exp(others - runner_up[:, None]).sum(axis=1)
        rest_of_top[rows] = runner_up + np.log(others)
    step = max(1, CHUNK_ELEMENTS // n_samples)
    for start in range(0, n_classes, step):
        columns = slice(start, min(start + step, n_classes))
        index = np.arange(columns.start, columns.stop)
        z = scores.logit_columns(columns)
        is_top = top[:, None] == index
        share = np.exp(z - peak[:, None])
        share[is_top] = 0.0  # any number: replaced below
        rest = peak[:, None] + np.log(total[:, None] - share)
        z -= np.where(is_top, rest_of_top[:, None], rest)
        yield columns, z, target[:, None] == index


def confined_problems(
    scores: Scores, target: Float64Array, weight: Float64Array | None
) -> Iterator[tuple[slice, Float64Array, LabelArray]]:
    """Yield the same with log-odds far beyond all that can matter, as of masks, brought nearer."""
    for columns, s, t in one_vs_rest_problems(scores, target):
        yield columns, confined(s, t, weight), t


def confined(s: Float64Array, target: LabelArray, weight: Float64Array | None) -> Float64Array:
    """Return log-odds cut where every increasing map that fits is certain, (n_samples, n_problems).

    What matters is the range in which both targets occur; see `far_ends`.
    """
    step = max(1, len(s) // FAR_ROWS)
    part = None if weight is None else weight[::step]
    low, high = far_ends(class_extremes(s, target), s[::step], part)
    if (s.min(axis=0) >= low).all() and (s.max(axis=0) <= high).all():
        return s
    return np.clip(s, low, high)


def class_extremes(s: Float64Array, target: LabelArray) -> Float64Array:
    """Return largest log-odds and negated smallest of target 0, then of 1, (4, n_problems)."""
    zeros, ones = target < 1, target > 0
    out = [
        np.where(chosen, side, -np.inf).max(axis=0) for chosen in (zeros, ones) for side in (s, -s)
    ]
    return np.stack(out)


def far_ends(
    extremes: Float64Array, sample: Float64Array, weight: Float64Array | None
) -> tuple[Float64Array, Float64Array]:
    """Return the log-odds beyond which nothing can matter to a fit, each (n_problems,).

    They lie `FAR` times as far outside the range in which both targets occur as that range is
    wide, or as scores typically are from its middle. A map steep enough to matter inside it is
    certain there.

    Parameters
    ----------
    extremes : ndarray of shape (4, n_problems)
        From `class_extremes`.
    sample : ndarray of shape (n_rows, n_problems)
        Some of the log-odds.
    weight : ndarray of shape (n_rows,) or None
        Their weights.
    """
    top0, bottom0, top1, bottom1 = extremes[0], -extremes[1], extremes[2], -extremes[3]
    first, second = np.minimum(top0, top1), np.maximum(bottom0, bottom1)
    known = np.isfinite(first) & np.isfinite(second)  # both targets occur
    first, second = np.where(known, first, 0.0), np.where(known, second, 0.0)
    middle, width = 0.5 * first + 0.5 * second, np.abs(0.5 * first - 0.5 * second)
    with np.errstate(over="ignore"):
        away = np.abs(sample - middle)
    order = np.argsort(away, axis=0)
    mass = np.cumsum(np.ones(away.shape) if weight is None else weight[order], axis=0)
    place = (mass < FAR_QUANTILE * mass[-1] * (1.0 - 1e-12)).sum(axis=0)
    problem = np.arange(away.shape[1])
    typical = away[order[np.minimum(place, len(away) - 1), problem], problem]
    with np.errstate(over="ignore"):
        reach = FAR * (
            width + np.where(typical > 0, typical, np.minimum(away.max(axis=0), LARGEST))
        )
    reach = np.where(known, reach, np.minimum(reach, LARGEST))
    return middle - width - reach, middle + width + reach


def fit_logistic(
    design: Design,
    s: Float64Array,
    target: LabelArray,
    weight: Float64Array | None,
    goals: tuple[Float64Array, Float64Array],
    *,
    penalty: Float64Array | None = None,
) -> Minimum:
    """Minimise the mean log loss of some problems side by side.

    Parameters
    ----------
    design : callable
        Features of log-odds; the intercept is not among them.
    s, target : ndarray of shape (n_samples, n_problems)
        Log-odds, and targets in [0, 1].
    weight : ndarray of shape (n_samples,) or None
    goals : pair of ndarray of shape (n_problems,)
        What the targets 0 and 1 stand for.
    penalty : ndarray of shape (n_problems, 1 + n_features) or None
        Factor of every squared coefficient in the mean loss, the intercept first.

    Returns
    -------
    minimum : Minimum
        Intercept and coefficients, one row a problem.
    """
    n_features = len(design(s[:1]))
    start = np.zeros((s.shape[1], 1 + n_features))
    step = max(1, len(s) // START_ROWS)
    if step > 1:  # a subsample brings the start close, so that full passes are few
        part = None if weight is None else weight[::step]
        coarse = _objective(design, s[::step], target[::step], part, goals, penalty)
        start = minimize(coarse, start, tolerance=1e-6).x
    return minimize(_objective(design, s, target, weight, goals, penalty), start)


def choose_smoothing(
    design: Design,
    s: Float64Array,
    target: LabelArray,
    weight: Float64Array | None,
    goals: tuple[Float64Array, Float64Array],
    penalty_of: PenaltyOf | None = None,
) -> Float64Array:
    """Return the share of smoothing of the input that fits each problem best, shape (n_problems,).

    Scores of forests are exactly 0 or 1 here and there, those of naive Bayes as good as that; their
    log-odds would rule every fit. Networks may be sure and right. The log loss of the fit itself
    tells which is the case: the map has the same number of coefficients at any share.

    Parameters
    ----------
    design, s, target, weight, goals
        As for `fit_logistic`.
    penalty_of : callable or None
        Penalty for bounded log-odds. What the final fit is penalised for must be here too: a share
        at which only an unpenalised fit is good is no use to it.
    """
    total = float(len(s) if weight is None else weight.sum())
    step = max(1, len(s) // START_ROWS)
    weight = None if weight is None else weight[::step]
    return best_smoothing(design, s[::step], target[::step], weight, goals, penalty_of, total)


def best_smoothing(
    design: Design,
    s: Float64Array,
    target: LabelArray,
    weight: Float64Array | None,
    goals: tuple[Float64Array, Float64Array],
    penalty_of: PenaltyOf | None,
    total: float,
) -> Float64Array:
    """Return what `choose_smoothing` does, from some of the samples; `total` weighs all."""
    share, best = np.zeros(s.shape[1]), np.full(s.shape[1], np.inf)
    for bound in BOUNDS:
        candidate = smoothing_share(total, bound)
        bounded = bounded_log_odds(s, np.asarray(candidate), np)
        start = np.zeros((s.shape[1], 1 + len(design(s[:1]))))
        penalty = None if penalty_of is None else penalty_of(bounded, weight)
        objective = _objective(design, bounded, target, weight, goals, penalty)
        value = minimize(objective, start, tolerance=1e-6).value
        better = value < best - 1e-9
        share[better], best[better] = candidate, value[better]
    return share


def smoothing_share(total: float, bound: float) -> float:
    """Return the share that keeps log-odds within ``bound log(2 total + 1)``."""
    return min(1.0, 2.0 * float((2.0 * total + 1.0) ** -bound))


def _objective(
    design: Design,
    s: Float64Array,
    target: LabelArray,
    weight: Float64Array | None,
    goals: tuple[Float64Array, Float64Array],
    penalty: Float64Array | None,
) -> Callable[[Float64Array], tuple[Float64Array, Float64Array, Float64Array]]:
    """Mean log loss with its gradient and Hessian, problem by problem."""
    low, high = goals
    total = float(len(s) if weight is None else weight.sum())

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        n_problems, m = x.shape
        value, gradient = np.zeros(n_problems), np.zeros((n_problems, m))
        hessian = np.zeros((n_problems, m, m))
        for rows in row_blocks(*s.shape):
            features = design(s[rows])
            eta = x[:, 0] + sum(x[:, 1 + j] * f for j, f in enumerate(features))
            decay = np.exp(-np.abs(eta))
            goal = low + (high - low) * target[rows]
            loss = np.maximum(eta, 0.0) + np.log1p(decay) - goal * eta
            slope = np.where(eta >= 0, 1.0, decay) / (1.0 + decay) - goal
            bend = decay / (1.0 + decay) ** 2
            if weight is not None:
                w = weight[rows, None]
                loss, slope, bend = loss * w, slope * w, bend * w
            value += loss.sum(axis=0)
            gradient[:, 0] += slope.sum(axis=0)
            hessian[:, 0, 0] += bend.sum(axis=0)
            for j, f in enumerate(features):
                gradient[:, 1 + j] += np.einsum("ij,ij->j", slope, f)
                leverage = bend * f
                hessian[:, 0, 1 + j] += leverage.sum(axis=0)
                for k in range(j, m - 1):
                    hessian[:, 1 + j, 1 + k] += np.einsum("ij,ij->j", leverage, features[k])
        upper = np.triu_indices(m, 1)
        hessian[:, upper[1], upper[0]] = hessian[:, upper[0], upper[1]]
        value, gradient, hessian = value / total, gradient / total, hessian / total
        if penalty is not None:
            value += (penalty * x * x).sum(axis=1)
            gradient += 2.0 * penalty * x
            hessian[:, np.arange(m), np.arange(m)] += 2.0 * penalty
        return value, gradient, hessian

    return objective


def log_loss(
    eta: Float64Array,
    target: LabelArray,
    weight: Float64Array | None,
    goals: tuple[Float64Array, Float64Array],
) -> Float64Array:
    """Return the mean log loss of log-odds `eta`, shape (n_problems,)."""
    goal = goals[0] + (goals[1] - goals[0]) * target
    loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta))) - goal * eta
    return np.asarray(np.average(loss, axis=0, weights=weight))


def separable(s: Float64Array, target: LabelArray) -> LabelArray:
    """Return which problems some threshold splits without error, shape (n_problems,)."""
    top0, bottom0, top1, bottom1 = class_extremes(s, target)
    return np.asarray((top0 <= -bottom1) | (top1 <= -bottom0))


def cautious_goals(
    target: LabelArray, weight: Float64Array | None, cautious: LabelArray
) -> tuple[Float64Array, Float64Array]:
    """Return what the targets 0 and 1 stand for: Platt's smoothed ones where `cautious` says so.

    References
    ----------
    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    total = float(len(target) if weight is None else weight.sum())
    ones = (target if weight is None else target * weight[:, None]).sum(axis=0, dtype=np.float64)
    high = np.where(cautious, (ones + 1.0) / (ones + 2.0), 1.0)
    low = np.where(cautious, 1.0 / (total - ones + 2.0), 0.0)
    return low, high
