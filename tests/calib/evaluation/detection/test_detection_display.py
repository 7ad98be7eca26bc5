from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from calib.detection import match
from calib.evaluation import DetectionHeatmapDisplay, PositionMap

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize(("target", "tau"), [("iou", 0.0), ("tp", 0.5)])
def test_cells_are_means_of_their_detections(
    scene: Callable[..., Any], target: Any, tau: float
) -> None:
    found, truth = scene(3, n_images=30, n_boxes=300)
    matches = match(found, truth, iou_threshold=tau)
    display = DetectionHeatmapDisplay.from_detections(
        found, truth, target=target, threshold=0.2, n_bins=3, name="model"
    )
    again = DetectionHeatmapDisplay.from_detections(
        found, truth, target=target, threshold=0.2, n_bins=3, matches=matches
    )
    cells = display.position_map
    np.testing.assert_array_equal(cells.gap, again.position_map.gap)
    wanted = matches.iou if target == "iou" else matches.is_true_positive.astype(float)
    known = np.isin(found.labels, truth.labels[~truth.ignore])
    rows = matches.valid & known & (found.scores >= 0.2)
    place = np.clip((found.position()[:, :2] * 3).astype(int), 0, 2)
    for y in range(3):
        for x in range(3):
            here = rows & (place[:, 0] == x) & (place[:, 1] == y)
            assert cells.n_detections[y, x] == here.sum()
            if not here.sum():
                continue
            gap = found.scores[here] - wanted[here]
            assert cells.gap[y, x] == pytest.approx(gap.mean())
            assert cells.mean_target[y, x] == pytest.approx(wanted[here].mean())
            if here.sum() > 1:
                error = gap.std(ddof=1) / np.sqrt(here.sum())
                assert cells.standard_error[y, x] == pytest.approx(error)
    assert display.ax_.get_title() == "model"
    assert display.figure_ is display.ax_.figure
    shown = display.image_.get_array()
    enough = cells.n_detections >= 8
    np.testing.assert_allclose(shown.filled(np.nan)[enough], cells.gap[enough])
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown))[~enough].all()
    low, high = display.image_.get_clim()
    assert high == -low == pytest.approx(max(0.1, np.abs(cells.gap[enough]).max()))


def example(count: int = 20) -> PositionMap:
    one = np.ones((2, 2))
    return PositionMap("tp", count * one.astype(int), 0.9 * one, 0.5 * one, 0.1 * one)


def test_options() -> None:
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    display = DetectionHeatmapDisplay(example()).plot(ax, limit=0.5, colorbar=False)
    assert display.ax_ is ax
    assert len(ax.figure.axes) == 1
    assert display.image_.get_clim() == (-0.5, 0.5)
    assert [text.get_text() for text in ax.texts] == ["+0.40"] * 4
    coloured = DetectionHeatmapDisplay(example()).plot()
    assert "precision" in coloured.figure_.axes[1].get_ylabel()
    empty = DetectionHeatmapDisplay(example(3), name="few").plot()
    assert not empty.ax_.texts
    assert len(DetectionHeatmapDisplay(example(3), min_samples=3).plot().ax_.texts) == 4


def test_bad_options(scene: Callable[..., Any]) -> None:
    found, truth = scene(0)
    with pytest.raises(ValueError, match="limit must be > 0"):
        DetectionHeatmapDisplay(example()).plot(limit=0)
    with pytest.raises(ValueError, match="min_samples"):
        DetectionHeatmapDisplay(example(), min_samples=0)
    with pytest.raises(ValueError, match="target must be"):
        DetectionHeatmapDisplay.from_detections(found, truth, target="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_bins must be"):
        DetectionHeatmapDisplay.from_detections(found, truth, n_bins=0)
    with pytest.raises(ValueError, match="image_size"):
        DetectionHeatmapDisplay.from_detections(found.replaced({"image_size": None}), truth)
