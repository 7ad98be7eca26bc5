"""Pictures of detection calibration with matplotlib: gap by position, reliability diagram."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.limits import MOST_BINS
from calib._documents.panels import signed
from calib.detection.lrp import Threshold, ZeroIou
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection.outcomes import collect
from calib.evaluation.detection.report.measures import position_map
from calib.evaluation.detection.report.records import PositionMap, ReliabilityBins
from calib.evaluation.display import axes
from calib.evaluation.display.axes import ProbabilityScale

#: Name of the vertical axis, by target.
OUTCOMES = {"iou": "Mean overlap, 0 for false positives", "tp": "Precision"}
#: Least range of colours: smaller gaps stay pale.
LEAST_RANGE = 0.1
#: Smaller numbers, in points, cannot be read: cells then show the sign of their gap alone.
LEAST_LETTERS = 4.5


class DetectionHeatmapDisplay:
    """Map of the calibration gap over the image: mean score minus mean outcome by box centre.

    Red where scores promise too much, blue where they promise too little. Use `from_detections` to
    make one, or take ``models[name].position`` of a detection report; the numbers stay on the
    object.

    Parameters
    ----------
    position_map : PositionMap
        What to draw.
    name : str or None, default=None
        Title of the picture.
    min_samples : int >= 1, default=8
        Cells with fewer detections stay grey.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the map.
    figure_ : matplotlib Figure
        Figure around it.
    image_ : matplotlib AxesImage
        The coloured cells.

    Raises
    ------
    ValueError
        If `min_samples` is out of range.

    See Also
    --------
    detection_report : Such maps before and after, beside the numbers.

    Notes
    -----
    With n detections, chance alone moves the gap of a cell by about ``0.4 / sqrt(n)``; see
    ``position_map.standard_error``. Centres are relative to the image, so that images of all sizes
    fall on the same grid.

    References
    ----------
    .. [1] F. Kueppers, J. Kronenberger, A. Shantia, A. Haselhoff. Multivariate Confidence
       Calibration for Object Detection. CVPR Workshops 2020. arXiv:2004.13546

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import DetectionHeatmapDisplay
    >>> from calib.evaluation import PositionMap
    >>> one = np.ones((1, 1))
    >>> gaps = PositionMap("iou", 20 * one.astype(int), 0.7 * one, 0.5 * one, 0.09 * one)
    >>> DetectionHeatmapDisplay(gaps, name="model").position_map.gap.round(2)
    array([[0.2]])
    """

    def __init__(
        self, position_map: PositionMap, *, name: str | None = None, min_samples: int = 8
    ) -> None:
        self.position_map = position_map
        self.name = name
        self.min_samples = check_integer("min_samples", min_samples, low=1)

    @classmethod
    def from_detections(
        cls,
        detections: Detections,
        ground_truth: GroundTruth,
        *,
        target: Literal["iou", "tp"] = "iou",
        iou_threshold: float | None = None,
        threshold: Threshold = None,
        zero_iou: ZeroIou = "strict",
        matches: Matches | None = None,
        n_bins: int = 5,
        min_samples: int = 8,
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Match, average over box centres, and draw.

        Parameters
        ----------
        detections : Detections
            Boxes with scores, with `image_size`.
        ground_truth : GroundTruth
            Annotated boxes of the same images.
        target : {"iou", "tp"}, default="iou"
            Compare scores with overlaps (0 for false positives), or with being a true positive.
        iou_threshold : float in [0, 1), default=None
            Overlap of a true positive; None means 0 for the target ``"iou"``, 0.5 for ``"tp"``.
        threshold : float, mapping from int to float, or None, default=None
            Detections below it are dropped; a mapping has one number per class.
        zero_iou : {"strict", "reference"}, default="strict"
            At ``iou_threshold=0``, whether a pair has to overlap at all; see `match`.
        matches : Matches, default=None
            What `match` gives at the same overlap, if it is at hand.
        n_bins : int >= 1, default=5
            Cells in each direction.
        min_samples : int >= 1, default=8
            Cells with fewer detections stay grey.
        name : str or None, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : DetectionHeatmapDisplay

        Raises
        ------
        ValueError
            If an option is out of range, image sizes are not known, or `matches` belongs to other
            detections.
        ImportError
            If matplotlib is not installed.
        """
        check_option("target", target, ("iou", "tp"))
        check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
        default = 0.0 if target == "iou" else 0.5
        outcomes = collect(
            detections,
            ground_truth,
            iou_threshold=default if iou_threshold is None else iou_threshold,
            zero_iou=zero_iou,
            threshold=threshold,
            matches=matches,
        )
        found = position_map(outcomes, target, n_bins)
        return cls(found, name=name, min_samples=min_samples).plot(ax)

    def plot(self, ax: Any = None, *, limit: float | None = None, colorbar: bool = True) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        limit : float > 0, default=None
            Gap at which colours are strongest; the same for maps that stand side by side. None
            takes the largest gap of this map, at least 0.1.
        colorbar : bool, default=True
            Whether to draw the scale of colours.

        Returns
        -------
        self : DetectionHeatmapDisplay

        Raises
        ------
        ValueError
            If `limit` is not positive.
        ImportError
            If matplotlib is not installed.
        """
        if limit is not None and not limit > 0:
            raise ValueError(f"limit must be > 0; got {limit!r}")
        ax = axes.axes_or_new(ax, (4.8, 4.0), "DetectionHeatmapDisplay.plot")
        enough = self.position_map.n_detections >= self.min_samples
        gap = np.where(enough, self.position_map.gap, np.nan)
        if limit is None:
            limit = max([LEAST_RANGE, *np.abs(gap[enough]).tolist()])
        self.image_ = ax.imshow(
            gap, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(0, 1, 1, 0), aspect="auto"
        )
        ax.patch.set(facecolor="0.85", hatch="////", edgecolor="0.7")
        if self.name is not None:
            axes.draw_title(ax, self.name)
        size = axes.text_size(ax)
        if colorbar:
            outcome = "overlap" if self.position_map.target == "iou" else "precision"
            bar = ax.figure.colorbar(self.image_, ax=ax)
            text = axes.wrapped(f"Mean score minus {outcome}", axes.inches(ax)[1], size)
            bar.set_label(text, fontsize=size)
            bar.ax.tick_params(labelsize=size)
        axes.label_axes(ax, "Centre, left to right", "Centre, top to bottom")
        axes.make_room(ax)
        n = len(gap)
        cell = 72 * axes.inches(ax)[0] / n
        letters = min(8.0, cell / (6 * axes.LETTER))
        for row, column in zip(*np.nonzero(enough), strict=True):
            value = gap[row, column]
            colour = "white" if abs(value) > 0.65 * limit else "black"
            place = ((column + 0.5) / n, (row + 0.5) / n)
            text = signed(f"{value:+.2f}")
            text = text if letters >= LEAST_LETTERS else text[0]
            points = max(letters, LEAST_LETTERS)
            ax.annotate(text, place, ha="center", va="center", color=colour, fontsize=points)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def draw_reliability(
    bins: ReliabilityBins,
    target: Literal["iou", "tp"],
    name: str,
    ax: Any = None,
    *,
    scale: ProbabilityScale = "linear",
    **line_kwargs: Any,
) -> Any:
    """Draw mean outcome against mean score, with intervals, and return the axes.

    Parameters
    ----------
    bins : ReliabilityBins
        What to draw.
    target : {"iou", "tp"}
        What the outcome is.
    name : str
        Name in the legend.
    ax : matplotlib Axes, default=None
        Axes to draw on; None makes a new figure.
    scale : {"linear", "logit"}, default="linear"
        Scale of both axes.
    **line_kwargs
        Passed to ``ax.plot`` for the curve.

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    ValueError
        If `scale` is unknown.
    ImportError
        If matplotlib is not installed.
    """
    ax = axes.axes_or_new(ax, (4.8, 4.8), "DetectionReport.plot")
    filled = bins.n_detections > 0
    edge = axes.edge_of(scale, bins.n_detections.sum())
    x, y, low, high = (
        np.clip(column[filled], edge, 1 - edge)
        for column in (bins.mean_score, bins.mean_target, bins.low, bins.high)
    )
    axes.draw_reference(ax, [edge, 1 - edge], [edge, 1 - edge])
    line = axes.draw_curve(ax, x, y, line_kwargs, markersize=4, label=name)
    axes.draw_beyond(ax, line, x, y, edge)
    ax.vlines(x, low, high, color=line.get_color(), alpha=0.5)
    axes.finish_probability_axes(ax, scale, "Mean score", OUTCOMES[target])
    axes.make_room_for_ticks(ax, scale)
    return ax
