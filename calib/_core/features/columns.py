"""Columns of tables, mappings and matrices, told apart as numbers and categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calib._border.arrays import eager, read_array, to_numpy
from calib._border.typing import ArrayLike, LabelArray


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
        return [_of_series(native[column], str(column)) for column in native.columns]
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
        if there and all(_is_number(v) for v in there):
            numbers = [float(v) if not (v is None or v != v) else np.nan for v in array]
            return FeatureColumn(name, "number", np.array(numbers, dtype=np.float64))
    plain = array.astype(object)
    missing = np.array([v is None or v != v for v in plain], dtype=bool)
    plain[missing] = None
    return FeatureColumn(name, "category", plain)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
