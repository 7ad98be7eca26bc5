"""Binned calibration errors: one number, two signed numbers, or the whole table."""

from __future__ import annotations

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.limits import MOST_BINS
from calib._border.typing import ArrayLike
from calib._core.binning import Norm, Strategy, tabulate_classes
from calib.evaluation.binned.tables import binned
from calib.evaluation.views.predictions import checked
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average


@measure
def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    norm: Norm = 1,
    average: Average = "auto",
    debias: bool = False,
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    r"""Compute the expected calibration error (ECE).

    Predictions are grouped into bins; the error is the mean gap between mean prediction and
    observed rate of a bin, weighted by its size. Choose between models by a proper score (log loss,
    Brier) instead: a model that always predicts the class frequencies has an error of 0.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes. Arrays, tensors, lists and tables are accepted.
    n_bins : int >= 1, default=15
        Number of bins; print it beside the number, which depends on it.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass. Equal scores always share a bin.
    norm : {1, 2, "max"}, default=1
        Weighted mean of the gaps (ECE), root of their weighted mean square (RMS calibration error,
        arXiv:1812.04606), or largest gap (maximum calibration error).
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        What is compared. ``"top_label"``: the largest probability with "the prediction was right",
        the convention of most papers on networks. ``"classwise"``: every column with "this is the
        class", averaged over classes (unweighted; also of norms 2 and "max"). ``"binary"``: for two
        classes, the probability of the second class with its occurrence. ``"auto"`` is binary for
        two classes and top label beyond, in all measures and reports.
    debias : bool, default=False
        Whether to subtract an estimate of the upward bias, for norms 1 and 2; a negative result
        becomes 0 (`squared_calibration_error` keeps it). Class-wise errors of norm 2 are then
        averaged before the root is taken.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
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
        If an argument is empty, not finite, of the wrong shape or length or not among the options;
        if `y_prob` holds no probabilities; if a label belongs to no column; if
        ``average="binary"`` meets more than two classes; or if `debias` is asked for with
        ``norm="max"``.

    See Also
    --------
    squared_calibration_error : The debiased square, which may be negative.
    calibration_report : This error with an interval and its floor under perfect calibration.

    Notes
    -----
    With weight :math:`w_b`, mean prediction :math:`\bar p_b` and observed rate :math:`\bar y_b` of
    bin b, the error is :math:`(\sum_b w_b |\bar p_b - \bar y_b|^q)^{1/q}`. Bins are ``[a, b)``,
    the last one is closed; empty bins contribute nothing. The estimate is biased upwards, by about
    ``sqrt(n_bins / n_samples)`` in order of magnitude, even for perfectly calibrated predictions:
    compare only at equal `n_bins` and sample size. `debias` subtracts from the squared gap of a bin
    of :math:`n_b` samples :math:`\bar y_b (1 - \bar y_b) / (n_b - 1)`, and from the absolute gap
    what normal noise of variance :math:`\bar y_b (1 - \bar y_b) / n_b` adds to it on average [3]_;
    near 0 some of the bias stays. Ties in the largest probability go to the first
    column. Cost: O(n_samples n_classes), plus a sort for ``strategy="quantile"``.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper, M. Hauskrecht. Obtaining Well Calibrated Probabilities Using
       Bayesian Binning. AAAI 2015.
    .. [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks.
       ICML 2017. arXiv:1706.04599
    .. [3] A. Kumar, P. S. Liang, T. Ma. Verified Uncertainty Calibration. NeurIPS 2019.
       arXiv:1909.10155

    Examples
    --------
    >>> from calib.evaluation import expected_calibration_error
    >>> y_true = [0, 1, 1, 1]
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(expected_calibration_error(y_true, y_prob, n_bins=5), 4)
    0.3625
    >>> round(expected_calibration_error(y_true, y_prob, n_bins=5, norm="max"), 3)
    0.7
    """
    check_option("norm", norm, (1, 2, "max"))
    check_option("debias", debias, (True, False))
    if debias and norm == "max":
        raise ValueError("debias=True takes norm=1 or norm=2; the largest gap has no known bias")
    _, table = binned(
        y_true, y_prob, n_bins, strategy, average, sample_weight, labels, pos_label, bins
    )
    if not debias:
        return float(table.error(norm).mean())
    error = table.debiased_error() if norm == 1 else table.debiased_square()
    mean = max(0.0, float(error.mean()))
    return mean if norm == 1 else float(np.sqrt(mean))


@measure
def adaptive_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    threshold: float = 0.0,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the adaptive calibration error (ACE) of Nixon et al., class-wise with equal mass.

    Every class has its own ranges, each with the same number of predictions. (netcal uses the same
    acronym for the *average* calibration error, see `average_calibration_error`.)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    n_bins : int >= 1, default=15
        Number of ranges per class.
    threshold : float in [0, 1), default=0.0
        Entries of `y_prob` below it are left out; above 0 this is the thresholded error (TACE).
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
        As `expected_calibration_error`; also if `threshold` is outside [0, 1) or leaves no entry.

    Notes
    -----
    The mean over classes of the mean over ranges of ``|mean prediction - observed rate|``. The
    ranges are consecutive blocks of the sorted column, the first ``n mod n_bins`` of them one
    larger. Equal scores are never split: a run of them that a cut would split belongs to the upper
    range, ranges left empty are not counted, and neither are classes without entries above the
    threshold. Biased upwards at small `n_samples`. With many classes almost all entries of a column
    are near 0, so that most ranges hold noise and sharp models look good whatever their
    calibration; `threshold` is the customary remedy, and its value is arbitrary.
    Cost: O(n_classes n_samples log n_samples).

    References
    ----------
    .. [1] J. Nixon, M. Dusenberry, L. Zhang, G. Jerfel, D. Tran. Measuring Calibration in Deep
       Learning. CVPR Workshops 2019. arXiv:1904.01685

    Examples
    --------
    >>> from calib.evaluation import adaptive_calibration_error
    >>> y_true = [0, 1, 1, 1]
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(adaptive_calibration_error(y_true, y_prob, n_bins=2), 3)
    0.312
    """
    if isinstance(threshold, (bool, str)) or not 0 <= threshold < 1:
        raise ValueError(f"threshold must be a number in [0, 1); got {threshold!r}")
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    predictions = checked(y_true, y_prob, sample_weight, labels, pos_label)
    table = tabulate_classes(
        predictions.columns,
        predictions.codes,
        predictions.weight,
        n_bins,
        "quantile",
        float(threshold),
    )
    errors = table.mean_gap()
    counted = ~np.isnan(errors)
    if not counted.any():
        raise ValueError(
            f"threshold={threshold} leaves no entry of y_prob; pass a smaller threshold"
        )
    return float(errors[counted].mean())


@measure
def classwise_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the class-wise calibration error: the mean over classes of the error of each column.

    The same number as ``expected_calibration_error(average="classwise")``, under the name that it
    has in reports (in papers also static calibration error, SCE or cwECE).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    n_bins : int >= 1, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : float
        In [0, 2 / n_classes], lower is better, 0 is perfect.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Examples
    --------
    >>> from calib.evaluation import classwise_calibration_error
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(classwise_calibration_error([0, 1, 1, 1], y_prob, n_bins=5), 4)
    0.3625
    """
    _, table = binned(
        y_true, y_prob, n_bins, strategy, "classwise", sample_weight, labels, pos_label, bins
    )
    return float(table.error().mean())


@measure
def average_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    average: Average = "auto",
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the average calibration error: the unweighted mean gap over non-empty bins.

    Every equal-width bin with a sample counts alike, scarce scores and their noise included.
    (netcal calls this number ACE; elsewhere ACE is `adaptive_calibration_error`.)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3.
    n_bins : int >= 1, default=15
        Number of equal-width bins.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; they act inside the bins only.
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
    Biased upwards, more than the expected calibration error. Empty bins are not counted.

    References
    ----------
    .. [1] L. Neumann, A. Zisserman, A. Vedaldi. Relaxed Softmax: Efficient Confidence
       Auto-Calibration for Safe Pedestrian Detection. NeurIPS Workshop on Machine Learning for
       Intelligent Transportation Systems 2018.

    Examples
    --------
    >>> from calib.evaluation import average_calibration_error
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(average_calibration_error([0, 1, 1, 1], y_prob, n_bins=5, average="top_label"), 3)
    0.433
    """
    _, table = binned(
        y_true, y_prob, n_bins, "uniform", average, sample_weight, labels, pos_label, bins
    )
    return float(table.mean_gap().mean())


@measure
def maximum_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    average: Average = "auto",
    min_weight: float = 0.0,
    bins: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the maximum calibration error (MCE): the largest gap of any bin.

    For applications in which the worst region counts. It mostly finds the bin with the fewest
    samples, so use few bins or set `min_weight`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3.
    n_bins : int >= 1, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`, except that ``"classwise"`` takes the largest gap over
        all classes and bins (``expected_calibration_error(norm="max")`` averages over classes).
    min_weight : float >= 0, default=0.0
        Bins with a smaller sum of weights (fewer samples, without weights) are left out.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1]; they replace `n_bins` and `strategy`.
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
        As `expected_calibration_error`; also if no bin reaches `min_weight`.

    Notes
    -----
    Naeini et al., AAAI 2015. Biased upwards, increasingly with `n_bins`; empty bins do not count.

    Examples
    --------
    >>> from calib.evaluation import maximum_calibration_error
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(maximum_calibration_error([0, 1, 1, 1], y_prob, n_bins=5), 3)
    0.7
    """
    if isinstance(min_weight, (bool, str)) or not 0 <= min_weight < np.inf:
        raise ValueError(f"min_weight must be a number >= 0; got {min_weight!r}")
    _, table = binned(
        y_true, y_prob, n_bins, strategy, average, sample_weight, labels, pos_label, bins
    )
    largest = table.largest_gap(float(min_weight))
    if np.isnan(largest).all():
        raise ValueError(f"no bin has a weight of at least min_weight={min_weight}; lower it")
    return float(np.nanmax(largest))
