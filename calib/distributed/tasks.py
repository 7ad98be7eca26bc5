"""What each partition contributes to a report, and how it is calibrated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from calib._border.labels import check_vector, settle_classes
from calib._border.typing import ArrayLike, LabelArray
from calib.base import BaseCalibrator
from calib.distributed.partitions import (
    Columns,
    Sums,
    distinct_labels,
    labels_of,
    naming,
    numbers_of,
    weights_of,
)
from calib.evaluation.stream.accumulator import CalibrationAccumulator


def classes_in(
    frame: Any, columns: Columns, labels: ArrayLike, pos_label: object = None
) -> tuple[Columns, LabelArray]:
    """Return the columns in the order of the classes, and the class of every column."""
    names = columns.scores
    known = (
        distinct_labels(frame, columns.label, columns.weight)
        if labels is None
        else check_vector(labels, "labels")
    )
    classes, order = settle_classes(
        known,
        len(names),
        names,
        labels=labels,
        pos_label=pos_label,
        name=columns.label if labels is None else "labels",
        columns_of="scores",
        turn=True,
    )
    if order is not None:
        columns = replace(columns, scores=[names[k] for k in order])
    return columns, classes


def accumulate_part(
    numbered: tuple[int, Any], columns: Columns, empty: CalibrationAccumulator
) -> Sums:
    """Return the accumulator of one partition."""
    number, frame = numbered
    total = empty.copy()
    if len(frame):
        with naming(number):
            weight = None if columns.weight is None else weights_of(frame, columns.weight)
            if weight is not None and not weight.all():
                frame, weight = frame[weight > 0], weight[weight > 0]
            if len(frame):
                matrix = numbers_of(frame, columns.scores)
                total.update(labels_of(frame, columns.label), matrix, weight)
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
        numbers_of(frame, names, logits=calibrator.input == "logits")  # names the row of a gap
        known = hasattr(calibrator, "feature_names_in_")
        scores = frame[names] if known else frame[names].to_numpy()
        proba = calibrator.predict_proba(scores)
    return frame.assign(**{name: proba[:, k].astype(kind) for k, name in enumerate(added)})
