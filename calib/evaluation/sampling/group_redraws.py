"""Labels redrawn from the predictions, as dependent inside groups as the observed ones.

Redrawn labels answer what a calibrated model would show. Drawn row by row they know nothing of
groups (images, patients, questions): where the rows of a group err together, a calibrated model
shows far more than independent rows suggest, and a floor drawn so is too low. Here the number that
a label is drawn with is ``Phi(sqrt(rho) z_g + sqrt(1 - rho) e_i)`` with one normal ``z_g`` per
group: every label keeps its probability exactly, so that replicates are calibrated, and products of
residuals inside groups are on average those of the sample. Groups of one row, or rows that are
independent, give the law of independent labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._core import binning
from calib.evaluation.sampling.draws import columns_passed

#: Terms of the expansion of the bivariate normal law in powers of the correlation.
N_TERMS = 40
#: Ranges of predictions inside which the mean residual of other groups is taken off.
N_RANGES = 10
#: Correlations tried; the expansion is evaluated once for all of them.
GRID = np.linspace(0.0, 1.0, 1001)
#: Probabilities nearer to 0 or 1 have no residual to speak of.
SMALLEST = 1e-300


class GroupRedraws:
    """Uniform numbers that are dependent inside groups, the same noise for every model.

    Parameters
    ----------
    groups : ndarray of int of shape (n_samples,)
        Group of every row, numbered from 0 without gaps.
    n_replicates : int
        Replicates to draw.
    rng : Generator
        Source of what the rows of a group have in common.
    """

    def __init__(self, groups: IntArray, n_replicates: int, rng: np.random.Generator) -> None:
        self.groups = groups
        self.shared = rng.standard_normal((n_replicates, int(groups.max()) + 1))

    def uniform(
        self,
        correlation: float,
        noise: Float64Array,
        replicates: slice = slice(None),
        rows: slice | IntArray = slice(None),
    ) -> Float64Array:
        """Return numbers in [0, 1), shape (n_replicates, n_rows).

        Parameters
        ----------
        correlation : float in [0, 1]
            Share of the variance that the rows of a group have in common.
        noise : ndarray of shape (n_replicates, n_rows)
            Standard normal numbers that every row has of its own.
        replicates, rows : slice or ndarray of int
            Replicates and rows that `noise` belongs to.
        """
        from scipy.special import ndtr

        out: Float64Array = self.shared[replicates][:, self.groups[rows]] * np.sqrt(correlation)
        out += noise * np.sqrt(1.0 - correlation)
        ndtr(out, out=out)
        np.minimum(out, 1.0 - 2.0**-53, out=out)
        return out


class LabelRedraws:
    """Numbers that the labels of several models under calibration are drawn with.

    Parameters
    ----------
    groups : GroupRedraws or None
        None draws every row by itself.
    correlation : dict of str to float
        Latent correlation inside groups, by model.
    columns : dict of str to ndarray of shape (n_samples, n_classes)
        Probabilities, by model.
    """

    def __init__(
        self,
        groups: GroupRedraws | None,
        correlation: Mapping[str, float],
        columns: Mapping[str, FloatArray],
    ) -> None:
        self.groups, self.correlation, self.columns = groups, correlation, columns

    def noise(self, n_replicates: int, n_rows: int, rng: np.random.Generator) -> Float64Array:
        """Return what rows have of their own, the same for all models."""
        draw = rng.random if self.groups is None else rng.standard_normal
        return np.asarray(draw((n_replicates, n_rows)))

    def numbers(
        self,
        model: str,
        noise: Float64Array,
        replicates: slice = slice(None),
        rows: slice = slice(None),
    ) -> Float64Array:
        """Return numbers in [0, 1) for `draw_labels`, shape (n_replicates, n_rows)."""
        if self.groups is None:
            return noise
        uniform = self.groups.uniform(self.correlation[model], noise, replicates, rows)
        return from_the_top(self.columns[model][rows].astype(np.float64), uniform)


def from_the_top(block: Float64Array, uniform: Float64Array) -> Float64Array:
    """Return numbers for `draw_labels`, of which the smallest draw the most probable class.

    The next larger ones draw the second most probable class, and so on. With three classes or more,
    rows of a group are then right or wrong together, whatever classes they predict.

    Parameters
    ----------
    block : ndarray of shape (n_samples, n_classes)
        Probabilities.
    uniform : ndarray of shape (n_replicates, n_samples)
        Numbers in [0, 1).
    """
    n_samples, n_classes = block.shape
    if n_classes <= 2:
        return uniform
    proba = np.maximum(block, 0.0)
    proba = proba / proba.sum(axis=1, keepdims=True)
    order = np.argsort(-proba, axis=1, kind="stable")
    row = np.arange(n_samples)
    by_rank = np.take_along_axis(proba, order, axis=1).cumsum(axis=1)
    rank = columns_passed(np.minimum(by_rank, 1.0), uniform)
    before_rank = np.hstack([np.zeros((n_samples, 1)), by_rank[:, :-1]])
    before_class = np.hstack([np.zeros((n_samples, 1)), proba.cumsum(axis=1)[:, :-1]])
    code = order[row, rank]
    turned = before_class[row, code] + (uniform - before_rank[row, rank])
    inside = before_class[row, code] + 0.5 * proba[row, code]
    near = np.abs(turned - inside) < 0.5 * proba[row, code]  # rounding leaves the class else
    return np.asarray(np.where(near, np.clip(turned, 0.0, 1.0 - 2.0**-53), inside))


def group_correlation(
    prediction: Float64Array,
    event: LabelArray,
    groups: IntArray,
    weight: Float64Array | None = None,
) -> float:
    """Return the correlation of the latent numbers that gives the observed products of residuals.

    Parameters
    ----------
    prediction : ndarray of shape (n_samples,)
        Probabilities of an event.
    event : ndarray of shape (n_samples,)
        The events as 0 and 1.
    groups : ndarray of int of shape (n_samples,)
        Group of every row, numbered from 0 without gaps.
    weight : ndarray of shape (n_samples,) or None
        Positive weights.

    Returns
    -------
    correlation : float in [0, 1]
        0 where rows of a group err no more alike than rows of different groups.

    Notes
    -----
    Solves ``sum w_i w_j (Phi_2(z_i, z_j; rho) - p_i p_j) = sum w_i w_j r_i r_j`` over the pairs of
    rows of a group. From the right-hand side the mean product over pairs of different groups and
    the same two ranges of predictions is taken off: 0 under calibration, it removes what a
    miscalibration common to all groups adds. Cost: O(n_samples `N_TERMS`).
    """
    from scipy.special import ndtri

    p = np.clip(prediction, SMALLEST, 1.0 - 2.0**-53)
    w = np.ones(len(p)) if weight is None else weight / weight.max()
    n_groups = int(groups.max()) + 1
    if n_groups == len(p):
        return 0.0
    residual = w * (event.astype(np.float64) - np.clip(prediction, 0.0, 1.0))
    excess = _products_beyond_other_groups(p, residual, w, groups, n_groups)
    if excess <= 0:
        return 0.0
    z = ndtri(p)
    density = w * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    terms = (density * polynomial / np.sqrt(k) for k, polynomial in _hermite(z))
    return _correlation_of(terms, excess, groups, n_groups)


def quantile_correlation(
    score: Float64Array, residual: Float64Array, start: IntArray, groups: IntArray
) -> float:
    """Return the same for residuals that are drawn from blocks of rows, in place of events.

    A latent number is turned into the quantile of its row's block.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        Predictions in [0, 1].
    residual : ndarray of shape (n_samples,)
        Rows of a block side by side and ascending; of mean 0 in every block.
    start : ndarray of int of shape (n_blocks,)
        Where every block begins.
    groups : ndarray of int of shape (n_samples,)
        Group of every row, numbered from 0 without gaps.
    """
    from scipy.special import ndtri

    n, n_groups = len(residual), int(groups.max()) + 1
    if n_groups == n:
        return 0.0
    excess = _products_beyond_other_groups(score, residual, np.ones(n), groups, n_groups)
    if excess <= 0:
        return 0.0
    size = np.diff(np.append(start, n))
    first, width = np.repeat(start, size), np.repeat(size, size)
    rank = np.arange(n) - first + 1
    inner = rank < width
    z = ndtri(np.where(inner, rank / width, 0.5))
    step = np.where(inner, np.append(np.diff(residual), 0.0), 0.0)
    density = step * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    terms = (
        np.repeat(np.add.reduceat(density * polynomial, start) / np.sqrt(k), size)
        for k, polynomial in _hermite(z)
    )
    return _correlation_of(terms, excess, groups, n_groups)


def _hermite(z: Float64Array) -> Iterator[tuple[int, Float64Array]]:
    """Yield k = 1, 2, ... with the normalised Hermite polynomial of degree k - 1."""
    before, polynomial = np.zeros(len(z)), np.ones(len(z))
    for k in range(1, N_TERMS + 1):
        yield k, polynomial
        following = (z * polynomial - np.sqrt(k - 1.0) * before) / np.sqrt(k)
        before, polynomial = polynomial, following


def _correlation_of(
    terms: Iterable[Float64Array], excess: float, groups: IntArray, n_groups: int
) -> float:
    """Return the latent correlation at which the expected products of pairs are the observed ones.

    `terms` are the coefficients of what a row shows, in Hermite polynomials of its latent number.
    """
    total = np.zeros(len(GRID))
    power = np.ones(len(GRID))
    for term in terms:
        power = power * GRID
        total += power * _pair_sum(term, groups, n_groups)
    rising = np.maximum.accumulate(total)
    return float(GRID[min(int(np.searchsorted(rising, excess)), len(GRID) - 1)])


def _pair_sum(values: Float64Array, groups: IntArray, n_groups: int) -> float:
    """Return the sum of products over pairs of different rows of a group."""
    sums = np.bincount(groups, values, minlength=n_groups)
    return 0.5 * float(sums @ sums - values @ values)


def _products_beyond_other_groups(
    p: Float64Array, residual: Float64Array, w: Float64Array, groups: IntArray, n_groups: int
) -> float:
    """Return the sum of products over pairs of a group beyond that of pairs of different groups."""
    cells = binning.cells_between(p, binning.quantile_edges(p, N_RANGES, None))
    key = groups * N_RANGES + cells
    size = n_groups * N_RANGES
    sums, mass = (
        np.bincount(key, values, minlength=size).reshape(n_groups, N_RANGES)
        for values in (residual, w)
    )
    alone, alone_mass = (
        np.diag(np.bincount(cells, values * values, minlength=N_RANGES)) for values in (residual, w)
    )
    within, within_mass = sums.T @ sums, mass.T @ mass
    between = np.outer(sums.sum(axis=0), sums.sum(axis=0)) - within
    between_mass = np.outer(mass.sum(axis=0), mass.sum(axis=0)) - within_mass
    expected = np.zeros_like(between)
    known = between_mass > 1e-9 * within_mass.max()
    np.divide(between * (within_mass - alone_mass), between_mass, out=expected, where=known)
    return 0.5 * float((within - alone - expected).sum())
