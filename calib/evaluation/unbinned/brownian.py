"""Laws of the largest excursion and of the range of Brownian motion on [0, 1]."""

from __future__ import annotations

import numpy as np

#: Below it the chance that the largest excursion stays smaller is under 1e-53.
SMALL_EXCURSION = 0.1
#: Below it the chance that the range stays smaller is under 1e-20.
SMALL_RANGE = 0.3
#: Terms beyond this many standard deviations do not count in float64.
TAIL = 40.0


def excursion_tail(x: float) -> float:
    """Return the probability that ``max |W(t)|`` exceeds `x`.

    It is also the law of the largest drawdown ``max_{s<t} W(s) - W(t)``, by Levy's theorem.
    """
    from scipy.special import ndtr

    if x < SMALL_EXCURSION:
        return 1.0
    if x == np.inf:
        return 0.0
    if x < 1:
        odd = 2 * np.arange(20) + 1
        sign = np.where(np.arange(20) % 2, -1.0, 1.0)
        return float(1 - 4 / np.pi * np.sum(sign / odd * np.exp(-((odd * np.pi / x) ** 2) / 8)))
    k = np.arange(int(TAIL / x) + 2)
    sign = np.where(k % 2, -1.0, 1.0)
    return float(4 * np.sum(sign * ndtr(-(2 * k + 1) * x)))


def range_tail(x: float) -> float:
    """Return the probability that ``max W(t) - min W(t)`` exceeds `x`."""
    from scipy.special import ndtr

    if x < SMALL_RANGE:
        return 1.0
    if x == np.inf:
        return 0.0
    k = np.arange(1, int(TAIL / x) + 2)
    sign = np.where(k % 2, 1.0, -1.0)
    return float(min(1.0, 8 * np.sum(sign * k * ndtr(-k * x))))


def excursion_quantile(confidence_level: float) -> float:
    """Return the `x` that ``max |W(t)|`` stays below with the given probability."""
    from scipy.optimize import brentq

    return float(
        brentq(lambda x: excursion_tail(x) - (1 - confidence_level), 1e-3, TAIL, xtol=1e-12)
    )
