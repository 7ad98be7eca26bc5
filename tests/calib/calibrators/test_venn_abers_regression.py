"""Venn-ABERS for numbers: oracle table I, bounds, distribution, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from calib import VennAbersRegressor

S = [0.125, 0.25, 0.25, 0.5, 0.5, 0.75]
Y = [1.0, 2.0, 0.0, 3.0, 5.0, 4.0]


def test_oracle_table_i() -> None:
    cal = VennAbersRegressor(bounds=(0, 5)).fit(S, Y)
    interval = cal.predict_interval([0, 0.125, 0.2, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9])
    low = [0, 1 / 2, 1 / 2, 3 / 4, 3 / 4, 8 / 3, 8 / 3, 3, 3]
    high = [2, 2, 7 / 3, 7 / 3, 17 / 4, 17 / 4, 9 / 2, 9 / 2, 5]
    np.testing.assert_allclose(interval, np.stack([low, high], axis=1), atol=1e-12)


def test_binary_labels_give_the_brier_merge() -> None:
    from calib import VennAbersCalibrator

    rng = np.random.default_rng(0)
    s = rng.normal(size=200)
    y = (rng.random(200) < 1 / (1 + np.exp(-s))).astype(int)
    brier = VennAbersCalibrator(input="logits", merge="brier").fit(s, y)
    number = VennAbersRegressor(bounds=(0, 1)).fit(s, y)
    np.testing.assert_allclose(number.predict(s), brier.transform(s)[:, 1], atol=1e-12)


def test_shifted_and_scaled_labels() -> None:
    plain = VennAbersRegressor(bounds=(0, 5)).fit(S, Y)
    moved = VennAbersRegressor(bounds=(-3, 7)).fit(S, 2 * np.array(Y) - 3)
    at = np.linspace(0, 1, 21)
    np.testing.assert_allclose(moved.predict(at), 2 * plain.predict(at) - 3, atol=1e-12)
    low, high = plain.predict_interval(at).T
    assert ((low <= plain.predict(at)) & (plain.predict(at) <= high)).all()
    middle = VennAbersRegressor(bounds=(0, 5), point="midpoint").fit(S, Y)
    np.testing.assert_allclose(middle.predict(at), (low + high) / 2)


def test_unknown_bounds_are_order_statistics() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=100)
    y = s + rng.normal(size=100)
    cal = VennAbersRegressor(order=3).fit(s, y)
    ordered = np.sort(y)
    assert cal.bounds_ == (ordered[2], ordered[-3])
    interval = cal.predict_interval(s)
    assert interval.min() >= ordered[2]
    assert interval.max() <= ordered[-3]
    constant = VennAbersRegressor().fit(s, np.full(100, 2.5))
    np.testing.assert_array_equal(constant.predict(s), 2.5)


def test_weights_equal_repetition() -> None:
    rng = np.random.default_rng(0)
    s, y, w = rng.normal(size=50), rng.normal(size=50), rng.integers(0, 3, 50)
    weighted = VennAbersRegressor(bounds=(-9, 9)).fit(s, y, sample_weight=w)
    repeated = VennAbersRegressor(bounds=(-9, 9)).fit(np.repeat(s, w), np.repeat(y, w))
    np.testing.assert_allclose(
        weighted.predict_interval(s), repeated.predict_interval(s), atol=1e-12
    )


def test_distribution_function() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=400)
    y = s + 0.5 * rng.normal(size=400)
    cal = VennAbersRegressor(thresholds=[1.0, -1.0, 0.0]).fit(s, y)
    np.testing.assert_array_equal(cal.thresholds_, [-1, 0, 1])
    cdf = cal.predict_cdf(s)
    assert cdf.shape == (400, 3, 2)
    assert (np.diff(cdf, axis=1) >= 0).all()
    assert (cdf[..., 0] <= cdf[..., 1]).all()
    for k, t in enumerate((-1, 0, 1)):
        low, high = cdf[:, k].mean(axis=0)
        assert low - 0.02 < (y <= t).mean() < high + 0.02
    high_scores = cal.predict_cdf([3.0])[0]
    low_scores = cal.predict_cdf([-3.0])[0]
    assert (high_scores <= low_scores).all()


def test_parameters_and_bad_input() -> None:
    cal = VennAbersRegressor(bounds=(0, 5))
    assert clone(cal).get_params() == cal.get_params()
    with pytest.raises(NotFittedError):
        cal.predict(S)
    for options, arguments, message in (
        ({"bounds": (0, 4)}, (S, Y), r"y has values outside bounds \(0.0, 4.0\)"),
        ({"bounds": (5, 0)}, (S, Y), "bounds must be finite and ascending"),
        ({"bounds": 3}, (S, Y), "bounds must be two numbers"),
        ({"order": 4}, (S, Y), "order=4 needs at least 8 labels"),
        ({"order": 0}, (S, Y), "order must be >= 1"),
        ({"point": "mean"}, (S, Y), "point must be one of"),
        ({"thresholds": [np.nan]}, (S, Y), "thresholds must be finite"),
        ({}, (S, Y[:-1]), "X has 6 samples but y has 5"),
        ({}, (S, [np.nan, *Y[1:]]), "y contains NaN"),
        ({}, (S, list("abcdef")), "y must hold numbers"),
        ({}, (np.eye(6), Y), "X must hold one prediction per sample"),
        ({}, ([np.inf, *S[1:]], Y), "X contains NaN or inf"),
        ({}, ([], []), "X has 0 samples"),
    ):
        with pytest.raises(ValueError, match=message):
            VennAbersRegressor(**options).fit(*arguments)
    with pytest.raises(ValueError, match="thresholds is None"):
        cal.fit(S, Y).predict_cdf(S)
