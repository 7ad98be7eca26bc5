"""The mean squared gap of bins, with and without its bias."""

from __future__ import annotations

from typing import NamedTuple

from calib._border.typing import ArrayLike
from calib._core.binning import Strategy
from calib.evaluation.binned.tables import binned
from calib.evaluation.views.views import Average


class SquaredCalibrationError(NamedTuple):
    """Result of `squared_calibration_error`.

    Attributes
    ----------
    plugin : float
        Mean squared gap of the bins, in [0, 1]; biased upwards.
    debiased : float
        The same without the bias for calibrated bins; negative values occur and say "none found".
    """

    plugin: float
    debiased: float


def squared_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Strategy = "quantile",
    average: Average = "auto",
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> SquaredCalibrationError:
    r"""Compute the mean squared gap of bins, as it is and debiased.

    Averages over data sets need the debiased number with its sign: a mean of numbers cut at 0 is
    biased again.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3.
    n_bins : int >= 1, default=15
        Number of bins.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins of equal mass, or of equal width.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        What is compared, as in `expected_calibration_error`.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; needed if `y_true` misses one and is not made of integers 0..K-1.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : SquaredCalibrationError
        Of several classes the unweighted means.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    See Also
    --------
    expected_calibration_error : ``norm=2`` is the root, ``debias=True`` that of the debiased one.

    Notes
    -----
    ``debiased`` is :math:`\sum_b w_b ((\bar p_b - \bar y_b)^2 - \bar y_b (1 - \bar y_b) / (n_b -
    1))`: unbiased if bins do not depend on the data and predictions are constant within them. Bins
    of fewer than two samples contribute 0. Weights count as numbers of samples.

    References
    ----------
    .. [1] A. Kumar, P. S. Liang, T. Ma. Verified Uncertainty Calibration. NeurIPS 2019.
       arXiv:1909.10155

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import squared_calibration_error
    >>> p = (np.arange(1000) + 0.5) / 1000
    >>> y = (np.arange(1, 1001) * 0.6180339887 % 1 < p).astype(int)  # calibrated
    >>> error = squared_calibration_error(y, p, average="binary")
    >>> bool(error.debiased < 0 < error.plugin)
    True
    """
    _, table = binned(
        y_true, y_prob, n_bins, strategy, average, sample_weight, labels, pos_label, bins
    )
    return SquaredCalibrationError(
        float((table.error(2) ** 2).mean()), float(table.debiased_square().mean())
    )
