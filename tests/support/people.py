"""Scores that are right on average and wrong for a group."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

NAMES = ["score", "age", "sex", "site"]


def people(n: int = 2000, seed: int = 0, effect: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds, age with gaps, sex and a site code of no order; labels.

    The scores miss that one sex past fifty, and every third site, are other than the rest.
    """
    rng = np.random.default_rng(seed)
    s, age = rng.normal(size=n), rng.integers(18, 90, n).astype(float)
    sex, site = rng.integers(0, 2, n).astype(float), rng.integers(0, 12, n).astype(float)
    missed = effect * ((age > 50) & (sex == 1)) - 0.5 * effect * (site % 3 == 0)
    y = (rng.random(n) < expit(s + missed)).astype(int)
    age[::19] = np.nan
    return np.column_stack([s, age, sex, site]), y


def table(X: np.ndarray) -> Any:
    """Return the same with texts for sexes, and none for some."""
    import pandas as pd

    sex = np.where(X[:, 2] == 1, "f", "m").astype(object)
    sex[::23] = None
    return pd.DataFrame({"score": X[:, 0], "age": X[:, 1], "sex": sex, "site": X[:, 3]})


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.asarray(p)[np.arange(len(y)), y]).mean())
