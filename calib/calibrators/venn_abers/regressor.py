"""Venn-ABERS prediction for numbers: calibrated intervals and distributions from any regressor."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import to_numpy
from calib._border.checks import check_integer, check_option, describe
from calib._border.labels import check_same_length, check_vector, check_weight
from calib._border.sklearn_compat import check_features
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import as_numbers, check_matrix
from calib.calibrators.venn_abers.bridge import StepTables, step_tables


class VennAbersRegressor(BaseEstimator):  # type: ignore[misc]
    """Calibrate the predictions of a regressor by adding the test sample with extreme labels.

    An isotonic fit of the labels on the predictions is made with the test sample labelled at the
    lower bound A and once at the upper bound B. Its two values enclose the value for every label
    between, and the one for the true label is calibrated: if samples are exchangeable,
    ``E[Y | value] = value`` exactly.

    Parameters
    ----------
    bounds : tuple of (float, float), default=None
        A <= B, limits that every label keeps. None takes the `order`-th smallest and largest
        calibration label, and clips labels to them; a new continuous label then lies inside with
        probability at least ``1 - 2 order / (n + 1)``, and the guarantee is for the clipped label.
    order : int, default=1
        Which order statistics serve as bounds, >= 1; used for ``bounds=None`` only.
    point : {"minimax", "midpoint"}, default="minimax"
        Prediction between the two ends: equal worst-case regret in squared error over the labels A
        and B, or the middle.
    thresholds : array-like of shape (n_thresholds,), default=None
        Values t, in units of y, at which `predict_cdf` gives bounds of P(Y <= t).

    Attributes
    ----------
    bounds_ : tuple of (float, float)
        A and B.
    thresholds_ : ndarray of shape (n_thresholds,)
        Sorted thresholds.
    n_features_in_ : int
        1.

    Raises
    ------
    ValueError
        At fit, for empty or non-finite input, labels outside `bounds`, or unknown options.

    See Also
    --------
    VennAbersCalibrator : the same for classes.

    Notes
    -----
    O(n log n) to fit (per threshold), O(log n) to predict. The released ``venn-abers`` 1.5.4 gives
    other lower ends where scores are tied.

    References
    ----------
    L. van der Laan, A. M. Alaa, "Generalized Venn and Venn-Abers Calibration with Applications in
    Conformal Prediction", 2025, arXiv 2502.05676.
    I. Petej, V. Vovk, 2026, arXiv 2605.06646 (unbounded labels).

    Examples
    --------
    >>> from calib import VennAbersRegressor
    >>> s, y = [0.125, 0.25, 0.25, 0.5, 0.5, 0.75], [1.0, 2.0, 0.0, 3.0, 5.0, 4.0]
    >>> cal = VennAbersRegressor(bounds=(0, 5)).fit(s, y)
    >>> cal.predict_interval([0.2, 0.9]).round(3)
    array([[0.5  , 2.333],
           [3.   , 5.   ]])
    """

    bounds_: tuple[float, float]
    thresholds_: Float64Array
    n_features_in_: int

    def __init__(
        self,
        *,
        bounds: tuple[float, float] | None = None,
        order: int = 1,
        point: Literal["minimax", "midpoint"] = "minimax",
        thresholds: ArrayLike = None,
    ) -> None:
        self.bounds = bounds
        self.order = order
        self.point = point
        self.thresholds = thresholds

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Fit on predictions for held-out samples.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Predictions of a regressor that has not seen these samples; only their order matters.
        y : array-like of shape (n_samples,)
            True values.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; the test sample has weight 1.

        Returns
        -------
        self : object
        """
        check_option("point", self.point, ("minimax", "midpoint"))
        order = check_integer("order", self.order, low=1)
        scores = self._scores(X, reset=True)
        values = check_vector(y, "y")
        check_same_length(len(scores), len(values), "X", "y")
        labels = as_numbers(values, "y")
        weight = check_weight(sample_weight, len(scores))
        if weight is not None:
            kept = weight > 0
            scores, labels, weight = scores[kept], labels[kept], weight[kept]
        low, high = self._limits(labels, order)
        clipped = np.clip(labels, low, high)
        self.bounds_ = (low, high)
        self._tables: StepTables = step_tables([(scores, clipped, weight)], low=low, high=high)
        given = np.empty(0) if self.thresholds is None else np.asarray(self.thresholds, float)
        if given.ndim != 1 or not np.isfinite(given).all():
            raise ValueError(f"thresholds must be finite numbers; got {describe(self.thresholds)}")
        self.thresholds_ = np.unique(given)
        self._distribution: StepTables | None = None
        if len(self.thresholds_):
            below = [(labels <= t).astype(np.float64) for t in self.thresholds_]
            self._distribution = step_tables([(-scores, event, weight) for event in below])
        return self

    def predict(self, X: ArrayLike) -> Float64Array:
        """Return calibrated predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Predictions of the regressor.

        Returns
        -------
        values : ndarray of shape (n_samples,)
            In units of y, inside the interval.
        """
        interval = self.predict_interval(X)
        low, high = interval[:, 0], interval[:, 1]
        bottom, top = self.bounds_
        if self.point == "midpoint" or top == bottom:
            return np.asarray(0.5 * (low + high))
        upper_part = (top - bottom) ** 2 - (top - high) ** 2
        lower_part = (low - bottom) ** 2
        middle = bottom + (upper_part + lower_part) / (2 * (top - bottom))
        return np.clip(middle, low, high)

    def predict_interval(self, X: ArrayLike) -> Float64Array:
        """Return the isotonic values with the test sample labelled A and B.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Predictions of the regressor.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Bounds of the calibrated mean (not of the label itself), in units of y.
        """
        check_is_fitted(self)
        scores = self._scores(X, reset=False)
        return np.concatenate(self._tables.bounds(scores[:, None], np), axis=1)

    def predict_cdf(self, X: ArrayLike) -> Float64Array:
        """Return lower and upper bounds of the distribution function at each threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Predictions of the regressor.

        Returns
        -------
        cdf : ndarray of shape (n_samples, n_thresholds, 2)
            Bounds of P(Y <= t), non-decreasing in t. At each single threshold, before they are made
            monotone, one of the two is calibrated.

        Raises
        ------
        ValueError
            If no thresholds were given.
        """
        check_is_fitted(self)
        if self._distribution is None:
            raise ValueError("thresholds is None; pass thresholds=[...] and fit again")
        scores = -self._scores(X, reset=False)
        everywhere = np.broadcast_to(scores[:, None], (len(scores), len(self.thresholds_)))
        low, high = self._distribution.bounds(everywhere, np)
        low = np.maximum.accumulate(low, axis=1)
        high = np.minimum.accumulate(high[:, ::-1], axis=1)[:, ::-1]
        return np.stack([np.minimum(low, high), np.maximum(low, high)], axis=2)

    def _scores(self, X: ArrayLike, *, reset: bool) -> Float64Array:
        matrix = to_numpy(check_matrix(X, "X"))
        if matrix.shape[1] != 1:
            raise ValueError(
                f"X must hold one prediction per sample; got shape {matrix.shape}. Pass the output "
                f"of predict, not features"
            )
        check_features(self, matrix, reset=reset)
        return matrix[:, 0].astype(np.float64)

    def _limits(self, labels: Float64Array, order: int) -> tuple[float, float]:
        if self.bounds is None:
            if 2 * order > len(labels):
                raise ValueError(
                    f"order={order} needs at least {2 * order} labels; y has {len(labels)}"
                )
            ordered = np.sort(labels)
            return float(ordered[order - 1]), float(ordered[-order])
        try:
            low, high = (float(bound) for bound in self.bounds)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"bounds must be two numbers or None; got {describe(self.bounds)}"
            ) from error
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise ValueError(f"bounds must be finite and ascending; got {describe(self.bounds)}")
        if labels.min() < low or labels.max() > high:
            raise ValueError(
                f"y has values outside bounds ({low}, {high}): min={labels.min():.6g}, "
                f"max={labels.max():.6g}; widen the bounds or pass bounds=None"
            )
        return low, high
