"""Isotonic calibration: against scikit-learn, published numbers, centring, ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from calib import IsotonicCalibrator


def binary(n: int = 800, seed: int = 0, decimals: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random(n).round(decimals)
    return p, (rng.random(n) < p**1.7).astype(int)


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(decimals: int, weighted: bool) -> None:
    p, y = binary(decimals=decimals)
    w = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    peer = IsotonicRegression(out_of_bounds="clip").fit(p, y, sample_weight=w)
    grid = np.linspace(0, 1, 1001)
    ours = IsotonicCalibrator(smoothing=False).fit(p, y, sample_weight=w).transform(grid)
    np.testing.assert_allclose(ours[:, 1], peer.predict(grid), atol=1e-12)


@pytest.mark.parametrize("decimals", [2, 5, 15])
def test_ties_across_blocks_of_many_rows_are_pooled(decimals: int) -> None:
    p, y = binary(150_000, decimals=decimals)
    w = np.random.default_rng(1).integers(1, 4, len(y)).astype(float)
    peer = IsotonicRegression(out_of_bounds="clip").fit(p, y, sample_weight=w)
    grid = np.linspace(0, 1, 1001)
    cal = IsotonicCalibrator(smoothing=False).fit(p, y, sample_weight=w)
    np.testing.assert_allclose(cal.transform(grid)[:, 1], peer.predict(grid), atol=1e-12)
    again = IsotonicCalibrator(smoothing=False).fit(
        np.repeat(p, w.astype(int)), y.repeat(w.astype(int))
    )
    np.testing.assert_array_equal(again.knots_, cal.knots_)
    np.testing.assert_allclose(again.values_, cal.values_, rtol=1e-12)


@pytest.mark.shared_data
@pytest.mark.parametrize(("centred", "brier"), [(False, 0.111788), (True, 0.111512)])
def test_published_numbers(densenet: dict[str, np.ndarray], centred: bool, brier: float) -> None:
    cal = IsotonicCalibrator(input="logits", centred=centred)
    cal.fit(densenet["logits_val"], densenet["labels_val"])
    y = densenet["labels_test"]
    p = cal.transform(densenet["logits_test"].astype(np.float64))
    assert ((p - np.eye(10)[y]) ** 2).sum(axis=1).mean() <= brier
    assert -np.log(p[np.arange(len(y)), y]).mean() < 0.26


def test_declared_logits_are_mapped_on_probabilities() -> None:
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(500, 4))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    from_logits = IsotonicCalibrator(input="logits").fit(z, y)
    p = softmax(z, axis=1)
    np.testing.assert_allclose(
        from_logits.transform(z), IsotonicCalibrator().fit(p, y).transform(p), atol=1e-12
    )
    assert from_logits.knots_.min() >= 0
    assert from_logits.knots_.max() <= 1


def test_centred_knots_are_block_centres() -> None:
    x = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    y = np.array([0, 1, 0, 1, 0, 1])
    cal = IsotonicCalibrator(centred=True, smoothing=False).fit(x, y)
    # blocks: {0.1} -> 0, {0.2, 0.3} -> 1/2, {0.4, 0.5} -> 1/2 pooled with it, {0.6} -> 1
    np.testing.assert_allclose(cal.knots_, [[0.1, 0.35, 0.6]])
    np.testing.assert_allclose(cal.values_, [[0, 0.5, 1]])
    np.testing.assert_allclose(cal.transform(np.array([0.225]))[:, 1], 0.25)


def test_centred_is_strictly_increasing_between_outer_knots() -> None:
    p, y = binary()
    cal = IsotonicCalibrator(centred=True, smoothing=False).fit(p, y)
    inner = (cal.values_[0] > 0) & (cal.values_[0] < 1)
    assert (np.diff(cal.values_[0][inner]) > 0).all()


def test_smoothing_bounds_the_loss() -> None:
    p, y = binary(n=200)
    out = IsotonicCalibrator().fit(p, y).transform(np.array([0.0, 1.0]))
    assert out.min() >= 1 / (2 * 201) - 1e-15
    raw = IsotonicCalibrator(smoothing=False).fit(p, y).transform(np.array([0.0, 1.0]))
    np.testing.assert_allclose(out, (1 - 1 / 201) * raw + 1 / 402, atol=1e-12)


def test_monotone_and_mean_preserving() -> None:
    p, y = binary()
    cal = IsotonicCalibrator(smoothing=False).fit(p, y)
    assert (np.diff(cal.transform(np.linspace(0, 1, 500))[:, 1]) >= 0).all()
    assert cal.transform(p)[:, 1].mean() == pytest.approx(y.mean(), abs=1e-12)


def test_row_without_any_mass_keeps_its_probabilities() -> None:
    cal = IsotonicCalibrator(smoothing=False)
    cal.classes_, cal.n_features_in_, cal.smoothing_ = np.arange(3), 3, 0.0
    cal.knots_ = np.tile([0.0, 0.9, 1.0], (3, 1))
    cal.values_ = np.tile([0.0, 0.0, 1.0], (3, 1))
    row = np.array([[0.5, 0.3, 0.2], [0.95, 0.03, 0.02]])
    np.testing.assert_allclose(cal.transform(row), [[0.5, 0.3, 0.2], [1, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("option", ["centred", "smoothing"])
def test_options_are_checked(option: str) -> None:
    p, y = binary(n=20)
    with pytest.raises(ValueError, match=f"{option} must be one of True, False"):
        IsotonicCalibrator(**{option: "yes"}).fit(p, y)
