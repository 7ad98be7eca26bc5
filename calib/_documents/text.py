"""Documents for a terminal: words and tables in plain characters, without figures and folds."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from calib._documents.document import (
    Block,
    Cell,
    Column,
    Document,
    Findings,
    Heading,
    Notes,
    Paragraph,
    Table,
    Verdict,
)

#: Columns of a terminal that sentences fill.
WIDTH = 88
_GAP = "  "
_TIE = "\N{NO-BREAK SPACE}%"


def render(document: Document) -> str:
    """Return a document as lines."""
    return "\n\n".join([wrap(f"{document.title}: {document.heading}"), blocks(document.blocks)])


def blocks(content: Sequence[Block]) -> str:
    """Return blocks as lines, apart unless they are sentences of one kind or follow a heading."""
    lines: list[str] = []
    before: Block | None = None
    for block in content:
        if type(block) not in _RENDERERS:
            continue
        joined = isinstance(before, Heading) or (
            type(block) is type(before) and not isinstance(block, Table | Heading)
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


def _table(table: Table) -> list[str]:
    """Return title, header and rows of a table, as wide as its cells."""
    shown = [k for k, column in enumerate(table.columns) if column.terminal != "none"]
    columns = []
    for k in shown:
        cells = [row[k] for group in table.groups for row in group.rows]
        columns.append(_column(table.columns[k], cells, table.room(k)[0], first=k == 0))
    lines = [*([table.title] if table.title else []), *([wrap(table.note)] if table.note else [])]
    lines.append(_GAP.join(column[0] for column in columns).rstrip())
    row = 0
    for group in table.groups:
        lines += [group.title] if group.title else []
        for _ in group.rows:
            row += 1
            lines.append(_GAP.join(column[row] for column in columns).rstrip())
    return lines


def _column(column: Column, cells: Sequence[Cell], marks: int, *, first: bool) -> list[str]:
    """Return the title of a column and its cells, all of one width."""
    whole = column.terminal == "all"
    title = f"{column.title} {column.aside}" if column.aside and whole else column.title
    if first:
        texts = [title, *("  " + cell.text for cell in cells)]
        return _filled(texts, str.ljust)
    if column.kind == "text":
        return _filled([title, *(cell.text for cell in cells)], str.ljust)
    asides = [cell.aside if whole else "" for cell in cells]
    numbers = [cell.text for cell in cells]
    if not any(asides):
        numbers = _filled([title, *numbers], str.rjust)
        title, *numbers = numbers
    else:
        numbers = _filled(numbers, str.rjust)
    parts = [
        f"{number}{cell.mark.ljust(marks)} {aside}".rstrip()
        for number, cell, aside in zip(numbers, cells, asides, strict=True)
    ]
    return _filled([title, *parts], str.ljust)


def _filled(texts: list[str], fill: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, texts))
    return [fill(text, width) for text in texts]


_RENDERERS: dict[type, Callable[[Any], list[str]]] = {
    Heading: lambda block: [block.text],
    Paragraph: lambda block: [wrap(block.text)],
    Findings: lambda block: [wrap(f"- {text}") for text in block.texts],
    Verdict: lambda block: [wrap(f"{block.name}: {block.text}")],
    Notes: lambda block: [wrap(text) for text in block.texts],
    Table: _table,
}
