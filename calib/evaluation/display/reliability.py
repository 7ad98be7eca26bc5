"""Reliability diagrams with matplotlib."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np

from calib._border.typing import ArrayLike
from calib._core.binning import Strategy
from calib.evaluation.binned.tables import BinnedCalibrationTable, binned_calibration_table
from calib.evaluation.display import axes
from calib.evaluation.display.axes import ProbabilityScale
from calib.evaluation.views.views import PairView


class ReliabilityDisplay(axes.PairDisplay):
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

    ax_: Any
    figure_: Any
    line_: Any
    histogram_ax_: Any

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
        scale: ProbabilityScale = "linear",
        **line_kwargs: Any,
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
        scale : {"linear", "logit"}, default="linear"
            As for `plot`.
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

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
        table, view = axes.table_and_view(y_prob, average, confidence_level)
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
        return display.plot(ax, band=band, histogram=histogram, scale=scale, **line_kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        band: bool = True,
        histogram: bool = True,
        scale: ProbabilityScale = "linear",
        **line_kwargs: Any,
    ) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several displays may share axes. In a figure
            without a layout engine, ``tight_layout`` is called if a label would be cut.
        band : bool, default=True
            Whether to shade where a calibrated model would lie.
        histogram : bool, default=True
            Whether to draw the share of samples per bin, at the bottom of the axes; the number at
            its left is the height of its top.
        scale : {"linear", "logit"}, default="linear"
            Scale of both axes. ``"logit"`` shows predictions near 0 and 1; rates that it cannot
            show (0, 1, or beyond 0.3 events of all samples) are hollow dots at its end.
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        self : ReliabilityDisplay

        Raises
        ------
        ValueError
            If `scale` is unknown.
        ImportError
            If matplotlib is not installed.
        """
        ax = axes.axes_or_new(ax, (4.8, 5.6 if histogram else 4.8), "ReliabilityDisplay.plot")
        draw_diagram(self, ax, band, histogram, scale, line_kwargs)
        axes.make_room_for_ticks(ax, scale)
        return self


def draw_diagram(
    display: ReliabilityDisplay,
    ax: Any,
    band: bool,
    histogram: bool,
    scale: ProbabilityScale,
    line_kwargs: dict[str, Any],
) -> None:
    """Draw a diagram on axes, whose place in the figure stays as it is."""
    table = display.table
    edge = axes.edge_of(scale, table.effective_count.sum())
    filled = table.weight > 0
    x, y, left, right = (
        np.clip(column[filled], edge, 1 - edge)
        for column in (table.mean_prediction, table.observed_rate, table.left, table.right)
    )
    axes.draw_reference(ax, [edge, 1 - edge], [edge, 1 - edge])
    hatch = axes.HATCHES[axes.n_curves(ax) % len(axes.HATCHES)]
    line = axes.draw_curve(ax, x, y, line_kwargs, markersize=4, label=display.name)
    axes.draw_beyond(ax, line, x, y, edge)
    if band:
        low, high = (
            np.clip(end[filled], edge, 1 - edge)
            for end in table.consistency_band(display.confidence_level)
        )
        colour = line.get_color()
        look = {"facecolor": colour, "edgecolor": colour, "hatch": hatch, **axes.shade(ax)}
        for bar in ax.bar(left, high - low, right - left, low, align="edge"):
            bar.set(gid=axes.BAND, **look)
    if histogram:
        edges = np.clip([*table.left, table.right[-1]], edge, 1 - edge)
        axes.draw_histogram(ax, edges, table.weight / table.weight.sum(), line)
    binary = display.average == "binary"
    display.histogram_ax_ = axes.finish_probability_axes(
        ax,
        scale,
        "Predicted probability" if binary else "Confidence",
        "Observed rate" if binary else "Accuracy",
    )
    display.ax_, display.figure_, display.line_ = ax, ax.figure, line
