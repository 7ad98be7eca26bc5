"""Continuous ranked probability scores of known families, on checked arrays that broadcast."""

from __future__ import annotations

import numpy as np
from scipy.special import beta, betaln, ndtr, stdtr

from calib._border.typing import Float64Array

ROOT_OF_PI = float(np.sqrt(np.pi))
#: Logarithm of the root of 2 pi.
LOG_ROOT = 0.5 * float(np.log(2 * np.pi))


def normal_density(z: Float64Array) -> Float64Array:
    """Return the standard normal density."""
    return np.asarray(np.exp(-0.5 * z * z - LOG_ROOT))


def crps_of_normal(mean: Float64Array, std: Float64Array, y: Float64Array) -> Float64Array:
    """Return the score of normal distributions.

    ``s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`` with ``z = (y - mean) / s``.
    """
    with np.errstate(over="ignore"):
        z = (y - mean) / std
        return np.asarray(std * (z * (2 * ndtr(z) - 1) + 2 * normal_density(z) - 1 / ROOT_OF_PI))


def t_crps(
    loc: Float64Array, scale: Float64Array, df: Float64Array | float, y: Float64Array
) -> Float64Array:
    """Return the score of Student's t distributions; infinite for one degree of freedom or less.

    ``s (z (2 F(z) - 1) + 2 g(z) - 2 B)`` with ``g = f(z) (df + z^2) / (df - 1)`` and B as in
    `t_constant`.
    """
    df = np.asarray(df, dtype=np.float64)
    with np.errstate(all="ignore"):
        z = (y - loc) / scale
        score = scale * (z * (2 * stdtr(df, z) - 1) + 2 * t_tail_mean(z, df) - 2 * t_constant(df))
    return np.where(df > 1, score, np.inf)


def t_log_density(z: Float64Array, df: Float64Array | float) -> Float64Array:
    """Return the logarithm of the density of Student's t."""
    constant = -0.5 * np.log(df) - betaln(0.5, np.asarray(df) / 2)
    with np.errstate(over="ignore"):
        large = np.abs(z) > 1e100
        inner = np.where(large, 1.0, z)
        tail = 2 * np.log(np.abs(np.where(large, z, 1.0))) - np.log(df)
        return np.asarray(
            constant - 0.5 * (df + 1) * np.where(large, tail, np.log1p(inner * inner / df))
        )


def t_tail_mean(z: Float64Array, df: Float64Array | float) -> Float64Array:
    """Return the integral of x f(x) from |z| on, for Student's t with more than one degree."""
    size = np.minimum(np.abs(z), 1e100)
    return np.asarray((df + size * size) / (df - 1.0) * np.exp(t_log_density(size, df)))


def t_constant(df: Float64Array | float) -> Float64Array:
    """Return half the mean distance of two draws of Student's t."""
    df = np.asarray(df, dtype=np.float64)
    return np.asarray(np.sqrt(df) / (df - 1) * beta(0.5, df - 0.5) / beta(0.5, df / 2) ** 2)


def points_crps(sorted_points: Float64Array, y: Float64Array, fair: bool = False) -> Float64Array:
    """Return the score of equally weighted points.

    ``mean |x_j - y| - D / 2`` with D the mean distance of two of the points: with repetition, so
    that the score is that of the distribution which is the points, or (`fair`) without, so that it
    is the expected score of the distribution that they were drawn from.

    Parameters
    ----------
    sorted_points : ndarray of shape (n_rows, n_points)
        Ascending in each row; one row serves all labels. At least two points for `fair`.
    y : ndarray of shape (n_rows,)
    fair : bool, default=False

    Returns
    -------
    score : ndarray of shape (n_rows,)

    Notes
    -----
    O(n_points), with differences to the median of the points so that nothing cancels.

    References
    ----------
    C. A. T. Ferro. Fair scores for ensemble forecasts. Quarterly Journal of the Royal
    Meteorological Society 140 (2014). doi:10.1002/qj.2270
    """
    m = sorted_points.shape[1]
    centre = sorted_points[:, [m // 2]]
    centred = sorted_points - centre
    rank = 2.0 * np.arange(m) - (m - 1.0)
    distance = np.abs(centred - (y[:, None] - centre)).mean(axis=1)
    spread = (centred * rank).sum(axis=1)  # not a product of matrices, whose blocks show
    return np.asarray(distance - spread / (m * (m - 1.0) if fair else float(m) * m))
