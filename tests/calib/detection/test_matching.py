"""`match` against a plain sequential implementation, by hand, and its invariances."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.detection import Detections, GroundTruth, Matches, match
from tests.support.overlapping import FIELDS, same, scene


def overlap(a: np.ndarray, b: np.ndarray, covering: bool) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area, other = ((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
    return float(width * height / (area if covering else area + other - width * height))


def serve_one_by_one(
    found: Detections,
    truth: GroundTruth,
    threshold: float,
    *,
    reference: bool = False,
    limit: int | None = 100,
    area_range: tuple[float, float] | None = None,
) -> dict[str, list[Any]]:
    """The definition, box by box."""
    n, m = len(found), len(truth)
    out: dict[str, list[Any]] = {
        "is_true_positive": [False] * n,
        "iou": [0.0] * n,
        "truth_index": [-1] * n,
        "is_ignored": [False] * n,
        "is_evaluated": [False] * n,
    }
    low, high = area_range or (0, np.inf)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    for image in truth.images:
        for label in np.unique(found.labels):
            rows = [d for d in range(n) if found.image_id[d] == image and found.labels[d] == label]
            rows = sorted(rows, key=lambda d: -found.scores[d])[:limit]
            regions = [
                g for g in range(m) if truth.image_id[g] == image and truth.labels[g] == label
            ]
            ignored = {g: truth.ignore[g] or not low <= truth.area[g] <= high for g in regions}
            regions = sorted(regions, key=ignored.get)  # type: ignore[arg-type]
            used: set[int] = set()
            for d in rows:
                out["is_evaluated"][d] = True
                best, at = -1, min(threshold, 1 - 1e-10)
                for g in regions:
                    if g in used and not truth.ignore[g]:
                        continue
                    if best >= 0 and not ignored[best] and ignored[g]:
                        break
                    q = overlap(found.boxes[d], truth.boxes[g], bool(truth.ignore[g]))
                    if q < at or (q == 0 and not reference):
                        continue
                    best, at = g, q
                out["truth_index"][d] = best
                if best < 0:
                    out["is_ignored"][d] = not low <= sides[d].prod() <= high
                    continue
                used.add(best)
                out["is_ignored"][d] = bool(ignored[best])
                out["is_true_positive"][d] = not ignored[best]
                out["iou"][d] = 0.0 if ignored[best] else at
    return out


seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(0, 25)
thresholds = st.sampled_from([0.0, 1e-9, 0.25, 1 / 3, 0.5, 0.75, 1.0])


@settings(max_examples=300, deadline=None)
@given(
    seeds,
    sizes,
    sizes,
    thresholds,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 1, 3, 100]),
    st.sampled_from([None, (0, 6), (4, 9), (6, 1e10)]),
)
def test_equals_serving_one_by_one(
    seed: int,
    n: int,
    m: int,
    threshold: float,
    reference: bool,
    texts: bool,
    limit: int | None,
    area_range: tuple[float, float] | None,
) -> None:
    found, truth = scene(np.random.default_rng(seed), n, m, texts=texts)
    matches = match(
        found,
        truth,
        iou_threshold=threshold,
        zero_iou="reference" if reference else "strict",
        max_detections=limit,
        area_range=area_range,
    )
    expected = serve_one_by_one(
        found, truth, threshold, reference=reference, limit=limit, area_range=area_range
    )
    for name in FIELDS:
        assert getattr(matches, name).tolist() == expected[name], name


@settings(deadline=None)
@given(seeds, sizes, sizes, thresholds)
def test_low_scores_never_change_the_matches_of_others(
    seed: int, n: int, m: int, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    found, truth = scene(rng, n, m)
    cut = {label: rng.random() for label in np.unique(found.labels)}
    keep = np.array([s >= cut[c] for s, c in zip(found.scores, found.labels, strict=True)], bool)
    whole = match(found, truth, iou_threshold=threshold)
    assert same(match(found[keep], truth, iou_threshold=threshold), whole[keep])


@settings(deadline=None)
@given(seeds, sizes, sizes, thresholds, st.sampled_from(["coco", "any", "hungarian"]))
def test_images_may_be_matched_apart(
    seed: int, n: int, m: int, threshold: float, mode: Any
) -> None:
    found, truth = scene(np.random.default_rng(seed), n, m, texts=bool(seed % 2))
    parts, truths = [], []
    for images in (truth.images[:1], truth.images[1:]):
        truths.append(truth.in_images(images))
        parts.append(found[np.isin(found.image_id, images)])
    apart = [
        match(f, t, iou_threshold=threshold, mode=mode) for f, t in zip(parts, truths, strict=True)
    ]
    whole = match(
        Detections.concat(parts), GroundTruth.concat(truths), iou_threshold=threshold, mode=mode
    )
    assert same(Matches.concat(apart, [len(t) for t in truths]), whole)


def test_thousands_of_boxes_in_one_image() -> None:
    rng = np.random.default_rng(0)
    corner = rng.random((2000, 2)) * 400
    truth = GroundTruth(np.hstack([corner, corner + 20]), np.ones(2000, int), np.zeros(2000, int))
    moved = np.tile(truth.boxes, (2, 1)) + np.tile(rng.normal(0, 3, (4000, 2)), 2)
    found = Detections(moved, rng.random(4000), np.ones(4000, int), np.zeros(4000, int))
    matches = match(found, truth, max_detections=None)
    taken = matches.truth_index[matches.is_true_positive]
    assert len(np.unique(taken)) == len(taken) > 1000
    assert match(found, truth).is_evaluated.all()
    assert match(found, truth, max_detections=100).is_evaluated.sum() == 100
    expected = serve_one_by_one(found[:200], truth[:200], 0.5, limit=None)
    assert match(found[:200], truth[:200], max_detections=None).iou.tolist() == expected["iou"]


def test_by_hand_ties_go_to_the_first_detection_and_the_last_box() -> None:
    box = [0, 0, 4, 4]
    found = Detections([box, box, box], [0.5, 0.5, 0.5], [1, 1, 1], [1, 1, 1])
    matches = match(found, GroundTruth([box, box], [1, 1], [1, 1]))
    assert matches.truth_index.tolist() == [1, 0, -1]
    assert matches.valid.all()


def test_by_hand_threshold_zero() -> None:
    """A box that touches nothing uses up a box only in the reading for comparison."""
    found = Detections([[8, 8, 9, 9], [0, 0, 4, 2]], [0.9, 0.8], [1, 1], [1, 1])
    truth = GroundTruth([[0, 0, 4, 4]], [1], [1])
    strict = match(found, truth, iou_threshold=0)
    assert strict.is_true_positive.tolist() == [False, True]
    assert strict.iou.tolist() == [0, 0.5]
    reference = match(found, truth, iou_threshold=0, zero_iou="reference")
    assert reference.is_true_positive.tolist() == [True, False]
    assert reference.truth_index.tolist() == [0, -1]
    assert reference.iou.tolist() == [0, 0]


def test_by_hand_area_range() -> None:
    """A box outside the range is used up like others, but whoever finds it is ignored."""
    found = Detections(
        [[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 52, 52]], [0.9, 0.8, 0.7], [1, 1, 1], [1, 1, 1]
    )
    truth = GroundTruth([[0, 0, 10, 10]], [1], [1], area=[50.0])
    matches = match(found, truth, area_range=(80, 100))
    assert matches.truth_index.tolist() == [0, -1, -1]
    assert matches.is_ignored.tolist() == [True, False, True]
    assert match(found, truth, area_range=(50, 50)).is_ignored.tolist() == [False, True, True]


def test_by_hand_any() -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 6], [20, 0, 30, 10], [40, 0, 50, 10]]
    found = Detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 2, 2, 2], [7] * 5)
    truth = GroundTruth(
        [[0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 8], [40, 0, 60, 10]],
        [1, 2, 1, 2],
        [7] * 4,
        ignore=[0, 0, 0, 1],
    )
    matches = match(found, truth, mode="any")
    # both detections of class 1 share the first box; the third overlaps most with class 2 (5/6);
    # the fourth overlaps most with a box of class 1 and is wrong; the fifth lies on a crowd
    assert matches.truth_index.tolist() == [0, 0, 1, -1, 3]
    assert matches.is_true_positive.tolist() == [True, True, True, False, False]
    assert matches.iou.tolist() == [1, 0.9, 5 / 6, 0, 0]
    assert matches.is_ignored.tolist() == [False] * 4 + [True]
    taller = match(found[[2]].replaced({"labels": np.array([1])}), truth, mode="any")
    assert not taller.is_true_positive.any()


@settings(deadline=None)
@given(seeds, sizes, sizes, thresholds, st.booleans())
def test_any_equals_box_by_box(seed: int, n: int, m: int, threshold: float, texts: bool) -> None:
    found, truth = scene(np.random.default_rng(seed), n, m, texts=texts, crowds=0.0)
    matches = match(found, truth, iou_threshold=threshold, mode="any", max_detections=None)
    for d in range(n):
        here = np.flatnonzero(truth.image_id == found.image_id[d])
        iou = [overlap(found.boxes[d], truth.boxes[g], False) for g in here]
        best = max(zip(iou, here.tolist(), strict=True), default=(0.0, -1))
        right = best[0] > 0 and best[0] >= min(threshold, 1 - 1e-10)
        right = right and truth.labels[best[1]] == found.labels[d]
        assert matches.truth_index[d] == (best[1] if right else -1)
        assert matches.iou[d] == (best[0] if right else 0)


@settings(deadline=None)
@given(seeds, sizes, sizes, thresholds)
def test_hungarian_has_no_smaller_total(seed: int, n: int, m: int, threshold: float) -> None:
    found, truth = scene(np.random.default_rng(seed), n, m)
    best = match(found, truth, iou_threshold=threshold, mode="hungarian")
    greedy = match(found, truth, iou_threshold=threshold)
    assert best.iou.sum() >= greedy.iou.sum() - 1e-12
    taken = best.truth_index[best.is_true_positive]
    assert len(np.unique(taken)) == len(taken)
    assert (best.iou[best.is_true_positive] >= min(threshold, 1 - 1e-10)).all()
    assert truth.ignore[best.truth_index[best.is_ignored]].all()
    assert not (best.is_ignored & best.is_true_positive).any()


def test_hungarian_takes_what_greedy_gives_away() -> None:
    found = Detections([[0, 0, 10, 8], [0, 0, 10, 10]], [0.9, 0.8], [1, 1], [1, 1])
    truth = GroundTruth([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10]], [1] * 3, [1] * 3)
    truth = truth.replaced({"ignore": np.array([False, False, True])})
    assert match(found, truth).truth_index.tolist() == [0, 1]
    best = match(found, truth, mode="hungarian")
    assert best.truth_index.tolist() == [1, 0]
    assert best.iou.tolist() == [5 / 8, 1]
    high = match(found, truth, mode="hungarian", iou_threshold=0.7)
    assert high.truth_index.tolist() == [2, 0]
    assert high.is_ignored.tolist() == [True, False]


@pytest.mark.parametrize("texts", [False, True])
def test_federated_annotation_by_hand(texts: bool) -> None:
    def image(number: int) -> Any:
        return f"image {number}" if texts else number

    box, far = [0, 0, 4, 4], [90, 90, 94, 94]
    truth = GroundTruth(
        [box, box],
        [1, 2],
        [image(1), image(1)],
        images=[image(1), image(22)],
        negative=[[image(1), 3], [image(22), 1], [image(22), 99]],
        not_exhaustive=[[image(1), 2]],
    )
    found = Detections(
        [far, far, box, far, far, far, far],
        [0.9] * 7,
        [1, 2, 2, 3, 4, 1, 2],
        [image(i) for i in (1, 1, 1, 1, 1, 22, 22)],
    )
    matches = match(found, truth)
    # image 1: wrong; perhaps right, not all of class 2 are marked; right; wrong, verified absent;
    # nobody looked for class 4. Image 22: verified absent; nobody looked for class 2
    assert matches.is_evaluated.tolist() == [True, True, True, True, False, True, False]
    assert matches.is_ignored.tolist() == [False, True] + [False] * 5
    assert matches.is_true_positive.tolist() == [False, False, True] + [False] * 4
    whole = match(found, truth.replaced({"negative": None}))
    assert whole.is_evaluated.all()


def test_negative_pairs_without_any_annotated_box() -> None:
    truth = GroundTruth(np.empty((0, 4)), [], [], images=["a", "b"], negative=[["b", 5]])
    found = Detections([[0, 0, 1, 1]] * 2, [0.5, 0.5], [5, 5], ["a", "b"])
    assert match(found, truth).is_evaluated.tolist() == [False, True]


def test_either_side_may_be_empty() -> None:
    found, truth = scene(np.random.default_rng(0), 9, 9)
    for mode in ("coco", "any", "hungarian"):
        assert len(match(found[:0], truth, mode=mode)) == 0  # type: ignore[arg-type]
        alone = match(found, truth[:0], mode=mode, iou_threshold=0)  # type: ignore[arg-type]
        assert alone.valid.all()
        assert not alone.is_true_positive.any()
        none = GroundTruth(np.empty((0, 4)), [], [])
        assert len(match(found[:0], none, mode=mode)) == 0  # type: ignore[arg-type]


def test_class_ids_may_be_anything() -> None:
    found, truth = scene(np.random.default_rng(1), 60, 40)
    far = {0: -(2**62), 7: 5, 14: 2**62}
    moved = found.replaced({"labels": np.array([far[c] for c in found.labels])})
    moved_truth = truth.replaced({"labels": np.array([far[c] for c in truth.labels])})
    assert same(match(moved, moved_truth), match(found, truth))


def test_selection_concatenation_and_text() -> None:
    found, truth = scene(np.random.default_rng(2), 12, 8)
    matches = match(found, truth)
    assert len(matches[:5]) == 5
    assert len(matches[matches.valid]) == matches.valid.sum()
    twice = Matches.concat([matches, matches], [len(truth), len(truth)])
    assert (twice.truth_index[12:] - twice.truth_index[:12] == 8 * (matches.truth_index >= 0)).all()
    with pytest.raises(ValueError, match="one number per part"):
        Matches.concat([matches], [])
    one = match(Detections([[0, 0, 1, 1]], [0.5], [1], [1]), GroundTruth([[0, 0, 1, 1]], [1], [1]))
    assert repr(one) == (
        "Matches(1 detection: 1 true positive, 0 false positives, 0 ignored, 0 not evaluated)"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"iou_threshold": 1.5}, r"iou_threshold must lie in \[0, 1\]; got 1.5"),
        ({"iou_threshold": float("nan")}, "iou_threshold must lie"),
        ({"iou_threshold": "0.5"}, "iou_threshold must be a number"),
        ({"mode": "best"}, "mode must be one of"),
        ({"zero_iou": "loose"}, "zero_iou must be one of"),
        ({"max_detections": 0}, "max_detections must be >= 1"),
        ({"area_range": (5, 1)}, "area_range must be a pair"),
        ({"area_range": 5}, "area_range must be a pair"),
        ({"area_range": (0, 1), "mode": "any"}, "no meaning for mode='any'"),
    ],
)
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    found, truth = scene(np.random.default_rng(2), 3, 3)
    with pytest.raises(ValueError, match=text):
        match(found, truth, **options)


def test_unknown_images() -> None:
    found = Detections([[0, 0, 1, 1]] * 3, [0.5] * 3, [1] * 3, [1, 8, 9])
    with pytest.raises(ValueError, match=r"2 image\(s\) that .* does not list, first \[8, 9\]"):
        match(found, GroundTruth([[0, 0, 1, 1]], [1], [1]))
    with pytest.raises(ValueError, match="mix texts and integers"):
        match(found, GroundTruth([[0, 0, 1, 1]], [1], ["1"]))
    with pytest.raises(ValueError, match="does not list"):
        match(found, GroundTruth(np.empty((0, 4)), [], []))


@pytest.mark.shared_data
def test_real_detector(shared_data: Path) -> None:
    """YOLOX-Nano on the test half: numbers of valid and of true detections are known."""
    found, truth = read_real(shared_data, "minitest")
    matches = match(found, truth)
    assert int(matches.valid.sum()) == 51734
    assert matches.is_true_positive.sum() / 51734 == pytest.approx(0.04527, abs=5e-6)
    confident = matches.valid & (found.scores >= 0.3)
    assert int(confident.sum()) == 2170
    assert matches.is_true_positive[confident].mean() == pytest.approx(0.65806, abs=5e-6)


def read_real(folder: Path, part: str) -> tuple[Detections, GroundTruth]:
    with gzip.open(folder / "detection" / f"coco_val2017_1229_gt_{part}.json.gz") as file:
        truth = json.load(file)
    with gzip.open(folder / "detection" / "yolox_nano_dets.json.gz") as file:
        found = json.load(file)
    images = {image["id"] for image in truth["images"]}
    found = [row for row in found if row["image_id"] in images]
    rows = truth["annotations"]
    return (
        Detections.from_arrays(
            [row["bbox"] for row in found],
            [row["score"] for row in found],
            [row["category_id"] for row in found],
            [row["image_id"] for row in found],
            box_format="xywh",
        ),
        GroundTruth(
            [[x, y, x + w, y + h] for x, y, w, h in (row["bbox"] for row in rows)],
            [row["category_id"] for row in rows],
            [row["image_id"] for row in rows],
            ignore=[row["iscrowd"] for row in rows],
            area=[row["area"] for row in rows],
            images=sorted(images),
        ),
    )
