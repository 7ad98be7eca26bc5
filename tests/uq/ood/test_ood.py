"""Distances to the training features: formulas, invariances, scikit-learn's contract, refusals."""

from __future__ import annotations

import pickle
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.covariance import empirical_covariance, ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from uq import KNearestDetector, MahalanobisDetector

OWN_THRESHOLD = "the threshold measures training samples against the others, prediction cannot"
ZERO = "the check holds rows of zeros, which have no direction"
EXPECTED = {
    "check_outliers_train": OWN_THRESHOLD,
    "check_outliers_fit_predict": OWN_THRESHOLD,
    "check_estimators_dtypes": ZERO,
}


@parametrize_with_checks(
    [MahalanobisDetector(), KNearestDetector(n_neighbors=3)],
    expected_failed_checks=lambda e: EXPECTED if isinstance(e, KNearestDetector) else {},
)
def test_scikit_learn_contract(estimator: object, check: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)  # type: ignore[operator]


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = rng.integers(4, size=300)
    mixing = rng.normal(size=(6, 6))
    X = rng.normal(size=(4, 6))[y] * 4 + rng.normal(size=(300, 6)) @ mixing
    return X, y, rng.normal(size=(50, 6)) * 5


def squared(X: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.einsum("nd,de,ne->n", X - mean, np.linalg.inv(covariance), X - mean)


@pytest.mark.parametrize("shrinkage", [0.0, 0.2, "auto"])
@pytest.mark.parametrize("relative", [False, True])
def test_mahalanobis_formula(data, shrinkage, relative: bool) -> None:  # type: ignore[no-untyped-def]
    X, y, new = data
    means = np.array([X[y == k].mean(axis=0) for k in range(4)])

    def shrunk(centred: np.ndarray) -> np.ndarray:
        if shrinkage == "auto":
            return ledoit_wolf(centred, assume_centered=True)[0]
        S = empirical_covariance(centred, assume_centered=True)
        return (1 - shrinkage) * S + shrinkage * np.trace(S) / 6 * np.eye(6)

    within, background = shrunk(X - means[y]), shrunk(X - X.mean(axis=0))
    expected = -np.min([squared(new, mean, within) for mean in means], axis=0)
    if relative:
        expected += squared(new, X.mean(axis=0), background)
    detector = MahalanobisDetector(relative=relative, shrinkage=shrinkage).fit(X, y)
    np.testing.assert_allclose(detector.score_samples(new), expected, rtol=1e-8)
    np.testing.assert_allclose(detector.covariance_, within, rtol=1e-10)
    np.testing.assert_allclose(detector.means_, means)
    assert (detector.predict(X) == -1).mean() == pytest.approx(0.05, abs=0.01)


def test_mahalanobis_invariances(data, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    X, y, new = data
    score = MahalanobisDetector(shrinkage=0.0).fit(X, y).score_samples(new)
    A, b = rng.normal(size=(6, 6)), 100.0
    moved = MahalanobisDetector(shrinkage=0.0).fit(X @ A + b, y).score_samples(new @ A + b)
    np.testing.assert_allclose(moved, score, rtol=1e-6)
    names = np.array(["d", "a", "c", "b"])[y]
    named = MahalanobisDetector(shrinkage=0.0).fit(X, names)
    np.testing.assert_allclose(named.score_samples(new), score)
    assert named.classes_.tolist() == ["a", "b", "c", "d"]
    one = MahalanobisDetector(shrinkage=0.0).fit(X)
    expected = -squared(new, X.mean(axis=0), np.cov(X.T, bias=True))
    np.testing.assert_allclose(one.score_samples(new), expected, rtol=1e-9)


def test_mahalanobis_repeats_blocks(rng: np.random.Generator) -> None:
    X = rng.normal(size=(5000, 40))
    detector = MahalanobisDetector().fit(X, rng.integers(3, size=5000))
    whole = detector.score_samples(X)
    np.testing.assert_allclose(whole[:10], detector.score_samples(X[:10]), rtol=1e-10)


@pytest.mark.parametrize("k", [1, 5, 49])
def test_nearest_formula(rng: np.random.Generator, k: int) -> None:
    X, new = rng.normal(size=(50, 4)), rng.normal(size=(20, 4))
    U, V = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (X, new))
    distance = np.sort(np.linalg.norm(V[:, None] - U[None], axis=2), axis=1)
    detector = KNearestDetector(n_neighbors=k).fit(X)
    np.testing.assert_allclose(detector.score_samples(new), -distance[:, k - 1], rtol=1e-6)
    np.testing.assert_allclose(detector.score_samples(1e3 * new), -distance[:, k - 1], rtol=1e-6)
    others = np.sort(np.linalg.norm(U[:, None] - U[None], axis=2), axis=1)[:, k]
    assert detector.offset_ == pytest.approx(np.quantile(-others, 0.05), rel=1e-6)


def test_threshold_of_nearest_is_found_from_a_thousand_samples(rng: np.random.Generator) -> None:
    """Of 5,000 samples a thousand are measured against all others, always the same."""
    X = rng.normal(size=(5000, 5)) + 3
    detector = KNearestDetector(n_neighbors=10, contamination=0.1).fit(X)
    U = X / np.linalg.norm(X, axis=1, keepdims=True)
    distance = np.sqrt(np.maximum(2 - 2 * U @ U.T, 0))
    others = np.partition(distance, 10, axis=1)[:, 10]
    assert (others > -detector.offset_).mean() == pytest.approx(0.1, abs=0.03)
    assert KNearestDetector(n_neighbors=10, contamination=0.1).fit(X).offset_ == detector.offset_


def test_threshold_of_nearest_holds_for_new_samples(rng: np.random.Generator) -> None:
    X = rng.normal(size=(4000, 5)) + 3
    detector = KNearestDetector(n_neighbors=1, contamination=0.1).fit(X[:2000])
    assert (detector.predict(X[2000:]) == -1).mean() == pytest.approx(0.1, abs=0.03)


def test_faiss_finds_the_same_neighbours(rng: np.random.Generator) -> None:
    """Copies and near copies included, whose order single precision does not know."""
    pytest.importorskip("faiss")
    X = rng.normal(size=(900, 24))
    X[1:200] = X[0] + 1e-5 * rng.normal(size=(199, 24))
    X[200:300] = 3.0 * X[300:400]
    new = np.concatenate([rng.normal(size=(500, 24)), X[:400]])
    for k in (1, 7, 899):
        native = KNearestDetector(n_neighbors=k).fit(X)
        faiss = KNearestDetector(n_neighbors=k, n_jobs=2, backend="faiss").fit(X)
        assert faiss.offset_ == pytest.approx(native.offset_, abs=1e-7)
        found = faiss.score_samples(new)
        np.testing.assert_allclose(found, native.score_samples(new), atol=3e-6)
        np.testing.assert_allclose(found[:500], native.score_samples(new[:500]), atol=1e-12)
        again = pickle.loads(pickle.dumps(faiss))
        np.testing.assert_array_equal(again.score_samples(new), found)


def test_faiss_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        ImportError, match=r"backend='faiss'\) needs faiss; pip install .*neighbors"
    ):
        KNearestDetector(n_neighbors=1, backend="faiss").fit(np.eye(3))


def test_unseen_digits_are_found() -> None:
    X, y = load_digits(return_X_y=True)
    known = y < 8
    train, test = np.flatnonzero(known)[:900], np.flatnonzero(known)[900:]
    truth = np.r_[np.ones(len(test)), np.zeros((~known).sum())]
    for detector, least in (
        (MahalanobisDetector(), 0.82),
        (MahalanobisDetector(relative=True), 0.86),
        (KNearestDetector(n_neighbors=5), 0.89),
    ):
        fitted = clone(detector).fit(X[train], y[train])
        score = np.r_[fitted.score_samples(X[test]), fitted.score_samples(X[~known])]
        assert roc_auc_score(truth, score) > least


def test_float32_and_tables(data) -> None:  # type: ignore[no-untyped-def]
    X, y, new = data
    detector = MahalanobisDetector().fit(X, y)
    np.testing.assert_allclose(
        MahalanobisDetector().fit(X.astype(np.float32), y).score_samples(new.astype(np.float32)),
        detector.score_samples(new),
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    ("detector", "X", "y", "match"),
    [
        (MahalanobisDetector(), [[np.nan, 1.0], [1.0, 2.0]], None, "NaN"),
        (MahalanobisDetector(), [[np.inf, 1.0], [1.0, 2.0]], None, "infinity"),
        (MahalanobisDetector(), np.eye(3), [0, 1], "y has 2|has 3 samples"),
        (MahalanobisDetector(), np.eye(3), [0, np.nan, 1], "NaN"),
        (MahalanobisDetector(), [1.0, 2.0], None, "1D|2D"),
        (MahalanobisDetector(relative=True), np.eye(3), [1, 1, 1], "at least two classes"),
        (MahalanobisDetector(relative=True), np.eye(3), None, "at least two classes"),
        (MahalanobisDetector(relative="yes"), np.eye(3), None, "relative must be one of"),  # type: ignore[arg-type]
        (MahalanobisDetector(shrinkage=1.5), np.eye(3), None, "shrinkage must be 'auto'"),
        (MahalanobisDetector(shrinkage="lw"), np.eye(3), None, "shrinkage"),  # type: ignore[arg-type]
        (MahalanobisDetector(contamination=0.0), np.eye(3), None, "contamination"),
        (MahalanobisDetector(contamination=1.0), np.eye(3), None, "contamination"),
        (MahalanobisDetector(shrinkage=0.0), np.eye(3), None, "singular"),
        (MahalanobisDetector(), np.ones((5, 3)), None, "singular"),
        (MahalanobisDetector(), np.eye(3), [0, 1, 2], "singular"),
        (KNearestDetector(n_neighbors=3), np.eye(3), None, "needs more than 3 training samples"),
        (KNearestDetector(), np.eye(3), None, "n_neighbors=50"),
        (KNearestDetector(n_neighbors=0), np.eye(3), None, "n_neighbors must be >= 1"),
        (KNearestDetector(backend="annoy"), np.eye(3), None, "backend must be one of"),
        (KNearestDetector(n_neighbors=1), np.zeros((3, 2)), None, "zero vector in row 0"),
        (KNearestDetector(n_neighbors=1, contamination=2), np.eye(3), None, "contamination"),
        (KNearestDetector(n_neighbors=1), np.eye(3) * np.nan, None, "NaN"),
    ],
)
def test_refusals(detector, X, y, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        detector.fit(X, y)


def test_repeated_feature_is_singular_without_shrinkage(data) -> None:  # type: ignore[no-untyped-def]
    X, y, _ = data
    X = np.column_stack([X, X[:, 0]])
    with pytest.raises(ValueError, match="singular"):
        MahalanobisDetector(shrinkage=0.0).fit(X, y)
    assert np.isfinite(MahalanobisDetector().fit(X, y).score_samples(X)).all()


def test_new_samples_are_checked(data) -> None:  # type: ignore[no-untyped-def]
    X, y, new = data
    for detector in (MahalanobisDetector().fit(X, y), KNearestDetector().fit(X)):
        with pytest.raises(ValueError, match="5 features"):
            detector.score_samples(new[:, :5])
        with pytest.raises(ValueError, match="NaN"):
            detector.score_samples(new * np.nan)
