"""Online Platt scaling: the map at rest, updates, files, modules, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from calib import CalibratedClassifier, OnlinePlattCalibrator, PlattCalibrator, load, save


def stream(n: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of a model that ages from row 1,000 on."""
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < np.where(np.arange(n) < 1000, p, p**2)).astype(int), p


def losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -np.log(np.where(y == 1, p, 1 - p))


@pytest.mark.parametrize("input", ["proba", "logits"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_updates_it_is_platt(input: Any, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(400, n_classes))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    X = z if input == "logits" else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    online = OnlinePlattCalibrator(input=input).fit(X, y)
    rest = PlattCalibrator(input=input).fit(X, y)
    np.testing.assert_array_equal(online.transform(X), rest.transform(X))
    assert online.n_updates_ == 0
    online.partial_fit(X, y)
    assert online.n_updates_ == 400
    assert not np.allclose(online.transform(X), rest.transform(X), atol=1e-6)
    np.testing.assert_array_equal(online.static_.transform(X), rest.transform(X))
    np.testing.assert_allclose(online.expert_weights_.sum(axis=1), 1)


@pytest.mark.parametrize("option", ["smooth_targets", "smooth_input"])
def test_smoothing_is_that_of_platt(option: str) -> None:
    y, p = stream(60)
    p[0] = 1e-4
    answers = []
    for value in (True, False):
        online = OnlinePlattCalibrator(**{option: value}).fit(p, y)
        answers.append(online.transform(p))
        rest = PlattCalibrator(**{option: value}).fit(p, y)
        np.testing.assert_array_equal(answers[-1], rest.transform(p))
    assert not np.allclose(*answers, atol=1e-4)


def test_it_follows_a_break() -> None:
    y, p = stream()
    cal = OnlinePlattCalibrator().fit(p[:1000], y[:1000])
    saved = 0.0
    for start in range(1000, 6000, 50):
        rows = slice(start, start + 50)
        served = cal.transform(p[rows])[:, 1]
        saved += (
            losses(y[rows], cal.static_.transform(p[rows])[:, 1]) - losses(y[rows], served)
        ).sum()
        cal.partial_fit(p[rows], y[rows])
    assert saved > 100
    assert cal.transform([0.5])[0, 1] == pytest.approx(0.25, abs=0.04)


def test_one_class_is_enough_for_an_update() -> None:
    y, p = stream(1200)
    cal = OnlinePlattCalibrator().fit(p[:1000], y[:1000])
    before = cal.transform([0.5])[0, 1]
    assert cal.partial_fit(p[1000:], np.zeros(200, dtype=int)).transform([0.5])[0, 1] < before


def test_the_first_call_fits() -> None:
    y, p = stream(1000)
    cal = OnlinePlattCalibrator().partial_fit(p, y, classes=[0, 1])
    np.testing.assert_array_equal(cal.transform(p), OnlinePlattCalibrator().fit(p, y).transform(p))
    with pytest.raises(NotFittedError):
        OnlinePlattCalibrator().transform(p)


def test_updates_go_on_after_a_file(tmp_path: Path) -> None:
    y, p = stream(2000)
    cal = OnlinePlattCalibrator().fit(p[:500], y[:500]).partial_fit(p[500:777], y[500:777])
    same = load(save(cal, tmp_path / "cal.json"))
    for one in (cal, same):
        one.partial_fit(p[777:], y[777:])
    np.testing.assert_array_equal(same.transform(p), cal.transform(p))


@pytest.mark.parametrize("n_classes", [2, 4])
def test_updated_maps_as_modules_and_graphs(n_classes: int, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    onnxruntime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx, to_torch

    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(n_classes), 600)
    y = np.array([rng.choice(n_classes, p=row) for row in p**2 / (p**2).sum(1, keepdims=True)])
    cal = OnlinePlattCalibrator().fit(p[:300], rng.permutation(y[:300])).partial_fit(p, y)
    expected = cal.transform(p)
    np.testing.assert_allclose(to_torch(cal)(torch.tensor(p)).numpy(), expected, atol=1e-12)
    to_onnx(cal, tmp_path / "cal.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "cal.onnx")
    (name,) = (one.name for one in session.get_inputs())
    (out,) = session.run(None, {name: p.astype(np.float32)})[:1]
    np.testing.assert_allclose(out, cal.transform(p.astype(np.float32)), atol=1e-6)
    single = np.vstack([cal.transform(p[k : k + 1]) for k in range(60)])
    np.testing.assert_array_equal(single, expected[:60])


@pytest.mark.parametrize(
    ("X", "y", "kwargs", "message"),
    [
        ([0.2, 1.5], [0, 1], {}, "outside"),
        ([0.2, np.nan], [0, 1], {}, "NaN"),
        ([0.2, 0.5], [0, 2], {}, "2"),
        ([0.2, 0.5], [0, np.nan], {}, "y"),
        ([0.2, 0.5], [0], {}, "y"),
        ([[0.2, 0.3, 0.5]], [0], {}, "3"),
        ([0.2, 0.5], [0, 1], {"classes": [0, 5]}, "classes"),
    ],
)
def test_a_refused_batch_changes_nothing(X: Any, y: Any, kwargs: Any, message: str) -> None:
    labels, p = stream(900)
    cal = OnlinePlattCalibrator().fit(p, labels).partial_fit(p, labels)
    before = cal.transform(p)
    with pytest.raises(ValueError, match=message):
        cal.partial_fit(X, y, **kwargs)
    assert cal.n_updates_ == 900
    np.testing.assert_array_equal(cal.transform(p), before)


@pytest.mark.parametrize("forget", [0, 1.1, "much", np.nan])
def test_forget(forget: Any) -> None:
    y, p = stream(300)
    with pytest.raises(ValueError, match="forget must"):
        OnlinePlattCalibrator(forget=forget).fit(p, y)


def test_the_wrapper_goes_on_learning_the_map_alone() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2))
    y = np.where(rng.random(3000) < 1 / (1 + np.exp(-X[:, 0])), "yes", "no")
    model = LogisticRegression().fit(X[:500], y[:500])
    wrapped = CalibratedClassifier(FrozenEstimator(model), "online_platt").fit(X[:800], y[:800])
    by_hand = OnlinePlattCalibrator(input="logits")
    odds = model.decision_function(X)[:, None]
    by_hand.fit(odds[:800], y[:800])
    flipped = np.where(y == "yes", "no", "yes")
    assert wrapped.partial_fit(X[800:2000], flipped[800:2000]) is wrapped
    by_hand.partial_fit(odds[800:2000], flipped[800:2000])
    np.testing.assert_allclose(
        wrapped.predict_proba(X[2000:]), by_hand.transform(odds[2000:]), atol=1e-12
    )
    assert np.mean(wrapped.predict(X[2000:]) == flipped[2000:]) > 0.6
    with pytest.raises(ValueError, match="maybe"):
        wrapped.partial_fit(X[:2], ["maybe", "no"])
    assert not hasattr(CalibratedClassifier(model, "platt"), "partial_fit")
    with pytest.raises(NotFittedError):
        CalibratedClassifier(model, "online_platt").partial_fit(X, y)
