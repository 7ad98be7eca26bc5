"""MAPIE as oracle and as engine: the same sets where both exist, and where they part."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from tests.support.many_classes import LEVELS, Data, five_classes, trained_on_first_rows
from uq import ConformalClassifier


@pytest.fixture(scope="module")
def data() -> Data:
    return five_classes()


@pytest.fixture(scope="module")
def trained() -> LogisticRegression:
    return trained_on_first_rows()


pytest.importorskip("mapie")
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("n", [23, 50, 199, 1000])
@pytest.mark.parametrize("kind", ["lac", "aps", "top_k"])
def test_split_sets_are_those_of_mapie(
    data: Data, trained: LogisticRegression, kind: str, n: int
) -> None:
    """Called by its own public interface, with the model itself."""
    from mapie.classification import SplitConformalClassifier

    X, y = data
    cal = slice(600, 600 + n)
    theirs = SplitConformalClassifier(
        trained, confidence_level=LEVELS, conformity_score=kind, prefit=True, random_state=7
    ).conformalize(X[cal], y[cal])
    ours = ConformalClassifier(FrozenEstimator(trained), conformity_score=kind, random_state=7)
    ours.fit(X[cal], y[cal])
    np.testing.assert_array_equal(
        ours.predict_sets(X[1600:], LEVELS), theirs.predict_set(X[1600:])[1]
    )
    scores = np.ravel(theirs.conformity_scores)
    np.testing.assert_allclose(ours.conformity_scores_, scores, atol=1e-15)
    through = clone(ours).set_params(backend="mapie").fit(X[cal], y[cal])
    np.testing.assert_array_equal(
        ours.predict_sets(X[1600:], LEVELS), through.predict_sets(X[1600:], LEVELS)
    )


@pytest.mark.parametrize("kind", ["lac", "aps", "top_k"])
def test_split_sets_with_tied_probabilities(data: Data, kind: str) -> None:
    X, y = data
    forest = RandomForestClassifier(16, max_depth=6, random_state=0).fit(X[:600], y[:600])
    ours = ConformalClassifier(FrozenEstimator(forest), conformity_score=kind, random_state=0)
    ours.fit(X[600:1000], y[600:1000])
    through = clone(ours).set_params(backend="mapie").fit(X[600:1000], y[600:1000])
    np.testing.assert_array_equal(
        ours.predict_sets(X[1000:], LEVELS), through.predict_sets(X[1000:], LEVELS)
    )


@pytest.mark.parametrize("aggregation", ["mean", "cv_plus"])
@pytest.mark.parametrize("kind", ["lac", "aps"])
def test_cross_sets_are_those_of_mapie(data: Data, kind: str, aggregation: str) -> None:
    """At n = 200 both forms of the cross-conformal count agree for these levels."""
    from mapie.classification import CrossConformalClassifier

    if kind == "aps" and aggregation == "cv_plus":
        pytest.skip("see test_mapie_loses_coverage_by_cross_aps")
    X, y = data[0][:200], data[1][:200]
    folds = KFold(5, shuffle=True, random_state=3)
    inner = LogisticRegression(max_iter=500)
    theirs = CrossConformalClassifier(
        inner, confidence_level=LEVELS, conformity_score=kind, cv=folds, random_state=7
    ).fit_conformalize(X, y)
    agg = {"mean": "mean", "cv_plus": "crossval"}[aggregation]
    expected = theirs.predict_set(data[0][1600:], agg_scores=agg)[1]
    ours = ConformalClassifier(
        inner,
        method="cross",
        conformity_score=kind,
        cv=folds,
        aggregation=aggregation,
        random_state=7,
    ).fit(X, y)
    np.testing.assert_array_equal(ours.predict_sets(data[0][1600:], LEVELS), expected)
    through = clone(ours).set_params(backend="mapie").fit(X, y)
    np.testing.assert_array_equal(through.predict_sets(data[0][1600:], LEVELS), expected)


def test_raps_through_mapie(data: Data, trained: LogisticRegression) -> None:
    X, y = data
    model = ConformalClassifier(
        FrozenEstimator(trained), conformity_score="raps", backend="mapie", random_state=0
    ).fit(X[600:1600], y[600:1600])
    sets = model.predict_set(X[1600:], 0.9)
    assert sets[np.arange(900), y[1600:]].mean() > 0.88


@pytest.mark.parametrize("n", range(2, 41))
@pytest.mark.filterwarnings("ignore::uq.warnings.SmallCalibrationSetWarning")
def test_small_samples_never_fail(data: Data, trained: LogisticRegression, n: int) -> None:
    X, y = data
    for kind in ("lac", "aps", "top_k"):
        ours = ConformalClassifier(FrozenEstimator(trained), conformity_score=kind, random_state=0)
        ours.fit(X[600 : 600 + n], y[600 : 600 + n])
        through = clone(ours).set_params(backend="mapie").fit(X[600 : 600 + n], y[600 : 600 + n])
        levels = [0.06, 0.5, 0.9, 0.95]
        np.testing.assert_array_equal(
            ours.predict_sets(X[2000:], levels), through.predict_sets(X[2000:], levels)
        )


# ---------------------------------------------------------------------- where MAPIE 1.6 parts


def test_mapie_drops_classes_of_tiny_probability() -> None:
    """Its APS sets leave out classes below 1e-8, though coverage may need them."""
    rng = np.random.default_rng(0)
    n = 400
    y = rng.integers(0, 3, n)
    top = np.where(rng.random(n) < 0.7, y, (y + 1) % 3)  # right for 70 %, and always sure
    proba = np.full((n, 3), 1e-10)
    proba[np.arange(n), top] = 1 - 2e-10

    from mapie.classification import SplitConformalClassifier

    class Sure(LogisticRegression):
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.asarray(X)

    sure = Sure().fit(proba, y)
    theirs = SplitConformalClassifier(
        sure, confidence_level=0.9, conformity_score="aps", prefit=True, random_state=0
    ).conformalize(proba[:200], y[:200])
    rows = np.arange(200)
    assert theirs.predict_set(proba[200:])[1][rows, y[200:], 0].mean() < 0.8
    ours = ConformalClassifier(FrozenEstimator(sure), conformity_score="aps", random_state=0)
    sets = ours.fit(proba[:200], y[:200]).predict_set(proba[200:], 0.9)
    assert sets[rows, y[200:]].mean() > 0.85


def test_mapie_rounds_ranks_up(data: Data, trained: LogisticRegression) -> None:
    """40 * (1 - (1 - 0.05)) is a little more than 2 in binary: its sets are one rank wider."""
    X, y = data
    ours = ConformalClassifier(FrozenEstimator(trained)).fit(X[600:639], y[600:639])
    through = clone(ours).set_params(backend="mapie").fit(X[600:639], y[600:639])
    narrow, wide = ours.predict_set(X[1600:], 0.05), through.predict_set(X[1600:], 0.05)
    ordered = np.sort(ours.conformity_scores_)
    np.testing.assert_array_equal(narrow, ours.predict_scores(X[1600:]) <= ordered[1])
    assert (wide >= narrow).all()
    assert (wide > narrow).any()


def test_mapie_loses_coverage_by_cross_aps(data: Data) -> None:
    """Its sets that are not randomised miss far more than the level allows; ours are wider."""
    from mapie.classification import CrossConformalClassifier

    X, y = data
    inner = LogisticRegression(max_iter=500)
    theirs = CrossConformalClassifier(
        inner, confidence_level=0.8, conformity_score="aps", cv=5, random_state=0
    ).fit_conformalize(X[:300], y[:300])
    sets = theirs.predict_set(X[300:], agg_scores="crossval")[1][:, :, 0]
    rows = np.arange(len(y) - 300)
    assert sets[rows, y[300:]].mean() < 0.75
    ours = ConformalClassifier(inner, method="cross", conformity_score="aps", random_state=0)
    sets = ours.fit(X[:300], y[:300]).predict_set(X[300:], 0.8)
    assert sets[rows, y[300:]].mean() > 0.78
    randomised = clone(ours).set_params(randomize=True, backend="mapie").fit(X[:300], y[:300])
    assert randomised.predict_set(X[300:], 0.8)[rows, y[300:]].mean() > 0.76
