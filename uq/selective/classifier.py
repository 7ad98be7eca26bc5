"""A classifier that abstains where it is unsure, with a guaranteed error rate on the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_fraction, check_option, describe
from calib._border.labels import encode_labels
from calib._border.random import generator
from calib._border.sklearn_compat import take_rows
from calib._border.typing import ArrayLike, Float64Array, LabelArray, RandomState
from calib._border.validation import check_score_vector
from calib._core.estimators.out_of_fold import draw_held_out, fit_on_rows, is_frozen
from calib._core.estimators.responses import classes_of_models, predicted_codes
from calib._core.estimators.wrapper import ModelWrapper, read_classifier_data
from uq.ood.scores import margin_score, max_probability_score, negative_entropy_score
from uq.selective.risk_control import Procedure, SelectiveThreshold, control_selective_risk

Confidence: TypeAlias = (
    Literal["max_probability", "margin", "negative_entropy"] | Callable[[Any, Any], ArrayLike]
)
BoolArray: TypeAlias = npt.NDArray[np.bool_]
SCORES: dict[str, Callable[..., Any]] = {
    "max_probability": max_probability_score,
    "margin": margin_score,
    "negative_entropy": negative_entropy_score,
}


class SelectiveClassifier(ModelWrapper, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Wrap a classifier so that it abstains, with a guaranteed error rate among its answers.

    A trained model goes in as ``FrozenEstimator(model)``: all data passed to `fit` set the
    threshold. Any other estimator is trained on one part of them, and the threshold is set on the
    rest; it is not trained again, because the guarantee is for the model that was tested.

    Parameters
    ----------
    estimator : estimator
        A classifier, or a pipeline that ends in one. Its input `X` is handed on untouched.
    target_risk : float in (0, 1), default=0.1
        Largest error rate allowed among answered samples.
    confidence_level : float in (0, 1), default=0.9
        Probability, over the calibration samples, that the error rate is within the target.
    confidence : {"max_probability", "margin", "negative_entropy"} or callable, \
default="max_probability"
        What is compared with the threshold: a function of ``predict_proba``, or
        ``confidence(estimator, X) -> (n_samples,)`` of the fitted estimator, larger for more
        certain.
    procedure : {"fixed_sequence", "bonferroni"}, default="fixed_sequence"
        How thresholds are tested, see `control_selective_risk`.
    min_coverage : float in (0, 1), default=0.2
        Coverage at which testing starts, see `control_selective_risk`.
    calibration_fraction : float in (0, 1), default=0.3
        Share of the data that sets the threshold, drawn at random (in whole groups where groups
        are passed to `fit`); unused for a frozen estimator.
    abstain_label : label or None, default=None
        What `predict` returns where the model abstains; must not be a class. None means -1 (for
        boolean labels too), or the smallest class minus 1 where -1 is a class; NaN for float
        labels; ``"abstain"`` for texts; None for other objects.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the split; unused for a frozen estimator.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    threshold_ : float
        Samples with at least this confidence are answered; inf where no threshold passed.
    control_ : SelectiveThreshold
        Coverage, errors and bound on the calibration samples.
    abstain_label_ : object
        What `predict` returns where the model abstains.
    n_features_in_ : int
        Number of features the model has seen, where it says so.

    Raises
    ------
    ValueError
        At fit, for labels the model does not know, an abstain label that is a class or of another
        type, too few samples, or an option out of range.

    Warns
    -----
    NothingKeptWarning
        If no threshold can be shown to keep the target; then every sample is abstained from.

    See Also
    --------
    control_selective_risk : The threshold alone, from saved errors and confidences.
    risk_coverage_curve : All thresholds, without a guarantee.

    Notes
    -----
    ``P(error rate of future answered samples <= target_risk) >= confidence_level`` if calibration
    and future samples are independent and alike. `score` is the share of samples that are answered
    and right: an abstention counts as no right answer. Weights have no binomial
    guarantee, so `fit` takes none.

    References
    ----------
    .. [1] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan, L. Lei. Learn then Test:
       Calibrating Predictive Algorithms to Achieve Risk Control. 2021. arXiv:2110.01052
    .. [2] Y. Geifman, R. El-Yaniv. Selective Classification for Deep Neural Networks.
       NeurIPS 2017. arXiv:1705.08500

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from uq import SelectiveClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = FrozenEstimator(LogisticRegression(max_iter=5000).fit(X[:300], y[:300]))
    >>> selective = SelectiveClassifier(model, target_risk=0.05).fit(X[300:1000], y[300:1000])
    >>> answered = selective.accepts(X[1000:])
    >>> wrong = selective.predict(X[1000:])[answered] != y[1000:][answered]
    >>> print(f"answered {answered.mean():.2f}, wrong {wrong.mean():.3f}")
    answered 0.77, wrong 0.036
    """

    _fitted = "control_"

    estimator_: Any
    classes_: LabelArray
    control_: SelectiveThreshold
    threshold_: float
    abstain_label_: Any

    def __init__(
        self,
        estimator: Any,
        *,
        target_risk: float = 0.1,
        confidence_level: float = 0.9,
        confidence: Confidence = "max_probability",
        procedure: Procedure = "fixed_sequence",
        min_coverage: float = 0.2,
        calibration_fraction: float = 0.3,
        abstain_label: Any = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.target_risk = target_risk
        self.confidence_level = confidence_level
        self.confidence = confidence
        self.procedure = procedure
        self.min_coverage = min_coverage
        self.calibration_fraction = calibration_fraction
        self.abstain_label = abstain_label
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike = None, **fit_params: Any
    ) -> Self:
        """Fit the estimator unless it is frozen, and set the threshold on held-out samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), or mapping of str to such arrays
            Whatever the estimator accepts.
        y : array-like of shape (n_samples,)
            Labels of any type.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out together.
        **fit_params : dict
            Passed to the `fit` of the estimator (with metadata routing: to where they are
            requested). Those with one entry per sample are cut to the rows that train; others,
            and those named as validation data (``eval_set``, ``X_val``), are passed whole.

        Returns
        -------
        self : object
        """
        if not callable(self.confidence):
            check_option("confidence", self.confidence, tuple(SCORES))
        fraction = check_fraction("calibration_fraction", self.calibration_fraction)
        if "sample_weight" in fit_params:
            raise TypeError(
                "fit takes no sample_weight: weights have no binomial guarantee. Train the "
                "estimator with them first and pass FrozenEstimator(estimator)"
            )
        data = read_classifier_data(
            self, X, y, answers=("predict",), groups=groups, fit_params=fit_params
        )
        X, labels = data.X, data.y
        if is_frozen(self.estimator):
            self.estimator_, self.classes_ = self.estimator, data.classes
            held_out = np.arange(len(labels))
        else:
            groups = data.parameters.groups
            n_held_out = max(1, round(fraction * len(labels)))
            random = generator(self.random_state)
            train, held_out = draw_held_out(np.arange(len(labels)), n_held_out, random, groups)
            if len(np.unique(labels[train])) < 2:
                raise ValueError(
                    f"y has {len(labels)} samples, whose training part of {len(train)} holds "
                    f"fewer than 2 classes; pass more samples or lower calibration_fraction"
                )
            self.estimator_ = fit_on_rows(self.estimator, X, labels, train, data.parameters)
            self.classes_ = classes_of_models([self.estimator_], data.classes)
        codes = encode_labels(labels, self.classes_, "y")
        self.abstain_label_ = _abstain_label(self.abstain_label, self.classes_)
        X_held_out = X if len(held_out) == len(labels) else take_rows(X, held_out)
        wrong = predicted_codes(self.estimator_, X_held_out, self.classes_) != codes[held_out]
        self.control_ = control_selective_risk(
            wrong,
            self._confidence_of(X_held_out),
            target_risk=self.target_risk,
            confidence_level=self.confidence_level,
            procedure=self.procedure,
            min_coverage=self.min_coverage,
        )
        self.threshold_ = self.control_.threshold
        return self

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return the class of each sample, or ``abstain_label_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Integers stay integers and texts stay texts; booleans become 0, 1 and the abstain label.
        """
        labels = self.predict_all(X)
        accepted = self.accepts(X)
        out = labels.astype(_common_type(labels, self.abstain_label_))
        out[~accepted] = self.abstain_label_
        return out

    def predict_all(self, X: ArrayLike) -> LabelArray:
        """Return the class of each sample without abstaining.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    def score_samples(self, X: ArrayLike) -> Float64Array:
        """Return the confidence that is compared with the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        confidence : ndarray of shape (n_samples,)
            Larger is more certain.
        """
        check_is_fitted(self)
        return self._confidence_of(X)

    def accepts(self, X: ArrayLike) -> BoolArray:
        """Return which samples are answered.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        accepted : ndarray of shape (n_samples,)
            True where the sample is answered.
        """
        return self.score_samples(X) >= self.threshold_

    def abstention_rate(self, X: ArrayLike) -> float:
        """Return the share of samples that are not answered.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        rate : float
            In [0, 1].
        """
        return float(1 - self.accepts(X).mean())

    # ------------------------------------------------------------------ private parts

    def _first_model(self) -> Any:
        return self.estimator_

    def _confidence_of(self, X: ArrayLike) -> Float64Array:
        if callable(self.confidence):
            values = check_score_vector(self.confidence(self.estimator_, X), "confidence(...)")
        elif hasattr(self.estimator_, "predict_proba"):
            values = check_score_vector(
                SCORES[self.confidence](self.estimator_.predict_proba(X)), "confidence"
            )
        else:
            raise ValueError(
                f"{type(self.estimator_).__name__} has no predict_proba for "
                f"confidence={self.confidence!r}; wrap it in CalibratedClassifier or pass a "
                f"callable confidence(estimator, X)"
            )
        return values


def _abstain_label(given: Any, classes: LabelArray) -> Any:
    """Return what stands for an abstention, checked against the classes."""
    kind = classes.dtype.kind
    if given is None:
        if kind in "iub":
            return -1 if not (classes == -1).any() else int(classes.min()) - 1
        given = {"f": np.nan, "U": "abstain"}.get(kind)
    wanted: dict[str, tuple[type, ...]] = {
        "i": (int, np.integer),
        "u": (int, np.integer),
        "b": (int, np.integer),
        "f": (float, int, np.floating, np.integer),
        "U": (str,),
    }
    if kind in wanted and (isinstance(given, bool) or not isinstance(given, wanted[kind])):
        raise ValueError(
            f"abstain_label must be of the type of the labels ({classes.dtype}); got "
            f"{describe(given)}"
        )
    if any(given == label for label in classes.tolist()):
        raise ValueError(f"abstain_label {describe(given)} is one of the classes; pass another")
    return given


def _common_type(labels: LabelArray, marker: Any) -> np.dtype[Any]:
    """Return a type of the labels' kind that holds the marker as well."""
    if labels.dtype.kind == "O":
        return labels.dtype
    if labels.dtype.kind in "ub":
        return np.dtype(np.int64)
    if labels.dtype.kind in "if":
        needed = np.min_scalar_type(marker) if labels.dtype.kind == "i" else labels.dtype
        return np.result_type(labels.dtype, needed)
    return np.result_type(labels.dtype, np.asarray(marker).dtype)
