"""Labels with the probabilities of a calibrated model and of one that is too sharp."""

from __future__ import annotations

import numpy as np

MEASURES = [
    "log_loss",
    "brier",
    "accuracy",
    "expected_calibration_error",
    "adaptive_calibration_error",
    "overconfidence",
    "underconfidence",
]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def simulate(
    rng: np.random.Generator, n: int = 1500, n_classes: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = 1.5 * rng.normal(size=(n, n_classes))
    true = softmax(z)
    y = (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return y, true, softmax(2.5 * z)


def two_models(
    seed: int, n: int = 1500, n_classes: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, n_classes))
    true = softmax(z)
    y = (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, n_classes - 1)
    return y, true, softmax(2.5 * z)
