"""Beta calibration: three parameters on the logarithms of both probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from calib._border.typing import Array, Float64Array, LabelArray, Namespace
from calib._core import links
from calib._core.fitted_map import NUMBER, SHARE, FittedArray, MapTraits
from calib._core.logistic import (
    LOG_TWO,
    Goals,
    Regressions,
    centred_logarithms,
    choose_smoothing,
    confined_problems,
    fit_logistic,
    smooths_input,
    warn_of_classes,
)
from calib._core.rows import Rows
from calib.base import BaseCalibrator

#: Factor of the squared difference of the two coefficients in the total log loss.
BEND_PENALTY = 0.1
#: Relative spread of log-odds below which they are constant.
ROUNDING = 1e-12


class BetaCalibrator(BaseCalibrator):
    """Fit ``expit(a log p - b log(1 - p) + c)`` with ``a, b >= 0``.

    The map that is right if probabilities follow beta distributions in both classes. It contains
    the identity, is monotone, and bends the two ends of the scale separately: among the best maps
    of the public benchmark for two classes. Beyond two classes every class is fitted against the
    rest and rows are renormalised.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    smooth_input : {"auto", True, False}, default="auto"
        Whether to bound log-odds by mixing the probabilities with the uniform distribution first;
        the share, possibly 0, is the one with which the map fits best. Classifiers that emit
        probabilities of exactly 0 and 1 need it. ``"auto"`` does so for ``input="proba"``.

    Attributes
    ----------
    coef_ : ndarray of shape (1, 2) or (n_classes, 2)
        a and b.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        c.
    input_smoothing_ : ndarray of shape (1,) or (n_classes,)
        Share of the uniform distribution mixed in before the logarithms are taken.
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
    PlattCalibrator : two parameters.
    QuadraticCalibrator : another curve of three parameters.

    Notes
    -----
    Minimises the log loss plus a trace of ``(a - b)^2 / n`` (in units of the mean absolute
    log-odds), which decides what scores on one side of 1/2 leave open, by Newton steps. Where a
    coefficient comes out negative it is set to 0 and the other is fitted again; the better of the
    two choices is kept. Logarithms are taken from log-odds, so nothing cancels near 0 and 1.

    References
    ----------
    M. Kull, T. Silva Filho, P. Flach. Beta calibration: a well-founded and easily implemented
    improvement on logistic calibration for binary classifiers. AISTATS 2017, PMLR 54:623-631.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import BetaCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=500)
    >>> y = rng.uniform(size=500) < p**2
    >>> cal = BetaCalibrator().fit(p, y.astype(int))
    >>> cal.transform(np.array([0.2, 0.5, 0.8]))[:, 1].round(2)
    array([0.05, 0.23, 0.67])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "coef_": FittedArray(("problems", 2), low=0.0),
            "intercept_": NUMBER.of_shape("problems"),
            "input_smoothing_": SHARE.of_shape("problems"),
            "smoothing_": SHARE,
        },
        cancels=True,
        rescales_from=2,
    )
    _least_per_class: ClassVar[int] = 5
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    coef_: Float64Array
    intercept_: Float64Array
    input_smoothing_: Float64Array
    smoothing_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        smooth_input: Literal["auto", True, False] = "auto",
    ) -> None:
        super().__init__(input=input)
        self.smooth_input = smooth_input

    def _fit_rows(self, rows: Rows) -> None:
        search = smooths_input(self.smooth_input, rows.source)
        known = self._known_smoothing
        n_problems = 1 if rows.n_classes == 2 else rows.n_classes
        self.coef_ = np.zeros((n_problems, 2))
        self.intercept_, self.input_smoothing_ = np.zeros((2, n_problems))
        self.smoothing_ = 1.0 / (rows.total + 1.0)
        failed: list[int] = []
        for columns, odds in confined_problems(rows):
            goals = odds.goals(odds.separable)
            if search:
                share = known[columns] if known is not None else None
                if share is None:
                    share = choose_smoothing(centred_logarithms, odds.rows, goals)
                self.input_smoothing_[columns] = share
                odds = odds.bounded(share)
            scale = np.maximum(odds.mean(np.abs), 1e-12)
            x, converged = _line_and_bend(odds, scale, goals, self.smoothing_)
            for k in np.flatnonzero((x[:, 1:] < 0.0).any(axis=1) | ~converged):
                goals_of_k = (goals[0][k : k + 1], goals[1][k : k + 1])
                x[k], converged[k] = _non_negative(odds.column(int(k)), scale[k], goals_of_k)
            failed += (columns.start + np.flatnonzero(~converged)).tolist()
            self.intercept_[columns] = x[:, 0] + LOG_TWO * (x[:, 1] - x[:, 2])
            self.coef_[columns] = x[:, 1:]
        warn_of_classes("beta calibration did not converge", failed, self.classes_, n_problems)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        coef, intercept = fitted["coef_"], fitted["intercept_"]

        def eta(s: Array) -> Array:
            log_p, minus_log_rest = links.logarithms(s, xp)
            return intercept + coef[:, 0] * log_p + coef[:, 1] * minus_log_rest

        return links.through_log_odds(eta, scores, fitted, xp)


def _bend(s: Float64Array) -> Float64Array:
    """Return ``log p + log(1 - p) + 2 log 2`` of log-odds: 0 at even odds, negative elsewhere."""
    log_p, minus_log_rest = centred_logarithms(s)
    return log_p - minus_log_rest


def _line_and_bend(
    odds: Regressions, scale: Float64Array, goals: Goals, share: float
) -> tuple[Float64Array, LabelArray]:
    """Fit ``c + h s + d (log p + log(1 - p))``; return c, a = h + d, b = h - d, and convergence."""
    centres = (odds.mean(np.asarray), odds.mean(_bend))
    spread = np.sqrt(odds.mean(_squared_distance, centres[0], scale))
    unit = scale * np.where(spread > ROUNDING, spread, np.inf)  # constants say nothing

    def design(block: Float64Array) -> tuple[Float64Array, ...]:
        return (block - centres[0]) / unit, (_bend(block) - centres[1]) / unit

    penalty = np.zeros((len(scale), 3))
    penalty[:, 2] = BEND_PENALTY * share
    minimum = fit_logistic(design, odds.rows, goals, penalty=penalty)
    line, curve = minimum.x[:, 1] / unit, minimum.x[:, 2] / unit
    intercept = minimum.x[:, 0] - line * centres[0] - curve * centres[1]
    return np.stack([intercept, line + curve, line - curve], axis=1), minimum.converged.copy()


def _squared_distance(s: Float64Array, centre: Float64Array, unit: Float64Array) -> Float64Array:
    return np.asarray(((s - centre) / unit) ** 2)


def _non_negative(odds: Regressions, scale: float, goals: Goals) -> tuple[Float64Array, bool]:
    """Fit one problem with at least one of the two coefficients at 0."""
    best, coefficients, converged = np.inf, np.zeros(3), True
    for kept in (0, 1):

        def design(block: Float64Array, j: int = kept) -> tuple[Float64Array, ...]:
            return (centred_logarithms(block)[j] / scale,)

        minimum = fit_logistic(design, odds.rows, goals)
        if minimum.x[0, 1] > 0.0 and minimum.value[0] < best:
            best, converged = float(minimum.value[0]), bool(minimum.converged[0])
            coefficients = np.zeros(3)
            coefficients[[0, 1 + kept]] = minimum.x[0] / [1.0, scale]
    if best == np.inf:
        coefficients[0] = odds.constant(goals)[0]
    return coefficients, converged
