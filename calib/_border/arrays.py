"""Array namespaces: which library an array belongs to, and the way to and from NumPy."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from calib._border.typing import Array, ArrayLike, LabelArray, Namespace


def is_foreign_array(x: ArrayLike) -> bool:
    """Tell whether `x` is an array of another library than NumPy (torch, CuPy, ...).

    Tables and lists are not arrays; they are read by `calib._border.validation`.
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
    if array.dtype.kind == "f":
        limits = xp.finfo(reference.dtype)
        most = float(limits.max)
        if most < np.finfo(array.dtype).max:  # infinity times 0 would be no number
            array = np.clip(array, -most, most)
            if array.ndim == 0 and array:  # numbers that divide may not become 0
                size = max(abs(float(array)), float(limits.smallest_normal))
                array = np.copysign(size, array)
    if xp is np:
        return array if array.dtype.kind in "iub" else array.astype(reference.dtype, copy=False)
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
    name = str(x.dtype).rpartition(".")[2]
    return name in {"float16", "bfloat16"} or name.startswith("float8")
