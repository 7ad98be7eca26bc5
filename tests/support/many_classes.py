"""Samples of five classes and a model that was trained on the first of them."""

from __future__ import annotations

from functools import cache

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

LEVELS = [0.5, 0.8, 0.9, 0.95]
Data = tuple[np.ndarray, np.ndarray]


@cache
def five_classes() -> Data:
    return make_classification(2500, 8, n_informative=6, n_classes=5, random_state=1)


@cache
def trained_on_first_rows() -> LogisticRegression:
    X, y = five_classes()
    return LogisticRegression(max_iter=500).fit(X[:600], y[:600])
