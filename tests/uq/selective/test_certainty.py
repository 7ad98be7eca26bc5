"""Certainty from intervals and from conformal p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from calib import VennAbersCalibrator
from uq import (
    conformal_confidence,
    conformal_credibility,
    interval_lower_certainty,
    interval_width_certainty,
    is_conformal_singleton,
)


def test_published_p_values() -> None:
    """Label-conditional p-values of a worked example with credibility and confidence."""
    p = np.array([[0.75, 0.2], [0.25, 0.4], [0.25, 1.0]])
    np.testing.assert_allclose(conformal_credibility(p), [0.75, 0.4, 1.0])
    np.testing.assert_allclose(conformal_confidence(p), [0.8, 0.75, 0.75])
    assert is_conformal_singleton(p, confidence_level=0.75).tolist() == [True, True, True]
    assert is_conformal_singleton(p, confidence_level=0.9).tolist() == [False, False, False]
    assert is_conformal_singleton(p, confidence_level=0.8).tolist() == [True, False, False]


@given(arrays(np.float64, (5, 3), elements=st.floats(0, 1)), st.floats(0.05, 0.95))
def test_singleton_agrees_with_both_numbers(p: np.ndarray, level: float) -> None:
    singleton = is_conformal_singleton(p, confidence_level=level)
    limit = 1 - level + 1e-12
    second = np.sort(p, axis=1)[:, -2]
    np.testing.assert_array_equal(singleton, (second <= limit) & (conformal_credibility(p) > limit))
    np.testing.assert_allclose(conformal_confidence(p), 1 - second)
    np.testing.assert_array_equal(conformal_confidence(p), conformal_confidence(p[:, ::-1]))


def test_intervals(rng: np.random.Generator) -> None:
    ends = np.sort(rng.random((30, 2)), axis=1)
    np.testing.assert_allclose(interval_width_certainty(ends), 1 - (ends[:, 1] - ends[:, 0]))
    lower = np.maximum(ends[:, 0], 1 - ends[:, 1])
    np.testing.assert_allclose(interval_lower_certainty(ends), lower)
    both = np.stack([1 - ends[:, ::-1], ends], axis=1)  # one interval per class
    np.testing.assert_allclose(interval_width_certainty(both), interval_width_certainty(ends))
    np.testing.assert_allclose(interval_lower_certainty(both), lower)
    three = np.array([[[0.1, 0.3], [0.5, 0.9], [0.0, 0.2]]])
    np.testing.assert_allclose(interval_width_certainty(three), [0.6])
    np.testing.assert_allclose(interval_lower_certainty(three), [0.5])


def test_takes_venn_abers_intervals(rng: np.random.Generator) -> None:
    p = rng.random(300)
    calibrator = VennAbersCalibrator().fit(p, rng.random(300) < p)
    interval = calibrator.predict_interval(p)
    sure = interval_lower_certainty(interval)
    merged = calibrator.transform(p).max(axis=1)
    assert (sure <= merged + 1e-12).all()
    assert (interval_width_certainty(interval) <= 1).all()


@pytest.mark.parametrize("function", [interval_width_certainty, interval_lower_certainty])
@pytest.mark.parametrize(
    ("interval", "match"),
    [
        ([[np.nan, 0.5]], "NaN"),
        ([[0.5, 0.2]], "lower end above its upper end"),
        ([[-0.5, 0.2]], "outside"),
        ([[0.5, 1.2]], "outside"),
        ([0.5, 0.2], "must have shape"),
        ([[0.1, 0.2, 0.3]], "must have shape"),
        (np.full((3, 1, 2), 0.5), "must have shape"),
    ],
)
def test_interval_refusals(function, interval, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        function(interval)


@pytest.mark.parametrize(
    "function", [conformal_confidence, conformal_credibility, is_conformal_singleton]
)
@pytest.mark.parametrize(
    ("p_values", "match"),
    [
        ([[np.nan, 0.5]], "NaN"),
        ([[np.inf, 0.5]], "inf"),
        ([[1.5, 0.5]], "outside"),
        ([0.5, 0.4], "at least 2"),
        (np.zeros((2, 2, 2)), "dimensions"),
    ],
)
def test_p_value_refusals(function, p_values, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        function(p_values)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, "0.9"])
def test_singleton_level(level: object) -> None:
    with pytest.raises(ValueError, match="confidence_level"):
        is_conformal_singleton([[0.5, 0.5]], confidence_level=level)  # type: ignore[arg-type]
