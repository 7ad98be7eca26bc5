"""The mixture of temperatures: its minimum, its sums, its start."""

from __future__ import annotations

import numpy as np
import pytest

from calib import EnsembleTemperatureCalibrator
from calib.calibrators.ensemble import _best_mixture, _gram
from tests.support.ensembles import parts, sharp


@pytest.mark.parametrize("seed", range(30))
def test_mixture_is_the_minimum_on_the_triangle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, 2 if seed % 3 == 0 else 5))  # every third matrix is singular
    gram, right = root @ root.T, rng.normal(size=3)
    w = _best_mixture(gram, right)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1)
    slope = 2 * (gram @ w - right)
    level = slope[w > 1e-9]
    np.testing.assert_allclose(level, level[0], atol=1e-8)  # flat where a part is used
    assert slope.min() >= level[0] - 1e-8  # and no better where it is not


def test_gram_is_made_of_means_of_products() -> None:
    from calib._core.rows import Scores, in_memory

    z, y = sharp(60, 3)
    w = np.random.default_rng(0).uniform(0.5, 2, 60)
    members, truth = parts(z, 2.0), np.eye(3)[y]
    gram, right = _gram(in_memory(Scores(z, "logits", "logits"), y, w), 2.0)
    products = np.einsum("aij,bij,i->ab", members, members, w) / w.sum()
    np.testing.assert_allclose(gram, products, atol=1e-12)
    expected = np.einsum("aij,ij,i->a", members, truth, w) / w.sum()
    np.testing.assert_allclose(right, expected, atol=1e-12)


def test_a_subsample_as_a_start_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = sharp(3000, 4)
    expected = EnsembleTemperatureCalibrator(input="logits").fit(z, y)
    monkeypatch.setattr("calib.calibrators.ensemble.START_ELEMENTS", 1000)
    found = EnsembleTemperatureCalibrator(input="logits").fit(z, y)
    assert found.temperature_ == pytest.approx(expected.temperature_, rel=1e-9)
