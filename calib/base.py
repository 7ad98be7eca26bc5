"""The calibrator contract: what every calibration map of the library accepts and returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from calib._border import labels as labels_, validation
from calib._border.advice import shown
from calib._border.arrays import (
    eager,
    take_columns,
    to_numpy,
    without_gradient,
)
from calib._border.checks import check_option, describe
from calib._border.columns import (
    check_overlap,
    class_name,
    column_names,
    named_positive,
    order_of,
    same_ends,
    told_classes,
)
from calib._border.sklearn_compat import check_features
from calib._border.typing import (
    Array,
    ArrayLike,
    Float64Array,
    IntArray,
    LabelArray,
    Namespace,
)
from calib._border.warn import warn
from calib._core.estimators.fit_record import (
    FitRecord,
    are_near,
    ends_of_part,
    forget,
    joined_ends,
    warn_if_far,
)
from calib._core.estimators.soft_targets import read_distributions
from calib._core.fitted_map import FittedMap, MapTraits
from calib._core.predictions import check_classes_occur, check_columns_against_labels
from calib._core.rows import Rows, copied, in_memory, rescored
from calib._core.scores import Scores
from calib._core.suspicion import looked_at, warn_of_few_per_class, warn_of_missed_rates
from calib._core.tempering import is_possible, masked_level, unit_of, without_masked_shares
from calib._documents.learnt import MOST_CURVES, Learnt, ShowsWhatItLearnt, number_text
from calib.warnings import DegenerateScoresWarning


class NoPureMap(TypeError, AttributeError):
    """A calibrator with an inner model was asked for its map; for `hasattr`, it has none."""


#: Points of a curve that a notebook shows, and the largest log-odds that they reach.
CURVE_POINTS, CURVE_END = 81, 6.0


class BaseCalibrator(ShowsWhatItLearnt, ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of all calibrators: a transformer from scores to probabilities.

    A calibrator is a classifier of scores as well, so that it can be cross-validated, searched and
    combined with others where scores are at hand (``cross_val_predict``, ``VotingClassifier``).

    A method declares its ``traits`` and fills two hooks. ``_fit`` receives checked `Scores`
    (float64, in the domain the class declares), class indices and weights, and sets the attributes
    named in ``traits.arrays``; a fit that needs nothing but sums fills ``_fit_rows`` instead and
    runs on collections as well. ``_map`` is a pure function of a block of scores and those
    attributes, written against an array namespace, so that one definition serves NumPy arrays,
    tensors on any device, and exported modules. ``fitted_map`` is both together as a value, which
    all others consume.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; never guessed from its values. ``"proba"``: probabilities in [0, 1] whose
        rows sum to 1, or one column with the probability of the positive class. ``"logits"``:
        unnormalised log-probabilities (inputs of a softmax), or one column with the log-odds of
        the positive class. Minus infinity is the logarithm of 0: a class that a row excludes
        keeps probability 0 in every map. Maps are best fitted before classes are excluded, if
        there is a choice. Probabilities of 0 are scores like others: maps that take logarithms read
        them as 1.2e-38, and smoothing raises them.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.
    """

    #: What the method declares of its map: arrays, domain, options, precision.
    traits: ClassVar[MapTraits] = MapTraits()
    #: Whether `y` may hold fractions in [0, 1] (two classes only).
    soft_targets: ClassVar[bool] = False
    #: Whether `_fit` takes the shares of all classes, (n_samples, n_classes), as the target of rows
    #: with soft targets; others get a copy of the row for every class that has one.
    _reads_shares: ClassVar[bool] = False
    #: Whether the method is for features beside scores.
    needs_features: ClassVar[bool] = False
    #: Whether only the order of the scores counts, so that no score is too small to be real.
    _by_rank: ClassVar[bool] = False
    #: Labels a class below which a map that is fitted class by class says that they are few.
    _least_per_class: ClassVar[int] = 0
    #: Whether mean probabilities may be far from the frequencies of rare classes.
    _may_miss_rates: ClassVar[bool] = False
    #: Smoothing of the input (``input_smoothing_``) that a fit takes over instead of choosing it.
    _known_smoothing: Any = None

    classes_: LabelArray
    n_features_in_: int
    unit_: float = 1.0

    def __init__(self, *, input: Literal["proba", "logits"] = "proba") -> None:
        self.input = input

    # ------------------------------------------------------------------ the two hooks

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        """Estimate the attributes named in ``traits.arrays``.

        Parameters
        ----------
        scores : Scores
            Checked scores; iterating yields float64 blocks in the domain of the class.
        target : ndarray of shape (n_samples,)
            Column indices (integers), or fractions in [0, 1] where `soft_targets` is set; shares of
            all classes, (n_samples, n_classes), where `_reads_shares` is.
        weight : ndarray of shape (n_samples,) or None
            Positive weights.
        """
        self._fit_rows(in_memory(scores, target, weight))

    def _fit_rows(self, rows: Rows) -> None:
        """Estimate the same from sums over rows: the hook that is filled instead where sums do.

        Parameters
        ----------
        rows : Rows
            Of `ScoredPart`, which holds what `_fit` is handed.
        """
        part = rows.every(1).part
        self._fit(part.scores, part.target, part.weight)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        """Map scores of shape (n, n_classes) to probabilities of the same shape; pure."""
        raise AssertionError("a calibrator defines _map")

    # ------------------------------------------------------------------ public methods

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        *,
        labels: ArrayLike = None,
        pos_label: object = None,
    ) -> Self:
        """Fit the calibration map on scores of held-out samples.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of samples the model was not trained on, as `input` declares. One column means
            the positive class of two. Arrays, tensors, lists and tables are accepted. Columns of a
            table that are named by the labels, in any order and with any common text before or
            behind them, belong to the classes of their names; so does a single column.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels, or soft targets: the distribution of the classes of every row, entries >= 0 that
            sum to 1 within 1e-3, columns in the order of those of `X` or, in a table, named by the
            classes. A row counts as one sample of every class with the weight of its share; its
            parts stay together in the folds of methods that have some. K distinct labels belong to
            K columns in sorted order; fewer are allowed if they are integers in 0..K-1. Where the
            class attribute ``soft_targets`` is True and there are two classes,
            fractions in [0, 1] of the second are accepted as well.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals that many repetitions of the row. Rows
            of weight 0 are not there: neither their scores nor their labels are looked at.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of the columns of `X` where these have no names, which `y`
            need not contain. They become ``classes_``. None takes the sorted labels.
        pos_label : int, float, bool or str, default=None
            Class that a single column belongs to; None means the second of the sorted labels (or
            of `labels`). Of two columns each has its class already, so that it changes nothing.

        Returns
        -------
        self : object
            The fitted calibrator.

        Raises
        ------
        ValueError
            If an argument is empty, not finite, of the wrong shape or length, contradicts `input`,
            or if `y` has a single class or labels that match no column.

        Warns
        -----
        ProbabilitiesAsLogitsWarning
            If ``input="logits"`` but all scores look like probabilities.
        DegenerateScoresWarning
            If all rows are equal; if a class that occurs in `y` has probability 0 everywhere; if
            the label of some rows is excluded or masked by `X` (these rows are left out); if
            scores rank against the labels, name the right class less often than chance, or fit the
            labels far better in another order of the columns, all beyond noise (99.9 %); if labels
            sort as text in another order than their numbers, or count from 1 and may lack the last
            class. The text names the evidence and the likely cause.
        ScarceLabelsWarning
            If a map that is fitted class by class sees few labels a class, or cannot follow a rare
            one.
        """
        check_option("input", self.input, ("proba", "logits"))
        labels_.check_not_swapped(X, y)
        table = eager(X)
        matrix = validation.read_matrix(table, "X")
        names = column_names(table)
        kept = labels_.positive_rows(sample_weight, matrix.shape[0])
        array = to_numpy(matrix)
        rows = None if kept is None else np.flatnonzero(kept)
        if rows is not None:
            array = array[rows]
        check_features(self, table if hasattr(table, "columns") else matrix, reset=True)
        weight = labels_.check_weight(sample_weight, matrix.shape[0])
        distributions = read_distributions(y, kept)
        if distributions is not None:
            return self._fit_distributions(
                matrix, array, rows, names, *distributions, weight, labels, pos_label
            )
        y_array = labels_.check_vector(y, "y", kept)
        labels_.check_same_length(matrix.shape[0], y_array.shape[0], "X", "y")
        if rows is not None and weight is not None:
            y_array, weight = labels_.plain_labels(y_array[rows]), weight[rows]
        n_scores = self.n_score_columns(array.shape[1])
        self._check_columns(
            matrix if rows is None else array, rows, validation.row_sum_tolerance(matrix)
        )
        if array.shape[0] < 2:
            raise ValueError("X has 1 sample (n_samples=1); calibration needs at least 2")
        target: Any
        soft = self.soft_targets and labels_.is_soft_target(y_array)
        settled, order = labels_.settle_classes(
            np.arange(2) if soft else y_array,
            n_scores,
            None if names is None else names[:n_scores],
            labels=labels,
            pos_label=pos_label,
            name="y",
            columns_of="X",
        )
        if soft:
            target = labels_.check_soft_target(y_array, len(settled))
        else:
            target = labels_.encode_labels(y_array, settled, "y")
        if order is not None:
            array = take_columns(array, self._columns_in_order(order, array.shape[1]))
        return self.fit_rows(
            in_memory(Scores(array, self.input, self.traits.domain), target, weight), settled
        )

    def _fit_distributions(
        self,
        matrix: Array,
        array: Any,
        rows: IntArray | None,
        names: list[str] | None,
        shares: Float64Array,
        columns: LabelArray | None,
        weight: Float64Array | None,
        labels: ArrayLike,
        pos_label: object,
    ) -> Self:
        """Fit to distributions of the classes: a row for every class that has a share."""
        labels_.check_same_length(matrix.shape[0], shares.shape[0], "X", "y")
        n_scores = self.n_score_columns(array.shape[1])
        n_classes = shares.shape[1]
        if n_classes != max(2, n_scores):
            raise ValueError(
                f"y has {n_classes} columns (soft targets) but X has scores of {max(2, n_scores)} "
                f"classes; pass one column of y per class"
            )
        self._check_columns(
            matrix if rows is None else array, rows, validation.row_sum_tolerance(matrix)
        )
        if rows is not None and weight is not None:
            shares, weight = shares[rows], weight[rows]
        if array.shape[0] < 2:
            raise ValueError("X has 1 sample (n_samples=1); calibration needs at least 2")
        if columns is not None and names is not None and set(columns.tolist()) != set(names):
            paired = same_ends([class_name(label) for label in columns], names[:n_scores])
            if paired is not None:
                shares, columns = shares[:, paired], columns[paired]
        told = labels
        if labels is None:
            told = np.arange(n_classes) if columns is None else columns
        settled, order = labels_.settle_classes(
            np.asarray(told),
            n_scores,
            None if names is None else names[:n_scores],
            labels=told,
            pos_label=pos_label,
            name="y",
            columns_of="X",
        )
        if columns is not None:
            shares = shares[:, labels_.encode_labels(settled, columns, "the columns of y")]
        elif settled.tolist() != np.asarray(told).tolist():
            shares = shares[:, ::-1]  # a single column of scores belongs to the other class
        if order is not None:
            array = take_columns(array, self._columns_in_order(order, array.shape[1]))
        target: Any = shares
        soft = bool(np.count_nonzero(shares) > len(shares))
        if not soft:  # labels
            target = shares.argmax(axis=1)
        elif n_classes == 2 and self.soft_targets:
            target, soft = shares[:, 1], False
        scores = Scores(array, self.input, self.traits.domain)
        return self.fit_rows(in_memory(scores, target, weight, soft=soft), settled)

    def fit_rows(self, rows: Rows, classes: LabelArray, *, labels_of: str = "y") -> Self:
        """Fit on checked rows wherever they are: what `fit` and `calib.distributed.fit` share.

        Parameters
        ----------
        rows : Rows
            Scores as they came, with the columns of their classes and positive weights.
        classes : ndarray of shape (n_classes,)
            Class of each column, to become ``classes_``.
        labels_of : str, default="y"
            What the labels are called in errors.

        Returns
        -------
        self : object
            The fitted calibrator.

        Raises
        ------
        ValueError
            If the labels of all rows are masked or there is a single class.
        """
        self.classes_ = classes
        n_scores = self.n_score_columns(self.n_features_in_)
        rows = rows.mapped(rescored, Scores.in_domain, self.traits.domain)
        plain = rows.mapped(rescored, Scores.first_columns, n_scores)
        if self.input == "logits":
            level = masked_level(plain, by_rank=self._by_rank)
            if level < np.inf:
                if rows.soft:
                    rows = rows.mapped(without_masked_shares, level, n_scores)
                else:
                    rows = rows.kept(is_possible, level, n_scores)
                plain = rows.mapped(rescored, Scores.first_columns, n_scores)
        check_classes_occur(plain, classes, labels_of)
        (ends,) = plain.reduce(ends_of_part, by=joined_ends)
        record = FitRecord.of(self.input, len(classes), rows.n_samples, ends)
        doubt = check_columns_against_labels(plain, classes)
        if 0 < self.traits.rescales_from <= len(classes):
            self.unit_ = unit_of(plain)
            rows = rows.mapped(rescored, Scores.in_units, self.unit_)
        elif self.traits.rescales_from:
            self.unit_ = 1.0
        with np.errstate(over="ignore"):  # what is infinite is certain
            self._fit_rows(self._as_read(rows))
            sample = looked_at(rows).part
            fitted = self._suspicion(sample.scores, sample.target, sample.weight)
            doubt = "; ".join(filter(None, [doubt, fitted]))
        if doubt:
            warn(doubt, DegenerateScoresWarning)
        self._check_scarcity(rows)
        self.remember(record)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Map scores to calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of the same kind and number of columns as at fit, in the order of ``classes_``
            or, in a table whose columns are named by the classes, in any order.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1, columns in the order of ``classes_``; the
            floating type, library and device of `X` (integers and tables become NumPy float64).

        Raises
        ------
        NotFittedError
            If the calibrator is not fitted.
        ValueError
            If `X` is not finite, has another number of columns than at fit, or contradicts
            ``input``; if names of its columns tell other classes; or if it has no names, although
            those of the fit stood in another order than ``classes_``.
        """
        return self.map_checked(self.checked(X))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return `transform(X)`, always as an array: the spelling that classifiers use.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of the same kind and number of columns as at fit.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
            Calibrated probabilities.
        """
        return self.map_checked(self.checked(X))

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return the most probable class of each sample, after calibration.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of the same kind and number of columns as at fit.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        proba = to_numpy(without_gradient(self.predict_proba(X)))
        return np.asarray(self.classes_[proba.argmax(axis=1)])

    def get_feature_names_out(self, input_features: ArrayLike = None) -> LabelArray:
        """Return the classes as column names, for ``set_output``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored except for its length, which must be ``n_features_in_``.

        Returns
        -------
        names : ndarray of shape (n_classes,), dtype object
            ``classes_`` as strings.
        """
        check_is_fitted(self)
        if input_features is not None and len(input_features) != self.n_features_in_:
            raise ValueError(
                "input_features should have length equal to number of features "
                f"({self.n_features_in_}), got {len(input_features)}"
            )
        return np.array([str(label) for label in self.classes_], dtype=object)

    @property
    def fit_record_(self) -> FitRecord | None:
        """What the calibrator was fitted on; None before a fit, and where an old file had none.

        Rows, classes, range of the scores, day, and inside `CalibratedClassifier` the model and its
        response. ``print(calibrator.fit_record_)`` says it in a line.
        """
        values = self.__dict__.get("_record")
        return None if values is None else FitRecord(**values)

    # ------------------------------------------------------------------ for the rest of the library

    def remember(self, record: FitRecord) -> None:
        """Keep what the fit was made of, for files, texts and `transform`."""
        self._record = record.to_dict()  # plain values, which every file format takes
        self._limits = record.limits
        forget(self)

    @property
    def fitted_map(self) -> FittedMap:
        """The fitted map as a value: a pure function with its arrays, options and traits.

        A calibrator with an inner model has none and raises a `TypeError`.
        """
        try:
            arrays = {name: getattr(self, name) for name in self.traits.arrays}
        except AttributeError:
            check_is_fitted(self)
            arrays = self.traits.completed(vars(self))  # of a pickle of an older version
        return self.map_from(arrays, {name: getattr(self, name) for name in self.traits.options})

    @classmethod
    def map_from(cls, arrays: Mapping[str, Any], options: Mapping[str, Any]) -> FittedMap:
        """Return the map of this method that fitted arrays and options make.

        Parameters
        ----------
        arrays : mapping of str to array or number
            As named in ``traits.arrays``.
        options : mapping of str to str, bool or number
            As named in ``traits.options``.

        Returns
        -------
        fitted_map : FittedMap

        Raises
        ------
        TypeError
            If calibrators of this class hold an inner model.
        """
        if not cls.traits.pure:
            raise NoPureMap(f"{cls.__name__} has no pure map: it holds an inner model")
        return FittedMap(cls._map, cls.traits, arrays, options)

    def map_checked(self, array: Array) -> Array:
        """Map rows that `checked` returned, or that are known to be what it returns.

        Parameters
        ----------
        array : array of shape (n_samples, n_features_in_)
            Scores (and features) of any namespace, in the order of ``classes_``.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
            Of the floating type, library and device of `array`.
        """
        return self.fitted_map.map_rows(array, self.input)

    def traced(self, scores: Array, xp: Namespace) -> Array:
        """Map scores, which are not checked, in a namespace that writes down what is calculated.

        Parameters
        ----------
        scores : array of shape (n_samples, n_features_in_)
        xp : namespace
            That of `scores`.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
            Of the floating type of `scores`.
        """
        return self.fitted_map.apply(scores, self.input, xp)

    def checked(self, X: ArrayLike) -> Array:
        """Return scores of the fitted kind and shape as a matrix of any namespace.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            What `transform` receives.

        Returns
        -------
        array : array of shape (n_samples, n_features_in_)
            Columns in the order of ``classes_``.
        """
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        if not hasattr(self, "feature_names_in_"):
            plain = validation.plain_matrix(X, self.n_features_in_)
            if plain is not None:
                self._check_range(plain, self._check_columns(plain))
                return plain
        if self.n_features_in_ > 1 and getattr(X, "ndim", 2) == 1:
            raise ValueError(
                f"X has one dimension, but {type(self).__name__} was fitted on "
                f"{self.n_features_in_} columns. Reshape your data: one row per sample, for a "
                f"single sample X.reshape(1, -1)"
            )
        table = eager(X)
        array = validation.check_matrix(table, "X", finite=False)
        n_scores = self.n_score_columns(self.n_features_in_)
        names = column_names(table)
        order, sure = self._order_of(names, n_scores, array.shape[1])
        if not sure:
            check_features(self, table if hasattr(table, "columns") else array, reset=False)
        if order is not None:
            array = take_columns(array, self._columns_in_order(order, array.shape[1]))
        self._check_range(array, self._check_columns(array))
        return array

    def fit_scores(
        self,
        scores: Scores,
        target: Float64Array,
        weight: Float64Array | None,
        *,
        classes: LabelArray | None = None,
        input_smoothing: Any = None,
    ) -> Self:
        """Fit to scores that are checked already: what methods that are made of others call.

        Parameters
        ----------
        scores : Scores
        target : ndarray of shape (n_samples,)
            Column indices, or fractions in [0, 1] where `soft_targets` is set.
        weight : ndarray of shape (n_samples,) or None
            Positive weights.
        classes : ndarray of shape (n_classes,), default=None
            Class of each column, for texts.
        input_smoothing : float or ndarray, default=None
            Share of smoothing of the input that the fit takes over instead of choosing it.

        Returns
        -------
        self : object
        """
        return self.fit_member(
            in_memory(scores, target, weight), classes=classes, input_smoothing=input_smoothing
        )

    def fit_member(
        self, rows: Rows, *, classes: LabelArray | None = None, input_smoothing: Any = None
    ) -> Self:
        """Fit to rows that are checked already, wherever they are; see `fit_scores`.

        Parameters
        ----------
        rows : Rows
            Of `ScoredPart`.
        classes : ndarray of shape (n_classes,), default=None
            Class of each column, for texts.
        input_smoothing : float or ndarray, default=None
            Share of smoothing of the input that the fit takes over instead of choosing it.

        Returns
        -------
        self : object
        """
        if classes is not None:
            self.classes_ = classes
        self._known_smoothing = input_smoothing
        rows = rows.mapped(rescored, Scores.in_domain, self.traits.domain)
        self._fit_rows(self._as_read(rows))
        return self

    def n_score_columns(self, n_columns: int) -> int:
        """Return how many leading columns of `X` are scores; only they have to match `input`.

        Parameters
        ----------
        n_columns : int
            Columns of `X`.

        Returns
        -------
        n_scores : int
        """
        return n_columns

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        self.traits.check(self.fitted_map.arrays, self._sizes())

    def what_was_learnt(self) -> Learnt | None:
        """Return what a notebook shows below the parameters: fitted values, the fit, the map.

        Returns
        -------
        learnt : Learnt or None
            None before a fit.
        """
        if not self.__sklearn_is_fitted__():
            return None
        rows = list(self._learnt_rows())
        record = self.fit_record_
        if record is not None:
            rows += [("fitted on", f"{record.scores}, {record.size}"), ("day", record.date)]
        curves = self._curves()
        if len(self.classes_) == 2:
            return Learnt(rows, curves, "probability of the second class, before and after")
        heights = [after for _, after in curves.values()]
        if heights and np.allclose(heights, heights[0], atol=1e-6):
            curves = dict([*curves.items()][:1])
            return Learnt(rows, curves, "top probability before and after, all classes alike")
        return Learnt(rows, curves, "top probability before and after, first classes")

    def _learnt_rows(self) -> Iterable[tuple[str, str]]:
        """Yield names and values of what was fitted, in words."""
        if (choice := getattr(self, "choice", None)) is not None:
            yield "chosen", str(choice)
            return
        for name, array in self.traits.arrays.items():
            value = getattr(self, name, None)
            idle = value is None or (np.ndim(value) == 0 and value == float(name == "unit_"))
            if not array.static and not idle:
                yield name.rstrip("_").replace("_", " "), number_text(value)

    def _curves(self) -> dict[str, tuple[Float64Array, Float64Array]]:
        """Return the map of the second of two classes, or of the first few when they are on top."""
        n_classes, n_columns = len(self.classes_), self.n_features_in_
        if n_columns not in (1, n_classes):
            return {}
        odds = np.linspace(-CURVE_END, CURVE_END, CURVE_POINTS)
        if n_classes > 2:  # the top class against the others, which share the rest
            odds = odds[odds > -np.log(n_classes - 1)]
        before = 1.0 / (1.0 + np.exp(-odds))
        tops = [1] if n_classes == 2 else range(min(n_classes, MOST_CURVES))
        curves = {}
        for top in tops:
            proba = np.repeat((1.0 - before[:, None]) / (n_classes - 1), n_classes, axis=1)
            proba[:, top] = before
            if n_columns == 1:
                rows = odds[:, None] if self.input == "logits" else before[:, None]
            else:
                rows = np.log(proba) if self.input == "logits" else proba
            curves[class_name(self.classes_[top])] = before, self.map_checked(rows)[:, top]
        return curves

    # ------------------------------------------------------------------ shared machinery

    def _as_read(self, rows: Rows) -> Rows:
        """Return rows with soft targets as the fit reads them: as they are, or copied."""
        return rows.mapped(copied) if rows.soft and not self._reads_shares else rows

    def _check_columns(
        self, array: Array, kept: IntArray | None = None, tolerance: float | None = None
    ) -> tuple[float, float] | None:
        """Raise unless the columns of a matrix are what `input` declares; see `check_scores`."""
        n_scores = self.n_score_columns(array.shape[1])
        return validation.check_scores(
            array, self.input, "X", n_scores, kept=kept, tolerance=tolerance
        )

    def _check_range(self, array: Array, ends: tuple[float, float] | None) -> None:
        """Say once if checked scores are far outside the range of the fit; `ends` if known."""
        limits = self.__dict__.get("_limits")
        if limits is None or not array.shape[0]:
            return
        scores = array[:, : self.n_score_columns(array.shape[1])]
        record = None if are_near(scores, self.input, limits, ends) else self.fit_record_
        if record is not None:
            warn_if_far(self, record, scores)

    def _columns_in_order(self, order: LabelArray, n_columns: int) -> LabelArray:
        """Return the places of all columns, given those of the scores in the order of classes."""
        return np.append(order, np.arange(len(order), n_columns))

    def _suspicion(
        self, scores: Scores, target: Float64Array, weight: Float64Array | None
    ) -> str | None:
        """Return what the fitted values say against the scores, None where they say nothing."""
        return None

    def _check_scarcity(self, rows: Rows) -> None:
        """Warn if there are too few labels for this map."""
        name = type(self).__name__
        if self._least_per_class:
            warn_of_few_per_class(name, rows.total, len(self.classes_), self._least_per_class)
        if self._may_miss_rates:
            warn_of_missed_rates(name, self.map_checked, rows, self.classes_)

    def _sizes(self) -> dict[str, int]:
        """Lengths that declarations of fitted arrays name."""
        n_classes = len(self.classes_)
        problems = 1 if n_classes == 2 else n_classes
        return {"classes": n_classes, "problems": problems, "columns": self.n_features_in_}

    def _order_of(
        self, names: list[str] | None, n_scores: int, n_columns: int
    ) -> tuple[LabelArray | None, bool]:
        """Return the order of the columns by their names, and whether these are surely classes.

        Numbered names (``x0, x1``) may be features or places, for which scikit-learn demands the
        order of the fit.
        """
        if n_columns != self.n_features_in_:
            return None, False
        if names is None:
            known = getattr(self, "feature_names_in_", None)
            told = None
            known = [] if known is None else list(known)
            if len(known) and n_scores > 1:
                told = told_classes(known[:n_scores], self.classes_)
            if told is not None and order_of(told, self.classes_) is not None:
                raise ValueError(
                    f"X has no column names, but this {type(self).__name__} was fitted on columns "
                    f"in the order {describe(known)}, which is not that of classes_ "
                    f"{describe(self.classes_.tolist())}; pass a table with these names"
                )
            return None, False
        if n_scores == 1:
            if named_positive(names[0], self.classes_) == 0:
                raise ValueError(
                    f"X is a column named {names[0]!r}, but this {type(self).__name__} reads the "
                    f"score of {shown(self.classes_[1])}; pass that one, or another name"
                )
            return None, False
        told = told_classes(names[:n_scores], self.classes_)
        if told is None:
            check_overlap(names[:n_scores], self.classes_, "the fit", "X")
            return None, False
        alone = set(names) == {class_name(label) for label in self.classes_}
        return order_of(told, self.classes_), n_scores == n_columns and (
            alone or self.classes_.dtype.kind not in "iuf"
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_") and all(map(partial(hasattr, self), self.traits.required))
