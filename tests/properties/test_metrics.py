"""Identities of the binned errors, on arbitrary probabilities with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from calib.evaluation import (
    adaptive_calibration_error,
    average_calibration_error,
    binned_calibration_table,
    expected_calibration_error,
    maximum_calibration_error,
    signed_calibration_error,
)
from tests.support.ties import bins, modest, pairs, strategies

# small draws lack the first class now and then
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*labels are shifted by one:calib.warnings.DegenerateScoresWarning"
)


@st.composite
def multiclass(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_classes = draw(st.integers(3, 5))
    rows = st.lists(st.integers(0, 6), min_size=n_classes, max_size=n_classes).filter(any)
    counts = np.array(draw(st.lists(rows, min_size=1, max_size=30)), dtype=float)
    y = draw(st.lists(st.integers(0, n_classes - 1), min_size=len(counts), max_size=len(counts)))
    return np.array(y), counts / counts.sum(axis=1, keepdims=True)


@modest
@given(pairs(), bins, strategies)
def test_signed_parts_add_up(data, n_bins, strategy) -> None:
    y, p = data
    options = {"n_bins": n_bins, "strategy": strategy, "average": "binary"}
    over, under = signed_calibration_error(y, p, **options)
    error = expected_calibration_error(y, p, **options)
    assert over + under == pytest.approx(error, abs=1e-12)
    assert over - under == pytest.approx(p.mean() - y.mean(), abs=1e-12)


@modest
@given(multiclass(), bins)
def test_multiclass_errors_lie_in_their_ranges(data, n_bins) -> None:
    y, p = data
    n_classes = p.shape[1]
    classwise = expected_calibration_error(y, p, n_bins=n_bins, average="classwise")
    assert 0 <= classwise <= 2 / n_classes + 1e-12
    assert 0 <= adaptive_calibration_error(y, p, n_bins=n_bins) <= 1
    top = expected_calibration_error(y, p, n_bins=n_bins)
    assert top <= maximum_calibration_error(y, p, n_bins=n_bins) + 1e-12
    assert average_calibration_error(y, p, n_bins=n_bins) <= 1


@modest
@given(multiclass(), st.sampled_from(["uniform", "quantile"]), st.randoms(use_true_random=False))
def test_relabelling_classes_changes_no_classwise_error(data, strategy, random) -> None:
    y, p = data
    order = list(range(p.shape[1]))
    random.shuffle(order)
    options = {"average": "classwise", "strategy": strategy}
    first = expected_calibration_error(y, p, **options)
    second = expected_calibration_error(np.argsort(order)[y], p[:, order], **options)
    assert first == pytest.approx(second, abs=1e-12)


@modest
@given(multiclass(), bins, strategies)
def test_errors_are_those_of_the_table(data, n_bins, strategy) -> None:
    y, p = data
    options = {"n_bins": n_bins, "strategy": strategy}
    rows = binned_calibration_table(y, p, **options)
    assert rows.weight.sum() == len(y)
    error = np.nansum(rows.weight * np.abs(rows.gap)) / len(y)
    assert error == pytest.approx(expected_calibration_error(y, p, **options), abs=1e-12)
    filled = rows.weight > 0
    assert (rows.mean_prediction[filled] >= rows.left[filled] - 1e-12).all()
    assert (rows.mean_prediction[filled] <= rows.right[filled] + 1e-12).all()


@modest
@given(multiclass(), st.integers(1, 30))
def test_perfect_predictions_have_no_error(data, n_bins) -> None:
    y, p = data
    perfect = np.eye(p.shape[1])[y]
    for average in ("top_label", "classwise"):
        for strategy in ("uniform", "quantile"):
            options = {"average": average, "strategy": strategy, "n_bins": n_bins}
            assert expected_calibration_error(y, perfect, **options) == 0
