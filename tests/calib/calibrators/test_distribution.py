"""Recalibrated predicted distributions: known numbers, ties, weights, guard, bad inputs, files."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from calib import (
    CrossingQuantilesWarning,
    DistributionCalibrator,
    SmallCalibrationSetWarning,
    load,
    save,
)
from calib.evaluation import PredictiveDistribution, predictive_distribution

METHODS = ("scale", "t", "isotonic", "residual", "auto")
LEVELS = np.array([0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975])
INPUTS = ("normal", "quantiles", "samples")
ASKED = (0.001, 0.05, 0.3, 0.5, 0.8, 0.99)


def golden() -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations that are too sharp by 1.5, without random numbers."""
    i = np.arange(500)
    mean, std = np.sin(i / 7), 0.5 + 0.4 * np.cos(i / 11) ** 2
    level = ((i + 1) * 0.6180339887498949) % 1
    return np.column_stack([mean, std]), mean + 1.5 * std * norm.ppf(level)


def sharp(kind: str, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Distributions of a kind that are too sharp, labels, and options."""
    rng = np.random.default_rng(seed)
    mean, std = 3 * rng.normal(size=n), np.exp(0.4 * rng.normal(size=n))
    y = mean + 1.8 * std * rng.normal(size=n) + 0.5 * rng.normal(size=n)
    if kind == "normal":
        return np.column_stack([mean, std]), y, {"input": kind}
    if kind == "quantiles":
        X = mean[:, None] + std[:, None] * norm.ppf(LEVELS)
        return X, y, {"input": kind, "levels": LEVELS}
    return mean[:, None] + std[:, None] * rng.normal(size=(n, 30)), y, {"input": kind}


def quantiles(cal: DistributionCalibrator, X: Any) -> np.ndarray:
    return cal.predict_distribution(X).quantile(ASKED)


# ---------------------------------------------------------------------- numbers


def test_golden_numbers() -> None:
    X, y = golden()
    d = DistributionCalibrator("identity").fit(X, y).predict_distribution(X)
    assert d.crps(y).mean() == pytest.approx(0.6099694893, abs=1e-10)
    assert d.log_score(y).mean() == pytest.approx(1.6570496851, abs=1e-10)
    cal = DistributionCalibrator("scale").fit(X, y)
    assert cal.scale_ == pytest.approx(1.4930458775, abs=1e-10)
    given = predictive_distribution(mean=X[:, 0], std=X[:, 1])
    np.testing.assert_array_equal(given.crps(y), d.crps(y))
    pit = d.pit(y)
    assert kstest(pit, "uniform").statistic == pytest.approx(0.0989825353, abs=1e-10)
    for level, share in ((0.5, 0.346), (0.8, 0.608), (0.9, 0.728)):
        low, high = d.interval(level).T
        assert ((low <= y) & (y <= high)).mean() == pytest.approx(share, abs=1e-12)


def test_scale_multiplies_standard_deviations() -> None:
    X, y = golden()
    cal = DistributionCalibrator("scale").fit(X, y)
    d = cal.predict_distribution(X)
    np.testing.assert_allclose(d.std(), cal.scale_ * X[:, 1])
    np.testing.assert_allclose(d.mean(), X[:, 0])


def test_t_finds_degrees_of_freedom() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=20_000), np.exp(rng.normal(size=20_000))])
    y = X[:, 0] + 1.7 * X[:, 1] * rng.standard_t(4, 20_000)
    cal = DistributionCalibrator("t").fit(X, y)
    assert cal.df_ == 4.0
    assert cal.scale_ == pytest.approx(1.7, abs=0.03)


def test_isotonic_quantiles_are_ranks_over_n_plus_one() -> None:
    X, y = golden()
    cal = DistributionCalibrator("isotonic").fit(X, y)
    z = np.sort((y - X[:, 0]) / X[:, 1])
    ranks = np.array([1, 2, 25, 250, 499, 500])
    d = cal.predict_distribution([[2.0, 3.0]])
    np.testing.assert_allclose(d.quantile(ranks / 501)[0], 2 + 3 * z[ranks - 1], rtol=1e-12)


def test_residual_is_the_plain_split_conformal_system() -> None:
    X, y, options = sharp("quantiles")
    cal = DistributionCalibrator("residual", **options).fit(X, y)
    residual = np.sort(y - X[:, 5])
    ranks = np.array([1, 30, 150, 300])
    wanted = X[:4, [5]] + residual[ranks - 1]
    got = cal.predict_distribution(X[:4]).quantile(ranks / 301)
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_improves_what_is_too_sharp(method: str, kind: str) -> None:
    X, y, options = sharp(kind)
    cal = DistributionCalibrator(method, **options).fit(X, y)
    new, labels, _ = sharp(kind, 2000, seed=1)
    given = DistributionCalibrator("identity", **options).fit(X, y).predict_distribution(new)
    d = cal.predict_distribution(new)
    if (method, kind) == ("scale", "samples"):
        return  # one factor for the noise of every sample's tails does harm: why there is more
    assert d.crps(labels).mean() < 0.98 * given.crps(labels).mean()
    assert not cal.kept_identity_
    low, high = d.interval(0.9).T
    assert 0.85 < ((low <= labels) & (labels <= high)).mean() < 0.95


def test_auto_averages_quantiles_of_its_members() -> None:
    X, y, options = sharp("quantiles")
    cal = DistributionCalibrator("auto", **options).fit(X, y)
    assert cal.weights_.sum() == pytest.approx(1)
    assert (cal.weights_[1:] > 0).all()
    parts = []
    for method in ("identity", "t"):
        member = DistributionCalibrator(method, **options).fit(X, y)
        parts.append(member.predict_distribution(X).quantile(LEVELS))
    inner = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    residual = DistributionCalibrator("residual", **options).fit(X, y)
    members = [
        DistributionCalibrator("identity", **options).fit(X, y).predict_distribution(X),
        DistributionCalibrator("t", **options).fit(X, y).predict_distribution(X),
        residual.predict_distribution(X),
    ]
    wanted = sum(w * d.quantile(inner) for w, d in zip(cal.weights_, members, strict=True))
    got = cal.predict_distribution(X).quantile(inner)
    np.testing.assert_allclose(got, wanted, atol=0.05)


# ---------------------------------------------------------------------- ties


def test_plateaus_do_not_ruin_the_maps() -> None:
    """Members that agree on whole numbers: the level of a label is drawn over the plateau."""
    rng = np.random.default_rng(0)
    rate = rng.uniform(3, 6, 3000)
    X = rng.poisson(rate[:, None], (3000, 50)).astype(float)
    y = rng.poisson(rate).astype(float)
    given = DistributionCalibrator("identity", input="samples").fit(X[:1500], y[:1500])
    before = given.predict_distribution(X[1500:])
    for method, most in (("t", 1.01), ("isotonic", 1.02), ("auto", 1.0 + 1e-12)):
        cal = DistributionCalibrator(method, input="samples").fit(X[:1500], y[:1500])
        d = cal.predict_distribution(X[1500:])
        assert d.crps(y[1500:]).mean() < most * before.crps(y[1500:]).mean(), method
    assert kstest(before.pit(y[1500:], 0), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("method", [*METHODS, "identity"])
@pytest.mark.parametrize("kind", INPUTS)
def test_constant_labels(method: str, kind: str) -> None:
    X = {
        "normal": np.tile([2.0, 1.0], (40, 1)),
        "quantiles": np.tile(2 + norm.ppf(LEVELS), (40, 1)),
        "samples": np.tile([1.0, 2, 2, 2, 3], (40, 1)),
    }[kind]
    options = {"input": kind, "levels": LEVELS if kind == "quantiles" else None}
    for label in (2.0, 5.0):
        y = np.full(40, label)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallCalibrationSetWarning)
            cal = DistributionCalibrator(method, **options).fit(X, y)
        d = cal.predict_distribution(X[:3])
        assert np.isfinite(d.quantile(ASKED)).all()
        for answer in (d.crps([label, 0, 9]), d.pit([label, 0, 9], 0), d.mean(), d.std()):
            assert np.isfinite(answer).all()
        if method in ("isotonic", "residual") and kind == "normal":
            np.testing.assert_allclose(d.quantile([0.1, 0.5, 0.9]), label, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["quantiles", "samples"])
def test_members_that_are_all_equal(method: str, kind: str) -> None:
    X = np.zeros((60, 4))
    X[::2] = [1.0, 2, 2, 3]
    y = np.random.default_rng(0).normal(size=60)
    y[:20] = 0
    levels = [0.2, 0.4, 0.6, 0.8] if kind == "quantiles" else None
    cal = DistributionCalibrator(method, input=kind, levels=levels).fit(X, y)
    d = cal.predict_distribution(X)
    assert np.isfinite(d.quantile(ASKED)).all()
    assert np.isfinite(d.crps(y)).all()


@pytest.mark.parametrize("method", ["scale", "t", "isotonic"])
def test_rows_without_spread_tell_nothing_of_it(method: str) -> None:
    X, y, options = sharp("quantiles")
    points = np.zeros((50, X.shape[1]))
    a = DistributionCalibrator(method, **options).fit(X, y)
    b = DistributionCalibrator(method, **options).fit(np.vstack([X, points]), np.append(y, y[:50]))
    np.testing.assert_array_equal(quantiles(a, X), quantiles(b, X))
    with pytest.raises(ValueError, match=r"all equal in 50 of 50 rows.*method='residual'"):
        DistributionCalibrator(method, **options).fit(points, y[:50])


# ---------------------------------------------------------------------- weights, order, seeds


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("method", METHODS)
def test_integer_weights_equal_repetition(method: str, kind: str) -> None:
    X, y, options = sharp(kind)
    if kind == "samples":
        X, y = np.round(X), np.round(y)
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    a = DistributionCalibrator(method, **options).fit(X, y, weight)
    b = DistributionCalibrator(method, **options).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight)
    )
    np.testing.assert_allclose(quantiles(a, X), quantiles(b, X), rtol=1e-7, atol=1e-7)
    assert a.n_calibration_ == b.n_calibration_ == weight.sum()


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_rows_leaves_no_trace(method: str, kind: str) -> None:
    X, y, options = sharp(kind)
    order = np.random.default_rng(0).permutation(len(y))
    a = DistributionCalibrator(method, **options).fit(X, y)
    b = DistributionCalibrator(method, **options).fit(X[order], y[order])
    np.testing.assert_allclose(quantiles(a, X), quantiles(b, X), rtol=1e-7, atol=1e-7)


def test_fractional_weights_are_symmetric() -> None:
    X, y = golden()
    cal = DistributionCalibrator("residual").fit(X, y, np.full(len(y), 0.25))
    both = np.vstack([X, X]) * [0, 1]
    centred = np.concatenate([y - X[:, 0], X[:, 0] - y])
    cal = DistributionCalibrator("residual").fit(both, centred, np.full(1000, 0.25))
    low, mid, high = cal.predict_distribution([[0.0, 1.0]]).quantile([0.1, 0.5, 0.9])[0]
    assert low == pytest.approx(-high, rel=1e-9)
    assert mid == pytest.approx(0, abs=1e-9)
    assert cal.n_calibration_ == 250


def test_units_of_y_leave_no_trace() -> None:
    X, y, options = sharp("quantiles")
    for factor in (1e-12, 1e9):
        a = DistributionCalibrator("auto", **options).fit(X, y)
        b = DistributionCalibrator("auto", **options).fit(factor * X, factor * y)
        assert a.kept_identity_ == b.kept_identity_
        np.testing.assert_allclose(b.weights_, a.weights_, atol=0.2)


# ---------------------------------------------------------------------- the guard


@pytest.mark.parametrize("spread", [0.0, 0.7])
@pytest.mark.parametrize(("n", "most"), [(30, 0.15), (300, 0.05)])
def test_auto_does_no_harm_to_what_is_calibrated(n: int, most: float, spread: float) -> None:
    changes = []
    for run in range(60):
        rng = np.random.default_rng(run)
        X = np.column_stack([rng.normal(size=n), np.exp(spread * rng.normal(size=n))])
        cal = DistributionCalibrator().fit(X, X[:, 0] + X[:, 1] * rng.normal(size=n))
        new = np.column_stack([np.zeros(2000), np.exp(spread * rng.normal(size=2000))])
        y = new[:, 1] * rng.normal(size=2000)
        given = predictive_distribution(mean=new[:, 0], std=new[:, 1]).crps(y).mean()
        changes.append(100 * (cal.predict_distribution(new).crps(y).mean() / given - 1))
    assert np.mean(changes) < most


@pytest.mark.parametrize("n", [1, 2, 19])
def test_auto_keeps_the_given_distributions_of_few_rows(n: int) -> None:
    X, y = golden()
    with pytest.warns(SmallCalibrationSetWarning, match=f"{n} calibration rows"):
        cal = DistributionCalibrator().fit(X[:n], y[:n])
    assert cal.kept_identity_
    assert cal.method_ == "identity"
    np.testing.assert_array_equal(cal.weights_, [1, 0, 0])


def test_one_row_repeated_is_no_evidence() -> None:
    X, y = golden()
    with pytest.warns(SmallCalibrationSetWarning, match="1 distinct"):
        DistributionCalibrator().fit(X[:1], y[:1], [50])


@pytest.mark.parametrize("method", ["scale", "t", "isotonic", "residual"])
def test_two_rows_fit_and_one_does_not(method: str) -> None:
    X, y = golden()
    d = DistributionCalibrator(method).fit(X[:2], y[:2]).predict_distribution(X)
    assert np.isfinite(d.quantile(ASKED)).all()
    with pytest.raises(ValueError, match="needs two calibration rows or more"):
        DistributionCalibrator(method).fit(X[:1], y[:1])
    DistributionCalibrator("identity").fit(X[:1], y[:1])


# ---------------------------------------------------------------------- bad inputs

PAIRS = np.column_stack([np.arange(5.0), np.ones(5)])


def changed(array: np.ndarray, place: Any, value: float) -> np.ndarray:
    out = array.copy()
    out[place] = value
    return out


@pytest.mark.parametrize(
    ("X", "options", "text"),
    [
        (changed(PAIRS, (2, 1), 0.0), {}, r"X has a standard .* 0 in row 2.*pass a floor"),
        (changed(PAIRS, (3, 1), -2.0), {}, r"not positive: -2 in row 3, column 1"),
        (changed(PAIRS, (1, 1), np.nan), {}, "X contains NaN or inf: nan in row 1"),
        (changed(PAIRS, (1, 0), np.inf), {}, "X contains NaN or inf: inf in row 1"),
        (PAIRS.T, {}, r"got \(2, 5\): pass np.column_stack\(\[mean, std\]\)"),
        ((PAIRS[:, 0], PAIRS[:, 1]), {}, r"X is a tuple; pass np.column_stack\(\[mean, std\]\)"),
        (PAIRS[:, 0], {}, r"X must have shape \(n_samples, 2\); got \(5,\)"),
        (np.empty((0, 2)), {}, "0 samples"),
        (PAIRS[:, :1], {"input": "samples"}, "point forecast.*ConformalPredictiveSystem"),
        (PAIRS[:, :1], {"input": "quantiles", "levels": [0.5]}, "point forecast"),
        (PAIRS, {"input": "quantiles"}, "levels must ascend.*got None"),
        (PAIRS, {"input": "quantiles", "levels": [0.9, 0.1]}, "levels must ascend"),
        (PAIRS, {"input": "quantiles", "levels": [0.5, 1.0]}, "levels must ascend"),
        (PAIRS, {"input": "quantiles", "levels": [5, 95]}, "divide by 100"),
        (PAIRS, {"input": "quantiles", "levels": [0.1, 0.5, 0.9]}, "3 entries but X has 2"),
        (PAIRS, {"input": "quantiles", "levels": [0.1, np.nan]}, "levels must ascend"),
        (PAIRS, {"levels": [0.1, 0.9]}, "levels belong to input='quantiles'"),
        (PAIRS, {"input": "normals"}, "input must be one of"),
        (PAIRS, {"method": "isotone"}, "method must be one of.*isotonic"),
        (PAIRS, {"cv": 1}, "cv must be >= 2"),
        (PAIRS, {"random_state": -1, "method": "auto"}, "random_state must be >= 0"),
        (PAIRS.astype(str), {}, "must hold numbers"),
    ],
)
def test_bad_distributions_and_options(X: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DistributionCalibrator(**options).fit(X, np.arange(5.0))


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (np.array([0.0, np.nan, 2, 3, 4]), "y"),
        (np.array([0.0, np.inf, 2, 3, 4]), "y"),
        (np.ones((5, 2)), r"y has 2 outputs, shape \(5, 2\); fit one calibrator per output"),
        (np.ones(4), "X has 5 samples but y has 4"),
        (None, "y"),
        (np.array(["a"] * 5), "y must hold numbers"),
    ],
)
def test_bad_labels(y: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DistributionCalibrator("scale").fit(PAIRS, y)


def test_bad_weights() -> None:
    with pytest.raises(ValueError, match="zero for every sample"):
        DistributionCalibrator("scale").fit(PAIRS, np.arange(5.0), np.zeros(5))
    with pytest.raises(ValueError, match=r"sum of weights of 0\.5"):
        DistributionCalibrator("t").fit(PAIRS, np.arange(5.0), np.full(5, 0.1))


def test_rows_without_weight_are_not_there() -> None:
    X, y = golden()
    weight = np.ones(500)
    weight[:7] = 0
    a = DistributionCalibrator("auto").fit(X, y, weight)
    b = DistributionCalibrator("auto").fit(X[7:], y[7:])
    np.testing.assert_array_equal(quantiles(a, X), quantiles(b, X))


def test_crossing_quantiles_are_sorted_with_their_number() -> None:
    X, y, options = sharp("quantiles")
    turned = X.copy()
    turned[3] = turned[3, ::-1]
    turned[5] = turned[5, ::-1]
    with pytest.warns(CrossingQuantilesWarning, match="cross in 2 of 300 rows, first in row 3"):
        a = DistributionCalibrator("scale", **options).fit(turned, y)
    assert a.scale_ == DistributionCalibrator("scale", **options).fit(X, y).scale_


def test_predictions_are_checked_like_fits() -> None:
    X, y = golden()
    cal = DistributionCalibrator("scale")
    with pytest.raises(NotFittedError):
        cal.predict_distribution(X)
    cal.fit(X, y)
    with pytest.raises(ValueError, match="not positive"):
        cal.predict_distribution([[0.0, 0.0]])
    wide = DistributionCalibrator("t", input="samples").fit(np.column_stack([X, X]), y)
    with pytest.raises(ValueError, match="features"):
        wide.predict_distribution(X)


# ---------------------------------------------------------------------- scikit-learn and files


def test_clone_pickle_and_search() -> None:
    X, y, options = sharp("normal")
    cal = clone(DistributionCalibrator("auto", **options)).fit(X, y)
    same = pickle.loads(pickle.dumps(cal))
    np.testing.assert_array_equal(quantiles(same, X), quantiles(cal, X))

    def score(model: DistributionCalibrator, X: np.ndarray, y: np.ndarray) -> float:
        return -float(model.predict_distribution(X).crps(y).mean())

    grid = {"method": ["identity", "scale", "residual"]}
    search = GridSearchCV(DistributionCalibrator(), grid, scoring=score, cv=3).fit(X, y)
    assert search.best_params_["method"] != "identity"
    np.testing.assert_array_equal(cal.predict(X), cal.predict_distribution(X).median())


def test_tables_keep_their_columns() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = golden()
    table = pandas.DataFrame(X, columns=["mean", "std"])
    cal = DistributionCalibrator("scale").fit(table, y)
    np.testing.assert_array_equal(cal.predict_distribution(table).std(), cal.scale_ * X[:, 1])
    with pytest.raises(ValueError, match="feature names"):
        cal.predict_distribution(table[["std", "mean"]])


def test_large_sets_are_answered_in_blocks() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=30_000), np.ones(30_000)])
    y = X[:, 0] + rng.normal(size=30_000)
    d = DistributionCalibrator("isotonic").fit(X, y).predict_distribution(X)
    rows = [0, 17_000, 29_999]
    np.testing.assert_array_equal(d.crps(y)[rows], d[rows].crps(y[rows]))
    np.testing.assert_array_equal(
        d.quantile(np.arange(1, 100) / 100)[rows], d[rows].quantile(np.arange(1, 100) / 100)
    )


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("method", [*METHODS, "identity"])
def test_files_answer_bit_for_bit(method: str, kind: str, tmp_path: Path) -> None:
    X, y, options = sharp(kind)
    cal = DistributionCalibrator(method, **options).fit(X, y)
    same = load(save(cal, tmp_path / "cal.json"))
    assert isinstance(same, DistributionCalibrator)
    np.testing.assert_array_equal(quantiles(same, X), quantiles(cal, X))
    assert same.n_calibration_ == cal.n_calibration_
    assert save(same, tmp_path / "again.json").read_text() == (tmp_path / "cal.json").read_text()


def test_files_of_another_version_are_refused(tmp_path: Path) -> None:
    X, y = golden()
    path = save(DistributionCalibrator("t").fit(X, y), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(ValueError, match="has format 99, this version reads up to"):
        load(path)


def test_an_unfitted_calibrator_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save(DistributionCalibrator(), tmp_path / "cal.json")


@pytest.mark.parametrize(
    ("method", "edit", "text"),
    [
        ("scale", ("scale", -1.0), "scale must be a finite number > 0"),
        ("scale", ("scale", 0.0), "scale must be a finite number > 0"),
        ("scale", ("df", 3.0), "df must be null"),
        ("scale", ("weights", [1, 0, 0]), "weights of 'scale' must be"),
        ("t", ("df", 1.5), r"df must lie in \(2, 1e6\]"),
        ("t", ("df", None), "df must be a number"),
        ("auto", ("weights", [0.5, 0.2, 0.1]), "weights must sum to 1"),
        ("auto", ("weights", [2.0, -1.0, 0.0]), "three numbers >= 0"),
        ("auto", ("residual", None), "residual must be a table"),
        ("isotonic", ("table", None), "table must be a table"),
        ("isotonic", ("method", "scale"), "method must be one of 'isotonic', 'identity'"),
        ("isotonic", ("n_features", 3), "2 columns"),
        ("isotonic", ("n_calibration", 0), "n_calibration must be >= 1"),
    ],
)
def test_each_number_of_a_file_is_held_against_its_rule(
    method: str, edit: tuple[str, Any], text: str, tmp_path: Path
) -> None:
    X, y, _ = sharp("normal")
    path = save(DistributionCalibrator(method).fit(X, y), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    document["fitted"][edit[0]] = edit[1]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=text):
        load(path)


NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 5e-324, 1e17, -1e300, 1.7e308, 7, -(2**62), 10**400, True,
    None, "0.5", [0.5], {},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_changed_file_is_refused_or_gives_distributions(
    method: str, kind: str, tmp_path: Path
) -> None:
    X, y, options = sharp(kind, 60)
    path = save(DistributionCalibrator(method, **options).fit(X, y), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    rng = np.random.default_rng(sum(map(ord, method + kind)))
    n_refused = 0
    for _ in range(60):
        new = copy.deepcopy(document)
        everywhere = list(places(new))
        *keys, last = everywhere[rng.integers(len(everywhere))]
        inner: Any = new
        for key in keys:
            inner = inner[key]
        if rng.random() < 0.2 and isinstance(inner, dict):
            del inner[last]
        else:
            inner[last] = NUMBERS[rng.integers(len(NUMBERS))]
        path.write_text(json.dumps(new))
        try:
            cal = load(path)
        except ValueError as error:
            if not str(error).startswith("cal.json is not a"):
                raise
            n_refused += 1
            continue
        vars(cal).pop("feature_names_in_", None)
        with np.errstate(over="ignore"):
            quantile = quantiles(cal, X)
        assert not np.isnan(quantile).any()
        assert (quantile[:, 1:] >= quantile[:, :-1]).all()
    assert n_refused > 0


# ---------------------------------------------------------------------- modules


@pytest.mark.parametrize("method", [*METHODS, "identity"])
def test_modules_give_the_same_quantiles(method: str) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    X, y, _ = sharp("normal")
    cal = DistributionCalibrator(method).fit(X, y)
    module = to_torch(cal, levels=[0.05, 0.5, 0.95])
    got = module(torch.as_tensor(X))
    wanted = cal.predict_distribution(X).quantile([0.05, 0.5, 0.95])
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-9, atol=1e-9)
    single = module(torch.as_tensor(X, dtype=torch.float32))
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), wanted, rtol=1e-4, atol=1e-4)
    torch.export.export(module, (torch.as_tensor(X),))


@pytest.mark.parametrize("method", ["scale", "t", "isotonic", "identity"])
def test_modules_give_mean_and_standard_deviation(method: str) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    X, y, _ = sharp("normal")
    cal = DistributionCalibrator(method).fit(X, y)
    mean, std = to_torch(cal)(torch.as_tensor(X)).numpy().T
    d = cal.predict_distribution(X)
    np.testing.assert_allclose(mean, d.mean(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(std, d.std(), rtol=1e-9)


def test_modules_that_there_are_not() -> None:
    pytest.importorskip("torch")
    from calib import TemperatureCalibrator
    from calib.export import to_torch

    X, y, options = sharp("quantiles")
    with pytest.raises(TypeError, match=r"input='quantiles'.*input='normal'"):
        to_torch(DistributionCalibrator("t", **options).fit(X, y), levels=[0.5])
    X, y, _ = sharp("normal")
    cal = DistributionCalibrator("auto").fit(X, y)
    with pytest.raises(TypeError, match="pass levels"):
        to_torch(cal)
    with pytest.raises(ValueError, match=r"levels must lie in \(0, 1\)"):
        to_torch(cal, levels=[0.5, 1.0])
    with pytest.raises(TypeError, match="class_dim"):
        to_torch(cal, class_dim=1, levels=[0.5])
    with pytest.raises(NotFittedError):
        to_torch(DistributionCalibrator())
    binary = TemperatureCalibrator(input="logits").fit([-2.0, 1.0, -1.0, 3.0], [0, 1, 1, 1])
    with pytest.raises(TypeError, match="levels"):
        to_torch(binary, levels=[0.5])


# ---------------------------------------------------------------------- given ones


def test_given_distributions_are_scored_as_they_are() -> None:
    d = predictive_distribution(samples=[[7.0, 1, 4, 2], [0, 0, 1, 1]])
    np.testing.assert_allclose(d.crps([3.0, 0.5]), [0.75, 0.25])
    fair = predictive_distribution(samples=[[7.0, 1, 4, 2]], fair=True)
    assert fair.crps([3.0])[0] == pytest.approx(1 / 3)
    q = predictive_distribution(quantiles=[[1.0, 2, 4, 7]], levels=[0.1, 0.3, 0.7, 0.9])
    np.testing.assert_allclose(q.quantile([0.1, 0.3, 0.7, 0.9]), [[1, 2, 4, 7]])
    assert isinstance(q, PredictiveDistribution)


def test_fair_scores_of_few_draws_are_unbiased() -> None:
    rng = np.random.default_rng(0)
    draws, y = rng.normal(size=(40_000, 5)), rng.normal(size=40_000)
    truth = 1 / np.sqrt(np.pi)
    assert predictive_distribution(samples=draws, fair=True).crps(y).mean() == pytest.approx(
        truth, abs=0.01
    )
    assert predictive_distribution(samples=draws).crps(y).mean() == pytest.approx(0.677, abs=0.01)
    pit = predictive_distribution(samples=draws, fair=True).pit(y, 0)
    assert kstest(pit, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, r"pass mean and std.*got \[\]"),
        ({"mean": [0.0]}, r"got \['mean'\]"),
        ({"mean": [0.0], "std": [1.0], "samples": [[1.0, 2]]}, "pass mean and std"),
        ({"quantiles": [[1.0, 2]]}, "levels must ascend.*got None"),
        ({"mean": [0.0, 1], "std": [1.0, 0]}, "std has a value that is not positive: 0 in row 1"),
        ({"mean": [0.0, 1], "std": [1.0]}, "mean has 2 samples but std has 1"),
        ({"samples": [[1.0], [2.0]]}, "point forecast"),
        ({"samples": [1.0, 2.0]}, r"must have shape \(n_samples, n_samples\)|must have shape"),
        ({"mean": [0.0], "std": [1.0], "fair": True}, "fair is a way to score samples"),
        ({"samples": [[1.0, np.nan]]}, "samples contains NaN"),
    ],
)
def test_bad_given_distributions(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        predictive_distribution(**given)


def test_documents_are_plain_values() -> None:
    X, y = golden()
    contents = DistributionCalibrator("auto").fit(X, y).to_contents()
    assert json.loads(json.dumps(copy.deepcopy(contents))) == contents
