"""Documents for a terminal: the answer, tables of plain characters, and what folds hide if asked.

Lines are at most `WIDTH` columns, fewer in a narrower terminal; only names may hold other signs
than those of ASCII, and these are counted by the columns that they fill.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from calib._documents import document as doc

#: Columns of a line, in wide terminals and in files.
WIDTH = 80
#: Columns that a line has in the narrowest terminals.
NARROWEST = 60
#: Share of a line that a name of a comparison fills at most.
_NAME_SHARE = 0.2
#: Columns that a name has at least beside its mark.
_SHORT_NAME = 5
#: Columns of a name beyond which it stands above its numbers, where a table is too wide.
_LONG_NAME = 12
#: Rows of a comparison that are shown with all their ranges, each in lines of its own.
MOST_ROWS = 4
_TIE = "\N{NO-BREAK SPACE}%"


def text_of(document: doc.Document, *, folds: bool = False) -> str:
    """Return a document as lines, with what folds hide if asked for."""
    heading = wrap(f"{document.title}: {document.heading}")
    if document.headline is None:
        parts = [heading]
    else:
        bullets = " ".join(bullet.text for bullet in document.bullets)
        reasons = wrap(bullets, "  ", "  ") if bullets else ""
        parts = ["\n".join(filter(None, [wrap(document.headline.text, "", ""), reasons]))]
        parts += [heading] if folds else []
    return "\n\n".join(filter(None, [*parts, blocks(document.blocks, folds=folds)]))


def blocks(content: Sequence[doc.Block], *, folds: bool = False) -> str:
    """Return blocks as lines, apart unless they belong to what stands before them."""
    lines: list[str] = []
    before: doc.Block | None = None
    for block in content:
        shown = _lines(block, folds)
        if not shown:
            continue
        lines += [""] * (before is not None and not _joined(before, block)) + shown
        before = block
    return "\n".join(lines)


def _lines(block: doc.Block, folds: bool) -> list[str]:
    """Return the lines of a block; none if a terminal does not show it."""
    match block:
        case doc.Paragraph(place="page"):
            return []
        case doc.Table(kind="comparison"):
            return _comparison(block)
        case doc.Table():
            return _table(block, folds)
        case doc.Fold():
            return _fold(block) if folds else []
        case doc.Figures():
            return _figures(block) if folds else []
        case doc.Definitions():
            return [wrap(f"{word}: {meaning}") for word, meaning in block.pairs] if folds else []
    return _SENTENCES[type(block)](block)


def _joined(before: doc.Block, block: doc.Block) -> bool:
    """Return whether a block follows another without an empty line."""
    if isinstance(before, doc.Heading):
        return True
    if isinstance(block, doc.Paragraph) and block.role == "soft":
        return isinstance(before, doc.Paragraph | doc.Table)
    apart = isinstance(block, doc.Table | doc.Heading | doc.Fold | doc.Figures)
    return type(block) is type(before) and not apart


_SENTENCES: Mapping[type, Callable[[Any], list[str]]] = {
    doc.Heading: lambda block: [_clean(block.text)],
    doc.Paragraph: lambda block: [wrap(block.text)],
    doc.Findings: lambda block: [wrap(f"- {text}") for text in block.texts],
    doc.Remark: lambda block: [wrap(f"{block.name}: {block.text}")],
    doc.Notes: lambda block: [wrap(text) for text in block.texts],
}


def _fold(fold: doc.Fold) -> list[str]:
    title = wrap(f"{fold.title} ({fold.note})" if fold.note else fold.title, rest="").split("\n")
    content = blocks(fold.blocks, folds=True)
    return [*title, "-" * max(map(columns_of, title)), *([content] if content else [])]


def _figures(figures: doc.Figures) -> list[str]:
    """Return what figures show, in sentences."""
    lines = [wrap(figures.title)] if figures.title else []
    for figure in figures.figures:
        words = figure.drawing.description or figure.drawing.title
        caption = f"{figure.caption}: " if figure.caption else ""
        lines.append(wrap(f"{caption}{words}", "  ", "  "))
    return [*lines, *([wrap(figures.note)] if figures.note else [])]


# ------------------------------------------------------------------------------------------- width


def line_width() -> int:
    """Return how many columns a line may fill: `WIDTH`, or what a narrower terminal has."""
    terminal = shutil.get_terminal_size((WIDTH, 24)).columns
    return min(WIDTH, max(NARROWEST, terminal))


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text fills."""
    return len(text) if text.isascii() else sum(map(_columns_of_sign, text))


def _columns_of_sign(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def wrap(text: str, first: str = "", rest: str = "  ") -> str:
    """Return a sentence in lines that begin so; a number and its per cent sign stay together."""
    lines, line, begun, width = [], first, False, line_width()
    for word in text.replace(" %", _TIE).split(" "):
        for part in _parts(_clean(word), width - max(len(first), len(rest))):
            if begun and columns_of(f"{line} {part}") > width:
                lines.append(line)
                line, begun = rest, False
            line, begun = f"{line} {part}" if begun else f"{line}{part}", True
    return "\n".join([*lines, line] if begun else lines)


def _parts(word: str, room: int) -> Iterator[str]:
    """Return a word in parts that fit."""
    while columns_of(word) > room:
        start = _start(word, room)
        yield start
        word = word[len(start) :]
    if word:
        yield word


def _start(text: str, room: int) -> str:
    """Return as much of the start of a text as fits."""
    while columns_of(text) > room:
        text = text[: max(len(text) - max((columns_of(text) - room) // 2, 1), 0)]
    return text


def _clean(text: str) -> str:
    """Return a text in one line, without signs that move a terminal's cursor."""
    spaced = re.sub(r"\s", " ", text)
    return "".join(sign for sign in spaced if unicodedata.category(sign) != "Cc")


def _left(text: str, width: int) -> str:
    return text + " " * (width - columns_of(text))


def _right(text: str, width: int) -> str:
    return " " * (width - columns_of(text)) + text


# ---------------------------------------------------------------------------------- plain tables


def _table(table: doc.Table, everything: bool) -> list[str]:
    """Return title, header and rows of a table; it is told less where only that makes it fit."""
    brief = [column.terminal != "none" for column in table.columns]
    every = [True] * len(brief)
    forms = [(every, True), (every, False), (brief, True)] if everything else []
    lines: list[str] = []
    for shown, asides in [*forms, (brief, False)]:
        for gap in (2, 1):
            fitting = _aligned(table, shown, gap, everything, asides)
            lines = fitting if gap == 2 else lines
            if _fits(fitting):
                return _grouped(table, fitting)
        below = _aligned(_nameless(table), shown, 1, everything, asides)
        if _fits(below):  # names are too long for their column
            return _grouped(table, below, named=True)
    return _grouped(table, lines)


def _nameless(table: doc.Table) -> doc.Table:
    """Return a table without the long names of its rows."""
    groups = [
        replace(
            group,
            rows=[[doc.Cell("") if _is_long(row) else row[0], *row[1:]] for row in group.rows],
        )
        for group in table.groups
    ]
    return replace(table, groups=groups)


def _is_long(row: Sequence[doc.Cell]) -> bool:
    return columns_of(_named(row[0])) > _LONG_NAME


def _grouped(table: doc.Table, aligned: list[str], *, named: bool = False) -> list[str]:
    """Return the lines of a table with the titles of its groups, and names if asked, between."""
    n_titles = len(aligned) - table.n_rows
    lines = [_clean(table.title)] if table.title else []
    lines += [wrap(table.note)] if table.note else []
    lines += aligned[:n_titles]
    rows = iter(aligned[n_titles:])
    for group in table.groups:
        lines += [wrap(group.title)] if group.title else []
        for row in group.rows:
            lines += [wrap(_named(row[0]), "  ", "  ")] if named and _is_long(row) else []
            lines.append(next(rows))
    return lines


def _aligned(
    table: doc.Table, shown: Sequence[bool], gap: int, everything: bool, titled: bool
) -> list[str]:
    """Return the titles, what is below them if `titled`, and the rows, in aligned columns."""
    columns = []
    for place, column in enumerate(table.columns):
        if not shown[place]:
            continue
        cells = [row[place] for group in table.groups for row in group.rows]
        if place == 0:
            texts = [_title(column), *(f"  {_named(cell)}" for cell in cells)]
        elif column.kind == "text":
            texts = [_title(column), *(_clean(cell.text) for cell in cells)]
        else:
            texts = _numbers(column, cells, table.room(place)[0], everything)
        asides = [column.aside] if titled and _has_asides(table, shown) else []
        columns.append([texts[0], *map(_beside, asides), *texts[1:]])
    return _lines_of(columns, gap)


def _lines_of(columns: Sequence[Sequence[str]], gap: int) -> list[str]:
    """Return columns side by side, each as wide as its widest text."""
    padded = []
    for texts in columns:
        width = gap + max(map(columns_of, texts))
        padded.append([_left(text, width) for text in texts])
    return ["".join(parts).rstrip() for parts in zip(*padded, strict=True)]


def _has_asides(table: doc.Table, shown: Sequence[bool]) -> bool:
    return any(column.aside and seen for column, seen in zip(table.columns, shown, strict=True))


def _beside(aside: str) -> str:
    """Return in brackets what stands beside a number or below a title."""
    aside = _clean(aside)
    return f"({aside})" if aside and not aside.startswith("(") else aside


def _title(column: doc.Column) -> str:
    return _clean(column.short or column.title)


def _named(cell: doc.Cell) -> str:
    return _clean(f"{cell.short or cell.text} {cell.mark}".rstrip())


def _numbers(
    column: doc.Column, cells: Sequence[doc.Cell], marks: int, everything: bool
) -> list[str]:
    """Return the title and the cells of a column, its numbers below each other."""
    title = _title(column)
    digits = max((columns_of(cell.text) for cell in cells), default=0)
    asides = [
        " ".join(filter(None, (cell.aside, _beside(cell.interval), _beside(cell.chance))))
        if everything or column.terminal == "all"
        else ""
        for cell in cells
    ]
    if not any(asides):
        digits = max(digits, columns_of(title))
    return [
        _right(title, digits),
        *(
            f"{_right(cell.text, digits)}{cell.mark:<{marks}} {aside}".rstrip()
            for cell, aside in zip(cells, asides, strict=True)
        ),
    ]


# ------------------------------------------------------------------------------------- comparisons


def _comparison(table: doc.Table) -> list[str]:
    """Return the rows of a comparison: few with ranges below their numbers, many in a line each."""
    rows = [row for group in table.groups for row in group.rows]
    few = len(rows) <= MOST_ROWS
    parts = _ranges_below(rows) if few else [""]
    names = _marked_names(rows, parts)
    every = list(range(1, len(table.columns)))
    some = [place for place in every if table.columns[place].terminal != "none"]
    columns = {
        place: _measure(table.columns[place], [row[place] for row in rows], parts, few)
        for place in every
    }
    fitting = [
        lines
        for places in ([every, some] if few else [some])
        for gap in (2, 1)
        if _fits(lines := _beside_names(names, columns, places, gap))
    ]
    words = [] if few else [[text for text in _words(row[0]) if text] for row in rows]
    if any(words) and (worded := _with_words(fitting, table.words, words)):
        return _divided(table, worded[0], _rows(worded, 1))
    pieces = fitting[:1] or _pieces(names, columns, some)
    shown: list[str] = []
    for number, lines in enumerate(pieces):
        blocks_of_rows = _rows(lines, len(parts))
        if any(words) and not number:  # no room beside the numbers
            blocks_of_rows = [
                [*block, *_below(texts)] for block, texts in zip(blocks_of_rows, words, strict=True)
            ]
        shown += _divided(table, lines[0], blocks_of_rows)
    return shown


def _ranges_below(rows: Sequence[Sequence[doc.Cell]]) -> list[str]:
    """Return which lines every row has: its numbers, and ranges that any cell knows."""
    ranges = ("interval", "chance")
    return ["", *(part for part in ranges if any(getattr(c, part) for row in rows for c in row))]


def _rows(lines: Sequence[str], n_lines: int) -> list[list[str]]:
    """Return the lines of every row, without those of the title."""
    return [list(lines[at : at + n_lines]) for at in range(1, len(lines), n_lines)]


def _marked_names(rows: Sequence[Sequence[doc.Cell]], parts: Sequence[str]) -> list[str]:
    """Return the first column: names, the recommended one with its sign, and titles of ranges."""
    lines = [""]
    for row, name in zip(rows, _cut_names([row[0] for row in rows]), strict=True):
        sign = ">" if row[0].ink == "recommended" else " "
        lines += [f"    {part}" if part else f"{sign} {name}" for part in parts]
    return lines


def _cut_names(cells: Sequence[doc.Cell]) -> list[str]:
    """Return names with their marks that fit and differ: the mark stays, the name is shortened."""
    room = int(_NAME_SHARE * line_width())
    marks = [f" {_clean(cell.mark)}" if cell.mark else "" for cell in cells]
    names = [_clean(cell.short or cell.text) for cell in cells]
    rooms = [max(room - columns_of(mark), _SHORT_NAME) for mark in marks]
    long = [name for name in names if columns_of(name) > room]
    columns = zip(*long, strict=False)  # as far as all names go
    n_equal = sum(1 for _ in takewhile(lambda signs: len(set(signs)) == 1, columns))
    forms: Sequence[Callable[[str, int, int], str]] = (
        lambda name, own, place: _cut(name, own, "."),
        lambda name, own, place: _cut_inside(name, name, own),
        lambda name, own, place: _cut_inside(name, _cut(name[n_equal:], own // 2, "."), own),
        lambda name, own, place: _cut_inside(name, f"#{place + 1}", own),
    )
    least = min(rooms)
    for form in forms:
        told = {form(name, least, place) for place, name in enumerate(names)}
        if len(told) == len(set(names)):
            break
    return [
        f"{name if columns_of(name) <= own else form(name, own, place)}{mark}"
        for place, (name, own, mark) in enumerate(zip(names, rooms, marks, strict=True))
    ]


def _cut_inside(name: str, rest: str, room: int) -> str:
    """Return the start of a name and the end of what tells it from others."""
    end = _start(rest[::-1], room // 2)[::-1]
    return f"{_start(name, room - columns_of(end) - 1)}.{end}"


def _cut(text: str, room: int, sign: str) -> str:
    """Return a text that fits, with a sign where its end is missing."""
    return text if columns_of(text) <= room else _start(text, room - len(sign)).rstrip() + sign


def _measure(
    column: doc.Column, cells: Sequence[doc.Cell], parts: Sequence[str], few: bool
) -> list[str]:
    """Return the title and the numbers of a column, with its unit in the title."""
    unit = common_unit(cells)
    title = _title(column)
    title = f"{title}{unit}" if unit.strip() not in title else title
    numbers = [cell.text.removesuffix(unit) for cell in cells]
    if few:
        texts = [title]
        for cell, number in zip(cells, numbers, strict=True):
            texts += [
                _short_range(getattr(cell, part)) if part else f"{number}{cell.mark}"
                for part in parts
            ]
        return texts
    marks = max(len(cell.mark) for cell in cells)
    if column.terminal == "all" and any(cell.interval for cell in cells):
        return [
            title,
            *(
                f"{number}{cell.mark} {_beside(_short_range(cell.interval))}".rstrip()
                for cell, number in zip(cells, numbers, strict=True)
            ),
        ]
    digits = max(map(columns_of, [title, *numbers]))
    return [
        _right(title, digits),
        *(
            f"{_right(number, digits)}{cell.mark:<{marks}}"
            for cell, number in zip(cells, numbers, strict=True)
        ),
    ]


def common_unit(cells: Sequence[doc.Cell]) -> str:
    """Return the unit that all numbers of a column share, as it stands behind them."""
    numbers = [cell.text for cell in cells if any(sign.isdigit() for sign in cell.text)]
    return " %" if numbers and all(text.endswith(" %") for text in numbers) else ""


def _short_range(text: str) -> str:
    """Return a range without its words; a comma parts ends that have signs."""
    return text.replace(" to ", ", " if re.search(r"(^|[ ])[-+]", text) else "-")


def _beside_names(
    names: Sequence[str], columns: Mapping[int, Sequence[str]], places: Sequence[int], gap: int
) -> list[str]:
    return _lines_of([names, *(columns[place] for place in places)], gap)


def _words(name: doc.Cell) -> list[str]:
    """Return what is said of a row, from long to short."""
    return [_clean(text) for text in (name.aside, *name.briefs)]


def _with_words(
    forms: Sequence[Sequence[str]], title: str, words: Sequence[Sequence[str]]
) -> list[str] | None:
    """Return the lines with words behind them, none of them cut; None if there is no room.

    Of several forms of the lines the one is taken that shortens the fewest words.
    """
    best, fewest = None, len(words) + 1
    for lines in forms:
        for gap in (2, 1):
            room = line_width() - max(map(columns_of, lines)) - gap
            texts = [_longest(versions, room) for versions in words]
            n_shortened = sum(
                text not in versions[:2] for text, versions in zip(texts, words, strict=True)
            )
            if columns_of(title) <= room and None not in texts and n_shortened < fewest:
                best, fewest = (lines, texts, gap), n_shortened
    if best is None:
        return None
    lines, texts, gap = best
    return _lines_of([lines, [title, *(text or "" for text in texts)]], gap)


def _longest(versions: Sequence[str], room: int) -> str | None:
    """Return the first of some words, from long to short, that fits."""
    return next((text for text in versions if columns_of(text) <= room), None if versions else "")


def _below(versions: Sequence[str]) -> list[str]:
    """Return words in a line below a name, or in more of them."""
    text = _longest(versions, line_width() - 4)
    text = versions[-1] if text is None else text
    return wrap(text, "    ", "    ").split("\n") if text else []


def _fits(lines: Sequence[str]) -> bool:
    """Return whether no line is wider than a terminal."""
    return max(map(columns_of, lines)) <= line_width()


def _pieces(
    names: Sequence[str], columns: Mapping[int, Sequence[str]], places: Sequence[int]
) -> list[list[str]]:
    """Return a table too wide for a terminal in pieces that are shown below each other."""
    pieces: list[list[int]] = []
    for place in places:
        together = [*pieces[-1], place] if pieces else []
        lines = _beside_names(names, columns, together, 1) if together else []
        if lines and _fits(lines):
            pieces[-1] = together
        else:
            pieces.append([place])
    return [_beside_names(names, columns, piece, 1) for piece in pieces]


def _divided(table: doc.Table, header: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a comparison with a rule before every group but the first."""
    shown, below, width = [header], iter(rows), line_width()
    for number, group in enumerate(table.groups):
        if number and group.title:
            title = _clean(group.title)
            lowered = title[:1].lower() + title[1:] if title[1:2].islower() else title
            start = f"-- {_cut(lowered, width - 6, '...')} "
            shown.append(start + "-" * (width - columns_of(start)))
        shown += [line for _ in group.rows for line in next(below)]
    return shown
