"""Object detectors: boxes in, calibrated scores out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# <generated> by tools/generate_exports.py; edit neither by hand
if TYPE_CHECKING:
    from calib.detection.adapters import read_detections, read_ground_truth, with_new_scores
    from calib.detection.arrays import Detections
    from calib.detection.calibrator import DetectionCalibrator
    from calib.detection.coco import from_coco, read_coco_detections
    from calib.detection.coco_annotations import read_coco_annotations
    from calib.detection.coco_output import rescored_coco, write_coco_detections
    from calib.detection.detector import CalibratedDetector, ImageBoxes
    from calib.detection.ground_truth import GroundTruth
    from calib.detection.lrp import LRPCurve, MatchedScores, lrp_curve
    from calib.detection.map_table import DETECTION_MAPS
    from calib.detection.maps import (
        DependentLogisticCalibrator,
        GridHistogramCalibrator,
        IdentityCalibrator,
        LinearCalibrator,
    )
    from calib.detection.matching import Matches, match
    from calib.detection.score_map import ScoreMap
    from calib.detection.thresholds import apply_thresholds, lrp_optimal_thresholds
    from calib.warnings import (
        BoxFormatWarning,
        CorrespondenceWarning,
        FallbackWarning,
        InvalidRowsWarning,
        NoOptimalThresholdWarning,
        UnknownImagesWarning,
    )

_MODULE_OF = {
    "BoxFormatWarning": "calib.warnings",
    "CalibratedDetector": "calib.detection.detector",
    "CorrespondenceWarning": "calib.warnings",
    "DETECTION_MAPS": "calib.detection.map_table",
    "DependentLogisticCalibrator": "calib.detection.maps",
    "DetectionCalibrator": "calib.detection.calibrator",
    "Detections": "calib.detection.arrays",
    "FallbackWarning": "calib.warnings",
    "GridHistogramCalibrator": "calib.detection.maps",
    "GroundTruth": "calib.detection.ground_truth",
    "IdentityCalibrator": "calib.detection.maps",
    "ImageBoxes": "calib.detection.detector",
    "InvalidRowsWarning": "calib.warnings",
    "LRPCurve": "calib.detection.lrp",
    "LinearCalibrator": "calib.detection.maps",
    "MatchedScores": "calib.detection.lrp",
    "Matches": "calib.detection.matching",
    "NoOptimalThresholdWarning": "calib.warnings",
    "ScoreMap": "calib.detection.score_map",
    "UnknownImagesWarning": "calib.warnings",
    "apply_thresholds": "calib.detection.thresholds",
    "from_coco": "calib.detection.coco",
    "lrp_curve": "calib.detection.lrp",
    "lrp_optimal_thresholds": "calib.detection.thresholds",
    "match": "calib.detection.matching",
    "read_coco_annotations": "calib.detection.coco_annotations",
    "read_coco_detections": "calib.detection.coco",
    "read_detections": "calib.detection.adapters",
    "read_ground_truth": "calib.detection.adapters",
    "rescored_coco": "calib.detection.coco_output",
    "with_new_scores": "calib.detection.adapters",
    "write_coco_detections": "calib.detection.coco_output",
}

__all__ = [
    "DETECTION_MAPS",
    "BoxFormatWarning",
    "CalibratedDetector",
    "CorrespondenceWarning",
    "DependentLogisticCalibrator",
    "DetectionCalibrator",
    "Detections",
    "FallbackWarning",
    "GridHistogramCalibrator",
    "GroundTruth",
    "IdentityCalibrator",
    "ImageBoxes",
    "InvalidRowsWarning",
    "LRPCurve",
    "LinearCalibrator",
    "MatchedScores",
    "Matches",
    "NoOptimalThresholdWarning",
    "ScoreMap",
    "UnknownImagesWarning",
    "apply_thresholds",
    "from_coco",
    "lrp_curve",
    "lrp_optimal_thresholds",
    "match",
    "read_coco_annotations",
    "read_coco_detections",
    "read_detections",
    "read_ground_truth",
    "rescored_coco",
    "with_new_scores",
    "write_coco_detections",
]
# </generated>


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name[:2] == "__")})
