"""Binned errors against netcal, torchmetrics and scikit-learn, and the conventions they differ in.

* netcal bins ``[a, b)``, the last one closed, as here; its ECE, ACE and MCE take the positive class
  for 1-D input and the top label for a matrix. Its **ACE is the average calibration error**
  (unweighted over non-empty bins).
* torchmetrics bins ``[a, b)`` and puts 1.0 into an extra bin; ``norm="l2"`` is the root of the mean
  square; its binary form takes the probability of the positive class.
* scikit-learn's `calibration_curve` bins ``(a, b]`` and leaves empty bins out; its quantile edges
  are interpolated quantiles, ours are observed values, so n is a multiple of the bins here.

* verified-calibration (Kumar et al.) has the same bins of equal mass where they divide the samples;
  its debiased error of several classes cuts every class at 0, ours the mean.

Unless a test is about edges, no probability lies on one.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from calib.evaluation import (
    average_calibration_error,
    binned_calibration_table,
    expected_calibration_error,
    maximum_calibration_error,
)

pytestmark = pytest.mark.oracle
N_BINS = [5, 10, 15, 40]


@pytest.fixture(scope="module")
def binary() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    p = rng.beta(0.7, 0.9, 1200)
    return (rng.random(1200) < p**1.4).astype(int), p


@pytest.fixture(scope="module")
def multiclass() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    p = rng.dirichlet(np.full(5, 0.4), 1200)
    return (p.cumsum(axis=1) ** 0.7 < rng.random((1200, 1))).sum(axis=1).clip(max=4), p


@pytest.fixture(scope="module")
def netcal_metrics():
    pytest.importorskip("netcal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from netcal import metrics
    return metrics


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_bins", N_BINS)
@pytest.mark.parametrize("view", ["binary", "top_label"])
def test_netcal(n_bins: int, view: str, netcal_metrics, binary, multiclass) -> None:
    y, p = binary if view == "binary" else multiclass
    options = {"n_bins": n_bins, "average": view}
    for theirs, ours in (
        (netcal_metrics.ECE, expected_calibration_error),
        (netcal_metrics.ACE, average_calibration_error),
        (netcal_metrics.MCE, maximum_calibration_error),
    ):
        assert ours(y, p, **options) == pytest.approx(theirs(n_bins).measure(p, y), abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_netcal_equal_mass_differs_by_its_edges_only(netcal_metrics, binary) -> None:
    y, p = binary
    theirs = netcal_metrics.ECE(15, equal_intervals=False).measure(p, y)
    ours = expected_calibration_error(y, p, n_bins=15, strategy="quantile", average="binary")
    assert ours == pytest.approx(theirs, abs=2e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_bins", N_BINS)
@pytest.mark.parametrize(("norm", "theirs"), [(1, "l1"), (2, "l2"), ("max", "max")])
def test_torchmetrics(n_bins: int, norm, theirs: str, binary, multiclass) -> None:
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.functional.classification")
    y, p = binary
    expected = classification.binary_calibration_error(
        torch.tensor(p), torch.tensor(y), n_bins=n_bins, norm=theirs
    )
    ours = expected_calibration_error(y, p, n_bins=n_bins, norm=norm, average="binary")
    assert ours == pytest.approx(float(expected), abs=1e-6)  # it adds in float32
    y, p = multiclass
    expected = classification.multiclass_calibration_error(
        torch.tensor(p), torch.tensor(y), num_classes=5, n_bins=n_bins, norm=theirs
    )
    ours = expected_calibration_error(y, p, n_bins=n_bins, norm=norm)
    assert ours == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("n_bins", N_BINS)
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_scikit_learn_curve(n_bins: int, strategy: str, binary) -> None:
    from sklearn.calibration import calibration_curve

    y, p = binary
    table = binned_calibration_table(y, p, n_bins=n_bins, strategy=strategy, average="binary")
    rate, mean = calibration_curve(y, p, n_bins=n_bins, strategy=strategy)
    filled = table.weight > 0
    np.testing.assert_allclose(table.observed_rate[filled], rate)
    np.testing.assert_allclose(table.mean_prediction[filled], mean)


@pytest.mark.filterwarnings("ignore")
def test_on_an_edge_we_agree_with_netcal_and_not_with_scikit_learn(netcal_metrics) -> None:
    from sklearn.calibration import calibration_curve

    y, p = np.array([0, 1, 1, 1]), np.array([0.05, 0.1, 0.1, 0.15])
    table = binned_calibration_table(y, p, n_bins=10, average="binary")
    np.testing.assert_array_equal(table.weight[:2], [1, 3])  # [0, 0.1) and [0.1, 0.2)
    ours = expected_calibration_error(y, p, n_bins=10, average="binary")
    assert ours == pytest.approx((0.05 + 2.65) / 4)
    assert netcal_metrics.ECE(10).measure(p, y) == pytest.approx(ours)
    rate, _ = calibration_curve(y, p, n_bins=10)  # (0, 0.1] holds three of the four
    np.testing.assert_allclose(rate, [2 / 3, 1])
    np.testing.assert_allclose(table.observed_rate[:2], [0, 1])


def test_where_torchmetrics_puts_certainty() -> None:
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.functional.classification")
    y, p = np.array([0, 1, 1]), np.array([0.95, 0.9, 1.0])
    ours = expected_calibration_error(y, p, n_bins=5, average="binary")
    theirs = classification.binary_calibration_error(torch.tensor(p), torch.tensor(y), n_bins=5)
    assert ours == pytest.approx((2.85 - 2) / 3)  # one bin [0.8, 1]
    assert float(theirs) == pytest.approx((1.85 - 1) / 3)  # 1.0 apart, with gap 0


@pytest.mark.parametrize("n_bins", [10, 15, 40])
def test_verified_calibration(n_bins: int, binary) -> None:
    theirs = pytest.importorskip("calibration").lower_bound_scaling_ce
    y, p = binary
    options = {"n_bins": n_bins, "strategy": "quantile", "average": "binary"}
    for norm in (1, 2):
        plain = expected_calibration_error(y, p, norm=norm, **options)
        assert plain == pytest.approx(theirs(p, y, norm, False, n_bins), abs=1e-12)
    debiased = expected_calibration_error(y, p, norm=2, debias=True, **options)
    assert debiased == pytest.approx(theirs(p, y, 2, True, n_bins), abs=1e-12)
    np.random.seed(0)  # noqa: NPY002 - theirs draws from the global generator, ours integrates
    drawn = np.mean([theirs(p, y, 1, True, n_bins) for _ in range(20)])
    debiased = expected_calibration_error(y, p, debias=True, **options)
    assert debiased == pytest.approx(drawn, abs=6e-4)
