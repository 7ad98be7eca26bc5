"""Calibration rows in a form that depends on their content alone, small enough to iterate on.

Rows are sorted, long ones condensed, equal ones merged, and all stand in an order that a hash of
their scores decides: as good as random, yet the same however samples and classes were ordered and
whether rows were weighted or repeated. Splits cut from it need no seed. (Splits cut from sorted
scores would be copies of each other, noise included, and blind to overfitting.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calib._border.random import scrambled
from calib._border.typing import Float64Array, IntArray
from calib._core.scores import Scores
from calib.calibrators.h_calibration.windowed import Events

#: Of a long row the largest scores are kept one by one, the others in groups of growing width.
HEAD = 16
GROWTH = 0.25
#: Scores are rounded to about this share of their mean distance, so that what should be equal is,
#: whatever sums and differences it came from. Only the fit sees rounded scores.
RESOLUTION = 2.0**-24
#: Entries of the matrix per event that enters the objective; beyond it, rows are left out.
ENTRIES_PER_EVENT = 2
#: Events less probable than this are sampled first.
RARE = 1e-3
#: Share of the events that the more probable ones may take.
COMMON_SHARE = 0.75


@dataclass(frozen=True)
class Sample:
    """Calibration rows ready for a fit.

    Attributes
    ----------
    gap : ndarray of shape (n_rows, n_columns)
        Distance of a logit from the largest of its row. Two classes: the rarer one comes first.
    shift : ndarray of shape (n_rows, 1)
        Added to `gap` it gives minus the log-softmax.
    occurrence : ndarray of shape (n_rows, n_columns)
        Share of repetitions in which the class of the entry occurred.
    weight : ndarray of shape (n_rows,) or None
        Repetitions.
    columns : ndarray of shape (n_columns,) or None
        Number of classes that a column stands for; None if each stands for one.
    codes : ndarray of shape (n_rows,)
        Class of a row; meaningful only if rows of different classes were not merged.
    place : ndarray of shape (n_rows,)
        Share of the total weight that stands before the row, in [0, 1).
    n_classes : int
    """

    gap: Float64Array
    shift: Float64Array
    occurrence: Float64Array
    weight: Float64Array | None
    columns: Float64Array | None
    codes: IntArray
    place: Float64Array
    n_classes: int

    def rows(self, chosen: IntArray) -> Sample:
        """Return some of the rows."""
        return replace(
            self,
            gap=self.gap[chosen],
            shift=self.shift[chosen],
            occurrence=self.occurrence[chosen],
            weight=None if self.weight is None else self.weight[chosen],
            codes=self.codes[chosen],
            place=self.place[chosen],
        )

    def mass(self) -> Float64Array | None:
        """Return how many events every entry stands for, None if each is one."""
        if self.weight is None and self.columns is None:
            return None
        rows = np.ones(len(self.gap)) if self.weight is None else self.weight
        columns = np.ones(self.gap.shape[1]) if self.columns is None else self.columns
        return np.outer(rows, columns).ravel()

    def leave_one_class_out(self) -> Events:
        """Return all entries as events of the published objective."""
        n_columns = self.gap.shape[1]
        weight = None if self.weight is None else np.repeat(self.weight, n_columns)
        codes = np.repeat(self.codes, n_columns)
        return Events(self.occurrence.ravel(), weight, None, codes, self.n_classes)

    def pooled(self, proba: Float64Array, max_events: int) -> tuple[IntArray | None, Events]:
        """Choose the entries that enter the objective; return their places and the events.

        Parameters
        ----------
        proba : ndarray of shape (n_rows, n_columns)
            Probabilities before the fit.
        max_events : int
            Where there are more, a systematic sample of the events below `RARE` in the order of
            their probability is taken, and of the others where they alone are too many.
        """
        p = proba.ravel()
        mass = self.mass()
        weight = None if self.weight is None else np.repeat(self.weight, proba.shape[1])
        places = None if self.n_classes > 2 else np.arange(0, p.size, 2)
        if (p.size if places is None else len(places)) > max_events:
            mass = np.ones(p.size) if mass is None else mass
            places = np.arange(p.size) if places is None else places
            is_rare = p[places] < RARE
            common, rare = places[~is_rare], places[is_rare]
            n_common = min(len(common), max(max_events - len(rare), int(COMMON_SHARE * max_events)))
            kept = []
            for group, n_kept in ((common, n_common), (rare, max_events - n_common)):
                n_kept = min(n_kept, len(group))
                if n_kept:
                    every = len(group) / n_kept
                    step = ((np.arange(n_kept) + 0.5) * every).astype(np.intp)
                    kept.append(group[np.argsort(p[group])][step])
                    mass[kept[-1]] *= every
            places = np.sort(np.concatenate(kept))
        chosen = slice(None) if places is None else places
        events = Events(
            self.occurrence.ravel()[chosen],
            None if weight is None else weight[chosen],
            None if mass is None else mass[chosen],
        )
        return places, events


def read_sample(
    scores: Scores,
    target: IntArray,
    weight: Float64Array | None,
    temperature: float,
    max_events: int,
    *,
    by_class: bool = False,
) -> tuple[Sample, Float64Array]:
    """Bring calibration rows into their canonical form.

    Parameters
    ----------
    scores : Scores
        In the domain "logits".
    target : ndarray of shape (n_samples,)
        Column indices.
    weight : ndarray of shape (n_samples,) or None
    temperature : float
        At this temperature the sums over condensed columns are exact.
    max_events : int
        Bounds the size of the result to `ENTRIES_PER_EVENT` entries each.
    by_class : bool, default=False
        Whether to keep rows of different classes apart and uncondensed.

    Returns
    -------
    sample : Sample
    place : ndarray of shape (n_samples,)
        ``sample.place`` of every sample as given, left-out ones included.
    """
    first = _rarer(scores, target, weight) if scores.n_classes == 2 else None
    starts = np.arange(scores.n_classes)
    if not by_class and first is None:
        starts = _group_starts(scores.n_classes)
    unit = _unit(scores, weight)
    hashes = _hashes(scores, first, unit)
    keys = (target, hashes) if by_class else (hashes,)
    order = np.lexsort(keys)
    place = _places(hashes, order, weight)
    limit = max(1, (max_events if by_class else ENTRIES_PER_EVENT * max_events) // len(starts))
    chosen = _thinned(hashes[order], order, limit)
    gap, shift, rank = _read_rows(scores, target, chosen, first, unit, starts, temperature)
    columns = np.diff(np.append(starts, scores.n_classes)).astype(np.float64)
    occurrence = np.zeros_like(gap)
    column = np.searchsorted(starts, rank, side="right") - 1
    occurrence[np.arange(len(gap)), column] = 1.0 / columns[column]
    sample = Sample(
        gap,
        shift,
        occurrence,
        None if weight is None else weight[chosen],
        None if len(starts) == scores.n_classes else columns,
        target[chosen],
        place[chosen],
        scores.n_classes,
    )
    return _merged(sample, hashes[chosen], by_class), place


def _group_starts(n_classes: int) -> IntArray:
    """Return the first rank of every column: single ranks, then groups of growing width."""
    starts = list(range(min(HEAD, n_classes)))
    while starts[-1] + 1 < n_classes and len(starts) >= HEAD:
        width = max(1, int(GROWTH * starts[-1])) if len(starts) > HEAD else 1
        if starts[-1] + width >= n_classes:
            break
        starts.append(starts[-1] + width)
    return np.array(starts, dtype=np.intp)


def _rarer(scores: Scores, target: IntArray, weight: Float64Array | None) -> int:
    """Return the rarer of two classes; if both are as frequent, the one with smaller scores."""
    excess = 2.0 * target - 1.0
    s = scores.log_odds()
    for values in (excess, s / max(1.0, float(np.abs(s).max()))):
        total = float(values.sum() if weight is None else values @ weight)
        if abs(total) > 1e-9 * len(values):
            return int(total < 0)
    return 1


def _unit(scores: Scores, weight: Float64Array | None) -> float:
    """Return a power of two near `RESOLUTION` times the mean distance from a row's maximum."""
    total, mass = 0.0, 0.0
    for rows, z in scores:
        mean_gap = (z.max(axis=1, keepdims=True) - z).mean(axis=1)
        total += float(mean_gap.sum() if weight is None else mean_gap @ weight[rows])
        mass += float(len(z) if weight is None else weight[rows].sum())
    return float(2.0 ** np.floor(np.log2(total / mass)) * RESOLUTION)


def _ordered(z: Float64Array, first: int | None, unit: float) -> Float64Array:
    """Return distances from the maximum of a row in canonical order, in units."""
    steps = np.rint((z.max(axis=1, keepdims=True) - z) / unit)
    if first is not None:
        return np.asarray(steps if first == 0 else steps[:, ::-1])
    steps.sort(axis=1)
    return np.asarray(steps)


def _hashes(
    scores: Scores, first: int | None, unit: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Return a number per row that depends on its rounded scores alone."""
    factors = scrambled(np.arange(1, scores.n_classes + 1, dtype=np.uint64))
    out = np.empty(scores.n_samples, dtype=np.uint64)
    for rows, z in scores:
        steps = np.minimum(_ordered(z, first, unit), 2.0**52).astype(np.uint64)
        out[rows] = (steps * factors).sum(axis=1)
    return scrambled(out)


def _places(
    hashes: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
    order: IntArray,
    weight: Float64Array | None,
) -> Float64Array:
    """Return the share of the total weight that stands before each row's hash."""
    in_order = hashes[order]
    group = np.cumsum(np.concatenate([[False], in_order[1:] != in_order[:-1]]))
    mass = np.bincount(group, None if weight is None else weight[order])
    before = (np.cumsum(mass) - mass) / mass.sum()
    out = np.empty(len(order))
    out[order] = before[group]
    return out


def _thinned(
    hashes: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], order: IntArray, limit: int
) -> IntArray:
    """Keep at most `limit` different rows, evenly spread over the order."""
    group = np.cumsum(np.concatenate([[False], hashes[1:] != hashes[:-1]]))
    n_groups = int(group[-1]) + 1
    if n_groups <= limit:
        return order
    kept = np.diff(np.arange(n_groups + 1) * limit // n_groups) > 0
    out: IntArray = order[kept[group]]
    return out


def _read_rows(
    scores: Scores,
    target: IntArray,
    chosen: IntArray,
    first: int | None,
    unit: float,
    starts: IntArray,
    temperature: float,
) -> tuple[Float64Array, Float64Array, IntArray]:
    """Return gaps, shifts and the rank of the true class of the chosen rows, in their order."""
    n_rows = len(chosen)
    gap = np.empty((n_rows, len(starts)))
    shift = np.empty((n_rows, 1))
    rank = np.empty(n_rows, dtype=np.intp)
    goal = np.full(scores.n_samples, -1, dtype=np.intp)
    goal[chosen] = np.arange(n_rows)
    widths = np.diff(np.append(starts, scores.n_classes))
    for rows, z in scores:
        kept = goal[rows] >= 0
        to, z, codes = goal[rows][kept], z[kept], target[rows][kept]
        if not len(z):
            continue
        ordered = _ordered(z, first, unit) * unit
        if first is None:
            own = z[np.arange(len(z)), codes]
            rank[to] = (z > own[:, None]).sum(axis=1)
        else:
            rank[to] = codes != first
        shift[to] = np.log(np.exp(-ordered).sum(axis=1, keepdims=True))
        lead = ordered[:, starts]
        if len(starts) < scores.n_classes:
            beyond = np.exp((np.repeat(lead, widths, axis=1) - ordered) / temperature)
            lead = lead - temperature * np.log(np.add.reduceat(beyond, starts, axis=1) / widths)
        gap[to] = lead
    return gap, shift, rank


def _merged(
    sample: Sample,
    hashes: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
    by_class: bool,
) -> Sample:
    """Merge consecutive rows with the same scores (and class, if wanted)."""
    same = hashes[1:] == hashes[:-1]
    if by_class:
        same &= sample.codes[1:] == sample.codes[:-1]
    same &= (sample.gap[1:] == sample.gap[:-1]).all(axis=1)
    if not same.any():
        return sample
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    weight = np.ones(len(sample.gap)) if sample.weight is None else sample.weight
    merged = np.add.reduceat(weight, starts)
    occurrence = np.add.reduceat(sample.occurrence * weight[:, None], starts) / merged[:, None]
    return replace(sample.rows(starts), occurrence=occurrence, weight=merged)
