"""Drawings of a detection report: scores against outcomes, and the gap by position."""

from __future__ import annotations

import numpy as np

from calib._documents.charts import (
    LEFT,
    SIDE,
    TOP,
    chart,
    dotted_curve,
    histogram,
    square,
    x_of,
    y_of,
)
from calib._documents.document import Circle, Figure, Line, Mark, Rect, Text
from calib.evaluation.detection.report.records import (
    DetectionModelReport,
    PositionMap,
    ReliabilityBins,
)

#: Colour and name of the outcomes that scores are compared with.
CURVES = {"iou": ("first", "overlap"), "tp": ("second", "precision")}
#: Cells with fewer detections stay grey.
MIN_SAMPLES = 8
#: Gap at which the colours of a map are strongest, at least.
LEAST_RANGE = 0.1
_OVER, _UNDER = np.array([178, 24, 43]), np.array([33, 102, 172])


def detection_diagram(name: str, model: DetectionModelReport) -> Figure:
    """Return mean overlap and precision against mean score."""
    marks = square("Mean score", "Mean overlap, precision")
    sentences = []
    order = ("tp", "iou") if model.target == "iou" else ("iou", "tp")  # the target on top
    for target in order:
        bins, (ink, outcome) = model.reliability[target], CURVES[target]
        filled = np.flatnonzero(bins.n_detections > 0)
        if not filled.size:
            continue
        marks += _curve(bins, filled, ink)
        gap = bins.mean_score[filled] - bins.mean_target[filled]
        worst = filled[np.argmax(np.abs(gap))]
        sentences.append(
            f"{outcome.capitalize()}: largest gap at score {bins.mean_score[worst]:.2f}, where it "
            f"is {bins.mean_target[worst]:.2f}."
        )
    bins = model.reliability[model.target]
    if bins.n_detections.any():
        marks += histogram(bins.left, bins.right, bins.n_detections.astype(np.float64))
    else:
        sentences.append("No detections.")
    for row, (ink, outcome) in enumerate(CURVES.values()):
        y = TOP + 14 + 15 * row
        marks += [Circle(LEFT + 12, y - 4, 4, ink), Text(LEFT + 21, y, outcome, "start")]
    return Figure(name, chart(f"Reliability diagram of {name}", " ".join(sentences), marks))


def _curve(bins: ReliabilityBins, filled: np.ndarray, ink: str) -> list[Mark]:
    bars = (
        Line(x_of(score), y_of(low), x_of(score), y_of(high), ink, 1.2, opacity=0.55)
        for score, low, high in zip(
            bins.mean_score[filled], bins.low[filled], bins.high[filled], strict=True
        )
        if not np.isnan(low)
    )
    score, outcome = bins.mean_score[filled], bins.mean_target[filled]
    return [*bars, *dotted_curve(score, outcome, bins.n_detections[filled], ink, (2.0, 2.6))]


def colour_range(maps: list[PositionMap]) -> float:
    """Return the gap at which colours are strongest, the same for all maps of a page."""
    gaps = [np.abs(found.gap[found.n_detections >= MIN_SAMPLES]) for found in maps]
    return max([LEAST_RANGE, *(float(gap.max()) for gap in gaps if gap.size)])


def position_diagram(name: str, found: PositionMap, limit: float) -> Figure:
    """Return the gap by position as coloured cells."""
    side = SIDE / len(found.gap)
    marks: list[Mark] = []
    for (row, column), gap in np.ndenumerate(found.gap):
        x, y = LEFT + side * column, TOP + side * row
        count = int(found.n_detections[row, column])
        fill, ink = "#eaeef2", "#57606a"
        if count >= MIN_SAMPLES:
            fill, ink = _colour(gap / limit), "#ffffff" if abs(gap) > 0.6 * limit else "#1b1f24"
        marks.append(Rect(x, y, side, side, fill, "#ffffff"))
        if count >= MIN_SAMPLES:
            marks.append(Text(x + side / 2, y + side / 2 + 1, f"{100 * gap:+.0f}", ink=ink))
        marks.append(Text(x + side / 2, y + side / 2 + 14, f"n={count}", ink=ink, size=8))
    bottom, middle = TOP + SIDE, TOP + SIDE / 2
    marks += [
        Text(LEFT + SIDE / 2, bottom + 16, "Box centre, left to right"),
        Text(34, middle, "Box centre, top to bottom", turned=True),
    ]
    return Figure(name, chart(f"Gap by position of {name}", _words(found), marks, bottom + 26))


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
