"""Blocks of isotonic regression."""

from __future__ import annotations

import numpy as np

from calib._core.isotonic import ascending, pool_adjacent_violators


def test_blocks_are_runs_of_the_sorted_rows() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(800).round(3)
    y = (rng.random(800) < p**1.7).astype(float)
    weight = np.random.default_rng(0).uniform(size=800) + 0.1
    blocks = pool_adjacent_violators(ascending(p), y, weight)
    first, last = p[blocks.first], p[blocks.last]
    np.testing.assert_array_equal(blocks.wide, first < last)
    assert (last[:-1] < first[1:]).all()
    assert (np.diff(blocks.value) > 0).all()
    member = np.searchsorted(first, p, side="right") - 1
    mean = np.bincount(member, weight * y) / np.bincount(member, weight)
    np.testing.assert_allclose(blocks.value, mean, rtol=1e-12)
