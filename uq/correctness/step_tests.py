"""p-values of "the risk exceeds the target" at every threshold of rows of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.stats import beta, binom

from calib._border.typing import Float64Array, IntArray
from uq.correctness.step_rows import StepRows

#: From places of levels and a target to p-values.
RiskTest: TypeAlias = Callable[[IntArray, float], Float64Array]

#: Share of the level that is spent on the range of the rate of changed answers.
NUISANCE_SHARE = 0.05
#: Places below its upper end at which the rate of changed answers is tried: the p-value grows with
#: the rate, but for the parity of the difference where nearly every answer changes.
RATES_TRIED = np.array([1.0, 0.975, 0.95, 0.5])
#: Tail of the number of rescued rows that counts as outside.
NEVER = 1e-12
#: Bets as shares of the largest one that cannot ruin: each is best at a variance of its own.
BETS = 2.0 ** -np.arange(0.5, 7.0)
#: Halvings of the range of the risk until the bound is found.
HALVINGS = 32


def risk_test(rows: StepRows, loss: Float64Array, *, excess: bool, level: float) -> RiskTest:
    """Return the test that fits the losses.

    Parameters
    ----------
    rows : StepRows
    loss : ndarray of shape (n_rows, n_steps)
        In [0, 1]; for the excess minus that of the last step, so in [-1, 1].
    excess : bool
    level : float in (0, 1)
        At which it is going to be used.
    """
    n_rows = len(loss)
    whole = bool((loss[rows.exists] == np.round(loss[rows.exists])).all())
    if whole and not excess:
        errors = np.round(rows.totals(loss))
        return lambda places, target: np.asarray(binom.cdf(errors[places], n_rows, target))
    if whole:
        harmed = np.round(rows.totals((loss > 0).astype(np.float64)))
        rescued = np.round(rows.totals((loss < 0).astype(np.float64)))
        return lambda places, target: _difference_p_values(
            harmed[places], rescued[places], n_rows, target, NUISANCE_SHARE * level
        )
    return lambda places, target: _betting_p_values(rows, loss, target)[places]


def upper_bound(test: RiskTest, place: int, risk: float, level: float) -> float:
    """Return the largest risk that the test at a level does not reject, from 0 to 1."""
    low, high = max(risk, 0.0), 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if float(test(np.array([place]), middle)[0]) <= level:
            high = middle
        else:
            low = middle
    return high


def _difference_p_values(
    harmed: Float64Array, rescued: Float64Array, n_rows: int, target: float, spent: float
) -> Float64Array:
    """Return p-values of "the rate of harmed minus that of rescued rows is at least `target`".

    Given the rate of changed rows the difference has a known law; the rate is tried over its
    confidence range at the level `spent` (Berger and Boos 1994).
    """
    pairs, inverse = np.unique(np.stack([harmed, rescued]), axis=1, return_inverse=True)
    changed, difference = pairs.sum(axis=0), pairs[0] - pairs[1]
    highest = np.where(
        changed < n_rows, beta.ppf(1 - spent, changed + 1, np.maximum(n_rows - changed, 1e-9)), 1.0
    )
    rate = np.maximum(highest[:, None] * RATES_TRIED, target)
    below = _difference_cdf(difference[:, None], n_rows, rate, target).max(axis=1)
    p_value = np.where(highest < target, 0.0, below) + spent
    return np.minimum(p_value, 1.0)[np.ravel(inverse)]


def _difference_cdf(
    difference: Float64Array, n_rows: int, rate: Float64Array, target: float
) -> Float64Array:
    """Return the probability of at most this many more harmed than rescued rows of `n_rows`."""
    saved, lost = (rate - target) / 2, (rate + target) / 2
    first = binom.ppf(NEVER, n_rows, saved).clip(min=0)
    width = int((binom.ppf(1 - NEVER, n_rows, saved) - first).max()) + 2
    number = np.minimum(first[..., None] + np.arange(width), n_rows + 1)  # of rescued rows
    rest = np.maximum(n_rows - number, 0)
    share = np.minimum(lost / np.maximum(1 - saved, NEVER), 1.0)[..., None]
    given = binom.cdf(np.minimum(difference[..., None] + number, rest), rest, share)
    return np.asarray((binom.pmf(number, n_rows, saved[..., None]) * given).sum(axis=-1))


def _betting_p_values(rows: StepRows, loss: Float64Array, target: float) -> Float64Array:
    """Return one over the capital won by betting on a risk below the target, at all levels.

    Without order among the rows: the mean of the capitals of constant bets, whose expectation is at
    most 1 whenever the risk is at least the target.
    """
    capitals = np.stack(
        [rows.totals(np.log1p(bet * (target - loss) / (1 - target))) for bet in BETS]
    )
    top = capitals.max(axis=0)
    mean = top + np.log(np.exp(capitals - top).mean(axis=0))
    return np.asarray(np.exp(-np.maximum(mean, 0.0)))
