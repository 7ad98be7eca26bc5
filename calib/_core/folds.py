"""Stratified folds that depend on what the samples are, not on their order or number of copies."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from calib._core.scores import row_blocks
from calib._core.typing import FloatArray, IntArray, RandomState


def stratified_folds(
    scores: FloatArray, codes: IntArray, n_folds: int, random_state: RandomState
) -> IntArray:
    """Assign samples to folds, class by class.

    Copies of a sample share a fold, so an integer weight means the same as repetition, and the
    order of the samples has no influence.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_columns)
    codes : ndarray of int, shape (n_samples,)
        Class of every sample.
    n_folds : int >= 2
    random_state : int, RandomState, Generator or None
        Seed of the shuffle.

    Returns
    -------
    fold : ndarray of int, shape (n_samples,)
        In 0..n_folds - 1; classes with fewer distinct samples than folds are missing in some.
    """
    random = (
        random_state
        if isinstance(random_state, np.random.Generator)
        else np.random.default_rng(check_random_state(random_state).randint(2**31))
    )
    key = _fingerprints(scores)
    fold = np.empty(len(codes), dtype=np.intp)
    offset = 0
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        distinct, rank = np.unique(key[members], return_inverse=True)
        fold[members] = (random.permutation(len(distinct))[rank] + offset) % n_folds
        offset += len(distinct)  # so that rare classes do not all start with fold 0
    return fold


def _fingerprints(scores: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return one integer per row, equal for equal rows; exact, so independent of their places."""
    factors = np.random.default_rng(0xF01D).integers(
        1, 2**63, size=scores.shape[1], dtype=np.uint64, endpoint=False
    ) | np.uint64(1)
    out = np.empty(len(scores), dtype=np.uint64)
    for rows in row_blocks(*scores.shape):
        bits = (np.asarray(scores[rows], dtype=np.float64) + 0.0).view(np.uint64)
        mixed = (bits ^ (bits >> np.uint64(29))) * factors
        out[rows] = (mixed ^ (mixed >> np.uint64(31))).sum(axis=1, dtype=np.uint64)
    return out
