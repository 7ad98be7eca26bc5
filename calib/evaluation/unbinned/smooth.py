"""Smooth calibration error: continuous in the predictions, with a bandwidth that chooses itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from calib._border.checks import check_option, describe, is_number
from calib._border.typing import ArrayLike, Float64Array
from calib.evaluation.unbinned.mirrored_grid import cosines, gaussian_total, spread
from calib.evaluation.views.distinct import DistinctScores, measure_pairs, single_scores
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average

#: Cells of [0, 1]; the error of the grid is about ``1 / (12 N_CELLS^2 bandwidth)``.
N_CELLS = 1 << 16
#: Smallest bandwidth that a caller may fix, and cells per bandwidth then.
SMALLEST_BANDWIDTH = 1e-5
CELLS_PER_BANDWIDTH = 32
#: The fixed point is found to this distance.
TOLERANCE = 1e-9


def check_bandwidth(bandwidth: object, *, low: float = 0.0) -> float:
    """Return a bandwidth as a float; it must be finite and more than 0, or at least `low`."""
    if not is_number(bandwidth):
        raise ValueError(f"bandwidth must be a number; got {describe(bandwidth)}")
    value = float(bandwidth)
    if not 0 < value < np.inf or value < low:
        rule = f">= {low:g}" if low else "> 0"
        raise ValueError(f"bandwidth must be finite and {rule}; got {value}")
    return value


def width_or_rule(bandwidth: object, rule: str) -> float | None:
    """Return the bandwidth that is asked for, or None for the named rule that chooses it."""
    if isinstance(bandwidth, str):
        check_option("bandwidth", bandwidth, (rule,))
        return None
    return check_bandwidth(bandwidth)


@measure
def smooth_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    bandwidth: float | None = None,
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    r"""Compute the smooth expected calibration error (smECE).

    The gaps are smoothed by a Gaussian kernel before they are added up. Unlike binned errors it
    does not jump when predictions move a little, there are no bins to choose, and it is bounded on
    both sides by the distance to the nearest calibrated predictions.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    bandwidth : float >= 1e-5 or None, default=None
        Standard deviation of the kernel on the scale of probabilities. None finds the one at which
        the error equals the bandwidth, which is what the name smECE stands for.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`; ``"classwise"`` is the unweighted mean over classes,
        each with its own bandwidth.
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
        As `expected_calibration_error`; also if `bandwidth` is not a number of at least 1e-5.

    Notes
    -----
    With :math:`\tilde K_s` the Gaussian of standard deviation s reflected at 0 and 1,

    .. math:: \mathrm{smECE}_s = \int_0^1 \Big| \frac{1}{W} \sum_i w_i \tilde K_s(t, p_i)
        (y_i - p_i) \Big| dt,

    which never increases with s; smECE is the solution of :math:`\mathrm{smECE}_s = s`. It lies
    between ``|mean(y) - mean(p)|`` and the error with every distinct score as a bin, and satisfies
    ``d / 2 <= smECE <= 2 sqrt(d)`` for the distance d to calibration. The solution is accurate to
    1e-6 where it exceeds 2e-5 (6e-6 below). Biased upwards at small `n_samples`, less than binned
    errors. The package of the authors halves the bandwidth ten times and rounds scores to its grid,
    so that it differs in the fourth decimal. Cost: O(n_samples) per class, plus about ten cosine
    transforms of length 65,536.

    References
    ----------
    .. [1] J. Blasiok, P. Nakkiran. Smooth ECE: Principled Reliability Diagrams via Kernel
       Smoothing. ICLR 2024. arXiv:2309.12236

    Examples
    --------
    >>> from calib.evaluation import smooth_calibration_error
    >>> y_true, y_prob = [0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]
    >>> round(smooth_calibration_error(y_true, y_prob, average="binary"), 4)
    0.1423
    >>> round(smooth_calibration_error(y_true, y_prob, bandwidth=0.05, average="binary"), 4)
    0.3357
    """
    if bandwidth is not None:
        bandwidth = check_bandwidth(bandwidth, low=SMALLEST_BANDWIDTH)
    return measure_pairs(
        partial(smooth_error, bandwidth=bandwidth),
        y_true, y_prob, average, sample_weight, labels, pos_label, single_scores,
    )  # fmt: skip


def smooth_error(scores: DistinctScores, bandwidth: float | None = None) -> float | Float64Array:
    """Return the smooth error of every vector of labels, at the fixed point without a bandwidth."""
    if scores.label.ndim > 1:
        return np.array(
            [smooth_error(scores._replace(label=label), bandwidth) for label in scores.label]
        )
    mass = scores.residual / scores.weight.sum()
    n_cells = N_CELLS
    if bandwidth is not None:
        n_cells = max(n_cells, 1 << int(np.ceil(np.log2(CELLS_PER_BANDWIDTH / bandwidth))))
    cells = spread(scores.value, mass, n_cells)
    spectrum = cosines(cells)
    if bandwidth is not None:
        return gaussian_total(spectrum, bandwidth)
    error = cache(partial(gaussian_total, spectrum))
    return _fixed_point(error, abs(float(mass.sum())), float(np.abs(cells).sum()))


def _fixed_point(error: Callable[[float], float], low: float, high: float) -> float:
    """Return the s with ``error(s) = s`` of a function that never increases, between two bounds."""
    from scipy.optimize import brentq

    if high - low <= TOLERANCE or error(low) - low <= TOLERANCE:
        return low
    if error(high) >= high:
        return high
    return float(brentq(lambda s: error(s) - s, low, high, xtol=TOLERANCE))
