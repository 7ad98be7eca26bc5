"""How `CalibratedClassifier` fits many labels a row: models with `MultilabelCalibrator`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from calib._border.checks import describe
from calib._border.labels import check_same_length, check_weight
from calib._border.sklearn_compat import take_rows
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.warn import warn
from calib._core.estimators.label_columns import columns_by_label, indicator_table
from calib._core.estimators.out_of_fold import (
    check_estimator,
    check_rows,
    fit_on_parts,
    fit_on_rows,
    folds_of,
    is_frozen,
)
from calib._core.estimators.wrapper import read_fit_parameters
from calib.base import BaseCalibrator
from calib.multilabel.calibrator import MultilabelCalibrator

#: A model with the calibrator of its scores.
Pair = tuple[Any, MultilabelCalibrator]


def fit_label_pairs(
    wrapper: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike,
    groups: ArrayLike,
    fit_params: Mapping[str, Any],
) -> tuple[list[Pair], str, int]:
    """Fit models and calibrators of many labels.

    Parameters
    ----------
    wrapper : CalibratedClassifier
    X, y, sample_weight, groups, fit_params
        As given to its `fit`; `y` has a column per label.

    Returns
    -------
    pairs : list of (model, MultilabelCalibrator)
    response : str
        What is calibrated.
    n_labels : int
    """
    check_estimator(
        wrapper.estimator, kind="classifier", answers=("decision_function", "predict_proba")
    )
    frozen = is_frozen(wrapper.estimator)
    X, y = check_rows(X, y)
    table = indicator_table(y, gaps=frozen)
    weight = check_weight(sample_weight, len(table))
    parameters = read_fit_parameters(
        wrapper,
        len(table),
        sample_weight=weight,
        groups=groups,
        fit_params=fit_params,
        weights_serve="calibration",
    )
    n_labels = table.shape[1]
    if frozen:
        response = _response(wrapper.estimator, wrapper.response)
        scores = columns_by_label(wrapper.estimator, X, response, n_labels)
        return (
            [(wrapper.estimator, _fitted(wrapper, response, scores, table, weight))],
            (response),
            n_labels,
        )
    codes = table.astype(np.int64)
    folds = folds_of(
        wrapper.cv, X, codes, classifier=False, split=parameters.split, partition=False
    )
    parts = [train for train, _ in folds]
    models = fit_on_parts(wrapper.estimator, X, codes, parts, parameters, wrapper.n_jobs)
    response = _response(models[0], wrapper.response)
    held: list[tuple[IntArray, Float64Array, Float64Array]] = []
    lost = np.zeros(n_labels, dtype=bool)
    for model, (train, test) in zip(models, folds, strict=True):
        known = table[test].copy()
        rate = table[train].mean(axis=0)
        alone = (rate == 0) | (rate == 1)  # the model has never seen the other answer
        known[:, alone] = np.nan
        lost |= alone
        scores = columns_by_label(model, take_rows(X, test), response, n_labels)
        held.append((test, np.where(np.isfinite(scores), scores, 0.0), known))
    if lost.any():
        warn(
            f"labels {describe(np.flatnonzero(lost).tolist())} have a single value in the training "
            f"part of a fold; its held-out rows do not calibrate them. Use fewer folds, or more "
            f"samples with these labels",
            UserWarning,
        )
    if wrapper.ensemble:
        pairs = [
            (model, _fitted(wrapper, response, scores, known, _of(weight, rows)))
            for model, (rows, scores, known) in zip(models, held, strict=True)
        ]
        return pairs, response, n_labels
    rows = np.concatenate([part[0] for part in held])
    scores, known = (np.concatenate([part[place] for part in held]) for place in (1, 2))
    whole = fit_on_rows(wrapper.estimator, X, codes, None, parameters)
    return (
        [(whole, _fitted(wrapper, response, scores, known, _of(weight, rows)))],
        response,
        (n_labels),
    )


def label_probabilities(pairs: list[Pair], X: Any, response: str, n_labels: int) -> Float64Array:
    """Return the mean of the probabilities of all pairs, (n_samples, n_labels)."""
    answers = [
        calibrator.transform(columns_by_label(model, X, response, n_labels))
        for model, calibrator in pairs
    ]
    check_same_length(len(answers[0]), len(answers[-1]), "the first model", "the last")
    return np.asarray(answers[0] if len(answers) == 1 else np.mean(answers, axis=0))


def _of(weight: Float64Array | None, rows: IntArray) -> Float64Array | None:
    return None if weight is None else weight[rows]


def _response(model: Any, wanted: str) -> str:
    """Return the method whose answer is calibrated."""
    names = ("decision_function", "predict_proba") if wanted == "auto" else (wanted,)
    found = next((name for name in names if hasattr(model, name)), None)
    if found is None:
        raise ValueError(
            f"{type(model).__name__} has no {' or '.join(names)}; calibration needs scores"
        )
    return found


def _fitted(
    wrapper: Any,
    response: str,
    scores: Float64Array,
    table: Float64Array,
    weight: Float64Array | None,
) -> MultilabelCalibrator:
    """Return the calibrator of some rows."""
    if wrapper.features is not None:
        raise ValueError("features= is for one label per row; with many labels pass features=None")
    given = wrapper.calibrator
    source = "logits" if response == "decision_function" else "proba"
    if isinstance(given, MultilabelCalibrator):
        made = clone(given)
    elif isinstance(given, str):
        made = MultilabelCalibrator("spline" if given == "auto" else given)
    elif isinstance(given, BaseCalibrator):
        if hasattr(given, "adapt"):
            raise ValueError(
                f"{type(given).__name__} is for classes that exclude each other; with many labels "
                f"pass a calibrator of two classes"
            )
        made = MultilabelCalibrator(clone(given).set_params(input=source))
    else:
        raise ValueError(
            f"calibrator must be a registry name or a calibrator instance; got {describe(given)}"
        )
    made.set_params(input=source)
    fitted: MultilabelCalibrator = made.fit(scores, table, sample_weight=weight)
    return fitted
