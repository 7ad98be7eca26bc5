"""Linear and logistic regressions with a Gaussian prior, for many groups of rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.features.prior import Prior, curvature, inverses, slices_of
from calib._core.newton import minimize

Link: TypeAlias = Literal["logistic", "identity"]
BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class GroupFits:
    """Regressions of all groups.

    Attributes
    ----------
    coefficients : ndarray of shape (n_groups, n_unknowns)
        The optima.
    converged : ndarray of bool of shape (n_groups,)
    covariance : ndarray of shape (n_groups, n_unknowns, n_unknowns)
        Inverse Hessians of the penalised sum of losses at the optima: the variance of a coefficient
        given the rows (Laplace), with the identity link in units of the variance of a row. Of a
        coefficient held at 0 by `increasing`, 0.
    """

    coefficients: Float64Array
    converged: BoolArray
    covariance: Float64Array


def fit_groups(
    design: Float64Array,
    target: Float64Array,
    starts: IntArray,
    prior: Prior,
    link: Link,
    *,
    weight: Float64Array | None = None,
    increasing: int | None = None,
    guess: Float64Array | None = None,
    offset: Float64Array | None = None,
) -> GroupFits:
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
    guess : ndarray of shape (n_groups, n_unknowns), default=None
        Where the search begins; None is the centre of the prior.
    offset : ndarray of shape (n_samples,), default=None
        What is added to the linear predictor of every row.

    Returns
    -------
    fits : GroupFits
    """
    solve = _logistic if link == "logistic" else _least_squares
    w = np.ones(len(target)) if weight is None else weight
    base = np.zeros(len(target)) if offset is None else offset
    fits = solve(design, target, w, starts, prior, guess, base)
    if increasing is None or not (fits.coefficients[:, increasing] < 0).any():
        return fits
    falling = np.flatnonzero(fits.coefficients[:, increasing] < 0)
    sizes = np.diff(starts, append=len(target))
    rows = np.isin(np.repeat(np.arange(len(starts)), sizes), falling)
    part_starts = np.concatenate([[0], np.cumsum(sizes[falling])[:-1]])
    rest = solve(
        np.delete(design[rows], increasing, axis=1),
        target[rows],
        w[rows],
        part_starts,
        prior.without(increasing),
        None,
        base[rows],
    )
    fits.converged[falling] = rest.converged
    fits.coefficients[falling] = np.insert(rest.coefficients, increasing, 0.0, axis=1)
    others = np.delete(np.arange(design.shape[1]), increasing)
    fits.covariance[falling] = 0.0
    fits.covariance[np.ix_(falling, others, others)] = rest.covariance
    return fits


def _logistic(
    design: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    starts: IntArray,
    prior: Prior,
    guess: Float64Array | None,
    base: Float64Array,
) -> GroupFits:
    n_groups, n_unknowns = len(starts), design.shape[1]
    if n_unknowns == 0:
        return GroupFits(
            np.empty((n_groups, 0)), np.ones(n_groups, dtype=bool), np.empty((n_groups, 0, 0))
        )
    mass = np.add.reduceat(weight, starts)

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        eta, gradient, hessian = curvature(design, target, weight, starts, prior, x, base)
        loss = weight * (np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta))) - target * eta)
        away = x - prior.centre
        value = np.add.reduceat(loss, starts) + 0.5 * (away * away) @ prior.precision
        return value / mass, gradient / mass[:, None], hessian / mass[:, None, None]

    minimum = minimize(objective, np.tile(prior.centre, (n_groups, 1)) if guess is None else guess)
    hessian = curvature(design, target, weight, starts, prior, minimum.x, base)[2]
    return GroupFits(minimum.x, minimum.converged, inverses(hessian))


def _least_squares(
    design: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    starts: IntArray,
    prior: Prior,
    guess: Float64Array | None,
    base: Float64Array,
) -> GroupFits:
    n_groups, n_unknowns = len(starts), design.shape[1]
    found = np.empty((n_groups, n_unknowns))
    hessians = np.empty((n_groups, n_unknowns, n_unknowns))
    for g, rows in enumerate(slices_of(starts, len(target))):
        part = design[rows]
        weighted = part * weight[rows, None]
        hessians[g] = weighted.T @ part + np.diag(prior.precision)
        gradient = weighted.T @ (target[rows] - base[rows] - part @ prior.centre)
        found[g] = prior.centre + np.linalg.lstsq(hessians[g], gradient, rcond=1e-13)[0]
    return GroupFits(found, np.ones(n_groups, dtype=bool), inverses(hessians))
