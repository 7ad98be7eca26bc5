"""The interval of a mean of losses from three sums, corrected for their skewness.

The same for samples, groups and streams: units enter by the sums of their weighted deviations, of
the squares and of the cubes. P. Hall. On the Removal of Skewness by Transformation. JRSS B 1992.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray


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
