"""Sets of features, the filter and tuning: chosen inside training parts, and never beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.support.small_study import LR, QUICK, thirty_samples
from uq import SpearmanFilter, leave_one_out_study, study_grids, study_models

RAW: dict[str, Any] = {**QUICK, "calibrators": ["raw"], "inner_folds": 3}


def raw(study: Any, name: str) -> np.ndarray:
    return np.asarray(study.predictions[name, "raw"][0].y_prob)


# ----------------------------------------------------------------------------------------- sets


def test_sets_are_studies_of_their_columns() -> None:
    """And a set that is added holds those before it, once."""
    X, y = thirty_samples()
    sets = {"a": [0], "+ b": [2, 0], "c": [1]}
    study = leave_one_out_study({"lr": LR}, X, y, feature_sets=sets, **RAW)
    assert study.models == ("lr | a", "lr | + b", "lr | c")
    assert study.members["lr | + b"] == ("lr", "+ b")
    for name, columns in (("a", [0]), ("+ b", [0, 2]), ("c", [1])):
        alone = leave_one_out_study({"lr": LR}, X[:, columns], y, **RAW)
        np.testing.assert_array_equal(raw(study, f"lr | {name}"), raw(alone, "lr"))


def test_sets_by_name_of_columns() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = thirty_samples()
    frame = pandas.DataFrame(X, columns=["age", "dose", "texture"])
    study = leave_one_out_study({"lr": LR}, frame, y, feature_sets={"d": ["dose"]}, **RAW)
    alone = leave_one_out_study({"lr": LR}, X[:, [1]], y, **RAW)
    np.testing.assert_array_equal(raw(study, "lr | d"), raw(alone, "lr"))
    with pytest.raises(ValueError, match=r"has 'dosis', which is no column of X. Did you mean"):
        leave_one_out_study({"lr": LR}, frame, y, feature_sets={"d": ["dosis"]}, **RAW)


def test_findings_speak_of_sets() -> None:
    X, y = thirty_samples()
    study = leave_one_out_study({"lr": LR}, X, y, feature_sets={"a": [0], "+ b": [1]}, **RAW)
    change = study.difference(("lr | + b", "raw"), ("lr | a", "raw"), "auroc")
    [sentence] = [text for text in study.findings() if text.startswith("Features")]
    assert f"+ b: AUROC {change}" in sentence


# --------------------------------------------------------------------------------------- filter


@parametrize_with_checks([SpearmanFilter()])
def test_filter_is_a_transformer(estimator: Any, check: Any) -> None:
    check(estimator)


def test_filter_keeps_the_better_of_two_alike(rng: np.random.Generator) -> None:
    """No two kept features are alike, and whatever is left out is like a better one."""
    y = rng.integers(0, 2, 80)
    base = rng.normal(size=(80, 6)) + np.outer(y, np.linspace(0, 1, 6))
    X = np.column_stack([base, np.exp(base) + 0.3 * rng.normal(size=base.shape)])
    found = SpearmanFilter(0.6).fit(X, y)
    rho = np.abs(spearmanr(np.column_stack([X, y])).statistic)
    np.testing.assert_allclose(found.association_, rho[:-1, -1])
    kept = found.kept_.tolist()
    assert 0 < len(kept) < 12
    for column in range(12):
        alike = [other for other in kept if other != column and rho[column, other] > 0.6]
        if column in kept:
            assert not alike
        else:
            assert any(rho[other, -1] >= rho[column, -1] for other in alike)
    np.testing.assert_array_equal(found.transform(X), X[:, kept])


def test_filter_with_gaps_constants_and_tables() -> None:
    pandas = pytest.importorskip("pandas")
    y = np.array([0, 0, 1, 1, 1])
    frame = pandas.DataFrame(
        {"flat": [1.0] * 5, "b": [1, 2, np.nan, 4, 5], "copy": [1, 2, 3, 4, 5.5]}
    )
    found = SpearmanFilter(0.9).fit(frame, y)
    assert list(found.transform(frame).columns) == ["copy"]  # a gap has the middle rank
    assert found.get_feature_names_out().tolist() == ["copy"]
    assert SpearmanFilter().fit(frame[["flat"]], y).kept_.tolist() == [0]
    with pytest.raises(ValueError, match="could not convert string"):
        SpearmanFilter().fit(frame.assign(kind=list("abcde")), y)
    with pytest.raises(ValueError, match="infinity"):
        SpearmanFilter().fit(np.full((5, 2), np.inf), y)
    with pytest.raises(ValueError, match="limit must lie"):
        SpearmanFilter(1.5).fit(np.zeros((5, 2)), y)


def test_the_filter_of_a_study_is_a_step_of_its_models() -> None:
    X, y = thirty_samples()
    X = np.column_stack([X, X[:, 0] + 0.1 * X[:, 1]])
    study = leave_one_out_study({"lr": LR}, X, y, correlation_limit=0.5, **RAW)
    by_hand = leave_one_out_study({"lr": make_pipeline(SpearmanFilter(0.5), LR)}, X, y, **RAW)
    np.testing.assert_array_equal(raw(study, "lr"), raw(by_hand, "lr"))
    assert (raw(study, "lr") != raw(leave_one_out_study({"lr": LR}, X, y, **RAW), "lr")).any()
    assert study.protocol.correlation_limit == 0.5
    assert any("exceeds 0.5" in note for note in study.notes)


# --------------------------------------------------------------------------------------- tuning


def test_tuning_by_hand() -> None:
    X, y = thirty_samples()
    grid = {"C": [0.001, 1.0, 100.0]}
    study = leave_one_out_study({"lr": LR}, X, y, tuning={"lr": grid}, **RAW)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    for i in (0, 13, 29):
        rest = np.delete(np.arange(30), i)
        search = GridSearchCV(LogisticRegression(), grid, scoring="roc_auc", cv=cv)
        expected = search.fit(X[rest], y[rest]).predict_proba(X[[i]])[0, 1]
        assert raw(study, "lr")[i] == pytest.approx(expected)
    assert study.protocol.tuned == ("lr",)
    assert any("Parameters of lr are chosen" in note for note in study.notes)


def test_grids_are_of_the_default_models() -> None:
    X, y = thirty_samples()
    for impute in (False, True):
        models = {"random_forest": study_models(impute=impute)["random_forest"]}
        last = models["random_forest"]
        (last.steps[-1][1] if impute else last).set_params(n_estimators=2)
        options = {**RAW, "outer_folds": 3}
        study = leave_one_out_study(models, X, y, tuning=True, **options)
        assert study.protocol.tuned == ("random_forest",)
    for name, model in study_models().items():
        assert set(study_grids()[name]) <= set(model.get_params())


def test_tuning_keeps_groups_together() -> None:
    """With groups the folds of a search are of groups; too few rows to cut again are refused."""
    X, y = (np.repeat(part, 2, axis=0) for part in thirty_samples())
    groups = np.repeat(np.arange(30), 2)
    grid = {"lr": {"C": [0.01, 1.0]}}
    study = leave_one_out_study(
        {"lr": LR}, X, y, groups=groups, tuning=grid, **{**RAW, "outer_folds": 3}
    )
    assert np.isfinite(raw(study, "lr")).all()
    few = np.arange(30) < 4
    with pytest.raises(ValueError, match="too few rows of a class to tune"):
        leave_one_out_study({"lr": LR}, thirty_samples()[0], few, tuning=grid, **RAW)


# -------------------------------------------------------------------------------------- leakage


class Spy(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Notes the rows it is trained on; the first column numbers them."""

    seen: list[set[int]] = []  # noqa: RUF012

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth

    def fit(self, X: np.ndarray, y: np.ndarray) -> Spy:
        self.classes_ = np.unique(y)
        self.rows_ = set(X[:, 0].astype(int).tolist())
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        held = set(X[:, 0].astype(int).tolist())
        tried = len(self.rows_) == 20 and held <= self.rows_  # whether the model works at all
        assert tried or not self.rows_ & held
        Spy.seen.append(self.rows_)
        return np.asarray(X[:, 1])


def test_no_choice_sees_the_rows_it_is_judged_on() -> None:
    X, y = thirty_samples()
    X = np.column_stack([np.arange(30), X[:, 0]])
    Spy.seen = []
    options = {**RAW, "outer_folds": 3}
    leave_one_out_study({"spy": Spy()}, X, y, tuning={"spy": {"depth": [1, 2]}}, **options)
    assert min(map(len, Spy.seen)) < 10  # folds of a search, inside folds of a training part


@pytest.mark.slow
def test_labels_without_meaning_have_an_auroc_of_one_half() -> None:
    """200 features and permuted labels: a filter or a grid that saw held-out rows would shine."""
    rng = np.random.default_rng(0)
    areas = []
    for seed in range(12):
        X, y = rng.normal(size=(60, 200)), rng.permutation(np.arange(60) % 2)
        study = leave_one_out_study(
            {"lr": LogisticRegression()},
            X,
            y,
            correlation_limit=0.3,
            tuning={"lr": {"C": [0.01, 1.0]}},
            outer_folds=10,
            inner_folds=2,
            n_repeats=1,
            calibrators=["raw"],
            n_resamples=2,
            n_simulations=0,
            random_state=seed,
        )
        areas.append(study.evaluate("lr", "raw")[0].metrics["auroc"].value)
    leaked = SpearmanFilter(0.3).fit(X, y).transform(X)
    best = leaked[:, np.argsort(-SpearmanFilter(0.99).fit(leaked, y).association_)[:5]]
    cheat = leave_one_out_study({"lr": LogisticRegression()}, best, y, outer_folds=10, **RAW)
    assert abs(np.mean(areas) - 0.5) < 4 * np.std(areas, ddof=1) / np.sqrt(12)
    assert abs(np.mean(areas) - 0.5) < 0.1
    assert cheat.evaluate("lr", "raw")[0].metrics["auroc"].value > 0.65  # what leakage looks like
