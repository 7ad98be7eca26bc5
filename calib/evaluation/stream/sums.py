"""What an accumulator keeps: one flat array of sums, to which blocks of rows are added.

Every number is a sum over rows, so that two arrays of disjoint rows merge by addition, in any order
and over any network. Three parts: scalar sums of the losses and of what they would be under
calibration; a fine equal-width table of the view that the expected calibration error takes, rows
with and without the event apart; and, for three classes and more, a table per class on a grid that
is fine near 0 and near 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.optional import CompiledLoop
from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._core import binning
from calib.evaluation.proper.losses import zero_floor
from calib.evaluation.views import views

#: Cells of the equal-width table: the first multiple of the number of bins from here on.
CELLS = 7500
#: The grid of the class tables: cells per factor of two (as bits), and how many such factors lie
#: between 1/2 and the cell at 0 and at 1. With many classes most probabilities are tiny.
PER_OCTAVE_BITS, OCTAVES_LOW, OCTAVES_HIGH = 4, 47, 23
CELLS_LOW, CELLS_HIGH = ((n << PER_OCTAVE_BITS) + 1 for n in (OCTAVES_LOW, OCTAVES_HIGH))
CLASS_CELLS = CELLS_LOW + CELLS_HIGH
#: Groups of rows that are resampled for the adaptive error, and the numbers that they may take.
GROUP_BITS = 4
GROUP_NUMBERS = 1_800_000
#: Rows of a block of two classes: a few dozen arrays of it fit in a core's cache.
BINARY_ROWS = 1 << 14

#: Scalar sums: rows, weight, squared and cubed weight, impossible labels, prediction, event; then
#: for each loss its sum, its sums with squared weight (of itself, its square) and with cubed weight
#: (of itself, its square, its cube), and under calibration its expectation and its variance with
#: squared weight.
SCALARS, PER_LOSS, N_LOSSES = 7, 8, 3


@dataclass(frozen=True)
class SumLayout:
    """Where each sum stands.

    Attributes
    ----------
    n_classes, n_bins : int
    """

    n_classes: int
    n_bins: int

    @property
    def n_cells(self) -> int:
        """Cells of the equal-width table, a multiple of `n_bins`."""
        return self.n_bins * -(-CELLS // self.n_bins)

    @property
    def n_groups(self) -> int:
        """Groups of rows of the class tables; 1 where more would take too much memory."""
        many = (self.n_classes * CLASS_CELLS) << GROUP_BITS
        return 1 << GROUP_BITS if many <= GROUP_NUMBERS else 1

    @property
    def class_shape(self) -> tuple[int, int, int, int]:
        """Sums (weight, squared weight, prediction, label), groups, classes, cells."""
        return 4, self.n_groups, self.n_classes if self.n_classes > 2 else 0, CLASS_CELLS

    @property
    def size(self) -> int:
        """Length of the flat array."""
        return self._view_end + int(np.prod(self.class_shape))

    @property
    def _view_start(self) -> int:
        return SCALARS + N_LOSSES * PER_LOSS

    @property
    def _view_end(self) -> int:
        return self._view_start + 6 * self.n_cells

    def scalars(self, sums: Float64Array) -> Float64Array:
        """Return the sums that are numbers."""
        return sums[:SCALARS]

    def losses(self, sums: Float64Array) -> Float64Array:
        """Return the sums of the losses, shape (3, 8), a view."""
        return sums[SCALARS : self._view_start].reshape(N_LOSSES, PER_LOSS)

    def view(self, sums: Float64Array) -> Float64Array:
        """Return weight, squared weight and prediction by event and cell, (3, 2, n_cells)."""
        return sums[self._view_start : self._view_end].reshape(3, 2, self.n_cells)

    def classes(self, sums: Float64Array) -> Float64Array:
        """Return the class tables, shape `class_shape`; empty for two classes."""
        return sums[self._view_end :].reshape(self.class_shape)


def add_rows(
    layout: SumLayout,
    sums: Float64Array,
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
) -> None:
    """Add checked rows, all of positive weight, to `sums`."""
    if layout.n_classes == 2:
        step = BINARY_ROWS
        for start in range(0, len(codes), step):
            rows = slice(start, start + step)
            part = None if weight is None else weight[rows]
            _add_binary(layout, sums, proba[rows], codes[rows], part)
        return
    size = layout.n_groups * layout.n_classes * CLASS_CELLS
    at_least = max(1, size // (4 * layout.n_classes))
    for rows in row_blocks(len(codes), layout.n_classes, at_least=at_least):
        part = None if weight is None else weight[rows]
        _add_multiclass(layout, sums, proba[rows], codes[rows], part)


def _add_binary(
    layout: SumLayout,
    sums: Float64Array,
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
) -> None:
    floor = zero_floor(proba.dtype)
    p1 = proba[:, -1].astype(np.float64)
    p0 = np.asarray(proba[:, 0] if proba.shape[1] > 1 else 1 - proba[:, 0], dtype=np.float64)
    event = codes == 1
    own = np.where(event, p1, p0)
    loss0, loss1 = -np.log(np.maximum(p0, floor)), -np.log(np.maximum(p1, floor))
    q0, q1 = p0 * p0, p1 * p1
    square, total = q0 + q1, p0 + p1
    entropy0, entropy1 = p0 * loss0, p1 * loss1
    entropy = entropy0 + entropy1
    spread = entropy0 * loss0 + entropy1 * loss1 - entropy * entropy
    hit = (p1 > p0) == event
    confidence = np.maximum(p0, p1)
    _add_losses(
        layout.losses(sums),
        (np.where(event, loss1, loss0), entropy, spread),
        (
            square - 2.0 * own + 1.0,
            square + 1.0 - 2.0 * square / total,
            4.0 * (q0 * p0 + q1 * p1 - square * square),
        ),
        (hit, confidence, confidence * (1.0 - confidence)),
        weight,
    )
    _add_view(layout, sums, p1, event, own, weight)


def _add_multiclass(
    layout: SumLayout,
    sums: Float64Array,
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
) -> None:
    floor = zero_floor(proba.dtype)
    p = proba.astype(np.float64)
    row = np.arange(len(p))
    own = p[row, codes]
    confidence, top = views.top_label(p)
    hit = top == codes
    square, total = np.einsum("ij,ij->i", p, p), p.sum(axis=1)
    cube = np.einsum("ij,ij,ij->i", p, p, p)
    loss = -np.log(np.maximum(p, floor))
    entropy = np.einsum("ij,ij->i", p, loss)
    spread = np.einsum("ij,ij,ij->i", p, loss, loss) - entropy * entropy
    _add_losses(
        layout.losses(sums),
        (loss[row, codes], entropy, spread),
        (
            square - 2.0 * own + 1.0,
            square + 1.0 - 2.0 * square / total,
            4.0 * (cube - square * square),
        ),
        (hit, confidence, confidence * (1.0 - confidence)),
        weight,
    )
    del loss
    _add_view(layout, sums, confidence, hit, own, weight)
    _add_classes(layout.classes(sums), p, codes, weight)


def _add_losses(
    sums: Float64Array,
    log_loss: tuple[Float64Array, ...],
    brier: tuple[Float64Array, ...],
    accuracy: tuple[LabelArray, ...],
    weight: Float64Array | None,
) -> None:
    """Add loss, expectation and variance under calibration of each of the three losses."""
    for out, (loss, mean, variance) in zip(sums, (log_loss, brier, accuracy), strict=True):
        x = loss.astype(np.float64, copy=False)
        if weight is None:
            total, square = x.sum(), np.einsum("i,i->", x, x)
            cube = np.einsum("i,i,i->", x, x, x)
            out += [total, total, square, total, square, cube, mean.sum(), variance.sum()]
        else:
            wx = weight * x
            w2x, w2 = weight * wx, weight * weight
            out += [
                wx.sum(),
                w2x.sum(),
                np.einsum("i,i->", wx, wx),
                np.einsum("i,i->", w2, wx),
                np.einsum("i,i->", w2x, wx),
                np.einsum("i,i,i->", wx, wx, wx),
                np.einsum("i,i->", weight, mean),
                np.einsum("i,i,i->", weight, weight, variance),
            ]


def _add_view(
    layout: SumLayout,
    sums: Float64Array,
    prediction: Float64Array,
    event: LabelArray,
    own: Float64Array,
    weight: Float64Array | None,
) -> None:
    n_cells = layout.n_cells
    cells = binning.uniform_cells(prediction, n_cells)
    cells += event * n_cells
    view = layout.view(sums).reshape(3, 2 * n_cells)
    if weight is None:
        count = np.bincount(cells, minlength=2 * n_cells)
        view[:2] += count
        view[2] += np.bincount(cells, prediction, minlength=2 * n_cells)
        n = len(own)
        parts = (n, n, n, prediction.sum(), event.sum())
    else:
        for out, values in zip(view, (weight, weight * weight, weight * prediction), strict=True):
            out += np.bincount(cells, values, minlength=2 * n_cells)
        totals = (
            weight.sum(),
            np.einsum("i,i->", weight, weight),
            np.einsum("i,i,i->", weight, weight, weight),
        )
        parts = (*totals, np.einsum("i,i->", weight, prediction), weight[event].sum())
    scalars = layout.scalars(sums)
    scalars += [len(own), *parts[:3], np.count_nonzero(own <= 0), *parts[3:]]


def _add_classes(
    sums: Float64Array, p: Float64Array, codes: IntArray, weight: Float64Array | None
) -> None:
    n_groups, n_classes, n_cells = sums.shape[1:]
    size = n_groups * n_classes * n_cells
    if weight is None and (add := _ADD_ROWS.after(10.0 * p.size)) is not None:
        add(sums.reshape(4, size), np.zeros((size, 2)), np.ascontiguousarray(p), codes, n_groups)
        return
    cells = class_cells(p)
    cells += np.arange(n_classes) * n_cells
    if n_groups > 1:
        cells += _group_of(p, codes)[:, None] * (n_classes * n_cells)
    own = cells[np.arange(len(p)), codes]
    flat, out = cells.ravel(), sums.reshape(4, size)
    if weight is None:
        out[:2] += np.bincount(flat, minlength=size)
        out[2] += np.bincount(flat, p.ravel(), minlength=size)
        out[3] += np.bincount(own, minlength=size)
    else:
        for k, values in enumerate((weight, weight * weight)):
            out[k] += np.bincount(flat, np.repeat(values, n_classes), minlength=size)
        out[2] += np.bincount(flat, (weight[:, None] * p).ravel(), minlength=size)
        out[3] += np.bincount(own, weight, minlength=size)


def class_cells(p: Float64Array) -> IntArray:
    """Return cells that are ascending in p and as narrow near 0 and 1 as a share of the distance.

    The leading bits of the distance to the nearer end, read as an integer.
    """
    high = p >= 0.5
    distance = np.where(high, 1.0 - p, p)
    np.maximum(distance, 0.0, out=distance)
    index: IntArray = (distance.view(np.int64) >> (52 - PER_OCTAVE_BITS)).astype(np.intp)
    index -= 1022 << PER_OCTAVE_BITS  # 0 at a distance of 1/2, negative below
    low_index = np.maximum(index + (CELLS_LOW - 1), 0)
    return np.where(high, CLASS_CELLS - 1 - np.maximum(index + (CELLS_HIGH - 1), 0), low_index)


def _group_of(p: Float64Array, codes: IntArray) -> IntArray:
    """Return a group for each row by mixing the bits of its values: the same in any order."""
    factors = (2 * np.arange(p.shape[1], dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
    bits = np.ascontiguousarray(p).view(np.uint64)
    mixed = np.asarray((bits * factors).sum(axis=1, dtype=np.uint64))
    mixed += codes.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    group: IntArray = (mixed >> np.uint64(64 - GROUP_BITS)).astype(np.intp)
    return group


def _add_rows(
    sums: Float64Array, block: Float64Array, p: Float64Array, codes: IntArray, n_groups: int
) -> None:
    """Do what `_add_classes` does for rows of weight 1, in one pass that numba compiles.

    Parameters
    ----------
    sums : ndarray of shape (4, n_groups * n_classes * n_cells)
    block : ndarray of shape (n_groups * n_classes * n_cells, 2)
        Zeros, for counts and sums of these rows alone: they are added up first, as in NumPy.
    p : ndarray of shape (n_samples, n_classes)
    codes : ndarray of shape (n_samples,)
    n_groups : int
    """
    n_samples, n_classes = p.shape
    distance, cells = np.empty(n_classes), np.empty((n_samples, n_classes), dtype=np.int64)
    leading, bits = distance.view(np.int64), p.view(np.uint64)
    for i in range(n_samples):
        start = 0
        if n_groups > 1:
            mixed = np.uint64(codes[i]) * np.uint64(0xD1B54A32D192ED03)
            for k in range(n_classes):
                odd = np.uint64(2) * np.uint64(k) + np.uint64(1)
                mixed += bits[i, k] * (odd * np.uint64(0x9E3779B97F4A7C15))
            mixed ^= mixed >> np.uint64(32)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            start = np.int64(mixed >> np.uint64(64 - GROUP_BITS)) * n_classes * CLASS_CELLS
        for k in range(n_classes):
            distance[k] = max(1.0 - p[i, k] if p[i, k] >= 0.5 else p[i, k], 0.0)
        for k in range(n_classes):
            index = (leading[k] >> (52 - PER_OCTAVE_BITS)) - (1022 << PER_OCTAVE_BITS)
            if p[i, k] >= 0.5:
                cell = CLASS_CELLS - 1 - max(index + CELLS_HIGH - 1, 0)
            else:
                cell = max(index + CELLS_LOW - 1, 0)
            cell += start + k * CLASS_CELLS
            cells[i, k] = cell
            block[cell, 0] += 1.0
            block[cell, 1] += p[i, k]
        sums[3, cells[i, codes[i]]] += 1.0
    for i in range(n_samples):
        for k in range(n_classes):
            cell = cells[i, k]
            if block[cell, 0] > 0.0:
                sums[0, cell] += block[cell, 0]
                sums[1, cell] += block[cell, 0]
                sums[2, cell] += block[cell, 1]
                block[cell, 0] = 0.0


_ADD_ROWS = CompiledLoop(_add_rows)
