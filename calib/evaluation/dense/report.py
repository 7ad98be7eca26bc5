"""Calibration of images and sequences, with intervals and floors by image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.arrays import read_array, row_blocks
from calib._border.checks import check_fraction, check_integer, describe
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, RandomState
from calib._documents import document as doc
from calib._documents.digits import digits_of
from calib._documents.documented import Documented
from calib.dense import DenseBatch
from calib.evaluation.dense.sums import N_SCALARS, image_sums
from calib.evaluation.sampling.draws import unit_counts
from calib.evaluation.sampling.intervals import Interval, interval_of
from calib.evaluation.sampling.wild import wild_floor

#: Images below which intervals are flagged.
FEW_IMAGES = 10
#: Measures with their titles and bounds.
MEASURES = {
    "log_loss": ("Log loss", (0.0, math.inf)),
    "brier_score": ("Brier score", (0.0, 2.0)),
    "accuracy": ("Accuracy", (0.0, 1.0)),
    "confidence_gap": ("Mean gap", (-1.0, 1.0)),
    "expected_calibration_error": ("ECE", (0.0, 1.0)),
}


@dataclass(frozen=True, eq=False, repr=False)
class DenseReport(Documented):
    """Result of `dense_report`; printing it shows the table.

    Attributes
    ----------
    measures : dict of str to Interval
        ``log_loss``, ``brier_score``, ``accuracy``, ``confidence_gap`` (mean prediction minus mean
        event) and ``expected_calibration_error``, each with its interval by image. The error has
        the `floor` of a calibrated model and its range as well.
    n_images, n_empty : int
        Images with labelled cells, and images without.
    n_cells : float
        Labelled cells, or their weight.
    n_bins : int
        Bins of equal width.
    is_beyond_chance : bool
        Whether the error exceeds what chance explains, images being the units.
    few_images : bool
        Whether there are fewer than 10 images, so that intervals are too narrow.
    sums : ndarray of shape (n_images + n_empty, 4 + 3 * n_bins)
        What was kept of every image: weight, sums of log loss, Brier score and right answers; then
        weight, sum of predictions and sum of events of every bin.
    """

    measures: dict[str, Interval]
    n_images: int
    n_empty: int
    n_cells: float
    n_bins: int
    is_beyond_chance: bool
    few_images: bool
    sums: Float64Array

    @property
    def per_image(self) -> Any:
        """The measures of every image as a pandas DataFrame; NaN where no cell is labelled."""
        pandas = require("pandas", extra="pandas", purpose="DenseReport.per_image")
        with np.errstate(invalid="ignore"):
            values = _values(self.sums, self.n_bins)
        frame = pandas.DataFrame(values, columns=[*MEASURES])
        frame.insert(0, "n_cells", self.sums[:, 0])
        return frame.rename_axis("image")

    def to_dict(self) -> dict[str, Any]:
        """Return counts and measures as plain values; None stands for NaN."""
        names = ("value", "low", "high", "floor", "floor_low", "floor_high")
        measures = {
            key: {
                name: number if math.isfinite(number := getattr(interval, name)) else None
                for name in names
            }
            for key, interval in self.measures.items()
        }
        counts = ("n_images", "n_empty", "n_cells", "n_bins", "is_beyond_chance", "few_images")
        return {**{name: getattr(self, name) for name in counts}, "measures": measures}

    def document(self) -> doc.Document:
        """Return the report as blocks, which text, HTML and LaTeX show."""
        error = self.measures["expected_calibration_error"]
        digits = digits_of([(error.high - error.low) / 2], error=True)
        numbers = {
            "error": digits.value(error.value),
            "floor": digits.value(error.floor),
            "most": digits.end(error.floor_high),
        }
        template = (
            "The probabilities are off: ECE {error}, where chance explains at most {most}."
            if self.is_beyond_chance
            else "No error beyond chance: ECE {error}, and a calibrated model shows {floor} on "
            "average, at most {most}."
        )
        case = "beyond" if self.is_beyond_chance else "chance"
        rows = []
        for key, interval in self.measures.items():
            form = digits_of([(interval.high - interval.low) / 2], largest=abs(interval.value))
            title = MEASURES[key][0] + (f" ({form.scale})" if form.scale else "")
            chance = ""
            if not math.isnan(interval.floor):
                most = form.end(interval.floor_high)
                chance = f"{form.value(interval.floor)}, up to {most}"
            rows.append(
                [title, form.value(interval.value), form.range(interval.low, interval.high), chance]
            )
        level = f"{100 * error.confidence_level:g} %"
        table = doc.plain_table(
            ["measure", "value", f"{level} interval by image", "if calibrated"], {"": rows}
        )
        notes = [
            "Intervals redraw images, not cells: cells of an image resemble each other.",
            "If calibrated: mean and limit of the error by chance, by a wild bootstrap of images.",
        ]
        blocks: list[doc.Block] = [table]
        if self.few_images:
            blocks.append(
                doc.Paragraph(
                    f"Only {self.n_images} images: intervals by image are too narrow below "
                    f"{FEW_IMAGES}.",
                )
            )
        blocks.append(doc.Fold("How this was computed", [doc.Notes(notes)]))
        empty = f", {self.n_empty} more without a labelled cell" if self.n_empty else ""
        heading = f"{self.n_cells:,.0f} cells of {self.n_images:,} images{empty}"
        headline = doc.Verdict(case, template, numbers)
        return doc.Document("Dense calibration report", heading, blocks, headline)


def dense_report(
    y_true: ArrayLike | Iterable[tuple[ArrayLike, ...]],
    y_prob: ArrayLike = None,
    *,
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    sample_weight: ArrayLike = None,
    n_bins: int = 15,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> DenseReport:
    """Measure the calibration of pixels or tokens, with images as the units of chance.

    Parameters
    ----------
    y_true : array-like, or iterable of (y_true, y_prob) or (y_true, y_prob, sample_weight)
        Labels 0..n_classes - 1, of the shape of `y_prob` without the axis of the classes; or, where
        `y_prob` is None, batches that are read once.
    y_prob : array-like of shape (n_images, n_classes, ...), default=None
        Probabilities in [0, 1] that sum to 1 along `class_axis`; those of ignored cells may be NaN.
    class_axis : int or None, default=1
        Axis of the classes; None, or an axis of length 1, for the probability of the positive
        class.
    ignore_index : int or None, default=None
        Label of cells that have none.
    sample_weight : array-like of the shape of the labels, default=None
        Non-negative weights of cells; those of weight 0 are not there.
    n_bins : int >= 1, default=15
        Bins of equal width: of the probability of the second of two classes, of the largest
        probability beyond.
    confidence_level : float in (0, 1), default=0.95
        Of the intervals and of the range of chance.
    n_resamples : int >= 20, default=1000
        Replicates of both.
    random_state : int, RandomState, Generator or None, default=0
        Decides which images are drawn.

    Returns
    -------
    report : DenseReport

    Raises
    ------
    ValueError
        If shapes do not fit, `y_prob` holds no probabilities, a label is none of the classes, no
        cell is labelled, or an option is out of range.

    See Also
    --------
    calib.DenseCalibrator : what makes such probabilities true.

    Notes
    -----
    Of every image 4 + 3 `n_bins` sums are kept; value, bootstrap and floor follow from them, so
    that memory does not grow with cells. The range of chance is that of a wild bootstrap with one
    sign an image [1]_.

    References
    ----------
    .. [1] A. C. Cameron, J. B. Gelbach, D. L. Miller. Bootstrap-based improvements for inference
       with clustered errors. Review of Economics and Statistics 90, 2008. doi:10.1162/rest.90.3.414

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import dense_report
    >>> rng = np.random.default_rng(1)
    >>> p = rng.random((30, 16, 16))
    >>> y = rng.random(p.shape) < p
    >>> report = dense_report(y, p, class_axis=None)
    >>> report.is_beyond_chance, report.n_images
    (False, 30)
    """
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=20, high=MOST_RESAMPLES)
    rng = generator(random_state)
    batches: Any = [(y_true, y_prob, sample_weight)]
    if y_prob is None:
        if sample_weight is not None:
            raise ValueError("sample_weight belongs into the batches where y_prob is None")
        batches = y_true
    rows: list[Float64Array] = []
    n_columns = None
    for place, batch in enumerate(batches):
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(
                f"without y_prob, y_true must yield (y_true, y_prob) or (y_true, y_prob, "
                f"sample_weight); batch {place} is {describe(batch)}"
            )
        weight = batch[2] if len(batch) == 3 else None
        proba, names = read_array(batch[1], "y_prob"), ("y_prob", "y_true")
        checked = DenseBatch.of(proba, batch[0], weight, class_axis, names)
        if n_columns not in (None, checked.n_columns):
            raise ValueError(
                f"batch {place} has {checked.n_columns} classes, those before have {n_columns}"
            )
        n_columns = checked.n_columns
        rows += image_sums(checked, int(n_bins), ignore_index, len(rows))
    sums = np.array(rows).reshape(len(rows), N_SCALARS + 3 * int(n_bins))
    units = sums[sums[:, 0] > 0]
    if not len(units):
        raise ValueError("y_true has no labelled cell: all are ignored or have weight 0")
    return _report(sums, units, int(n_bins), confidence_level, n_resamples, rng)


def _report(
    sums: Float64Array,
    units: Float64Array,
    n_bins: int,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> DenseReport:
    total = _values(units.sum(axis=0)[None], n_bins)[0]
    replicates = np.empty((n_resamples, len(MEASURES)))
    for block in row_blocks(n_resamples, len(units)):
        counts = unit_counts(len(units), block.stop - block.start, rng)
        replicates[block] = _values(counts @ units, n_bins)
    mass, prediction, event = units[:, N_SCALARS:].reshape(len(units), 3, n_bins).swapaxes(0, 1)
    chance = wild_floor(event - prediction, mass, n_resamples, rng)
    low, high = np.quantile(chance, [0.0, confidence_level])
    measures = {}
    for column, (key, (_, bounds)) in enumerate(MEASURES.items()):
        measures[key] = interval_of(
            float(total[column]), replicates[:, column], confidence_level, reflect=True,
            bounds=bounds,
        )  # fmt: skip
    error = vars(measures["expected_calibration_error"])
    floors = {"floor": float(chance.mean()), "floor_low": float(low), "floor_high": float(high)}
    measures["expected_calibration_error"] = Interval(**{**error, **floors})
    return DenseReport(
        measures=measures,
        n_images=len(units),
        n_empty=len(sums) - len(units),
        n_cells=float(units[:, 0].sum()),
        n_bins=n_bins,
        is_beyond_chance=bool(error["value"] > high),
        few_images=len(units) < FEW_IMAGES,
        sums=sums,
    )


def _values(sums: Float64Array, n_bins: int) -> Float64Array:
    """Return the measures of rows of sums, in the order of `MEASURES`; NaN without weight."""
    weight = sums[:, 0]
    table = sums[:, N_SCALARS:].reshape(len(sums), 3, n_bins)
    gaps = table[:, 1] - table[:, 2]
    parts = [*sums[:, 1:N_SCALARS].T, gaps.sum(axis=1), np.abs(gaps).sum(axis=1)]
    return np.stack([np.divide(part, weight, out=np.full(len(sums), np.nan), where=weight > 0)
                     for part in parts], axis=1)  # fmt: skip
