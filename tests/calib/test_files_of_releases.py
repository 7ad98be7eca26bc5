"""Files that were written by earlier versions load, and map scores to the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calib import load
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


def test_there_is_a_file_of_every_map() -> None:
    from calib import CALIBRATORS as registry

    kept = {path.stem.rpartition("_")[0] for path in CALIBRATORS}
    assert set(registry) - kept == {"split_point"}  # its inner model cannot be written
