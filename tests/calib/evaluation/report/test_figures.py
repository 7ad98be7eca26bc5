"""The figure of a report: how it grades, what its edges say, its ticks and signs."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from calib.datasets import load_digits_scores
from calib.evaluation import CalibrationReport, calibration_report, cumulative_calibration_curve

OPTIONS = {"n_resamples": 20, "random_state": 0}


def figures(report: CalibrationReport) -> Any:
    return next(block for block in report.document().blocks if hasattr(block, "figures"))


def texts(report: CalibrationReport, place: int) -> list[str]:
    marks = figures(report).figures[place].drawing.marks
    return [mark.text for mark in marks if hasattr(mark, "anchor")]


@cache
def alone(sharpness: float) -> tuple[CalibrationReport, float]:
    """Report on a model of an event, and its largest added-up gap in half-widths of the band."""
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1.5, 3000)
    y, p = (rng.random(3000) < expit(z)).astype(int), expit(sharpness * z)
    curve = cumulative_calibration_curve(y, p)
    return calibration_report(y, {"net": p}, **OPTIONS), np.abs(
        curve.difference
    ).max() / curve.band()


@pytest.mark.parametrize(
    ("sharpness", "low", "high", "caption"),
    [
        (1.0, 0.0, 1.0, "net stays inside the band of chance."),
        (1.2, 1.0, 1.25, "net leaves the band of chance only just."),
        (1.3, 1.25, 2.0, "net leaves the band of chance."),
        (1.6, 2.0, 9.0, "net leaves the band of chance widely."),
    ],
)
def test_the_caption_grades(sharpness: float, low: float, high: float, caption: str) -> None:
    report, size = alone(sharpness)
    assert low <= size < high
    assert figures(report).title == caption


@cache
def ten_classes() -> CalibrationReport:
    """Two overconfident models of ten classes; most predictions lie near 1."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 3.5, (1500, 10))
    p = softmax(z, axis=1)
    y = (p.cumsum(axis=1) < rng.random((1500, 1))).sum(axis=1).clip(max=9)
    models = {"raw": softmax(3 * z, axis=1), "cooler": softmax(1.8 * z, axis=1)}
    return calibration_report(y, models, **OPTIONS)


def test_two_curves_outside_are_graded_together_or_each() -> None:
    title = figures(ten_classes()).title
    assert title == "Both raw and cooler leave the band of chance widely."


def test_edges_of_a_stretched_scale_say_what_lies_there() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 60, 20_000)
    y = (rng.random(20_000) < p).astype(int)
    y[p < np.quantile(p, 0.3)] = 0
    words = texts(calibration_report(y, {"net": p}, **OPTIONS), 0)
    assert "lower edge: no event seen" in words
    assert not any("upper edge" in word for word in words)
    digits = load_digits_scores()
    sure = calibration_report(digits.y_test, {"raw": digits.proba_test}, **OPTIONS)
    assert "upper edge: no miss seen" in texts(sure, 0)
    assert not any("lower edge" in word for word in texts(sure, 0))
    linear = alone(1.0)[0]
    assert not any("edge" in word for word in texts(linear, 0))


def test_the_added_up_panel_has_five_or_six_ticks_with_minus_signs() -> None:
    for report in (ten_classes(), alone(1.0)[0], alone(1.6)[0]):
        ticks = [
            word for word in texts(report, 1) if re.fullmatch(r"[-\N{MINUS SIGN}]?[\d.]+", word)
        ]
        assert 4 <= len(ticks) <= 7
        assert any(tick.startswith("\N{MINUS SIGN}") for tick in ticks)
        assert not any("-" in tick for tick in ticks)


def test_words_of_the_axes_follow_the_view() -> None:
    assert "Share of samples, from the least to the most likely" in texts(alone(1.0)[0], 1)
    assert "Share of samples, from the least to the most confident" in texts(ten_classes(), 1)
