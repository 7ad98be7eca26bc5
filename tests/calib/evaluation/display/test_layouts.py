"""Every display in the layouts of papers: nothing leaves the figure, nothing hides data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib.evaluation import (
    ClasswiseReliabilityDisplay,
    CumulativeDisplay,
    DetectionHeatmapDisplay,
    PositionMap,
    ReliabilityDisplay,
    save_figure,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

N = 2000
LONG = "a model whose name is longer than its panel is wide"


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def sample(rare: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 40, N) if rare else rng.random(N)
    return (rng.random(N) < p**1.3).astype(int), p


def heatmap() -> DetectionHeatmapDisplay:
    gap = np.linspace(-0.25, 0.2, 25).reshape(5, 5)
    counts = np.full((5, 5), 20)
    counts[0, 0] = 2
    return DetectionHeatmapDisplay(
        PositionMap("iou", counts, 0.5 + gap, np.full((5, 5), 0.5), np.full((5, 5), 0.1)),
        name=LONG,
    )


def reliability(ax: Any) -> None:
    y, p = sample()
    ReliabilityDisplay.from_predictions(y, p, name=LONG, ax=ax)
    ReliabilityDisplay.from_predictions(y, p**1.3, name="scaled", ax=ax)


def rare(ax: Any) -> None:
    y, p = sample(rare=True)
    ReliabilityDisplay.from_predictions(
        y, p, name="rare", ax=ax, strategy="quantile", scale="logit"
    )


def cumulative(ax: Any) -> None:
    y, p = sample()
    CumulativeDisplay.from_predictions(y, p, name=LONG, ax=ax)
    CumulativeDisplay.from_predictions(y, p**1.3, name="scaled", ax=ax, band=False)


def position(ax: Any) -> None:
    heatmap().plot(ax)


DRAWINGS = {
    "reliability": reliability, "rare": rare, "cumulative": cumulative, "position": position,
}  # fmt: skip


def single(**layout: Any) -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(3.3, 2.8), **layout)[1]


def panels(width: float = 10, **layout: Any) -> list[Any]:
    import matplotlib.pyplot as plt

    return list(plt.subplots(1, 5, figsize=(width, 2.6), **layout)[1])


def small(**layout: Any) -> list[Any]:
    import matplotlib.pyplot as plt

    return list(plt.subplots(2, 3, figsize=(6.6, 4.4), **layout)[1].flat)


def grid(**layout: Any) -> list[Any]:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.6, 4.4), **layout)
    cells = figure.add_gridspec(2, 2, width_ratios=[2, 1])
    return [figure.add_subplot(cells[:, 0])] + [figure.add_subplot(cells[k, 1]) for k in (0, 1)]


ENGINES: dict[str, dict[str, Any]] = {
    "plain": {}, "constrained": {"layout": "constrained"}, "tight": {"layout": "tight"},
}  # fmt: skip
PLACES: dict[str, Callable[..., Any]] = {
    "single column": lambda **layout: [single(**layout)],
    "1 x 5": panels,
    "1 x 5 shared": lambda **layout: panels(6.9, sharex=True, sharey=True, **layout),
    "2 x 3": small,
    "grid": grid,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("drawing", DRAWINGS)
def test_nothing_leaves_the_figure_or_meets_another_panel(
    drawing: str, place: str, engine: str
) -> None:
    axes = PLACES[place](**ENGINES[engine])
    for ax in axes:
        DRAWINGS[drawing](ax)
    figure = axes[0].figure
    folder = Path("/tmp/plots")
    if folder.is_dir():
        figure.savefig(folder / f"{drawing}-{place}-{engine}.png".replace(" ", ""), dpi=130)
    assert_inside(figure)
    for ax in axes:
        assert_data_visible(ax)
    boxes = [ax.get_tightbbox() for ax in axes]
    for first, second in itertools.combinations(boxes, 2):
        shared = matplotlib.transforms.Bbox.intersection(first, second)
        assert shared is None or min(shared.width, shared.height) < 2, "panels overlap"


def assert_inside(figure: Any) -> None:
    """Every artist that shows lies within the figure, and axes have a size that shows data."""
    figure.canvas.draw()
    page = figure.bbox
    for artist in figure.findobj(include_self=False):
        if not artist.get_visible() or not shown(artist):
            continue
        box = artist.get_tightbbox(figure.canvas.get_renderer())
        if box is None or not (box.width and box.height and np.isfinite(box.extents).all()):
            continue
        text = getattr(artist, "get_text", lambda: "")()
        assert box.x0 >= page.x0 - 1 and box.y0 >= page.y0 - 1, (artist, text, box.extents)
        assert box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1, (artist, text, box.extents)


def shown(artist: Any) -> bool:
    """Tick labels outside the limits of their axis are not drawn; nor is what an axis hides."""
    axes = getattr(artist, "axes", None)
    if axes is None or artist is axes:
        return True
    for axis in (axes.xaxis, axes.yaxis):
        inner = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        if any(artist is tick or artist in tick.get_children() for tick in inner):
            drawn = axis._update_ticks() if axis.get_visible() else []
            return any(artist is tick or artist in tick.get_children() for tick in drawn)
    return True


def assert_data_visible(ax: Any) -> None:
    """All points lie within the axes, above the histogram, and axes and histogram have a size."""
    inner = ax.get_window_extent()
    assert min(inner.width, inner.height) > 0.45 * ax.figure.dpi, "panel too small to read"
    strips = ax.child_axes
    floor = inner.y0
    for strip in strips:
        box = strip.get_window_extent()
        assert inner.y0 - 1 <= box.y0 and box.y1 <= inner.y1
        assert box.height > 0.1 * inner.height
        drawn = [patch for patch in strip.patches if patch.get_visible()]
        assert drawn
        for patch in drawn:
            tall = patch.get_window_extent()
            assert tall.y1 <= box.y1 + 1
        floor = box.y1
    for line in ax.lines:
        if line.get_gid() != "calib-curve":
            continue
        points = line.get_transform().transform(np.column_stack(line.get_data()))
        assert np.isfinite(points).all()
        assert (points[:, 0] >= inner.x0 - 1).all() and (points[:, 0] <= inner.x1 + 1).all()
        assert (points[:, 1] >= floor - 1).all() and (points[:, 1] <= inner.y1 + 1).all()
        legend = ax.get_legend()
        assert legend is None or legend.get_zorder() < line.get_zorder(), "the legend hides data"
        assert legend is None or not legend.get_frame_on()


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_labels_of_a_panel_do_not_meet(drawing: str) -> None:
    (ax,) = PLACES["single column"](layout="constrained")
    DRAWINGS[drawing](ax)
    figure = ax.figure
    figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        labels = [
            tick.label1.get_window_extent() for tick in axis._update_ticks()
            if tick.label1.get_visible() and tick.label1.get_text()
        ]  # fmt: skip
        for first, second in itertools.combinations(labels, 2):
            assert not first.overlaps(second)


