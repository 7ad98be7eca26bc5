"""Toys of measures without bins, and two of these measures by their definitions."""

from __future__ import annotations

import numpy as np
from scipy.stats import dirichlet

Toy = tuple[np.ndarray, np.ndarray]


def toy_a() -> Toy:
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    u = ((i + 1) * (np.sqrt(5) - 1) / 2) % 1
    return (u < p**1.5).astype(int), p


def toy_b() -> Toy:
    i = np.arange(1000)
    p = 0.02 + 0.96 * ((i + 0.5) / 1000) ** 2
    q = 1 / (1 + np.exp(-(0.5 * np.log(p / (1 - p)) + 0.3)))
    return (((i + 1) * np.sqrt(2)) % 1 < q).astype(int), p


def skewed() -> Toy:
    """1200 scores of two classes, many of them near 0 and 1."""
    rng = np.random.default_rng(7)
    p = rng.beta(0.7, 0.9, 1200)
    return (rng.random(1200) < p**1.4).astype(int), p


def inner_points(rng: np.random.Generator) -> Toy:
    """40 samples of three classes, none at the border of the simplex."""
    p = rng.dirichlet(np.full(3, 0.8), 40).clip(1e-4)
    return rng.integers(0, 3, 40), p / p.sum(axis=1, keepdims=True)


def tied_points(rng: np.random.Generator) -> Toy:
    """70 samples of three classes, 30 of them twice."""
    p = rng.dirichlet(np.ones(3), 70)
    p[40:] = p[:30]
    return rng.integers(0, 3, 70), p


def leave_one_out(y: np.ndarray, p: np.ndarray, h: float, norm: int) -> float:
    """ECE-KDE by the definition, kernel by kernel."""
    kernel = np.array([[dirichlet.pdf(a, b / h + 1) for b in p] for a in p])
    np.fill_diagonal(kernel, 0.0)
    rate = kernel @ np.eye(p.shape[1])[y] / kernel.sum(axis=1, keepdims=True)
    return float(np.mean((np.abs(rate - p) ** norm).sum(axis=1)) ** (1 / norm))


def all_pairs(y: np.ndarray, p: np.ndarray, width: float) -> np.ndarray:
    """The matrix h of the definition of the kernel error."""
    residual = np.eye(p.shape[1])[y] - p
    distance = 0.5 * np.abs(p[:, None] - p[None]).sum(axis=2)
    return (residual @ residual.T) * np.exp(-distance / width)
