"""Conformal scaling of the two sides of an interval around a split point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from calib._border.typing import Float64Array
from calib._border.warn import warn
from uq.conformal.categories import CategoryTable
from uq.conformal.quantiles import RANK_TOLERANCE, samples_needed
from uq.warnings import PooledCategoryWarning, SmallCalibrationSetWarning

ConformalMode: TypeAlias = Literal["side", "joint", "none"]
CONFORMAL_MODES: tuple[ConformalMode, ...] = ("side", "joint", "none")


@dataclass(frozen=True)
class SideScores:
    """Scores of the calibration rows: below (0) and above (1) their split points, and of all.

    Integer weights count as repetitions. Scores are inf where a learned width of zero met a
    residual.
    """

    sides: CategoryTable
    both: CategoryTable

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
        side, everything = above.astype(np.intp), np.zeros(len(scores), dtype=np.intp)
        return cls(
            CategoryTable.build(scores, side, 2, weight=weight),
            CategoryTable.build(scores, everything, 1, weight=weight),
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
        (n_below, n_above), n_rows = self.sides.totals, self.both.totals[0]
        sides_suffice = _suffices(n_above, level) and _suffices(n_below, level)
        if mode == "side" and sides_suffice:
            factors = _factor(self.sides, 1, level), _factor(self.sides, 0, level)
        else:
            factors = (_factor(self.both, 0, level),) * 2
        if not _suffices(n_rows, level):
            warn(
                f"{n_rows:g} calibration rows, {samples_needed(level)} are needed for "
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
        elif mode == "side" and not sides_suffice:
            warn(
                f"{n_above:g} calibration rows above and {n_below:g} below their "
                f"prediction: a side needs {samples_needed(level)} for confidence_level={level}. "
                f"One factor serves both sides, which promises coverage overall but not on each "
                f"side; use more calibration rows or a lower level",
                PooledCategoryWarning,
            )
        return factors


def _suffices(n_rows: float, level: float) -> bool:
    """Return whether scores of this weight have a quantile at the level."""
    return level * (n_rows + 1) * (1 - RANK_TOLERANCE) <= n_rows


def _factor(table: CategoryTable, category: int, level: float) -> float:
    """Return the quantile of a category that covers a new row of weight 1."""
    return float(np.squeeze(table.threshold(category, level, np.ones(1))))


def scaled(width: Float64Array, factor: float) -> Float64Array:
    """Return widths times a factor; an infinite factor makes every width infinite."""
    return width * factor if np.isfinite(factor) else np.full(width.shape, np.inf)
