"""Distributions of classes as targets, for metrics that take labels and weights."""

from __future__ import annotations

from typing import NamedTuple

from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._core.estimators.soft_targets import read_distributions
from calib._core.estimators.targets import expanded


class ExpandedTargets(NamedTuple):
    """Result of `expand_soft_targets`: one entry per positive share, row by row.

    Parameters
    ----------
    rows : ndarray of shape (n_entries,)
        Row of the soft targets, integers.
    codes : ndarray of shape (n_entries,)
        Column of the class, integers.
    weight : ndarray of shape (n_entries,)
        Share of the class in its row, in (0, 1]; those of a row sum to 1.
    """

    rows: IntArray
    codes: IntArray
    weight: Float64Array


def expand_soft_targets(y: ArrayLike) -> ExpandedTargets:
    """Return rows, labels and weights that stand for distributions of classes.

    Any metric that takes `sample_weight` then measures against distributions: pass
    ``y_prob[rows]``, ``codes`` and ``weight``, and ``groups=rows`` where intervals are made. The
    weighted log loss is exactly the cross entropy, class-wise binned errors compare with the mean
    share, and the Brier score is the squared error plus ``1 - sum_k y_k ** 2`` averaged over rows,
    whatever the probabilities are.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_classes)
        Entries >= 0; rows sum to 1 within 1e-3 and are divided by their sum. Two or more columns.

    Returns
    -------
    targets : ExpandedTargets
        ``rows, codes, weight``.

    Raises
    ------
    ValueError
        If `y` is no matrix of two or more columns of numbers, or a row is no distribution.

    See Also
    --------
    log_loss : Takes the three as ``y_true``, ``y_prob[rows]`` and ``sample_weight``.

    Examples
    --------
    >>> from calib.evaluation import expand_soft_targets, log_loss
    >>> rows, codes, weight = expand_soft_targets([[0.75, 0.25], [0.0, 1.0]])
    >>> rows.tolist(), codes.tolist(), weight.tolist()
    ([0, 0, 1], [0, 1, 1], [0.75, 0.25, 1.0])
    >>> import numpy as np
    >>> y_prob = np.array([[0.5, 0.5], [0.25, 0.75]])
    >>> round(log_loss(codes, y_prob[rows], sample_weight=weight), 4)
    0.4904
    """
    targets = read_distributions(y)
    if targets is None:
        raise ValueError(
            "y must be a matrix of numbers (n_samples, n_classes) with two or more columns, one "
            "distribution of the classes a row; labels need no expansion"
        )
    return ExpandedTargets(*expanded(targets[0]))
