"""Losses in order of confidence, ties averaged over all orders."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

from calib._border.typing import ArrayLike, Float64Array
from calib._core.labels import check_same_length, check_weight
from uq._vectors import check_score_vector


def check_pairs(
    loss: ArrayLike, confidence: ArrayLike, sample_weight: ArrayLike
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return loss, confidence and weight (ones by default) of the samples with positive weight."""
    values = check_score_vector(loss, "loss")
    ranks = check_score_vector(confidence, "confidence")
    check_same_length(len(values), len(ranks), "loss", "confidence")
    weight = check_weight(sample_weight, len(values))
    if weight is None:
        return values, ranks, np.ones(len(values))
    filled = weight > 0
    return values[filled], ranks[filled], weight[filled]


def tie_groups(
    loss: Float64Array, confidence: Float64Array, weight: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Return confidence, weight, weighted loss and rows of every tie, most confident first."""
    values, codes = np.unique(-confidence, return_inverse=True)
    mass = np.bincount(codes, weight).astype(np.float64)
    lost = np.bincount(codes, weight * loss).astype(np.float64)
    rows = np.bincount(codes).astype(np.float64)
    return -values + 0.0, mass, lost, rows


def area_of(mass: Float64Array, lost: Float64Array) -> float:
    """Return the mean over k of the mean loss of the first k."""
    before = np.cumsum(mass) - mass
    lost_before = np.cumsum(lost) - lost
    mean = lost / mass
    single = mass == 1
    steps = np.where(single, 1 / (before + 1), digamma(before + mass + 1) - digamma(before + 1))
    sums = lost + (lost_before - before * mean) * steps
    return float(sums.sum() / mass.sum())


def generalized_area_of(mass: Float64Array, lost: Float64Array) -> float:
    """Return the mean over k of the loss of the first k divided by the number of samples."""
    lost_before = np.cumsum(lost) - lost
    sums = mass * lost_before + lost * (mass + 1) / 2
    return float(sums.sum() / mass.sum() ** 2)
