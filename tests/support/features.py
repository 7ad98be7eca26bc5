"""Scores whose miscalibration depends on a feature."""

from __future__ import annotations

import numpy as np


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def grouped(
    n: int = 600, n_classes: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that miss what a feature knows: X with 3 features, the logits, labels."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, n_classes))
    features = rng.normal(size=(n, 3)) * [1.0, 1e4, 1e-4] + [0.0, 5e4, 0.0]
    true = z + 1.5 * features[:, :1] * np.linspace(-1, 1, n_classes)
    y = (true + rng.gumbel(size=z.shape)).argmax(axis=1)
    return np.hstack([z, features]), z, y
