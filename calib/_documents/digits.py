"""Digits by the size of numbers: as many as their uncertainty allows, and never only zeros."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Decimals beyond which numbers are shown in units of a power of ten.
_MOST_DECIMALS = 4
#: Decimals that numbers in such units keep at most.
_DECIMALS_OF_UNITS = 2
#: A value that is larger in such units keeps its decimals instead.
_LARGEST_IN_UNITS = 1e5
#: From here on, and below its inverse, numbers are printed with an exponent.
_LARGE = 1e9
#: Leading digits up to which two digits are shown of an error or of an end.
_TWO_DIGITS = 3.5


@dataclass(frozen=True)
class Digits:
    """How the numbers of one measure are printed.

    Attributes
    ----------
    decimals, end_decimals : int
        Decimals of values and of the ends of their ranges.
    factor : float
        What numbers are multiplied with before: 100 for per cent, 1,000 for units of 1e-3.
    unit : str
        What then stands behind a number in a page: ``" %"`` or nothing.
    scale : str
        What a heading has to say of the factor, such as ``"x 1e-3"``; empty where nothing.
    """

    decimals: int = 4
    end_decimals: int = 4
    factor: float = 1.0
    unit: str = ""
    scale: str = ""

    def value(self, number: float) -> str:
        """Return a value as printed, without its unit."""
        return printed(number * self.factor, self.decimals)

    def end(self, number: float) -> str:
        """Return the end of a range as printed, without its unit."""
        return printed(number * self.factor, self.end_decimals)

    def range(self, low: float, high: float, between: str = " to ") -> str:
        """Return a range as printed."""
        return f"{self.end(low)}{between}{self.end(high)}"

    def change(self, number: float) -> str:
        """Return a difference as printed, with its sign."""
        text = self.value(number)
        return text if text.startswith("-") or text in ("0", "unknown") else f"+{text}"


def printed(number: float, decimals: int) -> str:
    """Return a number with that many decimals; 0 is "0" and nothing else rounds to zeros only."""
    if math.isnan(number):
        return "unknown"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if number == 0:
        return "0"
    if not 1 / _LARGE < abs(number) < _LARGE:
        return f"{number:.3g}"
    text = f"{number:,.{max(decimals, 0)}f}"
    if not text.strip("-0.,"):
        return f"{number:.{1 - _place(abs(number))}f}"
    return text


def _place(size: float) -> int:
    """Return how many places before the point a positive number has; of 0.05 it is -1."""
    return math.floor(math.log10(size)) + 1


def _decimals(size: float, n_digits: int) -> int:
    """Return the decimals that show so many digits of a number of that size."""
    return max(0, n_digits - _place(size)) if size > 0 and math.isfinite(size) else 0


def _of_size(size: float) -> int:
    """Return the decimals of a number: two digits if it starts with 1 to 3.5, else one."""
    if not (size > 0 and math.isfinite(size)):
        return 0
    leading = size / 10.0 ** (_place(size) - 1)
    return _decimals(size, 2 if leading <= _TWO_DIGITS else 1)


def digits_of(
    half_widths: Iterable[float],
    *,
    error: bool = False,
    percent: bool = False,
    largest: float = 0.0,
) -> Digits:
    """Return how a measure is printed whose intervals have these half widths.

    Parameters
    ----------
    half_widths : iterable of float
        Half the widths of the intervals of all models; those of 0 or without a number are left out.
    error : bool, default=False
        Whether values are errors, which show fewer digits than scores.
    percent : bool, default=False
        Whether numbers are shares that are shown in per cent.
    largest : float, default=0
        Size of the largest value; a power of ten in the heading that makes it long is left out.
    """
    widths = sorted(width for width in half_widths if 0 < width < math.inf)
    size = widths[len(widths) // 2] if widths else 0.0
    factor, unit, scale = (100.0, " %", "") if percent else (1.0, "", "")
    if size <= 0.0:
        return Digits(2 if percent else 4, 2 if percent else 4, factor, unit, scale)

    def decimals(factor: float) -> tuple[int, int]:
        ends = _of_size(size * factor)
        return (ends if error else _decimals(size * factor, 2)), ends

    if not percent and max(decimals(1.0)) > _MOST_DECIMALS:
        power = 3
        while max(decimals(10.0**power)) > _DECIMALS_OF_UNITS:
            power += 3
        if largest * 10.0**power < _LARGEST_IN_UNITS:
            factor, scale = 10.0**power, f"x 1e-{power}"
    return Digits(*decimals(factor), factor, unit, scale)
