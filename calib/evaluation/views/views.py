"""Views: from a matrix of probabilities to pairs of one prediction and one event per sample."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._core.links import both_columns

Average: TypeAlias = Literal["auto", "top_label", "classwise", "binary"]
#: Views with one prediction and one event per sample.
PairView: TypeAlias = Literal["auto", "top_label", "binary"]
AVERAGES = ("auto", "top_label", "classwise", "binary")
PAIR_VIEWS = ("auto", "top_label", "binary")
STRATEGIES = ("uniform", "quantile")


def natural_view(n_classes: int) -> Literal["binary", "top_label"]:
    """Return what ``average="auto"`` means: the second of two classes, else the top label."""
    return "binary" if n_classes <= 2 else "top_label"


def resolved(average: Average, n_columns: int) -> Literal["top_label", "classwise", "binary"]:
    """Return the view that `average` names for a checked matrix of one or more columns."""
    return natural_view(n_columns) if average == "auto" else average


def all_columns(proba: FloatArray) -> FloatArray:
    """Return one column per class; the probability of the positive class becomes two columns."""
    if proba.shape[1] > 1:
        return proba
    columns: FloatArray = both_columns(proba, "proba", np)
    return columns


def top_label(proba: FloatArray) -> tuple[Float64Array, IntArray]:
    """Return the largest probability of every row and its column, the first one on ties."""
    n_samples, n_columns = proba.shape
    if n_columns == 1:
        p = proba[:, 0].astype(np.float64)
        top = (p > 0.5).astype(np.intp)
        return np.maximum(p, 1.0 - p), top
    confidence, top = np.empty(n_samples), np.empty(n_samples, dtype=np.intp)
    for rows in row_blocks(n_samples, n_columns):
        block = proba[rows]
        block.argmax(axis=1, out=top[rows])
        confidence[rows] = block[np.arange(len(block)), top[rows]]
    return confidence, top


def positive_class(proba: FloatArray) -> Float64Array:
    """Return the probability of the second of two classes."""
    if proba.shape[1] > 2:
        raise ValueError(
            f"average='binary' needs two classes; y_prob has {proba.shape[1]} columns; pass "
            f"average='top_label' or average='classwise'"
        )
    return proba[:, -1].astype(np.float64)


def pairs(proba: FloatArray, codes: IntArray, average: Average) -> tuple[Float64Array, LabelArray]:
    """Return prediction and event of every sample under the binary or the top-label view."""
    if resolved(average, proba.shape[1]) == "binary":
        return positive_class(proba), codes == 1
    confidence, top = top_label(proba)
    return confidence, top == codes
