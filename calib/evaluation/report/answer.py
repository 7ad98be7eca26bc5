"""The answer of a report in sentences: what to do, why, what is left, and what got worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calib._documents.digits import Digits, digits_of, printed
from calib._documents.document import Verdict
from calib.evaluation.report.diagnosis import ECE, SHORT, Diagnosis, directions, enumerated, some
from calib.evaluation.report.records import ERRORS, MAIN, Comparison, MeasureResult, ModelReport
from calib.evaluation.sampling.intervals import least_redraws

#: An error of a top label that would matter: a sample that cannot exclude it says too little.
MATTERING = 0.05
#: What is left is small below this share of what was there before.
_SMALL = 0.25
#: Rate of events below which they are counted.
_RARE = 0.01
#: Widths below this share of a number are rounding.
_NEGLIGIBLE = 1e-9
#: Bullets below a headline.
MOST_BULLETS = 4

SENTENCES = {
    "clean_after": "Use {model}: it leaves no miscalibration that {n} samples can show{ties}.",
    "both_clean": "Use {model}: it is better than {reference} in {criterion}, and neither shows "
    "miscalibration in {n} samples{ties}.",
    "rest_left": "Use {model}: it removes {share} % of the calibration error{ties}.",
    "better_but": "Use {model}: it is better than {reference} in {criterion}, but {phrase}{ties}.",
    "keep": "Keep {reference}: no other method is better beyond chance{ties}.",
    "all_worse": "Keep {reference}: {others} worse "
    "({closest}{criterion} +{difference}, at least +{least}).",
    "too_few": "Too few data to choose: {n} samples cannot tell {which} methods apart; any "
    "miscalibration up to {high} would fit.",
    "too_few_single": "Too few data to judge: any miscalibration up to {high} would fit {n}.",
    "no_events": "Too few data to judge: no {what} among {n} samples, where {expected} were "
    "predicted; any rate up to {top} would fit.",
    "nothing_seen_binary": "No sign of miscalibration: {events} happened where {expected} were "
    "predicted.",
    "nothing_seen": "No sign of miscalibration: {outcome} {observed}, {claim} {claimed}.",
    "off": "{phrase}: claims {claimed}, right in {observed}. Calibrate it.",
    "off_binary": "{phrase}: predicted {claimed}, happened in {observed}. Calibrate them.",
    "too_extreme": "Probabilities too extreme: {places}. Calibrate them.",
    "too_cautious": "Probabilities too cautious: {places}. Calibrate them.",
    "both_directions": "Wrong in both directions: {places}. A temperature alone cannot repair "
    "that.",
    "place_unknown": "Miscalibrated by {measures}; no range stands out.",
    "effect": "Calibration error (ECE, bias removed) {before} before, {after} after ({fits}); "
    "{criterion} {loss_before} before, {loss} after.",
    "effect_kept": "Calibration error of {model} (ECE, bias removed) {after} ({fits}); {criterion} "
    "{loss}.",
    "promise": "Calibration error (ECE, bias removed) {after} ({fits}); {criterion} {loss} where "
    "its own probabilities promise {promised}.",
    "left": "What is left is {size}more than chance: {model} is still {phrase}{means}.",
    "still_off": "{model} is {phrase}{means}, more than chance explains.",
    "beyond": "More than chance: {measures}{where}.",
    "nothing_beyond": "None of the measures is beyond chance (p = {p} for all together): a "
    "calibrator would have nothing to correct.",
    "nothing_beyond_few": "None of the measures is beyond chance (p = {p} for all together), but a "
    "fault of that size would not show either.",
    "what_fits": "What {n} samples can tell: the mean gap between claim and outcome is at most "
    "{high}. Smaller faults would not show.",
    "what_events_fit": "What {events} can tell: the true rate lies between {low} and {top} times "
    "the predicted one, and the mean gap over ranges is at most {high} (the rate is {rate}). "
    "Smaller faults would not show.",
    "few_draws": "Use {model}: it is better than {reference} in {criterion}{ties}. Too few draws "
    "to say whether it is calibrated.",
    "few_draws_single": "Too few draws to judge: {draws} redraws of the labels cannot show what is "
    "more than chance.",
    "needed": "No stars: {draws} draws cannot show what is more than chance at {level} %; at least "
    "{needed} are needed (n_resamples).",
    "behind": "The other {k} are clearly behind in {criterion}; the closest is {closest} "
    "({value}).",
    "one_behind": "{closest} is clearly behind in {criterion} ({value}).",
    "worse": "Worse than {reference} in some respect: {list}.",
    "impossible": "{names} gave probability 0 to labels that occurred: the log loss is infinite, "
    "so the Brier score ranks the methods.",
    "impossible_single": "{labels} that occurred had probability 0: the log loss is infinite, the "
    "number shown depends on how 0 is cut.",
}


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
        return self.number(key, self.models[model].measures[key].debiased)

    def loss(self, model: str) -> str:
        """Return the criterion of a model."""
        return self.printed(model, self.comparison.criterion)

    def number(self, key: str, number: float) -> str:
        """Return a value of a measure for a sentence, which has no heading that says its scale."""
        return self._scaled(key, self.digits[key].value(number))

    def end(self, key: str, number: float) -> str:
        """Return the end of a range likewise."""
        return self._scaled(key, self.digits[key].end(number))

    def _scaled(self, key: str, text: str) -> str:
        scale = self.digits[key].scale.removeprefix("x 1")
        return text if text in ("0", "unknown") else f"{text}{scale}"

    @property
    def n_redraws(self) -> int:
        """Number of redrawn label vectors behind what chance shows."""
        some_model = next(iter(self.models.values()))
        return some_model.measures[ECE].calibrated.n_resamples

    @property
    def least_redraws(self) -> int:
        """Number of redrawn label vectors from which on there can be a star."""
        return least_redraws(self.confidence_level)

    @property
    def is_judged(self) -> bool:
        """Whether there are as many."""
        return self.n_redraws >= self.least_redraws

    @property
    def rare(self) -> bool:
        """Whether events are so rare that they are counted."""
        rates = (result.mean_event for result in self.models.values())
        return self.view == "binary" and not self.weighted and all(0 < r < _RARE for r in rates)

    def share(self, share: float) -> str:
        """Return a share of samples: in per cent, of rare events per 100,000."""
        return per_100k(share) if self.rare else f"{percent(share)} %"

    @property
    def size(self) -> str:
        """How much a report rests on: its samples, or its events where they are rare."""
        if not self.rare:
            return f"{self.n_samples:,} samples"
        return _counted(next(iter(self.models.values())).mean_event * self.n_samples)

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
            (_half_width(result.measures[key]) for result in models.values()),
            error=key in ERRORS,
            percent=key == "accuracy",
            largest=max((abs(v) for v in _values(models, key) if math.isfinite(v)), default=0.0),
        )
        for key in keys
    }


def _values(models: Mapping[str, ModelReport], key: str) -> list[float]:
    return [result.measures[key].debiased for result in models.values()]


def _half_width(measure: MeasureResult) -> float:
    """Return half the width of an interval; 0 where it is rounding alone."""
    width = measure.high - measure.low
    return width / 2 if width > _NEGLIGIBLE * abs(measure.high) else 0.0


# ---------------------------------------------------------------------------------------- headline


def headline(facts: Facts) -> Verdict:
    """Return what to do, in one sentence."""
    if len(facts.models) == 1:
        return _alone(facts)
    comparison, models = facts.comparison, facts.models
    chosen, reference = comparison.recommended, comparison.reference
    candidates = comparison.candidates
    high = max(models[name].measures[ECE].high for name in candidates)
    k, m = len(candidates), len(models)
    starred = any(map(facts.starred, candidates))  # more than chance is enough data to tell
    if facts.is_judged and 2 * k > m and not starred and high > facts.mattering(reference):
        which = f"{k} of {m}" if k < m else "the two" if m == 2 else f"the {m}"
        n = f"{facts.n_samples:,}"
        return _verdict("too_few", n=n, which=which, high=facts.end(ECE, high))
    ties = _ties(facts, [name for name in candidates if name != chosen], chosen)
    if chosen == reference:
        if len(candidates) > 1:
            return _verdict("keep", reference=reference, ties=ties)
        following = comparison.order[1]
        key = comparison.criterion
        difference = abs(
            models[following].measures[key].value - models[reference].measures[key].value
        )
        return _verdict(
            "all_worse",
            reference=reference,
            others=f"{following} is" if m == 2 else "every other method is",
            closest="" if m == 2 else f"the closest, {following}: ",
            criterion=facts.criterion,
            difference=facts.number(key, difference),
            least=facts.number(key, comparison.behind_at_least(following)),
        )
    if not facts.starred(chosen):
        case = "clean_after" if facts.starred(reference) else "both_clean"
        return _verdict(
            case if facts.is_judged else "few_draws",
            model=chosen,
            reference=reference,
            criterion=facts.criterion,
            n=f"{facts.n_samples:,}",
            ties=ties,
        )
    before, after = (models[name].measures[ECE] for name in (reference, chosen))
    if before.surprises(ECE) and after.surprises(ECE):
        share = round(100 * (1 - after.debiased / before.debiased))
        if share > 0:
            return _verdict("rest_left", model=chosen, share=f"{min(share, 99)}", ties=ties)
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
    diagnosis, binary = facts.diagnoses[name], facts.view == "binary"
    if not facts.is_judged:
        return _verdict("few_draws_single", draws=f"{facts.n_redraws}")
    if not diagnosis.starred:
        if _too_few(facts):
            return _verdict("too_few_single", high=_error(facts, name), n=facts.size)
        if binary and not facts.weighted:
            if result.mean_event in (0.0, 1.0):
                return _one_sided(facts, result)
            events = _counted(result.mean_event * facts.n_samples)
            expected = _expected(result.mean_prediction * facts.n_samples)
            return _verdict("nothing_seen_binary", events=events, expected=expected)
        return _verdict(
            "nothing_seen",
            outcome="happened in" if binary else "right in",
            observed=facts.share(result.mean_event),
            claim="predicted" if binary else "claimed",
            claimed=facts.share(result.mean_prediction),
        )
    if binary and diagnosis.symmetric:
        return _verdict(f"too_{diagnosis.symmetric}", places=diagnosis.places())
    if diagnosis.mixed:
        return _verdict("both_directions", places=diagnosis.places())
    if diagnosis.ranges:
        words = directions(facts.view)[0 if diagnosis.ranges[0].gap > 0 else 1]
        subject = f"Probabilities {words}" if binary else words.capitalize()
        largest = diagnosis.largest
        weight = [found.weight for found in largest]
        claimed, observed = (
            float(np.average([getattr(found, part) for found in largest], weights=weight))
            for part in ("predicted", "observed")
        )
        return _verdict(
            "off_binary" if binary else "off",
            phrase=f"{subject} {enumerated([found.place for found in largest])}",
            claimed=facts.share(claimed),
            observed=facts.share(observed),
        )
    return _verdict("place_unknown", measures=diagnosis.measures(facts.view))


def _one_sided(facts: Facts, result: ModelReport) -> Verdict:
    """Return the headline where the event happened never, or always."""
    never = not result.mean_event
    share = result.mean_prediction if never else 1 - result.mean_prediction
    top = poisson_interval(0, facts.confidence_level)[1] / facts.n_samples
    return _verdict(
        "no_events",
        what="event" if never else "sample without the event",
        n=f"{facts.n_samples:,}",
        expected=_expected(share * facts.n_samples),
        top=per_100k(min(top, 1.0)),
    )


def _expected(number: float) -> str:
    return printed(number, 0 if number >= 10 else 1)


def _too_few(facts: Facts) -> bool:
    """Return whether one model without a star could still be off by what matters."""
    ((name, result),) = facts.models.items()
    return not facts.starred(name) and result.measures[ECE].high > facts.mattering(name)


def _error(facts: Facts, model: str) -> str:
    """Return the largest error that fits a sample; of rare events per 100,000."""
    high = facts.models[model].measures[ECE].high
    return per_100k(high) if facts.rare else facts.end(ECE, high)


# ----------------------------------------------------------------------------------------- bullets


def bullets(facts: Facts) -> list[Verdict]:
    """Return what the headline rests on: effect, rest, who is behind, what got worse."""
    if len(facts.models) == 1:
        return _bullets_alone(facts)
    comparison, models = facts.comparison, facts.models
    chosen, reference = comparison.recommended, comparison.reference
    out = [_effect(facts), *_needed(facts)]
    impossible = [name for name, result in models.items() if result.n_impossible]
    if impossible:
        out.append(_verdict("impossible", names=enumerated(some(impossible))))
    if facts.starred(chosen):
        out.append(_rest(facts))
    behind = [name for name in comparison.order if name not in comparison.candidates]
    if (behind and chosen != reference) or (len(comparison.candidates) > 1 and behind):
        closest, key = behind[0], comparison.criterion
        value = facts.loss(closest)
        if value == facts.loss(chosen):
            apart = models[closest].measures[key].value - models[chosen].measures[key].value
            value = f"+{facts.number(key, apart)}"
        out.append(
            _verdict(
                "one_behind" if len(behind) == 1 else "behind",
                k=f"{len(behind)}",
                criterion=facts.criterion,
                closest=closest,
                value=value,
            )
        )
    worse = _worse(comparison)
    if worse:
        out.append(_verdict("worse", reference=reference, list=worse))
    if len(out) > MOST_BULLETS:  # the table shows who is behind
        out = [verdict for verdict in out if verdict.case not in ("behind", "one_behind")]
    return out


def _needed(facts: Facts) -> list[Verdict]:
    """Return how many draws stars need, where there are fewer."""
    if facts.is_judged:
        return []
    level = f"{100 * facts.confidence_level:g}"
    needed = f"{facts.least_redraws:,}"
    return [_verdict("needed", draws=f"{facts.n_redraws}", level=level, needed=needed)]


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
        return _verdict("effect_kept", model=chosen, **parts)
    return _verdict(
        "effect",
        before=facts.printed(reference, ECE),
        loss_before=facts.loss(reference),
        **parts,
    )


def _fits(facts: Facts, model: str) -> str:
    """Return the errors that fit a sample, in words."""
    error = facts.models[model].measures[ECE]
    high = facts.end(ECE, error.high)
    return f"{facts.end(ECE, error.low)} to {high}" if error.surprises(ECE) else f"at most {high}"


def _rest(facts: Facts) -> Verdict:
    comparison = facts.comparison
    chosen, reference = comparison.recommended, comparison.reference
    diagnosis = facts.diagnoses[chosen]
    means = ""
    if diagnosis.ranges and not diagnosis.mixed:
        result = facts.models[chosen]
        claims, verb = (
            ("predicts", "happened in") if facts.view == "binary" else ("claims", "right in")
        )
        means = (
            f" ({claims} {facts.share(result.mean_prediction)} on average, {verb} "
            f"{facts.share(result.mean_event)})"
        )
    phrase = diagnosis.phrase(facts.view)
    if chosen == reference:
        return _verdict("still_off", model=chosen, phrase=phrase, means=means)
    before, after = (facts.models[name].measures for name in (reference, chosen))
    errors = [ECE, *(key for key in diagnosis.starred if key in ERRORS)]
    small = all(after[key].debiased < _SMALL * before[key].debiased for key in errors)
    return _verdict(
        "left",
        size="small but " if small else "",
        model=chosen,
        phrase=phrase,
        means=means,
    )


def _worse(comparison: Comparison) -> str:
    """Return the models that got worse, those of the same measures together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in comparison.order:
        keys = tuple(key for key in MAIN if key in comparison.worse[name])
        behind = name not in comparison.candidates  # said in another sentence
        shown = tuple(key for key in keys if not (behind and key == comparison.criterion))
        if shown:
            groups.setdefault(shown, []).append(name)
    return "; ".join(
        f"{enumerated(some(names))} ({', '.join(SHORT[key] for key in keys)})"
        for keys, names in groups.items()
    )


def _bullets_alone(facts: Facts) -> list[Verdict]:
    ((name, result),) = facts.models.items()
    diagnosis, measures = facts.diagnoses[name], result.measures
    one_sided = facts.view == "binary" and result.mean_event in (0.0, 1.0)
    few = _too_few(facts) or (one_sided and not diagnosis.starred)
    out: list[Verdict] = []
    if diagnosis.starred or not facts.is_judged:
        out.append(
            _verdict(
                "promise",
                after=facts.printed(name, ECE),
                fits=_fits(facts, name),
                criterion=SHORT["log_loss"],
                loss=facts.printed(name, "log_loss"),
                promised=facts.number("log_loss", measures["log_loss"].floor),
            )
        )
    if diagnosis.starred:
        where = "" if diagnosis.ranges else f" ({diagnosis.words(facts.view)})"
        out.append(_verdict("beyond", measures=diagnosis.measures(facts.view), where=where))
    elif facts.is_judged:
        p = p_text(min(measure.p_value for measure in measures.values()))
        out.append(_verdict("nothing_beyond_few" if few else "nothing_beyond", p=p))
    expected = result.mean_prediction * facts.n_samples
    if facts.rare and expected > 0:
        events = round(result.mean_event * facts.n_samples)
        low, top = poisson_interval(events, facts.confidence_level)
        out.append(
            _verdict(
                "what_events_fit",
                events=facts.size,
                low=printed(low / expected, 2),
                top=printed(top / expected, 2),
                high=_error(facts, name),
                rate=per_100k(result.mean_event).removesuffix(" per 100,000"),
            )
        )
    elif not diagnosis.starred and not few and facts.is_judged and measures[ECE].high > 0:
        out.append(_verdict("what_fits", n=f"{facts.n_samples:,}", high=_error(facts, name)))
    out += _needed(facts)
    if result.n_impossible:
        out.append(_verdict("impossible_single", labels=_counted(result.n_impossible, "label")))
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


def per_100k(share: float) -> str:
    """Return a share per 100,000."""
    number = 1e5 * share
    return f"{number:,.0f} per 100,000" if number >= 10 else f"{number:.2g} per 100,000"


def _counted(count: float, word: str = "event") -> str:
    return f"1 {word}" if round(count) == 1 else f"{round(count):,} {word}s"


def p_text(p: float) -> str:
    """Return a p-value as printed."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _ties(facts: Facts, names: Sequence[str], chosen: str) -> str:
    """Return who cannot be told from the recommended model, as the end of a sentence."""
    if not names:
        return ""
    differ = any(facts.starred(name) != facts.starred(chosen) for name in names)
    where = f" in {facts.criterion}" if differ else ""
    verb = "is" if len(names) == 1 else "are"
    return f"; {enumerated(some(names))} {verb} not distinguishable from it{where}"


def _verdict(case: str, **parameters: str) -> Verdict:
    return Verdict(case, SENTENCES[case], parameters)
