"""Prediction sets for any classifier, with coverage in finite samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_option
from calib._border.labels import encode_labels
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._core.estimators.renamed import renamed
from calib._core.estimators.wrapper import ModelWrapper, read_classifier_data
from uq.conformal.calibrated_scores import SmallPolicy
from uq.conformal.nonconformity import ConformityScore
from uq.conformal.p_values import ForcedPrediction, forced_prediction
from uq.conformal.quantiles import check_level, check_levels
from uq.conformal.state import ConformalState, check_set_options, held_out, seed_of

Mondrian: TypeAlias = Literal["label", "cluster"] | Callable[[Any], ArrayLike] | None


class ConformalClassifier(ModelWrapper, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Wrap a classifier so that it answers with sets of labels that hold the true one.

    The set of a new sample holds its label with at least the probability asked for, whatever the
    model, if calibration and new samples are exchangeable. The level is chosen when predicting. A
    trained model goes in as ``FrozenEstimator(model)``; all data passed to `fit` then calibrate it.

    Parameters
    ----------
    estimator : estimator
        A classifier with `predict_proba`, or a pipeline that ends in one.
    method : {"split", "cross"}, default="split"
        Calibrate on a part split off, or fold by fold. Unused for frozen models.
    conformity_score : {"lac", "aps", "raps", "top_k"}, default="lac"
        ``"lac"`` gives the smallest sets on average, ``"aps"`` sets that grow with the doubt of the
        sample, ``"raps"`` the same with a penalty on long tails, ``"top_k"`` sets of one size.
    mondrian : {"label", "cluster"}, callable or None, default=None
        Coverage inside categories. ``"label"``: for each true label. ``"cluster"``: labels with
        similar scores share a category (many classes, few samples each). A callable returns the
        category of each row of `X`. Categories can also be passed to `fit` and the predictions,
        alone or together with ``"label"`` (then each pair is a category).
    likelihood_ratio : callable or None, default=None
        Function of `X` that returns dP_new / dP_calibration for each row, up to a factor: weighted
        conformal prediction under covariate shift. Ratios can also be passed as arrays.
    backend : {"native", "mapie"}, default="native"
        Who computes the sets: this package, or MAPIE (same sets; see Notes).
    calibration_size : float or int, default=0.25
        Share in (0, 1), or number, of the samples that calibrate, for ``method="split"``; groups
        passed to `fit` stay whole.
    cv : int, splitter or iterable, default=5
        Folds for ``method="cross"``; each sample is held out once. Integers mean stratified folds,
        of whole groups where groups are passed to `fit`.
    aggregation : {"cv_plus", "mean"}, default="cv_plus"
        For ``method="cross"``: compare each calibration score with the score under the same fold's
        model (coverage at least ``2 level - 1 - O(1 / sqrt(n))``, near `level` in practice), or
        average the models' probabilities (no guarantee).
    allow_empty : bool, default=True
        Keep empty sets, which say that no label conforms. False adds the most probable label.
    randomize : bool, default=False
        Randomise ``"aps"`` and ``"raps"`` scores of new samples as well: exact coverage, smaller
        sets, some empty. False is conservative and leaves none of these sets empty.
    raps_rank : int, default=5
        Number of labels free of the ``"raps"`` penalty, >= 1. MAPIE tunes its own instead.
    raps_weight : float, default=0.01
        Penalty of each further label, >= 0, in units of probability.
    pool_below : int, default=0
        Categories with fewer calibration samples use the scores of all samples (no guarantee).
    small : {"infinite", "raise"}, default="infinite"
        For categories with too few samples for the level: put their labels into every set, which
        is valid, and warn; or raise.
    random_state : int, RandomState or None, default=None
        Source of the split, of randomised scores and of clusters.
    n_jobs : int or None, default=None
        Folds trained in parallel.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted, one per column of a set.
    estimators_ : list of estimator
        The fitted model, or one per fold.
    conformity_scores_ : ndarray of shape (n_calibration,)
        Nonconformity of the true labels of the calibration samples; larger is stranger.
    calibration_rows_ : ndarray of shape (n_calibration,)
        Which rows of the data passed to `fit` calibrate; `n_calibration_` is their number.

    Raises
    ------
    ValueError
        At fit, for unknown labels, a single class, options that are unknown or exclude each other,
        and a model whose columns are not its classes.
    TypeError
        At fit, for what is no classifier, such as a network; at construction, for names that other
        libraries use.

    Warns
    -----
    RefitWarning
        If `estimator` is trained but not frozen.
    UserWarning
        If weights or fit parameters are given that nothing takes.
    SmallCalibrationSetWarning, EffectiveSampleSizeWarning, PooledCategoryWarning
        If a category has too few samples for the level, likelihood ratios leave few, or
        `pool_below` takes effect.

    See Also
    --------
    conformal_p_values, AdaptiveConformal : From scores at hand; in a stream.

    Notes
    -----
    The threshold is the k-th smallest of n calibration scores, ``k = ceil((n + 1) level)``. Over
    calibration sets the coverage follows Beta(k, n + 1 - k) (without ties), whose mean lies in
    [level, level + 1 / (n + 1)). A set is ``{l : P_l > 1 - level}`` with `predict_p`'s p-values.

    ``backend="mapie"`` hands the held-out probabilities to MAPIE, which has no categories and no
    weights, tunes ``"raps"`` on a tenth of the calibration samples, and refuses some samples that
    are small or lack classes (then the sets of this class are returned). Sets are the same but for
    classes below 1e-8 in ``"aps"``, which MAPIE drops even where coverage needs them, and for
    ``"cv_plus"``: it compares with ``(1 - level)(n - 1)`` in place of ``(1 - level)(n + 1)``, and
    its ``"aps"`` sets that are not randomised lose coverage, so that they are refused here.

    References
    ----------
    M. Sadinle, J. Lei, L. Wasserman, "Least Ambiguous Set-Valued Classifiers With Bounded Error
    Levels", JASA 114, 2019, arXiv 1609.00451.
    Y. Romano, M. Sesia, E. J. Candès, "Classification with Valid and Adaptive Coverage", NeurIPS
    2020, arXiv 2006.02544.
    A. N. Angelopoulos et al., "Uncertainty Sets for Image Classifiers using Conformal Prediction",
    ICLR 2021, arXiv 2009.14193.
    T. Ding et al., "Class-Conditional Conformal Prediction with Many Classes", NeurIPS 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from uq import ConformalClassifier
    >>> X, X_new, y, y_new = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> model = ConformalClassifier(LogisticRegression(max_iter=3000), random_state=0).fit(X, y)
    >>> model.predict_set(X_new, confidence_level=0.95).sum(axis=1)[:6]
    array([1, 1, 1, 1, 1, 1])
    """

    classes_: LabelArray
    estimators_: list[Any]

    _fitted = "estimators_"

    @renamed(
        prefit="pass a trained model as FrozenEstimator(model)",
        confidence_level="pass it to predict_set",
        confidence_levels="pass them to predict_sets",
    )
    def __init__(
        self,
        estimator: Any,
        *,
        method: Literal["split", "cross"] = "split",
        conformity_score: ConformityScore = "lac",
        mondrian: Mondrian = None,
        likelihood_ratio: Callable[[Any], ArrayLike] | None = None,
        backend: Literal["native", "mapie"] = "native",
        calibration_size: float | int = 0.25,
        cv: Any = 5,
        aggregation: Literal["cv_plus", "mean"] = "cv_plus",
        allow_empty: bool = True,
        randomize: bool = False,
        raps_rank: int = 5,
        raps_weight: float = 0.01,
        pool_below: int = 0,
        small: SmallPolicy = "infinite",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.conformity_score = conformity_score
        self.mondrian = mondrian
        self.likelihood_ratio = likelihood_ratio
        self.backend = backend
        self.calibration_size = calibration_size
        self.cv = cv
        self.aggregation = aggregation
        self.allow_empty = allow_empty
        self.randomize = randomize
        self.raps_rank = raps_rank
        self.raps_weight = raps_weight
        self.pool_below = pool_below
        self.small = small
        self.random_state = random_state
        self.n_jobs = n_jobs

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
        """Train the estimator unless it is frozen, and calibrate.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), or mapping of str to such arrays
            Whatever the estimator accepts.
        y : array-like of shape (n_samples,)
            Labels of any type.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights for the estimator (in a pipeline: its last step). Calibration
            counts every sample once; for weighted calibration pass `likelihood_ratio`.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out together, by the split or by `cv`.
        categories : array-like of shape (n_samples,), default=None
            Category of each sample inside which coverage shall hold.
        likelihood_ratio : array-like of shape (n_samples,), default=None
            dP_new / dP_calibration of each sample, >= 0, up to a factor.
        **fit_params : dict
            Passed to the `fit` of the estimator (with metadata routing: to where they are
            requested). Those with one entry per sample are cut to the rows of each fit; others,
            and those named as validation data (``eval_set``, ``X_val``), are passed whole.

        Returns
        -------
        self : object
        """
        params = self.get_params(deep=False)
        check_set_options(params)
        data = read_classifier_data(
            self,
            X,
            y,
            answers=("predict_proba",),
            sample_weight=sample_weight,
            groups=groups,
            fit_params=fit_params,
        )
        seed = seed_of(self.random_state)
        held = held_out(self, data, seed)
        self.classes_ = held.classes
        codes = encode_labels(data.y, self.classes_, "y")
        self._state = ConformalState.calibrate(
            params, self.classes_, held, data.X, codes, categories, likelihood_ratio, seed
        )
        self.estimators_ = held.models
        self.conformity_scores_ = self._state.scores
        self.calibration_rows_ = held.rows
        self.n_calibration_ = len(held.rows)
        return self

    def predict_set(
        self,
        X: ArrayLike,
        confidence_level: float = 0.9,
        *,
        categories: ArrayLike = None,
        likelihood_ratio: ArrayLike = None,
    ) -> LabelArray:
        """Return which labels are in the set of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        confidence_level : float, default=0.9
            Probability in (0, 1) with which a set shall hold the true label.
        categories : array-like of shape (n_samples,), default=None
            Categories, if they were given at fit, of the same type; unseen ones have no samples.
        likelihood_ratio : array-like of shape (n_samples,), default=None
            Ratios, if they were given at fit, with the same factor.

        Returns
        -------
        sets : ndarray of bool of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        level = check_level(confidence_level, several="predict_sets")
        return self._state.sets(X, [level], categories, likelihood_ratio)[:, :, 0]

    def predict_sets(
        self,
        X: ArrayLike,
        confidence_levels: ArrayLike,
        *,
        categories: ArrayLike = None,
        likelihood_ratio: ArrayLike = None,
    ) -> LabelArray:
        """Return the sets of several levels, as `predict_set` does for one.

        Parameters
        ----------
        X, categories, likelihood_ratio
            See `predict_set`.
        confidence_levels : array-like of shape (n_levels,)
            Levels in (0, 1), in any order, repetitions allowed.

        Returns
        -------
        sets : ndarray of bool of shape (n_samples, n_classes, n_levels)
            The sets of a higher level contain those of a lower one.
        """
        check_is_fitted(self)
        levels = check_levels(confidence_levels).tolist()
        return self._state.sets(X, levels, categories, likelihood_ratio)

    def predict_p(
        self,
        X: ArrayLike,
        *,
        smoothed: bool = False,
        categories: ArrayLike = None,
        likelihood_ratio: ArrayLike = None,
    ) -> Float64Array:
        """Return the p-value of every label.

        Parameters
        ----------
        X, categories, likelihood_ratio
            See `predict_set`.
        smoothed : bool, default=False
            Break ties at random, so that p-values of true labels are exactly uniform.

        Returns
        -------
        p_values : ndarray of shape (n_samples, n_classes)
            In [0, 1]; 0 only for smoothed ones and for likelihood ratios of 0.
        """
        check_is_fitted(self)
        check_option("smoothed", smoothed, (True, False))
        return self._state.p_values(X, smoothed, categories, likelihood_ratio)

    def predict_credibility_confidence(
        self, X: ArrayLike, *, categories: ArrayLike = None, likelihood_ratio: ArrayLike = None
    ) -> ForcedPrediction:
        """Return one label per sample with its credibility and confidence.

        Parameters
        ----------
        X, categories, likelihood_ratio
            See `predict_set`.

        Returns
        -------
        prediction : ForcedPrediction
        """
        p_values = self.predict_p(X, categories=categories, likelihood_ratio=likelihood_ratio)
        return forced_prediction(p_values, self.classes_)

    def predict_scores(self, X: ArrayLike) -> Float64Array:
        """Return the nonconformity of every label, for instance for `AdaptiveConformal`.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes)
            On the scale of ``conformity_scores_``.
        """
        check_is_fitted(self)
        new = self._state.new_scores(self._state.probabilities(X))
        folds = list(new.folds(slice(None)))
        if len(folds) > 1:
            raise ValueError(
                "aggregation='cv_plus' has scores per fold, not one per label; use method='split' "
                "or aggregation='mean'"
            )
        return folds[0]

    def predict_proba(self, X: ArrayLike) -> Float64Array:
        """Return the probabilities of the estimator, the mean over folds.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        return np.asarray(np.mean(self._state.probabilities(X), axis=0))

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return the most probable label of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return cast(LabelArray, self.classes_[best])

    def _first_model(self) -> Any:
        return self.estimators_[0]
