"""Localisation recall precision (LRP): one error for missed, false and badly placed boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_iou
from calib._border.typing import Float64Array, IntArray
from calib.detection.lrp import MatchedScores, Threshold, ZeroIou
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection import cell_sums
from calib.evaluation.detection.metrics import METRICS
from calib.evaluation.detection.tables import DetectionTable

LRP = METRICS["localization_recall_precision"]


@dataclass(frozen=True, eq=False, repr=False)
class LocalizationRecallPrecision:
    """LRP error of a data set and of every class, with its three components.

    Attributes
    ----------
    value : float
        Mean over classes with boxes, in [0, 1], lower is better.
    localization, false_positive, false_negative : float
        Components, each the mean over the classes where it is defined: mean ``1 - overlap`` of true
        positives, share of false positives among detections, share of missed boxes.
    class_label : ndarray of shape (n_classes,)
        All classes.
    class_value, class_localization, class_false_positive, class_false_negative : ndarray
        The same per class, shape (n_classes,). NaN for classes without boxes; without a true
        positive the value and ``class_false_negative`` are 1 and the other two NaN.
    n_truth, n_true_positive, n_false_positive : ndarray of shape (n_classes,)
        Boxes that can be missed, and detections of either kind.
    threshold : ndarray of shape (n_classes,)
        Score threshold of every class; 0 keeps everything.
    """

    value: float
    localization: float
    false_positive: float
    false_negative: float
    class_label: IntArray
    class_value: Float64Array
    class_localization: Float64Array
    class_false_positive: Float64Array
    class_false_negative: Float64Array
    n_truth: IntArray
    n_true_positive: IntArray
    n_false_positive: IntArray
    threshold: Float64Array

    def __repr__(self) -> str:
        return (
            f"LocalizationRecallPrecision(value={self.value:.4f}, "
            f"localization={self.localization:.4f}, false_positive={self.false_positive:.4f}, "
            f"false_negative={self.false_negative:.4f}, {len(self.class_label)} classes)"
        )


def localization_recall_precision(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    threshold: Threshold = None,
    zero_iou: ZeroIou = "strict",
    matches: Matches | None = None,
) -> LocalizationRecallPrecision:
    """Compute the localisation recall precision error (LRP) of the detections that are kept.

    Unlike average precision it judges one set of detections, the one that is used; so report it for
    the same threshold as calibration errors.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    threshold : float, mapping from int to float, or None, default=None
        Detections below it are dropped; a mapping has one number per class.
    matches : Matches, default=None
        What `match` gives at the same threshold, made without an area range, because all boxes
        count as missed that are not found.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; used if `matches` is None.

    Returns
    -------
    lrp : LocalizationRecallPrecision
        Value and components, of the data set and per class.

    Raises
    ------
    ValueError
        As `localization_aware_calibration_error`.

    Warns
    -----
    NothingToMeasureWarning
        If there is no annotated box.

    See Also
    --------
    optimal_localization_recall_precision : At the best threshold of every class.

    Notes
    -----
    With T true positives of overlaps q, F false positives and N boxes of a class,
    ``(sum (1 - q) / (1 - iou_threshold) + F + N - T) / (F + N)``.

    References
    ----------
    .. [1] K. Oksuz, B. C. Cam, S. Kalkan, E. Akbas. One Metric to Measure Them All: Localisation
       Recall Precision (LRP) for Evaluating Visual Detection Tasks. IEEE TPAMI 44(12), 2022.
       arXiv:2011.10772

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import localization_recall_precision
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> localization_recall_precision(detections, truth, threshold=0.5)
    LocalizationRecallPrecision(value=0.6250, localization=0.2500, false_positive=0.0000, \
false_negative=0.5000, 1 classes)
    """
    plan = LRP.plan(detections, ground_truth, iou_threshold, threshold, matches, zero_iou)
    plan.checked_value(LRP.name)
    return localization_recall_precision_of(plan.binned.table, threshold)


def optimal_localization_recall_precision(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    zero_iou: ZeroIou = "strict",
    matches: Matches | None = None,
) -> LocalizationRecallPrecision:
    """Compute the LRP error at the best score threshold of every class (oLRP).

    Optimistic, because thresholds are chosen on the same images: a property of the ranking of a
    detector, not of an operating point that was chosen beforehand.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; see `match`.
    matches : Matches, default=None
        What `match` gives at the same threshold, if it is at hand.

    Returns
    -------
    lrp : LocalizationRecallPrecision
        Value and components there; ``threshold`` holds the thresholds, 0 for classes without a
        true positive, whose error is 1 at any threshold.

    Raises
    ------
    ValueError
        As `localization_recall_precision`.

    Warns
    -----
    NothingToMeasureWarning
        If there is no annotated box.

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import optimal_localization_recall_precision
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> best = optimal_localization_recall_precision(detections, truth)
    >>> best.value, best.threshold
    (0.625, array([0.9]))
    """
    iou_threshold = check_iou("iou_threshold", iou_threshold, one=False)
    if matches is None:
        matches = match(detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou)
    rows = MatchedScores.from_matches(
        detections, ground_truth, matches, iou_threshold=iou_threshold
    )
    optima = dict.fromkeys(rows.class_label.tolist(), 0.0) | rows.optimal_thresholds()
    return localization_recall_precision(
        detections, ground_truth, iou_threshold=iou_threshold, threshold=optima, matches=matches
    )


def localization_recall_precision_of(
    table: DetectionTable, threshold: Threshold = None
) -> LocalizationRecallPrecision:
    """Read the LRP error off a table, for instance off the sum of the tables of many parts.

    Parameters
    ----------
    table : DetectionTable
        Result of `localization_table` or `detection_calibration_table`.
    threshold : float, mapping from int to float, or None, default=None
        The one that the table was made with, for the record.

    Returns
    -------
    lrp : LocalizationRecallPrecision
        As `localization_recall_precision`.

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import localization_table
    >>> from calib.evaluation import localization_recall_precision_of
    >>> detections = Detections([[0, 0, 4, 3], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> round(localization_recall_precision_of(localization_table(detections, truth)).value, 3)
    0.75
    """
    sums = table.class_sums
    if isinstance(threshold, Mapping):
        limits = [float(threshold.get(label, 0.0)) for label in table.class_label.tolist()]
    else:
        limits = [0.0 if threshold is None else float(threshold)] * len(table.class_label)
    of_class = cell_sums.lrp_parts(sums, table.iou_threshold)._asdict()
    ratios = cell_sums.lrp_ratios(sums, table.iou_threshold)
    numbers: dict[str, Any] = {f"class_{name}": part for name, part in of_class.items()}
    for name, ratio in zip(of_class, ratios, strict=True):
        numbers[name] = float(cell_sums.mean_ratio(ratio))
    for name in ("n_truth", "n_true_positive", "n_false_positive"):
        numbers[name] = np.rint(getattr(sums, name)).astype(np.intp)
    return LocalizationRecallPrecision(
        **numbers, class_label=table.class_label, threshold=np.array(limits, dtype=np.float64)
    )
