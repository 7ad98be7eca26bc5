"""The binned calibration table: what every binned error summarises, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_fraction, check_integer, check_option
from calib._border.limits import MOST_BINS
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array, FloatArray, LabelArray
from calib._core import binning
from calib._core.binning import BinTable, Strategy
from calib.evaluation.views import views
from calib.evaluation.views.predictions import Predictions, checked
from calib.evaluation.views.views import Average

_NUMBERS = (
    "left",
    "right",
    "weight",
    "effective_count",
    "mean_prediction",
    "observed_rate",
    "gap",
)


@dataclass(frozen=True, eq=False)
class BinnedCalibrationTable:
    """One row per bin, in ascending order of the edges, class after class.

    Attributes
    ----------
    class_label : ndarray of shape (n_rows,), dtype object
        Class whose probability is binned; None under the top-label view.
    left, right : ndarray of shape (n_rows,)
        Edges: ``[left, right)``, the last bin of a class is closed. Equal where ties of an
        equal-mass rule left a bin without width.
    weight : ndarray of shape (n_rows,)
        Sum of the sample weights; the number of samples where there are no weights.
    effective_count : ndarray of shape (n_rows,)
        Number of equally weighted samples with the same variance (Kish); `weight` without weights.
    mean_prediction, observed_rate, gap : ndarray of shape (n_rows,)
        In [0, 1], and mean prediction minus observed rate: positive where predictions are too
        large. NaN in empty bins.
    """

    class_label: LabelArray
    left: Float64Array
    right: Float64Array
    weight: Float64Array
    effective_count: Float64Array
    mean_prediction: Float64Array
    observed_rate: Float64Array
    gap: Float64Array

    def consistency_band(self, confidence_level: float = 0.95) -> tuple[Float64Array, Float64Array]:
        """Return where the observed rate of each bin would lie if predictions were calibrated.

        Central binomial quantiles at the mean prediction and effective count of the bin, each bin
        by itself: of 20 bins, one is expected outside a 95 % band. NaN in empty bins.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=0.95
            Probability that the band of a bin covers its rate.

        Returns
        -------
        low, high : ndarray of shape (n_rows,)
        """
        from scipy.stats import binom

        confidence_level = check_fraction("confidence_level", confidence_level)
        filled = self.weight > 0
        n = np.maximum(1, np.rint(self.effective_count[filled]))
        p = np.clip(self.mean_prediction[filled], 0.0, 1.0)
        tail = (1 - confidence_level) / 2
        low, high = np.full(filled.shape, np.nan), np.full(filled.shape, np.nan)
        low[filled] = binom.ppf(tail, n, p) / n
        high[filled] = binom.ppf(1 - tail, n, p) / n
        return np.maximum(low, 0.0), high

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns as lists for JSON; None stands for the NaN of empty bins."""
        out: dict[str, list[Any]] = {
            "class": [getattr(label, "item", lambda x=label: x)() for label in self.class_label]
        }
        for name in _NUMBERS:
            column = getattr(self, name).tolist()
            out[name] = [None if value != value else value for value in column]
        return out

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with the same columns as `to_dict`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="BinnedCalibrationTable.to_frame")
        columns = {name: getattr(self, name) for name in _NUMBERS}
        return pandas.DataFrame({"class": self.class_label, **columns})


def binned_calibration_table(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    average: Average = "auto",
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> BinnedCalibrationTable:
    """Compare mean prediction and observed rate bin by bin.

    The numbers behind a reliability diagram and behind every binned error: look here to see where
    on the scale predictions are wrong.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    n_bins : int >= 1, default=15
        Number of bins, per class for ``average="classwise"``.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`; ``"classwise"`` gives `n_bins` rows per class.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    table : BinnedCalibrationTable
        All bins, the empty ones included (weight 0, NaN).

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    See Also
    --------
    ReliabilityDisplay : The picture of this table.

    Examples
    --------
    >>> from calib.evaluation import binned_calibration_table
    >>> table = binned_calibration_table([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], n_bins=2,
    ...                                  average="binary")
    >>> table.weight
    array([2., 2.])
    >>> table.gap.round(2)
    array([ 0.15, -0.2 ])
    """
    predictions, table = binned(
        y_true, y_prob, n_bins, strategy, average, sample_weight, labels, pos_label, bins
    )
    if average == "classwise":
        return rows_of(table, predictions.columns, predictions.weight, predictions.classes)
    score, _ = predictions.pair(average)
    view = views.resolved(average, predictions.proba.shape[1])
    label = predictions.classes[1:2] if view == "binary" else np.array([None])
    return rows_of(table, score[:, None], predictions.weight, label)


def binned(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    n_bins: int,
    strategy: Strategy,
    average: Average,
    sample_weight: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
    bins: ArrayLike = None,
) -> tuple[Predictions, BinTable]:
    """Check all arguments of a binned metric; return the predictions and the table of the view."""
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_option("strategy", strategy, views.STRATEGIES)
    predictions = checked(y_true, y_prob, sample_weight, labels, pos_label, average)
    codes, weight = predictions.codes, predictions.weight
    edges = None if bins is None else binning.check_edges(bins)
    if average == "classwise":
        return predictions, binning.tabulate_classes(
            predictions.columns, codes, weight, n_bins, strategy, own_edges=edges
        )
    score, event = predictions.pair(average)
    return predictions, binning.tabulate(score, event, weight, n_bins, strategy, edges)


def rows_of(
    table: BinTable, columns: FloatArray, weight: Float64Array | None, labels: LabelArray
) -> BinnedCalibrationTable:
    """Lay out bin tables as rows.

    Parameters
    ----------
    table : BinTable
    columns : ndarray of shape (n_samples, n_tables)
        The predictions that were binned.
    weight : ndarray of shape (n_samples,) or None
    labels : ndarray of shape (n_tables,)
    """
    total = table.weight
    effective = total.copy()
    if weight is not None:
        for k, edges in enumerate(table.edges):
            cells = binning.cells_between(columns[:, k].astype(np.float64), edges)
            squares = np.bincount(cells, weight**2, minlength=table.n_bins)
            np.divide(total[k] ** 2, squares, out=effective[k], where=squares > 0)
    return BinnedCalibrationTable(
        class_label=np.repeat(labels.astype(object), table.n_bins),
        left=table.edges[:, :-1].ravel(),
        right=table.edges[:, 1:].ravel(),
        weight=total.ravel(),
        effective_count=effective.ravel(),
        mean_prediction=table.mean_prediction.ravel(),
        observed_rate=table.observed_rate.ravel(),
        gap=table.gap.ravel(),
    )
