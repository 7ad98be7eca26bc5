"""Integral transforms and central intervals against what chance shows, level by level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.checks import check_fraction, check_integer
from calib._border.labels import check_weight
from calib._border.limits import MOST_BINS
from calib._border.typing import ArrayLike, Float64Array, RandomState
from calib._border.validation import RANGE_TOLERANCE, number_vector, percent_hint
from calib._core.distributions.predictive import PredictiveDistribution
from calib.evaluation.regression.errors import LEVELS, asked_levels, check_distribution, shares
from calib.evaluation.regression.quantiles import calibration_count


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Result of `coverage_curve`.

    Attributes
    ----------
    levels : ndarray of shape (n_levels,)
        Confidence levels of central intervals, in (0, 1).
    coverage : ndarray of shape (n_levels,)
        Share of labels inside.
    low, high : ndarray of shape (n_levels,)
        What chance shows of a calibrated prediction, level by level.
    confidence_level : float in (0, 1)
        Of that range.
    n_samples : int
    """

    levels: Float64Array
    coverage: Float64Array
    low: Float64Array
    high: Float64Array
    confidence_level: float
    n_samples: int


@dataclass(frozen=True, eq=False)
class PitHistogram:
    """Result of `pit_histogram`.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        From 0 to 1, evenly spaced.
    density : ndarray of shape (n_bins,)
        Share of values in a bin over that of a uniform distribution: 1 where predictions are right.
    low, high : float
        What chance shows of one bin under uniformity.
    confidence_level : float in (0, 1)
        Of that range.
    n_samples : int
    """

    edges: Float64Array
    density: Float64Array
    low: float
    high: float
    confidence_level: float
    n_samples: int


def coverage_curve(
    y_true: ArrayLike,
    distribution: PredictiveDistribution,
    *,
    levels: ArrayLike = None,
    n_calibration: object = None,
    confidence_level: float = 0.95,
    sample_weight: ArrayLike = None,
    random_state: RandomState = 0,
) -> CoverageCurve:
    """Compute which share of labels lies inside central intervals, at many levels.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values, finite.
    distribution : PredictiveDistribution
        Of every sample; see `predictive_distribution`.
    levels : float or array-like of shape (n_levels,), default=None
        Confidence levels in (0, 1); None means .05, .10, ..., .95.
    n_calibration : int >= 1, fitted conformal predictor or None, default=None
        Calibration samples that all distributions were computed from, whose error they share; see
        `pit_uniformity`.
    confidence_level : float in (0, 1), default=0.95
        Of the range of chance.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    random_state : int, RandomState, Generator or None, default=0
        Where labels that meet a step of their distribution lie inside it.

    Returns
    -------
    curve : CoverageCurve

    Raises
    ------
    ValueError
        As `quantile_calibration_error`.

    See Also
    --------
    CoverageDisplay : Draws the curve.
    interval_coverage : Of given intervals.

    Notes
    -----
    A label is inside at level c if its integral transform u has ``|2 u - 1| <= c``. Where a
    distribution has steps the transform is drawn inside them, so that right distributions follow
    the diagonal; their closed intervals hold more. The range of chance is binomial with
    ``n m / (n + m)`` samples, m being `n_calibration`, and pointwise.

    Examples
    --------
    >>> from calib.evaluation import coverage_curve, predictive_distribution
    >>> distribution = predictive_distribution(mean=[0, 0, 0, 0], std=[1, 1, 1, 1])
    >>> coverage_curve([-2, -1, 0.5, 1], distribution, levels=[0.5, 0.9]).coverage
    array([0.25, 0.75])
    """
    tau = LEVELS if levels is None else asked_levels(levels)
    check_fraction("confidence_level", confidence_level)
    check_distribution(distribution)
    pit = distribution.pit(y_true, random_state)
    weight = check_weight(sample_weight, len(pit))
    return coverage_of(pit, tau, calibration_count(n_calibration), confidence_level, weight)


def coverage_of(
    pit: Float64Array,
    levels: Float64Array,
    n_calibration: int | None,
    confidence_level: float,
    weight: Float64Array | None = None,
) -> CoverageCurve:
    """Return the curve of integral transforms."""
    low, high = binomial_range(levels, _size(len(pit), n_calibration, weight), confidence_level)
    inside = shares(pit, levels, "central", weight)
    return CoverageCurve(levels, inside, low, high, confidence_level, len(pit))


def pit_histogram(
    pit: ArrayLike,
    *,
    n_bins: int = 10,
    n_calibration: object = None,
    confidence_level: float = 0.95,
    sample_weight: ArrayLike = None,
) -> PitHistogram:
    """Count probability integral transforms in bins, and say what chance shows.

    Parameters
    ----------
    pit : array-like of shape (n_samples,)
        In [0, 1], such as `PredictiveDistribution.pit` and `quantile_pit` return.
    n_bins : int >= 1, default=10
        Number of bins.
    n_calibration : int >= 1, fitted conformal predictor or None, default=None
        As for `pit_uniformity`.
    confidence_level : float in (0, 1), default=0.95
        Of the range of chance, which is pointwise.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    histogram : PitHistogram

    Raises
    ------
    ValueError
        For empty input, NaN, values outside [0, 1], or an option out of range.

    See Also
    --------
    PITDisplay : Draws the histogram.
    pit_uniformity : The test.

    Notes
    -----
    A hump in the middle means that distributions are too wide, two horns that they are too sharp, a
    slope that they are biased. The count of a bin is binomial with the share 1 / `n_bins`; values
    of one calibration set of m samples share its error, which multiplies the variance by 1 + n / m.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui, A. E. Raftery. Probabilistic forecasts, calibration and
       sharpness. JRSS B 69, 2007. doi:10.1111/j.1467-9868.2007.00587.x

    Examples
    --------
    >>> from calib.evaluation import pit_histogram
    >>> pit_histogram([0.1, 0.2, 0.4, 0.9], n_bins=2).density
    array([1.5, 0.5])
    """
    values = number_vector(pit, "pit")
    if values.min() < -RANGE_TOLERANCE or values.max() > 1 + RANGE_TOLERANCE:
        raise ValueError(
            f"pit must lie in [0, 1]; got values from {values.min():.6g} to {values.max():.6g}"
            f"{percent_hint(values)}"
        )
    n_bins = check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_fraction("confidence_level", confidence_level)
    weight = check_weight(sample_weight, len(values))
    cells = np.clip((values * n_bins).astype(np.intp), 0, n_bins - 1)
    mass = np.bincount(cells, weight, n_bins)
    size = _size(len(values), calibration_count(n_calibration), weight)
    low, high = binomial_range(np.array([1.0 / n_bins]), size, confidence_level)
    return PitHistogram(
        np.linspace(0.0, 1.0, n_bins + 1),
        n_bins * mass / mass.sum(),
        float(n_bins * low[0]),
        float(n_bins * high[0]),
        confidence_level,
        len(values),
    )


def binomial_range(
    share: Float64Array, size: float, confidence_level: float
) -> tuple[Float64Array, Float64Array]:
    """Return the ends of what chance shows of shares of so many independent samples."""
    from scipy.stats import binom

    tail = (1.0 - confidence_level) / 2.0
    n = max(1, round(size))
    low, high = (binom.ppf(level, n, share) / n for level in (tail, 1.0 - tail))
    return low, high


def _size(n: int, n_calibration: int | None, weight: Float64Array | None) -> float:
    """Return how many independent samples would be as informative."""
    size = n if weight is None else float(weight.sum()) ** 2 / float(weight @ weight)
    return size if n_calibration is None else size * n_calibration / (size + n_calibration)
