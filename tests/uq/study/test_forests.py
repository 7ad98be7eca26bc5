"""Forests of a study: scikit-learn's numbers, without scikit-learn's checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.tree import _splitter

from tests.support.small_study import thirty_samples
from uq import leave_one_out_study

OPTIONS: dict[str, Any] = {
    "calibrators": ["raw"],
    "n_repeats": 1,
    "n_resamples": 2,
    "n_simulations": 0,
    "outer_folds": 4,
    "inner_folds": 2,
}


class Counted(RuntimeError):
    """Trainings by scikit-learn."""

    number = 0


def answers(model: Any, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, int]:
    """Return the probabilities of a study, and how often scikit-learn trained a forest for it."""
    fit, Counted.number = RandomForestClassifier.fit, 0

    def counting(self: Any, *args: Any, **options: Any) -> Any:
        Counted.number += 1
        return fit(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RandomForestClassifier, "fit", counting)
        study = leave_one_out_study({"rf": model}, X, thirty_samples()[1], **OPTIONS)
    return study.predictions["rf", "raw"][0].y_prob, Counted.number


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_depth": 2, "min_samples_leaf": 5, "max_features": 0.5},
        {"min_samples_split": 9, "max_features": None, "min_impurity_decrease": 0.01},
        {"max_features": "log2"},
        {"max_features": 2},
    ],
)
@pytest.mark.parametrize("imputed", [False, True])
def test_forests_are_those_of_scikit_learn(
    options: dict[str, Any], imputed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained once by scikit-learn for comparison, and equal to the last bit."""
    model: Any = RandomForestClassifier(n_estimators=5, **options)
    X = thirty_samples()[0].copy()
    if imputed:
        X[::4, 1] = np.nan
        model = make_pipeline(SimpleImputer(), model)
    quick, trained = answers(model, X, monkeypatch)
    assert trained == 1
    with monkeypatch.context() as patch:  # a version of scikit-learn without this part
        patch.delattr("sklearn.tree._tree.DepthFirstTreeBuilder")
        slow, trained = answers(model, X, monkeypatch)
    assert trained == 1 + 4 * 3
    np.testing.assert_array_equal(quick, slow)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced"},
        {"bootstrap": False},
        {"criterion": "entropy"},
        {"max_samples": 9},
        {"min_samples_leaf": 0.1},
    ],
)
def test_other_forests_are_trained_by_scikit_learn(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RandomForestClassifier(n_estimators=3, **options)
    assert answers(model, thirty_samples()[0], monkeypatch)[1] == 1 + 4 * 3


def test_a_forest_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees that come out otherwise, as a later version of scikit-learn may have it."""
    model = RandomForestClassifier(n_estimators=3)
    X = thirty_samples()[0]
    expected = answers(clone(model), X, monkeypatch)[0]
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.tree._splitter.BestSplitter", _splitter.RandomSplitter)
        found, trained = answers(model, X, monkeypatch)
    assert trained == 1 + 4 * 3
    np.testing.assert_array_equal(found, expected)


def test_gaps_are_left_to_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of a row that was left out when the two were compared."""
    X = thirty_samples()[0].copy()
    X[0, 0] = np.nan
    model = RandomForestClassifier(n_estimators=3)
    found, trained = answers(model, X, monkeypatch)
    assert 1 < trained < 1 + 4 * 3
    with monkeypatch.context() as patch:
        patch.delattr("sklearn.tree._tree.DepthFirstTreeBuilder")
        np.testing.assert_array_equal(found, answers(model, X, monkeypatch)[0])
