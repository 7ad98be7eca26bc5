"""Tests of calibration that look at gaps, their laws simulated with one set of redrawn events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core import binning
from calib.evaluation.sampling.redrawn_labels import DIGITS, Outcome, Statistic, blind


def gap_statistics(p: Float64Array, w: Float64Array, n_bins: int) -> dict[str, Statistic]:
    """Return the statistics of T-Cal and of the expected calibration error; `p` ascends."""
    w = w / w.mean()
    return {
        "t_cal": _Levels(p, w, max(1, int(np.log2(len(p))))).statistics,
        "ece": _Gaps(p, w, n_bins).errors,
    }


def gap_outcomes(
    statistics: Mapping[str, Float64Array], n_bins: int, law: str
) -> dict[str, Outcome]:
    """Return the outcomes of T-Cal and of the expected calibration error."""
    return {
        "t_cal": _t_cal(statistics["t_cal"])._replace(law=law),
        "ece": _ece(statistics["ece"], n_bins)._replace(law=law),
    }


class _Levels:
    """Sums over equal-width cells, the finest first counted and then merged in pairs."""

    def __init__(self, p: Float64Array, w: Float64Array, n_levels: int) -> None:
        cells = binning.uniform_cells(p, 2**n_levels)
        self.starts = np.flatnonzero(np.diff(cells, prepend=-1))
        self.cells = cells[self.starts]
        self.n_levels = n_levels
        self.w, self.square = w, w**2 * (1.0 - 2.0 * p)
        self.prob = np.add.reduceat(w * p, self.starts)
        self.prob_square = np.add.reduceat((w * p) ** 2, self.starts)
        self.mass = np.add.reduceat(w, self.starts)

    def statistics(self, events: Float64Array) -> Float64Array:
        """Return the debiased squared gap of every level, shape (n_replicates, n_levels).

        ``(1 / W) sum_b [(sum w r)^2 - sum (w r)^2] / W_b`` with residuals ``r = y - p``; the
        square of a residual is ``y (1 - 2 p) + p^2``.
        """
        gap = np.add.reduceat(events * self.w, self.starts, axis=1) - self.prob
        square = np.add.reduceat(events * self.square, self.starts, axis=1) + self.prob_square
        mass, cells = self.mass, self.cells
        out = np.empty((len(events), self.n_levels))
        for level in range(self.n_levels - 1, -1, -1):
            out[:, level] = ((gap**2 - square) / mass).sum(axis=1)
            cells = cells // 2
            pairs: IntArray = np.flatnonzero(np.diff(cells, prepend=-1))
            gap, square = (np.add.reduceat(part, pairs, axis=1) for part in (gap, square))
            mass, cells = np.add.reduceat(mass, pairs), cells[pairs]
        return np.asarray(np.round(out / self.w.sum(), DIGITS))


class _Gaps:
    """Sums over the bins of the expected calibration error."""

    def __init__(self, p: Float64Array, w: Float64Array, n_bins: int) -> None:
        cells = binning.uniform_cells(p, n_bins)
        self.starts = np.flatnonzero(np.diff(cells, prepend=-1))
        self.w = w
        self.prob = np.add.reduceat(w * p, self.starts)

    def errors(self, events: Float64Array) -> Float64Array:
        """Return the expected calibration error of every replicate."""
        gap = np.add.reduceat(events * self.w, self.starts, axis=1) - self.prob
        return np.asarray(np.round(np.abs(gap).sum(axis=1) / self.w.sum(), DIGITS))


def _t_cal(statistics: Float64Array) -> Outcome:
    """Judge the level with the smallest p-value against the same choice made in replicates.

    Statistics beyond all others at some level are ordered by how many standard deviations.
    """
    n, n_levels = statistics.shape
    rank = np.empty((n, n_levels))
    for level in range(n_levels):
        column = statistics[:, level]
        rank[:, level] = (n - np.searchsorted(np.sort(column), column, side="left")) / n
    spread = statistics.std(axis=0)
    distance = np.zeros((n, n_levels))
    np.divide(statistics - statistics.mean(axis=0), spread, out=distance, where=spread > 0)
    smallest = rank.min(axis=1)
    farthest = np.where(rank == smallest[:, None], distance, -np.inf).max(axis=1)
    more = (smallest < smallest[0]) | ((smallest == smallest[0]) & (farthest >= farthest[0]))
    chosen = int(np.where(rank[0] == smallest[0], distance[0], -np.inf).argmax())
    return Outcome(
        statistic=float(statistics[0, chosen]),
        p_value=float(np.mean(more)),
        law="redrawn labels",
        estimates={"n_cells": float(2 ** (chosen + 1)), "p_value_of_level": float(rank[0, chosen])},
        note=blind("t_cal", statistics),
    )


def _ece(errors: Float64Array, n_bins: int) -> Outcome:
    """Compare the error with its floor."""
    return Outcome(
        statistic=float(errors[0]),
        p_value=float(np.mean(errors >= errors[0])),
        law="redrawn labels",
        estimates={"n_bins": float(n_bins), "floor": float(errors[1:].mean())},
        note=blind("ece", errors),
    )
