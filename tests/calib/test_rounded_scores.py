"""Rounding of every floating type that scores come in is tolerated, alike in all readers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import softmax

from calib import CalibrationWarning, IsotonicCalibrator, PlattCalibrator, TemperatureCalibrator
from calib.detection import Detections
from calib.evaluation import brier_decomposition, expected_calibration_error, pit_uniformity

torch = pytest.importorskip("torch")
from calib.export import to_torch  # noqa: E402

TYPES = ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]


def data(n_classes: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(n, n_classes))
    return z, (0.7 * z + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.mark.parametrize("n_classes", [2, 10, 50])
@pytest.mark.parametrize("dtype", TYPES)
def test_probabilities_of_every_floating_type(dtype: str, n_classes: int) -> None:
    z, y = data(n_classes)
    p = torch.softmax(torch.tensor(z), dim=1).to(getattr(torch, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = TemperatureCalibrator().fit(p, y)
    out = cal.transform(p)
    assert out.dtype == p.dtype
    assert torch.isfinite(out.float()).all()
    assert abs(float(out.float().sum(dim=1).mean()) - 1) < 0.05
    single = PlattCalibrator().fit(p[:, 1], (y == 1).astype(int)).transform(p[:, 1])
    assert torch.isfinite(single.float()).all()


@pytest.mark.parametrize("dtype", TYPES)
def test_logits_of_every_floating_type(dtype: str) -> None:
    z, y = data(5)
    tensor = torch.tensor(z).to(getattr(torch, dtype))
    cal = IsotonicCalibrator(input="logits").fit(tensor, y)
    reference = cal.transform(tensor.double())
    for out in (cal.transform(tensor), to_torch(cal)(tensor)):
        assert out.dtype == tensor.dtype
        assert float((out.double() - reference).abs().max()) < 0.07


def test_sums_beyond_rounding_are_still_refused() -> None:
    z, y = data(5)
    p = torch.softmax(torch.tensor(z), dim=1)
    for dtype, factor in (("bfloat16", 1.05), ("float8_e4m3fn", 1.5)):
        with pytest.raises(ValueError, match=r"sum to 1|outside \[0, 1\]"):
            TemperatureCalibrator().fit((factor * p).to(getattr(torch, dtype)), y)


@pytest.mark.parametrize("value", [1.0000001, -1e-7])
def test_rounding_beyond_the_interval_is_tolerated_by_every_reader(value: float) -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200)
    y = (rng.random(200) < p).astype(int)
    p[3] = value
    for calibrator in (TemperatureCalibrator(), PlattCalibrator(), IsotonicCalibrator()):
        out = calibrator.fit(p, y).transform(p)
        assert np.isfinite(out).all()
    assert brier_decomposition(y, p) is not None
    assert np.isfinite(expected_calibration_error(y, p))
    assert np.isfinite(pit_uniformity(p).statistic)
    boxes = np.tile([0.0, 0.0, 1.0, 1.0], (200, 1))
    found = Detections.from_arrays(boxes, p, np.zeros(200, dtype=int), np.zeros(200, dtype=int))
    assert len(found.scores) == 200
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        TemperatureCalibrator().fit(np.where(np.arange(200) == 4, 1.00001, p), y)
    two = softmax(rng.normal(size=(50, 2)), axis=1)
    two[0] = [1 - value, value]
    assert np.isfinite(TemperatureCalibrator().fit(two, np.arange(50) % 2).transform(two)).all()
