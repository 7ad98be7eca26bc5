"""Tables of bins: edges, ties, weights, merging, and identities on arbitrary data."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from calib._core.binning import (
    BinTable,
    cells_between,
    quantile_edges,
    tabulate,
    tabulate_classes,
    uniform_cells,
    uniform_edges,
)
from tests.support.ties import bins, modest, pairs, probabilities, strategies


def random_pairs(rng: np.random.Generator, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    p = rng.random(n)
    return p, rng.random(n) < p


@pytest.mark.parametrize("n_bins", [1, 2, 3, 7, 10, 15, 49, 100, 500])
def test_uniform_cells_compare_exactly_with_the_edges(n_bins: int) -> None:
    edges = uniform_edges(n_bins)
    near = np.concatenate([edges, np.nextafter(edges, 2), np.nextafter(edges, -1)])
    near = near[(near >= 0) & (near <= 1)]
    cells = uniform_cells(near, n_bins)
    for value, cell in zip(near, cells, strict=True):
        assert edges[cell] <= value
        assert value < edges[cell + 1] or cell == n_bins - 1
    np.testing.assert_array_equal(cells, cells_between(near, edges))


def test_first_and_last_bin() -> None:
    cells = uniform_cells(np.array([0.0, 0.5, 1.0, -1e-9, 1 + 1e-9]), 2)
    np.testing.assert_array_equal(cells, [0, 1, 1, 0, 1])


@pytest.mark.parametrize(("fine", "coarse"), [(600, 15), (1000, 10), (49, 7), (900, 100)])
def test_equal_width_grids_nest_exactly(fine: int, coarse: int) -> None:
    assert Fraction(fine, coarse).denominator == 1
    np.testing.assert_array_equal(uniform_edges(fine)[:: fine // coarse], uniform_edges(coarse))


@pytest.mark.parametrize(("n", "n_bins"), [(10, 3), (600, 15), (7, 7), (3, 5), (11, 4)])
def test_quantile_blocks_without_ties(n: int, n_bins: int) -> None:
    values = np.random.default_rng(0).permutation(np.linspace(0.01, 0.99, n))
    edges = quantile_edges(values, n_bins)
    counts = np.bincount(cells_between(values, edges), minlength=n_bins)
    size, larger = divmod(n, n_bins)
    expected = np.full(n_bins, size) + (np.arange(n_bins) < larger)
    if n >= n_bins:
        np.testing.assert_array_equal(counts, expected)
    else:
        assert sorted(counts[counts > 0]) == [1] * n


def test_ties_go_to_the_upper_bin_together() -> None:
    values = np.array([0.1, 0.5, 0.5, 0.5, 0.9, 0.95])
    counts = np.bincount(cells_between(values, quantile_edges(values, 2)), minlength=2)
    np.testing.assert_array_equal(counts, [3 - 2, 5])
    constant = np.full(20, 0.3)
    counts = np.bincount(cells_between(constant, quantile_edges(constant, 4)), minlength=4)
    assert (counts > 0).sum() == 1


@pytest.mark.parametrize("n_bins", [1, 2, 5, 15])
def test_integer_weights_repeat_rows(n_bins: int, rng: np.random.Generator) -> None:
    values = rng.integers(0, 30, 200) / 30
    weight = rng.integers(0, 4, 200)
    weighted = quantile_edges(values, n_bins, weight.astype(float))
    np.testing.assert_array_equal(weighted, quantile_edges(np.repeat(values, weight), n_bins))


def test_fractional_weights_do_not_depend_on_their_scale(rng: np.random.Generator) -> None:
    values, weight = rng.random(300), rng.random(300)
    first = quantile_edges(values, 15, weight)
    np.testing.assert_array_equal(first, quantile_edges(values, 15, weight * 0.37))
    tenth = np.full(300, 0.1)  # sums of 0.1 are inexact, the cuts must not notice
    np.testing.assert_array_equal(quantile_edges(values, 15, tenth), quantile_edges(values, 15))


@pytest.mark.parametrize("weighted", [False, True])
def test_merge_is_associative_commutative_and_equals_the_whole(
    weighted: bool, rng: np.random.Generator
) -> None:
    p, y = random_pairs(rng)
    w = rng.random(len(p)) if weighted else None
    parts = [
        tabulate(p[s], y[s], None if w is None else w[s], 10, "uniform")
        for s in (slice(0, 100), slice(100, 130), slice(130, None))
    ]
    whole = tabulate(p, y, w, 10, "uniform")
    a, b, c = parts
    for merged in ((a + b) + c, a + (b + c), c + a + b):
        for name in ("weight", "prob", "label"):
            np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-13)


def test_different_edges_do_not_merge(rng: np.random.Generator) -> None:
    p, y = random_pairs(rng)
    with pytest.raises(ValueError, match="different edges"):
        tabulate(p, y, None, 10, "uniform") + tabulate(p, y, None, 5, "uniform")
    with pytest.raises(TypeError):
        tabulate(p, y, None, 10, "uniform") + 1


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_tables_equal_one_table_per_column(
    strategy: str, weighted: bool, rng: np.random.Generator
) -> None:
    proba = rng.dirichlet(np.ones(4), 300)
    codes = rng.integers(0, 4, 300)
    w = rng.integers(1, 4, 300).astype(float) if weighted else None
    together = tabulate_classes(proba, codes, w, 7, strategy)
    for k in range(4):
        alone = tabulate(proba[:, k], codes == k, w, 7, strategy)
        np.testing.assert_array_equal(together.edges[k], alone.edges[0])
        for name in ("weight", "prob", "label"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(alone, name)[0])


def test_summaries_by_hand() -> None:
    table = BinTable(
        uniform_edges(3)[None],
        np.array([[2.0, 0.0, 2.0]]),
        np.array([[0.4, 0.0, 1.8]]),
        np.array([[1.0, 0.0, 1.0]]),
    )
    np.testing.assert_allclose(table.gap, [[-0.3, np.nan, 0.4]])
    np.testing.assert_allclose(table.mean_prediction, [[0.2, np.nan, 0.9]])
    np.testing.assert_allclose(table.observed_rate, [[0.5, np.nan, 0.5]])
    np.testing.assert_allclose(table.error(1), [0.35])
    np.testing.assert_allclose(table.error(2), [np.sqrt(0.125)])
    np.testing.assert_allclose(table.error("max"), [0.4])
    np.testing.assert_allclose(table.mean_gap(), [0.35])
    np.testing.assert_allclose(np.concatenate(table.signed_parts()), [0.2, 0.15])


def test_a_table_without_samples_has_no_error() -> None:
    zero = np.zeros((1, 3))
    table = BinTable(uniform_edges(3)[None], zero, zero, zero)
    assert np.isnan([table.error(1), table.error(2), table.error("max"), table.mean_gap()]).all()


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
