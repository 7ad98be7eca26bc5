"""What the wrappers of other estimators share: how their `fit` reads data, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from sklearn.base import MetaEstimatorMixin
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.multiclass import check_classification_targets

from calib._border.labels import check_vector, check_weight, encode_labels
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._core.estimators.fit_parameters import FitParameters, route_fit, routing_of
from calib._core.estimators.out_of_fold import (
    Fold,
    check_estimator,
    check_rows,
    check_two_classes,
    fit_on_parts,
    folds_of,
    input_tags_of,
    is_frozen,
    members_of,
    warn_if_trained,
    warn_unused,
)
from calib._core.estimators.responses import classes_of_model, in_order, trainable_classes


class ModelWrapper(MetaEstimatorMixin):  # type: ignore[misc]
    """Base of what wraps an estimator, trained here or frozen.

    A subclass names the attribute that `fit` sets, and says which model its features are read from.
    """

    estimator: Any
    cv: Any = None
    _fitted: ClassVar[str]

    #: Groups are for the folds, so a router above hands them on without being asked.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"groups": True}

    def _first_model(self) -> Any:
        """Return a fitted model that has seen the features."""
        raise AssertionError(f"{type(self).__name__} does not define _first_model")

    @property
    def n_features_in_(self) -> int:
        """Number of features the model has seen."""
        return cast(int, self._trait("n_features_in_"))

    @property
    def feature_names_in_(self) -> LabelArray:
        """Names of the features the model has seen."""
        return cast(LabelArray, self._trait("feature_names_in_"))

    def _trait(self, name: str) -> Any:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} is not fitted, so it has no {name}")
        return getattr(self._first_model(), name)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which metadata `fit` takes, and hands on to the estimator and the splitter.

        Returns
        -------
        routing : MetadataRouter
        """
        return routing_of(self, members_of(self.estimator), self.cv)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if not isinstance(self.estimator, (tuple, list)):
            tags.input_tags = input_tags_of(self.estimator)
        tags.no_validation = True
        return tags


def read_fit_parameters(
    wrapper: Any,
    n_samples: int,
    *,
    sample_weight: Float64Array | None,
    groups: ArrayLike,
    fit_params: Mapping[str, Any],
    weights_serve: str | None,
) -> FitParameters:
    """Share out what was passed to the `fit` of a wrapper, and warn of what has no effect.

    Parameters
    ----------
    wrapper : estimator
        Has `estimator` (a tuple: several), and `get_metadata_routing`.
    n_samples : int
    sample_weight : ndarray of shape (n_samples,) or None
        Checked weights.
    groups : array-like of shape (n_samples,) or None
        For the splitter.
    fit_params : mapping
        Whatever else was passed.
    weights_serve : str or None
        What weights are good for beside the fit of the estimator; None: nothing.

    Returns
    -------
    parameters : FitParameters
    """
    members = members_of(wrapper.estimator)
    if is_frozen(wrapper.estimator):
        warn_unused(fit_params, None if weights_serve else sample_weight)
        sample_weight, fit_params = None, {}
    else:
        for member in members:
            if not is_frozen(member):
                warn_if_trained(member)
    return route_fit(
        wrapper,
        members,
        n_samples,
        sample_weight=sample_weight,
        groups=groups,
        fit_params=fit_params,
        otherwise=f"the weights are used for {weights_serve} only"
        if weights_serve
        else "they have no effect, because calibration counts every sample once",
    )


@dataclass(frozen=True)
class ClassifierData:
    """Checked data of a wrapper around a classifier.

    Attributes
    ----------
    X : array, table or mapping with n_samples rows
        As it was given.
    y : ndarray of shape (n_samples,)
        Labels.
    weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
        Those of the labels, in sorted order; of a frozen model: all it knows.
    parameters : FitParameters
    """

    X: Any
    y: LabelArray
    weight: Float64Array | None
    classes: LabelArray
    parameters: FitParameters


def read_classifier_data(
    wrapper: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    answers: tuple[str, ...],
    sample_weight: ArrayLike = None,
    groups: ArrayLike = None,
    fit_params: Mapping[str, Any],
    weights_serve: str | None = None,
) -> ClassifierData:
    """Check the data of `fit`, and the estimator; `answers` are the methods it may have."""
    check_estimator(wrapper.estimator, kind="classifier", answers=answers)
    X, y = check_rows(X, y)
    labels = check_vector(y, "y")
    check_classification_targets(labels)
    weight = check_weight(sample_weight, len(labels))
    if is_frozen(wrapper.estimator):
        classes = in_order(classes_of_model(wrapper.estimator))
        encode_labels(labels, classes, "y")
    else:
        classes = trainable_classes(labels)
    parameters = read_fit_parameters(
        wrapper,
        len(labels),
        sample_weight=weight,
        groups=groups,
        fit_params=fit_params,
        weights_serve=weights_serve,
    )
    return ClassifierData(X, labels, weight, classes, parameters)


def fit_folds(
    wrapper: Any, data: ClassifierData, *, partition: bool
) -> tuple[list[Fold], list[Any]]:
    """Return the folds of a wrapper's `cv`, and a model trained without each."""
    codes = encode_labels(data.y, data.classes, "y")
    split = data.parameters.split
    folds = folds_of(wrapper.cv, data.X, codes, classifier=True, split=split, partition=partition)
    for train, _ in folds:
        check_two_classes(codes[train], data.classes, len(folds))
    parts = [train for train, _ in folds]
    models = fit_on_parts(wrapper.estimator, data.X, data.y, parts, data.parameters, wrapper.n_jobs)
    return folds, models
