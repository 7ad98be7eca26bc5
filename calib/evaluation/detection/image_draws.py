"""Draws of whole images, and simulated calibrated scores, for any planned detection metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib.detection.tables.detections import Detections, GroundTruth
from calib.evaluation.detection.cell_sums import ClassSums, EntrySums
from calib.evaluation.detection.plans import Plan
from calib.evaluation.detection.tables import entry_columns

_Table = TypeVar("_Table", Detections, GroundTruth)

#: Detections of similar score whose overlaps stand for each other when a calibrated score is drawn.
NEIGHBOURS = 50
#: Numbers held at once for each sum (16 MB).
BATCH_NUMBERS = 1 << 21


class PerImage:
    """Sums of a metric per image, so that any weighting of the images is one product.

    Parameters
    ----------
    plan : Plan
    n_images : int
    """

    def __init__(self, plan: Plan, n_images: int) -> None:
        self.plan = plan
        outcomes, table = plan.binned.outcomes, plan.binned.table
        image = outcomes.image_of(outcomes.rows)
        ignored = outcomes.image_of(outcomes.ignored)
        n_entries, n_classes = table.entries.shape[1], table.classes.shape[1]
        columns = entry_columns(outcomes.score, outcomes.target(table.target))
        self.entries = [
            _sparse(column, image, plan.binned.entry, n_images, n_entries) for column in columns
        ]
        code, other = outcomes.code, outcomes.ignored_code
        truth_image, truth_code = outcomes.truth()
        self.classes = [
            _sparse(column, row, of, n_images, n_classes)
            for column, row, of in (
                (np.ones(len(truth_code)), truth_image, truth_code),
                (outcomes.hit, image, code),
                (~outcomes.hit, image, code),
                (outcomes.iou, image, code),
                (np.ones(len(other)), ignored, other),
                (outcomes.ignored_score, ignored, other),
            )
        ]
        self.batch = max(1, BATCH_NUMBERS // max(n_entries, n_classes, n_images, 1))

    def values(self, weight: Float64Array) -> Float64Array:
        """Return the metric under every row of weights, shape (n_replicates,)."""
        entries = EntrySums(*((column.T @ weight.T).T for column in self.entries))
        classes = ClassSums(*((column.T @ weight.T).T for column in self.classes))
        out: Float64Array = self.plan.evaluate(self.plan.binned.table.layout, entries, classes)
        return out


def _sparse(values: Any, row: IntArray, column: IntArray, n_rows: int, n_columns: int) -> Any:
    from scipy.sparse import csr_array

    data = np.asarray(values, dtype=np.float64)
    return csr_array((data, (row, column)), shape=(n_rows, n_columns))


def calibrated_values(plan: Plan, n_floor: int, rng: np.random.Generator) -> Float64Array:
    """Return the metric of simulated calibrated detectors, shape (n_floor,)."""
    outcomes, table = plan.binned.outcomes, plan.binned.table
    score, n = outcomes.score, len(outcomes.score)
    if not n:
        return np.full(n_floor, np.nan)
    # Blocks of neighbours in score: row `order[i]` draws from the block that i falls in.
    order = np.argsort(score, kind="stable")
    start = np.linspace(0, n, max(1, n // NEIGHBOURS) + 1).astype(np.intp)
    size = np.diff(start)
    overlap = outcomes.iou[order]
    residual = overlap - np.repeat(np.add.reduceat(overlap, start[:-1]) / size, size)
    first, width = np.repeat(start[:-1], size), np.repeat(size, size)
    values = np.empty(n_floor)
    for replicate in range(n_floor):
        if table.target == "tp":
            target = (rng.random(n) < score).astype(np.float64)
        else:
            target = np.empty(n)
            target[order] = residual[first + (rng.random(n) * width).astype(np.intp)]
            target += score
        columns = entry_columns(score, target)
        sums = np.empty((len(columns), table.entries.shape[1]))
        for row, column in zip(sums, columns, strict=True):
            row[:] = np.bincount(plan.binned.entry, column, minlength=len(row))
        values[replicate] = plan.evaluate(table.layout, EntrySums(*sums), table.class_sums)
    return values


def image_weights(
    n_images: int, n_resamples: int, batch: int, rng: np.random.Generator
) -> Iterator[Float64Array]:
    """Yield how often every image is drawn, in blocks of replicates."""
    for start in range(0, n_resamples, batch):
        size = min(batch, n_resamples - start)
        drawn = rng.integers(n_images, size=(size, n_images))
        drawn += np.arange(size)[:, None] * n_images
        counts = np.bincount(drawn.ravel(), minlength=size * n_images)
        yield counts.reshape(size, n_images).astype(np.float64)


def redrawn_images(
    detections: Detections, ground_truth: GroundTruth, n_resamples: int, rng: np.random.Generator
) -> Iterator[tuple[Detections, GroundTruth]]:
    """Yield detections and annotations of drawn images, numbered anew."""
    if ground_truth.negative is not None or ground_truth.not_exhaustive is not None:
        raise ValueError(
            "a callable cannot be resampled with federated annotation (negative, not_exhaustive); "
            "use one of the named metrics"
        )
    images = ground_truth.images
    found, boxes = (_rows_of(one.image_id, images) for one in (detections, ground_truth))
    for _ in range(n_resamples):
        drawn = rng.integers(len(images), size=len(images))
        sizes = None if ground_truth.sizes is None else ground_truth.sizes[drawn]
        truth = _renumbered(ground_truth, [boxes[image] for image in drawn])
        yield (
            _renumbered(detections, [found[image] for image in drawn]),
            truth.replaced({"images": np.arange(len(drawn)), "sizes": sizes, "file_names": None}),
        )


def _rows_of(image_id: LabelArray, images: LabelArray) -> list[IntArray]:
    """Return the rows of every image."""
    code = np.searchsorted(images, image_id)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.cumsum(np.bincount(code, minlength=len(images)))[:-1])


def _renumbered(table: _Table, chosen: list[IntArray]) -> _Table:
    """Return the rows of drawn images, the images numbered in the order of the draw."""
    number = np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])
    return table[np.concatenate(chosen)].replaced({"image_id": number})
