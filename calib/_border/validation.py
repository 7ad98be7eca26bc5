"""The border: scores and predictions are checked here, once, and every error names its argument.

Private functions behind this border receive clean arrays and never check again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from calib._border.arrays import (
    array_namespace,
    is_half,
    to_numpy,
    without_gradient,
)
from calib._border.columns import (
    check_overlap,
    column_names,
    named_positive,
    order_of,
    told_classes,
)
from calib._border.labels import (
    check_same_length,
    check_vector,
    check_weight,
    column_codes,
    positive_rows,
)
from calib._border.reading import eager, read_array
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
from calib._core.advice import current_door, shown
from calib._core.links import LOGIT_LIMIT, PROBA_FLOOR
from calib._core.scores import row_blocks
from calib._core.suspicion import suspicion
from calib.warnings import DegenerateScoresWarning

#: How far a row of probabilities may be from summing to 1: covers float32 softmax over thousands
#: of classes and numbers printed with four decimals.
ROW_SUM_TOLERANCE = 1e-3
#: The same for half precision, and for floats of 8 bits the share that rounding may take from a
#: number and the amount that it may take from one near 0.
HALF_TOLERANCE = 1e-2
ROUNDING_OF_8_BITS = {"float8_e4m3": (2.0**-4, 2.0**-10), "float8_e5m2": (2.0**-3, 2.0**-17)}
#: Rows that are looked at to find out what refused numbers are.
ADVICE_ROWS = 10_000
#: How far beyond [0, 1] rounding may push a probability.
RANGE_TOLERANCE = 1e-6


def as_floating(array: Array, name: str) -> Array:
    """Return the array with a real floating type; integers and booleans become float64.

    Texts and dates are no numbers, even where they could be converted.
    """
    if not isinstance(array, np.ndarray):
        xp = array_namespace(array)
        if xp.isdtype(array.dtype, "complex floating"):
            raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
        floating = xp.isdtype(array.dtype, "real floating") or is_half(array)
        return array if floating else xp.astype(array, xp.float64)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind in "MmV":
        what = {"M": "datetimes", "m": "timedeltas", "V": "a structured array"}[array.dtype.kind]
        advice = (
            "; pass its fields as columns (from numpy.lib.recfunctions import "
            "structured_to_unstructured)"
            if array.dtype.kind == "V"
            else ""
        )
        raise ValueError(f"{name} must hold numbers; got {what} ({array.dtype}){advice}")
    if array.dtype.kind == "f":
        return array if array.dtype.itemsize <= 8 else array.astype(np.float64)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    texts = array.dtype.kind in "UST"
    if texts or any(isinstance(value, (str, bytes)) for value in array.flat):
        what = f"texts ({array.dtype})" if texts else "objects among which are texts"
        raise ValueError(
            f"{name} must hold numbers; got {what}; convert them to floats if they are numerals"
        )
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:  # TypeError for objects, ValueError for texts
        raise type(error)(f"{name} must hold numbers; {error}") from error


def check_matrix(x: ArrayLike, name: str, *, finite: bool = True) -> Array:
    """Return `x` as a floating matrix (n_samples, n_columns); 1-D becomes one column.

    The array is copied only where its type has to change. Without `finite`, its values are left to
    `check_scores`, which knows where minus infinity has a meaning.
    """
    array = read_matrix(x, name)
    if finite:
        check_finite(array, name)
    return array


def read_matrix(x: ArrayLike, name: str) -> Array:
    array = as_floating(read_array(x, name), name)
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


def check_finite(
    array: Array,
    name: str,
    kept: IntArray | None = None,
    *,
    first_column: int = 0,
    logits: str = "",
) -> None:
    """Raise for NaN and inf; `kept` holds the numbers of the rows where some were left out.

    `logits` is what to do with minus infinity where the numbers could be logits.
    """
    array = without_gradient(array)
    xp = array_namespace(array)
    whole = not isinstance(array, np.ndarray)
    blocks = [slice(None)] if whole else row_blocks(*array.shape)
    for rows in blocks:
        block = _plain(array[rows], xp)
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(xp.sum(block))
        if np.isfinite(total):
            continue
        bad = to_numpy(~xp.isfinite(block))
        if bad.any():  # otherwise only the sum overflowed
            row, column = (int(i) for i in np.argwhere(bad)[0])
            value = float(block[row, column])
            place = row + (rows.start or 0)
            hint = f" ({logits})" if logits and value == -np.inf else ""
            raise ValueError(
                f"{name} contains NaN or inf: {value} in row "
                f"{place if kept is None else kept[place]}, column {column + first_column}; remove "
                f"or repair such rows{hint}"
            )


def _plain(array: Array, xp: Any) -> Array:
    """Return the array in a floating type that can be calculated with."""
    return xp.astype(array, xp.float32) if is_half(array) else array


def row_sum_tolerance(array: Array) -> float:
    """Return how far a row of probabilities of this floating type may be from summing to 1."""
    if not is_half(array):
        return ROW_SUM_TOLERANCE
    dtype = str(array.dtype)
    for name, (relative, absolute) in ROUNDING_OF_8_BITS.items():
        if name in dtype:
            return min(0.5, relative + absolute * int(array.shape[1]))
    return HALF_TOLERANCE


def check_probabilities(
    array: Array, name: str, *, hint: str, tolerance: float | None = None
) -> None:
    """Raise unless all values are probabilities and (for two or more columns) rows sum to 1.

    `tolerance` is that of the row sums; None takes it from the floating type.
    """
    array = without_gradient(array)
    xp = array_namespace(array)
    tolerance = row_sum_tolerance(array) if tolerance is None else tolerance
    beyond = tolerance if tolerance > ROW_SUM_TOLERANCE else RANGE_TOLERANCE
    whole = not isinstance(array, np.ndarray)
    for rows in [slice(None)] if whole else row_blocks(*array.shape):
        block = _plain(array[rows], xp)
        low, high = float(xp.min(block)), float(xp.max(block))
        if low < -RANGE_TOLERANCE or high > 1 + beyond:
            raise ValueError(
                f"{name} has values outside [0, 1] (min={low:.6g}, max={high:.6g} in rows "
                f"{rows.start or 0}..){_advice(array, name, hint)}"
            )
        if block.shape[1] == 1:
            continue
        gap = xp.abs(xp.sum(block, axis=1) - 1)
        worst = int(xp.argmax(gap))
        if float(gap[worst]) > tolerance:
            total = float(xp.sum(block[worst]))
            raise ValueError(
                f"{name} has rows that do not sum to 1 (row {worst + (rows.start or 0)} sums to "
                f"{total:.6g}){_advice(array, name, hint)}"
            )


def _advice(array: Array, name: str, hint: str) -> str:
    """Return the cure that fits what the first rows of refused probabilities look like."""
    hint = hint if hint.startswith(";") else f" {hint}"
    seen = np.asarray(to_numpy(array[:ADVICE_ROWS]), dtype=np.float64)
    low, high = float(seen.min()), float(seen.max())
    single = seen.shape[1] == 1
    if -0.01 < low and high < 1.01 and (low < 0 or high > 1):
        bounded = f"np.clip({name}, 0, 1)"
        return f"; if this is rounding, pass {bounded}{'' if single else ' with rows summing to 1'}"
    if single:
        if low >= 0 and high <= 100:
            return f"; divide by 100 if these are percentages{hint}"
        if high <= 0:
            return f"; pass np.exp({name}) if these are logarithms of probabilities{hint}"
        return hint
    sums = seen.sum(axis=1)
    constant = float(np.median(sums))
    if low >= 0 and constant > 1.5 and np.abs(sums - constant).max() <= 0.011 * constant:
        kind = "percentages" if abs(constant - 100) < 1.5 else "shares of a constant"
        divisor = "100" if kind == "percentages" else f"{constant:.6g}"
        return f"; all rows sum to about {divisor}, so these are {kind}: divide by {divisor}"
    if high <= RANGE_TOLERANCE and np.abs(np.exp(seen).sum(axis=1) - 1).max() < 0.01:
        way = " or input='logits'" if "input=" in hint else ""
        return f"; these are log-probabilities: pass np.exp({name}){way}"
    if low < 0 or high > 1:
        many = "; divide by the row sums if these are counts or unnormalised probabilities"
        return f"{hint}{many if low >= 0 else ''}"
    if np.abs(sums - 1).max() < 0.02:
        return (
            f"; this looks like half precision or rounded numbers: divide by the row sums, "
            f"{name} / {name}.sum(axis=1, keepdims=True)"
        )
    return (
        f"{hint}; divide by the row sums if these are unnormalised probabilities; if every column "
        f"is a probability of its own (several labels per sample, one against the rest), treat "
        f"the columns one by one"
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


def check_scores(
    array: Array,
    source: InputKind,
    name: str,
    n_scores: int | None = None,
    *,
    kept: IntArray | None = None,
    tolerance: float | None = None,
) -> None:
    """Raise if numbers are not finite or scores contradict what they were declared to be.

    Minus infinity is the logarithm of 0, a logit like any other; columns after the first `n_scores`
    are features. `kept` holds the numbers of the rows where some were left out, `tolerance` that of
    the row sums of the type that the scores came in.
    """
    scores = array if n_scores is None else array[:, :n_scores]
    if scores.shape[1] < array.shape[1]:
        check_finite(array[:, scores.shape[1] :], name, kept, first_column=scores.shape[1])
    if source == "proba":
        masked = "input='logits' takes minus infinity, the logit of an excluded class"
        check_finite(scores, name, kept, logits=masked)
        hint = "but input='proba'; pass input='logits' if these are logits"
        check_probabilities(scores, name, hint=hint, tolerance=tolerance)
        return
    check_logits(scores, name, kept)


def check_logits(
    array: Array, name: str, kept: IntArray | None = None, *, limit: float = LOGIT_LIMIT
) -> None:
    """Raise unless all values are numbers, at most `limit`, or minus infinity beside one."""
    array = without_gradient(array)
    xp = array_namespace(array)
    whole = not isinstance(array, np.ndarray)
    single = array.shape[1] == 1
    for rows in [slice(None)] if whole else row_blocks(*array.shape):
        block = _plain(array[rows], xp)
        low, high = float(xp.min(block)), float(xp.max(block))
        if low >= -limit and high <= limit:
            continue
        values = to_numpy(block).astype(np.float64)
        wrong = np.isnan(values) | (values > limit)
        if single:  # log-odds of plus infinity exclude the other class
            wrong &= values != np.inf
        first = rows.start or 0
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            value = float(values[row, column])
            place = row + first
            what = "NaN or inf" if not np.isfinite(value) else "logits beyond 1e305"
            cure = (
                "remove or repair such rows (minus infinity is allowed: it excludes a class)"
                if not np.isfinite(value)
                else "divide all scores by the same number"
            )
            raise ValueError(
                f"{name} contains {what}: {value} in row "
                f"{place if kept is None else kept[place]}, column {column}; {cure}"
            )
        if not single:
            empty = np.flatnonzero((values < -limit).all(axis=1))
            if len(empty):
                place = int(empty[0]) + first
                raise ValueError(
                    f"{name} excludes every class in row {place if kept is None else kept[place]} "
                    f"(all logits are minus infinity); at least one logit of a row must be finite"
                )


def looks_like_probabilities(array: FloatArray) -> bool:
    """Tell whether all scores lie in [0, 1] and rows of two or more columns sum to 1."""
    for rows in row_blocks(*array.shape):
        block = array[rows]
        if block.min() < -RANGE_TOLERANCE or block.max() > 1 + RANGE_TOLERANCE:
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
    array: FloatArray,
    source: InputKind,
    target: LabelArray,
    weight: Float64Array | None,
    classes: LabelArray,
) -> str | None:
    """Warn about scores without information and about labels of impossible classes.

    Returns what else speaks against the match of scores and labels, to be said after the fit.
    """
    name = current_door().scores or "X"
    if is_constant(array):
        warn(
            f"{name} has the same scores in every row; calibration can only learn the class "
            f"frequencies",
            DegenerateScoresWarning,
        )
        return None
    if source == "proba" and array.shape[1] > 1:
        counts = np.bincount(target.astype(np.intp), minlength=len(classes))
        for column in zero_columns(array):
            if counts[column]:
                warn(
                    f"{name} gives probability 0 to class {shown(classes[column])} (column "
                    f"{column}) in every row, although y contains it {counts[column]} times; check "
                    f"{current_door().check}",
                    DegenerateScoresWarning,
                )
    return suspicion(array, source, target, weight, classes, "X")


def in_class_order(
    y_prob: ArrayLike, labels: LabelArray | None, name: str, *, listed: bool = False
) -> LabelArray:
    """Return predictions as they came, but with their columns in the order of the classes.

    Columns change places only in a table whose names are the labels; one column that is named like
    the first of two classes becomes the probability of the second.

    Parameters
    ----------
    y_prob : array-like of shape (n_samples,) or (n_samples, n_columns)
    labels : ndarray or None
        Labels that occur, whose sorted order is wanted, or None where there are none.
    name : str
        Of the predictions.
    listed : bool, default=False
        Whether `labels` holds every class once, in the wanted order.
    """
    table = eager(y_prob)
    array = to_numpy(read_array(table, name))
    names = column_names(table)
    if names is None or labels is None:
        return array
    classes = labels if listed else np.unique(labels)
    if len(names) == 1:
        first = len(classes) == 2 and named_positive(names[0], classes) == 0
        return np.asarray(1.0 - array) if first else array
    told = told_classes(names, classes)
    if told is None:
        check_overlap(names, classes, "y_true", name)
        return array
    order = order_of(told, classes if listed else np.sort(told))
    return array if order is None else np.take(array, order, axis=1)


def check_predictions(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike = None,
    pos_label: object = None,
    sample_weight: ArrayLike = None,
    name: str = "y_prob",
) -> tuple[IntArray, FloatArray, Float64Array | None, LabelArray]:
    """Check the arguments of a metric.

    Columns are returned in the order of the classes: names of a table decide, see
    `settle_classes`. Rows of weight 0 are not looked at; they have code 0.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        Column index of each true label.
    proba : ndarray of shape (n_samples, n_columns)
        Probabilities; one column when only the positive class was given.
    weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
    """
    table = eager(y_prob)
    proba = to_numpy(read_matrix(table, name))
    kept = positive_rows(sample_weight, len(proba))
    part = proba if kept is None else proba[kept]
    if not _plainly_probabilities(part):
        check_finite(part, name, None if kept is None else np.flatnonzero(kept))
        check_probabilities(part, name, hint="; metrics take probabilities, not logits")
    y = check_vector(y_true, "y_true", kept)
    check_same_length(proba.shape[0], y.shape[0], name, "y_true")
    codes, classes, order = column_codes(
        y,
        kept,
        proba.shape[1],
        column_names(table),
        labels=labels,
        pos_label=pos_label,
        name="y_true",
        columns_of=name,
        turn=True,
    )
    if order is not None:
        proba = np.take(proba, order, axis=1)
    if kept is not None and not _plainly_probabilities(proba[~kept]):
        proba = np.where(kept[:, None], proba, 1.0 / len(classes)).astype(proba.dtype)
    return codes, proba, check_weight(sample_weight, len(codes)), classes


def check_both_predictions(
    y_true: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    *,
    labels: ArrayLike,
    pos_label: object,
    sample_weight: ArrayLike,
) -> list[tuple[IntArray, FloatArray, Float64Array | None, LabelArray]]:
    """Check two predictions of the same samples, with the same positive class of two."""
    checked = []
    for name, y_prob in (("y_prob_before", before), ("y_prob_after", after)):
        checked.append(
            check_predictions(
                y_true,
                y_prob,
                labels=labels,
                pos_label=pos_label,
                sample_weight=sample_weight,
                name=name,
            )
        )
        classes = checked[0][3]
        if len(classes) == 2 and read_array(eager(after), "y_prob_after").shape[1:] in (
            (),
            (1,),
            (2,),
        ):
            pos_label = classes[1]
    return checked
