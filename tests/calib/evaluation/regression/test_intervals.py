"""Quality of intervals: closed forms, scoringrules, invariants, bad input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from calib.evaluation import (
    interval_coverage,
    interval_quality,
    interval_score,
    mean_interval_width,
)


def sample(n: int = 400, seed: int = 0):
    rng = np.random.default_rng(seed)
    sd = np.exp(rng.normal(size=n))
    return sd * rng.normal(size=n), -1.645 * sd, 1.645 * sd


@pytest.mark.oracle
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_interval_score_of_scoringrules(level: float) -> None:
    peer = pytest.importorskip("scoringrules")
    y, low, high = sample()
    wanted = np.mean(peer.interval_score(y, low, high, 1 - level, backend="numpy"))
    assert interval_score(y, low, high, confidence_level=level) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.oracle
def test_winkler_score_and_width_of_mapie() -> None:
    from mapie.metrics.regression import (
        regression_coverage_score,
        regression_mean_width_score,
        regression_mwi_score,
    )

    y, low, high = sample()
    both = np.stack([low, high], axis=1)[:, :, None]
    ours = interval_quality(y, low, high, confidence_level=0.9)
    assert ours.mean_score == pytest.approx(regression_mwi_score(y, both, 0.9))
    assert ours.mean_width == pytest.approx(regression_mean_width_score(both)[0])
    assert ours.coverage == pytest.approx(regression_coverage_score(y, both)[0])


def test_interval_score_is_smallest_at_the_quantiles() -> None:
    y = np.random.default_rng(0).normal(size=20000)

    def score(z: float) -> float:
        ends = np.full(len(y), z)
        return interval_score(y, -ends, ends, confidence_level=0.9)

    # closed form: 2 z + (2 / alpha) 2 (phi(z) - z (1 - Phi(z))) at z = 1.645: 4 phi(z) / alpha
    assert score(1.645) == pytest.approx(
        40 * np.exp(-(1.645**2) / 2) / np.sqrt(2 * np.pi), rel=0.02
    )
    assert score(1.645) < min(score(1.4), score(1.9))


def test_quality_adds_up() -> None:
    y, low, high = sample(399)
    q = interval_quality(y, low, high, confidence_level=0.9)
    assert q.coverage == interval_coverage(y, low, high)
    assert q.coverage + q.below + q.above == pytest.approx(1)
    assert q.mean_width == mean_interval_width(low, high)
    assert q.median_width == np.median(high - low)
    assert q.mean_score == interval_score(y, low, high, confidence_level=0.9)
    assert q.tercile_size.tolist() == [133, 133, 133]
    assert (np.diff(q.tercile_width) > 0).all()
    assert np.average(q.tercile_coverage, weights=q.tercile_size) == pytest.approx(q.coverage)
    assert q.n_infinite == 0
    assert "coverage of narrow, middle and wide thirds" in str(q)


def test_terciles_show_what_the_average_hides() -> None:
    y, _, _ = sample(3000)
    sd = np.exp(np.random.default_rng(0).normal(size=3000))
    honest = interval_quality(y, -1.645 * sd, 1.645 * sd, confidence_level=0.9)
    assert np.ptp(honest.tercile_coverage) < 0.05
    wrong = interval_quality(y, -1.645 * sd**2, 1.645 * sd**2, confidence_level=0.9)
    assert wrong.tercile_coverage[0] < 0.7 < 0.95 < wrong.tercile_coverage[2]


def test_constant_widths_stand_together() -> None:
    q = interval_quality([0, 1, 2, 9], [0] * 4, [3] * 4, confidence_level=0.5)
    assert q.tercile_size.sum() == 4
    assert sorted(q.tercile_size.tolist()) == [0, 0, 4]
    np.testing.assert_array_equal(np.isnan(q.tercile_coverage), q.tercile_size == 0)


@given(st.integers(0, 1000))
def test_weights_equal_repetition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, low, high = sample(31, seed)
    w = rng.integers(0, 4, 31)
    w[0] = 1
    weighted = interval_quality(y, low, high, confidence_level=0.8, sample_weight=w)
    y, low, high = (np.repeat(a, w) for a in (y, low, high))
    repeated = interval_quality(y, low, high, confidence_level=0.8)
    for name in ("coverage", "below", "above", "mean_width", "mean_score", "tercile_coverage"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-12)


def test_infinite_and_empty_width() -> None:
    inf = np.inf
    q = interval_quality([0, 1, 2], [-inf, 0, 2], [inf, inf, 2], confidence_level=0.9)
    assert (q.n_infinite, q.mean_width, q.median_width, q.mean_score) == (2, inf, inf, inf)
    assert q.coverage == 1
    assert q.tercile_width[0] == 0
    assert mean_interval_width([0, 0], [1, inf], sample_weight=[1, 0]) == 1
    assert mean_interval_width([inf], [inf]) == 0
    assert dataclasses.is_dataclass(q)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": [3, 0]}, r"low is above high in row 0 \(3 > 1\)"),
        ({"low": [np.nan, 0]}, "low contains NaN"),
        ({"y_true": [np.inf, 0]}, "y_true contains NaN, inf"),
        ({"y_true": ["a", "b"]}, "y_true must hold numbers"),
        ({"high": ["a", "b"]}, "high must hold numbers"),
        ({"y_true": [1]}, "low has 2 samples but y_true has 1"),
        ({"high": [1, 2, 3]}, "low has 2 samples but high has 3"),
        ({"low": [[0, 0]]}, r"low must have shape \(n_samples,\)"),
        ({"y_true": [], "low": [], "high": []}, "y_true has 0 samples"),
        ({"confidence_level": 1.0}, r"confidence_level must lie in \(0, 1\)"),
        ({"confidence_level": 90}, r"confidence_level must lie in \(0, 1\)"),
        ({"sample_weight": [0, 0]}, "sample_weight is zero"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    arguments = {"y_true": [0, 1], "low": [0, 0], "high": [1, 1], "confidence_level": 0.9, **change}
    for function in (interval_quality, interval_score):
        with pytest.raises(ValueError, match=message):
            function(**arguments)
