"""Platt scaling: an affine map of the log-odds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._core import links
from calib._core.newton import Minimum, minimize
from calib._core.reading import check_option
from calib._core.scores import Scores, row_blocks
from calib._core.typing import Array, Float64Array, LabelArray, Namespace
from calib.base import BaseCalibrator

#: Rows of the systematic subsample that provides the starting point of a large fit.
START_ROWS = 1 << 14

#: Log-odds held at a time (16 MB): as many classes as fit are solved side by side.
CHUNK_ELEMENTS = 1 << 21


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

    Attributes
    ----------
    intercept_, slope_ : ndarray of shape (1,) or (n_classes,)
        a and b, in log-odds; one entry for two classes (that of ``classes_[1]``), else one a
        class.
    n_evaluations_ : int
        Passes over the calibration set that the solver made.
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

    _fitted: ClassVar[tuple[str, ...]] = ("intercept_", "slope_")
    soft_targets: ClassVar[bool] = True

    intercept_: Float64Array
    slope_: Float64Array
    n_evaluations_: int

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        smooth_targets: Literal["auto", True, False] = "auto",
    ) -> None:
        super().__init__(input=input)
        self.smooth_targets = smooth_targets

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        check_option("smooth_targets", self.smooth_targets, ("auto", True, False))
        n_problems = 1 if scores.n_classes == 2 else scores.n_classes
        self.intercept_, self.slope_ = np.empty(n_problems), np.empty(n_problems)
        self.n_evaluations_ = 0
        failed: list[int] = []
        for columns, s, t in _problems(scores, target):
            minimum, self.slope_[columns], self.intercept_[columns] = _solve(
                s, t, weight, self.smooth_targets
            )
            self.n_evaluations_ = max(self.n_evaluations_, minimum.n_evaluations)
            failed += (columns.start + np.flatnonzero(~minimum.converged)).tolist()
        if failed:
            warnings.warn(
                f"Platt scaling did not converge in {self.n_evaluations_} passes for classes "
                f"{self.classes_[failed if n_problems > 1 else [1]].tolist()}",
                ConvergenceWarning,
                stacklevel=3,
            )

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        a, b = fitted["intercept_"], fitted["slope_"]
        if scores.shape[1] == 2:
            eta = a + b * xp.expand_dims(links.binary_log_odds(scores), axis=1)
            return links.expit(xp.concat([-eta, eta], axis=1), xp)
        q = links.expit(a + b * links.log_odds_one_vs_rest(scores, xp), xp)
        return links.renormalise(q, links.softmax(scores, xp), xp)


def _problems(
    scores: Scores, target: Float64Array
) -> Iterator[tuple[slice, Float64Array, LabelArray]]:
    """Yield log-odds and targets, shape (n_samples, n_problems), for some problems at a time."""
    if scores.n_classes == 2:
        yield slice(0, 1), scores.log_odds()[:, None], target[:, None]
        return
    n_samples, n_classes = scores.n_samples, scores.n_classes
    top = np.empty(n_samples, dtype=np.intp)
    peak, total, rest_of_top = np.empty((3, n_samples))
    for rows, z in scores:
        index = np.arange(len(z))
        top[rows] = z.argmax(axis=1)
        peak[rows] = z[index, top[rows]]
        total[rows] = np.exp(z - peak[rows, None]).sum(axis=1)
        others = z.copy()
        others[index, top[rows]] = -np.inf
        runner_up = others.max(axis=1)
        others = np.exp(others - runner_up[:, None]).sum(axis=1)
        rest_of_top[rows] = runner_up + np.log(others)
    step = max(1, CHUNK_ELEMENTS // n_samples)
    for start in range(0, n_classes, step):
        columns = slice(start, min(start + step, n_classes))
        index = np.arange(columns.start, columns.stop)
        z = scores.logit_columns(columns)
        is_top = top[:, None] == index
        share = np.exp(z - peak[:, None])
        share[is_top] = 0.0  # any number: replaced below
        rest = peak[:, None] + np.log(total[:, None] - share)
        z -= np.where(is_top, rest_of_top[:, None], rest)
        yield columns, z, target[:, None] == index


def _solve(
    s: Float64Array, t: LabelArray, weight: Float64Array | None, smooth: Literal["auto"] | bool
) -> tuple[Minimum, Float64Array, Float64Array]:
    """Fit some problems; return how it went, slopes and intercepts."""
    n_samples = len(s)
    total = float(n_samples if weight is None else weight.sum())
    positive = (t if weight is None else t * weight[:, None]).sum(axis=0, dtype=np.float64)
    separable, centre, unit = _survey(s, t)
    cautious = separable if smooth == "auto" else np.full(len(positive), smooth)
    high = np.where(cautious, (positive + 1.0) / (positive + 2.0), 1.0)
    low = np.where(cautious, 1.0 / (total - positive + 2.0), 0.0)
    goals = (low, high)
    frame = (centre, unit)
    step = max(1, n_samples // START_ROWS)
    start = np.zeros((len(positive), 2))
    if step > 1:  # a subsample brings the start close, so that full passes are few
        part = None if weight is None else weight[::step]
        start = minimize(
            _objective(s[::step], t[::step], part, goals, frame), start, tolerance=1e-6
        ).x
    minimum = minimize(_objective(s, t, weight, goals, frame), start)
    slope = minimum.x[:, 1] / unit
    return minimum, slope, minimum.x[:, 0] - slope * centre


def _survey(s: Float64Array, t: LabelArray) -> tuple[LabelArray, Float64Array, Float64Array]:
    """Say which problems some threshold splits without error, and where their log-odds lie.

    Returns the answer, the middle of the range and half its width (1 for a constant).
    """
    infinite = np.inf
    zeros, ones = t < 1, t > 0
    top0, bottom0 = (
        np.where(zeros, s, -infinite).max(axis=0),
        np.where(zeros, s, infinite).min(axis=0),
    )
    top1, bottom1 = (
        np.where(ones, s, -infinite).max(axis=0),
        np.where(ones, s, infinite).min(axis=0),
    )
    top, bottom = np.maximum(top0, top1), np.minimum(bottom0, bottom1)
    half = 0.5 * top - 0.5 * bottom
    separable: LabelArray = (top0 <= bottom1) | (top1 <= bottom0)
    return separable, 0.5 * top + 0.5 * bottom, np.where(half > 0, half, 1.0)


def _objective(
    s: Float64Array,
    t: LabelArray,
    weight: Float64Array | None,
    goals: tuple[Float64Array, Float64Array],
    frame: tuple[Float64Array, Float64Array],
) -> Callable[[Float64Array], tuple[Float64Array, Float64Array, Float64Array]]:
    """Mean log loss of ``expit(a + b s)`` with its gradient and Hessian, problem by problem.

    Log-odds enter with their middle and half range (`frame`) taken out: well conditioned, and no
    square overflows. `goals` are what the targets 0 and 1 stand for.
    """
    centre, unit = frame
    low, high = goals
    total = float(len(s) if weight is None else weight.sum())

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        sums = np.zeros((6, len(x)))
        for rows in row_blocks(*s.shape):
            x1 = (s[rows] - centre) / unit
            eta = x[:, 0] + x[:, 1] * x1
            decay = np.exp(-np.abs(eta))
            goal = low + (high - low) * t[rows]
            loss = np.maximum(eta, 0.0) + np.log(1.0 + decay) - goal * eta
            p = np.where(eta >= 0, 1.0, decay) / (1.0 + decay)
            slope, bend = p - goal, decay / (1.0 + decay) ** 2
            if weight is not None:
                w = weight[rows, None]
                loss, slope, bend = loss * w, slope * w, bend * w
            leverage = bend * x1
            parts = (loss, slope, slope * x1, bend, leverage, leverage * x1)
            sums += np.stack([part.sum(axis=0) for part in parts])
        value, g0, g1, h00, h01, h11 = sums / total
        hessian = np.stack([np.stack([h00, h01], axis=1), np.stack([h01, h11], axis=1)], axis=1)
        return value, np.stack([g0, g1], axis=1), hessian

    return objective
