"""A detection metric made ready: its table, its rows, and how sums become the number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, LabelArray
from calib._border.warn import warn
from calib.evaluation.detection.cell_sums import (
    ClassSums,
    EntrySums,
    ErrorOptions,
    Layout,
    Ratio,
    Terms,
    calibration_error,
    error_terms,
    mean_ratio,
)
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
    options : ErrorOptions or None
        How gaps of cells become the number, if it is a calibration error; None for means.
    ratio : callable or None
        Sums whose ratios the number averages, if it is a mean; None for calibration errors.
    has_floor : bool
        Whether chance alone moves the value of a calibrated score away from 0.
    """

    binned: Binned
    evaluate: Evaluate
    options: ErrorOptions | None = None
    ratio: Callable[[Layout, EntrySums, ClassSums], Ratio] | None = None
    has_floor: bool = True

    def value(self) -> float:
        """Return the metric of the sample."""
        table = self.binned.table
        return float(self.evaluate(table.layout, table.sums, table.class_sums))

    def gaps(self) -> Plan | None:
        """Return what shows the signed terms of the error instead; None for means."""
        if self.options is None:
            return None
        shown = self.terms().weight > 0
        return Plan(self.binned, partial(_signed_terms, options=self.options, shown=shown))

    def terms(self) -> Terms:
        """Return the terms of the error of the sample; a calibration error has some."""
        assert self.options is not None
        table = self.binned.table
        return error_terms(table.layout, table.sums, table.class_sums, self.options)


def error_plan(binned: Binned, options: ErrorOptions) -> Plan:
    """Return the plan of a calibration error."""
    return Plan(binned, partial(calibration_error, options=options), options)


def mean_plan(binned: Binned, ratio: Callable[..., Ratio], *, has_floor: bool = True) -> Plan:
    """Return the plan of a mean over classes of ratios of sums."""
    return Plan(binned, partial(_mean_of_ratio, ratio=ratio), ratio=ratio, has_floor=has_floor)


def _mean_of_ratio(
    layout: Layout, entries: EntrySums, classes: ClassSums, *, ratio: Callable[..., Ratio]
) -> Any:
    return mean_ratio(ratio(layout, entries, classes))


def _signed_terms(
    layout: Layout,
    entries: EntrySums,
    classes: ClassSums,
    *,
    options: ErrorOptions,
    shown: LabelArray,
) -> Float64Array:
    signed = error_terms(layout, entries, classes, options, shown).signed
    return np.asarray(signed[..., shown])


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
