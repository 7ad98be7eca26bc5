"""Distributions of classes as labels and weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from calib.evaluation import brier_score, expand_soft_targets, log_loss


def distributions() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return softmax(2 * rng.normal(size=(50, 4)), 1), softmax(rng.normal(size=(50, 4)), 1)


def test_log_loss_is_the_cross_entropy() -> None:
    y, p = distributions()
    rows, codes, weight = expand_soft_targets(y)
    value = log_loss(codes, p[rows], sample_weight=weight)
    assert value == pytest.approx(-(y * np.log(p)).sum(axis=1).mean(), abs=1e-12)


def test_brier_score_is_the_squared_error_up_to_a_constant() -> None:
    y, p = distributions()
    rows, codes, weight = expand_soft_targets(y)
    value = brier_score(codes, p[rows], sample_weight=weight)
    squared = ((y - p) ** 2).sum(axis=1).mean()
    assert value == pytest.approx(squared + 1 - (y**2).sum(axis=1).mean(), abs=1e-12)


def test_labels_stay_labels() -> None:
    rows, codes, weight = expand_soft_targets(np.eye(3)[[2, 0, 1]])
    assert rows.tolist() == [0, 1, 2]
    assert codes.tolist() == [2, 0, 1]
    assert weight.tolist() == [1.0, 1.0, 1.0]


def test_sums_near_one_are_divided() -> None:
    y, _ = distributions()
    rows, _, weight = expand_soft_targets(y * 1.0005)
    np.testing.assert_allclose(np.bincount(rows, weight), 1.0, atol=1e-12)


@pytest.mark.parametrize("y", [[0, 1, 1], [[1.0], [1.0]], [["a", "b"]]])
def test_what_is_no_matrix_of_distributions(y: object) -> None:
    with pytest.raises(ValueError, match="matrix of numbers"):
        expand_soft_targets(y)
