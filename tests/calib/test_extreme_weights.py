"""Weights of any size give numbers or a clear refusal."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from calib import CALIBRATORS, CalibrationWarning, TemperatureCalibrator, make_calibrator


def data(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(120, n_classes))
    return z, (0.7 * z + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weights", [(1.0, 1e-100), (1.0, 1e-20), (1e50, 1.0), (1e-50, 1e-60)])
@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_probabilities_or_a_refusal(
    method: str, weights: tuple[float, float], n_classes: int
) -> None:
    z, y = data(n_classes)
    w = np.where(np.arange(120) % 3 == 0, weights[1], weights[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        p = make_calibrator(method, input="logits").fit(z, y, sample_weight=w).transform(z)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.parametrize("weight", [1e300, 5e-324, 1e-200])
def test_weights_beyond_the_limit_are_refused(weight: float) -> None:
    z, y = data(3)
    with pytest.raises(ValueError, match=r"sample_weight must be 0 or lie in"):
        TemperatureCalibrator(input="logits").fit(z, y, sample_weight=np.full(120, weight))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CalibrationWarning)
        TemperatureCalibrator(input="logits").fit(z, y, sample_weight=np.full(120, 1e20))
