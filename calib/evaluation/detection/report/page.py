"""A detection report as a document: measures before and after, and what is folded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calib._documents import document as doc
from calib._documents.digits import Digits
from calib.evaluation.detection.report.answer import (
    LEADING,
    LRP,
    OF_TARGET,
    OTHER,
    SHORT,
    DetectorFacts,
    detector_digits,
    direction,
    is_unchanged,
    thresholds,
)
from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionMeasure,
    DetectionModelReport,
)
from calib.evaluation.report.ranking import Ranking

#: Measures of the main table, by target.
MAIN = {
    "iou": (*OF_TARGET["iou"], "detection_calibration_error", "position_calibration_error", LRP),
    "tp": (*OF_TARGET["tp"], *OF_TARGET["iou"][:1], LRP),
}
#: Single classes that are listed.
MOST_CLASSES = 25
_ASIDES = {
    "localization_aware_calibration_error": "gap between score and overlap, class by class",
    "localization_aware_absolute_error": "mean distance of score and overlap",
    "score_iou_squared_error": "proper score of score against overlap",
    "detection_calibration_error": "gap between score and being right ({right})",
    "brier": "proper score of score against being right ({right})",
    "position_calibration_error": "the same over score, centre and size",
    LRP: "localisation, false and missed boxes",
}
_SHORT = {"position_calibration_error": "D-ECE place"}
#: Room on both sides of the numbers of a picture, in their range.
_MARGIN = 0.08


# ------------------------------------------------------------------------------ table of the answer


def answer_table(facts: DetectorFacts) -> doc.Table:
    """Return measures in rows, before and after; of one set of scores its numbers alone."""
    level = f"{100 * facts.confidence_level:g} % interval"
    single = facts.unchanged
    after = "Raw" if facts.before is None else facts.name
    columns = [doc.Column("Measure", kind="text")]
    columns += (
        [] if single else [doc.Column("Raw", "chance", essential=False, short="Raw (chance)")]
    )
    columns += [
        doc.Column(after, "chance", short="Value (chance)" if single else "After (chance)"),
        doc.Column(
            "Picture" if single else "Before, after",
            "" if single else "hollow, filled",
            terminal="none",
        ),
    ]
    if not single:
        columns += [
            doc.Column("Change", level, weight="strong"),
            doc.Column("So", kind="text", terminal="none", essential=False),
        ]
    rows = [
        _measure_row(facts, key) for key in MAIN[facts.after.target] if key in facts.after.measures
    ]
    return doc.Table(columns, [doc.Group(rows)])


def signs_of(facts: DetectorFacts) -> list[doc.Block]:
    """Return what the signs of the table mean, for a page and for a terminal."""
    bars = "" if facts.unchanged else ", upper bar before, lower bar after"
    return [
        doc.Paragraph(
            "Grey: what perfectly calibrated scores would show with this many detections"
            f"{bars}. * and orange: above it. Each row has its own scale.",
            "soft",
            "page",
        ),
        doc.Paragraph(
            "* above what perfectly calibrated scores show on as many detections (chance). "
            "report.details(): all numbers, classes, thresholds.",
            "soft",
            "terminal",
        ),
    ]


def _measure_row(facts: DetectorFacts, key: str) -> list[doc.Cell]:
    """Return a measure before and after, its picture, its change and what that means."""
    after, digits = facts.after.measures[key], facts.digits(key)
    aside = _ASIDES[key].format(right=f"overlap {facts.after.precision_iou:g}")
    unit = digits.unit.strip() or digits.scale
    title = SHORT[key][:1].upper() + SHORT[key][1:]
    short = f"{_SHORT.get(key, title)} {unit}".strip()
    first = doc.Cell(title, f"{aside}, {unit}" if unit else aside, short=short)
    last = value_cell(after, digits)
    if facts.before is None or facts.unchanged:
        return [first, last, doc.Cell("", glyphs=_glyphs([after]))]
    before = facts.before.measures[key]
    return [
        first,
        value_cell(before, digits),
        last,
        doc.Cell("", glyphs=_glyphs([before, after])),
        _change_cell(after, digits),
        _so(facts, key),
    ]


def value_cell(measure: DetectionMeasure, digits: Digits) -> doc.Cell:
    """Return a number with what perfectly calibrated scores would show."""
    floor = "" if math.isnan(measure.floor) else digits.value(measure.floor)
    known = not math.isnan(measure.value)
    return doc.Cell(
        digits.value(measure.value) if known else "n/a",
        mark="*" if measure.is_beyond_floor else "",
        chance=floor if known else "",
    )


def _change_cell(measure: DetectionMeasure, digits: Digits) -> doc.Cell:
    change = measure.change
    if change is None or math.isnan(change.value):
        return doc.Cell("n/a", ink="soft")
    if is_unchanged(measure):
        return doc.Cell("none", ink="soft")
    known = not math.isnan(change.low)
    ends = f"{digits.change(change.low)} to {digits.change(change.high)}" if known else ""
    return doc.Cell(digits.change(change.value), interval=ends)


def _so(facts: DetectorFacts, key: str) -> doc.Cell:
    """Return a change in words."""
    measure = facts.after.measures[key]
    if measure.change is None or math.isnan(measure.change.value):
        return doc.Cell("")
    if is_unchanged(measure):
        return doc.Cell("unchanged")
    move = direction(measure)
    if move > 0:
        design = facts.by_design(key)
        return doc.Cell("worse, by design" if design else "worse", ink="alarm")
    return doc.Cell("better" if move < 0 else "no clear change")


def _glyphs(measures: Sequence[DetectionMeasure]) -> list[doc.Glyph]:
    """Return values over what chance shows, on a scale of their own; all but the last hollow."""
    numbers = [
        number
        for one in measures
        for number in (one.value, one.floor_low, one.floor_high)
        if math.isfinite(number)
    ]
    if not numbers or any(math.isnan(one.value) for one in measures):
        return []
    low, high = min(numbers), max(numbers)
    room = _MARGIN * (high - low) or 1.0
    low, high = low - room, high + room

    def placed(number: float) -> float:
        return (number - low) / (high - low)

    return [
        doc.Glyph(
            dot=placed(one.value),
            band=(
                None
                if math.isnan(one.floor_high)
                else (placed(one.floor_low), placed(one.floor_high))
            ),
            beyond=one.is_beyond_floor,
            hollow=place < len(measures) - 1,
        )
        for place, one in enumerate(measures)
    ]


def paper_table(table: doc.Table) -> doc.Table:
    """Return a table without its pictures, what they show in brackets beside the numbers."""
    shown = [
        place
        for place in range(len(table.columns))
        if not any(row[place].glyphs for group in table.groups for row in group.rows)
    ]
    groups = [
        replace(group, rows=[[_in_brackets(row[place]) for place in shown] for row in group.rows])
        for group in table.groups
    ]
    return replace(table, columns=[table.columns[place] for place in shown], groups=groups)


def _in_brackets(cell: doc.Cell) -> doc.Cell:
    beside = cell.interval or cell.chance
    return replace(cell, aside=f"({beside})", interval="", chance="") if beside else cell


def calibrators_table(
    models: Mapping[str, DetectionModelReport],
    groups: Mapping[str, Sequence[str]],
    rankings: Mapping[str, Ranking],
    chosen: str,
) -> doc.Table:
    """Return sets of scores in rows, raw ones first, each group with its own raw scores."""
    target = models[chosen].target
    keys = (LEADING[target][1], *(LEADING[one][0] for one in (target, OTHER[target])))
    shown = [key for key in keys if all(key in model.measures for model in models.values())]
    every = {key: [model.measures[key] for model in models.values()] for key in shown}
    digits = {key: detector_digits(key, found) for key, found in every.items()}
    columns = [doc.Column("Scores", kind="text")]
    for key in shown:
        title = SHORT[key][:1].upper() + SHORT[key][1:]
        unit = digits[key].unit.strip() or digits[key].scale
        columns.append(doc.Column(f"{title} {unit}".strip(), "chance"))
    columns += [doc.Column("Kept", essential=False), doc.Column("AP %", essential=False)]
    blocks = []
    for raw, names in groups.items():
        rows = []
        for name in (raw, *names):
            model = models[name]
            cells = [value_cell(model.measures[key], digits[key]) for key in shown]
            ap = "n/a" if math.isnan(model.ap) else f"{100 * model.ap:.1f}"
            level = "" if name == raw else _level(rankings.get(raw), names, name)
            first = doc.Cell(
                "raw" if name == raw else name,
                level,
                ink="recommended" if name == chosen else "plain",
            )
            rows.append([first, *cells, doc.Cell(f"{model.n_kept:,}"), doc.Cell(ap)])
        title = f'target "{models[raw].target}"' if len(groups) > 1 else ""
        blocks.append(doc.Group(rows, title))
    return doc.Table(columns, blocks)


def _level(ranking: Ranking | None, names: Sequence[str], name: str) -> str:
    """Return how a calibrator stands to the others, in words."""
    if ranking is None or len(names) < 2:
        return ""
    place = list(names).index(name)
    if not ranking.may_be_best[place]:
        return "clearly behind"
    return "lowest" if ranking.order[0] == place else "may be the best"


# ------------------------------------------------------------------------------------------- folds


def words_of(facts: DetectorFacts) -> doc.Definitions:
    """Return what the words and the signs of a report mean."""
    right = f"overlap {facts.after.precision_iou:g}"
    pairs = [
        (
            "Score, overlap",
            "The score is the number that a detector gives to a box; the overlap says how well the "
            "box covers the object, from 0 to 1, and is 0 for a box that finds none.",
        ),
        (
            "LaECE, LaACE",
            "How far scores are from the overlap that they should announce, on average over ranges "
            "of the score (LaECE) or box by box (LaACE), class by class.",
        ),
        (
            "D-ECE",
            f"How far scores are from the share of boxes that are right at {right}. A score cannot "
            'announce both: fit with target="iou" for the overlap, target="tp" for being right.',
        ),
        (
            "Squared error, Brier score",
            "Proper scores: no detector gains by scores that it does not believe. They rank "
            "calibrators.",
        ),
        (
            "Chance",
            "What perfectly calibrated scores would show with as many detections. With few boxes "
            "per class it is most of the number, and it hides part of an error: what is left "
            "without it is more than the difference of the two.",
        ),
        (
            "LRP, AP",
            "How good the boxes are. A calibrator that keeps the order of scores does not change "
            "them.",
        ),
    ]
    return doc.Definitions(pairs)


def numbers_table(
    titles: Mapping[str, str], models: Mapping[str, DetectionModelReport], confidence_level: float
) -> doc.Table:
    """Return every number of every set of scores."""
    level = f"{100 * confidence_level:g} %"
    columns = [
        doc.Column("Scores", kind="text"),
        doc.Column("Value", weight="strong"),
        doc.Column("Debiased"),
        doc.Column(f"{level} interval"),
        doc.Column("If calibrated", f"({level} range)"),
        doc.Column("Change from raw", weight="strong"),
    ]
    groups = []
    for key, title in titles.items():
        of = {name: model.measures[key] for name, model in models.items() if key in model.measures}
        digits = detector_digits(key, list(of.values()))
        rows = [_number_row(name, one, digits) for name, one in of.items()]
        groups.append(doc.Group(rows, f"{title}, {digits.scale}" if digits.scale else title))
    return doc.Table(columns, groups)


def _number_row(name: str, measure: DetectionMeasure, digits: Digits) -> list[doc.Cell]:
    """Return the numbers of a measure; nothing where there is none."""

    def shown(value: float) -> str:
        return "" if math.isnan(value) else digits.value(value)

    def ranged(low: float, high: float) -> str:
        return "" if math.isnan(low) or math.isnan(high) else digits.range(low, high)

    change = _change_cell(measure, digits) if measure.change is not None else doc.Cell("")
    if change.interval:
        mark = "!" if measure.is_changed else ""
        change = doc.Cell(change.text, f"({change.interval})", mark)
    within = ranged(measure.floor_low, measure.floor_high)
    return [
        doc.Cell(name),
        doc.Cell(shown(measure.value) or "n/a", mark="*" if measure.is_beyond_floor else ""),
        doc.Cell(shown(measure.debiased)),
        doc.Cell(ranged(measure.low, measure.high)),
        doc.Cell(shown(measure.floor), within and f"({within})"),
        change,
    ]


def counts(
    models: Mapping[str, DetectionModelReport],
    per_class: Mapping[str, ClassTable],
    n_detections: int,
) -> list[doc.Block]:
    """Return what was left out and what counts, and average precision."""
    columns = [
        doc.Column("Scores", kind="text"),
        doc.Column("Given"),
        doc.Column("Below thresholds", short="Below"),
        doc.Column("Neither right nor wrong", short="Ignored"),
        doc.Column("Count"),
        doc.Column("Of classes without a box", short="No box"),
        doc.Column("In cells %", short="Cells %"),
        doc.Column("Mean score", short="Score"),
        doc.Column("Mean overlap", short="Overlap"),
        doc.Column("Right %"),
    ]
    rows, precision = [], []
    for name, model in models.items():
        below = n_detections - model.n_kept - model.n_ignored
        means = (model.mean_score, model.mean_iou)
        rows.append(
            (
                name,
                f"{n_detections:,}",
                f"{below:,}",
                f"{model.n_ignored:,}",
                f"{model.n_kept:,}",
                f"{model.n_skipped:,}",
                _percent(model.coverage),
                *("n/a" if math.isnan(mean) else f"{mean:.3f}" for mean in means),
                _percent(model.precision),
            )
        )
        precision.append((name, *map(_percent, (model.ap, model.ap50, model.ap75))))
    dropped = [
        f"{name}: {int(table.n_raw.sum() - table.n_kept.sum()):,} of {int(table.n_raw.sum()):,}"
        for name, table in per_class.items()
    ]
    lost = f"Dropped by the thresholds of calibrated scores alone: {', '.join(dropped)}."
    return [
        doc.Paragraph(
            "Of the detections given, those below the threshold of their class are dropped, those "
            "that match ignored boxes are neither right nor wrong, and the others count. In cells: "
            f"share in cells of score, centre and size that hold enough. {lost}",
            "soft",
        ),
        _table(columns, rows),
        doc.plain_table(
            ("Scores", "AP", "AP50", "AP75"),
            {"": precision},
            "Average precision of all detections, in %",
        ),
    ]


def _percent(share: float) -> str:
    return "n/a" if math.isnan(share) else f"{100 * share:.2f}"


def _listed_classes(table: ClassTable) -> tuple[list[int], str]:
    """Return the classes that are listed, those with the most boxes first, and what to say."""
    order = np.argsort(-table.n_truth, kind="stable").tolist()
    if len(order) <= MOST_CLASSES:
        return order, f"All {len(order)} classes, those with the most boxes first."
    return order[:MOST_CLASSES], (
        f"The {MOST_CLASSES} classes with the most boxes, of {len(order)}; all are in "
        "report.per_class_frame()."
    )


def score_gaps_fold(of: str, table: ClassTable, target: str) -> doc.Fold:
    """Return mean scores and outcomes class by class, before and after; `of` ends the title."""
    listed, said = _listed_classes(table)
    outcome, title = (
        (table.mean_iou, "Mean overlap") if target == "iou" else (table.precision, "Share right")
    )
    shared = sum(1 for reason in table.map_fallback if reason)
    rows = []
    for k in listed:
        gaps = (
            100 * (score[k] - outcome[k]) for score in (table.score_raw, table.score_calibrated)
        )
        rows.append(
            (
                table.name[k],
                f"{table.n_truth[k]:,}",
                f"{table.n_kept[k]:,}",
                *map(_share, (outcome[k], table.score_raw[k], table.score_calibrated[k])),
                *("-" if np.isnan(gap) else f"{gap:+.1f}" for gap in gaps),
                *map(_share, (table.lrp_raw[k], table.lrp_calibrated[k])),
                "pooled" if table.map_fallback[k] else "own",
            )
        )
    columns = [
        doc.Column("Class", kind="text"),
        doc.Column("Boxes"),
        doc.Column("Kept", essential=False, terminal="none"),
        doc.Column(title, short=title.removeprefix("Mean ").capitalize()),
        doc.Column("Score before", essential=False, short="Raw"),
        doc.Column("Score after", essential=False, short="After"),
        doc.Column("Gap before", "points", short="Gap raw"),
        doc.Column("Gap after", "points"),
        doc.Column("LRP before", essential=False, terminal="none"),
        doc.Column("LRP after", essential=False),
        doc.Column("Map", kind="text", essential=False),
    ]
    return doc.Fold(
        f"Classes{of}",
        [
            doc.Paragraph(
                f"{said} Means over the kept detections: a score that can be taken at its word has "
                f"the mean of the {title.removeprefix('Mean ').lower()}.",
                "soft",
            ),
            _table(columns, rows),
        ],
        f"{shared} of {len(table)} take the pooled map" if shared else f"{len(table)}",
    )


def thresholds_fold(of: str, table: ClassTable) -> doc.Fold:
    """Return which scores reach the operating point; `of` ends the title."""
    listed, said = _listed_classes(table)
    blocks: list[doc.Block] = [
        doc.Paragraph(thresholds(table).text),
        doc.Paragraph(
            "A detection is kept if its raw score reaches the first threshold of its class and its "
            "calibrated score the second; both come from the images of the fit.",
            "soft",
        ),
    ]
    pairs = np.column_stack([table.threshold_raw, table.threshold_calibrated])
    if len(np.unique(pairs, axis=0)) > 1:
        rows = [
            (
                table.name[k],
                *map(_threshold, (table.threshold_raw[k], table.threshold_calibrated[k])),
                f"{table.n_raw[k]:,}",
                f"{table.n_kept[k]:,}",
                "pooled" if table.threshold_fallback[k] else "own",
            )
            for k in listed
        ]
        columns = [
            doc.Column("Class", kind="text"),
            doc.Column("Raw score from"),
            doc.Column("Calibrated score from"),
            doc.Column("Reach the first"),
            doc.Column("Reach both"),
            doc.Column("Threshold", kind="text", essential=False),
        ]
        blocks += [doc.Paragraph(said, "soft"), _table(columns, rows)]
    pooled = int(table.threshold_fallback.sum())
    note = f"{pooled} of {len(table)} take the pooled one" if pooled else ""
    return doc.Fold(f"Thresholds{of}", blocks, note)


def _table(columns: Sequence[doc.Column], rows: Sequence[Sequence[str]]) -> doc.Table:
    return doc.Table(columns, [doc.Group([[doc.Cell(text) for text in row] for row in rows])])


def _threshold(value: float) -> str:
    return f"{value:.3f}" if value == 0 or value >= 0.01 else f"{value:.2g}"


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
