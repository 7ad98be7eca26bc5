"""Platt scaling: an affine map of the log-odds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.advice import current_door
from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, LabelArray, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.fitted_map import NUMBER, SHARE, MapTraits
from calib._core.logistic import (
    cautious_goals,
    choose_smoothing,
    confined_problems,
    fit_logistic,
    separable,
)
from calib._core.newton import Minimum
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
        rescales_from=3,
    )
    _least_per_class: ClassVar[int] = 5
    soft_targets: ClassVar[bool] = True

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

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        check_option("smooth_targets", self.smooth_targets, ("auto", True, False))
        check_option("smooth_input", self.smooth_input, ("auto", True, False))
        n_problems = 1 if scores.n_classes == 2 else scores.n_classes
        self.intercept_, self.slope_, self.input_smoothing_ = np.zeros((3, n_problems))
        self.n_evaluations_ = 0
        failed: list[int] = []
        for columns, s, t in confined_problems(scores, target, weight):
            if self.smooth_input is True or (
                self.smooth_input == "auto" and scores.source == "proba"
            ):
                known = self._known_smoothing
                share = (
                    _share(s, t, weight, self.smooth_targets) if known is None else known[columns]
                )
                self.input_smoothing_[columns] = share
                s = links.bounded_log_odds(s, share, np)
            minimum, self.slope_[columns], self.intercept_[columns] = _solve(
                s, t, weight, self.smooth_targets
            )
            self.n_evaluations_ = max(self.n_evaluations_, minimum.n_evaluations)
            failed += (columns.start + np.flatnonzero(~minimum.converged)).tolist()
        if failed:
            warn(
                f"Platt scaling did not converge in {self.n_evaluations_} passes for classes "
                f"{self.classes_[failed if n_problems > 1 else [1]].tolist()}",
                ConvergenceWarning,
            )

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        a, b, share = fitted["intercept_"], fitted["slope_"], fitted["input_smoothing_"]
        if scores.shape[1] == 2:
            s = xp.expand_dims(links.binary_log_odds(scores), axis=1)
            eta = a + b * links.bounded_log_odds(s, share, xp)
            return links.expit(xp.concat([-eta, eta], axis=1), xp)
        s = links.log_odds_one_vs_rest(scores, xp)
        q = links.expit(a + b * links.bounded_log_odds(s, share, xp), xp)
        return links.against_the_rest(q, s, scores, xp)

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


def _goals(
    s: Float64Array, t: LabelArray, weight: Float64Array | None, smooth: Literal["auto"] | bool
) -> tuple[Float64Array, Float64Array]:
    """Return what the targets 0 and 1 stand for, problem by problem."""
    cautious = separable(s, t) if smooth == "auto" else np.full(s.shape[1], smooth)
    return cautious_goals(t, weight, cautious)


def _frame(s: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the middle and half the width of the range of the log-odds of each problem.

    With these taken out, fits are well conditioned and no square overflows.
    """
    top, bottom = s.max(axis=0), s.min(axis=0)
    centre, half = 0.5 * top + 0.5 * bottom, 0.5 * top - 0.5 * bottom
    return centre, np.where(half > 0, half, 1.0)


def _share(
    s: Float64Array, t: LabelArray, weight: Float64Array | None, smooth: Literal["auto"] | bool
) -> Float64Array:
    """Return the smoothing of the input that fits each problem best."""
    centre, unit = _frame(s)
    goals = _goals(s, t, weight, smooth)
    return choose_smoothing(lambda block: ((block - centre) / unit,), s, t, weight, goals)


def _solve(
    s: Float64Array, t: LabelArray, weight: Float64Array | None, smooth: Literal["auto"] | bool
) -> tuple[Minimum, Float64Array, Float64Array]:
    """Fit some problems; return how it went, slopes and intercepts."""
    centre, unit = _frame(s)
    goals = _goals(s, t, weight, smooth)
    minimum = fit_logistic(lambda block: ((block - centre) / unit,), s, t, weight, goals)
    slope = minimum.x[:, 1] / unit
    return minimum, slope, minimum.x[:, 0] - slope * centre
