"""A study of two models on 30 samples, made once."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from uq import StudyResult, leave_one_out_study

QUICK: dict[str, Any] = {"n_repeats": 1, "n_resamples": 50, "n_simulations": 20}
LR = LogisticRegression(C=0.3)


@cache
def thirty_samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    return X, (X[:, 0] + rng.normal(size=30) > 0).astype(int)


@cache
def study_of_two_models() -> StudyResult:
    options = {**QUICK, "n_repeats": 2}
    tree = DecisionTreeClassifier(max_depth=2, min_samples_leaf=3, random_state=0)
    models = {"lr": LR, "tree": tree}
    return leave_one_out_study(models, *thirty_samples(), inner_folds=3, **options)
