"""Isotonic calibration: the best increasing map of the probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import Array, Domain, Float64Array, Namespace
from calib._core import links
from calib._core.fitted import SHARE, FittedArray
from calib._core.isotonic import Blocks, pool_adjacent_violators
from calib._core.scores import Scores
from calib.base import BaseCalibrator


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
    Equal scores are pooled first. Without `centred`, the map is constant on blocks and linear
    between the end of one block and the beginning of the next; beyond the outer scores it is
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

    _domain: ClassVar[Domain] = "proba"
    _fitted: ClassVar[tuple[str, ...]] = ("knots_", "values_", "smoothing_")
    _declared: ClassVar[Mapping[str, FittedArray]] = {
        "knots_": FittedArray(("problems", "knots"), ascending=True),
        "values_": FittedArray(("problems", "knots"), low=0.0, high=1.0, ascending=True),
        "smoothing_": SHARE,
    }
    _block_rows: ClassVar[int] = 4096
    soft_targets: ClassVar[bool] = True

    knots_: Float64Array
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

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        check_option("centred", self.centred, (True, False))
        check_option("smoothing", self.smoothing, (True, False))
        curves = []
        for k, column in enumerate(scores.columns()):
            if scores.n_classes == 2 and k == 0:
                continue  # the mirror image of the other
            t = target if scores.n_classes == 2 else target == k
            blocks = pool_adjacent_violators(column, t.astype(np.float64), weight)
            curves.append(_centred_knots(blocks) if self.centred else _step_knots(blocks))
        length = max(len(x) for x, _ in curves)
        self.knots_ = np.stack([np.pad(x, (0, length - len(x)), mode="edge") for x, _ in curves])
        self.values_ = np.stack([np.pad(v, (0, length - len(v)), mode="edge") for _, v in curves])
        total = scores.n_samples if weight is None else float(weight.sum())
        self.smoothing_ = 1.0 / (total + 1.0) if self.smoothing else 0.0

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        knots, values = fitted["knots_"], fitted["values_"]
        if scores.shape[1] == 2:
            q = links.interpolate(scores[:, 1], knots[0, :], values[0, :], xp)
            proba = xp.stack([1 - q, q], axis=1)
        else:
            mapped = [
                links.interpolate(scores[:, k], knots[k, :], values[k, :], xp)
                for k in range(scores.shape[1])
            ]
            proba = links.renormalise(xp.stack(mapped, axis=1), scores, xp)
        return links.smooth(proba, fitted["smoothing_"])


def _step_knots(blocks: Blocks) -> tuple[Float64Array, Float64Array]:
    """Two knots a block, one where the block holds a single score."""
    x = np.stack([blocks.first, blocks.last], axis=1)
    keep = np.stack([np.ones(len(x), dtype=bool), blocks.last > blocks.first], axis=1)
    return x[keep], np.repeat(blocks.value, 2)[keep.ravel()]


def _centred_knots(blocks: Blocks) -> tuple[Float64Array, Float64Array]:
    """One knot a block at its centre; blocks of value 0 or 1 keep both ends."""
    sure = ((blocks.value <= 0.0) | (blocks.value >= 1.0)) & (blocks.last > blocks.first)
    x = np.stack([np.where(sure, blocks.first, blocks.centre), blocks.last], axis=1)
    keep = np.stack([np.ones(len(x), dtype=bool), sure], axis=1)
    return x[keep], np.repeat(blocks.value, 2)[keep.ravel()]
