"""Fitting for conformal regression: models, and the scores of samples they have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from calib._border.labels import check_vector, check_weight
from calib._border.sklearn_compat import take_rows
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import as_numbers
from calib._border.warn import warn
from calib._core.estimators.fit_parameters import FitParameters
from calib._core.estimators.out_of_fold import (
    check_rows,
    draw_rows,
    fold_of_rows,
    folds_of,
    is_frozen,
    split_rows,
)
from calib._core.estimators.wrapper import read_fit_parameters
from uq.conformal.bands import Band, fit_band, predictions, with_scale
from uq.conformal.categories import known_categories, read_categories, read_ratios
from uq.conformal.quantiles import scaled_calibration_ratio


@dataclass(frozen=True)
class Calibration:
    """All that intervals need to know after `fit`.

    Attributes
    ----------
    bands : list of Band
        Fitted models.
    rows : ndarray of shape (n_calibration,)
        Which samples of `fit` calibrate.
    labels : ndarray of shape (n_calibration,)
        Their labels.
    scores : ndarray of shape (n_calibration, 2)
        Distance below the lower and above the upper end.
    seen : ndarray of shape (n_calibration, n_columns)
        Held-out predictions: low, point, high and scale; one per draw for the bootstrap (NaN where
        a sample was drawn).
    fold : ndarray of shape (n_calibration,)
        Which band has not seen the sample.
    averages : ndarray of shape (n_calibration, n_draws) or None
        Weights of the draws that have not seen the sample.
    weight : ndarray of shape (n_calibration,) or None
        Likelihood ratios, the largest being 1.
    ratio_scale : float
        The factor they were divided by.
    categories : ndarray of shape (n_categories,) or None
        Categories in sorted order.
    codes : ndarray of shape (n_calibration,)
        Category of each sample.
    """

    bands: list[Band]
    rows: IntArray
    labels: Float64Array
    scores: Float64Array
    seen: Float64Array
    fold: IntArray
    averages: Float64Array | None = None
    weight: Float64Array | None = None
    ratio_scale: float = 1.0
    categories: LabelArray | None = None
    codes: IntArray | None = None

    def classified(self, names: LabelArray | None) -> Calibration:
        """Add the categories of the calibration samples."""
        if names is None:
            return self
        categories, codes = known_categories(names, "categories")
        return replace(self, categories=categories, codes=codes)


def calibrate(
    est: Any, X: Any, y: Float64Array, parameters: FitParameters, ratio: ArrayLike
) -> Calibration:
    """Fit the models that the options of a ConformalRegressor ask for, and score with them."""
    if len(y) < 2 and not is_frozen(est.estimator):
        raise ValueError(
            f"method={est.method!r} needs samples to fit and others to calibrate, at least 2; got "
            f"n_samples={len(y)}"
        )
    if est.method == "split":
        return _split(est, X, y, parameters, ratio)
    if est.method == "cross":
        return _cross(est, X, y, parameters)
    return _bootstrap(est, X, y, parameters)


@dataclass(frozen=True)
class RegressionData:
    """Checked data of a conformal predictor of numbers.

    Attributes
    ----------
    X : array, table or mapping with n_samples rows
        As it was given.
    y : ndarray of shape (n_samples,)
        Labels.
    categories : ndarray of shape (n_samples,) or None
    parameters : FitParameters
    """

    X: Any
    y: Float64Array
    categories: LabelArray | None
    parameters: FitParameters


def read_regression_data(
    est: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike,
    groups: ArrayLike,
    categories: ArrayLike,
    fit_params: Mapping[str, Any],
) -> RegressionData:
    """Check the data of `fit`; weights serve the estimator alone."""
    X, labels = check_rows(X, y)
    labels = _check_target(labels, type(est).__name__)
    weight = check_weight(sample_weight, len(labels))
    names = read_categories(est.mondrian, categories, X, len(labels))
    parameters = read_fit_parameters(
        est,
        len(labels),
        sample_weight=weight,
        groups=groups,
        fit_params=fit_params,
        weights_serve=None,
    )
    return RegressionData(X, labels, names, parameters)


def _check_target(y: ArrayLike, name: str) -> Float64Array:
    """Return labels as one finite number per sample."""
    if np.ndim(y) == 2 and np.shape(y)[1] != 1:
        raise ValueError(
            f"y has shape {np.shape(y)}, several outputs per sample; fit one {name} for each column"
        )
    return as_numbers(check_vector(y, "y"), "y")


def _split(
    est: Any, X: Any, y: Float64Array, parameters: FitParameters, given: ArrayLike
) -> Calibration:
    scale_estimator = _scale_estimator(est)
    if is_frozen(est.estimator):
        rows = np.arange(len(y))
        scale_model = scale_estimator if is_frozen(scale_estimator) else None
        band = _fit_all(est, X, y, parameters, [None], scale_model)[0]
        if est.conformity_score == "normalised" and scale_model is None:
            learn, rows = _drawn_rows(est, parameters)
            residuals = y[learn] - predictions(band.point, take_rows(X, learn))
            band = with_scale(band.point, scale_estimator, X, learn, residuals)
    else:
        train, rows = _drawn_rows(est, parameters)
        band = _fit_all(est, X, y, parameters, [train], scale_estimator)[0]
    scores, seen = _score(band, take_rows(X, rows), y[rows])
    ratios = read_ratios(est.likelihood_ratio, given, X, len(y))
    weight, scale = None, 1.0
    if ratios is not None:
        weight, scale = scaled_calibration_ratio(ratios[rows], None, "likelihood_ratio")
    fold = np.zeros(len(rows), dtype=np.intp)
    return Calibration([band], rows, y[rows], scores, seen, fold, weight=weight, ratio_scale=scale)


def _cross(est: Any, X: Any, y: Float64Array, parameters: FitParameters) -> Calibration:
    folds = folds_of(est.cv, X, y, classifier=False, split=parameters.split, partition=True)
    fold = fold_of_rows(folds, len(y))
    bands = _fit_all(est, X, y, parameters, [train for train, _ in folds], _scale_estimator(est))
    scores, seen = np.empty((len(y), 2)), np.empty((len(y), 4))
    for band, (_, test) in zip(bands, folds, strict=True):
        scores[test], seen[test] = _score(band, take_rows(X, test), y[test])
    return Calibration(bands, np.arange(len(y)), y, scores, seen, fold)


def _bootstrap(est: Any, X: Any, y: Float64Array, parameters: FitParameters) -> Calibration:
    rng = check_random_state(est.random_state)
    everything = np.arange(len(y))
    draws = [draw_rows(len(y), rng, parameters.groups) for _ in range(est.n_resamples)]
    bands = _fit_all(est, X, y, parameters, [*draws], None)
    seen = np.full((len(y), len(draws)), np.nan)
    for b, (band, draw) in enumerate(zip(bands, draws, strict=True)):
        left = np.setdiff1d(everything, draw)
        if len(left):
            seen[left, b] = band.predict(take_rows(X, left))
    out = ~np.isnan(seen)
    rows = np.flatnonzero(out.any(axis=1))
    if len(rows) < len(y):
        warn(
            f"{len(y) - len(rows)} of {len(y)} samples are in every bootstrap draw and cannot "
            f"calibrate; raise n_resamples={est.n_resamples}",
            UserWarning,
        )
    if not len(rows):
        raise ValueError("no sample is left out by any bootstrap draw; raise n_resamples")
    seen, out = seen[rows], out[rows].astype(np.float64)
    point = np.nanmean(seen, axis=1)
    scores = np.stack([point - y[rows], y[rows] - point], axis=1)
    averages = out / out.sum(axis=1, keepdims=True)
    fold = np.zeros(len(rows), dtype=np.intp)
    return Calibration(bands, rows, y[rows], scores, seen, fold, averages=averages)


def _fit_all(
    est: Any,
    X: Any,
    y: LabelArray,
    parameters: FitParameters,
    training_rows: list[IntArray | None],
    scale: Any,
) -> list[Band]:
    score = (
        est.conformity_score
        if est.conformity_score != "normalised" or scale is not None
        else "absolute"
    )
    bands: list[Band] = Parallel(n_jobs=est.n_jobs)(
        delayed(fit_band)(
            est.estimator,
            score,
            X,
            y,
            parameters,
            rows,
            quantiles=tuple(est.quantiles),
            scale_estimator=scale,
        )
        for rows in training_rows
    )
    return bands


def _score(band: Band, X: Any, y: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return scores and the held-out predictions they come from."""
    band.check_order(X)
    ends = band.ends(X)
    point = ends.low if ends.point is None else ends.point
    scale = np.ones(len(y)) if ends.scale is None else ends.scale
    return ends.scores(y), np.stack([ends.low, point, ends.high, scale], axis=1)


def _scale_estimator(est: Any) -> Any:
    if est.conformity_score != "normalised":
        return None
    if est.scale_estimator is not None:
        return est.scale_estimator
    if is_frozen(est.estimator):
        raise ValueError(
            "conformity_score='normalised' with a frozen estimator needs a scale_estimator: a "
            "regressor of the logarithm of absolute residuals, or a frozen model of the scale"
        )
    return est.estimator


def _drawn_rows(est: Any, parameters: FitParameters) -> tuple[IntArray, IntArray]:
    """Draw the calibration samples; return the others and them, both in the original order."""
    return split_rows(
        parameters.n_samples, est.calibration_size, est.random_state, groups=parameters.groups
    )
