"""A calibration report as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from calib.evaluation.significance.results import P_VALUE_NOTE

if TYPE_CHECKING:
    from calib.evaluation.proper.corp import ScoreDecomposition
    from calib.evaluation.report.results import CalibrationReport

DIFFERENCE_NOTE = (
    "Difference: model minus first model, both on the same draws; 0 outside the interval is more "
    "than noise, each number by itself."
)
DECOMPOSITION_NOTE = (
    "Decomposition, of the event that the ECE compares: score = miscalibration - discrimination + "
    "uncertainty. Miscalibration is what the best increasing map, fitted to this sample, would "
    "gain."
)
GROUPED_NOTE = (
    "Values under calibration and tests redraw labels as dependent inside groups as the observed."
)


def render(report: CalibrationReport) -> str:
    """Return the report as lines."""
    level = f"{100 * report.confidence_level:g} %"
    names = max(20, *(len(name) + 4 for name in report.models))
    lines = [f"Calibration report: {report.heading}", ""]
    lines.append(
        f"{'':{names}}{'value':>9}   {'debiased':<9}{level + ' interval':<19} if calibrated (range)"
    )
    for key, title in report.titles.items():
        lines.append(title)
        for name, result in report.models.items():
            m = result.measures[key]
            mark = "*" if m.surprises(key) else " "
            lines.append(
                f"{'  ' + name:{names}}{m.value:>9.4f} {mark} "
                f"{m.debiased:<9.4f}{f'{m.low:.4f} to {m.high:.4f}':<19} "
                f"{m.calibrated.mean:.4f} ({m.calibrated.low:.4f} to {m.calibrated.high:.4f})"
            )
    if report.differences:
        lines += ["", *_differences(report, names, level)]
    lines += ["", "Findings", *(_wrap(f"- {finding}") for finding in report.findings), ""]
    lines += [_wrap(f"{name}: {report.verdict(name)}") for name in report.models]
    for name, tests in report.tests.items():
        lines += ["", f"{name}. {tests.rows()}", *(_wrap(note) for note in tests.notes)]
    if report.decompositions:
        lines += ["", "Decomposition", *_decompositions(report, names)]
    lines += ["", *(_wrap(note) for note in (*report.notes, *further_notes(report)))]
    return "\n".join(lines)


def further_notes(report: CalibrationReport) -> list[str]:
    """Return what the parts mean that not every report has."""
    notes = []
    if report.differences:
        notes.append(DIFFERENCE_NOTE)
    if report.tests:
        notes.append(P_VALUE_NOTE)
    if report.decompositions:
        notes.append(DECOMPOSITION_NOTE)
    if report.tests and report.n_groups is not None:
        notes.append(GROUPED_NOTE)
    return notes


def _differences(report: CalibrationReport, names: int, level: str) -> list[str]:
    first = next(iter(report.models))
    lines = [f"{f'Minus {first}':{names}}{'':>9}   {level} interval"]
    for key, title in report.titles.items():
        lines.append(title)
        for name, found in report.differences.items():
            d = found[key]
            lines.append(
                f"{'  ' + name:{names}}{d.value:>+9.4f}   {f'{d.low:+.4f} to {d.high:+.4f}'}"
            )
    return lines


def _decompositions(report: CalibrationReport, names: int) -> list[str]:
    return [
        f"{'  ' + name:{names}}{written(score, found)}"
        for name, both in report.decompositions.items()
        for score, found in both.items()
    ]


def written(score: str, found: ScoreDecomposition) -> str:
    """Return a decomposition as a sum."""
    title = {"brier": "Brier", "log_loss": "log loss"}[score]
    return (
        f"{title} {found.score:.4f} = {found.miscalibration:.4f} - {found.discrimination:.4f} + "
        f"{found.uncertainty:.4f}"
    )


def _wrap(text: str) -> str:
    return textwrap.fill(text, width=88, subsequent_indent="  ")
