"""The measures of a report, their bootstrap replicates and their values under calibration.

Every measure is a function of sums over samples: of losses, or of a `BinTable`. A bootstrap
replicate is a column of counts, so its sums are a matrix product over losses and fixed bin
memberships; a replicate under calibration redraws labels and gathers. Both run block by block over
the samples, the same counts and random numbers serving all models, and no probability matrix is
ever copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._core import binning
from calib._core.binning import BinTable
from calib.evaluation.proper.losses import zero_floor
from calib.evaluation.sampling import loops
from calib.evaluation.sampling.draws import block_counts, draw_labels
from calib.evaluation.sampling.group_redraws import GroupRedraws, LabelRedraws, group_correlation
from calib.evaluation.sampling.intervals import (
    GapLaw,
    absolute_sum,
    negative_sum,
    positive_sum,
    smooth_gaps,
)
from calib.evaluation.views import views
from calib.evaluation.views.views import Average

#: Numbers in a block of replicate counts (4 MB); the block has as many samples as that allows.
BLOCK_NUMBERS = 1 << 19
#: Columns that are copied together, because they share lines of a core's cache, and the most
#: numbers of such a copy (32 MB).
LINE_NUMBERS, PART_NUMBERS = 16, 1 << 22


class MeasureInfo(NamedTuple):
    """What a reader has to know about a measure.

    An `error` has a floor that chance makes; a `share` is a mean of values 0 and 1.
    """

    title: str
    best: str
    bounds: tuple[float, float]
    error: bool
    share: bool = False


def describe_measures(
    n_bins: int, view: Average, positive: object, own_bins: bool = False
) -> dict[str, MeasureInfo]:
    """Return the measures of a report in reading order; `positive` is the second of two classes."""
    what = f"probability of class {positive}" if view == "binary" else "top label"
    width = f"{n_bins} {kind_of_bins(own_bins)}, {what}"
    return {
        "log_loss": MeasureInfo("Log loss (nats)", "lower", (0.0, np.inf), False),
        "brier": MeasureInfo("Brier score (sum over classes, 0 to 2)", "lower", (0.0, 2.0), False),
        "accuracy": MeasureInfo("Accuracy", "higher", (0.0, 1.0), False, True),
        "expected_calibration_error": MeasureInfo(
            f"Expected calibration error (ECE), {width}", "lower", (0.0, 1.0), True
        ),
        "adaptive_calibration_error": MeasureInfo(
            f"Adaptive calibration error (ACE), class-wise, {n_bins} equal-mass ranges",
            "lower",
            (0.0, 1.0),
            True,
        ),
        "overconfidence": MeasureInfo(
            "Overconfidence (part of ECE: predictions too large)", "lower", (0.0, 1.0), True
        ),
        "underconfidence": MeasureInfo(
            "Underconfidence (part of ECE: predictions too small)", "lower", (0.0, 1.0), True
        ),
    }


def kind_of_bins(own: bool) -> str:
    """Return what the bins of a report are called."""
    return "own bins" if own else "equal-width bins"


@dataclass(frozen=True, eq=False)
class Prepared:
    """One model: losses and bin memberships of every sample, computed once."""

    columns: FloatArray  # (n, K)
    codes: IntArray  # (n,)
    top: IntArray  # (n,)
    confidence: Float64Array  # (n,), of the top label
    losses: Float64Array  # (n, 3): log loss, Brier, correct
    square: Float64Array  # (n,): sum of squared probabilities
    floor: float
    prediction: Float64Array  # (n,), of the view that the ECE takes
    event: LabelArray  # (n,)
    cells: LabelArray  # (n,)
    class_cells: LabelArray  # (n, K)
    class_edges: Float64Array  # (K, m + 1)
    n_bins: int
    view: Average
    own_edges: Float64Array | None = None  # in the place of equal-width bins

    @property
    def edges(self) -> Float64Array:
        """Edges of the bins of the view."""
        return binning.uniform_edges(self.n_bins) if self.own_edges is None else self.own_edges

    @property
    def impossible(self) -> int:
        """Number of samples whose label had probability 0."""
        own = self.columns[np.arange(len(self.codes)), self.codes]
        return int((own <= 0).sum())

    def events(self, codes: IntArray) -> LabelArray:
        """Return what the prediction is of, for true labels of shape (..., n_samples)."""
        return np.asarray(codes == (1 if self.view == "binary" else self.top))


def prepare(
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
    n_bins: int,
    view: Average,
    own_edges: Float64Array | None = None,
) -> Prepared:
    """Compute what all replicates of a model share; own edges replace `n_bins`."""
    n_bins = n_bins if own_edges is None else len(own_edges) - 1
    columns = views.all_columns(proba)
    n_samples, n_classes = columns.shape
    confidence, top = views.top_label(columns)
    floor = zero_floor(columns.dtype)
    losses, square = np.empty((n_samples, 3)), np.empty(n_samples)
    for rows in row_blocks(n_samples, n_classes):
        block = columns[rows].astype(np.float64)
        own = block[np.arange(len(block)), codes[rows]]
        square[rows] = np.einsum("ij,ij->i", block, block)
        losses[rows, 0] = -np.log(np.maximum(own, floor))
        losses[rows, 1] = square[rows] - 2 * own + 1
    losses[:, 2] = top == codes
    prediction, event = (
        (views.positive_class(columns), codes == 1)
        if view == "binary"
        else (confidence, top == codes)
    )
    small = np.min_scalar_type(n_bins - 1)
    class_cells = np.empty((n_samples, n_classes), dtype=small)
    class_edges = np.empty((n_classes, n_bins + 1))
    step = max(1, min(LINE_NUMBERS, PART_NUMBERS // n_samples))
    for first in range(0, n_classes, step):
        part = np.ascontiguousarray(columns[:, first : first + step].T, dtype=np.float64)
        for k, column in enumerate(part, start=first):
            class_edges[k] = binning.quantile_edges(column, n_bins, weight)
            class_cells[:, k] = binning.cells_between(column, class_edges[k])
    return Prepared(
        columns=columns,
        codes=codes,
        top=top,
        confidence=confidence,
        losses=losses,
        square=square,
        floor=floor,
        prediction=prediction,
        event=event,
        cells=bin_cells(prediction, n_bins, own_edges),
        class_cells=class_cells,
        class_edges=class_edges,
        n_bins=n_bins,
        view=view,
        own_edges=own_edges,
    )


def bin_cells(values: Float64Array, n_bins: int, own_edges: Float64Array | None) -> IntArray:
    """Return the bin of every value, of equal width or between own edges."""
    if own_edges is None:
        return binning.uniform_cells(values, n_bins)
    return binning.cells_between(values, own_edges)


class Replicates(NamedTuple):
    """Values of all measures for one model, measures in the order of `describe_measures`."""

    value: Float64Array  # (n_measures,)
    bootstrap: Float64Array  # (n_resamples, n_measures)
    calibrated: Float64Array  # (n_resamples, n_measures)
    table: BinTable  # the one the ECE of the sample comes from
    class_table: BinTable  # the one the ACE of the sample comes from
    laws: tuple[GapLaw | None, ...]  # of every measure; None where gaps are not known


def replicate(
    models: Mapping[str, Prepared],
    weight: Float64Array | None,
    groups: IntArray | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Replicates]:
    """Compute the sample value, bootstrap and calibrated replicates of all models, paired."""
    sums = {name: _Sums(model, n_resamples) for name, model in models.items()}
    some = next(iter(models.values()))
    n_samples, n_classes = some.columns.shape
    step = max(1, min(BLOCK_NUMBERS // (n_resamples + 1), BLOCK_NUMBERS // n_classes))
    redraws = label_redraws(models, weight, groups, n_resamples, rng)
    for rows, counts in block_counts(n_samples, groups, n_resamples, step, rng):
        noise = redraws.noise(n_resamples, len(counts), rng)
        scale = None if weight is None else weight[rows]
        if scale is not None:
            counts = counts * scale[:, None]
        for name, total in sums.items():
            total.add(rows, counts, scale, redraws.numbers(name, noise, rows=rows))
    return {name: total.replicates() for name, total in sums.items()}


def label_redraws(
    models: Mapping[str, Prepared],
    weight: Float64Array | None,
    groups: IntArray | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> LabelRedraws:
    """Return what labels under calibration are drawn with, dependent inside groups if any."""
    if groups is None:
        return LabelRedraws(None, {}, {})
    correlation = {
        name: group_correlation(model.prediction, model.event, groups, weight)
        for name, model in models.items()
    }
    columns = {name: model.columns for name, model in models.items()}
    return LabelRedraws(GroupRedraws(groups, n_resamples, rng), correlation, columns)


class _Sums:
    """Running sums of one model over blocks of samples."""

    def __init__(self, model: Prepared, n_resamples: int) -> None:
        self.model = model
        n_classes, m = model.columns.shape[1], model.n_bins
        n_steps = float(model.columns.size + 4 * len(model.codes)) * n_resamples
        self.add_redrawn = loops.add_redrawn.given(n_steps)
        shape, class_shape = (3, m, 1 + n_resamples), (3, n_classes * m, 1 + n_resamples)
        self.losses = np.zeros((3, 1 + n_resamples))
        self.total = np.zeros(1 + n_resamples)
        self.top = np.zeros(shape)  # weight, prob, label of the view's bins
        self.classes = np.zeros(class_shape)
        self.redrawn_losses = np.zeros((n_resamples, 3))
        self.redrawn_top = np.zeros((n_resamples, m))
        self.redrawn_classes = np.zeros((n_resamples, n_classes * m))

    def add(
        self, rows: slice, counts: FloatArray, scale: Float64Array | None, uniform: Float64Array
    ) -> None:
        """Add a block: replicate weights, the sample's own weights, numbers to draw labels from."""
        model = self.model
        block = np.ascontiguousarray(model.columns[rows], dtype=np.float64)
        if (add := loops.add_losses.after(counts.size)) is not None:
            add(model.losses[rows], counts, self.losses, self.total)
        else:
            self.total += counts.sum(axis=0)
            losses = model.losses[rows]
            _scatter(self.losses, np.broadcast_to(np.arange(3), losses.shape), losses, counts)
        cells = model.cells[rows][:, None]
        event = np.where(model.event[rows], 0, -1)
        _add_counts(self.top, cells, model.prediction[rows][:, None], event, counts)
        class_cells = model.class_cells[rows] + np.arange(block.shape[1]) * model.n_bins
        _add_counts(self.classes, class_cells, block, model.codes[rows], counts)

        self._redraw(rows, block, class_cells, scale, draw_labels(block, uniform))

    def _redraw(
        self,
        rows: slice,
        block: Float64Array,
        class_cells: IntArray,
        scale: Float64Array | None,
        drawn: IntArray,
    ) -> None:
        """Add redrawn labels of a block, shape (n_resamples, n_rows)."""
        model, ones = self.model, np.ones(len(block)) if scale is None else scale
        cells = model.cells[rows]
        self.redrawn_losses[:, 1] += np.sum((model.square[rows] + 1) * ones)
        if self.add_redrawn is not None:
            log: Float64Array = np.empty((0, block.shape[1]))
            if block.shape[1] <= len(drawn):
                log = np.log(np.maximum(block, model.floor))
            else:  # fewer logarithms are drawn than there are
                chosen = np.maximum(np.take_along_axis(block, drawn.T, axis=1), model.floor)
                self.redrawn_losses[:, 0] -= np.einsum("ir,i->r", np.log(chosen), ones)
            self.add_redrawn(
                *(drawn, block, log, model.top[rows], cells, class_cells, ones),
                model.view == "binary",
                *(self.redrawn_losses, self.redrawn_top, self.redrawn_classes),
            )
            return
        log = np.log(np.maximum(block, model.floor))
        first, top = np.arange(len(block)) * block.shape[1], model.top[rows].astype(drawn.dtype)
        log, columns = log.ravel(), block.ravel()
        for replicates in row_blocks(len(drawn), len(block)):
            codes = drawn[replicates]
            chosen, hit = codes + first, codes == top
            losses = self.redrawn_losses[replicates]
            losses[:, 0] -= _total(log[chosen], ones)
            losses[:, 1] -= 2 * _total(columns[chosen], ones)
            losses[:, 2] += hit.sum(axis=1) if scale is None else _total(hit, scale)
            event = codes == 1 if model.view == "binary" else hit
            weights = event if scale is None else event * scale
            _count(self.redrawn_top[replicates], np.broadcast_to(cells, event.shape), weights)
            weights = None if scale is None else np.broadcast_to(scale, event.shape)
            _count(self.redrawn_classes[replicates], class_cells.ravel()[chosen], weights)

    def replicates(self) -> Replicates:
        """Turn the sums into values."""
        model, m = self.model, self.model.n_bins
        edges = model.edges
        top, classes = (np.swapaxes(sums, 1, 2) for sums in (self.top, self.classes))
        own = _measures(self.losses.T / self.total[:, None], top, classes, edges, model.class_edges)
        n_resamples = len(self.redrawn_top)
        fixed_top = np.broadcast_to(top[:2, :1], (2, n_resamples, m))
        fixed = np.broadcast_to(classes[:2, :1], (2, n_resamples, classes.shape[2]))
        calibrated = _measures(
            self.redrawn_losses / self.total[0],
            np.concatenate([fixed_top, self.redrawn_top[None]]),
            np.concatenate([fixed, self.redrawn_classes[None]]),
            edges,
            model.class_edges,
        )
        table = BinTable(edges[None, :], *top[:, :1, :])
        per_class = BinTable(model.class_edges, *classes[:, 0].reshape(3, -1, m))
        ece, over, under = view_laws(top, self.redrawn_top)
        ace = class_law(
            classes.reshape(3, 1 + n_resamples, -1, m),
            self.redrawn_classes.reshape(n_resamples, -1, m),
        )
        laws = (None, None, None, ece, ace, over, under)
        return Replicates(own[0], own[1:], calibrated, table, per_class, laws)


def view_laws(sums: Float64Array, redrawn: Float64Array) -> tuple[GapLaw, GapLaw, GapLaw]:
    """Return the laws of the expected error and of its two signed parts.

    Parameters
    ----------
    sums : ndarray of shape (3, 1 + n_resamples, n_bins)
        Weight, prediction and label of the sample and of bootstrap draws.
    redrawn : ndarray of shape (n_resamples, n_bins)
        Labels under calibration.
    """
    total = sums[0].sum(axis=1, keepdims=True)
    gaps = np.zeros(sums.shape[1:])  # a draw without weight shows none
    np.divide(sums[1] - sums[2], total, out=gaps, where=total > 0)
    share = sums[0, 0] / total[0]
    smooth = share * smooth_gaps(_per_weight(sums[1, 0] - sums[2, 0], sums[0, 0]), share)
    calibrated = (sums[1, 0] - redrawn) / total[0]
    resampled = gaps[1:] - gaps[0]
    ece, over, under = (
        GapLaw(smooth, calibrated, resampled, norm)
        for norm in (absolute_sum, positive_sum, negative_sum)
    )
    return ece, over, under


def class_law(sums: Float64Array, redrawn: Float64Array) -> GapLaw:
    """Return the law of the adaptive error: all bins of a class alike, all classes alike.

    Parameters
    ----------
    sums : ndarray of shape (3, 1 + n_resamples, n_classes, n_bins)
    redrawn : ndarray of shape (n_resamples, n_classes, n_bins)
    """
    n_classes = sums.shape[2]
    filled = (sums[0] > 0).sum(axis=-1, keepdims=True)
    scale = 1.0 / (n_classes * np.maximum(filled, 1))
    gaps = _per_weight(sums[1] - sums[2], sums[0]) * scale
    smooth = smooth_gaps(_per_weight(sums[1, 0] - sums[2, 0], sums[0, 0]), sums[0, 0])
    calibrated = _per_weight(sums[1, 0] - redrawn, sums[0, 0]) * scale[0]
    return GapLaw(
        ((sums[0, 0] > 0) * smooth * scale[0]).ravel(),
        calibrated.reshape(len(redrawn), -1),
        (gaps[1:] - gaps[0]).reshape(len(gaps) - 1, -1),
        absolute_sum,
    )


def _per_weight(sums: Float64Array, weight: Float64Array) -> Float64Array:
    """Return means per bin, 0 in empty ones."""
    weight = np.broadcast_to(weight, sums.shape)
    out = np.zeros(sums.shape)
    np.divide(sums, weight, out=out, where=weight > 0)
    return out


def _measures(
    losses: Float64Array,
    top: Float64Array,
    classes: Float64Array,
    edges: Float64Array,
    class_edges: Float64Array,
) -> Float64Array:
    """Return all measures, shape (n_replicates, n_measures), from sums per replicate."""
    n_replicates, m = top.shape[1:]
    one = BinTable(np.broadcast_to(edges, (n_replicates, m + 1)), *top)
    n_classes = len(class_edges)
    adaptive = np.empty(n_replicates)
    for rows in row_blocks(n_replicates, n_classes * m):
        per_class = BinTable(class_edges, *classes[:, rows].reshape(3, -1, m))
        adaptive[rows] = per_class.mean_gap().reshape(-1, n_classes).mean(axis=1)
    over, under = one.signed_parts()
    return np.column_stack([losses, one.error(1), adaptive, over, under])


def _add_counts(
    sums: Float64Array,
    cells: IntArray,
    values: Float64Array,
    own: IntArray,
    counts: FloatArray,
) -> None:
    """Add counts, values and events of a block of rows to bins; see `loops.add_binned`."""
    n_tables = cells.shape[1]
    n_bins = sums.shape[1] // n_tables
    add = loops.add_binned.after(float(cells.size) * counts.shape[1])
    if add is not None and n_bins <= len(counts):
        add(sums, cells, values, own, counts, n_bins)
        return
    _scatter(sums[0], cells, None, counts)
    _scatter(sums[1], cells, values, counts)
    event = own >= 0
    place = cells[np.arange(len(cells)), np.where(event, own, 0)]
    _scatter(sums[2], place[:, None], event[:, None], counts)


def _scatter(
    out: Float64Array, cells: LabelArray, values: LabelArray | None, counts: FloatArray
) -> None:
    """Add ``values[i, k] * counts[i]`` to row ``cells[i, k]`` of `out`, for all i and k."""
    from scipy.sparse import csc_array

    n_rows, n_columns = cells.shape
    data = np.ones(cells.size) if values is None else values.ravel().astype(np.float64)
    pointer = np.arange(0, cells.size + 1, n_columns)
    matrix = csc_array((data, cells.ravel(), pointer), shape=(len(out), n_rows))
    if len(out) > 2 * n_rows:  # a cache does not hold all sums: finish one after the other
        matrix = matrix.tocsr()
    out += matrix @ counts


def _total(values: LabelArray, scale: Float64Array) -> Float64Array:
    """Return ``values @ scale``; without BLAS, whose threads cost more than they bring here."""
    total: Float64Array = np.einsum("ri,i->r", values, scale)
    return total


def _count(out: Float64Array, cells: IntArray, weights: LabelArray | None) -> None:
    """Add ``weights[r, i]``, or 1, to ``out[r, cells[r, i]]``."""
    n_replicates, size = out.shape
    flat = (cells + np.arange(n_replicates)[:, None] * size).ravel()
    weights = None if weights is None else weights.ravel()
    out += np.bincount(flat, weights, minlength=out.size).reshape(out.shape)
