"""From the sums of an accumulator to the measures of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, LabelArray
from calib.evaluation import _stream_draws
from calib.evaluation._stream_draws import Draws
from calib.evaluation._stream_sums import Layout
from calib.evaluation.measures import MeasureInfo
from calib.evaluation.resampling import Interval, interval_of
from calib.evaluation.results import CalibrationReport, MeasureResult, ModelReport
from calib.evaluation.tables import BinnedCalibrationTable

#: Place of the binned errors among the draws.
_BINNED = {
    "expected_calibration_error": 0,
    "adaptive_calibration_error": 1,
    "overconfidence": 2,
    "underconfidence": 3,
}


@dataclass(frozen=True, eq=False, repr=False)
class AccumulatedReport(CalibrationReport):
    """A calibration report made from sums; it differs from others by what is approximate.

    Attributes
    ----------
    models, n_samples, n_groups, classes, n_bins, view, confidence_level, n_resamples : as there
        As in `CalibrationReport`; `n_groups` is None.
    further, differences, tests, decompositions : tuple, dict, dict, dict
        As there; always empty.
    """

    @property
    def titles(self) -> dict[str, str]:
        """Heading of every measure, in reading order."""
        found = super().titles
        found["adaptive_calibration_error"] += " to within a cell of a fine grid"
        return found

    @property
    def notes(self) -> list[str]:
        """What the columns mean and which numbers are approximate."""
        grid = (
            "equal-width cells"
            if len(self.classes) == 2
            else "cells that are narrow near 0 and near 1"
        )
        missing = any(
            math.isnan(result.measures["adaptive_calibration_error"].interval.low)
            for result in self.models.values()
        )
        adaptive = (
            " It has no interval for so many classes."
            if missing
            else " Its interval resamples groups of rows that are formed by a hash of their values."
            if len(self.classes) > 2
            else ""
        )
        return [
            "From sums over one pass. Exact: log loss, Brier score, accuracy, ECE and its two "
            f"parts, the diagram. Approximate: ACE, whose ranges end at {grid}.{adaptive}",
            "Interval: Poisson bootstrap of the cells of the table, edges of the bins held fixed; "
            "normal approximation for log loss, Brier score and accuracy. For calibration errors "
            "it is reflected about the value, because draws repeat their upward bias; it may "
            "therefore lie below the value.",
            "If calibrated: the same model and sample size with labels redrawn from its own "
            "probabilities, cell by cell. For a calibration error this is the floor that even a "
            "perfect model shows; for log loss, Brier score and accuracy it is what the model "
            "promises. It assumes independent samples.",
            "* marks a value that a calibrated model would rarely show.",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; None stands for an interval there is not."""
        out = super().to_dict()
        for model in out["models"].values():
            for numbers in model["measures"].values():
                for key, number in numbers.items():
                    numbers[key] = None if math.isnan(number) else number
        return {**out, "approximate": ["adaptive_calibration_error"]}


def model_report(
    layout: Layout,
    sums: Float64Array,
    label: object,
    information: dict[str, MeasureInfo],
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> ModelReport:
    """Return the results of one model; `label` is the class of the diagram, None for the top."""
    draws = _stream_draws.draw(layout, sums, n_resamples, rng)
    weight, square, n_impossible, prediction, event = layout.scalars(sums)[1:]
    losses = dict(zip(("log_loss", "brier", "accuracy"), layout.losses(sums), strict=True))
    results = {}
    for key, info in information.items():
        if key in losses:
            intervals = _loss(losses[key], weight, square, info, confidence_level, n_resamples)
        else:
            intervals = _binned(draws, _BINNED[key], info, confidence_level)
        results[key] = MeasureResult(*intervals)
    return ModelReport(
        measures=results,
        table=_rows(layout, sums, label),
        mean_prediction=float(prediction / weight),
        mean_event=float(event / weight),
        n_impossible=int(n_impossible),
    )


def _binned(
    draws: Draws, column: int, info: MeasureInfo, confidence_level: float
) -> tuple[Interval, Interval]:
    value, calibrated = float(draws.value[column]), draws.calibrated[:, column]
    return (
        interval_of(
            value,
            draws.bootstrap[:, column],
            confidence_level,
            reflect=info.reflect,
            bounds=info.bounds,
        ),
        interval_of(
            float(calibrated.mean()),
            calibrated,
            confidence_level,
            reflect=False,
            bounds=info.bounds,
        ),
    )


def _loss(
    sums: Float64Array,
    weight: float,
    square: float,
    info: MeasureInfo,
    confidence_level: float,
    n_resamples: int,
) -> tuple[Interval, Interval]:
    """Return the normal limits of the Poisson bootstrap and of redrawn labels."""
    total, squared, squares, expected, variance = sums
    value = total / weight
    spread = squares - 2.0 * value * squared + value * value * square
    return (
        _normal(value, spread / weight**2, info, confidence_level, n_resamples),
        _normal(expected / weight, variance / weight**2, info, confidence_level, n_resamples),
    )


def _normal(
    mean: float, variance: float, info: MeasureInfo, confidence_level: float, n_resamples: int
) -> Interval:
    from scipy.special import ndtri

    deviation = math.sqrt(max(0.0, variance))
    reach = float(ndtri(0.5 + confidence_level / 2)) * deviation
    low, high = (float(np.clip(mean + side, *info.bounds)) for side in (-reach, reach))
    return Interval(
        value=float(mean),
        low=low,
        high=high,
        confidence_level=confidence_level,
        mean=float(mean),
        median=float(mean),
        standard_deviation=deviation,
        n_resamples=n_resamples,
    )


def _rows(layout: Layout, sums: Float64Array, label: object) -> BinnedCalibrationTable:
    table = _stream_draws.coarse(_stream_draws.fine_table(layout, sums), layout.n_bins)
    weight = table.weight[0]
    squares = layout.view(sums)[1].sum(axis=0).reshape(layout.n_bins, -1).sum(axis=1)
    effective = np.divide(weight**2, squares, out=weight.copy(), where=squares > 0)
    labels: LabelArray = np.empty(layout.n_bins, dtype=object)
    labels[:] = label
    return BinnedCalibrationTable(
        class_label=labels,
        left=table.edges[0, :-1].copy(),
        right=table.edges[0, 1:].copy(),
        weight=weight,
        effective_count=effective,
        mean_prediction=table.mean_prediction[0],
        observed_rate=table.observed_rate[0],
        gap=table.gap[0],
    )
