"""Links between logits and probabilities, written once for every array namespace.

All functions take the namespace as their last argument and keep the floating type and the device
of their input. Rows are samples.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Literal, TypeAlias

import numpy as np

from calib._border.arrays import LOGIT_LIMIT, PROBA_FLOOR, without_gradient
from calib._border.typing import Array, Domain, Float64Array, InputKind, IntArray, Namespace

#: What stands for the logarithm of 0 in calculations: below every logit, and no difference of it
#: overflows.
EXCLUDED = -8e307

#: Odds count up to this size.
LARGEST_ODDS = 1e300


class NumberNamespace:
    """What elementwise functions need of a namespace, for one float64 instead of an array.

    The operations and their order are those of arrays, and so are the bits, without the overhead
    that NumPy has for each operation.
    """

    abs, minimum, maximum = abs, min, max

    @staticmethod
    def exp(x: float) -> float:
        return float(np.exp(x))

    @staticmethod
    def log(x: float) -> float:
        return float(np.log(x))

    @staticmethod
    def where(condition: bool, first: float, second: float) -> float:
        return first if condition else second

    @staticmethod
    def take(table: Float64Array, place: int, axis: int) -> float:
        return float(table.item(place))

    @staticmethod
    def clip(x: float, low: float, high: float) -> float:
        return min(max(x, low), high)


def _are_numbers(x: Array, n_numbers: int, xp: Namespace) -> bool:
    """Return whether an array holds so few numbers that they are calculated with one by one."""
    return xp is np and x.size == n_numbers and x.dtype.char == "d"


def softmax(logits: Array, xp: Namespace) -> Array:
    """Return ``exp(z) / sum(exp(z))`` row by row, shape (n_samples, n_classes)."""
    if xp is not np and hasattr(xp, "softmax"):  # of torch, in one pass
        return xp.softmax(logits, 1)
    return softmax_of_shifted(logits - row_max(logits, xp), xp)


def tempered_softmax(logits: Array, temperature: Array, xp: Namespace) -> Array:
    """Return ``softmax(z / T)``, in which no quotient overflows."""
    shifted = logits - row_max(logits, xp)
    if xp is not np:
        return softmax_of_shifted(shifted / temperature, xp)
    return softmax_of_shifted(np.divide(shifted, temperature, out=shifted), xp)


def softmax_of_shifted(shifted: Array, xp: Namespace) -> Array:
    """Return `softmax` of logits whose largest is 0 in every row; they may be overwritten."""
    if xp is not np and hasattr(xp, "softmax"):
        return xp.softmax(shifted, 1)
    if xp is not np:
        odds = xp.exp(shifted)
        return odds / row_sum(odds, xp)
    odds = np.exp(shifted, out=shifted)  # one array, which stays in the cache
    return np.divide(odds, row_sum(odds, xp), out=odds)


def row_max(x: Array, xp: Namespace) -> Array:
    """Return the largest value of every row, shape (n, 1)."""
    if xp is not np:
        return xp.max(x, axis=1, keepdims=True)
    if x.shape[1] == 2:  # two columns at once take less time than every row of two
        return np.maximum(x[:, :1], x[:, 1:])
    return np.maximum.reduce(x, axis=1, keepdims=True)


def row_sum(x: Array, xp: Namespace) -> Array:
    """Return the sum of every row, shape (n, 1)."""
    if xp is not np:
        return xp.sum(x, axis=1, keepdims=True)
    return x[:, :1] + x[:, 1:] if x.shape[1] == 2 else np.add.reduce(x, axis=1, keepdims=True)


def log_softmax(logits: Array, xp: Namespace) -> Array:
    """Return the logarithm of `softmax` without leaving the log scale."""
    shifted = logits - row_max(logits, xp)
    return shifted - xp.log(row_sum(xp.exp(shifted), xp))


def expit(log_odds: Array, xp: Namespace) -> Array:
    """Return ``1 / (1 + exp(-s))`` without overflow."""
    decay = xp.exp(-xp.abs(log_odds))
    return xp.where(log_odds >= 0, 1.0, decay) / (1 + decay)


def logits_from_proba(proba: Array, xp: Namespace) -> Array:
    """Return ``log p`` with zeros (and negative rounding errors) raised to `PROBA_FLOOR`."""
    return xp.log(np.maximum(proba, PROBA_FLOOR) if xp is np else xp.clip(proba, PROBA_FLOOR, None))


def both_columns(scores: Array, source: InputKind, xp: Namespace) -> Array:
    """Turn scores of the positive class, shape (n_samples, 1), into two columns.

    Log-odds ``s`` become ``[0, s]``, a probability ``p`` becomes ``[1 - p, p]``. Infinite log-odds
    of either sign exclude one class: ``[0, -inf]`` or ``[-inf, 0]``.
    """
    if source == "logits":
        certain = scores > LOGIT_LIMIT if _reaches(scores, LOGIT_LIMIT, xp) else xp.isinf(scores)
        certain = certain & (scores > 0)
        zero = xp.zeros_like(scores)
        other = xp.where(certain, xp.full_like(scores, -math.inf), zero)
        return xp.concat([other, xp.where(certain, zero, scores)], axis=1)
    return xp.concat([1 - scores, scores], axis=1)


def _reaches(array: Array, limit: float, xp: Namespace) -> bool:
    """Return whether the floating type of the array goes up to a limit."""
    return float(xp.finfo(array.dtype).max) > limit


def excluded(logits: Array, xp: Namespace, eager: bool = False) -> Array | None:
    """Return which logits stand for a probability of exactly 0.

    None where none does, if values may decide what is computed (`eager`, or NumPy).
    """
    limit = LOGIT_LIMIT if _reaches(logits, LOGIT_LIMIT, xp) else math.inf
    if xp is np:
        lowest = np.minimum.reduce(logits, axis=None, initial=0.0)
    else:
        lowest = float(xp.min(without_gradient(logits))) if eager else -math.inf
    if -limit <= lowest > -math.inf:
        return None
    if not math.isfinite(limit):
        return logits == -math.inf
    below: Array = logits < -limit  # a runtime of single precision takes the limit for infinite
    return below if xp is np else below | (logits == -math.inf)


def in_units(logits: Array, unit: Array, xp: Namespace) -> Array:
    """Return logits divided by a unit, the logarithm of 0 as a number below all others.

    The numbers are finite, and so are their differences.
    """
    wide = _reaches(logits, LOGIT_LIMIT, xp)
    lowest = EXCLUDED if wide else 0.25 * float(xp.finfo(logits.dtype).min)
    hidden = excluded(logits, xp)
    with np.errstate(over="ignore") if xp is np else nullcontext():  # no compiler knows the first
        scaled = _inside(logits / unit, lowest, -lowest, xp)
    return scaled if hidden is None else xp.where(hidden, xp.full_like(scaled, lowest), scaled)


def against_the_rest(q: Array, s: Array, scores: Array, xp: Namespace) -> Array:
    """Turn answers for each class against the rest into rows of probabilities.

    Parameters
    ----------
    q : array of shape (n_samples, n_classes)
        Probability of each class.
    s : array of shape (n_samples, n_classes)
        Log-odds that they were made of; where those stand for the logarithm of 0, q counts as 0
        whatever a map of almost no slope makes of them.
    scores : array of shape (n_samples, n_classes)
        Logits whose softmax stands in where every answer is 0.
    """
    beyond = 0.1 * max(EXCLUDED, 0.25 * float(xp.finfo(s.dtype).min))
    return renormalise(xp.where(s < beyond, xp.zeros_like(q), q), softmax(scores, xp), xp)


def without_excluded(proba: Array, hidden: Array | None, xp: Namespace) -> Array:
    """Give probability 0 to excluded classes and share out what they had.

    Parameters
    ----------
    proba : array of shape (n_samples, n_classes)
        Rows that exclude no class are returned as they are.
    hidden : array of bool, shape (n_samples, n_classes), or None
        At least one class of a row is not excluded; None where none is.
    """
    if hidden is None:
        return proba
    kept = xp.where(hidden, xp.zeros_like(proba), proba)
    n_left = xp.sum(xp.astype(~hidden, proba.dtype), axis=1, keepdims=True)
    even = xp.where(hidden, xp.zeros_like(proba), 1.0 / n_left)
    kept = renormalise(kept, even, xp)
    return xp.where(xp.any(hidden, axis=1, keepdims=True), kept, proba)


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
    z = logits - row_max(logits, xp)
    order = xp.arange(n_classes, device=getattr(z, "device", None))
    is_top = xp.expand_dims(order, axis=0) == xp.expand_dims(xp.argmax(z, axis=1), axis=1)
    exponentials = xp.exp(z)
    total = row_sum(exponentials, xp)
    others = xp.where(is_top, -math.inf, z)
    runner_up = row_max(others, xp)
    rest_of_top = runner_up + xp.log(row_sum(xp.exp(others - runner_up), xp))
    rest = xp.log(xp.where(is_top, 1.0, total - exponentials))
    return z - xp.where(is_top, rest_of_top, rest)


def smooth(proba: Array, share: Array) -> Array:
    """Mix with the uniform distribution: ``(1 - share) p + share / K`` (Laplace smoothing).

    With ``share = 1 / (n + 1)`` for n calibration samples the log loss of any sample stays below
    ``log(K (n + 1))``.
    """
    if isinstance(share, (np.ndarray, float)) and not np.count_nonzero(share):
        return proba
    return (1 - share) * proba + share / proba.shape[1]


def smoothed_logits(logits: Array, share: Array, xp: Namespace) -> Array:
    """Return the logarithm of the smoothed probabilities; share 0 changes nothing."""
    known = xp is np or isinstance(share, float)  # elsewhere it may not decide what is computed
    if known and share == 0:
        return logits
    proba = smooth(softmax(logits, xp), share)
    if known:
        return xp.log(proba)
    return xp.where(share > 0, xp.log(xp.where(share > 0, proba, xp.ones_like(proba))), logits)


def bounded_log_odds(s: Array, share: Array, xp: Namespace) -> Array:
    """Return the log-odds of ``(1 - share) p + share / 2`` for ``p = expit(s)``.

    With a share ``2 exp(-B)`` they lie within about ``-B`` and ``B``; share 0 changes nothing.
    Laplace smoothing of the input: what a probability of exactly 0 or 1, or a wildly confident
    one, can say is limited, and moderate log-odds stay almost where they are.
    """
    n_bounded = np.count_nonzero(share) if xp is np else -1  # elsewhere this may decide nothing
    if n_bounded == 0:
        return s
    decay = xp.exp(-xp.abs(s))
    half = 0.5 * share * (1 + decay)
    small = (1 - share) * decay + half
    if n_bounded > 0 and n_bounded == np.size(share):
        return np.copysign(np.log(((1 - share) + half) / small), s)
    bounded = xp.log(((1 - share) + half) / xp.where(share > 0, small, 1.0))
    return xp.where(share > 0, xp.where(s >= 0, bounded, -bounded), s)


def logarithms(s: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return ``log p`` and ``-log(1 - p)`` of log-odds: both increase, and nothing cancels."""
    size = xp.abs(s)
    rest = xp.log1p(xp.exp(-size))
    return 0.5 * (s - size) - rest, 0.5 * (s + size) + rest


def renormalise(scores: Array, fallback: Array, xp: Namespace) -> Array:
    """Divide non-negative rows by their sums; a row that sums to zero keeps `fallback`."""
    total = row_sum(scores, xp)
    empty = total <= 0
    if xp is np and not empty.any():
        return scores / total
    return xp.where(empty, fallback, scores / xp.where(empty, xp.ones_like(total), total))


def interpolate(x: Array, knots: Array, values: Array, xp: Namespace) -> Array:
    """Interpolate every column linearly between ascending knots, constant beyond both ends.

    Parameters
    ----------
    x : array of shape (n, n_columns)
    knots, values : array of shape (n_columns, n_knots)
        A repeated last knot is padding and changes nothing.
    """
    last = knots.shape[1] - 1
    if last == 0:
        return xp.zeros_like(x) + values[:, 0]
    if _are_numbers(x, 1, xp):
        right = min(max(int(knots[0].searchsorted(x.item(), "right")), 1), last)
        return np.array([[_along(x.item(), (knots[0], values[0]), right, NumberNamespace)]])
    if _searched_together(x, xp):
        flat, first = knots.reshape(-1), np.arange(x.shape[1]) * (last + 1)
        read = _reader(flat, xp)
        right = _search(x, last + 1, first, lambda at, key: read(at) <= key, xp)
        right = _inside(right, 1, last, xp) + first
        return _along(x, (flat, values.reshape(-1)), right, xp)
    columns = []
    for k in range(x.shape[1]):
        column = 1.0 * x[:, k]  # contiguous: torch warns about searching a strided column
        right = _inside(places(knots[k, :], column, "right", xp), 1, last, xp)
        columns.append(_along(column, (knots[k, :], values[k, :]), right, xp))
    return _beside_each_other(columns, xp)


def _along(x: Array, table: Sequence[Array], right: Array, xp: Namespace) -> Array:
    """Interpolate between the knot at a place and the one before."""
    (x0, y0), (x1, y1) = ([_taken(t, at, xp) for t in table] for at in (right - 1, right))
    width = x1 - x0
    share = (x - x0) / xp.where(width <= 0, 1.0, width)
    return y0 + _inside(share, 0.0, 1.0, xp) * (y1 - y0)


def _taken(table: Array, places: Array, xp: Namespace) -> Array:
    """Return the values of a vector at some places."""
    return table.take(places) if xp is np else xp.take(table, places, axis=0)


def _reader(table: Array, xp: Namespace) -> Callable[[Array], Array]:
    """Return `_taken` of one vector, for loops in which every call counts."""
    if xp is np:
        read: Callable[[Array], Array] = table.take
        return read
    return lambda at: xp.take(table, at, axis=0)


def places(knots: Array, x: Array, side: Literal["left", "right"], xp: Namespace) -> Array:
    """Return how many of the ascending knots every value of a contiguous vector reaches."""
    if xp is np:
        return knots.searchsorted(x, side)
    if hasattr(xp, "searchsorted"):
        return xp.searchsorted(knots, x, side=side)
    compare = operator.lt if side == "left" else operator.le
    return _search(x, knots.shape[0], 0, lambda at, key: compare(_taken(knots, at, xp), key), xp)


def _inside(x: Array, low: float, high: float, xp: Namespace) -> Array:
    """Return the values moved into an interval: `clip`, which is slow on a few values."""
    return np.minimum(np.maximum(x, low), high) if xp is np else xp.clip(x, low, high)


def _beside_each_other(columns: Sequence[Array], xp: Namespace) -> Array:
    """Return vectors as the columns of a matrix."""
    return columns[0][:, None] if len(columns) == 1 else xp.stack(columns, axis=1)


def signed_odds(p: Array, q: Array, xp: Namespace) -> Array:
    """Return what orders probabilities p with complements q: ``p / q`` or, below 1, ``-q / p``.

    It grows with p over the whole range of either number, where p itself ends at 1.
    """
    small, large = xp.minimum(p, q), xp.maximum(p, q)
    beyond = small <= large / LARGEST_ODDS
    odds = xp.where(beyond, LARGEST_ODDS, large / xp.where(beyond, 1.0, small))
    return xp.where(p < q, -odds, odds)


def complements(proba: Array, xp: Namespace) -> Array:
    """Return ``1 - p`` of every class, that of the largest as the sum of the others."""
    order = xp.arange(proba.shape[1], device=getattr(proba, "device", None))
    is_top = xp.expand_dims(order, axis=0) == xp.expand_dims(xp.argmax(proba, axis=1), axis=1)
    rest = row_sum(xp.where(is_top, 0.0, proba), xp)
    return xp.where(is_top, rest, 1 - proba)


def interpolate_pairs(pair: tuple[Array, Array], tables: Sequence[Array], xp: Namespace) -> Array:
    """Interpolate linearly in p, as `interpolate`, at probabilities known with complements.

    Parameters
    ----------
    pair : (array, array) of shape (n, n_columns)
        p and 1 - p.
    tables : knots, complements and values, array of shape (n_columns, n_knots) each
        Ascending in p; a repeated last knot is padding and changes nothing.
    """
    p, q = pair
    last = tables[0].shape[1] - 1
    if last == 0:
        return xp.zeros_like(p) + tables[2][:, 0]
    if _are_numbers(p, 1, xp):
        table = [whole[0] for whole in tables]
        pair = p.item(), q.item()
        place = bisect_right(
            range(last + 1),
            signed_odds(*pair, NumberNamespace),
            key=lambda at: signed_odds(table[0].item(at), table[1].item(at), NumberNamespace),
        )
        place = min(max(place, 1), last)
        return np.array([[_between(*pair, table, place, NumberNamespace)]])
    key = 1.0 * signed_odds(p, q, xp)
    if _searched_together(p, xp):
        knots, complements, values = (table.reshape(-1) for table in tables)
        first = np.arange(p.shape[1]) * (last + 1)
        read, read_rest = _reader(knots, xp), _reader(complements, xp)

        def reached(at: Array, key: Array) -> Array:
            return signed_odds(read(at), read_rest(at), xp) <= key

        right = _inside(_search(key, last + 1, first, reached, xp), 1, last, xp) + first
        return _between(p, q, (knots, complements, values), right, xp)
    columns = []
    for k in range(p.shape[1]):
        table = [whole[k, :] for whole in tables]
        column = 1.0 * key[:, k]  # contiguous
        right = places(signed_odds(table[0], table[1], xp), column, "right", xp)
        right = _inside(right, 1, last, xp)
        columns.append(_between(p[:, k], q[:, k], table, right, xp))
    return _beside_each_other(columns, xp)


def _between(p: Array, q: Array, table: Sequence[Array], right: Array, xp: Namespace) -> Array:
    """Interpolate between a place of knots, complements and values and the one before."""
    (p0, q0, y0), (p1, q1, y1) = ([_taken(t, at, xp) for t in table] for at in (right - 1, right))
    above = p0 >= q0  # distances of the numbers that are known better
    width = xp.where(above, q0 - q1, p1 - p0)
    flat = width <= 0
    share = xp.where(above, q0 - q, p - p0) / xp.where(flat, 1.0, width)
    return y0 + _inside(share, 0.0, 1.0, xp) * (y1 - y0)


#: Knots, values and side of one step function a column.
StepTable: TypeAlias = tuple[Array, Array, Literal["left", "right"]]
#: Rows from which NumPy sorts a column and looks the knots up among its values instead.
SORT_FROM = 1024
#: Rows a column below which all columns are searched together: a loop over them would cost more.
TOGETHER_BELOW = 64


def step_functions(
    x: Array, tables: Sequence[StepTable], xp: Namespace, *, computed: bool = False
) -> list[Array]:
    """Evaluate step functions of every column at the same points.

    Parameters
    ----------
    x : array of shape (n, n_columns)
    tables : sequence of (knots, values, side)
        Ascending knots of shape (n_columns, n_knots), values of shape (n_columns, n_knots + 1).
        With side ``"left"`` a step counts beyond its knot, with ``"right"`` at the knot already.
    computed : bool, default=False
        Whether points that are knots may miss them by rounding where another library calculates
        them, as sums of logarithms do.

    Returns
    -------
    values : list of array of shape (n, n_columns)
    """
    if _searched_together(x, xp):
        slack = _rounding(x, computed, xp)
        return [_steps_together(x, table, xp, slack) for table in tables]
    columns = [
        _steps(x[:, k], [(knots[k, :], values[k, :], side) for knots, values, side in tables], xp)
        for k in range(x.shape[1])
    ]
    return [_beside_each_other(found, xp) for found in zip(*columns, strict=True)]


def _steps(x: Array, tables: Sequence[StepTable], xp: Namespace) -> list[Array]:
    """Evaluate step functions of one column."""
    if xp is np and len(x) >= SORT_FROM:
        order = np.argsort(x)
        ordered = x[order]
        columns = []
        for knots, values, side in tables:
            reached = np.searchsorted(ordered, knots, side="right" if side == "left" else "left")
            out = np.empty(len(x), dtype=values.dtype)
            out[order] = np.repeat(values, np.diff(reached, prepend=0, append=len(x)))
            columns.append(out)
        return columns
    x = 1.0 * x  # contiguous: torch warns about searching a strided column
    return [_taken(values, places(knots, x, side, xp), xp) for knots, values, side in tables]


def _rounding(x: Array, computed: bool, xp: Namespace) -> Array | None:
    """Return by how much scores may differ that another library gives; None if they cannot.

    A namespace that writes down what other libraries calculate knows how well scores are known.
    """
    if xp is np:
        return None
    room = max(getattr(xp, "score_rounding", 0.0), 2.0**-39 if computed else 0.0)
    return room * (xp.abs(x) + 2.0**-5) if room else None


def _steps_together(x: Array, table: StepTable, xp: Namespace, slack: Array | None) -> Array:
    """Evaluate one step function of every column; points within the slack of a knot are on it."""
    knots, values, side = table
    if slack is not None:
        x = x - slack if side == "left" else x + slack
    flat, n_knots = knots.reshape(-1), knots.shape[1]
    column = np.arange(x.shape[1])
    compare = operator.lt if side == "left" else operator.le
    first = column * n_knots
    read = _reader(flat, xp)
    place = _search(x, n_knots, first, lambda at, key: compare(read(at), key), xp)
    return _taken(values.reshape(-1), place + column * (n_knots + 1), xp)


def _searched_together(x: Array, xp: Namespace) -> bool:
    """Return whether one search goes through all columns: few rows, or no sorted search at all."""
    if xp is np:
        return 1 < x.shape[1] and len(x) < TOGETHER_BELOW
    return not hasattr(xp, "searchsorted")


def _search(
    x: Array,
    n_knots: int,
    first: IntArray | int,
    reached: Callable[[Array, Array], Array],
    xp: Namespace,
) -> Array:
    """Return how many knots of its column each value reaches, by one search in all columns.

    Parameters
    ----------
    x : array of shape (n, n_columns) or (n,)
    n_knots : int
        Ascending knots of a column.
    first : ndarray of shape (n_columns,), or int
        Place of the first knot of each column.
    reached : callable
        From places of knots and values, both of the shape of x, to whether the value reaches it.
    xp : namespace
        NumPy, or one without a sorted search.
    """
    if xp is not np:
        zero = xp.astype(xp.zeros_like(x), xp.int64)
        if not n_knots:
            return zero
        step = 1 << (n_knots.bit_length() - 1)
        place = zero + (first - 1)
        probe = zero + (first + (n_knots - step))
        place = xp.where(reached(probe, x), probe, place)
        while step := step >> 1:
            probe = place + step
            place = xp.where(reached(probe, x), probe, place)
        return place - (first - 1)
    if not n_knots:
        return np.zeros(x.shape, dtype=np.intp)
    step = 1 << (n_knots.bit_length() - 1)
    place = np.empty(x.shape, dtype=np.intp)  # of the last knot that is known to be reached
    place[...] = first - 1
    probe = place + (n_knots - step + 1)  # 2^m - 1 knots are left on either side
    np.copyto(place, probe, where=reached(probe, x))
    while step := step >> 1:
        np.add(place, step, out=probe)
        np.copyto(place, probe, where=reached(probe, x))
    place -= first - 1
    return place


def through_log_odds(
    eta_of: Callable[[Array], Array],
    scores: Array,
    fitted: Mapping[str, Array],
    xp: Namespace,
) -> Array:
    """Return probabilities of a map of log-odds: of the second of two classes, or one-vs-rest.

    Parameters
    ----------
    eta_of : callable
        From smoothed log-odds of shape (n, problems) to those of the map.
    scores : array of shape (n, n_classes)
        Logits.
    fitted : mapping of str to array
        Holds ``input_smoothing_``, and ``smoothing_`` where the result is smoothed, too.
    xp : namespace
    """
    binary = scores.shape[1] == 2
    share = fitted["input_smoothing_"]
    if binary and _are_numbers(scores, 2, xp):
        number, share = scores.item(1) - scores.item(0), np.asarray(share).item()
        number = bounded_log_odds(number, share, NumberNamespace)
        number = eta_of(np.array([[number]])).item()
        proba = np.array([[expit(value, NumberNamespace) for value in (-number, number)]])
        return smooth(proba, fitted["smoothing_"]) if "smoothing_" in fitted else proba
    s = scores[:, 1:] - scores[:, :1] if binary else log_odds_one_vs_rest(scores, xp)
    eta = eta_of(bounded_log_odds(s, share, xp))
    if binary:
        proba = expit(xp.concat([-eta, eta], axis=1), xp)
    else:
        proba = against_the_rest(expit(eta, xp), s, scores, xp)
    return smooth(proba, fitted["smoothing_"]) if "smoothing_" in fitted else proba
