"""The rows of a collection, kept where they are: the remote side of `calib._core.rows`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from calib._border.typing import InputKind, LabelArray
from calib._core.rows import Combination, LocalRows, Part, RankedScores, Sums, listed
from calib.distributed.partitions import (
    ColumnNames,
    check_part,
    dask,
    reduce,
    tasks_of,
)
from calib.distributed.sketches import PASS_CELLS, cells_each, merged_sketches, sketches_of


@dataclass(frozen=True)
class RemoteRows:
    """All rows of positive weight, in the order of the partitions.

    Attributes
    ----------
    parts : list of delayed objects
        Non-empty pieces, on the workers.
    sizes : list of int
        Their numbers of rows.
    total : float
        Total weight.
    n_classes : int
    source : {"logits", "proba"}
    soft : bool, default=False
        Labels of collections are never soft targets.
    """

    parts: list[Any]
    sizes: list[int]
    total: float
    n_classes: int
    source: InputKind
    soft: bool = False

    @property
    def n_samples(self) -> int:
        """Number of rows of all partitions."""
        return sum(self.sizes)

    @property
    def largest_part(self) -> int:
        """Number of rows of the largest partition."""
        return max(self.sizes)

    def reduce(
        self, function: Callable[..., Sums], *arguments: Any, by: Combination | None = None
    ) -> Sums:
        """Combine, by tree, what a function returns for every part; None adds up."""
        return reduce(self.parts, function, *arguments, combine=by)

    def mapped(self, function: Callable[..., Part], *arguments: Any) -> RemoteRows:
        """Return the rows with every part replaced, computed once and kept on the workers."""
        apply = tasks_of(function)
        kept = dask().persist(*(apply(part, *arguments) for part in self.parts))
        return replace(self, parts=list(kept))

    def every(self, step: int) -> LocalRows:
        """Return rows 0, step, 2 step, ... of all, those that one machine would take, here."""
        take, offset, pieces = tasks_of(_every), 0, []
        for part, size in zip(self.parts, self.sizes, strict=True):
            first = -offset % step
            if first < size:
                pieces.append(take(part, first, step))
            offset += size
        parts = dask().compute(*pieces)
        return LocalRows(type(parts[0]).joined(parts))

    def kept(self, function: Callable[..., LabelArray], *arguments: Any) -> RemoteRows:
        """Return the rows where a function of a part is true."""
        return self.mapped(_kept, function, *arguments).counted()

    def ordered(
        self, n_problems: int, function: Callable[..., Iterable[RankedScores]], *arguments: Any
    ) -> Iterator[RankedScores]:
        """Yield weighted samples that stand for all, problem by problem; see `ScoreSketch`."""
        most = cells_each(n_problems)
        step = PASS_CELLS // most
        for first in range(0, n_problems, step):
            last = min(first + step, n_problems)
            given = (first, last, most, function, *arguments)
            for sketch in self.reduce(sketches_of, *given, by=merged_sketches):
                yield sketch.samples()

    def counted(self) -> RemoteRows:
        """Return the rows without empty parts, after these may have changed."""
        sizes, totals = reduce(self.parts, _size, combine=listed)
        filled = [k for k, size in enumerate(sizes) if size]
        return replace(
            self,
            parts=[self.parts[k] for k in filled],
            sizes=[sizes[k] for k in filled],
            total=float(sum(totals)),
        )


def read_rows(
    frame: Any, columns: ColumnNames, classes: LabelArray, source: InputKind
) -> RemoteRows:
    """Check all partitions, keep their rows on the workers, and count them."""
    check = tasks_of(check_part)
    pieces = frame[columns.names].to_delayed()
    parts = dask().persist(*(check(k, p, columns, classes, source) for k, p in enumerate(pieces)))
    rows = RemoteRows(list(parts), [], 0.0, len(classes), source).counted()
    if rows.n_samples < 2:
        raise ValueError(
            f"ddf has {rows.n_samples} rows of positive weight; calibration needs at least 2"
        )
    return rows


def _every(part: Part, first: int, step: int) -> Part:
    return part.take(slice(first, None, step))


def _kept(part: Part, function: Callable[..., LabelArray], *arguments: Any) -> Part:
    return part.take(function(part, *arguments))


def _size(part: Part) -> Sums:
    return [part.n_samples], [part.total]
