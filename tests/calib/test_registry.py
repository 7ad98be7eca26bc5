"""The registry."""

from __future__ import annotations

import pytest

from calib import CALIBRATORS, TemperatureCalibrator, all_calibrators, make_calibrator
from calib.registry import Entry, name_of


def test_make_and_name() -> None:
    for name in CALIBRATORS:
        assert name_of(make_calibrator(name)) == name
    assert name_of(object()) is None
    assert make_calibrator("temperature", smoothing=True).smoothing is True


def test_filters() -> None:
    everything = all_calibrators()
    assert [name for name, _ in everything] == list(CALIBRATORS)
    assert all_calibrators(available=True) == everything
    assert all_calibrators(available=False) == []
    assert all(method.soft_targets for _, method in all_calibrators(soft_targets=True))
    assert ("temperature", TemperatureCalibrator) in everything


def test_missing_packages() -> None:
    row = Entry("calib.nowhere:Nothing", "nothing", "nobody", needs=("surely_not_installed",))
    assert not row.available
    assert row.class_name == "Nothing"


def test_unknown_names_and_parameters() -> None:
    with pytest.raises(ValueError, match="unknown calibrator 'Temperature'; known names: auto"):
        make_calibrator("Temperature")
    with pytest.raises(ValueError, match="unknown calibrator"):
        make_calibrator(["temperature"])
    with pytest.raises(TypeError, match="cv"):
        make_calibrator("temperature", cv=3)
