"""Uncertainty on top of calibrated probabilities: sets, intervals, doubt scores, decisions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# <generated> by tools/generate_exports.py; edit neither by hand
if TYPE_CHECKING:
    from uq._side_heads import SideMeans
    from uq.certainty import (
        conformal_confidence,
        conformal_credibility,
        interval_lower_certainty,
        interval_width_certainty,
        is_conformal_singleton,
    )
    from uq.certainty_curves import certainty_curve
    from uq.certainty_results import CertaintyCurve, CertaintyPoints
    from uq.concept_scores import concept_matching_score, negative_label_score, select_negatives
    from uq.conformal_boxes import ConformalBoxes
    from uq.conformal_classifier import ConformalClassifier
    from uq.conformal_quantiles import (
        conformal_quantile,
        effective_sample_size,
        weighted_conformal_quantile,
    )
    from uq.conformal_regressor import ConformalRegressor
    from uq.likelihood_ratio import LikelihoodRatio
    from uq.logit_scores import energy_score, max_logit_score, ood_score
    from uq.mapie_risk_control import RiskControlledClassifier
    from uq.online import AdaptiveConformal
    from uq.ood import KNearestDetector, MahalanobisDetector
    from uq.ood_evaluation import OODMeasures, OODReport, ood_report
    from uq.p_values import (
        ForcedPrediction,
        conformal_p_values,
        forced_prediction,
        mondrian_p_values,
    )
    from uq.risk_control import SelectiveThreshold, abstention_utility, control_selective_risk
    from uq.risk_coverage import (
        area_under_risk_coverage,
        excess_area_under_risk_coverage,
        risk_coverage_curve,
    )
    from uq.risk_coverage_results import RiskCoverageCurve, SelectivePoint
    from uq.scores import (
        margin_score,
        max_probability_score,
        negative_entropy_score,
        negative_mutual_information_score,
    )
    from uq.selective import SelectiveClassifier
    from uq.split_point import SplitPointRegressor
    from uq.study import leave_one_out_study
    from uq.study_estimators import load_study_stand_in, study_models
    from uq.study_methods import StudyPredictions
    from uq.study_metrics import StudyNumber, StudyRow
    from uq.study_results import StudyResult
    from uq.study_scores import Protocol
    from uq.warnings import (
        BiasedSplitPointWarning,
        ConformalWarning,
        CrossingQuantilesWarning,
        EffectiveSampleSizeWarning,
        EmptyIntervalWarning,
        FewSideRowsWarning,
        InSampleResidualsWarning,
        NothingKeptWarning,
        PooledCategoryWarning,
        RiskNotControlledWarning,
        SmallCalibrationSetWarning,
        UnmatchedBoxesWarning,
    )

_MODULE_OF = {
    "AdaptiveConformal": "uq.online",
    "BiasedSplitPointWarning": "uq.warnings",
    "CertaintyCurve": "uq.certainty_results",
    "CertaintyPoints": "uq.certainty_results",
    "ConformalBoxes": "uq.conformal_boxes",
    "ConformalClassifier": "uq.conformal_classifier",
    "ConformalRegressor": "uq.conformal_regressor",
    "ConformalWarning": "uq.warnings",
    "CrossingQuantilesWarning": "uq.warnings",
    "EffectiveSampleSizeWarning": "uq.warnings",
    "EmptyIntervalWarning": "uq.warnings",
    "FewSideRowsWarning": "uq.warnings",
    "ForcedPrediction": "uq.p_values",
    "InSampleResidualsWarning": "uq.warnings",
    "KNearestDetector": "uq.ood",
    "LikelihoodRatio": "uq.likelihood_ratio",
    "MahalanobisDetector": "uq.ood",
    "NothingKeptWarning": "uq.warnings",
    "OODMeasures": "uq.ood_evaluation",
    "OODReport": "uq.ood_evaluation",
    "PooledCategoryWarning": "uq.warnings",
    "Protocol": "uq.study_scores",
    "RiskControlledClassifier": "uq.mapie_risk_control",
    "RiskCoverageCurve": "uq.risk_coverage_results",
    "RiskNotControlledWarning": "uq.warnings",
    "SelectiveClassifier": "uq.selective",
    "SelectivePoint": "uq.risk_coverage_results",
    "SelectiveThreshold": "uq.risk_control",
    "SideMeans": "uq._side_heads",
    "SmallCalibrationSetWarning": "uq.warnings",
    "SplitPointRegressor": "uq.split_point",
    "StudyNumber": "uq.study_metrics",
    "StudyPredictions": "uq.study_methods",
    "StudyResult": "uq.study_results",
    "StudyRow": "uq.study_metrics",
    "UnmatchedBoxesWarning": "uq.warnings",
    "abstention_utility": "uq.risk_control",
    "area_under_risk_coverage": "uq.risk_coverage",
    "certainty_curve": "uq.certainty_curves",
    "concept_matching_score": "uq.concept_scores",
    "conformal_confidence": "uq.certainty",
    "conformal_credibility": "uq.certainty",
    "conformal_p_values": "uq.p_values",
    "conformal_quantile": "uq.conformal_quantiles",
    "control_selective_risk": "uq.risk_control",
    "effective_sample_size": "uq.conformal_quantiles",
    "energy_score": "uq.logit_scores",
    "excess_area_under_risk_coverage": "uq.risk_coverage",
    "forced_prediction": "uq.p_values",
    "interval_lower_certainty": "uq.certainty",
    "interval_width_certainty": "uq.certainty",
    "is_conformal_singleton": "uq.certainty",
    "leave_one_out_study": "uq.study",
    "load_study_stand_in": "uq.study_estimators",
    "margin_score": "uq.scores",
    "max_logit_score": "uq.logit_scores",
    "max_probability_score": "uq.scores",
    "mondrian_p_values": "uq.p_values",
    "negative_entropy_score": "uq.scores",
    "negative_label_score": "uq.concept_scores",
    "negative_mutual_information_score": "uq.scores",
    "ood_report": "uq.ood_evaluation",
    "ood_score": "uq.logit_scores",
    "risk_coverage_curve": "uq.risk_coverage",
    "select_negatives": "uq.concept_scores",
    "study_models": "uq.study_estimators",
    "weighted_conformal_quantile": "uq.conformal_quantiles",
}

__all__ = [
    "AdaptiveConformal",
    "BiasedSplitPointWarning",
    "CertaintyCurve",
    "CertaintyPoints",
    "ConformalBoxes",
    "ConformalClassifier",
    "ConformalRegressor",
    "ConformalWarning",
    "CrossingQuantilesWarning",
    "EffectiveSampleSizeWarning",
    "EmptyIntervalWarning",
    "FewSideRowsWarning",
    "ForcedPrediction",
    "InSampleResidualsWarning",
    "KNearestDetector",
    "LikelihoodRatio",
    "MahalanobisDetector",
    "NothingKeptWarning",
    "OODMeasures",
    "OODReport",
    "PooledCategoryWarning",
    "Protocol",
    "RiskControlledClassifier",
    "RiskCoverageCurve",
    "RiskNotControlledWarning",
    "SelectiveClassifier",
    "SelectivePoint",
    "SelectiveThreshold",
    "SideMeans",
    "SmallCalibrationSetWarning",
    "SplitPointRegressor",
    "StudyNumber",
    "StudyPredictions",
    "StudyResult",
    "StudyRow",
    "UnmatchedBoxesWarning",
    "abstention_utility",
    "area_under_risk_coverage",
    "certainty_curve",
    "concept_matching_score",
    "conformal_confidence",
    "conformal_credibility",
    "conformal_p_values",
    "conformal_quantile",
    "control_selective_risk",
    "effective_sample_size",
    "energy_score",
    "excess_area_under_risk_coverage",
    "forced_prediction",
    "interval_lower_certainty",
    "interval_width_certainty",
    "is_conformal_singleton",
    "leave_one_out_study",
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
    "select_negatives",
    "study_models",
    "weighted_conformal_quantile",
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
