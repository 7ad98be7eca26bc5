"""From accumulated sums to values, bootstrap replicates and values under calibration.

The Poisson bootstrap gives every row an independent Poisson(1) count. Counts of rows in the same
cell with the same event then add up to one Poisson variable with the number of rows as its mean, so
that replicates need the table only: no pass over the rows, and nothing depends on how they were
split. Weighted rows get a scaled Poisson variable with the right mean and variance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core import binning
from calib._core.binning import BinTable
from calib.evaluation.report.measures import class_law, view_laws
from calib.evaluation.sampling.draws import multinomial_counts, poisson_sums
from calib.evaluation.sampling.intervals import GapLaw
from calib.evaluation.stream.sums import SumLayout

#: Numbers in a batch of replicates (32 MB).
BATCH_NUMBERS = 1 << 22


class StreamDraws(NamedTuple):
    """Values of the four binned errors: expected, adaptive, over- and underconfidence."""

    value: Float64Array  # (4,)
    bootstrap: Float64Array  # (n_resamples, 4); NaN where it cannot be had
    calibrated: Float64Array  # (n_resamples, 4)
    laws: tuple[GapLaw | None, ...]  # None where there is no bootstrap


def fine_table(layout: SumLayout, sums: Float64Array) -> BinTable:
    """Return the equal-width table of the view on all its cells."""
    weight, _, prob = layout.view(sums)
    edges = binning.uniform_edges(layout.n_cells)[None, :]
    return BinTable(edges, weight.sum(axis=0)[None], prob.sum(axis=0)[None], weight[1:].copy())


def coarse(table: BinTable, n_bins: int) -> BinTable:
    """Return the table on `n_bins` equal-width bins, a divisor of the number of its own."""
    n_tables = len(table.weight)
    edges = np.broadcast_to(binning.uniform_edges(n_bins), (n_tables, n_bins + 1))
    parts = (table.weight, table.prob, table.label)
    return BinTable(edges, *(part.reshape(n_tables, n_bins, -1).sum(axis=2) for part in parts))


def equal_mass_bins(weight: Float64Array, n_bins: int) -> IntArray:
    """Return the equal-mass bin of every cell, given the weights of the cells, shape (n_cells,).

    All values of a cell count as equal, hence stay together; the rule is that of `binning`.
    """
    filled = np.flatnonzero(weight > 0)
    out = np.zeros(len(weight), dtype=np.intp)
    if not len(filled):
        return out
    # as fractions of [0, 1], which is what the rule takes
    place = (filled + 0.5) / len(weight)
    edges = binning.quantile_edges(place, n_bins, weight[filled])
    out[filled] = binning.cells_between(place, edges)
    return out


def draw_stream(
    layout: SumLayout, sums: Float64Array, n_resamples: int, rng: np.random.Generator
) -> StreamDraws:
    """Compute the binned errors with replicates."""
    n_bins = layout.n_bins
    table = fine_table(layout, sums)
    filled = np.flatnonzero(table.weight[0] > 0)
    weight, square, prob = layout.view(sums)[:, :, filled]
    own = np.stack([weight.sum(axis=0), prob.sum(axis=0), weight[1]])[:, None]
    bins = [filled // (layout.n_cells // n_bins)]
    if layout.n_classes == 2:
        mass = table.weight[0]
        ascending = equal_mass_bins(mass, n_bins)
        descending = equal_mass_bins(mass[::-1], n_bins)[::-1]
        bins += [ascending[filled], descending[filled]]
    drawn = np.empty((3, n_resamples, len(bins), n_bins))
    redrawn = np.empty((n_resamples, len(bins), n_bins))
    for start in range(0, n_resamples, step := max(1, BATCH_NUMBERS // (4 * len(filled)))):
        rows = slice(start, min(start + step, n_resamples))
        n = rows.stop - rows.start
        sums_of_draws = poisson_sums(weight, square, prob, n, rng)
        drawn[:, rows] = _gathered(sums_of_draws, bins, n_bins)
        label = redraw(own[0, 0], own[1, 0], _variance(own[:2, 0], square.sum(axis=0)), n, rng)
        redrawn[rows] = _gathered(label[None], bins, n_bins)[0]
    observed = _gathered(own, bins, n_bins)
    nothing = drawn[0, :, 0].sum(axis=1) <= 0  # no row drawn: happens to samples of a few rows
    drawn[:, nothing] = observed
    calibrated = np.concatenate([np.broadcast_to(observed[:2], (2, *redrawn.shape)), redrawn[None]])
    ece, over, under = view_laws(
        np.concatenate([observed[:, :, 0], drawn[:, :, 0]], axis=1), redrawn[:, 0]
    )
    value, drawn_bootstrap, drawn_calibrated = (
        _errors(part, n_bins) for part in (observed, drawn, calibrated)
    )
    if layout.n_classes > 2:
        ace = _adaptive(layout, sums, value[0], drawn_bootstrap, drawn_calibrated, rng)
    else:
        # of the second column; predictions and labels of the first are the rest of the weight
        ace = class_law(
            np.concatenate([observed[:, :, 1:], drawn[:, :, 1:]], axis=1), redrawn[:, 1:]
        )
    return StreamDraws(value[0], drawn_bootstrap, drawn_calibrated, (ece, ace, over, under))


def _variance(sums: Float64Array, square: Float64Array) -> Float64Array:
    """Return the variance of the label sums of cells under calibration."""
    mean = np.clip(sums[1] / sums[0], 0.0, 1.0)
    variance: Float64Array = square * mean * (1.0 - mean)
    return variance


def redraw(
    weight: Float64Array,
    prob: Float64Array,
    variance: Float64Array,
    n: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Return `n` draws of label sums with the mean and variance that calibration implies.

    A binomial variable of as many trials as give that variance; exact where all rows of a cell have
    the same prediction and weight.
    """
    mean = np.clip(np.divide(prob, weight, out=np.zeros_like(prob), where=weight > 0), 0.0, 1.0)
    trials = np.ones_like(mean)
    np.divide(weight**2 * mean * (1.0 - mean), variance, out=trials, where=variance > 0)
    trials = np.maximum(1.0, np.rint(np.minimum(trials, 2.0**53)))
    out: Float64Array = rng.binomial(trials.astype(np.int64), mean, (n, *mean.shape)) / trials
    return out * weight


def _errors(sums: Float64Array, n_bins: int) -> Float64Array:
    """Return the four errors of every replicate; `sums` has shape (3, n, n_tables, n_bins).

    The adaptive error of two classes is the mean over both columns; more than two classes have it
    from tables of their own, and NaN stands here.
    """
    n, n_tables = sums.shape[1:3]
    edges = np.broadcast_to(binning.uniform_edges(n_bins), (n, n_bins + 1))
    tables = [BinTable(edges, *sums[:, :, place]) for place in range(n_tables)]
    over, under = tables[0].signed_parts()
    adaptive = np.full(n, np.nan)
    if n_tables > 1:
        adaptive = np.mean([table.mean_gap() for table in tables[1:]], axis=0)
    return np.column_stack([tables[0].error(1), adaptive, over, under])


def _gathered(sums: Float64Array, bins: list[IntArray], n_bins: int) -> Float64Array:
    """Add up the cells of each bin of each table, (n_parts, n, cells) to (.., n_tables, n_bins)."""
    out = np.empty((*sums.shape[:2], len(bins), n_bins))
    for place, cells in enumerate(bins):
        indicator = np.zeros((len(cells), n_bins))
        indicator[np.arange(len(cells)), cells] = 1.0
        for part, target in zip(sums, out, strict=True):
            target[:, place] = np.einsum("rc,cb->rb", part, indicator, optimize=True)
    return out


def _adaptive(
    layout: SumLayout,
    sums: Float64Array,
    value: Float64Array,
    bootstrap: Float64Array,
    calibrated: Float64Array,
    rng: np.random.Generator,
) -> GapLaw | None:
    """Fill in the adaptive error of three classes and more, from the class tables."""
    tables, m = layout.classes(sums), layout.n_bins
    n_groups, n_classes = tables.shape[1:3]
    whole = tables[:, 0] if n_groups == 1 else tables.sum(axis=1)
    mean = np.divide(whole[2], whole[0], out=np.zeros_like(whole[0]), where=whole[0] > 0)
    mean = np.clip(mean, 0.0, 1.0)
    variance = whole[1] * mean * (1.0 - mean)
    binned, binned_variance = np.zeros((3, n_groups, n_classes, m)), np.zeros((n_classes, m))
    for k in range(n_classes):
        bins = equal_mass_bins(whole[0, k], m)
        binned_variance[k] = np.bincount(bins, variance[k], minlength=m)
        for out, part in zip(binned, tables[[0, 2, 3], :, k], strict=True):
            for g in range(n_groups):
                out[g, k] = np.bincount(bins, part[g], minlength=m)
    weight, prob, label = binned.sum(axis=1)
    value[1] = _mean_gap(weight, prob - label)
    n_resamples = len(bootstrap)
    labels = np.empty((n_resamples, n_classes, m))
    drawn = np.empty((3, 1 + n_resamples if n_groups > 1 else 1, n_classes, m))
    drawn[:, 0] = weight, prob, label
    for r in range(n_resamples):
        labels[r] = redraw(weight, prob, binned_variance, 1, rng)[0]
        calibrated[r, 1] = _mean_gap(weight, prob - labels[r])
        if n_groups > 1:
            times = multinomial_counts(n_groups, 1, rng)[0].astype(np.float64)
            drawn[:, 1 + r] = np.einsum("agkm,g->akm", binned, times)
            bootstrap[r, 1] = _mean_gap(drawn[0, 1 + r], drawn[1, 1 + r] - drawn[2, 1 + r])
    return class_law(drawn, labels) if n_groups > 1 else None


def _mean_gap(weight: Float64Array, difference: Float64Array) -> float:
    """Return the mean absolute gap over the ranges of a class, averaged over classes."""
    filled = weight > 0
    gap = np.abs(np.divide(difference, weight, out=np.zeros_like(weight), where=filled))
    return float((gap.sum(axis=1) / np.maximum(1, filled.sum(axis=1))).mean())
