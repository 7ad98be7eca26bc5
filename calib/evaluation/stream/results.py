"""From the sums of an accumulator to the measures of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calib._border.typing import Float64Array, LabelArray
from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.report.measure_results import LOSSES, measure_result
from calib.evaluation.report.measures import MeasureInfo
from calib.evaluation.report.records import ERROR_NOTE, ModelReport
from calib.evaluation.report.results import CalibrationReport
from calib.evaluation.sampling.intervals import GapLaw, Moments
from calib.evaluation.stream import redraws
from calib.evaluation.stream.sums import SumLayout

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
    comparison, further, tests, decompositions, weighted : as there
        As there; further measures, tests and decompositions are always empty.
    bins : None
        Sums are taken over bins of equal width.
    """

    @property
    def titles(self) -> dict[str, str]:
        """Heading of every measure, in reading order."""
        titles = super().titles
        titles["adaptive_calibration_error"] += " to within a cell of a fine grid"
        return titles

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
            "Interval: for errors from a Poisson bootstrap of the cells of the table, edges of the "
            f"bins held fixed. {ERROR_NOTE}",
            "If calibrated: the same model and sample size with labels redrawn from its own "
            "probabilities, cell by cell. For a calibration error this is the floor that even a "
            "perfect model shows; for log loss, Brier score and accuracy it is what the model "
            "promises. It assumes independent samples.",
            super().notes[-1],
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; None stands for an interval there is not."""
        return {**super().to_dict(), "approximate": ["adaptive_calibration_error"]}


def model_report(
    layout: SumLayout,
    sums: Float64Array,
    label: object,
    information: dict[str, MeasureInfo],
    replicates: StreamReplicates,
    chance: tuple[Float64Array, Float64Array, Float64Array],
    confidence_level: float,
) -> ModelReport:
    """Return the results of one model; `label` is the class of the diagram, None for the top."""
    weight, square, cube, n_impossible, prediction, event = layout.scalars(sums)[1:]
    n_samples = layout.scalars(sums)[0]
    losses = dict(zip(LOSSES, layout.losses(sums), strict=True))
    results = {}
    for column, (key, info) in enumerate(information.items()):
        moments = _moments(losses[key], weight, square, cube, n_samples) if key in losses else None
        results[key] = measure_result(
            float(replicates.value[column]),
            replicates.bootstrap[:, column],
            replicates.calibrated[:, column],
            info,
            confidence_level,
            chance=(float(chance[0][column]), float(chance[1][column])),
            p_value=float(chance[2][column]),
            moments=moments,
            law=replicates.laws[column],
        )
    return ModelReport(
        measures=results,
        table=_rows(layout, sums, label),
        mean_prediction=float(prediction / weight),
        mean_event=float(event / weight),
        n_impossible=int(n_impossible),
    )


def replicates_of(
    layout: SumLayout,
    sums: Float64Array,
    information: dict[str, MeasureInfo],
    n_resamples: int,
    rng: np.random.Generator,
) -> StreamReplicates:
    """Return values and draws of all measures; the losses have the normal limit of their draws."""
    draws = redraws.draw_stream(layout, sums, n_resamples, rng)
    weight, square, cube = layout.scalars(sums)[1:4]
    losses = dict(zip(LOSSES, layout.losses(sums), strict=True))
    value = np.empty(len(information))
    laws: list[GapLaw | None] = []
    bootstrap, calibrated = np.empty((2, n_resamples, len(information)))
    for column, key in enumerate(information):
        if key in losses:
            moments = _moments(losses[key], weight, square, cube, layout.scalars(sums)[0])
            expected, variance = losses[key][-2:]
            value[column] = moments.mean
            normal = rng.standard_normal((2, n_resamples))
            bootstrap[:, column] = moments.mean + math.sqrt(max(0.0, moments.square)) * normal[0]
            calibrated[:, column] = (expected + math.sqrt(max(0.0, variance)) * normal[1]) / weight
            laws.append(None)
        else:
            place = _BINNED[key]
            value[column] = draws.value[place]
            bootstrap[:, column] = draws.bootstrap[:, place]
            calibrated[:, column] = draws.calibrated[:, place]
            laws.append(draws.laws[place])
    return StreamReplicates(value, bootstrap, calibrated, tuple(laws))


class StreamReplicates(NamedTuple):
    """Values and draws of all measures of one model, as in `Replicates` of arrays."""

    value: Float64Array
    bootstrap: Float64Array
    calibrated: Float64Array
    laws: tuple[GapLaw | None, ...]


def _moments(
    sums: Float64Array, weight: float, square: float, cube: float, n_samples: float
) -> Moments:
    """Return the moments of a mean loss from its sums."""
    total, w2x, w2xx, w3x, w3xx, w3xxx = sums[:6]
    mean = float(total / weight)
    return Moments(
        mean,
        float(w2xx - 2.0 * mean * w2x + mean**2 * square) / weight**2,
        float(w3xxx - 3.0 * mean * w3xx + 3.0 * mean**2 * w3x - mean**3 * cube) / weight**3,
        float(n_samples),
        float(weight**2 / square),
    )


def _rows(layout: SumLayout, sums: Float64Array, label: object) -> BinnedCalibrationTable:
    table = redraws.coarse(redraws.fine_table(layout, sums), layout.n_bins)
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
