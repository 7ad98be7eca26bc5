"""Vectors of scores and losses, checked at the border."""

from __future__ import annotations

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.labels import check_same_length, check_vector
from calib._border.typing import Array, ArrayLike, Float64Array, IntArray
from calib._border.validation import as_floating

#: Largest loss or confidence whose sums of squares stay finite.
LARGEST_NUMBER = 1e150


def check_numbers(x: ArrayLike, name: str) -> Array:
    """Return an array of floating numbers; texts and dates are none."""
    return as_floating(read_array(x, name), name)


def unit_codes(values: ArrayLike, n_rows: int, name: str, rows_of: str) -> IntArray:
    """Return the number of the unit (group, image) of every row."""
    array = check_vector(values, name)
    check_same_length(n_rows, len(array), rows_of, name)
    try:
        return np.unique(array, return_inverse=True)[1].astype(np.intp)
    except TypeError as error:
        raise ValueError(
            f"{name} mixes values that cannot be sorted ({error}); make all of them text"
        ) from error


def percent_hint(values: Float64Array) -> str:
    """Return advice for numbers that are percentages in the place of fractions."""
    percent = values.min() >= 0 and 1 < values.max() <= 100
    return "; these look like percentages: divide by 100" if percent else ""


def check_score_vector(x: ArrayLike, name: str) -> Float64Array:
    """Return a finite, non-empty vector of numbers as float64."""
    array = to_numpy(check_numbers(x, name))
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n_samples,); got shape {array.shape}")
    if len(array) == 0:
        raise ValueError(f"{name} has 0 samples; pass at least one")
    values: Float64Array = array.astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values)))
        raise ValueError(
            f"{name} contains NaN or inf: {values[row]} in row {row}; remove or repair such rows"
        )
    return values
