"""Arrays of any library: reading them, their namespaces, their blocks of rows, their limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from calib._border.typing import Array, ArrayLike, LabelArray, Namespace

#: Smallest probability whose logarithm is taken: the smallest normal float32. A floor this far
#: below the customary 1e-7...1e-15 keeps confident errors visible (CalArena, arXiv 2605.30188).
PROBA_FLOOR = float(np.finfo(np.float32).tiny)
#: Largest logit that is calculated with; below its negative a logit is the logarithm of 0.
LOGIT_LIMIT = 1e305
#: Elements of a block: half a megabyte in float64, so that a few blocks fit in a core's cache.
BLOCK_ELEMENTS = 1 << 16
#: The same for tensors, whose operations go to several threads and take longer to begin.
TENSOR_ELEMENTS = 1 << 19


def row_blocks(
    n_rows: int, n_columns: int, *, at_least: int = 1, n_elements: int = BLOCK_ELEMENTS
) -> Iterator[slice]:
    """Yield consecutive row slices of at most `n_elements` elements, or `at_least` rows."""
    step = max(at_least, n_elements // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def blocks_of(x: Array, n_columns: int, *, at_least: int = 1) -> list[slice]:
    """Return the row slices in which an array is read of which a row makes `n_columns` numbers.

    A tensor in the memory of the host is read in blocks as well. One elsewhere is not, nor one that
    gradients go through, nor an array that cannot be written to.
    """
    if isinstance(x, np.ndarray):
        n_elements = BLOCK_ELEMENTS if x.dtype.itemsize > 4 else 2 * BLOCK_ELEMENTS
    elif getattr(getattr(x, "device", None), "type", "") == "cpu" and not x.requires_grad:
        n_elements = TENSOR_ELEMENTS
    else:
        return [slice(0, x.shape[0])]
    if 0 < x.shape[0] * n_columns <= n_elements:
        return [slice(0, x.shape[0])]
    return list(row_blocks(x.shape[0], n_columns, at_least=at_least, n_elements=n_elements))


def is_foreign_array(x: ArrayLike) -> bool:
    """Return whether `x` is an array of another library than NumPy (torch, CuPy, ...).

    Tables and lists are not arrays; `read_array` reads them.
    """
    if isinstance(x, (np.ndarray, np.generic, list, tuple)):
        return False
    root = type(x).__module__.partition(".")[0]
    return root in {"torch", "cupy", "jax", "jaxlib", "array_api_strict"} and hasattr(x, "shape")


def array_namespace(x: Array) -> Namespace:
    """Return the array-API namespace of `x`."""
    if isinstance(x, np.ndarray):
        return np
    from array_api_compat import array_namespace as compat_namespace

    return compat_namespace(x)


def to_numpy(x: Array) -> LabelArray:
    """Copy an array of any namespace to NumPy (host memory, outside any graph)."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        if is_half(x) and str(x.dtype) != "torch.float16":  # NumPy has no such type
            x = x.float()
        return cast(LabelArray, x.numpy())
    if hasattr(x, "get"):
        return cast(LabelArray, x.get())
    return np.asarray(x)


def without_gradient(x: Array) -> Array:
    """Return a view of `x` outside any autograd graph, for checks that read values."""
    return x.detach() if hasattr(x, "detach") else x


def like(value: Any, reference: Array, xp: Namespace) -> Array:
    """Bring a fitted NumPy value into the namespace, device and floating type of `reference`.

    Integer values keep an integer type, so that they can index.
    """
    array = np.asarray(value)
    if xp is np and (array.dtype == reference.dtype or array.dtype.kind in "iub"):
        return array
    if array.dtype.kind == "f":
        limits = xp.finfo(reference.dtype)
        most = float(limits.max)
        if most < np.finfo(array.dtype).max:  # infinity times 0 would be no number
            array = np.clip(array, -most, most)
            if array.ndim == 0 and array:  # numbers that divide may not become 0
                size = max(abs(float(array)), float(limits.smallest_normal))
                array = np.copysign(size, array)
    if xp is np:
        return array.astype(reference.dtype)
    from array_api_compat import device

    dtype = None if array.dtype.kind in "iub" else reference.dtype
    return xp.asarray(array, dtype=dtype, device=device(reference))


def take_columns(x: Array, order: LabelArray) -> Array:
    """Return the columns of a matrix of any namespace in another order."""
    if isinstance(x, np.ndarray):
        return np.take(x, order, axis=1)
    xp = array_namespace(x)
    from array_api_compat import device

    return xp.take(x, xp.asarray(order, device=device(x)), axis=1)


def is_half(x: Array) -> bool:
    """Return whether the elements of `x` are floats of 16 bits (float16, bfloat16) or of 8."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiub":  # the name of a type is slow
        return bool(x.dtype.kind == "f" and x.dtype.itemsize < 4)
    name = str(x.dtype).rpartition(".")[2]
    return name in {"float16", "bfloat16"} or name.startswith("float8")


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
