"""Conformal quantiles: the order statistic that covers a new score, with and without weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_fraction, describe
from calib._border.labels import check_same_length
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import RANGE_TOLERANCE, number_matrix, percent_hint
from calib._border.warn import warn
from uq.warnings import SmallCalibrationSetWarning

#: Products of a level and a count this close (relatively) to an integer are that integer.
RANK_TOLERANCE = 1e-12


def check_levels(confidence_levels: ArrayLike) -> Float64Array:
    """Return a list of levels in (0, 1) as an array, in the order given."""
    array = to_numpy(read_array(confidence_levels, "confidence_levels"))
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"confidence_levels must be a list of at least one number in (0, 1); got "
            f"{describe(confidence_levels)}"
        )
    return np.array([check_fraction("confidence_levels", level) for level in array.tolist()])


def check_level(confidence_level: object, *, several: str | None = None) -> float:
    """Return a single level in (0, 1); `several` is the method that takes more of them."""
    if np.ndim(confidence_level):  # type: ignore[arg-type]
        hint = "" if several is None else f". For several levels call {several}"
        raise ValueError(
            f"confidence_level must be one number in (0, 1); got {describe(confidence_level)}{hint}"
        )
    return check_fraction("confidence_level", confidence_level)


def conformal_rank(n_samples: int, level: float) -> int:
    """Return ``ceil((n + 1) level)``, which exceeds n where no finite end exists.

    Levels are decimal fractions in binary: 0.9 times 10 has to be 9, 0.1 + 0.2 times 10 has to be
    3, whatever the last bit says.
    """
    return int(conformal_ranks(n_samples, np.asarray(level, dtype=np.float64)))


def conformal_ranks(n_samples: int | IntArray, levels: Float64Array) -> IntArray:
    """Return the `conformal_rank` of many levels, numbers of samples broadcasting against them."""
    product = (n_samples + 1) * levels
    nearest = np.rint(product)
    near = np.abs(product - nearest) <= RANK_TOLERANCE * (n_samples + 1)
    return np.where(near, np.maximum(nearest, 1), np.ceil(product)).astype(np.intp)


def samples_needed(level: float) -> int:
    """Return the smallest number of calibration samples with a finite end at `level`."""
    n = math.ceil(level / (1 - level) - 1)
    return next(k for k in range(max(n - 1, 1), n + 4) if conformal_rank(k, level) <= k)


def quantile_of_sorted(ordered: Float64Array, level: float) -> float:
    """Return the order statistic of ascending scores that covers a new one, or infinity."""
    rank = conformal_rank(len(ordered), level)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


def weighted_quantile(
    ordered: Float64Array, cumulative: Float64Array, new_weight: Float64Array, level: float
) -> Float64Array:
    """Return, for every new sample, the weighted quantile of ascending scores.

    Parameters
    ----------
    ordered : ndarray of shape (n_samples,)
        Scores, ascending.
    cumulative : ndarray of shape (n_samples,)
        Running sums of their weights.
    new_weight : ndarray of shape (n_new,)
        Weight of each new sample, which counts as an infinite score.
    level : float in (0, 1)
        Share of the weight to be covered.

    Returns
    -------
    quantile : ndarray of shape (n_new,)
        Smallest score below which (inclusive) a share `level` of all weight lies, or infinity.
    """
    total = cumulative[-1] + new_weight
    wanted = level * (1 - RANK_TOLERANCE) * total
    position = np.searchsorted(cumulative, wanted, side="left")
    extended = np.append(ordered, np.inf)
    return np.where(new_weight == np.inf, np.inf, extended[position])


def effective_size(weight: Float64Array) -> float:
    """Return ``(sum w)^2 / sum w^2``, the number of equal weights of the same precision."""
    scaled = weight / weight.max()
    return float(scaled.sum() ** 2 / (scaled * scaled).sum())


def report_small(text: str, small: str, advice: str, note: str = "") -> None:
    """Refuse (``small="raise"``) or warn of calibration samples that do not suffice."""
    if small == "raise":
        raise ValueError(f"{text}. {advice}")
    warn(text + note, SmallCalibrationSetWarning)


def join_passed(low: Float64Array, high: Float64Array) -> LabelArray:
    """Put ends that passed each other in their middle, in place, and return which did."""
    passed = low > high
    middle = 0.5 * low[passed] + 0.5 * high[passed]
    low[passed], high[passed] = middle, middle
    return passed


def in_words(levels: Sequence[float] | Float64Array) -> str:
    """Return levels as text."""
    return ", ".join(f"{level:g}" for level in levels)


#: A scaled likelihood ratio beyond this outweighs any calibration set.
HUGE_RATIO = 1e300


def conformal_quantile(scores: ArrayLike, confidence_level: float) -> float:
    """Return the threshold that a new exchangeable score stays below at the given level.

    Parameters
    ----------
    scores : array-like of shape (n_samples,)
        Finite nonconformity scores of the calibration samples.
    confidence_level : float
        Level in (0, 1).

    Returns
    -------
    threshold : float
        The k-th smallest score with ``k = ceil((n + 1) * confidence_level)``, ``inf`` for k > n.

    Raises
    ------
    ValueError
        For empty or non-finite scores, or a level outside (0, 1).

    Notes
    -----
    A new score is at most the threshold with probability in ``[level, level + 1 / (n + 1))``, the
    upper end without ties. O(n).

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", Springer 2005.

    Examples
    --------
    >>> from uq import conformal_quantile
    >>> scores = [0.1, 0.2, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95]
    >>> [conformal_quantile(scores, level) for level in (0.9, 0.8, 0.95)]
    [0.95, 0.9, inf]
    """
    values = score_vector(scores, "scores")
    level = check_fraction("confidence_level", confidence_level)
    return quantile_of_sorted(np.sort(values), level)


def weighted_conformal_quantile(
    scores: ArrayLike,
    confidence_level: float,
    *,
    calibration_ratio: ArrayLike,
    test_ratio: ArrayLike,
) -> Float64Array:
    """Return the threshold of every test sample under a known covariate shift.

    Parameters
    ----------
    scores : array-like of shape (n_samples,)
        Finite nonconformity scores of the calibration samples.
    confidence_level : float
        Level in (0, 1).
    calibration_ratio : array-like of shape (n_samples,)
        Likelihood ratios dP_test / dP_calibration at the calibration samples, >= 0, up to a common
        factor.
    test_ratio : array-like of shape (n_test,)
        The same at the test samples, with the same factor.

    Returns
    -------
    thresholds : ndarray of shape (n_test,)
        Smallest score at which the weight of the scores up to it reaches the level; ``inf`` where
        the test sample itself holds more than ``1 - confidence_level`` of the weight.

    Raises
    ------
    ValueError
        For non-finite input, negative ratios, calibration ratios that are all zero, unequal
        lengths, or a level outside (0, 1).

    Notes
    -----
    Coverage holds at the level if the ratios are the true ones; estimated ratios make it
    approximate. One sort, then O(log n) per test sample.

    References
    ----------
    R. J. Tibshirani, R. Foygel Barber, E. J. Candès, A. Ramdas, "Conformal Prediction Under
    Covariate Shift", NeurIPS 2019, arXiv 1904.06019.

    Examples
    --------
    >>> from uq import weighted_conformal_quantile
    >>> weighted_conformal_quantile([1, 2, 3, 4, 5], 0.9, calibration_ratio=[1, 1, 2, 4, 2],
    ...                             test_ratio=[0.5, 2])
    array([ 5., inf])
    """
    values = score_vector(scores, "scores")
    level = check_fraction("confidence_level", confidence_level)
    weight, scale = scaled_calibration_ratio(calibration_ratio, len(values), "calibration_ratio")
    new_weight = scaled_test_ratio(test_ratio, None, scale, "test_ratio")
    order = np.argsort(values, kind="stable")
    return weighted_quantile(values[order], np.cumsum(weight[order]), new_weight, level)


def effective_sample_size(weight: ArrayLike) -> float:
    """Return how many equal weights carry as much information as these: (sum w)^2 / sum w^2.

    Parameters
    ----------
    weight : array-like of shape (n_samples,)
        Non-negative weights, not all zero.

    Returns
    -------
    size : float
        From 1 to n_samples.

    Raises
    ------
    ValueError
        For empty, negative or non-finite weights, or weights that are all zero.

    References
    ----------
    L. Kish, "Survey Sampling", Wiley 1965.

    Examples
    --------
    >>> from uq import effective_sample_size
    >>> effective_sample_size([1, 1, 0, 0])
    2.0
    """
    scaled, _ = scaled_calibration_ratio(weight, None, "weight")
    return effective_size(scaled)


# ---------------------------------------------------------------------- checks


def check_unit_range(values: Float64Array, name: str, hint: str = "") -> None:
    """Raise for values outside [0, 1]."""
    if values.min() < -RANGE_TOLERANCE or values.max() > 1 + RANGE_TOLERANCE:
        raise ValueError(
            f"{name} has values outside [0, 1] (min={values.min():.6g}, max={values.max():.6g})"
            f"{hint}{percent_hint(values)}"
        )


def score_vector(scores: ArrayLike, name: str) -> Float64Array:
    """Return finite scores as a float64 vector."""
    matrix = number_matrix(scores, name)
    if matrix.shape[1] != 1:
        raise ValueError(
            f"{name} must be one-dimensional, one score per sample; got {matrix.shape}"
        )
    return matrix[:, 0]


def ratio_vector(ratio: ArrayLike, n_samples: int | None, name: str) -> Float64Array:
    """Return likelihood ratios, finite and >= 0, one per sample."""
    values = score_vector(read_array(ratio, name), name)
    if n_samples is not None:
        check_same_length(n_samples, len(values), "X", name)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise ValueError(f"{name} must be >= 0; got {values[row]} in row {row}")
    return values


def scaled_calibration_ratio(
    ratio: ArrayLike, n_samples: int | None, name: str
) -> tuple[Float64Array, float]:
    """Return ratios with maximum 1 and the factor they were divided by."""
    values = ratio_vector(ratio, n_samples, name)
    scale = float(values.max())
    if scale == 0:
        raise ValueError(
            f"{name} is zero for every calibration sample: nothing is known about where the test "
            f"samples lie; at least one must be positive"
        )
    return values / scale, scale


def scaled_test_ratio(
    ratio: ArrayLike, n_samples: int | None, scale: float, name: str
) -> Float64Array:
    """Return test ratios in units of the largest calibration ratio, finite."""
    values = ratio_vector(ratio, n_samples, name)
    with np.errstate(over="ignore"):
        return np.minimum(values / scale, HUGE_RATIO)
