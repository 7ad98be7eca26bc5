"""The improvement in proper scores: pairing, groups, weights, and odd input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calib.evaluation import post_hoc_improvement


def simulated(n: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    q = rng.dirichlet(np.ones(3), n)
    y = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=2)
    p = q**2
    return y, p / p.sum(axis=1, keepdims=True), q


def test_values_are_differences_of_the_scores() -> None:
    y, p, q = simulated()
    gain = post_hoc_improvement(y, p, q, random_state=0)
    row = np.arange(500)
    for name, loss in (
        ("log_loss", lambda p: -np.log(p[row, y]).mean()),
        ("brier", lambda p: ((p - np.eye(3)[y]) ** 2).sum(axis=1).mean()),
    ):
        assert getattr(gain, f"{name}_before") == pytest.approx(loss(p))
        assert getattr(gain, f"{name}_after") == pytest.approx(loss(q))
        interval = getattr(gain, name)
        assert interval.value == pytest.approx(loss(p) - loss(q))
        assert interval.value in interval
        assert interval.low > 0
    assert (gain.n_samples, gain.n_groups) == (500, None)


def test_the_interval_is_that_of_a_mean_of_paired_differences() -> None:
    y, p, q = simulated(2000)
    gain = post_hoc_improvement(y, p, q, n_resamples=4000, confidence_level=0.9, random_state=1)
    row = np.arange(2000)
    difference = np.log(q[row, y]) - np.log(p[row, y])
    error = difference.std() / np.sqrt(2000)
    assert gain.log_loss.standard_deviation == pytest.approx(error, rel=0.05)
    assert gain.log_loss.high - gain.log_loss.low == pytest.approx(2 * 1.645 * error, rel=0.06)


def test_turned_round_the_signs_turn_and_equal_predictions_gain_nothing() -> None:
    y, p, q = simulated()
    one = post_hoc_improvement(y, p, q, random_state=0)
    two = post_hoc_improvement(y, q, p, random_state=0)
    assert two.brier.value == -one.brier.value
    assert two.log_loss.low == pytest.approx(-one.log_loss.high)
    none = post_hoc_improvement(y, p, p, random_state=0)
    assert (none.brier.value, none.brier.low, none.brier.high) == (0, 0, 0)


def test_groups_are_drawn_as_a_whole() -> None:
    y, p, q = simulated(400)
    five = np.repeat(np.arange(400), 5)
    ungrouped = post_hoc_improvement(y, p, q, n_resamples=3000, random_state=0)
    grouped = post_hoc_improvement(
        y[five], p[five], q[five], groups=[f"g{i}" for i in five], n_resamples=3000, random_state=0
    )
    assert grouped.n_groups == 400
    assert grouped.brier.value == pytest.approx(ungrouped.brier.value)
    expected = ungrouped.brier.standard_deviation
    assert grouped.brier.standard_deviation == pytest.approx(expected, rel=0.08)
    naive = post_hoc_improvement(y[five], p[five], q[five], n_resamples=3000, random_state=0)
    assert naive.brier.standard_deviation == pytest.approx(expected / np.sqrt(5), rel=0.08)
    assert "400 groups" in str(grouped)


def test_weights() -> None:
    y, p, q = simulated(300)
    w = np.arange(300) % 3
    gain = post_hoc_improvement(y, p, q, sample_weight=w, random_state=0)
    repeated = post_hoc_improvement(
        np.repeat(y, w), np.repeat(p, w, axis=0), np.repeat(q, w, axis=0), random_state=0
    )
    assert gain.log_loss.value == pytest.approx(repeated.log_loss.value)
    assert gain.brier_before == pytest.approx(repeated.brier_before)
    assert gain.n_samples == 200
    assert gain.brier.standard_deviation > repeated.brier.standard_deviation
    groups = np.arange(300) // 2
    dropped = post_hoc_improvement(y, p, q, sample_weight=w, groups=groups, random_state=0)
    assert dropped.n_groups == 150


def test_one_column_and_two_may_meet() -> None:
    y, p, q = simulated()
    y, p, q = np.minimum(y, 1), 1 - p[:, 0], 1 - q[:, 0]
    one = post_hoc_improvement(y, p, q, random_state=0)
    two = post_hoc_improvement(y, p, np.column_stack([1 - q, q]), random_state=0)
    assert one.brier == two.brier
    assert one.brier_before == pytest.approx(2 * np.mean((p - y) ** 2))


def test_impossible_labels_are_counted_and_cut() -> None:
    y, before, after = [0, 1, 1], [0.0, 0.5, 0.0], [0.1, 0.5, 0.5]
    gain = post_hoc_improvement(y, before, after, random_state=0)
    assert (gain.n_impossible_before, gain.n_impossible_after) == (1, 0)
    assert gain.log_loss_before == pytest.approx((np.log(2) + 87.3365) / 3, abs=1e-4)
    assert "1 before, 0 after" in str(gain)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 1, 0, 1], [0.5] * 4),
        ([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]),
        ([1, 1, 0, 0], [0.0, 0.0, 1.0, 1.0]),
        ([1, 1, 1, 1], [0.2, 0.2, 0.7, 0.7]),
    ],
)
def test_odd_samples(y, p) -> None:
    gain = post_hoc_improvement(y, p, [0.4, 0.4, 0.6, 0.6], random_state=0)
    for interval in (gain.log_loss, gain.brier):
        assert np.isfinite([interval.value, interval.low, interval.high]).all()


def test_forms() -> None:
    pytest.importorskip("pandas")
    y, p, q = simulated()
    gain = post_hoc_improvement(y, p, q, random_state=0)
    assert "500 samples; 95 % intervals from 1,000 paired draws" in str(gain)
    values = json.loads(json.dumps(gain.to_dict(), allow_nan=False))
    assert values["brier"]["value"] == gain.brier.value
    frame = gain.to_frame()
    assert list(frame.columns) == ["before", "after", "improvement", "low", "high"]
    assert frame.loc["brier", "improvement"] == gain.brier.value
    assert post_hoc_improvement(y, p, q, random_state=0) == gain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"n_resamples": 1}, "n_resamples must be >= 2"),
        ({"groups": [1, 1]}, "at least 2 groups"),
        ({"groups": [1, 2, 3]}, "groups has 3"),
        ({"sample_weight": [1, 0]}, "at least 2 samples"),
    ],
)
def test_bad_input_is_refused_by_name(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        post_hoc_improvement([0, 1], [0.2, 0.7], [0.1, 0.8], **options)
    with pytest.raises(ValueError, match="at least 2 samples"):
        post_hoc_improvement([1], [0.7], [0.8])
    with pytest.raises(ValueError, match="columns"):
        post_hoc_improvement([0, 1], [0.2, 0.7], [[0.1, 0.2, 0.7]] * 2)
