"""Evaluation: calibration errors, their sampling error, reports and diagrams."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# <generated> by tools/generate_exports.py; edit neither by hand
if TYPE_CHECKING:
    from calib.evaluation._accumulated import AccumulatedReport
    from calib.evaluation.accumulator import CalibrationAccumulator, accumulated_report
    from calib.evaluation.binned import (
        adaptive_calibration_error,
        average_calibration_error,
        classwise_calibration_error,
        expected_calibration_error,
        maximum_calibration_error,
    )
    from calib.evaluation.coco_precision import AveragePrecision, average_precision
    from calib.evaluation.corp import ScoreDecomposition, score_decomposition
    from calib.evaluation.cumulative import (
        CumulativeTest,
        SignedCumulativeError,
        classwise_ks_calibration_error,
        cumulative_calibration_error,
        cumulative_calibration_test,
        ks_calibration_error,
        signed_cumulative_error,
    )
    from calib.evaluation.cumulative_display import (
        CumulativeCurve,
        CumulativeDisplay,
        cumulative_calibration_curve,
    )
    from calib.evaluation.density import density_calibration_error, dirichlet_calibration_error
    from calib.evaluation.detection import detection_calibration_error, detection_calibration_table
    from calib.evaluation.detection_display import DetectionHeatmapDisplay
    from calib.evaluation.detection_records import (
        ClassTable,
        DetectionMeasure,
        DetectionMetricInterval,
        DetectionModelReport,
        PositionMap,
        ReliabilityBins,
    )
    from calib.evaluation.detection_reporting import detection_report
    from calib.evaluation.detection_results import DetectionReport
    from calib.evaluation.detection_sampling import (
        detection_metric_difference,
        detection_metric_interval,
    )
    from calib.evaluation.detection_tables import DetectionTable
    from calib.evaluation.display import ReliabilityDisplay
    from calib.evaluation.improvement import PostHocImprovement, post_hoc_improvement
    from calib.evaluation.intervals import (
        IntervalQuality,
        interval_coverage,
        interval_quality,
        interval_score,
        mean_interval_width,
    )
    from calib.evaluation.kernel import (
        KernelTest,
        kernel_calibration_error,
        kernel_calibration_test,
        maximum_mean_calibration_error,
    )
    from calib.evaluation.localization import (
        localization_aware_absolute_error,
        localization_aware_calibration_error,
        localization_table,
    )
    from calib.evaluation.loess import CalibrationCurveSummary, integrated_calibration_index
    from calib.evaluation.measurements import Measurement, MeasurementTable, measurement_table
    from calib.evaluation.metric_intervals import metric_interval
    from calib.evaluation.overlap_error import score_iou_squared_error
    from calib.evaluation.proper import (
        BrierDecomposition,
        brier_decomposition,
        brier_score,
        log_loss,
    )
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
    from calib.evaluation.refinement import RefinementDecomposition, refinement_decomposition
    from calib.evaluation.report import calibration_report
    from calib.evaluation.resampling import Interval, consistency_interval
    from calib.evaluation.results import CalibrationReport, MeasureResult, ModelReport
    from calib.evaluation.signed import SignedCalibrationError, signed_calibration_error
    from calib.evaluation.significance import calibration_tests
    from calib.evaluation.significance_results import CalibrationTest, CalibrationTests
    from calib.evaluation.smooth import smooth_calibration_error
    from calib.evaluation.squared import SquaredCalibrationError, squared_calibration_error
    from calib.evaluation.sweep import sweep_bin_count, sweep_calibration_error
    from calib.evaluation.tables import BinnedCalibrationTable, binned_calibration_table
    from calib.warnings import CorrespondenceWarning, FitImagesWarning, NothingToMeasureWarning

_MODULE_OF = {
    "AccumulatedReport": "calib.evaluation._accumulated",
    "AveragePrecision": "calib.evaluation.coco_precision",
    "BinnedCalibrationTable": "calib.evaluation.tables",
    "BrierDecomposition": "calib.evaluation.proper",
    "CalibrationAccumulator": "calib.evaluation.accumulator",
    "CalibrationCurveSummary": "calib.evaluation.loess",
    "CalibrationReport": "calib.evaluation.results",
    "CalibrationTest": "calib.evaluation.significance_results",
    "CalibrationTests": "calib.evaluation.significance_results",
    "ClassTable": "calib.evaluation.detection_records",
    "CorrespondenceWarning": "calib.warnings",
    "CumulativeCurve": "calib.evaluation.cumulative_display",
    "CumulativeDisplay": "calib.evaluation.cumulative_display",
    "CumulativeTest": "calib.evaluation.cumulative",
    "DetectionHeatmapDisplay": "calib.evaluation.detection_display",
    "DetectionMeasure": "calib.evaluation.detection_records",
    "DetectionMetricInterval": "calib.evaluation.detection_records",
    "DetectionModelReport": "calib.evaluation.detection_records",
    "DetectionReport": "calib.evaluation.detection_results",
    "DetectionTable": "calib.evaluation.detection_tables",
    "FitImagesWarning": "calib.warnings",
    "Interval": "calib.evaluation.resampling",
    "IntervalQuality": "calib.evaluation.intervals",
    "KernelTest": "calib.evaluation.kernel",
    "LocalizationRecallPrecision": "calib.evaluation.recall_precision",
    "MeasureResult": "calib.evaluation.results",
    "Measurement": "calib.evaluation.measurements",
    "MeasurementTable": "calib.evaluation.measurements",
    "ModelReport": "calib.evaluation.results",
    "NothingToMeasureWarning": "calib.warnings",
    "PitUniformity": "calib.evaluation.quantiles",
    "PositionMap": "calib.evaluation.detection_records",
    "PostHocImprovement": "calib.evaluation.improvement",
    "RefinementDecomposition": "calib.evaluation.refinement",
    "ReliabilityBins": "calib.evaluation.detection_records",
    "ReliabilityDisplay": "calib.evaluation.display",
    "ScoreDecomposition": "calib.evaluation.corp",
    "SignedCalibrationError": "calib.evaluation.signed",
    "SignedCumulativeError": "calib.evaluation.cumulative",
    "SquaredCalibrationError": "calib.evaluation.squared",
    "accumulated_report": "calib.evaluation.accumulator",
    "adaptive_calibration_error": "calib.evaluation.binned",
    "average_calibration_error": "calib.evaluation.binned",
    "average_precision": "calib.evaluation.coco_precision",
    "binned_calibration_table": "calib.evaluation.tables",
    "brier_decomposition": "calib.evaluation.proper",
    "brier_score": "calib.evaluation.proper",
    "calibration_report": "calib.evaluation.report",
    "calibration_tests": "calib.evaluation.significance",
    "classwise_calibration_error": "calib.evaluation.binned",
    "classwise_ks_calibration_error": "calib.evaluation.cumulative",
    "consistency_interval": "calib.evaluation.resampling",
    "cumulative_calibration_curve": "calib.evaluation.cumulative_display",
    "cumulative_calibration_error": "calib.evaluation.cumulative",
    "cumulative_calibration_test": "calib.evaluation.cumulative",
    "density_calibration_error": "calib.evaluation.density",
    "detection_calibration_error": "calib.evaluation.detection",
    "detection_calibration_table": "calib.evaluation.detection",
    "detection_metric_difference": "calib.evaluation.detection_sampling",
    "detection_metric_interval": "calib.evaluation.detection_sampling",
    "detection_report": "calib.evaluation.detection_reporting",
    "dirichlet_calibration_error": "calib.evaluation.density",
    "expected_calibration_error": "calib.evaluation.binned",
    "integrated_calibration_index": "calib.evaluation.loess",
    "interval_coverage": "calib.evaluation.intervals",
    "interval_quality": "calib.evaluation.intervals",
    "interval_score": "calib.evaluation.intervals",
    "kernel_calibration_error": "calib.evaluation.kernel",
    "kernel_calibration_test": "calib.evaluation.kernel",
    "ks_calibration_error": "calib.evaluation.cumulative",
    "localization_aware_absolute_error": "calib.evaluation.localization",
    "localization_aware_calibration_error": "calib.evaluation.localization",
    "localization_recall_precision": "calib.evaluation.recall_precision",
    "localization_recall_precision_of": "calib.evaluation.recall_precision",
    "localization_table": "calib.evaluation.localization",
    "log_loss": "calib.evaluation.proper",
    "maximum_calibration_error": "calib.evaluation.binned",
    "maximum_mean_calibration_error": "calib.evaluation.kernel",
    "mean_interval_width": "calib.evaluation.intervals",
    "measurement_table": "calib.evaluation.measurements",
    "metric_interval": "calib.evaluation.metric_intervals",
    "optimal_localization_recall_precision": "calib.evaluation.recall_precision",
    "pit_uniformity": "calib.evaluation.quantiles",
    "post_hoc_improvement": "calib.evaluation.improvement",
    "quantile_crps": "calib.evaluation.quantiles",
    "quantile_pit": "calib.evaluation.quantiles",
    "refinement_decomposition": "calib.evaluation.refinement",
    "score_decomposition": "calib.evaluation.corp",
    "score_iou_squared_error": "calib.evaluation.overlap_error",
    "signed_calibration_error": "calib.evaluation.signed",
    "signed_cumulative_error": "calib.evaluation.cumulative",
    "smooth_calibration_error": "calib.evaluation.smooth",
    "squared_calibration_error": "calib.evaluation.squared",
    "sweep_bin_count": "calib.evaluation.sweep",
    "sweep_calibration_error": "calib.evaluation.sweep",
}

__all__ = [
    "AccumulatedReport",
    "AveragePrecision",
    "BinnedCalibrationTable",
    "BrierDecomposition",
    "CalibrationAccumulator",
    "CalibrationCurveSummary",
    "CalibrationReport",
    "CalibrationTest",
    "CalibrationTests",
    "ClassTable",
    "CorrespondenceWarning",
    "CumulativeCurve",
    "CumulativeDisplay",
    "CumulativeTest",
    "DetectionHeatmapDisplay",
    "DetectionMeasure",
    "DetectionMetricInterval",
    "DetectionModelReport",
    "DetectionReport",
    "DetectionTable",
    "FitImagesWarning",
    "Interval",
    "IntervalQuality",
    "KernelTest",
    "LocalizationRecallPrecision",
    "MeasureResult",
    "Measurement",
    "MeasurementTable",
    "ModelReport",
    "NothingToMeasureWarning",
    "PitUniformity",
    "PositionMap",
    "PostHocImprovement",
    "RefinementDecomposition",
    "ReliabilityBins",
    "ReliabilityDisplay",
    "ScoreDecomposition",
    "SignedCalibrationError",
    "SignedCumulativeError",
    "SquaredCalibrationError",
    "accumulated_report",
    "adaptive_calibration_error",
    "average_calibration_error",
    "average_precision",
    "binned_calibration_table",
    "brier_decomposition",
    "brier_score",
    "calibration_report",
    "calibration_tests",
    "classwise_calibration_error",
    "classwise_ks_calibration_error",
    "consistency_interval",
    "cumulative_calibration_curve",
    "cumulative_calibration_error",
    "cumulative_calibration_test",
    "density_calibration_error",
    "detection_calibration_error",
    "detection_calibration_table",
    "detection_metric_difference",
    "detection_metric_interval",
    "detection_report",
    "dirichlet_calibration_error",
    "expected_calibration_error",
    "integrated_calibration_index",
    "interval_coverage",
    "interval_quality",
    "interval_score",
    "kernel_calibration_error",
    "kernel_calibration_test",
    "ks_calibration_error",
    "localization_aware_absolute_error",
    "localization_aware_calibration_error",
    "localization_recall_precision",
    "localization_recall_precision_of",
    "localization_table",
    "log_loss",
    "maximum_calibration_error",
    "maximum_mean_calibration_error",
    "mean_interval_width",
    "measurement_table",
    "metric_interval",
    "optimal_localization_recall_precision",
    "pit_uniformity",
    "post_hoc_improvement",
    "quantile_crps",
    "quantile_pit",
    "refinement_decomposition",
    "score_decomposition",
    "score_iou_squared_error",
    "signed_calibration_error",
    "signed_cumulative_error",
    "smooth_calibration_error",
    "squared_calibration_error",
    "sweep_bin_count",
    "sweep_calibration_error",
]
# </generated>


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name[:2] == "__")})
