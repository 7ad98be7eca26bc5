"""Temperature and vector scaling whose derivatives are summed where the rows are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from calib._border.typing import Float64Array
from calib._core.multinomial import KEPT_ELEMENTS, MultinomialProblem, Tempered, kept
from calib._core.newton import Root, find_root
from calib._distributed.logistic import RemoteOdds
from calib._distributed.partitions import Part, Sums
from calib._distributed.rows import (
    Odds,
    Rows,
    gather,
    gather_odds,
    odds_of,
    sample_of_odds,
    sample_of_part,
)
from calib.calibrators import linear_maps, matrix, temperature


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
    coarse: temperature.Derivatives | None = None
    source: Rows
    terms: Callable[..., Sums]
    if odds is not None:
        scale = float(odds.mean(np.abs)[0]) / 2
        source, terms = odds.rows, _binary_terms
        if step > 1:
            part = gather_odds(source.sample(sample_of_odds, step))
            coarse = temperature._binary_derivatives(part.s[:, 0], part.target[:, 0], part.weight)
    else:
        scale = float(rows.sums(_gaps)[0]) / total
        source, terms = rows, _terms
        if step > 1:
            piece = gather(rows.sample(sample_of_part, step))
            top, _ = temperature._row_maxima(piece.scores, piece.weight)
            coarse = temperature._derivatives(
                piece.scores, piece.codes.astype(np.float64), piece.weight, top
            )

    def derivatives(v: float) -> tuple[float, float, float]:
        value, slope, bend = (float(term / total) for term in source.sums(terms, v))
        return value, slope, bend

    root = Root(0.0, 0, True, 0)
    if scale > 0:
        centre = -math.log(scale)
        low, high = centre - temperature.LOG_RANGE, centre + temperature.LOG_RANGE
        start = min(max(0.0, low + 1.0), high - 1.0)
        if coarse is not None:
            first = find_root(coarse, start, low, high, tolerance=1e-3)
            start = start if first.at_bound else first.x
        root = find_root(derivatives, start, low, high)
    cal.temperature_, cal.n_evaluations_ = math.exp(-root.x), root.n_evaluations
    smoothed = smoothing is True or (smoothing == "auto" and root.at_bound == 1)
    cal.smoothing_ = 1.0 / (total + 1.0) if smoothed else 0.0
    return [] if root.converged else [0]


def choose_share(rows: Rows) -> float:
    """Return the smoothing of the input that one machine would choose."""
    step = max(1, rows.n_samples * rows.n_classes // temperature.CHOICE_ELEMENTS)
    piece = gather(rows.sample(sample_of_part, step))
    target = piece.codes.astype(np.float64)
    return temperature.choose_share(piece.scores, target, piece.weight, rows.total)


def _smoothed(part: Part, share: float) -> Part:
    return replace(part, scores=part.scores.smoothed(share))


def _binary_terms(part: Odds, v: float) -> Sums:
    function = temperature._binary_derivatives(part.s[:, 0], part.target[:, 0], part.weight)
    return tuple(part.total * term for term in function(v))


def _terms(part: Part, v: float) -> Sums:
    top, _ = temperature._row_maxima(part.scores, part.weight)
    target = part.codes.astype(np.float64)
    function = temperature._derivatives(part.scores, target, part.weight, top)
    return tuple(part.total * term for term in function(v))


def _gaps(part: Part) -> Sums:
    return (part.total * temperature._row_maxima(part.scores, part.weight)[1],)


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
