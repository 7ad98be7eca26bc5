"""Thresholds of labels without labels: the optimum, costs, groups, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from uq import label_thresholds


def expected_f1(q: Any, t: float) -> float:
    chosen = q >= t
    return float(2 * q[chosen].sum() / (chosen.sum() + q.sum()))


def test_no_other_threshold_has_a_larger_expected_f1() -> None:
    q = np.random.default_rng(0).beta(0.5, 4, (500, 3))
    for column, best in zip(q.T, label_thresholds(q), strict=True):
        grid = np.concatenate([np.linspace(0, 1, 2000), column])
        assert expected_f1(column, best) >= max(expected_f1(column, t) for t in grid) - 1e-12
        assert best == pytest.approx(expected_f1(column, best) / 2)


def test_costs_need_no_data() -> None:
    np.testing.assert_allclose(label_thresholds([[0.1, 0.9]], objective="cost", cost_ratio=3), 0.75)


def test_labels_of_a_group_share_a_threshold() -> None:
    q = np.random.default_rng(0).beta(0.5, 4, (50, 3))
    t = label_thresholds(q, groups=["a", "b", "a"])
    assert t[0] == t[2] == label_thresholds(q[:, [0, 2]].reshape(-1, 1))[0]
    assert t[1] == label_thresholds(q)[1]


def test_a_label_that_cannot_be_is_never_said() -> None:
    assert label_thresholds([[0.0, 0.5], [0.0, 0.1]])[0] == 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"objective": "f2"}, "objective"),
        ({"cost_ratio": 2.0}, "cost_ratio is for objective='cost'"),
        ({"objective": "cost", "cost_ratio": 0}, "cost_ratio must be"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        label_thresholds([[0.5]], **options)


def test_scores_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y_prob must lie in \[0, 1\]"):
        label_thresholds([[2.0]])
