"""Plain sentences: where on the scale a model is wrong, and which models differ beyond noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.report.further_measures import FURTHER
from calib.evaluation.report.records import ModelReport
from calib.evaluation.sampling.intervals import Interval

#: Measures that decide between models, and what they are called in a sentence.
SHORT = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "accuracy": "accuracy",
    "expected_calibration_error": "ECE",
    "adaptive_calibration_error": "ACE",
    "overconfidence": "overconfidence",
    "underconfidence": "underconfidence",
    **{name: measure.short for name, measure in FURTHER.items()},
}
HIGHER_IS_BETTER = ("accuracy",)
#: No measures of their own where models are compared.
_PARTS_OF_ECE = ("overconfidence", "underconfidence")


def findings(
    models: Mapping[str, ModelReport],
    differences: Mapping[str, Mapping[str, Interval]],
    view: str,
    confidence_level: float,
) -> list[str]:
    """Return one sentence per model, then one per model after the first."""
    first = next(iter(models))
    return [
        *(_about(name, result, view, confidence_level) for name, result in models.items()),
        *(_between(name, first, found) for name, found in differences.items()),
    ]


# ----------------------------------------------------------------------------------- place on scale


def deviating_ranges(
    table: BinnedCalibrationTable, confidence_level: float
) -> list[tuple[float, float, float]]:
    """Return ranges of predictions whose rates lie outside the band, with their mean gap.

    The band holds for all bins together (Bonferroni). Bins between two deviating ones of the same
    sign belong to the range if their gaps have that sign too. Ends are 0 and 1 where no other bin
    follows.

    Returns
    -------
    ranges : list of (low, high, gap)
    """
    filled = np.flatnonzero(table.weight > 0)
    low, high = table.consistency_band(1 - (1 - confidence_level) / len(filled))
    sign = np.sign(table.gap[filled])
    rate = table.observed_rate[filled]
    tolerance = 1e-12
    outside = (rate < low[filled] - tolerance) | (rate > high[filled] + tolerance)
    ranges, start, end = [], -1, -1
    for place in [*range(len(filled)), len(filled)]:
        over = place == len(filled) or (start >= 0 and sign[place] != sign[start])
        if over and start >= 0:
            inside = filled[start : end + 1]
            gap = float(np.average(table.gap[inside], weights=table.weight[inside]))
            left = 0.0 if start == 0 else float(table.left[inside[0]])
            right = 1.0 if end == len(filled) - 1 else float(table.right[inside[-1]])
            ranges.append((left, right, gap))
            start = -1
        if place < len(filled) and outside[place]:
            start, end = (place if start < 0 else start), place
    return ranges


def _about(name: str, result: ModelReport, view: str, confidence_level: float) -> str:
    beyond = [key for key, found in result.measures.items() if found.surprises(key)]
    if not beyond:
        return f"{name}: no departure from calibration beyond chance."
    listed = _listed([SHORT[key] for key in beyond])
    ranges = deviating_ranges(result.table, confidence_level)
    words = (
        ("probabilities too high", "probabilities too low")
        if view == "binary"
        else ("overconfident", "underconfident")
    )
    if ranges:
        parts = [
            f"{words[0] if gap > 0 else words[1]} {_place(low, high)} "
            f"(by {abs(gap):.3f} on average)"
            for low, high, gap in ranges
        ]
        return f"{name}: {_listed(parts)}; beyond chance in {listed}."
    return f"{name}: not calibrated by {listed}, but no single bin of the diagram stands out."


def _place(low: float, high: float) -> str:
    if low <= 0 and high >= 1:
        return "on the whole scale"
    if high >= 1:
        return f"above {low:.3g}"
    return f"below {high:.3g}" if low <= 0 else f"between {low:.3g} and {high:.3g}"


# ---------------------------------------------------------------------------------- between models


def _between(name: str, first: str, differences: Mapping[str, Interval]) -> str:
    better: list[str] = []
    worse: list[str] = []
    noise: list[str] = []
    compared = [key for key in SHORT if key in differences and key not in _PARTS_OF_ECE]
    n_compared = len(compared)
    for key, words in SHORT.items():
        if key not in compared:
            continue
        found = differences[key]
        if _within_noise(found, n_compared):
            noise.append(words)
            continue
        text = f"{words} (by {abs(found.value):.4f})"
        gain = (found.value > 0) == (key in HIGHER_IS_BETTER)
        (better if gain else worse).append(text)
    if not better and not worse:
        return f"The difference between {name} and {first} is within noise."
    parts = [
        f"{word} in {_listed(texts)}"
        for word, texts in (("better", better), ("worse", worse))
        if texts
    ]
    rest = f"; within noise in {_listed(noise)}" if noise else ""
    return f"{name} against {first}: {', '.join(parts)}{rest}."


def _within_noise(found: Interval, n_compared: int) -> bool:
    """Return whether chance may explain a difference, one of several that are looked at.

    It takes an interval without 0 and, for all of them together (Bonferroni), that many standard
    deviations.
    """
    from scipy.special import ndtri

    reach = float(ndtri(1 - (1 - found.confidence_level) / (2 * n_compared)))
    return 0.0 in found or abs(found.value) <= reach * found.standard_deviation


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
