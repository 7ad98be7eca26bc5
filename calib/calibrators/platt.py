"""Platt scaling: an affine map of the log-odds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._core import links
from calib._core.newton import minimize
from calib._core.reading import check_option
from calib._core.scores import Scores, row_blocks
from calib._core.typing import Array, Float64Array, Namespace
from calib.base import BaseCalibrator

#: Elements of the systematic subsample that provides the starting point of a large fit.
START_ELEMENTS = 1 << 18

#: One block of the fit: log-odds, targets (both of shape (n, n_problems)) and weights (n, 1).
Block = tuple[Float64Array, Float64Array, Float64Array | None]


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
        positive = _totals(scores.n_classes, target, weight)
        total = float(scores.n_samples if weight is None else weight.sum())
        separable, centre, unit = _survey(scores, target)
        frame = (centre, unit)
        cautious = separable if self.smooth_targets == "auto" else self.smooth_targets
        high = np.where(cautious, (positive + 1.0) / (positive + 2.0), 1.0)
        low = np.where(cautious, 1.0 / (total - positive + 2.0), 0.0)
        step = max(1, scores.n_samples * scores.n_classes // START_ELEMENTS)
        start = np.zeros((len(positive), 2))
        if step > 1:  # a subsample brings the start close, so that full passes are few
            part = None if weight is None else weight[::step]
            coarse = _objective(scores.every(step), target[::step], part, high, low, frame)
            start = minimize(coarse, start, tolerance=1e-6).x
        minimum = minimize(_objective(scores, target, weight, high, low, frame), start)
        if not minimum.converged.all():
            worst = np.flatnonzero(~minimum.converged)
            warnings.warn(
                f"Platt scaling did not converge in {minimum.n_evaluations} passes for classes "
                f"{self.classes_[worst if len(positive) > 1 else [1]].tolist()}",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.slope_ = minimum.x[:, 1] / unit
        self.intercept_ = minimum.x[:, 0] - self.slope_ * centre
        self.n_evaluations_ = minimum.n_evaluations

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        a, b = fitted["intercept_"], fitted["slope_"]
        if scores.shape[1] == 2:
            eta = a + b * xp.expand_dims(links.binary_log_odds(scores), axis=1)
            return links.expit(xp.concat([-eta, eta], axis=1), xp)
        q = links.expit(a + b * links.log_odds_one_vs_rest(scores, xp), xp)
        return links.renormalise(q, links.softmax(scores, xp), xp)


def _totals(n_classes: int, target: Float64Array, weight: Float64Array | None) -> Float64Array:
    """Total weight of the positive side of each problem: one for two classes, else one a class."""
    if n_classes == 2:
        return np.array([target.sum() if weight is None else target @ weight], dtype=np.float64)
    return np.bincount(target.astype(np.intp), weights=weight, minlength=n_classes).astype(float)


def _blocks(
    scores: Scores, target: Float64Array, weight: Float64Array | None
) -> Callable[[], Iterator[Block]]:
    """Return what iterates over log-odds, targets and weights of all problems by blocks."""
    binary = scores.log_odds() if scores.n_classes == 2 else None
    index = np.arange(scores.n_classes)

    def blocks() -> Iterator[Block]:
        if binary is not None:
            for rows in row_blocks(scores.n_samples, 2):
                t = target[rows, None].astype(np.float64)
                yield binary[rows, None], t, None if weight is None else weight[rows, None]
        else:
            for rows, z in scores:
                t = (target[rows, None] == index).astype(np.float64)
                s = links.log_odds_one_vs_rest(z, np)
                yield s, t, None if weight is None else weight[rows, None]

    return blocks


def _survey(
    scores: Scores, target: Float64Array
) -> tuple[np.ndarray[tuple[int, ...], np.dtype], Float64Array, Float64Array]:
    """Say which problems some threshold splits without error, and where their log-odds lie.

    Returns the answer, the middle of the range and half its width (1 for a constant).
    """
    n_problems = 1 if scores.n_classes == 2 else scores.n_classes
    extremes = np.full((4, n_problems), -np.inf)  # of s and of -s, for targets < 1 and > 0
    for s, t, _ in _blocks(scores, target, None)():
        for row, (sign, chosen) in enumerate(((1, t < 1), (-1, t < 1), (1, t > 0), (-1, t > 0))):
            peak = np.where(chosen, sign * s, -np.inf).max(axis=0)
            np.maximum(extremes[row], peak, out=extremes[row])
    top0, bottom0, top1, bottom1 = extremes
    top, bottom = np.maximum(top0, top1), -np.maximum(bottom0, bottom1)
    half = 0.5 * top - 0.5 * bottom
    separable: np.ndarray[tuple[int, ...], np.dtype] = (top0 <= -bottom1) | (top1 <= -bottom0)
    return separable, 0.5 * top + 0.5 * bottom, np.where(half > 0, half, 1.0)


def _objective(
    scores: Scores,
    target: Float64Array,
    weight: Float64Array | None,
    high: Float64Array,
    low: Float64Array,
    frame: tuple[Float64Array, Float64Array],
) -> Callable[[Float64Array], tuple[Float64Array, Float64Array, Float64Array]]:
    """Mean log loss of ``expit(a + b s)`` with its gradient and Hessian, problem by problem.

    Log-odds enter with their middle and half range (`frame`) taken out: well conditioned, and no
    square overflows.
    """
    centre, unit = frame
    total = float(scores.n_samples if weight is None else weight.sum())
    blocks = _blocks(scores, target, weight)

    def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        sums = np.zeros((6, len(x)))
        for log_odds, t, w in blocks():
            s = (log_odds - centre) / unit
            eta = x[:, 0] + x[:, 1] * s
            decay = np.exp(-np.abs(eta))
            goal = low + (high - low) * t
            loss = np.maximum(eta, 0.0) + np.log(1.0 + decay) - goal * eta
            p = np.where(eta >= 0, 1.0, decay) / (1.0 + decay)
            slope, bend = p - goal, decay / (1.0 + decay) ** 2
            if w is not None:
                loss, slope, bend = loss * w, slope * w, bend * w
            leverage = bend * s
            parts = (loss, slope, slope * s, bend, leverage, leverage * s)
            sums += np.stack([part.sum(axis=0) for part in parts])
        value, g0, g1, h00, h01, h11 = sums / total
        hessian = np.stack([np.stack([h00, h01], axis=1), np.stack([h01, h11], axis=1)], axis=1)
        return value, np.stack([g0, g1], axis=1), hessian

    return objective
