"""Predictions against labels: what metrics check, and what speaks against their match."""

from __future__ import annotations

import numpy as np

from calib._border.advice import current_door, shown
from calib._border.arrays import (
    eager,
    read_array,
    to_numpy,
)
from calib._border.columns import (
    check_overlap,
    column_names,
    named_positive,
    order_of,
    told_classes,
)
from calib._border.labels import (
    check_same_length,
    check_vector,
    check_weight,
    column_codes,
    positive_rows,
)
from calib._border.typing import (
    ArrayLike,
    Float64Array,
    FloatArray,
    InputKind,
    IntArray,
    LabelArray,
)
from calib._border.validation import (
    check_finite,
    check_probabilities,
    is_constant,
    plainly_probabilities,
    read_matrix,
    zero_columns,
)
from calib._border.warn import warn
from calib._core.suspicion import suspicion
from calib.warnings import DegenerateScoresWarning


def check_columns_against_labels(
    array: FloatArray,
    source: InputKind,
    target: LabelArray,
    weight: Float64Array | None,
    classes: LabelArray,
) -> str | None:
    """Warn about scores without information and about labels of impossible classes.

    Returns what else speaks against the match of scores and labels, to be said after the fit.
    """
    name = current_door().scores or "X"
    if is_constant(array):
        warn(
            f"{name} has the same scores in every row; calibration can only learn the class "
            f"frequencies",
            DegenerateScoresWarning,
        )
        return None
    if source == "proba" and array.shape[1] > 1:
        counts = np.bincount(target.astype(np.intp), minlength=len(classes))
        for column in zero_columns(array):
            if counts[column]:
                warn(
                    f"{name} gives probability 0 to class {shown(classes[column])} (column "
                    f"{column}) in every row, although y contains it {counts[column]} times; check "
                    f"{current_door().check}",
                    DegenerateScoresWarning,
                )
    return suspicion(array, source, target, weight, classes, "X")


def in_class_order(
    y_prob: ArrayLike, labels: LabelArray | None, name: str, *, listed: bool = False
) -> LabelArray:
    """Return predictions as they came, but with their columns in the order of the classes.

    Columns change places only in a table whose names are the labels; one column that is named like
    the first of two classes becomes the probability of the second.

    Parameters
    ----------
    y_prob : array-like of shape (n_samples,) or (n_samples, n_columns)
    labels : ndarray or None
        Labels that occur, whose sorted order is wanted, or None where there are none.
    name : str
        Of the predictions.
    listed : bool, default=False
        Whether `labels` holds every class once, in the wanted order.
    """
    table = eager(y_prob)
    array = to_numpy(read_array(table, name))
    names = column_names(table)
    if names is None or labels is None:
        return array
    classes = labels if listed else np.unique(labels)
    if len(names) == 1:
        first = len(classes) == 2 and named_positive(names[0], classes) == 0
        return np.asarray(1.0 - array) if first else array
    told = told_classes(names, classes)
    if told is None:
        check_overlap(names, classes, "y_true", name)
        return array
    order = order_of(told, classes if listed else np.sort(told))
    return array if order is None else np.take(array, order, axis=1)


def check_predictions(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike = None,
    pos_label: object = None,
    sample_weight: ArrayLike = None,
    name: str = "y_prob",
) -> tuple[IntArray, FloatArray, Float64Array | None, LabelArray]:
    """Check the arguments of a metric.

    Columns are returned in the order of the classes: names of a table decide, see
    `settle_classes`. Rows of weight 0 are not looked at; they have code 0.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        Column index of each true label.
    proba : ndarray of shape (n_samples, n_columns)
        Probabilities; one column when only the positive class was given.
    weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
    """
    table = eager(y_prob)
    proba = to_numpy(read_matrix(table, name))
    kept = positive_rows(sample_weight, len(proba))
    part = proba if kept is None else proba[kept]
    if not plainly_probabilities(part):
        check_finite(part, name, None if kept is None else np.flatnonzero(kept))
        check_probabilities(part, name, hint="; metrics take probabilities, not logits")
    y = check_vector(y_true, "y_true", kept)
    check_same_length(proba.shape[0], y.shape[0], name, "y_true")
    codes, classes, order = column_codes(
        y,
        kept,
        proba.shape[1],
        column_names(table),
        labels=labels,
        pos_label=pos_label,
        name="y_true",
        columns_of=name,
        turn=True,
    )
    if order is not None:
        proba = np.take(proba, order, axis=1)
    if kept is not None and not plainly_probabilities(proba[~kept]):
        proba = np.where(kept[:, None], proba, 1.0 / len(classes)).astype(proba.dtype)
    return codes, proba, check_weight(sample_weight, len(codes)), classes


def check_both_predictions(
    y_true: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    *,
    labels: ArrayLike,
    pos_label: object,
    sample_weight: ArrayLike,
) -> list[tuple[IntArray, FloatArray, Float64Array | None, LabelArray]]:
    """Check two predictions of the same samples, with the same positive class of two."""
    checked = []
    for name, y_prob in (("y_prob_before", before), ("y_prob_after", after)):
        checked.append(
            check_predictions(
                y_true,
                y_prob,
                labels=labels,
                pos_label=pos_label,
                sample_weight=sample_weight,
                name=name,
            )
        )
        classes = checked[0][3]
        if len(classes) == 2 and read_array(eager(after), "y_prob_after").shape[1:] in (
            (),
            (1,),
            (2,),
        ):
            pos_label = classes[1]
    return checked
