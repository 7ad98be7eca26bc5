"""Random boxes that overlap, and what two matchings have to share."""

from __future__ import annotations

import numpy as np

from calib.detection import Detections, GroundTruth, Matches

FIELDS = ("is_true_positive", "iou", "truth_index", "is_ignored", "is_evaluated")


def scene(
    rng: np.random.Generator,
    n: int,
    m: int,
    *,
    n_images: int = 3,
    n_classes: int = 2,
    size: int = 6,
    texts: bool = False,
    crowds: float = 0.2,
) -> tuple[Detections, GroundTruth]:
    """Whole numbers in a narrow range: ties of every kind, duplicates, boxes without area."""
    names = np.array([f"img{i}" for i in range(n_images)]) if texts else np.arange(n_images) * 3

    def boxes(count: int) -> np.ndarray:
        corner = rng.integers(0, size // 2, (count, 2))
        return np.hstack([corner, corner + rng.integers(0, size, (count, 2))])

    found = Detections(
        boxes(n),
        rng.integers(0, 5, n) / 4,
        rng.integers(0, n_classes + 1, n) * 7,
        names[rng.integers(0, n_images, n)],
    )
    truth = GroundTruth(
        boxes(m),
        rng.integers(0, n_classes, m) * 7,
        names[rng.integers(0, n_images, m)],
        ignore=rng.random(m) < crowds,
        images=names,
    )
    return found, truth


def same(a: Matches, b: Matches) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)
