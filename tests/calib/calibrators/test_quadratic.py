"""Quadratic scaling: published numbers, penalised likelihood, and the guard of the order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from calib import PlattCalibrator, QuadraticCalibrator

#: The penalty of the docstring, per unit of weight.
CURVATURE_PENALTY = 1.0


def unequal(n: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal log-odds of unequal variance: a parabola is exactly right, its vertex is outside."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    return np.where(y == 1, rng.normal(3, 1.5, n), rng.normal(-1, 1.2, n)), y


def bowl(n: int = 2000, sign: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds whose true map turns round at -1."""
    rng = np.random.default_rng(3)
    s = 2 * rng.normal(size=n)
    return s, (rng.random(n) < expit(sign * (0.3 * (s + 1) ** 2 - 1.5))).astype(int)


def reference(s: np.ndarray, t: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the minimum of the penalised loss by a general optimiser, on standardised scores."""
    centre = np.average(s, weights=w)
    u = (s - centre) / np.sqrt(np.average((s - centre) ** 2, weights=w))
    x = np.stack([np.ones_like(u), u, u * u], axis=1)
    factor = np.array([0, 0, CURVATURE_PENALTY / w.sum()])

    def loss(c: np.ndarray) -> tuple[float, np.ndarray]:
        eta = x @ c
        value = np.average(np.logaddexp(0, eta) - t * eta, weights=w) + factor @ (c * c)
        return value, x.T @ ((expit(eta) - t) * w) / w.sum() + 2 * factor * c

    fit = minimize(loss, np.zeros(3), jac=True, method="BFGS", options={"gtol": 1e-11})
    return np.asarray(fit.x)


@pytest.mark.shared_data
def test_published_numbers(two_class: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    cal = QuadraticCalibrator(input="logits").fit(*two_class["val"])
    s, y = two_class["test"]
    p = cal.transform(s)
    assert ((p - np.eye(2)[y]) ** 2).sum(axis=1).mean() <= 0.016960 + 1e-4
    assert -np.log(p[np.arange(len(y)), y]).mean() <= 0.029658 + 2e-4


@pytest.mark.parametrize("kind", ["plain", "weighted", "soft"])
def test_minimum_is_that_of_a_general_optimiser(kind: str) -> None:
    s, y = unequal()
    rng = np.random.default_rng(1)
    w = rng.uniform(0.5, 2, len(y)) if kind == "weighted" else np.ones(len(y))
    t = np.clip(0.8 * y + 0.2 * rng.random(len(y)), 0, 1) if kind == "soft" else y.astype(float)
    cal = QuadraticCalibrator(input="logits", monotone=False)
    cal.fit(s, t if kind == "soft" else y, sample_weight=w if kind == "weighted" else None)
    np.testing.assert_allclose(cal.coef_[0], reference(s, t, w), atol=1e-6)
    u = (s - cal.centre_) / cal.scale_
    eta = np.stack([np.ones_like(u), u, u * u], axis=1) @ cal.coef_[0]
    share = 1 / (w.sum() + 1)
    np.testing.assert_allclose(
        cal.transform(s)[:, 1], (1 - share) * expit(eta) + share / 2, atol=1e-12
    )


def test_truth_of_normal_scores_is_recovered() -> None:
    s, y = unequal(100_000)
    cal = QuadraticCalibrator(input="logits").fit(s, y)

    def log_density(x: np.ndarray, mean: float, spread: float) -> np.ndarray:
        return -0.5 * ((x - mean) / spread) ** 2 - np.log(spread)

    x = np.linspace(0, 4, 9)  # above the vertex, which cuts the truth at -8.1 here
    truth = expit(np.log(2 / 3) + log_density(x, 3, 1.5) - log_density(x, -1, 1.2))
    np.testing.assert_allclose(cal.transform(x)[:, 1], truth, atol=0.01)


@pytest.mark.parametrize("input", ["logits", "proba"])
def test_integer_weights_equal_repetition(input: str) -> None:
    s, y = unequal(120)
    x = s if input == "logits" else expit(s)
    w = np.random.default_rng(0).integers(1, 5, len(y))
    a = QuadraticCalibrator(input=input).fit(x, y, sample_weight=w)
    b = QuadraticCalibrator(input=input).fit(np.repeat(x, w), np.repeat(y, w))
    np.testing.assert_allclose(a.transform(x), b.transform(x), atol=1e-10)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_vertex_in_the_range_is_cut_or_straightened(sign: float) -> None:
    s, y = bowl(sign=sign)
    grid = np.linspace(-12, 12, 2001)
    free = QuadraticCalibrator(input="logits", monotone=False).fit(s, y)
    vertex = -free.coef_[0, 1] / (2 * free.coef_[0, 2])
    assert free.low_[0] < vertex < free.high_[0]
    assert (np.diff(free.transform(grid)[:, 1]) < 0).any()
    assert np.sign(free.coef_[0, 2]) == sign

    guarded = QuadraticCalibrator(input="logits").fit(s, y)
    assert (np.diff(guarded.transform(grid)[:, 1]) >= -1e-15).all()

    def loss(cal: QuadraticCalibrator | PlattCalibrator) -> float:
        return float(-np.log(cal.transform(s)[np.arange(len(y)), y]).mean())

    # of the two repairs the better one is kept, and none beats the parabola
    straight = PlattCalibrator(input="logits").fit(s, y)
    if straight.slope_[0] > 0:
        assert loss(guarded) <= loss(straight) + 1e-4
    assert loss(guarded) >= loss(free)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_anti_informative_scores_give_the_share_of_the_class() -> None:
    s, y = unequal()
    cal = QuadraticCalibrator(input="logits").fit(-s, y)
    p = cal.transform(np.linspace(-20, 20, 101))[:, 1]
    assert (np.diff(p) >= -1e-15).all()
    assert cal.transform(-s)[:, 1].mean() == pytest.approx(y.mean(), abs=0.02)


def test_scores_beyond_the_range_get_its_ends() -> None:
    s, y = unequal()
    cal = QuadraticCalibrator(input="logits").fit(s, y)
    p = cal.transform(np.array([s.min() - 1e6, s.min(), s.max(), s.max() + 1e6]))[:, 1]
    assert p[0] == p[1]
    assert p[2] == p[3]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_separable_data_stay_finite(turned: bool) -> None:
    s = np.linspace(-3, 3, 41)
    y = ((s > 0.1) != turned).astype(int)
    cal = QuadraticCalibrator(input="logits").fit(s, y)
    p = cal.transform(s)
    assert np.isfinite(cal.coef_).all()
    assert (p > 0).all()
    assert (np.diff(p[:, 1]) >= -1e-15).all()
    if not turned:
        assert (p.argmax(axis=1) == y).mean() > 0.9


def test_certain_mistakes_choose_a_smoothing_of_the_input() -> None:
    rng = np.random.default_rng(0)
    p = expit(2 * rng.normal(size=600))
    y = (rng.random(600) < p).astype(int)
    p[:30], p[30:60] = 0.0, 1.0  # certain
    y[:30] = rng.random(30) < 0.2  # and wrong now and then
    y[30:60] = rng.random(30) < 0.8
    cal = QuadraticCalibrator().fit(p, y)
    assert cal.input_smoothing_[0] > 0
    out = cal.transform(np.array([0.0, 0.5, 1.0]))[:, 1]
    assert (np.diff(out) > 0).all()
    assert 0.05 < out[0] < 0.35
    assert 0.65 < out[2] < 0.95
    off = QuadraticCalibrator(smooth_input=False).fit(p, y)
    assert off.input_smoothing_[0] == 0
    assert QuadraticCalibrator(input="logits").fit(*unequal()).input_smoothing_[0] == 0


def test_smoothing_is_chosen_for_the_penalised_fit() -> None:
    rng = np.random.default_rng(2)  # a small forest: zeros and ones, one of them wrong
    p = np.clip(rng.normal(0.5, 0.45, 142), 0.0, 1.0).round(2)
    y = (rng.random(142) < p).astype(int)
    y[np.flatnonzero(p == 0)[0]] = 1
    cal = QuadraticCalibrator().fit(p, y)
    assert cal.input_smoothing_[0] > 1e-3

    def loss(one: QuadraticCalibrator | PlattCalibrator) -> float:
        return float(-np.log(one.transform(p)[np.arange(142), y]).mean())

    assert loss(cal) < loss(PlattCalibrator().fit(p, y)) + 0.01
    assert loss(cal) < loss(QuadraticCalibrator(smooth_input=False).fit(p, y)) - 0.01


def test_smoothing_of_the_input_can_be_asked_for_with_logits() -> None:
    s, y = bowl()
    s[:40], y[:40] = 500.0, np.arange(40) % 2
    kept = QuadraticCalibrator(input="logits").fit(s, y)
    bounded = QuadraticCalibrator(input="logits", smooth_input=True).fit(s, y)
    assert kept.input_smoothing_[0] == 0
    assert bounded.input_smoothing_[0] > 0


def test_one_vs_rest_fits_each_class_on_its_own_log_odds() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(900, 3))
    y = (0.6 * z + np.array([0.5, 0, -0.5]) + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = QuadraticCalibrator(input="logits", monotone=False).fit(z, y)
    for k in range(3):
        s = z[:, k] - logsumexp(np.delete(z, k, axis=1), axis=1)
        expected = reference(s, (y == k).astype(float), np.ones(len(y)))
        np.testing.assert_allclose(cal.coef_[k], expected, atol=1e-6)
    np.testing.assert_allclose(cal.transform(z).sum(axis=1), 1)


@pytest.mark.parametrize("option", ["monotone", "smooth_input"])
def test_options_are_checked(option: str) -> None:
    s, y = unequal(20)
    with pytest.raises(ValueError, match=f"{option} must be one of"):
        QuadraticCalibrator(input="logits", **{option: "yes"}).fit(s, y)
