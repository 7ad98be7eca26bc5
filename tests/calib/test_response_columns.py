"""Columns of a classifier's answer meet its classes: pairs, orders, absent and extra classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris, load_wine, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from calib import CalibratedClassifier
from uq import ConformalClassifier, RiskControlledClassifier, SelectiveClassifier


def data(n_classes: int = 3, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(n, 8, n_informative=5, n_classes=n_classes, random_state=0)


class Reordered(ClassifierMixin, BaseEstimator):
    """A logistic regression whose classes_ and columns stand in another order, or are more."""

    def __init__(self, order: Any = None, extra: Any = (), shuffle: bool = False) -> None:
        self.order = order
        self.extra = extra
        self.shuffle = shuffle

    def fit(self, X: Any, y: Any) -> Reordered:
        self.model_ = LogisticRegression().fit(X, y)
        known = self.model_.classes_
        self.order_ = np.arange(len(known))[::-1] if self.order is None else np.array(self.order)
        self.order_ = self.order_[self.order_ < len(known)]
        more = np.array(self.extra, dtype=known.dtype)
        self.classes_ = np.concatenate([known[self.order_], more])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        proba = self.model_.predict_proba(X)[:, self.order_]
        proba = proba[:, ::-1] if self.shuffle else proba
        return np.hstack([proba, np.zeros((len(proba), len(self.extra)))])

    def predict(self, X: Any) -> np.ndarray:
        return self.model_.predict(X)


@pytest.mark.parametrize("load", [load_iris, load_wine, None])
@pytest.mark.parametrize("where", ["alone", "pipeline", "search", "frozen"])
def test_pairs_of_three_classes_are_no_classes(load: Any, where: str) -> None:
    X, y = data() if load is None else load(return_X_y=True)
    model: Any = SVC(decision_function_shape="ovo")
    if where == "pipeline":
        model = make_pipeline(StandardScaler(), model)
    if where == "search":
        model = GridSearchCV(model, {"C": [1.0]}, cv=2)
    if where == "frozen":
        model = FrozenEstimator(model.fit(X, y))
    with pytest.raises(ValueError, match="decision_function without one column per class"):
        CalibratedClassifier(model, "temperature", cv=3).fit(X, y)


def test_probabilities_stand_in_for_pairs() -> None:
    class Both(SVC):
        def predict_proba(self, X: Any) -> np.ndarray:
            votes = np.exp(SVC(kernel="rbf").fit(*data()).decision_function(X))
            return votes / votes.sum(axis=1, keepdims=True)

    X, y = data()
    model = CalibratedClassifier(Both(decision_function_shape="ovo"), "temperature", cv=3)
    assert model.fit(X, y).response_ == "predict_proba"
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match="without one column per class"):
        model.set_params(response="decision_function").fit(X, y)


@pytest.mark.parametrize(
    ("model", "response"),
    [
        (SVC(), "decision_function"),
        (OneVsRestClassifier(LinearSVC()), "decision_function"),
        (OneVsOneClassifier(LinearSVC()), "decision_function"),
        (DummyClassifier(strategy="stratified", random_state=0), "predict_proba"),
        (DummyClassifier(), "predict_proba"),
    ],
)
def test_scores_of_classes_are_taken(model: Any, response: str) -> None:
    X, y = data()
    served = CalibratedClassifier(model, "temperature", cv=3)
    assert served.fit(X, y).response_ == response


@pytest.mark.parametrize("threshold", [0.02, 0.5, 0.98])
def test_a_threshold_is_no_contradiction(threshold: float) -> None:
    X, y = data(2)
    inner = FixedThresholdClassifier(
        LogisticRegression(), threshold=threshold, response_method="predict_proba"
    )
    served = CalibratedClassifier(inner, "platt", cv=3).fit(X, y)
    plain = CalibratedClassifier(LogisticRegression(), "platt", cv=3).fit(X, y)
    np.testing.assert_allclose(served.predict_proba(X), plain.predict_proba(X), atol=1e-6)


def test_reversed_decision_function_of_two_classes() -> None:
    class Reversed(LogisticRegression):
        def decision_function(self, X: Any) -> np.ndarray:
            return -super().decision_function(X)

        def predict(self, X: Any) -> np.ndarray:
            return self.classes_[(super().decision_function(X) > 0).astype(int)]

        def predict_proba(self, X: Any) -> np.ndarray:
            positive = 1 / (1 + np.exp(self.decision_function(X)))
            return np.stack([1 - positive, positive], axis=1)

    X, y = data(2)
    served = CalibratedClassifier(Reversed(), "platt", cv=3).fit(X, y)
    assert served.response_ == "predict_proba"


def test_no_scores() -> None:
    with pytest.raises(ValueError, match="has no decision_function or predict_proba"):
        CalibratedClassifier(OutputCodeClassifier(LinearSVC(), random_state=0)).fit(*data())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "names",
    [
        np.array(["c", "a", "b"]),
        np.array(["c", "a", "b"], dtype=object),
        np.array([7, -1, 3]),
        np.array([8.0, 2.0, 4.0]),
        np.array([True, False, True]),
    ],
    ids=["text", "object", "int", "float", "bool"],
)
def test_unusual_order(names: np.ndarray, n_classes: int, ensemble: bool, frozen: bool) -> None:
    if names.dtype == bool and n_classes > 2:
        pytest.skip("two truth values")
    X, y = data(n_classes)
    y = names[:n_classes][y]

    def served(model: Any) -> np.ndarray:
        model = FrozenEstimator(model.fit(X, y)) if frozen else model
        options = {"response": "predict_proba", "cv": 3, "ensemble": ensemble}
        fitted = CalibratedClassifier(model, "temperature", **options).fit(X, y)
        assert fitted.classes_.tolist() == sorted(set(y.tolist()))
        assert fitted.score(X, y) > 0.6
        return fitted.predict_proba(X)

    np.testing.assert_allclose(served(Reordered()), served(LogisticRegression()), atol=1e-12)


def test_unusual_order_in_sets_and_thresholds() -> None:
    X, y = data()
    y = np.array(["c", "a", "b"])[y]
    for options in ({}, {"method": "cross", "cv": 3}):
        one = ConformalClassifier(Reordered(), random_state=0, **options).fit(X, y)
        other = ConformalClassifier(LogisticRegression(), random_state=0, **options).fit(X, y)
        np.testing.assert_array_equal(one.predict_set(X), other.predict_set(X))
        np.testing.assert_array_equal(one.predict(X), other.predict(X))
    one = SelectiveClassifier(Reordered(), random_state=0).fit(X, y)
    other = SelectiveClassifier(LogisticRegression(), random_state=0).fit(X, y)
    assert one.threshold_ == other.threshold_
    X, y = data(2, 1500)
    found = [
        RiskControlledClassifier(FrozenEstimator(m.fit(X[:500], y[:500])), target_level=0.7)
        .fit(X[500:], y[500:])
        .threshold_
        for m in (Reordered(), LogisticRegression())
    ]
    assert found[0] == found[1]


def test_extra_classes_keep_a_column() -> None:
    X, y = data()
    model = CalibratedClassifier(Reordered(extra=[9]), "temperature", cv=3).fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2, 9]
    np.testing.assert_allclose(model.predict_proba(X)[:, 3], 0, atol=1e-6)
    sets = ConformalClassifier(Reordered(extra=[9]), random_state=0).fit(X, y)
    assert sets.classes_.tolist() == [0, 1, 2, 9]


@pytest.mark.parametrize("wrapper", [CalibratedClassifier, ConformalClassifier])
@pytest.mark.parametrize("n", [300, 60])
def test_contradicting_probabilities_are_refused(wrapper: Any, n: int) -> None:
    X, y = data(n=n)
    with pytest.raises(ValueError, match="columns are not its classes_"):
        wrapper(Reordered(shuffle=True)).fit(X, y)
    with pytest.raises(ValueError, match="columns are not its classes_"):
        wrapper(FrozenEstimator(Reordered(shuffle=True).fit(X, y))).fit(X, y)


@pytest.mark.parametrize("seed", range(20))
def test_contradictions_are_seen_on_any_held_out_rows(seed: int) -> None:
    X, y = data()
    with pytest.raises(ValueError, match="columns are not its classes_"):
        ConformalClassifier(Reordered(shuffle=True), random_state=seed).fit(X, y)


@pytest.mark.parametrize("wrapper", [CalibratedClassifier, ConformalClassifier])
def test_other_names_than_the_labels(wrapper: Any) -> None:
    class Coded(LogisticRegression):
        def fit(self, X: Any, y: Any) -> Coded:
            return super().fit(X, np.unique(y, return_inverse=True)[1])

    X, y = data()
    with pytest.raises(ValueError, match="must keep the labels that it is trained on"):
        wrapper(Coded()).fit(X, np.array(["a", "b", "c"])[y])


@pytest.mark.parametrize("wrapper", [CalibratedClassifier, ConformalClassifier])
def test_several_outputs(wrapper: Any) -> None:
    X, y = data()
    model = MultiOutputClassifier(LogisticRegression()).fit(X, np.stack([y, y > 0], axis=1))
    with pytest.raises(ValueError, match="several outputs"):
        wrapper(FrozenEstimator(model)).fit(X, y)
