from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from calib import HistogramCalibrator, PlattCalibrator

#: Brier score on CIFAR-10 DenseNet-40 with 10 bins, published in CalArena (arXiv 2605.30188).
PUBLISHED = {
    ("quantile", "rate", 10): 0.125676,
    ("uniform", "rate", 10): 0.128387,
    ("quantile", "rate", 2): 0.022773,
    ("uniform", "rate", 2): 0.019836,
    ("quantile", "scaling", 2): 0.022831,
}
KINDS = [(s, k) for s in ("uniform", "quantile") for k in ("rate", "scaling")]


def synthetic(n=500, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    z = 2.0 * rng.normal(size=(n, n_classes))
    return softmax(z, axis=1), (0.5 * z + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.mark.shared_data
@pytest.mark.parametrize("case", PUBLISHED, ids=str)
def test_published_scores(case, densenet, two_class):
    strategy, kind, n_classes = case
    parts = [(densenet[f"logits_{part}"], densenet[f"labels_{part}"]) for part in ("val", "test")]
    (z, y), (z_test, y_test) = (
        parts if n_classes == 10 else [two_class[part] for part in ("val", "test")]
    )
    cal = HistogramCalibrator(input="logits", n_bins=10, strategy=strategy, kind=kind).fit(z, y)
    p = cal.transform(z_test.astype(float))
    assert ((p - np.eye(n_classes)[y_test]) ** 2).sum(axis=1).mean() <= PUBLISHED[case] + 1e-4


def test_values_are_rates_between_edges_closed_on_the_left():
    p = np.array([0.0, 0.1, 0.25, 0.3, 0.5, 0.74, 0.75, 1.0])
    y = np.array([0, 1, 1, 0, 0, 0, 1, 1])
    cal = HistogramCalibrator(n_bins=4).fit(p, y)
    np.testing.assert_array_equal(cal.edges_, [[0, 0.25, 0.5, 0.75, 1]])
    np.testing.assert_array_equal(cal.values_, [[0.5, 0.5, 0, 1]])
    assert cal.smoothing_ == pytest.approx(1 / 9)
    mapped = cal.transform(np.array([0.24, 0.5, 0.75, 1.0]))[:, 1]
    np.testing.assert_allclose(mapped, 8 / 9 * np.array([0.5, 0, 1, 1]) + 1 / 18)


def test_equal_mass_never_splits_ties():
    p = np.array([0.1, 0.3, 0.3, 0.3, 0.3, 0.9])
    cal = HistogramCalibrator(n_bins=3, strategy="quantile").fit(p, [0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(cal.edges_, [[0, 0.3, 0.3, 1]])
    assert cal.values_[0, 0] == 0
    assert cal.values_[0, 2] == pytest.approx(0.6)
    assert len(np.unique(cal.transform(p)[:, 1])) == 2


@pytest.mark.parametrize("kind", ["rate", "scaling"])
def test_empty_bins_keep_their_centre(kind):
    cal = HistogramCalibrator(n_bins=10, kind=kind).fit([0.05, 0.01, 0.95, 0.99], [0, 1, 0, 1])
    np.testing.assert_allclose(cal.values_[0, 1:9], np.arange(0.15, 0.9, 0.1))


@pytest.mark.parametrize("n_classes", [2, 4])
def test_scaling_averages_what_platt_scaling_makes(n_classes):
    p, y = synthetic(n_classes=n_classes)
    cal = HistogramCalibrator(kind="scaling", strategy="quantile", n_bins=7).fit(p, y)
    platt = PlattCalibrator().fit(p, y)
    column = n_classes - 1
    with np.errstate(divide="ignore"):
        s = np.log(p[:, column]) - np.log1p(-p[:, column])
    row = cal.values_.shape[0] - 1
    share = platt.input_smoothing_[row]
    q = (1 - share) / (1 + np.exp(-s)) + share / 2
    q = 1 / (1 + np.exp(-platt.intercept_[row] - platt.slope_[row] * np.log(q / (1 - q))))
    cells = np.searchsorted(cal.edges_[row, 1:-1], p[:, column], side="right")
    expected = [q[cells == b].mean() for b in range(7)]
    np.testing.assert_allclose(cal.values_[row], expected, rtol=1e-6)


@pytest.mark.parametrize(("strategy", "kind"), KINDS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_weights_are_repetitions(strategy, kind, n_classes):
    p, y = synthetic(200, n_classes)
    w = np.random.default_rng(1).integers(1, 4, len(y))
    cal = HistogramCalibrator(strategy=strategy, kind=kind)
    weighted = cal.fit(p, y, sample_weight=w).transform(p)
    repeated = cal.fit(np.repeat(p, w, axis=0), np.repeat(y, w)).transform(p)
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


@pytest.mark.parametrize(("strategy", "kind"), KINDS)
def test_fractions_are_mixtures_of_labels(strategy, kind):
    p, _ = synthetic(100)
    y = np.random.default_rng(2).integers(0, 5, 100) / 4
    cal = HistogramCalibrator(strategy=strategy, kind=kind)
    soft = cal.fit(p[:, 1], y, sample_weight=np.full(100, 4)).transform(p[:, 1])
    both = np.concatenate([p[:, 1], p[:, 1]])
    labels, weight = np.repeat([1, 0], 100), np.concatenate([4 * y, 4 - 4 * y])
    hard = cal.fit(both, labels, sample_weight=weight).transform(p[:, 1])
    np.testing.assert_allclose(soft, hard, atol=1e-6)


@pytest.mark.parametrize(("strategy", "kind"), KINDS)
@pytest.mark.parametrize("n_classes", [2, 5])
def test_log_loss_is_bounded_and_values_are_few(strategy, kind, n_classes):
    p, y = synthetic(300, n_classes)
    p[:100] = np.eye(n_classes)[y[:100]]
    q = HistogramCalibrator(n_bins=6, strategy=strategy, kind=kind).fit(p, y).transform(p)
    assert q.min() >= 1 / (n_classes * 301) - 1e-15
    np.testing.assert_allclose(q.sum(axis=1), 1)
    if n_classes == 2:
        assert len(np.unique(q)) <= 12


def test_probabilities_and_their_logits_are_one_input():
    p, y = synthetic(300, 3)
    a = HistogramCalibrator().fit(p, y).transform(p)
    b = HistogramCalibrator(input="logits").fit(np.log(p), y).transform(np.log(p))
    np.testing.assert_allclose(a, b)


def test_single_precision_compares_exactly():
    p = np.array([0.1, 0.2, 0.3, 0.7], dtype=np.float32)
    cal = HistogramCalibrator(n_bins=10).fit(p, [0, 1, 0, 1])
    out = cal.transform(p)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, cal.transform(p.astype(float)), rtol=1e-6)


def test_tensors_are_mapped_like_arrays():
    torch = pytest.importorskip("torch")
    p, y = synthetic(300, 3)
    cal = HistogramCalibrator(strategy="quantile").fit(p, y)
    np.testing.assert_allclose(cal.transform(torch.as_tensor(p)).numpy(), cal.transform(p))


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"n_bins": 0}, "n_bins must be >= 1"),
        ({"n_bins": 2.5}, "n_bins must be an integer"),
        ({"strategy": "width"}, "strategy must be one of 'uniform', 'quantile'"),
        ({"kind": "platt"}, "kind must be one of 'rate', 'scaling'"),
    ],
)
def test_impossible_parameters(parameters, text):
    with pytest.raises(ValueError, match=text):
        HistogramCalibrator(**parameters).fit(*synthetic(50))
