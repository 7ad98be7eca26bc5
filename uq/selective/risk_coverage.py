"""What a model gains by not answering where it is unsure: risk as a function of coverage."""

from __future__ import annotations

import numpy as np

from calib._border.typing import ArrayLike
from uq.selective.risk_coverage_results import RiskCoverageCurve
from uq.selective.tied_risk import (
    area_of,
    check_pairs,
    generalized_area_of,
    tie_groups,
    warn_if_reversed,
)


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
    threshold, mass, lost, rows = tie_groups(values, ranks, weight)
    kept = np.cumsum(mass)
    total = float(kept[-1])
    _, best_mass, best_lost, _ = tie_groups(values, -values, weight)
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
