"""The names of the registry."""

from __future__ import annotations

from calib import CALIBRATORS, make_calibrator
from calib.registry import name_of


def test_make_and_name() -> None:
    for name in CALIBRATORS:
        assert name_of(make_calibrator(name)) == name
    assert name_of(object()) is None
    assert make_calibrator("temperature", smoothing=True).smoothing is True
