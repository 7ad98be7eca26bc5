"""The Brownian laws, the level of the test, signed parts and special cases."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import (
    cumulative_calibration_error,
    cumulative_calibration_test,
    ks_calibration_error,
    signed_cumulative_error,
)


def direct_walk(y: np.ndarray, p: np.ndarray, w: np.ndarray | None = None) -> np.ndarray:
    """Cumulative sums by a loop over the distinct scores."""
    w = np.ones(len(y)) if w is None else w
    steps = [np.sum((w * (y - p))[p == value]) for value in np.unique(p)]
    return np.concatenate([[0.0], np.cumsum(steps)]) / w.sum()


@pytest.mark.parametrize("levels", [3, 20, None])
def test_against_a_loop(levels: int | None, rng: np.random.Generator) -> None:
    for weighted in (False, True):
        p = rng.random(300) if levels is None else rng.integers(0, levels + 1, 300) / levels
        y = (rng.random(300) < p**1.5).astype(int)
        w = rng.random(300) if weighted else None
        walk = direct_walk(y, p, w)
        options = {"average": "binary", "sample_weight": w}
        assert ks_calibration_error(y, p, **options) == pytest.approx(np.abs(walk).max())
        span = cumulative_calibration_error(y, p, kind="range", **options)
        assert span == pytest.approx(np.ptp(walk))
        pairs = [(walk[j], walk[k]) for j in range(len(walk)) for k in range(j, len(walk))]
        signed = signed_cumulative_error(y, p, **options)
        assert signed.overconfidence == pytest.approx(max(a - b for a, b in pairs))
        assert signed.underconfidence == pytest.approx(max(b - a for a, b in pairs))
        assert max(signed) == pytest.approx(span)


@pytest.mark.parametrize("kind", ["mad", "range"])
def test_level_under_calibration(kind: str) -> None:
    """2,000 calibrated samples of 1,500, seed 5: rejections at 5 % and 20 %, at most 3 sigma up."""
    rng = np.random.default_rng(5)
    p = rng.beta(0.6, 0.8, (2000, 1500))
    y = rng.random(p.shape) < p
    p_values = np.array(
        [
            cumulative_calibration_test(a, b, kind=kind, average="binary").p_value
            for a, b in zip(y, p, strict=True)
        ]
    )
    for level in (0.05, 0.2):
        sigma = np.sqrt(level * (1 - level) / 2000)
        assert level * 0.75 - 3 * sigma < (p_values < level).mean() < level + 3 * sigma


def test_each_signed_part_has_the_law_of_the_excursion() -> None:
    """1,500 calibrated samples of 2,000, seed 6: mean drawdown in units of sigma."""
    rng = np.random.default_rng(6)
    p = rng.random((1500, 2000))
    y = rng.random(p.shape) < p
    parts = np.array(
        [signed_cumulative_error(a, b, average="binary") for a, b in zip(y, p, strict=True)]
    )
    parts /= np.sqrt((p * (1 - p)).sum(axis=1))[:, None] / 2000
    # a path of 2,000 steps misses about 0.58 / sqrt(2,000) at either end
    np.testing.assert_allclose(parts.mean(axis=0) + 2 * 0.5826 / np.sqrt(2000), 1.2533, atol=0.05)


def test_power_and_certain_predictions() -> None:
    p = np.linspace(0.001, 0.999, 2000)
    y = (np.arange(2000) * 0.6180339887 % 1 < p**2).astype(int)
    assert cumulative_calibration_test(y, p, average="binary").p_value < 1e-20
    right = cumulative_calibration_test([0, 1], [0.0, 1.0], average="binary")
    assert right == (0.0, 1.0, 0.0, 0.0)
    wrong = cumulative_calibration_test([1, 1], [0.0, 1.0], average="binary")
    assert wrong == (0.5, 0.0, 0.0, np.inf)


def test_weights_of_the_test_are_not_repetitions() -> None:
    p = np.linspace(0.01, 0.99, 300)
    y = (np.arange(300) * 0.6180339887 % 1 < p**1.2).astype(int)
    plain = cumulative_calibration_test(y, p, average="binary")
    double = cumulative_calibration_test(y, p, average="binary", sample_weight=np.full(300, 2))
    assert double == pytest.approx(plain)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        cumulative_calibration_error([0, 1], [0.2, 0.7], kind="kuiper")
    for function in (cumulative_calibration_test, signed_cumulative_error):
        with pytest.raises(ValueError, match="average must be one of"):
            function([0, 1], [0.2, 0.7], average="classwise")
