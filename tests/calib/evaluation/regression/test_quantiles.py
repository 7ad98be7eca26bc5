"""Ranked probability score and integral transform of quantiles: closed forms, peers, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from calib.evaluation import interval_score, pit_uniformity, quantile_crps, quantile_pit


def levels(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) / n


@pytest.mark.oracle
def test_crps_of_scoringrules() -> None:
    peer = pytest.importorskip("scoringrules")
    rng = np.random.default_rng(0)
    y, quantiles = rng.normal(size=50), np.sort(rng.normal(size=(50, 7)), axis=1)
    even = np.arange(1, 8) / 8
    wanted = np.mean(peer.crps_quantile(y, quantiles, even, backend="numpy"))
    assert quantile_crps(y, quantiles, levels=even) == pytest.approx(wanted, rel=1e-12)
    uneven = np.array([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])  # the peer weighs all levels alike
    wanted = np.mean(peer.crps_quantile(y, quantiles, uneven, backend="numpy"))
    found = quantile_crps(y, quantiles, levels=uneven, level_weights="equal")
    assert found == pytest.approx(wanted, rel=1e-12)


def test_crps_of_a_normal_distribution() -> None:
    y = np.linspace(-3, 3, 41)
    z = norm.ppf(levels(4000))
    closed = np.mean(y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi))
    assert quantile_crps(y, np.tile(z, (41, 1)), levels=levels(4000)) == pytest.approx(
        closed, abs=2e-4
    )


def test_crps_of_two_ends_and_of_the_median() -> None:
    rng = np.random.default_rng(1)
    y, ends = rng.normal(size=60), np.sort(rng.normal(size=(60, 2)), axis=1)
    crps = quantile_crps(y, ends, levels=[0.1, 0.9])
    assert crps == pytest.approx(0.1 * interval_score(y, *ends.T, confidence_level=0.8))
    absolute = quantile_crps(y, ends[:, :1], levels=[0.5])
    assert absolute == pytest.approx(np.abs(y - ends[:, 0]).mean())
    weighted = quantile_crps(y[:2], ends[:2], levels=[0.1, 0.9], sample_weight=[0, 2])
    assert weighted == pytest.approx(quantile_crps(y[1:2], ends[1:2], levels=[0.1, 0.9]))


@pytest.mark.parametrize("n_levels", [1, 2, 9, 99])
def test_calibrated_quantiles_give_uniform_values(n_levels: int) -> None:
    rng = np.random.default_rng(2)
    tau = np.arange(1, n_levels + 1) / (n_levels + 1)
    found = []
    for repeat in range(500):
        mean, y = rng.normal(size=200), rng.normal(size=200)
        quantiles = mean[:, None] + norm.ppf(tau)
        pit = quantile_pit(y + mean, quantiles, levels=tau, random_state=repeat)
        result = pit_uniformity(pit)
        found.append([result.p_value < 0.1, result.mean, result.variance_ratio])
    average, error = np.mean(found, axis=0), 4 * np.std(found, axis=0) / np.sqrt(500)
    assert (np.abs(average - [0.1, 0.5, 1 - 1 / 200]) < error).all(), average
    mean, y = rng.normal(size=4000), rng.normal(size=4000)
    quantiles = mean[:, None] + norm.ppf(tau)
    if n_levels > 1:
        wide = pit_uniformity(quantile_pit(0.5 * y + mean, quantiles, levels=tau, random_state=0))
        assert wide.p_value < 1e-6
        assert wide.variance_ratio < 0.9
    low = pit_uniformity(quantile_pit(y + mean + 0.3, quantiles, levels=tau, random_state=0))
    assert low.p_value < 1e-6
    assert low.mean > 0.53


def test_uniform_false_alarms() -> None:
    """The test keeps its level: 5 % of uniform samples are rejected at 5 %."""
    rng = np.random.default_rng(3)
    rejected = np.mean([pit_uniformity(rng.random(80)).p_value < 0.05 for _ in range(1000)])
    assert abs(rejected - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 1000)


def test_ties_and_ends() -> None:
    pit = quantile_pit([0, 5, -5], [[0, 0, 1]] * 3, levels=[0.2, 0.4, 0.6], random_state=0)
    assert 0 <= pit[0] <= 0.6  # equals two quantiles
    assert 0.6 <= pit[1] <= 1
    assert 0 <= pit[2] <= 0.2
    again = quantile_pit([0, 5, -5], [[0, 0, 1]] * 3, levels=[0.2, 0.4, 0.6], random_state=0)
    np.testing.assert_array_equal(pit, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [0.9, 0.1]}, "levels must ascend"),
        ({"levels": [0.5, 0.5]}, "levels must ascend"),
        ({"levels": [0, 0.5]}, "levels must ascend"),
        ({"levels": ["a", "b"]}, "levels must ascend"),
        ({"levels": []}, "levels must ascend"),
        ({"levels": [0.5]}, "levels has 1 entries but y_quantiles has 2 columns"),
        ({"y_quantiles": [[np.nan, 1], [0, 1]]}, "y_quantiles contains NaN"),
        ({"y_quantiles": [[0, np.inf], [0, 1]]}, "y_quantiles contains NaN or inf"),
        ({"y_true": [0]}, "y_quantiles has 2 samples but y_true has 1"),
        ({"y_true": [0, np.nan]}, "y_true contains NaN"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    arguments = {
        "y_true": [0, 1],
        "y_quantiles": [[0, 1], [0, 1]],
        "levels": [0.1, 0.9],
        **change,
    }
    for function in (quantile_crps, quantile_pit):
        with pytest.raises(ValueError, match=message):
            function(**arguments)


def test_bad_transforms() -> None:
    with pytest.raises(ValueError, match="y_quantiles cross in row 1"):
        quantile_pit([0, 1], [[0, 1], [1, 0]], levels=[0.1, 0.9])
    for pit, message in (([0, 1.2], "outside"), ([np.nan], "contains NaN"), ([], "0 samples")):
        with pytest.raises(ValueError, match=message):
            pit_uniformity(pit)
