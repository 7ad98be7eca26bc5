"""What report pages share: style, the document around them, and the frame of a unit-square chart.

Everything is inside one file; nothing is loaded and no script runs.
"""

from __future__ import annotations

from html import escape

import numpy as np

from calib._border.typing import Float64Array

STYLE = """
.calib-report { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 62em; margin: 0 auto; padding: 1em; box-sizing: border-box; }
.calib-report h1 { font-size: 1.4em; margin: 0 0 .2em; }
.calib-report p { margin: .4em 0; }
.calib-report .wide { overflow-x: auto; }
.calib-report table { border-collapse: collapse; width: 100%; margin: 1em 0; background: #fff;
  color: inherit; font-size: inherit; font-variant-numeric: tabular-nums; }
.calib-report th, .calib-report td { padding: .25em .7em .25em 0; text-align: right;
  vertical-align: top; font-weight: normal; background: #fff; color: inherit; }
.calib-report th:first-child { text-align: left; padding-left: 1em; overflow-wrap: break-word; }
.calib-report thead th { border-bottom: 2px solid #1b1f24; font-weight: 600; }
.calib-report th.measure { font-weight: 600; padding: .7em 0 .15em;
  border-bottom: 1px solid #d0d7de; }
.calib-report .range { color: #57606a; white-space: nowrap; }
.calib-report .interval { white-space: nowrap; }
.calib-report .value { font-weight: 600; white-space: nowrap; }
.calib-report .diagrams { display: flex; flex-wrap: wrap; gap: 1em; }
.calib-report figure { margin: 0; flex: 0 1 18.5em; min-width: 16em; }
.calib-report figcaption { font-weight: 600; text-align: center; overflow-wrap: anywhere; }
.calib-report svg { width: 100%; height: auto; display: block; }
.calib-report .notes { color: #57606a; font-size: .87em; border-top: 1px solid #d0d7de;
  margin-top: 1.2em; padding-top: .5em; }
@media (max-width: 34em) {
  .calib-report { font-size: 14px; padding: .6em; }
  .calib-report table { font-size: 12.5px; }
  .calib-report th, .calib-report td { padding-right: .4em; }
  .calib-report th:first-child { padding-left: 0; min-width: 6.5em; overflow-wrap: anywhere; }
  .calib-report .range { display: block; }
  .calib-report figure { flex-basis: 100%; }
}
@media print {
  .calib-report { max-width: none; padding: 0; font-size: 10pt; }
  .calib-report * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .calib-report .wide { overflow: visible; }
  .calib-report figure, .calib-report tr, .calib-report tbody { break-inside: avoid; }
  .calib-report h1, .calib-report h2 { break-after: avoid; }
}
"""


def document(title: str, body: str) -> str:
    """Return a complete page around the element of a report."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n</head>\n<body style='margin:0;background:#fff'>\n"
        f"{body}\n</body>\n</html>\n"
    )


# -------------------------------------------------------------------------------- unit-square chart

#: Left and upper margin, side of the square, and height of the histogram below, in user units.
LEFT, TOP, SIDE, STRIP = 44.0, 10.0, 250.0, 44.0
#: Width of the picture, and its height with the histogram.
WIDTH, HEIGHT = 310.0, TOP + SIDE + 22 + STRIP + 36


def x_of(value: float) -> str:
    """Return where a number in [0, 1] lies from left to right."""
    return f"{LEFT + SIDE * value:.1f}"


def y_of(value: float) -> str:
    """Return where a number in [0, 1] lies from bottom to top."""
    return f"{TOP + SIDE * (1 - value):.1f}"


def picture(title: str, text: str, parts: list[str], height: float = HEIGHT) -> str:
    """Return an inline SVG that screen readers can announce."""
    return (
        f"<svg viewBox='0 0 {WIDTH:g} {height:g}' role='img' aria-label='{escape(title)}. "
        f"{escape(text)}' font-family='system-ui, sans-serif' font-size='11' fill='#1b1f24'>"
        f"<title>{escape(title)}</title><desc>{escape(text)}</desc>{''.join(parts)}</svg>"
    )


def square(axis: tuple[str, str]) -> list[str]:
    """Return grid, ticks, diagonal and axis titles of a reliability diagram."""
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        grid = "stroke='#d8dee4' stroke-width='.8'"
        parts += [
            f"<line x1='{x_of(tick)}' y1='{y_of(0)}' x2='{x_of(tick)}' y2='{y_of(1)}' {grid}/>",
            f"<line x1='{x_of(0)}' y1='{y_of(tick)}' x2='{x_of(1)}' y2='{y_of(tick)}' {grid}/>",
            f"<text x='{LEFT - 5:g}' y='{y_of(tick - 0.015)}' text-anchor='end'>{tick:g}</text>",
            f"<text x='{x_of(tick)}' y='{TOP + SIDE + 14:g}' text-anchor='middle'>{tick:g}</text>",
        ]
    middle, bottom = TOP + SIDE / 2, TOP + SIDE + 22 + STRIP + 16
    return [
        *parts,
        f"<line x1='{x_of(0)}' y1='{y_of(0)}' x2='{x_of(1)}' y2='{y_of(1)}' stroke='#57606a' "
        f"stroke-dasharray='4 3'/>",
        f"<text x='{x_of(0.5)}' y='{bottom:g}' text-anchor='middle'>{axis[0]}</text>",
        f"<text transform='translate(11 {middle:g}) rotate(-90)' text-anchor='middle'>{axis[1]}"
        f"</text>",
    ]


def histogram(left: Float64Array, right: Float64Array, weight: Float64Array) -> list[str]:
    """Return bars below the square: the share of every bin."""
    share = weight / weight.sum()
    base, scale = TOP + SIDE + 22 + STRIP, STRIP / share.max()
    bars = [
        f"<rect x='{LEFT + SIDE * left[b] + 0.5:.1f}' y='{base - scale * share[b]:.1f}' "
        f"width='{max(0.5, SIDE * (right[b] - left[b]) - 1):.1f}' "
        f"height='{scale * share[b]:.1f}' fill='#8c959f'/>"
        for b in np.flatnonzero(weight > 0)
    ]
    return [
        *bars,
        f"<line x1='{x_of(0)}' y1='{base:g}' x2='{x_of(1)}' y2='{base:g}' stroke='#8c959f'/>",
        f"<text x='{LEFT - 5:g}' y='{base - STRIP + 10:g}' text-anchor='end'>"
        f"{100 * share.max():.0f}&#8201;%</text>",
    ]
