"""Class frequencies that differ from those of the calibration set: corrected, estimated, tested."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from calib._border import validation
from calib._border.arrays import array_namespace, like, read_array, to_numpy
from calib._border.checks import check_fraction, check_number, check_option, describe
from calib._border.labels import check_weight, encode_labels
from calib._border.typing import Array, ArrayLike, Float64Array, IntArray, Namespace
from calib._border.warn import warn
from calib._core.estimators.mixture import (
    inverse_of,
    likeliest_prior,
    quadratic,
    sandwich,
    tangents,
)
from calib._core.fitted_map import MapTraits
from calib.base import BaseCalibrator
from calib.evaluation.significance.results import CalibrationTest
from calib.grouped.files import contents_of_map, restored_map
from calib.registry import get_entry, make_calibrator
from calib.warnings import PriorShiftWarning

#: Most numbers of calibration rows that are kept for tests and intervals.
MOST_KEPT = 60_000
#: Ranges of the largest probability that the test of the kind of shift compares.
N_RANGES = 5
#: Smallest prior that probabilities are divided by.
LEAST_PRIOR = 1e-12
#: How far given priors may be from summing to 1.
SUM_TOLERANCE = 1e-6
#: Pseudo-counts of the source prior; the least keeps every class possible.
LEAST_COUNT, MOST_COUNT = 1.0, 1e9
#: Pseudo-count of an estimate that is as good as free.
FREE_COUNT = 1e-3


class PriorShiftAdapter(BaseCalibrator):
    """Calibrate, and correct the probabilities for other class frequencies where they are used.

    If only the frequencies of the classes change (label shift: fewer sick people, the same
    symptoms), calibrated probabilities are corrected by the ratio of new to old frequencies. These
    are given (``adapt(prior=...)``), or estimated from unlabelled rows (``adapt(X)``); a test that
    more than the frequencies has changed refuses, because the correction would then do harm.

    Parameters
    ----------
    calibrator : str or BaseCalibrator, default="vector_scaling"
        Registry name or unfitted calibrator of the scores. It needs a bias per class: a temperature
        alone leaves frequencies biased, and these are what is read here.
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    shrinkage : "empirical_bayes" or float, default="empirical_bayes"
        Pseudo-count of the source prior in the estimate of the new one, > 0. ``"empirical_bayes"``
        takes it from how far mean predictions have moved beyond chance: without shift it is large
        and nothing moves.
    fit_level : float, default=1e-4
        p-value of the test of the kind of shift below which `adapt` keeps the source prior, in
        [0, 1); 0 never refuses.
    confidence_level : float, default=0.95
        Of ``prior_interval_``, in (0, 1).

    Attributes
    ----------
    calibrator_ : BaseCalibrator
        The fitted calibrator of the scores.
    source_prior_ : ndarray of shape (n_classes,)
        Mean calibrated probability of the calibration set.
    prior_ : ndarray of shape (n_classes,)
        Class frequencies that probabilities are corrected to; those of the source before `adapt`.
    prior_interval_ : ndarray of shape (n_classes, 2) or None
        Interval of the estimated frequencies, without shrinkage; None if none were estimated.
    shift_test_ : CalibrationTest or None
        Whether frequencies have changed.
    fit_test_ : CalibrationTest or None
        Whether no more than frequencies has changed.
    adapted_ : bool
        Whether probabilities are corrected.
    reason_ : str
        Why, or why not.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that the calibrator refuses or an option out of its range.

    See Also
    --------
    undersampled_prior : the known prior after negatives were thrown away for training.
    uq.LikelihoodRatio : for inputs that have changed instead (covariate shift).

    Notes
    -----
    ``p'_k ~ p_k q_k / pi_k`` for the source prior pi and the new one q. The estimate is the largest
    posterior of the mixture, ``sum_i log sum_k q_k p_ik / pi_k + c sum_k pi_k log q_k`` (its steps
    are those of the EM of Saerens and others, taken by Newton), with
    ``c = n (K - 1) / max(T - (K - 1), 0)`` between 1 and 1e9, where T is the squared distance of
    mean predictions from those of the source in units of its covariance: the shift test, chi2 with
    K - 1 degrees. The interval is a sandwich that counts the noise of target and calibration rows.
    The fit test asks whether mean predictions, and the shares of fifths of the largest probability,
    are those of any mixture of the classes of the calibration set (chi2, over-identification).

    Measured on CIFAR-10 (DenseNet-40, Dirichlet priors, log loss on fresh rows):
    ``benchmarks/shift.py``. With 30 rows expect little. The prior is estimated on all rows of one
    call: pass a batch that belongs together. A class that the calibration set lacks keeps its
    frequency.

    References
    ----------
    .. [1] M. Saerens, P. Latinne, C. Decaestecker. Adjusting the Outputs of a Classifier to New a
       Priori Probabilities. Neural Computation 14(1), 2002. doi:10.1162/089976602753284446
    .. [2] A. Alexandari, A. Kundaje, A. Shrikumar. Maximum Likelihood with Bias-Corrected
       Calibration is Hard-To-Beat at Label Shift Adaptation. ICML 2020. arXiv:1901.06852
    .. [3] S. Garg, Y. Wu, S. Balakrishnan, Z. Lipton. A Unified View of Label Shift Estimation.
       NeurIPS 2020. arXiv:2003.07554

    Examples
    --------
    >>> import numpy as np
    >>> from calib import PriorShiftAdapter
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 1000)
    >>> z = rng.normal(size=1000) + 2 * y - 1
    >>> cal = PriorShiftAdapter("platt", input="logits").fit(z, y)
    >>> rare = (rng.random(1000) < 0.1).astype(int)
    >>> new = cal.adapt(rng.normal(size=1000) + 2 * rare - 1)
    >>> new.prior_.round(2), new.adapted_
    (array([0.86, 0.14]), True)
    >>> known = cal.adapt(prior=[0.9, 0.1])
    >>> known.transform([0.0])[:, 1].round(2)
    array([0.09])
    """

    traits: ClassVar[MapTraits] = MapTraits(pure=False)

    calibrator_: BaseCalibrator
    source_prior_: Float64Array
    prior_: Float64Array
    prior_interval_: Float64Array | None
    shift_test_: CalibrationTest | None
    fit_test_: CalibrationTest | None
    adapted_: bool
    reason_: str
    total_: float
    mean_: Float64Array
    covariance_: Float64Array
    counts_: Float64Array
    edges_: Float64Array
    rows_: Float64Array
    row_codes_: IntArray
    row_weight_: Float64Array

    def __init__(
        self,
        calibrator: str | BaseCalibrator = "vector_scaling",
        *,
        input: Literal["proba", "logits"] = "proba",
        shrinkage: float | Literal["empirical_bayes"] = "empirical_bayes",
        fit_level: float = 1e-4,
        confidence_level: float = 0.95,
    ) -> None:
        super().__init__(input=input)
        self.calibrator = calibrator
        self.shrinkage = shrinkage
        self.fit_level = fit_level
        self.confidence_level = confidence_level

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        *,
        labels: ArrayLike = None,
        pos_label: object = None,
    ) -> Self:
        """Fit the calibrator, and keep what shifts are measured against.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of labelled samples of the source, as `input` declares.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of the columns of `X`.
        pos_label : int, float, bool or str, default=None
            Class of a single column; None means the second.

        Returns
        -------
        self : object
            The fitted adapter, which corrects nothing yet.
        """
        self._check_options()
        inner = self._new_calibrator()
        inner.fit(X, y, sample_weight, labels=labels, pos_label=pos_label)
        self._take(inner)
        proba = np.asarray(to_numpy(inner.predict_proba(X)), dtype=np.float64)
        weight = check_weight(sample_weight, len(proba))
        weight = np.ones(len(proba)) if weight is None else weight
        kept = weight > 0
        target = np.asarray(to_numpy(read_array(y, "y"))).reshape(-1)
        codes = encode_labels(target[kept], self.classes_, "y")
        self._remember_source(proba[kept], codes, weight[kept])
        self._reset("the prior is that of the calibration set; call adapt")
        return self

    def _check_options(self) -> None:
        if self.shrinkage != "empirical_bayes":
            count = check_number("shrinkage", self.shrinkage)
            if not 0 < count < np.inf:
                raise ValueError(
                    f"shrinkage must be 'empirical_bayes' or a number > 0; got {self.shrinkage}"
                )
        if not 0 <= check_number("fit_level", self.fit_level) < 1:
            raise ValueError(f"fit_level must lie in [0, 1); got {self.fit_level}")
        check_fraction("confidence_level", self.confidence_level)

    def _take(self, inner: BaseCalibrator) -> None:
        """Take over what the fitted calibrator knows of its input."""
        self.__dict__.pop("feature_names_in_", None)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))
        record = inner.fit_record_
        if record is not None:
            self.remember(record)
        self.calibrator_ = inner

    def _new_calibrator(self) -> BaseCalibrator:
        if isinstance(self.calibrator, str):
            inner: BaseCalibrator = make_calibrator(self.calibrator)
        elif isinstance(self.calibrator, BaseCalibrator):
            inner = clone(self.calibrator)
        else:
            raise ValueError(
                f"calibrator must be a registry name or a calibrator instance; got "
                f"{describe(self.calibrator)}"
            )
        return inner.set_params(input=self.input)  # type: ignore[no-any-return]

    def _remember_source(self, proba: Float64Array, codes: IntArray, weight: Float64Array) -> None:
        n_classes = proba.shape[1]
        self.total_ = float(weight.sum())
        self.mean_ = weight @ proba / self.total_
        centred = proba - self.mean_
        self.covariance_ = (centred * weight[:, None]).T @ centred / max(self.total_ - 1.0, 1.0)
        self.counts_ = np.bincount(codes, weight, minlength=n_classes).astype(np.float64)
        self.source_prior_ = self.mean_ / self.mean_.sum()
        step = max(1, -(-proba.size // MOST_KEPT))
        order = np.lexsort((proba.max(axis=1), codes))[::step]  # a systematic sample of each class
        self.rows_, self.row_codes_, self.row_weight_ = proba[order], codes[order], weight[order]
        top = np.sort(proba.max(axis=1))
        self.edges_ = top[[len(top) * k // N_RANGES for k in range(1, N_RANGES)]]

    def _reset(self, reason: str) -> None:
        self.prior_, self.prior_interval_ = self.source_prior_.copy(), None
        self.shift_test_ = self.fit_test_ = None
        self.adapted_, self.reason_ = False, reason

    # ------------------------------------------------------------------ adapt

    def adapt(self, X: ArrayLike = None, *, prior: ArrayLike = None) -> Self:
        """Return a new adapter for other class frequencies, given or estimated.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes), default=None
            Scores of unlabelled samples from where the map is to be used.
        prior : array-like of shape (n_classes,), default=None
            Known class frequencies, in the order of ``classes_``, sum 1; a dict by class is
            accepted. A frequency of 0 makes a class impossible.

        Returns
        -------
        adapted : PriorShiftAdapter
            A fitted copy; this one stays as it is. Adapting it again starts from the source.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If neither or both of `X` and `prior` are given, if `X` has fewer than two rows or is
            refused by the calibrator, or if `prior` is negative, has another length or sum.

        Warns
        -----
        PriorShiftWarning
            If more than the frequencies has changed, so that the source prior is kept; if a class
            was absent from the calibration set; if a given frequency is 0.
        """
        check_is_fitted(self, "source_prior_")
        if (X is None) == (prior is None):
            raise ValueError(
                f"adapt takes unlabelled rows X or a known prior, and got "
                f"{'neither' if X is None else 'both'}; pass one of them"
            )
        new = copy.copy(self)
        new._reset("")
        if prior is not None:
            new.prior_ = self._known_prior(prior)
            new.adapted_, new.reason_ = True, "the prior was given"
            return new
        mapped = self.calibrator_.map_checked(self.checked(X))
        proba = np.asarray(to_numpy(mapped), dtype=np.float64)
        if len(proba) < 2:
            raise ValueError(
                f"X has {len(proba)} row; a prior is estimated from 2 or more, or given by prior="
            )
        new._estimate(proba)
        return new

    def _known_prior(self, prior: Any) -> Float64Array:
        names = self.classes_.tolist()
        if isinstance(prior, dict):
            if set(prior) != set(names):
                raise ValueError(
                    f"prior must have the classes {describe(names)}; got {describe(list(prior))}"
                )
            prior = [prior[name] for name in names]
        values = validation.check_score_vector(prior, "prior")
        if len(values) != len(names):
            raise ValueError(
                f"prior must have one frequency for each of {len(names)} classes; got {len(values)}"
            )
        if values.min() < 0:
            raise ValueError(f"prior must be >= 0; got {values.min():g}")
        if abs(values.sum() - 1.0) > SUM_TOLERANCE:
            raise ValueError(
                f"prior must sum to 1; got {values.sum():.8g}"
                f"{validation.percent_hint(values)}; divide counts by their sum"
            )
        if values.min() == 0:
            gone = [name for name, value in zip(names, values, strict=True) if value == 0]
            warn(f"classes {describe(gone)} have prior 0 and become impossible", PriorShiftWarning)
        return np.asarray(values / values.sum())

    def _estimate(self, proba: Float64Array) -> None:
        n, n_classes = proba.shape
        source = np.maximum(self.source_prior_, LEAST_PRIOR)
        present = self.counts_ > 0
        if not present.all():
            gone = self.classes_[~present].tolist()
            warn(
                f"classes {describe(gone)} are absent from the calibration set; they keep the "
                f"frequency that the calibrator gives them",
                PriorShiftWarning,
            )
        statistic = self._distance(proba)
        freedom = n_classes - 1
        self.shift_test_ = _chi2_test(
            statistic, freedom, "whether class frequencies differ from those of the source"
        )
        if self.shrinkage == "empirical_bayes":
            excess = max(statistic - freedom, 0.0)
            count = MOST_COUNT if excess == 0 else n * freedom / excess
            count = min(max(count, LEAST_COUNT), MOST_COUNT)
        else:
            count = float(self.shrinkage)
        ratio = proba / source
        free = likeliest_prior(ratio, source, FREE_COUNT, present)
        regular = (n * free + source) / (n + 1.0)
        self.prior_interval_ = self._interval(ratio, free, regular)
        self.fit_test_ = self._fit_test(proba, regular)
        if self.fit_test_.p_value < self.fit_level:
            self.reason_ = (
                f"more than class frequencies has changed (p = {self.fit_test_.p_value:.2g})"
            )
            warn(
                f"{self.reason_}, so the source prior is kept. If the inputs have changed and the "
                f"labels given them have not (covariate shift), weigh by uq.LikelihoodRatio, or "
                f"label new rows and fit again",
                PriorShiftWarning,
            )
            return
        self.prior_ = likeliest_prior(ratio, source, count, present)
        self.adapted_ = True
        self.reason_ = f"estimated from {n:,} rows, the source counting {count:.3g}"

    def _distance(self, proba: Float64Array) -> float:
        """Return the squared distance of mean predictions in units of their covariance."""
        n = len(proba)
        mean = proba.mean(axis=0)
        centred = proba - mean
        within = centred.T @ centred + max(self.total_ - 1.0, 1.0) * self.covariance_
        pooled = within / max(n + self.total_ - 2.0, 1.0)
        difference = (mean - self.mean_)[:-1]
        covariance = pooled[:-1, :-1] * (1.0 / n + 1.0 / self.total_)
        return quadratic(difference, covariance)[0]

    def _interval(
        self, ratio: Float64Array, free: Float64Array, regular: Float64Array
    ) -> Float64Array:
        """Return the sandwich interval of the estimate without shrinkage."""
        from scipy.special import ndtri

        source = self.rows_ / np.maximum(self.source_prior_, LEAST_PRIOR)
        variance = sandwich(ratio, source, self.row_codes_, self.counts_, regular)
        reach = float(-ndtri((1.0 - self.confidence_level) / 2)) * np.sqrt(variance)
        ends: Float64Array = np.stack([free - reach, free + reach], axis=1)
        return np.clip(ends, 0.0, 1.0)

    def _features(self, proba: Float64Array) -> Float64Array:
        """Return what the test of the kind of shift compares: probabilities, and fifths."""
        cell = np.searchsorted(self.edges_, proba.max(axis=1), side="right")
        fifths = cell[:, None] == np.arange(1, N_RANGES)
        return np.concatenate([proba[:, :-1], fifths.astype(np.float64)], axis=1)

    def _fit_test(self, proba: Float64Array, prior: Float64Array) -> CalibrationTest:
        """Test whether any mixture of the source's classes predicts like this."""
        phi, of_source = self._features(proba), self._features(self.rows_)
        present = np.flatnonzero(self.counts_ > 0)
        means, covariance = [], np.cov(phi, rowvar=False, ddof=1) / len(phi)
        for k in present:
            rows = self.row_codes_ == k
            weight = self.row_weight_[rows]
            mean = weight @ of_source[rows] / weight.sum()
            centred = of_source[rows] - mean
            spread = (centred * weight[:, None]).T @ centred / max(weight.sum() - 1.0, 1.0)
            covariance = covariance + prior[k] ** 2 * spread / max(weight.sum(), 1.0)
            means.append(mean)
        matrix = np.stack(means, axis=1)
        offset = phi.mean(axis=0) - matrix.mean(axis=1)
        inverse, rank = inverse_of(covariance)
        design = matrix @ tangents(len(present))
        normal = design.T @ inverse @ design
        best = np.linalg.pinv(normal, rcond=1e-10, hermitian=True) @ design.T @ inverse @ offset
        rest = offset - design @ best
        freedom = rank - np.linalg.matrix_rank(normal, hermitian=True)
        statistic = float(rest @ inverse @ rest)
        return _chi2_test(
            statistic, int(freedom), "whether no more than class frequencies has changed"
        )

    # ------------------------------------------------------------------ map

    def n_score_columns(self, n_columns: int) -> int:
        """Return how many leading columns of `X` are scores."""
        inner = getattr(self, "calibrator_", None)
        return n_columns if inner is None else int(inner.n_score_columns(n_columns))

    def checked(self, X: ArrayLike) -> Array:
        """Return scores of the fitted kind and shape as a matrix of any namespace."""
        check_is_fitted(self, "source_prior_")
        return (
            self.calibrator_.checked(X) if self.calibrator_.needs_features else super().checked(X)
        )

    def map_checked(self, array: Array) -> Array:
        """Map rows that `checked` returned, or that are known to be what it returns."""
        return self._corrected(self.calibrator_.map_checked(array), array_namespace(array))

    def traced(self, scores: Array, xp: Namespace) -> Array:
        """Map scores, which are not checked, in a namespace that writes down what is calculated."""
        return self._corrected(self.calibrator_.traced(scores, xp), xp)

    def _corrected(self, proba: Array, xp: Namespace) -> Array:
        if not self.adapted_:
            return proba
        return corrected_for(proba, self.ratio, xp)

    @property
    def ratio(self) -> Float64Array:
        """What probabilities are multiplied by before they are normalised."""
        return np.asarray(self.prior_ / np.maximum(self.source_prior_, LEAST_PRIOR))

    # ------------------------------------------------------------------ files

    def to_contents(self) -> dict[str, Any]:
        """Return the fitted adapter as plain values, for `calib.save`."""
        check_is_fitted(self, "source_prior_")
        tests = (self.shift_test_, self.fit_test_)
        return {
            "map": contents_of_map(self.calibrator_),
            "columns": [str(name) for name in getattr(self, "feature_names_in_", ())],
            "name": self.calibrator if isinstance(self.calibrator, str) else None,
            "parameters": {
                "shrinkage": self.shrinkage,
                "fit_level": self.fit_level,
                "confidence_level": self.confidence_level,
            },
            "arrays": {name: np.asarray(getattr(self, name)).tolist() for name in _ARRAYS},
            "interval": None if self.prior_interval_ is None else self.prior_interval_.tolist(),
            "tests": [None if test is None else _plain_test(test) for test in tests],
            "total": self.total_,
            "adapted": self.adapted_,
            "reason": self.reason_,
        }

    @classmethod
    def from_contents(cls, document: dict[str, Any]) -> PriorShiftAdapter:
        """Return the adapter that `to_contents` described, or raise a `ValueError`."""
        inner = restored_map(document["map"])
        parameters = document["parameters"]
        known = {"shrinkage", "fit_level", "confidence_level"}
        if not isinstance(parameters, dict) or set(parameters) != known:
            raise ValueError(f"an adapter has the parameters {sorted(known)}")
        name = document["name"]
        if name is not None:
            get_entry(name)
        new = cls(inner if name is None else name, input=inner.input, **parameters)
        new._check_options()
        new._take(inner)
        columns = document["columns"]
        if not isinstance(columns, list) or len(columns) not in (0, inner.n_features_in_):
            raise ValueError(f"columns must name {inner.n_features_in_} columns")
        if columns:
            new.feature_names_in_ = np.array([str(name) for name in columns], dtype=object)
        n_classes = len(inner.classes_)
        for key, shape in _ARRAYS.items():
            values = np.array(document["arrays"][key], dtype=np.float64)
            lengths = tuple(n_classes if part == "classes" else part for part in shape)
            fits = len(values.shape) == len(lengths) and all(
                wanted in (None, length)
                for wanted, length in zip(lengths, values.shape, strict=True)
            )
            if not fits or not np.isfinite(values).all():
                raise ValueError(f"{key} must hold finite numbers of shape {lengths}")
            setattr(new, key, values)
        new.row_codes_ = new.row_codes_.astype(np.intp)
        if not len(new.rows_) == len(new.row_codes_) == len(new.row_weight_):
            raise ValueError("rows_, row_codes_ and row_weight_ must have one length")
        if (
            len(new.row_codes_)
            and not 0 <= new.row_codes_.min() <= new.row_codes_.max() < n_classes
        ):
            raise ValueError(f"row_codes_ must lie in 0..{n_classes - 1}")
        for key in ("prior_", "source_prior_"):
            values = getattr(new, key)
            if values.min() < 0 or abs(values.sum() - 1.0) > SUM_TOLERANCE:
                raise ValueError(f"{key} must be frequencies that sum to 1")
        interval = document["interval"]
        new.prior_interval_ = None if interval is None else np.array(interval, dtype=np.float64)
        new.shift_test_, new.fit_test_ = map(_restored_test, document["tests"])
        new.total_ = float(check_number("total", document["total"]))
        check_option("adapted", document["adapted"], (True, False))
        new.adapted_, new.reason_ = document["adapted"], str(document["reason"])
        return new

    def _curves(self) -> dict[str, tuple[Float64Array, Float64Array]]:
        return super()._curves() if self.n_features_in_ <= len(self.classes_) else {}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "source_prior_")


#: Fitted arrays that files hold, with their shapes.
_ARRAYS: dict[str, tuple[int | str | None, ...]] = {
    "source_prior_": ("classes",),
    "prior_": ("classes",),
    "mean_": ("classes",),
    "covariance_": ("classes", "classes"),
    "counts_": ("classes",),
    "edges_": (N_RANGES - 1,),
    "rows_": (None, "classes"),
    "row_codes_": (None,),
    "row_weight_": (None,),
}


def _plain_test(test: CalibrationTest) -> dict[str, Any]:
    """Return a test as plain values; JSON has no nan."""
    values = asdict(test)
    p_value = test.p_value
    return {**values, "p_value": None if np.isnan(p_value) else p_value}


def _restored_test(values: dict[str, Any] | None) -> CalibrationTest | None:
    if values is None:
        return None
    p_value = values["p_value"]
    return CalibrationTest(**{**values, "p_value": np.nan if p_value is None else p_value})


def corrected_for(proba: Array, ratio: Any, xp: Namespace) -> Array:
    """Return probabilities times ratios of priors, normalised; pure.

    A row that has no class left that is possible keeps what it was.
    """
    weighted = proba * (like(ratio, proba, xp) if isinstance(ratio, np.ndarray) else ratio)
    total = xp.sum(weighted, axis=1, keepdims=True)
    safe = xp.where(total > 0, total, xp.ones_like(total))
    out: Array = xp.where(total > 0, weighted / safe, proba)
    return out


def undersampled_prior(prior: ArrayLike, keep_rate: ArrayLike) -> Float64Array:
    """Return the true class frequencies, given those of a set that was thinned class by class.

    Parameters
    ----------
    prior : array-like of shape (n_classes,)
        Frequencies of the classes in the thinned set, sum 1.
    keep_rate : array-like of shape (n_classes,)
        Share of the samples of each class that was kept, in (0, 1].

    Returns
    -------
    prior : ndarray of shape (n_classes,)
        Frequencies before thinning, for ``adapt(prior=...)``.

    Raises
    ------
    ValueError
        If a length, a range or the sum of `prior` is wrong.

    Examples
    --------
    Every positive was kept and one negative in ten:

    >>> from calib import undersampled_prior
    >>> undersampled_prior([0.5, 0.5], [0.1, 1.0]).round(3)
    array([0.909, 0.091])
    """
    frequencies = validation.check_score_vector(prior, "prior")
    rates = validation.check_score_vector(keep_rate, "keep_rate")
    if len(frequencies) != len(rates):
        raise ValueError(
            f"keep_rate must have one number per class; prior has {len(frequencies)}, "
            f"keep_rate {len(rates)}"
        )
    if frequencies.min() < 0 or abs(frequencies.sum() - 1.0) > SUM_TOLERANCE:
        raise ValueError(
            f"prior must be >= 0 and sum to 1; got {describe(frequencies.tolist())}; divide counts "
            f"by their sum"
        )
    if rates.min() <= 0 or rates.max() > 1:
        raise ValueError(
            f"keep_rate must lie in (0, 1]; got {describe(rates.tolist())}"
            f"{validation.percent_hint(rates)}"
        )
    full = frequencies / rates
    return np.asarray(full / full.sum())


def _chi2_test(statistic: float, freedom: int, question: str) -> CalibrationTest:
    from scipy.special import chdtrc

    p_value = float(chdtrc(freedom, max(statistic, 0.0))) if freedom > 0 else float("nan")
    return CalibrationTest(statistic, p_value, f"chi2, {freedom} degrees of freedom", question, {})
