"""Every display in the layouts of papers: nothing leaves the figure, nothing hides data."""

from __future__ import annotations

import itertools
import re
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
LONGER = f"{LONG}, and longer than the whole figure: {LONG}"


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
    alone = len(ax.get_shared_y_axes().get_siblings(ax)) == 1
    heatmap().plot(ax, limit=0.3, colorbar=alone)  # five bars of colour leave no room for panels


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
    page, hidden = figure.bbox, parts_of_hidden_ticks(figure)
    for artist in figure.findobj(include_self=False):
        if not artist.get_visible() or id(artist) in hidden:
            continue
        box = artist.get_tightbbox(figure.canvas.get_renderer())
        if box is None or not (box.width and box.height and np.isfinite(box.extents).all()):
            continue
        text = getattr(artist, "get_text", lambda: "")()
        inside = (page.min - 1 <= box.min).all() and (box.max <= page.max + 1).all()
        assert inside, (artist, text, box.extents)


def parts_of_hidden_ticks(figure: Any) -> set[int]:
    """Ticks outside the limits of their axis are not drawn."""
    from matplotlib.axis import Axis, Tick

    hidden = set()
    for axis in figure.findobj(Axis):
        drawn = axis._update_ticks() if axis.get_visible() else []
        for tick in axis.get_children():
            if isinstance(tick, Tick) and not any(tick is other for other in drawn):
                hidden |= {id(tick), *map(id, tick.get_children())}
    return hidden


def assert_data_visible(ax: Any) -> None:
    """All points lie within the axes, above the histogram, and axes and histogram have a size."""
    inner = ax.get_window_extent()
    assert min(inner.width, inner.height) > 0.45 * ax.figure.dpi, "panel too small to read"
    strips = ax.child_axes
    floor = inner.y0
    for strip in strips:
        box = strip.get_window_extent()
        assert inner.y0 - 1 <= box.y0
        assert box.y1 <= inner.y1
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
        assert (points[:, 0] >= inner.x0 - 1).all()
        assert (points[:, 0] <= inner.x1 + 1).all()
        assert (points[:, 1] >= floor - 1).all()
        assert (points[:, 1] <= inner.y1 + 1).all()
        legend = ax.get_legend()
        assert legend is None or legend.get_zorder() < line.get_zorder(), "the legend hides data"
        assert legend is None or not legend.get_frame_on()
        if legend is not None:
            box = legend.get_window_extent()
            inside = inner.x0 - 1 <= box.x0 < box.x1 <= inner.x1 + 1
            assert inside, "the key leaves its panel"


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_labels_of_a_panel_do_not_meet(drawing: str) -> None:
    (ax,) = PLACES["single column"](layout="constrained")
    DRAWINGS[drawing](ax)
    assert_labels_apart(ax)


def assert_labels_apart(ax: Any) -> None:
    ax.figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        labels = [
            tick.label1.get_window_extent() for tick in axis._update_ticks()
            if tick.label1.get_visible() and tick.label1.get_text()
        ]  # fmt: skip
        for first, second in itertools.combinations(labels, 2):
            assert not first.overlaps(second)


@pytest.mark.parametrize("place", ["new", "1 x 5", "2 x 3"])
def test_classes_side_by_side(place: str) -> None:
    y, p, names = seven_classes()
    own = None if place == "new" else PLACES[place](layout="constrained", sharex=True, sharey=True)
    display = ClasswiseReliabilityDisplay.from_predictions(
        y, p, labels=names, axes=own, n_panels=None if own is None else len(own)
    )
    figure = display.figure_
    assert_inside(figure)
    assert sorted(display.classes) == sorted(names)
    assert (np.diff(display.errors) <= 0).all()
    assert len(display.axes_) == len(display.displays_) == (7 if own is None else len(own))
    for ax, label in zip(display.axes_, display.classes, strict=False):
        assert label in ax.get_title().replace("\n", " ")
        assert ax.get_xlim() == display.axes_[0].get_xlim()
        assert ax.get_ylim() == display.axes_[0].get_ylim()
        assert_data_visible(ax)
    tops = {part.histogram_ax_.get_ylim() for part in display.displays_}
    assert len(tops) == 1


def seven_classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    names = np.array(["aeroplane", "bird", "a class with a long name", "dog", "egg", "fox", "gnu"])
    logits = rng.normal(size=(N, 7)) * np.array([1, 2, 3, 1, 1, 1, 1])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = names[(p.cumsum(axis=1) < rng.random((N, 1))).sum(axis=1).clip(0, 6)]
    return y, p**2 / (p**2).sum(axis=1, keepdims=True), names


def at_once(figure: Any, path: Path) -> np.ndarray:
    """Return the picture of a figure that nothing has drawn before, True where there is ink."""
    save_figure(figure, path / "picture.png", dpi=figure.dpi)
    return np.asarray((matplotlib.image.imread(path / "picture.png")[..., :3] < 0.99).any(axis=2))


@pytest.mark.parametrize(
    ("place", "engine", "name"),
    [
        ("new", "plain", LONGER),
        ("single column", "plain", LONGER),
        ("single column", "constrained", "model"),
        ("1 x 5", "plain", LONGER),
        ("1 x 5 shared", "constrained", "model"),
        ("1 x 5 shared", "tight", LONGER),
        ("2 x 3", "plain", "model"),
    ],
)
def test_a_titled_figure_of_classes_is_whole_at_its_first_save(
    place: str, engine: str, name: str, tmp_path: Path
) -> None:
    y, p, names = seven_classes()
    own = None if place == "new" else PLACES[place](**ENGINES[engine])
    display = ClasswiseReliabilityDisplay.from_predictions(
        y, p, labels=names, axes=own, name=name, n_panels=None if own is None else len(own)
    )
    figure = display.figure_
    ink = at_once(figure, tmp_path)
    assert not ink[[0, -1]].any(), "cut above or below"
    assert not ink[:, [0, -1]].any(), "cut at the side"
    heading = next(text for text in figure.texts if name[:5] in text.get_text())
    assert heading.get_text().replace("\n", " ") == name
    for ax in display.axes_:
        assert not heading.get_window_extent().overlaps(ax.get_tightbbox())
        assert_data_visible(ax)
        assert_labels_apart(ax)
    assert_inside(figure)


def test_svg_of_a_titled_figure_of_classes_holds_all_text(tmp_path: Path) -> None:
    y, p, names = seven_classes()
    axes = panels(6.9, sharex=True, sharey=True, layout="constrained")
    display = ClasswiseReliabilityDisplay.from_predictions(
        y, p, labels=names, axes=axes, name="model", n_panels=5
    )
    save_figure(display.figure_, tmp_path / "picture.svg")
    content = (tmp_path / "picture.svg").read_text()
    height = float(re.search(r'viewBox="0 0 \S+ (\S+)"', content)[1])  # type: ignore[index]
    places = re.findall(r"<text[^>]*translate\(\S+ (\S+)\)", content)
    places += re.findall(r'<text[^>]* y="(\S+)"', content)
    assert len(places) > 20
    assert all(5 < float(place) < height - 3 for place in places)


def test_panels_that_share_a_scale_name_the_top_of_the_histogram_in_every_row() -> None:
    import matplotlib.pyplot as plt

    y, p, names = seven_classes()
    _, axes = plt.subplots(2, 2, sharex=True, sharey=True, layout="constrained")
    display = ClasswiseReliabilityDisplay.from_predictions(y, p, labels=names, axes=axes)
    display.figure_.canvas.draw()
    shown = [
        [label.get_text() for label in part.histogram_ax_.get_yticklabels() if label.get_visible()]
        for part in display.displays_
    ]
    top = max(part.table.weight.max() / part.table.weight.sum() for part in display.displays_)
    assert shown == [[f"{top:.0%}"], [], [f"{top:.0%}"], []]


def test_ticks_of_a_stretched_scale() -> None:
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-rng.normal(0, 4, 20_000)))
    y = (rng.random(20_000) < p).astype(int)
    ax = ReliabilityDisplay.from_predictions(
        y, p, strategy="quantile", n_bins=40, scale="logit"
    ).ax_
    ax.figure.canvas.draw()
    texts = [tick.get_text() for tick in ax.get_yticklabels()]
    wanted = ["0.0001", "0.001", "0.01", "0.1", "0.5", "0.9", "0.99", "0.999", "0.9999"]
    assert texts == wanted
    with pytest.raises(ValueError, match="scale must be one of"):
        ReliabilityDisplay.from_predictions(y, p, scale="log")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("drawing", [ReliabilityDisplay, CumulativeDisplay])
def test_many_names_stand_beside_the_panel(drawing: Any, engine: str) -> None:
    ax = single(**ENGINES[engine])
    y, p = sample()
    names = [f"model {k} scaled" for k in range(8)]
    for k, name in enumerate(names):
        drawing.from_predictions(y, p ** (0.6 + 0.2 * k), name=name, ax=ax, band=False)
    assert_inside(ax.figure)
    inner, key = ax.get_window_extent(), ax.get_legend()
    box = key.get_window_extent()
    assert box.x0 >= inner.x1 - 1
    assert box.height <= ax.figure.bbox.height
    assert [text.get_text().replace("\n", " ") for text in key.get_texts()] == names
    assert inner.width > 1.1 * ax.figure.dpi


@pytest.mark.parametrize("place", ["1 x 5", "single column"])
def test_many_names_stay_inside_where_there_is_no_room_beside(place: str) -> None:
    first, *_ = PLACES[place](layout="constrained")
    y, p = sample()
    for k in range(8):
        CumulativeDisplay.from_predictions(
            y, p, name=f"model {k}" if place == "1 x 5" else LONG, ax=first
        )
    first.figure.canvas.draw()
    inner = first.get_window_extent()
    assert first.get_legend().get_window_extent().x1 <= inner.x1 + 1
    assert inner.height > 0.45 * first.figure.bbox.height
    assert_inside(first.figure)


def test_bands_stay_out_of_the_histogram() -> None:
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-rng.normal(0, 2, N)))
    y = (rng.random(N) < p).astype(int)
    display = ReliabilityDisplay.from_predictions(y, p, strategy="quantile", scale="logit")
    display.figure_.canvas.draw()
    strip = display.histogram_ax_.get_window_extent()
    reaching = [bar for bar in display.ax_.patches if bar.get_window_extent().y0 < strip.y1 - 1]
    assert reaching
    assert all(bar.get_clip_box().y0 >= strip.y1 - 1 for bar in reaching)


def test_predictions_that_are_all_alike_show_and_have_ticks() -> None:
    y = np.arange(400) % 2
    display = ReliabilityDisplay.from_predictions(y, np.full(400, 0.37), scale="logit")
    assert len(display.ax_.get_xticks()) >= 3
    assert len(display.ax_.get_yticks()) >= 3
    sure = ReliabilityDisplay.from_predictions(
        np.ones(300, int), np.ones(300), labels=[0, 1], strategy="quantile"
    )
    (bars,) = sure.histogram_ax_.patches
    sure.figure_.canvas.draw()
    assert bars.get_linewidth() > 0
    assert bars.get_window_extent().height > 10
    for other in (display, sure):
        assert_inside(other.figure_)


def test_options_of_the_line_reach_nothing_else() -> None:
    y, _ = sample()
    rng = np.random.default_rng(0)
    near = 1 / (1 + np.exp(-rng.normal(0, 4, N)))
    for drawing, options in (
        (ReliabilityDisplay, {"scale": "logit", "strategy": "quantile"}), (CumulativeDisplay, {}),
    ):  # fmt: skip
        plain, ax = single(), single()
        drawing.from_predictions(y, near, ax=plain, **options)
        line = drawing.from_predictions(
            y, near, ax=ax, linewidth=4, alpha=0.5, markersize=9, marker="*", zorder=5, **options
        ).line_
        assert (line.get_linewidth(), line.get_alpha(), line.get_markersize()) == (4, 0.5, 9)
        assert (line.get_marker(), line.get_zorder()) == ("*", 5)
        children = zip(plain.child_axes or [plain], ax.child_axes or [ax], strict=True)
        pairs = [(plain, ax), *children]
        for first, second in pairs:
            for usual, other in zip(first.patches, second.patches, strict=True):
                assert usual.get_linewidth() == other.get_linewidth()
                assert usual.get_facecolor() == other.get_facecolor()
                assert usual.get_zorder() == other.get_zorder()
                assert usual.get_linestyle() == other.get_linestyle()
        reference = next(other for other in ax.lines if other.get_linestyle() == ":")
        assert (reference.get_linewidth(), reference.get_alpha()) == (1, None)


def test_models_differ_without_colour_and_options_reach_the_line() -> None:
    ax = single()
    y, p = sample()
    first = ReliabilityDisplay.from_predictions(y, p, ax=ax, lw=3, c="black", zorder=7).line_
    second = ReliabilityDisplay.from_predictions(y, p, ax=ax, ls=":").line_
    assert (first.get_linewidth(), first.get_color(), first.get_zorder()) == (3, "black", 7)
    assert first.get_marker() != second.get_marker()
    assert second.get_linestyle() == ":"
    curve = CumulativeDisplay.from_predictions(y, p, linestyle="--", label="own").line_
    assert (curve.get_linestyle(), curve.get_label()) == ("--", "own")


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_text_of_files_is_text_and_settings_stay(kind: str, tmp_path: Path) -> None:
    y, p = sample()
    display = ReliabilityDisplay.from_predictions(y, p, name="model")
    before = dict(matplotlib.rcParams)
    save_figure(display.figure_, tmp_path / f"picture.{kind}")
    assert dict(matplotlib.rcParams) == before
    content = (tmp_path / f"picture.{kind}").read_bytes()
    if kind == "svg":
        assert b">Predicted probability</text>" in content
    else:
        assert b"/Type0" in content
        assert b"/Type3" not in content
    with pytest.raises(ValueError, match="path must end in one of"):
        save_figure(display.figure_, tmp_path / "picture")
