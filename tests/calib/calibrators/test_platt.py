"""Platt scaling: maximum likelihood, published numbers, separable data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from calib import PlattCalibrator


def binary(n: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = 3 * rng.normal(size=n)
    return s, (rng.random(n) < expit(0.6 * s - 0.8)).astype(int)


def reference(s: np.ndarray, t: np.ndarray, w: np.ndarray) -> np.ndarray:
    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        eta = x[0] + x[1] * s
        value = np.average(np.logaddexp(0, eta) - t * eta, weights=w)
        g = expit(eta) - t
        return value, np.array([np.average(g, weights=w), np.average(g * s, weights=w)])

    fit = minimize(loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-11})
    return np.asarray(fit.x)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smooth_targets", [False, True])
def test_maximum_likelihood(weighted: bool, smooth_targets: bool) -> None:
    s, y = binary()
    w = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else np.ones(len(y))
    cal = PlattCalibrator(input="logits", smooth_targets=smooth_targets)
    cal.fit(s, y, sample_weight=w if weighted else None)
    n1, n0 = w[y == 1].sum(), w[y == 0].sum()
    t = np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2)) if smooth_targets else y
    expected = reference(s, t, w)
    np.testing.assert_allclose([cal.intercept_[0], cal.slope_[0]], expected, atol=1e-7)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_auto_is_maximum_likelihood_unless_separable() -> None:
    s, y = binary()
    auto = PlattCalibrator(input="logits").fit(s, y)
    plain = PlattCalibrator(input="logits", smooth_targets=False).fit(s, y)
    assert auto.slope_ == plain.slope_
    cut = (s > 0).astype(int)
    for labels in (cut, 1 - cut):
        auto = PlattCalibrator(input="logits").fit(s, labels)
        smoothed = PlattCalibrator(input="logits", smooth_targets=True).fit(s, labels)
        assert auto.slope_ == smoothed.slope_
        assert np.isfinite(auto.slope_).all()
    with pytest.raises(ValueError, match="smooth_targets must be one of"):
        PlattCalibrator(input="logits", smooth_targets="no").fit(s, y)


@pytest.mark.shared_data
def test_published_numbers(two_class: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    cal = PlattCalibrator(input="logits").fit(*two_class["val"])
    s, y = two_class["test"]
    p = cal.transform(s)
    assert ((p - np.eye(2)[y]) ** 2).sum(axis=1).mean() == pytest.approx(0.016970, abs=1e-4)
    assert -np.log(p[np.arange(len(y)), y]).mean() == pytest.approx(0.029632, abs=1e-4)


def test_one_vs_rest_fits_each_class_on_its_own_log_odds() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(800, 3))
    y = (0.5 * z + np.array([0.5, 0, -0.5]) + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = PlattCalibrator(input="logits").fit(z, y)
    columns = []
    for k in range(3):
        s = z[:, k] - logsumexp(np.delete(z, k, axis=1), axis=1)
        a, b = reference(s, (y == k).astype(float), np.ones(800))
        np.testing.assert_allclose([cal.intercept_[k], cal.slope_[k]], [a, b], atol=1e-6)
        columns.append(expit(a + b * s))
    q = np.stack(columns, axis=1)
    np.testing.assert_allclose(cal.transform(z), q / q.sum(axis=1, keepdims=True), atol=1e-7)


def test_monotone() -> None:
    s, y = binary()
    p = PlattCalibrator(input="logits").fit(s, y).transform(np.sort(s))[:, 1]
    assert (np.diff(p) >= 0).all()


def test_large_fits_end_exactly() -> None:
    s, y = binary(n=300_000)
    cal = PlattCalibrator(input="logits").fit(s, y)
    g = expit(cal.intercept_[0] + cal.slope_[0] * s) - y
    assert abs(g.mean()) < 1e-10
    assert abs((g * s).mean()) < 1e-10
    assert cal.n_evaluations_ <= 4
