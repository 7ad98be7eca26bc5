"""Scores that a smooth curve calibrates."""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def distorted(n, seed=0):
    """Log-odds of a model that exaggerates one side only, labels, and true probabilities."""
    rng = np.random.default_rng(seed)
    s = rng.normal(0.0, 3.0, n)
    truth = expit(np.where(s > 0, 0.3 * s, s))
    return s, (rng.random(n) < truth).astype(int), truth
