"""The sweep against a loop over tables, and its speed where rates are almost in order."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import (
    binned_calibration_table,
    expected_calibration_error,
    sweep_bin_count,
    sweep_calibration_error,
)


def loop(y: np.ndarray, p: np.ndarray, w: np.ndarray | None = None) -> int:
    """Tabulate with 1, 2, ... bins until the rates of the non-empty ones are out of order."""
    whole = w is None or np.array_equal(w, np.rint(w))
    most = len(y) if w is None or not whole else int(w.sum())
    for n_bins in range(2, most + 1):
        table = binned_calibration_table(
            y, p, n_bins=n_bins, strategy="quantile", average="binary", sample_weight=w
        )
        rate = table.observed_rate[table.weight > 0]
        if (np.diff(rate) < -1e-12).any():
            return n_bins - 1
    return most


def monotone_data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Events almost in the order of the scores; some ties; how many varies with the seed."""
    rng = np.random.default_rng(seed)
    p = rng.random(60)
    if seed % 2:
        p = np.round(p * (5 + seed)) / (5 + seed)
    y = (p > 0.5).astype(int)
    if seed % 3 == 0:
        y = (rng.random(60) < p**4 / (p**4 + (1 - p) ** 4)).astype(int)
    elif seed % 3 == 1:
        flipped = np.argsort(p, kind="stable")[rng.integers(20, 40, 2)]
        y[flipped] = 1 - y[flipped]
    return y, p


@pytest.mark.parametrize("seed", range(60))
def test_against_a_loop_over_tables(seed: int) -> None:
    y, p = monotone_data(seed)
    n_bins = loop(y, p)
    assert sweep_bin_count(y, p, average="binary") == n_bins
    for norm in (1, 2, "max"):
        expected = expected_calibration_error(
            y, p, n_bins=n_bins, strategy="quantile", norm=norm, average="binary"
        )
        value = sweep_calibration_error(y, p, norm=norm, average="binary")
        assert value == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("whole", [True, False])
def test_weights_against_a_loop(seed: int, whole: bool) -> None:
    y, p = monotone_data(seed)
    rng = np.random.default_rng(100 + seed)
    w = rng.integers(1, 4, 60).astype(float) if whole else rng.random(60) + 0.1
    n_bins = loop(y, p, w)
    options = {"average": "binary", "sample_weight": w}
    assert sweep_bin_count(y, p, **options) == n_bins
    expected = expected_calibration_error(y, p, n_bins=n_bins, strategy="quantile", **options)
    assert sweep_calibration_error(y, p, **options) == pytest.approx(expected, abs=1e-13)


def test_a_separable_sample_gets_a_bin_per_row() -> None:
    p = (np.arange(200_000) + 0.5) / 200_000
    y = p > 0.4
    assert sweep_bin_count(y, p, average="binary") == 200_000
    value = sweep_calibration_error(y, p, average="binary")
    assert value == pytest.approx(np.abs(y - p).mean(), abs=1e-12)
    y = y.copy()
    y[[79_990, 80_010]] = [True, False]  # two rows out of order
    assert 1000 < sweep_bin_count(y, p, average="binary") < 200_000


def test_falling_rates_get_one_bin() -> None:
    p = np.linspace(0.1, 0.9, 100)
    y = p < 0.5
    assert sweep_bin_count(y, p, average="binary") == 1
    assert sweep_calibration_error(y, p, average="binary") == pytest.approx(0, abs=1e-12)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="norm must be one of"):
        sweep_calibration_error([0, 1], [0.2, 0.7], norm=3)
    with pytest.raises(ValueError, match="average must be one of"):
        sweep_bin_count([0, 1], [0.2, 0.7], average="classwise")
