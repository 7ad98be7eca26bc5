"""Which segments of a table a model is wrong for, with one error rate for the whole question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from calib._border.checks import check_fraction, check_integer, check_option
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.predictions import check_predictions
from calib.evaluation.sampling.draws import group_codes
from calib.evaluation.segments.levels import Partitions, partitions_of
from calib.evaluation.segments.results import Reason, SegmentReport, SegmentResult, State
from calib.evaluation.segments.statistics import Segments, holm, segments_of
from calib.evaluation.views.views import natural_view, pairs as view_pairs


def segment_report(
    y_true: ArrayLike,
    y_prob: ArrayLike | Mapping[str, ArrayLike],
    by: ArrayLike,
    *,
    pairs: Any = False,
    max_levels: int = 30,
    n_bins: int = 10,
    min_size: int = 50,
    tolerance: float = 0.02,
    confidence_level: float = 0.95,
    sample_weight: ArrayLike = None,
    groups: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> SegmentReport:
    """Say which segments of the samples probabilities are wrong for, beyond chance.

    A model that is right on average may be wrong for a group. Every level and range of every
    column is a segment; all of them share one error rate, and "nothing found" is told apart from
    "too few rows to find anything".

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes), or dict
        Probabilities in [0, 1]; a dict of such arrays compares models. Of two classes the event is
        the second, of more that the top label is right.
    by : table, dict of str to arrays, or array-like of shape (n_samples,) or (n_samples, n_columns)
        Columns that make segments. Of texts, truth values, categories and whole numbers with at
        most `max_levels` values, every level is one; other numbers make `n_bins` ranges of equal
        size. None and nan are a level of their own.
    pairs : bool or list of (str, str), default=False
        Whether products of two columns are segments as well: all, or those named.
    max_levels : int >= 2, default=30
        Levels that are told apart; the rarest beyond count as one.
    n_bins : int >= 2, default=10
        Ranges of a column of numbers.
    min_size : int >= 2, default=50
        Fewest rows of a segment that is judged; its events must also have a variance of 5. The
        others are counted in the text.
    tolerance : float in (0, 1), default=0.02
        Gap that does not matter: a segment is fine if its interval lies inside.
    confidence_level : float in (0, 1), default=0.95
        For all judged segments of all models together: no calibrated set of models has any segment
        called off in more than ``1 - confidence_level`` of samples.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    groups : array-like of shape (n_samples,), default=None
        Unit (person, image) of every sample; its rows may depend on each other. Segments with
        fewer than 20 units are not judged.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; see `calibration_report`.
    pos_label : int, float, bool or str, default=None
        Class of a single column, and the event of two; None means the second.

    Returns
    -------
    report : SegmentReport
        Prints the verdict and the worst segments; ``to_frame()`` has all.

    Raises
    ------
    ValueError
        If `by` has another length, no columns, infinite numbers or two columns of one name; if
        `pairs` names no column; if an option is out of its range; and as `calibration_report`.

    See Also
    --------
    calibration_report : takes `by`, too.
    multicalibration_error : one number for all segments.
    calib.MulticalibrationCalibrator : repairs what is found.

    Notes
    -----
    With r = y - p: the *gap* is the mean of r. Its p-value is the exact law of the number of
    events, by a saddlepoint (Lugannani and Rice) beyond two standard deviations. The *shape* is the
    range of the running sum of r in the order of p, ties taken together, in standard deviations,
    against the range of Brownian motion. A segment's p-value is twice the smaller of both; Holm's
    procedure runs over all judged segments. The interval of the gap is that of the likelihood of
    a shift of the log-odds, at a level shared by all segments (Bonferroni), and wider by the seen
    over the promised noise where predictions are too extreme. Nothing is drawn.

    With weights the tail is normal with variance ``sum w^2 p (1 - p)``. With groups the variance is
    the sum over units of the squared sum of residuals, and the tail that of Student's t.

    A false alarm among all segments of census data was seen in 1 to 4 % of calibrated samples of
    500 to 35,000 rows, with and without pairs (``benchmarks/groups.py``); 100 rows show a gap of
    10 points in 7 % of samples, 1,000 rows in all.

    References
    ----------
    .. [1] I. Guy, D. Haimovich, F. Linder and others. Measuring multi-calibration. 2025.
       arXiv:2506.11251
    .. [2] I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu. Metrics of calibration for
       probabilistic predictions. JMLR 23, 2022. arXiv:2205.09680
    .. [3] R. Lugannani, S. Rice. Saddle point approximation for the distribution of the sum of
       independent random variables. Advances in Applied Probability 12, 1980. doi:10.2307/1426607
    .. [4] S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of
       Statistics 6, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import segment_report
    >>> rng = np.random.default_rng(0)
    >>> p, sex = rng.uniform(0.1, 0.9, 4000), rng.choice(["f", "m"], 4000)
    >>> y = (rng.random(4000) < p - 0.1 * (sex == "f")).astype(int)
    >>> report = segment_report(y, p, {"sex": sex})
    >>> report.n_off, report.worst(1)[0].segment
    (1, 'sex = f')
    """
    given = dict(y_prob) if isinstance(y_prob, Mapping) else {"model": y_prob}
    if not given:
        raise ValueError("y_prob is an empty dict; pass at least one array of probabilities")
    models: dict[str, tuple[Float64Array, Float64Array]] = {}
    kept: Any = slice(None)
    for name, array in given.items():
        codes, proba, weight, classes = check_predictions(
            y_true, array, labels=labels, pos_label=pos_label, sample_weight=sample_weight
        )
        view = natural_view(len(classes))
        prediction, event = view_pairs(proba, codes, view)
        models[str(name)] = (event.astype(np.float64), prediction.astype(np.float64))
    partitions = partitions_of(by, len(codes), pairs=pairs, max_levels=max_levels, n_bins=n_bins)
    units = None if groups is None else group_codes(groups, len(codes))
    if weight is not None and not weight.all():
        kept = weight > 0
        weight, partitions = weight[kept], partitions.kept(kept)
        units = None if units is None else np.unique(units[kept], return_inverse=True)[1]
    return judged_segments(
        {name: (event[kept], p[kept]) for name, (event, p) in models.items()},
        partitions,
        weight,
        units,
        event=event_text(view, classes),
        min_size=min_size,
        tolerance=tolerance,
        confidence_level=confidence_level,
    )


def event_text(view: str, classes: LabelArray) -> str:
    """Return in words what the probabilities are of."""
    return f"the label is {classes[1]}" if view == "binary" else "the top label is right"


def judged_segments(
    models: Mapping[str, tuple[Float64Array, Float64Array]],
    partitions: Partitions,
    weight: Float64Array | None,
    groups: IntArray | None,
    *,
    event: str,
    min_size: int = 50,
    tolerance: float = 0.02,
    confidence_level: float = 0.95,
) -> SegmentReport:
    """Judge all segments of all models together; what reports share.

    Parameters
    ----------
    models : dict of str to (ndarray, ndarray)
        Events and their probabilities, each of shape (n_samples,).
    partitions : Partitions
    weight : ndarray of shape (n_samples,) or None
    groups : ndarray of int of shape (n_samples,) or None
    event : str
        What the event is.
    min_size, tolerance, confidence_level
        See `segment_report`.
    """
    check_integer("min_size", min_size, low=2)
    check_fraction("tolerance", tolerance)
    alpha = 1.0 - check_fraction("confidence_level", confidence_level)
    found = {
        name: segments_of(partitions.parts, y, np.clip(p, 0.0, 1.0), weight, groups, min_size)
        for name, (y, p) in models.items()
    }
    n_judged = sum(int(segments.judged.sum()) for segments in found.values())
    adjusted = holm(np.concatenate([s.p_value[s.judged] for s in found.values()]))
    names = [name for part in partitions.parts for name in part.names]
    rows: list[SegmentResult] = []
    for model, segments in found.items():
        own = int(segments.judged.sum())
        rows += _rows(model, names, segments, adjusted[:own], alpha, n_judged, tolerance)
        adjusted = adjusted[own:]
    rows.sort(key=_place)
    n_samples = len(next(iter(models.values()))[0])
    return SegmentReport(
        tuple(rows),
        tuple(models),
        n_samples,
        event,
        tolerance,
        confidence_level,
        min_size,
        tuple(partitions.remarks),
    )


def _rows(
    model: str,
    names: list[str],
    segments: Segments,
    adjusted: Float64Array,
    alpha: float,
    n_judged: int,
    tolerance: float,
) -> list[SegmentResult]:
    low, high = segments.interval(alpha / max(n_judged, 1))
    all_adjusted = np.full(len(names), np.nan)
    all_adjusted[np.flatnonzero(segments.judged)] = adjusted
    p_value = segments.p_value
    rows = []
    for place, name in enumerate(names):
        if not segments.n[place]:
            continue
        reason: Reason = ""
        state: State = "not judged"
        if segments.judged[place]:
            away = low[place] > 0 or high[place] < 0
            louder = segments.p_gap[place] <= segments.p_shape[place]
            reason = "gap" if away or louder else "shape"
            inside = low[place] >= -tolerance and high[place] <= tolerance
            off = all_adjusted[place] <= alpha
            state = "off" if off else "fine" if inside else "undecided"
        rows.append(
            SegmentResult(
                model=model,
                segment=name,
                n=int(segments.n[place]),
                predicted=float(segments.predicted[place]),
                observed=float(segments.observed[place]),
                low=float(low[place]),
                high=float(high[place]),
                z=float(segments.z[place]),
                sigma=float(segments.sigma[place]),
                p=float(p_value[place]),
                adjusted_p=float(all_adjusted[place]),
                reason=reason,
                state=state,
            )
        )
    return rows


def _place(row: SegmentResult) -> tuple[bool, float, float, str, str]:
    judged = row.state != "not judged"
    return (
        not judged,
        row.adjusted_p if judged else 0.0,
        -abs(row.gap),
        row.segment,
        row.model,
    )


def multicalibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    by: ArrayLike,
    *,
    pairs: Any = False,
    scale: Literal["sigma", "absolute"] = "sigma",
    max_levels: int = 30,
    n_bins: int = 10,
    min_size: int = 50,
    sample_weight: ArrayLike = None,
    groups: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> float:
    """Return the largest calibration error of all segments.

    The calibration error of a segment is the range of the running sum of ``y - p`` in the order of
    p, which is 0 only if no range of predictions is off.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities of one model.
    by : table, dict of str to arrays, or array-like of shape (n_samples,) or (n_samples, n_columns)
        Columns that make segments; see `segment_report`.
    pairs : bool or list of (str, str), default=False
        Whether products of two columns are segments as well: all, or those named.
    scale : {"sigma", "absolute"}, default="sigma"
        In standard deviations of a calibrated segment, which compares segments of any size; or over
        the weight of the segment, in [0, 1].
    max_levels : int >= 2, default=30
        Levels that are told apart; the rarest beyond count as one.
    n_bins : int >= 2, default=10
        Ranges of a column of numbers.
    min_size : int >= 2, default=50
        Fewest rows of a segment that counts.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    groups : array-like of shape (n_samples,), default=None
        Unit of every sample; its rows may depend on each other.
    labels : array-like of shape (n_classes,), default=None
        Class of every column; see `calibration_report`.
    pos_label : int, float, bool or str, default=None
        Class of a single column, and the event of two; None means the second.

    Returns
    -------
    error : float
        >= 0. Even a calibrated model shows 3 to 4 sigma over a hundred segments: use
        `segment_report` to tell errors from chance.

    Raises
    ------
    ValueError
        If no segment has `min_size` rows, or for input that `segment_report` refuses.

    References
    ----------
    I. Guy, D. Haimovich, F. Linder and others. Measuring multi-calibration. 2025. arXiv:2506.11251

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import multicalibration_error
    >>> rng = np.random.default_rng(0)
    >>> p, sex = rng.uniform(0.1, 0.9, 4000), rng.choice(["f", "m"], 4000)
    >>> y = (rng.random(4000) < p - 0.1 * (sex == "f")).astype(int)
    >>> round(multicalibration_error(y, p, {"sex": sex}), 1)
    10.3
    """
    check_option("scale", scale, ("sigma", "absolute"))
    if isinstance(y_prob, Mapping):
        raise ValueError("y_prob must be the probabilities of one model; got a dict")
    check_integer("min_size", min_size, low=2)
    codes, proba, weight, classes = check_predictions(
        y_true, y_prob, labels=labels, pos_label=pos_label, sample_weight=sample_weight
    )
    prediction, event = view_pairs(proba, codes, natural_view(len(classes)))
    partitions = partitions_of(by, len(codes), pairs=pairs, max_levels=max_levels, n_bins=n_bins)
    units = None if groups is None else group_codes(groups, len(codes))
    segments = segments_of(
        partitions.parts,
        event.astype(np.float64),
        np.clip(prediction.astype(np.float64), 0.0, 1.0),
        weight,
        units,
        min_size,
    )
    if not segments.judged.any():
        raise ValueError(
            f"no segment of by has {min_size} rows and events enough to be judged; pass more rows, "
            f"fewer columns, or a smaller min_size"
        )
    sigma = segments.sigma[segments.judged]
    if scale == "sigma":
        return float(sigma.max())
    width = sigma * np.sqrt(segments.variance[segments.judged])
    return float((width / segments.mass[segments.judged]).max())
