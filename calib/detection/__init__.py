"""Object detectors: boxes in, calibrated scores out.

    calib.detection.calibrator  `DetectionCalibrator`: one map per class, by overlap or hit
    calib.detection.detector    `CalibratedDetector`: around a running model
    calib.detection.tables      `Detections`, `GroundTruth`: flat tables
    calib.detection.readers     COCO files and outputs of frameworks: `from_coco`, `read_detections`
    calib.detection.matching    `match`; calib.detection.correspondence: what does not fit
    calib.detection.lrp         thresholds: `lrp_optimal_thresholds`
    calib.detection.files       detector calibrators for `calib.save` and `calib.load`

All names are imported from `calib.detection` itself; the measures are in `calib.evaluation`.
"""

from calib._lazy import listing
from calib.detection.calibrator import DetectionCalibrator
from calib.detection.detector import CalibratedDetector, ImageBoxes
from calib.detection.lrp import (
    LRPCurve as LRPCurve,
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
    BoxFormatWarning as BoxFormatWarning,
    CorrespondenceWarning as CorrespondenceWarning,
    FallbackWarning as FallbackWarning,
    InvalidRowsWarning as InvalidRowsWarning,
    NoOptimalThresholdWarning as NoOptimalThresholdWarning,
    UnknownImagesWarning as UnknownImagesWarning,
)

__all__ = [
    "DETECTION_MAPS",
    "CalibratedDetector",
    "DependentLogisticCalibrator",
    "DetectionCalibrator",
    "Detections",
    "GridHistogramCalibrator",
    "GroundTruth",
    "IdentityCalibrator",
    "ImageBoxes",
    "LinearCalibrator",
    "MatchedScores",
    "Matches",
    "ScoreMap",
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

__dir__ = listing(__name__, __all__)
