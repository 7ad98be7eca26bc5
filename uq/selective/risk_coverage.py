"""What a model gains by not answering where it is unsure: risk as a function of coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import describe
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array
from uq.selective.tied_risk import (
    area_of,
    check_pairs,
    generalized_area_of,
    tie_groups,
    warn_if_reversed,
)

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
            threshold, float(self.coverage[index]), float(self.risk[index]), int(self.n_kept[index])
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


def risk_coverage_curve(
    loss: ArrayLike, confidence: ArrayLike, *, sample_weight: ArrayLike = None
) -> RiskCoverageCurve:
    """Compute the mean loss of the most confident samples, for every share of them.

    Parameters
    ----------
    loss : array-like of shape (n_samples,)
        Loss of every sample: ``y_true != y_pred`` for errors, or any finite cost. Not correctness.
    confidence : array-like of shape (n_samples,)
        Larger for samples to be kept first, on any scale.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights >= 0; an integer weight equals that many repetitions of the sample. Samples with
        weight 0 are left out.

    Returns
    -------
    curve : RiskCoverageCurve

    Raises
    ------
    ValueError
        For NaN or inf, empty input, lengths that differ, wrong weights, or losses beyond 1e150.

    Warns
    -----
    DegenerateScoresWarning
        If errors (losses of 0 and 1) come with higher confidence beyond chance.

    See Also
    --------
    area_under_risk_coverage : The area alone.
    control_selective_risk : A threshold with a guarantee.

    Notes
    -----
    With samples sorted by confidence and ``e_k`` the mean loss of the first k,
    ``AURC = (1/n) sum_k e_k`` and ``AUGRC = (1/n) sum_k (k/n) e_k``. Tied samples are averaged over
    all orders exactly: within a tie of mean loss m after N samples of total loss S,
    ``e_{N+j} = (S + j m)/(N + j)``, whose sum over g samples is
    ``g m + (S - N m)(psi(N+g+1) - psi(N+1))`` with the digamma function; this also defines the area
    for fractional weights. The perfect order sorts
    by loss; for errors at rate r its area tends to ``r + (1 - r) log(1 - r)``. The curve depends on
    the ranking alone, so strictly monotone recalibration leaves it unchanged: show it beside a
    proper score, not instead. Cost: O(n log n).

    References
    ----------
    .. [1] Y. Geifman, G. Uziel, R. El-Yaniv. Bias-Reduced Uncertainty Estimation for Deep Neural
       Classifiers. ICLR 2019. arXiv:1805.08206
    .. [2] J. Traub et al. Overcoming Common Flaws in the Evaluation of Selective Classification
       Systems. NeurIPS 2024. arXiv:2407.01032

    Examples
    --------
    >>> from uq import risk_coverage_curve
    >>> curve = risk_coverage_curve([0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    >>> curve.risk.round(4)
    array([0.    , 0.    , 0.3333, 0.25  ])
    >>> round(curve.area, 4), round(curve.optimal_area, 4)
    (0.1458, 0.0625)
    """
    values, ranks, weight = check_pairs(loss, confidence, sample_weight)
    warn_if_reversed(values, ranks, "loss")
    return curve_of(values, ranks, weight)


def curve_of(
    loss: Float64Array, confidence: Float64Array, weight: Float64Array
) -> RiskCoverageCurve:
    """Return the curve of checked losses, confidences and positive weights."""
    threshold, mass, lost, rows = tie_groups(loss, confidence, weight)
    kept = np.cumsum(mass)
    total = float(kept[-1])
    _, best_mass, best_lost, _ = tie_groups(loss, -loss, weight)
    return RiskCoverageCurve(
        threshold=threshold,
        coverage=np.minimum(kept / total, 1.0),
        risk=np.cumsum(lost) / kept,
        n_kept=np.cumsum(rows),
        total_weight=total,
        area=area_of(mass, lost),
        optimal_area=area_of(best_mass, best_lost),
        generalized_area=generalized_area_of(mass, lost),
    )


def area_under_risk_coverage(
    loss: ArrayLike, confidence: ArrayLike, *, sample_weight: ArrayLike = None
) -> float:
    """Compute the area under the risk-coverage curve (AURC).

    Parameters
    ----------
    loss : array-like of shape (n_samples,)
        Loss of every sample: ``y_true != y_pred`` for errors, or any finite cost.
    confidence : array-like of shape (n_samples,)
        Larger for samples to be kept first, on any scale.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights >= 0; an integer weight equals that many repetitions of the sample.

    Returns
    -------
    area : float
        Mean over k of the mean loss of the k most confident samples; lower is better. For errors
        between about ``r + (1 - r) log(1 - r)`` (perfect ranking) and 1; r itself for a constant
        confidence, r the error rate.

    Raises
    ------
    ValueError
        As `risk_coverage_curve`.

    See Also
    --------
    excess_area_under_risk_coverage : Minus what a perfect ranking shows.
    calib.evaluation.metric_interval : Takes this function for a bootstrap interval.

    Notes
    -----
    Ties are averaged over all orders exactly, see `risk_coverage_curve`. Rewards ranking and
    accuracy together: compare models of different accuracy by the excess too. Cost: O(n log n).

    References
    ----------
    .. [1] Y. Geifman, G. Uziel, R. El-Yaniv. Bias-Reduced Uncertainty Estimation for Deep Neural
       Classifiers. ICLR 2019. arXiv:1805.08206

    Examples
    --------
    >>> from uq import area_under_risk_coverage
    >>> round(area_under_risk_coverage([0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]), 4)
    0.1458
    >>> area_under_risk_coverage([0, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])
    0.25
    """
    _, mass, lost, _ = tie_groups(*check_pairs(loss, confidence, sample_weight))
    return area_of(mass, lost)


def excess_area_under_risk_coverage(
    loss: ArrayLike, confidence: ArrayLike, *, sample_weight: ArrayLike = None
) -> float:
    """Compute the area under the risk-coverage curve beyond that of a perfect ranking (E-AURC).

    Parameters
    ----------
    loss : array-like of shape (n_samples,)
        Loss of every sample: ``y_true != y_pred`` for errors, or any finite cost.
    confidence : array-like of shape (n_samples,)
        Larger for samples to be kept first, on any scale.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights >= 0; an integer weight equals that many repetitions of the sample.

    Returns
    -------
    excess : float
        At least 0 up to rounding; 0 if confidence sorts the losses, lower is better.

    Raises
    ------
    ValueError
        As `risk_coverage_curve`.

    Notes
    -----
    The perfect area is exact for the sample at hand, ``(1/n) sum_k max(0, k - n (1 - r))/k`` for
    errors at rate r, not its limit. Cost: O(n log n).

    References
    ----------
    .. [1] Y. Geifman, G. Uziel, R. El-Yaniv. Bias-Reduced Uncertainty Estimation for Deep Neural
       Classifiers. ICLR 2019. arXiv:1805.08206

    Examples
    --------
    >>> from uq import excess_area_under_risk_coverage
    >>> round(excess_area_under_risk_coverage([0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]), 4)
    0.0833
    """
    return risk_coverage_curve(loss, confidence, sample_weight=sample_weight).excess_area
