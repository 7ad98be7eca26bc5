"""From draws of images to the interval of a detection measure: that of measures other report.

Calibration errors are inverted, so that what chance adds is taken off; means take the moments of
their draws. What chance explains is decided for all measures that stand together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._core.matching import first_of_each
from calib.evaluation.detection.image_draws import (
    Key,
    PerImage,
    calibrated_values,
    resampled_values,
)
from calib.evaluation.detection.metrics import Plan
from calib.evaluation.report.records import ROUNDING
from calib.evaluation.sampling.intervals import (
    GapLaw,
    Interval,
    absolute_sum,
    chance_ranges,
    interval_of,
    invert,
    mean_ends,
    smooth_gaps,
    summarized,
)

#: Gaps of all draws that are kept (64 MB); errors of more are inverted without them.
LAW_NUMBERS = 1 << 23
NOTHING = float("nan")


class Draws(NamedTuple):
    """A measure on draws of images, and under calibration.

    Attributes
    ----------
    resampled : ndarray of shape (n_resamples, ...)
    calibrated : ndarray of shape (n_floor,) or None
        None where the question makes no sense.
    resampled_gaps, calibrated_gaps : ndarray of shape (n, n_terms) or None
        What the same errors are made of.
    """

    resampled: Float64Array
    calibrated: Float64Array | None
    resampled_gaps: Float64Array | None = None
    calibrated_gaps: Float64Array | None = None


def draw(
    plans: Mapping[Key, Plan],
    n_images: int,
    n_resamples: int,
    n_floor: int,
    rng: np.random.Generator,
    seed: int | None = None,
) -> dict[Key, Draws]:
    """Draw images, and calibrated scores where these make sense, alike for all measures.

    Parameters
    ----------
    plans : mapping of Plan
    n_images, n_resamples, n_floor : int
    rng : Generator
        Draws the images.
    seed : int, default=None
        Seed of the calibrated scores; None draws one.
    """
    measures: dict[tuple[Key, str], Plan] = {(name, ""): plan for name, plan in plans.items()}
    for name, plan in plans.items():
        gaps, n_entries = plan.gaps(), len(plan.binned.table.entry_cell)
        if gaps is not None and 0 < n_entries * max(n_resamples, n_floor) <= LAW_NUMBERS:
            measures[name, "gaps"] = gaps
    resampled = resampled_values(measures, n_images, n_resamples, rng)
    with_floor = {key: plan for key, plan in measures.items() if plan.has_floor}
    calibrated = calibrated_values(
        with_floor, n_floor, int(rng.integers(2**63)) if seed is None else seed
    )
    return {
        name: Draws(
            resampled[name, ""],
            calibrated.get((name, "")),
            resampled.get((name, "gaps")),
            calibrated.get((name, "gaps")),
        )
        for name in plans
    }


def chance_of(
    plans: Mapping[Key, Plan], draws: Mapping[Key, Draws], confidence_level: float
) -> dict[Key, tuple[float, float]]:
    """Return what chance explains, for all measures with a floor together, in their order."""
    known = {
        name: drawn.calibrated
        for name, drawn in draws.items()
        if drawn.calibrated is not None and not np.isnan(drawn.calibrated).any()
    }
    if not known:
        return {}
    errors = np.array([plans[name].options is not None for name in known])
    low, high = chance_ranges(np.column_stack(list(known.values())), errors, confidence_level)
    ends = np.clip([low, high], 0.0, 1.0)
    return {name: (float(a), float(b)) for name, a, b in zip(known, *ends, strict=True)}


def measured(
    plan: Plan,
    draws: Draws,
    confidence_level: float,
    n_images: int,
    chance: tuple[float, float] | None,
) -> tuple[Interval, Interval]:
    """Return interval and floor of a measure.

    Parameters
    ----------
    plan : Plan
    draws : Draws
    confidence_level : float in (0, 1)
    n_images : int
    chance : tuple of float or None
        What chance explains; None where there is no floor.
    """
    usual = plan.value()
    floor = _floor_of(draws.calibrated, chance, confidence_level)
    kept = ~np.isnan(draws.resampled)
    resampled = draws.resampled[kept]
    ends = (usual if plan.options is None else NOTHING, NOTHING, NOTHING)
    if np.isnan(usual) or len(resampled) < 2:
        return _interval(usual, ends, resampled, confidence_level, floor), floor
    if plan.options is None:
        low, high = mean_ends(
            PerImage(plan.binned, n_images).moments(plan), confidence_level, (0.0, 1.0)
        )
        ends = usual, min(low, usual), max(high, usual)  # sums in another order
    elif draws.calibrated is not None and chance is not None:
        ends = invert(
            usual,
            draws.calibrated,
            resampled,
            confidence_level,
            law=_law(plan, draws, kept),
            ceiling=chance[1] + ROUNDING,
        )[:3]
    return _interval(usual, ends, resampled, confidence_level, floor), floor


def changed(plan: Plan, step: float, draws: Float64Array, confidence_level: float) -> Interval:
    """Return the interval of a difference of a measure, as every report has it."""
    known = draws[~np.isnan(draws)]
    if np.isnan(step) or len(known) < 2:
        return _interval(step, (step, NOTHING, NOTHING), known, confidence_level)
    reflect = plan.options is not None
    return interval_of(step, known, confidence_level, reflect=reflect, bounds=(-1.0, 1.0))


def percentiles(value: float, draws: Float64Array, confidence_level: float) -> Interval:
    """Return the interval of draws as they are."""
    known = draws[~np.isnan(draws)]
    if np.isnan(value) or len(known) < 2:
        return _interval(value, (value, NOTHING, NOTHING), known, confidence_level)
    tail = (1.0 - confidence_level) / 2.0
    low, high = (float(end) for end in np.quantile(known, [tail, 1.0 - tail]))
    return summarized(value, low, high, confidence_level, known)


def nothing(confidence_level: float) -> Interval:
    """Return the floor of a measure that has none."""
    return _interval(NOTHING, (NOTHING,) * 3, np.empty(0), confidence_level)


def _interval(
    usual: float,
    ends: tuple[float, float, float],
    draws: Float64Array,
    confidence_level: float,
    floor: Interval | None = None,
) -> Interval:
    known = draws if len(draws) > 1 and not np.isnan(usual) else np.full(2, NOTHING)
    interval = replace(
        summarized(*ends, confidence_level, known), n_resamples=len(draws), usual=usual
    )
    if floor is None:
        return interval
    return replace(interval, floor=floor.value, floor_low=floor.low, floor_high=floor.high)


def _floor_of(
    calibrated: Float64Array | None, chance: tuple[float, float] | None, confidence_level: float
) -> Interval:
    if calibrated is None or chance is None:
        return nothing(confidence_level)
    return summarized(float(calibrated.mean()), *chance, confidence_level, calibrated)


# -------------------------------------------------------------------------------------------- gaps


def _law(plan: Plan, draws: Draws, kept: Float64Array) -> GapLaw | None:
    """Return the noise of the gaps of an error, None where they are not known."""
    if draws.resampled_gaps is None or draws.calibrated_gaps is None or plan.options is None:
        return None
    terms = plan.terms()
    shown = terms.weight > 0
    if not shown.any():
        return None
    n_bins = plan.binned.table.layout.n_score_bins
    place = terms.cell // n_bins
    row = np.unique(terms.table * (int(place.max()) + 1) + place, return_inverse=True)[1]
    column = terms.cell % n_bins
    gap, weight = np.zeros((2, int(row.max()) + 1, n_bins))
    gap[row, column], weight[row, column] = terms.gap, terms.weight
    direction = (smooth_gaps(gap, weight)[row, column] * terms.weight)[shown]
    resampled = draws.resampled_gaps[kept] - terms.signed[shown]
    calibrated = draws.calibrated_gaps
    n = max(len(resampled), len(calibrated))
    resampled, calibrated = (gaps[np.arange(n) % len(gaps)] for gaps in (resampled, calibrated))
    norm = absolute_sum
    if plan.options.reduce == "mce":
        norm = partial(_largest_of_tables, start=first_of_each(terms.table[shown]))
    return GapLaw(direction, calibrated, resampled, norm)


def _largest_of_tables(gaps: Float64Array, start: IntArray) -> Float64Array:
    """Return sums over classes of the largest absolute gap."""
    return np.asarray(np.maximum.reduceat(np.abs(gaps), start, axis=-1).sum(axis=-1))
