"""Folds, words of other libraries, networks and mappings: support, or an error with the cure."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from calib import CALIBRATORS, CalibratedClassifier, FallbackWarning, make_calibrator
from uq import (
    ConformalClassifier,
    ConformalRegressor,
    RiskControlledClassifier,
    SelectiveClassifier,
    SplitPointRegressor,
)

MODEL = LogisticRegression()


def data(n_classes: int = 3, n: int = 240) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(n, 8, n_informative=5, n_classes=n_classes, random_state=0)


def sorted_data(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    X, y = data(n_classes)
    order = np.argsort(y, kind="stable")
    return X[order], np.repeat(np.arange(n_classes), len(y) // n_classes)


@pytest.mark.parametrize("ensemble", [False, True])
def test_folds_of_sorted_labels(ensemble: bool) -> None:
    model = CalibratedClassifier(MODEL, "temperature", cv=KFold(3), ensemble=ensemble)
    with pytest.raises(ValueError, match=r"leaves nothing to calibrate on.*StratifiedKFold"):
        model.fit(*sorted_data(3))
    with pytest.raises(ValueError, match=r"training samples of one class.*StratifiedKFold"):
        model.set_params(cv=KFold(2)).fit(*sorted_data(2))
    with pytest.raises(ValueError, match="training samples of one class"):
        ConformalClassifier(MODEL, method="cross", cv=KFold(2)).fit(*sorted_data(2))


def test_leave_one_out_with_one_map_per_fold() -> None:
    X, y = data(2, 30)
    with pytest.raises(ValueError, match=r"ensemble=True.*Pass ensemble=False"):
        CalibratedClassifier(MODEL, "platt", cv=LeaveOneOut(), ensemble=True).fit(X, y)
    CalibratedClassifier(MODEL, "platt", cv=LeaveOneOut()).fit(X, y)


@pytest.mark.parametrize("method", ["platt", "isotonic", "temperature"])
@pytest.mark.filterwarnings("ignore::calib.warnings.DegenerateScoresWarning")
def test_a_held_out_part_of_one_class_takes_the_pooled_map(method: str) -> None:
    X, _ = data(2, 10)
    y = np.repeat([1, 0], 5)
    model = CalibratedClassifier(LinearSVC(random_state=0), method, cv=KFold(3), ensemble=True)
    with pytest.warns(FallbackWarning, match="2 of 3 folds"):
        model.fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.pairs_[0][1] is model.pairs_[2][1]
    assert model.pairs_[0][1] is not model.pairs_[1][1]


@pytest.mark.parametrize("ensemble", [False, True])
def test_training_parts_that_lack_a_class(ensemble: bool) -> None:
    X = np.random.default_rng(0).normal(size=(12, 5))
    y = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    model = CalibratedClassifier(
        DecisionTreeClassifier(random_state=0), "platt", cv=KFold(3), ensemble=ensemble
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        proba = model.fit(X, y).predict_proba(X)
    assert proba.shape == (12, 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize(
    "wrapper",
    [
        CalibratedClassifier(MODEL, cv="prefit"),
        ConformalClassifier(MODEL, method="cross", cv="prefit"),
        ConformalRegressor(Ridge(), method="cross", cv="prefit"),
        SplitPointRegressor(Ridge(), cv="prefit"),
    ],
)
def test_prefit(wrapper: Any) -> None:
    with pytest.raises(ValueError, match=r"FrozenEstimator\(model\)"):
        wrapper.fit(*data(2))


def test_folds_that_leak() -> None:
    X, y = data(2)
    rows = np.arange(240)
    for wrapper in (
        CalibratedClassifier(MODEL, cv=[(rows, rows[:100])]),
        ConformalRegressor(Ridge(), method="cross", cv=[(rows, rows)]),
    ):
        with pytest.raises(ValueError, match="trains on rows that it holds out"):
            wrapper.fit(X, y)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("sigmoid", "platt"),
        ("LogisticCalibration", "platt"),
        ("TemperatureScaling", "temperature"),
        ("temperature_scaling", "temperature"),
        ("HistogramBinning", "histogram"),
        ("BetaCalibration", "beta"),
        ("IsotonicRegression", "isotonic"),
        ("Isotonic", "isotonic"),
        ("venn-abers", "venn_abers"),
        ("PlattCalibrator", "platt"),
        ("temprature", "temperature"),
    ],
)
def test_did_you_mean(word: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"Did you mean '{name}'"):
        make_calibrator(word)
    with pytest.raises(ValueError, match=f"Did you mean '{name}'"):
        CalibratedClassifier(MODEL, word).fit(*data(2))


def test_arguments_of_other_libraries() -> None:
    with pytest.raises(TypeError, match=r"'method'.*calibrator"):
        CalibratedClassifier(MODEL, method="sigmoid")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'prefit'.*FrozenEstimator"):
        ConformalClassifier(MODEL, prefit=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'confidence_level'.*predict_interval"):
        ConformalRegressor(Ridge(), confidence_level=0.9)  # type: ignore[call-arg]


class Plain:
    """A trained model that inherits from nothing."""

    def __init__(self, classes: Any = None) -> None:
        if classes is not None:
            self.classes_ = classes

    def fit(self, X: Any, y: Any) -> Plain:
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        z = np.asarray(X["a"] if isinstance(X, dict) else X)[:, :3]
        p = np.exp(z)
        return p / p.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        return self.predict_proba(X).argmax(axis=1)


CLASSIFIERS = [CalibratedClassifier, ConformalClassifier, SelectiveClassifier]


@pytest.mark.parametrize("wrapper", [*CLASSIFIERS, RiskControlledClassifier])
def test_frozen_models_without_classes_or_training(wrapper: Any) -> None:
    X, y = data()
    with pytest.raises(ValueError, match=r"no classes_.*set model\.classes_"):
        wrapper(FrozenEstimator(Plain())).fit(X, y)
    with pytest.raises(NotFittedError, match="not fitted"):
        wrapper(FrozenEstimator(LogisticRegression())).fit(X, y)


@pytest.mark.parametrize("wrapper", CLASSIFIERS)
def test_mappings_of_arrays(wrapper: Any) -> None:
    X, y = data()
    model = FrozenEstimator(Plain(np.arange(3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = wrapper(model).fit({"a": X, "b": X[:, :2]}, y)
        plain = wrapper(model).fit(X, y)
    np.testing.assert_array_equal(named.predict({"a": X, "b": X[:, :2]}), plain.predict(X))
    with pytest.raises(ValueError, match=r"'a'.*240 samples"):
        wrapper(model).fit({"a": X}, y[:-1])


def test_mappings_are_cut_to_folds() -> None:
    class Named(ClassifierMixin, BaseEstimator):
        def fit(self, X: Any, y: Any) -> Named:
            self.model_ = LogisticRegression().fit(X["a"], y)
            self.classes_ = self.model_.classes_
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            return self.model_.predict_proba(X["a"])

    X, y = data()
    named = CalibratedClassifier(Named(), "temperature", cv=3).fit({"a": X}, y)
    plain = CalibratedClassifier(MODEL, "temperature", cv=3, response="predict_proba").fit(X, y)
    np.testing.assert_allclose(named.predict_proba({"a": X}), plain.predict_proba(X))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("wrapper", [*CLASSIFIERS, ConformalRegressor, SplitPointRegressor])
def test_networks_and_classes(wrapper: Any, frozen: bool) -> None:
    torch = pytest.importorskip("torch")
    X, y = data()
    network = torch.nn.Linear(8, 3)
    with pytest.raises(TypeError, match="a network without"):
        wrapper(FrozenEstimator(network) if frozen else network).fit(X, y)
    with pytest.raises(TypeError, match=r"pass LogisticRegression\(\.\.\.\)"):
        wrapper(LogisticRegression).fit(X, y)


# ---------------------------------------------------------------------- scores at hand


@pytest.mark.parametrize("name", list(CALIBRATORS))
def test_cross_validated_calibrators(name: str) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(180, 3)) * 2
    y = np.sort(np.array(["a", "b", "c"])[np.arange(180) % 3])  # sorted labels, stratified folds
    calibrator = make_calibrator(name, input="logits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proba = cross_val_predict(calibrator, logits, y, method="predict_proba", cv=3)
    assert proba.shape == (180, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_ensembles_of_calibrators() -> None:
    X, y = data()
    logits = LogisticRegression().fit(X[:60], y[:60]).decision_function(X)
    members = [(name, make_calibrator(name, input="logits")) for name in ("temperature", "platt")]
    vote = VotingClassifier(members, voting="soft").fit(logits[60:], y[60:])
    parts = [member.transform(logits) for member in vote.estimators_]
    np.testing.assert_allclose(vote.predict_proba(logits), np.mean(parts, axis=0))
    stack = StackingClassifier(members, LogisticRegression(), cv=3).fit(logits[60:], y[60:])
    assert stack.score(logits, y) > 0.5
    assert (cross_val_score(members[0][1], logits, y, scoring="neg_log_loss") > -1.1).all()
    search = GridSearchCV(
        make_calibrator("isotonic", input="logits"), {"smoothing": [True, False]}, cv=3
    )
    search.fit(logits, y)
    names = np.array(["x", "y", "z"])[y]
    fitted = make_calibrator("temperature", input="logits").fit(logits, names)
    assert set(fitted.predict(logits)) <= {"x", "y", "z"}
    pipe = make_pipeline(StandardScaler(), CalibratedClassifier(MODEL, "platt", cv=3))
    VotingClassifier([("a", pipe), ("b", pipe)], voting="soft").fit(X, y).predict_proba(X)
