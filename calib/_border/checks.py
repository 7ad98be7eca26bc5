"""Checks of options and numbers at the border; every error names its argument."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from calib._border.words import did_you_mean


def describe(value: object) -> str:
    """Describe a received value shortly enough for an error text."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_option(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise unless `value` is one of the allowed ones (``True`` is not ``1``)."""
    if not any(type(value) is type(option) and value == option for option in allowed):
        options = ", ".join(repr(option) for option in allowed)
        hint = did_you_mean(value, allowed)
        raise ValueError(f"{name} must be one of {options}; got {describe(value)}{hint}")


def check_integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return `value` as an int that is at least `low`, and at most `high`."""
    if not is_integer(value):
        raise ValueError(f"{name} must be an integer >= {low}; got {describe(value)}")
    if value < low:
        raise ValueError(f"{name} must be >= {low}; got {value}")
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high:,}; got {describe(int(value))}")
    return int(value)


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number of Python or NumPy; ``True`` is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is one number; truth values are none."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def check_number(name: str, value: object) -> float:
    """Return `value` as a float; NaN is no number."""
    if not is_number(value) or np.isnan(value):
        raise ValueError(f"{name} must be a number; got {describe(value)}")
    return float(value)


def check_iou(name: str, value: object, *, one: bool) -> float:
    """Return `value` as a float from 0 to 1; whether it may be `one` is for the caller to say."""
    span = "[0, 1]" if one else "[0, 1)"
    if not is_number(value):
        raise ValueError(f"{name} must be a number in {span}; got {describe(value)}")
    if not 0 <= float(value) <= 1 or (value == 1 and not one):
        raise ValueError(f"{name} must lie in {span}; got {value}")
    return float(value)


def check_fraction(name: str, value: object) -> float:
    """Return `value` as a float strictly between 0 and 1."""
    if not is_number(value):
        raise ValueError(f"{name} must be a number in (0, 1); got {describe(value)}")
    if not 0 < float(value) < 1:
        percent = "; divide by 100 if this is a percentage" if 1 < float(value) <= 100 else ""
        raise ValueError(f"{name} must lie in (0, 1); got {value}{percent}")
    return float(value)
