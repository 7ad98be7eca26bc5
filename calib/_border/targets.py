"""Targets of regressors: numbers, whatever they come in."""

from __future__ import annotations

from typing import Any

import numpy as np

from calib._border.checks import describe
from calib._border.typing import Float64Array, LabelArray


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


def _first(values: LabelArray) -> Any:
    return values.ravel()[:1].tolist()


def _is_number(value: object) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__float__")
