"""Validity: the multiprobability of the true label is calibrated in finite samples."""

from __future__ import annotations

import numpy as np
import pytest

from calib.calibrators.venn_abers.bridge import group_ties, venn_abers_tables


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 25])
def test_the_true_labels_probability_is_calibrated(n: int) -> None:
    seed, n_draws = 20_260_101, 40_000
    rng = np.random.default_rng(seed)
    hits: dict[float, list[int]] = {}
    for _ in range(n_draws):
        s = rng.random(n + 1).round(1)  # with ties
        y = (rng.random(n + 1) < s).astype(float)
        points, mass, total = group_ties(s[:-1], y[:-1], None)
        lower, upper = venn_abers_tables(mass, total)
        p = upper[(points < s[-1]).sum()] if y[-1] == 1 else lower[(points <= s[-1]).sum()]
        hits.setdefault(float(p), []).append(int(y[-1]))
    assert not any(hits.get(0.0, [0]))
    assert all(hits.get(1.0, [1]))
    squared = []
    for p, labels in hits.items():
        if 0 < p < 1 and len(labels) * min(p, 1 - p) > 30:
            z = (np.mean(labels) - p) / np.sqrt(p * (1 - p) / len(labels))
            squared.append(z**2)
            assert abs(z) < 4.5, f"p={p:.4f}, z={z:.2f}, n={n}, draws={n_draws}, seed={seed}"
    mean = np.mean(squared)
    tolerance = 4 * np.sqrt(2 / len(squared))
    assert abs(mean - 1) < tolerance, f"mean z^2={mean:.2f} over {len(squared)} values, seed={seed}"
