from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from calib.detection import Detections, GroundTruth
from calib.evaluation import (
    NothingToMeasureWarning,
    detection_calibration_error,
    detection_metric_difference,
    detection_metric_interval,
    localization_aware_calibration_error,
    score_iou_squared_error,
)

# ------------------------------------------------------------------------------ weights and copies


def test_callables_see_the_same_distribution(scene: Callable[..., Any]) -> None:
    found, truth = scene(1, n_images=30, n_boxes=120)
    kwargs: dict[str, Any] = {"n_resamples": 300, "method": "percentile", "iou_threshold": 0.1}
    fast = detection_metric_interval(
        "localization_aware_calibration_error", found, truth, random_state=0, **kwargs
    )
    slow = detection_metric_interval(
        localization_aware_calibration_error, found, truth, random_state=1, **kwargs
    )
    assert slow.value == fast.value
    assert np.isnan([slow.floor_mean, slow.excess]).all()
    error = fast.interval.standard_deviation
    assert slow.interval.mean == pytest.approx(fast.interval.mean, abs=0.35 * error)
    assert slow.interval.standard_deviation == pytest.approx(error, rel=0.25)


# --------------------------------------------------------------------------------------- guarantees


def test_seeded(scene: Callable[..., Any]) -> None:
    found, truth = scene(2)
    run = partial(
        detection_metric_interval, "detection_calibration_error", found, truth, n_resamples=20
    )
    assert run(random_state=3) == run(random_state=3)
    assert run(random_state=3) != run(random_state=4)


def test_interval_of_a_mean_is_its_standard_error() -> None:
    """One detection per image: the squared error is a mean of independent numbers."""
    rng = np.random.default_rng(0)
    n = 500
    score = rng.random(n)
    real = rng.random(n) < 0.5
    boxes = np.tile([0.0, 0.0, 4.0, 4.0], (n, 1))
    found = Detections(boxes, score, np.ones(n), np.arange(n))
    truth = GroundTruth(boxes[real], np.ones(real.sum()), np.flatnonzero(real), images=range(n))
    result = detection_metric_interval(
        "score_iou_squared_error", found, truth, n_resamples=2000, random_state=1
    )
    losses = (score - real) ** 2
    assert result.value == pytest.approx(losses.mean())
    assert result.interval.standard_deviation == pytest.approx(losses.std() / n**0.5, rel=0.08)
    assert result.value in result.interval


def test_floor_is_what_calibrated_detectors_show(scene: Callable[..., Any]) -> None:
    """Of detectors calibrated by construction the excess is 0 on average, for both targets."""
    for name in ("detection_calibration_error", "localization_aware_calibration_error"):
        results = [
            detection_metric_interval(
                name,
                *scene(seed, calibrated=True, n_boxes=300),
                n_resamples=2,
                random_state=seed,
            )
            for seed in range(40)
        ]
        excess = np.array([result.excess for result in results])
        error = excess.std() / len(excess) ** 0.5
        assert abs(excess.mean()) < 4 * error + 0.002, name
        spread = np.std([result.value for result in results])
        assert np.mean([r.floor_sd for r in results]) == pytest.approx(spread, rel=0.4)
        assert np.mean([r.debiased for r in results]) < 0.75 * np.mean([r.value for r in results])


@pytest.mark.slow
def test_interval_covers_a_difference() -> None:
    """Coverage of the change of squared error, whose truth is known, over 300 data sets."""
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n = 300
        score = rng.random(n)
        real = rng.random(n) < score
        boxes = np.tile([0.0, 0.0, 4.0, 4.0], (n, 1))
        image = np.arange(n) // 3
        label = np.arange(n) % 3
        good = Detections(boxes, score, label, image)
        truth = GroundTruth(boxes[real], label[real], image[real], images=range(100))
        change = detection_metric_difference(
            "score_iou_squared_error",
            good,
            good.with_scores(score**2),
            truth,
            n_resamples=300,
            random_state=seed,
        )
        covered += 1 / 30 in change  # integral of (p - p^2)^2
    assert 0.91 <= covered / 300 <= 0.985


def test_paired_difference_is_sharper(scene: Callable[..., Any]) -> None:
    found, truth = scene(4, n_images=40, n_boxes=150)
    better = found.with_scores(found.scores**1.1)
    change = detection_metric_difference(
        "score_iou_squared_error", found, better, truth, n_resamples=200, random_state=0
    )
    values = [score_iou_squared_error(one, truth) for one in (found, better)]
    assert change.value == pytest.approx(values[1] - values[0])
    alone = detection_metric_interval(
        "score_iou_squared_error", found, truth, n_resamples=200, random_state=0
    )
    assert change.standard_deviation < 0.3 * alone.interval.standard_deviation
    same = detection_metric_difference(
        "localization_recall_precision", found, found, truth, n_resamples=20, random_state=0
    )
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
    cut = detection_metric_difference(
        "detection_calibration_error",
        found,
        better,
        truth,
        threshold_before=0.5,
        threshold_after=0.5**1.1,
        n_resamples=20,
        random_state=0,
    )
    first = detection_calibration_error(found, truth, threshold=0.5)
    second = detection_calibration_error(better, truth, threshold=0.5**1.1)
    assert cut.value == pytest.approx(second - first)


@pytest.mark.shared_data
def test_floors_of_a_real_detector(yolox: Any) -> None:
    """Mean and spread as published for the same detections: 14.3 +- 0.6 and 1.9 +- 0.6 percent."""
    result = detection_metric_interval(
        "localization_aware_calibration_error",
        yolox.found,
        yolox.truth,
        threshold=yolox.threshold,
        matches=yolox.reference,
        n_resamples=100,
        random_state=0,
    )
    assert result.floor_mean == pytest.approx(0.143, abs=0.006)
    assert 0.003 < result.floor_sd < 0.009
    assert result.excess == pytest.approx(0.038, abs=0.006)
    assert result.floor_mean - 0.06 < result.debiased < result.value
    confident = detection_metric_interval(
        "detection_calibration_error",
        yolox.found,
        yolox.truth,
        threshold=0.3,
        matches=yolox.half,
        n_resamples=100,
        random_state=0,
    )
    assert confident.floor_mean == pytest.approx(0.019, abs=0.006)
    assert confident.value in confident.interval


# -------------------------------------------------------------------------------------- edge cases


def test_no_floor_for_recall_precision(scene: Callable[..., Any]) -> None:
    result = detection_metric_interval(
        "localization_recall_precision", *scene(0), n_resamples=20, random_state=0
    )
    assert 0 <= result.interval.low <= result.value <= 1
    assert result.debiased == result.value
    assert np.isnan([result.floor_mean, result.floor_sd, result.excess]).all()
    assert np.isnan([result.floor_low, result.floor_high, result.interval.floor]).all()


def test_nothing_to_measure() -> None:
    empty = Detections(np.empty((0, 4)), [], [], [])
    truth = GroundTruth([[0, 0, 4, 4]] * 2, [1, 1], [7, 8])
    for name in ("detection_calibration_error", "localization_aware_calibration_error"):
        with pytest.warns(NothingToMeasureWarning):
            result = detection_metric_interval(name, empty, truth, n_resamples=5, random_state=0)
        assert np.isnan([result.value, result.interval.low, result.floor_mean]).all()
    lrp = detection_metric_interval(
        "localization_recall_precision", empty, truth, n_resamples=5, random_state=0
    )
    assert lrp.value == lrp.interval.low == lrp.interval.high == 1.0


def test_bad_arguments(scene: Callable[..., Any]) -> None:
    found, truth = scene(0)
    with pytest.raises(ValueError, match="metric must be one of"):
        detection_metric_interval("ece", found, truth)
    with pytest.raises(ValueError, match="metric must be one of"):
        detection_metric_difference(len, found, found, truth)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="method must be one of"):
        detection_metric_interval("score_iou_squared_error", found, truth, method="basic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_resamples must be >= 2"):
        detection_metric_interval("score_iou_squared_error", found, truth, n_resamples=1)
    with pytest.raises(ValueError, match="n_floor must be >= 2"):
        detection_metric_interval("score_iou_squared_error", found, truth, n_floor=1)
    with pytest.raises(ValueError, match="at least 2"):
        detection_metric_interval(
            "score_iou_squared_error", found[found.image_id == 0], truth.in_images([0])
        )
    with pytest.raises(TypeError, match="n_bin"):
        detection_metric_interval("detection_calibration_error", found, truth, n_bin=5)
    federated = truth.replaced({"negative": np.array([[0, 1]])})
    with pytest.raises(ValueError, match="federated"):
        detection_metric_interval(score_iou_squared_error, found, federated)
