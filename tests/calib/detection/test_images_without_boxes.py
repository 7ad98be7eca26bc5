"""Images without boxes in every reader, made-up image ids, and ids that are file names."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calib.cli import main
from calib.datasets import make_detection_scenes
from calib.detection import (
    CalibratedDetector,
    DetectionCalibrator,
    Detections,
    GroundTruth,
    from_coco,
    match,
    read_coco_annotations,
    read_coco_detections,
    read_detections,
    read_ground_truth,
    with_new_scores,
)

BOX = np.array([[1.0, 2.0, 9.0, 8.0]])
ONE, SCORE = np.array([3]), np.array([0.7])
EMPTY = [
    np.empty((0, 4)),
    np.empty(0),
    np.empty((0, 4), dtype=np.float32),
    np.empty((0, 0)),
    np.empty((0, 4), dtype=object),
    np.empty(0, dtype=object),
    np.empty(0, dtype=str),
    np.empty(0, dtype=bool),
    np.empty((1, 0)),
    [],
    [[]],
    (),
    None,
]


def space(**fields: Any) -> SimpleNamespace:
    return SimpleNamespace(**fields)


def outputs(source: str, boxes: Any, scores: Any, labels: Any) -> Any:
    """Return what a framework says of one image."""
    if source == "torchvision":
        return {"boxes": boxes, "scores": scores, "labels": labels}
    if source == "ultralytics":
        data = None if boxes is None else np.zeros((len(BOX), 6))
        return space(boxes=space(xyxy=boxes, conf=scores, cls=labels, data=data), orig_shape=None)
    if source == "mmdet":
        return {"pred_instances": {"bboxes": boxes, "scores": scores, "labels": labels}}
    if source == "detectron2":
        return {"instances": space(pred_boxes=boxes, scores=scores, pred_classes=labels)}
    return space(xyxy=boxes, confidence=scores, class_id=labels, data={})


FRAMEWORKS = ["torchvision", "ultralytics", "mmdet", "detectron2", "supervision"]


@pytest.mark.parametrize("source", FRAMEWORKS)
@pytest.mark.parametrize("empty", EMPTY, ids=repr)
def test_an_image_without_detections(source: Any, empty: Any) -> None:
    full = outputs(source, BOX, SCORE, ONE)
    for scores in (np.empty(0), [], np.empty(0, dtype=np.int64), np.empty(0, dtype=object), None):
        none = outputs(source, empty, scores, scores)
        found = read_detections([none, full, none], [10, 11, 12], source=source)
        assert found.image_id.tolist() == [11]
        assert found.boxes.tolist() == BOX.tolist()
        assert len(read_detections([none, none], source=source)) == 0


@pytest.mark.parametrize("entry", [{}, {"image_id": 5}, {"image_id": 5, "orig_size": (9, 9)}])
def test_a_target_that_says_nothing_of_boxes(entry: Any) -> None:
    """As data sets of COCO return it for images without annotations."""
    target = {"boxes": BOX, "labels": ONE}
    truth = read_ground_truth([entry, target], source="torchvision")
    assert truth.images.tolist() == [0, 1]
    assert truth.image_id.tolist() == [1]
    full = {**target, "area": [48.0]}
    assert read_ground_truth([entry, full], source="torchvision").area.tolist() == [48.0]
    for source in ("mmdet", "detectron2"):
        assert len(read_ground_truth([entry, entry], source=source).images) == 2


def test_wrong_names_are_no_empty_image() -> None:
    with pytest.raises(ValueError, match=r"outputs\[0\].*boxes"):
        read_detections([{"bboxes": BOX, "conf": SCORE}], source="torchvision")
    with pytest.raises(ValueError, match=r"outputs\[0\]"):
        read_detections([{"scores": SCORE, "labels": ONE}], source="torchvision")
    with pytest.raises(ValueError, match=r"outputs\[0\]"):
        read_detections([{"boxes": BOX}], source="torchvision")
    with pytest.raises(ValueError, match=r"outputs\[0\]"):
        read_detections([{"boxes": BOX, "scores": None, "labels": None}], source="torchvision")
    with pytest.raises(ValueError, match=r"targets\[0\]"):
        read_ground_truth([{"bbox": BOX, "image_id": 5}], source="torchvision")


def test_rotated_boxes_are_named() -> None:
    result = space(boxes=None, obb=space(xyxy=BOX, conf=SCORE, cls=ONE), orig_shape=(9, 9))
    with pytest.raises(ValueError, match="obb"):
        read_detections([result], source="ultralytics")


@pytest.mark.parametrize(
    "classes",
    [
        [],
        [np.empty((0, 5))] * 3,
        [np.empty(0)] * 3,
        [np.empty((0, 4))] * 3,
        [[], [], []],
        [None, None],
    ],
    ids=repr,
)
def test_an_image_without_detections_in_nested_lists(classes: Any) -> None:
    full = [np.empty((0, 5)), np.hstack([BOX, SCORE[:, None]])]
    found = read_detections([classes, full], source="mmdet2")
    assert found.image_id.tolist() == [1]
    assert found.labels.tolist() == [1]
    again = with_new_scores([classes, full], [0.25], source="mmdet2")
    assert again[1][1][0, 4] == 0.25


@pytest.mark.parametrize("source", ["torchvision", "mmdet", "detectron2", "supervision"])
@pytest.mark.parametrize("empty", EMPTY, ids=repr)
def test_an_image_without_annotations(source: Any, empty: Any) -> None:
    def target(boxes: Any, labels: Any) -> Any:
        if source == "torchvision":
            return {"boxes": boxes, "labels": labels}
        if source == "mmdet":
            return {"gt_instances": {"bboxes": boxes, "labels": labels}}
        if source == "detectron2":
            return {"instances": space(gt_boxes=boxes, gt_classes=labels)}
        return space(xyxy=boxes, class_id=labels)

    for labels in (np.empty(0), [], np.empty(0, dtype=object), None):
        none = target(empty, labels)
        truth = read_ground_truth([none, target(BOX, ONE)], ["a", "b"], source=source)
        assert truth.images.tolist() == ["a", "b"]
        assert truth.image_id.tolist() == ["b"]


def test_areas_and_flags_of_images_without_boxes() -> None:
    full = {"boxes": BOX, "labels": ONE, "area": [48.0], "iscrowd": [1]}
    for area in ([], np.empty(0), np.empty(0, dtype=object)):
        none = {"boxes": np.empty((0, 4)), "labels": [], "area": area, "iscrowd": area}
        truth = read_ground_truth([none, full], source="torchvision")
        assert truth.area.tolist() == [48.0]
        assert truth.ignore.tolist() == [True]


@pytest.mark.parametrize("empty", [one for one in EMPTY if one is not None], ids=repr)
@pytest.mark.parametrize("column", [[], np.empty(0), np.empty(0, str), np.empty(0, object)])
def test_tables_without_rows(empty: Any, column: Any) -> None:
    found = Detections(empty, column, column, column)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    truth = GroundTruth(empty, column, column, ignore=column, area=column, images=["a", "b"])
    assert len(truth) == 0
    full = Detections(BOX, SCORE, ONE, ["a"], image_size=[[20, 20]], features=[[1.0, 2.0]])
    merged = Detections.concat([found, full, found])
    assert merged.image_id.tolist() == ["a"]
    assert merged.image_size.tolist() == [[20, 20]]
    assert len(match(merged, truth)) == 1
    assert len(Detections.from_arrays(empty, column, column, column, box_format="xywh")) == 0


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_of_data_frames_without_rows(library: str) -> None:
    if library == "pandas":
        pandas = pytest.importorskip("pandas")
        column, boxes = pandas.Series([]), pandas.DataFrame(columns=["a", "b", "c", "d"])
    elif library == "polars":
        polars = pytest.importorskip("polars")
        column = polars.Series([])
        boxes = polars.DataFrame({k: [] for k in "abcd"})
    else:
        arrow = pytest.importorskip("pyarrow")
        column = arrow.array([], type=arrow.null())
        boxes = np.empty((0, 4))
    assert len(Detections(boxes, column, column, column)) == 0


def test_coco_without_rows(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 1, "width": 20, "height": 20}, {"id": 2, "width": 20, "height": 20}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [],
    }
    found, truth = from_coco([], document)
    assert (len(found), len(truth), truth.images.tolist()) == (0, 0, [1, 2])
    assert found.image_size is None or found.image_size.shape == (0, 2)
    row = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.5}
    more = read_coco_detections([row], truth)
    assert Detections.concat([found, more]).image_id.tolist() == [1]


def test_a_running_detector_that_finds_nothing() -> None:
    cal = DetectionCalibrator("platt", threshold=None).fit(
        *make_detection_scenes(60, random_state=0)
    )
    for source in FRAMEWORKS:
        detector = CalibratedDetector(lambda entry: entry, cal, adapter=source)
        for empty in (np.empty((0, 4)), np.empty(0), [], None):
            entry = outputs(source, empty, empty, empty)
            detector(entry)
    detector = CalibratedDetector(lambda entry: entry, cal, adapter="torchvision")
    nothing = {"boxes": [], "scores": [], "labels": []}
    assert detector([nothing, nothing]) == [nothing, nothing]
    detector = CalibratedDetector(lambda entry: entry, cal)
    assert detector(([], [], [])) == ([], [], [])
    with pytest.raises(ValueError, match="scores"):
        detector({"boxes": BOX, "labels": ONE})


# ---------------------------------------------------------------------- made-up ids


def batch(n: int = 30, shift: float = 0.0) -> list[dict[str, Any]]:
    return [{"boxes": BOX + shift, "scores": SCORE, "labels": ONE} for _ in range(n)]


def test_batches_without_ids_do_not_merge() -> None:
    """30 + 30 images would become 30."""
    first, second = (read_detections(batch(), source="torchvision") for _ in range(2))
    assert first.ids_made_up
    with pytest.raises(ValueError, match=r"made up.*image_id"):
        Detections.concat([first, second])
    truths = [read_ground_truth(batch(), source="torchvision") for _ in range(2)]
    assert truths[0].ids_made_up
    with pytest.raises(ValueError, match=r"made up.*image_id"):
        GroundTruth.concat(truths)
    named = read_detections(batch(), range(100, 130), source="torchvision")
    assert not named.ids_made_up
    with pytest.raises(ValueError, match="made up"):
        Detections.concat([first, named])
    with pytest.raises(ValueError, match="made up"):
        Detections.concat([first[:10], second[10:]])


def test_batches_with_ids_merge() -> None:
    parts = [
        read_detections(batch(), range(start, start + 30), source="torchvision")
        for start in (0, 30)
    ]
    assert len(np.unique(Detections.concat(parts).image_id)) == 60
    alone = read_detections(batch(), source="torchvision")
    assert len(Detections.concat([alone])) == 30
    assert Detections.concat([alone]).ids_made_up
    nothing = read_detections([], source="torchvision")
    assert len(Detections.concat([alone, nothing])) == 30


def test_made_up_ids_of_both_sides_match() -> None:
    found = read_detections(batch(), source="torchvision")
    truth = read_ground_truth(batch(), source="torchvision")
    assert match(found, truth).is_true_positive.all()


# ---------------------------------------------------------------------- ids that are file names

IMAGES = [
    {"id": 7, "file_name": "val/street_01.jpg", "width": 64, "height": 48},
    {"id": 9, "file_name": "val/000000139.png", "width": 64, "height": 48},
]
DOCUMENT = {
    "images": IMAGES,
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 10]},
        {"id": 2, "image_id": 9, "category_id": 3, "bbox": [5, 5, 10, 10]},
    ],
}


def rows(*ids: Any) -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": 3, "bbox": [0, 0, 10, 10], "score": 0.8} for i in ids]


@pytest.mark.parametrize(
    "ids",
    [
        ("street_01", "000000139"),
        ("street_01.jpg", "000000139.png"),
        ("val/street_01.jpg", "val/000000139.png"),
        ("val/street_01", "val/000000139"),
        ("/data/val/street_01.jpg", "/data/val/000000139.png"),
    ],
)
def test_ids_that_are_file_names(ids: tuple[str, ...]) -> None:
    found, truth = from_coco(rows(*ids), DOCUMENT, image_map="file_name")
    assert found.image_id.tolist() == [7, 9]
    assert match(found, truth).is_true_positive.tolist() == [True, False]
    with pytest.raises(ValueError, match="image_map='file_name'"):
        from_coco(rows(*ids), DOCUMENT)


def test_numeric_stems_that_became_integers() -> None:
    document = {**DOCUMENT, "images": [{**IMAGES[1]}], "annotations": DOCUMENT["annotations"][1:]}
    found, _ = from_coco(rows(139), document, image_map="file_name")
    assert found.image_id.tolist() == [9]
    with pytest.raises(ValueError, match="image_map='file_name'"):
        from_coco(rows(139), document)


def test_a_map_of_image_ids() -> None:
    found, _ = from_coco(rows("a", "b"), DOCUMENT, image_map={"a": 7, "b": 9})
    assert found.image_id.tolist() == [7, 9]
    with pytest.raises(ValueError, match=r"image_map has no entry for .*'c'"):
        from_coco(rows("a", "c"), DOCUMENT, image_map={"a": 7})
    with pytest.raises(ValueError, match="image_map must"):
        from_coco(rows("a"), DOCUMENT, image_map=["a"])
    with pytest.raises(ValueError, match="image_map must"):
        from_coco(rows("a"), DOCUMENT, image_map="stem")


def test_texts_that_are_numbers() -> None:
    with pytest.raises(ValueError, match=r"texts.*integers.*image_map"):
        from_coco(rows("7"), DOCUMENT)


def test_file_names_that_do_not_tell_images_apart() -> None:
    twice = [{**IMAGES[0], "file_name": "a/1.jpg"}, {**IMAGES[1], "file_name": "b/1.jpg"}]
    document = {**DOCUMENT, "images": twice}
    with pytest.raises(ValueError, match=r"several images"):
        from_coco(rows("1"), document, image_map="file_name")
    found, _ = from_coco(rows("a/1", "b/1.jpg"), document, image_map="file_name")
    assert found.image_id.tolist() == [7, 9]
    bare = [{k: v for k, v in one.items() if k != "file_name"} for one in IMAGES]
    with pytest.raises(ValueError, match="file_name"):
        from_coco(rows("1"), {**DOCUMENT, "images": bare}, image_map="file_name")
    with pytest.raises(ValueError, match="ground_truth"):
        read_coco_detections(rows("1"), image_map="file_name")


def test_file_names_survive_selection_and_merging() -> None:
    truth = read_coco_annotations(DOCUMENT)
    part = truth.in_images([9])
    assert read_coco_detections(rows("000000139"), part, image_map="file_name").image_id == [9]
    both = GroundTruth.concat([part, truth.in_images([7])])
    found = read_coco_detections(rows("street_01"), both, image_map="file_name")
    assert found.image_id.tolist() == [7]


@pytest.mark.parametrize("by_map", [False, True])
def test_the_command_line_maps_image_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by_map: bool
) -> None:
    found, truth = make_detection_scenes(40, random_state=0)
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    document = {
        "images": [
            {"id": i, "file_name": f"img_{i}.jpg", "width": w, "height": h}
            for i, (w, h) in zip(truth.images.tolist(), truth.sizes.tolist(), strict=True)
        ],
        "categories": [{"id": k, "name": v} for k, v in truth.class_names.items()],
        "annotations": [
            {"id": n, "image_id": i, "category_id": k, "bbox": [*low, *extent], "iscrowd": int(c)}
            for n, (i, k, low, extent, c) in enumerate(
                zip(
                    truth.image_id.tolist(),
                    truth.labels.tolist(),
                    truth.boxes[:, :2].tolist(),
                    size.tolist(),
                    truth.ignore.tolist(),
                    strict=True,
                )
            )
        ],
    }
    extent = found.boxes[:, 2:] - found.boxes[:, :2]
    dets = [
        {"image_id": f"img_{i}", "category_id": k, "bbox": [*low, *wide], "score": s}
        for i, k, low, wide, s in zip(
            found.image_id.tolist(),
            found.labels.tolist(),
            found.boxes[:, :2].tolist(),
            extent.tolist(),
            found.scores.tolist(),
            strict=True,
        )
    ]
    paths = {name: tmp_path / f"{name}.json" for name in ("gt", "dets", "map", "cal", "out")}
    paths["gt"].write_text(json.dumps(document))
    paths["dets"].write_text(json.dumps(dets))
    paths["map"].write_text(json.dumps({f"img_{i}": i for i in truth.images.tolist()}))
    pair = ["--truth", str(paths["gt"]), "--detections", str(paths["dets"])]
    fit = ["detect", "fit", *pair, "--out", str(paths["cal"])]
    assert main(fit) == 2
    assert "--image-map file_name" in capsys.readouterr().err
    assert not paths["cal"].exists()
    option = ["--image-map", str(paths["map"]) if by_map else "file_name"]
    assert main([*fit, *option]) == 0, capsys.readouterr().err
    assert main(["detect", "apply", str(paths["cal"]), str(paths["dets"]), "--out",
                 str(paths["out"])]) == 0  # fmt: skip
    assert json.loads(paths["out"].read_text())[0]["image_id"] == dets[0]["image_id"]
