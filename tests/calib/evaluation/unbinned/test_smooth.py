"""The smooth error against direct integration, its fixed point and its continuity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from calib.evaluation import ks_calibration_error, smooth_calibration_error


def direct(y, p, s: float, w=None, n_points: int = 40_001) -> float:
    """Integrate the reflected kernel sum by the trapezoid rule, without any grid of scores."""
    w = np.ones(len(y)) if w is None else np.asarray(w, float)
    t = np.linspace(0, 1, n_points)
    images = range(-int(np.ceil(5 * s)) - 1, int(np.ceil(5 * s)) + 2)
    total = np.zeros(n_points)
    for score, residual in zip(p, w * (np.asarray(y) - p), strict=True):
        for j in images:
            for sign in (-1, 1):
                total += residual * np.exp(-(((t + sign * score - 2 * j) / s) ** 2) / 2)
    return float(np.trapezoid(np.abs(total), t) / (np.sqrt(2 * np.pi) * s * w.sum()))


@pytest.mark.parametrize("bandwidth", [0.003, 0.02, 0.1, 0.5, 3.0])
def test_fixed_bandwidth_against_direct_integration(bandwidth, rng: np.random.Generator) -> None:
    p = np.concatenate([rng.random(30), [0.0, 1.0, 0.5, 0.5]])
    y = rng.integers(0, 2, 34)
    w = rng.random(34)
    for weight in (None, w):
        value = smooth_calibration_error(
            y, p, bandwidth=bandwidth, average="binary", sample_weight=weight
        )
        assert value == pytest.approx(direct(y, p, bandwidth, weight), abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_fixed_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 0.7, 60)
    y = rng.random(60) < p**1.3
    value = smooth_calibration_error(y, p, average="binary")
    # the integral never increases with the bandwidth, so these two enclose the solution
    assert direct(y, p, value - 1e-6) >= value - 1.5e-6
    assert direct(y, p, value + 1e-6) <= value + 1.5e-6


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4])
def test_small_errors_keep_their_accuracy(distance: float) -> None:
    """Two opposite residuals at a small distance: the grid must not blur them."""
    p = np.array([0.5 - distance / 2, 0.5 + distance / 2] * 500)
    y = np.arange(1000) % 2  # residuals cancel when the kernel is much wider than the distance
    value = smooth_calibration_error(y, p, average="binary")
    low, high = 0.0, 1.0
    for _ in range(60):  # the two Gaussians of a fixed point, by their closed form
        s = (low + high) / 2
        error = (1 - p[1]) * (2 * ndtr(distance / 2 / s) - 1)
        low, high = (s, high) if error > s else (low, s)
    assert value == pytest.approx(low, abs=1e-6)


def test_error_never_increases_with_the_bandwidth(rng: np.random.Generator) -> None:
    p = rng.random(400)
    y = rng.random(400) < 0.5
    grid = np.geomspace(1e-5, 10, 25)
    values = [smooth_calibration_error(y, p, bandwidth=s, average="binary") for s in grid]
    assert (np.diff(values) <= 1e-9).all()
    fixed = smooth_calibration_error(y, p, average="binary")
    at = smooth_calibration_error(y, p, bandwidth=fixed, average="binary")
    assert at == pytest.approx(fixed, abs=1e-6)
    assert values[0] == pytest.approx(np.mean(np.abs(y - p)), rel=0.05)  # every score by itself
    assert values[-1] == pytest.approx(abs(y.mean() - p.mean()), abs=1e-9)


def test_it_does_not_jump(rng: np.random.Generator) -> None:
    """Moving every prediction by delta moves the error by at most about delta / s + delta."""
    p = rng.integers(0, 11, 500) / 10
    y = rng.random(500) < 0.4
    value = smooth_calibration_error(y, p, average="binary")
    for delta in (1e-3, 1e-4, 1e-6):
        moved = np.clip(p + delta * rng.choice([-1, 1], 500), 0, 1)
        change = abs(smooth_calibration_error(y, moved, average="binary") - value)
        assert change <= 2 * delta / value


def test_it_is_at_least_the_mean_gap_and_small_when_calibrated() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(200_000)
    y = rng.random(200_000) < p
    value = smooth_calibration_error(y, p, average="binary")
    assert abs(y.mean() - p.mean()) <= value < 0.01
    assert ks_calibration_error(y, p, average="binary") < 0.004


def test_smallest_bandwidth() -> None:
    with pytest.raises(ValueError, match="bandwidth must be finite and >= 1e-05"):
        smooth_calibration_error([0, 1], [0.2, 0.7], bandwidth=1e-6)
    value = smooth_calibration_error([0, 1], [0.2, 0.7], bandwidth=1e-5, average="binary")
    assert value == pytest.approx(0.25, abs=1e-6)
