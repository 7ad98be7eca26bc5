"""Pictures of a detection report as inline SVG: reliability before and after, gap by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calib._documents.page import (
    LEFT,
    SIDE,
    TOP,
    histogram,
    picture,
    square,
    x_of,
    y_of,
)

if TYPE_CHECKING:
    from calib.evaluation.detection.report.records import (
        DetectionModelReport,
        PositionMap,
        ReliabilityBins,
    )

#: Colour and name of the outcomes that scores are compared with.
CURVES = {"iou": ("#cf222e", "overlap"), "tp": ("#0969da", "precision")}
#: Cells with fewer detections stay grey.
MIN_SAMPLES = 8
#: Gap at which the colours of a map are strongest, at least.
LEAST_RANGE = 0.1
_OVER, _UNDER = np.array([178, 24, 43]), np.array([33, 102, 172])


def reliability_svg(model: DetectionModelReport, name: str) -> str:
    """Return mean overlap and precision against mean score, described for screen readers."""
    parts = square(("Mean score", "Mean overlap, precision"))
    sentences = []
    order = ("tp", "iou") if model.target == "iou" else ("iou", "tp")  # the target on top
    for target in order:
        bins, (colour, what) = model.reliability[target], CURVES[target]
        filled = np.flatnonzero(bins.n_detections > 0)
        if not filled.size:
            continue
        parts += _curve(bins, colour)
        gap = bins.mean_score[filled] - bins.mean_target[filled]
        worst = filled[np.argmax(np.abs(gap))]
        sentences.append(
            f"{what.capitalize()}: largest gap at score {bins.mean_score[worst]:.2f}, where it is "
            f"{bins.mean_target[worst]:.2f}."
        )
    bins = model.reliability[model.target]
    if bins.n_detections.any():
        weight = bins.n_detections.astype(np.float64)
        parts += histogram(bins.left, bins.right, weight)
    else:
        sentences.append("No detections.")
    for row, (colour, what) in enumerate(CURVES.values()):
        y = TOP + 14 + 15 * row
        parts += [
            f"<circle cx='{LEFT + 12:g}' cy='{y - 4:g}' r='4' fill='{colour}'/>",
            f"<text x='{LEFT + 21:g}' y='{y:g}'>{what}</text>",
        ]
    return picture(f"Reliability diagram of {name}", " ".join(sentences), parts)


def _curve(bins: ReliabilityBins, colour: str) -> list[str]:
    filled = np.flatnonzero(bins.n_detections > 0)
    share = bins.n_detections / bins.n_detections.max()
    place = [(x_of(bins.mean_score[b]), y_of(bins.mean_target[b])) for b in filled]
    bars = [
        f"<line x1='{x}' y1='{y_of(bins.low[b])}' x2='{x}' y2='{y_of(bins.high[b])}' "
        f"stroke='{colour}' stroke-width='1.2' opacity='.55'/>"
        for (x, _), b in zip(place, filled, strict=True)
        if not np.isnan(bins.low[b])
    ]
    dots = [
        f"<circle cx='{x}' cy='{y}' r='{2.0 + 2.6 * np.sqrt(share[b]):.1f}' fill='{colour}'/>"
        for (x, y), b in zip(place, filled, strict=True)
    ]
    line = " ".join(f"{x},{y}" for x, y in place)
    path = f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='1.3'/>"
    return [*bars, path, *dots]


def colour_range(maps: list[PositionMap]) -> float:
    """Return the gap at which colours are strongest, the same for all maps of a page."""
    gaps = [np.abs(one.gap[one.n_detections >= MIN_SAMPLES]) for one in maps]
    return max([LEAST_RANGE, *(float(gap.max()) for gap in gaps if gap.size)])


def position_svg(found: PositionMap, name: str, limit: float) -> str:
    """Return the gap by position as coloured cells, described for screen readers."""
    n = len(found.gap)
    side = SIDE / n
    parts = []
    for row in range(n):
        for column in range(n):
            x, y = LEFT + side * column, TOP + side * row
            count, gap = int(found.n_detections[row, column]), found.gap[row, column]
            fill, text = "#eaeef2", ""
            ink = "#57606a"
            if count >= MIN_SAMPLES:
                fill, text = _colour(gap / limit), f"{100 * gap:+.0f}"
                ink = "#fff" if abs(gap) > 0.6 * limit else "#1b1f24"
            parts.append(
                f"<rect x='{x:.1f}' y='{y:.1f}' width='{side:.1f}' height='{side:.1f}' "
                f"fill='{fill}' stroke='#fff'/>"
            )
            middle = f"x='{x + side / 2:.1f}' text-anchor='middle' fill='{ink}'"
            if text:
                parts.append(f"<text {middle} y='{y + side / 2 + 1:.1f}'>{text}</text>")
            parts.append(
                f"<text {middle} y='{y + side / 2 + 14:.1f}' font-size='8'>n={count}</text>"
            )
    bottom = TOP + SIDE
    parts += [
        f"<text x='{LEFT + SIDE / 2:g}' y='{bottom + 16:g}' text-anchor='middle'>Box centre, left "
        f"to right</text>",
        f"<text transform='translate(34 {TOP + SIDE / 2:g}) rotate(-90)' text-anchor='middle'>Box "
        f"centre, top to bottom</text>",
    ]
    return picture(f"Gap by position of {name}", _words(found), parts, height=bottom + 26)


def _words(found: PositionMap) -> str:
    """Describe a map in a sentence."""
    enough = found.n_detections >= MIN_SAMPLES
    if not enough.any():
        return f"No cell has {MIN_SAMPLES} detections."
    gap = np.where(enough, found.gap, 0.0)
    row, column = np.unravel_index(np.argmax(np.abs(gap)), gap.shape)
    error = float(np.nanmedian(found.standard_error[enough]))
    return (
        f"Mean score minus mean {CURVES[found.target][1]} by box centre: from "
        f"{100 * found.gap[enough].min():+.0f} to {100 * found.gap[enough].max():+.0f} points; the "
        f"largest is in row {row + 1} from the top, column {column + 1} from the left. Standard "
        f"error of a cell: about {100 * error:.0f} points."
    )


def _colour(strength: float) -> str:
    """Blend from white to red (too high) or blue (too low)."""
    end = _OVER if strength > 0 else _UNDER
    share = min(abs(strength), 1.0)
    red, green, blue = np.rint(255 + share * (end - 255)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
