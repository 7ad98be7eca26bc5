"""Split-point calibration: the identities, the guard, feature columns, files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from calib import (
    CalibratedClassifier,
    DegenerateScoresWarning,
    SplitPointCalibrator,
    TemperatureCalibrator,
    save,
)
from tests.support.features import grouped, log_loss


def softmax(z: np.ndarray) -> np.ndarray:
    return special.softmax(z, axis=1)


@dataclass
class Exact:
    """Heads that answer with given moments."""

    parts: np.ndarray

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.parts[: len(inputs)]


def with_heads(z: np.ndarray, parts: np.ndarray, **options: Any) -> SplitPointCalibrator:
    n_classes = z.shape[1]
    y = np.arange(len(z)) % n_classes
    cal = SplitPointCalibrator(input="logits", split_point="scores", shrinkage=0.0, **options)
    cal.fit(z, y)
    cal.heads_ = Exact(parts)
    return cal


def moments(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    up, down = truth * (1 - p), (1 - truth) * p
    return np.hstack([up + down, up, down])


# ---------------------------------------------------------------------- identities


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("mode", ["mean", "authors"])
def test_exact_heads_recover_the_truth_and_the_score_is_weighted_miscalibration(
    n_classes: int, mode: str
) -> None:
    rng = np.random.default_rng(n_classes)
    z = 2 * rng.normal(size=(50, n_classes))
    p, truth = softmax(z), softmax(2 * rng.normal(size=z.shape))
    cal = with_heads(z, moments(p, truth), mode=mode)
    np.testing.assert_allclose(cal.transform(z), truth, atol=1e-12)
    expected = (np.abs(truth - p) * np.abs(1 - 2 * p)).sum(axis=1)
    np.testing.assert_allclose(cal.uncertainty(z), expected, atol=1e-12)
    if n_classes == 2:
        one = np.abs(truth - p)[:, 1] * np.abs(1 - 2 * p)[:, 1]
        np.testing.assert_allclose(cal.uncertainty(z), 2 * one, atol=1e-12)
    np.testing.assert_allclose(cal.entropy(z), -(truth * np.log(truth)).sum(axis=1), atol=1e-12)


def test_the_score_is_blind_at_one_half() -> None:
    z = np.log([[0.5, 0.5], [0.9, 0.1]])
    truth = np.array([[0.9, 0.1], [0.5, 0.5]])
    cal = with_heads(np.tile(z, (2, 1)), moments(np.exp(z), truth))
    np.testing.assert_allclose(cal.uncertainty(z), [0.0, 0.64], atol=1e-12)


def test_sample_identity_with_constant_scores() -> None:
    """All rows equal: heads are the means of the sample, and the identity is exact."""
    y = np.repeat([0, 1, 2], [11, 7, 2])
    p = np.tile([[0.2, 0.5, 0.3]], (20, 1))
    with pytest.warns(DegenerateScoresWarning):
        cal = SplitPointCalibrator(split_point="scores", shrinkage=0.0).fit(p, y)
    rate = np.bincount(y) / 20
    np.testing.assert_allclose(cal.transform(p)[0], rate, atol=1e-12)
    expected = (np.abs(rate - p[0]) * np.abs(1 - 2 * p[0])).sum()
    np.testing.assert_allclose(cal.uncertainty(p), expected, rtol=1e-9)


def test_perfect_scores_have_no_residuals() -> None:
    p = np.eye(3)[np.arange(30) % 3]
    cal = SplitPointCalibrator(split_point="scores").fit(p, np.arange(30) % 3)
    np.testing.assert_allclose(cal.uncertainty(p), 0.0, atol=1e-12)
    np.testing.assert_allclose(cal.entropy(p), 0.0, atol=1e-12)
    np.testing.assert_allclose(cal.transform(p), p, atol=1e-5)


def test_linear_heads_make_the_three_gaps_equal() -> None:
    """Then the authors' minimum and threshold do nothing."""
    X, _, y = grouped()
    cal = SplitPointCalibrator(input="logits", n_scores=3, mode="authors").fit(X, y)
    mean = SplitPointCalibrator(
        input="logits", n_scores=3, split_point="scores", shrinkage=0.0
    ).fit(X, y)
    found = cal.transform(X)
    clipped = np.clip(found, 1e-6, 1)
    np.testing.assert_allclose(
        clipped / clipped.sum(axis=1, keepdims=True), mean.transform(X), atol=1e-9
    )
    assert found.min() < 0  # no probabilities


def test_the_authors_form() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    p = softmax(z)
    total, up, down = rng.uniform(0, 0.5, size=(3, 40, 3))
    total = up + down + 0.1 * (total - 0.25) * 4
    cal = with_heads(z, np.hstack([total, up, down]), mode="authors", threshold=0.06)
    least = np.min([up - down, total - 2 * down, 2 * up - total], axis=0)
    expected = p + least * (np.abs(up + down - total) < 0.06)
    np.testing.assert_allclose(cal.transform(z), expected, atol=1e-12)
    floored = np.maximum(expected, 1e-8)
    np.testing.assert_allclose(cal.entropy(z), -(floored * np.log(floored)).sum(axis=1))
    assert 0 < (np.abs(up + down - total) < 0.06).mean() < 1


def test_the_mean_of_the_three_gaps_needs_no_total() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    parts = rng.uniform(0, 0.5, size=(40, 9))
    other = np.hstack([rng.uniform(size=(40, 3)), parts[:, 3:]])
    np.testing.assert_array_equal(
        with_heads(z, parts).transform(z), with_heads(z, other).transform(z)
    )


# ---------------------------------------------------------------------- the guard


def test_fixed_shrinkage() -> None:
    X, z, y = grouped()
    tempered = TemperatureCalibrator(input="logits").fit(z, y)
    off = SplitPointCalibrator(input="logits", n_scores=3, shrinkage=1.0).fit(X, y)
    np.testing.assert_allclose(off.transform(X), tempered.transform(z), atol=1e-14)
    assert off.temperature_ == tempered.temperature_
    identity = SplitPointCalibrator(
        input="logits", n_scores=3, shrinkage=1, split_point="scores"
    ).fit(X, y)
    np.testing.assert_allclose(identity.transform(X), softmax(z), atol=1e-14)
    half = SplitPointCalibrator(input="logits", n_scores=3, shrinkage=0.5).fit(X, y).transform(X)
    none = SplitPointCalibrator(input="logits", n_scores=3, shrinkage=0.0).fit(X, y).transform(X)
    np.testing.assert_allclose(half, (none + off.transform(X)) / 2, atol=1e-14)
    lost = np.log(off.transform(X)) - np.log(half)
    assert lost.max() <= np.log(2) + 1e-12


def test_features_that_know_more_are_used() -> None:
    X, z, y = grouped(1200)
    fit, test = slice(600), slice(600, 1200)
    tempered = TemperatureCalibrator(input="logits").fit(z[fit], y[fit])
    base = log_loss(tempered.transform(z[test]), y[test])
    cal = SplitPointCalibrator(input="logits", n_scores=3).fit(X[fit], y[fit])
    assert 0 < cal.shrinkage_ < 0.2
    assert log_loss(cal.transform(X[test]), y[test]) < 0.85 * base


# ---------------------------------------------------------------------- columns


def test_only_the_score_columns_are_scores() -> None:
    X, z, y = grouped()
    p = softmax(z)
    with_features = np.hstack([p, X[:, 3:]])
    cal = SplitPointCalibrator(n_scores=3).fit(with_features, y)
    assert cal.transform(with_features).shape == (600, 3)
    assert cal.classes_.tolist() == [0, 1, 2]
    assert cal.n_features_in_ == 6
    logits = SplitPointCalibrator(input="logits", n_scores=3).fit(X, y)
    np.testing.assert_allclose(cal.transform(with_features), logits.transform(X), atol=1e-8)
    wrong = with_features.copy()
    wrong[3, 1] = 2.0
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        SplitPointCalibrator(n_scores=3).fit(wrong, y)
    with pytest.raises(ValueError, match="do not sum to 1"):
        cal.transform(np.hstack([0.9 * p, X[:, 3:]]))
    wrong = with_features.copy()
    wrong[5, 4] = np.inf
    with pytest.raises(ValueError, match="inf in row 5, column 4"):
        SplitPointCalibrator(n_scores=3).fit(wrong, y)
    with pytest.raises(ValueError, match="NaN or inf"):
        cal.uncertainty(wrong)
    with pytest.raises(ValueError, match=r"X has 5 features.*expecting 6"):
        cal.transform(with_features[:, :5])


def test_one_score_column_and_features() -> None:
    X, z, y = grouped(n_classes=2)
    s = z[:, 1] - z[:, 0]
    two = SplitPointCalibrator(input="logits", n_scores=2).fit(X, y)
    one = SplitPointCalibrator(input="logits", n_scores=1).fit(np.c_[s, X[:, 2:]], y)
    expected = two.transform(X)
    np.testing.assert_allclose(one.transform(np.c_[s, X[:, 2:]]), expected, atol=1e-9)
    positive = SplitPointCalibrator(n_scores=1).fit(np.c_[softmax(z)[:, 1], X[:, 2:]], y)
    found = positive.transform(np.c_[softmax(z)[:, 1], X[:, 2:]])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_invariances_with_features() -> None:
    X, z, y = grouped(200)
    rng = np.random.default_rng(1)
    expected = SplitPointCalibrator(input="logits", n_scores=3).fit(X, y)
    order = rng.permutation(200)
    shuffled = SplitPointCalibrator(input="logits", n_scores=3).fit(X[order], y[order])
    np.testing.assert_allclose(shuffled.transform(X), expected.transform(X), atol=1e-9)
    np.testing.assert_allclose(shuffled.uncertainty(X), expected.uncertainty(X), atol=1e-9)
    scaled = np.hstack([z, 7 * X[:, 3:] - 3])
    other = SplitPointCalibrator(input="logits", n_scores=3).fit(scaled, y)
    np.testing.assert_allclose(other.transform(scaled), expected.transform(X), atol=1e-9)
    w = rng.integers(0, 4, 200)
    weighted = SplitPointCalibrator(input="logits", n_scores=3).fit(X, y, sample_weight=w)
    repeated = SplitPointCalibrator(input="logits", n_scores=3)
    repeated.fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-8)


def test_absent_classes_are_left_alone() -> None:
    X, _, y = grouped(n_classes=4)
    keep = y != 2
    cal = SplitPointCalibrator(input="logits", n_scores=4, shrinkage=0.0, split_point="scores").fit(
        X[keep], y[keep]
    )
    assert cal.present_.tolist() == [True, True, False, True]
    p, q = softmax(X[:, :4]), cal.transform(X)
    np.testing.assert_allclose(q[:, 2], p[:, 2], atol=1e-9)
    np.testing.assert_allclose(q.sum(axis=1), 1)
    certain = np.zeros((2, X.shape[1]))
    certain[0, 2] = 1e4  # of an absent class
    assert np.isfinite(np.log(cal.transform(certain))).all()
    assert np.isfinite(cal.uncertainty(X)).all()


def test_blocks_leave_no_seam() -> None:
    X, _, y = grouped(12_000)
    cal = SplitPointCalibrator(input="logits", n_scores=3).fit(X[:500], y[:500])
    rows = np.r_[0:3, 4_365:4_373, 11_999]
    for method in (cal.transform, cal.uncertainty, cal.entropy):
        np.testing.assert_array_equal(method(X)[rows], method(X[rows]))


def test_types_and_namespaces() -> None:
    X, _, y = grouped()
    X[:, 4] /= 1e4  # within half precision
    cal = SplitPointCalibrator(input="logits", n_scores=3).fit(X, y)
    for method in (cal.uncertainty, cal.entropy):
        expected = method(X)
        assert expected.shape == (600,)
        assert expected.min() >= 0
        single = method(X.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, expected, atol=1e-4)
        torch = pytest.importorskip("torch")
        tensor = method(torch.tensor(X))
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(tensor.numpy(), expected)
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcdef"))
    by_name = SplitPointCalibrator(input="logits", n_scores=3).fit(frame, y)
    np.testing.assert_array_equal(by_name.uncertainty(frame), cal.uncertainty(X))
    assert (cal.entropy(X) <= np.log(3) + 1e-12).all()


# ---------------------------------------------------------------------- options and files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": "linear"}, "heads must be one of 'ridge', 'hgb', 'torch'"),
        ({"mode": "median"}, "mode must be one of 'mean', 'authors'"),
        ({"split_point": "median"}, "split_point must be one of 'tempered', 'scores'"),
        ({"shrinkage": 1.5}, r"shrinkage must be 'cv' or a number in \[0, 1\]; got 1.5"),
        ({"shrinkage": "auto"}, "shrinkage must be 'cv'"),
        ({"shrinkage": True}, "shrinkage must be 'cv'"),
        ({"shrinkage": float("nan")}, "shrinkage must be 'cv'"),
        ({"threshold": 0.0}, r"threshold must lie in \(0, 1\)"),
        ({"n_scores": 0}, "n_scores must be >= 1"),
        ({"n_scores": 2.0}, "n_scores must be an integer"),
        ({"n_scores": 7}, "n_scores=7 but X has 6 columns"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    X, _, y = grouped(30)
    with pytest.raises(ValueError, match=message):
        SplitPointCalibrator(**{"input": "logits", "n_scores": 3, **options}).fit(X, y)


def test_files(tmp_path: Path) -> None:
    X, _, y = grouped(100)
    cal = SplitPointCalibrator(input="logits", n_scores=3).fit(X, y)
    with pytest.raises(TypeError, match=r"split_point cannot be saved as JSON.*skops or pickle"):
        save(cal, tmp_path / "cal.json")
    assert not (tmp_path / "cal.json").exists()
    pytest.importorskip("torch")
    from calib.export import to_torch

    with pytest.raises(TypeError, match="no pure map"):
        to_torch(cal)


def test_skops() -> None:
    skops = pytest.importorskip("skops.io")
    X, _, y = grouped(100)
    cal = SplitPointCalibrator(input="logits", n_scores=3).fit(X, y)
    data = skops.dumps(cal)
    same = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    np.testing.assert_array_equal(same.transform(X), cal.transform(X))


def test_wrapped_without_features() -> None:
    X, _, y = grouped()
    served = CalibratedClassifier(LogisticRegression(), "split_point", cv=3).fit(X[:, :3], y)
    assert served.uncertainty(X[:, :3]).shape == (600,)
