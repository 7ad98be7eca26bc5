"""Learned means and quantiles of the two sides of a residual."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from calib._border.typing import Float64Array, RandomState
from calib._border.warn import warn
from calib._core.heads import CONSTANT, FEWEST_ROWS, Heads, NetworkHeads, fit_heads
from uq.warnings import FewSideRowsWarning

IntervalKind: TypeAlias = Literal["hgb", "torch"]
INTERVAL_KINDS: tuple[IntervalKind, ...] = ("hgb", "torch")
ConsistencyKind: TypeAlias = Literal["mlp", "ridge", "torch"]
BoolArray: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
CONSISTENCY_KINDS: tuple[ConsistencyKind, ...] = ("mlp", "ridge", "torch")

#: Smallest positive head, as a share of the mean absolute residual.
FLOOR = 1e-6
#: Networks of scikit-learn: hidden units, rows per step, steps, fewest passes over the data.
UNITS, BATCH, STEPS, FEWEST_EPOCHS = 50, 64, 2000, 20


@dataclass(frozen=True)
class SideMeans:
    """Mean residuals given the inputs, in units of the target.

    Attributes
    ----------
    total : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Mean of ``|y - prediction|``.
    upper : ndarray of the same shape
        Mean of ``y - prediction`` where it is positive.
    lower : ndarray of the same shape
        Mean of ``prediction - y`` where it is not negative.
    """

    total: Float64Array
    upper: Float64Array
    lower: Float64Array


@dataclass(frozen=True)
class MeanHeads:
    """Heads of the three means, of residuals divided by `scale`."""

    total: Heads
    upper: Heads
    lower: Heads
    scale: float

    def means(self, inputs: Float64Array) -> SideMeans:
        """Return the means as learned; off the data they may be negative or contradictory."""
        sides = (self.total, self.upper, self.lower)
        return SideMeans(*(head.predict(inputs)[:, 0] * self.scale for head in sides))


@dataclass(frozen=True)
class IntervalHeads:
    """Positive heads: the three means, a quantile of each side, and the share above."""

    mean_heads: MeanHeads
    upper: Heads
    lower: Heads
    share: Heads
    n_rows: float

    def means(self, inputs: Float64Array) -> SideMeans:
        """Return the means, at least `FLOOR` of the scale."""
        learned, floor = self.mean_heads.means(inputs), FLOOR * self.mean_heads.scale
        sides = (learned.total, learned.upper, learned.lower)
        return SideMeans(*(np.maximum(side, floor) for side in sides))

    def widths(self, inputs: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the quantiles of the upper and the lower side, at least `FLOOR` of the scale."""
        scale = self.mean_heads.scale
        upper, lower = (
            np.maximum(head.predict(inputs)[:, 0], FLOOR) * scale
            for head in (self.upper, self.lower)
        )
        return upper, lower

    def share_above(self, inputs: Float64Array) -> Float64Array:
        """Return the probability of the upper side, ``1 / (n_rows + 2)`` away from certainty."""
        least = 1.0 / (self.n_rows + 2.0)
        return np.asarray(np.clip(self.share.predict(inputs)[:, 0], least, 1.0 - least))


def fit_interval_heads(
    kind: IntervalKind,
    inputs: Float64Array,
    residual: Float64Array,
    weight: Float64Array | None,
    *,
    level: float,
    random: np.random.RandomState,
) -> IntervalHeads:
    """Fit three means and a share by squared error, two quantiles by the pinball loss.

    Parameters
    ----------
    kind : {"hgb", "torch"}
    inputs : ndarray of shape (n_rows, n_inputs)
    residual : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,) or None
        Positive.
    level : float
        Of the quantiles, in (0, 1).
    random : RandomState
        Of networks.

    Warns
    -----
    FewSideRowsWarning
        If a side has fewer than `FEWEST_ROWS` rows; its heads are then constant.
    """
    above, scale = residual > 0, _scale(residual, weight)
    size = (np.abs(residual) / (scale or 1.0))[:, None]
    sides = {"above": above, "below": ~above}
    starved = {name: int(rows.sum()) for name, rows in sides.items() if rows.sum() < FEWEST_ROWS}
    if starved:
        warn(
            " and ".join(f"{n} residuals {name}" for name, n in starved.items())
            + f" the predictions, {FEWEST_ROWS} are needed to learn from inputs: widths are "
            f"constant there. Use more rows, or a model that is not biased to one side",
            FewSideRowsWarning,
        )

    def fit(rows: BoolArray, target: Float64Array, q: float | None = None) -> Heads:
        row_weight = None if weight is None else weight[rows]
        return fit_heads(
            kind, inputs[rows], target[rows], row_weight, quantile=q, random_state=random
        )

    everywhere = np.ones(len(residual), dtype=bool)
    means = MeanHeads(fit(everywhere, size), fit(above, size), fit(~above, size), scale)
    widths = fit(above, size, level), fit(~above, size, level)
    share = fit(everywhere, above[:, None].astype(np.float64))
    n_rows = float(len(residual) if weight is None else weight.sum())
    return IntervalHeads(means, *widths, share, n_rows)


def fit_consistency_heads(
    kind: ConsistencyKind,
    inputs: Float64Array,
    residual: Float64Array,
    weight: Float64Array | None,
    *,
    random: np.random.RandomState,
) -> MeanHeads:
    """Fit the three means by separate heads with linear outputs, free to contradict each other.

    Parameters
    ----------
    kind : {"mlp", "ridge", "torch"}
        scikit-learn's network, linear heads, torch's network.
    inputs, residual, weight, random
        As for `fit_interval_heads`.
    """
    above, scale = residual > 0, _scale(residual, weight)
    size = (np.abs(residual) / (scale or 1.0))[:, None]
    heads: list[Heads] = []
    for rows in (np.ones(len(residual), dtype=bool), above, ~above):
        row_weight = None if weight is None else weight[rows]
        if kind == "mlp":
            heads.append(_fit_mlp(inputs[rows], size[rows], row_weight, random))
        else:
            heads.append(fit_heads(kind, inputs[rows], size[rows], row_weight, random_state=random))
    return MeanHeads(heads[0], heads[1], heads[2], scale)


def _scale(residual: Float64Array, weight: Float64Array | None) -> float:
    return float(np.average(np.abs(residual), weights=weight)) if len(residual) else 0.0


def _fit_mlp(
    inputs: Float64Array, target: Float64Array, weight: Float64Array | None, random: RandomState
) -> Heads:
    """Fit scikit-learn's network for a fixed number of steps and keep its arrays."""
    if len(inputs) < FEWEST_ROWS:
        return fit_heads("hgb", inputs, target, weight)
    peak = np.abs(inputs).max(axis=0)
    peak = np.where(peak > 0, peak, 1.0)  # squares of large inputs overflow
    centre, unit = inputs.mean(axis=0), (inputs / peak).std(axis=0)
    unit = np.where(unit > CONSTANT, unit, 1.0) * peak
    batch = min(BATCH, len(inputs))
    epochs = max(FEWEST_EPOCHS, STEPS * batch // len(inputs))
    from sklearn.neural_network import MLPRegressor  # slow to load

    model = MLPRegressor(
        hidden_layer_sizes=(UNITS,),
        alpha=1e-4,
        batch_size=batch,
        max_iter=epochs,
        n_iter_no_change=epochs,
        tol=0.0,
        random_state=check_random_state(random).randint(2**31 - 1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is the method
        if weight is None:
            model.fit((inputs - centre) / unit, target[:, 0])
        else:
            model.fit((inputs - centre) / unit, target[:, 0], sample_weight=weight / weight.mean())
    layers = tuple(zip(model.coefs_, model.intercepts_, strict=True))
    return NetworkHeads(centre, unit, layers, np.ones(1))
