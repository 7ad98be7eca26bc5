"""Increasing penalised splines of the log-odds, one class against the rest at a time.

The calibration set enters as a few hundred weighted cells of similar log-odds, so the cost of a
fit does not grow with the number of samples beyond one pass that fills them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._core import links
from calib._core.logistic import BOUNDS, Odds, Regressions, smoothing_share
from calib._core.newton import minimize
from calib._core.rows import Sums

#: Cells of one problem: equal widths on the scale ``asinh(log-odds)``, which is fine around even
#: odds and relative far out. A cell stands at its mean, which leaves an error of second order.
N_CELLS = 512
#: Log-odds count up to this size, so that no square overflows.
LARGEST = 1e30
#: Gain in mean log loss that a bound of the input has to bring.
LEAST_GAIN = 1e-9
#: Penalties on the integrated squared change of slope; the scale is natural, because the axis is
#: that of affinely calibrated log-odds, where slope 1 is the rule.
PENALTIES = 10.0 ** np.arange(-2.0, 6.0)
#: Weight, in samples, of a prior under which slopes on that axis are positive and 1 at best.
SLOPE_PRIOR = 2.0
#: Least slope at the start of the iteration.
LEAST_SLOPE = 0.05
#: Predicted decrease of the mean loss that ends the Newton iteration.
TOLERANCE = 1e-10
#: Range of the axis below which all scores count as one.
NARROW = 1e-6
#: Elements (problems x penalties x cells) worked on at a time, to stay in a core's cache.
CHUNK_ELEMENTS = 1 << 16
#: Standard deviation of the log-odds, relative to the largest, below which all are equal.
LEAST_SPREAD = 1e-12


@dataclass(frozen=True, eq=False)
class ScoreCells:
    """Weight, mean log-odds and mean target of the cells, shape (n_problems, N_CELLS).

    Cells stand in ascending order; an empty one has weight 0.
    """

    weight: Float64Array
    position: Float64Array
    target: Float64Array

    def part(self, problems: IntArray) -> ScoreCells:
        """Return some of the problems."""
        return ScoreCells(self.weight[problems], self.position[problems], self.target[problems])

    def __len__(self) -> int:
        return len(self.weight)


@dataclass(frozen=True, eq=False)
class SplineCurves:
    """Increasing piecewise linear functions of bounded log-odds, one a problem.

    Attributes
    ----------
    share : ndarray of shape (n_problems,)
        Laplace smoothing of the input; see `links.bounded_log_odds`.
    knots, values : ndarray of shape (n_problems, n_knots)
    slopes : ndarray of shape (n_problems, 2)
        Below the first knot and above the last one.
    converged : ndarray of bool, shape (n_problems,)
    """

    share: Float64Array
    knots: Float64Array
    values: Float64Array
    slopes: Float64Array
    converged: LabelArray


def fill_cells(odds: Regressions) -> ScoreCells:
    """Sum up log-odds and targets in cells."""
    low, high = (np.arcsinh(np.clip(end, -LARGEST, LARGEST)) for end in (odds.low, odds.high))
    (sums,) = odds.rows.reduce(_cell_sums, low, N_CELLS / np.where(high > low, high - low, 1.0))
    filled = np.where(sums[0] > 0, sums[0], 1.0)
    shape = (len(low), N_CELLS)
    return ScoreCells(*(a.reshape(shape) for a in (sums[0], sums[1] / filled, sums[2] / filled)))


def _cell_sums(part: Odds, low: Float64Array, scale: Float64Array) -> Sums:
    """Return weights, log-odds and targets in the cells of all problems, summed up."""
    s, target, weight = part.s, part.target, part.weight
    n_problems = s.shape[1]
    size = n_problems * N_CELLS
    sums = np.zeros((3, size))
    for rows in row_blocks(*s.shape):
        block, t = np.clip(s[rows], -LARGEST, LARGEST), target[rows]
        cells = ((np.arcsinh(block) - low) * scale).astype(np.intp)
        np.clip(cells, 0, N_CELLS - 1, out=cells)
        flat = (cells + N_CELLS * np.arange(n_problems)).ravel()
        if weight is None:
            sums[0] += np.bincount(flat, minlength=size)
        else:
            w = weight[rows, None]
            sums[0] += np.bincount(flat, np.broadcast_to(w, block.shape).ravel(), minlength=size)
            block, t = w * block, w * t
        sums[1] += np.bincount(flat, block.ravel(), minlength=size)
        sums[2] += np.bincount(flat, t.ravel(), minlength=size)
    return (sums,)


def fit_curves(
    cells: ScoreCells,
    n_knots: int,
    prior_weight: float,
    *,
    smooth_input: bool,
    known: Float64Array | None = None,
) -> SplineCurves:
    """Fit one increasing curve a problem.

    Parameters
    ----------
    cells : Cells
    n_knots : int
        At least 3.
    prior_weight : float
        Total weight of pseudo-observations that agree with the scores as they are.
    smooth_input : bool
        Whether to look for a share of Laplace smoothing of the input.
    known : ndarray of shape (n_problems,) or None
        Shares that are taken over instead.

    Returns
    -------
    curves : Curves
    """
    step = max(1, CHUNK_ELEMENTS // (N_CELLS * len(PENALTIES)))
    parts = []
    for first in range(0, len(cells), step):
        part = cells.part(np.arange(first, min(first + step, len(cells))))
        if known is not None:
            fields, _ = _fit_some(part, known[first : first + step], n_knots, prior_weight)
            parts.append(fields)
            continue
        fields, loss = _fit_some(part, np.zeros(len(part)), n_knots, prior_weight)
        share = _best_share(part, prior_weight) if smooth_input else np.zeros(len(part))
        tried = np.flatnonzero(share > 0)
        if len(tried):
            bounded, bounded_loss = _fit_some(part.part(tried), share[tried], n_knots, prior_weight)
            better = bounded_loss < loss[tried] - LEAST_GAIN
            for field, other in zip(fields, bounded, strict=True):
                field[tried[better]] = other[better]
        parts.append(fields)
    return SplineCurves(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _fit_some(
    cells: ScoreCells, share: Float64Array, n_knots: int, prior_weight: float
) -> tuple[list[LabelArray], Float64Array]:
    """Fit the curves of some problems; return the fields of `Curves`, and mean log losses."""
    u, pulled = _pulled(cells, share, prior_weight)
    line = _affine(pulled)
    total = cells.weight.sum(axis=1)
    centre, spread = _moments(cells.weight, u)
    unit = np.maximum(line[:, 1], 1.0 / np.where(spread > 0, spread, 1.0))
    slope = np.maximum(line[:, 1], LEAST_SLOPE * unit)
    events = (cells.weight * cells.target).sum(axis=1)
    flat = np.log(events + 0.5) - np.log(total - events + 0.5)  # where nothing increases
    middle = np.where(line[:, 1] > 0, line[:, 0] + line[:, 1] * centre, flat)
    axis = middle[:, None] + unit[:, None] * (u - centre[:, None])
    knots = _knots(cells.weight, axis, n_knots)
    start = middle[:, None] + (slope / unit)[:, None] * (knots - middle[:, None])
    values, converged = _averaged(ScoreCells(pulled.weight, axis, pulled.target), knots, start)
    first, last = (
        np.clip((values[:, j + 1] - values[:, j]) / (knots[:, j + 1] - knots[:, j]), 0.0, 1.0)
        for j in (0, -2)
    )
    slopes = np.stack([first, last], axis=1) * unit[:, None]
    eta = np.stack([np.interp(*row) for row in zip(axis, knots, values, strict=True)])
    loss = (cells.weight * _log_loss(eta, cells.target)[0]).sum(axis=1) / total
    knots = (knots - middle[:, None]) / unit[:, None] + centre[:, None]
    return [share, knots, values, slopes, converged], loss


def _pulled(
    cells: ScoreCells, share: Float64Array, prior_weight: float
) -> tuple[Float64Array, ScoreCells]:
    """Return bounded log-odds, and cells in which the pseudo-observations are mixed.

    These lie where the samples lie, and their targets are the scores themselves.
    """
    u = links.bounded_log_odds(cells.position, share[:, None], np)
    share_of_prior = (prior_weight / cells.weight.sum(axis=1))[:, None]
    target = (cells.target + share_of_prior * links.expit(u, np)) / (1.0 + share_of_prior)
    return u, ScoreCells(cells.weight * (1.0 + share_of_prior), u, target)


def _best_share(cells: ScoreCells, prior_weight: float) -> Float64Array:
    """Return the share of smoothing of the input at which an affine map fits best."""
    total = cells.weight.sum(axis=1)
    best_share, best = np.zeros(len(cells)), np.full(len(cells), np.inf)
    for bound in BOUNDS:
        share = np.array([smoothing_share(weight, bound) for weight in total])
        u, pulled = _pulled(cells, share, prior_weight)
        line = _affine(pulled)
        loss, _, _ = _log_loss(line[:, :1] + line[:, 1:] * u, cells.target)
        value = (cells.weight * loss).sum(axis=1) / total
        better = value < best - LEAST_GAIN
        best, best_share = np.where(better, value, best), np.where(better, share, best_share)
    return best_share


def _moments(weight: Float64Array, u: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of each row, the latter 0 where it is only rounding."""
    total = weight.sum(axis=1)
    centre = (weight * u).sum(axis=1) / total
    spread = np.sqrt((weight * (u - centre[:, None]) ** 2).sum(axis=1) / total)
    rounding = LEAST_SPREAD * np.abs(np.where(weight > 0, u, 0.0)).max(axis=1)
    return centre, np.where(spread > rounding, spread, 0.0)


def _affine(cells: ScoreCells) -> Float64Array:
    """Fit intercept and slope, shape (n_problems, 2), by maximum likelihood."""
    weight = cells.weight / cells.weight.sum(axis=1, keepdims=True)
    centre, spread = (m[:, None] for m in _moments(weight, cells.position))
    spread = np.where(spread > 0, spread, 1.0)
    v = (cells.position - centre) / spread

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        loss, tilt, bend = _log_loss(x[:, :1] + x[:, 1:] * v, cells.target)
        tilt, bend = weight * tilt, weight * bend
        gradient = np.stack([tilt.sum(axis=1), (tilt * v).sum(axis=1)], axis=1)
        beside = (bend * v).sum(axis=1)
        hessian = np.stack([bend.sum(axis=1), beside, beside, (bend * v * v).sum(axis=1)], axis=1)
        return (weight * loss).sum(axis=1), gradient, hessian.reshape(-1, 2, 2)

    x = minimize(objective, np.zeros((len(cells), 2)), tolerance=TOLERANCE).x
    slope = x[:, 1:] / spread
    return np.concatenate([x[:, :1] - slope * centre, slope], axis=1)


def _log_loss(
    eta: Float64Array, target: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Log loss of log-odds with its first two derivatives, element by element."""
    decay = np.exp(-np.abs(eta))
    loss = np.maximum(eta, 0.0) + np.log1p(decay) - target * eta
    expit = np.where(eta >= 0, 1.0, decay) / (1.0 + decay)
    return loss, expit - target, decay / (1.0 + decay) ** 2


def _knots(weight: Float64Array, axis: Float64Array, n_knots: int) -> Float64Array:
    """Place knots half way between equal mass and equal widths of ``asinh(axis)``."""
    knots = np.empty((len(axis), n_knots))
    grid = np.linspace(0.0, 1.0, n_knots)
    for p, (w, x) in enumerate(zip(weight, axis, strict=True)):
        z, mass = np.arcsinh(x[w > 0]), (np.cumsum(w) - 0.5 * w)[w > 0]
        if z[-1] - z[0] < NARROW:  # practically one score: any knots around it
            z, mass = z[:1] + np.array([-0.5, 0.5]), np.array([0.0, 1.0])
        equal = np.interp(grid, (mass - mass[0]) / (mass[-1] - mass[0]), z)
        knots[p] = np.sinh(0.5 * (equal + z[0] + (z[-1] - z[0]) * grid))
    return knots


def _averaged(
    cells: ScoreCells, knots: Float64Array, start: Float64Array
) -> tuple[Float64Array, LabelArray]:
    """Fit at every penalty; return values at the knots averaged by evidence, and convergence."""
    problem = _PenalisedProblem(cells, knots)
    n_problems, m = knots.shape
    minimum = minimize(problem, np.repeat(start, len(PENALTIES), axis=0), tolerance=TOLERANCE)
    evidence = problem.evidence(minimum.x).reshape(n_problems, -1)
    share = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    values = (share[:, :, None] * minimum.x.reshape(n_problems, -1, m)).sum(axis=1)
    converged: LabelArray = np.asarray(minimum.converged.reshape(n_problems, -1).all(axis=1))
    return values, converged


class _PenalisedProblem:
    """Mean log loss of values at knots plus roughness, every problem at every penalty.

    The unknowns are the values at the knots, one row for each pair (problem, penalty).
    """

    def __init__(self, cells: ScoreCells, knots: Float64Array) -> None:
        n_problems, self.m = knots.shape
        repeat = len(PENALTIES)
        self.n_rows = n_problems * repeat
        self.total = np.repeat(cells.weight.sum(axis=1), repeat)
        width = np.diff(knots, axis=1)
        inside = np.clip(cells.position, knots[:, :1], knots[:, -1:])
        left = np.stack(
            [np.searchsorted(k, x, side="right") - 1 for k, x in zip(knots, inside, strict=True)]
        )
        left = np.clip(left, 0, self.m - 2)
        upper = (inside - np.take_along_axis(knots, left, 1)) / np.take_along_axis(width, left, 1)
        self.weight = np.repeat(cells.weight, repeat, axis=0) / self.total[:, None]
        self.target = np.repeat(cells.target, repeat, axis=0)
        self.left, self.upper = np.repeat(left, repeat, axis=0), np.repeat(upper, repeat, axis=0)
        self.lower = 1.0 - self.upper
        self.flat = (self.left + self.m * np.arange(self.n_rows)[:, None]).ravel()
        self.width = np.repeat(width, repeat, axis=0)
        self.penalty = np.tile(PENALTIES, n_problems)
        rough = np.repeat(_roughness(knots, width), repeat, axis=0)
        self.rough = rough * np.sqrt(self.penalty / self.total)[:, None, None]
        self.rough_square = self.rough.transpose(0, 2, 1) @ self.rough

    def _sums(self, values: Float64Array, shift: int = 0) -> Float64Array:
        """Add up what cells give to the knots at their left, or `shift` further."""
        size = self.n_rows * self.m
        sums = np.bincount(self.flat + shift, values.ravel(), minlength=size)
        return sums.astype(np.float64, copy=False).reshape(self.n_rows, self.m)

    def _likelihood(
        self, x: Float64Array
    ) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
        """Mean log loss, its gradient, and the diagonals of its Hessian."""
        below = np.take_along_axis(x, self.left, axis=1)
        above = np.take_along_axis(x, self.left + 1, axis=1)
        loss, tilt, bend = _log_loss(below * self.lower + above * self.upper, self.target)
        tilt, bend = self.weight * tilt, self.weight * bend
        gradient = self._sums(tilt * self.lower) + self._sums(tilt * self.upper, 1)
        low, high = bend * self.lower, bend * self.upper
        diagonal = self._sums(low * self.lower) + self._sums(high * self.upper, 1)
        beside = self._sums(low * self.upper)[:, :-1]
        return (self.weight * loss).sum(axis=1), gradient, diagonal, beside

    def _matrix(self, diagonal: Float64Array, beside: Float64Array) -> Float64Array:
        """Tridiagonal matrices plus the penalties."""
        matrix = self.rough_square.copy()
        at = np.arange(self.m)
        matrix[:, at, at] += diagonal
        matrix[:, at[:-1], at[1:]] += beside
        matrix[:, at[1:], at[:-1]] += beside
        return np.asarray(matrix)

    def __call__(self, x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        value, gradient, diagonal, beside = self._likelihood(x)
        bent = self.rough @ x[:, :, None]  # not by the square, for the sake of rounding
        value = value + 0.5 * (bent * bent).sum(axis=(1, 2))
        gradient = gradient + (bent.transpose(0, 2, 1) @ self.rough)[:, 0, :]
        slope = np.diff(x, axis=1) / self.width
        rising = slope > 0
        slope = np.where(rising, slope, 1.0)
        price = SLOPE_PRIOR / (self.m - 1) / self.total[:, None]
        value += np.where(rising, price * (slope - np.log(slope)), np.inf).sum(axis=1)
        push = price * (1.0 - 1.0 / slope) / self.width
        gradient[:, :-1] -= push
        gradient[:, 1:] += push
        stiff = price / (slope * self.width) ** 2
        diagonal[:, :-1] += stiff
        diagonal[:, 1:] += stiff
        return value, gradient, self._matrix(diagonal, beside - stiff)

    def evidence(self, x: Float64Array) -> Float64Array:
        """Log marginal likelihood by Laplace's method, up to a constant of the problem."""
        value, _, hessian = self(x)
        _, log_det = np.linalg.slogdet(hessian * self.total[:, None, None] + 1e-9 * np.eye(self.m))
        rank = self.m - 2
        out: Float64Array = 0.5 * (rank * np.log(self.penalty) - log_det) - self.total * value
        return out


def _roughness(knots: Float64Array, width: Float64Array) -> Float64Array:
    """Operators whose square is the integrated squared change of slope, (n_problems, m - 2, m)."""
    n_problems, m = knots.shape
    differences = np.zeros((n_problems, m - 2, m))
    at = np.arange(m - 2)
    differences[:, at, at] = 1.0 / width[:, :-1]
    differences[:, at, at + 1] = -1.0 / width[:, :-1] - 1.0 / width[:, 1:]
    differences[:, at, at + 2] = 1.0 / width[:, 1:]
    spacing = 0.5 * (knots[:, 2:] - knots[:, :-2])
    out: Float64Array = differences / np.sqrt(spacing)[:, :, None]
    return out
