"""Reliability diagrams of many classes, side by side on one scale."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Self

import numpy as np

from calib._border.checks import check_fraction, check_integer
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array
from calib._core.binning import Strategy
from calib.evaluation.binned.tables import BinnedCalibrationTable, binned_calibration_table
from calib.evaluation.display import axes as drawing
from calib.evaluation.display.axes import ProbabilityScale
from calib.evaluation.display.reliability import ReliabilityDisplay, draw_diagram

#: Inches of a panel in a new figure, and of its labels.
PANEL, LABELS = 1.5, 0.5
MOST_COLUMNS = 5


class ClasswiseReliabilityDisplay(drawing.PairDisplay):
    """Reliability diagrams of the single classes, the worst first, all on the same scales.

    Each panel compares the probability of one class with how often that class is true. Use
    `from_predictions` or `from_estimator` to make one; the numbers stay on the object.

    Parameters
    ----------
    table : BinnedCalibrationTable
        Bins of all classes, as ``binned_calibration_table(average="classwise")`` gives them.
    name : str or None, default=None
        Name of the model, title of the figure.
    n_panels : int >= 1 or None, default=10
        Number of classes to show; None shows all.
    confidence_level : float in (0, 1), default=0.95
        Level of the consistency bands.

    Attributes
    ----------
    classes : list
        All classes, the worst first.
    errors : ndarray of shape (n_classes,)
        Mean absolute gap of each of them over the samples.
    axes_ : list of matplotlib Axes
        The panels that were drawn.
    displays_ : list of ReliabilityDisplay
        What was drawn on them.
    figure_ : matplotlib Figure
        Figure around them.

    Raises
    ------
    ValueError
        If an option is out of range.

    See Also
    --------
    ReliabilityDisplay : One class, or the largest probability.
    classwise_calibration_error : The mean of the errors over the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import ClasswiseReliabilityDisplay, binned_calibration_table
    >>> y_prob = np.array([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    >>> table = binned_calibration_table(["a", "b", "c"], y_prob, average="classwise", n_bins=5)
    >>> display = ClasswiseReliabilityDisplay(table)
    >>> display.classes, display.errors.round(3)
    (['c', 'b', 'a'], array([0.267, 0.233, 0.167]))
    """

    def __init__(
        self,
        table: BinnedCalibrationTable,
        *,
        name: str | None = None,
        n_panels: int | None = 10,
        confidence_level: float = 0.95,
    ) -> None:
        labels = list(dict.fromkeys(table.class_label))
        errors = class_errors(table, len(labels))
        order = np.argsort(-errors, kind="stable")
        self.table = table
        self.name = name
        self.n_panels = None if n_panels is None else check_integer("n_panels", n_panels, low=1)
        self.confidence_level = check_fraction("confidence_level", confidence_level)
        self.classes = [labels[k] for k in order]
        self.errors = errors[order]

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        n_bins: int = 10,
        strategy: Strategy = "uniform",
        bins: ArrayLike = None,
        confidence_level: float = 0.95,
        sample_weight: ArrayLike = None,
        labels: ArrayLike = None,
        pos_label: object = None,
        name: str | None = None,
        n_panels: int | None = 10,
        axes: Any = None,
        band: bool = True,
        histogram: bool = True,
        scale: ProbabilityScale = "linear",
        **line_kwargs: Any,
    ) -> Self:
        """Draw the diagrams of saved probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1 within 1e-3.
        n_bins : int >= 1, default=10
            Number of bins per class.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equal mass.
        bins : array-like of shape (n_edges,), default=None
            Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and
            `strategy`.
        confidence_level : float in (0, 1), default=0.95
            Level of the bands.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        labels : array-like of shape (n_classes,), default=None
            Class of every column, where `y_true` does not tell.
        pos_label : int, float, bool or str, default=None
            Class that a single column belongs to; None means the second.
        name : str or None, default=None
            Title of the figure.
        n_panels : int >= 1 or None, default=10
            Number of classes to show, the worst first; None shows all.
        axes, band, histogram, scale, **line_kwargs
            As for `plot`.

        Returns
        -------
        display : ClasswiseReliabilityDisplay

        Raises
        ------
        ValueError
            As `expected_calibration_error`, and as `plot`.
        ImportError
            If matplotlib is not installed.
        """
        table = binned_calibration_table(
            y_true,
            y_prob,
            n_bins=n_bins,
            strategy=strategy,
            bins=bins,
            average="classwise",
            sample_weight=sample_weight,
            labels=labels,
            pos_label=pos_label,
        )
        display = cls(table, name=name, n_panels=n_panels, confidence_level=confidence_level)
        return display.plot(axes, band=band, histogram=histogram, scale=scale, **line_kwargs)

    def plot(
        self,
        axes: Any = None,
        *,
        band: bool = True,
        histogram: bool = True,
        scale: ProbabilityScale = "linear",
        **line_kwargs: Any,
    ) -> Self:
        """Draw a panel per class.

        Parameters
        ----------
        axes : array-like of matplotlib Axes, default=None
            Panels to draw on, in order; None makes a new figure. As many classes are shown as there
            are panels, at most `n_panels`; panels that are not needed are removed.
        band, histogram, scale, **line_kwargs
            As for `ReliabilityDisplay.plot`.

        Returns
        -------
        self : ClasswiseReliabilityDisplay

        Raises
        ------
        ValueError
            If `scale` is unknown.
        ImportError
            If matplotlib is not installed.
        """
        plt = require("matplotlib.pyplot", extra="plot", purpose="ClasswiseReliabilityDisplay.plot")
        count = min(len(self.classes), self.n_panels or len(self.classes))
        if axes is None:
            columns = min(count, MOST_COLUMNS)
            rows = math.ceil(count / columns)
            size = (LABELS + PANEL * columns, LABELS + (PANEL + LABELS) * rows)
            _, axes = plt.subplots(
                rows, columns, figsize=size, sharex=True, sharey=True, layout="constrained"
            )
        panels = list(np.ravel(axes))
        for panel in panels[count:]:
            panel.remove()
        self.axes_, self.displays_ = panels[:count], []
        for ax, label, error in zip(self.axes_, self.classes, self.errors, strict=False):
            drawing.draw_title(ax, str(label), f"error {error:.2g}")
            display = ReliabilityDisplay(
                rows_of_class(self.table, label),
                average="binary",
                confidence_level=self.confidence_level,
            )
            draw_diagram(display, ax, band, histogram, scale, line_kwargs)
            self.displays_.append(display)
        self.figure_ = self.axes_[0].figure
        heading = None if self.name is None else drawing.draw_heading(self.axes_[0], self.name)
        drawing.lay_out_panels(self.axes_, heading, scale)
        return self


def class_errors(table: BinnedCalibrationTable, n_classes: int) -> Float64Array:
    """Return the mean absolute gap of every class over the samples."""
    weight = table.weight.reshape(n_classes, -1)
    gap = np.abs(np.nan_to_num(table.gap)).reshape(n_classes, -1)
    return np.asarray((weight * gap).sum(axis=1) / weight.sum(axis=1))


def rows_of_class(table: BinnedCalibrationTable, label: object) -> BinnedCalibrationTable:
    """Return the bins of one class."""
    rows = np.array([other == label for other in table.class_label])
    return BinnedCalibrationTable(
        **{field.name: getattr(table, field.name)[rows] for field in fields(table)}
    )
