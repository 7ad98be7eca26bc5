"""What decides whether a benchmark keeps its bounds; how long things take is no test."""

from __future__ import annotations

import math
from typing import Any

import pytest

import calib

felt = pytest.importorskip("benchmarks.felt", reason="not part of the source distribution")
data = pytest.importorskip("benchmarks.data")
felt_run = pytest.importorskip("benchmarks.felt_run")
measure = pytest.importorskip("benchmarks.measure")
rows = pytest.importorskip("benchmarks.rows")
targets = pytest.importorskip("benchmarks.targets")

SIZE = data.Size(10, 2)


def row_with(*bounds: Any, sizes: tuple[Any, ...] = (SIZE,)) -> Any:
    return felt.Felt("toy", lambda size: size, lambda size: None, sizes, SIZE, bounds)


def verdicts(bound: Any, *measured: Any) -> list[tuple[bool, str]]:
    judged = targets.judge_felt(row_with(bound), list(measured))
    return [(target.met, target.verdict) for target in judged]


def own(**numbers: Any) -> Any:
    return rows.Row("toy", rows.OURS, str(SIZE), **numbers)


def peer(**numbers: Any) -> Any:
    return rows.Row("toy", "a peer", str(SIZE), **numbers)


def test_names_differ_and_bounds_are_about_sizes_that_are_run() -> None:
    names = [row.name for row in felt.FELT]
    assert len({*names, *calib.CALIBRATORS}) == len(names) + len(calib.CALIBRATORS)
    for row in felt.FELT:
        assert {bound.size for bound in row.bounds} <= {None, *row.sizes}, row.name
        assert len(set(row.sizes)) == len(row.sizes)
        assert felt.by_name(row.name) is row


def test_every_registered_map_has_a_row() -> None:
    assert {f"one_row_{name}" for name in calib.CALIBRATORS} <= {row.name for row in felt.FELT}


def test_a_time_within_the_noise_of_its_bound_is_no_miss() -> None:
    bound = felt.Bound("warm", 1.0)
    assert verdicts(bound, own(seconds=0.9, noise=0.0)) == [(True, "ok")]
    assert verdicts(bound, own(seconds=1.1, noise=0.2)) == [(True, "within noise (20%)")]
    assert verdicts(bound, own(seconds=1.3, noise=0.2)) == [(False, "MISSED")]


def test_memory_has_no_noise() -> None:
    assert verdicts(felt.Bound("MB", 60), own(megabytes=61, noise=0.5)) == [(False, "MISSED")]


def test_rows_a_second_are_a_least() -> None:
    bound = felt.Bound("M rows/s", 3.0)
    assert verdicts(bound, own(rate=3.5, noise=0.0)) == [(True, "ok")]
    assert verdicts(bound, own(rate=2.0, noise=0.1)) == [(False, "MISSED")]


def test_the_fastest_peer_counts() -> None:
    bound = felt.Bound("warm/peer", 1.0)
    measured = own(seconds=1.0, noise=0.0), peer(ratio=3.0), peer(ratio=0.5)
    assert verdicts(bound, *measured) == [(False, "MISSED")]
    assert verdicts(bound, own(seconds=1.0, noise=0.0), peer(ratio=3.0)) == [(True, "ok")]


def test_what_is_not_installed_decides_nothing() -> None:
    assert verdicts(felt.Bound("warm", 1.0), own(note="not installed: torch")) == []
    missing = peer(note="not installed: venn_abers")
    assert verdicts(felt.Bound("warm/peer", 1.0), own(seconds=1.0), missing) == []


@pytest.mark.parametrize("note", ["left out: over 60 s expected", "stopped after 360 s"])
def test_what_took_too_long_misses_its_bound(note: str) -> None:
    (target,) = targets.judge_felt(row_with(felt.Bound("warm", 1.0)), [own(note=note)])
    assert math.isnan(target.reached)
    assert not target.met


def test_growth_is_the_slope_of_log_time() -> None:
    times = {data.Size(n, 7): 1e-6 * n**1.5 for n in (10, 100, 1000)}
    times[data.Size(100, 20)] = 1.0
    assert felt_run.exponent(times, "n_samples", "n_classes") == pytest.approx(1.5)
    assert felt_run.exponent(times, "n_classes", "n_samples") is None


def test_spread_compares_two_halves_of_the_runs() -> None:
    assert measure.spread([1.0, 1.1, 5.0, 9.0]) == pytest.approx(0.1)
    assert measure.spread([1.0]) == 0.0


def test_calls_take_turns_and_each_has_a_time() -> None:
    order = []
    times = measure.alternating_seconds(lambda: order.append(0), lambda: order.append(1), enough=0)
    assert [len(taken) for taken in times] == [1, 1]
    assert order[0] == 0
    assert order[1] == 1
    assert all(0 < taken[0] < 1 for taken in times)
