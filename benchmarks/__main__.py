"""Print time, memory and quality of calibrators and metrics beside peers, and what users feel."""

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
from benchmarks.felt import FELT
from benchmarks.felt_run import Machine, felt_rows
from benchmarks.rows import (
    OURS,
    Budget,
    Row,
    calibrator_rows,
    metric_names,
    metric_rows,
    reference_rows,
)
from benchmarks.targets import judge, judge_felt

SIZES = (Size(10_000, 10), Size(100_000, 100), Size(50_000, 1000), Size(1_000_000, 1))
QUICK = (Size(2_000, 10), Size(20_000, 1))
#: Metrics cost memory traffic only; K=1000 adds nothing to K=100.
METRIC_SIZES = (Size(10_000, 10), Size(100_000, 100), Size(1_000_000, 1))
Layout = tuple[tuple[str, str, int, str], ...]
#: Attribute of a row, heading, width and form; times of many scales have the form "time".
LAYOUT: Layout = (
    ("subject", "subject", 28, "s"),
    ("who", "who", 45, "s"),
    ("seconds", "CPU s", 9, ".4f"),
    ("ratio", "ratio", 7, ".1f"),
    ("megabytes", "MB", 9, ".1f"),
    ("megabytes_float32", "MB f32", 9, ".1f"),
    ("apply_seconds", "apply s", 9, ".4f"),
    ("loss_on_fit", "loss (fit)", 13, ".10f"),
    ("log_loss", "log loss", 9, ".6f"),
    ("brier", "brier", 9, ".6f"),
    ("value", "value", 9, ".6f"),
)
FELT_LAYOUT: Layout = (
    ("subject", "what users feel", 29, "s"),
    ("who", "who", 42, "s"),
    ("size", "size", 15, "s"),
    ("cold_seconds", "cold", 8, "time"),
    ("cold_ratio", "ratio", 6, ".2g"),
    ("seconds", "warm", 8, "time"),
    ("ratio", "ratio", 6, ".2g"),
    ("megabytes", "MB", 7, ".1f"),
    ("input_ratio", "/input", 6, ".1f"),
    ("rate", "M rows/s", 8, ".3g"),
    ("growth_rows", "n^", 5, ".2f"),
    ("growth_classes", "K^", 5, ".2f"),
    ("noise", "noise", 6, ".0%"),
)
#: Stands for all rows of what users feel after `--only`.
ALL_FELT = "felt"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; the exit code is 1 only if `--check` was given and a target is missed."""
    options = _parser().parse_args(arguments)
    _one_thread()
    names = _names(options)
    rows: list[Row] = []
    with threadpool_limits(1):
        for row in _rows(options, names):
            rows.append(row)
    targets = judge(rows)
    for felt in FELT:
        if felt.name in names and not options.quick:
            targets += judge_felt(felt, rows)
    print("\ntarget".ljust(84) + "reached".rjust(12) + "wanted".rjust(12))
    for target in targets:
        print(f"{target.what:<83}{target.reached:>12.3g}{target.wanted:>12}  {target.verdict}")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    return int(options.check and not all(target.met for target in targets))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes and no bounds on what users feel",
    )
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="other packages too"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="a calibrator, a metric or a row of what users feel, or 'felt' for all of those rows; "
        "repeatable",
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


def _names(options: argparse.Namespace) -> list[str]:
    """Return what to run; leave the program at a name that is not known."""
    from calib import CALIBRATORS

    felt = [row.name for row in FELT]
    known = [*CALIBRATORS, *metric_names(), *felt]
    wanted = options.only or known
    unknown = sorted(set(wanted) - {*known, ALL_FELT})
    if unknown:
        sys.exit(f"unknown name {unknown[0]!r}; known: {', '.join([*known, ALL_FELT])}")
    return [*wanted, *(felt if ALL_FELT in wanted else [])]


def _rows(options: argparse.Namespace, wanted: list[str]) -> Iterator[Row]:
    """Yield all rows, each when it has been printed."""
    budget = Budget(options.limit)
    yield from _printed(_methods(options, wanted, budget), LAYOUT)
    yield from _printed(_felt(options, wanted, budget), FELT_LAYOUT)


def _printed(rows: Iterator[Row], layout: Layout) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number == 0:
            print("  ".join(f"{heading:<{width}}" for _, heading, width, _ in layout))
        print(_line(row, layout), flush=True)
        yield row


def _methods(options: argparse.Namespace, wanted: list[str], budget: Budget) -> Iterator[Row]:
    from calib import CALIBRATORS

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


def _felt(options: argparse.Namespace, wanted: list[str], budget: Budget) -> Iterator[Row]:
    machine = Machine()
    for felt in FELT:
        if felt.name in wanted:
            yield from felt_rows(felt, budget, machine, quick=options.quick, peers=options.peers)
    machine.settle()


def _line(row: Row, layout: Layout) -> str:
    cells = []
    for name, _, width, form in layout:
        value = getattr(row, name)
        text = "" if value is None else _time(value) if form == "time" else format(value, form)
        cells.append(text.ljust(width) if form == "s" else text.rjust(width))
    line = "  ".join(cells).rstrip()
    if row.who == OURS:
        line = line.replace(f"  {OURS} ", f"* {OURS} ", 1)
    return f"{line}  {row.note}".rstrip() if row.note else line


def _time(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


if __name__ == "__main__":
    sys.exit(main())
