"""Intervals from draws: of means, of errors that chance alone keeps above 0, and of the rest.

*Means.* From the moments of the losses, corrected for their skewness; the same for samples, groups
and streams, whose units enter by the sums of their weighted deviations, of the squares and of the
cubes. P. Hall. On the Removal of Skewness by Transformation. JRSS B 1992.

*Errors.* By inversion of their law. A calibration error of a sample is too large: chance adds to
it, the more the smaller the true error is. Which true errors would show the observed value? The
gaps of the bins are let be ``t`` times the estimated ones, the noise of every ``t`` is added, and
the mean and the quantiles of the error shown are read off. The value is the true error whose mean
equals the observed error; the ends are those whose quantiles do.

A largest partial sum needs more care above the estimate. A sample that shows too little shows it
because noise has lowered the peak, and other places then look like peaks too; multiples of such
sums would add more to the error than the truth does, and the upper end came out too low. There the
sums of a larger truth are the likeliest ones that have it: the estimated ones plus their regression
on the noise at the peak. (Resampling from the likeliest truth of every value: C.-S. Chuang,
T. L. Lai. Hybrid resampling methods for confidence intervals. Statistica Sinica 10, 2000.)

*The rest.* Percentiles, their reflection, or a double bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib.evaluation.sampling.draws import drawn_units

#: What `uq` summarises its draws with, too.
__all__ = ["summarized"]

#: How much wider the draws spread than for known gaps, because the shape of the gaps is estimated.
SHAPE_SPREAD = 1.08
#: Bins over which gaps are smoothed: the standard deviation of a Gaussian.
NEIGHBOURS = 1.0
#: Multiples of the observed error at which the law is evaluated.
_MULTIPLES = np.array(
    [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3.5, 6]
)


@dataclass(frozen=True)
class Interval:
    """A number and how far chance moves it.

    Attributes
    ----------
    value : float
        The number that the interval holds. Of an error that chance alone keeps above 0, what is
        left without the part of chance; else the metric of the sample. For `consistency_interval`
        the mean of the replicates.
    low, high : float
        Ends of the interval.
    confidence_level : float in (0, 1)
        Nominal probability of the interval.
    mean, median, standard_deviation : float
        Of the replicates. For a bootstrap, ``mean - value`` estimates the bias of the metric.
    n_resamples : int
        Number of replicates.
    usual : float
        The metric of the sample as papers print it (the plug-in value).
    floor, floor_low, floor_high : float
        What a calibrated model would show: mean and range. NaN where it is not known.
    """

    value: float
    low: float
    high: float
    confidence_level: float
    mean: float
    median: float
    standard_deviation: float
    n_resamples: int
    usual: float = math.nan
    floor: float = math.nan
    floor_low: float = math.nan
    floor_high: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.usual):
            object.__setattr__(self, "usual", self.value)

    def __contains__(self, number: float) -> bool:
        """Return whether a number lies in the closed interval."""
        return self.low <= number <= self.high

    def __str__(self) -> str:
        """Return the number and its interval, with the digits that its width asks for."""
        width = self.high - self.low
        if not math.isfinite(width) or width <= 0:
            return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"
        digits = max(0, 1 - math.floor(math.log10(width)))
        value, low, high = (f"{x:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


def interval_of(
    value: float,
    replicates: Float64Array,
    confidence_level: float,
    *,
    reflect: bool,
    bounds: tuple[float, float],
) -> Interval:
    """Return the percentile interval, or the reflected (basic) one within `bounds`.

    It is stretched to hold the value where the draws lie on one side of it.
    """
    tail = (1 - confidence_level) / 2
    low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
    if reflect:
        low, high = 2 * value - high, 2 * value - low
        low, high = (float(np.clip(end, *bounds)) for end in (low, high))
    low, high = min(low, value), max(high, value)
    return summarized(value, low, high, confidence_level, replicates)


def summarized(
    value: float, low: float, high: float, confidence_level: float, replicates: LabelArray
) -> Interval:
    """Return an interval with the summary of its replicates.

    Parameters
    ----------
    value, low, high : float
    confidence_level : float
        In (0, 1).
    replicates : ndarray of shape (n_resamples,)

    Returns
    -------
    interval : Interval
    """
    return Interval(
        value=value,
        low=float(low),
        high=float(high),
        confidence_level=confidence_level,
        mean=float(np.mean(replicates)),
        median=float(np.median(replicates)),
        standard_deviation=float(np.std(replicates, ddof=1)),
        n_resamples=len(replicates),
    )


def centred_interval(
    value: float,
    value_of: Callable[[IntArray], float],
    n_units: int,
    n_resamples: int,
    confidence_level: float,
    rng: np.random.Generator,
) -> Interval:
    """Return the double bootstrap interval with the value that stands in its middle.

    That is the value of the sample, unless the draws show a bias beyond their own noise.
    """
    interval = double_interval(value, value_of, n_units, n_resamples, confidence_level, rng)
    error = interval.standard_deviation / n_resamples**0.5
    if abs(interval.mean - value) <= 3.0 * error:
        shift = interval.mean - value  # of the draws alone
        return replace(interval, low=interval.low + shift, high=interval.high + shift)
    return replace(interval, value=2.0 * value - interval.mean, usual=value)


def double_interval(
    value: float,
    value_of: Callable[[IntArray], float],
    n_units: int,
    n_resamples: int,
    confidence_level: float,
    rng: np.random.Generator,
) -> Interval:
    """Return the normal interval about the bias-corrected value, with the variance of that value.

    Of the second draws only covariances with the first are used, so one each is enough.
    """
    from scipy.special import ndtri

    first, second = np.empty((2, n_resamples))
    for replicate in range(n_resamples):
        units = drawn_units(n_units, rng)
        first[replicate] = value_of(units)
        second[replicate] = value_of(units[drawn_units(n_units, rng)])
    known = ~np.isnan(first + second)  # draws with nothing to measure are left out
    first, second = first[known], second[known]
    if np.isnan(value) or len(first) < 2:
        return Interval(value, *(np.nan,) * 2, confidence_level, *(np.nan,) * 3, len(first))
    centre = 2.0 * value - float(first.mean())
    variance = float(first.var(ddof=1))
    correction = -2.0 * float(np.cov(first, second - first)[0, 1])
    reach = float(ndtri(0.5 + 0.5 * confidence_level)) * np.sqrt(variance + max(correction, 0.0))
    return summarized(value, centre - reach, centre + reach, confidence_level, first)


# ------------------------------------------------------------------------------------------- means


class Moments(NamedTuple):
    """A weighted mean with what its sampling error needs.

    Attributes
    ----------
    mean : float
    square, cube : float
        Sums over units of the squared and cubed ``w (x - mean) / sum(w)``.
    n_units : float
        Number of units.
    size : float
        Number of units of equal weight that would be as informative.
    """

    mean: float
    square: float
    cube: float
    n_units: float
    size: float


def moments_of(
    values: Float64Array, weight: Float64Array | None, groups: IntArray | None
) -> Moments:
    """Return the moments of a weighted mean of independent samples, or groups of them."""
    w = np.ones(len(values)) if weight is None else weight
    total = float(w.sum())
    mean = float(w @ values) / total
    deviation = w * (values - mean) / total
    if groups is not None:
        deviation, w = (np.bincount(groups, part).astype(np.float64) for part in (deviation, w))
    return Moments(
        mean,
        float(np.einsum("i,i->", deviation, deviation)),
        float(np.einsum("i,i,i->", deviation, deviation, deviation)),
        len(deviation),
        total**2 / float(w @ w),
    )


def mean_ends(
    moments: Moments, confidence_level: float, bounds: tuple[float, float], *, share: bool = False
) -> tuple[float, float]:
    """Return the ends of the interval of a mean.

    Parameters
    ----------
    moments : Moments
    confidence_level : float in (0, 1)
    bounds : tuple of float
        What the mean can be; ends beyond are moved there.
    share : bool, default=False
        Whether the values are 0 or 1; then Wilson's interval with the number of independent samples
        that has the observed variance.
    """
    from scipy.special import stdtrit

    mean, n = moments.mean, moments.n_units
    tail = (1.0 - confidence_level) / 2.0
    reach = float(-stdtrit(n - 1.0, tail))
    variance = max(moments.square, 0.0) * n / (n - 1.0)
    if share:
        p = min(max(mean, 0.0), 1.0)
        size = p * (1.0 - p) / variance if variance > 0.0 and 0.0 < p < 1.0 else moments.size
        factor = reach**2 / size
        centre = (p + factor / 2.0) / (1.0 + factor)
        half = np.sqrt(factor * p * (1.0 - p) + factor**2 / 4.0) / (1.0 + factor)
        ends = centre - half, centre + half
    else:
        skew = moments.cube / moments.square**1.5 if moments.square > 0.0 else 0.0
        far, near = (_unskewed(z, skew) for z in (reach, -reach))
        ends = mean - np.sqrt(variance) * far, mean - np.sqrt(variance) * near
    low, high = (float(min(max(end, bounds[0]), bounds[1])) for end in ends)
    return min(low, mean), max(high, mean)


def _unskewed(z: float, skew: float) -> float:
    """Return the quantile of a studentised mean whose values have this skewness (over root n)."""
    if abs(skew) < 1e-6:
        return z
    return float(3.0 / skew * (np.cbrt(1.0 + skew * (z - skew / 6.0)) - 1.0))


# ------------------------------------------------------------------------------------------ errors


class GapLaw(NamedTuple):
    """The noise of gaps or of their partial sums, and how an error is made of them.

    Attributes
    ----------
    direction : ndarray of shape (n_gaps,)
        Estimated gaps; without `excess` only their proportions count.
    calibrated, resampled : ndarray of shape (n_resamples, n_gaps)
        Noise with redrawn labels, and of the bootstrap about the observed gaps.
    norm : callable
        The errors of arrays of gaps, (n, n_gaps) to (n,); multiples of the gaps give multiples.
    excess : ndarray of shape (n_gaps,), default=None
        What a true error above that of `direction` adds to it, per unit of error. None: multiples.
    """

    direction: Float64Array
    calibrated: Float64Array
    resampled: Float64Array
    norm: Callable[[Float64Array], Float64Array]
    excess: Float64Array | None = None


class Inverted(NamedTuple):
    """The error without the part of chance, the ends of its interval, and what chance leaves.

    The `limit` is the largest value without the part of chance that chance explains.
    """

    value: float
    low: float
    high: float
    limit: float


def smooth_gaps(gap: Float64Array, weight: Float64Array) -> Float64Array:
    """Return gaps averaged with those of neighbouring bins, the last axis being the bins."""
    place = np.arange(gap.shape[-1])
    kernel = np.exp(-0.5 * ((place[:, None] - place) / NEIGHBOURS) ** 2)
    mass = weight @ kernel
    out = np.zeros_like(gap)
    np.divide((np.nan_to_num(gap) * weight) @ kernel, mass, out=out, where=mass > 0)
    return out


def absolute_sum(gaps: Float64Array) -> Float64Array:
    """Return sums of absolute gaps."""
    return np.asarray(np.abs(gaps).sum(axis=-1))


def positive_sum(gaps: Float64Array) -> Float64Array:
    """Return sums of the positive gaps."""
    return np.asarray(np.maximum(gaps, 0.0).sum(axis=-1))


def negative_sum(gaps: Float64Array) -> Float64Array:
    """Return sums of the negative gaps, without their sign."""
    return np.asarray(np.maximum(-gaps, 0.0).sum(axis=-1))


def largest(sums: Float64Array) -> Float64Array:
    """Return the largest absolute values."""
    return np.asarray(np.maximum(sums.max(axis=-1), -sums.min(axis=-1)))


def peak_law(gaps: Float64Array, calibrated: Float64Array, resampled: Float64Array) -> GapLaw:
    """Return the law of the largest absolute partial sum of gaps.

    Parameters
    ----------
    gaps : ndarray of shape (n_gaps,)
        Estimated gaps, smoothed.
    calibrated, resampled : ndarray of shape (n_resamples, n_gaps)
        Noise of the gaps, as of `GapLaw`.
    """
    sums, calibrated, resampled = (
        np.cumsum(part, axis=-1) for part in (gaps, calibrated, resampled)
    )
    peak = int(np.argmax(np.abs(sums)))
    noise = resampled[:, peak]
    square = float(noise @ noise)
    excess = None
    if square > 0.0 and sums[peak] != 0.0:
        excess = np.sign(sums[peak]) * np.clip(noise @ resampled / square, -1.0, 1.0)
    return GapLaw(sums, calibrated, resampled, largest, excess)


def invert(
    usual: float,
    calibrated: Float64Array,
    resampled: Float64Array,
    confidence_level: float,
    *,
    law: GapLaw | None = None,
    ceiling: float | None = None,
    bound: float = 1.0,
) -> Inverted:
    """Return the true errors that are compatible with the observed one.

    Parameters
    ----------
    usual : float
        The error of the sample.
    calibrated, resampled : ndarray of shape (n_resamples,)
        The same error with redrawn labels, and on bootstrap draws.
    confidence_level : float in (0, 1)
    law : GapLaw, default=None
        Noise of the gaps. None adds the floor in quadrature, with the spread of the draws.
    ceiling : float, default=None
        The largest error that counts as chance; the lower end is above 0 exactly if the observed
        error is above it. None takes the upper quantile of `calibrated`.
    bound : float, default=1
        The largest possible error.
    """
    tail = (1.0 - confidence_level) / 2.0
    errors, mean, low, high = (
        _quadrature(usual, calibrated, resampled, tail)
        if law is None
        else _scaled(usual, law, tail)
    )
    floor = float(mean[0])
    limit = float(high[0]) if ceiling is None else ceiling
    high[0] = min(limit, usual) if usual > limit else high[0]
    value = _crossing(errors, mean, usual)
    upper = _crossing(errors, low, max(usual, floor))
    lower = _crossing(errors, high, usual) if usual > limit else 0.0
    value, lower, upper = (min(end, bound) for end in (value, lower, upper))
    if usual > limit:  # a departure beyond chance is not compatible with 0
        lower = max(lower, float(np.nextafter(0.0, 1.0)))
    value = max(value, lower)
    explained = min(_crossing(errors, mean, limit), bound)
    return Inverted(
        value, lower, max(upper, value), min(explained, value) if usual > limit else explained
    )


def _scaled(
    usual: float, law: GapLaw, tail: float
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Return true errors, with the mean and both quantiles of the error shown."""
    direction, excess = law.direction, law.excess
    size = float(law.norm(direction[None])[0])
    if size <= 0.0:  # no gap of that sign: all alike
        direction = np.full_like(direction, 1.0)
        direction *= -1.0 if float(law.norm(direction[None])[0]) <= 0.0 else 1.0
        size = float(law.norm(direction[None])[0])
    if excess is None:
        excess = direction / size
    floor = float(law.norm(law.calibrated).mean())
    errors = _MULTIPLES * max(usual, floor, 1e-12)
    share = np.minimum(1.0, errors / max(usual, 1e-12))
    shown = np.empty((len(errors), len(law.calibrated)))
    for place, (error, part) in enumerate(zip(errors, share, strict=True)):
        noise = np.sqrt(1.0 - part) * law.calibrated
        if part > 0.0:
            noise += np.sqrt(part) * law.resampled
            noise += min(error / size, 1.0) * direction + max(error - size, 0.0) * excess
        shown[place] = law.norm(noise)
    mean, spread = shown.mean(axis=1), 1.0 + (SHAPE_SPREAD - 1.0) * share
    low, high = _ends(shown, tail)
    return errors, mean, mean + spread * (low - mean), mean + spread * (high - mean)


def _quadrature(
    usual: float, calibrated: Float64Array, resampled: Float64Array, tail: float
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Return the same from draws of the error alone: squares of error and floor add up."""
    floor, centre = float(calibrated.mean()), float(resampled.mean())
    below, above = np.abs(_ends(calibrated, tail) - floor)
    below_far, above_far = np.abs(_ends(resampled, tail) - centre)
    errors = _MULTIPLES * max(usual, floor, 1e-12)
    mean = np.hypot(errors, floor)
    share = np.minimum(1.0, errors / max(usual, 1e-12))
    spread = 1.0 + (SHAPE_SPREAD - 1.0) * share
    low = mean - spread * (below + share * (below_far - below))
    high = mean + spread * (above + share * (above_far - above))
    return errors, mean, low, high


def _ends(draws: Float64Array, tail: float) -> Float64Array:
    """Return both quantiles, at the level that the number of draws keeps exactly."""
    return np.asarray(np.quantile(draws, [tail, 1.0 - tail], axis=-1, method="weibull"))


def _crossing(errors: Float64Array, curve: Float64Array, level: float) -> float:
    """Return where an increasing curve reaches a level; 0 below its start."""
    rising = np.maximum.accumulate(curve)
    if level <= rising[0]:
        return 0.0
    if level >= rising[-1]:  # the curve has become a line of slope 1
        return float(errors[-1] + level - rising[-1])
    return float(np.interp(level, rising, errors))


def least_redraws(level: float) -> int:
    """Return how many redrawn samples it takes for any value to be beyond chance at a level.

    With fewer no p-value is as small as ``1 - level``: 19 at 0.95.
    """
    return int(np.ceil(level / (1.0 - level) - 1e-9))


def chance_ranges(
    calibrated: Float64Array, one_sided: LabelArray, level: float
) -> tuple[Float64Array, Float64Array]:
    """Return the ranges that all measures keep together, in a share `level` of redrawn samples.

    The distance of a measure from its median is counted in standard deviations of its side; the
    largest distance over all measures decides, so that there is one error rate however many there
    are.

    Parameters
    ----------
    calibrated : ndarray of shape (n_resamples, n_measures)
        Measures under redrawn labels, jointly.
    one_sided : ndarray of bool, shape (n_measures,)
        Measures of which only large values speak against calibration.
    level : float in (0, 1)

    Returns
    -------
    low, high : ndarray of shape (n_measures,)
        Without ends where there are fewer samples than `least_redraws`, which exclude nothing.
    """
    n_resamples = len(calibrated)
    if n_resamples < least_redraws(level):
        everything = np.full(len(one_sided), np.inf)
        return np.where(one_sided, 0.0, -everything), everything
    middle, up, down = _scales(calibrated)
    largest = np.sort(_distances(calibrated, one_sided, middle, up, down).max(axis=1))
    rank = min(n_resamples, int(np.ceil(level * (n_resamples + 1) - 1e-9)))
    reach = float(largest[rank - 1])
    low = middle - reach * down
    return np.where(one_sided, np.maximum(low, 0.0), low), middle + reach * up


def chance_p_values(
    calibrated: Float64Array, one_sided: LabelArray, values: Float64Array
) -> Float64Array:
    """Return how often any measure of redrawn samples is as far out as each value is.

    Parameters
    ----------
    calibrated, one_sided : ndarray
        As of `chance_ranges`, whose ranges hold exactly the values with large p-values.
    values : ndarray of shape (n_measures,)
        Measures of the sample.
    """
    scales = _scales(calibrated)
    largest = _distances(calibrated, one_sided, *scales).max(axis=1)
    observed = _distances(values[None], one_sided, *scales)[0]
    above = np.count_nonzero(largest[:, None] >= observed - 1e-12, axis=0)
    return np.asarray((1.0 + above) / (len(calibrated) + 1.0))


def _scales(calibrated: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return medians, and the standard deviations above and below them."""
    middle = np.median(calibrated, axis=0)
    away = calibrated - middle
    up, down = (
        np.sqrt(2.0 * np.mean(np.maximum(side, 0.0) ** 2, axis=0)) for side in (away, -away)
    )
    return middle, up, down


def _distances(
    values: Float64Array,
    one_sided: LabelArray,
    middle: Float64Array,
    up: Float64Array,
    down: Float64Array,
) -> Float64Array:
    """Return distances from the medians in standard deviations of the side."""
    away = values - middle
    distance = np.zeros_like(away)
    np.divide(away, up, out=distance, where=(away > 0) & (up > 0))
    below = (away < 0) & np.logical_not(one_sided)
    np.divide(-away, down, out=distance, where=below & (down > 0))
    distance[(away > 1e-12) & (up <= 0)] = np.inf  # redrawn samples all agree, this one does not
    distance[below & (away < -1e-12) & (down <= 0)] = np.inf
    return distance
