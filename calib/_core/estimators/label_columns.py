"""Scores of classifiers of many labels: one column a label, whatever shape the classifier has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import describe
from calib._border.typing import ArrayLike, Float64Array, FloatArray


def is_label_table(y: ArrayLike) -> bool:
    """Return whether labels are a table: a column for each label, two or more."""
    shape = getattr(y, "shape", None)
    if shape is None and isinstance(y, (list, tuple)) and len(y):
        first = y[0]
        return isinstance(first, (list, tuple, np.ndarray)) and np.ndim(first) == 1 < np.size(first)
    return shape is not None and len(shape) == 2 and int(shape[1]) > 1


def indicator_table(y: ArrayLike, *, gaps: bool) -> Float64Array:
    """Return a table of 0 and 1 as float64, with nan where a label is unknown.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_labels)
    gaps : bool
        Whether labels may be unknown.

    Raises
    ------
    ValueError
        If it holds something else, or unknown labels where an estimator is to be trained.
    """
    try:
        table = np.asarray(to_numpy(read_array(y, "y")), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y with a column per label must hold 0 and 1; {error}") from error
    known = ~np.isnan(table)
    if not known.all() and not gaps:
        raise ValueError(
            f"y has {int((~known).sum()):,} unknown labels (nan), with which no estimator is "
            f"trained here; train it yourself and pass FrozenEstimator(model)"
        )
    wrong = table[known & ~np.isin(table, (0.0, 1.0))]
    if wrong.size:
        raise ValueError(
            f"y has {table.shape[1]} columns and holds {wrong[0]:g}: several columns mean one "
            f"label each, 0 or 1. Of several outputs with classes of their own wrap one classifier "
            f"each; soft targets, a row of probabilities per sample, are for the fit of calibrators"
        )
    return table


def columns_by_label(estimator: Any, X: Any, response: str, n_labels: int) -> Float64Array:
    """Return the scores of a fitted classifier of many labels, (n_samples, n_labels).

    Lists of a matrix per label, as forests and ``MultiOutputClassifier`` answer, give the column of
    the label 1; a matrix of one column is that of a label that was constant in training.

    Raises
    ------
    ValueError
        If the answer has another number of labels.
    """
    answer = getattr(estimator, response)(X)
    name = f"the {response} of {type(estimator).__name__}"
    if isinstance(answer, (list, tuple)):
        classes = getattr(estimator, "classes_", None)
        parts = [
            _of_label(np.asarray(part), None if classes is None else classes[place])
            for place, part in enumerate(answer)
        ]
        answer = np.column_stack(parts)
    scores = to_numpy(read_array(answer, name))
    if scores.ndim != 2 or scores.shape[1] != n_labels:
        raise ValueError(
            f"{name} has shape {scores.shape}, y has {n_labels} labels; one column per label is "
            f"needed"
        )
    return np.asarray(scores, dtype=np.float64)


def _of_label(part: FloatArray, classes: Sequence[Any] | None) -> FloatArray:
    """Return the score of label 1 of one part of a list."""
    if part.ndim == 1:
        return part
    if part.shape[1] == 1:
        label = 1 if classes is None else next(iter(np.ravel(classes)))
        return np.full(len(part), float(label == 1))
    if part.shape[1] > 2:
        raise ValueError(
            f"an output has {part.shape[1]} classes ({describe(classes)}); several outputs must be "
            f"labels, 0 or 1"
        )
    return np.asarray(part[:, 1])
