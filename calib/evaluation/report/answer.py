"""The answer of a report in sentences: what to do, why, what is left, and what got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calib._documents.digits import Digits, digits_of
from calib._documents.document import Verdict
from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.report.further_measures import FURTHER
from calib.evaluation.report.records import (
    ERRORS,
    MAIN,
    Comparison,
    MeasureResult,
    ModelReport,
)

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
#: Measures of single classes, which see what the top label hides.
_OF_CLASSES = (ACE, *(name for name, measure in FURTHER.items() if measure.classwise))
#: An error of a top label that would matter: a sample that cannot exclude it says too little.
MATTERING = 0.05
#: What is left is small below this share of what was there before.
_SMALL = 0.25
#: Rate of events below which they are counted.
_RARE = 0.01
#: Names that are listed one by one where more are not distinguishable.
_MOST_NAMES = 3

SENTENCES = {
    "clean_after": "Use {model}: it leaves no miscalibration that {n} samples can show{ties}.",
    "rest_left": "Use {model}: it removes {share} % of the calibration error{ties}.",
    "better_but": "Use {model}: it is better than {reference} in {criterion}, but {phrase}{ties}.",
    "keep": "Keep {reference}: no other method is better beyond chance{ties}.",
    "all_worse": "Keep {reference}: every other method is worse "
    "({criterion} +{difference}, at least +{least}).",
    "too_few": "Too few data to choose: {n} samples cannot tell {k} of {m} methods apart; any "
    "miscalibration up to {high} would fit.",
    "too_few_single": "Too few data to judge: any miscalibration up to {high} would fit {n} "
    "samples.",
    "nothing_seen_binary": "No sign of miscalibration: {events} happened where {expected} were "
    "predicted.",
    "nothing_seen": "No sign of miscalibration: right in {observed} %, claimed {claimed} %.",
    "off": "{phrase}: claims {claimed} %, right in {observed} %. Calibrate it.",
    "off_binary": "{phrase}: predicted {claimed} %, happened in {observed} %. Calibrate it.",
    "both_directions": "Wrong in both directions: {places}. A temperature alone cannot repair "
    "that.",
    "place_unknown": "Miscalibrated by {measures}; no range stands out.",
    "effect": "Calibration error (ECE, bias removed) {before} before, {after} after ({fits}); "
    "{criterion} {loss_before} before, {loss} after.",
    "effect_kept": "Calibration error (ECE, bias removed) {after} ({fits}); {criterion} {loss}.",
    "promise": "Calibration error (ECE, bias removed) {after} ({fits}); {criterion} {loss} where "
    "its own probabilities promise {promised}.",
    "left": "What is left is {size}more than chance: {model} is still {phrase}{means}.",
    "still_off": "{model} is {phrase}{means}, more than chance explains.",
    "beyond": "More than chance: {measures}{where}.",
    "nothing_beyond": "None of the measures is beyond chance (p = {p} for all together): a "
    "calibrator would have nothing to correct.",
    "what_fits": "What {n} samples can tell: the mean gap between claim and outcome is at most "
    "{high}. Smaller faults would not show.",
    "what_events_fit": "What {events} can tell: the true rate lies between {low} and {top} times "
    "the predicted one, and the mean gap over ranges is at most {high} per 100,000 (the rate is "
    "{rate}). Smaller faults would not show.",
    "behind": "The other {k} are clearly behind in {criterion}; the closest is {closest} "
    "({value}).",
    "one_behind": "{closest} is clearly behind in {criterion} ({value}).",
    "worse": "Worse than {reference} in some respect: {list}.",
    "impossible": "{names} gave probability 0 to labels that occurred: the log loss is infinite, "
    "so the Brier score ranks the methods.",
    "impossible_single": "{count} labels that occurred had probability 0: the log loss is "
    "infinite, the number shown depends on how 0 is cut.",
}


class Range(NamedTuple):
    """A range of predictions whose rates lie outside the band of calibrated ones."""

    low: float
    high: float
    gap: float
    predicted: float
    observed: float

    @property
    def place(self) -> str:
        """Where it is, in words."""
        if self.low <= 0 and self.high >= 1:
            return "on the whole scale"
        if self.high >= 1:
            return f"above {self.low:.2g}"
        if self.low <= 0:
            return f"below {self.high:.2g}"
        return f"between {self.low:.2g} and {self.high:.2g}"


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
            ranges.append(Range(left, right, predicted - observed, predicted, observed))
            start = -1
        if place < len(filled) and outside[place]:
            start, end = (place if start < 0 else start), place
    return ranges


class Diagnosis(NamedTuple):
    """What is wrong with a model: the starred measures, the ranges, and the direction."""

    starred: tuple[str, ...]
    ranges: list[Range]
    direction: str  # "over", "under" or ""

    def words(self, view: str) -> str:
        """Return what stands below the name of the model, in a few words."""
        high, low = _directions(view)
        if not self.starred:
            return "no miscalibration seen"
        if self.ranges:
            return ", ".join(
                f"{high if found.gap > 0 else low} {found.place}" for found in self.ranges
            )
        if set(self.starred) <= set(_OF_CLASSES) and view != "binary":
            return "single classes off"
        if self.direction:
            extreme = view == "binary"
            over, under = ("too extreme", "too cautious") if extreme else (high, low)
            return f"{over if self.direction == 'over' else under}, place unknown"
        return f"off in {listed([SHORT[key] for key in self.starred])}, place unknown"

    def phrase(self, view: str) -> str:
        """Return the same for the end of a sentence that says what the model is."""
        words = self.words(view)
        return "off in single classes" if words == "single classes off" else words


def _directions(view: str) -> tuple[str, str]:
    return ("too high", "too low") if view == "binary" else ("overconfident", "underconfident")


def diagnose(result: ModelReport, confidence_level: float) -> Diagnosis:
    """Return what is wrong with a model; without a star nothing is, and no range is named."""
    measures = result.measures
    starred = tuple(key for key, measure in measures.items() if measure.surprises(key))
    if not starred:
        return Diagnosis((), [], "")
    return Diagnosis(
        starred, deviating_ranges(result.table, confidence_level), _direction(measures, starred)
    )


def _direction(measures: Mapping[str, MeasureResult], starred: Sequence[str]) -> str:
    """Return the direction of an error without a place: by its promise, else by signed parts."""
    if "log_loss" in starred:
        loss = measures["log_loss"]
        return "over" if loss.value > loss.calibrated.high else "under"
    if "accuracy" in starred:
        accuracy = measures["accuracy"]
        return "over" if accuracy.value < accuracy.calibrated.low else "under"
    if "brier" in starred:
        brier = measures["brier"]
        return "over" if brier.value > brier.calibrated.high else "under"
    if "overconfidence" in starred or "underconfidence" in starred:
        return "over" if "overconfidence" in starred else "under"
    if ECE in starred:
        over, under = measures["overconfidence"].debiased, measures["underconfidence"].debiased
        return "over" if over > under else "under" if under > over else ""
    return ""


class Facts(NamedTuple):
    """What sentences are made of."""

    models: Mapping[str, ModelReport]
    diagnoses: Mapping[str, Diagnosis]
    comparison: Comparison
    digits: Mapping[str, Digits]
    view: str
    n_samples: int
    weighted: bool
    confidence_level: float

    @property
    def criterion(self) -> str:
        """What the criterion is called in a sentence."""
        return SHORT[self.comparison.criterion]

    def printed(self, model: str, key: str) -> str:
        """Return the number of a measure that its interval holds."""
        return self.digits[key].value(self.models[model].measures[key].debiased)

    def loss(self, model: str) -> str:
        """Return the criterion of a model."""
        return self.printed(model, self.comparison.criterion)

    def starred(self, model: str) -> bool:
        """Return whether any measure of a model is beyond chance."""
        return bool(self.diagnoses[model].starred)

    def mattering(self, reference: str) -> float:
        """Return the error from which on a sample that cannot exclude it says too little."""
        result = self.models[reference]
        if self.starred(reference):
            return result.measures[ECE].debiased / 2
        if self.view == "binary":
            return min(result.mean_event, 1 - result.mean_event) / 2 or MATTERING
        return MATTERING


def measure_digits(models: Mapping[str, ModelReport]) -> dict[str, Digits]:
    """Return how every measure of a report is printed."""
    keys = next(iter(models.values())).measures
    return {
        key: digits_of(
            ((m.high - m.low) / 2 for m in (result.measures[key] for result in models.values())),
            error=key in ERRORS,
            percent=key == "accuracy",
        )
        for key in keys
    }


# ---------------------------------------------------------------------------------------- headline


def headline(facts: Facts) -> Verdict:
    """Return what to do, in one sentence."""
    if len(facts.models) == 1:
        return _alone(facts)
    comparison, models = facts.comparison, facts.models
    chosen, reference = comparison.recommended, comparison.reference
    candidates = comparison.candidates
    high = max(models[name].measures[ECE].high for name in candidates)
    told_apart = len({facts.starred(name) for name in candidates}) > 1
    if 2 * len(candidates) > len(models) and not told_apart and high > facts.mattering(reference):
        return _verdict(
            "too_few",
            n=f"{facts.n_samples:,}",
            k="all" if len(candidates) == len(models) else f"{len(candidates)}",
            m=f"{len(models)}",
            high=facts.digits[ECE].end(high),
        )
    ties = _ties([name for name in candidates if name != chosen])
    if chosen == reference:
        if len(candidates) > 1:
            return _verdict("keep", reference=reference, ties=ties)
        following = comparison.order[1]
        difference = abs(
            models[following].measures[comparison.criterion].value
            - models[reference].measures[comparison.criterion].value
        )
        digits = facts.digits[comparison.criterion]
        return _verdict(
            "all_worse",
            reference=reference,
            criterion=facts.criterion,
            difference=digits.value(difference),
            least=digits.value(comparison.behind_at_least(following)),
        )
    if not facts.starred(chosen):
        return _verdict("clean_after", model=chosen, n=f"{facts.n_samples:,}", ties=ties)
    before, after = (models[name].measures[ECE] for name in (reference, chosen))
    if before.surprises(ECE) and after.surprises(ECE) and after.debiased < before.debiased:
        share = 100 * (1 - after.debiased / before.debiased)
        return _verdict("rest_left", model=chosen, share=f"{share:.0f}", ties=ties)
    phrase = facts.diagnoses[chosen].phrase(facts.view)
    return _verdict(
        "better_but",
        model=chosen,
        reference=reference,
        criterion=facts.criterion,
        phrase=phrase,
        ties=ties,
    )


def _alone(facts: Facts) -> Verdict:
    """Return the headline of a report on one model."""
    ((name, result),) = facts.models.items()
    diagnosis, view = facts.diagnoses[name], facts.view
    binary = view == "binary"
    if not diagnosis.starred:
        high = result.measures[ECE].high
        if high > facts.mattering(name):
            return _verdict(
                "too_few_single", high=facts.digits[ECE].end(high), n=f"{facts.n_samples:,}"
            )
        if binary and not facts.weighted:
            events = round(result.mean_event * facts.n_samples)
            expected = result.mean_prediction * facts.n_samples
            return _verdict(
                "nothing_seen_binary",
                events="1 event" if events == 1 else f"{events:,} events",
                expected=f"{expected:,.0f}" if expected >= 10 else f"{expected:.1f}",
            )
        return _verdict(
            "nothing_seen",
            observed=percent(result.mean_event),
            claimed=percent(result.mean_prediction),
        )
    if len({found.gap > 0 for found in diagnosis.ranges}) == 2:
        places = [
            f"too {'high' if part.gap > 0 else 'low'} {part.place}" for part in diagnosis.ranges
        ]
        return _verdict("both_directions", places=", ".join(places))
    if diagnosis.ranges:
        over = diagnosis.ranges[0].gap > 0
        where = listed([found.place for found in diagnosis.ranges])
        words = _directions(view)[0 if over else 1]
        subject = f"Probabilities {words}" if binary else words.capitalize()
        largest = max(diagnosis.ranges, key=lambda found: abs(found.gap))
        return _verdict(
            "off_binary" if binary else "off",
            phrase=f"{subject} {where}",
            claimed=percent(largest.predicted),
            observed=percent(largest.observed),
        )
    return _verdict("place_unknown", measures=listed([SHORT[key] for key in diagnosis.starred]))


# ----------------------------------------------------------------------------------------- bullets


def bullets(facts: Facts) -> list[Verdict]:
    """Return what the headline rests on: effect, rest, who is behind, what got worse."""
    if len(facts.models) == 1:
        return _bullets_alone(facts)
    comparison, models = facts.comparison, facts.models
    chosen, reference = comparison.recommended, comparison.reference
    out = [_effect(facts)]
    impossible = [name for name, result in models.items() if result.n_impossible]
    if impossible:
        out.append(_verdict("impossible", names=listed(impossible)))
    if facts.starred(chosen):
        out.append(_rest(facts))
    behind = [name for name in comparison.order if name not in comparison.candidates]
    if (behind and chosen != reference) or (len(comparison.candidates) > 1 and behind):
        closest = behind[0]
        out.append(
            _verdict(
                "one_behind" if len(behind) == 1 else "behind",
                k=f"{len(behind)}",
                criterion=facts.criterion,
                closest=closest,
                value=facts.loss(closest),
            )
        )
    worse = _worse(comparison)
    if worse:
        out.append(_verdict("worse", reference=reference, list=worse))
    return out


def _effect(facts: Facts) -> Verdict:
    comparison = facts.comparison
    chosen, reference = comparison.recommended, comparison.reference
    parts = {
        "after": facts.printed(chosen, ECE),
        "fits": _fits(facts, chosen),
        "criterion": facts.criterion,
        "loss": facts.loss(chosen),
    }
    if chosen == reference:
        return _verdict("effect_kept", **parts)
    return _verdict(
        "effect",
        before=facts.printed(reference, ECE),
        loss_before=facts.loss(reference),
        **parts,
    )


def _fits(facts: Facts, model: str) -> str:
    """Return the errors that fit a sample, in words."""
    error, digits = facts.models[model].measures[ECE], facts.digits[ECE]
    if not error.surprises(ECE):
        return f"at most {digits.end(error.high)}"
    return digits.range(error.low, error.high)


def _rest(facts: Facts) -> Verdict:
    comparison = facts.comparison
    chosen, reference = comparison.recommended, comparison.reference
    diagnosis = facts.diagnoses[chosen]
    means = ""
    if diagnosis.ranges:
        result = facts.models[chosen]
        verb = "happened in" if facts.view == "binary" else "right in"
        means = (
            f" (claims {percent(result.mean_prediction)} % on average, {verb} "
            f"{percent(result.mean_event)} %)"
        )
    phrase = diagnosis.phrase(facts.view)
    if chosen == reference:
        return _verdict("still_off", model=chosen, phrase=phrase, means=means)
    before, after = (facts.models[name].measures[ECE].debiased for name in (reference, chosen))
    return _verdict(
        "left",
        size="small but " if after < _SMALL * before else "",
        model=chosen,
        phrase=phrase,
        means=means,
    )


def _worse(comparison: Comparison) -> str:
    """Return the models that got worse, those of the same measures together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in comparison.order:
        keys = tuple(key for key in MAIN if key in comparison.worse[name])
        shown = tuple(key for key in keys if key != comparison.criterion)
        if shown:
            groups.setdefault(shown, []).append(name)
    return "; ".join(
        f"{listed(names)} ({', '.join(SHORT[key] for key in keys)})"
        for keys, names in groups.items()
    )


def _bullets_alone(facts: Facts) -> list[Verdict]:
    ((name, result),) = facts.models.items()
    diagnosis, digits = facts.diagnoses[name], facts.digits
    error, n = result.measures[ECE], f"{facts.n_samples:,}"
    loss = result.measures["log_loss"]
    out: list[Verdict] = []
    if diagnosis.starred:
        out.append(
            _verdict(
                "promise",
                after=facts.printed(name, ECE),
                fits=_fits(facts, name),
                criterion=SHORT["log_loss"],
                loss=facts.printed(name, "log_loss"),
                promised=digits["log_loss"].value(loss.floor),
            )
        )
        where = "" if diagnosis.ranges else f" ({diagnosis.words(facts.view)})"
        out.append(
            _verdict(
                "beyond", measures=listed([SHORT[key] for key in diagnosis.starred]), where=where
            )
        )
    else:
        p = min(measure.p_value for measure in result.measures.values())
        out.append(_verdict("nothing_beyond", p=p_text(p)))
    rate = result.mean_event
    if facts.view == "binary" and 0 < rate < _RARE and not facts.weighted:
        events = round(rate * facts.n_samples)
        low, top = poisson_interval(events, facts.confidence_level)
        expected = result.mean_prediction * facts.n_samples
        if expected > 0:
            out.append(
                _verdict(
                    "what_events_fit",
                    events="1 event" if events == 1 else f"{events:,} events",
                    low=f"{low / expected:.2f}",
                    top=f"{top / expected:.2f}",
                    high=f"{1e5 * error.high:.2g}",
                    rate=f"{1e5 * rate:.2g}",
                )
            )
    elif not diagnosis.starred:
        out.append(_verdict("what_fits", n=n, high=digits[ECE].end(error.high)))
    if result.n_impossible:
        out.append(_verdict("impossible_single", count=f"{result.n_impossible:,}"))
    return out


# ------------------------------------------------------------------------------------------- words


def poisson_interval(events: int, confidence_level: float) -> tuple[float, float]:
    """Return the exact interval of a count (F. Garwood, Biometrika 28, 1936)."""
    from scipy.stats import chi2

    tail = (1 - confidence_level) / 2
    low = 0.0 if events == 0 else float(chi2.ppf(tail, 2 * events)) / 2
    return low, float(chi2.ppf(1 - tail, 2 * events + 2)) / 2


def percent(share: float) -> str:
    """Return a share in per cent, with more digits near 0 and 1."""
    if share <= 0 or share >= 1:
        return f"{100 * share:.0f}"
    rest = 100 * min(share, 1 - share)
    decimals = 1 if rest >= 0.5 else int(np.ceil(-np.log10(rest))) + 1
    return f"{100 * share:.{decimals}f}"


def p_text(p: float) -> str:
    """Return a p-value as printed."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def listed(parts: Sequence[str]) -> str:
    """Return words in a row."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _ties(names: Sequence[str]) -> str:
    """Return who cannot be told from the recommended model, as the end of a sentence."""
    if not names:
        return ""
    if len(names) > _MOST_NAMES + 1:
        rest = len(names) - _MOST_NAMES
        names = [*names[:_MOST_NAMES], f"{rest} others"]
    return f"; {listed(names)} {'is' if len(names) == 1 else 'are'} not distinguishable from it"


def _verdict(case: str, **parameters: str) -> Verdict:
    return Verdict(case, SENTENCES[case], parameters)
