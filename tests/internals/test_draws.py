"""Draws of labels from probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation.sampling.draws import draw_labels


def test_drawn_labels_follow_the_probabilities(rng: np.random.Generator) -> None:
    p = np.array([[0.0, 0.2, 0.0, 0.5, 0.3], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    draws = draw_labels(p, rng.random((20_000, 3)))
    for row in range(3):
        share = np.bincount(draws[:, row], minlength=5) / 20_000
        np.testing.assert_allclose(share, p[row], atol=0.012)
        assert (share[p[row] == 0] == 0).all()
    for two in (np.array([[0.75, 0.25]]), np.array([[0.25]])):
        assert draw_labels(two, rng.random((20_000, 1))).mean() == pytest.approx(0.25, abs=0.012)
