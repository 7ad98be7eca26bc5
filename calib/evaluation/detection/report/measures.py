"""The numbers of a detection report: one set of scores at its operating point, matched once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calib._border.typing import Float64Array
from calib._core import binning
from calib.detection.lrp import truth_counts
from calib.detection.tables.detections import Detections
from calib.evaluation.detection import cell_sums
from calib.evaluation.detection.cell_sums import ClassSums, EntrySums, Layout
from calib.evaluation.detection.metrics import METRICS, Plan
from calib.evaluation.detection.outcomes import Grid, Outcomes, Target, make_grid
from calib.evaluation.detection.report.protocol import ScoreSet
from calib.evaluation.detection.report.records import ClassTable, PositionMap, ReliabilityBins
from calib.evaluation.detection.tables import Binned, bin_outcomes

#: Bins of the score, pooled over classes; per class for the localisation-aware error.
N_BINS, N_CLASS_BINS = 10, 25
#: Bins of the score and of every coordinate of a box, and detections that a cell needs.
N_POSITION_BINS, MIN_SAMPLES = 5, 8
FIVE = ("score", "cx", "cy", "w", "h")


#: Measures in reading order, by target; the first one is what the verdict speaks about.
ORDER = {
    "iou": (
        "localization_aware_calibration_error",
        "localization_aware_absolute_error",
        "score_iou_squared_error",
        "localization_recall_precision",
        "lrp_localization",
        "lrp_false_positive",
        "lrp_false_negative",
        "detection_calibration_error",
        "position_calibration_error",
    ),
    "tp": (
        "detection_calibration_error",
        "brier",
        "position_calibration_error",
        "localization_recall_precision",
        "lrp_localization",
        "lrp_false_positive",
        "lrp_false_negative",
        "localization_aware_calibration_error",
        "localization_aware_absolute_error",
        "score_iou_squared_error",
    ),
}


def plans_of(scores: ScoreSet, reference_compat: bool = False) -> dict[str, Plan]:
    """Prepare all measures; those of one table share it.

    Names ending in ``_bins`` are not numbers but sums of every score bin.
    """
    closed = reference_compat
    iou, tp = (scores.outcomes(target, kept=True) for target in ("iou", "tp"))
    score = make_grid(("score",), N_BINS, "uniform", class_edges=False, right_closed=closed)
    by_class = make_grid(("score",), N_CLASS_BINS, "uniform", class_edges=True, right_closed=closed)
    five = make_grid(FIVE, N_POSITION_BINS, "uniform", class_edges=False, right_closed=closed)
    located, found = bin_outcomes(iou, by_class, "iou"), bin_outcomes(tp, score, "tp")
    tables = {
        "detection_calibration_error": found,
        "score_iou_squared_error": _whole(scores, "iou"),
        "brier": _whole(scores, "tp"),
        "position_calibration_error": None,
    }
    if scores.detections.image_size is not None:
        tables["position_calibration_error"] = bin_outcomes(tp, five, "tp")
    plans = {}
    for name in ORDER[scores.target]:
        metric, binned = METRICS[name], tables.get(name, located)
        options = metric.options(as_published=reference_compat and metric.target == "iou")
        if name == "position_calibration_error":
            options = replace(options, min_samples=MIN_SAMPLES, renormalise=True)
        if binned is not None:
            plans[name] = metric.of(binned, options)
    plans["iou_bins"] = Plan(bin_outcomes(iou, score, "iou"), bin_sums, has_floor=False)
    plans["tp_bins"] = Plan(found, bin_sums, has_floor=False)
    return plans


def _whole(scores: ScoreSet, target: Target) -> Binned:
    """Sum up all detections at the raw threshold, the same before and after calibration."""
    return bin_outcomes(scores.outcomes(target, kept=False), Grid(("score",), (1,)), target)


def bin_sums(layout: Layout, entries: EntrySums, classes: ClassSums) -> Float64Array:
    """Sum classes with boxes per score bin: counts, then scores, then targets; (..., 3 n_bins)."""
    known = (classes.n_truth > 0)[..., layout.entry_class]
    one_hot = np.eye(layout.n_score_bins)[layout.entry_cell % layout.n_score_bins]
    sums = [np.where(known, column, 0.0) @ one_hot for column in entries[:3]]
    return np.concatenate(sums, axis=-1)


def reliability(plan: Plan, draws: Float64Array, confidence_level: float) -> ReliabilityBins:
    """Read a reliability diagram off `bin_sums`, the intervals off its draws."""
    count, score, target = np.split(plan.of_sample(plan.evaluate), 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_score, mean_target = score / count, target / count
        drawn = np.split(draws, 3, axis=1)
        gap = (drawn[2] - drawn[1]) / drawn[0]
    low, high = np.full((2, len(count)), np.nan)
    tail = (1 - confidence_level) / 2
    for b in np.flatnonzero(count > 0):
        known = gap[~np.isnan(gap[:, b]), b]
        if len(known) > 1:
            ends = mean_score[b] + np.quantile(known, [tail, 1 - tail])
            low[b], high[b] = np.clip(ends, 0.0, 1.0)
    edges = binning.uniform_edges(len(count))
    return ReliabilityBins(
        left=edges[:-1],
        right=edges[1:],
        n_detections=count.astype(np.intp),
        mean_score=mean_score,
        mean_target=mean_target,
        low=low,
        high=high,
    )


def position_map(outcomes: Outcomes, target: Target, n_bins: int) -> PositionMap:
    """Average score and target over a grid of box centres, classes with boxes pooled."""
    cx, cy = outcomes.values(("cx", "cy"))
    known = outcomes.n_truth[outcomes.code] > 0
    cell = binning.uniform_cells(cy, n_bins) * n_bins + binning.uniform_cells(cx, n_bins)
    score, wanted = outcomes.score, outcomes.target(target)
    difference = score - wanted
    count, total, right, gap, square = (
        np.bincount(cell[known], column[known], minlength=n_bins**2).reshape(n_bins, n_bins)
        for column in (np.ones(len(cell)), score, wanted, difference, difference**2)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.maximum(square - gap**2 / count, 0.0) / (count - 1)
        error = np.where(count > 1, np.sqrt(variance / count), np.nan)
        return PositionMap(
            target=target,
            n_detections=count.astype(np.intp),
            mean_score=total / count,
            mean_target=right / count,
            standard_error=error,
        )


# ----------------------------------------------------------------------------------------- classes


def class_table(
    detections: Detections,
    sets: tuple[ScoreSet, ScoreSet],
    plans: tuple[Plan, Plan],
) -> ClassTable:
    """Compare raw and calibrated scores class by class.

    Parameters
    ----------
    detections : Detections
        All of them; what occurs there or in the annotations has a row.
    sets, plans : pair
        Raw and calibrated scores, and their LRP errors; rows of both are the detections at the raw
        threshold.

    Returns
    -------
    table : ClassTable
    """
    before, after = sets
    ground_truth, calibrator = after.ground_truth, after.calibrator
    located, found = after.matches["iou"], after.matches["tp"]
    label = np.union1d(detections.labels, ground_truth.labels)
    names, n = ground_truth.class_names or {}, len(label)
    code = np.searchsorted(label, after.detections.labels)
    judged = after.keep & located.valid
    overlap = np.where(located.is_true_positive, located.iou, 0.0)
    columns = (before.detections.scores, after.detections.scores, overlap)
    score_raw, score_calibrated, mean_iou = (
        _class_means(code[judged], column[judged], n) for column in columns
    )
    counted = after.keep & found.valid
    right = found.is_true_positive[counted].astype(np.float64)
    raw, calibrated = calibrator.pooled_thresholds_
    unseen = ~np.isin(label, calibrator.classes_)
    labels: list[int] = label.tolist()
    reasons = [
        "not seen at fit" if new else calibrator.fallbacks_.get(one, "")
        for one, new in zip(labels, unseen, strict=True)
    ]
    lrp_raw, lrp_calibrated = (_lrp(plan, label) for plan in plans)
    return ClassTable(
        label=label,
        name=tuple(str(names.get(one, one)) for one in labels),
        n_truth=truth_counts(ground_truth, label),
        n_raw=np.bincount(code, minlength=n),
        n_kept=np.bincount(code[after.keep], minlength=n),
        threshold_raw=np.array([calibrator.raw_thresholds_.get(one, raw) for one in labels]),
        threshold_calibrated=np.array(
            [calibrator.calibrated_thresholds_.get(one, calibrated) for one in labels]
        ),
        score_raw=score_raw,
        score_calibrated=score_calibrated,
        mean_iou=mean_iou,
        precision=_class_means(code[counted], right, n),
        lrp_raw=lrp_raw,
        lrp_calibrated=lrp_calibrated,
        map_fallback=tuple(reasons),
        threshold_fallback=unseen | np.isin(label, calibrator.threshold_fallbacks_),
    )


def _class_means(code: np.ndarray, values: Float64Array, n_classes: int) -> Float64Array:
    """Average values per class; NaN for classes without any."""
    count = np.bincount(code, minlength=n_classes)
    out = np.full(n_classes, np.nan)
    np.divide(np.bincount(code, values, minlength=n_classes), count, out=out, where=count > 0)
    return out


def _lrp(plan: Plan, label: np.ndarray) -> Float64Array:
    """Return the LRP error of the classes asked for; NaN where it is not defined."""
    table = plan.binned.table
    error = cell_sums.lrp_parts(table.class_sums, table.iou_threshold).value
    known = dict(zip(table.class_label.tolist(), error.tolist(), strict=True))
    return np.array([known.get(one, np.nan) for one in label.tolist()], dtype=np.float64)


# ---------------------------------------------------------------------------------------- rankings


def count_beyond(detections: Detections, limit: int | None) -> int:
    """Count the detections that stand beyond a limit per image and class."""
    if limit is None:
        return 0
    _, image = np.unique(detections.image_id, return_inverse=True)
    _, label = np.unique(detections.labels, return_inverse=True)
    _, size = np.unique(image * (label.max(initial=0) + 1) + label, return_counts=True)
    return int(np.maximum(size - limit, 0).sum())


def same_ranking(one: Detections, other: Detections) -> bool:
    """Return whether scores of the same boxes order every class alike, ties included."""
    order = np.lexsort((one.scores, one.labels))
    label, first, second = one.labels[order], one.scores[order], other.scores[order]
    within = label[1:] == label[:-1]
    step = np.sign(np.diff(first)[within])
    return bool((np.sign(np.diff(second)[within]) == step).all())
