"""Stratified folds that depend on what the samples are, not on their order or number of copies.

Samples that agree in scores and class are one *cell* with the sum of their weights, and folds share
out weights of cells: a cell of weight 7 and five folds gives two folds 2 and three folds 1. So an
integer weight means exactly the same as repetition, few distinct scores (as trees and neighbours
emit) are in every fold, and the order of the samples has no influence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

from calib._core.scores import row_blocks
from calib._core.typing import Float64Array, FloatArray, IntArray, RandomState


@dataclass(frozen=True, eq=False)
class Folds:
    """Weights of distinct samples, shared out among folds.

    Attributes
    ----------
    rows : ndarray of int, shape (n_cells,)
        A sample of each cell.
    weight : ndarray of shape (n_cells, n_folds)
        Weight of the cell in each fold.
    """

    rows: IntArray
    weight: Float64Array

    @property
    def total(self) -> Float64Array:
        """Weight of each cell, shape (n_cells,)."""
        return np.asarray(self.weight.sum(axis=1))

    def __len__(self) -> int:
        """Return the number of folds."""
        return int(self.weight.shape[1])

    def train(self, fold: int) -> Float64Array:
        """Return the weight of each cell outside a fold; 0 where none is left."""
        rest = self.total - self.weight[:, fold]
        return np.where(rest > 1e-9 * self.total, rest, 0.0)


def stratified_folds(
    scores: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
    n_folds: int,
    random_state: RandomState,
) -> Folds:
    """Share samples out among folds, class by class.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_columns)
        As received: rows are compared bit by bit.
    codes : ndarray of shape (n_samples,)
        Class (or target) of every sample.
    weight : ndarray of shape (n_samples,) or None
        Positive weights.
    n_folds : int >= 2
    random_state : int, RandomState, Generator or None
        Seed of the shuffle.

    Returns
    -------
    folds : Folds
    """
    random = (
        random_state
        if isinstance(random_state, np.random.Generator)
        else np.random.default_rng(check_random_state(random_state).randint(2**31))
    )
    classes, codes = np.unique(codes, return_inverse=True)
    key = _fingerprints(scores)
    order = np.lexsort((key, codes))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (key[order][1:] != key[order][:-1]) | (codes[order][1:] != codes[order][:-1])
    cell = np.cumsum(fresh) - 1
    rows = order[fresh]
    total = np.bincount(cell, None if weight is None else weight[order])
    offset = np.empty(len(rows), dtype=np.intp)
    sizes = np.bincount(codes[rows], minlength=len(classes))
    start = 0
    for size in sizes:  # classes stand together; those after the first begin at another fold
        offset[start : start + size] = random.permutation(size) + start
        start += size
    whole = np.floor(total + 1e-9)
    share, units = np.divmod(whole, n_folds)
    place = (np.arange(n_folds) - offset[:, None]) % n_folds
    out = share[:, None] + (place < units[:, None])
    rest = np.maximum(total - whole, 0.0)
    out += np.where(place == units[:, None], rest[:, None], 0.0)
    return Folds(rows, out)


def _fingerprints(scores: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return one integer per row, equal for equal rows; exact, so independent of their places."""
    factors = np.random.default_rng(0xF01D).integers(
        1, 2**63, size=scores.shape[1], dtype=np.uint64, endpoint=False
    ) | np.uint64(1)
    out = np.empty(len(scores), dtype=np.uint64)
    for rows in row_blocks(*scores.shape):
        bits = np.ascontiguousarray(scores[rows], dtype=np.float64) + 0.0
        mixed = bits.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * factors
        out[rows] = (mixed ^ (mixed >> np.uint64(31))).sum(axis=1, dtype=np.uint64)
    return out
