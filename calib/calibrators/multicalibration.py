"""Multicalibration: a map of scores and features that is right for groups, and never harms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from calib._border.checks import (
    check_integer,
    check_number,
    check_option,
    describe,
    is_integer,
)
from calib._border.typing import Array, Float64Array, IntArray, Namespace, RandomState
from calib._core import links
from calib._core.features.codes import MISSING, BinnedColumns, filled, ordered_levels
from calib._core.features.glm import fit_groups
from calib._core.features.prior import Prior
from calib._core.features.trees import BoostedFold, Trees, boosted, tree_sums
from calib._core.fitted_map import FittedArray, MapTraits
from calib._core.scores import Scores
from calib.calibrators.conditional.learners import N_STEPS, Steps, fit_steps, step_sums
from calib.calibrators.conditional.reading import (
    ALONE_ARRAYS,
    ConditionalCalibrator,
    FoldRows,
    both_classes,
    bounded,
    bounded_rows,
    fitted_lines,
    log_losses,
    map_alone,
)

#: Rows from which trees learn alone.
MANY_ROWS = 5000
#: Most bins of a column of trees, and most levels of a category.
N_BINS, N_LEVELS = 64, 63
#: Level that no number equals.
NO_LEVEL = 9e299

LEARNERS = ("trees", "steps")


class MulticalibrationCalibrator(ConditionalCalibrator):
    """Correct scores by features, so that groups are as calibrated as the whole; two classes.

    A map of the score alone leaves a model that is right on average and wrong for a group as it
    is. This one boosts small trees on features and score from a calibrated start, on folds, and is
    used only if left-out rows gain beyond chance; otherwise it is `AutoCalibrator` on the scores,
    bit for bit (``used_`` and ``fallback_reason_`` tell).

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What the score columns of `X` hold; see `BaseCalibrator`.
    n_scores : int, default=None
        Number of leading columns of `X` that are scores: 1, or 2 for one per class. The columns
        after them are features. None: all columns are scores, and the map is that of
        `AutoCalibrator`. `CalibratedClassifier` sets it.
    categorical : sequence of int or str, default=()
        Columns of `X` (places, or names in a table) whose numbers are names of levels and have no
        order. Columns of texts and categories of a table always are. The most frequent 63 levels
        are told apart; others, and those that the fit did not see, count as one.
    learners : {"auto", "trees", "steps", "both"}, default="auto"
        Boosted trees, a sum of one step function per column, or both; ``"auto"`` is both below
        5,000 rows and trees from there on.
    learning_rate : float, default=0.3
        Share of a Newton step that a tree takes, in (0, 1].
    depth : int, default=4
        Comparisons that a tree makes, from 1 to 8.
    penalty : float, default=10.0
        Precision of the leaves around 0, > 0; larger is smoother.
    max_trees : int, default=150
        Most trees per fold, >= 1; left-out rows say how many.
    cv : int, splitter or iterable, default=4
        Folds that learn and judge; integers (>= 2, at most as many as the rarer class has rows)
        mean stratified folds, of whole groups where groups are passed to `fit`.
    guard : bool, default=True
        Whether the map has to prove itself. False always uses what was learnt.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.

    Attributes
    ----------
    used_ : bool
        Whether features are used.
    fallback_reason_ : str or None
        Why they are not.
    gain_nats_ : float or None
        Total log loss that left-out rows gain over the best of the scores as they are, a line on
        their log-odds, and `AutoCalibrator`; None if nothing was learnt.
    gain_log_loss_ : CrossFittedGain or None
        Mean gain over the line, in nats a row, with its 95 % interval.
    n_trees_ : int
        Trees per fold.
    learners_ : ndarray of int
        Learners in use, places in ``("trees", "steps")``.
    blend_ : ndarray
        Constant, factor of the line, and factors of the learners.
    line_ : ndarray of shape (2,)
        Intercept and slope of the line on the log-odds.
    tree_column_, tree_cut_, tree_leaf_ : ndarray
        Trees, shapes (n_folds, n_trees, depth) twice and (n_folds, n_trees, 2**depth).
    step_cut_, step_value_, step_line_ : ndarray
        Step functions, see `learners`.
    classes_ : ndarray of shape (2,)
        Class of each column of the answer.
    n_features_in_ : int
        Number of columns of `X` seen at fit, features included.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, features without `n_scores`, more than
        two classes with features, infinite features, or an option out of its range.

    See Also
    --------
    GroupCalibrator : one line per group, where groups are few and known.
    calib.evaluation.segment_report : says for whom a model is off.

    Notes
    -----
    1. The offset ``o`` is a line on the log-odds, fitted without each fold and drawn to the
       identity (precisions 1 and 20).
    2. *Trees* of the same question in all nodes of a level are boosted from ``o`` on features and
       score (at most 64 bins a column), all folds in step, until left-out rows stop gaining.
       *Steps* are a ridge logistic regression on at most 8 bins a column.
    3. ``logit q = b0 + b1 o + sum_m a_m f_m`` is fitted to left-out rows, where ``f_m`` is what
       learner m adds; the prior is that of no shrinkage.
    4. Guard: the same without each fold. It has to gain more than ``max(2 + 200 / n, se)``
       nats over the best of raw scores, line and `AutoCalibrator`, se being the standard error of
       the gain over the line.
    5. New rows get the mean of ``f_m`` over folds.

    Never worse holds on average over samples, not for each: of fits to 100 rows of noise about one
    in a hundred passes the guard and may lose some per cent (``benchmarks/groups.py``). What is
    learnt of a group holds as long as the group stays what it was: report again after a shift. A
    map that reads a protected attribute may be unlawful where a report by it is wanted; the report
    needs no such map.

    References
    ----------
    .. [1] U. Hebert-Johnson, M. P. Kim, O. Reingold, G. N. Rothblum. Multicalibration: Calibration
       for the (Computationally-Identifiable) Masses. ICML 2018. arXiv:1711.08513
    .. [2] N. Tax, L. Perini, F. Linder, D. Haimovich and others. MCGrad: Multicalibration at Web
       Scale. KDD 2026. arXiv:2509.19884
    .. [3] J. H. Friedman. Greedy Function Approximation: A Gradient Boosting Machine. Annals of
       Statistics 29(5), 2001. doi:10.1214/aos/1013203451

    Examples
    --------
    >>> import numpy as np
    >>> from calib import MulticalibrationCalibrator
    >>> rng = np.random.default_rng(0)
    >>> s, group = rng.normal(size=3000), rng.integers(0, 2, 3000)
    >>> y = (rng.random(3000) < 1 / (1 + np.exp(1 - s - 2 * group))).astype(int)
    >>> cal = MulticalibrationCalibrator(input="logits", n_scores=1).fit(np.c_[s, group], y)
    >>> cal.used_
    True
    >>> cal.transform([[0.0, 0], [0.0, 1]])[:, 1].round(2)  # the scores ignore the group
    array([0.3 , 0.75])
    """

    _name = "multicalibration"

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            **ALONE_ARRAYS,
            "learners_": FittedArray(
                ("learners",), integer=True, static=True, empty=True, names=LEARNERS
            ),
            "blend_": FittedArray((("learners", 2),)),
            "line_": FittedArray((2,)),
            "tree_column_": FittedArray(
                ("folds", "trees", "depth"), low=0, integer=True, empty=True
            ),
            "tree_cut_": FittedArray(("folds", "trees", "depth"), empty=True),
            "tree_leaf_": FittedArray(("folds", "trees", "leaves"), empty=True),
            "step_cut_": FittedArray(("step_folds", "inputs", "cuts"), empty=True),
            "step_value_": FittedArray(("step_folds", "inputs", ("cuts", 1)), empty=True),
            "step_line_": FittedArray(("step_folds", 2), empty=True),
            "category_column_": FittedArray(
                ("categories",), low=0, integer=True, static=True, empty=True
            ),
            "category_level_": FittedArray(("categories", "levels"), empty=True),
            "category_value_": FittedArray(("all_folds", "categories", "levels"), empty=True),
        },
        domain="declared",
        widest="tree_leaf_",
        double=True,
        block_rows=2048,
        rescales_from=2,
        n_scores="n_scores_",
    )

    learners_: IntArray
    blend_: Float64Array
    line_: Float64Array

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        n_scores: int | None = None,
        categorical: Sequence[int | str] = (),
        learners: Literal["auto", "trees", "steps", "both"] = "auto",
        learning_rate: float = 0.3,
        depth: int = 4,
        penalty: float = 10.0,
        max_trees: int = 150,
        cv: Any = 4,
        guard: bool = True,
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(input=input)
        self.n_scores = n_scores
        self.categorical = categorical
        self.learners = learners
        self.learning_rate = learning_rate
        self.depth = depth
        self.penalty = penalty
        self.max_trees = max_trees
        self.cv = cv
        self.guard = guard
        self.random_state = random_state

    @property
    def used_(self) -> bool:
        """Whether features are used."""
        return bool(len(self.learners_))

    @property
    def n_trees_(self) -> int:
        """Trees per fold."""
        return int(self.tree_leaf_.shape[1])

    # ------------------------------------------------------------------ fit

    def _check_options(self, n_columns: int) -> None:
        check_option("learners", self.learners, ("auto", "trees", "steps", "both"))
        super()._check_options(n_columns)
        if not 0.0 < check_number("learning_rate", self.learning_rate) <= 1.0:
            raise ValueError(f"learning_rate must lie in (0, 1]; got {self.learning_rate}")
        if not 0.0 < check_number("penalty", self.penalty) < np.inf:
            raise ValueError(f"penalty must be positive and finite; got {self.penalty}")
        check_integer("depth", self.depth, low=1, high=8)
        check_integer("max_trees", self.max_trees, low=1)
        self._categories(n_columns)

    def _categories(self, n_columns: int) -> list[int]:
        """Return the places among features of columns that are categories."""
        if isinstance(self.categorical, str) or not isinstance(self.categorical, Sequence):
            raise ValueError(
                f"categorical must be a sequence of places or names of columns; got "
                f"{describe(self.categorical)}"
            )
        names = [str(name) for name in getattr(self, "feature_names_in_", ())]
        places = {int(place) for place in self.text_column_}
        for column in self.categorical:
            if isinstance(column, str):
                if column not in names:
                    raise ValueError(
                        f"categorical names the column {column!r}, but X has "
                        f"{describe(names) if names else 'no column names'}"
                    )
                places.add(names.index(column))
            elif is_integer(column):
                places.add(int(column))
            else:
                raise ValueError(f"categorical holds {describe(column)}: pass places or names")
        outside = [p for p in places if not self.n_scores_ <= p < n_columns]
        if outside:
            raise ValueError(
                f"categorical names column {outside[0]}, which is no feature: features are the "
                f"columns {self.n_scores_} to {n_columns - 1} of X"
            )
        return [place - self.n_scores_ for place in sorted(places)]

    def _start_empty(self) -> None:
        self.learners_ = np.empty(0, dtype=np.int64)
        self.blend_, self.line_ = np.array([0.0, 1.0]), np.array([0.0, 1.0])
        self.category_column_ = np.empty(0, dtype=np.int64)
        self.category_level_, self.category_value_ = np.empty((0, 0)), np.empty((0, 0, 0))
        depth = self.depth
        self._keep_trees(
            Trees(np.empty((0, 0, depth), int), np.empty((0, 0, depth)), np.empty((0, 0, 2**depth)))
        )
        self._keep_steps(Steps(np.empty((0, 0, 0)), np.empty((0, 0, 1)), np.empty((0, 2))))

    def _keep_trees(self, trees: Trees) -> None:
        self.tree_column_, self.tree_cut_, self.tree_leaf_ = trees.column, trees.cut, trees.leaf

    def _keep_steps(self, steps: Steps) -> None:
        self.step_cut_, self.step_value_, self.step_line_ = steps.cut, steps.value, steps.line

    def _learn(
        self,
        scores: Scores,
        features: Float64Array,
        codes: IntArray,
        weight: Float64Array | None,
        gain_alone: float,
    ) -> None:
        rows = self._folds(scores, features, codes, weight, self.cv)
        total = float(rows.total.sum())
        self.share_ = np.array([1.0 / (total + 1.0)])
        s = bounded(scores.log_odds()[rows.rows], self.share_)
        lines, self.line_ = fitted_lines(s, rows)
        offset = lines[:, :1] + lines[:, 1:] * s
        values = self._inputs(filled(features[rows.rows]), s, offset, rows)
        corrections, names = [], []
        both = self.learners == "both" or (self.learners == "auto" and total < MANY_ROWS)
        if both or self.learners in ("auto", "trees"):
            bins = _binned(values, rows.total, N_BINS)
            trees = boosted(
                [
                    BoostedFold(bins[k], offset[k], rows.learnt[k], rows.left_out[k])
                    for k in range(rows.n_folds)
                ],
                rows.target,
                rate=self.learning_rate,
                depth=self.depth,
                penalty=self.penalty,
                most=self.max_trees,
            )
            if trees.leaf.shape[1]:
                self._keep_trees(trees)
                correction = np.zeros_like(offset)
                for k, left_out in enumerate(rows.left_out > 0):
                    fold = (trees.column[k], trees.cut[k], trees.leaf[k])
                    correction[k, left_out] = tree_sums(values[k][left_out], *fold, np)
                corrections.append(correction)
                names.append("trees")
        if both or self.learners == "steps":
            steps, correction = fit_steps(_binned(values, rows.total, N_STEPS), offset, rows)
            self._keep_steps(steps)
            corrections.append(correction)
            names.append("steps")
        self._blend(scores, rows, offset, np.array(corrections), names, gain_alone)

    def _inputs(
        self, features: Float64Array, s: Float64Array, offset: Float64Array, rows: FoldRows
    ) -> list[Float64Array]:
        """Return what learners look at, one matrix per fold: features, then log-odds."""
        plain = np.column_stack([features, s])
        columns = self._categories(self.n_scores_ + features.shape[1])
        if not columns:
            return [plain] * rows.n_folds
        levels = [_frequent_levels(features[:, c], rows.total) for c in columns]
        most = max(map(len, levels))
        self.category_column_ = np.array(columns, dtype=np.int64)
        self.category_level_ = np.full((len(columns), most), NO_LEVEL)
        self.category_value_ = np.zeros((rows.n_folds, len(columns), most))
        out = []
        for fold in range(rows.n_folds):
            p = links.expit(offset[fold], np)
            residual = rows.learnt[fold] * (rows.target - p)
            variance = rows.learnt[fold] * p * (1.0 - p)
            for place, (column, known) in enumerate(zip(columns, levels, strict=True)):
                order = np.searchsorted(known, features[:, column])
                order = np.minimum(order, len(known) - 1)
                same = known[order] == features[:, column]
                value = ordered_levels(
                    np.where(same, order + 1, 0), len(known) + 1, residual, variance
                )
                self.category_level_[place, : len(known)] = known
                self.category_value_[fold, place, : len(known)] = value[1:]
            ordered = _ordered(plain, columns, self.category_level_, self.category_value_[fold], np)
            out.append(ordered)
        return out

    def _blend(
        self,
        scores: Scores,
        rows: FoldRows,
        offset: Float64Array,
        corrections: Float64Array,
        names: list[str],
        gain_alone: float,
    ) -> None:
        """Weigh the learners on left-out rows; keep them if they gain beyond chance."""
        if not names:
            self.fallback_reason_ = "left-out rows like no tree"
            return
        fold, place = rows.pairs()
        target, weight = rows.target[place], rows.left_out[fold, place]
        line = offset[fold, place]
        design = np.column_stack(
            [np.ones(len(line)), line, *(part[fold, place] for part in corrections)]
        )
        n_learners = len(names)
        centre = np.concatenate([[0.0, 1.0], np.full(n_learners, 1.0 / n_learners)])
        prior = Prior(centre, np.concatenate([[1.0], np.full(1 + n_learners, 20.0)]))
        blend = _fitted(design, target, weight, prior)
        losses = np.empty(len(line))
        for number in range(rows.n_folds):
            held = fold == number
            x = _fitted(design[~held], target[~held], weight[~held], prior)
            losses[held] = log_losses(design[held] @ x, target[held])
        raw = bounded(scores.log_odds()[rows.rows][place], self.share_)
        if not self._passes(losses, line, raw, target, weight, gain_alone):
            return
        self.learners_ = np.array([LEARNERS.index(name) for name in names], dtype=np.int64)
        self.blend_ = blend

    # ------------------------------------------------------------------ map

    def _learnt_in_words(self) -> str:
        names = " and ".join(LEARNERS[int(k)] for k in self.learners_)
        return f"{names} on {self.n_features_in_ - self.n_scores_} features"

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Any], xp: Namespace) -> Array:
        if not len(fitted["learners_"]):
            return map_alone(scores, fitted, xp)
        s, features = bounded_rows(scores, fitted, xp)
        plain = xp.concat([features, xp.expand_dims(s, axis=1)], axis=1)
        line, blend = fitted["line_"], fitted["blend_"]
        eta = blend[0] + blend[1] * (line[0] + line[1] * s)
        columns = [int(c) for c in fitted["category_column_"]]
        levels = fitted["category_level_"]
        n_folds = max(fitted["tree_leaf_"].shape[0], fitted["step_line_"].shape[0])
        for fold in range(n_folds):
            values = plain
            if columns:
                values = _ordered(plain, columns, levels, fitted["category_value_"][fold], xp)
            for place, learner in enumerate(fitted["learners_"]):
                if LEARNERS[int(learner)] == "trees":
                    part = tree_sums(
                        values,
                        fitted["tree_column_"][fold],
                        fitted["tree_cut_"][fold],
                        fitted["tree_leaf_"][fold],
                        xp,
                    )
                else:
                    line = fitted["step_line_"][fold]
                    part = step_sums(
                        values, fitted["step_cut_"][fold], fitted["step_value_"][fold], xp
                    )
                    offset = fitted["line_"][0] + fitted["line_"][1] * s
                    part = part + line[0] + line[1] * offset
                eta = eta + blend[2 + place] * part / n_folds
        return both_classes(eta, xp)

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        super().check_map()
        inputs = self.n_features_in_ - self.n_scores_ + 1
        if self.tree_column_.size and self.tree_column_.max() >= inputs:
            raise ValueError(f"tree_column_ must be < {inputs}")
        if self.tree_leaf_.shape[2] != 2 ** self.tree_cut_.shape[2]:
            raise ValueError("tree_leaf_ must have 2**depth leaves")
        if self.step_cut_.size and self.step_cut_.shape[1] != inputs:
            raise ValueError(f"step_cut_ must have {inputs} columns")
        if self.used_ and (len(self.classes_) != 2 or inputs < 2):
            raise ValueError("learners_ need two classes and features")
        for name, kept in (("trees", self.tree_leaf_.shape[:2]), ("steps", self.step_line_.shape)):
            if LEARNERS.index(name) in self.learners_ and 0 in kept:
                raise ValueError(f"learners_ holds {name!r}, but there are none")


def _binned(values: list[Float64Array], weight: Float64Array, most: int) -> list[BinnedColumns]:
    """Return the bins of the inputs of every fold; the same object where inputs are the same."""
    first = BinnedColumns.of(values[0], weight, most)
    return [first if v is values[0] else BinnedColumns.of(v, weight, most) for v in values]


def _frequent_levels(values: Float64Array, weight: Float64Array) -> Float64Array:
    """Return the most frequent levels of a column, ascending; a missing value is none."""
    levels, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weight, minlength=len(levels))
    levels, mass = levels[levels != MISSING], mass[levels != MISSING]
    most = np.sort(np.argsort(-mass, kind="stable")[:N_LEVELS])
    return np.asarray(levels[most] if len(levels) else np.array([NO_LEVEL]))


def _ordered(
    plain: Array, columns: Sequence[int], level: Array, value: Array, xp: Namespace
) -> Array:
    """Return inputs in which categories are the numbers that a fold gives to their levels."""
    parts = []
    for column in range(plain.shape[1]):
        x = plain[:, column : column + 1]
        if column in columns:
            place = list(columns).index(column)
            same = xp.astype(x == level[place, :], x.dtype)
            ordered = xp.sum(same * value[place, :], axis=1, keepdims=True)
            x = xp.where(x == MISSING, x, ordered)
        parts.append(x)
    return xp.concat(parts, axis=1)


def _fitted(
    design: Float64Array, target: Float64Array, weight: Float64Array, prior: Prior
) -> Float64Array:
    fits = fit_groups(design, target, np.array([0]), prior, "logistic", weight=weight)
    return np.asarray(fits.coefficients[0])
