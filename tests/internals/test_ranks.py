"""Ranks, order statistics and their weighted form: oracle values, guards, agreement."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from uq import conformal_p_values, conformal_quantile
from uq.conformal.quantiles import (
    check_level,
    check_levels,
    conformal_rank,
    effective_size,
    samples_needed,
    weighted_quantile,
)

SCORES = np.array([0.1, 0.2, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95])


@pytest.mark.parametrize(
    ("level", "rank", "value"), [(0.9, 9, 0.95), (0.8, 8, 0.9), (0.75, 8, 0.9), (0.95, 10, np.inf)]
)
def test_split_quantile_of_nine_scores(level: float, rank: int, value: float) -> None:
    assert conformal_rank(9, level) == rank
    assert conformal_quantile(SCORES, level) == value


def test_weighted_quantile_of_five_scores() -> None:
    ordered, cumulative = np.arange(1.0, 6), np.cumsum([1.0, 1, 2, 4, 2])
    new = np.array([0.5, 2.0])
    found = [weighted_quantile(ordered, cumulative, new, level) for level in (0.9, 0.8, 0.6)]
    np.testing.assert_array_equal(found, [[5, np.inf], [5, 5], [4, 4]])


@given(st.integers(1, 5000), st.integers(1, 999))
def test_rank_is_the_rational_one(n: int, thousandths: int) -> None:
    exact = -((-(n + 1) * Fraction(thousandths, 1000)) // 1)
    assert conformal_rank(n, thousandths / 1000) == exact
    assert conformal_rank(n, 1 - (1 - thousandths / 1000)) == exact


@given(st.integers(1, 999))
def test_samples_needed_is_the_smallest_number(thousandths: int) -> None:
    level = thousandths / 1000
    n = samples_needed(level)
    assert conformal_rank(n, level) <= n
    assert n == 1 or conformal_rank(n - 1, level) > n - 1


def test_unit_weights_reproduce_the_split_quantile() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 19, 99, 100):
        ordered = np.sort(rng.normal(size=n))
        for level in (0.05, 0.5, 0.8, 0.9, 0.95, 0.99):
            weighted = weighted_quantile(ordered, np.arange(1.0, n + 1), np.ones(1), level)
            assert weighted[0] == conformal_quantile(ordered, level)


def test_weights_of_huge_ratio() -> None:
    ordered, cumulative = np.arange(3.0), np.cumsum([1e-300, 1.0, 1e-300])
    found = weighted_quantile(ordered, cumulative, np.array([0.0, 1e-300, 1e300, np.inf]), 0.9)
    np.testing.assert_array_equal(found, [1, 1, np.inf, np.inf])
    assert effective_size(np.array([1e-300, 1e300])) == 1
    assert effective_size(np.array([3.0, 3, 0, 3])) == pytest.approx(3)


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, np.nan, "0.9", True, None])
def test_levels_outside(level: object) -> None:
    with pytest.raises(ValueError, match=r"confidence_levels? must (be|lie)"):
        check_level(level)
    with pytest.raises(ValueError, match=r"confidence_levels must"):
        check_levels([0.5, level])


def test_levels_keep_their_order() -> None:
    np.testing.assert_array_equal(check_levels([0.9, 0.5, 0.9]), [0.9, 0.5, 0.9])
    for wrong in ([], 0.9, [[0.9]]):
        with pytest.raises(ValueError, match="confidence_levels must be a list"):
            check_levels(wrong)
    with pytest.raises(ValueError, match="For several levels call predict_intervals"):
        check_level([0.9, 0.5], several="predict_intervals")


def test_blocks_of_p_values_do_not_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    cal, new = rng.random(50), rng.random((40, 3))
    options = {"smoothed": True, "random_state": 1}
    whole = conformal_p_values(cal, new, **options)
    monkeypatch.setattr("uq.conformal.p_values.BLOCK", 7)
    np.testing.assert_array_equal(conformal_p_values(cal, new, **options), whole)
