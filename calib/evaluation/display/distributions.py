"""Pictures of predicted distributions: integral transforms, coverage, and fans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from calib._border.checks import check_fraction, check_integer, describe
from calib._border.labels import check_same_length
from calib._border.typing import ArrayLike, Float64Array, RandomState
from calib._border.validation import number_vector
from calib._core.distributions.predictive import PredictiveDistribution
from calib.evaluation.display import axes
from calib.evaluation.regression.curves import (
    CoverageCurve,
    PitHistogram,
    coverage_curve,
    pit_histogram,
)
from calib.evaluation.regression.errors import check_distribution

#: Levels of the bands of a fan.
FAN = (0.5, 0.8, 0.9)
#: Rows of a fan that are drawn, at most: more than a screen has columns.
MOST_ROWS = 2000


class DistributionPicture(axes.EstimatorDisplay):
    """What pictures of labels and their predicted distributions have in common."""

    answer = "predict_distribution"
    cure = "wrap it in ConformalPredictiveSystem or pass distributions"


class PITDisplay(DistributionPicture):
    """Histogram of probability integral transforms: the levels at which labels stand.

    Right distributions make it flat up to chance, whose range is the band. Two horns mean
    distributions that are too sharp, a hump too wide ones, a slope a bias. Use `from_predictions`
    or `from_estimator` to make one; the numbers stay on the object.

    Parameters
    ----------
    histogram : PitHistogram
        The numbers to draw.
    name : str or None, default=None
        Name of the model, shown in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the histogram.
    figure_ : matplotlib Figure
        Figure around it.
    line_ : matplotlib Line2D
        Outline of the bars.

    See Also
    --------
    pit_histogram : The numbers alone.
    pit_uniformity : The test.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui, A. E. Raftery. Probabilistic forecasts, calibration and
       sharpness. JRSS B 69, 2007. doi:10.1111/j.1467-9868.2007.00587.x

    Examples
    --------
    >>> from calib.evaluation import PITDisplay, pit_histogram
    >>> display = PITDisplay(pit_histogram([0.1, 0.2, 0.4, 0.9], n_bins=2), name="model")
    >>> display.histogram.density
    array([1.5, 0.5])
    """

    ax_: Any
    figure_: Any
    line_: Any

    def __init__(self, histogram: PitHistogram, *, name: str | None = None) -> None:
        self.histogram = histogram
        self.name = name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        distribution: PredictiveDistribution,
        *,
        n_bins: int = 10,
        n_calibration: object = None,
        confidence_level: float = 0.95,
        sample_weight: ArrayLike = None,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Any = None,
        band: bool = True,
        **line_kwargs: Any,
    ) -> Self:
        """Draw the histogram of labels and their distributions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True values, finite.
        distribution : PredictiveDistribution
            Of every sample.
        n_bins : int >= 1, default=10
            Number of bins.
        n_calibration : int >= 1, fitted conformal predictor or None, default=None
            As for `pit_histogram`: widens the band.
        confidence_level : float in (0, 1), default=0.95
            Level of the band, bin by bin.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        random_state : int, RandomState, Generator or None, default=0
            Where labels that meet a step of their distribution lie inside it.
        name : str or None, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        band : bool, default=True
            Whether to draw the band.
        **line_kwargs
            Passed to ``ax.plot`` for the outline.

        Returns
        -------
        display : PITDisplay

        Raises
        ------
        ValueError
            As `pit_histogram` and `PredictiveDistribution.pit`.
        ImportError
            If matplotlib is not installed.
        """
        histogram = pit_histogram(
            check_distribution(distribution).pit(y_true, random_state),
            n_bins=n_bins,
            n_calibration=n_calibration,
            confidence_level=confidence_level,
            sample_weight=sample_weight,
        )
        return cls(histogram, name=name).plot(ax, band=band, **line_kwargs)

    def plot(self, ax: Any = None, *, band: bool = True, **line_kwargs: Any) -> Self:
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several displays may share axes.
        band : bool, default=True
            Whether to shade what chance shows.
        **line_kwargs
            Passed to ``ax.plot`` for the outline.

        Returns
        -------
        self : PITDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes.axes_or_new(ax, (5.2, 3.8), "PITDisplay.plot")
        h = self.histogram
        axes.draw_reference(ax, [0, 1], [1, 1])
        order = axes.n_curves(ax)
        x, y = np.repeat(h.edges, 2), np.concatenate([[0.0], np.repeat(h.density, 2), [0.0]])
        line = axes.draw_curve(ax, x, y, line_kwargs, linewidth=1.4, label=self.name)
        colour = line.get_color()
        if not order:
            ax.fill_between(x, y, color=colour, alpha=0.12, linewidth=0)
        if band:
            hatch = axes.HATCHES[order % len(axes.HATCHES)]
            look = axes.shade(ax)
            ax.axhspan(h.low, h.high, color=colour, hatch=hatch, gid=axes.BAND, **look)
        top = max(*(float(np.max(curve.get_ydata())) for curve in ax.lines), h.high)
        ax.set(xlim=(0, 1), ylim=(0, 1.08 * top))
        axes.label_axes(ax, "Level of the label (PIT)", "Share over uniform share")
        axes.draw_key(ax)
        axes.make_room(ax)
        self.ax_, self.figure_, self.line_ = ax, ax.figure, line
        return self


class CoverageDisplay(DistributionPicture):
    """Coverage curve: share of labels inside central intervals against their confidence level.

    Right distributions follow the diagonal up to chance, whose range is the band; below it they are
    too sharp, above it too wide. Use `from_predictions` or `from_estimator` to make one; the
    numbers stay on the object.

    Parameters
    ----------
    curve : CoverageCurve
        The numbers to draw.
    name : str or None, default=None
        Name of the model, shown in the legend.

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
    coverage_curve : The numbers alone.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner, S. Ermon. Accurate Uncertainties for Deep Learning Using
       Calibrated Regression. ICML 2018. arXiv:1807.00263

    Examples
    --------
    >>> from calib.evaluation import CoverageDisplay, coverage_curve, predictive_distribution
    >>> distribution = predictive_distribution(mean=[0, 0, 0, 0], std=[1, 1, 1, 1])
    >>> curve = coverage_curve([-2, -1, 0.5, 1], distribution, levels=[0.5, 0.9])
    >>> CoverageDisplay(curve, name="model").curve.coverage
    array([0.25, 0.75])
    """

    ax_: Any
    figure_: Any
    line_: Any

    def __init__(self, curve: CoverageCurve, *, name: str | None = None) -> None:
        self.curve = curve
        self.name = name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        distribution: PredictiveDistribution,
        *,
        levels: ArrayLike = None,
        n_calibration: object = None,
        confidence_level: float = 0.95,
        sample_weight: ArrayLike = None,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Any = None,
        band: bool = True,
        **line_kwargs: Any,
    ) -> Self:
        """Draw the curve of labels and their distributions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True values, finite.
        distribution : PredictiveDistribution
            Of every sample.
        levels : array-like of shape (n_levels,), default=None
            Confidence levels in (0, 1); None means .05, .10, ..., .95.
        n_calibration : int >= 1, fitted conformal predictor or None, default=None
            As for `coverage_curve`: widens the band.
        confidence_level : float in (0, 1), default=0.95
            Level of the band, interval by interval.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        random_state : int, RandomState, Generator or None, default=0
            Where labels that meet a step of their distribution lie inside it.
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
        display : CoverageDisplay

        Raises
        ------
        ValueError
            As `coverage_curve`.
        ImportError
            If matplotlib is not installed.
        """
        curve = coverage_curve(
            y_true,
            distribution,
            levels=levels,
            n_calibration=n_calibration,
            confidence_level=confidence_level,
            sample_weight=sample_weight,
            random_state=random_state,
        )
        return cls(curve, name=name).plot(ax, band=band, **line_kwargs)

    def plot(self, ax: Any = None, *, band: bool = True, **line_kwargs: Any) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several displays may share axes.
        band : bool, default=True
            Whether to shade what chance shows.
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        self : CoverageDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes.axes_or_new(ax, (4.8, 4.8), "CoverageDisplay.plot")
        curve = self.curve
        axes.draw_reference(ax, [0, 1], [0, 1])
        hatch = axes.HATCHES[axes.n_curves(ax) % len(axes.HATCHES)]
        order = np.argsort(curve.levels)
        x = curve.levels[order]
        line = axes.draw_curve(
            ax, x, curve.coverage[order], line_kwargs, markersize=4, label=self.name
        )
        if band:
            colour = line.get_color()
            ends = (curve.low[order], curve.high[order])
            ax.fill_between(
                x, *ends, facecolor=colour, edgecolor=colour, hatch=hatch, gid=axes.BAND,
                **axes.shade(ax),
            )  # fmt: skip
        axes.finish_probability_axes(
            ax, "linear", "Confidence level of the interval", "Share of labels inside"
        )
        axes.make_room_for_ticks(ax, "linear")
        self.ax_, self.figure_, self.line_ = ax, ax.figure, line
        return self


class PredictiveDistributionDisplay(DistributionPicture):
    """Fan of predicted distributions: medians and central intervals, with the labels.

    Samples stand in the order of their medians, or against a number of theirs such as a feature or
    the time. Use `from_predictions` or `from_estimator` to make one; the numbers stay on it.

    Parameters
    ----------
    x : ndarray of shape (n_samples,)
        Places of the samples, ascending.
    median : ndarray of shape (n_samples,)
        Medians.
    intervals : ndarray of shape (n_levels, n_samples, 2)
        Central intervals, the narrowest first.
    levels : sequence of float
        Confidence levels of the intervals, ascending.
    y_true : ndarray of shape (n_samples,) or None, default=None
        True values.
    name : str or None, default=None
        Name of the model, shown in the legend.
    x_label : str or None, default=None
        What `x` is; None means that samples are sorted by their medians.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the fan.
    figure_ : matplotlib Figure
        Figure around it.
    line_ : matplotlib Line2D
        The medians.

    See Also
    --------
    CoverageDisplay : Whether the bands hold what they claim.

    Examples
    --------
    >>> from calib.evaluation import PredictiveDistributionDisplay, predictive_distribution
    >>> distribution = predictive_distribution(mean=[2, 0, 1], std=[1, 1, 1])
    >>> display = PredictiveDistributionDisplay.from_predictions(
    ...     [2.5, -1, 1], distribution)  # doctest: +SKIP
    """

    ax_: Any
    figure_: Any
    line_: Any

    def __init__(
        self,
        x: Float64Array,
        median: Float64Array,
        intervals: Float64Array,
        *,
        levels: Sequence[float] = FAN,
        y_true: Float64Array | None = None,
        name: str | None = None,
        x_label: str | None = None,
    ) -> None:
        self.x = x
        self.median = median
        self.intervals = intervals
        self.levels = levels
        self.y_true = y_true
        self.name = name
        self.x_label = x_label

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        distribution: PredictiveDistribution,
        *,
        x: ArrayLike = None,
        x_label: str | None = None,
        levels: Sequence[float] = FAN,
        max_rows: int = MOST_ROWS,
        name: str | None = None,
        ax: Any = None,
        **line_kwargs: Any,
    ) -> Self:
        """Draw the fan of distributions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or None
            True values, drawn as dots; None draws the fan alone.
        distribution : PredictiveDistribution
            Of every sample.
        x : array-like of shape (n_samples,), default=None
            Places of the samples, such as a feature or the time; None sorts them by their medians.
        x_label : str or None, default=None
            What `x` is.
        levels : sequence of float, default=(0.5, 0.8, 0.9)
            Confidence levels in (0, 1) of the bands.
        max_rows : int >= 2, default=2000
            Samples that are drawn, evenly chosen in their order.
        name : str or None, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **line_kwargs
            Passed to ``ax.plot`` for the medians.

        Returns
        -------
        display : PredictiveDistributionDisplay

        Raises
        ------
        ValueError
            For unequal lengths, values that are not finite, or levels outside (0, 1).
        ImportError
            If matplotlib is not installed.
        """
        n = len(check_distribution(distribution))
        check_integer("max_rows", max_rows, low=2)
        if not len(levels):
            raise ValueError(f"levels must name at least one band; got {describe(levels)}")
        chosen = sorted(check_fraction("levels", level) for level in levels)
        y = None if y_true is None else number_vector(y_true, "y_true")
        if y is not None:
            check_same_length(len(y), n, "y_true", "the distributions")
        median = distribution.median()
        at = median if x is None else number_vector(x, "x")
        check_same_length(len(at), n, "x", "the distributions")
        order = np.argsort(at, kind="stable")
        if n > max_rows:
            order = order[np.linspace(0, n - 1, max_rows).round().astype(np.intp)]
        drawn = distribution[order]
        display = cls(
            at[order] if x is not None else np.arange(1.0, len(order) + 1.0),
            median[order],
            np.stack([drawn.interval(level) for level in chosen]),
            levels=chosen,
            y_true=None if y is None else y[order],
            name=name,
            x_label=("x" if x_label is None else x_label) if x is not None else None,
        )
        return display.plot(ax, **line_kwargs)

    def plot(self, ax: Any = None, **line_kwargs: Any) -> Self:
        """Draw the fan.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **line_kwargs
            Passed to ``ax.plot`` for the medians.

        Returns
        -------
        self : PredictiveDistributionDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes.axes_or_new(ax, (6.4, 4.2), "PredictiveDistributionDisplay.plot")
        name = "median" if self.name is None else f"median of {self.name}"
        line = axes.draw_curve(
            ax, self.x, self.median, line_kwargs, linewidth=1.3, label=name, zorder=3
        )
        colour, share = line.get_color(), 1.2 * axes.shade(ax)["alpha"]
        look = {"color": colour, "linewidth": 0}
        bands = [*zip(self.levels, self.intervals, strict=True)]
        for place, (level, ends) in enumerate(reversed(bands)):
            step = "mid" if self.x_label is None else None
            ax.fill_between(self.x, *ends.T, step=step, alpha=share, gid=axes.BAND, **look)
            seen = 1.0 - (1.0 - share) ** (place + 1)  # bands lie above each other
            ax.fill_between([], [], alpha=seen, label=f"{100 * level:g} %", **look)
        if self.y_true is not None:
            widest = self.intervals[-1]
            inside = (widest[:, 0] <= self.y_true) & (self.y_true <= widest[:, 1])
            ink = ax.xaxis.label.get_color()
            size = max(1.5, min(4.0, 90 / len(self.x) ** 0.5))
            look = {"linestyle": "none", "marker": "o", "color": ink, "zorder": 4}
            ax.plot(
                self.x[inside], self.y_true[inside], markersize=size, alpha=0.7, label="label",
                **look,
            )  # fmt: skip
            if not inside.all():
                outside = f"label outside {100 * self.levels[-1]:g} %"
                ax.plot(
                    self.x[~inside], self.y_true[~inside], markersize=1.4 * size,
                    markerfacecolor="none", label=outside, **look,
                )  # fmt: skip
        ax.margins(x=0.01)
        axes.label_axes(ax, self.x_label or "Samples, sorted by the median", "y")
        axes.draw_key(ax)
        axes.make_room(ax)
        self.ax_, self.figure_, self.line_ = ax, ax.figure, line
        return self
