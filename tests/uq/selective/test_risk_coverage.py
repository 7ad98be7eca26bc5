"""Risk and coverage: exact areas, ties over all orders, weights, perfect order, refusals."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import softmax

from calib.evaluation import metric_interval
from uq import area_under_risk_coverage, excess_area_under_risk_coverage, risk_coverage_curve

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=30)


def prefix_area(loss: np.ndarray) -> float:
    """Mean of the prefix error rates, no ties."""
    return float(np.mean(np.cumsum(loss) / np.arange(1, len(loss) + 1)))


def test_reference_value() -> None:
    """Quasi-random four-class example with a published area."""
    j = np.arange(600)
    phi, k = (math.sqrt(5) - 1) / 2, np.arange(4)
    z = 2 * np.sin(2 * np.pi * phi * (j + 1)[:, None] * (k + 1)) + 0.3 * k
    p, u = softmax(z, axis=1), (j + 1) * (math.sqrt(2) - 1) % 1
    y = (softmax(z / 1.8, axis=1).cumsum(axis=1) < u[:, None]).sum(axis=1)
    area = area_under_risk_coverage(y != p.argmax(axis=1), p.max(axis=1))
    assert area == pytest.approx(0.441927, abs=5e-7)


def test_without_ties_equals_prefix_means(rng: np.random.Generator) -> None:
    loss, confidence = rng.random(200), rng.permutation(200)
    ordered = loss[np.argsort(-confidence)]
    curve = risk_coverage_curve(loss, confidence)
    np.testing.assert_allclose(curve.risk, np.cumsum(ordered) / np.arange(1, 201))
    assert curve.area == pytest.approx(prefix_area(ordered), rel=1e-12)
    assert curve.optimal_area == pytest.approx(prefix_area(np.sort(loss)), rel=1e-12)
    expected = np.mean(np.cumsum(ordered)) / 200
    assert curve.generalized_area == pytest.approx(expected, rel=1e-12)


def test_ties_are_the_average_over_all_orders() -> None:
    loss, confidence = np.array([0, 1, 0, 1, 1, 0.5]), np.array([2, 1, 1, 1, 0, 0])
    areas, generalized = [], []
    for order in itertools.permutations(range(6)):
        part = np.array(order)
        part = part[np.argsort(-confidence[part], kind="stable")]
        areas.append(prefix_area(loss[part]))
        generalized.append(np.mean(np.cumsum(loss[part])) / 6)
    curve = risk_coverage_curve(loss, confidence)
    assert curve.area == pytest.approx(np.mean(areas), rel=1e-12)
    assert curve.generalized_area == pytest.approx(np.mean(generalized), rel=1e-12)
    assert area_under_risk_coverage(loss, np.ones(6)) == pytest.approx(loss.mean(), rel=1e-12)


def test_perfect_order() -> None:
    for n, wrong in ((10, 3), (1000, 250)):
        loss = np.arange(n) >= n - wrong
        k = np.arange(1, n + 1)
        exact = np.mean(np.maximum(0, k - (n - wrong)) / k)
        curve = risk_coverage_curve(loss, -np.arange(n))
        assert curve.area == pytest.approx(exact, rel=1e-12)
        assert curve.optimal_area == pytest.approx(exact, rel=1e-10)
        assert excess_area_under_risk_coverage(loss, -np.arange(n)) == pytest.approx(0, abs=1e-12)
    r = 0.25
    assert curve.optimal_area == pytest.approx(r + (1 - r) * math.log(1 - r), abs=2e-3)


def test_all_tied() -> None:
    curve = risk_coverage_curve([0, 1, 0, 0], [0.7] * 4)
    assert curve.risk.tolist() == [0.25]
    assert curve.coverage.tolist() == [1.0]
    assert curve.area == pytest.approx(0.25)
    assert curve.at_coverage(0.1) == pytest.approx(0.25)


@pytest.mark.parametrize("loss", [0, 1])
def test_one_kind_of_outcome_only(loss: int) -> None:
    curve = risk_coverage_curve(np.full(5, loss), [0.1, 0.2, 0.3, 0.4, 0.4])
    assert (curve.area, curve.optimal_area) == pytest.approx((loss, loss))
    assert curve.excess_area == pytest.approx(0, abs=1e-12)


@given(PAIRS, st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_integer_weight_equals_repetition(pairs: list[tuple[int, int]], weights: list[int]) -> None:
    loss, confidence = np.array(pairs).T
    weight = np.array(weights[: len(loss)])
    if not weight.any():
        weight[0] = 1
    a = risk_coverage_curve(loss, confidence, sample_weight=weight)
    b = risk_coverage_curve(np.repeat(loss, weight), np.repeat(confidence, weight))
    np.testing.assert_array_equal(a.threshold, b.threshold)
    np.testing.assert_allclose(a.risk, b.risk)
    np.testing.assert_allclose(a.coverage, b.coverage)
    for name in ("area", "optimal_area", "generalized_area"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-12)


@given(PAIRS)
def test_invariants(pairs: list[tuple[int, int]]) -> None:
    loss, confidence = np.array(pairs).T
    curve = risk_coverage_curve(loss, confidence)
    assert curve.excess_area >= -1e-12
    assert curve.risk[-1] == pytest.approx(loss.mean())
    assert area_under_risk_coverage(loss, np.exp(confidence)) == pytest.approx(curve.area)
    order = np.argsort(loss * 7 % 5, kind="stable")
    assert area_under_risk_coverage(loss[order], confidence[order]) == pytest.approx(curve.area)
    flipped = area_under_risk_coverage(1 - loss, confidence)
    assert flipped + curve.area == pytest.approx(1)


def test_fractional_weights_lie_between(rng: np.random.Generator) -> None:
    loss, confidence = rng.integers(0, 2, 50), rng.random(50)
    areas = [
        area_under_risk_coverage(loss, confidence, sample_weight=np.full(50, w))
        for w in (1.0, 1.5, 2.0)
    ]
    assert min(areas[0], areas[2]) < areas[1] < max(areas[0], areas[2])


def test_reading_the_curve() -> None:
    curve = risk_coverage_curve([0, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.7, 0.1])
    point = curve.at_threshold(0.7)
    assert (point.coverage, point.risk, point.n_kept) == (0.8, 0.25, 4)
    assert curve.at_threshold(0.75).n_kept == 2
    assert curve.at_threshold(-math.inf).coverage == 1.0
    assert curve.at_coverage(0.6) == pytest.approx(0.5 / 3)  # half of the tie
    assert curve.at_coverage(1.0) == pytest.approx(0.4)
    best = curve.best_within(0.25)
    assert (best.threshold, best.coverage) == (0.7, 0.8)


def test_empty_kept_set_is_said() -> None:
    curve = risk_coverage_curve([1, 0, 1], [0.9, 0.8, 0.7])
    for point in (curve.at_threshold(0.95), curve.best_within(0.2)):
        assert point.n_kept == 0
        assert point.coverage == 0.0
        assert math.isnan(point.risk)
    assert curve.best_within(0.2).threshold == math.inf
    with pytest.raises(ValueError, match="coverage must lie"):
        curve.at_coverage(0.0)


def test_bootstrap_interval_takes_it(rng: np.random.Generator) -> None:
    confidence = rng.random(200)
    loss = (rng.random(200) > confidence).astype(int)
    interval = metric_interval(
        area_under_risk_coverage, loss, confidence, n_resamples=50, random_state=0
    )
    assert interval.value in interval


def test_output_forms(rng: np.random.Generator) -> None:
    curve = risk_coverage_curve(rng.integers(0, 2, 40), np.round(rng.random(40), 1))
    assert "AURC" in str(curve)
    assert json.loads(json.dumps(curve.to_dict()))["area"] == curve.area
    pytest.importorskip("pandas")
    assert list(curve.to_frame().columns) == ["threshold", "coverage", "risk", "n_kept"]
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = curve.plot(name="model")
    assert len(curve.plot(ax).lines) == 2
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("loss", "confidence", "weight", "match"),
    [
        ([np.nan, 1], [0.1, 0.2], None, "loss contains NaN"),
        ([0, 1], [0.1, np.inf], None, "confidence contains NaN or inf"),
        ([0, 1], [0.1], None, "loss has 2 samples but confidence has 1"),
        ([], [], None, "loss has 0 samples"),
        ([[0, 1]], [0.1, 0.2], None, "loss must have shape"),
        ([0, 1], [[0.1, 0.2]], None, "confidence must have shape"),
        (["a", "b"], [0.1, 0.2], None, "loss must hold numbers"),
        ([0, 1], [0.1, 0.2], [1.0], "sample_weight must have shape"),
        ([0, 1], [0.1, 0.2], [1.0, -1.0], "sample_weight must be >= 0"),
        ([0, 1], [0.1, 0.2], [0.0, 0.0], "zero for every sample"),
        ([0, 1], [0.1, 0.2], [np.nan, 1.0], "sample_weight contains NaN"),
    ],
)
def test_refusals(loss, confidence, weight, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        risk_coverage_curve(loss, confidence, sample_weight=weight)


def test_points_refuse_nan() -> None:
    curve = risk_coverage_curve([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="threshold is NaN"):
        curve.at_threshold(math.nan)
    with pytest.raises(ValueError, match="risk is NaN"):
        curve.best_within(math.nan)
    for coverage in (-0.1, 1.1, math.nan, True):
        with pytest.raises(ValueError, match="coverage must lie"):
            curve.at_coverage(coverage)
