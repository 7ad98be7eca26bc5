from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.special import expit, logit, logsumexp, softmax

from calib import CalibrationWarning, PlattCalibrator, SplineCalibrator
from tests.support.curves import distorted

ANIMALS, MACHINES = [2, 3, 4, 5, 6, 7], [0, 1, 8, 9]


def log_loss(p, y):
    return -np.log(p[np.arange(len(y)), y]).mean()


def brier(p, y):
    return ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean()


# ------------------------------------------------------------------------- quality


@pytest.mark.shared_data
def test_better_than_the_published_spline_on_ten_classes(densenet):
    cal = SplineCalibrator(input="logits").fit(densenet["logits_val"], densenet["labels_val"])
    p, y = cal.transform(densenet["logits_test"].astype(float)), densenet["labels_test"]
    assert brier(p, y) <= 0.110628  # CalArena, arXiv 2605.30188
    assert log_loss(p, y) <= 0.2345


@pytest.mark.shared_data
def test_better_than_the_published_spline_on_two_classes(densenet):
    s, y = {}, {}
    for part in ("val", "test"):
        z = densenet[f"logits_{part}"].astype(float)
        s[part] = logsumexp(z[:, ANIMALS], axis=1) - logsumexp(z[:, MACHINES], axis=1)
        y[part] = np.isin(densenet[f"labels_{part}"], ANIMALS).astype(int)
    p = SplineCalibrator(input="logits").fit(s["val"], y["val"]).transform(s["test"])
    assert brier(p, y["test"]) <= 0.017079
    assert log_loss(p, y["test"]) <= 0.0302


@pytest.mark.shared_data
@pytest.mark.parametrize(("two", "gain"), [(True, 0.0201), (False, 0.0311)])
def test_gain_on_many_models_is_that_of_the_peer_or_more(two, gain, shared_data):
    gains = []
    for path in sorted((shared_data / "arena_dev").glob("*.npz")):
        with np.load(path) as d:
            if (d["probas_cal"].shape[1] == 2) is two:
                y = d["labels_test"].astype(int)
                cal = SplineCalibrator().fit(d["probas_cal"], d["labels_cal"])
                raw = d["probas_test"].astype(float)
                gains.append(brier(raw, y) - brier(cal.transform(raw), y))
    assert np.mean(gains) >= gain
    assert np.min(gains) > -0.003


def test_follows_an_increasing_distortion():
    s, y, truth = distorted(20_000)
    p = SplineCalibrator(input="logits").fit(s, y).transform(s)[:, 1]
    line = PlattCalibrator(input="logits").fit(s, y).transform(s)[:, 1]
    assert np.abs(p - truth).mean() < 0.01
    assert np.abs(p - truth).mean() < 0.2 * np.abs(line - truth).mean()


def test_becomes_a_line_where_the_truth_is_one():
    rng = np.random.default_rng(3)
    s = rng.normal(0, 3, 2000)
    y = rng.random(2000) < expit(0.5 + 0.6 * s)
    cal = SplineCalibrator(input="logits", prior_weight=0.0).fit(s, y)
    platt = PlattCalibrator(input="logits").fit(s, y)
    np.testing.assert_allclose(cal.transform(s), platt.transform(s), atol=0.01)


def test_twenty_samples_stay_close_to_the_scores():
    changes = []
    for seed in range(20):
        s, y, _ = distorted(20, seed)
        s, y = 0.5 * s, np.concatenate([[0, 1], y[2:]])
        p = SplineCalibrator(input="logits").fit(s, y).transform(s)[:, 1]
        changes.append(np.abs(p - expit(s)).mean())
    assert np.mean(changes) < 0.12


# ------------------------------------------------------------------------- shape


@pytest.mark.parametrize("n", [6, 7, 11])
@pytest.mark.filterwarnings("ignore")
def test_one_score_says_nothing_about_others_nearby(n):
    """The spread of equal scores is rounding; a curve in its units would be a cliff."""
    for s in (-8.0, 0.1, 1e3):
        for n_events in range(1, n):
            cal = SplineCalibrator(input="logits").fit(np.full(n, s), np.arange(n) < n_events)
            p = cal.transform(s + np.array([-1e-6, 0.0, 1e-6]))[:, 1]
            assert np.ptp(p) < 1e-5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([-300.0, -87.0, -8.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0, 40.0, 1e6]),
            st.integers(0, 1),
        ),
        min_size=2,
        max_size=40,
    ),
    st.sampled_from([0.0, 4.0]),
)
@example([(-8.0, 0)] * 4 + [(-8.0, 1)] * 2, 4.0)
def test_increases_strictly_whatever_the_data(pairs, prior_weight):
    s, y = np.array(pairs).T
    y[:2] = 0, 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = SplineCalibrator(input="logits", prior_weight=prior_weight, smoothing=False)
        cal.fit(s, y.astype(int))
    assert np.isfinite(cal.values_).all()
    assert (np.diff(cal.knots_) > 0).all()
    assert (np.diff(cal.values_) > 0).all()
    assert (cal.end_slopes_ >= 0).all()
    steps = np.diff(cal.transform(np.linspace(-310, 310, 500))[:, 1])
    assert (steps >= -1e-15).all()


def test_ends_are_linear_and_no_steeper_than_the_affine_map():
    s, y, _ = distorted(3000)
    cal = SplineCalibrator(input="logits", smoothing=False).fit(s, y)
    slope = PlattCalibrator(input="logits").fit(s, y).slope_[0]
    assert (cal.end_slopes_ <= 1.05 * slope).all()
    assert (cal.end_slopes_ > 0).all()
    out = logit(cal.transform(s.max() + np.array([1.0, 2.0, 3.0]))[:, 1])
    np.testing.assert_allclose(np.diff(out), cal.end_slopes_[0, 1], rtol=1e-6)
    out = logit(cal.transform(s.min() - np.array([1.0, 2.0, 3.0]))[:, 1])
    np.testing.assert_allclose(np.diff(out), -cal.end_slopes_[0, 0], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_reversed_scores_become_nearly_constant():
    s, y, _ = distorted(2000)
    p = SplineCalibrator(input="logits").fit(-s, y).transform(np.array([-4.0, 4.0]))[:, 1]
    assert 0 < p[1] - p[0] < 0.1


@pytest.mark.parametrize("prior_weight", [0.0, 4.0])
def test_separable_data(prior_weight):
    s = np.linspace(-2, 2, 40)
    cal = SplineCalibrator(input="logits", prior_weight=prior_weight)
    p = cal.fit(s, s > 0).transform(s)
    assert log_loss(p, (s > 0).astype(int)) < 0.25
    assert p.min() >= 1 / 82


def test_mirrored_problem_has_the_mirrored_answer():
    s, y, _ = distorted(1000)
    a = SplineCalibrator(input="logits").fit(s, y).transform(s)
    b = SplineCalibrator(input="logits").fit(-s, 1 - y).transform(-s)
    np.testing.assert_allclose(a, b[:, ::-1], atol=1e-4)


# ------------------------------------------------------------------------- input


def test_probabilities_of_exactly_0_and_1_are_bounded():
    rng = np.random.default_rng(4)
    truth = rng.beta(0.7, 0.7, 3000)
    y = (rng.random(3000) < truth).astype(int)
    votes = rng.binomial(10, truth) / 10  # a forest of ten trees
    cal = SplineCalibrator().fit(votes[:1500], y[:1500])
    assert cal.input_smoothing_[0] > 0
    bare = SplineCalibrator(smooth_input=False).fit(votes[:1500], y[:1500])
    assert bare.input_smoothing_[0] == 0
    test_votes, test_y = votes[1500:], y[1500:]
    loss = log_loss(cal.transform(test_votes), test_y)
    assert loss < log_loss(np.stack([1 - truth, truth], 1)[1500:], test_y) + 0.08
    assert loss < log_loss(bare.transform(test_votes), test_y) + 1e-3


def test_honest_logits_are_not_bounded():
    s, y, _ = distorted(1000)
    assert SplineCalibrator(input="logits").fit(s, y).input_smoothing_[0] == 0
    sure = 20.0 * np.sign(s)
    assert SplineCalibrator(input="logits").fit(sure, sure > 0).input_smoothing_[0] < 1e-6


def test_several_classes_and_one_absent():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(600, 4))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    y[y == 3] = 0
    p = SplineCalibrator(input="logits").fit(3.0 * z, y).transform(3.0 * z)
    assert p.shape == (600, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p > 0).all()
    assert p[:, 3].mean() < 0.02
    assert log_loss(p, y) < log_loss(softmax(3.0 * z, axis=1), y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_weights_are_repetitions(n_classes):
    rng = np.random.default_rng(6)
    p = softmax(rng.normal(size=(150, n_classes)) * 2, axis=1)
    y, w = rng.integers(0, n_classes, 150), rng.integers(1, 4, 150)
    weighted = SplineCalibrator().fit(p, y, sample_weight=w)
    repeated = SplineCalibrator().fit(np.repeat(p, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.transform(p), repeated.transform(p), atol=1e-8)


def test_fractions_are_mixtures_of_labels():
    s, _, truth = distorted(200)
    y = np.round(4 * truth) / 4
    soft = SplineCalibrator(input="logits").fit(s, y)
    both, labels = np.concatenate([s, s]), np.repeat([1, 0], 200)
    hard = SplineCalibrator(input="logits").fit(both, labels, np.concatenate([y, 1 - y]))
    np.testing.assert_allclose(soft.transform(s), hard.transform(s), atol=1e-6)


def test_log_odds_and_probabilities_give_one_map():
    s, y, _ = distorted(500)
    a = SplineCalibrator(input="logits").fit(s, y).transform(s)
    b = SplineCalibrator().fit(expit(s), y).transform(expit(s))
    np.testing.assert_allclose(a, b, atol=1e-8)


def test_smoothing_bounds_the_output():
    s, y, _ = distorted(100)
    on = SplineCalibrator(input="logits").fit(s, y)
    off = SplineCalibrator(input="logits", smoothing=False).fit(s, y)
    assert on.smoothing_ == pytest.approx(1 / 101)
    assert off.smoothing_ == 0
    np.testing.assert_allclose(on.transform(s), 100 / 101 * off.transform(s) + 0.5 / 101)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_tensors_are_mapped_like_arrays(n_classes):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    z, y = rng.normal(size=(300, n_classes)), rng.integers(0, n_classes, 300)
    cal = SplineCalibrator(input="logits").fit(z, y)
    np.testing.assert_allclose(cal.transform(torch.as_tensor(z)).numpy(), cal.transform(z))
    single = cal.transform(z.astype(np.float32))
    np.testing.assert_allclose(single, cal.transform(z), atol=1e-5)


def test_a_larger_prior_stays_closer_to_the_scores():
    s, y, _ = distorted(100)
    changes = []
    for w in (0.0, 50.0, 5000.0):
        cal = SplineCalibrator(input="logits", prior_weight=w, smooth_input=False).fit(s, y)
        changes.append(np.abs(cal.transform(s)[:, 1] - expit(s)).mean())
    assert changes[0] > changes[1] > changes[2]
    assert changes[2] < 0.02


def test_number_of_knots_matters_little():
    s, y, truth = distorted(5000)
    p = [SplineCalibrator(input="logits", n_knots=m).fit(s, y).transform(s) for m in (24, 60)]
    np.testing.assert_allclose(p[0], p[1], atol=0.015)
    coarse = SplineCalibrator(input="logits", n_knots=3).fit(s, y)
    assert coarse.knots_.shape == (1, 3)
    assert np.abs(coarse.transform(s)[:, 1] - truth).mean() < 0.05


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"n_knots": 2}, "n_knots must be >= 3"),
        ({"n_knots": 5.0}, "n_knots must be an integer"),
        ({"prior_weight": -1.0}, "prior_weight must be a finite number >= 0; got -1.0"),
        ({"prior_weight": float("nan")}, "prior_weight must be a finite number"),
        ({"prior_weight": True}, "prior_weight must be a finite number"),
        ({"smooth_input": "yes"}, "smooth_input must be one of"),
        ({"smoothing": 1}, "smoothing must be one of"),
    ],
)
def test_impossible_parameters(parameters, text):
    s, y, _ = distorted(50)
    with pytest.raises(ValueError, match=text):
        SplineCalibrator(input="logits", **parameters).fit(s, y)


# ------------------------------------------------------------------------- the fit itself
