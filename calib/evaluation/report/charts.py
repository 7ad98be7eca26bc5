"""Drawings of a report: the reliability diagram, the cumulative curve and single classes."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._documents.charts import (
    LEFT,
    SIDE,
    TICKS,
    chart,
    dotted_curve,
    histogram,
    square,
    x_of,
    y_of,
)
from calib._documents.document import Circle, Drawing, Figure, Line, Mark, Polyline, Rect, Text
from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.display.cumulative import CumulativeCurve

#: Classes that are shown at most.
MOST_CLASSES = 12
#: Stretches of the curve of which only the ends, the top and the bottom are drawn.
STRETCHES = 250
_TOP, _TALL, _HEIGHT = 10.0, 140.0, 206.0


def reliability_diagram(
    name: str,
    description: str,
    table: BinnedCalibrationTable,
    view: Literal["binary", "top_label"],
    confidence_level: float,
) -> Figure:
    """Return the reliability diagram of a model with the band of a calibrated one."""
    binary = view == "binary"
    filled = np.flatnonzero(table.weight > 0)
    low, high = table.consistency_band(confidence_level)
    band = (
        Rect(
            x_of(table.left[b]),
            y_of(high[b]),
            SIDE * (table.right[b] - table.left[b]),
            max(1.0, SIDE * (high[b] - low[b])),
            "second",
            opacity=0.15,
        )
        for b in filled
    )
    prediction, rate = table.mean_prediction[filled], table.observed_rate[filled]
    marks = [
        *square(
            "Predicted probability" if binary else "Confidence",
            "Observed rate" if binary else "Accuracy",
        ),
        *band,
        *dotted_curve(prediction, rate, table.weight[filled], "first", (2.2, 3.3)),
        *histogram(table.left, table.right, table.weight),
    ]
    return Figure(name, chart(f"Reliability diagram of {name}", description, marks))


# ------------------------------------------------------------------------------------- cumulative


def cumulative_diagram(
    name: str,
    curve: CumulativeCurve,
    view: Literal["binary", "top_label"],
    confidence_level: float,
) -> Figure:
    """Return the cumulative diagram of a model with the band of a calibrated one."""
    half = curve.band(confidence_level)
    reach = 1.08 * max(half, float(np.abs(curve.difference).max()), 1e-6)
    shown = _thinned(curve.difference)
    points = zip(x_of(curve.share[shown]), _height(curve.difference[shown] / reach), strict=True)
    top, bottom = _height(half / reach), _height(-half / reach)
    score = "predicted probability" if view == "binary" else "confidence"
    marks: list[Mark] = [
        Rect(x_of(0), top, SIDE, bottom - top, "second", opacity=0.13),
        Line(x_of(0), _height(0), x_of(1), _height(0), "muted", dash="4 3"),
        Polyline(list(points), "first"),
    ]
    for value in (reach / 1.08, 0.0, -reach / 1.08):
        marks.append(Text(LEFT - 4, _height(value / reach) + 4, f"{value:.2g}", "end"))
    base = _TOP + _TALL
    for share in TICKS:
        place = max(1, int(np.searchsorted(curve.share, share)))
        at = curve.score[min(place, len(curve.score) - 1)]
        marks += [
            Text(x_of(share), base + 14, f"{share:g}"),
            Text(x_of(share), base + 27, f"{at:.2f}", ink="muted"),
        ]
    marks += [
        Rect(x_of(0), _TOP, SIDE, _TALL, stroke="grid"),
        Text(x_of(0.5), base + 44, f"Share of samples (grey: {score} there)"),
    ]
    low, high = float(curve.difference.min()), float(curve.difference.max())
    verb = "leaves" if max(high, -low) > half else "stays within"
    description = (
        f"Events minus predictions, added up from the lowest {score} to the highest, range from "
        f"{low:.4f} to {high:.4f}; the curve {verb} the band of plus or minus {half:.4f}."
    )
    return Figure(name, chart(f"Cumulative diagram of {name}", description, marks, _HEIGHT))


def _height(part: Any) -> Any:
    """Return where numbers in [-1, 1] lie from bottom to top."""
    return _TOP + _TALL * (0.5 - 0.5 * part)


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


def class_diagram(
    name: str, label: object, table: BinnedCalibrationTable, rows: slice, error: float
) -> Figure:
    """Return a small reliability diagram of a single class, whose bins are `rows` of the table."""
    filled = table.weight[rows] > 0
    p, rate = table.mean_prediction[rows][filled], table.observed_rate[rows][filled]
    worst = int(np.argmax(np.abs(p - rate)))
    points = list(zip(16 + 100 * p, 106 - 100 * rate, strict=True))
    marks: list[Mark] = [
        Rect(16, 6, 100, 100, stroke="grid"),
        Line(16, 106, 116, 6, "muted", dash="3 2"),
        Polyline(points, "first", 1.0),
        *(Circle(*point, 2.2, "first") for point in points),
    ]
    for tick in (0, 1):
        marks += [
            Text(16 + 100 * tick, 116, f"{tick}"),
            Text(13, 109 - 100 * tick, f"{tick}", "end"),
        ]
    drawing = Drawing(
        f"Class {label} of {name}",
        f"Class-wise error {error:.4f}; largest gap {abs(p[worst] - rate[worst]):.4f} at mean "
        f"probability {p[worst]:.3f}, observed rate {rate[worst]:.3f}.",
        124,
        120,
        marks,
        size=9,
    )
    return Figure(str(label), drawing, aside=f"{error:.4f}")
