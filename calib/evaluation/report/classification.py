"""The calibration report: proper scores and calibration errors, each with its sampling error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calib._border.checks import check_fraction, check_integer, check_option, describe
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, RandomState
from calib._border.warn import warn
from calib._core.binning import check_edges
from calib._core.predictions import check_predictions
from calib._core.suspicion import suspicion
from calib.evaluation.binned.tables import rows_of
from calib.evaluation.display.cumulative import cumulative_calibration_curve
from calib.evaluation.proper.corp import ScoreDecomposition, score_decomposition
from calib.evaluation.proper.losses import Score
from calib.evaluation.report import further_measures, measures as core
from calib.evaluation.report.comparison import N_MEAN_DRAWS, compared
from calib.evaluation.report.figures import informative_table
from calib.evaluation.report.further_measures import MeasureChoice
from calib.evaluation.report.measure_results import LOSSES, measure_results
from calib.evaluation.report.ranking import draws_of_means
from calib.evaluation.report.records import ModelReport
from calib.evaluation.report.results import CalibrationReport
from calib.evaluation.sampling.draws import group_codes
from calib.evaluation.segments.levels import partitions_of
from calib.evaluation.segments.report import event_text, judged_segments
from calib.evaluation.significance.results import CalibrationTests
from calib.evaluation.significance.tests import calibration_tests
from calib.evaluation.views.views import natural_view
from calib.progress import Progress
from calib.warnings import DegenerateScoresWarning

_SCORES: tuple[Score, Score] = ("brier", "log_loss")


def calibration_report(
    y_true: ArrayLike,
    y_prob: ArrayLike | Mapping[str, ArrayLike],
    *,
    labels: ArrayLike = None,
    pos_label: object = None,
    sample_weight: ArrayLike = None,
    groups: ArrayLike = None,
    reference: str | None = None,
    measures: MeasureChoice = "core",
    tests: bool = False,
    by: ArrayLike = None,
    pairs: Any = False,
    tolerance: float = 0.02,
    n_bins: int = 15,
    bins: ArrayLike = None,
    confidence_level: float = 0.95,
    n_resamples: int = 200,
    random_state: RandomState = 0,
    verbose: bool = False,
) -> CalibrationReport:
    """Measure how far probabilities can be trusted, for one model or several side by side.

    Every number comes with a bootstrap interval and with the value that the same model would show
    at this sample size if its probabilities were exactly right. Proper scores come first: they
    reward sharp and honest predictions, while a calibration error alone is 0 for useless ones.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes), or dict
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column means the probability of the
        second of two classes. A dict of such arrays compares models on the same samples.
    labels : array-like of shape (n_classes,), default=None
        Class of every column. Needed only if `y_true` holds fewer classes than there are columns
        and is not made of integers in 0..n_classes - 1.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample; groups are resampled as a whole (images, patients, questions).
    reference : str, default=None
        Model that the others are compared with, such as the uncalibrated one; None means the first.
    measures : {"core", "all"} or list of str, default="core"
        Measures beyond the core ones, which are always there: "all", or names out of
        ``smooth_calibration_error``, ``ks_calibration_error``, ``sweep_calibration_error``,
        ``density_calibration_error``, ``maximum_mean_calibration_error``,
        ``integrated_calibration_index``, ``maximum_calibration_error``,
        ``average_calibration_error``, ``classwise_calibration_error`` and
        ``classwise_ks_calibration_error``. Slower, because each is recomputed on every replicate.
    tests : bool, default=False
        Whether to add `calibration_tests` and `score_decomposition` of every model.
    by : table, dict of str to arrays, or array-like, default=None
        Columns that make segments (sexes, age bands, sites): the report then says for whom the
        probabilities are off, see `segment_report`.
    pairs : bool or list of (str, str), default=False
        Whether products of two columns of `by` are segments as well: all, or those named.
    tolerance : float in (0, 1), default=0.02
        Gap of a segment that does not matter.
    n_bins : int >= 1, default=15
        Number of bins of the calibration errors.
    bins : array-like of shape (n_edges,), default=None
        Own edges of the bins, increasing and covering [0, 1], as the binned errors take them; they
        replace `n_bins`. ACE and tests, whose ranges hold equal mass, take as many ranges.
    confidence_level : float in (0, 1), default=0.95
        Level of the intervals and of the ranges under calibration.
    n_resamples : int >= 2, default=200
        Number of bootstrap draws and of redrawn label vectors. Fewer than
        ``confidence_level / (1 - confidence_level)``, which is 19 at 0.95, cannot show that any
        value is more than chance: there are no stars then, and the report says so.
    random_state : int, RandomState, Generator or None, default=0
        Seed of both; the same draws serve all models.
    verbose : bool, default=False
        Whether to say on the error stream what is being done: on a terminal with tqdm a bar that
        appears after two seconds, elsewhere a line per step.

    Returns
    -------
    report : CalibrationReport
        Prints as a table; ``to_frame()``, ``to_dict()``, ``to_html(path)`` and ``plot()`` give it
        in other forms. ``findings`` are plain sentences, ``differences`` compare every model with
        the first one on the same draws.

    Raises
    ------
    ValueError
        If an argument is empty, not finite, of the wrong shape or length; if `y_prob` holds no
        probabilities; if a label belongs to no column; if models differ in their number of classes;
        if there are fewer than two samples or groups; if `measures` holds an unknown name; if
        `tests` is not a bool; or if `by` or `pairs` is what `segment_report` refuses.

    Warns
    -----
    DegenerateScoresWarning
        If predictions rank against the labels, or fit them far better in another order of the
        columns, beyond noise; and as `calibration_tests`, if `tests` is True.

    See Also
    --------
    expected_calibration_error : One of the numbers alone.
    metric_interval : Bootstrap of any other metric.
    consistency_interval : Value of any other metric under calibration.
    segment_report : The part on segments alone, with further options.

    Notes
    -----
    Measures, in order: log loss (nats; a probability of exactly 0 counts as 1.2e-38, in float16 as
    6e-8, other values are untouched); Brier score, the sum over classes of squared differences in
    [0, 2], which for two classes is twice the binary form; accuracy; ECE with equal-width bins, of
    the second class for two classes and of the top label for more; ACE, class-wise with equal mass;
    and the two signed parts of the ECE.

    The bootstrap reweights precomputed losses and bin memberships, so the edges of equal-mass bins
    are those of the sample in every replicate. Intervals are those of `metric_interval`: log loss,
    Brier score and accuracy from the moments of the losses, calibration errors by inversion. Chance
    alone keeps an error above 0; ``debiased`` is what is left without it, the number that the
    interval holds, and ``value`` the usual one, as the function of that name returns it. In
    simulations at n = 200, 1,000 and 5,000 the intervals of clearly miscalibrated models held the
    truth in mostly 92 to 98 % at a nominal 95 %; `metric_interval` names the known misses.

    One error rate: the ranges under calibration are those that all measures of all models keep
    together in a share `confidence_level` of redrawn samples. A star marks a value outside, the
    lower end of an error is above 0 exactly where there is one, and a finding names all of them; it
    names a range of predictions too if rates lie outside the band of calibrated ones.

    Further measures take the view of the ECE or all classes, with their default options; those
    without gaps of their own take the floor in quadrature; their rows are drawn anew, the same for
    all models. A difference of two models is taken draw by draw, so that what is hard for both
    cancels; differences of errors are reflected about the value.

    Time: about n_samples (n_classes + 20) n_resamples elementary steps per model. numba, where
    installed, compiles them for large samples, which halves the time at the same draws; sums are
    then added up in another order, so that numbers agree to about 11 digits.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks.
       ICML 2017. arXiv:1706.04599
    .. [2] J. Nixon, M. Dusenberry, L. Zhang, G. Jerfel, D. Tran. Measuring Calibration in Deep
       Learning. CVPR Workshops 2019. arXiv:1904.01685
    .. [3] J. Bröcker, L. A. Smith. Increasing the Reliability of Reliability Diagrams. Weather and
       Forecasting 22, 2007. doi:10.1175/WAF993.1

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import calibration_report
    >>> p = np.linspace(0.02, 0.98, 400)
    >>> y = (np.arange(400) * 0.618 % 1 < p).astype(int)
    >>> sharpened = p**3 / (p**3 + (1 - p) ** 3)
    >>> report = calibration_report(y, {"raw": sharpened, "calibrated": p})
    >>> ece = report.models["calibrated"].measures["expected_calibration_error"]
    >>> round(ece.value, 3)
    0.032
    >>> ece.surprises("expected_calibration_error")
    False
    >>> report.recommended, report.may_be_best
    ('calibrated', ('calibrated',))
    >>> print(report.headline)
    Use calibrated: it leaves no miscalibration that 400 samples can show.
    """
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    edges = None if bins is None else check_edges(bins)
    n_bins = n_bins if edges is None else len(edges) - 1
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    confidence_level = check_fraction("confidence_level", confidence_level)
    further = further_measures.chosen(measures)
    check_option("tests", tests, (True, False))
    check_option("verbose", verbose, (True, False))
    check_fraction("tolerance", tolerance)
    if by is None and pairs is not False:
        raise ValueError("pairs are products of columns of by; pass by as well")
    rng = generator(random_state)
    given = dict(y_prob) if isinstance(y_prob, Mapping) else {"model": y_prob}
    if not given:
        raise ValueError("y_prob is an empty dict; pass at least one array of probabilities")
    if reference is not None:
        check_option("reference", reference, tuple(given))
    n_steps = 2 * len(given) + 2 + (by is not None)
    with Progress(n_steps, shown=bool(verbose)) as progress:
        prepared: dict[str, core.Prepared] = {}
        leading = ""
        first = np.empty(0)
        for name, array in given.items():
            progress.step(f"checking {name}")
            if not isinstance(name, str) or not name:
                raise ValueError(f"names of models must be non-empty strings; got {describe(name)}")
            try:
                codes, proba, weight, classes = check_predictions(
                    y_true, array, labels=labels, pos_label=pos_label, sample_weight=sample_weight
                )
                first = classes if not prepared else first
                if len(classes) == len(first) == 2 and classes[1] != first[1]:  # named otherwise
                    codes, proba, weight, classes = check_predictions(
                        y_true,
                        array,
                        labels=labels,
                        pos_label=first[1],
                        sample_weight=sample_weight,
                    )
            except ValueError as error:
                raise ValueError(
                    f"{error} (model {name!r})" if len(given) > 1 else error
                ) from error
            group = None if groups is None else group_codes(groups, len(codes))
            parts = None if by is None else partitions_of(by, len(codes), pairs=pairs)
            if weight is not None and not weight.all():  # rows without weight are not there
                kept = weight > 0
                codes, proba, weight = codes[kept], proba[kept], weight[kept]
                group = None if group is None else np.unique(group[kept], return_inverse=True)[1]
                parts = None if parts is None else parts.kept(kept)
            single = np.shape(array)[1:] in ((), (1,))
            shown = proba[:, -1:] if single and len(classes) == 2 else proba
            doubt = suspicion(shown, "proba", codes, weight, classes, "y_prob")
            if doubt:
                warn(
                    f"{doubt} (model {name!r})" if len(given) > 1 else doubt,
                    DegenerateScoresWarning,
                )
            n_units = len(codes) if group is None else int(group.max()) + 1
            if n_units < 2:
                raise ValueError(
                    f"a report needs at least 2 {'samples' if group is None else 'groups'}; got 1"
                )
            view = natural_view(len(classes))
            prepared[name] = core.prepare(proba, codes, weight, n_bins, view, edges)
            leading = leading or name
            expected = prepared[leading].columns.shape[1]
            if len(classes) != expected:
                raise ValueError(
                    f"models must have the same classes; {leading!r} has {expected} columns, "
                    f"{name!r} has {len(classes)}"
                )
        progress.step("resampling")
        replicates = further_measures.add_further(
            core.replicate(prepared, weight, group, n_resamples, rng),
            prepared,
            further,
            weight,
            group,
            rng,
        )
        information = core.describe_measures(n_bins, view, classes[1], edges is not None)
        information |= further_measures.information(further, n_bins, edges is not None)
        progress.step("measuring")
        results = measure_results(
            replicates, prepared, information, weight, group, confidence_level
        )
        comparison = compared(
            results,
            information,
            {name: draws.bootstrap for name, draws in replicates.items()},
            {
                key: draws_of_means(
                    np.column_stack([model.losses[:, column] for model in prepared.values()]),
                    weight,
                    group,
                    N_MEAN_DRAWS,
                    rng,
                )
                for column, key in enumerate(LOSSES)
            },
            leading if reference is None else reference,
            any(model.impossible for model in prepared.values()),
            confidence_level,
        )
        models: dict[str, ModelReport] = {}
        tested: dict[str, CalibrationTests] = {}
        decomposed: dict[str, dict[str, ScoreDecomposition]] = {}
        for name, model in prepared.items():
            progress.step(f"describing {name}")
            event, certain = model.event.astype(np.intp), np.clip(model.prediction, 0.0, 1.0)
            label = classes[1:2] if view == "binary" else np.array([None])
            models[name] = ModelReport(
                measures=results[name],
                table=rows_of(replicates[name].table, model.prediction[:, None], weight, label),
                mean_prediction=float(np.average(model.prediction, weights=weight)),
                mean_event=float(np.average(model.event, weights=weight)),
                n_impossible=model.impossible,
                class_table=rows_of(replicates[name].class_table, model.columns, weight, classes),
                curve=cumulative_calibration_curve(
                    event, certain, average="binary", sample_weight=weight
                ),
                ranges=informative_table(certain, event, weight),
            )
            if tests:
                tested[name] = calibration_tests(
                    model.codes,
                    model.columns,
                    average=view,
                    n_bins=n_bins,
                    groups=group,
                    sample_weight=weight,
                    labels=np.arange(len(classes)),
                    random_state=rng,
                )
                decomposed[name] = {
                    score: score_decomposition(
                        event, certain, score=score, average="binary", sample_weight=weight
                    )
                    for score in _SCORES
                }
        segments = None
        if parts is not None:
            progress.step("looking at segments")
            segments = judged_segments(
                {
                    name: (model.event.astype(np.float64), model.prediction.astype(np.float64))
                    for name, model in prepared.items()
                },
                parts,
                weight,
                group,
                event=event_text(view, classes),
                tolerance=tolerance,
                confidence_level=confidence_level,
            )
        return CalibrationReport(
            models=models,
            n_samples=len(codes),
            n_groups=None if group is None else int(group.max()) + 1,
            classes=classes,
            n_bins=n_bins,
            view=view,
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            comparison=comparison,
            further=further,
            tests=tested,
            decompositions=decomposed,
            bins=edges,
            segments=segments,
            weighted=weight is not None,
        )
