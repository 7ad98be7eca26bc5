"""Residuals that tell how wrong a regressor is on rows it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from sklearn.model_selection import KFold

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_integer, is_integer
from calib._border.sklearn_compat import take_rows
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import as_numbers, check_matrix
from calib._border.warn import warn
from calib._core.estimators.fit_parameters import FitParameters
from calib._core.estimators.out_of_fold import (
    draw_held_out,
    fit_on_rows,
    folds_of,
    is_frozen,
    predict_out_of_fold,
)
from uq.split_point.head_inputs import HeadInputs, head_inputs, read_inputs
from uq.warnings import InSampleResidualsWarning


@dataclass(frozen=True)
class RowSet:
    """What is known of some rows.

    Attributes
    ----------
    inputs : ndarray of shape (n_rows, n_inputs)
        Of the heads.
    residual : ndarray of shape (n_rows,), or (n_rows, n_targets) before the targets part
    weight : ndarray of shape (n_rows,) or None
    """

    inputs: Float64Array
    residual: Float64Array
    weight: Float64Array | None

    def target(self, k: int) -> RowSet:
        """Return the rows with the residuals of one target."""
        return RowSet(self.inputs, self.residual[:, k], self.weight)

    def shifted(self, by: Float64Array) -> RowSet:
        """Return the rows with another split point."""
        return RowSet(self.inputs, self.residual - by, self.weight)


def check_targets(y: ArrayLike) -> tuple[Float64Array, bool]:
    """Return finite targets of shape (n_samples, n_targets), and whether y was a vector."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    array = as_numbers(to_numpy(read_array(y, "y")), "y")
    targets = np.asarray(check_matrix(array, "y"), dtype=np.float64)
    return targets, array.ndim == 1


def split_share(
    used: IntArray,
    size: float,
    random: np.random.RandomState,
    groups: LabelArray | None,
    *,
    fewest: int,
) -> tuple[IntArray, IntArray]:
    """Return the rows that train and the rows that calibrate, a share `size` of all (0: none).

    Raises
    ------
    ValueError
        If fewer than `fewest` rows are left to train.
    """
    n_held = max(1, round(size * len(used))) if size else 0
    n_rest = len(used) - n_held
    if n_rest < fewest:
        raise ValueError(
            f"n_samples={len(used)} leaves {n_rest} rows to train on beside {n_held} for "
            f"calibration; at least {fewest} are needed"
        )
    return draw_held_out(used, n_held, random, groups)


def predictions_of_regressor(estimator: Any, X: Any, n_targets: int) -> Float64Array:
    """Return finite predictions of shape (n_samples, n_targets)."""
    name = f"the prediction of {type(estimator).__name__}"
    answer = to_numpy(check_matrix(read_array(estimator.predict(X), name), name))
    if answer.shape[1] != n_targets:
        raise ValueError(
            f"{name} has {answer.shape[1]} columns but y has {n_targets}; one prediction per "
            f"target is needed"
        )
    return np.asarray(answer, dtype=np.float64)


def out_of_fold(
    estimator: Any,
    X: Any,
    y: LabelArray,
    parameters: FitParameters,
    *,
    cv: Any,
    random: np.random.RandomState,
    n_jobs: int | None,
) -> Float64Array:
    """Predict every row by a clone that was trained without it.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_rows, ...)
    y : ndarray of shape (n_rows,) or (n_rows, n_targets)
    parameters : FitParameters
        Of the training.
    cv : int, splitter or iterable
        An integer means that many shuffled folds, one per row if there are fewer rows, or folds of
        whole groups.
    random : RandomState
        Shuffles the folds of an integer `cv`.
    n_jobs : int or None

    Returns
    -------
    predicted : ndarray of shape (n_rows, n_targets)

    Raises
    ------
    ValueError
        If the test parts of `cv` do not hold every row once.
    """
    n_rows, n_targets = len(y), 1 if y.ndim == 1 else y.shape[1]
    whole_number = is_integer(cv)
    if whole_number and parameters.groups is None:
        cv = KFold(min(check_integer("cv", cv, low=2), n_rows), shuffle=True, random_state=random)
    folds = folds_of(cv, X, y, classifier=False, split=parameters.split, partition=True)
    predict = partial(predictions_of_regressor, n_targets=n_targets)
    return predict_out_of_fold(estimator, X, y, folds, parameters, predict, n_jobs)


def take_residuals(
    estimator: Any,
    X: Any,
    targets: Float64Array,
    weight: Float64Array | None,
    parameters: FitParameters,
    *,
    features: HeadInputs,
    calibration_size: float,
    residuals: Literal["cv", "train"],
    cv: Any,
    random: np.random.RandomState,
    n_jobs: int | None,
) -> tuple[Any, IntArray, RowSet, RowSet | None]:
    """Split the rows, train the estimator on one part, and take residuals of both.

    Parameters
    ----------
    estimator : estimator
        Trained here. A `FrozenEstimator` is taken as it is; all its residuals are out of sample.
    X : array-like of shape (n_samples, ...)
    targets : ndarray of shape (n_samples, n_targets)
    weight : ndarray of shape (n_samples,) or None
        Rows of weight 0 take no part.
    parameters : FitParameters
        Of the training, for all rows.
    features : {"X+pred", "X", "pred"} or callable
        Inputs of the heads.
    calibration_size : float
        Share of the rows that calibrate, in [0, 1); 0 means none.
    residuals : {"cv", "train"}
        Of the part that trains: of out-of-fold predictions, or of the trained estimator.
    cv, random, n_jobs
        As for `out_of_fold`; `random` also splits.

    Returns
    -------
    estimator : estimator
    held : ndarray of shape (n_calibration,)
        Rows that calibrate.
    trained : RowSet
    calibrated : RowSet or None
    """
    matrix = read_inputs(features, X, len(targets))
    frozen = is_frozen(estimator)
    used = np.arange(len(targets)) if weight is None else np.flatnonzero(weight > 0)
    groups = None if frozen else parameters.groups
    rest, held = split_share(used, calibration_size, random, groups, fewest=0 if frozen else 2)

    def row_set(rows: IntArray, predicted: Float64Array) -> RowSet:
        inputs = head_inputs(features, None if matrix is None else matrix[rows], predicted)
        return RowSet(inputs, targets[rows] - predicted, None if weight is None else weight[rows])

    def predict(rows: IntArray) -> Float64Array:
        if not len(rows):
            return np.empty((0, targets.shape[1]))
        return predictions_of_regressor(estimator, take_rows(X, rows), targets.shape[1])

    predicted = None
    if not frozen:
        X_rest, y = take_rows(X, rest), targets[rest]
        y = y if y.shape[1] > 1 else y[:, 0]
        rest_parameters = parameters.restricted(rest)
        if residuals == "cv":
            predicted = out_of_fold(
                estimator, X_rest, y, rest_parameters, cv=cv, random=random, n_jobs=n_jobs
            )
        else:
            warn(
                "residuals='train' takes residuals of rows the estimator has seen, which are too "
                "small: without conformal scaling coverage falls far below the level. Pass "
                "residuals='cv'",
                InSampleResidualsWarning,
            )
        estimator = fit_on_rows(estimator, X_rest, y, None, rest_parameters)
    trained = row_set(rest, predict(rest) if predicted is None else predicted)
    return estimator, held, trained, row_set(held, predict(held)) if len(held) else None
