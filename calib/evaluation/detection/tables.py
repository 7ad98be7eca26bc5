"""The mergeable table behind every detection metric: sums per class and cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from calib._border.checks import check_integer
from calib._border.typing import Float64Array, IntArray
from calib._core.binning import quotient
from calib.evaluation.detection import cell_sums
from calib.evaluation.detection.cell_sums import (
    Average,
    ClassSums,
    EntrySums,
    ErrorOptions,
    Layout,
    Reduce,
    WithoutTruth,
)
from calib.evaluation.detection.outcomes import Grid, Outcomes, Target, cells_of, edges_of


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """Sums of matched detections per class and cell; ``+`` merges disjoint sets of images.

    Every metric of this package is a function of such a table, so that a large data set may be
    evaluated in parts: the table of the whole equals the sum of the tables of its parts.

    Attributes
    ----------
    features : tuple of str
        Dimensions of the grid.
    edges : tuple of ndarray of shape (1, n_bins + 1)
        Edges of every dimension, the same for all classes.
    target : {"tp", "iou"}
        What scores are compared with: being a true positive, or the overlap (0 unless one).
    iou_threshold : float
        Overlap from which a detection is a true positive.
    class_label : ndarray of shape (n_classes,)
        All classes that were reported, annotated or named, ascending.
    entry_class, entry_cell : ndarray of int of shape (n_entries,)
        Class index and flat cell (position first, then score) of the occupied pairs.
    entries : ndarray of shape (5, n_entries)
        Sums of 1, score, target, and squared and absolute difference of the two.
    classes : ndarray of shape (6, n_classes)
        Boxes that can be missed, true positives, false positives, sum of overlaps; number and sum
        of scores of ignored detections.
    right_closed : bool
        Whether bins are ``(a, b]``, the first one closed, instead of ``[a, b)``.
    """

    features: tuple[str, ...]
    edges: tuple[Float64Array, ...]
    target: Target
    iou_threshold: float
    class_label: IntArray
    entry_class: IntArray
    entry_cell: IntArray
    entries: Float64Array
    classes: Float64Array
    right_closed: bool = False

    def __add__(self, other: DetectionTable) -> DetectionTable:
        """Merge the tables of disjoint sets of images; associative and commutative."""
        if not isinstance(other, DetectionTable):
            return NotImplemented
        for name in ("features", "target", "iou_threshold", "right_closed"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(
                    f"tables with different {name} cannot be merged: {getattr(self, name)!r} and "
                    f"{getattr(other, name)!r}"
                )
        if not all(map(np.array_equal, self.edges, other.edges)):
            raise ValueError(
                "tables with different edges cannot be merged; strategy='quantile' takes its edges "
                "from the data, so merge tables of equal-width bins, or merge the detections"
            )
        classes = np.union1d(self.class_label, other.class_label)
        sums = np.zeros((len(ClassSums._fields), len(classes)))
        keys, entries = [], []
        n_cells = self.n_cells
        for table in (self, other):
            code = np.searchsorted(classes, table.class_label)
            sums[:, code] += table.classes
            keys.append(code[table.entry_class] * n_cells + table.entry_cell)
            entries.append(table.entries)
        key, index = np.unique(np.concatenate(keys), return_inverse=True)
        columns = np.concatenate(entries, axis=1)
        merged = np.array([np.bincount(index, row, minlength=len(key)) for row in columns])
        return replace(
            self,
            class_label=classes,
            entry_class=key // n_cells,
            entry_cell=key % n_cells,
            entries=merged,
            classes=sums,
        )

    # ------------------------------------------------------------------------------------- shape

    @property
    def n_bins(self) -> tuple[int, ...]:
        """Number of bins of every dimension."""
        return tuple(edges.shape[1] - 1 for edges in self.edges)

    @property
    def n_cells(self) -> int:
        """Number of cells of the grid, empty ones included."""
        return int(np.prod(self.n_bins))

    @property
    def n_detections(self) -> int:
        """Number of detections that count, those of classes without boxes included."""
        return int(self.sums.n.sum())

    @property
    def n_skipped(self) -> int:
        """Number of detections of classes without boxes, which most metrics leave out."""
        truth = self.class_sums.n_truth[self.entry_class]
        return int(self.sums.n[truth == 0].sum())

    @property
    def layout(self) -> Layout:
        """Class and cell of the entries, as the error functions take them."""
        n_score_bins = self.n_bins[self.features.index("score")]
        return Layout(
            self.entry_class,
            self.entry_cell,
            len(self.class_label),
            n_score_bins,
            self.iou_threshold,
        )

    @property
    def sums(self) -> EntrySums:
        """The rows of `entries` by name."""
        return EntrySums(*self.entries)

    @property
    def class_sums(self) -> ClassSums:
        """The rows of `classes` by name."""
        return ClassSums(*self.classes)

    # ----------------------------------------------------------------------------------- numbers

    def calibration_error(
        self,
        *,
        reduce: Reduce = "ece",
        average: Average = "pooled",
        min_samples: int = 1,
        renormalise: bool = False,
        classes_without_gt: WithoutTruth = "skip",
        debiased: bool = False,
    ) -> float:
        """Reduce the gaps of all cells to one number.

        Parameters
        ----------
        reduce, average, min_samples, renormalise, classes_without_gt
            As for `detection_calibration_error`.
        debiased : bool, default=False
            Take the unbiased estimate of every squared gap, cut at 0, instead of the squared gap.

        Returns
        -------
        error : float
            In [0, 1]; NaN if nothing is counted.

        Raises
        ------
        ValueError
            If an option is unknown or out of range.
        """
        options = ErrorOptions(
            reduce, average, min_samples, renormalise, classes_without_gt, debiased=debiased
        )
        return float(cell_sums.calibration_error(self.layout, self.sums, self.class_sums, options))

    def class_errors(
        self, *, reduce: Reduce = "ece", min_samples: int = 1, renormalise: bool = False
    ) -> Float64Array:
        """Return the error of every class, shape (n_classes,); NaN for classes that do not count.

        Parameters
        ----------
        reduce, min_samples, renormalise
            As for `detection_calibration_error`.
        """
        options = ErrorOptions(reduce, "macro", min_samples, renormalise)
        return cell_sums.error_terms(self.layout, self.sums, self.class_sums, options).errors

    def absolute_error(self) -> float:
        """Return the mean over classes of the mean ``|score - target|`` of a class."""
        return self._mean(cell_sums.absolute_ratio)

    def squared_error(self) -> float:
        """Return the mean ``(score - target)**2`` over all detections of classes with boxes."""
        return self._mean(cell_sums.squared_ratio)

    def _mean(self, sums_of: Callable[..., cell_sums.Ratio]) -> float:
        sums = sums_of(self.layout, self.sums, self.class_sums, ErrorOptions())
        return float(cell_sums.mean_ratio(sums))

    def coverage(self, *, min_samples: int = 1) -> float:
        """Return the share of detections in cells with `min_samples` or more, classes pooled.

        Parameters
        ----------
        min_samples : int >= 1, default=1
        """
        counts = self._pooled()[0]
        counted = counts[counts >= check_integer("min_samples", min_samples, low=1)].sum()
        return float(counted / counts.sum()) if counts.sum() else float("nan")

    def map(self, *, min_samples: int = 1) -> Float64Array:
        """Return the calibration error at every position, classes pooled.

        Parameters
        ----------
        min_samples : int >= 1, default=1
            Cells with fewer detections contribute nothing.

        Returns
        -------
        error : ndarray
            One axis for each feature other than the score, in their order: mean absolute gap of
            the detections of that position, weighted by the counts of its score bins. NaN where no
            cell counts; a scalar array if the score is the only feature.
        """
        n, score, target = self._pooled()
        counted = n >= check_integer("min_samples", min_samples, low=1)
        counted &= n > 0
        gap = np.where(counted, np.abs(score - target), 0.0).sum(axis=-1)
        total = np.where(counted, n, 0.0).sum(axis=-1)
        return quotient(gap, total)

    def _pooled(self) -> Float64Array:
        """Return sums over classes with boxes of 1, score and target, score bins last."""
        known = self.class_sums.n_truth[self.entry_class] > 0
        cell = self.entry_cell[known]
        at = self.features.index("score")
        others = [n for i, n in enumerate(self.n_bins) if i != at]
        sums = np.zeros((3, self.n_cells))
        for row, out in zip(self.entries, sums, strict=False):
            out += np.bincount(cell, row[known], self.n_cells)
        return sums.reshape(3, *others, self.n_bins[at])


# ----------------------------------------------------------------------------------------- building


@dataclass(frozen=True, eq=False)
class Binned:
    """A table together with the rows behind it.

    Attributes
    ----------
    table : DetectionTable
    outcomes : Outcomes
    entry : ndarray of int of shape (n_rows,)
        Entry of the table that every row of `outcomes` belongs to.
    """

    table: DetectionTable
    outcomes: Outcomes
    entry: IntArray


def bin_outcomes(outcomes: Outcomes, grid: Grid, target: Target) -> Binned:
    """Sum matched rows into the cells of a grid."""
    values = outcomes.values(grid.features)
    edges = edges_of(grid, outcomes, values)
    cell = cells_of(grid, outcomes, values, edges)
    key, entry = np.unique(outcomes.code * grid.n_cells + cell, return_inverse=True)
    columns = entry_columns(outcomes.score, outcomes.target(target))
    entries = np.array([np.bincount(entry, column, minlength=len(key)) for column in columns])
    n_classes = len(outcomes.class_label)
    classes = [
        np.bincount(code, values, minlength=n_classes) for values, code in outcomes.class_columns()
    ]
    table = DetectionTable(
        features=grid.features,
        edges=tuple(edges),
        target=target,
        iou_threshold=outcomes.iou_threshold,
        class_label=outcomes.class_label,
        entry_class=key // grid.n_cells,
        entry_cell=key % grid.n_cells,
        entries=entries.reshape(len(columns), len(key)),
        classes=np.array(classes),
        right_closed=grid.right_closed,
    )
    return Binned(table, outcomes, entry)


def entry_columns(score: Float64Array, target: Float64Array) -> list[Float64Array]:
    """Return what is summed per entry, in the order of `EntrySums`."""
    difference = score - target
    return [np.ones(len(score)), score, target, difference**2, np.abs(difference)]
