"""What fitted arrays have to be: shape, range and order, declared beside the method that fits them.

A file holds numbers that somebody may have changed. Whatever a calibrator declares here is true of
every fit, so that a loaded map that keeps it gives probabilities wherever it is applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from calib._border.typing import LabelArray

#: A length, the name of one, or the name of one with what is added to it.
Length: TypeAlias = int | str | tuple[str, int]
#: Largest size of a number that a map multiplies scores by; beyond it sums overflow.
LARGEST = 1e300
#: Rounding that an order or a sum may show.
ROUNDING = 1e-9


@dataclass(frozen=True)
class FittedArray:
    """Declaration of one fitted value.

    Attributes
    ----------
    shape : tuple of int, str or (str, int)
        Length of every axis; ``()`` is a number. A name stands for a size of the calibrator
        (``"classes"``, ``"problems"``) or, where it has none of that name, for one length that all
        arrays share. ``("bins", 1)`` is one more than ``"bins"``.
    low, high : float
        Range of the values, ends included.
    above : float or None
        Bound that every value exceeds.
    ascending : bool
        Whether values ascend along the last axis, repetitions allowed.
    total : float or None
        Sum along the last axis.
    integer : bool
        Whether values are integers.
    empty : bool
        Whether an axis may have length 0.
    """

    shape: tuple[Length, ...] = ()
    low: float = -LARGEST
    high: float = LARGEST
    above: float | None = None
    ascending: bool = False
    total: float | None = None
    integer: bool = False
    empty: bool = False

    def of_shape(self, *shape: Length) -> FittedArray:
        """Return the same declaration for another shape."""
        return replace(self, shape=shape)

    def check(self, name: str, value: Any, sizes: dict[str, int]) -> None:
        """Raise a `ValueError` unless `value` is as declared.

        Parameters
        ----------
        name : str
        value : number or ndarray
        sizes : dict of str to int
            Known lengths; those that this array settles are added.
        """
        array = np.asarray(value)
        if array.dtype.kind not in ("iu" if self.integer else "fiu"):
            kind = "integers" if self.integer else "numbers"
            raise ValueError(f"{name} must hold {kind}; got {array.dtype}")
        self._check_shape(name, array.shape, sizes)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
        if array.size:
            self._check_range(name, array)
        if self.ascending and array.shape[-1] > 1:
            steps = np.diff(array, axis=-1)
            if (steps < -ROUNDING * np.maximum(1.0, np.abs(array[..., 1:]))).any():
                raise ValueError(f"{name} must ascend")
        if self.total is not None:
            gap = np.abs(array.sum(axis=-1) - self.total)
            if (gap > ROUNDING * array.shape[-1]).any():
                raise ValueError(f"{name} must sum to {self.total:g}")

    def _check_shape(self, name: str, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
        wanted = []
        for axis, length in enumerate(self.shape):
            key, more = length if isinstance(length, tuple) else (length, 0)
            if isinstance(key, str):
                if key not in sizes and axis < len(shape):
                    sizes[key] = shape[axis] - more
                key = sizes.get(key, -1)
            wanted.append(key + more)
        if list(shape) != wanted or (0 in shape and not self.empty):
            raise ValueError(f"{name} must have shape {tuple(wanted)}; got {shape}")

    def _check_range(self, name: str, array: LabelArray) -> None:
        least, most = array.min(), array.max()
        if least < self.low or most > self.high:
            value = least if least < self.low else most
            raise ValueError(f"{name} must lie in [{self.low:g}, {self.high:g}]; got {value:g}")
        if self.above is not None and least <= self.above:
            raise ValueError(f"{name} must be > {self.above:g}; got {least:g}")


#: A share of the uniform distribution, a probability, or a weight of one.
SHARE = FittedArray(low=0.0, high=1.0)
#: A temperature or another unit of scores: small enough for large scores, and log-odds over it
#: do not overflow.
POSITIVE = FittedArray(low=1e-305, high=np.inf)
#: Any number that multiplies or moves scores.
NUMBER = FittedArray()


def check_arrays(
    values: Mapping[str, Any], declared: Mapping[str, FittedArray], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Raise a `ValueError` unless every value is as declared; return all lengths."""
    known = dict(sizes)
    for name, value in values.items():
        if name not in declared:
            raise ValueError(f"{name} is not declared")
        declared[name].check(name, value, known)
    return known
