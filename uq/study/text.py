"""A study as text: findings, one table per cut, and how to read them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from uq.study.methods import MAX_PROBABILITY

if TYPE_CHECKING:
    from uq.study.metrics import StudyRow
    from uq.study.results import StudyResult


def study_text(study: StudyResult) -> str:
    """Return the whole study for a terminal."""
    lines = [f"Study of calibrators: {study.heading}", ""]
    lines += [_wrap(f"- {text}") for text in study.findings()]
    for title, rows in rows_at(study):
        width = max(len(label_of(row)) for row in rows) + 2
        lines += ["", title, _header(width), *(_line(row, width) for row in rows)]
    lines += ["", *(_wrap(note) for note in study.notes)]
    return "\n".join(lines)


def label_of(row: StudyRow) -> str:
    """Return the method, and what it is cut by where that is not its own probability."""
    if row.certainty == MAX_PROBABILITY:
        return row.method
    return f"{row.method} | {row.certainty.rpartition('_')[2]}"


def rows_at(study: StudyResult) -> list[tuple[str, list[StudyRow]]]:
    """Return title and rows of every table."""
    every = study.rows()
    tables = [
        ("All rows", [r for r in every if r.cut == "none" and r.certainty == MAX_PROBABILITY])
    ]
    for cut in study.thresholds:
        rows = [row for row in every if row.cut == "threshold" and row.at == cut]
        tables.append((f"Rows with certainty of at least {cut:g}", rows))
    return tables


def _header(width: int) -> str:
    return (
        f"  {'model':<20}{'method':<{width}}{'kept':>5}{'AUROC':>7}{'sd':>6}{'interval':>14}"
        f"{'AUPRC':>7}{'-prev.':>7}{'ACE':>7}{'floor':>7}{'Brier':>7}"
    )


def _line(row: StudyRow, width: int) -> str:
    """Return a row of the text tables."""
    metrics = row.metrics
    auroc = metrics["auroc"]
    span = f"{auroc.low:.2f} to {auroc.high:.2f}" if not np.isnan(auroc.low) else "-"
    deviation = f"{auroc.deviation:.2f}" if not np.isnan(auroc.deviation) else "-"
    return (
        f"  {row.model[:19]:<20}{label_of(row):<{width}}{row.n_kept:>5.4g}{_cell(auroc.value, 7)}"
        f"{deviation:>6}{span:>14}{_cell(metrics['auprc'].value, 7)}"
        f"{_cell(metrics['auprc_gain'].value, 7)}{_cell(metrics['ace'].value, 7)}"
        f"{_cell(row.ace_calibrated, 7)}{_cell(metrics['brier'].value, 7)}"
    )


def _cell(value: float, width: int) -> str:
    return f"{'-':>{width}}" if np.isnan(value) else f"{value:>{width}.3f}"


def _wrap(text: str) -> str:
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False)
