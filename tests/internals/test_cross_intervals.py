"""Selection in a union of shifted lists: identical to the full matrix, whatever the ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from uq.conformal import ends as cross_intervals


def full(scores: np.ndarray, fold: np.ndarray, centre: np.ndarray, scale: np.ndarray | None):
    shifted = scores if scale is None else scale[:, fold] * scores
    return np.sort(centre[:, fold] + shifted, axis=1)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    n_folds=st.integers(1, 12),
    kind=st.sampled_from(["normal", "rounded", "equal", "heavy", "integers"]),
    spread=st.integers(-9, 4),
    scaled=st.booleans(),
)
def test_identical_to_sorting_the_matrix(
    seed: int, n: int, n_folds: int, kind: str, spread: int, scaled: bool
) -> None:
    rng = np.random.default_rng(seed)
    scores = {
        "normal": lambda: rng.normal(size=n),
        "rounded": lambda: np.round(rng.normal(size=n), 1),
        "equal": lambda: np.full(n, 0.3),
        "heavy": lambda: rng.standard_cauchy(n) * 10.0 ** rng.integers(-8, 8),
        "integers": lambda: rng.integers(0, 3, n).astype(float),
    }[kind]()
    fold = rng.integers(0, n_folds, n)
    centre = rng.normal(size=(7, 1)) + rng.normal(size=(7, n_folds)) * 10.0**spread
    scale = np.exp(rng.normal(size=centre.shape)) if scaled else None
    lists = cross_intervals.ScoreLists.of(scores, fold, n_folds)
    matrix = full(scores, fold, centre, scale)
    for rank in {1, (n + 1) // 2, n}:
        np.testing.assert_array_equal(
            cross_intervals.kth_smallest(lists, centre, scale, rank), matrix[:, rank - 1]
        )
    assert np.isposinf(cross_intervals.kth_smallest(lists, centre, scale, n + 1)).all()


def test_long_lists_need_no_full_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("fell back to sorting")

    rng = np.random.default_rng(0)
    scores, fold = rng.normal(size=3000), np.arange(3000) % 10
    centre = rng.normal(size=(400, 1)) + 0.1 * rng.normal(size=(400, 10))
    want = full(scores, fold, centre, None)[:, 2700]
    monkeypatch.setattr(cross_intervals, "_by_sorting", refuse)
    lists = cross_intervals.ScoreLists.of(scores, fold, 10)
    np.testing.assert_array_equal(cross_intervals.kth_smallest(lists, centre, None, 2701), want)


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    scores, fold = rng.normal(size=500), np.arange(500) % 5
    centre = rng.normal(size=(100, 5))
    lists = cross_intervals.ScoreLists.of(scores, fold, 5)
    once = cross_intervals.kth_smallest(lists, centre, None, 450)
    monkeypatch.setattr(cross_intervals, "BLOCK_NUMBERS", 1500)
    np.testing.assert_array_equal(cross_intervals.kth_smallest(lists, centre, None, 450), once)
    matrix = full(scores, fold, centre, None)
    got = cross_intervals.select_by_block(lambda rows: matrix[rows], 100, 500, 450)
    np.testing.assert_array_equal(got, once)
    assert np.isposinf(
        cross_intervals.select_by_block(lambda rows: matrix[rows], 100, 500, 501)
    ).all()


def test_every_row_may_have_a_rank_of_its_own() -> None:
    rng = np.random.default_rng(0)
    for n in (20, 3000):
        scores, fold = np.round(rng.normal(size=n), 2), np.arange(n) % 10
        centre = rng.normal(size=(60, 1)) + 0.1 * rng.normal(size=(60, 10))
        scale = np.exp(0.3 * rng.normal(size=centre.shape))
        rank = rng.integers(1, n + 2, 60)
        rank[:2] = n + 1
        lists = cross_intervals.ScoreLists.of(scores, fold, 10)
        want = np.append(full(scores, fold, centre, scale), np.full((60, 1), np.inf), axis=1)
        found = cross_intervals.kth_smallest(lists, centre, scale, rank)
        np.testing.assert_array_equal(found, want[np.arange(60), rank - 1])
