"""Histogram binning: one calibrated value a bin of probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from calib._border.checks import check_integer, check_option
from calib._border.limits import MOST_BINS
from calib._border.typing import Array, Float64Array, LabelArray, Namespace
from calib._core import links
from calib._core.binning import cells_between, quantile_edges, uniform_cells, uniform_edges
from calib._core.fitted_map import SHARE, FittedArray, MapTraits
from calib._core.logistic import confined_problems, one_vs_rest
from calib._core.rows import (
    RankedScores,
    Rows,
    ScoredPart,
    Sums,
    classes_against_rest,
    in_memory,
    largest_entries,
    rescored,
)
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.platt import PlattCalibrator

#: Probabilities below this, and their complements, are those of excluded or masked classes: logits
#: 37 below the others.
LEAST = 2.0**-53


class HistogramCalibrator(BaseCalibrator):
    """Give every probability the calibrated value of the bin it falls into.

    A baseline, and the map whose calibration error can be verified, because it emits few distinct
    values. It looks excellent in binned calibration errors and loses to smooth maps in the Brier
    score and the log loss, since samples within a bin are no longer told apart. Beyond two classes
    every class is fitted against the rest and rows are renormalised. It works on *probabilities*
    whatever `input` says.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    n_bins : int, default=15
        Number of bins, >= 1.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal mass in the calibration set. Equal mass is the finer tool
        for two classes; with many classes its few bins near 1 are wide and cost accuracy.
    kind : {"rate", "scaling"}, default="rate"
        Value of a bin: ``"rate"``, the rate at which the class occurs; ``"scaling"``, the mean of
        what Platt scaling makes of the probabilities in it (scaling-binning), which varies less.

    Attributes
    ----------
    edges_ : ndarray of shape (1, n_bins + 1) or (n_classes, n_bins + 1)
        Edges of the bins, which are closed on the left, the last one on both sides; one row for
        two classes (that of ``classes_[1]``), else one a class. Among bins of equal width, logits
        that exclude or mask classes have a bin of their own, below 1e-16 (for two classes another
        one above the complement).
    values_ : ndarray of shape (1, n_bins) or (n_classes, n_bins)
        Calibrated values of the bins, in [0, 1].
    smoothing_ : float
        Share of the uniform distribution in the output, ``1 / (n + 1)`` for n samples (or their
        total weight): a rate of exactly 0 or 1 would make the log loss infinite.
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
        At fit, for input that `BaseCalibrator.fit` refuses or an impossible parameter.

    Warns
    -----
    ConvergenceWarning
        If ``kind="scaling"`` and Platt scaling does not converge.

    See Also
    --------
    IsotonicCalibrator : chooses its own bins.
    SplineCalibrator : a smooth map.

    Notes
    -----
    A bin without calibration samples keeps its centre, which is the uncalibrated probability up to
    half the width of a bin: nothing is known there, and the overall rate of the class, which other
    implementations take, would contradict the scores. Equal scores share a bin, so bins of equal
    mass may be fewer than `n_bins` where scores are tied; their edges then repeat. A row in which
    every class is mapped to 0 keeps its uncalibrated probabilities. Of two classes the rarer one is
    binned, so that it does not matter which is called second: where that is the first, the bins of
    the second are closed on the right (their edges are the next floats). O(K n log n).

    References
    ----------
    B. Zadrozny, C. Elkan, "Obtaining calibrated probability estimates from decision trees and
    naive Bayesian classifiers", ICML 2001.
    A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", NeurIPS 2019, arXiv 1909.10155.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import HistogramCalibrator
    >>> p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])  # of the positive class
    >>> cal = HistogramCalibrator(n_bins=2, strategy="quantile").fit(p, [0, 1, 0, 0, 1, 1])
    >>> cal.edges_
    array([[0. , 0.4, 1. ]])
    >>> cal.transform(np.array([0.05, 0.7]))[:, 1].round(3)
    array([0.357, 0.643])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "edges_": FittedArray(("problems", ("bins", 1)), low=0.0, high=1.0, ascending=True),
            "values_": SHARE.of_shape("problems", "bins"),
            "smoothing_": SHARE,
        },
        domain="proba",
        double=True,
        block_rows=4096,
        rescales_from=2,
    )
    _least_per_class: ClassVar[int] = 10
    _by_rank: ClassVar[bool] = True
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    edges_: Float64Array
    values_: Float64Array
    smoothing_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        n_bins: int = 15,
        strategy: Literal["uniform", "quantile"] = "uniform",
        kind: Literal["rate", "scaling"] = "rate",
    ) -> None:
        super().__init__(input=input)
        self.n_bins = n_bins
        self.strategy = strategy
        self.kind = kind

    def _fit_rows(self, rows: Rows) -> None:
        n_bins = check_integer("n_bins", self.n_bins, low=1, high=MOST_BINS)
        check_option("strategy", self.strategy, ("uniform", "quantile"))
        check_option("kind", self.kind, ("rate", "scaling"))
        n_problems = 1 if rows.n_classes == 2 else rows.n_classes
        uniform = self.strategy == "uniform"  # bins of equal mass are narrow where the masks are
        excludes = uniform and rows.source == "logits" and _reaches_least(rows)
        first = rows.n_classes == 2 and _first_is_rarer(rows)
        if uniform:
            inner = uniform_edges(n_bins)[1:-1]
            edges = [np.nextafter(inner, 1.0) if first else inner] * n_problems
        else:
            problems = rows.ordered(n_problems, classes_against_rest)
            edges = [_equal_mass(part, n_bins, first) for part in problems]
        if excludes:
            top = [1.0 - LEAST] if rows.n_classes == 2 else []
            edges = [np.concatenate([[LEAST], np.clip(e, LEAST, 1.0 - LEAST), top]) for e in edges]
        self.edges_ = np.stack([np.concatenate([[0.0], inner, [1.0]]) for inner in edges])
        plain = uniform and not excludes and not first
        scaling = None if self.kind == "rate" else _platt_scaling(rows, self.classes_)
        mass, sums = rows.reduce(_bin_sums, self.edges_, plain, scaling)
        filled = mass > 0
        centres = 0.5 * (self.edges_[:, 1:] + self.edges_[:, :-1])
        self.values_ = np.where(filled, sums / np.where(filled, mass, 1.0), centres)
        self.smoothing_ = 1.0 / (rows.total + 1.0)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        edges, values = fitted["edges_"], fitted["values_"]
        table: links.StepTable = (edges[:, 1:-1], values, "right")
        (mapped,) = links.step_functions(scores[:, -edges.shape[0] :], [table], xp)
        if scores.shape[1] == 2:
            proba = xp.concat([1 - mapped, mapped], axis=1)
        else:
            proba = links.renormalise(mapped, scores, xp)
        return links.smooth(proba, fitted["smoothing_"])


def _equal_mass(part: RankedScores, n_bins: int, first: bool) -> Float64Array:
    """Return the edges between bins of `p`; of those of the first of two classes if it leads.

    Bins of the leading class are closed on the left, so those of the other are on the right.
    """
    p, rest = part.columns(slice(None))
    q = rest if first else p
    inner = quantile_edges(q, n_bins, part.weight)[1:-1]
    if not first or not len(inner):
        return inner
    order = np.argsort(q, kind="stable")
    largest = np.maximum.accumulate(p[order][::-1])[::-1]  # of p, where q is no less
    place = np.searchsorted(q[order], inner, side="left")
    turned = np.nextafter(largest[place], 2.0)[::-1]
    lowest = turned[turned <= 1.0]  # an edge beyond 1 parts nothing from nothing
    return np.where(turned > 1.0, lowest[-1] if len(lowest) else 0.0, turned)


@dataclass(frozen=True)
class _Scaling:
    """Platt scaling of all problems: what becomes of log-odds s in columns of classes.

    Attributes
    ----------
    low, high : ndarray of shape (n_problems,)
        Log-odds beyond these count as these.
    share, intercept, slope : ndarray of shape (n_problems,)
    """

    low: Float64Array
    high: Float64Array
    share: Float64Array
    intercept: Float64Array
    slope: Float64Array

    def columns(self, part: ScoredPart) -> Iterator[Float64Array]:
        """Yield the scaled probabilities of one class after the other, (n_samples,)."""
        logits = part.scores.in_domain("logits")
        for at, rows in one_vs_rest(in_memory(logits, part.target, part.weight)):
            s = np.clip(rows.every(1).part.s, self.low[at], self.high[at])
            s = links.bounded_log_odds(s, self.share[at], np)
            yield from links.expit(self.intercept[at] + self.slope[at] * s, np).T


def _platt_scaling(rows: Rows, classes: LabelArray) -> _Scaling:
    platt = PlattCalibrator(input=rows.source).fit_member(rows, classes=classes)
    logits = rows.mapped(rescored, Scores.in_domain, "logits")
    ends = [(odds.low, odds.high) for _, odds in confined_problems(logits)]
    low, high = (np.concatenate(sides) for sides in zip(*ends, strict=True))
    return _Scaling(low, high, platt.input_smoothing_, platt.intercept_, platt.slope_)


def _bin_sums(part: ScoredPart, edges: Float64Array, plain: bool, scaling: _Scaling | None) -> Sums:
    """Return the weight of every bin and what it is to be shared out among, (n_problems, n_bins).

    That is the weight of the class, or of what Platt scaling makes of the probabilities.
    """
    weight, n_bins = part.weight, edges.shape[1] - 1
    scaled = None if scaling is None else scaling.columns(part)
    mass, sums = np.empty((2, len(edges), n_bins))
    for k, happens in enumerate(classes_against_rest(part)):
        p, _ = happens.columns(slice(None))
        # the same cells, the first faster
        cells = uniform_cells(p, n_bins) if plain else cells_between(p, edges[k])
        content = happens.target if scaled is None else next(scaled)
        mass[k] = np.bincount(cells, weight, minlength=n_bins)
        sums[k] = np.bincount(
            cells, content if weight is None else weight * content, minlength=n_bins
        )
    return mass, sums


def _reaches_least(rows: Rows) -> bool:
    """Return whether a class, or the rest of two, has a probability below `LEAST` in some row."""
    return bool(rows.reduce(_some_below_least, by=largest_entries)[0])


def _some_below_least(part: ScoredPart) -> Sums:
    scores = part.scores
    array = scores.array
    widest = np.ptp(array) if array.shape[1] > 1 else np.abs(array).max()
    if widest <= -scores.unit * np.log(2.0 * scores.n_classes * LEAST):
        return (False,)  # no row spreads as far
    return (
        any(
            (p < LEAST).any() or (scores.n_classes == 2 and (rest < LEAST).any())
            for p, rest in scores.pairs()
        ),
    )


def _first_is_rarer(rows: Rows) -> bool:
    """Return whether the first of two classes leads, so that their order leaves no trace."""
    (events,) = rows.reduce(_event_weight)
    share = events / rows.total
    if share != 0.5:
        return bool(share > 0.5)
    first, second = rows.reduce(_probability_sums)
    return bool(first < second)


def _event_weight(part: ScoredPart) -> Sums:
    target, weight = part.target, part.weight
    return (float((target if weight is None else target * weight).sum()),)


def _probability_sums(part: ScoredPart) -> Sums:
    """Return the sums of the probabilities of either class."""
    ((p, rest),) = part.scores.pairs()
    both = (rest, p) if part.weight is None else (rest * part.weight, p * part.weight)
    return float(both[0].sum()), float(both[1].sum())
