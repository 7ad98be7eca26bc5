"""Print time, memory and quality of every registered calibrator and metric beside peers."""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.data import Size, make
from benchmarks.rows import (
    OURS,
    Budget,
    Row,
    calibrator_rows,
    metric_names,
    metric_rows,
    reference_rows,
)
from benchmarks.targets import judge

SIZES = (Size(10_000, 10), Size(100_000, 100), Size(50_000, 1000), Size(1_000_000, 1))
QUICK = (Size(2_000, 10), Size(20_000, 1))
#: Metrics cost memory traffic only; K=1000 adds nothing to K=100.
METRIC_SIZES = (Size(10_000, 10), Size(100_000, 100), Size(1_000_000, 1))
LAYOUT = (
    ("subject", 28, "s"),
    ("who", 45, "s"),
    ("seconds", 9, ".4f"),
    ("ratio", 7, ".1f"),
    ("megabytes", 9, ".1f"),
    ("megabytes_float32", 9, ".1f"),
    ("apply_seconds", 9, ".4f"),
    ("loss_on_fit", 13, ".10f"),
    ("log_loss", 9, ".6f"),
    ("brier", 9, ".6f"),
    ("value", 9, ".6f"),
)
HEADINGS = {
    "seconds": "CPU s",
    "megabytes": "MB",
    "megabytes_float32": "MB f32",
    "apply_seconds": "apply s",
    "loss_on_fit": "loss (fit)",
    "log_loss": "log loss",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; the exit code is 1 only if `--check` was given and a target is missed."""
    options = _parser().parse_args(arguments)
    _one_thread()
    rows: list[Row] = []
    print("  ".join(f"{HEADINGS.get(name, name):<{width}}" for name, width, _ in LAYOUT))
    with threadpool_limits(1):
        for row in _rows(options):
            rows.append(row)
            print(_line(row), flush=True)
    targets = judge(rows)
    print("\ntarget".ljust(84) + "reached".rjust(12) + "wanted".rjust(12))
    for target in targets:
        verdict = "ok" if target.met else "MISSED"
        print(f"{target.what:<83}{target.reached:>12.3g}{target.wanted:>12}  {verdict}")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    return int(options.check and not all(target.met for target in targets))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds in all")
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="other packages too"
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a calibrator or metric; repeatable"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the numbers there as well")
    parser.add_argument(
        "--limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="leave out a size if the smaller ones make a longer run likely (default: 60)",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded later
    try:
        importlib.import_module("torch").set_num_threads(1)
    except ModuleNotFoundError:
        pass


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    from calib import CALIBRATORS

    known = [*CALIBRATORS, *metric_names()]
    wanted = options.only or known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        sys.exit(f"unknown name {unknown[0]!r}; known: {', '.join(known)}")
    budget = Budget(options.limit)
    for size in QUICK if options.quick else SIZES:
        names = [name for name in CALIBRATORS if name in wanted]
        metrics = metric_names() if options.quick or size in METRIC_SIZES else []
        metrics = [name for name in metrics if name in wanted]
        if not names and not metrics:
            continue
        print(f"--- {size}", flush=True)
        data = make(size)
        if names:
            yield from reference_rows(data)
        for name in names:
            yield from calibrator_rows(name, data, budget, peers=options.peers)
        for name in metrics:
            yield from metric_rows(name, data, budget, peers=options.peers)


def _line(row: Row) -> str:
    cells = []
    for name, width, form in LAYOUT:
        value = getattr(row, name)
        text = "" if value is None else format(value, form)
        left = name in ("subject", "who")
        cells.append(text.ljust(width) if left else text.rjust(width))
    line = "  ".join(cells).rstrip()
    if row.who == OURS:
        line = line.replace(f"  {OURS} ", f"* {OURS} ", 1)
    return f"{line}  {row.note}".rstrip() if row.note else line


if __name__ == "__main__":
    sys.exit(main())
