"""Which images a calibrator was fitted to, as numbers that say nothing else about them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np

from calib._border.checks import describe
from calib._core.matching import first_of_each
from calib.detection.tables.ground_truth import GroundTruth

Fingerprints = np.ndarray[Any, np.dtype[np.uint64]]
#: Boxes are compared to a tenth of a pixel, whatever type they went through.
STEPS = 10.0
#: Coordinates are cut there, far beyond any image.
FARTHEST = 1e15


def fingerprints(ground_truth: GroundTruth) -> Fingerprints:
    """Return a hash of the id and the annotated boxes of every image that has some, ascending.

    Different data sets may number their images alike; with their boxes no two images agree by
    chance. Images without a box are left out.
    """
    counted = ~ground_truth.ignore
    images, labels = ground_truth.image_id[counted], ground_truth.labels[counted]
    with np.errstate(over="ignore"):
        steps = np.clip(ground_truth.boxes[counted] * STEPS, -FARTHEST, FARTHEST)
    corners = np.rint(steps).astype(np.int64)
    rows = np.column_stack([labels, corners])
    order = np.lexsort((*rows.T[::-1], images))
    rows = np.ascontiguousarray(rows[order], dtype="<i8")
    starts = first_of_each(images[order])
    ends = [*starts[1:].tolist(), len(rows)][: len(starts)]
    hashes = [
        hashlib.blake2b(f"{image}:".encode() + rows[start:end].tobytes(), digest_size=8).digest()
        for image, start, end in zip(
            images[order][starts].tolist(), starts.tolist(), ends, strict=True
        )
    ]
    return np.unique(np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64))


def as_text(marks: Fingerprints) -> str:
    """Return fingerprints as text for a file."""
    return base64.b64encode(marks.astype("<u8").tobytes()).decode("ascii")


def from_text(text: Any) -> Fingerprints:
    """Return the fingerprints that `as_text` wrote, or raise a `ValueError`."""
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else b"?"
    except ValueError:
        content = b"?"
    if len(content) % 8:
        raise ValueError(f"fit_images must be fingerprints in base64; got {describe(text)}")
    return np.unique(np.frombuffer(content, dtype="<u8").astype(np.uint64))
