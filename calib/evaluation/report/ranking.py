"""Which models may be the best, and which are worse than a reference, beyond chance.

Comparisons with the best: a model stays in the set unless another one is better by more than the
largest difference that chance makes among all of them. The critical value belongs to the candidate,
so that the truly best model is lost with a bounded chance however many models there are.

S. S. Gupta. On Some Multiple Decision (Selection and Ranking) Rules. Technometrics 7, 1965.
J. C. Hsu. Constrained Simultaneous Confidence Intervals for Multiple Comparisons with the Best.
Annals of Statistics 12, 1984.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.typing import Float64Array, LabelArray

#: What `uq` ranks with, too.
__all__ = ["Ranking", "rank"]

#: Differences smaller than this share of the numbers compared are none.
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True, eq=False)
class Ranking:
    """Models compared with the best of them in one measure, smaller being better.

    Attributes
    ----------
    order : ndarray of int, shape (n_models,)
        Models from best to worst.
    may_be_best : ndarray of bool, shape (n_models,)
        Whether a model cannot be told from the best at the level asked for.
    behind_at_least : ndarray of shape (n_models,)
        Lower bound of the distance to the best; above 0 exactly outside the set.
    p_value : ndarray of shape (n_models,)
        Share of draws in which chance puts a model that is best that far behind.
    """

    order: LabelArray
    may_be_best: LabelArray
    behind_at_least: Float64Array
    p_value: Float64Array


def rank(values: Float64Array, draws: Float64Array, confidence_level: float) -> Ranking:
    """Compare models with the best of them.

    Parameters
    ----------
    values : ndarray of shape (n_models,)
        The measure, smaller being better.
    draws : ndarray of shape (n_draws, n_models)
        The measure on draws that all models share; only their spread about their mean counts.
    confidence_level : float in (0, 1)
        Chance, at least, that the truly best model is in the set.
    """
    noise = draws - draws.mean(axis=0)
    n_draws, n_models = noise.shape
    scale = np.abs(values).max(initial=0.0) * _NEGLIGIBLE
    behind, p_value = np.zeros(n_models), np.ones(n_models)
    for j in range(n_models):
        gap = values[j] - values
        gap[np.abs(gap) <= scale] = 0.0
        apart = noise[:, [j]] - noise
        spread = apart.std(axis=0, ddof=1)
        others = spread > scale
        certain = float(np.max(gap[~others], initial=0.0))  # better in every draw alike
        ratio = float(np.max(gap[others] / spread[others], initial=0.0))
        largest = np.max(apart[:, others] / spread[others], axis=1, initial=0.0)
        critical = float(np.quantile(largest, confidence_level, method="weibull"))
        reach = float(np.max(gap[others] - critical * spread[others], initial=0.0))
        behind[j] = max(certain, reach, 0.0)
        above = np.count_nonzero(largest >= ratio) + 1
        p_value[j] = 1.0 / (n_draws + 1) if certain > 0 else above / (n_draws + 1)
    inside = behind <= 0.0
    closed = values <= values[inside].max(initial=-np.inf)  # nobody behind while a worse one is not
    behind[closed] = 0.0
    return Ranking(np.argsort(values, kind="stable"), closed, behind, p_value)


@dataclass(frozen=True, eq=False)
class Worsening:
    """Measures of models that are worse than those of a reference, all of them one family.

    Attributes
    ----------
    worse : ndarray of bool, shape (n_models, n_measures)
    at_least : ndarray of shape (n_models, n_measures)
        Lower bound of the worsening; above 0 exactly where it is more than chance.
    """

    worse: LabelArray
    at_least: Float64Array


def worse_than_reference(
    excess: Float64Array, draws: Float64Array, confidence_level: float
) -> Worsening:
    """Return which measures are worse than those of a reference, beyond chance.

    Parameters
    ----------
    excess : ndarray of shape (n_models, n_measures)
        How much worse each measure is than that of the reference; negative where it is better.
    draws : ndarray of shape (n_draws, n_models, n_measures)
        The same on paired draws.
    confidence_level : float in (0, 1)
        Chance, at least, that none is called worse that is not.
    """
    noise = draws - draws.mean(axis=0)
    spread = noise.std(axis=0, ddof=1)
    moving = spread > _NEGLIGIBLE
    ratios = noise[:, moving] / spread[moving]
    critical = float(
        np.quantile(ratios.max(axis=1, initial=0.0), confidence_level, method="weibull")
    )
    reach = np.where(moving, excess - critical * spread, np.where(excess > _NEGLIGIBLE, excess, 0))
    at_least = np.maximum(reach, 0.0)
    return Worsening(at_least > 0.0, at_least)


def draws_of_means(
    losses: Float64Array,
    weight: Float64Array | None,
    groups: LabelArray | None,
    n_draws: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Return draws of weighted means from the law that they have in large samples.

    Means of paired losses are jointly normal, with the covariance of the sums over samples or
    groups; drawing from it costs no pass over the samples.

    Parameters
    ----------
    losses : ndarray of shape (n_samples, n_models)
    weight : ndarray of shape (n_samples,) or None
    groups : ndarray of int, shape (n_samples,) or None
        Codes of groups from 0.
    n_draws : int
    rng : Generator
    """
    n_samples, n_models = losses.shape
    mass = np.full(n_samples, 1.0 / n_samples) if weight is None else weight / weight.sum()
    mean = mass @ losses
    parts = (losses - mean) * mass[:, None]
    if groups is not None:
        n_groups = int(groups.max()) + 1
        parts = np.column_stack([np.bincount(groups, part, minlength=n_groups) for part in parts.T])
    n_units = len(parts)
    covariance = parts.T @ parts * (n_units / max(n_units - 1, 1))
    variance, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(mean + rng.standard_normal((n_draws, n_models)) @ root.T)
