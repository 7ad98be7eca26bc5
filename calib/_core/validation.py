"""The border: everything a user hands over is read, checked and named here, once.

Private functions behind this border receive clean arrays and never check again.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from calib._core.links import PROBA_FLOOR
from calib._core.namespace import (
    array_namespace,
    is_foreign_array,
    is_half,
    to_numpy,
    without_gradient,
)
from calib._core.scores import row_blocks
from calib._core.typing import (
    Array,
    ArrayLike,
    Float64Array,
    FloatArray,
    InputKind,
    IntArray,
    LabelArray,
    Namespace,
)

#: How far a row of probabilities may be from summing to 1: covers float32 softmax over thousands
#: of classes and numbers printed with four decimals. Half precision gets ten times as much.
ROW_SUM_TOLERANCE = 1e-3
#: How far beyond [0, 1] rounding may push a probability.
RANGE_TOLERANCE = 1e-6


class CalibrationWarning(UserWarning):
    """Base of the warnings about scores or labels that look wrong but may be meant."""


class ProbabilitiesAsLogitsWarning(CalibrationWarning):
    """Scores declared as logits look like probabilities."""


class DegenerateScoresWarning(CalibrationWarning):
    """Scores carry no information, or contradict a label outright."""


def describe(value: object) -> str:
    """Describe a received value shortly enough for an error text."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_option(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise unless `value` is one of the allowed ones (``True`` is not ``1``)."""
    if not any(type(value) is type(option) and value == option for option in allowed):
        options = ", ".join(repr(option) for option in allowed)
        raise ValueError(f"{name} must be one of {options}; got {describe(value)}")


def check_integer(name: str, value: object, *, low: int) -> int:
    """Return `value` as an int that is at least `low`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} must be an integer >= {low}; got {describe(value)}")
    if value < low:
        raise ValueError(f"{name} must be >= {low}; got {value}")
    return int(value)


def check_fraction(name: str, value: object) -> float:
    """Return `value` as a float strictly between 0 and 1."""
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number)):
        raise ValueError(f"{name} must be a number in (0, 1); got {describe(value)}")
    if not 0 < float(value) < 1:
        raise ValueError(f"{name} must lie in (0, 1); got {value}")
    return float(value)


def read_array(x: ArrayLike, name: str) -> Array:
    """Read lists, arrays, tensors and tables into an array; NumPy unless it was a tensor.

    Raises
    ------
    ValueError
        For ``None``, sparse matrices, ragged lists, and (from tables) columns without numbers.
    """
    if x is None:
        raise ValueError(f"Expected array-like (array or non-string sequence), got None for {name}")
    if isinstance(x, np.ndarray):
        return np.asarray(x) if not np.ma.isMaskedArray(x) else _refuse_mask(name)
    if is_foreign_array(x):
        return x
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise ValueError(f"{name} is a sparse matrix; pass a dense array, e.g. {name}.toarray()")
    table = _read_table(x)
    if table is not None:
        return table
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: its rows have different lengths ({error})") from error


def _refuse_mask(name: str) -> Array:
    raise ValueError(f"{name} is a masked array; fill or drop the masked values first")


def _read_table(x: ArrayLike) -> LabelArray | None:
    """Return a table or series of any dataframe library as NumPy, None for anything else."""
    if isinstance(x, (list, tuple, str, bytes, dict)) or np.isscalar(x):
        return None
    import narwhals as nw

    native: Any = nw.from_native(x, pass_through=True, allow_series=True)
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    if isinstance(native, (nw.DataFrame, nw.Series)):
        return cast(LabelArray, native.to_numpy())
    return None


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
        import warnings

        from sklearn.exceptions import DataConversionWarning

        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected. Please change the "
            f"shape of {name} to (n_samples,), for example using ravel().",
            DataConversionWarning,
            stacklevel=4,
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


def check_columns_against_labels(
    array: FloatArray, source: InputKind, target: LabelArray, classes: LabelArray
) -> None:
    """Warn about scores without information and about labels of impossible classes."""
    import warnings

    if is_constant(array):
        warnings.warn(
            "X has the same scores in every row; calibration can only learn the class frequencies",
            DegenerateScoresWarning,
            stacklevel=4,
        )
        return
    if source != "proba" or array.shape[1] == 1:
        return
    counts = np.bincount(target.astype(np.intp), minlength=len(classes))
    for column in zero_columns(array):
        if counts[column]:
            warnings.warn(
                f"X gives probability 0 to class {classes[column]!r} (column {column}) in every "
                f"row, although y contains it {counts[column]} times; check the column order",
                DegenerateScoresWarning,
                stacklevel=4,
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


def namespace_and_columns(array: Array) -> tuple[Namespace, int]:
    """Return the namespace of a checked matrix and its number of classes."""
    return array_namespace(array), max(2, int(array.shape[1]))
