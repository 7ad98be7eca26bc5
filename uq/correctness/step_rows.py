"""Rows of steps of unequal number: their border, where they stop, and sums at every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from calib._border.arrays import to_numpy
from calib._border.checks import describe
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import check_numbers


class Moves(NamedTuple):
    """What changes when the threshold falls from infinity down to every level.

    Attributes
    ----------
    levels : ndarray of shape (n_levels,)
        inf, then the thresholds at which some row stops earlier than before, descending.
    row, source, target : ndarray of int, shape (n_moves,)
        Which row moves from which step to which, in order of levels.
    last : ndarray of int, shape (n_levels - 1,)
        Last move at each level but infinity.
    """

    levels: Float64Array
    row: IntArray
    source: IntArray
    target: IntArray
    last: IntArray


@dataclass(frozen=True, eq=False)
class StepRows:
    """Confidence after every step of every row.

    Attributes
    ----------
    confidence : ndarray of shape (n_rows, n_steps)
        NaN behind the last step of a row.
    lengths : ndarray of int, shape (n_rows,)
        Number of steps.
    """

    confidence: Float64Array
    lengths: IntArray

    @cached_property
    def exists(self) -> LabelArray:
        """Whether a row has a step, shape (n_rows, n_steps)."""
        return np.arange(self.confidence.shape[1]) < self.lengths[:, None]

    @property
    def numbers(self) -> Float64Array:
        """How many steps have been taken at every step, shape (n_rows, n_steps)."""
        return np.broadcast_to(np.arange(1.0, self.confidence.shape[1] + 1), self.confidence.shape)

    @cached_property
    def _early(self) -> Float64Array:
        """Confidence of all steps but the last of a row, -inf elsewhere."""
        early = np.arange(self.confidence.shape[1]) < self.lengths[:, None] - 1
        return np.where(early, self.confidence, -np.inf)

    def stops(self, threshold: float) -> IntArray:
        """Return the first step of every row with at least this confidence, else its last."""
        passing = self._early >= threshold if threshold > -np.inf else self.exists
        return np.where(passing.any(axis=1), passing.argmax(axis=1), self.lengths - 1)

    def at_end(self, values: Float64Array) -> Float64Array:
        """Return the values of the last steps."""
        return np.asarray(values[np.arange(len(values)), self.lengths - 1])

    @cached_property
    def moves(self) -> Moves:
        """Where stops change: at steps more confident than all before them."""
        early = self._early
        record = np.isfinite(early)
        record[:, 1:] &= early[:, 1:] > np.maximum.accumulate(early, axis=1)[:, :-1]
        row, target = np.nonzero(record)
        source = self.lengths[row] - 1
        again = row[1:] == row[:-1]
        source[:-1][again] = target[1:][again]
        level = early[row, target]
        order = np.argsort(-level, kind="stable")
        level = level[order]
        last = np.flatnonzero(np.append(level[1:] != level[:-1], np.ones(min(len(level), 1), bool)))
        levels = np.concatenate([[np.inf], level[last]])
        return Moves(levels, row[order], source[order], target[order], last)

    def totals(self, values: Float64Array) -> Float64Array:
        """Return the sum of values where rows stop, for every level: one sort serves all.

        Parameters
        ----------
        values : ndarray of shape (n_rows, n_steps)
            Values behind the last step of a row are not read.

        Returns
        -------
        totals : ndarray of shape (n_levels,)
        """
        moves = self.moves
        change = values[moves.row, moves.target] - values[moves.row, moves.source]
        start = self.at_end(values).sum()
        return np.asarray(np.concatenate([[start], start + np.cumsum(change)[moves.last]]))

    def losses(self, correct: ArrayLike) -> Float64Array:
        """Return ``1 - correct`` in [0, 1], 0 behind the last step.

        Raises
        ------
        ValueError
            For another shape, values outside [0, 1], and missing values in other places than those
            of the confidence.
        """
        values = values_of_steps(correct, "correct")
        if values.shape != self.confidence.shape:
            raise ValueError(
                f"correct has shape {values.shape} but confidence {self.confidence.shape}; pass "
                f"one value per row and step"
            )
        wrong = np.argwhere(np.isnan(values) == self.exists)
        if len(wrong):
            row, step = wrong[0].tolist()
            lacking, other = "correct", "confidence"
            if not self.exists[row, step]:
                lacking, other = other, lacking
            raise ValueError(
                f"{lacking} has no value in row {row}, step {step}, where {other} has one; mark "
                f"steps that do not exist by NaN in both, or pass shorter lists"
            )
        outside = np.argwhere((values < 0) | (values > 1))
        if len(outside):
            row, step = outside[0].tolist()
            raise ValueError(
                f"correct must lie in [0, 1]: 1 for a right answer, or a grade; got "
                f"{values[row, step]:.6g} in row {row}, step {step}"
            )
        return np.where(self.exists, 1 - values, 0.0)

    def cumulative_costs(self, cost: ArrayLike) -> Float64Array:
        """Return what it costs to stop at every step; the number of steps for None.

        Raises
        ------
        ValueError
            For another shape, negative or missing costs, or costs that are all 0.
        """
        n_rows, n_steps = self.confidence.shape
        if cost is None:
            return self.numbers
        values = values_of_steps(cost, "cost")
        if values.shape == (n_steps, 1) and n_rows != n_steps:
            values = values.T
        if values.shape not in ((1, n_steps), (n_rows, n_steps)):
            raise ValueError(
                f"cost must have shape ({n_steps},) or {self.confidence.shape}, one number per "
                f"step; got shape {np.shape(cost)}"
            )
        values = np.where(self.exists, values, 0.0)
        if not (np.isfinite(values) & (values >= 0)).all():
            row, step = np.argwhere(~(np.isfinite(values) & (values >= 0)))[0].tolist()
            raise ValueError(
                f"cost must be a finite number >= 0 for every step; got {values[row, step]:.6g} in "
                f"row {row}, step {step}"
            )
        if not values.any():
            raise ValueError("cost is 0 for every step; leave it out to count steps")
        return np.cumsum(values, axis=1)


def read_steps(confidence: ArrayLike) -> StepRows:
    """Return rows of steps.

    Raises
    ------
    ValueError
        For inf, for NaN before a number, and for rows without steps.
    """
    values = values_of_steps(confidence, "confidence")
    present = ~np.isnan(values)
    lengths = (values.shape[1] - present[:, ::-1].argmax(axis=1)).astype(np.intp)
    if not present.any(axis=1).all():
        row = int(np.argmin(present.any(axis=1)))
        raise ValueError(f"confidence has no step in row {row}; leave that row out")
    rows = StepRows(values, lengths)
    gaps = np.argwhere(rows.exists & ~present)
    if len(gaps):
        row, step = gaps[0].tolist()
        raise ValueError(
            f"confidence contains NaN or inf: nan in row {row}, step {step}, before a later step. "
            f"Only steps that do not exist may be NaN, at the end of a row; where a confidence is "
            f"unknown, pass a number below all others: one does not stop there"
        )
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, step = infinite[0].tolist()
        raise ValueError(
            f"confidence contains NaN or inf: {values[row, step]} in row {row}, step {step}; pass "
            f"a finite number beyond all others"
        )
    return rows


def values_of_steps(values: ArrayLike, name: str) -> Float64Array:
    """Return numbers per row and step as a matrix; shorter rows end in NaN."""
    listed = _ragged(values)
    if listed is None:
        array = np.asarray(to_numpy(check_numbers(values, name)), dtype=np.float64)
        if array.ndim == 1 and name != "confidence":
            array = array[:, None]
        if array.ndim != 2 or not array.size:
            raise ValueError(
                f"{name} must have shape (n_rows, n_steps), with at least one of each; got shape "
                f"{array.shape}"
            )
        return array
    rows = []
    for place, row in enumerate(listed):
        numbers = np.asarray(to_numpy(check_numbers(row, f"{name}[{place}]")), dtype=np.float64)
        if numbers.ndim != 1:
            raise ValueError(f"{name}[{place}] must be a sequence of numbers; got {describe(row)}")
        rows.append(numbers)
    out = np.full((len(rows), max(1, *(len(row) for row in rows))), np.nan)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return out


def _ragged(values: ArrayLike) -> list[ArrayLike] | None:
    """Return rows of unequal lengths as a list, None for everything that is a matrix."""
    listed = values.tolist() if str(getattr(values, "dtype", "")) == "object" else values
    if not isinstance(listed, (list, tuple)) or not listed:
        return None
    if not all(hasattr(row, "__len__") and not isinstance(row, (str, bytes)) for row in listed):
        return None
    return list(listed) if len({len(row) for row in listed}) > 1 else None
