"""Measures that a report takes on request, recomputed on every replicate."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from calib._border.checks import describe
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.words import did_you_mean
from calib._core import binning
from calib.evaluation.report.measures import (
    MeasureInfo,
    Prepared,
    Replicates,
    describe_measures,
    kind_of_bins,
    label_redraws,
)
from calib.evaluation.sampling.draws import draw_labels
from calib.evaluation.sampling.inversion import GapLaw, peak_law, smooth_gaps

MeasureChoice: TypeAlias = Literal["core", "all"] | Sequence[str]

#: Cells of equal mass, and bins of such cells, for the law of the Kolmogorov-Smirnov error.
PATH_CELLS, PATH_BINS = 450, 15
_WALKED = "ks_calibration_error"
#: Label vectors that are drawn at once for measures of all classes.
BLOCK_LABELS = 1 << 22


class Further(NamedTuple):
    """Where a further measure is computed, and what it is called."""

    title: str
    short: str
    module: str
    function: str
    binned: bool = False
    classwise: bool = False


_BINNED, _CUMULATIVE = "calib.evaluation.binned.errors", "calib.evaluation.unbinned.cumulative"
#: By name, in reading order.
FURTHER = {
    "smooth_calibration_error": Further(
        "Smooth calibration error (smECE)",
        "smooth ECE",
        "calib.evaluation.unbinned.smooth",
        "smooth_calibration_error",
    ),
    "ks_calibration_error": Further(
        "Kolmogorov-Smirnov calibration error (KS, ECCE)",
        "KS error",
        _CUMULATIVE,
        "ks_calibration_error",
    ),
    "sweep_calibration_error": Further(
        "Calibration error with a swept number of bins (ECE-sweep)",
        "ECE-sweep",
        "calib.evaluation.binned.sweep",
        "sweep_calibration_error",
    ),
    "density_calibration_error": Further(
        "Calibration error of kernel densities (KDE-ECE)",
        "KDE-ECE",
        "calib.evaluation.unbinned.density",
        "density_calibration_error",
    ),
    "maximum_mean_calibration_error": Further(
        "Maximum mean calibration error (MMCE)",
        "MMCE",
        "calib.evaluation.unbinned.kernel",
        "maximum_mean_calibration_error",
    ),
    "integrated_calibration_index": Further(
        "Integrated calibration index (ICI)",
        "ICI",
        "calib.evaluation.unbinned.loess",
        "integrated_calibration_index",
    ),
    "maximum_calibration_error": Further(
        "Maximum calibration error (MCE)", "MCE", _BINNED, "maximum_calibration_error", True
    ),
    "average_calibration_error": Further(
        "Average calibration error, bins alike",
        "average error",
        _BINNED,
        "average_calibration_error",
        True,
    ),
    "classwise_calibration_error": Further(
        "Class-wise ECE", "class-wise ECE", _BINNED, "classwise_calibration_error", True, True
    ),
    "classwise_ks_calibration_error": Further(
        "Class-wise Kolmogorov-Smirnov error",
        "class-wise KS error",
        _CUMULATIVE,
        "classwise_ks_calibration_error",
        False,
        True,
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
        bins = f", {n_bins} {kind_of_bins(own_bins)}" if measure.binned else ""
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
    bootstrap = {name: np.empty((n_resamples, len(names))) for name in models}
    calibrated = {name: np.empty((n_resamples, len(names))) for name in models}
    paths = {
        name: _Path(model, weight, n_resamples)
        for name, model in models.items()
        if _WALKED in names
    }
    row_rng, uniform_rng = rng.spawn(2)
    for r, taken in enumerate(_draws(n_samples, groups, n_resamples, row_rng)):
        own = None if weight is None else weight[taken]
        for name, model in models.items():
            prediction = np.clip(model.prediction, 0.0, 1.0)
            if name in paths:
                paths[name].resampled[r] = paths[name].gaps(taken, model.event, own)
            for column, key in enumerate(names):
                bootstrap[name][r, column] = (
                    _classwise(key, model, model.codes[taken], taken, own)
                    if FURTHER[key].classwise
                    else _pairs(key, model.event[taken], prediction[taken], own, model)
                )
    redraws = label_redraws(models, weight, groups, n_resamples, uniform_rng)
    step = max(1, BLOCK_LABELS // n_samples)
    for start in range(0, n_resamples, step):
        rows = slice(start, min(start + step, n_resamples))
        noise = redraws.noise(rows.stop - start, n_samples, uniform_rng)
        for name, model in models.items():
            prediction = np.clip(model.prediction, 0.0, 1.0)
            drawn = draw_labels(
                model.columns.astype(np.float64), redraws.numbers(name, noise, replicates=rows)
            )
            for offset, codes in enumerate(drawn):
                event: LabelArray = codes == (1 if model.view == "binary" else model.top)
                if name in paths:
                    paths[name].calibrated[start + offset] = paths[name].gaps(
                        slice(None), event, weight
                    )
                for column, key in enumerate(names):
                    calibrated[name][start + offset, column] = (
                        _classwise(key, model, codes, slice(None), weight)
                        if FURTHER[key].classwise
                        else _pairs(key, event, prediction, weight, model)
                    )
    out = {}
    for name, model in models.items():
        prediction = np.clip(model.prediction, 0.0, 1.0)
        value = [
            _classwise(key, model, model.codes, slice(None), weight)
            if FURTHER[key].classwise
            else _pairs(key, model.event, prediction, weight, model)
            for key in names
        ]
        found = core[name]
        out[name] = found._replace(
            value=np.concatenate([found.value, value]),
            bootstrap=np.hstack([found.bootstrap, bootstrap[name]]),
            calibrated=np.hstack([found.calibrated, calibrated[name]]),
            laws=(
                *found.laws,
                *(paths[name].law() if key == _WALKED else None for key in names),
            ),
        )
    return out


class _Path:
    """The gaps whose partial sums make the Kolmogorov-Smirnov error, in cells of equal mass."""

    def __init__(self, model: Prepared, weight: Float64Array | None, n_resamples: int) -> None:
        self.prediction = np.clip(model.prediction, 0.0, 1.0)
        edges = binning.quantile_edges(self.prediction, PATH_CELLS, weight)
        self.cells = binning.cells_between(self.prediction, edges)
        mass = np.bincount(self.cells, weight, minlength=PATH_CELLS)
        self.share = mass / mass.sum()
        self.observed = self.gaps(slice(None), model.event, weight)
        self.resampled = np.empty((n_resamples, PATH_CELLS))
        self.calibrated = np.empty((n_resamples, PATH_CELLS))

    def gaps(
        self, rows: IntArray | slice, event: LabelArray, weight: Float64Array | None
    ) -> Float64Array:
        """Return sums of predictions minus events by cell; `weight` is that of the rows."""
        residual = self.prediction[rows] - event[rows]
        total = float(len(residual))
        if weight is not None:
            residual, total = residual * weight, float(weight.sum())
        return np.bincount(self.cells[rows], residual, minlength=PATH_CELLS) / total

    def law(self) -> GapLaw:
        coarse = (PATH_BINS, PATH_CELLS // PATH_BINS)
        mass = self.share.reshape(coarse).sum(axis=1)
        gap = np.zeros(PATH_BINS)
        np.divide(self.observed.reshape(coarse).sum(axis=1), mass, out=gap, where=mass > 0)
        smooth = self.share * np.repeat(smooth_gaps(gap, mass), coarse[1])
        return peak_law(smooth, self.calibrated, self.resampled - self.observed)


def _draws(
    n_samples: int, groups: IntArray | None, n_resamples: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Yield the ascending rows of every replicate."""
    units = np.arange(n_samples) if groups is None else groups
    n_units = int(units.max()) + 1
    for _ in range(n_resamples):
        counts = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)
        yield np.repeat(np.arange(n_samples), counts[units])


def _pairs(
    key: str,
    event: LabelArray,
    prediction: Float64Array,
    weight: Float64Array | None,
    model: Prepared,
) -> float:
    measure = FURTHER[key]
    function = getattr(importlib.import_module(measure.module), measure.function)
    options = model.options if measure.binned else {}
    found = function(
        event.astype(np.intp), prediction, average="binary", sample_weight=weight, **options
    )
    return float(getattr(found, "ici", found))


def _classwise(
    key: str,
    model: Prepared,
    codes: IntArray,
    rows: IntArray | slice,
    weight: Float64Array | None,
) -> float:
    measure = FURTHER[key]
    function = getattr(importlib.import_module(measure.module), measure.function)
    options = model.options if measure.binned else {}
    return float(
        function(
            codes,
            model.columns[rows],
            sample_weight=weight,
            labels=np.arange(model.columns.shape[1]),
            **options,
        )
    )
