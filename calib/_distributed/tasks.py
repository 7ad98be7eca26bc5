"""What each partition contributes to a report, and how it is calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from calib._border.checks import describe
from calib._border.typing import ArrayLike, LabelArray
from calib._core.labels import check_vector, classes_of
from calib._distributed.partitions import (
    Columns,
    Sums,
    distinct_labels,
    labels_of,
    naming,
    numbers_of,
    weights_of,
)
from calib.base import BaseCalibrator
from calib.evaluation.accumulator import CalibrationAccumulator


def classes_in(frame: Any, columns: Columns, labels: ArrayLike) -> LabelArray:
    """Return the class of every column."""
    n_classes = max(2, len(columns.scores))
    if labels is None:
        found = distinct_labels(frame, columns.label)
        return classes_of(found, n_classes, columns.label, "scores")
    classes = check_vector(labels, "labels")
    if len(classes) != n_classes or len(np.unique(classes)) != n_classes:
        raise ValueError(
            f"labels must name the {n_classes} classes once each; got {describe(classes.tolist())}"
        )
    return classes


def accumulate_part(
    numbered: tuple[int, Any], columns: Columns, empty: CalibrationAccumulator
) -> Sums:
    """Return the accumulator of one partition."""
    number, frame = numbered
    total = empty.copy()
    if len(frame):
        with naming(number):
            total.update(
                labels_of(frame, columns.label),
                numbers_of(frame, columns.scores),
                None if columns.weight is None else weights_of(frame, columns.weight),
            )
    return (total,)


def apply_part(
    frame: Any,
    calibrator: BaseCalibrator,
    names: list[str],
    added: list[str],
    kind: np.dtype[Any],
    partition_info: dict[str, Any] | None = None,
) -> Any:
    """Return one partition with calibrated probabilities beside its columns."""
    if not len(frame):
        return frame.assign(**{name: np.empty(0, dtype=kind) for name in added})
    number = -1 if partition_info is None else int(partition_info["number"])
    with naming(number):
        numbers_of(frame, names)  # names the row of a gap
        known = hasattr(calibrator, "feature_names_in_")
        scores = frame[names] if known else frame[names].to_numpy()
        proba = calibrator.predict_proba(scores)
    return frame.assign(**{name: proba[:, k].astype(kind) for k, name in enumerate(added)})
