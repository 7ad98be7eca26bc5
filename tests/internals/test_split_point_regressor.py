"""Heads of the two sides: what they estimate, units, mirror images, starved sides."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from tests.support.sides import make, method
from uq import (
    FewSideRowsWarning,
    SmallCalibrationSetWarning,
)
from uq.split_point.heads import (
    CONSISTENCY_KINDS,
    FLOOR,
    IntervalHeads,
    fit_consistency_heads,
    fit_interval_heads,
)


def skewed(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Residuals above are exponential with mean 1 or 3, below with mean 0.5."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (n, 1)).astype(float)
    above = rng.random(n) < 0.3
    size = rng.exponential(size=n)
    return X, np.where(above, size * (1 + 2 * X[:, 0]), -0.5 * size)


def fit(X: np.ndarray, r: np.ndarray, kind: str = "hgb", level: float = 0.9) -> IntervalHeads:
    random = np.random.RandomState(0)
    return fit_interval_heads(kind, X, r, None, level=level, random=random)  # type: ignore[arg-type]


def test_heads_estimate_means_quantiles_and_share() -> None:
    heads, new = fit(*skewed()), np.array([[0.0], [1.0]])
    means = heads.means(new)
    np.testing.assert_allclose(means.upper, [1, 3], rtol=0.15)
    np.testing.assert_allclose(means.lower, [0.5, 0.5], rtol=0.15)
    np.testing.assert_allclose(means.total, [0.65, 1.25], rtol=0.15)
    upper, lower = heads.widths(new)
    np.testing.assert_allclose(upper, np.log(10) * np.array([1, 3]), rtol=0.2)
    np.testing.assert_allclose(lower, np.log(10) * 0.5 * np.ones(2), rtol=0.2)
    np.testing.assert_allclose(heads.share_above(new), 0.3, atol=0.04)


def test_torch_heads_estimate_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("calib._core.heads.STEPS", 500)
    X, r = skewed()
    upper, lower = fit(X, r, "torch").widths(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(upper, np.log(10) * np.array([1, 3]), rtol=0.25)
    np.testing.assert_allclose(lower, np.log(10) * 0.5 * np.ones(2), rtol=0.25)


@pytest.mark.parametrize("factor", [4.0, 2.0**-20])
def test_units(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Powers of two change nothing but the exponent; all kinds of heads scale with y."""
    monkeypatch.setattr("uq.split_point.heads.STEPS", 100)
    X, r = skewed(400)
    one, other = fit(X, r), fit(X, factor * r)
    np.testing.assert_allclose(other.means(X).upper, factor * one.means(X).upper)
    np.testing.assert_allclose(other.widths(X)[1], factor * one.widths(X)[1])
    for kind in ("mlp", "ridge"):
        a, b = (
            fit_consistency_heads(kind, X, s, None, random=np.random.RandomState(0)).means(X)
            for s in (r, factor * r)
        )
        np.testing.assert_allclose(b.lower, factor * a.lower, rtol=1e-9)


def test_mirrored_residuals_swap_the_sides() -> None:
    X, r = skewed(400)
    one, other = fit(X, r), fit(X, -r)
    np.testing.assert_array_equal(one.widths(X), other.widths(X)[::-1])
    np.testing.assert_array_equal(one.means(X).upper, other.means(X).lower)


@pytest.mark.parametrize("kind", CONSISTENCY_KINDS)
def test_consistency_heads_estimate_means_and_go_on_outside(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "torch":
        pytest.importorskip("torch")
        monkeypatch.setattr("calib._core.heads.STEPS", 600)
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    r = rng.normal(size=2000) * (2 + X[:, 0])
    random = np.random.RandomState(0)
    heads = fit_consistency_heads(kind, X, r, None, random=random)  # type: ignore[arg-type]
    means = heads.means(np.array([[-0.5], [0.5], [20.0]]))
    for part in (means.total, means.upper, means.lower):
        np.testing.assert_allclose(part[:2], np.sqrt(2 / np.pi) * np.array([1.5, 2.5]), rtol=0.15)
        assert abs(part[2]) > 3 * abs(part[1])


def test_weights_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uq.split_point.heads.STEPS", 300)
    X, r = skewed(600)
    weight = np.where(r > 0, 3.0, 1.0)
    for kind in ("mlp", "ridge"):
        heads = fit_consistency_heads(kind, X, r, weight, random=np.random.RandomState(0))
        plain = fit_consistency_heads(kind, X, r, None, random=np.random.RandomState(0))
        assert heads.means(X).total.mean() > 1.2 * plain.means(X).total.mean()


def test_starved_sides_are_constant_and_said_to_be() -> None:
    X, r = skewed(200)
    with pytest.warns(FewSideRowsWarning, match="0 residuals below"):
        heads = fit(X, np.abs(r) + 0.1)
    upper, lower = heads.widths(X)
    size = heads.mean_heads.scale
    np.testing.assert_array_equal(lower, FLOOR * size)
    assert upper.min() > 0.1
    assert heads.share_above(X).max() < 1
    with pytest.warns(FewSideRowsWarning, match="10 residuals above and 5 residuals below"):
        few = fit(np.zeros((15, 1)), np.r_[np.arange(1.0, 11), -np.arange(1.0, 6)])
    np.testing.assert_array_equal(few.widths(np.zeros((1, 1))), [[9.0], [5.0]])


def test_no_residual_at_all() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSideRowsWarning)
        heads = fit(np.zeros((40, 1)), np.zeros(40))
        empty = fit(np.empty((0, 1)), np.empty(0))
    for one in (heads, empty):
        np.testing.assert_array_equal(one.widths(np.zeros((3, 1))), np.zeros((2, 3)))
        assert one.means(np.zeros((3, 1))).total.max() == 0


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop networks early, where what they learn is not what is tested."""
    monkeypatch.setattr("uq.split_point.heads.STEPS", 100)


def test_reproducible_cloneable_picklable_searchable(few_steps: None) -> None:
    X, y = make(200)
    fitted = method(sds_heads="mlp").fit(X, y)
    again = clone(fitted).fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    for other in (again, copy):
        np.testing.assert_array_equal(fitted.predict_interval(X), other.predict_interval(X))
        np.testing.assert_array_equal(fitted.uncertainty(X), other.uncertainty(X))
    other = clone(fitted).set_params(random_state=1).fit(X, y)
    assert (fitted.predict_interval(X) != other.predict_interval(X)).any()
    search = GridSearchCV(method(), {"estimator__fit_intercept": [True, False]}, cv=2)
    assert search.fit(X, y).best_estimator_.predict_interval(X).shape == (200, 2)


def test_torch_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("calib._core.heads.STEPS", 50)
    X, y = make(200)
    fitted = method(heads="torch", sds_heads="torch").fit(X, y)
    again = method(heads="torch", sds_heads="torch").fit(X, y)
    np.testing.assert_array_equal(fitted.predict_interval(X), again.predict_interval(X))
    np.testing.assert_array_equal(fitted.uncertainty(X), again.uncertainty(X))


def test_weights_count_as_rows(few_steps: None) -> None:
    """Ten times the weight, and a level that was out of reach has a finite interval."""
    X, y = make(80)
    fitted = method(sds_heads="mlp").fit(X, y, sample_weight=np.full(80, 10.0))
    assert np.isfinite(fitted.predict_interval(X, 0.98)).all()
    light = method().fit(X, y, sample_weight=np.full(80, 1e-3))
    with pytest.warns(SmallCalibrationSetWarning, match=r"0\.02 calibration rows, 49 are needed"):
        light.predict_interval(X, 0.98)
