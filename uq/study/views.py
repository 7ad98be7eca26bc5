"""A study as HTML: findings, tables and certainty curves in one file."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from calib._border.optional import is_installed, require
from uq.study.text import label_of, rows_at

if TYPE_CHECKING:
    from uq.study.metrics import StudyNumber, StudyRow
    from uq.study.results import StudyResult

_STYLE = """
.uq-study { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 66em; margin: 0 auto; padding: 1em; box-sizing: border-box; }
.uq-study h1 { font-size: 1.4em; margin: 0 0 .2em; }
.uq-study h2 { font-size: 1.1em; margin: 1.4em 0 .2em; }
.uq-study .wide { overflow-x: auto; }
.uq-study table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  color: inherit; background: #fff; font-size: 13.5px; }
.uq-study th, .uq-study td { padding: .2em .7em .2em 0; text-align: right; font-weight: normal;
  white-space: nowrap; background: #fff; color: inherit; }
.uq-study th { text-align: left; }
.uq-study thead th { border-bottom: 2px solid #1b1f24; font-weight: 600; }
.uq-study tr.first > * { border-top: 1px solid #d0d7de; padding-top: .4em; }
.uq-study .range { color: #57606a; }
.uq-study .curves { display: flex; flex-wrap: wrap; gap: 1em; }
.uq-study .curves svg { width: 24em; height: auto; max-width: 100%; }
.uq-study .notes { color: #57606a; font-size: .87em; border-top: 1px solid #d0d7de;
  margin-top: 1.2em; padding-top: .5em; }
"""
_COLUMNS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "auprc_gain": "AUPRC minus prevalence",
    "ace": "ACE",
    "brier": "Brier score",
}


def page(study: StudyResult) -> str:
    """Return a complete document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Study of calibrators</title>\n</head>\n<body style='margin:0;background:#fff'>\n"
        f"{fragment(study, curves=True)}\n</body>\n</html>\n"
    )


def fragment(study: StudyResult, *, curves: bool = False) -> str:
    """Return the study as an element that can stand in a notebook."""
    parts = [
        f"<div class='uq-study'><style>{_STYLE}</style><h1>Study of calibrators</h1>"
        f"<p>{escape(study.heading)}</p>"
    ]
    parts += [f"<p>{escape(text)}</p>" for text in study.findings()]
    for title, rows in rows_at(study):
        parts.append(f"<h2>{escape(title)}</h2><div class='wide'>{_table(rows)}</div>")
    if curves and is_installed("matplotlib"):
        parts.append("<h2>Curves</h2><div class='curves'>")
        parts += [_curve(study, model) for model in study.models]
        parts.append("</div>")
    parts.append("<div class='notes'>")
    parts += [f"<p>{escape(note)}</p>" for note in study.notes]
    return "".join(parts) + "</div></div>"


def _table(rows: list[StudyRow]) -> str:
    head = "".join(f"<th scope='col'>{title}</th>" for title in _COLUMNS.values())
    out = [
        f"<table><thead><tr><th scope='col'>Model</th><th scope='col'>Method</th>"
        f"<th scope='col'>Kept</th>{head}</tr></thead><tbody>"
    ]
    before = ""
    for row in rows:
        cells = "".join(
            f"<td>{_cell(row.metrics[name], row.ace_calibrated if name == 'ace' else None)}</td>"
            for name in _COLUMNS
        )
        first = " class='first'" if row.model != before else ""
        out.append(
            f"<tr{first}><th scope='row'>{escape(row.model)}</th><th>{escape(label_of(row))}</th>"
            f"<td>{row.n_kept:.4g} <span class='range'>({row.share:.0%})</span></td>{cells}</tr>"
        )
        before = row.model
    return "".join(out) + "</tbody></table>"


def _cell(number: StudyNumber, floor: float | None) -> str:
    if np.isnan(number.value):
        return "&ndash;"
    text = f"{number.value:.3f}"
    if not np.isnan(number.low):
        text += f" <span class='range'>({number.low:.2f}&ndash;{number.high:.2f})</span>"
    if floor is not None and not np.isnan(floor):
        text += f" <span class='range'>floor {floor:.3f}</span>"
    return text


def _curve(study: StudyResult, model: str) -> str:
    """Return the curves of one model as inline SVG."""
    figures = require("matplotlib.figure", extra="plot", purpose="StudyResult.to_html")
    figure = figures.Figure(figsize=(5.5, 4.2), layout="constrained")
    study.plot(model, ax=figure.subplots())
    stream = StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
