"""Draws of labels from probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation.sampling import draws


def test_drawn_labels_follow_the_probabilities(rng: np.random.Generator) -> None:
    p = np.array([[0.0, 0.2, 0.0, 0.5, 0.3], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    drawn = draws.draw_labels(p, rng.random((20_000, 3)))
    for row in range(3):
        share = np.bincount(drawn[:, row], minlength=5) / 20_000
        np.testing.assert_allclose(share, p[row], atol=0.012)
        assert (share[p[row] == 0] == 0).all()
    for two in (np.array([[0.75, 0.25]]), np.array([[0.25]])):
        assert draws.draw_labels(two, rng.random((20_000, 1))).mean() == pytest.approx(
            0.25, abs=0.012
        )


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (40, 4096), (300, 7)])
@pytest.mark.parametrize("n_columns", [1, 3, 32, 33, 300])
def test_columns_are_compared_or_searched_for_alike(
    rng: np.random.Generator, shape: tuple[int, int], n_columns: int, monkeypatch
) -> None:
    cumulative = np.cumsum(rng.integers(0, 4, (shape[1], n_columns)), axis=1)
    cumulative = np.minimum(cumulative, 64) / 64  # ties with the numbers, and columns alike
    number = rng.integers(0, 64, shape) / 64
    expected = (number[:, :, None] >= cumulative[:, :-1]).sum(axis=2)
    np.testing.assert_array_equal(draws.columns_passed(cumulative, number), expected)
    monkeypatch.setattr(draws, "MOST_COMPARED", 0)
    reached = cumulative.copy()
    reached[:, -1] = 1.0
    np.testing.assert_array_equal(draws.columns_passed(reached, number), expected)
