"""Labels, soft targets and weights: checked, and encoded as column indices."""

from __future__ import annotations

import numpy as np

from calib._border.checks import describe
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._core.namespace import to_numpy
from calib._core.reading import read_array

#: Largest weight, and one over the smallest that is not 0: their squares still add up.
LARGEST_WEIGHT = 1e100


def check_vector(y: ArrayLike, name: str) -> LabelArray:
    """Return labels (or soft targets) as a one-dimensional NumPy array without missing values."""
    if y is None:
        raise ValueError(
            f"requires y to be passed, but the target {name} is None"
            if name == "y"
            else f"{name} is None; pass one label per sample"
        )
    array = to_numpy(read_array(y, name))
    if array.ndim == 2 and array.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning

        warn(
            f"A column-vector {name} was passed when a 1d array was expected. Please change the "
            f"shape of {name} to (n_samples,), for example using ravel().",
            DataConversionWarning,
        )
        array = array[:, 0]
    if array.ndim != 1:
        hint = f"; pass class labels, e.g. {name}.argmax(axis=1)" if array.ndim == 2 else ""
        raise ValueError(f"{name} must be one-dimensional; got shape {array.shape}{hint}")
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind == "O":
        array = _plain_labels(array)
    missing = (
        ~np.isfinite(array)
        if array.dtype.kind == "f"
        else np.array([v is None or v != v for v in array], dtype=bool)
        if array.dtype.kind == "O"
        else None
    )
    if missing is not None and missing.any():
        row = int(np.argmax(missing))
        raise ValueError(f"{name} contains NaN, inf or None (row {row}); drop unlabelled rows")
    return array


def _plain_labels(array: LabelArray) -> LabelArray:
    """Give an object array of booleans, integers or floats alone its native type."""
    for kind, native in (
        ((bool, np.bool_), np.bool_),
        ((int, np.integer), np.int64),
        ((float, np.floating), np.float64),
    ):
        if all(isinstance(v, kind) and (kind[0] is bool or type(v) is not bool) for v in array):
            return array.astype(native)
    return array


def check_same_length(n_samples: int, other: int, name: str, other_name: str) -> None:
    """Raise unless two arguments have the same number of rows."""
    if n_samples != other:
        raise ValueError(
            f"{name} has {n_samples} samples but {other_name} has {other}; one {other_name} entry "
            f"per row of {name} is needed"
        )


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
                f"type: pass class labels"
            )
        if y.min() >= 0 and y.max() < n_classes:
            return np.arange(n_classes).astype(y.dtype)
    try:
        found = np.unique(y)
    except TypeError as error:
        raise ValueError(
            f"Unknown label type: {name} mixes labels that cannot be sorted ({error})"
        ) from error
    if len(found) == n_classes:
        return found
    shown = describe(found.tolist())
    if len(found) > n_classes:
        raise ValueError(
            f"{name} has {len(found)} distinct labels {shown} but {columns_of} has {n_classes} "
            f"columns (classes); pass one column of scores per class"
        )
    raise ValueError(
        f"{name} has {len(found)} distinct labels {shown} for {n_classes} columns of "
        f"{columns_of}, so it is unclear which class each column belongs to; encode labels as "
        f"integers 0..{n_classes - 1}"
    )


def encode_labels(y: LabelArray, classes: LabelArray, name: str) -> IntArray:
    """Return the column index of every label."""
    numeric = classes.dtype.kind in "iufb" and y.dtype.kind in "iufb"
    if numeric and np.array_equal(classes, np.arange(len(classes))):
        codes = y.astype(np.intp, copy=False)
        low, high = (codes.min(), codes.max()) if len(codes) else (0, 0)
        if low >= 0 and high < len(classes) and (y.dtype.kind != "f" or np.array_equal(codes, y)):
            return codes
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
        unknown = describe(np.unique(y[wrong])[:5].tolist())
        raise ValueError(
            f"{name} has labels {unknown} that are not among the classes "
            f"{describe(classes.tolist())}"
        )
    return codes


def is_soft_target(y: LabelArray) -> bool:
    """Tell whether `y` holds fractions (soft targets) rather than labels."""
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
