"""Families of predicted distributions against integrals over many levels, and known numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from calib import DegenerateScoresWarning, DistributionCalibrator
from calib._core.distributions import lattice, pool, scores, search
from calib.evaluation import PredictiveDistribution, predictive_distribution

LEVELS = np.array([0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975])
N_ROWS = 5
TAILS = np.geomspace(1e-14, 1e-3, 4_001)
FINE = np.concatenate([TAILS[:-1], np.linspace(1e-3, 1 - 1e-3, 20_001)[:-1], 1 - TAILS[::-1]])


def laws() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=N_ROWS), np.exp(rng.normal(size=N_ROWS))
    quantiles = np.sort(rng.normal(size=(N_ROWS, len(LEVELS))), axis=1)
    quantiles[1, 3:5] = quantiles[1, 3]
    quantiles[2, 0] = quantiles[2, 1]
    normals = np.column_stack([mean, std])

    def recalibrated(kind: str, method: str, size_of_errors: float = 0.8) -> Any:
        """Return the law of the rows above, as a calibrator makes it of others."""
        rng = np.random.default_rng(1)
        place, size = rng.normal(size=120), np.exp(0.2 * rng.normal(size=120))
        errors = stats.t.ppf((rng.permutation(120) + 0.5) / 120, 5)
        y = place + size_of_errors * size * errors
        place[7:10], size[7:10], y[7:10] = place[7], size[7], y[7]  # tied scores
        if kind == "quantiles":
            X = place[:, None] + size[:, None] * stats.norm.ppf(LEVELS)
            cal = DistributionCalibrator(method, input=kind, levels=LEVELS).fit(X, y)
            return cal.predict_distribution(quantiles).law
        cal = DistributionCalibrator(method).fit(np.column_stack([place, size]), y)
        return cal.predict_distribution(normals).law

    given = predictive_distribution(quantiles=quantiles, levels=LEVELS).law
    student, residual = recalibrated("quantiles", "t"), recalibrated("normal", "residual")
    return {
        "normal": predictive_distribution(mean=mean, std=std).law,
        "wider normal": recalibrated("normal", "scale", 1.4),
        "t": recalibrated("normal", "t"),
        "table of normals": recalibrated("normal", "isotonic"),
        "quantiles": given,
        "scaled quantiles": recalibrated("quantiles", "scale", 1.4),
        "t of quantiles": student,
        "table of quantiles": recalibrated("quantiles", "isotonic"),
        "residuals": residual,
        "pool": pool.QuantileAverage((given, student, residual), (0.3, 0.5, 0.2)),
        "pool with atoms": pool.QuantileAverage((given, student), (0.3, 0.7)),
    }


NAMES = list(laws())


@pytest.fixture(params=NAMES)
def law(request: pytest.FixtureRequest) -> Any:
    return laws()[request.param]


def labels() -> np.ndarray:
    """Labels on knots, inside, and far outside."""
    y = laws()["quantiles"].quantile(np.array([[0.35]]))[:, 0]
    y[0], y[4] = 3.0, -2.5
    return y


def test_scores_means_and_deviations_are_integrals_over_levels(law: Any) -> None:
    quantile = law.quantile(FINE[None])
    assert (np.diff(quantile, axis=1) >= -1e-12).all()
    y = labels()
    gap = y[:, None] - quantile
    score = 2 * np.trapezoid(np.maximum(FINE * gap, (FINE - 1) * gap), FINE, axis=1)
    np.testing.assert_allclose(law.crps(y), score, rtol=1e-6)
    mean = np.trapezoid(quantile, FINE, axis=1)
    np.testing.assert_allclose(law.mean(), mean, atol=1e-5)
    variance = np.trapezoid((quantile - mean[:, None]) ** 2, FINE, axis=1)
    np.testing.assert_allclose(law.std(), np.sqrt(variance), rtol=1e-3)


def test_cdf_and_quantile_are_inverse_but_for_jumps(law: Any) -> None:
    levels = np.array([[1e-6, 0.001, 0.03, 0.2, 0.5, 0.77, 0.99, 1 - 1e-6]])
    quantile = law.quantile(levels)
    size = 1e-12 * (1 + np.abs(quantile))
    assert (law.cdf(quantile + size) >= levels - 1e-12).all()
    assert (law.cdf(quantile - 1e3 * size) <= levels + 1e-9).all()


def test_density_is_the_derivative(law: Any) -> None:
    y, h = labels() + 0.0123, 1e-6
    slope = (law.cdf((y + h)[:, None]) - law.cdf((y - h)[:, None]))[:, 0] / (2 * h)
    np.testing.assert_allclose(np.exp(law.log_density(y)), slope, rtol=1e-5)


def test_density_is_finite_on_atoms(law: Any) -> None:
    assert np.isfinite(law.log_density(labels())).all()


def test_pit_stays_inside_jumps(law: Any) -> None:
    y = labels()
    low, high = (law.pit(y, np.full(N_ROWS, u)) for u in (1e-9, 1 - 1e-9))
    assert (low <= high).all()
    np.testing.assert_allclose(high, law.cdf(y[:, None])[:, 0], atol=1e-9)


def test_jumps_are_where_quantiles_are_equal() -> None:
    y = labels()
    for name in ("quantiles", "t of quantiles", "pool with atoms"):
        low, high = (laws()[name].pit(y, np.full(N_ROWS, u)) for u in (1e-9, 1 - 1e-9))
        assert high[1] - low[1] > 0.1
        np.testing.assert_allclose(low[[0, 2, 3]], high[[0, 2, 3]], atol=1e-9)


def test_rows_do_not_know_each_other(law: Any) -> None:
    y = labels()
    rows = np.array([3, 1])
    np.testing.assert_array_equal(law.take(rows).crps(y[rows]), law.crps(y)[rows])
    t = np.linspace(-4, 4, 7)[None]
    np.testing.assert_array_equal(law.take(rows).cdf(t), law.cdf(t)[rows])
    np.testing.assert_array_equal(law.take(rows).std(), law.std()[rows])


def test_blocks_of_rows_leave_no_trace(law: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    d, y = PredictiveDistribution(law), labels()

    def answers() -> list[np.ndarray]:
        each_own = np.arange(2.0 * N_ROWS).reshape(N_ROWS, 2)
        same = d.cdf([-1.0, 0, 2.5]), d.quantile([0.1, 0.9]), d.sample(3, 0), d.mean(), d.std()
        return [*same, d.cdf(each_own), d.crps(y), d.pit(y, 0), d.log_score(y)]

    whole = answers()
    monkeypatch.setattr("calib._core.distributions.predictive.BLOCK_NUMBERS", 2)
    for a, b in zip(whole, answers(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-300)


def test_a_lattice_has_the_score_of_its_steps(law: Any) -> None:
    on_values = lattice.Lattice(law, np.array([-3.0, -1, 0, 0.5, 2, 3]))
    t = np.linspace(-20, 20, 40 * 100 + 1)
    for y in (on_values.nearest(labels()), labels().round(1), np.array([-9.0, 9, 0, 3, -3])):
        step = on_values.cdf(t[None]) - (t >= y[:, None] - 1e-9)
        np.testing.assert_allclose(on_values.crps(y), (step[:, :-1] ** 2).sum(axis=1) / 100)
    assert set(on_values.quantile(np.linspace(0.01, 0.99, 50)[None]).ravel()) <= set(
        on_values.support
    )
    np.testing.assert_allclose(on_values.probabilities().sum(axis=1), 1)
    grid = on_values.quantile(FINE[None])
    np.testing.assert_allclose(on_values.mean(), np.trapezoid(grid, FINE, axis=1), atol=1e-4)


def test_known_scores() -> None:
    def one(*values: float) -> list[np.ndarray]:
        return [np.array([value]) for value in values]

    assert scores.crps_of_normal(*one(0, 1, 0))[0] == pytest.approx(0.2336949773, abs=1e-10)
    assert scores.crps_of_normal(*one(0, 1, 1.5))[0] == pytest.approx(0.9944240040, abs=1e-10)
    assert scores.crps_of_normal(*one(2, 3, -1))[0] == pytest.approx(1.8073240729, abs=1e-10)
    loc, scale, y = one(1, 2, 4)
    assert scores.t_crps(loc, scale, 5.0, y)[0] == pytest.approx(1.9370569846, abs=1e-10)
    assert scores.t_crps(loc, scale, 1.0, y)[0] == np.inf
    points, y = np.array([[1.0, 2, 4, 7]]), np.array([3.0])
    assert scores.points_crps(points, y)[0] == pytest.approx(0.75, abs=1e-14)
    assert scores.points_crps(points, y, fair=True)[0] == pytest.approx(1 / 3, abs=1e-14)
    normal = predictive_distribution(mean=[2.0], std=[3.0])
    np.testing.assert_allclose(normal.crps([-1.0]), 1.8073240729, atol=1e-10)


def test_scores_equal_those_of_scoringrules() -> None:
    peer = pytest.importorskip("scoringrules")
    rng = np.random.default_rng(1)
    y, loc, scale = rng.normal(size=50), rng.normal(size=50), np.exp(rng.normal(size=50))
    np.testing.assert_allclose(
        scores.crps_of_normal(loc, scale, y), peer.crps_normal(y, loc, scale), atol=1e-10
    )
    np.testing.assert_allclose(
        scores.t_crps(loc, scale, 3.5, y), peer.crps_t(y, 3.5, loc, scale), atol=1e-10
    )
    draws = rng.normal(size=(50, 9))
    ordered = np.sort(draws, axis=1)
    np.testing.assert_allclose(
        scores.points_crps(ordered, y), peer.crps_ensemble(y, draws, estimator="nrg"), atol=1e-10
    )
    np.testing.assert_allclose(
        scores.points_crps(ordered, y, fair=True),
        peer.crps_ensemble(y, draws, estimator="fair"),
        atol=1e-10,
    )


def test_points_far_from_zero_keep_their_digits() -> None:
    points = np.array([[1.0, 2, 4, 7]]) + 2.0**40
    assert scores.points_crps(points, np.array([3 + 2.0**40]))[0] == pytest.approx(0.75, abs=1e-12)


def test_points() -> None:
    d = PredictiveDistribution(lattice.PointLaw(np.array([[1.0, 2, 2, 7], [0.0, 0, 0, 0]])))
    np.testing.assert_array_equal(d.cdf([0, 2, 9]), [[0, 0.75, 1], [1, 1, 1]])
    np.testing.assert_array_equal(d.quantile([0.25, 0.26, 0.75, 0.99]), [[1, 2, 2, 7], [0] * 4])
    assert d.mean()[0] == 3
    low, high = (d.law.pit(np.array([2.0, 1.0]), np.full(2, u)) for u in (0.0, 1.0))
    np.testing.assert_array_equal([low, high], [[0.25, 1], [0.75, 1]])
    with pytest.raises(ValueError, match="points have no density"):
        d.log_score([1, 2])


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 8, 33])
def test_ranks_are_counts(n_columns: int, right: bool) -> None:
    rng = np.random.default_rng(n_columns)
    rows = np.sort(rng.integers(0, 9, (20, n_columns)).astype(float), axis=1)
    for t in (rng.integers(-1, 10, (20, 7)).astype(float), np.arange(-1.0, 10)[None]):
        below = rows[:, None, :] <= t[:, :, None] if right else rows[:, None, :] < t[:, :, None]
        np.testing.assert_array_equal(search.rank_in_rows(rows, t, right=right), below.sum(axis=2))


@pytest.mark.parametrize("size", [1e-200, 1e-9, 1.0, 1e9, 1e200])
def test_laws_at_any_scale(size: float) -> None:
    values = size * np.array([[0.0, 1, 1, 2], [1, 1, 1, 1], [0, 0, 0, 0]])
    law = predictive_distribution(quantiles=values, levels=[0.2, 0.4, 0.6, 0.8]).law
    for y in (values[:, 1], np.array([-1.0, 0, 1]), np.full(3, 1e12)):
        with np.errstate(over="ignore"):
            for answer in (law.crps(y), law.pit(y, np.full(3, 0.5)), law.mean()):
                assert np.isfinite(answer).all()
    assert np.isfinite(law.quantile(np.array([[1e-9, 0.5, 1 - 1e-9]]))).all()


def test_log_scores_of_labels_that_take_few_values_warn() -> None:
    n = 40
    d = predictive_distribution(mean=np.zeros(n), std=np.ones(n))
    with pytest.warns(DegenerateScoresWarning, match="y repeats few values"):
        d.log_score(np.arange(n) % 4)
    d.log_score(np.arange(n))
    steps = PredictiveDistribution(lattice.Lattice(d.law, np.array([0.0, 1, 2, 3])))
    with pytest.warns(DegenerateScoresWarning, match="minus log probabilities"):
        score = steps.log_score(np.arange(n) % 4)
    np.testing.assert_allclose(
        score[:2], -np.log([stats.norm.cdf(0.5), stats.norm.cdf(1.5) - stats.norm.cdf(0.5)])
    )
    with pytest.warns(DegenerateScoresWarning, match="minus log probabilities"):
        assert np.isinf(steps.log_score(np.full(n, 0.5))).all()
    assert lattice.lattice_of(np.arange(40.0)) is None
    assert lattice.lattice_of(np.ones(40)) is None
    np.testing.assert_array_equal(lattice.lattice_of(np.arange(40) % 4.0), [0, 1, 2, 3])
