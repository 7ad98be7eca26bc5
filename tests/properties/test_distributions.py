"""Predicted distributions: inverse, monotone, rows on their own, weights as repetition."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given, settings, strategies as st

from calib import CalibWarning, DistributionCalibrator
from calib.evaluation import PredictiveDistribution

METHODS = ("identity", "scale", "t", "isotonic", "residual", "auto")
KINDS = ("normal", "quantiles", "samples")
seeds = st.integers(0, 2**31 - 1)


def drawn(
    seed: int, kind: str, rounded: bool, n: int
) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Distributions with labels; rounded ones have ties of members and labels."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(scale=2, size=n), np.exp(rng.normal(scale=0.5, size=n))
    y = mean + rng.choice([0.5, 1, 3]) * std * rng.standard_t(3, n)
    if kind == "normal":
        return np.column_stack([mean, std]), np.round(y) if rounded else y, {"input": kind}
    q = int(rng.integers(2, 15))
    X = np.sort(mean[:, None] + std[:, None] * rng.normal(size=(n, q)), axis=1)
    levels = np.sort(rng.choice(np.arange(1, 100), q, replace=False)) / 100
    options = {"input": kind, "levels": levels if kind == "quantiles" else None}
    return (np.round(X), np.round(y), options) if rounded else (X, y, options)


def fitted(method: str, options: dict[str, object], *rows: object) -> DistributionCalibrator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibWarning)
        return DistributionCalibrator(method, **options).fit(*rows)


def recalibrated(
    method: str, kind: str, rounded: bool, seed: int
) -> tuple[PredictiveDistribution, np.ndarray]:
    X, y, options = drawn(seed, kind, rounded, 45)
    return fitted(method, options, X, y).predict_distribution(X), y


any_law = (st.sampled_from(METHODS), st.sampled_from(KINDS), st.booleans(), seeds)


@settings(max_examples=60, deadline=None)
@given(*any_law)
def test_quantile_and_cdf_ascend_and_are_inverse(
    method: str, kind: str, rounded: bool, seed: int
) -> None:
    d, y = recalibrated(method, kind, rounded, seed)
    levels = np.sort(np.random.default_rng(seed).random(9)) * 0.998 + 0.001
    quantile = d.quantile(levels)
    assert np.isfinite(quantile).all()
    assert (np.diff(quantile, axis=1) >= -1e-12 * (1 + np.abs(quantile[:, 1:]))).all()
    size = 1e-9 * (1 + np.abs(quantile))
    assert (d.cdf(quantile + size) >= levels - 1e-9).all()
    before = d.cdf(quantile - size)
    slack = 1e-6 * (1 + 1 / d.std()[:, None])
    assert (before <= levels + slack).all()
    t = np.sort(np.random.default_rng(seed).normal(scale=5, size=11))
    p = d.cdf(t)
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p, axis=1) >= -1e-12).all()
    pit = d.pit(y, seed)
    assert ((pit >= 0) & (pit <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(*any_law)
def test_the_score_is_least_in_the_middle_and_a_distance_far_away(
    method: str, kind: str, rounded: bool, seed: int
) -> None:
    d, y = recalibrated(method, kind, rounded, seed)
    score = d.crps(y)
    assert (score >= 0).all()
    assert (d.crps(d.median()) <= score + 1e-9 * (1 + score)).all()
    far = d.mean() + 1e9
    assert (np.abs(d.crps(far) - 1e9) <= 1 + 2 * d.std()).all()


@settings(max_examples=40, deadline=None)
@given(*any_law)
def test_rows_do_not_know_each_other(method: str, kind: str, rounded: bool, seed: int) -> None:
    d, y = recalibrated(method, kind, rounded, seed)
    rows = np.random.default_rng(seed).permutation(len(d))[:7]
    t, levels = np.array([-1.0, 0.0, 2.5]), [0.1, 0.5, 0.9]
    np.testing.assert_array_equal(d[rows].cdf(t), d.cdf(t)[rows])
    np.testing.assert_array_equal(d[rows].quantile(levels), d.quantile(levels)[rows])
    np.testing.assert_array_equal(d[rows].crps(y[rows]), d.crps(y)[rows])
    np.testing.assert_array_equal(d[rows].mean(), d.mean()[rows])
    np.testing.assert_allclose(d[rows].std(), d.std()[rows], rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(*any_law)
def test_weights_are_repetition(method: str, kind: str, rounded: bool, seed: int) -> None:
    X, y, options = drawn(seed, kind, rounded, 45)
    weight = np.random.default_rng(seed).integers(0, 4, 45)
    weight[:2] = 1
    a = fitted(method, options, X, y, weight)
    b = fitted(method, options, np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert a.method_ == b.method_
    levels = [0.01, 0.2, 0.5, 0.9]
    np.testing.assert_allclose(
        a.predict_distribution(X).quantile(levels),
        b.predict_distribution(X).quantile(levels),
        rtol=1e-5,
        atol=1e-5,
    )
