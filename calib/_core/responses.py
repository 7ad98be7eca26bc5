"""Scores out of a classifier: train it on rows, choose what it answers with, align its columns."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import clone

from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._core.namespace import to_numpy
from calib._core.reading import read_array
from calib._core.sklearn_compat import take_rows

Response: TypeAlias = Literal["auto", "decision_function", "predict_proba"]


def fit_on_rows(
    estimator: Any, X: Any, y: LabelArray, weight: Float64Array | None, rows: IntArray | None
) -> Any:
    """Fit a clone on the selected rows, on all of them for ``rows=None``."""
    if rows is not None:
        X, y = take_rows(X, rows), y[rows]
    if weight is None:
        return clone(estimator).fit(X, y)
    return clone(estimator).fit(X, y, sample_weight=weight if rows is None else weight[rows])


def choose_response(estimator: Any, X: Any, response: Response) -> str:
    """Return the method of a fitted classifier that gives one column of scores per class.

    Raises
    ------
    ValueError
        If it lacks the demanded method, or its decision function compares pairs of classes and it
        has no probabilities.
    """
    options = ("decision_function", "predict_proba")
    wanted = options if response == "auto" else (response,)
    found = [name for name in wanted if hasattr(estimator, name)]
    name = type(estimator).__name__
    if not found:
        raise ValueError(f"{name} has no {' or '.join(wanted)}; calibration needs scores")
    if found[0] == "predict_proba":
        return found[0]
    shape = np.shape(estimator.decision_function(take_rows(X, [0])))
    n_classes = len(estimator.classes_)
    if shape[1:] == (() if n_classes == 2 else (n_classes,)):
        return found[0]
    if len(found) == 2:
        return found[1]
    raise ValueError(
        f"{name} has a decision_function without one column per class (it returned shape {shape} "
        f"for one sample and {n_classes} classes); choose a one-vs-rest shape"
    )


def columns_by_class(estimator: Any, X: Any, response: str, classes: LabelArray) -> FloatArray:
    """Return the scores of a fitted classifier with a column for each of `classes`.

    Classes the classifier does not know get probability 0, or the lowest logit of the row. Two
    known classes out of two may keep the single column of the positive one.
    """
    answer = getattr(estimator, response)(X)
    scores: FloatArray = to_numpy(read_array(answer, f"the {response} of the estimator"))
    known = np.asarray(estimator.classes_)
    if len(known) == len(classes):
        return scores
    logits = response == "decision_function"
    if scores.ndim == 1 or scores.shape[1] == 1:
        positive = scores.reshape(-1, 1)
        scores = np.hstack([np.zeros_like(positive) if logits else 1 - positive, positive])
    full = np.empty((len(scores), len(classes)), dtype=scores.dtype)
    full[:] = scores.min(axis=1, keepdims=True) if logits else 0
    full[:, np.searchsorted(classes, known)] = scores
    return full
