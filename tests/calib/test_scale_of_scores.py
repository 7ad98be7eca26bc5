"""Decision scores of any scale: the ranking is kept, and so is the log loss."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from calib import CALIBRATORS, DegenerateScoresWarning, IsotonicCalibrator, make_calibrator

SCALES = [1e-6, 1e-3, 30.0, 1e3, 1e6, 1e20, 1e100, 1e300]
METHODS = [name for name in CALIBRATORS if name not in ("split_point", "h_calibration")]


def two_classes(n: int = 1200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = rng.normal(size=n)
    return s, (rng.random(n) < expit(0.3 + 1.7 * s)).astype(int)


def three_classes(n: int = 1500, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    return z, (1.7 * z + rng.gumbel(size=z.shape)).argmax(axis=1)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-300)).mean())


def fitted(method: str, z: np.ndarray, y: np.ndarray, half: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal = make_calibrator(method, input="logits").fit(z[:half], y[:half])
        return cal.transform(z[half:])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_two_classes(method: str, scale: float) -> None:
    s, y = two_classes()
    reference, p = fitted(method, s / s.std(), y, 600), fitted(method, s * scale, y, 600)
    auc = [roc_auc_score(y[600:], q[:, 1]) for q in (reference, p)]
    assert auc[1] >= auc[0] - 0.003
    assert log_loss(p, y[600:]) <= 1.01 * log_loss(reference, y[600:])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_three_classes(method: str, scale: float) -> None:
    z, y = three_classes()
    reference, p = fitted(method, z / z.std(), y, 750), fitted(method, z * scale, y, 750)
    accuracy = [(q.argmax(axis=1) == y[750:]).mean() for q in (reference, p)]
    assert accuracy[1] >= accuracy[0] - 0.015
    assert log_loss(p, y[750:]) <= 1.01 * log_loss(reference, y[750:])


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e300])
def test_isotonic_ranks_decision_scores_as_scikit_learn_does(scale: float, centred: bool) -> None:
    from sklearn.isotonic import IsotonicRegression

    s, y = two_classes()
    peer = IsotonicRegression(out_of_bounds="clip").fit(s[:600], y[:600]).predict(s[600:])
    cal = IsotonicCalibrator(input="logits", centred=centred).fit(scale * s[:600], y[:600])
    p = cal.transform(scale * s[600:])[:, 1]
    assert roc_auc_score(y[600:], p) >= roc_auc_score(y[600:], peer) - 0.002


@pytest.mark.parametrize("method", list(CALIBRATORS))
@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("source", ["logits", "proba", "float32 proba"])
def test_order_of_two_classes_does_not_matter(method: str, scale: float, source: str) -> None:
    s, y = two_classes(401, 5)
    s = scale * s
    z = np.stack([-0.5 * s, 0.5 * s], axis=1)
    if source != "logits":
        z = np.stack([expit(-s), expit(s)], axis=1)
        z = z.astype(np.float32) if source.startswith("float32") else z
    kind = source.rpartition(" ")[2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateScoresWarning)
        one = make_calibrator(method, input=kind).fit(z, y).transform(z)
        other = make_calibrator(method, input=kind).fit(z[:, ::-1], 1 - y).transform(z[:, ::-1])
    np.testing.assert_allclose(one, other[:, ::-1], atol=2e-6 if "32" in source else 1e-9)
