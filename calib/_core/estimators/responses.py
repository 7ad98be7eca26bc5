"""Scores out of a classifier: what it answers with, and which column belongs to which class."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.frozen import FrozenEstimator

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import describe
from calib._border.labels import encode_labels
from calib._border.sklearn_compat import is_named_arrays, take_rows
from calib._border.typing import Float64Array, FloatArray, IntArray, LabelArray
from calib._border.validation import as_floating, check_matrix, check_probabilities
from calib._core.estimators.out_of_fold import check_fitted

Response: TypeAlias = Literal["auto", "decision_function", "predict_proba"]

#: Rows on which a response is compared with `predict`.
COMPARED_ROWS = 1000
#: Standard errors below 1/2 at which scores rank against the predicted class, and the chance
#: (one in so many orders) that stands for them where all rows rank the wrong way.
AGAINST_ERRORS, AGAINST_ORDERS = 3.5, 500
#: Share of rows that agree with `predict` once columns change places, over twice the share that
#: agrees as they stand, and the rows of every column that moves.
REORDERED_AGREEMENT, ROWS_OF_A_COLUMN = 0.95, 3


def classes_of_model(estimator: Any) -> LabelArray:
    """Return the class of each column that a fitted classifier answers with.

    Raises
    ------
    NotFittedError
        For a frozen estimator that is not trained.
    ValueError
        If the model does not say its classes, or has several outputs.
    """
    name = _name(estimator)
    try:
        classes = estimator.classes_
    except AttributeError:
        check_fitted(estimator)
        if not hasattr(estimator, "predict_proba") and not hasattr(estimator, "decision_function"):
            raise ValueError(
                f"{name} has no decision_function or predict_proba; calibration needs scores of a "
                f"classifier"
            ) from None
        raise ValueError(
            f"{name} has no classes_, so it is unclear which class each column of its scores "
            f"belongs to; set model.classes_ = np.array([...]) in the order of the columns"
        ) from None
    several = isinstance(classes, (list, tuple)) and any(np.ndim(entry) > 0 for entry in classes)
    array = np.empty(0) if several else np.asarray(classes)
    if several or array.ndim != 1:
        raise ValueError(
            f"{name} has several outputs (classes_ holds one list of classes for each); wrap one "
            f"classifier per output"
        )
    if not len(array) or len(set(array.tolist())) < len(array):
        raise ValueError(f"classes_ of {name} must be distinct labels; got {describe(classes)}")
    return array


def in_order(classes: LabelArray) -> LabelArray:
    """Return classes in sorted order, which scikit-learn's metrics take for granted."""
    try:
        return np.unique(classes)
    except TypeError:  # labels of several types have no order
        return classes


def trainable_classes(labels: LabelArray) -> LabelArray:
    """Return the classes of labels in sorted order, of which there must be two or more."""
    classes = in_order(labels)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class ({classes.tolist()[0]!r}); a classifier needs at least two"
        )
    return classes


def classes_of_models(models: list[Any], classes: LabelArray) -> LabelArray:
    """Return the classes of the labels and of all models trained on them, in sorted order."""
    known = [classes_of_model(model) for model in models]
    extra = [model_classes for model_classes in known if not np.isin(model_classes, classes).all()]
    if not extra:
        return classes
    for model_classes in extra:
        if (model_classes.dtype.kind in "iufb") != (classes.dtype.kind in "iufb"):
            raise ValueError(
                f"the estimator names its classes {describe(model_classes.tolist())}, the labels "
                f"are {describe(classes.tolist())}; it must keep the labels that it is trained on"
            )
    return in_order(np.concatenate([classes, *extra]))


def choose_response(estimator: Any, X: Any, response: Response) -> str:
    """Return the method of a fitted classifier that gives one column of scores per class.

    Parameters
    ----------
    estimator : estimator
    X : array-like
        Rows on which the answer is compared with `predict`.
    response : {"auto", "decision_function", "predict_proba"}

    Raises
    ------
    ValueError
        If it lacks the demanded method, if its decision function is not one score per class and it
        has no probabilities, or if its probabilities contradict its own predictions.
    """
    options = ("decision_function", "predict_proba")
    wanted = options if response == "auto" else (response,)
    methods = [name for name in wanted if hasattr(estimator, name)]
    name = _name(estimator)
    if not methods:
        raise ValueError(f"{name} has no {' or '.join(wanted)}; calibration needs scores")
    known = classes_of_model(estimator)
    if methods[0] == "decision_function":
        fault = _shape_fault(estimator, X, known) or _fault(estimator, X, methods[0], known)
        if not fault:
            return methods[0]
        if len(methods) == 1:
            raise ValueError(
                f"{name} has a decision_function without one column per class ({fault}); choose a "
                f"one-vs-rest shape"
            )
    fault = _fault(estimator, X, "predict_proba", known)
    if fault:
        raise ValueError(
            f"{name} has a predict_proba whose columns are not its classes_ "
            f"{describe(known.tolist())} ({fault}); put classes_ in the order of the columns"
        )
    return "predict_proba"


def columns_by_class(estimator: Any, X: Any, response: str, classes: LabelArray) -> FloatArray:
    """Return the scores of a fitted classifier with a column for each of `classes`, in that order.

    Classes the classifier does not know get probability 0, or the lowest logit of the row. Two
    known classes out of two may keep the single column of the positive one, which is the second.

    Raises
    ------
    ValueError
        For a number of columns that is not that of the classifier's classes, and classes of its
        that are not among `classes`.
    """
    known = classes_of_model(estimator)
    scores = _answer(estimator, X, response, known)
    if np.array_equal(known, classes):
        return scores
    logits = response == "decision_function"
    places = encode_labels(known, classes, f"classes_ of {_name(estimator)}")
    if len(known) == 2 and _width(scores) == 1:
        if len(classes) == 2:  # the other class is the second
            return -scores if logits else 1 - scores
        scores = _both(scores, logits)
    elif scores.ndim == 1:
        scores = scores[:, None]
    full = np.empty((len(scores), len(classes)), dtype=scores.dtype)
    if len(known) < len(classes):
        full[:] = scores.min(axis=1, keepdims=True) if logits else 0
    full[:, places] = scores
    return full


def positive_score(scores: FloatArray, *, logits: bool) -> Float64Array:
    """Return the score of the second class, log-odds or probability, of one or two columns."""
    column = np.asarray(scores, dtype=np.float64)
    if column.ndim == 1 or column.shape[1] == 1:
        return column.reshape(-1)
    return np.asarray(column[:, 1] - column[:, 0] if logits else column[:, 1])


def predicted_codes(estimator: Any, X: Any, classes: LabelArray) -> IntArray:
    """Return the position in `classes` of every label that a classifier predicts.

    Raises
    ------
    ValueError
        If it predicts something else than one of `classes` per row.
    """
    name = f"the predictions of {_name(estimator)}"
    answer = to_numpy(read_array(estimator.predict(X), name))
    if answer.ndim == 2 and answer.shape[1] == 1:
        answer = answer[:, 0]
    if answer.ndim != 1:
        raise ValueError(f"{name} must be one label per row; got shape {answer.shape}")
    return encode_labels(answer, classes, name)


# ---------------------------------------------------------------------- private parts


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


def _name(estimator: Any) -> str:
    model = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
    return type(model).__name__


def _width(scores: FloatArray) -> int:
    return 1 if scores.ndim == 1 else int(scores.shape[1])


def _both(scores: FloatArray, logits: bool) -> FloatArray:
    positive = scores.reshape(-1, 1)
    return np.hstack([np.zeros_like(positive) if logits else 1 - positive, positive])


def _answer(estimator: Any, X: Any, response: str, known: LabelArray) -> FloatArray:
    """Return the scores as they come, with a column per class (or one for two classes)."""
    answer = getattr(estimator, response)(X)
    name = f"the {response} of {_name(estimator)}"
    if isinstance(answer, (list, tuple)) and any(np.ndim(output) == 2 for output in answer):
        raise ValueError(
            f"{name} is a list of {len(answer)} arrays, one per output; wrap one classifier per "
            f"output"
        )
    scores: FloatArray = to_numpy(as_floating(read_array(answer, name), name))
    width = _width(scores)
    if scores.ndim not in (1, 2) or (width != len(known) and not (width == 1 and len(known) == 2)):
        raise ValueError(
            f"{name} has shape {scores.shape} for {len(known)} classes; one column per class is "
            f"needed"
        )
    return scores


def _shape_fault(estimator: Any, X: Any, known: LabelArray) -> str:
    shape = np.shape(estimator.decision_function(_some_rows(X, 1)))
    n_classes = len(known)
    fits = shape[1:] in (((), (1,), (2,)) if n_classes == 2 else ((n_classes,),))
    return "" if fits else f"it returned shape {shape} for one sample and {n_classes} classes"


def _some_rows(X: Any, n_rows: int) -> Any:
    """Return at most `n_rows` rows, evenly spread."""
    first = next(iter(X.values())) if is_named_arrays(X) else X
    n_samples = first.shape[0] if hasattr(first, "shape") else len(first)
    if n_samples <= n_rows:
        return X
    return take_rows(X, np.linspace(0, n_samples - 1, n_rows).astype(np.intp))


def _fault(estimator: Any, X: Any, response: str, known: LabelArray) -> str:
    """Say how a response contradicts `predict`; an empty text where it does not.

    Thresholds and costs may move predictions away from the largest score, but scores of a class
    are still higher, on the whole, where it is predicted.
    """
    if len(known) < 2 or not hasattr(estimator, "predict"):
        return ""
    X = _some_rows(X, COMPARED_ROWS)
    scores = np.asarray(_answer(estimator, X, response, known), dtype=np.float64)
    try:
        codes = predicted_codes(estimator, X, known)
    except ValueError:
        return ""  # a model that abstains or names classes in another way
    if _width(scores) == 1:
        scores = np.asarray(_both(scores, response == "decision_function"), dtype=np.float64)
    if len(scores) != len(codes) or not np.isfinite(scores).all():
        return ""  # the border says what is wrong
    agreement = float((scores.argmax(axis=1) == codes).mean())
    if agreement == 1:
        return ""
    better = _agreement_reordered(scores.argmax(axis=1), codes, len(known))
    if better >= REORDERED_AGREEMENT > 2 * agreement:
        return (
            f"on {len(codes)} rows its largest column is the predicted class in {agreement:.0%}, "
            f"and in {better:.0%} if columns change places"
        )
    if response == "decision_function" and len(known) > 2 and agreement < 0.5:
        return f"its largest column is the predicted class in {agreement:.0%} of the rows"
    for k in np.unique(codes):
        others = np.delete(scores, k, axis=1).max(axis=1)
        area = _area_against(scores[:, k] - others, codes == k)
        if area is not None:
            label = describe(known[k : k + 1].tolist()[0])
            return (
                f"on {len(codes)} rows it ranks against predict for class {label}: area under the "
                f"ROC curve {area:.2f}"
            )
    return ""


def _agreement_reordered(largest: LabelArray, codes: LabelArray, n_classes: int) -> float:
    """Return the share of rows whose largest column is the predicted class in the best order.

    0 where there is too little to tell: two classes, whose threshold may lie anywhere, and orders
    in which a column changes places that is the largest in few rows.
    """
    if n_classes < 3:
        return 0.0
    pairs = np.zeros((n_classes, n_classes), dtype=np.intp)
    np.add.at(pairs, (largest, codes), 1)
    columns, places = linear_sum_assignment(pairs, maximize=True)
    moved = columns[(columns != places) & (pairs.any(axis=1) | pairs.any(axis=0))]
    if (pairs[moved, places[moved]] < ROWS_OF_A_COLUMN).any():
        return 0.0
    return float(pairs[columns, places].sum() / len(codes))


def _area_against(margin: Float64Array, chosen: LabelArray) -> float | None:
    """Return the area under the ROC curve if it is below 1/2 beyond noise."""
    n_chosen = int(chosen.sum())
    n_others = len(chosen) - n_chosen
    if not n_chosen or not n_others:
        return None
    ranks = rankdata(margin)[chosen].sum() - n_chosen * (n_chosen + 1) / 2
    area = float(ranks / (n_chosen * n_others))
    error = math.sqrt((len(chosen) + 1) / (12 * n_chosen * n_others))
    surely = area == 0 and math.comb(len(chosen), n_chosen) >= AGAINST_ORDERS
    return area if surely or area < 0.5 - AGAINST_ERRORS * error else None
