"""All that is learned about the residuals of one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_fraction, check_option, describe, is_number
from calib._border.typing import Float64Array
from calib._border.warn import warn
from calib._core.heads import FEWEST_ROWS, Heads, fit_with_held_out
from uq.split_point.heads import (
    CONSISTENCY_KINDS,
    INTERVAL_KINDS,
    ConsistencyKind,
    IntervalHeads,
    IntervalKind,
    MeanHeads,
    SideMeans,
    fit_consistency_heads,
    fit_interval_heads,
)
from uq.split_point.identities import capped_inflation
from uq.split_point.intervals import CONFORMAL_MODES, ConformalMode, SideScores, scaled
from uq.split_point.residuals import RowSet
from uq.warnings import BiasedSplitPointWarning

#: A split point counts as biased if the mean residual is this share of the mean absolute one
#: and this many of its standard errors.
BIASED_SHARE, BIASED_ERRORS = 0.1, 4.0


@dataclass(frozen=True)
class SideOptions:
    """The estimator's parameters that concern one target."""

    heads: IntervalKind
    sds_heads: ConsistencyKind | None
    confidence_level: float
    conformal: ConformalMode
    inflation_cap: float | None
    recentre: bool

    @classmethod
    def checked(cls, **values: Any) -> SideOptions:
        """Return the options, or raise a ValueError that names a wrong one."""
        check_option("heads", values["heads"], INTERVAL_KINDS)
        check_option("sds_heads", values["sds_heads"], (*CONSISTENCY_KINDS, None))
        check_option("conformal", values["conformal"], CONFORMAL_MODES)
        check_option("recentre", values["recentre"], (True, False))
        level = check_fraction("confidence_level", values["confidence_level"])
        cap = _check_cap(values["inflation_cap"])
        return cls(**{**values, "confidence_level": level, "inflation_cap": cap})


def _check_cap(value: object) -> float | None:
    """Return the largest inflation, None for no inflation."""
    if value is None:
        return None
    if not is_number(value) or not 1 < float(value) < np.inf:
        raise ValueError(
            f"inflation_cap must be None or a number in (1, inf); got {describe(value)}"
        )
    return float(value)


@dataclass(frozen=True)
class SideModel:
    """Heads and conformal scores of one target."""

    options: SideOptions
    interval: IntervalHeads
    consistency: MeanHeads | None
    bias: Heads | None
    scores: SideScores | None

    def shift(self, inputs: Float64Array) -> Float64Array:
        """Return what is added to the prediction, shape (n_rows,)."""
        return np.zeros(len(inputs)) if self.bias is None else self.bias.predict(inputs)[:, 0]

    def consistency_means(self, inputs: Float64Array) -> SideMeans:
        """Return the means of the heads that are free to contradict each other."""
        if self.consistency is None:
            raise ValueError(
                "sds_heads=None fits no heads for self-consistency; pass sds_heads='mlp' and fit "
                "again"
            )
        return self.consistency.means(inputs)

    def half_widths(self, inputs: Float64Array, level: float) -> tuple[Float64Array, Float64Array]:
        """Return how far the interval reaches above and below the split point."""
        upper, lower = _widths(self.interval, inputs, self.options.inflation_cap)
        if self.scores is None:
            return upper, lower
        up, down = self.scores.factors(level, self.options.conformal)
        return scaled(upper, up), scaled(lower, down)


def fit_side_models(
    options: SideOptions, rows: RowSet, held: RowSet | None, random: np.random.RandomState
) -> tuple[SideModel, ...]:
    """Fit one model for each target; see `_fit_side_model`."""
    return tuple(
        _fit_side_model(options, rows.target(k), None if held is None else held.target(k), random)
        for k in range(rows.residual.shape[1])
    )


def _fit_side_model(
    options: SideOptions, rows: RowSet, held: RowSet | None, random: np.random.RandomState
) -> SideModel:
    """Learn from rows with out-of-sample residuals; scale by rows that nothing has seen.

    Parameters
    ----------
    options : SideOptions
    rows : RowSet
        Heads are fitted on them.
    held : RowSet or None
        Conformal calibration; None without it.
    random : RandomState

    Warns
    -----
    BiasedSplitPointWarning
        If the residuals of `rows` are far from averaging zero and no head corrects that.
    """
    bias = None
    if options.recentre and len(rows.inputs):
        kind, target = options.heads, rows.residual[:, None]
        bias, left_out = fit_with_held_out(
            kind, rows.inputs, target, rows.weight, random_state=random
        )
        rows = rows.shifted(left_out[:, 0])
        held = None if held is None else held.shifted(bias.predict(held.inputs)[:, 0])
    else:
        _warn_if_biased(rows)
    data = (rows.inputs, rows.residual, rows.weight)
    level = options.confidence_level
    interval = fit_interval_heads(options.heads, *data, level=level, random=random)
    consistency = None
    if options.sds_heads is not None:
        consistency = fit_consistency_heads(options.sds_heads, *data, random=random)
    scores = None
    if held is not None:
        upper, lower = _widths(interval, held.inputs, options.inflation_cap)
        scores = SideScores.of(held.residual, upper, lower, held.weight)
    return SideModel(options, interval, consistency, bias, scores)


def _widths(
    heads: IntervalHeads, inputs: Float64Array, cap: float | None
) -> tuple[Float64Array, Float64Array]:
    upper, lower = heads.widths(inputs)
    if cap is None:
        return upper, lower
    means = heads.means(inputs)
    up, down = capped_inflation(means.total, means.upper, means.lower, cap)
    return upper * up, lower * down


def _warn_if_biased(rows: RowSet) -> None:
    residual, weight = rows.residual, rows.weight
    if len(residual) < FEWEST_ROWS:
        return
    mean = float(np.average(residual, weights=weight))
    size = float(np.average(np.abs(residual), weights=weight))
    error = float(np.sqrt(np.average((residual - mean) ** 2, weights=weight) / len(residual)))
    if abs(mean) > max(BIASED_SHARE * size, BIASED_ERRORS * error):
        warn(
            f"the residuals average {mean:.4g} where their mean size is {size:.4g}: the split "
            f"point is not the conditional mean (a median, a robust loss, a transformed target, "
            f"or other data?). Intervals keep their coverage, but self-consistency measures this "
            f"bias; train with squared error, or pass recentre=True",
            BiasedSplitPointWarning,
        )
