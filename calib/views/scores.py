"""The scores of a trained model on an input and on views of it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, cast

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_option, describe
from calib._border.random import generator, stream
from calib._border.typing import ArrayLike, FloatArray, LabelArray, RandomState
from calib._border.validation import check_probabilities
from calib._core import links
from calib._core.estimators.out_of_fold import is_frozen
from calib._core.estimators.responses import (
    Response,
    choose_response,
    classes_of_model,
    columns_by_class,
)


class ViewScores(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn inputs into the scores of a trained model on them and on views of them.

    The step before `CorrectnessAwareCalibrator`. Every view costs one more forward pass of the
    model, at fit and at prediction.

    Parameters
    ----------
    estimator : FrozenEstimator
        The trained classifier, as ``FrozenEstimator(model)``; it is never trained here.
    views : sequence of callable
        At least one. Each gets a copy of `X` and returns inputs of the same kind and number of
        rows: ``view(X)``, or ``view(X, rng)`` where it has a second parameter without default, or
        one called ``rng``. See `calib.views`. A view must not change the label.
    response : {"auto", "decision_function", "predict_proba"}, default="auto"
        Which output of the model is read, as in `CalibratedClassifier`.
    output : {"logits", "proba"}, default="logits"
        What the step after receives and has to declare as its `input`. ``"proba"`` hands on the
        probabilities of the model as they are; prefer it for models that emit probabilities of
        exactly 0 (forests, trees, neighbours), whose logarithms would rule a temperature.
    random_state : int, RandomState instance or None, default=0
        Of the generators that views get: the same ones in every call of `transform`, so that the
        same rows in the same places get the same views.

    Attributes
    ----------
    response_ : {"decision_function", "predict_proba"}
        What is read.
    classes_ : ndarray of shape (n_classes,)
        Class of each score, as the model has them.
    n_views_ : int
        Number of views.
    seed_ : int
        What the generators are made from, together with the number of the view.

    Raises
    ------
    ValueError
        At fit, for a model that is not frozen, without views, for options that are unknown or
        contradict each other, and for a model whose columns are not its classes. At transform,
        for a view that returns another number of rows or columns.
    TypeError
        At fit, for a view that cannot be called.
    NotFittedError
        At fit, for a frozen model that is not trained.

    See Also
    --------
    CorrectnessAwareCalibrator : the step after.

    Notes
    -----
    Decision functions are logits as they are; probabilities become their logarithms, cut at the
    precision of their type. One column, of the second of two classes, becomes two.

    References
    ----------
    Y. Liu, L. Wang, Y. Zou, J. Zou, L. Zheng, "Optimizing Calibration by Gaining Aware of
    Prediction Correctness", 2024, arXiv 2404.13016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from calib import CorrectnessAwareCalibrator, ViewScores, views
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(C=100, max_iter=2000).fit(X[:300], y[:300])
    >>> tilted = [views.Rotation(shape=(8, 8)), views.PixelNoise(shape=(8, 8), scale=0.3)]
    >>> served = make_pipeline(
    ...     ViewScores(FrozenEstimator(model), tilted),
    ...     CorrectnessAwareCalibrator(n_views=2, input="logits"),
    ... )
    >>> served = served.fit(X[300:1100], y[300:1100])
    >>> served[0].transform(X[1100:]).shape
    (697, 3, 10)
    >>> served.predict_proba(X[1100:]).shape
    (697, 10)
    """

    response_: str
    classes_: LabelArray
    n_views_: int
    seed_: int

    def __init__(
        self,
        estimator: Any,
        views: Sequence[Callable[..., Any]],
        *,
        response: Response = "auto",
        output: Literal["logits", "proba"] = "logits",
        random_state: RandomState = 0,
    ) -> None:
        self.estimator = estimator
        self.views = views
        self.response = response
        self.output = output
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike = None) -> Self:
        """Look at what the model answers; nothing is trained.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the model accepts.
        y : array-like, default=None
            Ignored.

        Returns
        -------
        self : object
        """
        check_option("response", self.response, ("auto", "decision_function", "predict_proba"))
        if not is_frozen(self.estimator):
            raise ValueError(
                f"estimator must be a trained model as FrozenEstimator(model), so that it is not "
                f"trained on the rows that calibrate it; got {describe(self.estimator)}"
            )
        if callable(self.views) or not len(self.views):
            raise ValueError(
                f"views must be a list of at least one callable; got {describe(self.views)}"
            )
        for number, view in enumerate(self.views, 1):
            if not callable(view):
                raise TypeError(f"view {number} cannot be called: {describe(view)}")
        check_option("output", self.output, ("logits", "proba"))
        wanted = self.response
        if self.output == "proba":
            if wanted == "decision_function":
                raise ValueError(
                    "output='proba' hands on predict_proba, but response='decision_function'; "
                    "pass output='logits'"
                )
            wanted = "predict_proba"
        self.classes_ = classes_of_model(self.estimator)
        self.response_ = choose_response(self.estimator, X, wanted)
        self.n_views_ = len(self.views)
        self.seed_ = int(generator(self.random_state).integers(2**63))
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """Return scores on the input and on its views.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the model accepts.

        Returns
        -------
        scores : ndarray of shape (n_samples, 1 + n_views, n_classes)
            Logits or probabilities, as `output` says. Slice 0 of the second axis is `X` itself, the
            others are its views in their order.
        """
        check_is_fitted(self)
        scores = [self._scores(X, "X")]
        for number, view in enumerate(self.views, 1):
            changed = _called(view, copy.deepcopy(X), stream(self.seed_, number))
            name = f"view {number} ({type(view).__name__})"
            before, after = _shape(X), _shape(changed)
            if before != after:
                raise ValueError(
                    f"{name} returned shape {after} for X of shape {before}; a view keeps rows and "
                    f"columns"
                )
            scores.append(self._scores(changed, name))
        return np.stack(scores, axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "seed_")

    def _scores(self, X: Any, name: str) -> FloatArray:
        scores = columns_by_class(self.estimator, X, self.response_, self.classes_)
        scores = scores[:, None] if scores.ndim == 1 else scores
        if self.response_ == "decision_function":
            return scores if scores.shape[1] > 1 else links.both_columns(scores, "logits", np)
        check_probabilities(scores, f"predict_proba of {name}", hint="; check the model")
        scores = scores if scores.shape[1] > 1 else links.both_columns(scores, "proba", np)
        if self.output == "proba":
            return scores
        return cast(FloatArray, np.log(np.maximum(scores, np.finfo(scores.dtype).eps)))


def _shape(X: Any) -> tuple[int, ...]:
    shape = getattr(X, "shape", None)
    return (len(X),) if shape is None else tuple(shape)


def _called(view: Callable[..., Any], X: Any, rng: np.random.Generator) -> Any:
    """Call a view with a generator if it wants one."""
    try:
        parameters = list(inspect.signature(view).parameters.values())
    except (TypeError, ValueError):  # some functions of C do not say
        return view(X)
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.kind in places and p.default is p.empty]
    if len(required) > 1:
        return view(X, rng)
    named = any(p.name == "rng" and p.kind is not p.VAR_KEYWORD for p in parameters)
    return view(X, rng=rng) if named else view(X)
