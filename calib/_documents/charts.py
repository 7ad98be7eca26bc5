"""The line chart of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._documents.document import Circle, Drawing, Line, Mark, Polygon, Polyline, Text
from calib._documents.panels import signed

#: Left and upper margin and side of the square, and width of a drawing, in user units.
LEFT, TOP, SIDE, WIDTH = 44.0, 10.0, 250.0, 310.0


def x_of(value: Any) -> Any:
    """Return where numbers in [0, 1] lie from left to right."""
    return LEFT + SIDE * value


def y_of(value: Any) -> Any:
    """Return where numbers in [0, 1] lie from bottom to top."""
    return TOP + SIDE * (1 - value)


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
                Text(LEFT - 5, y + 4, signed(f"{tick:.3g}"), "end"),
            ]
        corner = self.x_ticks, np.full_like(self.x_ticks, self.y_ticks[0])
        for tick, (x, _) in zip(self.x_ticks, self.points(*corner), strict=True):
            marks += [
                Line(x, y_of(0), x, y_of(1), "grid", 0.8),
                Text(x, TOP + SIDE + 14, signed(f"{tick:.3g}")),
            ]
        *_, (places, _) = self.lines.values()
        low, high = (self.points(places, end) for end in self.band)
        marks.append(Polygon([*low, *reversed(high)], "band", stroke="edge"))
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
                ends = (signed(f"{heights[k]:.3f} at {at[k]:g}") for k in known[[0, -1]])
                sentences.append(f"{name}: {' to '.join(ends)}.")
        marks += [
            Text(x_of(0.5), TOP + SIDE + 32, horizontal),
            Text(11, TOP + SIDE / 2, vertical, turned=True),
        ]
        height = top + 15 * len(self.lines)
        return Drawing(title, " ".join(sentences), WIDTH, height, marks)


def _ticks(values: Float64Array) -> Float64Array:
    """Return numbers at even distances that enclose the finite values."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    step = next((step for step in STEPS if high - low <= 6 * step), 1.0)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.arange(first, max(last, first + 1) + 0.5) * step
