"""Reading what a user hands over: options, and data of any container as arrays."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from calib._border.arrays import is_foreign_array
from calib._border.typing import Array, ArrayLike, LabelArray


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
    x = eager(x)
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise ValueError(f"{name} is a sparse matrix; pass a dense array, e.g. {name}.toarray()")
    table = _read_table(x)
    if table is not None:
        return table
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: its rows have different lengths ({error})") from error


def eager(x: ArrayLike) -> ArrayLike:
    """Return lazy frames as computed ones and batches of Arrow as tables, all else as it is."""
    if isinstance(x, (np.ndarray, list, tuple, str, bytes, dict)) or np.isscalar(x):
        return x
    root, kind = type(x).__module__.partition(".")[0], type(x).__name__
    if root == "pyarrow" and kind == "RecordBatch":
        import pyarrow

        return pyarrow.Table.from_batches([x])
    if kind in ("LazyFrame", "DuckDBPyRelation") or root in ("dask", "dask_expr"):
        import narwhals as nw

        native: Any = nw.from_native(x, pass_through=True)
        return nw.to_native(native.collect()) if isinstance(native, nw.LazyFrame) else x
    return x


def _refuse_mask(name: str) -> Array:
    raise ValueError(f"{name} is a masked array; fill or drop the masked values first")


def _read_table(x: ArrayLike) -> LabelArray | None:
    """Return a table or series of any dataframe library as NumPy, None for anything else."""
    if isinstance(x, (list, tuple, str, bytes, dict)) or np.isscalar(x):
        return None
    import narwhals as nw

    native: Any = nw.from_native(x, pass_through=True, allow_series=True)
    if isinstance(native, (nw.DataFrame, nw.Series)):
        return cast(LabelArray, native.to_numpy())
    return None
