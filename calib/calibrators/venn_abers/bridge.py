"""The isotonic value of one added point, for all its places at once: the Venn-ABERS tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.optional import CompiledLoop
from calib._border.typing import Array, Float64Array, Namespace
from calib._core import links

#: What one group costs in plain Python, in steps of NumPy: 400,000 groups take as long as numba
#: takes to load (0.4 s).
STEPS_OF_A_GROUP = 500


def venn_abers_tables(
    weight: Float64Array,
    total: Float64Array,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> tuple[Float64Array, Float64Array]:
    """Tabulate the isotonic value of a test point with the lowest and the highest label.

    Parameters
    ----------
    weight, total : ndarray of shape (n_groups,)
        Weight and weighted label sum of each distinct calibration score, ascending.
    low, high : float, default=0.0, 1.0
        Labels that the test point is given; all labels lie between them.

    Returns
    -------
    lower, upper : ndarray of shape (n_groups + 1,)
        ``upper[i]`` is the value at a test score above exactly i distinct calibration scores when
        it is labelled `high` (a tie does not count as above); ``lower[i]`` when it is labelled
        `low` and a tie counts as above.

    Notes
    -----
    O(n_groups). Exact for integer weights and 0/1 labels: all comparisons cross-multiply integers,
    and one division is made at the end. Other labels are centred first to keep the cancellation
    small.

    References
    ----------
    V. Vovk, I. Petej, V. Fedorova, "Large-scale probabilistic predictors with and without
    guarantees of validity", NeurIPS 2015, arXiv 1511.00213.
    """
    whole = bool(np.array_equal(weight, np.rint(weight)) and np.array_equal(total, np.rint(total)))
    centre = 0.0 if whole else float(total.sum() / weight.sum())
    shifted = total - centre * weight
    upper_sum, upper_mass = _bridge(weight, shifted, high - centre)
    # labels and order flipped: a low label among ascending scores is a high one among descending
    lower_sum, lower_mass = _bridge(weight[::-1], -shifted[::-1], centre - low)
    upper = upper_sum / upper_mass + centre
    lower = centre - lower_sum[::-1] / lower_mass[::-1]
    return np.clip(lower, low, high) + 0.0, np.clip(upper, low, high) + 0.0


def _bridge(
    weight: Float64Array, total: Float64Array, label: float
) -> tuple[Float64Array, Float64Array]:
    """Return numerators and denominators of the table for one label of the test point."""
    mass = np.concatenate(([0.0], np.cumsum(weight)))
    summed = np.concatenate(([0.0], np.cumsum(total)))
    size = len(mass)
    compiled = LOOP.after(STEPS_OF_A_GROUP * size)
    if compiled is None:
        m, z = mass.tolist(), summed.tolist()
        num, den, after = [0.0] * size, [0.0] * size, [0] * size
        bridge_kernel(m, z, label, 1.0, num, den, after)
        return np.array(num), np.array(den)
    numerator, denominator = np.empty(size), np.empty(size)
    after_array = np.empty(size, dtype=np.int64)
    compiled(mass, summed, label, 1.0, numerator, denominator, after_array)
    return numerator, denominator


def bridge_kernel(
    mass: Any, total: Any, step: float, test_weight: float, num: Any, den: Any, after: Any
) -> None:
    """Slopes of the bridges over a gap that travels along the cumulative sum diagram.

    The points ``P_j = (mass_j, total_j)`` left of the gap stay, those right of it are shifted by
    ``(test_weight, step)``; the slope of the line that supports both sides from below is the
    isotonic value at the gap. Lower hulls of all suffixes are stored once in `after`. From one
    gap to the next only one point changes sides; it replaces the left contact or changes nothing,
    and the right contact only moves right, so the whole pass is linear.

    Runs on lists in plain Python and on arrays when numba compiles it, with the same operations in
    the same order. Writes `num` and `den`; `after` is working space.
    """
    last = len(mass) - 1
    after[last] = -1
    for j in range(last - 1, -1, -1):
        m, z = mass[j], total[j]
        t = j + 1
        u = after[t]
        while u != -1 and (total[t] - z) * (mass[u] - m) >= (total[u] - z) * (mass[t] - m):
            t = u
            u = after[t]
        after[j] = t
    m, z = mass[0], total[0]
    n, d = step, test_weight
    right, u = 0, after[0]
    for i in range(last + 1):
        if i > 0:
            m_i, z_i = mass[i], total[i]
            if (z_i - z) * d >= n * (m_i - m):
                num[i] = n
                den[i] = d
                continue
            m, z = m_i, z_i
            if right < i:
                right, u = i, after[i]
            n = total[right] + step - z
            d = mass[right] + test_weight - m
        while u != -1:
            n_u = total[u] + step - z
            d_u = mass[u] + test_weight - m
            if n_u * d > n * d_u:
                break
            right, n, d = u, n_u, d_u
            u = after[right]
        num[i] = n
        den[i] = d


LOOP = CompiledLoop(bridge_kernel)


@dataclass(frozen=True)
class StepTables:
    """Step functions of several problems, padded to one length.

    The value at score s is ``values[number of knots < s]`` for the upper function and
    ``values[number of knots <= s]`` for the lower one. Knots are padded by repeating the last one,
    and values likewise, so that padding changes nothing.

    Attributes
    ----------
    lower_knots, upper_knots : ndarray of shape (n_problems, n_knots)
    lower_values, upper_values : ndarray of shape (n_problems, n_knots + 1)
    """

    lower_knots: Array
    lower_values: Array
    upper_knots: Array
    upper_values: Array

    def bounds(self, scores: Array, xp: Namespace, *, computed: bool = False) -> list[Array]:
        """Return the values of the lower and of the upper function of every problem.

        Parameters
        ----------
        scores : array of shape (n_samples, n_problems)
        xp : namespace
        computed : bool, default=False
            Whether the scores are sums of logarithms, which libraries round differently.

        Returns
        -------
        lower, upper : array of shape (n_samples, n_problems)
        """
        tables: list[links.StepTable] = [
            (self.lower_knots, self.lower_values, "right"),
            (self.upper_knots, self.upper_values, "left"),
        ]
        return links.step_functions(scores, tables, xp, computed=computed)


Problem = tuple[Float64Array, Float64Array, Float64Array | None]


def step_tables(problems: Iterable[Problem], *, low: float = 0.0, high: float = 1.0) -> StepTables:
    """Tabulate (scores, labels, weights) problems, keeping only where a value changes.

    A problem without samples knows nothing: its values are `low` and `high` everywhere.
    """
    lower, upper = [], []
    for scores, labels, weight in problems:
        if not len(scores):
            nowhere = np.zeros(1)
            lower.append((nowhere, np.full(2, low)))
            upper.append((nowhere, np.full(2, high)))
            continue
        points, mass, total = group_ties(scores, labels, weight)
        below, above = venn_abers_tables(mass, total, low=low, high=high)
        lower.append(_compress(points, below))
        upper.append(_compress(points, above))
    return StepTables(*_stack(lower), *_stack(upper))


def group_ties(
    scores: Float64Array, labels: Float64Array, weight: Float64Array | None
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return the distinct scores with the total weight and weighted label sum of each."""
    if weight is None and np.array_equal(labels, labels.astype(bool)):
        # labels 0 and 1 need no permutation: two plain sorts and a search are faster
        ordered = np.sort(scores)
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] > ordered[:-1])))
        points = ordered[starts]
        mass = np.diff(np.concatenate((starts, [len(ordered)]))).astype(np.float64)
        ones = np.sort(scores[labels > 0])
        upto = np.searchsorted(ones, points, side="right")
        return points, mass, np.diff(upto, prepend=0).astype(np.float64)
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    w = np.ones(len(scores)) if weight is None else weight[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] > ordered[:-1])))
    mass = np.add.reduceat(w, starts)
    return ordered[starts], mass, np.add.reduceat(w * labels[order], starts)


def _compress(points: Float64Array, table: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Keep the scores at which the table changes, and its values."""
    changes = np.flatnonzero(table[1:] != table[:-1])
    if not len(changes):
        return points[:1], np.full(2, table[0])
    return points[changes], table[np.concatenate(([0], changes + 1))]


def _stack(
    rows: list[tuple[Float64Array, Float64Array]],
) -> tuple[Float64Array, Float64Array]:
    if len(rows) == 1:
        return rows[0][0][None, :], rows[0][1][None, :]
    length = max(len(knots) for knots, _ in rows)
    knots = np.stack([np.pad(x, (0, length - len(x)), mode="edge") for x, _ in rows])
    values = np.stack([np.pad(v, (0, length + 1 - len(v)), mode="edge") for _, v in rows])
    return knots, values
