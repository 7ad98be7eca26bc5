"""What the command line shows: tables, a progress bar, and warnings as single lines."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from calib._border.optional import is_installed

#: Seconds of work after which a progress bar appears.
PATIENCE = 2.0
#: Widest column of a table that is never broken into lines.
UNBROKEN = 32
#: Seconds between two looks at the clock of a visible bar.
REFRESH = 0.5


class Progress:
    """Name the steps of a command on a bar that appears after two seconds.

    Nothing is shown without tqdm or where the error stream is no terminal.

    Parameters
    ----------
    n_steps : int >= 1
        Number of calls of `step` to come.
    """

    def __init__(self, n_steps: int) -> None:
        self._bar: Any = None
        self._done = threading.Event()
        self._started = 0
        self._since = time.monotonic()
        if is_installed("tqdm") and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=n_steps,
                disable=None,
                leave=False,
                delay=PATIENCE,
                bar_format="{desc:<28} {bar} {n_fmt}/{total_fmt} [{elapsed}]",
            )
            threading.Thread(target=self._tick, daemon=True).start()

    def step(self, description: str) -> None:
        """Say that the step before is done and what comes now."""
        if self._bar is not None:
            self._bar.set_description_str(description, refresh=False)
            if self._started:
                self._bar.update()
            if time.monotonic() - self._since >= PATIENCE:
                self._bar.refresh()
        self._started += 1

    def _tick(self) -> None:
        """Move the clock, also while one step keeps the main thread busy."""
        self._done.wait(PATIENCE)
        while not self._done.wait(REFRESH):
            self._bar.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._bar is not None:
            self._bar.close()


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
