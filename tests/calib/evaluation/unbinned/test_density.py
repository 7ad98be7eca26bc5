"""Density errors against direct sums of kernels, and their bandwidths."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from calib.evaluation import density_calibration_error, dirichlet_calibration_error
from tests.support.bin_free import inner_points, leave_one_out


@pytest.fixture
def three(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return inner_points(rng)


def direct(y, p, h: float, w=None, n_points: int = 20_000) -> float:
    """Sum mirrored triweight kernels at every point of a fine grid."""
    w = np.full(len(p), 1 / len(p)) if w is None else w / w.sum()
    z = (np.arange(n_points) + 0.5) / n_points
    images = np.arange(-int(np.ceil(h)) - 1, int(np.ceil(h)) + 2)
    f, q = np.zeros(n_points), np.zeros(n_points)
    for score, event, share in zip(p, y, w, strict=True):
        for image in np.concatenate([score + 2 * images, -score + 2 * images]):
            inside = np.clip(1 - ((z - image) / h) ** 2, 0, None)
            kernel = 35 / 32 * inside**3 / h * share
            f += kernel
            q += kernel * event
    return float(np.abs(z * f - q).mean())


@pytest.fixture
def binary(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    p = np.concatenate([rng.beta(0.5, 0.7, 60), [0.0, 1.0, 0.5, 0.5]])
    return (rng.random(64) < p**1.5).astype(int), p


@pytest.mark.parametrize("bandwidth", [0.01, 0.1, 0.4, 1.7])
def test_triweight_against_direct_sums(bandwidth, binary, rng: np.random.Generator) -> None:
    y, p = binary
    for w in (None, rng.random(64)):
        value = density_calibration_error(
            y, p, bandwidth=bandwidth, average="binary", sample_weight=w
        )
        assert value == pytest.approx(direct(y, p, bandwidth, w), abs=2e-6)


def test_normal_bandwidth(binary) -> None:
    y, p = binary
    h = 1.06 * p.std() * 64**-0.2
    value = density_calibration_error(y, p, average="binary")
    assert value == pytest.approx(
        density_calibration_error(y, p, bandwidth=h, average="binary"), abs=1e-12
    )
    # fractional weights: the effective number of samples takes the place of their number
    w = np.where(np.arange(64) < 32, 0.5, 1.5)
    mean = np.average(p, weights=w)
    h = 1.06 * np.sqrt(np.average((p - mean) ** 2, weights=w)) * (64**2 / (w**2).sum()) ** -0.2
    options = {"average": "binary", "sample_weight": w}
    assert density_calibration_error(y, p, **options) == pytest.approx(
        density_calibration_error(y, p, bandwidth=h, **options), abs=1e-12
    )


def test_it_approaches_the_error_of_the_curve() -> None:
    """Events at rate p^2: the error is the mean of |p - p^2|, 1/6."""
    p = (np.arange(400_000) + 0.5) / 400_000
    y = np.arange(400_000) * 0.6180339887 % 1 < p**2
    value = density_calibration_error(y, p, average="binary")
    assert value == pytest.approx(1 / 6, abs=1e-3)


def test_scores_closer_than_the_cells() -> None:
    p = 0.3 + 1e-9 * np.arange(10)
    y = np.arange(10) < 5
    assert density_calibration_error(y, p, average="binary") == pytest.approx(0.2, abs=2e-6)


def test_two_classes_count_twice(rng: np.random.Generator) -> None:
    p = rng.random(30)
    y = rng.integers(0, 2, 30)
    both = np.column_stack([1 - p, p])
    value = dirichlet_calibration_error(y, p, bandwidth=0.1)
    assert value == pytest.approx(leave_one_out(y, both, 0.1, 1), abs=1e-10)
    from scipy.stats import beta

    kernel = np.array([[beta.pdf(a, b / 0.1 + 1, (1 - b) / 0.1 + 1) for b in p] for a in p])
    np.fill_diagonal(kernel, 0.0)
    rate = kernel @ y / kernel.sum(axis=1)
    assert value == pytest.approx(2 * np.abs(rate - p).mean(), abs=1e-10)


def test_row_order_and_class_order_are_irrelevant(three, rng: np.random.Generator) -> None:
    y, p = three
    value = dirichlet_calibration_error(y, p)
    order = rng.permutation(40)
    assert dirichlet_calibration_error(y[order], p[order]) == pytest.approx(value, abs=1e-12)
    assert dirichlet_calibration_error(2 - y, p[:, ::-1]) == pytest.approx(value, abs=1e-12)


def test_it_approaches_the_error_of_a_sharpened_model() -> None:
    """Three classes, 3,000 samples, seed 1: the estimate is near the known canonical error."""
    rng = np.random.default_rng(1)
    true = rng.dirichlet(np.full(3, 1.5), 3000)
    y = (true.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1).clip(max=2)
    p = true**2 / (true**2).sum(axis=1, keepdims=True)
    known = np.abs(true - p).sum(axis=1).mean()
    assert dirichlet_calibration_error(y, p) == pytest.approx(known, abs=0.06)
    assert dirichlet_calibration_error(y, true) < 0.7 * known  # noise alone


def test_memory_is_bounded(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 6000)
    y = rng.integers(0, 3, 6000)
    tracemalloc.start()
    dirichlet_calibration_error(y, p)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6  # the kernel matrix has 288 MB


def test_options_are_checked() -> None:
    y, p = [0, 1], [0.2, 0.7]
    with pytest.raises(ValueError, match="norm must be one of 1, 2"):
        dirichlet_calibration_error(y, p, norm="max")
    with pytest.raises(ValueError, match="bandwidth must be one of 'likelihood'"):
        dirichlet_calibration_error(y, p, bandwidth="normal")
    with pytest.raises(ValueError, match="bandwidth must be one of 'normal'"):
        density_calibration_error(y, p, bandwidth="likelihood")
    with pytest.raises(ValueError, match="needs at least 2"):
        dirichlet_calibration_error([1], [0.5])
