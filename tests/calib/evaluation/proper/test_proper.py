"""The binned decomposition of the Brier score: golden numbers, identities, odd input."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.evaluation import BrierDecomposition, brier_decomposition


def toy_a() -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    return ((((i + 1) * (np.sqrt(5) - 1) / 2) % 1) < p**1.5).astype(int), p


def toy_b() -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1000)
    p = 0.02 + 0.96 * ((i + 0.5) / 1000) ** 2
    q = 1 / (1 + np.exp(-(0.5 * np.log(p / (1 - p)) + 0.3)))
    return (((i + 1) * np.sqrt(2)) % 1 < q).astype(int), p


GOLDEN = {  # score, reliability, resolution, uncertainty, within-bin variance and covariance
    "A": (0.16131125, 0.01220000, 0.09009600, 0.23959600, 0.00083325, 0.00122200),
    "B": (0.23258674, 0.02280145, 0.03768586, 0.24797500, 0.00074432, 0.00124817),
}


@pytest.mark.parametrize(("name", "toy"), [("A", toy_a), ("B", toy_b)])
def test_golden_numbers(name: str, toy) -> None:
    parts = brier_decomposition(*toy(), n_bins=10, average="binary")
    assert astuple(parts)[:6] == pytest.approx(GOLDEN[name], abs=1e-8)


def total(parts: BrierDecomposition) -> float:
    within = parts.within_bin_variance - parts.within_bin_covariance
    return parts.reliability - parts.resolution + parts.uncertainty + within


def check_identities(parts: BrierDecomposition) -> None:
    assert np.isfinite(astuple(parts)).all()
    assert total(parts) == pytest.approx(parts.score, abs=1e-12)
    plain = parts.reliability - parts.resolution + parts.uncertainty
    debiased = parts.debiased_reliability - parts.debiased_resolution + parts.debiased_uncertainty
    assert debiased == pytest.approx(plain, abs=1e-12)
    assert min(astuple(parts)[:5]) >= 0


@pytest.mark.parametrize("average", ["top_label", "classwise", "binary"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_terms_add_up(average: str, strategy: str, weighted: bool, rng) -> None:
    k = 2 if average == "binary" else 4
    p = rng.multinomial(20, rng.dirichlet(np.full(k, 0.5), 300)) / 20  # with ties, 0 and 1
    y = rng.integers(0, k, 300)
    w = rng.exponential(size=300) * (rng.random(300) < 0.8) if weighted else None
    parts = brier_decomposition(y, p, n_bins=7, strategy=strategy, average=average, sample_weight=w)
    check_identities(parts)
    if average == "classwise":
        expected = np.average(((p - np.eye(k)[y]) ** 2).sum(axis=1), weights=w)
    elif average == "binary":
        expected = np.average((p[:, 1] - y) ** 2, weights=w)
    else:
        hit = p.argmax(axis=1) == y
        expected = np.average((p.max(axis=1) - hit) ** 2, weights=w)
    assert parts.score == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 3)), min_size=1),
    st.integers(1, 9),
    st.sampled_from(["uniform", "quantile"]),
)
def test_any_binary_sample(rows, n_bins: int, strategy: str) -> None:
    p = np.array([row[0] / 8 for row in rows])
    y = np.array([row[1] for row in rows])
    w = np.array([row[2] for row in rows])
    options = {"n_bins": n_bins, "strategy": strategy, "average": "binary"}
    check_identities(brier_decomposition(y, p, **options))
    if not w.any():
        return
    weighted = astuple(brier_decomposition(y, p, sample_weight=w, **options))
    repeated = astuple(brier_decomposition(np.repeat(y, w), np.repeat(p, w), **options))
    assert weighted[:6] == pytest.approx(repeated[:6], abs=1e-12)
    scaled = astuple(brier_decomposition(y, p, sample_weight=3.7 * w, **options))
    if strategy == "uniform":  # fractional weights cut equal mass elsewhere
        assert scaled == pytest.approx(weighted, abs=1e-9)


def test_debiased_terms_are_those_of_ferro_and_fricker() -> None:
    y, p = toy_b()
    parts = brier_decomposition(y, p, n_bins=10, average="binary")
    cell = np.minimum((p * 10).astype(int), 9)
    noise = 0.0
    for b in range(10):
        n, o = (cell == b).sum(), y[cell == b].sum()
        noise += o * (n - o) / (n * (n - 1)) / 1000
    assert parts.debiased_reliability == pytest.approx(parts.reliability - noise)
    of_all = 455 * 545 / (1000**2 * 999)
    assert parts.debiased_resolution == pytest.approx(parts.resolution - noise + of_all)
    assert parts.debiased_uncertainty == pytest.approx(parts.uncertainty + of_all)


def test_debiased_reliability_has_no_bias() -> None:
    """Predictions constant in each bin and calibrated: the plain term is 5 p (1 - p) / n."""
    rng = np.random.default_rng(3)
    p = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 20)
    plain, debiased, weighted = [], [], []
    w = rng.exponential(size=100)
    for _ in range(1000):
        y = (rng.random(100) < p).astype(int)
        parts = brier_decomposition(y, p, n_bins=5, average="binary")
        plain.append(parts.reliability)
        debiased.append(parts.debiased_reliability)
        parts = brier_decomposition(y, p, n_bins=5, average="binary", sample_weight=w)
        weighted.append(parts.debiased_reliability)
    variance = np.mean([0.09, 0.21, 0.25, 0.21, 0.09])
    assert np.mean(plain) == pytest.approx(variance / 20, rel=0.08)
    for values in (debiased, weighted):
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(1000)


def test_without_bins_to_hide_in_there_is_nothing_within() -> None:
    p = np.tile([0.05, 0.35, 0.85], 10)
    parts = brier_decomposition(np.arange(30) % 2, p, n_bins=10, average="binary")
    assert parts.within_bin_variance == pytest.approx(0, abs=1e-15)
    assert parts.within_bin_covariance == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("y", "p", "expected"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], (0, 0, 0.25, 0.25, 0, 0)),  # all right
        ([1, 1, 0, 0], [0, 0, 1, 1], (1, 1, 0.25, 0.25, 0, 0)),  # all wrong
        ([0, 1, 0, 1], [0.5] * 4, (0.25, 0, 0, 0.25, 0, 0)),  # constant
        ([1, 1, 1], [0.2, 0.4, 0.9], (1.01 / 3, 1.01 / 3, 0, 0, 0, 0)),  # one class
        ([1], [0.3], (0.49, 0.49, 0, 0, 0, 0)),  # one sample
    ],
)
def test_odd_samples(y, p, expected) -> None:
    parts = brier_decomposition(y, p, average="binary")
    assert astuple(parts)[:6] == pytest.approx(expected, abs=1e-12)
    check_identities(parts)


def test_a_class_that_is_absent_and_labels() -> None:
    p = np.full((4, 3), 1 / 3)
    named = brier_decomposition(list("aabb"), p, labels=list("abc"), average="classwise")
    assert named == brier_decomposition([0, 0, 1, 1], p, average="classwise")
    assert named.score == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bins": 0}, "n_bins must be >= 1"),
        ({"strategy": "kmeans"}, "strategy must be one of"),
        ({"average": "macro"}, "average must be one of"),
        ({"sample_weight": [0, 0]}, "zero for every sample"),
        ({"labels": [0, 1, 2]}, "labels must name"),
    ],
)
def test_bad_input_is_refused_by_name(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        brier_decomposition([0, 1], [0.2, 0.7], **options)
    with pytest.raises(ValueError, match="NaN"):
        brier_decomposition([0, 1], [0.2, np.nan])
