"""CPU seconds and extra memory of one call."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Repeat a call until this many CPU seconds are spent, at most `MOST` times.
ENOUGH = 3.0
MOST = 5
MEGABYTE = 1 << 20


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of the best of a few calls, and what the last one returned."""
    best, spent, result = np.inf, 0.0, None
    for _ in range(MOST):
        result = None
        gc.collect()
        start = time.process_time()
        result = call()
        elapsed = time.process_time() - start
        best, spent = min(best, elapsed), spent + elapsed
        if spent >= ENOUGH:
            break
    return max(best, 1e-6), result


def extra_megabytes(call: Callable[[], Any]) -> float:
    """Return the peak memory of a call beyond what was in use before it, its result included.

    The larger of two numbers: what NumPy asked for, and (on Linux) the growth of the resident
    set, which also sees libraries with allocators of their own.
    """
    _release()
    before = _reset_peak()
    tracemalloc.start()
    try:
        call()
        traced = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    resident = _status("VmHWM") - before if before else 0
    return max(traced, resident) / MEGABYTE


def _release() -> None:
    """Give freed memory back to the system, so that reuse of it is seen as growth."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _reset_peak() -> int:
    """Restart the kernel's record of the largest resident set; return the present size or 0."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return 0


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0
