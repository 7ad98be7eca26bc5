"""A report as HTML: tables, sentences and reliability diagrams drawn as inline SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from calib.evaluation._page import SIDE, STYLE, document, histogram, picture, square, x_of, y_of

if TYPE_CHECKING:
    from calib.evaluation.results import CalibrationReport, ModelReport


def page(report: CalibrationReport) -> str:
    """Return a complete document."""
    return document("Calibration report", fragment(report))


def fragment(report: CalibrationReport) -> str:
    """Return the report as an element that can stand in a notebook."""
    verdicts = "".join(
        f"<p><strong>{escape(name)}.</strong> {escape(report.verdict(name))}</p>"
        for name in report.models
    )
    diagrams = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{reliability_svg(report, name)}</figure>"
        for name in report.models
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    return (
        f"<div class='calib-report'><style>{STYLE}</style>"
        f"<h1>Calibration report</h1><p>{escape(report.heading)}</p>"
        f"{verdicts}<div class='wide'>{_table(report)}</div>"
        f"<div class='diagrams'>{diagrams}</div><div class='notes'>"
        f"<p>Diagrams: a dot per bin at mean prediction and observed rate, larger for more "
        f"samples; the shaded range is where the rate of a calibrated model would lie in "
        f"{100 * report.confidence_level:g} % of samples, each bin by itself; below, the share of "
        f"samples per bin.</p>{notes}</div></div>"
    )


def _table(report: CalibrationReport) -> str:
    level = f"{100 * report.confidence_level:g} %"
    rows = [
        f"<table><thead><tr><th scope='col'>Model</th><th scope='col'>Value</th>"
        f"<th scope='col'>{level} interval</th><th scope='col'>If calibrated "
        f"<span class='range'>({level} range)</span></th></tr></thead>"
    ]
    for key, title in report.titles.items():
        rows.append(
            f"<tbody><tr><th class='measure' colspan='4' scope='rowgroup'>{escape(title)}</th></tr>"
        )
        for name, result in report.models.items():
            m = result.measures[key]
            mark = "&nbsp;*" if m.surprises(key) else "<span style='opacity:0'>&nbsp;*</span>"
            low, high = m.calibrated.low, m.calibrated.high
            rows.append(
                f"<tr><th scope='row'>{escape(name)}</th><td class='value'>{m.value:.4f}{mark}</td>"
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
