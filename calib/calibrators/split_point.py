"""Split-point self-consistency: a correction of the scores learnt from their residuals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from calib._border.arrays import PROBA_FLOOR, array_namespace, like, row_blocks, to_numpy
from calib._border.checks import check_fraction, check_integer, check_option, describe, is_number
from calib._border.typing import Array, ArrayLike, Float64Array, Namespace, RandomState
from calib._core import links
from calib._core.estimators.targets import class_target, expanded, shares_of
from calib._core.fitted_map import MapTraits
from calib._core.heads import HEAD_KINDS, HeadKind, Heads, fit_heads, fit_with_held_out
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.temperature import TemperatureCalibrator

#: Smallest corrected probability, and smallest probability whose logarithm the heads see.
CORRECTION_FLOOR = 1e-6
#: Smallest probability in the entropy of the authors' form, whose values may be negative.
AUTHORS_FLOOR = 1e-8
#: Bisections of the unit interval; more than its floating point numbers can tell apart.
BISECTIONS = 60


class SplitPointCalibrator(BaseCalibrator):
    """Correct scores by the mean residual that features and scores predict, as far as it helps.

    Heads learn, for every class, how far the label lies above and below its probability on
    average given the features; their difference is the local bias of the probability. The
    corrected probabilities are mixed with the temperature-scaled scores, at a share that has to
    prove itself on samples left out, so that the result stays close to temperature scaling where
    the features know nothing. Prefer it where features (hidden activations, metadata) carry what
    the scores lack and a few hundred labels are at hand; without features, as in
    `CalibratedClassifier`, prefer `TemperatureCalibrator`.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What the score columns of `X` hold; see `BaseCalibrator`.
    n_scores : int, default=None
        Number of leading columns of `X` that are scores, >= 1; the columns after them are
        features, finite and of any scale. None: all columns are scores.
    heads : {"ridge", "hgb", "torch"}, default="ridge"
        Linear (exact, deterministic, seconds; extrapolates), scikit-learn's histogram gradient
        boosting, or a small network with linear outputs (needs torch). The last two fit
        ``3 n_classes`` outputs six times, for the cross-validation.
    mode : {"mean", "authors"}, default="mean"
        ``"authors"`` reproduces the published form: uncorrected scores as split point, the least of
        three estimates of the gap, kept where they agree, and no renormalisation. **Its output is
        no probability distribution**: rows do not sum to 1 and values leave [0, 1].
    split_point : {"tempered", "scores"}, default="tempered"
        What the residuals are taken from and the mixture falls back to: the temperature-scaled
        scores, or the scores as they are (then the fallback is the identity).
    shrinkage : "cv" or float, default="cv"
        Share of the split point in the mixture, in [0, 1]; 1 disables the correction. ``"cv"``
        finds it from the log loss of left-out samples. Unused by ``mode="authors"``.
    threshold : float, default=0.05
        Largest disagreement of the heads at which ``mode="authors"`` corrects, in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Of networks and of the folds of trees and networks; ridge heads draw nothing.

    Attributes
    ----------
    heads_ : object
        The fitted heads, ``3 n_classes`` outputs.
    shrinkage_ : float
        Share of the split point in the mixture, in [0, 1].
    temperature_ : float
        Temperature of the split point, > 0; 1 for ``split_point="scores"``.
    smoothing_ : float
        Share of the uniform distribution in the split point, in [0, 1).
    present_ : ndarray of bool, shape (n_classes,)
        Classes that occurred at fit; the others are not corrected.
    classes_ : ndarray of shape (n_classes,)
        Class of each score column.
    n_features_in_ : int
        Number of columns of `X` seen at fit, features included.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, an unknown option or a number out of
        its range.
    ImportError
        At fit, for ``heads="torch"`` without torch.

    See Also
    --------
    TemperatureCalibrator : what this one falls back to.

    Notes
    -----
    With ``Y_k = 1[y = k]`` and the split point ``p_k``, heads on ``(log p, p, features)`` learn
    the means of ``m_k = |Y_k - p_k|``, ``u_k = Y_k (1 - p_k)`` and ``d_k = (1 - Y_k) p_k``. The
    gap ``E[Y_k] - p_k`` is ``u - d = m - 2 d = 2 u - m``. The mean of the three is ``u - d`` for
    *any* heads (m cancels), and for linear heads the three are equal, so that the minimum and the
    threshold of the authors do nothing there. The corrected ``q = p + u - d`` is clipped to
    ``[1e-6, 1]`` and renormalised, the answer is ``s p + (1 - s) q``. Its log loss is convex in s;
    ``"cv"`` takes the largest s whose loss on left-out predictions is within one standard error
    (of the paired difference) of the best, one imagined sample included that the correction gets
    wholly wrong. No sample loses more than ``-log s`` nats against the split point. Ridge heads
    have left-out predictions in closed form (a weight counts as that many copies): O(n d^2 + d^3)
    in all for d = 2 n_classes + n_features inputs, 0.04 s for 5,000 samples, 10 classes and 20
    features, 78 s for 3,000 samples of 1,000 classes, for which this is not the method.

    `uncertainty` is the self-consistency score ``sum_k |2 p_k (1 - p_k) - m_k|``. With exact heads
    it equals ``sum_k |E[Y_k] - p_k| |1 - 2 p_k|``: a weighted miscalibration on the data of the
    fit, blind at ``p_k = 1/2``. Elsewhere it tells how the heads extrapolate and nothing more.

    **Measured** (overfitted networks, 5 seeds; log loss over that of temperature scaling, mean and
    worst; tables in ``docs/papers/split_point.md``, made by ``benchmarks/split_point_shifts.py``).
    Digits: 1.000 and 1.000 with ridge (1.007 the worst of 36 fits on 12 splits), 0.983 and 1.000
    with boosting at thousands of times the cost. Wine quality, 350 labels: 0.960 and 1.000 on
    scores, 0.940 and 0.974 with hidden activations. Without shrinkage 1.31 and 1.12 on average,
    from untempered scores 1.09 and 1.02, in the authors' form 1.7 and 3.6: neither the bare
    correction nor the authors' form should be used for probabilities. On scores alone (CIFAR-10)
    nothing is gained over temperature. The score of `uncertainty` with ridge heads on the inputs
    found noise and shuffled pixels far better than entropy (area under the ROC curve 0.97 to 0.99
    against 0.65 to 0.92), unseen classes no better than entropy and worse than energy; on hidden
    activations it is close to entropy everywhere.

    References
    ----------
    Zhao and Chen, "Post-Hoc Split-Point Self-Consistency Verification for Efficient, Unified
    Quantification of Aleatoric and Epistemic Uncertainty in Deep Learning", 2025, arXiv
    2509.13262.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import SplitPointCalibrator
    >>> rng = np.random.default_rng(0)
    >>> s, group = rng.normal(size=2000), rng.integers(0, 2, 2000)
    >>> y = (rng.random(2000) < 1 / (1 + np.exp(1 - s - 2 * group))).astype(int)
    >>> cal = SplitPointCalibrator(input="logits", n_scores=1).fit(np.c_[s, group], y)
    >>> cal.transform([[0.0, 0], [0.0, 1]])[:, 1].round(2)  # the scores ignore the group
    array([0.35, 0.67])
    """

    traits: ClassVar[MapTraits] = MapTraits(pure=False)
    _reads_shares: ClassVar[bool] = True

    heads_: Heads
    shrinkage_: float
    temperature_: float
    smoothing_: float
    present_: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        n_scores: int | None = None,
        heads: HeadKind = "ridge",
        mode: Literal["mean", "authors"] = "mean",
        split_point: Literal["tempered", "scores"] = "tempered",
        shrinkage: float | Literal["cv"] = "cv",
        threshold: float = 0.05,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(input=input)
        self.n_scores = n_scores
        self.heads = heads
        self.mode = mode
        self.split_point = split_point
        self.shrinkage = shrinkage
        self.threshold = threshold
        self.random_state = random_state

    # ------------------------------------------------------------------ fit

    def n_score_columns(self, n_columns: int) -> int:
        """Return how many leading columns of `X` are scores."""
        if self.n_scores is None:
            return n_columns
        n_scores = check_integer("n_scores", self.n_scores, low=1)
        if n_scores > n_columns:
            raise ValueError(
                f"n_scores={n_scores} but X has {n_columns} columns; scores come first, features "
                f"follow"
            )
        return n_scores

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        check_option("heads", self.heads, HEAD_KINDS)
        check_option("mode", self.mode, ("mean", "authors"))
        check_option("split_point", self.split_point, ("tempered", "scores"))
        check_fraction("threshold", self.threshold)
        share = _check_shrinkage(self.shrinkage)
        n_scores = self.n_score_columns(scores.array.shape[1])
        features = scores.array[:, n_scores:].astype(np.float64)
        scores = replace(scores, array=scores.array[:, :n_scores])
        truth = shares_of(class_target(target), scores.n_classes)
        self.temperature_, self.smoothing_ = 1.0, 0.0
        if self.split_point == "tempered" and self.mode == "mean":
            tempered = TemperatureCalibrator(input=self.input, smooth_input=False)
            tempered.fit_scores(scores, target, weight)
            self.temperature_, self.smoothing_ = tempered.temperature_, tempered.smoothing_
        p = self._split(scores.dense(), np)
        self.present_ = np.asarray((truth > 0).any(axis=0))
        up, down = truth * (1.0 - p), (1.0 - truth) * p
        parts = np.concatenate([up + down, up, down], axis=1)
        inputs = _inputs(p, features, np)
        if share is None and self.mode == "mean":
            self.heads_, left_out = fit_with_held_out(
                self.heads, inputs, parts, weight, random_state=self.random_state
            )
            rows, codes, shares = expanded(truth)
            corrected = self._corrected(p, left_out, np)[rows, codes]
            mass = shares if weight is None else shares * weight[rows]
            self.shrinkage_ = 1.0 - _trusted_share(p[rows, codes], corrected, mass)
        else:
            self.heads_ = fit_heads(
                self.heads, inputs, parts, weight, random_state=self.random_state
            )
            self.shrinkage_ = 0.0 if share is None else share

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "shrinkage_")

    # ------------------------------------------------------------------ answers

    def uncertainty(self, X: ArrayLike) -> Array:
        """Return the self-consistency score (SDS) of every sample; larger is more doubtful.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Scores, then features, as at fit.

        Returns
        -------
        doubt : array of shape (n_samples,)
            ``sum_k |2 p_k (1 - p_k) - m_k|`` over the classes seen at fit, >= 0, without a unit;
            floating type, library and device of `X`. Never use it as the only sign of shift: on
            digits the distance to the tenth neighbour was better in three shifts of four.
        """
        return self._by_rows(self.checked(X), self._doubt)

    def entropy(self, X: ArrayLike) -> Array:
        """Return the entropy of the calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            Scores, then features, as at fit.

        Returns
        -------
        entropy : array of shape (n_samples,)
            In nats, in [0, log n_classes]; floating type, library and device of `X`. In
            ``mode="authors"`` values below 1e-8 count as 1e-8, and the range does not hold.
        """
        floor = AUTHORS_FLOOR if self.mode == "authors" else PROBA_FLOOR

        def entropy(p: Float64Array, parts: Float64Array, xp: Namespace) -> Float64Array:
            answer = np.maximum(self._answer(p, parts, xp), floor)
            out: Float64Array = -(answer * np.log(answer)).sum(axis=1)
            return np.maximum(out, 0.0) if self.mode == "mean" else out

        return self._by_rows(self.checked(X), entropy)

    def map_checked(self, array: Array) -> Array:
        """Map rows that `checked` returned, or that are known to be what it returns."""
        xp = array_namespace(array)
        out = self._by_rows(array, self._answer)
        if self.input == "proba":
            return out
        columns = array[:, : self.n_score_columns(array.shape[1])]
        if columns.shape[1] == 1:
            columns = links.both_columns(columns, self.input, xp)
        return links.without_excluded(out, links.excluded(columns, xp), xp)

    def traced(self, scores: Array, xp: Namespace) -> Array:
        """Map scores, which are not checked, in a namespace that writes down what is calculated."""
        n_scores = self.n_score_columns(scores.shape[1])
        both = xp.astype(scores[:, :n_scores], xp.float64)
        if n_scores == 1:
            both = links.both_columns(both, self.input, xp)
        features = xp.astype(scores[:, n_scores:], xp.float64)
        out = self._answer(*self._judged(both, features, xp), xp)
        if self.input == "logits":
            out = links.without_excluded(out, links.excluded(both, xp), xp)
        return xp.astype(out, scores.dtype)

    def _by_rows(self, array: Array, function: Callable[..., Float64Array]) -> Array:
        """Apply a function of split points and head outputs to checked rows of any namespace."""
        xp = array_namespace(array)
        columns = to_numpy(array)
        n_scores = self.n_score_columns(columns.shape[1])
        answers = []
        for rows in row_blocks(len(columns), columns.shape[1] + 3 * len(self.classes_)):
            part = columns[rows, :n_scores].astype(np.float64)
            both = links.both_columns(part, self.input, np) if n_scores == 1 else part
            features = columns[rows, n_scores:].astype(np.float64)
            answers.append(function(*self._judged(both, features, np), np))
        return like(np.concatenate(answers), array, xp)

    def _judged(self, both: Array, features: Array, xp: Namespace) -> tuple[Array, Array]:
        """Return split points, and what the heads say of them."""
        if self.input == "logits":
            both = links.in_units(both, 1.0, xp)
        p = self._split(links.convert(both, self.input, "logits", xp), xp)
        inputs = _inputs(p, features, xp)
        return p, self.heads_.predict(inputs) if xp is np else self.heads_.predict(inputs, xp)

    def _split(self, logits: Array, xp: Namespace) -> Array:
        fitted = {
            "temperature_": self.temperature_,
            "smoothing_": self.smoothing_,
            "input_smoothing_": 0.0,
        }
        return TemperatureCalibrator.map_from(fitted, {}).evaluate(logits, "logits", xp)

    def _corrected(self, p: Array, parts: Array, xp: Namespace) -> Array:
        """Return clipped and renormalised corrections; absent classes keep their probability."""
        _, up, down = _thirds(parts)
        gap = up - down  # the mean of the three gaps
        q = xp.where(self.present_, xp.clip(p + gap, CORRECTION_FLOOR, 1.0), 0.0)
        if not self.present_.all():
            kept = xp.where(self.present_, 0.0, xp.clip(p, CORRECTION_FLOOR, None))
            room = xp.clip(1.0 - links.row_sum(kept, xp), CORRECTION_FLOOR, None)
            q = q / links.row_sum(q, xp) * room + kept
        return q / links.row_sum(q, xp)

    def _answer(self, p: Array, parts: Array, xp: Namespace) -> Array:
        if self.mode == "mean":
            return self.shrinkage_ * p + (1.0 - self.shrinkage_) * self._corrected(p, parts, xp)
        total, up, down = _thirds(parts)
        least = xp.minimum(xp.minimum(up - down, total - 2.0 * down), 2.0 * up - total)
        kept = self.present_ & (xp.abs(up + down - total) < self.threshold)
        return p + xp.where(kept, least, 0.0)

    def _doubt(self, p: Array, parts: Array, xp: Namespace) -> Array:
        total = _thirds(parts)[0]
        gaps = xp.where(self.present_, xp.abs(2.0 * p * (1.0 - p) - total), 0.0)
        return xp.sum(gaps, axis=1)


def _thirds(parts: Array) -> tuple[Array, Array, Array]:
    """Return the heads of the whole residual, of its upper and of its lower side."""
    n = parts.shape[1] // 3
    return parts[:, :n], parts[:, n : 2 * n], parts[:, 2 * n :]


def _inputs(p: Array, features: Array, xp: Namespace) -> Array:
    """Return what the heads see: log-probabilities, probabilities, features."""
    return xp.concat([xp.log(xp.clip(p, CORRECTION_FLOOR, None)), p, features], axis=1)


def _check_shrinkage(value: Any) -> float | None:
    """Return a fixed share, None for the cross-validated one."""
    if isinstance(value, str) and value == "cv":
        return None
    if not is_number(value) or not 0 <= float(value) <= 1:
        raise ValueError(f"shrinkage must be 'cv' or a number in [0, 1]; got {describe(value)}")
    return float(value)


def _trusted_share(before: Float64Array, after: Float64Array, weight: Float64Array | None) -> float:
    """Return the share of the correction that left-out samples justify.

    The log loss of ``(1 - t) before + t after`` is convex in t; t is the least share whose mean
    loss is within one standard error of the minimum on [0, 1]. One imagined sample, certain
    before and impossible after the correction, joins the others: it keeps t below 1 and widens the
    standard error where samples are few. Both ends are found by bisection, which keeps the share
    a smooth function of the data.

    Parameters
    ----------
    before, after : ndarray of shape (n_labels,)
        Probability of the true label without and with the correction, > 0.
    weight : ndarray of shape (n_labels,) or None
    """
    before = np.append(np.maximum(before, PROBA_FLOOR), 1.0)
    after = np.append(after, PROBA_FLOOR)
    weight = None if weight is None else np.append(weight, 1.0)
    change = after - before
    total = float(len(before) if weight is None else weight.sum())

    def mean(values: Float64Array) -> float:
        return float(values.sum() if weight is None else values @ weight) / total

    def too_far(t: float) -> bool:
        return mean(change / ((1.0 - t) * before + t * after)) < 0

    if too_far(0.0):
        return 0.0
    best = _bisect(too_far)
    least = np.log((1.0 - best) * before + best * after)

    def enough(t: float) -> bool:
        share = t * best
        excess = least - np.log((1.0 - share) * before + share * after)
        average = mean(excess)
        variance = mean((excess - average) ** 2)
        return average <= math.sqrt(variance / total)

    return best * _bisect(enough) if not enough(0.0) else 0.0


def _bisect(condition: Callable[[float], bool]) -> float:
    """Return where a condition that fails at 0 and holds at 1 begins to hold."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if condition(middle) else (middle, high)
    return high
