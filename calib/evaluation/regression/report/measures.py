"""Measures of predicted distributions: of the sample, of bootstrap draws, and if calibrated.

If calibrated, labels are redrawn from the distributions themselves. A label that is redrawn at the
level u has the integral transform u, so that all that depends on transforms alone needs no label.
Distributions that were computed from one set of m calibration samples share its error even where
they are right: the levels of a redraw are then ranks among m uniform numbers of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, IntArray
from calib._core.distributions.law import DensityLaw
from calib._core.distributions.predictive import PredictiveDistribution
from calib.evaluation.regression.errors import (
    LEVELS,
    absolute_gaps,
    relative_gaps,
    spread_cells,
)
from calib.evaluation.report.measures import MeasureInfo
from calib.warnings import DegenerateScoresWarning

#: Central intervals whose coverage is told.
CONFIDENCE = (0.5, 0.8, 0.9)
#: Bins of the standard deviation.
N_BINS = 10
#: Numbers that rows and draws are worked out with at once: few enough for a core's cache.
BLOCK_NUMBERS = 1 << 16
#: Correlation inside groups beyond which redraws would all be alike.
MOST_CORRELATED = 0.99


QCE, ENCE, UCE = (
    "quantile_calibration_error",
    "expected_normalized_calibration_error",
    "uncertainty_calibration_error",
)
_POSITIVE, _SHARE = (0.0, np.inf), (0.0, 1.0)
#: Measures in reading order; coverage and the mean of the transforms are best at their level.
MEASURES = {
    "crps": MeasureInfo("CRPS", "lower", _POSITIVE, False),
    "log_score": MeasureInfo("Log score (nats)", "lower", (-np.inf, np.inf), False),
    **{
        f"coverage_{100 * level:.0f}": MeasureInfo(
            f"Coverage of {100 * level:.0f} % intervals", f"{level}", _SHARE, False, True
        )
        for level in CONFIDENCE
    },
    "mean_pit": MeasureInfo("Mean of the integral transforms (PIT)", "0.5", _SHARE, False),
    QCE: MeasureInfo("Quantile calibration error (QCE)", "lower", _SHARE, True),
    ENCE: MeasureInfo("Expected normalized calibration error (ENCE)", "lower", _POSITIVE, True),
    UCE: MeasureInfo("Uncertainty calibration error (UCE)", "lower", _POSITIVE, True),
    "pit_distance": MeasureInfo("Distance of PIT from uniform", "lower", _SHARE, True),
}
#: Measures that are means over samples.
MEANS = ("crps", "log_score", *(f"coverage_{100 * level:.0f}" for level in CONFIDENCE), "mean_pit")


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """What a model says of the labels, row by row.

    Attributes
    ----------
    distribution : PredictiveDistribution
    pit : ndarray of shape (n_samples,)
    means : dict of str to ndarray of shape (n_samples,)
        Measures that are means, before the mean is taken.
    square : ndarray of shape (n_samples,)
        Squared distance of labels from the mean.
    mean, variance : ndarray of shape (n_samples,)
    ends : ndarray of shape (n_samples, 2, n_levels)
        Of the central intervals.
    cells : ndarray of int, shape (n_samples,), or None
        Bin of the standard deviation; None where there is none.
    """

    distribution: PredictiveDistribution
    pit: Float64Array
    means: dict[str, Float64Array]
    square: Float64Array
    mean: Float64Array
    variance: Float64Array
    ends: Float64Array
    cells: IntArray | None

    @classmethod
    def of(
        cls, y: Float64Array, distribution: PredictiveDistribution, rng: np.random.Generator
    ) -> ScoredRows:
        """Ask distributions about labels."""
        pit = distribution.pit(y, rng)
        tails = [end for level in CONFIDENCE for end in ((1 - level) / 2, (1 + level) / 2)]
        ends = distribution.quantile(tails).reshape(len(y), len(CONFIDENCE), 2).swapaxes(1, 2)
        mean, std = distribution.mean(), distribution.std()
        means = {"crps": distribution.crps(y)}
        if distribution.has_density:
            with warnings.catch_warnings(), suppress(DegenerateScoresWarning):
                warnings.simplefilter("error", DegenerateScoresWarning)
                means["log_score"] = distribution.log_score(y)  # none for labels on a lattice
        means |= dict(zip(MEANS[2:5], _inside(y, ends).T, strict=True))
        means["mean_pit"] = pit
        known = bool(np.isfinite(std).all() and (std > 0).all() and np.isfinite(mean).all())
        cells = spread_cells(std, N_BINS, "quantile") if known else None
        return cls(distribution, pit, means, (y - mean) ** 2, mean, std**2, ends, cells)

    @property
    def names(self) -> list[str]:
        """Measures that there are, in reading order."""
        spread = () if self.cells is None else (ENCE, UCE)
        return [key for key in MEASURES if key in (*self.means, QCE, *spread, "pit_distance")]

    def values(self) -> Float64Array:
        """Return all measures of the sample."""
        out = {key: float(part.mean()) for key, part in self.means.items()}
        ordered = np.sort(self.pit)
        errors = _errors_of(_below(ordered)[None], *self._spread(self.square[None]))
        out |= {key: float(part[0]) for key, part in errors.items()}
        out["pit_distance"] = _distance(ordered)
        return np.array([out[key] for key in self.names])

    def _spread(self, square: Float64Array) -> tuple[Float64Array, ...]:
        """Return sums by bin: of rows, of squares of shape (n_draws, n_samples), of variances."""
        if self.cells is None:
            return ()
        mass = np.bincount(self.cells, minlength=N_BINS).astype(np.float64)
        error = np.stack([np.bincount(self.cells, row, N_BINS) for row in square])
        variance = np.bincount(self.cells, self.variance, N_BINS)
        return mass, error.astype(np.float64), variance.astype(np.float64)

    # ------------------------------------------------------------------------------------- draws

    def bootstrap(self, counts: Float64Array, units: IntArray | None) -> Float64Array:
        """Return all measures but the last on draws of units, (n_draws, n_measures - 1).

        Parameters
        ----------
        counts : ndarray of shape (n_draws, n_units)
            How often every unit was drawn.
        units : ndarray of int, shape (n_samples,), or None
            Unit of every sample; None means itself.
        """

        def drawn(values: Float64Array) -> Float64Array:
            summed = values
            if units is not None:
                n_units = counts.shape[1]
                summed = np.stack([np.bincount(units, part, n_units) for part in values.T], axis=1)
            with np.errstate(invalid="ignore"):  # an infinite score has no draws
                return np.asarray(counts @ summed)

        n = len(self.pit)
        size = counts.sum(axis=1) if units is None else drawn(np.ones((n, 1)))[:, 0]
        means = drawn(np.stack([*self.means.values()], axis=1)) / size[:, None]
        out = dict(zip(self.means, means.T, strict=True))
        below = drawn((self.pit[:, None] <= LEVELS).astype(np.float64)) / size[:, None]
        spread: tuple[Float64Array, ...] = ()
        if self.cells is not None:
            inside = (self.cells[:, None] == np.arange(N_BINS)).astype(np.float64)
            parts = (inside, inside * self.square[:, None], inside * self.variance[:, None])
            spread = tuple(drawn(part) for part in parts)
        out |= _errors_of(below, *spread)
        return np.stack([out[key] for key in self.names[:-1]], axis=1)

    def calibrated(self, levels: Float64Array) -> Float64Array:
        """Return all measures with labels redrawn at levels, (n_draws, n_measures).

        Parameters
        ----------
        levels : ndarray of shape (n_draws, n_samples)
            In (0, 1).
        """
        n_draws, n = levels.shape
        sums = {key: np.zeros(n_draws) for key in self.means}
        square = np.zeros((n_draws, N_BINS))
        for rows, draws in self._blocks(n_draws):
            size = rows.stop - rows.start
            part = self.distribution[
                np.tile(np.arange(rows.start, rows.stop), draws.stop - draws.start)
            ]
            label = part.law.sample(levels[draws, rows].reshape(-1, 1))[:, 0]
            sums["crps"][draws] += part.law.crps(label).reshape(-1, size).sum(axis=1)
            if "log_score" in sums and isinstance(part.law, DensityLaw):
                density = part.law.log_density(label).reshape(-1, size)
                sums["log_score"][draws] -= density.sum(axis=1)
            label = label.reshape(-1, size)
            ends = self.ends[rows]
            for place, key in enumerate(MEANS[2:5]):
                inside = (ends[:, 0, place] <= label) & (label <= ends[:, 1, place])
                sums[key][draws] += inside.sum(axis=1)
            if self.cells is not None:
                away = (label - self.mean[rows]) ** 2
                square[draws] += [np.bincount(self.cells[rows], row, N_BINS) for row in away]
        out = {key: total / n for key, total in sums.items()}
        out["mean_pit"] = levels.mean(axis=1)
        spread = self._spread(self.square[None])
        below, out["pit_distance"] = np.empty((n_draws, len(LEVELS))), np.empty(n_draws)
        for draw, row in enumerate(levels):
            ordered = np.sort(row)
            below[draw], out["pit_distance"][draw] = _below(ordered), _distance(ordered)
        out |= _errors_of(below, *((spread[0], square, spread[2]) if spread else ()))
        return np.stack([out[key] for key in self.names], axis=1)

    def _blocks(self, n_draws: int) -> Iterator[tuple[slice, slice]]:
        """Yield rows and draws that are worked out together."""
        row_size = max(1, self.distribution.law.row_size)
        for rows in row_blocks(len(self.pit), row_size, n_elements=BLOCK_NUMBERS):
            numbers = row_size * (rows.stop - rows.start)
            for draws in row_blocks(n_draws, numbers, n_elements=BLOCK_NUMBERS):
                yield rows, draws


def _inside(y: Float64Array, ends: Float64Array) -> Float64Array:
    inside = (ends[:, 0] <= y[:, None]) & (y[:, None] <= ends[:, 1])
    return inside.astype(np.float64)


def _below(ordered: Float64Array) -> Float64Array:
    """Return shares of sorted transforms below the levels."""
    return np.searchsorted(ordered, LEVELS, side="right") / len(ordered)


def _errors_of(below: Float64Array, *spread: Float64Array) -> dict[str, Float64Array]:
    """Return calibration errors by name; arrays have a draw in every row."""
    out = {QCE: np.abs(below - LEVELS).mean(axis=1)}
    if spread:
        mass, error, variance = spread
        out[ENCE] = np.nanmean(relative_gaps(error, np.broadcast_to(variance, error.shape)), axis=1)
        out[UCE] = absolute_gaps(mass, error, variance)
    return out


def _distance(ordered: Float64Array) -> float:
    """Return the largest distance of sorted transforms from uniform ones."""
    rank = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((rank[1:] - ordered).max(), (ordered - rank[:-1]).max()))


# -------------------------------------------------------------------------------- levels of redraws


def correlation(pit: Float64Array, units: IntArray) -> float:
    """Return the correlation of labels inside units, on the scale of normal scores, in [0, 1)."""
    from scipy.special import ndtri

    score = ndtri(np.clip(pit, 1e-9, 1.0 - 1e-9))
    score = score - score.mean()
    size = np.bincount(units).astype(np.float64)
    pairs = float((size * (size - 1.0)).sum())
    if pairs <= 0.0 or not (variance := float(score @ score) / len(score)) > 0.0:
        return 0.0
    total = np.bincount(units, score)
    joint = float((total**2).sum() - score @ score) / pairs
    of_mean = float((total**2).sum()) / len(score) ** 2  # what the mean takes from both
    return min(max((joint + of_mean) / (variance + of_mean), 0.0), MOST_CORRELATED)


def uniform_levels(
    noise: Float64Array,
    common: Float64Array,
    ranks: Float64Array | None,
    units: IntArray | None,
    share: float,
) -> Float64Array:
    """Return levels in (0, 1) that labels are redrawn at, (n_draws, n_samples).

    Parameters
    ----------
    noise : ndarray of shape (n_draws, n_samples)
        Normal random numbers of the samples.
    common : ndarray of shape (n_draws, n_units)
        Of the units; unused without units.
    ranks : ndarray of shape (n_draws, n_calibration) or None
        Uniform random numbers of calibration samples, sorted; None where there are none.
    units : ndarray of int, shape (n_samples,), or None
    share : float
        Correlation inside units.
    """
    from scipy.special import ndtr

    score = noise
    if units is not None:
        score = np.sqrt(share) * common[:, units] + np.sqrt(1.0 - share) * noise
    level = ndtr(score)
    if ranks is not None:
        m = ranks.shape[1]
        for row, known in zip(level, ranks, strict=True):
            edges = np.concatenate([[0.0], known, [1.0]])
            row[:] = np.interp(row, edges, np.arange(m + 2) / (m + 1))
    return np.asarray(np.clip(level, 2.0**-53, 1.0 - 2.0**-53))
