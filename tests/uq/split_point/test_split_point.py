"""SplitPointRegressor: contract, identities between its answers, bad input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, QuantileRegressor
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from calib import RefitWarning
from tests.support.sides import make, method
from uq import (
    BiasedSplitPointWarning,
    FewSideRowsWarning,
    InSampleResidualsWarning,
    PooledCategoryWarning,
    SmallCalibrationSetWarning,
)

OWN_WARNINGS = (
    BiasedSplitPointWarning,
    FewSideRowsWarning,
    PooledCategoryWarning,
    SmallCalibrationSetWarning,
)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Ignore the warnings about small data, where they are not what is tested."""
    with warnings.catch_warnings():
        for category in OWN_WARNINGS:
            warnings.simplefilter("ignore", category)
        yield


# ---------------------------------------------------------------------- contract

#: A weight counts as that many rows, but which rows calibrate, and their folds, is drawn.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "rows are split at random"}


@parametrize_with_checks(
    [method(), method(DecisionTreeRegressor(random_state=0), sds_heads=None)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_common_checks(estimator: Any, check: Any, quiet: None) -> None:
    check(estimator)


def test_answers_fit_together() -> None:
    X, y = make()
    fitted = method().fit(X, y)
    point, interval = fitted.predict(X), fitted.predict_interval(X)
    assert point.shape == y.shape
    assert interval.shape == (len(y), 2)
    assert (interval[:, 0] <= point).all()
    assert (point <= interval[:, 1]).all()
    means, raw = fitted.mean_residuals(X), fitted.self_consistency(X, "raw")
    root = fitted.self_consistency(X)
    np.testing.assert_allclose(root**2, raw)
    spread = fitted.uncertainty(X, "aleatoric")
    np.testing.assert_array_equal(spread, means.upper + means.lower)
    np.testing.assert_array_equal(fitted.uncertainty(X, "epistemic"), root)
    np.testing.assert_array_equal(fitted.uncertainty(X), spread + root)
    share = fitted.side_probability(X)
    assert ((0 < share) & (share < 1)).all()
    assert fitted.score(X, y) > 0.3
    with pytest.raises(ValueError, match="kind must be one of"):
        fitted.uncertainty(X, "both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="form must be one of"):
        fitted.self_consistency(X, "squared")  # type: ignore[arg-type]


def test_skewed_noise_gets_skewed_intervals() -> None:
    X, y = make(2000)
    fitted = method().fit(X, y)
    low, high = fitted.predict_interval(X).T
    point = fitted.predict(X)
    assert (high - point).mean() > 1.3 * (point - low).mean()
    wide, narrow = X[:, 0] > 0.5, X[:, 0] < -0.5
    assert (high - low)[wide].mean() > 2 * (high - low)[narrow].mean()


def test_base_and_calibration_rows_are_apart() -> None:
    """The estimator is trained on what does not calibrate, and on all of that."""
    X, y = make()
    fitted = method().fit(X, y)
    held = fitted.calibration_rows_
    assert len(held) == 100
    rest = np.setdiff1d(np.arange(400), held)
    np.testing.assert_array_equal(
        fitted.predict(X), LinearRegression().fit(X[rest], y[rest]).predict(X)
    )
    assert not len(method(conformal="none").fit(X, y).calibration_rows_)


def test_conformal_counts_on_the_calibration_rows() -> None:
    """The level is a rank: so many calibration rows of each side are covered, no fewer."""
    X, y = make()
    fitted = method().fit(X, y)
    held = fitted.calibration_rows_
    above = y[held] > fitted.predict(X[held])
    for level in (0.5, 0.9, 0.95):
        low, high = fitted.predict_interval(X[held], level).T
        inside = (y[held] >= low) & (y[held] <= high)
        for side in (above, ~above):
            rank = np.ceil((side.sum() + 1) * level - 1e-9)
            assert inside[side].sum() == rank


def test_levels_are_nested_and_heads_know_one_level_without_conformal() -> None:
    X, y = make()
    fitted = method().fit(X, y)
    np.testing.assert_array_equal(fitted.predict_interval(X), fitted.predict_interval(X, 0.9))
    widths = [np.diff(fitted.predict_interval(X, level)) for level in (0.3, 0.6, 0.9)]
    assert (widths[0] <= widths[1]).all()
    assert (widths[1] <= widths[2]).all()
    plain = method(conformal="none", confidence_level=0.8).fit(X, y)
    assert plain.predict_interval(X, 0.8).shape == (400, 2)
    with pytest.raises(ValueError, match=r"the heads know the level 0\.8 only"):
        plain.predict_interval(X, 0.9)


def test_parallel_folds_give_the_same(quiet: None) -> None:
    X, y = make(80)
    one, two = method().fit(X, y), method(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.predict_interval(X), two.predict_interval(X))


def test_pipelines_and_tables() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = make(200)
    table = pandas.DataFrame(X, columns=["a", "b", "c"])
    inside = method(make_pipeline(StandardScaler(), LinearRegression())).fit(table, y)
    assert list(inside.feature_names_in_) == ["a", "b", "c"]
    outside = make_pipeline(StandardScaler(), method()).fit(table, pandas.Series(y))
    np.testing.assert_allclose(inside.predict(table), outside.predict(table))
    method(make_pipeline(LinearRegression())).fit(X, y, sample_weight=np.ones(200))  # last step
    with pytest.warns(UserWarning, match="takes no sample_weight"):
        method(KNeighborsRegressor()).fit(X, y, sample_weight=np.ones(200))


def test_equivariance() -> None:
    """In y times 2, interval and root form are doubled, the raw one times 4, the relative same."""
    X, y = make(200)
    one, two = (method().fit(X, c * y) for c in (1, 2))
    np.testing.assert_allclose(two.predict_interval(X), 2 * one.predict_interval(X), rtol=1e-6)
    for form, factor in (("root", 2), ("raw", 4), ("relative", 1)):
        a, b = one.self_consistency(X, form), two.self_consistency(X, form)  # type: ignore[arg-type]
        np.testing.assert_allclose(b, factor * a, rtol=1e-6, atol=1e-9)
    flipped = method(features="X").fit(X, -y)
    straight = method(features="X").fit(X, y)
    np.testing.assert_allclose(
        flipped.predict_interval(X), -straight.predict_interval(X)[:, ::-1], rtol=1e-6, atol=1e-9
    )


# ---------------------------------------------------------------------- options


def test_frozen_estimator_is_never_trained() -> None:
    X, y = make(600)
    model = LinearRegression().fit(X[:200], y[:200])
    coefficients = model.coef_.copy()
    fitted = method(FrozenEstimator(model)).fit(X[200:], y[200:])
    np.testing.assert_array_equal(model.coef_, coefficients)
    np.testing.assert_array_equal(fitted.predict(X), model.predict(X))
    assert fitted.predict_interval(X).shape == (600, 2)
    with pytest.warns(RefitWarning, match="FrozenEstimator"):
        method(model).fit(X, y)


def test_features() -> None:
    X, y = make(200)
    widths = {}
    for features in ("X+pred", "X", "pred", lambda Z: Z[:, :1]):
        fitted = method(features=features).fit(X, y)
        widths[str(features)] = np.diff(fitted.predict_interval(X))
    assert len(widths) == 4
    moved = X.copy()
    moved[:, 1:] = 0
    only_first = method(features=lambda Z: np.asarray(Z)[:, :1]).fit(X, y)
    np.testing.assert_allclose(
        np.diff(only_first.predict_interval(X)), np.diff(only_first.predict_interval(moved))
    )
    with pytest.raises(ValueError, match="features must be one of"):
        method(features="hidden").fit(X, y)
    with pytest.raises(ValueError, match=r"features\(X\)"):
        method(features=lambda Z: Z[:5]).fit(X, y)
    names = np.array([["a"], ["b"]])[np.arange(200) % 2].astype(object)
    with pytest.raises(ValueError, match="X must hold numbers"):
        method(DummyRegressor()).fit(names, y)
    assert method(DummyRegressor(), features="pred").fit(names, y).predict(names).shape == (200,)


def test_recentring_a_median() -> None:
    """A median of skewed noise is off the mean: said so, and corrected where asked."""
    X, y = make(600)
    base = QuantileRegressor(alpha=0.0)
    with pytest.warns(BiasedSplitPointWarning, match="recentre=True"):
        plain = method(base).fit(X, y)
    fitted = method(base, recentre=True).fit(X, y)
    off, left = (abs((y - one.predict(X)).mean()) for one in (plain, fitted))
    assert left < off / 2
    interval = fitted.predict_interval(X)
    assert (interval[:, 0] <= fitted.predict(X)).all()
    assert 0.85 < ((y >= interval[:, 0]) & (y <= interval[:, 1])).mean()


def test_residuals_of_training_rows_are_too_small() -> None:
    """A tree knows its rows by heart; only the conformal step saves the coverage."""
    X, y = make(600)
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    new, y_new = make(1000, seed=1)

    def coverage(**options: Any) -> float:
        low, high = method(tree, **options).fit(X, y).predict_interval(new).T
        return float(((y_new >= low) & (y_new <= high)).mean())

    with pytest.warns(InSampleResidualsWarning, match="residuals='cv'"):
        naive = coverage(residuals="train", conformal="none")
    assert naive < 0.75
    assert coverage(conformal="none") > naive + 0.1
    assert 0.85 < coverage() < 0.97


def test_inflation_widens_and_stops_at_its_cap() -> None:
    X, y = make()
    plain = method(conformal="none").fit(X, y)
    wide = method(conformal="none", inflation_cap=1.5).fit(X, y)
    ratio = np.diff(wide.predict_interval(X)) / np.diff(plain.predict_interval(X))
    assert ratio.min() >= 1 - 1e-12
    assert 1 < ratio.max() <= 1.5 + 1e-12
    for cap in (1, 0.5, np.inf, np.nan, True, "2"):
        with pytest.raises(ValueError, match="inflation_cap must be None or"):
            method(inflation_cap=cap).fit(X, y)


def test_joint_factor() -> None:
    X, y = make()
    side, joint = method().fit(X, y), method(conformal="joint").fit(X, y)
    plain = method(conformal="side").fit(X, y)
    np.testing.assert_array_equal(side.predict_interval(X), plain.predict_interval(X))
    held, point = joint.calibration_rows_, joint.predict(X)
    low, high = joint.predict_interval(X).T
    inside = (y >= low) & (y <= high)
    assert inside[held].sum() == np.ceil(101 * 0.9)
    assert ((low <= point) & (point <= high)).all()


def test_without_sds_heads() -> None:
    X, y = make(200)
    fitted = method(sds_heads=None).fit(X, y)
    assert fitted.uncertainty(X, "aleatoric").shape == (200,)
    for kind in ("epistemic", "total"):
        with pytest.raises(ValueError, match="sds_heads=None"):
            fitted.uncertainty(X, kind)  # type: ignore[arg-type]


def test_far_inputs_raise_self_consistency() -> None:
    """Linear outputs contradict each other far away; trees and their aleatoric part do not."""
    X, y = make(600)
    fitted = method(sds_heads="mlp").fit(X, y)
    assert np.median(fitted.self_consistency(30 * X)) > 3 * np.median(fitted.self_consistency(X))


def test_splitters() -> None:
    X, y = make(200)
    assert method(cv=KFold(3)).fit(X, y).predict(X).shape == (200,)
    with pytest.raises(ValueError, match="hold out every sample once"):
        method(cv=ShuffleSplit(3, random_state=0)).fit(X, y)
    with pytest.raises(ValueError, match="cv must be >= 2"):
        method(cv=1).fit(X, y)


# ---------------------------------------------------------------------- bad input


def test_constant_regressor_keeps_its_coverage() -> None:
    """A mean for everyone is biased everywhere; the heads learn how much, on either side."""
    covered = []
    for seed in range(6):
        X, y = make(2000, seed)
        fitted = method(DummyRegressor(), sds_heads=None).fit(X[:1000], y[:1000])
        low, high = fitted.predict_interval(X[1000:]).T
        covered.append(((y[1000:] >= low) & (y[1000:] <= high)).mean())
        share = fitted.side_probability(X[1000:])
        assert np.corrcoef(share, X[1000:, 0])[0, 1] > 0.5
    assert 0.87 < np.mean(covered) < 0.94  # one draw has a standard deviation of 0.02


def test_one_sided_residuals() -> None:
    """A model below every label: no width is learned on the empty side, and that is said."""
    X, y = make(400)
    model = FrozenEstimator(DummyRegressor(strategy="constant", constant=-100.0).fit(X, y))
    with (
        pytest.warns(FewSideRowsWarning, match="0 residuals below"),
        pytest.warns(BiasedSplitPointWarning),
    ):
        fitted = method(model).fit(X, y)
    with pytest.warns(PooledCategoryWarning, match="0 below"):
        low, high = fitted.predict_interval(X).T
    np.testing.assert_allclose(low, -100, atol=0.01)
    assert 0.85 < ((y >= low) & (y <= high)).mean()
    assert fitted.side_probability(X).min() > 0.9
    assert np.isfinite(fitted.uncertainty(X)).all()


def test_no_residuals_at_all() -> None:
    """An exact model gets intervals of no width and no doubt."""
    X, _ = make(200)
    y = X[:, 0].copy()

    class First(DummyRegressor):  # type: ignore[misc]
        def predict(self, X: Any) -> np.ndarray:
            return np.asarray(X)[:, 0]

    with pytest.warns(FewSideRowsWarning):
        fitted = method(FrozenEstimator(First().fit(X, y))).fit(X, y)
    with pytest.warns(PooledCategoryWarning):
        np.testing.assert_array_equal(fitted.predict_interval(X), np.stack([y, y], axis=1))
    for form in ("root", "raw", "relative"):
        assert fitted.self_consistency(X, form).max() == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_numbers(bad: float) -> None:
    X, y = make(50)
    wrong = X.copy()
    wrong[3, 1] = bad
    with pytest.raises(ValueError, match="X contains NaN or inf"):
        method().fit(wrong, y)
    fitted = method(conformal="none", sds_heads=None).fit(*make(100))
    with pytest.raises(ValueError, match="X contains NaN or inf"):
        fitted.predict_interval(wrong)
    target = y.copy()
    target[0] = bad
    with pytest.raises(ValueError, match="y contains NaN or inf"):
        method().fit(X, target)
    constant = DummyRegressor(strategy="constant", constant=0.0).fit(X, y)
    constant.constant_[:] = bad
    with pytest.raises(ValueError, match="the prediction of FrozenEstimator contains NaN or inf"):
        method(FrozenEstimator(constant)).fit(X, y)


def test_several_targets() -> None:
    """Every answer gets an axis of targets, and equals the one of a single target."""
    X, y = make(300)
    Y = np.stack([y, 3 * y[::-1]], axis=1)
    fitted = method(KNeighborsRegressor(10), features="X").fit(X, Y)
    assert fitted.predict(X).shape == (300, 2)
    assert fitted.predict_interval(X).shape == (300, 2, 2)
    assert fitted.uncertainty(X).shape == (300, 2)
    assert fitted.side_probability(X).shape == (300, 2)
    assert fitted.mean_residuals(X).upper.shape == (300, 2)
    for k in range(2):
        single = method(KNeighborsRegressor(10), features="X").fit(X, Y[:, k])
        np.testing.assert_allclose(fitted.predict_interval(X)[:, k], single.predict_interval(X))
    column = method(features="X").fit(X, Y[:, :1])
    assert column.predict_interval(X).shape == (300, 1, 2)
    model = FrozenEstimator(LinearRegression().fit(X, y))
    with pytest.raises(ValueError, match="has 1 columns but y has 2"):
        method(model).fit(X, Y)
    with pytest.raises(ValueError, match="1 or 2 dimensions"):
        method().fit(X, np.zeros((300, 2, 2)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10])
def test_tiny_calibration_sets(n: int) -> None:
    X, y = make(200)
    model = FrozenEstimator(LinearRegression().fit(X, y))
    with pytest.warns(FewSideRowsWarning):
        fitted = method(model, confidence_level=0.99).fit(X[:n], y[:n])
    with pytest.warns(SmallCalibrationSetWarning, match="99 are needed"):
        interval = fitted.predict_interval(X)
    np.testing.assert_array_equal(interval, np.tile([-np.inf, np.inf], (200, 1)))
    assert np.isfinite(fitted.uncertainty(X)).all()


def test_too_few_rows_to_train() -> None:
    X, y = make(10)
    for n in (1, 2):
        with pytest.raises(ValueError, match=f"n_samples={n} leaves"):
            method().fit(X[:n], y[:n])
    with pytest.raises(ValueError, match="0 samples"):
        method().fit(X[:0], y[:0])
    with pytest.warns(FewSideRowsWarning):
        assert method().fit(X[:4], y[:4]).predict(X).shape == (10,)


def test_zero_weights() -> None:
    X, y = make(300)
    weight = np.repeat([1.0, 0.0], [200, 100])
    wild = np.where(weight > 0, y, 1e6)
    a, b = (
        method().fit(X, wild, sample_weight=weight),
        method().fit(X[:200], y[:200], sample_weight=weight[:200]),
    )
    np.testing.assert_allclose(a.predict_interval(X), b.predict_interval(X), rtol=1e-6)
    assert a.calibration_rows_.max() < 200
    for wrong in (np.zeros(300), -weight, weight[:5], np.full(300, np.nan)):
        with pytest.raises(ValueError, match="sample_weight"):
            method().fit(X, y, sample_weight=wrong)


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, np.nan, "0.9", True])
def test_levels_outside_the_unit_interval(level: Any) -> None:
    X, y = make(100)
    with pytest.raises(ValueError, match="confidence_level must"):
        method(confidence_level=level).fit(X, y)
    fitted = method(sds_heads=None).fit(X, y)
    with pytest.raises(ValueError, match="confidence_level must"):
        fitted.predict_interval(X, level)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heads", "ridge"),
        ("sds_heads", "hgb"),
        ("conformal", "both"),
        ("conformal", None),
        ("residuals", "oob"),
        ("recentre", 1),
        ("calibration_size", 0),
        ("calibration_size", 1.0),
    ],
)
def test_unknown_options(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must"):
        method(**{name: value}).fit(*make(50))


def test_missing_and_unequal() -> None:
    X, y = make(50)
    with pytest.raises(ValueError, match="y"):
        method().fit(X, None)
    with pytest.raises(ValueError, match="inconsistent"):
        method().fit(X, y[:-1])
