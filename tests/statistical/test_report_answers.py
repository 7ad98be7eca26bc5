"""How often the answer of a report is wrong: false stars, a lost best model, a bad recommendation.

Shares are those of whole reports, whatever the number of models and measures, at the default level
of 95 %; bounds leave three standard errors of the simulation.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from calib.evaluation import CalibrationReport, calibration_report

SEED = 13
N_RUNS = 150
CASES = [(400, 3), (1000, 2)]


def drawn(rng: np.random.Generator, n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    z = rng.normal(0, 2, (n, n_classes))
    p = softmax(z, axis=1)
    return (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1), z


def cells(p: np.ndarray) -> np.ndarray:
    return p.argmax(axis=1) * 4 + np.digitize(p.max(axis=1), [0.5, 0.7, 0.9])


def calibrated_models(n: int, n_classes: int, seed: int) -> CalibrationReport:
    """Return a report on the truth and two calibrated models that know less."""
    rng = np.random.default_rng([SEED, seed, n, n_classes])
    y, z = drawn(rng, n, n_classes)
    truth = softmax(z, axis=1)
    large = softmax(np.random.default_rng(SEED).normal(0, 2, (200_000, n_classes)), axis=1)
    place, overall = cells(large), large.mean(axis=0)
    means = np.array(
        [
            large[place == cell].mean(axis=0) if (place == cell).any() else overall
            for cell in range(4 * n_classes)
        ]
    )
    models = {"coarse": means[cells(truth)], "truth": truth, "rates": np.tile(overall, (n, 1))}
    return calibration_report(y, models, random_state=seed)


def rivals(n: int, n_classes: int, seed: int) -> CalibrationReport:
    """Return a report on the truth among models that are close to it and far from it."""
    rng = np.random.default_rng([SEED, 1, seed, n, n_classes])
    y, z = drawn(rng, n, n_classes)
    slopes = (1.6, 1.0, 1.02, 1.3, 0.8)
    models = {f"{slope}": softmax(slope * z, axis=1) for slope in slopes}
    return calibration_report(y, models, random_state=seed)


def at_most(share: float, n_runs: int = N_RUNS) -> float:
    return share * n_runs + 3 * np.sqrt(share * (1 - share) * n_runs)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_classes"), CASES)
def test_calibrated_models_are_seldom_called_miscalibrated(n: int, n_classes: int) -> None:
    false = lost = 0
    for seed in range(N_RUNS):
        report = calibrated_models(n, n_classes, seed)
        starred = report.to_frame()["beyond_chance"].any()
        false += starred
        lost += "truth" not in report.may_be_best
        assert report.comparison.behind_at_least(report.recommended) == 0
    assert false <= at_most(0.05), f"{false} of {N_RUNS} reports have a false star"
    assert lost <= at_most(0.05), f"the best is lost in {lost} of {N_RUNS} reports"


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_classes"), CASES)
def test_the_best_of_rivals_is_kept_and_the_recommended_is_not_behind(
    n: int, n_classes: int
) -> None:
    lost = behind = worse = 0
    for seed in range(N_RUNS):
        report = rivals(n, n_classes, seed)
        comparison, chosen = report.comparison, report.recommended
        lost += "1.0" not in report.may_be_best
        behind += comparison.behind_at_least(chosen) > 0
        worse += "log_loss" in comparison.worse[chosen]
    assert behind == worse == 0
    assert lost <= at_most(0.05), f"the best is lost in {lost} of {N_RUNS} reports"
