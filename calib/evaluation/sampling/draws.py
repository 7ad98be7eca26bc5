"""Sampling error of any metric: bootstrap intervals, and the floor under perfect calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import MOST_RESAMPLES, check_fraction, check_integer
from calib._border.labels import check_same_length, check_vector
from calib._border.random import generator
from calib._border.typing import (
    ArrayLike,
    Float64Array,
    FloatArray,
    IntArray,
    LabelArray,
    RandomState,
)
from calib._core.predictions import check_predictions, in_class_order
from calib.evaluation.sampling.group_redraws import GroupRedraws, LabelRedraws, group_correlation
from calib.evaluation.views import views

Metric = Callable[..., float]


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


def consistency_interval(
    metric: Metric,
    y_prob: ArrayLike,
    *,
    y_true: ArrayLike = None,
    groups: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
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
    y_true : array-like of shape (n_samples,), default=None
        True labels, from which `groups` take how dependent labels are; unused without them.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample (image, patient, question): labels are redrawn as dependent inside
        groups as `y_true`, which is needed then. None redraws every row by itself.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; None means 0..n_classes - 1.
    pos_label : int, float, bool or str, default=None
        Class that a single column belongs to; None means the second.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights for the metric; a row is redrawn once, whatever its weight.
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
    Assumes independent samples (groups); groups are redrawn with the latent correlation that gives
    the observed products of residuals inside groups, every label with its own probability. For a
    proper score the result is not a floor but the expected score if the model were right about its
    own uncertainty: a calibrated model's log loss equals the mean entropy of its predictions.

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
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    names = None if labels is None else check_vector(labels, "labels")
    if groups is not None and y_true is None:
        raise ValueError(
            "groups needs y_true: how dependent the labels of a group are is taken from them"
        )
    given = in_class_order(y_prob, names, "y_prob", listed=True)
    placeholder = np.zeros(len(given), dtype=np.intp) if names is None else names[[0] * len(given)]
    codes, proba, weight, classes = check_predictions(
        placeholder if groups is None else y_true,
        given,
        labels=names,
        pos_label=pos_label,
        sample_weight=sample_weight,
    )
    rng = generator(random_state)
    redraws = None if groups is None else _redraws(proba, codes, weight, groups, n_resamples, rng)
    extra: dict[str, Any] = {} if weight is None else {"sample_weight": weight}
    values = np.empty(n_resamples)
    codes = np.empty(len(proba), dtype=np.intp)
    for replicate in range(n_resamples):
        for rows in row_blocks(*proba.shape):
            block = np.asarray(proba[rows], dtype=np.float64)
            if redraws is None:
                numbers = rng.random((1, len(block)))
            else:
                one = slice(replicate, replicate + 1)
                numbers = redraws.numbers("", redraws.noise(1, len(block), rng), one, rows)
            codes[rows] = draw_labels(block, numbers)[0]
        values[replicate] = metric(classes[codes], given, **extra)
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return summarized(float(values.mean()), low, high, confidence_level, values)


def _redraws(
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
    groups: ArrayLike,
    n_resamples: int,
    rng: np.random.Generator,
) -> LabelRedraws:
    """Return what draws labels as dependent inside groups as the observed ones."""
    members = group_codes(groups, len(codes))
    columns = views.all_columns(proba)
    confidence, top = views.top_label(columns)
    two = columns.shape[1] == 2
    prediction, event = (columns[:, 1], codes == 1) if two else (confidence, codes == top)
    kept = slice(None) if weight is None else weight > 0
    correlation = group_correlation(
        prediction[kept].astype(np.float64),
        event[kept],
        np.unique(members[kept], return_inverse=True)[1],
        None if weight is None else weight[kept],
    )
    return LabelRedraws(GroupRedraws(members, n_resamples, rng), {"": correlation}, {"": columns})


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


def unit_counts(
    n_samples: int, groups: IntArray | None, n_resamples: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Yield how often every sample occurs in a draw of samples, or of whole groups."""
    n_units = n_samples if groups is None else int(groups.max()) + 1
    for _ in range(n_resamples):
        counts = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)
        yield counts if groups is None else counts[groups]


def interval_of(
    value: float,
    replicates: Float64Array,
    confidence_level: float,
    *,
    reflect: bool,
    bounds: tuple[float, float],
) -> Interval:
    """Return the percentile interval, or the reflected (basic) one within `bounds`.

    It is stretched to hold the value where the draws lie on one side of it.
    """
    tail = (1 - confidence_level) / 2
    low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
    if reflect:
        low, high = 2 * value - high, 2 * value - low
        low, high = (float(np.clip(end, *bounds)) for end in (low, high))
    low, high = min(low, value), max(high, value)
    return summarized(value, low, high, confidence_level, replicates)


def summarized(
    value: float, low: float, high: float, confidence_level: float, replicates: LabelArray
) -> Interval:
    """Return an interval with the summary of its replicates."""
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


def members(groups: ArrayLike, n_samples: int) -> list[IntArray]:
    """Return the rows of every group."""
    codes = group_codes(groups, n_samples)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def group_codes(groups: ArrayLike, n_samples: int) -> IntArray:
    """Return the index of the group of every sample."""
    array = check_vector(groups, "groups")
    check_same_length(n_samples, len(array), "y_prob", "groups")
    try:
        return np.unique(array, return_inverse=True)[1].astype(np.intp)
    except TypeError as error:
        raise ValueError(
            f"groups mixes values that cannot be sorted ({error}); make all of them text"
        ) from error
