"""Detection calibration error (D-ECE): scores of detections against true positives."""

from __future__ import annotations

from collections.abc import Sequence

from calib._core.binning import Strategy
from calib.detection.lrp import Threshold
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection.cell_sums import Average, Reduce, WithoutTruth
from calib.evaluation.detection.metrics import METRICS
from calib.evaluation.detection.tables import DetectionTable

ERROR = METRICS["detection_calibration_error"]


def detection_calibration_error(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.5,
    features: Sequence[str] = ("score",),
    n_bins: int | Sequence[int] = 10,
    strategy: Strategy = "uniform",
    reduce: Reduce = "ece",
    min_samples: int = 1,
    renormalise: bool = False,
    average: Average = "pooled",
    classes_without_gt: WithoutTruth = "skip",
    threshold: Threshold = None,
    reference_compat: bool = False,
    matches: Matches | None = None,
) -> float:
    r"""Compute the detection calibration error (D-ECE).

    Detections are grouped by score, and by position in the image if wanted; the error is the mean
    gap between mean score and share of true positives of a group, weighted by its size. It says
    nothing about how well boxes fit (see `localization_aware_calibration_error`), and without a
    threshold it mostly measures background boxes with scores near 0, which are trivially right:
    report it for the detections that are used, with the threshold beside it.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.5
        Overlap from which a detection is a true positive.
    features : sequence of {"score", "cx", "cy", "w", "h"}, default=("score",)
        Dimensions of the grid, the score among them: centre, width and height of the box relative
        to its image, clipped to [0, 1].
    n_bins : int >= 1 or sequence of int, default=10
        Bins of every dimension, or of each.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass in every dimension (in each class unless
        ``average="pooled"``).
    reduce : {"ece", "ace", "mce"}, default="ece"
        Weighted mean of the gaps; average calibration error: plain mean over the occupied score
        bins of a position, then over positions; or maximum gap.
    min_samples : int >= 1, default=1
        Cells with fewer detections contribute nothing.
    renormalise : bool, default=False
        Divide by the detections in counted cells. Otherwise by all, as is customary, so that the
        value falls as cells become sparse; `DetectionTable.coverage` says how much is counted.
    average : {"pooled", "macro", "weighted"}, default="pooled"
        All classes as one, or the mean over classes of their errors, plain or weighted by their
        number of detections.
    classes_without_gt : {"skip", "fp"}, default="skip"
        Leave detections of classes out that have no annotated box in these images (ignored regions
        do not count), or take them as false positives.
    threshold : float, mapping from int to float, or None, default=None
        Detections below it are dropped: one threshold, or one per class.
    reference_compat : bool, default=False
        Bins ``(a, b]``, the first one closed, as published evaluation code has them, instead of
        ``[a, b)``, the last one closed. Differs for scores exactly on an edge only.
    matches : Matches, default=None
        A match of all `detections` at the same `iou_threshold`; None makes one with the defaults
        of `match`. One match serves every threshold.

    Returns
    -------
    error : float
        In [0, 1], lower is better, 0 is perfect; NaN if nothing is counted.

    Raises
    ------
    ValueError
        If an option is unknown or out of range, a class lacks a threshold, positions are asked for
        but image sizes are not known, or `matches` belongs to other detections or was made at a
        lower threshold.

    Warns
    -----
    NothingToMeasureWarning
        If the result is NaN.

    See Also
    --------
    detection_calibration_table : The cells behind the number.
    detection_metric_interval : Interval by image, and the floor under perfect calibration.

    Notes
    -----
    :math:`\sum_b (n_b / n) |\bar p_b - \bar y_b|` over cells b with mean score and mean outcome.
    Ignored detections are not counted. Biased upwards, the more the fewer detections a cell holds.
    Cost: one sort of the occupied cells, after the match.

    References
    ----------
    .. [1] F. Kueppers, J. Kronenberger, A. Shantia, A. Haselhoff. Multivariate Confidence
       Calibration for Object Detection. CVPR Workshops 2020. arXiv:2004.13546
    .. [2] S. Kuzucu, K. Oksuz, J. Sadeghi, P. K. Dokania. On Calibration of Object Detectors:
       Pitfalls, Evaluation and Baselines. ECCV 2024. arXiv:2405.20459

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import detection_calibration_error
    >>> detections = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> round(detection_calibration_error(detections, truth), 3)
    0.25
    """
    plan = ERROR.plan(
        detections,
        ground_truth,
        iou_threshold=iou_threshold,
        threshold=threshold,
        matches=matches,
        reference_compat=reference_compat,
        features=features,
        n_bins=n_bins,
        strategy=strategy,
        reduce=reduce,
        average=average,
        min_samples=min_samples,
        renormalise=renormalise,
        classes_without_gt=classes_without_gt,
    )
    return plan.checked_value(ERROR.name)


def detection_calibration_table(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.5,
    features: Sequence[str] = ("score",),
    n_bins: int | Sequence[int] = 10,
    strategy: Strategy = "uniform",
    threshold: Threshold = None,
    reference_compat: bool = False,
    matches: Matches | None = None,
) -> DetectionTable:
    """Sum detections per class and cell: the numbers behind the detection calibration error.

    Tables of disjoint sets of images add up, so that a large data set can be measured in parts.

    Parameters
    ----------
    detections : Detections
        Boxes with scores in [0, 1].
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.5
        Overlap from which a detection is a true positive.
    features : sequence of str, default=("score",)
        Dimensions of the grid: ``"score"`` and any of ``"cx"``, ``"cy"``, ``"w"``, ``"h"``.
    n_bins : int >= 1 or sequence of int, default=10
        Number of bins, one for all dimensions or one each.
    threshold : float, mapping from int to float, or None, default=None
        Detections below it are dropped; a mapping has one number per class.
    reference_compat : bool, default=False
        Bins ``(a, b]`` as in published code.
    matches : Matches, default=None
        What `match` gives at the same threshold, if it is at hand.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass over all detections (of classes with boxes); only
        the former can be merged.

    Returns
    -------
    table : DetectionTable
        ``table.calibration_error(...)`` is the error, ``table.coverage(...)`` the share of
        detections that it counts, ``table.map()`` the error by position, ``table.n_skipped`` the
        number of detections of classes without an annotated box.

    Raises
    ------
    ValueError
        As `detection_calibration_error`.

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import detection_calibration_table
    >>> detections = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> table = detection_calibration_table(detections, truth)
    >>> more = Detections([[0, 0, 4, 4]], [0.9], [1], [8])
    >>> table += detection_calibration_table(more, GroundTruth([[0, 0, 4, 4]], [1], [8]))
    >>> round(table.calibration_error(), 3), round(table.coverage(min_samples=2), 3)
    (0.2, 0.667)
    """
    plan = ERROR.plan(
        detections,
        ground_truth,
        iou_threshold=iou_threshold,
        threshold=threshold,
        matches=matches,
        reference_compat=reference_compat,
        features=features,
        n_bins=n_bins,
        strategy=strategy,
    )
    return plan.binned.table
