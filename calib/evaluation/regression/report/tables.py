"""Tables of a report on predicted distributions, and what their words mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from calib._documents import document as doc
from calib._documents.digits import Digits, digits_of, printed
from calib.evaluation.regression.report.records import COMPARED, HEADINGS, DistributionReport, p_of
from calib.evaluation.report import page
from calib.evaluation.report.answer import p_text
from calib.evaluation.report.records import ERRORS, MeasureResult
from calib.evaluation.sampling.intervals import Interval


def measures_in_rows(
    model: DistributionReport, digits: Mapping[str, Digits], confidence_level: float
) -> doc.Table:
    """Return the measures of one model in rows, each on its own scale."""
    level = f"{100 * confidence_level:g} % interval"
    columns = [
        doc.Column("Measure", kind="text"),
        doc.Column("Value"),
        doc.Column(level, essential=False),
        doc.Column("If calibrated", "chance", essential=False, short="chance if calibrated"),
        doc.Column("In words", kind="text", terminal="none", essential=False),
    ]
    rows = []
    for key, measure in model.measures.items():
        if key == "pit_distance":
            continue
        form = digits[key]
        cell = page.measure_cell(key, measure, form, _scale(key, [measure]))
        title, aside = HEADINGS[key]
        unit = form.unit
        rows.append(
            [
                doc.Cell(f"{title}, {form.scale}" if form.scale else title, aside),
                doc.Cell(cell.text, mark=cell.mark, glyphs=cell.glyphs),
                doc.Cell(f"{cell.interval}{unit}" if cell.interval else "-"),
                doc.Cell(f"{cell.chance}{unit}" if cell.chance else "-"),
                doc.Cell(_in_words(key, measure)),
            ]
        )
    rows += [_pit_row(model), *_sharpness_rows(model)]
    return doc.Table(columns, [doc.Group(rows)])


def _pit_row(model: DistributionReport) -> list[doc.Cell]:
    measure = model.measures["pit_distance"]
    title, aside = HEADINGS["pit_distance"]
    mark = "*" if "pit_distance" in model.starred else ""
    return [
        doc.Cell(title, aside),
        doc.Cell(printed(measure.value, 3), mark=mark),
        doc.Cell(f"p {p_of(model.p_value)}"),
        doc.Cell(f"0 to {printed(measure.floor_high, 3)}" if measure.is_judged else "-"),
        doc.Cell(_in_words("pit_distance", measure)),
    ]


def _sharpness_rows(model: DistributionReport) -> list[list[doc.Cell]]:
    rows = []
    for title, aside, value in (
        ("Mean std", "sharpness", model.mean_std),
        ("Mean width", "90 % intervals", model.mean_width),
    ):
        form = digits_of([(value.high - value.low) / 2], largest=abs(value.value))
        words = "to be read at equal calibration"
        if title == "Mean width" and model.n_infinite:
            words = f"{model.n_infinite:,} intervals without an end"
        known = math.isfinite(value.low)
        rows.append(
            [
                doc.Cell(f"{title}, {form.scale}" if form.scale else title, aside),
                doc.Cell(form.value(value.value)),
                doc.Cell(form.range(value.low, value.high) if known else "-"),
                doc.Cell("-"),
                doc.Cell(words),
            ]
        )
    return rows


def models_in_rows(
    models: Mapping[str, DistributionReport],
    order: Sequence[str],
    may_be_best: Sequence[str],
    recommended: str,
    digits: Mapping[str, Digits],
) -> doc.Table:
    """Return models and their measures, ranked by CRPS."""
    reference = next(iter(models))
    keys = [key for key in COMPARED if key in digits]
    scales = {
        key: _scale(key, [m.measures[key] for m in models.values() if key in m.measures])
        for key in keys
    }
    columns = [doc.Column("Model", "ranked by CRPS", kind="text")]
    for key in keys:
        title, aside = HEADINGS[key]
        own = digits[key]
        columns.append(
            doc.Column(
                title,
                f"{aside}, {own.scale}" if own.scale else aside,
                terminal="all" if key in ("crps", "coverage_90") else "brief",
                scale=(own.end(scales[key][0]), own.end(scales[key][1])),
                essential=key in ("crps", "coverage_90"),
                short={"coverage_90": "in 90 %"}.get(key, title),
            )
        )
    columns.append(doc.Column("Width", "of 90 %", terminal="brief", essential=False))
    widths = [model.mean_width for model in models.values()]
    form = digits_of(
        ((w.high - w.low) / 2 for w in widths),
        largest=max(abs(w.value) for w in widths),
    )
    rows = []
    for name in order:
        model = models[name]
        cells = [
            doc.Cell(
                name,
                model.words,
                mark="(first)" if name == reference else "",
                ink="recommended" if name == recommended else "plain",
            )
        ]
        for key in keys:
            if key not in model.measures:
                cells.append(doc.Cell("-"))
                continue
            ink = "plain"
            if key == "crps":
                ink = "level" if name in may_be_best else "worse"
                ink = "best" if name == order[0] else ink
            cells.append(page.measure_cell(key, model.measures[key], digits[key], scales[key], ink))
        width = form.value(model.mean_width.value)
        cells.append(doc.Cell(f"{width} {form.scale}" if form.scale else width))
        rows.append(cells)
    hidden = [HEADINGS[key][0] for key in keys if key not in ("crps", "coverage_90")]
    narrow = f'{", ".join([*hidden, "Width"])}: under "All numbers".'
    groups = [doc.Group(rows)]
    return doc.Table(columns, groups, kind="comparison", narrow=narrow, words="state")


def sharpness_table(models: Mapping[str, DistributionReport]) -> doc.Table:
    """Return sharpness and the test of the transforms of every model."""
    rows = [
        [
            name,
            f"{model.mean_std.value:.4g}",
            f"{model.mean_width.value:.4g}",
            f"{model.pit.variance_ratio:.3f}",
            f"{model.pit.statistic:.4f}",
            p_text(model.p_value),
        ]
        for name, model in models.items()
    ]
    return doc.plain_table(
        ["Model", "Mean std", "Width of 90 %", "PIT variance (1)", "PIT distance", "p of PIT"],
        {"": rows},
        "Sharpness and integral transforms",
    )


def crps_table(apart: Mapping[str, Interval], reference: str, confidence_level: float) -> doc.Table:
    """Return the CRPS of models minus that of the reference."""
    key = f"CRPS minus that of {reference}"
    form = digits_of(
        ((one.high - one.low) / 2 for one in apart.values()),
        largest=max(abs(one.value) for one in apart.values()),
    )
    return page.differences_table(
        {name: {key: one} for name, one in apart.items()},
        {key: key},
        {key: form},
        confidence_level,
    )


def regression_definitions(confidence_level: float) -> doc.Definitions:
    """Return what the words and the signs of the report mean."""
    level = f"{100 * confidence_level:g} %"
    return doc.Definitions(
        [
            (
                "Calibrated",
                "Of all labels, 90 % lie inside their intervals of 90 %, and so at every level.",
            ),
            (
                "Too sharp, too wide",
                "Intervals hold fewer labels, or more, than they claim beyond chance.",
            ),
            (
                "Biased low, high",
                "Labels lie above, or below, what was predicted: the mean of the PIT is above "
                "or below one half.",
            ),
            (
                "CRPS, log score",
                "Proper scores of the whole distribution: in units of y, and in nats. The "
                "first is the absolute error of a point forecast; the second weighs surprises "
                "hard.",
            ),
            (
                "PIT",
                "Level at which a label stands in its distribution (probability integral "
                "transform): uniform if calibrated.",
            ),
            (
                "QCE",
                "Mean gap between the levels .05 to .95 and the share of labels below these "
                "quantiles.",
            ),
            (
                "ENCE, UCE",
                "Gap between the error and the standard deviation that was predicted, over ten "
                "ranges of the latter: relative (ENCE), and in squared units of y (UCE).",
            ),
            (
                "Grey band",
                "What this model would show on as many labels if its distributions were right: "
                f"all numbers of this report together stay inside in {level} of samples.",
            ),
            (
                "Dot, line, star",
                f"The value and its {level} interval. A diamond and a star (*) mark a value "
                "outside the band: more than chance explains.",
            ),
        ]
    )


def _in_words(key: str, measure: MeasureResult) -> str:
    if not measure.is_judged:
        return "not judged"
    starred = measure.surprises(key)
    if key in ERRORS:
        return "more than chance shows" if starred else "no gap above chance"
    if not starred:
        return "as promised"
    above = measure.value > measure.calibrated.high
    return f"{'higher' if above else 'lower'} than promised"


def _scale(key: str, results: list[MeasureResult]) -> tuple[float, float]:
    ends = [
        end
        for measure in results
        for end in (measure.low, measure.high, *page.chance(key, measure))
        if math.isfinite(end)
    ]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    return low, high if high - low > 1e-9 * abs(high) else low + 1.0
