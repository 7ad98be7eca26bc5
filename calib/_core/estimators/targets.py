"""Targets of rows as fits read them: the column of the class, or the shares of all classes.

What is linear in a one-hot label, as log loss and squared error are up to a constant, is the same
function of the shares of a soft target. Cores read either through the functions here.
"""

from __future__ import annotations

import numpy as np

from calib._border.typing import Float64Array, IntArray, LabelArray


def expanded(shares: Float64Array) -> tuple[IntArray, IntArray, Float64Array]:
    """Return row, class and share of every positive entry, row by row."""
    rows, codes = np.nonzero(shares > 0)
    return rows, codes, shares[rows, codes]


def holds_shares(target: LabelArray) -> bool:
    """Return whether targets are shares of all classes, (n_samples, n_classes)."""
    return bool(target.ndim == 2)


def class_target(target: LabelArray) -> LabelArray:
    """Return columns of classes as indices; shares as they are."""
    return target if holds_shares(target) else target.astype(np.intp, copy=False)


def second_share(target: LabelArray) -> LabelArray:
    """Return the targets of two classes as those of the second, (n_samples,)."""
    return target[:, 1] if holds_shares(target) else target


def shares_of(target: LabelArray, n_classes: int) -> Float64Array:
    """Return the distribution of the classes of every row, (n_samples, n_classes)."""
    if holds_shares(target):
        return target
    if target.dtype.kind == "f":  # fractions, two classes
        return np.stack([1.0 - target, target], axis=1)
    out = np.zeros((len(target), n_classes))
    out[np.arange(len(target)), target] = 1.0
    return out


def against_rest(target: LabelArray, columns: slice) -> LabelArray:
    """Return whether the class of each row is that of some columns, or the shares of these."""
    if holds_shares(target):
        return target[:, columns]
    return np.asarray(target[:, None] == np.arange(columns.start, columns.stop))


def at_target(values: Float64Array, target: LabelArray) -> Float64Array:
    """Return the entry of each row's class, or its mean over the shares, (n_samples,).

    Entries of classes without a share do not count, whatever they are.
    """
    if not holds_shares(target):
        return np.asarray(values[np.arange(len(target)), target])
    out = np.einsum("ij,ij->i", values, target)
    if not np.isfinite(out).all():
        out = np.where(target > 0, values * target, 0.0).sum(axis=1)
    return np.asarray(out)


def subtract_truth(values: Float64Array, target: LabelArray) -> None:
    """Subtract one-hot labels, or shares, in place."""
    if holds_shares(target):
        values -= target
    else:
        values[np.arange(len(target)), target] -= 1.0
