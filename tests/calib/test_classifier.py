"""The wrapper: frozen and refitted models, labels, weights, tables, text, absent classes."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from calib import (
    CALIBRATORS,
    CalibratedClassifier,
    PlattCalibrator,
    RefitWarning,
    TemperatureCalibrator,
    make_calibrator,
)


def data(n_classes: int = 3, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(
        n, 8, n_informative=5, n_classes=n_classes, class_sep=0.7, flip_y=0.1, random_state=0
    )


def test_frozen_model_is_never_trained_again() -> None:
    X, y = data()
    model = LogisticRegression(C=100).fit(X[:100], y[:100])
    before = pickle.dumps(model)
    served = CalibratedClassifier(FrozenEstimator(model), "temperature").fit(X[100:], y[100:])
    assert pickle.dumps(model) == before
    assert served.estimator_.estimator is model
    direct = TemperatureCalibrator(input="logits")
    direct.fit(model.decision_function(X[100:]), y[100:])
    assert served.calibrator_.temperature_ == direct.temperature_
    expected = direct.transform(model.decision_function(X))
    np.testing.assert_array_equal(served.predict_proba(X), expected)
    np.testing.assert_array_equal(served.predict(X), model.predict(X))
    assert served.n_features_in_ == 8


@pytest.mark.parametrize("name", list(CALIBRATORS))
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_calibrator(name: str, n_classes: int) -> None:
    X, y = data(n_classes)
    if make_calibrator(name).needs_features:
        pytest.skip("reads features: see test_features_of_the_wrapper.py")
    for calibrator in (name, make_calibrator(name)):
        cc = CalibratedClassifier(GaussianNB(), calibrator, cv=3).fit(X, y)
        p = cc.predict_proba(X)
        assert p.shape == (400, n_classes)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert cc.response_ == "predict_proba"
        assert cc.calibrator_.input == "proba"
    if not isinstance(calibrator, str):
        assert calibrator.input == "proba"
        assert not hasattr(calibrator, "classes_")


def test_out_of_fold_scores_fit_one_map_and_the_model_sees_everything() -> None:
    X, y = data()
    model = LogisticRegression()
    cc = CalibratedClassifier(model, "platt", cv=4).fit(X, y)
    scores = cross_val_predict(model, X, y, cv=4, method="decision_function")
    direct = PlattCalibrator(input="logits").fit(scores, y)
    np.testing.assert_allclose(cc.calibrator_.slope_, direct.slope_, rtol=1e-9)
    np.testing.assert_allclose(cc.estimator_.coef_, clone(model).fit(X, y).coef_)
    assert not hasattr(model, "classes_")


def test_ensemble_averages_the_pairs() -> None:
    X, y = data()
    cc = CalibratedClassifier(GaussianNB(), cv=3, ensemble=True).fit(X, y)
    assert len(cc.pairs_) == 3
    assert not hasattr(cc, "calibrator_")
    parts = [c.predict_proba(e.predict_proba(X)) for e, c in cc.pairs_]
    np.testing.assert_allclose(cc.predict_proba(X), np.mean(parts, axis=0))
    assert cc.score(X, y) > 0.5


def test_pipeline_and_grid_search() -> None:
    X, y = data()
    pipe = make_pipeline(StandardScaler(), CalibratedClassifier(GaussianNB(), cv=3))
    names = ["temperature", "isotonic", PlattCalibrator(smooth_targets=True)]
    search = GridSearchCV(
        pipe, {"calibratedclassifier__calibrator": names}, scoring="neg_log_loss", cv=2
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    nested = GridSearchCV(
        CalibratedClassifier(GaussianNB(), cv=2), {"estimator__var_smoothing": [1e-9, 1e-2]}, cv=2
    ).fit(X, y)
    assert nested.best_estimator_.predict_proba(X).shape == (400, 3)


@pytest.mark.parametrize(
    ("model", "response"),
    [
        (LogisticRegression(), "decision_function"),
        (LinearSVC(), "decision_function"),
        (SVC(decision_function_shape="ovr"), "decision_function"),
        (RandomForestClassifier(20, random_state=0), "predict_proba"),
        (KNeighborsClassifier(), "predict_proba"),
    ],
)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_response_is_chosen_by_what_the_model_offers(
    model: object, response: str, n_classes: int
) -> None:
    X, y = data(n_classes)
    cc = CalibratedClassifier(model, cv=3).fit(X, y)
    assert cc.response_ == response
    assert np.isfinite(np.log(cc.predict_proba(X)[np.arange(400), y])).all()


def test_response_can_be_demanded() -> None:
    X, y = data()
    cc = CalibratedClassifier(LogisticRegression(), response="predict_proba").fit(X, y)
    assert cc.response_ == "predict_proba"
    with pytest.raises(ValueError, match="GaussianNB has no decision_function"):
        CalibratedClassifier(GaussianNB(), response="decision_function").fit(X, y)
    with pytest.raises(ValueError, match="response must be one of"):
        CalibratedClassifier(GaussianNB(), response="logits").fit(X, y)
    ovo = SVC(decision_function_shape="ovo")
    with pytest.raises(ValueError, match="SVC has a decision_function without one column"):
        CalibratedClassifier(ovo).fit(*data(4))


@pytest.mark.parametrize(
    "names", [np.array(["ant", "bee", "cat"]), np.array([7, 8, 9]), np.array([1.5, 2.0, 8.0]) * 2]
)
def test_any_label_type(names: np.ndarray) -> None:
    X, y = data()
    cc = CalibratedClassifier(GaussianNB(), cv=3).fit(X, names[y])
    np.testing.assert_array_equal(cc.classes_, names)
    assert set(cc.predict(X)) <= set(names)
    expected = CalibratedClassifier(GaussianNB(), cv=3).fit(X, y)
    np.testing.assert_array_equal(cc.predict_proba(X), expected.predict_proba(X))
    object_labels = CalibratedClassifier(GaussianNB(), cv=3).fit(X, names[y].astype(object))
    np.testing.assert_array_equal(object_labels.predict_proba(X), cc.predict_proba(X))


def test_boolean_labels() -> None:
    X, y = data(2)
    cc = CalibratedClassifier(LogisticRegression(), cv=3).fit(X, y.astype(bool))
    assert cc.predict(X).dtype == bool


def test_class_absent_from_the_calibration_set() -> None:
    X, y = data()
    names = np.array(["ant", "bee", "cat"])[y]
    model = GaussianNB().fit(X, names)
    keep = names != "bee"
    served = CalibratedClassifier(FrozenEstimator(model), "isotonic").fit(X[keep], names[keep])
    assert served.predict_proba(X).shape == (400, 3)
    assert np.isfinite(served.predict_proba(X)).all()
    with pytest.raises(ValueError, match=r"y has labels \['dog'\] that are not among the classes"):
        served.fit(X[:3], ["ant", "cat", "dog"])


def test_class_missing_from_a_training_fold() -> None:
    X, y = data()
    y = y.copy()
    y[0] = 3  # a single sample
    model = CalibratedClassifier(GaussianNB(), cv=KFold(3))
    with pytest.warns(UserWarning, match="missing from the training part"):
        cc = model.fit(X, y)
    p = cc.predict_proba(X)
    assert p.shape == (400, 4)
    assert np.isfinite(p).all()
    two = np.where(np.arange(400) == 0, 2, np.minimum(y, 1))  # one fold trains on two classes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for model in (GaussianNB(), LogisticRegression()):
            p = CalibratedClassifier(model, cv=3, ensemble=True).fit(X, two).predict_proba(X)
            assert p.shape == (400, 3)


def test_weights_reach_model_and_calibrator() -> None:
    X, y = data()
    w = np.random.default_rng(0).integers(1, 4, 400)
    cc = CalibratedClassifier(GaussianNB(), "platt", cv=3).fit(X, y, sample_weight=w)
    np.testing.assert_allclose(cc.estimator_.theta_, GaussianNB().fit(X, y, w).theta_)
    frozen = FrozenEstimator(GaussianNB().fit(X, y))
    weighted = CalibratedClassifier(frozen, "platt").fit(X, y, sample_weight=w)
    rows = np.repeat(np.arange(400), w)
    repeated = CalibratedClassifier(frozen, "platt").fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-9)
    with pytest.warns(UserWarning, match=r"KNeighborsClassifier\.fit takes no sample_weight"):
        CalibratedClassifier(KNeighborsClassifier(), cv=3).fit(X, y, sample_weight=w)


def test_groups_reach_the_splitter() -> None:
    X, y = data()
    groups = np.arange(400) // 20
    cc = CalibratedClassifier(GaussianNB(), cv=GroupKFold(4))
    cc.fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="groups"):
        cc.fit(X, y)


def test_text_and_tables_reach_the_model_untouched() -> None:
    pd = pytest.importorskip("pandas")
    texts = ["good film", "bad film", "good day", "bad day"] * 10
    labels = ["pos", "neg", "pos", "neg"] * 10
    labels[0], labels[1] = "neg", "pos"
    pipe = make_pipeline(CountVectorizer(), LogisticRegression())
    cc = CalibratedClassifier(pipe, cv=3).fit(texts, labels)
    assert cc.predict(["good good"]).tolist() == ["pos"]

    class NeedsFrame(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def fit(self, X, y):
            assert isinstance(X, pd.DataFrame)
            assert X["kind"].dtype == object or str(X["kind"].dtype).startswith("str")
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X):
            assert isinstance(X, pd.DataFrame)
            p = X["value"].to_numpy()
            return np.stack([1 - p, p], axis=1)

    frame = pd.DataFrame({"kind": list("ab") * 20, "value": np.linspace(0.1, 0.9, 40)})
    y = (np.arange(40) % 3 > 0).astype(int)
    cc = CalibratedClassifier(NeedsFrame(), cv=3).fit(frame, y)
    assert cc.predict_proba(frame).shape == (40, 2)


def test_trained_model_without_frozen_warns() -> None:
    X, y = data()
    model = GaussianNB().fit(X, y)
    with pytest.warns(RefitWarning, match=r"FrozenEstimator\(model\)"):
        CalibratedClassifier(model, cv=3).fit(X, y)


def test_extra_methods_of_the_calibrator_appear() -> None:
    class WithInterval(TemperatureCalibrator):
        def predict_interval(self, X):
            p = self.transform(X)
            return np.stack([p, p], axis=2)

        def uncertainty(self, X):
            return 1 - self.transform(X).max(axis=1)

    X, y = data()
    plain = CalibratedClassifier(GaussianNB())
    assert not hasattr(plain, "predict_interval")
    cc = CalibratedClassifier(GaussianNB(), WithInterval(), cv=3)
    assert hasattr(cc, "predict_interval")
    with pytest.raises(NotFittedError):
        cc.uncertainty(X)
    cc.fit(X, y)
    assert cc.predict_interval(X).shape == (400, 3, 2)
    np.testing.assert_allclose(cc.uncertainty(X), 1 - cc.predict_proba(X).max(axis=1))


def test_bad_arguments() -> None:
    X, y = data()
    with pytest.raises(ValueError, match="unknown calibrator 'nope'; known names: auto, temper"):
        CalibratedClassifier(GaussianNB(), "nope").fit(X, y)
    with pytest.raises(ValueError, match="calibrator must be a registry name"):
        CalibratedClassifier(GaussianNB(), 3).fit(X, y)
    with pytest.raises(ValueError, match="ensemble must be one of"):
        CalibratedClassifier(GaussianNB(), ensemble="yes").fit(X, y)
    with pytest.raises(ValueError, match=r"y has one class"):
        CalibratedClassifier(GaussianNB()).fit(X, np.zeros(400))
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        CalibratedClassifier(GaussianNB()).fit(X, y, sample_weight=-np.ones(400))
    with pytest.raises(NotFittedError):
        CalibratedClassifier(GaussianNB()).predict_proba(X)
    with pytest.raises(AttributeError, match="not fitted"):
        _ = CalibratedClassifier(GaussianNB()).n_features_in_


def test_pickle_and_parallel_folds() -> None:
    X, y = data()
    cc = CalibratedClassifier(GaussianNB(), cv=3, n_jobs=2).fit(X, y)
    again = pickle.loads(pickle.dumps(cc))
    np.testing.assert_array_equal(again.predict_proba(X), cc.predict_proba(X))


def test_skops_round_trip() -> None:
    sio = pytest.importorskip("skops.io")
    X, y = data()
    cc = CalibratedClassifier(GaussianNB(), "isotonic", cv=3).fit(X, y)
    blob = sio.dumps(cc)
    again = sio.loads(blob, trusted=sio.get_untrusted_types(data=blob))
    np.testing.assert_array_equal(again.predict_proba(X), cc.predict_proba(X))


def test_refitting_forgets_the_other_mode() -> None:
    X, y = data()
    cc = CalibratedClassifier(GaussianNB(), cv=3).fit(X, y)
    cc.set_params(ensemble=True).fit(X, y)
    assert not hasattr(cc, "estimator_")


def test_it_calibrates_real_scores() -> None:
    X, y = load_digits(return_X_y=True)
    cc = CalibratedClassifier(GaussianNB(), "temperature").fit(X[:1200], y[:1200])
    raw = GaussianNB().fit(X[:1200], y[:1200]).predict_proba(X[1200:])
    p = cc.predict_proba(X[1200:])
    rows = np.arange(len(p))
    floor = 1e-300
    assert -np.log(p[rows, y[1200:]]).mean() < -np.log(raw[rows, y[1200:]] + floor).mean() / 2
