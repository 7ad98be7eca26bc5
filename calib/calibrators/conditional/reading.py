"""What calibrators with features share: how columns are read, and what serves without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from calib._border import labels as labels_, validation
from calib._border.arrays import eager
from calib._border.checks import check_integer, check_option, describe, is_integer
from calib._border.sklearn_compat import check_features
from calib._border.typing import Array, ArrayLike, Float64Array, IntArray, Namespace, RandomState
from calib._border.warn import warn
from calib._core import links
from calib._core.estimators.folds import Folds, stratified_folds
from calib._core.estimators.out_of_fold import folds_of
from calib._core.features.codes import MISSING
from calib._core.features.columns import FeatureColumn, feature_columns
from calib._core.features.glm import fit_groups
from calib._core.features.prior import Prior
from calib._core.fitted_map import FittedArray, MapTraits
from calib._core.rows import Rows, in_memory
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.auto.calibrator import AutoCalibrator, CrossFittedGain, gain_of
from calib.warnings import CalibrationWarning

#: Fewest rows from which anything is learnt of features.
LEAST_ROWS = 50
#: Normal prior of the line that offsets are made by: the identity, loosely.
LINE_PRIOR = Prior(np.array([0.0, 1.0]), np.array([1.0, 20.0]))
#: What a text stands for that no row of the fit held.
UNSEEN = -1.0
#: Nats that a map has to gain, more where rows are few, and standard errors of its gain.
LEAST_NATS, NATS_OF_FEW, LEAST_ERRORS = 2.0, 200.0, 1.0
#: Fitted arrays of the map of scores alone, and of how columns are read.
ALONE_ARRAYS: dict[str, FittedArray] = {
    **{name: array for name, array in AutoCalibrator.traits.arrays.items() if name != "unit_"},
    "n_scores_": FittedArray(low=1, integer=True, static=True),
    "share_": FittedArray((1,), low=0.0, high=1.0),
    "text_level_": FittedArray(("texts",), text=True, static=True, empty=True),
    "text_column_": FittedArray(("texts",), low=0, integer=True, static=True, empty=True),
}


@dataclass(frozen=True, eq=False)
class FoldRows:
    """Distinct rows with the weights with which folds learn from them and judge them.

    Attributes
    ----------
    rows : ndarray of int of shape (n_distinct,)
        Place of every distinct row among all rows.
    target : ndarray of shape (n_distinct,)
        0 or 1.
    total : ndarray of shape (n_distinct,)
        Weights.
    learnt, left_out : ndarray of shape (n_folds, n_distinct)
        Weights outside and inside every fold.
    """

    rows: IntArray
    target: Float64Array
    total: Float64Array
    learnt: Float64Array
    left_out: Float64Array

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.learnt)

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return fold and place of every row that is left out of a fold."""
        fold, place = np.nonzero(self.left_out > 0)
        return fold, place


class ConditionalCalibrator(BaseCalibrator):
    """Base of calibrators of two classes that read features after the scores.

    What they learn from features is used if rows that it was not fitted to vouch for it;
    otherwise the map is that of `AutoCalibrator` on the scores alone, to the last bit.
    """

    traits: ClassVar[MapTraits] = MapTraits(pure=False)
    needs_features: ClassVar[bool] = True
    #: Registry name, for errors.
    _name: ClassVar[str] = ""

    n_scores: int | None
    cv: Any
    guard: bool
    random_state: RandomState
    n_scores_: int
    text_level_: Any
    text_column_: IntArray
    share_: Float64Array
    fallback_reason_: str | None
    gain_nats_: float | None
    gain_log_loss_: CrossFittedGain | None
    _units: IntArray | None
    _kept: IntArray | None
    _soft: bool

    # ------------------------------------------------------------------ border

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        *,
        groups: ArrayLike = None,
        labels: ArrayLike = None,
        pos_label: object = None,
    ) -> Self:
        """Fit the map on scores and features of held-out samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_scores + n_features)
            Scores as `input` declares, then features: numbers (nan where one is missing), and in
            tables texts, truth values or categories too.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals that many repetitions of the row.
        groups : array-like of shape (n_samples,), default=None
            Unit (person, image, site) of each row. Rows of a unit are learnt from or judged on
            together; without it, what they share would pass for knowledge.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of the score columns.
        pos_label : int, float, bool or str, default=None
            Class that a single score column belongs to; None means the second.

        Returns
        -------
        self : object
            The fitted calibrator.

        Raises
        ------
        ValueError
            For input that `BaseCalibrator.fit` refuses; if `n_scores` leaves no feature, if a
            feature is infinite, if `groups` has another length, or if there are features and more
            than two classes.
        """
        table = self._read(X)
        self._units = self._kept = None
        n_rows = len(validation.read_matrix(table, "X"))
        kept = labels_.positive_rows(sample_weight, n_rows)
        self._kept = None if kept is None else np.flatnonzero(kept)
        if groups is not None:
            units = labels_.unit_codes(groups, n_rows, "groups", "X")
            self._units = units if kept is None else units[kept]
        try:
            return super().fit(table, y, sample_weight, labels=labels, pos_label=pos_label)
        finally:
            del self._units, self._kept

    def checked(self, X: ArrayLike) -> Array:
        """Return scores and features of the fitted kind and shape as a matrix of numbers."""
        if not isinstance(X, np.ndarray) or X.dtype.kind == "O":
            X = self._recoded(X)
        return super().checked(X)

    def n_score_columns(self, n_columns: int) -> int:
        """Return how many leading columns of `X` are scores."""
        if self.n_scores is None:
            return n_columns
        n_scores = check_integer("n_scores", self.n_scores, low=1)
        if n_scores >= n_columns:
            raise ValueError(
                f"n_scores={n_scores} but X has {n_columns} column(s): {self._name!r} needs "
                f"feature columns after the scores; for scores alone use 'auto'"
            )
        return n_scores

    def _check_columns(
        self, array: Array, kept: IntArray | None = None, tolerance: float | None = None
    ) -> tuple[float, float] | None:
        n_scores = self.n_score_columns(array.shape[1])
        scores = array[:, :n_scores]
        ends = validation.check_scores(scores, self.input, "X", kept=kept, tolerance=tolerance)
        if n_scores < array.shape[1]:
            validation.check_missing_only(
                array[:, n_scores:],
                "X",
                kept,
                first_column=n_scores,
                names=getattr(self, "feature_names_in_", None),
            )
        return ends

    # ------------------------------------------------------------------ texts

    def _read(self, X: ArrayLike) -> ArrayLike:
        """Return `X` with numbers for texts, which are remembered."""
        self.text_level_, self.text_column_ = np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
        table = eager(X)
        columns = _mixed_columns(table)
        if columns is None:
            return table
        level, place = [], []
        n_scores = self.n_score_columns(len(columns))
        if any(column.kind == "category" for column in columns[:n_scores]):
            return table  # scores that are no numbers are refused where all scores are
        for number, column in enumerate(columns[n_scores:], start=n_scores):
            if column.kind == "category":
                names = sorted({str(v) for v in column.values if not _is_missing(v)})
                level += names
                place += [number] * len(names)
        self.text_level_ = np.array(level, dtype=object)
        self.text_column_ = np.array(place, dtype=np.int64)
        return self._with_numbers(table, columns)

    def _recoded(self, X: ArrayLike) -> ArrayLike:
        table = eager(X)
        columns = _mixed_columns(table)
        if columns is None and len(self.text_column_) and _is_table(table):
            columns = feature_columns(table, "X")  # numbers, where the fit read texts
        if columns is None:
            return table
        if not isinstance(table, np.ndarray):
            check_features(self, table, reset=False)  # before texts are looked up by place
        if len(columns) != self.n_features_in_:
            return table
        return self._with_numbers(table, columns)

    def _with_numbers(self, table: Any, columns: list[FeatureColumn]) -> ArrayLike:
        """Return a table of the same library, or a matrix, in which texts are numbers."""
        numbers: dict[str, Any] = {}
        unseen: dict[str, int] = {}
        for place, column in enumerate(columns):
            known = self.text_level_[self.text_column_ == place].tolist()
            if column.kind == "number" or all(map(_is_missing, column.values)):
                values = column.values if column.kind == "number" else np.full(len(table), np.nan)
                numbers[column.name] = values
                if known and not np.isnan(values).all():
                    raise ValueError(
                        f"X holds numbers in column {column.name!r}, which held texts at fit such "
                        f"as {known[0]!r}; pass the same levels"
                    )
                continue
            if not known:
                raise ValueError(
                    f"X holds texts in column {column.name!r}, which held numbers at fit; e.g. "
                    f"{describe(next(iter(column.values), None))}"
                )
            code = {name: float(k) for k, name in enumerate(known)}
            coded = [np.nan if _is_missing(v) else code.get(str(v), UNSEEN) for v in column.values]
            numbers[column.name] = np.array(coded)
            n_new = coded.count(UNSEEN)
            if n_new:
                unseen[column.name] = n_new
        if unseen:
            text = ", ".join(f"{count} row(s) of {name!r}" for name, count in unseen.items())
            warn(
                f"{text} hold levels that the fit did not see; they count as 'other', as levels "
                f"too rare to be told apart do",
                CalibrationWarning,
            )
        if isinstance(table, np.ndarray):
            return np.stack([*numbers.values()], axis=1)
        import narwhals as nw

        frame = nw.from_native(table, eager_only=True)
        new = [
            nw.new_series(name, values, backend=frame.implementation)
            for name, values in numbers.items()
        ]
        return nw.from_dict(
            {series.name: series for series in new}, backend=frame.implementation
        ).to_native()

    # ------------------------------------------------------------------ fit

    def _fit_rows(self, rows: Rows) -> None:
        self._soft = rows.soft
        try:
            super()._fit_rows(rows)
        finally:
            del self._soft

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        n_columns = scores.array.shape[1]
        n_scores = self.n_scores_ = self.n_score_columns(n_columns)
        features = scores.array[:, n_scores:].astype(np.float64)
        scores = scores.first_columns(n_scores)
        self._check_options(n_columns)
        alone = AutoCalibrator(input=self.input, random_state=self.random_state)
        alone.fit_member(in_memory(scores, target, weight, soft=self._soft), classes=self.classes_)
        for name in alone.traits.required:
            setattr(self, name, getattr(alone, name))
        self.gain_nats_ = self.gain_log_loss_ = None
        self.share_ = np.zeros(1)
        self._start_empty()
        codes = target.astype(np.intp)
        total = np.bincount(codes, weight, minlength=len(self.classes_))
        self.fallback_reason_ = None
        if not features.shape[1]:
            self.fallback_reason_ = "there are no feature columns (n_scores=None)"
        elif len(self.classes_) > 2:
            raise ValueError(
                f"{self._name!r} reads features for two classes, not {len(self.classes_)}; fit one "
                f"per class against the rest, or use 'split_point'"
            )
        elif total.sum() < LEAST_ROWS:
            self.fallback_reason_ = f"{total.sum():g} rows are fewer than {LEAST_ROWS}"
        elif total.min() < 2:
            self.fallback_reason_ = "a class has a single row"
        if self.fallback_reason_ is None:
            gain = alone.gain_log_loss_.value if alone.used_ else 0.0
            self._learn(scores, features, codes, weight, gain)

    def _check_options(self, n_columns: int) -> None:
        """Raise unless options of the constructor are as documented."""
        check_option("guard", self.guard, (True, False))
        if is_integer(self.cv):
            check_integer("cv", self.cv, low=2)

    def _start_empty(self) -> None:
        """Set fitted arrays of what features say to nothing."""

    def _learn(
        self,
        scores: Scores,
        features: Float64Array,
        codes: IntArray,
        weight: Float64Array | None,
        gain_alone: float,
    ) -> None:
        """Learn from features, and keep it if it passes the guard."""

    def _passes(
        self,
        losses: Float64Array,
        line: Float64Array,
        raw: Float64Array,
        target: Float64Array,
        weight: Float64Array,
        gain_alone: float,
    ) -> bool:
        """Return whether left-out rows vouch for what was learnt, and keep what they gain.

        Parameters
        ----------
        losses : ndarray of shape (n_pairs,)
            Log loss of what was learnt.
        line, raw : ndarray of shape (n_pairs,)
            Log-odds by the line alone, and as they came.
        target, weight : ndarray of shape (n_pairs,)
        gain_alone : float
            Mean gain of the map of scores alone over the scores as they came.
        """
        of_line, of_raw = log_losses(line, target), log_losses(raw, target)
        total, gain = float(weight.sum()), of_line - losses
        self.gain_log_loss_ = gain_of(gain, weight)
        as_they_are = float(weight @ of_raw)
        best = min(float(weight @ of_line), as_they_are, as_they_are - total * gain_alone)
        self.gain_nats_ = best - float(weight @ losses)
        error = float(np.sqrt((gain - float(gain @ weight) / total) ** 2 @ weight))
        bar = max(LEAST_NATS + NATS_OF_FEW / total, LEAST_ERRORS * error)
        if not self.guard or self.gain_nats_ > bar:
            return True
        self.fallback_reason_ = (
            f"features gain {self.gain_nats_:.3g} nats on left-out rows; chance needs {bar:.3g}"
        )
        return False

    def _folds(
        self,
        scores: Scores,
        features: Float64Array,
        codes: IntArray,
        weight: Float64Array | None,
        cv: Any,
    ) -> FoldRows:
        """Return distinct rows, shared out among folds class by class, or unit by unit."""
        if not is_integer(cv):
            return self._given_folds(cv, codes, weight)
        n_folds = int(min(cv, np.bincount(codes, weight).min()))
        if self._units is not None:
            return _folds_of_units(self._units, codes, weight, n_folds, self.random_state)
        folds: Folds = stratified_folds(
            scores,
            codes,
            weight,
            n_folds,
            self.random_state,
            features=features,
            soft=self._soft,
        )
        learnt = np.stack([folds.train(k) for k in range(n_folds)])
        target = codes[folds.rows].astype(np.float64)
        return FoldRows(folds.rows, target, folds.total, learnt, folds.weight.T.copy())

    def _given_folds(self, cv: Any, codes: IntArray, weight: Float64Array | None) -> FoldRows:
        """Return all rows in the folds of a splitter, or in those that were given."""
        n = len(codes)
        if self._kept is not None and not hasattr(cv, "split") and not isinstance(cv, str):
            place = np.full(int(self._kept.max()) + 1, -1)
            place[self._kept] = np.arange(n)  # rows of weight 0 are not there
            cv = [
                tuple(place[rows[rows < len(place)]] for rows in map(np.asarray, pair))
                for pair in cv
            ]
            cv = [tuple(rows[rows >= 0] for rows in pair) for pair in cv]
        split = {} if self._units is None else {"groups": self._units}
        rows = np.zeros((n, 1))
        folds = folds_of(cv, rows, codes, classifier=True, split=split, partition=True)
        total = np.ones(n) if weight is None else weight
        left_out = np.zeros((len(folds), n))
        for fold, (_, test) in enumerate(folds):
            left_out[fold, test] = total[test]
        return _whole_rows(codes, total, left_out)

    # ------------------------------------------------------------------ what is fitted

    @property
    def used_(self) -> bool:
        """Whether features are used."""
        raise AssertionError("a conditional calibrator defines used_")

    def _learnt_in_words(self) -> str:
        """Return what was learnt of features, shortly."""
        raise AssertionError("a conditional calibrator defines _learnt_in_words")

    @property
    def choice(self) -> str:
        """What was chosen, in words."""
        if not self.used_:
            reason = getattr(self, "fallback_reason_", None)
            return f"scores alone: {reason}" if reason else "scores alone"
        gain = getattr(self, "gain_nats_", None)  # files do not hold it
        text = self._learnt_in_words()
        return text if gain is None else f"{text}; gain {gain:.3g} nats"

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the parameters and, once fitted, what was chosen."""
        text = str(super().__repr__(N_CHAR_MAX))
        return f"{text}: {self.choice}" if self.__sklearn_is_fitted__() else text

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        super().check_map()
        n_columns, n_classes = self.n_features_in_, len(self.classes_)
        if (self.n_scores_, n_classes) != (1, 2) and self.n_scores_ != n_classes:
            raise ValueError(f"n_scores_ is {self.n_scores_} for {n_classes} classes")
        if self.n_scores_ > n_columns or (self.n_scores or n_columns) != self.n_scores_:
            raise ValueError(f"n_scores_ is {self.n_scores_} of {n_columns} columns")
        if self.used_ and (n_classes != 2 or n_columns == self.n_scores_):
            raise ValueError("what is learnt of features needs features and two classes")
        alone = AutoCalibrator(input=self.input)
        for name in alone.traits.arrays:
            setattr(alone, name, getattr(self, name))
        alone.classes_, alone.n_features_in_ = self.classes_, self.n_scores_
        alone.check_map()


def map_alone(scores: Array, fitted: Mapping[str, Any], xp: Namespace) -> Array:
    """Return what the map of scores alone says of rows of scores and features; pure."""
    n_classes = max(2, int(fitted["n_scores_"]))
    arrays = {name: fitted[name] for name in AutoCalibrator.traits.arrays}
    of_scores = AutoCalibrator.map_from(arrays, {})
    out: Array = of_scores.evaluate(scores[:, :n_classes], fitted["input"], xp)
    return out


def bounded_rows(scores: Array, fitted: Mapping[str, Any], xp: Namespace) -> tuple[Array, Array]:
    """Return bounded log-odds (n,) and features (n, n_features) without nan; pure."""
    s = links.binary_log_odds(links.convert(scores[:, :2], fitted["input"], "logits", xp))
    features = scores[:, 2:]
    features = xp.where(features == features, features, xp.zeros_like(features) + MISSING)
    return links.bounded_log_odds(s, fitted["share_"], xp), features


def both_classes(eta: Array, xp: Namespace) -> Array:
    """Return the probabilities of two classes from the log-odds of the second; pure."""
    return xp.stack([links.expit(-eta, xp), links.expit(eta, xp)], axis=1)


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _is_table(X: ArrayLike) -> bool:
    return hasattr(X, "columns") or hasattr(X, "column_names")


def _mixed_columns(X: ArrayLike) -> list[FeatureColumn] | None:
    """Return the columns of a table that holds more than numbers, None of any other input."""
    if isinstance(X, np.ndarray):
        if X.dtype.kind not in "OU" or X.ndim != 2:
            return None
    elif not _is_table(X):
        return None
    columns = feature_columns(X, "X")
    categories = [column for column in columns if column.kind == "category"]
    readable = all(
        _is_missing(value) or isinstance(value, (str, bool, np.bool_, int, float))
        for column in categories
        for value in column.values
    )
    return columns if categories and readable else None


def _folds_of_units(
    units: IntArray,
    codes: IntArray,
    weight: Float64Array | None,
    n_folds: int,
    random_state: RandomState,
) -> FoldRows:
    from sklearn.model_selection import StratifiedGroupKFold

    if len(units) != len(codes):
        raise ValueError(
            "groups cannot be told apart: rows whose label X excludes were left out; remove them"
        )
    n_units = int(units.max()) + 1
    if n_units < 2:
        raise ValueError("groups holds a single unit; pass two or more, or None")
    total = np.ones(len(codes)) if weight is None else weight
    seed = None if random_state is None else random_state
    if isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**31))
    n_folds = min(n_folds, n_units)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    left_out = np.zeros((n_folds, len(codes)))
    for fold, (_, test) in enumerate(splitter.split(codes, codes, units)):
        left_out[fold, test] = total[test]
    return _whole_rows(codes, total, left_out)


def _whole_rows(codes: IntArray, total: Float64Array, left_out: Float64Array) -> FoldRows:
    """Return folds that have every row as a whole."""
    learnt = np.where(left_out > 0, 0.0, total)
    return FoldRows(np.arange(len(codes)), codes.astype(np.float64), total, learnt, left_out)


def fitted_lines(log_odds: Float64Array, rows: FoldRows) -> tuple[Float64Array, Float64Array]:
    """Return the lines of every fold (n_folds, 2), fitted to the other rows, and that of all (2,).

    Drawn to the identity, so that few rows do not bend it.
    """
    n_folds, n = rows.n_folds, len(log_odds)
    design = np.stack([np.ones(n), log_odds], axis=1)
    weights = np.concatenate([rows.learnt, rows.total[None]])
    lines = fit_groups(
        np.tile(design, (n_folds + 1, 1)),
        np.tile(rows.target, n_folds + 1),
        np.arange(n_folds + 1) * n,
        LINE_PRIOR,
        "logistic",
        weight=weights.ravel(),
    ).coefficients
    return lines[:-1], lines[-1]


def bounded(log_odds: Float64Array, share: Float64Array) -> Float64Array:
    """Return log-odds of probabilities that are mixed with 1/2 first, so that none is infinite."""
    return np.asarray(links.bounded_log_odds(log_odds, share, np))


def log_losses(eta: Float64Array, target: Float64Array) -> Float64Array:
    """Return the log loss of every row in nats, from log-odds."""
    return np.asarray(np.logaddexp(0.0, eta) - target * eta)
