"""The Brier score taken apart by bins: reliability, resolution, uncertainty and what bins hide."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._core import binning
from calib._core.binning import BinTable, Strategy
from calib.evaluation.binned.tables import binned
from calib.evaluation.proper.losses import sample_losses, zero_floor
from calib.evaluation.views.predictions import checked
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average

#: A bin tells its spread only if it holds more than one (effective) sample.
ALONE = 1.0 + 1e-9


@dataclass(frozen=True)
class BrierDecomposition:
    """Result of `brier_decomposition`.

    ``score = reliability - resolution + uncertainty + within_bin_variance - within_bin_covariance``
    up to rounding, and the three debiased terms may replace the three plain ones.

    Attributes
    ----------
    score : float
        Brier score; in [0, 1], or [0, 2] as a sum over classes. Lower is better.
    reliability : float
        Squared gap between mean prediction and observed rate of a bin; >= 0, lower is better.
    resolution : float
        Variance of the observed rates of the bins; >= 0, higher is better.
    uncertainty : float
        Variance of the event, whatever the predictions; >= 0.
    within_bin_variance : float
        Variance of predictions inside the bins; >= 0.
    within_bin_covariance : float
        Twice the covariance of prediction and event inside the bins: discrimination that the bins
        do not see.
    debiased_reliability, debiased_resolution, debiased_uncertainty : float
        The terms less the expected contribution of chance; the first two may be negative.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin_variance: float
    within_bin_covariance: float
    debiased_reliability: float
    debiased_resolution: float
    debiased_uncertainty: float


def brier_decomposition(
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
) -> BrierDecomposition:
    r"""Split the Brier score into reliability, resolution and uncertainty by bins.

    Tells whether a score is bad because probabilities are wrong (reliability: a calibrator helps)
    or because they do not separate (resolution: it does not). `score_decomposition` does the same
    without bins and is to be preferred unless bins are wanted.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    n_bins : int >= 1, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass. Equal scores always share a bin.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        What is scored: the largest probability against "the prediction was right"; every column
        against "this is the class", **summed** over classes, so that `score` is the Brier score of
        all classes in [0, 2]; or the probability of the second of two classes.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row, except in
        the debiased terms, where copies are no further evidence.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    parts : BrierDecomposition
        The score, its five terms and three debiased ones.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    See Also
    --------
    score_decomposition : The same without bins, for the log loss as well.

    Notes
    -----
    With weight :math:`w_b`, mean prediction :math:`\bar p_b` and observed rate :math:`\bar y_b` of
    bin b, reliability is :math:`\sum_b w_b (\bar p_b - \bar y_b)^2`, resolution
    :math:`\sum_b w_b (\bar y_b - \bar y)^2` and uncertainty :math:`\bar y (1 - \bar y)` [1]_. They
    add up to the score only if predictions are constant in each bin; the two within-bin terms
    close the gap [2]_. Reliability and resolution are both biased upwards by the noise of
    :math:`\bar y_b`. The debiased terms subtract its estimate
    :math:`\sum_b w_b \bar y_b (1 - \bar y_b) / (n_b - 1)` and leave the sum unchanged [3]_; with
    weights :math:`n_b` is the effective sample size of the bin (Kish). Bins with a single sample do
    not tell their noise and are left as they are, so use bins of several samples. Cost:
    O(n_samples), times the number of classes for ``"classwise"``, plus sorts for ``"quantile"``.

    References
    ----------
    .. [1] A. H. Murphy. A New Vector Partition of the Probability Score. Journal of Applied
       Meteorology 12, 1973.
    .. [2] D. B. Stephenson, C. A. S. Coelho, I. T. Jolliffe. Two Extra Components in the Brier
       Score Decomposition. Weather and Forecasting 23, 2008. doi:10.1175/2007WAF2006116.1
    .. [3] C. A. T. Ferro, T. E. Fricker. A Bias-Corrected Decomposition of the Brier Score.
       Quarterly Journal of the Royal Meteorological Society 138, 2012. doi:10.1002/qj.1924

    Examples
    --------
    >>> from calib.evaluation import brier_decomposition
    >>> parts = brier_decomposition([0, 0, 1, 1, 0, 1], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], n_bins=2,
    ...                             average="binary")
    >>> print(f"{parts.score:.4f} = {parts.reliability:.4f} - {parts.resolution:.4f} "
    ...       f"+ {parts.uncertainty:.4f} + {parts.within_bin_variance:.4f} "
    ...       f"- {parts.within_bin_covariance:.4f}")
    0.2133 = 0.0178 - 0.0278 + 0.2500 + 0.0067 - 0.0333
    """
    predictions, table = binned(
        y_true, y_prob, n_bins, strategy, average, sample_weight, labels, pos_label, bins
    )
    terms = [
        astuple(_decompose(score, event, predictions.weight, table, row))
        for row, (score, event) in enumerate(predictions.pairs(average))
    ]
    return BrierDecomposition(*np.sum(terms, axis=0).tolist())


def _decompose(
    p: Float64Array, event: LabelArray, weight: Float64Array | None, table: BinTable, row: int
) -> BrierDecomposition:
    """Decompose the Brier score of probabilities of one event."""
    y = event.astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight
    cells = binning.cells_between(p, table.edges[row])
    total = float(w.sum())
    mass = table.weight[row]
    share = mass / total
    mean, rate, gap = (
        np.nan_to_num(column[row])
        for column in (table.mean_prediction, table.observed_rate, table.gap)
    )
    overall = float(w @ y) / total
    inside_p, inside_y = p - mean[cells], y - rate[cells]
    reliability = float(share @ gap**2)
    resolution = float(share @ (rate - overall) ** 2)
    uncertainty = overall * (1.0 - overall)
    squares = np.bincount(cells, w**2, minlength=len(mass)).astype(np.float64)
    bin_noise = float(share @ _noise(rate, mass, squares))
    noise = float(_noise(np.array([overall]), np.array([total]), np.array([w @ w]))[0])
    return BrierDecomposition(
        score=float(w @ (p - y) ** 2) / total,
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bin_variance=float(w @ inside_p**2) / total,
        within_bin_covariance=2.0 * float(w @ (inside_p * inside_y)) / total,
        debiased_reliability=reliability - bin_noise,
        debiased_resolution=resolution - bin_noise + noise,
        debiased_uncertainty=uncertainty + noise,
    )


def _noise(rate: Float64Array, total: Float64Array, squares: Float64Array) -> Float64Array:
    """Return the unbiased variance of rates, 0 where a single sample does not tell it."""
    effective = np.zeros(len(rate))
    np.divide(total**2, squares, out=effective, where=squares > 0)
    out = np.zeros(len(rate))
    np.divide(rate * (1.0 - rate), effective - 1.0, out=out, where=effective > ALONE)
    return out


@measure
def log_loss(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the log loss of a report: the mean of ``-log`` of the probability of the true class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    loss : float
        In nats, at least 0, lower is better.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Notes
    -----
    A probability of exactly 0 counts as 1.2e-38, in float16 as 6e-8; other values are untouched.
    scikit-learn cuts at the rounding error of the type, 2e-16 for float64.

    Examples
    --------
    >>> from calib.evaluation import log_loss
    >>> round(log_loss([0, 1, 1], [0.1, 0.8, 0.5]), 3)
    0.341
    """
    return _mean_losses(y_true, y_prob, sample_weight, labels, pos_label)[0]


@measure
def brier_score(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the Brier score of a report: squared differences, summed over classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    score : float
        In [0, 2], lower is better. For two classes twice the mean of ``(p - y)^2``.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Examples
    --------
    >>> from calib.evaluation import brier_score
    >>> round(brier_score([0, 1, 1], [0.1, 0.8, 0.5]), 3)
    0.2
    """
    return _mean_losses(y_true, y_prob, sample_weight, labels, pos_label)[1]


def _mean_losses(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    sample_weight: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
) -> tuple[float, float]:
    codes, proba, weight, _ = checked(y_true, y_prob, sample_weight, labels, pos_label)
    losses = sample_losses(proba, codes, floor=zero_floor(proba.dtype))
    loss, score = np.average(losses, axis=0, weights=weight)
    return float(loss), float(score)
