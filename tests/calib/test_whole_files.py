"""Every file is written in full or not at all, whoever writes it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator, load, save
from calib._border.files import atomic_write
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


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_between_writes_leaves_the_old_file(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write("new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with atomic_write(link) as file:
        file.write("new\r\n")
    assert link.is_symlink()
    assert real.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_read_only_file_or_folder_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may do everything
    with pytest.raises(PermissionError, match=r"a\.txt"), atomic_write(path) as file:
        file.write("new")
    assert path.read_text() == "old"
    with pytest.raises(IsADirectoryError, match="folder"), atomic_write(tmp_path):
        pass
    with pytest.raises(FileNotFoundError, match="does not exist"), atomic_write(path / "no" / "b"):
        pass


def test_what_is_no_ordinary_file_is_written_to() -> None:
    before = Path(os.devnull).stat()
    with atomic_write(os.devnull) as file:
        file.write("text")
    after = Path(os.devnull).stat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.append(pipe.read_text()))
    reader.start()
    with atomic_write(pipe) as file:
        file.write("through")
    reader.join(10)
    assert texts == ["through"]


def test_writers_of_one_target_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        for row in range(100):
            first.write(f"first {row}\n")
            second.write(f"second {row}\n")
    lines = path.read_text().splitlines()
    assert len(lines) == 100
    assert len({line.split()[0] for line in lines}) == 1


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
