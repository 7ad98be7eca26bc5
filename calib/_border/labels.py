"""Labels, soft targets and weights: checked, and encoded as column indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import describe
from calib._border.columns import (
    check_overlap,
    named_positive,
    order_of,
    sorts_as_text,
    told_classes,
)
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._border.words import did_you_mean
from calib.warnings import DegenerateScoresWarning

#: Labels that data sets give to what is to be ignored.
IGNORE_LABELS = (-100, -1, 255)

#: Largest weight, and one over the smallest that is not 0: their squares still add up.
LARGEST_WEIGHT = 1e100


def check_vector(y: ArrayLike, name: str, kept: LabelArray | None = None) -> LabelArray:
    """Return labels (or soft targets) as a one-dimensional NumPy array without missing values.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    name : str
        Of the argument.
    kept : ndarray of bool, shape (n_samples,), or None
        Rows that are there; others may hold anything.
    """
    if y is None:
        raise ValueError(
            f"requires y to be passed, but the target {name} is None"
            if name == "y"
            else f"{name} is None; pass one label per sample"
        )
    array = read_labels(y, name)
    if array.ndim == 2 and array.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning

        warn(
            f"A column-vector {name} was passed when a 1d array was expected. Please change the "
            f"shape of {name} to (n_samples,), for example using ravel().",
            DataConversionWarning,
        )
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional; got shape {array.shape}{_shape_advice(array, name)}"
        )
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind == "V":
        raise ValueError(f"{name} is a structured array ({array.dtype}); pass one of its fields")
    array = plain_labels(array)
    missing = (
        ~np.isfinite(array)
        if array.dtype.kind == "f"
        else np.isnat(array)
        if array.dtype.kind in "Mm"
        else np.array([v is None or v != v for v in array], dtype=bool)
        if array.dtype.kind == "O"
        else None
    )
    if missing is not None and kept is not None and len(kept) == len(missing):
        missing &= kept
    if missing is not None and missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"{name} contains NaN, inf or None (row {row}); drop unlabelled rows, or give them "
            f"sample_weight 0"
        )
    return array


def read_labels(y: ArrayLike, name: str) -> LabelArray:
    try:
        array = to_numpy(read_array(y, name))
    except ValueError as error:
        if "ragged" not in str(error):
            raise
        array = None
    sets = isinstance(y, (list, tuple)) and any(isinstance(v, (list, tuple, set)) for v in y)
    if array is None or (sets and array.ndim == 1):
        raise ValueError(
            f"{name} holds several labels per sample (multi-label): {describe(y)}; calibration is "
            f"for one label per sample; with a table of 0 and 1, one column per label, use "
            f"MultilabelCalibrator, multilabel_report or CalibratedClassifier"
        )
    return array


def _shape_advice(array: LabelArray, name: str) -> str:
    """Say what a matrix in the place of labels is, and what to pass."""
    if array.ndim != 2 or array.dtype.kind not in "iufb":
        return "; pass one label per sample"
    values = array.astype(np.float64)
    counts = values.sum(axis=1)
    if np.isin(values, (0, 1)).all():
        if (counts == 1).all():
            return f"; it is one-hot, pass class labels: {name}.argmax(axis=1)"
        return (
            "; it marks several labels per sample (multi-label): use MultilabelCalibrator, "
            "multilabel_report or CalibratedClassifier"
        )
    if values.min() >= 0 and np.abs(counts - 1).max() < 1e-3:
        return (
            f"; it holds probabilities, so the arguments may be swapped; or pass class labels, "
            f"e.g. {name}.argmax(axis=1). Distributions of classes (soft targets) are for the fit "
            f"of calibrators, and for metrics with calib.evaluation.expand_soft_targets"
        )
    return (
        f"; pass class labels, e.g. {name}.argmax(axis=1); if these are scores, the arguments are "
        f"swapped"
    )


def plain_labels(array: LabelArray) -> LabelArray:
    """Give an object array of booleans, integers or floats alone its native type."""
    if array.dtype.kind != "O":
        return array
    for kind, native in (
        ((bool, np.bool_), np.bool_),
        ((int, np.integer), np.int64),
        ((float, np.floating), np.float64),
    ):
        if all(isinstance(v, kind) and (kind[0] is bool or type(v) is not bool) for v in array):
            return array.astype(native)
    return array


def check_not_swapped(X: ArrayLike, y: ArrayLike) -> None:
    """Raise if scores and labels are plainly in each other's place."""
    first, second = (np.shape(x) if hasattr(x, "shape") else list_shape(x) for x in (X, y))
    if len(first) != 1 and first[1:] != (1,):
        return
    if len(second) == 2 and second[1] > 1:  # scores, or soft targets beside a column of scores
        swapped = second[1] > 2 or _are_labels(X)
    else:
        swapped = _are_fractions(y) and _are_labels(X)
    if swapped:
        raise ValueError(
            f"X looks like labels (shape {tuple(first)}) and y like scores (shape "
            f"{tuple(second)}): the arguments are swapped, pass fit(X, y) with the scores first"
        )


def list_shape(x: ArrayLike) -> tuple[int, ...]:
    if not isinstance(x, (list, tuple)):
        return ()
    first: Any = x[0] if len(x) else 0
    nested = isinstance(first, (list, tuple)) or np.ndim(first) == 1
    return (len(x), len(first)) if nested else (len(x),)


def _flat(x: ArrayLike) -> LabelArray:
    try:
        return np.ravel(plain_labels(to_numpy(read_array(x, "X"))))
    except ValueError:
        return np.empty(0)


def _are_fractions(x: ArrayLike) -> bool:
    values = _flat(x)
    finite = values.dtype.kind == "f" and bool(np.isfinite(values).all())
    return finite and not np.array_equal(values, np.rint(values))


def _are_labels(x: ArrayLike) -> bool:
    """Return whether values are texts, booleans, or numbers such as 0, 1, ... or -1 and 1."""
    values = _flat(x)
    if values.dtype.kind not in "iuf":
        return values.dtype.kind in "USOb"
    if not np.array_equal(values, np.rint(values)):
        return False
    distinct = np.unique(values)
    counting = np.array_equal(distinct, np.arange(len(distinct)) + distinct[:1])
    return len(distinct) >= 2 and (
        distinct.tolist() == [-1, 1] or (counting and distinct[0] in (0, 1))
    )


def check_same_length(n_samples: int, other: int, name: str, other_name: str) -> None:
    """Raise unless two arguments have the same number of rows."""
    if n_samples != other:
        raise ValueError(
            f"{name} has {n_samples} samples but {other_name} has {other}; one {other_name} entry "
            f"per row of {name} is needed"
        )


def unit_codes(values: ArrayLike, n_rows: int, name: str, rows_of: str) -> IntArray:
    """Return the number of the unit (group, image) of every row."""
    array = check_vector(values, name)
    check_same_length(n_rows, len(array), rows_of, name)
    try:
        return np.unique(array, return_inverse=True)[1].astype(np.intp)
    except TypeError as error:
        raise ValueError(
            f"{name} mixes values that cannot be sorted ({error}); make all of them text"
        ) from error


def check_weight(weight: ArrayLike, n_samples: int) -> Float64Array | None:
    """Return weights as float64, None where none were given.

    Raises
    ------
    ValueError
        For a wrong length, NaN, inf, negative weights or weights that are all zero.
    """
    if weight is None:
        return None
    array = to_numpy(read_array(weight, "sample_weight"))
    if array.dtype.kind in "MmVc":
        raise ValueError(f"sample_weight must hold numbers; got values of type {array.dtype}")
    try:
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers; {error}") from error
    if array.ndim != 1 or array.shape[0] != n_samples:
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight per sample; got shape "
            f"{array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError("sample_weight contains NaN or inf; every weight must be a finite number")
    if (array < 0).any():
        row = int(np.argmax(array < 0))
        raise ValueError(f"sample_weight must be >= 0; got {array[row]} in row {row}")
    if not (array > 0).any():
        raise ValueError("sample_weight is zero for every sample; at least one must be positive")
    if array.max() > LARGEST_WEIGHT or array[array > 0].min() < 1 / LARGEST_WEIGHT:
        row = int(
            np.argmax((array > LARGEST_WEIGHT) | ((array > 0) & (array < 1 / LARGEST_WEIGHT)))
        )
        raise ValueError(
            f"sample_weight must be 0 or lie in [{1 / LARGEST_WEIGHT:g}, {LARGEST_WEIGHT:g}], so "
            f"that sums neither overflow nor vanish; got {array[row]:g} in row {row}; multiply all "
            f"weights by a constant"
        )
    return array


def positive_rows(weight: ArrayLike, n_samples: int) -> LabelArray | None:
    """Return which rows are there because their weight is positive, None if all are."""
    array = check_weight(weight, n_samples)
    return None if array is None or array.all() else array > 0


def column_codes(
    y: LabelArray,
    kept: LabelArray | None,
    n_columns: int,
    names: Sequence[str] | None,
    *,
    labels: ArrayLike = None,
    pos_label: object = None,
    name: str,
    columns_of: str,
    turn: bool = False,
) -> tuple[IntArray, LabelArray, IntArray | None]:
    """Return the column of every label (0 in rows that are not kept), classes and column order.

    Parameters are those of `settle_classes` and the rows that are kept.
    """
    seen = y if kept is None else y[kept]
    seen = seen if kept is None else plain_labels(seen)
    classes, order = settle_classes(
        seen,
        n_columns,
        names,
        labels=labels,
        pos_label=pos_label,
        name=name,
        columns_of=columns_of,
        turn=turn,
    )
    codes = encode_labels(seen, classes, name)
    if kept is None:
        return codes, classes, order
    all_codes = np.zeros(len(y), dtype=np.intp)
    all_codes[kept] = codes
    return all_codes, classes, order


def settle_classes(
    y: LabelArray,
    n_columns: int,
    names: Sequence[str] | None,
    *,
    labels: ArrayLike = None,
    pos_label: object = None,
    name: str,
    columns_of: str,
    turn: bool = False,
) -> tuple[LabelArray, IntArray | None]:
    """Return the class of every column, and the order in which the columns are to be taken.

    The one place where columns meet classes. Names of a table that are the labels decide; then
    `labels`, whose order is that of the columns; then the sorted labels in `y`.

    Parameters
    ----------
    y : ndarray
        Checked labels.
    n_columns : int
        Number of columns of scores; one belongs to the second of two classes, or to the one that
        its name or `pos_label` says.
    names : sequence of str or None
        Names of the columns.
    labels : array-like of shape (n_classes,), default=None
        All classes, in the order of the columns.
    pos_label : label, default=None
        Class of a single column.
    name, columns_of : str
        Names of the arguments that hold labels and scores.
    turn : bool, default=False
        Whether two columns are turned so that `pos_label` is the second.

    Returns
    -------
    classes : ndarray of shape (max(2, n_columns),)
    order : ndarray of shape (n_columns,) or None
        Places of the columns of these classes; None where they stand in order.
    """
    n_classes = max(2, n_columns)
    if pos_label is not None and n_classes > 2:
        raise ValueError(
            f"pos_label={describe(pos_label)} names the positive one of two classes, but "
            f"{columns_of} has {n_columns} columns; leave it out (labels= gives their order)"
        )
    classes = (
        None if labels is None else check_classes(labels, n_classes, f"columns of {columns_of}")
    )
    if n_columns == 1:
        if classes is None:
            classes = _two_classes(y, pos_label, name, columns_of)
        return with_positive(classes, pos_label, names, columns_of), None
    order = None
    if names is not None:
        told = told_classes(names, y if classes is None else classes)
        if told is None:
            check_overlap(names, y if classes is None else classes, name, columns_of)
        else:
            classes = np.sort(told) if classes is None else classes
            order = order_of(told, classes)
    if classes is None:
        classes = classes_of(y, n_classes, name, columns_of)
        _warn_of_texts(classes, columns_of)
    if labels is None:
        _warn_of_shift(y, classes, name, columns_of)
    if pos_label is not None and _place_of(pos_label, classes, columns_of) == 0 and turn:
        order = np.array([1, 0] if order is None else order[::-1], dtype=np.intp)
        classes = classes[::-1]
        order = None if order.tolist() == [0, 1] else order
    return classes, order


def check_classes(labels: ArrayLike, n_classes: int, what: str) -> LabelArray:
    """Return `labels` as an array that names everything once, such as ``columns of X``."""
    classes = check_vector(labels, "labels")
    if len(classes) != n_classes or len(np.unique(classes)) != n_classes:
        raise ValueError(
            f"labels must name the {n_classes} {what} once each; got {describe(classes.tolist())}"
        )
    return classes


def _two_classes(y: LabelArray, pos_label: object, name: str, columns_of: str) -> LabelArray:
    """Return both classes of a single column in sorted order."""
    if pos_label is None:
        return classes_of(y, 2, name, columns_of)
    found = np.unique(y) if y.dtype.kind != "O" else np.array(sorted(set(y.tolist())), dtype=object)
    if len(found) == 1 and pos_label not in found.tolist():
        both = np.array([found[0], pos_label], dtype=object if y.dtype.kind == "O" else None)
        if (both.dtype.kind in "iufb") == (y.dtype.kind in "iufb"):
            return both
    return classes_of(y, 2, name, columns_of)


def with_positive(
    classes: LabelArray, pos_label: object, names: Sequence[str] | None, columns_of: str
) -> LabelArray:
    """Return two classes with the one of the single column last."""
    if len(classes) != 2:
        raise ValueError(
            f"pos_label={describe(pos_label)} names the positive one of two classes; there are "
            f"{len(classes)}"
        )
    named = None if names is None else named_positive(names[0], classes)
    if pos_label is None:
        return classes[::-1] if named == 0 else classes
    place = _place_of(pos_label, classes, columns_of)
    if named is not None and named != place:
        raise ValueError(
            f"pos_label={describe(pos_label)}, but the column of {columns_of} is named "
            f"{names[0]!r}; rename it, or pass the other class"  # type: ignore[index]
        )
    return classes[::-1] if place == 0 else classes


def _place_of(pos_label: object, classes: LabelArray, columns_of: str) -> int:
    known = classes.tolist()
    if pos_label not in known:
        raise ValueError(
            f"pos_label must be one of the classes {describe(known)} of {columns_of}; got "
            f"{describe(pos_label)}{did_you_mean(pos_label, known)}"
        )
    return int(known.index(pos_label))


def _warn_of_texts(classes: LabelArray, columns_of: str) -> None:
    pair = sorts_as_text(classes)
    if pair is not None:
        warn(
            f"labels are texts of numbers and sort as text ({pair[0]!r} comes before {pair[1]!r}): "
            f"column k of {columns_of} is read as class k of {describe(classes.tolist())}; pass "
            f"labels= in the order of the columns, a table whose columns are named by the labels, "
            f"or integers",
            DegenerateScoresWarning,
        )


def _warn_of_shift(y: LabelArray, classes: LabelArray, name: str, columns_of: str) -> None:
    """Warn where labels may count from 1 and lack the last class."""
    n_classes = len(classes)
    if n_classes < 3 or y.dtype.kind not in "iuf" or len(y) < n_classes - 1:
        return
    if y.min() == 1 and classes[0] == 0 and len(np.unique(y)) == n_classes - 1:
        warn(
            f"{name} has the labels 1..{n_classes - 1} for {n_classes} columns of {columns_of}, "
            f"which are read as classes 0..{n_classes - 1} of which 0 is absent; if they count "
            f"from 1..{n_classes}, the labels are shifted by one: pass labels= with the class of "
            f"every column, e.g. labels=range(1, {n_classes + 1}) or labels=range({n_classes})",
            DegenerateScoresWarning,
        )


def classes_of(y: LabelArray, n_classes: int, name: str, columns_of: str) -> LabelArray:
    """Return the class of every column, in column order.

    K distinct labels belong to K columns in sorted order; fewer are allowed only where they are
    integers (or booleans) in 0..K-1, because nothing else says which column is missing.
    """
    if y.dtype.kind == "b":
        if n_classes == 2:
            return np.array([False, True])
        y = y.astype(np.intp)
    if y.dtype.kind in "iuf":
        if y.dtype.kind == "f" and not np.array_equal(y, np.rint(y)):
            raise ValueError(
                f"{name} holds continuous values such as {y[y != np.rint(y)][0]}; Unknown label "
                f"type: pass class labels (the arguments may be swapped)"
            )
        if y.min() >= 0 and y.max() < n_classes:
            return np.arange(n_classes).astype(y.dtype)
    try:
        found = np.unique(y)
    except TypeError as error:
        raise ValueError(
            f"Unknown label type: {name} mixes labels that cannot be sorted ({error})"
        ) from error
    shown = describe(found.tolist())
    ignored = _ignore_labels(found, n_classes)
    if len(found) == n_classes:
        if ignored and n_classes > 2 and ignored[0] != -1:
            warn(
                f"{name} has the label {ignored[0]}, the usual mark of what is to be ignored; it "
                f"is read as the class of a column of {columns_of} ({shown}). Give such rows "
                f"sample_weight 0 or drop them, or name the classes with labels=",
                DegenerateScoresWarning,
            )
        return found
    if len(found) > n_classes:
        if ignored:
            rows = int(np.isin(y, ignored).sum())
            marks = " and ".join(str(label) for label in ignored)
            raise ValueError(
                f"{name} has the label {marks} ({rows} rows) beside 0..{n_classes - 1}, the usual "
                f"mark of what is to be ignored; drop these rows, or give them sample_weight 0"
            )
        raise ValueError(
            f"{name} has {len(found)} distinct labels {shown} but {columns_of} has {n_classes} "
            f"columns (classes); pass one column of scores per class"
        )
    marks = f" ({ignored[0]} usually marks what is to be ignored: drop it)" if ignored else ""
    raise ValueError(
        f"{name} has {len(found)} distinct labels {shown} for {n_classes} columns of "
        f"{columns_of}, so it is unclear which class each column belongs to{marks}; pass labels= "
        f"with the class of every column, or encode labels as integers 0..{n_classes - 1}"
    )


def _ignore_labels(found: LabelArray, n_classes: int) -> list[int]:
    """Return the usual marks of rows to ignore, if all other labels are among 0..K-1."""
    if found.dtype.kind not in "iuf":
        return []
    marks = np.isin(found, IGNORE_LABELS) & ((found < 0) | (found >= n_classes))
    rest = found[~marks]
    if not marks.any() or (len(rest) and (rest.min() < 0 or rest.max() >= n_classes)):
        return []
    return [int(label) for label in found[marks]]


def encode_labels(y: LabelArray, classes: LabelArray, name: str) -> IntArray:
    """Return the column index of every label."""
    numeric = classes.dtype.kind in "iufb" and y.dtype.kind in "iufb"
    if numeric and np.array_equal(classes, np.arange(len(classes))):
        codes = y.astype(np.intp, copy=False)
        low, high = (codes.min(), codes.max()) if len(codes) else (0, 0)
        if low >= 0 and high < len(classes) and (y.dtype.kind != "f" or np.array_equal(codes, y)):
            return codes
    kinds = [_kind_of(array) for array in (y, classes)]
    if len(y) and None not in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            f"{name} holds labels of another type: {kinds[0]} {describe(np.unique(y)[:3].tolist())}"
            f", where labels are {kinds[1]} {describe(classes[:3].tolist())}; convert one of them"
        )
    order = np.argsort(classes, kind="stable")
    try:
        position = np.searchsorted(classes[order], y)
    except TypeError as error:
        raise ValueError(
            f"{name} holds labels of another type than {describe(classes.tolist())}: {error}"
        ) from error
    codes = order[np.minimum(position, len(classes) - 1)].astype(np.intp)
    wrong = classes[codes] != y
    if np.any(wrong):
        distinct = np.unique(y[wrong])
        ignored = numeric and bool(np.isin(distinct, IGNORE_LABELS).all())
        raise ValueError(
            f"{name} has labels {describe(distinct[:5].tolist())} that are not among the classes "
            f"{describe(classes.tolist())}"
            + (
                f"; this usually marks what is to be ignored: drop these {int(wrong.sum())} rows, "
                f"or give them sample_weight 0"
                if ignored
                else ""
            )
        )
    return codes


def _kind_of(array: LabelArray) -> str | None:
    """Return whether an array holds numbers or text, None where it may hold anything."""
    if array.dtype.kind in "iufb":
        return "numbers"
    if array.dtype.kind in "UT" or all(isinstance(value, str) for value in array[:1000]):
        return "text"
    return None


def is_soft_target(y: LabelArray) -> bool:
    """Return whether `y` holds fractions (soft targets) rather than labels."""
    return y.dtype.kind == "f" and not np.array_equal(y, np.rint(y))


def check_soft_target(y: LabelArray, n_classes: int) -> Float64Array:
    """Return soft targets in [0, 1] of a two-class problem as float64."""
    if n_classes != 2:
        raise ValueError(
            f"y holds fractions (soft targets), which need two classes; X has {n_classes} "
            f"columns. Unknown label type: continuous"
        )
    if y.min() < 0 or y.max() > 1:
        raise ValueError(
            f"y holds fractions outside [0, 1] (min={y.min():.6g}, max={y.max():.6g}). Unknown "
            f"label type: pass class labels, or soft targets in [0, 1]"
        )
    return y.astype(np.float64)
