"""What the command line shows: tables, and warnings as single lines."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from calib._border.optional import is_installed

#: Widest column of a table that is never broken into lines.
UNBROKEN = 32


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: by rich on a terminal, else as aligned text."""
    if sys.stdout.isatty() and is_installed("rich"):
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for k, name in enumerate(columns):
            width = max([len(name), *(len(row[k]) for row in rows)])
            table.add_column(name, no_wrap=width <= UNBROKEN)
        for row in rows:
            table.add_row(*row)
        Console(markup=False, highlight=False).print(table)
        return
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    for row in cells:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def say(kind: str, text: object) -> None:
    """Print one line to the error stream: ``calib: <kind>: <text>``."""
    line = " ".join(str(text).split())
    print(f"calib: {kind}: {line}", file=sys.stderr)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show warnings as single lines, each text once, without the source line they come from."""
    shown: set[str] = set()

    def show(message: Warning | str, *_: object) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            say("warning", message)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield
