"""The one edge rule of the library and the one table that every binned number comes from.

**Edge rule.** Bins are ``[a, b)``, the last one is closed. A value belongs to the bin that
comparing it (as float64) with the edges gives, nothing else: ``0`` is in the first bin, ``1`` in
the last, and ``j / m`` in bin ``j`` of ``m`` equal-width bins, whose edges are the floats
``j / m``. Equal values are never split. Empty bins contribute nothing.

**Equal mass.** The sorted values are cut into consecutive blocks, the first ``n mod m`` of them
one larger; the first value of a block is its left edge. A run of equal values that a cut would
split goes to the upper block as a whole, and a block left without values is an empty bin.

Edges of ``m`` and of ``r m`` equal-width bins nest exactly, because both ``j / m`` and
``j r / (m r)`` are the float nearest to the same fraction. A fine table therefore answers every
coarser one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import read_array, row_blocks, to_numpy
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray, LabelArray

Norm: TypeAlias = Literal[1, 2, "max"]
Strategy: TypeAlias = Literal["uniform", "quantile"]

#: Inner edges up to which every value is compared with every edge, if there are values enough:
#: comparing many values with one edge is far faster than searching the edges for one value.
MOST_COMPARED, LEAST_COMPARED = 32, 1 << 13
#: Share of the total weight by which rounding may move a boundary of fractional weights.
WEIGHT_TOLERANCE = 1e-12


def _mean_absolute(mean: Float64Array, deviation: Float64Array) -> Float64Array:
    """Return the mean absolute value of a normal variable."""
    from scipy.special import ndtr

    scale = np.where(deviation > 0, deviation, 1.0)
    ratio = mean / scale
    density = np.exp(-0.5 * ratio**2) / np.sqrt(2.0 * np.pi)
    noisy = mean * (2.0 * ndtr(ratio) - 1.0) + 2.0 * scale * density
    return np.where(deviation > 0, noisy, np.abs(mean))


def quotient(top: ArrayLike, bottom: ArrayLike) -> Float64Array:
    """Return quotients of numbers, NaN where nothing (or less) is below the line."""
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    out = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


@dataclass(frozen=True, eq=False)
class BinTable:
    """Sums per bin, for one or more tables (classes, replicates) with the same number of bins.

    Attributes
    ----------
    edges : ndarray of shape (n_tables, n_bins + 1)
        Ascending; an edge that repeats its neighbour delimits an empty bin.
    weight, prob, label : ndarray of shape (n_tables, n_bins)
        Sums of the weights, of weight times prediction and of weight times label.
    """

    edges: Float64Array
    weight: Float64Array
    prob: Float64Array
    label: Float64Array

    def __add__(self, other: BinTable) -> BinTable:
        """Merge two tables of disjoint samples; associative and commutative."""
        if not isinstance(other, BinTable):
            return NotImplemented
        if not np.array_equal(self.edges, other.edges):
            raise ValueError("bin tables with different edges cannot be merged")
        return BinTable(
            self.edges,
            self.weight + other.weight,
            self.prob + other.prob,
            self.label + other.label,
        )

    @property
    def n_bins(self) -> int:
        return int(self.weight.shape[1])

    @property
    def mean_prediction(self) -> Float64Array:
        """Mean prediction per bin, NaN in empty bins."""
        return quotient(self.prob, self.weight)

    @property
    def observed_rate(self) -> Float64Array:
        """Mean label per bin, NaN in empty bins."""
        return quotient(self.label, self.weight)

    @property
    def gap(self) -> Float64Array:
        """Mean prediction minus observed rate per bin, NaN in empty bins."""
        return quotient(self.prob - self.label, self.weight)

    def error(self, norm: Norm = 1) -> Float64Array:
        """Return ``(sum_b w_b |gap_b|^norm)^(1/norm)`` of every table, shape (n_tables,).

        Tables without weight give NaN.
        """
        difference = np.abs(self.prob - self.label)
        if norm == "max":
            return self.largest_gap()
        total = self.weight.sum(axis=1)
        if norm == 2:
            difference = difference * np.nan_to_num(np.abs(self.gap))
        error = quotient(difference.sum(axis=1), total)
        return np.sqrt(error) if norm == 2 else error

    def debiased_square(self) -> Float64Array:
        """Return the unbiased estimate of the mean squared gap, shape (n_tables,); it may be < 0.

        Bins of a weight below 2 contribute nothing: their noise cannot be told from their gap.
        """
        counted = self.weight >= 2.0
        rate = np.where(counted, self.observed_rate, 0.0)
        noise = rate * (1.0 - rate) / np.where(counted, self.weight - 1.0, 1.0)
        square = np.where(counted, self.gap**2 - noise, 0.0)
        return quotient((self.weight * square).sum(axis=1), self.weight.sum(axis=1))

    def debiased_error(self) -> Float64Array:
        """Return twice the mean absolute gap minus what redrawn labels would show, (n_tables,)."""
        filled = self.weight > 0
        gap = np.where(filled, np.abs(np.nan_to_num(self.gap)), 0.0)
        rate = np.where(filled, np.nan_to_num(self.observed_rate), 0.0)
        noise = np.sqrt(
            np.clip(rate * (1.0 - rate), 0.0, None) / np.where(filled, self.weight, 1.0)
        )
        error = 2.0 * gap - _mean_absolute(gap, noise)
        return quotient((self.weight * error).sum(axis=1), self.weight.sum(axis=1))

    def largest_gap(self, min_weight: float = 0.0) -> Float64Array:
        """Return the largest absolute gap of the bins with `min_weight` or more, (n_tables,)."""
        counted = (self.weight > 0) & (self.weight >= min_weight)
        largest = np.where(counted, np.abs(self.gap), -1.0).max(axis=1)
        return np.where(counted.any(axis=1), largest, np.nan)

    def signed_parts(self) -> tuple[Float64Array, Float64Array]:
        """Return over- and underconfidence of every table, two arrays of shape (n_tables,).

        Their sum is ``error(1)``, their difference the mean prediction minus the mean label.
        """
        difference = self.prob - self.label
        total = self.weight.sum(axis=1)
        over = quotient(np.maximum(difference, 0.0).sum(axis=1), total)
        return over, quotient(np.maximum(-difference, 0.0).sum(axis=1), total)

    def mean_gap(self) -> Float64Array:
        """Return the unweighted mean absolute gap over non-empty bins, shape (n_tables,)."""
        filled = self.weight > 0
        gaps = np.where(filled, np.abs(self.gap), 0.0)
        return quotient(gaps.sum(axis=1), filled.sum(axis=1).astype(np.float64))


# ---------------------------------------------------------------------------------- edges and cells


def check_edges(bins: ArrayLike) -> Float64Array:
    """Return the edges of a caller's own bins: ascending, from 0 or below to 1 or above.

    Raises
    ------
    ValueError
        If they are not a vector of two or more finite, increasing numbers that covers [0, 1].
    """
    try:
        edges = np.asarray(to_numpy(read_array(bins, "bins")), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"bins must hold the edges of bins as numbers; {error}") from error
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(
            f"bins must hold the edges of one or more bins, 0 and 1 included; got shape "
            f"{edges.shape}; a number of bins is n_bins"
        )
    if not np.isfinite(edges).all():
        raise ValueError("bins contains NaN or infinity; the outer edges are 0 and 1")
    falling = np.flatnonzero(np.diff(edges) <= 0)
    if len(falling):
        first, second = edges[falling[0]], edges[falling[0] + 1]
        raise ValueError(
            f"bins must increase from edge to edge; {second:g} follows {first:g} at position "
            f"{falling[0] + 1}; sort them and leave out duplicates"
        )
    if edges[0] > 0 or edges[-1] < 1:
        raise ValueError(
            f"bins must cover [0, 1], so that no prediction is lost; they go from {edges[0]:g} to "
            f"{edges[-1]:g}; add 0 and 1 as outer edges"
        )
    return edges


def uniform_edges(n_bins: int) -> Float64Array:
    """Return the floats ``j / n_bins`` for j = 0..n_bins."""
    edges: Float64Array = np.arange(n_bins + 1) / n_bins
    return edges


def quantile_edges(
    values: Float64Array, n_bins: int, weight: Float64Array | None = None
) -> Float64Array:
    """Return the edges of equal-mass bins, shape (n_bins + 1,); the outer ones are 0 and 1.

    Integer weights cut exactly where repeated rows would; fractional weights cut at
    ``j W / n_bins`` of the cumulative weight, W being the total.
    """
    inner = np.arange(1, n_bins)
    if weight is None:
        ordered = np.sort(values)
        size, larger = divmod(len(ordered), n_bins)
        position = np.minimum(inner * size + np.minimum(inner, larger), len(ordered) - 1)
    else:
        order = np.argsort(values, kind="stable")
        ordered, cumulative = values[order], np.cumsum(weight[order])
        total = float(cumulative[-1])
        target: Float64Array
        if np.array_equal(weight, np.rint(weight)):
            size, larger = divmod(int(total), n_bins)
            target = (inner * size + np.minimum(inner, larger)).astype(np.float64)
        else:
            target = np.float64(total / n_bins) * inner + np.float64(WEIGHT_TOLERANCE * total)
        last = int(np.searchsorted(cumulative, total))  # the last row that carries weight
        position = np.minimum(np.searchsorted(cumulative, target, side="right"), last)
    edges = np.zeros(n_bins + 1)
    edges[1:-1], edges[-1] = np.clip(ordered[position], 0.0, 1.0), 1.0
    return edges


def uniform_cells(values: Float64Array, n_bins: int) -> IntArray:
    """Return the equal-width bin of every value; exact at the edges, any shape."""
    lower = uniform_edges(n_bins)
    lower[0], lower[-1] = -np.inf, np.inf
    # A factor too large by a few roundings: the bin is met or exceeded by one, never missed.
    cells: IntArray = (values * (n_bins * (1.0 + 4.0 * np.finfo(np.float64).eps))).astype(np.intp)
    if cells.size and (cells.min() < 0 or cells.max() > n_bins):
        np.clip(cells, 0, n_bins, out=cells)
    cells -= values < np.take(lower, cells)
    return cells


def cells_between(values: Float64Array, edges: Float64Array) -> IntArray:
    """Return the bin of every value for ascending `edges` of shape (n_bins + 1,)."""
    inner = edges[1:-1]
    if len(inner) > MOST_COMPARED or values.size < LEAST_COMPARED or values.ndim != 1:
        return np.searchsorted(inner, values, side="right")
    cells = np.empty(len(values), dtype=np.intp)
    for rows in row_blocks(len(values), 8):
        block = values[rows]
        passed = np.full(len(block), len(inner), dtype=np.uint8)
        for edge in inner:
            passed -= (block < edge).view(np.uint8)
        cells[rows] = passed
    return cells


# ------------------------------------------------------------------------------------------- tables


def tabulate(
    prob: FloatArray,
    event: LabelArray,
    weight: Float64Array | None,
    n_bins: int,
    strategy: Strategy,
    own_edges: Float64Array | None = None,
) -> BinTable:
    """Bin pairs of prediction and event; one table.

    Parameters
    ----------
    prob : ndarray of shape (n_samples,)
    event : ndarray of shape (n_samples,)
        Boolean, or values in [0, 1].
    weight : ndarray of shape (n_samples,) or None
    n_bins : int
    strategy : {"uniform", "quantile"}
    own_edges : ndarray of shape (n_edges,) or None
        Used in the place of both.
    """
    uniform = strategy == "uniform" and own_edges is None
    if own_edges is not None:
        edges, n_bins = own_edges, len(own_edges) - 1
    elif uniform:
        edges = uniform_edges(n_bins)
    else:
        edges = quantile_edges(np.asarray(prob, np.float64), n_bins, weight)
    sums = np.zeros((3, n_bins))
    for rows in row_blocks(len(prob), 1):
        p = np.asarray(prob[rows], dtype=np.float64)
        cells = uniform_cells(p, n_bins) if uniform else cells_between(p, edges)
        label = event[rows]
        if weight is None and label.dtype == bool:  # whole numbers: both from one pass
            sums[1] += np.bincount(cells, p, minlength=n_bins)
            cells <<= 1
            cells |= label
            counts = np.bincount(cells, minlength=2 * n_bins).reshape(n_bins, 2)
            sums[0] += counts.sum(axis=1)
            sums[2] += counts[:, 1]
            continue
        if weight is None:
            sums[0] += np.bincount(cells, minlength=n_bins)
        else:
            w = weight[rows]
            sums[0] += np.bincount(cells, w, minlength=n_bins)
            p, label = w * p, w * label
        sums[1] += np.bincount(cells, p, minlength=n_bins)
        sums[2] += np.bincount(cells, label, minlength=n_bins)
    return BinTable(edges[None, :], *sums[:, None, :])


def tabulate_classes(
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
    n_bins: int,
    strategy: Strategy,
    threshold: float = 0.0,
    own_edges: Float64Array | None = None,
) -> BinTable:
    """Bin every column against "this is the class"; one table per class.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
    codes : ndarray of shape (n_samples,)
        Column of the true class.
    weight : ndarray of shape (n_samples,) or None
    n_bins : int
    strategy : {"uniform", "quantile"}
    threshold : float, default=0
        Entries below it are left out (quantile only).
    own_edges : ndarray of shape (n_edges,) or None
        Used in the place of `n_bins` and `strategy`, for every class.
    """
    if strategy == "uniform" and own_edges is None:
        return _tabulate_uniform_classes(proba, codes, weight, n_bins)
    tables = []
    for k in range(proba.shape[1]):
        p, event, w = proba[:, k].astype(np.float64), codes == k, weight
        if threshold > 0:
            kept = p >= threshold
            p, event, w = p[kept], event[kept], None if w is None else w[kept]
        if len(p) and (w is None or w.any()):
            tables.append(tabulate(p, event, w, n_bins, "quantile", own_edges))
        else:
            empty = np.zeros((1, n_bins))
            tables.append(BinTable(uniform_edges(n_bins)[None, :], empty, empty, empty))
    parts = [(t.edges, t.weight, t.prob, t.label) for t in tables]
    return BinTable(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _tabulate_uniform_classes(
    proba: FloatArray, codes: IntArray, weight: Float64Array | None, n_bins: int
) -> BinTable:
    n_classes = proba.shape[1]
    offset = np.arange(n_classes) * n_bins
    size = n_classes * n_bins
    sums = np.zeros((3, size))
    for rows in row_blocks(*proba.shape):
        p = np.asarray(proba[rows], dtype=np.float64)
        cells = uniform_cells(p, n_bins) + offset
        own = cells[np.arange(len(p)), codes[rows]]
        flat = cells.ravel()
        if weight is None:
            sums[0] += np.bincount(flat, minlength=size)
            sums[1] += np.bincount(flat, p.ravel(), minlength=size)
            sums[2] += np.bincount(own, minlength=size)
        else:
            w = weight[rows]
            sums[0] += np.bincount(flat, np.repeat(w, n_classes), minlength=size)
            sums[1] += np.bincount(flat, (w[:, None] * p).ravel(), minlength=size)
            sums[2] += np.bincount(own, w, minlength=size)
    edges = np.broadcast_to(uniform_edges(n_bins), (n_classes, n_bins + 1))
    return BinTable(edges, *sums.reshape(3, n_classes, n_bins))
