"""Isotonic calibration: the best increasing map of the probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, Namespace
from calib._core import links
from calib._core.fitted_map import SHARE, FittedArray, MapTraits
from calib._core.isotonic import Blocks, Points, ascending, pool_adjacent_violators
from calib._core.rows import ColumnsOf, RankedScores, Rows, classes_against_rest
from calib.base import BaseCalibrator


def _complements(fitted: Mapping[str, Any]) -> Float64Array:
    """Return the complements that knots alone stand for."""
    return np.asarray(1.0 - np.asarray(fitted["knots_"]))


class IsotonicCalibrator(BaseCalibrator):
    """Fit an increasing function of each class's probability by least squares.

    Follows any monotone distortion, at the price of a few thousand labels and of merging scores
    that fall into one block (so rankings gain ties). Beyond two classes every class is fitted
    against the rest and rows are renormalised. It works on *probabilities* whatever `input` says:
    one-vs-rest on raw multiclass logits makes good scores worse.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    centred : bool, default=False
        Centred isotonic regression (CIR): each block becomes one knot at its weighted mean score,
        so the map rises strictly between knots instead of in steps; usually the better choice.
        Blocks of value exactly 0 or 1 stay flat.
    smoothing : bool, default=True
        Mix the output with the uniform distribution at a share of ``1 / (n + 1)`` (n samples, or
        their total weight). Without it a probability can be exactly 0 and the log loss infinite.

    Attributes
    ----------
    knots_, values_ : ndarray of shape (1, n_knots) or (n_classes, n_knots)
        Scores (in [0, 1]) and calibrated values of the piecewise linear map; one row for two
        classes (that of ``classes_[1]``), else one a class. Rows are filled up by repeating their
        last knot.
    complements_ : ndarray of shape (1, n_knots) or (n_classes, n_knots)
        1 minus the knots, which tell scores apart that are 1 to working precision.
    unit_ : float
        Number that logits are divided by first: 1 unless they are on another scale than
        log-probabilities (decision scores), then their standard deviation.
    smoothing_ : float
        Share of the uniform distribution in the output, in [0, 1).
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses or an unknown option.

    See Also
    --------
    PlattCalibrator : two parameters, for small calibration sets.

    Notes
    -----
    Scores are ordered by their odds, in which neither p nor 1 - p is lost to rounding: decision
    scores of any scale keep their ranking up to the blocks, and the order of two classes does not
    matter. Equal scores are pooled first. Without `centred`, the map is constant on blocks and
    linear between the end of one block and the beginning of the next; beyond the outer scores it is
    constant. A row in which every class is mapped to 0 keeps its uncalibrated probabilities.
    O(K n log n).

    References
    ----------
    B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002, doi 10.1145/775047.775151.
    A. P. Oron, N. Flournoy, "Centered Isotonic Regression: Point and Interval Estimation for
    Dose-Response Studies", Statistics in Biopharmaceutical Research 9(3), 2017, arXiv 1701.05964.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import IsotonicCalibrator
    >>> p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])  # of the positive class
    >>> cal = IsotonicCalibrator(smoothing=False).fit(p, [0, 1, 0, 0, 1, 1])
    >>> cal.transform(np.array([0.05, 0.25, 0.5]))[:, 1].round(3)
    array([0.   , 0.333, 0.667])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "knots_": FittedArray(("problems", "knots"), ascending=True),
            "values_": FittedArray(("problems", "knots"), low=0.0, high=1.0, ascending=True),
            "smoothing_": SHARE,
            "complements_": replace(SHARE.of_shape("problems", "knots"), absent=_complements),
        },
        domain="proba",
        double=True,
        block_rows=4096,
        rescales_from=2,
    )
    _by_rank: ClassVar[bool] = True
    _least_per_class: ClassVar[int] = 10
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    knots_: Float64Array
    complements_: Float64Array
    values_: Float64Array
    smoothing_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        centred: bool = False,
        smoothing: bool = True,
    ) -> None:
        super().__init__(input=input)
        self.centred = centred
        self.smoothing = smoothing

    def _fit_rows(self, rows: Rows) -> None:
        check_option("centred", self.centred, (True, False))
        check_option("smoothing", self.smoothing, (True, False))
        n_problems = 1 if rows.n_classes == 2 else rows.n_classes
        problems = rows.ordered(n_problems, classes_against_rest)
        curves = [_curve(part, self.centred) for part in problems]
        length = max(len(curve[0]) for curve in curves)
        self.knots_, self.complements_, self.values_ = (
            np.stack([np.pad(x, (0, length - len(x)), mode="edge") for x in rows])
            for rows in zip(*curves, strict=True)
        )
        self.smoothing_ = 1.0 / (rows.total + 1.0) if self.smoothing else 0.0

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        tables = fitted["knots_"], fitted["complements_"], fitted["values_"]
        if scores.shape[1] == 2:
            q = links.interpolate_pairs((scores[:, 1:], scores[:, :1]), tables, xp)
            proba = xp.concat([1 - q, q], axis=1)
        else:
            mapped = links.interpolate_pairs((scores, links.complements(scores, xp)), tables, xp)
            proba = links.renormalise(mapped, scores, xp)
        return links.smooth(proba, fitted["smoothing_"])


def _curve(part: RankedScores, centred: bool) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Fit one class; return probabilities and complements of the knots, and values."""
    pair, weight = part.columns, part.weight
    blocks = pool_adjacent_violators(_points(pair, len(part.target)), part.target, weight)
    first, last, wide = pair(blocks.first), pair(blocks.last), blocks.wide
    if centred:  # one knot a block at its centre; blocks of value 0 or 1 keep both ends
        wide = wide & ((blocks.value <= 0.0) | (blocks.value >= 1.0))
        p, q = _means(pair, blocks, weight)
        first = np.where(wide, first[0], p), np.where(wide, first[1], q)
    keep = np.stack([np.ones(len(wide), dtype=bool), wide], axis=1)
    knots, complements = (
        np.stack([x, end], axis=1)[keep] for x, end in zip(first, last, strict=True)
    )
    return knots, complements, np.repeat(blocks.value, 2)[keep.ravel()]


def _points(pair: ColumnsOf, n_samples: int) -> Points:
    """Sort the rows by the odds of a class."""
    key = np.empty(n_samples)
    for rows in row_blocks(n_samples, 2):
        p, q = pair(rows)
        key[rows] = links.signed_odds(p, q, np)
    return ascending(key)


def _means(
    pair: ColumnsOf, blocks: Blocks, weight: Float64Array | None
) -> tuple[Float64Array, Float64Array]:
    """Return the weighted mean probability and complement of each block, inside the block."""
    n_samples = len(blocks.order)
    both = np.empty((2, n_samples))
    for rows in row_blocks(n_samples, 2):
        both[:, rows] = pair(blocks.order[rows])
    ends = both[:, blocks.start], both[:, np.append(blocks.start[1:], n_samples) - 1]
    if weight is None:
        mass = np.diff(blocks.start, append=n_samples).astype(np.float64)
    else:
        ordered = weight[blocks.order]
        both *= ordered
        mass = np.add.reduceat(ordered, blocks.start)
    p, q = (np.add.reduceat(x, blocks.start) / mass for x in both)
    low, high = np.minimum(*ends), np.maximum(*ends)
    return np.clip(p, low[0], high[0]), np.clip(q, low[1], high[1])
