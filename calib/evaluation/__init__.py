"""Evaluation: calibration errors, their sampling error, reports and diagrams.

    calib.evaluation.report        `calibration_report`, `metric_interval`, `metric_difference`
    calib.evaluation.binned        errors with bins: `expected_calibration_error`, ...
    calib.evaluation.unbinned      errors without: cumulative, smooth, kernel, density, loess
    calib.evaluation.proper        `log_loss`, `brier_score`, decompositions
    calib.evaluation.segments      who is off: `segment_report`, `multicalibration_error`
    calib.evaluation.significance  `calibration_tests`
    calib.evaluation.stream        `CalibrationAccumulator`, `CalibrationMonitor`: sums, alarms
    calib.evaluation.display       `ReliabilityDisplay`, `CumulativeDisplay`, ...
    calib.evaluation.detection     detectors: `detection_report`, D-ECE, LaECE, LRP, precision
    calib.evaluation.dense         pixels and tokens: `dense_report`, intervals by image
    calib.evaluation.multilabel    many labels a sample: `multilabel_report`
    calib.evaluation.regression    numbers: `regression_report`, `crps`, `interval_quality`, ...
    calib.evaluation.sampling      bootstrap and floors behind every interval
    calib.evaluation.views         which classes and events a measure looks at

All names are imported from `calib.evaluation` itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calib._lazy import lazy_exports

if TYPE_CHECKING:
    from calib._core.distributions.predictive import (
        PredictiveDistribution,
    )
    from calib.evaluation.binned.errors import (
        adaptive_calibration_error,
        average_calibration_error,
        classwise_calibration_error,
        expected_calibration_error,
        maximum_calibration_error,
    )
    from calib.evaluation.binned.signed import (
        SignedCalibrationError as SignedCalibrationError,
        signed_calibration_error,
    )
    from calib.evaluation.binned.squared import (
        SquaredCalibrationError as SquaredCalibrationError,
        squared_calibration_error,
    )
    from calib.evaluation.binned.sweep import sweep_bin_count, sweep_calibration_error
    from calib.evaluation.binned.tables import (
        BinnedCalibrationTable as BinnedCalibrationTable,
        binned_calibration_table,
    )
    from calib.evaluation.dense.report import dense_report
    from calib.evaluation.dense.results import DenseModel as DenseModel, DenseReport as DenseReport
    from calib.evaluation.detection.average_precision_coco import (
        AveragePrecision as AveragePrecision,
        average_precision,
    )
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
        LocalizationRecallPrecision as LocalizationRecallPrecision,
        localization_recall_precision,
        localization_recall_precision_of,
        optimal_localization_recall_precision,
    )
    from calib.evaluation.detection.report.records import (
        ClassTable as ClassTable,
        DetectionMeasure as DetectionMeasure,
        DetectionMetricInterval as DetectionMetricInterval,
        DetectionModelReport as DetectionModelReport,
        PositionMap as PositionMap,
        ReliabilityBins as ReliabilityBins,
    )
    from calib.evaluation.detection.report.reporting import detection_report
    from calib.evaluation.detection.report.results import DetectionReport as DetectionReport
    from calib.evaluation.detection.sampling import (
        detection_metric_difference,
        detection_metric_interval,
    )
    from calib.evaluation.detection.tables import DetectionTable as DetectionTable
    from calib.evaluation.display.axes import save_figure
    from calib.evaluation.display.classwise import ClasswiseReliabilityDisplay
    from calib.evaluation.display.cumulative import (
        CumulativeCurve as CumulativeCurve,
        CumulativeDisplay,
        cumulative_calibration_curve,
    )
    from calib.evaluation.display.detection import DetectionHeatmapDisplay
    from calib.evaluation.display.distributions import (
        CoverageDisplay,
        PITDisplay,
        PredictiveDistributionDisplay,
    )
    from calib.evaluation.display.reliability import ReliabilityDisplay
    from calib.evaluation.multilabel.errors import multilabel_calibration_error
    from calib.evaluation.multilabel.report import (
        LabelRow as LabelRow,
        MultilabelModel as MultilabelModel,
        MultilabelReport as MultilabelReport,
        multilabel_report,
    )
    from calib.evaluation.proper.corp import (
        ScoreDecomposition as ScoreDecomposition,
        score_decomposition,
    )
    from calib.evaluation.proper.improvement import (
        PostHocImprovement as PostHocImprovement,
        post_hoc_improvement,
    )
    from calib.evaluation.proper.refinement import (
        RefinementDecomposition as RefinementDecomposition,
        refinement_decomposition,
    )
    from calib.evaluation.proper.scores import (
        BrierDecomposition as BrierDecomposition,
        brier_decomposition,
        brier_score,
        log_loss,
    )
    from calib.evaluation.regression.curves import (
        CoverageCurve as CoverageCurve,
        PitHistogram as PitHistogram,
        coverage_curve,
        pit_histogram,
    )
    from calib.evaluation.regression.distributions import predictive_distribution
    from calib.evaluation.regression.errors import (
        expected_normalized_calibration_error,
        quantile_calibration_error,
        uncertainty_calibration_error,
    )
    from calib.evaluation.regression.intervals import (
        IntervalQuality as IntervalQuality,
        interval_coverage,
        interval_quality,
        interval_score,
        mean_interval_width,
    )
    from calib.evaluation.regression.quantiles import (
        PitUniformity as PitUniformity,
        pinball_loss,
        pit_uniformity,
        quantile_crps,
        quantile_pit,
    )
    from calib.evaluation.regression.report.records import (
        DistributionReport as DistributionReport,
    )
    from calib.evaluation.regression.report.reporting import regression_report
    from calib.evaluation.regression.report.results import (
        RegressionReport as RegressionReport,
    )
    from calib.evaluation.regression.scores import (
        crps,
        normal_crps,
        sample_crps,
    )
    from calib.evaluation.report.classification import calibration_report
    from calib.evaluation.report.measurements import (
        Measurement as Measurement,
        MeasurementTable as MeasurementTable,
        measurement_table,
    )
    from calib.evaluation.report.metric_intervals import (
        consistency_interval,
        metric_difference,
        metric_interval,
    )
    from calib.evaluation.report.records import (
        MeasureResult as MeasureResult,
        ModelReport as ModelReport,
    )
    from calib.evaluation.report.results import CalibrationReport as CalibrationReport
    from calib.evaluation.sampling.intervals import Interval as Interval
    from calib.evaluation.segments.report import multicalibration_error, segment_report
    from calib.evaluation.segments.results import (
        SegmentReport as SegmentReport,
        SegmentResult as SegmentResult,
    )
    from calib.evaluation.significance.results import (
        CalibrationTest as CalibrationTest,
        CalibrationTests as CalibrationTests,
    )
    from calib.evaluation.significance.tests import calibration_tests
    from calib.evaluation.stream.accumulator import CalibrationAccumulator, accumulated_report
    from calib.evaluation.stream.monitor import CalibrationMonitor
    from calib.evaluation.stream.monitor_results import (
        MonitorReport as MonitorReport,
        WatchedBin as WatchedBin,
    )
    from calib.evaluation.stream.results import AccumulatedReport as AccumulatedReport
    from calib.evaluation.stream.score_sequence import (
        ScoreDifferenceSequence as ScoreDifferenceSequence,
        score_difference_sequence,
    )
    from calib.evaluation.unbinned.cumulative import (
        CumulativeTest as CumulativeTest,
        SignedCumulativeError as SignedCumulativeError,
        classwise_ks_calibration_error,
        cumulative_calibration_error,
        cumulative_calibration_test,
        ks_calibration_error,
        signed_cumulative_error,
    )
    from calib.evaluation.unbinned.density import (
        density_calibration_error,
        dirichlet_calibration_error,
    )
    from calib.evaluation.unbinned.kernel import (
        KernelTest as KernelTest,
        kernel_calibration_error,
        kernel_calibration_test,
        maximum_mean_calibration_error,
    )
    from calib.evaluation.unbinned.loess import (
        CalibrationCurveSummary as CalibrationCurveSummary,
        integrated_calibration_index,
    )
    from calib.evaluation.unbinned.smooth import smooth_calibration_error
    from calib.evaluation.views.soft_targets import (
        ExpandedTargets as ExpandedTargets,
        expand_soft_targets,
    )
    from calib.warnings import (
        CorrespondenceWarning as CorrespondenceWarning,
        FitImagesWarning as FitImagesWarning,
        NothingToMeasureWarning as NothingToMeasureWarning,
    )

# <generated> by tools/generate_exports.py from the imports above; do not edit by hand
_MODULE_OF = {
    "AccumulatedReport": "calib.evaluation.stream.results",
    "AveragePrecision": "calib.evaluation.detection.average_precision_coco",
    "BinnedCalibrationTable": "calib.evaluation.binned.tables",
    "BrierDecomposition": "calib.evaluation.proper.scores",
    "CalibrationAccumulator": "calib.evaluation.stream.accumulator",
    "CalibrationCurveSummary": "calib.evaluation.unbinned.loess",
    "CalibrationMonitor": "calib.evaluation.stream.monitor",
    "CalibrationReport": "calib.evaluation.report.results",
    "CalibrationTest": "calib.evaluation.significance.results",
    "CalibrationTests": "calib.evaluation.significance.results",
    "ClassTable": "calib.evaluation.detection.report.records",
    "ClasswiseReliabilityDisplay": "calib.evaluation.display.classwise",
    "CorrespondenceWarning": "calib.warnings",
    "CoverageCurve": "calib.evaluation.regression.curves",
    "CoverageDisplay": "calib.evaluation.display.distributions",
    "CumulativeCurve": "calib.evaluation.display.cumulative",
    "CumulativeDisplay": "calib.evaluation.display.cumulative",
    "CumulativeTest": "calib.evaluation.unbinned.cumulative",
    "DenseModel": "calib.evaluation.dense.results",
    "DenseReport": "calib.evaluation.dense.results",
    "DetectionHeatmapDisplay": "calib.evaluation.display.detection",
    "DetectionMeasure": "calib.evaluation.detection.report.records",
    "DetectionMetricInterval": "calib.evaluation.detection.report.records",
    "DetectionModelReport": "calib.evaluation.detection.report.records",
    "DetectionReport": "calib.evaluation.detection.report.results",
    "DetectionTable": "calib.evaluation.detection.tables",
    "DistributionReport": "calib.evaluation.regression.report.records",
    "ExpandedTargets": "calib.evaluation.views.soft_targets",
    "FitImagesWarning": "calib.warnings",
    "Interval": "calib.evaluation.sampling.intervals",
    "IntervalQuality": "calib.evaluation.regression.intervals",
    "KernelTest": "calib.evaluation.unbinned.kernel",
    "LabelRow": "calib.evaluation.multilabel.report",
    "LocalizationRecallPrecision": "calib.evaluation.detection.lrp",
    "MeasureResult": "calib.evaluation.report.records",
    "Measurement": "calib.evaluation.report.measurements",
    "MeasurementTable": "calib.evaluation.report.measurements",
    "ModelReport": "calib.evaluation.report.records",
    "MonitorReport": "calib.evaluation.stream.monitor_results",
    "MultilabelModel": "calib.evaluation.multilabel.report",
    "MultilabelReport": "calib.evaluation.multilabel.report",
    "NothingToMeasureWarning": "calib.warnings",
    "PITDisplay": "calib.evaluation.display.distributions",
    "PitHistogram": "calib.evaluation.regression.curves",
    "PitUniformity": "calib.evaluation.regression.quantiles",
    "PositionMap": "calib.evaluation.detection.report.records",
    "PostHocImprovement": "calib.evaluation.proper.improvement",
    "PredictiveDistribution": "calib._core.distributions.predictive",
    "PredictiveDistributionDisplay": "calib.evaluation.display.distributions",
    "RefinementDecomposition": "calib.evaluation.proper.refinement",
    "RegressionReport": "calib.evaluation.regression.report.results",
    "ReliabilityBins": "calib.evaluation.detection.report.records",
    "ReliabilityDisplay": "calib.evaluation.display.reliability",
    "ScoreDecomposition": "calib.evaluation.proper.corp",
    "ScoreDifferenceSequence": "calib.evaluation.stream.score_sequence",
    "SegmentReport": "calib.evaluation.segments.results",
    "SegmentResult": "calib.evaluation.segments.results",
    "SignedCalibrationError": "calib.evaluation.binned.signed",
    "SignedCumulativeError": "calib.evaluation.unbinned.cumulative",
    "SquaredCalibrationError": "calib.evaluation.binned.squared",
    "WatchedBin": "calib.evaluation.stream.monitor_results",
    "accumulated_report": "calib.evaluation.stream.accumulator",
    "adaptive_calibration_error": "calib.evaluation.binned.errors",
    "average_calibration_error": "calib.evaluation.binned.errors",
    "average_precision": "calib.evaluation.detection.average_precision_coco",
    "binned_calibration_table": "calib.evaluation.binned.tables",
    "brier_decomposition": "calib.evaluation.proper.scores",
    "brier_score": "calib.evaluation.proper.scores",
    "calibration_report": "calib.evaluation.report.classification",
    "calibration_tests": "calib.evaluation.significance.tests",
    "classwise_calibration_error": "calib.evaluation.binned.errors",
    "classwise_ks_calibration_error": "calib.evaluation.unbinned.cumulative",
    "consistency_interval": "calib.evaluation.report.metric_intervals",
    "coverage_curve": "calib.evaluation.regression.curves",
    "crps": "calib.evaluation.regression.scores",
    "cumulative_calibration_curve": "calib.evaluation.display.cumulative",
    "cumulative_calibration_error": "calib.evaluation.unbinned.cumulative",
    "cumulative_calibration_test": "calib.evaluation.unbinned.cumulative",
    "dense_report": "calib.evaluation.dense.report",
    "density_calibration_error": "calib.evaluation.unbinned.density",
    "detection_calibration_error": "calib.evaluation.detection.errors",
    "detection_calibration_table": "calib.evaluation.detection.errors",
    "detection_metric_difference": "calib.evaluation.detection.sampling",
    "detection_metric_interval": "calib.evaluation.detection.sampling",
    "detection_report": "calib.evaluation.detection.report.reporting",
    "dirichlet_calibration_error": "calib.evaluation.unbinned.density",
    "expand_soft_targets": "calib.evaluation.views.soft_targets",
    "expected_calibration_error": "calib.evaluation.binned.errors",
    "expected_normalized_calibration_error": "calib.evaluation.regression.errors",
    "integrated_calibration_index": "calib.evaluation.unbinned.loess",
    "interval_coverage": "calib.evaluation.regression.intervals",
    "interval_quality": "calib.evaluation.regression.intervals",
    "interval_score": "calib.evaluation.regression.intervals",
    "kernel_calibration_error": "calib.evaluation.unbinned.kernel",
    "kernel_calibration_test": "calib.evaluation.unbinned.kernel",
    "ks_calibration_error": "calib.evaluation.unbinned.cumulative",
    "localization_aware_absolute_error": "calib.evaluation.detection.localization",
    "localization_aware_calibration_error": "calib.evaluation.detection.localization",
    "localization_recall_precision": "calib.evaluation.detection.lrp",
    "localization_recall_precision_of": "calib.evaluation.detection.lrp",
    "localization_table": "calib.evaluation.detection.localization",
    "log_loss": "calib.evaluation.proper.scores",
    "maximum_calibration_error": "calib.evaluation.binned.errors",
    "maximum_mean_calibration_error": "calib.evaluation.unbinned.kernel",
    "mean_interval_width": "calib.evaluation.regression.intervals",
    "measurement_table": "calib.evaluation.report.measurements",
    "metric_difference": "calib.evaluation.report.metric_intervals",
    "metric_interval": "calib.evaluation.report.metric_intervals",
    "multicalibration_error": "calib.evaluation.segments.report",
    "multilabel_calibration_error": "calib.evaluation.multilabel.errors",
    "multilabel_report": "calib.evaluation.multilabel.report",
    "normal_crps": "calib.evaluation.regression.scores",
    "optimal_localization_recall_precision": "calib.evaluation.detection.lrp",
    "pinball_loss": "calib.evaluation.regression.quantiles",
    "pit_histogram": "calib.evaluation.regression.curves",
    "pit_uniformity": "calib.evaluation.regression.quantiles",
    "post_hoc_improvement": "calib.evaluation.proper.improvement",
    "predictive_distribution": "calib.evaluation.regression.distributions",
    "quantile_calibration_error": "calib.evaluation.regression.errors",
    "quantile_crps": "calib.evaluation.regression.quantiles",
    "quantile_pit": "calib.evaluation.regression.quantiles",
    "refinement_decomposition": "calib.evaluation.proper.refinement",
    "regression_report": "calib.evaluation.regression.report.reporting",
    "sample_crps": "calib.evaluation.regression.scores",
    "save_figure": "calib.evaluation.display.axes",
    "score_decomposition": "calib.evaluation.proper.corp",
    "score_difference_sequence": "calib.evaluation.stream.score_sequence",
    "score_iou_squared_error": "calib.evaluation.detection.localization",
    "segment_report": "calib.evaluation.segments.report",
    "signed_calibration_error": "calib.evaluation.binned.signed",
    "signed_cumulative_error": "calib.evaluation.unbinned.cumulative",
    "smooth_calibration_error": "calib.evaluation.unbinned.smooth",
    "squared_calibration_error": "calib.evaluation.binned.squared",
    "sweep_bin_count": "calib.evaluation.binned.sweep",
    "sweep_calibration_error": "calib.evaluation.binned.sweep",
    "uncertainty_calibration_error": "calib.evaluation.regression.errors",
}

__all__ = [
    "CalibrationAccumulator",
    "CalibrationMonitor",
    "ClasswiseReliabilityDisplay",
    "CoverageDisplay",
    "CumulativeDisplay",
    "DetectionHeatmapDisplay",
    "PITDisplay",
    "PredictiveDistribution",
    "PredictiveDistributionDisplay",
    "ReliabilityDisplay",
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
    "coverage_curve",
    "crps",
    "cumulative_calibration_curve",
    "cumulative_calibration_error",
    "cumulative_calibration_test",
    "dense_report",
    "density_calibration_error",
    "detection_calibration_error",
    "detection_calibration_table",
    "detection_metric_difference",
    "detection_metric_interval",
    "detection_report",
    "dirichlet_calibration_error",
    "expand_soft_targets",
    "expected_calibration_error",
    "expected_normalized_calibration_error",
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
    "multicalibration_error",
    "multilabel_calibration_error",
    "multilabel_report",
    "normal_crps",
    "optimal_localization_recall_precision",
    "pinball_loss",
    "pit_histogram",
    "pit_uniformity",
    "post_hoc_improvement",
    "predictive_distribution",
    "quantile_calibration_error",
    "quantile_crps",
    "quantile_pit",
    "refinement_decomposition",
    "regression_report",
    "sample_crps",
    "save_figure",
    "score_decomposition",
    "score_difference_sequence",
    "score_iou_squared_error",
    "segment_report",
    "signed_calibration_error",
    "signed_cumulative_error",
    "smooth_calibration_error",
    "squared_calibration_error",
    "sweep_bin_count",
    "sweep_calibration_error",
    "uncertainty_calibration_error",
]
# </generated>

__getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF, __all__)
