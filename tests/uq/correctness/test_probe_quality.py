"""How good the probe is: on a network of digits, on noise, far more dimensions than rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from calib.evaluation import expected_calibration_error
from tests.support.hidden_states import digits_network, layered_states
from uq import HiddenStateProbe


def calibration_error_and_floor(
    correct: np.ndarray, right: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """The calibration error, and the largest of 99 of labels that are drawn from `right`."""
    rng = np.random.default_rng(seed)
    drawn = [
        expected_calibration_error((rng.random(len(right)) < right).astype(int), right)
        for _ in range(99)
    ]
    return expected_calibration_error(correct, right), max(drawn)


def test_states_of_a_network_of_digits() -> None:
    """A network on the states ranks answers as the maximum probability does, or better."""
    H, correct, largest = digits_network(seed=0)
    fit, new = slice(0, 800), slice(800, None)
    probe = HiddenStateProbe(hidden=(32,), C=1.0, cv=3, random_state=0).fit(H[fit], correct[fit])
    right = probe.predict_proba(H[new])[:, 1]
    probe_area, base = (roc_auc_score(correct[new], s) for s in (right, largest[new]))
    noise = 2 * np.sqrt(0.25 / min(correct[new].sum(), (1 - correct[new]).sum()) / 3)
    assert probe_area > base - noise
    error, _ = calibration_error_and_floor(correct[new], right)
    assert error < 0.08 < expected_calibration_error(correct[new], largest[new])


def test_a_linear_probe_of_the_same_network_is_calibrated() -> None:
    H, correct, _ = digits_network(seed=1)
    probe = HiddenStateProbe().fit(H[:800], correct[:800])
    right = probe.predict_proba(H[800:])[:, 1]
    area = roc_auc_score(correct[800:], right)
    assert area > 0.65
    assert abs(area - probe.auroc_) < 3 * 0.03  # its standard error, on 120 wrong answers
    error, floor = calibration_error_and_floor(correct[800:], right)
    assert error <= floor


@pytest.mark.filterwarnings("ignore::calib.warnings.DegenerateScoresWarning")
@pytest.mark.filterwarnings("ignore::calib.warnings.ScarceLabelsWarning")
def test_permuted_answers_leave_nothing() -> None:
    """The largest of 24 layers is optimistic; what is reported and predicted is not."""
    n, areas, largest, spread = 200, [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        H = rng.normal(size=(n + 500, 24, 30))
        correct = rng.permutation(np.arange(n) < 120)
        probe = HiddenStateProbe().fit(H[:n], correct)
        areas.append(probe.auroc_)
        largest.append(probe.layer_scores_.max())
        spread.append(probe.predict_proba(H[n:])[:, 1])
    assert (np.abs(np.array(areas) - 0.5) < 3 * 0.6 / np.sqrt(n)).all()
    assert abs(np.mean(areas) - 0.5) < 2 / np.sqrt(n * 10)
    assert np.mean(largest) > 0.58
    assert np.mean([p.std() for p in spread]) < 0.06
    assert abs(np.mean(spread) - 0.6) < 0.02


def test_many_more_dimensions_than_rows() -> None:
    """Probabilities of 200 rows of 3,000 dimensions are calibrated on new rows."""
    H, correct = layered_states(1200, 3000, 1, informative=0, gain=6.0)
    probe = HiddenStateProbe(standardize=False).fit(H[:200], correct[:200])
    right = probe.predict_proba(H[200:])[:, 1]
    assert roc_auc_score(correct[200:], right) > 0.6
    error, floor = calibration_error_and_floor(correct[200:], right)
    assert error < floor + 0.05


@pytest.mark.slow
def test_the_gate_keeps_its_risk() -> None:
    """Of 200 gates at 90 %, no more than chance allows let too many wrong answers through."""
    H, correct = layered_states(60_000, 8, 1, informative=0, gain=1.2)
    states = H[:, 0]
    probe = HiddenStateProbe().fit(states[:500], correct[:500])
    future, truth = probe.predict_proba(states[40_500:])[:, 1], correct[40_500:]
    failures = 0
    for start in range(500, 40_500, 200):
        rows = slice(start, start + 200)
        gate = probe.threshold_for(states[rows], correct[rows], risk=0.2)
        passed = future >= gate.threshold
        failures += passed.any() and 1 - truth[passed].mean() > 0.2
    assert failures <= 20 + 2.33 * np.sqrt(200 * 0.1 * 0.9)
