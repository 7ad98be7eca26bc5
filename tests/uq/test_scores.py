"""Scores of probabilities: known values, identities, tensors, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp, softmax
from scipy.stats import entropy

from uq import (
    margin_score,
    max_probability_score,
    negative_entropy_score,
    negative_mutual_information_score,
)

SCORES = [max_probability_score, margin_score, negative_entropy_score]
LOGITS = arrays(np.float64, (7, 4), elements=st.floats(-30, 30))


@pytest.fixture
def logits(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(500, 6)) * 3


def test_equals_plain_formulas(logits: np.ndarray) -> None:
    p = softmax(logits, axis=1)
    ordered = np.sort(p, axis=1)
    np.testing.assert_allclose(max_probability_score(p), p.max(axis=1), rtol=1e-14)
    np.testing.assert_allclose(margin_score(p), ordered[:, -1] - ordered[:, -2], rtol=1e-12)
    np.testing.assert_allclose(negative_entropy_score(p), -entropy(p, axis=1), rtol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_logits_equal_their_probabilities(score, logits: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_allclose(
        score(logits, input="logits"), score(softmax(logits, axis=1)), atol=1e-13
    )
    p = softmax(logits, axis=1)
    for temperature in (0.25, 3.0):
        np.testing.assert_allclose(
            score(logits, input="logits", temperature=temperature),
            score(p, temperature=temperature),
            atol=1e-11,
        )


@pytest.mark.parametrize("score", SCORES)
def test_one_column_is_the_second_of_two_classes(score) -> None:  # type: ignore[no-untyped-def]
    p = np.array([0.1, 0.5, 0.8])
    both = np.column_stack([1 - p, p])
    np.testing.assert_array_equal(score(p), score(both))
    np.testing.assert_array_equal(score(p[:, None]), score(both))
    s = np.array([-2.0, 0.0, 1.5])
    both = np.column_stack([np.zeros(3), s])
    np.testing.assert_array_equal(score(s, input="logits"), score(both, input="logits"))


@given(LOGITS, st.floats(-50, 50), st.permutations(range(4)))
def test_invariances(z: np.ndarray, shift: float, order: list[int]) -> None:
    for score in SCORES:
        value = score(z, input="logits")
        np.testing.assert_allclose(score(z + shift, input="logits"), value, atol=1e-9)
        np.testing.assert_allclose(score(z[:, order], input="logits"), value, atol=1e-12)
    assert (max_probability_score(z, input="logits") >= 0.25 - 1e-12).all()
    assert (negative_entropy_score(z, input="logits") >= -np.log(4) - 1e-12).all()
    assert (negative_entropy_score(z, input="logits") <= 0).all()


@given(LOGITS)
def test_lower_temperature_is_more_certain(z: np.ndarray) -> None:
    sharp = max_probability_score(z, input="logits", temperature=0.5)
    assert (sharp >= max_probability_score(z, input="logits") - 1e-12).all()


def test_extremes_stay_finite() -> None:
    z = np.array([[1e4, -1e4], [0.0, 0.0]])
    np.testing.assert_allclose(max_probability_score(z, input="logits"), [1.0, 0.5])
    np.testing.assert_allclose(negative_entropy_score(z, input="logits"), [0.0, -np.log(2)])
    np.testing.assert_allclose(negative_entropy_score([[1.0, 0.0]]), [0.0])


def test_blocks_change_nothing(rng: np.random.Generator) -> None:
    p = softmax(rng.normal(size=(3000, 50)), axis=1)  # several blocks
    whole = negative_entropy_score(p)
    parts = [negative_entropy_score(p[i : i + 7]) for i in range(0, 3000, 7)]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=1e-14)


@pytest.mark.parametrize("score", SCORES)
def test_types(score, logits: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    p = softmax(logits, axis=1)
    assert score(p.astype(np.float32)).dtype == np.float32
    assert score(p.astype(np.float16)).dtype == np.float32
    assert score(p).dtype == np.float64
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float64):
        tensor = torch.tensor(p, dtype=dtype)
        found = score(tensor)
        assert found.dtype == dtype
        np.testing.assert_allclose(found.numpy(), score(p), atol=1e-6)
    z = torch.tensor(logits, requires_grad=True)
    score(z, input="logits").sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_mutual_information(rng: np.random.Generator) -> None:
    z = rng.normal(size=(5, 40, 3))
    p = softmax(z, axis=2)
    expected = entropy(p.mean(axis=0), axis=1) - entropy(p, axis=2).mean(axis=0)
    found = -negative_mutual_information_score(p)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(-negative_mutual_information_score(z, input="logits"), expected)
    np.testing.assert_allclose(-negative_mutual_information_score(p[::-1]), expected)
    agreeing = np.repeat(p[:1], 4, axis=0)
    np.testing.assert_allclose(negative_mutual_information_score(agreeing), 0, atol=1e-15)
    opposed = np.eye(3)[:, None, :]  # three members, each sure of another class
    np.testing.assert_allclose(negative_mutual_information_score(opposed), [-np.log(3)])
    many = softmax(rng.normal(size=(4, 9000, 10)), axis=2)
    whole = negative_mutual_information_score(many)
    np.testing.assert_allclose(whole[:50], negative_mutual_information_score(many[:, :50]))
    torch = pytest.importorskip("torch")
    tensor = negative_mutual_information_score(torch.tensor(p))
    np.testing.assert_allclose(-tensor.numpy(), expected)


def test_mutual_information_of_tiny_disagreement_does_not_cancel() -> None:
    p, shift = np.array([0.3, 0.7]), 1e-7 * np.array([1.0, -1.0])
    found = -negative_mutual_information_score(np.array([[p + shift], [p - shift]]))
    np.testing.assert_allclose(found, 1e-14 / (2 * 0.3 * 0.7), rtol=1e-5)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("scores", "options", "match"),
    [
        ([[np.nan, 1.0]], {}, "scores contains NaN"),
        ([[np.inf, 1.0]], {"input": "logits"}, "scores contains NaN or inf"),
        ([[2.0, -1.0]], {}, r"values outside \[0, 1\].*input='logits'"),
        ([[0.2, 0.2]], {}, "do not sum to 1"),
        ([[0.5, 0.5]], {"temperature": 0.0}, "temperature must be a finite number > 0; got 0"),
        ([[0.5, 0.5]], {"temperature": -1.0}, "temperature"),
        ([[0.5, 0.5]], {"temperature": np.nan}, "temperature"),
        ([[0.5, 0.5]], {"temperature": "1"}, "temperature"),
        ([[0.5, 0.5]], {"temperature": True}, "temperature"),
        ([[0.5, 0.5]], {"input": "odds"}, "input must be one of"),
        (np.zeros((2, 2, 2)), {}, "1 or 2 dimensions"),
        (np.zeros((0, 2)), {}, "0 samples"),
        (None, {}, "None"),
    ],
)
def test_refusals(score, scores, options, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        score(scores, **options)


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        (np.full((1, 3, 2), 0.5), "at least 2 members"),
        (np.full((2, 3), 0.5), "n_members, n_samples, n_classes"),
        (np.full((2, 3, 1), 0.5), "2 classes"),
        (np.full((2, 3, 2), np.nan), "NaN"),
        (np.full((2, 3, 2), 0.7), "sum to 1"),
        (np.zeros((2, 0, 2)), "0 samples"),
    ],
)
def test_mutual_information_refusals(scores: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        negative_mutual_information_score(scores)


def test_scaled_energy_identity_of_entropy(logits: np.ndarray) -> None:
    """Entropy is the log-sum-exp minus the mean logit."""
    p = softmax(logits, axis=1)
    expected = (p * logits).sum(axis=1) - logsumexp(logits, axis=1)
    np.testing.assert_allclose(negative_entropy_score(logits, input="logits"), expected)
