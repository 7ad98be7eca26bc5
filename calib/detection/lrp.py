"""The localisation recall precision error (LRP) of every class as a function of the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import describe
from calib._border.typing import Float64Array, IntArray
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections, GroundTruth

ZeroIou: TypeAlias = Literal["strict", "reference"]
BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


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
        rows = ("labels", "scores", "is_true_positive", "iou")
        merged = {n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in rows}
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
    iou_threshold = check_iou_threshold(iou_threshold)
    if matches is None:
        matches = match(detections, ground_truth, iou_threshold=iou_threshold, zero_iou=zero_iou)
    return MatchedScores.from_matches(
        detections, ground_truth, matches, iou_threshold=iou_threshold
    )


def check_iou_threshold(value: object) -> float:
    """Return the threshold as a float in [0, 1)."""
    number = check_number(value, "iou_threshold")
    if not 0 <= number < 1:
        raise ValueError(f"iou_threshold must lie in [0, 1); got {value!r}")
    return number


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


def check_number(value: object, name: str) -> float:
    """Return a number other than NaN as a float."""
    bad = isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number))
    if bad or np.isnan(value):  # type: ignore[call-overload]
        raise ValueError(f"{name} must be a number; got {describe(value)}")
    return float(value)  # type: ignore[arg-type]
