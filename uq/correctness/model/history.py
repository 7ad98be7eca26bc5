"""What became of similar questions: nearest neighbours among the answers of the fit."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, IntArray
from uq.correctness.model.features import Matrix

#: Rows of zero similarity that the rate of the model counts for.
PRIOR_WEIGHT = 2.0
NAMES = ("history_of_model", "history_of_all")


class History:
    """Rates of right answers to the questions nearest to another one.

    ``(sum_j w_j a_j + s0 * base) / (sum_j w_j + s0)`` over the `n_neighbors` nearest questions that
    the model has answered, with cosines w_j (0 where negative), mean correctness a_j, s0 = 2 and
    the model's rate as base. A model with fewer questions than that, or a new one, takes the
    answers of all models.

    Parameters
    ----------
    n_neighbors : int >= 1
    """

    def __init__(self, n_neighbors: int) -> None:
        self.n_neighbors = n_neighbors

    def fit(
        self,
        vectors: Matrix,
        units: IntArray,
        models: IntArray,
        correct: Float64Array,
        weight: Float64Array,
        rates: Float64Array,
        rate: float,
    ) -> None:
        """Keep one vector per question, and how each model did on it.

        Parameters
        ----------
        vectors : matrix of n rows
        units : ndarray of int, shape (n,)
            Questions; those to be told apart.
        models : ndarray of int, shape (n,)
            -1 for none.
        correct, weight : ndarray of shape (n,)
        rates, rate : ndarray of shape (n_models,), float
            Rates of right answers of every model and of all.
        """
        self.units, first, place = np.unique(units, return_index=True, return_inverse=True)
        self.vectors = _unit_rows(vectors[first])
        self.rates = np.append(rates, rate)
        shape = (len(self.units), len(rates) + 1)
        right, total = np.zeros(shape), np.zeros(shape)
        for column in (models, np.full(len(models), len(rates))):
            known = column >= 0
            np.add.at(right, (place[known], column[known]), (weight * correct)[known])
            np.add.at(total, (place[known], column[known]), weight[known])
        self.mean = np.divide(right, total, out=np.zeros(shape), where=total > 0)
        self.answered = total > 0
        self.long_enough = self.answered.sum(axis=0) > self.n_neighbors

    def transform(
        self, vectors: Matrix, models: IntArray, units: IntArray | None = None
    ) -> Float64Array:
        """Return the estimates by the model's own answers and by all, shape (n, 2).

        Parameters
        ----------
        vectors : matrix of n rows
        models : ndarray of int, shape (n,)
        units : ndarray of int, shape (n,), or None
            Questions of the fit, whose own answers are left out.
        """
        everyone = len(self.rates) - 1
        out = np.empty((len(models), 2))
        for rows in row_blocks(len(models), len(self.units)):
            cosine = _unit_rows(vectors[rows]) @ self.vectors.T
            cosine = np.asarray(cosine.toarray() if sparse.issparse(cosine) else cosine)
            cosine = np.maximum(cosine, 0.0).astype(np.float64)
            if units is not None:
                place = np.searchsorted(self.units, units[rows])
                cosine[np.arange(len(cosine)), place] = -1.0
            out[rows, 1] = self._estimate(cosine, everyone)
            block = models[rows]
            for model in np.unique(block).tolist():
                chosen = np.flatnonzero(block == model)
                known = model >= 0 and self.long_enough[model]
                target = np.arange(rows.start, rows.stop)[chosen]
                out[target, 0] = self._estimate(cosine[chosen], model) if known else out[target, 1]
        return out

    def _estimate(self, cosine: Float64Array, model: int) -> Float64Array:
        columns = np.flatnonzero(self.answered[:, model])
        near = cosine[:, columns]
        n_kept = min(self.n_neighbors, near.shape[1])
        nearest = np.argpartition(-near, n_kept - 1, axis=1)[:, :n_kept]
        weight = np.maximum(np.take_along_axis(near, nearest, axis=1), 0.0)
        right = (weight * self.mean[columns, model][nearest]).sum(axis=1)
        total = weight.sum(axis=1) + PRIOR_WEIGHT
        return np.asarray((right + PRIOR_WEIGHT * self.rates[model]) / total)


def _unit_rows(vectors: Matrix) -> Matrix:
    """Return rows of length 1; rows of zeros stay."""
    if sparse.issparse(vectors):
        length = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
        return sparse.diags(1.0 / np.where(length > 0, length, 1.0)) @ vectors
    length = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return vectors / np.where(length > 0, length, 1.0)
