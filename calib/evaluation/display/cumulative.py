"""The cumulative diagram: calibration as a curve without bins, its numbers and its picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from calib._border.checks import check_fraction
from calib._border.typing import ArrayLike, Float64Array
from calib.evaluation.display import axes
from calib.evaluation.unbinned import brownian
from calib.evaluation.unbinned.cumulative import null_scale, walk_of
from calib.evaluation.views.distinct import checked_pairs, distinct_scores
from calib.evaluation.views.views import PairView


@dataclass(frozen=True, eq=False)
class CumulativeCurve:
    """Cumulative differences of event and prediction, one point per distinct score.

    Attributes
    ----------
    share : ndarray of shape (n_points,)
        Share of the total weight with scores up to this one, from 0 to 1.
    score : ndarray of shape (n_points,)
        The scores, ascending; the first point, before any score, is NaN.
    difference : ndarray of shape (n_points,)
        Cumulative sum of events minus predictions per sample, from 0; its slope against `share` is
        the mean gap there, negative where predictions are too large.
    scale : float
        Standard deviation of the last point under calibration.
    """

    share: Float64Array
    score: Float64Array
    difference: Float64Array
    scale: float

    def band(self, confidence_level: float = 0.95) -> float:
        """Return the half-width that a calibrated curve stays within as a whole.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=0.95
            Probability that the whole curve stays within.

        Returns
        -------
        half_width : float
            The curve leaves the band just where `cumulative_calibration_test` rejects.

        Raises
        ------
        ValueError
            If `confidence_level` is not in (0, 1).
        """
        level = check_fraction("confidence_level", confidence_level)
        return self.scale * brownian.excursion_quantile(level)


def cumulative_calibration_curve(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    average: PairView = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> CumulativeCurve:
    """Add up events minus predictions in the order of the predictions.

    The numbers behind `CumulativeDisplay`: where the curve falls, predictions are too large.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    average : {"auto", "top_label", "binary"}, default="auto"
        As for `expected_calibration_error`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    curve : CumulativeCurve

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Examples
    --------
    >>> from calib.evaluation import cumulative_calibration_curve
    >>> curve = cumulative_calibration_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], average="binary")
    >>> curve.difference.round(3)
    array([ 0.   , -0.025,  0.125, -0.025,  0.   ])
    """
    pairs = checked_pairs(y_true, y_prob, average, sample_weight, labels, pos_label)
    scores = distinct_scores(*pairs)
    share = np.concatenate([[0.0], np.cumsum(scores.weight) / scores.weight.sum()])
    value = np.concatenate([[np.nan], scores.value])
    return CumulativeCurve(share, value, walk_of(scores), null_scale(pairs[0], pairs[2]))


class CumulativeDisplay(axes.PairDisplay):
    """Cumulative diagram: events minus predictions, added up in the order of the predictions.

    The slope of the curve between two shares of the sample is the mean gap there: flat where
    predictions are right, falling where they are too large. No bins are needed, and a calibrated
    model leaves the band with the stated probability only. Use `from_predictions` or
    `from_estimator` to make one; the numbers stay on the object.

    Parameters
    ----------
    curve : CumulativeCurve
        The numbers to draw.
    name : str or None, default=None
        Name of the model, shown in the legend.
    average : {"binary", "top_label"}, default="top_label"
        View of the curve; decides the axis labels.
    confidence_level : float in (0, 1), default=0.95
        Level of the band, for the curve as a whole.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure around it.
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    cumulative_calibration_curve : The numbers alone.
    cumulative_calibration_test : The test that the band draws.

    References
    ----------
    .. [1] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu. Metrics of Calibration for
       Probabilistic Predictions. Journal of Machine Learning Research 23, 2022. arXiv:2205.09680

    Examples
    --------
    >>> from calib.evaluation import CumulativeDisplay, cumulative_calibration_curve
    >>> curve = cumulative_calibration_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], average="binary")
    >>> display = CumulativeDisplay(curve, name="model", average="binary")
    >>> round(display.curve.band(0.95), 3)
    0.455
    """

    def __init__(
        self,
        curve: CumulativeCurve,
        *,
        name: str | None = None,
        average: PairView = "top_label",
        confidence_level: float = 0.95,
    ) -> None:
        self.curve = curve
        self.name = name
        self.average = average
        self.confidence_level = confidence_level

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        average: PairView = "auto",
        confidence_level: float = 0.95,
        sample_weight: ArrayLike = None,
        labels: ArrayLike = None,
        pos_label: object = None,
        name: str | None = None,
        ax: Any = None,
        band: bool = True,
        **line_kwargs: Any,
    ) -> Self:
        """Draw the diagram of saved probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1 within 1e-3.
        average : {"auto", "binary", "top_label"}, default="auto"
            Probability of the second class, or the largest probability. "auto" takes the first for
            two classes. For one class of many pass ``y_true == k`` and its column.
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
            Whether to draw the band.
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        display : CumulativeDisplay

        Raises
        ------
        ValueError
            As `expected_calibration_error`.
        ImportError
            If matplotlib is not installed.
        """
        table, view = axes.table_and_view(y_prob, average, confidence_level)
        curve = cumulative_calibration_curve(
            y_true,
            table,
            average=view,
            sample_weight=sample_weight,
            labels=labels,
            pos_label=pos_label,
        )
        display = cls(curve, name=name, average=view, confidence_level=confidence_level)
        return display.plot(ax, band=band, **line_kwargs)

    def plot(self, ax: Any = None, *, band: bool = True, **line_kwargs: Any) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several displays may share axes.
        band : bool, default=True
            Whether to shade what a calibrated curve stays within.
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        self : CumulativeDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes.axes_or_new(ax, (5.6, 4.2), "CumulativeDisplay.plot")
        axes.draw_reference(ax, [0, 1], [0, 0])
        hatch = axes.HATCHES[axes.n_curves(ax) % len(axes.HATCHES)]
        x, y = self.curve.share, self.curve.difference
        self.line_ = axes.draw_curve(ax, x, y, line_kwargs, linewidth=1.2, label=self.name)
        if band:
            half, colour = self.curve.band(self.confidence_level), self.line_.get_color()
            ax.axhspan(-half, half, color=colour, hatch=hatch, **axes.shade(ax))
        binary = self.average == "binary"
        score = "predicted probability" if binary else "confidence"
        ax.set_xlim(0, 1)
        axes.label_axes(
            ax,
            f"Share of samples, by {score}",
            f"Cumulative {'event' if binary else 'accuracy'} minus {score}",
        )
        axes.draw_key(ax)
        axes.make_room(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
