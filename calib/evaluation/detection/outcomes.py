"""Matched detections as flat rows, and the cells of class and score (and position) they fall in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from calib._border.checks import (
    check_integer,
    check_iou,
    check_option,
    describe,
    is_integer,
)
from calib._border.limits import MOST_BINS
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core import binning
from calib._core.binning import Strategy
from calib.detection.lrp import (
    BoolArray,
    Threshold,
    ZeroIou,
    all_classes,
    apply_thresholds,
    check_matches,
    truth_counts,
)
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth

Target: TypeAlias = Literal["tp", "iou"]
FEATURES = ("score", "cx", "cy", "w", "h")
#: Relative positions are rounded to so many decimals before they are binned: a width of exactly
#: 3/8 of the image must not change its cell because it was computed from two corners.
POSITION_DECIMALS = 12
#: Cells of a grid of features at most.
MOST_CELLS = 10_000_000


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Detections that reach their threshold and are judged, with what became of them.

    Attributes
    ----------
    rows : ndarray of int of shape (n_rows,)
        Their positions among all detections, ascending.
    code, score, hit, iou : ndarray of shape (n_rows,)
        Class index, score, true positive, overlap (0 unless a true positive).
    ignored, ignored_code, ignored_score : ndarray of shape (n_ignored,)
        Position, class index and score of the kept detections that are neither right nor wrong.
    class_label, n_truth : ndarray of shape (n_classes,)
    iou_threshold : float
    detections, ground_truth : the arguments
    """

    rows: IntArray
    code: IntArray
    score: Float64Array
    hit: BoolArray
    iou: Float64Array
    ignored: IntArray
    ignored_code: IntArray
    ignored_score: Float64Array
    class_label: IntArray
    n_truth: IntArray
    iou_threshold: float
    detections: Detections
    ground_truth: GroundTruth

    def target(self, kind: Target) -> Float64Array:
        """Return what the score should be on average."""
        return self.hit.astype(np.float64) if kind == "tp" else self.iou

    def image_of(self, rows: IntArray) -> IntArray:
        """Return the position of the image of detections in ``ground_truth.images``."""
        return np.searchsorted(self.ground_truth.images, self.detections.image_id[rows])

    def class_columns(self) -> list[tuple[LabelArray, IntArray]]:
        """Return what `ClassSums` are sums of, in that order, with the class index of each row."""
        truth = self.ground_truth.labels[~self.ground_truth.ignore]
        return [
            (np.ones(len(truth)), np.searchsorted(self.class_label, truth)),
            (self.hit, self.code),
            (~self.hit, self.code),
            (self.iou, self.code),
            (np.ones(len(self.ignored)), self.ignored_code),
            (self.ignored_score, self.ignored_code),
        ]

    def values(self, features: Sequence[str]) -> list[Float64Array]:
        """Return the columns to bin, in [0, 1]; positions beyond the image are clipped."""
        position = None
        out = []
        for name in features:
            if name == "score":
                out.append(self.score)
                continue
            if position is None:
                position = np.clip(self.detections[self.rows].position(), 0.0, 1.0)
                position = np.round(position, POSITION_DECIMALS)
            out.append(position[:, FEATURES.index(name) - 1])
        return out


def collect(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float,
    zero_iou: ZeroIou,
    threshold: Threshold,
    matches: Matches | None,
) -> Outcomes:
    """Match unless that was done, drop what is below its threshold, and line up the rest."""
    iou_threshold = check_iou("iou_threshold", iou_threshold, one=False)
    keep = apply_thresholds(detections, threshold)
    if matches is None:
        matches = match(detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou)
    check_matches(matches, detections, iou_threshold)
    classes = all_classes(detections, ground_truth)
    rows = np.flatnonzero(keep & matches.valid)
    ignored = np.flatnonzero(keep & matches.is_evaluated & matches.is_ignored)
    return Outcomes(
        rows=rows,
        code=np.searchsorted(classes, detections.labels[rows]),
        score=detections.scores[rows],
        hit=matches.is_true_positive[rows],
        iou=np.where(matches.is_true_positive[rows], matches.iou[rows], 0.0),
        ignored=ignored,
        ignored_code=np.searchsorted(classes, detections.labels[ignored]),
        ignored_score=detections.scores[ignored],
        class_label=classes,
        n_truth=truth_counts(ground_truth, classes),
        iou_threshold=iou_threshold,
        detections=detections,
        ground_truth=ground_truth,
    )


# -------------------------------------------------------------------------------------------- cells


@dataclass(frozen=True)
class Grid:
    """How detections are binned.

    Attributes
    ----------
    features : tuple of str
        Dimensions; one of them is the score.
    n_bins : tuple of int
        Bins of every dimension.
    strategy : {"uniform", "quantile"}
    class_edges : bool
        Whether every class has its own equal-mass edges.
    right_closed : bool
        Bins ``(a, b]``, the first one closed, instead of the library's ``[a, b)``.
    all_classes : bool
        Whether equal-mass edges also look at detections of classes without boxes.
    """

    features: tuple[str, ...]
    n_bins: tuple[int, ...]
    strategy: Strategy = "uniform"
    class_edges: bool = False
    right_closed: bool = False
    all_classes: bool = False

    @property
    def n_cells(self) -> int:
        """Number of cells of a class."""
        return int(np.prod(self.n_bins))


def make_grid(
    features: Sequence[str],
    n_bins: int | Sequence[int],
    strategy: Strategy,
    *,
    class_edges: bool,
    right_closed: bool,
    all_classes: bool = False,
) -> Grid:
    """Check what describes a grid."""
    check_option("strategy", strategy, ("uniform", "quantile"))
    names = (features,) if isinstance(features, str) else tuple(features)
    known = all(name in FEATURES for name in names)
    if not known or len(set(names)) != len(names) or "score" not in names:
        raise ValueError(
            f"features must name 'score' and any of 'cx', 'cy', 'w', 'h', each once; got "
            f"{describe(names)}"
        )
    each: tuple[Any, ...]
    each = (n_bins,) * len(names) if is_integer(n_bins) else tuple(cast(Sequence[int], n_bins))
    if len(each) != len(names):
        raise ValueError(
            f"n_bins must be one integer or one for each of the {len(names)} features; got "
            f"{describe(n_bins)}"
        )
    counts = tuple(check_integer("n_bins", n, low=1, high=MOST_BINS) for n in each)
    if math.prod(counts) > MOST_CELLS:
        raise ValueError(
            f"n_bins={describe(n_bins)} for {len(names)} features makes {math.prod(counts)} cells; "
            f"at most {MOST_CELLS:,} are allowed: pass fewer bins or fewer features"
        )
    class_edges = class_edges and strategy == "quantile"
    return Grid(names, counts, strategy, class_edges, right_closed, all_classes)


def edges_of(grid: Grid, outcomes: Outcomes, values: list[Float64Array]) -> list[Float64Array]:
    """Return the edges of every dimension, shape (1 or n_classes, n_bins + 1)."""
    code = outcomes.code
    n_classes = len(outcomes.class_label) if grid.class_edges else 1
    if grid.strategy == "quantile" and not grid.all_classes:
        known = outcomes.n_truth[code] > 0
        code, values = code[known], [column[known] for column in values]
    if not grid.class_edges:
        code = np.zeros_like(code)
    order = np.argsort(code, kind="stable")
    present, start = np.unique(code[order], return_index=True)
    out = []
    for column, n in zip(values, grid.n_bins, strict=True):
        edges = np.tile(binning.uniform_edges(n), (n_classes, 1))
        if grid.strategy == "quantile" and len(column):
            for k, block in zip(present, np.split(column[order], start[1:]), strict=True):
                edges[k] = binning.quantile_edges(block, n)
        out.append(edges)
    return out


def cells_of(
    grid: Grid, outcomes: Outcomes, values: list[Float64Array], edges: list[Float64Array]
) -> IntArray:
    """Return the cell of every row: position cell times score bins, plus score bin."""
    dimensions = zip(grid.features, values, edges, grid.n_bins, strict=True)
    bins = {
        name: _bins(grid, column, limits, outcomes.code, n)
        for name, column, limits, n in dimensions
    }
    cell = np.zeros(len(outcomes.rows), dtype=np.intp)
    for name, n in zip(grid.features, grid.n_bins, strict=True):
        if name != "score":
            cell = cell * n + bins[name]
    return cell * grid.n_bins[grid.features.index("score")] + bins["score"]


def _bins(
    grid: Grid, column: Float64Array, edges: Float64Array, code: IntArray, n: int
) -> IntArray:
    if grid.strategy == "uniform":
        if not grid.right_closed:
            return binning.uniform_cells(column, n)
        bins: IntArray = np.clip(np.ceil(column * n) - 1, 0, n - 1).astype(np.intp)
        return bins
    if not grid.class_edges:
        side: Literal["left", "right"] = "left" if grid.right_closed else "right"
        return np.searchsorted(edges[0, 1:-1], column, side=side)
    inner = edges[code, 1:-1]
    reached = column[:, None] > inner if grid.right_closed else column[:, None] >= inner
    return reached.sum(axis=1).astype(np.intp)  # type: ignore[no-any-return]
