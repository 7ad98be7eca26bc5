"""What the numbers of the table have to reach."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.data import Size
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
#: Multiple of the time of one bincount pass, and memory, for the expected calibration error.
ECE_SIZES = (Size(100_000, 100), Size(1_000_000, 1))
ECE_TIMES = 2.0
ECE_MEGABYTES = 16.0


@dataclass(frozen=True)
class Target:
    """A measured number with the bound it has to keep."""

    what: str
    reached: float
    wanted: str
    met: bool


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


def _pick(rows: list[Row], subject: str, size: Size) -> tuple[Row | None, list[Row]]:
    found = [row for row in rows if row.subject == subject and row.size == str(size)]
    ours = next((row for row in found if row.who == OURS), None)
    return ours, [row for row in found if row.who != OURS]


def _least(what: str, reached: float, bound: float) -> Target:
    return Target(what, reached, f">= {bound:g}", reached >= bound)


def _most(what: str, reached: float, bound: float) -> Target:
    return Target(what, reached, f"<= {bound:g}", reached <= bound)
