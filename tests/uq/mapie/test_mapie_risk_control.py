"""Thresholds with guaranteed rates: MAPIE as oracle, the guarantee by simulation, bad input."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from uq import RiskControlledClassifier, RiskNotControlledWarning

pytest.importorskip("mapie")

MAPIE_NAMES = {"npv": "negative_predictive_value"}
GRID = np.linspace(0.05, 0.8, 31)
RISKS = {
    "precision": 0.75,
    "recall": 0.8,
    "accuracy": 0.7,
    "fpr": 0.3,
    "predicted_positive_fraction": 0.6,
    "npv": 0.75,
}


def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that are right, uniform on [0, 1], and labels 0 and 1."""
    rng = np.random.default_rng(seed)
    proba = rng.random(n)
    return proba, (rng.random(n) < proba).astype(int)


def identity(proba: np.ndarray) -> np.ndarray:
    """Take the input for the probability of the second class."""
    return np.asarray(proba)


@pytest.fixture(scope="module")
def model() -> FrozenEstimator:
    X, y = make_classification(600, flip_y=0.1, class_sep=0.7, random_state=0)
    return FrozenEstimator(LogisticRegression().fit(X[:200], y[:200]))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("risk", "procedure"),
    [(risk, procedure) for risk in RISKS for procedure in ("bonferroni_holm", "bonferroni")]
    + [(risk, "fixed_sequence") for risk in ("recall", "fpr", "predicted_positive_fraction")],
)
def test_thresholds_are_those_of_mapie(risk: str, procedure: str) -> None:
    from mapie.risk_control import BinaryClassificationController

    proba, y = draw(1500)
    theirs = BinaryClassificationController(
        lambda p: np.column_stack([1 - p, p]),
        MAPIE_NAMES.get(risk, risk),
        RISKS[risk],
        confidence_level=0.95,
        best_predict_param_choice="accuracy",
        list_predict_params=GRID,
        fwer_method=procedure,
    ).calibrate(proba, y)
    ours = RiskControlledClassifier(
        identity,
        risk=risk,  # type: ignore[arg-type]
        target_level=RISKS[risk],
        confidence_level=0.95,
        objective="accuracy",
        procedure=procedure,  # type: ignore[arg-type]
        thresholds=GRID,
    ).fit(proba, y)
    assert 0 < len(ours.valid_thresholds_) < len(GRID)
    np.testing.assert_array_equal(ours.valid_thresholds_, theirs.valid_predict_params)
    np.testing.assert_array_equal(ours.p_values_, theirs.p_values[:, 0])
    assert ours.threshold_ == theirs.best_predict_param
    np.testing.assert_array_equal(ours.predict(proba), theirs.predict(proba))


@pytest.mark.oracle
def test_several_risks_are_those_of_mapie() -> None:
    from mapie.risk_control import BinaryClassificationController

    proba, y = draw(3000)
    names, targets = ["precision", "recall"], [0.65, 0.75]
    theirs = BinaryClassificationController(
        lambda p: np.column_stack([1 - p, p]), names, targets, list_predict_params=GRID
    ).calibrate(proba, y)
    ours = RiskControlledClassifier(
        identity,
        risk=("precision", "recall"),
        target_level=targets,
        thresholds=GRID,
    ).fit(proba, y)
    np.testing.assert_array_equal(ours.valid_thresholds_, theirs.valid_predict_params)
    assert ours.threshold_ == theirs.best_predict_param


def test_p_values_are_binomial_tails() -> None:
    proba, y = draw(400)
    ours = RiskControlledClassifier(
        identity, target_level=0.6, procedure="bonferroni", thresholds=[0.2, 0.5, 0.8]
    ).fit(proba, y)
    kept = [y[proba >= t] for t in ours.thresholds_]
    misses = np.array([(k == 0).sum() for k in kept])
    sizes = np.array([len(k) for k in kept])
    exact, one_more = binom.cdf(misses, sizes, 0.4), binom.cdf(misses + 1, sizes, 0.4)
    assert (ours.p_values_ >= exact * (1 - 1e-9)).all()
    assert (ours.p_values_ <= one_more * (1 + 1e-9)).all()
    np.testing.assert_allclose(ours.p_values_[[0, 2]], exact[[0, 2]], rtol=1e-9)
    np.testing.assert_array_equal(ours.valid_thresholds_, [0.5, 0.8])


def test_a_threshold_without_samples_does_not_spoil_the_others() -> None:
    """MAPIE alone finds nothing here, because thresholds above 0.9 have no p-value."""
    proba, y = draw(2000)
    ours = RiskControlledClassifier(identity, target_level=0.6).fit(proba * 0.9, y)
    assert ours.controlled_
    assert (ours.p_values_[ours.thresholds_ > 0.9] == 1).all()
    bonferroni = clone(ours).set_params(procedure="bonferroni").fit(proba * 0.9, y)
    assert set(bonferroni.valid_thresholds_) <= set(ours.valid_thresholds_)


@pytest.mark.parametrize(
    ("risk", "procedure", "target"),
    [
        ("recall", "fixed_sequence", 0.8),
        ("fpr", "fixed_sequence", 0.2),
        ("precision", "bonferroni_holm", 0.75),
    ],
)
def test_the_target_is_missed_no_more_often_than_allowed(
    risk: Any, procedure: Any, target: float
) -> None:
    """True rates at threshold t: recall 1 - t^2, fpr (1 - t)^2, precision (1 + t) / 2."""
    runs, misses = 300, 0
    grid = np.linspace(0.02, 0.9, 23)
    control = RiskControlledClassifier(
        identity,
        risk=risk,
        target_level=target,
        confidence_level=0.8,
        procedure=procedure,
        thresholds=grid,
    )
    for seed in range(runs):
        t = control.fit(*draw(1500, seed)).threshold_
        truth = {"recall": 1 - t**2, "fpr": (1 - t) ** 2, "precision": (1 + t) / 2}[risk]
        misses += truth > target if risk == "fpr" else truth < target
    assert misses <= binom.ppf(0.999, runs, 0.2)
    if procedure == "fixed_sequence":
        assert misses > 0


@pytest.mark.parametrize("target", [0.97, 0.999])
def test_without_a_valid_threshold_it_warns_and_does_not_predict(target: float) -> None:
    proba, y = draw(60)
    ours = RiskControlledClassifier(identity, target_level=target)
    with pytest.warns(RiskNotControlledWarning, match="no threshold meets precision"):
        ours.fit(proba, y)
    assert not ours.controlled_
    assert np.isnan(ours.threshold_)
    assert len(ours.valid_thresholds_) == 0
    with pytest.raises(ValueError, match="no threshold meets the targets"):
        ours.predict(proba)
    assert ours.predict_proba(proba).shape == (60, 2)


def test_recall_without_positive_samples_is_not_controlled(model: FrozenEstimator) -> None:
    X = np.random.default_rng(0).normal(size=(50, 20))
    with pytest.warns(RiskNotControlledWarning):
        RiskControlledClassifier(model, risk="recall").fit(X, np.zeros(50, dtype=int))


def test_model_and_callable_agree_and_labels_are_of_any_type() -> None:
    X, y = make_classification(1500, flip_y=0.1, class_sep=0.7, random_state=0)
    labels = np.array(["no", "yes"])[y]
    trained = LogisticRegression().fit(X[:300], labels[:300])
    kwargs: dict[str, Any] = {"target_level": 0.7}
    one = RiskControlledClassifier(FrozenEstimator(trained), **kwargs).fit(X[300:], labels[300:])
    two = RiskControlledClassifier(trained.predict_proba, **kwargs).fit(X[300:], labels[300:])
    assert one.threshold_ == two.threshold_
    assert one.classes_.tolist() == two.classes_.tolist() == ["no", "yes"]
    answer = one.predict(X)
    np.testing.assert_array_equal(answer, two.predict(X))
    positive = trained.predict_proba(X)[:, 1] >= one.threshold_
    np.testing.assert_array_equal(answer == "yes", positive)
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.predict(X), answer)
    assert 0 < one.score(X, labels) < 1


def test_objective_chooses_among_valid_thresholds() -> None:
    proba, y = draw(3000)
    kwargs: dict[str, Any] = {"target_level": 0.7, "thresholds": GRID}
    auto = RiskControlledClassifier(identity, **kwargs).fit(proba, y)
    assert auto.threshold_ == auto.valid_thresholds_.min()
    low = RiskControlledClassifier(identity, objective="fpr", **kwargs).fit(proba, y)
    assert low.threshold_ == low.valid_thresholds_.max()
    npv = RiskControlledClassifier(identity, risk="npv", **kwargs).fit(proba, y)
    assert npv.threshold_ == npv.valid_thresholds_.max()


def test_scikit_learn_contract(model: FrozenEstimator) -> None:
    ours = RiskControlledClassifier(model, risk=["precision"], target_level=[0.7])
    params = ours.get_params(deep=False)
    assert params["risk"] == ["precision"]
    assert params["estimator"] is model
    copy = clone(ours).set_params(confidence_level=0.8)
    assert copy.confidence_level == 0.8
    assert ours.confidence_level == 0.9
    with pytest.raises(ValueError, match="not fitted"):
        ours.predict(np.zeros((2, 20)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"risk": "f1"}, "risk must be one of"),
        ({"risk": None}, "risk must be one of"),
        ({"risk": []}, "at least one rate"),
        ({"risk": ["recall", "recall"], "target_level": [0.5, 0.5]}, "each once"),
        ({"risk": ["recall", "fpr"]}, "one value for each"),
        ({"target_level": 1.0}, "target_level must"),
        ({"target_level": [0.5, 0.6]}, "one value for each"),
        ({"target_level": "high"}, "target_level must"),
        ({"confidence_level": 0}, "confidence_level must"),
        ({"confidence_level": 1.0}, "confidence_level must"),
        ({"objective": "f1"}, "objective must be one of"),
        ({"procedure": "none"}, "procedure must be one of"),
        ({"procedure": "fixed_sequence"}, "needs a single risk"),
        ({"thresholds": [0.5, 0.2]}, "increase strictly"),
        ({"thresholds": [-0.1, 0.2]}, "increase strictly"),
        ({"thresholds": []}, "thresholds"),
        ({"estimator": LogisticRegression()}, "estimator must be FrozenEstimator"),
        ({"estimator": lambda p: p * 3}, "outside|probabilit"),
        ({"estimator": lambda p: np.full((len(p), 3), 1 / 3)}, "1 or 2 columns"),
        ({"estimator": lambda p: p[:5]}, "has 5 samples"),
    ],
)
def test_bad_options(params: dict[str, Any], message: str) -> None:
    control = RiskControlledClassifier(identity).set_params(**params)
    with pytest.raises(ValueError, match=message):
        control.fit(*draw(100))


def test_bad_labels(model: FrozenEstimator) -> None:
    proba, y = draw(90)
    with pytest.raises(ValueError, match="two classes"):
        RiskControlledClassifier(identity).fit(proba, np.arange(90) % 3)
    with pytest.raises(ValueError, match="one class"):
        RiskControlledClassifier(identity).fit(proba, np.zeros(90, dtype=int))
    with pytest.raises(ValueError, match="inconsistent numbers"):
        RiskControlledClassifier(identity).fit(proba, y[:-1])
    with pytest.raises(ValueError, match="y"):
        RiskControlledClassifier(model).fit(np.zeros((3, 20)), [0, 1, 7])
    with pytest.raises(ValueError, match="not fitted"):
        RiskControlledClassifier(FrozenEstimator(LogisticRegression())).fit(proba[:, None], y)


def test_no_hint_of_mapie_comes_through() -> None:
    """It warns of targets met everywhere and of hard answers; neither is a failure."""
    proba, y = draw(2000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RiskControlledClassifier(identity, risk="accuracy", target_level=0.3).fit(proba, y)
        RiskControlledClassifier(identity, target_level=0.6).fit(proba.round(), y)
