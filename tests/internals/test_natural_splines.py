"""Natural splines: derivatives, minima, cells and evidence."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from calib import SplineCalibrator
from calib.calibrators import natural_splines
from tests.support.curves import distorted


def small_problem():
    rng = np.random.default_rng(8)
    position = np.sort(rng.normal(0, 2, (1, 60)), axis=1)
    cells = natural_splines.ScoreCells(
        rng.uniform(0, 3, (1, 60)), position, expit(position + rng.normal(size=(1, 60)))
    )
    knots = np.linspace(position[0, 0], position[0, -1], 7)[None, :]
    return cells, knots, natural_splines._PenalisedProblem(cells, knots)


def filled(s, y, w):
    """Return the cells of samples, columns for problems."""
    part = SimpleNamespace(s=s, target=y, weight=w)
    rows = SimpleNamespace(total=len(s), reduce=lambda sums, *given, by=None: sums(part, *given))
    return natural_splines.fill_cells(natural_splines.Regressions(rows))


def test_derivatives_are_those_of_the_value():
    _, knots, problem = small_problem()
    rows = len(natural_splines.PENALTIES)
    x = np.repeat(knots, rows, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(rows, 7))
    x = np.sort(x, axis=1)
    _, gradient, hessian = problem(x)
    for j in range(7):
        step = np.zeros(7)
        step[j] = 1e-6
        above, below = problem(x + step), problem(x - step)
        np.testing.assert_allclose(gradient[:, j], (above[0] - below[0]) / 2e-6, rtol=2e-4)
        np.testing.assert_allclose(
            hessian[:, j], (above[1] - below[1]) / 2e-6, rtol=1e-3, atol=1e-4
        )


def test_minimum_is_that_of_a_general_optimiser():
    cells, knots, _ = small_problem()
    width = np.diff(knots[0])
    patience = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-8, "fatol": 1e-13}
    total = cells.weight.sum()
    x = natural_splines._PenalisedProblem(cells, knots)
    found = natural_splines.minimize(x, np.repeat(knots, len(natural_splines.PENALTIES), axis=0)).x
    for penalty, answer in zip(natural_splines.PENALTIES[2:5], found[2:5], strict=True):

        def loss(v, penalty=penalty):
            eta = np.interp(cells.position[0], knots[0], v)
            data = (cells.weight[0] * (np.logaddexp(0, eta) - cells.target[0] * eta)).sum()
            slope = np.diff(v) / width
            if (slope <= 0).any():
                return np.inf
            spacing = 0.5 * (knots[0, 2:] - knots[0, :-2])
            rough = (np.diff(slope) ** 2 / spacing).sum()
            prior = natural_splines.SLOPE_PRIOR * (slope - np.log(slope)).mean()
            return (data + 0.5 * penalty * rough + prior) / total

        oracle = minimize(loss, knots[0], method="Nelder-Mead", options=patience)
        assert loss(answer) <= oracle.fun + 1e-9
        np.testing.assert_allclose(answer, oracle.x, atol=2e-2)


def test_cells_keep_sums_and_order():
    s, y, _ = distorted(5000)
    w = np.random.default_rng(9).uniform(0, 2, 5000)
    cells = filled(np.stack([s, -2 * s], axis=1), np.stack([y, 1 - y], axis=1), w)
    assert cells.weight.shape == (2, natural_splines.N_CELLS)
    np.testing.assert_allclose(cells.weight.sum(axis=1), w.sum())
    np.testing.assert_allclose((cells.weight * cells.position).sum(axis=1)[0], w @ s)
    np.testing.assert_allclose((cells.weight * cells.target).sum(axis=1), [w @ y, w @ (1 - y)])
    positions = cells.position[0][cells.weight[0] > 0]
    assert (np.diff(positions) > 0).all()


def test_finer_cells_change_nothing_that_matters(monkeypatch):
    s, y, _ = distorted(5000)
    usual = SplineCalibrator(input="logits").fit(s, y).transform(s)
    monkeypatch.setattr(natural_splines, "N_CELLS", 8192)
    fine = SplineCalibrator(input="logits").fit(s, y).transform(s)
    np.testing.assert_allclose(usual, fine, atol=2e-3)


def test_evidence_prefers_the_stiff_curve_only_where_the_truth_is_a_line():
    s, y, _ = distorted(4000)
    line = (np.random.default_rng(1).random(4000) < expit(s)).astype(int)
    stiffest = []
    for labels in (y, line):
        cells = filled(s[:, None], labels[:, None], None)
        knots = np.linspace(s.min(), s.max(), 24)[None, :]
        problem = natural_splines._PenalisedProblem(cells, knots)
        found = natural_splines.minimize(
            problem, np.repeat(knots, len(natural_splines.PENALTIES), axis=0)
        )
        assert found.converged.all()
        stiffest.append(natural_splines.PENALTIES[problem.evidence(found.x).argmax()])
    assert stiffest[0] <= 10.0
    assert stiffest[1] >= 100.0
