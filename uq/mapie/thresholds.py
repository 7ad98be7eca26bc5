"""Thresholds of a binary model tested by MAPIE: options, p-values, and the best valid one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import check_fraction, check_option, describe
from calib._border.typing import ArrayLike, Float64Array, IntArray
from uq.vectors import check_score_vector

Risk: TypeAlias = Literal[
    "precision", "recall", "accuracy", "fpr", "predicted_positive_fraction", "npv"
]
#: What is optimised among the valid thresholds of each risk, where the caller leaves it open.
OBJECTIVES: dict[str, str] = {
    "precision": "recall",
    "recall": "precision",
    "accuracy": "accuracy",
    "fpr": "recall",
    "predicted_positive_fraction": "recall",
    "npv": "fpr",
}
#: Risks that never change direction when the threshold rises, whatever the data.
MONOTONE = ("recall", "fpr", "predicted_positive_fraction")
PROCEDURES = ("bonferroni_holm", "bonferroni", "fixed_sequence")
MAPIE_NAMES = {"npv": "negative_predictive_value"}


@dataclass(frozen=True)
class ThresholdSearch:
    """P-value of each threshold, the valid ones, and the best of them (NaN if there is none)."""

    p_values: Float64Array
    valid: Float64Array
    best: float


def risks_and_targets(risk: Any, target_level: Any) -> tuple[list[str], list[float]]:
    """Return both as lists of one length."""
    risks = list(risk) if isinstance(risk, (list, tuple)) else [risk]
    several = isinstance(target_level, (list, tuple, np.ndarray)) and np.ndim(target_level) > 0
    targets = list(target_level) if several else [target_level]
    for name in risks:
        check_option("risk", name, tuple(OBJECTIVES))
    if not risks or len(set(risks)) < len(risks) or len(risks) != len(targets):
        raise ValueError(
            f"risk must name at least one rate, each once, and target_level one value for each; "
            f"got {describe(risk)} and {describe(target_level)}"
        )
    return risks, [check_fraction("target_level", target) for target in targets]


def check_search(risks: list[str], objective: str, procedure: str) -> str:
    """Check the options of the search and return the rate to optimise."""
    check_option("objective", objective, ("auto", *OBJECTIVES))
    check_option("procedure", procedure, PROCEDURES)
    if procedure == "fixed_sequence" and (len(risks) > 1 or risks[0] not in MONOTONE):
        raise ValueError(
            f"procedure='fixed_sequence' needs a single risk of {', '.join(MONOTONE)}; got "
            f"{risks}. Use procedure='bonferroni_holm'"
        )
    if objective != "auto":
        return objective
    return OBJECTIVES[risks[0]] if len(risks) == 1 else risks[0]


def check_thresholds(thresholds: ArrayLike) -> Float64Array:
    """Return the thresholds to test."""
    if thresholds is None:
        return np.arange(100) / 100
    values = check_score_vector(thresholds, "thresholds")
    if values[0] < 0 or values[-1] > 1 or (np.diff(values) <= 0).any():
        raise ValueError(
            f"thresholds must increase strictly inside [0, 1]; got {describe(values.tolist())}"
        )
    return values


def search_thresholds(
    positive: Float64Array,
    codes: IntArray,
    risks: list[str],
    targets: list[float],
    *,
    confidence_level: float,
    objective: str,
    procedure: str,
    thresholds: Float64Array,
) -> ThresholdSearch:
    """Test all thresholds with MAPIE on probabilities of the second class and codes 0 and 1."""
    from mapie.risk_control import BinaryClassificationController

    engine = BinaryClassificationController(
        lambda proba: proba,
        [MAPIE_NAMES.get(name, name) for name in risks],
        targets,
        confidence_level=confidence_level,
        best_predict_param_choice=MAPIE_NAMES.get(objective, objective),
        list_predict_params=thresholds,
        fwer_method=_holm() if procedure == "bonferroni_holm" else procedure,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints on the choice of options; failure is in the result
        engine.calibrate(np.column_stack([1 - positive, positive]), codes)
    best = engine.best_predict_param
    return ThresholdSearch(
        p_values=np.nan_to_num(np.asarray(engine.p_values)[:, 0], nan=1.0),
        valid=np.asarray(engine.valid_predict_params, dtype=np.float64),
        best=float("nan") if best is None else float(best),
    )


def _holm() -> Any:
    """Return Holm's procedure of MAPIE, made safe for thresholds without a p-value."""
    from mapie.risk_control import FWERBonferroniHolm

    class Holm(FWERBonferroniHolm):  # type: ignore[misc]
        def run(self, p_values: Float64Array, delta: float) -> Any:
            return super().run(np.nan_to_num(p_values, nan=1.0), delta)

    return Holm()
