"""Probabilities of samples the model has not seen: frozen, split off, or fold by fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import check_cv, train_test_split
from sklearn.utils import get_tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from calib import RefitWarning
from calib._border.checks import describe
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._core.namespace import to_numpy
from calib._core.responses import columns_by_class, fit_on_rows
from calib._core.sklearn_compat import take_rows
from calib._core.validation import check_matrix, check_probabilities


@dataclass(frozen=True)
class HeldOut:
    """Models, and the probabilities they give to samples they were not trained on.

    Attributes
    ----------
    models : list of estimator
        One, or one per fold.
    rows : ndarray of shape (n_calibration,)
        Rows of the data passed to `fit`, ascending.
    proba : ndarray of shape (n_calibration, n_classes)
        Their probabilities.
    fold : ndarray of shape (n_calibration,)
        Position in `models` of the model that gave them.
    """

    models: list[Any]
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


def class_probabilities(model: Any, X: Any, classes: LabelArray) -> Float64Array:
    """Return checked probabilities with a column for each of `classes`."""
    if not hasattr(model, "predict_proba"):
        name = type(model).__name__
        raise ValueError(
            f"{name} has no predict_proba; wrap it, for instance CalibratedClassifier({name}(...))"
        )
    name = "the predict_proba of the estimator"
    answer = to_numpy(check_matrix(columns_by_class(model, X, "predict_proba", classes), name))
    if answer.shape[1] != len(classes):
        raise ValueError(
            f"{name} returned {answer.shape[1]} columns for {len(classes)} classes; one column per "
            f"class is needed"
        )
    check_probabilities(answer, name, hint="; conformal sets need probabilities")
    return np.asarray(answer, dtype=np.float64)


def frozen(model: Any, X: Any, classes: LabelArray) -> HeldOut:
    """Let all rows calibrate a trained model."""
    proba = class_probabilities(model, X, classes)
    rows = np.arange(len(proba))
    return HeldOut([model], rows, proba, np.zeros_like(rows))


def split(
    estimator: Any,
    X: Any,
    codes: IntArray,
    y: LabelArray,
    classes: LabelArray,
    size: float | int,
    random_state: Any,
) -> HeldOut:
    """Train on a random part, calibrate on the rest."""
    everything = np.arange(len(codes))
    try:
        train, rest = train_test_split(everything, test_size=size, random_state=random_state)
    except ValueError as error:
        raise ValueError(
            f"calibration_size={describe(size)} cannot split {len(codes)} samples: {error}"
        ) from error
    if len(np.unique(codes[train])) < 2:
        raise ValueError(
            f"the training part ({len(train)} of {len(codes)} samples) has one class; a classifier "
            f"needs two. Pass more samples, or a trained model as FrozenEstimator(model)"
        )
    rows = np.sort(rest)
    model = fit_on_rows(estimator, X, y, None, np.sort(train))
    proba = class_probabilities(model, take_rows(X, rows), classes)
    return HeldOut([model], rows, proba, np.zeros_like(rows))


def cross(
    estimator: Any,
    X: Any,
    codes: IntArray,
    y: LabelArray,
    classes: LabelArray,
    cv: Any,
    n_jobs: int | None,
) -> HeldOut:
    """Train without each fold in turn and score the fold."""
    folds = list(check_cv(cv, codes, classifier=True).split(X, codes))
    fold = np.full(len(codes), -1, dtype=np.intp)
    for k, (train, test) in enumerate(folds):
        if (fold[test] >= 0).any() or np.isin(test, train).any():
            raise ValueError("cv must put every sample into exactly one held-out fold")
        fold[test] = k
    if (fold < 0).any():
        raise ValueError(
            f"cv leaves {int((fold < 0).sum())} samples out of every held-out fold; every sample "
            f"must be in exactly one (KFold, StratifiedKFold, GroupKFold, LeaveOneOut)"
        )
    models = Parallel(n_jobs=n_jobs)(
        delayed(fit_on_rows)(estimator, X, y, None, train) for train, _ in folds
    )
    proba = np.empty((len(codes), len(classes)))
    for model, (_, test) in zip(models, folds, strict=True):
        proba[test] = class_probabilities(model, take_rows(X, test), classes)
    return HeldOut(models, np.arange(len(codes)), proba, fold)


def warn_if_trained(estimator: Any) -> None:
    """Warn that a trained model without `FrozenEstimator` is about to be trained again."""
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return
    if get_tags(estimator).requires_fit:
        warn(
            f"{type(estimator).__name__} is already trained and will be trained again on data "
            f"passed to fit; pass FrozenEstimator(model) to let all of them calibrate it",
            RefitWarning,
        )
