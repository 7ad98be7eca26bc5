"""Conformal intervals around any regressor: split, cross-conformal and after the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_fraction, check_integer, check_option, describe
from calib._border.limits import MOST_RESAMPLES
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.estimators.out_of_fold import check_estimator, is_frozen, members_of
from calib._core.estimators.renamed import renamed
from calib._core.estimators.wrapper import ModelWrapper
from uq.conformal.bands import Band, Score
from uq.conformal.ends import Tails, interval_ends
from uq.conformal.interval_fitting import Calibration, calibrate, read_regression_data
from uq.conformal.quantiles import check_level, check_levels, effective_size
from uq.mapie import check_supported


def check_interval_options(est: Any, weighted: bool) -> None:
    """Raise for options that are unknown or contradict each other."""
    for member in members_of(est.estimator):
        check_estimator(member, kind="regressor", answers=("predict",))
    check_option("method", est.method, ("split", "cross", "bootstrap"))
    check_option("conformity_score", est.conformity_score, ("absolute", "normalised", "quantile"))
    check_option("tails", est.tails, ("symmetric", "asymmetric", "lower", "upper"))
    check_option("aggregation", est.aggregation, ("plus", "minmax"))
    check_option("small", est.small, ("infinite", "raise"))
    check_option("backend", est.backend, ("native", "mapie"))
    check_integer("n_resamples", est.n_resamples, low=2, high=MOST_RESAMPLES)
    for name in ("mondrian", "likelihood_ratio"):
        if getattr(est, name) is not None and not callable(getattr(est, name)):
            raise ValueError(f"{name} must be a function of X; got {describe(getattr(est, name))}")
    if not isinstance(est.quantiles, (tuple, list)) or len(est.quantiles) != 2:
        raise ValueError(f"quantiles must be two levels; got {describe(est.quantiles)}")
    low, high = (check_fraction("quantiles", level) for level in est.quantiles)
    if not low < high:
        raise ValueError(f"quantiles must ascend; got {est.quantiles!r}")
    if est.method != "split":
        if weighted or est.likelihood_ratio is not None:
            raise ValueError(f"likelihood_ratio needs method='split'; got {est.method!r}")
        if is_frozen(est.estimator):
            raise ValueError(
                f"method={est.method!r} fits the estimator several times, and a frozen one "
                f"cannot be; pass method='split'"
            )
    if est.method == "bootstrap" and est.conformity_score != "absolute":
        raise ValueError(
            f"method='bootstrap' takes conformity_score='absolute'; got {est.conformity_score!r}"
        )
    if isinstance(est.estimator, (tuple, list)) and est.conformity_score != "quantile":
        number = {2: "two", 3: "three"}.get(len(est.estimator), "several")
        raise ValueError(
            f"{number} estimators go with conformity_score='quantile'; got {est.conformity_score!r}"
        )
    if est.backend == "mapie":
        check_supported(est, weighted)


Method = Literal["split", "cross", "bootstrap"]


class ConformalRegressor(ModelWrapper, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Give the predictions of any regressor intervals that cover at a chosen rate.

    Residuals of samples the model has not seen set the width of the intervals. If calibration and
    new samples are exchangeable, a new label lies inside with at least the stated probability,
    whatever the model and the distribution. Any level may be asked of a fitted object.

    Parameters
    ----------
    estimator : estimator, or tuple of two or three estimators
        A regressor or a pipeline that ends in one; `X` is handed on untouched. A model wrapped in
        ``FrozenEstimator`` is not fitted again, and all data calibrate it. For
        ``conformity_score="quantile"``, a quantile regressor (its level is set here), two models
        (low, high) or three (low, median, high). Models that state their levels (as scikit-learn's
        do) may come in any order; the middle of two is their mean.
    method : {"split", "cross", "bootstrap"}, default="split"
        Where unseen residuals come from: a part of the data set aside; the folds of a
        cross-validation (CV+, or jackknife+ with one sample per fold); the samples left out by
        bootstrap draws (jackknife+-after-bootstrap).
    conformity_score : {"absolute", "normalised", "quantile"}, default="absolute"
        What is measured in units of what: the residual; the residual over a predicted scale, so
        that intervals are wide where residuals were large; the distance beyond a pair of quantile
        models (conformalised quantile regression).
    tails : {"symmetric", "asymmetric", "lower", "upper"}, default="symmetric"
        One margin for both ends; a margin for each end, at half the error rate each; or a bound
        on one side alone, the other end being infinite.
    aggregation : {"plus", "minmax"}, default="plus"
        Of the models of ``"cross"`` and ``"bootstrap"``: every residual goes with its own model,
        or with the lowest and highest prediction of any model (wider, guaranteed at the level).
    calibration_size : float in (0, 1) or int >= 1, default=0.25
        Share or number of samples set aside by ``"split"``, in whole groups where groups are passed
        to `fit`; unused for a frozen estimator, except that ``"normalised"`` then fits an unfrozen
        scale model on the others.
    cv : int >= 2 or splitter, default=5
        Folds of ``"cross"``; every sample has to be held out once. Integers mean unshuffled folds,
        of whole groups where groups are passed to `fit`.
    n_resamples : int >= 2, default=30
        Bootstrap draws of ``"bootstrap"``, of samples or of groups.
    quantiles : tuple of two floats, default=(0.05, 0.95)
        Levels of the quantile models, ascending, in (0, 1). Coverage holds at every confidence
        level; intervals adapt best where the level is the distance of the two.
    scale_estimator : estimator, default=None
        For ``"normalised"``: regressor of the logarithm of absolute held-out residuals, or a frozen
        model that predicts a scale > 0 itself. None means a clone of `estimator`.
    mondrian : callable, default=None
        ``mondrian(X)`` gives the category of each row: coverage then holds within every category.
        Categories that are no function of X go to `fit` and `predict_interval`.
    likelihood_ratio : callable, default=None
        ``likelihood_ratio(X)`` gives dP_new / dP_calibration of each row, >= 0, up to a factor
        (covariate shift), for ``method="split"``. Ratios can also be passed as arrays.
    small : {"infinite", "raise"}, default="infinite"
        What to do where no finite end reaches the level: an infinite end (valid) with a warning,
        or an error.
    backend : {"native", "mapie"}, default="native"
        Who computes the ends from the fitted models. MAPIE gives the same numbers (where rounding
        makes ``(n + 1) level`` exceed an integer, the next larger score), slower, without
        categories, ratios and one-sided bounds.
    n_jobs : int, default=None
        Models fitted in parallel; None means 1 outside a joblib context.
    random_state : int, RandomState or None, default=None
        Seed of the split and of the bootstrap draws.

    Attributes
    ----------
    bands_ : list of Band
        Fitted models: one for ``"split"``, one per fold or draw otherwise.
    side_scores_ : ndarray of shape (n_calibration_, 2)
        How far each calibration label lies below the lower and above the upper end (negative
        inside), in units of the scale.
    conformity_scores_ : ndarray of shape (n_calibration_,)
        The larger of the two, which ``"symmetric"`` uses.
    calibration_rows_ : ndarray of shape (n_calibration_,)
        Which rows of the data passed to `fit` calibrate.
    n_calibration_ : int
        Number of calibration samples.
    categories_ : ndarray of shape (n_categories,) or None
        Categories seen at fit.
    effective_calibration_size_ : float
        ``(sum w)**2 / sum w**2`` of the calibration ratios; `n_calibration_` without them.
    n_features_in_ : int
        Number of features the model has seen, where it says so.

    Raises
    ------
    ValueError
        At fit, for labels that are not one finite number per sample (dates and texts are none), an
        unknown or contradictory option, folds that do not hold out every sample once, models that
        predict NaN, or three models whose middle one is not the median.
    TypeError
        At fit, for what is no regressor; at construction, for names that other libraries use.

    Warns
    -----
    RefitWarning
        At fit, if `estimator` is trained but not frozen.
    UserWarning
        At fit, if weights or fit parameters are given that nothing takes.
    SmallCalibrationSetWarning
        At prediction, if an end is infinite for want of calibration samples.
    CrossingQuantilesWarning
        If a lower quantile lies above the upper one; the two are exchanged.
    EmptyIntervalWarning
        If margins are so negative that the ends pass each other; both then stand in the middle.
    EffectiveSampleSizeWarning
        If likelihood ratios leave fewer than five effective calibration samples outside the level.

    See Also
    --------
    ConformalBoxes : the same for boxes of a detector.
    VennAbersRegressor : calibrated predictions instead of covering intervals.

    Notes
    -----
    With n scores, the margin is the ``ceil((n + 1) level)``-th smallest; coverage of ``"split"`` is
    at least `level` and, without ties, at most ``level + 1 / (n + 1)``, on average over calibration
    sets and over X (not at every X). ``"plus"`` guarantees ``1 - 2 (1 - level)`` (less ``1 / n``
    terms for folds) and shows about `level`; its lower end is the ``floor((1 - level)(n + 1))``-th
    smallest of ``mu_k(j)(x) - R_j``. ``sample_weight`` serves the models; calibration counts every
    sample once. Cost of an interval: a look-up for ``"split"``, O(folds log n) for ``"cross"``,
    O(n) for ``"bootstrap"``, in memory that does not grow with their product.

    References
    ----------
    J. Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018, arXiv
    1604.04173 (split; scaled residuals).
    R. F. Barber, E. J. Candes, A. Ramdas, R. J. Tibshirani, "Predictive inference with the
    jackknife+", Annals of Statistics 2021, arXiv 1905.02928.
    B. Kim, C. Xu, R. F. Barber, "Predictive inference is free with the jackknife+-after-bootstrap",
    NeurIPS 2020, arXiv 2002.09025.
    Y. Romano, E. Patterson, E. J. Candes, "Conformalized Quantile Regression", NeurIPS 2019, arXiv
    1905.03222.
    R. J. Tibshirani, R. F. Barber, E. J. Candes, A. Ramdas, "Conformal Prediction Under Covariate
    Shift", NeurIPS 2019, arXiv 1904.06019.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from uq import ConformalRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ConformalRegressor(Ridge(), random_state=0).fit(X[:300], y[:300])
    >>> interval = model.predict_interval(X[300:], confidence_level=0.9)
    >>> inside = (interval[:, 0] <= y[300:]) & (y[300:] <= interval[:, 1])
    >>> print(f"{inside.mean():.2f}")
    0.96
    """

    bands_: list[Band]
    conformity_scores_: Float64Array
    side_scores_: Float64Array
    calibration_rows_: IntArray
    n_calibration_: int
    categories_: LabelArray | None
    effective_calibration_size_: float

    _fitted = "bands_"

    @renamed(
        prefit="pass a trained model as FrozenEstimator(model)",
        confidence_level="pass it to predict_interval",
        confidence_levels="pass them to predict_intervals",
    )
    def __init__(
        self,
        estimator: Any,
        *,
        method: Method = "split",
        conformity_score: Score = "absolute",
        tails: Tails = "symmetric",
        aggregation: Literal["plus", "minmax"] = "plus",
        calibration_size: float | int = 0.25,
        cv: Any = 5,
        n_resamples: int = 30,
        quantiles: tuple[float, float] = (0.05, 0.95),
        scale_estimator: Any = None,
        mondrian: Callable[[Any], Any] | None = None,
        likelihood_ratio: Callable[[Any], Any] | None = None,
        small: Literal["infinite", "raise"] = "infinite",
        backend: Literal["native", "mapie"] = "native",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.conformity_score = conformity_score
        self.tails = tails
        self.aggregation = aggregation
        self.calibration_size = calibration_size
        self.cv = cv
        self.n_resamples = n_resamples
        self.quantiles = quantiles
        self.scale_estimator = scale_estimator
        self.mondrian = mondrian
        self.likelihood_ratio = likelihood_ratio
        self.small = small
        self.backend = backend
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        *,
        groups: ArrayLike = None,
        categories: ArrayLike = None,
        likelihood_ratio: ArrayLike = None,
        **fit_params: Any,
    ) -> Self:
        """Fit the models and compute the scores of samples they have not seen.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), or mapping of str to such arrays
            Whatever the estimator accepts.
        y : array-like of shape (n_samples,)
            Labels, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights for the estimator (in a pipeline: its last step). Calibration
            counts every sample once; for weighted calibration pass `likelihood_ratio`.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out, or drawn, together.
        categories : array-like of shape (n_samples,), default=None
            Category of each sample inside which coverage shall hold, in place of the callable
            `mondrian`.
        likelihood_ratio : array-like of shape (n_samples,), default=None
            dP_new / dP_calibration of each sample, in place of the callable.
        **fit_params : dict
            Passed to the `fit` of the estimator (with metadata routing: to where they are
            requested). Those with one entry per sample are cut to the rows of each fit; others,
            and those named as validation data (``eval_set``, ``X_val``), are passed whole.

        Returns
        -------
        self : object
        """
        check_interval_options(self, likelihood_ratio is not None)
        data = read_regression_data(self, X, y, sample_weight, groups, categories, fit_params)
        names = data.categories
        if names is not None and self.backend == "mapie":
            raise ValueError("backend='mapie' takes no categories; pass backend='native'")
        calibration = calibrate(self, data.X, data.y, data.parameters, likelihood_ratio)
        self._calibration: Calibration = calibration.classified(
            None if names is None else names[calibration.rows]
        )
        self._by_array = (categories is not None, likelihood_ratio is not None)
        self.bands_ = calibration.bands
        self.side_scores_ = calibration.scores
        self.conformity_scores_ = calibration.scores.max(axis=1)
        self.calibration_rows_ = calibration.rows
        self.n_calibration_ = len(calibration.rows)
        self.categories_ = self._calibration.categories
        ratio = calibration.weight
        self.effective_calibration_size_ = (
            float(self.n_calibration_) if ratio is None else effective_size(ratio)
        )
        return self

    def predict(self, X: ArrayLike) -> Float64Array:
        """Return point predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        prediction : ndarray of shape (n_samples,)
            Of the model (of the median, for quantiles); the mean over all models for ``"cross"``
            and ``"bootstrap"``.
        """
        check_is_fitted(self)
        return np.asarray(np.mean([band.predict(X) for band in self.bands_], axis=0))

    def predict_interval(
        self,
        X: ArrayLike,
        confidence_level: float = 0.9,
        *,
        categories: ArrayLike = None,
        likelihood_ratio: ArrayLike = None,
    ) -> Float64Array:
        """Return intervals of one level.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        confidence_level : float in (0, 1), default=0.9
            Probability that a new label lies inside.
        categories, likelihood_ratio : array-like of shape (n_samples,), default=None
            Of the new samples, if `fit` was given such arrays; ratios with the same factor.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper ends (closed), in units of y; infinite where calibration samples do not
            suffice and for categories not seen at fit. Two ends of quantile models hold the
            point prediction.

        Raises
        ------
        ValueError
            For a level outside (0, 1), categories or ratios that are missing or not wanted,
            categories of another type than at fit, or, with ``small="raise"``, an infinite end.
        """
        check_is_fitted(self)
        levels = np.array([check_level(confidence_level, several="predict_intervals")])
        return self._intervals(X, levels, categories, likelihood_ratio)[:, :, 0]

    def predict_intervals(
        self,
        X: ArrayLike,
        confidence_levels: ArrayLike,
        *,
        categories: ArrayLike = None,
        likelihood_ratio: ArrayLike = None,
    ) -> Float64Array:
        """Return intervals of several levels; the models predict once.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        confidence_levels : array-like of shape (n_levels,)
            Numbers in (0, 1), in any order, repetitions allowed.
        categories, likelihood_ratio : array-like of shape (n_samples,), default=None
            As for `predict_interval`.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2, n_levels)
            Ends, levels in the order given.

        Raises
        ------
        ValueError
            As `predict_interval`.
        """
        check_is_fitted(self)
        levels = check_levels(confidence_levels)
        return self._intervals(X, levels, categories, likelihood_ratio)

    # ------------------------------------------------------------------ private parts

    def _intervals(
        self, X: Any, levels: Float64Array, categories: ArrayLike, ratio: ArrayLike
    ) -> Float64Array:
        given = zip(
            ("categories", "likelihood_ratio"), self._by_array, (categories, ratio), strict=True
        )
        for name, at_fit, now in given:
            if at_fit != (now is not None):
                told = (
                    "was given to fit; pass that" if at_fit else "was not given to fit; pass none"
                )
                raise ValueError(f"{name} {told} for the new samples")
        return interval_ends(self._calibration, X, levels, categories, ratio, self)

    def _first_model(self) -> Any:
        band = self.bands_[0]
        return band.point if band.quantiles is None else band.quantiles[0]
