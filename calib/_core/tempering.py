"""Distances of logits from the largest of their row: where a temperature may lie, and masks.

A masked class has a logit far below all others (-1e4, -1e9, the lowest float, minus infinity). A
mean over all cells would be that of the masks, so scales are taken from a low quantile, brackets
from sums in which only the cells that can matter count, and labels that stand on a mask are told
from ordinary errors by the empty orders of magnitude between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from calib._border.arrays import BLOCK_ELEMENTS, row_blocks
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._core import links
from calib._core.estimators.targets import (
    at_target,
    class_target,
    holds_shares,
    second_share,
    shares_of,
)
from calib._core.newton import find_root
from calib._core.rows import Part, Rows, ScoredPart, Sums, in_memory, listed
from calib._core.scores import Scores
from calib.warnings import DegenerateScoresWarning

#: Largest change of the scale of the logits, as a logarithm, that a fit may return.
LOG_RANGE = 16.0
#: Quantile of the positive distances that is called typical: three cells of five may be masked.
TYPICAL = 0.3
#: Distances below this share of the largest logit of a row are rounding.
ROUNDING = 1e-6
#: Elements of the systematic subsample that it is taken from.
TYPICAL_ELEMENTS = 1 << 14
#: Empty octaves between ordinary errors and labels that stand on masks.
EMPTY_OCTAVES = 7
#: Total weight below which only minus infinity and its like exclude a label.
FEWEST_ROWS = 30
#: Exponents of the distances that are told apart, and what the first stands for.
N_OCTAVES, LOWEST_OCTAVE = 2200, -1080


#: Typical distance of logits above which a fit works in units of it.
HUGE = 1e50
#: Distances count up to this size, so that neither cubes nor sums overflow.
LARGEST = 1e90
#: Temperatures between which logits are taken for log-probabilities, as they are.
COMMON = (1.0 / 8.0, 8.0)
#: Rows, and elements if that is more, of the subsample that a unit is taken from.
UNIT_ROWS, UNIT_ELEMENTS = 500, 1 << 14
#: Distances beyond so many typical ones are those of masks where a standard deviation is taken.
BEYOND = 100.0

Derivatives: TypeAlias = Callable[[float], tuple[float, float, float]]


@dataclass(frozen=True)
class Gaps:
    """Summary of the distances of logits from the largest of their row.

    Attributes
    ----------
    n_classes : int
    label : float
        Weighted mean of the distance of the label's logit, >= 0; 0 if no label is below another
        class: the data are separable.
    every : float
        Weighted mean of the distance of any logit.
    largest : float
        Largest distance.
    typical : float
        A low quantile of the positive distances, 0 if there are none.
    """

    n_classes: int
    label: float
    every: float
    largest: float
    typical: float

    @property
    def centre(self) -> float:
        """Logarithm of the inverse of the typical distance."""
        return -math.log(self.typical)

    def bracket(self) -> tuple[float, float, float]:
        """Return a first point and an interval of ``v = log(1 / T)`` that holds the best one.

        The slope of the mean log loss in ``1 / T`` is ``E[z] - z_y`` on average. At the upper end
        ``E[z]``, at most ``(K - 1) T / e`` below the largest logit, is closer to it than the
        labels are; at the lower end ``E[z]`` is close to its mean under equal probabilities. The
        interval is cut where T is ``exp(16)`` times smaller than typical distances or larger than
        the largest one: beyond, rows are one-hot or flat to working precision.
        """
        high = self.centre + LOG_RANGE
        if self.label > 0.0:
            reach = math.log(self.n_classes - 1) - 1.0 - math.log(self.label)
            high = min(high, max(reach, self.centre + 1.0))
        if self.every <= self.label:  # flat rows fit best: no mask among them
            low = -math.log(self.every) - LOG_RANGE
        else:
            low = -math.log(self.largest) - LOG_RANGE
            reach = math.log(4.0) + math.log(self.every - self.label) - 2 * math.log(self.largest)
            low = max(low, min(reach, self.centre - 1.0))
        start = 0.0 if abs(self.centre) < LOG_RANGE - 1.0 else self.centre
        margin = min(0.5, 0.25 * (high - low))
        return min(max(start, low + margin), high - margin), low, high


def typical_gap(rows: Rows) -> float:
    """Return a low quantile of the positive distances from a row's largest logit, 0 without any."""
    step = max(1, rows.n_samples * rows.n_classes // TYPICAL_ELEMENTS)
    part = rows.every(step).part
    z = part.scores.in_domain("logits").dense()
    top = z.max(axis=1, keepdims=True)
    gaps = top - z
    possible = gaps < -0.5 * links.EXCLUDED
    kept = possible & (gaps > ROUNDING * np.abs(top))
    if not kept.any():
        kept = possible & (gaps > 0.0)
    if part.weight is None:
        return low_quantile(gaps[kept], None)
    return low_quantile(gaps[kept], np.broadcast_to(part.weight[:, None], z.shape)[kept])


def typical_odds(rows: Rows) -> float:
    """Return a low quantile of the log-odds of two classes other than 0, 0 without any."""
    part = rows.every(max(1, rows.n_samples // TYPICAL_ELEMENTS)).part
    size = np.abs(part.scores.log_odds())
    filled = (size > 0) & (size < -0.5 * links.EXCLUDED)
    return low_quantile(size[filled], None if part.weight is None else part.weight[filled])


def low_quantile(values: Float64Array, weight: Float64Array | None) -> float:
    """Return the quantile at the level `TYPICAL`, 0 of nothing."""
    if not len(values):
        return 0.0
    if weight is None:
        place = math.ceil(TYPICAL * len(values)) - 1
        return float(np.partition(values, place)[place])
    order = np.argsort(values)
    mass = np.cumsum(weight[order])
    place = int(np.searchsorted(mass, TYPICAL * mass[-1] * (1.0 - 1e-12)))
    return float(values[order][min(place, len(values) - 1)])


# ---------------------------------------------------------------------- the slope of the log loss


def mean(values: Float64Array, weight: Float64Array | None) -> float:
    return float(values.mean() if weight is None else np.average(values, weights=weight))


@dataclass(frozen=True)
class _Tempering(Part):
    """Scores with what every pass over them needs.

    Attributes
    ----------
    scores : Scores
        Logits in the unit of the problem.
    target : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,) or None
    inner : ndarray of shape (n_samples,)
        Log-odds of two classes, otherwise the largest logit of each row.
    gaps : tuple
        Sums of `Gaps.label` and `Gaps.every`, and the largest distance, of the rows that were
        measured, of which these may be some.
    """

    scores: Scores
    target: LabelArray
    weight: Float64Array | None
    inner: Float64Array
    gaps: Sums


@dataclass(frozen=True)
class TemperatureProblem:
    """Scores in a unit of which no cube overflows, and where their best temperature may lie.

    Attributes
    ----------
    unit : float
        Power of two that logits are divided by; 1 unless they are huge.
    gaps : Gaps
        Of the divided logits.
    rows : Rows
        Of `_Tempering`.
    """

    unit: float
    gaps: Gaps
    rows: Rows

    def slopes(self, step: int = 1) -> Derivatives:
        """Return the slope of the log loss on every `step`-th row, with two derivatives.

        All three are with respect to ``v = log(1 / T)``.
        """
        rows = self.rows if step == 1 else self.rows.every(step)
        total, slope_sums = rows.total, _binary_slopes if self.gaps.n_classes == 2 else _slopes

        def derivatives(v: float) -> tuple[float, float, float]:
            inverse = math.exp(v)
            (sums,) = rows.reduce(slope_sums, inverse)
            value, slope, bend = (float(part) for part in sums / total)
            return value, slope * inverse, slope * inverse + bend * inverse * inverse

        return derivatives


def temperature_problem(rows: Rows) -> TemperatureProblem:
    """Find the scale of the logits, and an interval for the temperature."""
    typical = typical_odds(rows) if rows.n_classes == 2 else typical_gap(rows)
    unit = huge_unit(typical)
    typical /= unit
    measured = rows.mapped(_measured, unit)
    sums, largest = measured.reduce(_gap_sums, by=_gap_totals)
    label, every = (float(part) for part in sums / rows.total)
    gaps = Gaps(rows.n_classes, label, every, largest, typical if typical > 0 else largest)
    return TemperatureProblem(unit, gaps, measured)


def huge_unit(typical: float) -> float:
    """Return a power of two that brings huge distances down to where cubes do not overflow."""
    return 1.0 if typical < HUGE else float(2.0 ** math.floor(math.log2(typical)))


def _measured(part: ScoredPart, unit: float) -> _Tempering:
    scores, target, weight = part.scores.in_units(unit), part.target, part.weight
    if scores.n_classes == 2:
        target = second_share(target)
        inner = part.scores.log_odds()
        if unit != 1.0:
            inner /= unit
        size = np.minimum(np.abs(inner), LARGEST)
        largest = float(size.max())
        parts = np.stack([np.where(inner > 0, 1.0 - target, target) * size, 0.5 * size])
        sums = parts.sum(axis=1) if weight is None else parts @ weight
        inner = inner if largest < LARGEST else np.clip(inner, -LARGEST, LARGEST)
        return _Tempering(scores, target, weight, inner, (sums, largest))
    inner, sums, largest = np.empty(part.n_samples), np.zeros(2), 0.0
    target = class_target(target)
    for rows, z in scores.in_domain("logits"):
        inner[rows] = z.max(axis=1)
        gaps = np.minimum(inner[rows, None] - z, LARGEST)
        parts = np.stack([at_target(gaps, target[rows]), gaps.mean(axis=1)])
        sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
        largest = max(largest, float(gaps.max()))
    return _Tempering(scores, target, weight, inner, (sums, largest))


def _gap_sums(part: _Tempering) -> Sums:
    return part.gaps


def _gap_totals(parts: list[Sums]) -> Sums:
    return sum(sums for sums, _ in parts), max(largest for _, largest in parts)


@np.errstate(over="ignore", invalid="ignore")  # of huge logits; bisection then takes over
def _slopes(part: _Tempering, inverse: float) -> Sums:
    """Return sums of ``h``, the slope of the log loss in ``1 / T``, and of its derivatives.

    With ``z`` shifted so that the largest logit of a row is 0, the row contributes
    ``E[z] - z_y`` to ``h`` and its variance and third central moment to the derivatives of ``h``
    in ``1 / T``; expectations are over ``softmax(z / T)``.
    """
    scores, top, weight = part.scores, part.inner, part.weight
    n_rows = min(part.n_samples, max(1, BLOCK_ELEMENTS // scores.n_classes))
    shifted_space, power_space = np.empty((2, n_rows, scores.n_classes))
    sums = np.zeros(3)
    for rows, block in scores:
        z = np.subtract(block, top[rows, None], out=shifted_space[: len(block)])
        np.maximum(z, -LARGEST, out=z)
        power = np.multiply(z, inverse, out=power_space[: len(block)])
        np.exp(power, out=power)
        mass = power.sum(axis=1)
        mean = np.einsum("ij,ij->i", power, z) / mass
        np.multiply(power, z, out=power)
        second = np.einsum("ij,ij->i", power, z) / mass
        np.multiply(power, z, out=power)
        third = np.einsum("ij,ij->i", power, z) / mass
        picked = at_target(z, part.target[rows])
        variance = np.maximum(second - mean * mean, 0.0)
        skew = third - mean * (3.0 * second - 2.0 * mean * mean)
        parts = np.stack([mean - picked, variance, skew])
        sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
    return (sums,)


@np.errstate(over="ignore", invalid="ignore")  # of huge logits; bisection then takes over
def _binary_slopes(part: _Tempering, inverse: float) -> Sums:
    """Return the same for two classes, on log-odds; targets may be fractions."""
    target, weight = part.target, part.weight
    sums = np.zeros(3)
    for rows in row_blocks(part.n_samples, 2):
        s = part.inner[rows]
        p = links.expit(s * inverse, np)
        spread = s * s * p * (1.0 - p)
        parts = np.stack([s * (p - target[rows]), spread, spread * s * (1.0 - 2.0 * p)])
        sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
    return (sums,)


def unit_of(rows: Rows) -> float:
    """Return what logits have to be divided by to be on the scale of log-probabilities.

    It is 1 where the best temperature is common for classifiers (cut at twice the typical distance
    of logits, since that of scores without information is infinite), and otherwise their
    standard deviation.
    """
    if rows.source == "proba":
        return 1.0
    n_rows = max(UNIT_ROWS, UNIT_ELEMENTS // rows.n_classes)
    part = rows.every(max(1, rows.n_samples // n_rows)).part
    problem = temperature_problem(
        in_memory(part.scores.in_domain("logits"), part.target, part.weight)
    )
    gaps = problem.gaps
    if not gaps.largest > 0:
        return 1.0
    root = find_root(problem.slopes(), *gaps.bracket(), tolerance=0.05)
    found = min(max(math.exp(-root.x), gaps.typical / 32.0), 2.0 * gaps.typical) * problem.unit
    if COMMON[0] < found < COMMON[1]:
        return 1.0
    return (_spread(problem) or gaps.typical) * problem.unit


def _spread(problem: TemperatureProblem) -> float:
    """Return the standard deviation of logits within rows in memory, masks aside."""
    part = problem.rows.every(1).part
    weight = part.weight
    if part.scores.n_classes == 2:
        kept = np.abs(part.inner) <= BEYOND * problem.gaps.typical
        s, weight = part.inner[kept], None if weight is None else weight[kept]
        return math.sqrt(mean((s - mean(s, weight)) ** 2, weight))
    z = part.scores.in_domain("logits").dense()
    kept = part.inner[:, None] - z <= BEYOND * problem.gaps.typical
    n_kept = kept.sum(axis=1)
    centre = np.where(kept, z, 0.0).sum(axis=1) / n_kept
    square = (np.where(kept, z - centre[:, None], 0.0) ** 2).sum(axis=1)
    mass = n_kept - 1.0
    if weight is not None:
        square, mass = square * weight, mass * weight
    return math.sqrt(float(square.sum()) / float(mass.sum()))


# ---------------------------------------------------------------------- labels on masks


def label_gaps(scores: Scores, target: LabelArray) -> Float64Array:
    """Return how far the label's logit is below the largest of its row, shape (n_samples,).

    Of fractions and shares it is the largest distance of a class that is not certain to be wrong.
    """
    out = np.empty(scores.n_samples)
    soft = holds_shares(target) or target.dtype.kind == "f"
    for rows, z in scores.in_domain("logits"):
        if soft:
            possible = shares_of(target[rows], scores.n_classes) > 0.0
            out[rows] = z.max(axis=1) - np.where(possible, z, np.inf).min(axis=1)
        else:
            out[rows] = z.max(axis=1) - at_target(z, class_target(target[rows]))
    return out


def octave_counts(gaps: Float64Array) -> IntArray:
    """Count positive distances by their binary order of magnitude, shape (N_OCTAVES,)."""
    positive = gaps[gaps > 0.0]
    octave = np.frexp(positive)[1] - LOWEST_OCTAVE
    return np.bincount(np.clip(octave, 0, N_OCTAVES - 1), minlength=N_OCTAVES)


def mask_level(counts: IntArray, typical: float) -> float:
    """Return the distance from which labels stand on masks, infinity if none does.

    Parameters
    ----------
    counts : ndarray of int, shape (N_OCTAVES,)
        Distances of labels, from `octave_counts`.
    typical : float
        Ordinary distance; what is not `EMPTY_OCTAVES` above it is no mask.
    """
    if typical <= 0.0:
        return math.inf
    first = int(np.clip(math.frexp(typical)[1] - LOWEST_OCTAVE, 0, N_OCTAVES - 1))
    filled = np.concatenate([[first], first + 1 + np.flatnonzero(counts[first + 1 :])])
    holes = np.flatnonzero(np.diff(filled) > EMPTY_OCTAVES)
    if not len(holes):
        return math.inf
    octave = int(filled[holes[0] + 1]) + LOWEST_OCTAVE
    return math.ldexp(0.5, octave)


def masked_level(rows: Rows, *, by_rank: bool) -> float:
    """Return the distance from which labels are masked, infinity if none of the rows has such.

    Parameters
    ----------
    rows : Rows
        Logits with checked labels and weights.
    by_rank : bool
        Whether only the order of the scores counts: labels on finite masks are then kept.

    Raises
    ------
    ValueError
        If no label is possible.

    Warns
    -----
    DegenerateScoresWarning
        If some labels are masked.
    """
    counts, largest = rows.reduce(_label_gaps, by=_gap_totals)
    level = -0.5 * links.EXCLUDED
    if not by_rank:
        level = excluded_level(counts, typical_gap(rows), rows.total)
    if largest < level:
        return math.inf
    sizes, left_out, firsts, gaps, ordinary = rows.reduce(_masked_labels, level, by=listed)
    part = int(np.flatnonzero(left_out)[0])
    first = sum(sizes[:part]) + firsts[part]
    warn_of_masked_labels(sum(sizes), sum(left_out), gaps[part], max(ordinary), first)
    return level


def is_possible(part: ScoredPart, level: float, n_scores: int) -> LabelArray:
    """Return which rows have a label that is not masked, (n_samples,)."""
    return np.asarray(label_gaps(part.scores.first_columns(n_scores), part.target) < level)


def without_masked_shares(part: ScoredPart, level: float, n_scores: int) -> ScoredPart:
    """Return rows of shares without those of masked classes, weighted by what is left of them."""
    shares = np.array(part.target)
    for rows, z in part.scores.first_columns(n_scores).in_domain("logits"):
        shares[rows][z.max(axis=1, keepdims=True) - z >= level] = 0.0
    left = shares.sum(axis=1)
    weight = left if part.weight is None else left * part.weight
    rest = replace(part, target=shares / np.where(left > 0.0, left, 1.0)[:, None], weight=weight)
    return rest.take(left > 0.0)


def _label_gaps(part: ScoredPart) -> Sums:
    gaps = label_gaps(part.scores, part.target)
    return octave_counts(gaps), float(gaps.max())


def _masked_labels(part: ScoredPart, level: float) -> Sums:
    """Return, in lists, numbers of rows and masked ones, the first, its gap, the largest other."""
    gaps = label_gaps(part.scores, part.target)
    kept = gaps < level
    first = int(np.argmin(kept))
    ordinary = float(gaps[kept].max(initial=0.0))
    return [len(gaps)], [int((~kept).sum())], [first], [float(gaps[first])], [ordinary]


def excluded_level(counts: IntArray, typical: float, total: float) -> float:
    """Return the distance from which labels stand on masks or are excluded outright.

    A hole among few distances proves nothing.
    """
    level = mask_level(counts, typical) if total >= FEWEST_ROWS else math.inf
    return min(-0.5 * links.EXCLUDED, level)


def warn_of_masked_labels(
    n_rows: int, n_left_out: int, gap: float, ordinary: float, row: int
) -> None:
    """Say how many labels no map can bring back, or raise if that is all of them."""
    far = "minus infinity" if gap >= -0.5 * links.EXCLUDED else f"{gap:.3g} below the row's largest"
    if n_left_out == n_rows:
        raise ValueError(
            f"X excludes the label of every row (row {row}: its logit is {far}); check the order "
            f"of the columns and the masks"
        )
    warn(
        f"{n_left_out} of {n_rows} rows have a label that X excludes or masks (row {row}: its "
        f"logit is {far}; other labels are at most {ordinary:.3g} below). No map can bring them "
        f"back, so the fit leaves these rows out; check labels and masks",
        DegenerateScoresWarning,
    )
