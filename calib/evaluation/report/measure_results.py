"""From replicates to intervals: the one construction of every interval of a measure.

A proper score or the accuracy is a mean: its interval comes from the moments of the losses. A
calibration error has a floor: its interval comes from inversion. What chance explains is decided
for all measures of all models together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib.evaluation.report.measures import MeasureInfo, Prepared, Replicates
from calib.evaluation.report.records import ROUNDING, MeasureResult
from calib.evaluation.sampling.intervals import (
    GapLaw,
    Interval,
    Moments,
    chance_p_values,
    chance_ranges,
    invert,
    mean_ends,
    moments_of,
)

#: Columns of the losses.
LOSSES = ("log_loss", "brier", "accuracy")


def measure_results(
    replicates: Mapping[str, Replicates],
    models: Mapping[str, Prepared],
    information: Mapping[str, MeasureInfo],
    weight: Float64Array | None,
    groups: IntArray | None,
    confidence_level: float,
) -> dict[str, dict[str, MeasureResult]]:
    """Return the results of all models by name and measure."""
    low, high, p_values = joint_ranges(replicates, information, confidence_level)
    out: dict[str, dict[str, MeasureResult]] = {}
    for row, (name, draws) in enumerate(replicates.items()):
        out[name] = {}
        for column, (key, info) in enumerate(information.items()):
            moments = (
                moments_of(models[name].losses[:, LOSSES.index(key)], weight, groups)
                if key in LOSSES
                else None
            )
            out[name][key] = measure_result(
                float(draws.value[column]),
                draws.bootstrap[:, column],
                draws.calibrated[:, column],
                info,
                confidence_level,
                chance=(float(low[row, column]), float(high[row, column])),
                p_value=float(p_values[row, column]),
                moments=moments,
                law=draws.laws[column],
            )
    return out


class CalibratedDraws(Protocol):
    """What has measures of the sample and under redrawn labels."""

    @property
    def value(self) -> Float64Array:
        """The measures of the sample."""

    @property
    def calibrated(self) -> Float64Array:
        """Draws of the measure under calibration."""


def joint_ranges(
    replicates: Mapping[str, CalibratedDraws],
    information: Mapping[str, MeasureInfo],
    confidence_level: float,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return what chance explains and the p-values, for all measures of all models together.

    All have the shape (n_models, n_measures).

    The models see the same random numbers, so that what they share is not counted twice.
    """
    errors = np.array([info.error for info in information.values()])
    calibrated = np.hstack([draws.calibrated for draws in replicates.values()])
    values = np.hstack([draws.value for draws in replicates.values()])
    one_sided = np.tile(errors, len(replicates))
    low, high = chance_ranges(calibrated, one_sided, confidence_level)
    p_values = chance_p_values(calibrated, one_sided, values)
    shape = (len(replicates), len(errors))
    return low.reshape(shape), high.reshape(shape), p_values.reshape(shape)


def measure_result(
    usual: float,
    bootstrap: Float64Array,
    calibrated: Float64Array,
    info: MeasureInfo,
    confidence_level: float,
    *,
    chance: tuple[float, float],
    p_value: float,
    moments: Moments | None,
    law: GapLaw | None,
) -> MeasureResult:
    """Return interval and floor of one measure; `moments` are given for means."""
    chance_low, chance_high = (float(np.clip(end, *info.bounds)) for end in chance)
    floor, limit = float(calibrated.mean()), chance_high
    if moments is not None:
        low, high = mean_ends(moments, confidence_level, info.bounds, share=info.share)
        value, low, high = usual, min(low, usual), max(high, usual)  # sums in another order
    elif np.isnan(bootstrap).any():  # too many classes for the draws of a stream
        value = low = high = limit = np.nan
    else:
        value, low, high, limit = invert(
            usual,
            calibrated,
            bootstrap,
            confidence_level,
            law=law,
            ceiling=chance_high + ROUNDING,
            bound=info.bounds[1],
        )
    interval = Interval(
        value=value,
        low=low,
        high=high,
        confidence_level=confidence_level,
        mean=float(np.mean(bootstrap)),
        median=float(np.median(bootstrap)),
        standard_deviation=float(np.std(bootstrap, ddof=1)),
        n_resamples=len(bootstrap),
        usual=usual,
        floor=floor,
        floor_low=chance_low,
        floor_high=chance_high,
    )
    return MeasureResult(
        interval,
        Interval(
            value=floor,
            low=chance_low,
            high=chance_high,
            confidence_level=confidence_level,
            mean=floor,
            median=float(np.median(calibrated)),
            standard_deviation=float(np.std(calibrated, ddof=1)),
            n_resamples=len(calibrated),
        ),
        p_value,
        limit,
    )
