"""Files that were written by earlier versions load, and map scores to the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calib import CALIBRATORS as CALIBRATOR_ROWS, load, save
from calib.detection import DetectionCalibrator, Detections

FILES = Path(__file__).parents[1] / "files"
CALIBRATORS = sorted(
    path for path in FILES.glob("format_*/*.json") if not path.name.endswith(".expected.json")
)


@pytest.mark.parametrize("path", CALIBRATORS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_of_an_earlier_version_maps_as_it_did(path: Path) -> None:
    calibrator = load(path)
    expected = json.loads(path.with_suffix(".expected.json").read_text(encoding="utf-8"))
    if isinstance(calibrator, DetectionCalibrator):
        scores = np.array(expected["scores"])
        boxes = np.tile([0.0, 0.0, 4.0, 4.0], (len(scores), 1))
        detections = Detections(boxes, scores, np.array(expected["labels"]), np.arange(len(scores)))
        found, want = calibrator.transform(detections).scores, expected["calibrated"]
    else:
        found, want = calibrator.transform(np.array(expected["X"])), expected["proba"]
    np.testing.assert_allclose(found, want, rtol=1e-13, atol=1e-300)


#: Maps that came after a format.
LATER = {
    "format_1": {
        "correctness_aware",
        "empirical_bayes",
        "multicalibration",
        "group",
        "online_platt",
    },
    "format_2": {"multicalibration", "group", "online_platt"},
}


@pytest.mark.parametrize("folder", sorted(FILES.glob("format_*")), ids=lambda path: path.name)
def test_there_is_a_file_of_every_map(folder: Path) -> None:
    kept = {path.stem.rpartition("_")[0] for path in CALIBRATORS if path.parent == folder}
    saved = {name for name, row in CALIBRATOR_ROWS.items() if row.saves}
    assert saved - LATER[folder.name] <= kept


def test_there_are_files_of_every_format(tmp_path: Path) -> None:
    calibrator = load(FILES / "format_1" / "temperature_2.json")
    newest = json.loads(save(calibrator, tmp_path / "cal.json").read_text(encoding="utf-8"))
    formats = {json.loads(path.read_text(encoding="utf-8"))["format"] for path in CALIBRATORS}
    assert formats == set(range(1, newest["format"] + 1))


@pytest.mark.parametrize("stem", ["auto_2", "auto_3"])
def test_members_of_a_pool_have_names_in_files(stem: str, tmp_path: Path) -> None:
    old = load(FILES / "format_1" / f"{stem}.json")
    document = json.loads(save(old, tmp_path / "cal.json").read_text(encoding="utf-8"))
    assert document["fitted"]["members_"]["data"] == old.member_names
    assert load(tmp_path / "cal.json").member_names == old.member_names
