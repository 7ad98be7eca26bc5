"""The exact promise of split systems: uniform transforms and right quantiles, whatever the ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression

from uq import ConformalPredictiveSystem

SEED, DRAWS, N = 20_261_128, 2000, 19

pytestmark = pytest.mark.slow

MODEL = FrozenEstimator(LinearRegression().fit([[0.0], [1.0]], [0.3, 0.8]))
UNITS = FrozenEstimator(DummyRegressor(strategy="constant", constant=2.0).fit([[0.0]], [0.0]))
LABELS = {
    "skewed": lambda rng, n: rng.exponential(size=n) ** 2,
    "tied": lambda rng, n: rng.integers(0, 4, n).astype(float),
    "half of them one value": lambda rng, n: np.maximum(rng.normal(size=n), 0.0),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("score", ["absolute", "normalised"])
def test_split(kind: str, score: str) -> None:
    rng = np.random.default_rng(SEED)
    levels = np.arange(1, 20) / 20
    pit, below = [], np.zeros(len(levels))
    for _ in range(DRAWS):
        X = rng.integers(0, 2, size=(N + 1, 1)).astype(float)
        y = LABELS[kind](rng, N + 1)
        system = ConformalPredictiveSystem(
            MODEL, method="split", conformity_score=score, scale_estimator=UNITS, y_support=None
        ).fit(X[:-1], y[:-1])
        new = system.predict_distribution(X[-1:])
        pit.append(new.pit(y[-1:], random_state=rng)[0])
        below += y[-1] <= new.quantile(levels)[0] + 1e-9
    assert kstest(pit, "uniform").pvalue > 0.001
    se = np.sqrt(levels * (1 - levels) / DRAWS)
    assert (below / DRAWS >= levels - 3.5 * se).all()
    if kind == "skewed":
        assert (np.abs(below / DRAWS - levels) <= 3.5 * se).all()


def test_split_of_trained_models() -> None:
    rng = np.random.default_rng(SEED)
    pit = []
    for seed in range(DRAWS // 4):
        X = rng.normal(size=(61, 2))
        y = np.round(X[:, 0] + rng.standard_t(3, size=61), 1)
        system = ConformalPredictiveSystem(
            LinearRegression(),
            method="split",
            scale_estimator=LinearRegression(),
            y_support=None,
            random_state=seed,
        ).fit(X[:-1], y[:-1])
        pit.append(system.predict_distribution(X[-1:]).pit(y[-1:], random_state=rng)[0])
    assert kstest(pit, "uniform").pvalue > 0.001


def test_every_category() -> None:
    rng = np.random.default_rng(SEED)
    pit: list[np.ndarray] = []
    for _ in range(DRAWS):
        X = np.repeat([0.0, 1.0], N + 1)[:, None]
        y = np.where(X[:, 0] > 0, 30.0, 1.0) * rng.exponential(size=len(X))
        new = np.array([0, N + 1])
        system = ConformalPredictiveSystem(
            MODEL,
            method="split",
            conformity_score="absolute",
            mondrian=lambda X: X[:, 0],
            y_support=None,
        ).fit(np.delete(X, new, axis=0), np.delete(y, new))
        pit.append(system.predict_distribution(X[new]).pit(y[new], random_state=rng))
    for values in np.array(pit).T:
        assert kstest(values, "uniform").pvalue > 0.001
