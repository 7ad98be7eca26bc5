"""Decomposition by isotonic recalibration: golden numbers, identities, odd input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.isotonic import IsotonicRegression

from calib.evaluation import score_decomposition


def toy_a() -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    return ((((i + 1) * (np.sqrt(5) - 1) / 2) % 1) < p**1.5).astype(int), p


def toy_b() -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1000)
    p = 0.02 + 0.96 * ((i + 0.5) / 1000) ** 2
    q = 1 / (1 + np.exp(-(0.5 * np.log(p / (1 - p)) + 0.3)))
    return (((i + 1) * np.sqrt(2)) % 1 < q).astype(int), p


@pytest.mark.parametrize(
    ("toy", "score", "expected"),
    [
        (toy_a, "brier", (0.16131125, 0.01361054, 0.09189529, 0.23959600)),
        (toy_b, "brier", (0.23258674, 0.02427402, 0.03966229, 0.24797500)),
        (toy_a, "log_loss", (0.48751025, 0.04095684, 0.22563899, 0.67219240)),
        (toy_b, "log_loss", (0.70493476, 0.10141974, 0.08557667, 0.68909170)),
    ],
)
def test_golden_numbers(toy, score: str, expected) -> None:
    parts = score_decomposition(*toy(), score=score, average="binary")
    assert tuple(parts) == pytest.approx(expected, abs=1e-8)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 3)), min_size=1),
    st.sampled_from(["brier", "log_loss"]),
)
def test_identities(rows, score: str) -> None:
    p = np.array([row[0] / 10 for row in rows])
    y = np.array([row[1] for row in rows])
    w = np.array([row[2] for row in rows])
    parts = score_decomposition(y, p, score=score, average="binary")
    total = parts.miscalibration - parts.discrimination + parts.uncertainty
    assert total == pytest.approx(parts.score, abs=1e-12)
    assert min(parts) >= 0
    fit = IsotonicRegression(y_min=0, y_max=1).fit(p, y)
    again = score_decomposition(y, fit.predict(p), score=score, average="binary")
    assert again.miscalibration == pytest.approx(0, abs=1e-12)
    assert again.discrimination == pytest.approx(parts.discrimination, abs=1e-12)
    if w.any():
        weighted = score_decomposition(y, p, score=score, average="binary", sample_weight=w)
        y, p = np.repeat(y, w), np.repeat(p, w)
        repeated = score_decomposition(y, p, score=score, average="binary")
        assert tuple(weighted) == pytest.approx(tuple(repeated), abs=1e-12)


def test_views(rng) -> None:
    p = rng.dirichlet(np.ones(4), 400)
    y = rng.integers(0, 4, 400)
    classwise = score_decomposition(y, p, average="classwise")
    assert classwise.score == pytest.approx(((p - np.eye(4)[y]) ** 2).sum(axis=1).mean())
    one_by_one = [score_decomposition(y == k, p[:, k], average="binary") for k in range(4)]
    assert tuple(classwise) == pytest.approx(np.sum(one_by_one, axis=0))
    top = score_decomposition(y, p)
    hit = p.argmax(axis=1) == y
    assert top == score_decomposition(hit, p.max(axis=1), average="binary")
    with pytest.raises(ValueError, match="no decomposition of the log loss"):
        score_decomposition(y, p, average="classwise", score="log_loss")


def test_monotone_transforms_change_miscalibration_alone() -> None:
    y, p = toy_b()
    one, two = (score_decomposition(y, q, average="binary") for q in (p, p**3))
    assert one.discrimination == pytest.approx(two.discrimination, abs=1e-14)
    assert one.uncertainty == two.uncertainty


@pytest.mark.parametrize(
    ("y", "p", "brier", "log_loss"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], (0, 0, 0.25, 0.25), (0, 0, np.log(2), np.log(2))),
        ([1, 1, 0, 0], [0, 0, 1, 1], (1, 0.75, 0, 0.25), (np.inf, np.inf, 0, np.log(2))),
        ([0, 1] * 3, [0.5] * 6, (0.25, 0, 0, 0.25), (np.log(2), 0, 0, np.log(2))),
        ([1, 1], [0.5, 0.5], (0.25, 0.25, 0, 0), (np.log(2), np.log(2), 0, 0)),
        ([0], [0.5], (0.25, 0.25, 0, 0), (np.log(2), np.log(2), 0, 0)),
    ],
)
def test_odd_samples(y, p, brier, log_loss) -> None:
    parts = score_decomposition(y, p, average="binary")
    assert tuple(parts) == pytest.approx(brier, abs=1e-14)
    parts = score_decomposition(y, p, average="binary", score="log_loss")
    assert tuple(parts) == pytest.approx(log_loss, abs=1e-14)


def test_rounding_beyond_one_and_zero_weights_of_impossible_labels() -> None:
    parts = score_decomposition([1, 0], [1 + 5e-7, -5e-7], average="binary", score="log_loss")
    assert parts.score == 0
    w = [1, 1, 0]
    options = {"average": "binary", "score": "log_loss", "sample_weight": w}
    assert score_decomposition([0, 1, 1], [0.5, 0.5, 0.0], **options).score == np.log(2)


def test_absent_classes_and_labels() -> None:
    p = np.full((4, 3), 1 / 3)
    named = score_decomposition(list("aabb"), p, labels=list("abc"), average="classwise")
    assert named == score_decomposition([0, 0, 1, 1], p, average="classwise")
    assert named.discrimination == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "auc"}, "score must be one of"),
        ({"average": "macro"}, "average must be one of"),
        ({"sample_weight": [0, 0]}, "zero for every sample"),
    ],
)
def test_bad_input_is_refused_by_name(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        score_decomposition([0, 1], [0.2, 0.7], **options)
