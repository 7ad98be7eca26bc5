"""Evaluation: calibration errors, their sampling error, reports and diagrams."""

from __future__ import annotations

from calib.evaluation.binned import (
    SignedCalibrationError,
    adaptive_calibration_error,
    average_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    signed_calibration_error,
)
from calib.evaluation.display import ReliabilityDisplay
from calib.evaluation.report import calibration_report
from calib.evaluation.resampling import Interval, consistency_interval, metric_interval
from calib.evaluation.results import CalibrationReport, MeasureResult, ModelReport
from calib.evaluation.tables import BinnedCalibrationTable, binned_calibration_table

__all__ = [
    "BinnedCalibrationTable",
    "CalibrationReport",
    "Interval",
    "MeasureResult",
    "ModelReport",
    "ReliabilityDisplay",
    "SignedCalibrationError",
    "adaptive_calibration_error",
    "average_calibration_error",
    "binned_calibration_table",
    "calibration_report",
    "consistency_interval",
    "expected_calibration_error",
    "maximum_calibration_error",
    "metric_interval",
    "signed_calibration_error",
]
