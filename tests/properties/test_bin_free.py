"""Identities of the bin-free errors, on arbitrary probabilities with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from calib.evaluation import (
    cumulative_calibration_error,
    cumulative_calibration_test,
    density_calibration_error,
    integrated_calibration_index,
    kernel_calibration_error,
    ks_calibration_error,
    maximum_mean_calibration_error,
    signed_cumulative_error,
    smooth_calibration_error,
    sweep_bin_count,
    sweep_calibration_error,
)

modest = settings(deadline=None, max_examples=50)
probabilities = st.one_of(
    st.floats(0, 1),
    st.integers(0, 60).map(lambda j: j / 60),
    st.sampled_from([0.0, 1.0, 0.1, 0.3, 0.7, 1 / 3, 5e-324, 1 - 2**-53]),
)
Data = tuple[np.ndarray, np.ndarray]


@st.composite
def pairs(draw: st.DrawFn) -> Data:
    p = draw(st.lists(probabilities, min_size=1, max_size=40))
    y = draw(st.lists(st.integers(0, 1), min_size=len(p), max_size=len(p)))
    return np.array(y), np.array(p)


MEASURES = {
    "ks": lambda y, p, w=None: ks_calibration_error(y, p, average="binary", sample_weight=w),
    "range": lambda y, p, w=None: cumulative_calibration_error(
        y, p, kind="range", average="binary", sample_weight=w
    ),
    "smooth": lambda y, p, w=None: smooth_calibration_error(
        y, p, average="binary", sample_weight=w
    ),
    "mmce": lambda y, p, w=None: maximum_mean_calibration_error(
        y, p, average="binary", sample_weight=w
    ),
    "sweep": lambda y, p, w=None: sweep_calibration_error(y, p, average="binary", sample_weight=w),
    "density": lambda y, p, w=None: density_calibration_error(
        y, p, bandwidth=0.3, average="binary", sample_weight=w
    ),
    "ici": lambda y, p, w=None: (
        integrated_calibration_index(y, p, average="binary", sample_weight=w).ici
    ),
}
#: Squared roots lose half of the digits next to 0; the grid of the density resolves 1e-6.
TOLERANCE = {"mmce": 1e-7, "density": 1e-5, "smooth": 1e-6}
names = st.sampled_from(sorted(MEASURES))


@modest
@given(pairs(), names)
def test_bounds(data: Data, name: str) -> None:
    value = MEASURES[name](*data)
    assert np.isfinite(value)
    assert 0 <= value <= 1 + 1e-5


@modest
@given(pairs())
def test_mean_gap_is_the_lower_bound(data: Data) -> None:
    y, p = data
    gap = abs(y.mean() - p.mean())
    for name in ("ks", "range", "sweep", "smooth"):
        assert MEASURES[name](y, p) >= gap - 1e-9
    _, place = np.unique(p, return_inverse=True)
    finest = np.abs(np.bincount(place, y - p)).sum() / len(y)
    for name in ("range", "smooth", "sweep"):
        assert MEASURES[name](y, p) <= finest + 1e-9


@modest
@given(pairs())
@example((np.array([0]), np.array([5e-324])))
def test_forms_of_the_cumulative_error(data: Data) -> None:
    mad, span = MEASURES["ks"](*data), MEASURES["range"](*data)
    assert mad - 1e-12 <= span <= 2 * mad + 1e-12
    signed = signed_cumulative_error(*data, average="binary")
    assert max(signed) == pytest.approx(span, abs=1e-12)
    assert min(signed) >= 0
    for kind in ("mad", "range"):
        test = cumulative_calibration_test(*data, kind=kind, average="binary")
        assert 0 <= test.p_value <= 1
        assert not np.isnan(test).any()


@modest
@given(pairs(), names, st.data())
def test_integer_weights_are_repetitions(data: Data, name: str, more: st.DataObject) -> None:
    y, p = data
    counts = more.draw(st.lists(st.integers(0, 3), min_size=len(y), max_size=len(y)).filter(any))
    w = np.array(counts)
    weighted = MEASURES[name](y, p, w)
    repeated = MEASURES[name](np.repeat(y, w), np.repeat(p, w))
    assert weighted == pytest.approx(repeated, abs=max(1e-9, TOLERANCE.get(name, 0)))


@modest
@given(pairs(), names, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(data: Data, name: str, random) -> None:
    y, p = data
    order = list(range(len(y)))
    random.shuffle(order)
    first, second = MEASURES[name](y, p), MEASURES[name](y[order], p[order])
    assert first == pytest.approx(second, abs=max(1e-9, TOLERANCE.get(name, 0)))


@modest
@given(pairs(), st.sampled_from(["range", "smooth", "mmce", "density"]))
def test_exchanging_the_classes(data: Data, name: str) -> None:
    y, p = data
    first, second = MEASURES[name](y, p), MEASURES[name](1 - y, 1 - p)
    assert first == pytest.approx(second, abs=max(1e-9, TOLERANCE.get(name, 0)))


@modest
@given(st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_perfect_predictions_have_no_error(labels: list[int]) -> None:
    y = np.array(labels)
    p = y.astype(float)
    for name in ("ks", "range", "smooth", "mmce", "sweep"):
        assert MEASURES[name](y, p) == 0
    assert MEASURES["ici"](y, p) == pytest.approx(0, abs=1e-9)
    assert cumulative_calibration_test(y, p, average="binary").p_value == 1
    assert sweep_bin_count(y, p, average="binary") == len(y)


@modest
@given(pairs(), st.floats(0.01, 3))
def test_the_two_kernel_estimates(data: Data, width: float) -> None:
    y, p = data
    options = {"average": "binary", "bandwidth": width}
    biased = kernel_calibration_error(y, p, estimator="biased", **options)
    root = maximum_mean_calibration_error(y, p, **options)
    assert biased == pytest.approx(root**2, abs=1e-12)
    if len(y) > 1:
        n, diagonal = len(y), np.sum((y - p) ** 2)
        unbiased = kernel_calibration_error(y, p, **options)
        assert n * (n - 1) * unbiased == pytest.approx(n**2 * biased - diagonal, abs=1e-8)
