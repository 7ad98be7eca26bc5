"""ConformalPredictiveSystem: exactness, ranks, categories, lattices, scikit-learn, bad input."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from uq import ConformalPredictiveSystem, ConformalRegressor, SmallCalibrationSetWarning

ZERO = FrozenEstimator(DummyRegressor(strategy="constant", constant=0.0).fit([[0.0]], [0.0]))
REASON = "calibration counts every sample once; weights serve the models"


def data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, X[:, 0] + np.exp(0.5 * X[:, 1]) * rng.normal(size=n)


def plain(y: Any, **options: Any) -> ConformalPredictiveSystem:
    """Return a split system around 0, whose support points are the labels."""
    options = {"y_support": None, "conformity_score": "absolute", **options}
    return ConformalPredictiveSystem(ZERO, method="split", **options).fit(np.zeros((len(y), 1)), y)


def points(system: ConformalPredictiveSystem, X: np.ndarray) -> np.ndarray:
    """Return the support points of every row, by the formula."""
    row = np.searchsorted(system.calibration_rows_, system.calibration_rows_)
    fold = system._models.fold[row]
    centre, unit = system._models.answers(X)
    return np.sort(centre[:, fold] + unit[:, fold] * system.residuals_, axis=1)


# ---------------------------------------------------------------------- scikit-learn


def expected_failures(estimator: Any) -> dict[str, str]:
    if estimator.method == "cross" and estimator.y_support == "auto":
        return {}  # its medians are whole labels, which a few repetitions leave as they are
    return {
        "check_sample_weight_equivalence_on_dense_data": REASON,
        "check_sample_weight_equivalence_on_sparse_data": REASON,
    }


@parametrize_with_checks(
    [
        ConformalPredictiveSystem(Ridge(), cv=2, random_state=0),
        ConformalPredictiveSystem(Ridge(), method="split", random_state=0),
        ConformalPredictiveSystem(Ridge(), cv=2, conformity_score="absolute", y_support=None),
    ],
    expected_failed_checks=expected_failures,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_clone_search_pipeline_and_pickle() -> None:
    X, y = data(120)
    model = ConformalPredictiveSystem(make_pipeline(StandardScaler(), Ridge()), cv=3)
    copy = clone(model.set_params(estimator__ridge__alpha=3.0, method="split"))
    assert copy.get_params()["estimator__ridge__alpha"] == 3.0

    def score(system: Any, X: np.ndarray, y: np.ndarray) -> float:
        return -float(system.predict_distribution(X).crps(y).mean())

    search = GridSearchCV(
        ConformalPredictiveSystem(Ridge(), cv=3, random_state=0),
        {"estimator__alpha": [1e-3, 1e4]},
        cv=3,
        scoring=score,
    ).fit(X, y)
    assert search.best_params_ == {"estimator__alpha": 1e-3}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.best_estimator_.predict(X))
    assert make_pipeline(StandardScaler(), copy).fit(X, y).predict(X).shape == (120,)


# ---------------------------------------------------------------------- the exact promise


@pytest.mark.parametrize("n", [1, 2, 7, 19])
@pytest.mark.parametrize("kind", ["skewed", "tied", "constant"])
def test_pit_of_split_is_uniform(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    draws = {
        "skewed": lambda k: rng.exponential(size=k),
        "tied": lambda k: rng.integers(0, 3, k).astype(float),
        "constant": np.ones,
    }[kind]
    pit = []
    for _ in range(300):
        y = draws(n + 1)
        distribution = plain(y[:-1]).predict_distribution([[0.0]])
        pit.append(distribution.pit(y[-1:], random_state=rng)[0])
    assert kstest(pit, "uniform").pvalue > 0.001


def test_pit_is_the_formula() -> None:
    y = np.array([1.0, 2.0, 2.0, 2.0, 5.0])
    law = plain(y).predict_distribution(np.zeros((4, 1))).law
    label, tau = np.array([2.0, 0.0, 3.0, 5.0]), np.array([0.25, 0.5, 0.75, 0.0])
    np.testing.assert_allclose(law.pit(label, tau), [(1 + 0.25 * 4) / 6, 0.5 / 6, 4.75 / 6, 4 / 6])


@pytest.mark.parametrize("n", [1, 19, 50, 99])
def test_quantiles_are_order_statistics(n: int) -> None:
    y = np.random.default_rng(0).exponential(size=n)
    distribution = plain(y).predict_distribution([[0.0]])
    ordered = np.append(np.sort(y), np.inf)
    percent = np.arange(1, 100)  # 100 times .29, .57 and .58 is no integer in floats
    rank = -(-(n + 1) * percent // 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallCalibrationSetWarning)
        quantiles = distribution.quantile(percent / 100)[0]
    np.testing.assert_array_equal(quantiles, ordered[rank - 1])


def test_ends_of_intervals_cover_as_the_regressors_do() -> None:
    X, y = data(200)
    frozen = FrozenEstimator(LinearRegression().fit(X[:50], y[:50]))
    system = ConformalPredictiveSystem(frozen, conformity_score="absolute").fit(X[50:], y[50:])
    asymmetric = ConformalRegressor(frozen, tails="asymmetric").fit(X[50:], y[50:])
    for level in (0.5, 0.8, 0.9, 0.97):
        ours = system.predict_interval(X, level)
        np.testing.assert_allclose(ours, asymmetric.predict_interval(X, level), rtol=1e-12)
        np.testing.assert_array_equal(ours, system.predict_distribution(X).interval(level))
    with pytest.warns(SmallCalibrationSetWarning, match="150 calibration samples"):
        assert np.isinf(system.predict_interval(X, 0.999)).all()


def test_too_few_samples() -> None:
    distribution = plain(np.arange(4.0)).predict_distribution(np.zeros((3, 1)))
    with pytest.warns(SmallCalibrationSetWarning, match=r"4 calibration.*3 of 3 rows are infinite"):
        assert distribution.quantile(0.9).tolist() == [[np.inf]] * 3
    assert distribution.quantile(0.01).tolist() == [[0.0]] * 3
    assert "inf" in repr(distribution)  # and no warning
    refusing = plain(np.arange(4.0), small="raise").predict_distribution([[0.0]])
    assert refusing.quantile(0.5)[0, 0] == 2.0
    with pytest.raises(ValueError, match="small='infinite'"):
        refusing.interval(0.9)
    assert "points" in repr(refusing)


# ---------------------------------------------------------------------- categories


def test_categories_have_residuals_of_their_own() -> None:
    X = np.repeat([[0.0], [1.0]], 99, axis=0)
    y = np.concatenate([np.arange(1.0, 100.0), np.arange(1001.0, 1100.0)])
    options: dict[str, Any] = {"y_support": None, "conformity_score": "absolute"}
    by_array = ConformalPredictiveSystem(ZERO, **options).fit(X, y, categories=X[:, 0])
    by_function = ConformalPredictiveSystem(ZERO, mondrian=lambda X: X[:, 0], **options).fit(X, y)
    assert by_array.categories_.tolist() == [0.0, 1.0]
    new = np.array([[1.0], [0.0], [2.0]])
    for d in (
        by_array.predict_distribution(new, categories=new[:, 0]),
        by_function.predict_distribution(new),
    ):
        with pytest.warns(SmallCalibrationSetWarning, match="1 rows belong to categories"):
            quantiles = d.quantile([0.1, 0.5, 0.9])
        assert quantiles.tolist() == [
            [1010.0, 1050.0, 1090.0],
            [10.0, 50.0, 90.0],
            [-np.inf, np.inf, np.inf],
        ]
        assert d.cdf([-1e9, 1e9])[2].tolist() == [0.5, 0.5]
        with pytest.warns(SmallCalibrationSetWarning):
            assert d[2].interval(0.1).tolist() == [[-np.inf, np.inf]]
        assert 0 < d.pit([1.0, 1.0, 1.0], random_state=0)[2] < 1
        assert d.crps([1050.0, 50.0, 0.0])[2] == np.inf
        assert np.isnan(d.mean()[2])
        assert d.std()[2] == np.inf
        assert d[:2].sample(5, random_state=0).shape == (2, 5)
        with pytest.raises(ValueError, match="not seen at fit"):
            d.sample(5)
    with pytest.raises(ValueError, match="with categories; pass them"):
        by_array.predict(new)
    with pytest.raises(ValueError, match="without categories"):
        plain(y).predict(new, categories=new[:, 0])
    with pytest.raises(ValueError, match="another type"):
        by_array.predict(new, categories=["a", "b", "c"])


# ---------------------------------------------------------------------- the distribution


@pytest.mark.parametrize("method", ["cross", "split"])
@pytest.mark.parametrize("score", ["absolute", "normalised"])
def test_answers_are_those_of_all_points(method: str, score: str) -> None:
    X, y = data(300)
    y = np.round(y, 1)  # ties
    system = ConformalPredictiveSystem(
        LinearRegression(), method=method, conformity_score=score, y_support=None, random_state=0
    ).fit(X, y)
    new, labels = data(40, seed=1)
    dense, d = points(system, new), system.predict_distribution(new)
    n = system.n_calibration_
    assert dense.shape == (40, n) == (40, len(system.residuals_))
    t = np.linspace(-3, 3, 7)
    share = (dense[:, :, None] <= t).sum(axis=1)
    np.testing.assert_allclose(d.cdf(t), (share + 0.5) / (n + 1), atol=1e-12)
    ranks = np.ceil((n + 1) * np.array([0.1, 0.5]) - 1e-9).astype(int)
    np.testing.assert_allclose(d.quantile([0.1, 0.5]), dense[:, ranks - 1])
    per_row = np.linspace(0.05, 0.9, 40)
    rank = np.ceil((n + 1) * per_row - 1e-9).astype(int)
    np.testing.assert_allclose(d.quantile(per_row[:, None])[:, 0], dense[np.arange(40), rank - 1])
    np.testing.assert_allclose(d.mean(), dense.mean(axis=1))
    np.testing.assert_allclose(d.std(), dense.std(axis=1))
    gaps = np.abs(dense[:, :, None] - dense[:, None, :]).mean(axis=(1, 2))
    expected = np.abs(dense - labels[:, None]).mean(axis=1) - 0.5 * gaps
    np.testing.assert_allclose(d.crps(labels), expected, rtol=1e-10)
    draws = d.sample(200, random_state=0)
    assert np.isclose(draws[:, :, None], dense[:, None, :]).any(axis=2).all()
    assert (d.cdf(d.quantile([0.2, 0.5, 0.8])) >= [0.2, 0.5, 0.8]).all()
    with pytest.raises(ValueError, match="crps"):
        d.log_score(labels)
    assert len(d[3:5]) == 2
    np.testing.assert_array_equal(d[[4, 0]].crps(labels[[4, 0]]), d.crps(labels)[[4, 0]])


def test_a_useless_scale_is_not_believed_and_a_true_one_is() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(1500, 2))
    noise = rng.normal(size=1500)
    for method in ("cross", "split"):
        system = ConformalPredictiveSystem(LinearRegression(), method=method, random_state=0)
        assert clone(system).fit(X, X[:, 0] + noise).exponent_ <= 0.25
        wide = np.where(X[:, 1] > 0, 5.0, 0.2)
        true = clone(system).fit(X, X[:, 0] + wide * noise)
        assert true.exponent_ >= 0.75
        width = true.predict_distribution([[0.0, -0.5], [0.0, 0.5]]).std()
        assert width[1] > 8 * width[0]


def test_order_of_samples_does_not_count_for_folds() -> None:
    X = np.sort(np.random.default_rng(0).uniform(size=(400, 1)), axis=0)
    y = X[:, 0] + 0.01 * np.random.default_rng(1).normal(size=400)
    model = HistGradientBoostingRegressor(min_samples_leaf=5)
    system = ConformalPredictiveSystem(model, random_state=0).fit(X, y)
    assert system.predict_distribution(X).std().mean() < 0.05


# ---------------------------------------------------------------------- lattices


def test_labels_on_a_lattice() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = np.clip(np.round(5 + X[:, 0] + 0.7 * rng.normal(size=600)), 3, 8)
    auto = ConformalPredictiveSystem(Ridge(), random_state=0).fit(X[:400], y[:400])
    given = ConformalPredictiveSystem(Ridge(), y_support=range(3, 9), random_state=0)
    off = ConformalPredictiveSystem(Ridge(), y_support=None, random_state=0).fit(X[:400], y[:400])
    assert auto.support_.tolist() == [3, 4, 5, 6, 7, 8]
    assert off.support_ is None
    d, line = auto.predict_distribution(X[400:]), off.predict_distribution(X[400:])
    np.testing.assert_array_equal(
        given.fit(X[:400], y[:400]).predict(X[400:]), auto.predict(X[400:])
    )
    np.testing.assert_array_equal(d.cdf([4.0, 4.9]), line.cdf([4.5, 4.5]))
    assert np.isin(d.quantile([0.01, 0.5, 0.99]), auto.support_).all()
    assert d.crps(y[400:]).mean() < line.crps(y[400:]).mean()
    interval = auto.predict_interval(X[400:], 0.9)
    inside = (interval[:, 0] <= y[400:]) & (y[400:] <= interval[:, 1])
    assert inside.mean() > 0.87
    # a bounded label needs no infinite ends
    few = plain([1.0, 2.0, 1.0, 2.0], y_support="auto").predict_interval([[0.0]], 0.99)
    assert few.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.arange(100) % 50, 50),
        (np.arange(102) % 51, None),
        (np.arange(19) % 10, None),
        (np.ones(30), None),
        (np.arange(30) % 2 * 0.5, 2),
    ],
)
def test_automatic_support(y: np.ndarray, expected: int | None) -> None:
    support = plain(y, y_support="auto").support_
    assert (None if support is None else len(support)) == expected


# ---------------------------------------------------------------------- models


def test_frozen_models_are_calibrated_by_all_samples() -> None:
    X, y = data(300)
    frozen = FrozenEstimator(LinearRegression().fit(X[:100], y[:100]))
    cross = ConformalPredictiveSystem(frozen, random_state=0).fit(X[100:], y[100:])
    assert cross.n_calibration_ == 200
    assert len(cross.bands_) == 10
    split = ConformalPredictiveSystem(frozen, method="split", random_state=0)
    assert split.fit(X[100:], y[100:]).n_calibration_ == 50
    ones = FrozenEstimator(DummyRegressor(strategy="constant", constant=2.0).fit(X, y))
    scaled = clone(split).set_params(scale_estimator=ones).fit(X[100:], y[100:])
    assert scaled.n_calibration_ == 200
    assert scaled.exponent_ == 1.0
    without = clone(split).set_params(conformity_score="absolute").fit(X[100:], y[100:])
    np.testing.assert_allclose(scaled.predict(X), without.predict(X))
    for n in (1, 2, 5):
        assert clone(cross).fit(X[:n], y[:n]).n_calibration_ == n


def test_scales_read_what_the_estimator_reads() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"kind": rng.choice(["a", "b"], 400), "x": rng.normal(size=400)})
    y = table.x.to_numpy() + np.where(table.kind == "a", 3.0, 0.3) * rng.normal(size=400)
    table.loc[::7, "x"] = np.nan
    encode = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    model = make_pipeline(encode, HistGradientBoostingRegressor(max_iter=20))
    default = ConformalPredictiveSystem(model, cv=3, random_state=0).fit(table, y)
    assert default.predict_distribution(table.iloc[:1]).std().shape == (1,)
    own = ConformalPredictiveSystem(model, cv=3, scale_estimator=model, random_state=0)
    width = own.fit(table, y).predict_distribution(table).std()
    assert width[table.kind == "a"].mean() > 2 * width[table.kind == "b"].mean()


def test_groups_stay_whole_and_weights_reach_the_estimator() -> None:
    X, y = data(200)
    groups = np.arange(200) // 10
    system = ConformalPredictiveSystem(Ridge(), cv=4, random_state=0).fit(X, y, groups=groups)
    for k in range(20):
        assert len(np.unique(system._models.fold[groups == k])) == 1
    split = ConformalPredictiveSystem(Ridge(), method="split", random_state=0)
    rows = split.fit(X, y, groups=groups).calibration_rows_
    assert len(rows) == 10 * len(np.unique(groups[rows]))
    named = ConformalPredictiveSystem(Ridge(), cv=GroupKFold(5)).fit(X, y, groups=groups)
    assert len(named.bands_) == 5
    weight = np.where(X[:, 0] > 0, 1.0, 1e-6)
    weighted = ConformalPredictiveSystem(Ridge(), random_state=0).fit(X, y, weight)
    assert weighted.n_calibration_ == 200
    assert not np.allclose(weighted.residuals_, clone(weighted).fit(X, y).residuals_)


def test_same_answer_for_any_number_of_jobs() -> None:
    X, y = data(150)
    one = ConformalPredictiveSystem(Ridge(), cv=3, random_state=0).fit(X, y)
    two = clone(one).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.residuals_, two.residuals_)


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "bootstrap"}, "method"),
        ({"conformity_score": "quantile"}, "conformity_score"),
        ({"small": "big"}, "small"),
        ({"mondrian": "label"}, "mondrian must be a function"),
        ({"y_support": "all"}, "y_support"),
        ({"y_support": [1.0]}, "at least 2 values"),
        ({"y_support": [1.0, np.nan]}, "y_support"),
        ({"y_support": [0.0, 1.0]}, "y_support lacks labels of y"),
        ({"cv": 1}, "cv"),
        ({"cv": ShuffleSplit(3)}, "hold out every sample once"),
        ({"cv": "prefit"}, "FrozenEstimator"),
        ({"method": "split", "calibration_size": 1.5}, "calibration_size"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    X, y = data(60)
    with pytest.raises(ValueError, match=message):
        ConformalPredictiveSystem(Ridge(), **options).fit(X, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: np.where(y > 1, np.nan, y), "NaN"),
        (lambda y: np.where(y > 1, np.inf, y), "inf"),
        (lambda y: np.stack([y, y], axis=1), "several outputs"),
        (lambda y: y.astype(str), "y"),
        (lambda y: y[:-1], "inconsistent numbers of samples"),
    ],
)
def test_labels(change: Any, message: str) -> None:
    X, y = data(60)
    with pytest.raises(ValueError, match=message):
        ConformalPredictiveSystem(Ridge()).fit(X, change(y))


def test_what_is_no_regressor_and_asking_too_early() -> None:
    X, y = data(60)
    for wrong in (Ridge, (Ridge(), Ridge()), None, "ridge"):
        with pytest.raises(TypeError, match="estimator must be"):
            ConformalPredictiveSystem(wrong).fit(X, y)
    with pytest.raises(TypeError, match="FrozenEstimator"):
        ConformalPredictiveSystem(Ridge(), prefit=True)
    with pytest.raises(NotFittedError):
        ConformalPredictiveSystem(Ridge()).predict_distribution(X)
    bad = FrozenEstimator(DummyRegressor(strategy="constant", constant=-1.0).fit(X, y))
    with pytest.raises(ValueError, match="scales > 0"):
        ConformalPredictiveSystem(Ridge(), scale_estimator=bad).fit(X, y)


def test_labels_of_any_size() -> None:
    y = data(60)[1]
    d = plain(y).predict_distribution([[0.0]])
    for unit in (1e-300, 1e300):
        scaled = plain(unit * y).predict_distribution([[0.0]])
        for ask in (lambda d: d.mean(), lambda d: d.std(), lambda d: d.quantile([0.1, 0.9])):
            np.testing.assert_allclose(ask(scaled) / unit, ask(d), rtol=1e-9)
        np.testing.assert_allclose(scaled.crps([0.3 * unit]) / unit, d.crps([0.3]), rtol=1e-9)


def test_constant_labels() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2))
    for method in ("cross", "split"):
        system = ConformalPredictiveSystem(LinearRegression(), method=method, random_state=0)
        d = system.fit(X, np.full(40, 3.0)).predict_distribution(X)
        np.testing.assert_allclose(d.median(), 3.0)
        np.testing.assert_allclose(d.crps(np.full(40, 3.0)), 0.0, atol=1e-12)
