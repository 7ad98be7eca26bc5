"""The inner loops of replicates, in the part of Python that numba compiles.

Each has its equal in NumPy beside its only caller; that one runs without numba. All give the same
bits but `add_redrawn`, whose sums over the rows of a block are added up in another order.
"""

from __future__ import annotations

import numpy as np

from calib._border.optional import CompiledLoop
from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray


def _count_drawn(drawn: IntArray, per_replicate: IntArray, counts: FloatArray) -> None:
    """Write how often each row was drawn, replicate by replicate, into all columns but the first.

    Replicates are counted eight at a time, in a table that a core's cache holds.
    """
    n_rows, n_replicates = counts.shape[0], per_replicate.shape[0]
    table = np.zeros((8, n_rows), dtype=np.int32)
    place = 0
    for start in range(0, n_replicates, 8):
        stop = min(start + 8, n_replicates)
        table[:] = 0
        for r in range(start, stop):
            for _ in range(per_replicate[r]):
                table[r - start, drawn[place]] += 1
                place += 1
        for i in range(n_rows):
            for r in range(start, stop):
                counts[i, 1 + r] = table[r - start, i]


def _add_losses(
    losses: Float64Array, counts: FloatArray, sums: Float64Array, total: Float64Array
) -> None:
    """Add counted losses, shape (n_rows, 3), to sums of shape (3, n_columns), and the counts."""
    n_columns = total.shape[0]
    part, whole = np.zeros((3, n_columns)), np.zeros(n_columns)
    first, second, third = part[0], part[1], part[2]
    for i in range(losses.shape[0]):
        count, x0, x1, x2 = counts[i], losses[i, 0], losses[i, 1], losses[i, 2]
        for r in range(n_columns):
            first[r] += x0 * count[r]
            second[r] += x1 * count[r]
            third[r] += x2 * count[r]
            whole[r] += count[r]
    sums += part
    total += whole


def _compare_columns(limits: Float64Array, number: Float64Array, passed: LabelArray) -> None:
    """Add 1 for every limit, shape (n_limits, n_rows), that is at most the number of its row."""
    for r in range(number.shape[0]):
        row, out = number[r], passed[r]
        for j in range(limits.shape[0]):
            limit = limits[j]
            for i in range(row.shape[0]):
                out[i] += limit[i] <= row[i]


def _search_rows(cumulative: Float64Array, number: Float64Array, passed: LabelArray) -> None:
    """Write how many columns are at most a number, the last one left out.

    Numbers are compared after adding that of the row, as in one search through all rows.
    """
    n_rows, n_columns = cumulative.shape
    for i in range(n_rows):
        row = cumulative[i] + i
        for r in range(number.shape[0]):
            wanted = number[r, i] + i
            low, size = 0, n_columns - 1
            while size > 1:  # as many steps whatever is found: no branch to be guessed
                half = size // 2
                low += half * (row[low + half - 1] <= wanted)
                size -= half
            passed[r, i] = low + (row[low] <= wanted)


def _add_binned(
    sums: Float64Array,
    cells: IntArray,
    values: Float64Array,
    own: IntArray,
    counts: FloatArray,
    n_bins: int,
) -> None:
    """Add counts, values and events of a block of rows to bins of tables.

    Rows of a bin are added up four at a time in their order, and then to what stands there.

    Parameters
    ----------
    sums : ndarray of shape (3, n_tables * n_bins, n_columns)
    cells : ndarray of shape (n_rows, n_tables)
        Rows of `sums`, those of a table side by side.
    values : ndarray of shape (n_rows, n_tables)
    own : ndarray of shape (n_rows,)
        Table in which the row is an event; below 0 for none.
    counts : ndarray of shape (n_rows, n_columns)
    n_bins : int
    """
    n_rows, n_tables = cells.shape
    n_columns = counts.shape[1]
    weight, value, event = np.empty(n_columns), np.empty(n_columns), np.empty(n_columns)
    order, end = np.empty(n_rows, dtype=np.int64), np.empty(n_bins + 1, dtype=np.int64)
    for k in range(n_tables):
        end[:] = 0
        for i in range(n_rows):
            end[cells[i, k] - k * n_bins + 1] += 1
        for b in range(n_bins):
            end[b + 1] += end[b]
        for i in range(n_rows):
            b = cells[i, k] - k * n_bins
            order[end[b]] = i
            end[b] += 1
        first = 0
        for b in range(n_bins):
            last = end[b]
            if first == last:
                continue
            weight[:] = 0.0
            value[:] = 0.0
            j = first
            while j + 4 <= last:
                i0, i1, i2, i3 = order[j], order[j + 1], order[j + 2], order[j + 3]
                c0, c1, c2, c3 = counts[i0], counts[i1], counts[i2], counts[i3]
                v0, v1, v2, v3 = values[i0, k], values[i1, k], values[i2, k], values[i3, k]
                for r in range(n_columns):
                    weight[r] = weight[r] + c0[r] + c1[r] + c2[r] + c3[r]
                    value[r] = value[r] + v0 * c0[r] + v1 * c1[r] + v2 * c2[r] + v3 * c3[r]
                j += 4
            while j < last:
                count, v0 = counts[order[j]], values[order[j], k]
                for r in range(n_columns):
                    weight[r] += count[r]
                    value[r] += v0 * count[r]
                j += 1
            n_events = 0
            for j in range(first, last):
                if own[order[j]] == k:
                    if n_events == 0:
                        event[:] = 0.0
                    n_events += 1
                    count = counts[order[j]]
                    for r in range(n_columns):
                        event[r] += count[r]
            cell = k * n_bins + b
            for r in range(n_columns):
                sums[0, cell, r] += weight[r]
                sums[1, cell, r] += value[r]
            if n_events > 0:
                for r in range(n_columns):
                    sums[2, cell, r] += event[r]
            first = last


def _add_redrawn(
    codes: LabelArray,
    columns: Float64Array,
    log: Float64Array,
    top: IntArray,
    cells: IntArray,
    class_cells: IntArray,
    scale: Float64Array,
    binary: bool,
    losses: Float64Array,
    view: Float64Array,
    classes: Float64Array,
) -> None:
    """Add redrawn labels of a block: to the losses, and to the bins of the view and of the classes.

    Parameters
    ----------
    codes : ndarray of shape (n_replicates, n_rows)
    columns, log : ndarray of shape (n_rows, n_classes)
        Probabilities and their logarithms; no rows of `log` leave the logarithmic loss out.
    top, cells : ndarray of shape (n_rows,)
        Top label, and bin of the view.
    class_cells : ndarray of shape (n_rows, n_classes)
        Columns of `classes`.
    scale : ndarray of shape (n_rows,)
        Weights.
    binary : bool
        Whether the view is that of the second class; otherwise it is that of the top label.
    losses : ndarray of shape (n_replicates, 3)
    view : ndarray of shape (n_replicates, n_bins)
    classes : ndarray of shape (n_replicates, n_classes * n_bins)
    """
    n_replicates, n_rows = codes.shape
    has_log = log.shape[0] > 0
    for r in range(n_replicates):
        total_log, total, right = 0.0, 0.0, 0.0
        for i in range(n_rows):
            code, weight = codes[r, i], scale[i]
            hit = weight * (code == top[i])
            if has_log:
                total_log += weight * log[i, code]
            total += weight * columns[i, code]
            right += hit
            view[r, cells[i]] += weight * (code == 1) if binary else hit
            classes[r, class_cells[i, code]] += weight
        losses[r, 0] -= total_log
        losses[r, 1] -= 2.0 * total
        losses[r, 2] += right


count_drawn = CompiledLoop(_count_drawn)
add_losses = CompiledLoop(_add_losses)
compare_columns = CompiledLoop(_compare_columns)
search_rows = CompiledLoop(_search_rows)
add_binned = CompiledLoop(_add_binned)
add_redrawn = CompiledLoop(_add_redrawn)
