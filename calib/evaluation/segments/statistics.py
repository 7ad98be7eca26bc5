"""Gaps, tails, shapes and intervals of many segments at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib.evaluation.segments.levels import Partition
from calib.evaluation.unbinned.brownian import range_tail

BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
#: Least variance of the number of events of a segment that is judged.
LEAST_VARIANCE = 5.0
#: Least number of groups in a segment that is judged, where rows come in groups.
LEAST_GROUPS = 20
#: Standard deviations beyond which a normal tail is no longer near enough.
EXACT_BEYOND = 2.0
#: Cells of the predictions, of equal size, that rows of a segment are gathered in.
N_CELLS = 128
#: Distance from 0 and 1 at which what was called impossible can happen under a shift.
SURE = 1e-9
#: Log-odds that stand for certainty.
CERTAIN = 40.0
#: Newton steps; a few are needed.
MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Segments:
    """Numbers of many segments of one model, each of shape (n_segments,).

    Attributes
    ----------
    n : ndarray of int
        Rows.
    predicted, observed : ndarray
        Mean prediction and rate of the event.
    variance : ndarray
        Of the sum of residuals, if the predictions are right.
    z, sigma : ndarray
        Sum of residuals, and range of their running sum in the order of the predictions, in
        standard deviations.
    p_gap, p_shape : ndarray
        Their p-values; nan where a segment is not judged.
    degrees : ndarray
        Of freedom of the law of `z`; infinite for the normal.
    judged : ndarray of bool
    """

    n: IntArray
    predicted: Float64Array
    observed: Float64Array
    mass: Float64Array
    variance: Float64Array
    z: Float64Array
    sigma: Float64Array
    p_gap: Float64Array
    p_shape: Float64Array
    degrees: Float64Array
    judged: BoolArray
    cells: _Cells | None

    @property
    def gap(self) -> Float64Array:
        """Observed minus predicted."""
        return self.observed - self.predicted

    @property
    def p_value(self) -> Float64Array:
        """Of gap and shape together."""
        return np.asarray(np.minimum(1.0, 2.0 * np.minimum(self.p_gap, self.p_shape)))

    def interval(self, level: float) -> tuple[Float64Array, Float64Array]:
        """Return the ends of the intervals of the gaps; nan where a segment is not judged.

        Parameters
        ----------
        level : float
            Error rate of one interval, both ends together.
        """
        from scipy.special import ndtri, stdtrit

        low, high = np.full((2, len(self.n)), np.nan)
        judged = np.flatnonzero(self.judged)
        if not len(judged):
            return low, high
        if self.cells is not None:
            quantile = float(-ndtri(level / 2))
            low[judged], high[judged] = self.cells.interval(quantile)
            return low, high
        degrees = self.degrees[judged]
        q = np.where(np.isinf(degrees), -ndtri(level / 2), 0.0)
        finite = np.isfinite(degrees)
        q[finite] = -stdtrit(degrees[finite], level / 2)
        error = q * np.sqrt(self.variance[judged]) / self.mass[judged]
        low[judged], high[judged] = self.gap[judged] - error, self.gap[judged] + error
        return np.maximum(low, -1.0), np.minimum(high, 1.0)


def segments_of(
    partitions: Sequence[Partition],
    event: Float64Array,
    prediction: Float64Array,
    weight: Float64Array | None,
    groups: IntArray | None,
    min_size: int,
) -> Segments:
    """Return the statistics of the segments of all partitions, one after the other.

    Parameters
    ----------
    partitions : sequence of Partition
    event : ndarray of shape (n_samples,)
        0 or 1.
    prediction : ndarray of shape (n_samples,)
        Its probability.
    weight : ndarray of shape (n_samples,) or None
    groups : ndarray of int of shape (n_samples,) or None
        Units of rows that may depend on each other.
    min_size : int
        Fewest rows of a segment that is judged.
    """
    w = np.ones(len(event)) if weight is None else weight
    residual = w * (event - prediction)
    spread = w * w * prediction * (1.0 - prediction)
    order = np.argsort(prediction, kind="stable")
    plain = weight is None and groups is None
    cell = np.empty(len(order), dtype=np.intp)
    cell[order] = np.arange(len(order)) * N_CELLS // max(len(order), 1)
    if len(order) <= 8 * N_CELLS:  # few enough to keep every row
        cell[order] = np.arange(len(order))
    parts = [
        _partition_sums(part, event, prediction, w, residual, spread, order, groups)
        for part in partitions
    ]
    n, mass, total, events, variance, width, n_groups = (
        np.concatenate([part[place] for part in parts]) for place in range(7)
    )
    judged = (n >= min_size) & (variance >= LEAST_VARIANCE if plain else variance > 0)
    if weight is not None or groups is not None:
        judged &= np.concatenate([part[7] for part in parts]) >= LEAST_VARIANCE
    if groups is not None:
        judged &= n_groups >= LEAST_GROUPS
    with np.errstate(divide="ignore", invalid="ignore"):
        predicted, observed = total / mass, events / mass
        z = (events - total) / np.sqrt(variance)
        sigma = width / np.sqrt(variance)
    degrees = np.full(len(n), np.inf) if groups is None else np.maximum(n_groups - 1.0, 1.0)
    cells = None
    if plain:
        cells = _Cells.of(partitions, judged, event, prediction, cell)
    p_gap = _two_sided(z, degrees)
    if cells is not None:
        p_gap[judged] = cells.tails(p_gap[judged], z[judged])
    p_shape = np.full(len(n), np.nan)
    p_shape[judged] = [range_tail(float(x)) for x in sigma[judged]]
    p_gap[~judged] = np.nan
    return Segments(
        n, predicted, observed, mass, variance, z, sigma, p_gap, p_shape, degrees, judged, cells
    )


def _two_sided(z: Float64Array, degrees: Float64Array) -> Float64Array:
    from scipy.special import ndtr, stdtr

    size = -np.abs(np.where(np.isfinite(z), z, 0.0))
    tail = ndtr(size)
    finite = np.isfinite(degrees)
    tail[finite] = stdtr(degrees[finite], size[finite])
    return np.asarray(2.0 * tail)


def _partition_sums(
    part: Partition,
    event: Float64Array,
    prediction: Float64Array,
    w: Float64Array,
    residual: Float64Array,
    spread: Float64Array,
    order: IntArray,
    groups: IntArray | None,
) -> tuple[Any, ...]:
    """Return rows, mass, sum of predictions, events, variance, width of the walk, and groups."""
    codes, size = part.codes, len(part.names)
    n = np.bincount(codes, minlength=size)
    mass, total, events, variance = (
        np.bincount(codes, values, minlength=size)
        for values in (w, w * prediction, w * event, spread)
    )
    plain_variance = np.bincount(codes, prediction * (1.0 - prediction), minlength=size)
    n_groups = n.astype(np.float64)
    if groups is not None:
        unit, place = np.unique(codes * (int(groups.max()) + 1) + groups, return_inverse=True)
        of_unit = unit // (int(groups.max()) + 1)
        sums = np.bincount(place, residual)
        variance = np.bincount(of_unit, sums * sums, minlength=size)
        n_groups = np.bincount(of_unit, minlength=size).astype(np.float64)
    width = _walk_width(codes, size, prediction, residual, order)
    return n, mass, total, events, variance, width, n_groups, plain_variance


def _walk_width(
    codes: IntArray, size: int, prediction: Float64Array, residual: Float64Array, order: IntArray
) -> Float64Array:
    """Return the range of the running sum of residuals of every segment, ties taken together."""
    small = codes.astype(np.int16 if size < 2**15 else np.int64)[order]
    rows = order[np.argsort(small, kind="stable")]
    code, p = codes[rows], prediction[rows]
    run = np.cumsum(residual[rows])
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = code[1:] != code[:-1]
    starts = np.flatnonzero(fresh)
    before = np.where(starts > 0, run[starts - 1], 0.0)
    walk = run - np.repeat(before, np.diff(starts, append=len(rows)))
    ends = np.ones(len(rows), dtype=bool)
    ends[:-1] = fresh[1:] | (p[1:] != p[:-1])
    walk[~ends] = 0.0  # where the walk begins, and what stands between ties is no place of it
    out = np.zeros(size)
    if len(rows):
        high, low = np.maximum.reduceat(walk, starts), np.minimum.reduceat(walk, starts)
        out[code[starts]] = np.maximum(high, 0.0) - np.minimum(low, 0.0)
    return out


@dataclass(frozen=True, eq=False)
class _Cells:
    """Rows of judged segments, gathered by prediction: what their exact laws are made of.

    The generating function of a sum of events depends on predictions alone; inside a cell of
    neighbouring predictions it is that of their mean but for terms of second order.
    """

    starts: IntArray
    p: Float64Array
    count: Float64Array
    n: Float64Array
    events: Float64Array
    events_of_cell: Float64Array

    @classmethod
    def of(
        cls,
        partitions: Sequence[Partition],
        judged: BoolArray,
        event: Float64Array,
        prediction: Float64Array,
        cell: IntArray,
    ) -> _Cells:
        """Gather the rows of judged segments."""
        n_cells = int(cell.max()) + 1
        p, count, size, events, happened = [], [], [], [], []
        first = 0
        for part in partitions:
            own = judged[first : first + len(part.names)]
            first += len(part.names)
            if not own.any():
                continue
            key = part.codes * n_cells + cell
            length = len(part.names) * n_cells
            counts = np.bincount(key, minlength=length).reshape(-1, n_cells)[own]
            sums = np.bincount(key, prediction, minlength=length).reshape(-1, n_cells)[own]
            there = counts > 0
            hits = np.bincount(key, event, minlength=length).reshape(-1, n_cells)[own]
            happened.append(hits[there])
            p.append(sums[there] / counts[there])
            count.append(counts[there])
            size.append(there.sum(axis=1))
            events.append(np.bincount(part.codes, event, minlength=len(part.names))[own])
        if not p:
            none = np.empty(0)
            return cls(np.empty(0, dtype=np.intp), none, none, none, none, none)
        sizes = np.concatenate(size)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        rows_of_cell: Float64Array = np.concatenate(count).astype(np.float64)
        total: Float64Array = np.add.reduceat(rows_of_cell, starts)
        of_events: Float64Array = np.concatenate(events).astype(np.float64)
        of_cells = np.clip(np.concatenate(p), SURE, 1 - SURE)
        hits_of_cell: Float64Array = np.concatenate(happened)
        return cls(starts, of_cells, rows_of_cell, total, of_events, hits_of_cell)

    def _spread(self, values: Float64Array) -> Float64Array:
        sizes = np.diff(self.starts, append=len(self.p))
        return np.repeat(values, sizes)

    def _moments(self, t: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance of the number of events if log-odds are larger by t."""
        growth = np.exp(np.clip(self._spread(t), -CERTAIN, CERTAIN))
        q = self.p * growth / ((1.0 - self.p) + self.p * growth)
        mean = np.add.reduceat(self.count * q, self.starts)
        return mean, np.add.reduceat(self.count * q * (1.0 - q), self.starts)

    def _cumulant(self, t: Float64Array) -> Float64Array:
        growth = np.exp(np.clip(self._spread(t), -CERTAIN, CERTAIN))
        logs = np.log((1.0 - self.p) + self.p * growth)
        return np.asarray(np.add.reduceat(self.count * logs, self.starts))

    def shifts(self, target: Float64Array) -> Float64Array:
        """Return the shift of the log-odds of each segment under which `target` is the mean."""
        t = np.zeros(len(target))
        low, high = np.full((2, len(target)), CERTAIN)
        low = -low
        for _ in range(MOST_STEPS):
            mean, variance = self._moments(t)
            off = target - mean
            low, high = np.where(off > 0, t, low), np.where(off < 0, t, high)
            step = t + off / np.maximum(variance, 1e-12)
            step = np.where((step > low) & (step < high), step, 0.5 * (low + high))
            moved = np.abs(step - t)
            t = np.where(off == 0, t, step)
            if (moved < 1e-10).all():
                break
        return t

    def tails(self, normal: Float64Array, z: Float64Array) -> Float64Array:
        """Return two-sided p-values of the number of events, by a saddlepoint where far out.

        Lugannani and Rice 1980 in the form of Barndorff-Nielsen, with a continuity correction.
        """
        from scipy.special import ndtr

        out = normal.copy()
        far = np.abs(z) > EXACT_BEYOND
        if not far.any():
            return out
        mean = self._moments(np.zeros(len(z)))[0]
        x = self.events - 0.5 * np.sign(self.events - mean)
        t = self.shifts(x)
        variance = self._moments(t)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sign(t) * np.sqrt(np.maximum(2.0 * (t * x - self._cumulant(t)), 0.0))
            slope = 2.0 * np.sinh(0.5 * t) * np.sqrt(variance)
            corrected = root + np.log(slope / root) / root
        corrected = np.where(np.isfinite(corrected), corrected, root)
        out[far] = np.minimum(1.0, 2.0 * ndtr(-np.abs(corrected[far])))
        return out

    def interval(self, quantile: float) -> tuple[Float64Array, Float64Array]:
        """Return the ends of the likelihood intervals of the gaps, a gap being a shift of log-odds.

        Parameters
        ----------
        quantile : float
            Standard normal quantile of one end.
        """
        best = self.shifts(self.events)
        top = best * self.events - self._cumulant(best)
        mean = self._moments(np.zeros(len(best)))[0]
        wide = quantile * np.sqrt(self._dispersion(best))
        ends = []
        for side in (-1.0, 1.0):
            t = self._end(best, top, side, wide)
            ends.append((self._moments(t)[0] - mean) / self.n)
        return ends[0], ends[1]

    def _dispersion(self, t: Float64Array) -> Float64Array:
        """Return the seen over the promised variance around shifted predictions, at least 1.

        Predictions that are too extreme promise less noise than there is.
        """
        growth = np.exp(np.clip(self._spread(t), -CERTAIN, CERTAIN))
        q = self.p * growth / ((1.0 - self.p) + self.p * growth)
        missed = self.count - self.events_of_cell
        squares = self.events_of_cell * (1.0 - q) ** 2 + missed * q * q
        seen = np.add.reduceat(squares, self.starts)
        promised = np.add.reduceat(self.count * q * (1.0 - q), self.starts)
        return np.asarray(np.maximum(1.0, seen / np.maximum(promised, 1e-12)))

    def _end(
        self, best: Float64Array, top: Float64Array, side: float, quantile: Float64Array
    ) -> Float64Array:
        """Return where twice the log-likelihood has fallen by the square of the quantile."""
        goal = quantile * quantile
        at_wall = side * best >= CERTAIN - 1e-6
        variance = np.maximum(self._moments(best)[1], 1e-3)
        t = np.clip(best + side * quantile / np.sqrt(variance), -CERTAIN, CERTAIN)
        near, far = best.copy(), np.full(len(best), side * CERTAIN)
        for _ in range(MOST_STEPS):
            mean, _ = self._moments(t)
            fallen = 2.0 * (top - (t * self.events - self._cumulant(t))) - goal
            inside = fallen < 0
            near, far = np.where(inside, t, near), np.where(inside, far, t)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = t - fallen / (2.0 * (mean - self.events))
            good = (step - near) * side > 0
            good &= (far - step) * side > 0
            step = np.where(good, step, 0.5 * (near + far))
            moved = np.abs(step - t)
            t = step
            if (moved < 1e-8).all():
                break
        return np.where(at_wall, side * CERTAIN, t)


def holm(p: Float64Array) -> Float64Array:
    """Return p-values that hold for all of them together (Holm 1979)."""
    n = len(p)
    order = np.argsort(p, kind="stable")
    scaled = np.minimum(1.0, p[order] * (n - np.arange(n)))
    out = np.empty(n)
    out[order] = np.maximum.accumulate(scaled)
    return out
