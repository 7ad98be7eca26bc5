"""Quadratic scaling: a parabola on the log-odds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, Namespace
from calib._core import links
from calib._core.fitted_map import NUMBER, POSITIVE, SHARE, MapTraits
from calib._core.logistic import (
    Goals,
    Odds,
    Regressions,
    choose_smoothing,
    confined_problems,
    fit_logistic,
    smooths_input,
    warn_of_classes,
)
from calib._core.rows import Rows, Sums, largest_entries
from calib.base import BaseCalibrator

#: Factor of the squared coefficient of the square in the total log loss, in units in which the
#: log-odds of the calibration set have standard deviation 1.
CURVATURE_PENALTY = 1.0


class QuadraticCalibrator(BaseCalibrator):
    """Fit ``expit(a + b s + c s^2)`` to the log-odds ``s``.

    The best map on average of the public benchmark for two classes: right if log-odds are normal
    in both classes, with unequal variances. Beyond two classes every class is fitted against the
    rest and rows are renormalised.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    monotone : bool, default=True
        Whether the map is made constant beyond the vertex of the parabola, where that lies among
        the log-odds; a straight line is taken instead where it fits better. False keeps the
        parabola, which then turns the order of some scores round.
    smooth_input : {"auto", True, False}, default="auto"
        Whether to bound log-odds by mixing the probabilities with the uniform distribution first;
        the share, possibly 0, is the one with which the map fits best. Classifiers that emit
        probabilities of exactly 0 and 1 need it. ``"auto"`` does so for ``input="proba"``.

    Attributes
    ----------
    coef_ : ndarray of shape (1, 3) or (n_classes, 3)
        a, b and c for log-odds less their mean, in units of their standard deviation.
    centre_, scale_ : ndarray of shape (1,) or (n_classes,)
        That mean and standard deviation.
    low_, high_ : ndarray of shape (1,) or (n_classes,)
        Range of standardised log-odds in which the parabola holds; the map is constant beyond.
    input_smoothing_ : ndarray of shape (1,) or (n_classes,)
        Share of the uniform distribution mixed in before the log-odds are taken.
    smoothing_ : float
        Share of the uniform distribution mixed in at the end, ``1 / (n + 1)``.
    unit_ : float
        Number that logits are divided by first: 1 unless they are on another scale than
        log-probabilities (decision scores), then their standard deviation.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses or an unknown option.

    Warns
    -----
    ConvergenceWarning
        If the solver does not meet its tolerance.

    See Also
    --------
    PlattCalibrator : the same with a straight line.
    BetaCalibrator : another curve of three parameters, monotone by itself.

    Notes
    -----
    Minimises the log loss plus ``c^2 / n`` by Newton steps, on standardised log-odds. Beyond the
    range of the calibration set the map is constant: a parabola is no guide there.

    References
    ----------
    E. Berta, D. Holzmüller, F. Bach, M. I. Jordan. CalArena: A Large-Scale Post-Hoc Calibration
    Benchmark. 2026. arXiv:2605.30188

    Examples
    --------
    >>> import numpy as np
    >>> from calib import QuadraticCalibrator
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> s = np.where(y == 1, rng.normal(1, 2, 400), rng.normal(-1, 1, 400))
    >>> cal = QuadraticCalibrator(input="logits").fit(s, y)
    >>> cal.transform(np.array([-1.0, 0.0, 3.0]))[:, 1].round(2)
    array([0.28, 0.52, 1.  ])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "coef_": NUMBER.of_shape("problems", 3),
            "centre_": NUMBER.of_shape("problems"),
            "scale_": POSITIVE.of_shape("problems"),
            "low_": NUMBER.of_shape("problems"),
            "high_": NUMBER.of_shape("problems"),
            "smoothing_": SHARE,
            "input_smoothing_": SHARE.of_shape("problems"),
        },
        cancels=True,
        rescales_from=2,
    )
    _reads_shares: ClassVar[bool] = True
    _least_per_class: ClassVar[int] = 5
    soft_targets: ClassVar[bool] = True

    coef_: Float64Array
    centre_: Float64Array
    scale_: Float64Array
    low_: Float64Array
    high_: Float64Array
    input_smoothing_: Float64Array
    smoothing_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        monotone: bool = True,
        smooth_input: Literal["auto", True, False] = "auto",
    ) -> None:
        super().__init__(input=input)
        self.monotone = monotone
        self.smooth_input = smooth_input

    def _fit_rows(self, rows: Rows) -> None:
        check_option("monotone", self.monotone, (True, False))
        search = smooths_input(self.smooth_input, rows.source)
        known, total = self._known_smoothing, rows.total
        n_problems = 1 if rows.n_classes == 2 else rows.n_classes
        self.coef_ = np.zeros((n_problems, 3))
        fitted = np.zeros((5, n_problems))
        self.centre_, self.scale_, self.low_, self.high_, self.input_smoothing_ = fitted
        self.smoothing_ = 1.0 / (total + 1.0)
        failed: list[int] = []
        for columns, odds in confined_problems(rows):
            goals = odds.goals(odds.separable)
            if search:
                share = known[columns] if known is not None else None
                if share is None:
                    penalty_of = partial(_penalty_for_choice, total)
                    share = choose_smoothing(_for_choice, odds.rows, goals, penalty_of)
                self.input_smoothing_[columns] = share
                odds = odds.bounded(share)
            centre, scale = _moments(odds)
            odds = odds.moved(_standardised, centre, scale)
            penalty = np.zeros((len(scale), 3))
            penalty[:, 2] = CURVATURE_PENALTY / total
            minimum = fit_logistic(_parabola, odds.rows, goals, penalty=penalty)
            failed += (columns.start + np.flatnonzero(~minimum.converged)).tolist()
            self.coef_[columns] = minimum.x
            self.centre_[columns], self.scale_[columns] = centre, scale
            self.low_[columns], self.high_[columns] = odds.low, odds.high
            if self.monotone:
                self._straighten(columns, odds, goals)
        warn_of_classes("quadratic scaling did not converge", failed, self.classes_, n_problems)

    def _straighten(self, columns: slice, odds: Regressions, goals: Goals) -> None:
        """Cut every parabola at a vertex inside its range, or replace it by a line."""
        coef, low, high = self.coef_[columns], self.low_[columns], self.high_[columns]
        bent = np.flatnonzero(coef[:, 2] != 0.0)
        vertex = np.full(len(coef), np.inf)
        vertex[bent] = -coef[bent, 1] / (2.0 * coef[bent, 2])
        inside = (vertex > low) & (vertex < high)
        falling = ~inside & (coef[:, 1] + coef[:, 2] * (low + high) < 0.0)
        for k in np.flatnonzero(inside | falling):
            goals_of_k = (goals[0][k : k + 1], goals[1][k : k + 1])
            problem = odds.column(int(k))
            line = np.append(fit_logistic(_line, problem.rows, goals_of_k).x[0], 0.0)
            line[1] = max(line[1], 0.0)
            if line[1] == 0.0:
                line[0] = problem.constant(goals_of_k)[0]
            cut = (max(vertex[k], low[k]), high[k]) if coef[k, 2] > 0 else (low[k], vertex[k])
            curved, straight = np.inf, problem.loss(goals_of_k, _polynomial, line)[0]
            if inside[k]:
                curved = problem.moved(np.clip, *cut).loss(goals_of_k, _polynomial, coef[k])[0]
            if straight <= curved:
                coef[k] = line
            else:
                low[k], high[k] = cut

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        super().check_map()
        if (self.low_ > self.high_).any():
            raise ValueError("low_ must not exceed high_")

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        coef = fitted["coef_"]

        def eta(s: Array) -> Array:
            u = (s - fitted["centre_"]) / fitted["scale_"]
            u = xp.minimum(xp.maximum(u, fitted["low_"]), fitted["high_"])
            return coef[:, 0] + u * (coef[:, 1] + coef[:, 2] * u)

        return links.through_log_odds(eta, scores, fitted, xp)


def _line(u: Float64Array) -> tuple[Float64Array, ...]:
    return (u,)


def _parabola(u: Float64Array) -> tuple[Float64Array, ...]:
    return u, u * u


def _polynomial(u: Float64Array, coef: Float64Array) -> Float64Array:
    return np.asarray(coef[0] + u * (coef[1] + coef[2] * u))


def _for_choice(s: Float64Array) -> tuple[Float64Array, ...]:
    """Features by which the smoothing of the input is chosen; no square overflows."""
    u = 0.1 * np.clip(s, -1e3, 1e3)
    return u, u * u


def _penalty_for_choice(total: float, odds: Regressions) -> Float64Array:
    """Return the penalty of the final fit in the units of `_for_choice`."""
    _, scale = _moments(odds.moved(np.clip, -1e3, 1e3))
    penalty = np.zeros((len(scale), 3))
    penalty[:, 2] = CURVATURE_PENALTY / total * (0.1 * scale) ** 4
    return penalty


def _moments(odds: Regressions) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of the log-odds of each problem, 1 for constant ones."""
    (peak,) = odds.rows.reduce(_largest_size, by=largest_entries)
    unit = np.maximum(peak, np.finfo(np.float64).tiny)  # no square overflows
    mean = odds.mean(np.divide, unit)
    spread = unit * np.sqrt(odds.mean(_squared_distance, mean, unit))
    return np.asarray(unit * mean), np.where(spread > 0, spread, 1.0)


def _largest_size(part: Odds) -> Sums:
    return (np.abs(part.s).max(axis=0),)


def _squared_distance(s: Float64Array, mean: Float64Array, unit: Float64Array) -> Float64Array:
    return np.asarray((s / unit - mean) ** 2)


def _standardised(s: Float64Array, centre: Float64Array, scale: Float64Array) -> Float64Array:
    return np.asarray((s - centre) / scale)
