"""Tests of calibration keep their level where events are rare, two-sided, few or common."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.stats import binom

from calib.evaluation import (
    calibration_tests,
    cumulative_calibration_test,
    kernel_calibration_test,
)

SEED = 20_261_126

PREDICTIONS = {
    "common": lambda rng, n: rng.random(n),
    "rare": lambda rng, n: rng.beta(1, 999, n),
    "one in twenty": lambda rng, n: rng.beta(1, 19, n),
    "bimodal": lambda rng, n: rng.choice([0.001, 0.999], n),
    "few distinct": lambda rng, n: rng.choice([0.1, 0.3, 0.7], n),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize(
    ("n_samples", "n_draws"), [(30, 1000), (100, 1000), (1000, 400), (10_000, 60)]
)
def test_no_test_rejects_calibrated_predictions_too_often(
    kind: str, n_samples: int, n_draws: int
) -> None:
    rng = np.random.default_rng(SEED)
    rejected: dict[str, int] = {}
    for _ in range(n_draws):
        p = PREDICTIONS[kind](rng, n_samples)
        y = (rng.random(n_samples) < p).astype(int)
        tests = calibration_tests(y, p, average="binary", n_resamples=99, random_state=rng).tests
        p_values = {name: test.p_value for name, test in tests.items()}
        for walk in ("mad", "range"):
            p_values[f"walk {walk}"] = cumulative_calibration_test(
                y, p, kind=walk, average="binary", n_resamples=99, random_state=rng
            ).p_value
        p_values["kernel"] = kernel_calibration_test(y, p, n_resamples=99, random_state=rng).p_value
        for name, p_value in p_values.items():
            rejected[name] = rejected.get(name, 0) + (p_value <= 0.05)
    rates = {name: count / n_draws for name, count in rejected.items()}
    print(kind, n_samples, rates)
    # 5 %, and 3.5 standard errors of the simulation for 12 tests in 20 cells
    limit = 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / n_draws)
    assert max(rates.values()) <= limit, (rates, SEED)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_the_law_of_the_number_of_events_is_exact() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(1, 30, 200)
    y = np.zeros(200, dtype=int)
    y[rng.choice(200, 15, replace=False)] = 1
    test = calibration_tests(y, p, average="binary", n_resamples=19, random_state=0)["in_the_large"]
    counts = np.arange(201)
    far = np.abs(counts - p.sum()) >= abs(15 - p.sum()) - 1e-9
    law = functools.reduce(np.convolve, np.column_stack([1 - p, p]))
    assert test.p_value == pytest.approx(law[far].sum(), abs=1e-12)
    assert test.law == "Poisson binomial, two-sided"
    equal = calibration_tests(
        np.r_[np.ones(4, dtype=int), np.zeros(96, dtype=int)],
        np.full(100, 0.01),
        average="binary",
        n_resamples=19,
        random_state=0,
    )["in_the_large"]
    assert equal.p_value == pytest.approx(binom.sf(3, 100, 0.01), abs=1e-12)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_the_result_says_which_law_it_takes() -> None:
    rng = np.random.default_rng(1)
    p = rng.choice([0.001, 0.999], 500)
    y = (rng.random(500) < p).astype(int)
    tests = calibration_tests(y, p, average="binary", n_resamples=19, random_state=0)
    assert tests["spiegelhalter"].law == tests["hosmer_lemeshow"].law == "redrawn labels"
    assert "Few events are in doubt" in " ".join(tests.details().split())
    p = rng.random(2000)
    y = (rng.random(2000) < p).astype(int)
    tests = calibration_tests(y, p, average="binary", n_resamples=19, random_state=0)
    assert tests["spiegelhalter"].law == "N(0, 1), two-sided"
    assert tests["cox"].law == "chi2(2)"
    assert tests["ecce_mad"].law == "Brownian motion"
    assert "Few events" not in tests.details()


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
@pytest.mark.parametrize("weight", [1.0, 1e-90, 1e90])
def test_weights_have_no_scale(weight: float) -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(1, 40, 300)
    y = (rng.random(300) < p).astype(int)
    w = rng.random(300) + 0.1
    plain, scaled = (
        calibration_tests(y, p, average="binary", sample_weight=v, n_resamples=99, random_state=0)
        for v in (w, w * weight)
    )
    for name in plain.tests:
        assert scaled[name].p_value == pytest.approx(plain[name].p_value, rel=1e-6), name


def test_a_seed_decides_and_the_default_is_fixed() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(1, 99, 400)
    y = (rng.random(400) < 3 * p).astype(int)
    first = cumulative_calibration_test(y, p, average="binary")
    assert first == cumulative_calibration_test(y, p, average="binary")
    assert 1 / 1000 <= first.p_value <= 1
