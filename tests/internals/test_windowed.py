"""The windowed error: window sums, clusters, gradient, ties, weights, and the published form."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from calib._core.scores import Scores
from calib.calibrators.h_calibration.canonical import read_sample
from calib.calibrators.h_calibration.order_preserving import (
    MapValues,
    SampleMap,
    apply_map,
    mixed_with_temperature,
    single_temperature,
)
from calib.calibrators.h_calibration.windowed import (
    N_CLUSTERS,
    PUBLISHED_RULE,
    WINDOW,
    Events,
    WindowRule,
    Windows,
    cluster_starts,
    sorted_error,
)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def problem(n: int = 400, n_classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(n, n_classes))
    return z, (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)


# ----------------------------------------------------------------------------- the published form


def published_error(p: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Evaluate the published loss as published: one sort, convolution and clustering a class.

    Fifteen centres start at random events of a random subset, every cluster is an indicator over
    all events, and the gradient runs back through the convolution.
    """
    rng = np.random.default_rng(0)
    n_classes = p.shape[1]
    kernel = np.ones(WINDOW + 1) / (WINDOW + 1)
    total, gradient = 0.0, np.zeros_like(p)
    for left_out in range(n_classes):
        rows = np.flatnonzero(y != left_out)
        q, o = p[rows].ravel(), (y[rows, None] == np.arange(n_classes)).ravel()
        order = np.argsort(np.log(q + 1e-20))
        q, o = q[order], o[order]
        mean = np.convolve(q * (1 - o) - (1 - q) * o, kernel, mode="same")
        excess = np.maximum(np.abs(mean) - 1e-20, 0)
        drawn = rng.choice(q, min(len(q), 256 * N_CLUSTERS), replace=False)
        centres = rng.choice(drawn, N_CLUSTERS, replace=False)
        for _ in range(25):
            near = np.abs(drawn[:, None] - centres).argmin(axis=1)
            centres = np.array(
                [drawn[near == b].mean() if (near == b).any() else c for b, c in enumerate(centres)]
            )
        near = np.abs(q[:, None] - centres).argmin(axis=1)
        share = np.zeros_like(q)
        for b in range(N_CLUSTERS):
            inside = (near == b) * 1.0
            share += inside / (N_CLUSTERS * (inside.sum() + 1e-5))
        total += float((share * excess).sum()) / n_classes
        slope = np.convolve(share * np.sign(mean), kernel, mode="same") / n_classes
        part = np.empty_like(q)
        part[order] = slope
        gradient[rows] += part.reshape(len(rows), n_classes)
    return total, gradient


def leave_one_out(p: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    n_classes = p.shape[1]
    events = Events(
        np.eye(n_classes)[y].ravel(), codes=np.repeat(y, n_classes), n_classes=n_classes
    )
    return events.error(p.ravel(), PUBLISHED_RULE)


@pytest.mark.shared_data
def test_published_numbers_on_real_logits(densenet: dict[str, np.ndarray]) -> None:
    p = softmax(densenet["logits_val"].astype(float) / 2.5)
    y = densenet["labels_val"].astype(int)
    by_class, slope = leave_one_out(p, y)
    pooled, _ = Events(np.eye(10)[y].ravel()).error(p.ravel(), PUBLISHED_RULE)
    assert 1e5 * by_class == pytest.approx(999, rel=0.02)
    assert 1e5 * pooled == pytest.approx(995, rel=0.02)
    published, published_slope = published_error(p, y)
    assert by_class == pytest.approx(published, rel=0.2)  # its clusters start at random
    a, b = slope, published_slope.ravel()
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.85


@pytest.mark.shared_data
def test_ten_times_faster_than_the_published_form(densenet: dict[str, np.ndarray]) -> None:
    p = softmax(densenet["logits_val"].astype(float) / 2.5)
    y = densenet["labels_val"].astype(int)
    events = Events(np.eye(10)[y].ravel())
    seconds = []
    for call in (
        lambda: events.error(p.ravel(), WindowRule()),
        lambda: leave_one_out(p, y),
        lambda: published_error(p, y),
    ):
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            call()
            best = min(best, time.process_time() - start)
        seconds.append(best)
    ours, ours_by_class, published = seconds
    assert published / ours > 10, seconds
    assert published / ours_by_class > 4, seconds


# ----------------------------------------------------------------------------- pieces


@pytest.mark.parametrize("n", [1, 5, 11, 12, 40])
@pytest.mark.parametrize("window", [0, 2, 10])
def test_window_sums_equal_direct_sums(n: int, window: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    half = window // 2
    direct = [values[max(0, j - half) : j + half + 1].sum() for j in range(n)]
    windows = Windows(n, None, window)
    np.testing.assert_allclose(windows.sums(values), direct, atol=1e-12)
    np.testing.assert_array_equal(
        windows.length, [len(values[max(0, j - half) : j + half + 1]) for j in range(n)]
    )
    weighted = Windows(n, np.ones(n), window)
    np.testing.assert_allclose(weighted.sums(values), direct, atol=1e-12)
    np.testing.assert_allclose(weighted.length, windows.length, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_adjoint_is_the_transpose(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.2, 30, size=60) if weighted else None
    windows = Windows(60, weight, 10)
    a, b = rng.normal(size=(2, 60))
    assert windows.sums(a) @ b == pytest.approx(a @ windows.adjoint(b), rel=1e-12)


def test_clusters_are_nearest_centres_and_about_geometric() -> None:
    rng = np.random.default_rng(0)
    p = np.sort(rng.beta(0.1, 1, size=20_000))
    bounds = cluster_starts(p, None)
    centres = np.array([p[a:b].mean() for a, b in itertools.pairwise(bounds)])
    assert (np.diff(centres) > 0).all()
    assert centres[4] < 1e-2 * centres[-1]
    np.testing.assert_array_equal(cluster_starts(p, np.full(20_000, 3.0)), bounds)
    few = cluster_starts(np.array([0.1, 0.1, 0.9]), None)
    assert few[0] == 0
    assert few[-1] == 3
    assert (np.diff(few) >= 0).all()


@pytest.mark.parametrize("rule", [WindowRule(20), WindowRule(20, margin=0.5), PUBLISHED_RULE])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_equals_a_finite_difference(rule: WindowRule, weighted: bool) -> None:
    rng = np.random.default_rng(1)
    m = 300
    p = np.sort(rng.uniform(0.02, 0.98, size=m))
    residual = p - (rng.random(m) < p)
    weight = rng.integers(1, 4, size=m).astype(float) if weighted else None
    mass = None if weight is None else weight * rng.uniform(1, 5, size=m)
    _, gradient = sorted_error(p, residual, weight, mass, rule)
    step = 1e-7  # in the residuals: clusters and tolerance stay as they are
    for j in rng.choice(m, 40, replace=False):
        up, down = residual.copy(), residual.copy()
        up[j] += step
        down[j] -= step
        difference = (
            sorted_error(p, up, weight, mass, rule)[0]
            - sorted_error(p, down, weight, mass, rule)[0]
        ) / (2 * step)
        assert gradient[j] == pytest.approx(difference, rel=1e-6, abs=1e-10)


def test_leave_one_out_is_the_mean_of_its_parts() -> None:
    z, y = problem()
    p = softmax(z)
    error, gradient = leave_one_out(p, y)
    parts, slopes = [], np.zeros_like(p)
    for k in range(5):
        rows = y != k
        one, slope = Events(np.eye(5)[y[rows]].ravel()).error(p[rows].ravel(), PUBLISHED_RULE)
        parts.append(one)
        slopes[rows] += slope.reshape(-1, 5) / 5
    assert error == pytest.approx(np.mean(parts), rel=1e-12)
    np.testing.assert_allclose(gradient, slopes.ravel(), atol=1e-15)


# ----------------------------------------------------------------------------- identities


def test_perfect_and_constant_predictions() -> None:
    y = np.random.default_rng(0).permutation(np.arange(2000) % 4)
    one_hot = np.eye(4)[y]
    assert Events(one_hot.ravel()).error(one_hot.ravel(), WindowRule(margin=0.0))[0] == 0
    assert leave_one_out(one_hot, y)[0] < 1e-15
    constant = np.full(8000, 0.25)  # one tie group: its mean residual is 0
    assert Events(one_hot.ravel()).error(constant, WindowRule(margin=0.0))[0] < 1e-15


@pytest.mark.parametrize("rule", [WindowRule(30), PUBLISHED_RULE])
def test_weight_equals_repetition_and_order_does_not_matter(rule: WindowRule) -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200).round(2)  # with ties
    o = (rng.random(200) < p).astype(float)
    w = rng.integers(1, 4, size=200)
    error, gradient = Events(o, w.astype(float)).error(p, rule)
    many, many_gradient = Events(np.repeat(o, w)).error(np.repeat(p, w), rule)
    assert error == pytest.approx(many, rel=1e-12)
    starts = np.cumsum(w) - w
    np.testing.assert_allclose(gradient, np.add.reduceat(many_gradient, starts), atol=1e-15)
    order = rng.permutation(200)
    again, again_gradient = Events(o[order], w[order].astype(float)).error(p[order], rule)
    assert again == pytest.approx(error, rel=1e-12)
    np.testing.assert_allclose(again_gradient, gradient[order], atol=1e-15)


PRIORS = {
    "2, unequal": ((0.9, 0.1), 20_000),
    "2, equal": ((0.5, 0.5), 20_000),
    "3, unequal": ((0.8, 0.15, 0.05), 20_000),
    "10, equal": ((0.1,) * 10, 5_000),
}


def calibrated(prior: tuple[float, ...], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, len(prior))) + np.log(prior)
    return z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def best_temperature(z: np.ndarray, y: np.ndarray, *, by_class: bool, rule: WindowRule) -> float:
    grid = np.exp(np.linspace(np.log(0.7), np.log(1.5), 77))
    errors = []
    for t in grid:
        p = softmax(z / t)
        if by_class:
            errors.append(leave_one_out(p, y)[0])
        else:
            columns = slice(1, 2) if p.shape[1] == 2 else slice(None)
            o = np.eye(p.shape[1])[y][:, columns].ravel()
            errors.append(Events(o).error(p[:, columns].ravel(), rule)[0])
    return float(grid[int(np.argmin(errors))])


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIORS)
def test_pooled_form_is_unbiased_at_any_prior(name: str) -> None:
    prior, n = PRIORS[name]
    found = [
        best_temperature(*calibrated(prior, n, seed), by_class=False, rule=WindowRule(margin=0.0))
        for seed in range(6)
    ]
    assert np.mean(found) == pytest.approx(1.0, abs=0.05), found


@pytest.mark.slow
def test_published_form_is_biased_where_classes_differ_in_frequency() -> None:
    prior, n = PRIORS["3, unequal"]
    z, y = calibrated(prior, n, 0)
    assert best_temperature(z, y, by_class=True, rule=PUBLISHED_RULE) < 0.95
    z, y = calibrated((1 / 3,) * 3, n, 0)
    assert best_temperature(z, y, by_class=True, rule=PUBLISHED_RULE) == pytest.approx(1, abs=0.05)


# ----------------------------------------------------------------------------- maps and samples


def random_map(rng: np.random.Generator, n_parts: int, n_segments: int) -> MapValues:
    weights = rng.dirichlet(np.ones(n_parts))
    knots = np.concatenate([[0.0], np.sort(rng.uniform(0.01, 8, size=n_segments - 1))])
    return MapValues(weights, knots, np.exp(2 * rng.normal(size=(n_parts, n_segments))))


@pytest.mark.parametrize(("n_parts", "n_segments"), [(1, 1), (4, 1), (1, 10), (3, 4)])
def test_maps_keep_the_order_in_every_row(n_parts: int, n_segments: int) -> None:
    z, _ = problem(300, 6)
    for seed in range(20):
        v = random_map(np.random.default_rng(seed), n_parts, n_segments)
        p = apply_map(z, v.weights, v.knots, v.slopes, np)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
        ranked = np.take_along_axis(p, np.argsort(z, axis=1), axis=1)
        assert (np.diff(ranked, axis=1) >= 0).all()
        moved = apply_map(z + 7.0, v.weights, v.knots, v.slopes, np)
        np.testing.assert_allclose(moved, p, atol=1e-10)


@pytest.mark.parametrize(("n_parts", "n_segments"), [(4, 1), (1, 6), (3, 4)])
@pytest.mark.parametrize("n_classes", [4, 60])
def test_gradient_of_a_map_equals_a_finite_difference(
    n_parts: int, n_segments: int, n_classes: int
) -> None:
    z, y = problem(80, n_classes)
    sample, _ = read_sample(Scores(z, "logits", "logits"), y, None, 1.5, 10_000)
    assert (sample.columns is None) == (n_classes == 4)
    rng = np.random.default_rng(1)
    v = random_map(rng, n_parts, n_segments)
    v = MapValues(v.weights, v.knots, np.exp(0.3 * np.log(v.slopes)))
    model = SampleMap(sample, v.knots)
    proba = model.forward(v)
    direction = rng.normal(size=proba.shape)
    by_weight, by_slope = model.backward(v, direction)
    step = 1e-6
    for m in range(n_parts):
        for j in range(n_segments):
            ends = []
            for sign in (1, -1):
                slopes = v.slopes.copy()
                slopes[m, j] *= np.exp(sign * step)
                moved = SampleMap(sample, v.knots).forward(MapValues(v.weights, v.knots, slopes))
                ends.append((moved * direction).sum())
            difference = (ends[0] - ends[1]) / (2 * step)
            assert by_slope[m, j] == pytest.approx(difference, rel=1e-5, abs=1e-6)
        unit = np.eye(n_parts)[m]
        alone = SampleMap(sample, v.knots).forward(MapValues(unit, v.knots, v.slopes))
        assert by_weight[m] == pytest.approx((alone * direction).sum(), rel=1e-9)


def test_a_sample_does_not_depend_on_order_labels_or_repetition() -> None:
    z, y = problem(500, 4)
    z = z.round(1)
    rng = np.random.default_rng(0)
    w = rng.integers(1, 4, size=500)

    def sample_of(z: np.ndarray, y: np.ndarray, w: np.ndarray | None):
        weight = None if w is None else w.astype(float)
        return read_sample(Scores(z, "logits", "logits"), y, weight, 1.0, 10_000)

    one, place = sample_of(z, y, w)
    many, _ = sample_of(np.repeat(z, w, axis=0), np.repeat(y, w), None)
    rows, columns = rng.permutation(500), np.array([2, 0, 3, 1])
    other, other_place = sample_of(z[rows][:, columns], np.argsort(columns)[y[rows]], w[rows])
    for name in ("gap", "shift", "occurrence", "weight", "place"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(other_place, place[rows])
    assert 0.15 < np.mean(place < 0.2) < 0.25


def test_condensed_columns_keep_sums_and_occurrences() -> None:
    z, y = problem(200, 300)
    sample, _ = read_sample(Scores(z, "logits", "logits"), y, None, 1.3, 10**6)
    assert sample.columns is not None
    assert sample.columns.sum() == 300
    assert sample.gap.shape[1] < 50
    p = SampleMap(sample, np.zeros(1)).forward(single_temperature(1.3))
    np.testing.assert_allclose(p @ sample.columns, 1, atol=1e-12)
    np.testing.assert_allclose(sample.occurrence @ sample.columns, 1, atol=1e-12)
    exact = -np.sort(-softmax(z / 1.3), axis=1)
    first = np.array(sorted(map(tuple, p[:, :16].round(10))))
    np.testing.assert_allclose(first, sorted(map(tuple, exact[:, :16].round(10))), atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 8])
def test_sampled_events_stand_for_all(n_classes: int) -> None:
    z, y = problem(6000, n_classes)
    z *= 3
    sample, _ = read_sample(Scores(z, "logits", "logits"), y, None, 1.0, 5000)
    p = SampleMap(sample, np.zeros(1)).forward(single_temperature(1.0))
    assert p.size <= 10_000
    places, events = sample.pooled(p, 3000)
    assert len(events.occurrence) == 3000
    n_events = len(p) if n_classes == 2 else p.size
    assert events.mass is not None
    assert events.mass.sum() == pytest.approx(n_events, rel=1e-9)
    full, _ = sample.pooled(p, 10**6)[1].error(
        p[:, 0] if n_classes == 2 else p.ravel(), WindowRule(60, margin=0.0)
    )
    part, _ = events.error(p.ravel()[places], WindowRule(60, margin=0.0))
    assert part == pytest.approx(full, rel=0.5)


def test_mixing_with_temperature() -> None:
    z, _ = problem(50, 3)
    v = random_map(np.random.default_rng(0), 2, 3)
    mixed = mixed_with_temperature(v, 1.7, 0.25)
    expected = 0.25 * apply_map(z, v.weights, v.knots, v.slopes, np) + 0.75 * softmax(z / 1.7)
    got = apply_map(z, mixed.weights, mixed.knots, mixed.slopes, np)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert mixed_with_temperature(v, 1.7, 1.0) is v
