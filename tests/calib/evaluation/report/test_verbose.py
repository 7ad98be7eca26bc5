"""What long work says of itself, and that it says nothing unless asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calib.evaluation import calibration_report, detection_report
from tests.support.detector_reports import CALIBRATORS, TEST
from tests.support.reports import two_models


def scores(**options: Any) -> Any:
    y, calibrated, sharp = two_models(0, 200, 3)
    return calibration_report(y, {"a": sharp, "b": calibrated}, n_resamples=10, **options)


def boxes(**options: Any) -> Any:
    calibrator = CALIBRATORS["platt"]
    return detection_report(*TEST, calibrator=calibrator, n_resamples=5, n_floor=5, **options)


@pytest.mark.parametrize(
    ("report", "steps"),
    [
        (scores, ["checking a", "checking b", "resampling", "measuring", "describing b"]),
        (boxes, ["calibrating", "matching boxes", "resampling images", "average precision"]),
    ],
)
def test_steps_are_said_only_if_asked_for(
    report: Callable[..., Any], steps: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    silent = report()
    assert capsys.readouterr() == ("", "")
    spoken = report(verbose=True)
    out, err = capsys.readouterr()
    assert out == ""
    said = [line.partition("] ")[2] for line in err.splitlines()]
    assert [step for step in said if step in steps] == steps
    assert str(spoken) == str(silent)
    with pytest.raises(ValueError, match="verbose"):
        report(verbose="loud")


def test_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    scores(verbose=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert " s] " not in err  # no lines beside the bar
