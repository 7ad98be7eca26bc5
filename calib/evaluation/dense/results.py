"""What `dense_report` returns: every model with its intervals, and the models side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_option
from calib._border.optional import require
from calib._border.typing import Float64Array
from calib._documents import document as doc
from calib._documents.digits import Digits, digits_of
from calib._documents.documented import Documented
from calib.evaluation.dense.sums import N_SCALARS
from calib.evaluation.report.page import differences_table
from calib.evaluation.sampling.intervals import Interval, interval_of

#: Images below which intervals are flagged.
FEW_IMAGES = 10
ECE = "expected_calibration_error"
#: Measures with their titles and bounds.
MEASURES = {
    "log_loss": ("Log loss", (0.0, math.inf)),
    "brier_score": ("Brier score", (0.0, 2.0)),
    "accuracy": ("Accuracy", (0.0, 1.0)),
    "confidence_gap": ("Mean gap", (-1.0, 1.0)),
    ECE: ("ECE", (0.0, 1.0)),
}
#: Numbers of a measure in dictionaries and frames.
_PARTS = ("value", "low", "high", "floor", "floor_low", "floor_high")
SENTENCES = {
    "beyond": "The probabilities are off: ECE {error}, where chance explains at most {most}.",
    "chance": "No error beyond chance: ECE {error}, and a calibrated model shows {floor} on "
    "average, at most {most}.",
    "model_beyond": "{model} is off: ECE {error}, where chance explains at most {most}.",
    "model_chance": "{model} shows no error beyond chance: ECE {error}, and if calibrated {floor} "
    "on average, at most {most}.",
    "lower": "{model} has a lower log loss than {reference}: {step} ({low} to {high}).",
    "higher": "{model} has a higher log loss than {reference}: {step} ({low} to {high}).",
    "even": "{model} and {reference} differ in log loss by no more than chance: {step} ({low} to "
    "{high}).",
}


@dataclass(frozen=True, eq=False)
class DenseModel:
    """One model of a `DenseReport`.

    Attributes
    ----------
    measures : dict of str to Interval
        ``log_loss``, ``brier_score``, ``accuracy``, ``confidence_gap`` (mean prediction minus mean
        event) and ``expected_calibration_error``, each with its interval by image. The error has
        the `floor` of a calibrated model and its range as well.
    is_beyond_chance : bool
        Whether the error exceeds what chance explains, images being the units.
    n_bins : int
        Bins of equal width.
    sums : ndarray of shape (n_images + n_empty, 4 + 3 * n_bins)
        What was kept of every image: weight, sums of log loss, Brier score and right answers; then
        weight, sum of predictions and sum of events of every bin.
    draws : ndarray of shape (n_resamples, 5)
        The measures on draws of images, which are the same for all models.
    """

    measures: dict[str, Interval]
    is_beyond_chance: bool
    n_bins: int
    sums: Float64Array
    draws: Float64Array

    @property
    def per_image(self) -> Any:
        """The measures of every image as a pandas DataFrame; NaN where no cell is labelled."""
        pandas = require("pandas", extra="pandas", purpose="per_image")
        frame = pandas.DataFrame(values_of(self.sums, self.n_bins), columns=[*MEASURES])
        frame.insert(0, "n_cells", self.sums[:, 0])
        return frame.rename_axis("image")


@dataclass(frozen=True, eq=False, repr=False)
class DenseReport(Documented):
    """Result of `dense_report`; printing it shows the tables.

    Of a report on a single model, `measures`, `is_beyond_chance` and `per_image` are those of that
    model.

    Attributes
    ----------
    models : dict of str to DenseModel
        Measures by model; one that had no name is called ``"model"``.
    reference : str
        Model that the others are compared with.
    n_images, n_empty : int
        Images with labelled cells, and images without.
    n_cells : float
        Labelled cells, or their weight.
    n_bins : int
        Bins of equal width.
    few_images : bool
        Whether there are fewer than 10 images, so that intervals are too narrow.
    confidence_level : float
        Of the intervals and of the range of chance.
    """

    models: Mapping[str, DenseModel]
    reference: str
    n_images: int
    n_empty: int
    n_cells: float
    n_bins: int
    few_images: bool
    confidence_level: float

    @property
    def measures(self) -> dict[str, Interval]:
        """Measures of the only model."""
        return self._only("measures").measures

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the error of the only model exceeds what chance explains."""
        return self._only("is_beyond_chance").is_beyond_chance

    @property
    def per_image(self) -> Any:
        """The measures of every image under the only model, as a pandas DataFrame."""
        return self._only("per_image").per_image

    def _only(self, attribute: str) -> DenseModel:
        if len(self.models) > 1:
            raise AttributeError(
                f"this report has the models {[*self.models]}; "
                f"read report.models[{self.reference!r}].{attribute}"
            )
        return self.models[self.reference]

    @property
    def differences(self) -> dict[str, dict[str, Interval]]:
        """Measures of every other model minus those of the reference, as `compare` gives them."""
        return {
            name: self.compare(name, self.reference)
            for name in self.models
            if name != self.reference
        }

    def compare(self, model: str, base: str) -> dict[str, Interval]:
        """Return the measures of a model minus those of another one.

        Parameters
        ----------
        model, base : str
            Names of two models of the report.

        Returns
        -------
        differences : dict of str to Interval
            By measure. Both models see the same draws of images, so that what is hard for both
            cancels.

        Raises
        ------
        ValueError
            If the report has no model of that name.
        """
        names = tuple(self.models)
        check_option("model", model, names)
        check_option("base", base, names)
        one, other = self.models[model], self.models[base]
        apart = one.draws - other.draws
        return {
            key: interval_of(
                one.measures[key].value - other.measures[key].value,
                apart[:, column],
                self.confidence_level,
                reflect=True,
                bounds=(low - high, high - low),
            )
            for column, (key, (_, (low, high))) in enumerate(MEASURES.items())
        }

    @property
    def findings(self) -> list[str]:
        """What is off beyond chance, and which models differ, in sentences."""
        return [verdict.text for verdict in self._verdicts()]

    def to_dict(self) -> dict[str, Any]:
        """Return counts and measures as plain values; None stands for NaN."""
        counts = ("n_images", "n_empty", "n_cells", "n_bins", "few_images", "reference")
        return {
            **{name: getattr(self, name) for name in counts},
            "models": {
                name: {
                    "is_beyond_chance": model.is_beyond_chance,
                    "measures": {key: _plain(found) for key, found in model.measures.items()},
                }
                for name, model in self.models.items()
            },
            "differences": {
                name: {
                    key: {"value": apart.value, "low": apart.low, "high": apart.high}
                    for key, apart in found.items()
                }
                for name, found in self.differences.items()
            },
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per model and measure.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``model``, ``measure``, ``value``, ``low``, ``high``, ``floor``, ``floor_low``
            and ``floor_high``; then ``difference``, ``difference_low`` and ``difference_high``
            against the reference, NaN of the reference itself.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="DenseReport.to_frame")
        differences = self.differences
        rows = []
        for name, model in self.models.items():
            for key, found in model.measures.items():
                row: dict[str, Any] = {"model": name, "measure": key}
                row |= {part: getattr(found, part) for part in _PARTS}
                apart = differences[name][key] if name in differences else None
                for part in ("value", "low", "high"):
                    column = "difference" if part == "value" else f"difference_{part}"
                    row[column] = math.nan if apart is None else getattr(apart, part)
                rows.append(row)
        return pandas.DataFrame(rows)

    # ------------------------------------------------------------------ the document

    def document(self) -> doc.Document:
        """Return the report as blocks, which text, HTML and LaTeX show."""
        several = len(self.models) > 1
        digits = {key: self._digits(key) for key in MEASURES}
        level = f"{100 * self.confidence_level:g} %"
        rows = {
            name if several else "": [
                _row(key, interval, digits[key]) for key, interval in model.measures.items()
            ]
            for name, model in self.models.items()
        }
        columns = ["measure", "value", f"{level} interval by image", "if calibrated"]
        blocks: list[doc.Block] = [doc.plain_table(columns, rows)]
        notes = [
            "Intervals redraw images, not cells: cells of an image resemble each other.",
            "If calibrated: mean and limit of the error by chance, by a wild bootstrap of images.",
        ]
        if several:
            titles = {key: title for key, (title, _) in MEASURES.items()}
            changes = differences_table(self.differences, titles, digits, self.confidence_level)
            title = f"Changes against {self.reference}"
            blocks.append(doc.Fold(title, [changes], "on the same draws of images"))
            notes.append(
                "Changes: model minus reference on the same draws of images; 0 outside the "
                "interval is more than noise, each number by itself."
            )
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
        first, *more = self._verdicts()
        return doc.Document("Dense calibration report", heading, blocks, first, more)

    def _verdicts(self) -> list[doc.Verdict]:
        several = len(self.models) > 1
        out = []
        form = self._digits(ECE)
        for name, model in self.models.items():
            error = model.measures[ECE]
            numbers = {
                "error": form.value(error.value),
                "floor": form.value(error.floor),
                "most": form.end(error.floor_high),
            }
            case = "beyond" if model.is_beyond_chance else "chance"
            if several:
                case, numbers = f"model_{case}", {"model": name, **numbers}
            out.append(doc.Verdict(case, SENTENCES[case], numbers))
        form = self._digits("log_loss")
        for name, found in self.differences.items():
            apart = found["log_loss"]
            case = "lower" if apart.high < 0 else "higher" if apart.low > 0 else "even"
            numbers = {"model": name, "reference": self.reference, "step": form.change(apart.value)}
            numbers |= {"low": form.change(apart.low), "high": form.change(apart.high)}
            out.append(doc.Verdict(case, SENTENCES[case], numbers))
        return out

    def _digits(self, key: str) -> Digits:
        """Return how a measure is printed, the same for all models."""
        found = [model.measures[key] for model in self.models.values()]
        widths = [(interval.high - interval.low) / 2 for interval in found]
        if key == ECE:
            return digits_of(widths, error=True)
        return digits_of(widths, largest=max(abs(interval.value) for interval in found))


def _row(key: str, interval: Interval, form: Digits) -> list[str]:
    title = MEASURES[key][0] + (f" ({form.scale})" if form.scale else "")
    chance = ""
    if not math.isnan(interval.floor):
        chance = f"{form.value(interval.floor)}, up to {form.end(interval.floor_high)}"
    return [title, form.value(interval.value), form.range(interval.low, interval.high), chance]


def _plain(interval: Interval) -> dict[str, float | None]:
    numbers = {part: getattr(interval, part) for part in _PARTS}
    return {part: number if math.isfinite(number) else None for part, number in numbers.items()}


def values_of(sums: Float64Array, n_bins: int) -> Float64Array:
    """Return the measures of rows of sums, in the order of `MEASURES`; NaN without weight."""
    weight = sums[:, 0]
    table = sums[:, N_SCALARS:].reshape(len(sums), 3, n_bins)
    gaps = table[:, 1] - table[:, 2]
    parts = [*sums[:, 1:N_SCALARS].T, gaps.sum(axis=1), np.abs(gaps).sum(axis=1)]
    return np.stack([np.divide(part, weight, out=np.full(len(sums), np.nan), where=weight > 0)
                     for part in parts], axis=1)  # fmt: skip
