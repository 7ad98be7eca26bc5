"""Algebra of mean residuals above and below a split point.

Write ``m = E|R|``, ``u = E[R | R > 0]`` and ``d = E[-R | R <= 0]`` for a residual R. Whatever its
law, ``2 u d - m (u + d) = E[R] (d - u)``: the mean is the harmonic mean of the sides if and only if
the split point is unbiased or the sides agree. Learned means violate this, and by how much is the
score of self-consistency.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.typing import Float64Array

ConsistencyForm: TypeAlias = Literal["root", "raw", "relative"]
CONSISTENCY_FORMS: tuple[ConsistencyForm, ...] = ("root", "raw", "relative")


def discrepancy(total: Float64Array, upper: Float64Array, lower: Float64Array) -> Float64Array:
    """Return the signed ``2 u d - m (u + d)``, in squared units of the residual."""
    out: Float64Array = 2.0 * upper * lower - total * (upper + lower)
    return out


def self_consistency(
    total: Float64Array, upper: Float64Array, lower: Float64Array, form: ConsistencyForm
) -> Float64Array:
    """Return how far three learned means are from the identity.

    Parameters
    ----------
    total, upper, lower : ndarray of equal shape
        Means of the absolute, the upper and the lower residual; of any sign.
    form : {"root", "raw", "relative"}
        ``sqrt|D|`` (units of the residual), ``|D|`` (squared units), ``|D / (2 u d)|``, which is
        ``|1 - m / H|`` for the harmonic mean H of the sides (no unit; 0 where D is 0, inf where
        only the denominator is).

    Returns
    -------
    score : ndarray of the same shape
        Non-negative.
    """
    gap = np.abs(discrepancy(total, upper, lower))
    if form == "raw":
        return gap
    if form == "root":
        return np.sqrt(gap)
    product = np.abs(2.0 * upper * lower)
    out = np.full(gap.shape, np.inf)
    with np.errstate(over="ignore"):  # the quotient is beyond the largest number: inf
        np.divide(gap, product, out=out, where=product > 0)
    return np.where(gap == 0, 0.0, out)


def capped_inflation(
    total: Float64Array, upper: Float64Array, lower: Float64Array, cap: float
) -> tuple[Float64Array, Float64Array]:
    """Return the factors, in [1, cap], by which the authors widen the upper and the lower side.

    Each is the mean of a side that the other two means imply over its learned value. The implied
    value has a pole at ``m = 2 d`` (or ``2 u``); beyond the pole, where it is negative, the
    inconsistency is maximal and the factor is the cap.
    """
    return (_ratio(total, lower, upper, cap), _ratio(total, upper, lower, cap))


def _ratio(
    total: Float64Array, other: Float64Array, side: Float64Array, cap: float
) -> Float64Array:
    over, under = total * other, side * (2.0 * other - total)
    out = np.where(over > 0, cap, 1.0)  # 0 / 0, all means zero, is no inconsistency
    with np.errstate(over="ignore"):  # next to the pole: the cap
        np.divide(over, under, out=out, where=under > 0)
    clipped: Float64Array = np.clip(out, 1.0, cap)
    return clipped
