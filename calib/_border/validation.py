"""The border: scores and predictions are checked here, once, and every error names its argument.

Private functions behind this border receive clean arrays and never check again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calib._border.arrays import (
    LOGIT_LIMIT,
    PROBA_FLOOR,
    array_namespace,
    blocks_of,
    is_half,
    read_array,
    row_blocks,
    to_numpy,
    without_gradient,
)
from calib._border.checks import describe
from calib._border.labels import check_vector
from calib._border.typing import (
    Array,
    ArrayLike,
    Float64Array,
    FloatArray,
    InputKind,
    IntArray,
    LabelArray,
)

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
#: Numbers up to which plain Python looks at them in less time than NumPy takes to begin.
FEW = 16
#: Largest loss or confidence whose sums of squares stay finite.
LARGEST_NUMBER = 1e150


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
    array = check_numbers(x, name)
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
    for rows in blocks_of(array, array.shape[1]):
        block = _plain(array[rows], xp)
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(xp.sum(block))
        if np.isfinite(total):
            continue
        bad = to_numpy(~xp.isfinite(block))
        if bad.any():  # otherwise only the sum overflowed
            row, column = (int(i) for i in np.argwhere(bad)[0])
            value = float(block[row, column])
            place = row + rows.start
            hint = f" ({logits})" if logits and value == -np.inf else ""
            raise ValueError(
                f"{name} contains NaN or inf: {value} in row "
                f"{place if kept is None else kept[place]}, column {column + first_column}; remove "
                f"or repair such rows{hint}"
            )


def check_missing_only(
    array: Array,
    name: str,
    kept: IntArray | None = None,
    *,
    first_column: int = 0,
    names: Sequence[str] | None = None,
) -> None:
    """Raise for infinite numbers; nan stands for a missing one. `names` are those of columns."""
    array = without_gradient(array)
    xp = array_namespace(array)
    for rows in blocks_of(array, array.shape[1]):
        block = _plain(array[rows], xp)
        infinite = to_numpy(xp.isinf(block))
        if infinite.any():
            row, column = (int(i) for i in np.argwhere(infinite)[0])
            place, number = row + rows.start, column + first_column
            told = "" if names is None else f" ({names[number]!r})"
            raise ValueError(
                f"{name} contains {float(block[row, column])} in row "
                f"{place if kept is None else kept[place]}, column {number}{told}; a feature must "
                f"be finite, or nan where it is missing"
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
    for rows in blocks_of(array, array.shape[1]):
        block = _plain(array[rows], xp)
        low, high = float(xp.min(block)), float(xp.max(block))
        if low < -RANGE_TOLERANCE or high > 1 + beyond:
            raise ValueError(
                f"{name} has values outside [0, 1] (min={low:.6g}, max={high:.6g} in rows "
                f"{rows.start}..){_advice(array, name, hint)}"
            )
        if block.shape[1] == 1:
            continue
        gap = xp.abs(xp.sum(block, axis=1) - 1)
        worst = int(xp.argmax(gap))
        if float(gap[worst]) > tolerance:
            total = float(xp.sum(block[worst]))
            raise ValueError(
                f"{name} has rows that do not sum to 1 (row {worst + rows.start} sums to "
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
        f"is a probability of its own (several labels per sample), use MultilabelCalibrator and "
        f"multilabel_report"
    )


def plain_matrix(x: ArrayLike, n_columns: int) -> FloatArray | None:
    """Return what `read_matrix` makes of an array that needs no change; None if in doubt.

    To ask scikit-learn or libraries of tables about a plain array of that many columns takes longer
    than to map one row of it.
    """
    if type(x) is not np.ndarray or x.dtype.char not in "df" or not x.size:
        return None
    if x.ndim == 1 and n_columns == 1:
        return x[:, None]
    return x if x.ndim == 2 and x.shape[1] == n_columns else None


def _are_plain(array: FloatArray, source: InputKind) -> bool:
    """Return whether the full checks would accept the array; False if in doubt."""
    if array.size > FEW:
        return source == "proba" and plainly_probabilities(array)
    low, high = (0.0, 1.0) if source == "proba" else (-LOGIT_LIMIT, LOGIT_LIMIT)
    beyond = 0.5 * ROW_SUM_TOLERANCE if source == "proba" and array.shape[1] > 1 else np.inf
    for row in array.tolist():
        gap = abs(sum(row) - 1.0)
        if not (min(row) >= low and max(row) <= high and gap <= beyond):  # NaN shows in the sum
            return False
    return True


def plainly_probabilities(array: FloatArray) -> bool:
    """Return, in one pass, whether the full checks would accept the array; False if in doubt."""
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
) -> tuple[float, float] | None:
    """Raise if numbers are not finite or scores contradict what they were declared to be.

    Minus infinity is the logarithm of 0, a logit like any other; columns after the first `n_scores`
    are features. `kept` holds the numbers of the rows where some were left out, `tolerance` that of
    the row sums of the type that the scores came in. Returned are the least and the largest score
    where the checks had to find them.
    """
    scores = array if n_scores is None else array[:, :n_scores]
    if scores.shape[1] < array.shape[1]:
        check_finite(array[:, scores.shape[1] :], name, kept, first_column=scores.shape[1])
    if isinstance(scores, np.ndarray) and _are_plain(scores, source):
        return None
    if source == "proba":
        masked = "input='logits' takes minus infinity, the logit of an excluded class"
        check_finite(scores, name, kept, logits=masked)
        hint = "but input='proba'; pass input='logits' if these are logits"
        check_probabilities(scores, name, hint=hint, tolerance=tolerance)
        return None
    return check_logits(scores, name, kept)


def check_logits(
    array: Array, name: str, kept: IntArray | None = None, *, limit: float = LOGIT_LIMIT
) -> tuple[float, float]:
    """Raise unless all values are numbers, at most `limit`, or minus infinity beside one.

    Returns
    -------
    least, most : float
        Ends of the values; infinity and its negative of none.
    """
    array = without_gradient(array)
    xp = array_namespace(array)
    single = array.shape[1] == 1
    least, most = np.inf, -np.inf
    for rows in blocks_of(array, array.shape[1]):
        block = _plain(array[rows], xp)
        low, high = float(xp.min(block)), float(xp.max(block))
        least, most = min(least, low), max(most, high)
        if low >= -limit and high <= limit:
            continue
        values = to_numpy(block).astype(np.float64)
        wrong = np.isnan(values) | (values > limit)
        if single:  # log-odds of plus infinity exclude the other class
            wrong &= values != np.inf
        first = rows.start
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
    return least, most


def looks_like_probabilities(array: FloatArray) -> bool:
    """Return whether all scores lie in [0, 1] and rows of two or more columns sum to 1."""
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
    """Return whether every row holds the same scores (stops at the first that does not)."""
    return all(bool((array[rows] == array[0]).all()) for rows in row_blocks(*array.shape))


def zero_columns(array: FloatArray) -> IntArray:
    """Return the columns that are zero in every row (stops when none is left)."""
    columns = np.arange(array.shape[1])
    for rows in row_blocks(*array.shape):
        columns = columns[(array[rows][:, columns] <= PROBA_FLOOR).all(axis=0)]
        if not len(columns):
            break
    return columns


def as_numbers(values: LabelArray, name: str) -> Float64Array:
    """Return an array as float64 if it holds numbers.

    Raises
    ------
    ValueError
        For dates, durations, texts, complex numbers, records and other objects: their conversion is
        a choice of the caller, who would get nanoseconds or a parsed text without a word.
    """
    kind = values.dtype.kind
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {values.dtype}; pass its real part"
        )
    cure = {
        "M": f"subtract a start and divide by a unit, e.g. ({name} - {name}.min()) / "
        f"np.timedelta64(1, 'D')",
        "m": f"divide by a unit, e.g. {name} / np.timedelta64(1, 'D')",
        "U": f"convert texts that are numbers by {name}.astype(float)",
        "T": f"convert texts that are numbers by {name}.astype(float)",
        "S": f"convert texts that are numbers by {name}.astype(float)",
        "V": "pass one field of the records",
    }
    if kind in cure:
        raise ValueError(
            f"{name} must hold numbers; got {values.dtype} ({describe(_first(values))}): "
            f"{cure[kind]}"
        )
    if kind == "O":
        wrong = next((v for v in values.ravel() if not _is_number(v)), None)
        if wrong is not None:
            raise ValueError(
                f"{name} must hold numbers; got {type(wrong).__name__} {describe(wrong)}. Convert "
                f"it before"
            )
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers; {error}") from error


def number_vector(values: ArrayLike, name: str) -> Float64Array:
    """Return labels as finite numbers."""
    array = check_vector(values, name)
    if not len(array):
        raise ValueError(f"{name} has 0 samples; pass at least one")
    return as_numbers(array, name)


def number_matrix(values: ArrayLike, name: str) -> Float64Array:
    """Return finite numbers as a matrix; one dimension becomes one column."""
    return np.asarray(to_numpy(check_matrix(check_numbers(values, name), name)), dtype=np.float64)


def _first(values: LabelArray) -> Any:
    return values.ravel()[:1].tolist()


def _is_number(value: object) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__float__")


def check_numbers(x: ArrayLike, name: str) -> Array:
    """Return an array of floating numbers; texts and dates are none."""
    return as_floating(read_array(x, name), name)


def percent_hint(values: Float64Array) -> str:
    """Return advice for numbers that are percentages in the place of fractions."""
    percent = values.min() >= 0 and 1 < values.max() <= 100
    return "; these look like percentages: divide by 100" if percent else ""


def check_score_vector(x: ArrayLike, name: str) -> Float64Array:
    """Return a finite, non-empty vector of numbers as float64."""
    array = to_numpy(check_numbers(x, name))
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n_samples,); got shape {array.shape}")
    if len(array) == 0:
        raise ValueError(f"{name} has 0 samples; pass at least one")
    values: Float64Array = array.astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values)))
        raise ValueError(
            f"{name} contains NaN or inf: {values[row]} in row {row}; remove or repair such rows"
        )
    return values


def check_quantile_levels(levels: ArrayLike, quantiles: FloatArray, name: str) -> Float64Array:
    """Return the levels of the columns of a matrix of quantiles, called `name`.

    Raises
    ------
    ValueError
        Unless there is one per column and they ascend in (0, 1) without repetition.
    """
    rule = "levels must ascend in (0, 1) without repetition"
    if levels is None:
        raise ValueError(f"{rule}; got None: pass the level of each column of {name}")
    tau = to_numpy(read_array(levels, "levels"))
    if tau.ndim != 1 or not len(tau) or tau.dtype.kind not in "fiu" or not np.isfinite(tau).all():
        raise ValueError(f"{rule}; got {describe(levels)}")
    if not (tau.min() > 0 and tau.max() < 1):
        raise ValueError(f"{rule}; got {describe(levels)}{percent_hint(tau)}")
    if not (np.diff(tau) > 0).all():
        raise ValueError(
            f"{rule}; got {describe(levels)}; sort them together with the columns of {name}, and "
            f"drop repeated ones"
        )
    n_rows, n_columns = quantiles.shape
    if len(tau) != n_columns:
        turned = "; it looks transposed" if len(tau) == n_rows else ""
        raise ValueError(
            f"levels has {len(tau)} entries but {name} has {n_columns} columns{turned}"
        )
    return tau.astype(np.float64)
