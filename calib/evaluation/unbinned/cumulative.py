"""Cumulative calibration errors: no bins, no tuning, and a known law under calibration."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, LabelArray, RandomState
from calib.evaluation.sampling.redrawn_labels import (
    redrawn_statistics,
    share_as_large,
    sum_is_normal,
)
from calib.evaluation.unbinned import brownian
from calib.evaluation.views.distinct import (
    DistinctScores,
    checked_pairs,
    distinct_scores,
    measure_pairs,
)
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average, PairView

Kind: TypeAlias = Literal["mad", "range"]
KINDS = ("mad", "range")


def walk_of(scores: DistinctScores) -> Float64Array:
    """Return the cumulative differences after every distinct score, starting with 0."""
    walk = np.zeros((*scores.label.shape[:-1], len(scores.value) + 1))
    np.cumsum(scores.residual, axis=-1, out=walk[..., 1:])
    walk /= scores.weight.sum()
    return walk


def excursion(scores: DistinctScores, kind: Kind = "mad") -> Float64Array:
    """Return the cumulative error of every vector of labels."""
    walk = walk_of(scores)
    high, low = walk.max(axis=-1), walk.min(axis=-1)
    return np.asarray(np.maximum(high, -low) if kind == "mad" else high - low)


def cumulative_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    kind: Kind = "mad",
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    r"""Compute the empirical cumulative calibration error (ECCE) without bins.

    Events minus predictions are added up in the order of the predictions; the error is how far
    that sum strays. There is nothing to tune, equal predictions never depend on the row order, and
    the law under calibration is known (`cumulative_calibration_test`).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    kind : {"mad", "range"}, default="mad"
        Largest absolute sum (Kolmogorov-Smirnov, "maximum absolute deviation"), or largest minus
        smallest sum (Kuiper): the most that any interval of scores adds. Only the range is the same
        after exchanging two classes, because the sum starts at the lowest score.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`; ``"classwise"`` is the unweighted mean over classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; needed if `y_true` misses one and is not made of integers 0..K-1.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : float
        In [0, 1], lower is better, 0 is perfect.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also if `kind` is unknown.

    See Also
    --------
    cumulative_calibration_test : Whether the error is more than chance.
    signed_cumulative_error : In which direction the sum strays.
    CumulativeDisplay : The sums as a curve.

    Notes
    -----
    With scores in ascending order and weights w of total W,
    :math:`C_k = W^{-1} \sum_{j \le k} w_j (y_j - p_j)`, :math:`C_0 = 0`, taken after the last of
    every run of equal scores; ``mad`` is :math:`\max |C_k|`, ``range`` is
    :math:`\max C_k - \min C_k`, and ``mad <= range <= 2 mad``. Both are at least the difference of
    mean prediction and mean event. Biased upwards: a calibrated model shows about
    ``1.25 sqrt(mean(p (1 - p)) / n_samples)`` (mad) or ``1.60`` of it (range).
    Cost: O(n_samples log n_samples) per class.

    References
    ----------
    .. [1] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu. Metrics of Calibration for
       Probabilistic Predictions. Journal of Machine Learning Research 23, 2022. arXiv:2205.09680
    .. [2] K. Gupta, A. Rahimi, T. Ajanthan, T. Mensink, C. Sminchisescu, R. Hartley. Calibration of
       Neural Networks using Splines. ICLR 2021. arXiv:2006.12800

    Examples
    --------
    >>> from calib.evaluation import cumulative_calibration_error
    >>> y_true, y_prob = [0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]
    >>> round(cumulative_calibration_error(y_true, y_prob, average="binary"), 3)
    0.125
    >>> round(cumulative_calibration_error(y_true, y_prob, kind="range", average="binary"), 3)
    0.15
    """
    check_option("kind", kind, KINDS)
    return measure_pairs(
        partial(excursion, kind=kind), y_true, y_prob, average, sample_weight, labels, pos_label
    )


@measure
def ks_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the Kolmogorov-Smirnov calibration error of Gupta et al.

    The same number as ``cumulative_calibration_error(kind="mad")``, under the name that deep
    learning papers use. The class-wise form of the paper is ``average="classwise"``.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : float
        In [0, 1], lower is better, 0 is perfect.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Notes
    -----
    See `cumulative_calibration_error` for formula, bias and cost.

    References
    ----------
    .. [1] K. Gupta, A. Rahimi, T. Ajanthan, T. Mensink, C. Sminchisescu, R. Hartley. Calibration of
       Neural Networks using Splines. ICLR 2021. arXiv:2006.12800

    Examples
    --------
    >>> from calib.evaluation import ks_calibration_error
    >>> round(ks_calibration_error([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], average="binary"), 3)
    0.125
    """
    return measure_pairs(excursion, y_true, y_prob, average, sample_weight, labels, pos_label)


@measure
def classwise_ks_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the mean over classes of the Kolmogorov-Smirnov error of each column.

    The same number as ``ks_calibration_error(average="classwise")``, under its name in reports.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : float
        In [0, 1], lower is better, 0 is perfect.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Examples
    --------
    >>> from calib.evaluation import classwise_ks_calibration_error
    >>> round(classwise_ks_calibration_error([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]), 3)
    0.125
    """
    return measure_pairs(excursion, y_true, y_prob, "classwise", sample_weight, labels, pos_label)


class SignedCumulativeError(NamedTuple):
    """The largest excess of predictions and of events over any interval of scores.

    Parameters
    ----------
    overconfidence : float
        In [0, 1]; largest sum of predictions minus events over consecutive scores, per sample.
    underconfidence : float
        In [0, 1]; largest sum of events minus predictions.
    """

    overconfidence: float
    underconfidence: float


def signed_cumulative_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    average: PairView = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> SignedCumulativeError:
    r"""Split the range form of the cumulative error by its direction.

    Of all intervals of scores, one shows the largest excess of predictions over events and one the
    largest excess of events. The larger of the two numbers is the range (Kuiper) form of
    `cumulative_calibration_error`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    average : {"auto", "top_label", "binary"}, default="auto"
        As for `expected_calibration_error`; for one class of many pass ``y_true == k`` and its
        column.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : SignedCumulativeError
        ``overconfidence`` and ``underconfidence``, both in [0, 1], lower is better.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Notes
    -----
    With the cumulative sums C of `cumulative_calibration_error`, overconfidence is
    :math:`\max_{j \le k} C_j - C_k` and underconfidence :math:`\max_{j \le k} C_k - C_j`. Under
    calibration each is a largest drawdown of Brownian motion and has, on the scale of the test,
    the law of :math:`\max |W|`. Cost: O(n_samples log n_samples).

    References
    ----------
    .. [1] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu. Metrics of Calibration for
       Probabilistic Predictions. Journal of Machine Learning Research 23, 2022. arXiv:2205.09680

    Examples
    --------
    >>> from calib.evaluation import signed_cumulative_error
    >>> parts = signed_cumulative_error([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], average="binary")
    >>> round(parts.overconfidence, 3), round(parts.underconfidence, 3)
    (0.15, 0.15)
    """
    pairs = checked_pairs(y_true, y_prob, average, sample_weight, labels, pos_label)
    walk = walk_of(distinct_scores(*pairs))
    over = float(np.max(np.maximum.accumulate(walk) - walk))
    return SignedCumulativeError(over, float(np.max(walk - np.minimum.accumulate(walk))))


class CumulativeTest(NamedTuple):
    """Outcome of `cumulative_calibration_test`.

    Parameters
    ----------
    statistic : float
        The cumulative calibration error, in [0, 1].
    p_value : float
        Probability that a calibrated model shows at least this error, in [0, 1].
    scale : float
        Standard deviation of the last cumulative sum under calibration.
    standardized : float
        ``statistic / scale``; infinite if certain predictions (0 or 1) alone are wrong.
    """

    statistic: float
    p_value: float
    scale: float
    standardized: float


def cumulative_calibration_test(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    kind: Kind = "mad",
    average: PairView = "auto",
    n_resamples: int = 999,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    random_state: RandomState = 0,
) -> CumulativeTest:
    r"""Test calibration by the cumulative error and its Brownian law.

    The test without a tuning parameter: no bins and no bandwidth. A small p-value says that the
    predictions are not calibrated; a large one that this sample does not show it.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    kind : {"mad", "range"}, default="mad"
        Statistic, as for `cumulative_calibration_error`. The range has more power where gaps of
        both signs follow each other.
    average : {"auto", "top_label", "binary"}, default="auto"
        As for `expected_calibration_error`; for one class of many pass ``y_true == k`` and its
        column.
    n_resamples : int >= 19, default=999
        Redrawn label vectors where the Brownian law is not to be relied on.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. A row is one independent observation whatever its weight: weight 2
        gives the statistic of a repeated row, but not its p-value.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the redrawn labels.

    Returns
    -------
    test : CumulativeTest
        ``statistic``, ``p_value``, ``scale`` and ``standardized``.

    Raises
    ------
    ValueError
        As `cumulative_calibration_error`.

    Notes
    -----
    Under calibration with independent samples the cumulative sums, divided by
    :math:`\sigma = W^{-1} \sqrt{\sum_i w_i^2 p_i (1 - p_i)}`, tend to Brownian motion W on [0, 1]:

    .. math::
        P(\max |W| > x) = 4 \sum_{k \ge 0} (-1)^k \Phi(-(2k + 1) x), \quad
        P(\mathrm{range} > x) = 8 \sum_{k \ge 1} (-1)^{k - 1} k \Phi(-k x).

    The law is that of a continuous path; a path with few steps, or with many equal scores, strays
    less, so the test rejects a little less often than its level says. With few events in doubt the
    limit is not reached: where :math:`\sum w^3 E|y - p|^3 > 0.25 (\sum w^2 p (1 - p))^{3/2}`, that
    is below about 16 expected events or non-events, the p-value is the share of redrawn label
    vectors that stray at least as far, ``1 / (n_resamples + 1)`` or more. If all predictions are
    0 or 1 the scale is 0: the p-value is 1 if all are right and 0 otherwise.
    Cost: O(n_samples log n_samples).

    References
    ----------
    .. [1] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu. Metrics of Calibration for
       Probabilistic Predictions. Journal of Machine Learning Research 23, 2022. arXiv:2205.09680
    .. [2] W. Feller. The Asymptotic Distribution of the Range of Sums of Independent Random
       Variables. Annals of Mathematical Statistics 22, 1951. doi:10.1214/aoms/1177729589

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import cumulative_calibration_test
    >>> p = (np.arange(400) + 0.5) / 400
    >>> y = (np.arange(400) * 0.618 % 1 < p**2).astype(int)
    >>> test = cumulative_calibration_test(y, p, average="binary")
    >>> print(f"{test.statistic:.4f} is {test.standardized:.1f} sigma, p = {test.p_value:.0e}")
    0.1681 is 8.2 sigma, p = 4e-16
    """
    check_option("kind", kind, KINDS)
    check_integer("n_resamples", n_resamples, low=19, high=MOST_RESAMPLES)
    rng = generator(random_state)
    score, event, weight = checked_pairs(y_true, y_prob, average, sample_weight, labels, pos_label)
    order = np.argsort(score, kind="stable")
    p, y = np.clip(score[order], 0.0, 1.0), event[order].astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight[order] / weight.max()
    test = brownian_test(p, y, w, kind)
    if sum_is_normal(w, p):
        return test
    walk = Walk(p, w)
    redrawn = redrawn_statistics(
        p,
        y,
        {kind: lambda events: walk.excursions(events, kind)},
        n_resamples=n_resamples,
        draw=lambda rows: rng.random((rows.stop - rows.start, len(p))),
    )
    return test._replace(p_value=share_as_large(redrawn[kind]))


class Walk:
    """Excursions of the cumulative differences of events and predictions; `p` ascends."""

    def __init__(self, p: Float64Array, w: Float64Array) -> None:
        self.starts: LabelArray = np.flatnonzero(np.diff(p, prepend=-1.0))
        self.w = w / w.sum()
        self.expected = np.add.reduceat(self.w * p, self.starts)

    def excursions(self, events: Float64Array, kind: str) -> Float64Array:
        """Return the largest absolute sum ("mad"), or the largest minus the smallest ("range")."""
        gap = np.add.reduceat(events * self.w, self.starts, axis=1) - self.expected
        np.cumsum(gap, axis=1, out=gap)
        high, low = np.maximum(gap.max(axis=1), 0.0), np.minimum(gap.min(axis=1), 0.0)
        return np.asarray(np.maximum(high, -low) if kind == "mad" else high - low)


def brownian_test(p: Float64Array, y: Float64Array, w: Float64Array, kind: Kind) -> CumulativeTest:
    """Return the test by its limiting law; `p` in [0, 1] ascends, weights are positive."""
    statistic = float(Walk(p, w).excursions(y[None, :], kind)[0])
    scale = null_scale(p, w)
    tail = brownian.excursion_tail if kind == "mad" else brownian.range_tail
    if scale > 0:
        standardized = statistic / scale
    else:
        standardized = 0.0 if statistic == 0 else np.inf
    return CumulativeTest(statistic, tail(standardized), scale, standardized)


def null_scale(score: Float64Array, weight: Float64Array | None) -> float:
    """Return the standard deviation of the last cumulative sum under calibration."""
    variance = np.clip(score * (1.0 - score), 0.0, None)
    if weight is None:
        return float(np.sqrt(variance.sum()) / len(score))
    return float(np.sqrt(np.sum(weight**2 * variance)) / weight.sum())
