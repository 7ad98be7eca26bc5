"""Invariants of every registered calibrator, on data found by hypothesis."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.exceptions import ConvergenceWarning

from calib import CALIBRATORS, CalibrationWarning, make_calibrator

METHODS = list(CALIBRATORS)
#: Every example is two fits; where examples are the same every time, a second look adds nothing.
FITS = settings(max_examples=25 if settings.default.derandomize else 60, deadline=None)


#: Ordinary logits with ties, masks down to the logarithm of 0, and decision scores of any scale.
ORDINARY = [-300.0, -8.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0, 40.0]
MASKS = [-1e4, -1e9, -1e12, float(np.finfo(np.float64).min), -np.inf]
SCALES = [1.0, 1.0, 1e-300, 1e-6, 1e3, 1e9, 1e100, 1e300]


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that the contract accepts, labels with at least two classes, integer weights."""
    n_classes = draw(st.integers(2, 4))
    n = draw(st.integers(4, 30))
    masks = draw(st.sampled_from([[], [], MASKS]))
    values = st.sampled_from(ORDINARY + masks)
    z = np.array(draw(st.lists(values, min_size=n * n_classes, max_size=n * n_classes)))
    z = z.reshape(n, n_classes)
    y = np.array(draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)))
    y[0], y[1] = 0, 1
    z = np.where(np.isfinite(z), z * draw(st.sampled_from(SCALES)) if not masks else z, z)
    z[:2] = np.maximum(z[:2], -300.0 if masks else z[:2].min())  # two labels that are possible
    lost = (z < -1e305).all(axis=1)
    z[lost, y[lost]] = 0.0
    w = np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    return z, y, w


@pytest.mark.parametrize("method", METHODS)
@FITS
@given(problem=problems())
def test_probabilities_whatever_the_scores(
    method: str, problem: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    z, y, w = problem
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CalibrationWarning)
        warnings.simplefilter("always", ConvergenceWarning)  # a few rows of ties and masks
        cal = make_calibrator(method, input="logits").fit(z, y, sample_weight=w)
        twice = make_calibrator(method, input="logits").fit(
            np.repeat(z, w, axis=0), np.repeat(y, w)
        )
    p = cal.transform(z)
    assert np.isfinite(p).all()
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    if not caught:  # both fits found their minimum
        np.testing.assert_allclose(p, twice.transform(z), atol=1e-5)
    hidden = z < -1e305
    assert (p[hidden] == 0.0).all()
    with np.errstate(over="ignore"):
        single = z.astype(np.float32)
    if np.isfinite(single[~hidden]).all():
        assert cal.transform(single).dtype == np.float32


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
