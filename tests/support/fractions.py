"""Scores and fractions, with features beside them."""

from __future__ import annotations

from typing import Any

import numpy as np


def sample(n: int = 400, n_features: int = 0, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.random((n, 1 + n_features))
    t = np.clip(0.2 + 0.5 * X[:, 0] + 0.1 * X[:, -1] + rng.normal(0, 0.15, n), 0, 1)
    return X, t
