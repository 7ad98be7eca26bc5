"""More than 100 boxes of a class in an image: calibration reads all of them, AP its limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import load, save
from calib.cli import main
from calib.detection import (
    DetectionCalibrator,
    Detections,
    GroundTruth,
    apply_thresholds,
    lrp_curve,
    lrp_optimal_thresholds,
    match,
)
from calib.evaluation import (
    average_precision,
    detection_calibration_error,
    detection_calibration_table,
    detection_metric_interval,
    detection_report,
    localization_aware_absolute_error,
    localization_aware_calibration_error,
    localization_recall_precision,
    localization_recall_precision_of,
    localization_table,
    score_iou_squared_error,
)

SIDE = 1000.0


def crowded(
    n_images: int = 4, n_boxes: int = 600, share: float = 0.19, seed: int = 0
) -> tuple[Detections, GroundTruth]:
    """Report 600 boxes of one class in every image; the share is right, whatever the score."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for image in range(n_images):
        place = rng.permutation(2500)[:n_boxes]
        corner = 20.0 * np.stack([place % 50, place // 50], axis=1)
        boxes = np.hstack([corner, corner + 16])
        score = rng.uniform(0.4, 0.6, n_boxes)
        right = rng.random(n_boxes) < share
        ids = np.full(n_boxes, image)
        found.append((boxes, score, np.ones(n_boxes, dtype=int), ids))
        truth.append((boxes[right], np.ones(right.sum(), dtype=int), ids[right]))
    columns = [np.concatenate(one) for one in zip(*found, strict=True)]
    sizes = np.full((len(columns[0]), 2), SIDE)
    return Detections(*columns, image_size=sizes), GroundTruth(
        *(np.concatenate(one) for one in zip(*truth, strict=True)),
        images=np.arange(n_images),
        sizes=np.full((n_images, 2), SIDE),
    )


FOUND, TRUTH = crowded()
OTHERS = crowded(seed=1)
RIGHT = len(TRUTH) / len(FOUND)


def test_a_match_evaluates_every_box() -> None:
    assert match(FOUND, TRUTH).is_evaluated.all()
    assert match(FOUND, TRUTH, max_detections=100).is_evaluated.sum() == 400


@pytest.mark.parametrize("target", ["iou", "tp"])
@pytest.mark.parametrize(
    "calibrator", ["platt", "isotonic", "temperature", "linear", "grid_histogram"]
)
@pytest.mark.parametrize("threshold", ["lrp", None, 0.3])
def test_a_fit_reads_every_box(target: Any, calibrator: str, threshold: Any) -> None:
    cal = DetectionCalibrator(calibrator, target=target, threshold=threshold).fit(FOUND, TRUTH)
    assert sum(cal.class_counts_.values()) > 0.9 * len(FOUND)
    if calibrator != "temperature":
        assert cal.transform(FOUND).scores.mean() == pytest.approx(RIGHT, abs=0.02)
    error = detection_calibration_error(cal.transform(OTHERS[0]), OTHERS[1])
    assert error < 0.06 if calibrator != "temperature" else error < 0.35


def test_the_limit_is_there_for_published_protocols() -> None:
    cal = DetectionCalibrator("platt", threshold=None, max_detections=100).fit(FOUND, TRUTH)
    assert cal.class_counts_ == {1: 400}


def test_ranks_beyond_the_limit_count() -> None:
    """The surest 100 are all wrong and all others right: an error that saw 100 would be .9."""
    n = 300
    corner = 30.0 * np.stack([np.arange(n) % 20, np.arange(n) // 20], axis=1)
    boxes = np.hstack([corner, corner + 20])
    scores = np.where(np.arange(n) < 100, 0.9, 0.5)
    found = Detections(boxes, scores, np.ones(n, int), np.zeros(n, int))
    truth = GroundTruth(boxes[100:], np.ones(200, int), np.zeros(200, int))
    d_ece = (100 * 0.9 + 200 * 0.5) / 300
    assert detection_calibration_error(found, truth) == pytest.approx(d_ece)
    assert localization_aware_calibration_error(found, truth) == pytest.approx(d_ece)
    assert localization_aware_absolute_error(found, truth) == pytest.approx(d_ece)
    squared = (100 * 0.81 + 200 * 0.25) / 300
    assert score_iou_squared_error(found, truth) == pytest.approx(squared)
    lrp = localization_recall_precision(found, truth)
    assert (lrp.n_true_positive.sum(), lrp.n_false_positive.sum()) == (200, 100)
    assert lrp_curve(found, truth).n_true_positive.max() == 200
    assert lrp_optimal_thresholds(found, truth) == {1: 0.5}
    for table in (detection_calibration_table(found, truth), localization_table(found, truth)):
        assert table.n_detections == 300
        assert table.calibration_error() == pytest.approx(d_ece)
        assert localization_recall_precision_of(table).n_true_positive.sum() == 200


def test_parts_add_up_to_the_whole_in_crowds() -> None:
    parts = [FOUND.image_id < 2, FOUND.image_id >= 2]
    images = [np.arange(2), np.arange(2, 4)]
    tables = [
        detection_calibration_table(FOUND[rows], TRUTH.in_images(ids))
        for rows, ids in zip(parts, images, strict=True)
    ]
    whole = detection_calibration_error(FOUND, TRUTH)
    assert (tables[0] + tables[1]).calibration_error() == pytest.approx(whole)


@pytest.mark.parametrize(
    "metric",
    [
        "detection_calibration_error",
        "localization_aware_calibration_error",
        "localization_aware_absolute_error",
        "score_iou_squared_error",
        "localization_recall_precision",
    ],
)
def test_an_interval_reads_every_box(metric: str) -> None:
    result = detection_metric_interval(
        metric, FOUND, TRUTH, n_resamples=20, n_floor=5, random_state=0
    )
    named = {
        "detection_calibration_error": detection_calibration_error,
        "localization_aware_calibration_error": localization_aware_calibration_error,
        "localization_aware_absolute_error": localization_aware_absolute_error,
        "score_iou_squared_error": score_iou_squared_error,
    }
    if metric in named:
        assert result.value == pytest.approx(named[metric](FOUND, TRUTH))
    else:
        assert result.value == pytest.approx(localization_recall_precision(FOUND, TRUTH).value)


def test_a_report_reads_every_box_and_names_the_limit_of_average_precision() -> None:
    cal = DetectionCalibrator("platt", target="tp", threshold=None).fit(FOUND, TRUTH)
    others = crowded(seed=1)
    report = detection_report(*others, calibrator=cal, n_resamples=20, n_floor=5)
    model = report.models["calibrated"]
    assert model.n_kept == len(others[0])
    assert model.measures["detection_calibration_error"].value < 0.05
    assert model.ap == average_precision(cal.transform(others[0]), others[1]).ap
    assert report.max_detections == 100
    assert report.to_dict()["max_detections"] == 100
    text = " ".join(str(report).split())
    assert "at most 100 detections per image and class" in text
    assert "2,000 of 2,400 detections" in text
    every = detection_report(
        *others, calibrator=cal, n_resamples=20, n_floor=5, max_detections=None
    )
    assert every.models["calibrated"].ap > model.ap
    assert "reads at most" not in " ".join(every.details().split())


def test_files_of_fits_with_a_limit_keep_it(tmp_path: Path) -> None:
    cal = DetectionCalibrator("platt", threshold=None, max_detections=100).fit(FOUND, TRUTH)
    again = load(save(cal, tmp_path / "cal.json"))
    assert again.max_detections == 100


# ---------------------------------------------------------------------- command line


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in ((0, "fit"), (1, "test")):
        found, truth = crowded(n_images=2, seed=seed)
        xywh = np.hstack([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]])
        true = np.hstack([truth.boxes[:, :2], truth.boxes[:, 2:] - truth.boxes[:, :2]])
        rows = [
            {"image_id": 10 * seed + i, "category_id": 1, "bbox": box, "score": score}
            for i, box, score in zip(
                found.image_id.tolist(), xywh.tolist(), found.scores.tolist(), strict=True
            )
        ]
        document = {
            "images": [{"id": 10 * seed + i, "width": 1000, "height": 1000} for i in range(2)],
            "categories": [{"id": 1, "name": "cell"}],
            "annotations": [
                {"id": k, "image_id": 10 * seed + i, "category_id": 1, "bbox": box}
                for k, (i, box) in enumerate(
                    zip(truth.image_id.tolist(), true.tolist(), strict=True)
                )
            ],
        }
        (tmp_path / f"{name}_dets.json").write_text(json.dumps(rows))
        (tmp_path / f"{name}_gt.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    return tmp_path


FIT = ["detect", "fit", "--truth", "fit_gt.json", "--detections", "fit_dets.json"]


def test_the_command_line_fits_every_box_unless_told(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, "--out", "a.json", "--threshold", "none"]) == 0
    assert "all 1200 detections enter the fit" in capsys.readouterr().out
    assert main([*FIT, "--out", "b.json", "--threshold", "none", "--max-detections", "100"]) == 0
    assert "all 200 detections enter the fit" in capsys.readouterr().out
    assert load(files / "a.json").max_detections is None
    assert load(files / "b.json").max_detections == 100
    scores = load(files / "a.json").transform(FOUND).scores
    assert scores.mean() == pytest.approx(RIGHT, abs=0.05)


@pytest.mark.parametrize(("limit", "meant"), [("300", 300), ("none", None), (None, 100)])
def test_the_command_line_reports_the_limit(
    files: Path, capsys: pytest.CaptureFixture[str], limit: str | None, meant: int | None
) -> None:
    assert main([*FIT, "--out", "a.json", "--threshold", "none"]) == 0
    more = [] if limit is None else ["--max-detections", limit]
    test = ["--truth", "test_gt.json", "--detections", "test_dets.json", "--calibrator", "a.json"]
    code = main(["detect", "report", *test, "--resamples", "10", "--json", "r.json", *more])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert json.loads((files / "r.json").read_text())["max_detections"] == meant
    if meant:
        assert f"at most {meant} detections per image and class" in " ".join(out.split())


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "all"])
def test_a_bad_limit(files: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert main([*FIT, "--out", "a.json", "--max-detections", value]) == 2
    assert "--max-detections" in capsys.readouterr().err
    assert not (files / "a.json").exists()


def test_thresholds_of_crowds() -> None:
    """The raw case of a fit that cut at 100: scores .4 to .6, .19 of them right."""
    cal = DetectionCalibrator().fit(FOUND, TRUTH)
    kept = apply_thresholds(FOUND, cal.raw_thresholds_)
    assert kept.mean() > 0.9
    assert cal.transform(FOUND).scores.min() > 0.1
