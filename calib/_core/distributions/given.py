"""Distributions as they are handed over: means and deviations, quantiles, samples."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from scipy.special import ndtri

from calib._border.arrays import to_numpy
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import check_finite, check_numbers, check_quantile_levels
from calib._border.warn import warn
from calib._core.distributions.score_law import ScoreLaw, normal_law, score_law
from calib.warnings import CrossingQuantilesWarning

Given: TypeAlias = Literal["normal", "quantiles", "samples"]
GIVEN: tuple[Given, ...] = ("normal", "quantiles", "samples")
#: Intervals at the end whose slope a tail takes on: one of so many, at most so many.
OUTER_SHARE, MOST_OUTER = 20, 5


def read_given(X: ArrayLike, kind: Given, name: str) -> Float64Array:
    """Return distributions as a finite matrix of at least two columns.

    Raises
    ------
    ValueError
        For another shape, with what to pass instead, NaN or inf.
    """
    pair = kind == "normal"
    stacked = "np.column_stack([mean, std])" if pair else "one row per sample"
    if isinstance(X, tuple):
        raise ValueError(f"{name} is a tuple; pass {stacked}")
    array = np.asarray(to_numpy(check_numbers(X, name)), dtype=np.float64)
    if array.ndim != 2:
        wanted = "(n_samples, 2)" if pair else f"(n_samples, n_{kind})"
        raise ValueError(f"{name} must have shape {wanted}; got {array.shape}: pass {stacked}")
    if not len(array):
        raise ValueError(f"{name} has 0 samples; pass at least one")
    if pair and array.shape[1] != 2:
        raise ValueError(
            f"{name} must hold means and standard deviations, shape (n_samples, 2); got "
            f"{array.shape}: pass {stacked}, or say input='quantiles' or 'samples'"
        )
    if not pair and array.shape[1] < 2:
        raise ValueError(
            f"{name} has {array.shape[1]} column, a point forecast and no distribution; "
            f"uq.ConformalPredictiveSystem makes distributions of those"
        )
    check_finite(array, name)
    return array


def given_law(
    array: Float64Array, kind: Given, levels: ArrayLike, name: str, *, stacked: bool = True
) -> ScoreLaw:
    """Return the law of a checked matrix.

    Parameters
    ----------
    array : ndarray of shape (n_rows, n_columns)
        From `read_given`.
    kind : {"normal", "quantiles", "samples"}
    levels : array-like of shape (n_columns,) or None
        Of quantiles.
    name : str
        Of the argument, in errors.
    stacked : bool, default=True
        Whether means and deviations came as columns of one argument.

    Raises
    ------
    ValueError
        For deviations that are not positive, and levels that are no levels.

    Warns
    -----
    CrossingQuantilesWarning
        If quantiles cross; they are sorted.
    """
    if kind == "normal":
        std = array[:, 1]
        wrong = std <= 0
        if wrong.any():
            row = int(np.argmax(wrong))
            what = f"{name} has a standard deviation" if stacked else "std has a value"
            cure = "pass a floor, np.maximum(std, floor)" if (std[wrong] == 0).all() else "check it"
            place = ", column 1" if stacked else ""
            raise ValueError(
                f"{what} that is not positive: {std[row]:g} in row {row}{place} "
                f"({int(wrong.sum())} of {len(std)} rows); {cure}"
            )
        return normal_law(array[:, 0].copy(), std.copy())
    n_columns = array.shape[1]
    if kind == "samples":
        tau = (np.arange(n_columns) + 0.5) / n_columns
        values = np.sort(array, axis=1)
    else:
        tau = check_quantile_levels(levels, array, name)
        crossing = (np.diff(array, axis=1) < 0).any(axis=1)
        values = array
        if crossing.any():
            warn(
                f"{name} has quantiles that cross in {int(crossing.sum())} of {len(array)} rows, "
                f"first in row {int(np.argmax(crossing))}; they are sorted",
                CrossingQuantilesWarning,
            )
            values = np.sort(array, axis=1)
    n_outer = int(np.clip(n_columns // OUTER_SHARE, 1, MOST_OUTER))
    return score_law(values, np.asarray(ndtri(tau)), n_outer, kind)
