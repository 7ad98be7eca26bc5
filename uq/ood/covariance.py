"""Covariance matrices with shrinkage, their Cholesky factors and whitening."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from calib._border.checks import describe
from calib._border.typing import Float64Array

Shrinkage: TypeAlias = float | Literal["auto"]
#: Smallest ratio of pivots in a Cholesky factor (squared: about 1e-12 of the largest variance)
#: below which a covariance counts as singular.
PIVOT_RATIO = 1e-6


def shrunk_covariance(centred: Float64Array, shrinkage: Shrinkage) -> tuple[Float64Array, float]:
    """Return the covariance of centred rows (divided by n), shrunk, and the share of identity."""
    n_samples, n_features = centred.shape
    covariance = centred.T @ centred / n_samples
    scale = float(np.trace(covariance)) / n_features
    if shrinkage == "auto":
        spread = float((covariance**2).sum()) - n_features * scale**2
        fourth = float((np.einsum("nd,nd->n", centred, centred) ** 2).mean())
        noise = (fourth - float((covariance**2).sum())) / n_samples
        share = 1.0 if spread <= 0 else float(np.clip(noise / spread, 0.0, 1.0))
    else:
        share = float(shrinkage)
    covariance *= 1 - share
    covariance.flat[:: n_features + 1] += share * scale
    return covariance, share


def check_shrinkage(shrinkage: Any) -> None:
    if isinstance(shrinkage, str) and shrinkage == "auto":
        return
    number = isinstance(shrinkage, (int, float, np.number)) and not isinstance(shrinkage, bool)
    if not number or not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be 'auto' or in [0, 1]; got {describe(shrinkage)}")


def factor_of(covariance: Float64Array, what: str) -> Float64Array:
    """Return the lower Cholesky factor of a covariance that is not singular."""
    try:
        factor = cast(Float64Array, cholesky(covariance, lower=True))
    except LinAlgError:
        factor = np.zeros((1, 1))
    pivots = np.diag(factor) / np.sqrt(np.diag(covariance).max() or 1.0)
    if pivots.min() < PIVOT_RATIO:
        raise ValueError(
            f"{what} is singular: features repeat each other, are constant, or outnumber the "
            f"samples; pass shrinkage='auto' or above 0, or remove such features"
        )
    return factor


def whiten(factor: Float64Array, rows: Float64Array) -> Float64Array:
    return cast(Float64Array, solve_triangular(factor, rows.T, lower=True, check_finite=False).T)
