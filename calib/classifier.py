"""The meta-estimator that gives a classifier calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from calib._border.checks import check_option, describe
from calib._border.typing import (
    Array,
    ArrayLike,
    Float64Array,
    FloatArray,
    InputKind,
    IntArray,
    LabelArray,
)
from calib._border.warn import warn
from calib._core.labels import check_vector, check_weight, encode_labels
from calib._core.responses import Response, choose_response, columns_by_class, fit_on_rows
from calib._core.sklearn_compat import take_rows
from calib.base import BaseCalibrator
from calib.registry import make_calibrator
from calib.warnings import RefitWarning

F = TypeVar("F", bound=Callable[..., Any])


def _calibrator_has(method: str) -> Callable[[F], F]:
    """Let a method exist where the calibrator (fitted, else as given) has it."""

    def check(self: CalibratedClassifier) -> bool:
        fitted = getattr(self, "calibrator_", None)
        return hasattr(fitted if fitted is not None else self._new_calibrator(), method)

    return cast(Callable[[F], F], available_if(check))


class CalibratedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Wrap a classifier so that its probabilities are calibrated.

    A trained model goes in as ``FrozenEstimator(model)`` and is never trained again: all data
    passed to `fit` calibrate it. Any other estimator is trained here; its calibrator is fitted on
    out-of-fold scores and the estimator is then refitted on everything, so that prediction runs
    one model and one map.

    Parameters
    ----------
    estimator : estimator
        A classifier, or a pipeline that ends in one. Its input `X` (arrays, tables, lists of text)
        is handed on untouched.
    calibrator : str or BaseCalibrator, default="auto"
        Registry name (see `calib.CALIBRATORS`) or an unfitted calibrator; its `input` parameter is
        set here, because the wrapper knows what the estimator emits.
    cv : int, splitter or iterable, default=5
        Folds of the out-of-fold scores; integers mean stratified folds. Unused for a frozen
        estimator.
    ensemble : bool, default=False
        Keep the (estimator, calibrator) pair of every fold and average their probabilities instead
        of refitting: often a little better, at `cv` times the prediction cost. A calibrator with a
        merge of its own replaces the average (Venn-ABERS: geometric means, the cross predictor).
        Unused for a frozen estimator.
    response : {"auto", "decision_function", "predict_proba"}, default="auto"
        Which output of the estimator is calibrated. ``"auto"`` takes the decision function (as
        logits) where there is one with a column per class, else the predicted probabilities.
    n_jobs : int, default=None
        Folds fitted in parallel; None means 1 outside a joblib context.

    Attributes
    ----------
    estimator_ : estimator
        The model used for prediction (absent with ``ensemble=True``).
    calibrator_ : BaseCalibrator
        The fitted calibrator (absent with ``ensemble=True``).
    pairs_ : list of (estimator, calibrator)
        All fitted pairs; a single one unless ``ensemble=True``.
    response_ : {"decision_function", "predict_proba"}
        What is calibrated.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features the model has seen, where it says so.

    Raises
    ------
    ValueError
        At fit, for labels the frozen model does not know, a single class, or an unknown option.

    Warns
    -----
    RefitWarning
        If `estimator` is already trained but not wrapped in ``FrozenEstimator``.
    UserWarning
        If weights were given and the estimator takes none (they then serve calibration only), or
        if a class is missing from the training part of a fold.

    See Also
    --------
    BaseCalibrator : calibrate scores that are already at hand.

    Notes
    -----
    Classes that the calibration data lack keep a column. Samples whose class is missing from the
    training part of their fold have no usable out-of-fold score and are left out of calibration.

    References
    ----------
    J. Platt 1999 and B. Zadrozny, C. Elkan 2002 for calibrating classifiers on held-out scores;
    see the calibrators for theirs.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from calib import CalibratedClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(C=100, max_iter=2000).fit(X[:300], y[:300])
    >>> served = CalibratedClassifier(FrozenEstimator(model), "temperature")
    >>> served = served.fit(X[300:900], y[300:900])
    >>> bool(served.calibrator_.temperature_ > 1)  # the model was overconfident
    True
    """

    classes_: LabelArray
    pairs_: list[tuple[Any, BaseCalibrator]]
    response_: str

    def __init__(
        self,
        estimator: Any,
        calibrator: str | BaseCalibrator = "auto",
        *,
        cv: Any = 5,
        ensemble: bool = False,
        response: Response = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.cv = cv
        self.ensemble = ensemble
        self.response = response
        self.n_jobs = n_jobs

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        groups: ArrayLike = None,
    ) -> Self:
        """Fit the calibrator, and the estimator unless it is frozen.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.
        y : array-like of shape (n_samples,)
            Labels of any type.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, used by the estimator (where it takes them) and the calibrator.
        groups : array-like of shape (n_samples,), default=None
            Passed to the splitter `cv`.

        Returns
        -------
        self : object
        """
        check_option("ensemble", self.ensemble, (True, False))
        check_option("response", self.response, ("auto", "decision_function", "predict_proba"))
        X, y = indexable(X, y)
        y = check_vector(y, "y")
        check_classification_targets(y)
        weight = check_weight(sample_weight, len(y))
        for name in ("estimator_", "calibrator_"):
            self.__dict__.pop(name, None)
        if isinstance(self.estimator, FrozenEstimator):
            self.classes_ = np.asarray(self.estimator.classes_)
            codes = encode_labels(y, self.classes_, "y")
            pairs = [self._calibrate_frozen(X, codes, weight)]
        else:
            self._warn_if_trained()
            self.classes_, codes = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"y has one class ({self.classes_[0]!r}); a classifier needs at least two"
                )
            pairs = self._cross_fit(X, y, codes, weight, groups)
        self.pairs_ = pairs
        if len(pairs) == 1:
            self.estimator_, self.calibrator_ = pairs[0]
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1, columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        scored = [(calibrator, self._scores_of(model, X)) for model, calibrator in self.pairs_]
        first = scored[0][0]
        if len(scored) > 1 and hasattr(first, "merge_folds"):
            return first.merge_folds(scored)
        probas = [calibrator.predict_proba(scores) for calibrator, scores in scored]
        return probas[0] if len(probas) == 1 else np.mean(probas, axis=0)

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        proba = self.predict_proba(X)
        return cast(LabelArray, self.classes_[np.asarray(proba).argmax(axis=1)])

    @_calibrator_has("predict_interval")
    def predict_interval(self, X: ArrayLike) -> Array:
        """Return the calibrator's probability intervals, shape (n_samples, n_classes, 2).

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        interval : ndarray of shape (n_samples, n_classes, 2)
            Lower and upper probability of each class.
        """
        check_is_fitted(self)
        return cast(Any, self.calibrator_).predict_interval(self._scores_of(self.estimator_, X))

    @_calibrator_has("uncertainty")
    def uncertainty(self, X: ArrayLike) -> Array:
        """Return the calibrator's doubt score of each sample, shape (n_samples,).

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        doubt : ndarray of shape (n_samples,)
            Larger means more doubtful.
        """
        check_is_fitted(self)
        return cast(Any, self.calibrator_).uncertainty(self._scores_of(self.estimator_, X))

    @property
    def n_features_in_(self) -> int:
        """Number of features the model has seen."""
        return cast(int, self._delegate("n_features_in_"))

    @property
    def feature_names_in_(self) -> LabelArray:
        """Names of the features the model has seen."""
        return cast(LabelArray, self._delegate("feature_names_in_"))

    # ------------------------------------------------------------------ private parts

    def _delegate(self, name: str) -> Any:
        if not hasattr(self, "pairs_"):
            raise AttributeError(f"{type(self).__name__} is not fitted, so it has no {name}")
        return getattr(self.pairs_[0][0], name)

    def _new_calibrator(self, source: InputKind | None = None) -> BaseCalibrator:
        if isinstance(self.calibrator, str):
            fresh: BaseCalibrator = make_calibrator(self.calibrator)
        elif isinstance(self.calibrator, BaseCalibrator):
            fresh = clone(self.calibrator)
        else:
            raise ValueError(
                f"calibrator must be a registry name or a calibrator instance; got "
                f"{describe(self.calibrator)}"
            )
        return fresh if source is None else fresh.set_params(input=source)

    def _warn_if_trained(self) -> None:
        try:
            check_is_fitted(self.estimator)
        except (NotFittedError, TypeError):
            return
        if get_tags(self.estimator).requires_fit:
            warn(
                f"{type(self.estimator).__name__} is already trained and will be trained again on "
                f"the data passed to fit; pass FrozenEstimator(model) to calibrate it as it is",
                RefitWarning,
            )

    def _calibrate_frozen(
        self, X: Any, codes: IntArray, weight: Float64Array | None
    ) -> tuple[Any, BaseCalibrator]:
        self.response_ = choose_response(self.estimator, X, self.response)
        scores = self._scores_of(self.estimator, X)
        return self.estimator, self._fit_calibrator(scores, codes, weight)

    def _fit_calibrator(
        self, scores: FloatArray, codes: IntArray, weight: Float64Array | None
    ) -> BaseCalibrator:
        source: InputKind = "logits" if self.response_ == "decision_function" else "proba"
        labels = np.arange(len(self.classes_))
        calibrator = self._new_calibrator(source)
        return calibrator.fit(scores, codes, sample_weight=weight, labels=labels)

    def _cross_fit(
        self, X: Any, y: Any, codes: IntArray, weight: Float64Array | None, groups: ArrayLike
    ) -> list[tuple[Any, BaseCalibrator]]:
        if weight is not None and not has_fit_parameter(self.estimator, "sample_weight"):
            warn(
                f"{type(self.estimator).__name__}.fit takes no sample_weight; the weights are used "
                f"for calibration only",
                UserWarning,
            )
            estimator_weight = None
        else:
            estimator_weight = weight
        splitter = check_cv(self.cv, codes, classifier=True)
        folds = list(splitter.split(X, codes, groups))
        parallel = Parallel(n_jobs=self.n_jobs)
        models = parallel(
            delayed(fit_on_rows)(self.estimator, X, y, estimator_weight, train)
            for train, _ in folds
        )
        whole = None if self.ensemble else fit_on_rows(self.estimator, X, y, estimator_weight, None)
        self.response_ = choose_response(models[0] if whole is None else whole, X, self.response)
        held_out = []
        for model, (_, test) in zip(models, folds, strict=True):
            known = np.isin(self.classes_, model.classes_)
            usable = test[known[codes[test]]]
            if not known.all():
                warn(
                    f"classes {self.classes_[~known].tolist()} are missing from the training part "
                    f"of a fold; their {len(test) - len(usable)} held-out samples cannot be used "
                    f"for calibration. Use fewer folds or more samples of these classes",
                    UserWarning,
                )
            held_out.append((usable, self._scores_of(model, take_rows(X, usable))))
        if whole is None:
            return [
                (model, self._fit_calibrator(z, codes[i], None if weight is None else weight[i]))
                for model, (i, z) in zip(models, held_out, strict=True)
            ]
        rows = np.concatenate([i for i, _ in held_out])
        scores = np.concatenate([z for _, z in held_out])
        part = None if weight is None else weight[rows]
        return [(whole, self._fit_calibrator(scores, codes[rows], part))]

    def _scores_of(self, estimator: Any, X: Any) -> FloatArray:
        return columns_by_class(estimator, X, self.response_, self.classes_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "pairs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.no_validation = True
        tags.classifier_tags.multi_label = False
        return tags
