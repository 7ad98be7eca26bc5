"""Chance in detection metrics: bootstrap over images, and the floor under perfect calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import check_fraction, check_integer, check_option, describe
from calib._border.random import generator
from calib._border.typing import Float64Array, RandomState
from calib._border.words import did_you_mean
from calib.detection.arrays import Detections, GroundTruth
from calib.detection.matching import Matches
from calib.detection.thresholds import Threshold
from calib.evaluation._image_draws import (
    PerImage,
    calibrated_values,
    image_weights,
    redrawn_images,
)
from calib.evaluation._plans import Plan, warn_if_nan
from calib.evaluation.detection import plan_detection_calibration_error
from calib.evaluation.localization import (
    plan_localization_aware_absolute_error,
    plan_localization_aware_calibration_error,
)
from calib.evaluation.overlap_error import plan_score_iou_squared_error
from calib.evaluation.recall_precision import plan_localization_recall_precision
from calib.evaluation.resampling import Interval, interval_of

Method: TypeAlias = Literal["basic", "percentile"]
DetectionMetric: TypeAlias = str | Callable[..., float]

#: Metrics that are sums over images, hence resampled without being computed anew.
PLANS: dict[str, Callable[..., Plan]] = {
    "detection_calibration_error": plan_detection_calibration_error,
    "localization_aware_calibration_error": plan_localization_aware_calibration_error,
    "localization_aware_absolute_error": plan_localization_aware_absolute_error,
    "localization_recall_precision": plan_localization_recall_precision,
    "score_iou_squared_error": plan_score_iou_squared_error,
}


@dataclass(frozen=True)
class DetectionMetricInterval:
    """A detection metric with what chance does to it.

    Attributes
    ----------
    interval : Interval
        Value and bootstrap interval over images.
    floor_mean, floor_sd : float
        Mean and standard deviation of the metric if the scores were perfectly calibrated, at this
        number of detections. NaN where the question makes no sense: for the localisation recall
        precision error, and for callables.
    debiased : float
        The binned error from unbiased estimates of the squared gaps; NaN for other metrics.
    """

    interval: Interval
    floor_mean: float
    floor_sd: float
    debiased: float

    @property
    def value(self) -> float:
        """The metric of the sample."""
        return self.interval.value

    @property
    def excess(self) -> float:
        """What the value exceeds the floor by; 0 on average for a calibrated detector."""
        return self.value - self.floor_mean


def detection_metric_interval(
    metric: DetectionMetric,
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    n_floor: int = 50,
    method: Method = "basic",
    random_state: RandomState = None,
    **options: Any,
) -> DetectionMetricInterval:
    """Compute the interval of a detection metric over images, and its floor.

    Whole images are drawn with replacement, because the detections of an image depend on each
    other. Thresholds and the edges of bins stay as they are.

    Parameters
    ----------
    metric : str or callable
        ``"detection_calibration_error"``, ``"localization_aware_calibration_error"``,
        ``"localization_aware_absolute_error"``, ``"localization_recall_precision"`` (its value) or
        ``"score_iou_squared_error"``; or ``metric(detections, ground_truth, **options) -> float``,
        which is called on every draw and hence slow.
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes; ``ground_truth.images`` are the images that are drawn.
    confidence_level : float in (0, 1), default=0.95
        Nominal coverage.
    n_resamples : int >= 2, default=1000
        Number of draws of images.
    n_floor : int >= 2, default=50
        Number of simulated calibrated detectors behind the floor.
    method : {"basic", "percentile"}, default="basic"
        ``"basic"`` reflects the draws about the value, because draws repeat the upward bias of
        calibration errors; cut at 0 and 1. It may lie below the value.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.
    **options : dict
        Options of the metric, for instance ``threshold`` and ``matches``.

    Returns
    -------
    result : DetectionMetricInterval
        Value, interval, floor and debiased value.

    Raises
    ------
    ValueError
        If the metric or an option is unknown or out of range, there are fewer than two images, or
        a callable meets federated annotation.

    Warns
    -----
    NothingToMeasureWarning
        If the metric is NaN; then the interval is NaN too.

    See Also
    --------
    detection_metric_difference : Compare two sets of scores on the same draws.

    Notes
    -----
    A draw weighs every image by how often it was drawn; all these metrics are functions of weighted
    sums per class and cell, so that draws cost one sparse product. Draws without anything to
    measure are left out.

    *Floor.* For true positives as the target, outcomes are drawn with the score as probability. For
    overlaps, the target of a detection is its score plus the residual of a random one among about
    50 neighbours in score (all classes), residuals being overlaps minus the mean overlap of those
    neighbours: the spread of the overlaps at that score around a calibrated mean. Ignores that
    detections of an image depend on each other.

    *Debiased.* The squared gap of a cell is estimated by ``(sum of p - t)^2 - n s^2``, with ``s^2``
    the variance of ``p - t`` within the cells of the same score bin; below 0 it counts 0, which
    leaves some upward bias where cells hold one or two detections. `excess` has none for a
    calibrated detector.

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall 1993.
    .. [2] J. Bröcker, L. A. Smith. Increasing the Reliability of Reliability Diagrams. Weather and
       Forecasting 22, 2007. doi:10.1175/WAF993.1

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation.detection_sampling import detection_metric_interval
    >>> n = 400
    >>> score = np.linspace(0.05, 0.95, n)
    >>> boxes = np.tile([0.0, 0.0, 4.0, 4.0], (n, 1))
    >>> real = np.arange(n) * 0.618 % 1 < score
    >>> truth = GroundTruth(boxes[real], np.ones(real.sum()), np.flatnonzero(real), images=range(n))
    >>> found = Detections(boxes, score, np.ones(n), np.arange(n))
    >>> result = detection_metric_interval(
    ...     "detection_calibration_error", found, truth, n_resamples=200, random_state=0
    ... )
    >>> print(f"{result.value:.3f}, floor {result.floor_mean:.3f}")
    0.015, floor 0.051
    """
    confidence_level = _check(confidence_level, n_resamples, method)
    check_integer("n_floor", n_floor, low=2)
    rng = generator(random_state)
    n_images = _count_images(ground_truth)
    if callable(metric):
        value = float(metric(detections, ground_truth, **options))
        draws = np.array(
            [
                float(metric(*drawn, **options))
                for drawn in redrawn_images(detections, ground_truth, n_resamples, rng)
            ]
        )
        interval = _summary(value, draws, confidence_level, method)
        return DetectionMetricInterval(interval, np.nan, np.nan, np.nan)
    plan = _plan_of(metric)(detections, ground_truth, **options)
    value = warn_if_nan(plan.value(), plan.binned, "the metric")
    images = PerImage(plan, n_images)
    draws = np.concatenate(
        [
            images.values(weight)
            for weight in image_weights(n_images, n_resamples, images.batch, rng)
        ]
    )
    floor = calibrated_values(plan, n_floor, rng) if plan.has_floor else np.full(2, np.nan)
    return DetectionMetricInterval(
        _summary(value, draws, confidence_level, method),
        floor_mean=float(floor.mean()),
        floor_sd=float(floor.std(ddof=1)),
        debiased=plan.debiased(),
    )


def detection_metric_difference(
    metric: str,
    before: Detections,
    after: Detections,
    ground_truth: GroundTruth,
    *,
    threshold_before: Threshold = None,
    threshold_after: Threshold = None,
    matches_before: Matches | None = None,
    matches_after: Matches | None = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    method: Method = "basic",
    random_state: RandomState = None,
    **options: Any,
) -> Interval:
    """Compute the interval of the change of a metric from one set of scores to another.

    Both are measured on the same draws of images, so that what they share cancels: far sharper than
    comparing two intervals.

    Parameters
    ----------
    metric : str
        A name that `detection_metric_interval` knows.
    before, after : Detections
        Two sets of detections in the same images, for instance raw and calibrated.
    ground_truth : GroundTruth
        Annotated boxes; ``ground_truth.images`` are the images that are drawn.
    threshold_before, threshold_after : float, mapping from int to float, or None, default=None
        Thresholds of either, each in its own units.
    matches_before, matches_after : Matches, default=None
        Matches of either.
    confidence_level : float in (0, 1), default=0.95
        Nominal coverage.
    n_resamples : int >= 2, default=1000
        Number of draws of images.
    method : {"basic", "percentile"}, default="basic"
        As for `detection_metric_interval`; ``"basic"`` is cut at -1 and 1.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.
    **options : dict
        Further options of the metric, the same for both.

    Returns
    -------
    difference : Interval
        Of ``metric(after) - metric(before)``: negative where `after` is better.

    Raises
    ------
    ValueError
        As `detection_metric_interval`; also for callables.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation.detection_sampling import detection_metric_difference
    >>> n = 400
    >>> score = np.linspace(0.05, 0.95, n)
    >>> boxes = np.tile([0.0, 0.0, 4.0, 4.0], (n, 1))
    >>> real = np.arange(n) * 0.618 % 1 < score
    >>> truth = GroundTruth(boxes[real], np.ones(real.sum()), np.flatnonzero(real), images=range(n))
    >>> good = Detections(boxes, score, np.ones(n), np.arange(n))
    >>> change = detection_metric_difference(
    ...     "score_iou_squared_error", good.with_scores(score**2), good, truth, random_state=0
    ... )
    >>> print(f"{change.value:.3f}, {change.low:.3f} to {change.high:.3f}")
    -0.038, -0.056 to -0.020
    """
    confidence_level = _check(confidence_level, n_resamples, method)
    plan_of = _plan_of(metric)
    rng = generator(random_state)
    n_images = _count_images(ground_truth)
    plans = [
        plan_of(found, ground_truth, threshold=threshold, matches=matches, **options)
        for found, threshold, matches in (
            (before, threshold_before, matches_before),
            (after, threshold_after, matches_after),
        )
    ]
    first, second = (PerImage(plan, n_images) for plan in plans)
    batch = min(first.batch, second.batch)
    draws = np.concatenate(
        [
            second.values(weight) - first.values(weight)
            for weight in image_weights(n_images, n_resamples, batch, rng)
        ]
    )
    one, two = (warn_if_nan(plan.value(), plan.binned, "the metric") for plan in plans)
    return _summary(two - one, draws, confidence_level, method, bounds=(-1.0, 1.0))


def _plan_of(metric: str) -> Callable[..., Plan]:
    """Return what prepares a named metric."""
    if not isinstance(metric, str) or metric not in PLANS:
        raise ValueError(
            f"metric must be one of {', '.join(PLANS)}; got {describe(metric)}"
            f"{did_you_mean(metric, PLANS)}"
        )
    return PLANS[metric]


def _check(confidence_level: float, n_resamples: int, method: str) -> float:
    check_integer("n_resamples", n_resamples, low=2)
    check_option("method", method, ("basic", "percentile"))
    return check_fraction("confidence_level", confidence_level)


def _count_images(ground_truth: GroundTruth) -> int:
    n_images = len(ground_truth.images)
    if n_images < 2:
        raise ValueError(f"a bootstrap over images needs at least 2 of them; got {n_images}")
    return n_images


def _summary(
    value: float,
    draws: Float64Array,
    confidence_level: float,
    method: Method,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    known = draws[~np.isnan(draws)]
    if np.isnan(value) or len(known) < 2:
        return Interval(
            value=value,
            low=np.nan,
            high=np.nan,
            confidence_level=confidence_level,
            mean=np.nan,
            median=np.nan,
            standard_deviation=np.nan,
            n_resamples=len(known),
        )
    return interval_of(value, known, confidence_level, reflect=method == "basic", bounds=bounds)
