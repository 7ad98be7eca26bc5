"""Scores that are too sharp, of one model and of several."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax


def sharp(n: int = 500, n_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident logits with a few wrong labels, so that all three parts matter."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, n_classes))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    return 2.5 * z, np.where(rng.random(n) < 0.1, rng.integers(0, n_classes, n), y)


def parts(z: np.ndarray, temperature: float) -> np.ndarray:
    k = z.shape[1]
    return np.stack([softmax(z / temperature, axis=1), softmax(z, axis=1), np.full(z.shape, 1 / k)])
