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

#: Blocks of cells, inside which a smoothed mass mostly keeps its sign.
N_BLOCKS = 1 << 11
#: Standard deviations of a Gaussian beyond which it is below 1e-18.
GAUSSIAN_TAIL = 9.1
#: Cells up to which blocks are worth their tables.
MOST_BLOCKED = 1 << 16


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

    The Gaussian leaves few frequencies. Where a block of cells keeps one sign, by a Taylor bound
    about its middle, its sum has a closed form; only in the other blocks is every cell computed.

    Parameters
    ----------
    spectrum : ndarray of shape (n_cells,)
        Of the mass, as `cosines` returns it.
    bandwidth : float > 0
        Standard deviation.
    """
    from scipy.fft import idct, idst

    n_cells = len(spectrum)
    n_kept = min(n_cells, int(GAUSSIAN_TAIL / (np.pi * bandwidth)) + 2)
    angular = frequencies(n_kept)
    kept = spectrum[:n_kept] * np.exp(-0.5 * (bandwidth * angular) ** 2)
    if n_kept > N_BLOCKS // 2 or n_cells > MOST_BLOCKED:
        return float(np.abs(idct(kept, type=2, n=n_cells)).sum())
    sums, inside = _block_tables(n_cells)
    kept *= N_BLOCKS / n_cells
    middle = idct(kept, type=2, n=N_BLOCKS)
    slope = idst((kept * angular)[1:], type=2, n=N_BLOCKS)
    bend = float(np.abs(kept) @ angular**2) / N_BLOCKS
    half = 0.5 / N_BLOCKS
    mixed = np.flatnonzero(np.abs(middle) <= half * np.abs(slope) + 0.5 * half**2 * bend)
    total = np.abs(idct(kept * sums[:n_kept], type=2, n=N_BLOCKS))
    total[mixed] = 0.0
    phase = ((mixed + 0.5) / N_BLOCKS)[:, None] * angular
    kept[1:] *= 2.0
    kept /= 2 * N_BLOCKS
    cells = (kept * np.cos(phase)) @ inside[0, :n_kept] - (kept * np.sin(phase)) @ inside[1, :n_kept]
    return float(total.sum() + np.abs(cells).sum())


@cache
def _block_tables(n_cells: int) -> tuple[Float64Array, Float64Array]:
    """Return what a block sums of every frequency, and cosine and sine of each at its cells."""
    size = n_cells // N_BLOCKS
    angular = frequencies(N_BLOCKS // 2)
    offset = (np.arange(size) - 0.5 * (size - 1)) / n_cells
    inside = np.array([np.cos(angular[:, None] * offset), np.sin(angular[:, None] * offset)])
    return inside[0].sum(axis=1), inside
