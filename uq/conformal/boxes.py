"""Conformal boxes: margins around detected boxes that hold the true one at a chosen rate."""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_option
from calib._border.labels import check_same_length, unit_codes
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.validation import number_matrix
from calib._border.warn import warn
from uq.conformal.quantiles import (
    check_level,
    join_passed,
    quantile_of_sorted,
    report_small,
    samples_needed,
)
from uq.warnings import UnmatchedBoxesWarning

#: Signs that turn ``predicted - true`` into how far the true side lies outside the predicted one.
OUTWARD = np.array([1.0, 1.0, -1.0, -1.0])
#: Pairs that overlap by less, in the middle, were hardly matched; by more, they were.
LEAST_OVERLAP, MATCHED = 0.1, 0.5
#: Ratio of the sizes of a pair that is no error of a detector.
OTHER_SIZE = 5.0
#: Pairs among which another order is looked for.
SAMPLE_PAIRS = 200
#: Ratio of sizes that is no ratio of boxes but of units.
OTHER_UNIT = 50.0


class ConformalBoxes(BaseEstimator):  # type: ignore[misc]
    """Enlarge (or shrink) detected boxes so that they hold (or are held by) the true ones.

    Errors of matched pairs of predicted and true boxes set the margins. If the pairs of calibration
    and those to come are exchangeable, the promise holds at the stated rate, for any detector and
    **given that an object was matched**: it says nothing about missed objects.

    Parameters
    ----------
    method : {"max", "bonferroni", "marginal", "iou"}, default="max"
        ``"max"``: one margin for all sides, from the worst side of each box; all four sides are
        right together at the level. ``"bonferroni"``: a margin per side at a quarter of the error
        rate; right together at the level too, wider if errors of sides go together, narrower if
        sides differ. ``"marginal"``: a margin per side; each side alone is right at the level, the
        box as a whole is not. ``"iou"``: one number, the intersection over union that is reached
        at the level, and the box that holds every box which reaches it.
    unit : {"pixels", "size"}, default="pixels"
        Margins in pixels, or in shares of the predicted width (x sides) and height (y sides).
        Unused by ``"iou"``, which is relative by nature.
    small : {"infinite", "raise"}, default="infinite"
        What to do where the calibration set is too small for a finite margin: an infinite box
        (valid) with a warning, or an error.

    Attributes
    ----------
    errors_ : ndarray of shape (n_units, 4)
        Per pair (per image with `image_id`): how far the true box reaches beyond each side of the
        predicted one, in the unit; negative inside. The largest of an image.
    inner_errors_ : ndarray of shape (n_units, 4)
        The same for the predicted box beyond the true one.
    overlap_ : ndarray of shape (n_units,)
        Intersection over union of the pair; the smallest of an image.
    n_calibration_ : int
        Number of exchangeable units: pairs, or images.

    Raises
    ------
    ValueError
        At fit, for boxes that are not finite corners ``x1, y1, x2, y2`` with ``x2 >= x1`` and
        ``y2 >= y1``, unequal lengths, an unknown option, or predicted boxes without area where
        errors are relative.

    Warns
    -----
    SmallCalibrationSetWarning
        At prediction, if margins are infinite.
    UnmatchedBoxesWarning
        At fit, if half of the pairs hardly overlap and sizes taken for corners, another unit or
        another order of rows explains it; at prediction, if boxes are more than 50 times as large
        or as small as those of the fit.

    See Also
    --------
    ConformalRegressor : intervals for one number per sample.

    Notes
    -----
    With outward errors ``e = (x1^ - x1, y1^ - y1, x2 - x2^, y2 - y2^)`` (hats are predictions) and
    n units, the margin of ``"max"`` is the ``ceil((n + 1) level)``-th smallest ``max_i e_i``, that
    of ``"bonferroni"`` the one of each ``e_i`` at level ``1 - (1 - level) / 4``. Signed margins may
    shrink a box. A box b with ``IoU(b, p) >= t`` reaches at most ``w (1 - t) / t`` beyond an x side
    of p (width w) and holds all of p but ``w (1 - t)`` on each; y sides alike. Pairs of one image
    are not exchangeable with single pairs of another: pass `image_id`, and the promise is for
    **all** matched objects of a new image together. Fit and prediction are O(n log n) and O(n).

    References
    ----------
    F. de Grancey, J.-L. Adam, L. Alecu, S. Gerchinovitz, F. Mamalet, D. Vigouroux, "Object
    Detection with Probabilistic Guarantees: A Conformal Prediction Approach", SAFECOMP Workshops
    2022.
    L. Andeol, T. Fel, F. de Grancey, L. Mossina, "Confident Object Detection via Conformal
    Prediction and Conformal Risk Control", COPA 2023, arXiv 2304.06052.
    A. Timans, C.-N. Straehle, K. Sakmann, E. Nalisnick, "Adaptive Bounding Box Uncertainties via
    Two-Step Conformal Prediction", ECCV 2024, arXiv 2403.07263.

    Examples
    --------
    >>> import numpy as np
    >>> from uq import ConformalBoxes
    >>> rng = np.random.default_rng(0)
    >>> true = np.array([50.0, 50, 90, 120]) + rng.normal(0, 5, (200, 4))
    >>> found = true + rng.normal(0, 2, (200, 4))
    >>> boxes = ConformalBoxes().fit(found, true)
    >>> boxes.predict([[10, 10, 60, 80]], confidence_level=0.9).round(1)
    array([[ 6.5,  6.5, 63.5, 83.5]])
    """

    errors_: Float64Array
    inner_errors_: Float64Array
    overlap_: Float64Array
    n_calibration_: int

    def __init__(
        self,
        *,
        method: Literal["max", "bonferroni", "marginal", "iou"] = "max",
        unit: Literal["pixels", "size"] = "pixels",
        small: Literal["infinite", "raise"] = "infinite",
    ) -> None:
        self.method = method
        self.unit = unit
        self.small = small

    def fit(self, X: ArrayLike, y: ArrayLike, image_id: ArrayLike = None) -> Self:
        """Compute the errors of matched pairs.

        Parameters
        ----------
        X : array-like of shape (n_pairs, 4)
            Predicted boxes ``x1, y1, x2, y2`` in pixels, matched to a true one.
        y : array-like of shape (n_pairs, 4)
            The true box of each.
        image_id : array-like of shape (n_pairs,), default=None
            Image of each pair; the worst pair of an image then counts for the image.

        Returns
        -------
        self : object
        """
        check_option("method", self.method, ("max", "bonferroni", "marginal", "iou"))
        check_option("unit", self.unit, ("pixels", "size"))
        check_option("small", self.small, ("infinite", "raise"))
        predicted, true = _boxes(X, "X"), _boxes(y, "y")
        check_same_length(len(predicted), len(true), "X", "y")
        outward = OUTWARD * (predicted - true) / self._units(predicted)
        overlap = _overlap(predicted, true)
        errors, inner = outward, -outward
        if image_id is not None:
            image = unit_codes(image_id, len(predicted), "image_id", "X")
            errors, inner = _worst(errors, image), _worst(inner, image)
            overlap = -_worst(-overlap[:, None], image)[:, 0]
        self._warn_if_unmatched(predicted, true, overlap)
        self._size = float(np.median(_sizes(predicted)))
        self.errors_, self.inner_errors_, self.overlap_ = errors, inner, overlap
        self.n_calibration_ = len(errors)
        return self

    def predict(self, X: ArrayLike, confidence_level: float = 0.9) -> Float64Array:
        """Return boxes that hold the true ones.

        Parameters
        ----------
        X : array-like of shape (n_boxes, 4)
            Predicted boxes ``x1, y1, x2, y2`` in pixels; not cut at the borders of the image.
        confidence_level : float in (0, 1), default=0.9
            Probability that the true box lies inside (``"marginal"``: of each side alone).

        Returns
        -------
        boxes : ndarray of shape (n_boxes, 4)
            Corners in pixels; infinite where calibration pairs do not suffice.

        Raises
        ------
        ValueError
            For a level outside (0, 1), boxes that are none, or, with ``small="raise"``, an infinite
            margin.
        """
        check_is_fitted(self)
        predicted, level = self._predicted(X), check_level(confidence_level)
        if self.method == "iou":
            least = self._least_overlap(level)
            ratio = (1 - least) / least if least else math.inf
            margin = np.full_like(predicted, math.inf)
            if math.isfinite(ratio):
                margin = _sizes(predicted) * ratio
        else:
            margin = self._margins(self.errors_, level) * self._units(predicted)
        outer = predicted - OUTWARD * margin
        join_passed(outer[:, :2], outer[:, 2:])
        return outer

    def predict_inner(self, X: ArrayLike, confidence_level: float = 0.9) -> Float64Array:
        """Return boxes that the true ones hold.

        Parameters
        ----------
        X : array-like of shape (n_boxes, 4)
            Predicted boxes ``x1, y1, x2, y2`` in pixels.
        confidence_level : float in (0, 1), default=0.9
            Probability that the box lies inside the true one. To use inner and outer boxes
            together, ask each for ``1 - (1 - level) / 2``.

        Returns
        -------
        boxes : ndarray of shape (n_boxes, 4)
            Corners in pixels; NaN where no pixel is sure to belong to the object.

        Raises
        ------
        ValueError
            As `predict`.
        """
        check_is_fitted(self)
        predicted, level = self._predicted(X), check_level(confidence_level)
        if self.method == "iou":
            margin = _sizes(predicted) * (1 - self._least_overlap(level))
        else:
            margin = self._margins(self.inner_errors_, level) * self._units(predicted)
        inner = predicted + OUTWARD * margin
        inner[(inner[:, 2:] < inner[:, :2]).any(axis=1)] = np.nan
        return inner

    def minimum_iou(self, confidence_level: float = 0.9) -> float:
        """Return the intersection over union that a matched pair reaches at the level.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=0.9
            Probability that a new pair overlaps at least as much (all pairs of a new image, with
            `image_id`).

        Returns
        -------
        overlap : float
            In [0, 1]; 0 where calibration pairs do not suffice.

        Raises
        ------
        ValueError
            For a level outside (0, 1) or, with ``small="raise"``, too few pairs.
        """
        check_is_fitted(self)
        return self._least_overlap(check_level(confidence_level))

    # ------------------------------------------------------------------ private parts

    @staticmethod
    def _warn_if_unmatched(
        predicted: Float64Array, true: Float64Array, overlap: Float64Array
    ) -> None:
        """Warn if pairs hardly overlap and another reading of the boxes explains it."""
        middle = float(np.median(overlap))
        if middle >= MATCHED:
            return
        start = f"pairs of X and y overlap by {middle:.2f} in the middle"
        for name, boxes, others in (("X", predicted, true), ("y", true, predicted)):
            as_sizes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
            better = float(np.median(_overlap(as_sizes, others)))
            if better >= max(MATCHED, 0.3 + middle):
                text = f"{start}, but by {better:.2f} if {name} holds x, y, width, height"
                warn(f"{text}; pass corners x1, y1, x2, y2", UnmatchedBoxesWarning)
                return
        sizes = [float(np.median(_sizes(boxes))) for boxes in (predicted, true)]
        if middle < LEAST_OVERLAP and 0 < OTHER_SIZE * min(sizes) < max(sizes):
            warn(
                f"{start}, and their sizes are {sizes[0]:.3g} and {sizes[1]:.3g}: they may have "
                f"different units (normalised, pixels)",
                UnmatchedBoxesWarning,
            )
            return
        some = np.linspace(0, len(true) - 1, min(len(true), SAMPLE_PAIRS)).astype(np.intp)
        best = np.array(
            [_overlap(np.tile(predicted[row], (len(some), 1)), true[some]).max() for row in some]
        )
        better = float(np.median(best))
        if middle < LEAST_OVERLAP and better >= MATCHED:
            warn(
                f"{start}, but by {better:.2f} with the nearest box of another row: X and y may "
                f"have different orders of rows",
                UnmatchedBoxesWarning,
            )

    def _predicted(self, X: ArrayLike) -> Float64Array:
        predicted = _boxes(X, "X")
        size, fitted = float(np.median(_sizes(predicted))), getattr(self, "_size", 0.0)
        if min(size, fitted) > 0 and max(size / fitted, fitted / size) > OTHER_UNIT:
            warn(
                f"boxes of X measure {size:.3g} in the middle, those of the fit {fitted:.3g}; "
                f"X may have other units (normalised, pixels)",
                UnmatchedBoxesWarning,
            )
        return predicted

    def _units(self, predicted: Float64Array) -> Float64Array:
        if self.method == "iou" or self.unit == "pixels":
            return np.ones_like(predicted)
        size = _sizes(predicted)
        if not (size > 0).all():
            row = int(np.argmax((size <= 0).any(axis=1)))
            raise ValueError(
                f"X has a box without width or height in row {row}, {predicted[row].tolist()}; "
                f"unit='size' needs both. Drop such boxes or pass unit='pixels'"
            )
        return size

    def _margins(self, errors: Float64Array, level: float) -> Float64Array:
        """Return the margin of every side, in the unit."""
        if self.method == "max":
            margin = np.full(4, quantile_of_sorted(np.sort(errors.max(axis=1)), level))
        else:
            if self.method == "bonferroni":
                level = 1 - (1 - level) / 4
            ordered = np.sort(errors, axis=0)
            margin = np.array([quantile_of_sorted(ordered[:, i], level) for i in range(4)])
        if not np.isfinite(margin).all():
            self._too_small(level)
        return margin

    def _least_overlap(self, level: float) -> float:
        loss = quantile_of_sorted(np.sort(1 - self.overlap_), level)
        if math.isinf(loss):
            self._too_small(level)
            return 0.0
        return 1 - loss

    def _too_small(self, level: float) -> None:
        text = (
            f"{self.n_calibration_} calibration pairs (or images) do not suffice for level "
            f"{level:g} of a margin, which takes {samples_needed(level)}: margins are infinite"
        )
        report_small(text, self.small, "Lower the level or pass small='infinite'")


def _boxes(x: ArrayLike, name: str) -> Float64Array:
    """Return finite corners as float64."""
    array = number_matrix(x, name)
    if array.shape[1] != 4:
        raise ValueError(f"{name} must hold boxes x1, y1, x2, y2, shape (n, 4); got {array.shape}")
    wrong = (array[:, 2:] < array[:, :2]).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name} has a negative width or height in row {row}: {array[row].tolist()}; boxes are "
            f"corners x1, y1, x2, y2, not x, y, width, height"
        )
    return array


def _sizes(boxes: Float64Array) -> Float64Array:
    """Return width, height, width, height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([size, size], axis=1)


def _overlap(a: Float64Array, b: Float64Array) -> Float64Array:
    """Return the intersection over union of corresponding boxes; 0 where both have no area."""
    scale = np.maximum(np.abs(a), np.abs(b)).max(axis=1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)  # so that areas neither overflow nor vanish
    a, b = a / scale, b / scale
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def _worst(errors: Float64Array, image: IntArray) -> Float64Array:
    """Return the largest error of every image."""
    out = np.full((int(image.max()) + 1, errors.shape[1]), -np.inf)
    np.maximum.at(out, image, errors)
    return out
