"""`CalibratedClassifier` where a row has many labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from calib import CalibratedClassifier, MultilabelCalibrator, PriorShiftAdapter

MODELS = {
    "one against the rest": OneVsRestClassifier(LogisticRegression()),
    "chain": ClassifierChain(LogisticRegression()),
    "list of arrays": MultiOutputClassifier(GaussianNB()),
    "forest": RandomForestClassifier(20, random_state=0),
    "neighbours": KNeighborsClassifier(15),
    "network": MLPClassifier((8,), max_iter=30, random_state=0),
}


def sample(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    odds = np.column_stack([2 * X[:, 0], X[:, 1] - 1, X[:, 2] + X[:, 3] - 2])
    return X, (rng.random(odds.shape) < expit(odds)).astype(int)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return float(-np.where(y == 1, np.log(p), np.log(1 - p)).mean())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ensemble", [False, True])
def test_every_kind_of_answer(name: str, ensemble: bool) -> None:
    X, y = sample()
    new, truth = sample(3000, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network of few iterations
        wrap = CalibratedClassifier(MODELS[name], ensemble=ensemble, cv=3).fit(X, y)
    p = wrap.predict_proba(new)
    assert isinstance(p, np.ndarray)
    assert p.shape == (3000, 3)
    assert wrap.multilabel_
    assert wrap.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(wrap.predict(new), p >= 0.5)
    assert np.abs(p.mean(axis=0) - truth.mean(axis=0)).max() < 0.06
    assert len(wrap.pairs_) == (3 if ensemble else 1)


def test_naive_bayes_gains_much() -> None:
    rng = np.random.default_rng(0)
    X, y = sample(800)
    X = np.repeat(X, 4, axis=1) + 0.1 * rng.normal(size=(800, 16))  # columns that depend
    model = MultiOutputClassifier(GaussianNB()).fit(X[:400], y[:400])
    raw = np.column_stack([part[:, 1] for part in model.predict_proba(X[600:])])
    wrap = CalibratedClassifier(FrozenEstimator(model)).fit(X[400:600], y[400:600])
    assert log_loss(wrap.predict_proba(X[600:]), y[600:]) < log_loss(raw, y[600:]) - 0.05
    assert isinstance(wrap.calibrator_, MultilabelCalibrator)
    assert wrap.calibrator_.calibrator == "spline"


def test_unknown_labels_calibrate_frozen_models() -> None:
    X, y = sample(900)
    model = OneVsRestClassifier(LogisticRegression()).fit(X[:300], y[:300])
    gaps = y[300:].astype(float)
    gaps[::2, 1] = np.nan
    wrap = CalibratedClassifier(FrozenEstimator(model), "platt").fit(X[300:], gaps)
    assert wrap.calibrator_.n_labelled_.tolist() == [600, 300, 600]
    with pytest.raises(ValueError, match="300 unknown labels"):
        CalibratedClassifier(clone(model)).fit(X[300:], gaps)


def test_a_label_that_a_fold_lacks_is_named() -> None:
    X, y = sample(90)
    y[:, 2] = 0
    y[:20, 2] = 1  # all in the first fold, which KFold does not shuffle
    with pytest.warns(UserWarning, match=r"labels \[2\] have a single value"):
        wrap = CalibratedClassifier(MultiOutputClassifier(GaussianNB()), "platt", cv=3).fit(X, y)
    assert np.isfinite(wrap.predict_proba(X)).all()


def test_weights_groups_and_instances() -> None:
    X, y = sample()
    wrap = CalibratedClassifier(MODELS["one against the rest"], MultilabelCalibrator("platt"))
    with pytest.warns(UserWarning, match="the weights are used for calibration only"):
        wrap.fit(X, y, sample_weight=np.ones(600), groups=np.arange(600) // 3)
    assert wrap.calibrator_.calibrator == "platt"
    assert wrap.response_ == "decision_function"
    other = clone(wrap).set_params(response="predict_proba").fit(X, y)
    assert other.calibrator_.input == "proba"
    assert wrap.score(X, y) > 0.3


@pytest.mark.parametrize(
    ("options", "y", "text"),
    [
        ({"features": [0]}, None, "features= is for one label per row"),
        ({"calibrator": PriorShiftAdapter()}, None, "classes that exclude each other"),
        ({"calibrator": 3}, None, "calibrator must be"),
        ({}, np.full((600, 2), 3), "y has 2 columns and holds 3"),
        ({}, np.full((600, 2), "a"), "must hold 0 and 1"),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], y: Any, text: str) -> None:
    X, labels = sample()
    model = FrozenEstimator(OneVsRestClassifier(LogisticRegression()).fit(X, labels))
    with pytest.raises(ValueError, match=text):
        CalibratedClassifier(model, **options).fit(X, labels if y is None else y)


def test_a_model_of_other_labels_is_named() -> None:
    X, y = sample()
    model = FrozenEstimator(OneVsRestClassifier(LogisticRegression()).fit(X, y))
    with pytest.raises(ValueError, match="y has 2 labels"):
        CalibratedClassifier(model).fit(X, y[:, :2])
