"""Tests of calibration with a known law: Spiegelhalter, Hosmer-Lemeshow, Cox, in-the-large.

The normal and chi-squared laws hold where many events are in doubt. Every test comes with the rule
that says so, and with its statistic as a function of redrawn events for where they do not.

All of them take probabilities of one event, the events and positive weights. Under the null
hypothesis events are independent with exactly these probabilities, so the null variance of a
weighted sum ``sum w (y - p)`` is ``sum w^2 p (1 - p)``: weights are importances of independent
samples, not numbers of copies, and the level of a test does not depend on their scale.
"""

from __future__ import annotations

import math

import numpy as np

from calib._border.arrays import PROBA_FLOOR
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core import binning
from calib._core.logistic import Odds, binomial_loss, fit_logistic, separable
from calib._core.newton import find_root
from calib._core.rows import LocalRows
from calib.evaluation.sampling.redrawn_labels import Outcome, Statistic

#: Bracket of the intercept in log-odds: beyond it every probability is 0 or 1 in float64.
LARGEST_INTERCEPT = 400.0
#: Share of a weight by which rounding may move sums that should be equal.
ROUNDING = 1e-12

#: Hosmer-Lemeshow has its chi-squared law if all expected counts are at least the first and four
#: fifths of them at least the second (Cochran's rule).
SMALLEST_EXPECTED, USUAL_EXPECTED, USUAL_SHARE = 1.0, 5.0, 0.8
EXACT_LAW = "Poisson binomial, two-sided"


def poisson_binomial(p: Float64Array) -> Float64Array:
    """Return the probability of every number of independent events, shape (n_samples + 1,).

    Products of polynomials in pairs, by fast Fourier transforms; absolute error about 1e-15.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    rows = np.stack([1.0 - p, p], axis=1)
    while len(rows) > 1:
        if len(rows) % 2:
            rows = np.pad(rows, ((0, 1), (0, 0)))
            rows[-1, 0] = 1.0
        length = 2 * rows.shape[1] - 1
        size = next_fast_len(length, real=True)
        spectrum = rfft(rows, size, axis=1)
        rows = irfft(spectrum[::2] * spectrum[1::2], size, axis=1)[:, :length]
    return np.asarray(np.maximum(rows[0, : len(p) + 1], 0.0))


def exact_in_the_large(p: Float64Array, y: Float64Array) -> float:
    """Return the probability of a number of events at least as far from its expectation."""
    expected = float(p.sum())
    distance = np.abs(np.arange(len(p) + 1) - expected)
    reached = distance >= abs(float(y.sum()) - expected) - 1e-9
    return min(1.0, float(poisson_binomial(p)[reached].sum()))


def two_sided(total: float, variance: float) -> tuple[float, float]:
    """Return z and its p-value; without variance any deviation is impossible, none is no news."""
    from scipy.special import ndtr

    if variance > 0:
        z = total / math.sqrt(variance)
        return z, float(2.0 * ndtr(-abs(z)))
    return (0.0, 1.0) if total == 0 else (math.copysign(math.inf, total), 0.0)


def upper_tail(statistic: float, degrees: float) -> float:
    """Return the p-value of a chi-squared statistic; without degrees only 0 is possible."""
    from scipy.special import chdtrc

    if degrees > 0 and math.isfinite(statistic):
        return float(chdtrc(degrees, max(statistic, 0.0)))
    return 1.0 if statistic == 0 else 0.0


def spiegelhalter(p: Float64Array, y: Float64Array, w: Float64Array) -> Outcome:
    """Compare the Brier score with its expectation."""
    slope = 1.0 - 2.0 * p
    variance = float(np.sum((w * slope) ** 2 * p * (1.0 - p)))
    z, p_value = two_sided(float(np.sum(w * (y - p) * slope)), variance)
    note = (
        ""
        if variance > 0 or z != 0
        else "spiegelhalter cannot tell: every prediction is 0, 1/2 or 1, where the Brier score "
        "does not vary"
    )
    return Outcome(z, p_value, "N(0, 1), two-sided", {}, note)


def in_the_large(p: Float64Array, y: Float64Array, w: Float64Array) -> Outcome:
    """Compare the sums of events and predictions; estimate the shift that would equate them."""
    difference = float(w @ (y - p))
    z, p_value = two_sided(difference, float(w**2 @ (p * (1.0 - p))))
    total, expected, observed = float(w.sum()), float(w @ p), float(w @ y)
    intercept, error = _intercept(_log_odds(p), y, w)
    ratio = observed / expected if expected > 0 else math.inf if observed > 0 else math.nan
    estimates = {
        "intercept": intercept,
        "standard_error": error,
        "observed_to_expected": ratio,
        "mean_difference": difference / total,
    }
    return Outcome(z, p_value, "N(0, 1), two-sided", estimates)


def absolute_gap(coefficient: Float64Array, p: Float64Array) -> Statistic:
    """Return ``|sum c (y - p)|`` as a function of redrawn events."""
    expected = float(coefficient @ p)
    return lambda events: np.abs(np.einsum("ri,i->r", events, coefficient) - expected)


def cox_score(p: Float64Array, w: Float64Array) -> Statistic:
    """Return the score statistic of intercept and slope 1 as a function of redrawn events."""
    s = _log_odds(p)
    bend = w**2 * p * (1.0 - p)
    total = float(bend.sum())
    centred = s - (float(bend @ s) / total if total > 0 else 0.0)
    scale = float(np.abs(centred).max()) or 1.0
    columns = [w, w * centred / scale]  # orthogonal under the null law
    variances = [float(bend.sum()), float(bend @ (centred / scale) ** 2)]
    known = [(c, v) for c, v in zip(columns, variances, strict=True) if v > 0]

    def statistic(events: Float64Array) -> Float64Array:
        out = np.zeros(len(events))
        for coefficient, variance in known:
            out += absolute_gap(coefficient, p)(events) ** 2 / variance
        return out

    return statistic


def hosmer_lemeshow_statistic(p: Float64Array, w: Float64Array, n_groups: int) -> Statistic:
    """Return the statistic as a function of redrawn events; `p` ascends."""
    cells = _hosmer_lemeshow_cells(p, w, n_groups)
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    mass, squares, expected, opposite, chance = (
        np.add.reduceat(values, starts)
        for values in (w, w**2, w * p, w * (1.0 - p), w**2 * p * (1.0 - p))
    )
    open_ = chance > 0
    scale = (squares * (expected / mass) * (opposite / mass))[open_]

    def statistic(events: Float64Array) -> Float64Array:
        observed = np.add.reduceat(events * w, starts, axis=1)
        gap = observed - expected
        out = (gap[:, open_] ** 2 / scale).sum(axis=1)
        impossible = (np.abs(gap[:, ~open_]) > ROUNDING * mass[~open_]).any(axis=1)
        return np.where(impossible, np.inf, out)

    return statistic


def hosmer_lemeshow_is_chi_squared(p: Float64Array, w: Float64Array, n_groups: int) -> bool:
    """Return whether groups expect enough events and non-events for the chi-squared law."""
    cells = _hosmer_lemeshow_cells(p, w, n_groups)
    mass, squares, expected, opposite = (
        np.bincount(cells, values, minlength=n_groups) for values in (w, w**2, w * p, w * (1.0 - p))
    )
    filled = mass > 0
    rarer = np.minimum(expected, opposite)[filled]
    counts = (mass[filled] / squares[filled]) * rarer
    return bool(
        counts.min() >= SMALLEST_EXPECTED and np.mean(counts >= USUAL_EXPECTED) >= USUAL_SHARE
    )


def _hosmer_lemeshow_cells(p: Float64Array, w: Float64Array, n_groups: int) -> IntArray:
    plain = bool((w == w[0]).all())
    edges = binning.quantile_edges(p, n_groups, None if plain else w)
    return binning.cells_between(p, edges)


def hosmer_lemeshow(
    p: Float64Array, y: Float64Array, w: Float64Array, n_groups: int, *, fitted: bool
) -> Outcome:
    """Compare observed and expected counts in groups of equal mass."""
    cells = _hosmer_lemeshow_cells(p, w, n_groups)
    sums = np.stack(
        [
            np.bincount(cells, values, minlength=n_groups)
            for values in (w, w**2, w * p, w * (1.0 - p), w * y, w**2 * p * (1.0 - p))
        ]
    )
    mass, squares, expected, opposite, observed, chance = sums[:, sums[0] > 0]
    gap, mean, rest = observed - expected, expected / mass, opposite / mass
    open_ = chance > 0  # both outcomes are possible
    statistic = float(np.sum(gap[open_] ** 2 / (squares * mean * rest)[open_]))
    if (np.abs(gap[~open_]) > ROUNDING * mass[~open_]).any():
        statistic = math.inf
    smallest = (mass**2 / squares * np.minimum(mean, rest)).min()
    estimates = {"n_groups": float(len(mass)), "smallest_expected": float(smallest)}
    degrees = int(open_.sum()) - (2 if fitted else 0)
    if degrees < 1 and open_.any():
        note = "hosmer_lemeshow is undefined: two groups or fewer for predictions fitted to them"
        return Outcome(statistic, math.nan, "undefined", estimates, note)
    blind = not open_.any() and statistic == 0
    note = "hosmer_lemeshow cannot tell: every prediction is 0 or 1" if blind else ""
    p_value = upper_tail(statistic, degrees)
    return Outcome(statistic, p_value, f"chi2({max(degrees, 0)})", estimates, note)


def cox(p: Float64Array, y: Float64Array, w: Float64Array) -> Outcome:
    """Fit events on log-odds; perfect predictions have intercept 0 and slope 1."""
    s = _log_odds(p)[:, None]
    target = y[:, None] > 0
    goals = (np.zeros(1), np.ones(1))
    at_null = float(binomial_loss(s, target, w, goals)[0])
    flat = bool((s == s[0]).all())
    design = np.ones((len(s), 1)) if flat else np.column_stack([np.ones(len(s)), s])
    slope = intercept = math.nan
    note = ""
    if flat:
        intercept, _ = _intercept(s[:, 0], y, w)
        at_best = float(binomial_loss(np.clip(s + intercept, -800, 800), target, w, goals)[0])
        note = "cox has no slope: all predictions are equal; it tests the intercept alone"
    elif separable(s, target)[0]:
        at_best = _separated_loss(s[:, 0], target[:, 0], w)
        note = (
            "cox has no finite slope: a threshold separates the events, so the likelihood grows "
            "without end (the test takes its limit)"
        )
    else:
        best = fit_logistic(lambda z: (z,), LocalRows(Odds(s, target, w)), goals)
        intercept, slope = (float(value) for value in best.x[0])
        at_best = float(best.value[0])
        if not best.converged[0]:
            note = "cox did not converge; its numbers are the best found"
    statistic = 2.0 * float(w.sum()) * max(at_null - at_best, 0.0) / _design_effect(design, p, w)
    degrees = design.shape[1]
    estimates = {"intercept": intercept, "slope": slope}
    return Outcome(statistic, upper_tail(statistic, degrees), f"chi2({degrees})", estimates, note)


def _log_odds(p: Float64Array) -> Float64Array:
    """Return log-odds with 0 and 1 raised and lowered by `PROBA_FLOOR`."""
    q = np.maximum(1.0 - p, PROBA_FLOOR)
    return np.asarray(np.log(np.maximum(p, PROBA_FLOOR)) - np.log(q))


def _intercept(s: Float64Array, y: Float64Array, w: Float64Array) -> tuple[float, float]:
    """Return the shift of log-odds that equates both means, and its standard error."""
    if not (y > 0).any() or (y > 0).all():
        return (math.inf if (y > 0).any() else -math.inf), math.inf
    total = float(w.sum())

    def gap(shift: float) -> tuple[float, float, float]:
        decay = np.exp(-np.abs(s + shift))
        q = np.where(s + shift >= 0, 1.0, decay) / (1.0 + decay)
        bend = decay / (1.0 + decay) ** 2
        parts = (w @ (q - y), w @ bend, w @ (bend * (1.0 - 2.0 * q)))
        return tuple(float(part) / total for part in parts)  # type: ignore[return-value]

    shift = find_root(gap, 0.0, -LARGEST_INTERCEPT, LARGEST_INTERCEPT).x
    decay = np.exp(-np.abs(s + shift))
    bend = decay / (1.0 + decay) ** 2
    information = float(w @ bend)
    error = math.sqrt(float(w**2 @ bend)) / information if information > 0 else math.inf
    return shift, error


def _separated_loss(s: Float64Array, event: LabelArray, w: Float64Array) -> float:
    """Return the limit of the mean log loss where a threshold separates the events.

    Only samples at the threshold itself, where both kinds meet, cost anything in the limit.
    """
    if event.all() or not event.any():
        return 0.0
    rising = s[~event].max() <= s[event].min()
    border = s[event].min() if rising else s[event].max()
    tied = s == border
    rate = float(w[tied & event].sum() / w[tied].sum())
    if rate >= 1.0:
        return 0.0
    entropy = -rate * math.log(rate) - (1.0 - rate) * math.log(1.0 - rate)
    return float(w[tied].sum() / w.sum()) * entropy


def _design_effect(design: Float64Array, p: Float64Array, w: Float64Array) -> float:
    """Return what a weighted likelihood ratio has to be divided by (Rao and Scott).

    The mean eigenvalue of ``H^-1 V``, H being the information and V the null variance of the score;
    the common weight where all weights are equal.
    """
    if (w == w[0]).all():
        return float(w.max())
    bend = p * (1.0 - p)
    information = design.T @ (design * (w * bend)[:, None])
    variance = design.T @ (design * (w**2 * bend)[:, None])
    scale = np.sqrt(np.diag(information))
    if (scale > 0).all():
        information = information / np.outer(scale, scale)
        variance = variance / np.outer(scale, scale)
        if np.linalg.cond(information) < 1e12:
            return float(np.trace(np.linalg.solve(information, variance)) / len(scale))
    return float(np.sum(w * w) / np.sum(w))
