"""Over- and underconfidence, the two parts of the expected calibration error."""

from __future__ import annotations

from typing import NamedTuple

from calib._border.typing import ArrayLike
from calib._core.binning import Strategy
from calib.evaluation.binned.tables import binned
from calib.evaluation.views.views import Average


class SignedCalibrationError(NamedTuple):
    """The two signed parts of the expected calibration error.

    Parameters
    ----------
    overconfidence, underconfidence : float
        In [0, 1]; weighted sums of the positive and of the negative gaps.
    """

    overconfidence: float
    underconfidence: float


def signed_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    average: Average = "auto",
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> SignedCalibrationError:
    """Split the expected calibration error into over- and underconfidence.

    Tells in which direction probabilities are wrong; the error itself does not.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3.
    n_bins : int >= 1, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`. Under the last two, overconfidence means that
        probabilities are larger than the observed rates.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    parts : SignedCalibrationError
        ``overconfidence`` and ``underconfidence``, both >= 0, lower is better.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Notes
    -----
    The parts add up to the expected calibration error; their difference is the mean prediction
    minus the mean event, whatever the bins. Both are biased upwards.

    Examples
    --------
    >>> from calib.evaluation import signed_calibration_error
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> over, under = signed_calibration_error([0, 1, 1, 1], y_prob, n_bins=5)
    >>> round(over, 4), round(under, 4)
    (0.025, 0.3375)
    """
    _, table = binned(
        y_true, y_prob, n_bins, strategy, average, sample_weight, labels, pos_label, bins
    )
    over, under = table.signed_parts()
    return SignedCalibrationError(float(over.mean()), float(under.mean()))
