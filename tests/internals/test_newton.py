"""The shared solvers: exact roots and minima, awkward functions, honest failure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from calib import TemperatureCalibrator
from calib._core.newton import Root, find_root, minimize, minimize_large
from calib.calibrators import temperature as module


def shifted_tanh(root: float):
    def function(x: float) -> tuple[float, float, float]:
        t = math.tanh(x - root)
        return t, 1 - t * t, -2 * t * (1 - t * t)

    return function


@pytest.mark.parametrize("root", [-15.5, -3.0, 0.0, 0.1, 7.0, 15.9])
def test_root_of_a_saturating_function(root: float) -> None:
    found = find_root(shifted_tanh(root), 0.0, -16.0, 16.0)
    assert found.converged
    assert found.at_bound == 0
    assert found.x == pytest.approx(root, abs=1e-10)
    assert found.n_evaluations < 40


@pytest.mark.parametrize(("sign", "end"), [(-1, 16.0), (1, -16.0)])
def test_root_at_infinity_is_the_end_of_the_bracket(sign: int, end: float) -> None:
    def function(x: float) -> tuple[float, float, float]:
        value = math.exp(-sign * -0.5 * x)
        return sign * value, 0.5 * value, 0.25 * value * sign

    found = find_root(function, 0.0, -16.0, 16.0)
    assert found.converged
    assert found.x == end
    assert found.at_bound == -sign
    assert found.n_evaluations < 10


def test_derivatives_that_are_not_numbers_leave_bisection() -> None:
    found = find_root(lambda x: (x - 1.25, math.nan, math.nan), 0.0, -16.0, 16.0)
    assert found.converged
    assert found.x == pytest.approx(1.25, abs=1e-12)


def test_root_that_is_not_reached_says_so() -> None:
    found = find_root(
        lambda x: (x - 1 / 3, math.nan, math.nan), 0.0, -16.0, 16.0, max_evaluations=9
    )
    assert not found.converged
    assert found.n_evaluations == 9


def test_problems_of_different_difficulty_are_solved_side_by_side() -> None:
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.uniform(-4, 4, size=(5, 3))
    centres = rng.uniform(-3, 3, size=(5, 3)) / scales

    def objective(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        d = (x - centres) * scales
        value = np.log(np.cosh(np.clip(d, -300, 300))).sum(axis=1)
        gradient = np.tanh(d) * scales
        hessian = np.zeros((5, 3, 3))
        hessian[:, range(3), range(3)] = scales**2 / np.cosh(np.clip(d, -300, 300)) ** 2
        return value, gradient, hessian

    found = minimize(objective, np.zeros((5, 3)), max_evaluations=2000)
    assert found.converged.all()
    np.testing.assert_allclose((found.x - centres) * scales, 0, atol=1e-6)


def test_flat_problem_stays_where_it_is() -> None:
    def objective(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2, 2))

    found = minimize(objective, np.ones((2, 2)))
    assert found.converged.all()
    np.testing.assert_array_equal(found.x, 1)


def test_budget_that_runs_out_says_so() -> None:
    def objective(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.exp(-x[:, 0]), -np.exp(-x), np.exp(-x)[:, :, None]

    assert not minimize(objective, np.zeros((1, 1)), max_evaluations=3).converged.any()


def test_failure_to_converge_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_root", lambda *a, **k: Root(0.5, 0, False, 100))
    z, y = np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 1])
    cal = TemperatureCalibrator(input="logits")
    with pytest.warns(ConvergenceWarning, match="did not converge in 100 passes"):
        cal.fit(4 * z, y)


class Ridge:
    """Logistic regression with a penalty and many unknowns of very different scale."""

    def __init__(self, n: int = 300, m: int = 60, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(n, m)) * 10.0 ** rng.uniform(-2, 2, m)
        self.y = (rng.random(n) < expit(self.x @ rng.normal(size=m) / 50)).astype(float)
        self.penalty = 1e-2
        self.n_calls = 0

    def __call__(self, c: np.ndarray) -> tuple[float, np.ndarray]:
        self.n_calls += 1
        eta = self.x @ c
        value = (np.logaddexp(0, eta) - self.y * eta).mean() + self.penalty * c @ c
        gradient = self.x.T @ (expit(eta) - self.y) / len(eta) + 2 * self.penalty * c
        return float(value), gradient

    def hessian(self, c: np.ndarray) -> np.ndarray:
        p = expit(self.x @ c)
        curved = (self.x * (p * (1 - p))[:, None]).T @ self.x / len(p)
        return curved + 2 * self.penalty * np.eye(len(c))

    def minimum(self) -> np.ndarray:
        start = np.zeros(self.x.shape[1])
        hess = self.hessian
        fit = optimize.minimize(self, start, jac=True, hess=hess, method="trust-exact", tol=1e-13)
        return np.asarray(fit.x)


@pytest.mark.parametrize("kind", ["diagonal", "bound", "at the minimum"])
@pytest.mark.parametrize("seed", range(3))
def test_minimum_is_that_of_a_general_optimiser(kind: str, seed: int) -> None:
    problem = Ridge(seed=seed)
    oracle = problem.minimum()
    at = oracle if kind == "at the minimum" else np.zeros(len(oracle))
    hessian = problem.hessian(at)
    if kind == "diagonal":
        hessian = np.diag(np.diag(hessian))
    found = minimize_large(problem, np.zeros(len(oracle)), lambda g: np.linalg.solve(hessian, g))
    assert found.converged
    best = problem(oracle)[0]
    assert found.value == problem(found.x)[0]
    assert found.value <= best + 1e-10
    np.testing.assert_allclose(found.x, oracle, atol=1e-4)


def test_better_preconditioner_needs_fewer_passes() -> None:
    problem = Ridge()
    oracle = problem.minimum()
    hessian = problem.hessian(oracle)
    counts = {}
    for name, matrix in {
        "none": np.eye(len(oracle)) * np.trace(hessian) / len(oracle),
        "diagonal": np.diag(np.diag(hessian)),
        "exact": hessian,
    }.items():
        problem.n_calls = 0
        found = minimize_large(
            problem, np.zeros(len(oracle)), lambda g, m=matrix: np.linalg.solve(m, g),
            max_evaluations=5000,
        )  # fmt: skip
        counts[name] = found.n_evaluations
        assert found.converged
        assert problem.n_calls == found.n_evaluations
    assert counts["exact"] < counts["diagonal"] < counts["none"]


def test_exact_inverse_of_a_quadratic_needs_one_step() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 40))
    hessian, right = root @ root.T + np.eye(40), rng.normal(size=40)

    def quadratic(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * x @ hessian @ x - right @ x), hessian @ x - right

    found = minimize_large(quadratic, np.zeros(40), lambda g: np.linalg.solve(hessian, g))
    assert found.converged
    assert found.n_evaluations == 2
    np.testing.assert_allclose(found.x, np.linalg.solve(hessian, right), atol=1e-9)


def test_steps_that_are_too_long_are_halved() -> None:
    def steep(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.logaddexp(x, -x).sum()), np.tanh(x)

    found = minimize_large(steep, np.full(5, 3.0), lambda g: 100.0 * g)
    assert found.converged
    np.testing.assert_allclose(found.x, 0, atol=1e-5)


def test_minimum_as_a_start_is_left_at_once() -> None:
    problem = Ridge(m=5)
    oracle = problem.minimum()
    found = minimize_large(problem, oracle, lambda g: g)
    assert found.converged
    assert found.n_evaluations == 1
    np.testing.assert_array_equal(found.x, oracle)
    flat = minimize_large(lambda x: (0.0, np.zeros(3)), np.ones(3), lambda g: g)
    assert flat.converged
    np.testing.assert_array_equal(flat.x, 1)


def test_budget_of_large_problems_that_runs_out_says_so() -> None:
    problem = Ridge()
    found = minimize_large(problem, np.zeros(60), lambda g: 1e-3 * g, max_evaluations=4)
    assert not found.converged
    assert found.n_evaluations == 4
    assert found.value < problem(np.zeros(60))[0]
