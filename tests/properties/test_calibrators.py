"""Invariants of every registered calibrator, on data found by hypothesis."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib import CALIBRATORS, CalibrationWarning, make_calibrator

METHODS = list(CALIBRATORS)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits with ties and extremes, labels with at least two classes, integer weights."""
    n_classes = draw(st.integers(2, 4))
    n = draw(st.integers(4, 30))
    values = st.sampled_from([-300.0, -8.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0, 40.0])
    z = np.array(draw(st.lists(values, min_size=n * n_classes, max_size=n * n_classes)))
    y = np.array(draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)))
    y[0], y[1] = 0, 1
    w = np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    return z.reshape(n, n_classes), y, w


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_probabilities_whatever_the_scores(
    method: str, problem: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    z, y, w = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = make_calibrator(method, input="logits").fit(z, y, sample_weight=w)
        twice = make_calibrator(method, input="logits").fit(
            np.repeat(z, w, axis=0), np.repeat(y, w)
        )
    p = cal.transform(z)
    assert np.isfinite(p).all()
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(p, twice.transform(z), atol=1e-5)
    assert cal.transform(z.astype(np.float32)).dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_temperature_keeps_the_order_within_rows(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    z, y, _ = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        p = make_calibrator("temperature", input="logits").fit(z, y).transform(z)
    rows = np.arange(len(z))
    assert (p[rows, z.argmax(axis=1)] >= p.max(axis=1) - 1e-15).all()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_binary_maps_are_monotone(
    method: str, problem: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    z, y, _ = problem
    s, y = z[:, 0], np.minimum(y, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = make_calibrator(method, input="logits").fit(s, y)
    steps = np.diff(cal.transform(np.linspace(-310, 50, 200))[:, 1])
    assert (steps >= -1e-15).all() or (method == "platt" and (steps <= 1e-15).all())
