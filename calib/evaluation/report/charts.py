"""Charts of a report beside the reliability diagram: the cumulative curve and single classes."""

from __future__ import annotations

import itertools
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._documents.page import LEFT, SIDE, picture, x_of
from calib.evaluation.binned.tables import BinnedCalibrationTable

if TYPE_CHECKING:
    from calib.evaluation.display.cumulative import CumulativeCurve
    from calib.evaluation.report.results import CalibrationReport

#: Classes that are shown at most.
MOST_CLASSES = 12
#: Stretches of the curve of which only the ends, the top and the bottom are drawn.
STRETCHES = 250
_TOP, _TALL, _HEIGHT = 10.0, 140.0, 206.0
_BLUE, _RED, _GREY = "#0969da", "#cf222e", "#57606a"


# ------------------------------------------------------------------------------------- cumulative


def cumulative_svg(report: CalibrationReport, name: str, curve: CumulativeCurve) -> str:
    """Return the cumulative diagram of a model, described for screen readers."""
    half = curve.band(report.confidence_level)
    reach = 1.08 * max(half, float(np.abs(curve.difference).max()), 1e-6)
    shown = _thinned(curve.difference)
    points = " ".join(
        f"{x_of(curve.share[i])},{_height(curve.difference[i] / reach)}" for i in shown
    )
    top, bottom = _height(half / reach), _height(-half / reach)
    score = "predicted probability" if report.view == "binary" else "confidence"
    parts = [
        f"<rect x='{x_of(0)}' y='{top}' width='{SIDE:g}' "
        f"height='{float(bottom) - float(top):.1f}' fill='{_BLUE}' opacity='.13'/>",
        f"<line x1='{x_of(0)}' y1='{_height(0)}' x2='{x_of(1)}' y2='{_height(0)}' "
        f"stroke='{_GREY}' stroke-dasharray='4 3'/>",
        f"<polyline points='{points}' fill='none' stroke='{_RED}' stroke-width='1.3'/>",
    ]
    for value in (reach / 1.08, 0.0, -reach / 1.08):
        parts.append(
            f"<text x='{LEFT - 4:g}' y='{float(_height(value / reach)) + 4:.1f}' "
            f"text-anchor='end'>{value:.2g}</text>"
        )
    base = _TOP + _TALL
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = max(1, int(np.searchsorted(curve.share, share)))
        at = curve.score[min(place, len(curve.score) - 1)]
        parts += [
            f"<text x='{x_of(share)}' y='{base + 14:g}' text-anchor='middle'>{share:g}</text>",
            f"<text x='{x_of(share)}' y='{base + 27:g}' text-anchor='middle' fill='{_GREY}'>"
            f"{at:.2f}</text>",
        ]
    parts += [
        f"<rect x='{x_of(0)}' y='{_TOP:g}' width='{SIDE:g}' height='{_TALL:g}' fill='none' "
        f"stroke='#d8dee4'/>",
        f"<text x='{x_of(0.5)}' y='{base + 44:g}' text-anchor='middle'>Share of samples; "
        f"<tspan fill='{_GREY}'>{score} there</tspan></text>",
    ]
    low, high = float(curve.difference.min()), float(curve.difference.max())
    verb = "leaves" if max(high, -low) > half else "stays within"
    text = (
        f"Events minus predictions, added up from the lowest {score} to the highest, range from "
        f"{low:.4f} to {high:.4f}; the curve {verb} the band of plus or minus {half:.4f}."
    )
    return picture(f"Cumulative diagram of {name}", text, parts, _HEIGHT)


def _height(part: float) -> str:
    return f"{_TOP + _TALL * (0.5 - 0.5 * part):.1f}"


def _thinned(values: Float64Array) -> IntArray:
    """Return the places that have to be drawn for the curve to look the same."""
    if len(values) <= 4 * STRETCHES:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), STRETCHES + 1).astype(np.intp)
    shown = {0, len(values) - 1}
    for start, stop in itertools.pairwise(edges):
        part = values[start:stop]
        shown |= {int(start), int(start + part.argmax()), int(start + part.argmin())}
    return np.array(sorted(shown), dtype=np.intp)


# ----------------------------------------------------------------------------------------- classes


def worst_classes(table: BinnedCalibrationTable, n_classes: int) -> tuple[IntArray, Float64Array]:
    """Return the classes to show and the error of every class.

    All of them in order if there are few, otherwise those with the largest errors, worst first. The
    error is the mean absolute gap over the samples.
    """
    weight = table.weight.reshape(n_classes, -1)
    gap = np.abs(np.nan_to_num(table.gap)).reshape(n_classes, -1)
    error = np.asarray((weight * gap).sum(axis=1) / weight.sum(axis=1))
    if n_classes <= MOST_CLASSES:
        return np.arange(n_classes), error
    return np.argsort(-error, kind="stable")[:MOST_CLASSES], error


def class_figures(report: CalibrationReport, name: str) -> str:
    """Return small reliability diagrams of single classes, nothing where there are two or none."""
    table, n_classes = report.models[name].class_table, len(report.classes)
    if table is None or n_classes < 3:
        return ""
    shown, error = worst_classes(table, n_classes)
    heading = (
        "all classes"
        if len(shown) == n_classes
        else f"the {len(shown)} classes of {n_classes} with the largest errors"
    )
    figures = "".join(
        f"<figure><figcaption>{escape(str(report.classes[k]))} "
        f"<span class='range'>{error[k]:.4f}</span></figcaption>"
        f"{_class_svg(report, name, table, int(k), float(error[k]))}</figure>"
        for k in shown
    )
    return (
        f"<h2>{escape(name)}: {heading}</h2><p class='range wrap'>A dot per equal-mass range at "
        f"mean probability and observed rate of the class; the number is the class-wise error.</p>"
        f"<div class='multiples'>{figures}</div>"
    )


def _class_svg(
    report: CalibrationReport, name: str, table: BinnedCalibrationTable, k: int, error: float
) -> str:
    rows = slice(k * report.n_bins, (k + 1) * report.n_bins)
    filled = table.weight[rows] > 0
    p, rate = table.mean_prediction[rows][filled], table.observed_rate[rows][filled]
    worst = int(np.argmax(np.abs(p - rate)))
    place = [(f"{16 + 100 * x:.1f}", f"{106 - 100 * y:.1f}") for x, y in zip(p, rate, strict=True)]
    line = " ".join(f"{x},{y}" for x, y in place)
    dots = "".join(f"<circle cx='{x}' cy='{y}' r='2.2' fill='{_RED}'/>" for x, y in place)
    ticks = "".join(
        f"<text x='{16 + 100 * tick:g}' y='116' text-anchor='middle'>{tick:g}</text>"
        f"<text x='13' y='{109 - 100 * tick:g}' text-anchor='end'>{tick:g}</text>"
        for tick in (0, 1)
    )
    title = escape(f"Class {report.classes[k]} of {name}")
    text = (
        f"Class-wise error {error:.4f}; largest gap {abs(p[worst] - rate[worst]):.4f} at mean "
        f"probability {p[worst]:.3f}, observed rate {rate[worst]:.3f}."
    )
    return (
        f"<svg viewBox='0 0 124 120' role='img' aria-label='{title}. {text}' font-size='9' "
        f"font-family='system-ui, sans-serif' fill='#1b1f24'><title>{title}</title>"
        f"<desc>{text}</desc><rect x='16' y='6' width='100' height='100' fill='none' "
        f"stroke='#d8dee4'/><line x1='16' y1='106' x2='116' y2='6' stroke='{_GREY}' "
        f"stroke-dasharray='3 2'/><polyline points='{line}' fill='none' stroke='{_RED}'/>"
        f"{dots}{ticks}</svg>"
    )
