"""What a binned error of a calibrated model shows by chance, where cells of a unit are dependent.

A unit is what is drawn independently: a sample with its labels, an image with its pixels, a group
of rows. Its residuals enter as one, with a random sign: nothing is assumed of how they depend on
each other.
"""

from __future__ import annotations

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array


def wild_floor(
    sums: Float64Array, weights: Float64Array, n_replicates: int, rng: np.random.Generator
) -> Float64Array:
    """Return replicates of a binned error under calibration, by the wild bootstrap of units.

    Parameters
    ----------
    sums : ndarray of shape (n_units, n_bins)
        Sums of ``weight * (y - p)`` over the cells of a unit in a bin.
    weights : ndarray of shape (n_units, n_bins)
        Sums of the weights of these cells, >= 0; not all 0.
    n_replicates : int
        Replicates to draw, >= 1.
    rng : Generator
        Source of the signs.

    Returns
    -------
    errors : ndarray of shape (n_replicates,)
        Errors ``sum_b |sum_i g_i r_ib| / sum(weights)`` with ``r_ib`` the sums about the mean
        residual of their bin, and ``g_i = +-1``; in [0, 1]. Their mean is the floor, an upper
        quantile the largest error that chance explains.

    Notes
    -----
    The centred sums have the covariance of the observed ones, between bins as well, whatever the
    dependence inside units is. Signs are one factor per unit, so that the cost is a product of
    (n_replicates, n_units) by (n_units, n_bins). It takes some tens of units; with ten or fewer,
    quantiles are too low.

    References
    ----------
    C. F. J. Wu. Jackknife, bootstrap and other resampling methods in regression analysis. Annals of
    Statistics 14, 1986. A. C. Cameron, J. B. Gelbach, D. L. Miller. Bootstrap-based improvements
    for inference with clustered errors. Review of Economics and Statistics 90, 2008.
    """
    mass = weights.sum(axis=0)
    mean = np.zeros_like(mass)
    np.divide(sums.sum(axis=0), mass, out=mean, where=mass > 0)
    centred = sums - weights * mean
    errors = np.empty(n_replicates)
    for block in row_blocks(n_replicates, len(sums)):
        signs = 2.0 * rng.integers(0, 2, (block.stop - block.start, len(sums)), np.int8) - 1.0
        errors[block] = np.abs(signs @ centred).sum(axis=1)
    return errors / float(mass.sum())
