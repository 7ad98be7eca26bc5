"""Distinct scores: ties collapsed once, so that no bin-free measure depends on the row order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._core.predictions import check_predictions
from calib.evaluation.views import views
from calib.evaluation.views.views import Average

#: ``measure(score, event, weight)`` of one prediction per sample; weights are positive or None.
PairMeasure: TypeAlias = Callable[[Float64Array, LabelArray, Float64Array | None], float]


class DistinctScores(NamedTuple):
    """Sums over the samples that share a score, scores ascending; all of shape (n_distinct,)."""

    value: Float64Array
    weight: Float64Array
    label: Float64Array

    @property
    def residual(self) -> Float64Array:
        """Sum of weight times (event minus score)."""
        return self.label - self.weight * self.value


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
    if weight is None and score.min() >= 0:
        # The bits of a number in [0, 2) order like the number and leave two of 64 free: with the
        # event in the lowest, one plain sort takes the place of a slower indirect one.
        key = np.add(score, 0.0).view(np.int64)  # adding 0 turns -0.0 into 0.0
        key <<= 1
        key |= event
        key.sort()
        hit = key & 1
        key >>= 1
        first = _run_starts(key)
        counts = np.diff(first, append=len(key)).astype(np.float64)
        return DistinctScores(
            key[first].view(np.float64), counts, np.add.reduceat(hit, first).astype(np.float64)
        )
    order = np.argsort(score, kind="stable")
    value, hit = score[order], event[order].astype(np.float64)
    ordered = np.ones(len(order)) if weight is None else weight[order]
    first = _run_starts(value)
    return DistinctScores(
        value[first], np.add.reduceat(ordered, first), np.add.reduceat(ordered * hit, first)
    )


def _run_starts(ordered: LabelArray) -> LabelArray:
    starts = np.empty(len(ordered), dtype=bool)
    starts[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    return np.flatnonzero(starts)


def positive_rows(
    score: Float64Array, event: LabelArray, weight: Float64Array | None
) -> tuple[Float64Array, LabelArray, Float64Array | None]:
    """Leave out the samples whose weight is zero."""
    if weight is None or weight.all():
        return score, event, weight
    kept = weight > 0
    return score[kept], event[kept], weight[kept]


def measure_pairs(
    measure: PairMeasure,
    y_true: ArrayLike,
    y_prob: ArrayLike,
    average: Average,
    sample_weight: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
) -> float:
    """Check the arguments of a metric and measure its view; the mean over classes if class-wise."""
    check_option("average", average, views.AVERAGES)
    codes, proba, weight, _ = check_predictions(
        y_true, y_prob, labels=labels, pos_label=pos_label, sample_weight=sample_weight
    )
    if average != "classwise":
        score, event = views.pairs(proba, codes, average)
        return float(measure(*positive_rows(score, event, weight)))
    columns = views.all_columns(proba)
    values = [
        measure(*positive_rows(columns[:, k].astype(np.float64), codes == k, weight))
        for k in range(columns.shape[1])
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
    check_option("average", average, views.PAIR_VIEWS)
    codes, proba, weight, _ = check_predictions(
        y_true, y_prob, labels=labels, pos_label=pos_label, sample_weight=sample_weight
    )
    return positive_rows(*views.pairs(proba, codes, average), weight)
