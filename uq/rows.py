"""Scores computed block by block, for arrays of any library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calib._border.arrays import array_namespace, is_half, row_blocks
from calib._border.checks import describe
from calib._border.typing import Array

#: Largest temperature, and one over the smallest.
LARGEST_TEMPERATURE = 1e100


def check_temperature(temperature: object) -> float:
    """Return a temperature as a finite float above 0."""
    number = isinstance(temperature, (int, float, np.number)) and not isinstance(temperature, bool)
    if not number or not 0 < float(temperature) < np.inf:  # type: ignore[arg-type]
        raise ValueError(f"temperature must be a finite number > 0; got {describe(temperature)}")
    if not 1 / LARGEST_TEMPERATURE <= float(temperature) <= LARGEST_TEMPERATURE:  # type: ignore[arg-type]
        raise ValueError(
            f"temperature must lie in [{1 / LARGEST_TEMPERATURE:g}, {LARGEST_TEMPERATURE:g}]; got "
            f"{describe(temperature)}"
        )
    return float(temperature)  # type: ignore[arg-type]


def log_sum_exp(logits: Array, xp: Any, temperature: float = 1.0) -> Array:
    """Return ``T log sum_k exp(z_k / T)`` of every row without overflow."""
    peak = xp.max(logits, axis=1, keepdims=True)
    total = xp.sum(xp.exp((logits - peak) / temperature), axis=1, keepdims=True)
    return (peak + temperature * xp.log(total))[:, 0]


def by_rows(array: Array, function: Callable[[Array, Any], Array]) -> Array:
    """Apply a function to blocks of rows and join the results."""
    xp = array_namespace(array)
    with np.errstate(over="ignore"):  # a difference beyond the largest number is that of certainty
        parts = [function(working(array[rows], xp), xp) for rows in blocks(array, array.shape[1])]
    return parts[0] if len(parts) == 1 else xp.concat(parts)


def blocks(array: Array, n_columns: int) -> list[slice]:
    """Return row blocks that fit a core's cache; tensors of other libraries go in one piece."""
    if not isinstance(array, np.ndarray):
        return [slice(None)]
    return list(row_blocks(array.shape[0], n_columns))


def working(block: Array, xp: Any) -> Array:
    """Return a block in the floating type that is computed in."""
    return xp.astype(block, xp.float32) if is_half(block) else block
