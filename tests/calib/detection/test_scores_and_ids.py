"""Scores beyond 1, percentages, names of classes and ids of other types."""

from __future__ import annotations

import json
from pathlib import Path
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
    read_coco_detections,
    read_detections,
    rescored_coco,
    with_new_scores,
)
from calib.evaluation import detection_report

BOX = [[1.0, 2.0, 9.0, 8.0]]
ROUNDED = 1.0000001


def entry(score: float) -> dict[str, Any]:
    return {"boxes": BOX, "scores": [score], "labels": [1]}


def row(score: float, **more: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": score, **more}


def test_rounding_beyond_one_is_cut_in_every_reader() -> None:
    for value, wanted in ((ROUNDED, 1.0), (-1e-7, 0.0)):
        assert Detections(BOX, [value], [1], [1]).scores.tolist() == [wanted]
        assert Detections.from_arrays(BOX, [value], [1], [1]).scores.tolist() == [wanted]
        found = Detections(BOX, [0.5], [1], [1])
        assert found.with_scores([value]).scores.tolist() == [wanted]
        assert read_coco_detections([row(value)]).scores.tolist() == [wanted]
        assert read_detections([entry(value)], [1], source="torchvision").scores.tolist() == [
            wanted
        ]
        assert rescored_coco([row(0.5)], [value])[0]["score"] == wanted
        new = with_new_scores([entry(0.5)], [value], source="torchvision")
        assert new[0]["scores"] == [wanted]
        cal = DetectionCalibrator("identity", threshold=None)
        cal.fit(*make_detection_scenes(20, random_state=0))
        assert CalibratedDetector(lambda x: x, cal)(entry(value))["scores"] == [wanted]


@pytest.mark.parametrize("value", [1.001, 1.5, 55.0])
def test_percentages_are_told_what_to_do(value: float) -> None:
    for read in (
        lambda: Detections(BOX, [value], [1], [1]),
        lambda: Detections.from_arrays(BOX, [value], [1], [1]),
        lambda: read_coco_detections([row(value)]),
        lambda: read_detections([entry(value)], source="torchvision"),
    ):
        with pytest.raises(ValueError, match="divide them by 100"):
            read()


@pytest.mark.parametrize("value", [-2.0, 250.0])
def test_other_scores_are_no_percentages(value: float) -> None:
    with pytest.raises(ValueError, match="logits") as caught:
        Detections(BOX, [value], [1], [1])
    assert "percentages" not in str(caught.value)


def test_names_of_classes() -> None:
    for names in (["cat"], np.array(["cat"], dtype=object)):
        with pytest.raises(ValueError, match=r"labels must be integers.*names of classes into ids"):
            Detections(BOX, [0.5], names, [1])
    with pytest.raises(ValueError, match=r"category_id.*not its name"):
        read_coco_detections([row(0.5, category_id="cat")])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, object])
def test_ids_and_labels_of_any_whole_type(dtype: Any) -> None:
    found, truth = make_detection_scenes(40, random_state=0)
    other = Detections(
        found.boxes, found.scores, found.labels.astype(dtype), found.image_id.astype(dtype)
    )
    assert other.labels.dtype == other.image_id.dtype == np.int64
    boxes = GroundTruth(
        truth.boxes,
        truth.labels.astype(dtype),
        truth.image_id.astype(dtype),
        ignore=truth.ignore.astype(np.uint8),
        images=truth.images.astype(dtype),
    )
    a, b = (DetectionCalibrator("platt").fit(*pair) for pair in ((found, truth), (other, boxes)))
    np.testing.assert_array_equal(a.transform(found).scores, b.transform(found).scores)


def test_equal_scores_are_served_in_the_order_of_rows() -> None:
    found, truth = make_detection_scenes(80, random_state=0)
    tied = found.with_scores(np.round(found.scores, 1))
    cal = DetectionCalibrator("isotonic").fit(tied, truth)
    scores = cal.transform(tied).scores
    for value in np.unique(tied.scores):
        for label in np.unique(tied.labels):
            rows = (tied.scores == value) & (tied.labels == label)
            assert np.ptp(scores[rows]) == 0 if rows.any() else True


def test_flags_that_cover_everything() -> None:
    document = {
        "images": [{"id": 1, "width": 20, "height": 20}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "ignore": 1}
        ],
    }
    found, truth = from_coco([row(0.5)], document)
    assert truth.ignore.all()
    with pytest.warns(UserWarning, match="no calibration map can be fitted"):
        DetectionCalibrator(threshold=None).fit(found, truth)


def test_a_failed_write_leaves_the_report_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cal = DetectionCalibrator("platt").fit(*make_detection_scenes(40, random_state=0))
    report = detection_report(
        *make_detection_scenes(40, random_state=1), calibrator=cal, n_resamples=5, n_floor=2
    )
    path = tmp_path / "page.html"
    report.to_html(path)
    good = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
        with pytest.raises(OSError, match="no space"):
            report.to_html(path)
    assert path.read_bytes() == good
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_percentages_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "images": [{"id": 1, "width": 20, "height": 20}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [],
    }
    (tmp_path / "gt.json").write_text(json.dumps(document))
    (tmp_path / "dets.json").write_text(json.dumps([row(55.0)]))
    out = tmp_path / "cal.json"
    command = ["detect", "fit", "--truth", str(tmp_path / "gt.json"), "--detections"]
    assert main([*command, str(tmp_path / "dets.json"), "--out", str(out)]) == 2
    assert "divide them by 100" in capsys.readouterr().err
    assert not out.exists()
