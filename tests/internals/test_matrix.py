"""The problem behind linear maps: its minimum, the input that is kept, its memory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from calib import CostWarning, MatrixScalingCalibrator, VectorScalingCalibrator
from calib._core.multinomial import Kept, LinearForm, Logits, MultinomialProblem
from calib._core.rows import LocalRows
from calib.calibrators import linear_maps, matrix
from tests.support.linear import synthetic


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["full", "diagonal", "thin"])
def test_minimum_is_that_of_a_general_optimiser(kind, weighted):
    z, y = synthetic(200, 3)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted else None
    basis = np.array([[1.0], [-0.5], [-0.5]]) if kind == "thin" else None
    shape = {"full": (3, 4), "diagonal": (3, 2), "thin": (3, 3)}[kind]
    penalty = np.random.default_rng(2).uniform(0.01, 0.1, shape)
    rows = LocalRows(Logits(Kept(z), y, weight))
    problem = MultinomialProblem(rows, penalty, LinearForm(kind == "full", basis))
    w = np.ones(len(y)) if weight is None else weight

    def loss(flat):
        x = flat.reshape(shape)
        if kind == "full":
            eta = z + z @ x[:, 1:].T + x[:, 0]
        else:
            eta = z * (1 + x[:, 1]) + x[:, 0]
            if basis is not None:
                eta = eta + (z @ basis) @ x[:, 2:].T
        picked = log_softmax(eta, axis=1)[np.arange(len(y)), y]
        return -(w @ picked) / w.sum() + (penalty * x * x).sum()

    found = problem.solve(problem.scaled(1.0))
    assert found.converged
    oracle = minimize(loss, np.zeros(penalty.size), method="BFGS", options={"gtol": 1e-9})
    assert found.value == pytest.approx(loss(found.x), rel=1e-12)
    assert found.value <= oracle.fun + 1e-10
    np.testing.assert_allclose(found.x, oracle.x, atol=1e-4)
    value, gradient = problem(0.3 * oracle.x)
    numeric = [
        (loss(0.3 * oracle.x + step) - loss(0.3 * oracle.x - step)) / 2e-6
        for step in 1e-6 * np.eye(penalty.size)
    ]
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)
    assert value == pytest.approx(loss(0.3 * oracle.x))


def test_the_better_input_is_kept(monkeypatch):
    """The share that suits a temperature may not suit a matrix; a part of the rows decides."""
    z, y = synthetic(900, 3)
    p = softmax(3 * z, axis=1)
    monkeypatch.setattr(linear_maps, "choose_share", lambda *a: 0.9)
    assert MatrixScalingCalibrator().fit(p, y).input_smoothing_ == 0
    monkeypatch.setattr(linear_maps, "COMPARED_ELEMENTS", 1000)
    thinned = MatrixScalingCalibrator().fit(p, y)
    plain = MatrixScalingCalibrator(smooth_input=False).fit(p, y)
    np.testing.assert_allclose(thinned.coef_, plain.coef_)


def test_logits_beyond_the_cache_are_made_anew(monkeypatch):
    z, y = synthetic(3000, 4)
    expected = VectorScalingCalibrator(input="logits").fit(z, y)
    monkeypatch.setattr("calib._core.multinomial.KEPT_ELEMENTS", 100)
    found = VectorScalingCalibrator(input="logits").fit(z, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-12)


def test_many_coefficients_are_announced(monkeypatch):
    monkeypatch.setattr(matrix, "MANY_UNKNOWNS", 10)
    z, y = synthetic(100, 4)
    with pytest.warns(CostWarning, match=r"fits 20 coefficients.*rank=20"):
        MatrixScalingCalibrator(input="logits").fit(z, y)
    MatrixScalingCalibrator(input="logits", rank=2).fit(z, y)
