"""Slices of a brain template, half to fit and half to judge: the numbers that are promised."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.special import softmax

from calib import DenseCalibrator
from calib.evaluation import dense_report

pytestmark = pytest.mark.shared_data

#: Log loss with every cell: the value, and how far it may be off; None where lower is as good.
PROMISED = {
    "temperature": (0.10768, 1e-4),
    "vector_scaling": (0.10658, 1e-4),
    "matrix_scaling": (0.10546, 1e-4),
    "isotonic": (0.10627, None),
    "auto": (0.10530, None),
}
FAST = [method for method in PROMISED if method != "auto"]


class Slices(NamedTuple):
    """Logits and labels of even slices, which are fitted, and of odd ones."""

    fit_logits: Any
    fit_labels: Any
    logits: Any
    labels: Any


@pytest.fixture(scope="module")
def slices(shared_data: Path) -> Slices:
    with np.load(shared_data / "multilabel_and_shapes" / "mni_slices.npz") as file:
        x, y = file["logits"].astype(np.float32), file["labels"]
    return Slices(x[::2], y[::2], x[1::2], y[1::2])


def mapped(slices: Slices, method: str, samples: int | None) -> Any:
    cal = DenseCalibrator(method, ignore_index=255, samples_per_image=samples)
    cal.fit(slices.fit_logits, slices.fit_labels)
    return cal.transform(slices.logits)


@pytest.mark.parametrize("method", [*FAST, pytest.param("auto", marks=pytest.mark.slow)])
def test_log_loss_of_slices(method: str, slices: Slices) -> None:
    models = {"every": mapped(slices, method, None), "drawn": mapped(slices, method, 4096)}
    report = dense_report(slices.labels, models, ignore_index=255)
    promised, tolerance = PROMISED[method]
    loss = report.models["every"].measures["log_loss"].value
    assert loss <= promised + (tolerance or 0.0)
    if tolerance is not None:
        assert loss >= promised - tolerance
    assert report.models["drawn"].measures["log_loss"].value <= promised + 5e-4
    assert report.n_cells == 427_074


def test_slices_are_the_units_of_intervals(slices: Slices) -> None:
    proba = mapped(slices, "temperature", None)
    models = {"raw": softmax(slices.logits.astype(np.float64), axis=1), "temperature": proba}
    report = dense_report(slices.labels, models, ignore_index=255)
    gap = report.models["temperature"].measures["confidence_gap"]
    assert gap.standard_deviation == pytest.approx(0.00080, rel=0.2)
    seen = slices.labels != 255
    error = proba.max(axis=1)[seen] - (proba.argmax(axis=1) == slices.labels)[seen]
    assert gap.standard_deviation > 2.5 * error.std() / np.sqrt(error.size)
    assert report.models["temperature"].sums[:, 0].sum() == seen.sum()
    assert report.models["raw"].is_beyond_chance
    assert report.differences["temperature"]["log_loss"].high < -0.3
