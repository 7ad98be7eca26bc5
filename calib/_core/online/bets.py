"""Where on the scale probabilities are wrong: a bet in every bin against what is served there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calib._border.typing import Float64Array
from calib._core.binning import uniform_cells
from calib._core.online.experts import DELAY, LEAST

#: Rows after which bets change.
BLOCK = 100
#: How much of the gaps is remembered after so many rows: they are those of about 5,000 rows.
MEMORY = 0.98
#: Rows without a gap that a gap starts from.
START_ROWS = 20.0


@dataclass(eq=False)
class BinBets:
    """Wealth of bettors who say in their bin that events are as frequent as they were lately.

    One who started with 1 has `wealth`, if half of it is never bet and a little is moved between
    the two halves all the time. Where the null hypothesis is true that is a supermartingale.

    Attributes
    ----------
    tolerance : float
        How far served probabilities may be off.
    gaps, counts : ndarray of shape (n_bins,)
        Remembered sums of outcomes minus probabilities, and rows.
    wealth, peak : ndarray of shape (n_bins,)
        Logarithms: now, and the largest so far.
    idle : ndarray of shape (n_bins,)
        Share of the wealth that is not bet.
    rows, predicted, events : ndarray of shape (n_bins,)
        Number of rows, sum of probabilities, and of outcomes.
    open_proba, open_event : ndarray of shape (n_open,)
        Rows after which bets have not changed yet.
    """

    tolerance: float
    gaps: Float64Array
    counts: Float64Array
    wealth: Float64Array
    peak: Float64Array
    idle: Float64Array
    rows: Float64Array
    predicted: Float64Array
    events: Float64Array
    open_proba: Float64Array
    open_event: Float64Array

    @classmethod
    def new(cls, n_bins: int, tolerance: float) -> BinBets:
        """Return bettors before any row."""
        nothing, none = np.zeros(n_bins), np.empty(0)
        return cls(
            tolerance,
            gaps=nothing,
            counts=nothing,
            wealth=nothing,
            peak=nothing,
            idle=np.full(n_bins, 0.5),
            rows=nothing,
            predicted=nothing,
            events=nothing,
            open_proba=none,
            open_event=none,
        )

    def learn(self, proba: Float64Array, event: Float64Array) -> None:
        """Bet on rows in their order, both of shape (n_rows,)."""
        proba = np.concatenate([self.open_proba, proba])
        event = np.concatenate([self.open_event, event])
        last = len(proba) - len(proba) % BLOCK
        for start in range(0, last, BLOCK):
            rows = slice(start, start + BLOCK)
            self._bet(proba[rows], event[rows])
        self.open_proba, self.open_event = proba[last:].copy(), event[last:].copy()

    def now(self) -> BinBets:
        """Return what it comes to if bets changed now, with the rows that are open."""
        settled = replace(self)  # no array is ever written into
        if len(self.open_proba):
            settled._bet(self.open_proba, self.open_event)
        return settled

    def _bet(self, proba: Float64Array, event: Float64Array) -> None:
        size = len(self.gaps)
        place = uniform_cells(proba, size)
        offset = self.gaps / (self.counts + START_ROWS)
        q = np.clip(proba + offset[place], LEAST, 1.0 - LEAST)
        gain = log_ratio(np.abs(q - (1.0 - event)), q, proba, event, self.tolerance)
        with np.errstate(divide="ignore"):
            won = np.log1p(-self.idle) + np.bincount(place, gain, size)
            rest = np.log(self.idle)
        total = np.logaddexp(rest, won)
        idle = np.exp(rest - total)
        self.wealth = self.wealth + total
        self.peak = np.maximum(self.peak, self.wealth)
        count = np.bincount(place, None, size)
        share = count / (self.rows + count + DELAY - 1.0)
        self.idle = (1.0 - share) * idle + 0.5 * share
        gap = np.bincount(place, event - proba, size)
        self.gaps, self.counts = MEMORY * self.gaps + gap, MEMORY * self.counts + count
        self.rows = self.rows + count
        self.predicted = self.predicted + np.bincount(place, proba, size)
        self.events = self.events + np.bincount(place, event, size)


def log_ratio(
    likelihood: Float64Array,
    forecast: Float64Array,
    proba: Float64Array,
    event: Float64Array,
    tolerance: float,
) -> Float64Array:
    """Return the logarithm of what a bet on the forecast pays.

    Against the probability within the tolerance of the served one that is nearest to the forecast.
    It is infinite where the served ones exclude what came.

    Parameters
    ----------
    likelihood, forecast : ndarray of shape (n_rows,)
        What was bet on the outcome, and on the event.
    proba, event : ndarray of shape (n_rows,)
        Served probabilities, and outcomes (0 or 1).
    tolerance : float
        How far served probabilities may be off.
    """
    nearest = proba
    if tolerance:
        nearest = np.minimum(np.maximum(forecast, proba - tolerance), proba + tolerance)
    with np.errstate(divide="ignore"):
        price = np.log(np.where(event > 0, nearest, 1.0 - nearest))
    return np.asarray(np.log(likelihood) - price)
