"""Decisions with unequal costs: thresholds, decisions of least cost, and what they gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.arrays import BLOCK_ELEMENTS, to_numpy
from calib._border.checks import check_fraction, check_integer, check_number, describe
from calib._border.limits import MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import (
    check_finite,
    check_matrix,
    check_numbers,
    check_probabilities,
    check_score_vector,
    percent_hint,
)
from calib._core.predictions import check_predictions
from calib.evaluation.display import axes
from calib.evaluation.sampling.draws import block_counts, cell_counts, group_codes

#: Thresholds of a curve where none are given.
THRESHOLDS = np.arange(1, 100) / 100.0


def cost_threshold(
    cost_fp: float, cost_fn: float, cost_tp: float = 0.0, cost_tn: float = 0.0
) -> float:
    """Return the probability from which on the positive decision is the cheaper one.

    Parameters
    ----------
    cost_fp, cost_fn : float
        Cost of a false positive and of a false negative.
    cost_tp, cost_tn : float, default=0
        Cost of a true positive (of a treatment, say) and of a true negative; gains are negative.

    Returns
    -------
    threshold : float
        In [0, 1]: decide for the positive class where its calibrated probability is at least that.
        0 or 1 where a decision costs nothing more for one of the classes.

    Raises
    ------
    ValueError
        If a cost is no finite number, or if one decision is never the dearer one whatever the
        probability: there is no threshold then.

    See Also
    --------
    cost_decision : Decisions for any number of classes, also where one is always the cheaper.

    Notes
    -----
    ``(C_fp - C_tn) / (C_fp - C_tn + C_fn - C_tp)``: what a positive decision costs more for the
    negative class, over the sum of what both errors cost more [1]_.

    References
    ----------
    .. [1] C. Elkan. The Foundations of Cost-Sensitive Learning. IJCAI 2001.

    Examples
    --------
    >>> from uq import cost_threshold
    >>> cost_threshold(1, 4)
    0.2
    """
    costs = {"cost_fp": cost_fp, "cost_fn": cost_fn, "cost_tp": cost_tp, "cost_tn": cost_tn}
    numbers = {name: check_number(name, value) for name, value in costs.items()}
    for name, number in numbers.items():
        if not np.isfinite(number):
            raise ValueError(f"{name} must be finite; got {number}")
    of_positive = numbers["cost_fp"] - numbers["cost_tn"]
    of_negative = numbers["cost_fn"] - numbers["cost_tp"]
    if min(of_positive, of_negative) < 0 or of_positive == of_negative == 0:
        dear, cheap = ("negative", "positive") if of_positive <= 0 else ("positive", "negative")
        if max(of_positive, of_negative) <= 0:
            text = (
                "errors cost no more than right decisions"
                if of_positive == of_negative == 0
                else "errors cost less than right decisions; costs are positive, gains negative"
            )
        else:
            text = (
                f"the {cheap} decision is never dearer than the {dear} one, at any probability, so "
                f"there is no threshold: take it always (cost_decision does)"
            )
        raise ValueError(
            f"{text}; got cost_fp - cost_tn = {of_positive:g} and cost_fn - cost_tp = "
            f"{of_negative:g}"
        )
    largest = max(of_positive, of_negative)  # so that no sum overflows
    share = of_positive / largest
    return float(share / (share + of_negative / largest))


def cost_decision(y_prob: ArrayLike, cost_matrix: ArrayLike) -> IntArray:
    """Return the decision of least expected cost for every row.

    Parameters
    ----------
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Calibrated probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    cost_matrix : array-like of shape (n_classes, n_decisions)
        Cost of every decision (column) for every true class (row); gains are negative. Decisions
        need not be classes: a further column may stand for asking a person.

    Returns
    -------
    decision : ndarray of int, shape (n_samples,)
        Column of `cost_matrix`; of equal costs the one of the more probable class, then the first.

    Raises
    ------
    ValueError
        If there are no probabilities, or the matrix is none, has not a row for every class, or
        holds what is not finite.

    See Also
    --------
    cost_threshold : The threshold of two classes.
    estimate_performance : Mean cost of decisions before labels arrive.

    Notes
    -----
    ``argmin (p @ C)``. Adding a constant to a row of the matrix changes no decision. A decision
    that another undercuts for every class is never taken.

    Examples
    --------
    >>> from uq import cost_decision
    >>> cost_decision([0.1, 0.3, 0.6], [[0, 1], [4, 0]])   # a missed case costs 4
    array([0, 1, 1])
    >>> cost_decision([0.05, 0.3, 0.95], [[0, 1, 0.2], [1, 0, 0.2]])   # or ask, for 0.2
    array([0, 2, 1])
    """
    proba = _check_proba(y_prob)
    costs = check_costs(cost_matrix, proba.shape[1], square=False)
    least = costs.min(axis=1, keepdims=True)  # a constant of a class: smaller numbers to add
    expected = proba @ (costs - least)
    scale = np.abs(costs - least).max()
    tied = expected <= expected.min(axis=1, keepdims=True) + 1e-12 * scale
    if costs.shape[1] == proba.shape[1]:
        return np.asarray(np.where(tied, proba, -1.0).argmax(axis=1), dtype=np.intp)
    return np.asarray(tied.argmax(axis=1), dtype=np.intp)


def check_costs(cost: ArrayLike, n_classes: int, *, square: bool) -> Float64Array:
    """Return costs of decisions (columns) for classes (rows); a pair is that of both errors.

    Parameters
    ----------
    cost : array-like
    n_classes : int
    square : bool
        Whether decisions are classes; then two numbers are those of a false positive and of a
        false negative.
    """
    name = "cost" if square else "cost_matrix"
    costs = np.asarray(to_numpy(check_numbers(cost, name)), dtype=np.float64)
    if square and costs.shape == (2,) and n_classes == 2:
        costs = np.array([[0.0, costs[0]], [costs[1], 0.0]])
    rows = f"({n_classes}, {n_classes if square else 'n_decisions'})"
    if costs.ndim != 2 or len(costs) != n_classes or (square and costs.shape[1] != n_classes):
        pair = ", or the costs of a false positive and of a false negative" if square else ""
        raise ValueError(
            f"{name} must have shape {rows}, a row for every true class and a column for every "
            f"decision{pair}; got shape {costs.shape}"
        )
    if costs.shape[1] < 1:
        raise ValueError(f"{name} has no decision (shape={costs.shape}); pass at least one column")
    check_finite(costs, name)
    return costs


def _check_proba(y_prob: ArrayLike) -> Float64Array:
    """Return probabilities of all classes, (n_samples, n_classes)."""
    array = np.asarray(to_numpy(check_matrix(y_prob, "y_prob")), dtype=np.float64)
    check_probabilities(array, "y_prob", hint="; decisions take probabilities, not logits")
    return np.concatenate([1.0 - array, array], axis=1) if array.shape[1] == 1 else array


@dataclass(frozen=True, eq=False, repr=False)
class DecisionCurve:
    """Net benefit of deciding by a threshold, for every threshold; result of `decision_curve`.

    Attributes
    ----------
    threshold : ndarray of shape (n_thresholds,)
        In (0, 1).
    net_benefit, low, high : ndarray of shape (n_thresholds,)
        Of the model, in true positives per row, with its interval.
    treat_all, treat_none : ndarray of shape (n_thresholds,)
        Of deciding for the positive class always, and never (0).
    gain, gain_low, gain_high : ndarray of shape (n_thresholds,)
        Net benefit of the model minus that of the better of the two, with its interval: above 0
        the model is worth using.
    prevalence : float
        Share of the positive class.
    n_samples : int
    confidence_level : float in (0, 1)
    """

    threshold: Float64Array
    net_benefit: Float64Array
    low: Float64Array
    high: Float64Array
    treat_all: Float64Array
    treat_none: Float64Array
    gain: Float64Array
    gain_low: Float64Array
    gain_high: Float64Array
    prevalence: float
    n_samples: int
    confidence_level: float

    def __str__(self) -> str:
        shown = np.unique(np.linspace(0, len(self.threshold) - 1, 5).round().astype(int))
        rows = [
            ("threshold", self.threshold),
            ("net benefit", self.net_benefit),
            ("treat all", self.treat_all),
            ("gain, low", self.gain_low),
            ("gain, high", self.gain_high),
        ]
        useful = self.threshold[self.gain_low > 0]
        said = (
            f"better than treating all and none for certain at {len(useful)} of "
            f"{len(self.threshold)} thresholds"
            + (f", from {useful.min():.3g} to {useful.max():.3g}" if len(useful) else "")
        )
        return "\n".join(
            [
                f"Decision curve: {self.n_samples:,} samples, {self.prevalence:.1%} positive; "
                f"{said}",
                *(
                    f"  {name:12s}" + "".join(f"{values[j]:9.4f}" for j in shown)
                    for name, values in rows
                ),
            ]
        )

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists and numbers, for JSON."""
        return {
            "prevalence": self.prevalence,
            "n_samples": self.n_samples,
            "confidence_level": self.confidence_level,
            **{name: values.tolist() for name, values in self._columns().items()},
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per threshold.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``threshold``, ``net_benefit``, ``low``, ``high``, ``treat_all``,
            ``treat_none``, ``gain``, ``gain_low`` and ``gain_high``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="DecisionCurve.to_frame")
        return pandas.DataFrame(self._columns())

    def _columns(self) -> dict[str, Float64Array]:
        return {
            "threshold": self.threshold,
            "net_benefit": self.net_benefit,
            "low": self.low,
            "high": self.high,
            "treat_all": self.treat_all,
            "treat_none": self.treat_none,
            "gain": self.gain,
            "gain_low": self.gain_low,
            "gain_high": self.gain_high,
        }

    def plot(self, ax: Any = None, *, name: str | None = None, **line_kwargs: Any) -> Any:
        """Draw net benefit against the threshold, beside treating all and none.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several curves may share axes.
        name : str or None, default=None
            Name in the legend; None is "model".
        **line_kwargs
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes.axes_or_new(ax, (5.0, 4.0), "DecisionCurve.plot")
        first = not axes.n_curves(ax)
        label = "model" if name is None else name
        line = axes.draw_curve(ax, self.threshold, self.net_benefit, line_kwargs, label=label)
        ax.fill_between(
            self.threshold, self.low, self.high, color=line.get_color(), **axes.shade(ax)
        )
        if first:  # once on the same axes
            ink = ax.xaxis.label.get_color()
            ax.plot(
                self.threshold, self.treat_all, linestyle="--", color=ink, lw=1, label="treat all"
            )
            ax.axhline(0.0, linestyle=":", color=ink, linewidth=1, label="treat none")
        ends = ax.get_ylim() if not first else (0.0, 0.0)
        most = max(ends[1], 1.1 * max(self.prevalence, float(self.high.max())))
        ax.set(ylim=(min(ends[0], -0.1 * most), most))
        axes.label_axes(ax, "Threshold probability", "Net benefit")
        ax.legend()
        return ax


def decision_curve(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    thresholds: ArrayLike = None,
    *,
    groups: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = None,
) -> DecisionCurve:
    """Compute the net benefit of deciding by a threshold, for every threshold.

    The threshold stands for the costs: who treats from probability t on takes a false positive for
    ``t / (1 - t)`` times as bad as a true positive is good.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels of two classes.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, 2)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    thresholds : array-like of shape (n_thresholds,), default=None
        In (0, 1), increasing. None means 0.01, 0.02, ..., 0.99.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample; whole groups are redrawn. None redraws single samples.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    labels : array-like of shape (2,), default=None
        Both classes in column order, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that decisions are for; None means the second.
    confidence_level : float in (0, 1), default=0.95
        Nominal coverage at every threshold by itself.
    n_resamples : int >= 2, default=1000
        Draws with replacement; all thresholds see the same.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    curve : DecisionCurve

    Raises
    ------
    ValueError
        For other than two classes, lengths that differ, wrong weights, thresholds outside (0, 1) or
        not increasing, fewer than two samples (groups), or options out of range.

    See Also
    --------
    cost_threshold : The threshold that costs ask for.
    calib.evaluation.calibration_report : Whether probabilities can be taken at their word.

    Notes
    -----
    ``NB(t) = TP/n - FP/n * t / (1 - t)``, positive where ``p >= t`` [1]_. Never treating has 0,
    always treating ``prevalence - (1 - prevalence) t / (1 - t)``. A calibrated model is never worse
    than both, up to chance. Intervals are percentiles of the bootstrap: net benefit is a mean of
    rows, so its draws are centred on it. That of `gain` holds one policy fixed, the better one in
    these data.

    References
    ----------
    .. [1] A. J. Vickers, E. B. Elkin. Decision Curve Analysis: A Novel Method for Evaluating
       Prediction Models. Medical Decision Making 26(6), 2006. doi:10.1177/0272989X06295361

    Examples
    --------
    >>> import numpy as np
    >>> from uq import decision_curve
    >>> p = np.linspace(0.01, 0.99, 500)
    >>> y = (np.arange(500) * 0.618 % 1 < p).astype(int)
    >>> curve = decision_curve(y, p, [0.2, 0.5, 0.8], random_state=0)
    >>> curve.net_benefit.round(2)
    array([0.4 , 0.25, 0.1 ])
    >>> curve.treat_all.round(2)
    array([ 0.38,  0.01, -1.48])
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    points = _check_thresholds(thresholds)
    codes, proba, weight, classes = check_predictions(
        y_true, y_prob, labels=labels, pos_label=pos_label, sample_weight=sample_weight
    )
    if len(classes) != 2:
        raise ValueError(
            f"a decision curve is for two classes; y_prob has {len(classes)} columns: pass one "
            f"class against the rest, y_true == k and its column"
        )
    kept = np.ones(len(codes), dtype=bool) if weight is None else weight > 0
    units = None if groups is None else group_codes(groups, len(codes))[kept]
    if units is not None:
        units = np.unique(units, return_inverse=True)[1]
    n_units = int(kept.sum() if units is None else units.max() + 1)
    if n_units < 2:
        what = "samples" if groups is None else "groups"
        raise ValueError(f"a bootstrap needs at least 2 {what} of positive weight; got {n_units}")
    reached = np.searchsorted(points, proba[kept, -1].astype(np.float64), side="right")
    sums = _redrawn_sums(
        reached + (len(points) + 1) * (codes[kept] == 1),
        2 * (len(points) + 1),
        None if weight is None else weight[kept],
        units,
        n_resamples,
        generator(random_state),
    )
    others, events = sums.reshape(2, len(points) + 1, n_resamples + 1)
    total, prevalence = sums.sum(axis=0), events.sum(axis=0) / sums.sum(axis=0)
    odds = (points / (1.0 - points))[:, None]
    true, false = (np.cumsum(part[:0:-1], axis=0)[::-1] / total for part in (events, others))
    benefit = true - odds * false
    treat_all = prevalence - odds * (1.0 - prevalence)
    gain = benefit - np.where(treat_all[:, :1] > 0, treat_all, 0.0)
    tails = [(1.0 - confidence_level) / 2.0, (1.0 + confidence_level) / 2.0]
    low, high = np.quantile(benefit[:, 1:], tails, axis=1)
    gain_low, gain_high = np.quantile(gain[:, 1:], tails, axis=1)
    return DecisionCurve(
        threshold=points,
        net_benefit=benefit[:, 0],
        low=np.minimum(low, benefit[:, 0]),
        high=np.maximum(high, benefit[:, 0]),
        treat_all=treat_all[:, 0],
        treat_none=np.zeros(len(points)),
        gain=gain[:, 0],
        gain_low=np.minimum(gain_low, gain[:, 0]),
        gain_high=np.maximum(gain_high, gain[:, 0]),
        prevalence=float(prevalence[0]),
        n_samples=int(kept.sum()),
        confidence_level=confidence_level,
    )


def _check_thresholds(thresholds: ArrayLike) -> Float64Array:
    if thresholds is None:
        return THRESHOLDS.copy()
    points = check_score_vector(thresholds, "thresholds")
    if points.min() <= 0 or points.max() >= 1:
        raise ValueError(
            f"thresholds must lie in (0, 1); got values from {points.min():.6g} to "
            f"{points.max():.6g}{percent_hint(points)}"
        )
    if (np.diff(points) <= 0).any():
        raise ValueError(f"thresholds must increase; got {describe(points.tolist())}")
    return points


def _redrawn_sums(
    cell: IntArray,
    n_cells: int,
    weight: Float64Array | None,
    units: IntArray | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Return the weight in every cell: of the sample, then of its redraws, (n_cells, 1 + n)."""
    from scipy.sparse import csr_array

    if weight is None and units is None:
        counts = np.bincount(cell, minlength=n_cells)
        drawn = cell_counts(counts, n_resamples, rng)
        return np.vstack([counts, drawn]).T.astype(np.float64)
    mass = np.ones(len(cell)) if weight is None else weight
    sums = np.zeros((n_cells, n_resamples + 1))
    step = max(4 * n_cells, BLOCK_ELEMENTS // (n_resamples + 1))
    for rows, times in block_counts(len(cell), units, n_resamples, step, rng):
        size = len(times)
        member = csr_array((mass[rows], (cell[rows], np.arange(size))), shape=(n_cells, size))
        sums += member @ times
    return sums
