"""Average precision of a detector, as the COCO evaluation defines it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_integer, check_option, describe
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.warn import warn
from calib.detection.matching import Queue
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection import coco_peers, precision_recall
from calib.warnings import NothingToMeasureWarning

Backend = Literal["builtin", "faster_coco_eval", "pycocotools"]

NUMBERS = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class AveragePrecision:
    """Result of `average_precision`; printing it shows the table.

    Every number lies in [0, 1], higher is better, and is NaN where no annotated box counts.

    Attributes
    ----------
    ap : float
        Mean precision over overlap thresholds, recalls and classes.
    ap50, ap75 : float
        The same at overlap 0.5 and 0.75 alone; NaN if that is not among the thresholds.
    ap_small, ap_medium, ap_large : float
        The same for boxes of at most 32², of 32² to 96² and of at least 96² square pixels.
    ar_1, ar_10, ar_100 : float
        Average recall with at most so many detections per image and class, and never more than
        `max_detections`.
    ar_small, ar_medium, ar_large : float
        Average recall by size of the boxes, with `max_detections` detections.
    per_class : dict of int to float
        Average precision of every annotated class.
    labels : ndarray of shape (n_classes,)
        The annotated classes, sorted.
    iou_thresholds : ndarray of shape (n_thresholds,)
        Overlaps that a match needed.
    precision : ndarray of shape (n_thresholds, 101, n_classes)
        Interpolated precision at recalls 0, 0.01, ..., 1, for boxes of all sizes.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar_1: float
    ar_10: float
    ar_100: float
    ar_small: float
    ar_medium: float
    ar_large: float
    per_class: dict[int, float]
    labels: IntArray
    iou_thresholds: Float64Array
    precision: Float64Array

    def to_dict(self) -> dict[str, Any]:
        """Return the twelve numbers and those per class as plain numbers; None where undefined."""
        numbers: dict[str, Any] = {name: _plain(getattr(self, name)) for name in NUMBERS}
        numbers["per_class"] = {str(label): _plain(v) for label, v in self.per_class.items()}
        numbers["iou_thresholds"] = self.iou_thresholds.tolist()
        return numbers

    def __repr__(self) -> str:
        low, high = self.iou_thresholds.min(), self.iou_thresholds.max()
        span = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
        columns = "".join(f"{name:>9}" for name in ("all", "small", "medium", "large"))
        n = len(self.labels)
        lines = [f"Average precision, {n} class{'' if n == 1 else 'es'}, overlap {span}"]
        lines.append(f"{'':18}{columns}")
        for title, prefix, whole in (("AP", "ap", self.ap), ("AR", "ar", self.ar_100)):
            sizes = [getattr(self, f"{prefix}_{size}") for size in ("small", "medium", "large")]
            lines.append(f"{title:18}" + "".join(f"{value:9.4f}" for value in (whole, *sizes)))
        rest = {
            "AP at overlap 0.50": self.ap50,
            "AP at overlap 0.75": self.ap75,
            "AR, 1 detection": self.ar_1,
            "AR, 10 detections": self.ar_10,
        }
        return "\n".join([*lines, *(f"{title:18}{value:9.4f}" for title, value in rest.items())])


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def average_precision(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_thresholds: ArrayLike = None,
    max_detections: int | None = 100,
    backend: Backend = "builtin",
) -> AveragePrecision:
    r"""Compute the average precision and recall of a detector.

    Measures how well scores rank right above wrong detections; says nothing about calibration.
    Pass all detections: a score threshold only cuts the curve short. Maps that strictly increase
    the scores of each class leave the result alone; maps with flat pieces create ties, and maps
    that read positions may change it either way.

    Parameters
    ----------
    detections : Detections
        Boxes found, without a score threshold. Classes that are annotated nowhere are left out.
    ground_truth : GroundTruth
        Annotated boxes of all images. `ignore` and `area` are used.
    iou_thresholds : array-like of shape (n_thresholds,), default=None
        Overlaps in (0, 1] that a match needs. None takes 0.50, 0.55, ..., 0.95.
    max_detections : int >= 1 or None, default=100
        Highest scores that are evaluated in each image and class; None evaluates all.
    backend : {"builtin", "faster_coco_eval", "pycocotools"}, default="builtin"
        What computes the curves. The built-in code needs nothing and is the fastest; the others
        (extra ``detection``) are there to compare with.

    Returns
    -------
    result : AveragePrecision
        The twelve COCO numbers, average precision per class, and the curves.

    Raises
    ------
    ValueError
        If an argument is out of range, a detection lies in an image that is not annotated, or
        another backend meets federated annotations (`negative` or `not_exhaustive`), which it
        would not obey.
    ImportError
        If the backend is not installed.

    Warns
    -----
    NothingToMeasureWarning
        If no annotated box counts; all numbers are then NaN.

    See Also
    --------
    match : Which detection found which box.

    Notes
    -----
    For each class and overlap threshold, detections of all images are sorted by score; precision
    :math:`p_k` at the k-th right one is k over the number of detections up to it that are not
    ignored. With n counted boxes the curve at recall r is :math:`\max_{j \ge k} p_j` for the
    smallest k with :math:`k / n \ge r`, or 0 if so many are not found. The number is its mean over
    101 recalls, thresholds, and classes with a counted box. A size range ignores the annotated
    boxes whose `area` lies outside, and unmatched detections whose width times height does. Equal
    scores are ordered by image, then by row. Interpolation makes the value slightly optimistic for
    classes with few boxes.

    Cost: overlaps are computed once; the rest visits, for each threshold and size, only detections
    that overlap a box.

    References
    ----------
    .. [1] T.-Y. Lin et al. Microsoft COCO: Common Objects in Context. ECCV 2014. arXiv:1405.0312
    .. [2] M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman. The Pascal Visual
       Object Classes (VOC) Challenge. IJCV 2010. doi:10.1007/s11263-009-0275-4

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.evaluation import average_precision
    >>> truth = GroundTruth([[0, 0, 40, 40], [50, 0, 90, 40]], [1, 1], [7, 8])
    >>> boxes = [[0, 0, 40, 40], [0, 0, 40, 9], [50, 0, 90, 32]]
    >>> detections = Detections(boxes, [0.9, 0.8, 0.7], [1, 1, 1], [7, 7, 8])
    >>> average_precision(detections, truth)
    Average precision, 1 class, overlap 0.50 to 0.95
                            all    small   medium    large
    AP                   0.7360      nan   0.8515      nan
    AR                   0.8500      nan   0.8500      nan
    AP at overlap 0.50   0.8350
    AP at overlap 0.75   0.8350
    AR, 1 detection      0.8500
    AR, 10 detections    0.8500
    """
    check_option("backend", backend, ("builtin", "faster_coco_eval", "pycocotools"))
    thresholds = _check_thresholds(iou_thresholds)
    if max_detections is not None:
        max_detections = check_integer("max_detections", max_detections, low=1)
    most = max(1, len(detections)) if max_detections is None else max_detections
    limits = sorted({min(k, most) for k in (1, 10, 100, most)})
    labels = np.unique(ground_truth.labels)
    if backend == "builtin":
        curves = precision_recall.curves(
            detections, ground_truth, labels, thresholds, limits, max_detections
        )
    else:
        _check_plain(backend, detections, ground_truth)
        curves = coco_peers.peer_curves(
            backend, detections, ground_truth, labels, thresholds, limits
        )
    if np.isnan(curves.precision).all():
        warn(
            "average_precision is NaN: there is no annotated box that can be missed",
            NothingToMeasureWarning,
        )
    return _summary(curves, labels, thresholds, limits)


def _check_thresholds(iou_thresholds: ArrayLike) -> Float64Array:
    if iou_thresholds is None:
        return np.linspace(0.5, 0.95, 10)
    array = to_numpy(read_array(iou_thresholds, "iou_thresholds"))
    numbers = array.ndim == 1 and len(array) > 0 and array.dtype.kind in "fiu"
    if not numbers or not ((array > 0) & (array <= 1)).all():
        raise ValueError(
            f"iou_thresholds must be one or more numbers in (0, 1], in one dimension; got "
            f"{describe(iou_thresholds)}"
        )
    return array.astype(np.float64)


def _check_plain(backend: str, detections: Detections, ground_truth: GroundTruth) -> None:
    """Raise for what another package would get wrong."""
    for name in ("negative", "not_exhaustive"):
        if getattr(ground_truth, name) is not None:
            raise ValueError(
                f"backend={backend!r} does not obey ground_truth.{name}; use backend='builtin'"
            )
    Queue.build(detections, ground_truth, None)  # raises for images that are not annotated


def _summary(
    curves: precision_recall.Curves, labels: IntArray, thresholds: Float64Array, limits: list[int]
) -> AveragePrecision:
    precision, recall = curves

    def at(threshold: float) -> float:
        return _mean(precision[0, np.isclose(thresholds, threshold, rtol=0, atol=1e-9)])

    def within(limit: int) -> float:
        return _mean(recall[0, :, limits.index(min(limit, limits[-1]))])

    ap = [_mean(precision[a]) for a in range(4)]
    ar = [_mean(recall[a, :, -1]) for a in range(4)]
    numbers = (ap[0], at(0.5), at(0.75), *ap[1:], within(1), within(10), within(100), *ar[1:])
    named: dict[str, Any] = dict(zip(NUMBERS, numbers, strict=True))
    return AveragePrecision(
        **named,
        per_class={label: _mean(precision[0, :, :, c]) for c, label in enumerate(labels.tolist())},
        labels=labels,
        iou_thresholds=thresholds,
        precision=precision[0],
    )


def _mean(values: Float64Array) -> float:
    """Mean of the defined values, NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
