"""What conformal regression puts its margins on: a point or a pair of quantiles, and a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import is_number
from calib._border.sklearn_compat import take_rows
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.validation import as_numbers
from calib._border.warn import warn
from calib._core.estimators.fit_parameters import FitParameters
from calib._core.estimators.out_of_fold import (
    Fold,
    fit_on_rows,
    folds_of,
    is_frozen,
    predict_out_of_fold,
)
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
    point : ndarray of shape (n_samples,) or None
        Point prediction between the two; None where it is both.
    """

    low: Float64Array
    high: Float64Array
    scale: Float64Array | None
    point: Float64Array | None = None

    def scores(self, y: Float64Array) -> Float64Array:
        """Return how far y lies below the lower and above the upper end, in units of the scale."""
        signed = np.stack([self.low - y, y - self.high], axis=1)
        return signed if self.scale is None else signed / self.scale[:, None]


@dataclass(frozen=True)
class Band:
    """Fitted models of one training set.

    Attributes
    ----------
    point : estimator or None
        Model of the prediction; None means the middle of two quantiles.
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
        """Return point predictions; those of a median lie between the quantiles."""
        if self.quantiles is None:
            return predictions(self.point, X)
        point = self.ends(X, quiet=True).point
        assert point is not None
        return point

    def ends(self, X: Any, *, quiet: bool = False) -> Ends:
        """Return both ends and the scale; crossing quantiles are exchanged, with a warning."""
        if self.quantiles is None:
            point = self.predict(X)
            return Ends(point, point, self.scale_at(X))
        low, high = (predictions(model, X) for model in self.quantiles)
        crossing = int((low > high).sum())
        if crossing and not quiet:
            warn(
                f"the quantile models cross for {crossing} of {len(low)} samples; their lower and "
                f"upper ends were exchanged there (for calibration as for prediction, so coverage "
                f"holds)",
                CrossingQuantilesWarning,
            )
        low, high = np.minimum(low, high), np.maximum(low, high)
        middle = 0.5 * low + 0.5 * high
        point = middle if self.point is None else np.clip(predictions(self.point, X), low, high)
        return Ends(low, high, None, point)

    def check_order(self, X: Any) -> None:
        """Raise if one of the outer models predicts between the others where the middle should."""
        if self.quantiles is None or self.point is None:
            return
        models = (self.quantiles[0], self.point, self.quantiles[1])
        answers = np.stack([predictions(model, X) for model in models])
        spread = np.ptp(answers, axis=0) > 0
        middle = np.argsort(answers, axis=0, kind="stable")[1, spread]
        shares = np.bincount(middle, minlength=3) / max(len(middle), 1)
        first = int(shares.argmax())
        if first != 1 and shares[first] > 0.5 and shares[1] < 0.5:
            place = ("first", "second", "third")[first]
            raise ValueError(
                f"estimator must be three models in the order (low, median, high), but the {place} "
                f"one predicts between the other two for {shares[first]:.0%} of the calibration "
                f"samples; put it in the middle"
            )

    def scale_at(self, X: Any) -> Float64Array | None:
        """Return the scale of each row, > 0, from what the scale model reads; None without one."""
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
    name = f"the prediction of {type(model).__name__}"
    answer = as_numbers(to_numpy(read_array(model.predict(X), name)), name)
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


def fit_band(
    estimator: Any,
    score: Score,
    X: Any,
    y: LabelArray,
    parameters: FitParameters,
    rows: IntArray | None,
    *,
    quantiles: tuple[float, float],
    scale_estimator: Any,
) -> Band:
    """Fit the models of a score on the selected rows (frozen ones are taken as they are)."""
    if score == "quantile":
        fitted = [
            fit_on_rows(member, X, y, rows, parameters, place)
            for member, place in quantile_members(estimator, quantiles)
        ]
        return Band(fitted[1] if len(fitted) == 3 else None, (fitted[0], fitted[-1]))
    point = fit_on_rows(estimator, X, y, rows, parameters)
    if score == "absolute":
        return Band(point)
    if is_frozen(scale_estimator):
        return Band(point, scale=scale_estimator)
    rows = np.arange(len(y)) if rows is None else rows
    held, _ = held_out_predictions(estimator, X, y, parameters, rows)
    return with_scale(point, scale_estimator, X, rows, y[rows] - held)


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


def held_out_predictions(
    estimator: Any,
    X: Any,
    y: LabelArray,
    parameters: FitParameters,
    rows: IntArray,
    n_jobs: int | None = None,
) -> tuple[Float64Array, list[Fold]]:
    """Return predictions of models that have not seen the selected rows, and their folds.

    Folds count among the selected rows.
    """
    labels, restricted = y[rows], parameters.restricted(rows)
    folds = scale_folds(labels, restricted)
    inputs = take_rows(X, rows)
    answers = predict_out_of_fold(estimator, inputs, labels, folds, restricted, predictions, n_jobs)
    return answers, folds


def scale_folds(y: LabelArray, parameters: FitParameters) -> list[Fold]:
    """Return the folds of the residuals that a scale model learns from."""
    groups = parameters.groups
    n_units = len(y) if groups is None else len(np.unique(groups))
    if n_units < 2:
        unit = "samples" if groups is None else "groups"
        raise ValueError(
            f"conformity_score='normalised' needs at least 2 training {unit}; got {n_units}"
        )
    n_folds, rows = min(SCALE_FOLDS, n_units), np.arange(len(y))
    return folds_of(n_folds, rows, y, classifier=False, split=parameters.split, partition=True)


def quantile_members(estimator: Any, quantiles: tuple[float, float]) -> list[tuple[Any, int]]:
    """Return unfitted models of the lower quantile, the median and the upper quantile.

    Every model comes with its place in a tuple of the user. Models of a tuple that know their
    levels are put in their order; of two models, none is the median.
    """
    if isinstance(estimator, (tuple, list)):
        if len(estimator) not in (2, 3):
            raise ValueError(
                f"estimator must be a quantile regressor, two models (low, high) or three (low, "
                f"median, high); got {len(estimator)}"
            )
        levels = [_declared_level(member) for member in estimator]
        places = list(range(len(estimator)))
        if None not in levels and len(set(levels)) == len(levels):
            places.sort(key=lambda k: levels[k])  # type: ignore[arg-type, return-value]
        return [(estimator[k], k) for k in places]
    if is_frozen(estimator):
        raise ValueError(
            "conformity_score='quantile' with a frozen estimator needs two models (low, high) or "
            "three (low, median, high), each FrozenEstimator(model): a trained model has one level"
        )
    name = _quantile_parameter(estimator)
    if name is None:
        model = _last_step(estimator)[1]
        loss = _loss(model.get_params())
        raise ValueError(
            f"conformity_score='quantile' needs a quantile regressor; {type(model).__name__} with "
            f"loss {loss!r} has no quantile level that could be set. Pass loss='quantile' (or its "
            f"like), or two or three models (low, median, high)"
        )
    return [
        (clone(estimator).set_params(**{name: level}), 0)
        for level in (quantiles[0], 0.5, quantiles[1])
    ]


def _last_step(estimator: Any) -> tuple[str, Any]:
    """Return the model that a pipeline or a frozen estimator ends in, and the way to it."""
    prefix, model = "", estimator
    while isinstance(model, (Pipeline, FrozenEstimator)):
        if isinstance(model, FrozenEstimator):
            model = model.estimator
        else:
            step, model = model.steps[-1]
            prefix += f"{step}__"
    return prefix, model


def _loss(parameters: dict[str, Any]) -> Any:
    return parameters.get("loss", parameters.get("objective"))


def _quantile_parameter(estimator: Any) -> str | None:
    """Return the parameter that sets the quantile level of a quantile regressor, None without."""
    prefix, model = _last_step(estimator)
    if not hasattr(model, "get_params"):
        return None
    parameters = model.get_params()
    loss = _loss(parameters)
    if "quantile" in parameters and loss in (None, "quantile"):
        return prefix + "quantile"
    if "alpha" in parameters and loss == "quantile":
        return prefix + "alpha"
    if "quantile_alpha" in parameters and loss == "reg:quantileerror":
        return prefix + "quantile_alpha"
    return None


def _declared_level(estimator: Any) -> float | None:
    """Return the quantile level that a model states, None where it states none."""
    name = _quantile_parameter(estimator)
    if name is None:
        return None
    level = _last_step(estimator)[1].get_params()[name.rpartition("__")[2]]
    return float(level) if is_number(level) else None
