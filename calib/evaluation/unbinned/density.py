"""Calibration errors from density estimates: triweight on one score, Dirichlet on vectors."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib.evaluation.unbinned.kernel_sums import BLOCK_ENTRIES, spaced_rows
from calib.evaluation.unbinned.mirrored_grid import cosines, frequencies, from_cosines, spread
from calib.evaluation.unbinned.smooth import width_or_rule
from calib.evaluation.views.distinct import DistinctScores, measure_pairs, single_scores
from calib.evaluation.views.predictions import checked
from calib.evaluation.views.recognition import measure
from calib.evaluation.views.views import Average

#: Cells of [0, 1]: as many per bandwidth, between the two limits.
CELLS_PER_BANDWIDTH = 256
FEWEST_CELLS, MOST_CELLS = 1 << 14, 1 << 20
#: Probabilities are moved into [FLOOR, 1 - FLOOR] before the Dirichlet kernel takes logarithms.
FLOOR = 1e-6
#: Rows whose leave-one-out likelihood chooses the bandwidth at most, and the candidates.
LIKELIHOOD_ROWS = 1024
GRID: tuple[float, ...] = (*np.logspace(-5, -1, 15).tolist(), 0.2, 0.4, 0.6, 0.8, 1.0)


@measure
def density_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    bandwidth: float | Literal["normal"] = "normal",
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    r"""Compute the calibration error from kernel density estimates (KDE-ECE).

    The observed rate at a score is the ratio of two smooth densities, of the events and of all
    scores, instead of a ratio of counts in a bin.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    bandwidth : float > 0 or "normal", default="normal"
        Half-width of the kernel on the scale of probabilities. "normal" is
        ``1.06 sd n^(-1/5)`` with the standard deviation of the scores.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        As for `expected_calibration_error`; ``"classwise"`` is the unweighted mean over classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row. For the
        bandwidth, n is the sum of integer weights, and Kish's effective number otherwise.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : float
        In [0, 1], lower is better. Perfect predictions of exactly 0 and 1 show about 0.27 of the
        bandwidth, because the kernel smears them. If all scores are equal, the gap at that score.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also if `bandwidth` is neither positive nor "normal".

    See Also
    --------
    dirichlet_calibration_error : Another estimator with a similar name, for whole vectors.

    Notes
    -----
    :math:`\int_0^1 |z - \pi(z)| f(z) dz` with :math:`\pi(z) = \bar a f(z | a = 1) / f(z)`; both
    densities use the triweight kernel :math:`(35 / 32) (1 - (v / h)^2)^3 / h`, reflected at 0 and
    1. The same bandwidth in both keeps :math:`\pi` in [0, 1]. Programs differ in the bandwidth: the
    one published with the paper takes ``sd(scores of events) (2 n)^(-1/5)`` as the standard
    deviation of the kernel, that is ``h = 3 sd (2 n)^(-1/5)`` here. Integrated on cells of at most
    h / 256 (never below 1e-6). Biased upwards by noise and by smoothing.
    Cost: O(n_samples) per class.

    References
    ----------
    .. [1] J. Zhang, B. Kailkhura, T. Y.-J. Han. Mix-n-Match: Ensemble and Compositional Methods for
       Uncertainty Calibration in Deep Learning. ICML 2020. arXiv:2003.07329

    Examples
    --------
    >>> from calib.evaluation import density_calibration_error
    >>> y_true, y_prob = [0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]
    >>> round(density_calibration_error(y_true, y_prob, bandwidth=0.3, average="binary"), 3)
    0.222
    """
    width = width_or_rule(bandwidth, "normal")
    return measure_pairs(
        partial(triweight_error, width=width),
        y_true, y_prob, average, sample_weight, labels, pos_label, single_scores,
    )  # fmt: skip


def triweight_error(scores: DistinctScores, width: float | None = None) -> Float64Array:
    """Return the error of every vector of labels; without a width, by the normal rule."""
    total = float(scores.weight.sum())
    if scores.value.min() == scores.value.max():
        return np.asarray(np.abs(scores.value[0] - scores.label.sum(axis=-1) / total))
    share = scores.weight / total
    if width is None:
        mean = float(share @ scores.value)
        deviation = float(np.sqrt(share @ (scores.value - mean) ** 2))
        width = 1.06 * deviation * scores.size**-0.2
    wanted = 1 << int(np.ceil(np.log2(CELLS_PER_BANDWIDTH / width)))
    n_cells = min(MOST_CELLS, max(FEWEST_CELLS, wanted))
    damping = _triweight_transform(width * frequencies(n_cells))

    def smoothed(mass: Float64Array) -> Float64Array:
        return from_cosines(cosines(spread(scores.value, mass, n_cells)) * damping)

    expected = (np.arange(n_cells) + 0.5) / n_cells * smoothed(share)
    errors = [
        float(np.abs(expected - smoothed(label / total)).sum())
        for label in np.atleast_2d(scores.label)
    ]
    return np.reshape(errors, scores.label.shape[:-1])


def _triweight_transform(angular: Float64Array) -> Float64Array:
    """Return the Fourier transform of the triweight kernel of half-width 1, at rising values."""
    from scipy.special import spherical_jn

    out: Float64Array = 1 - angular**2 / 18  # to fourth order
    first = int(np.searchsorted(angular, 1e-3, side="right"))
    w = angular[first:]
    out[first:] = 105 * spherical_jn(3, w) / (w * w * w)
    return out


def dirichlet_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    norm: Literal[1, 2] = 1,
    bandwidth: float | Literal["likelihood"] = "likelihood",
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    r"""Estimate the canonical calibration error with Dirichlet kernels (ECE-KDE).

    Compares the whole probability vector with the class frequencies among similar vectors. Needs
    much data beyond about ten classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    norm : {1, 2}, default=1
        Mean of the sum over classes of absolute gaps, or root of the mean sum of squared gaps.
    bandwidth : float > 0 or "likelihood", default="likelihood"
        Width of the kernel: smaller is sharper. "likelihood" takes the best of twenty between 1e-5
        and 1 by the leave-one-out likelihood of the predictions.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    error : float
        In [0, 2] for norm 1, [0, sqrt(2)] for norm 2, lower is better. For two classes twice the
        binary error (norm 1), because both columns count.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also for fewer than two samples (the estimate at a sample
        uses the others) or a `bandwidth` that is neither positive nor "likelihood".

    See Also
    --------
    density_calibration_error : Another estimator with a similar name, for one score per sample.

    Notes
    -----
    :math:`n^{-1} \sum_j \|\hat\pi(P_j) - P_j\|_q^q` with
    :math:`\hat\pi(P_j) = \sum_{i \ne j} k_{ij} Y_i / \sum_{i \ne j} k_{ij}`, where :math:`k_{ij}`
    is the Dirichlet density at :math:`P_j` with parameters :math:`P_i / h + 1` (Beta for two
    classes). Sums are taken in logarithms; probabilities are moved into [1e-6, 1 - 1e-6] and
    renormalised for the kernel only. Predictions that repeat exactly make the likelihood prefer the
    smallest bandwidth: give a number then. The published program subtracts ``log h`` once more from
    the likelihood and so chooses smaller bandwidths. No weights: leaving one row out has no
    weighted form in which a weight stands for repetitions. Biased by smoothing and, upwards, by
    noise. Cost: O(n_samples^2 n_classes) in blocks of constant memory; the likelihood is that of
    all rows up to 1,024, of as many evenly spaced ones in lexicographic order beyond.

    References
    ----------
    .. [1] T. Popordanoska, R. Sayer, M. B. Blaschko. A Consistent and Differentiable Lp Canonical
       Calibration Error Estimator. NeurIPS 2022. arXiv:2210.07810

    Examples
    --------
    >>> from calib.evaluation import dirichlet_calibration_error
    >>> y_true = [0, 1, 1, 1]
    >>> y_prob = [[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
    >>> round(dirichlet_calibration_error(y_true, y_prob, bandwidth=0.1), 3)
    0.788
    """
    check_option("norm", norm, (1, 2))
    width = width_or_rule(bandwidth, "likelihood")
    predictions = checked(y_true, y_prob, None, labels, pos_label)
    codes = predictions.codes
    if len(codes) < 2:
        raise ValueError("dirichlet_calibration_error leaves one sample out and needs at least 2")
    columns = predictions.columns.astype(np.float64)
    inside = np.clip(columns, FLOOR, 1 - FLOOR)
    inside /= inside.sum(axis=1, keepdims=True)
    width = _likeliest_bandwidth(inside) if width is None else width
    error = float(np.mean(_dirichlet_gaps(inside, columns, codes, width, norm)))
    return float(np.sqrt(error)) if norm == 2 else error


def _log_normaliser(inside: Float64Array, width: float) -> Float64Array:
    """Return the logarithm of the Dirichlet normaliser of every kernel, shape (n_samples,)."""
    from scipy.special import gammaln

    alpha = inside / width + 1.0
    out: Float64Array = gammaln(alpha.sum(axis=1)) - gammaln(alpha).sum(axis=1)
    return out


def _likeliest_bandwidth(inside: Float64Array) -> float:
    """Return the bandwidth of the grid with the largest leave-one-out likelihood."""
    normaliser = [_log_normaliser(inside, h) for h in GRID]
    likelihood = np.zeros(len(GRID))
    chosen = spaced_rows(inside, LIKELIHOOD_ROWS)
    for rows in np.array_split(chosen, -(-len(chosen) * len(inside) // BLOCK_ENTRIES)):
        cross = np.log(inside[rows]) @ inside.T
        cross[np.arange(len(rows)), rows] = -np.inf
        for g, h in enumerate(GRID):
            likelihood[g] += _log_sum(cross / h + normaliser[g])[0].sum()
    return GRID[int(np.argmax(likelihood))]


def _log_sum(exponent: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the log of the sum of exponentials of every row, and each one's share of it."""
    peak = exponent.max(axis=1, keepdims=True)
    exponent -= peak
    np.exp(exponent, out=exponent)
    total = exponent.sum(axis=1, keepdims=True)
    exponent /= total
    return (peak + np.log(total))[:, 0], exponent


def _dirichlet_gaps(
    inside: Float64Array, columns: Float64Array, codes: IntArray, width: float, norm: int
) -> Float64Array:
    log_p, normaliser = np.log(inside), _log_normaliser(inside, width)
    n_samples, n_classes = columns.shape
    one_hot = np.zeros((n_samples, n_classes))
    one_hot[np.arange(n_samples), codes] = 1.0
    gaps = np.empty(n_samples)
    for rows in row_blocks(n_samples, n_samples, at_least=max(1, BLOCK_ENTRIES // n_samples)):
        exponent = log_p[rows] @ inside.T
        exponent /= width
        exponent += normaliser
        exponent[np.arange(len(exponent)), np.arange(rows.start, rows.stop)] = -np.inf
        rate = _log_sum(exponent)[1] @ one_hot
        gaps[rows] = (np.abs(rate - columns[rows]) ** norm).sum(axis=1)
    return gaps
