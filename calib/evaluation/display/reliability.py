"""Reliability diagrams with matplotlib."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np

from calib._border.arrays import eager
from calib._border.checks import check_fraction, check_option
from calib._border.optional import require
from calib._border.typing import ArrayLike
from calib._border.validation import check_matrix
from calib._core.binning import Strategy
from calib.evaluation.binned.tables import BinnedCalibrationTable, binned_calibration_table
from calib.evaluation.views import views
from calib.evaluation.views.views import PairView


class ReliabilityDisplay:
    """Reliability diagram: observed rate against mean prediction, bin by bin.

    A calibrated model follows the diagonal up to chance; the band shows how far chance reaches. Use
    `from_predictions` or `from_estimator` to make one; the numbers stay on the object.

    Parameters
    ----------
    table : BinnedCalibrationTable
        The bins to draw, of one view.
    name : str or None, default=None
        Name of the model, shown in the legend.
    average : {"binary", "top_label"}, default="top_label"
        View of the table; decides the axis labels.
    confidence_level : float in (0, 1), default=0.95
        Level of the consistency band.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure around it.
    line_ : matplotlib Line2D
        The curve.
    histogram_ax_ : matplotlib Axes or None
        Axes with the histogram of the predictions.

    See Also
    --------
    binned_calibration_table : The numbers alone.
    calibration_report : Diagrams next to scores and errors.

    References
    ----------
    .. [1] J. Bröcker, L. A. Smith. Increasing the Reliability of Reliability Diagrams. Weather and
       Forecasting 22, 2007. doi:10.1175/WAF993.1

    Examples
    --------
    >>> from calib.evaluation import ReliabilityDisplay, binned_calibration_table
    >>> table = binned_calibration_table([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], n_bins=2,
    ...                                  average="binary")
    >>> display = ReliabilityDisplay(table, name="model", average="binary")
    >>> display.table.observed_rate
    array([0., 1.])
    """

    def __init__(
        self,
        table: BinnedCalibrationTable,
        *,
        name: str | None = None,
        average: Literal["binary", "top_label"] = "top_label",
        confidence_level: float = 0.95,
    ) -> None:
        self.table = table
        self.name = name
        self.average = average
        self.confidence_level = confidence_level

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        n_bins: int = 15,
        strategy: Strategy = "uniform",
        bins: ArrayLike = None,
        average: PairView = "auto",
        confidence_level: float = 0.95,
        sample_weight: ArrayLike = None,
        labels: ArrayLike = None,
        pos_label: object = None,
        name: str | None = None,
        ax: Any = None,
        band: bool = True,
        histogram: bool = True,
    ) -> Self:
        """Draw the diagram of saved probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1 within 1e-3.
        n_bins : int >= 1, default=15
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equal mass.
        bins : array-like of shape (n_edges,), default=None
            Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and
            `strategy`.
        average : {"auto", "binary", "top_label"}, default="auto"
            Probability of the second class, or the largest probability against accuracy. "auto"
            takes the first for two classes. For one class of many pass ``y_true == k`` and its
            column.
        confidence_level : float in (0, 1), default=0.95
            Level of the band.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        labels : array-like of shape (n_classes,), default=None
            Class of every column, where `y_true` does not tell.
        pos_label : int, float, bool or str, default=None
            Class that a single column, and the binary view, belong to; None means the second.
        name : str or None, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        band : bool, default=True
            Whether to draw the consistency band.
        histogram : bool, default=True
            Whether to draw the histogram of predictions below.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        ValueError
            As `expected_calibration_error`.
        ImportError
            If matplotlib is not installed.
        """
        check_option("average", average, views.PAIR_VIEWS)
        confidence_level = check_fraction("confidence_level", confidence_level)
        table = eager(y_prob)
        n_columns = check_matrix(table, "y_prob").shape[1]
        view = views.natural_view(n_columns) if average == "auto" else average
        table = binned_calibration_table(
            y_true,
            table,
            n_bins=n_bins,
            strategy=strategy,
            bins=bins,
            average=view,
            sample_weight=sample_weight,
            labels=labels,
            pos_label=pos_label,
        )
        display = cls(table, name=name, average=view, confidence_level=confidence_level)
        return display.plot(ax, band=band, histogram=histogram)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_bins: int = 15,
        strategy: Strategy = "uniform",
        bins: ArrayLike = None,
        average: PairView = "auto",
        confidence_level: float = 0.95,
        sample_weight: ArrayLike = None,
        name: str | None = None,
        ax: Any = None,
        band: bool = True,
        histogram: bool = True,
    ) -> Self:
        """Draw the diagram of a fitted classifier or calibrator.

        Parameters
        ----------
        estimator : object
            Fitted, with ``predict_proba`` and ``classes_``.
        X : array-like of shape (n_samples, n_features)
            What the estimator takes.
        y : array-like of shape (n_samples,)
            True labels.
        n_bins, strategy, bins, average, confidence_level, sample_weight, ax, band, histogram
            As for `from_predictions`.
        name : str or None, default=None
            Name in the legend; None means the class of the estimator.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        ValueError
            As `from_predictions`, and if the estimator has no ``predict_proba``.
        ImportError
            If matplotlib is not installed.
        """
        return cls.from_predictions(
            y,
            probabilities_of(estimator, X),
            n_bins=n_bins,
            strategy=strategy,
            bins=bins,
            average=average,
            confidence_level=confidence_level,
            sample_weight=sample_weight,
            labels=getattr(estimator, "classes_", None),
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            band=band,
            histogram=histogram,
        )

    def plot(
        self, ax: Any = None, *, band: bool = True, histogram: bool = True, **line_kwargs: Any
    ) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several displays may share axes.
        band : bool, default=True
            Whether to shade where a calibrated model would lie.
        histogram : bool, default=True
            Whether to draw the share of samples per bin below.
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        self : ReliabilityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = require("matplotlib.pyplot", extra="plot", purpose="ReliabilityDisplay.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(4.8, 5.6 if histogram else 4.8), layout="constrained")
        if not any(line.get_gid() == "calib-diagonal" for line in ax.lines):
            ax.plot([0, 1], [0, 1], ":", color="black", linewidth=1, gid="calib-diagonal")
        filled = self.table.weight > 0
        x, y = self.table.mean_prediction[filled], self.table.observed_rate[filled]
        options = {"marker": "o", "markersize": 4, "label": self.name, **line_kwargs}
        (self.line_,) = ax.plot(x, y, **options)
        colour = self.line_.get_color()
        if band:
            low, high = (end[filled] for end in self.table.consistency_band(self.confidence_level))
            width = self.table.right[filled] - self.table.left[filled]
            left = self.table.left[filled]
            ax.bar(left, high - low, width, low, align="edge", color=colour, alpha=0.15)
        binary = self.average == "binary"
        ax.set(
            xlabel="Predicted probability" if binary else "Confidence",
            ylabel="Observed rate" if binary else "Accuracy",
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            aspect="equal",
        )
        if self.name is not None:
            ax.legend(loc="upper left")
        self.ax_, self.figure_, self.histogram_ax_ = ax, ax.figure, None
        if histogram:
            self._plot_histogram(ax, colour)
        return self

    def _plot_histogram(self, ax: Any, colour: Any) -> None:
        below = ax.inset_axes((0.0, -0.36, 1.0, 0.18), sharex=ax)
        table = self.table
        share = table.weight / table.weight.sum()
        width = table.right - table.left
        below.bar(table.left, share, width, align="edge", color=colour, alpha=0.6)
        below.set(ylabel="Share", ylim=(0, 1.05 * float(np.max(share))))
        self.histogram_ax_ = below


def probabilities_of(estimator: Any, X: Any) -> Any:
    """Return what ``predict_proba`` says, or an error that tells what to do without it."""
    if not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"estimator {type(estimator).__name__} has no predict_proba; wrap it in "
            f"CalibratedClassifier or pass probabilities to from_predictions"
        )
    return estimator.predict_proba(X)
