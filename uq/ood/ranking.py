"""How well a score separates two groups, from counts per distinct score: ties are exact."""

from __future__ import annotations

import numpy as np

from calib._border.typing import Float64Array

#: Rounding allowed when a sum of weights is compared with a share of its total.
ROUNDING = 1e-12


def auroc(positive: Float64Array, negative: Float64Array) -> float:
    """Return the probability that a positive scores above a negative, ties counted half.

    Parameters
    ----------
    positive, negative : ndarray of shape (n_values,)
        Weight of each group at every distinct score, ascending.
    """
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))


def average_precision(positive: Float64Array, negative: Float64Array) -> float:
    """Return the mean precision over the positives, thresholds from the highest score down."""
    found = np.cumsum(positive[::-1])
    total = found + np.cumsum(negative[::-1])
    filled = total > 0
    precision = found[filled] / total[filled]
    return float(positive[::-1][filled] @ precision / found[-1])


def threshold_index(positive: Float64Array, rate: float) -> int:
    """Return the position of the highest score at or above which `rate` of the positives lie."""
    found = np.cumsum(positive[::-1])
    reached = found >= rate * found[-1] * (1 - ROUNDING)
    return len(positive) - 1 - int(np.argmax(reached))


def false_positive_rate(positive: Float64Array, negative: Float64Array, rate: float) -> float:
    """Return the share of negatives at or above the threshold that keeps `rate` of positives."""
    return float(negative[threshold_index(positive, rate) :].sum() / negative.sum())
