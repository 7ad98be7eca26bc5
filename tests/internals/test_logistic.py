"""Logistic fits side by side, the choice of smoothing, and what counts as separable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, logsumexp

from calib._core import links, logistic
from calib._core.logistic import (
    Odds,
    Regressions,
    binomial_loss,
    choose_smoothing,
    fit_logistic,
    mean_loss,
    one_vs_rest,
    separable,
    smoothing_share,
)
from calib._core.rows import LocalRows, in_memory
from calib._core.scores import Scores


def cubic(u: np.ndarray) -> tuple[np.ndarray, ...]:
    return u, u**2, u**3


def problems(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(n, 3))
    return s, (rng.random((n, 3)) < expit(1.2 * s - 0.4 * s**2 + [0.5, 0, -1])).astype(float)


def odds(s: np.ndarray, t: np.ndarray, weight: np.ndarray | None = None) -> LocalRows:
    return LocalRows(Odds(s, t, weight))


def plain(n_problems: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(n_problems), np.ones(n_problems)


def general(
    x: np.ndarray, t: np.ndarray, w: np.ndarray, penalty: np.ndarray
) -> tuple[np.ndarray, float]:
    def loss(c: np.ndarray) -> tuple[float, np.ndarray]:
        eta = x @ c
        value = np.average(np.logaddexp(0, eta) - t * eta, weights=w) + penalty @ (c * c)
        return value, x.T @ ((expit(eta) - t) * w) / w.sum() + 2 * penalty * c

    fit = minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-11})
    return np.asarray(fit.x), float(fit.fun)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("cautious", [False, True])
def test_minima_are_those_of_a_general_optimiser(
    weighted: bool, penalised: bool, cautious: bool
) -> None:
    s, t = problems()
    w = np.random.default_rng(1).uniform(0.5, 2, len(s)) if weighted else np.ones(len(s))
    weight = w if weighted else None
    penalty = np.random.default_rng(2).uniform(0, 0.05, (3, 4)) if penalised else np.zeros((3, 4))
    goals = Regressions(odds(s, t, weight)).goals(np.full(3, cautious))
    found = fit_logistic(cubic, odds(s, t, weight), goals, penalty=penalty if penalised else None)
    assert found.converged.all()
    for k in range(3):
        x = np.stack([np.ones(len(s)), *cubic(s[:, k])], axis=1)
        goal = goals[0][k] + (goals[1][k] - goals[0][k]) * t[:, k]
        expected, value = general(x, goal, w, penalty[k])
        np.testing.assert_allclose(found.x[k], expected, atol=1e-6)
        assert found.value[k] == pytest.approx(value, abs=1e-12)


def test_gradient_and_hessian_are_derivatives() -> None:
    s, t = problems(60)
    w = np.random.default_rng(1).uniform(0.5, 2, 60)
    penalty = np.random.default_rng(2).uniform(0, 1, (3, 4))
    objective = mean_loss(cubic, odds(s, t, w), plain(3), penalty)
    x = np.random.default_rng(3).normal(size=(3, 4))
    _, gradient, hessian = objective(x)
    for k in range(3):

        def at(c: np.ndarray, k: int = k) -> np.ndarray:
            moved = x.copy()
            moved[k] = c
            return moved

        slope = approx_fprime(x[k], lambda c, k=k: objective(at(c))[0][k], 1e-7)
        np.testing.assert_allclose(gradient[k], slope, atol=1e-5)
        bend = approx_fprime(x[k], lambda c, k=k: objective(at(c))[1][k], 1e-7)
        np.testing.assert_allclose(hessian[k], bend, atol=1e-5)
    np.testing.assert_array_equal(hessian, hessian.transpose(0, 2, 1))


def test_a_subsample_as_a_start_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    s, t = problems(3000)
    expected = fit_logistic(cubic, odds(s, t), plain(3))
    monkeypatch.setattr(logistic, "START_ROWS", 500)
    found = fit_logistic(cubic, odds(s, t), plain(3))
    np.testing.assert_allclose(found.x, expected.x, atol=1e-8)
    assert found.n_evaluations < expected.n_evaluations


@pytest.mark.parametrize("chunk", [1 << 21, 130])
def test_problems_of_many_classes_are_their_log_odds(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logistic, "CHUNK_ELEMENTS", chunk)
    rng = np.random.default_rng(0)
    z, y = 5 * rng.normal(size=(60, 5)), rng.integers(0, 5, 60)
    z[0] = [900, 0, -3, 2, 1]  # nothing cancels
    seen = []
    for columns, rows in one_vs_rest(in_memory(Scores(z, "logits", "logits"), y, None)):
        s, t = rows.every(1).part.s, rows.every(1).part.target
        for j, k in enumerate(range(columns.start, columns.stop)):
            rest = logsumexp(np.delete(z, k, axis=1), axis=1)
            np.testing.assert_allclose(s[:, j], z[:, k] - rest, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(t[:, j], y == k)
            seen.append(k)
    assert seen == list(range(5))


def test_two_classes_are_one_problem() -> None:
    z, y = np.random.default_rng(0).normal(size=(10, 2)), np.arange(10) % 2
    ((columns, rows),) = one_vs_rest(in_memory(Scores(z, "logits", "logits"), y, None))
    s, t = rows.every(1).part.s, rows.every(1).part.target
    assert columns == slice(0, 1)
    np.testing.assert_allclose(s[:, 0], z[:, 1] - z[:, 0])
    np.testing.assert_array_equal(t[:, 0], y)


@pytest.mark.parametrize(
    ("scores", "target", "expected"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], True),
        ([1, 2, 3, 4], [1, 1, 0, 0], True),
        ([1, 2, 2, 4], [0, 0, 1, 1], True),  # they touch: the likelihood has no maximum
        ([1, 2, 3, 4], [0, 1, 0, 1], False),
        ([1, 2, 3, 4], [0, 0, 0, 0], True),  # absent
        ([1, 2, 3, 4], [1, 1, 1, 1], True),
        ([1, 2, 3, 4], [0.5, 0, 1, 1], False),  # a fraction lies on both sides
        ([5, 5, 5, 5], [0, 1, 0, 1], True),
    ],
)
def test_separable(scores: list[float], target: list[float], expected: bool) -> None:
    found = separable(np.array(scores, dtype=float)[:, None], np.array(target)[:, None])
    assert found.tolist() == [expected]


def test_goals_of_platt() -> None:
    t = np.array([[1, 0], [1, 0], [0, 0], [1, 1]])
    low, high = Regressions(odds(t, t)).goals(np.array([True, False]))
    np.testing.assert_allclose([low, high], [[1 / 3, 0], [4 / 5, 1]])
    weighted = Regressions(odds(t, t, np.array([2.0, 1, 3, 1])))
    low, high = weighted.goals(np.array([True, True]))
    np.testing.assert_allclose([low, high], [[1 / 5, 1 / 8], [5 / 6, 2 / 3]])


def test_log_loss_is_the_mean() -> None:
    s, t = problems(50)
    w = np.random.default_rng(0).uniform(size=50)
    p = np.where(t == 1, expit(s), expit(-s))
    found = binomial_loss(s, t, w, plain(3))
    np.testing.assert_allclose(found, -np.average(np.log(p), axis=0, weights=w), atol=1e-12)


def test_share_bounds_log_odds() -> None:
    assert smoothing_share(100, np.inf) == 0
    for total, bound in ((100, 1.0), (5000, 0.5), (30, 2.0)):
        share = np.asarray(smoothing_share(total, bound))
        limit = links.bounded_log_odds(np.array([-1e4, 1e4]), share, np)
        np.testing.assert_allclose(np.abs(limit), bound * np.log(2 * total + 1), rtol=0.01)
    assert smoothing_share(1e-9, 0.01) <= 1


def line(s: np.ndarray) -> tuple[np.ndarray, ...]:
    return (s / 50,)


def test_smoothing_is_chosen_problem_by_problem() -> None:
    rng = np.random.default_rng(0)
    s = 2 * rng.normal(size=(800, 2))
    t = (rng.random((800, 2)) < expit(s)).astype(float)
    s[:50, 1], t[:50, 1] = 80.0, rng.random(50) < 0.9  # certain, and wrong now and then
    share = choose_smoothing(line, odds(s, t), plain(2))
    assert share[0] <= smoothing_share(800, 1.0)
    assert share[1] > share[0]
    losses = []
    for bound in logistic.BOUNDS:
        inside = links.bounded_log_odds(s, np.asarray(smoothing_share(800, bound)), np)
        losses.append(fit_logistic(line, odds(inside, t), plain(2)).value)
    best = [smoothing_share(800, logistic.BOUNDS[i]) for i in np.argmin(losses, axis=0)]
    np.testing.assert_allclose(share, best)


def test_smoothing_depends_on_total_weight_not_on_rows() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=(200, 1)) * 4
    s[:20] = 60.0
    t = (rng.random((200, 1)) < 0.7).astype(float)
    w = rng.integers(1, 4, 200)
    a = choose_smoothing(line, odds(s, t, w.astype(float)), plain(1))
    repeated = odds(np.repeat(s, w, axis=0), np.repeat(t, w, axis=0))
    b = choose_smoothing(line, repeated, plain(1))
    np.testing.assert_allclose(a, b)
    assert a[0] > 0
