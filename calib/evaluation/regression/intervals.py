"""Quality of prediction intervals for numbers: coverage by side and by width, width, score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_fraction
from calib._border.labels import check_same_length, check_weight
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._border.validation import as_numbers, number_vector
from calib._border.warn import warn
from calib.warnings import DegenerateScoresWarning


@dataclass(frozen=True, eq=False)
class IntervalQuality:
    """Result of `interval_quality`.

    Attributes
    ----------
    confidence_level : float in (0, 1)
        Nominal coverage.
    n_samples : int
        Number of samples.
    coverage : float
        Share of labels inside the closed intervals.
    below, above : float
        Shares of labels under the lower and over the upper end; calibrated tails have
        ``(1 - confidence_level) / 2`` each.
    mean_width, median_width : float
        In units of y; infinite widths count, so the mean may be infinite.
    mean_score : float
        Mean interval score, see `interval_score`.
    n_infinite : int
        Number of intervals with an infinite end.
    tercile_coverage : ndarray of shape (3,)
        Coverage of the narrowest, middle and widest third; NaN for a third that ties leave empty.
        Differences tell that widths do not follow the difficulty of the sample.
    tercile_width : ndarray of shape (3,)
        Mean width of the thirds.
    tercile_size : ndarray of shape (3,)
        Number of samples of the thirds; equal widths stand together.
    """

    confidence_level: float
    n_samples: int
    coverage: float
    below: float
    above: float
    mean_width: float
    median_width: float
    mean_score: float
    n_infinite: int
    tercile_coverage: Float64Array
    tercile_width: Float64Array
    tercile_size: Float64Array

    def __str__(self) -> str:
        """Return the numbers as lines of text."""
        thirds = ", ".join(f"{value:.3f}" for value in self.tercile_coverage)
        return (
            f"coverage {self.coverage:.4f} at level {self.confidence_level:g} "
            f"(below {self.below:.4f}, above {self.above:.4f}; n = {self.n_samples})\n"
            f"width mean {self.mean_width:.4g}, median {self.median_width:.4g} "
            f"({self.n_infinite} infinite)\n"
            f"interval score {self.mean_score:.4g}\n"
            f"coverage of narrow, middle and wide thirds {thirds}"
        )


def interval_coverage(
    y_true: ArrayLike, low: ArrayLike, high: ArrayLike, *, sample_weight: ArrayLike = None
) -> float:
    """Compute the share of labels inside their intervals.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    low, high : array-like of shape (n_samples,)
        Ends of closed intervals, ``low <= high``; infinite ends allowed.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    coverage : float
        In [0, 1]; to be compared with the nominal level, neither lower nor higher is better.

    Raises
    ------
    ValueError
        For NaN, infinite labels, unequal lengths, or a lower end above the upper one.

    Notes
    -----
    Unbiased. Its standard error is ``sqrt(c (1 - c) / n)`` over new samples, on top of which the
    coverage of split conformal intervals varies with the calibration set.

    Examples
    --------
    >>> from calib.evaluation import interval_coverage
    >>> interval_coverage([1, 2, 3, 4], [0, 0, 3.5, 0], [1, 3, 5, 9])
    0.75
    """
    y, lower, upper, weight = _checked(y_true, low, high, sample_weight)
    return float(np.average((lower <= y) & (y <= upper), weights=weight))


def mean_interval_width(
    low: ArrayLike, high: ArrayLike, *, sample_weight: ArrayLike = None
) -> float:
    """Compute the mean width of intervals.

    Parameters
    ----------
    low, high : array-like of shape (n_samples,)
        Ends of the intervals, ``low <= high``; infinite ends allowed.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    width : float
        In units of the ends, >= 0, lower is better at equal coverage; ``inf`` if an interval of
        positive weight is infinite.

    Raises
    ------
    ValueError
        For NaN, unequal lengths, or a lower end above the upper one.

    Examples
    --------
    >>> from calib.evaluation import mean_interval_width
    >>> mean_interval_width([0, 1], [2, 5])
    3.0
    """
    lower, upper = _ends(low, high)
    weight = check_weight(sample_weight, len(lower))
    return _average(_width(lower, upper), weight)


def interval_score(
    y_true: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    confidence_level: float,
    sample_weight: ArrayLike = None,
) -> float:
    r"""Compute the mean interval score (Winkler score): width plus a fine for every miss.

    The number to compare interval methods by: a proper score for the central interval, so that
    neither too narrow nor too wide pays.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    low, high : array-like of shape (n_samples,)
        Ends of the intervals, ``low <= high``; infinite ends allowed.
    confidence_level : float in (0, 1)
        Nominal coverage of the intervals.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    score : float
        In units of y, >= 0, lower is better; infinite where an interval is.

    Raises
    ------
    ValueError
        For NaN, infinite labels, unequal lengths, a lower end above the upper one, or a level
        outside (0, 1).

    Notes
    -----
    With error rate :math:`\alpha` = 1 - `confidence_level`,
    :math:`(u - l) + \frac{2}{\alpha} (l - y)_+ + \frac{2}{\alpha} (y - u)_+`, which is
    :math:`2 / \alpha` times the sum of the pinball losses of both ends. Unbiased.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery. Strictly Proper Scoring Rules, Prediction, and Estimation.
       JASA 102, 2007. doi:10.1198/016214506000001437

    Examples
    --------
    >>> from calib.evaluation import interval_score
    >>> round(interval_score([1, 2, 6], [0, 0, 3], [1, 3, 5], confidence_level=0.9), 3)
    8.667
    """
    y, lower, upper, weight = _checked(y_true, low, high, sample_weight)
    level = check_fraction("confidence_level", confidence_level)
    return _average(_scores(y, lower, upper, level), weight)


def interval_quality(
    y_true: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    confidence_level: float,
    sample_weight: ArrayLike = None,
) -> IntervalQuality:
    """Measure prediction intervals: coverage by side and by width, width, interval score.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True values.
    low, high : array-like of shape (n_samples,)
        Ends of closed intervals, ``low <= high``; infinite ends allowed.
    confidence_level : float in (0, 1)
        Nominal coverage of the intervals.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row. Counts of
        the result are numbers of rows.

    Returns
    -------
    quality : IntervalQuality
        All numbers; ``print`` shows them.

    Raises
    ------
    ValueError
        As `interval_score`.

    Warns
    -----
    DegenerateScoresWarning
        If nearly all labels lie outside their intervals by many widths, as in another unit.

    Notes
    -----
    The thirds are cut at the two weighted tercile widths; intervals of the same width are never
    separated, so constant widths leave one third with everything. Coverage of a third has standard
    error ``sqrt(c (1 - c) / size)``. O(n log n).

    References
    ----------
    .. [1] A. N. Angelopoulos, S. Bates. Conformal Prediction: A Gentle Introduction. Foundations
       and Trends in Machine Learning 16, 2023. arXiv:2107.07511 (size-stratified coverage).

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import interval_quality
    >>> sd = np.repeat([1.0, 2.0, 4.0], 200)
    >>> y = sd * np.random.default_rng(0).normal(size=600)
    >>> print(interval_quality(y, -1.645 * sd, 1.645 * sd, confidence_level=0.9))
    coverage 0.9183 at level 0.9 (below 0.0383, above 0.0433; n = 600)
    width mean 7.677, median 6.58 (0 infinite)
    interval score 9.669
    coverage of narrow, middle and wide thirds 0.920, 0.925, 0.910
    """
    y, lower, upper, weight = _checked(y_true, low, high, sample_weight)
    level = check_fraction("confidence_level", confidence_level)
    width = _width(lower, upper)
    inside = (lower <= y) & (y <= upper)
    _warn_if_elsewhere(y, lower, upper, width, inside)
    mass = np.ones(len(y)) if weight is None else weight
    ordered = np.argsort(width, kind="stable")
    share = np.cumsum(mass[ordered]) / mass.sum()
    cuts = [width[ordered[np.searchsorted(share, k / 3 - 1e-12)]] for k in (1, 2)]
    third = np.searchsorted(cuts, width, side="left")
    members = [third == k for k in range(3)]
    known = [bool(mass[rows].sum() > 0) for rows in members]
    at_half = ordered[np.searchsorted(share, 0.5 - 1e-12)]
    median = float(np.median(width)) if weight is None else float(width[at_half])
    return IntervalQuality(
        confidence_level=level,
        n_samples=len(y),
        coverage=float(np.average(inside, weights=weight)),
        below=float(np.average(y < lower, weights=weight)),
        above=float(np.average(y > upper, weights=weight)),
        mean_width=_average(width, weight),
        median_width=median,
        mean_score=_average(_scores(y, lower, upper, level), weight),
        n_infinite=int(np.isinf(width).sum()),
        tercile_coverage=np.array(
            [
                np.average(inside[rows], weights=mass[rows]) if some else np.nan
                for rows, some in zip(members, known, strict=True)
            ]
        ),
        tercile_width=np.array(
            [
                _average(width[rows], mass[rows]) if some else np.nan
                for rows, some in zip(members, known, strict=True)
            ]
        ),
        tercile_size=np.array([rows.sum() for rows in members]),
    )


# ---------------------------------------------------------------------- private parts

#: Labels that many widths away from their intervals, in the middle, have another unit; and the
#: number of samples below which nothing is said.
FAR, FEWEST = 20.0, 20


def _warn_if_elsewhere(
    y: Float64Array,
    lower: Float64Array,
    upper: Float64Array,
    width: Float64Array,
    inside: LabelArray,
) -> None:
    """Warn about labels that lie far outside of nearly all their intervals."""
    if len(y) < FEWEST or inside.mean() > 0.1 or not np.isfinite(width).all():
        return
    with np.errstate(over="ignore"):
        away = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
    if float(np.median(away)) > FAR * float(np.median(width)):
        warn(
            f"{len(y) - int(inside.sum())} of {len(y)} labels lie outside their intervals, by "
            f"{np.median(away):.3g} in the middle, where intervals are {np.median(width):.3g} "
            f"wide: y_true and the ends may have different units, scales or rows",
            DegenerateScoresWarning,
        )


def _ends(low: ArrayLike, high: ArrayLike) -> tuple[Float64Array, Float64Array]:
    lower, upper = _end(low, "low"), _end(high, "high")
    check_same_length(len(lower), len(upper), "low", "high")
    if (lower > upper).any():
        row = int(np.argmax(lower > upper))
        raise ValueError(
            f"low is above high in row {row} ({lower[row]:.6g} > {upper[row]:.6g}); exchange the "
            f"ends or collapse empty intervals first"
        )
    return lower, upper


def _end(values: ArrayLike, name: str) -> Float64Array:
    array = as_numbers(to_numpy(read_array(values, name)), name)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} must have shape (n_samples,), n_samples >= 1; got {array.shape}")
    if np.isnan(array).any():
        raise ValueError(f"{name} contains NaN (row {int(np.argmax(np.isnan(array)))})")
    return array


def _checked(
    y_true: ArrayLike, low: ArrayLike, high: ArrayLike, sample_weight: ArrayLike
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array | None]:
    y = number_vector(y_true, "y_true")
    lower, upper = _ends(low, high)
    check_same_length(len(lower), len(y), "low", "y_true")
    return y, lower, upper, check_weight(sample_weight, len(y))


def _width(lower: Float64Array, upper: Float64Array) -> Float64Array:
    equal = lower == upper  # inf - inf is none
    with np.errstate(over="ignore"):
        width = np.subtract(upper, lower, where=~equal, out=np.zeros(len(lower)))
    return np.where(equal, 0.0, width)


def _scores(
    y: Float64Array, lower: Float64Array, upper: Float64Array, level: float
) -> Float64Array:
    with np.errstate(over="ignore"):
        fine = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
        return _width(lower, upper) + 2 / (1 - level) * fine


def _average(values: Float64Array, weight: Float64Array | None) -> float:
    """Average, leaving out weightless (possibly infinite) values."""
    with np.errstate(over="ignore"):
        if weight is None:
            return float(values.mean())
        kept = weight > 0
        return float(np.average(values[kept], weights=weight[kept]))
