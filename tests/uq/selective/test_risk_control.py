"""The guarantee of a chosen threshold, its bound, and the utility of abstaining."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from uq import NothingKeptWarning, SelectiveThreshold, abstention_utility, control_selective_risk

Rate = Callable[[np.ndarray], np.ndarray]
GRID = (np.arange(20_000) + 0.5) / 20_000


def simulate(
    rate: Rate, procedure: str, *, step: float = 0.0, n_samples: int = 300, n_repeats: int = 2000
) -> tuple[float, float]:
    """Return how often the true risk exceeds 0.1, and the mean true coverage."""
    rng = np.random.default_rng(5)

    def level(u: np.ndarray) -> np.ndarray:
        return np.floor(u / step) * step if step else u

    population = level(GRID)
    rates, broken, coverage = rate(population), 0, 0.0
    for _ in range(n_repeats):
        g = level(rng.random(n_samples))
        error = rng.random(n_samples) < rate(g)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NothingKeptWarning)
            result = control_selective_risk(
                error, g, target_risk=0.1, confidence_level=0.9, procedure=procedure
            )
        kept = population >= result.threshold
        if kept.any():
            broken += rates[kept].mean() > 0.1 + 1e-9
            coverage += kept.mean()
    return broken / n_repeats, coverage / n_repeats


FALLING: dict[str, Rate] = {
    "line": lambda g: 0.35 * (1 - g),
    "flat at the target": lambda g: np.full_like(g, 0.1),
    "just above the target": lambda g: np.full_like(g, 0.101),
    "step": lambda g: np.where(g > 0.5, 0.02, 0.5),
}
NOT_FALLING: dict[str, Rate] = {
    "confident errors": lambda g: np.where(g > 0.9, 0.3, 0.02),
    "bad middle": lambda g: np.where((g > 0.5) & (g < 0.7), 0.6, 0.02),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.0, 0.1], ids=["continuous", "tied"])
@pytest.mark.parametrize("shape", FALLING)
def test_guarantee_of_the_fixed_sequence(shape: str, step: float) -> None:
    broken, _ = simulate(FALLING[shape], "fixed_sequence", step=step)
    assert broken <= 0.1 + 3 * math.sqrt(0.09 / 2000), (shape, step, broken)


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.0, 0.1], ids=["continuous", "tied"])
@pytest.mark.parametrize("shape", [*FALLING, *NOT_FALLING])
def test_guarantee_of_bonferroni(shape: str, step: float) -> None:
    broken, _ = simulate({**FALLING, **NOT_FALLING}[shape], "bonferroni", step=step)
    assert broken <= 0.1 + 3 * math.sqrt(0.09 / 2000), (shape, step, broken)


def test_guarantee_and_power_in_short() -> None:
    broken, coverage = simulate(FALLING["step"], "fixed_sequence", n_samples=1000, n_repeats=200)
    assert broken <= 0.1 + 3 * math.sqrt(0.09 / 200), broken
    assert 0.5 < coverage < 0.6  # the largest coverage within the target is 0.6


def test_fixed_sequence_step_by_step(rng: np.random.Generator) -> None:
    g = np.round(rng.random(400), 2)
    error = rng.random(400) < 0.3 * (1 - g)
    result = control_selective_risk(error, g, target_risk=0.12, confidence_level=0.8)
    kept, last = None, None
    for t in np.unique(g)[::-1]:
        rows = g >= t
        if rows.sum() < 80:
            continue
        if binom.cdf(error[rows].sum(), rows.sum(), 0.12) > 0.2:
            break
        kept, last = rows, t
    assert kept is not None
    assert last is not None
    assert result.n_kept == kept.sum()
    assert result.n_errors == error[kept].sum()
    assert g[g < last].max() < result.threshold <= last
    np.testing.assert_array_equal(g >= result.threshold, kept)
    assert result.risk < result.risk_bound <= 0.12
    tail = binom.cdf(result.n_errors, result.n_kept, result.risk_bound)
    assert tail == pytest.approx(0.2, abs=1e-9)


def test_bound_at_the_edge_of_what_is_possible() -> None:
    for n, answered in ((21, 0), (22, 22)):  # 0.9 ** 22 < 0.1 < 0.9 ** 21
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NothingKeptWarning)
            result = control_selective_risk(np.zeros(n), np.arange(n), min_coverage=0.9)
        assert result.n_kept == answered
    assert result.threshold == -math.inf
    assert result.risk_bound == pytest.approx(1 - 0.1 ** (1 / 22))


def test_nothing_kept_is_said(rng: np.random.Generator) -> None:
    for procedure in ("fixed_sequence", "bonferroni"):
        with pytest.warns(NothingKeptWarning, match="no threshold keeps the risk below 0.1"):
            result = control_selective_risk(np.ones(100), rng.random(100), procedure=procedure)
        assert isinstance(result, SelectiveThreshold)
        assert (result.threshold, result.coverage, result.n_kept) == (math.inf, 0.0, 0)
        assert math.isnan(result.risk)
        assert math.isnan(result.risk_bound)
        assert result.to_dict()["procedure"] == procedure


def test_all_tied() -> None:
    result = control_selective_risk(np.r_[np.ones(5), np.zeros(195)], np.full(200, 0.7))
    assert result.coverage == 1.0
    assert result.threshold == -math.inf
    with pytest.warns(NothingKeptWarning):
        control_selective_risk(np.r_[np.ones(50), np.zeros(150)], np.full(200, 0.7))


@pytest.mark.parametrize(
    ("error", "confidence", "options", "match"),
    [
        ([0, np.nan], [0.1, 0.2], {}, "error contains NaN"),
        ([0, 1], [0.1, np.nan], {}, "confidence contains NaN"),
        ([0, 0.5], [0.1, 0.2], {}, "error must hold 0 and 1"),
        ([0, 1], [0.1], {}, "error has 2 samples but confidence has 1"),
        ([], [], {}, "0 samples"),
        ([[0, 1]], [0.1, 0.2], {}, "shape"),
        ([0, 1], [0.1, 0.2], {"target_risk": 0.0}, "target_risk"),
        ([0, 1], [0.1, 0.2], {"target_risk": 1.0}, "target_risk"),
        ([0, 1], [0.1, 0.2], {"confidence_level": 1.2}, "confidence_level"),
        ([0, 1], [0.1, 0.2], {"min_coverage": 0.0}, "min_coverage"),
        ([0, 1], [0.1, 0.2], {"procedure": "sgr"}, "procedure must be one of"),
        ([0, 1], [0.1, 0.2], {"n_candidates": 0}, "n_candidates"),
    ],
)
def test_refusals(error, confidence, options, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        control_selective_risk(error, confidence, **options)


@pytest.mark.parametrize("penalty", [0.5, 1.0, 4.0])
def test_best_threshold_iff_calibrated(rng: np.random.Generator, penalty: float) -> None:
    g = rng.random(200_000)
    error = rng.random(200_000) > g
    default = abstention_utility(error, g, penalty=penalty)
    grid = np.linspace(0, 1, 41)
    others = [abstention_utility(error, g, penalty=penalty, threshold=t) for t in grid]
    assert default > max(others) - 0.003
    overconfident = np.sqrt(g)
    worse = abstention_utility(error, overconfident, penalty=penalty)
    assert worse < max(others) - 0.005


def test_utility_values_and_refusals() -> None:
    assert abstention_utility([0, 1], [0.4, 0.4], penalty=1.0) == 0.0
    assert abstention_utility([0, 1], [9.0, 9.0], penalty=3.0, threshold=5.0) == -1.0
    for options, match in (
        ({"penalty": 0.0}, "penalty"),
        ({"penalty": math.nan}, "penalty"),
        ({"threshold": math.nan}, "threshold is NaN"),
    ):
        with pytest.raises(ValueError, match=match):
            abstention_utility([0, 1], [0.4, 0.4], **options)
    with pytest.raises(ValueError, match="outside"):
        abstention_utility([0, 1], [4.0, 0.4])
