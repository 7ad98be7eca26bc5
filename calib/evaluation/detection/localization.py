"""Errors of scores against the overlap of boxes: LaECE, LaACE and the squared error."""

from __future__ import annotations

from calib._core.binning import Strategy
from calib.detection.lrp import Threshold, ZeroIou
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection.cell_sums import WithoutTruth
from calib.evaluation.detection.metrics import METRICS
from calib.evaluation.detection.tables import DetectionTable

LAECE = METRICS["localization_aware_calibration_error"]
LAACE = METRICS["localization_aware_absolute_error"]
SQUARED_ERROR = METRICS["score_iou_squared_error"]


def localization_aware_calibration_error(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    n_bins: int = 25,
    strategy: Strategy = "uniform",
    threshold: Threshold = None,
    zero_iou: ZeroIou = "strict",
    reference_compat: bool = False,
    matches: Matches | None = None,
) -> float:
    r"""Compute the localisation-aware calibration error (LaECE).

    Compares the mean score of a bin with its mean overlap, false positives counting 0 (which is
    precision times the mean overlap of true positives), class by class. At the default
    ``iou_threshold=0`` this is LaECE_0 of Kuzucu et al.; 0.1 gives LaECE of Oksuz et al.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive; overlaps are not rescaled.
    n_bins : int >= 1, default=25
        Bins of the score in every class.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass in each class; equal widths leave most bins with one
        detection or none.
    threshold : float, mapping from int to float, or None, default=None
        Detections below it are dropped. Use the class-wise `lrp_optimal_thresholds` of other
        images: without a threshold the value is mostly about background boxes.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; used if `matches` is None.
    reference_compat : bool, default=False
        Reproduce published code: bins ``(a, b]`` instead of ``[a, b)``, classes whose error is
        exactly 0 left out of the mean, and ``zero_iou="reference"``.
    matches : Matches, default=None
        A match of all `detections` at the same `iou_threshold`; None makes one. One match serves
        every threshold.

    Returns
    -------
    error : float
        In [0, 1], lower is better, 0 is perfect; NaN if nothing is counted.

    Raises
    ------
    ValueError
        If an option is unknown or out of range, a class lacks a threshold, or `matches` belongs to
        other detections or was made at a lower threshold.

    Warns
    -----
    NothingToMeasureWarning
        If the result is NaN.

    See Also
    --------
    localization_aware_absolute_error : Needs no bins; report it too.
    detection_metric_interval : Interval by image, and the floor under perfect calibration.

    Notes
    -----
    Mean over classes of :math:`\sum_b (n_b / n) |\bar p_b - \bar q_b|`; classes without a detection
    or without a box are left out. Biased upwards, and strongly: with a few dozen detections per
    class most of the value is sampling noise that a perfectly calibrated detector shows as well.

    References
    ----------
    .. [1] K. Oksuz, T. Joy, P. K. Dokania. Towards Building Self-Aware Object Detectors via
       Reliable Uncertainty Quantification and Calibration. CVPR 2023. arXiv:2307.00934
    .. [2] S. Kuzucu, K. Oksuz, J. Sadeghi, P. K. Dokania. On Calibration of Object Detectors:
       Pitfalls, Evaluation and Baselines. ECCV 2024. arXiv:2405.20459

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import localization_aware_calibration_error
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> round(localization_aware_calibration_error(detections, truth), 3)
    0.275
    """
    plan = LAECE.plan(
        detections,
        ground_truth,
        iou_threshold=iou_threshold,
        threshold=threshold,
        matches=matches,
        zero_iou=zero_iou,
        reference_compat=reference_compat,
        n_bins=n_bins,
        strategy=strategy,
    )
    return plan.checked_value(LAECE.name)


def localization_aware_absolute_error(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    threshold: Threshold = None,
    zero_iou: ZeroIou = "strict",
    reference_compat: bool = False,
    matches: Matches | None = None,
) -> float:
    """Compute the localisation-aware adaptive calibration error (LaACE) of one detection per bin.

    The mean over classes of the mean absolute difference of score and overlap. It needs no bins,
    but even a perfectly calibrated score has a positive value, and the score that minimises it is
    the conditional median of the overlap, not its mean: report it beside
    `localization_aware_calibration_error`, not alone.

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
    reference_compat : bool, default=False
        Reproduce published code: ignored detections count with overlap 0, classes whose error is
        exactly 0 are left out of the mean, and ``zero_iou="reference"``.

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
    Classes without a detection or without a box are left out. Unbiased within a class.

    References
    ----------
    .. [1] S. Kuzucu, K. Oksuz, J. Sadeghi, P. K. Dokania. On Calibration of Object Detectors:
       Pitfalls, Evaluation and Baselines. ECCV 2024. arXiv:2405.20459

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import localization_aware_absolute_error
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> round(localization_aware_absolute_error(detections, truth), 3)
    0.275
    """
    plan = LAACE.plan(
        detections, ground_truth, iou_threshold, threshold, matches, zero_iou, reference_compat
    )
    return plan.checked_value(LAACE.name)


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
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> round(score_iou_squared_error(detections, truth), 5)
    0.09125
    """
    plan = SQUARED_ERROR.plan(
        detections,
        ground_truth,
        iou_threshold=iou_threshold,
        threshold=threshold,
        matches=matches,
        zero_iou=zero_iou,
        classes_without_gt=classes_without_gt,
    )
    return plan.checked_value(SQUARED_ERROR.name)


def localization_table(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    n_bins: int = 25,
    threshold: Threshold = None,
    zero_iou: ZeroIou = "strict",
    matches: Matches | None = None,
) -> DetectionTable:
    """Sum detections per class and score bin: the numbers behind all metrics of this file.

    Tables of disjoint sets of images add up, so that a large data set can be measured in parts.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    n_bins : int >= 1, default=25
        Bins of the score in every class.
    threshold : float, mapping from int to float, or None, default=None
        Detections below it are dropped; a mapping has one number per class.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; see `match`.
    matches : Matches, default=None
        What `match` gives at the same threshold, if it is at hand.

    Returns
    -------
    table : DetectionTable
        ``calibration_error(average="macro")`` is LaECE, ``absolute_error()`` LaACE,
        ``squared_error()`` the squared error and `localization_recall_precision_of` LRP.

    Raises
    ------
    ValueError
        As `localization_aware_calibration_error`.

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import localization_table
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> table = localization_table(detections, truth)
    >>> round(table.calibration_error(average="macro"), 3)
    0.275
    """
    plan = LAECE.plan(
        detections, ground_truth, iou_threshold, threshold, matches, zero_iou, n_bins=n_bins
    )
    return plan.binned.table
