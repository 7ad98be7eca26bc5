"""Sampling error of any metric: its confidence interval, and what a calibrated model shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_fraction, check_integer, check_option
from calib._border.labels import check_same_length, check_vector, check_weight
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import (
    ArrayLike,
    Float64Array,
    FloatArray,
    IntArray,
    LabelArray,
    RandomState,
)
from calib._core.binning import check_edges
from calib._core.predictions import check_predictions, in_class_order
from calib.evaluation.report import further_measures, measures as core
from calib.evaluation.report.comparison import difference
from calib.evaluation.report.measure_results import measure_results
from calib.evaluation.report.records import MeasureResult
from calib.evaluation.sampling.draws import draw_labels, group_codes, members
from calib.evaluation.sampling.group_redraws import GroupRedraws, LabelRedraws, group_correlation
from calib.evaluation.sampling.intervals import (
    Interval,
    centred_interval,
    double_interval,
    summarized,
)
from calib.evaluation.views import views
from calib.evaluation.views.recognition import MeasureCall, noted_calls

Metric: TypeAlias = Callable[..., float]
#: Indices that may be drawn at once (32 MB).
BATCH_INDICES = 1 << 22
#: Functions whose name differs from that of the measure in a report.
_NAMES = {"brier_score": "brier"}
#: Arguments that do not change what is measured.
_DATA = ("y_true", "y_prob", "sample_weight", "labels", "n_bins", "bins", "average", "pos_label")


def metric_interval(
    metric: Metric,
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    groups: ArrayLike = None,
    sample_weight: ArrayLike = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    method: Literal["auto", "double", "percentile", "basic", "BCa"] = "auto",
    random_state: RandomState = None,
) -> Interval:
    """Compute a confidence interval of any metric, the one of the report for its measures.

    Samples, or whole groups of them, are drawn with replacement. Pass `groups` whenever samples are
    not independent: detections of one image, answers to one question, visits of one patient.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_prob) -> float``; called with ``sample_weight=...`` too if weights are
        given. Bind further arguments with `functools.partial`; bind ``labels`` for metrics of this
        package unless labels are integers in 0..n_classes - 1, because a draw may miss a class.
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,) or (n_samples, n_columns)
        Whatever the metric takes; rows are resampled as they are.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample. None resamples single samples.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights that travel with their samples.
    confidence_level : float in (0, 1), default=0.95
        Nominal coverage.
    n_resamples : int >= 2, default=1000
        Number of draws; twice as many calls of `metric` for ``"double"``.
    method : {"auto", "double", "percentile", "basic", "BCa"}, default="auto"
        ``"auto"`` builds for the measures of a report, also inside a lambda or `functools.partial`,
        the interval that `calibration_report` shows: of a calibration error by inversion, of a mean
        of losses from its moments. For other metrics it is ``"double"``, which subtracts the bias
        that the draws show and draws from every draw once more, to see how uncertain that
        correction is. ``"percentile"`` takes the draws as they are and doubles a bias; ``"basic"``
        reflects them about the value; ``"BCa"`` corrects bias and skewness at the cost of one more
        call per sample or group.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    interval : Interval
        Value, interval and summary of the draws.

    Raises
    ------
    ValueError
        If lengths differ, fewer than two samples or groups are given, or an option is unknown.

    See Also
    --------
    consistency_interval : What a calibrated model would show.

    Notes
    -----
    Assumes that samples (groups) are independent and alike.

    *Calibration errors.* Chance alone keeps them above 0, so the interval is about what is left
    without it: `Interval.value`; the metric itself is `Interval.usual`, beside the `floor` of a
    calibrated model. Gaps of t times the estimated size, plus the noise of the draws, show a mean
    error M(t) and quantiles L(t) and H(t). The value is the true error at which M equals the
    observed error, 0 if that is not above the floor; the lower end that at which H does, the upper
    end that at which L does, or equals the floor for an error below it. For the Kolmogorov-Smirnov
    error, a truth above the estimate adds to the estimated sums what noise at their peak carries
    along, instead of multiplying them. Other errors without bins take the floor in quadrature.

    In simulations at n = 200, 1,000 and 5,000 mostly 92 to 98 % of the intervals held the
    expected, adaptive and Kolmogorov-Smirnov errors of clearly miscalibrated models at a nominal
    95 %. Known misses: an expected error that sits in a few bins, with jumps to bins without any
    (89 % at n = 1,000, the lower end too high), and an adaptive error below its floor (88 % for
    ten classes at n = 200). A Kolmogorov-Smirnov error below twice its floor is held too often,
    in up to 99 %.

    *Means.* Log loss, Brier score and accuracy: the t interval corrected for skewness, for
    accuracy Wilson's.

    *Others.* With value v, draws v* and second draws v** (one from each v*), ``"double"`` is ``2 v
    - mean(v*) +- z sqrt(var(v*) - 2 cov(v*, v** - v*))``; its ends may pass the bounds of the
    metric, which are not known. A bias that the draws show beyond their own noise is taken off the
    value too, so that value and interval have one centre. The other methods call
    `scipy.stats.bootstrap`.

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall 1993.
    .. [2] J. Chang, P. Hall. Double-bootstrap methods that use a single double-bootstrap
       simulation. Biometrika 102(1), 2015, 203-214.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import metric_interval
    >>> p = np.linspace(0.01, 0.99, 200)
    >>> y = (np.arange(200) * 0.618 % 1 < p).astype(int)
    >>> interval = metric_interval(lambda y, p: np.mean((y - p) ** 2), y, p, random_state=0)
    >>> print(f"{interval.value:.2f}, {interval.low:.2f} to {interval.high:.2f}")
    0.17, 0.14 to 0.20
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    check_option("method", method, ("auto", "double", "percentile", "basic", "BCa"))
    y = check_vector(y_true, "y_true")
    p = in_class_order(y_prob, y, "y_prob")
    check_same_length(len(p), len(y), "y_prob", "y_true")
    weight = check_weight(sample_weight, len(y))
    units_of = None if groups is None else members(groups, len(y))
    n_units = len(y) if units_of is None else len(units_of)
    if n_units < 2:
        unit = "samples" if units_of is None else "groups"
        raise ValueError(f"a bootstrap needs at least 2 {unit}; got {n_units}")

    value_of, everything = _evaluated(metric, y, p, weight, units_of)
    units = everything
    rng = generator(random_state)
    if method == "auto":
        with noted_calls() as calls:
            value = value_of(units)
        known = known_measure(calls, y, p, value)
        if known is not None:
            codes = None if groups is None else group_codes(groups, len(y))
            return measure_interval(known, codes, confidence_level, n_resamples, rng)
        return centred_interval(value, value_of, n_units, n_resamples, confidence_level, rng)
    if method == "double":
        value = value_of(units)
        return double_interval(value, value_of, n_units, n_resamples, confidence_level, rng)
    from scipy.stats import bootstrap

    result = bootstrap(
        (units,),
        value_of,
        n_resamples=n_resamples,
        batch=max(1, min(n_resamples, BATCH_INDICES // n_units)),
        vectorized=False,
        confidence_level=confidence_level,
        method=method,
        random_state=rng,
    )
    ends = result.confidence_interval
    return summarized(
        value_of(units), ends.low, ends.high, confidence_level, result.bootstrap_distribution
    )


def metric_difference(
    metric: Metric,
    y_true: ArrayLike,
    y_prob: ArrayLike,
    base_prob: ArrayLike,
    *,
    groups: ArrayLike = None,
    sample_weight: ArrayLike = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = None,
) -> Interval:
    """Compute a metric of one model minus that of another on the same samples, with an interval.

    Both models see the same draws, so that what is hard for both cancels: the interval is narrower
    than two intervals beside each other suggest.

    Parameters
    ----------
    metric : callable
        As for `metric_interval`.
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob, base_prob : array-like of shape (n_samples,) or (n_samples, n_columns)
        Probabilities of the model, and of the one that it is compared with.
    groups, sample_weight : array-like of shape (n_samples,), default=None
        As for `metric_interval`.
    confidence_level : float in (0, 1), default=0.95
        As for `metric_interval`.
    n_resamples : int >= 2, default=1000
        As for `metric_interval`.
    random_state : int, RandomState, Generator or None, default=None
        As for `metric_interval`.

    Returns
    -------
    interval : Interval
        The measures of a report give what `CalibrationReport.compare` gives: the number of a
        calibration error is the difference of what is left without the part of chance, ``usual``
        that of the usual values. Of other metrics the bias that the draws show is taken off.

    Raises
    ------
    ValueError
        As for `metric_interval`.

    See Also
    --------
    metric_interval : The interval of one model.
    calibration_report : All measures of several models.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.metrics import log_loss
    >>> from calib.evaluation import metric_difference
    >>> p = np.linspace(0.01, 0.99, 400)
    >>> y = (np.arange(400) * 0.618 % 1 < p).astype(int)
    >>> sharpened = p**3 / (p**3 + (1 - p) ** 3)
    >>> difference = metric_difference(log_loss, y, p, sharpened, random_state=0)
    >>> bool(difference.high < 0)
    True
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    y = check_vector(y_true, "y_true")
    pair = []
    for label, scores in (("y_prob", y_prob), ("base_prob", base_prob)):
        pair.append(in_class_order(scores, y, label))
        check_same_length(len(pair[-1]), len(y), label, "y_true")
    weight = check_weight(sample_weight, len(y))
    units_of = None if groups is None else members(groups, len(y))
    evaluated = [_evaluated(metric, y, p, weight, units_of) for p in pair]
    everything = evaluated[0][1]
    if len(everything) < 2:
        unit = "samples" if units_of is None else "groups"
        raise ValueError(f"a bootstrap needs at least 2 {unit}; got {len(everything)}")
    rng = generator(random_state)
    values, known = [], []
    for p, (value_of, all_units) in zip(pair, evaluated, strict=True):
        with noted_calls() as calls:
            values.append(value_of(all_units))
        known.append(known_measure(calls, y, p, values[-1]))
    codes = None if groups is None else group_codes(groups, len(y))
    if known[0] is not None and known[1] is not None:
        models = {"model": known[0], "base": known[1]}
        results, draws, info = _measured(models, codes, confidence_level, n_resamples, rng)
        return difference(results["model"], results["base"], draws["model"], draws["base"], info)

    def apart(units: IntArray) -> float:
        return evaluated[0][0](units) - evaluated[1][0](units)

    return centred_interval(
        values[0] - values[1], apart, len(everything), n_resamples, confidence_level, rng
    )


def _evaluated(
    metric: Metric,
    y: LabelArray,
    p: FloatArray,
    weight: Float64Array | None,
    units_of: list[IntArray] | None,
) -> tuple[Callable[[IntArray], float], IntArray]:
    """Return the metric as a function of drawn units, and all units."""
    everything = np.arange(len(y) if units_of is None else len(units_of))

    def value_of(units: IntArray) -> float:
        if units is everything:  # the very arrays, by which a measure is recognised
            labels, scores, mass = y, p, weight
        else:
            rows = units if units_of is None else np.concatenate([units_of[u] for u in units])
            labels, scores = y[rows], p[rows]
            mass = None if weight is None else weight[rows]
        if mass is None:
            return float(metric(labels, scores))
        return float(metric(labels, scores, sample_weight=mass))

    return value_of, everything


def consistency_interval(
    metric: Metric,
    y_prob: ArrayLike,
    *,
    y_true: ArrayLike = None,
    groups: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    sample_weight: ArrayLike = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = None,
) -> Interval:
    """Compute what a metric would show if the probabilities were exactly right.

    Labels are redrawn from the predictions themselves, so every replicate is perfectly calibrated;
    what the metric shows then is its floor at this sample size. A calibration error inside this
    interval is no evidence against the model.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_prob) -> float``; called with ``sample_weight=...`` too if weights are
        given.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; handed to the metric as they are.
    y_true : array-like of shape (n_samples,), default=None
        True labels, from which `groups` take how dependent labels are; unused without them.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample (image, patient, question): labels are redrawn as dependent inside
        groups as `y_true`, which is needed then. None redraws every row by itself.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; None means 0..n_classes - 1.
    pos_label : int, float, bool or str, default=None
        Class that a single column belongs to; None means the second.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights for the metric; a row is redrawn once, whatever its weight.
    confidence_level : float in (0, 1), default=0.95
        Share of the replicates between both ends.
    n_resamples : int >= 2, default=1000
        Number of redrawn label vectors, hence of calls of `metric`.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    interval : Interval
        ``value`` and ``mean`` are the mean of the replicates, ``low`` and ``high`` their central
        quantiles.

    Raises
    ------
    ValueError
        If `y_prob` holds no probabilities, labels do not match its columns, or an option is out of
        range.

    See Also
    --------
    metric_interval : Sampling error of the observed value.

    Notes
    -----
    Assumes independent samples (groups); groups are redrawn with the latent correlation that gives
    the observed products of residuals inside groups, every label with its own probability. For a
    proper score the result is not a floor but the expected score if the model were right about its
    own uncertainty: a calibrated model's log loss equals the mean entropy of its predictions.

    References
    ----------
    .. [1] J. Bröcker, L. A. Smith. Increasing the Reliability of Reliability Diagrams. Weather and
       Forecasting 22, 2007. doi:10.1175/WAF993.1

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import consistency_interval, expected_calibration_error
    >>> p = np.linspace(0.01, 0.99, 500)
    >>> ece = lambda y, p: expected_calibration_error(y, p, average="binary")
    >>> floor = consistency_interval(ece, p, n_resamples=200, random_state=0)
    >>> print(f"{floor.mean:.2f}, up to {floor.high:.2f}")
    0.05, up to 0.08
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    names = None if labels is None else check_vector(labels, "labels")
    if groups is not None and y_true is None:
        raise ValueError(
            "groups needs y_true: how dependent the labels of a group are is taken from them"
        )
    given = in_class_order(y_prob, names, "y_prob", listed=True)
    placeholder = np.zeros(len(given), dtype=np.intp) if names is None else names[[0] * len(given)]
    codes, proba, weight, classes = check_predictions(
        placeholder if groups is None else y_true,
        given,
        labels=names,
        pos_label=pos_label,
        sample_weight=sample_weight,
    )
    rng = generator(random_state)
    redraws = None if groups is None else _redraws(proba, codes, weight, groups, n_resamples, rng)
    extra: dict[str, Any] = {} if weight is None else {"sample_weight": weight}
    values = np.empty(n_resamples)
    codes = np.empty(len(proba), dtype=np.intp)
    for replicate in range(n_resamples):
        for rows in row_blocks(*proba.shape):
            block = np.asarray(proba[rows], dtype=np.float64)
            if redraws is None:
                numbers = rng.random((1, len(block)))
            else:
                one = slice(replicate, replicate + 1)
                numbers = redraws.numbers("", redraws.noise(1, len(block), rng), one, rows)
            codes[rows] = draw_labels(block, numbers)[0]
        values[replicate] = metric(classes[codes], given, **extra)
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return summarized(float(values.mean()), low, high, confidence_level, values)


def _redraws(
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
    groups: ArrayLike,
    n_resamples: int,
    rng: np.random.Generator,
) -> LabelRedraws:
    """Return what draws labels as dependent inside groups as the observed ones."""
    members = group_codes(groups, len(codes))
    columns = views.all_columns(proba)
    confidence, top = views.top_label(columns)
    two = columns.shape[1] == 2
    prediction, event = (columns[:, 1], codes == 1) if two else (confidence, codes == top)
    kept = slice(None) if weight is None else weight > 0
    correlation = group_correlation(
        prediction[kept].astype(np.float64),
        event[kept],
        np.unique(members[kept], return_inverse=True)[1],
        None if weight is None else weight[kept],
    )
    return LabelRedraws(GroupRedraws(members, n_resamples, rng), {"": correlation}, {"": columns})


class KnownMeasure(NamedTuple):
    """A measure of a report, as a caller's metric computes it."""

    key: str
    n_bins: int
    edges: Float64Array | None
    view: views.PairView
    proba: FloatArray
    codes: IntArray
    weight: Float64Array | None
    positive: object


def known_measure(
    calls: list[MeasureCall], y: LabelArray, p: FloatArray, value: float
) -> KnownMeasure | None:
    """Return the measure that a metric has just computed of these very arrays, if it is one.

    Options that a report does not have make it another metric.
    """
    if not calls:
        return None
    name, defaults, arguments, result = calls[-1]
    same = arguments["y_true"] is y and arguments["y_prob"] is p
    if not same or float(getattr(result, "ici", result)) != value:
        return None
    if any(arguments[key] != defaults[key] for key in defaults if key not in _DATA):
        return None
    codes, proba, weight, classes = check_predictions(
        y,
        p,
        labels=arguments["labels"],
        pos_label=arguments.get("pos_label"),
        sample_weight=arguments["sample_weight"],
    )
    average = arguments.get("average", "auto")
    view = views.resolved(average, len(classes))
    key = _NAMES.get(name, name)
    if view == "classwise":
        key = _CLASSWISE.get(name, "")
        if not key:
            return None
        view = views.natural_view(len(classes))
    bins = arguments.get("bins")
    edges = None if bins is None else check_edges(bins)
    return KnownMeasure(
        key, arguments.get("n_bins", 15), edges, view, proba, codes, weight, classes[1]
    )


#: Measures with a name of their own for their class-wise form.
_CLASSWISE = {
    "expected_calibration_error": "classwise_calibration_error",
    "ks_calibration_error": "classwise_ks_calibration_error",
}


def measure_interval(
    known: KnownMeasure,
    groups: IntArray | None,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Interval:
    """Return the interval that a report of this one measure shows."""
    results, _, _ = _measured({"model": known}, groups, confidence_level, n_resamples, rng)
    return results["model"].interval


def _measured(
    known: Mapping[str, KnownMeasure],
    groups: IntArray | None,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[dict[str, MeasureResult], dict[str, Float64Array], core.MeasureInfo]:
    """Return one measure of models on the same samples, its paired draws, and what it is."""
    models = {}
    for name, measure in known.items():
        key, n_bins, edges, view, proba, codes, weight, positive = measure
        kept_groups = groups
        if weight is not None and not weight.all():  # rows without weight are not there
            kept = weight > 0
            codes, proba, weight = codes[kept], proba[kept], weight[kept]
            if groups is not None:
                kept_groups = np.unique(groups[kept], return_inverse=True)[1]
        if len(codes) < 2 or (kept_groups is not None and not kept_groups.any()):
            raise ValueError(
                "a bootstrap needs at least 2 samples or groups of positive weight; got 1"
            )
        models[name] = core.prepare(proba, codes, weight, n_bins, view, edges)
    further = (key,) if key in further_measures.FURTHER else ()
    replicates = further_measures.add_further(
        core.replicate(models, weight, kept_groups, n_resamples, rng),
        models, further, weight, kept_groups, rng,
    )  # fmt: skip
    information = core.describe_measures(n_bins, view, positive)
    information |= further_measures.information(further, n_bins)
    place = list(information).index(key)
    alone = {
        name: draws._replace(
            value=draws.value[[place]],
            bootstrap=draws.bootstrap[:, [place]],
            calibrated=draws.calibrated[:, [place]],
            laws=(draws.laws[place],),
        )
        for name, draws in replicates.items()
    }
    info = information[key]
    results = measure_results(alone, models, {key: info}, weight, kept_groups, confidence_level)
    return (
        {name: result[key] for name, result in results.items()},
        {name: draws.bootstrap[:, 0] for name, draws in alone.items()},
        info,
    )
