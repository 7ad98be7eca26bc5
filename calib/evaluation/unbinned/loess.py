"""Summaries of a smooth calibration curve: ICI, E50, E90 and the largest gap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calib._border.checks import describe, is_number
from calib._border.typing import ArrayLike, Float64Array
from calib.evaluation.views.distinct import DistinctScores, checked_pairs, distinct_scores
from calib.evaluation.views.views import PairView

#: Share of the sample that a local fit uses.
SPAN = 0.75
#: Distinct scores beyond this many are joined to groups of neighbours.
MOST_SCORES = 4096
#: Scores at which the curve is fitted; it is interpolated linearly between them.
MOST_NODES = 1000
#: Rows of the matrix of kernel weights at a time.
BLOCK_NODES = 64
#: Ratio of singular values below which a direction of the local fit counts as undetermined.
RANK_TOLERANCE = 1e-7
#: Distance within which a single score is fitted by itself.
SMALLEST_REACH = 2.0**-59
#: Determinant of the matrix of a local fit, of unit diagonal, above which all are determined.
REGULAR = 1e-3


class CalibrationCurveSummary(NamedTuple):
    """Absolute gaps between predictions and their smooth calibration curve.

    Parameters
    ----------
    ici : float
        Integrated calibration index: the mean gap, in [0, 1].
    e50, e90 : float
        Median and 0.9 quantile of the gap, in [0, 1].
    e_max : float
        Largest gap, in [0, 1].
    """

    ici: float
    e50: float
    e90: float
    e_max: float


def integrated_calibration_index(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    span: float = SPAN,
    average: PairView = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> CalibrationCurveSummary:
    r"""Compute the integrated calibration index (ICI) with E50, E90 and Emax.

    A smooth curve of the event against the prediction takes the place of bins; the numbers say how
    far predictions are from it on average, for half, for nine tenths and for all of the samples.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    span : float in (0, 1], default=0.75
        Share of the sample that each local fit uses.
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
    summary : CalibrationCurveSummary
        ``ici``, ``e50``, ``e90``, ``e_max``, all in the unit of probabilities; lower is better.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also if `span` is not in (0, 1].

    Notes
    -----
    The curve is loess: at a score x a quadratic is fitted by least squares with tricube weights
    ``(1 - (|p - x| / d)^3)^3``, d being the distance within which `span` of the weight lies; where
    fewer than three distinct scores carry weight, a line or a mean takes the place of the
    quadratic. There are no robustness iterations, and the curve is kept within [0, 1]. It is fitted
    at up to 1,000 scores (evenly spaced ranks, both ends included) and interpolated; beyond 4,096
    distinct scores neighbours are joined first. Both move the numbers by less than about 1e-4;
    other smoothers, and other spans, change the third decimal. Biased upwards at small `n_samples`.
    Quantiles are the smallest gap that at least that share of the weight does not exceed.
    Cost: O(n_samples log n_samples) plus about 4 million kernel weights.

    References
    ----------
    .. [1] P. C. Austin, E. W. Steyerberg. The Integrated Calibration Index (ICI) and Related
       Metrics for Quantifying the Calibration of Logistic Regression Models. Statistics in Medicine
       38, 2019. doi:10.1002/sim.8281
    .. [2] W. S. Cleveland, S. J. Devlin. Locally Weighted Regression: An Approach to Regression
       Analysis by Local Fitting. Journal of the American Statistical Association 83, 1988.
       doi:10.1080/01621459.1988.10478639

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import integrated_calibration_index
    >>> p = (np.arange(400) + 0.5) / 400
    >>> y = (np.arange(400) * 0.618 % 1 < p**2).astype(int)
    >>> summary = integrated_calibration_index(y, p, average="binary")
    >>> print(f"{summary.ici:.3f} {summary.e50:.3f} {summary.e90:.3f} {summary.e_max:.3f}")
    0.168 0.191 0.253 0.256
    """
    if not is_number(span) or not 0 < span <= 1:
        raise ValueError(f"span must be a number in (0, 1]; got {describe(span)}")
    scores = distinct_scores(
        *checked_pairs(y_true, y_prob, average, sample_weight, labels, pos_label)
    )
    gap = _gaps(scores, float(span))
    order = np.argsort(gap, kind="stable")
    reached = np.cumsum(scores.weight[order])
    total = float(reached[-1])
    position = np.searchsorted(reached, np.array([0.5, 0.9]) * total * (1 - 1e-12))
    e50, e90 = (float(gap[order[min(i, len(gap) - 1)]]) for i in position)
    return CalibrationCurveSummary(
        float(gap @ scores.weight) / total, e50, e90, float(gap[order[-1]])
    )


def mean_curve_gap(scores: DistinctScores) -> Float64Array:
    """Return the index alone, of every vector of labels, at the usual span."""
    return np.asarray(_gaps(scores, SPAN) @ scores.weight / scores.weight.sum())


def _gaps(scores: DistinctScores, span: float) -> Float64Array:
    return np.asarray(np.abs(scores.value - calibration_curve_at(scores, span)))


def calibration_curve_at(scores: DistinctScores, span: float) -> Float64Array:
    """Return the loess curve at every distinct score, within [0, 1], of the shape of the labels."""
    joined = _join(scores)
    last = len(joined.value) - 1
    node = joined.value[np.unique(np.linspace(0, last, MOST_NODES).astype(np.intp))]
    node = np.union1d(node, scores.value[[0, -1]])
    fitted = np.clip(_loess(node, joined, span), 0.0, 1.0)
    curves = [np.interp(scores.value, node, curve) for curve in fitted.T]
    return np.reshape(curves, scores.label.shape)


def _join(scores: DistinctScores) -> DistinctScores:
    """Join neighbouring scores to at most `MOST_SCORES` groups of about equal weight."""
    if len(scores.value) <= MOST_SCORES:
        return scores
    middle = np.cumsum(scores.weight) - 0.5 * scores.weight
    group = (middle * (MOST_SCORES / scores.weight.sum())).astype(np.intp)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    total, weight, label = (
        np.add.reduceat(column, first, axis=-1)
        for column in (scores.weight * scores.value, scores.weight, scores.label)
    )
    return scores._replace(value=total / weight, weight=weight, label=label)


def _loess(node: Float64Array, data: DistinctScores, span: float) -> Float64Array:
    """Fit a quadratic around every node; return its value there, (n_nodes, n_vectors)."""
    reach = _reach(node, data, span)
    rate = np.atleast_2d(data.label / data.weight).T
    fitted = np.empty((len(node), rate.shape[1]))
    for start in range(0, len(node), BLOCK_NODES):
        rows = slice(start, start + BLOCK_NODES)
        u = (data.value - node[rows, None]) / reach[rows, None]
        np.abs(u, out=u)
        near = u * u
        near *= u
        np.subtract(1.0, near, out=near)
        np.maximum(near, 0.0, out=near)
        np.multiply(near, near, out=u)
        near *= u
        near *= data.weight
        near /= near.sum(axis=1, keepdims=True)
        # in powers of the score about its local mean, so that the fit is well conditioned
        centre = near @ data.value
        np.subtract(data.value, centre[:, None], out=u)
        u /= reach[rows, None]
        powers, moment = np.empty((len(u), 5)), np.empty((len(u), 3, rate.shape[1]))
        powers[:, 0] = near.sum(axis=1)
        for k in range(4):
            powers[:, k + 1] = np.einsum("ij,ij->i", near, u)
            if k < 3:
                moment[:, k] = near @ rate
                near *= u
        scale = np.sqrt(powers[:, ::2])
        scale[scale == 0] = 1.0
        gram = powers[:, np.add.outer(np.arange(3), np.arange(3))]
        gram /= scale[:, :, None] * scale[:, None, :]
        beta = np.einsum("iab,ibr->iar", _inverse(gram), moment / scale[:, :, None])
        beta /= scale[:, :, None]
        at = ((node[rows] - centre) / reach[rows])[:, None]
        fitted[rows] = beta[:, 0] + at * (beta[:, 1] + at * beta[:, 2])
    return fitted


def _inverse(gram: Float64Array) -> Float64Array:
    """Return the pseudo-inverses of matrices with a diagonal of ones, or zeros, (n, 3, 3)."""
    a, b, c = gram[:, 0, 1], gram[:, 0, 2], gram[:, 1, 2]
    determinant = 1.0 + 2.0 * a * b * c - a * a - b * b - c * c
    p, q, r = b * c - a, a * c - b, a * b - c
    adjugate = np.array([[1.0 - c * c, p, q], [p, 1.0 - b * b, r], [q, r, 1.0 - a * a]])
    regular = (determinant > REGULAR) & (gram[:, 1, 1] > 0) & (gram[:, 2, 2] > 0)
    inverse = np.moveaxis(adjugate / np.where(regular, determinant, 1.0), -1, 0)
    if not regular.all():
        inverse[~regular] = np.linalg.pinv(gram[~regular], rcond=RANK_TOLERANCE, hermitian=True)
    return inverse


def _reach(node: Float64Array, data: DistinctScores, span: float) -> Float64Array:
    """Return the distance within which a share `span` of the weight lies.

    A window that starts at a score must reach up to another one; the smallest distance is that at
    which both of its ends are equally far, or one of the two next to it. Never 0, and a trace more
    than the distance of a score, so that some score always has weight.
    """
    mass = np.concatenate([[0.0], np.cumsum(data.weight)])
    needed = np.searchsorted(mass, mass[:-1] + span * mass[-1] * (1 - 1e-12))
    last = np.append(data.value, np.inf)[needed - 1]
    first = np.append(data.value, -np.inf)
    start = np.searchsorted(data.value + last, 2.0 * node)
    reach = np.minimum(np.append(last, np.inf)[start] - node, node - first[start - 1])
    return np.asarray(np.maximum(reach, SMALLEST_REACH) * (1 + 1e-9))
