"""Other class frequencies: corrected, estimated, tested, and refused where more has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from calib import (
    CalibratedClassifier,
    PriorShiftAdapter,
    PriorShiftWarning,
    TemperatureCalibrator,
    load,
    save,
    undersampled_prior,
)

MEANS = np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]])


def rows(
    n: int, prior: Any = (1 / 3, 1 / 3, 1 / 3), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return exact log-likelihoods of three normal classes, off by a factor, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=prior)
    x = MEANS[y] + rng.normal(size=(n, 3))
    return 1.5 * 2 * x, y


def fitted(n: int = 3000, **options: Any) -> PriorShiftAdapter:
    return PriorShiftAdapter(input="logits", **options).fit(*rows(n))


def log_loss(p: Any, y: np.ndarray) -> float:
    return float(-np.log(np.asarray(p)[np.arange(len(y)), y]).mean())


def test_before_adapting_it_is_the_calibrator() -> None:
    cal, (X, _) = fitted(), rows(50, seed=1)
    np.testing.assert_array_equal(cal.transform(X), cal.calibrator_.transform(X))
    assert not cal.adapted_
    np.testing.assert_array_equal(cal.prior_, cal.source_prior_)
    assert "call adapt" in cal.reason_


def test_a_known_prior_is_bayes_rule() -> None:
    cal, (X, _) = fitted(), rows(50, seed=1)
    new = cal.adapt(prior=[0.7, 0.2, 0.1])
    p = cal.calibrator_.transform(X) * np.array([0.7, 0.2, 0.1]) / cal.source_prior_
    np.testing.assert_allclose(new.transform(X), p / p.sum(axis=1, keepdims=True), atol=1e-15)
    assert new.adapted_
    assert not cal.adapted_
    same = cal.adapt(prior=cal.source_prior_).transform(X)
    np.testing.assert_allclose(same, cal.transform(X), atol=1e-15)
    by_name = cal.adapt(prior={2: 0.1, 0: 0.7, 1: 0.2})
    np.testing.assert_array_equal(by_name.prior_, new.prior_)


def test_the_prior_is_estimated_and_losses_fall() -> None:
    cal, prior = fitted(), (0.85, 0.1, 0.05)
    X, _ = rows(2000, prior, seed=2)
    new = cal.adapt(X)
    np.testing.assert_allclose(new.prior_, prior, atol=0.03)
    low, high = new.prior_interval_.T
    assert (low <= prior).all()
    assert (prior <= high).all()
    assert new.shift_test_.p_value < 1e-6
    assert new.fit_test_.p_value > 1e-3
    fresh, y = rows(4000, prior, seed=3)
    assert log_loss(new.transform(fresh), y) < log_loss(cal.transform(fresh), y) - 0.05


def test_without_shift_next_to_nothing_moves() -> None:
    cal = fitted()
    for seed in range(5):
        new = cal.adapt(rows(500, seed=10 + seed)[0])
        assert np.abs(new.prior_ - cal.source_prior_).max() < 0.05


def test_a_class_that_a_batch_lacks_stays_possible() -> None:
    cal = fitted()
    new = cal.adapt(rows(60, (0.5, 0.5, 0.0), seed=4)[0])
    assert new.prior_[2] > 0
    assert np.isfinite(log_loss(new.transform(rows(500, seed=5)[0]), rows(500, seed=5)[1]))


def test_shrinkage_is_a_number_of_rows() -> None:
    X, _ = rows(300, (0.8, 0.1, 0.1), seed=6)
    away = [
        np.abs(adapter.prior_ - adapter.source_prior_).sum()
        for adapter in (fitted(shrinkage=c).adapt(X) for c in (1.0, 300.0, 1e6))
    ]
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-3


def test_inputs_that_have_changed_are_refused_with_the_way_out() -> None:
    cal = fitted()
    X, _ = rows(2000, seed=7)
    with pytest.warns(PriorShiftWarning, match="uq.LikelihoodRatio"):
        new = cal.adapt(0.4 * X)
    assert not new.adapted_
    assert "more than class frequencies has changed" in new.reason_
    np.testing.assert_array_equal(new.transform(X), cal.transform(X))
    never = fitted(fit_level=0.0).adapt(0.4 * X)
    assert never.adapted_


def test_adapting_again_starts_from_the_source() -> None:
    cal = fitted()
    X, _ = rows(500, (0.8, 0.1, 0.1), seed=8)
    np.testing.assert_array_equal(
        cal.adapt(prior=[0.1, 0.1, 0.8]).adapt(X).prior_, cal.adapt(X).prior_
    )


def test_integer_weights_are_repetitions() -> None:
    X, y = rows(400)
    weight = np.random.default_rng(0).integers(0, 3, 400)
    twice = np.repeat(np.arange(400), weight)
    new = rows(300, (0.7, 0.2, 0.1), seed=9)[0]
    heavy = PriorShiftAdapter(input="logits").fit(X, y, weight).adapt(new)
    repeated = PriorShiftAdapter(input="logits").fit(X[twice], y[twice]).adapt(new)
    np.testing.assert_allclose(heavy.prior_, repeated.prior_, atol=1e-6)


@given(st.integers(0, 2**20))
def test_whatever_the_batch_priors_are_priors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rows(int(rng.integers(20, 200)), seed=seed)
    y[:3] = [0, 1, 2]
    cal = PriorShiftAdapter("temperature", input="logits", fit_level=0.0).fit(X, y)
    batch = rng.normal(size=(int(rng.integers(2, 100)), 3)) * rng.choice([0.1, 3.0, 100.0])
    new = cal.adapt(batch)
    assert (new.prior_ >= 0).all()
    assert new.prior_.sum() == pytest.approx(1)
    p = new.transform(batch)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    low, high = new.prior_interval_.T
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert (low <= high).all()


# ---------------------------------------------------------------------- two classes, other doors


def test_one_column_of_two_classes() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    z = rng.normal(size=2000) + 2 * y - 1
    cal = PriorShiftAdapter("platt", input="logits").fit(z, y)
    rare = (rng.random(3000) < 0.1).astype(int)
    new = cal.adapt(rng.normal(size=3000) + 2 * rare - 1)
    assert new.prior_[1] == pytest.approx(0.1, abs=0.04)
    known = cal.adapt(prior=[0.9, 0.1]).transform(z)
    assert known.shape == (2000, 2)


def test_the_correction_after_undersampling() -> None:
    prior = undersampled_prior([0.5, 0.5], [0.1, 1.0])
    np.testing.assert_allclose(prior, [10 / 11, 1 / 11])
    rng = np.random.default_rng(0)
    y = (rng.random(200_000) < 0.05).astype(int)
    z = rng.normal(size=len(y)) + 2 * y - 1
    kept = (y == 1) | (rng.random(len(y)) < 0.1)
    cal = PriorShiftAdapter("platt", input="logits").fit(z[kept], y[kept])
    new = cal.adapt(prior=undersampled_prior(cal.source_prior_, [0.1, 1.0]))
    p = new.transform(z)[:, 1]
    assert p.mean() == pytest.approx(0.05, abs=0.003)
    sampled, rate = cal.transform(z[:50])[:, 1], 0.1
    np.testing.assert_allclose(p[:50], rate * sampled / (rate * sampled + 1 - sampled), atol=1e-12)


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_classifier_adapts(ensemble: bool) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    X = rng.normal(size=(2000, 2)) + y[:, None]
    wrap = CalibratedClassifier(LogisticRegression(), PriorShiftAdapter(), ensemble=ensemble)
    wrap.fit(X, y)
    rare = (rng.random(1500) < 0.1).astype(int)
    new = wrap.adapt(rng.normal(size=(1500, 2)) + rare[:, None])
    assert new.pairs_[0][1].prior_[1] < 0.2
    assert not wrap.pairs_[0][1].adapted_
    assert new.predict_proba(X).mean(axis=0)[1] < wrap.predict_proba(X).mean(axis=0)[1]
    known = wrap.adapt(prior=[0.9, 0.1])
    assert all(calibrator.adapted_ for _, calibrator in known.pairs_)
    assert not hasattr(CalibratedClassifier(LogisticRegression(), "platt"), "adapt")
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    assert CalibratedClassifier(frozen, PriorShiftAdapter()).fit(X, y).adapt(X)


def test_files_give_the_same_map_and_adapt_the_same(tmp_path: Path) -> None:
    cal, batch = fitted(), rows(400, (0.7, 0.2, 0.1), seed=11)[0]
    for adapter in (cal, cal.adapt(batch), cal.adapt(prior=[0.5, 0.25, 0.25])):
        same = load(save(adapter, tmp_path / "cal.json"))
        np.testing.assert_array_equal(same.transform(batch), adapter.transform(batch))
        np.testing.assert_array_equal(same.adapt(batch).prior_, adapter.adapt(batch).prior_)
        assert same.reason_ == adapter.reason_
        assert same.fit_test_ == adapter.fit_test_
    text = (tmp_path / "cal.json").read_text(encoding="utf-8")
    (tmp_path / "bad.json").write_text(
        text.replace('"prior_": [', '"prior_": [9.0, '), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="prior_ must hold finite numbers"):
        load(tmp_path / "bad.json")


def test_exports_agree(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx, to_torch

    X = rows(200, seed=12)[0].astype(np.float32)
    for adapter in (fitted(), fitted().adapt(prior=[0.6, 0.3, 0.1])):
        expected = adapter.transform(X)
        np.testing.assert_allclose(to_torch(adapter)(torch.tensor(X)).numpy(), expected, atol=1e-6)
        to_onnx(adapter, tmp_path / "cal.onnx")
        session = runtime.InferenceSession(str(tmp_path / "cal.onnx"))
        (out,) = session.run(None, {session.get_inputs()[0].name: X})
        np.testing.assert_allclose(out, expected, atol=1e-6)


def test_tensors_tables_clones_and_other_calibrators() -> None:
    torch = pytest.importorskip("torch")
    pd = pytest.importorskip("pandas")
    X, y = rows(500)
    cal = PriorShiftAdapter(TemperatureCalibrator(), input="logits").fit(X, y)
    new = cal.adapt(prior=[0.6, 0.3, 0.1])
    out = new.transform(torch.tensor(X))
    np.testing.assert_allclose(out.numpy(), new.transform(X), atol=1e-12)
    frame = pd.DataFrame(X, columns=["0", "1", "2"])
    named = PriorShiftAdapter(input="logits").fit(frame, y)
    np.testing.assert_allclose(
        named.transform(frame[["2", "0", "1"]]), named.transform(frame), atol=0
    )
    assert clone(cal).get_params()["calibrator"].get_params() == {
        **TemperatureCalibrator().get_params()
    }
    assert "PriorShiftAdapter" in repr(cal)


# ---------------------------------------------------------------------- bad input


def test_adapting_before_a_fit() -> None:
    with pytest.raises(NotFittedError):
        PriorShiftAdapter().adapt(prior=[0.5, 0.5])


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        ([0.5, 0.5], "one frequency for each of 3 classes; got 2"),
        ([0.5, 0.6, -0.1], "prior must be >= 0; got -0.1"),
        ([0.5, 0.3, 0.3], "prior must sum to 1; got 1.1"),
        ([50, 30, 20], "look like percentages"),
        ([0.5, 0.5, np.nan], "NaN"),
        ({0: 0.5, 1: 0.5}, "prior must have the classes"),
        ("a third each", "prior must hold numbers"),
    ],
)
def test_bad_priors_are_named(prior: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fitted().adapt(prior=prior)


def test_neither_and_both_and_too_few() -> None:
    cal, (X, _) = fitted(), rows(5)
    with pytest.raises(ValueError, match="got neither"):
        cal.adapt()
    with pytest.raises(ValueError, match="got both"):
        cal.adapt(X, prior=[0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match="X has 1 row"):
        cal.adapt(X[:1])
    with pytest.raises(ValueError, match="3"):
        cal.adapt(X[:, :2])


def test_a_prior_of_0_is_allowed_and_told() -> None:
    X, _ = rows(20)
    with pytest.warns(PriorShiftWarning, match=r"classes \[2\] have prior 0"):
        new = fitted().adapt(prior=[0.5, 0.5, 0.0])
    assert (new.transform(X)[:, 2] == 0).all()
    np.testing.assert_allclose(new.transform(X).sum(axis=1), 1)


def test_a_class_that_the_calibration_set_lacks_keeps_its_frequency() -> None:
    X, y = rows(600)
    some = y < 2
    cal = PriorShiftAdapter("temperature", input="logits").fit(X[some], y[some], labels=[0, 1, 2])
    with pytest.warns(PriorShiftWarning, match=r"classes \[2\] are absent"):
        new = cal.adapt(rows(300, (0.8, 0.2, 0.0), seed=13)[0])
    assert new.prior_[2] == pytest.approx(cal.source_prior_[2])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shrinkage": 0}, "shrinkage must be 'empirical_bayes' or a number > 0"),
        ({"shrinkage": "bayes"}, "shrinkage must be a number"),
        ({"fit_level": 1.0}, r"fit_level must lie in \[0, 1\)"),
        ({"confidence_level": 95}, "confidence_level"),
        ({"calibrator": 3}, "calibrator must be a registry name or a calibrator instance"),
        ({"calibrator": "vector"}, "unknown calibrator 'vector'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fitted(100, **options)


@pytest.mark.parametrize(
    ("prior", "rate", "text"),
    [
        ([0.5, 0.5], [0.1], "one number per class"),
        ([0.5, 0.4], [0.1, 1], "sum to 1"),
        ([0.5, 0.5], [0.0, 1], r"keep_rate must lie in \(0, 1\]"),
        ([0.5, 0.5], [10, 100], "look like percentages"),
    ],
)
def test_thinning_is_checked(prior: list[float], rate: list[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        undersampled_prior(prior, rate)


# ---------------------------------------------------------------------- promises, by simulation


@pytest.mark.slow
def test_never_harm_levels_and_coverage() -> None:
    change, rejected, held, refused = [], [], [], []
    for seed in range(200):
        cal = PriorShiftAdapter(input="logits").fit(*rows(500, seed=seed))
        new = cal.adapt(rows(300, seed=1000 + seed)[0])
        rejected.append(new.shift_test_.p_value < 0.05)
        X, y = rows(4000, seed=5000 + seed)
        change.append(log_loss(new.transform(X), y) - log_loss(cal.transform(X), y))
        prior = np.random.default_rng(seed).dirichlet([1, 1, 1])
        moved = cal.adapt(rows(1000, prior, seed=9000 + seed)[0])
        refused.append(not moved.adapted_)
        low, high = moved.prior_interval_.T
        held.append((low <= prior) & (prior <= high))
    assert np.mean(change) < 0.0005
    assert np.quantile(change, 0.99) < 0.02
    assert 0.01 < np.mean(rejected) < 0.1
    assert np.mean(held) > 0.92
    assert np.mean(refused) <= 0.01


def test_softmax_of_logarithms_is_what_is_calculated() -> None:
    cal, X = fitted(), rows(20)[0]
    new = cal.adapt(prior=[0.2, 0.3, 0.5])
    log = np.log(cal.transform(X)) + np.log(new.prior_ / cal.source_prior_)
    np.testing.assert_allclose(new.transform(X), softmax(log, axis=1), atol=1e-12)
