"""Object detectors: boxes in, calibrated scores out."""

from calib.detection.calibrator import DetectionCalibrator
from calib.detection.detector import CalibratedDetector, ImageBoxes
from calib.detection.lrp import (
    LRPCurve,
    MatchedScores,
    apply_thresholds,
    lrp_curve,
    lrp_optimal_thresholds,
)
from calib.detection.matching import Matches, match
from calib.detection.readers.adapters import read_detections, read_ground_truth, with_new_scores
from calib.detection.readers.coco import from_coco, read_coco_detections
from calib.detection.readers.coco_annotations import read_coco_annotations
from calib.detection.readers.coco_output import rescored_coco, write_coco_detections
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.grouped.map_table import DETECTION_MAPS
from calib.grouped.maps import (
    DependentLogisticCalibrator,
    GridHistogramCalibrator,
    IdentityCalibrator,
    LinearCalibrator,
)
from calib.grouped.score_map import ScoreMap
from calib.warnings import (
    BoxFormatWarning,
    CorrespondenceWarning,
    FallbackWarning,
    InvalidRowsWarning,
    NoOptimalThresholdWarning,
    UnknownImagesWarning,
)

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
