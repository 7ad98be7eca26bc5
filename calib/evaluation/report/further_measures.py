"""Measures that a report takes on request, recomputed on every replicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from calib._border.checks import describe
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.words import did_you_mean
from calib._core import binning
from calib._core.binning import BinTable
from calib.evaluation.binned.sweep import swept_error
from calib.evaluation.report.measures import (
    MeasureInfo,
    Prepared,
    Replicates,
    bin_cells,
    describe_measures,
    kind_of_bins,
    label_redraws,
)
from calib.evaluation.sampling.draws import draw_labels, unit_counts
from calib.evaluation.sampling.intervals import GapLaw, peak_law, smooth_gaps
from calib.evaluation.unbinned.cumulative import excursion
from calib.evaluation.unbinned.density import triweight_error
from calib.evaluation.unbinned.kernel import mean_error
from calib.evaluation.unbinned.loess import mean_curve_gap
from calib.evaluation.unbinned.smooth import smooth_error
from calib.evaluation.views.distinct import OrderedScores, ScoreMeasure

MeasureChoice: TypeAlias = Literal["core", "all"] | Sequence[str]

#: Cells of equal mass, and bins of such cells, for the law of the Kolmogorov-Smirnov error.
PATH_CELLS, PATH_BINS = 450, 15
_WALKED = "ks_calibration_error"
#: Labels that are drawn at once.
BLOCK_LABELS = 1 << 20


class Further(NamedTuple):
    """How a further measure is computed, of distinct scores or of bins, and what it is called."""

    title: str
    short: str
    of_scores: ScoreMeasure | None = None
    of_bins: Callable[[BinTable], Float64Array] = BinTable.error
    classwise: bool = False


#: By name, in reading order.
FURTHER = {
    "smooth_calibration_error": Further(
        "Smooth calibration error (smECE)", "smooth ECE", smooth_error
    ),
    "ks_calibration_error": Further(
        "Kolmogorov-Smirnov calibration error (KS, ECCE)", "KS error", excursion
    ),
    "sweep_calibration_error": Further(
        "Calibration error with a swept number of bins (ECE-sweep)", "ECE-sweep", swept_error
    ),
    "density_calibration_error": Further(
        "Calibration error of kernel densities (KDE-ECE)", "KDE-ECE", triweight_error
    ),
    "maximum_mean_calibration_error": Further(
        "Maximum mean calibration error (MMCE)", "MMCE", mean_error
    ),
    "integrated_calibration_index": Further(
        "Integrated calibration index (ICI)", "ICI", mean_curve_gap
    ),
    "maximum_calibration_error": Further(
        "Maximum calibration error (MCE)", "MCE", None, BinTable.largest_gap
    ),
    "average_calibration_error": Further(
        "Average calibration error, bins alike", "average error", None, BinTable.mean_gap
    ),
    "classwise_calibration_error": Further(
        "Class-wise ECE", "class-wise ECE", None, BinTable.error, classwise=True
    ),
    "classwise_ks_calibration_error": Further(
        "Class-wise Kolmogorov-Smirnov error", "class-wise KS error", excursion, classwise=True
    ),
}
CORE = tuple(describe_measures(1, "binary", None))


def chosen(measures: MeasureChoice) -> tuple[str, ...]:
    """Return the names of the further measures that were asked for, in reading order.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if isinstance(measures, str) and measures in ("core", "all"):
        return () if measures == "core" else tuple(FURTHER)
    known = f"known are {', '.join((*CORE, *FURTHER))}"
    if isinstance(measures, str) or not isinstance(measures, Sequence):
        raise ValueError(
            f"measures must be 'core', 'all' or a list of names; got {describe(measures)}; {known}"
            f"{did_you_mean(measures, ('core', 'all'))}"
        )
    for name in measures:
        if name not in CORE and name not in FURTHER:
            hint = did_you_mean(name, (*CORE, *FURTHER))
            raise ValueError(f"measures holds the unknown name {describe(name)}; {known}{hint}")
    return tuple(name for name in FURTHER if name in measures)


def information(
    names: Sequence[str], n_bins: int, own_bins: bool = False
) -> dict[str, MeasureInfo]:
    """Return what a reader has to know about further measures."""
    found = {}
    for name in names:
        measure = FURTHER[name]
        bins = f", {n_bins} {kind_of_bins(own_bins)}" if measure.of_scores is None else ""
        found[name] = MeasureInfo(measure.title + bins, "lower", (0.0, 1.0), True)
    return found


def add_further(
    core: Mapping[str, Replicates],
    models: Mapping[str, Prepared],
    names: Sequence[str],
    weight: Float64Array | None,
    groups: IntArray | None,
    rng: np.random.Generator,
) -> dict[str, Replicates]:
    """Append the further measures to the replicates of the core ones.

    Every replicate has its own draw of rows and its own redrawn labels, the same for all models and
    all further measures. Cost: two evaluations of every measure per model and replicate.
    """
    if not names:
        return dict(core)
    n_resamples = len(next(iter(core.values())).bootstrap)
    n_samples = len(next(iter(models.values())).codes)
    further = {
        name: _FurtherValues(model, names, weight, n_resamples) for name, model in models.items()
    }
    row_rng, uniform_rng = rng.spawn(2)
    redraws = label_redraws(models, weight, groups, n_resamples, uniform_rng)
    step = max(1, BLOCK_LABELS // n_samples)
    for start in range(0, n_resamples, step):
        rows = slice(start, min(start + step, n_resamples))
        n_units = n_samples if groups is None else int(groups.max()) + 1
        counts = unit_counts(n_units, rows.stop - rows.start, row_rng)
        counts = counts if groups is None else counts[:, groups]
        noise = redraws.noise(len(counts), n_samples, uniform_rng)
        for name, model in models.items():
            codes = draw_labels(
                model.columns.astype(np.float64), redraws.numbers(name, noise, replicates=rows)
            )
            further[name].add(rows, counts, codes)
    return {name: further[name].appended_to(core[name]) for name in models}


class _FurtherValues:
    """The further measures of one model: of the sample, of its draws and under calibration."""

    def __init__(
        self, model: Prepared, names: Sequence[str], weight: Float64Array | None, n_resamples: int
    ) -> None:
        self.model, self.weight, self.names = model, weight, names
        self.scores = _BinnedScores(np.clip(model.prediction, 0.0, 1.0), model)
        self.path = _Path(self.scores.prediction, weight, n_resamples) if _WALKED in names else None
        self.value = self._values(model.codes, weight)
        self.bootstrap, self.calibrated = np.empty((2, n_resamples, len(names)))

    def add(self, rows: slice, counts: IntArray, codes: IntArray) -> None:
        """Add replicates: draws and redrawn labels, both of shape (n_rows, n_samples)."""
        weight, own = self.weight, self.model.codes
        self.bootstrap[rows] = [self._values(own, weight, times) for times in counts]
        self.calibrated[rows] = self._values(codes, weight)
        if self.path is not None:
            events = self.model.events(codes)
            self.path.resampled[rows] = [
                self.path.gaps(self.model.event, times if weight is None else times * weight)
                for times in counts
            ]
            self.path.calibrated[rows] = [self.path.gaps(event, weight) for event in events]

    def appended_to(self, core: Replicates) -> Replicates:
        """Return the replicates of all measures."""
        path = None
        if self.path is not None:
            path = self.path.law(self.path.gaps(self.model.event, self.weight))
        return core._replace(
            value=np.concatenate([core.value, self.value]),
            bootstrap=np.hstack([core.bootstrap, self.bootstrap]),
            calibrated=np.hstack([core.calibrated, self.calibrated]),
            laws=(*core.laws, *(path if name == _WALKED else None for name in self.names)),
        )

    def _values(
        self, codes: IntArray, weight: Float64Array | None, counts: IntArray | None = None
    ) -> Float64Array:
        """Return all measures, (..., n_measures), for codes of shape (..., n_samples)."""
        measures = [FURTHER[name] for name in self.names]
        single = [measure for measure in measures if not measure.classwise]
        classwise = [measure for measure in measures if measure.classwise]  # last in reading order
        values = self.scores.values(single, self.model.events(codes), weight, counts)
        columns = self.model.columns.T if classwise else ()
        by_class = [
            _BinnedScores(column.astype(np.float64), self.model).values(
                classwise, codes == k, weight, counts
            )
            for k, column in enumerate(columns)
        ]
        values += [np.mean(of_classes, axis=0) for of_classes in zip(*by_class, strict=True)]
        return np.stack(values, axis=-1)


class _BinnedScores:
    """One prediction per sample, sorted and binned once."""

    def __init__(self, prediction: Float64Array, model: Prepared) -> None:
        self.prediction, self.ordered = prediction, OrderedScores(prediction)
        self.edges = model.edges
        self.cells = bin_cells(prediction, model.n_bins, model.own_edges)

    def values(
        self,
        measures: Sequence[Further],
        event: LabelArray,
        weight: Float64Array | None,
        counts: IntArray | None,
    ) -> list[Float64Array]:
        """Return every measure of every vector of events."""
        scores = self.ordered.distinct(event, weight, counts)
        w = np.ones(len(self.cells)) if weight is None else weight
        table = self._table(event, w if counts is None else counts * w)
        values = [
            measure.of_bins(table) if measure.of_scores is None else measure.of_scores(scores)
            for measure in measures
        ]
        return [np.reshape(value, event.shape[:-1]) for value in values]

    def _table(self, event: LabelArray, w: Float64Array) -> BinTable:
        """Return one table per vector of events, of weights `w`."""
        mass, prob, *label = (
            np.bincount(self.cells, values, len(self.edges) - 1)
            for values in (w, w * self.prediction, *np.atleast_2d(w * event))
        )
        shape = (len(label), len(mass))
        return BinTable(
            self.edges[None, :],
            np.broadcast_to(mass, shape),
            np.broadcast_to(prob, shape),
            np.array(label),
        )


class _Path:
    """The gaps whose partial sums make the Kolmogorov-Smirnov error, in cells of equal mass."""

    def __init__(
        self, prediction: Float64Array, weight: Float64Array | None, n_resamples: int
    ) -> None:
        self.prediction = prediction
        edges = binning.quantile_edges(prediction, PATH_CELLS, weight)
        self.cells = binning.cells_between(prediction, edges)
        mass = np.bincount(self.cells, weight, minlength=PATH_CELLS)
        self.share = mass / mass.sum()
        self.resampled, self.calibrated = np.empty((2, n_resamples, PATH_CELLS))

    def gaps(self, event: LabelArray, weight: Float64Array | None) -> Float64Array:
        """Return sums of predictions minus events by cell."""
        residual = self.prediction - event
        total = float(len(residual))
        if weight is not None:
            residual, total = residual * weight, float(weight.sum())
        return np.bincount(self.cells, residual, minlength=PATH_CELLS) / total

    def law(self, observed: Float64Array) -> GapLaw:
        coarse = (PATH_BINS, PATH_CELLS // PATH_BINS)
        mass = self.share.reshape(coarse).sum(axis=1)
        gap = np.zeros(PATH_BINS)
        np.divide(observed.reshape(coarse).sum(axis=1), mass, out=gap, where=mass > 0)
        smooth = self.share * np.repeat(smooth_gaps(gap, mass), coarse[1])
        return peak_law(smooth, self.calibrated, self.resampled - observed)
