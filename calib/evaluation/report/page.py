"""A calibration report as a document: the table of the answer, the figure, and what is folded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from calib._documents import document as doc
from calib._documents.digits import Digits, printed
from calib.evaluation.report.answer import (
    Facts,
    p_text,
    poisson_interval,
)
from calib.evaluation.report.diagnosis import ACE, ECE
from calib.evaluation.report.records import ERRORS, MAIN, MeasureResult, ModelReport
from calib.evaluation.sampling.intervals import Interval

#: Titles of the columns of the answer's table, and what stands below them.
_HEADINGS = {
    "log_loss": ("Log loss", "lower is better"),
    "brier": ("Brier score", "lower is better"),
    "accuracy": ("Accuracy", "higher is better"),
    ECE: ("ECE", "bias removed"),
    ACE: ("ACE", "bias removed"),
}
_SHORT_HEADINGS = {"brier": "Brier", "accuracy": "acc"}
#: A reference that stretches a scale more than this serves the others as an arrow at its edge.
_STRETCH = 2.5


# ------------------------------------------------------------------------------ table of the answer


def comparison_table(
    facts: Facts, values: str = "debiased", *, intervals: bool = True
) -> doc.Table:
    """Return methods and their measures, ranked; `values` says which number of an error."""
    comparison = facts.comparison
    scales = {key: _scale(facts, key) for key in MAIN}
    columns = [doc.Column("Method", f"ranked by {facts.criterion}", kind="text")]
    for key in MAIN:
        title, aside = _HEADINGS[key]
        digits = facts.digits[key]
        if values == "usual" and key in ERRORS:
            aside = "as usually computed"
        columns.append(
            doc.Column(
                title,
                f"{aside}, {digits.scale}" if digits.scale else aside,
                terminal="all" if key == ECE else "none" if key == "brier" else "brief",
                scale=(digits.end(scales[key][0]), digits.end(scales[key][1])),
                essential=key in (comparison.criterion, ECE),
                short=_SHORT_HEADINGS.get(key, title)
                + (f" {digits.scale}" if digits.scale else " %" if digits.unit else ""),
            )
        )
    candidates = comparison.candidates
    behind = [name for name in comparison.order if name not in candidates]
    groups = [
        doc.Group([_model_row(facts, name, scales, values, intervals) for name in candidates])
    ]
    if behind:
        groups = [
            doc.Group(groups[0].rows, "May be the best"),
            doc.Group(
                [_model_row(facts, name, scales, values, intervals) for name in behind],
                f"Clearly behind in {facts.criterion}",
            ),
        ]
    hidden = [_HEADINGS[key][0] for key in MAIN if key not in (comparison.criterion, ECE)]
    narrow = f'{", ".join(hidden)}: under "All numbers".'
    return doc.Table(columns, groups, kind="comparison", narrow=narrow, words="miscalibrated")


def _model_row(
    facts: Facts,
    name: str,
    scales: Mapping[str, tuple[float, float]],
    values: str,
    intervals: bool,
) -> list[doc.Cell]:
    comparison, result = facts.comparison, facts.models[name]
    diagnosis = facts.diagnoses[name]
    is_reference = name == comparison.reference and len(facts.models) > 1
    cells = [
        doc.Cell(
            name,
            diagnosis.words(facts.view),
            mark="(before)" if is_reference else "",
            briefs=diagnosis.briefs(facts.view),
            ink="recommended" if name == comparison.recommended else "plain",
        )
    ]
    place = comparison.names.index(name)
    for key in MAIN:
        ranking = comparison.rankings.get(key)
        ink = "plain"
        if ranking is not None:
            ink = "level" if ranking.may_be_best[place] else "worse"
            best = facts.models[comparison.names[ranking.order[0]]].measures[key]
            ink = "best" if result.measures[key].debiased == best.debiased else ink
        cell = measure_cell(key, result.measures[key], facts.digits[key], scales[key], ink, values)
        own = intervals and not (values == "usual" and key in ERRORS)
        cells.append(cell if own else replace(cell, interval=""))
    return cells


def measure_cell(
    key: str,
    measure: MeasureResult,
    digits: Digits,
    scale: tuple[float, float],
    ink: str = "plain",
    values: str = "debiased",
) -> doc.Cell:
    """Return a number with its interval, what chance shows, and their picture."""
    number = measure.value if values == "usual" else measure.debiased
    low, high = chance(key, measure)
    starred = measure.surprises(key)
    glyph = doc.Glyph(
        dot=_placed(measure.debiased, scale),
        line=(_placed(measure.low, scale), _placed(measure.high, scale)),
        band=(_placed(low, scale), _placed(high, scale)) if measure.is_judged else None,
        beyond=starred,
    )
    known = not math.isnan(measure.debiased)
    return doc.Cell(
        digits.value(number) + (digits.unit if known else ""),
        mark="*" if starred else "",
        ink=ink,  # type: ignore[arg-type]
        interval=digits.range(measure.low, measure.high) if known else "",
        chance=digits.range(low, high) if measure.is_judged else "",
        glyphs=[glyph] if known else [],
    )


def chance(key: str, measure: MeasureResult) -> tuple[float, float]:
    """Return what chance shows of the number that a cell holds: of an error without its floor."""
    calibrated = measure.calibrated
    if key not in ERRORS:
        return calibrated.low, calibrated.high
    if math.isnan(measure.debiased):
        return 0.0, calibrated.high
    return 0.0, measure.debiased_limit


def _scale(facts: Facts, key: str) -> tuple[float, float]:
    """Return the ends of the scale of a column."""
    ends = {
        name: [
            result.measures[key].low,
            result.measures[key].high,
            *(chance(key, result.measures[key]) if result.measures[key].is_judged else ()),
        ]
        for name, result in facts.models.items()
    }
    ends = {name: [end for end in numbers if math.isfinite(end)] for name, numbers in ends.items()}
    others = [
        end for name, row in ends.items() if name != facts.comparison.reference for end in row
    ]
    everything = [end for row in ends.values() for end in row] or [0.0, 1.0]
    low, high = min(everything), max(everything)
    if others and high - low > _STRETCH * (max(others) - min(others)) > 0:
        low, high = min(others), max(others)
    return low, high if high - low > 1e-9 * abs(high) else low + 1.0  # more than rounding


def _placed(number: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return (number - low) / (high - low) if math.isfinite(number) else math.nan


def legend(facts: Facts) -> list[doc.Block]:
    """Return what the signs of the table mean, for a page and for a terminal."""
    level = f"{100 * facts.confidence_level:g} %"
    several = len(facts.models) > 1
    page = f"Dot and line: value and {level} interval. "
    if facts.is_judged:
        page += (
            "Grey: what chance shows if calibrated. * and diamond: outside, so more than chance. "
        )
    stars = (
        f"* outside chance if calibrated, all numbers together, {level}."
        if facts.is_judged
        else f"No stars: {facts.n_redraws} draws, at least {facts.least_redraws} are needed."
    )
    page += (
        "Bold: best; grey figures: clearly worse than the best of the column."
        if several
        else "Each row has its own scale."
    )
    return [
        doc.Paragraph(page, "soft", "page"),
        doc.Paragraph(
            f"{facts.n_samples:,} samples. {stars} ECE, ACE: bias removed, 0 is chance only. "
            "report.details(): all numbers.",
            "soft",
            "terminal",
        ),
    ]


def measures_table(facts: Facts) -> doc.Table:
    """Return the measures of one model in rows, each on its own scale."""
    (result,) = facts.models.values()
    level = f"{100 * facts.confidence_level:g} % interval"
    columns = [
        doc.Column("Measure", kind="text"),
        doc.Column("Value"),
        doc.Column(level, essential=False),
        doc.Column("If calibrated", "chance", essential=False, short="chance if calibrated"),
        doc.Column("In words", kind="text", terminal="none", essential=False),
    ]
    rows = [*_event_row(facts, result)]
    for key in MAIN:
        title, aside = _HEADINGS[key]
        digits, measure = facts.digits[key], result.measures[key]
        cell = measure_cell(key, measure, digits, _scale(facts, key))
        name = f"{title}, {digits.scale}" if digits.scale else title
        unit = digits.unit
        rows.append(
            [
                doc.Cell(name, aside),
                doc.Cell(cell.text, mark=cell.mark, glyphs=cell.glyphs),
                doc.Cell(f"{cell.interval}{unit}" if cell.interval else "unknown"),
                doc.Cell(f"{cell.chance}{unit}" if cell.chance else "unknown"),
                doc.Cell(_in_words(key, measure)),
            ]
        )
    return doc.Table(columns, [doc.Group(rows)])


def _event_row(facts: Facts, result: ModelReport) -> list[list[doc.Cell]]:
    """Return the rate of rare events, counted per 100,000."""
    rate = result.mean_event
    if facts.view != "binary" or not 0 < rate < 0.01 or facts.weighted:
        return []
    per = 1e5 / facts.n_samples
    low, high = poisson_interval(round(rate * facts.n_samples), facts.confidence_level)
    events, expected = f"{1e5 * rate:.3g}", f"{1e5 * result.mean_prediction:.3g}"
    return [
        [
            doc.Cell("Events, per 100,000", f"predicted {expected}"),
            doc.Cell(events),
            doc.Cell(f"{per * low:.3g} to {per * high:.3g}"),
            doc.Cell(f"predicted {expected}"),
            doc.Cell(
                f"{round(rate * facts.n_samples):,} happened, "
                f"{printed(result.mean_prediction * facts.n_samples, 0)} were predicted"
            ),
        ]
    ]


def _in_words(key: str, measure: MeasureResult) -> str:
    starred = measure.surprises(key)
    if not measure.is_judged:
        return "not judged: too few draws"
    if key in ERRORS:
        return "more than chance shows" if starred else "no gap above chance"
    if not starred:
        return "as the model itself promises"
    above = measure.value > measure.calibrated.high
    return "higher than the model promises" if above else "lower than the model promises"


# ------------------------------------------------------------------------------------------- folds


def definitions(facts: Facts) -> doc.Definitions:
    """Return what the words and the signs of a report mean."""
    level = f"{100 * facts.confidence_level:g} %"
    words = (
        "Probabilities that are too high or too low: the event happens less or more often than "
        "predicted."
        if facts.view == "binary"
        else "Right less often, or more often, than the confidence claims."
    )
    several = len(facts.models) > 1
    ranked = f" The table is ranked by the {facts.criterion}." if several else ""
    pairs = [
        *_event(facts),
        ("Calibrated", "Of all cases that are given 80 %, 80 % come true."),
        ("Too high, too low" if facts.view == "binary" else "Over-, underconfident", words),
        (
            "Log loss, Brier score",
            "Proper scores: they reward probabilities that are both right and honest, and no model "
            f"gains by claiming what it does not believe.{ranked}",
        ),
        (
            "ECE, ACE",
            "Mean gap between claim and outcome, over ranges of the prediction (ECE) and over the "
            "ranges of every class (ACE). Chance alone keeps both above 0, so what chance adds is "
            "removed: 0 means no more than chance. The usual values are under All numbers.",
        ),
        (
            "Grey band",
            "What this model would show on as many samples if its probabilities were exactly "
            f"right: all numbers of this report together stay inside in {level} of samples.",
        ),
        (
            "Dot, line, star",
            f"The value and its {level} interval. A diamond and a star (*) mark a value outside "
            "the band: more than chance explains.",
        ),
    ]
    if several:
        pairs += [
            (
                "Arrow, open arrow",
                "The value or the grey band lies beyond the scale, which is drawn for the methods "
                "that compete.",
            ),
            (
                "Bold, black, grey",
                "Best of the column; not distinguishable from it; clearly worse.",
            ),
            (
                "May be the best",
                f"The group that holds the truly best method with {level} confidence, however many "
                "were tried.",
            ),
        ]
    return doc.Definitions(pairs)


def _event(facts: Facts) -> list[tuple[str, str]]:
    """Return whose probability is meant where there are two classes."""
    if facts.view != "binary":
        return []
    label = next(iter(facts.models.values())).table.class_label[0]
    return [("Event", f"The label is {label}; probabilities, ECE and rates are of that class.")]


def all_numbers(
    models: Mapping[str, Mapping[str, MeasureResult]],
    titles: Mapping[str, str],
    digits: Mapping[str, Digits],
    confidence_level: float,
) -> doc.Table:
    """Return every number of every model, whose measures are given by name."""
    level = f"{100 * confidence_level:g} %"
    columns = [
        doc.Column("Method", kind="text"),
        doc.Column("As usually computed", short="Usual value"),
        doc.Column("If calibrated", "mean and range"),
        doc.Column("Bias removed", weight="strong"),
        doc.Column(f"{level} interval"),
        doc.Column("p", "all numbers together"),
    ]
    groups = [
        doc.Group(
            [
                _number_row(name, key, measures[key], digits[key])
                for name, measures in models.items()
                if key in measures
            ],
            f"{title}, {digits[key].scale}" if digits[key].scale else title,
        )
        for key, title in titles.items()
    ]
    return doc.Table(columns, groups)


def _number_row(name: str, key: str, measure: MeasureResult, digits: Digits) -> list[doc.Cell]:
    calibrated, unit = measure.calibrated, digits.unit
    known = not math.isnan(measure.debiased)
    interval = f"{digits.range(measure.low, measure.high)}{unit}" if known else "unknown"
    debiased = f"{digits.value(measure.debiased)}{unit}" if key in ERRORS and known else "-"
    return [
        doc.Cell(name),
        doc.Cell(
            f"{digits.value(measure.value)}{unit}", mark="*" if measure.surprises(key) else ""
        ),
        doc.Cell(
            f"{digits.value(calibrated.mean)}{unit}",
            f"({digits.range(calibrated.low, calibrated.high)})" if measure.is_judged else "",
        ),
        doc.Cell(debiased),
        doc.Cell(interval),
        doc.Cell(p_text(measure.p_value)),
    ]


def behind_table(facts: Facts) -> list[doc.Block]:
    """Return how far every method is behind the best."""
    comparison = facts.comparison
    key = comparison.criterion
    digits, ranking = facts.digits[key], comparison.rankings[key]
    best = facts.models[comparison.order[0]].measures[key].value
    rows = []
    for name in comparison.order:
        place = comparison.names.index(name)
        rows.append(
            [
                doc.Cell(name),
                doc.Cell(digits.value(facts.models[name].measures[key].value - best)),
                doc.Cell(digits.value(comparison.behind_at_least(name))),
                doc.Cell(p_text(float(ranking.p_value[place]))),
            ]
        )
    scale = f", {digits.scale}" if digits.scale else ""
    return [
        doc.Paragraph(
            f"{facts.criterion.capitalize()} of every method minus the lowest, on the same draws. "
            '"At least" is the lower end of its bound, for all comparisons of a row together; '
            "above 0 the method cannot be the best.",
            "soft",
        ),
        doc.Table(
            [
                doc.Column("Method", kind="text"),
                doc.Column("Behind by", scale.strip(", ")),
                doc.Column("At least", scale.strip(", ")),
                doc.Column("p", "may be the best"),
            ],
            [doc.Group(rows)],
        ),
    ]


def differences_table(
    differences: Mapping[str, Mapping[str, Interval]],
    titles: Mapping[str, str],
    digits: Mapping[str, Digits],
    confidence_level: float,
) -> doc.Table:
    """Return what every model changes against the reference."""
    groups = []
    for key, title in titles.items():
        form = digits[key]
        rows = [
            [
                doc.Cell(name),
                doc.Cell(f"{form.change(apart[key].value)}{form.unit}"),
                doc.Cell(
                    f"{form.change(apart[key].low)} to {form.change(apart[key].high)}{form.unit}"
                ),
            ]
            for name, apart in differences.items()
        ]
        groups.append(doc.Group(rows, f"{title}, {form.scale}" if form.scale else title))
    columns = [
        doc.Column("Method", kind="text"),
        doc.Column("Difference", weight="strong"),
        doc.Column(f"{100 * confidence_level:g} % interval"),
    ]
    return doc.Table(columns, groups)


def remarks(facts: Facts) -> list[doc.Block]:
    """Return a few sentences about every method."""
    out: list[doc.Block] = []
    for name in facts.comparison.order:
        out.append(doc.Remark(name, remark(facts, name)))
    return out


def remark(facts: Facts, name: str) -> str:
    """Say in a few sentences what the numbers of a model do and do not show."""
    result = facts.models[name]
    measures = result.measures
    error, loss = measures[ECE], measures["log_loss"]
    claim, outcome = (
        ("predicts", "happened in") if facts.view == "binary" else ("claims", "right in")
    )
    diagnosis = facts.diagnoses[name]
    words = diagnosis.words(facts.view)
    sentences = [
        f"{words[0].upper()}{words[1:]}; {claim} {facts.share(result.mean_prediction)} on average, "
        f"{outcome} {facts.share(result.mean_event)}.",
        f"ECE {facts.number(ECE, error.debiased)} ({facts.end(ECE, error.low)} to "
        f"{facts.end(ECE, error.high)}) without the part of chance, "
        f"{facts.number(ECE, error.value)} as usually computed; log loss "
        f"{facts.number('log_loss', loss.value)} where its own probabilities promise "
        f"{facts.number('log_loss', loss.floor)}.",
    ]
    if diagnosis.starred:
        sentences.append(f"More than chance: {diagnosis.measures(facts.view)}.")
    if result.n_impossible:
        sentences.append(
            f"Samples whose label had probability 0: {result.n_impossible:,}; the log loss is in "
            "truth infinite, the number shown depends on how 0 is cut."
        )
    return " ".join(sentences)


def notes_fold(notes: Sequence[str]) -> doc.Fold:
    """Return how the numbers were computed."""
    return doc.Fold("How this was computed", [doc.Notes(notes)])
