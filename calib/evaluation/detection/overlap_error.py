"""Squared error of scores against overlaps: a proper score of detectors."""

from __future__ import annotations

from functools import partial

from calib.detection.lrp import ZeroIou
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections, GroundTruth
from calib.detection.thresholds import Threshold
from calib.evaluation.detection import cell_sums
from calib.evaluation.detection.cell_sums import ErrorOptions, WithoutTruth
from calib.evaluation.detection.outcomes import Grid, collect
from calib.evaluation.detection.plans import Plan, mean_plan, warn_if_nan
from calib.evaluation.detection.tables import bin_outcomes, check

#: For metrics that need no bins.
ONE_BIN = Grid(("score",), (1,))


def score_iou_squared_error(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    threshold: Threshold = None,
    classes_without_gt: WithoutTruth = "skip",
    zero_iou: ZeroIou = "strict",
    matches: Matches | None = None,
) -> float:
    """Compute the mean squared difference of score and overlap.

    A proper score for scores that should equal the expected overlap (0 for false positives): the
    conditional mean minimises it. Use it to choose between calibrators, always on the same
    detections, since it has no bins and hence no floor to compare with.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    threshold : float, mapping from int to float, or None, default=None
        Detections below it are dropped; a mapping has one number per class.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; see `match`.
    matches : Matches, default=None
        What `match` gives at the same threshold, if it is at hand.
    classes_without_gt : {"skip", "fp"}, default="skip"
        Leave detections of classes out that have no annotated box in these images, or take them as
        false positives.

    Returns
    -------
    error : float
        In [0, 1], lower is better; NaN if nothing is counted.

    Raises
    ------
    ValueError
        As `localization_aware_calibration_error`.

    Warns
    -----
    NothingToMeasureWarning
        If the result is NaN.

    Notes
    -----
    Mean of ``(p - q)**2`` over all detections that count, whatever their class. Unbiased.

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import score_iou_squared_error
    >>> found = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> round(score_iou_squared_error(found, truth), 5)
    0.09125
    """
    plan = plan_score_iou_squared_error(
        detections,
        ground_truth,
        iou_threshold=iou_threshold,
        threshold=threshold,
        classes_without_gt=classes_without_gt,
        zero_iou=zero_iou,
        matches=matches,
    )
    return warn_if_nan(plan.value(), plan.binned, "the squared error of score and overlap")


def plan_score_iou_squared_error(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    threshold: Threshold = None,
    classes_without_gt: WithoutTruth = "skip",
    zero_iou: ZeroIou = "strict",
    matches: Matches | None = None,
) -> Plan:
    """Check all arguments of the error and return what computes it."""
    check(ErrorOptions(classes_without_gt=classes_without_gt))
    outcomes = collect(
        detections,
        ground_truth,
        iou_threshold=iou_threshold,
        zero_iou=zero_iou,
        threshold=threshold,
        matches=matches,
    )
    return mean_plan(
        bin_outcomes(outcomes, ONE_BIN, "iou"),
        partial(cell_sums.squared_ratio, classes_without_gt=classes_without_gt),
    )
