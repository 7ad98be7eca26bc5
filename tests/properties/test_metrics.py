"""Identities of the binned errors, on arbitrary probabilities with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib._core.binning import (
    cells_between,
    quantile_edges,
    tabulate,
    uniform_cells,
    uniform_edges,
)
from calib.evaluation import (
    adaptive_calibration_error,
    average_calibration_error,
    binned_calibration_table,
    expected_calibration_error,
    maximum_calibration_error,
    signed_calibration_error,
)

# small draws lack the first class now and then
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*labels are shifted by one:calib.warnings.DegenerateScoresWarning"
)

modest = settings(deadline=None, max_examples=60)
#: Arbitrary probabilities, and ones that lie on edges.
probabilities = st.one_of(
    st.floats(0, 1),
    st.integers(0, 60).map(lambda j: j / 60),
    st.sampled_from([0.0, 1.0, 0.1, 0.3, 0.7, 1 / 3]),
)
bins = st.integers(1, 40)
strategies = st.sampled_from(["uniform", "quantile"])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    p = draw(st.lists(probabilities, min_size=1, max_size=40))
    y = draw(st.lists(st.integers(0, 1), min_size=len(p), max_size=len(p)))
    return np.array(y), np.array(p)


@st.composite
def multiclass(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_classes = draw(st.integers(3, 5))
    rows = st.lists(st.integers(0, 6), min_size=n_classes, max_size=n_classes).filter(any)
    counts = np.array(draw(st.lists(rows, min_size=1, max_size=30)), dtype=float)
    y = draw(st.lists(st.integers(0, n_classes - 1), min_size=len(counts), max_size=len(counts)))
    return np.array(y), counts / counts.sum(axis=1, keepdims=True)


def table_of(data, n_bins, strategy="uniform", weight=None):
    y, p = data
    return tabulate(p, y, weight, n_bins, strategy)


@modest
@given(pairs(), bins, strategies)
def test_norms_are_ordered_and_bounded(data, n_bins, strategy) -> None:
    table = table_of(data, n_bins, strategy)
    one, two, top = (float(table.error(norm)[0]) for norm in (1, 2, "max"))
    assert 0 <= one <= two + 1e-12
    assert two <= top + 1e-12
    assert top <= 1 + 1e-12
    y, p = data
    assert one >= abs(p.mean() - y.mean()) - 1e-12


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
@given(pairs(), st.integers(1, 12), st.integers(2, 5))
def test_merging_bins_never_increases_the_error(data, n_bins, factor) -> None:
    fine, coarse = table_of(data, n_bins * factor), table_of(data, n_bins)
    assert coarse.error(1)[0] <= fine.error(1)[0] + 1e-12
    for name in ("weight", "prob", "label"):  # and a nested grid answers the coarse one exactly
        summed = getattr(fine, name).reshape(n_bins, factor).sum(axis=1)
        np.testing.assert_allclose(summed, getattr(coarse, name)[0], atol=1e-12)


@modest
@given(pairs(), bins, strategies, st.data())
def test_integer_weights_are_repetitions(data, n_bins, strategy, more) -> None:
    y, p = data
    counts = more.draw(st.lists(st.integers(0, 3), min_size=len(y), max_size=len(y)).filter(any))
    w = np.array(counts)
    weighted = table_of(data, n_bins, strategy, w.astype(float))
    repeated = table_of((np.repeat(y, w), np.repeat(p, w)), n_bins, strategy)
    np.testing.assert_array_equal(weighted.edges, repeated.edges)
    np.testing.assert_array_equal(weighted.weight, repeated.weight)
    np.testing.assert_allclose(weighted.prob, repeated.prob, atol=1e-12)


@modest
@given(pairs(), bins, strategies, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(data, n_bins, strategy, random) -> None:
    y, p = data
    order = list(range(len(y)))
    random.shuffle(order)
    first, second = (table_of(d, n_bins, strategy) for d in (data, (y[order], p[order])))
    np.testing.assert_array_equal(first.edges, second.edges)
    np.testing.assert_array_equal(first.weight, second.weight)
    np.testing.assert_allclose(first.error(1), second.error(1), atol=1e-12)


@modest
@given(pairs(), bins)
def test_ties_are_never_split(data, n_bins) -> None:
    _, p = data
    cells = cells_between(p, quantile_edges(p, n_bins))
    for value in np.unique(p):
        assert len(np.unique(cells[p == value])) == 1
    assert (np.diff(cells[np.argsort(p)]) >= 0).all()


@modest
@given(st.lists(probabilities, min_size=1, max_size=60), bins)
def test_uniform_cells_are_the_comparison_with_the_edges(values, n_bins) -> None:
    p = np.array(values)
    expected = cells_between(p, uniform_edges(n_bins))
    np.testing.assert_array_equal(uniform_cells(p, n_bins), expected)


@modest
@given(pairs(), bins, st.integers(0, 40), st.integers(0, 40))
def test_merge_equals_the_whole(data, n_bins, i, j) -> None:
    y, p = data
    i, j = sorted((i, j))
    a, b, c = (table_of((y[s], p[s]), n_bins) for s in (slice(i), slice(i, j), slice(j, None)))
    whole = table_of(data, n_bins)
    for merged in ((a + b) + c, a + (b + c), (c + b) + a):
        np.testing.assert_array_equal(merged.weight, whole.weight)
        np.testing.assert_allclose(merged.prob, whole.prob, atol=1e-12)
        np.testing.assert_array_equal(merged.label, whole.label)


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
