"""The one safeguarded Newton solver behind every smooth calibration map.

Two entry points: `find_root` for one increasing function of one unknown, with a bracket that
bisection can always fall back on, and `minimize` for independent convex problems with a few
unknowns each, with step halving. Callers accumulate sums over cache-sized blocks of rows, so the
memory of a fit does not grow with the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calib._border.typing import Float64Array

#: A step this small ends the scalar iteration: the method is of third order, so the error that
#: remains is far below the resolution of float64.
ROOT_STEP = 1e-5
#: Scalar steps after which the bracket must have halved; otherwise its end or middle is tried.
#: Where the root lies at infinity, plain Newton steps would creep towards it for ever.
PATIENCE = 4
#: Predicted decrease of the mean loss (relative to 1 + the loss) that ends `minimize`. The last
#: step is still taken, so the distance left to the minimum is about the square of that step.
DECREASE_TOLERANCE = 1e-14
#: Where rounding stops the line search, a predicted decrease below this still counts as converged.
ROUNDING_DECREASE = 1e-10
#: Past steps that correct `minimize_large` (limited-memory BFGS updates).
MEMORY = 20


@dataclass(frozen=True)
class Root:
    """Where `find_root` ended.

    Attributes
    ----------
    x : float
        The root, or the end of the bracket where the function does not change sign.
    at_bound : {-1, 0, 1}
        Which end of the bracket was returned, 0 for a root inside.
    converged : bool
        Whether the step tolerance was met (an end of the bracket counts).
    n_evaluations : int
        Number of evaluations of the function.
    """

    x: float
    at_bound: int
    converged: bool
    n_evaluations: int


def find_root(
    function: Callable[[float], tuple[float, float, float]],
    start: float,
    low: float,
    high: float,
    *,
    tolerance: float = ROOT_STEP,
    max_evaluations: int = 100,
) -> Root:
    """Find the root of an increasing function by Halley steps inside a shrinking bracket.

    Parameters
    ----------
    function : callable
        Returns the value and the first two derivatives.
    start, low, high : float
        First point and bracket, ``low < start < high``.
    tolerance : float, default=ROOT_STEP
        Step length that ends the iteration, > 0.
    max_evaluations : int, default=100
        Bound on the number of evaluations.

    Returns
    -------
    root : Root

    Notes
    -----
    A step that leaves the bracket, or a bracket that has not halved in `PATIENCE` steps, leads to
    the bracket's end where that end was never evaluated (this finds solutions at infinity), and
    to its middle otherwise.
    """
    x = start
    seen_low = seen_high = False
    bottom, top = low, high
    width, patience = high - low, PATIENCE
    for count in range(1, max_evaluations + 1):
        value, slope, curvature = function(x)
        if value == 0.0 and slope > 0.0:
            return Root(x, 0, True, count)
        if value <= 0.0:
            if x >= high:
                return Root(high, 1, True, count)
            bottom, seen_low = x, True
        else:
            if x <= low:
                return Root(low, -1, True, count)
            top, seen_high = x, True
        step = _halley_step(value, slope, curvature)
        inside = math.isfinite(step) and bottom < x + step < top
        if inside and abs(step) <= tolerance:
            return Root(x + step, 0, True, count)
        if seen_low and seen_high and top - bottom <= 1e-14 * max(1.0, abs(x)):
            return Root(x, 0, True, count)
        patience -= 1
        if top - bottom <= 0.5 * width:
            width, patience = top - bottom, PATIENCE
        if inside and patience > 0:
            x += step
            continue
        width, patience = top - bottom, PATIENCE
        end, seen = (top, seen_high) if value <= 0.0 else (bottom, seen_low)
        x = 0.5 * (bottom + top) if seen else end
    return Root(x, 0, False, max_evaluations)


def _halley_step(value: float, slope: float, curvature: float) -> float:
    if not slope > 0.0:
        return math.inf if value <= 0.0 else -math.inf
    newton = -value / slope
    correction = 1.0 + 0.5 * newton * curvature / slope
    return newton / correction if 0.5 < correction < 2.0 else newton


@dataclass(frozen=True)
class Minimum:
    """Where `minimize` ended, one row a problem.

    Attributes
    ----------
    x : ndarray of shape (n_problems, n_unknowns)
    value : ndarray of shape (n_problems,)
    converged : ndarray of bool, shape (n_problems,)
    n_evaluations : int
    """

    x: Float64Array
    value: Float64Array
    converged: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    n_evaluations: int


Objective = Callable[[Float64Array], tuple[Float64Array, Float64Array, Float64Array]]


def minimize(
    objective: Objective,
    start: Float64Array,
    *,
    tolerance: float = DECREASE_TOLERANCE,
    max_evaluations: int = 200,
) -> Minimum:
    """Minimise independent convex functions side by side by Newton steps with step halving.

    Parameters
    ----------
    objective : callable
        Takes points of shape (n_problems, n_unknowns), returns values (n_problems,), gradients
        (n_problems, n_unknowns) and Hessians (n_problems, n_unknowns, n_unknowns) of the *mean*
        loss, so that tolerances do not depend on the number of samples.
    start : ndarray of shape (n_problems, n_unknowns)
        First points.
    tolerance : float, default=DECREASE_TOLERANCE
        Predicted decrease of the value, relative to ``1 + abs(value)``, that ends a problem.
    max_evaluations : int, default=200
        Bound on the number of evaluations of `objective`.

    Returns
    -------
    minimum : Minimum

    Notes
    -----
    A Hessian that is singular to working precision gets a multiple of its diagonal added.
    """
    x = np.array(start, dtype=np.float64)
    value, gradient, hessian = objective(x)
    value = value.copy()
    step, decrease = _newton_steps(gradient, hessian)
    length = np.ones(len(x))
    n_evaluations = 1
    while n_evaluations < max_evaluations:
        active = (decrease > tolerance * (1.0 + np.abs(value))) & (length > 1e-10)
        if not active.any():
            break
        trial = np.where(active[:, None], x + length[:, None] * step, x)
        trial_value, gradient, hessian = objective(trial)
        n_evaluations += 1
        enough = value - 1e-4 * length * decrease + 1e-15 * (1.0 + np.abs(value))
        accepted = active & (trial_value <= enough)
        x[accepted], value[accepted] = trial[accepted], trial_value[accepted]
        step[accepted], decrease[accepted] = _newton_steps(gradient[accepted], hessian[accepted])
        length = np.where(accepted, 1.0, np.where(active, 0.5 * length, length))
    finished = decrease <= tolerance * (1.0 + np.abs(value))
    converged = finished | (decrease <= ROUNDING_DECREASE * (1.0 + np.abs(value)))
    x = np.where(finished[:, None], x + step, x)
    return Minimum(x, value, converged & np.isfinite(x).all(axis=1), n_evaluations)


def _newton_steps(
    gradient: Float64Array, hessian: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Newton steps and the decrease that the quadratic model predicts for them."""
    tiny = np.finfo(np.float64).tiny
    scale = np.sqrt(np.maximum(np.diagonal(hessian, axis1=1, axis2=2), tiny))
    scaled = hessian / scale[:, :, None] / scale[:, None, :]
    identity = np.eye(gradient.shape[1])
    solved = gradient / scale  # for a zero Hessian: move along the gradient
    for ridge in (1e-14, 1e-11, 1e-8):
        try:
            right_side = (gradient / scale)[:, :, None]
            answer = np.linalg.solve(scaled + ridge * identity, right_side)
            solved = answer[:, :, 0].astype(np.float64, copy=False)
            break
        except np.linalg.LinAlgError:
            continue
    step = -solved / scale
    return step, -0.5 * (gradient * step).sum(axis=1)


@dataclass(frozen=True)
class LargeMinimum:
    """Where `minimize_large` ended.

    Attributes
    ----------
    x : ndarray of shape (n_unknowns,)
    value : float
    converged : bool
    n_evaluations : int
    """

    x: Float64Array
    value: float
    converged: bool
    n_evaluations: int


def minimize_large(
    objective: Callable[[Float64Array], tuple[float, Float64Array]],
    start: Float64Array,
    solve: Callable[[Float64Array], Float64Array],
    *,
    tolerance: float = 1e-12,
    max_evaluations: int = 200,
) -> LargeMinimum:
    """Minimise one convex function of many unknowns, given an approximate inverse Hessian.

    Parameters
    ----------
    objective : callable
        Returns the value and the gradient of the *mean* loss.
    start : ndarray of shape (n_unknowns,)
        First point.
    solve : callable
        Applies a positive definite approximation of the inverse Hessian to a vector.
    tolerance : float, default=1e-12
        Predicted decrease of the value, relative to ``1 + abs(value)``, that ends the iteration.
    max_evaluations : int, default=200
        Bound on the number of evaluations of `objective`.

    Returns
    -------
    minimum : LargeMinimum

    Notes
    -----
    With an exact `solve` the steps are Newton's; the updates learn what it lacks. Steps are halved
    until the value falls by a share of what was predicted.

    References
    ----------
    J. Nocedal, S. J. Wright. Numerical Optimization, 2nd edition. Springer 2006, chapter 7.
    """
    x = np.array(start, dtype=np.float64)
    value, gradient = objective(x)
    pairs: list[tuple[Float64Array, Float64Array, float]] = []
    n_evaluations, converged = 1, False
    while n_evaluations < max_evaluations:
        step = -_corrected(gradient, pairs, solve)
        decrease = -float(gradient @ step)
        if not decrease > 0.0:  # updates spoilt by rounding: start again from `solve` alone
            converged = not pairs
            if converged:
                break
            pairs.clear()
            continue
        if 0.5 * decrease <= tolerance * (1.0 + abs(value)):
            converged = True
            break
        length = 1.0
        while n_evaluations < max_evaluations:
            trial = x + length * step
            trial_value, trial_gradient = objective(trial)
            n_evaluations += 1
            if trial_value <= value - 1e-4 * length * decrease + 1e-15 * (1.0 + abs(value)):
                break
            length *= 0.5
            if length < 1e-10:
                rounding = 0.5 * decrease <= ROUNDING_DECREASE * (1.0 + abs(value))
                return LargeMinimum(x, value, rounding, n_evaluations)
        else:
            break
        moved, turned = trial - x, trial_gradient - gradient
        curvature = float(moved @ turned)
        if curvature > 1e-14 * float(np.sqrt((moved @ moved) * (turned @ turned))):
            pairs = [*pairs[1 - MEMORY :], (moved, turned, 1.0 / curvature)]
        x, value, gradient = trial, trial_value, trial_gradient
    return LargeMinimum(x, value, converged, n_evaluations)


def _corrected(
    gradient: Float64Array,
    pairs: list[tuple[Float64Array, Float64Array, float]],
    solve: Callable[[Float64Array], Float64Array],
) -> Float64Array:
    """Apply the approximate inverse Hessian, corrected by past steps (the two-loop recursion)."""
    q = gradient.copy()
    shares = []
    for moved, turned, rho in reversed(pairs):
        share = rho * float(moved @ q)
        q -= share * turned
        shares.append(share)
    out = solve(q)
    for (moved, turned, rho), share in zip(pairs, reversed(shares), strict=True):
        out = out + (share - rho * float(turned @ out)) * moved
    return out
