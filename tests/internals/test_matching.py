"""Overlaps, candidate pairs and assignments, on plain arrays."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib._core import matching as core
from calib.detection import match
from tests.support.overlapping import same, scene


def random_boxes(rng: np.random.Generator, n: int, *, size: int = 8) -> np.ndarray:
    """Small whole numbers: many equal overlaps, many boxes without area."""
    corner = rng.integers(0, size, (n, 2))
    return np.hstack([corner, corner + rng.integers(0, size // 2, (n, 2))]).astype(float)


def test_overlap_by_hand() -> None:
    a = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 1, 3]], float)
    b = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [5, 5, 9, 9], [1, 1, 1, 3]], float)
    none = np.zeros(5, dtype=bool)
    assert core.box_iou(a, b, none).tolist() == [1, 8 / 24, 0, 0, 0]
    assert core.box_iou(a, b, ~none).tolist() == [1, 0.5, 0, 0, 0]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlap_is_symmetric_bounded_and_one_only_for_equals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 40) / 3, random_boxes(rng, 40) / 3
    plain = np.zeros(40, dtype=bool)
    iou = core.box_iou(a, b, plain)
    assert np.array_equal(iou, core.box_iou(b, a, plain))
    assert ((iou >= 0) & (iou <= 1)).all()
    has_area = (a[:, 2:] > a[:, :2]).all(axis=1)
    assert (core.box_iou(a, a, plain) == has_area).all()
    assert (core.box_iou(a, b, ~plain) >= iou * (1 - 1e-12)).all()


def test_order_keeps_rows_of_equal_score() -> None:
    order, rank = core.group_order(np.array([1, 0, 1, 1, 0]), np.array([0.5, 0.1, 0.5, 0.9, 0.2]))
    assert order.tolist() == [4, 1, 3, 0, 2]
    assert rank.tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("budget", [1, 7, 1 << 20])
def test_blocks_change_nothing(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    boxes, truth = random_boxes(rng, 300), random_boxes(rng, 80)
    key, truth_key = rng.integers(0, 9, 300), rng.integers(3, 12, 80)
    absorbing = rng.random(80) < 0.2
    rule = core.Overlap(0.3, True)
    monkeypatch.setattr(core, "PAIR_BUDGET", budget)
    pairs = core.candidate_pairs(boxes, key, truth, truth_key, absorbing, rule)
    found = set(zip(pairs.detection.tolist(), pairs.truth.tolist(), strict=True))
    assert (np.diff(pairs.detection) >= 0).all()
    expected = set()
    for d in range(300):
        admitted = [
            (float(core.box_iou(boxes[[d]], truth[[g]], absorbing[[g]])[0]), g)
            for g in range(80)
            if key[d] == truth_key[g]
        ]
        admitted = [(q, g) for q, g in admitted if q >= 0.3]
        covers = [(q, g) for q, g in admitted if absorbing[g]]
        expected |= {(d, g) for q, g in admitted if not absorbing[g]}
        expected |= {(d, max(covers)[1])} if covers else set()
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 1))
def test_first_come_equals_serving_one_by_one(
    seed: int, n_detections: int, n_truth: int, density: float
) -> None:
    """Any lists of preferences, not only those that overlaps can produce."""
    rng = np.random.default_rng(seed)
    lists = [
        rng.permutation(np.flatnonzero(rng.random(n_truth) < density)) for _ in range(n_detections)
    ]
    detection = np.repeat(np.arange(n_detections), [len(one) for one in lists])
    truth = np.concatenate(lists).astype(np.intp)
    absorbing = rng.random(n_truth) < 0.2
    pairs = core.Pairs(detection, truth, np.ones(len(truth)))
    chosen = core.first_come(pairs, n_detections, absorbing)
    used: set[int] = set()
    for d, wanted in enumerate(lists):
        free = [g for g in wanted.tolist() if absorbing[g] or g not in used]
        used |= set(free[:1])
        assert (truth[chosen[d]] if chosen[d] >= 0 else None) == (free[0] if free else None)
        assert chosen[d] < 0 or detection[chosen[d]] == d


def test_first_come_where_all_want_the_same() -> None:
    n = 300
    detection, truth = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    pairs = core.Pairs(detection, truth, np.ones(n * n))
    chosen = core.first_come(pairs, n, np.zeros(n, dtype=bool))
    assert np.array_equal(truth[chosen], np.arange(n))


def largest_by_permutation(total: np.ndarray) -> float:
    """Largest sum of one entry per row and column, by trying all."""
    rows, columns = sorted(total.shape)
    table = total if total.shape[0] == rows else total.T
    return max(
        sum(table[i, j] for i, j in enumerate(one))
        for one in itertools.permutations(range(columns), rows)
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 1))
def test_largest_total_equals_trying_all(
    seed: int, n_detections: int, n_truth: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    total = np.where(
        rng.random((n_detections, n_truth)) < density,
        rng.integers(1, 9, (n_detections, n_truth)) / 8,
        0,
    )
    detection, truth = np.nonzero(total)
    pairs = core.Pairs(detection, truth, total[detection, truth])
    chosen = core.largest_total(pairs, n_detections, n_truth)
    taken = chosen[chosen >= 0]
    assert np.array_equal(detection[taken], np.flatnonzero(chosen >= 0))
    assert len(np.unique(truth[taken])) == len(taken)
    assert pairs.iou[taken].sum() == pytest.approx(largest_by_permutation(total), abs=1e-12)


@pytest.mark.parametrize("mode", ["coco", "any", "hungarian"])
@pytest.mark.parametrize("zero_iou", ["strict", "reference"])
def test_blocks_change_no_matching(
    mode: Any, zero_iou: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, truth = scene(np.random.default_rng(5), 400, 150, n_images=6)
    options: dict[str, Any] = {"iou_threshold": 0.0, "mode": mode, "zero_iou": zero_iou}
    whole = match(found, truth, **options)
    monkeypatch.setattr(core, "PAIR_BUDGET", 3)
    assert same(match(found, truth, **options), whole)
