"""Ensemble temperature scaling: published numbers, the exact mixture, the temperature before it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from calib import EnsembleTemperatureCalibrator
from tests.support.ensembles import parts, sharp


def squared_error(p: np.ndarray, y: np.ndarray, w: np.ndarray | None = None) -> float:
    return float(np.average(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1), weights=w))


@pytest.mark.shared_data
@pytest.mark.parametrize(("binary", "brier"), [(False, 0.110284), (True, 0.017544)])
def test_published_numbers(
    densenet: dict[str, np.ndarray],
    two_class: dict[str, tuple[np.ndarray, np.ndarray]],
    binary: bool,
    brier: float,
) -> None:
    def load(part: str) -> tuple[np.ndarray, np.ndarray]:
        if not binary:
            return densenet[f"logits_{part}"].astype(np.float64), densenet[f"labels_{part}"]
        odds, y = two_class[part]
        return np.stack([np.zeros(len(y)), odds], axis=1), y

    cal = EnsembleTemperatureCalibrator(input="logits").fit(*load("val"))
    z, y = load("test")
    assert squared_error(cal.transform(z), y) <= brier + 1e-4


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("weighted", [False, True])
def test_temperature_minimises_the_squared_error(n_classes: int, weighted: bool) -> None:
    z, y = sharp(n_classes=n_classes)
    w = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    cal = EnsembleTemperatureCalibrator(input="logits").fit(z, y, sample_weight=w)
    oracle = minimize_scalar(
        lambda t: squared_error(softmax(z / t, axis=1), y, w),
        bounds=(0.05, 5),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert cal.temperature_ == pytest.approx(oracle.x, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_classes", [2, 5])
def test_weights_beat_every_point_of_a_grid(seed: int, n_classes: int) -> None:
    z, y = sharp(300, n_classes, seed)
    cal = EnsembleTemperatureCalibrator(input="logits").fit(z, y)
    assert cal.weights_.min() >= 0
    assert cal.weights_.sum() == pytest.approx(1, abs=1e-12)
    members = parts(z, cal.temperature_)
    found = squared_error(np.tensordot(cal.weights_, members, axes=1), y)
    steps = np.linspace(0, 1, 41)
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1 + 1e-12]
    best = min(squared_error(np.tensordot(np.array(w), members, axes=1), y) for w in grid)
    assert best - 2e-4 <= found <= best + 1e-12


def test_the_definition_is_what_is_applied() -> None:
    z, y = sharp(400, 3)
    cal = EnsembleTemperatureCalibrator(input="logits").fit(z, y)
    mixed = np.tensordot(cal.weights_, parts(z, cal.temperature_), axes=1)
    share = 1 / (len(y) + 1)
    np.testing.assert_allclose(cal.transform(z), (1 - share) * mixed + share / 3, atol=1e-12)
    assert cal.smoothing_ == share


def test_rows_keep_their_ranking() -> None:
    z, y = sharp(400, 6)
    p = EnsembleTemperatureCalibrator(input="logits").fit(z, y).transform(z)
    np.testing.assert_array_equal(p.argsort(axis=1), z.argsort(axis=1))


@pytest.mark.parametrize("n_classes", [2, 4])
def test_integer_weights_equal_repetition(n_classes: int) -> None:
    z, y = sharp(150, n_classes)
    w = np.random.default_rng(0).integers(1, 5, len(y))
    a = EnsembleTemperatureCalibrator(input="logits").fit(z, y, sample_weight=w)
    b = EnsembleTemperatureCalibrator(input="logits").fit(np.repeat(z, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(a.transform(z), b.transform(z), atol=1e-9)


def test_soft_targets_are_squared_distances_to_fractions() -> None:
    z, _ = sharp(400, 2)
    s = z[:, 1] - z[:, 0]
    t = np.clip(1 / (1 + np.exp(-0.4 * s)) + 0.1 * np.random.default_rng(0).normal(size=400), 0, 1)
    cal = EnsembleTemperatureCalibrator(input="logits").fit(s, t)
    oracle = minimize_scalar(
        lambda u: ((1 / (1 + np.exp(-s / u)) - t) ** 2).mean(), bounds=(0.05, 5), method="bounded"
    )
    assert cal.temperature_ == pytest.approx(oracle.x, abs=1e-4)
    assert np.abs(cal.transform(s)[:, 1] - t).mean() < 0.1


def test_separable_and_useless_scores_reach_the_ends() -> None:
    z = np.eye(3)[np.arange(60) % 3] * 0.1
    sure = EnsembleTemperatureCalibrator(input="logits").fit(z, np.arange(60) % 3)
    assert sure.temperature_ == pytest.approx(0.05)
    assert sure.transform(z).max() < 1
    rng = np.random.default_rng(0)
    z, y = 40 * rng.normal(size=(3000, 3)), rng.integers(0, 3, 3000)
    useless = EnsembleTemperatureCalibrator(input="logits").fit(z, y)
    assert useless.weights_[2] > 0.9
    np.testing.assert_allclose(useless.transform(z), 1 / 3, atol=0.1)


def test_exact_zeros_and_ones() -> None:
    rng = np.random.default_rng(0)
    p = np.eye(3)[rng.integers(0, 3, 300)]
    y = np.where(rng.random(300) < 0.8, p.argmax(axis=1), rng.integers(0, 3, 300))
    out = EnsembleTemperatureCalibrator().fit(p, y).transform(p)
    assert out.min() > 0
    assert out.max(axis=1).mean() == pytest.approx((p.argmax(axis=1) == y).mean(), abs=0.02)


def test_unknown_options_are_refused() -> None:
    z, y = sharp(30)
    with pytest.raises(ValueError, match="input must be"):
        EnsembleTemperatureCalibrator(input="odds").fit(z, y)
    with pytest.raises(TypeError, match="unexpected keyword"):
        EnsembleTemperatureCalibrator(temperature=2.0)
