"""The candidates, folds, pools and files of the automatic choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy.special import expit, softmax

from calib import AutoCalibrator, make_calibrator
from calib._core.estimators.folds import stratified_folds
from calib._core.scores import Scores
from calib.calibrators.auto import candidates, pooling
from tests.support.bent import bent, log_loss


def labels(n_samples, n_classes, **options):
    options = {"rank_preserving": False, **options}
    tried = candidates.strategy(n_samples, float(n_samples), n_classes, **options)
    return tuple([candidates.LABELS[place] for place in tried.rich.places])


def test_candidates_by_size():
    assert labels(1000, 2) == tuple(candidates.TWO)
    assert labels(5_000, 10) == tuple(candidates.MANY)
    assert labels(1_000, 100) == labels(500, 500) == tuple(candidates.THIN)
    assert labels(5_000, 100) == tuple(candidates.WIDE)
    assert labels(100_000, 100) == tuple(candidates.LARGE)
    assert labels(50_000, 1000) == tuple(candidates.HUGE)
    assert labels(1000, 2, rank_preserving=True) == tuple(candidates.MONOTONE_TWO)
    assert labels(1000, 7, rank_preserving=True) == tuple(candidates.MONOTONE_MANY)


@pytest.mark.parametrize("shares", [candidates.TWO, candidates.MANY, candidates.THIN,
    candidates.WIDE, candidates.LARGE, candidates.HUGE, candidates.SMALL_TWO,
    candidates.SMALL_MANY, candidates.SMALL_THIN, candidates.MONOTONE_TWO,
    candidates.MONOTONE_MANY])  # fmt: skip
def test_shares_sum_to_one(shares):
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(shares) <= set(candidates.LABELS)


def test_few_labels_a_class_must_earn_a_rich_pool():
    assert candidates.strategy(100, 100.0, 100, rank_preserving=False).margin == pytest.approx(20.0)
    assert candidates.strategy(50, 50.0, 10, rank_preserving=False).margin == pytest.approx(2.0)
    assert candidates.strategy(60, 60.0, 10, rank_preserving=False).margin == -np.inf
    assert candidates.strategy(20, 20.0, 2, rank_preserving=False).margin == -np.inf


def test_a_pull_is_that_of_normal_weights():
    rng = np.random.default_rng(1)
    logs = np.log(rng.dirichlet(np.ones(3), size=(4, 60)))
    y, weight = rng.integers(0, 3, 60), rng.uniform(0.5, 2, 60)
    centre = np.array([0.4, 0.3, 0.2, 0.1])

    def objective(w, pull):
        p = pooling.pool(list(logs), w, np)
        distance = w - centre
        return -weight @ np.log(p[np.arange(60), y]) + 0.5 * pull * distance @ distance

    for pull in (0.0, 3.0, 100.0):
        best = pooling.fit_pool(logs, y, weight, centre, pull)
        for other in rng.dirichlet(np.ones(4), size=200):
            near = best + 0.01 * (other - best)
            assert objective(best, pull) <= objective(near, pull) + 1e-6
    np.testing.assert_allclose(pooling.fit_pool(logs, y, weight, centre, 1e9), centre, atol=1e-5)


def test_large_sets_choose_on_a_subsample(monkeypatch):
    monkeypatch.setattr(candidates, "LARGE_ELEMENTS", 2_000)
    monkeypatch.setattr(candidates, "CHOICE_ELEMENTS", 1_500)
    monkeypatch.setattr(candidates, "CHOICE_ROWS", 100)
    z, y = bent(2_000, 3)
    cal = AutoCalibrator(input="logits").fit(z, y)
    assert cal.candidates_ == list(candidates.LARGE)
    assert log_loss(cal.transform(z), y) < log_loss(softmax(z, axis=1), y)


def test_one_split_judges_weights_on_other_samples(monkeypatch):
    """Calibrated scores: weights fitted and judged on the same samples would always gain."""
    monkeypatch.setattr(candidates, "LARGE_ELEMENTS", 100)
    gains = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        z = 1.5 * rng.normal(size=(400, 3))
        y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        gains.append(AutoCalibrator(input="logits").fit(z, y).gain_log_loss_.value)
    assert np.mean(gains) < 2 * np.std(gains) / np.sqrt(len(gains))


def test_pool_weights_are_those_of_a_grid():
    rng = np.random.default_rng(0)
    s = rng.normal(size=500) * 2
    y = (rng.random(500) < expit(0.6 * s)).astype(int)
    logs = np.stack([np.log(np.stack([expit(-c * s), expit(c * s)], axis=1)) for c in (0.2, 2.0)])
    one = np.ones(500)
    w = pooling.fit_pool(logs, y, one, np.array([0.5, 0.5]))
    losses = [log_loss(pooling.pool(list(logs), [1 - v, v], np), y) for v in np.linspace(0, 1, 201)]
    assert w[1] == pytest.approx(np.linspace(0, 1, 201)[np.argmin(losses)], abs=5e-3)
    assert log_loss(pooling.pool(list(logs), w, np), y) <= min(losses) + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_pool_weights_satisfy_the_optimality_conditions(seed):
    rng = np.random.default_rng(seed)
    logs = np.log(rng.dirichlet(np.ones(4), size=(6, 200)))
    y, weight = rng.integers(0, 4, 200), rng.uniform(0.5, 2, 200)
    w = pooling.fit_pool(logs, y, weight, np.full(6, 1 / 6))
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1.0)
    p = pooling.pool(list(logs), w, np)
    slope = (np.einsum("mnk,nk->mn", logs, p) - logs[:, np.arange(200), y]) @ weight / weight.sum()
    level = slope[w > 1e-6]
    assert np.ptp(level) < 1e-3
    assert slope.min() > level.mean() - 1e-3


def test_folds_share_out_weights():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 3, size=(200, 3)).astype(float)
    y = rng.integers(0, 3, size=200)
    folds = stratified_folds(Scores(z, "logits", "declared"), y, None, 5, 0)
    assert folds.weight.sum() == 200
    assert len(folds) == 5
    for code in range(3):
        per_fold = folds.weight[y[folds.rows] == code].sum(axis=0)
        assert np.ptp(per_fold) < 0.5 * per_fold.mean()
    weight = rng.uniform(0.2, 3.0, 200)
    folds = stratified_folds(Scores(z, "logits", "declared"), y, weight, 5, 0)
    np.testing.assert_allclose(folds.weight.sum(), weight.sum())
    np.testing.assert_allclose(folds.train(0) + folds.weight[:, 0], folds.total)


def test_folds_depend_on_the_seed_and_not_on_the_order():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(100, 3)), rng.integers(0, 3, 100)
    order = rng.permutation(100)

    def fold_of(z, y, seed):
        folds = stratified_folds(Scores(z, "logits", "declared"), y, None, 4, seed)
        out = np.empty(len(y), dtype=int)
        out[folds.rows] = folds.weight.argmax(axis=1)
        return out

    np.testing.assert_array_equal(fold_of(z, y, 0)[order], fold_of(z[order], y[order], 0))
    assert (fold_of(z, y, 0) != fold_of(z, y, 1)).any()
    swap = np.array([2, 0, 1])
    np.testing.assert_array_equal(fold_of(z, y, 0), fold_of(z[:, swap], np.argsort(swap)[y], 0))


ARRAYS = st_numpy.arrays(
    np.float64,
    st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    elements=st.floats(-1e6, 1e6),
)


@given(st.lists(st.lists(ARRAYS, max_size=3), max_size=4))
def test_what_was_packed_comes_back(groups):
    layout, packed = pooling.pack(groups)
    assert layout.shape == (sum(map(len, groups)), 6)
    assert packed.ndim == 1
    assert len(packed) >= 1
    for number, group in enumerate(groups):
        found = pooling.unpack(layout, packed, number)
        assert len(found) == len(group)
        for a, b in zip(found, group, strict=True):
            assert a.shape == b.shape
            np.testing.assert_array_equal(a, b)
    assert pooling.unpack(layout, packed, len(groups)) == []


def test_numbers_are_arrays_without_dimensions():
    layout, packed = pooling.pack([[1.5, np.int64(2)], []])
    assert layout.tolist() == [[0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert packed.tolist() == [1.5, 2.0]
    first, second = pooling.unpack(layout, packed, 0)
    assert (first.shape, float(first), float(second)) == ((), 1.5, 2.0)


def test_nothing_is_a_zero():
    layout, packed = pooling.pack([[], []])
    assert layout.shape == (0, 6)
    assert packed.tolist() == [0.0]


def test_type_of_the_packed_array_is_kept():
    layout, packed = pooling.pack([[np.eye(2)]])
    assert pooling.unpack(layout, packed.astype(np.float32), 0)[0].dtype == np.float32
    torch = pytest.importorskip("torch")
    (found,) = pooling.unpack(torch.as_tensor(layout), torch.as_tensor(packed), 0)
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == [[1, 0], [0, 1]]


def test_too_many_dimensions():
    with pytest.raises(AssertionError, match="4 dimensions"):
        pooling.pack([[np.zeros((1, 1, 1, 1))]])


@pytest.mark.parametrize(
    "name", ["temperature", "platt", "quadratic", "beta", "spline", "vector_scaling", "dirichlet"]
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_known_smoothing_of_the_input_is_taken_over(name, n_classes):
    z, y = bent(400, n_classes)
    p = softmax(z, axis=1)
    p[::7] = np.eye(n_classes)[p[::7].argmax(axis=1)]
    first = make_calibrator(name).fit(p, y)
    scores, classes = Scores(p, "proba", "declared"), np.arange(n_classes)

    def fitted_with(share):
        new = make_calibrator(name)
        return new.fit_scores(scores, y, None, classes=classes, input_smoothing=share)

    again = fitted_with(first.input_smoothing_)
    proba = again.fitted_map.map_rows(p, "proba")
    np.testing.assert_allclose(proba, first.transform(p), atol=1e-9)
    other = fitted_with(np.full_like(first.input_smoothing_, 0.3))
    np.testing.assert_array_equal(other.input_smoothing_, np.full_like(other.input_smoothing_, 0.3))


def test_copies_of_a_row_with_soft_targets_are_in_one_fold():
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(50, 4)), rng.dirichlet(np.ones(4), size=50)
    codes = np.repeat(np.arange(4), 50)
    scores = Scores(np.tile(z, (4, 1)), "logits", "declared")
    folds = stratified_folds(scores, codes, t.T.ravel(), 5, 0, soft=True)
    assert len(folds.rows) == 200
    np.testing.assert_allclose(folds.total, t.T.ravel()[folds.rows], atol=1e-12)
    of_rows = np.zeros((50, 5))
    np.add.at(of_rows, folds.rows % 50, folds.weight)
    np.testing.assert_allclose(np.sort(of_rows, axis=1)[:, :-1], 0.0)
    assert np.ptp(of_rows.sum(axis=0)) <= 4
    twice = stratified_folds(scores, codes, 2 * t.T.ravel(), 5, 0, soft=True)
    assert (np.count_nonzero(twice.weight, axis=1) == 2).all()
