"""The Venn-ABERS kernel against exact rational refits, on lists and compiled."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.calibrators.venn_abers import bridge


def refit(groups: dict[float, list[Fraction]], s: float, label: Fraction, v: Fraction) -> Fraction:
    """Isotonic value at `s` after adding one point, by the max-min formula."""
    mass = {c: list(pair) for c, pair in groups.items()}
    pair = mass.setdefault(s, [Fraction(0), Fraction(0)])
    pair[0] += v
    pair[1] += label * v
    order = sorted(mass)
    i = order.index(s)
    w, z = [mass[c][0] for c in order], [mass[c][1] for c in order]
    return max(
        min(
            sum(z[a : b + 1], Fraction(0)) / sum(w[a : b + 1], Fraction(0))
            for b in range(i, len(w))
        )
        for a in range(i + 1)
    )


def grouped(s: list[int], y: list[int], w: list[int]) -> dict[float, list[Fraction]]:
    groups: dict[float, list[Fraction]] = {}
    for score, label, weight in zip(s, y, w, strict=True):
        pair = groups.setdefault(float(score), [Fraction(0), Fraction(0)])
        pair[0] += weight
        pair[1] += weight * label
    return groups


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    n = draw(st.integers(1, 60))
    spread = draw(st.sampled_from([1, 6, 200]))  # all tied, heavy ties, mostly distinct
    s = draw(st.lists(st.integers(0, spread), min_size=n, max_size=n))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    if draw(st.booleans()):
        return s, y, [1] * n
    return s, y, draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))


@settings(max_examples=100 if settings.default.derandomize else 250, deadline=None)
@given(table=tables())
def test_exactly_the_rational_refits(table: tuple[list[int], list[int], list[int]]) -> None:
    s, y, w = table
    points, mass, total = bridge.group_ties(
        np.array(s, float), np.array(y, float), None if set(w) == {1} else np.array(w, float)
    )
    lower, upper = bridge.venn_abers_tables(mass, total)
    groups = grouped(s, y, w)
    for x in sorted({*points[:6], *(points[:6] + 0.5), -1.0, 1e6}):
        p1 = refit(groups, x, Fraction(1), Fraction(1))
        p0 = refit(groups, x, Fraction(0), Fraction(1))
        assert upper[(points < x).sum()] == float(p1)
        assert lower[(points <= x).sum()] == float(p0)
        assert 0 <= p0 < p1 <= 1


def test_real_weights_and_labels_to_rounding() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        n = int(rng.integers(1, 40))
        s = rng.integers(0, 15, n).astype(float)
        y = rng.uniform(-2, 3, n)
        w = rng.uniform(0.1, 5, n)
        points, mass, total = bridge.group_ties(s, y, w)
        lower, upper = bridge.venn_abers_tables(mass, total, low=-2.0, high=3.0)
        groups: dict[float, list[Fraction]] = {}
        for score, label, weight in zip(s, y, w, strict=True):
            pair = groups.setdefault(score, [Fraction(0), Fraction(0)])
            pair[0] += Fraction(weight)
            pair[1] += Fraction(weight) * Fraction(label)
        for x in np.arange(-0.5, 15.5, 1.5):
            low = refit(groups, float(x), Fraction(-2), Fraction(1))
            high = refit(groups, float(x), Fraction(3), Fraction(1))
            assert upper[(points < x).sum()] == pytest.approx(float(high), abs=1e-12)
            assert lower[(points <= x).sum()] == pytest.approx(float(low), abs=1e-12)


COMPILE_FROM = "calib._border.optional.COMPILE_FROM"


def both_ways(mass: np.ndarray, total: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(COMPILE_FROM, np.inf)
    start = time.process_time()
    plain = bridge.venn_abers_tables(mass, total)
    plain_time = time.process_time() - start
    monkeypatch.setattr(COMPILE_FROM, 0)
    compiled = bridge.venn_abers_tables(mass, total)
    return plain, compiled, plain_time


@pytest.mark.parametrize("kind", ["distinct", "tied", "weights"])
def test_compiled_and_plain_are_bitwise_equal(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    s = rng.random(3000).round(2 if kind == "tied" else 15)
    y = (rng.random(3000) < s).astype(float)
    w = rng.uniform(0.1, 2, 3000) if kind == "weights" else None
    _, mass, total = bridge.group_ties(s, y, w)
    plain, compiled, _ = both_ways(mass, total, monkeypatch)
    for a, b in zip(plain, compiled, strict=True):
        assert a.tobytes() == b.tobytes()


def test_the_kernel_is_compiled_once_a_process_has_met_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work is added up over fits: a first small fit does not wait for a compiler."""
    pytest.importorskip("numba")
    loop = type(bridge.LOOP)(bridge.bridge_kernel)
    monkeypatch.setattr("calib._border.optional._met", [0.0])
    monkeypatch.setattr(bridge, "LOOP", loop)
    monkeypatch.setattr(COMPILE_FROM, 3500 * bridge.STEPS_OF_A_GROUP)
    mass, total = np.ones(999), np.tile([0.0, 1.0, 0.0], 333)
    bridge.venn_abers_tables(mass, total)  # two kernels of 1,000 points
    assert loop.given(0.0) is None
    assert loop._compiled is None
    bridge.venn_abers_tables(mass, total)
    assert loop._compiled is not None


def test_linear_time_in_plain_python() -> None:
    """The kernel against an in-test quadratic reference: by ratio, at one size."""
    rng = np.random.default_rng(0)
    s = np.sort(rng.random(700))
    y = (rng.random(700) < s).astype(float)
    mass = np.ones(700)
    m = np.concatenate(([0.0], np.cumsum(mass)))
    z = np.concatenate(([0.0], np.cumsum(y)))

    def quadratic() -> list[float]:
        out = []
        for i in range(701):
            slopes = [
                min((z[b] + 1 - z[a]) / (m[b] + 1 - m[a]) for b in range(i, min(701, i + 90)))
                for a in range(max(0, i - 5), i + 1)
            ]
            out.append(max(slopes))
        return out

    num, den, after = [0.0] * 701, [0.0] * 701, [0] * 701
    start = time.process_time()
    for _ in range(3):
        bridge.bridge_kernel(m.tolist(), z.tolist(), 1.0, 1.0, num, den, after)
    ours = (time.process_time() - start) / 3
    start = time.process_time()
    quadratic()
    assert (time.process_time() - start) > 10 * ours


def test_compression_keeps_every_value() -> None:
    rng = np.random.default_rng(0)
    s = rng.random(2000).round(3)
    y = (rng.random(2000) < s).astype(float)
    points, mass, total = bridge.group_ties(s, y, None)
    lower, upper = bridge.venn_abers_tables(mass, total)
    tables = bridge.step_tables([(s, y, None), (s[:0], y[:0], None), (s[:5], y[:5], None)])
    x = np.r_[points, points + 1e-4, -1.0, 2.0]
    got = tables.upper_values[0][np.searchsorted(tables.upper_knots[0], x, side="left")]
    np.testing.assert_array_equal(got, upper[np.searchsorted(points, x, side="left")])
    got = tables.lower_values[0][np.searchsorted(tables.lower_knots[0], x, side="right")]
    np.testing.assert_array_equal(got, lower[np.searchsorted(points, x, side="right")])
    assert tables.upper_knots.shape[1] < 250
    assert (tables.lower_values[1] == 0).all()
    assert (tables.upper_values[1] == 1).all()


@pytest.mark.parametrize(
    ("s", "y", "rows"),
    [
        ([0.5], [1], {0.4: (0, 1), 0.5: (1 / 2, 1), 0.6: (1 / 2, 1)}),
        ([0.5], [0], {0.4: (0, 1 / 2), 0.5: (0, 1 / 2), 0.6: (0, 1)}),
        (
            [0.2, 0.4, 0.6],
            [1, 1, 1],
            {0.1: (0, 1), 0.2: (1 / 2, 1), 0.5: (2 / 3, 1), 0.9: (3 / 4, 1)},
        ),
        (
            [0.2, 0.4, 0.6],
            [0, 0, 0],
            {0.1: (0, 1 / 4), 0.2: (0, 1 / 4), 0.6: (0, 1 / 2), 0.9: (0, 1)},
        ),
        ([0.5] * 5, [0, 1, 1, 0, 1], {0.4: (0, 4 / 6), 0.5: (3 / 6, 4 / 6), 0.6: (3 / 6, 1)}),
    ],
    ids=["one 1", "one 0", "all 1", "all 0", "all tied"],
)
def test_edge_cases(s: list[float], y: list[int], rows: dict[float, tuple[float, float]]) -> None:
    tables = bridge.step_tables([(np.array(s), np.array(y, float), None)])
    for x, expected in rows.items():
        p0 = tables.lower_values[0][np.searchsorted(tables.lower_knots[0], x, side="right")]
        p1 = tables.upper_values[0][np.searchsorted(tables.upper_knots[0], x, side="left")]
        assert (p0, p1) == expected
        assert not np.signbit([p0, p1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 25])
def test_the_true_labels_probability_is_calibrated(n: int) -> None:
    seed, n_draws = 20_260_101, 40_000
    rng = np.random.default_rng(seed)
    hits: dict[float, list[int]] = {}
    for _ in range(n_draws):
        s = rng.random(n + 1).round(1)  # with ties
        y = (rng.random(n + 1) < s).astype(float)
        points, mass, total = bridge.group_ties(s[:-1], y[:-1], None)
        lower, upper = bridge.venn_abers_tables(mass, total)
        p = upper[(points < s[-1]).sum()] if y[-1] == 1 else lower[(points <= s[-1]).sum()]
        hits.setdefault(float(p), []).append(int(y[-1]))
    assert not any(hits.get(0.0, [0]))
    assert all(hits.get(1.0, [1]))
    squared = []
    for p, labels in hits.items():
        if 0 < p < 1 and len(labels) * min(p, 1 - p) > 30:
            z = (np.mean(labels) - p) / np.sqrt(p * (1 - p) / len(labels))
            squared.append(z**2)
            assert abs(z) < 4.5, f"p={p:.4f}, z={z:.2f}, n={n}, draws={n_draws}, seed={seed}"
    mean = np.mean(squared)
    tolerance = 4 * np.sqrt(2 / len(squared))
    assert abs(mean - 1) < tolerance, f"mean z^2={mean:.2f} over {len(squared)} values, seed={seed}"
