"""Temperature scaling: one positive number for all logits, found exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.advice import current_door
from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, Namespace
from calib._border.validation import is_constant
from calib._border.warn import warn
from calib._core import links
from calib._core.estimators.targets import at_target, class_target, second_share
from calib._core.fitted_map import POSITIVE, SHARE, MapTraits
from calib._core.logistic import BOUNDS, smoothing_share, smooths_input
from calib._core.newton import find_root
from calib._core.rows import Rows, in_memory, rescored
from calib._core.scores import Scores
from calib._core.suspicion import says_nothing
from calib._core.tempering import mean, temperature_problem
from calib.base import BaseCalibrator

#: Elements of the systematic subsample that provides the starting point of a large fit.
START_ELEMENTS = 1 << 19
#: Elements of the one on which the smoothing of the input is chosen.
CHOICE_ELEMENTS = 1 << 17
#: Decrease of the mean log loss for which the input is smoothed more than less.
LEAST_DECREASE = 1e-9


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
    on the scale ``log(1 / T)`` by Halley steps inside a bracket that sums over the rows prove to
    hold it; masked classes (logits of -1e4, -1e9, minus infinity) move neither bracket nor root.
    From a start found on a subsample two or three passes suffice. The root is exact to about 1e-10.
    Each pass reads blocks that fit in the cache, so memory beyond `X` is a few megabytes at any
    size. Where ``h`` has no root (separable data: no label is below another class; or scores that
    rank the labels backwards) or a root beyond a factor ``exp(16)`` of the scale of the logits, the
    end of the bracket is returned: nearly one-hot or nearly uniform probabilities.

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

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "temperature_": POSITIVE,
            "smoothing_": SHARE,
            "input_smoothing_": SHARE,
        },
    )
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

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

    def _fit_rows(self, rows: Rows) -> None:
        check_option("smoothing", self.smoothing, ("auto", True, False))
        self.input_smoothing_ = 0.0
        if smooths_input(self.smooth_input, rows.source):
            known = self._known_smoothing
            self.input_smoothing_ = choose_share(rows) if known is None else float(known)
            rows = rows.mapped(rescored, Scores.smoothed, self.input_smoothing_)
        best = best_temperature(rows)
        self.temperature_, self.n_evaluations_ = best.temperature, best.n_evaluations
        self.smoothing_ = 0.0
        if self.smoothing is True or (self.smoothing == "auto" and best.separable):
            self.smoothing_ = 1.0 / (rows.total + 1.0)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        scores = links.smoothed_logits(scores, fitted["input_smoothing_"], xp)
        proba = links.tempered_softmax(scores, fitted["temperature_"], xp)
        return links.smooth(proba, fitted["smoothing_"])

    def _suspicion(
        self, scores: Scores, target: Float64Array, weight: Float64Array | None
    ) -> str | None:
        if is_constant(scores.array):  # said already
            return None
        step = max(1, scores.n_samples * scores.n_classes // MEDIAN_ELEMENTS)
        z = scores.in_domain("logits").every(step).dense()
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.median(z.max(axis=1) - z.min(axis=1)) / self.temperature_
        if not spread < FLAT or says_nothing(scores, target, weight):
            return None  # noise has no best temperature every other time
        return (
            f"the temperature ({self.temperature_:.3g}) is at its bound, so that every row gets "
            f"the same probability for all classes: no positive temperature fits better, because "
            f"larger scores do not go with the labels. Check {current_door().check}; if scores are "
            f"only shifted, a map with an intercept (platt, vector_scaling) can use them"
        )


@dataclass(frozen=True)
class BestTemperature:
    """The temperature with the least log loss.

    Attributes
    ----------
    temperature : float
    separable : bool
        Whether the best temperature is zero, so that this is the end of what was tried.
    n_evaluations : int
        Passes over all rows.
    """

    temperature: float
    separable: bool
    n_evaluations: int


def best_temperature(rows: Rows) -> BestTemperature:
    """Find the temperature with the least log loss; warn if the solver falls short."""
    problem = temperature_problem(rows)
    if not problem.gaps.largest > 0:  # all rows are flat: every temperature is optimal
        return BestTemperature(1.0, False, 0)
    start, low, high = problem.gaps.bracket()
    step = max(1, rows.n_samples * rows.n_classes // START_ELEMENTS)
    if step > 1:  # a subsample brings the start close, so that full passes are few
        first = find_root(problem.slopes(step), start, low, high, tolerance=1e-3)
        start = start if first.at_bound else first.x
    root = find_root(problem.slopes(), start, low, high)
    temperature = problem.unit * math.exp(-root.x)
    if not root.converged:
        warn(
            f"temperature scaling did not converge in {root.n_evaluations} passes; "
            f"temperature_ = {temperature:.6g} is the best bracket found",
            ConvergenceWarning,
        )
    return BestTemperature(temperature, root.at_bound == 1, root.n_evaluations)


def choose_share(rows: Rows) -> float:
    """Return the smoothing of the input with which the best temperature fits best.

    A subsample is looked at; the shares that are tried depend on the total weight of all rows.
    """
    part = rows.every(max(1, rows.n_samples * rows.n_classes // CHOICE_ELEMENTS)).part
    share, best = 0.0, np.inf
    for bound in BOUNDS:
        candidate = smoothing_share(rows.total, bound)
        value = _least_loss(part.scores.smoothed(candidate), part.target, part.weight)
        if value < best - LEAST_DECREASE:
            share, best = candidate, value
    return share


def _least_loss(scores: Scores, target: Float64Array, weight: Float64Array | None) -> float:
    """Return the mean log loss at the best temperature."""
    binary = scores.n_classes == 2  # logarithms are taken once
    z = scores.log_odds()[:, None] if binary else scores.in_domain("logits").dense()
    scores = Scores(z, "logits", "logits")
    problem = temperature_problem(in_memory(scores, target, weight))
    inverse = 1.0
    if problem.gaps.largest > 0:
        bracket = problem.gaps.bracket()
        inverse = math.exp(find_root(problem.slopes(), *bracket, tolerance=1e-3).x) / problem.unit
    if binary:
        z, target = z[:, 0] * inverse, second_share(target)
        return mean(np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))) - target * z, weight)
    z = z - problem.rows.every(1).part.inner[:, None] * problem.unit
    z *= inverse
    losses = np.log(np.exp(z).sum(axis=1)) - at_target(z, class_target(target))
    return mean(losses, weight)
