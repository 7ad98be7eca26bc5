"""Venn-ABERS: oracle tables, identities, coupling, folds, edge cases, memory."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from calib import CalibratedClassifier, DegenerateScoresWarning, VennAbersCalibrator


def number(text: str) -> float:
    return float(Fraction(text))


def pairs_at(s: object, y: object, at: object, w: object = None) -> np.ndarray:
    """Only the order of scores matters, so scores in [0, 1] may pose as probabilities."""
    s, at = np.asarray(s, float), np.asarray(at, float)
    kind = "proba" if min(s.min(), at.min()) >= 0 and max(s.max(), at.max()) <= 1 else "logits"
    cal = VennAbersCalibrator(input=kind).fit(s, y, sample_weight=w)
    return cal.predict_interval(at)[:, 1]


TABLE_A = ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0, 0, 1, 0, 1, 0, 1, 1])
ROWS_A = """
0 0 1/3 1/4 0.277777777777778
.1 0 1/3 1/4 0.277777777777778
.25 0 3/5 3/8 0.42
.3 1/3 3/5 9/19 0.475555555555556
.45 1/3 2/3 1/2 0.5
.55 2/5 2/3 10/19 0.524444444444444
.8 2/3 1 3/4 0.722222222222222
.9 2/3 1 3/4 0.722222222222222
"""
TABLE_B = ([0.1, 0.3, 0.3, 0.3, 0.5, 0.5, 0.7, 0.9], [0, 0, 1, 0, 1, 0, 1, 1])
ROWS_B = """
.05 0 2/5 2/7 0.32
.1 0 2/5 2/7 0.32
.2 0 1/2 1/3 0.375
.3 1/4 1/2 2/5 0.40625
.4 1/4 2/3 8/17 0.475694444444444
.5 1/3 2/3 1/2 0.5
.6 1/3 1 3/5 0.555555555555556
.7 1/2 1 2/3 0.625
.8 1/2 1 2/3 0.625
.9 2/3 1 3/4 0.722222222222222
.95 2/3 1 3/4 0.722222222222222
"""


@pytest.mark.parametrize(("table", "rows"), [(TABLE_A, ROWS_A), (TABLE_B, ROWS_B)])
def test_oracle_tables_a_and_b(table: tuple[list[float], list[int]], rows: str) -> None:
    for row in rows.strip().splitlines():
        s, p0, p1, log, brier = (number(cell) for cell in row.split())
        low, high = pairs_at(*table, [s])[0]
        assert (low, high) == (p0, p1)
        for merge, expected in (("log", log), ("brier", brier)):
            cal = VennAbersCalibrator(merge=merge).fit(*map(np.array, table))
            assert cal.transform(np.array([s]))[0, 1] == pytest.approx(expected, abs=1e-14)


def test_oracle_tables_e_to_h() -> None:
    # C and D (one class only) are refused by the contract; the kernel test covers them
    with pytest.warns(DegenerateScoresWarning):
        e = pairs_at([0.5] * 5, [0, 1, 1, 0, 1], [0.4, 0.5, 0.6])
    np.testing.assert_array_equal(e, [[0, 2 / 3], [1 / 2, 2 / 3], [1 / 2, 1]])
    f = pairs_at([0.1, 0.2, 0.3, 0.4], [1, 1, 0, 0], [0.05, 0.1, 0.4, 0.5])
    np.testing.assert_array_equal(f, [[0, 3 / 5], [2 / 5, 3 / 5], [2 / 5, 3 / 5], [2 / 5, 1]])
    g = pairs_at(
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0, 1, 0, 1, 1],
        [0.05, 0.2, 0.25, 0.35, 0.5, 0.6],
        [1, 2, 0.5, 1, 3],
    )
    expected = [[0, 1 / 2], [4 / 7, 6 / 7], [4 / 7, 6 / 7], [4 / 7, 1], [4 / 5, 1], [4 / 5, 1]]
    np.testing.assert_allclose(g, expected, atol=1e-15)
    rng = np.random.default_rng(42)
    s = rng.random(500)
    y = (rng.random(500) < s**2).astype(int)
    h = pairs_at(s, y, np.linspace(0.05, 0.95, 7))
    low = ["0", "2/45", "8/57", "22/71", "3/7", "11/20", "10/11"]
    high = ["1/52", "2/27", "4/25", "23/71", "42/89", "3/5", "21/22"]
    np.testing.assert_array_equal(
        h, [[number(a), number(b)] for a, b in zip(low, high, strict=True)]
    )


def test_oracle_table_j_cross_prediction() -> None:
    parts = [
        ([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1]),
        ([0.2, 0.3, 0.7, 0.8], [0, 0, 1, 1]),
        ([0.15, 0.35, 0.55, 0.95], [0, 1, 1, 1]),
    ]
    at = np.array([0.1, 0.45, 0.5, 0.75])
    expected = {
        "log": [0.30400417717777917, 0.5575066659755579, 0.5575066659755579, 0.6753335112129679],
        "brier": [0.3425925925925926, 0.5416666666666666, 0.5416666666666666, 0.6342592592592593],
    }
    for merge, values in expected.items():
        folds = [(VennAbersCalibrator(merge=merge).fit(np.array(s), y), at) for s, y in parts]
        merged = folds[0][0].merge_folds(folds)
        np.testing.assert_allclose(merged[:, 1], values, atol=1e-14)
        np.testing.assert_allclose(merged.sum(axis=1), 1)
        alone = folds[0][0].merge_folds(folds[:1])
        assert alone.tobytes() == folds[0][0].transform(at).tobytes()


CAL_K = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.5, 0.3, 0.2],
        [0.6, 0.1, 0.3],
        [0.2, 0.6, 0.2],
        [0.3, 0.5, 0.2],
        [0.1, 0.7, 0.2],
        [0.2, 0.2, 0.6],
        [0.1, 0.3, 0.6],
        [0.3, 0.3, 0.4],
        [0.4, 0.35, 0.25],
    ]
)
LABELS_K = np.array([0, 0, 2, 1, 0, 1, 2, 2, 1, 0])
TEST_K = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.25, 0.25, 0.5], [0.34, 0.33, 0.33]])


def test_oracle_table_k_three_classes() -> None:
    pairwise = VennAbersCalibrator(multiclass="pairwise").fit(CAL_K, LABELS_K).transform(TEST_K)
    expected = [
        [0.6, 0.24, 0.16],
        [0.263751127141569, 0.466636609558161, 0.269612263300271],
        [0.300911854103344, 0.334346504559271, 0.364741641337386],
        [0.357142857142857, 0.357142857142857, 0.285714285714286],
    ]
    np.testing.assert_allclose(pairwise, expected, atol=1e-12)
    rest = VennAbersCalibrator().fit(CAL_K, LABELS_K).transform(TEST_K)
    expected = [
        [0.593639575971731, 0.282685512367491, 0.123674911660777],
        [2 / 9, 1 / 3, 4 / 9],
        [0.32, 0.2, 0.48],
        [0.402555910543131, 0.217252396166134, 0.380191693290735],
    ]
    np.testing.assert_allclose(rest, expected, atol=1e-12)


def binary(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = rng.normal(size=n).round(2)
    return s, (rng.random(n) < 1 / (1 + np.exp(-2 * s))).astype(int)


def test_identities() -> None:
    s, y = binary()
    at = np.r_[np.linspace(-4, 4, 300), s]
    low, high = pairs_at(s, y, at).T
    n = len(s)
    assert ((low >= 0) & (low < high) & (high <= 1)).all()
    assert (high - low).min() >= 1 / (n + 1) - 1e-15
    order = np.argsort(at)
    assert (np.diff(low[order]) >= 0).all()
    assert (np.diff(high[order]) >= 0).all()
    assert (low[at < s.min()] == 0).all()
    assert (high[at > s.max()] == 1).all()
    stretched = pairs_at(np.sinh(s), y, np.sinh(at))
    np.testing.assert_array_equal(stretched, np.stack([low, high], axis=1))
    swapped = pairs_at(-s, 1 - y, -at)
    np.testing.assert_allclose(swapped, np.stack([1 - high, 1 - low], axis=1), atol=1e-15)
    from sklearn.isotonic import IsotonicRegression

    plain = IsotonicRegression().fit(s, y).predict(s)
    low, high = pairs_at(s, y, s).T
    assert ((low <= plain + 1e-12) & (plain <= high + 1e-12)).all()


def test_merges_lie_inside_and_away_from_the_ends() -> None:
    s, y = binary()
    n = len(s)
    at = np.linspace(-4, 4, 300)
    low, high = pairs_at(s, y, at).T
    for merge in ("log", "brier"):
        p = VennAbersCalibrator(input="logits", merge=merge).fit(s, y).transform(at)[:, 1]
        assert ((low <= p) & (p <= high)).all()
        assert (np.abs(p - 0.5) <= np.abs((low + high) / 2 - 0.5) + 1e-15).all()
        if merge == "log":
            assert p.min() >= 1 / (n + 2) - 1e-15
            assert p.max() <= (n + 1) / (n + 2) + 1e-15


def test_float32_scores_keep_their_ties() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(500).astype(np.float32)
    y = (rng.random(500) < p).astype(int)
    cal = VennAbersCalibrator().fit(p, y)
    single, double = cal.predict_interval(p), cal.predict_interval(p.astype(np.float64))
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("multiclass", ["pairwise", "one_vs_rest"])
def test_intervals_enclose_what_they_should(multiclass: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 4))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = VennAbersCalibrator(input="logits", multiclass=multiclass).fit(z, y)
    interval = cal.predict_interval(z)
    assert interval.shape == (300, 4, 2)
    assert (interval[..., 0] <= interval[..., 1]).all()
    assert ((interval >= 0) & (interval <= 1)).all()
    two = VennAbersCalibrator(input="logits").fit(z[:, :2], y > 1).predict_interval(z[:, :2])
    np.testing.assert_allclose(two[:, 0], 1 - two[:, 1, ::-1], atol=1e-15)
    torch = pytest.importorskip("torch")
    tensor = cal.predict_interval(torch.tensor(z))
    np.testing.assert_allclose(tensor.numpy(), interval, atol=1e-12)


@pytest.mark.parametrize("multiclass", ["pairwise", "one_vs_rest"])
def test_absent_class_and_pairs_without_rows(multiclass: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 5))
    y = rng.integers(0, 3, 200)  # classes 3 and 4 never occur
    cal = VennAbersCalibrator(input="logits", multiclass=multiclass).fit(z, y)  # type: ignore[arg-type]
    low, high = cal.predict_interval(z)[0].T
    p = cal.transform(z)
    assert np.isfinite(p).all()
    assert (p > 0).all()
    assert (low <= high).all()
    assert (p[:, 3:].mean(axis=0) < p[:, :3].mean(axis=0).min()).all()


def test_cross_prediction_in_the_wrapper() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
    cv = StratifiedKFold(3)
    cc = CalibratedClassifier(LogisticRegression(), "venn_abers", cv=cv, ensemble=True).fit(X, y)
    for_one, for_zero = [], []
    for train, test in cv.split(X, y):
        model = LogisticRegression().fit(X[train], y[train])
        cal = VennAbersCalibrator(input="logits").fit(model.decision_function(X[test]), y[test])
        low, high = cal.predict_interval(model.decision_function(X))[:, 1].T
        for_one.append(np.log(high))
        for_zero.append(np.log(1 - low))
    g1, g0 = np.exp(np.mean(for_one, axis=0)), np.exp(np.mean(for_zero, axis=0))
    np.testing.assert_allclose(cc.predict_proba(X)[:, 1], g1 / (g0 + g1), atol=1e-12)
    single = CalibratedClassifier(LogisticRegression(), "venn_abers").fit(X, y)
    assert single.predict_interval(X).shape == (300, 2, 2)


def test_options_are_checked() -> None:
    s, y = binary(20)
    for option in ("merge", "multiclass"):
        with pytest.raises(ValueError, match=f"{option} must be one of"):
            VennAbersCalibrator(input="logits", **{option: "mean"}).fit(s, y)


def test_fitted_object_is_small() -> None:
    s = np.random.default_rng(0).random(100_000)
    y = (np.random.default_rng(1).random(100_000) < s).astype(int)
    cal = VennAbersCalibrator().fit(s, y)
    assert len(pickle.dumps(cal)) < 400_000  # some thousand breakpoints, no calibration data


@pytest.mark.oracle
def test_agrees_with_the_venn_abers_package() -> None:
    venn_abers = pytest.importorskip("venn_abers")
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = (rng.random(500) < p**2).astype(int)
    at = rng.random(100)
    peer = venn_abers.VennAbers()
    peer.fit(np.stack([1 - p, p], axis=1), y)
    merged, bounds = peer.predict_proba(np.stack([1 - at, at], axis=1))
    ours = VennAbersCalibrator().fit(p, y)
    np.testing.assert_allclose(ours.predict_interval(at)[:, 1], bounds, atol=1e-12)
    np.testing.assert_allclose(ours.transform(at)[:, 1], np.ravel(merged[:, 1]), atol=1e-12)
