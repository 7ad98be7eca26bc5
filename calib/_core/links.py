"""Links between logits and probabilities, written once for every array namespace.

All functions take the namespace as their last argument and keep the floating type and the device
of their input. Rows are samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from calib._border.typing import Array, Domain, InputKind, Namespace

#: Logarithm of the smallest normal float32: the floor of recovered log-probabilities. A floor this
#: far below the customary 1e-7...1e-15 keeps confident errors visible (CalArena, arXiv 2605.30188).
LOG_FLOOR = float(np.log(np.finfo(np.float32).tiny))
#: The probability that belongs to it.
PROBA_FLOOR = float(np.finfo(np.float32).tiny)


def softmax(logits: Array, xp: Namespace) -> Array:
    """Return ``exp(z) / sum(exp(z))`` row by row, shape (n_samples, n_classes)."""
    shifted = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    return shifted / xp.sum(shifted, axis=1, keepdims=True)


def log_softmax(logits: Array, xp: Namespace) -> Array:
    """Return the logarithm of `softmax` without leaving the log scale."""
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))


def expit(log_odds: Array, xp: Namespace) -> Array:
    """Return ``1 / (1 + exp(-s))`` without overflow."""
    decay = xp.exp(-xp.abs(log_odds))
    return xp.where(log_odds >= 0, xp.ones_like(decay), decay) / (1 + decay)


def logits_from_proba(proba: Array, xp: Namespace) -> Array:
    """Return ``log p`` with zeros (and negative rounding errors) raised to `PROBA_FLOOR`."""
    return xp.log(xp.clip(proba, PROBA_FLOOR, None))


def both_columns(scores: Array, source: InputKind, xp: Namespace) -> Array:
    """Turn scores of the positive class, shape (n_samples, 1), into two columns.

    Log-odds ``s`` become ``[0, s]``, a probability ``p`` becomes ``[1 - p, p]``.
    """
    if source == "logits":
        return xp.concat([xp.zeros_like(scores), scores], axis=1)
    return xp.concat([1 - scores, scores], axis=1)


def convert(scores: Array, source: InputKind, domain: Domain, xp: Namespace) -> Array:
    """Bring scores of shape (n_samples, n_classes) from the declared kind to the wanted one."""
    if domain in (source, "declared"):
        return scores
    return softmax(scores, xp) if domain == "proba" else logits_from_proba(scores, xp)


def binary_log_odds(logits: Array) -> Array:
    """Return the log-odds of the second of two columns, shape (n_samples,)."""
    return logits[:, 1] - logits[:, 0]


def log_odds_one_vs_rest(logits: Array, xp: Namespace) -> Array:
    """Return ``log p_k - log(1 - p_k)`` of every class, shape (n_samples, n_classes).

    For the largest logit of a row, ``1 - p`` is summed over the other classes with their own
    maximum taken out, so nothing cancels and nothing underflows, however confident the row is.
    """
    n_classes = logits.shape[1]
    if n_classes == 2:
        s = xp.expand_dims(binary_log_odds(logits), axis=1)
        return xp.concat([-s, s], axis=1)
    z = logits - xp.max(logits, axis=1, keepdims=True)
    order = xp.arange(n_classes, device=getattr(z, "device", None))
    is_top = xp.expand_dims(order, axis=0) == xp.expand_dims(xp.argmax(z, axis=1), axis=1)
    exponentials = xp.exp(z)
    total = xp.sum(exponentials, axis=1, keepdims=True)
    others = xp.where(is_top, xp.full_like(z, -math.inf), z)
    runner_up = xp.max(others, axis=1, keepdims=True)
    rest_of_top = runner_up + xp.log(xp.sum(xp.exp(others - runner_up), axis=1, keepdims=True))
    rest = xp.log(xp.where(is_top, xp.ones_like(z), total - exponentials))
    return z - xp.where(is_top, rest_of_top, rest)


def smooth(proba: Array, share: Array) -> Array:
    """Mix with the uniform distribution: ``(1 - share) p + share / K`` (Laplace smoothing).

    With ``share = 1 / (n + 1)`` for n calibration samples the log loss of any sample stays below
    ``log(K (n + 1))``.
    """
    return (1 - share) * proba + share / proba.shape[1]


def smoothed_logits(logits: Array, share: Array, xp: Namespace) -> Array:
    """Return the logarithm of the smoothed probabilities; share 0 changes nothing."""
    if xp is np and share == 0:  # elsewhere the answer may not decide what is computed
        return logits
    proba = smooth(softmax(logits, xp), share)
    return xp.where(share > 0, xp.log(xp.where(share > 0, proba, xp.ones_like(proba))), logits)


def bounded_log_odds(s: Array, share: Array, xp: Namespace) -> Array:
    """Return the log-odds of ``(1 - share) p + share / 2`` for ``p = expit(s)``.

    With a share ``2 exp(-B)`` they lie within about ``-B`` and ``B``; share 0 changes nothing.
    Laplace smoothing of the input: what a probability of exactly 0 or 1, or a wildly confident
    one, can say is limited, and moderate log-odds stay almost where they are.
    """
    decay = xp.exp(-xp.abs(s))
    half = 0.5 * share * (1 + decay)
    small = (1 - share) * decay + half
    bounded = xp.log(((1 - share) + half) / xp.where(small > 0, small, xp.ones_like(small)))
    return xp.where(share > 0, xp.where(s >= 0, bounded, -bounded), s)


def renormalise(scores: Array, fallback: Array, xp: Namespace) -> Array:
    """Divide non-negative rows by their sums; a row that sums to zero keeps `fallback`."""
    total = xp.sum(scores, axis=1, keepdims=True)
    empty = total <= 0
    return xp.where(empty, fallback, scores / xp.where(empty, xp.ones_like(total), total))


def interpolate(x: Array, knots: Array, values: Array, xp: Namespace) -> Array:
    """Interpolate linearly between ascending knots, constant beyond both ends.

    Parameters
    ----------
    x : array of shape (n,)
    knots, values : array of shape (n_knots,)
        A repeated last knot is padding and changes nothing.
    """
    last = knots.shape[0] - 1
    if last == 0:
        return xp.zeros_like(x) + values[0]
    x = 1.0 * x  # contiguous: torch warns about searching a strided column
    right = xp.clip(xp.searchsorted(knots, x, side="right"), 1, last)
    left = right - 1
    x0, y0 = xp.take(knots, left, axis=0), xp.take(values, left, axis=0)
    width = xp.take(knots, right, axis=0) - x0
    flat = width <= 0
    share = (x - x0) / xp.where(flat, xp.ones_like(width), width)
    return y0 + xp.clip(share, 0.0, 1.0) * (xp.take(values, right, axis=0) - y0)


#: Knots, values and side of one step function.
StepTable: TypeAlias = tuple[Array, Array, Literal["left", "right"]]
#: Points from which NumPy sorts them and looks the knots up among them instead.
SORT_FROM = 1024


def step_functions(x: Array, tables: Sequence[StepTable], xp: Namespace) -> list[Array]:
    """Evaluate step functions at the same points.

    Parameters
    ----------
    x : array of shape (n,)
    tables : sequence of (knots, values, side)
        Ascending knots of shape (n_knots,), values of shape (n_knots + 1,). With side ``"left"`` a
        step counts beyond its knot, with ``"right"`` at the knot already.

    Returns
    -------
    values : list of array of shape (n,)
    """
    if xp is np and len(x) >= SORT_FROM:
        order = np.argsort(x)
        ordered = x[order]
        found = []
        for knots, values, side in tables:
            reached = np.searchsorted(ordered, knots, side="right" if side == "left" else "left")
            out = np.empty(len(x), dtype=values.dtype)
            out[order] = np.repeat(values, np.diff(reached, prepend=0, append=len(x)))
            found.append(out)
        return found
    x = 1.0 * x  # contiguous: torch warns about searching a strided column
    return [
        xp.take(values, xp.searchsorted(knots, x, side=side), axis=0)
        for knots, values, side in tables
    ]
