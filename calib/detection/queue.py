"""Detections lined up for matching: sorted, cut at the limit, with codes for image and class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core import matching as core
from calib._core.matching import BoolArray
from calib.detection.tables import checks
from calib.detection.tables.detections import Detections, GroundTruth


@dataclass(frozen=True, eq=False)
class Queue:
    """Detections that take part, in the order they are served, and the keys of both sides.

    Attributes
    ----------
    order : ndarray of int of shape (n_served,)
        Rows of the detections, by image and class, in each by falling score.
    rank : ndarray of int of shape (n_served,)
        Rank by score within image and class.
    image, key : ndarray of int of shape (n_served,)
        Position of the image in ``ground_truth.images``; code of image and class.
    truth_image, truth_key : ndarray of int of shape (n_truth,)
        The same of the annotated boxes.
    boxes : ndarray of shape (n_served, 4)
        Corners.
    open_class : ndarray of bool of shape (n_served,)
        The class is not annotated exhaustively in the image.
    """

    order: IntArray
    rank: IntArray
    image: IntArray
    key: IntArray
    truth_image: IntArray
    truth_key: IntArray
    boxes: Float64Array
    open_class: BoolArray

    @classmethod
    def build(
        cls, detections: Detections, ground_truth: GroundTruth, max_detections: int | None
    ) -> Self:
        """Line up the detections; those beyond the limit or not judged are left out."""
        images = ground_truth.images
        image = _positions(detections.image_id, images)
        truth_image = _positions(ground_truth.image_id, images)
        code = _ClassCode(detections.labels, ground_truth.labels, len(images))
        key, truth_key = code(image, detections.labels), code(truth_image, ground_truth.labels)
        order, rank = core.group_order(key, detections.scores)
        serve = None if max_detections is None else rank < max_detections
        if ground_truth.negative is not None:
            known = [truth_key, code.of_pairs(ground_truth.negative, images, "negative")]
            judged = np.isin(key[order], np.concatenate(known))
            serve = judged if serve is None else serve & judged
        if serve is not None and not serve.all():
            order, rank = order[serve], rank[serve]
        key = key[order]
        open_class = np.zeros(len(order), dtype=bool)
        if ground_truth.not_exhaustive is not None:
            open_class = np.isin(
                key, code.of_pairs(ground_truth.not_exhaustive, images, "not_exhaustive")
            )
        boxes = detections.boxes[order]
        return cls(order, rank, image[order], key, truth_image, truth_key, boxes, open_class)

    def ignored_if_unmatched(self, area_range: tuple[float, float] | None) -> BoolArray:
        """Tell which detections are not held to be wrong when they match nothing."""
        if area_range is None:
            return self.open_class
        size = self.boxes[:, 2:] - self.boxes[:, :2]
        return self.open_class | outside(size[:, 0] * size[:, 1], area_range)


class _ClassCode:
    """Code image and class in one integer."""

    def __init__(self, labels: IntArray, others: IntArray, n_images: int) -> None:
        both = np.concatenate([labels, others])
        self.low, high = (int(both.min()), int(both.max())) if len(both) else (0, 0)
        self.n, self.table = high - self.low + 1, None
        if self.n * max(n_images, 1) >= 2**62:
            self.table = np.unique(both)
            self.n = len(self.table)

    def __call__(self, image: IntArray, labels: IntArray) -> IntArray:
        code = labels - self.low if self.table is None else np.searchsorted(self.table, labels)
        key: IntArray = image * self.n + code
        return key

    def of_pairs(self, pairs: LabelArray, images: LabelArray, name: str) -> IntArray:
        """Return the codes of pairs of image and class; classes that occur nowhere have none."""
        if not len(pairs):
            return np.empty(0, dtype=np.intp)
        kind = str if images.dtype.kind == "U" else np.int64
        image = _positions(pairs[:, 0].astype(kind), images, name)
        labels = pairs[:, 1].astype(np.int64)
        if self.table is None:
            occurs = (labels >= self.low) & (labels < self.low + self.n)
        else:
            occurs = np.isin(labels, self.table)
        return self(image[occurs], labels[occurs])


def _positions(
    image_id: LabelArray, images: LabelArray, name: str = "detections.image_id"
) -> IntArray:
    """Return the position of every id in the sorted ids, looking up each run of equals once."""
    if not len(image_id):
        return np.empty(0, dtype=np.intp)
    checks.same_kind([image_id, images], (name, "ground_truth.images"))
    first = core.first_of_each(image_id)
    heads = image_id[first]
    position = np.minimum(np.searchsorted(images, heads), max(len(images) - 1, 0))
    known = images[position] == heads if len(images) else np.zeros(len(heads), dtype=bool)
    if not known.all():
        unknown = np.unique(heads[~known])
        raise ValueError(
            f"{name} has {len(unknown)} image(s) that ground_truth.images does not list, first "
            f"{unknown[:5].tolist()}; list every annotated image, also those without a box, "
            f"in GroundTruth(images=...), or drop these detections"
        )
    return np.repeat(position, np.diff(np.append(first, len(image_id))))


def outside(area: Float64Array, area_range: tuple[float, float]) -> BoolArray:
    """Tell which areas lie outside a range that includes both ends."""
    beyond: BoolArray = (area < area_range[0]) | (area > area_range[1])
    return beyond
