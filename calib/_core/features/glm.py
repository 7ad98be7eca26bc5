"""Linear and logistic regressions with a Gaussian prior, for many groups of rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.newton import minimize

Link: TypeAlias = Literal["logistic", "identity"]
BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian prior of the coefficients: where it is centred, and the inverse variances.

    Attributes
    ----------
    centre : ndarray of shape (n_unknowns,)
        Mean.
    precision : ndarray of shape (n_unknowns,)
        Inverse variances, >= 0; 0 leaves a coefficient free.
    """

    centre: Float64Array
    precision: Float64Array

    def without(self, column: int) -> Prior:
        """Drop one coefficient."""
        return Prior(np.delete(self.centre, column), np.delete(self.precision, column))


def fit_groups(
    design: Float64Array,
    target: Float64Array,
    starts: IntArray,
    prior: Prior,
    link: Link,
    *,
    weight: Float64Array | None = None,
    increasing: int | None = None,
    start: Float64Array | None = None,
    offset: Float64Array | None = None,
) -> tuple[Float64Array, BoolArray]:
    """Fit one regression per group of consecutive rows.

    Parameters
    ----------
    design : ndarray of shape (n_samples, n_unknowns)
        Regressors; rows of a group stand together.
    target : ndarray of shape (n_samples,)
        Targets, in [0, 1] for the logistic link.
    starts : ndarray of int of shape (n_groups,)
        First row of every group, ascending from 0; no group is empty.
    prior : Prior
        Shared by all groups. The penalty is ``precision / 2 * (coefficient - centre)**2`` beside
        the *sum* of the losses of a group: log loss, or half the squared error.
    link : {"logistic", "identity"}
        Logistic regression of fractions, or least squares.
    weight : ndarray of shape (n_samples,), default=None
        Positive weights; None weighs all rows alike.
    increasing : int, default=None
        Column whose coefficient must not be negative; where it would be, it is 0 and the others
        are fitted again.
    start : ndarray of shape (n_groups, n_unknowns), default=None
        Where Newton steps begin; None begins at the centre of the prior.
    offset : ndarray of shape (n_samples,), default=None
        What is added to the linear predictor of every row.

    Returns
    -------
    coefficients : ndarray of shape (n_groups, n_unknowns)
        The optima.
    converged : ndarray of bool of shape (n_groups,)
    """
    solve = _logistic if link == "logistic" else _least_squares
    w = np.ones(len(target)) if weight is None else weight
    begin = np.tile(prior.centre, (len(starts), 1)) if start is None else start
    base = np.zeros(len(target)) if offset is None else offset
    found, converged = solve(design, target, w, starts, prior, begin, base)
    if increasing is None or not (found[:, increasing] < 0).any():
        return found, converged
    falling = np.flatnonzero(found[:, increasing] < 0)
    sizes = np.diff(starts, append=len(target))
    rows = np.isin(np.repeat(np.arange(len(starts)), sizes), falling)
    part_starts = np.concatenate([[0], np.cumsum(sizes[falling])[:-1]])
    rest, converged[falling] = solve(
        np.delete(design[rows], increasing, axis=1),
        target[rows],
        w[rows],
        part_starts,
        prior.without(increasing),
        np.delete(begin[falling], increasing, axis=1),
        base[rows],
    )
    found[falling] = np.insert(rest, increasing, 0.0, axis=1)
    return found, converged


def _slices(starts: IntArray, n: int) -> list[slice]:
    ends = [*starts[1:].tolist(), n]
    return [slice(a, b) for a, b in zip(starts.tolist(), ends, strict=True)]


def _logistic(
    design: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    starts: IntArray,
    prior: Prior,
    begin: Float64Array,
    base: Float64Array,
) -> tuple[Float64Array, BoolArray]:
    n_groups, n_unknowns = len(starts), design.shape[1]
    if n_unknowns == 0:
        return np.empty((n_groups, 0)), np.ones(n_groups, dtype=bool)
    groups = _slices(starts, len(target))
    code = np.repeat(np.arange(n_groups), np.diff(starts, append=len(target)))
    mass = np.add.reduceat(weight, starts)
    ridge = np.diag(prior.precision)

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        eta = base + np.einsum("ij,ij->i", design, x[code])
        decay = np.exp(-np.abs(eta))
        loss = weight * (np.maximum(eta, 0.0) + np.log1p(decay) - target * eta)
        slope = weight * (np.where(eta >= 0, 1.0, decay) / (1.0 + decay) - target)
        bend = weight * decay / (1.0 + decay) ** 2
        away = x - prior.centre
        value = np.add.reduceat(loss, starts) + 0.5 * (away * away) @ prior.precision
        gradient = away * prior.precision
        hessian = np.empty((n_groups, n_unknowns, n_unknowns))
        bent = design * bend[:, None]
        for g, rows in enumerate(groups):
            gradient[g] += slope[rows] @ design[rows]
            hessian[g] = bent[rows].T @ design[rows] + ridge
        return value / mass, gradient / mass[:, None], hessian / mass[:, None, None]

    minimum = minimize(objective, begin)
    return minimum.x, minimum.converged


def _least_squares(
    design: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    starts: IntArray,
    prior: Prior,
    begin: Float64Array,
    base: Float64Array,
) -> tuple[Float64Array, BoolArray]:
    found = np.empty((len(starts), design.shape[1]))
    for g, rows in enumerate(_slices(starts, len(target))):
        part = design[rows]
        weighted = part * weight[rows, None]
        hessian = weighted.T @ part + np.diag(prior.precision)
        gradient = weighted.T @ (target[rows] - base[rows] - part @ prior.centre)
        found[g] = prior.centre + np.linalg.lstsq(hessian, gradient, rcond=1e-13)[0]
    return found, np.ones(len(starts), dtype=bool)
