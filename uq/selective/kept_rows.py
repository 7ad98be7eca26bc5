"""Which rows a cut keeps, and their metrics: on the sample and on draws of its rows."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.binning import cells_between, quantile_edges
from uq.ood.ranking import auroc, precision_area

Cut: TypeAlias = Literal["none", "threshold", "share"]
#: Bins of the adaptive calibration error at most, and samples of all per bin at least.
MAX_BINS, PER_BIN = 10, 10
#: Rounding allowed when a certainty is compared with a threshold, or a count with a share.
ROUNDING = 1e-9
#: Metrics of what is kept.
METRICS = ("auroc", "auprc", "auprc_gain", "ace", "brier", "accuracy")
#: Numbers in a block of draws (32 MB).
BLOCK = 1 << 22


def kept_weight(certainty: Float64Array, weight: Float64Array, cut: Cut, at: float) -> Float64Array:
    """Return the weight with which every row of every draw is kept; ties in equal parts.

    Parameters
    ----------
    certainty : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_draws, n_samples)
        How often each row is drawn.
    cut : {"none", "threshold", "share"}
    at : float
        Certainty or share that is kept.

    Returns
    -------
    kept : ndarray of shape (n_draws, n_samples)
    """
    if cut == "none":
        return weight
    if cut == "threshold":
        return weight * (certainty >= at - ROUNDING)
    values, codes = np.unique(-certainty, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    start = np.searchsorted(codes[order], np.arange(len(values)))
    count = np.add.reduceat(weight[:, order], start, axis=1)
    before = np.cumsum(count, axis=1) - count
    wanted = at * weight.sum(axis=1, keepdims=True)
    share = np.clip((wanted - before) / np.maximum(count, 1e-300), 0.0, 1.0)
    share[share < ROUNDING] = 0.0
    share[share > 1 - ROUNDING] = 1.0
    return np.asarray(weight * share[:, codes])


def kept_metrics(
    codes: IntArray,
    y_prob: Float64Array,
    certainty: Float64Array,
    weight: Float64Array,
    *,
    cut: Cut,
    at: float,
    min_kept: int,
    uniform: Float64Array,
) -> tuple[dict[str, Float64Array], dict[str, float]]:
    """Return the metrics of every line of `weight`, and what is kept on the first line.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        0 and 1.
    y_prob, certainty : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_draws, n_samples)
        Its first line is the sample itself.
    cut : {"none", "threshold", "share"}
    at : float
    min_kept : int
    uniform : ndarray of shape (n_simulations, n_samples)
        Numbers in [0, 1) from which labels of a calibrated model are made.

    Returns
    -------
    metrics : dict of str to ndarray of shape (n_draws,)
        NaN on draws with one class only; everywhere if the sample keeps too little.
    kept : dict of str to float
        ``share``, ``n_kept``, ``prevalence``, ``ace_calibrated``.
    """
    first = kept_weight(certainty, weight[:1], cut, at)[0]
    n_kept = float(first.sum())
    kept = {"share": n_kept / len(codes), "n_kept": n_kept, "prevalence": np.nan}
    kept["ace_calibrated"] = np.nan
    if n_kept:
        kept["prevalence"] = float(first @ codes / n_kept)
    if n_kept < min_kept - ROUNDING or not 0 < kept["prevalence"] < 1:
        return {name: np.full(len(weight), np.nan) for name in METRICS}, kept
    n_bins = max(1, min(MAX_BINS, len(codes) // PER_BIN))
    cells = [_cells(p, first, n_bins) for p in (y_prob, 1 - y_prob)]
    step = max(1, BLOCK // len(codes))
    blocks = [
        _metrics(codes, y_prob, kept_weight(certainty, weight[rows : rows + step], cut, at), cells)
        for rows in range(0, len(weight), step)
    ]
    metrics = {name: np.concatenate([block[name] for block in blocks]) for name in METRICS}
    if len(uniform):
        gap = first * (y_prob - (uniform < y_prob))
        kept["ace_calibrated"] = float(_ace(gap, first[None], cells).mean())
    return metrics, kept


def _cells(p: Float64Array, weight: Float64Array, n_bins: int) -> Float64Array:
    """Return which equal-mass range every row falls into, as columns of 0 and 1."""
    kept = weight > 0
    row_weight = None if (weight[kept] == 1).all() else weight[kept]
    cell = cells_between(p, quantile_edges(p[kept], n_bins, row_weight))
    return np.asarray(cell[:, None] == np.arange(n_bins), dtype=np.float64)


def _ace(gap: Float64Array, weight: Float64Array, cells: list[Float64Array]) -> Float64Array:
    """Return the mean over classes of the mean absolute gap of the filled ranges."""
    errors = []
    for cell in cells:
        total = np.abs(gap @ cell)
        mass = np.broadcast_to(weight @ cell, total.shape)
        filled = mass > 0
        mean = np.divide(total, mass, out=np.zeros_like(total), where=filled)
        errors.append(mean.sum(axis=1) / np.maximum(filled.sum(axis=1), 1))
    return np.asarray(np.mean(errors, axis=0))


def _metrics(
    codes: IntArray, p: Float64Array, weight: Float64Array, cells: list[Float64Array]
) -> dict[str, Float64Array]:
    values, level = np.unique(p, return_inverse=True)
    order = np.argsort(level, kind="stable")
    start = np.searchsorted(level[order], np.arange(len(values)))
    sorted_weight = weight[:, order]
    ones = np.add.reduceat(sorted_weight * codes[order], start, axis=1)
    zeros = np.add.reduceat(sorted_weight * (1 - codes[order]), start, axis=1)
    n_ones, n_zeros = ones.sum(axis=1), zeros.sum(axis=1)
    both = (n_ones > 0) & (n_zeros > 0)
    total = np.where(both, n_ones + n_zeros, np.nan)
    with np.errstate(invalid="ignore"):
        area = np.where(both, auroc(ones, zeros), np.nan)
        auprc = np.where(both, precision_area(ones, zeros), np.nan)
    right = np.where(p == 0.5, 0.5, (p > 0.5) == (codes == 1))
    ace = _ace(weight * (p - codes), weight, cells)
    return {
        "auroc": area,
        "auprc": auprc,
        "auprc_gain": auprc - n_ones / total,
        "ace": np.where(both, ace, np.nan),
        "brier": weight @ (p - codes) ** 2 / total,
        "accuracy": weight @ right / total,
    }
