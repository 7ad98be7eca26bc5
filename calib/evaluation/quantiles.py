"""Quality of predicted quantiles: ranked probability score and integral transform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.checks import describe
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, RandomState
from calib._core.labels import check_same_length, check_weight
from calib._core.namespace import to_numpy
from calib._core.reading import read_array
from calib._core.validation import check_matrix
from calib.evaluation.intervals import number_vector


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
    """

    statistic: float
    p_value: float
    mean: float
    variance_ratio: float
    n_samples: int


def quantile_crps(
    y_true: ArrayLike, y_quantiles: ArrayLike, *, levels: ArrayLike, sample_weight: ArrayLike = None
) -> float:
    r"""Compute the continuous ranked probability score (CRPS) from predicted quantiles.

    Twice the pinball loss, averaged over levels and samples: a proper score of all quantiles
    together, and with many evenly spaced levels the CRPS itself.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_quantiles : array-like of shape (n_samples, n_levels)
        Predicted quantiles, finite. They need not ascend (crossing is punished by the score).
    levels : array-like of shape (n_levels,)
        Their levels, in (0, 1), ascending without repetition.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    score : float
        In units of y, >= 0, lower is better.

    Raises
    ------
    ValueError
        For NaN or infinite values, shapes that do not fit, or levels that do not ascend in (0, 1).

    Notes
    -----
    :math:`\frac{2}{L} \sum_l (\tau_l - 1[y < q_l]) (y - q_l)`, as
    :math:`\mathrm{CRPS} = 2 \int_0^1 \rho_\tau(y - q_\tau) d\tau`. Unbiased for that sum; against
    the integral the error of levels ``(l - 1/2) / L`` is O(1 / L^2) for smooth distributions. With
    the single level 1/2 this is the mean absolute error.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery. Strictly Proper Scoring Rules, Prediction, and Estimation.
       JASA 102, 2007. doi:10.1198/016214506000001437

    Examples
    --------
    >>> from calib.evaluation.quantiles import quantile_crps
    >>> round(quantile_crps([1, 2], [[0, 1, 2], [0, 1, 1.5]], levels=[0.1, 0.5, 0.9]), 4)
    0.45
    """
    y, quantiles, tau = _checked(y_true, y_quantiles, levels)
    weight = check_weight(sample_weight, len(y))
    difference = y[:, None] - quantiles
    loss = np.maximum(tau * difference, (tau - 1) * difference)
    return float(np.average(2 * loss.mean(axis=1), weights=weight))


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
    >>> from calib.evaluation.quantiles import quantile_pit
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


def pit_uniformity(pit: ArrayLike) -> PitUniformity:
    """Test whether probability integral transforms are uniform, as calibration demands.

    Parameters
    ----------
    pit : array-like of shape (n_samples,)
        Values of predictive distribution functions at independent labels, in [0, 1]; randomised
        where the distribution has steps (`quantile_pit`).

    Returns
    -------
    result : PitUniformity
        Kolmogorov-Smirnov statistic with its exact p-value (asymptotic for many samples), mean and
        variance ratio.

    Raises
    ------
    ValueError
        For empty input, NaN, or values outside [0, 1].

    Notes
    -----
    Assumes independent samples; conformal values of one calibration set are not quite. Weak in the
    tails. O(n log n).

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui, A. E. Raftery. Probabilistic forecasts, calibration and
       sharpness. JRSS B 69, 2007. doi:10.1111/j.1467-9868.2007.00587.x

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation.quantiles import pit_uniformity
    >>> result = pit_uniformity((np.arange(100) + 0.5) / 100)
    >>> result.mean, round(result.statistic, 3)
    (0.5, 0.005)
    """
    from scipy.stats import kstest

    values = number_vector(pit, "pit")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"pit has values outside [0, 1] (min={values.min():.6g}, max={values.max():.6g})"
        )
    result = kstest(values, "uniform")
    return PitUniformity(
        statistic=float(result.statistic),
        p_value=float(result.pvalue),
        mean=float(values.mean()),
        variance_ratio=float(12 * values.var()),
        n_samples=len(values),
    )


def _checked(
    y_true: ArrayLike, y_quantiles: ArrayLike, levels: ArrayLike
) -> tuple[Float64Array, Float64Array, Float64Array]:
    y = number_vector(y_true, "y_true")
    quantiles = np.asarray(to_numpy(check_matrix(y_quantiles, "y_quantiles")), dtype=np.float64)
    check_same_length(len(quantiles), len(y), "y_quantiles", "y_true")
    tau = to_numpy(read_array(levels, "levels"))
    ascending = (
        tau.ndim == 1
        and len(tau) > 0
        and tau.dtype.kind in "fiu"
        and bool((tau > 0).all() and (tau < 1).all() and (np.diff(tau) > 0).all())
    )
    if not ascending:
        raise ValueError(f"levels must ascend in (0, 1) without repetition; got {describe(levels)}")
    if len(tau) != quantiles.shape[1]:
        raise ValueError(
            f"levels has {len(tau)} entries but y_quantiles has {quantiles.shape[1]} columns"
        )
    return y, quantiles, tau.astype(np.float64)
