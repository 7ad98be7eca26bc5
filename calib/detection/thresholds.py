"""Score thresholds: the operating point of a detector, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.warn import warn
from calib.detection.lrp import BoolArray, ZeroIou, check_number, matched_scores
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections, GroundTruth
from calib.warnings import NoOptimalThresholdWarning

#: No threshold, one for all classes, or one per class.
Threshold: TypeAlias = float | Mapping[int, float] | None


def lrp_optimal_thresholds(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    zero_iou: ZeroIou = "strict",
    fallback: Literal["pooled", "keep"] = "pooled",
    matches: Matches | None = None,
) -> dict[int, float]:
    """Find the score threshold of every class that minimises its LRP error.

    The operating point of a detector: below the threshold a class gains more false positives than
    it finds boxes. Calibration errors should be measured on the detections that are kept there.
    Choose thresholds on other images than those that they are evaluated on.

    Parameters
    ----------
    detections : Detections
        All detections, low scores included.
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; ``"reference"`` also matches
        boxes that do not touch.
    fallback : {"pooled", "keep"}, default="pooled"
        Threshold of classes that have no true positive and hence no optimum: the optimum of all
        classes taken as one, or 0, which keeps every detection.
    matches : Matches, default=None
        A match of the two made at the same `iou_threshold`; None makes one.

    Returns
    -------
    thresholds : dict of int to float
        One entry for every class that occurs in either argument or in
        ``ground_truth.class_names``. Keep detections with ``score >= threshold``.

    Raises
    ------
    ValueError
        If an option is out of range, or `matches` belongs to other detections or was made at a
        lower threshold.

    Warns
    -----
    NoOptimalThresholdWarning
        If classes had to take the fallback, unless they neither occur in the images nor were
        reported there. If no class has a true positive, ``"pooled"`` keeps everything as well.

    See Also
    --------
    apply_thresholds : The detections that thresholds keep.

    Notes
    -----
    With T true positives of mean overlap I / T, F false positives and N boxes,
    ``LRP = ((T - I) / (1 - iou_threshold) + F + N - T) / (F + N)``; the optimum is its least value,
    evaluated at the last of equal scores, the larger score on ties. Cost: one sort of all rows.
    The result does not depend on the order of the rows.

    References
    ----------
    .. [1] K. Oksuz, B. C. Cam, S. Kalkan, E. Akbas. One Metric to Measure Them All: Localisation
       Recall Precision (LRP) for Evaluating Visual Detection Tasks. IEEE TPAMI 44(12), 2022.
       arXiv:2011.10772

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.detection import lrp_optimal_thresholds
    >>> found = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> lrp_optimal_thresholds(found, truth)
    {1: 0.9}
    """
    check_option("fallback", fallback, ("pooled", "keep"))
    rows = matched_scores(
        detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou, matches=matches
    )
    optima = rows.optimal_thresholds()
    missing = [label for label in rows.class_label.tolist() if label not in optima]
    if not missing:
        return optima
    pooled = rows.pooled_threshold() if fallback == "pooled" else np.nan
    value = 0.0 if np.isnan(pooled) else float(pooled)
    seen = set(detections.labels.tolist()) | set(ground_truth.labels.tolist())
    silent = [label for label in missing if label in seen]
    if silent:
        what = "all their detections are kept" if value == 0 else f"they take {value:.4g}"
        origin = ", the optimum of all classes as one" if value > 0 else ""
        warn(
            f"{len(silent)} of {len(rows.class_label)} classes have no true positive and hence no "
            f"LRP-optimal threshold ({describe(silent[:8])}); {what}{origin}",
            NoOptimalThresholdWarning,
        )
    return {label: optima.get(label, value) for label in rows.class_label.tolist()}


def apply_thresholds(
    detections: Detections, threshold: Threshold, *, default: float | None = None
) -> BoolArray:
    """Tell which detections reach the threshold of their class.

    Parameters
    ----------
    detections : Detections
        Any detections.
    threshold : float, mapping from int to float, or None
        One for all classes, one per class, or None to keep everything.
    default : float, default=None
        Threshold of classes that the mapping does not list; None raises for them.

    Returns
    -------
    keep : ndarray of bool of shape (n_detections,)
        Where ``score >= threshold``.

    Raises
    ------
    ValueError
        If a threshold is not a number, or a class has none.

    Examples
    --------
    >>> from calib.detection import Detections
    >>> from calib.detection import apply_thresholds
    >>> found = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 2], [7, 7])
    >>> apply_thresholds(found, {1: 0.5, 2: 0.3})
    array([ True,  True])
    """
    if threshold is None:
        return np.ones(len(detections), dtype=bool)
    if not isinstance(threshold, Mapping):
        return detections.scores >= check_number(threshold, "threshold")
    classes, code = np.unique(detections.labels, return_inverse=True)
    if default is not None:
        default = check_number(default, "default")
    limits = [threshold.get(label, default) for label in classes.tolist()]
    without = [label for label, s in zip(classes.tolist(), limits, strict=True) if s is None]
    if without:
        raise ValueError(
            f"threshold has no entry for {len(without)} classes of the detections "
            f"({describe(without[:8])}); add them to the mapping, for instance with 0.0 to keep "
            f"their detections"
        )
    named = zip(classes.tolist(), limits, strict=True)
    values = np.array(
        [check_number(s, f"threshold[{label}]") for label, s in named], dtype=np.float64
    )
    keep: BoolArray = detections.scores >= values[code]
    return keep
