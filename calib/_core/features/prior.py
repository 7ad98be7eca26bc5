"""Gaussian priors of regressions of groups: log loss under them, and how much groups differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.typing import Float64Array, IntArray

#: Pseudo-groups that speak for the scale one starts from.
STRENGTH = 1.0
#: Changes of the logarithm of a variance and of a mean that end the search.
SMALL_CHANGE = (0.02, 0.01)
MAX_ROUNDS = 40
#: Newton steps a round, and the longest of one: far from the optimum they would overshoot.
N_STEPS, LONGEST_STEP = 3, 2.0
#: Steps shorter than this change nothing that the next round would not.
SHORT_STEP = 1e-3


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


def empirical_prior(
    design: Float64Array,
    target: Float64Array,
    starts: IntArray,
    centre: Float64Array,
    scale: Float64Array,
    *,
    weight: Float64Array | None = None,
) -> tuple[Prior, Float64Array]:
    """Estimate the Gaussian prior of logistic regressions of many groups.

    Parameters
    ----------
    design : ndarray of shape (n_samples, n_unknowns)
        Regressors; rows of a group stand together. In standard units, so that coefficients are
        nearly independent.
    target : ndarray of shape (n_samples,)
        Targets in [0, 1].
    starts : ndarray of int of shape (n_groups,)
        First row of every group, ascending from 0; no group is empty.
    centre, scale : ndarray of shape (n_unknowns,)
        Mean and standard deviations, > 0, that one starts from.
    weight : ndarray of shape (n_samples,), default=None
        Positive weights.

    Returns
    -------
    prior : Prior
        Mean and inverse variances of the coefficients over groups.
    coefficients : ndarray of shape (n_groups, n_unknowns)
        Those of the groups under it, nearly converged: a start for `fit_groups`.

    Notes
    -----
    Expectation-maximisation, with the posterior of a group taken as normal (Laplace). `scale`
    counts as one group more, so that the variance of few groups is neither 0 nor wild. Where groups
    agree, variances fall towards their sampling noise and all share one map; where they differ, the
    prior lets go.

    References
    ----------
    C. N. Morris. Parametric empirical Bayes inference: theory and applications. Journal of the
    American Statistical Association 78, 1983. R. Stiratelli, N. Laird, J. H. Ware. Random-effects
    models for serial observations with binary response. Biometrics 40, 1984.
    """
    n_groups = len(starts)
    w = np.ones(len(target)) if weight is None else weight
    first = scale * scale
    mean, variance = centre.astype(np.float64), first.copy()
    x = np.tile(mean, (n_groups, 1))
    for _ in range(MAX_ROUNDS):
        prior = Prior(mean, 1.0 / variance)
        for _ in range(N_STEPS):
            _, gradient, hessian = curvature(design, target, w, starts, prior, x)
            inverse = inverses(hessian)
            step = np.einsum("gij,gj->gi", inverse, gradient)
            longest = np.abs(step).max(axis=1, keepdims=True)
            x = x - step * np.minimum(1.0, LONGEST_STEP / np.maximum(longest, LONGEST_STEP))
            if longest.max() < SHORT_STEP:
                break
        before, mean = mean, x.mean(axis=0)
        spread = ((x - mean) ** 2 + np.einsum("gii->gi", inverse)).sum(axis=0)
        old, variance = variance, (spread + STRENGTH * first) / (n_groups + STRENGTH)
        moved = np.abs(np.log(variance / old)).max(), np.abs(mean - before).max()
        if moved[0] < SMALL_CHANGE[0] and moved[1] < SMALL_CHANGE[1]:
            break
    return Prior(mean, 1.0 / variance), x


def curvature(
    design: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    starts: IntArray,
    prior: Prior,
    x: Float64Array,
    offset: Float64Array | None = None,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return log-odds, gradients and Hessians of the penalised log loss of all groups.

    Parameters
    ----------
    design, target, weight, starts, prior
        As of `fit_groups`.
    x : ndarray of shape (n_groups, n_unknowns)
        Coefficients.
    offset : ndarray of shape (n_samples,), default=None
        What is added to the linear predictor of every row.

    Returns
    -------
    eta : ndarray of shape (n_samples,)
    gradient : ndarray of shape (n_groups, n_unknowns)
    hessian : ndarray of shape (n_groups, n_unknowns, n_unknowns)
    """
    eta = np.empty(len(target))
    gradient = (x - prior.centre) * prior.precision
    hessian = np.tile(np.diag(prior.precision), (len(starts), 1, 1))
    for g, rows in enumerate(slices_of(starts, len(target))):  # a group fits into a cache
        part, w = design[rows], weight[rows]
        s = np.matmul(part, x[g], out=eta[rows])
        if offset is not None:
            s += offset[rows]
        decay = np.exp(-np.abs(s))
        below = 1.0 / (1.0 + decay)
        p = np.where(s >= 0, below, decay * below)
        gradient[g] += (w * (p - target[rows])) @ part
        hessian[g] += (part * (w * decay * below * below)[:, None]).T @ part
    return eta, gradient, hessian


def inverses(hessian: Float64Array) -> Float64Array:
    """Return the inverses of positive semidefinite matrices, pseudo-inverses of singular ones."""
    return np.asarray(np.linalg.pinv(hessian, rcond=1e-13, hermitian=True), dtype=np.float64)


def slices_of(starts: IntArray, n: int) -> list[slice]:
    """Return the rows of every group, given the first of each."""
    ends = [*starts[1:].tolist(), n]
    return [slice(a, b) for a, b in zip(starts.tolist(), ends, strict=True)]
