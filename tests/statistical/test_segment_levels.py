"""Segments: false alarms, simultaneous coverage, power, clusters and weights, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from calib.evaluation import segment_report

SEED = 20_261_127
DRAWS = 200

pytestmark = pytest.mark.slow


def table(rng: np.random.Generator, n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return columns of several kinds and probabilities that depend on them."""
    columns = {
        "age": rng.integers(18, 90, n),
        "site": rng.integers(0, 8, n),
        "income": rng.lognormal(size=n),
        "sex": rng.integers(0, 2, n),
    }
    score = 0.03 * (columns["age"] - 50) + 0.2 * columns["site"] - 1 + rng.standard_normal(n)
    return columns, expit(1.3 * score)


def drawn(rng: np.random.Generator, p: np.ndarray) -> np.ndarray:
    return (rng.random(len(p)) < p).astype(int)


def limit(nominal: float) -> float:
    """Return the nominal rate and two standard errors."""
    return nominal + 2 * np.sqrt(nominal * (1 - nominal) / DRAWS)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("n", [500, 3000])
def test_calibrated_tables_raise_an_alarm_in_five_percent_at_most(n: int, pairs: bool) -> None:
    rng = np.random.default_rng(SEED)
    alarms = 0
    for _ in range(DRAWS):
        columns, p = table(rng, n)
        alarms += segment_report(drawn(rng, p), p, columns, pairs=pairs).n_off > 0
    assert alarms / DRAWS <= limit(0.05), f"seed {SEED}, n {n}: {alarms} of {DRAWS}"


@pytest.mark.parametrize("n", [1000, 4000])
def test_all_intervals_hold_the_true_gaps_together(n: int) -> None:
    rng = np.random.default_rng(SEED)
    held = 0
    for _ in range(DRAWS):
        columns, p = table(rng, n)
        truth = expit(0.7 * np.log(p / (1 - p)) + 0.5 * columns["sex"])
        by = {name: columns[name] for name in ("site", "sex")}
        report = segment_report(drawn(rng, truth), p, by)
        gaps = {
            f"{name} = {level}": (truth - p)[values == level].mean()
            for name, values in by.items()
            for level in np.unique(values)
        }
        held += all(
            r.low <= gaps[r.segment] <= r.high for r in report.rows if r.state != "not judged"
        )
    assert held / DRAWS >= 0.94 - 0.02, f"seed {SEED}, n {n}: {held} of {DRAWS}"


def test_a_large_segment_that_is_ten_points_off_is_found() -> None:
    rng = np.random.default_rng(SEED)
    found = 0
    for _ in range(50):
        columns, p = table(rng, 10_000)
        planted = np.arange(10_000) < 1000
        truth = np.clip(p + 0.1 * planted, 0, 1)
        report = segment_report(drawn(rng, truth), p, {**columns, "planted": planted})
        states = {r.segment: r.state for r in report.rows}
        found += states["planted = True"] == "off"
    assert found >= 47, f"seed {SEED}: {found} of 50"


def test_clusters_of_five_rows_raise_an_alarm_in_seven_percent_at_most() -> None:
    rng = np.random.default_rng(SEED)
    alarms = 0
    for _ in range(DRAWS):
        columns, p = table(rng, 600)
        y, p = np.repeat(drawn(rng, p), 5), np.repeat(p, 5)
        by = {name: np.repeat(values, 5) for name, values in columns.items()}
        alarms += segment_report(y, p, by, groups=np.repeat(np.arange(600), 5)).n_off > 0
    assert alarms / DRAWS <= 0.07, f"seed {SEED}: {alarms} of {DRAWS}"


def test_fractional_weights_raise_an_alarm_in_five_percent_at_most() -> None:
    rng = np.random.default_rng(SEED)
    alarms = 0
    for _ in range(DRAWS):
        columns, p = table(rng, 2000)
        weight = rng.exponential(size=2000)
        alarms += segment_report(drawn(rng, p), p, columns, sample_weight=weight).n_off > 0
    assert alarms / DRAWS <= limit(0.05), f"seed {SEED}: {alarms} of {DRAWS}"
