"""Figures of a report on distributions: histogram of transforms, and curve of the coverage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib._documents import document as doc
from calib._documents.panels import Panel, Scale, key_of
from calib.evaluation.regression.curves import CoverageCurve, PitHistogram


def distribution_figures(
    histograms: Mapping[str, PitHistogram],
    curves: Mapping[str, CoverageCurve],
    reference: str,
    chosen: str,
    title: str,
) -> doc.Figures:
    """Return two panels of the model that is recommended, and of the reference if it is another."""
    names = list(dict.fromkeys((reference, chosen)))
    before = reference if reference != chosen else ""
    key = key_of(before, chosen, f"chance, if {chosen} is right", "outside: more than chance")
    note = (
        "First: the levels at which labels stand in their distributions (PIT); horns mean too "
        "sharp, a hump too wide, a slope biased. Second: share of labels inside central "
        "intervals; below the diagonal is too sharp. Bands hold bin by bin, level by level."
    )
    panels = [
        _histogram_panel({name: histograms[name] for name in names}, chosen),
        _coverage_panel({name: curves[name] for name in names}, chosen),
    ]
    return doc.Figures(title, panels, note, key=key)


def _histogram_panel(histograms: Mapping[str, PitHistogram], chosen: str) -> doc.Figure:
    top = max(float(h.density.max()) for h in histograms.values())
    top = 1.06 * max(top, histograms[chosen].high, 1.5)
    panel = Panel(
        Scale(0.0, 1.0), Scale(0.0, top), "Level of the label (PIT)", "Share over uniform share"
    )
    sentences = []
    for name in sorted(histograms, key=lambda name: name != chosen):  # the band below all points
        h = histograms[name]
        if name == chosen:
            panel.band(np.array([0.0, 1.0]), np.full(2, h.low), np.full(2, h.high))
            panel.level(1.0)
        places = (h.edges[1:] + h.edges[:-1]) / 2
        outside = (h.density < h.low) | (h.density > h.high)
        dash, width, ink = ("", 2.0, "dot") if name == chosen else ("5 3", 1.5, "muted")
        panel.curve(np.repeat(h.edges, 2)[1:-1], np.repeat(h.density, 2), ink, dash, width)
        for x, y, alarm in zip(places, h.density, outside, strict=True):
            panel.point(float(x), float(y), "dot" if name == chosen else "square", bool(alarm))
        sentences.append(
            f"{name}: {int(outside.sum())} of {len(places)} bins outside the band of chance."
        )
    return doc.Figure(
        "", panel.drawing("Histogram of the integral transforms", " ".join(sentences))
    )


def _coverage_panel(curves: Mapping[str, CoverageCurve], chosen: str) -> doc.Figure:
    panel = Panel(
        Scale(0.0, 1.0),
        Scale(0.0, 1.0),
        "Confidence level of the interval",
        "Share of labels inside",
        x_text=_percent,
        y_text=_percent,
    )
    sentences = []
    for name in sorted(curves, key=lambda name: name != chosen):
        curve = curves[name]
        levels = np.concatenate([[0.0], curve.levels, [1.0]])
        if name == chosen:
            low, high = (np.concatenate([[0.0], end, [1.0]]) for end in (curve.low, curve.high))
            panel.band(levels, low, high)
            panel.diagonal()
        outside = (curve.coverage < curve.low - 1e-12) | (curve.coverage > curve.high + 1e-12)
        dash, width, ink = ("", 2.0, "dot") if name == chosen else ("5 3", 1.5, "muted")
        panel.curve(levels, np.concatenate([[0.0], curve.coverage, [1.0]]), ink, dash, width)
        for x, y, alarm in zip(curve.levels, curve.coverage, outside, strict=True):
            panel.point(float(x), float(y), "dot" if name == chosen else "square", bool(alarm))
        sentences.append(
            f"{name}: {int(outside.sum())} of {len(curve.levels)} levels outside the band."
        )
    return doc.Figure("", panel.drawing("Coverage of central intervals", " ".join(sentences)))


def _percent(tick: float) -> str:
    return f"{100 * tick:.0f} %"
