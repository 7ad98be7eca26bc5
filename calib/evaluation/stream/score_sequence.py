"""Two models compared on a stream, with an interval that holds at every row at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import gammainc, gammaln

from calib._border.checks import check_fraction, check_option
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray
from calib._core.predictions import check_both_predictions
from calib._documents import document as doc
from calib._documents.digits import printed
from calib._documents.documented import Documented
from calib._documents.panels import Panel, Scale, thinned
from calib.evaluation.proper.losses import SCORES, Score, sample_losses
from calib.evaluation.views.views import all_columns

#: Rows at which the sequence is calculated: all of a short stream, else so many.
MOST_LOOKS = 1000
#: Probabilities in the log loss lie between this and its complement, so that it has a bound.
LEAST = 0.01
#: Sum of squares at which the interval is as narrow as can be.
BEST_AT = 50.0
SENTENCES = {
    "better": "{winner} is better: its mean {score} is lower by {size} ({low} to {high}) after "
    "{rows}.",
    "undecided": "Undecided after {rows}: the mean {score} of a minus that of b is {mean} ({low} "
    "to {high}).",
    "always": "The interval holds at every row at once with probability {level}: looking at it "
    "again, and stopping when it is clear, is allowed.",
}


@dataclass(frozen=True, eq=False, repr=False)
class ScoreDifferenceSequence(Documented):
    """Result of `score_difference_sequence`; printing it shows which model is better.

    Attributes
    ----------
    rows : ndarray of shape (n_looks,)
        Rows so far, ascending; the last is the length of the stream.
    mean : ndarray of shape (n_looks,)
        Mean score of a minus that of b so far; positive where b is better.
    low, high : ndarray of shape (n_looks,)
        Ends of the confidence sequence.
    score : {"brier", "log_loss"}
    bound : float
        Largest difference of one row; log losses are those of probabilities in [0.01, 0.99].
    confidence_level : float in (0, 1)
        Probability that the sequence holds the mean of the expected differences at all rows.
    """

    rows: IntArray
    mean: Float64Array
    low: Float64Array
    high: Float64Array
    score: Literal["brier", "log_loss"]
    bound: float
    confidence_level: float

    @property
    def decided_at(self) -> int | None:
        """First row shown at which one model is better beyond chance; None if there is none."""
        apart = np.flatnonzero((self.low > 0) | (self.high < 0))
        return int(self.rows[apart[0]]) if len(apart) else None

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row per look.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``rows``, ``mean``, ``low`` and ``high``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="ScoreDifferenceSequence.to_frame")
        columns = {name: getattr(self, name) for name in ("rows", "mean", "low", "high")}
        return pandas.DataFrame(columns)

    def document(self) -> doc.Document:
        """Return the verdict and the sequence as a chart."""
        mean, low, high = (float(part[-1]) for part in (self.mean, self.low, self.high))
        n_rows = int(self.rows[-1])
        size = sorted((abs(low), abs(high)))
        decided = low > 0 or high < 0
        values = {
            "winner": "b" if low > 0 else "a",
            "score": {"brier": "Brier score", "log_loss": "log loss"}[self.score],
            "size": printed(abs(mean), 4),
            "mean": printed(mean, 4),
            "low": printed(size[0] if decided else low, 4),
            "high": printed(size[1] if decided else high, 4),
            "rows": f"{n_rows:,} row{'' if n_rows == 1 else 's'}",
            "level": f"{100 * self.confidence_level:g} %",
        }
        headline = "better" if decided else "undecided"
        verdict, note = (
            doc.Verdict(case, SENTENCES[case], values) for case in (headline, "always")
        )
        heading = f"{values['rows']}, {values['score']}, {values['level']} confidence sequence"
        blocks = [self._chart()] if len(self.rows) > 1 else []
        return doc.Document("Score difference", heading, blocks, verdict, [note])

    def _chart(self) -> doc.Figures:
        shown = thinned(self.mean)
        at = self.rows[shown].astype(np.float64)
        late = self.rows >= self.rows[-1] / 20  # the first intervals are wider than the rest
        low, high = float(self.low[late].min()), float(self.high[late].max())
        panel = Panel(
            Scale(float(at[0]), float(at[-1])),
            Scale(min(low, 0.0) - 1e-9, max(high, 0.0) + 1e-9),
            "rows",
            "score of a minus score of b",
            x_text=lambda row: f"{row:,.0f}",
        )
        panel.band(at, self.low[shown], self.high[shown])
        panel.level(0.0)
        panel.curve(at, self.mean[shown], "dot", "", 1.6)
        words = f"The mean difference ends at {printed(float(self.mean[-1]), 4)}."
        return doc.Figures(
            "Mean difference so far",
            [doc.Figure("With its confidence sequence", panel.drawing("Difference", words))],
        )


def score_difference_sequence(
    y_true: ArrayLike,
    y_prob_a: ArrayLike,
    y_prob_b: ArrayLike,
    *,
    score: Score = "brier",
    confidence_level: float = 0.95,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> ScoreDifferenceSequence:
    """Compare the scores of two models on a stream, valid at every row at once.

    The interval may be looked at after each row, and the comparison stopped when it is clear; the
    outcomes may depend on each other in any way. It is wider than one for a fixed number of rows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels in the order of the stream.
    y_prob_a, y_prob_b : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities of both models in [0, 1]; one column means the second of two classes.
    score : {"brier", "log_loss"}, default="brier"
        The Brier score, summed over classes as in `brier_score`; or the log loss of
        probabilities moved into [0.01, 0.99], because the sequence needs a bound.
    confidence_level : float in (0, 1), default=0.95
        Probability that the interval is right at *all* rows.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column of probabilities belongs to; None means the second.

    Returns
    -------
    sequence : ScoreDifferenceSequence
        At every row, or at 1,000 rows of a longer stream.

    Raises
    ------
    ValueError
        If an argument is not finite, of the wrong shape or length, or an option is unknown.

    See Also
    --------
    metric_difference : For a sample of a size that was fixed before.
    CalibrationMonitor : Whether one model is calibrated.

    Notes
    -----
    What it covers is the mean of the expected differences, each given the past. Empirical-Bernstein
    confidence sequence with the gamma-exponential mixture: the variance process is
    ``V_t = sum_i (d_i - mean_{i-1})^2``, the scale twice the bound of one difference.

    References
    ----------
    .. [1] Y. J. Choe, A. Ramdas. Comparing Sequential Forecasters. Operations Research 72(4), 2024.
       arXiv:2110.00115
    .. [2] S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon. Time-uniform, nonparametric,
       nonasymptotic confidence sequences. Annals of Statistics 49(2), 2021. arXiv:1810.08240

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import score_difference_sequence
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> y = rng.random(5000) < p
    >>> sequence = score_difference_sequence(y, 0.5 + 0.5 * (p - 0.5), p)
    >>> print(sequence.headline)
    b is better: its mean Brier score is lower by 0.0425 (0.0308 to 0.0543) after 5,000 rows.
    """
    check_option("score", score, SCORES)
    confidence_level = check_fraction("confidence_level", confidence_level)
    checked = check_both_predictions(
        y_true, y_prob_a, y_prob_b, labels, pos_label, None, names=("y_prob_a", "y_prob_b")
    )
    losses = [_losses(proba, codes, score) for codes, proba, *_ in checked]
    bound = 2.0 if score == "brier" else math.log((1.0 - LEAST) / LEAST)
    difference = losses[0] - losses[1]
    n_rows = len(difference)
    counts = np.arange(1, n_rows + 1)
    mean = np.cumsum(difference) / counts
    variance = np.cumsum((difference - np.append(0.0, mean[:-1])) ** 2)
    looks = np.arange(n_rows)
    if n_rows > MOST_LOOKS:
        looks = np.unique(np.geomspace(1, n_rows, MOST_LOOKS).round().astype(np.intp)) - 1
    reach = mixture_bound(variance[looks], 2.0 * bound, 0.5 * (1.0 - confidence_level))
    reach = reach / counts[looks]
    low, high = np.maximum(mean[looks] - reach, -bound), np.minimum(mean[looks] + reach, bound)
    return ScoreDifferenceSequence(
        counts[looks], mean[looks], low, high, score, bound, confidence_level
    )


def _losses(proba: FloatArray, codes: IntArray, score: Score) -> Float64Array:
    """Return the losses of every row, which have a bound."""
    if score == "brier":
        return sample_losses(proba, codes)[:, 1]
    return sample_losses(np.clip(all_columns(proba), LEAST, 1.0 - LEAST), codes)[:, 0]


def mixture_bound(variance: Float64Array, scale: float, level: float) -> Float64Array:
    """Return what a sum exceeds at some time with probability `level` at most.

    Parameters
    ----------
    variance : ndarray of shape (n_looks,)
        Of the variance process.
    scale : float
        Of sub-exponential sums.
    level : float
        In (0, 1).

    Returns
    -------
    bound : ndarray of shape (n_looks,)
    """
    spread = -2.0 * math.log(level)
    rho = BEST_AT / (spread + math.log1p(spread))
    square = scale * scale
    start, shape = rho / square, (variance + rho) / square
    fixed = start * np.log(start) - gammaln(start) - np.log(gammainc(start, start)) - start

    def log_mixture(size: Float64Array) -> Float64Array:
        x = shape + size / scale
        return np.asarray(
            fixed + gammaln(shape) + np.log(gammainc(shape, x)) - shape * np.log(x) + x
        )

    wanted = -math.log(level)
    low, high = np.zeros_like(variance), np.ones_like(variance)
    while (short := log_mixture(high) < wanted).any():
        high = np.where(short, 2.0 * high, high)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = log_mixture(middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high
