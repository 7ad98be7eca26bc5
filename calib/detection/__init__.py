"""Object detectors: boxes in, calibrated scores out."""

from __future__ import annotations

from calib.detection._checks import BoxFormatWarning, InvalidRowsWarning
from calib.detection.adapters import read_detections, read_ground_truth, with_new_scores
from calib.detection.arrays import Detections
from calib.detection.coco import from_coco, read_coco_detections
from calib.detection.coco_annotations import read_coco_annotations
from calib.detection.coco_output import rescored_coco, write_coco_detections
from calib.detection.ground_truth import GroundTruth
from calib.detection.lrp import LRPCurve, MatchedScores, lrp_curve
from calib.detection.matching import Matches, match
from calib.detection.thresholds import (
    NoOptimalThresholdWarning,
    apply_thresholds,
    lrp_optimal_thresholds,
)

__all__ = [
    "BoxFormatWarning",
    "Detections",
    "GroundTruth",
    "InvalidRowsWarning",
    "LRPCurve",
    "MatchedScores",
    "Matches",
    "NoOptimalThresholdWarning",
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
