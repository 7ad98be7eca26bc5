"""A report as HTML: tables, sentences and reliability diagrams drawn as inline SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from calib._documents.page import SIDE, STYLE, document, histogram, picture, square, x_of, y_of
from calib.evaluation.report.charts import class_figures, cumulative_svg
from calib.evaluation.report.text import further_notes, written

if TYPE_CHECKING:
    from calib.evaluation.report.results import CalibrationReport, ModelReport


_STYLE = """
.calib-report h2 { font-size: 1.12em; margin: 1.4em 0 .3em; }
.calib-report .findings { margin: .4em 0 .8em; padding-left: 1.2em; }
.calib-report .wrap { white-space: normal; }
.calib-report .multiples { display: grid; gap: .6em;
  grid-template-columns: repeat(auto-fill, minmax(8.5em, 1fr)); }
.calib-report .multiples figure { min-width: 0; }
.calib-report .multiples figcaption { font-size: .85em; }
.calib-report td.text { text-align: left; }
@media (max-width: 34em) {
  .calib-report .multiples { grid-template-columns: repeat(2, 1fr); }
}
@media print {
  .calib-report .multiples { grid-template-columns: repeat(4, 1fr); }
}
"""


def page(report: CalibrationReport) -> str:
    """Return a complete document."""
    return document("Calibration report", fragment(report))


def fragment(report: CalibrationReport) -> str:
    """Return the report as an element that can stand in a notebook."""
    findings = "".join(f"<li>{escape(finding)}</li>" for finding in report.findings)
    verdicts = "".join(
        f"<p><strong>{escape(name)}.</strong> {escape(report.verdict(name))}</p>"
        for name in report.models
    )
    diagrams = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{reliability_svg(report, name)}</figure>"
        for name in report.models
    )
    classes = "".join(class_figures(report, name) for name in report.models)
    notes = "".join(f"<p>{escape(note)}</p>" for note in (*report.notes, *further_notes(report)))
    return (
        f"<div class='calib-report'><style>{STYLE}{_STYLE}</style>"
        f"<h1>Calibration report</h1><p>{escape(report.heading)}</p>"
        f"<ul class='findings'>{findings}</ul>{verdicts}"
        f"<div class='wide'>{_table(report)}</div>"
        f"<h2>Reliability diagrams</h2><div class='diagrams'>{diagrams}</div>"
        f"{_cumulative(report)}{_differences(report)}{classes}{_tests(report)}<div class='notes'>"
        f"<p>Diagrams: a dot per bin at mean prediction and observed rate, larger for more "
        f"samples; the shaded range is where the rate of a calibrated model would lie in "
        f"{100 * report.confidence_level:g} % of samples, each bin by itself; below, the share of "
        f"samples per bin.</p>{notes}</div></div>"
    )


def _differences(report: CalibrationReport) -> str:
    if not report.differences:
        return ""
    first = escape(next(iter(report.models)))
    rows = [
        f"<h2>Differences to {first}</h2><div class='wide'><table class='differences'><thead><tr>"
        f"<th scope='col'>Model</th><th scope='col'>Minus {first}</th><th scope='col'>"
        f"{100 * report.confidence_level:g} % interval</th></tr></thead>"
    ]
    for key, title in report.titles.items():
        rows.append(
            f"<tbody><tr><th class='measure' colspan='3' scope='rowgroup'>{escape(title)}</th></tr>"
        )
        for name, found in report.differences.items():
            d = found[key]
            rows.append(
                f"<tr><th scope='row'>{escape(name)}</th><td class='value'>{d.value:+.4f}</td>"
                f"<td class='interval'>{d.low:+.4f} to {d.high:+.4f}</td></tr>"
            )
        rows.append("</tbody>")
    return "".join(rows) + "</table></div>"


def _cumulative(report: CalibrationReport) -> str:
    figures = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f"{cumulative_svg(report, name, result.curve)}</figure>"
        for name, result in report.models.items()
        if result.curve is not None
    )
    if not figures:
        return ""
    return (
        f"<h2>Cumulative diagrams</h2><p class='range wrap'>No bins: events minus predictions, "
        f"added up from the lowest prediction to the highest. Where the curve falls, predictions "
        f"are too large. A calibrated model stays inside the shaded band as a whole in "
        f"{100 * report.confidence_level:g} % of samples.</p><div class='diagrams'>{figures}</div>"
    )


def _tests(report: CalibrationReport) -> str:
    """Return tables of tests and decompositions, nothing where there are none."""
    parts = []
    for name, tests in report.tests.items():
        rows = "".join(
            f"<tr><th scope='row'>{escape(key)}</th><td>{test.statistic:.5g}</td>"
            f"<td class='value'>{test.p_value:.3g}</td><td class='text'>{escape(test.question)}"
            f"</td></tr>"
            for key, test in tests.tests.items()
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in tests.notes)
        parts.append(
            f"<h2>{escape(name)}: tests of calibration</h2><div class='wide'><table class='tests'>"
            f"<thead><tr><th scope='col'>Test</th><th scope='col'>Statistic</th><th scope='col'>"
            f"p-value</th><th scope='col'>Question</th></tr></thead><tbody>{rows}</tbody></table>"
            f"</div>{notes}"
        )
    for name, both in report.decompositions.items():
        parts += [
            f"<p><strong>{escape(name)}.</strong> {escape(written(score, found))}</p>"
            for score, found in both.items()
        ]
    return "".join(parts)


def _table(report: CalibrationReport) -> str:
    level = f"{100 * report.confidence_level:g} %"
    rows = [
        f"<table><thead><tr><th scope='col'>Model</th><th scope='col'>Value</th>"
        f"<th scope='col'>Debiased</th><th scope='col'>{level} interval</th>"
        f"<th scope='col'>If calibrated "
        f"<span class='range'>({level} range)</span></th></tr></thead>"
    ]
    for key, title in report.titles.items():
        rows.append(
            f"<tbody><tr><th class='measure' colspan='5' scope='rowgroup'>{escape(title)}</th></tr>"
        )
        for name, result in report.models.items():
            m = result.measures[key]
            mark = "&nbsp;*" if m.surprises(key) else "<span style='opacity:0'>&nbsp;*</span>"
            low, high = m.calibrated.low, m.calibrated.high
            rows.append(
                f"<tr><th scope='row'>{escape(name)}</th><td class='value'>{m.value:.4f}{mark}</td>"
                f"<td class='value'>{m.debiased:.4f}</td>"
                f"<td class='interval'>{m.interval.low:.4f}&ndash;{m.interval.high:.4f}</td><td>"
                f"{m.calibrated.mean:.4f} <span class='range'>({low:.4f}&ndash;{high:.4f})</span>"
                f"</td></tr>"
            )
        rows.append("</tbody>")
    return "".join(rows) + "</table>"


# ------------------------------------------------------------------------------------------ diagram


def reliability_svg(report: CalibrationReport, name: str) -> str:
    """Return the reliability diagram of a model, described for screen readers."""
    result = report.models[name]
    axis = (
        ("Predicted probability", "Observed rate")
        if report.view == "binary"
        else ("Confidence", "Accuracy")
    )
    table = result.table
    parts = [
        *square(axis),
        *_band(report, result),
        *_points(result),
        *histogram(table.left, table.right, table.weight),
    ]
    return picture(f"Reliability diagram of {name}", report.verdict(name), parts)


def _band(report: CalibrationReport, result: ModelReport) -> list[str]:
    table = result.table
    low, high = table.consistency_band(report.confidence_level)
    return [
        f"<rect x='{x_of(table.left[b])}' y='{y_of(high[b])}' "
        f"width='{SIDE * (table.right[b] - table.left[b]):.1f}' "
        f"height='{max(1.0, SIDE * (high[b] - low[b])):.1f}' fill='#0969da' opacity='.15'/>"
        for b in np.flatnonzero(table.weight > 0)
    ]


def _points(result: ModelReport) -> list[str]:
    table = result.table
    filled = np.flatnonzero(table.weight > 0)
    share = table.weight / table.weight.max()
    place = [(x_of(table.mean_prediction[b]), y_of(table.observed_rate[b])) for b in filled]
    line = " ".join(f"{x},{y}" for x, y in place)
    dots = [
        f"<circle cx='{x}' cy='{y}' r='{2.2 + 3.3 * np.sqrt(share[b]):.1f}' fill='#cf222e'/>"
        for (x, y), b in zip(place, filled, strict=True)
    ]
    return [f"<polyline points='{line}' fill='none' stroke='#cf222e' stroke-width='1.3'/>", *dots]
