"""Scores of image against text embeddings, and the choice of negatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from uq import concept_matching_score, negative_label_score, select_negatives


@pytest.fixture
def embeddings(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rng.normal(size=(60, 16)), rng.normal(size=(7, 16)), rng.normal(size=(23, 16))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_equal_plain_formulas(embeddings: tuple[np.ndarray, ...]) -> None:
    v, t, u = embeddings
    s, g = unit(v) @ unit(t).T, unit(v) @ unit(u).T
    np.testing.assert_allclose(concept_matching_score(v, t), softmax(s, axis=1).max(axis=1))
    tau = 0.05
    positive, negative = np.exp(s / tau).sum(axis=1), np.exp(g / tau).sum(axis=1)
    found = negative_label_score(v, t, u, temperature=tau)
    np.testing.assert_allclose(found, positive / (positive + negative), rtol=1e-10)


def test_identities(embeddings: tuple[np.ndarray, ...], rng: np.random.Generator) -> None:
    v, t, u = embeddings
    score = negative_label_score(v, t, u)
    np.testing.assert_array_equal(negative_label_score(v, t, np.empty((0, 16))), np.ones(60))
    doubled = negative_label_score(v, np.repeat(t, 2, axis=0), np.repeat(u, 2, axis=0))
    np.testing.assert_allclose(doubled, score, rtol=1e-9)
    np.testing.assert_allclose(negative_label_score(v, t, u, n_groups=1, random_state=0), score)
    rotation = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    scale = rng.uniform(0.1, 9, size=(60, 1))
    turned = negative_label_score(scale * v @ rotation, 3 * t @ rotation, u @ rotation)
    np.testing.assert_allclose(turned, score, rtol=1e-9, atol=1e-15)
    turned = concept_matching_score(scale * v @ rotation, 3 * t @ rotation)
    np.testing.assert_allclose(turned, concept_matching_score(v, t), rtol=1e-12)
    np.testing.assert_allclose(concept_matching_score(v, t, temperature=1e-6), 1.0)
    assert (concept_matching_score(v, t) >= 1 / 7).all()


def test_groups_partition_the_negatives(embeddings: tuple[np.ndarray, ...]) -> None:
    v, t, u = embeddings
    tau = 0.1
    first = negative_label_score(v, t, u, temperature=tau, n_groups=5, random_state=3)
    again = negative_label_score(v, t, u, temperature=tau, n_groups=5, random_state=3)
    other = negative_label_score(v, t, u, temperature=tau, n_groups=5, random_state=4)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    each = negative_label_score(v, t, u, temperature=tau, n_groups=23)
    s, g = unit(v) @ unit(t).T, unit(v) @ unit(u).T
    odds = logsumexp(s / tau, axis=1)[:, None] - g / tau
    np.testing.assert_allclose(each, (1 / (1 + np.exp(-odds))).mean(axis=1))  # none is lost


def test_separates_known_from_unknown(rng: np.random.Generator) -> None:
    t, u = rng.normal(size=(5, 32)), rng.normal(size=(50, 32))
    known = t[rng.integers(5, size=200)] + 0.8 * rng.normal(size=(200, 32))
    unknown = u[rng.integers(50, size=200)] + 0.8 * rng.normal(size=(200, 32))
    for score in (concept_matching_score(known, t).mean(), 1.0):
        assert score > concept_matching_score(unknown, t).mean()
    assert negative_label_score(known, t, u).mean() > 0.9
    assert negative_label_score(unknown, t, u).mean() < 0.1


def test_types_and_tensors(embeddings: tuple[np.ndarray, ...]) -> None:
    v, t, u = embeddings
    assert concept_matching_score(v.astype(np.float32), t.astype(np.float32)).dtype == np.float64
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x) for x in embeddings]
    np.testing.assert_allclose(
        concept_matching_score(*tensors[:2]).numpy(), concept_matching_score(v, t)
    )
    np.testing.assert_allclose(
        negative_label_score(*tensors, n_groups=4, random_state=0).numpy(),
        negative_label_score(v, t, u, n_groups=4, random_state=0),
    )
    ones = negative_label_score(*tensors[:2], torch.empty((0, 16)))
    np.testing.assert_array_equal(ones.numpy(), np.ones(60))
    with pytest.raises(ValueError, match="both be tensors"):
        concept_matching_score(tensors[0], t)
    with pytest.raises(ValueError, match="types"):
        concept_matching_score(tensors[0], tensors[1].float())


def test_select_negatives(embeddings: tuple[np.ndarray, ...]) -> None:
    _, t, u = embeddings
    closeness = np.quantile(unit(u) @ unit(t).T, 0.95, axis=1)
    found = select_negatives(u, t, fraction=0.3)
    np.testing.assert_array_equal(found, np.sort(np.argsort(closeness)[:6]))
    groups = np.array(["noun"] * 10 + ["adjective"] * 13)
    found = select_negatives(u, t, fraction=0.3, categories=groups)
    expected = np.concatenate([np.argsort(closeness[:10])[:3], 10 + np.argsort(closeness[10:])[:3]])
    np.testing.assert_array_equal(found, np.sort(expected))
    assert len(select_negatives(u, t, fraction=0.001)) == 1


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda v, t, u: concept_matching_score(v[:, :4], t), "4 dimensions"),
        (lambda v, t, u: concept_matching_score(0 * v, t), "zero vector in row 0"),
        (lambda v, t, u: concept_matching_score(v, 0 * t), "text_embeddings has a zero vector"),
        (lambda v, t, u: concept_matching_score(v * np.nan, t), "NaN"),
        (lambda v, t, u: concept_matching_score(v[0], t), "n_rows, n_dimensions"),
        (lambda v, t, u: concept_matching_score(v, t, temperature=0), "temperature"),
        (lambda v, t, u: concept_matching_score(v, t[:0]), "0 samples"),
        (lambda v, t, u: negative_label_score(v, t, u, temperature=-1), "temperature"),
        (lambda v, t, u: negative_label_score(v, t, u, n_groups=24), "exceeds the 23 negatives"),
        (lambda v, t, u: negative_label_score(v, t, u, n_groups=0), "n_groups"),
        (lambda v, t, u: negative_label_score(v, t, u[:0], n_groups=2), "got none"),
        (lambda v, t, u: negative_label_score(v, t, u[:, :3]), "negative_embeddings have 3"),
        (lambda v, t, u: negative_label_score(v, t, u, n_groups=2, random_state="a"), "random"),
        (lambda v, t, u: select_negatives(u, t, quantile=1.0), "quantile"),
        (lambda v, t, u: select_negatives(u, t, fraction=0.0), "fraction"),
        (lambda v, t, u: select_negatives(u, t, categories=[1, 2]), "categories has 2"),
        (lambda v, t, u: select_negatives(u[:, :3], t), "dimensions"),
    ],
)
def test_refusals(embeddings, call, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        call(*embeddings)
