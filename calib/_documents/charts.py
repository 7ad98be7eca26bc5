"""Marks that several drawings share: a unit square with ticks, a dotted curve, a histogram."""

from __future__ import annotations

from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._documents.document import Circle, Drawing, Line, Mark, Polyline, Rect, Text

#: Left and upper margin, side of the square, and height of the histogram below, in user units.
LEFT, TOP, SIDE, STRIP = 44.0, 10.0, 250.0, 44.0
#: Width of a drawing, and its height with the histogram.
WIDTH, HEIGHT = 310.0, TOP + SIDE + 22 + STRIP + 36
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def x_of(value: Any) -> Any:
    """Return where numbers in [0, 1] lie from left to right."""
    return LEFT + SIDE * value


def y_of(value: Any) -> Any:
    """Return where numbers in [0, 1] lie from bottom to top."""
    return TOP + SIDE * (1 - value)


def chart(title: str, description: str, marks: list[Mark], height: float = HEIGHT) -> Drawing:
    """Return a drawing of the common width."""
    return Drawing(title, description, WIDTH, height, marks)


def square(horizontal: str, vertical: str) -> list[Mark]:
    """Return grid, ticks, diagonal and axis titles of a reliability diagram."""
    marks: list[Mark] = []
    for tick in TICKS:
        x, y = x_of(tick), y_of(tick)
        marks += [
            Line(x, y_of(0), x, y_of(1), "grid", 0.8),
            Line(x_of(0), y, x_of(1), y, "grid", 0.8),
            Text(LEFT - 5, y_of(tick - 0.015), f"{tick:g}", "end"),
            Text(x, TOP + SIDE + 14, f"{tick:g}"),
        ]
    return [
        *marks,
        Line(x_of(0), y_of(0), x_of(1), y_of(1), "muted", dash="4 3"),
        Text(x_of(0.5), TOP + SIDE + 22 + STRIP + 16, horizontal),
        Text(11, TOP + SIDE / 2, vertical, turned=True),
    ]


def dotted_curve(
    x: Float64Array, y: Float64Array, weight: Float64Array, ink: str, radii: tuple[float, float]
) -> list[Mark]:
    """Return a line through points of the square with a dot at each, larger for more weight."""
    points = list(zip(x_of(x), y_of(y), strict=True))
    least, more = radii
    sizes = least + more * np.sqrt(weight / weight.max()) if len(weight) else weight
    dots = (Circle(*point, size, ink) for point, size in zip(points, sizes, strict=True))
    return [Polyline(points, ink), *dots]


def histogram(left: Float64Array, right: Float64Array, weight: Float64Array) -> list[Mark]:
    """Return bars below the square: the share of every bin."""
    share = weight / weight.sum()
    base, heights = TOP + SIDE + 22 + STRIP, STRIP * share / share.max()
    bars = [
        Rect(
            x_of(left[b]) + 0.5,
            base - heights[b],
            max(0.5, SIDE * (right[b] - left[b]) - 1),
            heights[b],
            "bar",
        )
        for b in np.flatnonzero(weight > 0)
    ]
    return [
        *bars,
        Line(x_of(0), base, x_of(1), base, "bar"),
        Text(LEFT - 5, base - STRIP + 10, f"{100 * share.max():.0f}\N{THIN SPACE}%", "end"),
    ]
