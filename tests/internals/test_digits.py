"""Digits of numbers by their size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from tests.support.internals.documents import digits as form


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [
        (0, 3, "0"),
        (0.1234, 3, "0.123"),
        (0.0004, 3, "0.0004"),
        (-0.0004, 3, "-0.0004"),
        (0.0, 0, "0"),
        (1234.5, 1, "1,234.5"),
        (3e-30, 3, "3e-30"),
        (-3e-30, 3, "-3e-30"),
        (1e20, 3, "1e+20"),
        (math.nan, 3, "unknown"),
        (-math.inf, 3, "-inf"),
    ],
)
def test_printed(number: float, decimals: int, text: str) -> None:
    assert form.printed(number, decimals) == text


@given(st.floats(-1e300, 1e300), st.integers(0, 4))
def test_numbers_are_short_and_only_zero_is_zero(number: float, decimals: int) -> None:
    text = form.printed(number, decimals)
    assert len(text) <= 18
    value = float(text.replace(",", ""))
    assert (value == 0) == (number == 0)
    assert value == pytest.approx(number, rel=0.5, abs=0.51 * 10.0**-decimals)


@pytest.mark.parametrize(
    ("half_width", "error", "value", "end"),
    [
        (0.012, False, "0.123", "0.123"),
        (0.05, False, "0.123", "0.12"),
        (0.05, True, "0.12", "0.12"),
        (0.012, True, "0.123", "0.123"),
        (0.0, False, "0.1235", "0.1235"),
        (math.inf, False, "0.1235", "0.1235"),
    ],
)
def test_digits_by_half_width(half_width: float, error: bool, value: str, end: str) -> None:
    digits = form.digits_of([half_width], error=error)
    assert (digits.value(0.12345), digits.end(0.12345)) == (value, end)


def test_small_numbers_have_a_power_of_ten_in_the_heading() -> None:
    digits = form.digits_of([2e-5])
    assert digits.scale == "x 1e-6"
    assert digits.range(4.56e-5, 9.87e-5) == "46 to 99"
    assert form.digits_of([0.002], percent=True).range(0.912, 0.934) == "91.20 to 93.40"


def test_large_values_of_narrow_intervals_are_not_blown_up() -> None:
    digits = form.digits_of([3e-9], largest=0.693147180559)
    assert (digits.scale, digits.value(0.693147180559)) == ("", "0.6931471806")
    assert form.digits_of([3e-9], largest=2e-8).scale == "x 1e-9"


@given(
    st.floats(-1e3, 1e3) | st.sampled_from([-1e-5, 1e-5, -1e-12, 1e-12, 0.0, -0.0]),
    st.floats(1e-12, 10),
    st.booleans(),
    st.booleans(),
)
def test_only_zero_is_printed_as_zero(
    number: float, half_width: float, error: bool, percent: bool
) -> None:
    digits = form.digits_of([half_width], error=error, percent=percent, largest=abs(number))
    for text in (digits.value(number), digits.end(number), digits.change(number)):
        assert (not text.strip("+-0.,")) == (number == 0)
        assert number != 0 or text == "0"


@given(st.floats(1e-12, 10), st.booleans())
def test_a_half_width_shows_at_least_a_digit(size: float, error: bool) -> None:
    digits = form.digits_of([size], error=error)
    assert digits.decimals <= 4
    shown = float(digits.end(size).replace(",", "")) / digits.factor
    assert shown == pytest.approx(size, rel=0.15)
