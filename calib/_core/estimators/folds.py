"""Stratified folds that depend on what the samples are, not on their order or number of copies.

Samples that agree in scores and class are one *cell* with the sum of their weights, and folds share
out weights of cells: a cell of weight 7 and five folds gives two folds 2 and three folds 1. So an
integer weight means exactly the same as repetition, few distinct scores (as trees and neighbours
emit) are in every fold, and the order of the samples has no influence. Of rows with soft targets
the cells of equal scores are shared out together, so that no row is on both sides of a fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sklearn.utils import check_random_state

from calib._border.arrays import row_blocks
from calib._border.random import fixed
from calib._border.typing import Float64Array, IntArray, LabelArray, RandomState
from calib._core.estimators.targets import holds_shares
from calib._core.scores import Scores

#: Keeps sign, exponent and 28 bits of a float64.
DIGITS = np.uint64(0xFFFFFFFFFF000000)
#: Added before, so that whole numbers are not on the verge of two such values.
HALF_DIGIT = np.uint64(0x800000)
_Integers: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]


@dataclass(frozen=True, eq=False)
class Folds:
    """Weights of distinct samples, shared out among folds.

    Attributes
    ----------
    rows : ndarray of int, shape (n_cells,)
        A sample of each cell.
    weight : ndarray of shape (n_cells, n_folds)
        Weight of the cell in each fold.
    shares : ndarray of shape (n_cells, n_classes) or None
        Share of every class in the cell where soft targets are shared out, None for labels.
    """

    rows: IntArray
    weight: Float64Array
    shares: Float64Array | None = None

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
    scores: Scores,
    codes: LabelArray,
    weight: Float64Array | None,
    n_folds: int,
    random_state: RandomState,
    *,
    features: Float64Array | None = None,
    soft: bool = False,
) -> Folds:
    """Share samples out among folds, class by class.

    Parameters
    ----------
    scores : Scores
        Rows are compared to eight digits: of two classes by their log-odds, so that one column and
        two mean the same, of more by how far their logits are below the largest, whether they come
        as logits or not. So the last bits of a model, which depend on the machine, change nothing.
    codes : ndarray of int, shape (n_samples,), or of shape (n_samples, n_classes)
        Class of every sample; or shares of all classes, of which cells hold those of equal scores,
        stratified by the class of the largest share.
    weight : ndarray of shape (n_samples,) or None
        Positive weights.
    n_folds : int >= 2
    random_state : int, RandomState, Generator or None
        Seed of the shuffle.
    features : ndarray of shape (n_samples, n_features), default=None
        Numbers (or nan) that tell rows apart beside the scores.
    soft : bool, default=False
        Whether samples are copies of rows with soft targets: those of equal scores are shared out
        among folds in the same proportions, stratified by the class of the largest weight.

    Returns
    -------
    folds : Folds
    """
    seed = (
        int(random_state.integers(2**31))
        if isinstance(random_state, np.random.Generator)
        else int(check_random_state(random_state).randint(2**31))
    )
    more = None if features is None else hashes_of_rows(features, seed)
    shares, strata = None, codes
    if soft or holds_shares(codes):
        key, _ = _hashes(scores, np.zeros(len(codes), dtype=np.intp), seed)
        key = key if more is None else _mixed(key ^ more, seed)
        if soft:
            strata = _largest_class(key, codes, weight)
        else:
            shares = _merged(key, codes, weight)
            codes = strata = shares.argmax(axis=1)
    key, place = _hashes(scores, strata, seed)
    if more is not None:
        key, place = _mixed(key ^ more, seed), _mixed(place ^ more, seed)
    order = np.lexsort((codes, key, place, strata) if soft else (key, place, codes))
    fresh = _changes(key[order], strata[order])
    unit = np.cumsum(fresh) - 1
    rows = order[fresh]
    total = np.bincount(unit, None if weight is None else weight[order])
    # units of a stratum stand in the order of their hashes, which is as good as random
    _, first, size = np.unique(strata[rows], return_index=True, return_counts=True)
    begin = (place[rows[first]] % np.uint64(n_folds)).astype(np.intp)
    offset = np.arange(len(rows)) - np.repeat(first, size) + np.repeat(begin, size)
    whole = np.floor(total + 1e-9)
    share, units = np.divmod(whole, n_folds)
    turn = (np.arange(n_folds) - offset[:, None]) % n_folds
    out = share[:, None] + (turn < units[:, None])
    rest = total - whole
    rest[rest < (1e-9 if soft else 0.0) * total] = 0.0  # shares sum to 1 up to rounding
    out += np.where(turn == units[:, None], rest[:, None], 0.0)
    if not soft:
        return Folds(rows, out, None if shares is None else shares[rows])
    fresh |= _changes(codes[order])
    mass = np.bincount(np.cumsum(fresh) - 1, None if weight is None else weight[order])
    unit = unit[fresh]
    return Folds(order[fresh], out[unit] * (mass / total[unit])[:, None])


def _changes(*keys: LabelArray) -> LabelArray:
    """Return where any of several columns differs from the entry before, and at the first."""
    out = np.ones(len(keys[0]), dtype=bool)
    out[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return out


def _merged(key: _Integers, shares: LabelArray, weight: Float64Array | None) -> Float64Array:
    """Return for every sample the mean shares of those of its key."""
    _, unit = np.unique(key, return_inverse=True)
    mass = shares if weight is None else shares * weight[:, None]
    merged = np.stack([np.bincount(unit, column) for column in mass.T], axis=1)
    return np.asarray((merged / merged.sum(axis=1, keepdims=True))[unit])


def _largest_class(key: _Integers, codes: IntArray, weight: Float64Array | None) -> IntArray:
    """Return for every sample the class with the largest weight among those of its key."""
    _, unit = np.unique(key, return_inverse=True)
    order = np.lexsort((codes, unit))
    fresh = _changes(unit[order], codes[order])
    mass = np.bincount(np.cumsum(fresh) - 1, None if weight is None else weight[order])
    of, code = unit[order][fresh], codes[order][fresh]
    last = np.lexsort((mass, of))[np.append(np.flatnonzero(np.diff(of)), len(of) - 1)]
    return np.asarray(code[last][unit])


def _hashes(scores: Scores, codes: IntArray, seed: int) -> tuple[_Integers, _Integers]:
    """Return two integers per row: one that tells rows apart, one to order them by.

    Copies have the same wherever they stand. The second does not change when
    classes are renamed, which permutes the columns: it sums over them, and reads the class's own.
    """
    factors = fixed(0xF01D).integers(1, 2**63, size=scores.n_classes, dtype=np.uint64) | np.uint64(
        1
    )
    key = np.empty(scores.n_samples, dtype=np.uint64)
    place = np.empty(scores.n_samples, dtype=np.uint64)
    binary = scores.n_classes == 2
    log_odds = scores.log_odds() if binary else np.empty(0)
    logits = scores.in_domain("logits")
    for rows in row_blocks(scores.n_samples, scores.n_classes):
        if binary:
            s = log_odds[rows]
            bits = _mixed(_integers(np.stack([-s, s], axis=1)) & DIGITS, seed)
        else:
            z = logits.block(rows)
            gaps = _integers(z - z.max(axis=1, keepdims=True))
            bits = _mixed((gaps + HALF_DIGIT) & DIGITS, seed)
        key[rows] = (bits * factors).sum(axis=1, dtype=np.uint64)
        class_bits = bits[np.arange(len(bits)), codes[rows]]
        place[rows] = _mixed(bits.sum(axis=1, dtype=np.uint64) ^ (class_bits << np.uint64(1)), seed)
    return key, place


def hashes_of_rows(features: Float64Array, seed: int) -> _Integers:
    """Return an integer per row of features, as good as random, the same for copies.

    All nan are one.
    """
    n_columns = features.shape[1]
    factors = fixed(0xFEA7).integers(1, 2**63, size=n_columns, dtype=np.uint64) | np.uint64(1)
    out = np.empty(len(features), dtype=np.uint64)
    for rows in row_blocks(len(features), n_columns):
        block = np.where(np.isnan(features[rows]), np.nan, features[rows])
        out[rows] = (_mixed(_integers(block), seed) * factors).sum(axis=1, dtype=np.uint64)
    return out


def _integers(values: Float64Array) -> _Integers:
    """Return the bits of numbers, of which 0 has one form."""
    return (np.ascontiguousarray(values) + 0.0).view(np.uint64)


def _mixed(bits: _Integers, seed: int) -> _Integers:
    """Return integers scrambled by multiplications and shifts."""
    out = (bits ^ np.uint64(0x9E3779B97F4A7C15 ^ seed)) * np.uint64(0xBF58476D1CE4E5B9)
    out ^= out >> np.uint64(29)
    out *= np.uint64(0x94D049BB133111EB)
    out ^= out >> np.uint64(32)
    return out
