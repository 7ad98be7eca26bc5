"""The localisation recall precision error (LRP) over thresholds, and operating points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import check_iou, check_number, check_option, describe
from calib._border.random import fixed
from calib._border.typing import Float64Array, IntArray
from calib._border.warn import warn
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.warnings import NoOptimalThresholdWarning

ZeroIou: TypeAlias = Literal["strict", "reference"]
BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
#: No threshold, one for all classes, or one per class.
Threshold: TypeAlias = float | Mapping[int, float] | None
Fallback: TypeAlias = Literal["pooled", "keep"]
Thresholds: TypeAlias = tuple[dict[int, float], float, tuple[int, ...]]

#: Seed of the folds of images.
FOLD_SEED = 0
#: Columns of `MatchedScores` with one entry per row.
_ROWS = ("labels", "scores", "is_true_positive", "iou")


@dataclass(frozen=True, eq=False)
class LRPCurve:
    """LRP error of every class as a function of the score threshold.

    Attributes
    ----------
    class_label : ndarray of shape (n_points,)
        Class of every point; classes ascend.
    score : ndarray of shape (n_points,)
        Threshold; detections with this score or more are kept. Descends within a class; one point
        for each distinct score of a judged detection.
    lrp : ndarray of shape (n_points,)
        Error at that threshold, in [0, 1].
    n_true_positive, n_false_positive : ndarray of shape (n_points,)
        Kept detections of either kind.
    """

    class_label: IntArray
    score: Float64Array
    lrp: Float64Array
    n_true_positive: IntArray
    n_false_positive: IntArray


@dataclass(frozen=True, eq=False)
class MatchedScores:
    """All that the LRP curve needs to know about matched detections; ``+`` merges.

    Build it with `from_matches` for every part of a data set that is split by image; the sum of the
    parts gives exactly the curve and the thresholds of the whole.

    Attributes
    ----------
    labels, scores, is_true_positive, iou : ndarray of shape (n_rows,)
        Class, score, outcome and overlap (0 unless a true positive) of the judged detections.
    class_label, n_truth : ndarray of shape (n_classes,)
        All classes, ascending, and how many boxes (ignored ones aside) each has.
    iou_threshold : float
        Overlap from which a detection counted as a true positive.
    """

    labels: IntArray
    scores: Float64Array
    is_true_positive: BoolArray
    iou: Float64Array
    class_label: IntArray
    n_truth: IntArray
    iou_threshold: float

    @classmethod
    def from_matches(
        cls,
        detections: Detections,
        ground_truth: GroundTruth,
        matches: Matches,
        *,
        iou_threshold: float,
    ) -> MatchedScores:
        """Keep the judged rows of a match and count the annotated boxes of every class.

        Parameters
        ----------
        detections : Detections
        ground_truth : GroundTruth
        matches : Matches
            Result of `match` for the two.
        iou_threshold : float in [0, 1)
            The one of the match.

        Returns
        -------
        rows : MatchedScores
        """
        valid = check_matches(matches, detections, iou_threshold).valid
        classes = all_classes(detections, ground_truth)
        return cls(
            labels=detections.labels[valid],
            scores=detections.scores[valid],
            is_true_positive=matches.is_true_positive[valid],
            iou=matches.iou[valid],
            class_label=classes,
            n_truth=truth_counts(ground_truth, classes),
            iou_threshold=float(iou_threshold),
        )

    def __add__(self, other: MatchedScores) -> MatchedScores:
        """Merge the rows of disjoint sets of images; associative."""
        if not isinstance(other, MatchedScores):
            return NotImplemented
        if self.iou_threshold != other.iou_threshold:
            raise ValueError(
                f"rows matched at different iou_threshold cannot be merged: {self.iou_threshold} "
                f"and {other.iou_threshold}"
            )
        classes = np.union1d(self.class_label, other.class_label)
        n_truth = np.zeros(len(classes), dtype=np.intp)
        for part in (self, other):
            n_truth[np.searchsorted(classes, part.class_label)] += part.n_truth
        merged = {n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in _ROWS}
        return MatchedScores(
            **merged, class_label=classes, n_truth=n_truth, iou_threshold=self.iou_threshold
        )

    def curve(self) -> LRPCurve:
        """Return the LRP error at every distinct score of every class that has boxes."""
        code = np.searchsorted(self.class_label, self.labels)
        return self._curve(code, self.class_label, self.n_truth)

    def _curve(self, code: IntArray, classes: IntArray, n_truth: IntArray) -> LRPCurve:
        rows = np.flatnonzero(n_truth[code] > 0)
        rows = rows[np.lexsort((-self.scores[rows], code[rows]))]
        code, score = code[rows], self.scores[rows]
        hit = self.is_true_positive[rows].astype(np.int64)
        # Overlaps are summed as integers: exact, so that the order of rows leaves no trace.
        unit = 2.0 ** (62 - len(rows).bit_length())
        overlap = np.rint(self.iou[rows] * unit).astype(np.int64)
        first = np.searchsorted(code, code)  # first row of the class of every row
        n_hit, n_miss, shared = (
            _running(column, first) for column in (hit, 1 - hit, np.where(hit == 1, overlap, 0))
        )
        last = np.ones(len(rows), dtype=bool)  # of a run of equal scores
        last[:-1] = (code[1:] != code[:-1]) | (score[1:] != score[:-1])
        code, score = code[last], score[last]
        n_hit, n_miss = n_hit[last], n_miss[last]
        excess = (n_hit - shared[last] / unit) / (1 - self.iou_threshold)
        total = n_truth[code]
        lrp = (excess + (n_miss + total - n_hit)) / (n_miss + total)
        return LRPCurve(classes[code], score, lrp, n_hit, n_miss)

    def pooled_threshold(self) -> float:
        """Return the threshold that is optimal if all classes are taken as one; NaN if none is.

        Classes without boxes are left out.
        """
        known = self.n_truth[np.searchsorted(self.class_label, self.labels)] > 0
        n_truth = np.array([0, self.n_truth.sum()])
        curve = self._curve(known.astype(np.intp), np.arange(2), n_truth)
        return next(iter(_optima(curve).values()), np.nan)

    def optimal_thresholds(self) -> dict[int, float]:
        """Return the optimal threshold of every class that has a true positive."""
        return _optima(self.curve())


def _running(column: IntArray, first: IntArray) -> IntArray:
    """Return sums of the rows since the first of the class, the row itself included."""
    before = np.concatenate([[0], np.cumsum(column)])
    out: IntArray = before[1:] - before[first]
    return out


def _optima(curve: LRPCurve) -> dict[int, float]:
    """Return the largest score with the least error, class by class; classes without a hit miss."""
    if not len(curve.lrp):
        return {}
    start = np.flatnonzero(np.r_[True, curve.class_label[1:] != curve.class_label[:-1]])
    least = np.minimum.reduceat(curve.lrp, start)
    size = np.diff(np.r_[start, len(curve.lrp)])
    at = np.flatnonzero(curve.lrp == np.repeat(least, size))
    best = at[np.searchsorted(at, start)]  # the first of each class
    found = np.maximum.reduceat(curve.n_true_positive, start) > 0
    labels, scores = curve.class_label[start][found], curve.score[best][found]
    return dict(zip(labels.tolist(), scores.tolist(), strict=True))


def lrp_curve(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    zero_iou: ZeroIou = "strict",
    matches: Matches | None = None,
) -> LRPCurve:
    """Compute the LRP error of every class at every score threshold.

    Parameters
    ----------
    detections : Detections
        All detections, low scores included.
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all. ``"reference"`` also matches
        boxes that do not touch, as published code does.
    matches : Matches, default=None
        A match of the two made at the same `iou_threshold`; None makes one.

    Returns
    -------
    curve : LRPCurve
        Classes without a box that counts are left out.

    Raises
    ------
    ValueError
        If an option is out of range, or `matches` belongs to other detections or was made at a
        lower threshold.

    References
    ----------
    .. [1] K. Oksuz, B. C. Cam, S. Kalkan, E. Akbas. One Metric to Measure Them All: Localisation
       Recall Precision (LRP) for Evaluating Visual Detection Tasks. IEEE TPAMI 44(12), 2022.
       arXiv:2011.10772

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.detection import lrp_curve
    >>> found = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> lrp_curve(found, truth).lrp.round(3)
    array([0.5  , 0.667])
    """
    return matched_scores(
        detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou, matches=matches
    ).curve()


# -------------------------------------------------------------------------------- operating points


def lrp_optimal_thresholds(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float = 0.0,
    zero_iou: ZeroIou = "strict",
    fallback: Literal["pooled", "keep"] = "pooled",
    matches: Matches | None = None,
) -> dict[int, float]:
    """Find the score threshold of every class that minimises its LRP error.

    The operating point of a detector: below the threshold a class gains more false positives than
    it finds boxes. Calibration errors should be measured on the detections that are kept there.
    Choose thresholds on other images than those that they are evaluated on.

    Parameters
    ----------
    detections : Detections
        All detections, low scores included.
    ground_truth : GroundTruth
        Annotated boxes of the same images.
    iou_threshold : float in [0, 1), default=0.0
        Overlap from which a detection is a true positive.
    zero_iou : {"strict", "reference"}, default="strict"
        At ``iou_threshold=0``, whether a pair has to overlap at all; ``"reference"`` also matches
        boxes that do not touch.
    fallback : {"pooled", "keep"}, default="pooled"
        Threshold of classes that have no true positive and hence no optimum: the optimum of all
        classes taken as one, or 0, which keeps every detection.
    matches : Matches, default=None
        A match of the two made at the same `iou_threshold`; None makes one.

    Returns
    -------
    thresholds : dict of int to float
        One entry for every class that occurs in either argument or in
        ``ground_truth.class_names``. Keep detections with ``score >= threshold``.

    Raises
    ------
    ValueError
        If an option is out of range, or `matches` belongs to other detections or was made at a
        lower threshold.

    Warns
    -----
    NoOptimalThresholdWarning
        If classes had to take the fallback, unless they neither occur in the images nor were
        reported there. If no class has a true positive, ``"pooled"`` keeps everything as well.

    See Also
    --------
    apply_thresholds : The detections that thresholds keep.

    Notes
    -----
    With T true positives of mean overlap I / T, F false positives and N boxes,
    ``LRP = ((T - I) / (1 - iou_threshold) + F + N - T) / (F + N)``; the optimum is its least value,
    evaluated at the last of equal scores, the larger score on ties. Cost: one sort of all rows.
    The result does not depend on the order of the rows.

    References
    ----------
    .. [1] K. Oksuz, B. C. Cam, S. Kalkan, E. Akbas. One Metric to Measure Them All: Localisation
       Recall Precision (LRP) for Evaluating Visual Detection Tasks. IEEE TPAMI 44(12), 2022.
       arXiv:2011.10772

    Examples
    --------
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.detection import lrp_optimal_thresholds
    >>> found = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 1], [7, 7])
    >>> truth = GroundTruth([[0, 0, 4, 4], [0, 10, 4, 14]], [1, 1], [7, 7])
    >>> lrp_optimal_thresholds(found, truth)
    {1: 0.9}
    """
    check_option("fallback", fallback, ("pooled", "keep"))
    rows = matched_scores(
        detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou, matches=matches
    )
    optima = rows.optimal_thresholds()
    missing = [label for label in rows.class_label.tolist() if label not in optima]
    if not missing:
        return optima
    pooled = rows.pooled_threshold() if fallback == "pooled" else np.nan
    value = 0.0 if np.isnan(pooled) else float(pooled)
    seen = set(detections.labels.tolist()) | set(ground_truth.labels.tolist())
    silent = [label for label in missing if label in seen]
    if silent:
        what = "all their detections are kept" if value == 0 else f"they take {value:.4g}"
        origin = ", the optimum of all classes as one" if value > 0 else ""
        warn(
            f"{len(silent)} of {len(rows.class_label)} classes have no true positive and hence no "
            f"LRP-optimal threshold ({describe(silent[:8])}); {what}{origin}",
            NoOptimalThresholdWarning,
        )
    return {label: optima.get(label, value) for label in rows.class_label.tolist()}


def apply_thresholds(
    detections: Detections, threshold: Threshold, *, default: float | None = None
) -> BoolArray:
    """Return which detections reach the threshold of their class.

    Parameters
    ----------
    detections : Detections
        Any detections.
    threshold : float, mapping from int to float, or None
        One for all classes, one per class, or None to keep everything.
    default : float, default=None
        Threshold of classes that the mapping does not list; None raises for them.

    Returns
    -------
    keep : ndarray of bool of shape (n_detections,)
        Where ``score >= threshold``.

    Raises
    ------
    ValueError
        If a threshold is not a number, or a class has none.

    Examples
    --------
    >>> from calib.detection import Detections
    >>> from calib.detection import apply_thresholds
    >>> found = Detections([[0, 0, 4, 4], [20, 0, 24, 4]], [0.9, 0.4], [1, 2], [7, 7])
    >>> apply_thresholds(found, {1: 0.5, 2: 0.3})
    array([ True,  True])
    """
    if threshold is None:
        return np.ones(len(detections), dtype=bool)
    if not isinstance(threshold, Mapping):
        return detections.scores >= check_number("threshold", threshold)
    classes, code = np.unique(detections.labels, return_inverse=True)
    if default is not None:
        default = check_number("default", default)
    limits = [threshold.get(label, default) for label in classes.tolist()]
    without = [label for label, s in zip(classes.tolist(), limits, strict=True) if s is None]
    if without:
        raise ValueError(
            f"threshold has no entry for {len(without)} classes of the detections "
            f"({describe(without[:8])}); add them to the mapping, for instance with 0.0 to keep "
            f"their detections"
        )
    named = zip(classes.tolist(), limits, strict=True)
    values = np.array(
        [check_number(f"threshold[{label}]", s) for label, s in named], dtype=np.float64
    )
    keep: BoolArray = detections.scores >= values[code]
    return keep


def find_thresholds(
    threshold: Threshold | Literal["lrp"],
    iou_threshold: float,
    classes: IntArray,
    fallback: Fallback,
    detections: Detections,
    ground_truth: GroundTruth,
    matches: Matches,
) -> Thresholds:
    """Return the threshold of every class, the one of other classes, and classes without optimum.

    Notes
    -----
    A class without a true positive takes the optimum of all classes as one; if there is none
    either, or under ``fallback="keep"``, 0.
    """
    labels: list[int] = classes.tolist()
    if threshold is None:
        return dict.fromkeys(labels, 0.0), 0.0, ()
    if isinstance(threshold, Mapping):
        given = {int(label): float(value) for label, value in threshold.items()}
        return {label: given.get(label, 0.0) for label in {*labels, *given}}, 0.0, ()
    if threshold != "lrp":
        return dict.fromkeys(labels, float(threshold)), float(threshold), ()
    rows = MatchedScores.from_matches(
        detections, ground_truth, matches, iou_threshold=iou_threshold
    )
    optima = rows.optimal_thresholds()
    pooled = rows.pooled_threshold() if fallback == "pooled" else np.nan
    pooled = 0.0 if np.isnan(pooled) else float(pooled)
    missing = tuple(label for label in labels if label not in optima)
    return {label: optima.get(label, pooled) for label in labels}, pooled, missing


def reaches_thresholds_of_others(
    detections: Detections,
    ground_truth: GroundTruth,
    matches: Matches,
    iou_threshold: float,
    n_folds: int,
    fallback: Fallback = "pooled",
) -> BoolArray:
    """Return which detections reach the LRP-optimal thresholds found without their own images.

    Notes
    -----
    Folds are a seeded permutation of the sorted ids of the images that have detections; with fewer
    images than folds, every image is one. Images without detections count their boxes in all folds.
    A class without a true positive on the other images takes their pooled optimum, or keeps
    everything under ``fallback="keep"``. One sort of all
    rows, then one pass per fold.
    """
    images, image = np.unique(detections.image_id, return_inverse=True)
    n_folds = min(n_folds, len(images))
    if n_folds < 2:  # there are no others
        labels = np.unique(np.concatenate([detections.labels, ground_truth.labels]))
        known, pooled, _ = find_thresholds(
            "lrp", iou_threshold, labels, fallback, detections, ground_truth, matches
        )
        return apply_thresholds(detections, known, default=pooled)
    fold_of = fixed(FOLD_SEED).permutation(len(images)) % n_folds
    order = np.lexsort((-detections.scores, detections.labels))  # sorted once, cheap to sort again
    table, fold = detections[order], fold_of[image[order]]
    every = MatchedScores.from_matches(
        table, ground_truth, matches[order], iou_threshold=iou_threshold
    )
    judged = fold[matches.valid[order]]
    code = np.searchsorted(every.class_label, table.labels)
    boxes = ground_truth[~ground_truth.ignore & np.isin(ground_truth.image_id, images)]
    box_fold = fold_of[np.searchsorted(images, boxes.image_id)]
    box_code = np.searchsorted(every.class_label, boxes.labels)
    reaches = np.zeros(len(table), dtype=bool)
    for number in range(n_folds):
        rows = judged != number
        others = replace(
            every,
            **{name: getattr(every, name)[rows] for name in _ROWS},
            n_truth=every.n_truth
            - np.bincount(box_code[box_fold == number], minlength=len(every.class_label)),
        )
        optima = others.optimal_thresholds()
        limits = np.array([optima.get(label, np.nan) for label in every.class_label.tolist()])
        own = fold == number
        if np.isnan(limits[code[own]]).any():
            pooled = others.pooled_threshold() if fallback == "pooled" else np.nan
            limits[np.isnan(limits)] = 0.0 if np.isnan(pooled) else pooled
        reaches[order[own]] = table.scores[own] >= limits[code[own]]
    return reaches


# ------------------------------------------------------------------------------ shared with metrics


def matched_scores(
    detections: Detections,
    ground_truth: GroundTruth,
    *,
    iou_threshold: float,
    zero_iou: ZeroIou,
    matches: Matches | None,
) -> MatchedScores:
    """Match unless that was done, and keep what the curve needs."""
    iou_threshold = check_iou("iou_threshold", iou_threshold, one=False)
    if matches is None:
        matches = match(detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou)
    return MatchedScores.from_matches(
        detections, ground_truth, matches, iou_threshold=iou_threshold
    )


def check_matches(matches: Matches, detections: Detections, iou_threshold: float) -> Matches:
    """Raise if a match plainly belongs to other detections or to a lower threshold."""
    if len(matches.iou) != len(detections):
        raise ValueError(
            f"matches has {len(matches.iou)} rows but there are {len(detections)} detections; pass "
            f"the match of these detections, before any of them were dropped"
        )
    overlap = matches.iou[matches.is_true_positive]
    if len(overlap) and overlap.min() < min(iou_threshold, 1 - 1e-10):
        raise ValueError(
            f"matches holds true positives with an overlap of {overlap.min():.4g}, below "
            f"iou_threshold={iou_threshold}; match again at this threshold"
        )
    return matches


def all_classes(detections: Detections, ground_truth: GroundTruth) -> IntArray:
    """Return every class that is reported, annotated or named, ascending."""
    named = np.array(sorted(ground_truth.class_names or ()), dtype=np.int64)
    found = [np.unique(labels) for labels in (detections.labels, ground_truth.labels)]
    classes: IntArray = np.unique(np.concatenate([*found, named]))
    return classes


def truth_counts(ground_truth: GroundTruth, classes: IntArray) -> IntArray:
    """Return the number of boxes of every class that can be missed."""
    code = np.searchsorted(classes, ground_truth.labels[~ground_truth.ignore])
    return np.bincount(code, minlength=len(classes))
