"""Bin-free errors against other packages, and the conventions they differ in.

* relplot halves the bandwidth ten times and stops at 0.001, rounds scores to its grid and averages
  over grid points, so its smooth error agrees to about 2e-3.
* netcal's MMCE of a matrix is the top-label MMCE with width 0.4. Its 1-D form compares P(class 1)
  with "the label at threshold 0.5 is right", which is neither the binary nor the top-label error.
* The loess of R (scikit-misc) does not keep the curve within [0, 1].
* KDEpy's bandwidth is the standard deviation of the kernel, a third of the triweight's half-width.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from calib.evaluation import (
    density_calibration_error,
    maximum_mean_calibration_error,
    smooth_calibration_error,
)
from tests.support.bin_free import Toy as Data, skewed


@pytest.fixture(scope="module")
def binary() -> Data:
    return skewed()


pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def multiclass() -> Data:
    rng = np.random.default_rng(8)
    p = rng.dirichlet(np.full(5, 0.4), 1200)
    return (p.cumsum(axis=1) ** 0.7 < rng.random((1200, 1))).sum(axis=1).clip(max=4), p


@pytest.fixture(scope="module")
def relplot():
    pytest.importorskip("relplot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        import relplot
    return relplot


def test_relplot(relplot, binary: Data, multiclass: Data) -> None:
    y, p = binary
    ours = smooth_calibration_error(y, p, average="binary")
    assert ours == pytest.approx(relplot.smECE(p, y), abs=2e-3)
    y, p = multiclass
    top, correct = p.max(axis=1), (p.argmax(axis=1) == y).astype(float)
    assert smooth_calibration_error(y, p) == pytest.approx(relplot.smECE(top, correct), abs=2e-3)


@pytest.mark.parametrize("bandwidth", [0.02, 0.05, 0.15])
def test_relplot_at_a_fixed_bandwidth(bandwidth: float, relplot, binary: Data) -> None:
    y, p = binary
    ours = smooth_calibration_error(y, p, bandwidth=bandwidth, average="binary")
    assert ours == pytest.approx(relplot.smECE_sigma(p, y, bandwidth), abs=1e-3)


def test_netcal(binary: Data, multiclass: Data) -> None:
    pytest.importorskip("netcal")
    from netcal.metrics import MMCE

    y, p = multiclass
    assert maximum_mean_calibration_error(y, p) == pytest.approx(MMCE().measure(p, y), abs=1e-12)
    y, p = binary
    both = np.column_stack([1 - p, p])
    top = maximum_mean_calibration_error(y, p, average="top_label")
    assert top == pytest.approx(MMCE().measure(both, y), abs=1e-12)
    mixed = MMCE().measure(p, y)
    residual = ((p > 0.5) == y) - p
    kernel = np.exp(-2.5 * np.abs(p[:, None] - p))
    assert mixed == pytest.approx(np.sqrt(residual @ kernel @ residual) / 1200)
    for view in ("binary", "top_label"):
        assert abs(maximum_mean_calibration_error(y, p, average=view) - mixed) > 0.01


def test_density_of_the_published_program(binary: Data) -> None:
    """Its recipe: mirrored estimates of KDEpy, rate cut at 1, trapezoids, divided by the mass."""
    FFTKDE = pytest.importorskip("KDEpy").FFTKDE
    y, p = binary
    width = np.std(p[y == 1]) * (2 * len(p)) ** -0.2
    z = np.linspace(-0.6, 1.6, 2**14)

    def density(sample: np.ndarray) -> np.ndarray:
        mirrored = np.concatenate([-sample[sample < 0.5], sample, 2 - sample[sample >= 0.5]])
        found = 2 * FFTKDE(bw=width, kernel="triweight").fit(mirrored[:, None]).evaluate(z)
        return np.where((z > 0) & (z < 1), found, 0.0)

    events, scores = density(p[y == 1]), density(p)
    rate = np.minimum(y.mean() * events / np.maximum(scores, 1e-12), 1.0)
    theirs = np.trapezoid(np.abs(z - rate) * scores, z) / np.trapezoid(scores, z)
    ours = density_calibration_error(y, p, bandwidth=3 * width, average="binary")
    assert ours == pytest.approx(theirs, abs=1e-3)
