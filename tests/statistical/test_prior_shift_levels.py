"""The tests of a prior shift on target rows that nothing else was drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from calib import PriorShiftAdapter

pytestmark = pytest.mark.slow
N_DRAWS = 200


def drawn(
    rng: np.random.Generator, n: int, n_classes: int, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-likelihoods of normal classes around the corners, and labels."""
    y = rng.choice(n_classes, n, p=prior)
    return 2.0 * (2.0 * np.eye(n_classes)[y] + rng.normal(size=(n, n_classes))), y


@pytest.mark.parametrize(
    ("n_classes", "n_source", "n_target"), [(3, 1000, 500), (10, 5000, 1000), (10, 2000, 2000)]
)
@pytest.mark.parametrize("shifted", [False, True])
def test_levels_hold_with_fresh_rows(
    n_classes: int, n_source: int, n_target: int, shifted: bool
) -> None:
    p_fit, p_shift = [], []
    flat = np.full(n_classes, 1 / n_classes)
    for seed in range(N_DRAWS):
        rng = np.random.default_rng(seed)
        X, y = drawn(rng, n_source, n_classes, flat)
        prior = rng.dirichlet(np.ones(n_classes)) if shifted else flat
        cal = PriorShiftAdapter("temperature", input="logits", fit_level=0.0).fit(X, y)
        new = cal.adapt(drawn(rng, n_target, n_classes, prior)[0])
        p_fit.append(new.fit_test_.p_value)
        p_shift.append(new.shift_test_.p_value)
    judged = [p_fit] if shifted else [p_fit, p_shift]
    for p in judged:
        assert (np.array(p) < 0.05).sum() <= binom.ppf(0.999, N_DRAWS, 0.08)
        assert (np.array(p) < 1e-4).sum() <= 1
    if shifted:
        assert np.mean(np.array(p_shift) < 0.05) > 0.95
