"""Is the deviation from calibration more than chance? The customary tests side by side."""

from __future__ import annotations

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.warn import warn
from calib._core.predictions import check_predictions
from calib.evaluation.sampling.draws import group_codes
from calib.evaluation.sampling.group_redraws import GroupRedraws, group_correlation
from calib.evaluation.sampling.redrawn_labels import (
    REDRAWN,
    REDRAWN_BY_GROUP,
    Draw,
    Outcome,
    Statistic,
    redrawn_statistics,
    share_as_large,
    sum_is_normal,
)
from calib.evaluation.significance import moments
from calib.evaluation.significance.redrawn import gap_outcomes, gap_statistics
from calib.evaluation.significance.results import CalibrationTest, CalibrationTests
from calib.evaluation.unbinned.cumulative import Kind, Walk, brownian_test
from calib.evaluation.unbinned.kernel_pairs import kernel_pairs_test
from calib.evaluation.views import views
from calib.evaluation.views.views import PairView
from calib.warnings import DegenerateScoresWarning

QUESTIONS = {
    "ecce_mad": "does the sum of events minus predictions stray, anywhere on the scale?",
    "ecce_range": "the same, by its range: more power for gaps of both signs",
    "in_the_large": "are predictions too high or too low on average?",
    "cox": "are log-odds shifted or stretched? slope < 1: too extreme",
    "spiegelhalter": "is the Brier score what the predictions promise?",
    "hosmer_lemeshow": "do observed and expected counts agree in groups of equal mass?",
    "t_cal": "is there a gap at some resolution, however it changes sign?",
    "ece": "is the expected calibration error above its floor?",
    "skce": "is the whole probability vector calibrated, for all classes together?",
}


def calibration_tests(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    average: PairView = "auto",
    n_groups: int = 10,
    fitted_on_same_data: bool = False,
    n_bins: int = 15,
    n_resamples: int = 1000,
    groups: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    random_state: RandomState = None,
) -> CalibrationTests:
    r"""Test the hypothesis that predictions are calibrated, in nine ways.

    A calibration error is never 0, even of a perfect model; tests say whether it is more than
    chance. ``ecce_mad`` is the one to rely on: nothing to tune and an answer to every departure.
    The others show *which* departure, or are asked for by convention.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    average : {"auto", "top_label", "binary"}, default="auto"
        What is tested: the largest probability as that of being right, or the probability of the
        second of two classes. For one class of many pass ``y_true == k`` and its column.
    n_groups : int >= 1, default=10
        Groups of equal mass for Hosmer-Lemeshow.
    fitted_on_same_data : bool, default=False
        Whether predictions were fitted to these very labels; takes two degrees of freedom off
        Hosmer-Lemeshow. No other test allows for it.
    n_bins : int >= 1, default=15
        Equal-width bins of the expected calibration error.
    n_resamples : int >= 19, default=1000
        Redrawn label vectors for ``t_cal``, ``ece`` and ``skce``, and for every test whose law is
        not to be relied on; the smallest p-value they can return is ``1 / (n_resamples + 1)``.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample (image, patient, question). Labels are then redrawn as dependent
        inside groups as the observed ones, and every test takes its law from them. None takes
        samples as independent.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. They say how much a sample counts, not how often it was seen: a row is
        one independent observation whatever its weight, so that tests keep their level and the
        scale of the weights is irrelevant. Repeat rows to count them as several observations.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the redrawn labels.

    Returns
    -------
    tests : CalibrationTests
        Statistic, p-value and estimates of every test: ``ecce_mad``, ``ecce_range``,
        ``in_the_large``, ``cox``, ``spiegelhalter``, ``hosmer_lemeshow``, ``t_cal``, ``ece``,
        ``skce``.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also for counts below their minimum.

    Warns
    -----
    DegenerateScoresWarning
        If a test is blind (its statistic cannot vary) or an estimate undefined (the Cox slope where
        predictions are equal or separate the events). One warning holds the notes of the result.

    See Also
    --------
    cumulative_calibration_test : The first two tests alone.
    consistency_interval : The floor of any metric by redrawn labels.
    score_decomposition : How large the error is in terms of a proper score.

    Notes
    -----
    All tests assume independent samples (groups) and take the probabilities as fixed.

    *Laws.* The normal, chi-squared and Brownian laws need events in doubt. A sum of residuals with
    coefficients c is taken as normal if :math:`\sum |c|^3 E|r|^3 \le 0.25 (\sum c^2 E r^2)^{3/2}`,
    which means about 16 expected events (or non-events, where they are rarer); Hosmer-Lemeshow as
    chi-squared by Cochran's rule: all expected counts 1 or more, four fifths of them 5 or more.
    Otherwise ``in_the_large`` takes the exact law of the number of events (equal weights), and the
    others, or weighted sums, the statistics of redrawn labels; ``cox`` judges its score statistic
    then. `CalibrationTest.law` says which. These laws have steps: with a handful of expected events
    tests reject less often than their level. In simulations with 30 to 10,000 samples, common, rare
    (1 in 1,000), two-sided (.001 and .999) and few distinct predictions all tests rejected
    calibrated ones in at most 6.5 % at a level of 5 %.

    *Groups.* The latent correlation of a group's labels is estimated from the products of residuals
    inside groups, beyond those of different groups; redrawn labels have it and keep their
    probabilities exactly. With three classes or more it is that of being right. Simulated with 50
    to 100 groups of 10 to 20 rows, tests rejected calibrated predictions in 3 to 8 %, where tests
    of independent samples did so in 12 to 95 %.

    With residuals
    :math:`r = y - p` and unit weights:

    * ``ecce_mad``, ``ecce_range``: see `cumulative_calibration_test`.
    * ``in_the_large``: :math:`\sum r / \sqrt{\sum p (1 - p)}`, a score test, defined even if all
      events agree. ``intercept`` solves :math:`\sum \mathrm{expit}(a + \mathrm{logit}\, p) = \sum
      y`, ``intercept / standard_error`` is the Wald statistic, ``observed_to_expected`` is
      :math:`\sum y / \sum p`.
    * ``cox``: likelihood ratio of :math:`\mathrm{logit}\, P(y = 1) = a + b\, \mathrm{logit}\, p`
      against (0, 1). Probabilities 0 and 1 are moved to the smallest normal float32 from the end.
      Weighted likelihood ratios are divided by their mean design effect [5]_.
    * ``spiegelhalter``: :math:`\sum r (1 - 2p) / \sqrt{\sum (1 - 2p)^2 p (1 - p)}`. Blind to errors
      near 1/2; errors of opposite sign cancel.
    * ``hosmer_lemeshow``: :math:`\sum_b (O_b - E_b)^2 / (E_b (1 - E_b / n_b))`, as many degrees of
      freedom as groups with a chance of both outcomes. Equal predictions share a group;
      ``smallest_expected`` counts events or non-events of a group.
    * ``t_cal``: :math:`T_m = n^{-1} \sum_b n_b^{-1} [(\sum r)^2 - \sum r^2]` over m cells of equal
      width, m = 2, 4, 8, ... up to n. The smallest p-value of all m is judged against the smallest
      p-values of redrawn labels, which makes it exact where the Bonferroni bound of [4]_ is
      conservative. Power only against curves smoother than the finest useful grid.
    * ``ece``: share of redrawn label vectors with at least this error.
    * ``skce``: the statistic of `kernel_calibration_test`, with redrawn labels in the place of its
      normal law, which skewed predictions reach slowly. Looks at all columns, whatever `average`
      says; it has little power, because it compares disjoint pairs alone.

    Cost: O(n_samples log n_samples + n_samples n_resamples).

    References
    ----------
    .. [1] D. J. Spiegelhalter. Probabilistic Prediction in Patient Management and Clinical Trials.
       Statistics in Medicine 5, 1986. doi:10.1002/sim.4780050506
    .. [2] D. W. Hosmer, S. Lemeshow. Goodness of Fit Tests for the Multiple Logistic Regression
       Model. Communications in Statistics 9, 1980. doi:10.1080/03610928008827941
    .. [3] D. R. Cox. Two Further Applications of a Model for Binary Regression. Biometrika 45,
       1958. doi:10.1093/biomet/45.3-4.562
    .. [4] D. Lee, X. Huang, H. Hassani, E. Dobriban. T-Cal: An Optimal Test for the Calibration of
       Predictive Models. Journal of Machine Learning Research 24, 2023. arXiv:2203.01850
    .. [5] J. N. K. Rao, A. J. Scott. On Chi-Squared Tests for Multiway Contingency Tables with Cell
       Proportions Estimated from Survey Data. Annals of Statistics 12, 1984.
       doi:10.1214/aos/1176346391

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import calibration_tests
    >>> p = (np.arange(1000) + 0.5) / 1000
    >>> y = (np.arange(1000) * 0.618 % 1 < p**1.5).astype(int)
    >>> tests = calibration_tests(y, p, average="binary", random_state=0)
    >>> [name for name in tests.tests if name not in tests.rejected()]
    ['spiegelhalter', 'skce']
    >>> round(tests["cox"].estimates["slope"], 2)
    1.11
    """
    check_integer("n_groups", n_groups, low=1, high=MOST_BINS)
    check_option("fitted_on_same_data", fitted_on_same_data, (True, False))
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_integer("n_resamples", n_resamples, low=19, high=MOST_RESAMPLES)
    check_option("average", average, views.PAIR_VIEWS)
    codes, proba, weight, _ = check_predictions(
        y_true, y_prob, labels=labels, pos_label=pos_label, sample_weight=sample_weight
    )
    members = None if groups is None else group_codes(groups, len(codes))
    if weight is not None:
        kept = weight > 0
        codes, proba, weight = codes[kept], proba[kept], weight[kept]
        members = None if members is None else np.unique(members[kept], return_inverse=True)[1]
    view = views.natural_view(proba.shape[1]) if average == "auto" else average
    score, event = views.pairs(proba, codes, view)
    order = np.argsort(score, kind="stable")
    members = None if members is None else members[order]
    p, y = np.clip(score[order], 0.0, 1.0), event[order].astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight[order] / weight.max()
    rng = generator(random_state)
    draw, law = _source(p, y, w, members, n_resamples, rng)
    outcomes, simulated = _closed_forms(p, y, w, n_groups, fitted_on_same_data)
    if members is not None:
        simulated = _statistics(p, w, n_groups)
    redrawn = redrawn_statistics(
        p, y, {**gap_statistics(p, w, n_bins), **simulated}, n_resamples=n_resamples, draw=draw
    )
    for name in simulated:
        outcomes[name] = outcomes[name]._replace(p_value=share_as_large(redrawn[name]), law=law)
    outcomes |= gap_outcomes(redrawn, n_bins, law)
    outcomes["skce"] = kernel_pairs_test(
        views.all_columns(proba)[order],
        codes[order],
        w,
        n_resamples=n_resamples,
        rng=rng,
        groups=members,
    )._replace(law=law)
    notes = tuple(outcome.note for outcome in outcomes.values() if outcome.note)
    if notes:
        warn("; ".join(notes), DegenerateScoresWarning)
    tests = {
        name: CalibrationTest(
            outcome.statistic, outcome.p_value, outcome.law, QUESTIONS[name], outcome.estimates
        )
        for name, outcome in outcomes.items()
    }
    n_members = None if members is None else int(members.max()) + 1
    return CalibrationTests(tests, len(p), view, notes, n_members)


def _source(
    p: Float64Array,
    y: Float64Array,
    w: Float64Array,
    groups: IntArray | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Draw, str]:
    """Return where the numbers of redrawn labels come from, and what their law is called."""
    if groups is None:
        return lambda rows: rng.random((rows.stop - rows.start, len(p))), REDRAWN
    correlation = group_correlation(p, y, groups, w)
    redraws = GroupRedraws(groups, n_resamples, rng)

    def draw(replicates: slice) -> Float64Array:
        size = replicates.stop - replicates.start
        return redraws.uniform(correlation, rng.standard_normal((size, len(p))), replicates)

    return draw, REDRAWN_BY_GROUP


def _statistics(p: Float64Array, w: Float64Array, n_groups: int) -> dict[str, Statistic]:
    """Return the statistics of the tests that have a law in closed form; `p` ascends."""
    walk = Walk(p, w)
    return {
        "ecce_mad": lambda events: walk.excursions(events, "mad"),
        "ecce_range": lambda events: walk.excursions(events, "range"),
        "in_the_large": moments.absolute_gap(w, p),
        "cox": moments.cox_score(p, w),
        "spiegelhalter": moments.absolute_gap(w * (1.0 - 2.0 * p), p),
        "hosmer_lemeshow": moments.hosmer_lemeshow_statistic(p, w, n_groups),
    }


def _closed_forms(
    p: Float64Array, y: Float64Array, w: Float64Array, n_groups: int, fitted: bool
) -> tuple[dict[str, Outcome], dict[str, Statistic]]:
    """Return the outcomes in closed form, and the statistics of those not to be relied on."""
    outcomes: dict[str, Outcome] = {}
    kinds: tuple[Kind, Kind] = ("mad", "range")
    for kind in kinds:
        walk = brownian_test(p, y, w, kind)
        scaled = {"standardized": walk.standardized}
        outcomes[f"ecce_{kind}"] = Outcome(walk.statistic, walk.p_value, "Brownian motion", scaled)
    outcomes["in_the_large"] = moments.in_the_large(p, y, w)
    outcomes["cox"] = moments.cox(p, y, w)
    outcomes["spiegelhalter"] = moments.spiegelhalter(p, y, w)
    outcomes["hosmer_lemeshow"] = moments.hosmer_lemeshow(p, y, w, n_groups, fitted=fitted)
    total = sum_is_normal(w, p)
    rough = {
        "ecce_mad": not total,
        "ecce_range": not total,
        "in_the_large": not total,
        "cox": not total,  # likelihood ratios are less demanding than their score statistic
        "spiegelhalter": not sum_is_normal(w * (1.0 - 2.0 * p), p),
        "hosmer_lemeshow": not fitted
        and not moments.hosmer_lemeshow_is_chi_squared(p, w, n_groups),
    }
    if rough["in_the_large"] and (w == w[0]).all():
        rough["in_the_large"] = False
        outcomes["in_the_large"] = outcomes["in_the_large"]._replace(
            p_value=moments.exact_in_the_large(p, y), law=moments.EXACT_LAW
        )
    statistics = _statistics(p, w, n_groups) if any(rough.values()) else {}
    return outcomes, {name: statistics[name] for name, needed in rough.items() if needed}
