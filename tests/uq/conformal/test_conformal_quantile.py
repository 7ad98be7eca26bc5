"""Thresholds with and without weights: oracle numbers, equivalences, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from uq import conformal_quantile, effective_sample_size, weighted_conformal_quantile

SCORES = [0.1, 0.2, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95]


@pytest.mark.parametrize(
    ("level", "expected"), [(0.9, 0.95), (0.8, 0.9), (0.75, 0.9), (0.95, np.inf)]
)
def test_oracle(level: float, expected: float) -> None:
    assert conformal_quantile(SCORES, level) == expected
    ones = weighted_conformal_quantile(
        SCORES, level, calibration_ratio=np.ones(9), test_ratio=[1.0]
    )
    assert ones[0] == expected


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, [5.0, 5.0, 4.0]), (2.0, [np.inf, 5.0, 4.0])])
def test_weighted_oracle(ratio: float, expected: list[float]) -> None:
    for level, one in zip((0.9, 0.8, 0.6), expected, strict=True):
        found = weighted_conformal_quantile(
            [1, 2, 3, 4, 5], level, calibration_ratio=[1, 1, 2, 4, 2], test_ratio=[ratio]
        )
        assert found[0] == one


def test_levels_are_decimal_fractions() -> None:
    """(n + 1) * level is an integer for all of these, whatever binary arithmetic says."""
    for n_plus_1 in range(10, 2001, 10):
        scores = np.arange(1, n_plus_1, dtype=float)
        for tenths in range(1, 10):
            level = tenths / 10
            if level < 1 - 1 / n_plus_1 + 1e-9:
                assert conformal_quantile(scores, level) == n_plus_1 * tenths // 10
    assert conformal_quantile(np.arange(1.0, 10), 0.1 + 0.2) == 3


@given(
    st.lists(st.integers(0, 9).map(float), min_size=1, max_size=60),
    st.integers(1, 99).map(lambda k: k / 100),
)
def test_unit_weights_give_the_plain_quantile(scores: list[float], level: float) -> None:
    found = weighted_conformal_quantile(
        scores, level, calibration_ratio=np.full(len(scores), 0.3), test_ratio=[0.3, 0.3]
    )
    assert (found == conformal_quantile(scores, level)).all()


def test_zero_weights_are_absent_and_huge_ratios_give_infinity() -> None:
    found = weighted_conformal_quantile(
        [1, 2, 3, 4, 5], 0.5, calibration_ratio=[0, 1, 1, 1, 0], test_ratio=[1, 0, 1e300]
    )
    np.testing.assert_array_equal(found, [3, 3, np.inf])
    tiny = weighted_conformal_quantile(
        [1, 2], 0.5, calibration_ratio=[1e-300, 1e-300], test_ratio=[1e300]
    )
    assert tiny[0] == np.inf


def test_effective_sample_size() -> None:
    assert effective_sample_size([2, 2, 2]) == pytest.approx(3)
    assert effective_sample_size([1e300, 1e-300]) == pytest.approx(1)
    with pytest.raises(ValueError, match="zero for every"):
        effective_sample_size([0, 0])


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, np.nan, "0.9", None, True])
def test_levels_outside(level: object) -> None:
    with pytest.raises(ValueError, match="confidence_level"):
        conformal_quantile(SCORES, level)  # type: ignore[arg-type]


def test_bad_scores() -> None:
    for scores in ([], [np.nan], [np.inf, 1]):
        with pytest.raises(ValueError, match="scores"):
            conformal_quantile(scores, 0.9)
