"""Sampling error of any metric: bootstrap intervals, and the floor under perfect calibration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calib._border.checks import check_fraction, check_integer, check_option
from calib._border.random import generator
from calib._border.typing import (
    ArrayLike,
    Float64Array,
    FloatArray,
    IntArray,
    LabelArray,
    RandomState,
)
from calib._core.labels import check_same_length, check_vector, check_weight
from calib._core.namespace import to_numpy
from calib._core.reading import read_array
from calib._core.scores import row_blocks
from calib._core.validation import check_predictions

Metric = Callable[..., float]
#: Indices that may be drawn at once (32 MB).
BATCH_INDICES = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A number and how far chance moves it.

    Attributes
    ----------
    value : float
        The number that the interval holds. Of an error that chance alone keeps above 0, what is
        left without the part of chance; else the metric of the sample. For `consistency_interval`
        the mean of the replicates.
    low, high : float
        Ends of the interval.
    confidence_level : float in (0, 1)
        Nominal probability of the interval.
    mean, median, standard_deviation : float
        Of the replicates. For a bootstrap, ``mean - value`` estimates the bias of the metric.
    n_resamples : int
        Number of replicates.
    usual : float
        The metric of the sample as papers print it (the plug-in value).
    floor, floor_low, floor_high : float
        What a calibrated model would show: mean and range. NaN where it is not known.
    """

    value: float
    low: float
    high: float
    confidence_level: float
    mean: float
    median: float
    standard_deviation: float
    n_resamples: int
    usual: float = math.nan
    floor: float = math.nan
    floor_low: float = math.nan
    floor_high: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.usual):
            object.__setattr__(self, "usual", self.value)

    def __contains__(self, number: float) -> bool:
        """Return whether a number lies in the closed interval."""
        return self.low <= number <= self.high


def metric_interval(
    metric: Metric,
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    groups: ArrayLike = None,
    sample_weight: ArrayLike = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    method: Literal["double", "percentile", "basic", "BCa"] = "double",
    random_state: RandomState = None,
) -> Interval:
    """Compute a bootstrap confidence interval of any metric.

    Samples, or whole groups of them, are drawn with replacement and the metric is computed on each
    draw. Pass `groups` whenever samples are not independent: detections of one image, answers to
    one question, visits of one patient.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_prob) -> float``; called with ``sample_weight=...`` too if weights are
        given. Bind further arguments with `functools.partial`; bind ``labels`` for metrics of this
        package unless labels are integers in 0..n_classes - 1, because a draw may miss a class.
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,) or (n_samples, n_columns)
        Whatever the metric takes; rows are resampled as they are.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample. None resamples single samples.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights that travel with their samples.
    confidence_level : float in (0, 1), default=0.95
        Nominal coverage.
    n_resamples : int >= 2, default=1000
        Number of draws, hence of calls of `metric`; twice as many for ``"double"``.
    method : {"double", "percentile", "basic", "BCa"}, default="double"
        Interval from the draws. ``"double"`` subtracts the bias that the draws show and draws from
        every draw once more, to see how uncertain that correction is: right for means and for
        calibration errors, which are biased upwards. ``"percentile"`` takes the draws as they are
        and doubles a bias; ``"basic"`` reflects them about the value; ``"BCa"`` corrects bias and
        skewness at the cost of one more call per sample or group.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    interval : Interval
        Value, interval and summary of the draws.

    Raises
    ------
    ValueError
        If lengths differ, fewer than two samples or groups are given, or an option is unknown.

    See Also
    --------
    consistency_interval : What a calibrated model would show.

    Notes
    -----
    Assumes that samples (groups) are independent and alike. With value v, draws v* and second draws
    v** (one from each v*), ``"double"`` is ``2 v - mean(v*) +- z sqrt(var(v*) - 2 cov(v*, v** -
    v*))``: the variance of a corrected value whose correction shrinks as the value grows. Its ends
    may pass the bounds of the metric. In simulations with 1,000 samples it held the expected
    calibration error of an overconfident model in 91 to 94 % of data sets at a nominal 95 %
    (``"basic"`` 88 to 90 %, ``"percentile"`` 0 to 60 %). None is valid for a calibration error of
    exactly 0; see `consistency_interval`. The other methods call `scipy.stats.bootstrap`.

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall 1993.
    .. [2] J. Chang, P. Hall. Double-bootstrap methods that use a single double-bootstrap
       simulation. Biometrika 102(1), 2015, 203-214.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import metric_interval
    >>> p = np.linspace(0.01, 0.99, 200)
    >>> y = (np.arange(200) * 0.618 % 1 < p).astype(int)
    >>> interval = metric_interval(lambda y, p: np.mean((y - p) ** 2), y, p, random_state=0)
    >>> print(f"{interval.value:.2f}, {interval.low:.2f} to {interval.high:.2f}")
    0.17, 0.14 to 0.20
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2)
    check_option("method", method, ("double", "percentile", "basic", "BCa"))
    y, p = check_vector(y_true, "y_true"), to_numpy(read_array(y_prob, "y_prob"))
    check_same_length(len(p), len(y), "y_prob", "y_true")
    weight = check_weight(sample_weight, len(y))
    members = None if groups is None else _members(groups, len(y))
    n_units = len(y) if members is None else len(members)
    if n_units < 2:
        unit = "samples" if members is None else "groups"
        raise ValueError(f"a bootstrap needs at least 2 {unit}; got {n_units}")

    def value_of(units: IntArray) -> float:
        rows = units if members is None else np.concatenate([members[u] for u in units])
        if weight is None:
            return float(metric(y[rows], p[rows]))
        return float(metric(y[rows], p[rows], sample_weight=weight[rows]))

    units = np.arange(n_units)
    rng = generator(random_state)
    if method == "double":
        return _double_interval(value_of, n_units, n_resamples, confidence_level, rng)
    from scipy.stats import bootstrap

    result = bootstrap(
        (units,),
        value_of,
        n_resamples=n_resamples,
        batch=max(1, min(n_resamples, BATCH_INDICES // n_units)),
        vectorized=False,
        confidence_level=confidence_level,
        method=method,
        random_state=rng,
    )
    ends = result.confidence_interval
    return _interval(
        value_of(units), ends.low, ends.high, confidence_level, result.bootstrap_distribution
    )


def _double_interval(
    value_of: Callable[[IntArray], float],
    n_units: int,
    n_resamples: int,
    confidence_level: float,
    rng: np.random.Generator,
) -> Interval:
    """Return the normal interval about the bias-corrected value, with the variance of that value.

    Of the second draws only covariances with the first are used, so one each is enough.
    """
    from scipy.special import ndtri

    value = value_of(np.arange(n_units))
    first, second = np.empty((2, n_resamples))
    for replicate in range(n_resamples):
        units = rng.integers(0, n_units, n_units)
        first[replicate] = value_of(units)
        second[replicate] = value_of(units[rng.integers(0, n_units, n_units)])
    centre = 2.0 * value - float(first.mean())
    variance = float(first.var(ddof=1))
    correction = -2.0 * float(np.cov(first, second - first)[0, 1])
    reach = float(ndtri(0.5 + 0.5 * confidence_level)) * np.sqrt(variance + max(correction, 0.0))
    return _interval(value, centre - reach, centre + reach, confidence_level, first)


def consistency_interval(
    metric: Metric,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike = None,
    sample_weight: ArrayLike = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = None,
) -> Interval:
    """Compute what a metric would show if the probabilities were exactly right.

    Labels are redrawn from the predictions themselves, so every replicate is perfectly calibrated;
    what the metric shows then is its floor at this sample size. A calibration error inside this
    interval is no evidence against the model.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_prob) -> float``; called with ``sample_weight=...`` too if weights are
        given.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; handed to the metric as they are.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; None means 0..n_classes - 1.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights for the metric; labels are redrawn independently for every row.
    confidence_level : float in (0, 1), default=0.95
        Share of the replicates between both ends.
    n_resamples : int >= 2, default=1000
        Number of redrawn label vectors, hence of calls of `metric`.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    interval : Interval
        ``value`` and ``mean`` are the mean of the replicates, ``low`` and ``high`` their central
        quantiles.

    Raises
    ------
    ValueError
        If `y_prob` holds no probabilities, labels do not match its columns, or an option is out of
        range.

    See Also
    --------
    metric_interval : Sampling error of the observed value.

    Notes
    -----
    Assumes independent samples. For a proper score the result is not a floor but the expected score
    if the model were right about its own uncertainty: a calibrated model's log loss equals the mean
    entropy of its predictions.

    References
    ----------
    .. [1] J. Bröcker, L. A. Smith. Increasing the Reliability of Reliability Diagrams. Weather and
       Forecasting 22, 2007. doi:10.1175/WAF993.1

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import consistency_interval, expected_calibration_error
    >>> p = np.linspace(0.01, 0.99, 500)
    >>> ece = lambda y, p: expected_calibration_error(y, p, average="binary")
    >>> floor = consistency_interval(ece, p, n_resamples=200, random_state=0)
    >>> print(f"{floor.mean:.2f}, up to {floor.high:.2f}")
    0.05, up to 0.08
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2)
    given = to_numpy(read_array(y_prob, "y_prob"))
    names = None if labels is None else check_vector(labels, "labels")
    placeholder = np.zeros(len(given), dtype=np.intp) if names is None else names[[0] * len(given)]
    _, proba, weight, classes = check_predictions(
        placeholder, y_prob, labels=names, sample_weight=sample_weight
    )
    rng = generator(random_state)
    extra: dict[str, Any] = {} if weight is None else {"sample_weight": weight}
    values = np.empty(n_resamples)
    codes = np.empty(len(proba), dtype=np.intp)
    for replicate in range(n_resamples):
        for rows in row_blocks(*proba.shape):
            block = np.asarray(proba[rows], dtype=np.float64)
            codes[rows] = draw_labels(block, rng.random((1, len(block))))[0]
        values[replicate] = metric(classes[codes], given, **extra)
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return _interval(float(values.mean()), low, high, confidence_level, values)


def draw_labels(proba: FloatArray, uniform: Float64Array) -> IntArray:
    """Draw labels by inverting the cumulative probabilities.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_columns)
        Float64 probabilities; one column is the second of two classes.
    uniform : ndarray of shape (n_replicates, n_samples)
        Numbers in [0, 1).

    Returns
    -------
    codes : ndarray of shape (n_replicates, n_samples)
        Column indices.
    """
    if proba.shape[1] <= 2:
        positive = proba[:, -1] if proba.shape[1] == 1 else proba[:, 1] / proba.sum(axis=1)
        return (uniform < positive).astype(np.intp)
    n_samples, n_classes = proba.shape
    cumulative = np.cumsum(np.maximum(proba, 0.0), axis=1)
    cumulative /= cumulative[:, -1:]
    row = np.arange(n_samples)
    cumulative += row[:, None]  # ascending as a whole, so that one search serves all rows
    found: IntArray = (
        np.searchsorted(cumulative.ravel(), uniform + row, side="right") - row * n_classes
    )
    np.minimum(found, n_classes - 1, out=found)
    return found


def interval_of(
    value: float,
    replicates: Float64Array,
    confidence_level: float,
    *,
    reflect: bool,
    bounds: tuple[float, float],
) -> Interval:
    """Return the percentile interval, or the reflected (basic) one within `bounds`."""
    tail = (1 - confidence_level) / 2
    low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
    if reflect:
        low, high = 2 * value - high, 2 * value - low
        low, high = (float(np.clip(end, *bounds)) for end in (low, high))
    return _interval(value, low, high, confidence_level, replicates)


def _interval(
    value: float, low: float, high: float, confidence_level: float, replicates: LabelArray
) -> Interval:
    return Interval(
        value=value,
        low=float(low),
        high=float(high),
        confidence_level=confidence_level,
        mean=float(np.mean(replicates)),
        median=float(np.median(replicates)),
        standard_deviation=float(np.std(replicates, ddof=1)),
        n_resamples=len(replicates),
    )


def _members(groups: ArrayLike, n_samples: int) -> list[IntArray]:
    """Return the rows of every group."""
    codes = group_codes(groups, n_samples)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def group_codes(groups: ArrayLike, n_samples: int) -> IntArray:
    """Return the index of the group of every sample."""
    array = check_vector(groups, "groups")
    check_same_length(n_samples, len(array), "y_prob", "groups")
    return np.unique(array, return_inverse=True)[1].astype(np.intp)
