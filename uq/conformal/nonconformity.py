"""Nonconformity of every class of a sample, from its probabilities."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, IntArray

ConformityScore: TypeAlias = Literal["lac", "aps", "raps", "top_k"]
CONFORMITY_SCORES = ("lac", "aps", "raps", "top_k")


def class_scores(
    proba: Float64Array,
    kind: ConformityScore,
    *,
    uniform: Float64Array | None = None,
    rank: int = 1,
    weight: float = 0.0,
) -> Float64Array:
    """Return the nonconformity of every class of every sample; larger is stranger.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Probabilities, checked, float64.
    kind : {"lac", "aps", "raps", "top_k"}
        ``"lac"``: one minus the probability. ``"aps"``: probability of the classes ranked before,
        plus a share ``1 - uniform`` of the class itself. ``"raps"``: the same plus `weight` for
        each rank beyond `rank`. ``"top_k"``: number of classes ranked before.
    uniform : ndarray of shape (n_samples,), default=None
        Numbers in [0, 1) of the randomised scores. None takes 1, the smallest score the class may
        get, and lets classes of equal probability share the best rank among them: for test samples.
    rank : int, default=1
        Number of classes free of penalty, >= 1; for ``"raps"``.
    weight : float, default=0.0
        Penalty of each further rank, >= 0; for ``"raps"``.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes)
    """
    if kind == "lac":
        return 1 - proba
    penalty = weight if kind == "raps" else 0.0
    out = np.empty_like(proba)
    for rows in row_blocks(*proba.shape, at_least=256):
        block = proba[rows]
        order = np.flip(np.argsort(block, axis=1), axis=1)
        ranked = np.take_along_axis(block, order, axis=1)
        position = np.broadcast_to(np.arange(block.shape[1]), block.shape)
        if uniform is None:
            position = _best_of_ties(ranked, position)
        if kind == "top_k":
            value = position.astype(np.float64)
        else:
            total = np.cumsum(ranked, axis=1)
            if uniform is None:
                before = np.concatenate([np.zeros((len(block), 1)), total[:, :-1]], axis=1)
                value = np.take_along_axis(before, position, axis=1)
            else:
                value = total - uniform[rows, None] * ranked
            value += penalty * np.maximum(position + 1 - rank, 0)
        scores = np.empty_like(block)
        np.put_along_axis(scores, order, value, axis=1)
        out[rows] = scores
    return out


def true_class_scores(
    proba: Float64Array,
    codes: IntArray,
    kind: ConformityScore,
    *,
    uniform: Float64Array,
    rank: int = 1,
    weight: float = 0.0,
) -> Float64Array:
    """Return the nonconformity of the true classes `codes`, shape (n_samples,)."""
    scores = class_scores(proba, kind, uniform=uniform, rank=rank, weight=weight)
    return np.asarray(scores[np.arange(len(codes)), codes])


def _best_of_ties(ranked: Float64Array, position: IntArray) -> IntArray:
    """Return for each rank the first rank of the same probability."""
    first = np.array(position)
    first[:, 1:][ranked[:, 1:] == ranked[:, :-1]] = 0
    return np.maximum.accumulate(first, axis=1)
