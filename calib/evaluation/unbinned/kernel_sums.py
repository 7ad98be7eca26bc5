"""Sums over pairs of samples of residual products, weighted by an exponential kernel."""

from __future__ import annotations

import numpy as np

from calib._border.typing import Float64Array, IntArray, LabelArray

#: Entries of a block of the kernel matrix (16 MB).
BLOCK_ENTRIES = 1 << 21
#: Rows between which the median distance is taken at most.
MEDIAN_ROWS = 2048
#: Exponents that a running sum of exponentials may span.
EXPONENT_SPAN = 500.0


def residuals(proba: Float64Array, codes: IntArray) -> Float64Array:
    """Return one-hot labels minus probabilities, shape (n_samples, n_classes)."""
    out: Float64Array = -proba
    out[np.arange(len(codes)), codes] += 1.0
    return out


def exponential_sum(value: Float64Array, residual: Float64Array, width: float) -> Float64Array:
    """Return ``sum_ij r_i r_j exp(-|v_i - v_j| / width)`` over all pairs, for ascending values.

    Of one vector of residuals, or of each row of them.

    Between sorted values the kernel is a product of ``exp(v_j / width)`` and ``exp(-v_i / width)``,
    so a running sum takes the place of the matrix; it starts anew before it can overflow.
    """
    parts = np.floor((value - value[0]) / (EXPONENT_SPAN * width))
    starts = np.flatnonzero(np.diff(parts, prepend=-1.0))
    total: Float64Array = np.einsum("...i,...i->...", residual, residual)
    carry, at = np.zeros(residual.shape[:-1]), float(value[0])
    for start, stop in zip(starts, np.append(starts[1:], len(value)), strict=True):
        v, r = value[start:stop], residual[..., start:stop]
        exponent = (v - v[0]) / width
        carry *= np.exp((at - v[0]) / width)
        running = np.cumsum(r * np.exp(exponent), axis=-1)
        before = np.zeros_like(running)
        before[..., 1:] = running[..., :-1]
        before += carry[..., None]
        decay = np.exp(-exponent)
        total = total + 2 * np.einsum("...i,...i->...", r * decay, before)
        carry, at = (carry + running[..., -1]) * decay[-1], float(v[-1])
    return total


def sum_of_pairs(proba: Float64Array, residual: Float64Array, width: float) -> float:
    """Return ``sum_{i < j} r_i^T r_j exp(-TV(p_i, p_j) / width)``, block by block."""
    from scipy.spatial.distance import cdist

    n_samples, total, start = len(proba), 0.0, 0
    while start < n_samples:
        stop = min(n_samples, start + max(1, BLOCK_ENTRIES // (n_samples - start)))
        kernel = cdist(proba[start:stop], proba[start:], "cityblock")
        kernel *= -0.5 / width
        np.exp(kernel, out=kernel)
        kernel *= residual[start:stop] @ residual[start:].T
        size = stop - start
        total += float(kernel[:, size:].sum() + np.triu(kernel[:, :size], 1).sum())
        start = stop
    return total


def pair_products(
    proba: Float64Array, residual: Float64Array, width: float, order: IntArray
) -> Float64Array:
    """Return the weighted residual product of the rows 0 and 1, 2 and 3, ... of an order."""
    first, second = order[0 : len(order) // 2 * 2 : 2], order[1::2]
    distance = 0.5 * np.abs(proba[first] - proba[second]).sum(axis=1)
    product = np.einsum("ij,ij->i", residual[first], residual[second])
    out: Float64Array = product * np.exp(-distance / width)
    return out


def spaced_rows(proba: Float64Array, n_rows: int) -> IntArray:
    """Return all rows, or that many evenly spaced ones in lexicographic order.

    The same rows of values whatever the order they come in.
    """
    if len(proba) <= n_rows:
        return np.arange(len(proba))
    ordered: IntArray = np.lexsort(proba.T[::-1])
    return ordered[np.linspace(0, len(proba) - 1, n_rows).astype(np.intp)]


def median_distance(proba: Float64Array) -> float:
    """Return the median total variation distance between unequal rows; 1 if all are equal."""
    from scipy.spatial.distance import pdist

    proba = proba[spaced_rows(proba, MEDIAN_ROWS)]
    distance = 0.5 * pdist(proba, "cityblock")
    distance = distance[distance > 0]
    return float(np.median(distance)) if len(distance) else 1.0


def scalar_error(
    score: Float64Array,
    event: LabelArray,
    estimator: str,
    width: float | None,
    order: IntArray | None,
) -> float:
    """Return an estimate of the squared error of one prediction per sample."""
    both = np.column_stack([1.0 - score, score])  # their total variation is |p - q|
    width = median_distance(both) if width is None else width
    residual = event - score
    if order is not None:
        return float(pair_products(both, residual[:, None], width, order).mean())
    n_samples, by_score = len(score), np.lexsort((event, score))
    total = float(exponential_sum(score[by_score], residual[by_score], width))
    if estimator == "unbiased":
        return (total - float(residual @ residual)) / (n_samples * (n_samples - 1))
    return max(total, 0.0) / n_samples**2
