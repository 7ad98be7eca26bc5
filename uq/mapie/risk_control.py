"""A decision threshold whose precision, recall or other rate is guaranteed, with MAPIE's bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import to_numpy
from calib._border.checks import check_fraction, describe
from calib._border.labels import check_same_length, check_vector, encode_labels
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._border.validation import check_matrix, check_probabilities
from calib._border.warn import warn
from calib._core.estimators.out_of_fold import check_estimator, check_rows, input_tags_of, is_frozen
from calib._core.estimators.responses import classes_of_model, in_order
from uq.held_out import check_probability_model, class_probabilities, classes_and_codes
from uq.mapie.thresholds import (
    Risk,
    check_search,
    check_thresholds,
    risks_and_targets,
    search_thresholds,
)
from uq.warnings import RiskNotControlledWarning


class RiskControlledClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Choose the decision threshold of a trained binary model so that a rate is guaranteed.

    With probability `confidence_level` over the calibration samples, the rate of future samples at
    the chosen threshold (precision, recall, ...) meets its target. The bounds are MAPIE's.

    Parameters
    ----------
    estimator : FrozenEstimator or callable
        A trained model as ``FrozenEstimator(model)``, or a function of `X` that returns
        probabilities of shape (n_samples, 2), or of the second class, shape (n_samples,).
    risk : {"precision", "recall", "accuracy", "fpr", "predicted_positive_fraction", "npv"} or \
sequence of them, default="precision"
        Rates to control, all at once if there are several. ``"fpr"`` is the false positive rate,
        ``"npv"`` the precision of negative answers. The positive class is ``classes_[1]``.
    target_level : float in (0, 1) or sequence of them, default=0.9
        Smallest value allowed, or the largest for ``"fpr"`` and ``"predicted_positive_fraction"``;
        one for each risk.
    confidence_level : float in (0, 1), default=0.9
        Probability that all rates meet their targets.
    objective : {"auto", "precision", "recall", "accuracy", "fpr", "predicted_positive_fraction", \
"npv"}, default="auto"
        Which rate of the calibration samples is best at the chosen threshold among the valid ones.
        ``"auto"``: recall for precision, fpr and predicted_positive_fraction, precision for recall,
        fpr for npv, accuracy for itself; the first risk itself if there are several.
    procedure : {"bonferroni_holm", "bonferroni", "fixed_sequence"}, default="bonferroni_holm"
        How the level is kept over the thresholds. ``"fixed_sequence"`` starts at the safe end and
        stops at the first threshold that fails: the most powerful, for a single ``"recall"``,
        ``"fpr"`` or ``"predicted_positive_fraction"``, which cannot turn back on the way.
    thresholds : array-like of shape (n_thresholds,) or None, default=None
        Thresholds to test, strictly increasing in [0, 1]; None means 0, 0.01, ..., 0.99. Fewer
        leave more power to each. They must not be chosen on the calibration samples.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Class labels.
    threshold_ : float
        ``classes_[1]`` is predicted where its probability is at least this; NaN if none is valid.
    controlled_ : bool
        Whether there is a valid threshold.
    valid_thresholds_ : ndarray of shape (n_valid,)
        All thresholds that meet all targets, jointly at `confidence_level`.
    thresholds_ : ndarray of shape (n_thresholds,)
        Thresholds tested.
    p_values_ : ndarray of shape (n_thresholds,)
        P-value of "some risk misses its target"; 1 where a rate has no samples to count.

    Raises
    ------
    ValueError
        At fit, for a model that is not frozen, other than two classes, labels the model does not
        know, values that are no probabilities, or an option out of range; at `predict`, if no
        threshold is valid.

    Warns
    -----
    RiskNotControlledWarning
        At fit, if no threshold is valid. No other threshold is put in its place.

    See Also
    --------
    SelectiveClassifier : Abstains, with a guaranteed error rate among the answers.
    ConformalClassifier : Sets of labels in place of a threshold.

    Notes
    -----
    Each rate is a mean of 0 and 1 over the samples it counts (for precision, those predicted
    positive), so that misses among n of them are binomial, and ``P(Bin(n, 1 - target) <= misses)``
    is a p-value for a target missed (``Bin(n, target)`` for rates to be kept low). Several risks
    share their largest p-value. With m thresholds, none passes on fewer than
    ``log((1 - confidence_level) / m) / log(target_level)`` samples that count: 66 for precision 0.9
    at the defaults. Calibration and future samples must be independent and alike. Conformal risk
    control [2]_ bounds the mean over calibration sets instead, for monotone risks.

    MAPIE takes the smaller of the binomial and Hoeffding's p-value, and by rounding sometimes
    counts a miss too many, which is valid and costs little. It gives no p-value to a threshold
    where a rate has no samples, after which its own ``"bonferroni_holm"`` finds nothing at all;
    here such a threshold merely fails. Cost: O(n_samples n_thresholds) time and memory.

    References
    ----------
    .. [1] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan, L. Lei. Learn then Test:
       Calibrating Predictive Algorithms to Achieve Risk Control. 2021. arXiv:2110.01052
    .. [2] A. N. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster. Conformal Risk Control.
       2022. arXiv:2208.02814

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from uq import RiskControlledClassifier
    >>> X, y = make_classification(4000, flip_y=0.1, class_sep=0.7, random_state=0)
    >>> model = FrozenEstimator(LogisticRegression().fit(X[:500], y[:500]))
    >>> control = RiskControlledClassifier(model, risk="recall", target_level=0.9)
    >>> found = control.fit(X[500:2000], y[500:2000]).predict(X[2000:])
    >>> print(f"threshold {control.threshold_:.2f}, recall {found[y[2000:] == 1].mean():.3f}")
    threshold 0.24, recall 0.937
    """

    classes_: LabelArray
    threshold_: float
    controlled_: bool
    valid_thresholds_: Float64Array
    thresholds_: Float64Array
    p_values_: Float64Array

    def __init__(
        self,
        estimator: Any,
        *,
        risk: Risk | Sequence[Risk] = "precision",
        target_level: float | Sequence[float] = 0.9,
        confidence_level: float = 0.9,
        objective: Risk | Literal["auto"] = "auto",
        procedure: Literal["bonferroni_holm", "bonferroni", "fixed_sequence"] = "bonferroni_holm",
        thresholds: ArrayLike = None,
    ) -> None:
        self.estimator = estimator
        self.risk = risk
        self.target_level = target_level
        self.confidence_level = confidence_level
        self.objective = objective
        self.procedure = procedure
        self.thresholds = thresholds

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Find the thresholds that meet the targets; the model is not trained.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts; samples it was not trained on.
        y : array-like of shape (n_samples,)
            Labels of two classes, of any type.

        Returns
        -------
        self : object
        """
        risks, targets = risks_and_targets(self.risk, self.target_level)
        level = check_fraction("confidence_level", self.confidence_level)
        objective = check_search(risks, self.objective, self.procedure)
        thresholds = check_thresholds(self.thresholds)
        X, y = check_rows(X, y)
        labels = check_vector(y, "y")
        check_classification_targets(labels)
        if is_frozen(self.estimator):
            check_estimator(self.estimator, kind="classifier", answers=("predict_proba",))
            classes = in_order(classes_of_model(self.estimator))
            codes = encode_labels(labels, classes, "y")
            check_probability_model(self.estimator, X)
        elif callable(self.estimator):
            classes, codes = classes_and_codes(labels)
        else:
            raise ValueError(
                f"estimator must be FrozenEstimator(trained model) or a function of X that returns "
                f"probabilities; got {describe(self.estimator)}"
            )
        if len(classes) != 2:
            raise ValueError(f"y and estimator must have two classes; got {describe(classes)}")
        proba = self._proba(X, classes)
        check_same_length(len(proba), len(codes), "predict_proba(X)", "y")

        found = search_thresholds(
            proba[:, 1],
            codes,
            risks,
            targets,
            confidence_level=level,
            objective=objective,
            procedure=self.procedure,
            thresholds=thresholds,
        )
        self.classes_ = classes
        self.thresholds_ = thresholds
        self.p_values_ = found.p_values
        self.valid_thresholds_ = found.valid
        self.threshold_ = found.best
        self.controlled_ = len(found.valid) > 0
        if not self.controlled_:
            goals = ", ".join(f"{r} {t:g}" for r, t in zip(risks, targets, strict=True))
            warn(
                f"no threshold meets {goals} with confidence {level:g}: smallest p-value "
                f"{self.p_values_.min():.3g} of {len(thresholds)} thresholds on {len(codes)} "
                f"samples. predict will raise; relax target_level, lower confidence_level, pass "
                f"fewer thresholds or more calibration samples",
                RiskNotControlledWarning,
            )
        return self

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return ``classes_[1]`` where its probability is at least ``threshold_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        labels : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If no threshold is valid.
        """
        check_is_fitted(self, "threshold_")
        if not self.controlled_:
            raise ValueError(
                "no threshold meets the targets, see controlled_ and p_values_; relax target_level "
                "or lower confidence_level and fit again"
            )
        positive = self._proba(X, self.classes_)[:, 1] >= self.threshold_
        return self.classes_[positive.astype(np.intp)]

    def predict_proba(self, X: ArrayLike) -> Float64Array:
        """Return the probabilities of the model, unchanged.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Whatever the estimator accepts.

        Returns
        -------
        proba : ndarray of shape (n_samples, 2)
        """
        check_is_fitted(self, "threshold_")
        return self._proba(X, self.classes_)

    # ------------------------------------------------------------------ private parts

    def _proba(self, X: ArrayLike, classes: LabelArray) -> Float64Array:
        if is_frozen(self.estimator):
            return class_probabilities(self.estimator, X, classes)
        name = "the answer of estimator(X)"
        matrix = np.asarray(to_numpy(check_matrix(self.estimator(X), name)), dtype=np.float64)
        if matrix.shape[1] > 2:
            raise ValueError(f"{name} must have 1 or 2 columns; got {matrix.shape[1]}")
        check_probabilities(matrix, name, hint="; thresholds need probabilities")
        return matrix if matrix.shape[1] == 2 else np.hstack([1 - matrix, matrix])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.no_validation = True
        if is_frozen(self.estimator):
            tags.input_tags = input_tags_of(self.estimator)
        return tags
