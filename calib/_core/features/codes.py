"""Columns of numbers as bins: cuts between neighbouring values, codes, and orders of categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, IntArray

#: What a missing number becomes: below every other.
MISSING = -1e300
#: Weight, in variances of rows, with which the mean residual of a level is drawn to 0.
LEVEL_PRIOR = 20.0


def filled(features: Float64Array) -> Float64Array:
    """Return features with `MISSING` in the place of nan, so that they have an order."""
    return np.where(np.isnan(features), MISSING, features)


def cuts_of(values: Float64Array, weight: Float64Array, most: int) -> Float64Array:
    """Return the numbers between which the bins of a column lie.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Without nan; `MISSING` is a bin of its own.
    weight : ndarray of shape (n_samples,)
        Positive weights.
    most : int
        Most bins; beyond it bins hold equal shares of the weight, as far as ties allow.

    Returns
    -------
    cuts : ndarray of shape (n_bins - 1,)
        Ascending, halfway between neighbouring values, so that a value that was rounded stays in
        its bin. Empty for a constant column.
    """
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        return np.empty(0)
    if len(distinct) > most:
        mass = np.cumsum(np.bincount(place, weight, minlength=len(distinct)))
        wanted = mass[-1] * np.arange(1, most) / most
        last = np.unique(np.searchsorted(mass, wanted * (1.0 - 1e-12)))
        if distinct[0] == MISSING:
            last = np.union1d([0], last)
        last = last[last < len(distinct) - 1]
    else:
        last = np.arange(len(distinct) - 1)
    cuts = 0.5 * distinct[last] + 0.5 * distinct[last + 1]
    return np.asarray(np.where(distinct[last] == MISSING, 0.5 * MISSING, cuts))


def codes_of(values: Float64Array, cuts: Float64Array) -> IntArray:
    """Return how many cuts are smaller than each value."""
    return np.searchsorted(cuts, values, side="left")


@dataclass(frozen=True, eq=False)
class BinnedColumns:
    """Codes of several columns beside each other, numbered through.

    Attributes
    ----------
    codes : ndarray of int of shape (n_samples, n_columns)
        Bin of every value; bins of a column follow those of the column before.
    starts : ndarray of int of shape (n_columns + 1,)
        First bin of every column, and the number of all.
    cuts : list of ndarray
        Cuts of every column.
    """

    codes: IntArray
    starts: IntArray
    cuts: list[Float64Array]

    @classmethod
    def of(cls, values: Float64Array, weight: Float64Array, most: int) -> BinnedColumns:
        """Bin every column of a matrix without nan."""
        cuts = [cuts_of(column, weight, most) for column in values.T]
        starts = np.concatenate([[0], np.cumsum([len(column) + 1 for column in cuts])])
        codes = np.empty(values.shape, dtype=np.intp)
        for place, (column, of_column) in enumerate(zip(values.T, cuts, strict=True)):
            codes[:, place] = starts[place] + codes_of(column, of_column)
        return cls(codes, starts, cuts)

    @property
    def n_bins(self) -> int:
        return int(self.starts[-1])

    def joined(self, most: int) -> tuple[IntArray, Any]:
        """Return columns with few bins as one, so that fewer have to be counted.

        Parameters
        ----------
        most : int
            Most bins of a joint column.

        Returns
        -------
        codes : ndarray of int of shape (n_samples, n_joint_columns)
            Joint bins, numbered through.
        members : sparse matrix of shape (n_bins, n_joint_bins)
            1 where a joint bin belongs to a bin: times sums by joint bin it gives sums by bin.
        """
        from scipy.sparse import csr_matrix

        sizes = np.diff(self.starts)
        packs: list[list[int]] = []
        for column in np.argsort(-sizes, kind="stable").tolist():
            for pack in packs:
                if np.prod(sizes[pack]) * sizes[column] <= most:
                    pack.append(column)
                    break
            else:
                packs.append([column])
        codes = np.empty((len(self.codes), len(packs)), dtype=np.intp)
        rows, columns, first = [], [], 0
        for place, pack in enumerate(packs):
            own = [self.codes[:, column] - self.starts[column] for column in pack]
            shape = tuple(int(size) for size in sizes[pack])
            codes[:, place] = first + np.ravel_multi_index(own, shape)
            joint = np.arange(int(np.prod(shape)))
            for column, bins in zip(pack, np.unravel_index(joint, shape), strict=True):
                rows.append(self.starts[column] + bins)
                columns.append(first + joint)
            first += len(joint)
        places = (np.concatenate(rows), np.concatenate(columns))
        members = csr_matrix((np.ones(len(places[0])), places), shape=(self.n_bins, first))
        return codes, members

    def column_of_bin(self) -> IntArray:
        """Return the column that every bin belongs to."""
        return np.repeat(np.arange(len(self.cuts)), np.diff(self.starts))


def ordered_levels(
    level: IntArray, n_levels: int, residual: Float64Array, variance: Float64Array
) -> Float64Array:
    """Return a number for every level of a category: its mean residual, drawn to 0.

    Parameters
    ----------
    level : ndarray of int of shape (n_samples,)
        Level of every row, 0 for those that are not told apart.
    n_levels : int
        Levels, the zeroth among them.
    residual, variance : ndarray of shape (n_samples,)
        Label minus probability, and ``p (1 - p)``, both times the weight.

    Returns
    -------
    values : ndarray of shape (n_levels,)
        Sum of residuals over sum of variances plus 20; 0 for the zeroth level.
    """
    total = np.bincount(level, residual, minlength=n_levels)
    values = total / (np.bincount(level, variance, minlength=n_levels) + LEVEL_PRIOR)
    values[0] = 0.0
    return np.asarray(values)
