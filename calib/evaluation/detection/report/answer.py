"""The answer of a detection report in sentences: what to do, why, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib._documents.digits import Digits, digits_of
from calib._documents.document import Verdict
from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionMeasure,
    DetectionModelReport,
)
from calib.evaluation.report.diagnosis import enumerated
from calib.evaluation.report.ranking import Ranking
from calib.evaluation.sampling.intervals import least_redraws

#: Measures that are shown as they are; all others in per cent.
PLAIN = ("score_iou_squared_error", "brier")
#: What the answer speaks about, by target: a calibration error, then a proper score.
LEADING = {
    "iou": ("localization_aware_calibration_error", "score_iou_squared_error"),
    "tp": ("detection_calibration_error", "brier"),
}
#: The target that a score cannot announce too.
OTHER = {"iou": "tp", "tp": "iou"}
LRP = "localization_recall_precision"
#: Measures that speak about a target.
OF_TARGET = {
    "iou": (
        "localization_aware_calibration_error",
        "localization_aware_absolute_error",
        "score_iou_squared_error",
    ),
    "tp": ("detection_calibration_error", "brier", "position_calibration_error"),
}
#: What measures are called in a sentence.
SHORT = {
    "localization_aware_calibration_error": "LaECE",
    "localization_aware_absolute_error": "LaACE",
    "score_iou_squared_error": "squared error",
    "detection_calibration_error": "D-ECE",
    "brier": "Brier score",
    "position_calibration_error": "D-ECE by position",
    LRP: "LRP",
    "lrp_localization": "LRP of localisation",
    "lrp_false_positive": "LRP of false positives",
    "lrp_false_negative": "LRP of missed boxes",
}
#: What a score announces, by target, and what it then is.
TARGETS = {"iou": "overlap", "tp": "chance of being right"}
#: An error that would matter: detections that cannot exclude it say too little.
MATTERING = 0.05

SENTENCES = {
    "closer": "{who} brings scores closer to the {target}{link} removes {share} % of the error "
    "beyond chance.{design}",
    "closer_clean": "{who} brings scores closer to the {target}{link} leaves no error that {n} "
    "detections can show.{design}",
    "closer_left": "{who} brings scores closer to the {target}; {starred} {still} more error "
    "than chance.{design}",
    "closer_score": "{who} brings scores closer to the {target}; {changes}.{design}",
    "mixed": "Calibration is no clear gain as {article} {target}: {changes}.",
    "worse": "Keep the raw scores: calibration takes them away from the {target}; {changes}.",
    "no_change": "Calibration makes no difference that {n} detections can show: scores stay {left} "
    "points beyond chance away from the {target}.{design}",
    "keep": "Keep the raw scores: they show no error beyond chance, and calibration makes no "
    "difference that {n} detections can show.{design}",
    "too_few": "Too few detections to judge: {n} show no error beyond chance, but any up to {high} "
    "points would fit.{design}",
    "few_draws": "Too few draws to judge: {draws} simulated detectors cannot show what is more "
    "than chance; at least {needed} are needed (n_floor).",
    "one_image": "One image is too few to judge: nothing is known of chance between images.",
    "nothing": "Nothing to judge: calibration errors cannot be measured, as no detection of a "
    "class with boxes counts at the operating point.",
    "off": "Scores are off as {article} {target}, by {left} points beyond chance: {means}. "
    "Calibrate them.",
    "nothing_seen": "No sign of miscalibration as {article} {target}: {means}, on {n} detections.",
    "by_design": " As {article} {other} they are worse, by design.",
    "also": "Also more than chance: {measures}.",
    "also_by_design": "Also more than chance: {measures}; by design {designed}.",
    "only_by_design": "More than chance by design: {designed}.",
    "effect": "{error} {before} % before, {after} % after (change {low} to {high} points); "
    "perfectly calibrated scores would still show {floor} % on {n} detections, {rest}.",
    "effect_unknown": "{error} {before} % before, {after} % after; perfectly calibrated scores "
    "would still show {floor} % on {n} detections.",
    "single": "{error} {after} %; perfectly calibrated scores would still show {floor} % on {n} "
    "detections, {rest}.",
    "rises_overlap": '{changes}: a score now means "expected overlap"{than}. If scores shall be '
    'that chance, fit with target="tp".',
    "rises_right": '{changes}: a score now means "chance of being right at {overlap}"{than}. If '
    'scores shall be the overlap, fit with target="iou".',
    "worse_too": "Worse than before: {changes}.",
    "kept": "{lost}, {precision}.{left_out}",
    "thresholds": "Thresholds of the fit: {thresholds}{pooled}.",
    "group": "Also {names}: not distinguishable by {score}.",
    "behind": "Clearly behind by {score}: {names}.",
    "elsewhere": "{name}, against raw scores of its own: {text}",
}


@dataclass(frozen=True, eq=False)
class DetectorFacts:
    """A set of scores, what it was before, and what the sentences about it are made of.

    Attributes
    ----------
    name : str
        What the scores are called.
    after : DetectionModelReport
        The scores that are spoken about.
    before : DetectionModelReport or None
        The raw scores that they were made from; None for raw scores.
    classes : ClassTable or None
        Classes before and after; None for raw scores.
    confidence_level : float
    """

    name: str
    after: DetectionModelReport
    before: DetectionModelReport | None
    classes: ClassTable | None
    confidence_level: float

    @property
    def error(self) -> DetectionMeasure:
        """Calibration error of the target."""
        return self.after.measures[LEADING[self.after.target][0]]

    @property
    def score(self) -> DetectionMeasure:
        """Proper score of the target."""
        return self.after.measures[LEADING[self.after.target][1]]

    @property
    def n(self) -> str:
        """Number of detections that count, as printed."""
        return f"{self.after.n_kept:,}"

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing before, or no number differs from it."""
        return self.before is None or all(map(is_unchanged, self.after.measures.values()))

    @property
    def better(self) -> bool:
        """Whether a leading measure fell beyond noise and none rose."""
        moves = [direction(measure) for measure in (self.error, self.score)]
        return min(moves) < 0 and max(moves) <= 0

    @property
    def worse(self) -> bool:
        """Whether a leading measure rose beyond noise and none fell."""
        moves = [direction(measure) for measure in (self.error, self.score)]
        return max(moves) > 0 and min(moves) >= 0

    def by_design(self, key: str) -> bool:
        """Return whether scores that announce one target cannot but be worse in a measure."""
        return key in OF_TARGET[OTHER[self.after.target]] and not self.worse

    @property
    def stars(self) -> list[str]:
        """Measures beyond chance other than the leading error."""
        leading = LEADING[self.after.target][0]
        measures = self.after.measures
        return [key for key, one in measures.items() if one.is_beyond_floor and key != leading]

    @property
    def own_stars(self) -> list[str]:
        """Those among them that speak about the target of the scores."""
        return [key for key in self.stars if key in OF_TARGET[self.after.target]]

    @property
    def risen(self) -> list[str]:
        """Measures that are larger than before, beyond noise."""
        return [key for key, one in self.after.measures.items() if direction(one) > 0]

    def digits(self, key: str) -> Digits:
        """Return how a measure is printed, alike before and after."""
        models = [model for model in (self.before, self.after) if model is not None]
        return detector_digits(key, [model.measures[key] for model in models])

    def change(self, key: str) -> str:
        """Return a change with its interval, in words."""
        change, digits = self.after.measures[key].change, self.digits(key)
        assert change is not None
        verb = "falls" if change.value < 0 else "rises"
        unit = " points" if digits.unit else ""
        size = Digits.value(digits, abs(change.value))
        scale = f" {digits.scale}" if digits.scale else ""
        return (
            f"{SHORT[key]} {verb} by {size}{scale}{unit} "
            f"({digits.change(change.low)} to {digits.change(change.high)})"
        )


def is_unchanged(measure: DetectionMeasure) -> bool:
    """Return whether a measure is the same number as before, in every draw."""
    change = measure.change
    return change is None or (change.value == 0 and not (change.low < 0 or change.high > 0))


def direction(measure: DetectionMeasure) -> int:
    """Return -1 for a measure that fell, 1 for one that rose, 0 where noise may do that."""
    if not measure.is_changed:
        return 0
    assert measure.change is not None
    return -1 if measure.change.value < 0 else 1


def left(measure: DetectionMeasure) -> float:
    """Return what is left of a calibration error without the part of chance."""
    return measure.excess if math.isnan(measure.debiased) else measure.debiased


def detector_digits(key: str, measures: Sequence[DetectionMeasure]) -> Digits:
    """Return how a measure is printed: digits that its changes allow, else its intervals."""
    changes = [one.change for one in measures if one.change is not None]
    halves = [(change.high - change.low) / 2 for change in changes]
    if not any(half > 0 for half in halves):
        halves = [(one.high - one.low) / 2 for one in measures]
    if not any(half > 0 for half in halves):
        return Digits(4, 4) if key in PLAIN else Digits(1, 1, 100.0, " %")
    if key in PLAIN:
        return digits_of(halves)
    digits = digits_of(halves, error=True, percent=True)
    decimals = max(digits.decimals, 1)
    return replace(digits, decimals=decimals, end_decimals=max(digits.end_decimals, 1))


# ---------------------------------------------------------------------------------------- headline


#: Headlines that rest on a star that is missing.
_WITHOUT_STAR = ("closer_clean", "keep", "nothing_seen", "too_few")


def detector_headline(facts: DetectorFacts, n_calibrators: int = 1) -> Verdict:
    """Say in one sentence what to do with the scores, naming the calibrator among several."""
    after, error = facts.after, facts.error
    target = TARGETS[after.target]
    parameters = {"n": facts.n, "target": target, "article": _article(after.target)}
    parameters |= {"who": "Calibration", "link": ": it"}
    if n_calibrators > 1:
        parameters |= {"who": f"Use {facts.name}: it", "link": " and"}
    case = _case(facts)
    if case in _WITHOUT_STAR and not error.is_judged:
        case = "few_draws"
        parameters["draws"] = f"{error.calibrated.n_resamples}"
        parameters["needed"] = f"{least_redraws(facts.confidence_level):,}"
    design = ""
    if facts.before is not None and any(map(facts.by_design, facts.risen)):
        other = OTHER[after.target]
        design = SENTENCES["by_design"].format(article=_article(other), other=TARGETS[other])
    points = facts.digits(LEADING[after.target][0])
    parameters |= {"design": design, "left": points.value(left(error)), "means": _means(after)}
    if not math.isnan(error.high):
        parameters["high"] = points.value(error.high)
    if case == "closer":
        assert facts.before is not None
        begun = left(facts.before.measures[LEADING[after.target][0]])
        share = 100 * (1 - left(error) / begun)
        parameters["share"] = f"{min(max(share, 0.0), 100.0):.0f}"
    if case == "closer_left":
        parameters["starred"] = enumerated([SHORT[key] for key in facts.own_stars])
        parameters["still"] = "still shows" if len(facts.own_stars) == 1 else "still show"
    if case in ("closer_score", "mixed", "worse"):
        moved = [key for key in LEADING[after.target] if direction(after.measures[key])]
        parameters["changes"] = enumerated([facts.change(key) for key in moved])
    return _verdict(case, **parameters)


def _case(facts: DetectorFacts) -> str:
    """Return which of the headlines the numbers call for."""
    error, change = facts.error, facts.error.change
    if math.isnan(error.value):
        return "nothing"
    if math.isnan(error.high):
        return "one_image"
    starred = error.is_beyond_floor
    unclear = error.high > MATTERING
    if facts.before is None or change is None:
        return "off" if starred or facts.own_stars else "too_few" if unclear else "nothing_seen"
    before = facts.before.measures[LEADING[facts.after.target][0]]
    if facts.better:
        if direction(error) < 0 and before.is_beyond_floor:
            if not starred:
                return "closer_left" if facts.own_stars else "closer_clean"
            if 0 < left(error) < left(before):
                return "closer"
        return "closer_score"
    if facts.worse:
        return "worse"
    if direction(error) or direction(facts.score):
        return "mixed"
    if starred or facts.own_stars:
        return "no_change"
    return "too_few" if unclear else "keep"


def _article(target: str) -> str:
    return "an" if target == "iou" else "a"


def _means(model: DetectionModelReport) -> str:
    """Return mean score and mean outcome."""
    if model.target == "iou":
        return f"mean score {model.mean_score:.3f}, mean overlap {model.mean_iou:.3f}"
    return f"mean score {model.mean_score:.3f}, right in {100 * model.precision:.1f} %"


# ----------------------------------------------------------------------------------------- bullets


def detector_bullets(facts: DetectorFacts) -> list[Verdict]:
    """Say what the headline rests on, what got worse, and what was left out."""
    if math.isnan(facts.error.value):
        return [_kept(facts)]
    found = [_effect(facts)]
    if facts.stars:
        found = [as_one(found[0].case, [*found, _also(facts)])]
    if facts.before is not None:
        found += _worse(facts)
    return [*found, _kept(facts)]


def _effect(facts: DetectorFacts) -> Verdict:
    """Say what the calibration error was, is, and would be by chance."""
    key = LEADING[facts.after.target][0]
    error, digits = facts.error, facts.digits(key)
    parameters = {
        "error": SHORT[key],
        "after": digits.value(error.value),
        "floor": digits.value(error.floor),
        "n": facts.n,
    }
    if math.isnan(error.high):
        rest = "and a single image tells nothing of their spread"
    elif error.is_beyond_floor:
        ends = digits.range(error.low, error.high)
        rest = f"without the part of chance {digits.value(left(error))} points are left ({ends})"
    else:
        rest = f"so what is left may be chance; at most {digits.value(error.high)} points fit"
    if facts.before is None or facts.unchanged:
        return _verdict("single", rest=rest, **parameters)
    parameters["before"] = digits.value(facts.before.measures[key].value)
    change = error.change
    if change is None or math.isnan(change.low):
        return _verdict("effect_unknown", **parameters)
    parameters |= {"low": digits.change(change.low), "high": digits.change(change.high)}
    return _verdict("effect", rest=rest, **parameters)


def _also(facts: DetectorFacts) -> Verdict:
    """Give a voice to every other measure beyond chance."""
    designed = [key for key in facts.stars if key not in facts.own_stars]
    if facts.unchanged or facts.worse:
        return _verdict("also", measures=enumerated([SHORT[key] for key in facts.stars]))
    names = {"designed": enumerated([SHORT[key] for key in designed])} if designed else {}
    if not facts.own_stars:
        return _verdict("only_by_design", **names)
    case = "also_by_design" if designed else "also"
    return _verdict(case, measures=enumerated([SHORT[key] for key in facts.own_stars]), **names)


def _worse(facts: DetectorFacts) -> list[Verdict]:
    """Say what rose beyond noise, by design and else."""
    after = facts.after
    designed = [key for key in facts.risen if facts.by_design(key)]
    others = [key for key in facts.risen if key not in designed]
    found = []
    if designed:
        changes = enumerated(
            [_capital(facts.change(designed[0])), *map(facts.change, designed[1:])]
        )
        case, than = "rises_right", ""
        if after.target == "iou":
            case = "rises_overlap"
        if after.mean_iou < after.precision:
            than = ", which is higher than the overlap"
            if after.target == "iou":
                than = ", which is lower than the chance of being right"
        overlap = f"overlap {after.precision_iou:g}"
        found.append(_verdict(case, changes=changes, than=than, overlap=overlap))
    if others:
        changes = enumerated([facts.change(key) for key in others])
        found.append(_verdict("worse_too", changes=changes))
    return [as_one("worse", found)] if len(found) > 1 else found


def _kept(facts: DetectorFacts) -> Verdict:
    """Say what was left out, and what became of the accuracy."""
    after, before = facts.after, facts.before or facts.after
    if facts.before is None:
        lost = f"{after.n_kept:,} detections count at the operating point"
    elif after.n_kept == before.n_kept:
        lost = f"Nothing is lost: all {after.n_kept:,} detections are kept"
    else:
        lost = f"{after.n_kept:,} of {before.n_kept:,} detections are kept"
    old, new = before.measures[LRP].value, after.measures[LRP].value
    parts = [
        _moved("AP", before.ap, after.ap, single=facts.before is None),
        _moved("LRP", old, new, single=facts.before is None),
    ]
    precision = ", ".join(part for part in parts if part) or "AP and LRP are not defined"
    precision = precision.replace(", LRP stays", ", LRP") if "AP stays" in precision else precision
    counts = (
        (after.n_ignored, "on ignored boxes"),
        (after.n_skipped, "of classes without an annotated box"),
    )
    without = ", ".join(f"{count:,} {which}" for count, which in counts if count)
    left_out = f" Left out: {without}." if without else ""
    return _verdict("kept", lost=lost, precision=precision, left_out=left_out)


def _moved(name: str, old: float, new: float, *, single: bool) -> str:
    """Say where a number goes; nothing where there is none."""
    if math.isnan(old) or math.isnan(new):
        return ""
    one, two = (f"{100 * value:.1f} %" for value in (old, new))
    if single:
        return f"{name} {two}"
    return f"{name} stays at {two}" if one == two else f"{name} goes from {one} to {two}"


def thresholds(table: ClassTable) -> Verdict:
    """Say which thresholds go with the calibrated scores."""
    limits = np.unique(table.threshold_calibrated)
    if not limits.any() and not table.threshold_raw.any():
        return Verdict("thresholds", "No threshold was fitted: every detection is kept.")
    single = "{low} for all classes"
    ends = {"low": f"{limits[0]:.2g}", "high": f"{limits[-1]:.2g}"} if limits.size else {}
    text = (single if limits.size == 1 else "{low} to {high} by class").format(**ends)
    maps = sum(1 for reason in table.map_fallback if reason)
    pooled = int(table.threshold_fallback.sum())
    parts = [
        f"{count} of {len(table)} classes {'takes' if count == 1 else 'take'} the pooled {kind}"
        for count, kind in ((maps, "map"), (pooled, "threshold"))
        if count
    ]
    return _verdict("thresholds", thresholds=text, pooled="".join(f"; {part}" for part in parts))


def others(
    ranking: Ranking | None, names: Sequence[str], chosen: str, target: str
) -> list[Verdict]:
    """Say of the other calibrators of the same raw scores which may be as good."""
    score = SHORT[LEADING[target][1]]
    if ranking is None or len(names) < 2:
        return []
    known = {
        name: bool(ranking.may_be_best[place]) for place, name in enumerate(names) if name != chosen
    }
    level = [name for name, may in known.items() if may]
    behind = [name for name, may in known.items() if not may]
    found = [_verdict("group", names=enumerated(level), score=score)] if level else []
    return found + ([_verdict("behind", names=enumerated(behind), score=score)] if behind else [])


def elsewhere(facts: DetectorFacts) -> Verdict:
    """Say what a calibrator of another target or operating point does to its raw scores."""
    found = detector_headline(facts)
    text = Verdict(found.case, found.template, {**found.parameters, "design": ""}).text
    return _verdict("elsewhere", name=facts.name, text=text[:1].lower() + text[1:])


def as_one(case: str, verdicts: Sequence[Verdict]) -> Verdict:
    """Return several sentences as one."""
    return Verdict(case, "{text}", {"text": " ".join(one.text for one in verdicts)})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _verdict(case: str, **parameters: str) -> Verdict:
    template = SENTENCES[case]
    used: Mapping[str, str] = {
        name: text for name, text in parameters.items() if f"{{{name}}}" in template
    }
    return Verdict(case, template, used)
