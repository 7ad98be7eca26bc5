"""A report as HTML: tables, sentences and reliability diagrams drawn as inline SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from calib.evaluation.results import CalibrationReport, ModelReport

_STYLE = """
.calib-report { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 62em; margin: 0 auto; padding: 1em; box-sizing: border-box; }
.calib-report h1 { font-size: 1.4em; margin: 0 0 .2em; }
.calib-report p { margin: .4em 0; }
.calib-report .wide { overflow-x: auto; }
.calib-report table { border-collapse: collapse; width: 100%; margin: 1em 0; background: #fff;
  color: inherit; font-size: inherit; font-variant-numeric: tabular-nums; }
.calib-report th, .calib-report td { padding: .25em .7em .25em 0; text-align: right;
  vertical-align: top; font-weight: normal; background: #fff; color: inherit; }
.calib-report th:first-child { text-align: left; padding-left: 1em; overflow-wrap: break-word; }
.calib-report thead th { border-bottom: 2px solid #1b1f24; font-weight: 600; }
.calib-report th.measure { font-weight: 600; padding: .7em 0 .15em;
  border-bottom: 1px solid #d0d7de; }
.calib-report .range { color: #57606a; white-space: nowrap; }
.calib-report .interval { white-space: nowrap; }
.calib-report .value { font-weight: 600; white-space: nowrap; }
.calib-report .diagrams { display: flex; flex-wrap: wrap; gap: 1em; }
.calib-report figure { margin: 0; flex: 0 1 20em; min-width: 16em; }
.calib-report figcaption { font-weight: 600; text-align: center; overflow-wrap: anywhere; }
.calib-report svg { width: 100%; height: auto; display: block; }
.calib-report .notes { color: #57606a; font-size: .87em; border-top: 1px solid #d0d7de;
  margin-top: 1.2em; padding-top: .5em; }
@media (max-width: 34em) {
  .calib-report { font-size: 14px; padding: .6em; }
  .calib-report table { font-size: 12.5px; }
  .calib-report th, .calib-report td { padding-right: .4em; }
  .calib-report th:first-child { padding-left: 0; min-width: 6.5em; overflow-wrap: anywhere; }
  .calib-report .range { display: block; }
  .calib-report figure { flex-basis: 100%; }
}
"""


def page(report: CalibrationReport) -> str:
    """Return a complete document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Calibration report</title>\n</head>\n<body style='margin:0;background:#fff'>\n"
        f"{fragment(report)}\n</body>\n</html>\n"
    )


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
        f"<div class='calib-report'><style>{_STYLE}</style>"
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

_LEFT, _TOP, _SIDE, _STRIP = 44.0, 10.0, 250.0, 44.0


def _x(value: float) -> str:
    return f"{_LEFT + _SIDE * value:.1f}"


def _y(value: float) -> str:
    return f"{_TOP + _SIDE * (1 - value):.1f}"


def reliability_svg(report: CalibrationReport, name: str) -> str:
    """Return the reliability diagram of a model, described for screen readers."""
    result = report.models[name]
    axis = (
        ("Predicted probability", "Observed rate")
        if report.view == "binary"
        else ("Confidence", "Accuracy")
    )
    parts = [*_frame(axis), *_band(report, result), *_points(result), *_histogram(result)]
    height = _TOP + _SIDE + 22 + _STRIP + 36
    title, text = f"Reliability diagram of {name}", report.verdict(name)
    return (
        f"<svg viewBox='0 0 310 {height:g}' role='img' aria-label='{escape(title)}. "
        f"{escape(text)}' font-family='system-ui, sans-serif' font-size='11' fill='#1b1f24'>"
        f"<title>{escape(title)}</title><desc>{escape(text)}</desc>{''.join(parts)}</svg>"
    )


def _frame(axis: tuple[str, str]) -> list[str]:
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        grid = "stroke='#d8dee4' stroke-width='.8'"
        parts += [
            f"<line x1='{_x(tick)}' y1='{_y(0)}' x2='{_x(tick)}' y2='{_y(1)}' {grid}/>",
            f"<line x1='{_x(0)}' y1='{_y(tick)}' x2='{_x(1)}' y2='{_y(tick)}' {grid}/>",
            f"<text x='{_LEFT - 5:g}' y='{_y(tick - 0.015)}' text-anchor='end'>{tick:g}</text>",
            f"<text x='{_x(tick)}' y='{_TOP + _SIDE + 14:g}' text-anchor='middle'>{tick:g}</text>",
        ]
    middle, bottom = _TOP + _SIDE / 2, _TOP + _SIDE + 22 + _STRIP + 16
    return [
        *parts,
        f"<line x1='{_x(0)}' y1='{_y(0)}' x2='{_x(1)}' y2='{_y(1)}' stroke='#57606a' "
        f"stroke-dasharray='4 3'/>",
        f"<text x='{_x(0.5)}' y='{bottom:g}' text-anchor='middle'>{axis[0]}</text>",
        f"<text transform='translate(11 {middle:g}) rotate(-90)' text-anchor='middle'>{axis[1]}"
        f"</text>",
    ]


def _band(report: CalibrationReport, result: ModelReport) -> list[str]:
    table = result.table
    low, high = table.consistency_band(report.confidence_level)
    return [
        f"<rect x='{_x(table.left[b])}' y='{_y(high[b])}' "
        f"width='{_SIDE * (table.right[b] - table.left[b]):.1f}' "
        f"height='{max(1.0, _SIDE * (high[b] - low[b])):.1f}' fill='#0969da' opacity='.15'/>"
        for b in np.flatnonzero(table.weight > 0)
    ]


def _points(result: ModelReport) -> list[str]:
    table = result.table
    filled = np.flatnonzero(table.weight > 0)
    share = table.weight / table.weight.max()
    place = [(_x(table.mean_prediction[b]), _y(table.observed_rate[b])) for b in filled]
    line = " ".join(f"{x},{y}" for x, y in place)
    dots = [
        f"<circle cx='{x}' cy='{y}' r='{2.2 + 3.3 * np.sqrt(share[b]):.1f}' fill='#cf222e'/>"
        for (x, y), b in zip(place, filled, strict=True)
    ]
    return [f"<polyline points='{line}' fill='none' stroke='#cf222e' stroke-width='1.3'/>", *dots]


def _histogram(result: ModelReport) -> list[str]:
    table = result.table
    share = table.weight / table.weight.sum()
    base, scale = _TOP + _SIDE + 22 + _STRIP, _STRIP / share.max()
    bars = [
        f"<rect x='{_LEFT + _SIDE * table.left[b] + 0.5:.1f}' y='{base - scale * share[b]:.1f}' "
        f"width='{max(0.5, _SIDE * (table.right[b] - table.left[b]) - 1):.1f}' "
        f"height='{scale * share[b]:.1f}' fill='#8c959f'/>"
        for b in np.flatnonzero(table.weight > 0)
    ]
    return [
        *bars,
        f"<line x1='{_x(0)}' y1='{base:g}' x2='{_x(1)}' y2='{base:g}' stroke='#8c959f'/>",
        f"<text x='{_LEFT - 5:g}' y='{base - _STRIP + 10:g}' text-anchor='end'>"
        f"{100 * share.max():.0f}&#8201;%</text>",
    ]
