"""Temperature scaling: one positive number for all logits, found exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.fitted import POSITIVE, SHARE, FittedArray
from calib._core.logistic import BOUNDS, smoothing_share
from calib._core.newton import find_root
from calib._core.scores import BLOCK_ELEMENTS, Scores, row_blocks
from calib.base import BaseCalibrator

#: Largest change of the scale of the logits, as a logarithm, that a fit may return.
LOG_RANGE = 16.0
#: Elements of the systematic subsample that provides the starting point of a large fit.
START_ELEMENTS = 1 << 19
#: Elements of the one on which the smoothing of the input is chosen.
CHOICE_ELEMENTS = 1 << 17
#: Decrease of the mean log loss for which the input is smoothed more than less.
LEAST_DECREASE = 1e-9

Derivatives = Callable[[float], tuple[float, float, float]]


#: Spread of the logits of the median row, divided by the temperature, that counts as none.
FLAT = 1e-4
#: Logits that this is looked at on at most.
MEDIAN_ELEMENTS = 50_000


class TemperatureCalibrator(BaseCalibrator):
    """Divide all logits by one temperature that minimises the log loss.

    Fits ``softmax(z / T)``. The order of the classes within a row, and so the accuracy, never
    changes. With one parameter it needs few labels (a hundred do) and is the method to beat; it
    cannot repair errors that differ between classes or between low and high confidence.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    smoothing : {"auto", True, False}, default="auto"
        Whether to mix the output with the uniform distribution at a share of ``1 / (n + 1)``
        (n samples, or their total weight), which bounds the log loss of a new sample by
        ``log(K (n + 1))``. ``"auto"`` does so only where the data are separable, that is, where
        the best temperature is zero and the log loss of a later error would be unbounded. ``True``
        is the variant that the literature calls "ts-mix".
    smooth_input : {"auto", True, False}, default="auto"
        Whether to mix the probabilities with the uniform distribution before the temperature is
        applied; the share, possibly 0, is the one with which the map fits best. Classifiers that
        emit probabilities of exactly 0 and 1 need it, because their logarithms would rule the fit.
        ``"auto"`` does so for ``input="proba"``.

    Attributes
    ----------
    temperature_ : float
        T > 0; above 1 for overconfident scores.
    smoothing_ : float
        Share of the uniform distribution in the output, in [0, 1).
    input_smoothing_ : float
        Share of the uniform distribution mixed into the input, in [0, 1].
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
    PlattCalibrator : adds an intercept, for two classes.

    Notes
    -----
    The log loss is convex in ``1 / T``. Its derivative ``h`` is increasing, and its root is found
    on the scale ``log(1 / T)`` by Halley steps inside a bracket of ``exp(+-16)`` around the scale
    of the logits; from a start found on a subsample two or three passes suffice. The root is exact
    to about 1e-10. Each pass reads blocks that fit in the cache, so memory beyond `X` is a few
    megabytes at any size. Where ``h`` has no root (separable data, or scores that rank the labels
    backwards) the end of the bracket is returned: nearly one-hot or nearly uniform probabilities.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML
    2017, arXiv 1706.04599.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import TemperatureCalibrator
    >>> logits = np.array([[4.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 5.0]])
    >>> cal = TemperatureCalibrator(input="logits").fit(logits, [0, 1, 1, 1])
    >>> round(cal.temperature_, 4)
    2.884
    """

    _fitted: ClassVar[tuple[str, ...]] = ("temperature_", "smoothing_", "input_smoothing_")
    _declared: ClassVar[Mapping[str, FittedArray]] = {
        "temperature_": POSITIVE,
        "smoothing_": SHARE,
        "input_smoothing_": SHARE,
    }
    soft_targets: ClassVar[bool] = True

    temperature_: float
    smoothing_: float
    input_smoothing_: float
    n_evaluations_: int

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        smoothing: Literal["auto", True, False] = "auto",
        smooth_input: Literal["auto", True, False] = "auto",
    ) -> None:
        super().__init__(input=input)
        self.smoothing = smoothing
        self.smooth_input = smooth_input

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        check_option("smoothing", self.smoothing, ("auto", True, False))
        check_option("smooth_input", self.smooth_input, ("auto", True, False))
        total = float(scores.n_samples if weight is None else weight.sum())
        self.input_smoothing_ = 0.0
        if self.smooth_input is True or (self.smooth_input == "auto" and scores.source == "proba"):
            step = max(1, scores.n_samples * scores.n_classes // CHOICE_ELEMENTS)
            part = None if weight is None else weight[::step]
            known = self._known_smoothing
            self.input_smoothing_ = (
                choose_share(scores.every(step), target[::step], part, total)
                if known is None
                else float(known)
            )
            scores = scores.smoothed(self.input_smoothing_)
        step = max(1, scores.n_samples * scores.n_classes // START_ELEMENTS)
        part = None if weight is None else weight[::step]
        if scores.n_classes == 2:
            s = scores.log_odds()
            scale = _mean(np.abs(s), weight) / 2
            derivatives = _binary_derivatives(s, target, weight)
            coarse = _binary_derivatives(s[::step], target[::step], part)
        else:
            top, scale = _row_maxima(scores, weight)
            derivatives = _derivatives(scores, target, weight, top)
            coarse = _derivatives(scores.every(step), target[::step], part, top[::step])
        self.smoothing_ = 0.0
        separable = False
        if scale > 0:
            low, high = -LOG_RANGE - math.log(scale), LOG_RANGE - math.log(scale)
            start = min(max(0.0, low + 1.0), high - 1.0)
            if step > 1:  # a subsample brings the start close, so that full passes are few
                first = find_root(coarse, start, low, high, tolerance=1e-3)
                start = start if first.at_bound else first.x
            root = find_root(derivatives, start, low, high)
            if not root.converged:
                warn(
                    f"temperature scaling did not converge in {root.n_evaluations} passes; "
                    f"temperature_ = {math.exp(-root.x):.6g} is the best bracket found",
                    ConvergenceWarning,
                )
            self.temperature_ = math.exp(-root.x)
            self.n_evaluations_ = root.n_evaluations
            separable = root.at_bound == 1
        else:  # all rows are flat: every temperature is optimal
            self.temperature_, self.n_evaluations_ = 1.0, 0
        if self.smoothing is True or (self.smoothing == "auto" and separable):
            self.smoothing_ = 1.0 / (total + 1.0)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        scores = links.smoothed_logits(scores, fitted["input_smoothing_"], xp)
        proba = links.softmax(
            (scores - xp.max(scores, axis=1, keepdims=True)) / fitted["temperature_"], xp
        )
        return links.smooth(proba, fitted["smoothing_"])

    def _suspicion(
        self, scores: Scores, target: Float64Array, weight: Float64Array | None
    ) -> str | None:
        step = max(1, scores.n_samples * scores.n_classes // MEDIAN_ELEMENTS)
        z = scores.in_domain("logits").every(step).dense()
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.median(z.max(axis=1) - z.min(axis=1)) / self.temperature_
        if not spread < FLAT:
            return None
        return (
            f"the temperature ({self.temperature_:.3g}) is at its bound, so that every row gets "
            f"the same probability for all classes: no positive temperature fits better, because "
            f"larger scores do not go with the labels. Check the order of the columns (labels=), "
            f"the positive class (pos_label=) and the labels; if scores are only shifted, a map "
            f"with an intercept (platt, vector_scaling) can use them"
        )


def choose_share(
    scores: Scores, target: Float64Array, weight: Float64Array | None, total: float
) -> float:
    """Return the smoothing of the input with which the best temperature fits best.

    Parameters
    ----------
    scores, target, weight : Scores, ndarray of shape (n_samples,), ndarray or None
        All samples or a part of them.
    total : float
        Total weight of all samples, which the shares that are tried depend on.
    """
    share, best = 0.0, np.inf
    for bound in BOUNDS:
        candidate = smoothing_share(total, bound)
        value = _least_loss(scores.smoothed(candidate), target, weight)
        if value < best - LEAST_DECREASE:
            share, best = candidate, value
    return share


def _least_loss(scores: Scores, target: Float64Array, weight: Float64Array | None) -> float:
    """Return the mean log loss at the best temperature."""
    z = scores.log_odds() if scores.n_classes == 2 else scores.in_domain("logits").dense()
    if scores.n_classes == 2:
        scale = _mean(np.abs(z), weight) / 2
        derivatives = _binary_derivatives(z, target, weight)
    else:
        z -= z.max(axis=1, keepdims=True)
        scale = _mean(-z.mean(axis=1), weight)
        kept = Scores(z, "logits", "logits")
        derivatives = _derivatives(kept, target, weight, np.zeros(len(z)))
    inverse = 1.0
    if scale > 0:
        low, high = -LOG_RANGE - math.log(scale), LOG_RANGE - math.log(scale)
        start = min(max(0.0, low + 1.0), high - 1.0)
        inverse = math.exp(find_root(derivatives, start, low, high, tolerance=1e-3).x)
    z = z * inverse
    if z.ndim == 1:
        return _mean(np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))) - target * z, weight)
    picked = z[np.arange(len(z)), target.astype(np.intp)]
    return _mean(np.log(np.exp(z).sum(axis=1)) - picked, weight)


def _mean(values: Float64Array, weight: Float64Array | None) -> float:
    return float(values.mean() if weight is None else np.average(values, weights=weight))


def _row_maxima(scores: Scores, weight: Float64Array | None) -> tuple[Float64Array, float]:
    """Return the largest logit of each row and the mean distance of a row's mean from it."""
    top = np.empty(scores.n_samples)
    total = 0.0
    for rows, z in scores:
        top[rows] = z.max(axis=1)
        gap = top[rows] - z.mean(axis=1)
        total += float(gap.sum() if weight is None else gap @ weight[rows])
    return top, total / (scores.n_samples if weight is None else float(weight.sum()))


def _derivatives(
    scores: Scores, target: Float64Array, weight: Float64Array | None, top: Float64Array
) -> Derivatives:
    """Derivatives with respect to ``v = log(1 / T)`` of ``h``, the slope of the log loss.

    With ``z`` shifted so that the largest logit of a row is 0, the row contributes
    ``E[z] - z_y`` to ``h`` and its variance and third central moment to the derivatives of ``h``
    in ``1 / T``; expectations are over ``softmax(z / T)``.
    """
    codes = target.astype(np.intp)
    total = float(scores.n_samples if weight is None else weight.sum())
    n_rows = min(scores.n_samples, max(1, BLOCK_ELEMENTS // scores.n_classes))
    shifted_space, power_space = np.empty((2, n_rows, scores.n_classes))

    @np.errstate(over="ignore", invalid="ignore")  # of huge logits; bisection then takes over
    def derivatives(v: float) -> tuple[float, float, float]:
        inverse = math.exp(v)
        sums = np.zeros(3)
        for rows, block in scores:
            z = np.subtract(block, top[rows, None], out=shifted_space[: len(block)])
            power = np.multiply(z, inverse, out=power_space[: len(block)])
            np.exp(power, out=power)
            mass = power.sum(axis=1)
            mean = np.einsum("ij,ij->i", power, z) / mass
            np.multiply(power, z, out=power)
            second = np.einsum("ij,ij->i", power, z) / mass
            np.multiply(power, z, out=power)
            third = np.einsum("ij,ij->i", power, z) / mass
            picked = z[np.arange(len(z)), codes[rows]]
            variance = np.maximum(second - mean * mean, 0.0)
            skew = third - mean * (3.0 * second - 2.0 * mean * mean)
            parts = np.stack([mean - picked, variance, skew])
            sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
        return _chain(sums / total, inverse)

    return derivatives


def _binary_derivatives(
    log_odds: Float64Array, target: Float64Array, weight: Float64Array | None
) -> Derivatives:
    """The same for two classes, on log-odds; targets may be fractions."""
    total = float(len(log_odds) if weight is None else weight.sum())

    @np.errstate(over="ignore", invalid="ignore")  # of huge logits; bisection then takes over
    def derivatives(v: float) -> tuple[float, float, float]:
        inverse = math.exp(v)
        sums = np.zeros(3)
        for rows in row_blocks(len(log_odds), 2):
            s = log_odds[rows]
            p = links.expit(s * inverse, np)
            spread = s * s * p * (1.0 - p)
            parts = np.stack([s * (p - target[rows]), spread, spread * s * (1.0 - 2.0 * p)])
            sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
        return _chain(sums / total, inverse)

    return derivatives


def _chain(sums: Float64Array, inverse: float) -> tuple[float, float, float]:
    """Turn derivatives in ``1 / T`` into derivatives in its logarithm."""
    value, slope, bend = (float(part) for part in sums)
    return value, slope * inverse, slope * inverse + bend * inverse * inverse
