from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.detection import (
    Detections,
    GroundTruth,
    MatchedScores,
    NoOptimalThresholdWarning,
    apply_thresholds,
    lrp_curve,
    lrp_optimal_thresholds,
    match,
)

BOX = [0.0, 0.0, 4.0, 4.0]


def simulated(seed: int, n_classes: int = 4, n: int = 120) -> MatchedScores:
    rng = np.random.default_rng(seed)
    hit = rng.random(n) < 0.5
    return MatchedScores(
        labels=rng.integers(1, n_classes + 1, n),
        scores=np.round(rng.random(n), 2),
        is_true_positive=hit,
        iou=np.where(hit, rng.random(n), 0.0),
        class_label=np.arange(1, n_classes + 2),
        n_truth=np.full(n_classes + 1, n),
        iou_threshold=0.0,
    )


def part_of(rows: MatchedScores, keep: np.ndarray, n_truth: np.ndarray) -> MatchedScores:
    return MatchedScores(
        rows.labels[keep],
        rows.scores[keep],
        rows.is_true_positive[keep],
        rows.iou[keep],
        rows.class_label,
        n_truth,
        rows.iou_threshold,
    )


@pytest.mark.shared_data
def test_published_thresholds(shared_data: Path) -> None:
    """All 80 classes of YOLOX-Nano on the first half, to the last digit."""
    folder = shared_data / "detection"
    with gzip.open(folder / "coco_val2017_1229_gt_minival.json.gz") as file:
        truth = json.load(file)
    with gzip.open(folder / "yolox_nano_dets.json.gz") as file:
        found = json.load(file)
    images = {image["id"] for image in truth["images"]}
    found = [row for row in found if row["image_id"] in images]
    detections = Detections.from_arrays(
        [row["bbox"] for row in found],
        [row["score"] for row in found],
        [row["category_id"] for row in found],
        [row["image_id"] for row in found],
        box_format="xywh",
    )
    rows = truth["annotations"]
    annotated = GroundTruth(
        [[*row["bbox"][:2], *np.add(row["bbox"][:2], row["bbox"][2:])] for row in rows],
        [row["category_id"] for row in rows],
        [row["image_id"] for row in rows],
        ignore=[row["iscrowd"] for row in rows],
        images=[image["id"] for image in truth["images"]],
    )
    expected = json.loads(
        (folder / "oracle" / "lrp_thresholds_minival_yolox_nano.json").read_text()
    )["first"]
    thresholds = lrp_optimal_thresholds(detections, annotated, zero_iou="reference")
    assert [thresholds[label] for label in sorted(thresholds)] == expected


def test_by_hand() -> None:
    found = Detections(
        [BOX, [20, 0, 24, 4], [0, 10, 4, 12], [40, 0, 44, 4]],
        [0.9, 0.6, 0.5, 0.1],
        [1, 1, 1, 1],
        [7, 7, 7, 7],
    )
    truth = GroundTruth([BOX, [0, 10, 4, 14]], [1, 1], [7, 7])
    curve = lrp_curve(found, truth)
    assert curve.score.tolist() == [0.9, 0.6, 0.5, 0.1]
    np.testing.assert_allclose(curve.lrp, [1 / 2, 2 / 3, 1.5 / 3, 2.5 / 4])
    assert curve.n_true_positive.tolist() == [1, 1, 2, 2]
    assert curve.n_false_positive.tolist() == [0, 1, 1, 2]
    assert lrp_optimal_thresholds(found, truth) == {1: 0.9}  # the larger score of two optima
    half = lrp_curve(found, truth, iou_threshold=0.5)
    np.testing.assert_allclose(half.lrp, [1 / 2, 2 / 3, 2 / 3, 3 / 4])


def test_equal_scores_are_not_split() -> None:
    found = Detections([BOX, [20, 0, 24, 4]], [0.5, 0.5], [1, 1], [7, 7])
    truth = GroundTruth([BOX], [1], [7])
    curve = lrp_curve(found, truth)
    assert (curve.score.tolist(), curve.lrp.tolist()) == ([0.5], [0.5])


def test_ignored_detections_do_not_count() -> None:
    found = Detections([[20, 0, 24, 4], BOX], [0.9, 0.5], [1, 1], [7, 7])
    truth = GroundTruth([BOX, [18, 0, 26, 4]], [1, 1], [7, 7], ignore=[False, True])
    assert lrp_optimal_thresholds(found, truth) == {1: 0.5}
    assert lrp_curve(found, truth).lrp.tolist() == [0.0]


def test_classes_without_optimum() -> None:
    """Class 1 has one, 2 is never found, 3 has no box, 4 is only named."""
    found = Detections([BOX, [20, 0, 24, 4], BOX], [0.6, 0.9, 0.3], [1, 2, 3], [7, 7, 7])
    truth = GroundTruth([BOX, BOX], [1, 2], [7, 7], class_names={1: "a", 2: "b", 3: "c", 4: "d"})
    with pytest.warns(NoOptimalThresholdWarning, match=r"2 of 4 classes .* \(\[2, 3\]\)"):
        pooled = lrp_optimal_thresholds(found, truth)
    assert pooled == {1: 0.6, 2: 0.6, 3: 0.6, 4: 0.6}
    with pytest.warns(NoOptimalThresholdWarning, match="all their detections are kept"):
        keep = lrp_optimal_thresholds(found, truth, fallback="keep")
    assert keep == {1: 0.6, 2: 0.0, 3: 0.0, 4: 0.0}


def test_named_classes_take_the_fallback_silently() -> None:
    truth = GroundTruth([BOX], [1], [7], class_names={1: "a", 4: "d"})
    found = Detections([BOX], [0.6], [1], [7])
    assert lrp_optimal_thresholds(found, truth) == {1: 0.6, 4: 0.6}


def test_nothing_found() -> None:
    empty = Detections(np.empty((0, 4)), [], [], [])
    truth = GroundTruth([BOX], [1], [7])
    with pytest.warns(NoOptimalThresholdWarning):
        assert lrp_optimal_thresholds(empty, truth) == {1: 0.0}
    assert len(lrp_curve(empty, truth).lrp) == 0
    nothing = GroundTruth(np.empty((0, 4)), [], [])
    assert lrp_optimal_thresholds(empty, nothing) == {}


def test_pooled_threshold_skips_classes_without_boxes() -> None:
    found = Detections([BOX, BOX], [0.6, 0.9], [1, 3], [7, 7])
    truth = GroundTruth([BOX], [1], [7])
    rows = MatchedScores.from_matches(
        found, truth, match(found, truth, iou_threshold=0.0), iou_threshold=0.0
    )
    assert rows.pooled_threshold() == 0.6


def test_apply() -> None:
    found = Detections([BOX] * 3, [0.9, 0.5, 0.4], [1, 2, 2], [7, 7, 7])
    assert apply_thresholds(found, None).all()
    assert apply_thresholds(found, 0.5).tolist() == [True, True, False]
    assert apply_thresholds(found, {1: 0.95, 2: 0.4}).tolist() == [False, True, True]
    assert apply_thresholds(found, {1: 0.95}, default=0.45).tolist() == [False, True, False]
    empty = Detections(np.empty((0, 4)), [], [], [])
    assert apply_thresholds(empty, {}).shape == (0,)


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ("0.5", "threshold must be a number"),
        (True, "threshold must be a number"),
        (float("nan"), "threshold must be a number"),
        ({1: 0.5}, r"no entry for 1 classes of the detections \(\[2\]\)"),
        ({1: 0.5, 2: None}, "no entry for 1 classes"),
        ({1: 0.5, 2: "a"}, r"threshold\[2\] must be a number"),
    ],
)
def test_bad_thresholds(threshold: object, message: str) -> None:
    found = Detections([BOX] * 2, [0.9, 0.5], [1, 2], [7, 7])
    with pytest.raises(ValueError, match=message):
        apply_thresholds(found, threshold)  # type: ignore[arg-type]


def test_bad_options() -> None:
    found, truth = Detections([BOX], [0.9], [1], [7]), GroundTruth([BOX], [1], [7])
    with pytest.raises(ValueError, match="fallback must be one of"):
        lrp_optimal_thresholds(found, truth, fallback="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="iou_threshold must lie in"):
        lrp_optimal_thresholds(found, truth, iou_threshold=1.0)
    with pytest.raises(ValueError, match="default must be a number"):
        apply_thresholds(found, {1: 0.5}, default="a")  # type: ignore[arg-type]
    one, two = (
        MatchedScores.from_matches(
            found, truth, match(found, truth, iou_threshold=tau), iou_threshold=tau
        )
        for tau in (0.0, 0.5)
    )
    with pytest.raises(ValueError, match="different iou_threshold"):
        one + two
    with pytest.raises(TypeError):
        simulated(0) + 1  # type: ignore[operator]


# -------------------------------------------------------------------------------------- properties


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_curve_is_the_definition(seed: int) -> None:
    rows = simulated(seed)
    curve = rows.curve()
    for label, score, lrp in zip(curve.class_label, curve.score, curve.lrp, strict=True):
        kept = (rows.labels == label) & (rows.scores >= score)
        hit = kept & rows.is_true_positive
        n, n_hit = kept.sum(), hit.sum()
        total = rows.n_truth[0]
        expected = ((1 - rows.iou[hit]).sum() + (n - n_hit) + total - n_hit) / (n - n_hit + total)
        assert lrp == pytest.approx(expected, abs=1e-12)
    for label, threshold in rows.optimal_thresholds().items():
        own = curve.class_label == label
        assert threshold == curve.score[own][np.argmin(curve.lrp[own])]


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_order_and_partition_leave_no_trace(seed: int) -> None:
    rows = simulated(seed)
    rng = np.random.default_rng(seed)
    shuffled = part_of(rows, rng.permutation(len(rows.labels)), rows.n_truth)
    owner, share = rng.integers(0, 3, len(rows.labels)), rng.integers(0, 40, (2, 5))
    counts = [share[0], share[1], rows.n_truth - share.sum(axis=0)]
    parts = [part_of(rows, owner == k, counts[k]) for k in range(3)]
    merged = parts[2] + (parts[0] + parts[1])
    for other in (shuffled, merged):
        assert other.optimal_thresholds() == rows.optimal_thresholds()
        assert other.pooled_threshold() == rows.pooled_threshold()
        np.testing.assert_array_equal(other.curve().lrp, rows.curve().lrp)
