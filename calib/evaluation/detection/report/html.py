"""A detection report as HTML: sentences, tables, diagrams and maps in one self-contained page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from calib._documents.page import STYLE, document
from calib.evaluation.detection.report.svg import (
    MIN_SAMPLES,
    colour_range,
    position_svg,
    reliability_svg,
)
from calib.evaluation.detection.report.text import COMPONENTS, COUNTS, COUNTS_TITLE, cells, counts

if TYPE_CHECKING:
    from calib.evaluation.detection.report.records import ClassTable
    from calib.evaluation.detection.report.results import DetectionReport

_STYLE = """
.calib-report h2 { font-size: 1.12em; margin: 1.4em 0 .3em; }
.calib-report .soft { color: #57606a; }
.calib-report .part { white-space: nowrap; }
.calib-report .spread { display: inline-block; min-width: 10.5em; }
.calib-report figure { flex: 0 1 18.5em; }
.calib-report details { margin: .8em 0; }
.calib-report summary { font-weight: 600; cursor: pointer; }
.calib-report .classes td, .calib-report .classes th { padding: .15em .5em .15em 0; }
.calib-report .classes tbody tr:nth-child(even) > * { background: #f6f8fa; }
.calib-report .classes td.why { text-align: left; }
@media (max-width: 46em) {
  .calib-report .part, .calib-report .spread { display: block; min-width: 0; }
  .calib-report .arrow { display: none; }
}
@media (max-width: 34em) {
  .calib-report table { font-size: 11.5px; }
  .calib-report th, .calib-report td, .calib-report .classes td, .calib-report .classes th {
    padding-right: .35em; }
  .calib-report th:first-child { min-width: 5.4em; }
  .calib-report .classes th:first-child { min-width: 4em; }
  .calib-report .classes { font-size: 10.5px; }
  .calib-report figure { flex-basis: 100%; }
}
"""
_ARROW = "<span class='arrow soft'> &rarr; </span>"


def page(report: DetectionReport) -> str:
    """Return a complete document."""
    return document("Detection report", fragment(report))


def fragment(report: DetectionReport) -> str:
    """Return the report as an element that can stand in a notebook."""
    verdicts = "".join(
        f"<p><strong>{escape(name)}.</strong> {_tied(report.verdict(name))}</p>"
        for name in report.models
    )
    opened = " open=''" if len(report.per_class) == 1 else ""
    classes = "".join(
        f"<details{opened}><summary>{escape(name)}: "
        f"{len(table)} classes</summary><div class='wide'>{_classes(table)}</div></details>"
        for name, table in report.per_class.items()
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    level = f"{100 * report.confidence_level:g}&nbsp;%"
    return (
        f"<div class='calib-report'><style>{STYLE}{_STYLE}</style>"
        f"<h1>Detection report</h1><p>{_tied(report.heading)}</p>{verdicts}"
        f"<div class='wide'>{_measures(report)}</div><h2>{COUNTS_TITLE}</h2>"
        f"<div class='wide'>{_counts(report)}</div><h2>Score against outcome</h2>"
        f"<p class='soft'>A dot per bin of the score, all classes pooled, at mean score and mean "
        f"outcome, larger for more detections: overlap (0 for false positives), and share of true "
        f"positives. Bars: {level} bootstrap intervals over images, each bin by itself. Below, the "
        f"share of detections per bin.</p>{_reliability(report)}"
        f"{_positions(report)}<h2>Classes</h2>"
        f"<p class='soft'>Raw&nbsp;&rarr;&nbsp;calibrated. Score, IoU (0 for false positives) and "
        f"precision are means over the kept detections: a calibrated score should equal the IoU or "
        f"the precision, whichever it was fitted to.</p>{classes}"
        f"<div class='notes'>{notes}</div></div>"
    )


def _tied(text: str) -> str:
    """Escape a text, and keep numbers with their units."""
    return escape(text).replace(" %", "&nbsp;%")


# ------------------------------------------------------------------------------------------ tables


def _measures(report: DetectionReport) -> str:
    level = f"{100 * report.confidence_level:g} %"
    calibrated = f"If calibrated <span class='range'>({level} range)</span>"
    heads = ("Scores", "Value", "Debiased", f"{level} interval", calibrated, "Change from raw")
    rows = ["<table><thead><tr>"]
    rows += [f"<th scope='col'>{head}</th>" for head in heads]
    rows.append("</tr></thead>")
    for key, title in report.titles.items():
        rows.append(
            f"<tbody><tr><th class='measure' colspan='6' scope='rowgroup'>{escape(title)}</th></tr>"
        )
        for name, model in report.models.items():
            if key not in model.measures:
                continue
            measure = model.measures[key]
            one = cells(measure, key)
            beyond = _mark("*", measure.is_beyond_floor)
            changed = _mark("!", measure.is_changed)
            change = one["change"] and f"<span class='value'>{one['change']}{changed}</span>"
            spread = one["range"] and f" <span class='soft spread'>{_parts(one['range'])}</span>"
            if not one["range"]:
                change = f"<span class='soft'>{one['change']}</span>"
            rows.append(
                f"<tr><th scope='row'>{escape(name)}</th>"
                f"<td class='value'>{one['value']}{beyond}</td><td>{one['debiased']}</td>"
                f"<td class='interval'>{_parts(one['interval'])}</td>"
                f"<td>{_floor(one['floor'])}</td><td>{change}{spread}</td></tr>"
            )
        rows.append("</tbody>")
    return "".join(rows) + "</table>"


def _mark(sign: str, shown: bool) -> str:
    """Return a sign, or the same space without it, so that numbers stand below each other."""
    style = "" if shown else " style='visibility:hidden'"
    return f"<span{style}>&#8201;{sign}</span>"


def _floor(text: str) -> str:
    """Return a floor with its range in a fainter colour."""
    mean, found, range_ = text.partition(" (")
    return f"{mean} <span class='range part'>({range_}</span>" if found else text


def _parts(text: str) -> str:
    """Let a pair of numbers break between them on narrow screens only."""
    first, found, second = text.partition(" to ")
    if not found:
        return text
    return f"<span class='part'>{first}</span> <span class='part'>to {second}</span>"


def _counts(report: DetectionReport) -> str:
    heads = [head for head in COUNTS if head not in COMPONENTS.values()]  # those stand above
    head = "".join(f"<th scope='col'>{title}</th>" for title in ("Scores", *heads))
    rows = [f"<table><thead><tr>{head}</tr></thead><tbody>"]
    for name, row in counts(report).items():
        body = "".join(f"<td>{row[head]}</td>" for head in heads)
        rows.append(f"<tr><th scope='row'>{escape(name)}</th>{body}</tr>")
    return "".join(rows) + "</tbody></table>"


def _classes(table: ClassTable) -> str:
    heads = ("Class", "Boxes", "Kept", "Cutoff", "Score", "IoU", "Prec.", "LRP")
    shared = any(table.map_fallback) or table.threshold_fallback.any()
    head = "".join(f"<th scope='col'>{title}</th>" for title in heads)
    head += "<th scope='col'>Pooled</th>" if shared else ""
    rows = [f"<table class='classes'><thead><tr>{head}</tr></thead><tbody>"]
    for k, name in enumerate(table.name):
        body = [
            f"{table.n_truth[k]:,}",
            _pair(f"{table.n_raw[k]:,}", f"{table.n_kept[k]:,}"),
            _two(table.threshold_raw[k], table.threshold_calibrated[k]),
            _two(table.score_raw[k], table.score_calibrated[k]),
            _one(table.mean_iou[k]),
            _one(table.precision[k]),
            _two(table.lrp_raw[k], table.lrp_calibrated[k]),
        ]
        row = "".join(f"<td>{cell}</td>" for cell in body)
        if shared:
            what = ["map"] if table.map_fallback[k] else []
            what += ["threshold"] if table.threshold_fallback[k] else []
            row += f"<td>{', '.join(what)}</td>"
        rows.append(f"<tr><th scope='row'>{escape(name)}</th>{row}</tr>")
    return "".join(rows) + "</tbody></table>"


def _one(value: float) -> str:
    return "&ndash;" if np.isnan(value) else f"{value:.2f}"


def _two(before: float, after: float) -> str:
    return _pair(_one(before), _one(after))


def _pair(before: str, after: str) -> str:
    """Return both, or one if they are the same."""
    if before == after:
        return before
    return f"<span class='part'>{before}</span>{_ARROW}<span class='part'>{after}</span>"


# ---------------------------------------------------------------------------------------- pictures


def _reliability(report: DetectionReport) -> str:
    figures = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{reliability_svg(model, name)}</figure>"
        for name, model in report.models.items()
    )
    return f"<div class='diagrams'>{figures}</div>"


def _positions(report: DetectionReport) -> str:
    shown = {
        name: model.position for name, model in report.models.items() if model.position is not None
    }
    if not shown:
        return ""
    limit = colour_range(list(shown.values()))
    figures = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{position_svg(one, name, limit)}</figure>"
        for name, one in shown.items()
    )
    return (
        f"<h2>Gap by position</h2><p class='soft'>Mean score minus mean outcome by box centre, in "
        f"points: red where scores promise too much, blue where too little, grey with fewer than "
        f"{MIN_SAMPLES} detections. Small numbers: detections. A gap below twice "
        f"40&#8201;/&#8201;&radic;n points may be chance.</p><div class='diagrams'>{figures}</div>"
    )
