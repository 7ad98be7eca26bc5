"""The records that a detection report is made of: measures, diagrams, maps and classes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib.evaluation.report.records import ROUNDING, MeasureResult
from calib.evaluation.sampling.intervals import Interval


@dataclass(frozen=True)
class DetectionMetricInterval(MeasureResult):
    """A detection metric with what chance does to it.

    Attributes
    ----------
    interval : Interval
        Interval over images. Its ``value`` is the number that it holds: of a calibration error what
        is left without the part of chance, of other metrics the value of the sample. ``mean``,
        ``median`` and ``standard_deviation`` are those of the draws.
    calibrated : Interval
        The same metric if the scores were right, at this number of detections: ``mean`` is the
        floor, ``low`` and ``high`` bound what chance explains. NaN where the question makes no
        sense: for the localisation recall precision error, and for callables.
    p_value, debiased_limit : float
        NaN; a detection metric has its range alone.
    """

    @property
    def floor_mean(self) -> float:
        """Mean of the metric if the scores were right; the same as `floor`."""
        return self.calibrated.mean

    @property
    def floor_sd(self) -> float:
        """Standard deviation of the metric if the scores were right."""
        return self.calibrated.standard_deviation

    @property
    def excess(self) -> float:
        """What the value exceeds the floor by; 0 on average for a calibrated detector."""
        return self.value - self.floor_mean

    @property
    def is_beyond_floor(self) -> bool:
        """Whether a calibrated detector would rarely show a value so large."""
        return bool(self.value > self.calibrated.high + ROUNDING)


@dataclass(frozen=True)
class DetectionMeasure(DetectionMetricInterval):
    """A measure of one set of scores, with what chance does to it.

    Attributes
    ----------
    interval : Interval
        As in `DetectionMetricInterval`.
    calibrated : Interval
        As there; what chance explains is decided for all measures of the report together.
    p_value, debiased_limit : float
        NaN.
    change : Interval or None
        Value minus that of the raw scores, on the same draws of images; None for raw scores.
    """

    change: Interval | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the interval of the change leaves 0 out."""
        return self.change is not None and bool(self.change.low > 0 or self.change.high < 0)


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Mean score against mean outcome, one entry per bin of the score; NaN in empty bins.

    Attributes
    ----------
    left, right : ndarray of shape (n_bins,)
        Edges: ``[left, right)``, the last bin is closed.
    n_detections : ndarray of int of shape (n_bins,)
    mean_score, mean_target : ndarray of shape (n_bins,)
        In [0, 1]; the target is the overlap (0 for false positives) or being a true positive.
    low, high : ndarray of shape (n_bins,)
        Bootstrap interval of the mean target over images, at the mean score.
    """

    left: Float64Array
    right: Float64Array
    n_detections: IntArray
    mean_score: Float64Array
    mean_target: Float64Array
    low: Float64Array
    high: Float64Array


@dataclass(frozen=True, eq=False)
class PositionMap:
    """Mean score and mean outcome over a grid of box centres; NaN in empty cells.

    Attributes
    ----------
    target : {"iou", "tp"}
        Overlap (0 for false positives), or being a true positive.
    n_detections : ndarray of int of shape (n_bins, n_bins)
        Rows from top to bottom of the image, columns from left to right.
    mean_score, mean_target, standard_error : ndarray of shape (n_bins, n_bins)
        In [0, 1]; the error is that of the gap, if detections were independent.
    """

    target: Literal["iou", "tp"]
    n_detections: IntArray
    mean_score: Float64Array
    mean_target: Float64Array
    standard_error: Float64Array

    @property
    def gap(self) -> Float64Array:
        """Mean score minus mean target: positive where scores promise too much."""
        return self.mean_score - self.mean_target


@dataclass(frozen=True, eq=False)
class ClassTable:
    """One row per class, before and after one calibrator.

    Attributes
    ----------
    label : ndarray of int of shape (n_classes,)
        Classes that were reported or annotated, ascending.
    name : tuple of str
        Their names; the label as text where there is none.
    n_truth : ndarray of int of shape (n_classes,)
        Boxes that can be missed.
    n_raw, n_kept : ndarray of int of shape (n_classes,)
        Detections at or above the raw threshold, and at or above both.
    threshold_raw, threshold_calibrated : ndarray of shape (n_classes,)
        Operating point, each in its own units.
    score_raw, score_calibrated, mean_iou, precision : ndarray of shape (n_classes,)
        Means over the kept detections that are judged: score before and after, overlap (0 for
        false positives), share of true positives. NaN without a detection.
    lrp_raw, lrp_calibrated : ndarray of shape (n_classes,)
        LRP error before and after; NaN without a box.
    map_fallback : tuple of str
        Why the class takes the pooled map; empty where it has its own, or where all share one.
    threshold_fallback : ndarray of bool of shape (n_classes,)
        Whether the class takes the pooled threshold.
    """

    label: IntArray
    name: tuple[str, ...]
    n_truth: IntArray
    n_raw: IntArray
    n_kept: IntArray
    threshold_raw: Float64Array
    threshold_calibrated: Float64Array
    score_raw: Float64Array
    score_calibrated: Float64Array
    mean_iou: Float64Array
    precision: Float64Array
    lrp_raw: Float64Array
    lrp_calibrated: Float64Array
    map_fallback: tuple[str, ...]
    threshold_fallback: LabelArray

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, eq=False)
class DetectionModelReport:
    """All results of one set of scores.

    Attributes
    ----------
    baseline : str or None
        Name of the raw scores that `measures` are compared with; None for raw scores.
    target : {"iou", "tp"}
        What the scores are calibrated to.
    iou_threshold, precision_iou : float
        Overlap of a true positive where overlaps are measured, and where only being one counts.
    measures : dict of str to DetectionMeasure
        In the order of the report.
    n_kept, n_ignored, n_skipped : int
        Detections at the operating point that count, that are neither right nor wrong, and (among
        those that count) that are of classes without a box and left out of the errors.
    coverage : float
        Share of detections in the cells that the error with position counts; NaN without sizes.
    ap, ap50, ap75 : float
        COCO average precision of all detections, without thresholds.
    mean_score, mean_iou, precision : float
        Means over the counted detections of classes with boxes.
    reliability : dict of str to ReliabilityBins
        Score against overlap (``"iou"``) and against being a true positive (``"tp"``).
    position : PositionMap or None
        Gap by position; None if image sizes are not known.
    """

    baseline: str | None
    target: Literal["iou", "tp"]
    iou_threshold: float
    precision_iou: float
    measures: dict[str, DetectionMeasure]
    n_kept: int
    n_ignored: int
    n_skipped: int
    coverage: float
    ap: float
    ap50: float
    ap75: float
    mean_score: float
    mean_iou: float
    precision: float
    reliability: dict[str, ReliabilityBins]
    position: PositionMap | None


def numbers_of(measure: DetectionMeasure) -> dict[str, float]:
    """Return all numbers of a measure by the names of the outputs."""
    change, nothing = measure.change, float("nan")
    return {
        "value": measure.value,
        "debiased": measure.debiased,
        "low": measure.low,
        "high": measure.high,
        "floor": measure.floor_mean,
        "floor_sd": measure.floor_sd,
        "floor_low": measure.floor_low,
        "floor_high": measure.floor_high,
        "excess": measure.excess,
        "change": nothing if change is None else change.value,
        "change_low": nothing if change is None else change.low,
        "change_high": nothing if change is None else change.high,
    }


def plain(value: Any) -> Any:
    """Turn arrays and records into lists and dictionaries, NaN into None."""
    if isinstance(value, (np.ndarray, tuple, list)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (ReliabilityBins, PositionMap)):
        return plain_fields(value)
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value


def plain_fields(record: Any) -> dict[str, Any]:
    """Return the fields of a record by name, its measures aside."""
    names = [one.name for one in fields(record) if one.name != "measures"]
    return {name: plain(getattr(record, name)) for name in names}
