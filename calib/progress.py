"""How far long work is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Self

from calib._border.optional import is_installed

#: Seconds of work after which a bar appears.
PATIENCE = 2.0
#: Seconds between two looks at the clock of a visible bar.
REFRESH = 0.5


class Progress:
    """Name the steps of long work on a bar that appears after two seconds.

    Parameters
    ----------
    n_steps : int >= 1
        Number of calls of `step` to come.
    shown : bool or None, default=None
        None shows the bar where the error stream is a terminal and tqdm is installed; True writes a
        line per step there if it is not; False shows nothing.
    """

    def __init__(self, n_steps: int, *, shown: bool | None = None) -> None:
        self._bar: Any = None
        self._done = threading.Event()
        self._started = 0
        self._since = time.monotonic()
        has_bar = shown is not False and is_installed("tqdm") and sys.stderr.isatty()
        self._writes = bool(shown) and not has_bar
        if has_bar:
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
        if self._writes:
            seconds = time.monotonic() - self._since
            print(f"[{seconds:6.1f} s] {description}", file=sys.stderr, flush=True)
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
