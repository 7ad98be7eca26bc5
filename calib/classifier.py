"""The meta-estimator that gives a classifier calibrated probabilities."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from calib._border.advice import Door, coming_through
from calib._border.checks import check_option, describe
from calib._border.columns import class_name
from calib._border.labels import encode_labels
from calib._border.sklearn_compat import take_rows
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
from calib._core.estimators.label_columns import is_label_table
from calib._core.estimators.out_of_fold import (
    fit_on_rows,
    is_frozen,
)
from calib._core.estimators.renamed import renamed
from calib._core.estimators.responses import (
    Response,
    choose_response,
    classes_of_model,
    classes_of_models,
    columns_by_class,
)
from calib._core.estimators.wrapper import (
    ClassifierData,
    ModelWrapper,
    fit_folds,
    read_classifier_data,
)
from calib._core.features.columns import beside_scores, chosen_columns
from calib._documents.learnt import Learnt, ShowsWhatItLearnt
from calib.base import BaseCalibrator
from calib.multilabel.pairs import fit_label_pairs, label_probabilities
from calib.registry import make_calibrator
from calib.warnings import FallbackWarning

F = TypeVar("F", bound=Callable[..., Any])


def _calibrator_has(method: str) -> Callable[[F], F]:
    """Let a method exist where the calibrator (fitted, else as given) has it."""

    def check(self: CalibratedClassifier) -> bool:
        fitted = getattr(self, "calibrator_", None)
        return hasattr(fitted if fitted is not None else self._new_calibrator(), method)

    return cast(Callable[[F], F], available_if(check))


class CalibratedClassifier(
    ShowsWhatItLearnt,
    ModelWrapper,
    ClassifierMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
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
        Folds of the out-of-fold scores; integers mean stratified folds, of whole groups where
        groups are passed to `fit`. Unused for a frozen estimator.
    ensemble : bool, default=False
        Keep the (estimator, calibrator) pair of every fold and average their probabilities instead
        of refitting: often a little better, at `cv` times the prediction cost. A calibrator with a
        merge of its own replaces the average (Venn-ABERS: geometric means, the cross predictor).
        Models whose held-out part has one class or one row take a calibrator of all out-of-fold
        scores. Unused for a frozen estimator.
    response : {"auto", "decision_function", "predict_proba"}, default="auto"
        Which output of the estimator is calibrated. ``"auto"`` takes the decision function (as
        logits) where there is one with a column per class, else the predicted probabilities. A
        decision function that contradicts `predict` on the training rows (pairs of classes, columns
        in another order) has no column per class.
    features : None, "all", sequence of str or int, or callable, default=None
        What the calibrator reads beside the scores (``"multicalibration"``, ``"group"``,
        ``"split_point"``): names or positions of columns of `X`, all of them, or a function of `X`
        that returns a table or matrix with a row per sample. Around a pipeline these are raw
        columns of `X`, which is recommended; behind other steps they are what arrives there.
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
        Class labels, sorted; those a frozen model knows, whatever `y` holds. Of many labels their
        places.
    multilabel_ : bool
        Whether a row has many labels: probabilities then have a column per label, always an array,
        and predictions are 0 and 1. The calibrator is the curve of a `MultilabelCalibrator`
        (``"auto"`` stands for ``"spline"``).
    n_features_in_ : int
        Number of features the model has seen, where it says so.

    Raises
    ------
    ValueError
        At fit, for labels the frozen model does not know, a single class, an unknown option, folds
        that leave nothing to train on or to calibrate on, and a model whose columns are not its
        classes.
    TypeError
        At fit, for what is no classifier, such as a network; at construction, for names that other
        libraries use.
    NotFittedError
        At fit, for a frozen estimator that is not trained.

    Warns
    -----
    RefitWarning
        If `estimator` is already trained but not wrapped in ``FrozenEstimator``.
    FallbackWarning
        If ``ensemble=True`` and the held-out part of a fold cannot have a calibrator of its own.
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
    multilabel_: bool = False
    pairs_: list[tuple[Any, Any]]
    response_: str

    _fitted = "pairs_"

    @renamed(method="calibrator", base_estimator="estimator")
    def __init__(
        self,
        estimator: Any,
        calibrator: str | BaseCalibrator = "auto",
        *,
        cv: Any = 5,
        ensemble: bool = False,
        response: Response = "auto",
        features: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.cv = cv
        self.ensemble = ensemble
        self.response = response
        self.features = features
        self.n_jobs = n_jobs

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        *,
        groups: ArrayLike = None,
        **fit_params: Any,
    ) -> Self:
        """Fit the calibrator, and the estimator unless it is frozen.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), or mapping of str to such arrays
            Whatever the estimator accepts.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels of any type; or a column of 0 and 1 for each of many labels, nan where one is
            unknown (frozen estimators only).
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, used by the estimator (where it takes them; in a pipeline, by its
            last step) and the calibrator. With scikit-learn's metadata routing, the estimator gets
            them if it requests them.
        groups : array-like of shape (n_samples,), default=None
            Passed to the splitter `cv`, so that rows of a group are held out together, and to a
            calibrator that judges features on folds of its own.
        **fit_params : dict
            Passed to the `fit` of the estimator (with metadata routing: to where they are
            requested). Those with one entry per sample are cut to the rows of each fold; others,
            and those named as validation data (``eval_set``, ``X_val``), are passed whole.

        Returns
        -------
        self : object
        """
        check_option("ensemble", self.ensemble, (True, False))
        check_option("response", self.response, ("auto", "decision_function", "predict_proba"))
        for name in ("estimator_", "calibrator_"):
            self.__dict__.pop(name, None)
        self.multilabel_ = is_label_table(y)
        if self.multilabel_:
            given = (X, y, sample_weight, groups, fit_params)
            self.pairs_, self.response_, n_labels = fit_label_pairs(self, *given)
            self.classes_ = np.arange(n_labels)
            return self._with_single_pair()
        self._new_calibrator()
        data = read_classifier_data(
            self,
            X,
            y,
            answers=("decision_function", "predict_proba"),
            sample_weight=sample_weight,
            groups=groups,
            fit_params=fit_params,
            weights_serve="calibration",
        )
        if is_frozen(self.estimator):
            self.classes_ = data.classes
            pairs = [self._calibrate_frozen(data)]
        else:
            pairs = self._cross_fit(data)
        self.pairs_ = pairs
        return self._with_single_pair()

    def _with_single_pair(self) -> Self:
        if len(self.pairs_) == 1:
            self.estimator_, self.calibrator_ = self.pairs_[0]
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
        if self.multilabel_:
            return label_probabilities(self.pairs_, X, self.response_, len(self.classes_))
        scored = [(calibrator, self._read_of(model, X)) for model, calibrator in self.pairs_]
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
        if self.multilabel_:
            return (np.asarray(proba) >= 0.5).astype(np.int64)
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
        return cast(Any, self.calibrator_).predict_interval(self._read_of(self.estimator_, X))

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
        return cast(Any, self.calibrator_).uncertainty(self._read_of(self.estimator_, X))

    @_calibrator_has("adapt")
    def adapt(self, X: ArrayLike = None, *, prior: ArrayLike = None) -> Self:
        """Return a classifier for other class frequencies, where the calibrator can adapt.

        For instance ``CalibratedClassifier(model, PriorShiftAdapter())``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), default=None
            Unlabelled samples from where the classifier is to be used.
        prior : array-like of shape (n_classes,), default=None
            Known class frequencies, in the order of ``classes_``.

        Returns
        -------
        adapted : CalibratedClassifier
            A fitted copy with the same model; this one stays as it is.

        Raises
        ------
        ValueError
            As `PriorShiftAdapter.adapt`.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        new.pairs_ = [
            (
                model,
                self._adapted(calibrator, None if X is None else self._read_of(model, X), prior),
            )
            for model, calibrator in self.pairs_
        ]
        if hasattr(self, "calibrator_"):
            new.calibrator_ = new.pairs_[0][1]
        return new

    @_calibrator_has("partial_fit")
    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Go on learning the map from labelled samples, where the calibrator can; not the model.

        For instance ``CalibratedClassifier(model, "online_platt")``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts, in the order in which labels came.
        y : array-like of shape (n_samples,)
            Labels among ``classes_``.

        Returns
        -------
        self : CalibratedClassifier

        Raises
        ------
        NotFittedError
            Before `fit`, which trains the model.
        ValueError
            As `OnlinePlattCalibrator.partial_fit`.
        """
        check_is_fitted(self)
        for model, calibrator in self.pairs_:
            cast(Any, calibrator).partial_fit(self._read_of(model, X), y)
        return self

    @staticmethod
    def _adapted(calibrator: Any, scores: Any, prior: ArrayLike) -> BaseCalibrator:
        adapted: BaseCalibrator = calibrator.adapt(scores, prior=prior)
        return adapted

    def what_was_learnt(self) -> Learnt | None:
        """Return what a notebook shows below the parameters: what the calibrator learnt.

        Returns
        -------
        learnt : Learnt or None
            None before a fit; of several calibrators (``ensemble=True``) that of the first fold.
        """
        if not self.__sklearn_is_fitted__():
            return None
        if self.multilabel_:
            return None
        learnt: Learnt | None = self.pairs_[0][1].what_was_learnt()
        if learnt is None or len(self.pairs_) == 1:
            return learnt
        note = ("folds", f"{len(self.pairs_)} models with a calibrator each; this is the first")
        return replace(learnt, rows=[note, *learnt.rows])

    # ------------------------------------------------------------------ private parts

    def _first_model(self) -> Any:
        return self.pairs_[0][0]

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
        if self.features is not None and "n_scores" not in fresh.get_params(deep=False):
            raise ValueError(
                f"calibrator {self._calibrator_name()} takes no features; use 'multicalibration', "
                f"'group' or 'split_point', or features=None"
            )
        if self.features is None and fresh.needs_features:
            raise ValueError(
                f"calibrator {self._calibrator_name()} reads features; pass features=, e.g. names "
                f"of columns of X, or use 'auto'"
            )
        return fresh if source is None else fresh.set_params(input=source)

    def _calibrator_name(self) -> str:
        name = self.calibrator
        return repr(name) if isinstance(name, str) else type(name).__name__

    def _calibrate_frozen(self, data: ClassifierData) -> tuple[Any, BaseCalibrator]:
        self.response_ = choose_response(self.estimator, data.X, self.response)
        scores = self._scores_of(self.estimator, data.X)
        codes = encode_labels(data.y, self.classes_, "y")
        return self.estimator, self._fit_calibrator(scores, np.arange(len(codes)), codes, data)

    def _fit_calibrator(
        self, scores: FloatArray, rows: IntArray, codes: IntArray, data: ClassifierData
    ) -> BaseCalibrator:
        """Fit a calibrator to scores of some rows of the data, and to features of these rows."""
        source: InputKind = "logits" if self.response_ == "decision_function" else "proba"
        calibrator = self._new_calibrator(source)
        read: Any = scores
        more: dict[str, Any] = {}
        if self.features is not None:
            read = self._with_features(scores, take_rows(data.X, rows))
            calibrator.set_params(n_scores=1 if scores.ndim == 1 else scores.shape[1])
            groups = data.parameters.groups
            if groups is not None and has_fit_parameter(calibrator, "groups"):
                more["groups"] = np.asarray(groups)[rows]
        y = self.classes_[codes[rows]]
        weight = None if data.weight is None else data.weight[rows]
        with coming_through(self._door()):
            calibrator.fit(read, y, sample_weight=weight, labels=self.classes_, **more)
        record = calibrator.fit_record_
        if record is not None:
            name = type(self._inner_model()).__name__
            calibrator.remember(replace(record, response=self.response_, model=name))
        return calibrator

    def _inner_model(self) -> Any:
        """Return the estimator that was given, without the wrapper that freezes it."""
        model = self.estimator
        while isinstance(model, FrozenEstimator):
            model = model.estimator
        return model

    def _door(self) -> Door:
        """Return what can be done here about scores that contradict the labels."""
        model = self._inner_model()
        if is_frozen(self.estimator):
            check = (
                "that y holds the labels that the model was trained on, row by row those of X: its "
                "columns are read in the order of its classes_"
            )
        else:
            check = "that X and y belong together row by row, and pass groups= if rows are related"
        other = "pass response='predict_proba'"
        has_other = self.response_ == "decision_function" and hasattr(model, "predict_proba")
        words = {"sign": other, "kind": f"{other} if so"} if has_other else {}
        name = f"the {self.response_} of {type(model).__name__}"
        return Door.of_model(name, check, declared="it is read as logits", **words)

    def _cross_fit(self, data: ClassifierData) -> list[tuple[Any, BaseCalibrator]]:
        X, y = data.X, data.y
        folds, models = fit_folds(self, data, partition=False)
        whole = None if self.ensemble else fit_on_rows(self.estimator, X, y, None, data.parameters)
        fitted = models if whole is None else [whole]
        self.classes_ = classes_of_models([*models, *fitted], data.classes)
        codes = encode_labels(y, self.classes_, "y")
        richest = max(fitted, key=lambda model: len(classes_of_model(model)))
        self.response_ = choose_response(richest, X, self.response)
        held_out = self._held_out(X, codes, models, folds)
        if self.ensemble:
            return self._pairs(models, held_out, codes, data)
        return [(whole, self._pooled(held_out, codes, data))]

    def _held_out(
        self, X: Any, codes: IntArray, models: list[Any], folds: list[tuple[IntArray, IntArray]]
    ) -> list[tuple[IntArray, FloatArray]]:
        """Return the rows of each fold that can calibrate, and their scores."""
        held_out, missing, n_lost = [], np.zeros(len(self.classes_), dtype=bool), 0
        for model, (_, test) in zip(models, folds, strict=True):
            known = np.isin(self.classes_, classes_of_model(model))
            usable = test[known[codes[test]]]
            missing[np.unique(codes[test[~known[codes[test]]]])] = True
            n_lost += len(test) - len(usable)
            if len(usable):
                scores = self._scores_of(model, take_rows(X, usable))
            else:
                scores = np.empty((0, len(self.classes_)))
            held_out.append((usable, scores))
        if n_lost:
            names = self.classes_[missing].tolist()
            if not any(len(rows) for rows, _ in held_out):
                raise ValueError(
                    f"cv leaves nothing to calibrate on: every held-out part holds only classes "
                    f"that are missing from its training part ({describe(names)}), as folds in the "
                    f"order of sorted labels do. Pass an integer or StratifiedKFold, or shuffle"
                )
            warn(
                f"classes {describe(names)} are missing from the training part of a fold; their "
                f"{n_lost} held-out samples cannot be used for calibration. Use fewer folds, "
                f"stratified folds, or more samples of these classes",
                UserWarning,
            )
        return held_out

    def _pooled(
        self,
        held_out: list[tuple[IntArray, FloatArray]],
        codes: IntArray,
        data: ClassifierData,
    ) -> BaseCalibrator:
        """Return the calibrator of the scores of all folds."""
        parts = [(rows, scores) for rows, scores in held_out if len(rows)]
        rows = np.concatenate([rows for rows, _ in parts])
        if not _can_calibrate(rows, codes, data.weight):
            raise ValueError(
                f"cv leaves {len(rows)} held-out sample(s) of one class "
                f"({self.classes_.tolist()[codes[rows[0]]]!r}) to calibrate on; calibration needs "
                f"at least two classes. Pass an integer or StratifiedKFold, or more samples"
            )
        scores = np.concatenate([scores for _, scores in parts])
        return self._fit_calibrator(scores, rows, codes, data)

    def _pairs(
        self,
        models: list[Any],
        held_out: list[tuple[IntArray, FloatArray]],
        codes: IntArray,
        data: ClassifierData,
    ) -> list[tuple[Any, BaseCalibrator]]:
        """Return every model with the calibrator of its own held-out part, where that has one."""
        able = [_can_calibrate(rows, codes, data.weight) for rows, _ in held_out]
        if not any(able):
            raise ValueError(
                f"ensemble=True fits one calibrator to the held-out part of each fold, and none of "
                f"{len(models)} holds two classes (cv={describe(self.cv)}). Pass ensemble=False, "
                f"which pools the held-out parts, or fewer, stratified folds"
            )
        pooled = None
        if not all(able):
            warn(
                f"the held-out parts of {able.count(False)} of {len(able)} folds hold fewer than "
                f"two classes and cannot have a calibrator of their own; their models take one "
                f"that is fitted to all out-of-fold scores. Pass ensemble=False, or fewer, "
                f"stratified folds",
                FallbackWarning,
            )
            pooled = self._pooled(held_out, codes, data)
        pairs = []
        for model, (rows, scores), calibrates in zip(models, held_out, able, strict=True):
            if calibrates or pooled is None:
                pairs.append((model, self._fit_calibrator(scores, rows, codes, data)))
            else:
                pairs.append((model, pooled))
        return pairs

    def _scores_of(self, estimator: Any, X: Any) -> FloatArray:
        return columns_by_class(estimator, X, self.response_, self.classes_)

    def _read_of(self, estimator: Any, X: Any) -> Any:
        """Return what the calibrator reads: scores, and features where it was given some."""
        scores = self._scores_of(estimator, X)
        return scores if self.features is None else self._with_features(scores, X)

    def _with_features(self, scores: FloatArray, X: Any) -> Any:
        names = [f"score of {class_name(label)}" for label in self.classes_]
        return beside_scores(scores, names, chosen_columns(X, self.features))


def _can_calibrate(rows: IntArray, codes: IntArray, weight: Float64Array | None) -> bool:
    """Return whether rows of positive weight hold two classes."""
    counted = rows if weight is None else rows[weight[rows] > 0]
    return len(counted) > 1 and bool((codes[counted] != codes[counted[0]]).any())
