"""Models trained on parts of the data: which parts, by which rules, and how rows are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isclass
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils import InputTags, check_random_state, get_tags, indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_fraction, check_integer, describe, is_integer, is_number
from calib._border.labels import check_same_length
from calib._border.sklearn_compat import is_named_arrays, take_rows
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._core.estimators.fit_parameters import FitParameters
from calib.warnings import RefitWarning

#: Rows that train and rows that are held out.
Fold: TypeAlias = tuple[IntArray, IntArray]


def members_of(estimator: Any) -> list[Any]:
    """Return the models of a tuple, or the one that stands alone."""
    return list(estimator) if isinstance(estimator, (tuple, list)) else [estimator]


def is_frozen(estimator: Any) -> bool:
    """Return whether an estimator is frozen: every step of a pipeline, every member of a tuple."""
    if isinstance(estimator, (tuple, list)):
        return all(is_frozen(member) for member in estimator)
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return bool(steps) and all(is_frozen(step) for step in steps)
    return isinstance(estimator, FrozenEstimator)


def check_estimator(estimator: Any, *, kind: str, answers: tuple[str, ...]) -> None:
    """Raise for what is no estimator: classes, networks, functions.

    Parameters
    ----------
    estimator : object
        What was passed, frozen or not.
    kind : {"classifier", "regressor"}
        What it should be.
    answers : tuple of str
        Methods of which it needs one.
    """
    model, frozen = estimator, isinstance(estimator, FrozenEstimator)
    while isinstance(model, FrozenEstimator):
        model = model.estimator
    name = describe(model) if isinstance(model, str) else type(model).__name__
    if isclass(model):
        raise TypeError(
            f"estimator must be a {kind}, not the class {model.__name__}; pass "
            f"{model.__name__}(...)"
        )
    is_network = any(
        base.__module__.partition(".")[0] in ("torch", "keras", "tensorflow", "flax")
        for base in type(model).__mro__
    )
    answered = any(hasattr(model, answer) for answer in answers)
    wanted = " or ".join(answers)
    if is_network and not answered:
        cure = (
            "compute its outputs and fit a calibrator of `calib` to them, for instance "
            "TemperatureCalibrator(input='logits').fit(logits, y), or "
            if kind == "classifier"
            else ""
        )
        classes = ", and the attribute classes_," if kind == "classifier" else ""
        raise TypeError(
            f"estimator must be a scikit-learn {kind}; got {name}, a network without {wanted}. "
            f"Wrap it in a class that has fit and {wanted}{classes} or {cure}use a ready wrapper "
            f"such as skorch's"
        )
    if not frozen and not (hasattr(model, "fit") and hasattr(model, "get_params")):
        cure = f"FrozenEstimator({name})" if answered else "an estimator with fit and get_params"
        raise TypeError(
            f"estimator must be a scikit-learn {kind}, which can be cloned and trained; got "
            f"{describe(model)}. Pass {cure}"
        )
    if kind == "regressor" and is_classifier(model):
        raise TypeError(
            f"estimator must be a scikit-learn regressor; got {name}, a classifier: use "
            f"calib.CalibratedClassifier or uq.ConformalClassifier for its classes"
        )


def warn_if_trained(estimator: Any) -> None:
    """Warn that a trained model without `FrozenEstimator` is about to be trained again."""
    try:
        check_is_fitted(estimator)
        trained = get_tags(estimator).requires_fit
    except (NotFittedError, TypeError, AttributeError):
        return
    if trained:
        warn(
            f"{type(estimator).__name__} is already trained and will be trained again on the data "
            f"passed to fit; pass FrozenEstimator(model) to use it as it is",
            RefitWarning,
        )


def warn_unused(fit_params: Mapping[str, Any], sample_weight: object = None) -> None:
    """Warn that parameters (and weights) for the fit of a frozen estimator have nowhere to go."""
    names = [*sorted(fit_params), *([] if sample_weight is None else ["sample_weight"])]
    if names:
        warn(
            f"{', '.join(names)}: no effect, because the estimator is frozen and not fitted again; "
            f"leave out what is meant for its fit, or pass it without FrozenEstimator",
            UserWarning,
        )


def input_tags_of(estimator: Any) -> InputTags:
    """Return what an estimator says of its input; the default for one that says nothing."""
    try:
        return get_tags(estimator).input_tags
    except AttributeError:  # a frozen model of another library
        return InputTags()


def check_fitted(estimator: Any) -> None:
    """Raise `NotFittedError` for a frozen estimator whose model has not been trained."""
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        model = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
        raise NotFittedError(
            f"{type(model).__name__} is not fitted, although frozen; train it first, or pass it "
            f"without FrozenEstimator"
        ) from error
    except (TypeError, AttributeError):
        return  # no estimator of scikit-learn, so only its answers can tell


def check_rows(X: Any, y: ArrayLike) -> tuple[Any, Any]:
    """Return X and y with equal numbers of rows that can be selected; X may map names to arrays."""
    if not is_named_arrays(X):
        checked = indexable(X, y)
        return checked[0], checked[1]
    if not X:
        raise ValueError("X is an empty mapping; pass one array per name")
    (labels,) = indexable(y)
    n_samples = None if labels is None else np.shape(labels)[0]
    for name, values in X.items():
        if not hasattr(values, "__len__"):
            raise ValueError(f"X[{name!r}] has no rows: {describe(values)}")
        if n_samples is not None:
            check_same_length(len(values), n_samples, f"X[{name!r}]", "y")
    return X, labels


def fit_on_rows(
    estimator: Any,
    X: Any,
    y: LabelArray,
    rows: IntArray | None,
    parameters: FitParameters | None = None,
    member: int = 0,
) -> Any:
    """Fit a clone on the selected rows, on all of them for ``rows=None``."""
    values = {} if parameters is None else parameters.of_rows(rows, member)
    if rows is not None:
        X, y = take_rows(X, rows), y[rows]
    return clone(estimator).fit(X, y, **values)


def fit_on_parts(
    estimator: Any,
    X: Any,
    y: LabelArray,
    parts: Sequence[IntArray],
    parameters: FitParameters,
    n_jobs: int | None,
) -> list[Any]:
    """Return a fitted clone for each selection of rows."""
    models: list[Any] = Parallel(n_jobs=n_jobs)(
        delayed(fit_on_rows)(estimator, X, y, rows, parameters) for rows in parts
    )
    return models


def predict_out_of_fold(
    estimator: Any,
    X: Any,
    y: LabelArray,
    folds: Sequence[Fold],
    parameters: FitParameters,
    predict: Callable[[Any, Any], Float64Array],
    n_jobs: int | None = None,
) -> Float64Array:
    """Return what a clone that was trained without a row answers for it, for every row.

    Parameters
    ----------
    estimator, X, y, parameters
        What is trained, and on what.
    folds : sequence of (train, test)
        A partition of the rows.
    predict : callable
        Function of a fitted model and some rows of X that returns an array.
    n_jobs : int or None, default=None

    Returns
    -------
    answers : ndarray of shape (n_samples, ...)
    """

    def of_fold(train: IntArray, test: IntArray) -> Float64Array:
        return predict(fit_on_rows(estimator, X, y, train, parameters), take_rows(X, test))

    answers = np.concatenate(
        Parallel(n_jobs=n_jobs)(delayed(of_fold)(train, test) for train, test in folds)
    )
    out = np.empty_like(answers)
    out[np.concatenate([test for _, test in folds])] = answers
    return out


def folds_of(
    cv: Any,
    X: Any,
    y: LabelArray,
    *,
    classifier: bool,
    split: Mapping[str, Any] | None = None,
    partition: bool,
) -> list[Fold]:
    """Return the folds of whatever scikit-learn takes for `cv`.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        An integer means stratified folds for classifiers, and folds of whole groups where groups
        are given.
    X : array-like
    y : ndarray of shape (n_samples,)
    classifier : bool
    split : mapping or None
        Arguments of `split` beside X and y, such as ``groups``.
    partition : bool
        Whether every row has to be held out exactly once.

    Raises
    ------
    ValueError
        For words, rows that are held out and trained on in one fold, and, where a partition is
        asked for, rows that are held out never or repeatedly.
    """
    values = dict(split or {})
    groups = values.get("groups")
    if isinstance(cv, str):
        cure = (
            "pass the trained model as FrozenEstimator(model) (sklearn.frozen); all data then "
            "serve the calibration"
            if cv == "prefit"
            else "pass a number of folds, a splitter or pairs of training and held-out rows"
        )
        raise ValueError(f"cv={cv!r} is no way to make folds; {cure}")
    if isinstance(cv, (bool, np.bool_)):
        raise ValueError(f"cv must be an integer >= 2, a splitter or folds; got {cv}")
    if groups is not None and (cv is None or is_integer(cv)):
        number = 5 if cv is None else check_integer("cv", cv, low=2)
        n_groups = len(np.unique(groups))
        if n_groups < number:
            raise ValueError(
                f"cv={number} folds need as many groups; got {n_groups}. Pass fewer folds"
            )
        cv = StratifiedGroupKFold(number) if classifier else GroupKFold(number)
    rows = np.zeros((len(y), 1)) if is_named_arrays(X) else X
    pairs = check_cv(cv, y, classifier=classifier).split(rows, y, **values)
    folds = [(_as_rows(train, len(y)), _as_rows(test, len(y))) for train, test in pairs]
    if not folds:
        raise ValueError("cv holds no fold; pass at least two")
    for train, test in folds:
        shared = np.intersect1d(train, test)
        if len(shared):
            raise ValueError(
                f"cv trains on rows that it holds out in the same fold (row {shared[0]}); "
                f"held-out rows must be new to the model"
            )
        if not len(train) or not len(test):
            raise ValueError("cv has a fold without training rows or without held-out rows")
    if partition:
        fold_of_rows(folds, len(y))
    return folds


def _as_rows(rows: Any, n_samples: int) -> IntArray:
    array = np.asarray(rows)
    if array.dtype.kind == "b":
        return np.flatnonzero(array)
    if array.size and not -n_samples <= array.min() <= array.max() < n_samples:
        raise ValueError(
            f"cv names row {array[np.argmax(np.abs(array))]}, but there are {n_samples} samples"
        )
    return array.astype(np.intp, copy=False) % max(n_samples, 1)


def fold_of_rows(folds: list[Fold], n_samples: int) -> IntArray:
    """Return the number of the fold that holds each row out, which has to be exactly one."""
    fold = np.full(n_samples, -1, dtype=np.intp)
    times = np.zeros(n_samples, dtype=np.intp)
    for k, (_, test) in enumerate(folds):
        fold[test] = k
        np.add.at(times, test, 1)
    if (times != 1).any():
        row = int(np.argmax(times != 1))
        raise ValueError(
            f"cv must hold out every sample once; sample {row} is held out {times[row]} times. "
            f"Pass a partition (KFold, StratifiedKFold, GroupKFold, LeaveOneOut), not repeated or "
            f"random splits"
        )
    return fold


def check_two_classes(codes: IntArray, classes: LabelArray, n_folds: int) -> None:
    """Raise for a training part of one class, whatever the estimator would make of it."""
    if (codes == codes[0]).all():
        raise ValueError(
            f"cv leaves {len(codes)} training samples of one class "
            f"({classes.tolist()[codes[0]]!r}) in one of {n_folds} folds, as folds in the order of "
            f"sorted labels do; a classifier needs two. Pass an integer or StratifiedKFold, or "
            f"shuffle"
        )


def split_rows(
    n_samples: int,
    size: float | int,
    random_state: Any,
    *,
    groups: LabelArray | None = None,
) -> tuple[IntArray, IntArray]:
    """Return the rows that train and the rows that calibrate, both ascending.

    Parameters
    ----------
    n_samples : int
    size : float in (0, 1) or int >= 1
        Share or number of samples that calibrate.
    random_state : int, RandomState or None
    groups : ndarray of shape (n_samples,) or None
        Groups stay whole: as many calibrate as it takes to reach the size.

    Raises
    ------
    ValueError
        For a size out of range, or that leaves nothing on one side.
    """
    if is_number(size) and not is_integer(size):
        check_fraction("calibration_size", size)
    else:
        check_integer("calibration_size", size, low=1)
    rows = np.arange(n_samples)
    if groups is None:
        if is_integer(size) and size >= n_samples:
            raise ValueError(
                f"calibration_size={describe(size)} leaves nothing to fit: there are {n_samples} "
                f"samples"
            )
        try:
            rest, chosen = train_test_split(
                rows, test_size=size, random_state=check_random_state(random_state)
            )
        except ValueError as error:
            raise ValueError(
                f"calibration_size={describe(size)} cannot split {n_samples} samples: {error}"
            ) from error
        return np.sort(rest), np.sort(chosen)
    _, code, count = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = size if is_integer(size) else size * n_samples
    order = check_random_state(random_state).permutation(len(count))
    taken = 1 + int(np.searchsorted(np.cumsum(count[order]), wanted, side="left"))
    if taken >= len(count):
        raise ValueError(
            f"calibration_size={describe(size)} takes all of the {len(count)} groups and leaves "
            f"nothing to fit; lower it, or pass more groups"
        )
    held = np.isin(code, order[:taken])
    return np.flatnonzero(~held), np.flatnonzero(held)


def draw_held_out(
    rows: IntArray, n_held: int, random: Any, groups: LabelArray | None
) -> tuple[IntArray, IntArray]:
    """Return the rows that train and `n_held` others, or whole groups, both ascending.

    `random` is a generator of either kind; `groups` belong to all rows of the data.
    """
    if groups is None or not n_held:
        order = random.permutation(rows)
        return np.sort(order[n_held:]), np.sort(order[:n_held])
    if isinstance(random, np.random.Generator):
        random = int(random.integers(2**31 - 1))
    rest, held = split_rows(len(rows), n_held, random, groups=groups[rows])
    return rows[rest], rows[held]


def draw_rows(
    n_samples: int, random: np.random.RandomState, groups: LabelArray | None = None
) -> IntArray:
    """Return a bootstrap draw of rows, of whole groups where there are any."""
    if groups is None:
        return random.randint(0, n_samples, size=n_samples)
    code = np.unique(groups, return_inverse=True)[1]
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(code.max() + 2))
    drawn = random.randint(0, len(starts) - 1, size=len(starts) - 1)
    return np.concatenate([order[starts[k] : starts[k + 1]] for k in drawn])
