"""What a calibrator gained in proper scores, with a paired bootstrap interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_fraction, check_integer
from calib._border.limits import MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray, RandomState
from calib._core.predictions import check_both_predictions
from calib.evaluation.proper.losses import sample_losses, zero_floor
from calib.evaluation.sampling.draws import group_codes, unit_counts
from calib.evaluation.sampling.intervals import Interval, mean_ends, moments_of, summarized


@dataclass(frozen=True)
class PostHocImprovement:
    """Result of `post_hoc_improvement`; printing it shows both scores.

    Attributes
    ----------
    log_loss, brier : Interval
        Score before minus score after: positive where the second predictions are better. In nats,
        and in squared error summed over classes.
    log_loss_before, log_loss_after, brier_before, brier_after : float
        The scores themselves.
    n_samples : int
        Number of samples (with positive weight).
    n_groups : int or None
        Number of resampled groups.
    n_impossible_before, n_impossible_after : int
        Samples whose label had probability 0; their log loss is infinite and was cut.
    """

    log_loss: Interval
    brier: Interval
    log_loss_before: float
    log_loss_after: float
    brier_before: float
    brier_after: float
    n_samples: int
    n_groups: int | None
    n_impossible_before: int
    n_impossible_after: int

    def __str__(self) -> str:
        """Return the numbers as lines of text."""
        level = f"{100 * self.log_loss.confidence_level:g} %"
        unit = "samples" if self.n_groups is None else "groups"
        count = self.n_samples if self.n_groups is None else self.n_groups
        lines = [
            f"Improvement by recalibration: {count:,} {unit}; {level} intervals from "
            f"{self.log_loss.n_resamples:,} paired draws"
        ]
        rows = (
            ("log loss (nats)", self.log_loss, self.log_loss_before, self.log_loss_after),
            ("Brier score (0 to 2)", self.brier, self.brier_before, self.brier_after),
        )
        lines += [
            f"{name:<21} {before:.5f} -> {after:.5f}: {gain.value:+.5f} "
            f"({gain.low:+.5f} to {gain.high:+.5f})"
            for name, gain, before, after in rows
        ]
        if self.n_impossible_before or self.n_impossible_after:
            lines.append(
                f"Samples whose label had probability 0: {self.n_impossible_before:,} before, "
                f"{self.n_impossible_after:,} after; the log loss is in truth infinite there."
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries and numbers, for JSON."""
        out = asdict(self)
        for score in ("log_loss", "brier"):  # a difference has no floor
            out[score] = {k: v for k, v in out[score].items() if not k.startswith("floor")}
        return out

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row each for log loss and Brier score.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``before``, ``after``, ``improvement``, ``low`` and ``high``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="PostHocImprovement.to_frame")
        rows = {
            "log_loss": (self.log_loss_before, self.log_loss_after, *_ends(self.log_loss)),
            "brier": (self.brier_before, self.brier_after, *_ends(self.brier)),
        }
        columns = ["before", "after", "improvement", "low", "high"]
        frame = pandas.DataFrame.from_dict(rows, orient="index", columns=columns)
        return frame.rename_axis("score")


def post_hoc_improvement(
    y_true: ArrayLike,
    y_prob_before: ArrayLike,
    y_prob_after: ArrayLike,
    *,
    groups: ArrayLike = None,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = None,
) -> PostHocImprovement:
    r"""Measure what recalibration gained in log loss and Brier score.

    The question "did the calibrator help?" in the two scores that cannot be cheated. Both
    predictions are judged on the same resampled samples, so the interval is that of the difference,
    far shorter than the two intervals of the scores suggest.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels of samples that the calibrator has not seen.
    y_prob_before, y_prob_after : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3; one column means the probability of the
        second of two classes, and the other argument may then have two.
    groups : array-like of shape (n_samples,), default=None
        Group of every sample (image, patient, question): groups are drawn as a whole. None draws
        single samples.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights that travel with their samples.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    confidence_level : float in (0, 1), default=0.95
        Nominal coverage of the intervals, each score by itself.
    n_resamples : int >= 2, default=1000
        Number of draws.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    improvement : PostHocImprovement
        Differences with intervals, both scores before and after.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also if both predictions differ in the number of classes,
        or fewer than two samples or groups are left to resample.

    See Also
    --------
    refinement_decomposition : What a calibrator could gain.

    Notes
    -----
    :math:`\phi = \bar S(p_{before}) - \bar S(p_{after})`, a mean of paired differences and hence
    unbiased. The interval is that of `calibration_report`, from the moments of the differences; the
    draws give mean, median and standard deviation.
    It assumes independent samples (groups). A probability of exactly 0 counts as the smallest
    normal float32 (or the smallest number of a shorter type) in the log loss, as in
    `calibration_report`. Cost: O(n_samples (n_classes + n_resamples)).

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import post_hoc_improvement
    >>> rng = np.random.default_rng(0)
    >>> q = rng.random(2000)
    >>> y = (rng.random(2000) < q).astype(int)
    >>> gain = post_hoc_improvement(y, q**2 / (q**2 + (1 - q) ** 2), q, random_state=0)
    >>> print(gain)
    Improvement by recalibration: 2,000 samples; 95 % intervals from 1,000 paired draws
    log loss (nats)       0.55348 -> 0.48968: +0.06380 (+0.04525 to +0.08451)
    Brier score (0 to 2)  0.34920 -> 0.32650: +0.02269 (+0.01497 to +0.03079)
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    both = check_both_predictions(
        y_true, y_prob_before, y_prob_after, labels, pos_label, sample_weight
    )
    (codes, before, weight, classes), (_, after, _, _) = both
    if max(2, before.shape[1]) != max(2, after.shape[1]):
        raise ValueError(
            f"y_prob_before has {before.shape[1]} columns but y_prob_after has {after.shape[1]}; "
            f"pass predictions of the same {len(classes)} classes"
        )
    members = None if groups is None else group_codes(groups, len(codes))
    if weight is not None:
        kept = weight > 0
        codes, before, after, weight = codes[kept], before[kept], after[kept], weight[kept]
        members = None if members is None else np.unique(members[kept], return_inverse=True)[1]
    w = np.ones(len(codes)) if weight is None else weight
    losses = np.hstack([_cut_losses(proba, codes) for proba in (before, after)])
    scores = w @ losses / w.sum()
    sums = np.column_stack([w, w[:, None] * (losses[:, :2] - losses[:, 2:])])
    if members is not None:
        sums = np.column_stack([np.bincount(members, column) for column in sums.T])
    if len(sums) < 2:
        unit = "samples" if members is None else "groups"
        raise ValueError(f"a bootstrap needs at least 2 {unit} (of positive weight); got 1")
    draws = _bootstrap_means(sums, n_resamples, generator(random_state))
    intervals = []
    for k in range(2):
        gain = float(scores[k] - scores[2 + k])
        moments = moments_of(losses[:, k] - losses[:, 2 + k], weight, members)
        ends = mean_ends(moments, confidence_level, (-np.inf, np.inf))
        intervals.append(summarized(gain, *ends, confidence_level, draws[:, k]))
    return PostHocImprovement(
        log_loss=intervals[0],
        brier=intervals[1],
        log_loss_before=float(scores[0]),
        log_loss_after=float(scores[2]),
        brier_before=float(scores[1]),
        brier_after=float(scores[3]),
        n_samples=len(codes),
        n_groups=None if members is None else len(sums),
        n_impossible_before=_impossible(before, codes),
        n_impossible_after=_impossible(after, codes),
    )


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _cut_losses(proba: FloatArray, codes: IntArray) -> Float64Array:
    return sample_losses(proba, codes, floor=zero_floor(proba.dtype))


def _impossible(proba: FloatArray, codes: IntArray) -> int:
    return int(np.isinf(sample_losses(proba, codes)[:, 0]).sum())


def _bootstrap_means(
    sums: Float64Array, n_resamples: int, rng: np.random.Generator
) -> Float64Array:
    """Return means of resampled units, shape (n_resamples, n_columns - 1).

    Parameters
    ----------
    sums : ndarray of shape (n_units, n_columns)
        Weight of a unit, then its weighted sums.
    n_resamples : int
    rng : Generator
    """
    n_units = len(sums)
    out = np.empty((n_resamples, sums.shape[1] - 1))
    for rows in row_blocks(n_resamples, n_units):
        counts = unit_counts(n_units, rows.stop - rows.start, rng)
        total = np.einsum("ru,uc->rc", counts.astype(np.float64), sums)
        out[rows] = total[:, 1:] / total[:, :1]
    return out
