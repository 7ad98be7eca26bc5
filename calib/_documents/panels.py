"""Panels of a figure: axes with a scale, a band, lines and points that differ by shape and dash."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._documents.document import (
    Circle,
    Drawing,
    Key,
    Line,
    Mark,
    Polygon,
    Polyline,
    Rect,
    Text,
)

#: Size of a panel, its margins, and the sheet of a sign in the key.
WIDTH, HEIGHT = 470.0, 350.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 22.0, 12.0, 52.0
#: Stretches of a long curve of which only the ends, the top and the bottom are drawn.
STRETCHES = 250
_PROBABILITY_TICKS = (
    1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999,
)  # fmt: skip
#: Ticks of an even scale: five rather than six, seven rather than four.
N_TICKS = 5.5
#: Least distance between the labels of ticks.
_APART = 27.0


@dataclass(frozen=True)
class Scale:
    """Numbers on an axis: even ones, or probabilities that are stretched towards 0 and 1."""

    low: float
    high: float
    stretched: bool = False

    def placed(self, values: Any) -> Any:
        """Return the share of the axis that lies below; numbers beyond an end lie on the edge."""
        ends = np.array([self.low, self.high])
        inside = np.clip(values, self.low, self.high)
        if self.stretched:
            ends, inside = (np.log(part / (1 - part)) for part in (ends, inside))
        return (inside - ends[0]) / (ends[1] - ends[0])

    def ticks(self, length: float) -> list[float]:
        """Return numbers that read well on an axis of that length."""
        if self.stretched:
            ticks: list[float] = []
            inner = [tick for tick in _PROBABILITY_TICKS if self.low <= tick <= self.high]
            for tick in sorted(inner, key=lambda tick: abs(np.log10(tick / (1 - tick))) > 1.5):
                place = float(self.placed(tick)) * length
                if all(abs(place - float(self.placed(at)) * length) >= _APART for at in ticks):
                    ticks.append(tick)
            return sorted(ticks)
        power = 10.0 ** np.floor(np.log10((self.high - self.low) / N_TICKS))
        choices = [self._even(float(part * power)) for part in (10, 5, 2.5, 2, 1)]
        return min(choices, key=lambda ticks: abs(len(ticks) - N_TICKS) + 0.1 * (len(ticks) < 5))

    def _even(self, step: float) -> list[float]:
        """Return the multiples of a step between the ends."""
        first = np.ceil(self.low / step - 1e-9)
        count = int(np.floor(self.high / step + 1e-9) - first) + 1
        return [float(number) for number in (first + np.arange(count)) * step]


def tick_text(value: float) -> str:
    """Return the number at a tick, without rounding noise."""
    text = f"{0.0 if abs(value) < 1e-12 else value:.10g}"
    return signed(text.replace("e-0", "e-"))


def signed(number: str) -> str:
    """Write the sign of a printed number as a minus, not as a hyphen."""
    return number.replace("-", "\N{MINUS SIGN}")


@dataclass
class Panel:
    """One panel; marks are added to it in the order in which they lie above each other."""

    x: Scale
    y: Scale
    horizontal: str
    vertical: str
    x_text: Any = tick_text
    y_text: Any = tick_text
    marks: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        right, base = WIDTH - RIGHT, HEIGHT - BOTTOM
        for tick in self.x.ticks(right - LEFT):
            x = self.across(tick)
            self.marks += [
                Line(x, TOP, x, base, "grid", 0.8),
                Text(x, base + 16, self.x_text(tick)),
            ]
        for tick in self.y.ticks(base - TOP):
            y = self.up(tick)
            self.marks += [
                Line(LEFT, y, right, y, "grid", 0.8),
                Text(LEFT - 6, y + 4, self.y_text(tick), "end"),
            ]
        self.marks += [
            Rect(LEFT, TOP, right - LEFT, base - TOP, stroke="line"),
            Text((LEFT + right) / 2, HEIGHT - 10, self.horizontal),
            Text(12, (TOP + base) / 2, self.vertical, turned=True),
        ]

    def across(self, values: Any) -> Any:
        """Return where numbers lie from left to right."""
        return LEFT + (WIDTH - RIGHT - LEFT) * self.x.placed(values)

    def up(self, values: Any) -> Any:
        """Return where numbers lie from bottom to top."""
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * self.y.placed(values)

    def band(self, x: Float64Array, low: Float64Array, high: Float64Array) -> None:
        """Add the area between two curves."""
        lower, upper = (zip(self.across(x), self.up(end), strict=True) for end in (low, high))
        self.marks.append(Polygon([*lower, *reversed(list(upper))], "band", stroke="edge"))

    def diagonal(self) -> None:
        """Add the line on which both axes agree."""
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        ends = (self.across(low), self.up(low), self.across(high), self.up(high))
        self.marks.append(Line(*ends, "muted", dash="2 3"))

    def level(self, value: float) -> None:
        """Add a dotted line at a height."""
        y = self.up(value)
        self.marks.append(Line(LEFT, y, WIDTH - RIGHT, y, "muted", dash="2 3"))

    def curve(self, x: Float64Array, y: Float64Array, ink: str, dash: str, width: float) -> None:
        """Add a line through points."""
        points = list(zip(self.across(x), self.up(y), strict=True))
        self.marks.append(Polyline(points, ink, width, dash))

    def stem(self, x: float, low: float, high: float, ink: str) -> None:
        """Add an upright interval."""
        at = float(self.across(x))
        self.marks.append(Line(at, self.up(low), at, self.up(high), ink, 1.2))

    def point(self, x: float, y: float, shape: Shape, alarm: bool) -> None:
        """Add a point of a shape, in the colour of alarm if it is outside."""
        self.marks += sign(float(self.across(x)), float(self.up(y)), shape, alarm)

    def note(self, upper: str = "", lower: str = "") -> None:
        """Add words at the upper edge, on the left, and at the lower one, on the right."""
        if upper:
            self.marks.append(Text(LEFT + 6, TOP + 16, upper, "start", "muted"))
        if lower:
            self.marks.append(Text(WIDTH - RIGHT - 6, HEIGHT - BOTTOM - 10, lower, "end", "muted"))

    def drawing(self, title: str, description: str) -> Drawing:
        """Return the panel with words for those who do not see it."""
        return Drawing(title, description, WIDTH, HEIGHT, self.marks, size=11.5)


#: Points of the state before are hollow squares, of the state after dots, of little data rings.
Shape = Literal["square", "dot", "ring"]


def sign(x: float, y: float, shape: Shape, alarm: bool = False) -> list[Mark]:
    """Return a point at a place of the sheet."""
    ink = "alarm" if alarm else "dot"
    if shape == "square":
        stroke = "alarm" if alarm else "muted"
        return [Rect(x - 3.5, y - 3.5, 7, 7, "bg", stroke, stroke_width=2.0 if alarm else 1.5)]
    if shape == "ring":
        return [Circle(x, y, 2.4, "bg", stroke="muted")]
    return [Circle(x, y, 4.2, ink)]


def key_of(before: str, after: str, chance: str, outside: str) -> list[Key]:
    """Return the key of a pair of panels; an empty name leaves its entry out."""
    entries: list[tuple[str, list[Mark]]] = [
        (before, [Line(0, 8, 28, 8, "muted", 1.5, "5 3"), *sign(14, 8, "square")]),
        (after, [Line(0, 8, 28, 8, "dot", 2.0), *sign(14, 8, "dot")]),
        (chance, [Rect(2, 2, 24, 12, "band", "edge")]),
        (outside, sign(14, 8, "dot", alarm=True)),
    ]
    return [Key(label, marks) for label, marks in entries if label]


def thinned(values: Float64Array) -> IntArray:
    """Return the places that have to be drawn for a long curve to look the same."""
    if len(values) <= 4 * STRETCHES:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), STRETCHES + 1).astype(np.intp)
    shown = {0, len(values) - 1}
    for start, stop in itertools.pairwise(edges):
        part = values[start:stop]
        shown |= {int(start), int(start + part.argmax()), int(start + part.argmin())}
    return np.array(sorted(shown), dtype=np.intp)


def runs(flags: Sequence[bool] | Any) -> list[tuple[int, int, bool]]:
    """Return stretches of equal flags as start, stop and flag."""
    values = np.asarray(flags, dtype=bool)
    cuts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [(a, b, bool(values[a])) for a, b in itertools.pairwise(cuts)]
