"""Regression data with a noise of two sides, and the model that is tested."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression

from uq import (
    SplitPointRegressor,
)


def make(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Skewed noise whose size grows with the first input."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 3))
    noise = (rng.exponential(size=n) - 1) * (1.5 + X[:, 0])
    return X, 2 * X[:, 0] - X[:, 1] + noise


def method(estimator: Any = None, **options: Any) -> SplitPointRegressor:
    options = {"sds_heads": "ridge", "random_state": 0, **options}
    return SplitPointRegressor(LinearRegression() if estimator is None else estimator, **options)
