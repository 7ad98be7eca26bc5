"""Proper scores taken apart without bins, by isotonic recalibration (CORP)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._core.isotonic import ascending, pool_adjacent_violators
from calib.evaluation.proper.losses import SCORES, Score, event_losses, least_loss
from calib.evaluation.views.predictions import checked
from calib.evaluation.views.views import Average


class ScoreDecomposition(NamedTuple):
    """Result of `score_decomposition`: ``score = miscalibration - discrimination + uncertainty``.

    Parameters
    ----------
    score : float
        Mean Brier score or log loss (nats); >= 0, lower is better.
    miscalibration : float
        What the best increasing map of the predictions would gain; >= 0, lower is better.
    discrimination : float
        What the predictions so mapped gain over always predicting the overall rate; >= 0, higher is
        better.
    uncertainty : float
        Score of always predicting the overall rate; >= 0, a property of the labels alone.
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def score_decomposition(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    score: Score = "brier",
    average: Average = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> ScoreDecomposition:
    r"""Split a proper score into miscalibration, discrimination and uncertainty (CORP).

    The yardstick is the isotonic regression of events on predictions, which needs no bins and
    nothing to choose, so that two people get the same numbers.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    score : {"brier", "log_loss"}, default="brier"
        Squared error of a probability of one event, in [0, 1], or its log loss in nats.
    average : {"auto", "top_label", "classwise", "binary"}, default="auto"
        What is scored: the largest probability against "the prediction was right"; every column
        against "this is the class", **summed** over classes (Brier only: in [0, 2]; one-vs-rest log
        losses do not add up to the log loss); or the probability of the second of two classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals that many repetitions of the row.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    parts : ScoreDecomposition
        ``score``, ``miscalibration``, ``discrimination``, ``uncertainty``. Score and miscalibration
        are infinite if an event of probability 0 occurred and `score` is the log loss.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also for an unknown `score`, and for
        ``average="classwise"`` with the log loss.

    See Also
    --------
    refinement_decomposition : Out of sample, and for all classes of a log loss together.
    brier_decomposition : By bins.

    Notes
    -----
    With the isotonic regression g of events on predictions (ties pooled first), S the mean score
    and r the overall rate, miscalibration is S(p) - S(g(p)), discrimination S(r) - S(g(p)) and
    uncertainty S(r). Both differences are >= 0 for every proper score. The fit is judged on the
    data it was made from: miscalibration of calibrated predictions is not 0 but of order
    ``n_samples ** (-2/3)``. Blocks of g in which all events agree cost nothing (``0 log 0 = 0``);
    nothing is clipped. Cost: O(n_samples log n_samples) per event.

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan. Stable Reliability Diagrams for Probabilistic
       Classifiers. PNAS 118, 2021. arXiv:2008.03033

    Examples
    --------
    >>> from calib.evaluation import score_decomposition
    >>> parts = score_decomposition([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.7], average="binary")
    >>> [round(part, 4) for part in parts]
    [0.205, 0.08, 0.125, 0.25]
    """
    check_option("score", score, SCORES)
    if average == "classwise" and score == "log_loss":
        raise ValueError(
            "average='classwise' sums scores of one class against the rest, which is no "
            "decomposition of the log loss; pass score='brier', average='top_label', or use "
            "refinement_decomposition"
        )
    predictions = checked(y_true, y_prob, sample_weight, labels, pos_label, average).positive()
    terms = [
        _decompose(prediction, event, predictions.weight, score)
        for prediction, event in predictions.pairs(average)
    ]
    return ScoreDecomposition(*np.sum(terms, axis=0).tolist())


def _decompose(
    p: Float64Array, event: LabelArray, weight: Float64Array | None, score: Score
) -> ScoreDecomposition:
    """Decompose the score of probabilities of one event; weights are positive."""
    y = event.astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight
    blocks = pool_adjacent_violators(ascending(p), y, weight)
    member = np.searchsorted(p[blocks.first], p, side="right") - 1
    mass = np.bincount(member, w)
    rate = np.minimum(np.bincount(member, w * y) / mass, 1.0)  # exactly 0 or 1 where all agree
    total = float(w.sum())
    overall = min(float(w @ y) / total, 1.0)
    observed = float(w @ event_losses(p, event, score)) / total
    recalibrated = float(mass @ least_loss(rate, score)) / total
    uncertainty = float(least_loss(np.array([overall]), score)[0])
    return ScoreDecomposition(
        score=observed,
        miscalibration=max(observed - recalibrated, 0.0),  # rounding alone makes it negative
        discrimination=max(uncertainty - recalibrated, 0.0),
        uncertainty=uncertainty,
    )
