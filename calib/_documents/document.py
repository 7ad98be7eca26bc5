"""What a result says about itself: a document of blocks, the same for terminal, page and paper.

A result builds blocks and knows no form; a renderer knows blocks and no result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: A colour by its role, which a style sheet paints; ``#rrggbb`` stands as it is.
Ink: TypeAlias = str


# ------------------------------------------------------------------------------------------- words


@dataclass(frozen=True)
class Heading:
    """Title of what follows."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Sentences; soft ones explain what stands beside them."""

    text: str
    role: Literal["plain", "soft"] = "plain"


@dataclass(frozen=True)
class Findings:
    """What a reader has to know first, one sentence or two each."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """Sentences about one of several things that are named."""

    name: str
    text: str


@dataclass(frozen=True)
class Notes:
    """How to read the document, at its end."""

    texts: Sequence[str]


# ------------------------------------------------------------------------------------------ tables


@dataclass(frozen=True)
class Cell:
    """A number, a mark behind it, and what stands fainter beside it, such as a range."""

    text: str
    aside: str = ""
    mark: str = ""
    ink: Literal["plain", "soft"] = "plain"


@dataclass(frozen=True)
class Column:
    """Title and form of a column.

    A terminal shows the whole cell, its text alone, or not the column at all.
    """

    title: str
    aside: str = ""
    kind: Literal["number", "text"] = "number"
    weight: Literal["plain", "strong"] = "plain"
    terminal: Literal["all", "brief", "none"] = "all"


@dataclass(frozen=True)
class Group:
    """Rows that belong together; the first cell of a row names it."""

    rows: Sequence[Sequence[Cell]]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows in groups under columns."""

    columns: Sequence[Column]
    groups: Sequence[Group]
    title: str = ""
    note: str = ""

    def room(self, place: int) -> tuple[int, int]:
        """Return how many signs the marks and the asides of a column need."""
        cells = [row[place] for group in self.groups for row in group.rows]
        marks, asides = ([len(getattr(cell, part)) for cell in cells] for part in ("mark", "aside"))
        return max(marks, default=0), max(asides, default=0)


def plain_table(
    titles: Sequence[str], groups: Mapping[str, Iterable[Sequence[str]]], title: str = ""
) -> Table:
    """Return a table of texts, with rows by title of their group."""
    return Table(
        [Column(text) for text in titles],
        [
            Group([[Cell(text) for text in row] for row in rows], name)
            for name, rows in groups.items()
        ],
        title,
    )


# ---------------------------------------------------------------------------------------- drawings


@dataclass(frozen=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    ink: Ink
    width: float = 1.0
    dash: str = ""
    opacity: float = 1.0


@dataclass(frozen=True)
class Polyline:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    ink: Ink
    width: float = 1.3
    dash: str = ""


@dataclass(frozen=True)
class Polygon:
    """A filled area."""

    points: Sequence[tuple[float, float]]
    ink: Ink
    opacity: float = 1.0


@dataclass(frozen=True)
class Rect:
    """A filled rectangle or, without a fill, a frame."""

    x: float
    y: float
    width: float
    height: float
    fill: Ink = ""
    stroke: Ink = ""
    opacity: float = 1.0


@dataclass(frozen=True)
class Circle:
    """A filled dot."""

    x: float
    y: float
    radius: float
    ink: Ink


@dataclass(frozen=True)
class Text:
    """Words at a place; turned ones read from bottom to top."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"
    ink: Ink = "text"
    size: float = 0.0
    turned: bool = False


Mark: TypeAlias = Line | Polyline | Polygon | Rect | Circle | Text


@dataclass(frozen=True)
class Drawing:
    """Marks on a sheet, with a title and a description for those who do not see them."""

    title: str
    description: str
    width: float
    height: float
    marks: Sequence[Mark]
    size: float = 11.0


@dataclass(frozen=True)
class Figure:
    """A drawing under its caption."""

    caption: str
    drawing: Drawing
    aside: str = ""


@dataclass(frozen=True)
class Figures:
    """Figures side by side, all of one kind; small ones are many."""

    title: str
    figures: Sequence[Figure]
    note: str = ""
    small: bool = False


# --------------------------------------------------------------------------------------- documents


@dataclass(frozen=True)
class Fold:
    """Blocks that are opened on demand; a terminal leaves them out."""

    title: str
    blocks: Sequence[Block]
    opened: bool = False


Block: TypeAlias = Heading | Paragraph | Findings | Verdict | Notes | Table | Figures | Fold


@dataclass(frozen=True)
class Document:
    """Title, what was measured, and blocks in reading order."""

    title: str
    heading: str
    blocks: Sequence[Block]

    def tables(self) -> list[Table]:
        """Return all tables, folded ones included."""
        return list(_tables(self.blocks))


def _tables(blocks: Iterable[Block]) -> Iterable[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Fold):
            yield from _tables(block.blocks)
