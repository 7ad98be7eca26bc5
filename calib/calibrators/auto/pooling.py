"""Log-linear pools, ``p ~ prod_m p_m^(w_m)``, with weights on the simplex; arrays in one array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from calib._border.typing import Array, Float64Array, IntArray, Namespace
from calib._core import links

#: Predicted decrease of the mean loss that ends the iteration.
TOLERANCE = 1e-9
MAX_STEPS = 30


def pool(logs: Sequence[Array], weights: Sequence[float] | Array, xp: Namespace) -> Array:
    """Return the normalised product of powers of probabilities, from their logarithms."""
    total = weights[0] * logs[0]
    for weight, part in zip(weights[1:], logs[1:], strict=True):
        total = total + weight * part
    return links.softmax(total, xp)


def fit_pool(
    logs: Float64Array,
    codes: IntArray,
    weight: Float64Array,
    centre: Float64Array,
    pull: float = 0.0,
) -> Float64Array:
    """Return the weights of the log-linear pool with the smallest log loss.

    Parameters
    ----------
    logs : ndarray of shape (n_members, n_samples, n_classes)
        Logarithms of the members' probabilities.
    codes : ndarray of int, shape (n_samples,)
    weight : ndarray of shape (n_samples,)
    centre : ndarray of shape (n_members,)
        First weights, >= 0, sum 1.
    pull : float >= 0, default=0.0
        Half of it times the squared distance from `centre` is added to the total log loss, as if
        weights were normally distributed around it.

    Returns
    -------
    weights : ndarray of shape (n_members,)

    Notes
    -----
    Convex. Newton steps: the quadratic model is minimised over the simplex exactly enough by an
    active set, then the step is halved until the loss falls.
    """
    w = np.array(centre)
    total = float(weight.sum())
    if len(w) == 1 or total == 0.0:
        return w
    share, pull = weight / total, pull / total

    def model(w: Float64Array, *, curved: bool) -> tuple[float, Float64Array, Float64Array]:
        value, gradient, hessian = _model(logs, codes, share, w, curved=curved)
        distance = w - centre
        value += 0.5 * pull * float(distance @ distance)
        if curved:
            gradient, hessian = gradient + pull * distance, hessian + pull * np.eye(len(w))
        return value, gradient, hessian

    value, gradient, hessian = model(w, curved=True)
    for _ in range(MAX_STEPS):
        target = _quadratic_on_simplex(hessian, gradient - hessian @ w, w)
        step = target - w
        decrease = -float(gradient @ step)
        if decrease <= TOLERANCE:
            break
        length = 1.0
        while length > 1e-6:
            trial = w + length * step
            trial_value = model(trial, curved=False)[0]
            if trial_value <= value - 1e-4 * length * decrease:
                break
            length *= 0.5
        else:
            break
        w = trial
        value, gradient, hessian = model(w, curved=True)
    return w


def _model(
    logs: Float64Array,
    codes: IntArray,
    share: Float64Array,
    w: Float64Array,
    *,
    curved: bool,
) -> tuple[float, Float64Array, Float64Array]:
    """Return the mean log loss with its gradient and Hessian in the weights."""
    n_members, n, _ = logs.shape
    eta = np.tensordot(w, logs, axes=1)
    eta -= eta.max(axis=1, keepdims=True)
    index = np.arange(n)
    picked = eta[index, codes]
    proba = np.exp(eta)
    total = proba.sum(axis=1)
    value = float(share @ (np.log(total) - picked))
    if not curved:
        return value, np.empty(0), np.empty((0, 0))
    proba /= total[:, None]
    mean = np.einsum("mnk,nk->mn", logs, proba)
    gradient = (mean - logs[:, index, codes]) @ share
    root = np.sqrt(proba * share[:, None])
    centred = ((logs - mean[:, :, None]) * root).reshape(n_members, -1)
    return value, gradient, centred @ centred.T


def _quadratic_on_simplex(
    hessian: Float64Array, linear: Float64Array, start: Float64Array
) -> Float64Array:
    """Minimise ``w'Hw / 2 + b'w`` over the simplex from a feasible start, by an active set."""
    m = len(linear)
    ridge = 1e-10 * max(1.0, float(np.trace(hessian)) / m)
    curve = hessian + ridge * np.eye(m)
    w = np.array(start)
    free = w > 0
    for _ in range(10 * m):
        index = np.flatnonzero(free)
        size = len(index)
        system = np.zeros((size + 1, size + 1))
        system[:size, :size] = curve[np.ix_(index, index)]
        system[:size, size] = system[size, :size] = 1.0
        right = np.append(-linear[index], 1.0)
        target = np.zeros(m)
        target[index] = np.linalg.lstsq(system, right, rcond=None)[0][:size]
        falling = free & (target < w) & (target < 0)
        if falling.any():  # walk to the first wall and stay there
            ratio = np.full(m, np.inf)
            ratio[falling] = w[falling] / (w[falling] - target[falling])
            first = int(np.argmin(ratio))
            w = w + min(1.0, ratio[first]) * (target - w)
            w[first], free[first] = 0.0, False
            w = np.maximum(w, 0.0)
            w /= w.sum()
            continue
        w = np.maximum(target, 0.0)
        slope = curve @ w + linear
        level = float(slope[free].mean())
        outside = ~free
        if not outside.any() or slope[outside].min() >= level - 1e-12:
            break
        free[np.flatnonzero(outside)[np.argmin(slope[outside])]] = True
    return np.asarray(w / w.sum())


#: Most dimensions of a packed array.
MOST_DIMENSIONS = 3


def pack(groups: Sequence[Sequence[Any]]) -> tuple[IntArray, Float64Array]:
    """Write the numbers of groups of arrays one after the other.

    Parameters
    ----------
    groups : sequence of sequences of array-like

    Returns
    -------
    layout : ndarray of int, shape (n_arrays, 3 + MOST_DIMENSIONS)
        Group, first number, number of dimensions and lengths of every array.
    packed : ndarray of shape (n_numbers,)
        Never empty: a 0 stands for nothing.
    """
    rows, parts, start = [], [np.zeros(0)], 0
    for number, group in enumerate(groups):
        for value in group:
            array = np.asarray(value, dtype=np.float64)
            if array.ndim > MOST_DIMENSIONS:
                raise AssertionError(f"{array.ndim} dimensions cannot be packed")
            lengths = [*array.shape, *[0] * (MOST_DIMENSIONS - array.ndim)]
            rows.append([number, start, array.ndim, *lengths])
            parts.append(array.ravel())
            start += array.size
    packed = np.concatenate(parts) if start else np.zeros(1)
    layout = np.array(rows, dtype=np.int64).reshape(-1, 3 + MOST_DIMENSIONS)
    return layout, packed


def unpack(layout: IntArray | list[list[int]], packed: Array, group: int) -> list[Array]:
    """Return the arrays of one group, of the namespace and type of `packed`."""
    out = []
    rows = layout if isinstance(layout, list) else layout.tolist()
    for number, start, n_dimensions, *lengths in rows:
        if number == group:
            shape = tuple(lengths[:n_dimensions])
            out.append(packed[start : start + math.prod(shape)].reshape(shape))
    return out


def check_layout(layout: IntArray, packed: Float64Array, n_groups: int) -> None:
    """Raise a `ValueError` unless `pack` could have written this for as many groups."""
    start = 0
    for group, first, n_dimensions, *lengths in layout.tolist():
        used, unused = lengths[:n_dimensions], lengths[n_dimensions:]
        if group >= n_groups or first != start or n_dimensions > MOST_DIMENSIONS or any(unused):
            raise ValueError("layout_ does not describe arrays one after the other")
        start += math.prod(used)
    if max(1, start) != len(packed):
        raise ValueError(f"layout_ describes {start} numbers, packed_ has {len(packed)}")
