r"""The tables of a document for LaTeX; the paper needs ``\usepackage{booktabs}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from calib._documents.document import Cell, Column, Document, Table
from calib._documents.text import common_unit

_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
}
_SIGNS = re.compile("|".join(map(re.escape, _SPECIAL)))
#: Powers of ten in the aside of a title: what the numbers of a column have to be multiplied with.
_SCALE = re.compile(r"(?:, )?x 1e-(\d+)")
_INKS = {"best": r"\textbf", "level": r"\underline"}


def latex_of(document: Document) -> str:
    """Return every table of a document, in reading order."""
    return "\n".join(
        _comparison(table) if table.kind == "comparison" else _table(table)
        for table in document.tables()
    )


def _escaped(text: str) -> str:
    return _SIGNS.sub(lambda found: _SPECIAL[found[0]], " ".join(text.split()))


def _tabular(table: Table, title: str, groups: Iterable[Iterable[str]], comment: str) -> str:
    """Return a table from its title and the rows of its groups."""
    kinds = ["l", *("r" if one.kind == "number" else "l" for one in table.columns[1:])]
    lines = [rf"\begin{{tabular}}{{{''.join(kinds)}}}", r"\toprule", title]
    for rows in groups:
        lines += [r"\midrule", *rows]
    comments = [f"% {' '.join(line.split())}" for line in comment.splitlines()]
    return "\n".join([*comments, *lines, r"\bottomrule", r"\end{tabular}", ""])


def _table(table: Table) -> str:
    titles = (Cell(column.title, column.aside) for column in table.columns)
    groups = []
    for group in table.groups:
        rows = [_ended(map(_cell, row)) for row in group.rows]
        if group.title:
            title = rf"\emph{{{_escaped(group.title)}}}"
            rows.insert(0, rf"\multicolumn{{{len(table.columns)}}}{{l}}{{{title}}} \\")
        groups.append(rows)
    return _tabular(table, _ended(map(_cell, titles)), groups, " ".join(table.title.split()))


def _ended(cells: Iterable[str]) -> str:
    """Return the cells of a row as one line."""
    text = " & ".join(cells)
    # after the end of a row or a rule, these two would be options of it
    return f"{{}}{text} \\\\" if text.startswith(("[", "*")) else f"{text} \\\\"


def _cell(cell: Cell) -> str:
    mark = f"$^{{{_escaped(cell.mark.strip())}}}$" if cell.mark.strip() else ""
    aside = rf" {{\scriptsize {_escaped(cell.aside)}}}" if cell.aside else ""
    return f"{_escaped(cell.text)}{mark}{aside}"


# ------------------------------------------------------------------------------------- comparisons


def _comparison(table: Table) -> str:
    """Return a comparison as one body of rows, with what its signs mean in comments."""
    rows = [row for group in table.groups for row in group.rows]
    units = [common_unit([row[place] for row in rows]) for place in range(len(table.columns))]
    titles = [_heading(column, unit) for column, unit in zip(table.columns, units, strict=True)]
    shown = [_ended([_name(row[0]), *map(_measured, row[1:], units[1:])]) for row in rows]
    return _tabular(table, _ended(titles), [shown], _signs(table, rows))


def _name(cell: Cell) -> str:
    return _escaped(f"{cell.text} {cell.mark}".rstrip())


def _heading(column: Column, unit: str) -> str:
    """Return the title of a column with the unit of its numbers."""
    parts = [_escaped(unit.strip())] if unit.strip() and unit.strip() not in column.title else []
    parts += [rf"$\times 10^{{-{found[1]}}}$" for found in _SCALE.finditer(column.aside)]
    return " ".join([_escaped(column.title), *(f"({part})" for part in parts)])


def _measured(cell: Cell, unit: str) -> str:
    """Return a number as its rank asks for, with a dagger for its mark and its interval."""
    number = _escaped(cell.text.removesuffix(unit))
    number = f"$-${number[1:]}" if re.match(r"-[\d.]", number) else number
    number = f"{_INKS[cell.ink]}{{{number}}}" if cell.ink in _INKS else number
    dagger = r"$^{\dag}$" if cell.mark.strip() else ""
    ends = re.sub(r"(?<![\w.])-(?=[\d.])", "$-$", _escaped(cell.interval.replace(" to ", ", ")))
    interval = rf" {{\scriptsize [{ends}]}}" if ends else ""
    return f"{number}{dagger}{interval}"


def _signs(table: Table, rows: Sequence[Sequence[Cell]]) -> str:
    """Return what the signs of a comparison mean, as far as they occur, and what columns hold."""
    cells = [cell for row in rows for cell in row[1:]]
    inks = {cell.ink for cell in cells}
    signs = [
        ("intervals in brackets", any(cell.interval for cell in cells)),
        ("bold: best", "best" in inks),
        ("underlined: not distinguishable from the best", "level" in inks),
        (r"\dag: more than chance shows if calibrated", any(cell.mark.strip() for cell in cells)),
    ]
    asides = [
        f"{column.title}: {words}"
        for column in table.columns[1:]
        if (words := _SCALE.sub("", column.aside))
    ]
    lines = ["; ".join(words for words, occurs in signs if occurs), "; ".join(asides)]
    return "\n".join(f"{line}." for line in lines if line)
