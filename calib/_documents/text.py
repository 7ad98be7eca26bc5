"""Documents for a terminal: words and tables in plain characters, without figures and folds."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from calib._documents import document as doc

#: Columns of a terminal that sentences fill.
WIDTH = 88
#: Columns that a table fits into if it can.
WIDEST = 100
_TIE = "\N{NO-BREAK SPACE}%"


def text_of(document: doc.Document, *, folds: bool = False) -> str:
    """Return a document as lines, with what folds hide if asked for."""
    return "\n\n".join([wrap(f"{document.title}: {document.heading}"), blocks(document.blocks)])


def blocks(content: Sequence[doc.Block]) -> str:
    """Return blocks as lines, apart unless they are sentences of one kind or follow a heading."""
    lines: list[str] = []
    before: doc.Block | None = None
    for block in content:
        if type(block) not in _RENDERERS:
            continue
        joined = isinstance(before, doc.Heading) or (
            type(block) is type(before) and not isinstance(block, doc.Table | doc.Heading)
        )
        lines += [""] * (before is not None and not joined)
        lines += _RENDERERS[type(block)](block)
        before = block
    return "\n".join(lines)


def wrap(text: str) -> str:
    """Return a sentence in lines; a number and its per cent sign stay together."""
    filled = textwrap.fill(
        text.replace(" %", _TIE), WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )
    return filled.replace(_TIE, " %")


# ------------------------------------------------------------------------------------------ tables


def _table(table: doc.Table) -> list[str]:
    """Return title, header and rows of a table; gaps are small where only that makes it fit."""
    header, *rows = next(
        (lines for gap in (2, 1) if max(map(len, lines := _aligned(table, gap))) <= WIDEST),
        _aligned(table, gap=2),
    )
    lines = [text for text in (table.title, wrap(table.note), header) if text]
    for group in table.groups:
        lines += [group.title] if group.title else []
        lines += rows[: len(group.rows)]
        del rows[: len(group.rows)]
    return lines


def _aligned(table: doc.Table, gap: int) -> list[str]:
    """Return the titles and the rows, in columns as wide as their cells."""
    columns = []
    for place, column in enumerate(table.columns):
        cells = [row[place] for group in table.groups for row in group.rows]
        if place == 0:
            texts = [column.title, *(f"  {cell.text}" for cell in cells)]
        elif column.terminal == "none":
            continue
        elif column.kind == "text":
            texts = [column.title, *(cell.text for cell in cells)]
        else:
            texts = _numbers(column, cells, table.room(place)[0])
        width = gap + max(len(text) for text in texts)
        columns.append([text.ljust(width) for text in texts])
    return ["".join(parts).rstrip() for parts in zip(*columns, strict=True)]


def _numbers(column: doc.Column, cells: Sequence[doc.Cell], marks: int) -> list[str]:
    """Return the title and the cells of a column, its numbers below each other."""
    digits = max((len(cell.text) for cell in cells), default=0)
    asides = [cell.aside if column.terminal == "all" else "" for cell in cells]
    if not any(asides):
        digits = max(digits, len(column.title))
    numbers = [f"{cell.text:>{digits}}{cell.mark:<{marks}}" for cell in cells]
    return [
        column.title.rjust(digits),
        *(f"{number} {aside}".rstrip() for number, aside in zip(numbers, asides, strict=True)),
    ]


_RENDERERS: dict[type, Callable[[Any], list[str]]] = {
    doc.Heading: lambda block: [block.text],
    doc.Paragraph: lambda block: [wrap(block.text)],
    doc.Findings: lambda block: [wrap(f"- {text}") for text in block.texts],
    doc.Remark: lambda block: [wrap(f"{block.name}: {block.text}")],
    doc.Notes: lambda block: [wrap(text) for text in block.texts],
    doc.Table: _table,
}
