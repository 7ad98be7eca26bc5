"""Probabilities of samples the model has not seen: frozen, split off, or fold by fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from calib._border.arrays import to_numpy
from calib._border.sklearn_compat import take_rows
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.validation import check_matrix, check_probabilities
from calib._core.estimators.fit_parameters import FitParameters
from calib._core.estimators.out_of_fold import (
    check_two_classes,
    fit_on_rows,
    fold_of_rows,
    folds_of,
    split_rows,
)
from calib._core.estimators.responses import choose_response, classes_of_models, columns_by_class


@dataclass(frozen=True)
class HeldOut:
    """Models, and the probabilities they give to samples they were not trained on.

    Attributes
    ----------
    models : list of estimator
        One, or one per fold.
    classes : ndarray of shape (n_classes,)
        Class of each column.
    rows : ndarray of shape (n_calibration,)
        Rows of the data passed to `fit`, ascending.
    proba : ndarray of shape (n_calibration, n_classes)
        Their probabilities.
    fold : ndarray of shape (n_calibration,)
        Position in `models` of the model that gave them.
    """

    models: list[Any]
    classes: LabelArray
    rows: IntArray
    proba: Float64Array
    fold: IntArray


def classes_and_codes(y: LabelArray) -> tuple[LabelArray, IntArray]:
    """Return the sorted classes and the position of every label among them."""
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class, or none ({classes.tolist()}); a classifier needs at least two"
        )
    return classes, codes.astype(np.intp)


def check_probability_model(model: Any, X: Any) -> None:
    """Raise for a fitted classifier without probabilities, or with columns in another order."""
    if not hasattr(model, "predict_proba"):
        name = type(model).__name__
        raise ValueError(
            f"{name} has no predict_proba; wrap it, for instance CalibratedClassifier({name}(...))"
        )
    choose_response(model, X, "predict_proba")


def class_probabilities(model: Any, X: Any, classes: LabelArray) -> Float64Array:
    """Return checked probabilities with a column for each of `classes`."""
    name = "the predict_proba of the estimator"
    answer = to_numpy(check_matrix(columns_by_class(model, X, "predict_proba", classes), name))
    if answer.shape[1] == 1 and len(classes) == 2:
        answer = np.hstack([1 - answer, answer])
    check_probabilities(answer, name, hint="; conformal sets need probabilities")
    return np.asarray(answer, dtype=np.float64)


def frozen(model: Any, X: Any, classes: LabelArray) -> HeldOut:
    """Let all rows calibrate a trained model."""
    check_probability_model(model, X)
    proba = class_probabilities(model, X, classes)
    rows = np.arange(len(proba))
    return HeldOut([model], classes, rows, proba, np.zeros_like(rows))


def split(
    estimator: Any,
    X: Any,
    y: LabelArray,
    size: float | int,
    random_state: Any,
    parameters: FitParameters,
) -> HeldOut:
    """Train on a random part, calibrate on the rest."""
    classes, codes = classes_and_codes(y)
    train, rows = split_rows(len(y), size, random_state, groups=parameters.groups)
    if len(np.unique(codes[train])) < 2:
        raise ValueError(
            f"the training part ({len(train)} of {len(codes)} samples) has one class; a classifier "
            f"needs two. Pass more samples, or a trained model as FrozenEstimator(model)"
        )
    model = fit_on_rows(estimator, X, y, train, parameters)
    check_probability_model(model, X)
    classes = classes_of_models([model], classes)
    proba = class_probabilities(model, take_rows(X, rows), classes)
    return HeldOut([model], classes, rows, proba, np.zeros_like(rows))


def cross(
    estimator: Any,
    X: Any,
    y: LabelArray,
    cv: Any,
    n_jobs: int | None,
    parameters: FitParameters,
) -> HeldOut:
    """Train without each fold in turn and score the fold."""
    classes, codes = classes_and_codes(y)
    folds = folds_of(cv, X, codes, classifier=True, split=parameters.split, partition=True)
    for train, _ in folds:
        check_two_classes(codes[train], classes, len(folds))
    models = Parallel(n_jobs=n_jobs)(
        delayed(fit_on_rows)(estimator, X, y, train, parameters) for train, _ in folds
    )
    check_probability_model(models[0], X)
    classes = classes_of_models(models, classes)
    proba = np.empty((len(codes), len(classes)))
    for model, (_, test) in zip(models, folds, strict=True):
        proba[test] = class_probabilities(model, take_rows(X, test), classes)
    return HeldOut(models, classes, np.arange(len(codes)), proba, fold_of_rows(folds, len(y)))
