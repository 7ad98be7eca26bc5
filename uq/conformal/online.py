"""Conformal levels that follow a stream: adaptive conformal inference and its mixture of rates."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from math import floor, log, sqrt
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_fraction, check_integer, check_option, describe, is_number
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._border.validation import check_numbers, number_matrix
from uq.conformal.quantiles import score_vector

#: Products of a level and a count this close to an integer are that integer.
GUARD = 1e-9
#: Length of the stretch over which a mixture of rates competes with the best of them.
HORIZON = 500
#: Largest step size; errors move the level, which lies in (0, 1) where it matters.
LARGEST_STEP = 1e6


class AdaptiveConformal(BaseEstimator):  # type: ignore[misc]
    """Keep the coverage of conformal sets in a stream whose distribution changes.

    After each observed label the error level is lowered if the set missed it and raised if not, so
    that the share of misses over time goes to the one asked for, for any sequence whatsoever. Works
    on nonconformity scores, hence for sets of labels and for intervals alike.

    Parameters
    ----------
    confidence_level : float, default=0.9
        Long-run coverage in (0, 1).
    step_size : float or sequence of floats, default=0.05
        How far the error level moves after a miss, > 0. Larger follows faster and swings wider. A
        sequence runs one level for each and mixes them by their recent pinball losses, so that no
        step size has to be guessed.
    window : int or None, default=None
        Number of latest scores that calibrate, >= 1; None keeps all.
    history : bool, default=True
        Keep every error level and miss, for `running_coverage` and the plot.

    Attributes
    ----------
    level_ : float
        Current error level alpha_t. At or below 0 every label is in the set, at or above 1 none.
    threshold_ : float
        Largest nonconformity that is now inside the set; ``inf`` or ``-inf`` at the ends.
    n_updates_ : int
        Number of labels observed since `fit`.
    coverage_ : float
        Share of them inside their sets; NaN before the first.
    levels_, misses_ : list
        Error level used for each label and whether it was missed, with ``history=True``.

    Raises
    ------
    ValueError
        At fit, for options out of range; always for empty or non-finite scores.

    See Also
    --------
    ConformalClassifier.predict_scores : Scores of all labels of a classifier.

    Notes
    -----
    ``alpha_{t+1} = alpha_t + step_size (alpha - miss_t)``. For one step size the share of misses
    after T labels is within ``(max(alpha_1, 1 - alpha_1) + step_size) / (step_size T)`` of alpha,
    always. The mixture has no such bound; its regret against the best step size on any stretch of
    500 labels is small. An update costs O(log n) to find and O(n) to move memory in a window of n
    scores.

    References
    ----------
    I. Gibbs, E. J. Candès, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021,
    arXiv 2106.00170.
    I. Gibbs, E. J. Candès, "Conformal Inference for Online Prediction with Arbitrary Distribution
    Shifts", JMLR 25, 2024, arXiv 2208.08401.

    Examples
    --------
    >>> import numpy as np
    >>> from uq import AdaptiveConformal
    >>> rng = np.random.default_rng(0)
    >>> online = AdaptiveConformal(0.9, window=200).fit(np.abs(rng.normal(size=200)))
    >>> online.predict_set([[0.3, 1.0], [0.1, 9.0]])
    array([[ True,  True],
           [ True, False]])
    >>> online = online.update(np.abs(rng.normal(scale=3, size=2000)))  # errors triple
    >>> print(f"{online.coverage_:.2f}")
    0.90
    """

    level_: float
    n_updates_: int

    def __init__(
        self,
        confidence_level: float = 0.9,
        *,
        step_size: float | Sequence[float] = 0.05,
        window: int | None = None,
        history: bool = True,
    ) -> None:
        self.confidence_level = confidence_level
        self.step_size = step_size
        self.window = window
        self.history = history

    def fit(self, scores: ArrayLike, y: Any = None) -> Self:
        """Start from calibration scores, and forget any stream seen before.

        Parameters
        ----------
        scores : array-like of shape (n_calibration,)
            Finite nonconformity of the true labels of held-out samples, in order of time.
        y : ignored
            For compatibility with scikit-learn.

        Returns
        -------
        self : object
        """
        self._target = 1 - check_fraction("confidence_level", self.confidence_level)
        self._rates = _rates(self.step_size)
        check_option("history", self.history, (True, False))
        size = None if self.window is None else check_integer("window", self.window, low=1)
        values = score_vector(scores, "scores").tolist()
        self._recent: deque[float] = deque(values, maxlen=size)
        self._sorted: list[float] = sorted(self._recent)
        self._levels = np.full(len(self._rates), self._target)
        self._weights = np.full(len(self._rates), 1 / len(self._rates))
        self.levels_: list[float] = []
        self.misses_: list[bool] = []
        self.n_updates_, self._n_missed = 0, 0
        self.level_ = self._target
        return self

    @property
    def threshold_(self) -> float:
        """Largest nonconformity inside the set at the current level."""
        check_is_fitted(self, "n_updates_")
        # a score is inside if 1 + #{scores >= it} exceeds level (n + 1)
        if not 0 < self.level_ < 1:
            return np.inf if self.level_ <= 0 else -np.inf
        needed = floor(self.level_ * (len(self._sorted) + 1) + GUARD)
        if needed < 1 or needed > len(self._sorted):
            return np.inf if needed < 1 else -np.inf
        return self._sorted[-needed]

    @property
    def coverage_(self) -> float:
        """Share of the observed labels that were inside their sets."""
        check_is_fitted(self, "n_updates_")
        return 1 - self._n_missed / self.n_updates_ if self.n_updates_ else float("nan")

    def predict_set(self, scores: ArrayLike) -> LabelArray:
        """Return which labels are in the sets of samples that come next.

        Parameters
        ----------
        scores : array-like of shape (n_samples, n_classes)
            Finite nonconformity of every label, on the scale of the calibration scores.

        Returns
        -------
        sets : ndarray of bool of shape (n_samples, n_classes)
            All at the current level; call `update` in between to let it move.
        """
        check_is_fitted(self, "n_updates_")
        given = check_numbers(scores, "scores")
        if given.ndim != 2:
            raise ValueError(
                f"scores must have shape (n_samples, n_classes), one score per label; got "
                f"{tuple(given.shape)}; for true labels alone call update"
            )
        return number_matrix(given, "scores") <= self.threshold_

    def update(self, scores: ArrayLike) -> Self:
        """Observe the nonconformity of true labels, one after the other.

        Parameters
        ----------
        scores : float or array-like of shape (n_samples,)
            Finite scores of the true labels, in order of time.

        Returns
        -------
        self : object
        """
        check_is_fitted(self, "n_updates_")
        values = score_vector(np.atleast_1d(to_numpy(read_array(scores, "scores"))), "scores")
        for score in values.tolist():
            self._observe(score)
        return self

    def running_coverage(self, window: int | None = None) -> Float64Array:
        """Return the coverage over time.

        Parameters
        ----------
        window : int or None, default=None
            Number of latest labels to average over, >= 1; None means all so far.

        Returns
        -------
        coverage : ndarray of shape (n_updates,)
            The first ``window - 1`` entries average over fewer labels.
        """
        check_is_fitted(self, "n_updates_")
        if not self.history:
            raise ValueError("running_coverage needs history=True")
        if window is not None:
            check_integer("window", window, low=1)
        total = np.concatenate([[0.0], np.cumsum(~np.array(self.misses_, dtype=bool))])
        end = np.arange(1, self.n_updates_ + 1)
        start = np.zeros_like(end) if window is None else np.maximum(end - window, 0)
        return np.asarray((total[end] - total[start]) / (end - start))

    def plot_running_coverage(self, *, window: int | None = 200, ax: Any = None) -> Any:
        """Draw the coverage over time beside the one asked for.

        Parameters
        ----------
        window : int or None, default=200
            See `running_coverage`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        coverage = self.running_coverage(window)
        if ax is None:
            name = "plot_running_coverage"
            _, ax = require("matplotlib.pyplot", extra="plot", purpose=name).subplots()
        what = "all labels so far" if window is None else f"last {window} labels"
        ax.plot(np.arange(1, len(coverage) + 1), coverage, label=what)
        ax.axhline(self.confidence_level, color="black", linestyle="--", label="asked for")
        ax.set(xlabel="label observed", ylabel="coverage", ylim=(0, 1.02))
        ax.legend(loc="lower right")
        return ax

    # ------------------------------------------------------------------ private parts

    def _observe(self, score: float) -> None:
        missed = score > self.threshold_
        at_least = len(self._sorted) - bisect_left(self._sorted, score)
        if self.history:
            self.levels_.append(self.level_)
            self.misses_.append(missed)
        self.n_updates_ += 1
        self._n_missed += missed
        if len(self._rates) == 1:
            self._levels += self._rates * (self._target - missed)
            self.level_ = float(self._levels[0])
        else:
            self._mix(at_least)
        if len(self._recent) == self._recent.maxlen:
            del self._sorted[bisect_left(self._sorted, self._recent[0])]
        self._recent.append(score)
        insort(self._sorted, score)

    def _mix(self, at_least: int) -> None:
        """Move every level by its own miss, weigh them by pinball loss, and average."""
        alpha, n_rates = self._target, len(self._rates)
        p_value = (1 + at_least) / (len(self._sorted) + 1)  # smallest level that would miss
        gap = p_value - self._levels
        loss = np.where(gap >= 0, alpha * gap, (alpha - 1) * gap)
        scale = (1 - alpha) ** 2 * alpha**3 + alpha**2 * (1 - alpha) ** 3
        rate = sqrt(3 / HORIZON) * sqrt((log(HORIZON * n_rates) + 2) / scale)
        weights = self._weights * np.exp(-rate * (loss - loss.min()))
        weights /= weights.sum()
        share = 1 / (2 * HORIZON)
        self._weights = (1 - share) * weights + share / n_rates
        self._levels += self._rates * (alpha - (self._levels >= p_value))
        self.level_ = float(self._weights @ self._levels)


def _rates(step_size: Any) -> Float64Array:
    given = np.atleast_1d(np.asarray(step_size, dtype=object))
    numbers = all(is_number(rate) and 0 < rate <= LARGEST_STEP for rate in given.ravel())
    if given.ndim != 1 or not len(given) or not numbers:
        raise ValueError(
            f"step_size must be a finite number > 0 (at most {LARGEST_STEP:g}), or a sequence of "
            f"them; got {describe(step_size)}"
        )
    return given.astype(np.float64)
