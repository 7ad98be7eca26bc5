"""Scores that a linear map calibrates."""

from __future__ import annotations

import numpy as np


def synthetic(n=600, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, n_classes))
    mixing = np.eye(n_classes) + 0.4 * rng.normal(size=(n_classes, n_classes))
    y = (z @ mixing.T + rng.gumbel(size=z.shape)).argmax(axis=1)
    return 2.0 * z, y
