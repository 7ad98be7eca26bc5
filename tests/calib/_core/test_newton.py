"""The shared solvers: exact roots and minima, awkward functions, honest failure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calib._core.newton import find_root, minimize


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
