"""Kernel errors against sums over all pairs, their lack of bias, and bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from calib.evaluation import (
    kernel_calibration_error,
    kernel_calibration_test,
    maximum_mean_calibration_error,
)
from tests.support.bin_free import all_pairs, tied_points


@pytest.fixture
def three(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return tied_points(rng)


def test_two_classes_are_twice_the_binary_value(rng: np.random.Generator) -> None:
    p = rng.random(80)
    y = rng.integers(0, 2, 80)
    h = all_pairs(y, np.column_stack([1 - p, p]), 0.3)
    canonical = kernel_calibration_error(y, p, estimator="biased", bandwidth=0.3)
    assert canonical == pytest.approx(h.mean(), abs=1e-14)
    for estimator in ("biased", "unbiased", "linear"):
        options = {"estimator": estimator, "bandwidth": 0.3, "random_state": 4}
        whole = kernel_calibration_error(y, p, **options)
        binary = kernel_calibration_error(y, p, average="binary", **options)
        assert whole == pytest.approx(2 * binary, abs=1e-14)


def test_the_mmce_is_the_root_of_the_biased_estimate(three) -> None:
    y, p = three
    square = kernel_calibration_error(y, p, estimator="biased", average="top_label", bandwidth=0.4)
    assert maximum_mean_calibration_error(y, p) ** 2 == pytest.approx(square, abs=1e-15)
    w = np.arange(70) % 5 * 0.3
    confidence, residual = p.max(axis=1), (p.argmax(axis=1) == y) - p.max(axis=1)
    kernel = np.exp(-np.abs(confidence[:, None] - confidence) / 0.1)
    expected = np.sqrt((w * residual) @ kernel @ (w * residual)) / w.sum()
    value = maximum_mean_calibration_error(y, p, bandwidth=0.1, sample_weight=w)
    assert value == pytest.approx(expected, abs=1e-14)


def test_unbiased_estimates_average_to_zero() -> None:
    """400 calibrated samples of 60, seed 2: the mean is within 3.5 standard errors of 0."""
    rng = np.random.default_rng(2)
    values = {"unbiased": [], "linear": [], "biased": []}
    for _ in range(400):
        p = rng.dirichlet(np.full(3, 0.8), 60)
        y = (p.cumsum(axis=1) < rng.random((60, 1))).sum(axis=1).clip(max=2)
        for estimator, found in values.items():
            found.append(
                kernel_calibration_error(y, p, estimator=estimator, bandwidth=1.0, random_state=rng)
            )
    for estimator in ("unbiased", "linear"):
        found = np.array(values[estimator])
        assert abs(found.mean()) < 3.5 * found.std() / 20
    assert np.mean(values["biased"]) > 0.005
    assert min(values["biased"]) >= 0


def test_level_and_power_of_the_test() -> None:
    """1,000 calibrated samples of 200, seed 9: rejections at 10 % within 3 sigma and a margin."""
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(1000):
        p = rng.dirichlet(np.full(3, 0.8), 200)
        y = (p.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1).clip(max=2)
        p_values.append(kernel_calibration_test(y, p, bandwidth=0.5, random_state=rng).p_value)
    rate = np.mean(np.array(p_values) < 0.1)
    assert abs(rate - 0.1) < 0.01 + 3 * np.sqrt(0.09 / 1000)
    p = rng.dirichlet(np.full(3, 0.8), 4000)
    y = (p.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1).clip(max=2)
    sharp = p**4 / (p**4).sum(axis=1, keepdims=True)
    test = kernel_calibration_test(y, sharp, bandwidth=0.5, random_state=0)
    assert test.p_value < 1e-3
    assert test.n_pairs == 2000
    assert test.statistic > 0
    assert test.standardized > 3


def test_special_cases_of_the_test() -> None:
    y = np.arange(8) % 2
    perfect = kernel_calibration_test(y, y.astype(float))
    assert perfect == (0.0, 1.0, 0.0, 4)
    wrong = kernel_calibration_test(np.ones(8, int), np.zeros(8))
    assert wrong == (2.0, 0.0, np.inf, 4)
    with pytest.raises(ValueError, match="at least 4 samples; got 3"):
        kernel_calibration_test([0, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="bandwidth must be"):
        kernel_calibration_test(y, y / 2, bandwidth="wide")


def test_linear_pairs_depend_on_the_seed_alone(three) -> None:
    y, p = three
    options = {"estimator": "linear", "bandwidth": 0.5}
    first = kernel_calibration_error(y, p, random_state=1, **options)
    assert kernel_calibration_error(y, p, random_state=1, **options) == first
    assert kernel_calibration_error(y, p, random_state=2, **options) != first
    h = all_pairs(y, p, 0.5)
    mean = np.mean([kernel_calibration_error(y, p, random_state=s, **options) for s in range(3000)])
    assert mean == pytest.approx((h.sum() - np.trace(h)) / (70 * 69), abs=0.005)


def test_memory_is_bounded(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 8000)
    y = rng.integers(0, 3, 8000)
    tracemalloc.start()
    kernel_calibration_error(y, p, bandwidth=0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6  # the kernel matrix has 512 MB


@pytest.mark.slow
def test_fifty_thousand_samples_stay_far_below_a_gigabyte(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 50_000)
    y = (p.cumsum(axis=1) < rng.random((50_000, 1))).sum(axis=1).clip(max=2)
    tracemalloc.start()
    value = kernel_calibration_error(y, p)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert abs(value) < 1e-4
    assert peak < 150e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "exact"}, "estimator must be one of"),
        ({"average": "macro"}, "average must be one of"),
        ({"bandwidth": "mean"}, "bandwidth must be one of"),
    ],
)
def test_options_are_checked(options, message, three) -> None:
    with pytest.raises(ValueError, match=message):
        kernel_calibration_error(*three, **options)
