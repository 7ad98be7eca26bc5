"""Thresholds of labels, from calibrated probabilities alone."""

from __future__ import annotations

from typing import Literal

import numpy as np

from calib._border.arrays import to_numpy
from calib._border.checks import check_number, check_option
from calib._border.labels import unit_codes
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import check_matrix


def label_thresholds(
    y_prob: ArrayLike,
    *,
    objective: Literal["f1", "cost"] = "f1",
    cost_ratio: float | None = None,
    groups: ArrayLike = None,
) -> Float64Array:
    """Return the threshold of every label at which to say yes, without labels.

    Parameters
    ----------
    y_prob : array-like of shape (n_samples, n_labels)
        Calibrated probabilities, of the samples that decisions are made on where these are at
        hand: no labels are needed.
    objective : {"f1", "cost"}, default="f1"
        ``"f1"`` maximises the F1 score expected of every label; ``"cost"`` minimises the expected
        cost.
    cost_ratio : float, default=None
        For ``"cost"``: cost of a false positive over that of a false negative, > 0. None is 1.
    groups : array-like of shape (n_labels,), default=None
        Labels of one group share a threshold, that of their cells taken as one label; for rare
        labels whose few probabilities say little alone.

    Returns
    -------
    thresholds : ndarray of shape (n_labels,)
        In (0, 1]; say yes where ``y_prob >= threshold``. 1 where all probabilities of a label are
        0.

    Raises
    ------
    ValueError
        If `y_prob` is no matrix of probabilities, an option is unknown, or `cost_ratio` is given
        for another objective or is not a positive number.

    Notes
    -----
    With probabilities q in descending order and k cells above the threshold, expected F1 is close
    to ``2 sum_{j<=k} q_j / (k + sum q)`` (exact as the number of samples grows). Its maximum F has
    the threshold F / 2 (Lipton et al.), which is returned. The best threshold of a cost is
    ``r / (1 + r)`` with r the ratio, whatever the data.

    References
    ----------
    Z. C. Lipton, C. Elkan, B. Narayanaswamy. Optimal thresholding of classifiers to maximize F1
    measure. ECML PKDD 2014, arXiv 1402.1892.

    Examples
    --------
    >>> from uq import label_thresholds
    >>> label_thresholds([[0.9, 0.3], [0.6, 0.2], [0.2, 0.1], [0.1, 0.1]]).round(2)
    array([0.39, 0.19])
    """
    check_option("objective", objective, ("f1", "cost"))
    proba = np.asarray(to_numpy(check_matrix(y_prob, "y_prob")), dtype=np.float64)
    if proba.min() < 0 or proba.max() > 1:
        raise ValueError(
            f"y_prob must lie in [0, 1]; got values from {proba.min():.6g} to {proba.max():.6g}; "
            f"calibrate scores first, for instance with MultilabelCalibrator"
        )
    n_labels = proba.shape[1]
    if objective == "cost":
        ratio = 1.0 if cost_ratio is None else check_number("cost_ratio", cost_ratio)
        if not 0 < ratio < np.inf:
            raise ValueError(f"cost_ratio must be a finite number > 0; got {cost_ratio!r}")
        return np.full(n_labels, ratio / (1.0 + ratio))
    if cost_ratio is not None:
        raise ValueError(f"cost_ratio is for objective='cost'; got {cost_ratio!r} with 'f1'")
    if groups is None:
        return np.array([_best_for_f1(column) for column in proba.T])
    code = unit_codes(groups, n_labels, "groups", "y_prob (columns)")
    shared = [_best_for_f1(proba[:, code == g].ravel()) for g in range(int(code.max()) + 1)]
    return np.array(shared)[code]


def _best_for_f1(proba: Float64Array) -> float:
    """Return half of the largest expected F1."""
    q = np.sort(proba)[::-1]
    total = float(q.sum())
    if total <= 0:
        return 1.0
    expected = 2.0 * np.cumsum(q) / (np.arange(1, len(q) + 1) + total)
    return float(expected.max()) / 2.0
