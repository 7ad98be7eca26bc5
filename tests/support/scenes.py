"""Detections for the tests of detection metrics: a real detector, and small random scenes."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calib.detection import Detections, GroundTruth, Matches, lrp_optimal_thresholds, match

Scene = tuple[Detections, GroundTruth]


def read_half(folder: Path, part: str, rows: list[dict]) -> Scene:
    with gzip.open(folder / f"coco_val2017_1229_gt_{part}.json.gz") as file:
        document = json.load(file)
    images, boxes = document["images"], document["annotations"]
    truth = GroundTruth.from_arrays(
        [box["bbox"] for box in boxes],
        [box["category_id"] for box in boxes],
        [box["image_id"] for box in boxes],
        box_format="xywh",
        ignore=[box["iscrowd"] for box in boxes],
        images=[image["id"] for image in images],
        sizes=[[image["width"], image["height"]] for image in images],
        class_names={row["id"]: row["name"] for row in document["categories"]},
    )
    known = set(truth.images.tolist())
    rows = [row for row in rows if row["image_id"] in known]
    image = np.array([row["image_id"] for row in rows])
    found = Detections.from_arrays(
        [row["bbox"] for row in rows],
        [row["score"] for row in rows],
        [row["category_id"] for row in rows],
        image,
        box_format="xywh",
        image_size=truth.sizes[np.searchsorted(truth.images, image)],
    )
    return found, truth


@dataclass(frozen=True)
class RealDetector:
    """YOLOX-Nano on two halves of 1229 images, with its matches and operating thresholds."""

    minival: Scene
    found: Detections
    truth: GroundTruth
    reference: Matches  # at an overlap of 0, boxes that do not touch included
    half: Matches  # at an overlap of 0.5
    threshold: dict[int, float]  # optimal on minival, as published code finds them


def real_detector(folder: Path) -> RealDetector:
    with gzip.open(folder / "yolox_nano_dets.json.gz") as file:
        rows = json.load(file)
    minival = read_half(folder, "minival", rows)
    found, truth = read_half(folder, "minitest", rows)
    return RealDetector(
        minival,
        found,
        truth,
        match(found, truth, iou_threshold=0.0, zero_iou="reference"),
        match(found, truth, iou_threshold=0.5),
        lrp_optimal_thresholds(*minival, zero_iou="reference"),
    )


def make_scene(
    seed: int,
    *,
    n_images: int = 12,
    n_classes: int = 4,
    n_boxes: int = 40,
    calibrated: bool = False,
) -> Scene:
    """Random boxes, some found with a shift, some missed, and false positives besides.

    The last class of the detections has no box, and some boxes are crowds. If calibrated, every
    detection is alone in its image and lies exactly on a box with a probability of its score.
    """
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (n_boxes, 2))
    boxes = np.hstack([corner, corner + rng.uniform(10, 40, (n_boxes, 2))])
    label, image = rng.integers(1, n_classes + 1, n_boxes), rng.integers(0, n_images, n_boxes)
    sizes = np.full((n_images, 2), 100.0)
    if calibrated:
        score, image = rng.random(n_boxes), np.arange(n_boxes)
        real = rng.random(n_boxes) < score
        truth = GroundTruth(boxes[real], label[real], image[real], images=image)
        return Detections(boxes, score, label, image), truth
    seen = rng.random(n_boxes) < 0.8
    near = np.clip(boxes[seen] + rng.normal(0, 3, (seen.sum(), 4)), 0, 100)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
    corner = rng.uniform(0, 60, (n_boxes, 2))
    wrong = np.hstack([corner, corner + rng.uniform(5, 40, (n_boxes, 2))])
    found_image = np.r_[image[seen], rng.integers(0, n_images, n_boxes)]
    found = Detections(
        np.vstack([near, wrong]),
        np.round(rng.beta(2, 2, len(found_image)), 2),
        np.r_[label[seen], rng.integers(1, n_classes + 2, n_boxes)],
        found_image,
        image_size=sizes[found_image],
    )
    truth = GroundTruth(
        boxes,
        label,
        image,
        ignore=rng.random(n_boxes) < 0.1,
        images=np.arange(n_images),
        sizes=sizes,
    )
    return found, truth
