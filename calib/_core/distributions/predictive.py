"""`PredictiveDistribution`: distributions of a number, one per row, that are asked and scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from calib._border.arrays import read_array, row_blocks, to_numpy
from calib._border.checks import check_fraction, check_integer, describe
from calib._border.labels import check_same_length
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import as_numbers, number_vector, percent_hint
from calib._border.warn import warn
from calib._core.distributions.lattice import Lattice, lattice_of
from calib._core.distributions.law import DensityLaw, Law
from calib.warnings import DegenerateScoresWarning

#: Numbers that a block of rows is worked out with: 16 MB of them.
BLOCK_NUMBERS = 1 << 21
#: Labels of which few distinct values mean something.
FEWEST_LABELS = 20
#: Most draws of a row.
MOST_DRAWS = 1_000_000


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveDistribution:
    """Distributions of a number, one per row: what `predict_distribution` returns.

    Immutable. ``len`` gives the number of rows, and indexing by slices, masks or integers the
    distributions of some of them.

    Attributes
    ----------
    law : Law
        The family with its numbers, for the rest of the library.

    See Also
    --------
    calib.evaluation.predictive_distribution : distributions from means and standard deviations,
        quantiles or samples.
    calib.evaluation.regression_report : how good they are.
    """

    law: Law

    def __len__(self) -> int:
        return self.law.n_rows

    def __repr__(self) -> str:
        n = len(self)
        text = f"{n:,} predictive distribution{'' if n == 1 else 's'} ({self.law.kind})"
        if not n:
            return text
        ends = PredictiveDistribution.quantile(self, [0.05, 0.95])  # whatever kinds have to say
        width = float(np.median(np.diff(ends, axis=1)))
        return f"{text}, median width of 90 %: {width:.4g}"

    def __getitem__(self, rows: int | slice | ArrayLike) -> Self:
        return replace(self, law=self.law.take(self._places(rows)))

    def cdf(self, t: ArrayLike) -> Float64Array:
        """Return P(Y <= t).

        Parameters
        ----------
        t : float or array-like of shape (n_thresholds,) or (n_samples, n_thresholds)
            Thresholds, finite: the same for all rows, or those of each row.

        Returns
        -------
        p : ndarray of shape (n_samples, n_thresholds)
            In [0, 1].

        Raises
        ------
        ValueError
            If `t` is not finite or has another shape.
        """
        thresholds = self._arguments(t, "t")
        return self._by_block(lambda law, t: law.cdf(t), thresholds)

    def quantile(self, levels: ArrayLike) -> Float64Array:
        """Return quantiles.

        Parameters
        ----------
        levels : float or array-like of shape (n_levels,) or (n_samples, n_levels)
            In (0, 1): the same for all rows, or those of each row.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_levels)
            In units of y, non-decreasing in the level. Infinite where a conformal system has too
            few calibration rows for the level.

        Raises
        ------
        ValueError
            If a level is outside (0, 1), or `levels` has another shape.
        """
        asked = self._arguments(levels, "levels")
        outside = ~((asked > 0) & (asked < 1))
        if outside.any():
            hint = percent_hint(asked[outside])
            raise ValueError(f"levels must lie in (0, 1); got {asked[outside][0]:g}{hint}")
        return self._by_block(lambda law, u: law.quantile(u), asked)

    def interval(self, confidence_level: float) -> Float64Array:
        """Return central intervals: the quantiles that leave the same share out on both sides.

        Parameters
        ----------
        confidence_level : float
            In (0, 1).

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper end, in units of y.

        Raises
        ------
        ValueError
            If `confidence_level` is outside (0, 1).
        """
        tail = (1.0 - check_fraction("confidence_level", confidence_level)) / 2
        return self.quantile([tail, 1.0 - tail])

    def median(self) -> Float64Array:
        """Return medians, shape (n_samples,)."""
        return self.quantile(0.5)[:, 0]

    def mean(self) -> Float64Array:
        """Return means, shape (n_samples,)."""
        return self._by_block(lambda law: law.mean())

    def std(self) -> Float64Array:
        """Return standard deviations, shape (n_samples,)."""
        return self._by_block(lambda law: law.std())

    def sample(self, size: int, random_state: RandomState = None) -> Float64Array:
        """Draw numbers from every distribution.

        Parameters
        ----------
        size : int
            Draws of a row, >= 1.
        random_state : int, RandomState, Generator or None, default=None

        Returns
        -------
        draws : ndarray of shape (n_samples, size)
            Independent of each other.

        Raises
        ------
        ValueError
            If `size` is no integer >= 1.
        """
        size = check_integer("size", size, low=1, high=MOST_DRAWS)
        uniform = _inside(generator(random_state).random((len(self), size)))
        return self._by_block(lambda law, u: law.sample(u), uniform)

    def crps(self, y: ArrayLike) -> Float64Array:
        """Return the continuous ranked probability score of every row.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Labels, finite.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            In units of y, >= 0, lower is better.

        Raises
        ------
        ValueError
            If `y` is not finite or of another length.
        """
        return self._by_block(lambda law, y: law.crps(y), self._labels(y))

    def log_score(self, y: ArrayLike) -> Float64Array:
        """Return minus the log density at the label of every row; never clipped.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Labels, finite.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            In nats; changes by a constant with the unit of y.

        Raises
        ------
        ValueError
            If the distributions have no density, or as in `crps`.

        Warns
        -----
        DegenerateScoresWarning
            If labels take few values (at most 50, twice each on average), because any spike on them
            is rewarded without limit; on a lattice the scores are minus log probabilities.
        """
        if not self.has_density:
            raise ValueError(
                f"distributions of {self.law.kind} have no density and no log score; use crps"
            )
        labels = self._labels(y)
        on_lattice = isinstance(self.law, Lattice)
        if on_lattice or (len(labels) >= FEWEST_LABELS and lattice_of(labels) is not None):
            what = (
                "log scores of distributions on a lattice are minus log probabilities, and are "
                "not to be compared with those of densities"
                if on_lattice
                else "y repeats few values: log scores reward densities with spikes on them"
            )
            warn(f"{what}; crps compares all of them", DegenerateScoresWarning)
        return self._by_block(lambda law, y: -law.log_density(y), labels)

    def pit(self, y: ArrayLike, random_state: RandomState = None) -> Float64Array:
        """Return the probability integral transform of every label, randomised over jumps.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Labels, finite.
        random_state : int, RandomState, Generator or None, default=None
            Decides where inside a jump a value lies.

        Returns
        -------
        pit : ndarray of shape (n_samples,)
            In [0, 1]; uniform if the distributions are right (`calib.evaluation.pit_uniformity`).

        Raises
        ------
        ValueError
            As in `crps`.

        References
        ----------
        C. Czado, T. Gneiting, L. Held. Predictive model assessment for count data. Biometrics 65
        (2009). doi:10.1111/j.1541-0420.2009.01191.x
        """
        labels = self._labels(y)
        uniform = _inside(generator(random_state).random(len(self)))
        return self._by_block(lambda law, y, u: law.pit(y, u), labels, uniform)

    @property
    def has_density(self) -> bool:
        """Whether `log_score` answers."""
        return isinstance(self.law, DensityLaw)

    # ------------------------------------------------------------------ parts

    def _places(self, rows: int | slice | ArrayLike) -> IntArray:
        """Return the positions of chosen rows."""
        n = len(self)
        if isinstance(rows, slice):
            return np.arange(n)[rows]
        index = np.asarray(rows)
        if index.dtype == bool and index.shape != (n,):
            raise IndexError(f"a mask must have shape ({n},); got {index.shape}")
        if index.dtype.kind not in "bi" or index.ndim > 1:
            raise IndexError(
                f"rows are chosen by an integer, a slice, a mask or integers; got {describe(rows)}"
            )
        return np.atleast_1d(np.arange(n)[index])

    def _labels(self, y: ArrayLike) -> Float64Array:
        labels = number_vector(y, "y")
        check_same_length(len(labels), len(self), "y", "distribution")
        return labels

    def _arguments(self, values: ArrayLike, name: str) -> Float64Array:
        """Return arguments of shape (1, k) or (n_samples, k)."""
        array = as_numbers(np.atleast_1d(to_numpy(read_array(values, name))), name)
        if array.ndim == 1:
            array = array[None]
        if array.ndim != 2 or len(array) not in (1, len(self)):
            raise ValueError(
                f"{name} must be a number or have shape (k,) or ({len(self)}, k), one row per "
                f"distribution; got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite; got {array[~np.isfinite(array)][0]}")
        return array

    def _by_block(
        self, answer: Callable[..., Float64Array], *arguments: Float64Array
    ) -> Float64Array:
        """Return what rows answer, worked out in blocks of them."""
        n = len(self)
        n_columns = max((a.shape[1] for a in arguments if a.ndim == 2), default=1)
        numbers = max(1, self.law.row_size) * n_columns
        blocks = list(row_blocks(n, numbers, n_elements=BLOCK_NUMBERS))
        if len(blocks) < 2:
            return answer(self.law, *arguments)
        parts = []
        for rows in blocks:
            own = [a if a.ndim == 2 and len(a) == 1 else a[rows] for a in arguments]
            parts.append(answer(self.law.take(rows), *own))
        return np.concatenate(parts)


def _inside(uniform: Float64Array) -> Float64Array:
    """Return random numbers inside (0, 1): a draw may be 0."""
    return np.clip(uniform, 2.0**-53, 1.0 - 2.0**-53)
