"""Conformal factors of two sides: ranks, weights, guarantee, too few rows."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, strategies as st

from uq import PooledCategoryWarning, SmallCalibrationSetWarning
from uq.split_point.intervals import SideScores, scaled

LEVELS = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 1 / 3])


def quantile(scores: np.ndarray, weight: np.ndarray | None, level: float) -> float:
    """Return the quantile of one category for a new row of weight 1."""
    width = np.ones(len(scores))
    table = SideScores.of(scores, width, width, weight).both
    return float(np.squeeze(table.threshold(0, level, np.ones(1))))


@given(st.lists(st.integers(0, 30), max_size=60), LEVELS)
def test_quantile_is_the_order_statistic(scores: list[int], level: float) -> None:
    values = np.array(scores, dtype=float)
    rank = math.ceil((len(values) + 1) * level - 1e-9)
    expected = np.sort(values)[rank - 1] if rank <= len(values) else np.inf
    assert quantile(values, None, level) == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1), LEVELS)
def test_integer_weights_are_repetitions(pairs: list[tuple[int, int]], level: float) -> None:
    scores, weight = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    repeated = np.repeat(scores, weight.astype(int))
    assert quantile(scores, weight, level) == quantile(repeated, None, level)


def test_each_side_is_covered() -> None:
    """200 repeats with wrong, random widths: each side between level and level + 1 / (n + 1)."""
    rng, level = np.random.default_rng(0), 0.9
    covered: list[tuple[float, float]] = []
    sizes = []
    for _ in range(200):
        r = rng.exponential(size=1400) ** 1.5 - 0.7
        up, down = rng.uniform(0.2, 3, 1400), rng.uniform(0.2, 3, 1400)
        cal, new = slice(0, 400), slice(400, None)
        a, b = SideScores.of(r[cal], up[cal], down[cal], None).factors(level, "side")
        above = r[new] > 0
        inside = np.where(above, r[new] <= a * up[new], -r[new] <= b * down[new])
        covered.append((inside[above].mean(), inside[~above].mean()))
        sizes.append(min((r[cal] > 0).sum(), (r[cal] <= 0).sum()))
    for mean in np.mean(covered, axis=0):
        assert level - 0.01 <= mean <= level + 1 / (min(sizes) + 1) + 0.01


def test_joint_factor_covers_overall() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        r, width = rng.normal(0.3, 1.0, 600), rng.uniform(0.5, 2, 600)
        a, b = SideScores.of(r[:100], width[:100], width[:100], None).factors(0.9, "joint")
        assert a == b
        found.append((np.abs(r[100:]) <= a * width[100:]).mean())
    assert 0.89 <= np.mean(found) <= 0.92


def test_few_rows_on_a_side_share_a_factor() -> None:
    """8 rows below where 9 are needed: both sides get the joint factor, and that is said."""
    r = np.concatenate([np.linspace(0.1, 2, 30), -np.linspace(0.1, 5, 8)])
    scores = SideScores.of(r, np.ones(38), np.ones(38), None)
    with pytest.warns(PooledCategoryWarning, match="30 calibration rows above and 8 below"):
        pooled = scores.factors(0.9, "side")
    assert pooled == scores.factors(0.9, "joint")
    more = SideScores.of(np.append(r, -0.2), np.ones(39), np.ones(39), None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert more.factors(0.9, "side")[1] == 5


@pytest.mark.parametrize("n", [0, 1, 10, 98])
def test_too_few_rows_for_any_factor(n: int) -> None:
    r = np.random.default_rng(0).normal(size=n)
    scores = SideScores.of(r, np.ones(n), np.ones(n), None)
    with pytest.warns(SmallCalibrationSetWarning, match="99 are needed"):
        assert scores.factors(0.99, "side") == (np.inf, np.inf)


def test_zero_widths() -> None:
    """No residual needs no width; a residual where the width is 0 needs an infinite factor."""
    zero = np.zeros(50)
    assert SideScores.of(zero, zero, zero, None).factors(0.9, "joint") == (0.0, 0.0)
    r = np.linspace(1, 2, 50)
    with pytest.warns(SmallCalibrationSetWarning, match="trained on the rows passed"):
        assert SideScores.of(r, zero, zero, None).factors(0.9, "joint") == (np.inf, np.inf)
    np.testing.assert_array_equal(scaled(np.zeros(2), np.inf), [np.inf, np.inf])


def test_ties_belong_to_the_lower_side() -> None:
    scores = SideScores.of(np.array([0.0, 1.0]), np.ones(2), np.ones(2), None)
    assert scores.sides.totals.tolist() == [1, 1]


def test_no_conformal_step() -> None:
    scores = SideScores.of(np.array([3.0]), np.ones(1), np.ones(1), None)
    assert scores.factors(0.9, "none") == (1.0, 1.0)
