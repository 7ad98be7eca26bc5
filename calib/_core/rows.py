"""Rows of a calibration set, here or elsewhere, and the sums over them that fits are made of.

A fit is written once, against `Rows`: it adds up pure functions of parts, and looks at systematic
subsamples. Arrays in memory are a single part; the partitions of a collection are many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from calib._border.typing import Float64Array, InputKind, LabelArray
from calib._core.estimators.targets import against_rest, expanded, holds_shares, second_share
from calib._core.scores import Scores

#: Numbers (or arrays) that add up over parts.
Sums: TypeAlias = tuple[Any, ...]
#: Returns columns of some rows.
ColumnsOf: TypeAlias = Callable[[slice | LabelArray], tuple[Float64Array, ...]]
#: Makes one tuple of those of several parts.
Combination: TypeAlias = Callable[[list[Sums]], Sums]


class Part:
    """Some rows: a frozen dataclass whose arrays, `Scores` and the like have one entry a row."""

    weight: Float64Array | None
    target: LabelArray

    @property
    def n_samples(self) -> int:
        return len(self.target)

    @property
    def total(self) -> float:
        """The total weight."""
        return float(self.n_samples if self.weight is None else self.weight.sum())

    def take(self, rows: slice | LabelArray) -> Self:
        """Return some of the rows, those of a slice as views; what is no array stays."""
        taken = {name: _taken(value, rows) for name, value in vars(self).items()}
        return replace(self, **taken)  # type: ignore[type-var]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several parts in one."""
        columns = {name: [vars(part)[name] for part in parts] for name in vars(parts[0])}
        joined = {name: _joined(values) for name, values in columns.items()}
        return replace(parts[0], **joined)  # type: ignore[type-var]


def _taken(value: Any, rows: slice | LabelArray) -> Any:
    if isinstance(value, np.ndarray):
        return value[rows]
    return value.take(rows) if hasattr(value, "block") else value


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    return values[0].joined(values) if hasattr(values[0], "block") else values[0]


@dataclass(frozen=True)
class ScoredPart(Part):
    """Scores with their labels.

    Attributes
    ----------
    scores : Scores
    target : ndarray of shape (n_samples,)
        Column of the true class, or fractions in [0, 1] of the second of two; or, of shape
        (n_samples, n_classes), the share of every class.
    weight : ndarray of shape (n_samples,) or None
    soft : bool, default=False
        Whether targets are shares of all classes, or samples are copies of such rows (`copied`).
    """

    scores: Scores
    target: LabelArray
    weight: Float64Array | None
    soft: bool = False


@dataclass(frozen=True)
class RankedScores:
    """What maps that only order samples are fitted to: one score a sample, and whether it happens.

    Attributes
    ----------
    columns : callable
        Returns, for some rows or all (``slice(None)``), the score, and where it is a probability
        perhaps its complement; each time anew where that saves memory.
    source : {"logits", "proba"}
        Whether the score counts as log-odds or as a probability.
    target : ndarray of shape (n_samples,)
        In [0, 1], or truth values.
    weight : ndarray of shape (n_samples,) or None
    """

    columns: ColumnsOf
    source: InputKind
    target: LabelArray
    weight: Float64Array | None

    @classmethod
    def of(
        cls,
        columns: tuple[Float64Array, ...],
        source: InputKind,
        target: LabelArray,
        weight: Float64Array | None,
    ) -> RankedScores:
        """Return the same of arrays that are there."""
        return cls(lambda rows: tuple(x[rows] for x in columns), source, target, weight)


class Rows(Protocol):
    """All rows of a fit, wherever they are; those of scores know their classes and kind."""

    @property
    def n_samples(self) -> int: ...

    @property
    def largest_part(self) -> int:
        """Number of rows of the largest part."""

    @property
    def total(self) -> float:
        """Total weight."""

    @property
    def n_classes(self) -> int: ...

    @property
    def source(self) -> InputKind: ...

    @property
    def soft(self) -> bool:
        """Whether targets are shares of all classes, or samples are copies of such rows."""

    def reduce(self, function: Callable[..., Sums], *arguments: Any, by: Combination = ...) -> Sums:
        """Combine ``function(part, *arguments)`` of all parts, entry by entry; None adds up."""

    def mapped(self, function: Callable[..., Part], *arguments: Any) -> Rows:
        """Return the rows with every part replaced by ``function(part, *arguments)``."""

    def every(self, step: int) -> LocalRows:
        """Return rows 0, step, 2 step, ... of all, in memory."""

    def kept(self, function: Callable[..., LabelArray], *arguments: Any) -> Rows:
        """Return the rows where a function of a part is true, (n_samples,)."""

    def ordered(
        self, n_problems: int, function: Callable[..., Iterable[RankedScores]], *arguments: Any
    ) -> Iterable[RankedScores]:
        """Return, here, what ``function(part, *arguments)`` yields for all rows.

        Rows elsewhere are first summed up by scores: distinct ones, or where these are many those
        of a fine grid.
        """


@dataclass(frozen=True)
class LocalRows:
    """Rows in memory, a single part."""

    part: Any

    @property
    def n_samples(self) -> int:
        return int(self.part.n_samples)

    @property
    def largest_part(self) -> int:
        return self.n_samples

    @property
    def total(self) -> float:
        return float(self.part.total)

    @property
    def n_classes(self) -> int:
        return int(self.part.scores.n_classes)

    @property
    def source(self) -> InputKind:
        source: InputKind = self.part.scores.source
        return source

    @property
    def soft(self) -> bool:
        return bool(self.part.soft)

    def reduce(
        self, function: Callable[..., Sums], *arguments: Any, by: Combination | None = None
    ) -> Sums:
        return (by or added)([function(self.part, *arguments)])

    def mapped(self, function: Callable[..., Part], *arguments: Any) -> LocalRows:
        return LocalRows(function(self.part, *arguments))

    def every(self, step: int) -> LocalRows:
        return self if step == 1 else LocalRows(self.part.take(slice(None, None, step)))

    def kept(self, function: Callable[..., LabelArray], *arguments: Any) -> LocalRows:
        return LocalRows(self.part.take(function(self.part, *arguments)))

    def ordered(
        self, n_problems: int, function: Callable[..., Iterable[RankedScores]], *arguments: Any
    ) -> Iterable[RankedScores]:
        return function(self.part, *arguments)


def in_memory(
    scores: Scores, target: LabelArray, weight: Float64Array | None, *, soft: bool = False
) -> LocalRows:
    """Return scores with their labels and weights as rows."""
    return LocalRows(ScoredPart(scores, target, weight, soft))


def added(parts: list[Sums]) -> Sums:
    """Return the sums of parts added up."""
    return tuple(sum(entries[1:], start=entries[0]) for entries in zip(*parts, strict=True))


def largest_entries(parts: list[Sums]) -> Sums:
    """Return the largest entries over parts."""
    return tuple(np.maximum.reduce(list(entries)) for entries in zip(*parts, strict=True))


def listed(parts: list[Sums]) -> Sums:
    """Concatenate instead of adding; entries are lists."""
    return tuple([x for entry in entries for x in entry] for entries in zip(*parts, strict=True))


def rescored(part: ScoredPart, change: Callable[..., Scores], *arguments: Any) -> ScoredPart:
    """Return rows with ``change(scores, *arguments)`` in place of their scores."""
    return replace(part, scores=change(part.scores, *arguments))


def copied(part: ScoredPart, most: int | None = None) -> ScoredPart:
    """Return a copy of each row for every class that has a share of it, which is its weight.

    Rows that have labels, or are copies, come back as they are. Copies stand class by class: were
    those of a row neighbours, each n-th might always be of one class.

    Parameters
    ----------
    part : ScoredPart
    most : int, default=None
        Number of copies beyond which only each n-th is made; None makes all.
    """
    if not holds_shares(part.target):
        return part
    codes, rows, share = expanded(part.target.T)
    if most is not None:
        each = slice(None, None, -(-len(codes) // most))
        codes, rows, share = codes[each], rows[each], share[each]
    weight = share if part.weight is None else share * part.weight[rows]
    return ScoredPart(part.scores.take(rows), codes, weight, soft=True)


def classes_against_rest(part: ScoredPart) -> Iterator[RankedScores]:
    """Yield probabilities and complements of each class; of two classes only of the second."""
    scores, target = part.scores, part.target
    if scores.n_classes == 2:
        yield RankedScores(
            lambda rows: next(scores.take(rows).pairs()), "proba", second_share(target), part.weight
        )
        return
    for k, pair in enumerate(scores.pairs()):
        happens = against_rest(target, slice(k, k + 1))[:, 0]
        yield RankedScores.of(pair, "proba", happens, part.weight)
