"""Scores over quantile levels weigh them; uniformity knows the calibration set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm

from calib.evaluation import pit_uniformity, quantile_crps
from uq import ConformalBoxes, conformal_p_values

N_ROWS = 4000
Y = norm.ppf((np.arange(N_ROWS) + 0.5) / N_ROWS)
TRUTH = 1 / np.sqrt(np.pi)


def exact(levels) -> np.ndarray:
    return np.tile(norm.ppf(levels), (N_ROWS, 1))


@pytest.mark.parametrize(
    ("levels", "error"),
    [
        ([0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975], 0.02),
        ([0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99], 0.04),
        ([0.01, 0.025, *np.arange(0.05, 0.96, 0.05), 0.975, 0.99], 0.01),
        ((np.arange(50) + 0.5) / 50, 0.01),
        (np.arange(1, 100) / 100, 0.012),
        (1 / (1 + np.exp(-np.linspace(-6, 6, 40))), 0.01),
    ],
)
def test_the_score_of_an_exact_normal_distribution(levels, error: float) -> None:
    levels = np.asarray(levels)
    assert quantile_crps(Y, exact(levels), levels=levels) == pytest.approx(TRUTH, rel=error)


def test_uneven_levels_are_not_averaged() -> None:
    levels = [0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975]
    equal = quantile_crps(Y, exact(levels), levels=levels, level_weights="equal")
    assert equal == pytest.approx(0.432, abs=0.001)
    trapezoid = quantile_crps(Y, exact(levels), levels=levels, level_weights="trapezoid")
    assert trapezoid == quantile_crps(Y, exact(levels), levels=levels)


@pytest.mark.parametrize("n_levels", [1, 2, 3, 9, 19])
def test_even_levels_keep_the_plain_mean(n_levels: int) -> None:
    for levels in (
        (np.arange(n_levels) + 0.5) / n_levels,
        np.arange(1, n_levels + 1) / (n_levels + 1),
    ):
        auto = quantile_crps(Y, exact(levels), levels=levels)
        assert auto == quantile_crps(Y, exact(levels), levels=levels, level_weights="equal")


def test_a_middle_that_leaves_wide_tails_is_not_taken_for_all() -> None:
    levels = [0.4, 0.45, 0.5, 0.55, 0.6]
    auto = quantile_crps(Y, exact(levels), levels=levels)
    assert auto == quantile_crps(Y, exact(levels), levels=levels, level_weights="trapezoid")
    assert auto < TRUTH


@settings(deadline=None, max_examples=50)
@given(
    levels=st.lists(st.floats(0.001, 0.999), min_size=1, max_size=12, unique=True).map(sorted),
    kind=st.sampled_from(["auto", "equal", "trapezoid"]),
    shift=st.floats(0.05, 3.0),
)
def test_true_quantiles_score_best(levels, kind: str, shift: float) -> None:
    best = quantile_crps(Y, exact(levels), levels=levels, level_weights=kind)
    for moved in (exact(levels) + shift, exact(levels) - shift, exact(levels) * (1 + shift)):
        assert best <= quantile_crps(Y, moved, levels=levels, level_weights=kind) + 1e-3


@pytest.mark.oracle
def test_the_peer_weighs_levels_alike() -> None:
    peer = pytest.importorskip("scoringrules")
    rng = np.random.default_rng(0)
    y, quantiles = rng.normal(size=40), np.sort(rng.normal(size=(40, 5)), axis=1)
    for levels in (np.arange(1, 6) / 6, (np.arange(5) + 0.5) / 5):
        wanted = np.mean(peer.crps_quantile(y, quantiles, levels, backend="numpy"))
        assert quantile_crps(y, quantiles, levels=levels) == pytest.approx(wanted, rel=1e-12)


def test_an_unknown_weighting_is_refused() -> None:
    with pytest.raises(ValueError, match="level_weights must be one of"):
        quantile_crps([0.0], [[0.0]], levels=[0.5], level_weights="simpson")


# ------------------------------------------------------------------------------- uniformity


@pytest.mark.parametrize("smoothed", [True, False])
@pytest.mark.parametrize(
    ("n_calibration", "n_test"), [(20, 100), (99, 480), (200, 480), (721, 309), (2800, 1200)]
)
def test_valid_conformal_values_are_accepted(
    n_calibration: int, n_test: int, smoothed: bool
) -> None:
    """300 systems, seed 3: at most 5 % and three standard errors."""
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(300):
        scores, tests = rng.normal(size=n_calibration), rng.normal(size=n_test)
        values = conformal_p_values(scores, tests, smoothed=smoothed, random_state=rng)
        rejected += pit_uniformity(values, n_calibration=n_calibration).p_value <= 0.05
    assert rejected / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_invalid_conformal_values_are_rejected() -> None:
    rng = np.random.default_rng(4)
    values = conformal_p_values(rng.normal(size=500), rng.normal(0.5, 1, size=500))
    assert pit_uniformity(values, n_calibration=500).p_value < 1e-6


def test_lattice_values_need_their_count() -> None:
    rng = np.random.default_rng(5)
    values = conformal_p_values(rng.normal(size=99), rng.normal(size=200))
    with pytest.raises(
        ValueError, match=r"multiples of 1/100, .* of 99 calibration.*n_calibration"
    ):
        pit_uniformity(values)
    with pytest.raises(
        ValueError, match="n_calibration is 150, but pit repeats multiples of 1/100"
    ):
        pit_uniformity(values, n_calibration=150)
    with pytest.raises(ValueError, match="multiples of 1/10"):
        pit_uniformity(rng.random(100).round(1))


def test_the_count_comes_from_the_object_that_made_the_values() -> None:
    boxes = np.array([[0.0, 0, 10, 10]]) + np.random.default_rng(6).normal(size=(60, 4))
    fitted = ConformalBoxes().fit(boxes, boxes + 0.1)
    result = pit_uniformity(np.linspace(0.01, 0.99, 50), n_calibration=fitted)
    assert result.n_calibration == 60
    assert "60 calibration samples" in str(result)
    assert "need n_calibration" in str(pit_uniformity(np.linspace(0.01, 0.99, 50)))


@pytest.mark.parametrize("wrong", ["200", 0, -1, 20.5, True, object()])
def test_a_count_that_is_none_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="n_calibration must be"):
        pit_uniformity([0.1, 0.9], n_calibration=wrong)


def test_continuous_values_are_never_taken_for_a_lattice() -> None:
    rng = np.random.default_rng(7)
    for n in (2, 10, 1000):
        assert pit_uniformity(rng.random(n)).n_calibration is None
    pit_uniformity((np.arange(100) + 0.5) / 100)
    pit_uniformity(np.r_[0.0, 0.0, 1.0, 1.0, rng.random(20)])  # saturated ends may repeat
