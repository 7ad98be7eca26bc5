"""Scores and errors of predicted distributions against scoringrules and netcal.

* netcal bins the standard deviation (ENCE) and the variance (UCE) in bins of equal width from the
  least to the largest value; its quantile calibration error is that of central intervals.
* scoringrules has ``"nrg"`` for the points themselves and ``"fair"`` for draws.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from calib.evaluation import (
    crps,
    expected_normalized_calibration_error,
    normal_crps,
    pinball_loss,
    predictive_distribution,
    quantile_calibration_error,
    quantile_crps,
    sample_crps,
    uncertainty_calibration_error,
)
from tests.support.golden import golden

pytestmark = pytest.mark.oracle
RELATIVE = 1e-9


@pytest.fixture(scope="module")
def predicted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, means and standard deviations that are neither all too small nor all too large."""
    rng = np.random.default_rng(3)
    mean, std = rng.normal(size=800), np.exp(0.7 * rng.normal(size=800))
    return mean + std ** rng.uniform(0.5, 1.5, 800) * rng.normal(size=800), mean, std


def test_scores_equal_scoringrules(predicted) -> None:
    sr = pytest.importorskip("scoringrules", reason="the oracle of scores of distributions")
    y, mean, std = predicted
    expected = sr.crps_normal(y, mean, std)
    given = predictive_distribution(mean=mean, std=std)
    assert given.crps(y) == pytest.approx(expected, rel=RELATIVE)
    assert normal_crps(y, mean, std) == pytest.approx(expected.mean(), rel=RELATIVE)
    assert crps(y, given) == pytest.approx(expected.mean(), rel=RELATIVE)
    assert given.log_score(y) == pytest.approx(sr.logs_normal(y, mean, std), rel=RELATIVE)
    draws = mean[:, None] + std[:, None] * np.random.default_rng(0).normal(size=(800, 25))
    for estimator, theirs in (("empirical", "nrg"), ("fair", "fair")):
        expected = sr.crps_ensemble(y, draws, estimator=theirs).mean()
        value = sample_crps(y, draws, estimator=estimator)
        assert value == pytest.approx(expected, rel=RELATIVE)
    levels = np.array([0.05, 0.2, 0.5, 0.9])
    quantiles = given.quantile(levels)
    pairs = zip(quantiles.T, levels, strict=True)
    theirs = np.mean([sr.quantile_score(y, q, level).mean() for q, level in pairs])
    assert pinball_loss(y, quantiles, levels=levels) == pytest.approx(theirs, rel=RELATIVE)
    theirs = sr.crps_quantile(y, quantiles, levels).mean()
    ours = quantile_crps(y, quantiles, levels=levels, level_weights="equal")
    assert ours == pytest.approx(theirs, rel=RELATIVE)


@pytest.mark.parametrize("n_bins", [5, 10, 20])
def test_errors_equal_netcal(predicted, n_bins: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peers = pytest.importorskip(
            "netcal.metrics.regression", reason="the oracle of errors of distributions"
        )
    for y, mean, std in (predicted, golden()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ence = float(peers.ENCE(n_bins).measure((mean, std), y))
            uce = float(peers.UCE(n_bins).measure((mean, std), y))
            levels = np.arange(1, 20) / 20
            qce = np.mean(peers.QCE(n_bins).measure((mean, std), y, levels))
        options = {"n_bins": n_bins, "strategy": "uniform"}
        ours = expected_normalized_calibration_error(y, mean, std, **options)
        assert ours == pytest.approx(ence, rel=RELATIVE)
        ours = uncertainty_calibration_error(y, mean, std, **options)
        assert ours == pytest.approx(uce, rel=RELATIVE)
        given = predictive_distribution(mean=mean, std=std)
        assert quantile_calibration_error(y, given, kind="central") == pytest.approx(
            qce, rel=RELATIVE
        )


def test_netcal_on_the_golden_set_is_pinned() -> None:
    y, mean, std = golden()
    ence = expected_normalized_calibration_error(y, mean, std, strategy="uniform")
    assert ence == pytest.approx(0.4845222099, abs=1e-9)
