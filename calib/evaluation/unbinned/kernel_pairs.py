"""The kernel test of whole probability vectors, its law simulated by redrawn labels.

The normal law of the mean of kernel products needs many pairs where predictions are skewed;
redrawn labels need none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calib._border.typing import Float64Array, FloatArray, IntArray
from calib.evaluation.sampling.draws import draw_labels
from calib.evaluation.sampling.group_redraws import GroupRedraws, from_the_top, group_correlation
from calib.evaluation.sampling.redrawn_labels import BLOCK_EVENTS, DIGITS, Outcome, blind
from calib.evaluation.unbinned.kernel_sums import median_distance
from calib.evaluation.views import views


def kernel_pairs_test(
    columns: FloatArray,
    codes: IntArray,
    w: Float64Array,
    *,
    n_resamples: int,
    rng: np.random.Generator,
    groups: IntArray | None = None,
    width: float | None = None,
    order: IntArray | None = None,
) -> Outcome:
    """Compare the linear estimate of the kernel error with that of redrawn labels.

    Parameters
    ----------
    columns : ndarray of shape (n_samples, n_classes)
        Probabilities.
    codes : ndarray of shape (n_samples,)
        Column of the true class.
    w : ndarray of shape (n_samples,)
        Positive weights.
    n_resamples : int
    rng : Generator
    groups : ndarray of shape (n_samples,) or None
        Group of every row: labels are redrawn as dependent as they are.
    width : float or None
        Width of the kernel; None means the median distance.
    order : ndarray of shape (n_samples,) or None
        Rows 0 and 1, 2 and 3, ... of this order are pairs; None draws one.
    """
    n_samples, n_classes = columns.shape
    order = rng.permutation(n_samples) if order is None else order
    n_pairs = n_samples // 2
    first, second = order[: 2 * n_pairs : 2], order[1 : 2 * n_pairs : 2]
    width = median_distance(columns.astype(np.float64)) if width is None else width
    draw = _source(columns, codes, w, groups, n_resamples, rng)
    sums = np.zeros((2, 1 + n_resamples))  # of products, and of their squares
    mass = w[first] * w[second]
    step = max(1, BLOCK_EVENTS // max(1 + n_resamples, n_classes))
    for start in range(0, n_pairs, step):
        rows = slice(start, min(start + step, n_pairs))
        p, q = (columns[pair[rows]].astype(np.float64) for pair in (first, second))
        kernel = mass[rows] * np.exp(-0.5 * np.abs(p - q).sum(axis=1) / width)
        both = np.einsum("ij,ij->i", p, q)
        labels_p, labels_q = (
            np.vstack([codes[pair[rows]], draw(block, pair[rows])])
            for block, pair in ((p, first), (q, second))
        )
        row = np.arange(len(p))
        products = (labels_p == labels_q) - p[row, labels_q] - q[row, labels_p] + both
        products *= kernel
        sums[0] += products.sum(axis=1)
        sums[1] += np.einsum("ri,ri->r", products, products)
    ratio = np.zeros(1 + n_resamples)
    np.divide(sums[0], np.sqrt(sums[1]), out=ratio, where=sums[1] > 0)
    ratio = np.round(ratio, DIGITS)
    total = float(mass.sum())
    return Outcome(
        statistic=float(sums[0, 0]) / total if total > 0 else 0.0,
        p_value=float(np.mean(ratio >= ratio[0])),
        law="redrawn labels",
        estimates={"n_pairs": float(n_pairs), "bandwidth": width},
        note=blind("skce", ratio),
    )


def _source(
    columns: FloatArray,
    codes: IntArray,
    w: Float64Array,
    groups: IntArray | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> Callable[[Float64Array, IntArray], IntArray]:
    """Return what draws labels of rows, shape (n_resamples, n_rows)."""
    if groups is None:
        return lambda block, rows: draw_labels(block, rng.random((n_resamples, len(rows))))
    confidence, top = views.top_label(columns)
    two = columns.shape[1] == 2
    prediction, event = (columns[:, 1], codes == 1) if two else (confidence, codes == top)
    correlation = group_correlation(prediction.astype(np.float64), event, groups, w)
    redraws = GroupRedraws(groups, n_resamples, rng)

    def draw(block: Float64Array, rows: IntArray) -> IntArray:
        noise = rng.standard_normal((n_resamples, len(rows)))
        uniform = redraws.uniform(correlation, noise, rows=rows)
        return draw_labels(block, from_the_top(block, uniform))

    return draw
