"""The commands inside: text in batches, the bar of a terminal, refusals of files, long lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calib.cli import main
from calib.cli.detect import _print_fit
from calib.cli.files import batches
from calib.datasets import make_detection_scenes
from calib.detection import DetectionCalibrator
from tests.support.texts import TEXTS, check_stream

OPTIONS = ("--label", "y", "--logits", "z_*")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file, content = TEXTS["commas"]
    (tmp_path / file).write_bytes(content)
    return tmp_path / file


@pytest.mark.parametrize("name", TEXTS)
def test_text_files_in_batches(
    name: str, tmp_path: Path, succeeds: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_NUMBERS", 64)
    monkeypatch.setattr(batches, "BATCH_ROWS", 16)
    monkeypatch.setattr(batches, "BLOCK_BYTES", 2048)
    file, content = TEXTS[name]
    (tmp_path / file).write_bytes(content)
    check_stream(tmp_path / file, succeeds)


def test_progress_bar_on_a_terminal(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("calib.progress.PATIENCE", 0.0)
    monkeypatch.setattr("calib.progress.REFRESH", 0.001)
    assert main(["report", str(data), *OPTIONS, "--resamples", "50"]) == 0
    out, err = capsys.readouterr()
    assert "resampling" in err
    assert "resampling" not in out


def test_method_that_files_cannot_hold(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise TypeError("only registered calibrators can")

    monkeypatch.setattr("calib.persistence.save", refuse)
    assert main(["fit", str(data), *OPTIONS, "--out", str(tmp_path / "c.json")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("calib: error: ")
    assert "only registered calibrators can" in line


def test_many_classes_are_not_all_listed(capsys: pytest.CaptureFixture[str]) -> None:
    found, truth = make_detection_scenes(150, random_state=3)
    calibrator: Any = DetectionCalibrator(threshold=0.2).fit(found, truth)
    calibrator.fallbacks_ = dict.fromkeys(range(50), "3 detections, min_class_samples=20")
    _print_fit(calibrator, found, truth)
    assert "  50 with fewer than 20 detections: person" in (text := capsys.readouterr().out)
    assert text.endswith("bus, ...\n")
