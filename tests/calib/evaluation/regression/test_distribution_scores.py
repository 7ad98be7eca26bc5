"""Scores and calibration errors of predicted distributions: values, weights, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.evaluation import (
    coverage_curve,
    crps,
    expected_normalized_calibration_error,
    interval_coverage,
    normal_crps,
    pinball_loss,
    pit_histogram,
    pit_uniformity,
    predictive_distribution,
    quantile_calibration_error,
    quantile_crps,
    sample_crps,
    uncertainty_calibration_error,
)
from tests.support.golden import golden

Y, MEAN, STD = golden()
GOLDEN = predictive_distribution(mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("y", "mean", "std", "expected"),
    [(0, 0, 1, 0.2336949773), (1.5, 0, 1, 0.9944240040), (-1, 2, 3, 1.8073240729)],
)
def test_normal_scores(y: float, mean: float, std: float, expected: float) -> None:
    assert normal_crps([y], [mean], [std]) == pytest.approx(expected, abs=1e-9)
    given = predictive_distribution(mean=[mean], std=[std])
    assert crps([y], given) == pytest.approx(expected, abs=1e-9)


def test_a_normal_distribution_without_width_is_a_point() -> None:
    assert normal_crps([1, 3], [2, 3], [0, 0]) == 0.5


def test_samples() -> None:
    assert sample_crps([3], [[4, 1, 7, 2]]) == 0.75
    assert sample_crps([3], [[4, 1, 7, 2]], estimator="fair") == pytest.approx(1 / 3)
    assert sample_crps([3], [[5]]) == 2.0


def test_fair_scores_do_not_depend_on_the_number_of_draws(rng: np.random.Generator) -> None:
    y = rng.standard_normal(20_000)
    few, many = rng.standard_normal((20_000, 5)), rng.standard_normal((20_000, 50))
    assert sample_crps(y, few) == pytest.approx(0.677, abs=0.01)
    assert sample_crps(y, few, estimator="fair") == pytest.approx(0.5642, abs=0.01)
    assert sample_crps(y, many, estimator="fair") == pytest.approx(0.5642, abs=0.01)


def test_pinball_loss_is_half_the_score_of_even_levels() -> None:
    levels = (np.arange(9) + 0.5) / 9
    quantiles = GOLDEN.quantile(levels)
    loss = pinball_loss(Y, quantiles, levels=levels)
    assert 2 * loss == pytest.approx(quantile_crps(Y, quantiles, levels=levels))
    single = pinball_loss(Y, quantiles[:, 4], levels=0.5)
    assert single == pytest.approx(np.abs(Y - MEAN).mean() / 2)


def test_the_golden_set() -> None:
    assert crps(Y, GOLDEN) == pytest.approx(0.6099694893, abs=1e-9)
    assert GOLDEN.log_score(Y).mean() == pytest.approx(1.6570496851, abs=1e-9)
    ence = expected_normalized_calibration_error(Y, MEAN, STD)
    assert ence == pytest.approx(0.4880331888, abs=1e-9)
    uce = uncertainty_calibration_error(Y, MEAN, STD)
    assert uce == pytest.approx(0.6212322950, abs=1e-9)
    one_sided = quantile_calibration_error(Y, GOLDEN)
    assert one_sided == pytest.approx(0.0633684211, abs=1e-9)
    central = quantile_calibration_error(Y, GOLDEN, kind="central")
    assert central == pytest.approx(0.1302105263, abs=1e-9)
    assert pit_uniformity(GOLDEN.pit(Y)).statistic == pytest.approx(0.0989825353, abs=1e-9)
    curve = coverage_curve(Y, GOLDEN, levels=[0.5, 0.8, 0.9])
    assert curve.coverage.tolist() == [0.346, 0.608, 0.728]
    for level, share in zip(curve.levels, curve.coverage, strict=True):
        assert interval_coverage(Y, *GOLDEN.interval(level).T) == share


def test_central_levels_hide_a_bias() -> None:
    y = np.array([-1.0, 1.0] * 50)
    up = predictive_distribution(mean=np.tile([0.5, 2.5], 50), std=np.full(100, 1.5))
    assert quantile_calibration_error(y, up) > 0.3
    assert quantile_calibration_error(y, up, kind="central") < 0.31


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_an_integer_weight_is_repetition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 500, 40)
    y, mean, std = Y[rows], MEAN[rows], STD[rows]
    count = rng.integers(0, 4, 40)
    count[0] = 2
    again = np.repeat(np.arange(40), count)
    given, repeated = (
        predictive_distribution(mean=m, std=s) for m, s in ((mean, std), (mean[again], std[again]))
    )
    pairs = [
        (metric(y, mean, std, sample_weight=count), metric(y[again], mean[again], std[again]))
        for metric in (
            normal_crps,
            expected_normalized_calibration_error,
            uncertainty_calibration_error,
        )
    ]
    pairs += [
        (metric(y, given, sample_weight=count), metric(y[again], repeated))
        for metric in (crps, quantile_calibration_error)
    ]
    pairs.append(
        (
            coverage_curve(y, given, sample_weight=count).coverage.sum(),
            coverage_curve(y[again], repeated).coverage.sum(),
        )
    )
    for weighted, of_repeated in pairs:
        assert weighted == pytest.approx(of_repeated, rel=1e-9)


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.parametrize("unit", [1e-6, 40.0, 1e6])
def test_the_unit_of_y_does_not_matter(strategy: str, unit: float) -> None:
    options = {"strategy": strategy}
    given, scaled = (Y, MEAN, STD), (unit * Y, unit * MEAN, unit * STD)
    ence = expected_normalized_calibration_error
    assert ence(*scaled, **options) == pytest.approx(ence(*given, **options), rel=1e-9)
    uce = uncertainty_calibration_error
    expected = unit**2 * uce(*given, **options)
    assert uce(*scaled, **options) == pytest.approx(expected, rel=1e-9)


def test_the_floor_of_bins_of_equal_mass(rng: np.random.Generator) -> None:
    for n, expected in ((200, 0.127), (1000, 0.061), (10_000, 0.019)):
        found = []
        for _ in range(40):
            std = np.exp(0.7 * rng.normal(size=n))
            y = std * rng.normal(size=n)
            found.append(expected_normalized_calibration_error(y, np.zeros(n), std))
        assert np.mean(found) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_equal_spreads_stand_in_one_bin(strategy: str) -> None:
    y = np.tile([1.0, -1.0, 2.0, -2.0], 25)
    for metric, expected in (
        (expected_normalized_calibration_error, np.sqrt(2.5) - 1),
        (uncertainty_calibration_error, 1.5),
    ):
        value = metric(y, np.zeros(100), np.ones(100), strategy=strategy)
        assert value == pytest.approx(expected)


def test_labels_on_steps_are_drawn_inside_them(rng: np.random.Generator) -> None:
    members = rng.integers(0, 4, (2000, 200)).astype(float)
    given = predictive_distribution(samples=members)
    y = rng.integers(0, 4, 2000).astype(float)
    assert quantile_calibration_error(y, given) < 0.03
    assert np.abs(coverage_curve(y, given).coverage - coverage_curve(y, given).levels).max() < 0.06


# ------------------------------------------------------------------------------- what chance shows


def test_the_range_of_chance_grows_with_a_small_calibration_set() -> None:
    alone, shared = (coverage_curve(Y, GOLDEN, n_calibration=m) for m in (None, 100))
    assert ((shared.high - shared.low) > 2 * (alone.high - alone.low)).all()
    pit = (np.arange(1000) + 0.5) / 1000
    alone, shared = (pit_histogram(pit, n_calibration=m) for m in (None, 250))
    ratio = (shared.high - shared.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(1 + 1000 / 250), rel=0.05)
    assert alone.low < 1 < alone.high
    assert alone.density == pytest.approx(np.ones(10))


def test_bins_outside_chance_are_as_rare_as_said(rng: np.random.Generator) -> None:
    outside = []
    for _ in range(300):
        h = pit_histogram(rng.random(400))
        outside.append(((h.density < h.low) | (h.density > h.high)).mean())
    assert 0.02 < np.mean(outside) < 0.06


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (lambda: crps(Y, np.column_stack([MEAN, STD])), "must be a PredictiveDistribution"),
        (lambda: crps(Y[:5], GOLDEN), "500"),
        (lambda: crps([*Y[:-1], np.nan], GOLDEN), "NaN"),
        (lambda: crps(Y, GOLDEN, sample_weight=-np.ones(500)), "sample_weight"),
        (lambda: normal_crps(Y, MEAN, -STD), "y_std must be >= 0"),
        (lambda: normal_crps(Y, MEAN[:4], STD), "y_mean"),
        (lambda: sample_crps([1], [[2]], estimator="fair"), "at least 2 draws"),
        (lambda: sample_crps([1], [[2, np.nan]]), "NaN"),
        (lambda: sample_crps([1], [[2, 3]], estimator="unbiased"), "estimator"),
        (lambda: pinball_loss([1], [[1, 2]], levels=[0.5]), "1 entries"),
        (lambda: pinball_loss([1], [1], levels=50), "percentages"),
        (lambda: quantile_calibration_error(Y, GOLDEN, levels=[0.5, 1.0]), "levels"),
        (lambda: quantile_calibration_error(Y, GOLDEN, kind="two-sided"), "kind"),
        (lambda: coverage_curve(Y, GOLDEN, levels=90), "levels"),
        (lambda: coverage_curve(Y, GOLDEN, n_calibration=0), "n_calibration"),
        (lambda: coverage_curve(Y, GOLDEN, confidence_level=95), "confidence_level"),
        (lambda: pit_histogram([0.5, 1.5]), "pit must lie"),
        (lambda: pit_histogram([0.5], n_bins=0), "n_bins"),
        (lambda: expected_normalized_calibration_error(Y, MEAN, 0 * STD), "floor"),
        (lambda: uncertainty_calibration_error(Y, MEAN, STD, n_bins=0), "n_bins"),
        (lambda: uncertainty_calibration_error(Y, MEAN, STD, strategy="mass"), "strategy"),
    ],
)
def test_refusals_name_the_argument(metric, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metric()
