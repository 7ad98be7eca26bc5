"""A detection report as text: headings, sentences and the table for terminals."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from calib.evaluation.report.records import ERROR_NOTE

if TYPE_CHECKING:
    from calib.evaluation.detection.report.records import DetectionMeasure, DetectionModelReport
    from calib.evaluation.detection.report.results import DetectionReport

#: Measures that are shown as they are; all others in percent.
PLAIN = ("score_iou_squared_error", "brier")
#: What a verdict speaks about, by target: a calibration error, then a proper score.
LEADING = {
    "iou": ("localization_aware_calibration_error", "score_iou_squared_error"),
    "tp": ("detection_calibration_error", "brier"),
}


# ---------------------------------------------------------------------------------------- headings


def titles(report: DetectionReport) -> dict[str, str]:
    """Return the heading of every measure, in reading order."""
    models = list(report.models.values())
    at = _overlaps([model.iou_threshold for model in models])
    hit = _overlaps([model.precision_iou for model in models])
    zero = "_0" if at == "any overlap" else ""
    names = {
        "localization_aware_calibration_error": (
            f"LaECE{zero}: localisation-aware calibration error, {at}, 25 bins per class, %"
        ),
        "localization_aware_absolute_error": (
            f"LaACE{zero}: mean absolute error of score against overlap, {at}, class by class, %"
        ),
        "score_iou_squared_error": f"Squared error of score against overlap, {at}",
        "localization_recall_precision": (
            f"LRP: localisation recall precision error, {at}, mean over classes, %"
        ),
        "lrp_localization": "LRP, displacement of the boxes that are found, %",
        "lrp_false_positive": "LRP, false positives among detections, %",
        "lrp_false_negative": "LRP, missed boxes, %",
        "detection_calibration_error": f"D-ECE: detection calibration error, {hit}, 10 bins, %",
        "brier": f"Brier score: squared error of score against true positives, {hit}",
        "position_calibration_error": (
            f"D-ECE over score and position, {hit}, 5 bins each of score, centre and size, %"
        ),
    }
    shown = dict.fromkeys(key for model in models for key in model.measures)
    return {key: names[key] for key in shown}


def _overlaps(thresholds: list[float]) -> str:
    """Name the overlap of a true positive; several where models differ."""
    distinct = sorted(set(thresholds))
    if distinct == [0.0]:
        return "any overlap"
    return "overlap " + " or ".join(f"{tau:g}" if tau else "> 0" for tau in distinct)


def heading(report: DetectionReport) -> str:
    """Return what was measured, in one line."""
    level = f"{100 * report.confidence_level:g} %"
    sampled = (
        f"{level} intervals from {report.n_resamples:,} draws of images"
        if report.n_resamples
        else "no intervals, because a single image cannot be resampled"
    )
    return (
        f"{report.n_detections:,} detections, {report.n_truth:,} boxes, {report.n_images:,} "
        f"image{'' if report.n_images == 1 else 's'}; {sampled}, floors from {report.n_floor:,} "
        f"simulated detectors"
    )


def notes(report: DetectionReport) -> list[str]:
    """Return what the columns mean."""
    several = len({model.baseline for model in report.models.values()} - {None}) > 1
    missing = any(model.position is None for model in report.models.values())
    out = [
        "Raw: detections at or above the raw threshold of their class. Calibrated: of these, the "
        "ones at or above the calibrated threshold. The two squared errors take all detections "
        "that reach the raw threshold, so that every row judges the same boxes.",
        "Interval: bootstrap over images, the same draws for all rows, edges of the bins held "
        f"fixed. {ERROR_NOTE}",
        "If calibrated: what the same detections show on average if their scores are right, with "
        "targets redrawn as dependent inside images as the observed. For a calibration error this "
        "is the floor that even a perfect detector shows; for squared and absolute errors it is "
        "what the scores promise.",
        "* marks a value above what chance explains. The range in brackets allows for all numbers "
        "of the report together: a report on calibrated detectors has a star anywhere in at most "
        f"{100 * (1 - report.confidence_level):g} % of samples.",
        "Change: value minus that of the raw scores on the same draws of images; ! marks a change "
        "whose interval leaves 0 out.",
    ]
    if several:
        out.append(
            "Calibrators with different targets, overlaps or raw thresholds are compared each with "
            "raw scores of their own; numbers of different groups are not comparable."
        )
    if any(model.target == "iou" for model in report.models.values()):
        out.append(
            "Scores that are calibrated to overlaps are lower than the probability of being a true "
            "positive at a moderate overlap: their D-ECE stays above its floor by design."
        )
    if report.max_detections is not None:
        beyond = report.n_beyond_limit
        rest = (
            f"; {beyond:,} of {report.n_detections:,} detections stand beyond this limit, which no "
            f"other number has"
        )
        out.append(
            f"Average precision reads at most {report.max_detections:,} detections per image and "
            f"class{rest if beyond else ', all other numbers read every detection'}."
        )
    if missing:
        out.append("Image sizes are not known: the error over positions and the maps are left out.")
    else:
        out.append(
            "D-ECE over position counts the cells with 8 detections or more; the coverage is their "
            "share of all detections."
        )
    return out


# --------------------------------------------------------------------------------------- sentences


def verdict(report: DetectionReport, name: str) -> str:
    """Say in a few sentences what the numbers of a model do and do not show."""
    model = report.models[name]
    error, score = LEADING[model.target]
    measure = model.measures[error]
    short = _short(error, model)
    if np.isnan(measure.value):
        return f"{short} cannot be measured: no detection of a class with boxes counts."
    if model.baseline is None:
        return _verdict_of_raw(model, short, measure)
    raw = report.models[model.baseline]
    sentences = [
        _change(short, raw.measures[error], measure, error) + _remainder(measure),
        _change(_short(score, model), raw.measures[score], model.measures[score], score) + ".",
        _by_design(raw, model),
        _accuracy(raw, model),
        _fallbacks(report, name),
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
        ends = _pair(*(f"{100 * end:.1f}" for end in (measure.low, measure.high)))
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


def _fallbacks(report: DetectionReport, name: str) -> str:
    table = report.per_class[name]
    maps = sum(1 for reason in table.map_fallback if reason)
    limits = int(table.threshold_fallback.sum())
    what = [
        f"{count} of {len(table)} take the pooled {kind}"
        for count, kind in ((maps, "map"), (limits, "threshold"))
        if count
    ]
    return f"Classes: {', '.join(what)}." if what else ""


# -------------------------------------------------------------------------------------------- table


def cells(measure: DetectionMeasure, key: str) -> dict[str, str]:
    """Return the numbers of a row as text; empty where there is none."""
    scale, digits = (1.0, 4) if key in PLAIN else (100.0, 2)

    def show(value: float, sign: str = "") -> str:
        return "" if np.isnan(value) else f"{scale * value:{sign}.{digits}f}"

    floor, change = show(measure.floor), measure.change
    step, ends = "", ""
    if change is not None and not np.isnan(change.value):
        step, ends = show(change.value, "+"), _pair(show(change.low, "+"), show(change.high, "+"))
        if change.value == change.low == change.high == 0:
            step, ends = "none", ""
    return {
        "value": show(measure.value) or "n/a",
        "debiased": show(measure.debiased),
        "interval": _pair(show(measure.low), show(measure.high)),
        "floor": floor and f"{floor} ({_pair(show(measure.floor_low), show(measure.floor_high))})",
        "change": step,
        "range": ends,
    }


def _pair(low: str, high: str) -> str:
    return f"{low} to {high}" if low and high else ""


#: Components of the LRP error, with their headings in the table of counts.
COMPONENTS = {
    "lrp_localization": "LRP Loc",
    "lrp_false_positive": "LRP FP",
    "lrp_false_negative": "LRP FN",
}
#: Headings of the table of counts.
COUNTS = ("Kept", "Ignored", "Coverage", *COMPONENTS.values(), "AP", "AP50", "AP75")
COUNTS_TITLE = "Counts at the operating point; shares and average precision of all detections in %"


def counts(report: DetectionReport) -> dict[str, dict[str, str]]:
    """Return the cells of the table of counts, by scores and heading."""
    rows = {}
    for name, model in report.models.items():
        parts = [model.measures[key].value for key in COMPONENTS]
        shares = [model.coverage, *parts, model.ap, model.ap50, model.ap75]
        percent = ["n/a" if np.isnan(share) else f"{100 * share:.2f}" for share in shares]
        whole = [f"{model.n_kept:,}", f"{model.n_ignored:,}"]
        rows[name] = dict(zip(COUNTS, [*whole, *percent], strict=True))
    return rows


def text(report: DetectionReport) -> str:
    """Return the report for a terminal."""
    names = max(10, *(len(name) + 2 for name in report.models))
    lines = [_wrap(f"Detection report: {heading(report)}"), ""]
    lines.append(
        f"{'':{names}}{'value':>7}   {'debiased':<9}{'interval':<16} {'if calibrated (range)':<25} "
        f"change"
    )
    for key, title in titles(report).items():
        if key in COMPONENTS:
            continue  # their values stand in the table below
        lines.append(title)
        for name, model in report.models.items():
            if key not in model.measures:
                continue
            one = cells(model.measures[key], key)
            marks = ("*" if model.measures[key].is_beyond_floor else " ") + (
                "!" if model.measures[key].is_changed else " "
            )
            change = f"{one['change']} ({one['range']})" if one["range"] else one["change"]
            lines.append(
                f"{'  ' + name:{names}}{one['value']:>7}{marks} {one['debiased']:<9}"
                f"{one['interval']:<16} {one['floor']:<25} {change}".rstrip()
            )
    lines += ["", COUNTS_TITLE]
    lines.append(f"{'':{names}}" + "".join(f"{title:>9}" for title in COUNTS))
    for name, row in counts(report).items():
        lines.append(f"{'  ' + name:{names}}" + "".join(f"{cell:>9}" for cell in row.values()))
    lines.append("")
    lines += [_wrap(f"{name}: {verdict(report, name)}") for name in report.models]
    lines.append("")
    lines += [_wrap(note) for note in notes(report)]
    return "\n".join(lines)


def _wrap(text: str) -> str:
    tied = text.replace(" %", "\N{NO-BREAK SPACE}%")
    filled = textwrap.fill(tied, width=88, subsequent_indent="  ")
    return filled.replace("\N{NO-BREAK SPACE}", " ")
