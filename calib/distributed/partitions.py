"""Checked rows where they are, and sums over them by tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from calib._border import labels, validation
from calib._border.checks import describe
from calib._border.optional import require
from calib._border.typing import Float64Array, InputKind, LabelArray
from calib._core.rows import Combination, ScoredPart, Sums, added, listed
from calib._core.scores import Scores

#: Partial results that one task adds up.
FAN_IN = 8


@dataclass(frozen=True)
class ColumnNames:
    """Which columns of a frame hold what.

    Attributes
    ----------
    label : str
    scores : list of str
        In the order of the classes.
    weight : str or None
    """

    label: str
    scores: list[str]
    weight: str | None

    @property
    def names(self) -> list[str]:
        """Columns that are read."""
        return list(
            dict.fromkeys([*self.scores, self.label, *([self.weight] if self.weight else [])])
        )


def check_frame(frame: Any, purpose: str) -> Any:
    """Return a Dask DataFrame, or raise."""
    dataframe = require("dask.dataframe", extra="dask", purpose=purpose)
    if not isinstance(frame, dataframe.DataFrame):
        raise ValueError(
            f"ddf must be a Dask DataFrame (dask.dataframe.read_parquet, from_pandas); got "
            f"{describe(type(frame).__name__)}"
        )
    return frame


def check_columns(
    frame: Any, label: str, scores: str | Sequence[str], weight: str | None
) -> ColumnNames:
    """Return the columns after checking that the frame has them."""
    given: Any = label
    if isinstance(given, (list, tuple)):
        raise ValueError(
            f"label must be the name of one column of labels; got {describe(given)}. Soft targets "
            f"are fitted in memory: pass rows that fit there, and their matrix, to a calibrator"
        )
    names = [scores] if isinstance(scores, str) else list(scores)
    columns = ColumnNames(label, names, weight)
    if not names:
        raise ValueError("scores names no column; pass a name or a list of names")
    check_names(frame, columns.names)
    return columns


def check_names(frame: Any, names: Sequence[str]) -> None:
    """Raise a `ValueError` unless the collection has all columns."""
    known = set(frame.columns)
    for name in names:
        if name not in known:
            listed = describe(list(frame.columns))
            raise ValueError(f"ddf has no column {name!r}; it has {listed}")


def meta_of(frame: Any) -> Any:
    """Return a pandas frame without rows that has the columns of a collection."""
    make_meta = require("dask.dataframe.dispatch", extra="dask", purpose="calib.distributed")
    return make_meta.make_meta(frame)


def dask() -> Any:
    """Return the package, or say how to install it."""
    return require("dask", extra="dask", purpose="calib.distributed")


def tasks_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as one that makes tasks."""
    return cast(Callable[..., Any], dask().delayed(function, pure=False))


def reduce(
    parts: Sequence[Any],
    function: Callable[..., Sums],
    *arguments: Any,
    combine: Combination | None = None,
) -> Sums:
    """Apply a function to every part and combine the results by tree, always in the same order.

    Parameters
    ----------
    parts : sequence of delayed objects
    function : callable
        ``function(part, *arguments)`` returns a tuple.
    *arguments
        Further arguments, the same for all.
    combine : callable, default=None
        Makes one tuple of a list of tuples; None adds them up, entry by entry.
    """
    merge, apply = tasks_of(combine or added), tasks_of(function)
    level = [apply(part, *arguments) for part in parts]
    while len(level) > 1:
        level = [merge(level[i : i + FAN_IN]) for i in range(0, len(level), FAN_IN)]
    return cast(Sums, dask().compute(level[0])[0])


@contextmanager
def naming_partitions(frame: Any, names: Sequence[str]) -> Iterator[None]:
    """Say which partition lacks a column, where a computation inside fails for want of it."""
    try:
        yield
    except KeyError:
        lacking = tasks_of(_lacking)
        absent = dask().compute(*[lacking(part, list(names)) for part in frame.to_delayed()])
        for number, columns in enumerate(absent):
            if columns:
                raise ValueError(_absent(number, repr(columns[0]))) from None
        raise


def _absent(number: int, column: object) -> str:
    return (
        f"partition {number} (the first is 0) has no column {column}, although ddf announces it; "
        f"make all partitions alike"
    )


def _lacking(frame: Any, names: list[str]) -> list[str]:
    known = set(frame.columns)
    return [name for name in names if name not in known]


# ---------------------------------------------------------------------- checking where the rows are


def distinct_labels(frame: Any, label: str, weight: str | None = None) -> LabelArray:
    """Return the distinct labels of all rows of positive weight."""
    parts = list(enumerate(frame[[label, *([weight] if weight else [])]].to_delayed()))
    labels_there, kinds = reduce(parts, _distinct, label, weight, combine=listed)
    if not labels_there:
        raise ValueError("ddf has no rows" + (" of positive weight" if weight else ""))
    counted = Counter(kind for _, kind in kinds)
    (common, _), *others = counted.most_common()
    if others:
        number, kind = next(pair for pair in sorted(kinds) if pair[1] != common)
        raise ValueError(
            f"partition {number} (the first is 0): column {label!r} holds {kind}, where other "
            f"partitions hold {common}; make all partitions alike"
        )
    return np.unique(np.array(labels_there))


def _distinct(numbered: tuple[int, Any], label: str, weight: str | None) -> Sums:
    number, frame = numbered
    with naming(number):
        frame, _ = weighted(frame, weight)
        if not len(frame):
            return [], []
        labels = np.unique(labels_of(frame, label))
        kind = {"U": "text", "O": "text", "M": "datetimes", "m": "timedeltas"}
        return labels.tolist(), [(number, kind.get(labels.dtype.kind, "numbers"))]


@contextmanager
def naming(number: int) -> Iterator[None]:
    """Say in which partition something was wrong."""
    try:
        yield
    except KeyError as error:
        raise ValueError(_absent(number, error)) from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"partition {number} (the first is 0): {error}") from error


def labels_of(frame: Any, label: str) -> LabelArray:
    """Return labels as an array of their natural type, none of them missing."""
    column = frame[label]
    if column.isna().any():
        row = int(np.argmax(column.isna().to_numpy()))
        raise ValueError(f"column {label!r} has no value in row {row}")
    values = column.to_numpy()
    if values.dtype.kind == "O":
        values = np.array(values.tolist())
    return labels.check_vector(values, label)


def numbers_in(frame: Any, names: Sequence[str], *, logits: bool = False) -> LabelArray:
    """Return columns as a floating matrix; a single floating type is kept.

    Logits may be minus infinity, a single column of log-odds infinite at either end.
    """
    from pandas.api.types import is_numeric_dtype

    for name in names:
        if not is_numeric_dtype(frame[name].dtype):
            raise ValueError(f"column {name!r} is not numeric: its type is {frame[name].dtype}")
        values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~np.isfinite(values)
        if logits:
            bad &= np.isnan(values) | ((values > 0) & (len(names) > 1))
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(f"column {name!r} has {frame[name].iloc[row]} in row {row}")
    kinds = {frame[name].dtype for name in names}
    single = kinds <= {np.dtype(np.float32), np.dtype(np.float16)}
    out: LabelArray = frame[list(names)].to_numpy(dtype=np.float32 if single else np.float64)
    return out


def weights_of(frame: Any, name: str) -> Float64Array:
    """Return a column of weights, which may all be 0."""
    weight = numbers_in(frame, [name])[:, 0].astype(np.float64)
    if (weight < 0).any():
        row = int(np.argmax(weight < 0))
        raise ValueError(f"column {name!r} (weights) has {weight[row]} in row {row}")
    return weight


def weighted(frame: Any, name: str | None) -> tuple[Any, Float64Array | None]:
    """Return the rows of positive weight and their weights, None where there are none to read."""
    if name is None or not len(frame):
        return frame, None
    weight = weights_of(frame, name)
    return (frame, weight) if weight.all() else (frame[weight > 0], weight[weight > 0])


def check_part(
    number: int, frame: Any, columns: ColumnNames, classes: LabelArray, source: InputKind
) -> ScoredPart:
    """Check one partition and return its rows of positive weight."""
    with naming(number):
        frame, weight = weighted(frame, columns.weight)
        if not len(frame):
            empty = Scores(np.empty((0, len(columns.scores))), source, "logits")
            return ScoredPart(empty, np.empty(0, dtype=np.intp), weight)
        matrix = numbers_in(frame, columns.scores, logits=source == "logits")
        validation.check_scores(matrix, source, "scores")
        codes = labels.encode_labels(labels_of(frame, columns.label), classes, columns.label)
        return ScoredPart(Scores(matrix, source, "logits"), codes, weight)
