"""Drawings that several results share: the unit square with its parts, and the line chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._documents.document import Circle, Drawing, Line, Mark, Polygon, Polyline, Rect, Text

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


# ------------------------------------------------------------------------------------- line chart

#: Colours and dashes of lines, in turn; lines differ by both.
INKS = ("first", "second", "third", "fourth", "fifth", "sixth")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
#: Distances of ticks that read well.
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)


class LineChart:
    """Lines over a square whose axes fit the data, named below; the last one is heavy.

    Parameters
    ----------
    lines : dict of str to tuple of (x, y)
        Places of the points; those whose height is NaN are left out.
    band : tuple of (low, high)
        About the last line.
    """

    def __init__(
        self,
        lines: Mapping[str, tuple[Float64Array, Float64Array]],
        band: tuple[Float64Array, Float64Array],
    ) -> None:
        self.lines, self.band = lines, band
        self.x_ticks = _ticks(np.concatenate([x[np.isfinite(y)] for x, y in lines.values()]))
        self.y_ticks = _ticks(np.concatenate([*(y for _, y in lines.values()), *band]))

    def points(self, x: Float64Array, y: Float64Array) -> list[tuple[float, float]]:
        """Return where numbers lie on the sheet."""
        known = np.isfinite(y)
        left, bottom = (
            (values[known] - ticks[0]) / (ticks[-1] - ticks[0])
            for values, ticks in ((x, self.x_ticks), (y, self.y_ticks))
        )
        return list(zip(x_of(left), y_of(bottom), strict=True))

    def drawing(self, title: str, horizontal: str, vertical: str) -> Drawing:
        """Return the chart; its description gives the ends of every line."""
        marks: list[Mark] = []
        corner = np.full_like(self.y_ticks, self.x_ticks[0]), self.y_ticks
        for tick, (_, y) in zip(self.y_ticks, self.points(*corner), strict=True):
            marks += [
                Line(x_of(0), y, x_of(1), y, "grid", 0.8),
                Text(LEFT - 5, y + 4, f"{tick:.3g}", "end"),
            ]
        corner = self.x_ticks, np.full_like(self.x_ticks, self.y_ticks[0])
        for tick, (x, _) in zip(self.x_ticks, self.points(*corner), strict=True):
            marks += [
                Line(x, y_of(0), x, y_of(1), "grid", 0.8),
                Text(x, TOP + SIDE + 14, f"{tick:.3g}"),
            ]
        *_, (places, _) = self.lines.values()
        low, high = (self.points(places, end) for end in self.band)
        marks.append(Polygon([*low, *reversed(high)], "band", 0.25))
        sentences, top = [], TOP + SIDE + 52
        for place, (name, (at, heights)) in enumerate(self.lines.items()):
            last = place == len(self.lines) - 1
            ink, dash = INKS[place % len(INKS)], "" if last else DASHES[place % len(DASHES)]
            width, points = (2.4 if last else 1.3), self.points(at, heights)
            marks += [
                Polyline(points, ink, width, dash),
                *(Circle(*point, 2.0, ink) for point in points),
                Line(LEFT, top + 15 * place, LEFT + 28, top + 15 * place, ink, width, dash),
                Text(LEFT + 34, top + 15 * place + 4, name, "start"),
            ]
            known = np.flatnonzero(np.isfinite(heights))
            if known.size:
                ends = (f"{heights[k]:.3f} at {at[k]:g}" for k in known[[0, -1]])
                sentences.append(f"{name}: {' to '.join(ends)}.")
        marks += [
            Text(x_of(0.5), TOP + SIDE + 32, horizontal),
            Text(11, TOP + SIDE / 2, vertical, turned=True),
        ]
        return chart(title, " ".join(sentences), marks, top + 15 * len(self.lines))


def _ticks(values: Float64Array) -> Float64Array:
    """Return numbers at even distances that enclose the finite values."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    step = next((step for step in STEPS if high - low <= 6 * step), 1.0)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.arange(first, max(last, first + 1) + 0.5) * step
