"""Scores of a simulated over-confident model; the true probabilities are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

#: Elements drawn at a time, so that drawing needs no second copy.
BLOCK = 1 << 20
#: Rows never used for fitting, on which quality is measured.
HELD_OUT = 20_000
#: Smallest probability that counts in a log loss.
FLOOR = 1e-300


@dataclass(frozen=True)
class Size:
    """Number of rows and classes; one class means one column of log-odds, no rows no data."""

    n_samples: int
    n_classes: int

    @property
    def n_elements(self) -> int:
        """Number of probabilities."""
        return max(1, self.n_samples) * max(2, self.n_classes)

    def __str__(self) -> str:
        kind = "binary" if self.n_classes == 1 else f"K={self.n_classes}"
        if self.n_samples < 2:
            return f"one row, {kind}" if self.n_samples else "a process"
        return f"n={self.n_samples:.1e}, {kind}".replace(".0e", "e").replace("e+0", "e")


@dataclass(frozen=True)
class Part:
    """Scores and labels of one set of rows; every form of the scores is made once, untimed."""

    logits: np.ndarray
    y: np.ndarray

    @cached_property
    def proba(self) -> np.ndarray:
        """Probabilities, of the positive class only where the scores are one column."""
        return expit(self.logits) if self.logits.ndim == 1 else softmax(self.logits, axis=1)

    @cached_property
    def log_odds(self) -> np.ndarray:
        """Log-odds of each class against the rest, what one-vs-rest methods should see."""
        if self.logits.ndim == 1:
            return self.logits
        p = self.proba
        return np.log(np.maximum(p, FLOOR)) - np.log(np.maximum(1 - p, 1e-17))

    @cached_property
    def logits_tensor(self) -> Any:
        """Logits as a tensor on the same memory."""
        return _tensor(self.logits)

    @cached_property
    def proba_tensor(self) -> Any:
        """Probabilities as a tensor on the same memory."""
        return _tensor(self.proba)

    @cached_property
    def y_tensor(self) -> Any:
        """Labels as a tensor on the same memory."""
        return _tensor(self.y)


def _tensor(array: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(array)


@dataclass(frozen=True)
class Data:
    """Rows for fitting, rows for judging, and the log loss of the true probabilities on these."""

    size: Size
    fit: Part
    test: Part
    true_log_loss: float


def make(size: Size, seed: int = 0) -> Data:
    """Draw labels from known probabilities and report them with twice the confidence."""
    rng = np.random.default_rng(seed)
    fit, _ = _draw(size.n_samples, size.n_classes, rng)
    test, loss = _draw(min(size.n_samples, HELD_OUT), size.n_classes, rng)
    return Data(size, fit, test, loss)


def _draw(n: int, n_classes: int, rng: np.random.Generator) -> tuple[Part, float]:
    if n_classes == 1:
        truth = rng.normal(scale=2.0, size=n) - 0.5
        y = (rng.random(n) < expit(truth)).astype(np.int64)
        return Part(2.0 * truth + 0.5, y), float(-log_expit((2 * y - 1) * truth).mean())
    logits = np.empty((n, n_classes))
    y = np.empty(n, dtype=np.int64)
    losses = np.empty(n)
    step = max(1, BLOCK // n_classes)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        z = rng.normal(size=(rows.stop - start, n_classes))
        index = np.arange(len(z))
        z[index, rng.integers(n_classes, size=len(z))] += math.log(n_classes) + 1.5
        y[rows] = np.argmax(z + rng.gumbel(size=z.shape), axis=1)
        losses[rows] = -log_softmax(z, axis=1)[index, y[rows]]
        logits[rows] = 2.0 * z
    return Part(logits, y), float(losses.mean())


def log_loss(y: np.ndarray, proba: np.ndarray) -> float:
    """Mean log loss in float64; the rows of some peers do not sum to one and are divided."""
    if proba.ndim == 1:
        picked = np.where(y == 1, proba, 1 - proba).astype(np.float64)
    else:
        picked = proba[np.arange(len(y)), y] / proba.sum(axis=1, dtype=np.float64)
    return float(-np.log(np.maximum(picked, FLOOR)).mean())


def brier(y: np.ndarray, proba: np.ndarray) -> float:
    """Mean squared distance from the one-hot label, summed over classes."""
    if proba.ndim == 1:
        return float(2 * ((proba - y) ** 2).mean())
    picked = proba[np.arange(len(y)), y]
    return float((np.einsum("ij,ij->i", proba, proba) - 2 * picked + 1).mean())
