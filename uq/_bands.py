"""What conformal regression puts its margins on: a point or a pair of quantiles, and a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._core.namespace import to_numpy
from calib._core.reading import read_array
from calib._core.responses import fit_on_rows
from calib._core.sklearn_compat import take_rows
from uq.warnings import CrossingQuantilesWarning

Score: TypeAlias = Literal["absolute", "normalised", "quantile"]

#: Residuals below this share of their mean count as this share: a scale is never 0.
SCALE_FLOOR = 1e-6
#: Folds of the residuals that a scale model learns from.
SCALE_FOLDS = 5


@dataclass(frozen=True)
class Ends:
    """Predictions to which conformal margins are added.

    Attributes
    ----------
    low, high : ndarray of shape (n_samples,)
        Equal for point models.
    scale : ndarray of shape (n_samples,) or None
        Unit of the margin, > 0; None means 1.
    """

    low: Float64Array
    high: Float64Array
    scale: Float64Array | None

    def scores(self, y: Float64Array) -> Float64Array:
        """Return how far y lies below the lower and above the upper end, in units of the scale."""
        signed = np.stack([self.low - y, y - self.high], axis=1)
        return signed if self.scale is None else signed / self.scale[:, None]


@dataclass(frozen=True)
class Band:
    """Fitted models of one training set.

    Attributes
    ----------
    point : estimator
        Model of the prediction.
    quantiles : tuple of two estimators or None
        Models of the lower and upper end, where these are no points.
    scale : estimator or None
        Model of the scale.
    log_scale : tuple of (float, float) or None
        Range of the exponential of the scale model; None where it predicts the scale itself.
    """

    point: Any
    quantiles: tuple[Any, Any] | None = None
    scale: Any = None
    log_scale: tuple[float, float] | None = None

    def predict(self, X: Any) -> Float64Array:
        """Return point predictions."""
        return predictions(self.point, X)

    def ends(self, X: Any) -> Ends:
        """Return both ends and the scale; crossing quantiles are exchanged, with a warning."""
        if self.quantiles is None:
            point = self.predict(X)
            return Ends(point, point, self._scale(X))
        low, high = (predictions(model, X) for model in self.quantiles)
        crossing = int((low > high).sum())
        if crossing:
            warn(
                f"the quantile models cross for {crossing} of {len(low)} samples; their lower and "
                f"upper ends were exchanged there (for calibration as for prediction, so coverage "
                f"holds)",
                CrossingQuantilesWarning,
            )
        return Ends(np.minimum(low, high), np.maximum(low, high), None)

    def _scale(self, X: Any) -> Float64Array | None:
        if self.scale is None:
            return None
        raw = predictions(self.scale, X)
        if self.log_scale is not None:
            low, high = self.log_scale
            return np.exp(np.clip(raw, np.log(low), np.log(high)))
        if not (raw > 0).all():
            row = int(np.argmax(raw <= 0))
            raise ValueError(
                f"a frozen scale_estimator has to predict scales > 0; got {raw[row]} in row {row}"
            )
        return raw


def predictions(model: Any, X: Any) -> Float64Array:
    """Return the predictions of a model as one finite number per sample."""
    answer = to_numpy(read_array(model.predict(X), "predictions")).astype(np.float64)
    if answer.ndim == 2 and answer.shape[1] == 1:
        answer = answer[:, 0]
    name = type(model).__name__
    if answer.ndim != 1:
        raise ValueError(
            f"{name} predicts arrays of shape {answer.shape}; one number per sample is needed"
        )
    if not np.isfinite(answer).all():
        row = int(np.argmin(np.isfinite(answer)))
        raise ValueError(f"{name} predicts NaN or inf (row {row}); intervals need finite numbers")
    return answer


def is_frozen(estimator: Any) -> bool:
    """Tell whether an estimator, or every member of a tuple of them, is frozen."""
    members = estimator if isinstance(estimator, (tuple, list)) else [estimator]
    return all(isinstance(member, FrozenEstimator) for member in members)


def fit_band(
    estimator: Any,
    score: Score,
    X: Any,
    y: LabelArray,
    weight: Float64Array | None,
    rows: IntArray | None,
    *,
    quantiles: tuple[float, float],
    scale_estimator: Any,
) -> Band:
    """Fit the models of a score on the selected rows (frozen ones are taken as they are)."""
    if score == "quantile":
        low, point, high = (
            fit_on_rows(member, X, y, weight, rows)
            for member in quantile_members(estimator, quantiles)
        )
        return Band(point, (low, high))
    point = fit_on_rows(estimator, X, y, weight, rows)
    if score == "absolute":
        return Band(point)
    if is_frozen(scale_estimator):
        return Band(point, scale=scale_estimator)
    rows = np.arange(len(y)) if rows is None else rows
    return with_scale(point, scale_estimator, X, rows, _held_out(estimator, X, y, weight, rows))


def with_scale(
    point: Any, scale_estimator: Any, X: Any, rows: IntArray, residuals: Float64Array
) -> Band:
    """Fit a scale model to the logarithms of absolute residuals."""
    size = np.abs(residuals)
    mean = float(size.mean())
    floor = max(SCALE_FLOOR * mean, np.finfo(np.float64).tiny)
    logs = np.log(np.maximum(size, floor))
    model = clone(scale_estimator).fit(take_rows(X, rows), logs)
    return Band(point, scale=model, log_scale=(floor, max(float(size.max()), floor)))


def _held_out(
    estimator: Any, X: Any, y: LabelArray, weight: Float64Array | None, rows: IntArray
) -> Float64Array:
    """Return residuals of models that have not seen the samples."""
    if len(rows) < 2:
        raise ValueError(
            f"conformity_score='normalised' needs at least 2 training samples; got {len(rows)}"
        )
    residuals = np.empty(len(rows))
    for train, test in KFold(min(SCALE_FOLDS, len(rows))).split(rows):
        model = fit_on_rows(estimator, X, y, weight, rows[train])
        held_out = rows[test]
        residuals[test] = y[held_out] - predictions(model, take_rows(X, held_out))
    return residuals


def quantile_members(estimator: Any, quantiles: tuple[float, float]) -> tuple[Any, Any, Any]:
    """Return unfitted models of the lower quantile, the median and the upper quantile."""
    if isinstance(estimator, (tuple, list)):
        if len(estimator) != 3:
            raise ValueError(
                f"estimator must be a quantile regressor or three models (low, median, high); got "
                f"{len(estimator)}"
            )
        return estimator[0], estimator[1], estimator[2]
    name = _quantile_parameter(estimator)
    low, median, high = (
        clone(estimator).set_params(**{name: level}) for level in (quantiles[0], 0.5, quantiles[1])
    )
    return low, median, high


def _quantile_parameter(estimator: Any) -> str:
    """Return the parameter that sets the quantile level of a quantile regressor."""
    prefix, model = "", estimator
    while isinstance(model, Pipeline):
        step, model = model.steps[-1]
        prefix += f"{step}__"
    parameters = model.get_params()
    loss = parameters.get("loss", parameters.get("objective"))
    if "quantile" in parameters and loss in (None, "quantile"):
        return prefix + "quantile"
    if "alpha" in parameters and loss == "quantile":
        return prefix + "alpha"
    if "quantile_alpha" in parameters and loss == "reg:quantileerror":
        return prefix + "quantile_alpha"
    raise ValueError(
        f"conformity_score='quantile' needs a quantile regressor; {type(model).__name__} with loss "
        f"{loss!r} has no quantile level that could be set. Pass loss='quantile' (or its like), or "
        f"three models (low, median, high)"
    )
