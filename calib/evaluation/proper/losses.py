"""Losses of single samples, and how a proper score of one event is made up."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import PROBA_FLOOR, row_blocks
from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib.evaluation.views import views

Score: TypeAlias = Literal["brier", "log_loss"]
SCORES = ("brier", "log_loss")


def zero_floor(dtype: np.dtype[np.floating]) -> float:
    """Return what a probability of exactly 0 counts as in the log loss.

    The smallest normal float32, or the smallest number of a shorter type: small enough to leave
    every honest probability alone and to keep the loss monotone, the same for float32 and float64.
    """
    return max(PROBA_FLOOR, float(np.finfo(dtype).smallest_subnormal))


def sample_losses(proba: FloatArray, codes: IntArray, *, floor: float = 0.0) -> Float64Array:
    """Return log loss and Brier score (summed over classes) of every sample.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_columns)
        One column is the second of two classes.
    codes : ndarray of shape (n_samples,)
        Column of the true class.
    floor : float, default=0
        What smaller probabilities of the true class count as in the log loss; 0 leaves it infinite
        where that probability is 0.

    Returns
    -------
    losses : ndarray of shape (n_samples, 2)
    """
    columns = views.all_columns(proba)
    losses = np.empty((len(columns), 2))
    for rows in row_blocks(*columns.shape):
        block = columns[rows].astype(np.float64)
        hit = np.maximum(block[np.arange(len(block)), codes[rows]], floor)
        with np.errstate(divide="ignore"):
            losses[rows, 0] = np.abs(np.log(np.minimum(hit, 1.0)))
        block[np.arange(len(block)), codes[rows]] -= 1.0
        losses[rows, 1] = np.einsum("ij,ij->i", block, block)
    return losses


def event_losses(p: Float64Array, event: LabelArray, score: Score) -> Float64Array:
    """Return the losses of probabilities of one event: squared error, or log loss."""
    p = np.clip(p, 0.0, 1.0)  # rounding may have led beyond
    if score == "brier":
        return np.asarray((p - event) ** 2)
    with np.errstate(divide="ignore"):
        return np.asarray(np.abs(np.log(np.where(event, p, 1.0 - p))))


def least_loss(rate: Float64Array, score: Score) -> Float64Array:
    """Return the mean loss of an event of this rate when the rate itself is predicted.

    Its variance or its entropy in nats; ``0 log 0 = 0``.
    """
    if score == "brier":
        return np.asarray(rate * (1.0 - rate))
    from scipy.special import entr

    return np.asarray(entr(rate) + entr(1.0 - rate))
