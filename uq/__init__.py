"""Uncertainty on top of calibrated probabilities: sets, intervals, doubt scores, decisions."""

from uq.cli.saved_models import load_correctness_model, save_correctness_model
from uq.conformal.boxes import ConformalBoxes
from uq.conformal.classifier import ConformalClassifier
from uq.conformal.likelihood_ratio import LikelihoodRatio
from uq.conformal.online import AdaptiveConformal
from uq.conformal.p_values import (
    ForcedPrediction,
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
from uq.correctness.model.groups_table import GroupRow, GroupsTable
from uq.correctness.model.model import CorrectnessModel
from uq.correctness.probe import HiddenStateProbe
from uq.correctness.shift_test import (
    DistributionShift,
    SeparatingFeature,
    distribution_shift_test,
)
from uq.correctness.stopping import StoppingThreshold, control_stopping_risk
from uq.mapie import RiskControlledClassifier
from uq.ood.concept_scores import concept_matching_score, negative_label_score, select_negatives
from uq.ood.detectors import KNearestDetector, MahalanobisDetector
from uq.ood.report import OODReport, ood_report
from uq.ood.scores import (
    energy_score,
    margin_score,
    max_logit_score,
    max_probability_score,
    negative_entropy_score,
    negative_mutual_information_score,
    ood_score,
)
from uq.selective.certainty import (
    conformal_confidence,
    conformal_credibility,
    interval_lower_certainty,
    interval_width_certainty,
    is_conformal_singleton,
)
from uq.selective.certainty_curves import CertaintyCurve, certainty_curve
from uq.selective.classifier import SelectiveClassifier
from uq.selective.risk_control import SelectiveThreshold, abstention_utility, control_selective_risk
from uq.selective.risk_coverage import (
    RiskCoverageCurve,
    area_under_risk_coverage,
    excess_area_under_risk_coverage,
    risk_coverage_curve,
)
from uq.selective.selective_table import SelectiveRow, SelectiveTable, selective_table
from uq.split_point.heads import SideMeans
from uq.split_point.regressor import SplitPointRegressor
from uq.study.claims import StudyClaim
from uq.study.feature_sets import SpearmanFilter
from uq.study.models import load_study_stand_in, study_models
from uq.study.numbers import StudyDifference
from uq.study.results import StudyResult
from uq.study.scores import Protocol
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
    UnmatchedBoxesWarning,
    UnseenModelWarning,
)

__all__ = [
    "AdaptiveConformal",
    "BiasedSplitPointWarning",
    "CertaintyCurve",
    "ConformalBoxes",
    "ConformalClassifier",
    "ConformalRegressor",
    "ConformalWarning",
    "CorrectnessModel",
    "CrossingQuantilesWarning",
    "DistributionShift",
    "DuplicateQuestionsWarning",
    "EffectiveSampleSizeWarning",
    "EmptyIntervalWarning",
    "FewSideRowsWarning",
    "ForcedPrediction",
    "GroupRow",
    "GroupsTable",
    "HiddenStateProbe",
    "InSampleResidualsWarning",
    "InvalidConfidenceWarning",
    "KNearestDetector",
    "LikelihoodRatio",
    "MahalanobisDetector",
    "NothingKeptWarning",
    "OODReport",
    "PooledCategoryWarning",
    "Protocol",
    "RiskControlledClassifier",
    "RiskCoverageCurve",
    "RiskNotControlledWarning",
    "SelectiveClassifier",
    "SelectiveRow",
    "SelectiveTable",
    "SelectiveThreshold",
    "SeparatingFeature",
    "SharedRowsWarning",
    "SideMeans",
    "SmallCalibrationSetWarning",
    "SpearmanFilter",
    "SplitPointRegressor",
    "StoppingThreshold",
    "StudyClaim",
    "StudyDifference",
    "StudyResult",
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
    "distribution_shift_test",
    "effective_sample_size",
    "energy_score",
    "excess_area_under_risk_coverage",
    "forced_prediction",
    "interval_lower_certainty",
    "interval_width_certainty",
    "is_conformal_singleton",
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
