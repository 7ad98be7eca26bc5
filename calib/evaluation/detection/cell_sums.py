"""Errors from sums per class and cell; every function takes any number of replicates at once.

Sums carry replicates in front: ``(..., n_entries)`` for the occupied pairs of class and cell and
``(..., n_classes)`` for whole classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core.binning import quotient
from calib._core.matching import first_of_each

Reduce: TypeAlias = Literal["ece", "ace", "mce"]
Average: TypeAlias = Literal["pooled", "macro", "weighted"]
WithoutTruth: TypeAlias = Literal["skip", "fp"]


class EntrySums(NamedTuple):
    """Sums of the valid detections of a class in a cell, each of shape (..., n_entries)."""

    n: Float64Array
    score: Float64Array
    target: Float64Array
    squared: Float64Array  # of score minus target
    absolute: Float64Array


class ClassSums(NamedTuple):
    """Sums of a class, each of shape (..., n_classes)."""

    n_truth: Float64Array
    n_true_positive: Float64Array
    n_false_positive: Float64Array
    overlap: Float64Array
    n_ignored: Float64Array
    ignored_score: Float64Array


@dataclass(frozen=True, eq=False)
class Layout:
    """Which class and cell every entry belongs to, ascending in both.

    Attributes
    ----------
    entry_class, entry_cell : ndarray of int of shape (n_entries,)
    n_classes : int
    n_score_bins : int
        The bin of the score is ``entry_cell % n_score_bins``.
    iou_threshold : float
        Overlap from which a detection is a true positive.
    """

    entry_class: IntArray
    entry_cell: IntArray
    n_classes: int
    n_score_bins: int
    iou_threshold: float


@dataclass(frozen=True)
class ErrorOptions:
    """How gaps of cells become one number; raises unless all are among the allowed ones."""

    reduce: Reduce = "ece"
    average: Average = "pooled"
    min_samples: int = 1
    renormalise: bool = False
    classes_without_gt: WithoutTruth = "skip"
    as_published: bool = False  # ignored detections count, errors of exactly 0 do not
    debiased: bool = False

    def __post_init__(self) -> None:
        check_option("reduce", self.reduce, ("ece", "ace", "mce"))
        check_option("average", self.average, ("pooled", "macro", "weighted"))
        check_option("classes_without_gt", self.classes_without_gt, ("skip", "fp"))
        check_option("renormalise", self.renormalise, (False, True))
        check_integer("min_samples", self.min_samples, low=1)


class Terms(NamedTuple):
    """Gaps of cells, and the weight that each has in the error.

    Attributes
    ----------
    table : ndarray of int of shape (n_cells,)
        Class of every cell; 0 if classes are pooled.
    cell : ndarray of int of shape (n_cells,)
        Its place in the grid.
    gap, weight : ndarray of shape (..., n_cells)
        Mean score minus mean target, and what that counts; both 0 where a cell does not count.
    errors, mass : ndarray of shape (..., n_tables)
        Error of every class (NaN where nothing counts), and what that counts in the mean.
    """

    table: IntArray
    cell: IntArray
    gap: Float64Array
    weight: Float64Array
    errors: Float64Array
    mass: Float64Array

    @property
    def signed(self) -> Float64Array:
        """Numbers whose absolute values make up the error."""
        return self.gap * self.weight


def calibration_error(
    layout: Layout, entries: EntrySums, classes: ClassSums, options: ErrorOptions
) -> Any:
    """Return the error of every replicate, shape (...); NaN where nothing is counted."""
    terms = error_terms(layout, entries, classes, options)
    errors = np.where(terms.mass > 0, terms.errors, 0.0)
    return quotient((terms.mass * errors).sum(axis=-1), terms.mass.sum(axis=-1))


def error_terms(
    layout: Layout,
    entries: EntrySums,
    classes: ClassSums,
    options: ErrorOptions,
    counted: LabelArray | None = None,
) -> Terms:
    """Return what the error of every replicate is made of.

    Absolute values of `Terms.signed` add up to the error; of the maximum error the largest ones of
    the tables do. `counted` marks the cells that count whatever they hold; None counts those with
    enough detections.
    """
    n_tables = 1 if options.average == "pooled" else layout.n_classes
    table, cell, n, difference, squared = _cells_of(layout, entries, classes, options)
    if counted is None:
        counted = n >= options.min_samples
    counted = counted & (n > 0)
    gap = np.where(counted, quotient(difference, n), 0.0)
    if options.debiased:
        spread = within_variance(cell % layout.n_score_bins, n, difference, squared)
        gap = np.sqrt(np.maximum(gap**2 - np.nan_to_num(quotient(spread, n)), 0.0)) * counted
    total = by_group(n, table, n_tables)
    n_counted = by_group(np.where(counted, n, 0.0), table, n_tables)
    share = np.ones_like(gap)
    if options.reduce == "ece":
        share = quotient(n, (n_counted if options.renormalise else total)[..., table])
    elif options.reduce == "ace":  # over the score bins of a position, then over positions
        key = table * (int(cell.max(initial=0)) + 1) + cell // layout.n_score_bins
        column = np.unique(key, return_inverse=True)[1]
        starts = first_of_each(key)
        filled = by_group(counted.astype(np.float64), column, len(starts))
        used = by_group((filled > 0).astype(np.float64), table[starts], n_tables)
        share = 1.0 / np.maximum(filled[..., column] * used[..., table], 1.0)
    share = np.where(counted, np.nan_to_num(share), 0.0)
    combine = np.maximum if options.reduce == "mce" else np.add
    errors = by_group(np.abs(gap) * share, table, n_tables, combine)
    known = (total if options.reduce == "ece" and not options.renormalise else n_counted) > 0
    errors = np.where(known, errors, np.nan)
    if options.as_published:
        known &= errors != 0
    mass = np.where(known, total if options.average == "weighted" else 1.0, 0.0)
    of_class = np.nan_to_num(quotient(mass, mass.sum(axis=-1, keepdims=True)))[..., table]
    return Terms(table, cell, gap, share * of_class, errors, mass)


def _cells_of(
    layout: Layout, entries: EntrySums, classes: ClassSums, options: ErrorOptions
) -> tuple[IntArray, IntArray, Float64Array, Float64Array, Float64Array]:
    """Return table, cell, count, sum of score minus target, and sum of its square, of all cells.

    Entries as they are, or those of a cell as one if classes are pooled.
    """
    n, score, target, squared = entries[:4]
    if options.classes_without_gt == "skip":
        known = (classes.n_truth > 0)[..., layout.entry_class]
        n, score, target, squared = (np.where(known, x, 0.0) for x in (n, score, target, squared))
    table, cell = layout.entry_class, layout.entry_cell
    if options.average == "pooled":
        order = np.argsort(cell, kind="stable")
        cell, starts = np.unique(cell[order], return_index=True)
        n, score, target, squared = (
            np.add.reduceat(x[..., order], starts, axis=-1) for x in (n, score, target, squared)
        )
        table = np.zeros(len(cell), dtype=np.intp)
    return table, cell, n, score - target, squared


def within_variance(
    score_bin: IntArray, n: Float64Array, difference: Float64Array, squared: Float64Array
) -> Float64Array:
    """Return the variance of score minus target inside the cells, one value per cell.

    Cells of the same score bin share it, so that cells with one detection have it too; score bins
    without any cell of two take the variance of all. Only for single tables, not for replicates.
    """
    inside = np.maximum(squared - np.nan_to_num(quotient(difference**2, n)), 0.0)
    free = np.maximum(n - 1, 0.0)
    bins = int(score_bin.max(initial=0)) + 1
    share = quotient(
        np.bincount(score_bin, inside, minlength=bins), np.bincount(score_bin, free, minlength=bins)
    )
    overall = float(np.nan_to_num(quotient(inside.sum(), free.sum())))
    return np.where(np.isnan(share), overall, share)[score_bin]


class Ratio(NamedTuple):
    """What a mean is made of, class by class; both parts add up over images.

    Attributes
    ----------
    top, bottom : ndarray of shape (..., n_classes)
    known : ndarray of bool of shape (..., n_classes)
        Classes that count.
    pooled : bool
        Whether these are taken as one; otherwise the mean is over their ratios.
    """

    top: Float64Array
    bottom: Float64Array
    known: LabelArray
    pooled: bool = False

    def seen_as(self, known: LabelArray) -> Ratio:
        """Return sums of the given classes, added up where they are taken as one."""
        if not self.pooled:
            return self._replace(known=known)
        top, bottom = (
            np.where(known, sums, 0.0).sum(axis=-1, keepdims=True)
            for sums in (self.top, self.bottom)
        )
        return Ratio(top, bottom, bottom > 0)


def mean_ratio(ratio: Ratio) -> Any:
    """Return the mean over the known classes of their ratios, shape (...)."""
    top, bottom, known, _ = ratio.seen_as(ratio.known)
    means = np.where(known, quotient(top, bottom), 0.0)
    return quotient(means.sum(axis=-1), known.sum(axis=-1).astype(np.float64))


def absolute_ratio(
    layout: Layout, entries: EntrySums, classes: ClassSums, options: ErrorOptions
) -> Ratio:
    """Return the sums of the absolute error of every class."""
    total = by_group(entries.absolute, layout.entry_class, layout.n_classes)
    count = by_group(entries.n, layout.entry_class, layout.n_classes)
    known = (classes.n_truth > 0) & (count > 0)
    if options.as_published:
        total, count = total + classes.ignored_score, count + classes.n_ignored
        known = (classes.n_truth > 0) & (total > 0)
    return Ratio(total, count, known)


def squared_ratio(
    layout: Layout, entries: EntrySums, classes: ClassSums, options: ErrorOptions
) -> Ratio:
    """Return the sums of the squared difference of score and target, classes taken as one."""
    top, bottom = (
        by_group(column, layout.entry_class, layout.n_classes)
        for column in (entries.squared, entries.n)
    )
    known = classes.n_truth > 0
    return Ratio(top, bottom, known | (options.classes_without_gt == "fp"), pooled=True)


class LRPParts(NamedTuple):
    """LRP error and its components per class, each (..., n_classes); NaN where not defined."""

    value: Float64Array
    localization: Float64Array
    false_positive: Float64Array
    false_negative: Float64Array


def lrp_ratios(classes: ClassSums, iou_threshold: float) -> tuple[Ratio, Ratio, Ratio, Ratio]:
    """Return the sums of the LRP error and of its components, in the order of `LRPParts`."""
    truth, hit, miss = classes.n_truth, classes.n_true_positive, classes.n_false_positive
    annotated = truth > 0
    detected = annotated & (hit > 0)
    excess = np.maximum(hit - classes.overlap, 0.0)
    return (
        Ratio(excess / (1 - iou_threshold) + miss + (truth - hit), miss + truth, annotated),
        Ratio(excess, hit, detected),
        Ratio(miss, hit + miss, detected),
        Ratio(truth - hit, truth, annotated),
    )


def lrp_parts(classes: ClassSums, iou_threshold: float) -> LRPParts:
    """Return the LRP error and its components of every class."""
    ratios = lrp_ratios(classes, iou_threshold)
    return LRPParts(
        *(np.where(ratio.known, quotient(ratio.top, ratio.bottom), np.nan) for ratio in ratios)
    )


# ------------------------------------------------------------------------------------------- groups


def by_group(
    values: Float64Array, key: IntArray, n_groups: int, combine: np.ufunc = np.add
) -> Float64Array:
    """Combine the last axis over runs of an ascending key, shape (..., n_groups)."""
    out = np.zeros((*values.shape[:-1], n_groups))
    if len(key):
        starts = first_of_each(key)
        out[..., key[starts]] = combine.reduceat(values, starts, axis=-1)
    return out
