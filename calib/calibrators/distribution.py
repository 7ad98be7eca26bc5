"""Predicted distributions of a number, recalibrated on labelled rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import to_numpy
from calib._border.checks import check_integer, check_number, check_option, describe, is_integer
from calib._border.labels import check_same_length, check_weight, read_labels
from calib._border.random import generator
from calib._border.sklearn_compat import check_features
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import check_quantile_levels, number_vector
from calib._border.warn import warn
from calib._core.distributions.given import GIVEN, Given, given_law, read_given
from calib._core.distributions.pool import QuantileAverage
from calib._core.distributions.predictive import PredictiveDistribution
from calib._core.distributions.recalibration import (
    FEWEST_SPREAD,
    POOL_KNOTS,
    around_median,
    drawn_scores,
    fitted_scale,
    fitted_student,
    held_out_quantiles,
    pool_weights,
    pooled,
    rank_table,
)
from calib._core.distributions.score_law import ScoreLaw, normal_law
from calib._core.distributions.shapes import STANDARD_NORMAL, NormalShape, Shape, StudentShape
from calib._core.estimators.folds import hashes_of_rows
from calib.warnings import SmallCalibrationSetWarning

Method: TypeAlias = Literal["auto", "scale", "t", "isotonic", "residual", "identity"]
#: Makes a random integer per row.
Keys: TypeAlias = Callable[[], Any]
METHODS: tuple[Method, ...] = ("auto", "scale", "t", "isotonic", "residual", "identity")
#: Rows below which ``"auto"`` keeps what it was given, and most rows that choose its weights.
FEWEST_ROWS, MOST_ROWS = 20, 5000
#: Standard errors that the pool has to be ahead by.
GUARD = 1.645
#: Members of the pool.
MEMBERS = ("identity", "t", "residual")
#: What files of these calibrators say that they are.
KIND = "calib distribution calibrator"


class DistributionCalibrator(BaseEstimator):  # type: ignore[misc]
    """Recalibrate predicted distributions of a number: mean and spread, quantiles or samples.

    Ensembles, quantile regressors and forests tell how sure they are, mostly far too sure. Their
    distributions are compared with labels of rows that the model has not seen, and stretched,
    given other tails, or replaced by residuals; the default averages these quantile functions, and
    keeps the given ones unless left-out rows show a gain.

    Parameters
    ----------
    method : {"auto", "scale", "t", "isotonic", "residual", "identity"}, default="auto"
        ``"scale"`` multiplies all spreads by a number; ``"t"`` also takes Student's t for the
        tails; ``"isotonic"`` maps levels to their ranks; ``"residual"`` ignores the given spread
        and puts the residuals around the given median. ``"auto"`` averages the quantiles of
        ``"identity"``, ``"t"`` and ``"residual"``, with the weights of the least mean pinball loss
        of left-out rows, and keeps the identity unless that loss is lower by 1.645 standard errors.
    input : {"normal", "quantiles", "samples"}, default="normal"
        What `X` holds: mean and standard deviation, quantiles at `levels`, or samples.
    levels : array-like of shape (n_levels,), default=None
        Levels of the columns of `X` for ``input="quantiles"``, ascending in (0, 1).
    cv : int, default=5
        Folds that choose the weights of ``"auto"``, >= 2.
    random_state : int, RandomState, Generator or None, default=0
        Shares rows out among folds, and draws the level of a label that several equal quantiles or
        samples stand at.

    Attributes
    ----------
    method_ : str
        What is done to distributions: `method`, or ``"identity"`` where ``"auto"`` keeps them.
    kept_identity_ : bool
        Whether distributions stay as they are given.
    weights_ : ndarray of shape (3,)
        Weights of identity, t and residual in the average.
    scale_ : float
        What spreads are multiplied by (``"scale"``), or the scale of Student's t; 1 where neither
        takes part.
    df_ : float
        Degrees of freedom of Student's t; inf where it takes no part.
    n_calibration_ : int
        Calibration rows, or the sum of their weights, for `calib.evaluation.pit_uniformity`.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for other shapes than `input` says, standard deviations that are not positive,
        levels that do not ascend, labels that are not finite, a single row (but for
        ``"identity"``), or an unknown option.

    See Also
    --------
    calib.evaluation.predictive_distribution : given distributions, scored as they are.
    uq.ConformalPredictiveSystem : distributions from a model that predicts one number.

    Notes
    -----
    Every given distribution is an increasing map between y and a normal score z: ``(y - mean) /
    std``, or linear between quantiles and beyond them; a recalibration is the law of z on the
    calibration rows. ``scale_**2`` is the mean of z^2; t has the largest likelihood on a grid of
    2.1 to 200 degrees; ranks are ``i / (n + 1)`` and interpolated in normal scores. With
    ``input="normal"``, ``"isotonic"`` is the normalised split conformal system, and ``"residual"``
    is the plain one around the given median. Averages of quantiles, not of densities: the average
    of normals stays normal, and residuals add the noise floor that ensembles lack.

    Standard deviations of a few members are noisy themselves: five members of a perfect ensemble
    have a mean z^2 of 2.4 (`ddof` 1), or of 3 (`ddof` 0), that ``"scale"`` corrects on average and
    ``"t"`` in the tails as well.

    Rows whose quantiles or samples are all equal have no spread, and take no part in ``"scale"``,
    ``"t"`` and ``"isotonic"``. A weight of k equals k rows. O(n log n); at most 5,000 distinct rows
    choose the weights.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner, S. Ermon. Accurate Uncertainties for Deep Learning Using
       Calibrated Regression. ICML 2018. arXiv:1807.00263
    .. [2] D. Levi, L. Gispan, N. Giladi, E. Fetaya. Evaluating and Calibrating Uncertainty
       Prediction in Regression Tasks. Sensors 22, 2022. arXiv:1905.11659
    .. [3] M.-H. Laves, S. Ihler, J. F. Fast, L. A. Kahrs, T. Ortmaier. Well-Calibrated Regression
       Uncertainty in Medical Imaging with Deep Learning. MIDL 2020, PMLR 121.
    .. [4] K. C. Lichtendahl, Y. Grushka-Cockayne, R. L. Winkler. Is It Better to Average
       Probabilities or Quantiles? Management Science 59, 2013. doi:10.1287/mnsc.1120.1667
    .. [5] V. Dheur, S. Ben Taieb. A Large-Scale Study of Probabilistic Calibration in Neural
       Network Regression. ICML 2023. arXiv:2306.02738

    Examples
    --------
    >>> import numpy as np
    >>> from calib import DistributionCalibrator
    >>> rng = np.random.default_rng(0)
    >>> mean, std = rng.normal(size=400), rng.uniform(0.5, 1, 400)
    >>> y = mean + 2 * std * rng.normal(size=400)  # twice as far away as said
    >>> cal = DistributionCalibrator("scale").fit(np.column_stack([mean, std]), y)
    >>> round(cal.scale_, 2)
    1.98
    >>> d = cal.predict_distribution([[0.0, 1.0]])
    >>> d.interval(0.9).round(2)
    array([[-3.26,  3.26]])
    """

    method_: Method
    kept_identity_: bool
    weights_: Float64Array
    scale_: float
    df_: float
    n_calibration_: int
    n_features_in_: int
    table_: ScoreLaw | None
    residual_: ScoreLaw | None

    def __init__(
        self,
        method: Method = "auto",
        *,
        input: Given = "normal",
        levels: ArrayLike = None,
        cv: int = 5,
        random_state: RandomState = 0,
    ) -> None:
        self.method = method
        self.input = input
        self.levels = levels
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Fit on predicted distributions of held-out rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, 2), (n_samples, n_levels) or (n_samples, n_draws)
            Mean and standard deviation, quantiles or samples of rows that the model has not seen.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, counts of rows: n is their sum.

        Returns
        -------
        self : object

        Warns
        -----
        SmallCalibrationSetWarning
            If ``"auto"`` has fewer than 20 rows, so that it keeps what it was given.
        CrossingQuantilesWarning
            If quantiles cross; they are sorted.
        """
        self._check_options()
        array, law = self._given(X, reset=True)
        labels = _labels(y)
        check_same_length(len(array), len(labels), "X", "y")
        given_weight = check_weight(sample_weight, len(labels))
        weight = np.ones(len(labels)) if given_weight is None else given_weight
        if not weight.all():
            kept = np.flatnonzero(weight > 0)
            array, law = array[kept], law.take(kept)
            labels, weight = labels[kept], weight[kept]
        total = float(weight.sum())
        self.n_calibration_ = max(1, round(total))
        self._reset(self.method)
        if self.method == "identity":
            return self
        if total < 2 and self.method != "auto":
            raise ValueError(
                f"method={self.method!r} needs two calibration rows or more; got {len(labels)} "
                f"with a sum of weights of {total:g} (a weight of k counts as k rows)"
            )
        seed = int(generator(self.random_state).integers(2**31))

        def keys() -> Any:
            """Return a random integer per row, the same for copies of a row."""
            return hashes_of_rows(np.column_stack([array, labels]), seed)

        if self.method == "auto":
            self._fit_auto(law, labels, weight, keys, total)
        else:
            self._fit_members(law, labels, weight, keys)
        return self

    def predict_distribution(self, X: ArrayLike) -> PredictiveDistribution:
        """Return recalibrated distributions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_in_)
            Predicted distributions, as at fit.

        Returns
        -------
        distribution : PredictiveDistribution

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            As at fit.
        """
        check_is_fitted(self)
        _, law = self._given(X, reset=False)
        return PredictiveDistribution(self._recalibrated(law))

    def predict(self, X: ArrayLike) -> Float64Array:
        """Return medians of the recalibrated distributions, shape (n_samples,)."""
        return self.predict_distribution(X).median()

    def lines(self, levels: ArrayLike) -> Float64Array:
        """Return what quantiles of normal distributions are: lines in mean and deviation.

        Parameters
        ----------
        levels : array-like of shape (n_levels,) or None
            In (0, 1); None for mean and standard deviation, which the methods have that know one
            law of ``(y - mean) / std``.

        Returns
        -------
        lines : ndarray of shape (3, n_outputs)
            Output k is ``a[k] mean + b[k] std + c[k]``.
        """
        check_is_fitted(self)
        if self.input != "normal":
            raise TypeError(
                f"a calibrator of input={self.input!r} cannot become a torch module; only "
                f"input='normal' is exported"
            )
        probe = PredictiveDistribution(
            self._recalibrated(normal_law(np.zeros(2), np.array([1.0, 2.0])))
        )
        if levels is not None:
            quantiles = probe.quantile(levels)
            slope = quantiles[1] - quantiles[0]
            return np.stack([np.ones(len(slope)), slope, quantiles[0] - slope])
        if self.method_ in ("auto", "residual"):
            raise TypeError(
                f"method {self.method_!r} has a standard deviation that is no multiple of the "
                f"given one; pass levels=[...] for its quantiles"
            )
        mean, std = float(probe.mean()[0]), float(probe.std()[0])
        return np.array([[1.0, 0.0], [mean, std], [0.0, 0.0]])

    # ------------------------------------------------------------------ parts

    def _check_options(self) -> None:
        check_option("method", self.method, METHODS)
        check_option("input", self.input, GIVEN)
        check_integer("cv", self.cv, low=2)
        if self.input != "quantiles" and self.levels is not None:
            raise ValueError(
                f"levels belong to input='quantiles'; got input={self.input!r} and "
                f"levels={describe(self.levels)}"
            )

    def _given(self, X: ArrayLike, *, reset: bool) -> tuple[Float64Array, ScoreLaw]:
        array = read_given(X, self.input, "X")
        check_features(self, X if hasattr(X, "columns") else array, reset=reset)
        return array, given_law(array, self.input, self.levels, "X")

    def _reset(self, method: Method) -> None:
        self.method_ = method
        self.kept_identity_ = method == "identity"
        self.weights_ = np.array([float(name == method) for name in MEMBERS])
        self.scale_, self.df_ = 1.0, np.inf
        self.table_ = self.residual_ = None

    def _fit_members(
        self, law: ScoreLaw, y: Float64Array, weight: Float64Array, keys: Keys
    ) -> None:
        """Fit what takes part on all rows."""
        _, with_t, with_residual = self.weights_ > 0
        if with_t or self.method_ in ("scale", "isotonic"):
            scores = drawn_scores(law, y, lambda: _uniform(keys()))
            told = law.has_spread
            scores, mass = scores[told], weight[told]
            if self.method_ != "auto" and mass.sum() < FEWEST_SPREAD:
                raise ValueError(
                    f"{self.input} of X are all equal in {len(told) - int(told.sum())} of "
                    f"{len(told)} rows: these are points without a spread to be corrected; use "
                    f"method='residual'"
                )
            if self.method_ == "scale":
                self.scale_ = fitted_scale(scores, mass)
            elif self.method_ == "isotonic":
                self.table_ = rank_table(scores, mass)
            else:
                student = fitted_student(scores, mass)
                self.scale_, self.df_ = student.scale, student.df
        if with_residual:
            residual = y - law.at(np.zeros((1, 1)))[:, 0]
            n_knots = POOL_KNOTS if self.method_ == "auto" else None
            self.residual_ = rank_table(residual, weight, n_knots)

    def _fit_auto(
        self, law: ScoreLaw, y: Float64Array, weight: Float64Array, keys: Keys, total: float
    ) -> None:
        row_keys = keys()
        _, first, place = np.unique(row_keys, return_index=True, return_inverse=True)
        if total < FEWEST_ROWS or len(first) < 2 * self.cv:
            warn(
                f"{total:g} calibration rows ({len(first)} distinct) are too few to find out "
                f"whether the given distributions can be improved: they are kept; pass "
                f"{FEWEST_ROWS} or more, or method='scale'",
                SmallCalibrationSetWarning,
            )
            self._reset("identity")
            return
        rows = first[:MOST_ROWS]  # distinct rows, in the order of random integers
        chosen, chosen_y = law.take(rows), y[rows]
        chosen_weight = np.bincount(place, weight)[: len(rows)].astype(np.float64)
        fold: IntArray = np.arange(len(rows)) % self.cv
        scores = drawn_scores(chosen, chosen_y, lambda: _uniform(row_keys[rows]))
        quantiles = held_out_quantiles(chosen, scores, chosen_y, chosen_weight, fold, self.cv)
        weights, given, pool = pool_weights(quantiles, chosen_y, chosen_weight)
        gain = given - pool
        mass = float(chosen_weight.sum())
        mean = float(chosen_weight @ gain) / mass
        square = float(chosen_weight @ (gain - mean) ** 2) / max(mass - 1, 1e-12)
        if not mean > GUARD * np.sqrt(square / mass):
            self._reset("identity")
            return
        self.weights_ = weights
        self._fit_members(law, y, weight, lambda: row_keys)

    def _recalibrated(self, law: ScoreLaw) -> ScoreLaw | QuantileAverage:
        if self.method_ == "identity":
            return law
        if self.method_ == "scale":
            return law.with_shape(NormalShape(self.scale_))
        if self.method_ == "isotonic":
            return law.with_shape(self.table_ or STANDARD_NORMAL)
        t: Shape = STANDARD_NORMAL
        if np.isfinite(self.df_):
            t = StudentShape(self.scale_, self.df_)
        residuals: Shape = self.residual_ or STANDARD_NORMAL
        laws = [law, law.with_shape(t), around_median(law, residuals)]
        return pooled(laws, self.weights_)

    # ------------------------------------------------------------------ files

    def to_contents(self) -> dict[str, Any]:
        """Return the fitted calibrator as plain values, for `calib.save`."""
        check_is_fitted(self)
        names = [str(name) for name in getattr(self, "feature_names_in_", ())]
        seed = self.random_state
        levels = None if self.levels is None else np.asarray(to_numpy(self.levels)).tolist()
        return {
            "parameters": {
                "method": self.method,
                "input": self.input,
                "levels": levels,
                "cv": int(self.cv),
                "random_state": int(seed) if is_integer(seed) else None,
            },
            "columns": names,
            "fitted": {
                "method": self.method_,
                "weights": self.weights_.tolist(),
                "scale": self.scale_,
                "df": self.df_ if np.isfinite(self.df_) else None,
                "n_calibration": self.n_calibration_,
                "n_features": self.n_features_in_,
                "table": _contents_of_table(self.table_),
                "residual": _contents_of_table(self.residual_),
            },
        }

    @classmethod
    def from_contents(cls, document: dict[str, Any]) -> DistributionCalibrator:
        """Return the calibrator that `to_contents` described, or raise a `ValueError`."""
        parameters, fitted = document["parameters"], document["fitted"]
        known = {"method", "input", "levels", "cv", "random_state"}
        if not isinstance(parameters, dict) or set(parameters) != known:
            raise ValueError(f"parameters must be {sorted(known)}; got {describe(parameters)}")
        new = cls(**parameters)
        new._check_options()
        if new.random_state is not None:
            check_integer("random_state", new.random_state, low=0)
        count = check_integer("n_features", fitted["n_features"], low=2, high=2**31)
        new.n_features_in_ = count
        if new.input == "normal" and count != 2:
            raise ValueError(f"input='normal' has 2 columns; got {count}")
        if new.input == "quantiles":
            check_quantile_levels(new.levels, np.empty((1, count)), "X")
        columns = document["columns"]
        if not isinstance(columns, list) or len(columns) not in (0, count):
            raise ValueError(f"columns must name {count} columns; got {describe(columns)}")
        if columns:
            new.feature_names_in_ = np.array([str(name) for name in columns], dtype=object)
        method = fitted["method"]
        check_option("method", method, (new.method, "identity"))
        new._reset(method)
        new.n_calibration_ = check_integer("n_calibration", fitted["n_calibration"], low=1)
        new._take_fitted(fitted)
        return new

    def _take_fitted(self, fitted: dict[str, Any]) -> None:
        """Take over numbers of a file, which are what a fit could have found."""
        weights = np.array(fitted["weights"], dtype=np.float64)
        if weights.shape != (3,) or not (weights >= 0).all():
            raise ValueError(f"weights must be three numbers >= 0; got {describe(weights)}")
        pooling = self.method_ == "auto"
        if pooling and not abs(weights.sum() - 1) < 1e-9:
            raise ValueError(f"weights must sum to 1; got {describe(weights)}")
        if not pooling and not np.array_equal(weights, self.weights_):
            raise ValueError(f"weights of {self.method_!r} must be {self.weights_.tolist()}")
        self.weights_ = weights
        scale = check_number("scale", fitted["scale"])
        if not 0 < scale < np.inf:
            raise ValueError(f"scale must be a finite number > 0; got {scale}")
        self.scale_ = scale
        with_t = bool(weights[1] > 0)
        df = fitted["df"]
        if with_t != (df is not None):
            raise ValueError(f"df must be {'a number' if with_t else 'null'}; got {describe(df)}")
        if df is not None:
            self.df_ = check_number("df", df)
            if not 2 < self.df_ <= 1e6:
                raise ValueError(f"df must lie in (2, 1e6]; got {df}")
        for name, wanted in (
            ("table", self.method_ == "isotonic"),
            ("residual", bool(weights[2] > 0)),
        ):
            table = fitted[name]
            if wanted != (table is not None):
                raise ValueError(f"{name} must be {'a table' if wanted else 'null'}")
            setattr(self, f"{name}_", None if table is None else _restored_table(table, name))


def _labels(y: ArrayLike) -> Float64Array:
    array = read_labels(y, "y") if y is not None else None
    if array is not None and array.ndim == 2 and array.shape[1] > 1:
        raise ValueError(
            f"y has {array.shape[1]} outputs, shape {array.shape}; fit one calibrator per output, "
            f"on y[:, k]"
        )
    return number_vector(y, "y")


def _uniform(keys: Any) -> Float64Array:
    """Return random integers as numbers in (0, 1)."""
    return np.asarray(((keys >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def _contents_of_table(table: ScoreLaw | None) -> dict[str, Any] | None:
    if table is None:
        return None
    ends = {"left": float(table.left[0]), "right": float(table.right[0])}
    return {"values": table.values[0].tolist(), "scores": table.knots.tolist(), **ends}


def _restored_table(contents: dict[str, Any], name: str) -> ScoreLaw:
    values, scores = (np.array(contents[key], dtype=np.float64) for key in ("values", "scores"))
    if values.ndim != 1 or values.shape != scores.shape or len(values) < 2:
        raise ValueError(f"values and scores of {name} must have one length of 2 or more")
    if not (np.isfinite(values).all() and np.isfinite(scores).all()):
        raise ValueError(f"values and scores of {name} must be finite")
    if (np.diff(values) < 0).any() or (np.diff(scores) <= 0).any():
        raise ValueError(f"values and scores of {name} must ascend")
    if np.abs(scores).max() > 38:
        raise ValueError(f"scores of {name} must be normal scores, within 38")
    ends = [
        np.array([check_number(f"{key} of {name}", contents[key])]) for key in ("left", "right")
    ]
    if not all(0 < end[0] < np.inf for end in ends):
        raise ValueError(f"left and right of {name} must be finite and > 0")
    return ScoreLaw(values[None], scores, ends[0], ends[1], STANDARD_NORMAL, "ranks")
