"""The rows of a collection, kept where they are, and the passes over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calib._border import validation
from calib._border.typing import Float64Array, InputKind, LabelArray
from calib._border.warn import warn
from calib._core import tempering
from calib._core.logistic import one_vs_rest_problems
from calib._core.suspicion import MOST_ROWS, suspicion
from calib.distributed.partitions import (
    Columns,
    Part,
    Sums,
    check_part,
    dask,
    join,
    partitions_of,
    reduce,
    tasks_of,
)
from calib.warnings import DegenerateScoresWarning, ProbabilitiesAsLogitsWarning


@dataclass(frozen=True)
class Rows:
    """All rows of positive weight, in the order of the partitions.

    Attributes
    ----------
    parts : list of delayed objects
        Non-empty pieces, on the workers: `Part`, or what `mapped` made of them.
    sizes : list of int
        Their numbers of rows.
    total : float
        Total weight.
    weighted : bool
    n_classes : int
    source : {"logits", "proba"}
    """

    parts: list[Any]
    sizes: list[int]
    total: float
    weighted: bool
    n_classes: int
    source: InputKind

    @property
    def n_samples(self) -> int:
        return sum(self.sizes)

    def sums(self, function: Callable[..., Sums], *arguments: Any) -> Sums:
        """Add up what `function` returns for each piece."""
        return reduce(self.parts, function, *arguments)

    def reduced(
        self, combine: Callable[[list[Sums]], Sums], function: Callable[..., Sums], *arguments: Any
    ) -> Sums:
        """Combine what `function` returns for each piece in another way."""
        return reduce(self.parts, function, *arguments, combine=combine)

    def mapped(self, function: Callable[..., Any], *arguments: Any) -> Rows:
        """Return the rows with every piece replaced, computed once and kept on the workers."""
        apply = tasks_of(function)
        kept = dask().persist(*(apply(part, *arguments) for part in self.parts))
        return replace(self, parts=list(kept))

    def sample(self, function: Callable[[Any, int, int], Any], step: int) -> list[Any]:
        """Return ``function(piece, step, first)`` of all pieces: rows 0, step, 2 step, ... of all.

        The rows are those that one machine would take from the same data in the same order.
        """
        apply = tasks_of(function)
        offset, delayed = 0, []
        for part, size in zip(self.parts, self.sizes, strict=True):
            first = -offset % step
            if first < size:
                delayed.append(apply(part, step, first))
            offset += size
        return list(dask().compute(*delayed))


def read_rows(frame: Any, columns: Columns, classes: LabelArray, source: InputKind) -> Rows:
    """Check all partitions, keep their rows on the workers, and count them."""
    check = tasks_of(check_part)
    pieces = partitions_of(frame[columns.names])
    parts = dask().persist(*(check(k, p, columns, classes, source) for k, p in enumerate(pieces)))
    n_classes = len(classes)
    sizes, totals, alike, counts = reduce(list(parts), _count, n_classes, combine=_counted)
    kept = [k for k, size in enumerate(sizes) if size]
    if sum(sizes) < 2:
        raise ValueError(
            f"ddf has {sum(sizes)} rows of positive weight; calibration needs at least 2"
        )
    if np.count_nonzero(counts) < 2:
        single = classes[int(np.argmax(counts))]
        raise ValueError(
            f"column {columns.label!r} has a single class ({single!r}); calibration needs at least "
            f"two classes among the rows of positive weight"
        )
    if source == "logits" and all(alike[k] for k in kept):
        warn(
            "the scores look like probabilities (all values in [0, 1]"
            + (", rows sum to 1" if len(columns.scores) > 1 else "")
            + ") but input='logits'; pass input='proba' if they are",
            ProbabilitiesAsLogitsWarning,
        )
    rows = Rows(
        parts=[parts[k] for k in kept],
        sizes=[sizes[k] for k in kept],
        total=float(sum(totals)),
        weighted=columns.weight is not None,
        n_classes=n_classes,
        source=source,
    )
    if source == "logits":
        rows = _possible(rows)
    seen = gather(rows.sample(sample_of_part, -(-rows.n_samples // MOST_ROWS)))
    doubt = suspicion(seen.scores.array, source, seen.codes, seen.weight, classes, "scores")
    if doubt:
        warn(doubt, DegenerateScoresWarning)
    return rows


def _possible(rows: Rows) -> Rows:
    """Leave out rows whose label is masked, as the fit on one machine does."""
    counts, largest, first = rows.reduced(_gap_counts, _label_gaps)
    step = max(1, rows.n_samples * rows.n_classes // tempering.TYPICAL_ELEMENTS)
    piece = gather(rows.sample(sample_of_part, step))
    typical = tempering.typical_gap(piece.scores, piece.weight)
    level = tempering.excluded_level(counts, typical, rows.total)
    if largest < level:
        return rows
    n_rows = rows.n_samples
    rows = rows.mapped(_below, level)
    sizes, totals, ordinary = rows.reduced(_sizes, _size)
    tempering.warn_of_masked_labels(n_rows, n_rows - sum(sizes), largest, max(ordinary), first)
    kept = [k for k, size in enumerate(sizes) if size]
    return replace(
        rows,
        parts=[rows.parts[k] for k in kept],
        sizes=[sizes[k] for k in kept],
        total=float(sum(totals)),
    )


def _label_gaps(part: Part) -> Sums:
    gaps = tempering.label_gaps(part.scores, part.codes)
    return tempering.octave_counts(gaps), float(gaps.max(initial=0.0)), None


def _gap_counts(parts: list[Sums]) -> Sums:
    return sum(part[0] for part in parts), max(part[1] for part in parts), None


def _below(part: Part, level: float) -> Part:
    kept = tempering.label_gaps(part.scores, part.codes) < level
    scores = replace(part.scores, array=part.scores.array[kept])
    return Part(scores, part.codes[kept], None if part.weight is None else part.weight[kept])


def _size(part: Part) -> Sums:
    gaps = tempering.label_gaps(part.scores, part.codes) if len(part.codes) else np.zeros(1)
    return [len(part.codes)], [part.total], [float(gaps.max())]


def _sizes(parts: list[Sums]) -> Sums:
    return tuple(join(parts))


def _count(part: Part, n_classes: int) -> Sums:
    alike = not len(part.codes) or validation.looks_like_probabilities(part.scores.array)
    counts = np.bincount(part.codes, minlength=n_classes)
    return [len(part.codes)], [part.total], [alike], counts


def _counted(parts: list[Sums]) -> Sums:
    sizes, totals, alike = join([part[:3] for part in parts])
    return sizes, totals, alike, sum(part[3] for part in parts)


def gather(parts: Sequence[Part]) -> Part:
    """Join pieces into one."""
    some = parts[0].scores
    array = np.concatenate([part.scores.array for part in parts])
    weight = None
    if parts[0].weight is not None:
        weight = np.concatenate([part.weight for part in parts if part.weight is not None])
    codes = np.concatenate([part.codes for part in parts])
    return Part(replace(some, array=array), codes, weight)


def unit_of_rows(rows: Rows) -> tuple[float, Rows]:
    """Return what logits are divided by first, as on one machine, and the divided rows."""
    n_rows = max(tempering.UNIT_ROWS, tempering.UNIT_ELEMENTS // rows.n_classes)
    piece = gather(rows.sample(sample_of_part, max(1, rows.n_samples // n_rows)))
    unit = tempering.unit_of(piece.scores, piece.codes, piece.weight)
    return unit, rows if unit == 1.0 else rows.mapped(_in_units, unit)


def _in_units(part: Part, unit: float) -> Part:
    return replace(part, scores=part.scores.in_units(unit))


def sample_of_part(part: Part, step: int, first: int) -> Part:
    return part.every(step, first)


# ---------------------------------------------------------------------- log-odds


@dataclass(frozen=True)
class Odds:
    """Log-odds of some rows, one problem a column.

    Attributes
    ----------
    s, target : ndarray of shape (n_samples, n_problems)
    weight : ndarray of shape (n_samples,) or None
    """

    s: Float64Array
    target: LabelArray
    weight: Float64Array | None

    @property
    def total(self) -> float:
        """The total weight."""
        return float(len(self.s) if self.weight is None else self.weight.sum())

    def every(self, step: int, first: int = 0) -> Odds:
        """Return rows first, first + step, ..."""
        rows = slice(first, None, step)
        weight = None if self.weight is None else self.weight[rows]
        return Odds(self.s[rows], self.target[rows], weight)

    def column(self, k: int) -> Odds:
        """Return one problem."""
        return Odds(self.s[:, k : k + 1], self.target[:, k : k + 1], self.weight)


def odds_of(part: Part) -> Odds:
    """Return the log-odds of all one-vs-rest problems of a piece."""
    problems = list(one_vs_rest_problems(part.scores, part.codes.astype(np.float64)))
    s = np.concatenate([s for _, s, _ in problems], axis=1)
    return Odds(s, np.concatenate([t for _, _, t in problems], axis=1), part.weight)


def gather_odds(parts: Sequence[Odds]) -> Odds:
    """Join pieces into one."""
    weight = None
    if parts[0].weight is not None:
        weight = np.concatenate([part.weight for part in parts if part.weight is not None])
    s = np.concatenate([part.s for part in parts])
    return Odds(s, np.concatenate([part.target for part in parts]), weight)


def sample_of_odds(part: Odds, step: int, first: int) -> Odds:
    return part.every(step, first)
