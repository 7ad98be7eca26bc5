"""CPU seconds and extra memory of a call, and how quiet the machine is meanwhile."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None  # type: ignore[assignment]

#: Repeat a call until this many CPU seconds are spent, at most `MOST` times.
ENOUGH = 3.0
MOST = 5
#: Short calls are repeated until they fill this many CPU seconds, and their mean is taken.
SHORTEST = 0.02
MEGABYTE = 1 << 20


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the child processes that have ended."""
    if resource is None:
        return time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of the best of a few calls, and what the last one returned."""
    best, spent, result = np.inf, 0.0, None
    for _ in range(MOST):
        result = None
        gc.collect()
        start = cpu_seconds()
        result = call()
        elapsed = cpu_seconds() - start
        best, spent = min(best, elapsed), spent + elapsed
        if spent >= ENOUGH:
            break
    return max(best, 1e-6), result


def alternating_seconds(*calls: Callable[[], Any], enough: float = ENOUGH) -> list[list[float]]:
    """Return the CPU times of a few runs of each call; the calls take turns.

    What slows the machine for a while then slows all of them. At least two runs each, unless one
    round takes more than ten times `enough`.
    """
    times: list[list[float]] = [[] for _ in calls]
    loops = [1] * len(calls)
    spent = 0.0
    for done in range(2 * MOST):
        fewest = min(map(len, times))
        if fewest and spent >= enough * (1 if fewest >= 2 else 10):
            break
        for which, call in enumerate(calls):
            gc.collect()
            start = cpu_seconds()
            for _ in range(loops[which]):
                call()
            elapsed = cpu_seconds() - start
            spent += elapsed
            if done == 0 and elapsed < SHORTEST:
                loops[which] = math.ceil(SHORTEST / max(elapsed, 1e-6))
            else:
                times[which].append(max(elapsed, 1e-9) / loops[which])
    return times


def spread(times: list[float]) -> float:
    """Return by how much, relatively, the best of every other run differs from that of the rest."""
    if len(times) < 2:
        return 0.0
    halves = min(times[::2]), min(times[1::2])
    return max(halves) / min(halves) - 1


def reference_seconds() -> float:
    """Return the CPU time of a fixed piece of work: how fast the machine is at this moment.

    In arrays that no allocator gives back in between, so that it is the same in every process.
    """
    values = np.random.default_rng(0).random(10_000)
    copy = np.empty_like(values)
    best = math.inf
    for _ in range(20):
        start = time.process_time()
        for _ in range(5):
            copy[:] = values
            copy.sort()
            np.bincount(np.arange(1000), values[:1000])
        sum(i * i for i in range(10_000))
        best = min(best, time.process_time() - start)
    return best


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
