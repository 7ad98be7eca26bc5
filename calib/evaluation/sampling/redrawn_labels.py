"""Laws that are simulated: labels are redrawn from the predictions.

The observed statistic and those of N replicates are exchangeable if predictions are calibrated, so
``(1 + number as large) / (N + 1)`` is an exact p-value at any sample size, for any weights and any
ties. Beside them stands the rule that says where a normal law does instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from calib._border.typing import Float64Array

#: Largest Lyapunov ratio of a sum whose normal law is relied on: about 1 / sqrt(events in doubt),
#: so that 16 events (or non-events) are expected.
LARGEST_RATIO = 0.25
#: Redrawn events held at a time (4 MB).
BLOCK_EVENTS = 1 << 19
#: Digits after which rounding, and not the data, would order two statistics.
DIGITS = 12

#: What the law of redrawn labels is called beside a p-value.
REDRAWN, REDRAWN_BY_GROUP = "redrawn labels", "labels redrawn by group"

#: ``statistic(events)`` of events of shape (n_replicates, n_samples).
Statistic: TypeAlias = Callable[[Float64Array], Float64Array]
#: ``draw(replicates)`` returns numbers in [0, 1), shape (n_replicates, n_samples).
Draw: TypeAlias = Callable[[slice], Float64Array]


class Outcome(NamedTuple):
    """What a test found."""

    statistic: float
    p_value: float
    law: str
    estimates: dict[str, float]
    note: str = ""


def sum_is_normal(coefficient: Float64Array, p: Float64Array) -> bool:
    """Return whether ``sum c (y - p)`` is near enough to normal: by its Lyapunov ratio.

    ``sum |c|^3 E|y - p|^3 / (sum c^2 p (1 - p))^(3/2)``, which is about ``1 / sqrt(n p)`` for rare
    events of equal weight and 0 for sums that do not vary.
    """
    largest = float(np.abs(coefficient).max())
    if largest == 0:
        return True
    c, variance = np.abs(coefficient) / largest, p * (1.0 - p)
    total = float(np.sum(c**2 * variance))
    third = float(np.sum(c**3 * variance * (p**2 + (1.0 - p) ** 2)))
    return bool(third <= LARGEST_RATIO * total**1.5)


def redrawn_statistics(
    p: Float64Array,
    y: Float64Array,
    statistics: Mapping[str, Statistic],
    *,
    n_resamples: int,
    draw: Draw,
) -> dict[str, Float64Array]:
    """Return statistics of the events (row 0) and of redrawn ones.

    Parameters
    ----------
    p, y : ndarray of shape (n_samples,)
        Probabilities of an event, and the events as 0 or 1.
    statistics : dict of str to callable
        Each takes events of shape (n_replicates, n_samples).
    n_resamples : int
    draw : callable
        Source of the redrawn events.
    """
    parts = {name: [statistic(y[None, :])] for name, statistic in statistics.items()}
    step = max(1, BLOCK_EVENTS // len(p))
    for start in range(0, n_resamples, step):
        events = (draw(slice(start, min(start + step, n_resamples))) < p).astype(np.float64)
        for name, statistic in statistics.items():
            parts[name].append(statistic(events))
    return {name: np.concatenate(values) for name, values in parts.items()}


def share_as_large(statistics: Float64Array) -> float:
    """Return the share of statistics that are at least the first; ones alike but for rounding are.

    Statistics are rounded in units of the largest, so that the scale of weights does not matter.
    """
    if np.isposinf(statistics[0]):
        return 0.0  # something impossible has happened
    largest = float(np.abs(statistics[np.isfinite(statistics)]).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        rounded = np.round(statistics / largest, DIGITS) if largest > 0 else statistics
    return float(np.mean(rounded >= rounded[0]))


def blind(name: str, statistics: Float64Array) -> str:
    """Return a note if no redrawn label changes what a test looks at."""
    constant = bool((statistics == statistics[0]).all())
    return f"{name} cannot tell: no redrawn label changes its statistic" if constant else ""
