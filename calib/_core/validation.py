"""The border: scores and predictions are checked here, once, and every error names its argument.

Private functions behind this border receive clean arrays and never check again.
"""

from __future__ import annotations

import numpy as np

from calib._border.checks import describe
from calib._border.typing import (
    Array,
    ArrayLike,
    Float64Array,
    FloatArray,
    InputKind,
    IntArray,
    LabelArray,
)
from calib._border.warn import warn
from calib._core.labels import (
    check_same_length,
    check_vector,
    check_weight,
    classes_of,
    encode_labels,
)
from calib._core.links import PROBA_FLOOR
from calib._core.namespace import (
    array_namespace,
    is_half,
    to_numpy,
    without_gradient,
)
from calib._core.reading import read_array
from calib._core.scores import row_blocks
from calib.warnings import DegenerateScoresWarning

#: How far a row of probabilities may be from summing to 1: covers float32 softmax over thousands
#: of classes and numbers printed with four decimals. Half precision gets ten times as much.
ROW_SUM_TOLERANCE = 1e-3
#: How far beyond [0, 1] rounding may push a probability.
RANGE_TOLERANCE = 1e-6


def _as_floating(array: Array, name: str) -> Array:
    """Return the array with a real floating type; integers and booleans become float64."""
    if not isinstance(array, np.ndarray):
        xp = array_namespace(array)
        if xp.isdtype(array.dtype, "complex floating"):
            raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
        floating = xp.isdtype(array.dtype, "real floating") or is_half(array)
        return array if floating else xp.astype(array, xp.float64)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind == "f":
        return array if array.dtype.itemsize <= 8 else array.astype(np.float64)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:  # TypeError for objects, ValueError for texts
        raise type(error)(f"{name} must hold numbers; {error}") from error


def check_matrix(x: ArrayLike, name: str) -> Array:
    """Return `x` as a finite floating matrix (n_samples, n_columns); 1-D becomes one column.

    The array is copied only where its type has to change.
    """
    array = _read_matrix(x, name)
    _check_finite(array, name)
    return array


def _read_matrix(x: ArrayLike, name: str) -> Array:
    array = _as_floating(read_array(x, name), name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have 1 or 2 dimensions (n_samples,) or (n_samples, n_classes); "
            f"got shape {tuple(array.shape)}"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} has 0 samples (shape={tuple(array.shape)}); pass at least one")
    if array.shape[1] == 0:
        raise ValueError(
            f"{name} has 0 feature(s) (shape={tuple(array.shape)}) while a minimum of 1 is "
            f"required."
        )
    return array


def _check_finite(array: Array, name: str) -> None:
    array = without_gradient(array)
    xp = array_namespace(array)
    whole = not isinstance(array, np.ndarray)
    blocks = [slice(None)] if whole else row_blocks(*array.shape)
    for rows in blocks:
        block = array[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(xp.sum(block))
        if np.isfinite(total):
            continue
        bad = to_numpy(~xp.isfinite(block))
        if bad.any():  # otherwise only the sum overflowed
            row, column = (int(i) for i in np.argwhere(bad)[0])
            value = float(block[row, column])
            raise ValueError(
                f"{name} contains NaN or inf: {value} in row {row + (rows.start or 0)}, column "
                f"{column}; remove or repair such rows"
            )


def check_probabilities(array: Array, name: str, *, hint: str) -> None:
    """Raise unless all values are probabilities and (for two or more columns) rows sum to 1."""
    array = without_gradient(array)
    xp = array_namespace(array)
    tolerance = ROW_SUM_TOLERANCE * (10 if is_half(array) else 1)
    whole = not isinstance(array, np.ndarray)
    for rows in [slice(None)] if whole else row_blocks(*array.shape):
        block = array[rows]
        low, high = float(xp.min(block)), float(xp.max(block))
        if low < -RANGE_TOLERANCE or high > 1 + (tolerance if is_half(array) else RANGE_TOLERANCE):
            raise ValueError(
                f"{name} has values outside [0, 1] (min={low:.6g}, max={high:.6g} in rows "
                f"{rows.start or 0}..) {hint}"
            )
        if block.shape[1] == 1:
            continue
        if is_half(block):
            block = xp.astype(block, xp.float32)
        gap = xp.abs(xp.sum(block, axis=1) - 1)
        worst = int(xp.argmax(gap))
        if float(gap[worst]) > tolerance:
            total = float(xp.sum(block[worst]))
            raise ValueError(
                f"{name} has rows that do not sum to 1 (row {worst + (rows.start or 0)} sums to "
                f"{total:.6g}) {hint}; divide by the row sums if these are unnormalised "
                f"probabilities"
            )


def _plainly_probabilities(array: FloatArray) -> bool:
    """Tell, in one pass, whether the full checks would accept the array; False if in doubt."""
    ones = np.ones(array.shape[1], dtype=array.dtype)
    if is_half(array):
        return False
    for rows in row_blocks(*array.shape):
        block = array[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            total = block[:, 0] if len(ones) == 1 else block @ ones  # NaN and inf show here
        low, high, smallest = total.min(), total.max(), block.min()
        if not smallest >= -RANGE_TOLERANCE:
            return False
        if len(ones) > 1 and not (low >= 1 - ROW_SUM_TOLERANCE and high <= 1 + ROW_SUM_TOLERANCE):
            return False
        if not (high <= 1 and smallest >= 0) and not block.max() <= 1 + RANGE_TOLERANCE:
            return False
    return True


def check_scores(array: Array, source: InputKind, name: str) -> None:
    """Raise if scores contradict what they were declared to be."""
    if source == "proba":
        check_probabilities(
            array, name, hint="but input='proba'; pass input='logits' if these are logits"
        )


def looks_like_probabilities(array: FloatArray) -> bool:
    """Tell whether all scores lie in [0, 1] and rows of two or more columns sum to 1."""
    for rows in row_blocks(*array.shape):
        block = array[rows]
        if block.min() < 0 or block.max() > 1:
            return False
        if block.shape[1] > 1:
            gap = np.abs(block.sum(axis=1, dtype=np.float64) - 1).max()
            if gap > ROW_SUM_TOLERANCE:
                return False
    return True


def is_constant(array: FloatArray) -> bool:
    """Tell whether every row holds the same scores (stops at the first that does not)."""
    return all(bool((array[rows] == array[0]).all()) for rows in row_blocks(*array.shape))


def zero_columns(array: FloatArray) -> IntArray:
    """Return the columns that are zero in every row (stops when none is left)."""
    columns = np.arange(array.shape[1])
    for rows in row_blocks(*array.shape):
        columns = columns[(array[rows][:, columns] <= PROBA_FLOOR).all(axis=0)]
        if not len(columns):
            break
    return columns


def check_columns_against_labels(
    array: FloatArray, source: InputKind, target: LabelArray, classes: LabelArray
) -> None:
    """Warn about scores without information and about labels of impossible classes."""
    if is_constant(array):
        warn(
            "X has the same scores in every row; calibration can only learn the class frequencies",
            DegenerateScoresWarning,
        )
        return
    if source != "proba" or array.shape[1] == 1:
        return
    counts = np.bincount(target.astype(np.intp), minlength=len(classes))
    for column in zero_columns(array):
        if counts[column]:
            warn(
                f"X gives probability 0 to class {classes[column]!r} (column {column}) in every "
                f"row, although y contains it {counts[column]} times; check the column order",
                DegenerateScoresWarning,
            )


def check_predictions(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike = None,
    sample_weight: ArrayLike = None,
) -> tuple[IntArray, FloatArray, Float64Array | None, LabelArray]:
    """Check the arguments of a metric.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        Column index of each true label.
    proba : ndarray of shape (n_samples, n_columns)
        Probabilities; one column when only the positive class was given.
    weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
    """
    proba = to_numpy(_read_matrix(y_prob, "y_prob"))
    if not _plainly_probabilities(proba):
        _check_finite(proba, "y_prob")
        check_probabilities(proba, "y_prob", hint="; metrics take probabilities, not logits")
    y = check_vector(y_true, "y_true")
    check_same_length(proba.shape[0], y.shape[0], "y_prob", "y_true")
    n_classes = max(2, proba.shape[1])
    if labels is None:
        classes = classes_of(y, n_classes, "y_true", "y_prob")
    else:
        classes = check_vector(labels, "labels")
        if len(classes) != n_classes or len(np.unique(classes)) != n_classes:
            raise ValueError(
                f"labels must name the {n_classes} columns of y_prob once each; got "
                f"{describe(classes.tolist())}"
            )
    codes = encode_labels(y, classes, "y_true")
    return codes, proba, check_weight(sample_weight, len(codes)), classes
