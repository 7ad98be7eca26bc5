"""Scores of predicted distributions, averaged over samples."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_option
from calib._border.labels import check_same_length, check_weight
from calib._border.typing import ArrayLike
from calib._border.validation import number_matrix, number_vector
from calib._core.distributions.predictive import BLOCK_NUMBERS, PredictiveDistribution
from calib._core.distributions.scores import crps_of_normal, points_crps
from calib.evaluation.regression.errors import check_distribution

SampleEstimator: TypeAlias = Literal["empirical", "fair"]


def crps(
    y_true: ArrayLike, distribution: PredictiveDistribution, *, sample_weight: ArrayLike = None
) -> float:
    r"""Compute the mean continuous ranked probability score (CRPS) of predicted distributions.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values, finite.
    distribution : PredictiveDistribution
        Of every sample; see `predictive_distribution`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    score : float
        In units of y, >= 0, lower is better.

    Raises
    ------
    ValueError
        For another kind of distribution, NaN or infinite values, or unequal lengths.

    See Also
    --------
    normal_crps, sample_crps, quantile_crps : The same of arrays.
    regression_report : With its interval, and what chance shows.

    Notes
    -----
    :math:`\int (F(t) - 1[y \le t])^2 dt`, in closed form where there is one. A proper score,
    unbiased; of a point forecast it is the absolute error.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery. Strictly Proper Scoring Rules, Prediction, and Estimation.
       JASA 102, 2007. doi:10.1198/016214506000001437
    .. [2] A. Jordan, F. Krüger, S. Lerch. Evaluating Probabilistic Forecasts with scoringRules.
       Journal of Statistical Software 90, 2019. arXiv:1709.04743

    Examples
    --------
    >>> from calib.evaluation import crps, predictive_distribution
    >>> distribution = predictive_distribution(mean=[0, 2], std=[1, 3])
    >>> round(crps([0, -1], distribution), 4)
    1.0205
    """
    scores = check_distribution(distribution).crps(y_true)
    return float(np.average(scores, weights=check_weight(sample_weight, len(scores))))


def normal_crps(
    y_true: ArrayLike, y_mean: ArrayLike, y_std: ArrayLike, *, sample_weight: ArrayLike = None
) -> float:
    r"""Compute the mean continuous ranked probability score (CRPS) of normal distributions.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_mean : array-like of shape (n_samples,)
        Predicted means.
    y_std : array-like of shape (n_samples,)
        Predicted standard deviations, >= 0; 0 is a point forecast, scored by its absolute error.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    score : float
        In units of y, >= 0, lower is better.

    Raises
    ------
    ValueError
        For NaN or infinite values, negative standard deviations, or unequal lengths.

    Notes
    -----
    :math:`\sigma (z (2 \Phi(z) - 1) + 2 \varphi(z) - 1 / \sqrt{\pi})` with
    :math:`z = (y - \mu) / \sigma`.

    References
    ----------
    .. [1] A. Jordan, F. Krüger, S. Lerch. Evaluating Probabilistic Forecasts with scoringRules.
       Journal of Statistical Software 90, 2019. arXiv:1709.04743

    Examples
    --------
    >>> from calib.evaluation import normal_crps
    >>> round(normal_crps([0, -1], [0, 2], [1, 3]), 4)
    1.0205
    """
    y, mean, std = (
        number_vector(values, name)
        for values, name in ((y_true, "y_true"), (y_mean, "y_mean"), (y_std, "y_std"))
    )
    check_same_length(len(mean), len(y), "y_mean", "y_true")
    check_same_length(len(std), len(y), "y_std", "y_true")
    if std.min() < 0:
        row = int(np.argmin(std))
        raise ValueError(f"y_std must be >= 0; got {std[row]:g} in row {row}")
    spread = np.where(std > 0, std, 1.0)
    scores = np.where(std > 0, crps_of_normal(mean, spread, y), np.abs(y - mean))
    return float(np.average(scores, weights=check_weight(sample_weight, len(y))))


def sample_crps(
    y_true: ArrayLike,
    y_samples: ArrayLike,
    *,
    estimator: SampleEstimator = "empirical",
    sample_weight: ArrayLike = None,
) -> float:
    r"""Compute the mean continuous ranked probability score (CRPS) of samples.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    y_samples : array-like of shape (n_samples, n_draws)
        Draws from the predicted distribution of every row, or members of an ensemble, in any order.
    estimator : {"empirical", "fair"}, default="empirical"
        ``"empirical"`` scores the distribution that *is* the points, such as that of a conformal
        system. ``"fair"`` estimates, without bias, the score of the distribution that the points
        were *drawn from*, so that ensembles of different sizes compare; it needs two draws and can
        be negative for a row.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    score : float
        In units of y, lower is better.

    Raises
    ------
    ValueError
        For NaN or infinite values, unequal lengths, an unknown estimator, or one draw where
        ``"fair"`` needs two.

    Notes
    -----
    :math:`\frac{1}{m} \sum_j |x_j - y| - \frac{1}{2 m^2} \sum_{jk} |x_j - x_k|`; fair divides by
    :math:`2 m (m - 1)`. Five draws of a standard normal distribution have .677 on average, fair
    .564, which is the truth. O(m log m).

    References
    ----------
    .. [1] C. A. T. Ferro. Fair scores for ensemble forecasts. Quarterly Journal of the Royal
       Meteorological Society 140, 2014. doi:10.1002/qj.2270

    Examples
    --------
    >>> from calib.evaluation import sample_crps
    >>> sample_crps([3], [[4, 1, 7, 2]])
    0.75
    >>> round(sample_crps([3], [[4, 1, 7, 2]], estimator="fair"), 4)
    0.3333
    """
    check_option("estimator", estimator, ("empirical", "fair"))
    y, draws = number_vector(y_true, "y_true"), number_matrix(y_samples, "y_samples")
    check_same_length(len(draws), len(y), "y_samples", "y_true")
    if estimator == "fair" and draws.shape[1] < 2:
        raise ValueError(
            "estimator='fair' needs at least 2 draws of a row; got 1; pass more, or 'empirical'"
        )
    scores = np.empty(len(y))
    for rows in row_blocks(*draws.shape, n_elements=BLOCK_NUMBERS):
        scores[rows] = points_crps(np.sort(draws[rows], axis=1), y[rows], estimator == "fair")
    return float(np.average(scores, weights=check_weight(sample_weight, len(y))))
