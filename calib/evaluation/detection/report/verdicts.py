"""Sentences about the scores of a detector, before and after calibration."""

from __future__ import annotations

import numpy as np

from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionMeasure,
    DetectionModelReport,
)

#: Measures that are shown as they are; all others in percent.
PLAIN = ("score_iou_squared_error", "brier")
#: What a verdict speaks about, by target: a calibration error, then a proper score.
LEADING = {
    "iou": ("localization_aware_calibration_error", "score_iou_squared_error"),
    "tp": ("detection_calibration_error", "brier"),
}


def verdict(
    model: DetectionModelReport, raw: DetectionModelReport | None, classes: ClassTable | None
) -> str:
    """Say in a few sentences what the numbers of a model do and do not show.

    A calibrated model comes with the raw scores it began from and its table of classes.
    """
    error, score = LEADING[model.target]
    measure = model.measures[error]
    short = _short(error, model)
    if np.isnan(measure.value):
        return f"{short} cannot be measured: no detection of a class with boxes counts."
    if raw is None or classes is None:
        return _verdict_of_raw(model, short, measure)
    sentences = [
        _change(short, raw.measures[error], measure, error) + _remainder(measure),
        _change(_short(score, model), raw.measures[score], model.measures[score], score) + ".",
        _by_design(raw, model),
        _accuracy(raw, model),
        _fallbacks(classes),
    ]
    return " ".join(part for part in sentences if part)


def _verdict_of_raw(model: DetectionModelReport, short: str, measure: DetectionMeasure) -> str:
    place = "beyond" if measure.is_beyond_floor else "within"
    floor = f"{100 * measure.floor:.1f} %, chance explains up to {100 * measure.floor_high:.1f} %"
    if model.target == "iou":
        means = f"mean score {model.mean_score:.3f}, mean overlap {model.mean_iou:.3f}"
    else:
        means = f"mean score {model.mean_score:.3f}, precision {model.precision:.3f}"
    return (
        f"{short} {_number(measure.value, '')} is {place} what a perfectly calibrated detector "
        f"shows with {model.n_kept:,} detections ({floor}); {means}. LRP "
        f"{_number(model.measures['localization_recall_precision'].value, '')}, AP "
        f"{_number(model.ap, '')}."
    )


def _short(key: str, model: DetectionModelReport) -> str:
    zero = "_0" if model.iou_threshold == 0 else ""
    return {
        "localization_aware_calibration_error": f"LaECE{zero}",
        "detection_calibration_error": "D-ECE",
        "score_iou_squared_error": "The squared error of score against overlap",
        "brier": "The Brier score",
    }[key]


def _number(value: float, key: str) -> str:
    return f"{value:.4f}" if key in PLAIN else f"{100 * value:.1f} %"


def _change(short: str, before: DetectionMeasure, after: DetectionMeasure, key: str) -> str:
    """Say where a number goes, and whether that is more than noise."""
    change, old, new = after.change, _number(before.value, key), _number(after.value, key)
    if change is None or np.isnan(change.low):
        return f"{short} goes from {old} to {new}"
    if key in PLAIN:
        ends = f"{change.low:+.4f} to {change.high:+.4f}"
    else:
        ends = f"{100 * change.low:+.1f} to {100 * change.high:+.1f} points"
    within = f"({100 * change.confidence_level:g} % interval of the change {ends})"
    if after.is_changed:
        return f"{short} {'falls' if change.value < 0 else 'rises'} from {old} to {new} {within}"
    return f"{short} goes from {old} to {new}, a difference within noise {within}"


def _remainder(measure: DetectionMeasure) -> str:
    """End the sentence about a calibration error with its floor."""
    rest = "the rest is within noise"
    if measure.is_beyond_floor:
        left = measure.excess if np.isnan(measure.debiased) else measure.debiased
        ends = pair(*(f"{100 * end:.1f}" for end in (measure.low, measure.high)))
        level = f" ({100 * measure.interval.confidence_level:g} % interval {ends} %)"
        rest = f"{100 * left:.1f} % are left without it{'' if np.isnan(measure.low) else level}"
    return (
        f"; of the {100 * measure.value:.1f} %, {100 * measure.floor_mean:.1f} % is what a "
        f"perfectly calibrated detector shows with this many detections, {rest}."
    )


def _by_design(before: DetectionModelReport, after: DetectionModelReport) -> str:
    """Say why the D-ECE of scores that predict overlaps rises."""
    key = "detection_calibration_error"
    one, two = before.measures[key], after.measures[key]
    if after.target != "iou" or not two.value > one.value:
        return ""
    return (
        f"D-ECE rises from {_number(one.value, key)} to {_number(two.value, key)} by design: these "
        f"scores predict the overlap (mean {after.mean_iou:.3f}), not the probability of being "
        f"right ({after.precision:.3f}), which target='tp' predicts."
    )


def _accuracy(before: DetectionModelReport, after: DetectionModelReport) -> str:
    lrp = "localization_recall_precision"
    pairs = [
        ("LRP", before.measures[lrp].value, after.measures[lrp].value),
        ("AP", before.ap, after.ap),
    ]
    parts = []
    for name, old, new in pairs:
        if np.isnan(old) or np.isnan(new):
            continue
        one, two = _number(old, ""), _number(new, "")
        parts.append(f"{name} stays at {two}" if one == two else f"{name} goes from {one} to {two}")
    kept = f"{after.n_kept:,} of {before.n_kept:,} detections are kept"
    if after.n_skipped:
        kept += f", {after.n_skipped:,} of them of classes without an annotated box and left out"
    return "; ".join([kept, *parts]) + "."


def _fallbacks(table: ClassTable) -> str:
    maps = sum(1 for reason in table.map_fallback if reason)
    limits = int(table.threshold_fallback.sum())
    what = [
        f"{count} of {len(table)} take the pooled {kind}"
        for count, kind in ((maps, "map"), (limits, "threshold"))
        if count
    ]
    return f"Classes: {', '.join(what)}." if what else ""


def pair(low: str, high: str) -> str:
    """Return the ends of an interval, nothing where one of them is missing."""
    return f"{low} to {high}" if low and high else ""
