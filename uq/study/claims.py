"""Claims of published studies of this kind, each held against the data of one study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uq.study.findings import (
    NAMES,
    STRICT,
    TITLES,
    Decision,
    compared_sets,
    everything,
    method_words,
    plus_minus,
    set_change,
)
from uq.study.methods import CONFIDENCE
from uq.study.numbers import KERNEL, Key, StudyDifference, StudyNumbers

#: Metrics of which less is better.
LOWER_IS_BETTER = (KERNEL,)


@dataclass(frozen=True)
class StudyClaim:
    """A published claim, and whether it holds on the data of a study.

    Attributes
    ----------
    text : str
        The claim.
    verdict : {"true", "false", "not decidable"}
        ``"true"`` where the interval of the change lies on the side of an improvement, ``"false"``
        where it lies on the other side, ``"not decidable"`` where it holds 0 or is not known.
    difference : StudyDifference
        The change that the claim speaks of, as a mean over models.
    """

    text: str
    verdict: Decision
    difference: StudyDifference

    def __str__(self) -> str:
        where = " on these data" if self.verdict == "not decidable" else ""
        return f"{self.text}: {self.verdict}{where} ({self.change})."

    @property
    def change(self) -> str:
        """The change in words, with its interval."""
        return f"{TITLES[self.difference.metric]} {plus_minus(self.difference)}"


def claims_of(study: StudyNumbers) -> list[StudyClaim]:
    """Return the claims that a study can be asked about, each with its verdict.

    Calibration is compared by the squared kernel calibration error, which is 0 on average for every
    calibrated model. Differences of the adaptive calibration error decide wrongly on a hundred
    rows: its bias depends on the model.

    Parameters
    ----------
    study : StudyNumbers

    Returns
    -------
    claims : list of StudyClaim
        About added features, where there are sets; about calibrators, where raw scores are a
        method; about certainty, where conformal p-values are.
    """
    found = []
    for first, other, members in compared_sets(study):
        for metric, better in (("auroc", "discrimination"), (KERNEL, "calibration")):
            text = f"{other} improves {better} over {first}"
            found.append(_claim(text, set_change(study, members, metric)))
    raw = [everything(model, "raw") for model in study.models if "raw" in study.methods]
    if raw:
        for method in study.methods:
            after = [everything(model, method) for model in study.models]
            if method != "raw" and not method.startswith("conformal"):
                change = study.contrast(after, raw, KERNEL)
                found.append(_claim(f"{_subject(method)} improves calibration", change))
            elif method == "conformal":
                change = study.contrast(after, raw, "auroc")
                found.append(_claim("Conformal prediction improves discrimination", change))
    if "conformal" in study.methods:
        found.append(
            _claim(
                f"Confidence of at least {STRICT:g} improves discrimination",
                _certain(study),
            )
        )
    return found


def _certain(study: StudyNumbers) -> StudyDifference:
    """Return what a cut does to the area under the curve of conformal p-values."""
    kept: list[Key] = [
        (model, "conformal", CONFIDENCE, "threshold", STRICT) for model in study.models
    ]
    return study.contrast(kept, [everything(model, "conformal") for model in study.models], "auroc")


def _subject(method: str) -> str:
    words = {"platt": "Platt scaling", "isotonic": "Isotonic regression"}
    return words.get(method, method_words(method) if method in NAMES else method)


def _claim(text: str, change: StudyDifference) -> StudyClaim:
    sign = -1.0 if change.metric in LOWER_IS_BETTER else 1.0
    ends = sign * np.array([change.low, change.high])
    verdict: Decision = "not decidable"
    if np.isfinite(ends).all():
        verdict = "true" if ends.min() > 0 else "false" if ends.max() < 0 else verdict
    return StudyClaim(text, verdict, change)
