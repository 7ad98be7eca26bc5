"""Measures without bins inside: sorted scores, sums of kernels, Brownian laws, curves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import dirichlet

from calib.evaluation import (
    cumulative_calibration_test,
    dirichlet_calibration_error,
    integrated_calibration_index,
    kernel_calibration_error,
)
from calib.evaluation.unbinned import brownian, density, kernel_sums, loess, mirrored_grid, smooth
from calib.evaluation.views.distinct import distinct_scores, single_scores
from tests.support.bin_free import (
    all_pairs,
    inner_points,
    leave_one_out,
    skewed,
    tied_points,
    toy_a,
    toy_b,
)


def test_golden_scales_and_pairs() -> None:
    for toy, sigma, mad, span, linear in (
        (toy_a, 0.01290995, 7.9074, 7.9074, -0.04664658),
        (toy_b, 0.01193650, 10.6370, 10.6437, -0.08232369),
    ):
        y, p = toy()
        test = cumulative_calibration_test(y, p, average="binary")
        assert test.scale == pytest.approx(sigma, abs=5.1e-9)
        assert test.standardized == pytest.approx(mad, abs=5.1e-5)
        test = cumulative_calibration_test(y, p, kind="range", average="binary")
        assert test.standardized == pytest.approx(span, abs=5.1e-5)
        in_row_order = kernel_sums.scalar_error(p, y == 1, "linear", 1.0, np.arange(1000))
        assert in_row_order == pytest.approx(linear, abs=5.1e-9)


def test_both_ways_to_sort_agree(rng: np.random.Generator) -> None:
    p = np.concatenate([rng.random(200), rng.integers(0, 5, 100) / 4, [0.0, -0.0, 5e-324]])
    y = rng.random(303) < p
    for found, expected in zip(
        distinct_scores(p, y, None), distinct_scores(p, y, np.ones(303)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    before = p.copy()
    distinct_scores(p, y, None)
    np.testing.assert_array_equal(p, before)


@pytest.mark.parametrize("weights", ["none", "whole", "broken"])
def test_measures_on_a_grid_take_single_samples_as_well(
    rng: np.random.Generator, weights: str
) -> None:
    p = np.concatenate([rng.random(200), rng.integers(0, 5, 100) / 4, [0.0, -0.0, 1.0]])
    y = rng.random(303) < p
    weight = {"none": None, "whole": rng.integers(0, 4, 303) * 1.0, "broken": rng.random(303)}
    merged = distinct_scores(p, y, weight[weights])
    single = single_scores(p, y, weight[weights])
    assert (single.n_rows, single.whole) == (merged.n_rows, merged.whole)
    assert single.size == pytest.approx(merged.size, rel=1e-14)
    for error in (smooth.smooth_error, density.triweight_error):
        assert error(single) == pytest.approx(error(merged), abs=1e-14)
    tied = np.full(303, 0.3)
    gap = density.triweight_error(single_scores(tied, y, weight[weights]))
    assert gap == pytest.approx(abs(0.3 - np.average(y, weights=weight[weights])), abs=1e-14)


def test_laws_have_the_known_means_and_quantiles() -> None:
    x = np.linspace(0, 12, 24_001)
    excursion = np.trapezoid([brownian.excursion_tail(value) for value in x], x)
    assert excursion == pytest.approx(np.sqrt(np.pi / 2), abs=1e-6)
    span = np.trapezoid([brownian.range_tail(value) for value in x], x)
    assert span == pytest.approx(2 * np.sqrt(2 / np.pi), abs=1e-6)
    second = np.trapezoid([2 * value * brownian.range_tail(value) for value in x], x)
    assert second == pytest.approx(4 * np.log(2), abs=1e-5)  # Feller 1951
    assert brownian.excursion_quantile(0.95) == pytest.approx(2.2414, abs=1e-4)
    for level in (0.5, 0.9, 0.999):
        assert 1 - brownian.excursion_tail(brownian.excursion_quantile(level)) == pytest.approx(
            level, abs=1e-9
        )


def test_both_series_of_the_excursion_agree() -> None:
    from scipy.special import ndtr

    for x in (0.3, 0.7, 0.999999, 1.0, 1.7, 3.0):
        k = np.arange(200)
        one = 4 * np.sum((-1.0) ** k * ndtr(-(2 * k + 1) * x))
        odd = 2 * k + 1
        other = 1 - 4 / np.pi * np.sum((-1.0) ** k / odd * np.exp(-((odd * np.pi / x) ** 2) / 8))
        assert brownian.excursion_tail(x) == pytest.approx(other, abs=1e-13)
        assert one == pytest.approx(other, abs=1e-12)
    assert brownian.excursion_tail(9.0) == pytest.approx(
        4 * ndtr(-9.0), rel=1e-12
    )  # no cancellation


def test_laws_are_monotone_and_cover_all_values() -> None:
    x = np.concatenate([[0.0, 1e-12], np.linspace(1e-3, 6, 4000), [30.0, 1e3, np.inf]])
    for tail in (brownian.excursion_tail, brownian.range_tail):
        values = np.array([tail(value) for value in x])
        assert values[0] == 1
        assert values[-1] == 0
        assert (np.diff(values) <= 1e-12).all()
        assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("bandwidth", [0.02, 0.2, 1.0])
def test_dirichlet_against_the_definition(norm, bandwidth, rng, monkeypatch) -> None:
    y, p = inner_points(rng)
    expected = leave_one_out(y, p, bandwidth, norm)
    for entries in (1, 1 << 21):
        monkeypatch.setattr(density, "BLOCK_ENTRIES", entries)
        value = dirichlet_calibration_error(y, p, bandwidth=bandwidth, norm=norm)
        assert value == pytest.approx(expected, abs=1e-10)


def test_likelihood_chooses_the_bandwidth(rng) -> None:
    y, p = inner_points(rng)
    likelihood = []
    for h in density.GRID:
        with np.errstate(divide="ignore"):
            kernel = np.array([[dirichlet.logpdf(a, b / h + 1) for b in p] for a in p])
        np.fill_diagonal(kernel, -np.inf)
        likelihood.append(np.logaddexp.reduce(kernel, axis=1).sum())
    best = density.GRID[int(np.argmax(likelihood))]
    assert dirichlet_calibration_error(y, p) == dirichlet_calibration_error(y, p, bandwidth=best)


def direct(y: np.ndarray, p: np.ndarray, span: float) -> np.ndarray:
    """Fit a quadratic by least squares around every sample (scores without ties)."""
    fitted = []
    for x in p:
        distance = np.abs(p - x)
        reach = np.sort(distance)[int(np.ceil(span * len(p) - 1e-9)) - 1]
        weight = np.sqrt(np.clip(1 - (distance / reach) ** 3, 0, None) ** 3)
        design = np.vander(p - x, 3, increasing=True)
        solution = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
        fitted.append(solution[0])
    return np.clip(fitted, 0, 1)


@pytest.mark.parametrize("span", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("power", [1, 6])
def test_against_least_squares(span: float, power: int, rng: np.random.Generator) -> None:
    p = np.sort(rng.random(120)) ** power  # up to very uneven
    y = (rng.random(120) < p**0.7).astype(int)
    curve = loess.calibration_curve_at(distinct_scores(p, y == 1, None), span)
    np.testing.assert_allclose(curve, direct(y, p, span), atol=1e-8)
    gap = np.abs(curve - p)
    summary = integrated_calibration_index(y, p, span=span, average="binary")
    assert summary.ici == pytest.approx(gap.mean())
    assert summary.e50 == pytest.approx(np.quantile(gap, 0.5, method="inverted_cdf"))
    assert summary.e90 == pytest.approx(np.quantile(gap, 0.9, method="inverted_cdf"))
    assert summary.e_max == pytest.approx(gap.max())


def test_a_quadratic_is_reproduced() -> None:
    """Fractional rates would lie on the curve exactly; events of many equal scores come close."""
    p = np.repeat(np.arange(1, 20) / 20, 400)
    y = np.tile(np.arange(400), 19) < np.rint(400 * p**2)
    curve = loess.calibration_curve_at(distinct_scores(p, y, None), 0.75)
    np.testing.assert_allclose(curve, np.unique(p) ** 2, atol=1e-10)
    summary = integrated_calibration_index(y, p, average="binary")
    assert summary.ici == pytest.approx(np.mean(p - p**2), abs=1e-10)
    assert summary.e_max == pytest.approx(0.25, abs=1e-10)


def test_joining_and_interpolating_change_little(rng, monkeypatch) -> None:
    p = rng.beta(0.5, 0.5, 6000)
    y = rng.random(6000) < p**1.4
    coarse = integrated_calibration_index(y, p, average="binary")
    monkeypatch.setattr(loess, "MOST_SCORES", 10_000)
    monkeypatch.setattr(loess, "MOST_NODES", 10_000)
    fine = integrated_calibration_index(y, p, average="binary")
    np.testing.assert_allclose(coarse, fine, rtol=0, atol=1e-4)


def test_a_million_scores_and_a_heavy_tie_are_joined(rng: np.random.Generator) -> None:
    p = np.concatenate([np.zeros(300_000), rng.random(100_000)])
    y = rng.random(400_000) < np.where(p == 0, 0.1, p)
    scores = distinct_scores(p, y, None)
    joined = loess._join(scores)
    assert len(joined.value) <= loess.MOST_SCORES
    assert joined.weight.sum() == 400_000
    assert joined.label.sum() == y.sum()
    assert joined.value @ joined.weight == pytest.approx(p.sum())
    assert joined.value[0] == 0
    summary = integrated_calibration_index(y, p, average="binary")
    assert summary.e50 == pytest.approx(0.1, abs=0.003)


def test_few_distinct_scores_are_interpolated() -> None:
    for levels in ([0.4], [0.2, 0.7], [0.0, 0.5, 1.0]):
        p = np.repeat(levels, 8)
        y = np.tile([1, 0, 0, 0, 0, 1, 0, 0], len(levels)).astype(bool)
        curve = loess.calibration_curve_at(distinct_scores(p, y, None), 0.75)
        np.testing.assert_allclose(curve, 0.25, atol=1e-9)


def test_spread_keeps_mass_and_mean(rng: np.random.Generator) -> None:
    p = np.concatenate([rng.random(5000) * 0.98 + 0.01, [0.5, 0.25]])
    mass = rng.normal(size=5002)
    cells = mirrored_grid.spread(p, mass, 64)
    assert cells.sum() == pytest.approx(mass.sum())
    assert cells @ ((np.arange(64) + 0.5) / 64) == pytest.approx(mass @ p)
    edges = mirrored_grid.spread(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 64)
    np.testing.assert_allclose(edges[[0, -1]], [1.0, 2.0])


@pytest.mark.parametrize("span", [0.3, 0.75])
@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_loess_of_r(span: float) -> None:
    peer = pytest.importorskip("skmisc.loess").loess
    y, p = (column[:1000] for column in skewed())  # every score is a node, nothing is interpolated
    model = peer(p, y.astype(float), span=span, degree=2, surface="direct")
    model.fit()
    ours = loess.calibration_curve_at(distinct_scores(p, y == 1, None), span)
    theirs = np.clip(model.predict(np.sort(p)).values, 0, 1)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("width", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("entries", [1, 500, 1 << 21])
def test_canonical_against_all_pairs(width, entries, rng, monkeypatch) -> None:
    monkeypatch.setattr(kernel_sums, "BLOCK_ENTRIES", entries)
    y, p = tied_points(rng)
    h = all_pairs(y, p, width)
    biased = kernel_calibration_error(y, p, estimator="biased", bandwidth=width)
    assert biased == pytest.approx(h.mean(), abs=1e-14)
    unbiased = kernel_calibration_error(y, p, bandwidth=width)
    assert unbiased == pytest.approx((h.sum() - np.trace(h)) / (70 * 69), abs=1e-14)


@pytest.mark.parametrize("width", [1e-6, 1e-3, 0.4, 50.0])
def test_running_sum_against_the_matrix(width: float, rng: np.random.Generator) -> None:
    value = np.sort(np.concatenate([rng.random(200), [0.0, 1.0, 1e-9]]))
    residual = rng.normal(size=203)
    kernel = np.exp(-np.abs(value[:, None] - value) / width)
    expected = residual @ kernel @ residual
    assert kernel_sums.exponential_sum(value, residual, width) == pytest.approx(
        expected, rel=1e-11, abs=1e-11
    )


def test_median_bandwidth(rng) -> None:
    y, p = tied_points(rng)
    distance = 0.5 * np.abs(p[:, None] - p[None]).sum(axis=2)[np.triu_indices(70, 1)]
    expected = np.median(distance[distance > 0])
    assert kernel_sums.median_distance(p) == pytest.approx(expected)
    assert kernel_calibration_error(y, p) == pytest.approx(
        kernel_calibration_error(y, p, bandwidth=expected), abs=1e-15
    )
    assert kernel_sums.median_distance(np.tile(p[:1], (5, 1))) == 1.0


def test_rows_of_a_subset_do_not_depend_on_their_order(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 5000)
    shuffled = p[rng.permutation(5000)]
    np.testing.assert_array_equal(
        p[kernel_sums.spaced_rows(p, 100)], shuffled[kernel_sums.spaced_rows(shuffled, 100)]
    )
    assert kernel_sums.median_distance(p) == kernel_sums.median_distance(shuffled)
    few = rng.choice(5000, 1500, replace=False)
    assert kernel_sums.median_distance(p) == pytest.approx(
        kernel_sums.median_distance(p[few]), rel=0.03
    )
