"""What all pictures share: axes of the user, scales, key, histogram, room for labels, files."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast

import numpy as np
from scipy.special import expit, logit

from calib._border.arrays import eager
from calib._border.checks import check_fraction, check_option
from calib._border.files import atomic_write
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import check_matrix
from calib._documents.panels import Scale, signed
from calib.evaluation.views import views
from calib.evaluation.views.views import PairView

ProbabilityScale: TypeAlias = Literal["linear", "logit"]
SCALES = ("linear", "logit")
#: How later displays find what earlier ones drew on the same axes.
REFERENCE, CURVE, HISTOGRAM = "calib-reference", "calib-curve", "calib-histogram"
BAND = "calib-band"
KEY = "calib-key"
#: Models differ by shape and dash, so that pictures work without colour.
SHAPES = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
HATCHES = (None, "////", "....", "\\\\\\\\")
#: Share of the axes that the histogram takes, and the share below the least probability.
STRIP, BELOW = 0.16, 0.2
#: A logit scale ends where this many events would be expected.
LEAST_EVENTS = 0.3
#: Width of a letter and of a key's handle, and height of a line of a key, in sizes of the letters.
LETTER, HANDLE, LINE = 0.6, 4.5, 1.2
#: Share of the width that a layout engine leaves to a panel beside its labels, at least.
KEPT = 0.8
#: Names of curves inside a panel, at most, and share of the figure for more of them beside it.
MOST_INSIDE, KEY_SHARE = 4, 0.35
#: Size of the title over all panels, in sizes of the other letters.
HEADING = 1.2
#: Layouts of one figure, at most.
MOST_PASSES = 8


class EstimatorDisplay:
    """What pictures of labels and what was predicted for them have in common."""

    #: Method of an estimator that predicts what is drawn, and what to do where it has none.
    answer: ClassVar[str]
    cure: ClassVar[str]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, *, name: str | None = None, **options: Any
    ) -> Self:
        """Draw what a fitted estimator predicts.

        Parameters
        ----------
        estimator : object
            Fitted, with ``predict_proba`` and ``classes_``; pictures of distributions take one with
            ``predict_distribution``.
        X : array-like of shape (n_samples, n_features)
            What the estimator takes.
        y : array-like of shape (n_samples,)
            True labels or values.
        name : str or None, default=None
            Name in the legend; None means the class of the estimator.
        **options
            As for `from_predictions`.

        Returns
        -------
        display : display of this class

        Raises
        ------
        ValueError
            As `from_predictions`, and if the estimator has no such method.
        ImportError
            If matplotlib is not installed.
        """
        if not hasattr(estimator, cls.answer):
            raise ValueError(
                f"estimator {type(estimator).__name__} has no {cls.answer}; {cls.cure} to "
                f"from_predictions"
            )
        drawn: Self = cast(Any, cls).from_predictions(
            y,
            getattr(estimator, cls.answer)(X),
            name=type(estimator).__name__ if name is None else name,
            **cls._known(estimator),
            **options,
        )
        return drawn

    @classmethod
    def _known(cls, estimator: Any) -> dict[str, Any]:
        """Return options that the estimator tells."""
        return {}


class PairDisplay(EstimatorDisplay):
    """What pictures of one prediction and one event per sample have in common."""

    answer = "predict_proba"
    cure = "wrap it in CalibratedClassifier or pass probabilities"

    @classmethod
    def _known(cls, estimator: Any) -> dict[str, Any]:
        return {"labels": getattr(estimator, "classes_", None)}


def table_and_view(
    y_prob: ArrayLike, average: PairView, confidence_level: float
) -> tuple[Any, Literal["binary", "top_label"]]:
    """Check what all pictures of pairs take, and return the probabilities and their view."""
    check_option("average", average, views.PAIR_VIEWS)
    check_fraction("confidence_level", confidence_level)
    table = eager(y_prob)
    n_columns = check_matrix(table, "y_prob").shape[1]
    return table, views.natural_view(n_columns) if average == "auto" else average


# ----------------------------------------------------------------------------------- axes and text


def axes_or_new(ax: Any, figsize: tuple[float, float], purpose: str) -> Any:
    """Return the axes of the user, or those of a new figure."""
    plt = require("matplotlib.pyplot", extra="plot", purpose=purpose)
    return plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax


def inches(ax: Any) -> Float64Array:
    """Return width and height that the figure has given to the axes."""
    size: Float64Array = ax.get_position(original=True).size * ax.figure.bbox.size / ax.figure.dpi
    return size


def text_size(ax: Any) -> float:
    """Return the size of letters in points: that of the user's settings, less in small panels."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    usual = FontProperties(size=rcParams["axes.labelsize"]).get_size_in_points()
    return float(min(usual, max(6.0, 4.8 + 1.7 * inches(ax).min())))


def wrapped(text: str, width: float, size: float) -> str:
    """Break a text into lines that fit `width` inches in letters of `size` points."""
    letters = max(6, int(width * 72 / (LETTER * size)))
    return textwrap.fill(text, letters)


def is_outer(ax: Any) -> tuple[bool, bool]:
    """Return whether the axes are the last of their column, and the first of their row.

    Only panels that share a scale count: the others have labels of their own.
    """
    spec = ax.get_subplotspec()
    if spec is None:
        return True, True

    def others(group: Any) -> list[Any]:
        specs = [panel.get_subplotspec() for panel in group.get_siblings(ax) if panel is not ax]
        grid = spec.get_gridspec()
        return [one for one in specs if one is not None and one.get_gridspec() is grid]

    row, column = spec.rowspan, spec.colspan
    below = (
        panel.colspan.start == column.start and panel.rowspan.start > row.start
        for panel in others(ax.get_shared_x_axes())
    )
    left = (
        panel.rowspan.start == row.start and panel.colspan.start < column.start
        for panel in others(ax.get_shared_y_axes())
    )
    return not any(below), not any(left)


def label_axes(ax: Any, x: str, y: str) -> None:
    """Write the names of both axes, where no panel that shares the scale has them already."""
    size, (width, height) = text_size(ax), inches(ax)
    bottom, left = is_outer(ax)
    ax.set_xlabel(wrapped(x, width, size) if bottom else "", fontsize=size)
    ax.set_ylabel(wrapped(y, height, size) if left else "", fontsize=size)
    ax.tick_params(axis="x", labelsize=size, labelbottom=bottom)
    ax.tick_params(axis="y", labelsize=size, labelleft=left)


def draw_title(ax: Any, *lines: str) -> None:
    """Write a title that is no wider than the panel; each text begins a line."""
    size, width = text_size(ax), inches(ax)[0]
    ax.set_title("\n".join(wrapped(line, width, size) for line in lines), fontsize=size)


def draw_heading(ax: Any, text: str) -> Any:
    """Write a title over all panels that is no wider than the figure, and return it."""
    size, figure = HEADING * text_size(ax), ax.figure
    return figure.suptitle(wrapped(text, figure.bbox.width / figure.dpi, size), fontsize=size)


def draw_key(ax: Any, floor: float = 0.0) -> None:
    """Name the curves behind the data, above `floor`, where there are names.

    More names than find a free place stand beside a panel that is alone in its figure.
    """
    handles, names = ax.get_legend_handles_labels()
    if not handles:
        return
    size, page = text_size(ax), ax.figure.bbox.size / ax.figure.dpi
    small, place = 0.8 * size, {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    texts = [wrapped(name, KEY_SHARE * page[0] - HANDLE * small / 72, small) for name in names]
    beside = len(names) > MOST_INSIDE and ax.figure.axes == [ax]
    if beside and _tall(texts, small) < KEPT * page[1]:
        size = small
    else:
        beside, (width, height) = False, inches(ax)
        if ax.get_aspect() != "auto":
            width = min(width, height * (1 - floor))
        texts = [wrapped(name, KEPT * width - HANDLE * size / 72, size) for name in names]
        size *= min(1.0, KEPT * height * (1 - floor) / _tall(texts, size))
        place = {"loc": "best", "bbox_to_anchor": (0.0, floor, 1.0, 1.0 - floor)}
    legend = ax.legend(
        handles,
        texts,
        **place,
        fontsize=size,
        handlelength=2.2,
        frameon=False,
    )
    legend.set_zorder(1)
    legend.set_gid(KEY)
    legend.set_in_layout(beside)


def _tall(texts: Sequence[str], size: float) -> float:
    """Return the height of a key in inches."""
    lines = sum(text.count("\n") + 1 for text in texts)
    return (LINE * lines + 0.5 * len(texts)) * size / 72


def make_room(ax: Any) -> None:
    """Move the panels of a figure without a layout engine, if a label is cut or meets another.

    One ``tight_layout`` as the user would call it; any later layout of the user's replaces it.
    """
    from matplotlib.layout_engine import TightLayoutEngine

    figure = ax.figure
    if not _is_movable(figure):
        return
    engine = figure.get_layout_engine()
    if isinstance(engine, TightLayoutEngine):
        engine.execute(figure)
        _refit_keys(figure)
    elif _is_plain(engine) and _lacks_room(figure, [ax]):
        figure.tight_layout()
        _refit_keys(figure)


def lay_out_panels(panels: Sequence[Any], heading: Any, scale: ProbabilityScale) -> None:
    """Lay a figure out until no label, nor the title over all panels, is cut or meets another.

    Panels of equal scales shrink within the place that a layout gives them, so that one pass does
    not know yet how much room their labels need.
    """
    figure = panels[0].figure
    if not _is_movable(figure):
        return
    engine = figure.get_layout_engine()
    for _ in range(MOST_PASSES):
        if not _is_plain(engine):
            engine.execute(figure)
        if not _lacks_room(figure, [*figure.axes, *([] if heading is None else [heading])]):
            break
        if _is_plain(engine):
            figure.tight_layout()
    _refit_keys(figure)
    for panel in panels:
        set_probability_axes(panel, scale, strip=histogram_of(panel) is not None)


def _is_movable(figure: Any) -> bool:
    """Return whether all panels of a figure have a place in a grid."""
    from matplotlib.figure import Figure

    return isinstance(figure, Figure) and all(
        panel.get_subplotspec() is not None for panel in figure.axes
    )


def _is_plain(engine: Any) -> bool:
    """Return whether nothing lays a figure out when it is drawn."""
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    return engine is None or isinstance(engine, PlaceHolderLayoutEngine)


def _lacks_room(figure: Any, artists: Sequence[Any]) -> bool:
    """Return whether one of these panels and titles is cut or meets another panel."""
    page = figure.bbox
    boxes = {panel: panel.get_tightbbox() for panel in figure.axes}
    for artist in artists:
        box = boxes[artist] if artist in boxes else artist.get_window_extent()
        if box is None:
            continue
        if (box.min < page.min).any() or (box.max > page.max).any():
            return True
        others = (other for panel, other in boxes.items() if other and panel is not artist)
        if any(box.overlaps(other) for other in others):
            return True
    return False


def _refit_keys(figure: Any) -> None:
    """Break the names in all keys anew, after panels have become narrower."""
    for panel in figure.axes:
        key = panel.get_legend()
        if key is not None and key.get_gid() == KEY:
            draw_key(panel, 0.0 if histogram_of(panel) is None else BELOW)


# ----------------------------------------------------------------------------------------- curves


def draw_reference(ax: Any, x: ArrayLike, y: ArrayLike) -> None:
    """Draw the line of a calibrated model, once on the same axes, in the colour of their labels."""
    if not any(line.get_gid() == REFERENCE for line in ax.lines):
        ink = ax.xaxis.label.get_color()
        ax.plot(x, y, linestyle=":", color=ink, linewidth=1, gid=REFERENCE)


def shade(ax: Any) -> dict[str, float]:
    """Return how opaque and wide the fill of a band is: it has to show on a dark ground too."""
    from matplotlib.colors import rgb_to_hsv, to_rgb

    light = rgb_to_hsv(to_rgb(ax.get_facecolor()))[2] > 0.5
    return {"alpha": 0.15 if light else 0.25, "linewidth": 0}


def n_curves(ax: Any) -> int:
    """Return the number of curves that displays have drawn."""
    return sum(line.get_gid() == CURVE for line in ax.lines)


def draw_curve(
    ax: Any, x: Float64Array, y: Float64Array, line_kwargs: dict[str, Any], **defaults: Any
) -> Any:
    """Draw a curve in the next colour and dash, and shape if it has markers; the user's win.

    A colour of the user's takes its turn in the colours of the axes, as any other curve does.
    """
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    order = n_curves(ax)
    if "markersize" in defaults:
        defaults["marker"] = SHAPES[order % len(SHAPES)]
    own = normalize_kwargs(line_kwargs, Line2D)
    dash, colour = DASHES[order % len(DASHES)], own.pop("color", None)
    (line,) = ax.plot(x, y, **{"gid": CURVE, "linestyle": dash, **defaults, **own})
    if colour is not None:
        line.set_color(colour)
    return line


# ----------------------------------------------------------------------------- probability scales


def edge_of(scale: ProbabilityScale, n: float) -> float:
    """Return the least probability that a scale shows for `n` samples."""
    check_option("scale", scale, SCALES)
    return 0.0 if scale == "linear" else min(LEAST_EVENTS / n, 0.25)


def draw_beyond(ax: Any, line: Any, x: Float64Array, y: Float64Array, edge: float) -> None:
    """Draw the points that lie at the edge of a logit scale, or beyond it, hollow."""
    beyond = (np.minimum(x, y) <= edge) | (np.maximum(x, y) >= 1 - edge)
    if edge > 0 and beyond.any():
        own = {"color": line.get_color(), "zorder": line.get_zorder() + 0.1}
        (dots,) = ax.plot(x[beyond], y[beyond], **own)
        dots.update_from(line)
        dots.set(linestyle="none", markerfacecolor=ax.get_facecolor(), label="_beyond", gid=None)


def finish_probability_axes(ax: Any, scale: ProbabilityScale, x: str, y: str) -> Any:
    """Scale and label both axes, add the key, and return the axes of the histogram."""
    strip = histogram_of(ax)
    set_probability_axes(ax, scale, strip=strip is not None)
    label_axes(ax, x, y)
    draw_key(ax, 0.0 if strip is None else BELOW)
    if strip is not None:
        _cut_bands(ax)
    return strip


def _cut_bands(ax: Any) -> None:
    """Keep the bands out of the histogram."""
    from matplotlib.transforms import Bbox, TransformedBbox

    above = TransformedBbox(Bbox.from_bounds(0.0, STRIP, 1.0, 1.0 - STRIP), ax.transAxes)
    for patch in ax.patches:
        if patch.get_gid() == BAND:
            patch.set_clip_box(above)


def make_room_for_ticks(ax: Any, scale: ProbabilityScale) -> None:
    """Make room for labels, and choose as many ticks as there is room then."""
    make_room(ax)
    set_probability_axes(ax, scale, strip=histogram_of(ax) is not None)


def set_probability_axes(ax: Any, scale: ProbabilityScale, *, strip: bool) -> None:
    """Scale both axes alike, with room for a histogram below the least probability."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    low, high = 0.0, 1.0
    if scale == "logit":
        panels = {
            *ax.get_shared_x_axes().get_siblings(ax),
            *ax.get_shared_y_axes().get_siblings(ax),
        }
        curves = (line for panel in panels for line in panel.lines if line.get_gid() == CURVE)
        values = np.concatenate([np.ravel(line.get_data()) for line in curves])
        low, high = 0.8 * values.min(), 1 - 0.8 * (1 - values.max())
    forward, back = (logit, expit) if scale == "logit" else (np.asarray, np.asarray)
    start, stop = forward(low), forward(high)
    pad = 0.02 * (stop - start)
    start, stop = start - pad, stop + pad
    floor = (start - BELOW * stop) / (1 - BELOW) if strip else start
    ax.set(
        xscale=scale,
        yscale=scale,
        xlim=back([start, stop]),
        ylim=back([floor, stop]),
        aspect="equal",
    )
    ticks = probability_ticks(low, high) if scale == "logit" else None
    letters = text_size(ax)
    width, height = 72 * inches(ax)
    length = min(width, height * (stop - start) / (stop - floor))
    for axis, breadth in ((ax.xaxis, None), (ax.yaxis, 1.5 * letters)):
        if ticks is None:
            chosen = np.linspace(0, 1, 6 if length > 14 * letters else 3)
        else:
            places = length * (logit(ticks) - start) / (stop - start)
            chosen = apart(ticks, places, letters, breadth)
        axis.set_major_locator(FixedLocator(chosen.tolist()))
        axis.set_major_formatter(FixedFormatter([tick_label(tick) for tick in chosen]))
        axis.set_minor_locator(NullLocator())


def probability_ticks(low: float, high: float) -> Float64Array:
    """Return the powers of ten, a half, and what the powers leave to 1, between two ends.

    Ends that lie closer than a few of these are divided evenly.
    """
    powers = 10.0 ** -np.arange(1, 16)
    ticks = np.concatenate([powers[::-1], [0.5], 1 - powers])
    shown = ticks[(ticks >= low) & (ticks <= high)]
    if len(shown) > 2:
        return shown
    even = np.array(Scale(low, high).ticks(0.0))
    return even[(even >= low) & (even <= high)]


def tick_label(tick: float) -> str:
    """Write a probability: 0.001, 0.5, 0.999, and powers of ten where zeros are many."""
    return signed(f"1e{round(np.log10(tick))}") if 0 < tick < 1e-4 else f"{tick:.12g}"


def apart(
    ticks: Float64Array, places: Float64Array, letters: float, breadth: float | None
) -> Float64Array:
    """Return the ticks whose labels do not meet; each is `breadth` points, or as its text."""
    chosen, end = [], -np.inf
    for tick, place in zip(ticks, places, strict=True):
        half = (breadth or (len(tick_label(tick)) + 1.5) * LETTER * letters) / 2
        if place - half >= end:
            chosen.append(tick)
            end = place + half
    return np.array(chosen)


def draw_histogram(ax: Any, edges: Float64Array, share: Float64Array, line: Any) -> Any:
    """Draw the share of samples per bin inside the axes, below the least probability.

    The first histogram is filled, those of further models are outlines in the dash of their curve.
    Panels that share their vertical scale share that of the histograms.
    """
    strip = histogram_of(ax)
    if strip is None:
        strip = ax.inset_axes((0.0, 0.0, 1.0, STRIP), sharex=ax, gid=HISTOGRAM)
        strip.xaxis.set_visible(False)
        strip.patch.set_visible(False)
        strip.spines[["left", "right", "bottom"]].set_visible(False)
        strip.spines["top"].set(color="0.6", linewidth=0.6)
    first = not strip.patches
    strip.stairs(
        share,
        edges,
        fill=first,
        color=line.get_color(),
        alpha=0.45 if first else 0.9,
        linestyle="-" if first else line.get_linestyle(),
        linewidth=0.6 if first else 1,  # a bin without a width shows as a line
    )
    strips = {panel: histogram_of(panel) for panel in ax.get_shared_y_axes().get_siblings(ax)}
    strips = {panel: other for panel, other in strips.items() if other is not None}
    top = max(patch.get_data().values.max() for other in strips.values() for patch in other.patches)
    text = f"{top:.0%}" if top >= 0.1 else f"{top:.1%}"
    for panel, other in strips.items():
        other.set(ylim=(0, 1.05 * top))
        other.set_yticks([top], [text], va="top")
        left, letters = is_outer(panel)[1], 0.85 * text_size(panel)
        other.tick_params(axis="y", length=0, labelleft=left, labelsize=letters)
    return strip


def histogram_of(ax: Any) -> Any:
    """Return the axes of the histogram inside these axes, or None."""
    return next((child for child in ax.child_axes if child.get_gid() == HISTOGRAM), None)


# ------------------------------------------------------------------------------------------ files


def save_figure(figure: Any, path: str | os.PathLike[str], **savefig_kwargs: Any) -> None:
    """Write a figure to a file in which text is text, ready for a paper.

    Letters in PDF, PostScript and SVG files stay letters, which readers can search and editors can
    change, whatever the settings of matplotlib; these are as before afterwards. The file is there
    in full, or the old one stays.

    Parameters
    ----------
    figure : matplotlib Figure
        What to write, for instance ``display.figure_``.
    path : path-like
        File to write; its ending names the format, for instance ``.pdf``, ``.svg`` or ``.png``.
    **savefig_kwargs : keyword arguments
        Passed to ``figure.savefig``, for instance ``dpi``.

    Raises
    ------
    ValueError
        If `path` has no ending, or one that matplotlib does not write.
    OSError
        If the file cannot be written.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from calib.evaluation import ReliabilityDisplay, save_figure
    >>> display = ReliabilityDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])
    >>> save_figure(display.figure_, "reliability.pdf")  # doctest: +SKIP
    """
    matplotlib = require("matplotlib", extra="plot", purpose="save_figure")
    kind = savefig_kwargs.pop("format", Path(path).suffix.lstrip("."))
    kinds = figure.canvas.get_supported_filetypes()
    if kind.lower() not in kinds:
        raise ValueError(f"path must end in one of {', '.join(sorted(kinds))}; got {str(path)!r}")
    letters = {"svg.fonttype": "none", "pdf.fonttype": 42, "ps.fonttype": 42}
    with matplotlib.rc_context(letters), atomic_write(path, "wb") as file:
        figure.savefig(file, format=kind, **savefig_kwargs)
