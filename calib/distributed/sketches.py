"""How often an event happens at which score: sums that merge, and of bounded size.

Scores are told apart as long as they are few. Beyond, those that lie in one cell of a grid of
log-odds count as the smallest of them. Cells of a coarser grid are unions of those of a finer one,
and the grid is the finest that leaves few enough cells, so that it, and all that is summed up,
depends on the rows alone: not on how they are split, nor on the order in which parts are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, InputKind, IntArray, LabelArray
from calib._core.rows import Part, RankedScores, ScoredPart, Sums

#: Cells of all sketches of one pass, and bounds of those of one sketch.
PASS_CELLS, FEWEST_CELLS, MOST_CELLS = 1 << 20, 1 << 12, 1 << 16
#: Cells are equally wide between log-odds of this size and its negative. Beyond, up to three times
#: the size, they are twice as wide, up to seven times four times as wide, and so on.
EVEN = 16.0
#: Binary digits of a place that the finest grid drops: cells of log-odds are 2**-40 wide.
FINEST = 8
#: Digits of a place in all.
DIGITS = 63


def cells_each(n_problems: int) -> int:
    """Return the number of cells of each of so many sketches."""
    return min(max(PASS_CELLS // n_problems, FEWEST_CELLS), MOST_CELLS)


@dataclass(frozen=True)
class ScoreSketch(Part):
    """Weight of the events and of the rest at every score, or cell of scores, ascending.

    Attributes
    ----------
    score : ndarray of shape (n_cells,)
        The smallest of the cell.
    complement : ndarray of shape (n_cells,) or None
        The largest of the cell.
    source : {"logits", "proba"}
    place : ndarray of int, shape (n_cells,)
        Of the smallest log-odds; the grid keeps the leading digits.
    rest, events : ndarray of shape (n_cells,)
        Total weight of the targets 0 and 1 (of fractions, shared out).
    dropped : int
        Digits of the place that the grid drops; 0 where scores are told apart.
    most : int
        Most cells.
    """

    score: Float64Array
    complement: Float64Array | None
    source: InputKind
    place: IntArray
    rest: Float64Array
    events: Float64Array
    dropped: int
    most: int

    @classmethod
    def of(cls, scores: RankedScores, most: int) -> ScoreSketch:
        """Sum up some samples."""
        weight, events = scores.weight, scores.target.astype(np.float64)
        rest = 1.0 - events
        if weight is not None:
            rest, events = rest * weight, events * weight
        score, *others = scores.columns(slice(None))
        score = score + 0.0  # of -0 and 0 one
        complement = others[0] if others else None
        place = _places(score, complement, scores.source)
        return cls(score, complement, scores.source, place, rest, events, 0, most).condensed()

    @classmethod
    def merged(cls, sketches: list[ScoreSketch]) -> ScoreSketch:
        """Return the sketch of the samples of several."""
        dropped = max(sketch.dropped for sketch in sketches)
        return replace(cls.joined(sketches), dropped=dropped).condensed()

    def condensed(self) -> ScoreSketch:
        """Return the sketch with equal scores joined, on the finest grid that is coarse enough."""
        order = np.argsort(self.place, kind="stable")
        place = self.place[order]
        low, high = max(self.dropped, FINEST), DIGITS
        if self.dropped == 0 and _count(place, FINEST) <= self.most:
            keys = [self.score, self.place]
            if self.complement is not None:
                keys.insert(0, -self.complement)
            order = np.lexsort(keys)
            place = self.place[order]
            changes = np.zeros(max(len(order) - 1, 0), dtype=bool)
            for key in keys:
                changes |= key[order[1:]] != key[order[:-1]]
            if np.count_nonzero(changes) < self.most:
                return self._joined(order, changes, 0)
        while low < high:  # the count falls as digits are dropped
            middle = (low + high) // 2
            if _count(place, middle) <= self.most:
                high = middle
            else:
                low = middle + 1
        cells = place >> low
        return self._joined(order, cells[1:] != cells[:-1], low)

    def _joined(self, order: IntArray, changes: LabelArray, dropped: int) -> ScoreSketch:
        """Return the sketch with one cell for each run of samples without a change."""
        if not len(order):
            return self
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        rest = self.complement
        return replace(
            self,
            score=np.minimum.reduceat(self.score[order], starts),
            complement=None if rest is None else np.maximum.reduceat(rest[order], starts),
            place=self.place[order[starts]],
            rest=np.add.reduceat(self.rest[order], starts),
            events=np.add.reduceat(self.events[order], starts),
            dropped=dropped,
        )

    def samples(self) -> RankedScores:
        """Return weighted samples that stand for all: at most two a cell."""
        weight = np.stack([self.rest, self.events], axis=1).ravel()
        target = np.tile([0.0, 1.0], len(self.place))
        there = weight > 0
        cell = np.repeat(np.arange(len(self.place)), 2)[there]
        both = [self.score] if self.complement is None else [self.score, self.complement]
        columns = tuple(column[cell] for column in both)
        return RankedScores.of(columns, self.source, target[there], weight[there])


def _places(score: Float64Array, complement: Float64Array | None, source: InputKind) -> IntArray:
    """Return log-odds as integers in the same order, digits of which are those of a grid.

    The binary form of ``|s| + EVEN`` has the same exponent for all s up to `EVEN`.
    """
    s = score
    if source == "proba":
        with np.errstate(divide="ignore"):
            s = np.log(score) - np.log(1.0 - score if complement is None else complement)
    digits = (np.abs(s) + EVEN).view(np.int64)
    return np.where(s < 0, ~digits, digits)


def _count(place: IntArray, dropped: int) -> int:
    """Return the number of cells that hold one of the ascending places."""
    cells = place >> dropped
    return int(np.count_nonzero(cells[1:] != cells[:-1])) + 1


def sketches_of(
    part: ScoredPart,
    first: int,
    last: int,
    most: int,
    function: Callable[..., Iterable[RankedScores]],
    *arguments: Any,
) -> Sums:
    """Return the sketches of some of the problems that a function makes of a part."""
    problems = islice(function(part, *arguments), first, last)
    return tuple(ScoreSketch.of(scores, most) for scores in problems)


def merged_sketches(parts: list[Sums]) -> Sums:
    """Return the sketches of several parts merged, problem by problem."""
    return tuple(ScoreSketch.merged(list(group)) for group in zip(*parts, strict=True))
