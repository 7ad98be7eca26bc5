"""What the benchmark of detectors reads and computes: real detections, every metric, one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calib.detection import Detections, GroundTruth, from_coco, match
from calib.detection.readers.json import read_json
from calib.evaluation import (
    detection_calibration_error,
    localization_aware_absolute_error,
    localization_aware_calibration_error,
    localization_recall_precision,
    score_iou_squared_error,
)

N_RESAMPLES = 200

Part = tuple[Detections, GroundTruth]


@dataclass(frozen=True)
class Line:
    """A measured number; `bound` is its target, from above."""

    what: str
    reached: float
    unit: str
    bound: float | None = None
    peer: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is kept, if there is one."""
        return self.bound is None or self.reached <= self.bound

    def __str__(self) -> str:
        target = "" if self.bound is None else f"<= {self.bound:g}  {'ok' if self.met else 'MISS'}"
        reached = f"{self.reached:.4g} {self.unit}"
        return f"{self.what:<54}{reached:>14}  {target:<14}  {self.peer}".rstrip()


@dataclass(frozen=True)
class Real:
    """Both halves of the real detections, and the published numbers."""

    folder: Path
    whole: Part
    minival: Part
    minitest: Part
    published: dict[str, dict[str, float]]

    @classmethod
    def read(cls, folder: Path) -> Real:
        """Read the files of the shared data folder."""
        dets = folder / "yolox_nano_dets.json.gz"
        names = [f"coco_val2017_1229_gt_{part}.json.gz" for part in ("all", "minival", "minitest")]
        parts = [from_coco(dets, folder / name, unknown_images="drop") for name in names]
        published = read_json(folder / "oracle" / "reference_yolox_nano.json")
        return cls(folder, *parts, published)


def metrics(found: Detections, truth: GroundTruth, at: float = 0.0) -> dict[str, float]:
    """Compute every metric of one set of detections, with one match for either overlap."""
    matches, half = match(found, truth, iou_threshold=at), match(found, truth, iou_threshold=0.5)
    options: dict[str, Any] = {"iou_threshold": at, "matches": matches}
    lrp = localization_recall_precision(found, truth, **options)
    return {
        "LaECE": localization_aware_calibration_error(found, truth, **options),
        "LaACE": localization_aware_absolute_error(found, truth, **options),
        "LRP": lrp.value,
        "Loc": lrp.localization,
        "FP": lrp.false_positive,
        "FN": lrp.false_negative,
        "squared": score_iou_squared_error(found, truth, **options),
        "D-ECE": detection_calibration_error(found, truth, matches=half),
    }
