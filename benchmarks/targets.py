"""What the numbers of the table have to reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.data import Size
from benchmarks.felt import Bound, Felt, Measure
from benchmarks.rows import OURS, Row

#: How many times faster than the fastest peer temperature scaling has to be.
SPEED_UP = {Size(100_000, 100): 8.0, Size(50_000, 1000): 8.0, Size(1_000_000, 1): 3.0}
TEMPERATURE_MEGABYTES = 64.0
#: Relative excess of the objective over the best peer's.
TEMPERATURE_LOSS = 1e-9
#: CPU seconds that a fit may take on one thread of the machine that the targets were set for.
SECONDS = {
    ("platt", Size(1_000_000, 1)): 0.3,
    ("quadratic", Size(1_000_000, 1)): 0.3,
    ("beta", Size(1_000_000, 1)): 0.3,
    ("spline", Size(1_000_000, 1)): 1.0,
    ("matrix_scaling", Size(10_000, 10)): 0.05,
    ("matrix_scaling", Size(100_000, 100)): 4.0,
    ("vector_scaling", Size(100_000, 100)): 1.5,
    ("vector_scaling", Size(50_000, 1000)): 8.0,
    ("ensemble_temperature", Size(50_000, 1000)): 5.0,
    ("dirichlet", Size(10_000, 10)): 4.0,
    ("auto", Size(100_000, 100)): 20.0,
    ("auto", Size(50_000, 1000)): 60.0,
}
#: Multiple of the time of one bincount pass, and memory, for the expected calibration error; that
#: of two classes is a row of what users feel.
ECE_SIZES = (Size(100_000, 100),)
ECE_TIMES = 2.0
ECE_MEGABYTES = 16.0


@dataclass(frozen=True)
class Target:
    """A measured number with the bound it has to keep.

    Attributes
    ----------
    what, wanted : str
        What was measured, and the bound.
    reached : float
        The number; NaN if there is none, for instance because it took too long.
    met : bool
        Whether it keeps the bound, or misses it by no more than the noise.
    verdict : str
        The same in words.
    """

    what: str
    reached: float
    wanted: str
    met: bool
    verdict: str


def judge(rows: list[Row]) -> list[Target]:
    """Return the targets that these rows can decide."""
    targets = []
    for size, factor in SPEED_UP.items():
        ours, peers = _pick(rows, "temperature", size)
        if ours is None or ours.seconds is None:
            continue
        what = f"temperature, {size}"
        times = [peer.ratio for peer in peers if peer.ratio]
        if times:
            targets.append(
                _least(f"{what}: times faster than the fastest peer", min(times), factor)
            )
        losses = [peer.loss_on_fit for peer in peers if peer.loss_on_fit]
        if losses and ours.loss_on_fit:
            excess = (ours.loss_on_fit - min(losses)) / min(losses)
            targets.append(
                _most(f"{what}: loss above the best peer's, relative", excess, TEMPERATURE_LOSS)
            )
        for kind, used in (("float64", ours.megabytes), ("float32", ours.megabytes_float32)):
            if used is not None:
                targets.append(_most(f"{what}: extra MB, {kind}", used, TEMPERATURE_MEGABYTES))
    for (name, size), bound in SECONDS.items():
        ours, _ = _pick(rows, name, size)
        if ours is not None and ours.seconds is not None:
            targets.append(_most(f"{name}, {size}: CPU seconds", ours.seconds, bound))
    for size in ECE_SIZES:
        ours, peers = _pick(rows, "expected_calibration_error", size)
        if ours is None or ours.seconds is None or ours.megabytes is None:
            continue
        what = f"expected calibration error, {size}"
        targets += [
            _most(f"{what}: times the {peer.who}", 1 / peer.ratio, ECE_TIMES)
            for peer in peers
            if peer.ratio and "bincount" in peer.who
        ]
        targets.append(_most(f"{what}: extra MB", ours.megabytes, ECE_MEGABYTES))
    return targets


#: Number that a bound is about, of the row of this library and those of its peers.
READ: dict[Measure, Callable[[Row, list[Row]], float | None]] = {
    "cold": lambda own, peers: own.cold_seconds,
    "warm": lambda own, peers: own.seconds,
    "cold/peer": lambda own, peers: _over([peer.cold_ratio for peer in peers]),
    "warm/peer": lambda own, peers: _over([peer.ratio for peer in peers]),
    "MB": lambda own, peers: own.megabytes,
    "MB/input": lambda own, peers: own.input_ratio,
    "M rows/s": lambda own, peers: own.rate,
    "n^": lambda own, peers: own.growth_rows,
}
UNITS = {"cold": "cold, CPU s", "warm": "warm, CPU s", "n^": "exponent of n"}


def judge_felt(felt: Felt, rows: list[Row]) -> Iterator[Target]:
    """Yield what the rows of `felt` decide; a bound of what was measured in vain is missed."""
    for bound in felt.bounds:
        sizes = felt.sizes if bound.measure != "n^" else felt.sizes[-1:]
        for size in sizes if bound.size is None else (bound.size,):
            own, peers = _pick(rows, felt.name, size)
            nothing = own is None or own.note.startswith("not installed")
            if bound.measure.endswith("/peer") and all(row.note for row in peers):
                continue
            if own is not None and not nothing:
                yield _verdict(bound, f"{felt.name}, {size}", own, peers)


def _verdict(bound: Bound, where: str, own: Row, peers: list[Row]) -> Target:
    reached = READ[bound.measure](own, peers)
    what = f"{where}: {UNITS.get(bound.measure, bound.measure)}"
    if bound.measure == "M rows/s":
        target = _least(what, math.nan if reached is None else reached, bound.limit)
    else:
        target = _most(what, math.nan if reached is None else reached, bound.limit)
    if target.met or reached is None or bound.measure.startswith("MB"):
        return target
    noise = max(row.noise or 0.0 for row in (own, *peers))
    off = max(reached / bound.limit, bound.limit / reached) - 1
    if off > noise:
        return target
    return Target(what, reached, target.wanted, True, f"within noise ({noise:.0%})")


def _over(ratios: list[float | None]) -> float | None:
    """Return the time of this library over that of the fastest peer."""
    known = [ratio for ratio in ratios if ratio]
    return 1 / min(known) if known else None


def _pick(rows: list[Row], subject: str, size: Size) -> tuple[Row | None, list[Row]]:
    found = [row for row in rows if row.subject == subject and row.size == str(size)]
    ours = next((row for row in found if row.who == OURS), None)
    return ours, [row for row in found if row.who != OURS]


def _least(what: str, reached: float, bound: float) -> Target:
    met = reached >= bound
    return Target(what, reached, f">= {bound:g}", met, "ok" if met else "MISSED")


def _most(what: str, reached: float, bound: float) -> Target:
    met = reached <= bound
    return Target(what, reached, f"<= {bound:g}", met, "ok" if met else "MISSED")
