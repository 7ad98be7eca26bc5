"""The table of classes of a detection report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib._border.typing import Float64Array
from calib.detection.calibrator import DetectionCalibrator
from calib.detection.lrp import truth_counts
from calib.detection.tables.detections import Detections, GroundTruth
from calib.evaluation.detection import cell_sums
from calib.evaluation.detection.plans import Plan
from calib.evaluation.detection.report.measures import Scored
from calib.evaluation.detection.report.records import ClassTable


def class_table(
    detections: Detections,
    ground_truth: GroundTruth,
    calibrator: DetectionCalibrator,
    scored: tuple[Scored, Scored],
    plans: tuple[Mapping[str, Plan], Mapping[str, Plan]],
) -> ClassTable:
    """Compare raw and calibrated scores class by class.

    Parameters
    ----------
    detections, ground_truth
        All of them; what occurs there has a row.
    calibrator : DetectionCalibrator
        Fitted.
    scored, plans : pair
        Of raw and of calibrated scores; rows of both are the detections at the raw threshold.

    Returns
    -------
    table : ClassTable
    """
    label = np.union1d(detections.labels, ground_truth.labels)
    names, n = ground_truth.class_names or {}, len(label)
    before, after = scored
    code = np.searchsorted(label, after.detections.labels)
    judged = after.keep & after.located.valid
    overlap = np.where(after.located.is_true_positive, after.located.iou, 0.0)
    columns = (before.detections.scores, after.detections.scores, overlap)
    score_raw, score_calibrated, mean_iou = (
        _means(code[judged], column[judged], n) for column in columns
    )
    counted = after.keep & after.found.valid
    right = after.found.is_true_positive[counted].astype(np.float64)
    raw, calibrated = calibrator.pooled_thresholds_
    unseen = ~np.isin(label, calibrator.classes_)
    labels: list[int] = label.tolist()
    reasons = [
        "not seen at fit" if new else calibrator.fallbacks_.get(one, "")
        for one, new in zip(labels, unseen, strict=True)
    ]
    lrp_raw, lrp_calibrated = (_lrp(one["localization_recall_precision"], label) for one in plans)
    return ClassTable(
        label=label,
        name=tuple(str(names.get(one, one)) for one in labels),
        n_truth=truth_counts(ground_truth, label),
        n_raw=np.bincount(code, minlength=n),
        n_kept=np.bincount(code[after.keep], minlength=n),
        threshold_raw=np.array([calibrator.raw_thresholds_.get(one, raw) for one in labels]),
        threshold_calibrated=np.array(
            [calibrator.calibrated_thresholds_.get(one, calibrated) for one in labels]
        ),
        score_raw=score_raw,
        score_calibrated=score_calibrated,
        mean_iou=mean_iou,
        precision=_means(code[counted], right, n),
        lrp_raw=lrp_raw,
        lrp_calibrated=lrp_calibrated,
        map_fallback=tuple(reasons),
        threshold_fallback=unseen | np.isin(label, calibrator.threshold_fallbacks_),
    )


def _means(code: np.ndarray, values: Float64Array, n_classes: int) -> Float64Array:
    """Average values per class; NaN for classes without any."""
    count = np.bincount(code, minlength=n_classes)
    out = np.full(n_classes, np.nan)
    np.divide(np.bincount(code, values, minlength=n_classes), count, out=out, where=count > 0)
    return out


def _lrp(plan: Plan, label: np.ndarray) -> Float64Array:
    """Return the LRP error of the classes asked for; NaN where it is not defined."""
    table = plan.binned.table
    error = cell_sums.lrp_parts(table.class_sums, table.iou_threshold).value
    known = dict(zip(table.class_label.tolist(), error.tolist(), strict=True))
    return np.array([known.get(one, np.nan) for one in label.tolist()], dtype=np.float64)
