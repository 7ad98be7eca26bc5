"""False alarms, delays and wrong places of monitors; harm and coverage on streams."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import CalibrationMonitor, score_difference_sequence

monitoring = pytest.importorskip(
    "benchmarks.monitoring", reason="not part of the source distribution"
)

SEED = 20_261_128


def scores(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return probabilities of a usual model: log-odds with spread 2 about -0.5."""
    return monitoring.expit(2.0 * rng.normal(size=shape) - 0.5)


def test_many_streams_are_the_monitor_of_each() -> None:
    rng = np.random.default_rng(SEED)
    p = scores(rng, (4, 2350))
    y = (rng.random(p.shape) < np.where(np.arange(2350) < 1000, p, p**1.4)).astype(float)
    tolerances = (0.0, 0.02)
    chunks = [chunk for _, chunk in monitoring.paths(p, y, tolerances)]
    ends = [path[:, -1] for path in chunks[-1]]
    at = monitoring.alarms(p, y, tolerances)
    for k, tolerance in enumerate(tolerances):
        for stream in range(4):
            monitor = CalibrationMonitor(tolerance=tolerance).update(y[stream], p[stream])
            assert monitor.log_e_value_ == pytest.approx(ends[k][stream], rel=1e-10)
            assert (monitor.alarm_at_ or 0) == at[k, stream] + 1


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_false_alarms_ever(tolerance: float) -> None:
    """Two standard errors above the level in 1,000 streams, with a look at every row."""
    rng = np.random.default_rng(SEED)
    p = scores(rng, (1000, 6000))
    y = (rng.random(p.shape) < np.minimum(p + tolerance, 1.0)).astype(float)
    share = (monitoring.alarms(p, y, (tolerance,)) >= 0).mean()
    assert share <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5, (SEED, share)


@pytest.mark.slow
@pytest.mark.parametrize(("change", "most"), [("logit -.5", 520), ("slope .6", 250)])
def test_median_delay(change: str, most: int) -> None:
    rng = np.random.default_rng(SEED)
    p = scores(rng, (300, 3000))
    truth = p.copy()
    truth[:, 1000:] = monitoring.BREAKS[change](p[:, 1000:])
    y = (rng.random(p.shape) < truth).astype(float)
    at = monitoring.alarms(p, y, (0.0,))[0]
    assert ((at >= 0) & (at < 1000)).mean() < 0.05
    assert np.median(np.where(at < 0, 3000, at)[(at < 0) | (at >= 1000)]) - 1000 <= most, SEED


@pytest.mark.slow
def test_wrong_places_are_rarely_flagged() -> None:
    rng = np.random.default_rng(SEED)
    right, wrong, none = 0, 0, 0
    for _ in range(100):
        p = rng.uniform(0.02, 0.98, 6000)
        late = (np.arange(6000) >= 1000) & (p >= 0.4) & (p < 0.6)
        y = rng.random(6000) < np.where(late, p - 0.2, p)
        flags = [row.flagged for row in CalibrationMonitor(tolerance=0).update(y, p).where()]
        right += flags[4] and flags[5]
        wrong += any(flags[:4] + flags[6:])
        fine = rng.random(6000) < p
        none += any(r.flagged for r in CalibrationMonitor(tolerance=0).update(fine, p).where())
    assert right == 100, (SEED, right)
    assert wrong <= 5, (SEED, wrong)
    assert none <= 5, (SEED, none)


@pytest.mark.slow
def test_sequences_hold_the_truth_at_every_row() -> None:
    missed = 0
    for draw in range(100):
        rng = np.random.default_rng([SEED, draw])
        p = rng.random(4000)
        other = np.clip(p + rng.normal(0, 0.2, 4000), 0, 1)
        sequence = score_difference_sequence(rng.random(4000) < p, other, p)
        truth = (np.cumsum(2 * (other - p) ** 2) / np.arange(1, 4001))[sequence.rows - 1]
        missed += bool(((truth < sequence.low) | (truth > sequence.high)).any())
    assert missed <= 5, (SEED, missed)
