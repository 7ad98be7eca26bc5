"""Predicted distributions as they are given, to be scored."""

from __future__ import annotations

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.labels import check_same_length
from calib._border.typing import ArrayLike
from calib._border.validation import number_vector
from calib._core.distributions.given import given_law, read_given
from calib._core.distributions.lattice import PointLaw
from calib._core.distributions.predictive import PredictiveDistribution


def predictive_distribution(
    *,
    mean: ArrayLike = None,
    std: ArrayLike = None,
    quantiles: ArrayLike = None,
    levels: ArrayLike = None,
    samples: ArrayLike = None,
    fair: bool = False,
) -> PredictiveDistribution:
    """Return predicted distributions as they are given, to be asked and scored.

    Parameters
    ----------
    mean, std : array-like of shape (n_samples,), default=None
        Of normal distributions; `std` > 0.
    quantiles : array-like of shape (n_samples, n_levels), default=None
        Predicted quantiles, n_levels >= 2.
    levels : array-like of shape (n_levels,), default=None
        Their levels, ascending in (0, 1).
    samples : array-like of shape (n_samples, n_draws), default=None
        Equally likely values, n_draws >= 2: members of an ensemble, draws.
    fair : bool, default=False
        Score samples as draws of the distribution that is meant, which does not punish few of them;
        False scores the distribution that is these points.

    Returns
    -------
    distribution : PredictiveDistribution

    Raises
    ------
    ValueError
        Unless one way is chosen; for NaN, inf, other shapes, a standard deviation that is not
        positive, levels that do not ascend, or a single column.

    Warns
    -----
    CrossingQuantilesWarning
        If quantiles cross; they are sorted.

    See Also
    --------
    calib.DistributionCalibrator : recalibrated ones.

    Notes
    -----
    Quantiles are joined by lines in normal scores, which make normal tails; equal ones are a jump.
    Samples have no density and no log score.

    References
    ----------
    .. [1] C. A. T. Ferro. Fair scores for ensemble forecasts. Quarterly Journal of the Royal
       Meteorological Society 140, 2014. doi:10.1002/qj.2270

    Examples
    --------
    >>> from calib.evaluation import predictive_distribution
    >>> d = predictive_distribution(mean=[0.0, 2.0], std=[1.0, 3.0])
    >>> d
    2 predictive distributions (normal), median width of 90 %: 6.579
    >>> d.crps([0.0, -1.0]).round(4)
    array([0.2337, 1.8073])
    >>> predictive_distribution(samples=[[1, 2, 4, 7]]).crps([3.0])
    array([0.75])
    """
    given = {
        "mean": mean,
        "std": std,
        "quantiles": quantiles,
        "levels": levels,
        "samples": samples,
    }
    named = tuple(name for name, values in given.items() if values is not None)
    if named not in (("mean", "std"), ("quantiles", "levels"), ("samples",), ("quantiles",)):
        raise ValueError(
            f"pass mean and std, quantiles and levels, or samples; got {describe(list(named))}"
        )
    check_option("fair", fair, (False, True))
    if fair and samples is None:
        raise ValueError("fair is a way to score samples; leave it out")
    if samples is not None:
        return PredictiveDistribution(
            PointLaw(np.sort(read_given(samples, "samples", "samples")), fair)
        )
    if quantiles is not None:
        array = read_given(quantiles, "quantiles", "quantiles")
        return PredictiveDistribution(given_law(array, "quantiles", levels, "quantiles"))
    centre, spread = number_vector(mean, "mean"), number_vector(std, "std")
    check_same_length(len(centre), len(spread), "mean", "std")
    pairs = np.column_stack([centre, spread])
    return PredictiveDistribution(given_law(pairs, "normal", None, "std", stacked=False))
