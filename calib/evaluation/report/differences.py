"""Differences of models to the first one, from the same bootstrap draws."""

from __future__ import annotations

from collections.abc import Mapping

from calib.evaluation.report.measures import MeasureInfo, Replicates
from calib.evaluation.sampling.draws import Interval, interval_of


def paired_differences(
    replicates: Mapping[str, Replicates],
    information: Mapping[str, MeasureInfo],
    confidence_level: float,
) -> dict[str, dict[str, Interval]]:
    """Return every model's measures minus those of the first, with bootstrap intervals.

    Both models see the same draws, so that what they share cancels. Differences of calibration
    errors are reflected like the errors themselves.
    """
    names = list(replicates)
    first = replicates[names[0]]
    return {
        name: {
            key: interval_of(
                float(replicates[name].value[column] - first.value[column]),
                replicates[name].bootstrap[:, column] - first.bootstrap[:, column],
                confidence_level,
                reflect=info.error,
                bounds=(info.bounds[0] - info.bounds[1], info.bounds[1] - info.bounds[0]),
            )
            for column, (key, info) in enumerate(information.items())
        }
        for name in names[1:]
    }
