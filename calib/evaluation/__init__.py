"""Evaluation: calibration errors, their sampling error, reports and diagrams."""

from __future__ import annotations

from calib.evaluation._plans import NothingToMeasureWarning
from calib.evaluation.binned import (
    SignedCalibrationError,
    adaptive_calibration_error,
    average_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    signed_calibration_error,
)
from calib.evaluation.coco_precision import AveragePrecision, average_precision
from calib.evaluation.detection import (
    detection_calibration_error,
    detection_calibration_table,
)
from calib.evaluation.detection_sampling import (
    DetectionMetricInterval,
    detection_metric_difference,
    detection_metric_interval,
)
from calib.evaluation.detection_tables import DetectionTable
from calib.evaluation.display import ReliabilityDisplay
from calib.evaluation.intervals import (
    IntervalQuality,
    interval_coverage,
    interval_quality,
    interval_score,
    mean_interval_width,
)
from calib.evaluation.localization import (
    localization_aware_absolute_error,
    localization_aware_calibration_error,
    localization_table,
)
from calib.evaluation.overlap_error import score_iou_squared_error
from calib.evaluation.quantiles import (
    PitUniformity,
    pit_uniformity,
    quantile_crps,
    quantile_pit,
)
from calib.evaluation.recall_precision import (
    LocalizationRecallPrecision,
    localization_recall_precision,
    localization_recall_precision_of,
    optimal_localization_recall_precision,
)
from calib.evaluation.report import calibration_report
from calib.evaluation.resampling import Interval, consistency_interval, metric_interval
from calib.evaluation.results import CalibrationReport, MeasureResult, ModelReport
from calib.evaluation.tables import BinnedCalibrationTable, binned_calibration_table

__all__ = [
    "AveragePrecision",
    "BinnedCalibrationTable",
    "CalibrationReport",
    "DetectionMetricInterval",
    "DetectionTable",
    "Interval",
    "IntervalQuality",
    "LocalizationRecallPrecision",
    "MeasureResult",
    "ModelReport",
    "NothingToMeasureWarning",
    "PitUniformity",
    "ReliabilityDisplay",
    "SignedCalibrationError",
    "adaptive_calibration_error",
    "average_calibration_error",
    "average_precision",
    "binned_calibration_table",
    "calibration_report",
    "consistency_interval",
    "detection_calibration_error",
    "detection_calibration_table",
    "detection_metric_difference",
    "detection_metric_interval",
    "expected_calibration_error",
    "interval_coverage",
    "interval_quality",
    "interval_score",
    "localization_aware_absolute_error",
    "localization_aware_calibration_error",
    "localization_recall_precision",
    "localization_recall_precision_of",
    "localization_table",
    "maximum_calibration_error",
    "mean_interval_width",
    "metric_interval",
    "optimal_localization_recall_precision",
    "pit_uniformity",
    "quantile_crps",
    "quantile_pit",
    "score_iou_squared_error",
    "signed_calibration_error",
]
