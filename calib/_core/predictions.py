"""Predictions against labels: what metrics check, and what speaks against their match."""

from __future__ import annotations

import numpy as np

from calib._border.advice import current_door, shown
from calib._border.arrays import eager, read_array, to_numpy
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
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray, LabelArray
from calib._border.validation import (
    check_finite,
    check_probabilities,
    is_constant,
    looks_like_probabilities,
    plainly_probabilities,
    read_matrix,
    zero_columns,
)
from calib._border.warn import warn
from calib._core.estimators.targets import holds_shares
from calib._core.rows import Rows, ScoredPart, Sums, largest_entries, listed
from calib._core.suspicion import looked_at, suspicion
from calib.warnings import DegenerateScoresWarning, ProbabilitiesAsLogitsWarning


def check_classes_occur(rows: Rows, classes: LabelArray, labels_of: str) -> None:
    """Raise a `ValueError` if all rows have the same class."""
    target, lowest = rows.reduce(_range_of_targets, by=largest_entries)
    if target == -lowest and float(target).is_integer():
        raise ValueError(
            f"{labels_of} has a single class ({shown(classes[int(target)])}); calibration needs at "
            f"least two classes among the samples (with positive weight)"
        )


def _range_of_targets(part: ScoredPart) -> Sums:
    target = part.target
    if holds_shares(target):  # of the classes that have one
        target = np.flatnonzero((target > 0).any(axis=0))
    return target.max(), -target.min()


def check_columns_against_labels(rows: Rows, classes: LabelArray) -> str | None:
    """Warn about scores without information and about labels of impossible classes.

    Returns what else speaks against the match of scores and labels, to be said after the fit.
    """
    door = current_door()
    name = door.scores or "X"
    alike, firsts, empty, counts = rows.reduce(_first_look, len(classes), by=listed)
    if rows.source == "logits" and all(alike):
        warn(
            f"{name} looks like probabilities (all values in [0, 1]"
            + (", rows sum to 1" if len(empty[0]) > 1 else "")
            + f") but {door.declared}; {door.kind}",
            ProbabilitiesAsLogitsWarning,
        )
    if all(first is not None and (first == firsts[0]).all() for first in firsts):
        warn(
            f"{name} has the same scores in every row; calibration can only learn the class "
            f"frequencies",
            DegenerateScoresWarning,
        )
        return None
    for column in np.flatnonzero(np.all(empty, axis=0)):
        count = sum(part[column] for part in counts)
        if count:
            warn(
                f"{name} gives probability 0 to class {shown(classes[column])} (column "
                f"{column}) in every row, although y contains it {count} times; check "
                f"{door.check}",
                DegenerateScoresWarning,
            )
    part = looked_at(rows).part
    return suspicion(part.scores.array, rows.source, part.target, part.weight, classes, "X")


def _first_look(part: ScoredPart, n_classes: int) -> Sums:
    """Return, in lists, what there is to see without a fit.

    Whether scores look like probabilities, the row that all rows are (or None), which columns are
    0 everywhere, and the number of rows of each class.
    """
    array, source = part.scores.array, part.scores.source
    empty, counts = np.zeros(array.shape[1], dtype=bool), None
    if source == "proba" and array.shape[1] > 1:
        empty[zero_columns(array)] = True
        counts = _class_counts(part.target, n_classes)
    alike = source == "logits" and looks_like_probabilities(array)
    return [alike], [array[0] if is_constant(array) else None], [empty], [counts]


def _class_counts(target: LabelArray, n_classes: int) -> IntArray:
    if holds_shares(target):
        return np.asarray((target > 0).sum(axis=0))
    return np.bincount(target.astype(np.intp), minlength=n_classes)


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
