"""Models of a predictive system: predictions, their scale, and how far the scale is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from calib._border.checks import check_integer, is_integer
from calib._border.sklearn_compat import is_named_arrays, take_rows
from calib._border.typing import Float64Array, IntArray
from calib._core.estimators.fit_parameters import FitParameters
from calib._core.estimators.out_of_fold import (
    Fold,
    fold_of_rows,
    folds_of,
    is_frozen,
    split_rows,
)
from calib._core.features.columns import feature_columns
from uq.conformal.bands import (
    Band,
    held_out_predictions,
    predictions,
    scale_folds,
    with_scale,
)
from uq.conformal.interval_fitting import calibrate
from uq.conformal.regressor import ConformalRegressor
from uq.predictive.law import ConformalLaw, ResidualLists

#: How far a scale is believed: 0 not at all, 1 as it is.
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def default_scale_estimator() -> Any:
    """Return the regressor of logarithms of absolute residuals."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # takes long to load

    return HistGradientBoostingRegressor(
        max_leaf_nodes=8,
        min_samples_leaf=20,
        learning_rate=0.05,
        max_iter=100,
        early_stopping=False,
        random_state=0,
    )


@dataclass(frozen=True)
class ScaleInputs:
    """What the default scale model reads: the numbers of X and the prediction.

    Attributes
    ----------
    numbers : tuple of int
        Places of the columns of numbers. Texts and categories, and whatever is no matrix, have
        their say through the prediction.
    """

    numbers: tuple[int, ...]

    @classmethod
    def of(cls, X: Any) -> Self:
        """Find the columns of numbers."""
        columns = _columns(X)
        return cls(tuple(k for k, column in enumerate(columns) if column is not None))

    def matrix(self, X: Any, predicted: Float64Array) -> Float64Array:
        """Return inputs of shape (n_rows, n_inputs); nan for what is no finite number."""
        columns = _columns(X) if self.numbers else []
        missing = np.full(len(predicted), np.nan)
        chosen = [columns[k] for k in self.numbers]
        read = [missing if column is None else column for column in chosen]
        inputs = np.stack([*read, predicted], axis=1)
        inputs[~np.isfinite(inputs)] = np.nan
        return inputs


def _columns(X: Any) -> list[Float64Array | None]:
    """Return the columns of X that are numbers, and None for the others."""
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiu":
        return list(X.T.astype(np.float64))
    shapes = [np.shape(x) for x in (X.values() if is_named_arrays(X) else [X])]
    wanted = 1 if is_named_arrays(X) else 2
    if hasattr(X, "nnz") or any(len(shape) != wanted for shape in shapes):
        return []
    return [c.values if c.kind == "number" else None for c in feature_columns(X, "X")]


@dataclass(frozen=True, eq=False)
class SystemModels:
    """Fitted models with the residuals of rows that they have not seen.

    Attributes
    ----------
    bands : list of Band
        One, or one for each fold.
    inputs : ScaleInputs or None
        What their scale models read; None: X itself.
    exponent : float
        In [0, 1], of the scale.
    rows : ndarray of int, shape (n_calibration,)
        Rows of the data that calibrate.
    fold : ndarray of int, shape (n_calibration,)
        Which band has not seen them.
    residuals : ndarray of shape (n_calibration,)
        In units of the scale to the power of the exponent.
    """

    bands: list[Band]
    inputs: ScaleInputs | None
    exponent: float
    rows: IntArray
    fold: IntArray
    residuals: Float64Array

    def answers(self, X: Any) -> tuple[Float64Array, Float64Array]:
        """Return predictions and units of the residuals, each of shape (n_rows, n_bands)."""
        points: dict[int, Float64Array] = {}
        for band in self.bands:
            if id(band.point) not in points:
                points[id(band.point)] = predictions(band.point, X)
        centre = np.stack([points[id(band.point)] for band in self.bands], axis=1)
        scales: list[Float64Array] = []
        for k, band in enumerate(self.bands):
            read = X
            if self.exponent and self.inputs is not None:
                read = self.inputs.matrix(X, centre[:, k])
            scales.append(residual_units(band, read, len(centre), self.exponent))
        return centre, np.stack(scales, axis=1)


def fit_models(system: Any, X: Any, y: Float64Array, parameters: FitParameters) -> SystemModels:
    """Fit what the options of a ConformalPredictiveSystem ask for."""
    frozen = is_frozen(system.estimator)
    splitter = _splitter(system, len(y), parameters.groups)
    options = ConformalRegressor(
        system.estimator,
        method="split" if frozen else system.method,
        calibration_size=system.calibration_size,
        cv=splitter,
        n_jobs=system.n_jobs,
        random_state=system.random_state,
    )
    calibration = calibrate(options, X, y, parameters, None)
    rows, held = calibration.rows, calibration.seen[:, 1]
    plain = SystemModels(calibration.bands, None, 0.0, rows, calibration.fold, y[rows] - held)
    if system.conformity_score == "absolute" or len(y) < 2:
        return plain
    model = _ScaleModel.of(system, X)
    if system.method == "split":
        return _split_scaled(system, model, plain, X, y, parameters)
    split = parameters.split
    folds = folds_of(splitter, X, y, classifier=False, split=split, partition=True)
    points = [band.point for band in plain.bands]
    points = points * len(folds) if frozen else points
    bands, scale = model.held_out(points, X, held, plain.residuals, folds, system.n_jobs)
    exponent = best_exponent(plain.residuals, scale)
    fold = fold_of_rows(folds, len(y))
    residuals = plain.residuals / scale**exponent
    return SystemModels(bands, model.inputs, exponent, rows, fold, residuals)


def _split_scaled(
    system: Any,
    model: _ScaleModel,
    plain: SystemModels,
    X: Any,
    y: Float64Array,
    parameters: FitParameters,
) -> SystemModels:
    """Add a scale that is learnt, exponent included, from rows that do not calibrate."""
    point, rows, residuals = plain.bands[0].point, plain.rows, plain.residuals
    if is_frozen(system.estimator) and is_frozen(model.estimator):
        band, exponent = model.fitted(point, X, residuals), 1.0
    else:
        if is_frozen(system.estimator):
            learn, rows = split_rows(
                len(y), system.calibration_size, system.random_state, groups=parameters.groups
            )
            residuals, of_learning = plain.residuals[rows], plain.residuals[learn]
            folds = scale_folds(y[learn], parameters.restricted(learn))
        else:
            learn = np.setdiff1d(np.arange(len(y)), rows)
            answers, folds = held_out_predictions(
                system.estimator, X, y, parameters, learn, system.n_jobs
            )
            of_learning = y[learn] - answers
        there, points = take_rows(X, learn), [point] * len(folds)
        held = y[learn] - of_learning
        _, scale = model.held_out(points, there, held, of_learning, folds, system.n_jobs)
        exponent = best_exponent(of_learning, scale)
        band = model.fitted(point, model.read(there, held), of_learning)
    here = take_rows(X, rows)
    unit = residual_units(band, model.read(here, y[rows] - residuals), len(rows), exponent)
    return SystemModels(
        [band], model.inputs, exponent, rows, np.zeros(len(rows), dtype=np.intp), residuals / unit
    )


@dataclass(frozen=True)
class _ScaleModel:
    """What the scale is learnt with: a regressor of logarithms, or a frozen model of the scale.

    Attributes
    ----------
    estimator : estimator
    inputs : ScaleInputs or None
        What it reads; None: X itself.
    """

    estimator: Any
    inputs: ScaleInputs | None

    @classmethod
    def of(cls, system: Any, X: Any) -> Self:
        """Read the options of a system."""
        if system.scale_estimator is None:
            return cls(default_scale_estimator(), ScaleInputs.of(X))
        return cls(system.scale_estimator, None)

    def read(self, X: Any, predicted: Float64Array) -> Any:
        """Return the inputs of some rows."""
        return X if self.inputs is None else self.inputs.matrix(X, predicted)

    def fitted(self, point: Any, inputs: Any, residuals: Float64Array) -> Band:
        """Return a band whose scale is learnt from all rows of the inputs."""
        if is_frozen(self.estimator):
            return Band(point, scale=self.estimator)
        return with_scale(point, self.estimator, inputs, np.arange(len(residuals)), residuals)

    def held_out(
        self,
        points: Sequence[Any],
        X: Any,
        predicted: Float64Array,
        residuals: Float64Array,
        folds: Sequence[Fold],
        n_jobs: int | None,
    ) -> tuple[list[Band], Float64Array]:
        """Return a band for each fold, and scales of models that have not seen the rows."""
        inputs = self.read(X, predicted)

        def of_fold(point: Any, train: IntArray, test: IntArray) -> tuple[Band, Float64Array]:
            band = self.fitted(point, take_rows(inputs, train), residuals[train])
            return band, residual_units(band, take_rows(inputs, test), len(test), 1.0)

        made = Parallel(n_jobs=n_jobs)(
            delayed(of_fold)(point, *fold) for point, fold in zip(points, folds, strict=True)
        )
        scale = np.empty(len(residuals))
        for (_, values), (_, test) in zip(made, folds, strict=True):
            scale[test] = values
        return [band for band, _ in made], scale


def residual_units(band: Band, inputs: Any, n_rows: int, exponent: float) -> Float64Array:
    """Return the unit of residuals: the scale to the power of the exponent, 1 without."""
    scale = band.scale_at(inputs) if exponent else None
    return np.ones(n_rows) if scale is None else scale**exponent


def best_exponent(residuals: Float64Array, scale: Float64Array) -> float:
    """Return the exponent of the best mean score, each row judged by the residuals of all."""
    scores = [mean_crps(residuals, scale**exponent) for exponent in EXPONENTS]
    return EXPONENTS[int(np.argmin(scores))]


def mean_crps(residuals: Float64Array, unit: Float64Array) -> float:
    """Return the mean score at 0 of points ``unit[i] r - residuals[i]``, r all scaled residuals."""
    scaled = residuals / unit
    n = len(scaled)
    law = ConformalLaw(
        (ResidualLists.of(scaled, np.zeros(n, dtype=np.intp), 1),),
        np.zeros(n, dtype=np.intp),
        np.zeros((n, 1)),
        unit[:, None],
    )
    return float(law.crps(residuals).mean())


def _splitter(system: Any, n_samples: int, groups: Any) -> Any:
    """Return the splitter of a cross system: of integers, folds of shuffled rows or groups."""
    if not is_integer(system.cv):
        return system.cv
    n_folds = check_integer("cv", system.cv, low=2)
    if is_frozen(system.estimator):  # folds of the scale alone, which few rows have as well
        n_units = n_samples if groups is None else len(np.unique(groups))
        n_folds = max(2, min(n_folds, n_units))
    seed = int(check_random_state(system.random_state).randint(2**31 - 1))
    make = KFold if groups is None else GroupKFold
    return make(n_folds, shuffle=True, random_state=seed)
