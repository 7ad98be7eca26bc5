"""`ConformalDistribution`: predicted distributions that say where calibration rows are too few."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from calib._border.checks import check_fraction
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.distributions.predictive import PredictiveDistribution
from uq.conformal.quantiles import conformal_ranks, report_small


@dataclass(frozen=True, eq=False, repr=False)
class ConformalDistribution(PredictiveDistribution):
    """Distributions of a conformal predictive system.

    Quantiles are order statistics of conformal rank, ``P(Y <= quantile(u)) >= u``; both ends of an
    interval are ranked so that it covers. P(Y <= t) is known up to 1 / (n + 1), and its middle is
    returned. `crps`, `mean`, `std` and `sample` take the support points as equally likely.

    Attributes
    ----------
    law : Law
    n_calibration : ndarray of int, shape (n_samples,)
        Calibration samples behind each distribution; 0 for categories not seen at fit.
    small : {"infinite", "raise"}
        What becomes of infinite quantiles.
    lowest : float
        What no label lies below.

    Warns
    -----
    SmallCalibrationSetWarning
        If a quantile is infinite for want of calibration samples.
    """

    n_calibration: IntArray
    small: Literal["infinite", "raise"] = "infinite"
    lowest: float = -np.inf

    def __getitem__(self, rows: int | slice | ArrayLike) -> Self:
        places = self._places(rows)
        return replace(self, law=self.law.take(places), n_calibration=self.n_calibration[places])

    def quantile(self, levels: ArrayLike) -> Float64Array:
        """Return quantiles; see `PredictiveDistribution.quantile`.

        Parameters
        ----------
        levels : float or array-like of shape (n_levels,) or (n_samples, n_levels)
            In (0, 1): the same for all rows, or those of each row.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_levels)
            In units of y, non-decreasing in the level; infinite where the level is beyond
            ``n / (n + 1)``.

        Raises
        ------
        ValueError
            If a level is outside (0, 1), `levels` has another shape, or, with ``small="raise"``, a
            quantile is infinite.
        """
        return self._reported(super().quantile(levels), "quantiles")

    def interval(self, confidence_level: float) -> Float64Array:
        """Return intervals that leave at most the same share out on both sides.

        Parameters
        ----------
        confidence_level : float
            In (0, 1).

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper end, in units of y. The lower end has the rank that counts from the
            top as the upper one does from below, so it may be one point under the quantile.

        Raises
        ------
        ValueError
            If `confidence_level` is outside (0, 1), or, with ``small="raise"``, an end is infinite.
        """
        level = 0.5 + 0.5 * check_fraction("confidence_level", confidence_level)
        n = self.n_calibration
        rank = n + 1 - conformal_ranks(n, np.full(len(n), level))
        lower = np.where(rank > 0, rank, 0.5) / (n + 1)
        levels = np.stack([lower, np.full(len(n), level)], axis=1)
        ends = super().quantile(levels) if len(n) else np.empty((0, 2))
        ends[rank < 1, 0] = self.lowest
        return self._reported(ends, "intervals")

    def _reported(self, quantiles: Float64Array, what: str) -> Float64Array:
        """Warn of (or refuse) infinite quantiles."""
        rows: LabelArray = np.asarray(np.isinf(quantiles).any(axis=1))
        if rows.any():
            n = self.n_calibration[rows]
            few = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
            unseen = int((n == 0).sum())
            note = f" ({unseen} rows belong to categories that were not seen at fit)"
            report_small(
                f"{few} calibration samples do not suffice: the {what} of {int(rows.sum())} of "
                f"{len(rows)} rows are infinite{note if unseen else ''}",
                self.small,
                "Ask for levels nearer to 1/2 or pass small='infinite'",
            )
        return quantiles
