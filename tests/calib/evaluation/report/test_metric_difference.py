"""Differences of metrics between two models on the same samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from calib.evaluation import (
    calibration_report,
    expected_calibration_error,
    metric_difference,
    metric_interval,
)
from tests.support.reports import two_models


@pytest.mark.parametrize("grouped", [False, True])
def test_it_is_what_the_report_says(grouped: bool) -> None:
    y, calibrated, sharp = two_models(3, 600, 3)
    groups = np.arange(600) // 3 if grouped else None
    options = {"groups": groups, "n_resamples": 100, "random_state": 5}
    found = metric_difference(expected_calibration_error, y, sharp, calibrated, **options)
    report = calibration_report(y, {"sharp": sharp, "calibrated": calibrated}, **options)
    expected = report.compare("sharp", "calibrated")["expected_calibration_error"]
    assert found.usual == pytest.approx(expected.usual, abs=1e-12)
    assert found.value == pytest.approx(expected.value, abs=0.01)
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert 0 < found.low < found.value < found.high


def test_any_metric_is_compared_on_the_same_draws() -> None:
    y, calibrated, sharp = two_models(4, 400, 2)
    noisy = np.clip(calibrated[:, 1] + np.random.default_rng(0).normal(0, 0.3, 400), 0, 1)
    found = metric_difference(
        roc_auc_score, y, calibrated[:, 1], noisy, n_resamples=200, random_state=0
    )
    alone = [
        metric_interval(roc_auc_score, y, p, n_resamples=200, random_state=0)
        for p in (calibrated[:, 1], noisy)
    ]
    expected = roc_auc_score(y, calibrated[:, 1]) - roc_auc_score(y, noisy)
    assert found.usual == pytest.approx(expected, abs=1e-12)
    assert found.high - found.low < sum(part.high - part.low for part in alone)
    same = metric_difference(roc_auc_score, y, noisy, noisy, n_resamples=50, random_state=0)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
    weight = np.random.default_rng(1).integers(0, 3, 400).astype(float)
    weighted = metric_difference(
        log_loss, y, sharp, calibrated, sample_weight=weight, n_resamples=50, random_state=0
    )
    expected = log_loss(y, sharp, sample_weight=weight) - log_loss(
        y, calibrated, sample_weight=weight
    )
    assert weighted.usual == pytest.approx(expected)


def test_bad_input_names_the_argument() -> None:
    y, calibrated, sharp = two_models(4, 40, 2)
    with pytest.raises(ValueError, match="base_prob"):
        metric_difference(log_loss, y, sharp, calibrated[:-1])
    with pytest.raises(ValueError, match="n_resamples"):
        metric_difference(log_loss, y, sharp, calibrated, n_resamples=1)
    with pytest.raises(ValueError, match="at least 2 groups"):
        metric_difference(log_loss, y, sharp, calibrated, groups=np.zeros(40))
