"""A simulated detector with biased scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from calib.detection import (
    DetectionCalibrator,
    Detections,
    GroundTruth,
)

SIDE = 40.0


def scene(
    n_images: int = 60, n_classes: int = 4, seed: int = 0, empty: int = 3
) -> tuple[Detections, GroundTruth]:
    """Simulate 20 boxes per image on a grid; 8 are true, 16 are reported, with biased scores."""
    rng = np.random.default_rng(seed)
    boxes, scores, labels, image, kept = [], [], [], [], []
    for number in range(n_images):
        cell = rng.permutation(20)
        corner = SIDE * np.stack([cell % 5, cell // 5], axis=1) + 5
        true = np.hstack([corner, corner + 20])
        label = rng.integers(1, n_classes + 1, 20)
        kept.append((true[:8], label[:8], np.full(8, number)))
        shift = rng.gamma(2.0, 1.0, (16, 2))
        found = true[2:18] + np.tile(shift, 2)
        good = np.clip(1 - shift.sum(axis=1) / 10, 0.05, 0.95) * np.where(np.arange(16) < 6, 1, 0.4)
        z = 2.5 * (np.log(good) - np.log(1 - good)) + rng.normal(0, 1.0, 16) + 0.3 * label[2:18]
        boxes.append(found)
        scores.append(1 / (1 + np.exp(-z)))
        labels.append(label[2:18])
        image.append(np.full(16, number))
    images = np.arange(n_images + empty)
    truth = GroundTruth(
        *(np.concatenate([one[k] for one in kept]) for k in range(3)),
        images=images,
        sizes=np.full((len(images), 2), 5 * SIDE),
    )
    n = 16 * n_images
    found = Detections(
        np.concatenate(boxes),
        np.concatenate(scores),
        np.concatenate(labels),
        np.concatenate(image),
        image_size=np.full((n, 2), 5 * SIDE),
        features=rng.normal(size=(n, 2)),
    )
    return found, truth


DETECTIONS, TRUTH = scene()


def fitted(*args: Any, **kwargs: Any) -> DetectionCalibrator:
    return DetectionCalibrator(*args, **kwargs).fit(DETECTIONS, TRUTH)
