"""The numbers of a detection report: one set of scores at its operating point, matched once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._core import binning
from calib.detection.lrp import BoolArray, ZeroIou
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections, GroundTruth
from calib.evaluation.detection import cell_sums
from calib.evaluation.detection.cell_sums import ClassSums, EntrySums, ErrorOptions, Layout
from calib.evaluation.detection.image_draws import PerImage, image_weights
from calib.evaluation.detection.lrp import lrp_part
from calib.evaluation.detection.outcomes import Outcomes, Target, collect, make_grid
from calib.evaluation.detection.overlap_error import ONE_BIN
from calib.evaluation.detection.plans import Plan, error_plan, mean_plan
from calib.evaluation.detection.report.records import PositionMap, ReliabilityBins
from calib.evaluation.detection.tables import bin_outcomes

#: Bins of the score, pooled over classes; per class for the localisation-aware error.
N_BINS, N_CLASS_BINS = 10, 25
#: Bins of the score and of every coordinate of a box, and detections that a cell needs.
N_POSITION_BINS, MIN_SAMPLES = 5, 8
FIVE = ("score", "cx", "cy", "w", "h")


@dataclass(frozen=True)
class Rule:
    """How detections are judged.

    Attributes
    ----------
    target : {"iou", "tp"}
        What scores are calibrated to.
    iou_threshold : float
        Overlap of a true positive where overlaps are measured.
    precision_iou : float
        Overlap of a true positive where only being one counts.
    zero_iou : {"strict", "reference"}
    max_detections : int or None
        Limit that the calibrator was fitted with; None for every detection.
    """

    target: Target
    iou_threshold: float
    precision_iou: float
    zero_iou: ZeroIou
    max_detections: int | None

    def match(self, detections: Detections, ground_truth: GroundTruth, iou: float) -> Matches:
        """Match as the COCO evaluation does."""
        return match(
            detections,
            ground_truth,
            iou_threshold=iou,
            zero_iou=self.zero_iou,
            max_detections=self.max_detections,
        )


@dataclass(frozen=True, eq=False)
class Scored:
    """One set of scores, matched.

    Attributes
    ----------
    detections : Detections
        All that reach the raw threshold.
    ground_truth : GroundTruth
    keep : ndarray of bool of shape (n_detections,)
        Those that also reach the threshold of these scores.
    rule : Rule
    located, found : Matches
        Of all `detections`, at the overlaps of the rule.
    """

    detections: Detections
    ground_truth: GroundTruth
    keep: BoolArray
    rule: Rule
    located: Matches
    found: Matches

    @classmethod
    def of(
        cls, detections: Detections, ground_truth: GroundTruth, keep: BoolArray, rule: Rule
    ) -> Scored:
        """Match; once if both overlaps are the same."""
        located = rule.match(detections, ground_truth, rule.iou_threshold)
        same = rule.iou_threshold == rule.precision_iou
        found = located if same else rule.match(detections, ground_truth, rule.precision_iou)
        return cls(detections, ground_truth, keep, rule, located, found)

    def outcomes(self, target: Target, *, kept: bool) -> Outcomes:
        """Line up the detections that are judged, at the overlap of the target."""
        rows = self.keep if kept else np.ones(len(self.detections), dtype=bool)
        iou = target == "iou"
        return collect(
            self.detections[rows],
            self.ground_truth,
            iou_threshold=self.rule.iou_threshold if iou else self.rule.precision_iou,
            zero_iou=self.rule.zero_iou,
            threshold=None,
            matches=(self.located if iou else self.found)[rows],
        )


# ------------------------------------------------------------------------------------------ metrics


def plans_of(scored: Scored, reference_compat: bool = False) -> dict[str, Plan]:
    """Prepare all metrics; those of one table share it.

    Names ending in ``_bins`` are not numbers but sums of every score bin.
    """
    tau = scored.rule.iou_threshold
    iou, tp = (scored.outcomes(target, kept=True) for target in ("iou", "tp"))
    closed = reference_compat
    score = make_grid(("score",), N_BINS, "uniform", class_edges=False, right_closed=closed)
    by_class = make_grid(("score",), N_CLASS_BINS, "uniform", class_edges=True, right_closed=closed)
    located, found = bin_outcomes(iou, by_class, "iou"), bin_outcomes(tp, score, "tp")
    squared = partial(cell_sums.squared_ratio, classes_without_gt="skip")
    plans = {
        "localization_aware_calibration_error": error_plan(
            located, ErrorOptions(average="macro", drop_zero=reference_compat)
        ),
        "localization_aware_absolute_error": mean_plan(
            located, partial(cell_sums.absolute_ratio, reference_compat=reference_compat)
        ),
        "score_iou_squared_error": mean_plan(
            bin_outcomes(scored.outcomes("iou", kept=False), ONE_BIN, "iou"), squared
        ),
        **{
            name: mean_plan(
                located, partial(lrp_part, part=part, iou_threshold=tau), has_floor=False
            )
            for part, name in enumerate(
                (
                    "localization_recall_precision",
                    "lrp_localization",
                    "lrp_false_positive",
                    "lrp_false_negative",
                )
            )
        },
        "detection_calibration_error": error_plan(found, ErrorOptions()),
        "brier": mean_plan(bin_outcomes(scored.outcomes("tp", kept=False), ONE_BIN, "tp"), squared),
        "iou_bins": Plan(bin_outcomes(iou, score, "iou"), bin_sums, has_floor=False),
        "tp_bins": Plan(found, bin_sums, has_floor=False),
    }
    if scored.detections.image_size is not None:
        five = make_grid(FIVE, N_POSITION_BINS, "uniform", class_edges=False, right_closed=closed)
        options = ErrorOptions(min_samples=MIN_SAMPLES, renormalise=True)
        plans["position_calibration_error"] = error_plan(bin_outcomes(tp, five, "tp"), options)
    return plans


def bin_sums(layout: Layout, entries: EntrySums, classes: ClassSums) -> Float64Array:
    """Sum classes with boxes per score bin: counts, then scores, then targets; (..., 3 n_bins)."""
    known = (classes.n_truth > 0)[..., layout.entry_class]
    one_hot = np.eye(layout.n_score_bins)[layout.entry_cell % layout.n_score_bins]
    sums = [np.where(known, column, 0.0) @ one_hot for column in entries[:3]]
    return np.concatenate(sums, axis=-1)


def reliability(plan: Plan, draws: Float64Array, confidence_level: float) -> ReliabilityBins:
    """Read a reliability diagram off `bin_sums`, the intervals off its draws."""
    table = plan.binned.table
    count, score, target = np.split(plan.evaluate(table.layout, table.sums, table.class_sums), 3)
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


# -------------------------------------------------------------------------------------------- draws


class Replicas:
    """All metrics of one set of scores, ready for any weighting of the images."""

    def __init__(self, plans: Mapping[str, Plan], n_images: int) -> None:
        groups: dict[int, list[str]] = {}
        for name, plan in plans.items():
            groups.setdefault(id(plan.binned), []).append(name)
        self.parts = []
        for names in groups.values():
            widths = [_width(plans[name]) for name in names]
            evaluate = partial(_side_by_side, evaluations=[plans[name].evaluate for name in names])
            plan = Plan(plans[names[0]].binned, evaluate)
            self.parts.append((names, np.cumsum(widths)[:-1], PerImage(plan, n_images)))
        self.batch = min(images.batch for _, _, images in self.parts)

    def values(self, weight: Float64Array) -> dict[str, Float64Array]:
        """Return every metric under every row of weights, each of shape (n_replicates, width)."""
        out: dict[str, Float64Array] = {}
        for names, ends, images in self.parts:
            columns = np.split(images.values(weight), ends, axis=1)
            out.update(zip(names, columns, strict=True))
        return out


def _width(plan: Plan) -> int:
    """Return how many numbers a plan shows."""
    table = plan.binned.table
    return int(np.size(plan.evaluate(table.layout, table.sums, table.class_sums)))


def _side_by_side(
    layout: Layout, entries: EntrySums, classes: ClassSums, *, evaluations: list[Any]
) -> Float64Array:
    n = len(entries.n)
    columns = [np.reshape(e(layout, entries, classes), (n, -1)) for e in evaluations]
    return np.concatenate(columns, axis=1)


def draw_images(
    plans: Mapping[str, Mapping[str, Plan]],
    n_images: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, Float64Array]]:
    """Compute all metrics of all models on the same draws of images.

    A single image cannot be resampled: then there are no draws.
    """
    if n_images < 2:
        return {
            model: {name: np.empty((0, _width(plan))) for name, plan in own.items()}
            for model, own in plans.items()
        }
    replicas = {model: Replicas(own, n_images) for model, own in plans.items()}
    batch = min(one.batch for one in replicas.values())
    blocks: dict[str, list[dict[str, Float64Array]]] = {model: [] for model in plans}
    for weight in image_weights(n_images, n_resamples, batch, rng):
        for model, one in replicas.items():
            blocks[model].append(one.values(weight))
    return {
        model: {name: np.concatenate([block[name] for block in parts]) for name in parts[0]}
        for model, parts in blocks.items()
    }


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
    """Tell whether scores of the same boxes order every class alike, ties included."""
    order = np.lexsort((one.scores, one.labels))
    label, first, second = one.labels[order], one.scores[order], other.scores[order]
    within = label[1:] == label[:-1]
    step = np.sign(np.diff(first)[within])
    return bool((np.sign(np.diff(second)[within]) == step).all())
