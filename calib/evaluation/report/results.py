"""What a calibration report holds and the forms it can be read in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

from calib._border.files import atomic_write
from calib._border.optional import require
from calib._border.typing import Float64Array, LabelArray
from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.display.cumulative import CumulativeCurve
from calib.evaluation.proper.corp import ScoreDecomposition
from calib.evaluation.report import further_measures, measures
from calib.evaluation.sampling.intervals import Interval
from calib.evaluation.significance.results import CalibrationTests

#: One of two signed parts dominates if it is this many times the other.
DOMINANCE = 3.0
#: How far sums in another order may push a value out of a range that has no width.
ROUNDING = 1e-12
ERROR_NOTE = (
    "Value: as the function of that name returns it. Chance alone keeps a calibration error above "
    "0, so its interval is of what is left without the part of chance (debiased) and starts above "
    "0 exactly where there is a star; it need not hold the value itself."
)
#: Measures whose value under calibration is a floor: only values above it speak against the model.
ERRORS = (
    "expected_calibration_error",
    "adaptive_calibration_error",
    "overconfidence",
    "underconfidence",
    *further_measures.FURTHER,
)


@dataclass(frozen=True)
class MeasureResult:
    """A measure of one model.

    Attributes
    ----------
    interval : Interval
        Confidence interval. Its ``value`` is the number that it holds: of a calibration error what
        is left without the part of chance, of other measures the value of the sample.
    calibrated : Interval
        The same measure with labels redrawn from the predictions: ``mean`` is what the model would
        show on average if its probabilities were right. ``low`` and ``high`` bound what chance
        explains, for all measures of the report together at its confidence level.
    """

    interval: Interval
    calibrated: Interval

    @property
    def value(self) -> float:
        """The measure on the sample, as the function of its name returns it (the usual value)."""
        return self.interval.usual

    @property
    def usual(self) -> float:
        """The same as `value`."""
        return self.interval.usual

    @property
    def debiased(self) -> float:
        """The number that the interval holds: without the part of chance, for errors."""
        return self.interval.value

    @property
    def low(self) -> float:
        """Lower end of the interval; of an error above 0 exactly if it is beyond chance."""
        return self.interval.low

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval.high

    @property
    def floor(self) -> float:
        """What a calibrated model would show on average."""
        return self.calibrated.mean

    @property
    def floor_low(self) -> float:
        """Lower end of what chance explains, for all measures of the report together."""
        return self.calibrated.low

    @property
    def floor_high(self) -> float:
        """Upper end of what chance explains, for all measures of the report together."""
        return self.calibrated.high

    def surprises(self, name: str) -> bool:
        """Return whether a calibrated model would rarely show this value.

        Rarely means: in no more than ``1 - confidence_level`` of samples, for any measure of the
        report; there is one error rate for all of them.
        """
        above = self.value > self.calibrated.high + ROUNDING
        return above if name in ERRORS else above or self.value < self.calibrated.low - ROUNDING


@dataclass(frozen=True, eq=False)
class ModelReport:
    """All results of one model.

    Attributes
    ----------
    measures : dict of str to MeasureResult
        In the order of the report.
    table : BinnedCalibrationTable
        The bins of the expected calibration error.
    mean_prediction, mean_event : float
        Mean confidence and accuracy (top label), or mean probability and rate of the second class.
    n_impossible : int
        Samples whose label had probability 0; their log loss is infinite and was cut.
    class_table : BinnedCalibrationTable or None
        The bins of the adaptive calibration error, class after class; None where a report is made
        from sums.
    curve : CumulativeCurve or None
        Events minus predictions, added up in the order of the predictions; None likewise.
    """

    measures: dict[str, MeasureResult]
    table: BinnedCalibrationTable
    mean_prediction: float
    mean_event: float
    n_impossible: int
    class_table: BinnedCalibrationTable | None = None
    curve: CumulativeCurve | None = None


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport:
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
        from calib.evaluation.report.findings import findings

        return findings(self)

    def verdict(self, model: str) -> str:
        """Say in a few sentences what the numbers of a model do and do not show."""
        from calib.evaluation.report.findings import SHORT

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

    def __str__(self) -> str:
        from calib.evaluation.report.text import render

        return render(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from calib.evaluation.report.html import fragment

        return fragment(self)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write the report as one self-contained HTML file.

        Parameters
        ----------
        path : str or path-like
            File to write; tables, text and diagrams are inside it, nothing is loaded.
        """
        from calib.evaluation.report.html import page

        text = page(self)
        with atomic_write(path) as file:
            file.write(text)

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
