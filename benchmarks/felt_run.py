"""Run the rows of `benchmarks.felt`, each in fresh processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import felt_child
from benchmarks.data import Size
from benchmarks.felt import Felt
from benchmarks.measure import reference_seconds
from benchmarks.rows import OURS, Budget, Row

#: First calls, one a process, of rows that have a bound on them; the best counts.
COLD_RUNS = 3
#: CPU seconds of the warm calls of a quick run.
QUICK_ENOUGH = 0.1
ROOT = Path(__file__).resolve().parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Machine:
    """How fast the machine was at its best during this run, by the reference work."""

    def __init__(self) -> None:
        self.quiet = min(reference_seconds() for _ in range(20))
        self.beside: list[tuple[Row, float, float]] = []

    def note(self, row: Row, reference: float, spread: float) -> None:
        """Keep the time of the reference work beside a row."""
        self.quiet = min(self.quiet, reference)
        self.beside.append((row, reference, spread))
        row.noise = reference / self.quiet - 1 + spread

    def settle(self) -> None:
        """Say the noise of every row once the best of the whole run is known."""
        for row, reference, spread in self.beside:
            row.noise = reference / self.quiet - 1 + spread


def felt_rows(
    felt: Felt, budget: Budget, machine: Machine, *, quick: bool, peers: bool
) -> Iterator[Row]:
    """Yield the rows of this library and of the peers, size by size."""
    sizes = (felt.quick,) if quick else felt.sizes
    times: dict[str, dict[Size, float]] = {}
    for size in sizes:
        rows = _at_one_size(felt, size, budget, machine, peers=peers, quick=quick)
        for row in rows:
            if row.seconds is not None:
                times.setdefault(row.who, {})[size] = row.seconds
            if size == sizes[-1]:
                _grow(row, times.get(row.who, {}))
            yield row


def _at_one_size(
    felt: Felt, size: Size, budget: Budget, machine: Machine, *, peers: bool, quick: bool
) -> list[Row]:
    own = Row(felt.name, OURS, str(size))
    others = [Row(felt.name, peer.label, str(size)) for peer in felt.peers] if peers else []
    if budget.refuses(own, size):
        return [own]
    asked = []
    for number, (row, peer) in enumerate(zip(others, felt.peers, strict=False)):
        if peer.most is not None and size.n_samples * size.n_classes > peer.most:
            row.note = "not run at this size"
        elif not budget.refuses(row, size):
            asked.append(number)
    rows = {felt_child.OURS: own, **{number: others[number] for number in asked}}
    start = time.perf_counter()
    options = ["--peers", ",".join(map(str, asked))]
    options += ["--enough", str(QUICK_ENOUGH)] if quick else []
    lines = _child(felt, size, budget, own, *options)
    once = time.perf_counter() - start
    for line in lines:
        _fill(rows[line.pop("who")], line, machine)
    cold = any(bound.measure.startswith("cold") for bound in felt.bounds)
    again = COLD_RUNS if cold and not quick and once < budget.limit / 2 else 1
    for number, row in rows.items():
        own_first = number == felt_child.OURS  # which the first process has measured
        for _ in range(again - own_first if row.seconds is not None else 0):
            for line in _child(felt, size, budget, row, "--cold-of", str(number)):
                line.pop("who")
                _fill(row, line, machine)
    for row in rows.values():
        _finish(row, own, size)
        budget.learn(row, size)
    return [own, *others]


def _child(felt: Felt, size: Size, budget: Budget, row: Row, *options: str) -> list[dict[str, Any]]:
    """Return what a process of its own says; in the note of the row, why it ended before."""
    command = [sys.executable, "-m", "benchmarks.felt_child", felt.name]
    command += [str(size.n_samples), str(size.n_classes), *options]
    limit = budget.STOP * budget.limit
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=limit,
            check=False,
        )
        said, ended = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        said, ended = bytes(error.stdout or b"").decode(), 0
        if row.seconds is None and '"seconds"' not in said:
            row.note = f"stopped after {limit:.0f} s"
    else:
        if ended:
            last = [text for text in done.stderr.splitlines() if text.strip()][-1:]
            row.note = f"failed: {(last or [str(ended)])[0][:80]}"
    return [json.loads(line) for line in said.splitlines() if line.endswith("}")]


def _fill(row: Row, said: dict[str, Any], machine: Machine) -> None:
    if "cold_seconds" in said:
        row.cold_seconds = min(said["cold_seconds"], row.cold_seconds or math.inf)
    if "reference" in said:
        row.seconds, row.ratio = said["seconds"], said.get("ratio", 1.0)
        machine.note(row, said["reference"], said["spread"])
    if said.get("megabytes") is not None:
        row.megabytes = said["megabytes"]
        if said.get("input_megabytes", 0.0) > 1.0:
            row.input_ratio = said["megabytes"] / said["input_megabytes"]
    row.note = said.get("note", row.note)


def _finish(row: Row, own: Row, size: Size) -> None:
    if row.seconds is not None and size.n_samples > 1:
        row.rate = size.n_samples / row.seconds / 1e6
    if row.cold_seconds and own.cold_seconds:
        row.cold_ratio = row.cold_seconds / own.cold_seconds


def _grow(row: Row, times: dict[Size, float]) -> None:
    """Note the exponents of the warm time over sizes that differ in one number alone."""
    row.growth_rows = exponent(times, "n_samples", "n_classes")
    row.growth_classes = exponent(times, "n_classes", "n_samples")


def exponent(times: dict[Size, float], varied: str, fixed: str) -> float | None:
    """Return the least-squares slope of log time, over the largest group of three or more sizes."""
    groups: dict[int, list[Size]] = {}
    for size in times:
        groups.setdefault(getattr(size, fixed), []).append(size)
    sizes = max(groups.values(), key=len, default=[])
    if len(sizes) < 3:
        return None
    x = np.log([getattr(size, varied) for size in sizes])
    y = np.log([times[size] for size in sizes])
    return float(np.polyfit(x, y, 1)[0])
