"""One model, one colour: curve, hollow dots, band and histogram, on every scale and style."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from calib.evaluation import (
    CumulativeDisplay,
    ReliabilityDisplay,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

N = 2000
CYCLE = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"]


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def ax() -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(3.3, 3.0), layout="constrained")[1]


def near_the_ends() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-rng.normal(0, 4, N)))
    return (rng.random(N) < p).astype(int), p


def reliability(ax: Any, scale: str, **options: Any) -> Any:
    """Draw two models whose outermost bins lie beyond a logit scale; return the second display."""
    y, p = near_the_ends()
    common = {"ax": ax, "scale": scale, "strategy": "quantile"}
    ReliabilityDisplay.from_predictions(y, p, name="first", **common, **options)
    return ReliabilityDisplay.from_predictions(y, p**1.3, name="second", **common)


def hexed(colour: Any) -> str:
    return str(matplotlib.colors.to_hex(colour))


def dots_beyond(ax: Any) -> list[Any]:
    return [line for line in ax.lines if line.get_label() == "_beyond"]


@pytest.mark.parametrize("scale", ["linear", "logit"])
@pytest.mark.parametrize("own", [{}, {"color": "black"}, {"c": "C0"}, {"color": None}])
@pytest.mark.parametrize("drawn_before", [0, 1])
def test_every_artist_of_a_model_has_its_colour(
    ax: Any, scale: str, own: dict[str, Any], drawn_before: int
) -> None:
    for _ in range(drawn_before):
        ax.plot([0.2, 0.8], [0.5, 0.5])
    second = reliability(ax, scale, **own)
    (given,) = own.values() or [None]
    wanted = [
        CYCLE[drawn_before] if given is None else hexed(given),
        CYCLE[drawn_before + 1],
    ]
    curves = [line for line in ax.lines if line.get_label() in ("first", "second")]
    assert [hexed(line.get_color()) for line in curves] == wanted
    assert second.line_ is curves[1]
    dots = dots_beyond(ax)
    assert [hexed(line.get_markeredgecolor()) for line in dots] == (
        wanted if scale == "logit" else []
    )
    assert all(hexed(line.get_markerfacecolor()) == hexed(ax.get_facecolor()) for line in dots)
    bands = {hexed(bar.get_facecolor()): None for bar in ax.patches}
    assert list(bands) == wanted
    filled, outline = ax.child_axes[0].patches
    assert [hexed(filled.get_facecolor()), hexed(outline.get_edgecolor())] == wanted


def test_cumulative_curves_take_turns_in_the_colours_of_the_axes(ax: Any) -> None:
    y, p = near_the_ends()
    first = CumulativeDisplay.from_predictions(y, p, ax=ax, color="black")
    second = CumulativeDisplay.from_predictions(y, p**1.3, ax=ax)
    assert [hexed(display.line_.get_color()) for display in (first, second)] == [
        "#000000", CYCLE[1],
    ]  # fmt: skip
    assert [hexed(patch.get_facecolor()) for patch in ax.patches] == ["#000000", CYCLE[1]]


def test_colours_of_the_users_axes_are_kept(ax: Any) -> None:
    ax.set_prop_cycle(color=["teal", "maroon"])
    second = reliability(ax, "logit")
    assert hexed(second.line_.get_color()) == hexed("maroon")
    third = ReliabilityDisplay.from_predictions(*near_the_ends(), ax=ax)
    assert hexed(third.line_.get_color()) == hexed("teal")


def test_dark_style_shows_the_reference_and_the_rings() -> None:
    import matplotlib.pyplot as plt

    with plt.style.context("dark_background"):
        _, ax = plt.subplots()
        reliability(ax, "logit")
        _, other = plt.subplots()
        CumulativeDisplay.from_predictions(*near_the_ends(), ax=other)
    for panel in (ax, other):
        references = [line for line in panel.lines if line.get_linestyle() == ":"]
        assert hexed(references[0].get_color()) == "#ffffff"
    assert all(hexed(dots.get_markerfacecolor()) == "#000000" for dots in dots_beyond(ax))
    for panel in (ax, other):
        band = panel.patches[0].get_facecolor()
        assert band[3] * max(band[:3]) > 0.2, "the band does not show on black"
