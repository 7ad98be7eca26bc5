"""Oblivious trees, boosted from an offset: every node of a level asks the same question.

Trees of that form are tables of ``2**depth`` numbers behind `depth` comparisons, so that a fitted
ensemble is three arrays and its map is a pure function that any array library calculates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_array

from calib._border.arrays import like
from calib._border.typing import Array, Float64Array, IntArray, Namespace
from calib._core.features.codes import BinnedColumns

#: Trees without a smaller loss of the left-out rows after which growth ends.
PATIENCE = 20
#: Bins that columns with few of them are counted in together, and rows a joint bin that repay it.
JOINT_BINS, ROWS_PER_BIN = 256, 8
#: Cut of a level that asks nothing: no number is larger.
NO_CUT = 1e300


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees of several folds, as many in each.

    Attributes
    ----------
    column : ndarray of int of shape (n_folds, n_trees, depth)
        Column that a level looks at.
    cut : ndarray of shape (n_folds, n_trees, depth)
        Whether its value is larger than this.
    leaf : ndarray of shape (n_folds, n_trees, 2**depth)
        What is added to the log-odds; the first level is the highest bit of the place.
    """

    column: IntArray
    cut: Float64Array
    leaf: Float64Array


@dataclass(frozen=True, eq=False)
class BoostedFold:
    """What one fold is boosted from.

    Attributes
    ----------
    binned : BinnedColumns
        Bins of all rows.
    offset : ndarray of shape (n_samples,)
        Log-odds that the first tree corrects.
    weight, left_out : ndarray of shape (n_samples,)
        Weights with which rows are learnt from and judged on, >= 0.
    """

    binned: BinnedColumns
    offset: Float64Array
    weight: Float64Array
    left_out: Float64Array


class _Growing:
    """A fold with what its trees say so far."""

    def __init__(
        self, fold: BoostedFold, target: Float64Array, rate: float, penalty: float
    ) -> None:
        self.fold, self.rate, self.penalty = fold, rate, penalty
        self.learnt = np.flatnonzero(fold.weight > 0)
        self.judged = np.flatnonzero(fold.left_out > 0)
        self.by_column = np.ascontiguousarray(fold.binned.codes[self.learnt].T, dtype=np.int32)
        most = min(JOINT_BINS, len(self.learnt) // ROWS_PER_BIN)
        codes, self.members = fold.binned.joined(most)
        self.codes = codes[self.learnt].astype(np.int32)
        self.ones = np.ones(self.codes.size)
        self.bins_by_row = self._bins_by_row(self.codes, self.members.shape[1])
        self.weight, self.target = fold.weight[self.learnt], target[self.learnt]
        self.eta = fold.offset[self.learnt].copy()
        self.judged_codes = np.ascontiguousarray(fold.binned.codes[self.judged].T, dtype=np.int32)
        self.judged_eta = fold.offset[self.judged].copy()
        self.judged_target, self.judged_weight = target[self.judged], fold.left_out[self.judged]
        starts = fold.binned.starts
        self.column_starts = starts[fold.binned.column_of_bin()]
        self.can_cut = np.ones(fold.binned.n_bins, dtype=bool)
        self.can_cut[starts[1:] - 1] = False  # nothing lies behind the last bin

    def grow(self, depth: int) -> tuple[IntArray, Float64Array, Float64Array]:
        """Add a tree; return its columns, cuts and leaves."""
        binned, n_bins = self.fold.binned, self.members.shape[1]
        p = 1.0 / (1.0 + np.exp(-self.eta))
        moments = np.empty((len(p), 2))  # gradient and hessian
        np.multiply(self.weight, p - self.target, out=moments[:, 0])
        np.multiply(self.weight, p * (1.0 - p), out=moments[:, 1])
        node = np.zeros(len(p), dtype=np.int32)
        judged_node = np.zeros(len(self.judged), dtype=np.int32)
        sums = self._sums(self.bins_by_row, moments, 1)
        columns, cuts = np.zeros(depth, dtype=np.int64), np.full(depth, NO_CUT)
        for level in range(depth):
            place = self._best(sums)
            if place is None:
                node, judged_node = 2 * node, 2 * judged_node
                sums = np.stack([sums, np.zeros_like(sums)], axis=2).reshape(2, -1, n_bins)
                continue
            column = int(np.searchsorted(binned.starts, place, side="right")) - 1
            columns[level] = column
            cuts[level] = binned.cuts[column][place - binned.starts[column]]
            above = self.by_column[column] > place
            judged_node += judged_node
            judged_node += self.judged_codes[column] > place
            if level + 1 < depth:
                few = bool(2 * np.count_nonzero(above) <= len(above))
                rows = np.flatnonzero(above if few else ~above)
                shifted = self.codes.take(rows, axis=0)
                shifted += n_bins * node.take(rows)[:, None]
                bins = self._bins_by_row(shifted, 2**level * n_bins)
                part = self._sums(bins, moments.take(rows, axis=0), 2**level)
                pair = [sums - part, part] if few else [part, sums - part]
                sums = np.stack(pair, axis=2).reshape(2, -1, n_bins)
            node += node
            node += above
        g, h = (np.bincount(node, values, minlength=2**depth) for values in moments.T)
        leaf = -self.rate * g / (h + self.penalty)
        self.eta += leaf.take(node)
        self.judged_eta += leaf.take(judged_node)
        return columns, cuts, leaf

    def _bins_by_row(self, codes: Any, n_bins: int) -> Any:
        """Return the sparse matrix (n_bins, n_rows) of ones in the bins of rows."""
        n_rows, n_columns = codes.shape
        ends = np.arange(0, codes.size + 1, n_columns, dtype=codes.dtype)
        return csc_array((self.ones[: codes.size], codes.ravel(), ends), shape=(n_bins, n_rows))

    @staticmethod
    def _sums(bins: Any, moments: Float64Array, n_nodes: int) -> Float64Array:
        """Return sums of both moments by node and joint bin, shape (2, n_nodes, n_joint_bins)."""
        # one product adds up both, where counting would repeat every row for each
        return np.asarray((bins @ moments).T).reshape(2, n_nodes, -1)

    def _best(self, sums: Float64Array) -> int | None:
        """Return the bin behind which to cut all nodes, None where nothing can be cut."""
        if not self.can_cut.any():
            return None
        starts = self.fold.binned.starts
        by_bin = self.members @ sums.reshape(-1, sums.shape[2]).T
        run = np.zeros((len(by_bin) + 1, by_bin.shape[1]))
        np.cumsum(by_bin, axis=0, out=run[1:])
        left = run[1:] - run.take(self.column_starts, axis=0)
        right = (run[starts[1]] - run[starts[0]]) - left  # all rows have a bin of any column
        gain = self._gain(left) + self._gain(right)
        return int(np.argmax(np.where(self.can_cut, gain, -np.inf)))

    def _gain(self, sums: Float64Array) -> Float64Array:
        """Return what a Newton step in every node gains, by bin; `sums` (n_bins, 2 * n_nodes)."""
        n_nodes = sums.shape[1] // 2
        g, h = sums[:, :n_nodes], sums[:, n_nodes:]
        return np.asarray((g**2 / (np.maximum(h, 0.0) + self.penalty)).sum(axis=1))

    def loss(self) -> float:
        """Return the total log loss of the rows that are left out."""
        eta = self.judged_eta
        losses = np.logaddexp(0.0, eta) - self.judged_target * eta
        return float(self.judged_weight @ losses)


def boosted(
    folds: Sequence[BoostedFold],
    target: Float64Array,
    *,
    rate: float,
    depth: int,
    penalty: float,
    most: int,
) -> Trees:
    """Boost the log loss of all folds in step, as long as rows that are left out gain.

    Parameters
    ----------
    folds : sequence of BoostedFold
    target : ndarray of shape (n_samples,)
        Fractions in [0, 1].
    rate : float
        Share of a Newton step that a tree takes, in (0, 1].
    depth : int
        Levels of a tree.
    penalty : float
        Precision of the normal prior of a leaf around 0.
    most : int
        Most trees.

    Returns
    -------
    trees : Trees
        As many as left-out rows like best, which may be none.

    Notes
    -----
    All nodes of a level share the cut with the largest sum of ``G**2 / (H + penalty)`` over both
    sides, G and H being sums of first and second derivatives; a leaf is ``-rate G / (H +
    penalty)`` (Friedman 2001, doi:10.1214/aos/1013203451).
    """
    growing = [_Growing(fold, target, rate, penalty) for fold in folds]
    best, n_best = sum(fold.loss() for fold in growing), 0
    grown: list[list[tuple[IntArray, Float64Array, Float64Array]]] = []
    while len(grown) < min(most, n_best + PATIENCE):
        grown.append([fold.grow(depth) for fold in growing])
        loss = sum(fold.loss() for fold in growing)
        if loss < best:
            best, n_best = loss, len(grown)
    kept = grown[:n_best]
    sizes = (depth, depth, 2**depth)
    column, cut, leaf = (
        np.array([[tree[fold][part] for tree in kept] for fold in range(len(folds))]).reshape(
            len(folds), n_best, size
        )
        for part, size in enumerate(sizes)
    )
    return Trees(column.astype(np.int64), cut.astype(float), leaf.astype(float))


def tree_sums(values: Array, column: Any, cut: Array, leaf: Array, xp: Namespace) -> Array:
    """Return what the trees of one fold add to the log-odds of rows; pure.

    Parameters
    ----------
    values : array of shape (n_samples, n_columns)
    column : array of int of shape (n_trees, depth)
    cut : array of shape (n_trees, depth)
    leaf : array of shape (n_trees, 2**depth)
    xp : namespace
        That of `values`.

    Returns
    -------
    total : array of shape (n_samples,)
    """
    n_trees, depth = (int(n) for n in column.shape)
    by_column = xp.matrix_transpose(values)  # whole rows are taken
    leaf_of_tree = 0
    for level in range(depth):
        above = xp.take(by_column, column[:, level], axis=0) > cut[:, level : level + 1]
        leaf_of_tree = 2 * leaf_of_tree + xp.astype(above, xp.int32)
    root = xp.expand_dims(like(np.arange(n_trees) * 2**depth, values, xp), axis=1)
    place = root + xp.astype(leaf_of_tree, xp.int64)
    leaves = xp.take(xp.reshape(leaf, (-1,)), xp.reshape(place, (-1,)), axis=0)
    total: Array = xp.sum(xp.reshape(leaves, (n_trees, -1)), axis=0)
    return total
