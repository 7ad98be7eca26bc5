"""Toys."""

from __future__ import annotations

import numpy as np

from calib.evaluation import (
    CalibrationAccumulator,
)


def sample(n: int, n_classes: int, seed: int = 0, sharp: float = 1.4):
    """Probabilities that are too sharp, labels, weights."""
    rng = np.random.default_rng(seed)
    z = 2.0 * rng.normal(size=(n, n_classes))
    p, q = (np.exp(scale * z) for scale in (sharp, 1.0))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    y = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return np.minimum(y, n_classes - 1), p, rng.exponential(size=n)


def accumulate(y, p, w=None, size: int = 777, **options) -> CalibrationAccumulator:
    n_classes = 2 if p.ndim == 1 else p.shape[1]
    total = CalibrationAccumulator(n_classes, **options)
    for start in range(0, len(y), size):
        rows = slice(start, start + size)
        total.update(y[rows], p[rows], None if w is None else w[rows])
    return total
