"""Temperature scaling: exactness, published numbers, separable data."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from calib import TemperatureCalibrator


def log_loss(z: np.ndarray, y: np.ndarray, inverse: float, w: np.ndarray | None = None) -> float:
    terms = logsumexp(inverse * z, axis=1) - inverse * z[np.arange(len(y)), y]
    return float(np.average(terms, weights=w))


@pytest.mark.parametrize("n_classes", [2, 3, 40])
@pytest.mark.parametrize("true_inverse", [0.05, 0.5, 1.0, 6.0])
def test_minimises_the_log_loss(n_classes: int, true_inverse: float) -> None:
    rng = np.random.default_rng(n_classes)
    z = 2 * rng.normal(size=(4000, n_classes))
    y = (true_inverse * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    w = rng.uniform(0.5, 2, size=4000)
    for weight in (None, w):
        cal = TemperatureCalibrator(input="logits").fit(z, y, sample_weight=weight)
        best = minimize_scalar(
            lambda v, weight=weight: log_loss(z, y, np.exp(v), weight),
            bounds=(-6, 6),
            method="bounded",
            options={"xatol": 1e-12},
        )
        found = log_loss(z, y, 1 / cal.temperature_, weight)
        assert found <= best.fun * (1 + 1e-12)
        step = 1e-5
        slope = (
            log_loss(z, y, (1 + step) / cal.temperature_, weight)
            - log_loss(z, y, (1 - step) / cal.temperature_, weight)
        ) / (2 * step)
        assert abs(slope) < 1e-8
        assert cal.smoothing_ == 0


def test_large_fits_start_from_a_subsample_and_end_exactly() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(60_000, 20))
    y = (0.4 * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = TemperatureCalibrator(input="logits").fit(z, y)
    assert cal.n_evaluations_ <= 3
    step = 1e-4
    low, mid, high = (log_loss(z, y, (1 + d) / cal.temperature_) for d in (-step, 0, step))
    assert abs(high - low) / (2 * step) < 1e-8
    assert mid < min(low, high)


@pytest.mark.shared_data
def test_published_numbers(densenet: dict[str, np.ndarray]) -> None:
    y = densenet["labels_test"]
    cal = TemperatureCalibrator(input="logits")
    cal.fit(densenet["logits_val"], densenet["labels_val"])
    p = cal.transform(densenet["logits_test"].astype(np.float64))
    brier = ((p - np.eye(10)[y]) ** 2).sum(axis=1).mean()
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    assert brier == pytest.approx(0.109975, abs=1e-5)
    assert loss == pytest.approx(0.225086, abs=1e-5)
    assert (p.argmax(axis=1) == y).mean() == pytest.approx(0.9242, abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_separable_data_reach_the_cap_and_are_smoothed(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, size=50)
    z = rng.normal(size=(50, n_classes)) + 20 * np.eye(n_classes)[y]
    cal = TemperatureCalibrator(input="logits").fit(z, y)
    assert cal.smoothing_ == pytest.approx(1 / 51)
    p = cal.transform(z)
    np.testing.assert_allclose(p.max(axis=1), 1 - (1 - 1 / n_classes) / 51, atol=1e-12)
    assert -np.log(p).max() <= np.log(n_classes * 51) + 1e-12
    assert TemperatureCalibrator(input="logits", smoothing=False).fit(z, y).smoothing_ == 0


def test_nearly_separable_data_do_not_creep() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, size=200)
    z = 0.01 * rng.normal(size=(200, 3)) + 3 * np.eye(3)[y]
    z[0] = [1e-3, 0, 0]
    y[0] = 1
    cal = TemperatureCalibrator(input="logits").fit(z, y)
    assert cal.n_evaluations_ < 40
    assert np.isfinite(cal.temperature_)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_backward_scores_become_uniform() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 4))
    cal = TemperatureCalibrator(input="logits").fit(z, z.argmin(axis=1))
    np.testing.assert_allclose(cal.transform(z), 0.25, atol=1e-5)


def test_flat_rows_keep_temperature_one() -> None:
    from calib import DegenerateScoresWarning

    with pytest.warns(DegenerateScoresWarning):
        cal = TemperatureCalibrator(input="logits").fit(np.zeros((10, 3)), np.arange(10) % 3)
    assert cal.temperature_ == 1.0


def test_smoothing_true_is_ts_mix() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(99, 3))
    y = rng.integers(0, 3, size=99)
    plain = TemperatureCalibrator(input="logits").fit(z, y).transform(z)
    mixed = TemperatureCalibrator(input="logits", smoothing=True).fit(z, y).transform(z)
    np.testing.assert_allclose(mixed, 0.99 * plain + 0.01 / 3, atol=1e-12)
    with pytest.raises(ValueError, match="smoothing must be one of"):
        TemperatureCalibrator(input="logits", smoothing="yes").fit(z, y)


def test_ranking_within_rows_is_kept() -> None:
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(300, 6))
    y = rng.integers(0, 6, size=300)
    p = TemperatureCalibrator(input="logits").fit(z, y).transform(z)
    np.testing.assert_array_equal(np.argsort(p, axis=1), np.argsort(z, axis=1))


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_certain_mistakes_do_not_rule_the_fit(n_classes: int, weighted: bool) -> None:
    rng = np.random.default_rng(8)
    p = rng.dirichlet(np.ones(n_classes), 3000)
    y = (p.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1).clip(0, n_classes - 1)
    wild = np.where(rng.random((3000, 1)) < 0.3, np.eye(n_classes)[p.argmax(axis=1)], p)
    train, test = slice(0, 1500), slice(1500, None)
    w = rng.integers(1, 4, 1500) if weighted else None
    auto = TemperatureCalibrator().fit(wild[train], y[train], sample_weight=w)
    never = TemperatureCalibrator(smooth_input=False).fit(wild[train], y[train], sample_weight=w)
    assert auto.input_smoothing_ > 0
    assert never.input_smoothing_ == 0

    def loss(cal: TemperatureCalibrator) -> float:
        return float(-np.log(cal.transform(wild[test])[np.arange(1500), y[test]]).mean())

    assert loss(auto) < loss(never) - 0.05
    share = auto.input_smoothing_
    by_hand = np.log((1 - share) * wild + share / n_classes) / auto.temperature_
    np.testing.assert_allclose(auto.transform(wild), softmax(by_hand, axis=1), atol=1e-12)
    assert (auto.transform(wild).argmax(axis=1) == wild.argmax(axis=1)).all()


def test_moderate_probabilities_are_one_input_with_their_logarithms() -> None:
    rng = np.random.default_rng(9)
    z = rng.normal(size=(4000, 3))
    p = softmax(z, axis=1)
    y = (softmax(0.7 * z, axis=1).cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    logits = TemperatureCalibrator(input="logits").fit(z, y)
    assert logits.input_smoothing_ == 0
    plain = TemperatureCalibrator(smooth_input=False).fit(p, y)
    np.testing.assert_allclose(plain.transform(p), logits.transform(z), atol=1e-9)
    auto = TemperatureCalibrator().fit(p, y)
    assert np.abs(auto.transform(p) - logits.transform(z)).mean() < 3e-3
    always = TemperatureCalibrator(input="logits", smooth_input=True).fit(z, y)
    assert always.input_smoothing_ == auto.input_smoothing_
    np.testing.assert_allclose(always.transform(z), auto.transform(p), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_does_not_grow_with_the_scores(dtype: type) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200_000, 20)).astype(dtype)  # 32 MB in float64
    y = rng.integers(0, 20, size=200_000)
    cal = TemperatureCalibrator(input="logits")
    tracemalloc.start()
    cal.fit(z, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.oracle
def test_agrees_with_scikit_learn() -> None:
    pytest.importorskip("sklearn", minversion="1.8", reason="temperature scaling came with 1.8")
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Identity(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        classes_ = np.arange(4)

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def fit(self, X: np.ndarray, y: np.ndarray) -> Identity:
            return self

        def decision_function(self, X: np.ndarray) -> np.ndarray:
            return X

        def predict(self, X: np.ndarray) -> np.ndarray:
            return X.argmax(axis=1)

    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(2000, 4))
    y = (0.5 * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    peer = CalibratedClassifierCV(FrozenEstimator(Identity()), method="temperature").fit(z, y)
    ours = TemperatureCalibrator(input="logits").fit(z, y)
    np.testing.assert_allclose(ours.transform(z), peer.predict_proba(z), atol=1e-5)
