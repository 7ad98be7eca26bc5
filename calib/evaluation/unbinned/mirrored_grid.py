"""Kernel smoothing on [0, 1] with reflection at both ends, on a grid of cells.

Reflecting a symmetric kernel at 0 and 1, as often as it takes, makes it diagonal in the cosines
``cos(pi k t)``. Smoothing is therefore one discrete cosine transform, a product with the Fourier
transform of the kernel, and the transform back.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array

#: Points of the coarse grid that a smooth mass is known from, and the bandwidth that it takes.
N_POINTS = 1 << 11
COARSE_BANDWIDTH = 10.0 / N_POINTS
#: Points on either side that the mass between them is interpolated from.
N_SIDE = 8
#: Standard deviations of a Gaussian beyond which it is below 1e-18.
GAUSSIAN_TAIL = 9.1


def spread(score: Float64Array, mass: Float64Array, n_cells: int) -> Float64Array:
    """Share the mass of every score between the two nearest cell midpoints.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        In [0, 1].
    mass : ndarray of shape (n_samples,)
    n_cells : int
        Midpoints are ``(g + 0.5) / n_cells``; what lies beyond the outer ones is reflected.

    Returns
    -------
    cells : ndarray of shape (n_cells,)
    """
    padded = np.zeros(n_cells + 2)
    for rows in row_blocks(len(score), 1, at_least=4 * n_cells):
        position = np.clip(score[rows], 0.0, 1.0)
        position *= n_cells
        position += 0.5
        cell = np.minimum(position.astype(np.intp), n_cells)
        position -= cell
        position *= mass[rows]
        padded += np.bincount(cell, mass[rows], minlength=n_cells + 2)
        moved = np.bincount(cell, position, minlength=n_cells + 2)
        padded -= moved
        padded[1:] += moved[:-1]
    padded[1] += padded[0]
    padded[-2] += padded[-1]
    return padded[1:-1]


def cosines(cells: Float64Array) -> Float64Array:
    """Return the cosine coefficients of a mass per cell."""
    from scipy.fft import dct

    out: Float64Array = dct(cells, type=2)
    return out


def from_cosines(coefficients: Float64Array) -> Float64Array:
    """Return the mass per cell of cosine coefficients."""
    from scipy.fft import idct

    out: Float64Array = idct(coefficients, type=2)
    return out


def frequencies(n_cells: int) -> Float64Array:
    """Return the angular frequencies ``pi k`` of the coefficients."""
    return np.float64(np.pi) * np.arange(n_cells, dtype=np.float64)


def gaussian_total(spectrum: Float64Array, bandwidth: float) -> float:
    """Return the sum over cells of the absolute mass, smoothed by a Gaussian.

    The Gaussian leaves few frequencies, so that the mass of all cells follows from that on a coarse
    grid, to 14 digits.

    Parameters
    ----------
    spectrum : ndarray of shape (n_cells,)
        Of the mass, as `cosines` returns it.
    bandwidth : float >= 0
        Standard deviation.
    """
    from scipy.fft import idct

    n_cells = len(spectrum)
    n_kept = int(GAUSSIAN_TAIL / max(np.pi * bandwidth, 1e-9)) + 2
    angular = frequencies(min(n_cells, n_kept))
    kept = spectrum[: len(angular)] * np.exp(-0.5 * (bandwidth * angular) ** 2)
    if bandwidth < COARSE_BANDWIDTH:
        return float(np.abs(idct(kept, type=2, n=n_cells)).sum())
    coarse = np.pad(idct(kept, type=2, n=N_POINTS), N_SIDE, mode="symmetric")
    around = np.lib.stride_tricks.sliding_window_view(coarse, 2 * N_SIDE + 1)
    cells = around @ _interpolation(n_cells // N_POINTS)
    return float(np.abs(cells).sum()) * N_POINTS / n_cells


@cache
def _interpolation(n_cells: int) -> Float64Array:
    """Return the weights of the points around a cell, for all cells between half-way points."""
    point = np.arange(-N_SIDE, N_SIDE + 1)
    cell = (np.arange(n_cells) + 0.5) / n_cells - 0.5
    others = [np.delete(point, k) for k in range(len(point))]
    return np.array(
        [
            np.prod((cell[:, None] - rest) / (at - rest), axis=1)
            for at, rest in zip(point, others, strict=True)
        ]
    )
