"""Calibration error with as many equal-mass bins as the observed rates stay in order."""

from __future__ import annotations

from functools import partial

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._core.binning import WEIGHT_TOLERANCE, BinTable, Norm
from calib.evaluation.views.distinct import (
    DistinctScores,
    checked_pairs,
    distinct_scores,
    measure_pairs,
)
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average, PairView


@measure
def sweep_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    norm: Norm = 1,
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Compute the calibration error with the number of bins chosen by a monotonic sweep.

    Equal-mass bins are made finer until, for the first time, the observed rates stop increasing
    from bin to bin; the last number of bins before that is used. Less biased than a fixed number of
    bins, and comparable between sample sizes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    norm : {1, 2, "max"}, default=1
        As for `expected_calibration_error`.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`; ``"classwise"`` is the unweighted mean over classes,
        each with its own number of bins.
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

    See Also
    --------
    sweep_bin_count : The number of bins that the sweep chooses.

    Notes
    -----
    Bins follow the equal-mass rule of `expected_calibration_error`: equal scores are never split,
    bins that ties leave empty do not count. The sweep stops at the first failure, even if a larger
    number of bins would be monotone again, and at one bin per row at the latest. A model whose
    rates fall as its scores rise gets a single bin, hence no more than its mean gap. Biased upwards
    at small `n_samples`. Cost: O(n log n + m^2) for m chosen bins, of which only those between the
    first event and the last non-event count.

    References
    ----------
    .. [1] R. Roelofs, N. Cain, J. Shlens, M. C. Mozer. Mitigating Bias in Calibration Error
       Estimation. AISTATS 2022. arXiv:2012.08668

    Examples
    --------
    >>> from calib.evaluation import sweep_calibration_error
    >>> y_true, y_prob = [0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.4, 0.5, 0.8, 0.9]
    >>> round(sweep_calibration_error(y_true, y_prob, average="binary"), 3)
    0.117
    """
    check_option("norm", norm, (1, 2, "max"))
    return measure_pairs(
        partial(swept_error, norm=norm), y_true, y_prob, average, sample_weight, labels, pos_label
    )


def swept_error(scores: DistinctScores, norm: Norm = 1) -> float | Float64Array:
    """Return the error with the swept bins of every vector of labels."""
    if scores.label.ndim > 1:
        return np.array([swept_error(scores._replace(label=label), norm) for label in scores.label])
    cuts = _Sweep(scores).cuts()[1]
    sums = np.array([scores.weight, scores.weight * scores.value, scores.label])
    binned = np.add.reduceat(sums, np.r_[0, cuts], axis=1)
    edges = np.concatenate([[0.0], scores.value[cuts], [1.0]])
    return float(BinTable(edges[None], *binned[:, None]).error(norm)[0])


def sweep_bin_count(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    average: PairView = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> int:
    """Count the equal-mass bins that `sweep_calibration_error` chooses.

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
    n_bins : int
        At least 1; bins that ties leave empty are included.

    Raises
    ------
    ValueError
        As `expected_calibration_error`.

    Examples
    --------
    >>> from calib.evaluation import sweep_bin_count
    >>> sweep_bin_count([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.4, 0.5, 0.8, 0.9], average="binary")
    4
    """
    pairs = checked_pairs(y_true, y_prob, average, sample_weight, labels, pos_label)
    return _Sweep(distinct_scores(*pairs)).cuts()[0]


class _Sweep:
    """Equal-mass cuts of distinct scores, for any number of bins."""

    def __init__(self, scores: DistinctScores) -> None:
        self.scores = scores
        self.mass = np.concatenate([[0.0], np.cumsum(scores.weight)])
        self.hits = np.concatenate([[0.0], np.cumsum(scores.label)])
        self.total = float(self.mass[-1])
        self.whole = scores.whole
        self.most = int(self.total) if self.whole else scores.n_rows

    def cut(self, n_bins: int, first: int, stop: int) -> IntArray:
        """Return the cuts number `first` to `stop` of `n_bins` bins; repeated where bins are empty.

        A cut is the index of the distinct score that starts the upper bin.
        """
        inner = np.arange(first, stop)
        if self.whole:
            size, larger = divmod(int(self.total), n_bins)
            target = (inner * size + np.minimum(inner, larger)).astype(np.float64)
        else:
            share = np.float64(self.total / n_bins)
            target = share * inner + np.float64(WEIGHT_TOLERANCE * self.total)
        last = len(self.mass) - 2
        return np.minimum(np.searchsorted(self.mass[1:], target, side="right"), last)

    def bins_below(self, mass: float, n_bins: int) -> int:
        """Return how many of `n_bins` bins, before ties move cuts, end within a lower mass."""
        if not self.whole:
            return int(mass * n_bins / self.total)
        size, larger = divmod(int(self.total), n_bins)
        if mass <= larger * (size + 1):
            return int(mass // (size + 1))
        return larger + int((mass - larger * (size + 1)) // size)

    def cuts(self) -> tuple[int, IntArray]:
        """Return the chosen number of bins and its distinct cuts."""
        rate = self.scores.label / self.scores.weight
        if not (np.diff(rate) < 0).any():  # merging bins keeps the order
            chosen = self.most
        else:
            chosen = self._first_failure() - 1
        cuts = np.unique(self.cut(chosen, 1, chosen))
        return chosen, cuts[cuts > 0]

    def _first_failure(self) -> int:
        # Below the first event all rates are 0, above the last non-event all are 1: only cuts in
        # between, and one on either side, decide.
        low = int(np.argmax(self.scores.label > 0))
        high = len(self.mass) - 1 - int(np.argmax((self.scores.label < self.scores.weight)[::-1]))
        left, right = float(self.mass[low]), float(self.mass[high])
        for n_bins in range(2, self.most + 1):
            first = max(1, self.bins_below(left, n_bins) - 1)
            stop = min(n_bins, self.bins_below(right, n_bins) + 3)
            cuts = np.concatenate([[0], self.cut(n_bins, first, stop), [len(self.mass) - 1]])
            mass, hits = np.diff(self.mass[cuts]), np.diff(self.hits[cuts])
            filled = mass > 0
            if (np.diff(hits[filled] / mass[filled]) < -WEIGHT_TOLERANCE).any():
                return n_bins
        return self.most + 1
