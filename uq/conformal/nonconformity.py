"""Nonconformity of every class of a sample, from its probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, IntArray, LabelArray

ConformityScore: TypeAlias = Literal["lac", "aps", "raps", "top_k"]
CONFORMITY_SCORES = ("lac", "aps", "raps", "top_k")
#: Rows of a block at least, so that a block repays the work around it.
BLOCK_ROWS = 1024


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
    out = np.empty(len(codes))
    for rows in row_blocks(*proba.shape, at_least=BLOCK_ROWS):
        scores = class_scores(proba[rows], kind, uniform=uniform[rows], rank=rank, weight=weight)
        out[rows] = scores[np.arange(len(scores)), codes[rows]]
    return out


def classes_within(
    proba: Float64Array,
    kind: ConformityScore,
    limits: Float64Array,
    out: LabelArray,
    *,
    rank: int = 1,
    weight: float = 0.0,
) -> None:
    """Write which classes score (not randomised) at most a limit of their sample.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Probabilities >= 0.
    kind, rank, weight
        See `class_scores`; not for ``"lac"``.
    limits : ndarray of shape (n_samples, n_levels) or (1, n_levels)
    out : ndarray of bool of shape (n_samples, n_classes, n_levels)

    Notes
    -----
    These scores grow with the rank, so a set is cut off at a probability: values are sorted, and no
    class needs to know its rank.
    """
    ranked = np.ascontiguousarray(np.sort(proba, axis=1)[:, ::-1])
    position = np.arange(proba.shape[1])
    scores = np.zeros_like(proba)
    if kind == "top_k":
        scores += position
    else:
        np.cumsum(ranked[:, :-1], axis=1, out=scores[:, 1:])
    if kind == "raps":
        scores += weight * np.maximum(position + 1 - rank, 0)
    for level, limit in enumerate(limits.T[:, :, None]):
        size = np.count_nonzero(scores <= limit, axis=1)
        cut = np.where(size > 0, ranked[np.arange(len(size)), size - 1], np.inf)
        out[:, :, level] = proba >= cut[:, None]


@dataclass(frozen=True)
class NewScores:
    """Nonconformity of every class of new samples, made block by block.

    Attributes
    ----------
    probas : list of ndarray of shape (n_samples, n_classes)
        Probabilities of every model.
    averaged : bool
        Whether scores are those of the mean of the models, not one after the other.
    kind, rank, weight
        See `class_scores`.
    uniform : ndarray of shape (n_samples,) or None
        Numbers of the randomised scores.
    """

    probas: list[Float64Array]
    averaged: bool
    kind: ConformityScore
    uniform: Float64Array | None
    rank: int
    weight: float

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and classes."""
        n_samples, n_classes = self.probas[0].shape
        return n_samples, n_classes

    def blocks(self) -> Iterator[slice]:
        """Yield blocks of rows."""
        return row_blocks(*self.shape, at_least=BLOCK_ROWS)

    def folds(self, rows: slice) -> Iterator[Float64Array]:
        """Yield the scores under each model, or under the mean, shape (n_rows, n_classes)."""
        uniform = None if self.uniform is None else self.uniform[rows]
        for proba in self._probas(rows):
            yield class_scores(
                proba, self.kind, uniform=uniform, rank=self.rank, weight=self.weight
            )

    def within(self, rows: slice, limits: Float64Array, out: LabelArray) -> None:
        """Write which scores of the only fold are at most their limit.

        `out` has shape (n_rows, n_classes, n_levels); so have limits, with 1 in place of what does
        not matter.
        """
        proba = self._probas(rows)[0]
        by_rank = self.kind != "lac" and self.uniform is None and limits.shape[1] == 1
        if by_rank and proba.min() >= 0.0:
            classes_within(proba, self.kind, limits[:, 0], out, rank=self.rank, weight=self.weight)
            return
        (scores,) = self.folds(rows)
        for level in range(limits.shape[2]):
            out[:, :, level] = scores <= limits[:, :, level]  # faster than writing with gaps

    def _probas(self, rows: slice) -> list[Float64Array]:
        probas = [proba[rows] for proba in self.probas]
        return [np.mean(probas, axis=0)] if self.averaged and len(probas) > 1 else probas


def _best_of_ties(ranked: Float64Array, position: IntArray) -> IntArray:
    """Return for each rank the first rank of the same probability."""
    first = np.array(position)
    first[:, 1:][ranked[:, 1:] == ranked[:, :-1]] = 0
    return np.maximum.accumulate(first, axis=1)
