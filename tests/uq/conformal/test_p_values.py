"""p-values: the printed oracle numbers, validity, weights, categories, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import kstest

from uq import conformal_p_values, forced_prediction, mondrian_p_values

SCORES = [0.1, 0.2, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95]
TESTS = [0.05, 0.2, 0.6, 0.95, 1.0]
POSITIVE = np.array([0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.3])
LABELS = np.array([0, 0, 0, 1, 1, 1, 1])
TRUE_SCORES = np.where(LABELS == 1, 1 - POSITIVE, POSITIVE)
NEW = np.array([0.15, 0.5, 0.9])
NEW_SCORES = np.column_stack([NEW, 1 - NEW])

scores = st.lists(st.integers(0, 12).map(float), min_size=1, max_size=30)


def test_oracle_plain_and_smoothed() -> None:
    np.testing.assert_allclose(conformal_p_values(SCORES, TESTS), [1, 0.9, 0.5, 0.2, 0.1], 1e-15)
    smoothed = conformal_p_values(SCORES, TESTS, smoothed=True, tau=0.5)
    np.testing.assert_allclose(smoothed, [0.95, 0.75, 0.45, 0.1, 0.05], 1e-15)


def test_oracle_label_conditional() -> None:
    marginal = conformal_p_values(TRUE_SCORES, NEW_SCORES)
    np.testing.assert_allclose(marginal, [[0.875, 0.125], [0.25, 0.25], [0.125, 1]], 1e-15)
    by_label = mondrian_p_values(TRUE_SCORES, LABELS, NEW_SCORES, [0, 1])
    np.testing.assert_allclose(by_label, [[0.75, 0.2], [0.25, 0.4], [0.25, 1]], 1e-15)
    forced = forced_prediction(by_label)
    np.testing.assert_array_equal(forced.labels, [0, 1, 1])
    np.testing.assert_allclose(forced.credibility, [0.75, 0.4, 1], 1e-15)
    np.testing.assert_allclose(forced.confidence, [0.8, 0.75, 0.75], 1e-15)


@given(scores, scores, st.floats(0, 1))
def test_formula(cal: list[float], new: list[float], tau: float) -> None:
    a, n = np.array(cal), len(cal)
    plain = [(1 + (a >= s).sum()) / (n + 1) for s in new]
    smooth = [((a > s).sum() + tau * (1 + (a == s).sum())) / (n + 1) for s in new]
    np.testing.assert_allclose(conformal_p_values(cal, new), plain, 1e-14)
    found = conformal_p_values(cal, new, smoothed=True, tau=tau)
    np.testing.assert_allclose(found, smooth, 1e-13, 1e-15)


@given(scores, scores, st.data())
def test_weighted_formula(cal: list[float], new: list[float], data: st.DataObject) -> None:
    ratios = st.floats(0.01, 50)
    w = np.array(data.draw(st.lists(ratios, min_size=len(cal), max_size=len(cal))))
    own = np.array(data.draw(st.lists(ratios, min_size=len(new), max_size=len(new))))
    found = conformal_p_values(cal, new, calibration_ratio=w, test_ratio=own)
    a = np.array(cal)
    expected = [(w[a >= s].sum() + v) / (w.sum() + v) for s, v in zip(new, own, strict=True)]
    np.testing.assert_allclose(found, expected, 1e-11)


@given(scores, scores)
def test_unit_weights_and_one_category_are_the_plain_case(
    cal: list[float], new: list[float]
) -> None:
    plain = conformal_p_values(cal, new)
    ones = conformal_p_values(
        cal, new, calibration_ratio=np.full(len(cal), 3.0), test_ratio=np.full(len(new), 3.0)
    )
    np.testing.assert_array_equal(plain, ones)
    one = mondrian_p_values(cal, ["a"] * len(cal), new, ["a"] * len(new))
    np.testing.assert_array_equal(plain, one)


def test_integer_weight_is_repetition() -> None:
    repeated = conformal_p_values([1, 2, 2, 3, 3, 3], [2.5, 3])
    weighted = conformal_p_values(
        [1, 2, 3], [2.5, 3], calibration_ratio=[1, 2, 3], test_ratio=[1, 1]
    )
    np.testing.assert_allclose(repeated, weighted, 1e-15)


def test_smoothed_p_values_are_uniform_in_spite_of_ties() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(2000):
        draw = rng.integers(0, 4, 21).astype(float)
        found.append(conformal_p_values(draw[:20], draw[20:], smoothed=True, random_state=rng)[0])
    assert kstest(found, "uniform").pvalue > 0.01


def test_unseen_category_has_p_value_one() -> None:
    found = mondrian_p_values([1, 2, 3], ["a", "a", "b"], [9, 9, 9], ["a", "b", "zebra"])
    np.testing.assert_allclose(found, [1 / 3, 1 / 2, 1])


def test_huge_and_zero_ratios() -> None:
    options = {"calibration_ratio": [0, 1e-300, 0], "test_ratio": [1e300, 0, 1e-300]}
    found = conformal_p_values([1, 2, 3], [9, 1.5, 9], **options)
    np.testing.assert_allclose(found, [1, 1, 0.5])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], [1]), {}, "0 samples"),
        (([1, np.nan], [1]), {}, "calibration_scores contains NaN"),
        (([1], [np.inf]), {}, "test_scores contains NaN or inf"),
        (([[1, 2]], [1]), {}, "calibration_scores must be one-dim"),
        (([1], [1]), {"tau": 0.5}, "pass smoothed=True"),
        (([1], [1]), {"smoothed": True, "tau": 1.5}, "tau must be"),
        (([1], [1]), {"smoothed": 1}, "smoothed must be"),
        (([1], [1]), {"calibration_ratio": [1]}, "belong together"),
        (([1], [1]), {"calibration_ratio": [0], "test_ratio": [1]}, "zero for every"),
        (([1], [1]), {"calibration_ratio": [-1], "test_ratio": [1]}, "must be >= 0"),
        (([1], [1]), {"calibration_ratio": [np.nan], "test_ratio": [1]}, "NaN"),
        (([1], [1]), {"calibration_ratio": [1, 2], "test_ratio": [1]}, "2"),
    ],
)
def test_bad_input(arguments: tuple[object, object], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conformal_p_values(*arguments, **options)


def test_bad_categories_and_p_values() -> None:
    with pytest.raises(ValueError, match="one entry per row"):
        mondrian_p_values([1, 2], [0, 1], [[1, 2]] * 4, [0, 1, 1])
    with pytest.raises(ValueError, match="calibration_category"):
        mondrian_p_values([1, 2], [0], [1, 2], [0, 1])
    with pytest.raises(ValueError, match="another type"):
        mondrian_p_values([1, 2], [0, 1], [1, 2], ["a", "b"])
    with pytest.raises(ValueError, match="one column per label, at least 2"):
        forced_prediction([[0.5]])
    with pytest.raises(ValueError, match=r"p_values has values outside \[0, 1\]"):
        forced_prediction([[0.5, 1.5]])
    with pytest.raises(ValueError, match="labels must name"):
        forced_prediction([[0.5, 0.2]], labels=["a"])
