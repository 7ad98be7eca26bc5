"""Conformal scaling of the two sides of an interval around a split point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from calib._border.typing import Float64Array
from calib._border.warn import warn
from uq.conformal.quantiles import RANK_TOLERANCE, samples_needed
from uq.warnings import PooledCategoryWarning, SmallCalibrationSetWarning

ConformalMode: TypeAlias = Literal["side", "joint", "none"]
CONFORMAL_MODES: tuple[ConformalMode, ...] = ("side", "joint", "none")


@dataclass(frozen=True)
class RankedScores:
    """Conformal scores in ascending order with the weight up to each.

    Attributes
    ----------
    values : ndarray of shape (n_scores,)
        Ascending; inf where a learned width of zero met a residual.
    mass : ndarray of shape (n_scores,)
        Cumulative weight; integer weights count as repetitions.
    """

    values: Float64Array
    mass: Float64Array

    @classmethod
    def of(cls, scores: Float64Array, weight: Float64Array | None) -> RankedScores:
        """Sort scores of shape (n_scores,)."""
        order = np.argsort(scores, kind="stable")
        each = np.ones(len(scores)) if weight is None else weight[order]
        return cls(scores[order], np.cumsum(each))

    @property
    def total(self) -> float:
        """Weight of all scores."""
        return float(self.mass[-1]) if len(self.mass) else 0.0

    def suffices(self, level: float) -> bool:
        """Return whether the quantile at the level exists."""
        return self._rank(level) <= self.total

    def quantile(self, level: float) -> float:
        """Return the ``ceil((n + 1) level)``-th smallest score, inf if there are fewer."""
        if not self.suffices(level):
            return float("inf")
        return float(self.values[np.searchsorted(self.mass, self._rank(level))])

    def _rank(self, level: float) -> float:
        return level * (self.total + 1.0) * (1.0 - RANK_TOLERANCE)


@dataclass(frozen=True)
class SideScores:
    """Scores of the calibration rows above and below their split points."""

    upper: RankedScores
    lower: RankedScores
    both: RankedScores

    @classmethod
    def of(
        cls,
        residual: Float64Array,
        upper_width: Float64Array,
        lower_width: Float64Array,
        weight: Float64Array | None,
    ) -> SideScores:
        """Score each residual by the learned width of its side.

        Parameters
        ----------
        residual : ndarray of shape (n_rows,)
            Label minus split point; zero belongs to the lower side.
        upper_width, lower_width : ndarray of shape (n_rows,)
            Non-negative.
        weight : ndarray of shape (n_rows,) or None
            Positive.
        """
        above = residual > 0
        width, size = np.where(above, upper_width, lower_width), np.abs(residual)
        scores = np.where(size > 0, np.inf, 0.0)
        with np.errstate(over="ignore"):
            np.divide(size, width, out=scores, where=width > 0)
        up, down = (None, None) if weight is None else (weight[above], weight[~above])
        return cls(
            RankedScores.of(scores[above], up),
            RankedScores.of(scores[~above], down),
            RankedScores.of(scores, weight),
        )

    def factors(self, level: float, mode: ConformalMode) -> tuple[float, float]:
        """Return what the upper and the lower width are multiplied by.

        ``"side"`` falls back to ``"joint"`` where a side has too few rows for the level.

        Warns
        -----
        PooledCategoryWarning
            At a fallback.
        SmallCalibrationSetWarning
            Where a factor is infinite.
        """
        if mode == "none":
            return 1.0, 1.0
        enough = [side.suffices(level) for side in (self.upper, self.lower, self.both)]
        if mode == "side" and all(enough[:2]):
            factors = self.upper.quantile(level), self.lower.quantile(level)
        else:
            factors = (self.both.quantile(level),) * 2
        if not enough[2]:
            warn(
                f"{self.both.total:g} calibration rows, {samples_needed(level)} are needed for "
                f"confidence_level={level}: the intervals are infinite. Use more calibration rows "
                f"or a lower level",
                SmallCalibrationSetWarning,
            )
        elif not np.isfinite(factors).all():
            warn(
                "more calibration rows than the level lets out have a residual where the rows "
                "that taught the widths had none: the intervals are infinite. Was the estimator "
                "trained on the rows passed to fit?",
                SmallCalibrationSetWarning,
            )
        elif mode == "side" and not all(enough[:2]):
            warn(
                f"{self.upper.total:g} calibration rows above and {self.lower.total:g} below their "
                f"prediction: a side needs {samples_needed(level)} for confidence_level={level}. "
                f"One factor serves both sides, which promises coverage overall but not on each "
                f"side; use more calibration rows or a lower level",
                PooledCategoryWarning,
            )
        return factors


def scaled(width: Float64Array, factor: float) -> Float64Array:
    """Return widths times a factor; an infinite factor makes every width infinite."""
    return width * factor if np.isfinite(factor) else np.full(width.shape, np.inf)
