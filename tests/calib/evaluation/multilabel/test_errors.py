"""Errors of many labels: the averages, missing cells, weights, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib.evaluation import expected_calibration_error, multilabel_calibration_error


def sample() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    p = rng.beta(1, 4, (200, 3))
    return (rng.random(p.shape) < p**0.7).astype(float), p


def test_labels_are_binary_errors_and_macro_is_their_mean() -> None:
    y, p = sample()
    own = [expected_calibration_error(y[:, k].astype(int), p[:, k]) for k in range(3)]
    np.testing.assert_allclose(multilabel_calibration_error(y, p, average=None), own)
    assert multilabel_calibration_error(y, p, average="macro") == pytest.approx(np.mean(own))


def test_micro_takes_all_cells_as_one_sample() -> None:
    y, p = sample()
    whole = expected_calibration_error(y.ravel().astype(int), p.ravel())
    assert multilabel_calibration_error(y, p) == pytest.approx(whole)


def test_missing_cells_drop_out() -> None:
    y, p = sample()
    y[50:, 1] = np.nan
    y[:, 2] = np.nan
    errors = np.asarray(multilabel_calibration_error(y, p, average=None))
    own = expected_calibration_error(y[:50, 1].astype(int), p[:50, 1])
    assert errors[1] == pytest.approx(own)
    assert np.isnan(errors[2])
    assert multilabel_calibration_error(y, p, average="macro") == pytest.approx(errors[:2].mean())


def test_integer_weights_equal_repetition() -> None:
    y, p = sample()
    weight = np.arange(200) % 3
    rows = np.repeat(np.arange(200), weight)
    one = multilabel_calibration_error(y, p, sample_weight=weight)
    assert one == pytest.approx(multilabel_calibration_error(y[rows], p[rows]))


@pytest.mark.parametrize(
    ("y", "p", "text"),
    [
        ([[1, 0]], [[0.5]], r"y_true has shape \(1, 2\) but y_prob has shape \(1, 1\)"),
        ([[1, 0]], [[0.5, 1.5]], "y_prob must lie in"),
        ([[np.nan]], [[0.5]], "no cell of y_true is labelled"),
        ([[-1, 0]], [[0.5, 0.5]], "y_true holds -1 in 1 cells"),
    ],
)
def test_bad_inputs(y: Any, p: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        multilabel_calibration_error(y, p)
