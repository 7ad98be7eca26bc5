"""Level: each test rejects calibrated predictions about as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import calibration_tests

SEED, N_SAMPLES, N_DRAWS = 20_260_202, 500, 2000


def binary(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, None]:
    p = rng.random(N_SAMPLES)
    return (rng.random(N_SAMPLES) < p).astype(int), p, None


def rare(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, None]:
    p = rng.beta(1.0, 4.0, N_SAMPLES)
    return (rng.random(N_SAMPLES) < p).astype(int), p, None


def multiclass(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, None]:
    p = rng.dirichlet(np.ones(4), N_SAMPLES)
    y = (p.cumsum(axis=1) < rng.random((N_SAMPLES, 1))).sum(axis=1).clip(max=3)
    return y, p, None


def weighted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p, _ = binary(rng)
    return y, p, rng.gamma(2.0, size=N_SAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [binary, rare, multiclass, weighted], ids=lambda f: f.__name__)
def test_calibrated_predictions_are_rejected_at_the_level(draw) -> None:
    rng = np.random.default_rng(SEED)
    rejections: dict[str, int] = {}
    for _ in range(N_DRAWS):
        y, p, w = draw(rng)
        average = "top_label" if p.ndim == 2 else "binary"
        tests = calibration_tests(
            y, p, average=average, n_resamples=99, sample_weight=w, random_state=rng
        )
        for name, test in tests.tests.items():
            rejections[name] = rejections.get(name, 0) + (test.p_value <= 0.05)
    rates = {name: count / N_DRAWS for name, count in rejections.items()}
    print(draw.__name__, rates)
    text = f"{rates}, seed={SEED}, n={N_SAMPLES}, draws={N_DRAWS}"
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), text
