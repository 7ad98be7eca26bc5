"""Distinct scores: ties collapsed once, so that no bin-free measure depends on the row order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib.evaluation.views.predictions import checked
from calib.evaluation.views.views import PAIR_VIEWS, Average


class DistinctScores(NamedTuple):
    """Sums over the samples that share a score, scores ascending.

    From `single_scores` every sample is a score of its own, in any order.

    Attributes
    ----------
    value : ndarray of shape (n_distinct,)
    weight : ndarray of shape (n_distinct,)
        Positive.
    label : ndarray of shape (n_distinct,) or (n_vectors, n_distinct)
        Weight of the events, of one vector of events or of several for the same scores.
    n_rows : int
        Samples.
    square : float
        Sum of their squared weights.
    whole : bool
        Whether all weights are whole numbers, hence repetitions.
    """

    value: Float64Array
    weight: Float64Array
    label: Float64Array
    n_rows: int
    square: float
    whole: bool

    @property
    def residual(self) -> Float64Array:
        """Sum of weight times (event minus score), of the shape of `label`."""
        return self.label - self.weight * self.value

    @property
    def size(self) -> float:
        """Number of samples of equal weight that would be as informative."""
        total = float(self.weight.sum())
        return total if self.whole else total**2 / self.square


#: ``measure(scores)``: a number, or one for every vector of labels.
ScoreMeasure: TypeAlias = Callable[[DistinctScores], float | Float64Array]


class OrderedScores:
    """Scores sorted once, for any weights and events of theirs.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
    """

    def __init__(self, score: Float64Array) -> None:
        self.order = np.argsort(score, kind="stable")
        ordered = score[self.order]
        self.first = _run_starts(ordered)
        self.value = ordered[self.first]

    def distinct(
        self,
        event: LabelArray,
        weight: Float64Array | None,
        counts: IntArray | None = None,
    ) -> DistinctScores:
        """Add up weights, of which some may be 0, and events of shape (..., n_samples).

        Samples occur once, or as often as `counts` says.
        """
        times = np.ones(len(self.order), np.intp) if counts is None else counts
        total = times.astype(np.float64) if weight is None else times * weight
        whole, n_rows, square = True, int(times.sum()), float(total.sum())
        if weight is not None:
            whole = np.array_equal(weight, np.rint(weight))
            n_rows, square = int(times[weight > 0].sum()), float(total @ weight)
        value, mass = self.value, np.add.reduceat(total[self.order], self.first)
        label = np.add.reduceat((event * total)[..., self.order], self.first, axis=-1)
        if not mass.all():
            kept = mass > 0
            value, mass, label = value[kept], mass[kept], label[..., kept]
        return DistinctScores(value, mass, label, n_rows, square, whole)


def distinct_scores(
    score: Float64Array, event: LabelArray, weight: Float64Array | None
) -> DistinctScores:
    """Sort the scores and add up events and weights of equal ones.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
    event : ndarray of shape (n_samples,), dtype bool
    weight : ndarray of shape (n_samples,) or None
    """
    if weight is not None or score.min() < 0:
        return OrderedScores(score).distinct(event, weight)
    # The bits of a number in [0, 2) order like the number and leave two of 64 free: with the event
    # in the lowest, one plain sort takes the place of a slower indirect one.
    key = np.add(score, 0.0).view(np.int64)  # adding 0 turns -0.0 into 0.0
    key <<= 1
    key |= event
    key.sort()
    hit = key & 1
    key >>= 1
    first = _run_starts(key)
    counts = np.diff(first, append=len(key)).astype(np.float64)
    label = np.add.reduceat(hit, first).astype(np.float64)
    n_rows = len(key)
    return DistinctScores(key[first].view(np.float64), counts, label, n_rows, float(n_rows), True)


def single_scores(
    score: Float64Array, event: LabelArray, weight: Float64Array | None
) -> DistinctScores:
    """Return the samples as they are, for measures that add up equal scores on a grid of theirs.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
    event : ndarray of shape (n_samples,), dtype bool
    weight : ndarray of shape (n_samples,) or None
    """
    if weight is None:
        n_rows = len(score)
        ones = np.broadcast_to(1.0, n_rows)
        return DistinctScores(score, ones, event, n_rows, float(n_rows), True)
    if not weight.all():
        kept = weight > 0
        score, event, weight = score[kept], event[kept], weight[kept]
    whole = np.array_equal(weight, np.rint(weight))
    return DistinctScores(score, weight, event * weight, len(score), float(weight @ weight), whole)


def _run_starts(ordered: LabelArray) -> LabelArray:
    starts = np.empty(len(ordered), dtype=bool)
    starts[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    return np.flatnonzero(starts)


def measure_pairs(
    measure: ScoreMeasure,
    y_true: ArrayLike,
    y_prob: ArrayLike,
    average: Average,
    sample_weight: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
    scores: Callable[..., DistinctScores] = distinct_scores,
) -> float:
    """Check the arguments of a metric and measure its view; the mean over classes if class-wise."""
    predictions = checked(y_true, y_prob, sample_weight, labels, pos_label, average)
    values = [
        float(measure(scores(score, event, predictions.weight)))
        for score, event in predictions.pairs(average)
    ]
    return float(np.mean(values))


def checked_pairs(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    average: Average,
    sample_weight: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
) -> tuple[Float64Array, LabelArray, Float64Array | None]:
    """Check the arguments of a measure of one view; return score, event and positive weight."""
    predictions = checked(
        y_true, y_prob, sample_weight, labels, pos_label, average, PAIR_VIEWS
    ).positive()
    return *predictions.pair(average), predictions.weight
