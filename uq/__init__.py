"""Uncertainty on top of calibrated probabilities: sets, intervals, doubt scores, decisions.

    uq.conformal    prediction sets and intervals with coverage: `ConformalClassifier`,
                    `ConformalRegressor`, `ConformalBoxes`, `AdaptiveConformal`, p-values
    uq.predictive   whole distributions around a regressor: `ConformalPredictiveSystem`
    uq.split_point  intervals from residuals on both sides: `SplitPointRegressor`
    uq.selective    abstention: `SelectiveClassifier`, `control_selective_risk`, risk curves
    uq.correctness  was this answer right: `CorrectnessModel`, `HiddenStateProbe`, stopping, shift
    uq.ood          inputs unlike the training data: scores, `KNearestDetector`, `ood_report`
    uq.study        the leave-one-out study of small data: `leave_one_out_study`
    uq.multilabel   thresholds of many labels: `label_thresholds`
    uq.performance  how good predictions are before labels arrive: `estimate_performance`
    uq.costs        decisions with unequal costs: `cost_threshold`, `cost_decision`,
                    `decision_curve`
    uq.mapie        decisions under a controlled risk, by MAPIE: `RiskControlledClassifier`
    uq.warnings     what is noticed; uq.cli: commands of `calib`

All names are imported from `uq` itself. First use::

    from uq import ConformalClassifier
    sets = ConformalClassifier(model).fit(X, y).predict_set(new_X, confidence_level=0.9)
"""

__distribution__ = "calib-uq"

import calib

if (
    getattr(calib, "__distribution__", None) != __distribution__
    or str(calib.__file__).rpartition("calib")[0] != __file__.rpartition("uq")[0]
):
    raise ImportError(
        f"`uq` is {__file__}, but the `calib` that it needs beside it is {calib.__file__}: "
        "another distribution has written to, or removed, a folder of this name, or two "
        "installations are mixed. Uninstall both (`pip uninstall calib-uq <the other one>`) and "
        "install calib-uq alone in a new environment; `pip show -f <name>` lists the files of a "
        "distribution."
    )

from calib._lazy import listing
from uq.cli.saved_models import load_correctness_model, save_correctness_model
from uq.conformal.boxes import ConformalBoxes
from uq.conformal.classifier import ConformalClassifier
from uq.conformal.likelihood_ratio import LikelihoodRatio
from uq.conformal.online import AdaptiveConformal
from uq.conformal.p_values import (
    ForcedPrediction as ForcedPrediction,
    conformal_p_values,
    forced_prediction,
    mondrian_p_values,
)
from uq.conformal.quantiles import (
    conformal_quantile,
    effective_sample_size,
    weighted_conformal_quantile,
)
from uq.conformal.regressor import ConformalRegressor
from uq.correctness.model.groups_table import GroupRow as GroupRow, GroupsTable as GroupsTable
from uq.correctness.model.model import CorrectnessModel
from uq.correctness.probe import HiddenStateProbe
from uq.correctness.shift_test import (
    DistributionShift as DistributionShift,
    SeparatingFeature as SeparatingFeature,
    distribution_shift_test,
)
from uq.correctness.stopping import StoppingThreshold as StoppingThreshold, control_stopping_risk
from uq.costs import DecisionCurve as DecisionCurve, cost_decision, cost_threshold, decision_curve
from uq.mapie import RiskControlledClassifier
from uq.multilabel import label_thresholds
from uq.ood.concept_scores import concept_matching_score, negative_label_score, select_negatives
from uq.ood.detectors import KNearestDetector, MahalanobisDetector
from uq.ood.report import OODReport as OODReport, ood_report
from uq.ood.scores import (
    energy_score,
    margin_score,
    max_logit_score,
    max_probability_score,
    negative_entropy_score,
    negative_mutual_information_score,
    ood_score,
)
from uq.performance import estimate_performance
from uq.predictive.system import ConformalPredictiveSystem
from uq.selective.certainty import (
    conformal_confidence,
    conformal_credibility,
    interval_lower_certainty,
    interval_width_certainty,
    is_conformal_singleton,
)
from uq.selective.certainty_curves import CertaintyCurve as CertaintyCurve, certainty_curve
from uq.selective.classifier import SelectiveClassifier
from uq.selective.risk_control import (
    SelectiveThreshold as SelectiveThreshold,
    abstention_utility,
    control_selective_risk,
)
from uq.selective.risk_coverage import (
    RiskCoverageCurve as RiskCoverageCurve,
    area_under_risk_coverage,
    excess_area_under_risk_coverage,
    risk_coverage_curve,
)
from uq.selective.selective_table import (
    SelectiveRow as SelectiveRow,
    SelectiveTable as SelectiveTable,
    selective_table,
)
from uq.split_point.heads import SideMeans as SideMeans
from uq.split_point.regressor import SplitPointRegressor
from uq.study.claims import StudyClaim as StudyClaim
from uq.study.feature_sets import SpearmanFilter
from uq.study.models import load_study_stand_in, study_models
from uq.study.numbers import StudyDifference as StudyDifference
from uq.study.results import StudyResult as StudyResult
from uq.study.scores import Protocol as Protocol
from uq.study.study import leave_one_out_study
from uq.study.tuning import study_grids
from uq.warnings import (
    BiasedSplitPointWarning,
    ConformalWarning,
    CrossingQuantilesWarning,
    DuplicateQuestionsWarning,
    EffectiveSampleSizeWarning,
    EmptyIntervalWarning,
    FewSideRowsWarning,
    InSampleResidualsWarning,
    InvalidConfidenceWarning,
    NothingKeptWarning,
    PooledCategoryWarning,
    RiskNotControlledWarning,
    SharedRowsWarning,
    SmallCalibrationSetWarning,
    UnlabelledEstimateWarning,
    UnmatchedBoxesWarning,
    UnseenModelWarning,
)

__all__ = [
    "AdaptiveConformal",
    "BiasedSplitPointWarning",
    "ConformalBoxes",
    "ConformalClassifier",
    "ConformalPredictiveSystem",
    "ConformalRegressor",
    "ConformalWarning",
    "CorrectnessModel",
    "CrossingQuantilesWarning",
    "DuplicateQuestionsWarning",
    "EffectiveSampleSizeWarning",
    "EmptyIntervalWarning",
    "FewSideRowsWarning",
    "HiddenStateProbe",
    "InSampleResidualsWarning",
    "InvalidConfidenceWarning",
    "KNearestDetector",
    "LikelihoodRatio",
    "MahalanobisDetector",
    "NothingKeptWarning",
    "PooledCategoryWarning",
    "RiskControlledClassifier",
    "RiskNotControlledWarning",
    "SelectiveClassifier",
    "SharedRowsWarning",
    "SmallCalibrationSetWarning",
    "SpearmanFilter",
    "SplitPointRegressor",
    "UnlabelledEstimateWarning",
    "UnmatchedBoxesWarning",
    "UnseenModelWarning",
    "abstention_utility",
    "area_under_risk_coverage",
    "certainty_curve",
    "concept_matching_score",
    "conformal_confidence",
    "conformal_credibility",
    "conformal_p_values",
    "conformal_quantile",
    "control_selective_risk",
    "control_stopping_risk",
    "cost_decision",
    "cost_threshold",
    "decision_curve",
    "distribution_shift_test",
    "effective_sample_size",
    "energy_score",
    "estimate_performance",
    "excess_area_under_risk_coverage",
    "forced_prediction",
    "interval_lower_certainty",
    "interval_width_certainty",
    "is_conformal_singleton",
    "label_thresholds",
    "leave_one_out_study",
    "load_correctness_model",
    "load_study_stand_in",
    "margin_score",
    "max_logit_score",
    "max_probability_score",
    "mondrian_p_values",
    "negative_entropy_score",
    "negative_label_score",
    "negative_mutual_information_score",
    "ood_report",
    "ood_score",
    "risk_coverage_curve",
    "save_correctness_model",
    "select_negatives",
    "selective_table",
    "study_grids",
    "study_models",
    "weighted_conformal_quantile",
]

__dir__ = listing(__name__, __all__, ("warnings",))
