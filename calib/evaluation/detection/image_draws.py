"""Draws of whole images, and simulated calibrated scores, for any planned detection metric."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from calib._border.random import fixed
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection.cell_sums import ClassSums, EntrySums, mean_ratio
from calib.evaluation.detection.metrics import Plan
from calib.evaluation.detection.outcomes import Outcomes, Target
from calib.evaluation.detection.tables import Binned, entry_columns
from calib.evaluation.sampling.draws import unit_counts
from calib.evaluation.sampling.group_redraws import (
    GroupRedraws,
    group_correlation,
    quantile_correlation,
)
from calib.evaluation.sampling.intervals import Moments

_Table = TypeVar("_Table", Detections, GroundTruth)
Key = TypeVar("Key", bound=Hashable)

#: Detections of similar score whose overlaps stand for each other when a calibrated score is drawn.
NEIGHBOURS = 50
#: Numbers held at once for each sum (16 MB).
BATCH_NUMBERS = 1 << 21


class PerImage:
    """Sums of binned detections per image, so that any weighting of the images is one product.

    Parameters
    ----------
    binned : Binned
    n_images : int
    """

    def __init__(self, binned: Binned, n_images: int) -> None:
        outcomes, table = binned.outcomes, binned.table
        self.layout = table.layout
        image = outcomes.image_of(outcomes.rows)
        ignored = outcomes.image_of(outcomes.ignored)
        n_entries, n_classes = table.entries.shape[1], table.classes.shape[1]
        columns = entry_columns(outcomes.score, outcomes.target(table.target))
        self.entries = [
            _sparse(column, image, binned.entry, n_images, n_entries) for column in columns
        ]
        truth = outcomes.ground_truth
        annotated = np.searchsorted(truth.images, truth.image_id[~truth.ignore])
        self.classes = [
            _sparse(values, row, code, n_images, n_classes)
            for row, (values, code) in zip(
                (annotated, image, image, image, ignored, ignored),
                outcomes.class_columns(),
                strict=True,
            )
        ]
        self.batch = max(1, BATCH_NUMBERS // max(n_entries, n_classes, n_images, 1))

    def moments(self, plan: Plan) -> Moments:
        """Return the moments of a mean of these detections, images being the units."""
        assert plan.ratio is not None
        whole = plan.of_sample(plan.ratio)
        top, bottom, known, _ = whole.seen_as(whole.known)
        used = known & (bottom > 0)
        mean = float(mean_ratio(whole))
        n_images = self.entries[0].shape[0]
        share = np.zeros(top.shape)
        np.divide(1.0, bottom * max(int(known.sum()), 1), out=share, where=used)
        centre = np.divide(top, bottom, out=np.zeros(top.shape), where=used)
        deviation = np.empty(n_images)
        for start in range(0, n_images, self.batch):
            rows = slice(start, start + self.batch)
            parts = plan.ratio(
                self.layout,
                EntrySums(*(column[rows].toarray() for column in self.entries)),
                ClassSums(*(column[rows].toarray() for column in self.classes)),
            ).seen_as(whole.known)
            deviation[rows] = (parts.top - centre * parts.bottom) @ share
        return Moments(
            mean,
            float(np.sum(deviation**2)),
            float(np.sum(deviation**3)),
            n_images,
            n_images,
        )

    def values(self, plans: Sequence[Plan], weight: Float64Array) -> list[Float64Array]:
        """Return metrics of these detections under every row of weights."""
        entries = EntrySums(*((column.T @ weight.T).T for column in self.entries))
        classes = ClassSums(*((column.T @ weight.T).T for column in self.classes))
        return [plan.evaluate(self.layout, entries, classes) for plan in plans]


def _sparse(values: Any, row: IntArray, column: IntArray, n_rows: int, n_columns: int) -> Any:
    from scipy.sparse import csr_array

    data = np.asarray(values, dtype=np.float64)
    return csr_array((data, (row, column)), shape=(n_rows, n_columns))


class CalibratedTargets:
    """Targets of detections as they would be if the scores were right, image by image alike.

    Parameters
    ----------
    outcomes : Outcomes
    kind : {"tp", "iou"}
        True positives are drawn with the score as probability. Overlaps are the score plus the
        residual of one of about `NEIGHBOURS` detections of similar score.
    n_replicates : int
    rng : Generator

    Notes
    -----
    What detections of an image have in common is a normal number per image, see `GroupRedraws`;
    its share is that which gives the observed products of residuals inside images.
    """

    def __init__(
        self, outcomes: Outcomes, kind: Target, n_replicates: int, rng: np.random.Generator
    ) -> None:
        self.kind, self.rng = kind, rng
        self.correlation = 0.0
        n = len(outcomes.score)
        # Rows in an order of their own, so that numbers do not depend on how tables are sorted.
        self.order = np.argsort(outcomes.score, kind="stable")
        image = outcomes.image_of(outcomes.rows)
        groups = np.unique(image, return_inverse=True)[1].astype(np.intp)
        several = n > 0 and groups.any()
        if kind == "tp":
            self.score, groups = outcomes.score[self.order], groups[self.order]
            hit = outcomes.hit[self.order].astype(np.intp)
            if several:
                self.correlation = group_correlation(self.score, hit, groups)
        else:
            # Blocks of neighbours in score, each in the order of the overlaps.
            ends = np.linspace(0, n, max(1, n // NEIGHBOURS) + 1).astype(np.intp)
            start, size = ends[:-1], np.diff(ends)
            block = np.repeat(np.arange(len(size)), size)
            self.order = self.order[np.lexsort((outcomes.iou[self.order], block))]
            self.score, groups = outcomes.score[self.order], groups[self.order]
            overlap = outcomes.iou[self.order]
            means = np.add.reduceat(overlap, start) / size if n else np.zeros(1)
            self.residual = overlap - np.repeat(means, size)
            self.first, self.width = np.repeat(start, size), np.repeat(size, size)
            if several:
                self.correlation = quantile_correlation(self.score, self.residual, start, groups)
        self.redraws = GroupRedraws(groups, n_replicates, rng) if self.correlation else None

    def draw(self, replicate: int) -> Float64Array:
        """Return the targets of one replicate, shape (n_rows,)."""
        n = len(self.score)
        if self.redraws is None:
            uniform = self.rng.random(n)
        else:
            noise = self.rng.standard_normal((1, n))
            row = slice(replicate, replicate + 1)
            uniform = self.redraws.uniform(self.correlation, noise, row)[0]
        target = np.empty(n)
        if self.kind == "tp":
            target[self.order] = uniform < self.score
        else:
            drawn = self.first + (uniform * self.width).astype(np.intp)
            target[self.order] = self.score + self.residual[drawn]
        return target


def resampled_values(
    plans: Mapping[Key, Plan], n_images: int, n_resamples: int, rng: np.random.Generator
) -> dict[Key, Float64Array]:
    """Return what plans show on the same draws of images, each of shape (n_resamples, ...).

    A single image cannot be resampled: then there are no draws.
    """
    by_table = _grouped(plans, lambda plan: id(plan.binned))
    tables = [(PerImage(plans[names[0]].binned, n_images), names) for names in by_table]
    batch = min(images.batch for images, _ in tables)
    parts: dict[Key, list[Float64Array]] = {name: [] for name in plans}
    if n_images < 2:
        n_resamples = 0
    for start in range(0, max(n_resamples, 1), batch):
        size = min(batch, n_resamples - start)
        weight = unit_counts(n_images, size, rng).astype(np.float64)
        for images, names in tables:
            values = images.values([plans[name] for name in names], weight)
            for name, value in zip(names, values, strict=True):
                parts[name].append(value)
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}


def calibrated_values(
    plans: Mapping[Key, Plan], n_floor: int, seed: int
) -> dict[Key, Float64Array]:
    """Return what simulated calibrated detectors show, by plan; shape (n_floor, ...).

    Plans of the same detections see the same targets; whatever else there is, the numbers of a plan
    are the same.
    """
    values: dict[Key, list[Float64Array]] = {name: [] for name in plans}
    for names in _grouped(plans, lambda p: (id(p.binned.outcomes), p.binned.table.target)):
        rng = fixed(seed)
        tables = {id(plans[name].binned): plans[name].binned for name in names}
        outcomes = plans[names[0]].binned.outcomes
        targets = CalibratedTargets(outcomes, plans[names[0]].binned.table.target, n_floor, rng)
        n_entries = {key: binned.table.entries.shape[1] for key, binned in tables.items()}
        batch = max(1, BATCH_NUMBERS // max(*n_entries.values(), 1))
        for start in range(0, n_floor, batch):
            rows = range(start, min(start + batch, n_floor))
            sums = {
                key: np.empty((len(EntrySums._fields), len(rows), size))
                for key, size in n_entries.items()
            }
            for place, replicate in enumerate(rows):
                columns = entry_columns(outcomes.score, targets.draw(replicate))
                for key, binned in tables.items():
                    for sum_of, column in zip(sums[key], columns, strict=True):
                        sum_of[place] = np.bincount(binned.entry, column, minlength=n_entries[key])
            for name in names:
                table, entries = plans[name].binned.table, sums[id(plans[name].binned)]
                value = plans[name].evaluate(table.layout, EntrySums(*entries), table.class_sums)
                values[name].append(value)
    return {name: np.concatenate(blocks) for name, blocks in values.items()}


def _grouped(plans: Mapping[Key, Plan], of: Callable[[Plan], Hashable]) -> Iterable[list[Key]]:
    """Return the names of plans that share something, group by group."""
    groups: dict[Hashable, list[Key]] = {}
    for name, plan in plans.items():
        groups.setdefault(of(plan), []).append(name)
    return groups.values()


def images_drawn(
    detections: Detections, ground_truth: GroundTruth
) -> Callable[[IntArray], tuple[Detections, GroundTruth]]:
    """Return what gives detections and annotations of drawn images, numbered anew."""
    if ground_truth.negative is not None or ground_truth.not_exhaustive is not None:
        raise ValueError(
            "a callable cannot be resampled with federated annotation (negative, not_exhaustive); "
            "use one of the named metrics"
        )
    images = ground_truth.images
    detection_rows = _rows_of(detections.image_id, images)
    truth_rows = _rows_of(ground_truth.image_id, images)

    def tables(drawn: IntArray) -> tuple[Detections, GroundTruth]:
        sizes = None if ground_truth.sizes is None else ground_truth.sizes[drawn]
        truth = _renumbered(ground_truth, [truth_rows[image] for image in drawn])
        return (
            _renumbered(detections, [detection_rows[image] for image in drawn]),
            truth.replaced({"images": np.arange(len(drawn)), "sizes": sizes, "file_names": None}),
        )

    return tables


def _rows_of(image_id: LabelArray, images: LabelArray) -> list[IntArray]:
    """Return the rows of every image."""
    code = np.searchsorted(images, image_id)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.cumsum(np.bincount(code, minlength=len(images)))[:-1])


def _renumbered(table: _Table, chosen: list[IntArray]) -> _Table:
    """Return the rows of drawn images, the images numbered in the order of the draw."""
    number = np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])
    return table[np.concatenate(chosen)].replaced({"image_id": number})
