"""What a calibration report holds and the forms it can be read in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from calib._border.checks import check_option
from calib._border.optional import require
from calib._border.typing import Float64Array, LabelArray
from calib._documents import document as doc, latex
from calib._documents.digits import printed
from calib._documents.documented import Documented
from calib.evaluation.proper.corp import ScoreDecomposition
from calib.evaluation.report import answer, figures, further_measures, measures, page
from calib.evaluation.report.answer import Facts, measure_digits
from calib.evaluation.report.comparison import difference
from calib.evaluation.report.diagnosis import diagnose
from calib.evaluation.report.measures import MeasureInfo
from calib.evaluation.report.records import (
    ERROR_NOTE,
    PARTS_OF_ECE,
    Comparison,
    MeasureResult,
    ModelReport,
)
from calib.evaluation.sampling.intervals import Interval
from calib.evaluation.segments.results import SegmentReport, escaped
from calib.evaluation.significance.results import P_VALUE_NOTE, CalibrationTests, table_of_tests

CHOICE_NOTE = (
    "Recommended: of the models that may be the best by the criterion, those without a star if "
    "any; among these the reference, else the best. Choosing and judging on the same samples "
    "flatters the winner a little: for a figure to quote, measure it on samples that took no part "
    "in the choice."
)
DIFFERENCE_NOTE = (
    "Difference: model minus reference, both on the same draws; 0 outside the interval is more "
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
    comparison : Comparison
        How the models stand to each other: the reference, the recommended one, who may be the best.
    further : tuple of str
        Names of the measures beyond the core ones.
    tests : dict of str to CalibrationTests
        Tests of calibration per model; empty unless asked for.
    decompositions : dict of str to dict of str to ScoreDecomposition
        Of the ``brier`` score and ``log_loss`` of the event that the expected calibration error
        compares, per model; empty unless tests were asked for.
    bins : ndarray of shape (n_bins + 1,) or None
        Own edges of the bins; None means bins of equal width.
    weighted : bool
        Whether samples have weights of their own.
    segments : SegmentReport or None
        Segments of the table `by`; None without one.
    """

    models: dict[str, ModelReport]
    n_samples: int
    n_groups: int | None
    classes: LabelArray
    n_bins: int
    view: Literal["binary", "top_label"]
    confidence_level: float
    n_resamples: int
    comparison: Comparison
    further: tuple[str, ...] = ()
    tests: dict[str, CalibrationTests] = field(default_factory=dict)
    decompositions: dict[str, dict[str, ScoreDecomposition]] = field(default_factory=dict)
    bins: Float64Array | None = None
    weighted: bool = False
    segments: SegmentReport | None = None

    @property
    def information(self) -> dict[str, MeasureInfo]:
        """What a reader has to know about every measure, in reading order."""
        own = self.bins is not None
        core = measures.describe_measures(self.n_bins, self.view, self.classes[1], own)
        return core | further_measures.information(self.further, self.n_bins, own)

    @property
    def titles(self) -> dict[str, str]:
        """Heading of every measure, in reading order."""
        return {name: info.title for name, info in self.information.items()}

    @cached_property
    def facts(self) -> Facts:
        """What the sentences are made of."""
        return Facts(
            self.models,
            {name: diagnose(model, self.confidence_level) for name, model in self.models.items()},
            self.comparison,
            measure_digits(self.models),
            self.view,
            self.n_samples,
            self.weighted,
            self.confidence_level,
        )

    # ------------------------------------------------------------------------------------- answer

    @property
    def reference(self) -> str:
        """Model that the others are compared with."""
        return self.comparison.reference

    @property
    def recommended(self) -> str:
        """Model to use: of those that may be the best one without miscalibration, if any."""
        return self.comparison.recommended

    @property
    def may_be_best(self) -> tuple[str, ...]:
        """Models that cannot be told from the best by the criterion, best first."""
        return self.comparison.candidates

    @property
    def answer(self) -> list[doc.Verdict]:
        """What to do, and its reasons: the headline and the bullets."""
        verdicts = [answer.headline(self.facts), *answer.bullets(self.facts)]
        if self.segments is not None:
            first, off = verdicts[0], self.segments.summary(self.recommended)
            if off:
                verdicts[0] = replace(first, template=f"{first.template} {escaped(off)}")
            several = f"{self.recommended}, by segments. " if len(self.models) > 1 else ""
            text = f"{several}{self.segments.verdict(self.recommended)}"
            if off and self.view == "binary":
                text += " MulticalibrationCalibrator learns from these columns."
            verdicts.append(doc.Verdict("segments", escaped(text)))
        return verdicts

    @property
    def findings(self) -> list[str]:
        """The answer as sentences."""
        return [verdict.text for verdict in self.answer]

    def verdict(self, model: str) -> str:
        """Say in a few sentences what the numbers of a model do and do not show."""
        return page.remark(self.facts, self._known(model, "model"))

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
            By measure. What is hard for both models cancels, as both see the same draws; the number
            of an error is the difference of what is left without the part of chance, ``usual`` that
            of the usual values.

        Raises
        ------
        ValueError
            If the report has no model of that name.
        """
        results = [
            self.models[self._known(name, label)].measures
            for name, label in ((model, "model"), (base, "base"))
        ]
        draws = self.comparison.draws
        return {
            key: difference(
                results[0][key],
                results[1][key],
                draws[model][:, column],
                draws[base][:, column],
                info,
            )
            for column, (key, info) in enumerate(self.information.items())
        }

    def _known(self, name: str, label: str) -> str:
        check_option(label, name, tuple(self.models))
        return name

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        level = f"{100 * self.confidence_level:g} %"
        units = "" if self.n_groups is None else f" in {self.n_groups:,} groups"
        return (
            f"{self.n_samples:,} samples{units}, {len(self.classes):,} classes; {level} intervals "
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
        """Return everything as plain dictionaries, lists, strings and numbers, for JSON.

        None stands for a number that there is not, such as an end of what chance shows where there
        are too few draws.
        """
        models = {}
        for name, result in self.models.items():
            models[name] = {
                "measures": {
                    key: {
                        part: number if math.isfinite(number) else None
                        for part, number in zip(_PARTS, _numbers(m), strict=True)
                    }
                    for key, m in result.measures.items()
                },
                "words": self.facts.diagnoses[name].words(self.view),
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
            "answer": [
                {"case": verdict.case, "text": verdict.text, **verdict.parameters}
                for verdict in self.answer
            ],
            "comparison": self._comparison(),
            "differences": {
                name: {
                    key: {"value": apart.value, "low": apart.low, "high": apart.high}
                    for key, apart in differences.items()
                }
                for name, differences in self.differences.items()
            },
            "tests": {name: tests.to_dict() for name, tests in self.tests.items()},
            "segments": None if self.segments is None else self.segments.to_dicts(),
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

    def to_frame(self, *, tidy: bool = True) -> Any:
        """Return a pandas DataFrame, by default with one row per model and measure.

        Parameters
        ----------
        tidy : bool, default=True
            Whether a row is one measure of one model; otherwise it is one model.

        Returns
        -------
        frame : pandas.DataFrame
            Tidy: columns ``model``, ``measure``, ``value`` with ``low`` and ``high`` (the number
            that the interval holds, of errors without the part of chance), ``usual`` (as papers
            print it), ``if_calibrated``, ``chance_low`` and ``chance_high`` (the same number under
            calibration, all numbers of the report together), ``p``, ``beyond_chance``, ``rank``
            from 1, ``may_be_best`` and ``behind_at_least``.
            Otherwise the usual values, one column per measure; then for each measure
            ``<measure>_debiased`` with ``_low`` and ``_high`` (its interval), ``_floor``,
            ``_floor_low`` and ``_floor_high`` (if calibrated).

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="CalibrationReport.to_frame")
        check_option("tidy", tidy, (True, False))
        if tidy:
            rows = [
                self._tidy_row(name, key, measure)
                for name, result in self.models.items()
                for key, measure in result.measures.items()
            ]
            return pandas.DataFrame(rows)
        wide = {}
        for name, result in self.models.items():
            row = {key: m.value for key, m in result.measures.items()}
            for key, m in result.measures.items():
                parts = zip(_PARTS[1:], _numbers(m)[1:], strict=True)
                row.update({f"{key}_{part}": number for part, number in parts})
            wide[name] = row
        return pandas.DataFrame.from_dict(wide, orient="index").rename_axis("model")

    def _tidy_row(self, name: str, key: str, measure: MeasureResult) -> dict[str, Any]:
        low, high = page.chance(key, measure)
        ranking = self.comparison.rankings.get(key)
        place = self.comparison.names.index(name)
        return {
            "model": name,
            "measure": key,
            "value": measure.debiased,
            "low": measure.low,
            "high": measure.high,
            "usual": measure.value,
            "if_calibrated": measure.floor,
            "chance_low": low,
            "chance_high": high,
            "p": measure.p_value,
            "beyond_chance": measure.surprises(key),
            "rank": None if ranking is None else ranking.order.tolist().index(place) + 1,
            "may_be_best": ranking is not None and bool(ranking.may_be_best[place]),
            "behind_at_least": (
                math.nan if ranking is None else float(ranking.behind_at_least[place])
            ),
        }

    def _comparison(self) -> dict[str, Any]:
        comparison = self.comparison
        return {
            "reference": comparison.reference,
            "criterion": comparison.criterion,
            "recommended": comparison.recommended,
            "order": list(comparison.order),
            "may_be_best": list(comparison.candidates),
            "behind_at_least": {name: comparison.behind_at_least(name) for name in self.models},
            "worse": comparison.worse,
        }

    def to_latex(
        self, values: Literal["debiased", "usual"] = "debiased", *, intervals: bool = True
    ) -> str:
        r"""Return the table of methods for LaTeX.

        Parameters
        ----------
        values : {"debiased", "usual"}, default="debiased"
            Which number of a calibration error is shown: without the part of chance, which its
            interval holds, or as papers print it.
        intervals : bool, default=True
            Whether intervals stand behind the numbers, in brackets; usual values of errors have
            none.

        Returns
        -------
        table : str
            A ``tabular`` with the rules of the package booktabs. Bold is the best of a column,
            underlined what cannot be told from it, a dagger marks more than chance.

        Raises
        ------
        ValueError
            If an option is unknown.
        """
        check_option("values", values, ("debiased", "usual"))
        check_option("intervals", intervals, (True, False))
        table = page.comparison_table(self.facts, values, intervals=intervals)
        return latex.latex_of(doc.Document("Calibration report", self.heading, [table]))

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the reliability diagrams of all models into one pair of axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **options
            As for `ReliabilityDisplay.plot`; without them the band is drawn for a single model
            only, and no histogram.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ValueError
            If an option is unknown.
        ImportError
            If matplotlib is not installed.
        """
        from calib.evaluation.display.reliability import ReliabilityDisplay

        require("matplotlib", extra="plot", purpose="CalibrationReport.plot")
        options = {"band": len(self.models) == 1, "histogram": False, **options}
        for name, result in self.models.items():
            display = ReliabilityDisplay(
                result.table,
                name=name,
                average=self.view,
                confidence_level=self.confidence_level,
            )
            ax = display.plot(ax, **options).ax_
        return ax

    # ----------------------------------------------------------------------------------- document

    def document(self) -> doc.Document:
        """Return the report as blocks, which the text, the page and the tables show."""
        facts = self.facts
        first, *bullets = self.answer
        alone = len(self.models) == 1
        table = page.measures_table(facts) if alone else page.comparison_table(facts)
        blocks: list[doc.Block] = [table, *page.legend(facts)]
        pair = figures.figure_pair(facts)
        blocks += [] if pair is None else [pair]
        if self.segments is not None:
            blocks.append(doc.Fold("Who is off?", self.segments.blocks(), "segments, worst first"))
        blocks.append(doc.Fold("How to read this", [page.definitions(facts)]))
        blocks.append(
            doc.Fold(
                "All numbers",
                [
                    page.all_numbers(
                        {name: result.measures for name, result in self.models.items()},
                        self.titles,
                        facts.digits,
                        self.confidence_level,
                    )
                ],
                "usual values, ranges, p-values",
            )
        )
        if not alone:
            blocks.append(doc.Fold("How far behind the best", page.behind_table(facts)))
            changes = page.differences_table(
                self.differences,
                {key: title for key, title in self.titles.items() if key not in PARTS_OF_ECE},
                facts.digits,
                self.confidence_level,
            )
            blocks.append(
                doc.Fold(
                    f"Changes against {self.reference}",
                    [doc.Paragraph(DIFFERENCE_NOTE, "soft"), changes],
                )
            )
        blocks.append(
            doc.Fold("Method by method" if not alone else "In words", page.remarks(facts))
        )
        chosen = self.models[self.recommended]
        ranges = figures.ranges_table(chosen.table, self.view, self.confidence_level)
        blocks.append(doc.Fold(f"Ranges of {self.recommended}", [ranges]))
        if chosen.class_table is not None and len(self.classes) > 2:
            blocks.append(
                figures.classes_fold(
                    chosen.class_table,
                    self.classes,
                    self.n_bins,
                    self.recommended,
                    self.confidence_level,
                )
            )
        blocks += self._tests()
        blocks.append(page.notes_fold([*self.notes, *self._further_notes()]))
        return doc.Document("Calibration report", self.heading, blocks, first, bullets)

    def _tests(self) -> list[doc.Block]:
        """Return tests and decompositions, if they were asked for."""
        blocks: list[doc.Block] = []
        if self.tests:
            tests: list[doc.Block] = []
            for name, results in self.tests.items():
                tests.append(table_of_tests(results, name))
                tests += [doc.Paragraph(note) for note in results.notes]
            blocks.append(doc.Fold("Tests of calibration", tests))
        if self.decompositions:
            sums: list[doc.Block] = [
                doc.Remark(name, _sum(*part))
                for name, parts in self.decompositions.items()
                for part in parts.items()
            ]
            blocks.append(doc.Fold("Decomposition", sums))
        return blocks

    def _further_notes(self) -> list[str]:
        """Return what the parts mean that not every report has."""
        grouped = self.tests and self.n_groups is not None
        notes = (
            (len(self.models) > 1, CHOICE_NOTE),
            (self.tests, P_VALUE_NOTE),
            (self.decompositions, DECOMPOSITION_NOTE),
            (grouped, GROUPED_NOTE),
        )
        return [note for part, note in notes if part]


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


def _sum(score: str, part: ScoreDecomposition) -> str:
    """Return a decomposition as a sum."""
    title = {"brier": "Brier", "log_loss": "log loss"}[score]
    return (
        f"{title} {printed(part.score, 4)} = {printed(part.miscalibration, 4)} - "
        f"{printed(part.discrimination, 4)} + {printed(part.uncertainty, 4)}"
    )
