"""How often the risk of a chosen threshold exceeds its target: at most as often as allowed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from uq import RiskNotControlledWarning, control_stopping_risk

SEED, N_POPULATION, N_DRAWS, DELTA = 20_261_126, 4000, 2000, 0.1
Population = tuple[np.ndarray, np.ndarray]


def latent(seed: int, *, drift: float, slope: float) -> Population:
    """Steps of one question share its difficulty, and confidence the noise of the step before."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=(N_POPULATION, 1))
    noise = np.cumsum(rng.normal(size=(N_POPULATION, 5)), axis=1) / 2
    strength = ease + drift * np.arange(5) + noise
    correct = rng.random(strength.shape) < 1 / (1 + np.exp(-2.0 - strength))
    confidence = slope * strength + rng.normal(size=strength.shape)
    return confidence, correct.astype(float)


def smooth() -> Population:
    return latent(1, drift=0.5, slope=1.0)


def coarse() -> Population:
    confidence, correct = latent(2, drift=0.5, slope=1.0)
    return np.round(confidence), correct


def overthinking() -> Population:
    """Later steps are worse, so the risk falls before it rises."""
    confidence, correct = latent(3, drift=-0.3, slope=1.0)
    return confidence, correct


def useless() -> Population:
    """Confidence knows nothing, and the error hardly changes from step to step."""
    return latent(4, drift=0.05, slope=0.0)


def uneven() -> Population:
    confidence, correct = latent(5, drift=0.5, slope=1.0)
    gone = np.arange(5) >= np.random.default_rng(5).integers(1, 6, N_POPULATION)[:, None]
    return np.where(gone, np.nan, confidence), np.where(gone, np.nan, correct)


def graded() -> Population:
    confidence, correct = latent(6, drift=0.5, slope=1.0)
    return confidence, 0.3 + 0.7 * correct


def exceedances(population: Population, risk: str, target: float, n_rows: int) -> tuple[float, ...]:
    """Return how often the risk in the population exceeds the target, and the steps saved."""
    confidence, correct = population
    rows = np.arange(N_POPULATION)
    loss = 1 - correct
    if risk == "excess":
        last = (~np.isnan(confidence)).sum(axis=1) - 1
        loss = loss - loss[rows, last][:, None]
    rng, broken, saved = np.random.default_rng(SEED), 0, 0.0
    for _ in range(N_DRAWS):
        drawn = rng.integers(0, N_POPULATION, n_rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RiskNotControlledWarning)
            result = control_stopping_risk(
                confidence[drawn], correct[drawn], risk=risk, target_risk=target,
                confidence_level=1 - DELTA,
            )  # fmt: skip
        if result.certified:
            broken += loss[rows, result.apply(confidence)].mean() > target + 1e-12
            saved += result.steps_saved
    return broken / N_DRAWS, saved / N_DRAWS


@pytest.mark.slow
@pytest.mark.parametrize(("risk", "target"), [("error", 0.2), ("excess", 0.05)])
@pytest.mark.parametrize(
    "make", [smooth, coarse, overthinking, useless, uneven, graded], ids=lambda f: f.__name__
)
def test_the_target_is_exceeded_at_most_as_often_as_allowed(make, risk: str, target: float) -> None:
    population = make()
    if risk == "error":  # not far from the error of the last step, where it is hardest
        last = (~np.isnan(population[0])).sum(axis=1) - 1
        target = 1 - population[1][np.arange(N_POPULATION), last].mean() + 0.04
    broken, saved = exceedances(population, risk, target, n_rows=300)
    text = f"{make.__name__} {risk} {target:.3f}: {broken:.4f} exceed, {saved:.3f} saved, {SEED=}"
    print(text)
    assert broken <= DELTA + 1.65 * np.sqrt(DELTA * (1 - DELTA) / N_DRAWS), text
