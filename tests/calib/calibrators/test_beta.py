"""Beta calibration: published numbers, likelihood under constraints, awkward scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from calib import BetaCalibrator

#: The penalty of the docstring, per unit of weight.
BEND_PENALTY = 0.1


def skewed(n: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of beta-distributed probabilities: the map is exactly right."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    p = np.where(y == 1, rng.beta(3.0, 1.2, n), rng.beta(0.8, 2.0, n))
    return np.log(p) - np.log1p(-p), y


def reference(
    s: np.ndarray, t: np.ndarray, w: np.ndarray, lower: float | None = 0.0
) -> tuple[np.ndarray, float]:
    """Return a, b, c and the loss of a general bounded optimiser."""
    x = np.stack([log_expit(s), -log_expit(-s), np.ones_like(s)], axis=1)
    unit = np.sqrt(np.average((s - np.average(s, weights=w)) ** 2, weights=w))
    factor = BEND_PENALTY / (w.sum() + 1)

    def loss(c: np.ndarray) -> tuple[float, np.ndarray]:
        eta = x @ c
        bend = 0.5 * (c[0] - c[1]) * unit
        value = np.average(np.logaddexp(0, eta) - t * eta, weights=w) + factor * bend**2
        gradient = x.T @ ((expit(eta) - t) * w) / w.sum()
        pull = factor * bend * unit
        return value, gradient + np.array([pull, -pull, 0.0])

    bounds = [(lower, None), (lower, None), (None, None)]
    options = {"maxiter": 20_000, "ftol": 1e-16, "gtol": 1e-10}
    fit = minimize(loss, np.ones(3), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(fit.x), float(fit.fun)


def mean_loss(cal: BetaCalibrator, s: np.ndarray, t: np.ndarray) -> float:
    """Return the loss of the map without the smoothing of its output."""
    eta = cal.intercept_[0] + cal.coef_[0, 0] * log_expit(s) - cal.coef_[0, 1] * log_expit(-s)
    return float((np.logaddexp(0, eta) - t * eta).mean())


@pytest.mark.shared_data
def test_published_numbers(two_class: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    cal = BetaCalibrator(input="logits").fit(*two_class["val"])
    s, y = two_class["test"]
    p = cal.transform(s)
    assert ((p - np.eye(2)[y]) ** 2).sum(axis=1).mean() <= 0.017110 + 1e-4
    assert -np.log(p[np.arange(len(y)), y]).mean() <= 0.030752 + 2e-4


@pytest.mark.parametrize("kind", ["plain", "weighted", "soft"])
def test_minimum_is_that_of_a_general_optimiser(kind: str) -> None:
    s, y = skewed()
    rng = np.random.default_rng(1)
    w = rng.uniform(0.5, 2, len(y)) if kind == "weighted" else np.ones(len(y))
    t = np.clip(0.8 * y + 0.2 * rng.random(len(y)), 0, 1) if kind == "soft" else y.astype(float)
    cal = BetaCalibrator(input="logits")
    cal.fit(s, t if kind == "soft" else y, sample_weight=w if kind == "weighted" else None)
    expected, _ = reference(s, t, w)
    assert (expected[:2] > 0).all()
    np.testing.assert_allclose([*cal.coef_[0], cal.intercept_[0]], expected, atol=2e-5)


def test_the_definition_is_what_is_applied() -> None:
    s, y = skewed()
    p = expit(s)
    cal = BetaCalibrator().fit(p, y)
    share = float(cal.input_smoothing_[0])
    q = (1 - share) * p + share / 2
    a, b = cal.coef_[0]
    eta = a * np.log(q) - b * np.log(1 - q) + cal.intercept_[0]
    expected = (1 - cal.smoothing_) * expit(eta) + cal.smoothing_ / 2
    np.testing.assert_allclose(cal.transform(p)[:, 1], expected, atol=1e-10)
    assert cal.smoothing_ == 1 / (len(y) + 1)


def test_truth_of_beta_distributed_scores_is_recovered() -> None:
    s, y = skewed(200_000)
    cal = BetaCalibrator(input="logits").fit(s, y)
    np.testing.assert_allclose(cal.coef_[0], [3.0 - 0.8, 2.0 - 1.2], atol=0.03)


def test_identity_is_recovered() -> None:
    rng = np.random.default_rng(0)
    s = 2 * rng.normal(size=200_000)
    y = (rng.random(len(s)) < expit(s)).astype(int)
    cal = BetaCalibrator(input="logits").fit(s, y)
    np.testing.assert_allclose([*cal.coef_[0], cal.intercept_[0]], [1, 1, 0], atol=0.04)


@pytest.mark.parametrize("input", ["logits", "proba"])
def test_integer_weights_equal_repetition(input: str) -> None:
    s, y = skewed(120)
    x = s if input == "logits" else expit(s)
    w = np.random.default_rng(0).integers(1, 5, len(y))
    a = BetaCalibrator(input=input).fit(x, y, sample_weight=w)
    b = BetaCalibrator(input=input).fit(np.repeat(x, w), np.repeat(y, w))
    np.testing.assert_allclose(a.transform(x), b.transform(x), atol=1e-9)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_negative_coefficient_becomes_zero_as_in_bounded_likelihood(side: float) -> None:
    rng = np.random.default_rng(0)
    s = 2.5 * rng.normal(size=3000)
    falls = np.minimum(side * s, 0) * -0.6  # on one side scores tell the opposite
    y = (rng.random(3000) < expit(side * (falls + 1.2 * np.maximum(side * s, 0)))).astype(int)
    free, _ = reference(s, y, np.ones(3000), lower=None)
    assert free[:2].min() < 0
    cal = BetaCalibrator(input="logits").fit(s, y)
    bounded, _ = reference(s, y, np.ones(3000))
    assert cal.coef_.min() == 0.0
    np.testing.assert_allclose(cal.coef_[0] == 0, bounded[:2] < 1e-9)
    a, b, c = bounded
    eta = a * log_expit(s) - b * log_expit(-s) + c
    assert mean_loss(cal, s, y) <= (np.logaddexp(0, eta) - y * eta).mean() + 1e-9
    assert (np.diff(cal.transform(np.linspace(-30, 30, 999))[:, 1]) >= -1e-15).all()


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_anti_informative_scores_give_the_share_of_the_class() -> None:
    s, y = skewed()
    cal = BetaCalibrator(input="logits").fit(-s, y)
    np.testing.assert_array_equal(cal.coef_, 0)
    n = len(y)
    expected = y.mean() * (1 - 1 / (n + 1)) + 0.5 / (n + 1)
    np.testing.assert_allclose(cal.transform(np.array([-9.0, 0, 9.0]))[:, 1], expected)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_separable_data_stay_finite(turned: bool) -> None:
    s = np.linspace(-3, 3, 41)
    y = ((s > 0.1) != turned).astype(int)
    cal = BetaCalibrator(input="logits").fit(s, y)
    p = cal.transform(s)
    assert np.isfinite(cal.coef_).all()
    assert (p > 0).all()
    assert (np.diff(p[:, 1]) >= -1e-15).all()


def test_scores_on_one_side_of_one_half_bend_little() -> None:
    rng = np.random.default_rng(0)
    s = rng.uniform(4, 9, 400)
    y = (rng.random(400) < expit(0.5 * s - 2)).astype(int)
    cal = BetaCalibrator(input="logits").fit(s, y)
    assert np.isfinite(cal.coef_).all()
    p = cal.transform(np.linspace(-9, 9, 181))[:, 1]
    assert (np.diff(p) >= -1e-15).all()


def test_certain_mistakes_choose_a_smoothing_of_the_input() -> None:
    rng = np.random.default_rng(0)
    p = expit(2 * rng.normal(size=600))
    y = (rng.random(600) < p).astype(int)
    p[:30], p[30:60] = 0.0, 1.0  # certain
    y[:30] = rng.random(30) < 0.2  # and wrong now and then
    y[30:60] = rng.random(30) < 0.8
    cal = BetaCalibrator().fit(p, y)
    assert cal.input_smoothing_[0] > 0
    out = cal.transform(np.array([0.0, 0.5, 1.0]))[:, 1]
    assert (np.diff(out) > 0).all()
    assert 0.05 < out[0] < 0.35
    assert 0.65 < out[2] < 0.95
    assert BetaCalibrator(smooth_input=False).fit(p, y).input_smoothing_[0] == 0
    assert BetaCalibrator(input="logits").fit(*skewed()).input_smoothing_[0] == 0


def test_no_logarithm_cancels_at_great_confidence() -> None:
    s, y = skewed()
    cal = BetaCalibrator(input="logits").fit(s, y)
    cal.smoothing_ = 0.0
    a, b = cal.coef_[0]
    far = np.array([-60.0, 60.0])
    p = cal.transform(far)
    assert np.log(p[0, 1]) == pytest.approx(cal.intercept_[0] - 60 * a, rel=1e-12)
    assert np.log(p[1, 0]) == pytest.approx(-cal.intercept_[0] - 60 * b, rel=1e-12)


def test_one_vs_rest_fits_each_class_on_its_own_log_odds() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(900, 3))
    y = (0.6 * z + np.array([0.5, 0, -0.5]) + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = BetaCalibrator(input="logits").fit(z, y)
    for k in range(3):
        s = z[:, k] - logsumexp(np.delete(z, k, axis=1), axis=1)
        expected, _ = reference(s, (y == k).astype(float), np.ones(len(y)))
        np.testing.assert_allclose([*cal.coef_[k], cal.intercept_[k]], expected, atol=1e-4)
    np.testing.assert_allclose(cal.transform(z).sum(axis=1), 1)


def test_options_are_checked() -> None:
    s, y = skewed(20)
    with pytest.raises(ValueError, match="smooth_input must be one of"):
        BetaCalibrator(input="logits", smooth_input="yes").fit(s, y)
