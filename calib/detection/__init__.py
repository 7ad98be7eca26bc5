"""Object detectors: boxes in, calibrated scores out."""

from __future__ import annotations

from calib.detection._checks import BoxFormatWarning, InvalidRowsWarning
from calib.detection.arrays import Detections, GroundTruth

__all__ = [
    "BoxFormatWarning",
    "Detections",
    "GroundTruth",
    "InvalidRowsWarning",
]
