"""Conformal predictive systems: a distribution around the predictions of any regressor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_option, describe
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import number_vector
from calib._core.distributions.lattice import Lattice
from calib._core.distributions.law import Law
from calib._core.distributions.predictive import PredictiveDistribution
from calib._core.estimators.out_of_fold import check_estimator
from calib._core.estimators.renamed import renamed
from calib._core.estimators.wrapper import ModelWrapper
from uq.conformal.bands import Band
from uq.conformal.categories import codes_of_known, known_categories, read_categories
from uq.conformal.interval_fitting import read_regression_data
from uq.conformal.quantiles import check_level
from uq.predictive.law import ConformalDistribution, ConformalLaw, ResidualLists
from uq.predictive.models import fit_models

#: Most distinct labels that ``y_support="auto"`` takes for all there are.
MOST_SUPPORT = 50
#: How often each of them has to occur on average.
REPETITIONS = 2


class ConformalPredictiveSystem(ModelWrapper, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Turn the predictions of any regressor into distributions that are calibrated.

    Residuals of samples that the models have not seen, in units of a predicted scale, are put
    around every new prediction. If calibration and new samples are exchangeable, P(Y <= t) holds on
    average whatever the model and the distribution: exactly with ``method="split"``, nearly with
    ``"cross"``, which is sharper because all samples train and all calibrate. For one interval at
    one level, `ConformalRegressor` is enough.

    Parameters
    ----------
    estimator : estimator
        A regressor or a pipeline that ends in one; `X` is handed on untouched. A model wrapped in
        ``FrozenEstimator`` is not fitted again, and all data calibrate it.
    method : {"cross", "split"}, default="cross"
        Where unseen residuals come from: the folds of a cross-validation, each residual around the
        predictions of its own fold's model; or a part of the data set aside. Of a frozen model,
        ``"cross"`` learns the scale in folds, and ``"split"`` as `ConformalRegressor` does: from
        samples that then do not calibrate, none if the scale is frozen or not wanted.
    conformity_score : {"normalised", "absolute"}, default="normalised"
        Residuals over a power of a predicted scale, so that distributions are wide where residuals
        were large; or residuals as they are.
    scale_estimator : estimator, default=None
        For ``"normalised"``: regressor of the logarithm of absolute held-out residuals on `X`, or a
        frozen model that predicts a scale > 0 itself. None means histogram gradient boosting on the
        numbers in `X` (missing ones allowed) and the prediction.
    cv : int >= 2 or splitter, default=10
        Folds of ``"cross"``; every sample has to be held out once. Integers mean shuffled folds (so
        that the order of the samples does not count), of whole groups where groups are passed to
        `fit`.
    calibration_size : float in (0, 1) or int >= 1, default=0.25
        Share or number of samples set aside by ``"split"``, in whole groups where groups are passed
        to `fit`.
    mondrian : callable, default=None
        ``mondrian(X)`` gives the category of each row: residuals are then kept apart by category,
        and what is promised holds within every category. Categories that are no function of X go to
        `fit` and the predictions.
    y_support : "auto", array-like of shape (n_values,) or None, default="auto"
        All values that labels can take. Distributions are then steps at these: P(Y <= t) is read
        half-way to the next value. ``"auto"`` takes the labels of `fit` if at most 50 are distinct
        and each occurs twice on average; None takes labels for any numbers.
    small : {"infinite", "raise"}, default="infinite"
        What to do where calibration samples do not suffice for a level: an infinite quantile
        (valid) with a warning, or an error.
    n_jobs : int, default=None
        Models fitted at once, as in joblib; None means 1.
    random_state : int, RandomState or None, default=None
        Seed of the folds and of the split.

    Attributes
    ----------
    bands_ : list of Band
        Fitted models of prediction and scale: one for ``"split"``, one per fold otherwise.
    exponent_ : float
        Power of the scale, from 0 (not used) to 1, of the best continuous ranked probability score
        on held-out residuals.
    residuals_ : ndarray of shape (n_calibration_,)
        Label minus prediction of each calibration sample, in units of the scale to that power.
    calibration_rows_ : ndarray of shape (n_calibration_,)
        Which rows of the data passed to `fit` calibrate.
    n_calibration_ : int
        Number of calibration samples.
    categories_ : ndarray of shape (n_categories,) or None
        Categories seen at fit.
    support_ : ndarray of shape (n_values,) or None
        Values of labels, ascending, if these are few.
    n_features_in_ : int
        Number of features the model has seen, where it says so.

    Raises
    ------
    ValueError
        At fit, for labels that are not one finite number per sample or no value of `y_support`, an
        unknown option, folds that do not hold out every sample once, or models that predict NaN.
    TypeError
        At fit, for what is no regressor; at construction, for names that other libraries use.

    Warns
    -----
    RefitWarning
        At fit, if `estimator` is trained but not frozen.
    UserWarning
        At fit, if weights or fit parameters are given that nothing takes.
    SmallCalibrationSetWarning
        If a quantile is infinite for want of calibration samples.

    See Also
    --------
    ConformalRegressor : intervals only, also one-sided, weighted and around quantile models.
    VennAbersRegressor : calibrated predictions, and bounds of P(Y <= t).

    Notes
    -----
    With support points ``C_i(x) = mu(x) + s(x)^g r_i`` of n residuals,

        F(y | x, tau) = (#{C_i < y} + tau (#{C_i = y} + 1)) / (n + 1),   tau uniform in (0, 1),

    is uniform at a new label with ``"split"``, for any n and with ties (`pit` draws tau). Quantiles
    are the ``ceil((n + 1) u)``-th smallest points. P(Y <= t) is known up to ``1 / (n + 1)``; for a
    category without calibration samples it is 1/2, and quantiles are infinite.

    With ``"cross"``, a point has the model of the fold that did not see its sample. Distributions
    are too wide where the models of the folds differ much, as those of little data do; they are
    not too narrow in practice. The exponent g is 0 where a scale does not help, which is the plain
    system. A model that errs to one side in some regions, as a linear one does on curved data,
    gains by `mondrian`, for instance bins of its predictions.

    ``sample_weight`` serves the estimator; calibration counts every sample once. Cost of a value of
    the distribution function: O(log n) for ``"split"``, O(folds log n) for ``"cross"``, in memory
    that does not grow with the product of new and calibration samples. Scores of ``"cross"`` sort
    n points for every row.

    References
    ----------
    V. Vovk, I. Petej, I. Nouretdinov, V. Manokhin, A. Gammerman, "Computationally efficient
    versions of conformal predictive distributions", Neurocomputing 2020, arXiv 1911.00941 (split).
    V. Vovk, I. Nouretdinov, V. Manokhin, A. Gammerman, "Cross-conformal predictive distributions",
    PMLR 91, 2018.
    H. Bostrom, U. Johansson, T. Lofstrom, "Mondrian conformal predictive distributions", PMLR 152,
    2021.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from uq import ConformalPredictiveSystem
    >>> X, y = load_diabetes(return_X_y=True)
    >>> system = ConformalPredictiveSystem(Ridge(), random_state=0).fit(X[:300], y[:300])
    >>> predicted = system.predict_distribution(X[300:])
    >>> len(predicted)
    142
    >>> predicted.cdf([100, 200])[:2].round(1)
    array([[0.1, 0.6],
           [0.3, 0.8]])
    >>> predicted.quantile([0.1, 0.5, 0.9])[:2].round(-1)
    array([[100., 170., 280.],
           [ 70., 140., 240.]])
    >>> print(f"{predicted.crps(y[300:]).mean():.0f}")
    33
    """

    bands_: list[Band]
    exponent_: float
    residuals_: Float64Array
    calibration_rows_: IntArray
    n_calibration_: int
    categories_: LabelArray | None
    support_: Float64Array | None

    _fitted = "bands_"

    @renamed(
        prefit="pass a trained model as FrozenEstimator(model)",
        learner="pass it as estimator",
        confidence_level="pass it to predict_interval",
    )
    def __init__(
        self,
        estimator: Any,
        *,
        method: Literal["cross", "split"] = "cross",
        conformity_score: Literal["normalised", "absolute"] = "normalised",
        scale_estimator: Any = None,
        cv: Any = 10,
        calibration_size: float | int = 0.25,
        mondrian: Callable[[Any], Any] | None = None,
        y_support: Any = "auto",
        small: Literal["infinite", "raise"] = "infinite",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.conformity_score = conformity_score
        self.scale_estimator = scale_estimator
        self.cv = cv
        self.calibration_size = calibration_size
        self.mondrian = mondrian
        self.y_support = y_support
        self.small = small
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
        **fit_params: Any,
    ) -> Self:
        """Fit the models and compute residuals of samples they have not seen.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), or mapping of str to such arrays
            Whatever the estimator accepts.
        y : array-like of shape (n_samples,)
            Labels, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights for the estimator (in a pipeline: its last step). Calibration
            counts every sample once.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out together.
        categories : array-like of shape (n_samples,), default=None
            Category of each sample, in place of the callable `mondrian`.
        **fit_params : dict
            Passed to the `fit` of the estimator (with metadata routing: to where they are
            requested). Those with one entry per sample are cut to the rows of each fit; others,
            and those named as validation data (``eval_set``, ``X_val``), are passed whole.

        Returns
        -------
        self : object
        """
        self._check_options()
        given = read_regression_data(self, X, y, sample_weight, groups, categories, fit_params)
        support = _support_of(self.y_support, given.y)
        models, names = fit_models(self, given.X, given.y, given.parameters), given.categories
        n_bands, codes = len(models.bands), np.zeros(len(models.rows), dtype=np.intp)
        self.categories_ = None
        if names is not None:
            self.categories_, codes = known_categories(names[models.rows], "categories")
        self._lists = tuple(
            ResidualLists.of(models.residuals[codes == c], models.fold[codes == c], n_bands)
            for c in range(int(codes.max()) + 1)
        )
        self._models = models
        self.bands_ = models.bands
        self.exponent_ = models.exponent
        self.residuals_ = models.residuals
        self.calibration_rows_ = models.rows
        self.n_calibration_ = len(models.rows)
        self.support_ = support
        return self

    def predict_distribution(
        self, X: ArrayLike, *, categories: ArrayLike = None
    ) -> PredictiveDistribution:
        """Return the distribution of every label.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        categories : array-like of shape (n_samples,), default=None
            Of the new samples, if `fit` was given such an array.

        Returns
        -------
        predicted : PredictiveDistribution
            With `cdf`, `quantile`, `interval`, `mean`, `std`, `sample`, `crps` and `pit`.

        Raises
        ------
        ValueError
            For categories that are missing, not wanted or of another type than at fit.
        """
        check_is_fitted(self)
        centre, scale = self._models.answers(X)
        code = self._codes(X, len(centre), categories)
        points = ConformalLaw(self._lists, code, centre, scale)
        law: Law = points
        lowest = -np.inf
        if self.support_ is not None:
            law, lowest = Lattice(points, self.support_), float(self.support_[0])
        return ConformalDistribution(law, points.n_calibration, self.small, lowest)

    def predict(self, X: ArrayLike, *, categories: ArrayLike = None) -> Float64Array:
        """Return the medians of the distributions.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        categories : array-like of shape (n_samples,), default=None
            Of the new samples, if `fit` was given such an array.

        Returns
        -------
        prediction : ndarray of shape (n_samples,)
            In units of y.
        """
        return self.predict_distribution(X, categories=categories).median()

    def predict_interval(
        self, X: ArrayLike, confidence_level: float = 0.9, *, categories: ArrayLike = None
    ) -> Float64Array:
        """Return central intervals.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        confidence_level : float in (0, 1), default=0.9
            Probability that a new label lies inside.
        categories : array-like of shape (n_samples,), default=None
            Of the new samples, if `fit` was given such an array.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper ends (closed), in units of y, that leave at most the same share out on
            both sides; infinite where calibration samples do not suffice.

        Raises
        ------
        ValueError
            For a level outside (0, 1), categories as in `predict_distribution`, or, with
            ``small="raise"``, an infinite end.
        """
        check_is_fitted(self)
        level = check_level(confidence_level)
        return self.predict_distribution(X, categories=categories).interval(level)

    # ------------------------------------------------------------------ parts

    def _first_model(self) -> Any:
        return self.bands_[0].point

    def _check_options(self) -> None:
        check_estimator(self.estimator, kind="regressor", answers=("predict",))
        check_option("method", self.method, ("cross", "split"))
        check_option("conformity_score", self.conformity_score, ("normalised", "absolute"))
        check_option("small", self.small, ("infinite", "raise"))
        if self.mondrian is not None and not callable(self.mondrian):
            raise ValueError(f"mondrian must be a function of X; got {describe(self.mondrian)}")
        if self.scale_estimator is not None:
            check_estimator(self.scale_estimator, kind="regressor", answers=("predict",))

    def _codes(self, X: Any, n_samples: int, given: ArrayLike) -> IntArray:
        """Return the category of each new sample, -1 for one not seen at fit."""
        names = read_categories(self.mondrian, given, X, n_samples)
        if (names is None) != (self.categories_ is None):
            told = "without categories"
            if names is None:
                told = "with categories; pass them here as well"
            raise ValueError(f"this system was fitted {told}")
        if names is None or self.categories_ is None:
            return np.zeros(n_samples, dtype=np.intp)
        return codes_of_known(names, self.categories_, "categories")


def _support_of(y_support: Any, y: Float64Array) -> Float64Array | None:
    """Return the values that labels can take, ascending; None where these are any numbers."""
    if y_support is None:
        return None
    if isinstance(y_support, str):
        check_option("y_support", y_support, ("auto",))
        values = np.unique(y)
        few = len(values) <= MOST_SUPPORT and len(y) >= REPETITIONS * len(values)
        return values if few and len(values) > 1 else None
    values = np.unique(number_vector(y_support, "y_support"))
    if len(values) < 2:
        raise ValueError(
            f"y_support must hold at least 2 values; got {describe(values.tolist())}. Pass None "
            f"where labels can be any number"
        )
    outside = ~np.isin(y, values)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"y_support lacks labels of y: {int(outside.sum())} of {len(y)}, such as {y[row]:g} in "
            f"row {row}; add them, or pass None"
        )
    return values
