"""Draws with replacement, as counts of samples or of groups, and redrawn labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.labels import unit_codes
from calib._border.typing import (
    ArrayLike,
    Float64Array,
    FloatArray,
    IntArray,
    LabelArray,
)
from calib.evaluation.sampling import loops

#: What `uq` draws with, too.
__all__ = [
    "block_counts",
    "cell_counts",
    "draw_labels",
    "group_codes",
    "multinomial_counts",
    "unit_counts",
]

#: Classes up to which numbers are compared with every cumulative probability; beyond, a search.
MOST_COMPARED = 32
#: Samples that are compared at once.
COMPARED_SAMPLES = 1 << 12


def draw_labels(proba: FloatArray, uniform: Float64Array) -> LabelArray:
    """Draw labels by inverting the cumulative probabilities.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_columns)
        Float64 probabilities; one column is the second of two classes.
    uniform : ndarray of shape (n_replicates, n_samples)
        Numbers in [0, 1).

    Returns
    -------
    codes : ndarray of shape (n_replicates, n_samples)
        Column indices, of a small type: no numbers to calculate with.
    """
    if proba.shape[1] <= 2:
        positive = proba[:, -1] if proba.shape[1] == 1 else proba[:, 1] / proba.sum(axis=1)
        return (uniform < positive).view(np.uint8)
    cumulative = np.maximum(proba, 0.0)
    np.cumsum(cumulative, axis=1, out=cumulative)
    cumulative /= cumulative[:, -1:]
    return columns_passed(cumulative, uniform)


def columns_passed(cumulative: Float64Array, number: Float64Array) -> LabelArray:
    """Return how many columns, the last one left out, are at most a number.

    Parameters
    ----------
    cumulative : ndarray of shape (n_samples, n_columns)
        Ascending from column to column, in [0, 1].
    number : ndarray of shape (n_replicates, n_samples)
        In [0, 1).

    Returns
    -------
    passed : ndarray of shape (n_replicates, n_samples)
    """
    n_samples, n_columns = cumulative.shape
    if n_columns > MOST_COMPARED:
        if (search := loops.search_rows.after(10.0 * number.size)) is not None:
            passed = np.empty(number.shape, dtype=np.int64)
            search(np.ascontiguousarray(cumulative), number, passed)
            return passed
        row = np.arange(n_samples)
        ascending = cumulative + row[:, None]  # as a whole, so that one search serves all rows
        found = np.searchsorted(ascending.ravel(), number + row, side="right") - row * n_columns
        return np.asarray(np.minimum(found, n_columns - 1))
    passed = np.zeros(number.shape, dtype=np.uint8)
    if (compare := loops.compare_columns.after(float(number.size))) is not None:
        compare(np.ascontiguousarray(cumulative[:, :-1].T), number, passed)
        return passed
    for start in range(0, n_samples, COMPARED_SAMPLES):
        samples = slice(start, start + COMPARED_SAMPLES)
        limits = np.ascontiguousarray(cumulative[samples, :-1].T)
        for replicates in row_blocks(len(number), limits.shape[1]):
            block, out = number[replicates, samples], passed[replicates, samples]
            reached = np.empty(block.shape, dtype=bool)
            for limit in limits:
                np.less_equal(limit, block, out=reached)
                out += reached.view(np.uint8)
    return passed


def drawn_units(n_units: int, rng: np.random.Generator) -> IntArray:
    """Return a draw of as many units as there are, with replacement."""
    return rng.integers(0, n_units, n_units)


def unit_counts(n_units: int, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """Return how often every unit is drawn in every resample, with replacement.

    Parameters
    ----------
    n_units : int
        Samples, groups or images.
    n_resamples : int
    rng : Generator

    Returns
    -------
    counts : ndarray of int, shape (n_resamples, n_units)
    """
    drawn = rng.integers(0, n_units, (n_resamples, n_units))
    drawn += np.arange(n_resamples)[:, None] * n_units
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_units)
    return counts.reshape(n_resamples, n_units)


def multinomial_counts(n_units: int, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """Return the same as `unit_counts` from other random numbers, without the units of a draw.

    Parameters
    ----------
    n_units : int
        Samples, groups or images.
    n_resamples : int
    rng : Generator

    Returns
    -------
    counts : ndarray of int, shape (n_resamples, n_units)
    """
    return rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n_resamples)


def cell_counts(counts: IntArray, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """Return how many units are in every cell in each resample, with replacement.

    Parameters
    ----------
    counts : ndarray of int, shape (n_cells,)
        Units that are in the cells.
    n_resamples : int
    rng : Generator

    Returns
    -------
    counts : ndarray of int, shape (n_resamples, n_cells)
    """
    n_units = int(counts.sum())
    return rng.multinomial(n_units, counts / n_units, size=n_resamples)


def block_counts(
    n_samples: int,
    groups: IntArray | None,
    n_resamples: int,
    step: int,
    rng: np.random.Generator,
) -> Iterator[tuple[slice, FloatArray]]:
    """Yield blocks of how often each sample occurs, shape (n_rows, 1 + n_resamples).

    Column 0 is the sample itself. Without groups the multinomial counts are drawn block by block:
    first how many draws fall into each block, then where in the block. Compiled loops get the whole
    numbers in float32, which is half as much to read.

    Parameters
    ----------
    n_samples : int
    groups : ndarray of shape (n_samples,) or None
        Group of every sample, 0..n_groups - 1; whole groups are drawn.
    n_resamples : int
    step : int
        Samples of a block.
    rng : Generator

    Yields
    ------
    rows : slice
    counts : ndarray of shape (n_rows, 1 + n_resamples)
    """
    starts = np.arange(0, n_samples, step)
    sizes = np.minimum(starts + step, n_samples) - starts
    if groups is None:
        share = rng.multinomial(n_samples, sizes / n_samples, size=n_resamples)
    else:
        of_group = unit_counts(int(groups.max()) + 1, n_resamples, rng).T
    for index, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        rows = slice(int(start), int(start + size))
        count = None if groups is not None else loops.count_drawn.after(4.0 * size * n_resamples)
        counts = np.ones((int(size), 1 + n_resamples), np.float32 if count else np.float64)
        if groups is not None:
            counts[:, 1:] = of_group[groups[rows]]
        else:
            _count(share[:, index], counts, count, rng)
        yield rows, counts


def _count(
    per_replicate: IntArray,
    counts: FloatArray,
    loop: Callable[..., None] | None,
    rng: np.random.Generator,
) -> None:
    """Draw rows of a block, so many in each replicate, and write how often into the columns."""
    size, n_resamples = len(counts), len(per_replicate)
    drawn = rng.integers(0, size, int(per_replicate.sum()), dtype=np.int32)
    if loop is not None:
        loop(drawn, per_replicate, counts)
        return
    cell = drawn.astype(np.intp) * n_resamples
    cell += np.repeat(np.arange(n_resamples), per_replicate)
    counts[:, 1:] = np.bincount(cell, minlength=size * n_resamples).reshape(size, n_resamples)


def poisson_sums(
    weight: Float64Array,
    square: Float64Array,
    prob: Float64Array,
    n: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Return Poisson bootstrap sums by cell: weight, prediction and label, shape (3, n, cells)."""
    ones, zeros = np.ones_like(weight), np.zeros_like(weight)
    unit = np.divide(square, weight, out=ones, where=weight > 0)
    mean = np.divide(prob, weight, out=zeros, where=weight > 0)
    others, events = (
        unit[k] * rng.poisson(weight[k] / unit[k], size=(n, weight.shape[1])) for k in (0, 1)
    )
    return np.stack([others + events, others * mean[0] + events * mean[1], events])


def members(groups: ArrayLike, n_samples: int) -> list[IntArray]:
    """Return the rows of every group."""
    codes = group_codes(groups, n_samples)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def group_codes(groups: ArrayLike, n_samples: int) -> IntArray:
    """Return the index of the group of every sample.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
    n_samples : int

    Returns
    -------
    codes : ndarray of int, shape (n_samples,)
        In 0..n_groups - 1.
    """
    return unit_codes(groups, n_samples, "groups", "y_prob")
