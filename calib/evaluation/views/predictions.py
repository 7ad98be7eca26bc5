"""The border of every metric: checked predictions, and their views as pairs of score and event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray, LabelArray
from calib._core.predictions import check_predictions
from calib.evaluation.views import views
from calib.evaluation.views.views import Average


class Predictions(NamedTuple):
    """Checked predictions, labels and weights.

    Attributes
    ----------
    codes : ndarray of shape (n_samples,)
        Column of the true class.
    proba : ndarray of shape (n_samples, n_columns)
        One column when only the positive class was given.
    weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
    """

    codes: IntArray
    proba: FloatArray
    weight: Float64Array | None
    classes: LabelArray

    @property
    def columns(self) -> FloatArray:
        """Probabilities of all classes, also where one column was given."""
        return views.all_columns(self.proba)

    def positive(self) -> Predictions:
        """Leave out the samples whose weight is zero."""
        if self.weight is None or self.weight.all():
            return self
        kept = self.weight > 0
        return self._replace(
            codes=self.codes[kept], proba=self.proba[kept], weight=self.weight[kept]
        )

    def pair(self, average: Average) -> tuple[Float64Array, LabelArray]:
        """Return score and event of a view with one of each per sample."""
        return views.pairs(self.proba, self.codes, average)

    def pairs(self, average: Average) -> Iterator[tuple[Float64Array, LabelArray]]:
        """Return score and event of a view: one pair, or one per class if class-wise."""
        if average != "classwise":
            yield self.pair(average)
            return
        columns = self.columns
        for code in range(columns.shape[1]):
            yield columns[:, code].astype(np.float64), self.codes == code


def checked(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    sample_weight: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
    average: str = "auto",
    averages: tuple[str, ...] = views.AVERAGES,
) -> Predictions:
    """Check the arguments that all metrics share."""
    check_option("average", average, averages)
    return Predictions(
        *check_predictions(
            y_true, y_prob, labels=labels, pos_label=pos_label, sample_weight=sample_weight
        )
    )
