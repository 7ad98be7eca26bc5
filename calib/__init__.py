"""Post-hoc calibration: probabilities that mean what they say, and reports that show it.

    calibrators       `TemperatureCalibrator`, ...; by name `make_calibrator("auto")`
    any classifier    `CalibratedClassifier(model, "auto")`
    calib.prior_shift other class frequencies: `PriorShiftAdapter().fit(X, y).adapt(new_X)`
    many labels       `MultilabelCalibrator`, in calib.multilabel
    files             `save`, `load`; modules and graphs for serving in `calib.export`
    calib.evaluation  errors, tests, intervals, reports, diagrams: `calibration_report(y, p)`
    calib.detection   boxes: `DetectionCalibrator`, readers of COCO and of frameworks
    calib.dense       pixels and tokens: `DenseCalibrator`
    calib.views       transformed inputs, for `CorrectnessAwareCalibrator`
    calib.distributed the same on Dask collections
    calib.datasets    small data sets with scores; calib.warnings: what the library notices
    calib.cli         the command `calib`; `calib demo` shows it
    uq                sets, intervals, doubt, decisions: `help(uq)`

First use, on saved probabilities or logits of rows that the model was not trained on::

    from calib import make_calibrator
    from calib.evaluation import calibration_report
    calibrator = make_calibrator("auto", input="logits").fit(logits, y)
    probabilities = calibrator.transform(new_logits)
    print(calibration_report(new_y, probabilities))
"""

from __future__ import annotations

__distribution__ = "calib-uq"

from typing import TYPE_CHECKING

from calib._lazy import lazy_exports
from calib._names import check_neighbour
from calib._version import __version__ as __version__

check_neighbour(__file__)

# <generated> by tools/generate_exports.py from the registry; edit neither by hand
if TYPE_CHECKING:
    from calib.base import BaseCalibrator
    from calib.calibrators.auto.calibrator import AutoCalibrator
    from calib.calibrators.beta import BetaCalibrator
    from calib.calibrators.correctness_aware.calibrator import CorrectnessAwareCalibrator
    from calib.calibrators.dirichlet import DirichletCalibrator
    from calib.calibrators.distribution import DistributionCalibrator
    from calib.calibrators.empirical_bayes import EmpiricalBayesCalibrator
    from calib.calibrators.ensemble import EnsembleTemperatureCalibrator
    from calib.calibrators.external import ExternalCalibrator
    from calib.calibrators.group import GroupCalibrator
    from calib.calibrators.h_calibration.calibrator import HCalibrator
    from calib.calibrators.histogram import HistogramCalibrator
    from calib.calibrators.isotonic import IsotonicCalibrator
    from calib.calibrators.matrix import MatrixScalingCalibrator, VectorScalingCalibrator
    from calib.calibrators.multicalibration import MulticalibrationCalibrator
    from calib.calibrators.platt import PlattCalibrator
    from calib.calibrators.quadratic import QuadraticCalibrator
    from calib.calibrators.spline import SplineCalibrator
    from calib.calibrators.split_point import SplitPointCalibrator
    from calib.calibrators.temperature import TemperatureCalibrator
    from calib.calibrators.venn_abers.calibrator import VennAbersCalibrator
    from calib.calibrators.venn_abers.regressor import VennAbersRegressor
    from calib.classifier import CalibratedClassifier
    from calib.dense import DenseCalibrator
    from calib.multilabel.calibrator import MultilabelCalibrator
    from calib.persistence import load, save
    from calib.prior_shift import PriorShiftAdapter, undersampled_prior
    from calib.registry import CALIBRATORS, all_calibrators, make_calibrator
    from calib.views.scores import ViewScores
    from calib.warnings import (
        BoxFormatWarning,
        CalibrationWarning,
        CalibWarning,
        CorrespondenceWarning,
        CostWarning,
        CrossingQuantilesWarning,
        DegenerateScoresWarning,
        FallbackWarning,
        FitImagesWarning,
        InvalidRowsWarning,
        NoOptimalThresholdWarning,
        NothingToMeasureWarning,
        PriorShiftWarning,
        ProbabilitiesAsLogitsWarning,
        RefitWarning,
        ScarceLabelsWarning,
        ScoreRangeWarning,
        SmallCalibrationSetWarning,
        UnknownImagesWarning,
    )

_MODULE_OF = {
    "AutoCalibrator": "calib.calibrators.auto.calibrator",
    "BaseCalibrator": "calib.base",
    "BetaCalibrator": "calib.calibrators.beta",
    "BoxFormatWarning": "calib.warnings",
    "CALIBRATORS": "calib.registry",
    "CalibWarning": "calib.warnings",
    "CalibratedClassifier": "calib.classifier",
    "CalibrationWarning": "calib.warnings",
    "CorrectnessAwareCalibrator": "calib.calibrators.correctness_aware.calibrator",
    "CorrespondenceWarning": "calib.warnings",
    "CostWarning": "calib.warnings",
    "CrossingQuantilesWarning": "calib.warnings",
    "DegenerateScoresWarning": "calib.warnings",
    "DenseCalibrator": "calib.dense",
    "DirichletCalibrator": "calib.calibrators.dirichlet",
    "DistributionCalibrator": "calib.calibrators.distribution",
    "EmpiricalBayesCalibrator": "calib.calibrators.empirical_bayes",
    "EnsembleTemperatureCalibrator": "calib.calibrators.ensemble",
    "ExternalCalibrator": "calib.calibrators.external",
    "FallbackWarning": "calib.warnings",
    "FitImagesWarning": "calib.warnings",
    "GroupCalibrator": "calib.calibrators.group",
    "HCalibrator": "calib.calibrators.h_calibration.calibrator",
    "HistogramCalibrator": "calib.calibrators.histogram",
    "InvalidRowsWarning": "calib.warnings",
    "IsotonicCalibrator": "calib.calibrators.isotonic",
    "MatrixScalingCalibrator": "calib.calibrators.matrix",
    "MulticalibrationCalibrator": "calib.calibrators.multicalibration",
    "MultilabelCalibrator": "calib.multilabel.calibrator",
    "NoOptimalThresholdWarning": "calib.warnings",
    "NothingToMeasureWarning": "calib.warnings",
    "PlattCalibrator": "calib.calibrators.platt",
    "PriorShiftAdapter": "calib.prior_shift",
    "PriorShiftWarning": "calib.warnings",
    "ProbabilitiesAsLogitsWarning": "calib.warnings",
    "QuadraticCalibrator": "calib.calibrators.quadratic",
    "RefitWarning": "calib.warnings",
    "ScarceLabelsWarning": "calib.warnings",
    "ScoreRangeWarning": "calib.warnings",
    "SmallCalibrationSetWarning": "calib.warnings",
    "SplineCalibrator": "calib.calibrators.spline",
    "SplitPointCalibrator": "calib.calibrators.split_point",
    "TemperatureCalibrator": "calib.calibrators.temperature",
    "UnknownImagesWarning": "calib.warnings",
    "VectorScalingCalibrator": "calib.calibrators.matrix",
    "VennAbersCalibrator": "calib.calibrators.venn_abers.calibrator",
    "VennAbersRegressor": "calib.calibrators.venn_abers.regressor",
    "ViewScores": "calib.views.scores",
    "all_calibrators": "calib.registry",
    "load": "calib.persistence",
    "make_calibrator": "calib.registry",
    "save": "calib.persistence",
    "undersampled_prior": "calib.prior_shift",
}

__all__ = [
    "CALIBRATORS",
    "AutoCalibrator",
    "BaseCalibrator",
    "BetaCalibrator",
    "BoxFormatWarning",
    "CalibWarning",
    "CalibratedClassifier",
    "CalibrationWarning",
    "CorrectnessAwareCalibrator",
    "CorrespondenceWarning",
    "CostWarning",
    "CrossingQuantilesWarning",
    "DegenerateScoresWarning",
    "DenseCalibrator",
    "DirichletCalibrator",
    "DistributionCalibrator",
    "EmpiricalBayesCalibrator",
    "EnsembleTemperatureCalibrator",
    "ExternalCalibrator",
    "FallbackWarning",
    "FitImagesWarning",
    "GroupCalibrator",
    "HCalibrator",
    "HistogramCalibrator",
    "InvalidRowsWarning",
    "IsotonicCalibrator",
    "MatrixScalingCalibrator",
    "MulticalibrationCalibrator",
    "MultilabelCalibrator",
    "NoOptimalThresholdWarning",
    "NothingToMeasureWarning",
    "PlattCalibrator",
    "PriorShiftAdapter",
    "PriorShiftWarning",
    "ProbabilitiesAsLogitsWarning",
    "QuadraticCalibrator",
    "RefitWarning",
    "ScarceLabelsWarning",
    "ScoreRangeWarning",
    "SmallCalibrationSetWarning",
    "SplineCalibrator",
    "SplitPointCalibrator",
    "TemperatureCalibrator",
    "UnknownImagesWarning",
    "VectorScalingCalibrator",
    "VennAbersCalibrator",
    "VennAbersRegressor",
    "ViewScores",
    "all_calibrators",
    "load",
    "make_calibrator",
    "save",
    "undersampled_prior",
]
# </generated>

#: Sub-packages and public modules, reachable as attributes without an import of their own.
_SUBPACKAGES = (
    "datasets",
    "detection",
    "distributed",
    "evaluation",
    "export",
    "views",
    "warnings",
)

__getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF, __all__, _SUBPACKAGES)
