"""Is the deviation from calibration more than chance? The customary tests side by side."""

from __future__ import annotations

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.random import generator
from calib._border.typing import ArrayLike, RandomState
from calib._border.warn import warn
from calib._core.validation import check_predictions
from calib.evaluation import _moment_tests, _views
from calib.evaluation._moment_tests import Outcome
from calib.evaluation._redrawn_pairs import kernel_pairs_test
from calib.evaluation._redrawn_tests import redrawn_tests
from calib.evaluation._views import PairView
from calib.evaluation.cumulative import Kind, cumulative_calibration_test
from calib.evaluation.significance_results import CalibrationTest, CalibrationTests
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
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
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
        Redrawn label vectors for ``t_cal``, ``ece`` and ``skce``; the smallest p-value they can
        return is ``1 / (n_resamples + 1)``.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. They say how much a sample counts, not how often it was seen: a row is
        one independent observation whatever its weight, so that tests keep their level and the
        scale of the weights is irrelevant. Repeat rows to count them as several observations.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
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
    All tests assume independent samples and take the probabilities as fixed. With residuals
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
      freedom as groups with a chance of both outcomes. Equal predictions share a group; unreliable
      where ``smallest_expected`` (events or non-events of a group) is below about 5.
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
    >>> from calib.evaluation.significance import calibration_tests
    >>> p = (np.arange(1000) + 0.5) / 1000
    >>> y = (np.arange(1000) * 0.618 % 1 < p**1.5).astype(int)
    >>> tests = calibration_tests(y, p, average="binary", random_state=0)
    >>> [name for name in tests.tests if name not in tests.rejected()]
    ['spiegelhalter', 'skce']
    >>> round(tests["cox"].estimates["slope"], 2)
    1.11
    """
    check_integer("n_groups", n_groups, low=1)
    check_option("fitted_on_same_data", fitted_on_same_data, (True, False))
    check_integer("n_bins", n_bins, low=1)
    check_integer("n_resamples", n_resamples, low=19)
    check_option("average", average, _views.PAIR_VIEWS)
    codes, proba, weight, _ = check_predictions(
        y_true, y_prob, labels=labels, sample_weight=sample_weight
    )
    if weight is not None:
        kept = weight > 0
        codes, proba, weight = codes[kept], proba[kept], weight[kept]
    view = _views.natural_view(proba.shape[1]) if average == "auto" else average
    score, event = _views.pairs(proba, codes, view)
    p, y = np.clip(score, 0.0, 1.0), event.astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight / weight.max()
    outcomes: dict[str, Outcome] = {}
    kinds: tuple[Kind, Kind] = ("mad", "range")
    for kind in kinds:
        walk = cumulative_calibration_test(
            event, p, kind=kind, average="binary", sample_weight=weight
        )
        scaled = {"standardized": walk.standardized}
        outcomes[f"ecce_{kind}"] = Outcome(walk.statistic, walk.p_value, "Brownian motion", scaled)
    outcomes["in_the_large"] = _moment_tests.in_the_large(p, y, w)
    outcomes["cox"] = _moment_tests.cox(p, y, w)
    outcomes["spiegelhalter"] = _moment_tests.spiegelhalter(p, y, w)
    outcomes["hosmer_lemeshow"] = _moment_tests.hosmer_lemeshow(
        p, y, w, n_groups, fitted=fitted_on_same_data
    )
    rng = generator(random_state)
    outcomes |= redrawn_tests(p, y, w, n_bins=n_bins, n_resamples=n_resamples, rng=rng)
    outcomes["skce"] = kernel_pairs_test(
        _views.all_columns(proba), codes, w, n_resamples=n_resamples, rng=rng
    )
    notes = tuple(found.note for found in outcomes.values() if found.note)
    if notes:
        warn(
            "; ".join(notes),
            DegenerateScoresWarning,
        )
    tests = {
        name: CalibrationTest(
            found.statistic, found.p_value, found.law, QUESTIONS[name], found.estimates
        )
        for name, found in outcomes.items()
    }
    return CalibrationTests(tests, len(p), view, notes)
