"""Quality of predicted quantiles: ranked probability score and integral transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from calib._border.checks import check_integer, check_option, describe, is_integer
from calib._border.labels import check_same_length, check_weight
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, RandomState
from calib._border.validation import (
    RANGE_TOLERANCE,
    check_quantile_levels,
    number_matrix,
    number_vector,
    percent_hint,
)

LevelWeights: TypeAlias = Literal["auto", "trapezoid", "equal"]
#: Relative differences of steps between levels that count as rounding.
EVEN = 1e-6
#: Largest denominator, and largest multiple of the step, that a lattice is looked for with.
MOST_STEPS, MOST_PARTS = 1_000_000, 8
#: Rounding of multiples of a step.
LATTICE_ROUNDING = 1e-10


@dataclass(frozen=True)
class PitUniformity:
    """Result of `pit_uniformity`.

    Attributes
    ----------
    statistic : float
        Largest distance between the distribution of the values and the uniform one, in [0, 1].
    p_value : float
        Probability of a distance as large under uniformity.
    mean : float
        Mean of the values; 1/2 if predictions are neither too low (larger) nor too high (smaller).
    variance_ratio : float
        Variance over 1/12; above 1 predictions are too sharp, below 1 too wide.
    n_samples : int
        Number of values.
    n_calibration : int or None
        Calibration samples that all values were computed from; None if the test took the values as
        independent.
    """

    statistic: float
    p_value: float
    mean: float
    variance_ratio: float
    n_samples: int
    n_calibration: int | None = None

    def __str__(self) -> str:
        """Return the numbers as lines of text, with what the p-value assumes."""
        assumed = (
            "assuming independent values; values computed from one calibration set are not, and "
            "need n_calibration"
            if self.n_calibration is None
            else f"for values computed from {self.n_calibration} calibration samples"
        )
        return (
            f"distance from uniform {self.statistic:.4f}, p-value {self.p_value:.3g} "
            f"({self.n_samples} values; {assumed})\n"
            f"mean {self.mean:.4f} (1/2 if unbiased), variance ratio {self.variance_ratio:.3f} "
            f"(1 if calibrated)"
        )


def quantile_crps(
    y_true: ArrayLike,
    y_quantiles: ArrayLike,
    *,
    levels: ArrayLike,
    level_weights: LevelWeights = "auto",
    sample_weight: ArrayLike = None,
) -> float:
    r"""Compute the continuous ranked probability score (CRPS) from predicted quantiles.

    Twice the pinball loss, summed over levels with the share of [0, 1] that each of them stands
    for, and averaged over samples: a proper score of all quantiles together, and with many levels
    the CRPS itself.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_quantiles : array-like of shape (n_samples, n_levels)
        Predicted quantiles, finite. They need not ascend (crossing is punished by the score).
    levels : array-like of shape (n_levels,)
        Their levels, in (0, 1), ascending without repetition.
    level_weights : {"auto", "trapezoid", "equal"}, default="auto"
        ``"trapezoid"`` gives a level half the distance between its neighbours, the outermost ones
        taking 0 and 1 for neighbours, where the loss ends. ``"equal"`` is the plain mean of the
        losses, as most tables of quantile forecasts have it. ``"auto"`` is the mean for evenly
        spaced levels (equal steps, tails no wider than a step) and the trapezoid for all others.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    score : float
        In units of y, >= 0, lower is better.

    Raises
    ------
    ValueError
        For NaN or infinite values, text or dates, shapes that do not fit, levels that do not ascend
        in (0, 1), or an unknown option.

    Notes
    -----
    :math:`2 \sum_l v_l (\tau_l - 1[y < q_l]) (y - q_l)`, as
    :math:`\mathrm{CRPS} = 2 \int_0^1 \rho_\tau(y - q_\tau) d\tau`, with
    :math:`v_l = (\tau_{l+1} - \tau_{l-1}) / 2`, :math:`\tau_0 = 0`, :math:`\tau_{L+1} = 1`, or
    :math:`v_l = 1 / L`. Unbiased for that sum. Against the integral the trapezoid is a little low,
    because the loss is concave in the tails, which few quantiles say little about: an exact normal
    distribution, whose CRPS is 0.564, has 0.556 with the eleven levels .025, .05, .1, .2, .35, .5
    and their mirror images, and 0.556 with .1, .2, ..., .9. The mean is exact to O(1 / L^2) at the
    levels ``(l - 1/2) / L``; at ``l / (L + 1)`` it is (L + 1) / L times the trapezoid (0.617 for
    nine levels), and at uneven levels it is no integral. With the single level 1/2 it is the mean
    absolute error.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery. Strictly Proper Scoring Rules, Prediction, and Estimation.
       JASA 102, 2007. doi:10.1198/016214506000001437

    Examples
    --------
    >>> from calib.evaluation import quantile_crps
    >>> quantiles = [[0, 1, 2], [0, 1, 1.5]]
    >>> round(quantile_crps([1, 2], quantiles, levels=[0.1, 0.3, 0.9]), 4)
    0.3575
    >>> round(quantile_crps([1, 2], quantiles, levels=[0.25, 0.5, 0.75]), 4)
    0.625
    """
    check_option("level_weights", level_weights, ("auto", "trapezoid", "equal"))
    y, quantiles, tau = _checked(y_true, y_quantiles, levels)
    weight = check_weight(sample_weight, len(y))
    with np.errstate(over="ignore"):
        loss = _losses(y, quantiles, tau)
        return float(np.average(2 * loss @ _level_weights(tau, level_weights), weights=weight))


def pinball_loss(
    y_true: ArrayLike,
    y_quantiles: ArrayLike,
    *,
    levels: ArrayLike,
    sample_weight: ArrayLike = None,
) -> float:
    r"""Compute the mean pinball loss of predicted quantiles.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_quantiles : array-like of shape (n_samples,) or (n_samples, n_levels)
        Predicted quantiles, finite.
    levels : float or array-like of shape (n_levels,)
        Their levels, in (0, 1), ascending without repetition.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    loss : float
        In units of y, >= 0, lower is better.

    Raises
    ------
    ValueError
        As `quantile_crps`.

    See Also
    --------
    quantile_crps : Twice the loss, with the share of [0, 1] that every level stands for.

    Notes
    -----
    Mean of :math:`(\tau - 1[y < q]) (y - q)` over samples and levels, all levels alike. Of one
    level it is the loss that its quantile minimises.

    References
    ----------
    .. [1] R. Koenker, G. Bassett. Regression Quantiles. Econometrica 46, 1978. doi:10.2307/1913643

    Examples
    --------
    >>> from calib.evaluation import pinball_loss
    >>> pinball_loss([1, 2, 3], [2, 2, 2], levels=0.9)
    0.3333333333333333
    """
    y, quantiles, tau = _checked(y_true, y_quantiles, np.atleast_1d(np.asarray(levels)))
    weight = check_weight(sample_weight, len(y))
    with np.errstate(over="ignore"):
        return float(np.average(_losses(y, quantiles, tau).mean(axis=1), weights=weight))


def _losses(y: Float64Array, quantiles: Float64Array, tau: Float64Array) -> Float64Array:
    difference = y[:, None] - quantiles
    return np.maximum(tau * difference, (tau - 1) * difference)


def quantile_pit(
    y_true: ArrayLike,
    y_quantiles: ArrayLike,
    *,
    levels: ArrayLike,
    random_state: RandomState = None,
) -> Float64Array:
    """Compute randomised probability integral transforms (PIT) from predicted quantiles.

    The level at which the label stands in its predicted distribution. Quantiles tell only between
    which two levels that is; the value is drawn uniformly between them, so that calibrated
    quantiles give exactly uniform values, however few they are.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_quantiles : array-like of shape (n_samples, n_levels)
        Predicted quantiles, finite, ascending in each row (equal ones allowed).
    levels : array-like of shape (n_levels,)
        Their levels, in (0, 1), ascending without repetition.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    pit : ndarray of shape (n_samples,)
        Values in [0, 1].

    Raises
    ------
    ValueError
        As `quantile_crps`; also for quantiles that cross.

    Notes
    -----
    A label between the quantiles of levels a < b gives a number uniform on [a, b], below all of
    them on [0, first], above all on [last, 1]. A label equal to one or more quantiles gives a
    number between the levels around all of these.

    References
    ----------
    .. [1] C. Czado, T. Gneiting, L. Held. Predictive Model Assessment for Count Data. Biometrics
       65, 2009. doi:10.1111/j.1541-0420.2009.01191.x

    Examples
    --------
    >>> from calib.evaluation import quantile_pit
    >>> quantile_pit([0.5, 9], [[0, 1], [0, 1]], levels=[0.25, 0.75], random_state=0).round(2)
    array([0.74, 0.77])
    """
    y, quantiles, tau = _checked(y_true, y_quantiles, levels)
    crossing = (np.diff(quantiles, axis=1) < 0).any(axis=1)
    if crossing.any():
        row = int(np.argmax(crossing))
        raise ValueError(
            f"y_quantiles cross in row {row}: {describe(quantiles[row].tolist())}; sort each row"
        )
    edges = np.concatenate([[0.0], tau, [1.0]])
    below = edges[(quantiles < y[:, None]).sum(axis=1)]
    above = edges[(quantiles <= y[:, None]).sum(axis=1) + 1]
    return np.asarray(below + (above - below) * generator(random_state).random(len(y)))


def pit_uniformity(pit: ArrayLike, n_calibration: object = None) -> PitUniformity:
    """Test whether probability integral transforms are uniform, as calibration demands.

    Conformal p-values, and all values computed from one calibration set, share its error: say how
    many samples it has, or exactly valid values are rejected far too often.

    Parameters
    ----------
    pit : array-like of shape (n_samples,)
        Values of predictive distribution functions at independent labels, in [0, 1]; randomised
        where the distribution has steps (`quantile_pit`). Or conformal p-values of the true labels,
        smoothed or not.
    n_calibration : int >= 1, fitted conformal predictor or None, default=None
        Calibration samples that all values were computed from: their number, or the object that
        made the values, which knows it (its ``n_calibration_``). None takes the values as
        independent, as those of a model fitted to other data are.

    Returns
    -------
    result : PitUniformity
        Kolmogorov-Smirnov statistic with its exact p-value (asymptotic for many samples), mean and
        variance ratio.

    Raises
    ------
    ValueError
        For empty input, NaN, or values outside [0, 1]; for values that repeat on a lattice ``k /
        m``, as conformal p-values without smoothing do, without `n_calibration` or with one that
        contradicts it.

    Notes
    -----
    With n values from m calibration samples the distance has the law of two samples: the
    one-sample law at ``n m / (n + m)``. Exact in the limit for split conformal values, an
    approximation for cross-fitted ones. On a lattice the distance is taken at its points. Assumes
    independent samples otherwise. Weak in the tails. O(n log n).

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui, A. E. Raftery. Probabilistic forecasts, calibration and
       sharpness. JRSS B 69, 2007. doi:10.1111/j.1467-9868.2007.00587.x

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import pit_uniformity
    >>> result = pit_uniformity((np.arange(100) + 0.5) / 100)
    >>> result.mean, round(result.statistic, 3)
    (0.5, 0.005)
    >>> round(pit_uniformity(np.linspace(0.1, 0.9, 80), n_calibration=200).p_value, 3)
    0.584
    """
    values = number_vector(pit, "pit")
    if values.min() < -RANGE_TOLERANCE or values.max() > 1 + RANGE_TOLERANCE:
        raise ValueError(
            f"pit has values outside [0, 1] (min={values.min():.6g}, max={values.max():.6g})"
            f"{percent_hint(values)}"
        )
    count = calibration_count(n_calibration)
    steps = _lattice(values)
    if steps and count is None:
        raise ValueError(
            f"pit repeats multiples of 1/{steps}, as conformal p-values of {steps - 1} calibration "
            f"samples do (or rounded numbers); such values share the error of their calibration "
            f"set. Pass n_calibration (the number of its samples, or the fitted object), or "
            f"continuous values: smoothed p-values, quantile_pit, unrounded numbers"
        )
    if steps and count is not None and (count + 1) % steps:
        raise ValueError(
            f"n_calibration is {count}, but pit repeats multiples of 1/{steps}, which "
            f"{steps - 1} calibration samples give; pass the number of samples these values were "
            f"computed from"
        )
    return uniformity_of(values, count, None if count is None or not steps else count + 1)


def uniformity_of(
    values: Float64Array, n_calibration: int | None, steps: int | None = None
) -> PitUniformity:
    """Return the test of values in [0, 1], at the points of a lattice of so many steps if given."""
    from scipy.stats import kstwo

    n, m = len(values), n_calibration
    statistic = _distance(values, steps)
    size = n if m is None else max(1, round(n * m / (n + m)))
    return PitUniformity(
        statistic=statistic,
        p_value=float(np.clip(kstwo.sf(statistic, size), 0.0, 1.0)),
        mean=float(values.mean()),
        variance_ratio=float(12 * values.var()),
        n_samples=n,
        n_calibration=m,
    )


def _distance(values: Float64Array, steps: int | None) -> float:
    """Return the largest distance from the uniform distribution, at lattice points if there are."""
    ordered = np.sort(values)
    n = len(ordered)
    if steps is not None:
        points = np.arange(steps + 1) / steps
        below = np.searchsorted(ordered, points + 0.5 / steps, side="right") / n
        return float(np.abs(below - points).max())
    rank = np.arange(n)
    return float(max(((rank + 1) / n - ordered).max(), (ordered - rank / n).max()))


def calibration_count(n_calibration: object) -> int | None:
    """Return the number of calibration samples, of a fitted object its own."""
    if n_calibration is None:
        return None
    count = getattr(n_calibration, "n_calibration_", n_calibration)
    if not is_integer(count):
        raise ValueError(
            f"n_calibration must be an integer >= 1, or a fitted object that has n_calibration_; "
            f"got {describe(n_calibration)}"
        )
    return check_integer("n_calibration", count, low=1)


def _lattice(values: Float64Array) -> int:
    """Return m if values in (0, 1] repeat and all are multiples of 1 / m; 0 otherwise."""
    inner = values[(values > 0) & (values < 1)]
    distinct = np.unique(inner)
    if len(distinct) == len(inner) or not len(distinct):
        return 0
    for spacing in (np.diff(distinct, prepend=0.0, append=1.0).min(), float(distinct[0])):
        # differences of a few samples may be multiples of the step only
        for multiple in range(1, MOST_PARTS + 1):
            steps = round(multiple / spacing)
            if steps > MOST_STEPS:
                break
            multiples = distinct * steps
            if (np.abs(multiples - np.rint(multiples)) < LATTICE_ROUNDING * steps).all():
                return steps
    return 0


def _level_weights(tau: Float64Array, kind: LevelWeights) -> Float64Array:
    """Return the share of [0, 1] that every level stands for."""
    around = np.concatenate([[0.0], tau, [1.0]])
    steps = np.diff(tau)
    if kind == "auto":
        step = float(steps.mean()) if len(steps) else 0.5
        even = bool((np.abs(steps - step) <= EVEN * step).all())
        covering = max(tau[0], 1 - tau[-1]) <= step * (1 + EVEN)
        kind = "equal" if even and covering else "trapezoid"
    if kind == "equal":
        return np.full(len(tau), 1 / len(tau))
    return np.asarray(0.5 * (around[2:] - around[:-2]))


def _checked(
    y_true: ArrayLike, y_quantiles: ArrayLike, levels: ArrayLike
) -> tuple[Float64Array, Float64Array, Float64Array]:
    y = number_vector(y_true, "y_true")
    quantiles = number_matrix(y_quantiles, "y_quantiles")
    tau = check_quantile_levels(levels, quantiles, "y_quantiles")
    check_same_length(len(quantiles), len(y), "y_quantiles", "y_true")
    return y, quantiles, tau
