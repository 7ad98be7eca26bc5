"""Readouts of hidden states: a fast one that ranks layers, and those that a probe ends with.

Every readout is fitted many times at once, each time without some folds: without fold k to choose
for the final fit, and without folds j and k to choose for the readout that scores fold k. So
nothing that was chosen has seen the row that it is judged on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._core.links import expit
from calib._core.newton import minimize_large
from uq.ood.ranking import auroc

#: Steps of the least-squares path at which layers are scored; the best of them counts.
PATH_STEPS = (1, 2, 4, 7, 10)
#: Ridge of the path, beside dimensions of mean square 1: keeps steps finite; early ends shrink.
PATH_RIDGE = 1e-3
#: Prior variances of the log-odds among which C="cv" chooses: C is one of them over the mean
#: squared length of a state.
PRIOR_VARIANCES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
NETWORK_VARIANCES = (1.0, 10.0, 100.0)
#: Predicted decrease of the mean loss at which fits end that choose, and the one that stays.
CHOICE_TOLERANCE, FINAL_TOLERANCE = 1e-11, 1e-13
#: Jitter of a Gram matrix, relative to its mean diagonal.
JITTER = 1e-10


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Which folds each fit leaves out: every single fold, then every pair.

    Attributes
    ----------
    fold : ndarray of int, shape (n_samples,)
        Fold that holds a row out.
    pairs : ndarray of int, shape (n_fits, 2)
        Folds left out; twice the same for a single one.
    """

    fold: IntArray
    pairs: IntArray

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def training(self) -> LabelArray:
        """Rows that train each fit, shape (n_samples, n_fits)."""
        first, second = self.pairs.T
        return np.asarray((self.fold[:, None] != first) & (self.fold[:, None] != second))

    def held_out(self) -> Iterator[tuple[int, int, int, IntArray]]:
        """Yield (fit, fold that is scored later, fold that judges, its rows); equal for singles."""
        rows = [np.flatnonzero(self.fold == k) for k in range(self.n_folds)]
        for number, (j, k) in enumerate(self.pairs.tolist()):
            yield number, j, k, rows[k]
            if j != k:
                yield number, k, j, rows[j]


def left_out(fold: IntArray, *, nested: bool) -> LeftOut:
    """Return the fits that leave out single folds and, if something is chosen, pairs."""
    n_folds = int(fold.max()) + 1
    pairs = [(k, k) for k in range(n_folds)]
    if nested:
        pairs += [(j, k) for j in range(n_folds) for k in range(j)]
    return LeftOut(fold, np.array(pairs))


def choice(table: Float64Array, weight: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the mean over judging folds: for the final fit, and for the readout of each fold.

    Parameters
    ----------
    table : ndarray of shape (n_candidates, n_folds, n_folds)
        Entry (c, k, j): value of candidate c on fold j, without folds j and k.
    weight : ndarray of shape (n_folds,)
        Of the judging folds.

    Returns
    -------
    final : ndarray of shape (n_candidates,)
    of_fold : ndarray of shape (n_candidates, n_folds)
        Without anything that involves the fold.
    """
    n_folds = len(weight)
    final = np.diagonal(table, axis1=1, axis2=2) @ weight / weight.sum()
    others = weight * (1 - np.eye(n_folds))
    total = others.sum(axis=1)
    usable = np.where(total > 0, total, 1.0)
    return final, (np.where(others > 0, table, 0.0) * others).sum(axis=2) / usable


def area(scores: FloatArray, y: LabelArray) -> float:
    """Return the area under the ROC curve; 1/2 where one class is missing."""
    if y.all() or not y.any():
        return 0.5
    values, code = np.unique(scores, return_inverse=True)
    right = np.bincount(code, y, minlength=len(values)).astype(np.float64)
    return float(auroc(right, np.bincount(code) - right))


def judging_pairs(fold: IntArray, y: LabelArray) -> Float64Array:
    """Return the number of pairs (right, wrong) in each fold, the weights of areas."""
    right = np.bincount(fold, y)
    return np.asarray(right * (np.bincount(fold) - right), dtype=np.float64)


# ------------------------------------------------------------------------------ ranking of layers


def layer_areas(X: FloatArray, y: Float64Array, fits: LeftOut) -> Float64Array:
    """Return areas under the ROC curve along the least-squares path, (n_steps, n_folds, n_folds).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Scaled states of one layer.
    y : ndarray of shape (n_samples,)
        0 and 1.
    fits : LeftOut

    Returns
    -------
    table : ndarray of shape (n_steps, n_folds, n_folds)
        As `choice` reads it; NaN for pairs that were not fitted.
    """
    table = np.full((len(PATH_STEPS), fits.n_folds, fits.n_folds), np.nan)
    for step, scores in enumerate(_least_squares_path(X, y, fits.training)):
        for number, k, j, rows in fits.held_out():
            table[step, k, j] = area(scores[rows, number], y[rows])
    return table


def _least_squares_path(
    X: FloatArray, y: Float64Array, training: LabelArray
) -> Iterator[FloatArray]:
    """Yield the scores of all rows after some conjugate-gradient steps, one column per fit.

    The first step is the difference of class means; the more follow, the more directions of the
    covariance are taken into account.
    """
    kept = training.astype(X.dtype)
    count = kept.sum(axis=0)
    target = y.astype(X.dtype)[:, None]
    residual = ((kept * (target - (kept * target).sum(axis=0) / count)).T @ X).T
    direction = residual.copy()
    length = (residual * residual).sum(axis=0)
    exhausted = length * np.finfo(X.dtype).eps ** 2
    scores = np.zeros_like(kept)
    basis: list[FloatArray] = []
    for step in range(1, max(PATH_STEPS) + 1):
        alive = length > exhausted
        basis.append(residual / np.sqrt(np.where(alive, length, np.inf)))
        moved = X @ direction
        centred = kept * (moved - (kept * moved).sum(axis=0) / count)
        bent = (centred.T @ X).T + PATH_RIDGE * count * direction
        bend = (direction * bent).sum(axis=0)
        share = np.where(alive, length, 0) / np.where(alive & (bend > 0), bend, np.inf)
        scores = scores + share * moved
        residual = residual - share * bent
        for earlier in basis:  # rounding would bring back directions that are used up
            residual -= earlier * (earlier * residual).sum(axis=0)
        before, length = length, (residual * residual).sum(axis=0)
        direction = residual + length / np.where(alive, before, np.inf) * direction
        if step in PATH_STEPS:
            yield scores


# ------------------------------------------------------------------------------ logistic regression


@dataclass(frozen=True, eq=False)
class Linear:
    """Log-odds that are linear in scaled states.

    Attributes
    ----------
    weights : ndarray of shape (n_features,)
    intercept : float
    """

    weights: Float64Array
    intercept: float

    def log_odds(self, X: FloatArray) -> Float64Array:
        """Return the log-odds of rows."""
        return np.asarray(X @ self.weights + self.intercept)


class LogisticPath:
    """Logistic regressions with an L2 penalty, without different rows and at several C, at once.

    Where there are fewer rows than dimensions, all is done in as many coordinates as rows, which
    changes nothing: the weights of a penalised fit lie in the span of the rows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows that sum to 0, float64.
    y : ndarray of shape (n_samples,)
        0 and 1.
    """

    def __init__(self, X: Float64Array, y: Float64Array) -> None:
        n, d = X.shape
        self._rows, self._y = X, y
        self._factor: Float64Array | None = None
        if n < d:
            gram = X @ X.T
            gram[np.diag_indices(n)] += JITTER * max(float(np.trace(gram)) / n, 1e-300)
            self._factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        self._z: Float64Array = X if self._factor is None else self._factor
        self._second = self._z.T @ self._z / n

    def fit(
        self, training: LabelArray, grid: tuple[float, ...], tolerance: float
    ) -> Iterator[tuple[Float64Array, Float64Array]]:
        """Yield weights (n_coordinates, n_fits) and intercepts (n_fits,) of every C of the grid.

        Parameters
        ----------
        training : ndarray of bool, shape (n_samples, n_fits)
            Rows of each fit.
        grid : tuple of float
            Values of C, ascending: ``|w|^2 / 2 + C sum of losses`` is minimal.
        tolerance : float
            Decrease of the mean loss that ends a fit.
        """
        z, n_fits = self._z, training.shape[1]
        kept = training.astype(np.float64)
        count = kept.sum(axis=0)
        kept /= count
        rate = self._y @ kept
        slope = float(np.mean(rate * (1 - rate)))
        x = np.vstack([np.zeros((z.shape[1], n_fits)), np.log(rate / (1 - rate))])
        for C in grid:
            penalty = 1.0 / (C * count)
            inverse = self._second * slope
            inverse[np.diag_indices(len(inverse))] += penalty.mean()
            factor = cho_factor(inverse, overwrite_a=True, check_finite=False)

            def objective(
                flat: Float64Array, penalty: Float64Array = penalty
            ) -> tuple[float, Float64Array]:
                point = flat.reshape(-1, n_fits)
                w, b = point[:-1], point[-1]
                eta = z @ w + b
                loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
                loss -= self._y[:, None] * eta
                error = kept * (expit(eta, np) - self._y[:, None])
                value = (kept * loss).sum() + 0.5 * (penalty * w * w).sum()
                gradient = np.vstack([z.T @ error + penalty * w, error.sum(axis=0)])
                return float(value), gradient.ravel()

            def solve(flat: Float64Array, factor: Any = factor) -> Float64Array:
                point = flat.reshape(-1, n_fits)
                steps = cho_solve(factor, point[:-1], check_finite=False)
                return np.vstack([steps, point[-1] / slope]).ravel()

            minimum = minimize_large(objective, x.ravel(), solve, tolerance=tolerance)
            x = minimum.x.reshape(-1, n_fits)
            yield x[:-1], x[-1]

    def log_odds(self, weights: Float64Array, intercept: Float64Array) -> Float64Array:
        """Return the log-odds of all rows, shape (n_samples, n_fits)."""
        return np.asarray(self._z @ weights + intercept)

    def linear(self, weights: Float64Array, intercept: float) -> Linear:
        """Return a fit in terms of the features."""
        if self._factor is not None:
            solved = solve_triangular(
                self._factor, weights, lower=True, trans="T", check_finite=False
            )
            weights = self._rows.T @ solved
        return Linear(weights, float(intercept))


# --------------------------------------------------------------------------------- readouts


@dataclass(frozen=True)
class Readout:
    """How log-odds are read from the scaled states of one layer.

    Attributes
    ----------
    reduce : int or None
        Principal components that are kept.
    hidden : tuple of int
        Widths of the hidden layers; none: a logistic regression.
    C : float or None
        Inverse strength of the L2 penalty; None: chosen.
    seed : int
        Of networks and randomised components.
    """

    reduce: int | None
    hidden: tuple[int, ...]
    C: float | None
    seed: int

    def grid(self, X: Float64Array) -> tuple[float, ...]:
        """Return the candidates for C, ascending."""
        if self.C is not None:
            return (self.C,)
        length = float(np.einsum("ij,ij->", X, X)) / len(X) or 1.0
        variances = NETWORK_VARIANCES if self.hidden else PRIOR_VARIANCES
        return tuple(variance / length for variance in variances)

    def out_of_fold(self, X: Float64Array, y: Float64Array, fits: LeftOut) -> Float64Array:
        """Return log-odds of every fit at every C, shape (n_grid, n_samples, n_fits).

        Log-odds of rows that a fit was trained on are not those of new rows.
        """
        training, grid = fits.training, self.grid(X)
        if self.reduce is None and not self.hidden:
            path = LogisticPath(X, y)
            at_each = path.fit(training, grid, CHOICE_TOLERANCE)
            return np.stack([path.log_odds(*fitted) for fitted in at_each])
        out = np.empty((len(grid), *training.shape))
        for number, rows in enumerate(training.T):
            components = self._components(X[rows])
            reduced = X if components is None else X @ components
            for place, fitted in enumerate(self._fits(reduced[rows], y[rows], grid)):
                out[place, :, number] = fitted.log_odds(reduced)
        return out

    def final(self, X: Float64Array, y: Float64Array, C: float) -> Any:
        """Return the readout that is fitted on all rows: it has `log_odds` of scaled states."""
        components = self._components(X)
        reduced = X if components is None else X @ components
        (fitted,) = self._fits(reduced, y, (C,), FINAL_TOLERANCE)
        if components is None:
            return fitted
        if isinstance(fitted, Linear):
            return Linear(components @ fitted.weights, fitted.intercept)
        return Network(fitted.network, components)

    def _components(self, X: Float64Array) -> Float64Array | None:
        """Return the principal directions of some rows, as columns."""
        if self.reduce is None:
            return None
        from sklearn.decomposition import PCA

        return np.asarray(PCA(self.reduce, random_state=self.seed).fit(X).components_.T)

    def _fits(
        self,
        X: Float64Array,
        y: Float64Array,
        grid: tuple[float, ...],
        tolerance: float = CHOICE_TOLERANCE,
    ) -> Iterator[Any]:
        if self.hidden:
            for C in grid:
                yield Network(_fit_network(X, y, self.hidden, C, self.seed), None)
            return
        centre = np.zeros(X.shape[1]) if self.reduce is None else X.mean(axis=0)
        path = LogisticPath(X if self.reduce is None else X - centre, y)
        everything = np.ones((len(X), 1), dtype=bool)
        for weights, intercept in path.fit(everything, grid, tolerance):
            fitted = path.linear(weights[:, 0], intercept[0])
            yield Linear(fitted.weights, fitted.intercept - float(centre @ fitted.weights))


@dataclass(frozen=True, eq=False)
class Network:
    """Log-odds of a small network, of states or of their principal components."""

    network: Any
    components: Float64Array | None

    def log_odds(self, X: FloatArray) -> Float64Array:
        """Return the log-odds of rows."""
        inputs = X if self.components is None else X @ self.components
        log_proba = self.network.predict_log_proba(inputs)
        return np.asarray(log_proba[:, 1] - log_proba[:, 0])


def _fit_network(
    X: Float64Array, y: Float64Array, hidden: tuple[int, ...], C: float, seed: int
) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(hidden, alpha=1.0 / C, random_state=seed)
    with warnings.catch_warnings():  # an early end is a stronger penalty, and is chosen by C
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(X, y.astype(np.intp))
