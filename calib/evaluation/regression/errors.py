"""Calibration errors of predicted distributions: of their quantiles, and of their spread."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_integer, check_option, describe
from calib._border.labels import check_same_length, check_weight
from calib._border.limits import MOST_BINS
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import number_vector
from calib._core.binning import Strategy, cells_between, quantile_edges, quotient
from calib._core.distributions.predictive import PredictiveDistribution

QuantileKind: TypeAlias = Literal["one-sided", "central"]
#: Levels at which quantiles are compared with what happened: .05, .10, ..., .95.
LEVELS = np.arange(1, 20) / 20


def quantile_calibration_error(
    y_true: ArrayLike,
    distribution: PredictiveDistribution,
    *,
    levels: ArrayLike = None,
    kind: QuantileKind = "one-sided",
    sample_weight: ArrayLike = None,
    random_state: RandomState = 0,
) -> float:
    r"""Compute the mean distance between the levels of quantiles and the share of labels below.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values, finite.
    distribution : PredictiveDistribution
        Of every sample; see `predictive_distribution`.
    levels : float or array-like of shape (n_levels,), default=None
        In (0, 1); None means .05, .10, ..., .95.
    kind : {"one-sided", "central"}, default="one-sided"
        Shares of labels below the quantile of the level, or inside the central interval of that
        confidence level. ``"central"`` hides bias: labels that are missed above make up for labels
        that are not missed below.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    random_state : int, RandomState, Generator or None, default=0
        Where labels that meet a step of their distribution lie inside it; without steps nothing is
        drawn.

    Returns
    -------
    error : float
        In [0, 1], lower is better.

    Raises
    ------
    ValueError
        For another kind of distribution, NaN or infinite values, unequal lengths, levels outside
        (0, 1), or an unknown option.

    See Also
    --------
    coverage_curve : The shares themselves.
    pit_uniformity : A test of all levels.

    Notes
    -----
    :math:`\frac{1}{L} \sum_l | \sum_i w_i 1[u_i \le \tau_l] / \sum_i w_i - \tau_l |` with the
    integral transforms u, or ``|2 u - 1|`` for ``"central"``. Chance alone keeps it above 0: about
    :math:`0.31 / \sqrt{n}` where predictions are right; `regression_report` says what is more.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner, S. Ermon. Accurate Uncertainties for Deep Learning Using
       Calibrated Regression. ICML 2018. arXiv:1807.00263

    Examples
    --------
    >>> from calib.evaluation import predictive_distribution, quantile_calibration_error
    >>> distribution = predictive_distribution(mean=[0, 0, 0, 0], std=[1, 1, 1, 1])
    >>> round(quantile_calibration_error([-2, -1, 1, 2], distribution), 4)
    0.1579
    """
    check_option("kind", kind, ("one-sided", "central"))
    tau = LEVELS if levels is None else asked_levels(levels)
    check_distribution(distribution)
    pit = distribution.pit(y_true, random_state)
    weight = check_weight(sample_weight, len(pit))
    return float(np.mean(np.abs(shares(pit, tau, kind, weight) - tau)))


def shares(
    pit: Float64Array, levels: Float64Array, kind: QuantileKind, weight: Float64Array | None
) -> Float64Array:
    """Return which share of labels lies below quantiles, or inside central intervals."""
    place = pit if kind == "one-sided" else np.abs(2.0 * pit - 1.0)
    order = np.argsort(place)
    below = np.searchsorted(place[order], levels, side="right")
    if weight is None:
        return below / len(place)
    mass = np.concatenate([[0.0], np.cumsum(weight[order])])
    return np.asarray(mass[below] / mass[-1])


def expected_normalized_calibration_error(
    y_true: ArrayLike,
    y_mean: ArrayLike,
    y_std: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: Strategy = "quantile",
    sample_weight: ArrayLike = None,
) -> float:
    r"""Compute the mean relative gap between predicted and observed spread (ENCE).

    Samples are binned by the predicted standard deviation; in every bin the root mean squared error
    is compared with the root mean variance that was predicted.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_mean : array-like of shape (n_samples,)
        Predicted means.
    y_std : array-like of shape (n_samples,)
        Predicted standard deviations, > 0.
    n_bins : int >= 1, default=10
        Number of bins.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins of equal mass, equal values in one of them; or of equal width between the least and the
        largest standard deviation.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    error : float
        >= 0, without a unit, lower is better. Bins without samples do not count.

    Raises
    ------
    ValueError
        For NaN or infinite values, standard deviations that are not positive, unequal lengths, or
        an option out of range.

    See Also
    --------
    uncertainty_calibration_error : The same gap in squared units, weighted by samples.

    Notes
    -----
    :math:`\frac{1}{B} \sum_b |\mathrm{RMSE}_b - \mathrm{RMV}_b| / \mathrm{RMV}_b`. Chance alone
    keeps it above 0, with log-normal standard deviations at .127, .061, .019 for 200, 1 000, 10 000
    samples; bins of equal width hold a handful of samples at their end and stay at .267, .202,
    .172. `regression_report` says what is more than chance.

    References
    ----------
    .. [1] D. Levi, L. Gispan, N. Giladi, E. Fetaya. Evaluating and Calibrating Uncertainty
       Prediction in Regression Tasks. Sensors 22, 2022. arXiv:1905.11659

    Examples
    --------
    >>> from calib.evaluation import expected_normalized_calibration_error
    >>> y_mean, y_std = [0, 0, 0, 0], [1, 1, 2, 2]
    >>> expected_normalized_calibration_error([1, -1, 3, -3], y_mean, y_std, n_bins=2)
    0.25
    """
    _, error, variance = _binned(y_true, y_mean, y_std, n_bins, strategy, sample_weight, 1)
    return float(np.nanmean(relative_gaps(error, variance)))


def uncertainty_calibration_error(
    y_true: ArrayLike,
    y_mean: ArrayLike,
    y_std: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: Strategy = "quantile",
    sample_weight: ArrayLike = None,
) -> float:
    r"""Compute the mean gap between predicted variance and squared error (UCE).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_mean : array-like of shape (n_samples,)
        Predicted means.
    y_std : array-like of shape (n_samples,)
        Predicted standard deviations, > 0.
    n_bins : int >= 1, default=10
        Number of bins.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins of equal mass, equal values in one of them; or of equal width between the least and the
        largest variance.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    error : float
        In squared units of y, >= 0, lower is better.

    Raises
    ------
    ValueError
        As `expected_normalized_calibration_error`.

    See Also
    --------
    expected_normalized_calibration_error : The relative gap, without a unit.

    Notes
    -----
    :math:`\sum_b \frac{n_b}{n} |\mathrm{MSE}_b - \mathrm{MV}_b|`. Chance alone keeps it above 0;
    `regression_report` says what is more.

    References
    ----------
    .. [1] M.-H. Laves, S. Ihler, J. F. Fast, L. A. Kahrs, T. Ortmaier. Well-Calibrated Regression
       Uncertainty in Medical Imaging with Deep Learning. MIDL 2020 (PMLR 121).

    Examples
    --------
    >>> from calib.evaluation import uncertainty_calibration_error
    >>> y_mean, y_std = [0, 0, 0, 0], [1, 1, 2, 2]
    >>> uncertainty_calibration_error([1, -1, 3, -3], y_mean, y_std, n_bins=2)
    2.5
    """
    mass, error, variance = _binned(y_true, y_mean, y_std, n_bins, strategy, sample_weight, 2)
    return float(absolute_gaps(mass, error, variance))


def relative_gaps(error: Float64Array, variance: Float64Array) -> Float64Array:
    """Return relative gaps of roots of mean squares, NaN for bins without samples."""
    return np.abs(np.sqrt(quotient(error, variance)) - 1.0)


def absolute_gaps(mass: Float64Array, error: Float64Array, variance: Float64Array) -> Float64Array:
    """Return mean gaps of squares, over bins in the last axis."""
    return np.asarray(np.abs(error - variance).sum(axis=-1) / mass.sum(axis=-1))


def spread_cells(
    spread: Float64Array, n_bins: int, strategy: Strategy, weight: Float64Array | None = None
) -> IntArray:
    """Return the bin of every standard deviation or variance."""
    if strategy == "quantile":
        rank = np.unique(spread, return_inverse=True)[1]  # edges lie in [0, 1]
        place = rank / max(1, int(rank.max()))
        return cells_between(place, quantile_edges(place, n_bins, weight))
    kept = spread if weight is None else spread[weight > 0]
    edges = np.linspace(kept.min(), kept.max(), n_bins + 1)
    return cells_between(spread, edges)


def _binned(
    y_true: ArrayLike,
    y_mean: ArrayLike,
    y_std: ArrayLike,
    n_bins: int,
    strategy: Strategy,
    sample_weight: ArrayLike,
    power: int,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return sums of weights, of squared errors and of variances by bin of a power of the std."""
    n_bins = check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_option("strategy", strategy, ("uniform", "quantile"))
    y, mean, std = (
        number_vector(values, name)
        for values, name in ((y_true, "y_true"), (y_mean, "y_mean"), (y_std, "y_std"))
    )
    check_same_length(len(mean), len(y), "y_mean", "y_true")
    check_same_length(len(std), len(y), "y_std", "y_true")
    if std.min() <= 0:
        row = int(np.argmax(std <= 0))
        raise ValueError(
            f"y_std must be positive; got {std[row]:g} in row {row}; give it a floor, such as "
            f"np.maximum(y_std, 1e-9)"
        )
    weight = check_weight(sample_weight, len(y))
    cells = spread_cells(std**power, n_bins, strategy, weight)
    w = np.ones(len(y)) if weight is None else weight
    mass, error, variance = (
        np.bincount(cells, part, n_bins).astype(np.float64)
        for part in (w, w * (y - mean) ** 2, w * std**2)
    )
    return mass, error, variance


def check_distribution(distribution: object, name: str = "distribution") -> PredictiveDistribution:
    """Return a `PredictiveDistribution`; raise for anything else."""
    if not isinstance(distribution, PredictiveDistribution):
        raise ValueError(
            f"{name} must be a PredictiveDistribution; got {describe(distribution)}; make one with "
            f"predictive_distribution(mean=, std=), (quantiles=, levels=) or (samples=)"
        )
    return distribution


def asked_levels(levels: ArrayLike) -> Float64Array:
    """Return levels inside (0, 1) as a vector."""
    tau = np.atleast_1d(to_numpy(read_array(levels, "levels")))
    if tau.ndim != 1 or not len(tau) or tau.dtype.kind not in "fiu":
        raise ValueError(f"levels must be numbers in (0, 1); got {describe(levels)}")
    if not ((tau > 0) & (tau < 1)).all():
        raise ValueError(f"levels must lie in (0, 1); got {describe(levels)}")
    return tau.astype(np.float64)
