"""What a risk-coverage curve holds and the forms it can be read in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import describe
from calib._border.optional import require
from calib._border.typing import Float64Array

#: Rounding allowed when a risk is compared with its limit.
ROUNDING = 1e-12


@dataclass(frozen=True)
class SelectivePoint:
    """What one threshold does.

    Attributes
    ----------
    threshold : float
        Samples with at least this confidence are kept; inf keeps none.
    coverage : float in [0, 1]
        Share of samples kept.
    risk : float
        Mean loss of those kept; NaN if none is.
    n_kept : int
        Number of samples kept (rows, not weights).
    """

    threshold: float
    coverage: float
    risk: float
    n_kept: int


@dataclass(frozen=True, eq=False, repr=False)
class RiskCoverageCurve:
    """Result of `risk_coverage_curve`, one point per distinct confidence, highest first.

    Attributes
    ----------
    threshold : ndarray of shape (n_points,)
        Confidence at or above which samples are kept, descending.
    coverage : ndarray of shape (n_points,)
        Share of the weight kept, ascending to 1.
    risk : ndarray of shape (n_points,)
        Mean loss of what is kept.
    n_kept : ndarray of shape (n_points,)
        Rows kept.
    total_weight : float
        Sum of the weights; the number of samples without weights.
    area : float
        Area under the curve (AURC), lower is better.
    optimal_area : float
        The same if confidence ranked the losses perfectly.
    generalized_area : float
        Mean of coverage times risk (AUGRC), lower is better.
    """

    threshold: Float64Array
    coverage: Float64Array
    risk: Float64Array
    n_kept: Float64Array
    total_weight: float
    area: float
    optimal_area: float
    generalized_area: float

    @property
    def excess_area(self) -> float:
        """Area beyond the perfect ranking (E-AURC), at least 0 up to rounding."""
        return self.area - self.optimal_area

    def at_threshold(self, threshold: float) -> SelectivePoint:
        """Return coverage and risk of keeping samples with at least this confidence.

        Parameters
        ----------
        threshold : float
            Any number; NaN is refused.

        Returns
        -------
        point : SelectivePoint
            Its risk is NaN where nothing is kept.

        Raises
        ------
        ValueError
            If `threshold` is NaN.
        """
        if math.isnan(threshold):
            raise ValueError("threshold is NaN; pass a number")
        index = int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1
        return self._point(index, float(threshold))

    def at_coverage(self, coverage: float) -> float:
        """Return the risk at an exact coverage, tied samples kept in random order on average.

        Parameters
        ----------
        coverage : float in (0, 1]
            Share of the weight to keep.

        Returns
        -------
        risk : float

        Raises
        ------
        ValueError
            If `coverage` is outside (0, 1]; nothing is kept at 0, so there is no risk.
        """
        if isinstance(coverage, (bool, str)) or not 0 < coverage <= 1:
            raise ValueError(f"coverage must lie in (0, 1]; got {describe(coverage)}")
        lost = np.interp(
            coverage, np.append(0.0, self.coverage), np.append(0.0, self.coverage * self.risk)
        )
        return float(lost / coverage)

    def best_within(self, risk: float) -> SelectivePoint:
        """Return the threshold with the largest coverage whose observed risk is within a limit.

        The observed risk of the chosen threshold is too good on average, because it was chosen;
        `control_selective_risk` gives a threshold with a guarantee.

        Parameters
        ----------
        risk : float
            Largest observed mean loss allowed.

        Returns
        -------
        point : SelectivePoint
            Threshold inf, coverage 0 and risk NaN where no threshold is within the limit.

        Raises
        ------
        ValueError
            If `risk` is NaN.
        """
        if math.isnan(risk):
            raise ValueError("risk is NaN; pass a number")
        within = np.flatnonzero(self.risk <= risk + ROUNDING)
        if not len(within):
            return self._point(-1, math.inf)
        index = int(within[-1])
        return self._point(index, float(self.threshold[index]))

    def _point(self, index: int, threshold: float) -> SelectivePoint:
        if index < 0:
            return SelectivePoint(threshold, 0.0, math.nan, 0)
        return SelectivePoint(
            threshold,
            float(self.coverage[index]),
            float(self.risk[index]),
            int(self.n_kept[index]),
        )

    def __str__(self) -> str:
        lines = [
            f"Risk-coverage curve: {int(self.n_kept[-1]):,} samples, {len(self.threshold):,} "
            f"distinct confidences",
            f"  AURC {self.area:.4f} (perfect ranking {self.optimal_area:.4f}, excess "
            f"{self.excess_area:.4f}); AUGRC {self.generalized_area:.4f}",
            "  coverage  " + "  ".join(f"{share:6.0%}" for share in (0.1, 0.25, 0.5, 0.75, 1.0)),
            "  risk      "
            + "  ".join(f"{self.at_coverage(share):6.4f}" for share in (0.1, 0.25, 0.5, 0.75, 1.0)),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists and numbers, for JSON."""
        return {
            "area": self.area,
            "optimal_area": self.optimal_area,
            "excess_area": self.excess_area,
            "generalized_area": self.generalized_area,
            "total_weight": self.total_weight,
            "threshold": self.threshold.tolist(),
            "coverage": self.coverage.tolist(),
            "risk": self.risk.tolist(),
            "n_kept": self.n_kept.astype(int).tolist(),
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per distinct confidence.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``threshold``, ``coverage``, ``risk`` and ``n_kept``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="RiskCoverageCurve.to_frame")
        return pandas.DataFrame(
            {
                "threshold": self.threshold,
                "coverage": self.coverage,
                "risk": self.risk,
                "n_kept": self.n_kept.astype(int),
            }
        )

    def plot(self, ax: Any = None, *, name: str | None = None) -> Any:
        """Draw risk against coverage.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several curves may share axes.
        name : str or None, default=None
            Name in the legend.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = require("matplotlib.pyplot", extra="plot", purpose="RiskCoverageCurve.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(5.0, 4.0), layout="constrained")
        label = f"AURC {self.area:.4f}" if name is None else f"{name} (AURC {self.area:.4f})"
        ax.plot(self.coverage, self.risk, label=label)
        ax.set(xlabel="Coverage", ylabel="Risk", xlim=(0, 1))
        ax.legend()
        return ax
