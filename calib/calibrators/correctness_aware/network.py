"""A tiny network from the behaviour of the top classes to one temperature per sample.

Its gradient is written out, so that NumPy fits it. Without any learning the
temperature is the one that it starts from, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.special import expit

from calib._border.arrays import row_blocks
from calib._border.random import scrambled
from calib._border.typing import Array, Float64Array, IntArray, LabelArray, Namespace
from calib._core import links

#: What is added to a probability before its logarithm is taken.
FLOOR = 1e-4
#: Rows are told apart by numbers rounded to this, up to so many steps of it.
RESOLUTION, MOST_STEPS = 2.0**-24, 2.0**62
#: Decay of the means of gradients and of their squares, and what keeps steps finite (Adam).
MEAN_DECAY, SQUARE_DECAY, LEAST_SIZE = 0.9, 0.999, 1e-8

Loss: TypeAlias = Literal["correctness", "log_loss"]


# ---------------------------------------------------------------------- the map, in any namespace


def n_blocks(n_views: int, include_original: bool) -> int:
    """Return how many versions of a sample feed the network; the original where it is alone."""
    return n_views + (include_original or n_views == 0)


def behaviour(
    logits: Array, n_views: int, top_k: int, options: Mapping[str, Any], xp: Namespace
) -> Array:
    """Return what versions of a sample say of the classes that are on top in the original.

    Parameters
    ----------
    logits : array of shape (n, (1 + n_views) * n_classes)
        The original, then the views.
    n_views : int
    top_k : int
        Classes that are looked at, at most n_classes.
    options : mapping
        ``include_original`` and ``features`` of the calibrator.
    xp : namespace

    Returns
    -------
    features : array of shape (n, n_blocks * top_k)
        Probabilities or their logarithms, class by class in falling order of the original logits
        (ties: the earlier class first) within every version.
    """
    n_classes = logits.shape[1] // (1 + n_views)
    remaining = logits[:, :n_classes]
    numbers = xp.expand_dims(xp.arange(n_classes, device=getattr(logits, "device", None)), axis=0)
    tops = []
    for _ in range(top_k):
        is_top = numbers == xp.expand_dims(xp.argmax(remaining, axis=1), axis=1)
        tops.append(is_top)
        remaining = xp.where(is_top, xp.full_like(remaining, -math.inf), remaining)
    columns = []
    for version in range(1 + n_views - n_blocks(n_views, options["include_original"]), 1 + n_views):
        start = version * n_classes
        proba = links.softmax(logits[:, start : start + n_classes], xp)
        for is_top in tops:
            columns.append(xp.sum(xp.where(is_top, proba, xp.zeros_like(proba)), axis=1))
    gathered = xp.stack(columns, axis=1)
    return xp.log(gathered + FLOOR) if options["features"] == "log_proba" else gathered


def softplus(x: Array, xp: Namespace) -> Array:
    """Return ``log(1 + exp(x))`` without overflow."""
    return xp.clip(x, 0.0, None) + xp.log1p(xp.exp(-xp.abs(x)))


def temperatures(features: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    """Return ``T0 + softplus(offset + move) - softplus(offset)``, cut at its bounds.

    The offset is the one at which the lowest temperature plus its softplus is T0; a network that
    moves nothing gives exactly T0.
    """
    hidden = xp.clip(features @ fitted["hidden_weights_"] + fitted["hidden_bias_"], 0.0, None)
    move = hidden @ fitted["output_weights_"] + fitted["output_bias_"]
    offset, bounds = fitted["offset_"], fitted["bounds_"]
    out = fitted["temperature_"] + softplus(offset + move, xp) - softplus(offset, xp)
    return xp.minimum(xp.maximum(out, bounds[0]), bounds[1])


def offset_of(temperature: float, lowest: float) -> float:
    """Return x with ``lowest + softplus(x) = temperature``; 0 where there is none."""
    gap = temperature - lowest
    if not gap > 0:
        return 0.0
    return float(gap + np.log(-np.expm1(-gap)))


# ---------------------------------------------------------------------- the fit


@dataclass(frozen=True)
class NetworkSample:
    """Rows of a fit, in an order that their content alone decides; equal rows are one.

    Attributes
    ----------
    features : ndarray of shape (n, n_inputs)
        What the network reads.
    logits : ndarray of shape (n, n_classes)
        Of the original, minus the largest of the row, falling.
    true : ndarray of shape (n,)
        That of the true class, the mean over shares of the classes.
    right : ndarray of shape (n,)
        1 where the predicted class is the true one, else 0; its share of soft targets, and the
        share of right guesses where several classes are on top.
    weight : ndarray of shape (n,)
        Positive weights.
    """

    features: Float64Array
    logits: Float64Array
    true: Float64Array
    right: Float64Array
    weight: Float64Array

    def take(self, rows: LabelArray) -> NetworkSample:
        """Return some of the rows."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items()})

    def balanced(self, accuracy: float) -> NetworkSample:
        """Return the rows with as much weight on what is right as on what is wrong."""
        right = self.right * (1.0 - accuracy)
        total = right + (1.0 - self.right) * accuracy
        true = self.true * (accuracy / total)  # it is 0 of the class on top
        return replace(self, true=true, right=right / total, weight=self.weight * total)

    def canonical(self) -> NetworkSample:
        """Return the rows in the order of a hash of them, equal ones with the sum of their weights.

        However samples and classes are ordered, and whether rows are repeated or weighted, the
        result is the same.
        """
        hashes = np.empty(len(self.right), dtype=np.uint64)
        for rows in row_blocks(*self.logits.shape):
            parts = (self.features[rows], self.logits[rows], self.true[rows, None])
            numbers = np.column_stack([*parts, self.right[rows]])
            steps = np.rint(np.clip(numbers / RESOLUTION, -MOST_STEPS, MOST_STEPS))
            factors = scrambled(np.arange(1, steps.shape[1] + 1, dtype=np.uint64))
            hashes[rows] = (steps.astype(np.int64).view(np.uint64) * factors).sum(axis=1)
        _, first, group = np.unique(scrambled(hashes), return_index=True, return_inverse=True)
        return replace(self.take(first), weight=np.bincount(group, self.weight).astype(np.float64))


def loss_and_slopes(
    sample: NetworkSample, temperature: Float64Array, loss: Loss
) -> tuple[float, Float64Array]:
    """Return the mean of weight times loss and its derivative in the temperature of every row.

    ``"correctness"`` is ``(c - a)^2`` with the top confidence c and a = 1 where the sample is
    right, else 0, with ``dc/dT = -(c / T^2) (z_top - sum_k p_k z_k)``; ``"log_loss"`` is
    ``-log p_y``.
    """
    share = sample.weight / len(sample.weight)
    values, slopes = np.empty(len(share)), np.empty(len(share))
    for rows in row_blocks(*sample.logits.shape):
        z, t = sample.logits[rows], temperature[rows]
        p = np.exp(z / t[:, None])
        total = p.sum(axis=1)
        mean = np.einsum("ij,ij->i", p, z) / total
        if loss == "correctness":
            confidence = 1.0 / total
            gap = confidence - sample.right[rows]
            values[rows] = gap * gap
            slopes[rows] = 2.0 * gap * (confidence / (t * t)) * mean
        else:
            true = sample.true[rows]
            values[rows] = np.log(total) - true / t
            slopes[rows] = (true - mean) / (t * t)
    return float(values @ share), slopes * share


@dataclass(frozen=True)
class Start:
    """The temperature that a fit starts from, and the range of the others."""

    temperature: float
    offset: float
    bounds: Float64Array
    hidden: int

    def arrays(self, x: Float64Array, n_inputs: int) -> dict[str, Any]:
        """Return the fitted arrays that a vector of parameters stands for."""
        size = n_inputs * self.hidden
        return {
            "hidden_weights_": x[:size].reshape(n_inputs, self.hidden),
            "hidden_bias_": x[size : size + self.hidden],
            "output_weights_": x[size + self.hidden : size + 2 * self.hidden],
            "output_bias_": x[-1],
            "temperature_": self.temperature,
            "offset_": self.offset,
            "bounds_": self.bounds,
        }

    def parameters(self, n_inputs: int, rng: np.random.Generator | None) -> Float64Array:
        """Return parameters that move nothing, with random weights of the hidden layer."""
        x = np.zeros((n_inputs + 2) * self.hidden + 1)
        if rng is not None:
            size = n_inputs * self.hidden
            x[:size] = rng.standard_normal(size) * np.sqrt(2.0 / n_inputs)
        return x


def objective(
    sample: NetworkSample, start: Start, loss: Loss
) -> Callable[[Float64Array], tuple[float, Float64Array]]:
    """Return the function of the parameters that gives the mean loss and its gradient."""
    n_inputs = sample.features.shape[1]

    def evaluate(x: Float64Array) -> tuple[float, Float64Array]:
        fitted = start.arrays(x, n_inputs)
        hidden = np.maximum(sample.features @ fitted["hidden_weights_"] + fitted["hidden_bias_"], 0)
        moved = start.offset + hidden @ fitted["output_weights_"] + fitted["output_bias_"]
        t = start.temperature + softplus(moved, np) - softplus(np.float64(start.offset), np)
        inside = (t > start.bounds[0]) & (t < start.bounds[1])
        value, slope = loss_and_slopes(sample, np.clip(t, *start.bounds), loss)
        slope = np.where(inside, slope * expit(moved), 0.0)
        back = slope[:, None] * fitted["output_weights_"] * (hidden > 0)
        gradient = np.concatenate(
            [(sample.features.T @ back).ravel(), back.sum(axis=0), slope @ hidden, [slope.sum()]]
        )
        return value, gradient

    return evaluate


@dataclass(frozen=True)
class Trained:
    """Parameters that are best on the rows held out.

    Attributes
    ----------
    x : ndarray of shape (n_parameters,)
    n_epochs : int
        Epochs after which they were reached; 0 for the start.
    """

    x: Float64Array
    n_epochs: int


def train(
    sample: NetworkSample,
    held_out: NetworkSample,
    start: Start,
    loss: Loss,
    *,
    learning_rate: float,
    max_epochs: int,
    batch_size: int,
    patience: int,
    rng: np.random.Generator,
) -> Trained:
    """Take Adam steps on batches of the sample; keep the epoch that is best on the rows held out.

    L-BFGS on all rows was tried: its first steps are so long that stopping early has few steps to
    choose from, and results vary more from seed to seed.
    """
    judge = objective(held_out, start, loss)
    x = start.parameters(sample.features.shape[1], rng)
    best, kept, kept_at = judge(x)[0], x.copy(), 0
    mean, square, n_steps = np.zeros_like(x), np.zeros_like(x), 0
    for epoch in range(1, max_epochs + 1):
        order = rng.permutation(len(sample.right))
        for first in range(0, len(order), batch_size):
            batch = sample.take(order[first : first + batch_size])
            gradient = objective(batch, start, loss)(x)[1]
            n_steps += 1
            mean += (1.0 - MEAN_DECAY) * (gradient - mean)
            square += (1.0 - SQUARE_DECAY) * (gradient * gradient - square)
            size = np.sqrt(square / (1.0 - SQUARE_DECAY**n_steps)) + LEAST_SIZE
            x = x - learning_rate / (1.0 - MEAN_DECAY**n_steps) * mean / size
        value = judge(x)[0]
        if value < best:
            best, kept, kept_at = value, x.copy(), epoch
        elif epoch - kept_at >= patience:
            break
    return Trained(kept, kept_at)


def split(
    sample: NetworkSample, share: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return rows to fit on and rows held out: a share of the weight of right and of wrong ones.

    Rows that are mostly right count as right.
    """
    held_out = np.zeros(len(sample.right), dtype=bool)
    for value in (False, True):
        rows = rng.permutation(np.flatnonzero((sample.right >= 0.5) == value))
        if not len(rows):
            continue
        mass = np.cumsum(sample.weight[rows])
        n_held_out = int(np.searchsorted(mass, share * mass[-1]))
        held_out[rows[: min(max(1, n_held_out), len(rows) - 1)]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
