"""ConformalRegressor: coverage in finite samples, identities, scikit-learn, bad input."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor, Ridge
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from calib import RefitWarning
from uq import (
    ConformalPredictiveSystem,
    ConformalRegressor,
    CrossingQuantilesWarning,
    EffectiveSampleSizeWarning,
    EmptyIntervalWarning,
    SmallCalibrationSetWarning,
)

ZERO = FrozenEstimator(DummyRegressor(strategy="constant", constant=0.0).fit([[0.0]], [0.0]))


def data(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, X[:, 0] + np.exp(0.5 * X[:, 1]) * rng.normal(size=n)


def inside(interval: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (interval[:, 0] <= y) & (y <= interval[:, 1])


REASON = "calibration counts every sample once; weights serve the models"


def expected_failures(estimator):
    if estimator.method == "cross":
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": REASON,
        "check_sample_weight_equivalence_on_sparse_data": REASON,
    }


@parametrize_with_checks(
    [
        ConformalRegressor(Ridge(), random_state=0),
        ConformalRegressor(Ridge(), method="cross", cv=2),
        ConformalRegressor(Ridge(), method="bootstrap", random_state=0),
    ],
    expected_failed_checks=expected_failures,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn(estimator, check) -> None:
    check(estimator)


def test_clone_search_and_pipeline() -> None:
    X, y = data(200)
    model = ConformalRegressor(make_pipeline(StandardScaler(), Ridge()), random_state=0)
    copy = clone(model.set_params(estimator__ridge__alpha=3.0, method="cross"))
    assert copy.get_params()["estimator__ridge__alpha"] == 3.0
    assert copy.method == "cross"
    search = GridSearchCV(
        ConformalRegressor(Ridge(), random_state=0), {"estimator__alpha": [1e-3, 1e3]}, cv=3
    ).fit(X, y)
    assert search.best_params_ == {"estimator__alpha": 1e-3}
    assert search.best_estimator_.predict_interval(X).shape == (200, 2)
    pipe = make_pipeline(StandardScaler(), ConformalRegressor(Ridge(), random_state=0)).fit(X, y)
    assert pipe.predict(X).shape == (200,)
    trio = ConformalRegressor((Ridge(), Ridge(), Ridge()), conformity_score="quantile")
    assert isinstance(clone(trio).estimator, tuple)


# ---------------------------------------------------------------------- coverage


def rank(n: int, level: float) -> int:
    """Return ``ceil((n + 1) level)`` of the decimal fraction that is written."""
    return math.ceil((n + 1) * Fraction(str(round(level, 6))))


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("n", [19, 50, 200])
@pytest.mark.parametrize("tails", ["symmetric", "asymmetric", "lower", "upper"])
def test_split_coverage_is_the_beta_mean(tails: str, n: int, level: float) -> None:
    """Over 200 calibration sets, the exact coverage averages k / (n + 1)."""
    from scipy.stats import expon

    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        y = rng.exponential(size=n)
        model = ConformalRegressor(ZERO, tails=tails).fit(np.zeros((n, 1)), y)
        low, high = model.predict_interval([[0.0]], level)[0]
        covered.append(expon.cdf(high) - expon.cdf(low))
    if tails == "asymmetric":
        k = rank(n, 0.5 + 0.5 * level)
        mean = 2 * k / (n + 1) - 1
    else:
        mean = rank(n, level) / (n + 1)
    sd = np.sqrt(mean * (1 - mean) / (n + 2) / 200)
    assert mean >= level - 1e-12
    assert abs(np.mean(covered) - mean) < 4 * sd, (np.mean(covered), mean, sd)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conformity_score": "normalised"},
        {"conformity_score": "quantile", "estimator": QuantileRegressor(alpha=0.0)},
        {"method": "cross"},
        {"method": "cross", "conformity_score": "normalised"},
        {"method": "cross", "aggregation": "minmax"},
        {"method": "bootstrap", "n_resamples": 20},
    ],
    ids=lambda options: "-".join(str(v)[:10] for v in options.values()) or "split",
)
@pytest.mark.slow
def test_coverage_of_fitted_models(options: dict) -> None:
    """Mean over 200 data sets, within 4 standard errors of [level, what theory allows above it]."""
    options = {"estimator": LinearRegression(), **options}
    covered = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(200):
            (X, y), (X_new, y_new) = data(100, seed), data(400, 10**6 + seed)
            model = ConformalRegressor(**options, calibration_size=0.5, random_state=seed)
            covered.append(inside(model.fit(X, y).predict_interval(X_new, 0.9), y_new).mean())
    error = 4 * np.std(covered) / np.sqrt(200)
    assert np.mean(covered) > 0.9 - error, np.mean(covered)
    if options.get("aggregation") != "minmax":
        assert np.mean(covered) < 0.9 + 1 / 51 + error, np.mean(covered)


def test_coverage_within_groups() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        g = rng.integers(0, 2, 150)
        X = g[:, None].astype(float)
        y = np.where(g == 1, 5.0, 1.0) * rng.normal(size=150)
        model = ConformalRegressor(ZERO, mondrian=lambda X: X[:, 0]).fit(X, y)
        new = rng.integers(0, 2, 200)
        hit = inside(
            model.predict_interval(new[:, None]),
            np.where(new == 1, 5.0, 1.0) * rng.normal(size=200),
        )
        shares.append([hit[new == 0].mean(), hit[new == 1].mean()])
    mean = np.mean(shares, axis=0)
    error = 4 * np.std(shares, axis=0) / np.sqrt(200)
    assert (mean > 0.9 - error).all(), mean
    assert (mean < 0.9 + 1 / 50 + error).all(), mean


def test_coverage_under_a_known_shift() -> None:
    """Labels grow with x, new samples have larger x: weights restore what shift takes."""
    rng = np.random.default_rng(2)
    plain, weighted = [], []
    for _ in range(200):
        X = rng.random((150, 1))
        y = (0.2 + X[:, 0]) * rng.normal(size=150)
        model = ConformalRegressor(ZERO).fit(X, y)
        shifted = ConformalRegressor(ZERO, likelihood_ratio=lambda X: 2 * X[:, 0]).fit(X, y)
        new = np.sqrt(rng.random((200, 1)))
        label = (0.2 + new[:, 0]) * rng.normal(size=200)
        plain.append(inside(model.predict_interval(new), label).mean())
        weighted.append(inside(shifted.predict_interval(new), label).mean())
    error = 4 * np.std(weighted) / np.sqrt(200)
    assert np.mean(plain) < 0.89
    assert 0.9 - error < np.mean(weighted) < 0.9 + 0.02 + error


# ---------------------------------------------------------------------- identities


def test_unit_ratios_and_one_group_change_nothing() -> None:
    X, y = data(120)
    new = data(40, 1)[0]
    plain = ConformalRegressor(Ridge(), random_state=0).fit(X, y)
    ones = ConformalRegressor(Ridge(), random_state=0, likelihood_ratio=lambda X: np.ones(len(X)))
    one = ConformalRegressor(Ridge(), random_state=0, mondrian=lambda X: np.full(len(X), "a"))
    wanted = plain.predict_intervals(new, [0.5, 0.8])
    np.testing.assert_array_equal(ones.fit(X, y).predict_intervals(new, [0.5, 0.8]), wanted)
    np.testing.assert_array_equal(one.fit(X, y).predict_intervals(new, [0.5, 0.8]), wanted)
    assert plain.effective_calibration_size_ == 30
    assert one.categories_.tolist() == ["a"]
    again = ConformalRegressor(Ridge(), random_state=0).fit(
        X, y, categories=np.zeros(120), likelihood_ratio=np.full(120, 7.0)
    )
    got = again.predict_intervals(
        new, [0.5, 0.8], categories=np.zeros(40), likelihood_ratio=np.full(40, 7.0)
    )
    np.testing.assert_array_equal(got, wanted)


def test_one_sample_per_fold_is_the_jackknife_plus() -> None:
    X, y = data(60)
    new = data(20, 1)[0]
    model = ConformalRegressor(LinearRegression(), method="cross", cv=KFold(60)).fit(X, y)
    low, high = np.empty((20, 60)), np.empty((20, 60))
    for j in range(60):
        rest = np.arange(60) != j
        fitted = LinearRegression().fit(X[rest], y[rest])
        residual = abs(y[j] - fitted.predict(X[[j]])[0])
        low[:, j], high[:, j] = fitted.predict(new) - residual, fitted.predict(new) + residual
    # floor(0.1 * 61) = 6th and ceil(0.9 * 61) = 55th smallest
    wanted = np.stack([np.sort(low, axis=1)[:, 5], np.sort(high, axis=1)[:, 54]], axis=1)
    np.testing.assert_allclose(model.predict_interval(new), wanted, atol=1e-12)


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric", "lower", "upper"])
@pytest.mark.parametrize("score", ["absolute", "normalised", "quantile"])
def test_folds_by_brute_force(score: str, tails: str) -> None:
    X, y = data(90)
    new = data(15, 1)[0]
    estimator = QuantileRegressor(alpha=0.0) if score == "quantile" else Ridge()
    model = ConformalRegressor(
        estimator, method="cross", conformity_score=score, tails=tails, cv=4, quantiles=(0.2, 0.8)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrossingQuantilesWarning)
        model.fit(X, y)
        ends = [band.ends(new) for band in model.bands_]
        got = model.predict_interval(new, 0.8)
    fold = np.repeat(np.arange(4), [len(t) for _, t in KFold(4).split(X)])
    signed = model.side_scores_
    if tails == "symmetric":
        signed = np.stack([model.conformity_scores_] * 2, axis=1)
    unit = np.stack([np.ones(15) if e.scale is None else e.scale for e in ends], axis=1)[:, fold]
    low = np.stack([e.low for e in ends], axis=1)[:, fold] - unit * signed[:, 0]
    high = np.stack([e.high for e in ends], axis=1)[:, fold] + unit * signed[:, 1]
    k = rank(90, 0.9 if tails == "asymmetric" else 0.8)
    wanted = np.stack([np.sort(low, axis=1)[:, 90 - k], np.sort(high, axis=1)[:, k - 1]], axis=1)
    if tails == "lower":
        wanted[:, 1] = np.inf
    if tails == "upper":
        wanted[:, 0] = -np.inf
    np.testing.assert_array_equal(got, wanted)


def test_groups_by_hand_with_folds_and_draws() -> None:
    X, y = data(120)
    new = data(30, 1)[0]
    for method in ("cross", "bootstrap"):
        options = {"method": method, "random_state": 0}
        grouped = ConformalRegressor(Ridge(), mondrian=lambda X: X[:, 1] > 0, **options).fit(X, y)
        whole = ConformalRegressor(Ridge(), **options).fit(X, y)
        a, b = grouped.predict_interval(new, 0.8), whole.predict_interval(new, 0.8)
        wide = new[:, 1] > 0
        assert (np.ptp(a, axis=1)[wide] > np.ptp(b, axis=1)[wide]).all()
        assert (np.ptp(a, axis=1)[~wide] < np.ptp(b, axis=1)[~wide]).all()


def test_levels_in_any_order_nest() -> None:
    X, y = data(200)
    for method in ("split", "cross", "bootstrap"):
        model = ConformalRegressor(Ridge(), method=method, random_state=0).fit(X, y)
        three = model.predict_intervals(X, [0.9, 0.5, 0.9])
        assert three.shape == (200, 2, 3)
        np.testing.assert_array_equal(three[:, :, 0], three[:, :, 2])
        np.testing.assert_array_equal(three[:, :, 1], model.predict_interval(X, 0.5))
        assert (np.ptp(three[:, :, 0], axis=1) > np.ptp(three[:, :, 1], axis=1)).all()
        point = model.predict(X)
        assert (point > three[:, 0, 0]).all()
        assert (point < three[:, 1, 0]).all()


def test_normalised_and_quantile_intervals_follow_the_spread() -> None:
    X, y = data(1500)
    new = data(500, 1)[0]
    quiet, loud = new[:, 1] < -0.7, new[:, 1] > 0.7
    boosting = HistGradientBoostingRegressor(loss="quantile", max_iter=40, random_state=0)
    gradient = GradientBoostingRegressor(loss="quantile", n_estimators=30, random_state=0)
    for score, estimator in (
        ("normalised", Ridge()),
        ("quantile", make_pipeline(StandardScaler(), boosting)),
        ("quantile", gradient),
    ):
        model = ConformalRegressor(estimator, conformity_score=score, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CrossingQuantilesWarning)
            width = np.ptp(model.fit(X, y).predict_interval(new), axis=1)
        assert width[loud].mean() > 1.5 * width[quiet].mean()


def test_scale_models_of_frozen_estimators() -> None:
    X, y = data(400)
    frozen = FrozenEstimator(Ridge().fit(*data(200, 5)))
    model = ConformalRegressor(
        frozen,
        conformity_score="normalised",
        scale_estimator=Ridge(),
        calibration_size=300,
        random_state=0,
    ).fit(X, y)
    assert model.n_calibration_ == 300
    assert ConformalRegressor(frozen).fit(X, y).n_calibration_ == 400
    with pytest.raises(ValueError, match="frozen estimator needs a scale_estimator"):
        ConformalRegressor(frozen, conformity_score="normalised").fit(X, y)
    negative = FrozenEstimator(DummyRegressor(strategy="constant", constant=-1.0).fit(X, y))
    with pytest.raises(ValueError, match=r"predict scales > 0; got -1.0 in row 0"):
        model.set_params(scale_estimator=negative).fit(X, y)


def test_weights_reach_the_models_only() -> None:
    X, y = data(100)
    w = np.r_[np.ones(50), np.zeros(50)]
    model = ConformalRegressor(LinearRegression(), random_state=0).fit(X, y, sample_weight=w)
    plain = ConformalRegressor(LinearRegression(), random_state=0).fit(X, y)
    assert not np.allclose(model.predict(X), plain.predict(X))
    np.testing.assert_array_equal(model.calibration_rows_, plain.calibration_rows_)


# ---------------------------------------------------------------------- edges


@pytest.mark.parametrize("n", range(1, 11))
def test_calibration_sets_too_small_for_the_level(n: int) -> None:
    X, y = data(n)
    model = ConformalRegressor(ZERO).fit(X, y)
    with pytest.warns(SmallCalibrationSetWarning, match=r"level 0.99, which takes 99: 3 of 3"):
        interval = model.predict_interval(np.zeros((3, 3)), 0.99)
    np.testing.assert_array_equal(interval, [[-np.inf, np.inf]] * 3)
    with pytest.raises(ValueError, match=r"do not suffice for level 0\.99"):
        model.set_params(small="raise").predict_interval(X, 0.99)
    if n > 1:
        for method in ("cross", "bootstrap"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                few = ConformalRegressor(Ridge(), method=method, cv=2, random_state=0).fit(X, y)
            with pytest.warns(SmallCalibrationSetWarning):
                assert np.isinf(few.predict_interval(X, 0.99)).all()
    one_sided = ConformalRegressor(ZERO, tails="upper").fit(X, y)
    with pytest.warns(SmallCalibrationSetWarning):
        assert np.isinf(one_sided.predict_interval(X, 0.99)).all()


def test_one_sided_bounds_are_infinite_without_warning() -> None:
    X, y = data(200)
    low = ConformalRegressor(ZERO, tails="lower").fit(X, y).predict_interval(X[:2], 0.9)
    assert np.isposinf(low[:, 1]).all()
    assert np.isfinite(low[:, 0]).all()


def test_residuals_of_one_sign() -> None:
    """Labels always above the prediction: margins below become negative, and that is right."""
    rng = np.random.default_rng(0)
    y = 3 + rng.random(400)
    model = ConformalRegressor(ZERO, tails="asymmetric").fit(np.zeros((400, 1)), y)
    low, high = model.predict_interval([[0.0]])[0]
    assert 3 < low < 3.1
    assert 3.9 < high < 4
    symmetric = ConformalRegressor(ZERO).fit(np.zeros((400, 1)), y).predict_interval([[0.0]])[0]
    assert symmetric[0] == -symmetric[1]


def test_constant_regressors_and_labels() -> None:
    X, y = data(100)
    for method in ("split", "cross", "bootstrap"):
        model = ConformalRegressor(DummyRegressor(), method=method, random_state=0).fit(X, y)
        assert inside(model.predict_interval(X), y).mean() > 0.85
        flat = ConformalRegressor(DummyRegressor(), method=method, random_state=0)
        interval = flat.fit(X, np.full(100, 2.5)).predict_interval(X)
        np.testing.assert_allclose(interval, 2.5)
    perfect = ConformalRegressor(Ridge(), conformity_score="normalised", random_state=0)
    interval = perfect.fit(X, np.full(100, 2.5)).predict_interval(X)
    np.testing.assert_allclose(interval, 2.5)


def test_crossing_quantiles_are_exchanged() -> None:
    X, y = data(200)
    up, down = (
        FrozenEstimator(DummyRegressor(strategy="constant", constant=c).fit(X, y)) for c in (1, -1)
    )
    zero = FrozenEstimator(DummyRegressor(strategy="constant", constant=0).fit(X, y))
    crossed = ConformalRegressor((up, zero, down), conformity_score="quantile")
    straight = ConformalRegressor((down, zero, up), conformity_score="quantile").fit(X, y)
    with pytest.warns(CrossingQuantilesWarning, match="cross for 200 of 200 samples"):
        crossed.fit(X, y)
    with pytest.warns(CrossingQuantilesWarning, match="cross for 200 of 200"):
        got = crossed.predict_interval(X)
    np.testing.assert_array_equal(got, straight.predict_interval(X))


def test_margins_larger_than_the_band() -> None:
    """A band far too wide where it was calibrated, and narrow where it is used."""
    x = np.arange(3.0)[:, None]
    band = [LinearRegression(fit_intercept=False).fit(x, k * x[:, 0]) for k in (-6, 0, 6)]
    model = ConformalRegressor(
        tuple(FrozenEstimator(b) for b in band), conformity_score="quantile"
    ).fit(np.ones((100, 1)), np.tile([-1.0, 1.0], 50))
    np.testing.assert_allclose(model.predict_interval([[1.0]]), [[-1, 1]])
    with pytest.warns(EmptyIntervalWarning, match="1 of 2 intervals are empty"):
        interval = model.predict_interval([[0.1], [1.0]])
    np.testing.assert_allclose(interval, [[0, 0], [-1, 1]], atol=1e-12)


def test_groups_unseen_at_fit() -> None:
    X, y = data(200)
    g = np.repeat(["a", "b"], 100)
    model = ConformalRegressor(ZERO).fit(X, y, categories=g)
    with pytest.warns(SmallCalibrationSetWarning, match=r"of which \['c'\] were not seen at fit"):
        interval = model.predict_interval(X[:3], categories=["a", "c", "b"])
    np.testing.assert_array_equal(np.isinf(interval).all(axis=1), [False, True, False])
    with pytest.raises(ValueError, match="categories was given to fit; pass that for"):
        model.predict_interval(X)
    with pytest.raises(ValueError, match="categories was not given to fit"):
        ConformalRegressor(ZERO).fit(X, y).predict_interval(X, categories=g)
    with pytest.raises(ValueError, match="X has 3 samples but categories has 2"):
        model.predict_interval(X[:3], categories=["a", "b"])
    with pytest.raises(ValueError, match="choose one"):
        ConformalRegressor(ZERO, mondrian=len).fit(X, y, categories=g)


def test_ratios_zero_and_huge() -> None:
    X, y = data(200)
    ratio = np.r_[np.zeros(100), np.ones(100)]
    half = ConformalRegressor(ZERO).fit(X, y, likelihood_ratio=ratio)
    assert half.effective_calibration_size_ == pytest.approx(100)
    second = ConformalRegressor(ZERO).fit(X[100:], y[100:])
    got = half.predict_interval(X[:2], likelihood_ratio=[1, 0])
    np.testing.assert_array_equal(got[0], second.predict_interval(X[:1])[0])
    assert np.isfinite(got[1]).all()
    steep = np.r_[1e300, np.full(199, 1e-300)]
    model = ConformalRegressor(ZERO).fit(X, y, likelihood_ratio=steep)
    with pytest.warns(EffectiveSampleSizeWarning, match=r"200 calibration samples worth 1.0"):
        interval = model.predict_interval(X[:1], likelihood_ratio=[1e-300])
    np.testing.assert_allclose(interval[0], [-abs(y[0]), abs(y[0])])
    with (
        pytest.warns(EffectiveSampleSizeWarning),
        pytest.warns(SmallCalibrationSetWarning, match="with these likelihood ratios"),
    ):
        assert np.isinf(model.predict_interval(X[:1], likelihood_ratio=[1e308])).all()
    with pytest.raises(ValueError, match="zero for every calibration sample"):
        ConformalRegressor(ZERO).fit(X, y, likelihood_ratio=np.zeros(200))
    for wrong, message in (
        (-ratio, "likelihood_ratio must be >= 0; got -1.0 in row 100"),
        (ratio * np.nan, "likelihood_ratio contains NaN or inf"),
        (ratio[:5], "X has 200 samples but likelihood_ratio has 5"),
    ):
        with pytest.raises(ValueError, match=message):
            ConformalRegressor(ZERO).fit(X, y, likelihood_ratio=wrong)
    with pytest.raises(ValueError, match="as a function and as an array"):
        ConformalRegressor(ZERO, likelihood_ratio=len).fit(X, y, likelihood_ratio=ratio)


def test_samples_in_every_draw_are_reported() -> None:
    X, y = data(4)
    with pytest.warns(UserWarning, match="are in every bootstrap draw and cannot calibrate"):
        model = ConformalRegressor(
            DummyRegressor(), method="bootstrap", n_resamples=2, random_state=0
        ).fit(X, y)
    assert model.n_calibration_ < 4
    assert len(model.conformity_scores_) == len(model.calibration_rows_) == model.n_calibration_


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({}, "two columns", "several outputs per sample; fit one ConformalRegressor"),
        ({}, "nan", "y contains NaN"),
        ({}, "inf", "y contains NaN, inf"),
        ({}, "text", "y must hold numbers"),
        ({"method": "jackknife"}, None, "method must be one of"),
        ({"conformity_score": "gamma"}, None, "conformity_score must be one of"),
        ({"tails": "both"}, None, "tails must be one of"),
        ({"aggregation": "base"}, None, "aggregation must be one of"),
        ({"small": "full"}, None, "small must be one of"),
        ({"backend": "torch"}, None, "backend must be one of"),
        ({"calibration_size": 1.0}, None, r"calibration_size must lie in \(0, 1\)"),
        ({"calibration_size": 40}, None, "leaves nothing to fit"),
        ({"calibration_size": 0}, None, "calibration_size must be >= 1"),
        ({"n_resamples": 1}, None, "n_resamples must be >= 2"),
        ({"quantiles": (0.9, 0.1)}, None, "quantiles must ascend"),
        ({"quantiles": (0, 0.9)}, None, r"quantiles must lie in \(0, 1\)"),
        ({"quantiles": 0.1}, None, "quantiles must be two levels"),
        ({"quantiles": (0.1, 0.5, 0.9)}, None, "quantiles must be two levels"),
        ({"mondrian": "label"}, None, "mondrian must be a function of X"),
        ({"likelihood_ratio": [1]}, None, "likelihood_ratio must be a function of X"),
        ({"method": "cross", "likelihood_ratio": len}, None, "needs method='split'"),
        ({"method": "cross", "estimator": ZERO}, None, "a frozen one cannot be"),
        ({"method": "bootstrap", "conformity_score": "quantile"}, None, "takes conformity_score"),
        ({"method": "cross", "cv": ShuffleSplit(3)}, None, "hold out every sample once"),
        ({"conformity_score": "quantile"}, None, "has no quantile level that could be set"),
        ({"estimator": (ZERO, ZERO, ZERO)}, None, "three estimators go with"),
        (
            {"estimator": (ZERO,) * 4, "conformity_score": "quantile"},
            None,
            "three .* got 4",
        ),
    ],
)
def test_bad_input(options: dict, y: str | None, message: str) -> None:
    X, labels = data(40)
    bad = labels.copy()
    bad[7] = np.nan if y == "nan" else np.inf
    given = {
        "two columns": np.stack([labels, labels], axis=1),
        "nan": bad,
        "inf": bad,
        "text": np.array(list("ab" * 20)),
        None: labels,
    }[y]
    with pytest.raises(ValueError, match=message):
        ConformalRegressor(**{"estimator": Ridge(), **options}).fit(X, given)


def test_levels_and_state() -> None:
    X, y = data(60)
    with pytest.raises(NotFittedError):
        ConformalRegressor(Ridge()).predict_interval(X)
    model = ConformalRegressor(Ridge(), random_state=0).fit(X, y)
    for level in (0, 1, 90, -0.5, np.nan, "0.9"):
        with pytest.raises(ValueError, match="confidence_level must"):
            model.predict_interval(X, level)
    with pytest.raises(ValueError, match="For several levels call predict_intervals"):
        model.predict_interval(X, [0.5, 0.9])
    with pytest.warns(RefitWarning):
        ConformalRegressor(Ridge().fit(X, y)).fit(X, y)


def test_models_that_predict_nonsense() -> None:
    class Nonsense(Ridge):
        def predict(self, X):
            return np.full(len(X), np.nan) if self.alpha == 1 else np.zeros((len(X), 2))

    X, y = data(40)
    with pytest.raises(ValueError, match="Nonsense predicts NaN or inf"):
        ConformalRegressor(Nonsense()).fit(X, y)
    with pytest.raises(ValueError, match=r"predicts arrays of shape \(10, 2\)"):
        ConformalRegressor(Nonsense(alpha=2)).fit(X, y)


@pytest.mark.parametrize("make", [ConformalRegressor, ConformalPredictiveSystem])
@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: FrozenEstimator(model)])
def test_a_classifier_is_sent_to_where_classes_are(make, wrap) -> None:
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    model = wrap(LogisticRegression().fit(X, y))
    with pytest.raises(TypeError, match="LogisticRegression, a classifier: use "):
        make(model).fit(X, y.astype(float))
