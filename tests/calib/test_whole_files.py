"""Every file is written in full or not at all, whoever writes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator, load, save
from calib.datasets import make_detection_scenes
from calib.detection import DetectionCalibrator, write_coco_detections
from calib.evaluation import calibration_report, detection_report

Z, Y = np.array([-2.0, 1.0, -1.0, 3.0]), np.array([0, 1, 1, 1])


def a_calibrator() -> TemperatureCalibrator:
    return TemperatureCalibrator(input="logits").fit(Z, Y)


def a_report() -> Any:
    rng = np.random.default_rng(0)
    p = rng.random(200)
    return calibration_report(rng.random(200) < p, p, n_resamples=20)


def a_detection_report() -> Any:
    found, truth = make_detection_scenes(60)
    cal = DetectionCalibrator("platt").fit(*make_detection_scenes(60, random_state=1))
    return detection_report(found, truth, calibrator={"platt": cal}, n_resamples=5)


def detections(path: Path) -> None:
    row = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}
    write_coco_detections([row], np.array([0.25]), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "save": lambda path: save(a_calibrator(), path),
    "save a detector": lambda path: save(
        DetectionCalibrator("platt").fit(*make_detection_scenes(25)), path
    ),
    "report": lambda path: a_report().to_html(path),
    "detection report": lambda path: a_detection_report().to_html(path),
    "detections": detections,
    "packed detections": lambda path: detections(path.with_suffix(".json.gz")),
}


class DiskFullError(OSError):
    pass


def full(*_: object) -> None:
    raise DiskFullError(28, "No space left on device")


@pytest.mark.parametrize("writer", WRITERS)
def test_a_failed_write_leaves_the_good_file(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "target.json"
    target = path.with_suffix(".json.gz") if "packed" in writer else path
    target.write_text("good")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            WRITERS[writer](path)
    assert target.read_text() == "good"
    assert [file.name for file in tmp_path.iterdir()] == [target.name]
    WRITERS[writer](path)
    assert target.read_bytes() != b"good"
    assert [file.name for file in tmp_path.iterdir()] == [target.name]


def test_many_threads_save_to_one_file(tmp_path: Path) -> None:
    path, cal, errors = tmp_path / "cal.json", a_calibrator(), []

    def work() -> None:
        try:
            for _ in range(10):
                save(cal, path)
                load(path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [file.name for file in tmp_path.iterdir()] == ["cal.json"]
