"""Logistic regression on a few functions of the log-odds, one class against the rest at a time.

Every map of the form ``expit(a + b1 f1(s) + ... + bm fm(s))`` is fitted here: Platt scaling, the
quadratic map, beta calibration. Sums run over cache-sized blocks, and a subsample provides the
starting point, so that full passes are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.arrays import row_blocks
from calib._border.checks import check_option
from calib._border.typing import Float64Array, InputKind, LabelArray
from calib._border.warn import warn
from calib._core.estimators.targets import against_rest, second_share
from calib._core.links import bounded_log_odds
from calib._core.newton import Minimum, Objective, minimize
from calib._core.rows import LocalRows, Part, Rows, ScoredPart, Sums, largest_entries
from calib._core.scores import Scores

#: Rows of the systematic subsample that provides the starting point of a large fit.
START_ROWS = 1 << 14
#: Log-odds of a part held at a time (16 MB): as many classes as fit are solved side by side.
CHUNK_ELEMENTS = 1 << 21

#: How far outside the range of both targets log-odds count as they are, in widths of that range.
FAR = 30.0
#: Quantile of the distances from its middle that is typical, and rows that it is taken from.
FAR_QUANTILE, FAR_ROWS = 0.3, 1024

#: Log-odds of absent classes count up to this size, so that no sum overflows.
LARGEST = 1e30

#: Bounds of the log-odds that are tried, in units of ``log(2 n + 1)``; without a bound first.
BOUNDS = (np.inf, 4.0, 2.0, 1.0, 0.7, 0.5, 0.35)

LOG_TWO = float(np.log(2.0))

#: Features of a block of log-odds (n_rows, n_problems): a tuple of arrays of that shape.
Design: TypeAlias = Callable[[Float64Array], tuple[Float64Array, ...]]
#: What the targets 0 and 1 stand for, each of shape (n_problems,).
Goals: TypeAlias = tuple[Float64Array, Float64Array]


@dataclass(frozen=True)
class Odds(Part):
    """Log-odds of some rows, one problem a column.

    Attributes
    ----------
    s, target : ndarray of shape (n_samples, n_problems)
    weight : ndarray of shape (n_samples,) or None
    """

    s: Float64Array
    target: LabelArray
    weight: Float64Array | None


@dataclass(frozen=True)
class _Ranked(Part):
    """Scores with what the log-odds of every class need, each of shape (n_samples,).

    Attributes
    ----------
    scores, target, weight
        As of `ScoredPart`.
    top : ndarray of int
        Column of the largest logit.
    peak, sum_of_exp : ndarray
        That logit, and the sum of all exponentials relative to it.
    rest_of_top : ndarray
        Logarithm of the sum of the exponentials of the other classes.
    """

    scores: Scores
    target: LabelArray
    weight: Float64Array | None
    top: LabelArray
    peak: Float64Array
    sum_of_exp: Float64Array
    rest_of_top: Float64Array


def one_vs_rest(rows: Rows) -> Iterator[tuple[slice, Rows]]:
    """Yield the places of some problems and rows of their `Odds`.

    Two classes make one problem, that of the second class; K classes make K problems.
    """
    if rows.n_classes == 2:
        yield slice(0, 1), rows.mapped(_binary_odds)
        return
    n_classes = rows.n_classes
    ranked = rows.mapped(_ranked)
    step = max(1, CHUNK_ELEMENTS // rows.largest_part)
    for start in range(0, n_classes, step):
        columns = slice(start, min(start + step, n_classes))
        yield columns, ranked.mapped(_odds_of_classes, columns)


def _binary_odds(part: ScoredPart) -> Odds:
    return Odds(part.scores.log_odds()[:, None], second_share(part.target)[:, None], part.weight)


def _ranked(part: ScoredPart) -> _Ranked:
    n_samples = part.n_samples
    top = np.empty(n_samples, dtype=np.intp)
    peak, total, rest_of_top = np.empty((3, n_samples))
    for rows, z in part.scores:
        index = np.arange(len(z))
        top[rows] = z.argmax(axis=1)
        peak[rows] = z[index, top[rows]]
        total[rows] = np.exp(z - peak[rows, None]).sum(axis=1)
        others = z.copy()
        others[index, top[rows]] = -np.inf
        runner_up = others.max(axis=1)
        others = np.exp(others - runner_up[:, None]).sum(axis=1)
        rest_of_top[rows] = runner_up + np.log(others)
    return _Ranked(part.scores, part.target, part.weight, top, peak, total, rest_of_top)


def _odds_of_classes(part: _Ranked, columns: slice) -> Odds:
    index = np.arange(columns.start, columns.stop)
    z = part.scores.logit_columns(columns)
    is_top = part.top[:, None] == index
    share = np.exp(z - part.peak[:, None])
    share[is_top] = 0.0  # any number: replaced below
    rest = part.peak[:, None] + np.log(part.sum_of_exp[:, None] - share)
    z -= np.where(is_top, part.rest_of_top[:, None], rest)
    return Odds(z, against_rest(part.target, columns), part.weight)


class Regressions:
    """One-vs-rest problems, with the sums over their rows that fits are made of.

    Parameters
    ----------
    rows : Rows
        Of `Odds`.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.total = rows.total

    @cached_property
    def extremes(self) -> Float64Array:
        """Largest log-odds and negated smallest of target 0, then of 1, (4, n_problems)."""
        (extremes,) = self.rows.reduce(_class_extremes, by=largest_entries)
        return np.asarray(extremes)

    @cached_property
    def ones(self) -> Float64Array:
        """Sum of the targets, (n_problems,)."""
        return np.asarray(self.rows.reduce(_sum_of_targets)[0])

    @property
    def low(self) -> Float64Array:
        """Smallest log-odds, (n_problems,)."""
        return np.asarray(-np.maximum(self.extremes[1], self.extremes[3]))

    @property
    def high(self) -> Float64Array:
        """Largest log-odds, (n_problems,)."""
        return np.asarray(np.maximum(self.extremes[0], self.extremes[2]))

    @property
    def separable(self) -> LabelArray:
        """Which problems some threshold splits without error, (n_problems,)."""
        return _are_apart(self.extremes)

    def goals(self, cautious: LabelArray) -> Goals:
        """Return what the targets 0 and 1 stand for: Platt's smoothed ones where `cautious`.

        References
        ----------
        J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
        """
        high = np.where(cautious, (self.ones + 1.0) / (self.ones + 2.0), 1.0)
        low = np.where(cautious, 1.0 / (self.total - self.ones + 2.0), 0.0)
        return low, high

    def constant(self, goals: Goals) -> Float64Array:
        """Return the log-odds of the mean goal, (n_problems,): the best constant."""
        mean = goals[0] + (goals[1] - goals[0]) * self.ones / self.total
        return np.asarray(np.log(mean) - np.log(1.0 - mean))

    def mean(self, function: Callable[..., Float64Array], *arguments: Any) -> Float64Array:
        """Return the weighted mean of ``function(s, *arguments)``, problem by problem."""
        return np.asarray(self.rows.reduce(_sum_of, function, *arguments)[0] / self.total)

    def loss(
        self, goals: Goals, function: Callable[..., Float64Array], *arguments: Any
    ) -> Float64Array:
        """Return the mean log loss of ``function(s, *arguments)`` as log-odds, by problem."""
        sums = self.rows.reduce(_sum_of_losses, goals, function, *arguments)
        return np.asarray(sums[0] / self.total)

    def moved(self, function: Callable[..., Float64Array], *arguments: Any) -> Regressions:
        """Return the problems with ``function(s, *arguments)`` in place of the log-odds."""
        return Regressions(self.rows.mapped(_moved, function, *arguments))

    def bounded(self, share: Float64Array) -> Regressions:
        """Return the log-odds of probabilities mixed with the uniform distribution."""
        return self.moved(bounded_log_odds, share, np) if share.any() else self

    def confined(self) -> Regressions:
        """Return log-odds cut where every increasing map that fits is certain.

        What matters is the range in which both targets occur; see `far_ends`.
        """
        sample = self.rows.every(max(1, self.rows.n_samples // FAR_ROWS)).part
        low, high = far_ends(self.extremes, sample.s, sample.weight)
        if (self.low >= low).all() and (self.high <= high).all():
            return self
        return self.moved(np.clip, low, high)

    def column(self, k: int) -> Regressions:
        """Return one problem."""
        return Regressions(self.rows.mapped(_column, k))


def _class_extremes(part: Odds) -> Sums:
    return (class_extremes(part.s, part.target),)


def _sum_of_targets(part: Odds) -> Sums:
    return (_weighted(part.target, part.weight).sum(axis=0, dtype=np.float64),)


def _sum_of(part: Odds, function: Callable[..., Float64Array], *arguments: Any) -> Sums:
    return (_weighted(function(part.s, *arguments), part.weight).sum(axis=0),)


def _sum_of_losses(
    part: Odds, goals: Goals, function: Callable[..., Float64Array], *arguments: Any
) -> Sums:
    losses = _losses(function(part.s, *arguments), part.target, goals)
    return (_weighted(losses, part.weight).sum(axis=0),)


def _weighted(values: LabelArray, weight: Float64Array | None) -> LabelArray:
    return values if weight is None else values * weight[:, None]


def _moved(part: Odds, function: Callable[..., Float64Array], *arguments: Any) -> Odds:
    return Odds(function(part.s, *arguments), part.target, part.weight)


def _column(part: Odds, k: int) -> Odds:
    return Odds(part.s[:, k : k + 1], part.target[:, k : k + 1], part.weight)


def confined_problems(rows: Rows) -> Iterator[tuple[slice, Regressions]]:
    """Yield places and problems, log-odds far beyond all that can matter brought nearer."""
    for columns, odds in one_vs_rest(rows):
        yield columns, Regressions(odds).confined()


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
    design: Design, rows: Rows, goals: Goals, *, penalty: Float64Array | None = None
) -> Minimum:
    """Minimise the mean log loss of some problems side by side.

    Parameters
    ----------
    design : callable
        Features of log-odds; the intercept is not among them.
    rows : Rows
        Of `Odds`.
    goals : pair of ndarray of shape (n_problems,)
        What the targets 0 and 1 stand for.
    penalty : ndarray of shape (n_problems, 1 + n_features) or None
        Factor of every squared coefficient in the mean loss, the intercept first.

    Returns
    -------
    minimum : Minimum
        Intercept and coefficients, one row a problem.
    """
    start = _at_zero(design, rows.every(max(1, rows.n_samples // START_ROWS)))
    return minimize_on(rows, start, lambda some: mean_loss(design, some, goals, penalty))


def minimize_on(
    rows: Rows, start: Float64Array, objective_of: Callable[[Rows], Objective]
) -> Minimum:
    """Minimise an objective of all rows from where a subsample has its minimum, if they are many.

    Parameters
    ----------
    rows : Rows
    start : ndarray of shape (n_problems, n_unknowns)
    objective_of : callable
        The objective, given rows.
    """
    step = max(1, rows.n_samples // START_ROWS)
    if step > 1:  # so that full passes are few
        start = minimize(objective_of(rows.every(step)), start, tolerance=1e-6).x
    return minimize(objective_of(rows), start)


def _at_zero(design: Design, sample: LocalRows) -> Float64Array:
    s = sample.part.s
    return np.zeros((s.shape[1], 1 + len(design(s[:1]))))


def centred_logarithms(s: Float64Array) -> tuple[Float64Array, ...]:
    """Return ``log p + log 2`` and ``-log(1 - p) - log 2`` of log-odds: both 0 at even odds.

    They are ``s / 2 -+ log cosh(s / 2)``, without cancellation at either end.
    """
    half = 0.5 * s
    size = np.abs(half)
    small = np.log1p(2.0 * np.sinh(0.5 * np.minimum(size, 1.0)) ** 2)
    bend = np.where(size <= 1.0, small, size + np.log1p(np.exp(-2.0 * size)) - LOG_TWO)
    return half - bend, half + bend


def choose_smoothing(
    design: Design,
    rows: Rows,
    goals: Goals,
    penalty_of: Callable[[Regressions], Float64Array] | None = None,
) -> Float64Array:
    """Return the share of smoothing of the input that fits each problem best, shape (n_problems,).

    Scores of forests are exactly 0 or 1 here and there, those of naive Bayes as good as that; their
    log-odds would rule every fit. Networks may be sure and right. The log loss of the fit itself
    tells which is the case: the map has the same number of coefficients at any share.

    Parameters
    ----------
    design, rows, goals
        As for `fit_logistic`; a subsample is looked at.
    penalty_of : callable or None
        Penalty of a fit to bounded log-odds, shape (n_problems, n_unknowns). What the final fit is
        penalised for must be here too: a share at which only an unpenalised fit is good is no use
        to it.
    """
    sample = rows.every(max(1, rows.n_samples // START_ROWS))
    start = _at_zero(design, sample)
    share, best = np.zeros(len(start)), np.full(len(start), np.inf)
    for bound in BOUNDS:
        candidate = smoothing_share(rows.total, bound)
        bounded = sample.mapped(_moved, bounded_log_odds, np.asarray(candidate), np)
        penalty = None if penalty_of is None else penalty_of(Regressions(bounded))
        value = minimize(mean_loss(design, bounded, goals, penalty), start, tolerance=1e-6).value
        better = value < best - 1e-9
        share[better], best[better] = candidate, value[better]
    return share


def smooths_input(smooth_input: object, source: InputKind) -> bool:
    """Return whether a fit bounds log-odds: what ``smooth_input`` says, "auto" by the source."""
    check_option("smooth_input", smooth_input, ("auto", True, False))
    return source == "proba" if smooth_input == "auto" else bool(smooth_input)


def warn_of_classes(text: str, failed: list[int], classes: LabelArray, n_problems: int) -> None:
    """Warn of the problems that did not converge, by their classes."""
    if failed:
        named = classes[failed if n_problems > 1 else [1]].tolist()
        warn(f"{text} for classes {named}", ConvergenceWarning)


def smoothing_share(total: float, bound: float) -> float:
    """Return the share that keeps log-odds within ``bound log(2 total + 1)``."""
    return min(1.0, 2.0 * float((2.0 * total + 1.0) ** -bound))


def mean_loss(design: Design, rows: Rows, goals: Goals, penalty: Float64Array | None) -> Objective:
    """Return the mean log loss with its gradient and Hessian, problem by problem."""
    total = rows.total

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        value, gradient, hessian = (part / total for part in rows.reduce(_terms, design, goals, x))
        if penalty is not None:
            unknowns = np.arange(x.shape[1])
            value += (penalty * x * x).sum(axis=1)
            gradient += 2.0 * penalty * x
            hessian[:, unknowns, unknowns] += 2.0 * penalty
        return value, gradient, hessian

    return objective


def _terms(part: Odds, design: Design, goals: Goals, x: Float64Array) -> Sums:
    """Return sums of the log loss, its gradient and its Hessian."""
    low, high = goals
    n_problems, m = x.shape
    value, gradient = np.zeros(n_problems), np.zeros((n_problems, m))
    hessian = np.zeros((n_problems, m, m))
    for rows in row_blocks(*part.s.shape):
        features = design(part.s[rows])
        eta = x[:, 0] + sum(x[:, 1 + j] * f for j, f in enumerate(features))
        decay = np.exp(-np.abs(eta))
        goal = low + (high - low) * part.target[rows]
        loss = np.maximum(eta, 0.0) + np.log1p(decay) - goal * eta
        slope = np.where(eta >= 0, 1.0, decay) / (1.0 + decay) - goal
        bend = decay / (1.0 + decay) ** 2
        if part.weight is not None:
            w = part.weight[rows, None]
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
    return value, gradient, hessian


def binomial_loss(
    eta: Float64Array, target: LabelArray, weight: Float64Array | None, goals: Goals
) -> Float64Array:
    """Return the mean log loss of log-odds `eta`, shape (n_problems,)."""
    return np.asarray(np.average(_losses(eta, target, goals), axis=0, weights=weight))


def _losses(eta: Float64Array, target: LabelArray, goals: Goals) -> Float64Array:
    goal = goals[0] + (goals[1] - goals[0]) * target
    return np.asarray(np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta))) - goal * eta)


def separable(s: Float64Array, target: LabelArray) -> LabelArray:
    """Return which problems some threshold splits without error, shape (n_problems,)."""
    return _are_apart(class_extremes(s, target))


def _are_apart(extremes: Float64Array) -> LabelArray:
    top0, bottom0, top1, bottom1 = extremes[0], -extremes[1], extremes[2], -extremes[3]
    return np.asarray((top0 <= bottom1) | (top1 <= bottom0))
