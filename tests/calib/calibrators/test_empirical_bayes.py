"""Maps with a learnt prior: posterior mode and evidence, symmetry, few labels and many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, log_expit, logit, logsumexp

from calib import BetaCalibrator, EmpiricalBayesCalibrator, PlattCalibrator, load, save
from calib.evaluation import log_loss

#: The prior: share, probability, mean and deviation of the slope, deviations of bend and shift,
#: and their correlation.
PRIOR = [
    (1e-30, 0.198, -0.317, 1.91, 2.71, 2.79, 0.674),
    (0.001, 0.417, 0.452, 0.823, 0.641, 0.342, 0.231),
    (0.02, 0.0721, 0.164, 0.74, 0.802, 1.82, -0.0811),
    (0.1, 0.313, 0.0807, 0.408, 0.823, 0.319, 0.281),
]


def drawn(n: int = 200, slope: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of a model, and labels."""
    rng = np.random.default_rng(seed)
    s = 2.0 * rng.normal(size=n)
    return s, (rng.random(n) < expit(slope * s + 0.3)).astype(int)


def log_joint(
    component: tuple[float, ...], points: np.ndarray, s: np.ndarray, t: np.ndarray, w: np.ndarray
) -> np.ndarray:
    """Return log P(component, map, labels) as the docstring has it, for some (u, v, c)."""
    share, probability, mean, slope_sd, bend_sd, shift_sd, correlation = component
    q = (1 - share) * expit(s) + share / 2
    rest = (1 - share) * expit(-s) + share / 2
    u, v, c = points.T[:, :, None]
    eta = c + np.exp(u + v / 2) * np.log(2 * q) - np.exp(u - v / 2) * np.log(2 * rest)
    likelihood = (w * (t * log_expit(eta) + (1 - t) * log_expit(-eta))).sum(axis=1)
    covariance = np.diag([slope_sd**2, bend_sd**2, shift_sd**2])
    covariance[1, 2] = covariance[2, 1] = correlation * bend_sd * shift_sd
    away = points - [mean, 0.0, 0.0]
    distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)
    size = np.log(np.linalg.det(2 * np.pi * covariance))
    return np.log(probability) + likelihood - 0.5 * (distance + size)


def modes(cal: EmpiricalBayesCalibrator, problem: int = 0) -> np.ndarray:
    """Return slope, bend and shift of every component."""
    a, b = cal.coef_[problem].T
    u, v = 0.5 * np.log(a * b), np.log(a / b)
    return np.stack([u, v, cal.intercept_[problem] - np.log(2) * (a - b)], axis=1)


@pytest.mark.parametrize("kind", ["plain", "weighted", "soft", "anti-informative"])
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_the_mode_is_where_the_posterior_is_level(kind: str) -> None:
    s, y = drawn(slope=-0.5 if kind == "anti-informative" else 0.7)
    rng = np.random.default_rng(1)
    w = rng.uniform(0.5, 2, len(y)) if kind == "weighted" else np.ones(len(y))
    t = np.clip(0.8 * y + 0.2 * rng.random(len(y)), 0, 1) if kind == "soft" else y.astype(float)
    cal = EmpiricalBayesCalibrator(input="logits")
    cal.fit(s, t if kind == "soft" else y, sample_weight=w if kind == "weighted" else None)
    step = 1e-4 * np.concatenate([np.eye(3), -np.eye(3)])
    for component, mode in zip(PRIOR, modes(cal), strict=True):
        value = log_joint(component, mode + step, s, t, w)
        np.testing.assert_allclose((value[:3] - value[3:]) / 2e-4, 0.0, atol=2e-4)


def test_the_evidence_is_that_of_numerical_integration() -> None:
    s, y = drawn(20, slope=1.5)
    cal = EmpiricalBayesCalibrator(input="logits").fit(s, y)
    grid = np.linspace(-7, 7, 31)
    points = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    exact = []
    for component, mode in zip(PRIOR, modes(cal), strict=True):
        at = np.eye(3) * 1e-3
        corners = [mode + p * i + q * j for i in at for j in at for p in (1, -1) for q in (1, -1)]
        value = log_joint(component, np.array(corners), s, y, np.ones(20)).reshape(3, 3, 4)
        curvature = -(value @ [1, -1, -1, 1]) / 4e-6
        spread = np.linalg.cholesky(np.linalg.inv(curvature))
        inside = log_joint(component, mode + points @ spread.T, s, y, np.ones(20))
        cell = 3 * np.log(grid[1] - grid[0]) + np.linalg.slogdet(spread)[1]
        exact.append(logsumexp(inside) + cell)
    found = cal.log_evidence_[0] + np.log(cal.weights_[0])
    np.testing.assert_allclose(found, exact, atol=0.3)
    np.testing.assert_allclose(cal.log_evidence_[0], logsumexp(exact), atol=0.2)


def test_the_definition_is_what_is_applied() -> None:
    s, y = drawn()
    p = expit(s)
    cal = EmpiricalBayesCalibrator().fit(p, y)
    assert cal.weights_.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(cal.shares_, [component[0] for component in PRIOR])
    expected = np.zeros(len(p))
    for j, (u, v, c) in enumerate(modes(cal)):
        q = (1 - cal.shares_[j]) * p + cal.shares_[j] / 2
        eta = c + np.exp(u + v / 2) * np.log(2 * q) - np.exp(u - v / 2) * np.log(2 * (1 - q))
        expected += cal.weights_[0, j] * expit(eta)
    expected = (1 - cal.smoothing_) * expected + cal.smoothing_ / 2
    np.testing.assert_allclose(cal.transform(p)[:, 1], expected, atol=1e-10)
    assert cal.smoothing_ == 1 / (len(y) + 1)


@pytest.mark.parametrize("n", [6, 40, 1000])
@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.4, 1.0, 8.0])
@pytest.mark.filterwarnings("ignore::calib.CalibrationWarning")
def test_ranks_are_kept_whatever_the_labels_say(n: int, slope: float) -> None:
    s, y = drawn(n, slope, seed=n)
    y[0], y[1] = 0, 1
    cal = EmpiricalBayesCalibrator(input="logits").fit(s, y)
    assert (np.diff(cal.transform(np.linspace(-6, 6, 200))[:, 1]) > 0).all()
    far = cal.transform(np.array([-1e300, -800.0, -60.0, 0.0, 60.0, 800.0, 1e300]))
    assert (np.diff(far[:, 1]) >= 0).all()
    assert ((far > 0) & (far < 1)).all()


@pytest.mark.parametrize("n", [10, 300])
def test_an_exchange_of_the_classes_exchanges_the_columns(n: int) -> None:
    s, y = drawn(n)
    one = EmpiricalBayesCalibrator(input="logits").fit(s, y)
    other = EmpiricalBayesCalibrator(input="logits").fit(-s, 1 - y)
    np.testing.assert_allclose(one.transform(s), other.transform(-s)[:, ::-1], atol=1e-9)
    np.testing.assert_allclose(one.log_evidence_, other.log_evidence_, rtol=1e-9)
    np.testing.assert_allclose(one.weights_, other.weights_, atol=1e-9)


@pytest.mark.parametrize("input", ["logits", "proba"])
def test_integer_weights_equal_repetition(input: str) -> None:
    s, y = drawn(120)
    x = s if input == "logits" else expit(s)
    w = np.random.default_rng(0).integers(1, 5, len(y))
    a = EmpiricalBayesCalibrator(input=input).fit(x, y, sample_weight=w)
    b = EmpiricalBayesCalibrator(input=input).fit(np.repeat(x, w), np.repeat(y, w))
    np.testing.assert_allclose(a.transform(x), b.transform(x), atol=1e-7)
    np.testing.assert_allclose(a.log_evidence_, b.log_evidence_, rtol=1e-9)


def test_fractions_equal_split_weights() -> None:
    s, _ = drawn(80)
    t = np.random.default_rng(0).random(80)
    soft = EmpiricalBayesCalibrator(input="logits").fit(s, t)
    split = EmpiricalBayesCalibrator(input="logits").fit(
        np.tile(s, 2), np.repeat([1, 0], 80), sample_weight=np.concatenate([t, 1 - t])
    )
    np.testing.assert_allclose(soft.transform(s), split.transform(s), atol=1e-7)


def test_many_labels_outvote_the_prior() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(40_000) < 0.4).astype(int)
    p = np.where(y == 1, rng.beta(3.0, 1.2, len(y)), rng.beta(0.8, 2.0, len(y)))
    x, first = logit(p), slice(0, 20_000)
    loss = [
        log_loss(y[20_000:], kind(input="logits").fit(x[first], y[first]).transform(x[20_000:]))
        for kind in (EmpiricalBayesCalibrator, BetaCalibrator)
    ]
    assert loss[0] == pytest.approx(loss[1], abs=2e-4)


@pytest.mark.filterwarnings("ignore::calib.CalibrationWarning")
def test_few_labels_leave_a_calibrated_model_nearer_to_itself_than_platt_does() -> None:
    grid = np.linspace(0.02, 0.98, 49)
    moved = np.zeros(2)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = expit(2.0 * rng.normal(size=20))
        y = (rng.random(20) < p).astype(int)
        for j, kind in enumerate((EmpiricalBayesCalibrator, PlattCalibrator)):
            moved[j] += np.abs(kind().fit(p, y).transform(grid)[:, 1] - grid).mean()
    assert moved[0] < moved[1]


def test_certain_scores_are_believed_within_bounds() -> None:
    s, y = drawn(60)
    p = np.where(np.abs(s) > 2.5, (s > 0).astype(float), expit(s))
    cal = EmpiricalBayesCalibrator().fit(p, y)
    out = cal.transform(np.array([0.0, 0.01, 0.5, 0.99, 1.0]))[:, 1]
    assert (np.diff(out) > 0).all()
    assert 0 < out[0]
    assert out[-1] < 1


def test_the_search_converges_on_flat_maps() -> None:
    """Warnings are errors: Gauss and Newton's steps alone are too long here."""
    z, y = 9 * np.eye(5), (np.arange(5) + 1) % 5
    cal = EmpiricalBayesCalibrator(input="logits").fit(z, y)
    np.testing.assert_allclose(cal.transform(z).sum(axis=1), 1)


def test_evidence_is_finite_at_weights_of_any_size() -> None:
    s, y = drawn(60)
    for weight in (1e-100, 1e20, 1e100):
        w = np.where(np.arange(60) % 2 == 0, weight, 1.0)
        cal = EmpiricalBayesCalibrator(input="logits").fit(s, y, sample_weight=w)
        assert np.isfinite(cal.log_evidence_).all()
        assert cal.weights_.sum() == pytest.approx(1.0)


def test_one_class_is_refused() -> None:
    s, _ = drawn(20)
    with pytest.raises(ValueError, match="y has a single class"):
        EmpiricalBayesCalibrator(input="logits").fit(s, np.ones(20, dtype=int))


def test_one_vs_rest_fits_each_class_on_its_own_log_odds() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(300, 3))
    y = (0.6 * z + np.array([0.5, 0, -0.5]) + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = EmpiricalBayesCalibrator(input="logits").fit(z, y)
    for k in range(3):
        s = z[:, k] - logsumexp(np.delete(z, k, axis=1), axis=1)
        own = EmpiricalBayesCalibrator(input="logits").fit(s, (y == k).astype(int))
        np.testing.assert_allclose(modes(cal, k), modes(own), atol=1e-5)
        np.testing.assert_allclose(cal.weights_[k], own.weights_[0], atol=1e-7)
        assert cal.log_evidence_[k] == pytest.approx(own.log_evidence_[0])
    np.testing.assert_allclose(cal.weights_.sum(axis=1), 1)
    np.testing.assert_allclose(cal.transform(z).sum(axis=1), 1)


def test_a_collection_of_certain_scores_gives_the_map_of_one_machine() -> None:
    pd = pytest.importorskip("pandas")
    dask = pytest.importorskip("dask")
    dd = pytest.importorskip("dask.dataframe")
    pytest.importorskip("distributed")
    from calib.distributed import fit

    s, y = drawn(300)
    p = expit(4 * s).round(2)
    assert p.min() == 0.0
    here = EmpiricalBayesCalibrator().fit(p, y)
    with dask.config.set(scheduler="synchronous"):
        rows = dd.from_pandas(pd.DataFrame({"p": p, "y": y}), npartitions=3)
        there = fit(rows, "empirical_bayes", label="y", scores="p", input="proba")
    np.testing.assert_allclose(there.coef_, here.coef_, rtol=1e-6)
    np.testing.assert_allclose(there.log_evidence_, here.log_evidence_, rtol=1e-9)


def test_a_file_maps_to_the_same_bits(tmp_path: Path) -> None:
    s, y = drawn(50)
    cal = EmpiricalBayesCalibrator(input="logits").fit(s, y)
    same = load(save(cal, tmp_path / "cal.json"))
    np.testing.assert_array_equal(same.transform(s), cal.transform(s))


@pytest.mark.parametrize("input", ["logits", "proba"])
def test_single_precision_agrees_far_out(input: str) -> None:
    """The smallest share, 1e-30, is a normal number of single precision."""
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    s, y = drawn(200)
    far = np.array([-1e30, -800.0, -90.0, -70.0, -30.0, -3.0, 0.0, 3.0, 30.0, 70.0, 90.0, 1e30])
    x, at = (s, far) if input == "logits" else (expit(s), np.append(expit(far[:8]), 1.0))
    cal = EmpiricalBayesCalibrator(input=input).fit(x, y)
    expected = cal.transform(at)
    module = to_torch(cal)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        found = module(torch.tensor(at, dtype=dtype)).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=tolerance)
    single = cal.transform(at.astype(np.float32))
    np.testing.assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 50.0, 1000.0])
def test_many_labels_without_an_error_make_certain_answers_in_order(scale):
    """Every component is sure there, to the last bit: nothing is divided by zero."""
    s = scale * np.sort(np.random.default_rng(0).normal(size=20_000))
    cal = EmpiricalBayesCalibrator(input="logits").fit(s, (s > 0).astype(int))
    p = cal.transform(scale * np.array([-1e6, -1e3, -1.0, 1.0, 1e3, 1e6]))
    assert np.isfinite(p).all()
    assert (np.diff(p[:, 1]) >= 0).all()
    assert p[2, 1] < 0.001 < 0.999 < p[3, 1]
