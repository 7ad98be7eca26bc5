"""Features that are noise hardly ever pass the guard, and cost next to nothing on average."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from calib import AutoCalibrator, GroupCalibrator, MulticalibrationCalibrator
from tests.support.people import log_loss

SEED, DRAWS = 20_261_127, 80

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", [MulticalibrationCalibrator, GroupCalibrator])
@pytest.mark.parametrize("n", [100, 300])
def test_noise(method: type, n: int) -> None:
    rng = np.random.default_rng(SEED)
    ratios, passed = [], 0
    for _ in range(DRAWS):
        s = 1.5 * rng.normal(size=n + 4000)
        y = (rng.random(len(s)) < expit(0.8 * s - 0.3)).astype(int)
        columns = 1 if method is GroupCalibrator else 5
        noise = rng.integers(0, 6, (len(s), columns)).astype(float)
        X, new = np.c_[s, noise][:n], np.c_[s, noise][n:]
        cal = method(input="logits", n_scores=1).fit(X, y[:n])
        passed += cal.used_
        if cal.used_:
            alone = AutoCalibrator(input="logits").fit(s[:n], y[:n])
            ratios.append(
                log_loss(cal.transform(new), y[n:]) / log_loss(alone.transform(s[n:]), y[n:])
            )
        else:
            ratios.append(1.0)
    assert passed / DRAWS <= 0.1
    assert np.mean(ratios) <= 1.004, f"{passed} of {DRAWS} passed"
