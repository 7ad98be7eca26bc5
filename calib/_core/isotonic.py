"""Isotonic regression on weighted points: ties pooled first, one array of blocks out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, IntArray, LabelArray


@dataclass(frozen=True)
class Points:
    """Distinct values in ascending order.

    Attributes
    ----------
    order : ndarray of shape (n_samples,)
        Rows in ascending order, unsigned integers of 32 bits where these suffice.
    start : ndarray of shape (n_points,) or None
        Place in `order` where each point begins; None where all rows differ.
    """

    order: IntArray
    start: IntArray | None


@dataclass(frozen=True)
class Blocks:
    """Blocks of an isotonic fit in ascending order.

    Attributes
    ----------
    order : ndarray of shape (n_samples,)
        Rows in ascending order.
    start : ndarray of shape (n_blocks,)
        Place in `order` where each block begins.
    wide : ndarray of bool of shape (n_blocks,)
        Whether the block holds several distinct values.
    value : ndarray of shape (n_blocks,)
        Weighted mean of the targets, strictly increasing.
    """

    order: IntArray
    start: IntArray
    wide: LabelArray
    value: Float64Array

    @property
    def first(self) -> IntArray:
        """A row with the smallest value of each block."""
        return self.order[self.start]

    @property
    def last(self) -> IntArray:
        """A row with the largest value of each block."""
        return np.asarray(self.order[np.append(self.start[1:], len(self.order)) - 1])


def ascending(x: Float64Array) -> Points:
    """Sort values, shape (n_samples,), and find those that are equal.

    Notes
    -----
    Kept apart from the fit, so that callers can let go of values that they need for nothing else.
    """
    order = np.argsort(x, kind="stable").astype(np.min_scalar_type(max(len(x), 1 << 16)))
    fresh = np.ones(len(x), dtype=bool)
    below = -np.inf
    for rows in row_blocks(len(x), 1):
        values = x[order[rows]]
        fresh[rows] = np.diff(values, prepend=below) > 0
        below = values[-1]
    fresh[0] = True
    return Points(order, None if fresh.all() else np.flatnonzero(fresh).astype(order.dtype))


def pool_adjacent_violators(
    points: Points, target: LabelArray, weight: Float64Array | None
) -> Blocks:
    """Fit an increasing step function to targets by weighted least squares.

    Parameters
    ----------
    points : Points
        Of the values that the function is of.
    target : ndarray of shape (n_samples,)
        Numbers or truth values.
    weight : ndarray of shape (n_samples,) or None
        Positive weights.

    Returns
    -------
    blocks : Blocks

    Notes
    -----
    Equal values are pooled before the fit, so the result does not depend on the order of the rows.
    Sorting costs O(n log n), pooling O(n).
    """
    mean, mass = _pooled(points, target, weight)
    fit = isotonic_regression(mean, weights=mass)
    edges = fit.blocks
    value = np.clip(fit.x[edges[:-1]], float(target.min()), float(target.max()))
    start = edges[:-1].copy() if points.start is None else points.start[edges[:-1]]
    return Blocks(points.order, start, np.diff(edges) > 1, value)


def _pooled(
    points: Points, target: LabelArray, weight: Float64Array | None
) -> tuple[Float64Array, Float64Array | None]:
    """Return mean target and weight of each point, None for weights of 1."""
    sums, mass = np.empty(len(target)), None
    for rows in row_blocks(len(sums), 1):
        sums[rows] = target[points.order[rows]]
    if weight is not None:
        mass = weight[points.order]
        sums *= mass
    if points.start is not None:
        sums = np.add.reduceat(sums, points.start)
        if mass is None:
            mass = np.diff(points.start, append=len(target)).astype(np.float64)
        else:
            mass = np.add.reduceat(mass, points.start)
    if mass is not None:
        sums /= mass
    return sums, mass
