"""Which detection found which annotated box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from calib._border.checks import check_integer, check_iou, check_option, describe
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core import matching as core
from calib._core.matching import BoolArray
from calib.detection.tables import checks
from calib.detection.tables.detections import Detections
from calib.detection.tables.flat import Flat, merged_rows
from calib.detection.tables.ground_truth import GroundTruth

Mode = Literal["coco", "any", "hungarian"]
ZeroIou = Literal["strict", "reference"]


@dataclass(frozen=True, eq=False, repr=False)
class Matches(Flat):
    """Result of `match`: one row per detection, in the order of the detections.

    Attributes
    ----------
    is_true_positive : ndarray of bool of shape (n_detections,)
        The detection found a box.
    iou : ndarray of shape (n_detections,)
        Overlap with the box found, in [0, 1]; 0 where there is none.
    truth_index : ndarray of int of shape (n_detections,)
        Row of the ground truth that was matched, also of one that is ignored; -1 for none.
    is_ignored : ndarray of bool of shape (n_detections,)
        Neither right nor wrong: on an ignored region, outside the area range, or unmatched where
        not every instance is annotated.
    is_evaluated : ndarray of bool of shape (n_detections,)
        False beyond `max_detections`, and for classes that are not judged in their image.

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth, match
    >>> found = Detections([[0, 0, 10, 10], [0, 0, 9, 9]], [0.9, 0.4], [1, 1], [7, 7])
    >>> matches = match(found, GroundTruth([[0, 0, 10, 10]], [1], [7]))
    >>> matches
    Matches(2 detections: 1 true positive, 1 false positive, 0 ignored, 0 not evaluated)
    >>> matches[matches.valid].iou
    array([1., 0.])
    """

    is_true_positive: BoolArray
    iou: Float64Array
    truth_index: IntArray
    is_ignored: BoolArray
    is_evaluated: BoolArray

    def __len__(self) -> int:
        return len(self.iou)

    @property
    def valid(self) -> BoolArray:
        """Detections that count: evaluated and not ignored."""
        valid: BoolArray = self.is_evaluated & ~self.is_ignored
        return valid

    @classmethod
    def concat(cls, parts: Sequence[Self], n_truth: Sequence[int]) -> Self:
        """Stack the matches of several batches, in the order given.

        Parameters
        ----------
        parts : sequence of Matches
            At least one.
        n_truth : sequence of int
            Number of boxes in the ground truth of each part; `truth_index` then refers to the
            concatenated ground truth.

        Returns
        -------
        matches : Matches
            All rows.

        Raises
        ------
        ValueError
            If there is no part, or not one number per part.
        """
        if len(n_truth) != len(parts):
            raise ValueError(
                f"n_truth must have one number per part; got {len(n_truth)} for {len(parts)} parts"
            )
        rows = merged_rows(parts)
        before = np.cumsum([0, *n_truth[:-1]])
        shift = np.repeat(before, [len(part) for part in parts])
        rows["truth_index"] = np.where(rows["truth_index"] < 0, -1, rows["truth_index"] + shift)
        return cls(**rows)

    def __repr__(self) -> str:
        true = int((self.is_true_positive & self.valid).sum())
        false = int(self.valid.sum()) - true
        return (
            f"Matches({_count(len(self), 'detection')}: {_count(true, 'true positive')}, "
            f"{_count(false, 'false positive')}, {int((self.is_evaluated & self.is_ignored).sum())}"
            f" ignored, {int((~self.is_evaluated).sum())} not evaluated)"
        )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def match(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.5,
    mode: Mode = "coco",
    zero_iou: ZeroIou = "strict",
    max_detections: int | None = None,
    area_range: tuple[float, float] | None = None,
) -> Matches:
    """Match detections with annotated boxes.

    Under ``"coco"`` the matches of a detection depend only on detections of the same image and
    class with a higher score. Dropping the lowest-scored detections of a class therefore changes
    nothing for the others: one call serves all score thresholds, ``matches[keep]`` is the rest.

    Parameters
    ----------
    detections : Detections
        Boxes found. Each has to lie in one of ``ground_truth.images``; classes without any
        annotated box are fine (all their boxes are false positives).
    ground_truth : GroundTruth
        Annotated boxes. Its `negative` and `not_exhaustive` are obeyed where given.
    iou_threshold : float in [0, 1], default=0.5
        Overlap (intersection over union) that a match needs; equality suffices.
    mode : {"coco", "any", "hungarian"}, default="coco"
        ``"coco"``: by falling score, each detection takes the free box of its image and class that
        it overlaps most, as the COCO evaluation does. ``"any"``: each detection is compared with
        the box of its image that it overlaps most, of whatever class, and is right if the classes
        agree; several detections may share a box. Only for comparison with results published that
        way. ``"hungarian"``: the largest total overlap within image and class, whatever the scores.
    zero_iou : {"strict", "reference"}, default="strict"
        What ``iou_threshold=0`` means: any overlap at all, or also none. ``"reference"`` is for
        comparison with published values that match boxes which do not touch; no effect under
        ``"hungarian"`` (such a pair adds nothing to the total) or on larger thresholds.
    max_detections : int >= 1 or None, default=None
        Only so many of the highest scores are evaluated in each image and class. None evaluates
        all, as calibration must: what is not evaluated gets calibrated scores all the same. The
        limit of 100 belongs to COCO's `average_precision`, and to protocols published with it.
    area_range : (float, float), default=None
        Range of areas in square pixels, both ends included. Annotated boxes outside are ignored,
        and so are unmatched detections outside. Not for ``"any"``.

    Returns
    -------
    matches : Matches
        One row per detection, in the order given. Statistics use ``matches.valid`` only.

    Raises
    ------
    ValueError
        If an option is unknown or out of range, `area_range` meets ``mode="any"``, detections (or
        `negative`, `not_exhaustive`) name images that the ground truth does not list, or image ids
        are texts on one side and integers on the other.

    See Also
    --------
    Matches : The result, field by field.

    Notes
    -----
    Equal scores are served in the order of the rows; of boxes with exactly equal overlap the later
    row is taken. Boxes flagged `ignore` take any number of detections, by intersection over area of
    the detection, but only those that no other box of their class admits; these detections count
    neither as right nor as wrong. Under ``"any"`` and ``"hungarian"`` the same holds for detections
    that remain unmatched. Areas are width times height; boxes without area overlap nothing.

    All candidate pairs are compared at once in blocks of bounded memory, without a loop over
    images: O(n log n + pairs) time for pairs of equal image and class. ``"hungarian"`` loops over
    the clusters of boxes that compete for each other.

    References
    ----------
    .. [1] T.-Y. Lin et al. Microsoft COCO: Common Objects in Context. ECCV 2014. arXiv:1405.0312
    .. [2] F. Kueppers, J. Kronenberger, A. Shantia, A. Haselhoff. Multivariate Confidence
       Calibration for Object Detection. CVPR Workshops 2020. arXiv:2004.13546 (``"any"``)
    .. [3] S. Kuzucu, K. Oksuz, J. Sadeghi, P. K. Dokania. On Calibration of Object Detectors:
       Pitfalls, Evaluation and Baselines. ECCV 2024. arXiv:2405.20459 (threshold 0)
    .. [4] A. Gupta, P. Dollar, R. Girshick. LVIS: A Dataset for Large Vocabulary Instance
       Segmentation. CVPR 2019. arXiv:1908.03195 (`negative`, `not_exhaustive`)

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth, match
    >>> truth = GroundTruth([[0, 0, 10, 10], [20, 0, 30, 10]], [1, 1], ["a", "a"])
    >>> boxes = [[0, 0, 10, 8], [0, 0, 10, 10], [20, 0, 30, 5]]
    >>> found = Detections(boxes, [0.9, 0.8, 0.3], [1, 1, 1], ["a", "a", "a"])
    >>> matches = match(found, truth)
    >>> matches.is_true_positive
    array([ True, False,  True])
    >>> matches.iou
    array([0.8, 0. , 0.5])
    >>> match(found, truth, mode="hungarian").truth_index
    array([-1,  0,  1])
    """
    check_option("mode", mode, ("coco", "any", "hungarian"))
    check_option("zero_iou", zero_iou, ("strict", "reference"))
    threshold = check_iou("iou_threshold", iou_threshold, one=True)
    if max_detections is not None:
        max_detections = check_integer("max_detections", max_detections, low=1)
    area_range = _check_area_range(area_range)
    if area_range is not None and mode == "any":
        raise ValueError("area_range has no meaning for mode='any'; use mode='coco' or None")
    queue = Queue.build(detections, ground_truth, max_detections)
    rule = core.Overlap(threshold, zero_iou == "strict" or mode == "hungarian")
    ignored = ground_truth.ignore
    if area_range is not None:
        ignored = ignored | outside(ground_truth.area, area_range)
    if mode == "any":
        pairs = _agreeing_pairs(queue, ground_truth, rule)
        chosen = core.first_come(pairs, len(queue.order), np.ones_like(ignored))
    else:
        sides = (queue.boxes, queue.key, ground_truth.boxes, queue.truth_key)
        pairs = core.candidate_pairs(*sides, ground_truth.ignore, rule)
        pairs = core.by_preference(pairs, ignored)
        if mode == "coco":
            chosen = core.first_come(pairs, len(queue.order), ground_truth.ignore)
        else:
            chosen = _largest_total(pairs, len(queue.order), ground_truth.ignore, ignored)
    return _matches(len(detections), queue, pairs, chosen, ignored, area_range)


def _agreeing_pairs(queue: Queue, ground_truth: GroundTruth, rule: core.Overlap) -> core.Pairs:
    """Pair detections with the box they overlap most, if classes agree, and with ignored boxes."""
    counted, ignored = np.flatnonzero(~ground_truth.ignore), np.flatnonzero(ground_truth.ignore)
    boxes, image, key = ground_truth.boxes, queue.truth_image, queue.truth_key
    plain, cover = np.zeros(len(counted), dtype=bool), np.ones(len(ignored), dtype=bool)
    best = core.candidate_pairs(
        queue.boxes, queue.image, boxes[counted], image[counted], plain, rule
    )
    best = core.by_preference(best, plain)
    best = best.take(core.first_of_each(best.detection))
    best = best._replace(truth=counted[best.truth])
    best = best.take(queue.key[best.detection] == key[best.truth])
    other = core.candidate_pairs(queue.boxes, queue.key, boxes[ignored], key[ignored], cover, rule)
    other = other._replace(truth=ignored[other.truth])
    both = core.Pairs(*(np.concatenate(columns) for columns in zip(best, other, strict=True)))
    return core.by_preference(both, ground_truth.ignore)


def _largest_total(
    pairs: core.Pairs, n_detections: int, absorbing: BoolArray, ignored: BoolArray
) -> IntArray:
    """Assign counted boxes for the largest total overlap, ignored ones to who remains."""
    counted = np.flatnonzero(~ignored[pairs.truth])
    chosen = core.largest_total(pairs.take(counted), n_detections, len(ignored))
    chosen[chosen >= 0] = counted[chosen[chosen >= 0]]
    rest = np.flatnonzero(ignored[pairs.truth] & (chosen[pairs.detection] < 0))
    later = core.first_come(pairs.take(rest), n_detections, absorbing)
    return np.where(later >= 0, rest[later] if len(rest) else -1, chosen)


def _matches(
    n: int,
    queue: Queue,
    pairs: core.Pairs,
    chosen: IntArray,
    ignored: BoolArray,
    area_range: tuple[float, float] | None,
) -> Matches:
    """Write the pairs that detections chose into the rows of the detections."""
    out = Matches(
        np.zeros(n, dtype=bool),
        np.zeros(n),
        np.full(n, -1, dtype=np.intp),
        np.zeros(n, dtype=bool),
        np.zeros(n, dtype=bool),
    )
    out.is_evaluated[queue.order] = True
    out.is_ignored[queue.order] = queue.ignored_if_unmatched(area_range)
    served = np.flatnonzero(chosen >= 0)
    rows, pair = queue.order[served], chosen[served]
    truth = pairs.truth[pair]
    out.truth_index[rows] = truth
    out.is_ignored[rows] = ignored[truth]
    out.is_true_positive[rows] = ~ignored[truth]
    out.iou[rows] = np.where(ignored[truth], 0.0, pairs.iou[pair])
    return out


def _check_area_range(area_range: Any) -> tuple[float, float] | None:
    if area_range is None:
        return None
    try:
        low, high = (float(end) for end in area_range)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high:
        raise ValueError(
            f"area_range must be a pair of areas in square pixels, 0 <= low <= high; got "
            f"{describe(area_range)}"
        )
    return low, high


# ------------------------------------------------------------------------------------------- queue


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
        """Return which detections are not held to be wrong when they match nothing."""
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
    """Return which areas lie outside a range that includes both ends."""
    beyond: BoolArray = (area < area_range[0]) | (area > area_range[1])
    return beyond
