"""Ranks and order statistics of conformal prediction, with infinite ends for small samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_fraction, describe
from calib._border.typing import ArrayLike, Float64Array

#: Products of a level and a count this close (relatively) to an integer are that integer.
RANK_TOLERANCE = 1e-12


def check_levels(confidence_levels: ArrayLike) -> Float64Array:
    """Return a list of levels in (0, 1) as an array, in the order given."""
    array = to_numpy(read_array(confidence_levels, "confidence_levels"))
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"confidence_levels must be a list of at least one number in (0, 1); got "
            f"{describe(confidence_levels)}"
        )
    return np.array([check_fraction("confidence_levels", level) for level in array.tolist()])


def check_level(confidence_level: object, *, several: str | None = None) -> float:
    """Return a single level in (0, 1); `several` is the method that takes more of them."""
    if np.ndim(confidence_level):  # type: ignore[arg-type]
        hint = "" if several is None else f". For several levels call {several}"
        raise ValueError(
            f"confidence_level must be one number in (0, 1); got {describe(confidence_level)}{hint}"
        )
    return check_fraction("confidence_level", confidence_level)


def conformal_rank(n_samples: int, level: float) -> int:
    """Return ``ceil((n + 1) level)``, which exceeds n where no finite end exists.

    Levels are decimal fractions in binary: 0.9 times 10 has to be 9, 0.1 + 0.2 times 10 has to be
    3, whatever the last bit says.
    """
    product = (n_samples + 1) * level
    nearest = round(product)
    if abs(product - nearest) <= RANK_TOLERANCE * (n_samples + 1):
        return max(nearest, 1)
    return math.ceil(product)


def samples_needed(level: float) -> int:
    """Return the smallest number of calibration samples with a finite end at `level`."""
    n = math.ceil(level / (1 - level) - 1)
    return next(k for k in range(max(n - 1, 1), n + 4) if conformal_rank(k, level) <= k)


def conformal_quantile(ordered: Float64Array, level: float) -> float:
    """Return the order statistic of ascending scores that covers a new one, or infinity."""
    rank = conformal_rank(len(ordered), level)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


def weighted_quantile(
    ordered: Float64Array, cumulative: Float64Array, new_weight: Float64Array, level: float
) -> Float64Array:
    """Return, for every new sample, the weighted quantile of ascending scores.

    Parameters
    ----------
    ordered : ndarray of shape (n_samples,)
        Scores, ascending.
    cumulative : ndarray of shape (n_samples,)
        Running sums of their weights.
    new_weight : ndarray of shape (n_new,)
        Weight of each new sample, which counts as an infinite score.
    level : float in (0, 1)
        Share of the weight to be covered.

    Returns
    -------
    quantile : ndarray of shape (n_new,)
        Smallest score below which (inclusive) a share `level` of all weight lies, or infinity.
    """
    total = cumulative[-1] + new_weight
    wanted = level * (1 - RANK_TOLERANCE) * total
    found = np.searchsorted(cumulative, wanted, side="left")
    extended = np.append(ordered, np.inf)
    return np.where(new_weight == np.inf, np.inf, extended[found])


def effective_size(weight: Float64Array) -> float:
    """Return ``(sum w)^2 / sum w^2``, the number of equal weights of the same precision."""
    scaled = weight / weight.max()
    return float(scaled.sum() ** 2 / (scaled * scaled).sum())


def in_words(levels: Sequence[float] | Float64Array) -> str:
    """Return levels as text."""
    return ", ".join(f"{level:g}" for level in levels)
