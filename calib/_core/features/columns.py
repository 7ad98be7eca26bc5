"""Columns of tables, mappings and matrices, told apart as numbers and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calib._border.arrays import eager, read_array, to_numpy
from calib._border.checks import describe, is_integer, is_number
from calib._border.labels import check_same_length
from calib._border.typing import ArrayLike, LabelArray
from calib._border.words import did_you_mean


@dataclass(frozen=True, eq=False)
class FeatureColumn:
    """One column.

    Attributes
    ----------
    name : str
        Name in the table; ``"column 3"`` in a matrix.
    kind : {"number", "category"}
        Texts, truth values and categories are categories.
    values : ndarray of shape (n_samples,)
        Float64 with nan for missing numbers; of a category objects, with None for missing ones.
    """

    name: str
    kind: Literal["number", "category"]
    values: LabelArray


def feature_columns(table: ArrayLike, name: str) -> list[FeatureColumn]:
    """Return the columns of what describes rows.

    Parameters
    ----------
    table : table, mapping of str to 1-D arrays, or array-like of shape (n_samples, n_columns)
        One dimension is one column.
    name : str
        What to call it in errors.

    Returns
    -------
    columns : list of FeatureColumn

    Raises
    ------
    ValueError
        If it is empty, has more than two dimensions, or its columns differ in length.
    """
    table = eager(table)
    if isinstance(table, Mapping) and not hasattr(table, "nnz"):
        columns = [_column(str(key), read_array(values, name)) for key, values in table.items()]
        lengths = {len(column.values) for column in columns}
        if len(lengths) > 1:
            raise ValueError(f"{name} has columns of different lengths: {sorted(lengths)}")
    else:
        columns = _of_table(table, name)
    if not columns:
        raise ValueError(f"{name} has no columns")
    return columns


def _of_table(table: Any, name: str) -> list[FeatureColumn]:
    import narwhals as nw

    native: Any = nw.from_native(table, eager_only=True, pass_through=True, allow_series=True)
    if isinstance(native, nw.Series):
        return [_of_series(native, str(native.name or name))]
    if isinstance(native, nw.DataFrame):
        return [
            _of_series(series, str(column))
            for column, series in zip(native.columns, native.iter_columns(), strict=True)
        ]
    array = to_numpy(read_array(table, name))
    if array.ndim == 1:
        return [_column(name, array)]
    if array.ndim != 2:
        raise ValueError(f"{name} must have one or two dimensions; got shape {array.shape}")
    return [_column(f"column {place}", array[:, place]) for place in range(array.shape[1])]


def _of_series(series: Any, name: str) -> FeatureColumn:
    numeric = series.dtype.is_numeric()
    if numeric:
        import narwhals as nw

        return _column(name, series.cast(nw.Float64()).to_numpy())
    return _column(name, np.array(series.to_list(), dtype=object))


def _column(name: str, values: Any) -> FeatureColumn:
    array = to_numpy(values)
    if array.ndim != 1:
        raise ValueError(f"column {name!r} must have one dimension; got shape {array.shape}")
    if array.dtype.kind in "fiu":
        return FeatureColumn(name, "number", array.astype(np.float64))
    if array.dtype.kind == "O":
        there = [v for v in array if not (v is None or v != v)]
        if there and all(is_number(v) and not isinstance(v, np.bool_) for v in there):
            numbers = [float(v) if not (v is None or v != v) else np.nan for v in array]
            return FeatureColumn(name, "number", np.array(numbers, dtype=np.float64))
    plain = array.astype(object)
    missing = np.array([v is None or v != v for v in plain], dtype=bool)
    plain[missing] = None
    return FeatureColumn(name, "category", plain)


def chosen_columns(X: Any, features: Any) -> Any:
    """Return the columns of `X` that a calibrator reads beside scores.

    Parameters
    ----------
    X : table, mapping of str to arrays, or array of shape (n_samples, n_columns)
    features : "all", callable, or sequence of str or int
        ``"all"``, names or positions of columns, or a function of `X` that returns a table or an
        array with a row per sample.

    Returns
    -------
    columns : table of the kind of `X`, or ndarray of shape (n_samples, n_features)

    Raises
    ------
    ValueError
        If `features` is none of these, names columns that `X` lacks, or returns something else.
    """
    if callable(features):
        made = eager(features(X))
        array = made if _is_table(made) else to_numpy(read_array(made, "features(X)"))
        array = array[:, None] if getattr(array, "ndim", 2) == 1 else array
        if getattr(array, "ndim", 2) != 2:
            raise ValueError(
                f"features(X) must return a table or a matrix; got shape {array.shape}"
            )
        return array
    if isinstance(features, str) and features != "all":
        raise ValueError(
            f"features must be 'all', a list of names or positions of columns, or a function of X; "
            f"got {features!r}. For a single column pass [{features!r}]"
        )
    X = eager(X)
    if isinstance(X, Mapping) and not hasattr(X, "nnz"):
        columns = feature_columns(X, "X")
        names = [column.name for column in columns]
        values = [columns[place].values for place in feature_places(names, features)]
        kinds = {value.dtype for value in values}
        return np.stack(values if len(kinds) == 1 else [v.astype(object) for v in values], axis=1)
    if _is_table(X):
        import narwhals as nw

        frame = nw.from_native(X, eager_only=True)
        names = [str(name) for name in frame.columns]
        places = feature_places(names, features)
        return frame.select([frame.columns[place] for place in places]).to_native()
    array = to_numpy(read_array(X, "X"))
    if array.ndim != 2:
        raise ValueError(
            f"features= needs a table or a matrix X; got shape {array.shape}. Pass a function "
            f"of X that returns the features"
        )
    return array[:, feature_places(array.shape[1], features)]


def feature_places(names: list[str] | int, features: Any) -> list[int]:
    """Return the places of columns that are named, or given by positions, or all.

    Parameters
    ----------
    names : list of str, or int
        Names of the columns, or how many there are without names.
    features : "all" or sequence of str or int
    """
    n_columns = names if isinstance(names, int) else len(names)
    if isinstance(features, str):
        return list(range(n_columns))
    if not isinstance(features, Sequence) and not isinstance(features, np.ndarray):
        raise ValueError(
            f"features must be 'all', a list of names or positions of columns, or a function of X; "
            f"got {describe(features)}"
        )
    places = []
    for feature in features:
        if isinstance(feature, str):
            if isinstance(names, int):
                raise ValueError(
                    f"features names the column {feature!r}, but X has no column names; pass "
                    f"positions, or a table"
                )
            if feature not in names:
                hint = did_you_mean(feature, tuple(names))
                raise ValueError(f"features names {feature!r}, which X lacks{hint}")
            places.append(names.index(feature))
        elif is_integer(feature):
            if not -n_columns <= feature < n_columns:
                raise ValueError(
                    f"features holds position {feature}, but X has {n_columns} columns"
                )
            places.append(int(feature) % n_columns)
        else:
            raise ValueError(f"features holds {describe(feature)}: pass names or positions")
    if not places:
        raise ValueError("features is empty; name at least one column, or pass None")
    if len(set(places)) < len(places):
        raise ValueError(f"features names a column twice: {describe(list(features))}")
    return places


def beside_scores(scores: Any, names: Sequence[str], features: Any) -> Any:
    """Return score columns with features behind them: a table if these are one, else a matrix.

    Raises
    ------
    ValueError
        If there are not as many rows, or a feature has the name of a score column.
    """
    scores = scores[:, None] if scores.ndim == 1 else scores
    check_same_length(len(scores), len(features), "X", "features(X)")
    if not _is_table(features):
        array = np.asarray(features)
        if array.dtype.kind in "USO":
            scores = scores.astype(object)
        return np.concatenate([scores, array], axis=1)
    import narwhals as nw

    frame = nw.from_native(features, eager_only=True)
    names = list(names)[-scores.shape[1] :]
    taken = set(names) & {str(name) for name in frame.columns}
    if taken:
        raise ValueError(f"a feature is called {sorted(taken)[0]!r}, as a score is; rename it")
    columns = {
        name: nw.new_series(name, column, backend=frame.implementation)
        for name, column in zip(names, np.ascontiguousarray(scores.T), strict=True)
    }
    made = nw.from_dict(columns, backend=frame.implementation)
    plain = frame.rename({name: str(name) for name in frame.columns if str(name) != name})
    native = nw.to_native(plain)
    if hasattr(native, "reset_index"):
        plain = nw.from_native(native.reset_index(drop=True), eager_only=True)
    return nw.to_native(nw.concat([made, plain], how="horizontal"))


def _is_table(x: Any) -> bool:
    return hasattr(x, "columns") or hasattr(x, "column_names")
