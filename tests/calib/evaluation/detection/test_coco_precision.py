"""Average precision against a plain implementation, other packages, and known numbers."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.detection import Detections, GroundTruth, match
from calib.evaluation import AveragePrecision, NothingToMeasureWarning, average_precision

RANGES = {
    "": (0.0, 1e10),
    "_small": (0.0, 32.0**2),
    "_medium": (32.0**2, 96.0**2),
    "_large": (96.0**2, 1e10),
}
THRESHOLDS = np.linspace(0.5, 0.95, 10)
NUMBERS = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


def scene(
    seed: int, n_truth: int = 60, n_images: int = 8, n_classes: int = 4, *, texts: bool = False
) -> tuple[Detections, GroundTruth]:
    """Boxes of all sizes with near misses, duplicates, crowds and equal scores."""
    rng = np.random.default_rng(seed)
    names = np.array([f"img{i:03}" for i in range(n_images)]) if texts else np.arange(n_images)

    def spread(n: int) -> np.ndarray:
        corner = rng.integers(0, 400, (n, 2))
        return np.hstack([corner, corner + rng.integers(4, 160, (n, 2))]).astype(float)

    boxes = spread(n_truth)
    image, label = rng.integers(0, n_images, n_truth), rng.integers(1, n_classes + 1, n_truth)
    size = boxes[:, 2:] - boxes[:, :2]
    truth = GroundTruth(
        boxes,
        label,
        names[image],
        ignore=rng.random(n_truth) < 0.15,
        area=np.round(size.prod(axis=1) * rng.uniform(0.6, 1, n_truth)),
        images=names,
    )
    near = rng.integers(0, n_truth, 3 * n_truth)
    moved = boxes[near] + rng.integers(-9, 10, (len(near), 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
    n_false = 2 * n_truth
    found = Detections(
        np.vstack([moved, spread(n_false)]),
        rng.integers(0, 40, len(near) + n_false) / 40,
        np.append(label[near], rng.integers(1, n_classes + 2, n_false)),
        names[np.append(image[near], rng.integers(0, n_images, n_false))],
    )
    return found[rng.permutation(len(found))], truth


def step_by_step(found: Detections, truth: GroundTruth, limit: int | None) -> dict[str, float]:
    """The definition in loops over sizes, classes, thresholds and recalls."""
    out = {}
    for name, (low, high) in RANGES.items():
        counted = ~truth.ignore & (truth.area >= low) & (truth.area <= high)
        ap: dict[float, list[float]] = {t: [] for t in THRESHOLDS}
        ar: dict[int, list[float]] = {k: [] for k in (1, 10, 100)}
        for t in THRESHOLDS:
            matches = match(
                found, truth, iou_threshold=t, max_detections=limit, area_range=(low, high)
            )
            few = {
                k: match(found, truth, iou_threshold=t, max_detections=min(k, limit or k))
                for k in ar
            }
            for label in np.unique(truth.labels[counted]):
                n = int((counted & (truth.labels == label)).sum())
                rows = np.flatnonzero(matches.valid & (found.labels == label))
                rows = rows[np.lexsort((rows, found.image_id[rows], -found.scores[rows]))]
                right = matches.is_true_positive[rows]
                recall = np.cumsum(right) / n
                precision = np.cumsum(right) / np.arange(1, len(rows) + 1)
                read = [
                    precision[recall >= r].max() if len(rows) and recall[-1] >= r else 0.0
                    for r in np.linspace(0, 1, 101)
                ]
                ap[t].append(float(np.mean(read)))
                if name:
                    ar[1].append(right.sum() / n)
                else:
                    for k in ar:
                        hit = few[k].is_true_positive & (found.labels == label)
                        ar[k].append(hit.sum() / n)
        out["ap" + name] = _mean([v for values in ap.values() for v in values])
        if name:
            out["ar" + name] = _mean(ar[1])
        else:
            out["ap50"], out["ap75"] = _mean(ap[THRESHOLDS[0]]), _mean(ap[THRESHOLDS[5]])
            out |= {f"ar_{k}": _mean(values) for k, values in ar.items()}
    return out


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def numbers(result: AveragePrecision) -> dict[str, float]:
    return {name: getattr(result, name) for name in NUMBERS}


@pytest.mark.parametrize("limit", [None, 100, 3])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition_step_by_step(seed: int, limit: int | None) -> None:
    found, truth = scene(seed, texts=seed == 1)
    result = average_precision(found, truth, max_detections=limit)
    expected = step_by_step(found, truth, limit)
    assert numbers(result) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert result.ap > 0.05


@pytest.mark.oracle
@pytest.mark.parametrize("backend", ["pycocotools", "faster_coco_eval"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_other_packages(seed: int, backend: Any) -> None:
    """With crowds, sizes, equal scores and images without boxes."""
    pytest.importorskip(backend)
    n_truth, n_images = ((60, 8), (300, 12), (5, 30), (40, 1))[seed % 4]
    found, truth = scene(seed, n_truth, n_images, texts=seed % 2 == 0)
    for limit in (100, 5, 1, 200, None):
        ours = average_precision(found, truth, max_detections=limit)
        theirs = average_precision(found, truth, max_detections=limit, backend=backend)
        assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-12, nan_ok=True)
        assert ours.per_class == pytest.approx(theirs.per_class, abs=1e-12, nan_ok=True)
        np.testing.assert_allclose(ours.precision, theirs.precision, rtol=0, atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("backend", ["pycocotools", "faster_coco_eval"])
def test_other_packages_on_nothing_found(backend: Any) -> None:
    pytest.importorskip(backend)
    found, truth = scene(0)
    ours = average_precision(found[:0], truth)
    theirs = average_precision(found[:0], truth, backend=backend)
    assert numbers(ours) == pytest.approx(numbers(theirs), nan_ok=True)
    assert ours.ap == 0


@pytest.mark.oracle
@pytest.mark.parametrize("backend", ["pycocotools", "faster_coco_eval"])
def test_other_packages_with_other_thresholds(backend: Any) -> None:
    pytest.importorskip(backend)
    found, truth = scene(4)
    options: dict[str, Any] = {"iou_thresholds": [0.9, 0.3, 0.6]}
    ours = average_precision(found, truth, **options)
    theirs = average_precision(found, truth, backend=backend, **options)
    assert numbers(ours) == pytest.approx(numbers(theirs), nan_ok=True, abs=1e-12)
    assert np.isnan(ours.ap50)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("part", "ap", "ap50", "ap75"),
    [
        ("all", 25.236, 40.635, 26.573),
        ("minival", 26.134, 41.637, 27.662),
        ("minitest", 26.274, 41.766, 27.185),
    ],
)
def test_real_detector(shared_data: Path, part: str, ap: float, ap50: float, ap75: float) -> None:
    """YOLOX-Nano; four packages gave these numbers."""
    result = average_precision(*read_real(shared_data, part))
    found = [100 * result.ap, 100 * result.ap50, 100 * result.ap75]
    assert found == pytest.approx([ap, ap50, ap75], abs=5.1e-4)


@pytest.mark.shared_data
@pytest.mark.oracle
def test_real_detector_in_all_numbers(shared_data: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    found, truth = read_real(shared_data, "minitest")
    ours = average_precision(found, truth)
    theirs = average_precision(found, truth, backend="faster_coco_eval")
    assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-12)
    np.testing.assert_allclose(ours.precision, theirs.precision, rtol=0, atol=1e-12)


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


# ---------------------------------------------------------------------- by hand and invariants


def test_by_hand() -> None:
    """Right, wrong, right at low thresholds: precision 1 up to recall 1/2, 2/3 up to 1."""
    truth = GroundTruth([[0, 0, 40, 40], [50, 0, 90, 40]], [1, 1], [7, 8])
    boxes = [[0, 0, 40, 40], [0, 0, 40, 9], [50, 0, 90, 32]]
    found = Detections(boxes, [0.9, 0.8, 0.7], [1, 1, 1], [7, 7, 8])
    result = average_precision(found, truth, iou_thresholds=[0.5, 0.75, 0.85])
    low, high = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert result.ap50 == result.ap75 == pytest.approx(low)
    assert result.ap == pytest.approx((2 * low + high) / 3)
    assert result.ap_medium == pytest.approx((2 + high) / 3), "the wrong box is small: ignored"
    assert result.ar_1 == result.ar_100 == result.ar_medium == pytest.approx(2.5 / 3)
    assert np.isnan([result.ap_small, result.ap_large, result.ar_small, result.ar_large]).all()
    assert result.precision[0, [0, 50, 51, 100], 0].tolist() == [1, 1, 2 / 3, 2 / 3]
    assert result.precision[2, [0, 50, 51, 100], 0].tolist() == [1, 1, 0, 0]


def test_perfect_detector_and_silent_detector() -> None:
    _, truth = scene(1)
    truth = truth.replaced({"ignore": np.zeros(len(truth), dtype=bool)})
    found = Detections(truth.boxes, np.full(len(truth), 0.5), truth.labels, truth.image_id)
    perfect = average_precision(found, truth)
    assert perfect.ap == perfect.ap_small == perfect.ap_large == perfect.ar_100 == 1
    silent = average_precision(found[:0], truth)
    assert silent.ap == silent.ar_100 == silent.ap_medium == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_increasing_maps_and_order_of_rows_change_nothing(seed: int) -> None:
    found, truth = scene(seed, 25, 4)
    rng = np.random.default_rng(seed)
    found = found.with_scores(rng.permutation(len(found)) / len(found))
    before = average_precision(found, truth)
    shape = 0.2 + found.labels  # another increasing map for every class
    after = average_precision(found.with_scores(found.scores**shape), truth)
    assert numbers(after) == pytest.approx(numbers(before), nan_ok=True, abs=0)
    shuffled = average_precision(
        found[rng.permutation(len(found))], truth[rng.permutation(len(truth))]
    )
    assert numbers(shuffled) == pytest.approx(numbers(before), nan_ok=True, abs=1e-15)
    assert all(0 <= v <= 1 for v in numbers(before).values() if not np.isnan(v))
    assert (np.diff(before.precision, axis=1)[~np.isnan(before.precision[:, 1:])] <= 0).all()


def test_classes_without_counted_boxes_are_left_out() -> None:
    found, truth = scene(2)
    before = average_precision(found, truth)
    assert 5 not in before.per_class, "found, but annotated nowhere"
    crowd = GroundTruth([[0, 0, 50, 50]], [9], [999], ignore=[1])
    after = average_precision(found, GroundTruth.concat([truth, crowd]))
    assert numbers(after) == pytest.approx(numbers(before), nan_ok=True, abs=1e-15)
    assert np.isnan(after.per_class[9])
    assert np.isnan(after.precision[:, :, after.labels == 9]).all()


def test_nothing_annotated() -> None:
    found, truth = scene(2)
    for nothing in (
        GroundTruth(np.empty((0, 4)), [], [], images=truth.images),
        truth.replaced({"ignore": np.ones(len(truth), dtype=bool)}),
    ):
        with pytest.warns(NothingToMeasureWarning, match="no annotated box"):
            result = average_precision(found, nothing)
        assert np.isnan(list(numbers(result).values())).all()


def test_federated_annotation() -> None:
    """What nobody looked for is not wrong; other packages would count it, so they are refused."""
    box, far = [0, 0, 40, 40], [60, 60, 90, 90]
    truth = GroundTruth(
        [box, box], [1, 2], ["a", "b"], negative=[["b", 1]], not_exhaustive=[["b", 2]]
    )
    found = Detections(
        [far, box, far, far, box], [0.9, 0.8, 0.95, 0.9, 0.8], [2, 1, 1, 2, 2], list("aabbb")
    )
    result = average_precision(found, truth)
    # class 1: verified absent in b, hence wrong there; class 2: not judged in a, ignored in b
    assert result.per_class == pytest.approx({1: 0.5, 2: 1.0})
    with pytest.raises(ValueError, match="does not obey"):
        average_precision(found, truth, backend="pycocotools")


def test_text_and_plain_numbers() -> None:
    found, truth = scene(2)
    result = average_precision(found, truth)
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["ap"] == result.ap
    assert plain["per_class"]["1"] == result.per_class[1]
    text = repr(result)
    assert text.startswith("Average precision, 4 classes, overlap 0.50 to 0.95\n")
    assert f"{result.ar_10:.4f}" in text
    single = average_precision(found[:0], truth[:1].replaced({"ignore": np.array([False])}))
    assert single.to_dict()["ap50"] == 0
    assert None in single.to_dict().values()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"iou_thresholds": [0.0, 0.5]}, r"numbers in \(0, 1\]"),
        ({"iou_thresholds": [[0.5]]}, "in one dimension"),
        ({"iou_thresholds": 0.5}, "in one dimension"),
        ({"iou_thresholds": []}, "one or more numbers"),
        ({"max_detections": 0}, "max_detections must be >= 1"),
        ({"backend": "auto"}, "backend must be one of"),
    ],
)
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        average_precision(*scene(0), **options)


@pytest.mark.parametrize("backend", ["builtin", "pycocotools"])
def test_unknown_images(backend: Any) -> None:
    found, truth = scene(0)
    moved = found.replaced({"image_id": found.image_id + 100})
    with pytest.raises(ValueError, match="does not list"):
        average_precision(moved, truth, backend=backend)


@pytest.mark.parametrize(
    ("backend", "package"),
    [("pycocotools", "pycocotools"), ("faster_coco_eval", "faster_coco_eval")],
)
def test_missing_package(backend: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}; pip install .*\[detection\]"):
        average_precision(*scene(0), backend=backend)
