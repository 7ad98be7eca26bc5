"""Maps of detectors: closed forms, brute force, stationarity, and the calibrator contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.base import clone

from calib import load, save
from calib.detection import (
    DETECTION_MAPS,
    DependentLogisticCalibrator,
    GridHistogramCalibrator,
    IdentityCalibrator,
    LinearCalibrator,
)
from tests.support.fractions import sample

WITH_FEATURES = ["grid_histogram", "dependent_logistic"]


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


def test_dependent_logistic_recovers_a_quadratic_of_score_and_position() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((200_000, 2)) * [0.8, 1.0] + [0.1, 0.0]
    z = np.log(X[:, 0]) - np.log(1 - X[:, 0])
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
    Z[:, 0] = np.log(X[:, 0]) - np.log(1 - X[:, 0])
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


# ---------------------------------------------------------------------- the table of names


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 10**6))
def test_identity_and_linear_are_monotone(scores: list[float], seed: int) -> None:
    p = np.sort(np.array(scores))
    t = np.random.default_rng(seed).random(len(p))
    np.testing.assert_allclose(IdentityCalibrator().fit([0, 1], [0, 1]).transform(p)[:, 1], p)
    if p[0] < p[-1] and not np.isin(p, [0, 1]).all():  # beside fractions those are labels
        q = LinearCalibrator().fit(p, t).transform(p)[:, 1]
        assert (np.diff(q) >= -1e-12).all()
        assert q.min() >= 0
        assert q.max() <= 1
