"""The identity behind split-point self-consistency, exactly and on known laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.extra import numpy as hnp

from uq.split_point.identities import capped_inflation, discrepancy, self_consistency

RESIDUALS = hnp.arrays(
    np.float64, st.integers(1, 40), elements=st.integers(-50, 50).map(lambda i: i / 8)
)
MEANS = st.floats(0, 1e3, allow_subnormal=False)


def sides(r: np.ndarray) -> tuple[float, float, float]:
    """Return the three means of a sample; an empty side has mean 0."""
    up, down = r[r > 0], -r[r <= 0]
    return (
        float(np.abs(r).mean()),
        float(up.mean()) if len(up) else 0.0,
        float(down.mean()) if len(down) else 0.0,
    )


def of(value: float) -> np.ndarray:
    return np.array([value])


@given(RESIDUALS)
def test_identity_holds_for_every_sample(r: np.ndarray) -> None:
    """One-sided samples and ties included: 2 u d - m (u + d) = mean (d - u)."""
    m, u, d = sides(r)
    found = float(discrepancy(of(m), of(u), of(d))[0])
    scale = m * (u + d) + 2 * u * d
    assert found == pytest.approx(r.mean() * (d - u), rel=1e-9, abs=1e-12 * scale)


@pytest.mark.parametrize("law", ["lognormal", "exponential", "poisson", "standard_t"])
def test_harmonic_mean_of_centred_samples(law: str) -> None:
    rng = np.random.default_rng(0)
    options = {"poisson": (2.5,), "standard_t": (3,)}.get(law, ())
    r = getattr(rng, law)(*options, size=20_000)
    m, u, d = sides(r - r.mean())
    assert m == pytest.approx(2 * u * d / (u + d), rel=1e-9)


def test_median_centring_of_a_skewed_law_breaks_it() -> None:
    """Numbers of the reference table: log-normal (1.5, 1), centred at its median."""
    r = np.random.default_rng(0).lognormal(1.5, 1.0, 2_000_000) - np.exp(1.5)
    m, u, d = sides(r)
    assert m == pytest.approx(5.037, rel=0.02)
    assert 2 * u * d / (u + d) == pytest.approx(3.359, rel=0.02)


def test_small_bias_of_a_normal_law() -> None:
    """|D| is about 0.727 b^2, the root form 0.853 |b|."""
    r = np.random.default_rng(1).normal(0.1, 1.0, 4_000_000)
    m, u, d = (of(value) for value in sides(r - r.mean() + 0.1))
    assert self_consistency(m, u, d, "raw")[0] == pytest.approx(0.727 * 0.01, rel=0.05)
    assert self_consistency(m, u, d, "root")[0] == pytest.approx(0.0853, rel=0.03)


@given(MEANS, MEANS, MEANS, st.sampled_from([0.25, 2.0, 1024.0]))
@example(8.0, 1.0, 2.2250738585072014e-308, 2.0)
def test_forms_and_their_units(m: float, u: float, d: float, c: float) -> None:
    one, many = (of(m), of(u), of(d)), (of(c * m), of(c * u), of(c * d))
    raw, root, relative = (
        float(self_consistency(*one, form)[0])  # type: ignore[arg-type]
        for form in ("raw", "root", "relative")
    )
    assert root == pytest.approx(np.sqrt(raw))
    assert float(self_consistency(*many, "raw")[0]) == pytest.approx(c * c * raw)
    assert float(self_consistency(*many, "root")[0]) == pytest.approx(c * root)
    again = float(self_consistency(*many, "relative")[0])
    assert again == relative or again == pytest.approx(relative)
    if u * d > 1e-100:
        assert relative == pytest.approx(abs(1 - m * (u + d) / (2 * u * d)), rel=1e-6, abs=1e-9)


def test_relative_form_at_zero() -> None:
    zero, one = of(0.0), of(1.0)
    assert self_consistency(zero, zero, zero, "relative")[0] == 0
    assert self_consistency(one, one, zero, "relative")[0] == np.inf


@given(MEANS, MEANS, MEANS, st.floats(1.01, 10))
@example(4.0, 3.0, 2.2250738585072014e-308, 2.0)
def test_inflation_stays_between_one_and_the_cap(m: float, u: float, d: float, cap: float) -> None:
    for factor in capped_inflation(of(m), of(u), of(d), cap):
        assert 1.0 <= factor[0] <= cap


def test_inflation_is_the_implied_over_the_learned_mean() -> None:
    m, u, d = 1.0, 0.9, 1.2
    up, down = capped_inflation(of(m), of(u), of(d), 3.0)
    assert up[0] == pytest.approx(max(1.0, m * d / (2 * d - m) / u))
    assert down[0] == pytest.approx(max(1.0, m * u / (2 * u - m) / d))
    # identity holds: nothing to widen
    h = 2 * u * d / (u + d)
    up, down = capped_inflation(of(h), of(u), of(d), 3.0)
    assert (up[0], down[0]) == (pytest.approx(1.0), pytest.approx(1.0))


def test_inflation_beyond_the_pole_is_the_cap() -> None:
    """At m = 2 d the ratio diverges, beyond it is negative: as inconsistent as can be."""
    for m in (1.0, 1.5):
        assert capped_inflation(of(m), of(1.0), of(0.5), 2.0)[0][0] == 2.0
    zero = of(0.0)
    assert capped_inflation(zero, zero, zero, 2.0)[0][0] == 1.0
