"""Too few labels for a map are said at the fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import expit

from calib import (
    CalibrationWarning,
    EnsembleTemperatureCalibrator,
    ScarceLabelsWarning,
    TemperatureCalibrator,
    VennAbersCalibrator,
    make_calibrator,
)


def rare(n: int = 200_000, positives: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a model that was trained on balanced classes, labels of a rare one."""
    rng = np.random.default_rng(0)
    s = 1.5 * rng.normal(size=n)
    y = np.zeros(n, dtype=int)
    y[np.argsort(s)[-positives * 50 :: 50]] = 1
    return s, y


@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("method", ["ensemble_temperature", "venn_abers"])
def test_a_class_too_rare_to_follow_is_said(method: str, source: str) -> None:
    s, y = rare()
    x = s if source == "logits" else expit(s)
    with pytest.warns(ScarceLabelsWarning, match=r"class 1 .* times its share of y \(2 of 200,000"):
        cal = make_calibrator(method, input=source).fit(x, y)
    assert cal.transform(x)[:, 1].mean() > 4e-5


@pytest.mark.parametrize("method", ["platt", "beta", "auto"])
def test_maps_with_a_shift_follow_it(method: str) -> None:
    s, y = rare(40_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal = make_calibrator(method, input="logits").fit(s, y)
    if method != "auto":
        assert cal.transform(s)[:, 1].mean() == pytest.approx(2 / 40_000, rel=1.0)


def test_weights_and_soft_targets_count() -> None:
    s, y = rare(20_000)
    w = np.where(y == 1, 0.5, 1.0)
    with pytest.warns(ScarceLabelsWarning, match=r"\(1 of 19,999\)"):
        EnsembleTemperatureCalibrator(input="logits").fit(s, y, sample_weight=w)
    soft = np.where(y == 1, 0.9, 0.0)
    soft[0] = 0.5
    with pytest.warns(ScarceLabelsWarning, match=r"class 1"):
        EnsembleTemperatureCalibrator(input="logits").fit(s, soft)


def test_common_classes_are_not_spoken_of() -> None:
    rng = np.random.default_rng(0)
    s = 2.0 * rng.normal(size=2000)
    y = (rng.random(2000) < expit(s)).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cal in (VennAbersCalibrator, EnsembleTemperatureCalibrator):
            cal(input="logits").fit(s, y)


@pytest.mark.parametrize(("n_classes", "each"), [(1000, 2), (100, 5), (12, 2)])
@pytest.mark.parametrize("method", ["isotonic", "histogram"])
def test_few_labels_a_class(method: str, n_classes: int, each: int) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(n_classes), each)
    z = rng.normal(size=(len(y), n_classes))
    z[np.arange(len(y)), y] += 2
    with pytest.warns(ScarceLabelsWarning, match=f"each of {n_classes} classes .* a class"):
        make_calibrator(method, input="logits").fit(z, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CalibrationWarning)
        TemperatureCalibrator(input="logits").fit(z, y)


@pytest.mark.parametrize("method", ["platt", "beta", "quadratic", "spline", "venn_abers"])
def test_other_maps_class_by_class(method: str) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(15), 3)
    z = rng.normal(size=(45, 15))
    with pytest.warns(ScarceLabelsWarning, match="each of 15 classes to 45 labels"):
        make_calibrator(method, input="logits").fit(z, y)
