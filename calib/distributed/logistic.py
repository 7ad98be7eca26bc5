"""Platt, beta and quadratic fits whose Newton terms are summed where the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np

from calib._border.typing import Float64Array, LabelArray
from calib._core import links
from calib._core.logistic import (
    FAR_ROWS,
    START_ROWS,
    Design,
    PenaltyOf,
    _objective,
    best_smoothing,
    class_extremes,
    far_ends,
    log_loss,
)
from calib._core.newton import Minimum, minimize
from calib.calibrators import beta, platt, quadratic
from calib.distributed.partitions import Sums, largest
from calib.distributed.rows import Odds, Rows, gather_odds, sample_of_odds

Goals = tuple[Float64Array, Float64Array]


class RemoteOdds:
    """Log-odds of all rows, on the workers, with the passes that the fits make.

    Parameters
    ----------
    rows : Rows
        Pieces of type `Odds`.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.total = rows.total
        sums = rows.sums(_weighted_targets)
        self.ones: Float64Array = sums[0]
        extremes = rows.reduced(largest, _extremes)
        self.high, self.low = extremes[0], -extremes[1]
        top0, bottom0, top1, bottom1 = extremes[2], -extremes[3], extremes[4], -extremes[5]
        self.separable: LabelArray = (top0 <= bottom1) | (top1 <= bottom0)
        self.extremes: Float64Array = np.stack(extremes[2:])
        self._samples: dict[int, Odds] = {}

    @property
    def n_problems(self) -> int:
        return len(self.ones)

    def goals(self, cautious: LabelArray) -> Goals:
        """Return what the targets 0 and 1 stand for, as `cautious_goals`."""
        high = np.where(cautious, (self.ones + 1.0) / (self.ones + 2.0), 1.0)
        return np.where(cautious, 1.0 / (self.total - self.ones + 2.0), 0.0), high

    def bounded(self, share: Float64Array) -> RemoteOdds:
        """Return the log-odds of smoothed probabilities."""
        return RemoteOdds(self.rows.mapped(_bounded, share)) if share.any() else self

    def confined(self) -> RemoteOdds:
        """Return log-odds brought nearer where nothing can matter, as `confined`."""
        step = max(1, self.rows.n_samples // FAR_ROWS)
        sample = gather_odds(self.rows.sample(sample_of_odds, step))
        low, high = far_ends(self.extremes, sample.s, sample.weight)
        if (self.low >= low).all() and (self.high <= high).all():
            return self
        return RemoteOdds(self.rows.mapped(_cut, low, high))

    def column(self, k: int) -> RemoteOdds:
        """Return one problem."""
        return self if self.n_problems == 1 else RemoteOdds(self.rows.mapped(_column, k))

    def sample(self) -> Odds:
        """Return the systematic subsample that one machine would start from."""
        step = max(1, self.rows.n_samples // START_ROWS)
        if step not in self._samples:
            self._samples[step] = gather_odds(self.rows.sample(sample_of_odds, step))
        return self._samples[step]

    def mean(self, function: Any, *arguments: Any) -> Float64Array:
        """Return the weighted mean of ``function(s, *arguments)``, problem by problem."""
        (total,) = self.rows.sums(_weighted_sum, function, *arguments)
        mean: Float64Array = total / self.total
        return mean

    def share(
        self, design: Design, goals: Goals, penalty_of: PenaltyOf | None = None
    ) -> Float64Array:
        """Choose the smoothing of the input on the subsample, as on one machine."""
        part = self.sample()
        return best_smoothing(
            design, part.s, part.target, part.weight, goals, penalty_of, self.total
        )

    def fit(self, design: Design, goals: Goals, penalty: Float64Array | None = None) -> Minimum:
        """Minimise the mean log loss of all problems, as `fit_logistic`."""
        part = self.sample()
        start = np.zeros((self.n_problems, 1 + len(design(part.s[:1]))))
        if len(part.s) < self.rows.n_samples:
            objective = _objective(design, part.s, part.target, part.weight, goals, penalty)
            start = minimize(objective, start, tolerance=1e-6).x

        def mean_loss(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
            sums = self.rows.sums(_newton_terms, design, goals, x)
            value, gradient, hessian = (part / self.total for part in sums)
            if penalty is not None:
                m = np.arange(x.shape[1])
                value += (penalty * x * x).sum(axis=1)
                gradient += 2.0 * penalty * x
                hessian[:, m, m] += 2.0 * penalty
            return value, gradient, hessian

        return minimize(mean_loss, start)

    def loss(self, function: Any, goals: Goals) -> float:
        """Return the mean log loss of ``function(s)`` as log-odds, of a single problem."""
        return float(self.rows.sums(_log_loss, function, goals)[0][0] / self.total)


# ---------------------------------------------------------------------- what the workers do


def _weight_of(part: Odds) -> Float64Array:
    return np.ones(len(part.s)) if part.weight is None else part.weight


def _weighted_targets(part: Odds) -> Sums:
    return (np.einsum("i,ij->j", _weight_of(part), part.target.astype(np.float64)),)


def _extremes(part: Odds) -> Sums:
    """Return maxima and negated minima of all log-odds, of those with target 0, and with 1."""
    both = [part.s.max(axis=0), (-part.s).max(axis=0)]
    return (*both, *class_extremes(part.s, part.target))


def _cut(part: Odds, low: Float64Array, high: Float64Array) -> Odds:
    return Odds(np.clip(part.s, low, high), part.target, part.weight)


def _bounded(part: Odds, share: Float64Array) -> Odds:
    return Odds(links.bounded_log_odds(part.s, share, np), part.target, part.weight)


def _column(part: Odds, k: int) -> Odds:
    return part.column(k)


def _weighted_sum(part: Odds, function: Any, *arguments: Any) -> Sums:
    return (np.einsum("i,ij->j", _weight_of(part), function(part.s, *arguments)),)


def _newton_terms(part: Odds, design: Design, goals: Goals, x: Float64Array) -> Sums:
    objective = _objective(design, part.s, part.target, part.weight, goals, None)
    return tuple(part.total * term for term in objective(x))


def _log_loss(part: Odds, function: Any, goals: Goals) -> Sums:
    return (part.total * log_loss(function(part.s), part.target, part.weight, goals),)


# ---------------------------------------------------------------------- the three methods


def fit_platt(cal: platt.PlattCalibrator, odds: RemoteOdds) -> list[int]:
    """Set the fitted attributes of Platt scaling; return the problems that did not converge."""
    smooth = cal.smooth_targets

    def parts(odds: RemoteOdds) -> tuple[Design, Goals, Float64Array, Float64Array]:
        centre = 0.5 * odds.high + 0.5 * odds.low
        half = 0.5 * odds.high - 0.5 * odds.low
        unit = np.where(half > 0, half, 1.0)
        cautious = odds.separable if smooth == "auto" else np.full(odds.n_problems, smooth)

        def design(block: Float64Array) -> tuple[Float64Array, ...]:
            return ((block - centre) / unit,)

        return design, odds.goals(cautious), centre, unit

    cal.input_smoothing_ = np.zeros(odds.n_problems)
    if cal.smooth_input is True or (cal.smooth_input == "auto" and cal.input == "proba"):
        design, goals, _, _ = parts(odds)
        cal.input_smoothing_ = odds.share(design, goals)
        odds = odds.bounded(cal.input_smoothing_)
    design, goals, centre, unit = parts(odds)
    minimum = odds.fit(design, goals)
    cal.slope_ = minimum.x[:, 1] / unit
    cal.intercept_ = minimum.x[:, 0] - cal.slope_ * centre
    cal.n_evaluations_ = minimum.n_evaluations
    return np.flatnonzero(~minimum.converged).tolist()


def fit_beta(cal: beta.BetaCalibrator, odds: RemoteOdds) -> list[int]:
    """Set the fitted attributes of beta calibration; return the problems that did not converge."""
    cal.smoothing_ = 1.0 / (odds.total + 1.0)
    cal.input_smoothing_ = np.zeros(odds.n_problems)
    goals = odds.goals(odds.separable)
    if cal.smooth_input is True or (cal.smooth_input == "auto" and cal.input == "proba"):
        cal.input_smoothing_ = odds.share(beta._logarithms, goals)
        odds = odds.bounded(cal.input_smoothing_)
    scale = np.maximum(odds.mean(np.abs), 1e-12)
    centres = (odds.mean(_itself), odds.mean(beta.bend))
    spread = np.sqrt(odds.mean(_squared_distance, centres[0], scale))
    unit = scale * np.where(spread > beta.ROUNDING, spread, np.inf)

    def design(block: Float64Array) -> tuple[Float64Array, ...]:
        return (block - centres[0]) / unit, (beta.bend(block) - centres[1]) / unit

    penalty = np.zeros((odds.n_problems, 3))
    penalty[:, 2] = beta.BEND_PENALTY * cal.smoothing_
    minimum = odds.fit(design, goals, penalty)
    line, bend = minimum.x[:, 1] / unit, minimum.x[:, 2] / unit
    intercept = minimum.x[:, 0] - line * centres[0] - bend * centres[1]
    x = np.stack([intercept, line + bend, line - bend], axis=1)
    converged = minimum.converged.copy()
    for k in np.flatnonzero((x[:, 1:] < 0.0).any(axis=1) | ~converged):
        one = (goals[0][k : k + 1], goals[1][k : k + 1])
        x[k], converged[k] = _non_negative(odds.column(int(k)), float(scale[k]), one)
    cal.intercept_ = x[:, 0] + beta.LOG_TWO * (x[:, 1] - x[:, 2])
    cal.coef_ = x[:, 1:].copy()
    return np.flatnonzero(~converged).tolist()


def _non_negative(odds: RemoteOdds, scale: float, goals: Goals) -> tuple[Float64Array, bool]:
    """Fit one problem with at least one of the two coefficients at 0."""
    best, found, converged = np.inf, np.zeros(3), True
    for kept in (0, 1):

        def design(block: Float64Array, j: int = kept) -> tuple[Float64Array, ...]:
            return (beta._logarithms(block)[j] / scale,)

        minimum = odds.fit(design, goals)
        if minimum.x[0, 1] > 0.0 and minimum.value[0] < best:
            best, converged = float(minimum.value[0]), bool(minimum.converged[0])
            found = np.zeros(3)
            found[[0, 1 + kept]] = minimum.x[0] / [1.0, scale]
    if best == np.inf:  # a constant
        mean = goals[0][0] + (goals[1][0] - goals[0][0]) * odds.ones[0] / odds.total
        found[0] = np.log(mean) - np.log(1.0 - mean)
    return found, converged


def fit_quadratic(cal: quadratic.QuadraticCalibrator, odds: RemoteOdds) -> list[int]:
    """Set the fitted attributes of the quadratic map; return the problems that did not converge."""
    cal.smoothing_ = 1.0 / (odds.total + 1.0)
    cal.input_smoothing_ = np.zeros(odds.n_problems)
    goals = odds.goals(odds.separable)
    if cal.smooth_input is True or (cal.smooth_input == "auto" and cal.input == "proba"):
        cal.input_smoothing_ = odds.share(
            quadratic._for_choice, goals, quadratic.penalty_for_choice(odds.total)
        )
        odds = odds.bounded(cal.input_smoothing_)
    unit = np.maximum(np.maximum(odds.high, -odds.low), np.finfo(np.float64).tiny)
    cal.centre_ = unit * odds.mean(_scaled, unit)
    spread = unit * np.sqrt(odds.mean(_squared_distance, cal.centre_, unit))
    cal.scale_ = np.where(spread > 0, spread, 1.0)
    odds = RemoteOdds(odds.rows.mapped(_standardised, cal.centre_, cal.scale_))
    penalty = np.zeros((odds.n_problems, 3))
    penalty[:, 2] = quadratic.CURVATURE_PENALTY / odds.total
    minimum = odds.fit(quadratic._parabola, goals, penalty)
    cal.coef_ = minimum.x.copy()
    cal.low_, cal.high_ = odds.low.copy(), odds.high.copy()
    if cal.monotone:
        _straighten(cal, odds, goals)
    return np.flatnonzero(~minimum.converged).tolist()


def _straighten(cal: quadratic.QuadraticCalibrator, odds: RemoteOdds, goals: Goals) -> None:
    """Cut every parabola at a vertex inside its range, or replace it by a line."""
    coef, low, high = cal.coef_, cal.low_, cal.high_
    bent = np.flatnonzero(coef[:, 2] != 0.0)
    vertex = np.full(len(coef), np.inf)
    vertex[bent] = -coef[bent, 1] / (2.0 * coef[bent, 2])
    inside = (vertex > low) & (vertex < high)
    falling = ~inside & (coef[:, 1] + coef[:, 2] * (low + high) < 0.0)
    for k in np.flatnonzero(inside | falling):
        one = (goals[0][k : k + 1], goals[1][k : k + 1])
        part = odds.column(int(k))
        line = part.fit(_line, one).x[0]
        line[1] = max(line[1], 0.0)
        if line[1] == 0.0:
            mean = one[0][0] + (one[1][0] - one[0][0]) * part.ones[0] / part.total
            line[0] = np.log(mean) - np.log(1.0 - mean)
        cut = (max(vertex[k], low[k]), high[k]) if coef[k, 2] > 0 else (low[k], vertex[k])
        straight = part.loss(_Polynomial(np.array([*line, 0.0]), (-np.inf, np.inf)), one)
        curved = part.loss(_Polynomial(coef[k].copy(), cut), one) if inside[k] else np.inf
        if straight <= curved:
            coef[k] = [*line, 0.0]
        else:
            low[k], high[k] = cut


class _Polynomial:
    """``a + b x + c x^2`` of cut x."""

    def __init__(self, coef: Float64Array, cut: tuple[float, float]) -> None:
        self.coef, self.cut = coef, cut

    def __call__(self, x: Float64Array) -> Float64Array:
        x = np.clip(x, *self.cut)
        out: Float64Array = self.coef[0] + x * (self.coef[1] + self.coef[2] * x)
        return out


def _line(u: Float64Array) -> tuple[Float64Array, ...]:
    return (u,)


def _itself(s: Float64Array) -> Float64Array:
    return s


def _scaled(s: Float64Array, unit: Float64Array) -> Float64Array:
    return s / unit


def _squared_distance(s: Float64Array, centre: Float64Array, unit: Float64Array) -> Float64Array:
    out: Float64Array = ((s - centre) / unit) ** 2
    return out


def _standardised(part: Odds, centre: Float64Array, scale: Float64Array) -> Odds:
    return Odds((part.s - centre) / scale, part.target, part.weight)
