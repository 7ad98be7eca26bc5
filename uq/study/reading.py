"""Sentences about a study, made from its numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from uq.study.methods import CONFIDENCE, MAX_PROBABILITY

if TYPE_CHECKING:
    from uq.study.results import StudyResult

#: Share at which certainties are compared, and threshold at which their scales are.
HALF, STRICT = 0.5, 0.8
_NAMES = {"venn_abers": "Venn-ABERS", "conformal": "conformal", "platt": "Platt", "raw": "raw"}


def findings(study: StudyResult) -> list[str]:
    """Return one statement per comparison that the study allows."""
    statements = [_calibration(study), _scale(study), _pair(study)]
    return [text for text in statements if text]


def notes(study: StudyResult) -> list[str]:
    """Return how to read the tables."""
    unit = "patients (rows)" if study.groups is None else "groups"
    found = [
        f"Interval: bootstrap over {unit} of the left-out predictions, models as they are; - where "
        f"fewer than {study.min_kept} rows or one class only are kept. AUROC of few kept rows is "
        f"unstable, and AUPRC depends on the prevalence among them, so read it minus prevalence.",
        "Floor: the ACE that a perfectly calibrated model with these probabilities would show on "
        "as many rows. It is far from 0 and rises where few rows are kept.",
    ]
    if any(method.startswith("conformal") for method in study.methods):
        found.append(
            "Conformal: p = P1 / (P0 + P1) of label-conditional p-values ranks rows; it is no "
            "calibrated probability and acts as if both classes were equally frequent. "
            "| confidence: rows are kept by conformal confidence, 1 - min(P0, P1)."
        )
    if study.protocol.outer_folds is None:
        found.append(
            "Leaving out a row shifts the share of its class among the others the opposite way, "
            "which pulls the pooled AUROC down (a model that knows nothing shows 0, not 0.5). "
            "Repeat with outer_folds=10 to see by how much."
        )
    if study.protocol.scheme == "pooled":
        found.append(
            f"Calibrators are fitted on scores of models trained on "
            f"{1 - 1 / study.protocol.inner_folds:.0%} of the rows and applied to one trained on "
            f"all, so guarantees that need exchangeable scores hold approximately."
        )
    return found


def _average(
    study: StudyResult,
    method: str,
    certainty: str,
    metric: str,
    *,
    thresholds: tuple[float, ...] = (),
    shares: tuple[float, ...] = (),
) -> float:
    """Return the mean over models of a metric, or of the share kept, at the last cut asked for."""
    values = []
    for model in study.models:
        row = study.evaluate(model, method, certainty, thresholds=thresholds, shares=shares)[-1]
        values.append(row.share if metric == "share" else row.metrics[metric].value)
    return float(np.mean(values))


def _listed(methods: list[str], value: Callable[[str], float], form: str) -> str:
    return ", ".join(f"{_NAMES.get(one, one)} {format(value(one), form)}" for one in methods)


def _calibration(study: StudyResult) -> str:
    if len(study.methods) < 2:
        return ""

    def brier(method: str) -> float:
        return _average(study, method, MAX_PROBABILITY, "brier")

    def ace(method: str) -> float:
        return _average(study, method, MAX_PROBABILITY, "ace")

    methods = list(study.methods)
    return (
        f"Probabilities, mean over models: Brier score {_listed(methods, brier, '.3f')}; ACE "
        f"{_listed(methods, ace, '.3f')}."
    )


def _scale(study: StudyResult) -> str:
    others = [one for one in ("raw", "platt", "venn_abers") if one in study.methods]
    if "conformal" not in study.methods or not others:
        return ""

    def share(method: str) -> float:
        return _average(study, method, MAX_PROBABILITY, "share", thresholds=(STRICT,))

    return (
        f"Thresholds are not comparable: a certainty of {STRICT:g} keeps "
        f"{_listed(['conformal', *others], share, '.0%')} of the rows. Compare at equal shares."
    )


def _pair(study: StudyResult) -> str:
    if study.recommended is None:
        return ""
    method, certainty = study.recommended

    def at_half(method: str, certainty: str, metric: str) -> float:
        return _average(study, method, certainty, metric, shares=(HALF,))

    gains = []
    for metric, name in (("auroc", "AUROC"), ("accuracy", "accuracy"), ("brier", "Brier score")):
        pair = at_half(method, certainty, metric)
        own = at_half(method, MAX_PROBABILITY, metric)
        other = at_half("conformal", CONFIDENCE, metric)
        if np.isfinite([pair, own, other]).all():
            gains.append(
                f"{name} {pair:.3f} against {own:.3f} by its own and {other:.3f} for conformal p "
                f"by confidence"
            )
    measured = f" With the more certain half kept: {'; '.join(gains)}." if gains else ""
    prevalence = float(study.codes.mean())
    return (
        f"The default pair keeps rows by conformal confidence and reports Venn-ABERS "
        f"probabilities.{measured} Confidence treats both classes alike (share of the second "
        f"class: {prevalence:.0%}) and has few ties, so a wanted share can be kept; Venn-ABERS "
        f"keeps the meaning of a probability whatever that share."
    )
