"""A threshold for abstaining whose risk is bounded with a guarantee at finite sample size."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.stats import beta, binom

from calib._border.checks import check_fraction, check_integer, check_option, describe, is_number
from calib._border.labels import check_same_length
from calib._border.limits import MOST_RESAMPLES
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.validation import check_score_vector
from calib._border.warn import warn
from uq.conformal.quantiles import check_unit_range
from uq.selective.tied_risk import warn_if_reversed
from uq.warnings import NothingKeptWarning

Procedure: TypeAlias = Literal["fixed_sequence", "bonferroni"]


@dataclass(frozen=True)
class SelectiveThreshold:
    """Result of `control_selective_risk`.

    Attributes
    ----------
    threshold : float
        Samples with at least this confidence are answered: the next number above the highest
        confidence left out, -inf to answer all, inf to answer none.
    coverage : float in [0, 1]
        Share of the calibration samples answered.
    risk : float
        Share of errors among them; NaN if none is answered.
    risk_bound : float
        Upper confidence bound of the risk at this threshold alone (Clopper-Pearson at the level
        that was tested); NaN if none is answered.
    n_kept, n_errors : int
        Calibration samples answered, and errors among them.
    n_samples : int
        Calibration samples.
    target_risk : float in (0, 1)
        Largest risk allowed.
    confidence_level : float in (0, 1)
        Probability of the guarantee.
    procedure : {"fixed_sequence", "bonferroni"}
        How the level is kept over the thresholds.
    n_tested : int
        Number of thresholds whose p-value was looked at.
    smallest_p_value : float
        Smallest of them, 1 if none was.
    """

    threshold: float
    coverage: float
    risk: float
    risk_bound: float
    n_kept: int
    n_errors: int
    n_samples: int
    target_risk: float
    confidence_level: float
    procedure: Procedure
    n_tested: int
    smallest_p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as a dictionary of numbers and strings."""
        return asdict(self)


def control_selective_risk(
    error: ArrayLike,
    confidence: ArrayLike,
    *,
    target_risk: float = 0.1,
    confidence_level: float = 0.9,
    procedure: Procedure = "fixed_sequence",
    min_coverage: float = 0.2,
    n_candidates: int = 20,
) -> SelectiveThreshold:
    """Choose the lowest threshold whose error rate among answered samples is surely in bounds.

    With probability `confidence_level` over the calibration samples, the error rate of all future
    samples with at least the chosen confidence is at most `target_risk` (Learn then Test).

    Parameters
    ----------
    error : array-like of shape (n_samples,)
        True or 1 where the answer is wrong, on samples the model was not trained on.
    confidence : array-like of shape (n_samples,)
        Larger for samples to be answered first, on any scale.
    target_risk : float in (0, 1), default=0.1
        Largest error rate allowed among answered samples.
    confidence_level : float in (0, 1), default=0.9
        Probability that the bound holds.
    procedure : {"fixed_sequence", "bonferroni"}, default="fixed_sequence"
        ``"fixed_sequence"`` lowers the threshold step by step and stops at the first that cannot be
        shown safe: the most powerful, exact if the true risk does not fall when the threshold is
        lowered. ``"bonferroni"`` tests `n_candidates` coverages at once and assumes nothing.
    min_coverage : float in (0, 1), default=0.2
        Share of the calibration samples that the first threshold tested must keep. Starting with
        more samples forgives a few early errors; starting with fewer allows a smaller coverage.
    n_candidates : int >= 1, default=20
        Number of equally spaced coverages from `min_coverage` to 1 tested by ``"bonferroni"``;
        unused by ``"fixed_sequence"``.

    Returns
    -------
    result : SelectiveThreshold

    Raises
    ------
    ValueError
        For NaN or inf, errors other than 0 and 1, lengths that differ, or an option out of range.

    Warns
    -----
    NothingKeptWarning
        If no threshold passes: the threshold is inf.
    DegenerateScoresWarning
        If most answers are errors, and errors come with higher confidence beyond chance.

    See Also
    --------
    SelectiveClassifier : The same around an estimator.

    Notes
    -----
    Among m samples above a threshold errors are binomial, so the p-value of "the risk exceeds r"
    at k errors is ``P(Bin(m, r) <= k)``; it is at most ``1 - confidence_level`` exactly when the
    Clopper-Pearson bound is at most r. No threshold passes with fewer than
    ``log(1 - confidence_level) / log(1 - r)`` samples: 22 at 0.1 and 0.9, 299 at 0.01 and 0.95.
    Tied samples are kept or left together; ``"bonferroni"`` leaves out coverages that fall inside a
    tie, so it has little power on coarse confidences. Assumes that calibration and future samples
    are independent and alike; the bound is on the average over answered samples, not for any group
    of them. Neither weights nor losses other than 0 and 1 have this binomial guarantee. Cost: O(n
    log n).

    References
    ----------
    .. [1] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan, L. Lei. Learn then Test:
       Calibrating Predictive Algorithms to Achieve Risk Control. 2021. arXiv:2110.01052
    .. [2] Y. Geifman, R. El-Yaniv. Selective Classification for Deep Neural Networks.
       NeurIPS 2017. arXiv:1705.08500
    .. [3] C. J. Clopper, E. S. Pearson. The Use of Confidence or Fiducial Limits Illustrated in
       the Case of the Binomial. Biometrika 26, 1934. doi:10.1093/biomet/26.4.404

    Examples
    --------
    >>> import numpy as np
    >>> from uq import control_selective_risk
    >>> confidence = np.linspace(0, 1, 500)
    >>> error = np.arange(500) * 0.618 % 1 > 0.7 + confidence / 2
    >>> result = control_selective_risk(error, confidence, target_risk=0.1)
    >>> print(f"{result.threshold:.3f} {result.coverage:.3f} {result.risk:.3f}")
    0.022 0.976 0.080
    """
    target_risk = check_fraction("target_risk", target_risk)
    confidence_level = check_fraction("confidence_level", confidence_level)
    min_coverage = check_fraction("min_coverage", min_coverage)
    check_option("procedure", procedure, ("fixed_sequence", "bonferroni"))
    check_integer("n_candidates", n_candidates, low=1, high=MOST_RESAMPLES)
    wrong = check_errors(error)
    ranks = check_score_vector(confidence, "confidence")
    check_same_length(len(wrong), len(ranks), "error", "confidence")
    if wrong.mean() > 0.5:  # fewer errors may well be confident ones: that is what is tested
        warn_if_reversed(wrong.astype(np.float64), ranks, "error")
    n_samples, level = len(wrong), 1 - confidence_level

    order = np.argsort(-ranks, kind="stable")
    ordered = ranks[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(ordered) != 0), n_samples - 1)
    kept = last_of_tie + 1  # samples answered at each distinct confidence
    errors = np.cumsum(wrong[order])[last_of_tie]
    first = math.ceil(min_coverage * n_samples - 1e-9)
    if procedure == "fixed_sequence":
        possible = math.ceil(math.log(level) / math.log1p(-target_risk) - 1e-9)
        tested = np.flatnonzero(kept >= max(first, possible, 1))
        p_value = binom.cdf(errors[tested], kept[tested], target_risk)
        failed = np.flatnonzero(p_value > level)
        stop = int(failed[0]) if len(failed) else len(tested)
        p_value = p_value[: stop + 1]
        chosen = int(tested[stop - 1]) if stop else -1
    else:
        level /= n_candidates
        tested = _candidates(kept, n_samples, max(first, 1), n_candidates)
        p_value = binom.cdf(errors[tested], kept[tested], target_risk)
        passed = tested[p_value <= level]
        chosen = int(passed[-1]) if len(passed) else -1
    smallest = float(p_value.min()) if len(p_value) else 1.0
    if chosen < 0:
        warn(
            f"no threshold keeps the risk below {target_risk:g} with confidence "
            f"{confidence_level:g}: smallest p-value {smallest:.3g} of {len(p_value)} tested on "
            f"{n_samples} samples, must be at most {level:.3g}. Nothing is answered; raise "
            f"target_risk, lower confidence_level, or use more calibration samples",
            NothingKeptWarning,
        )
    n_kept, n_errors = (int(kept[chosen]), int(errors[chosen])) if chosen >= 0 else (0, 0)
    bound = math.nan
    if n_kept:
        bound = (
            1.0
            if n_errors == n_kept
            else float(beta.ppf(1 - level, n_errors + 1, n_kept - n_errors))
        )
    return SelectiveThreshold(
        threshold=_just_above(ordered, n_kept) if n_kept else math.inf,
        coverage=n_kept / n_samples,
        risk=n_errors / n_kept if n_kept else math.nan,
        risk_bound=bound,
        n_kept=n_kept,
        n_errors=n_errors,
        n_samples=n_samples,
        target_risk=target_risk,
        confidence_level=confidence_level,
        procedure=procedure,
        n_tested=len(p_value),
        smallest_p_value=smallest,
    )


def abstention_utility(
    error: ArrayLike, confidence: ArrayLike, *, penalty: float = 1.0, threshold: float | None = None
) -> float:
    """Compute the mean gain per query: 1 for a right answer, minus a penalty for a wrong one.

    Parameters
    ----------
    error : array-like of shape (n_samples,)
        True or 1 where the answer is wrong.
    confidence : array-like of shape (n_samples,)
        Probability of being right, in [0, 1] if `threshold` is None; else any scale.
    penalty : float > 0, default=1.0
        Loss of a wrong answer. Abstaining gains and costs nothing.
    threshold : float or None, default=None
        Answer where confidence is at least this; None means ``penalty / (1 + penalty)``.

    Returns
    -------
    utility : float
        In [-penalty, 1], larger is better; 0 for a model that never answers.

    Raises
    ------
    ValueError
        For NaN or inf, errors other than 0 and 1, lengths that differ, ``penalty <= 0``, or
        confidences outside [0, 1] without a threshold.

    Notes
    -----
    An answer that is right with probability g gains ``g - penalty (1 - g)`` on average, which is
    positive beyond ``g = penalty / (1 + penalty)``; so this threshold is the best one if the
    confidence is calibrated, and in general only then. Cost: O(n).

    References
    ----------
    .. [1] C. K. Chow. On Optimum Recognition Error and Reject Tradeoff. IEEE Transactions on
       Information Theory 16, 1970. doi:10.1109/TIT.1970.1054406

    Examples
    --------
    >>> from uq import abstention_utility
    >>> abstention_utility([0, 0, 1, 1], [0.9, 0.8, 0.7, 0.3], penalty=3.0)
    0.5
    """
    wrong = check_errors(error)
    ranks = check_score_vector(confidence, "confidence")
    check_same_length(len(wrong), len(ranks), "error", "confidence")
    if not is_number(penalty) or not 0 < penalty < math.inf:
        raise ValueError(f"penalty must be a finite number > 0; got {describe(penalty)}")
    if threshold is None:
        check_unit_range(ranks, "confidence", "; pass probabilities of being right, or a threshold")
        threshold = penalty / (1 + penalty)
    elif not is_number(threshold):
        raise ValueError(f"threshold must be a number or None; got {describe(threshold)}")
    elif math.isnan(threshold):
        raise ValueError("threshold is NaN; pass a number")
    answered = ranks >= threshold
    return float(np.where(answered, np.where(wrong, -penalty, 1.0), 0.0).mean())


def check_errors(error: ArrayLike) -> IntArray:
    """Return errors as integers 0 and 1."""
    values: Float64Array = check_score_vector(error, "error")
    if not np.isin(values, (0.0, 1.0)).all():
        row = int(np.argmax(~np.isin(values, (0.0, 1.0))))
        raise ValueError(
            f"error must hold 0 and 1 (or False and True); got {values[row]:.6g} in row {row}. "
            f"Pass y_true != y_pred"
        )
    return values.astype(np.intp)


def _just_above(ordered: Float64Array, n_kept: int) -> float:
    """Return the smallest number above the highest confidence left out, -inf if none is.

    Given that confidence, the samples above it are alike and independent; given the lowest one
    that is kept they are not, because that one is special.
    """
    if n_kept == len(ordered):
        return -math.inf
    return float(np.nextafter(ordered[n_kept], math.inf))


def _candidates(kept: IntArray, n_samples: int, first: int, n_candidates: int) -> IntArray:
    """Return the ties that end exactly at one of the ranks fixed in advance."""
    ranks = np.unique(np.linspace(first, n_samples, n_candidates).round().astype(np.intp))
    return np.flatnonzero(np.isin(kept, ranks))
