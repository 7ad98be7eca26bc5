"""What a calibration report holds and the forms it can be read in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from calib._border.optional import require
from calib._border.typing import Float64Array, LabelArray
from calib._documents import document as doc
from calib._documents.documented import Documented
from calib.evaluation.proper.corp import ScoreDecomposition
from calib.evaluation.report import charts, further_measures, measures
from calib.evaluation.report.findings import SHORT, findings
from calib.evaluation.report.records import ERROR_NOTE, MeasureResult, ModelReport
from calib.evaluation.sampling.intervals import Interval
from calib.evaluation.significance.results import P_VALUE_NOTE, CalibrationTests, table_of_tests

#: One of two signed parts dominates if it is this many times the other.
DOMINANCE = 3.0
DIFFERENCE_NOTE = (
    "Difference: model minus first model, both on the same draws; 0 outside the interval is more "
    "than noise, each number by itself."
)
DECOMPOSITION_NOTE = (
    "Decomposition, of the event that the ECE compares: score = miscalibration - discrimination + "
    "uncertainty. Miscalibration is what the best increasing map, fitted to this sample, would "
    "gain."
)
GROUPED_NOTE = (
    "Values under calibration and tests redraw labels as dependent inside groups as the observed."
)


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport(Documented):
    """Result of `calibration_report`; printing it shows the table.

    Attributes
    ----------
    models : dict of str to ModelReport
        Results per model, in the order given.
    n_samples : int
        Number of samples (with positive weight).
    n_groups : int or None
        Number of resampled groups.
    classes : ndarray of shape (n_classes,)
        Class of every column.
    n_bins : int
        Number of bins of the errors.
    view : {"binary", "top_label"}
        What the expected calibration error compares.
    confidence_level : float in (0, 1)
        Level of all intervals.
    n_resamples : int
        Number of replicates behind each interval.
    further : tuple of str
        Names of the measures beyond the core ones.
    differences : dict of str to dict of str to Interval
        For every model after the first its measures minus those of the first, with intervals from
        the same draws for both; empty for one model.
    tests : dict of str to CalibrationTests
        Tests of calibration per model; empty unless asked for.
    decompositions : dict of str to dict of str to ScoreDecomposition
        Of the ``brier`` score and ``log_loss`` of the event that the expected calibration error
        compares, per model; empty unless tests were asked for.
    bins : ndarray of shape (n_bins + 1,) or None
        Own edges of the bins; None means bins of equal width.
    """

    models: dict[str, ModelReport]
    n_samples: int
    n_groups: int | None
    classes: LabelArray
    n_bins: int
    view: Literal["binary", "top_label"]
    confidence_level: float
    n_resamples: int
    further: tuple[str, ...] = ()
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)
    tests: dict[str, CalibrationTests] = field(default_factory=dict)
    decompositions: dict[str, dict[str, ScoreDecomposition]] = field(default_factory=dict)
    bins: Float64Array | None = None

    @property
    def titles(self) -> dict[str, str]:
        """Heading of every measure, in reading order."""
        own = self.bins is not None
        core = measures.describe_measures(self.n_bins, self.view, self.classes[1], own)
        information = core | further_measures.information(self.further, self.n_bins, own)
        return {name: info.title for name, info in information.items()}

    @property
    def findings(self) -> list[str]:
        """What the report shows, one sentence per model and per comparison with the first."""
        return findings(self.models, self.differences, self.view, self.confidence_level)

    def verdict(self, model: str) -> str:
        """Say in a few sentences what the numbers of a model do and do not show."""
        result = self.models[model]
        errors = result.measures
        ece, ace = errors["expected_calibration_error"], errors["adaptive_calibration_error"]
        size = f"n={self.n_samples:,}"
        sentences = []
        if ece.surprises("expected_calibration_error"):
            word = self._direction(errors)
            sentences.append(
                f"Predictions are {word}: {self._means(result)}. ECE {ece.value:.4f} is beyond "
                f"what a perfectly calibrated model shows at {size} (up to "
                f"{ece.calibrated.high:.4f})."
            )
        else:
            sentences.append(
                f"ECE {ece.value:.4f} is within what a perfectly calibrated model shows at {size} "
                f"(up to {ece.calibrated.high:.4f}); {self._means(result)}."
            )
        place = "beyond" if ace.surprises("adaptive_calibration_error") else "within"
        sentences.append(
            f"ACE {ace.value:.4f} is {place} that range (up to {ace.calibrated.high:.4f})."
        )
        others = [
            SHORT[key]
            for key, found in errors.items()
            if key not in ("expected_calibration_error", "adaptive_calibration_error")
            and found.surprises(key)
        ]
        if others:
            sentences.append(f"Beyond chance too: {', '.join(others)}.")
        if result.n_impossible:
            sentences.append(
                f"Samples whose label had probability 0: {result.n_impossible:,}; the log loss "
                f"is in truth infinite, the number shown depends on how 0 is cut."
            )
        return " ".join(sentences)

    def _direction(self, errors: dict[str, MeasureResult]) -> str:
        """Say in which direction predictions are wrong."""
        over, under = errors["overconfidence"].value, errors["underconfidence"].value
        binary, accuracy = self.view == "binary", errors["accuracy"]
        if over > DOMINANCE * under:
            return "too high" if binary else "overconfident"
        if under > DOMINANCE * over:
            return "too low" if binary else "underconfident"
        if binary and accuracy.surprises("accuracy"):  # a promise of the larger probabilities
            return "too cautious" if accuracy.value > accuracy.calibrated.high else "too extreme"
        return "wrong in both directions, depending on their size"

    def _means(self, result: ModelReport) -> str:
        if self.view == "binary":
            return (
                f"mean probability of class {self.classes[1]} {result.mean_prediction:.3f}, "
                f"observed rate {result.mean_event:.3f}"
            )
        return f"mean confidence {result.mean_prediction:.3f}, accuracy {result.mean_event:.3f}"

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        level = f"{100 * self.confidence_level:g} %"
        units = "" if self.n_groups is None else f" in {self.n_groups:,} groups"
        return (
            f"{self.n_samples:,} samples{units}, {len(self.classes)} classes; {level} intervals "
            f"from {self.n_resamples:,} replicates"
        )

    @property
    def notes(self) -> list[str]:
        """What the columns mean, one sentence or two each."""
        unit = "samples" if self.n_groups is None else "groups"
        return [
            f"Interval: over {unit}, edges of the bins held fixed. {ERROR_NOTE}",
            "If calibrated: the same model and sample size with labels redrawn from its own "
            "probabilities. For a calibration error this is the floor that even a perfect model "
            "shows; for log loss, Brier score and accuracy it is what the model promises. It "
            "assumes independent samples.",
            "* marks a value beyond what chance explains. The range in brackets allows for all "
            "numbers of the report together: a report on calibrated models has a star anywhere in "
            f"at most {100 * (1 - self.confidence_level):g} % of samples.",
        ]

    # ------------------------------------------------------------------------------------ outputs

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries, lists, strings and numbers, for JSON."""
        models = {}
        for name, result in self.models.items():
            models[name] = {
                "measures": {
                    key: dict(zip(_PARTS, _numbers(m), strict=True))
                    for key, m in result.measures.items()
                },
                "mean_prediction": result.mean_prediction,
                "mean_event": result.mean_event,
                "n_impossible": result.n_impossible,
                "verdict": self.verdict(name),
                "reliability": result.table.to_dict(),
            }
        return {
            "n_samples": self.n_samples,
            "n_groups": self.n_groups,
            "classes": self.classes.tolist(),
            "n_bins": self.n_bins,
            "bins": None if self.bins is None else self.bins.tolist(),
            "view": self.view,
            "confidence_level": self.confidence_level,
            "n_resamples": self.n_resamples,
            "titles": self.titles,
            "models": models,
            "findings": self.findings,
            "differences": {
                name: {
                    key: {"value": found.value, "low": found.low, "high": found.high}
                    for key, found in differences.items()
                }
                for name, differences in self.differences.items()
            },
            "tests": {name: tests.to_dict() for name, tests in self.tests.items()},
            "decompositions": {
                name: {
                    score: {
                        part: number if math.isfinite(number) else None
                        for part, number in found._asdict().items()
                    }
                    for score, found in decompositions.items()
                }
                for name, decompositions in self.decompositions.items()
            },
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per model.

        Returns
        -------
        frame : pandas.DataFrame
            First the usual values, one column per measure; then for each measure
            ``<measure>_debiased`` with ``_low`` and ``_high`` (its interval), ``_floor``,
            ``_floor_low`` and ``_floor_high`` (if calibrated).

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="CalibrationReport.to_frame")
        rows = {}
        for name, result in self.models.items():
            row = {key: m.value for key, m in result.measures.items()}
            for key, m in result.measures.items():
                parts = zip(_PARTS[1:], _numbers(m)[1:], strict=True)
                row.update({f"{key}_{part}": number for part, number in parts})
            rows[name] = row
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def plot(self, ax: Any = None) -> Any:
        """Draw the reliability diagrams of all models into one pair of axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from calib.evaluation.display.reliability import ReliabilityDisplay

        require("matplotlib", extra="plot", purpose="CalibrationReport.plot")
        alone = len(self.models) == 1
        for name, result in self.models.items():
            display = ReliabilityDisplay(
                result.table,
                name=name,
                average=self.view,
                confidence_level=self.confidence_level,
            )
            ax = display.plot(ax, band=alone, histogram=False).ax_
        return ax

    # ----------------------------------------------------------------------------------- document

    def document(self) -> doc.Document:
        """Return the report as blocks, which the text, the page and the tables show."""
        blocks: list[doc.Block] = [
            doc.Findings(self.findings),
            *(doc.Remark(name, self.verdict(name)) for name in self.models),
            self._measures(),
            *self._diagrams(),
        ]
        if self.differences:
            blocks.append(self._differences())
        for name in self.models:
            blocks += self._classes(name)
        for name, tests in self.tests.items():
            blocks.append(table_of_tests(tests, f"{name}: tests of calibration"))
            blocks += [doc.Paragraph(note) for note in tests.notes]
        if self.decompositions:
            blocks.append(doc.Heading("Decomposition"))
        for name, decompositions in self.decompositions.items():
            blocks += [doc.Remark(name, _sum(*found)) for found in decompositions.items()]
        return doc.Document(
            "Calibration report",
            self.heading,
            [*blocks, doc.Notes([*self.notes, *self._further_notes()])],
        )

    def _further_notes(self) -> list[str]:
        """Return what the parts mean that not every report has."""
        grouped = self.tests and self.n_groups is not None
        notes = (
            (self.differences, DIFFERENCE_NOTE),
            (self.tests, P_VALUE_NOTE),
            (self.decompositions, DECOMPOSITION_NOTE),
            (grouped, GROUPED_NOTE),
        )
        return [note for part, note in notes if part]

    def _measures(self) -> doc.Table:
        level = f"{100 * self.confidence_level:g} %"
        columns = [
            doc.Column("model"),
            doc.Column("value", weight="strong"),
            doc.Column("debiased", weight="strong"),
            doc.Column(f"{level} interval"),
            doc.Column("if calibrated", f"({level} range)"),
        ]
        groups = [
            doc.Group(
                [_measure_row(name, key, m.measures[key]) for name, m in self.models.items()], title
            )
            for key, title in self.titles.items()
        ]
        return doc.Table(columns, groups)

    def _differences(self) -> doc.Table:
        first = next(iter(self.models))
        columns = [
            doc.Column("model"),
            doc.Column(f"minus {first}", weight="strong"),
            doc.Column(f"{100 * self.confidence_level:g} % interval"),
        ]
        groups = []
        for key, title in self.titles.items():
            rows = [
                [
                    doc.Cell(name),
                    doc.Cell(f"{difference[key].value:+.4f}"),
                    doc.Cell(f"{difference[key].low:+.4f} to {difference[key].high:+.4f}"),
                ]
                for name, difference in self.differences.items()
            ]
            groups.append(doc.Group(rows, title))
        return doc.Table(columns, groups, f"Differences to {first}")

    def _diagrams(self) -> list[doc.Figures]:
        level = self.confidence_level
        reliability = [
            charts.reliability_diagram(name, self.verdict(name), model.table, self.view, level)
            for name, model in self.models.items()
        ]
        cumulative = [
            charts.cumulative_diagram(name, model.curve, self.view, level)
            for name, model in self.models.items()
            if model.curve is not None
        ]
        both = (
            doc.Figures(
                "Reliability diagrams",
                reliability,
                "A dot per bin at mean prediction and observed rate, larger for more samples; the "
                "shaded range is where the rate of a calibrated model would lie in "
                f"{100 * level:g} % of samples, each bin by itself; below, the share of samples "
                "per bin.",
            ),
            doc.Figures(
                "Cumulative diagrams",
                cumulative,
                "No bins: events minus predictions, added up from the lowest prediction to the "
                "highest. Where the curve falls, predictions are too large. A calibrated model "
                f"stays inside the shaded band as a whole in {100 * level:g} % of samples.",
            ),
        )
        return [block for block in both if block.figures]

    def _classes(self, name: str) -> list[doc.Figures]:
        """Return small diagrams of single classes, nothing where there are two or none."""
        table, n_classes = self.models[name].class_table, len(self.classes)
        if table is None or n_classes < 3:
            return []
        shown, errors = charts.worst_classes(table, n_classes)
        which = (
            "all classes"
            if len(shown) == n_classes
            else f"the {len(shown)} classes of {n_classes} with the largest errors"
        )
        figures = []
        for k in map(int, shown):
            rows = slice(k * self.n_bins, (k + 1) * self.n_bins)
            error = float(errors[k])
            figures.append(charts.class_diagram(name, self.classes[k], table, rows, error))
        note = (
            "A dot per equal-mass range at mean probability and observed rate of the class; the "
            "number is the class-wise error."
        )
        return [doc.Figures(f"{name}: {which}", figures, note, small=True)]


_PARTS = ("value", "debiased", "low", "high", "floor", "floor_low", "floor_high")


def _numbers(measure: MeasureResult) -> tuple[float, ...]:
    interval, calibrated = measure.interval, measure.calibrated
    return (
        interval.usual,
        interval.value,
        interval.low,
        interval.high,
        calibrated.mean,
        calibrated.low,
        calibrated.high,
    )


def _measure_row(name: str, key: str, measure: MeasureResult) -> list[doc.Cell]:
    calibrated = measure.calibrated
    return [
        doc.Cell(name),
        doc.Cell(f"{measure.value:.4f}", mark="*" if measure.surprises(key) else ""),
        doc.Cell(f"{measure.debiased:.4f}"),
        doc.Cell(f"{measure.low:.4f} to {measure.high:.4f}"),
        doc.Cell(f"{calibrated.mean:.4f}", f"({calibrated.low:.4f} to {calibrated.high:.4f})"),
    ]


def _sum(score: str, found: ScoreDecomposition) -> str:
    """Return a decomposition as a sum."""
    title = {"brier": "Brier", "log_loss": "log loss"}[score]
    return (
        f"{title} {found.score:.4f} = {found.miscalibration:.4f} - {found.discrimination:.4f} + "
        f"{found.uncertainty:.4f}"
    )
