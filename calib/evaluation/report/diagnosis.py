"""What is wrong with a model: starred measures, ranges of predictions, directions, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calib._documents.digits import printed
from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.report.further_measures import FURTHER
from calib.evaluation.report.records import MeasureResult, ModelReport

ECE, ACE = "expected_calibration_error", "adaptive_calibration_error"
#: What measures are called in a sentence.
SHORT = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "accuracy": "accuracy",
    ECE: "ECE",
    ACE: "ACE",
    "overconfidence": "overconfidence",
    "underconfidence": "underconfidence",
    **{name: measure.short for name, measure in FURTHER.items()},
}
#: What the signed parts are called where predictions are not confidences.
_OF_EVENTS = {
    "overconfidence": "predictions above the rates",
    "underconfidence": "predictions below the rates",
}
#: Measures of single classes, which see what the top label hides.
_OF_CLASSES = (ACE, *(name for name, measure in FURTHER.items() if measure.classwise))
#: Names that are listed one by one where more are not distinguishable.
MOST_NAMES = 3


def enumerated(parts: Sequence[str]) -> str:
    """Return words in a row."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def some(names: Sequence[str]) -> list[str]:
    """Return names, the first of many with the number of the others."""
    if len(names) <= MOST_NAMES + 1:
        return list(names)
    return [*names[:MOST_NAMES], f"{len(names) - MOST_NAMES} others"]


def directions(view: str) -> tuple[str, str]:
    """Return what predictions are called that are above the rates, and below."""
    return ("too high", "too low") if view == "binary" else ("overconfident", "underconfident")


def probability_text(probability: float) -> str:
    """Return a probability with two digits of its distance from 0 or 1, whichever is nearer."""
    rest = min(probability, 1 - probability)
    if not 0 < rest < 0.01:
        return f"{probability:.2g}"
    return printed(probability, 1 - math.floor(math.log10(rest))).rstrip("0")


class Range(NamedTuple):
    """A range of predictions whose rates lie outside the band of calibrated ones."""

    low: float
    high: float
    gap: float
    predicted: float
    observed: float
    weight: float = 1.0

    @property
    def brief(self) -> str:
        """Where it is, in fewer words."""
        if self.low <= 0 and self.high >= 1:
            return ""
        low, high = (probability_text(end) for end in (self.low, self.high))
        return self.place if self.low <= 0 or self.high >= 1 else f"{low}-{high}"

    @property
    def place(self) -> str:
        """Where it is, in words."""
        if self.low <= 0 and self.high >= 1:
            return "on the whole scale"
        low, high = (probability_text(end) for end in (self.low, self.high))
        if self.high >= 1:
            return f"above {low}"
        if self.low <= 0:
            return f"below {high}"
        return f"between {low} and {high}"


def deviating_ranges(table: BinnedCalibrationTable, confidence_level: float) -> list[Range]:
    """Return ranges of predictions whose rates lie outside the band, with their mean gap.

    The band holds for all bins together (Bonferroni). Bins between two deviating ones of the same
    sign belong to the range if their gaps have that sign too. Ends are 0 and 1 where no other bin
    follows.
    """
    filled = np.flatnonzero(table.weight > 0)
    low, high = table.consistency_band(1 - (1 - confidence_level) / len(filled))
    sign = np.sign(table.gap[filled])
    rate = table.observed_rate[filled]
    tolerance = 1e-12
    outside = (rate < low[filled] - tolerance) | (rate > high[filled] + tolerance)
    ranges: list[Range] = []
    start = end = -1
    for place in [*range(len(filled)), len(filled)]:
        over = place == len(filled) or (start >= 0 and sign[place] != sign[start])
        if over and start >= 0:
            inside = filled[start : end + 1]
            weight = table.weight[inside]
            predicted, observed = (
                float(np.average(values[inside], weights=weight))
                for values in (table.mean_prediction, table.observed_rate)
            )
            left = 0.0 if start == 0 else float(table.left[inside[0]])
            right = 1.0 if end == len(filled) - 1 else float(table.right[inside[-1]])
            gap = predicted - observed
            ranges.append(Range(left, right, gap, predicted, observed, float(weight.sum())))
            start = -1
        if place < len(filled) and outside[place]:
            start, end = (place if start < 0 else start), place
    return ranges


class Diagnosis(NamedTuple):
    """What is wrong with a model.

    Attributes
    ----------
    starred : tuple of str
        Measures beyond chance.
    ranges : list of Range
        Ranges of predictions whose rates lie outside the band.
    spread : {"over", "under", ""}
        Whether the model promises more or less than it holds.
    side : {"high", "low", "both", ""}
        Whether predictions are above or below the rates.
    is_judged : bool
        Whether there were enough redraws for a star.
    """

    starred: tuple[str, ...]
    ranges: list[Range]
    spread: str = ""
    side: str = ""
    is_judged: bool = True

    def words(self, view: str) -> str:
        """Return what stands below the name of the model, in a few words."""
        if not self.starred:
            return "no miscalibration seen" if self.is_judged else "not judged"
        if self.ranges:
            return self.places(*directions(view))
        binary = view == "binary"
        if set(self.starred) <= set(_OF_CLASSES) and not binary:
            return "single classes off"
        known = [self.side, self.spread] if binary else [self.spread, self.side]
        direction = next((_WORDS[binary][part] for part in known if part), "")
        return f"{direction or f'off in {self.measures(view)}'}, place unknown"

    def briefs(self, view: str) -> list[str]:
        """Return the same under a title that says what it speaks of, from long to short."""
        if not self.starred:
            return ["none seen" if self.is_judged else "not judged"]
        if not self.ranges:
            words = self.words(view).removesuffix(", place unknown")
            return [_BRIEF.get(words, words), _BRIEF.get(words, "off")]
        high, low = (_BRIEF.get(word, word) for word in directions(view))
        told = [f"{high if found.gap > 0 else low} {found.brief}".rstrip() for found in self.ranges]
        sides = [word for word, above in ((high, True), (low, False)) if above in self._signs]
        return [self.places(high, low), ", ".join(told), " and ".join(sides), _BRIEF["both"]]

    @property
    def _signs(self) -> set[bool]:
        return {found.gap > 0 for found in self.ranges}

    def phrase(self, view: str) -> str:
        """Return the same for the end of a sentence that says what the model is."""
        words = self.words(view)
        return "off in single classes" if words == "single classes off" else words

    def places(self, high: str = "too high", low: str = "too low") -> str:
        """Return the ranges with their directions, the largest of many."""
        told = [f"{high if found.gap > 0 else low} {found.place}" for found in self.largest]
        rest = len(self.ranges) - len(told)
        return ", ".join(told + [f"{rest} more ranges"] * (rest > 0))

    @property
    def largest(self) -> list[Range]:
        """The ranges that add most to the error, from low to high predictions."""
        if len(self.ranges) <= MOST_NAMES + 1:
            return self.ranges
        parts = sorted(self.ranges, key=lambda found: -abs(found.gap) * found.weight)
        return sorted(parts[:MOST_NAMES])

    @property
    def mixed(self) -> bool:
        """Whether predictions are too high in some ranges and too low in others."""
        return len(self._signs) == 2

    @property
    def symmetric(self) -> str:
        """Both directions as one of a binary model: "extreme", "cautious" or neither."""
        outward = {(found.gap > 0) == (found.predicted > 0.5) for found in self.ranges}
        if not self.mixed or len(outward) == 2:
            return ""
        return "extreme" if outward == {True} else "cautious"

    def measures(self, view: str) -> str:
        """Return the starred measures as words in a row."""
        names = SHORT | _OF_EVENTS if view == "binary" else SHORT
        return enumerated([names[key] for key in self.starred])


#: Words as they stand under the title "miscalibrated".
_BRIEF = {
    "single classes off": "single classes",
    "overconfident": "over",
    "underconfident": "under",
    "both": "both ways",
    "off in both directions": "both ways",
    **{word: word for word in ("too high", "too low", "too extreme", "too cautious")},
}
#: Directions without a place, of confidences and of probabilities of an event.
_WORDS = (
    {
        "over": "overconfident",
        "under": "underconfident",
        "high": "overconfident",
        "low": "underconfident",
        "both": "off in both directions",
    },
    {
        "over": "too extreme",
        "under": "too cautious",
        "high": "too high",
        "low": "too low",
        "both": "off in both directions",
    },
)


def diagnose(result: ModelReport, confidence_level: float) -> Diagnosis:
    """Return what is wrong with a model; without a star nothing is, and no range is named."""
    measures = result.measures
    starred = tuple(key for key, measure in measures.items() if measure.surprises(key))
    if not starred:
        judged = all(measure.is_judged for measure in measures.values())
        return Diagnosis((), [], is_judged=judged)
    ranges = deviating_ranges(result.table, confidence_level)
    return Diagnosis(starred, ranges, _spread(measures, starred), _side(measures, starred))


def _spread(measures: Mapping[str, MeasureResult], starred: Sequence[str]) -> str:
    """Return whether a model promises more or less than it holds."""
    for key in ("log_loss", "accuracy", "brier"):
        if key in starred:
            above = measures[key].value > measures[key].calibrated.high
            return "under" if above == (key == "accuracy") else "over"
    return ""


def _side(measures: Mapping[str, MeasureResult], starred: Sequence[str]) -> str:
    """Return whether predictions are too high or too low, by the signed parts of the error."""
    high, low = ("overconfidence" in starred), ("underconfidence" in starred)
    if high or low:
        return "both" if high and low else "high" if high else "low"
    over, under = measures["overconfidence"].debiased, measures["underconfidence"].debiased
    if ECE not in starred or over == under:
        return ""
    return "high" if over > under else "low"
