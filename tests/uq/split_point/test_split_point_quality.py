"""What split-point intervals and self-consistency are worth: guarantee and real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from uq import SplitPointRegressor


@pytest.mark.slow
def test_guarantee_on_either_side() -> None:
    """A straight line through bent, skewed data: wrong model, right coverage (20 draws)."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.uniform(-1, 1, (3000, 2))
        y = X[:, 0] ** 2 + (rng.exponential(size=3000) - 1) * (1.5 + X[:, 1])
        model = SplitPointRegressor(LinearRegression(), sds_heads=None, random_state=seed)
        model.fit(X[:800], y[:800])
        low, high = model.predict_interval(X[800:]).T
        inside, above = (y[800:] >= low) & (y[800:] <= high), y[800:] > model.predict(X[800:])
        found.append((inside[above].mean(), inside[~above].mean()))
    for mean in np.mean(found, axis=0):  # standard error 0.007
        assert 0.88 <= mean <= 0.93


def load(folder: Path, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    table = np.genfromtxt(folder / "regression" / f"{name}.csv.gz", delimiter=",", skip_header=1)
    table = table[np.random.default_rng(seed).permutation(len(table))[:3000]]
    return table[:, :-1], (table[:, -1] - table[:, -1].mean()) / table[:, -1].std()


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "score"), [("concrete", 1.43), ("wine_red", 3.34), ("power_plant", 0.952)]
)
def test_real_data(name: str, score: float, shared_data: Path) -> None:
    """Six splits: coverage of either side, and the interval score of the reference table."""
    found = []
    for seed in range(6):
        X, y = load(shared_data, name, seed)
        X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=seed)
        base = HistGradientBoostingRegressor(random_state=0, early_stopping=False)
        model = SplitPointRegressor(base, sds_heads=None, random_state=seed).fit(X, y)
        low, high = model.predict_interval(X_test).T
        inside, above = (y_test >= low) & (y_test <= high), y_test > model.predict(X_test)
        miss = np.maximum(low - y_test, 0) + np.maximum(y_test - high, 0)
        found.append((inside[above].mean(), inside[~above].mean(), (high - low + 20 * miss).mean()))
    up, down, mean_score = np.mean(found, axis=0)
    assert 0.87 <= up <= 0.94
    assert 0.87 <= down <= 0.94
    assert mean_score <= 1.05 * score  # splits differ from those of the table


@pytest.mark.shared_data
def test_self_consistency_sees_noise_and_a_distance_sees_it_better(shared_data: Path) -> None:
    X, y = load(shared_data, "concrete", 0)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    known, test, y, _ = train_test_split(X, y, test_size=0.25, random_state=0)
    noisy = test + 2 * np.random.default_rng(0).normal(size=test.shape)
    model = SplitPointRegressor(LinearRegression(), random_state=0).fit(known, y)
    near = NearestNeighbors(n_neighbors=10).fit(known)
    which = np.repeat([0, 1], len(test))
    both = np.vstack([test, noisy])
    by_score = roc_auc_score(which, model.self_consistency(both))
    by_distance = roc_auc_score(which, near.kneighbors(both)[0][:, -1])
    assert by_score > 0.75
    assert by_distance > max(by_score, 0.97)
