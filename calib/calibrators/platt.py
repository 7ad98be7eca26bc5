"""Platt scaling: an affine map of the log-odds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from calib._border.advice import current_door
from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, Namespace
from calib._core import links
from calib._core.fitted_map import NUMBER, SHARE, MapTraits
from calib._core.logistic import (
    Design,
    Goals,
    Regressions,
    choose_smoothing,
    confined_problems,
    fit_logistic,
    smooths_input,
    warn_of_classes,
)
from calib._core.rows import Rows
from calib._core.scores import Scores
from calib._core.suspicion import LEVEL, ranking, says_nothing
from calib.base import BaseCalibrator


class PlattCalibrator(BaseCalibrator):
    """Fit ``expit(a + b s)`` to the log-odds ``s`` by maximum likelihood.

    Two parameters, monotone, hard to beat for two classes with a few hundred labels. The map works
    on *log-odds*, recovered from probabilities where necessary; applied to probabilities
    themselves, the same formula is worse than no calibration at all. Beyond two classes every
    class is fitted against the rest on its own log-odds and rows are renormalised.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    smooth_targets : {"auto", True, False}, default="auto"
        Whether to replace the targets 1 and 0 by ``(n1 + 1) / (n1 + 2)`` and ``1 / (n0 + 2)``, with
        n1 and n0 the total weights of the class and of the rest: Platt's own proposal, a mild
        pull towards caution that vanishes as n grows. ``"auto"`` does so only for classes whose
        maximum likelihood estimate is infinite: separable ones and absent ones.
    smooth_input : {"auto", True, False}, default="auto"
        Whether to bound log-odds by mixing the probabilities with the uniform distribution first;
        the share, possibly 0, is the one with which the map fits best. Classifiers that emit
        probabilities of exactly 0 and 1 need it. ``"auto"`` does so for ``input="proba"``.

    Attributes
    ----------
    input_smoothing_ : ndarray of shape (1,) or (n_classes,)
        Share of the uniform distribution mixed in before the log-odds are taken.
    intercept_, slope_ : ndarray of shape (1,) or (n_classes,)
        a and b, in log-odds; one entry for two classes (that of ``classes_[1]``), else one a
        class.
    n_evaluations_ : int
        Passes over the calibration set that the solver made.
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
    TemperatureCalibrator : one parameter for any number of classes.
    IsotonicCalibrator : monotone without a formula, for thousands of labels.

    Notes
    -----
    The mean log loss is convex; Newton steps with step halving find its minimum to rounding, on
    sums over blocks of rows. The log-odds of one class among K are
    ``z_k - log sum_{j != k} exp(z_j)``, computed without cancellation at any confidence.

    References
    ----------
    J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized
    Likelihood Methods", Advances in Large Margin Classifiers, 1999.
    H.-T. Lin, C.-J. Lin, R. C. Weng, "A note on Platt's probabilistic outputs for support vector
    machines", Machine Learning 68, 2007, doi 10.1007/s10994-007-5018-6.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import PlattCalibrator
    >>> s = np.array([-3.0, -1.0, -2.0, 0.5, 1.0, 4.0])  # log-odds of the positive class
    >>> cal = PlattCalibrator(input="logits").fit(s, [0, 1, 0, 0, 1, 1])
    >>> cal.transform(np.array([0.0, 4.0])).round(3)
    array([[0.443, 0.557],
           [0.025, 0.975]])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "intercept_": NUMBER.of_shape("problems"),
            "slope_": NUMBER.of_shape("problems"),
            "input_smoothing_": SHARE.of_shape("problems"),
        },
        cancels=True,
        rescales_from=3,
    )
    _least_per_class: ClassVar[int] = 5
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    intercept_: Float64Array
    slope_: Float64Array
    input_smoothing_: Float64Array
    n_evaluations_: int

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        smooth_targets: Literal["auto", True, False] = "auto",
        smooth_input: Literal["auto", True, False] = "auto",
    ) -> None:
        super().__init__(input=input)
        self.smooth_targets = smooth_targets
        self.smooth_input = smooth_input

    def _fit_rows(self, rows: Rows) -> None:
        check_option("smooth_targets", self.smooth_targets, ("auto", True, False))
        search = smooths_input(self.smooth_input, rows.source)
        known = self._known_smoothing
        n_problems = 1 if rows.n_classes == 2 else rows.n_classes
        self.intercept_, self.slope_, self.input_smoothing_ = np.zeros((3, n_problems))
        self.n_evaluations_ = 0
        failed: list[int] = []
        for columns, odds in confined_problems(rows):
            if search:
                share = self._share(odds) if known is None else known[columns]
                self.input_smoothing_[columns] = share
                odds = odds.bounded(share)
            design, centre, unit = _line(odds)
            minimum = fit_logistic(design, odds.rows, self._goals(odds))
            slope = minimum.x[:, 1] / unit
            self.slope_[columns], self.intercept_[columns] = slope, minimum.x[:, 0] - slope * centre
            self.n_evaluations_ = max(self.n_evaluations_, minimum.n_evaluations)
            failed += (columns.start + np.flatnonzero(~minimum.converged)).tolist()
        text = f"Platt scaling did not converge in {self.n_evaluations_} passes"
        warn_of_classes(text, failed, self.classes_, n_problems)

    def _goals(self, odds: Regressions) -> Goals:
        """Return what the targets 0 and 1 stand for, problem by problem."""
        smooth = self.smooth_targets
        return odds.goals(odds.separable if smooth == "auto" else np.full(len(odds.ones), smooth))

    def _share(self, odds: Regressions) -> Float64Array:
        """Return the smoothing of the input that fits each problem best."""
        return choose_smoothing(_line(odds)[0], odds.rows, self._goals(odds))

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        a, b = fitted["intercept_"], fitted["slope_"]
        return links.through_log_odds(lambda s: a + b * s, scores, fitted, xp)

    def _suspicion(
        self, scores: Scores, target: Float64Array, weight: Float64Array | None
    ) -> str | None:
        if scores.n_classes > 2 or self.slope_[0] >= 0:
            return None
        if says_nothing(scores, target, weight):  # then every other slope is negative
            return None
        area, low, high = ranking(scores.log_odds(), target, weight)
        return (
            f"the slope is negative ({self.slope_[0]:.3g}), so that the map reverses the ranking "
            f"of the scores (AUC {area:.3f}, {LEVEL:.1%} interval {low:.3f} to {high:.3f}); check "
            f"{current_door().check}, and outliers"
        )


def _line(odds: Regressions) -> tuple[Design, Float64Array, Float64Array]:
    """Return a straight line, and the middle and half the width of the range of each problem.

    With these taken out, fits are well conditioned and no square overflows.
    """
    centre, half = 0.5 * odds.high + 0.5 * odds.low, 0.5 * odds.high - 0.5 * odds.low
    unit = np.where(half > 0, half, 1.0)
    return lambda block: ((block - centre) / unit,), centre, unit
