"""Maps that only order scores, fitted to collections: from sketches of a bounded size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from calib import make_calibrator
from calib.distributed import fit

pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
import dask.dataframe as dd  # noqa: E402

#: What the documentation promises.
MOST_CELLS = 65_536
METHODS = {
    "isotonic": {},
    "centred isotonic": {"centred": True},
    "venn_abers": {},
    "histogram": {},
    "histogram of equal mass": {"strategy": "quantile"},
    "scaling-binning": {"strategy": "quantile", "kind": "scaling"},
}
EVERY = pytest.mark.parametrize("name", METHODS)
MANY = 100_000


@pytest.fixture(autouse=True)
def local() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


def method(name: str) -> str:
    return {"centred isotonic": "isotonic", "scaling-binning": "histogram"}.get(
        name, name.split()[0]
    )


def sample(n: int, n_classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities (a vector for two classes), labels and integer weights."""
    rng = np.random.default_rng(seed)
    z = 2.0 * rng.normal(size=(n, n_classes))
    p, q = np.exp(z), np.exp(0.5 * z + 0.2 * np.arange(n_classes))
    q /= q.sum(axis=1, keepdims=True)
    y = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    p /= p.sum(axis=1, keepdims=True)
    return (p[:, 1] if n_classes == 2 else p), y, rng.integers(1, 4, n).astype(float)


def fit_there(
    name: str, p: np.ndarray, y: np.ndarray, cuts: Any = (), weight: Any = None, **params: Any
) -> Any:
    """Fit to a collection with these partitions."""
    names = ["p"] if p.ndim == 1 else [f"p{k}" for k in range(p.shape[1])]
    frame = pd.DataFrame(p.reshape(len(p), -1), columns=names).assign(y=y)
    if weight is not None:
        frame = frame.assign(w=weight)
    pieces = [frame.iloc[a:b] for a, b in itertools.pairwise([0, *cuts, len(frame)])]
    rows = dd.from_delayed([dask.delayed(x) for x in pieces], meta=frame.iloc[:0])
    found = fit(rows, name, label="y", scores=names, weight="w" if "w" in frame else None, **params)
    del found.feature_names_in_  # so that it maps arrays
    return found


def there(name: str, p: np.ndarray, y: np.ndarray, cuts: Any = (), weight: Any = None) -> Any:
    return fit_there(method(name), p, y, cuts, weight, **METHODS[name])


def here(name: str, p: np.ndarray, y: np.ndarray, weight: Any = None) -> Any:
    return make_calibrator(method(name), **METHODS[name]).fit(p, y, sample_weight=weight)


def check_equal(one: Any, other: Any, tolerance: float = 0.0) -> None:
    for key in one.traits.arrays:
        a, b = np.asarray(getattr(one, key)), np.asarray(getattr(other, key))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=key)


# ---------------------------------------------------------------------- scores that are told apart


@EVERY
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_distinct_scores_give_the_fit_in_memory(name, n_classes, weighted):
    p, y, w = sample(20_000, n_classes)
    weight = w if weighted else None
    smooth = name in ("centred isotonic", "scaling-binning")  # sums of fractions
    found = there(name, p, y, [0, 100, 15_000], weight)
    check_equal(found, here(name, p, y, weight), 1e-9 if smooth else 0.0)


def test_many_rows_of_few_distinct_scores_too():
    p, y, _ = sample(MANY)
    p = p.astype(np.float16)
    for name in ("isotonic", "venn_abers"):
        check_equal(there(name, p, y, [30_000, 30_001]), here(name, p, y))


# ---------------------------------------------------------------------- many distinct scores


def partitions(n: int, kind: str, rng: np.random.Generator) -> Any:
    if kind == "uneven":
        return np.sort(np.concatenate([[0, 0, n], (n * rng.random(14) ** 3).astype(int)]))
    return [n // 9, n // 2]


@EVERY
@pytest.mark.parametrize("n_classes", [2, 3])
def test_partitions_and_order_change_no_bit(name, n_classes):
    p, y, w = sample(MANY, n_classes, seed=1)
    rng = np.random.default_rng(0)
    by_class = np.argsort(y, kind="stable")  # partitions of one class
    shuffled = rng.permutation(MANY)
    first = there(name, p, y, [], w)
    for order, kind in [(by_class, "three"), (shuffled, "uneven")]:
        tolerance = 0.0
        if name == "scaling-binning":  # Platt scaling: sums of Newton steps, a start by places
            order, tolerance = np.arange(MANY), 1e-9
        cuts = partitions(MANY, kind, rng)
        check_equal(first, there(name, p[order], y[order], cuts, w[order]), tolerance)


@pytest.mark.parametrize("kind", ["one_vs_rest", "pairwise"])
def test_pairs_of_classes(kind):
    p, y, _ = sample(30_000, 4, seed=2)
    order = np.argsort(y, kind="stable")  # most partitions lack most classes
    cuts = range(3000, 30_000, 3000)
    found = fit_there("venn_abers", p[order], y[order], cuts, multiclass=kind)
    expected = make_calibrator("venn_abers", multiclass=kind).fit(p, y)
    check_equal(found, expected)
    assert found.predict_interval(p[:10]).shape == (10, 4, 2)


def rounded(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores with the smallest of their cell in place of each, and the cells.

    The grid as the documentation has it, for log-odds of at most 16: the finest of widths that
    are powers of two which fills at most so many cells.
    """
    s = np.log(p) - np.log(1.0 - p)
    assert np.abs(s).max() < 16.0
    for width in 2.0 ** np.arange(-40, 0):
        keys = np.where(s < 0, -1 - np.floor(-s / width), np.floor(s / width))
        _, cells = np.unique(keys, return_inverse=True)
        if cells.max() < MOST_CELLS:
            break
    smallest = np.full(cells.max() + 1, np.inf)
    np.minimum.at(smallest, cells, p)
    return smallest[cells], cells


@pytest.mark.parametrize("name", ["isotonic", "venn_abers"])
def test_beyond_it_is_the_fit_to_rounded_scores(name):
    p, y, _ = sample(MANY, seed=3)
    coarse, cells = rounded(p)
    assert 0.5 * MOST_CELLS <= len(np.unique(cells)) <= MOST_CELLS < len(np.unique(p))
    check_equal(there(name, p, y, [10, 70_000]), here(name, coarse, y), 1e-12)


def crowded(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return half of the scores all over the place and half in a single cell, with labels."""
    rng = np.random.default_rng(seed)
    s = np.concatenate([rng.uniform(-15, 15, MANY), 0.5 + 1e-5 * rng.random(MANY // 2)])
    p = 1.0 / (1.0 + np.exp(-s))
    inner = (s[MANY:] - 0.5) / 1e-5
    q = np.concatenate([1.0 / (1.0 + np.exp(-0.3 * s[:MANY])), 0.2 + 0.6 * (inner > 0.5)])
    return p, (rng.random(len(q)) < q).astype(int)


def joined_share(p: np.ndarray) -> float:
    """Return the largest share of the rows that lie in a cell of several distinct scores."""
    cells = rounded(p)[1]
    order = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.diff(cells[order], prepend=-1))
    low, high = (end.reduceat(p[order], starts) for end in (np.minimum, np.maximum))
    return float(np.bincount(cells)[low < high].max() / len(p))


@pytest.mark.parametrize("data", ["smooth", "crowded", "noise"])
@pytest.mark.parametrize("seed", range(3))
def test_the_isotonic_fit_is_as_near_as_the_documentation_says(data, seed):
    p, y = crowded(seed) if data == "crowded" else sample(MANY, seed=seed)[:2]
    if data == "noise":
        y = np.random.default_rng(seed).integers(0, 2, MANY)
    found = fit_there("isotonic", p, y, [len(p) // 3], smoothing=False)
    expected = make_calibrator("isotonic", smoothing=False).fit(p, y).predict_proba(p)[:, 1]
    share, order = joined_share(p), np.argsort(p)
    for scores, factor in ((rounded(p)[0], 1.0), (p, 5.0)):
        gap = (found.predict_proba(scores)[:, 1] - expected)[order]
        tail = np.abs(np.cumsum(gap)).max() / len(p)
        assert tail <= factor * share / 4.0 + 1e-12
    assert np.mean(gap**2) <= 6.25 * share
    if data == "crowded":
        assert share == pytest.approx(1 / 3, abs=0.01)
        assert tail > 0.04  # the bound is not idle


@pytest.mark.parametrize("seed", range(2))
def test_venn_abers_intervals_hardly_move(seed):
    p, y, _ = sample(2 * MANY, seed=seed)
    found, expected = there("venn_abers", p, y, [MANY]), here("venn_abers", p, y)
    grid = 1.0 / (1.0 + np.exp(-np.linspace(-5, 5, 2001)))
    gap = found.predict_interval(grid) - expected.predict_interval(grid)
    assert np.abs(gap).mean() < 1e-3
    assert np.abs(gap).max() < 0.05


@pytest.mark.parametrize("data", ["smooth", "crowded"])
def test_bins_of_equal_mass_hold_what_they_should_up_to_a_cell(data):
    p, y = crowded(0) if data == "crowded" else sample(MANY, seed=4)[:2]
    found = there("histogram of equal mass", p, y, [5000])
    share = joined_share(p)
    edges = found.edges_[0]
    cells = np.searchsorted(edges[1:-1], p, side="right")
    below = np.cumsum(np.bincount(cells, minlength=15))[:-1] / len(p)
    assert np.abs(below - np.arange(1, 15) / 15).max() <= share + 1 / len(p)
    rate = np.bincount(cells, y, minlength=15) / np.maximum(np.bincount(cells, minlength=15), 1)
    filled = np.bincount(cells, minlength=15) > 0
    np.testing.assert_allclose(found.values_[0][filled], rate[filled], rtol=1e-12)


def test_scores_of_any_size_keep_their_order():
    rng = np.random.default_rng(5)
    s = rng.normal(size=MANY) * 10.0 ** rng.uniform(-3, 3, MANY)
    s[:10] = [np.inf] * 5 + [-np.inf] * 5
    y = (s + rng.normal(size=MANY) > 0).astype(int)
    y[:10] = [1] * 5 + [0] * 5
    for name in ("isotonic", "venn_abers"):
        found = fit_there(name, s, y, [100, 5000], input="logits")
        expected = make_calibrator(name, input="logits").fit(s, y)
        gap = found.predict_proba(s)[:, 1] - expected.predict_proba(s)[:, 1]
        assert np.abs(gap).mean() < 1e-3
        assert (np.diff(found.predict_proba(np.sort(s))[:, 1]) >= 0).all()


@pytest.mark.parametrize("n_classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_auto_chooses_as_in_memory_and_fits_all_rows(n_classes):
    p, y, _ = sample(120_000, n_classes, seed=6)  # the choice is made on a part of them
    found = fit_there("auto", p, y, [0, 1000, 100_000])
    expected = make_calibrator("auto").fit(p, y)
    assert found.member_names == expected.member_names
    np.testing.assert_allclose(found.weights_, expected.weights_, rtol=1e-9)
    gap = found.predict_proba(p) - expected.predict_proba(p)
    assert np.abs(gap).mean() < 1e-3
    other = fit_there("auto", p, y, range(7, 120_000, 20_001))
    np.testing.assert_allclose(other.predict_proba(p), found.predict_proba(p), atol=1e-9)
