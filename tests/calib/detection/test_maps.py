"""Maps of detectors: closed forms, brute force, stationarity, and the calibrator contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from calib import CALIBRATORS, PlattCalibrator, TemperatureCalibrator, load, save
from calib.detection import (
    DETECTION_MAPS,
    DependentLogisticCalibrator,
    GridHistogramCalibrator,
    IdentityCalibrator,
    LinearCalibrator,
)
from calib.grouped.glm import Prior, fit_groups
from calib.grouped.map_table import make_map, map_names, stored_class, stored_name
from calib.grouped.maps import log_odds, monomials

WITH_FEATURES = ["histogram", "grid_histogram", "dependent_logistic"]


def sample(n: int = 400, n_features: int = 0, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.random((n, 1 + n_features))
    t = np.clip(0.2 + 0.5 * X[:, 0] + 0.1 * X[:, -1] + rng.normal(0, 0.15, n), 0, 1)
    return X, t


# ---------------------------------------------------------------------- linear


def test_linear_is_least_squares() -> None:
    X, t = sample()
    w = np.random.default_rng(1).random(400)
    cal = LinearCalibrator().fit(X, t, sample_weight=w)
    slope, intercept = np.polyfit(X[:, 0], t, 1, w=np.sqrt(w))
    np.testing.assert_allclose([cal.slope_, cal.intercept_], [slope, intercept], rtol=1e-10)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_linear_never_falls_and_stays_in_the_unit_interval() -> None:
    p = np.linspace(0, 1, 50)
    flat = LinearCalibrator().fit(p, 1 - p)
    assert flat.slope_ == 0
    np.testing.assert_allclose(flat.transform(p)[:, 1], 0.5)
    steep = LinearCalibrator().fit([0.4, 0.6], [0.0, 1.0])
    np.testing.assert_allclose(steep.transform([0.0, 0.5, 1.0])[:, 1], [0, 0.5, 1], atol=1e-12)


# ---------------------------------------------------------------------- histogram


@pytest.mark.parametrize(("n_features", "n_bins"), [(0, 15), (2, 5), (4, 3)])
def test_histogram_is_the_mean_of_each_cell(n_features: int, n_bins: int) -> None:
    X, t = sample(300, n_features)
    cal = GridHistogramCalibrator().fit(X, t)
    assert cal.values_.shape == (n_bins,) * (1 + n_features)
    cells = [tuple(min(int(x * n_bins), n_bins - 1) for x in row) for row in X]
    for cell in np.ndindex(cal.values_.shape):
        inside = [i for i, one in enumerate(cells) if one == cell]
        expected = t[inside].mean() if inside else (cell[0] + 0.5) / n_bins
        assert cal.values_[cell] == pytest.approx(expected)
    mapped = cal.transform(X)[:, 1]
    np.testing.assert_allclose(mapped, [cal.values_[cell] for cell in cells])


def test_histogram_takes_features_outside_the_image_into_the_outer_cells() -> None:
    X = np.array([[0.6, -0.3], [0.7, 1.7]])
    cal = GridHistogramCalibrator(n_bins=2).fit(X, [0.2, 0.8])
    np.testing.assert_array_equal(cal.transform([[0.6, 0.0], [0.7, 1.0]])[:, 1], [0.2, 0.8])


@pytest.mark.parametrize(("n_bins", "match"), [(0, "n_bins"), (2.5, "n_bins"), (2000, "cells")])
def test_histogram_refuses(n_bins: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        GridHistogramCalibrator(n_bins=n_bins).fit(*sample(20, 1))


# ---------------------------------------------------------------------- dependent logistic


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_dependent_logistic_is_stationary(penalty: float) -> None:
    X, t = sample(500, 4)
    cal = DependentLogisticCalibrator(penalty=penalty).fit(X, t)
    assert cal.coefficients_.shape == (21,)
    columns = np.column_stack([log_odds(X[:, 0]), X[:, 1:]])
    design = monomials((columns - cal.centre_) / cal.scale_, np)
    ridge = penalty * cal.coefficients_
    ridge[:2] = 0
    slope = design.T @ (cal.transform(X)[:, 1] - t) + ridge
    np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_dependent_logistic_recovers_a_quadratic_of_score_and_position() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((200_000, 2)) * [0.8, 1.0] + [0.1, 0.0]
    z = log_odds(X[:, 0])
    true = 1 / (1 + np.exp(-(0.3 + 0.7 * z - 2 * X[:, 1] ** 2 + z * X[:, 1])))
    cal = DependentLogisticCalibrator().fit(X, (rng.random(len(X)) < true).astype(int))
    assert np.abs(cal.transform(X)[:, 1] - true).mean() < 0.005


@pytest.mark.parametrize("penalty", [-1.0, np.inf, "strong", True])
def test_dependent_logistic_refuses(penalty: Any) -> None:
    with pytest.raises(ValueError, match="penalty"):
        DependentLogisticCalibrator(penalty=penalty).fit(*sample(20))


# ---------------------------------------------------------------------- the contract


@pytest.mark.parametrize("name", DETECTION_MAPS)
@pytest.mark.parametrize("n_features", [0, 1, 2])
def test_contract(name: str, n_features: int, tmp_path: Path) -> None:
    X, t = sample(200, n_features)
    cal = clone(DETECTION_MAPS[name]())
    if n_features and name not in WITH_FEATURES:
        with pytest.raises(ValueError, match="reads one column of scores"):
            cal.fit(X, t)
        return
    cal.fit(X, t)
    proba = cal.transform(X)
    assert proba.shape == (200, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert proba.min() >= 0
    single = cal.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    if "histogram" not in name:  # where rounding moves scores over an edge
        np.testing.assert_allclose(single, proba, atol=1e-4)
    same = load(save(cal, tmp_path / "cal.json"))
    assert type(same) is type(cal)
    assert same.transform(X).tobytes() == proba.tobytes()
    weighted = clone(cal).fit(X, t, sample_weight=np.arange(200) % 3)
    repeated = clone(cal).fit(*(np.repeat(a, np.arange(200) % 3, axis=0) for a in (X, t)))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-8)
    pairs = clone(cal).fit(
        np.concatenate([X, X]), np.repeat([1, 0], 200), sample_weight=np.concatenate([t, 1 - t])
    )
    np.testing.assert_allclose(pairs.transform(X), proba, atol=1e-7)


@pytest.mark.parametrize("name", DETECTION_MAPS)
@pytest.mark.parametrize("n_features", [0, 1])
def test_logits_and_probabilities_give_the_same_map(name: str, n_features: int) -> None:
    if n_features and name not in WITH_FEATURES:
        return
    X, t = sample(200, n_features)
    Z = X.copy()
    Z[:, 0] = log_odds(X[:, 0])
    expected = DETECTION_MAPS[name]().fit(X, t).transform(X)
    np.testing.assert_allclose(
        DETECTION_MAPS[name](input="logits").fit(Z, t).transform(Z), expected, atol=1e-6
    )


@pytest.mark.parametrize("name", DETECTION_MAPS)
@pytest.mark.parametrize("n_features", [0, 1])
def test_tensors_and_modules(name: str, n_features: int) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    if n_features and name not in WITH_FEATURES:
        return
    X, t = sample(200, n_features)
    cal = DETECTION_MAPS[name]().fit(X, t)
    expected = cal.transform(X)
    np.testing.assert_allclose(cal.transform(torch.tensor(X)).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(to_torch(cal)(torch.tensor(X)).numpy(), expected, atol=1e-12)


def test_saturated_scores_do_not_dominate() -> None:
    p = np.concatenate([np.linspace(0.1, 0.9, 200), [1.0]])
    t = np.concatenate([np.linspace(0.1, 0.7, 200), [0.0]])
    cal = DependentLogisticCalibrator().fit(p, t)
    assert np.isfinite(cal.coefficients_).all()
    assert np.isfinite(cal.transform([0.0, 1.0])).all()


# ---------------------------------------------------------------------- regressions in groups


@pytest.mark.parametrize("link", ["logistic", "identity"])
def test_groups_are_fitted_as_if_alone(link: Any) -> None:
    rng = np.random.default_rng(0)
    sizes = [1, 5, 30, 400]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    design = np.column_stack([np.ones(sum(sizes)), rng.normal(size=sum(sizes))])
    t, w = rng.random((2, sum(sizes)))
    prior = Prior(np.array([0.3, 0.8]), np.array([20.0, 5.0]))
    together, converged = fit_groups(design, t, starts, prior, link, weight=w)
    assert converged.all()
    for g, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        rows = slice(start, start + size)
        alone, _ = fit_groups(design[rows], t[rows], np.array([0]), prior, link, weight=w[rows])
        np.testing.assert_allclose(together[g], alone[0], atol=1e-8)
        eta = design[rows] @ together[g]
        mean = 1 / (1 + np.exp(-eta)) if link == "logistic" else eta
        slope = design[rows].T @ (w[rows] * (mean - t[rows]))
        slope += prior.precision * (together[g] - prior.centre)
        np.testing.assert_allclose(slope, 0, atol=1e-6)


@pytest.mark.parametrize("link", ["logistic", "identity"])
def test_a_falling_slope_is_held_at_zero(link: Any) -> None:
    x = np.linspace(-2, 2, 60)
    design = np.column_stack([np.ones(60), x])
    t = np.concatenate([0.5 - 0.2 * x[:30], 0.5 + 0.2 * x[30:]])
    prior = Prior(np.array([0.0, 0.0]), np.array([1e-9, 1e-9]))
    found, _ = fit_groups(design, t, np.array([0, 30]), prior, link, increasing=1)
    assert found[0, 1] == 0
    assert found[1, 1] > 0
    mean = t[:30].mean()
    assert found[0, 0] == pytest.approx(np.log(mean / (1 - mean)) if link == "logistic" else mean)


# ---------------------------------------------------------------------- the table of names


def test_names() -> None:
    names = map_names()
    assert names[:4] == ["identity", "linear", "histogram", "dependent_logistic"]
    assert set(names) == {*DETECTION_MAPS, *CALIBRATORS}
    for name in DETECTION_MAPS:
        stored = stored_name(DETECTION_MAPS[name]())
        assert stored == f"detection.{name.removeprefix('grid_')}"
        assert stored_class(stored) is DETECTION_MAPS[name]
    assert DETECTION_MAPS["grid_histogram"] is DETECTION_MAPS["histogram"]
    assert stored_name(PlattCalibrator()) == "platt"
    assert stored_class("platt") is PlattCalibrator
    assert stored_name(object()) is None
    for name in ("linear", "detection.platt", "os.system"):
        with pytest.raises(ValueError, match="unknown calibrator"):
            stored_class(name)


def test_make_map() -> None:
    given_map = TemperatureCalibrator(input="logits", smoothing=False)
    made = make_map(given_map, 0)
    assert made is not given_map
    assert made.get_params() == {"input": "proba", "smoothing": False, "smooth_input": "auto"}
    assert make_map("temperature", 0).get_params()["smooth_input"] is False
    assert make_map("split_point", 2).get_params()["n_scores"] == 1
    with pytest.raises(ValueError, match="known names: identity, linear"):
        make_map("plat", 0)
    with pytest.raises(ValueError, match="instance of BaseCalibrator"):
        make_map(3, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="PlattCalibrator reads scores alone"):
        make_map("platt", 2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 10**6))
def test_identity_and_linear_are_monotone(scores: list[float], seed: int) -> None:
    p = np.sort(np.array(scores))
    t = np.random.default_rng(seed).random(len(p))
    np.testing.assert_allclose(IdentityCalibrator().fit([0, 1], [0, 1]).transform(p)[:, 1], p)
    if p[0] < p[-1]:
        q = LinearCalibrator().fit(p, t).transform(p)[:, 1]
        assert (np.diff(q) >= -1e-12).all()
        assert q.min() >= 0
        assert q.max() <= 1
