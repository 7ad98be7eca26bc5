"""Intervals and floors of detection metrics: coverage, and images whose detections err together."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit, ndtr

from calib.detection import DetectionCalibrator, Detections, GroundTruth
from calib.evaluation import (
    detection_metric_difference,
    detection_metric_interval,
    detection_report,
)

DECE = "detection_calibration_error"
LAECE = "localization_aware_calibration_error"
#: Log-odds of being right, from those of the score.
WORLDS = {"calibrated": (1.0, 0.0), "sharp": (0.6, -0.4)}
#: Mean overlap of a box that is right.
OVERLAP = 0.75


def scene(
    seed: int, n_images: int, world: str, correlation: float, metric: str = DECE, mean: float = 6.0
) -> tuple[Detections, GroundTruth]:
    """Detections side by side, right with a known probability, alike inside images.

    Scores are the probability of being right, or for LaECE the expected overlap, if calibrated.
    """
    rng = np.random.default_rng(seed)
    size = rng.poisson(mean, n_images)
    image = np.repeat(np.arange(n_images), size)
    n = len(image)
    score = draw_scores(rng, n)
    chance = expit(WORLDS[world][0] * logit(score) + WORLDS[world][1])
    shared = rng.standard_normal(n_images)[image]
    number = ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.standard_normal(n))
    right = number < chance
    left = 20.0 * (np.arange(n) - np.repeat(np.cumsum(size) - size, size))
    boxes = np.column_stack([left, np.zeros(n), left + 10, np.full(n, 10.0)])
    real = boxes.copy()
    real[:, 2] = left + 10 * (1 - 0.5 * np.minimum(number / chance, 1))
    if metric == LAECE:
        score = OVERLAP * score
    return (
        Detections(boxes, score, np.ones(n), image),
        GroundTruth(real[right], np.ones(right.sum()), image[right], images=range(n_images)),
    )


def draw_scores(rng: np.random.Generator, n: int) -> np.ndarray:
    return 0.05 + 0.9 * rng.beta(1.5, 1.5, n)


@cache
def true_error(world: str, metric: str) -> float:
    """Return the error of four million detections whose chances are known."""
    score = draw_scores(np.random.default_rng(0), 4_000_000)
    wanted = expit(WORLDS[world][0] * logit(score) + WORLDS[world][1])
    n_bins = 10
    if metric == LAECE:
        score, wanted, n_bins = OVERLAP * score, OVERLAP * wanted, 25
    cell = (score * n_bins).astype(int)
    return float(np.abs(np.bincount(cell, score - wanted)).sum()) / len(score)


def run(metric: str, seed: int, *args: Any, **kwargs: Any) -> Any:
    tables = scene(seed, *args, metric=metric, **kwargs)
    return detection_metric_interval(
        metric, *tables, n_resamples=200, n_floor=200, random_state=seed
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_images", [200, 1000])
@pytest.mark.parametrize("metric", [DECE, LAECE])
def test_coverage(metric: str, n_images: int) -> None:
    """Nominal 95 %, wanted 92 to 98 %, which 100 seeds tell to within 2 points."""
    for world in WORLDS:
        truth = true_error(world, metric)
        found = [run(metric, seed, n_images, world, 0.3) for seed in range(100)]
        held = np.mean([truth in one.interval for one in found])
        print(f"{metric}, {n_images} images, {world}: {held:.2f}")
        assert 0.9 <= held <= 0.99, (world, held)
        assert np.mean([one.debiased for one in found]) == pytest.approx(truth, abs=0.012)


@pytest.mark.parametrize("metric", [DECE, LAECE])
def test_floor_knows_that_detections_of_an_image_err_together(metric: str) -> None:
    """Calibrated detectors, twenty boxes per image: with every box by itself floors are too low."""
    found = [run(metric, seed, 100, "calibrated", 0.4, mean=20.0) for seed in range(24)]
    values = np.array([one.value for one in found])
    floors = np.array([one.floor for one in found])
    spread = values.std() / len(values) ** 0.5
    assert floors.mean() == pytest.approx(values.mean(), abs=3 * spread)
    detections, truth = scene(0, 100, "calibrated", 0.4, metric, 20.0)
    alone = np.arange(len(detections))  # the same boxes, each in an image of its own
    corner = {
        (image, box[0]): k
        for k, (image, box) in enumerate(
            zip(detections.image_id.tolist(), detections.boxes.tolist(), strict=True)
        )
    }
    own = [
        corner[image, box[0]]
        for image, box in zip(truth.image_id.tolist(), truth.boxes.tolist(), strict=True)
    ]
    apart = detection_metric_interval(
        metric,
        detections.replaced({"image_id": alone}),
        truth.replaced({"image_id": np.array(own), "images": alone}),
        n_resamples=200,
        random_state=0,
    )
    assert apart.value == pytest.approx(found[0].value)
    assert apart.floor < 0.85 * found[0].floor


@pytest.mark.parametrize("metric", [DECE, LAECE])
def test_value_interval_and_floor_belong_together(metric: str) -> None:
    for seed in range(6):
        for world in WORLDS:
            one = run(metric, seed, 60, world, 0.3)
            assert one.low <= one.debiased <= one.high
            assert one.interval.value == one.debiased
            assert one.interval.usual == one.value
            assert one.floor_low <= one.floor <= one.floor_high
            assert (one.low > 0) == one.is_beyond_floor
            assert one.debiased <= one.value + 0.01
            assert one.excess == one.value - one.floor


def test_interval_of_a_change_holds_the_change() -> None:
    """Draws of a difference of two errors may all lie on one side of it."""
    found, truth = scene(3, 30, "calibrated", 0.0, LAECE)
    for power in (0.9, 1.0, 1.05, 1.5):
        change = detection_metric_difference(
            LAECE, found, found.with_scores(found.scores**power), truth, random_state=0
        )
        assert change.low <= change.value <= change.high


def test_report_and_function_show_the_same_construction() -> None:
    found, truth = scene(1, 150, "sharp", 0.3)
    one = DetectionCalibrator("identity", target="tp", threshold=None).fit(found, truth)
    report = detection_report(found, truth, calibrator=one, n_resamples=300)
    alone = partial(detection_metric_interval, detections=found, ground_truth=truth)
    for key, again in (
        (DECE, alone(DECE, n_resamples=300, random_state=1)),
        (
            "localization_recall_precision",
            alone("localization_recall_precision", iou_threshold=0.5, random_state=1),
        ),
    ):
        shown = report.models["raw"].measures[key]
        assert shown.value == pytest.approx(again.value)
        assert shown.debiased == pytest.approx(again.debiased, abs=0.004)
        assert shown.high == pytest.approx(again.high, abs=0.012)
        assert shown.low == pytest.approx(again.low, abs=0.012)
    titles = ["Scores", "Value", "Debiased", "95 % interval", "If calibrated", "Change from raw"]
    table = next(
        table
        for table in report.document().tables()
        if [column.title for column in table.columns] == titles
    )
    group = next(group for group in table.groups if group.title.startswith("D-ECE: "))
    value, debiased, interval, floor = group.rows[0][1:5]
    measure = report.models["raw"].measures[DECE]
    assert value.text == f"{100 * measure.value:.1f}"
    assert debiased.text == f"{100 * measure.debiased:.1f}"
    assert interval.text == f"{100 * measure.low:.1f} to {100 * measure.high:.1f}"
    assert floor.text == f"{100 * measure.floor:.1f}"
    assert floor.aside.startswith(f"({100 * measure.floor_low:.1f} to ")
    page = report._repr_html_()
    assert page.index(">Value<") < page.index(">Debiased<") < page.index(">If calibrated<")
