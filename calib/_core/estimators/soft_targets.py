"""Soft targets: a distribution of the classes of every row, checked."""

from __future__ import annotations

import numpy as np

from calib._border.checks import describe
from calib._border.labels import list_shape, read_labels
from calib._border.typing import ArrayLike, Float64Array, LabelArray

#: How far the sum of a row of soft targets may be from 1.
SOFT_SUM_TOLERANCE = 1e-3


def read_distributions(
    y: ArrayLike, kept: LabelArray | None = None
) -> tuple[Float64Array, LabelArray | None] | None:
    """Return soft targets (n_samples, n_classes) with rows that sum to 1, None for other targets.

    Parameters
    ----------
    y : array-like
        A matrix of two or more columns holds the distribution of the classes of every row.
    kept : ndarray of bool, shape (n_samples,), or None
        Rows that are there; others may hold anything and come back as they are.

    Returns
    -------
    shares : ndarray of shape (n_samples, n_classes)
    names : ndarray of shape (n_classes,) or None
        Columns of a table, in the order of `shares`.
    """
    shape = np.shape(y) if hasattr(y, "shape") else list_shape(y)
    if len(shape) != 2 or shape[1] < 2:
        return None
    array = read_labels(y, "y")
    if array.dtype.kind not in "biuf":
        return None
    array = array.astype(np.float64)
    seen = np.ones(len(array), bool) if kept is None or len(kept) != len(array) else kept
    wrong = seen & ~((array >= 0) & np.isfinite(array)).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"y has {array.shape[1]} columns and is read as soft targets, one distribution of the "
            f"classes a row, but row {row} is {describe(array[row].tolist())}; entries must be "
            f"finite and >= 0"
        )
    total = array.sum(axis=1)
    off = seen & (np.abs(total - 1.0) > SOFT_SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(
            f"y has {array.shape[1]} columns and is read as soft targets, one distribution of the "
            f"classes a row, but {int(off.sum())} rows do not sum to 1 (row {row} sums to "
            f"{total[row]:.6g}); divide counts by their row sums. If a row may have several labels "
            f"or none (multi-label), use MultilabelCalibrator"
        )
    columns = getattr(y, "columns", None)
    names = None if columns is None else np.asarray(list(columns))
    return array / np.where(seen, total, 1.0)[:, None], names
