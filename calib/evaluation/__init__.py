"""Evaluation: calibration errors, their sampling error, reports and diagrams."""

from calib.evaluation.binned.errors import (
    adaptive_calibration_error,
    average_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from calib.evaluation.binned.signed import SignedCalibrationError, signed_calibration_error
from calib.evaluation.binned.squared import SquaredCalibrationError, squared_calibration_error
from calib.evaluation.binned.sweep import sweep_bin_count, sweep_calibration_error
from calib.evaluation.binned.tables import BinnedCalibrationTable, binned_calibration_table
from calib.evaluation.detection.average_precision_coco import AveragePrecision, average_precision
from calib.evaluation.detection.errors import (
    detection_calibration_error,
    detection_calibration_table,
)
from calib.evaluation.detection.localization import (
    localization_aware_absolute_error,
    localization_aware_calibration_error,
    localization_table,
    score_iou_squared_error,
)
from calib.evaluation.detection.lrp import (
    LocalizationRecallPrecision,
    localization_recall_precision,
    localization_recall_precision_of,
    optimal_localization_recall_precision,
)
from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionMeasure,
    DetectionMetricInterval,
    DetectionModelReport,
    PositionMap,
    ReliabilityBins,
)
from calib.evaluation.detection.report.reporting import detection_report
from calib.evaluation.detection.report.results import DetectionReport
from calib.evaluation.detection.sampling import (
    detection_metric_difference,
    detection_metric_interval,
)
from calib.evaluation.detection.tables import DetectionTable
from calib.evaluation.display.axes import save_figure
from calib.evaluation.display.classwise import ClasswiseReliabilityDisplay
from calib.evaluation.display.cumulative import (
    CumulativeCurve,
    CumulativeDisplay,
    cumulative_calibration_curve,
)
from calib.evaluation.display.detection import DetectionHeatmapDisplay
from calib.evaluation.display.reliability import ReliabilityDisplay
from calib.evaluation.proper.corp import ScoreDecomposition, score_decomposition
from calib.evaluation.proper.improvement import PostHocImprovement, post_hoc_improvement
from calib.evaluation.proper.refinement import RefinementDecomposition, refinement_decomposition
from calib.evaluation.proper.scores import (
    BrierDecomposition,
    brier_decomposition,
    brier_score,
    log_loss,
)
from calib.evaluation.regression.intervals import (
    IntervalQuality,
    interval_coverage,
    interval_quality,
    interval_score,
    mean_interval_width,
)
from calib.evaluation.regression.quantiles import (
    PitUniformity,
    pit_uniformity,
    quantile_crps,
    quantile_pit,
)
from calib.evaluation.report.classification import calibration_report
from calib.evaluation.report.measurements import Measurement, MeasurementTable, measurement_table
from calib.evaluation.report.metric_intervals import (
    consistency_interval,
    metric_difference,
    metric_interval,
)
from calib.evaluation.report.records import MeasureResult, ModelReport
from calib.evaluation.report.results import CalibrationReport
from calib.evaluation.sampling.intervals import Interval
from calib.evaluation.significance.results import CalibrationTest, CalibrationTests
from calib.evaluation.significance.tests import calibration_tests
from calib.evaluation.stream.accumulator import CalibrationAccumulator, accumulated_report
from calib.evaluation.stream.results import AccumulatedReport
from calib.evaluation.unbinned.cumulative import (
    CumulativeTest,
    SignedCumulativeError,
    classwise_ks_calibration_error,
    cumulative_calibration_error,
    cumulative_calibration_test,
    ks_calibration_error,
    signed_cumulative_error,
)
from calib.evaluation.unbinned.density import density_calibration_error, dirichlet_calibration_error
from calib.evaluation.unbinned.kernel import (
    KernelTest,
    kernel_calibration_error,
    kernel_calibration_test,
    maximum_mean_calibration_error,
)
from calib.evaluation.unbinned.loess import CalibrationCurveSummary, integrated_calibration_index
from calib.evaluation.unbinned.smooth import smooth_calibration_error
from calib.warnings import CorrespondenceWarning, FitImagesWarning, NothingToMeasureWarning

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
    "ClasswiseReliabilityDisplay",
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
    "metric_difference",
    "metric_interval",
    "optimal_localization_recall_precision",
    "pit_uniformity",
    "post_hoc_improvement",
    "quantile_crps",
    "quantile_pit",
    "refinement_decomposition",
    "save_figure",
    "score_decomposition",
    "score_iou_squared_error",
    "signed_calibration_error",
    "signed_cumulative_error",
    "smooth_calibration_error",
    "squared_calibration_error",
    "sweep_bin_count",
    "sweep_calibration_error",
]
