"""How well a score separates two groups, from counts per distinct score: ties are exact.

Counts may have leading axes, one entry per draw.
"""

from __future__ import annotations

import numpy as np

from calib._border.typing import Float64Array

#: Rounding allowed when a sum of weights is compared with a share of its total.
ROUNDING = 1e-12


def auroc(positive: Float64Array, negative: Float64Array) -> Float64Array:
    """Return the probability that a positive scores above a negative, ties counted half."""
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = positive.sum(axis=-1) * negative.sum(axis=-1)
    return np.asarray((positive * below).sum(axis=-1) / pairs)


def precision_area(positive: Float64Array, negative: Float64Array) -> Float64Array:
    """Return the mean precision over the positives, thresholds from the highest score down."""
    hits = np.cumsum(positive[..., ::-1], axis=-1)
    total = hits + np.cumsum(negative[..., ::-1], axis=-1)
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    return np.asarray((positive[..., ::-1] * precision).sum(axis=-1) / hits[..., -1])


def threshold_index(positive: Float64Array, rate: float) -> int:
    """Return the position of the highest score at or above which `rate` of the positives lie."""
    kept = np.cumsum(positive[::-1])
    reached = kept >= rate * kept[-1] * (1 - ROUNDING)
    return len(positive) - 1 - int(np.argmax(reached))


def false_positive_rate(positive: Float64Array, negative: Float64Array, rate: float) -> float:
    """Return the share of negatives at or above the threshold that keeps `rate` of positives."""
    return float(negative[threshold_index(positive, rate) :].sum() / negative.sum())
