"""Losses in order of confidence, ties averaged over all orders."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma
from scipy.stats import rankdata

from calib._border.labels import check_same_length, check_weight
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import LARGEST_NUMBER, check_score_vector
from calib._border.warn import warn
from calib.warnings import DegenerateScoresWarning

#: Errors and right answers below which nothing is said, and standard errors that are no chance.
FEWEST, SURE = 10, 4.0


def check_pairs(
    loss: ArrayLike, confidence: ArrayLike, sample_weight: ArrayLike
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return loss, confidence and weight (ones by default) of the samples with positive weight."""
    values = check_score_vector(loss, "loss")
    ranks = check_score_vector(confidence, "confidence")
    check_same_length(len(values), len(ranks), "loss", "confidence")
    if np.abs(values).max() > LARGEST_NUMBER:
        raise ValueError(
            f"loss has values beyond {LARGEST_NUMBER:g} ({np.abs(values).max():.6g}), whose sums "
            f"overflow; divide all losses by a constant"
        )
    weight = check_weight(sample_weight, len(values))
    if weight is None:
        return values, ranks, np.ones(len(values))
    filled = weight > 0
    return values[filled], ranks[filled], weight[filled]


def warn_if_reversed(
    loss: Float64Array,
    confidence: Float64Array,
    name: str,
    *,
    meaning: str = "what was right in the place of what was wrong, or confidence may be a doubt",
    cure: str = "pass y_true != y_pred, or the negative of the doubt",
) -> None:
    """Warn if errors (losses of 0 and 1) come with higher confidence, far beyond chance."""
    wrong = loss == 1
    n_wrong = int(wrong.sum())
    n_right = len(loss) - n_wrong
    if not np.isin(loss, (0.0, 1.0)).all() or min(n_wrong, n_right) < FEWEST:
        return
    ranks = rankdata(confidence)
    share = (ranks[wrong].sum() - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right)
    spread = np.sqrt((len(loss) + 1) / (12 * n_wrong * n_right))
    if share - 0.5 > SURE * spread:
        warn(
            f"errors come with higher confidence (AUC {share:.3f} over {n_wrong} errors of "
            f"{len(loss)}, {(share - 0.5) / spread:.0f} standard errors above 1/2): {name} may "
            f"hold {meaning}; {cure}",
            DegenerateScoresWarning,
        )


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
