"""How good predictions are before labels arrive, from calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from scipy.stats import chi2, rankdata

from calib._border.arrays import PROBA_FLOOR, eager, row_blocks, to_numpy
from calib._border.checks import (
    check_fraction,
    check_integer,
    check_option,
    describe,
)
from calib._border.columns import column_names
from calib._border.labels import check_same_length, check_vector, column_codes
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray, RandomState
from calib._border.validation import (
    check_finite,
    check_probabilities,
    check_score_vector,
    read_matrix,
)
from calib._border.warn import warn
from calib._core.newton import minimize
from calib._core.predictions import check_predictions
from calib.evaluation import Interval
from calib.evaluation.sampling.draws import draw_labels
from calib.evaluation.sampling.intervals import summarized
from uq.conformal.quantiles import effective_sample_size, scaled_calibration_ratio
from uq.costs import check_costs
from uq.warnings import EffectiveSampleSizeWarning, UnlabelledEstimateWarning

#: Metrics of two classes alone, and of any number of them.
OF_TWO, OF_ANY = ("f1", "roc_auc"), ("accuracy", "brier_score", "log_loss")
METRICS = ("accuracy", "f1", "roc_auc", "brier_score", "log_loss")
#: Knots of the departure of the map, at equal mass of the reference rows.
N_KNOTS = 10
#: Precision of the prior of the value at a knot: standard deviation 1 on the scale of logits.
KNOT_PRECISION = 1.0
#: The same of intercepts and slopes, which labels have to tell.
LINE_PRECISION = 0.01
#: Below this effective number of reference rows ratios deserve a warning.
FEW_EFFECTIVE_ROWS = 30
#: Level at which reference rows contradict the probabilities.
CONTRADICTION = 1e-4
#: Draws of labels need numbers above this one to be computed with as logits.
LEAST = 1e-12

Sums: TypeAlias = Callable[[LabelArray], Float64Array]


def estimate_performance(
    y_prob: ArrayLike,
    y_pred: ArrayLike = None,
    *,
    metrics: Sequence[str] | None = None,
    cost: ArrayLike = None,
    score: ArrayLike = None,
    reference: tuple[ArrayLike, ArrayLike] | None = None,
    ratio: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    confidence_level: float = 0.95,
    n_resamples: int = 500,
    random_state: RandomState = None,
) -> dict[str, Interval]:
    """Estimate metrics of predictions whose labels are not known, with predictive intervals.

    Every metric is what calibrated probabilities say of themselves; its interval is for the value
    that the metric will have once the labels of these very rows are there.

    Parameters
    ----------
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Calibrated probabilities in [0, 1], rows sum to 1 within 1e-3; one column: P(second class).
    y_pred : array-like of shape (n_samples,), default=None
        Classes that were decided on. None takes the most probable ones, for costs too; pass
        `cost_decision` where costs decide.
    metrics : sequence of str, default=None
        Out of ``"accuracy"``, ``"f1"``, ``"roc_auc"``, ``"brier_score"`` and ``"log_loss"``. None
        takes all that are defined: F1 and the area under the ROC curve are for two classes. The
        Brier score is that of scikit-learn, ``mean (p - y)^2`` for two classes and summed over
        more; `calib.evaluation.brier_score` is twice that for two.
    cost : array-like of shape (2,) or (n_classes, n_classes), default=None
        Cost of a false positive and of a false negative, or of every true class (row) and decision
        (column). Adds ``"cost"``, the mean cost of a row.
    score : array-like of shape (n_samples,), default=None
        What the rows are ranked by in ``"roc_auc"``, larger for the second class; None is `y_prob`.
    reference : tuple (y_true, y_prob), default=None
        Labelled rows with their calibrated probabilities, by the same map as `y_prob`: how much
        they leave open of that map widens the intervals. The rows that it was fitted on will do;
        what a map has made of single labels then counts as known, which is optimistic. Without it
        intervals are about the chance of labels alone.
    ratio : array-like of shape (n_reference,), default=None
        Importance weights >= 0 of the reference rows, such as
        ``LikelihoodRatio(...).calibration_ratio_``: the map is fitted again to the weighted rows
        before anything is estimated. For shifted features; without a shift it adds noise.
    labels : array-like of shape (n_classes,), default=None
        Class of every column. None takes those of the reference, or 0..n_classes - 1.
    pos_label : int, float, bool or str, default=None
        Class that a single column belongs to; None means the second.
    confidence_level : float in (0, 1), default=0.95
        Nominal probability that an interval holds the value that labels will show.
    n_resamples : int >= 2, default=500
        Draws of labels.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    estimates : dict of str to Interval
        By the names of the metrics, in their order, and ``"cost"`` last. NaN for ``"roc_auc"``
        where one class is certain.

    Raises
    ------
    ValueError
        If there are no probabilities, lengths or classes differ, a metric is unknown or undefined
        for the number of classes, costs are no costs, ratios come without a reference or are all
        zero, or an option is out of range.

    Warns
    -----
    UnlabelledEstimateWarning
        Without a reference, and where the reference shows that `y_prob` is not calibrated.
    EffectiveSampleSizeWarning
        If ratios leave fewer than 30 effective reference rows.

    See Also
    --------
    cost_decision : Decisions of least expected cost.
    calib.evaluation.metric_interval : The interval of a metric once labels are there.

    Notes
    -----
    *Estimates* are the metrics of expected confusion counts, such as ``TP = sum p d`` with decision
    d; mean expected losses; and for the area under the ROC curve the expected share of pairs of
    different rows in the right order, ties counted half, in O(n log n).

    *Intervals.* In each draw the map departs by ``f(logit p)`` from what was reported: a line and
    values at 10 knots at equal mass of the reference rows, drawn from the normal distribution
    that the reference rows, as a likelihood, and a weak prior leave. For K classes it is an
    intercept for each and a temperature that depends on the largest probability. Labels are drawn
    from the departed probabilities; ends are quantiles of the metrics of these labels.
    A probability of exactly 0 or 1, which a step of a map may report, counts as certain in the
    estimate and departs from ``0.5 / (1 + m)``, with m reference rows there.

    With smooth maps and 300 reference rows or more, 93 to 99 % of nominal 95 % intervals held the
    value.
    Known miss: an isotonic map whose own 2,000 to 5,000 fitting rows are the reference. It has
    followed their labels, which they cannot show: the log loss was held in 85 to 90 %, the Brier
    score in 89 to 93 %. Pass rows that it was not fitted on.

    *What no method sees.* Probabilities have to stay right. Where the labels given the probability
    change after the reference rows, nothing in unlabelled rows shows it: in census data followed
    over three years in their order, intervals of large references held only 87 to 91 % of the
    values. `calib.evaluation` measures that change once labels arrive.

    Cost: O(n_resamples n_samples), about 5 s for 100,000 rows of two classes.

    References
    ----------
    .. [1] J. Białek, W. Kuberski, N. Perrakis, A. Bifet. Estimating Model Performance Under
       Covariate Shift Without Labels. arXiv:2401.08348
    .. [2] J. Kivimäki, J. Białek, W. Kuberski, J. K. Nurminen. Performance Estimation in Binary
       Classification Using Calibrated Confidence. arXiv:2505.05295

    Examples
    --------
    >>> import numpy as np
    >>> from uq import estimate_performance
    >>> rng = np.random.default_rng(0)
    >>> p, old = rng.beta(1, 2, 2000), rng.beta(1, 2, 1000)
    >>> labelled = (rng.random(1000) < old).astype(int), old
    >>> accuracy = estimate_performance(p, reference=labelled, random_state=0)["accuracy"]
    >>> print(f"{accuracy.value:.2f}, {accuracy.low:.2f} to {accuracy.high:.2f}")
    0.75, 0.72 to 0.78
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    known = None if reference is None else _read_reference(reference, labels, pos_label)
    if known is not None:
        labels, pos_label = known.classes, None
    proba, decided = _read_predictions(y_prob, y_pred, labels, pos_label, known)
    n_classes = proba.shape[1]
    names = _check_metrics(metrics, n_classes, cost is not None)
    costs = None if cost is None else check_costs(cost, n_classes, square=True)
    ranked = _check_score(score, len(proba), n_classes)
    if ratio is not None:
        if known is None:
            raise ValueError(
                "ratio weighs the rows of reference, which was not given; pass "
                "reference=(y_true, y_prob)"
            )
        known = known.weighted(ratio)
    rng = generator(random_state)
    estimated = proba
    draws = _certain(proba, n_resamples)
    if known is None:
        warn(
            "without reference=(y_true, y_prob) intervals hold the chance of labels alone and are "
            "too narrow: how far the map itself may be off is not in them; pass labelled rows, "
            "those that the calibrator was fitted on or later ones",
            UnlabelledEstimateWarning,
        )
    else:
        departure = _Departure(known, proba, refit=ratio is not None)
        if ratio is None:
            _warn_if_contradicted(departure)
        else:
            estimated = departure.centre()
        draws = departure.draws(n_resamples, rng)
    measured = _Measured(names, proba, decided, costs, ranked)
    values = measured.expected(estimated)
    replicates = measured.drawn(draws, n_resamples, rng)
    return {name: _interval(values[name], replicates[name], confidence_level) for name in values}


# ----------------------------------------------------------------------------------- what is read


@dataclass(frozen=True)
class _Reference:
    """Labelled rows: class codes, probabilities of all classes, weights that sum to their size."""

    codes: IntArray
    proba: Float64Array
    weight: Float64Array
    classes: LabelArray

    def weighted(self, ratio: ArrayLike) -> _Reference:
        values = check_vector(ratio, "ratio")
        check_same_length(len(self.codes), len(values), "reference", "ratio")
        weight, _ = scaled_calibration_ratio(values, None, "ratio")
        size = effective_sample_size(weight)
        if size < FEW_EFFECTIVE_ROWS:
            warn(
                f"ratio leaves an effective sample size of {size:.3g} of {len(weight)} reference "
                f"rows: the new rows lie where reference rows are sparse",
                EffectiveSampleSizeWarning,
            )
        kept = weight > 0
        weight = weight[kept] * (size / weight.sum())
        return _Reference(self.codes[kept], self.proba[kept], weight, self.classes)


def _read_reference(reference: object, labels: ArrayLike, pos_label: object) -> _Reference:
    if not isinstance(reference, (tuple, list)) or len(reference) != 2:
        raise ValueError(
            f"reference must be a pair (y_true, y_prob) of labelled rows; got {describe(reference)}"
        )
    codes, proba, _, classes = check_predictions(
        reference[0], reference[1], labels=labels, pos_label=pos_label, name="reference[1]"
    )
    return _Reference(codes, _all_columns(proba), np.ones(len(codes)), classes)


def _read_predictions(
    y_prob: ArrayLike,
    y_pred: ArrayLike,
    labels: ArrayLike,
    pos_label: object,
    known: _Reference | None,
) -> tuple[Float64Array, IntArray]:
    """Return the probabilities of all classes, and the columns decided on."""
    table = eager(y_prob)
    array = to_numpy(read_matrix(table, "y_prob"))
    check_finite(array, "y_prob")
    check_probabilities(array, "y_prob", hint="; estimates take probabilities, not logits")
    n_classes = max(2, array.shape[1])
    if known is not None and known.proba.shape[1] != n_classes:
        raise ValueError(
            f"reference has probabilities of {known.proba.shape[1]} classes and y_prob of "
            f"{n_classes}; both must come from the same map"
        )
    given = None if y_pred is None else check_vector(y_pred, "y_pred")
    if given is not None:
        check_same_length(len(array), len(given), "y_prob", "y_pred")
    if labels is None and given is None:
        labels = np.arange(n_classes)
    codes, _, order = column_codes(
        check_vector(labels, "labels") if given is None else given,
        None,
        array.shape[1],
        column_names(table),
        labels=labels,
        pos_label=pos_label,
        name="y_pred",
        columns_of="y_prob",
        turn=True,
    )
    if order is not None:
        array = np.take(array, order, axis=1)
    proba = _all_columns(array)
    return proba, proba.argmax(axis=1) if given is None else codes


def _all_columns(proba: LabelArray) -> Float64Array:
    """Return probabilities of every class as float64, rows summing to 1."""
    columns = np.clip(np.asarray(proba, dtype=np.float64), 0.0, 1.0)
    if columns.shape[1] == 1:
        return np.concatenate([1.0 - columns, columns], axis=1)
    return np.asarray(columns / columns.sum(axis=1, keepdims=True))


def _check_metrics(
    metrics: Sequence[str] | None, n_classes: int, with_cost: bool
) -> tuple[str, ...]:
    if metrics is None:
        return METRICS if n_classes == 2 else OF_ANY
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if name == "cost":
            raise ValueError("metrics: costs are asked for by cost=..., not by name; got 'cost'")
        check_option("metrics", name, METRICS)
        if n_classes > 2 and name in OF_TWO:
            raise ValueError(
                f"metrics: {name!r} is defined for two classes, y_prob has {n_classes}; ask for "
                f"{', '.join(map(repr, OF_ANY))}, or pass one class against the rest"
            )
    if not names and not with_cost:
        raise ValueError(f"metrics is empty and there is no cost; name some of {METRICS}")
    return names


def _check_score(score: ArrayLike, n_samples: int, n_classes: int) -> Float64Array | None:
    if score is None:
        return None
    values = check_score_vector(score, "score")
    check_same_length(n_samples, len(values), "y_prob", "score")
    if n_classes > 2:
        raise ValueError(f"score ranks the rows of two classes; y_prob has {n_classes}")
    return values


# ------------------------------------------------------------------------ what a map leaves open

#: Yields replicates, and the probabilities of the classes in them, (n_replicates, n_samples, K) or
#: (1, n_samples, K) where they are the same in all. Two classes have one column, the second's.
Draws: TypeAlias = Iterator[tuple[slice, Float64Array]]


def _certain(proba: Float64Array, n_resamples: int) -> Draws:
    shown = proba[None, :, 1:] if proba.shape[1] == 2 else proba[None]
    for block in row_blocks(n_resamples, proba[0].size * len(proba)):
        yield block, shown


class _Departure:
    """Maps that the reference rows do not rule out, as departures on the scale of logits.

    Logits of a row depart by ``J theta``; theta is normal about its most likely value, or about 0,
    with the inverse of information and prior as covariance.

    Parameters
    ----------
    known : _Reference
    proba : ndarray of shape (n_samples, n_classes)
    refit : bool
        Whether theta is fitted to the reference rows.
    """

    def __init__(self, known: _Reference, proba: Float64Array, *, refit: bool) -> None:
        self.known, self.n_classes = known, proba.shape[1]
        self.logits = _logits(proba, known.proba)
        self.at = _logits(known.proba, known.proba)
        self.knots = np.unique(np.quantile(_axis(self.at), np.linspace(0.0, 1.0, N_KNOTS)))
        self.basis, self.basis_at = self._basis(self.logits), self._basis(self.at)
        n_lines = 2 if self.n_classes == 2 else self.n_classes + 1
        n_unknowns = self.basis.shape[1] + (self.n_classes if self.n_classes > 2 else 0)
        self.precision = np.full(n_unknowns, KNOT_PRECISION)
        self.precision[:n_lines] = LINE_PRECISION
        self.theta = np.zeros(n_unknowns)
        if refit:
            self.theta = minimize(self._objective, self.theta[None]).x[0]
        _, self.score, self.information = self._terms(self.theta)

    def _basis(self, z: Float64Array) -> Float64Array:
        """Return what multiplies the unknowns: of two classes (1, u, hats of u), else (1, hats)."""
        axis = _axis(z)
        inside = np.clip(axis, self.knots[0], self.knots[-1])
        hats = np.stack(
            [np.interp(inside, self.knots, row) for row in np.eye(len(self.knots))], axis=1
        )
        if self.n_classes == 2:
            return np.column_stack([np.ones(len(z)), axis, hats])
        return np.column_stack([np.ones(len(z)), hats])

    def _moved(self, z: Float64Array, basis: Float64Array, theta: Float64Array) -> Float64Array:
        """Return probabilities after departures (n_draws, n_unknowns)."""
        if self.n_classes == 2:
            return np.asarray(expit(z[:, 0] + theta @ basis.T)[:, :, None])
        tempered = 1.0 + theta[:, self.n_classes :] @ basis.T
        return np.asarray(
            softmax(tempered[:, :, None] * z + theta[:, None, : self.n_classes], axis=2)
        )

    def _terms(self, theta: Float64Array) -> tuple[float, Float64Array, Float64Array]:
        """Return log likelihood, its gradient and information over the reference rows."""
        q = self._moved(self.at, self.basis_at, theta[None])[0]
        weight, basis, codes = self.known.weight, self.basis_at, self.known.codes
        if self.n_classes == 2:
            residual, spread = codes - q[:, 0], weight * q[:, 0] * (1.0 - q[:, 0])
            eta = self.at[:, 0] + basis @ theta
            likelihood = weight @ log_expit(np.where(codes == 1, eta, -eta))
            return (
                float(likelihood),
                basis.T @ (weight * residual),
                basis.T @ (spread[:, None] * basis),
            )
        k, index = self.n_classes, np.arange(len(codes))
        residual = -q
        residual[index, codes] += 1.0
        z = self.at
        mean = np.einsum("ik,ik->i", q, z)
        beside = weight[:, None] * q * (z - mean[:, None])
        likelihood = weight @ np.log(np.maximum(q[index, codes], PROBA_FLOOR))
        gradient = np.concatenate(
            [weight @ residual, basis.T @ (weight * np.einsum("ik,ik->i", residual, z))]
        )
        information = np.empty((len(gradient), len(gradient)))
        information[:k, :k] = np.diag(weight @ q) - (weight[:, None] * q).T @ q
        information[k:, :k] = basis.T @ beside
        information[:k, k:] = information[k:, :k].T
        information[k:, k:] = basis.T @ (np.einsum("ik,ik->i", beside, z)[:, None] * basis)
        return float(likelihood), gradient, information

    def _objective(self, theta: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        size = self.known.weight.sum()
        likelihood, gradient, information = self._terms(theta[0])
        value = 0.5 * float(self.precision @ theta[0] ** 2) - likelihood
        slope = self.precision * theta[0] - gradient
        return (
            np.array([value / size]),
            slope[None] / size,
            (information + np.diag(self.precision))[None] / size,
        )

    def centre(self) -> Float64Array:
        """Return the probabilities of the fitted map, of all classes."""
        q = self._moved(self.logits, self.basis, self.theta[None])[0]
        return np.concatenate([1.0 - q, q], axis=1) if self.n_classes == 2 else q

    def draws(self, n_resamples: int, rng: np.random.Generator) -> Draws:
        """Yield probabilities of maps that may be true, in blocks of replicates."""
        value, vector = np.linalg.eigh(self.information + np.diag(self.precision))
        root = vector / np.sqrt(np.maximum(value, self.precision.min()))
        theta = self.theta + rng.standard_normal((n_resamples, len(value))) @ root.T
        for block in row_blocks(n_resamples, self.logits.size):
            yield block, self._moved(self.logits, self.basis, theta[block])


def _logits(proba: Float64Array, reference: Float64Array) -> Float64Array:
    """Return the log-odds of the second of two classes, or centred logarithms of probabilities.

    What is exactly 0 counts as half a case among the reference rows where it is.
    """
    none = 0.5 / (1.0 + (reference <= PROBA_FLOOR).sum(axis=0))
    p = np.where(proba <= PROBA_FLOOR, none, np.maximum(proba, LEAST))
    logs = np.log(p)
    if proba.shape[1] == 2:
        return logs[:, 1:] - logs[:, :1]
    return np.asarray(log_softmax(logs, axis=1))


def _axis(z: Float64Array) -> Float64Array:
    """Return what a departure depends on: the log-odds, or those of the largest probability."""
    if z.shape[1] == 1:
        return z[:, 0]
    top = z.max(axis=1)
    return np.asarray(top - np.log(np.maximum(-np.expm1(top), LEAST)))


def _warn_if_contradicted(departure: _Departure) -> None:
    """Warn where the reference rows show intercepts or a slope that are far from none."""
    lines = slice(0, 2) if departure.n_classes == 2 else slice(0, departure.n_classes + 1)
    score, information = departure.score[lines], departure.information[lines, lines]
    statistic = float(score @ np.linalg.lstsq(information, score, rcond=1e-10)[0])
    degrees = 2 if departure.n_classes == 2 else departure.n_classes
    p_value = float(chi2.sf(statistic, degrees))
    if p_value < CONTRADICTION:
        warn(
            f"y_prob is not calibrated on the reference rows (p = {p_value:.1g}), so that "
            f"estimates are as far off as it is; calibrate it first, for instance with "
            f"calib.make_calibrator('auto'), and pass calibrated probabilities in both places",
            UnlabelledEstimateWarning,
        )


# --------------------------------------------------------------------------------- what is measured


class _Measured:
    """Metrics of predictions as functions of labels or of their probabilities.

    Parameters
    ----------
    names : tuple of str
    proba : ndarray of shape (n_samples, n_classes)
        As reported.
    decided : ndarray of shape (n_samples,)
    costs : ndarray of shape (n_classes, n_classes) or None
    score : ndarray of shape (n_samples,) or None
    """

    def __init__(
        self,
        names: tuple[str, ...],
        proba: Float64Array,
        decided: IntArray,
        costs: Float64Array | None,
        score: Float64Array | None,
    ) -> None:
        self.names = (*names, "cost") if costs is not None else names
        self.n_samples, self.n_classes = proba.shape
        tables: dict[str, Callable[[], Float64Array]] = {
            "accuracy": lambda: (decided[:, None] == np.arange(self.n_classes)).astype(float),
            "brier_score": lambda: _squares(proba),
            "log_loss": lambda: -np.log(np.maximum(proba, PROBA_FLOOR)),
        }
        if costs is not None:
            tables["cost"] = lambda: costs.T[decided]
        #: Loss of every row for every true class.
        self.losses = {name: tables[name]() for name in self.names if name in tables}
        self.positive = (decided == 1).astype(float)
        order = proba[:, 1] if score is None else score
        self.rank = rankdata(order) if "roc_auc" in names else np.zeros(self.n_samples)

    def expected(self, q: Float64Array) -> Mapping[str, float]:
        """Return the metrics of expected counts, losses and pairs."""
        out = {
            name: float(np.einsum("ik,ik->", q, table)) / self.n_samples
            for name, table in self.losses.items()
        }
        if "f1" in self.names:
            hits = float(q[:, 1] @ self.positive)
            out["f1"] = float(_f1(np.array(hits), float(q[:, 1].sum()), self.positive.sum()))
        if "roc_auc" in self.names:
            out["roc_auc"] = _expected_auroc(q[:, 1], self.rank)
        return {name: out[name] for name in self.names}

    def drawn(
        self, draws: Draws, n_resamples: int, rng: np.random.Generator
    ) -> Mapping[str, Float64Array]:
        """Return the metrics of labels drawn from probabilities."""
        sums = self._sums_of_two() if self.n_classes == 2 else self._sums_of_many()
        totals = np.empty((n_resamples, len(self.losses) + (3 if self.n_classes == 2 else 0)))
        for block, q in draws:
            uniform = rng.random((block.stop - block.start, self.n_samples))
            if self.n_classes == 2:
                codes = uniform < q[:, :, 0]
            elif len(q) == 1:
                codes = draw_labels(q[0], uniform)
            else:
                codes = np.concatenate(
                    [draw_labels(p, u[None]) for p, u in zip(q, uniform, strict=True)]
                )
            totals[block] = sums(codes)
        out = {name: totals[:, j] / self.n_samples for j, name in enumerate(self.losses)}
        if self.n_classes == 2:
            events, hits, ranks = totals[:, len(self.losses) :].T
            out["f1"] = _f1(hits, events, self.positive.sum())
            pairs = events * (self.n_samples - events)
            above = ranks - events * (events + 1) / 2
            out["roc_auc"] = np.divide(
                above, pairs, out=np.full(n_resamples, np.nan), where=pairs > 0
            )
        return {name: out[name] for name in self.names}

    def _sums_of_two(self) -> Sums:
        """Return total losses, events, hits and ranks of events, of labels of two classes."""
        tables = list(self.losses.values())
        of_none = np.array([*(table[:, 0].sum() for table in tables), 0.0, 0.0, 0.0])
        of_event = np.column_stack(
            [
                *(table[:, 1] - table[:, 0] for table in tables),
                np.ones(self.n_samples),
                self.positive,
                self.rank,
            ]
        )
        return lambda codes: codes.astype(np.float64) @ of_event + of_none

    def _sums_of_many(self) -> Sums:
        """Return total losses of labels of more classes."""
        stacked = np.stack(list(self.losses.values()), axis=2)
        rows = np.arange(self.n_samples)
        return lambda codes: np.stack([stacked[rows, row].sum(axis=0) for row in codes])


def _squares(proba: Float64Array) -> Float64Array:
    """Return the Brier score of every row for every class: of two classes the half, as usual."""
    total = np.einsum("ik,ik->i", proba, proba)[:, None] + 1.0 - 2.0 * proba
    return np.asarray(0.5 * total if proba.shape[1] == 2 else total)


def _f1(hits: Float64Array, events: Float64Array | float, decided: float) -> Float64Array:
    """Return F1 from true positives, positives and decisions for them; 0 where there are none."""
    either = np.asarray(events + decided, dtype=np.float64)
    return np.divide(2.0 * hits, either, out=np.zeros_like(either), where=either > 0)


def _expected_auroc(p: Float64Array, rank: Float64Array) -> float:
    """Return the expected share of pairs of different rows in the right order."""
    _, place = np.unique(rank, return_inverse=True)
    events, others = np.bincount(place, p), np.bincount(place, 1.0 - p)
    itself = float(p @ (1.0 - p))  # a row is no pair
    ordered = float(events @ (np.cumsum(others) - 0.5 * others)) - 0.5 * itself
    pairs = float(p.sum()) * float((1.0 - p).sum()) - itself
    return ordered / pairs if pairs > 1e-12 * len(p) else float("nan")


def _interval(value: float, replicates: Float64Array, confidence_level: float) -> Interval:
    """Return central quantiles of the draws, stretched to hold the value."""
    defined = replicates[~np.isnan(replicates)]
    if len(defined) < 2 or np.isnan(value):
        defined, value = np.full(2, np.nan), float("nan")
    tail = (1.0 - confidence_level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return summarized(value, min(low, value), max(high, value), confidence_level, defined)
