"""Kernel calibration errors: mean products of residuals of similar predictions."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray, RandomState
from calib.evaluation.unbinned.kernel_pairs import kernel_pairs_test
from calib.evaluation.unbinned.kernel_sums import (
    exponential_sum,
    median_distance,
    pair_products,
    residuals,
    scalar_error,
    sum_of_pairs,
)
from calib.evaluation.unbinned.smooth import check_bandwidth, width_or_rule
from calib.evaluation.views import views
from calib.evaluation.views.distinct import DistinctScores, measure_pairs
from calib.evaluation.views.predictions import checked
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average

Estimator: TypeAlias = Literal["biased", "unbiased", "linear"]
KernelView: TypeAlias = Literal["canonical", "top_label", "binary", "classwise"]
#: Effective number of products below which their mean is not taken as normal.
FEW_PRODUCTS = 5.0
#: The bandwidth of published values.
WIDTH = 0.4
KERNEL_VIEWS = ("canonical", *views.AVERAGES)


@measure
def maximum_mean_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    bandwidth: float = WIDTH,
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    r"""Compute the maximum mean calibration error (MMCE).

    The largest mean product of residual and smooth function of the prediction, over all functions
    that the kernel deems smooth. No bins; one bandwidth, which published values leave at 0.4.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    bandwidth : float > 0, default=0.4
        Width of the kernel on the scale of probabilities.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`; ``"classwise"`` is the unweighted mean over classes.
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
        As `expected_calibration_error`; also if `bandwidth` is not a positive number.

    See Also
    --------
    kernel_calibration_error : Its square without bias, and for whole probability vectors.

    Notes
    -----
    :math:`\mathrm{MMCE}^2 = W^{-2} \sum_{ij} w_i w_j r_i r_j \exp(-|p_i - p_j| / b)` with
    residuals :math:`r_i = y_i - p_i`; the value is the root. (The paper trains with another,
    class-balanced form.) Biased upwards, by about ``sqrt(mean(p (1 - p)) / n_samples)``. The sum
    over all pairs is exact and costs O(n_samples log n_samples), because the kernel factorises
    between sorted scores.

    References
    ----------
    .. [1] A. Kumar, S. Sarawagi, U. Jain. Trainable Calibration Measures for Neural Networks from
       Kernel Mean Embeddings. ICML 2018.

    Examples
    --------
    >>> from calib.evaluation import maximum_mean_calibration_error
    >>> y_true, y_prob = [0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]
    >>> round(maximum_mean_calibration_error(y_true, y_prob, average="binary"), 4)
    0.1265
    """
    width = check_bandwidth(bandwidth)
    return measure_pairs(
        partial(mean_error, width=width),
        y_true, y_prob, average, sample_weight, labels, pos_label,
    )  # fmt: skip


def mean_error(scores: DistinctScores, width: float = WIDTH) -> Float64Array:
    """Return the maximum mean calibration error of every vector of labels."""
    square = exponential_sum(scores.value, scores.residual, width)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)) / scores.weight.sum())


def kernel_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    estimator: Estimator = "unbiased",
    bandwidth: float | Literal["median"] = "median",
    average: KernelView = "canonical",
    labels: ArrayLike = None,
    pos_label: object = None,
    random_state: RandomState = None,
) -> float:
    r"""Estimate the squared kernel calibration error (SKCE).

    Looks at the whole probability vector, not at its largest entry alone, and can be estimated
    without bias: the average over samples of a calibrated model is 0, so single values may be
    negative. This is a squared error; its root is comparable to other errors.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    estimator : {"biased", "unbiased", "linear"}, default="unbiased"
        Mean over all pairs, themselves included (never negative); over all pairs of different
        samples; or over n_samples / 2 disjoint random pairs (fast, noisy).
    bandwidth : float > 0 or "median", default="median"
        Width of the kernel on the scale of distances in [0, 1]. The median of the distances
        between unequal predictions depends on the model: fix a number to compare models.
    average : {"canonical", "top_label", "classwise", "binary"}, default="canonical"
        The whole vector; or one prediction per sample as for `expected_calibration_error`.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the pairing; ``"linear"`` only.

    Returns
    -------
    error : float
        In [-2, 2] (canonical) or [-1, 1], lower is better, 0 in the mean under calibration.
        ``"biased"`` is never negative.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also for unknown options, a bandwidth that is not positive,
        or fewer than two samples without ``estimator="biased"``.

    See Also
    --------
    kernel_calibration_test : Whether the error is more than chance.

    Notes
    -----
    With :math:`h_{ij} = (Y_i - P_i)^T (Y_j - P_j) \exp(-d(P_i, P_j) / b)`, d the total variation
    distance (half the sum of absolute differences) and Y one-hot labels, the estimators are
    :math:`n^{-2} \sum_{ij} h_{ij}`, :math:`2 (n (n - 1))^{-1} \sum_{i < j} h_{ij}` and the mean of
    h over pairs. A view of one prediction has scalar residuals and the distance ``|p_i - p_j|``;
    for two classes the canonical value is twice the binary one. There are no weights: estimators
    without bias have no weighted form in which a weight stands for repetitions.

    Cost: O(n_samples^2 n_classes) in blocks of constant memory, O(n_samples log n_samples) for
    scalar views and two classes, O(n_samples n_classes) for ``"linear"``. The median is that of all
    rows up to 2,048, of as many evenly spaced ones in lexicographic order beyond.

    References
    ----------
    .. [1] D. Widmann, F. Lindsten, D. Zachariah. Calibration Tests in Multi-class Classification:
       A Unifying Framework. NeurIPS 2019. arXiv:1910.11385

    Examples
    --------
    >>> from calib.evaluation import kernel_calibration_error
    >>> y_true = [0, 1, 1, 1]
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(kernel_calibration_error(y_true, y_prob, estimator="biased", bandwidth=1.0), 4)
    0.1689
    >>> round(kernel_calibration_error(y_true, y_prob, bandwidth=1.0), 4)
    0.1015
    """
    check_option("estimator", estimator, ("biased", "unbiased", "linear"))
    check_option("average", average, KERNEL_VIEWS)
    width = width_or_rule(bandwidth, "median")
    predictions = checked(y_true, y_prob, None, labels, pos_label)
    codes = predictions.codes
    if estimator != "biased" and len(codes) < 2:
        raise ValueError(
            f"estimator={estimator!r} compares different samples and needs at least 2; got "
            f"{len(codes)}; pass estimator='biased'"
        )
    rng = generator(random_state)
    if average == "canonical":
        return _canonical(predictions.columns, codes, estimator, width, rng)
    order = rng.permutation(len(codes)) if estimator == "linear" else None
    return float(
        np.mean(
            [scalar_error(p, y, estimator, width, order) for p, y in predictions.pairs(average)]
        )
    )


class KernelTest(NamedTuple):
    """Outcome of `kernel_calibration_test`.

    Parameters
    ----------
    statistic : float
        Linear estimate of the squared kernel calibration error.
    p_value : float
        Probability that a calibrated model shows at least this value, in [0, 1].
    standardized : float
        The estimate in standard errors.
    n_pairs : int
        Number of disjoint pairs of samples.
    """

    statistic: float
    p_value: float
    standardized: float
    n_pairs: int


def kernel_calibration_test(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    bandwidth: float | Literal["median"] = "median",
    n_resamples: int = 999,
    labels: ArrayLike = None,
    pos_label: object = None,
    random_state: RandomState = None,
) -> KernelTest:
    r"""Test calibration of whole probability vectors by disjoint pairs of samples.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    bandwidth : float > 0 or "median", default="median"
        As for `kernel_calibration_error`.
    n_resamples : int >= 19, default=999
        Redrawn label vectors where the normal law is not to be relied on.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the pairing and of the redrawn labels.

    Returns
    -------
    test : KernelTest
        ``statistic``, one-sided ``p_value``, ``standardized`` and ``n_pairs``.

    Raises
    ------
    ValueError
        As `kernel_calibration_error`; also for fewer than four samples.

    Notes
    -----
    Under calibration the mean of h over m disjoint pairs has mean 0 and is asymptotically normal;
    the statistic is divided by the standard deviation of h over ``sqrt(m)``. Few products of rare
    events make up such a mean: where their effective number :math:`(\sum E h^2)^2 / \sum E h^4`,
    taken of the most probable classes, is below 5 (about 60 samples with common events, a million
    with events of 1 in 1,000), the p-value is the share of redrawn label vectors with at least this
    mean over its standard error, ``1 / (n_resamples + 1)`` or more. The test ignores most pairs and
    has less power than `cumulative_calibration_test` where one prediction per sample is all that
    counts. If all products are equal the standard deviation is 0: the p-value is 1 for a statistic
    of at most 0, else 0. Cost: O(n_samples n_classes).

    References
    ----------
    .. [1] D. Widmann, F. Lindsten, D. Zachariah. Calibration Tests in Multi-class Classification:
       A Unifying Framework. NeurIPS 2019. arXiv:1910.11385

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import kernel_calibration_test
    >>> p = (np.arange(400) + 0.5) / 400
    >>> y = (np.arange(400) * 0.618 % 1 < p**4).astype(int)
    >>> test = kernel_calibration_test(y, p, bandwidth=1.0, random_state=0)
    >>> test.n_pairs, test.p_value < 0.01
    (200, True)
    """
    from scipy.special import ndtr

    width = width_or_rule(bandwidth, "median")
    check_integer("n_resamples", n_resamples, low=19, high=MOST_RESAMPLES)
    predictions = checked(y_true, y_prob, None, labels, pos_label)
    codes = predictions.codes
    if len(codes) < 4:
        raise ValueError(f"kernel_calibration_test needs at least 4 samples; got {len(codes)}")
    columns = predictions.columns.astype(np.float64)
    width = median_distance(columns) if width is None else width
    rng = generator(random_state)
    order = rng.permutation(len(codes))
    products = pair_products(columns, residuals(columns, codes), width, order)
    mean, error = float(products.mean()), float(products.std(ddof=1) / np.sqrt(len(products)))
    if error == 0:
        z = 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
        return KernelTest(mean, 0.0 if mean > 0 else 1.0, z, len(products))
    p_value = float(ndtr(-mean / error))
    if _expected_products(columns, order) < FEW_PRODUCTS:
        p_value = kernel_pairs_test(
            columns,
            codes,
            np.ones(len(codes)),
            n_resamples=n_resamples,
            rng=rng,
            width=width,
            order=order,
        ).p_value
    return KernelTest(mean, p_value, mean / error, len(products))


def _expected_products(columns: Float64Array, order: IntArray) -> float:
    """Return the effective number of products of residuals, ``(sum E h^2)^2 / sum E h^4``.

    Of the most probable class alone, which decides how rarely a product is large; a certain
    prediction has none.
    """
    chance = columns.max(axis=1)
    variance = np.clip(chance * (1.0 - chance), 0.0, None)
    fourth = variance * (chance**3 + (1.0 - chance) ** 3)
    first, second = order[0 : len(order) // 2 * 2 : 2], order[1::2]
    spread = float((variance[first] * variance[second]).sum())
    heavy = float((fourth[first] * fourth[second]).sum())
    return spread**2 / heavy if heavy > 0 else 0.0


def _canonical(
    columns: FloatArray,
    codes: IntArray,
    estimator: Estimator,
    width: float | None,
    rng: np.random.Generator,
) -> float:
    n_samples, n_classes = columns.shape
    if n_classes == 2:  # both residuals are equal but for the sign, and so are all distances
        order = rng.permutation(n_samples) if estimator == "linear" else None
        score = columns[:, 1].astype(np.float64)
        return 2 * scalar_error(score, codes == 1, estimator, width, order)
    proba = np.ascontiguousarray(columns, dtype=np.float64)
    width = median_distance(proba) if width is None else width
    residual = residuals(proba, codes)
    if estimator == "linear":
        return float(pair_products(proba, residual, width, rng.permutation(n_samples)).mean())
    between = sum_of_pairs(proba, residual, width)
    diagonal = float(np.einsum("ij,ij->", residual, residual))
    if estimator == "unbiased":
        return 2 * between / float(n_samples * (n_samples - 1))
    return max(2 * between + diagonal, 0.0) / float(n_samples) ** 2
