"""Weights, groups, categories, fit parameters: the same arguments and one rule everywhere."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import CalibratedClassifier
from uq import ConformalClassifier, ConformalRegressor, SplitPointRegressor

X, LABELS = make_classification(240, 6, n_informative=4, random_state=0)
TARGETS = X[:, 0] + LABELS
WEIGHT = np.random.default_rng(0).uniform(0.5, 2, 240)
GROUPS = np.repeat(np.arange(24), 10)
SEEN: list[dict[str, Any]] = []


class Recorder(BaseEstimator):
    """Keep what `fit` was given."""

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        colour: Any = None,
        eval_set: Any = None,
        X_val: Any = None,
    ) -> Recorder:
        given = {"rows": len(X), "first": X[:, 0].copy(), "weight": sample_weight}
        SEEN.append({**given, "colour": colour, "eval_set": eval_set, "X_val": X_val})
        self.model_ = self.inner().fit(X, y, sample_weight=sample_weight)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self.model_.predict(X)


class RecordingClassifier(ClassifierMixin, Recorder):
    inner = LogisticRegression

    def fit(  # the signature is what routing reads
        self, X: Any, y: Any, sample_weight: Any = None, *, colour: Any = None,
        eval_set: Any = None, X_val: Any = None,
    ) -> RecordingClassifier:  # fmt: skip
        super().fit(X, y, sample_weight, colour=colour, eval_set=eval_set, X_val=X_val)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return self.model_.predict_proba(X)


class RecordingRegressor(RegressorMixin, Recorder):
    inner = Ridge


CASES = {
    "classifier": (lambda m: CalibratedClassifier(m, "temperature", cv=3), True),
    "ensemble": (lambda m: CalibratedClassifier(m, "temperature", cv=3, ensemble=True), True),
    "sets": (lambda m: ConformalClassifier(m, random_state=0), True),
    "sets by folds": (lambda m: ConformalClassifier(m, method="cross", cv=3), True),
    "intervals": (lambda m: ConformalRegressor(m, random_state=0), False),
    "intervals by folds": (lambda m: ConformalRegressor(m, method="cross", cv=3), False),
    "intervals by draws": (
        lambda m: ConformalRegressor(m, method="bootstrap", n_resamples=20, random_state=0),
        False,
    ),
    "scaled intervals": (
        lambda m: ConformalRegressor(m, conformity_score="normalised", random_state=0,
                                     scale_estimator=Ridge()),
        False,
    ),
    "split point": (lambda m: SplitPointRegressor(m, sds_heads=None, random_state=0), False),
}  # fmt: skip


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, np.ndarray]:
    make, classes = CASES[request.param]
    SEEN.clear()
    model = RecordingClassifier() if classes else RecordingRegressor()
    return make, model, LABELS if classes else TARGETS


def fit(wrapper: Any, y: np.ndarray, **params: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the residuals average")
        return wrapper.fit(X, y, **params)


def place_of(first: np.ndarray) -> np.ndarray:
    return np.array([np.flatnonzero(X[:, 0] == value)[0] for value in first])


def test_every_fit_gets_its_rows_of_what_is_per_sample(case: tuple) -> None:
    make, model, y = case
    colour = np.arange(240)
    validation = [(X[:5], y[:5])]
    fit(make(model), y, sample_weight=WEIGHT, colour=colour.tolist(), eval_set=validation, X_val=X)
    assert SEEN
    for call in SEEN:
        rows = place_of(call["first"])
        np.testing.assert_array_equal(call["weight"], WEIGHT[rows])
        assert list(call["colour"]) == colour[rows].tolist()
        assert call["eval_set"] is validation
        assert call["X_val"] is X  # as long as the data, but it is other data


@pytest.mark.parametrize("routing", [False, True])
def test_weights_reach_the_last_step_of_a_pipeline(case: tuple, routing: bool) -> None:
    make, model, y = case
    with sklearn.config_context(enable_metadata_routing=routing):
        scaler = StandardScaler()
        if routing:
            scaler.set_fit_request(sample_weight=False)
            model.set_fit_request(sample_weight=True, colour=True)
        params = {"colour": "red"} if routing else {}
        fit(make(make_pipeline(scaler, model)), y, sample_weight=WEIGHT, **params)
    assert SEEN
    assert all(call["weight"] is not None for call in SEEN)
    assert not routing or all(call["colour"] == "red" for call in SEEN)


def test_weights_pass_through_searches_and_nested_pipelines() -> None:
    SEEN.clear()
    inner = make_pipeline(make_pipeline(StandardScaler(), RecordingClassifier()))
    search = GridSearchCV(inner, {"pipeline__standardscaler__with_mean": [True]}, cv=2)
    CalibratedClassifier(search, "temperature", cv=2).fit(X, LABELS, sample_weight=WEIGHT)
    assert len(SEEN) == 9
    assert all(call["weight"] is not None for call in SEEN)


def test_routing_of_what_nobody_asked_for() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        for wrapper, y in (
            (CalibratedClassifier(RecordingClassifier()), LABELS),
            (ConformalClassifier(RecordingClassifier()), LABELS),
            (ConformalRegressor(RecordingRegressor()), TARGETS),
        ):
            with pytest.raises(ValueError, match=r"sample_weight.*not explicitly set"):
                wrapper.fit(X, y, sample_weight=WEIGHT)
            with pytest.raises(TypeError, match="colours"):
                wrapper.fit(X, y, colours=1)


def test_groups_reach_folds_through_a_router() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            CalibratedClassifier(LogisticRegression(), "temperature", cv=GroupKFold(2)),
            {"calibrator": ["temperature", "platt"]},
            cv=GroupKFold(2),
        )
        search.fit(X, LABELS, groups=GROUPS)


def test_weights_that_nothing_takes() -> None:
    for wrapper, y, text in (
        (CalibratedClassifier(KNeighborsClassifier(), cv=2), LABELS, "used for calibration only"),
        (ConformalClassifier(KNeighborsClassifier()), LABELS, "have no effect"),
        (ConformalRegressor(KNeighborsRegressor()), TARGETS, "have no effect"),
    ):
        with pytest.warns(UserWarning, match=f"takes no sample_weight; .*{text}"):
            wrapper.fit(X, y, sample_weight=WEIGHT)
    for wrapper, y in (
        (ConformalClassifier(FrozenEstimator(LogisticRegression().fit(X, LABELS))), LABELS),
        (ConformalRegressor(FrozenEstimator(Ridge().fit(X, TARGETS))), TARGETS),
    ):
        with pytest.warns(UserWarning, match=r"colour, sample_weight: no effect.*frozen"):
            wrapper.fit(X, y, sample_weight=WEIGHT, colour=1)


def test_groups_stay_whole(case: tuple) -> None:
    make, model, y = case
    fitted = fit(make(model), y, groups=GROUPS)
    whole = [call for call in SEEN if call["rows"] < 240 or "bootstrap" in repr(fitted)]
    assert whole or SEEN
    for call in SEEN:
        count = np.bincount(GROUPS[place_of(call["first"])], minlength=24)
        assert (count % 10 == 0).all()
    if hasattr(fitted, "calibration_rows_"):
        count = np.bincount(GROUPS[fitted.calibration_rows_], minlength=24)
        assert (count % 10 == 0).all()
    with pytest.raises(ValueError, match="groups has 10"):
        make(model).fit(X, y, groups=GROUPS[:10])


def test_same_arguments_everywhere() -> None:
    wrappers = (CalibratedClassifier, ConformalClassifier, ConformalRegressor, SplitPointRegressor)
    for wrapper in wrappers:
        names = list(inspect.signature(wrapper.fit).parameters)
        assert names[:5] == ["self", "X", "y", "sample_weight", "groups"]
        assert names[-1] == "fit_params"
    for wrapper in (ConformalClassifier, ConformalRegressor):
        names = list(inspect.signature(wrapper.fit).parameters)
        assert names[5:7] == ["categories", "likelihood_ratio"]


@pytest.mark.parametrize(
    ("at_fit", "later"),
    [
        (np.array(["1", "2"]), np.array([1, 2])),
        (np.array([1, 2]), np.array(["1", "2"])),
        (np.array([True, False]), np.array([1, 0])),
        (np.array(["a", "b"], dtype=object), np.array([1, 2])),
        (np.array([1, 2]), np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]")),
    ],
)
def test_categories_of_another_type(at_fit: np.ndarray, later: np.ndarray) -> None:
    rows = np.arange(240) % 2
    sets = ConformalClassifier(LogisticRegression(), random_state=0)
    sets.fit(X, LABELS, categories=at_fit[rows])
    intervals = ConformalRegressor(Ridge(), random_state=0)
    intervals.fit(X, TARGETS, categories=at_fit[rows])
    for ask in (sets.predict_set, intervals.predict_interval):
        ask(X, categories=at_fit[rows])
        with pytest.raises(ValueError, match="categories holds values of another type"):
            ask(X, categories=later[rows])
