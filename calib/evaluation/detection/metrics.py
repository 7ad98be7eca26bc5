"""Every metric of detections, declared once: what it compares, and how sums become the number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._border.warn import warn
from calib._core.binning import Strategy
from calib.detection.lrp import Threshold, ZeroIou
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection.cell_sums import (
    Average,
    ClassSums,
    EntrySums,
    ErrorOptions,
    Layout,
    Ratio,
    Terms,
    absolute_ratio,
    calibration_error,
    error_terms,
    lrp_ratios,
    mean_ratio,
    squared_ratio,
)
from calib.evaluation.detection.outcomes import Target, collect, make_grid
from calib.evaluation.detection.tables import Binned, bin_outcomes
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
        return float(self.of_sample(self.evaluate))

    def of_sample(self, evaluate: Evaluate) -> Any:
        """Return what the sums of the sample become."""
        table = self.binned.table
        return evaluate(table.layout, table.sums, table.class_sums)

    def gaps(self) -> Plan | None:
        """Return what shows the signed terms of the error instead; None for means."""
        if self.options is None:
            return None
        options, shown = self.options, self.terms().weight > 0

        def signed_terms(layout: Layout, entries: EntrySums, classes: ClassSums) -> Float64Array:
            signed = error_terms(layout, entries, classes, options, shown).signed
            return np.asarray(signed[..., shown])

        return Plan(self.binned, signed_terms)

    def terms(self) -> Terms:
        """Return the terms of the error of the sample; a calibration error has some."""
        assert self.options is not None
        terms: Terms = self.of_sample(partial(error_terms, options=self.options))
        return terms

    def checked_value(self, name: str) -> float:
        """Return the metric of the sample; warn, and say why, if there was nothing to measure."""
        value = self.value()
        if np.isnan(value):
            table = self.binned.table
            n, n_truth = table.n_detections, int(table.class_sums.n_truth.sum())
            if not n_truth:
                reason = "there is no annotated box that can be missed"
            elif not n:
                reason = "no detection counts: none was given, reached the threshold, or was judged"
            elif n == table.n_skipped:
                reason = f"all {n} detections are of classes without an annotated box"
            else:
                reason = "no cell has min_samples detections"
            warn(f"{name} is NaN: {reason}", NothingToMeasureWarning)
        return value


@dataclass(frozen=True)
class Metric:
    """A metric of detections; all lie in [0, 1], and less is better.

    Attributes
    ----------
    name : str
        As sentences call it.
    target : {"tp", "iou"}
        What scores are compared with: being a true positive, or the overlap.
    ratio : callable or None
        Sums whose ratios the number averages, if it is a mean; None for calibration errors.
    average : {"pooled", "macro"}
        Whether a calibration error takes all classes as one.
    has_floor : bool
        Whether chance alone moves the value of a calibrated score away from 0.
    """

    name: str
    target: Target
    ratio: Callable[..., Ratio] | None = None
    average: Average = "pooled"
    has_floor: bool = True

    def plan(
        self,
        detections: Detections,
        ground_truth: GroundTruth,
        iou_threshold: float,
        threshold: Threshold = None,
        matches: Matches | None = None,
        zero_iou: ZeroIou = "strict",
        reference_compat: bool = False,
        *,
        features: Sequence[str] = ("score",),
        n_bins: int | Sequence[int] = 1,
        strategy: Strategy = "uniform",
        **options: Any,
    ) -> Plan:
        """Check all options, match unless that was done, and sum up.

        Published code for metrics that read overlaps also matches boxes which do not touch.
        """
        as_published = reference_compat and self.target == "iou"
        checked = self.options(as_published=as_published, **options)
        grid = make_grid(
            features,
            n_bins,
            strategy,
            class_edges=checked.average != "pooled",
            right_closed=reference_compat,
            all_classes=checked.classes_without_gt == "fp",
        )
        outcomes = collect(
            detections,
            ground_truth,
            iou_threshold=iou_threshold,
            zero_iou="reference" if as_published else zero_iou,
            threshold=threshold,
            matches=matches,
        )
        return self.of(bin_outcomes(outcomes, grid, self.target), checked)

    def options(self, **options: Any) -> ErrorOptions:
        """Return how sums become the number."""
        return ErrorOptions(**{"average": self.average, **options})

    def of(self, binned: Binned, options: ErrorOptions) -> Plan:
        """Return the metric of rows that are summed up already."""
        if self.ratio is None:
            return Plan(binned, partial(calibration_error, options=options), options)
        ratio = partial(self.ratio, options=options)
        return Plan(
            binned, lambda *sums: mean_ratio(ratio(*sums)), ratio=ratio, has_floor=self.has_floor
        )


def _lrp(name: str, component: int) -> Metric:
    def ratio(layout: Layout, entries: Any, classes: ClassSums, options: Any) -> Ratio:
        return lrp_ratios(classes, layout.iou_threshold)[component]

    return Metric(name, "iou", ratio, has_floor=False)


#: All metrics, by the names of functions and reports.
METRICS = {
    "detection_calibration_error": Metric("the detection calibration error", "tp"),
    "position_calibration_error": Metric("the detection calibration error by position", "tp"),
    "localization_aware_calibration_error": Metric(
        "the localisation-aware calibration error", "iou", average="macro"
    ),
    "localization_aware_absolute_error": Metric(
        "the localisation-aware absolute error", "iou", absolute_ratio
    ),
    "score_iou_squared_error": Metric(
        "the squared error of score and overlap", "iou", squared_ratio
    ),
    "brier": Metric("the Brier score", "tp", squared_ratio),
    "localization_recall_precision": _lrp("the localisation recall precision error", 0),
    "lrp_localization": _lrp("its localisation component", 1),
    "lrp_false_positive": _lrp("its false positive component", 2),
    "lrp_false_negative": _lrp("its false negative component", 3),
}
