"""Numbers of bins, knots and redraws that would fill the memory are refused before anything is."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import calib.evaluation
from calib import CALIBRATORS, make_calibrator
from calib.detection import DetectionCalibrator, Detections, GroundTruth

HUGE = 10**9
COUNTS = ("n_bins", "n_knots", "n_components", "n_groups", "n_resamples", "n_floor")
RNG = np.random.default_rng(0)
P = RNG.random(60)
Y = (RNG.random(60) < P).astype(int)


def options() -> list[tuple[str, str]]:
    return [
        (method, name)
        for method, entry in CALIBRATORS.items()
        for name in inspect.signature(entry.load()).parameters
        if name in COUNTS
    ]


@pytest.mark.parametrize(("method", "name"), options())
def test_calibrators(method: str, name: str) -> None:
    cal = make_calibrator(method, **{name: HUGE})
    with pytest.raises(ValueError, match=rf"{name} must be at most [\d,]+; got 1000000000"):
        cal.fit(np.stack([1 - P, P], axis=1), Y)


def functions() -> list[tuple[str, str]]:
    found = []
    for public in calib.evaluation.__all__:
        thing = getattr(calib.evaluation, public)
        if not callable(thing) or inspect.isclass(thing):
            continue
        given = inspect.signature(thing).parameters
        if list(given)[:2] == ["y_true", "y_prob"]:
            found += [(public, name) for name in COUNTS if name in given]
    return found


def test_there_are_functions_to_try() -> None:
    assert len(functions()) > 15


#: What some functions want beside labels and probabilities.
BESIDE: dict[str, dict[str, Any]] = {
    name: {"by": np.arange(len(Y)) % 2} for name in ("segment_report", "multicalibration_error")
}


@pytest.mark.parametrize(("public", "name"), functions())
def test_measures_and_reports(public: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be at most [\d,]+; got 1000000000"):
        getattr(calib.evaluation, public)(Y, P, **BESIDE.get(public, {}), **{name: HUGE})


def test_displays_and_streams() -> None:
    from calib.evaluation import CalibrationAccumulator, ReliabilityDisplay

    with pytest.raises(ValueError, match="n_bins must be at most"):
        ReliabilityDisplay.from_predictions(Y, P, n_bins=HUGE)
    with pytest.raises(ValueError, match="n_bins must be at most"):
        CalibrationAccumulator(2, n_bins=HUGE)


def test_grids_of_detections() -> None:
    from calib.evaluation import detection_calibration_error

    found, truth = toy()
    with pytest.raises(ValueError, match="n_bins must be at most"):
        detection_calibration_error(found, truth, n_bins=HUGE)
    names = ("score", "cx", "cy", "w", "h")
    with pytest.raises(ValueError, match="cells"):
        detection_calibration_error(found, truth, n_bins=1000, features=names)
    with pytest.raises(ValueError, match=r"n_bins must be at most|cells"):
        DetectionCalibrator(make_calibrator("histogram", n_bins=HUGE)).fit(found, truth)


def toy() -> tuple[Any, Any]:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 9.0, 20.0]] * 20)
    shifted = boxes + 100.0 * (np.arange(40) % 3 == 0)[:, None]
    labels, images = np.zeros(40, dtype=int), np.arange(40)
    found = Detections(boxes=boxes, scores=P[:40], labels=labels, image_id=images)
    return found, GroundTruth(boxes=shifted, labels=labels, image_id=images)
