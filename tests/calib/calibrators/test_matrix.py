from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from calib import DirichletCalibrator, MatrixScalingCalibrator, VectorScalingCalibrator
from tests.support.linear import synthetic

#: Brier score and log loss on CIFAR-10 DenseNet-40, published in CalArena (arXiv 2605.30188).
PUBLISHED = {
    "SVS": (VectorScalingCalibrator(input="logits"), 0.109646, 0.222181),
    "SMS": (MatrixScalingCalibrator(input="logits"), 0.109794, 0.220620),
    "VS": (VectorScalingCalibrator(input="logits", structured=False), 0.110077, 0.224401),
    "MS": (MatrixScalingCalibrator(input="logits", structured=False), 0.112158, 0.227014),
    "Dirichlet": (DirichletCalibrator(input="logits", penalty=1e-3), 0.111180, 0.224063),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_scores(name, shared_data):
    calibrator, brier, loss = PUBLISHED[name]
    data = np.load(shared_data / "classification" / "cifar10_densenet40_logits.npz")
    p = calibrator.fit(data["logits_val"], data["labels_val"]).transform(
        data["logits_test"].astype(float)
    )
    y = data["labels_test"]
    assert ((p - np.eye(10)[y]) ** 2).sum(axis=1).mean() <= brier + 1e-4
    assert -np.log(p[np.arange(len(y)), y]).mean() <= loss + 5e-4


def test_few_samples_stay_near_the_temperature():
    z, y = synthetic(20, 4)
    sms = MatrixScalingCalibrator(input="logits").fit(z, y)
    many = MatrixScalingCalibrator(input="logits").fit(*synthetic(4000, 4))
    few_off, many_off = (np.abs(c.coef_ - np.diag(np.diag(c.coef_))).max() for c in (sms, many))
    assert 2 * few_off < many_off


def test_strength_interpolates_between_temperature_and_maximum_likelihood():
    z, y = synthetic(400, 3)
    for method in (MatrixScalingCalibrator, VectorScalingCalibrator):
        weak = method(input="logits", strength=1e-4).fit(z, y).transform(z)
        free = method(input="logits", structured=False).fit(z, y).transform(z)
        strong = method(input="logits", strength=1e6).fit(z, y)
        assert np.abs(strong.intercept_).max() < 1e-4
        own = np.arange(len(y)), y
        assert abs(np.log(weak[own]).mean() - np.log(free[own]).mean()) < 5e-3


def test_matrix_recovers_a_mixing_that_a_vector_cannot():
    z, y = synthetic(6000, 4)
    losses = {}
    for name, cal in {
        "vector": VectorScalingCalibrator(input="logits"),
        "thin": MatrixScalingCalibrator(input="logits", rank=2),
        "matrix": MatrixScalingCalibrator(input="logits"),
    }.items():
        p = cal.fit(z, y).transform(z)
        losses[name] = -np.log(p[np.arange(len(y)), y]).mean()
    assert losses["matrix"] < losses["thin"] < losses["vector"]


def test_rank_of_all_directions_is_capped_and_close_to_full():
    z, y = synthetic(3000, 3)
    full = MatrixScalingCalibrator(input="logits").fit(z, y).transform(z)
    thin = MatrixScalingCalibrator(input="logits", rank=50).fit(z, y).transform(z)
    np.testing.assert_allclose(full, thin, atol=0.05)


def test_absent_classes_keep_finite_parameters():
    z, y = synthetic(300, 5)
    y[y == 4] = 0
    for cal in (
        VectorScalingCalibrator(input="logits"),
        VectorScalingCalibrator(input="logits", structured=False),
        MatrixScalingCalibrator(input="logits"),
        DirichletCalibrator(input="logits", penalty=1e-2),
    ):
        p = cal.fit(z, y).transform(z)
        assert np.isfinite(p).all()
        assert (p > 0).all()
        assert p[:, 4].mean() < 0.05


def test_constant_added_to_a_row_changes_nothing():
    z, y = synthetic(300, 3)
    shift = np.random.default_rng(3).normal(size=(300, 1)) * 50
    for cal in (MatrixScalingCalibrator, VectorScalingCalibrator):
        for structured in (True, False):
            a = cal(input="logits", structured=structured).fit(z, y).transform(z)
            b = cal(input="logits", structured=structured).fit(z + shift, y).transform(z + shift)
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("cal", [VectorScalingCalibrator, MatrixScalingCalibrator])
@pytest.mark.parametrize("structured", [True, False])
def test_certain_mistakes_are_bounded_where_that_fits_better(cal, structured):
    z, y = synthetic(3000, 3)
    p = softmax(z, axis=1)
    wild = np.where(np.random.default_rng(5).random((3000, 1)) < 0.3, np.eye(3)[p.argmax(1)], p)
    train, test = slice(0, 1500), slice(1500, None)
    auto = cal(structured=structured).fit(wild[train], y[train])
    never = cal(structured=structured, smooth_input=False).fit(wild[train], y[train])
    assert auto.input_smoothing_ > 0
    assert never.input_smoothing_ == 0

    def loss(fitted):
        return -np.log(fitted.transform(wild[test])[np.arange(1500), y[test]]).mean()

    assert loss(auto) < loss(never) - 0.05
    mixed = (1 - auto.input_smoothing_) * wild + auto.input_smoothing_ / 3
    by_hand = cal(structured=structured, smooth_input=False).fit(mixed[train], y[train])
    np.testing.assert_allclose(by_hand.transform(mixed), auto.transform(wild), atol=1e-7)


def test_smoothing_of_the_input_is_refused_if_unknown():
    p, y = np.array([[0.2, 0.8], [0.6, 0.4]]), [1, 0]
    for cal in (VectorScalingCalibrator, MatrixScalingCalibrator, DirichletCalibrator):
        with pytest.raises(ValueError, match="smooth_input must be"):
            cal(smooth_input="yes").fit(p, y)


def test_probabilities_and_their_logarithms_are_one_input():
    z, y = synthetic(300, 3)
    p = softmax(z, axis=1)
    a = MatrixScalingCalibrator(smooth_input=False).fit(p, y).transform(p)
    b = MatrixScalingCalibrator(input="logits").fit(z, y).transform(z)
    np.testing.assert_allclose(a, b, atol=1e-7)


def test_dirichlet_chooses_a_strong_penalty_for_few_samples():
    assert max(DirichletCalibrator(input="logits").fit(*synthetic(60, 4)).penalty_) >= 1e-2
    weak = DirichletCalibrator(input="logits").fit(*synthetic(3000, 4))
    assert weak.penalty_[0] <= 1e-2


@pytest.mark.parametrize(
    ("n", "n_classes", "penalty"),
    [
        (300, 3, (0.1, 0.1)),
        (1000, 4, (0.01, 0.01)),
        (3000, 6, (0.01, 0.1)),
        (20000, 4, (0.001, 0.1)),
    ],
)
def test_a_dirichlet_search_that_ends_early_finds_the_best_of_all_pairs(n, n_classes, penalty):
    z, y = synthetic(n, n_classes)
    searched = DirichletCalibrator(input="logits").fit(z, y)
    assert searched.penalty_ == penalty  # what exact fits of all 25 pairs say
    if penalty[0] == penalty[1]:
        fixed = DirichletCalibrator(input="logits", penalty=penalty[0]).fit(z, y)
        np.testing.assert_array_equal(searched.coef_, fixed.coef_)
        np.testing.assert_array_equal(searched.intercept_, fixed.intercept_)


@pytest.mark.parametrize("seed", range(6))
def test_dirichlet_searches_with_two_samples_even_if_they_share_a_fold(seed):
    two = DirichletCalibrator(input="logits", n_folds=2, random_state=seed)
    assert np.isfinite(two.fit([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [0, 1]).coef_).all()


@pytest.mark.parametrize(
    ("calibrator", "text"),
    [
        (MatrixScalingCalibrator(rank=0), "rank must be >= 1"),
        (MatrixScalingCalibrator(rank=2.5), "rank must be an integer"),
        (MatrixScalingCalibrator(structured="yes"), "structured must be one of"),
        (MatrixScalingCalibrator(strength=0), "strength must be a number > 0"),
        (VectorScalingCalibrator(strength=float("inf")), "strength must be a number > 0"),
        (VectorScalingCalibrator(structured=None), "structured must be one of"),
        (DirichletCalibrator(penalty=-1.0), "penalty must be 'cv' or >= 0"),
        (DirichletCalibrator(penalty="auto"), "penalty must be 'cv' or >= 0"),
        (DirichletCalibrator(penalty=float("nan")), "penalty must be 'cv' or >= 0"),
        (DirichletCalibrator(n_folds=1), "n_folds must be >= 2"),
    ],
)
def test_impossible_parameters(calibrator, text):
    z, y = synthetic(50, 3)
    with pytest.raises(ValueError, match=text):
        calibrator.fit(softmax(z, axis=1), y)


def test_dirichlet_bounds_certain_mistakes_and_logits_on_request():
    z, y = synthetic(1500, 3)
    p = softmax(z, axis=1)
    wild = np.where(np.random.default_rng(5).random((1500, 1)) < 0.3, np.eye(3)[p.argmax(1)], p)
    auto = DirichletCalibrator(penalty=1e-3).fit(wild, y)
    never = DirichletCalibrator(penalty=1e-3, smooth_input=False).fit(wild, y)
    assert auto.input_smoothing_ > 0 == never.input_smoothing_
    logits = np.log(np.maximum(wild, 1e-30))
    for cal in (VectorScalingCalibrator, MatrixScalingCalibrator):
        assert cal(input="logits").fit(logits, y).input_smoothing_ == 0
        assert cal(input="logits", smooth_input=True).fit(logits, y).input_smoothing_ > 0
