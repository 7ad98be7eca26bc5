"""Metrics of the rows that are kept, on the sample and on bootstrap draws of its patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.random import stream
from calib._border.typing import Float64Array, IntArray
from calib._core.binning import cells_between, quantile_edges
from calib.evaluation.sampling.draws import multinomial_counts
from uq.ood.ranking import auroc, precision_area
from uq.selective.certainty_curves import MAX_BINS, PER_BIN, ROUNDING, Cut, kept_weight

#: Metrics of a row of the study, in reading order.
STUDY_METRICS = ("auroc", "auprc", "auprc_gain", "ace", "brier", "accuracy")
#: Numbers in a block of draws (32 MB).
BLOCK = 1 << 22


@dataclass(frozen=True)
class StudyNumber:
    """A metric of one method.

    Attributes
    ----------
    value : float
        Mean over repetitions; NaN where too few rows or one class only are kept.
    deviation : float
        Standard deviation over repetitions, that is over seeds, not over patients; NaN for one.
    low, high : float
        Bootstrap interval over patients (or groups), of the mean over repetitions. For ACE it is
        reflected about the value, because draws repeat its upward bias.
    """

    value: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class StudyRow:
    """One model and method, on all rows or on those it is certain about.

    Attributes
    ----------
    model, method, certainty : str
        Who predicts, how probabilities are made, and what decides which rows are kept.
    cut : {"none", "threshold", "share"}
        Keep everything, rows with at least a certainty, or a share of them, most certain first.
    at : float
        The threshold or share asked for; 0 for ``"none"``.
    share, n_kept, prevalence : float
        Share and number of rows kept, and share of the second class among them; means over
        repetitions.
    n_repeats : int
        Repetitions in which enough rows of both classes were kept; metrics average over these.
    metrics : dict of str to StudyNumber
        ``auroc``, ``auprc``, ``auprc_gain`` (minus prevalence), ``ace``, ``brier``, ``accuracy``.
    ace_calibrated : float
        Mean ACE of a perfectly calibrated model with these probabilities: the floor of ``ace``.
    """

    model: str
    method: str
    certainty: str
    cut: Cut
    at: float
    share: float
    n_kept: float
    prevalence: float
    n_repeats: int
    metrics: dict[str, StudyNumber]
    ace_calibrated: float


def draw_weights(
    groups: IntArray | None, n_samples: int, n_resamples: int, seed: int
) -> Float64Array:
    """Return how often every row is drawn: once in the first line, at random in the others.

    Returns
    -------
    weight : ndarray of shape (n_resamples + 1, n_samples)
        Rows of a group are drawn together.
    """
    n_units = n_samples if groups is None else int(groups.max()) + 1
    rng = stream(seed, 0x57D7)
    units = np.vstack([np.ones((1, n_units)), multinomial_counts(n_units, n_resamples, rng)])
    return units if groups is None else units[:, groups]


def study_numbers(
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
        return {name: np.full(len(weight), np.nan) for name in STUDY_METRICS}, kept
    n_bins = max(1, min(MAX_BINS, len(codes) // PER_BIN))
    cells = [_cells(p, first, n_bins) for p in (y_prob, 1 - y_prob)]
    step = max(1, BLOCK // len(codes))
    blocks = [
        _metrics(codes, y_prob, kept_weight(certainty, weight[rows : rows + step], cut, at), cells)
        for rows in range(0, len(weight), step)
    ]
    metrics = {name: np.concatenate([block[name] for block in blocks]) for name in STUDY_METRICS}
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


def summarise(
    draws: list[dict[str, Float64Array]], confidence_level: float
) -> dict[str, StudyNumber]:
    """Return mean and deviation over repetitions, and the interval over the draws."""
    out = {}
    for name in STUDY_METRICS:
        table = np.array([repeat[name] for repeat in draws])
        table = table[~np.isnan(table[:, 0])]
        if not len(table):
            out[name] = StudyNumber(np.nan, np.nan, np.nan, np.nan)
            continue
        value = float(table[:, 0].mean())
        deviation = float(table[:, 0].std(ddof=1)) if len(table) > 1 else np.nan
        defined = ~np.isnan(table[:, 1:])
        count = defined.sum(axis=0)
        sums = np.where(defined, table[:, 1:], 0.0).sum(axis=0)
        replicates = sums[count > 0] / count[count > 0]
        low = high = np.nan
        if 2 * len(replicates) > table.shape[1] - 1:
            tail = (1 - confidence_level) / 2
            low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
            if name == "ace":
                low, high = max(2 * value - high, 0.0), min(2 * value - low, 1.0)
        out[name] = StudyNumber(value, deviation, low, high)
    return out
