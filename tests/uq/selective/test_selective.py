"""The abstaining classifier: contract, label types, guarantee on real data, refusals."""

from __future__ import annotations

import math
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from uq import NothingKeptWarning, SelectiveClassifier


@parametrize_with_checks([SelectiveClassifier(LogisticRegression(), random_state=0)])
def test_scikit_learn_contract(estimator: object, check: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)  # type: ignore[operator]


@pytest.fixture
def blobs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = rng.integers(2, size=1200)
    return rng.normal(size=(1200, 2)) + 1.6 * y[:, None], y


def test_answers_what_the_threshold_says(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    model = FrozenEstimator(LogisticRegression().fit(X[:200], y[:200]))
    selective = SelectiveClassifier(model, target_risk=0.05).fit(X[200:900], y[200:900])
    new = X[900:]
    confidence = model.predict_proba(new).max(axis=1)
    np.testing.assert_allclose(selective.score_samples(new), confidence)
    accepted = selective.accepts(new)
    np.testing.assert_array_equal(accepted, confidence >= selective.threshold_)
    labels = selective.predict(new)
    np.testing.assert_array_equal(labels[accepted], model.predict(new)[accepted])
    assert (labels[~accepted] == -1).all()
    assert (selective.predict_all(new) == model.predict(new)).all()
    assert selective.abstention_rate(new) == pytest.approx(1 - accepted.mean())
    assert 0.1 < selective.abstention_rate(new) < 0.7
    assert selective.control_.n_samples == 700
    assert selective.control_.risk_bound <= 0.05
    assert selective.score(new, y[900:]) == (labels == y[900:]).mean()
    assert selective.n_features_in_ == 2


@pytest.mark.parametrize("confidence", ["margin", "negative_entropy"])
def test_other_confidences(blobs, confidence: str) -> None:  # type: ignore[no-untyped-def]
    X, y = blobs
    base = SelectiveClassifier(LogisticRegression(), target_risk=0.05, random_state=1)
    fitted = base.fit(X, y)
    other = clone(base).set_params(confidence=confidence).fit(X, y)
    assert other.control_.n_kept == fitted.control_.n_kept  # two classes: the same ranking
    np.testing.assert_array_equal(other.predict(X), fitted.predict(X))


def test_callable_confidence_needs_no_probabilities(blobs) -> None:  # type: ignore[no-untyped-def]
    X, y = blobs
    selective = SelectiveClassifier(
        LinearSVC(),
        target_risk=0.1,
        confidence=lambda model, X: np.abs(model.decision_function(X)),
        random_state=0,
    ).fit(X, y)
    assert 0 < selective.accepts(X).mean() < 1
    with pytest.raises(ValueError, match="LinearSVC has no predict_proba"):
        SelectiveClassifier(LinearSVC(), random_state=0).fit(X, y)


@pytest.mark.parametrize(
    ("names", "given", "marker", "kind"),
    [
        (np.array([0, 1]), None, -1, "i"),
        (np.array([-1, 1]), None, -2, "i"),
        (np.array([0, 1], dtype=np.uint8), None, -1, "i"),
        (np.array([3, 5], dtype=np.int8), 300, 300, "i"),
        (np.array([False, True]), None, -1, "i"),
        (np.array([0.0, 1.0]), None, math.nan, "f"),
        (np.array(["no", "yes"]), None, "abstain", "U"),
        (np.array(["no", "yes"]), "?", "?", "U"),
        (np.array(["no", "yes"], dtype=object), None, None, "O"),
    ],
)
def test_label_types_survive(blobs, names, given, marker, kind: str) -> None:  # type: ignore[no-untyped-def]
    X, y = blobs
    selective = SelectiveClassifier(
        LogisticRegression(), target_risk=0.06, abstain_label=given, random_state=0
    ).fit(X, names[y])
    labels, accepted = selective.predict(X), selective.accepts(X)
    assert labels.dtype.kind == kind
    assert 0 < accepted.mean() < 1
    np.testing.assert_array_equal(labels[accepted], selective.predict_all(X)[accepted])
    left = labels[~accepted]
    assert all(v != v if marker != marker else v == marker for v in left)
    assert selective.predict(X[accepted]).dtype == labels.dtype  # whatever is abstained from


@pytest.mark.parametrize(
    ("names", "given", "match"),
    [
        ([0, 1], 1, "is one of the classes"),
        ([0, 1], "abstain", "type of the labels"),
        ([0, 1], 0.5, "type of the labels"),
        (["a", "b"], -1, "type of the labels"),
        (["a", "abstain"], None, "is one of the classes"),
    ],
)
def test_abstain_label_is_checked(blobs, names, given, match: str) -> None:  # type: ignore[no-untyped-def]
    X, y = blobs
    with pytest.raises(ValueError, match=match):
        SelectiveClassifier(LogisticRegression(), abstain_label=given).fit(X, np.array(names)[y])


def test_nothing_kept_is_said(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    hopeless = SelectiveClassifier(DummyClassifier(), random_state=0)
    with pytest.warns(NothingKeptWarning, match="Nothing is answered"):
        hopeless.fit(X, y)
    assert hopeless.threshold_ == math.inf
    assert not hopeless.accepts(X).any()
    assert hopeless.abstention_rate(X) == 1.0
    assert (hopeless.predict(X) == -1).all()
    assert hopeless.score(X, y) == 0.0


def test_seed_pickle_and_tables(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    first = SelectiveClassifier(LogisticRegression(), random_state=3).fit(X, y)
    again = clone(first).fit(X, y)
    assert first.control_ == again.control_
    other = clone(first).set_params(random_state=4).fit(X, y)
    assert first.control_ != other.control_
    loaded = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(loaded.predict(X), first.predict(X))
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"])
    from_frame = clone(first).fit(frame, y)
    np.testing.assert_array_equal(from_frame.predict(frame), first.predict(X))
    assert list(from_frame.feature_names_in_) == ["a", "b"]


@pytest.mark.slow
def test_guarantee_on_digits() -> None:
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    model = FrozenEstimator(LogisticRegression(max_iter=5000).fit(X[:200], y[:200]))
    rest, broken, n_repeats = np.arange(200, len(y)), 0, 300
    wrong = model.predict(X) != y
    for _ in range(n_repeats):
        rows = rng.choice(rest, 400)  # drawn with replacement: the rest is the population
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NothingKeptWarning)
            selective = SelectiveClassifier(model, target_risk=0.05).fit(X[rows], y[rows])
        accepted = selective.accepts(X[rest])
        broken += accepted.any() and wrong[rest][accepted].mean() > 0.05
    assert broken / n_repeats <= 0.1 + 3 * math.sqrt(0.09 / n_repeats), broken


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target_risk": 0.0}, "target_risk"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"confidence": "energy"}, "confidence must be one of"),
        ({"procedure": "none"}, "procedure"),
        ({"min_coverage": 2.0}, "min_coverage"),
        ({"calibration_fraction": 0.0}, "calibration_fraction"),
        ({"random_state": "a"}, "random_state"),
        ({"confidence": lambda m, X: np.full(len(X), np.nan)}, r"confidence\(...\) contains NaN"),
    ],
)
def test_refused_options(blobs, options, match: str) -> None:  # type: ignore[no-untyped-def]
    X, y = blobs
    with pytest.raises(ValueError, match=match):
        SelectiveClassifier(LogisticRegression(), **options).fit(X, y)


def test_refused_data(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = blobs
    with pytest.raises(ValueError, match="one class"):
        SelectiveClassifier(LogisticRegression()).fit(X, np.zeros(len(y), dtype=int))
    with pytest.raises(ValueError, match="fewer than 2 classes"):
        SelectiveClassifier(LogisticRegression(), calibration_fraction=0.9).fit(X[:4], [0, 0, 0, 1])
    frozen = FrozenEstimator(GaussianNB().fit(X, y))
    with pytest.raises(ValueError, match="not among the classes"):
        SelectiveClassifier(frozen).fit(X, y + 1)
    with pytest.raises(ValueError, match="NaN"):
        SelectiveClassifier(LogisticRegression()).fit(X, np.where(y, np.nan, 1.0))
    with pytest.raises(ValueError, match="inconsistent"):
        SelectiveClassifier(LogisticRegression()).fit(X, y[:-1])
