"""The likeliest class frequencies of unlabelled rows, and the algebra of vectors that sum to 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from calib._border.typing import Float64Array, IntArray

#: Newton steps; about ten are needed.
MOST_STEPS = 100


def likeliest_prior(
    ratio: Float64Array, source: Float64Array, count: float, present: Any
) -> Float64Array:
    """Return the prior with the largest posterior; classes that are not present keep the source's.

    Parameters
    ----------
    ratio : ndarray of shape (n_samples, n_classes)
        Probabilities over the source prior.
    source : ndarray of shape (n_classes,)
    count : float > 0
        Pseudo-count of the source prior.
    present : ndarray of bool of shape (n_classes,)

    Notes
    -----
    Concave; Newton steps on the simplex, halved until the objective rises and all stay positive.
    """
    n = len(ratio)
    fixed = np.where(present, 0.0, source)
    free = np.flatnonzero(present)
    mass = 1.0 - fixed.sum()
    base, part = ratio @ fixed, ratio[:, free]
    centre = source[free] / source[free].sum() * mass
    pull = count * centre
    q = centre.copy()
    if len(free) < 2:
        fixed[free] = mass
        return fixed

    def objective(q: Float64Array) -> float:
        mixture = np.maximum(base + part @ q, 1e-300)
        return float(np.log(mixture).sum() + pull @ np.log(q))

    value = objective(q)
    for _ in range(MOST_STEPS):
        scaled = part / np.maximum(base + part @ q, 1e-300)[:, None]
        gradient = scaled.sum(axis=0) + pull / q
        curvature = scaled.T @ scaled + np.diag(pull / (q * q))
        ones = np.ones(len(q))
        solved = np.linalg.lstsq(curvature, np.stack([gradient, ones], axis=1), rcond=1e-14)[0]
        step = solved[:, 0] - solved[:, 1] * (solved[:, 0].sum() / solved[:, 1].sum())
        falling = step < 0
        length = 1.0
        if falling.any():
            length = min(1.0, 0.995 * float((q[falling] / -step[falling]).min()))
        rise = float(gradient @ step)
        if rise <= 1e-12 * max(1.0, n):
            break
        while length > 1e-12:
            trial = q + length * step
            trial_value = objective(trial)
            if trial_value >= value + 1e-4 * length * rise:
                break
            length *= 0.5
        else:
            break
        q, value = trial, trial_value
    fixed[free] = q
    return np.asarray(fixed / fixed.sum())


def tangents(n_classes: int) -> Float64Array:
    """Return an orthonormal basis of vectors that sum to 0, (n_classes, n_classes - 1)."""
    from scipy.linalg import helmert

    return np.asarray(helmert(n_classes).T)


def inverse_of(covariance: Float64Array) -> tuple[Float64Array, int]:
    """Return the pseudo-inverse of a covariance in units of its diagonal, and its rank."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / np.outer(scale, scale)
    inverse = np.linalg.pinv(correlation, rcond=1e-8, hermitian=True)
    rank = int(np.linalg.matrix_rank(correlation, tol=1e-8 * len(scale), hermitian=True))
    return np.asarray(inverse / np.outer(scale, scale)), rank


def quadratic(difference: Float64Array, covariance: Float64Array) -> tuple[float, int]:
    """Return the squared distance in units of a covariance, and its rank."""
    inverse, rank = inverse_of(np.atleast_2d(covariance))
    return float(difference @ inverse @ difference), rank


def sandwich(
    target: Float64Array,
    source: Float64Array,
    codes: IntArray,
    counts: Float64Array,
    prior: Float64Array,
) -> Float64Array:
    """Return the variance of every frequency of an estimate without shrinkage.

    Parameters
    ----------
    target, source : ndarray of shape (n_samples, n_classes)
        Probabilities over the source prior, of unlabelled and of calibration rows.
    codes : ndarray of int of shape (n_source,)
        Classes of the calibration rows.
    counts : ndarray of shape (n_classes,)
        Weight of each class in the calibration set.
    prior : ndarray of shape (n_classes,)
        The estimate, none of it 0.

    Returns
    -------
    variance : ndarray of shape (n_classes,)
    """
    basis = tangents(len(prior))

    def scores(values: Float64Array) -> Float64Array:
        return np.asarray((values / (values @ prior)[:, None]) @ basis)

    of_target, of_source = scores(target), scores(source)
    n = len(target)
    bread = np.linalg.pinv(of_target.T @ of_target / n, rcond=1e-10, hermitian=True)
    meat = np.cov(of_target, rowvar=False, ddof=1).reshape(bread.shape) / n
    for k in np.flatnonzero(counts > 0):
        rows = of_source[codes == k]
        if len(rows) > 1:
            spread = np.cov(rows, rowvar=False, ddof=1).reshape(bread.shape)
            meat = meat + prior[k] ** 2 * spread / max(counts[k], 1.0)
    variance = np.einsum("ij,jk,ik->i", basis, bread @ meat @ bread, basis)
    return np.asarray(np.maximum(variance, 0.0))
