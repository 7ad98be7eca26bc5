"""Coverage: intervals of a report hold the truth of models of kinds that nothing was tuned on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, softmax

from calib.evaluation import calibration_report

SEED, N_TRIALS = 20_261_126, 100
MEASURES = (
    "brier",
    "log_loss",
    "expected_calibration_error",
    "adaptive_calibration_error",
    "ks_calibration_error",
)


def skewed(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Few events, and a beta calibration map that is no line on log-odds."""
    p = rng.beta(1.0, 4.0, n)
    return expit(0.5 * np.log(p) - 1.3 * np.log1p(-p) - 0.2), p


def waved(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Too large and too small in turn, twice over the range."""
    p = rng.random(n)
    return np.clip(p + p * (1.0 - p) * np.sin(4.0 * np.pi * p), 0.0, 1.0), p


def hollow(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Wrong in one range of predictions only, with a jump at its ends."""
    p = rng.beta(2.0, 2.0, n)
    return np.where((p > 0.4) & (p < 0.8), p - 0.25, p), p


def three(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of unequal frequency, predicted as if they were equal."""
    z = rng.standard_t(4.0, (n, 3)) + [0.8, 0.0, -0.8]
    return softmax(z, axis=1), softmax(1.4 * z - [0.8, 0.0, -0.8], axis=1)


def five(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Five classes whose probabilities are drawn towards their mean."""
    q = rng.dirichlet(np.full(5, 0.3), n)
    return q, 0.5 * q + 0.1


FAMILIES = (skewed, waved, hollow, three, five)


def drawn(
    family: Callable[..., tuple[np.ndarray, np.ndarray]], rng: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray]:
    q, p = family(rng, n)
    if q.ndim == 1:
        return (rng.random(n) < q).astype(int), p
    y = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return np.minimum(y, q.shape[1] - 1), p


def measured(y: np.ndarray, p: np.ndarray, n_resamples: int, seed: int) -> dict:
    report = calibration_report(
        y, p, measures=["ks_calibration_error"], n_resamples=n_resamples, random_state=seed
    )
    return report.models["model"].measures
