"""ConformalClassifier: coverage, categories, weights, scikit-learn manners, and bad input."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from calib import CalibratedClassifier, RefitWarning
from uq import (
    ConformalClassifier,
    EffectiveSampleSizeWarning,
    PooledCategoryWarning,
    SmallCalibrationSetWarning,
    conformal_p_values,
    conformal_quantile,
    mondrian_p_values,
)

LEVELS = [0.5, 0.8, 0.9, 0.95]
KINDS = ("lac", "aps", "raps", "top_k")


class Given(ClassifierMixin, BaseEstimator):
    """A trained model whose probabilities are its input (the first `n_classes` columns)."""

    def __init__(self, n_classes: int = 3) -> None:
        self.n_classes = n_classes
        self.classes_ = np.arange(n_classes)

    def fit(self, X: Any, y: Any) -> Given:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(X)[:, : self.n_classes]


def draw(rng: np.random.Generator, n: int, n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of an overconfident model, and labels from milder ones."""
    logits = rng.normal(size=(n, n_classes)) * 1.5
    noisy = np.exp(logits + np.log(rng.exponential(size=(n, n_classes)) + 1e-12) * -1)
    labels = noisy.argmax(axis=1)
    proba = np.exp(1.7 * logits)
    return proba / proba.sum(axis=1, keepdims=True), labels


def wrapped(n_classes: int = 3, **options: Any) -> ConformalClassifier:
    return ConformalClassifier(FrozenEstimator(Given(n_classes)), random_state=0, **options)


def covered(sets: np.ndarray, y: np.ndarray) -> np.ndarray:
    return sets[np.arange(len(y)), y]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(1500, 8, n_informative=5, n_classes=4, random_state=0)


# ---------------------------------------------------------------------- guarantees


@pytest.mark.parametrize("kind", ["lac", "aps", "top_k", "raps"])
def test_coverage_over_200_calibration_sets(kind: str) -> None:
    """The mean over repeats lies where the beta-binomial law of the exact method puts it."""
    n, n_test, repeats, level = 100, 200, 200, 0.9
    k = 91  # ceil(101 * 0.9)
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(repeats):
        proba, y = draw(rng, n + n_test)
        model = wrapped(conformity_score=kind, randomize=kind in ("aps", "raps"))
        model = model.set_params(random_state=int(rng.integers(2**31))).fit(proba[:n], y[:n])
        hits.append(covered(model.predict_set(proba[n:], level), y[n:]).sum())
    law = betabinom(n_test, k, n + 1 - k)
    slack = 4 * law.std() / np.sqrt(repeats)
    mean = np.mean(hits)
    assert mean >= law.mean() - slack, f"{kind}: {mean / n_test}"
    if kind != "top_k":  # ties make sets of one size conservative
        assert mean <= law.mean() + slack, f"{kind}: {mean / n_test}"
        assert np.std(hits) == pytest.approx(law.std(), rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200])
def test_coverage_band_over_2000_repetitions(n: int) -> None:
    rng = np.random.default_rng(n)
    level, n_test, repeats = 0.9, 50, 2000
    k = int(np.ceil((n + 1) * 0.9 - 1e-9))
    total = 0
    for _ in range(repeats):
        proba, y = draw(rng, n + n_test)
        model = wrapped().fit(proba[:n], y[:n])
        total += covered(model.predict_set(proba[n:], level), y[n:]).sum()
    law = betabinom(n_test, k, n + 1 - k)
    assert abs(total / repeats - law.mean()) < 4 * law.std() / np.sqrt(repeats)


@pytest.mark.parametrize("kind", KINDS)
def test_label_conditional_coverage(kind: str) -> None:
    rng = np.random.default_rng(8)
    proba, y = draw(rng, 9000)
    cal, new = slice(3000), slice(3000, None)
    model = wrapped(conformity_score=kind, mondrian="label", randomize=True).fit(proba[cal], y[cal])
    inside = covered(model.predict_set(proba[new], 0.9), y[new])
    for label in range(3):
        rate = inside[y[new] == label].mean()
        assert rate >= 0.88, f"{kind}, label {label}: {rate}"
        assert kind == "top_k" or rate <= 0.92, f"{kind}, label {label}: {rate}"


def test_every_category_follows_its_own_law() -> None:
    """Group times label, 200 repeats: hits lie in the band of the beta-binomial laws' sum."""
    rng = np.random.default_rng(11)
    keys = [(g, label) for g in "ab" for label in range(3)]
    hits, mean, variance = (
        dict.fromkeys(keys, 0),
        dict.fromkeys(keys, 0.0),
        dict.fromkeys(keys, 0.0),
    )
    for _ in range(200):
        proba, y = draw(rng, 900)
        groups = rng.choice(list("ab"), 900, p=[0.7, 0.3])
        noise = rng.dirichlet(np.ones(3), 900)
        proba = np.where((groups == "b")[:, None], 0.3 * proba + 0.7 * noise, proba)
        model = wrapped(mondrian="label").fit(proba[:600], y[:600], categories=groups[:600])
        inside = covered(model.predict_set(proba[600:], 0.8, categories=groups[600:]), y[600:])
        for g, label in keys:
            rows = (groups == g) & (y == label)
            n = int(rows[:600].sum())
            k = -((-4 * (n + 1)) // 5)  # ceil(0.8 (n + 1))
            law = betabinom(int(rows[600:].sum()), k, n + 1 - k)
            hits[g, label] += inside[rows[600:]].sum()
            mean[g, label] += law.mean()
            variance[g, label] += law.var()
    for key in keys:
        assert abs(hits[key] - mean[key]) < 4 * np.sqrt(variance[key]), key


@pytest.mark.slow
def test_weighted_sets_cover_where_plain_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    plain_hits, weighted_hits = [], []
    for _ in range(300):
        x = np.concatenate([rng.normal(0, 1, 300), rng.normal(1.5, 1, 200)])
        harder = 1 / (1 + np.exp(-2 * x))  # labels get noisier to the right
        truth = rng.random(500) < 0.95 - 0.45 * harder
        proba = np.column_stack([np.full(500, 0.8), np.full(500, 0.2)])
        proba += np.clip(rng.normal(scale=0.05, size=500), -0.2, 0.2)[:, None] * [1, -1]
        y, features = 1 - truth.astype(int), np.column_stack([proba, x])
        ratio = lambda rows: np.exp(1.5 * rows[:, 2] - 1.125)  # noqa: E731
        plain = wrapped(2).fit(features[:300], y[:300])
        weighted = wrapped(2, likelihood_ratio=ratio).fit(features[:300], y[:300])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EffectiveSampleSizeWarning)
            for model, hits in ((plain, plain_hits), (weighted, weighted_hits)):
                hits.append(covered(model.predict_set(features[300:], 0.7), y[300:]).mean())
    error = np.std(weighted_hits) / np.sqrt(300)
    assert np.mean(plain_hits) < 0.65
    assert np.mean(weighted_hits) > 0.7 - 4 * error
    assert np.mean(weighted_hits) < 0.75 + 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lac", "aps"])
def test_cv_plus_coverage(kind: str) -> None:
    hits = []
    for seed in range(40):
        X, y = make_classification(700, 6, n_informative=4, n_classes=3, random_state=seed)
        inner = LogisticRegression(max_iter=300)
        model = ConformalClassifier(
            inner, method="cross", conformity_score=kind, randomize=True, random_state=seed
        )
        hits.append(covered(model.fit(X[:200], y[:200]).predict_set(X[200:], 0.9), y[200:]).mean())
    assert 0.88 < np.mean(hits) < 0.94


# ---------------------------------------------------------------------- identities


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["split", "cv_plus", "mean"])
@pytest.mark.parametrize("mondrian", [None, "label", "cluster"])
@pytest.mark.filterwarnings("ignore::uq.warnings.SmallCalibrationSetWarning")
def test_sets_are_p_values_above_the_error_level(
    data: tuple[np.ndarray, np.ndarray], kind: str, method: str, mondrian: str | None
) -> None:
    X, y = data
    how = {} if method == "split" else {"method": "cross", "aggregation": method, "cv": 3}
    model = ConformalClassifier(
        LogisticRegression(), conformity_score=kind, mondrian=mondrian, random_state=0, **how
    ).fit(X[:900], y[:900])
    p_values = model.predict_p(X[900:])
    sets = model.predict_sets(X[900:], LEVELS)
    for position, level in enumerate(LEVELS):
        np.testing.assert_array_equal(sets[:, :, position], p_values > 1 - level + 1e-12)
        np.testing.assert_array_equal(sets[:, :, position], model.predict_set(X[900:], level))
    smoothed = model.predict_p(X[900:], smoothed=True)
    assert (smoothed <= p_values).all()


def test_p_values_are_those_of_the_functions() -> None:
    proba, y = draw(np.random.default_rng(0), 300)
    model = wrapped().fit(proba[:200], y[:200])
    scores = 1 - proba[np.arange(200), y[:200]]
    np.testing.assert_array_equal(model.conformity_scores_, scores)
    np.testing.assert_array_equal(model.predict_scores(proba[200:]), 1 - proba[200:])
    expected = conformal_p_values(scores, 1 - proba[200:])
    np.testing.assert_array_equal(model.predict_p(proba[200:]), expected)
    by_label = wrapped(mondrian="label").fit(proba[:200], y[:200])
    expected = mondrian_p_values(scores, y[:200], 1 - proba[200:], [0, 1, 2])
    np.testing.assert_array_equal(by_label.predict_p(proba[200:]), expected)
    forced = by_label.predict_credibility_confidence(proba[200:])
    np.testing.assert_array_equal(forced.credibility, expected.max(axis=1))


def test_one_group_and_unit_weights_are_the_plain_case() -> None:
    proba, y = draw(np.random.default_rng(1), 300)
    plain = wrapped().fit(proba[:200], y[:200]).predict_sets(proba[200:], LEVELS)
    grouped = wrapped().fit(proba[:200], y[:200], categories=["a"] * 200)
    sets = grouped.predict_sets(proba[200:], LEVELS, categories=["a"] * 100)
    np.testing.assert_array_equal(plain, sets)
    weighted = wrapped().fit(proba[:200], y[:200], likelihood_ratio=np.full(200, 7.0))
    sets = weighted.predict_sets(proba[200:], LEVELS, likelihood_ratio=np.full(100, 7.0))
    np.testing.assert_array_equal(plain, sets)
    called = wrapped(likelihood_ratio=lambda X: np.ones(len(X)), mondrian=lambda X: [0] * len(X))
    sets = called.fit(proba[:200], y[:200]).predict_sets(proba[200:], LEVELS)
    np.testing.assert_array_equal(plain, sets)


def test_leave_one_out_is_a_fold_per_sample(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data[0][:60], data[1][:60] % 2
    model = ConformalClassifier(LogisticRegression(), method="cross", cv=LeaveOneOut()).fit(X, y)
    new = data[0][60:90]
    votes = np.zeros((30, 2))
    for one, score in zip(model.estimators_, model.conformity_scores_, strict=True):
        votes += 1 - one.predict_proba(new) <= score
    np.testing.assert_allclose(model.predict_p(new), (1 + votes) / 61)


def test_weights_enter_fold_by_fold(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data[0][:120], data[1][:120]
    w = np.random.default_rng(0).integers(1, 4, 120).astype(float)
    model = ConformalClassifier(LogisticRegression(), method="cross", cv=4)
    weighted = clone(model).fit(X, y, likelihood_ratio=w)
    new, own = data[0][120:160], np.full(40, 2.0)
    mass = np.zeros((40, 4))
    state = weighted._state
    for row in range(120):
        proba = weighted.estimators_[state.held.fold[row]].predict_proba(new)
        mass += w[row] * (1 - proba <= weighted.conformity_scores_[row])
    p_values = weighted.predict_p(new, likelihood_ratio=own)
    np.testing.assert_allclose(p_values, (mass + 2) / (w.sum() + 2), 1e-12)
    sets = weighted.predict_set(new, 0.8, likelihood_ratio=own)
    np.testing.assert_array_equal(sets, p_values > 0.2 + 1e-12)


@pytest.mark.shared_data
def test_label_conditional_coverage_on_real_logits(densenet: dict[str, np.ndarray]) -> None:
    """CIFAR-10, 20 random splits into 5000 calibration and 10000 new samples."""
    logits = np.concatenate([densenet["logits_val"], densenet["logits_test"]]).astype(float)
    y = np.concatenate([densenet["labels_val"], densenet["labels_test"]]).ravel()
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    rates = {None: np.zeros(10), "label": np.zeros(10)}
    for _ in range(20):
        order = rng.permutation(len(y))
        cal, new = order[:5000], order[5000:]
        for mondrian, total in rates.items():
            model = wrapped(10, mondrian=mondrian).fit(proba[cal], y[cal])
            inside = covered(model.predict_set(proba[new], 0.9), y[new])
            total += [inside[y[new] == label].mean() / 20 for label in range(10)]
    assert np.abs(rates["label"] - 0.9).max() < 0.02
    assert np.abs(rates[None] - 0.9).max() > 0.05


@pytest.mark.parametrize("randomize", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_sets_of_many_rows_are_the_scores_up_to_the_threshold(kind: str, randomize: bool) -> None:
    """Blocks cut off at a probability are one comparison of all scores, ties included."""
    proba, y = draw(np.random.default_rng(0), 5000, 7)
    proba = np.where(np.arange(5000)[:, None] % 2, proba, (proba * 50).round() + 1)
    proba /= proba.sum(axis=1, keepdims=True)
    model = wrapped(7, conformity_score=kind, randomize=randomize, raps_rank=2, raps_weight=0.05)
    model.fit(proba[:500], y[:500])
    scores = model.predict_scores(proba)
    sets = model.predict_sets(proba, LEVELS)
    for position, level in enumerate(LEVELS):
        limit = conformal_quantile(model.conformity_scores_, level)
        np.testing.assert_array_equal(sets[:, :, position], scores <= limit)
    names = np.array(["a", "b", "c"])[np.arange(5000) % 3]
    model.fit(proba[:500], y[:500], categories=names[:500])
    sets = model.predict_set(proba, 0.8, categories=names)
    for name in "abc":
        limit = conformal_quantile(model.conformity_scores_[names[:500] == name], 0.8)
        chosen = names == name
        np.testing.assert_array_equal(sets[chosen], scores[chosen] <= limit)


def test_negative_rounding_of_probabilities_changes_no_set() -> None:
    proba, y = draw(np.random.default_rng(0), 600, 4)
    below = proba.copy()
    below[:, 3] = -1e-9
    below[:, 0] += proba[:, 3] + 1e-9
    for kind in KINDS:
        model = wrapped(4, conformity_score=kind).fit(proba[:300], y[:300])
        limit = conformal_quantile(model.conformity_scores_, 0.9)
        np.testing.assert_array_equal(
            model.predict_set(below, 0.9), model.predict_scores(below) <= limit
        )


def test_levels_unsorted_and_repeated() -> None:
    proba, y = draw(np.random.default_rng(3), 300)
    model = wrapped().fit(proba[:200], y[:200])
    sets = model.predict_sets(proba[200:], [0.9, 0.5, 0.9])
    assert sets.shape == (100, 3, 3)
    np.testing.assert_array_equal(sets[:, :, 0], sets[:, :, 2])
    assert (sets[:, :, 0] >= sets[:, :, 1]).all()


def test_empty_sets_and_their_treatment() -> None:
    proba, y = draw(np.random.default_rng(4), 400)
    kept = wrapped().fit(proba[:200], y[:200]).predict_set(proba[200:], 0.3)
    empty = ~kept.any(axis=1)
    assert empty.any()
    filled = wrapped(allow_empty=False).fit(proba[:200], y[:200]).predict_set(proba[200:], 0.3)
    np.testing.assert_array_equal(filled[~empty], kept[~empty])
    np.testing.assert_array_equal(filled[empty].argmax(axis=1), proba[200:][empty].argmax(axis=1))
    assert (filled[empty].sum(axis=1) == 1).all()
    for kind in ("aps", "raps", "top_k"):
        never = wrapped(conformity_score=kind).fit(proba[:200], y[:200])
        assert never.predict_set(proba[200:], 0.05).any(axis=1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_probabilities_stand_or_fall_together(kind: str) -> None:
    proba, y = draw(np.random.default_rng(6), 200, 4)
    model = wrapped(4, conformity_score=kind).fit(proba, y)
    sets = model.predict_sets([[0.4, 0.4, 0.1, 0.1], [0.25] * 4], np.linspace(0.05, 0.95, 19))
    np.testing.assert_array_equal(sets[0, 0], sets[0, 1])
    np.testing.assert_array_equal(sets[0, 2], sets[0, 3])
    assert (sets[1] == sets[1, :1]).all()


# ---------------------------------------------------------------------- small and odd samples


@pytest.mark.parametrize("n", range(1, 11))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["native", "mapie"])
def test_tiny_calibration_sets_cover_with_a_warning(n: int, kind: str, backend: str) -> None:
    proba, y = draw(np.random.default_rng(n), n + 20)
    model = wrapped(conformity_score=kind, backend=backend).fit(proba[:n], y[:n])
    with pytest.warns(SmallCalibrationSetWarning, match="needs 99 calibration samples"):
        assert model.predict_set(proba[n:], 0.99).all()
    with pytest.raises(ValueError, match="needs 99"):
        wrapped(small="raise").fit(proba[:n], y[:n]).predict_set(proba[n:], 0.99)


def test_the_last_sample_size_that_is_enough() -> None:
    proba, y = draw(np.random.default_rng(0), 40)
    for backend in ("native", "mapie"):
        sets = wrapped(backend=backend).fit(proba[:19], y[:19]).predict_set(proba[19:], 0.95)
        assert not sets.all()


def test_label_without_calibration_samples() -> None:
    proba, y = draw(np.random.default_rng(7), 400)
    y = np.where(y == 2, 0, y)
    by_label = wrapped(mondrian="label").fit(proba[:200], y[:200])
    with pytest.warns(SmallCalibrationSetWarning, match=r"label 2 \(0 calibration samples\)"):
        sets = by_label.predict_set(proba[200:], 0.9)
    assert sets[:, 2].all()
    assert not sets[:, 0].all()
    assert (by_label.predict_p(proba[200:])[:, 2] == 1).all()
    sets = wrapped().fit(proba[:200], y[:200]).predict_set(proba[200:], 0.9)  # marginal: no matter
    assert covered(sets, y[200:]).mean() > 0.8


def test_groups_unseen_at_fit() -> None:
    proba, y = draw(np.random.default_rng(7), 300)
    groups = np.array(["a", "b"] * 100 + ["a", "c"] * 50)
    model = wrapped().fit(proba[:200], y[:200], categories=groups[:200])
    with pytest.warns(SmallCalibrationSetWarning, match="a category unseen at fit"):
        sets = model.predict_set(proba[200:], 0.9, categories=groups[200:])
    assert sets[1::2].all()
    assert not sets[::2].all()
    assert (model.predict_p(proba[200:], categories=groups[200:])[1::2] == 1).all()
    pooled = wrapped(pool_below=5).fit(proba[:200], y[:200], categories=groups[:200])
    plain = wrapped().fit(proba[:200], y[:200])
    sets = pooled.predict_set(proba[200:], 0.9, categories=groups[200:])
    np.testing.assert_array_equal(sets[1::2], plain.predict_set(proba[200:], 0.9)[1::2])
    with pytest.raises(ValueError, match="another type"):
        model.predict_set(proba[:1], categories=[1])


def test_pooling_is_announced() -> None:
    proba, y = draw(np.random.default_rng(7), 200)
    groups = np.array(["rare"] * 4 + ["often"] * 196)
    with pytest.warns(PooledCategoryWarning, match=r"category rare \(4 calibration samples\)"):
        model = wrapped(pool_below=10).fit(proba, y, categories=groups)
    plain = wrapped().fit(proba, y)
    sets = model.predict_set(proba[:9], categories=["rare"] * 9)
    np.testing.assert_array_equal(sets, plain.predict_set(proba[:9]))


def test_clusters_of_classes() -> None:
    rng = np.random.default_rng(0)
    n_classes, n = 20, 6000
    y = rng.integers(0, n_classes - 1, n)
    y[:3] = n_classes - 1  # too rare to be placed
    sharp = np.where(y % 2, 4.0, 1.0)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), y] += sharp
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    order = rng.permutation(n)
    cal, new = order[:3000], order[3000:]
    gaps = {}
    for mondrian in (None, "cluster"):
        model = wrapped(n_classes, mondrian=mondrian).fit(proba[cal], y[cal])
        inside = covered(model.predict_set(proba[new], 0.9), y[new])
        rates = [inside[y[new] == k].mean() for k in range(n_classes - 1)]
        gaps[mondrian] = np.abs(np.array(rates) - 0.9).mean()
    assert gaps["cluster"] < 0.7 * gaps[None]


def test_every_cluster_has_its_own_threshold() -> None:
    """Without rare classes no cluster borrows from the others, with groups or without."""
    proba, y = draw(np.random.default_rng(0), 4000, 8)
    y = np.where(y < 4, y, np.where(np.arange(4000) % 3, y, 4 + np.arange(4000) % 4))
    groups = np.arange(4000) % 2
    model = wrapped(8, mondrian="cluster").fit(proba[:2000], y[:2000])
    state = model._state.calibrated
    assert state.labels.tolist() == ["cluster 0", "cluster 1", "too rare"]
    np.testing.assert_array_equal(state.pooled, [False, False, True])
    sets = model.predict_set(proba[2000:], 0.9)
    for code in (0, 1):
        columns = np.flatnonzero(state.label_codes == code)
        limit = state.table.threshold(code, 0.9, None)
        np.testing.assert_array_equal(sets[:, columns], 1 - proba[2000:][:, columns] <= limit)
    both = wrapped(8, mondrian="cluster").fit(proba[:2000], y[:2000], categories=groups[:2000])
    assert both._state.calibrated.pooled.tolist() == [False, False, True] * 2
    inside = covered(both.predict_set(proba[2000:], 0.9, categories=groups[2000:]), y[2000:])
    assert inside.mean() == pytest.approx(0.9, abs=0.025)


# ---------------------------------------------------------------------- weights


def test_zero_and_huge_ratios() -> None:
    proba, y = draw(np.random.default_rng(9), 300)
    ratio = np.concatenate([np.zeros(100), np.ones(100)])
    model = wrapped().fit(proba[:200], y[:200], likelihood_ratio=ratio)
    only = wrapped().fit(proba[100:200], y[100:200])
    np.testing.assert_array_equal(
        model.predict_set(proba[200:], 0.8, likelihood_ratio=np.ones(100)),
        only.predict_set(proba[200:], 0.8),
    )
    with pytest.warns(EffectiveSampleSizeWarning, match="100 test samples"):
        sets = model.predict_set(proba[200:], 0.8, likelihood_ratio=np.full(100, 1e300))
    assert sets.all()
    ratio[0] = 1e200
    uneven = wrapped().fit(proba[:200], y[:200], likelihood_ratio=ratio)
    with pytest.warns(EffectiveSampleSizeWarning, match="effective sample size of 1 "):
        uneven.predict_set(proba[200:], 0.8, likelihood_ratio=np.ones(100))
    by_label = wrapped(mondrian="label").fit(
        proba[:200], y[:200], likelihood_ratio=(y[:200] > 0).astype(float)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EffectiveSampleSizeWarning)
        sets = by_label.predict_set(proba[200:], 0.8, likelihood_ratio=np.zeros(100))
    assert sets[:, 0].all()  # nothing is known about this label


def test_bad_ratios() -> None:
    proba, y = draw(np.random.default_rng(9), 30)
    ones = np.ones(30)
    for bad, message in (
        (np.zeros(30), "zero for every"),
        (-ones, "must be >= 0"),
        (ones * np.nan, "NaN"),
        (ones * np.inf, "NaN or inf"),
        (ones[:5], "30 samples"),
    ):
        with pytest.raises(ValueError, match=message):
            wrapped().fit(proba, y, likelihood_ratio=bad)
    plain, weighted = wrapped().fit(proba, y), wrapped().fit(proba, y, likelihood_ratio=ones)
    with pytest.raises(ValueError, match="fitted without likelihood_ratio"):
        plain.predict_set(proba, likelihood_ratio=ones)
    with pytest.raises(ValueError, match="fitted with likelihood_ratio"):
        weighted.predict_set(proba)
    by_function = wrapped(likelihood_ratio=lambda X: np.ones(len(X)))
    with pytest.raises(ValueError, match="choose one"):
        by_function.fit(proba, y, likelihood_ratio=ones)
    with pytest.raises(ValueError, match="leave it out"):
        by_function.fit(proba, y).predict_set(proba, likelihood_ratio=ones)


# ---------------------------------------------------------------------- scikit-learn manners


@parametrize_with_checks(
    [
        ConformalClassifier(LogisticRegression(), random_state=0),
        ConformalClassifier(LogisticRegression(), method="cross", cv=3, random_state=0),
    ],
    expected_failed_checks=lambda estimator: dict.fromkeys(
        (
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
        )
        if estimator.method == "split"
        else (),
        "rows are split, so that a repeated row is not a row of weight 2",
    ),
)
def test_common_checks(estimator: object, check: Any) -> None:
    check(estimator)


def test_grid_search_pipeline_clone_pickle(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    names = np.array(["ant", "bee", "cow", "dog"])[y]
    model = ConformalClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()), random_state=0
    )
    search = GridSearchCV(
        model,
        {
            "conformity_score": ["lac", "aps"],
            "estimator__logisticregression__C": [0.01, 1.0],
            "method": ["split", "cross"],
        },
        cv=2,
    ).fit(X[:600], names[:600])
    best = search.best_estimator_
    assert best.n_features_in_ == 8
    assert set(best.predict(X)) <= set(names)
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict_set(X), best.predict_set(X))
    fresh = clone(best).fit(X[:600], names[:600])
    np.testing.assert_array_equal(fresh.predict_set(X), best.predict_set(X))
    forced = best.predict_credibility_confidence(X[:5])
    assert set(forced.labels) <= set(names)
    inside = make_pipeline(StandardScaler(), model.set_params(estimator=LogisticRegression()))
    inside.fit(X[:600], names[:600], conformalclassifier__categories=y[:600] % 2)
    assert inside.score(X, names) > 0.5


def test_held_out_rows(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    split = ConformalClassifier(LogisticRegression(), calibration_size=100, random_state=1)
    assert split.fit(X, y).n_calibration_ == 100
    rows = split.calibration_rows_
    inner = LogisticRegression().fit(np.delete(X, rows, 0), np.delete(y, rows))
    np.testing.assert_allclose(inner.predict_proba(X), split.predict_proba(X))
    ratio = np.zeros(len(X))
    ratio[rows[:40]] = 1
    weighted = clone(split).fit(X, y, likelihood_ratio=ratio)
    assert weighted._state.calibrated.table.totals[0] == 40
    cross = ConformalClassifier(LogisticRegression(), method="cross", cv=KFold(4)).fit(X, y)
    assert cross.n_calibration_ == len(X)
    assert len(cross.estimators_) == 4
    with pytest.raises(ValueError, match="every sample"):
        clone(cross).set_params(cv=ShuffleSplit(2)).fit(X, y)
    with pytest.raises(ValueError, match="scores per fold"):
        cross.predict_scores(X)


def test_trained_models(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    trained = LogisticRegression().fit(X[:500], y[:500])
    frozen = ConformalClassifier(FrozenEstimator(trained)).fit(X[500:], y[500:])
    assert frozen.n_calibration_ == 1000
    with pytest.warns(RefitWarning, match="FrozenEstimator"):
        ConformalClassifier(trained).fit(X, y)
    with pytest.raises(ValueError, match="not among the classes"):
        ConformalClassifier(FrozenEstimator(trained)).fit(X, y + 3)
    served = CalibratedClassifier(FrozenEstimator(trained)).fit(X[500:700], y[500:700])
    ConformalClassifier(FrozenEstimator(served)).fit(X[700:], y[700:]).predict_set(X)
    with pytest.raises(ValueError, match="has no predict_proba"):
        ConformalClassifier(LinearSVC()).fit(X, y)


def test_forest_with_tied_probabilities(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    for kind in KINDS:
        model = ConformalClassifier(
            RandomForestClassifier(8, random_state=0), conformity_score=kind, random_state=0
        ).fit(X[:1000], y[:1000])
        assert covered(model.predict_set(X[1000:], 0.9), y[1000:]).mean() > 0.86


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "jackknife"}, "method must be"),
        ({"conformity_score": "margin"}, "conformity_score must be"),
        ({"mondrian": "group"}, "mondrian must be"),
        ({"backend": "puncc"}, "backend must be"),
        ({"aggregation": "median"}, "aggregation must be"),
        ({"allow_empty": 1}, "allow_empty must be"),
        ({"small": "ignore"}, "small must be"),
        ({"pool_below": -1}, "pool_below must be"),
        ({"raps_rank": 0}, "raps_rank must be"),
        ({"raps_weight": -0.1}, "raps_weight must be"),
        ({"raps_weight": np.nan}, "raps_weight must be"),
        ({"likelihood_ratio": np.ones(3)}, "pass arrays to fit"),
        ({"calibration_size": 1.5}, r"calibration_size must lie in \(0, 1\)"),
        ({"backend": "mapie", "mondrian": "label"}, "neither categories nor weights"),
        (
            {"backend": "mapie", "method": "cross", "conformity_score": "top_k"},
            "'lac' and 'aps' only",
        ),
        ({"backend": "mapie", "method": "cross", "conformity_score": "aps"}, "covers less"),
    ],
)
def test_bad_options(data: tuple[np.ndarray, np.ndarray], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformalClassifier(LogisticRegression(), **options).fit(*data)


@pytest.mark.parametrize("level", [0, 1, 0.0, 1.0, -1, 2, np.nan, "a", [0.9]])
def test_levels_outside(level: Any) -> None:
    proba, y = draw(np.random.default_rng(0), 30)
    model = wrapped().fit(proba, y)
    with pytest.raises(ValueError, match="confidence_level"):
        model.predict_set(proba, level)
    with pytest.raises(ValueError, match="confidence_levels"):
        model.predict_sets(proba, [0.9, level])


def test_bad_data() -> None:
    proba, y = draw(np.random.default_rng(0), 30)
    spoilt = proba.copy()
    spoilt[3, 1] = np.nan
    model = wrapped().fit(proba, y)
    for action in (lambda: wrapped().fit(spoilt, y), lambda: model.predict_set(spoilt)):
        with pytest.raises(ValueError, match="NaN or inf"):
            action()
    with pytest.raises(ValueError, match="sum to 1"):
        wrapped().fit(proba * 0.9, y)
    with pytest.raises(ValueError, match="y contains NaN"):
        wrapped().fit(proba, np.where(y == 1, np.nan, y))
    with pytest.raises(ValueError, match="categories contains NaN"):
        wrapped().fit(proba, y, categories=np.full(30, np.inf))
    with pytest.raises(ValueError, match="at least two"):
        ConformalClassifier(LogisticRegression()).fit(proba, np.zeros(30))
    with pytest.raises(ValueError, match="fitted with categories"):
        wrapped().fit(proba, y, categories=y).predict_set(proba)
    with pytest.raises(ValueError, match="fitted without categories"):
        model.predict_set(proba, categories=y)
    with pytest.raises(ValueError, match="choose one"):
        wrapped(mondrian=lambda X: [0] * len(X)).fit(proba, y, categories=y)
