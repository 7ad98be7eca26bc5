"""Likelihood ratios: a known truth, out-of-fold values, use in sets, warnings, bad input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from uq import ConformalClassifier, EffectiveSampleSizeWarning, LikelihoodRatio


def test_known_ratio_of_two_normals() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(6000, 2)), rng.normal([1.0, 0.0], size=(3000, 2))
    fitted = LikelihoodRatio(random_state=0).fit(old, new)
    truth = np.exp(old[:, 0] - 0.5)
    inner = np.abs(old[:, 0]) < 2
    error = np.log(fitted.calibration_ratio_ / truth)[inner]
    assert np.abs(error).mean() < 0.1
    assert fitted.calibration_ratio_.mean() == pytest.approx(1, abs=0.1)
    assert fitted.effective_sample_size_ == pytest.approx(6000 / np.exp(1), rel=0.25)
    np.testing.assert_allclose(fitted.ratio(old), fitted.calibration_ratio_, rtol=0.3)
    again = clone(fitted).fit(old, new)
    np.testing.assert_array_equal(again.new_ratio_, fitted.new_ratio_)


def test_same_distribution_gives_ones() -> None:
    rng = np.random.default_rng(1)
    fitted = LikelihoodRatio(random_state=0).fit(
        rng.normal(size=(4000, 3)), rng.normal(size=(4000, 3))
    )
    assert np.abs(np.log(fitted.calibration_ratio_)).max() < 0.3
    assert fitted.n_limited_ == 0


def shifted(rng: np.random.Generator, n: int, centre: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.column_stack([rng.normal(centre, 1, n), rng.normal(size=n)])
    slope = np.where(x[:, 0] > 0.5, -0.5, 3.0)  # the model is wrong to the right
    return x, (rng.random(n) < 1 / (1 + np.exp(-slope * x[:, 1]))).astype(int)


def test_estimated_ratios_restore_coverage() -> None:
    rng = np.random.default_rng(3)
    X, y = shifted(rng, 1000, 0.0)
    model = FrozenEstimator(LogisticRegression().fit(X[:, 1:], y))
    cal, y_cal = shifted(rng, 3000, 0.0)
    new, y_new = shifted(rng, 6000, 1.5)
    ratios = LikelihoodRatio(random_state=0).fit(cal, new)
    plain = ConformalClassifier(model).fit(cal[:, 1:], y_cal).predict_set(new[:, 1:], 0.8)
    weighted = ConformalClassifier(model).fit(
        cal[:, 1:], y_cal, likelihood_ratio=ratios.calibration_ratio_
    )
    sets = weighted.predict_set(new[:, 1:], 0.8, likelihood_ratio=ratios.new_ratio_)
    rows = np.arange(6000)
    assert plain[rows, y_new].mean() < 0.75
    assert 0.77 < sets[rows, y_new].mean() < 0.87


def test_far_apart_is_limited_and_warned() -> None:
    rng = np.random.default_rng(2)
    old, new = rng.normal(size=(500, 1)), rng.normal(6, 1, size=(500, 1))
    with pytest.warns(EffectiveSampleSizeWarning, match="effective sample size"):
        fitted = LikelihoodRatio(max_ratio=1e6, random_state=0).fit(old, new)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EffectiveSampleSizeWarning)
        limited = LikelihoodRatio(max_ratio=10, random_state=0).fit(old, new)
    assert limited.n_limited_ > 900 > 500
    assert limited.ratio(new).max() == 10
    assert fitted.effective_sample_size_ < 30


@pytest.mark.parametrize(
    ("options", "X", "X_new", "message"),
    [
        ({"cv": 1}, [[1.0]] * 9, [[2.0]] * 9, "cv must be"),
        ({"max_ratio": 1}, [[1.0]] * 9, [[2.0]] * 9, "max_ratio must be"),
        ({}, [[1.0]] * 9, [[2.0, 3.0]] * 9, "columns"),
        ({}, [[1.0]] * 9, [[2.0]] * 3, "as many samples"),
        ({}, [[np.nan]] * 9, [[2.0]] * 9, "X contains NaN"),
        ({}, [[1.0]] * 9, [[np.inf]] * 9, "X_new contains NaN or inf"),
        ({}, [], [[1.0]], "0 samples"),
    ],
)
def test_bad_input(options: dict[str, Any], X: Any, X_new: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LikelihoodRatio(**options).fit(X, X_new)
