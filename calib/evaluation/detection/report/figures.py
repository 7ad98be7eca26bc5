"""The figures of a detection report: scores against outcomes, and the gap by position."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from calib._documents import document as doc
from calib._documents.document import Drawing, Line, Mark, Rect, Text
from calib._documents.panels import Panel, Scale, sign, signed
from calib.evaluation.detection.report.answer import DetectorFacts
from calib.evaluation.detection.report.records import PositionMap, ReliabilityBins

#: Cells with fewer detections stay grey.
MIN_SAMPLES = 8
#: Gap at which the colours of a map are strongest, at least.
LEAST_RANGE = 0.1
#: Side and left margin of a map.
_SIDE, _LEFT, _TOP = 200.0, 26.0, 6.0
_OVER, _UNDER = np.array([178, 24, 43]), np.array([33, 102, 172])


def outcome_panels(facts: DetectorFacts) -> doc.Figures | None:
    """Return score against overlap and against being right; nothing without detections."""
    after, before = facts.after, None if facts.unchanged else facts.before
    models = [model for model in (before, after) if model is not None]
    if not all(model.reliability["iou"].n_detections.any() for model in models):
        return None
    panels, off = [], {}
    right = f"share right (overlap {after.precision_iou:g})"
    for target, outcome in (("iou", "mean overlap"), ("tp", right)):
        panel = Panel(Scale(0.0, 1.0), Scale(0.0, 1.0), "Score", outcome[:1].upper() + outcome[1:])
        panel.diagonal()
        sentences = []
        for model in models:
            bins = model.reliability[target]
            shape = "dot" if model is after else "square"
            missed, filled = _points(panel, bins, shape)
            name = "raw" if model is before else facts.name
            sentences.append(f"{name}: {missed} of {filled} ranges off the diagonal.")
            off[target, model is after] = missed, filled
        title = f"{outcome[:1].upper()}{outcome[1:]} against score"
        panels.append(doc.Figure("", panel.drawing(title, " ".join(sentences))))
    level = f"{100 * facts.confidence_level:g} %"
    key = [doc.Key("raw", sign(14, 8, "square"))] if before is not None else []
    key += [
        doc.Key("raw" if facts.before is None else facts.name, sign(14, 8, "dot")),
        doc.Key(f"{level} interval", [Line(14, 1, 14, 15, "muted", 1.2)]),
        doc.Key("interval misses the diagonal", sign(14, 8, "dot", alarm=True)),
    ]
    note = (
        "A dot on the diagonal means that scores can be taken at their word, as overlap (first) or "
        "as chance of being right (second). Both figures share the scales. Every range is judged "
        "by itself."
    )
    return doc.Figures(_finding(off, both=before is not None), panels, note, key=key)


def _points(panel: Panel, bins: ReliabilityBins, shape: str) -> tuple[int, int]:
    """Add the ranges of a set of scores; return how many miss the diagonal, and how many are."""
    missed = 0
    filled = np.flatnonzero(bins.n_detections > 0)
    for place in filled:
        score, low, high = bins.mean_score[place], bins.low[place], bins.high[place]
        alarm = bool(score < low or score > high)
        missed += alarm
        if not np.isnan(low):
            panel.stem(score, low, high, "alarm" if alarm else "muted")
        panel.point(score, bins.mean_target[place], shape, alarm)  # type: ignore[arg-type]
    return missed, len(filled)


def _finding(off: dict[tuple[str, bool], tuple[int, int]], *, both: bool) -> str:
    """Return how many ranges miss the diagonal, as the title of both panels."""
    overlap, right = off["iou", True], off["tp", True]
    if not both:
        return (
            f"Against the overlap {overlap[0]} of {overlap[1]} ranges are off, against being right "
            f"{right[0]}."
        )
    first, second = off["iou", False], off["tp", False]
    return (
        f"Against the overlap {first[0]} of {first[1]} ranges were off, {overlap[0]} of "
        f"{overlap[1]} are after calibration; against being right it is {second[0]} before and "
        f"{right[0]} after."
    )


# ---------------------------------------------------------------------------------------- position


def position_maps(maps: dict[str, PositionMap]) -> doc.Figures:
    """Return the gap by position of several sets of scores, small and with shared colours."""
    limit = _colour_range(list(maps.values()))
    return doc.Figures(
        "",
        [doc.Figure(name, _position_map(name, found, limit)) for name, found in maps.items()],
        "Mean score minus mean outcome by box centre, in points: plus and red where scores promise "
        "too much, minus and blue where too little. A star marks more than chance, all cells of a "
        f"map together, as if detections were independent. Grey: fewer than {MIN_SAMPLES} "
        "detections.",
    )


def _colour_range(maps: list[PositionMap]) -> float:
    """Return the gap at which colours are strongest, the same for all maps of a page."""
    gaps = [np.abs(found.gap[found.n_detections >= MIN_SAMPLES]) for found in maps]
    return max([LEAST_RANGE, *(float(gap.max()) for gap in gaps if gap.size)])


def _beyond(found: PositionMap) -> np.ndarray:
    """Return which cells have a gap beyond chance, all together at 95 %."""
    reach = float(ndtri(1 - 0.025 / found.gap.size)) * found.standard_error
    with np.errstate(invalid="ignore"):
        return np.asarray((found.n_detections >= MIN_SAMPLES) & (np.abs(found.gap) > reach))


def _position_map(name: str, found: PositionMap, limit: float) -> Drawing:
    """Return the gap by position as coloured cells with their numbers."""
    side, beyond = _SIDE / len(found.gap), _beyond(found)
    marks: list[Mark] = []
    for (row, column), gap in np.ndenumerate(found.gap):
        x, y = _LEFT + side * column, _TOP + side * row
        if found.n_detections[row, column] < MIN_SAMPLES:
            marks.append(Rect(x, y, side, side, "#eaeef2", "#ffffff"))
            continue
        fill, ink = colours(gap / limit)
        star = "*" if beyond[row, column] else ""
        marks += [
            Rect(x, y, side, side, fill, "#ffffff"),
            Text(x + side / 2, y + side / 2 + 4, f"{_points_text(gap)}{star}", ink=ink),
        ]
    bottom = _TOP + _SIDE
    marks += [
        Text(_LEFT + _SIDE / 2, bottom + 16, "Box centre, left to right"),
        Text(14, _TOP + _SIDE / 2, "Box centre, top to bottom", turned=True),
    ]
    size = (_LEFT + _SIDE + 6, bottom + 24)
    return Drawing(f"Gap by position of {name}", _words(found), *size, marks)


def _points_text(gap: float) -> str:
    text = f"{100 * gap:+.0f}"
    return "0" if text in ("-0", "+0") else signed(text)


def _words(found: PositionMap) -> str:
    """Describe a map in a sentence."""
    enough = found.n_detections >= MIN_SAMPLES
    if not enough.any():
        return f"No cell has {MIN_SAMPLES} detections."
    gap = np.where(enough, found.gap, 0.0)
    row, column = np.unravel_index(np.argmax(np.abs(gap)), gap.shape)
    outcome = "overlap" if found.target == "iou" else "share right"
    return (
        f"Mean score minus mean {outcome} by box centre: from "
        f"{_points_text(found.gap[enough].min())} to {_points_text(found.gap[enough].max())} "
        f"points; the "
        f"largest is in row {row + 1} from the top, column {column + 1} from the left; "
        f"{int(_beyond(found).sum())} of {int(enough.sum())} cells are beyond chance."
    )


def colours(strength: float) -> tuple[str, str]:
    """Return a fill between white and red (too high) or blue (too low), and an ink to read on."""
    end = _OVER if strength > 0 else _UNDER
    share = min(abs(strength), 1.0)
    colour = np.rint(255 + share * (end - 255)).astype(int)
    part = colour / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    dark = float(linear @ (0.2126, 0.7152, 0.0722)) < 0.179
    return "#{:02x}{:02x}{:02x}".format(*colour), "#ffffff" if dark else "#000000"
