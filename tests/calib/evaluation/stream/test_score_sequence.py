"""Scores of two models compared at every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln

from calib.evaluation import brier_score, score_difference_sequence


def models(n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p).astype(int), 0.5 + 0.4 * (p - 0.5), p


def test_the_better_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    y, a, b = models(5000)
    sequence = score_difference_sequence(y, a, b)
    assert sequence.mean[-1] == pytest.approx(brier_score(y, a) - brier_score(y, b))
    assert sequence.rows[-1] == 5000
    assert len(sequence.rows) <= 1000
    assert (np.diff(sequence.rows) > 0).all()
    assert sequence.low[-1] > 0
    assert sequence.decided_at is not None
    assert sequence.headline.startswith("b is better: its mean Brier score is lower by")
    turned = score_difference_sequence(y, b, a)
    np.testing.assert_allclose(turned.low, -sequence.high)
    assert turned.headline.startswith("a is better")
    sequence.to_html(tmp_path / "sequence.html")
    assert sequence.to_frame().columns.tolist() == ["rows", "mean", "low", "high"]


def test_equal_models_are_undecided() -> None:
    y, a, _ = models(300)
    sequence = score_difference_sequence(y, a, a)
    assert (sequence.mean == 0).all()
    assert sequence.decided_at is None
    assert "Undecided after 300 rows" in str(sequence)
    assert len(score_difference_sequence(y[:1], a[:1], a[:1], labels=[0, 1]).rows) == 1


def test_log_loss_and_many_classes() -> None:
    y, a, b = models(2000)
    sequence = score_difference_sequence(y, a, b, score="log_loss")
    assert sequence.bound == pytest.approx(np.log(99))
    cut = np.clip(b, 0.01, 0.99)
    mean = np.mean(np.log(np.where(y, cut / a, (1 - cut) / (1 - a))))
    assert sequence.mean[-1] == pytest.approx(mean)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 400)
    labels = np.array([rng.choice(3, p=row) for row in p])
    flat = np.full((400, 3), 1 / 3)
    three = score_difference_sequence(labels, flat, p)
    assert three.mean[-1] == pytest.approx(brier_score(labels, flat) - brier_score(labels, p))


def test_the_boundary_is_that_of_the_mixture() -> None:
    """The mixture over rates with a gamma law, integrated, is 2 / alpha on the boundary."""
    y, a, b = models(400)
    sequence = score_difference_sequence(y, a, b)
    t, scale = 400, 4.0
    loss = [2 * (p - y) ** 2 for p in (a, b)]
    d = loss[0] - loss[1]
    before = np.append(0.0, np.cumsum(d)[:-1] / np.arange(1, t))
    v = ((d - before) ** 2).sum()
    s = t * (sequence.high[-1] - sequence.mean[-1])
    level = 0.025
    spread = -2 * np.log(level)
    rho = 50.0 / (spread + np.log1p(spread))
    k = rho / scale**2

    def weight(rate: float) -> float:  # truncated gamma law of 1 - scale * rate
        u = 1 - scale * rate
        return float(np.exp(k * np.log(k) - gammaln(k) + (k - 1) * np.log(u) - k * u))

    def wealth(rate: float) -> float:
        psi = (-np.log1p(-scale * rate) - scale * rate) / scale**2
        return float(np.exp(rate * s - psi * v))

    mass = quad(weight, 0, 1 / scale, epsabs=0)[0]
    value = quad(lambda rate: weight(rate) * wealth(rate), 0, 1 / scale, epsabs=0)[0] / mass
    assert value == pytest.approx(1 / level, rel=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"score": "accuracy"}, "score must be one of"),
        ({"confidence_level": 95}, "divide by 100"),
        ({"y_prob_a": [0.2, 1.5]}, "y_prob_a"),
        ({"y_prob_b": [0.2]}, "y_prob_b"),
        ({"y_true": [0, np.nan]}, "y_true"),
    ],
)
def test_refused(kwargs: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"y_true": [0, 1], "y_prob_a": [0.2, 0.5], "y_prob_b": [0.3, 0.6]}
    with pytest.raises(ValueError, match=message):
        score_difference_sequence(**{**good, **kwargs})
