"""Sets and p-values out of calibration scores: by category, fold and weight, whatever the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.random import generator
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from uq.conformal.categories import CategoryTable, cells, known_categories
from uq.conformal.nonconformity import NewScores
from uq.conformal.quantiles import conformal_rank, report_small, samples_needed
from uq.warnings import EffectiveSampleSizeWarning, PooledCategoryWarning

SmallPolicy: TypeAlias = Literal["infinite", "raise"]
#: Below this effective sample size the coverage of one calibration set may be far off.
FEW_EFFECTIVE_SAMPLES = 30


#: Share of the calibration samples that form the clusters and then calibrate nothing.
CLUSTERING_SHARE = 0.3
#: Quantiles of a class's scores by which classes are compared.
QUANTILES = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
#: A class with fewer clustering samples than this has no usable quantiles.
FEWEST = 10
#: Classes per cluster that are aimed at.
CLASSES_PER_CLUSTER = 4


def cluster_labels(
    scores: Float64Array, codes: IntArray, n_classes: int, rng: np.random.Generator
) -> tuple[IntArray, LabelArray, int]:
    """Group the classes by k-means on quantiles of their scores.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Nonconformity of the true classes.
    codes : ndarray of shape (n_samples,)
        True classes.
    n_classes : int
        Number of classes.
    rng : Generator
        Draws the samples that form the clusters.

    Returns
    -------
    cluster : ndarray of shape (n_classes,)
        Cluster of each class; `n_clusters` means too rare to be placed.
    kept : ndarray of bool of shape (n_samples,)
        Samples that did not take part and may calibrate.
    n_clusters : int

    Notes
    -----
    Because the clusters depend on other samples than those that calibrate, coverage holds inside
    each cluster; inside a class it holds as far as the scores of its cluster are alike.
    """
    kept = rng.random(len(scores)) >= CLUSTERING_SHARE
    used = ~kept
    counts = np.bincount(codes[used], minlength=n_classes)
    common = np.flatnonzero(counts >= FEWEST)
    n_clusters = max(1, len(common) // CLASSES_PER_CLUSTER)
    cluster = np.full(n_classes, n_clusters, dtype=np.intp)
    if len(common):
        profile = np.array([np.quantile(scores[used & (codes == k)], QUANTILES) for k in common])
        from sklearn.cluster import KMeans  # slow to load

        means = KMeans(n_clusters, n_init=10, random_state=int(rng.integers(2**31 - 1)))
        cluster[common] = means.fit_predict(profile, sample_weight=np.sqrt(counts[common]))
    return cluster, kept, n_clusters


@dataclass(frozen=True)
class CalibratedScores:
    """Calibration scores ready to answer.

    Attributes
    ----------
    table : CategoryTable
        One category per (category of rows, label category), and a last one without samples.
    pool : CategoryTable
        All samples as one category.
    pooled : ndarray of shape (n_categories,)
        Categories that use `pool`.
    pool_unknown : bool
        Whether categories of rows unseen at calibration do.
    row_categories : ndarray of shape (n_row_categories,) or None
        Categories of the rows, sorted.
    labels : ndarray of shape (n_label_categories,) or None
        Names of the label categories.
    label_codes : ndarray of shape (n_classes,) or None
        Label category of each class.
    small : {"infinite", "raise"}
        What happens where a category has too few samples for the level.
    """

    table: CategoryTable
    pool: CategoryTable
    pooled: LabelArray
    pool_unknown: bool
    row_categories: LabelArray | None
    labels: LabelArray | None
    label_codes: IntArray | None
    small: SmallPolicy

    @classmethod
    def build(
        cls,
        params: dict[str, Any],
        classes: LabelArray,
        scores: Float64Array,
        codes: IntArray,
        *,
        fold: IntArray,
        n_folds: int,
        names: LabelArray | None,
        weight: Float64Array | None,
        seed: int,
    ) -> CalibratedScores:
        """Sort the scores of calibration samples with classes `codes` and categories `names`."""
        label_codes = labels = row_categories = None
        kept = np.ones(len(codes), dtype=bool)
        if params["mondrian"] == "label":
            label_codes, labels = np.arange(len(classes)), classes
        elif params["mondrian"] == "cluster":
            label_codes, kept, n_clusters = cluster_labels(
                scores, codes, len(classes), generator(seed + 2)
            )
            labels = np.array([f"cluster {code}" for code in range(n_clusters)] + ["too rare"])
        scores, codes, fold = scores[kept], codes[kept], fold[kept]
        weight = None if weight is None else weight[kept]
        n_labels = 1 if labels is None else len(labels)
        n_categories = n_labels
        category = np.zeros(len(scores), dtype=np.intp)
        if label_codes is not None:
            category += label_codes[codes]
        if names is not None:
            row_categories, row_codes = known_categories(names[kept], "categories")
            category += row_codes * n_labels
            n_categories *= len(row_categories)
        table = CategoryTable.build(
            scores, category, n_categories + 1, fold=fold, n_folds=n_folds, weight=weight
        )
        everything = np.zeros(len(scores), dtype=np.intp)
        pool = CategoryTable.build(scores, everything, 1, fold=fold, n_folds=n_folds, weight=weight)
        fewest, small = params["pool_below"], params["small"]
        pooled = table.counts[:-1] < fewest
        built = cls(table, pool, pooled, fewest > 0, row_categories, labels, label_codes, small)
        if pooled.any():
            built.warn_pooled(np.flatnonzero(pooled))
        if params["mondrian"] == "cluster":
            pooled[n_labels - 1 :: n_labels] = True
        return built

    # ------------------------------------------------------------------ answers

    def sets(
        self,
        new: NewScores,
        row_codes: IntArray | None,
        ratio: Float64Array | None,
        levels: list[float],
    ) -> LabelArray:
        """Return prediction sets, shape (n_samples, n_classes, n_levels)."""
        for level in levels:
            self._report(row_codes, ratio, level)
        out = np.empty((*new.shape, len(levels)), dtype=bool)
        one_fold = self.table.n_folds == 1
        grid = self._limits(levels) if one_fold and ratio is None else None
        for rows in new.blocks():
            codes, ratios = _at(row_codes, rows), _at(ratio, rows)
            if grid is not None:
                limits = grid[:1] if codes is None else grid[codes]
                new.within(rows, limits, out[rows])
            elif one_fold:
                limits = self._weighted_limits(codes, ratios, new.shape[1], levels)
                new.within(rows, limits, out[rows])
            else:
                self._fill(
                    out[rows], self._below(new.folds(rows), codes, "left"), codes, ratios, levels
                )
        return out

    def p_values(
        self,
        new: NewScores,
        row_codes: IntArray | None,
        ratio: Float64Array | None,
        shares: Float64Array | None,
    ) -> Float64Array:
        """Return p-values, shape (n_samples, n_classes); smoothed where `shares` is given."""
        out = np.empty(new.shape)
        for block in new.blocks():
            codes, ratios, taus = (_at(x, block) for x in (row_codes, ratio, shares))
            folds = list(new.folds(block))
            below = self._below(folds, codes, "left")
            upper = None if taus is None else self._below(folds, codes, "right")
            for rows, index, category in self._cells(codes):
                table, row = self._route(category)
                out[block][index] = table.p_value(
                    row,
                    below[index],
                    None if upper is None else upper[index],
                    1.0 if ratios is None else ratios[rows][:, None],
                    1.0 if taus is None else taus[rows][:, None],
                )
        return out

    # ------------------------------------------------------------------ private parts

    def _cells(self, row_codes: IntArray | None) -> Iterator[tuple[Any, Any, int]]:
        n_labels = 1 if self.labels is None else len(self.labels)
        return cells(row_codes, self.label_codes, n_labels)

    def _route(self, category: int) -> tuple[CategoryTable, int]:
        if category < 0:
            return (self.pool, 0) if self.pool_unknown else (self.table, len(self.pooled))
        return (self.pool, 0) if self.pooled[category] else (self.table, category)

    def _limits(self, levels: list[float]) -> Float64Array:
        """Return what scores may reach without weights, by category of rows and by class.

        Shape (1 + n_row_categories, n_classes or 1, n_levels); last come rows of no known category.
        """
        routes = [self._route(category) for category in (*range(len(self.pooled)), -1)]
        flat = np.array(
            [[table.threshold(row, level, None) for level in levels] for table, row in routes]
        )
        n_labels = 1 if self.labels is None else len(self.labels)
        known = flat[:-1].reshape(-1, n_labels, len(levels))
        if self.label_codes is not None:
            known = known[:, self.label_codes]
        unknown = np.broadcast_to(flat[-1], (1, *known.shape[1:]))
        return np.concatenate([known, unknown])

    def _weighted_limits(
        self,
        row_codes: IntArray | None,
        ratio: Float64Array,
        n_classes: int,
        levels: list[float],
    ) -> Float64Array:
        """Return what the scores of each row may reach, shape (n_rows, n_classes, n_levels)."""
        out = np.empty((len(ratio), 1 if self.label_codes is None else n_classes, len(levels)))
        for rows, index, category in self._cells(row_codes):
            table, row = self._route(category)
            for position, level in enumerate(levels):
                limit = table.threshold(row, level, ratio[rows])
                out[(*index, position)] = limit[:, None]
        return out

    def _fill(
        self,
        out: LabelArray,
        below: Float64Array,
        row_codes: IntArray | None,
        ratio: Float64Array | None,
        levels: list[float],
    ) -> None:
        """Write the sets of a block of rows from the weight below their scores in all folds."""
        for rows, index, category in self._cells(row_codes):
            table, row = self._route(category)
            column = None if ratio is None else ratio[rows][:, None]
            for position, level in enumerate(levels):
                out[(*index, position)] = table.within(row, level, below[index], column)

    def _below(
        self,
        score_folds: Iterable[Float64Array],
        row_codes: IntArray | None,
        side: Literal["left", "right"],
    ) -> Float64Array:
        out: Float64Array | None = None
        for fold, scores in enumerate(score_folds):
            out = np.zeros_like(scores) if out is None else out
            for _, index, category in self._cells(row_codes):
                table, row = self._route(category)
                out[index] += table.below(row, fold, scores[index], side)
        if out is None:
            raise ValueError("there is no fold of scores")
        return out

    def _is_small(self, table: CategoryTable, row: int, level: float) -> bool:
        n_samples = int(table.counts[row])
        return conformal_rank(n_samples, level) > n_samples

    def _name(self, category: int) -> str:
        if category < 0:
            return "a category unseen at fit"
        n_labels = 1 if self.labels is None else len(self.labels)
        words = []
        if self.row_categories is not None:
            words.append(f"category {self.row_categories[category // n_labels]!s}")
        if self.labels is not None:
            words.append(f"label {self.labels[category % n_labels]!s}")
        count = self.table.counts[category]
        return f"{', '.join(words) or 'all samples'} ({count} calibration samples)"

    def names_of(self, categories: Iterable[int]) -> str:
        """Describe categories in an error text."""
        names = [self._name(int(category)) for category in categories]
        more = f"; and {len(names) - 4} more" if len(names) > 4 else ""
        return "; ".join(names[:4]) + more

    def warn_pooled(self, categories: Iterable[int]) -> None:
        """Warn that some categories borrow the scores of all."""
        warn(
            f"pool_below: {self.names_of(categories)} use the scores of all samples, so coverage "
            f"inside them is not guaranteed",
            PooledCategoryWarning,
        )

    def _report(self, row_codes: IntArray | None, ratio: Float64Array | None, level: float) -> None:
        """Say where calibration samples do not suffice for these rows."""
        hopeless: list[int] = []
        outweighed = 0
        for rows, _, category in self._cells(row_codes):
            table, row = self._route(category)
            if self._is_small(table, row, level):
                hopeless.append(category)
            elif ratio is not None:
                ruled = ratio[rows] > (1 - level) * (table.totals[row] + ratio[rows])
                outweighed = max(outweighed, int(ruled.sum()))
        if hopeless:
            self._report_small(hopeless, level)
        self._report_weights(level, outweighed)

    def _report_small(self, categories: list[int], level: float) -> None:
        text = (
            f"confidence_level={level:g} needs {samples_needed(level)} calibration samples per "
            f"category; too few: {self.names_of(dict.fromkeys(categories))}"
        )
        advice = "Lower the level, add samples or pass small='infinite'"
        report_small(
            text, self.small, advice, ". Their labels are in every set, which keeps the coverage"
        )

    def _report_weights(self, level: float, outweighed: int) -> None:
        if self.table.prefix is None:
            return
        if outweighed:
            warn(
                f"{outweighed} test samples have a likelihood ratio above {1 - level:.3g} of the "
                f"whole weight; their sets hold every class, which keeps the coverage",
                EffectiveSampleSizeWarning,
            )
        needed = max(FEW_EFFECTIVE_SAMPLES, 1 / (1 - level))
        poor, sizes = [], []
        for category in range(len(self.pooled)):
            table, row = self._route(category)
            size = float(table.effective[row])
            if size < min(needed, table.counts[row] / 2):
                poor.append(category)
                sizes.append(size)
        if poor:
            warn(
                f"likelihood ratios leave an effective sample size of {min(sizes):.3g} "
                f"({self.names_of(poor)}); sets at confidence_level={level:g} rest on few samples",
                EffectiveSampleSizeWarning,
            )


def _at(values: Any, rows: slice) -> Any:
    return None if values is None else values[rows]
