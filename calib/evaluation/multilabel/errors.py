"""Binned calibration errors where a row has many labels, each of them present or not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from calib._border.arrays import to_numpy
from calib._border.checks import check_integer, check_option
from calib._border.labels import check_weight
from calib._border.limits import MOST_BINS
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.validation import check_matrix
from calib._core.binning import quotient, uniform_cells
from calib.multilabel.calibrator import read_label_table


def multilabel_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    average: Literal["micro", "macro"] | None = "micro",
    n_bins: int = 15,
    sample_weight: ArrayLike = None,
) -> float | Float64Array:
    """Return the expected calibration error of many labels.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels)
        0, 1, fractions in [0, 1], or nan where a label is unknown; these cells drop out.
    y_prob : array-like of shape (n_samples, n_labels)
        Probabilities of the labels, in [0, 1]; rows need not sum to 1.
    average : {"micro", "macro"} or None, default="micro"
        All cells as one sample; the mean of the errors of the labels that have labelled cells; or
        the error of every label, nan where no cell is labelled.
    n_bins : int >= 1, default=15
        Bins of equal width.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights of the rows.

    Returns
    -------
    error : float, or ndarray of shape (n_labels,)
        In [0, 1], lower is better; biased upwards where cells are few.

    Raises
    ------
    ValueError
        If shapes differ, values lie outside [0, 1], or no cell is labelled.

    See Also
    --------
    multilabel_report : with what calibrated labels show by chance.

    Examples
    --------
    >>> from calib.evaluation import multilabel_calibration_error
    >>> y_true, y_prob = [[1, 0], [0, 0]], [[0.6, 0.2], [0.6, 0.2]]
    >>> round(multilabel_calibration_error(y_true, y_prob), 3)
    0.15
    >>> multilabel_calibration_error(y_true, y_prob, average=None).round(3)
    array([0.1, 0.2])
    """
    check_option("average", average, ("micro", "macro", None))
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    y, p, _ = read_cells(y_true, y_prob)
    weight = check_weight(sample_weight, len(y))
    sums, mass = sums_by_label(y, p, uniform_cells(p, n_bins), n_bins, weight)
    if average == "micro":
        return float(np.abs(sums.sum(axis=0)).sum() / mass.sum())
    errors = quotient(np.abs(sums).sum(axis=1), mass.sum(axis=1))
    return float(np.nanmean(errors)) if average == "macro" else errors


def read_cells(
    y_true: ArrayLike, y_prob: ArrayLike, name: str = "y_prob"
) -> tuple[Float64Array, Float64Array, list[str] | None]:
    """Return labels with nan where they are missing, probabilities, and names of the labels."""
    y, names = read_label_table(y_true, None, "y_true")
    p = np.asarray(to_numpy(check_matrix(y_prob, name)), dtype=np.float64)
    if p.shape != y.shape:
        raise ValueError(f"y_true has shape {y.shape} but {name} has shape {p.shape}")
    if p.min() < 0 or p.max() > 1:
        raise ValueError(
            f"{name} must lie in [0, 1]; got values from {p.min():.6g} to {p.max():.6g}"
        )
    if not np.isfinite(y).any():
        raise ValueError("no cell of y_true is labelled; there is nothing to measure")
    return y, p, names


def sums_by_label(
    y: Float64Array, p: Float64Array, cells: IntArray, n_bins: int, weight: Float64Array | None
) -> tuple[Float64Array, Float64Array]:
    """Return sums of weighted residuals and of weights, both (n_labels, n_bins)."""
    return _sums(y, p, cells, n_bins, weight, np.arange(y.shape[1])[None, :], y.shape[1])


def sums_by_unit(
    y: Float64Array, p: Float64Array, cells: IntArray, n_bins: int, unit: IntArray
) -> tuple[Float64Array, Float64Array]:
    """Return sums of residuals and numbers of labelled cells of a unit, both (n_units, n_bins)."""
    return _sums(y, p, cells, n_bins, None, unit[:, None], int(unit.max()) + 1)


def _sums(
    y: Float64Array,
    p: Float64Array,
    cells: IntArray,
    n_bins: int,
    weight: Float64Array | None,
    place: IntArray,
    n_places: int,
) -> tuple[Float64Array, Float64Array]:
    known = np.isfinite(y)
    key = (place * n_bins + cells)[known]
    w = np.broadcast_to(np.ones(1) if weight is None else weight[:, None], y.shape)[known]
    shape = (n_places, n_bins)
    sums, mass = (
        np.bincount(key, values, minlength=n_places * n_bins).reshape(shape).astype(np.float64)
        for values in (w * (y - p)[known], w)
    )
    return sums, mass
