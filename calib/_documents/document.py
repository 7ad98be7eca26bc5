"""What a result says about itself: a document of blocks, the same for terminal, page and paper.

A result builds blocks and knows no form; a renderer knows blocks and no result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

#: A colour by its role, which a style sheet paints; ``#rrggbb`` stands as it is.
Ink: TypeAlias = str
#: Where a block is shown: a terminal and a page need not say the same thing twice.
Place: TypeAlias = Literal["everywhere", "terminal", "page"]


# ------------------------------------------------------------------------------------------- words


@dataclass(frozen=True)
class Verdict:
    """A sentence of a known kind, made from a template and its numbers.

    Attributes
    ----------
    case : str
        Which of the known sentences it is, such as ``"clean_after"``.
    template : str
        The sentence with names in braces.
    parameters : dict of str to str
        What the braces stand for, as printed.
    """

    case: str
    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The sentence."""
        return self.template.format(**self.parameters)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Heading:
    """Title of what follows."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Sentences; soft ones explain what stands beside them."""

    text: str
    role: Literal["plain", "soft"] = "plain"
    place: Place = "everywhere"


@dataclass(frozen=True)
class Findings:
    """What a reader has to know first, one sentence or two each."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Remark:
    """Sentences about one of several things that are named."""

    name: str
    text: str


@dataclass(frozen=True)
class Definitions:
    """Words and what they mean, in pairs."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Notes:
    """How to read the document, at its end."""

    texts: Sequence[str]


# ------------------------------------------------------------------------------------------ tables


@dataclass(frozen=True)
class Glyph:
    """A number as a picture of one line: a dot on a line over a band, all on a scale from 0 to 1.

    What lies outside 0 to 1 is beyond the scale: a dot becomes an arrow at that edge, ends are cut.

    Attributes
    ----------
    dot : float
        The value.
    line : tuple of float or None
        Its interval.
    band : tuple of float or None
        What chance shows.
    beyond : bool
        Whether the value is more than chance: a diamond in the colour of alarm.
    hollow : bool
        Whether it stands for the state before, which is drawn hollow.
    """

    dot: float
    line: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    beyond: bool = False
    hollow: bool = False


@dataclass(frozen=True)
class Cell:
    """A number, a mark behind it, and what stands fainter beside it, such as a range.

    Attributes
    ----------
    text : str
        The number as printed, or words.
    aside : str
        Fainter, beside the number; below the name in the first cell of a row.
    mark : str
        Behind the number, such as ``*``; behind the name what it stands for, such as ``(before)``,
        which is kept where a name is shortened.
    ink : str
        "recommended" in the first cell of a row marks the row.
    interval, chance : str
        Two ranges, which a page draws and speaks (`glyphs`), a terminal prints below the number or
        in brackets, and a paper prints in brackets.
    glyphs : sequence of Glyph
        Pictures of the number, below each other.
    short : str
        What a terminal says instead of `text`, such as a title with its unit.
    briefs : sequence of str
        What a terminal says instead of `aside` where room is scarce, from long to short.
    """

    text: str
    aside: str = ""
    mark: str = ""
    ink: Literal["plain", "soft", "recommended", "best", "level", "worse", "alarm"] = "plain"
    interval: str = ""
    chance: str = ""
    glyphs: Sequence[Glyph] = ()
    short: str = ""
    briefs: Sequence[str] = ()


@dataclass(frozen=True)
class Column:
    """Title and form of a column.

    A terminal shows the whole cell, its text alone, or not the column at all; so does a phone,
    which hides columns that are not `essential`. `scale` holds the ends of the glyphs' scale, as
    printed. `short` is the title where room is scarce.
    """

    title: str
    aside: str = ""
    kind: Literal["number", "text"] = "number"
    weight: Literal["plain", "strong"] = "plain"
    terminal: Literal["all", "brief", "none"] = "all"
    scale: tuple[str, str] | None = None
    essential: bool = True
    short: str = ""


@dataclass(frozen=True)
class Group:
    """Rows that belong together; the first cell of a row names it."""

    rows: Sequence[Sequence[Cell]]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows in groups under columns.

    A table of `kind` "comparison" is the answer's: things in rows, measures in columns, every cell
    a number with its interval and what chance shows. `narrow` says, only where the columns that are
    not essential are hidden, where to find them. `words` is the title of what stands below the
    names, where a terminal shows it in a column of its own.
    """

    columns: Sequence[Column]
    groups: Sequence[Group]
    title: str = ""
    note: str = ""
    kind: Literal["plain", "comparison"] = "plain"
    narrow: str = ""
    words: str = ""

    @property
    def n_rows(self) -> int:
        """Number of rows in all groups."""
        return sum(len(group.rows) for group in self.groups)

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
    """A filled area, with an edge if `stroke` is given."""

    points: Sequence[tuple[float, float]]
    ink: Ink
    opacity: float = 1.0
    stroke: Ink = ""


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
    stroke_width: float = 1.0


@dataclass(frozen=True)
class Circle:
    """A filled dot; with `stroke` a ring around its fill."""

    x: float
    y: float
    radius: float
    ink: Ink
    stroke: Ink = ""


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
class Key:
    """What a sign of the figures stands for; the marks are drawn on a sheet of 28 by 16."""

    label: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Figures:
    """Figures side by side, all of one kind; small ones are many. The title is what they show."""

    title: str
    figures: Sequence[Figure]
    note: str = ""
    small: bool = False
    key: Sequence[Key] = ()


# --------------------------------------------------------------------------------------- documents


@dataclass(frozen=True)
class Fold:
    """Blocks that are opened on demand; a terminal leaves them out unless asked for details."""

    title: str
    blocks: Sequence[Block]
    note: str = ""


Block: TypeAlias = (
    Heading | Paragraph | Findings | Remark | Definitions | Notes | Table | Figures | Fold
)


@dataclass(frozen=True)
class Document:
    """A result in reading order: what was measured, the answer, reasons, then all the rest.

    Attributes
    ----------
    title : str
        What kind of result it is.
    heading : str
        What was measured, in one line.
    blocks : sequence of Block
        Tables, figures and folds in reading order.
    headline : Verdict or None
        The answer in one sentence.
    bullets : sequence of Verdict
        Its reasons and limits, at most four.
    """

    title: str
    heading: str
    blocks: Sequence[Block]
    headline: Verdict | None = None
    bullets: Sequence[Verdict] = ()

    def tables(self) -> list[Table]:
        """Return all tables, folded ones included."""
        return list(_tables(self.blocks))


def _tables(blocks: Iterable[Block]) -> Iterable[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Fold):
            yield from _tables(block.blocks)
