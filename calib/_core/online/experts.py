"""Online recalibration: a mixture of maps that are learnt while labels come in.

Probabilities are served by a map that stays as it is. Beside it three others learn from the rows
so far: a line of the log-odds, the same with forgetting, and an offset for every tenth of the
scale. The forecast is their mean, with weights by Bayes' rule of which a little is shared out again
all the time, so that a map that was useless until a break is not out of the game.

Maps change after every `BLOCK` rows and weights after every row, so that each forecast is fixed
before its label is seen, and whole blocks are calculated at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.binning import uniform_cells

#: Rows after which the maps change.
BLOCK = 20
#: Equal parts of the scale with an offset each.
N_OFFSETS = 10
#: Weights of the served map, the lines without and with forgetting, and the offsets: at the start,
#: and those with which weight is shared out. The second are for what follows a break, which the
#: line that forgets is the first to see.
START = np.array([0.85, 0.03, 0.07, 0.05])
SHARED = np.array([0.5, 0.01, 0.44, 0.05])
#: ``1 / (t + DELAY)`` of the weights is shared out after row t.
DELAY = 100
#: Precision of the prior of intercept and slope about 0 and 1 of the line without forgetting.
PRECISION = (10.0, 10.0)
#: Intercept and slope of the served map, and signs of the adjoint of a symmetric matrix of two.
AT_START = np.array([0.0, 1.0])
SIGNS = np.array([1.0, -1.0, 1.0])
#: Rows without a gap that an offset starts from.
OFFSET_ROWS = 10.0
#: Probabilities of what learns lie between this and its complement.
LEAST = 1e-6
LARGEST_ODDS = float(np.log((1.0 - LEAST) / LEAST))


@dataclass(eq=False)
class ExpertMixture:
    """State of the mixture for one stream or several of the same length.

    Attributes
    ----------
    forget : float
        Weight of a row for the line that forgets, after one more row; in (0, 1].
    prior : tuple of (float, float)
        Precision of its prior of intercept and slope about 0 and 1.
    lines : ndarray of shape (n_streams, 2, 2)
        Intercept and slope, in log-odds, of both lines.
    precision : ndarray of shape (n_streams, 2, 3)
        What is known of them: entries 00, 01 and 11 of the second derivative of the loss.
    gaps, counts : ndarray of shape (n_streams, N_OFFSETS)
        Sum of outcomes minus probabilities, and rows, in every tenth of the scale.
    weights : ndarray of shape (n_streams, 4)
        Of the maps, at the start of the open block.
    n_rows : int
        Rows in finished blocks.
    open_proba, open_event : ndarray of shape (n_streams, n_open)
        Rows of the block that is not full yet.
    """

    forget: float
    prior: tuple[float, float]
    lines: Float64Array
    precision: Float64Array
    gaps: Float64Array
    counts: Float64Array
    weights: Float64Array
    n_rows: int
    open_proba: Float64Array
    open_event: Float64Array
    _aged: dict[int, tuple[Float64Array, Float64Array, Float64Array]] = field(
        init=False, repr=False, default_factory=dict
    )

    @classmethod
    def new(cls, n_streams: int, forget: float, prior: tuple[float, float]) -> ExpertMixture:
        """Return the mixture before any row: all maps are the served one."""
        lines = np.tile(AT_START, (n_streams, 2, 1))
        precision = np.zeros((n_streams, 2, 3))
        precision[:, :, ::2] = PRECISION, prior
        gaps, counts = np.zeros((2, n_streams, N_OFFSETS))
        weights = np.tile(START, (n_streams, 1))
        none = np.empty((n_streams, 0))
        return cls(forget, prior, lines, precision, gaps, counts, weights, 0, none, none)

    def learn(self, proba: Float64Array, event: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Learn from rows in their order.

        Parameters
        ----------
        proba : ndarray of shape (n_streams, n_rows)
            Probabilities as they were served, in [0, 1].
        event : ndarray of shape (n_streams, n_rows)
            Outcomes, 0 or 1.

        Returns
        -------
        forecast, likelihood : ndarray of shape (n_streams, n_rows)
            Probability of the event in every row before its outcome, and of what came, which does
            not cancel where the first is nearly 1.
        """
        n_open = self.open_proba.shape[1]
        if n_open:  # their outcomes are known, and no forecast but those of later rows
            proba = np.concatenate([self.open_proba, proba], axis=1)
            event = np.concatenate([self.open_event, event], axis=1)
        n_rows = proba.shape[1]
        forecast, likelihood = np.empty((2, *proba.shape))
        odds, missed, tenth = odds_within(proba), 1.0 - event, tenths(proba)
        powers = np.stack([np.ones_like(odds), odds, odds * odds], axis=1)
        offset = np.arange(len(proba))[:, None] * N_OFFSETS
        for start in range(0, n_rows, BLOCK):
            rows = slice(start, min(start + BLOCK, n_rows))
            q = self._answers(proba[:, rows], odds[:, rows], tenth[:, rows] + offset)
            capital = np.empty((len(proba), 4, q.shape[2] + 1))
            capital[:, :, 0] = self.weights
            observed = np.subtract(q, missed[:, None, rows], out=capital[:, :, 1:])
            np.abs(observed, out=observed)
            np.multiply.accumulate(capital, axis=2, out=capital)
            total = np.add.reduce(capital, 1)
            before = total[:, :-1]
            np.divide(np.add.reduce(capital[:, :, :-1] * q, 1), before, out=forecast[:, rows])
            np.divide(total[:, 1:], before, out=likelihood[:, rows])
            if q.shape[2] == BLOCK:
                self._end_block(
                    proba[:, rows], event[:, rows], powers[:, :, rows], tenth[:, rows] + offset, q,
                    capital[:, :, -1],
                )  # fmt: skip
        left = n_rows - n_rows % BLOCK
        self.open_proba, self.open_event = proba[:, left:].copy(), event[:, left:].copy()
        return forecast[:, n_open:], likelihood[:, n_open:]

    def end_block(self) -> None:
        """Let the maps change now, with the rows that the open block has."""
        proba, event = self.open_proba, self.open_event
        if proba.shape[1]:
            odds = odds_within(proba)
            tenth = tenths(proba) + np.arange(len(proba))[:, None] * N_OFFSETS
            q = self._answers(proba, odds, tenth)
            capital = self.weights * np.multiply.reduce(np.abs(q - (1.0 - event[:, None])), 2)
            powers = np.stack([np.ones_like(odds), odds, odds * odds], axis=1)
            self._end_block(proba, event, powers, tenth, q, capital)
            self.open_proba = self.open_event = np.empty((len(proba), 0))

    @property
    def offsets(self) -> Float64Array:
        """What is added to probabilities in every tenth of the scale, (n_streams, N_OFFSETS)."""
        return np.asarray(self.gaps / (self.counts + OFFSET_ROWS))

    def _answers(self, proba: Float64Array, odds: Float64Array, place: IntArray) -> Float64Array:
        """Return the probabilities of all maps, (n_streams, 4, n_rows)."""
        q = np.empty((len(proba), 4, proba.shape[1]))
        q[:, 0] = proba
        z = q[:, 1:3]
        np.multiply(self.lines[:, :, 1:], odds[:, None], out=z)
        z += self.lines[:, :, :1]
        np.minimum(z, LARGEST_ODDS, out=z)
        np.maximum(z, -LARGEST_ODDS, out=z)
        np.negative(z, out=z)
        np.exp(z, out=z)
        z += 1.0
        np.divide(1.0, z, out=z)
        moved = q[:, 3]
        np.add(self.offsets.reshape(-1).take(place), proba, out=moved)
        np.minimum(moved, 1.0 - LEAST, out=moved)
        np.maximum(moved, LEAST, out=moved)
        return q

    def _end_block(
        self,
        proba: Float64Array,
        event: Float64Array,
        powers: Float64Array,
        place: IntArray,
        q: Float64Array,
        capital: Float64Array,
    ) -> None:
        """Take a Newton step with the rows of a block, and share out weight."""
        n = proba.shape[1]
        decay, kept, renewed = self._aging(n)
        lines = q[:, 1:3]
        terms = np.empty((len(q), 2, 2, 1, n))
        gradient, curvature = terms[:, 0, :, 0], terms[:, 1, :, 0]
        np.subtract(event[:, None], lines, out=gradient)
        np.subtract(1.0, lines, out=curvature)
        curvature *= lines
        terms *= decay
        sums = np.add.reduce(terms * powers[:, None, None], 4)
        precision = self.precision * kept + sums[:, 1] + renewed
        step = sums[:, 0, :, :2] - renewed[:, ::2] * (self.lines - AT_START)
        adjoint = precision[:, :, ::-1] * SIGNS
        determinant = precision[:, :, 0] * precision[:, :, 2] - precision[:, :, 1] ** 2
        step /= determinant[:, :, None]
        change = adjoint[:, :, :2] * step[:, :, :1]
        change += adjoint[:, :, 1:] * step[:, :, 1:]
        self.lines, self.precision = self.lines + change, precision
        place, size = place.reshape(-1), self.gaps.size
        shape = self.gaps.shape
        self.gaps = self.gaps + np.bincount(place, (event - proba).reshape(-1), size).reshape(shape)
        self.counts = self.counts + np.bincount(place, None, size).reshape(shape)
        share = shared_out(self.n_rows, n)
        capital *= (1.0 - share) / np.add.reduce(capital, 1)[:, None]
        capital += share * SHARED
        self.weights = capital
        self.n_rows += n

    def _aging(self, n: int) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return weights of n rows, of what was before them, and what the priors gain by them.

        The prior is renewed by what is forgotten of it, so that the map keeps a scale.
        """
        if n not in self._aged:
            decay = np.stack([np.ones(n), self.forget ** np.arange(n - 1, -1, -1.0)])
            kept = np.array([[1.0], [self.forget**n]])
            prior = np.insert([PRECISION, self.prior], 1, 0.0, axis=1)
            renewed = (1.0 - kept) * prior
            self._aged[n] = decay[:, None], kept, renewed
        return self._aged[n]


def odds_within(proba: Float64Array) -> Float64Array:
    """Return log-odds of probabilities that are moved to `LEAST` and its complement at least."""
    bounded = np.clip(proba, LEAST, 1.0 - LEAST)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


def tenths(proba: Float64Array) -> IntArray:
    """Return which of the equal parts of the scale, closed on the left, probabilities lie in."""
    return uniform_cells(proba, N_OFFSETS)


def shared_out(n_before: int, n_rows: int) -> float:
    """Return which part of the weights is shared out over some rows: ``1 / (t + DELAY)`` a row."""
    return n_rows / (n_before + n_rows + DELAY - 1.0)  # one minus the product telescopes
