"""Everything that talks to MAPIE: prediction sets, intervals, and thresholds for binary risks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, RegressorMixin
from sklearn.model_selection import BaseCrossValidator, PredefinedSplit
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import to_numpy
from calib._border.checks import check_fraction, check_option, describe
from calib._border.labels import check_same_length, check_vector, encode_labels
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import check_matrix, check_probabilities, check_score_vector
from calib._border.warn import warn
from calib._core.estimators.out_of_fold import check_estimator, check_rows, input_tags_of, is_frozen
from calib._core.estimators.responses import (
    check_probability_model,
    class_probabilities,
    classes_of_model,
    in_order,
    trainable_classes,
)
from uq.conformal.bands import Ends
from uq.conformal.interval_fitting import Calibration
from uq.conformal.nonconformity import ConformityScore
from uq.conformal.quantiles import conformal_rank
from uq.warnings import RiskNotControlledWarning

#: MAPIE's names of the ways to merge folds.
AGGREGATION = {"mean": "mean", "cv_plus": "crossval"}
#: Share of the calibration samples on which MAPIE tunes ``"raps"``.
RAPS_SHARE = 0.1


class Replay(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answer with probabilities that are part of the input: fold number, then a block per fold.

    Parameters
    ----------
    n_folds : int
        Number of blocks, aside from the last one, which belongs to no fold.
    n_classes : int
        Columns of a block.
    """

    def __init__(self, n_folds: int, n_classes: int) -> None:
        self.n_folds = n_folds
        self.n_classes = n_classes

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Find out which fold is missing; that one's block is the answer."""
        missing = np.setdiff1d(np.arange(self.n_folds), np.unique(np.asarray(X)[:, 0]))
        self.block_ = int(missing[0]) if len(missing) else self.n_folds
        self.classes_ = np.arange(self.n_classes)
        return self

    def predict_proba(self, X: ArrayLike) -> Float64Array:
        """Return the block."""
        start = 1 + self.block_ * self.n_classes
        return np.asarray(np.asarray(X)[:, start : start + self.n_classes])

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return the most probable column."""
        return np.asarray(self.predict_proba(X).argmax(axis=1))


def mapie_can(n_samples: int, codes: IntArray, kind: ConformityScore, level: float) -> bool:
    """Return whether MAPIE answers: enough samples, and more than two labels beyond ``"lac"``."""
    counts = np.unique(codes, return_counts=True)[1]
    if kind == "raps":  # tuned on a stratified tenth, which needs each label, twice in all
        tuning = math.ceil(n_samples * RAPS_SHARE)
        if counts.min() < 2 or tuning < len(counts):
            return False
        n_samples = tuning
    enough = n_samples * min(level, 1 - level) >= 1 + 1e-9
    return enough and (kind == "lac" or len(counts) > 2)


def mapie_sets(
    proba: Float64Array,
    codes: IntArray,
    fold: IntArray,
    tests: list[Float64Array],
    kind: ConformityScore,
    levels: list[float],
    *,
    aggregation: str,
    randomize: bool,
    seed: int,
) -> LabelArray:
    """Return the sets of MAPIE's classifiers, shape (n_samples, n_classes, n_levels).

    Those of `SplitConformalClassifier` for one fold, of `CrossConformalClassifier` for several.
    """
    from mapie.classification import CrossConformalClassifier, SplitConformalClassifier

    n_folds, n_classes = len(tests), proba.shape[1]
    options: dict[str, Any] = {
        "confidence_level": levels,
        "conformity_score": kind,
        "random_state": seed,
    }
    asked: dict[str, Any] = {
        "conformity_score_params": {"include_last_label": "randomized" if randomize else True}
    }
    if n_folds == 1:
        stand_in = Replay(0, n_classes).fit(np.zeros((1, 1)), None)
        engine = SplitConformalClassifier(stand_in, prefit=True, **options)
        with warnings.catch_warnings():
            start = "WARNING: your conformalization dataset has less"
            warnings.filterwarnings("ignore", message=start)
            engine.conformalize(_rows(fold, [proba]), codes)
    else:
        engine = CrossConformalClassifier(
            Replay(n_folds, n_classes), cv=PredefinedSplit(fold), **options
        )
        engine.fit_conformalize(_rows(fold, [proba] * (n_folds + 1)), codes)
        tests = [*tests, np.mean(tests, axis=0)]
        asked["agg_scores"] = AGGREGATION[aggregation]
    sets = engine.predict_set(_rows(np.zeros(len(tests[0])), tests), **asked)[1]
    return np.asarray(sets, dtype=bool)


def _rows(fold: Any, blocks: list[Float64Array]) -> Float64Array:
    return np.hstack([np.asarray(fold, dtype=np.float64)[:, None], *blocks])


#: Columns of `Calibration.seen` in the order of MAPIE's quantile models.
LOW, POINT, HIGH, SCALE = range(4)


def check_supported(est: Any, weighted: bool) -> None:
    """Raise for what only the native backend does."""
    for name, wanted, got in (
        ("tails", "'symmetric' or 'asymmetric'", est.tails in ("symmetric", "asymmetric")),
        ("mondrian", "None", est.mondrian is None),
        ("likelihood_ratio", "None", est.likelihood_ratio is None and not weighted),
        (
            "conformity_score",
            "'absolute'",
            est.method == "split" or est.conformity_score == "absolute",
        ),
    ):
        if not got:
            raise ValueError(
                f"backend='mapie' with method={est.method!r} needs {name}={wanted}; pass "
                f"backend='native'"
            )


class _Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Return a column of X: the given one, or the one that the number of training rows names."""

    def __init__(self, column: int | None = None) -> None:
        self.column = column

    def fit(self, X: Float64Array, y: Any = None) -> _Column:
        self.column_ = self.column if self.column is not None else min(len(X), X.shape[1]) - 1
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        return X[:, self.column_]


class _Folds(BaseCrossValidator):  # type: ignore[misc]
    """Hold out the given rows; train on as many rows as the number of the fold says."""

    def __init__(self, held_out: list[IntArray]) -> None:
        self.held_out = held_out

    def split(self, *args: Any, **kwargs: Any) -> Iterator[tuple[IntArray, IntArray]]:
        for k, rows in enumerate(self.held_out):
            yield np.zeros(k + 1, dtype=np.intp), rows

    def get_n_splits(self, *args: Any, **kwargs: Any) -> int:
        return len(self.held_out)


def mapie_interval(
    calibration: Calibration, bands: list[Ends], level: float, wanted: float, est: Any
) -> Float64Array | None:
    """Return MAPIE's intervals, shape (n_samples, 2).

    None stands for levels that only the largest score or an infinite end reaches, which MAPIE
    refuses.
    """
    n = len(calibration.labels)
    if conformal_rank(n, wanted) >= n:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # crossing quantiles have been reported
        if est.method == "split":
            intervals = _split(calibration, bands[0], level, est)
        else:
            intervals = _several(calibration, bands, level, est)
    return np.asarray(intervals[:, :, 0])


def _split(calibration: Calibration, ends: Ends, level: float, est: Any) -> Float64Array:
    from mapie.conformity_scores import AbsoluteConformityScore, ResidualNormalisedScore
    from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor

    symmetric = est.tails == "symmetric"
    scale = np.ones(len(ends.low)) if ends.scale is None else ends.scale
    new = np.stack([ends.low, 0.5 * ends.low + 0.5 * ends.high, ends.high, scale], axis=1)
    seen, y = calibration.seen, calibration.labels
    columns = [_Column(k).fit(seen) for k in range(4)]
    if est.conformity_score == "quantile":
        models = [columns[LOW], columns[HIGH], columns[POINT]]
        quantile = ConformalizedQuantileRegressor(models, confidence_level=level, prefit=True)
        quantile.conformalize(seen, y)
        answer: Float64Array = quantile.predict_interval(new, symmetric_correction=symmetric)[1]
        return answer
    if est.conformity_score == "normalised":
        score = ResidualNormalisedScore(columns[SCALE], prefit=True, sym=symmetric)
    else:
        score = AbsoluteConformityScore(sym=symmetric)
    split = SplitConformalRegressor(
        columns[POINT], confidence_level=level, conformity_score=score, prefit=True
    )
    split.conformalize(seen, y)
    answer = split.predict_interval(new, allow_infinite_bounds=True)[1]
    return answer


def _several(calibration: Calibration, bands: list[Ends], level: float, est: Any) -> Float64Array:
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import CrossConformalRegressor, JackknifeAfterBootstrapRegressor
    from mapie.subsample import Subsample

    score = AbsoluteConformityScore(sym=est.tails == "symmetric")
    new = np.stack([band.low for band in bands], axis=1)
    seen, y = calibration.seen, calibration.labels
    options: dict[str, Any] = {
        "confidence_level": level,
        "conformity_score": score,
        "method": est.aggregation,
    }
    if est.method == "cross":
        folds = [np.flatnonzero(calibration.fold == k) for k in range(len(bands))]
        seen = np.repeat(seen[:, [POINT]], len(bands), axis=1)
        model = CrossConformalRegressor(_Column(), cv=_Folds(folds), **options)
    else:

        class _Draws(_Folds, Subsample):  # type: ignore[misc]
            """Folds that MAPIE takes for bootstrap draws."""

        left = [np.flatnonzero(~np.isnan(seen[:, b])) for b in range(len(bands))]
        model = JackknifeAfterBootstrapRegressor(_Column(), resampling=_Draws(left), **options)
    model.fit_conformalize(seen, y)
    answer: Float64Array = model.predict_interval(new, allow_infinite_bounds=True)[1]
    return answer


Risk: TypeAlias = Literal[
    "precision", "recall", "accuracy", "fpr", "predicted_positive_fraction", "npv"
]
#: What is optimised among the valid thresholds of each risk, where the caller leaves it open.
OBJECTIVES: dict[str, str] = {
    "precision": "recall",
    "recall": "precision",
    "accuracy": "accuracy",
    "fpr": "recall",
    "predicted_positive_fraction": "recall",
    "npv": "fpr",
}
#: Risks that never change direction when the threshold rises, whatever the data.
MONOTONE = ("recall", "fpr", "predicted_positive_fraction")
PROCEDURES = ("bonferroni_holm", "bonferroni", "fixed_sequence")
MAPIE_NAMES = {"npv": "negative_predictive_value"}


def risks_and_targets(risk: Any, target_level: Any) -> tuple[list[str], list[float]]:
    """Return both as lists of one length."""
    risks = list(risk) if isinstance(risk, (list, tuple)) else [risk]
    several = isinstance(target_level, (list, tuple, np.ndarray)) and np.ndim(target_level) > 0
    targets = list(target_level) if several else [target_level]
    for name in risks:
        check_option("risk", name, tuple(OBJECTIVES))
    if not risks or len(set(risks)) < len(risks) or len(risks) != len(targets):
        raise ValueError(
            f"risk must name at least one rate, each once, and target_level one value for each; "
            f"got {describe(risk)} and {describe(target_level)}"
        )
    return risks, [check_fraction("target_level", target) for target in targets]


def check_search(risks: list[str], objective: str, procedure: str) -> str:
    """Check the options of the search and return the rate to optimise."""
    check_option("objective", objective, ("auto", *OBJECTIVES))
    check_option("procedure", procedure, PROCEDURES)
    if procedure == "fixed_sequence" and (len(risks) > 1 or risks[0] not in MONOTONE):
        raise ValueError(
            f"procedure='fixed_sequence' needs a single risk of {', '.join(MONOTONE)}; got "
            f"{risks}. Use procedure='bonferroni_holm'"
        )
    if objective != "auto":
        return objective
    return OBJECTIVES[risks[0]] if len(risks) == 1 else risks[0]


def check_thresholds(thresholds: ArrayLike) -> Float64Array:
    """Return the thresholds to test."""
    if thresholds is None:
        return np.arange(100) / 100
    values = check_score_vector(thresholds, "thresholds")
    if values[0] < 0 or values[-1] > 1 or (np.diff(values) <= 0).any():
        raise ValueError(
            f"thresholds must increase strictly inside [0, 1]; got {describe(values.tolist())}"
        )
    return values


def _holm() -> Any:
    """Return Holm's procedure of MAPIE, made safe for thresholds without a p-value."""
    from mapie.risk_control import FWERBonferroniHolm

    class Holm(FWERBonferroniHolm):  # type: ignore[misc]
        def run(self, p_values: Float64Array, delta: float) -> Any:
            return super().run(np.nan_to_num(p_values, nan=1.0), delta)

    return Holm()


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
            check_probability_model(self.estimator, X)
        elif callable(self.estimator):
            classes = trainable_classes(labels)
        else:
            raise ValueError(
                f"estimator must be FrozenEstimator(trained model) or a function of X that returns "
                f"probabilities; got {describe(self.estimator)}"
            )
        if len(classes) != 2:
            raise ValueError(f"y and estimator must have two classes; got {describe(classes)}")
        codes = encode_labels(labels, classes, "y")
        proba = self._proba(X, classes)
        check_same_length(len(proba), len(codes), "predict_proba(X)", "y")

        from mapie.risk_control import BinaryClassificationController

        engine = BinaryClassificationController(
            lambda proba: proba,
            [MAPIE_NAMES.get(name, name) for name in risks],
            targets,
            confidence_level=level,
            best_predict_param_choice=MAPIE_NAMES.get(objective, objective),
            list_predict_params=thresholds,
            fwer_method=_holm() if self.procedure == "bonferroni_holm" else self.procedure,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hints on the options; failure is in the result
            engine.calibrate(np.column_stack([1 - proba[:, 1], proba[:, 1]]), codes)
        best = engine.best_predict_param
        self.classes_ = classes
        self.thresholds_ = thresholds
        self.p_values_ = np.nan_to_num(np.asarray(engine.p_values)[:, 0], nan=1.0)
        self.valid_thresholds_ = np.asarray(engine.valid_predict_params, dtype=np.float64)
        self.threshold_ = float("nan") if best is None else float(best)
        self.controlled_ = len(self.valid_thresholds_) > 0
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
