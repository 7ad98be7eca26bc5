"""Boxes against boxes: overlaps of all candidate pairs at once, and who gets which box.

Both sides are flat arrays over all images; an integer key per box says which boxes may meet.
Nothing here loops over images or classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

#: Pairs whose overlaps are computed at once: few enough to stay in the cache (150 bytes each).
PAIR_BUDGET = 1 << 16
#: Thresholds above this one ask for this overlap: an overlap of 1 may be a rounding error short.
LARGEST_THRESHOLD = 1 - 1e-10


class Overlap(NamedTuple):
    """How much two boxes must overlap: at least `threshold` and, if `positive`, at all."""

    threshold: float
    positive: bool

    def admits(self, iou: Float64Array) -> BoolArray:
        """Return which overlaps suffice."""
        enough: BoolArray = iou >= min(self.threshold, LARGEST_THRESHOLD)
        return enough & (iou > 0) if self.positive else enough


class Pairs(NamedTuple):
    """Pairs of a detection and a true box that overlap enough, detections ascending."""

    detection: IntArray
    truth: IntArray
    iou: Float64Array

    def take(self, rows: Any) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self.detection[rows], self.truth[rows], self.iou[rows])


def box_iou(boxes: Float64Array, others: Float64Array, covering: BoolArray) -> Float64Array:
    """Return the overlap of every row of `boxes` with the same row of `others`, corners both.

    Intersection over union; over the area of the first box where `covering`. Boxes without area
    have overlap 0.
    """
    x1, y1, x2, y2 = boxes.T
    u1, v1, u2, v2 = others.T
    width = np.minimum(x2, u2) - np.maximum(x1, u1)
    height = np.minimum(y2, v2) - np.maximum(y1, v1)
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    area = (x2 - x1) * (y2 - y1)
    union = area + (u2 - u1) * (v2 - v1) - inside
    if covering.any():
        union = np.where(covering, area, union)
    overlap: Float64Array = np.divide(inside, union, out=np.zeros_like(inside), where=inside > 0)
    return overlap


def group_order(key: IntArray, scores: Float64Array) -> tuple[IntArray, IntArray]:
    """Sort by key, then by falling score, equal scores in the order given.

    Returns
    -------
    order : ndarray of shape (n,)
        Positions in sorted order.
    rank : ndarray of shape (n,)
        Rank of each sorted row within its key, from 0.
    """
    order = np.lexsort((-scores, key))
    position = np.arange(len(order))
    first = np.where(starts(key[order]), position, 0)
    return order, position - np.maximum.accumulate(first)


def starts(values: IntArray) -> BoolArray:
    """Return where a run of equal values starts."""
    new = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new


def candidate_pairs(
    boxes: Float64Array,
    key: IntArray,
    truth_boxes: Float64Array,
    truth_key: IntArray,
    absorbing: BoolArray,
    rule: Overlap,
) -> Pairs:
    """Find all pairs of equal key that overlap enough.

    True boxes that are `absorbing` are never used up, hence only the best of them is kept for each
    detection: the one of largest overlap, the last of equals.
    """
    by_key = np.argsort(truth_key, kind="stable")
    groups, first, size = np.unique(truth_key[by_key], return_index=True, return_counts=True)
    if not len(groups) or not len(key):
        nothing = np.empty(0, dtype=np.intp)
        return Pairs(nothing, nothing, np.empty(0))
    group = np.minimum(np.searchsorted(groups, key), len(groups) - 1)
    busy = np.flatnonzero(groups[group] == key)
    start, count = first[group[busy]], size[group[busy]]
    before = np.cumsum(count) - count
    cuts = np.flatnonzero(np.diff(before // PAIR_BUDGET)) + 1
    bounds = [0, *cuts.tolist(), len(busy)]
    parts = []
    for low, high in pairwise(bounds):
        n = count[low:high]
        shift = start[low:high] - (before[low:high] - before[low] if high > low else 0)
        truth = by_key[np.repeat(shift, n) + np.arange(n.sum())]
        detection = np.repeat(busy[low:high], n)
        iou = box_iou(boxes[detection], truth_boxes[truth], absorbing[truth])
        pairs = Pairs(detection, truth, iou).take(np.flatnonzero(rule.admits(iou)))
        parts.append(_best_absorbing(pairs, absorbing))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _best_absorbing(pairs: Pairs, absorbing: BoolArray) -> Pairs:
    """Drop all pairs with absorbing boxes but the best of each detection."""
    rows = np.flatnonzero(absorbing[pairs.truth])
    if not len(rows):
        return pairs
    rows = rows[np.lexsort((-pairs.truth[rows], -pairs.iou[rows], pairs.detection[rows]))]
    keep = np.ones(len(pairs.iou), dtype=bool)
    keep[rows] = starts(pairs.detection[rows])
    return pairs.take(keep)


def first_of_each(values: IntArray) -> IntArray:
    """Return the rows at which a run of equal values starts."""
    return np.flatnonzero(starts(values))


def by_preference(pairs: Pairs, ignored: BoolArray) -> Pairs:
    """Sort the pairs of each detection: counted boxes first, larger overlaps, later rows."""
    return pairs.take(np.lexsort((-pairs.truth, -pairs.iou, ignored[pairs.truth], pairs.detection)))


def first_come(pairs: Pairs, n_detections: int, absorbing: BoolArray) -> IntArray:
    """Let every detection, in ascending order, take the first of its pairs whose box is free.

    All detections ask at once for the first box on their lists; a box keeps the earliest that ever
    asked and sends the others on to their next. As all boxes prefer earlier detections, this ends
    in the same assignment as serving one detection after the other, after a few rounds.

    Parameters
    ----------
    pairs : Pairs
        In ascending order of detections, for each in order of preference.
    n_detections : int
        Number of detections.
    absorbing : ndarray of bool of shape (n_truth,)
        Boxes that any number of detections may take.

    Returns
    -------
    chosen : ndarray of shape (n_detections,)
        Row of `pairs` that each detection took, -1 for none.
    """
    detection, truth, _ = pairs
    chosen = np.full(n_detections, -1, dtype=np.intp)
    new = starts(detection)
    row = np.flatnonzero(new)  # what the asking detections ask for now, ascending
    nobody = n_detections
    holder = np.full(len(absorbing), nobody, dtype=np.intp)
    while len(row):
        who, what = detection[row], truth[row]
        chosen[who] = row
        absorbed = absorbing[what]
        if absorbed.any():
            contested = np.flatnonzero(~absorbed)
            row, who, what = row[contested], who[contested], what[contested]
        before = holder[what]
        holder[what[::-1]] = who[::-1]  # the last written stays: the earliest that asks
        holder[what] = np.minimum(holder[what], before)
        kept = holder[what]
        lost = kept != who
        moved = before[(before != nobody) & (kept != before)]
        refused = np.concatenate([row[lost], np.unique(chosen[moved])])
        chosen[detection[refused]] = -1
        row = refused + 1
        row = row[row < len(detection)]
        row = np.sort(row[~new[row]])
    return chosen


def largest_total(pairs: Pairs, n_detections: int, n_truth: int) -> IntArray:
    """Assign boxes one to one so that the sum of overlaps is largest.

    Only clusters of boxes in which two or more detections compete for two or more boxes are solved
    as assignment problems, one by one.

    Returns
    -------
    chosen : ndarray of shape (n_detections,)
        Row of `pairs` that each detection took, -1 for none.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    chosen = np.full(n_detections, -1, dtype=np.intp)
    if not len(pairs.iou):
        return chosen
    n = n_detections + n_truth
    edges = (pairs.detection, pairs.truth + n_detections)
    graph = coo_array((np.ones(len(pairs.iou), dtype=np.int8), edges), shape=(n, n))
    cluster = connected_components(graph, directed=False)[1][pairs.detection]
    by_cluster = np.lexsort((-pairs.iou, cluster))  # stable: earlier detections first among equals
    bounds = np.append(first_of_each(cluster[by_cluster]), len(by_cluster))
    detection, truth, iou = pairs.take(by_cluster)
    one_detection = np.minimum.reduceat(detection, bounds[:-1]) == np.maximum.reduceat(
        detection, bounds[:-1]
    )
    one_truth = np.minimum.reduceat(truth, bounds[:-1]) == np.maximum.reduceat(truth, bounds[:-1])
    star = one_detection | one_truth
    best = by_cluster[bounds[:-1][star]]
    chosen[pairs.detection[best]] = best
    for one in np.flatnonzero(~star):
        rows = slice(bounds[one], bounds[one + 1])
        _, i = np.unique(detection[rows], return_inverse=True)
        _, j = np.unique(truth[rows], return_inverse=True)
        shape = (int(i.max()) + 1, int(j.max()) + 1)
        total, pair = np.zeros(shape), np.full(shape, -1, dtype=np.intp)
        total[i, j], pair[i, j] = iou[rows], by_cluster[rows]
        taken = pair[linear_sum_assignment(total, maximize=True)]
        taken = taken[taken >= 0]
        chosen[pairs.detection[taken]] = taken
    return chosen
