"""Boxes that overlap nothing and class ids that count otherwise: said before a file is written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib.cli import main
from calib.datasets import make_detection_scenes
from calib.detection import (
    CorrespondenceWarning,
    DetectionCalibrator,
    Detections,
    GroundTruth,
    from_coco,
)
from calib.evaluation import detection_report

FOUND, TRUTH = make_detection_scenes(80, random_state=0)
SIZES = FOUND.image_size
Corners = np.ndarray


def extent(b: Corners) -> Corners:
    return b[:, 2:] - b[:, :2]


#: Mistakes with boxes, and a word of the likely cause.
BOXES: dict[str, tuple[Callable[[Corners], Corners], str]] = {
    "normalised": (lambda b: b / np.tile(SIZES, 2), "normalised"),
    "thousandths": (lambda b: 1000 * b / np.tile(SIZES, 2), "thousandths|times the size|resized"),
    "corners as sizes": (
        lambda b: np.hstack([b[:, :2], b[:, :2] + b[:, 2:]]),
        r"corners \(xyxy\) were read as x, y, width, height",
    ),
    "centres as corners": (lambda b: b + 0.5 * np.tile(extent(b), 2), "cxcywh"),
    "x and y swapped": (lambda b: b[:, [1, 0, 3, 2]], "x and y are swapped"),
    "resized": (lambda b: b / np.tile(SIZES, 2) * 320, "resized to 320"),
    "letterboxed": (
        lambda b: b * 1280 / SIZES.max(axis=1, keepdims=True),
        "resized to 1280 at its longer side|times the size",
    ),
    "padded": (
        lambda b: (
            b * 1280 / SIZES.max(axis=1, keepdims=True)
            + np.tile(0.5 * (1280 - SIZES * 1280 / SIZES.max(axis=1, keepdims=True)), 2)
        ),
        "padded|times the size",
    ),
    "half": (lambda b: b / 2, "0.5 times the size|resized|other units"),
    "normalised centres": (
        lambda b: (b + 0.5 * np.tile(extent(b), 2)) / np.tile(SIZES, 2),
        "normalised",
    ),
}


def with_boxes(boxes: Corners, sizes: bool = True) -> Detections:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # boxes that leave their images
        return Detections(
            boxes, FOUND.scores, FOUND.labels, FOUND.image_id, SIZES if sizes else None
        )


def said(act: Callable[[], Any]) -> tuple[str, bool]:
    """Return what a call says, and whether it refuses."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            act()
        except ValueError as error:
            return str(error), True
    texts = [str(one.message) for one in caught if one.category is CorrespondenceWarning]
    return " ".join(texts), False


@pytest.mark.parametrize("mistake", BOXES)
@pytest.mark.parametrize("target", ["iou", "tp"])
def test_a_fit_names_the_likely_cause(mistake: str, target: Any) -> None:
    change, cause = BOXES[mistake]
    found = with_boxes(change(FOUND.boxes))
    text, _ = said(lambda: DetectionCalibrator(target=target).fit(found, TRUTH))
    assert "overlap" in text
    assert "annotated box" in text
    assert len([1 for word in cause.split("|") if word.replace("\\", "") in text]), text


@pytest.mark.parametrize("mistake", ["normalised", "corners as sizes", "x and y swapped", "half"])
def test_causes_are_found_without_sizes(mistake: str) -> None:
    found = with_boxes(BOXES[mistake][0](FOUND.boxes), sizes=False)
    truth = GroundTruth(TRUTH.boxes, TRUTH.labels, TRUTH.image_id, images=TRUTH.images)
    text, _ = said(lambda: DetectionCalibrator().fit(found, truth))
    assert "likely cause" in text


def test_annotations_may_be_the_ones_in_other_units() -> None:
    truth = GroundTruth(TRUTH.boxes / 1000.0, TRUTH.labels, TRUTH.image_id, images=TRUTH.images)
    text, refused = said(lambda: DetectionCalibrator().fit(FOUND, truth))
    assert refused
    assert "annotations are normalised" in text


def test_nothing_overlaps() -> None:
    far = with_boxes(FOUND.boxes + 1e5)
    with pytest.raises(ValueError, match="no detection overlaps an annotated box"):
        DetectionCalibrator().fit(far, TRUTH)
    cal = DetectionCalibrator(threshold=None).fit(*make_detection_scenes(80, random_state=1))
    with pytest.warns(CorrespondenceWarning, match="no detection overlaps an annotated box"):
        detection_report(far, TRUTH, calibrator=cal, n_resamples=5, n_floor=2)


def test_a_handful_of_boxes_is_not_refused() -> None:
    found = Detections([[0, 0, 5, 5], [0, 0, 5, 5]], [0.2, 0.4], [1, 1], [1, 2])
    truth = GroundTruth([[50, 50, 60, 60], [50, 50, 60, 60]], [1, 1], [1, 2])
    text, refused = said(lambda: DetectionCalibrator(threshold=None).fit(found, truth))
    assert not refused
    assert "no detection overlaps an annotated box" in text


@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize("named", [True, False])
def test_class_ids_shifted_by_one(shift: int, named: bool) -> None:
    found = FOUND.replaced({"labels": FOUND.labels + shift})
    truth = TRUTH if named else TRUTH.replaced({"class_names": None})
    text, _ = said(lambda: DetectionCalibrator(threshold=None).fit(found, truth))
    assert "overlap a box of another class only" in text
    assert "shifted by one" in text
    assert f"k {'-' if shift > 0 else '+'} 1" in text
    other, _, placed = text.split()[:3]
    assert int(other.replace(",", "")) <= int(placed.replace(",", ""))


@pytest.mark.parametrize("start", [0, 1])
def test_class_ids_without_gaps(start: int) -> None:
    """Networks count 0 to 79 where COCO's categories are 1 to 90 with gaps."""
    ids = np.array([1, 2, 5, 9, 13, 27, 64, 90])
    truth = TRUTH.replaced({"labels": ids[TRUTH.labels], "class_names": None})
    found = FOUND.replaced({"labels": FOUND.labels + start})
    text, _ = said(lambda: DetectionCalibrator(threshold=None).fit(found, truth))
    assert "another class only" in text
    assert f"start={start}" in text
    right = FOUND.replaced({"labels": ids[FOUND.labels]})
    assert said(lambda: DetectionCalibrator(threshold=None).fit(right, truth)) == ("", False)


def test_shuffled_classes_have_no_cheap_correction() -> None:
    order = np.array([3, 5, 0, 7, 1, 6, 2, 4])
    found = FOUND.replaced({"labels": order[FOUND.labels]})
    text, _ = said(lambda: DetectionCalibrator(threshold=None).fit(found, TRUTH))
    assert "another class only" in text
    assert "category_map" in text


@pytest.mark.parametrize("shift", [1, -1])
def test_image_ids_shifted_by_one(shift: int) -> None:
    image = (FOUND.image_id + shift) % 80
    found = FOUND.replaced({"image_id": image})
    text, _ = said(lambda: DetectionCalibrator(threshold=None).fit(found, TRUTH))
    assert "image ids are shifted by one" in text


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_images", [3, 30, 200])
def test_nothing_is_said_of_a_working_detector(n_images: int, seed: int) -> None:
    found, truth = make_detection_scenes(n_images, random_state=seed)
    for one in (found, found[found.scores > 0.7], found[found.scores < 0.5]):
        assert said(lambda one=one: DetectionCalibrator(threshold=None).fit(one, truth)) == (
            "",
            False,
        )


def test_nothing_is_said_of_a_poor_detector() -> None:
    """Every box off by a third of its size, every third class wrong."""
    rng = np.random.default_rng(0)
    shift = np.tile(0.3 * extent(FOUND.boxes) * rng.uniform(-1, 1, (len(FOUND), 2)), 2)
    labels = np.where(rng.random(len(FOUND)) < 1 / 3, rng.integers(0, 8, len(FOUND)), FOUND.labels)
    found = with_boxes(FOUND.boxes + shift).replaced({"labels": labels})
    assert said(lambda: DetectionCalibrator(threshold=None).fit(found, TRUTH)) == ("", False)


def test_a_report_says_it_too() -> None:
    cal = DetectionCalibrator(threshold=None).fit(*make_detection_scenes(80, random_state=1))
    found = with_boxes(FOUND.boxes / np.tile(SIZES, 2))
    with pytest.warns(CorrespondenceWarning, match="normalised"):
        detection_report(found, TRUTH, calibrator=cal, n_resamples=5, n_floor=2)


@pytest.mark.shared_data
def test_a_real_detector(shared_data: Path) -> None:
    folder = shared_data / "detection"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, truth = from_coco(
            folder / "yolox_nano_dets.json.gz",
            folder / "coco_val2017_1229_gt_minival.json.gz",
            unknown_images="drop",
        )
    assert said(lambda: DetectionCalibrator().fit(found, truth)) == ("", False)
    shifted = found.replaced({"labels": found.labels + 1})
    text, refused = said(lambda: DetectionCalibrator().fit(shifted, truth))
    assert refused
    assert "1,582 of 1,593 detections" in text
    position = np.searchsorted(np.array(sorted(truth.class_names)), found.labels)
    text, _ = said(lambda: DetectionCalibrator().fit(found.replaced({"labels": position}), truth))
    assert "dict(enumerate(sorted(category ids), start=0))" in text


@pytest.mark.parametrize("first", [0, 1])
def test_unknown_categories_that_count_on(first: int) -> None:
    document = {
        "images": [{"id": 1}],
        "categories": [{"id": k, "name": str(k)} for k in (1, 2, 5)],
        "annotations": [],
    }
    rows = [
        {"image_id": 1, "category_id": k + first, "bbox": [0, 0, 9, 9], "score": 0.5}
        for k in range(3)
    ]
    with pytest.raises(ValueError, match=rf"category_map.*count the 3 categories from {first}"):
        from_coco(rows, document)


# ---------------------------------------------------------------------- command line


@pytest.mark.filterwarnings("ignore::calib.detection.BoxFormatWarning")
@pytest.mark.parametrize("mistake", ["normalised", "far"])
def test_no_useless_file_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    boxes = FOUND.boxes / np.tile(SIZES, 2) if mistake == "normalised" else FOUND.boxes + 5e4
    rows = [
        {"image_id": i, "category_id": k, "bbox": [*b[:2], b[2] - b[0], b[3] - b[1]], "score": s}
        for i, k, b, s in zip(
            FOUND.image_id.tolist(),
            FOUND.labels.tolist(),
            boxes.tolist(),
            FOUND.scores.tolist(),
            strict=True,
        )
    ]
    document = {
        "images": [{"id": i, "width": w, "height": h} for i, (w, h) in enumerate(TRUTH.sizes)],
        "categories": [{"id": k, "name": v} for k, v in TRUTH.class_names.items()],
        "annotations": [
            {"id": n, "image_id": i, "category_id": k, "bbox": [*b[:2], b[2] - b[0], b[3] - b[1]]}
            for n, (i, k, b) in enumerate(
                zip(
                    TRUTH.image_id.tolist(), TRUTH.labels.tolist(), TRUTH.boxes.tolist(),
                    strict=True,
                )
            )
        ],
    }  # fmt: skip
    (tmp_path / "gt.json").write_text(json.dumps(document))
    (tmp_path / "dets.json").write_text(json.dumps(rows))
    out = tmp_path / "cal.json"
    code = main(
        ["detect", "fit", "--truth", str(tmp_path / "gt.json"), "--detections",
         str(tmp_path / "dets.json"), "--out", str(out)]
    )  # fmt: skip
    assert code == 2
    assert "no detection overlaps an annotated box" in capsys.readouterr().err
    assert not out.exists()
