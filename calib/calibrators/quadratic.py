"""Quadratic scaling: a parabola on the log-odds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, LabelArray, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.fitted_map import NUMBER, POSITIVE, SHARE, MapTraits
from calib._core.logistic import (
    PenaltyOf,
    cautious_goals,
    choose_smoothing,
    confined_problems,
    fit_logistic,
    log_loss,
    separable,
)
from calib._core.scores import Scores
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
            "input_smoothing_": SHARE.of_shape("problems"),
            "smoothing_": SHARE,
        },
        rescales_from=2,
    )
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

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        check_option("monotone", self.monotone, (True, False))
        check_option("smooth_input", self.smooth_input, ("auto", True, False))
        total = float(scores.n_samples if weight is None else weight.sum())
        search = scores.source == "proba" if self.smooth_input == "auto" else self.smooth_input
        n_problems = 1 if scores.n_classes == 2 else scores.n_classes
        self.coef_ = np.zeros((n_problems, 3))
        fitted = np.zeros((5, n_problems))
        self.centre_, self.scale_, self.low_, self.high_, self.input_smoothing_ = fitted
        self.smoothing_ = 1.0 / (total + 1.0)
        failed: list[int] = []
        for columns, s, t in confined_problems(scores, target, weight):
            goals = cautious_goals(t, weight, separable(s, t))
            if search:
                known = self._known_smoothing
                share = (
                    choose_smoothing(_for_choice, s, t, weight, goals, penalty_for_choice(total))
                    if known is None
                    else known[columns]
                )
                self.input_smoothing_[columns] = share
                s = links.bounded_log_odds(s, share, np)
            centre, scale = _moments(s, weight)
            u = (s - centre) / scale
            penalty = np.zeros((s.shape[1], 3))
            penalty[:, 2] = CURVATURE_PENALTY / total
            minimum = fit_logistic(_parabola, u, t, weight, goals, penalty=penalty)
            failed += (columns.start + np.flatnonzero(~minimum.converged)).tolist()
            self.coef_[columns] = minimum.x
            self.centre_[columns], self.scale_[columns] = centre, scale
            self.low_[columns], self.high_[columns] = u.min(axis=0), u.max(axis=0)
            if self.monotone:
                self._straighten(columns, u, t, weight, goals)
        if failed:
            warn(
                f"quadratic scaling did not converge for classes "
                f"{self.classes_[failed if n_problems > 1 else [1]].tolist()}",
                ConvergenceWarning,
            )

    def _straighten(
        self,
        columns: slice,
        u: Float64Array,
        t: LabelArray,
        weight: Float64Array | None,
        goals: tuple[Float64Array, Float64Array],
    ) -> None:
        """Cut every parabola at a vertex inside its range, or replace it by a line."""
        coef, low, high = self.coef_[columns], self.low_[columns], self.high_[columns]
        bent = np.flatnonzero(coef[:, 2] != 0.0)
        vertex = np.full(len(coef), np.inf)
        vertex[bent] = -coef[bent, 1] / (2.0 * coef[bent, 2])
        inside = (vertex > low) & (vertex < high)
        falling = ~inside & (coef[:, 1] + coef[:, 2] * (low + high) < 0.0)
        for k in np.flatnonzero(inside | falling):
            one = (goals[0][k : k + 1], goals[1][k : k + 1])
            part = (t[:, k : k + 1], weight, one)
            line = fit_logistic(lambda b: (b,), u[:, k : k + 1], *part).x[0]
            line[1] = max(line[1], 0.0)
            if line[1] == 0.0:
                share = np.average(t[:, k], weights=weight)
                mean = goals[0][k] + (goals[1][k] - goals[0][k]) * share
                line[0] = np.log(mean) - np.log(1.0 - mean)
            cut = (max(vertex[k], low[k]), high[k]) if coef[k, 2] > 0 else (low[k], vertex[k])
            losses = [np.inf, log_loss(line[0] + line[1] * u[:, k : k + 1], *part)[0]]
            if inside[k]:
                x = np.clip(u[:, k : k + 1], *cut)
                losses[0] = log_loss(coef[k, 0] + x * (coef[k, 1] + coef[k, 2] * x), *part)[0]
            if losses[1] <= losses[0]:
                coef[k] = [*line, 0.0]
            else:
                low[k], high[k] = cut

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        super().check_map()
        if (self.low_ > self.high_).any():
            raise ValueError("low_ must not exceed high_")

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        coef, binary = fitted["coef_"], scores.shape[1] == 2
        if binary:
            s = xp.expand_dims(links.binary_log_odds(scores), axis=1)
        else:
            s = links.log_odds_one_vs_rest(scores, xp)
        raw = s
        s = links.bounded_log_odds(s, fitted["input_smoothing_"], xp)
        u = (s - fitted["centre_"]) / fitted["scale_"]
        u = xp.minimum(xp.maximum(u, fitted["low_"]), fitted["high_"])
        eta = coef[:, 0] + u * (coef[:, 1] + coef[:, 2] * u)
        if binary:
            proba = links.expit(xp.concat([-eta, eta], axis=1), xp)
        else:
            proba = links.against_the_rest(links.expit(eta, xp), raw, scores, xp)
        return links.smooth(proba, fitted["smoothing_"])


def _parabola(u: Float64Array) -> tuple[Float64Array, ...]:
    return u, u * u


def _for_choice(s: Float64Array) -> tuple[Float64Array, ...]:
    """Features by which the smoothing of the input is chosen; no square overflows."""
    u = 0.1 * np.clip(s, -1e3, 1e3)
    return u, u * u


def penalty_for_choice(total: float) -> PenaltyOf:
    """Return the penalty of the final fit in the units of `_for_choice`, by the log-odds."""

    def penalty_of(s: Float64Array, weight: Float64Array | None) -> Float64Array:
        _, scale = _moments(np.clip(s, -1e3, 1e3), weight)
        penalty = np.zeros((s.shape[1], 3))
        penalty[:, 2] = CURVATURE_PENALTY / total * (0.1 * scale) ** 4
        return penalty

    return penalty_of


def _moments(s: Float64Array, weight: Float64Array | None) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of each column, 1 for a constant one."""
    unit = np.maximum(np.abs(s).max(axis=0), np.finfo(np.float64).tiny)  # no square overflows
    mean = np.average(s / unit, axis=0, weights=weight)
    spread = unit * np.sqrt(np.average((s / unit - mean) ** 2, axis=0, weights=weight))
    return np.asarray(unit * mean), np.where(spread > 0, spread, 1.0)
