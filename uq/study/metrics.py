"""Metrics of the rows that are kept, on the sample and on bootstrap draws of its patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.random import stream
from calib._border.typing import Float64Array, IntArray
from calib.evaluation.sampling.draws import multinomial_counts
from uq.selective.kept_rows import METRICS, Cut


@dataclass(frozen=True)
class StudyNumber:
    """A metric of one method.

    Attributes
    ----------
    value : float
        Mean over repetitions; NaN where too few rows or one class only are kept.
    deviation : float
        Standard deviation over repetitions, that is over seeds, not over patients; NaN for one.
    low, high : float
        Bootstrap interval over patients (or groups), of the mean over repetitions. For ACE it is
        reflected about the value, because draws repeat its upward bias.
    """

    value: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class StudyRow:
    """One model and method, on all rows or on those it is certain about.

    Attributes
    ----------
    model, method, certainty : str
        Who predicts, how probabilities are made, and what decides which rows are kept.
    cut : {"none", "threshold", "share"}
        Keep everything, rows with at least a certainty, or a share of them, most certain first.
    at : float
        The threshold or share asked for; 0 for ``"none"``.
    share, n_kept, prevalence : float
        Share and number of rows kept, and share of the second class among them; means over
        repetitions.
    n_repeats : int
        Repetitions in which enough rows of both classes were kept; metrics average over these.
    metrics : dict of str to StudyNumber
        ``auroc``, ``auprc``, ``auprc_gain`` (minus prevalence), ``ace``, ``brier``, ``accuracy``.
    ace_calibrated : float
        Mean ACE of a perfectly calibrated model with these probabilities: the floor of ``ace``.
    """

    model: str
    method: str
    certainty: str
    cut: Cut
    at: float
    share: float
    n_kept: float
    prevalence: float
    n_repeats: int
    metrics: dict[str, StudyNumber]
    ace_calibrated: float


def draw_weights(
    groups: IntArray | None, n_samples: int, n_resamples: int, seed: int
) -> Float64Array:
    """Return how often every row is drawn: once in the first line, at random in the others.

    Returns
    -------
    weight : ndarray of shape (n_resamples + 1, n_samples)
        Rows of a group are drawn together.
    """
    n_units = n_samples if groups is None else int(groups.max()) + 1
    rng = stream(seed, 0x57D7)
    units = np.vstack([np.ones((1, n_units)), multinomial_counts(n_units, n_resamples, rng)])
    return units if groups is None else units[:, groups]


def summarise(
    draws: list[dict[str, Float64Array]], confidence_level: float
) -> dict[str, StudyNumber]:
    """Return mean and deviation over repetitions, and the interval over the draws."""
    out = {}
    for name in METRICS:
        table = np.array([repeat[name] for repeat in draws])
        table = table[~np.isnan(table[:, 0])]
        if not len(table):
            out[name] = StudyNumber(np.nan, np.nan, np.nan, np.nan)
            continue
        value = float(table[:, 0].mean())
        deviation = float(table[:, 0].std(ddof=1)) if len(table) > 1 else np.nan
        defined = ~np.isnan(table[:, 1:])
        count = defined.sum(axis=0)
        sums = np.where(defined, table[:, 1:], 0.0).sum(axis=0)
        replicates = sums[count > 0] / count[count > 0]
        low = high = np.nan
        if 2 * len(replicates) > table.shape[1] - 1:
            tail = (1 - confidence_level) / 2
            low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
            if name == "ace":
                low, high = max(2 * value - high, 0.0), min(2 * value - low, 1.0)
        out[name] = StudyNumber(value, deviation, low, high)
    return out
