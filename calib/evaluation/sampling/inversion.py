"""The interval of an error that chance alone keeps above 0, by inversion of its law.

A calibration error of a sample is too large: chance adds to it, the more the smaller the true error
is. Which true errors would show the observed value? The gaps of the bins are let be ``t`` times the
estimated ones, the noise of every ``t`` is added, and the mean and the quantiles of the error shown
are read off. The value is the true error whose mean equals the observed error; the ends are those
whose quantiles do.

A largest partial sum needs more care above the estimate. A sample that shows too little shows it
because noise has lowered the peak, and other places then look like peaks too; multiples of such
sums would add more to the error than the truth does, and the upper end came out too low. There the
sums of a larger truth are the likeliest ones that have it: the estimated ones plus their regression
on the noise at the peak. (Resampling from the likeliest truth of every value: C.-S. Chuang,
T. L. Lai. Hybrid resampling methods for confidence intervals. Statistica Sinica 10, 2000.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, LabelArray

#: How much wider the draws spread than for known gaps, because the shape of the gaps is estimated.
SHAPE_SPREAD = 1.08
#: Bins over which gaps are smoothed: the standard deviation of a Gaussian.
NEIGHBOURS = 1.0
#: Multiples of the observed error at which the law is evaluated.
_MULTIPLES = np.array(
    [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3.5, 6]
)


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
    """The error without the part of chance, and the ends of its interval."""

    value: float
    low: float
    high: float


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
    return Inverted(value, lower, max(upper, value))


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
    quantiles = np.empty((3, len(errors)))
    for place, error in enumerate(errors):
        share = min(1.0, error / max(usual, 1e-12))
        noise = np.sqrt(1.0 - share) * law.calibrated
        if share > 0.0:
            noise += np.sqrt(share) * law.resampled
            noise += min(error / size, 1.0) * direction + max(error - size, 0.0) * excess
        shown = law.norm(noise)
        mean = float(shown.mean())
        ends = _ends(shown, tail)
        spread = 1.0 + (SHAPE_SPREAD - 1.0) * share
        quantiles[:, place] = (
            mean,
            mean + spread * (ends[0] - mean),
            mean + spread * (ends[1] - mean),
        )
    return errors, *quantiles


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
    return np.asarray(np.quantile(draws, [tail, 1.0 - tail], method="weibull"))


def _crossing(errors: Float64Array, curve: Float64Array, level: float) -> float:
    """Return where an increasing curve reaches a level; 0 below its start."""
    rising = np.maximum.accumulate(curve)
    if level <= rising[0]:
        return 0.0
    if level >= rising[-1]:  # the curve has become a line of slope 1
        return float(errors[-1] + level - rising[-1])
    return float(np.interp(level, rising, errors))


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
    """
    n_resamples = len(calibrated)
    middle = np.median(calibrated, axis=0)
    away = calibrated - middle
    up, down = (
        np.sqrt(2.0 * np.mean(np.maximum(side, 0.0) ** 2, axis=0)) for side in (away, -away)
    )
    distance = np.zeros_like(away)
    np.divide(away, up, out=distance, where=(away > 0) & (up > 0))
    np.divide(-away, down, out=distance, where=(away < 0) & (down > 0) & np.logical_not(one_sided))
    largest = np.sort(distance.max(axis=1))
    rank = min(n_resamples, int(np.ceil(level * (n_resamples + 1) - 1e-9)))
    reach = float(largest[rank - 1])
    low = middle - reach * down
    return np.where(one_sided, np.maximum(low, 0.0), low), middle + reach * up
