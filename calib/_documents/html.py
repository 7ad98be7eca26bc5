"""Documents as pages: everything is inside one file, nothing is loaded and no script runs.

What the pages look like, every tag and every rule of style, stands in ``templates``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import Any

from calib._border.files import atomic_write
from calib._documents.document import Document, Glyph, Table

_NO_BREAK = "\N{NO-BREAK SPACE}"
#: Left and right end of a glyph's scale, on a sheet that is 72 wide.
_GLYPH = (4.0, 68.0)
#: Share of the scale that stands for a band beyond its end.
_STUB = 0.05
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
#: Words that are written from right to left, with the signs between them and digits behind them.
_LEFTWARD = re.compile(f"[{_RIGHT_TO_LEFT}](?:[^A-Za-z,;:()]*[{_RIGHT_TO_LEFT}])?[0-9_]*")
#: A star that a sentence speaks of.
_STAR = re.compile(r"(?:(?<=^)|(?<=[ (]))(\*)(?=[ ).,])")
#: Seams of words that are too long for the lines of a phone.
_BREAK = re.compile(r"(?<=[\w.\-/]{12}[_/.])(?=\w{4})")
#: Columns of a comparison that a phone can show in fixed widths.
_FEW = 3
#: Columns from which a table is dense.
_DENSE = 8


def fragment(document: Document) -> str:
    """Return a document as an element that can stand in a notebook."""
    return _rendered("document.html", document, unfold=False)


def write(document: Document, path: str | PathLike[str], *, unfold: bool = False) -> None:
    """Write a document as one self-contained file, its folds closed or open."""
    with atomic_write(path) as file:
        file.write(_rendered("page.html", document, unfold) + "\n")


def learnt_fragment(learnt: object, drawing: object) -> str:
    """Return what a fitted estimator learnt as an element that can stand in a notebook."""
    template = _environment().get_template("learnt.html")
    return str(template.render(learnt=learnt, drawing=drawing)).strip()


def _rendered(template: str, document: Document, unfold: bool) -> str:
    text: str = _environment().get_template(template).render(document=document, unfold=unfold)
    return text.strip()


@cache
def _environment() -> Any:
    """Return the templates, which escape whatever a document says."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("calib._documents"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        kind=_kind,
        capital=_capital,
        sentence=_sentence,
        ranged=_ranged,
        isolated=_isolated,
        pieces=_pieces,
        stars=_stars,
        breaks=_breaks,
        form=_form,
        placed=_placed,
        short=_short,
        points=_points,
    )
    return environment


def _kind(block: object) -> str:
    """Return the name of the macro that shows a block or a mark."""
    return type(block).__name__.lower()


# ------------------------------------------------------------------------------------------- words


def _capital(text: str) -> str:
    """Return a title with a capital; a single letter, such as that of p-values, stays."""
    return text[:1].upper() + text[1:] if len(text) > 1 else text


def _sentence(text: str) -> str:
    """Return a text where per cent signs stay with their numbers and names keep their side."""
    return _isolated(text).replace(" %", f"{_NO_BREAK}%")


def _ranged(text: str) -> str:
    """Return a number or a range, which is broken before "to" at most."""
    text = _isolated(text).replace(" ", _NO_BREAK)
    return text.replace(f"{_NO_BREAK}to{_NO_BREAK}", f" to{_NO_BREAK}")


def _isolated(text: str) -> str:
    """Return a text where words from right to left leave the order of what surrounds them alone."""
    if text.isascii():
        return text
    start, end = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
    return _LEFTWARD.sub(lambda words: f"{start}{words[0]}{end}", text)


def _stars(text: str) -> list[str]:
    """Return the parts of a text, stars that stand alone or in brackets apart."""
    return [part for part in _STAR.split(text) if part]


def _breaks(text: str) -> list[str]:
    """Return the parts of a text between which a line may end inside long words."""
    return [part for part in _BREAK.split(text) if part]


def _pieces(name: str) -> list[str]:
    """Return the parts of a name between which a line may end."""
    return re.findall(r"[^_/.]*[_/.]+|[^_/.]+", name)


# ------------------------------------------------------------------------------------------ tables


@dataclass(frozen=True)
class _Room:
    """What the cells of a column need beside their numbers, in signs and in pictures."""

    mark: int
    aside: int
    glyph: bool
    words: bool


@dataclass(frozen=True)
class _Form:
    """What the cells of a table share.

    Attributes
    ----------
    caption : str
        What stands in the table, for those who do not see it.
    style : str
        Names for the style sheet.
    rooms : list of _Room
        One per column.
    kinds : list of str
        Names for the style sheet of every column.
    spare : list of str
        Titles of the columns that a phone hides.
    """

    caption: str
    style: str
    rooms: list[_Room]
    kinds: list[str]
    spare: list[str]

    @property
    def n_essential(self) -> int:
        """Number of columns that a phone shows."""
        return len(self.kinds) - len(self.spare)

    @property
    def narrow(self) -> str:
        """What a phone says of the columns that it hides."""
        return f"Not shown on a narrow screen: {', '.join(self.spare)}."


def _form(table: Table) -> _Form:
    titles = [_capital(column.title) for column in table.columns]
    spare = [not column.essential for column in table.columns]
    n_shown = len(titles) - sum(spare)
    rooms, kinds = [], []
    for place, column in enumerate(table.columns):
        cells = [row[place] for group in table.groups for row in group.rows]
        rooms.append(
            _Room(*table.room(place), any(cell.glyphs for cell in cells), column.kind == "text")
        )
        names = ("words" if column.kind == "text" else column.weight, "spare" * spare[place])
        kinds.append(" ".join(name for name in names if name not in ("", "plain")))
    named = any(row[0].aside for group in table.groups for row in group.rows)
    compares = table.kind == "comparison"
    styles = {
        "comparison": compares,
        "named": named or compares,
        "few": compares and n_shown <= _FEW,
        "dense": len(titles) >= _DENSE,
    }
    return _Form(
        table.title or f"{titles[0]}: {', '.join(titles[1:])}",
        " ".join(name for name, applies in styles.items() if applies),
        rooms,
        kinds,
        [title for title, hidden in zip(titles, spare, strict=True) if hidden],
    )


# ------------------------------------------------------------------------------------------ glyphs


@dataclass(frozen=True)
class _GlyphForm:
    """Where the parts of a glyph lie on its sheet; parts outside it are None.

    Attributes
    ----------
    band, line : tuple of float or None
        Their ends, cut at those of the scale.
    band_edge : int
        -1 or 1 if the whole band lies beyond that end of the scale, where a stub is left of it,
        otherwise 0.
    dot : float or None
        Place of the value on the scale.
    edge : int
        -1 or 1 if the value lies beyond that end of the scale, otherwise 0.
    beyond : bool
        Whether the value is more than chance.
    style : str
        Names of the dot for the style sheet.
    """

    band: tuple[float, float] | None
    band_edge: int
    line: tuple[float, float] | None
    dot: float | None
    edge: int
    beyond: bool
    style: str


def _placed(glyph: Glyph) -> _GlyphForm:
    """Return where a glyph lies on its sheet."""
    known = not math.isnan(glyph.dot)
    edge = (glyph.dot > 1) - (glyph.dot < 0)
    names = {"dot": True, "beyond": glyph.beyond, "hollow": glyph.hollow}
    off = 0 if glyph.band is None else (glyph.band[0] > 1) - (glyph.band[1] < 0)
    return _GlyphForm(
        _cut(glyph.band, _STUB),
        off,
        _cut(glyph.line),
        _across(glyph.dot) if known and not edge else None,
        edge,
        glyph.beyond,
        " ".join(name for name, applies in names.items() if applies),
    )


def _cut(ends: tuple[float, float] | None, stub: float | None = None) -> tuple[float, float] | None:
    """Return the part of a range that lies on the scale; an end without a number is open.

    Of a range beyond the scale, as much as `stub` is left at the edge if it is given.
    """
    if ends is None:
        return None
    low, high = (
        edge if math.isnan(end) else end for end, edge in zip(ends, (0.0, 1.0), strict=True)
    )
    if high < 0 or low > 1:
        if stub is None:
            return None
        low, high = (0.0, stub) if high < 0 else (1 - stub, 1.0)
    left, right = _across(max(low, 0.0)), _across(min(high, 1.0))
    return left, max(right, left + 1)


def _across(place: float) -> float:
    left, right = _GLYPH
    return left + (right - left) * place


# ---------------------------------------------------------------------------------------- drawings


def _short(value: float) -> str:
    """Return a coordinate to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
