"""Several arrays in one: what a calibrator made of calibrators stores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from calib._border.typing import Array, Float64Array, IntArray

#: Most dimensions of a packed array.
MOST_DIMENSIONS = 3


def pack(groups: Sequence[Sequence[Any]]) -> tuple[IntArray, Float64Array]:
    """Write the numbers of groups of arrays one after the other.

    Parameters
    ----------
    groups : sequence of sequences of array-like

    Returns
    -------
    layout : ndarray of int, shape (n_arrays, 3 + MOST_DIMENSIONS)
        Group, first number, number of dimensions and lengths of every array.
    packed : ndarray of shape (n_numbers,)
        Never empty: a 0 stands for nothing.
    """
    rows, parts, start = [], [np.zeros(0)], 0
    for number, group in enumerate(groups):
        for value in group:
            array = np.asarray(value, dtype=np.float64)
            if array.ndim > MOST_DIMENSIONS:
                raise AssertionError(f"{array.ndim} dimensions cannot be packed")
            lengths = [*array.shape, *[0] * (MOST_DIMENSIONS - array.ndim)]
            rows.append([number, start, array.ndim, *lengths])
            parts.append(array.ravel())
            start += array.size
    packed = np.concatenate(parts) if start else np.zeros(1)
    layout = np.array(rows, dtype=np.int64).reshape(-1, 3 + MOST_DIMENSIONS)
    return layout, packed


def unpack(layout: Array, packed: Array, group: int) -> list[Array]:
    """Return the arrays of one group, of the namespace and type of `packed`."""
    out = []
    for row in layout:
        number, start, n_dimensions, *lengths = (int(x) for x in row)
        if number == group:
            shape = tuple(lengths[:n_dimensions])
            size = int(np.prod(shape)) if shape else 1
            out.append(packed[start : start + size].reshape(shape))
    return out


def check_layout(layout: IntArray, packed: Float64Array, n_groups: int) -> None:
    """Raise a `ValueError` unless `pack` could have written this for as many groups."""
    start = 0
    for group, first, n_dimensions, *lengths in layout.tolist():
        used, unused = lengths[:n_dimensions], lengths[n_dimensions:]
        if group >= n_groups or first != start or n_dimensions > MOST_DIMENSIONS or any(unused):
            raise ValueError("layout_ does not describe arrays one after the other")
        start += math.prod(used)
    if max(1, start) != len(packed):
        raise ValueError(f"layout_ describes {start} numbers, packed_ has {len(packed)}")
