"""A detection metric made ready: its table, its rows, and how sums become the number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.warn import warn
from calib.evaluation.detection.cell_sums import ClassSums, EntrySums, Layout
from calib.evaluation.detection.tables import Binned
from calib.warnings import NothingToMeasureWarning

Evaluate = Callable[[Layout, EntrySums, ClassSums], Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """A metric of given detections, ready to be evaluated on any weighting of the images.

    Attributes
    ----------
    binned : Binned
    evaluate : callable
        Number from sums; sums of many replicates give as many numbers.
    evaluate_debiased : callable or None
        The same without the bias of absolute gaps, for single tables; None where there is none.
    has_floor : bool
        Whether chance alone moves the value of a calibrated score away from 0.
    """

    binned: Binned
    evaluate: Evaluate
    evaluate_debiased: Evaluate | None = None
    has_floor: bool = True

    def value(self) -> float:
        """Return the metric of the sample."""
        table = self.binned.table
        return float(self.evaluate(table.layout, table.sums, table.class_sums))

    def debiased(self) -> float:
        """Return the debiased metric of the sample, NaN where there is none."""
        if self.evaluate_debiased is None:
            return float("nan")
        table = self.binned.table
        return float(self.evaluate_debiased(table.layout, table.sums, table.class_sums))


def warn_if_nan(value: float, binned: Binned, what: str) -> float:
    """Warn, and say why, if there was nothing to measure."""
    if np.isnan(value):
        table = binned.table
        n, n_truth = table.n_detections, int(table.class_sums.n_truth.sum())
        if not n_truth:
            reason = "there is no annotated box that can be missed"
        elif not n:
            reason = "no detection counts: none was given, reached the threshold, or was judged"
        elif n == table.n_skipped:
            reason = f"all {n} detections are of classes without an annotated box"
        else:
            reason = "no cell has min_samples detections"
        warn(
            f"{what} is NaN: {reason}",
            NothingToMeasureWarning,
        )
    return value
