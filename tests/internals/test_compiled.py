"""Loops that numba compiles beside the same in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib.evaluation import CalibrationAccumulator, calibration_report
from tests.support.report import sample

COMPILE_FROM = "calib._border.optional.COMPILE_FROM"


def numbers(report: Any) -> np.ndarray:
    """Return all numbers of a report in their order."""

    def walk(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [x for part in value.values() for x in walk(part)]
        if isinstance(value, (list, tuple)):
            return [x for part in value for x in walk(part)]
        return [float(value)] if isinstance(value, (int, float)) else []

    return np.array(walk(report.to_dict()))


@pytest.mark.parametrize("n_classes", [3, 10, 120])
@pytest.mark.parametrize("kind", ["double", "single", "columns first"])
def test_sums_are_the_same_bits(n_classes: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    y, p, _ = sample(3000, n_classes)
    p[:300] = np.eye(n_classes)[y[:300]]
    p[300:310] = 1 / n_classes
    p = {"single": p.astype(np.float32), "columns first": np.asfortranarray(p)}.get(kind, p)
    sums = []
    for least in (0, np.inf):
        monkeypatch.setattr(COMPILE_FROM, least)
        batches = CalibrationAccumulator(n_classes).update(y[:7], p[:7]).update(y[7:], p[7:])
        sums.append(batches.sums.tobytes())
    assert sums[0] == sums[1]


@pytest.mark.parametrize("n_classes", [2, 3, 40])
@pytest.mark.parametrize("kind", ["plain", "weights", "groups", "bins", "models"])
def test_reports_are_the_same_but_for_rounding(
    n_classes: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    y, p, weight = sample(900, n_classes)
    options: dict[str, Any] = {
        "weights": {"sample_weight": weight},
        "groups": {"groups": np.arange(900) // 3},
        "bins": {"n_bins": 40},
    }.get(kind, {})
    models = {"a": p, "b": p[:, ::-1] * 0.1 + p * 0.9} if kind == "models" else p
    reports = []
    for least in (0, np.inf):
        monkeypatch.setattr(COMPILE_FROM, least)
        reports.append(calibration_report(y, models, n_resamples=30, **options))
    assert str(reports[0]) == str(reports[1])
    compiled, plain = map(numbers, reports)
    np.testing.assert_allclose(compiled, plain, rtol=1e-9, atol=1e-12)


def test_a_report_does_not_depend_on_what_the_process_did_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loops that round otherwise are chosen by the size of the work, the others by its sum."""
    pytest.importorskip("numba")
    y, p, _ = sample(500, 3)
    monkeypatch.setattr("calib._border.optional._met", [0.0])
    monkeypatch.setattr(COMPILE_FROM, 500 * 20 * 15)
    reports = [numbers(calibration_report(y, p, n_resamples=20)) for _ in range(4)]
    for later in reports[1:]:
        np.testing.assert_array_equal(later, reports[0])


def test_without_numba_everything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    y, p, _ = sample(300, 40)
    monkeypatch.setattr(COMPILE_FROM, np.inf)
    plain = numbers(calibration_report(y, p, n_resamples=20))
    monkeypatch.setattr(COMPILE_FROM, 0)
    monkeypatch.setattr("calib._border.optional.is_installed", lambda package: False)
    np.testing.assert_array_equal(numbers(calibration_report(y, p, n_resamples=20)), plain)
