"""Precision and recall of every class, size range and overlap threshold, from one set of pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core import matching as core
from calib.detection.matching import Queue, outside
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth

#: Sizes by area in square pixels, both ends included: all, small, medium, large.
AREA_RANGES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
#: Recalls at which precision is read.
RECALLS = np.linspace(0, 1, 101)


class Curves(NamedTuple):
    """What average precision and recall are means of; NaN for classes without a counted box.

    Attributes
    ----------
    precision : ndarray of shape (n_areas, n_thresholds, n_recalls, n_classes)
        Largest precision at that recall or beyond, 0 where the recall is not reached.
    recall : ndarray of shape (n_areas, n_thresholds, n_limits, n_classes)
        Share of boxes found with so many detections per image and class.
    """

    precision: Float64Array
    recall: Float64Array


def curves(
    detections: Detections,
    ground_truth: GroundTruth,
    labels: IntArray,
    iou_thresholds: Float64Array,
    limits: list[int],
    max_detections: int | None,
) -> Curves:
    """Compute all curves; `labels` are the classes, sorted."""
    queue = Queue.build(detections, ground_truth, max_detections)
    ranking = _Ranking(queue, detections, labels)
    truth_class = np.searchsorted(labels, ground_truth.labels)
    shape = (len(AREA_RANGES), len(iou_thresholds))
    precision = np.full((*shape, len(RECALLS), len(labels)), np.nan)
    recall = np.full((*shape, len(limits), len(labels)), np.nan)
    pairs = core.candidate_pairs(
        queue.boxes,
        queue.key,
        ground_truth.boxes,
        queue.truth_key,
        ground_truth.ignore,
        core.Overlap(float(iou_thresholds.min()), True),
    )
    for a, area_range in enumerate(AREA_RANGES):
        ignored = ground_truth.ignore | outside(ground_truth.area, area_range)
        n_truth = np.bincount(truth_class[~ignored], minlength=len(labels))
        needed = _needed(n_truth)
        ranking.count(~queue.ignored_if_unmatched(area_range))
        ordered = core.by_preference(pairs, ignored)
        for t, threshold in enumerate(iou_thresholds):
            enough = ordered.take(core.Overlap(float(threshold), True).admits(ordered.iou))
            chosen = core.first_come(enough, len(queue.order), ground_truth.ignore)
            matched = np.flatnonzero(chosen >= 0)
            correct = ~ignored[enough.truth[chosen[matched]]]
            precision[a, t] = ranking.precision(matched, correct, needed)
            hits = matched[correct]
            for m, limit in enumerate(limits):
                within = hits[queue.rank[hits] < limit]
                counts = np.bincount(ranking.class_of[within], minlength=len(labels))
                recall[a, t, m] = counts / np.maximum(n_truth, 1)
        precision[a][..., n_truth == 0] = np.nan
        recall[a][..., n_truth == 0] = np.nan
    return Curves(precision, recall)


def _needed(n_truth: IntArray) -> IntArray:
    """Return how many boxes must be found for each recall, (n_recalls, n_classes); at least one."""
    n = np.maximum(n_truth, 1)
    level = RECALLS[:, None]
    k = np.ceil(level * n).astype(np.intp)
    k = np.where((k - 1) / n >= level, k - 1, k)  # the product may be rounded either way
    k = np.where(k / n < level, k + 1, k)
    return np.maximum(k, 1)


class _Ranking:
    """Detections of each class in one line over all images, by falling score.

    Equal scores stand in the order of images, in an image in the order of the rows.
    """

    def __init__(self, queue: Queue, detections: Detections, labels: IntArray) -> None:
        label = detections.labels[queue.order]
        self.class_of = np.searchsorted(labels, label)
        known = self.class_of < len(labels)
        known[known] = labels[self.class_of[known]] == label[known]
        self.class_of[~known] = len(labels)  # classes that are annotated nowhere come last
        self.row = np.lexsort((-detections.scores[queue.order], self.class_of))
        self.place = np.empty_like(self.row)
        self.place[self.row] = np.arange(len(self.row))
        self.classes = np.arange(len(labels))
        self.first = np.searchsorted(self.class_of[self.row], self.classes)
        self.counted = np.zeros(0, dtype=bool)
        self.total = np.zeros(1, dtype=np.intp)

    def count(self, counted: core.BoolArray) -> None:
        """Say which detections count when they match nothing."""
        self.counted = counted
        self.total = np.concatenate([[0], np.cumsum(counted[self.row])])

    def precision(
        self, matched: IntArray, correct: core.BoolArray, needed: IntArray
    ) -> Float64Array:
        """Return precision at all recalls, (n_recalls, n_classes).

        `matched` are the detections that match a box, `correct` marks those whose box counts. Only
        they are visited; what lies between them is known from running counts.
        """
        order = np.argsort(self.place[matched])
        matched, correct = matched[order], correct[order]
        change = np.concatenate([[0], np.cumsum(correct.astype(np.intp) - self.counted[matched])])
        before = change[np.searchsorted(self.class_of[matched], self.classes)]
        hit = np.flatnonzero(correct)
        place, code = self.place[matched[hit]], self.class_of[matched[hit]]
        first = np.searchsorted(code, self.classes)
        n_hits = np.arange(len(hit)) - first[code] + 1
        n = self.total[place + 1] - self.total[self.first[code]] + change[hit + 1] - before[code]
        values, level = np.unique(n_hits / n, return_inverse=True)
        shift = (len(self.classes) - code) * (len(values) + 1)  # later classes never reach earlier
        best = np.maximum.accumulate((level + shift)[::-1])[::-1] - shift
        envelope = np.append(values[best], 0.0)
        n_of_class = np.diff(np.append(first, len(hit)))
        reached = np.where(needed <= n_of_class, first + needed - 1, len(hit))
        result: Float64Array = envelope[reached]
        return result
