"""Isotonic regression on weighted points: ties pooled first, one array of blocks out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from calib._border.typing import Float64Array


@dataclass(frozen=True)
class Blocks:
    """Blocks of an isotonic fit in ascending order.

    Attributes
    ----------
    first, last : ndarray of shape (n_blocks,)
        Smallest and largest x of the block.
    centre : ndarray of shape (n_blocks,)
        Weighted mean of x in the block.
    value : ndarray of shape (n_blocks,)
        Weighted mean of the targets, strictly increasing.
    """

    first: Float64Array
    last: Float64Array
    centre: Float64Array
    value: Float64Array


def pool_adjacent_violators(
    x: Float64Array, target: Float64Array, weight: Float64Array | None
) -> Blocks:
    """Fit an increasing step function to targets by weighted least squares.

    Parameters
    ----------
    x, target : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,) or None
        Positive weights.

    Returns
    -------
    blocks : Blocks

    Notes
    -----
    Equal x are pooled before the fit, so the result does not depend on the order of the rows.
    Sorting costs O(n log n), pooling O(n).
    """
    order = np.argsort(x, kind="stable")
    x = x[order]
    w = np.ones(len(x)) if weight is None else weight[order]
    starts = np.flatnonzero(np.concatenate(([True], x[1:] > x[:-1])))
    mass = np.add.reduceat(w, starts)
    mean = np.add.reduceat(w * target[order], starts) / mass
    points = x[starts]
    fit = isotonic_regression(mean, weights=mass)
    edges = fit.blocks
    centre = np.add.reduceat(mass * points, edges[:-1]) / fit.weights
    value = np.clip(fit.x[edges[:-1]], target.min(), target.max())
    first, last = points[edges[:-1]], points[edges[1:] - 1]
    return Blocks(first, last, np.clip(centre, first, last), value)
