"""Temperature and vector scaling whose derivatives are summed where the rows are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._core import tempering
from calib._core.multinomial import KEPT_ELEMENTS, MultinomialProblem, Tempered, kept
from calib._core.newton import Root, find_root
from calib.calibrators import linear_maps, matrix, temperature
from calib.distributed.logistic import RemoteOdds
from calib.distributed.partitions import Part, Sums
from calib.distributed.rows import (
    Odds,
    Rows,
    gather,
    gather_odds,
    odds_of,
    sample_of_odds,
    sample_of_part,
)


def fit_temperature(
    cal: temperature.TemperatureCalibrator, rows: Rows, odds: RemoteOdds | None
) -> list[int]:
    """Set the fitted attributes; return [0] if the solver did not converge."""
    smoothing: Any = cal.smoothing
    total = rows.total
    share = 0.0
    if cal.smooth_input is True or (cal.smooth_input == "auto" and rows.source == "proba"):
        share = choose_share(rows)
    cal.input_smoothing_ = share
    if share > 0:
        rows = rows.mapped(_smoothed, share)
        odds = None if odds is None else odds.bounded(np.array([share]))
    step = max(1, rows.n_samples * rows.n_classes // temperature.START_ELEMENTS)
    problem = temperature_problem_of(rows, odds)
    unit, gaps = problem.unit, problem.gaps

    def derivatives(v: float) -> tuple[float, float, float]:
        sums = problem.rows.sums(problem.terms, v)
        value, slope, bend = (float(term / total) for term in sums)
        return value, slope, bend

    root = Root(0.0, 0, True, 0)
    if gaps.largest > 0:
        start, low, high = gaps.bracket()
        if step > 1:
            first = find_root(problem.coarse(step), start, low, high, tolerance=1e-3)
            start = start if first.at_bound else first.x
        root = find_root(derivatives, start, low, high)
    else:
        unit = 1.0
    cal.temperature_, cal.n_evaluations_ = unit * math.exp(-root.x), root.n_evaluations
    smoothed = smoothing is True or (smoothing == "auto" and root.at_bound == 1)
    cal.smoothing_ = 1.0 / (total + 1.0) if smoothed else 0.0
    return [] if root.converged else [0]


@dataclass(frozen=True)
class RemoteTemperature:
    """What `tempering.TemperatureProblem` is, for rows on the workers."""

    unit: float
    gaps: tempering.Gaps
    rows: Rows
    terms: Callable[..., Sums]
    binary: bool

    def coarse(self, step: int) -> tempering.Derivatives:
        """Return the slope on the subsample that one machine would start from."""
        if self.binary:
            odds = gather_odds(self.rows.sample(sample_of_odds, step))
            return tempering.binary_slopes(odds.s[:, 0], odds.target[:, 0], odds.weight)
        part = gather(self.rows.sample(sample_of_part, step))
        _, _, top = tempering.gap_sums(part.scores, part.codes, part.weight)
        return tempering.slopes(part.scores, part.codes, part.weight, top)


def temperature_problem_of(rows: Rows, odds: RemoteOdds | None) -> RemoteTemperature:
    """Find the scale of the logits, and an interval for the temperature."""
    binary = odds is not None
    source = rows if odds is None else odds.rows
    n_elements = rows.n_samples * (1 if binary else rows.n_classes)
    step = max(1, n_elements // tempering.TYPICAL_ELEMENTS)
    if binary:
        sample = gather_odds(source.sample(sample_of_odds, step))
        typical = tempering.typical_odds(sample.s[:, 0], sample.weight)
    else:
        part = gather(source.sample(sample_of_part, step))
        typical = tempering.typical_gap(part.scores, part.weight)
    unit = tempering.huge_unit(typical)
    if unit != 1.0:
        source = source.mapped(_odds_in_units if binary else _in_units, unit)
        typical = typical / unit
    sums, largest = source.reduced(_gap_totals, _binary_gaps if binary else _gaps)
    label, every = (float(term / rows.total) for term in sums)
    gaps = tempering.Gaps(rows.n_classes, label, every, largest, typical or largest)
    return RemoteTemperature(unit, gaps, source, _binary_terms if binary else _terms, binary)


def choose_share(rows: Rows) -> float:
    """Return the smoothing of the input that one machine would choose."""
    step = max(1, rows.n_samples * rows.n_classes // temperature.CHOICE_ELEMENTS)
    piece = gather(rows.sample(sample_of_part, step))
    target = piece.codes.astype(np.float64)
    return temperature.choose_share(piece.scores, target, piece.weight, rows.total)


def _smoothed(part: Part, share: float) -> Part:
    return replace(part, scores=part.scores.smoothed(share))


def _binary_terms(part: Odds, v: float) -> Sums:
    function = tempering.binary_slopes(part.s[:, 0], part.target[:, 0], part.weight)
    return tuple(part.total * term for term in function(v))


def _terms(part: Part, v: float) -> Sums:
    _, _, top = tempering.gap_sums(part.scores, part.codes, part.weight)
    function = tempering.slopes(part.scores, part.codes, part.weight, top)
    return tuple(part.total * term for term in function(v))


def _binary_gaps(part: Odds) -> Sums:
    return tempering.binary_gap_sums(part.s[:, 0], part.target[:, 0], part.weight)[:2]


def _gaps(part: Part) -> Sums:
    return tempering.gap_sums(part.scores, part.codes, part.weight)[:2]


def _gap_totals(parts: list[Sums]) -> Sums:
    return sum(part[0] for part in parts), max(part[1] for part in parts)


def _odds_in_units(part: Odds, unit: float) -> Odds:
    return Odds(part.s / unit, part.target, part.weight)


def _in_units(part: Part, unit: float) -> Part:
    return replace(part, scores=part.scores.in_units(unit))


# ---------------------------------------------------------------------- vector scaling


@dataclass(frozen=True)
class _Remote:
    """Stands for the logits of all rows where only their number is asked for."""

    n_samples: int
    n_classes: int


@dataclass(frozen=True)
class RemoteProblem(MultinomialProblem):
    """A multinomial problem whose loss and gradient are summed on the workers.

    The first steps and the approximate Hessian use the same systematic subsamples as on one
    machine, so that the iterates are the same up to rounding.
    """

    rows: Rows = field(kw_only=True)
    total: float = field(kw_only=True)
    temperature: float = field(kw_only=True)
    share: float = field(kw_only=True)

    def every(self, step: int) -> MultinomialProblem:
        """Return the problem on every `step`-th row, here."""
        return _problem(
            gather(self.rows.sample(sample_of_part, step)),
            self.penalty,
            self.temperature,
            self.share,
        )

    def __call__(self, flat: Float64Array) -> tuple[float, Float64Array]:
        """Return the penalised mean log loss and its gradient."""
        free = np.zeros_like(self.penalty)
        value, gradient = self.rows.sums(_loss, flat, free, self.temperature, self.share)
        x = flat.reshape(self.penalty.shape)
        mean = float(value / self.total) + float((self.penalty * x * x).sum())
        return mean, gradient / self.total + (2.0 * self.penalty * x).ravel()


def _problem(
    part: Part, penalty: Float64Array, temperature: float, share: float
) -> MultinomialProblem:
    source = Tempered(part.scores, temperature, share)
    small = source.n_samples * source.n_classes <= KEPT_ELEMENTS
    return MultinomialProblem(
        kept(source) if small else source, part.codes, part.weight, penalty, full=False
    )


def _loss(
    part: Part, flat: Float64Array, penalty: Float64Array, temperature: float, share: float
) -> Sums:
    value, gradient = _problem(part, penalty, temperature, share)(flat)
    return part.total * value, part.total * gradient


def _vector_share(cal: matrix.VectorScalingCalibrator, rows: Rows) -> float:
    """Return the smoothing of the input that one machine would choose."""
    if cal.smooth_input is False or (cal.smooth_input == "auto" and rows.source != "proba"):
        return 0.0
    share = choose_share(rows)
    if share == 0.0:
        return 0.0
    step = max(1, rows.n_samples * rows.n_classes // linear_maps.COMPARED_ELEMENTS)
    piece = gather(rows.sample(sample_of_part, step))
    target = piece.codes.astype(np.float64)
    return cal.better_share(share, piece.scores, target, piece.weight, rows.total).input_smoothing


def fit_vector(cal: matrix.VectorScalingCalibrator, rows: Rows) -> list[int]:
    """Set the fitted attributes of vector scaling; return [0] if it did not converge."""
    share = _vector_share(cal, rows)
    if share > 0:
        rows = rows.mapped(_smoothed, share)
    first = temperature.TemperatureCalibrator(input="logits", smoothing=True, smooth_input=False)
    odds = RemoteOdds(rows.mapped(odds_of)) if rows.n_classes == 2 else None
    fit_temperature(first, rows, odds)
    cal.input_smoothing_ = share
    if cal.structured:
        cal.temperature_, cal.tempered_smoothing_ = first.temperature_, first.smoothing_
        cal.smoothing_, scale = 0.0, 1.0
        level = cal.strength * rows.n_classes / rows.total
    else:
        cal.temperature_, cal.tempered_smoothing_ = 1.0, 0.0
        cal.smoothing_, scale = first.smoothing_, 1.0 / first.temperature_
        level = linear_maps.NO_PENALTY
    nothing = np.empty(0, dtype=np.intp)
    remote: Any = _Remote(rows.n_samples, rows.n_classes)
    problem = RemoteProblem(
        remote,
        nothing,
        None,
        np.full((rows.n_classes, 2), level),
        full=False,
        rows=rows,
        total=rows.total,
        temperature=cal.temperature_,
        share=cal.tempered_smoothing_,
    )
    minimum = problem.solve(problem.scaled(scale))
    x = minimum.x.reshape(problem.penalty.shape)
    cal.intercept_, cal.coef_ = x[:, 0].copy(), 1.0 + x[:, 1]
    cal.n_evaluations_ = minimum.n_evaluations
    return [] if minimum.converged else [0]
