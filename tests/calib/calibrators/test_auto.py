from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from calib import AutoCalibrator, load, make_calibrator, save
from calib._core.estimators.folds import stratified_folds
from calib._core.scores import Scores
from calib.calibrators.auto import cross_fitting
from calib.calibrators.auto.pooling import fit_pool, pool


def brier(proba, y):
    return ((proba - np.eye(proba.shape[1])[y]) ** 2).sum(axis=1).mean()


def log_loss(proba, y):
    return -np.log(proba[np.arange(len(y)), y]).mean()


def bent(n, n_classes=2, seed=0, sharpness=3.0):
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, n_classes))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    return sharpness * z + np.linspace(0, 1, n_classes), y


@pytest.mark.shared_data
def test_real_network(densenet, two_class):
    y = densenet["labels_test"]
    cal = AutoCalibrator(input="logits").fit(densenet["logits_val"], densenet["labels_val"])
    p = cal.transform(densenet["logits_test"].astype(float))
    assert brier(p, y) <= 0.10975
    assert log_loss(p, y) <= 0.2212
    two = AutoCalibrator(input="logits").fit(*two_class["val"])
    odds, y = two_class["test"]
    p = two.transform(odds)
    assert brier(p, y) <= 0.01698
    assert log_loss(p, y) <= 0.0298


@pytest.mark.shared_data
def test_no_experiment_of_the_arena_is_made_worse(shared_data):
    for name in ("banana__MLP", "magic__RandomForest", "banana__LogReg", "optdigits__GaussianNB"):
        data = np.load(shared_data / "arena_dev" / f"{name}.npz")
        p = data["probas_test"].astype(float)
        cal = AutoCalibrator().fit(data["probas_cal"].astype(float), data["labels_cal"])
        assert brier(cal.transform(p), data["labels_test"]) <= brier(p, data["labels_test"]) + 1e-9


@pytest.mark.parametrize("n_classes", [2, 4])
def test_bad_scores_are_repaired(n_classes):
    z, y = bent(800, n_classes)
    z_new, y_new = bent(4000, n_classes, seed=1)
    cal = AutoCalibrator(input="logits").fit(z, y)
    assert cal.used_
    assert cal.gain_log_loss_.low > 0
    assert cal.weights_.sum() == pytest.approx(1.0)
    assert set(cal.member_names) <= set(cal.candidates_)
    assert log_loss(cal.transform(z_new), y_new) < log_loss(softmax(z_new, axis=1), y_new) - 0.1


@pytest.mark.parametrize("n_classes", [2, 4])
def test_good_scores_are_left_alone(n_classes):
    rng = np.random.default_rng(0)
    kept = 0
    for seed in range(12):
        z = 1.5 * np.random.default_rng(seed).normal(size=(150, n_classes))
        y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        cal = AutoCalibrator(input="logits").fit(z, y)
        if not cal.used_:
            kept += 1
            assert cal.member_names == ["identity"]
            np.testing.assert_allclose(cal.transform(z), softmax(z, axis=1), atol=1e-12)
    assert kept >= 8


def test_certain_mistakes_have_a_bounded_loss_even_then():
    p = np.tile([[0.7, 0.3], [0.3, 0.7]], (60, 1))
    y = np.tile([0, 1, 0, 1, 0, 1, 0, 1, 1, 0], 12)
    cal = AutoCalibrator().fit(p, y)
    out = cal.transform(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert out.min() >= 0.9 * cal.floor_


def test_weights_equal_repetition():
    z, y = bent(90, 3)
    weight = np.random.default_rng(0).integers(1, 4, size=90)
    a = AutoCalibrator(input="logits").fit(z, y, sample_weight=weight)
    order = np.random.default_rng(1).permutation(weight.sum())
    rows = np.repeat(np.arange(90), weight)[order]
    b = AutoCalibrator(input="logits").fit(z[rows], y[rows])
    assert a.member_names == b.member_names
    np.testing.assert_allclose(a.transform(z), b.transform(z), atol=1e-6)


def test_saved_and_loaded(tmp_path):
    z, y = bent(300, 3)
    cal = AutoCalibrator(input="logits").fit(z, y)
    again = load(save(cal, tmp_path / "auto.json"))
    np.testing.assert_array_equal(cal.transform(z), again.transform(z))
    assert again.member_names == cal.member_names


def test_candidates_by_size():
    labels = [cross_fitting.LABELS[place] for place in cross_fitting.candidates(1000, 2)]
    assert labels == list(cross_fitting.TWO)
    assert len(cross_fitting.candidates(5_000, 10)) == len(cross_fitting.MANY)
    assert len(cross_fitting.candidates(100_000, 100)) == len(cross_fitting.LARGE)
    assert len(cross_fitting.candidates(50_000, 1000)) == len(cross_fitting.HUGE)


def test_large_sets_choose_on_a_subsample(monkeypatch):
    monkeypatch.setattr(cross_fitting, "LARGE_ELEMENTS", 2_000)
    monkeypatch.setattr(cross_fitting, "CHOICE_ELEMENTS", 1_500)
    monkeypatch.setattr(cross_fitting, "CHOICE_ROWS", 100)
    z, y = bent(2_000, 3)
    cal = AutoCalibrator(input="logits").fit(z, y)
    assert cal.candidates_ == list(cross_fitting.LARGE)
    assert log_loss(cal.transform(z), y) < log_loss(softmax(z, axis=1), y)


@pytest.mark.parametrize(
    ("z", "y"),
    [
        (np.tile([[1.0, 0.0], [0.0, 1.0]], (2, 1)), [0, 1, 1, 0]),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]], [0, 1, 2, 0, 1, 2]),
        (np.zeros((20, 2)), [0, 1] * 10),
        (np.vstack([np.full((10, 2), 5.0), np.eye(2)]), [0] * 11 + [1]),
    ],
    ids=["duplicates", "one row a class, twice", "constant", "one sample of a class"],
)
@pytest.mark.filterwarnings("ignore:All rows:UserWarning", "ignore:X:UserWarning")
def test_tiny_sets(z, y):
    p = AutoCalibrator(input="logits").fit(z, y).transform(z)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


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


def test_one_split_judges_weights_on_other_samples(monkeypatch):
    """Calibrated scores: weights fitted and judged on the same samples would always gain."""
    monkeypatch.setattr(cross_fitting, "LARGE_ELEMENTS", 100)
    gains = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        z = 1.5 * rng.normal(size=(400, 3))
        y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        gains.append(AutoCalibrator(input="logits").fit(z, y).gain_log_loss_.value)
    assert np.mean(gains) < 0


# ---------------------------------------------------------------------- pools and folds


def test_pool_weights_are_those_of_a_grid():
    rng = np.random.default_rng(0)
    s = rng.normal(size=500) * 2
    y = (rng.random(500) < expit(0.6 * s)).astype(int)
    logs = np.stack([np.log(np.stack([expit(-c * s), expit(c * s)], axis=1)) for c in (0.2, 2.0)])
    one = np.ones(500)
    w = fit_pool(logs, y, one, np.array([0.5, 0.5]))
    losses = [log_loss(pool(list(logs), [1 - v, v], np), y) for v in np.linspace(0, 1, 201)]
    assert w[1] == pytest.approx(np.linspace(0, 1, 201)[np.argmin(losses)], abs=5e-3)
    assert log_loss(pool(list(logs), w, np), y) <= min(losses) + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_pool_weights_satisfy_the_optimality_conditions(seed):
    rng = np.random.default_rng(seed)
    logs = np.log(rng.dirichlet(np.ones(4), size=(6, 200)))
    y, weight = rng.integers(0, 4, 200), rng.uniform(0.5, 2, 200)
    w = fit_pool(logs, y, weight, np.full(6, 1 / 6))
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1.0)
    p = pool(list(logs), w, np)
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
