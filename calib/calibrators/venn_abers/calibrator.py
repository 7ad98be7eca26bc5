"""Venn-ABERS prediction: two probabilities per sample, one of which is exactly calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np

from calib._border.arrays import LOGIT_LIMIT, PROBA_FLOOR, to_numpy
from calib._border.checks import check_option
from calib._border.typing import Array, ArrayLike, Float64Array, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.fitted_map import FittedArray, MapTraits
from calib._core.rows import RankedScores, Rows, ScoredPart
from calib.base import BaseCalibrator
from calib.calibrators.venn_abers.bridge import StepTables, step_tables
from calib.warnings import CalibrationWarning

#: Scores where a step function rises; those of excluded classes are the largest numbers.
_KNOTS = FittedArray(low=-np.inf, high=np.inf, ascending=True)
#: Values of a step function between 0 and 1, one more than its knots.
_STEPS = FittedArray(low=0.0, high=1.0, ascending=True)
#: Fitted arrays that are the fields of `StepTables`.
_BOUNDS = ("lower_knots_", "lower_values_", "upper_knots_", "upper_values_")


class VennAbersCalibrator(BaseCalibrator):
    """Calibrate by adding the test sample to an isotonic fit, once with either label.

    For two classes the fit with label 0 gives a lower probability p0 of the positive class, the fit
    with label 1 an upper one p1. If calibration and test samples are exchangeable, one of the two
    (that of the true label) is perfectly calibrated in finite samples, whatever the model; their
    distance tells how much the calibration set knows about scores like this one. `transform`
    merges them into one probability, never exactly 0 or 1; `predict_interval` returns both.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`. Only the order of the scores matters.
    merge : {"log", "brier"}, default="log"
        Loss whose worst-case regret over the two hypothetical labels the merged probability
        minimises: ``p1 / (1 - p0 + p1)`` or ``p1 + (p0**2 - p1**2) / 2``.
    multiclass : {"one_vs_rest", "pairwise"}, default="one_vs_rest"
        Beyond two classes: calibrate each class against the rest and renormalise rows, or each pair
        of classes on the samples of the two and couple the K (K - 1) / 2 answers. Pairs see fewer
        samples each, cost more, and were worse in every comparison that was made.

    Attributes
    ----------
    lower_knots_, lower_values_, upper_knots_, upper_values_ : ndarray of shape (n_problems, ...)
        Step functions p0 and p1 of the log-odds of each problem: one for two classes, else one per
        pair (0, 1), (0, 2), ..., (1, 2), ... or per class. Rows are padded at the end.
    unit_ : float
        Number that logits are divided by first: 1 unless they are on another scale than
        log-probabilities (decision scores), then their standard deviation.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses or an unknown option.

    Warns
    -----
    CalibrationWarning
        If `y` holds soft targets, for which the guarantee is lost.

    See Also
    --------
    IsotonicCalibrator : one isotonic fit, no interval.

    Notes
    -----
    The guarantee belongs to the pair (p0, p1), not to the merged number, and holds for two classes
    (for each class against the rest or each pair, in its own terms). ``p1 - p0`` is at least
    ``1 / (n + 1)``. Pairwise coupling (Price et al. 1995) takes ``q_i = 1 / (sum_j 1 / r_ij - (K -
    2))`` and renormalises. Equal scores share one value. A pair of classes is scored by the share
    ``p_j / (p_i + p_j)`` of probabilities or by the difference of logits. Fit is O(n log n) per
    problem by an exact linear-time algorithm, prediction O(log n); numba, where installed, compiles
    the table with bit-identical results.

    In the CalArena benchmark (arXiv 2605.30188) the two-class form is among the best maps in log
    loss and average in Brier score. For more classes, on 117 sets of scores of up to 26 classes,
    the Brier score fell by 0.078 on average with one against the rest, by 0.048 with pairs, and by
    0.093 with matrix scaling.

    References
    ----------
    V. Vovk, I. Petej, "Venn-Abers Predictors", UAI 2014, arXiv 1211.0025.
    V. Vovk, I. Petej, V. Fedorova, "Large-scale probabilistic predictors with and without
    guarantees of validity", NeurIPS 2015, arXiv 1511.00213.
    V. Manokhin, "Multi-class probabilistic classification using inductive and cross Venn-Abers
    predictors", PMLR 60, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import VennAbersCalibrator
    >>> s = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    >>> cal = VennAbersCalibrator(input="logits").fit(8 * s, [0, 0, 1, 0, 1, 0, 1, 1])
    >>> cal.predict_interval(8 * np.array([0.25]))[0, 1]
    array([0. , 0.6])
    >>> cal.transform(8 * np.array([0.25]))
    array([[0.625, 0.375]])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "lower_knots_": _KNOTS.of_shape("problems", "lower"),
            "lower_values_": _STEPS.of_shape("problems", ("lower", 1)),
            "upper_knots_": _KNOTS.of_shape("problems", "upper"),
            "upper_values_": _STEPS.of_shape("problems", ("upper", 1)),
        },
        domain="declared",
        options=("merge", "multiclass"),
        double=True,
        block_rows=4096,
        rescales_from=3,
    )
    _least_per_class: ClassVar[int] = 5
    _may_miss_rates: ClassVar[bool] = True
    _by_rank: ClassVar[bool] = True

    lower_knots_: Float64Array
    lower_values_: Float64Array
    upper_knots_: Float64Array
    upper_values_: Float64Array

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        merge: Literal["log", "brier"] = "log",
        multiclass: Literal["one_vs_rest", "pairwise"] = "one_vs_rest",
    ) -> None:
        super().__init__(input=input)
        self.merge = merge
        self.multiclass = multiclass

    def _fit_rows(self, rows: Rows) -> None:
        check_option("merge", self.merge, ("log", "brier"))
        check_option("multiclass", self.multiclass, ("one_vs_rest", "pairwise"))
        n_problems = _n_problems(rows.n_classes, self.multiclass)
        tables = step_tables(
            (part.columns(slice(None))[0], part.target, part.weight)
            for part in rows.ordered(n_problems, _problems, self.multiclass)
        )
        self.lower_knots_, self.lower_values_ = tables.lower_knots, tables.lower_values
        self.upper_knots_, self.upper_values_ = tables.upper_knots, tables.upper_values

    def _check_scarcity(self, rows: Rows) -> None:
        super()._check_scarcity(rows)
        if rows.soft:
            warn(
                "y holds soft targets: a share is not the label of one sample, so the validity of "
                "Venn-ABERS probabilities is lost; they estimate the mean share of a class",
                CalibrationWarning,
            )

    def _sizes(self) -> dict[str, int]:
        sizes = super()._sizes()
        return sizes | {"problems": _n_problems(sizes["classes"], self.multiclass)}

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        check_option("merge", self.merge, ("log", "brier"))
        check_option("multiclass", self.multiclass, ("one_vs_rest", "pairwise"))
        super().check_map()
        tables = StepTables(*(getattr(self, name) for name in _BOUNDS))
        points = np.concatenate([self.lower_knots_, self.upper_knots_], axis=1).T
        low, high = tables.bounds(
            np.concatenate([points, np.nextafter(points, np.inf), points - 1.0]), np
        )
        if (low > high).any():
            raise ValueError("lower_values_ must not exceed upper_values_")

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        lower, upper = _bounds(scores, fitted, xp)
        merged = _merge([(lower, upper)], fitted["merge"], xp)
        return _combine(merged, scores, fitted["multiclass"], xp)

    def predict_interval(self, X: ArrayLike) -> Array:
        """Return the lower and upper probability of every class.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of the same kind and number of columns as at fit.

        Returns
        -------
        interval : array of shape (n_samples, n_classes, 2)
            For two classes, (p0, p1) of the positive class and (1 - p1, 1 - p0) of the other. Under
            ``"one_vs_rest"``, (p0, p1) of each class against the rest. Under ``"pairwise"``, outer
            bounds: the coupling of the pairwise ends that are worst and best for the class, not
            renormalised, without the two-class guarantee.
        """
        bounds = replace(self.fitted_map, function=_interval)
        return bounds.map_rows(self.checked(X), self.input)

    def merge_folds(self, folds: Sequence[tuple[VennAbersCalibrator, ArrayLike]]) -> Array:
        """Merge the predictions of several folds into one (the cross Venn-ABERS predictor).

        Parameters
        ----------
        folds : sequence of (VennAbersCalibrator, array-like)
            The calibrator of each fold and the scores that the model of that fold gives to the test
            samples. Options are taken from this calibrator.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Geometric means of p1 and of 1 - p0 over the folds, renormalised (``merge="log"``), or
            the mean of the folds' Brier merges. No finite-sample guarantee.
        """
        checked = [(calibrator, to_numpy(calibrator.checked(X))) for calibrator, X in folds]
        return self.merge_columns(checked, np)

    def merge_columns(
        self, folds: Sequence[tuple[VennAbersCalibrator, Array]], xp: Namespace
    ) -> Array:
        """Merge the predictions of several folds from checked scores of any namespace.

        Parameters
        ----------
        folds : sequence of (VennAbersCalibrator, array)
            As for `merge_folds`, the arrays as ``checked`` returns them.
        xp : namespace
            That of the arrays.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
        """
        pairs = []
        for calibrator, array in folds:
            bounds = replace(calibrator.fitted_map, function=_bounds_as_pair)
            pair = (
                bounds.map_rows(array, calibrator.input)
                if xp is np
                else bounds.apply(array, calibrator.input, xp)
            )
            pairs.append((pair[:, :, 0], pair[:, :, 1]))
        columns = folds[0][1]
        if columns.shape[1] == 1:
            columns = links.both_columns(columns, self.input, xp)
        columns = xp.astype(columns, xp.float64)
        return _combine(_merge(pairs, self.merge, xp), columns, self.multiclass, xp)


def _pairs(n_classes: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n_classes) for j in range(i + 1, n_classes)]


def _n_problems(n_classes: int, multiclass: str) -> int:
    if n_classes == 2:
        return 1
    return n_classes if multiclass == "one_vs_rest" else len(_pairs(n_classes))


def _problems(part: ScoredPart, multiclass: str) -> Iterator[RankedScores]:
    """Yield the samples of each class against the rest, or of each pair of classes."""
    scores, target, weight = part.scores, part.target, part.weight
    if scores.n_classes == 2:
        yield RankedScores.of((scores.log_odds(),), "logits", target.astype(np.float64), weight)
        return
    z = scores.dense()
    if multiclass == "one_vs_rest":
        rest = _against_the_rest(z, scores.source, np)
        for k in range(scores.n_classes):
            happens = (target == k).astype(np.float64)
            yield RankedScores.of((rest[:, k],), scores.source, happens, weight)
        return
    members = [np.flatnonzero(target == k) for k in range(scores.n_classes)]
    for i, j in _pairs(scores.n_classes):
        chosen = np.concatenate([members[i], members[j]])
        labels = np.repeat([0.0, 1.0], [len(members[i]), len(members[j])])
        s = _against_each_other(z[chosen, i], z[chosen, j], scores.source, np)
        w = None if weight is None else weight[chosen]
        yield RankedScores.of((s,), scores.source, labels, w)


def _against_the_rest(scores: Array, source: str, xp: Namespace) -> Array:
    """Return what orders samples by one class against the rest, in the form it was given."""
    if source == "proba":
        return scores
    s = links.log_odds_one_vs_rest(scores, xp)
    inflated = 8193.0 * xp.clip(s, -LOGIT_LIMIT / 10, LOGIT_LIMIT / 10)
    # round to 40 bits by Veltkamp's splitting: equal odds shall tie, although they are computed
    # from different logits
    return inflated - (inflated - s)


def _against_each_other(first: Array, second: Array, source: str, xp: Namespace) -> Array:
    """Return what orders samples by the second of two classes: a share, or a difference."""
    if source == "logits":
        return second - first
    total = first + second
    unknown = total <= 0  # neither class has any probability: even
    return xp.where(unknown, 0.5 * xp.ones_like(total), second / xp.where(unknown, 1.0, total))


def _bounds(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> tuple[Array, Array]:
    """Return p0 and p1 of every problem, two arrays of shape (n_samples, n_problems)."""
    n_classes, source = scores.shape[1], fitted["input"]
    computed = False  # whether the scores are sums of logarithms
    if n_classes == 2:
        computed = source == "proba"
        logits = links.convert(scores, source, "logits", xp)
        s = logits[:, 1:] - logits[:, :1]
    elif fitted["multiclass"] == "one_vs_rest":
        computed = source == "logits"
        s = _against_the_rest(scores, source, xp)
    else:
        columns = [
            _against_each_other(scores[:, i], scores[:, j], source, xp)
            for i, j in _pairs(n_classes)
        ]
        s = xp.stack(columns, axis=1)
    tables = StepTables(*(fitted[name] for name in _BOUNDS))
    lower, upper = tables.bounds(s, xp, computed=computed)
    return lower, upper


def _bounds_as_pair(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    return xp.stack(_bounds(scores, fitted, xp), axis=2)


def _merge(pairs: Sequence[tuple[Array, Array]], merge: str, xp: Namespace) -> Array:
    """Merge the (p0, p1) of one or more folds into one probability."""
    if merge == "brier":
        parts = [p1 + (p0 * p0 - p1 * p1) / 2 for p0, p1 in pairs]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total / len(parts)
    if len(pairs) == 1:
        p0, p1 = pairs[0]
        return p1 / (1 - p0 + p1)
    # differences of logarithms: a product of many small numbers would underflow
    for_one = sum(xp.log(p1) for _, p1 in pairs) / len(pairs)
    for_zero = sum(xp.log(1 - p0) for p0, _ in pairs) / len(pairs)
    return links.expit(for_one - for_zero, xp)


def _couple(ratios: list[list[Array | None]], xp: Namespace) -> Array:
    """Couple ``r_ij``, the probability of i among i and j, to scores of the classes."""
    n_classes = len(ratios)
    columns = []
    for row in ratios:
        total = sum(1 / r for r in row if r is not None)
        columns.append(1 / (total - (n_classes - 2)))
    return xp.stack(columns, axis=1)


def _ratios(first: Array, second: Array, n_classes: int) -> list[list[Array | None]]:
    """Arrange pair answers: ``second`` holds r_ji (the later class), ``first`` holds r_ij."""
    table: list[list[Array | None]] = [[None] * n_classes for _ in range(n_classes)]
    for r, (i, j) in enumerate(_pairs(n_classes)):
        table[i][j] = first[:, r]
        table[j][i] = second[:, r]
    return table


def _combine(merged: Array, scores: Array, multiclass: str, xp: Namespace) -> Array:
    """Turn merged answers of all problems into rows of probabilities."""
    n_classes = scores.shape[1]
    if n_classes == 2:
        return xp.concat([1 - merged, merged], axis=1)
    if multiclass == "pairwise":
        merged = _couple(_ratios(1 - merged, merged, n_classes), xp)
    return links.renormalise(merged, xp.ones_like(merged) / n_classes, xp)


def _interval(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    """Return lower and upper probabilities, shape (n_samples, n_classes, 2)."""
    low, high = _bounds(scores, fitted, xp)
    n_classes = scores.shape[1]
    if n_classes == 2:
        low, high = xp.concat([1 - high, low], axis=1), xp.concat([1 - low, high], axis=1)
    elif fitted["multiclass"] == "pairwise":
        floor = PROBA_FLOOR  # a ratio of exactly 0 couples to a bound of 0
        worst = _ratios(xp.clip(1 - high, floor, None), xp.clip(low, floor, None), n_classes)
        best = _ratios(1 - low, high, n_classes)
        low, high = _couple(worst, xp), _couple(best, xp)
        low = xp.where(low > 2 * floor, low, xp.zeros_like(low))
    return xp.stack([low, high], axis=2)
