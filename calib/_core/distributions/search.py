"""Places of numbers in sorted rows."""

from __future__ import annotations

import numpy as np

from calib._border.typing import Float64Array, IntArray


def rank_in_rows(sorted_rows: Float64Array, t: Float64Array, *, right: bool = True) -> IntArray:
    """Return how many numbers of a row are <= t, or < t if not `right`.

    Parameters
    ----------
    sorted_rows : ndarray of shape (n_rows, n_columns)
        Ascending; one row serves all rows of `t`.
    t : ndarray of shape (n_rows, k) or (1, k)
    right : bool, default=True

    Returns
    -------
    rank : ndarray of int, shape (n_rows, k)

    Notes
    -----
    A bisection of all rows at once: O(k log n_columns) a row.
    """
    n_rows, n_columns = sorted_rows.shape
    if n_rows == 1:
        return np.asarray(np.searchsorted(sorted_rows[0], t, side="right" if right else "left"))
    if n_columns == 1:
        return (sorted_rows <= t if right else sorted_rows < t).astype(np.intp)
    t = np.broadcast_to(t, (n_rows, t.shape[1]))
    low = np.zeros(t.shape, dtype=np.intp)
    high = np.full(t.shape, n_columns)
    for _ in range(n_columns.bit_length()):
        middle = (low + high) >> 1
        value = np.take_along_axis(sorted_rows, np.minimum(middle, n_columns - 1), axis=1)
        less = (value <= t if right else value < t) & (middle < high)
        low = np.where(less, middle + 1, low)
        high = np.where(less, high, middle)
    return low


def picked(array: Float64Array, columns: IntArray) -> Float64Array:
    """Return entries of the columns of every row; one row of either serves all of the other."""
    if len(columns) == 1:
        return np.asarray(array[:, columns[0]])
    if len(array) == 1:
        return np.asarray(array[0][columns])
    return np.asarray(np.take_along_axis(array, columns, axis=1))
