"""Blocks of isotonic regression."""

from __future__ import annotations

import numpy as np

from calib._core.isotonic import pool_adjacent_violators


def test_blocks_hold_their_centres() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(800).round(3)
    y = (rng.random(800) < p**1.7).astype(float)
    weight = np.random.default_rng(0).uniform(size=800) + 0.1
    blocks = pool_adjacent_violators(p, y, weight)
    assert np.average(blocks.value) > 0
    assert (blocks.first <= blocks.centre).all()
    assert (blocks.centre <= blocks.last).all()
