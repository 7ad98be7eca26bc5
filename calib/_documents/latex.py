r"""The tables of a document for LaTeX; the paper needs ``\usepackage{booktabs}``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from calib._documents.document import Cell, Document, Table

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


def latex_of(document: Document) -> str:
    """Return every table of a document, in reading order."""
    return "\n".join(_table(table) for table in document.tables())


def _escaped(text: str) -> str:
    return _SIGNS.sub(lambda found: _SPECIAL[found[0]], text)


def _table(table: Table) -> str:
    kinds = ["l", *("r" if one.kind == "number" else "l" for one in table.columns[1:])]
    titles = (Cell(column.title, column.aside) for column in table.columns)
    lines = [
        *([f"% {table.title}"] if table.title else []),
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        _row(titles),
    ]
    for group in table.groups:
        lines.append(r"\midrule")
        if group.title:
            title = _escaped(group.title)
            lines.append(rf"\multicolumn{{{len(kinds)}}}{{l}}{{\emph{{{title}}}}} \\")
        lines += [_row(row) for row in group.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _row(cells: Iterable[Cell]) -> str:
    return " & ".join(_cell(cell) for cell in cells) + r" \\"


def _cell(cell: Cell) -> str:
    mark = f"$^{{{_escaped(cell.mark.strip())}}}$" if cell.mark.strip() else ""
    aside = rf" {{\scriptsize {_escaped(cell.aside)}}}" if cell.aside else ""
    return f"{_escaped(cell.text)}{mark}{aside}"
