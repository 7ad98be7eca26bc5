"""Hidden states whose layers know more or less about an answer, and a network that has some."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier


def layered_states(
    n: int, d: int, n_layers: int = 3, *, informative: int = 1, seed: int = 0, gain: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """States (n, n_layers, d) of which one layer says whether the answer is right, and which are.

    All layers vary along strong directions that have nothing to do with the answer.
    """
    rng = np.random.default_rng(seed)
    correct = (rng.random(n) < 0.65).astype(int)
    states = rng.normal(size=(n, n_layers, d))
    strong = rng.normal(size=(n, n_layers, 3)) * 4
    states += np.einsum("nlk,lkd->nld", strong, rng.normal(size=(n_layers, 3, d)))
    states[:, informative, : min(d, 4)] += gain * (correct - 0.65)[:, None]
    return states, correct


def digits_network(seed: int, n_train: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states (n, 2, 64), right or wrong, and maximum probability of a network of digits.

    Half of the labels that it is trained on are drawn at random; the rows returned are others.
    """
    X, digits = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    X, digits = X[order] / 16, digits[order]
    noisy = digits[:n_train].copy()
    drawn = rng.random(n_train) < 0.5
    noisy[drawn] = rng.integers(10, size=int(drawn.sum()))
    network = MLPClassifier((64, 64), random_state=seed)
    for _ in range(150):
        network.partial_fit(X[:n_train], noisy, classes=np.arange(10))
    layers, rows = [], X[n_train:]
    for weights, offset in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        rows = np.maximum(rows @ weights + offset, 0)
        layers.append(rows)
    proba = network.predict_proba(X[n_train:])
    correct = (proba.argmax(axis=1) == digits[n_train:]).astype(int)
    return np.stack(layers, axis=1), correct, proba.max(axis=1)
