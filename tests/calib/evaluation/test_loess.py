"""The loess curve against weighted least squares at every score, and what is done beyond that."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import integrated_calibration_index
from calib.evaluation.unbinned import loess
from calib.evaluation.unbinned.loess import calibration_curve_at
from calib.evaluation.views.distinct import distinct_scores


def direct(y: np.ndarray, p: np.ndarray, span: float) -> np.ndarray:
    """Fit a quadratic by least squares around every sample (scores without ties)."""
    fitted = []
    for x in p:
        distance = np.abs(p - x)
        reach = np.sort(distance)[int(np.ceil(span * len(p) - 1e-9)) - 1]
        weight = np.sqrt(np.clip(1 - (distance / reach) ** 3, 0, None) ** 3)
        design = np.vander(p - x, 3, increasing=True)
        solution = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
        fitted.append(solution[0])
    return np.clip(fitted, 0, 1)


@pytest.mark.parametrize("span", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("power", [1, 6])
def test_against_least_squares(span: float, power: int, rng: np.random.Generator) -> None:
    p = np.sort(rng.random(120)) ** power  # up to very uneven
    y = (rng.random(120) < p**0.7).astype(int)
    curve = calibration_curve_at(distinct_scores(p, y == 1, None), span)
    np.testing.assert_allclose(curve, direct(y, p, span), atol=1e-8)
    gap = np.abs(curve - p)
    summary = integrated_calibration_index(y, p, span=span, average="binary")
    assert summary.ici == pytest.approx(gap.mean())
    assert summary.e50 == pytest.approx(np.quantile(gap, 0.5, method="inverted_cdf"))
    assert summary.e90 == pytest.approx(np.quantile(gap, 0.9, method="inverted_cdf"))
    assert summary.e_max == pytest.approx(gap.max())


def test_a_quadratic_is_reproduced() -> None:
    """Fractional rates would lie on the curve exactly; events of many equal scores come close."""
    p = np.repeat(np.arange(1, 20) / 20, 400)
    y = np.tile(np.arange(400), 19) < np.rint(400 * p**2)
    curve = calibration_curve_at(distinct_scores(p, y, None), 0.75)
    np.testing.assert_allclose(curve, np.unique(p) ** 2, atol=1e-10)
    summary = integrated_calibration_index(y, p, average="binary")
    assert summary.ici == pytest.approx(np.mean(p - p**2), abs=1e-10)
    assert summary.e_max == pytest.approx(0.25, abs=1e-10)


def test_joining_and_interpolating_change_little(rng, monkeypatch) -> None:
    p = rng.beta(0.5, 0.5, 6000)
    y = rng.random(6000) < p**1.4
    coarse = integrated_calibration_index(y, p, average="binary")
    monkeypatch.setattr(loess, "MOST_SCORES", 10_000)
    monkeypatch.setattr(loess, "MOST_NODES", 10_000)
    fine = integrated_calibration_index(y, p, average="binary")
    np.testing.assert_allclose(coarse, fine, rtol=0, atol=1e-4)


def test_a_million_scores_and_a_heavy_tie_are_joined(rng: np.random.Generator) -> None:
    p = np.concatenate([np.zeros(300_000), rng.random(100_000)])
    y = rng.random(400_000) < np.where(p == 0, 0.1, p)
    scores = distinct_scores(p, y, None)
    joined = loess._join(scores)
    assert len(joined.value) <= loess.MOST_SCORES
    assert joined.weight.sum() == 400_000
    assert joined.label.sum() == y.sum()
    assert joined.value @ joined.weight == pytest.approx(p.sum())
    assert joined.value[0] == 0
    summary = integrated_calibration_index(y, p, average="binary")
    assert summary.e50 == pytest.approx(0.1, abs=0.003)


def test_few_distinct_scores_are_interpolated() -> None:
    for levels in ([0.4], [0.2, 0.7], [0.0, 0.5, 1.0]):
        p = np.repeat(levels, 8)
        y = np.tile([1, 0, 0, 0, 0, 1, 0, 0], len(levels)).astype(bool)
        curve = calibration_curve_at(distinct_scores(p, y, None), 0.75)
        np.testing.assert_allclose(curve, 0.25, atol=1e-9)


@pytest.mark.parametrize("span", [0, -0.5, 1.1, np.nan, True, "0.75"])
def test_span_is_checked(span: object) -> None:
    with pytest.raises(ValueError, match="span must be a number in"):
        integrated_calibration_index([0, 1], [0.2, 0.7], span=span)


def test_small_spans_stay_finite(rng: np.random.Generator) -> None:
    p = np.concatenate([rng.random(100), np.full(50, 0.5)])
    y = rng.random(150) < p
    for span in (1e-9, 0.01, 0.05):
        summary = integrated_calibration_index(y, p, span=span, average="binary")
        assert np.isfinite(summary).all()
        assert 0 <= summary.ici <= summary.e_max <= 1
