"""The registry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calib import CALIBRATORS, TemperatureCalibrator, all_calibrators, make_calibrator


def test_filters() -> None:
    everything = all_calibrators()
    assert [name for name, _ in everything] == list(CALIBRATORS)
    assert all_calibrators(available=True) == everything
    assert all_calibrators(available=False) == []
    assert all(method.soft_targets for _, method in all_calibrators(soft_targets=True))
    assert ("temperature", TemperatureCalibrator) in everything


def test_missing_packages() -> None:
    row = replace(
        CALIBRATORS["platt"], target="calib.nowhere:Nothing", needs=("surely_not_installed",)
    )
    assert not row.available
    assert row.class_name == "Nothing"


def test_unknown_names_and_parameters() -> None:
    with pytest.raises(ValueError, match="unknown calibrator 'Temperature'; known names: auto"):
        make_calibrator("Temperature")
    with pytest.raises(ValueError, match="unknown calibrator"):
        make_calibrator(["temperature"])
    with pytest.raises(TypeError, match="cv"):
        make_calibrator("temperature", cv=3)
