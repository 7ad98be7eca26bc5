"""Scores that keep the scale of the logits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from calib import ProbabilitiesAsLogitsWarning
from uq import (
    energy_score,
    margin_score,
    max_logit_score,
    max_probability_score,
    negative_entropy_score,
    ood_score,
)


@pytest.fixture
def logits(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(400, 5)) * 4


def test_known_values_and_identities(logits: np.ndarray) -> None:
    np.testing.assert_array_equal(max_logit_score(logits), logits.max(axis=1))
    np.testing.assert_allclose(energy_score(logits), logsumexp(logits, axis=1), rtol=1e-13)
    for temperature in (0.5, 10.0):
        expected = temperature * logsumexp(logits / temperature, axis=1)
        np.testing.assert_allclose(energy_score(logits, temperature=temperature), expected)
    np.testing.assert_allclose(energy_score(logits, temperature=1e-9), logits.max(axis=1))
    np.testing.assert_allclose(energy_score(logits + 3.0), energy_score(logits) + 3.0)
    np.testing.assert_allclose(energy_score([[1e5, 0.0], [-1e5, -2e5]]), [1e5, -1e5])


def test_by_name(logits: np.ndarray) -> None:
    for name, function in (
        ("max_probability", max_probability_score),
        ("margin", margin_score),
        ("negative_entropy", negative_entropy_score),
    ):
        found = ood_score(logits, method=name, temperature=2.0)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, function(logits, input="logits", temperature=2.0))
    np.testing.assert_array_equal(
        ood_score(logits, temperature=2.0), energy_score(logits, temperature=2.0)
    )
    np.testing.assert_array_equal(ood_score(logits, method="max_logit"), max_logit_score(logits))


def test_tensors(logits: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(logits, dtype=torch.float32)
    found = energy_score(tensor, temperature=2.0)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), energy_score(logits, temperature=2.0), rtol=1e-5)
    assert energy_score(tensor.half()).dtype == torch.float32
    assert max_logit_score(logits.astype(np.float32)).dtype == np.float32


def test_normalised_input_is_useless(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="normalised"):
        energy_score(log_softmax(logits, axis=1))
    with pytest.raises(ValueError, match="normalised"):
        energy_score(log_softmax(logits, axis=1).astype(np.float32))
    p = softmax(logits, axis=1)
    for score in (energy_score, max_logit_score, ood_score):
        with pytest.warns(ProbabilitiesAsLogitsWarning, match="look like probabilities"):
            score(p)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: energy_score([[np.nan, 1.0]]), "logits contains NaN"),
        (lambda: energy_score([[np.inf, 1.0]]), "NaN or inf"),
        (lambda: energy_score([[2.0, 1.0]], temperature=0), "temperature"),
        (lambda: energy_score([[2.0, 1.0]], temperature=-2.0), "temperature"),
        (lambda: energy_score([[2.0, 1.0]], temperature=np.inf), "temperature"),
        (lambda: energy_score([2.0, 1.0]), "at least 2 classes"),
        (lambda: max_logit_score([[2.0], [1.0]]), "at least 2 classes"),
        (lambda: max_logit_score([[np.nan, 1.0]]), "NaN"),
        (lambda: ood_score([[2.0, 1.0]], method="odin"), "method must be one of"),  # type: ignore[arg-type]
        (lambda: ood_score([[2.0, 1.0]], method="max_logit", temperature=2.0), "no temperature"),
        (lambda: ood_score([[2.0, 1.0]], method="margin", temperature=0.0), "temperature"),
    ],
)
def test_refusals(call, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        call()
