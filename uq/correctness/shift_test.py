"""Whether two samples come from one population, by how well a classifier tells them apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.stats import norm, rankdata

from calib._border.checks import check_fraction, check_integer, describe
from calib._border.labels import check_vector
from calib._border.limits import MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.warn import warn
from calib._documents.document import (
    Block,
    Cell,
    Column,
    Document,
    Fold,
    Group,
    Notes,
    Table,
    Verdict,
)
from calib._documents.documented import Documented
from calib.evaluation import Interval
from calib.warnings import DegenerateScoresWarning
from uq.correctness.shift_features import SampleFeatures, sample_features
from uq.warnings import SharedRowsWarning

#: Most folds out of which rows are scored.
FOLDS = 5
#: Ridge penalty as a multiple of the mean squared length of a row.
PENALTY = 10.0
#: Numbers in a block of permuted labels.
BLOCK = 1 << 24
#: Features that are listed.
LISTED = 10
SENTENCES = {
    "differ": "The samples differ: a classifier tells them apart with AUROC {area} "
    "({low} to {high}), p {p}{most}.",
    "alike": "No difference that these samples can show: AUROC {area} ({low} to {high}), p {p}.",
    "most": "; most by {name}, {direction}",
    "shared": "{in_a} rows of a and {in_b} of b are identical to a row of the other sample.",
}


class SeparatingFeature(NamedTuple):
    """A feature and how the samples differ in it.

    Attributes
    ----------
    name : str
        Column; with its level (``"city = Rome"``), its word, or ``"is missing"``.
    coefficient : float
        Of a linear score that tells b (larger) from a, given the other features, per standard
        deviation of the feature; all scaled so that their squares sum to 1.
    mean_a, mean_b : float
        Mean of the column, or share of the rows with that level or word.
    """

    name: str
    coefficient: float
    mean_a: float
    mean_b: float

    @property
    def direction(self) -> str:
        """Where the coefficient says that the feature is higher, given the others."""
        return "higher in b" if self.coefficient > 0 else "lower in b"


@dataclass(frozen=True, eq=False, repr=False)
class DistributionShift(Documented):
    """Result of `distribution_shift_test`; printing it shows the answer and what separates.

    Attributes
    ----------
    auroc : Interval
        Probability that a row of b gets a higher score than one of a from a classifier trained
        without both, ties counted half; 0.5 for one population.
    p_value : float in (0, 1]
        Of the hypothesis that both samples come from one population, by permutations.
    separating : tuple of SeparatingFeature
        All features, the largest coefficient first.
    n_a, n_b : int
        Rows.
    n_units_a, n_units_b : int
        Groups with rows in the sample; rows without `groups`.
    n_folds, n_permutations : int
        As used.
    shared_in_a, shared_in_b : int
        Rows that are identical to a row of the other sample.
    confidence_level : float in (0, 1)
        Of the interval; the test is made at one minus this level.
    """

    auroc: Interval
    p_value: float
    separating: tuple[SeparatingFeature, ...]
    n_a: int
    n_b: int
    n_units_a: int
    n_units_b: int
    n_folds: int
    n_permutations: int
    shared_in_a: int
    shared_in_b: int
    confidence_level: float

    @property
    def differs(self) -> bool:
        """Whether the hypothesis of one population is rejected at ``1 - confidence_level``."""
        return self.p_value <= 1 - self.confidence_level + 1e-12

    @property
    def answer(self) -> list[Verdict]:
        """Whether the samples differ, how much, and in what."""
        area = self.auroc
        parts = {
            "area": f"{area.value:.2f}",
            "low": f"{area.low:.2f}",
            "high": f"{area.high:.2f}",
            "p": f"= {self.p_value:.2g}",
            "most": "",
        }
        agreeing = [
            feature
            for feature in self.separating
            if (feature.mean_b - feature.mean_a) * feature.coefficient > 0
        ]
        if agreeing:
            name, direction = f"`{agreeing[0].name}`", agreeing[0].direction
            parts["most"] = SENTENCES["most"].format(name=name, direction=direction)
        case = "differ" if self.differs else "alike"
        verdicts = [Verdict(case, SENTENCES[case], parts)]
        if self.shared_in_a:
            counts = {"in_a": f"{self.shared_in_a:,}", "in_b": f"{self.shared_in_b:,}"}
            verdicts.append(Verdict("shared", SENTENCES["shared"], counts))
        return verdicts

    @property
    def heading(self) -> str:
        """What was compared, in one line."""
        units = ""
        if (self.n_units_a, self.n_units_b) != (self.n_a, self.n_b):
            units = f" in {self.n_units_a:,} and {self.n_units_b:,} groups"
        return (
            f"{self.n_a:,} rows of a and {self.n_b:,} of b{units}, "
            f"{len(self.separating):,} features; {self.n_permutations:,} permutations"
        )

    def document(self) -> Document:
        """Return the answer, the features that separate most, and how to read it."""
        columns = [
            Column("Feature", kind="text"),
            Column("Coefficient"),
            Column("In b", kind="text"),
            Column("Mean or share in a", short="in a"),
            Column("Mean or share in b", short="in b"),
        ]
        rows = [
            [
                Cell(feature.name),
                Cell(f"{feature.coefficient:+.2f}"),
                Cell(feature.direction.removesuffix(" in b")),
                Cell(f"{feature.mean_a:.4g}"),
                Cell(f"{feature.mean_b:.4g}"),
            ]
            for feature in self.separating[:LISTED]
        ]
        notes = [
            f"AUROC: probability that a row of b scores higher than one of a, from classifiers "
            f"trained on the other of {self.n_folds} folds; 0.5 is what one population shows. "
            f"{100 * self.confidence_level:g} % interval.",
            "The p-value compares how well features and a linear classifier fit the labels with "
            "permuted ones, so it holds at any number of rows. A large p-value is no proof of "
            "one population.",
            "Coefficients hold given the other features: of two that say the same, each gets a "
            "part, and a sign may differ from that of the means. The classifier sees shifts of "
            "order, level and word counts, not spreads or combinations of columns.",
        ]
        headline, *bullets = self.answer
        blocks: list[Block] = [
            *([Table(columns, [Group(rows)])] if rows else []),
            Fold("How to read this", [Notes(notes)]),
        ]
        return Document("Shift between two samples", self.heading, blocks, headline, bullets)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists and numbers, for JSON."""
        return {
            **{name: value for name, value in vars(self).items() if name != "separating"},
            "auroc": asdict(self.auroc),
            "differs": self.differs,
            "separating": [feature._asdict() for feature in self.separating],
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per feature, the largest coefficient first.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``feature``, ``coefficient``, ``direction``, ``mean_a``, ``mean_b``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="DistributionShift.to_frame")
        return pandas.DataFrame(
            {
                "feature": [feature.name for feature in self.separating],
                "coefficient": [feature.coefficient for feature in self.separating],
                "direction": [feature.direction for feature in self.separating],
                "mean_a": [feature.mean_a for feature in self.separating],
                "mean_b": [feature.mean_b for feature in self.separating],
            }
        )


def distribution_shift_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    texts: Sequence[str] = (),
    confidence_level: float = 0.95,
    n_permutations: int = 999,
    random_state: RandomState = None,
) -> DistributionShift:
    """Test whether two samples come from one population, and show what separates them.

    A classifier is trained to tell the samples apart. Use it before a calibration, a threshold or a
    study is carried over to other data, and as a control in studies of membership inference: where
    members and non-members differ without any model, a detector of members proves nothing.

    Parameters
    ----------
    a, b : array-like, table, mapping of columns, or sequence of str
        The samples, with the same columns: numbers (NaN is missing), categories (columns of
        texts), or one text per row, which is read as a bag of words.
    groups : tuple of two array-likes of shape (n_a,) and (n_b,), or None, default=None
        Unit of every row, such as its question or user. Rows of one unit stay in one fold and are
        permuted together; a unit with rows in both samples is permuted within itself.
    texts : sequence of str, default=()
        Columns of a table that are texts, not categories.
    confidence_level : float in (0, 1), default=0.95
        Of the interval; `differs` tests at one minus this level.
    n_permutations : int >= 19, default=999
        The smallest p-value is ``1 / (n_permutations + 1)``.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the folds and permutations.

    Returns
    -------
    result : DistributionShift

    Raises
    ------
    ValueError
        For fewer than two rows or units of a sample, columns that differ, infinite numbers, dates,
        a column of categories with nearly as many texts as rows, or an option out of range.
    TypeError
        For values that are neither numbers nor texts.

    Warns
    -----
    SharedRowsWarning
        If rows are in both samples, more often than rows repeat within a sample.
    DegenerateScoresWarning
        If every column is constant: the p-value is 1.

    See Also
    --------
    ood_report : How well a score of a model separates inputs of two kinds.

    Notes
    -----
    *Features.* Numbers become normal scores of their ranks, so that outliers and monotone
    transformations change nothing; categories become indicators of their 50 most frequent levels;
    texts become logarithms of the counts of their 2,000 most frequent words, scaled to one length,
    and their number of words.

    *p-value.* Scores out of folds depend on each other, because every row also trains the
    classifiers of the others, so a Mann-Whitney test of them does not keep its level. Here labels
    are permuted and the classifier, a ridge regression on the labels, is trained again: its
    prediction is linear in the labels, so a permutation costs one multiplication. Two measures are
    compared, the variance that it explains (a regularised Hotelling statistic [2]) and the largest
    correlation of a feature with the labels; the rarer counts, and its law comes from the same
    permutations. Neither needs folds, and both have more power than the out-of-fold AUROC. The
    level is exact at any size and dimension; ``docs/papers/shift_test.md`` lists the designs
    compared.

    *Interval.* Of the AUROC within folds, from the variance of its placements (by units), as a
    score interval, which stays in [0, 1].

    Only differences that a linear rule sees are found: of order, levels, words; not of spread. Pass
    squares or products as further columns where they matter. Weights are not offered. Cost:
    O(n_permutations n p) for n rows of p features.

    References
    ----------
    .. [1] D. Lopez-Paz, M. Oquab. Revisiting Classifier Two-Sample Tests. ICLR 2017.
       arXiv:1610.06545
    .. [2] Z. Harchaoui, F. Bach, E. Moulines. Testing for Homogeneity with Kernel Fisher
       Discriminant Analysis. NeurIPS 2007. arXiv:0804.1026
    .. [3] E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson. Comparing the Areas under Two or More
       Correlated Receiver Operating Characteristic Curves. Biometrics 44, 1988.
       doi:10.2307/2531595

    Examples
    --------
    >>> import numpy as np
    >>> from uq import distribution_shift_test
    >>> rng = np.random.default_rng(0)
    >>> old = {"age": rng.normal(40, 10, 200), "income": rng.lognormal(10, 1, 200)}
    >>> new = {"age": rng.normal(46, 10, 150), "income": rng.lognormal(10, 1, 150)}
    >>> result = distribution_shift_test(old, new, random_state=0)
    >>> print(result.headline.partition(";")[0])
    The samples differ: a classifier tells them apart with AUROC 0.68 (0.62 to 0.73), p = 0.001
    >>> feature = result.separating[0]
    >>> print(feature.name, feature.direction, f"{feature.mean_a:.1f} {feature.mean_b:.1f}")
    age higher in b 40.2 46.5
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_permutations", n_permutations, low=19, high=MOST_RESAMPLES)
    if isinstance(texts, str):
        raise ValueError(f"texts must be a sequence of column names; got {describe(texts)}")
    features, n_a = sample_features(a, b, list(texts))
    n_rows = len(features.row_codes)
    side = (np.arange(n_rows) >= n_a).astype(np.float64)
    units = _units(groups, n_a, n_rows - n_a)
    of_units = np.bincount(units, side), np.bincount(units, 1 - side)
    n_units_a, n_units_b = int((of_units[1] > 0).sum()), int((of_units[0] > 0).sum())
    for name, count in (("a", n_units_a), ("b", n_units_b)):
        if count < 2:
            what = "row" if groups is None else "group"
            raise ValueError(f"{name} has 1 {what}; two or more of each sample are needed")
    shared_in_a, shared_in_b = _shared(features.row_codes, n_a)
    if not features.names:
        warn(
            "every column is constant over both samples, so nothing can tell them apart",
            DegenerateScoresWarning,
        )
    rng = generator(random_state)
    n_folds = min(FOLDS, n_units_a, n_units_b)
    folds = _dealt(units, side, n_folds, rng)
    return DistributionShift(
        auroc=_area(features.matrix, side, units, folds, n_folds, confidence_level),
        p_value=_p_value(*_of_units(features.matrix, side, units), n_permutations, rng),
        separating=_separating(features, side),
        n_a=n_a,
        n_b=n_rows - n_a,
        n_units_a=n_units_a,
        n_units_b=n_units_b,
        n_folds=n_folds,
        n_permutations=n_permutations,
        shared_in_a=shared_in_a,
        shared_in_b=shared_in_b,
        confidence_level=confidence_level,
    )


# ----------------------------------------------------------------------------------------- parts


def _units(groups: Any, n_a: int, n_b: int) -> IntArray:
    """Return the number of the unit of every row."""
    if groups is None:
        return np.arange(n_a + n_b)
    if not isinstance(groups, (tuple, list)) or len(groups) != 2:
        raise ValueError(
            "groups must be a pair (groups of a, groups of b), one entry per row of each"
        )
    values = []
    for given, name, length in zip(groups, ("a", "b"), (n_a, n_b), strict=True):
        array = check_vector(given, f"groups of {name}")
        if len(array) != length:
            raise ValueError(f"groups of {name} has {len(array)} entries for {length} rows of it")
        values.append(array.astype(object))
    try:
        return np.unique(np.concatenate(values), return_inverse=True)[1].astype(np.intp)
    except TypeError as error:
        raise ValueError(f"groups mixes values that cannot be sorted ({error})") from error


def _shared(codes: IntArray, n_a: int) -> tuple[int, int]:
    """Return how many rows of each sample are also in the other, and warn if that is no chance."""
    in_a = np.bincount(codes[:n_a], minlength=codes.max() + 1).astype(np.float64)
    in_b = np.bincount(codes[n_a:], minlength=codes.max() + 1).astype(np.float64)
    shared = int(in_a[in_b > 0].sum()), int(in_b[in_a > 0].sum())
    n_b = len(codes) - n_a
    across = (in_a * in_b).sum() / (n_a * n_b)
    pairs = n_a * (n_a - 1) + n_b * (n_b - 1)
    within = ((in_a * (in_a - 1)).sum() + (in_b * (in_b - 1)).sum()) / max(pairs, 1)
    if across > 2 * within:
        warn(
            f"{shared[0]:,} rows of a and {shared[1]:,} of b are identical to a row of the other "
            f"sample, more than rows repeat within a sample: the samples overlap, which hides "
            f"differences. Leave such rows out of one of them",
            SharedRowsWarning,
        )
    return shared


def _dealt(units: IntArray, side: Float64Array, n_folds: int, rng: np.random.Generator) -> IntArray:
    """Return the fold of every row: units of a, of b and of both are dealt out in turn."""
    kind = (np.bincount(units, side) > 0) + 2 * (np.bincount(units, 1 - side) > 0)
    order = rng.permutation(len(kind))
    order = order[np.argsort(kind[order], kind="stable")]
    fold = np.empty(len(kind), dtype=np.intp)
    fold[order] = np.arange(len(kind)) % n_folds
    return fold[units]


def _of_units(
    matrix: Any, side: Float64Array, units: IntArray
) -> tuple[Any, Float64Array, IntArray]:
    """Return one row, its mean, for every unit of one sample; rows of units of both stay.

    A unit counts once however many rows it has: sizes that differ between the samples would
    otherwise change how much of either sample a permutation holds.
    """
    size, ones = np.bincount(units), np.bincount(units, side)
    mixed = (ones > 0) & (ones < size)
    rows = np.arange(len(units))
    _, first, cell = np.unique(
        np.where(mixed[units], len(size) + rows, units), return_index=True, return_inverse=True
    )
    if len(first) == len(units):
        return matrix, side, units
    share = 1.0 / np.bincount(cell)[cell]
    average = csr_matrix((share, (cell, rows)), shape=(len(first), len(units)))
    return average @ matrix, side[first], units[first]


class _Ridge:
    """Ridge regression on centred labels; solved in the smaller of rows and features."""

    def __init__(self, matrix: Any, penalty: float) -> None:
        n_rows, n_features = matrix.shape
        self.matrix, self.penalty, self.primal = matrix, penalty, n_features <= n_rows
        if self.primal:
            mean = np.ravel(matrix.mean(axis=0))
            gram = _dense(matrix.T @ matrix) - n_rows * np.outer(mean, mean)
        else:
            gram = _dense(matrix @ matrix.T)
            gram = gram - gram.mean(axis=0)
            gram = gram - gram.mean(axis=1, keepdims=True)
        gram[np.diag_indices_from(gram)] += penalty
        self.factor = cho_factor(gram)

    def weights(self, labels: Float64Array) -> Float64Array:
        """Return the weight of every feature."""
        centred = labels - labels.mean()
        if self.primal:
            return np.asarray(cho_solve(self.factor, self.matrix.T @ centred))
        dual = cho_solve(self.factor, centred)
        return np.asarray(self.matrix.T @ (dual - dual.mean()))

    def differences(self, labels: Float64Array, deviation: Float64Array) -> Float64Array:
        """Return explained variance and largest correlation, shape (2, n_columns of labels)."""
        centred = labels - labels.mean(axis=0)
        moments = self.matrix.T @ centred
        if self.primal:
            explained = (moments * cho_solve(self.factor, moments)).sum(axis=0)
        else:
            dual = cho_solve(self.factor, centred)
            explained = (centred * (centred - self.penalty * dual)).sum(axis=0)
        return np.stack([explained, np.abs(moments / deviation[:, None]).max(axis=0)])


def _deviation(matrix: Any) -> Float64Array:
    """Return the standard deviation of every feature."""
    square = matrix.multiply(matrix) if hasattr(matrix, "toarray") else matrix * matrix
    mean = np.ravel(matrix.mean(axis=0))
    return np.asarray(np.sqrt(np.maximum(np.ravel(square.mean(axis=0)) - mean**2, 1e-300)))


def _dense(matrix: Any) -> Float64Array:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _penalty(matrix: Any) -> float:
    """Return the penalty, which depends on the features alone: labels may be permuted."""
    return PENALTY * float((_deviation(matrix) ** 2).sum())


def _p_value(
    matrix: Any, side: Float64Array, units: IntArray, n_permutations: int, rng: np.random.Generator
) -> float:
    """Return the share of permutations, the identity among them, that differ as much.

    Of two measures, one that adds up small differences and one that sees a single large one, the
    rarer counts; how rare that is, the permutations say too.
    """
    if not matrix.shape[1]:
        return 1.0
    ridge, deviation = _Ridge(matrix, _penalty(matrix)), _deviation(matrix)
    permute = _permuter(side, units, rng)
    measures = [ridge.differences(side[:, None], deviation)]
    step = max(1, BLOCK // max(matrix.shape))
    for start in range(0, n_permutations, step):
        labels = permute(min(step, n_permutations - start))
        measures.append(ridge.differences(labels, deviation))
    table = np.concatenate(measures, axis=1)
    table = np.round(table / np.maximum(table[:, :1], 1e-300), 9)  # equal but for rounding
    rarest = rankdata(-table, method="max", axis=1).min(axis=0)
    return float((rarest <= rarest[0]).mean())


def _permuter(
    side: Float64Array, units: IntArray, rng: np.random.Generator
) -> Callable[[int], Float64Array]:
    """Return a function that draws permuted labels, shape (n_rows, n_draws).

    Units of one sample exchange their labels, units of both do so among their own rows.
    """
    size, ones = np.bincount(units), np.bincount(units, side)
    mixed = (ones > 0) & (ones < size)
    pure = np.flatnonzero(~mixed)
    rows = np.flatnonzero(mixed[units])
    rows = rows[np.argsort(units[rows], kind="stable")]

    def permute(n_draws: int) -> Float64Array:
        of_unit = np.zeros((len(size), n_draws))
        labels = (ones[pure] > 0).astype(np.float64)
        of_unit[pure] = rng.permuted(np.repeat(labels[:, None], n_draws, axis=1), axis=0)
        out = of_unit[units]
        if len(rows):
            order = np.argsort(units[rows][:, None] + rng.random((len(rows), n_draws)), axis=0)
            out[rows] = side[rows][order]
        return out

    return permute


def _area(
    matrix: Any,
    side: Float64Array,
    units: IntArray,
    folds: IntArray,
    n_folds: int,
    confidence_level: float,
) -> Interval:
    """Return the AUROC of pairs of one fold, with a score interval of its variance by units."""
    placement, pairs, wins = np.zeros(len(side)), 0.0, 0.0
    weight = np.zeros(len(side))
    for fold in range(n_folds if matrix.shape[1] else 0):
        held, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        labels = side[held]
        n_b = labels.sum()
        n_a = len(labels) - n_b
        if not n_a or not n_b or side[train].min() == side[train].max():
            continue
        part = matrix[train]
        weights = _Ridge(part, max(_penalty(part), 1e-12)).weights(side[train])
        scores = np.ravel(matrix[held] @ weights)
        ranks, below = rankdata(scores), np.empty(len(held))
        for label in (0.0, 1.0):
            own = labels == label
            below[own] = ranks[own] - rankdata(scores[own])  # of the other sample
        placement[held] = np.where(labels == 1, below / n_a, 1 - below / n_b)
        weight[held] = np.where(labels == 1, n_a, n_b)
        pairs += n_a * n_b
        wins += below[labels == 1].sum()
    if not pairs:
        return _interval(0.5, 0.25, 1.0, confidence_level)
    area = wins / pairs
    influence = np.bincount(units, weight * (placement - area) / pairs)
    smaller = min(len(np.unique(units[side == label])) for label in (0, 1))
    return _interval(area, float((influence**2).sum()), float(smaller), confidence_level)


def _interval(area: float, variance: float, least: float, confidence_level: float) -> Interval:
    """Return Wilson's interval at the number of draws that has this variance."""
    spread = area * (1 - area)
    size = spread / variance if min(spread, variance) > 0 else least
    z = float(norm.ppf(0.5 + confidence_level / 2))
    centre = (area + z * z / (2 * size)) / (1 + z * z / size)
    half = z * math.sqrt(spread / size + (z / (2 * size)) ** 2) / (1 + z * z / size)
    deviation = math.sqrt(variance)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval(area, low, high, confidence_level, area, area, deviation, 0)


def _separating(features: SampleFeatures, side: Float64Array) -> tuple[SeparatingFeature, ...]:
    """Return all features by the size of their coefficients in a fit to all rows."""
    matrix = features.matrix
    if not features.names:
        return ()
    weights = _Ridge(matrix, _penalty(matrix)).weights(side)
    effect = weights * _deviation(matrix)
    effect /= max(float(np.sqrt((effect**2).sum())), 1e-300)
    means = []
    for label in (0.0, 1.0):
        rows = features.values[np.flatnonzero(side == label)]
        if hasattr(rows, "toarray"):
            means.append(np.ravel(rows.mean(axis=0)))
        else:
            known = np.isfinite(rows)
            total = np.where(known, rows, 0.0).sum(axis=0)
            count = known.sum(axis=0)
            means.append(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
    order = np.argsort(-np.abs(effect), kind="stable")
    return tuple(
        SeparatingFeature(
            features.names[place],
            float(effect[place]),
            float(means[0][place]),
            float(means[1][place]),
        )
        for place in order
    )
