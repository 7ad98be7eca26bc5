"""Scenes of a simulated detector with calibrators that were fitted on others."""

from __future__ import annotations

from functools import cache

import numpy as np

from calib.datasets import make_detection_scenes
from calib.detection import (
    DetectionCalibrator,
    Detections,
)
from calib.evaluation import (
    detection_report,
)

FIT, TEST = make_detection_scenes(160, random_state=0), make_detection_scenes(160, random_state=1)
EMPTY = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), np.zeros(0, int))
CALIBRATORS = {
    "platt": DetectionCalibrator("platt").fit(*FIT),
    "isotonic": DetectionCalibrator("isotonic").fit(*FIT),
}


@cache
def report_of_two_maps():
    return detection_report(*TEST, calibrator=CALIBRATORS, n_resamples=60, n_floor=20)
