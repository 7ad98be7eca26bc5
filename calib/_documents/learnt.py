"""What a fitted estimator learnt, shown in a notebook below scikit-learn's diagram of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._documents.charts import INKS
from calib._documents.document import Drawing, Line, Mark, Polyline, Rect, Text
from calib._documents.html import learnt_fragment

#: Side of the square and its left and upper margin, in user units.
SIDE, LEFT, TOP = 118.0, 30.0, 6.0
#: Curves that can be told apart in a small drawing.
MOST_CURVES = len(INKS)


@dataclass(frozen=True)
class Learnt:
    """Rows of words and numbers, and curves over the unit square.

    Attributes
    ----------
    rows : sequence of (name, text)
    curves : mapping of str to (x, y)
        Points in [0, 1] of each curve, by what it is of.
    caption : str
        What the curves show.
    """

    rows: Sequence[tuple[str, str]]
    curves: Mapping[str, tuple[Float64Array, Float64Array]] = field(default_factory=dict)
    caption: str = ""

    def html(self) -> str:
        """Return an element that can stand in a notebook."""
        return learnt_fragment(self, self.drawing() if self.curves else None)

    def drawing(self) -> Drawing:
        """Return the curves over the diagonal."""
        right, base = LEFT + SIDE, TOP + SIDE
        marks: list[Mark] = [
            Rect(LEFT, TOP, SIDE, SIDE, stroke="line"),
            Line(LEFT, base, right, TOP, "muted", dash="2 3"),
        ]
        for tick, text in ((0.0, "0"), (0.5, "0.5"), (1.0, "1")):
            x, y = LEFT + SIDE * tick, base - SIDE * tick
            marks += [Text(x, base + 13, text), Text(LEFT - 4, y + 4, text, "end")]
        sentences = []
        for ink, (name, (before, after)) in zip(INKS, self.curves.items(), strict=False):
            points = list(zip(LEFT + SIDE * before, base - SIDE * after, strict=True))
            marks.append(Polyline(points, ink, 1.6))
            middle = len(before) // 2
            sentences.append(f"{name}: {before[middle]:.2g} becomes {after[middle]:.2g}")
        return Drawing(self.caption, "; ".join(sentences), right + 10, base + 20, marks, size=10.0)


class ShowsWhatItLearnt:
    """Mix-in of estimators: their page in a notebook goes on with what they learnt."""

    def what_was_learnt(self) -> Learnt | None:
        """Return what the fit found; None before it."""
        return None

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += self._learnt_html()
        return bundle

    @property
    def _repr_html_(self) -> Any:
        diagram = super()._repr_html_  # type: ignore[misc]
        return lambda: diagram() + self._learnt_html()

    def _learnt_html(self) -> str:
        learnt = self.what_was_learnt()
        return "" if learnt is None else learnt.html()


def number_text(value: Any) -> str:
    """Return a fitted number, or a few of them, in words; of many their count and range."""
    array = np.asarray(value, dtype=np.float64)
    if array.size == 1:
        return f"{array.item():.4g}"
    if array.size <= 4:
        return ", ".join(f"{number:.4g}" for number in array.ravel())
    shape = " by ".join(map(str, array.shape))
    return f"{shape} numbers from {array.min():.4g} to {array.max():.4g}"
