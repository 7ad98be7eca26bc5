"""What a report on predicted distributions holds and how it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from calib._border.checks import check_option
from calib._border.optional import require
from calib._documents import document as doc
from calib._documents.digits import Digits, digits_of
from calib._documents.documented import Documented
from calib.evaluation.regression.report import figures, tables
from calib.evaluation.regression.report.measures import MEASURES
from calib.evaluation.regression.report.records import (
    COVERAGES,
    HEADINGS,
    DistributionReport,
    p_of,
)
from calib.evaluation.report import page
from calib.evaluation.report.records import ERRORS, MeasureResult
from calib.evaluation.sampling.intervals import Interval, least_redraws

SENTENCES = {
    "off": "{what}: {why}.{do}",
    "clean": "No sign of miscalibration; the 90 % intervals hold {coverage} % of {n} labels.",
    "few_draws": "Too few draws to judge: {draws} redraws of the labels cannot show what is more "
    "than chance at {level} %; at least {needed} are needed (n_resamples).",
    "use": "Use {model}: its CRPS is {gain} lower than that of {reference} ({low} to {high}){ties}"
    "; {state}.",
    "keep": "Keep {reference}: no other model has a lower CRPS beyond chance; {state}.",
    "best": "Use {model}: no other model has a lower CRPS beyond chance; {state}.",
}
_RECALIBRATE = " Recalibrate with DistributionCalibrator."


@dataclass(frozen=True, eq=False, repr=False)
class RegressionReport(Documented):
    """Result of `regression_report`; printing it shows the answer and the table.

    Attributes
    ----------
    models : dict of str to DistributionReport
        Results per model, in the order given.
    differences : dict of str to Interval
        CRPS of every other model minus that of the first, of the same labels.
    order : tuple of str
        Models by CRPS, the best first.
    may_be_best : tuple of str
        Models whose CRPS cannot be told from the best.
    n_samples : int
    n_groups : int or None
        Number of groups that are drawn whole.
    n_calibration : int or None
        Calibration samples that all distributions share.
    confidence_level : float in (0, 1)
    n_resamples : int
        Bootstrap draws, and redrawn labels.
    """

    models: dict[str, DistributionReport]
    differences: dict[str, Interval]
    order: tuple[str, ...]
    may_be_best: tuple[str, ...]
    n_samples: int
    n_groups: int | None
    n_calibration: int | None
    confidence_level: float
    n_resamples: int

    # ------------------------------------------------------------------------------------- answer

    @property
    def reference(self) -> str:
        """The first model, which the others are compared with."""
        return next(iter(self.models))

    @property
    def recommended(self) -> str:
        """Model to use: of those that may be the best one without a star, if any."""
        candidates = [name for name in self.order if name in self.may_be_best]
        fine = [name for name in candidates if not self.models[name].starred] or candidates
        return self.reference if self.reference in fine else fine[0]

    @property
    def is_judged(self) -> bool:
        """Whether there are enough redraws for any value to be beyond chance."""
        return self.n_resamples >= least_redraws(self.confidence_level)

    @cached_property
    def digits(self) -> dict[str, Digits]:
        """How every measure is printed."""
        out = {}
        for key in MEASURES:
            results = [m.measures[key] for m in self.models.values() if key in m.measures]
            if results:
                widths = sorted((m.high - m.low) / 2 for m in results if m.high > m.low)
                out[key] = digits_of(
                    widths[: max(1, len(widths) - 1)],  # a wild model does not coarsen the others
                    error=key in ERRORS,
                    percent=key in COVERAGES,
                    largest=max((abs(m.value) for m in results), default=0.0),
                )
        return out

    @property
    def findings(self) -> list[doc.Verdict]:
        """The answer, and what is to be said of every model of several."""
        if not self.is_judged:
            level = f"{100 * self.confidence_level:g}"
            needed = least_redraws(self.confidence_level)
            return [_verdict("few_draws", draws=self.n_resamples, level=level, needed=needed)]
        if len(self.models) == 1:
            (model,) = self.models.values()
            return [self._alone(model)]
        return [self._choice(), *self._others()]

    def _alone(self, model: DistributionReport) -> doc.Verdict:
        if not model.starred:
            return _verdict("clean", coverage=self._share(model, "coverage_90"), n=self._n)
        return _verdict("off", what=_capital(model.words), why=self._why(model), do=_RECALIBRATE)

    @property
    def _n(self) -> str:
        return f"{self.n_samples:,}"

    def _share(self, model: DistributionReport, key: str) -> str:
        share = 100 * model.measures[key].value
        return (
            f"{share:.1f}"
            if self.n_samples >= 500 and share not in (0.0, 100.0)
            else (f"{share:.0f}")
        )

    def _why(self, model: DistributionReport) -> str:
        """Return the measures beyond chance, in words."""
        told, biased = model.told, "mean_pit" in model.starred
        level = told.removeprefix("coverage_")
        parts = []
        if biased:
            side = "above" if model.pit.mean > 0.5 else "below"
            parts.append(f"labels lie {side} what was predicted (mean PIT {model.pit.mean:.2f})")
        if not biased or told in model.starred:
            measure = model.measures[told]
            steps = not measure.floor_low <= float(level) / 100 <= measure.floor_high
            right = f", where {100 * measure.floor:.0f} % would be right" if steps else ""
            share = self._share(model, told)
            parts.append(f"the {level} % intervals hold {share} % of {self._n} labels{right}")
        if "pit_distance" in model.starred:
            parts.append(f"PIT not uniform (p {p_of(model.p_value)})")
        if not any(key in model.starred for key in (*COVERAGES, "mean_pit", "pit_distance")):
            names = [HEADINGS[key][0] for key in model.starred]
            parts.append(f"{_enumerated(names)} {'is' if len(names) == 1 else 'are'} beyond chance")
        return "; ".join(parts)

    def _choice(self) -> doc.Verdict:
        chosen, first = self.recommended, self.reference
        model = self.models[chosen]
        state = self._state(model)
        if chosen == first:
            return _verdict("keep", reference=first, state=state)
        gain = self.differences[chosen]
        if gain.high >= 0:
            return _verdict("best", model=chosen, state=state)
        form = digits_of([(gain.high - gain.low) / 2], largest=abs(gain.value))
        ties = [name for name in self.order if name in self.may_be_best and name != chosen]
        same = f", as that of {_enumerated(ties)} may be" if ties else ""
        scale = f" {form.scale}" if form.scale else ""
        return _verdict(
            "use",
            model=chosen,
            gain=f"{form.value(-gain.value)}{scale}",
            reference=first,
            low=form.end(-gain.high),
            high=form.end(-gain.low),
            ties=same,
            state=state,
        )

    def _state(self, model: DistributionReport) -> str:
        if not model.starred:
            share = self._share(model, "coverage_90")
            return f"no sign of miscalibration, its 90 % intervals hold {share} %"
        return f"it is {model.words}: {self._why(model)}"

    def _others(self) -> list[doc.Verdict]:
        out = []
        for name, model in self.models.items():
            if name != self.recommended and model.starred:
                out.append(
                    _verdict("off", what=f"{name} is {model.words}", why=self._why(model), do="")
                )
        return out[:4]

    # ------------------------------------------------------------------------------------ outputs

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row per model and measure.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``model``, ``measure``, ``value`` with ``low`` and ``high`` (the number that the
            interval holds, of errors without the part of chance), ``usual`` (as the function of
            that name returns it), ``if_calibrated``, ``chance_low`` and ``chance_high`` (the usual
            number under calibration, all measures of the report together), ``p`` and
            ``beyond_chance``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="RegressionReport.to_frame")
        return pandas.DataFrame(
            [
                {"model": name, "measure": key, **_numbers(key, measure)}
                for name, model in self.models.items()
                for key, measure in model.measures.items()
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries, lists, strings and numbers, for JSON."""
        models = {}
        for name, model in self.models.items():
            curve, histogram = model.coverage, model.histogram
            models[name] = {
                "words": model.words,
                "measures": {
                    key: {part: _plain(value) for part, value in _numbers(key, measure).items()}
                    for key, measure in model.measures.items()
                },
                "pit_p_value": model.p_value,
                "pit_variance_ratio": model.pit.variance_ratio,
                "mean_std": _plain(model.mean_std.value),
                "mean_width": _plain(model.mean_width.value),
                "n_infinite": model.n_infinite,
                "pit_density": histogram.density.tolist(),
                "coverage": {
                    "levels": curve.levels.tolist(),
                    "coverage": curve.coverage.tolist(),
                    "low": curve.low.tolist(),
                    "high": curve.high.tolist(),
                },
            }
        return {
            "n_samples": self.n_samples,
            "n_groups": self.n_groups,
            "n_calibration": self.n_calibration,
            "confidence_level": self.confidence_level,
            "n_resamples": self.n_resamples,
            "models": models,
            "differences": {
                name: {"value": apart.value, "low": apart.low, "high": apart.high}
                for name, apart in self.differences.items()
            },
            "order": list(self.order),
            "may_be_best": list(self.may_be_best),
            "recommended": self.recommended,
            "findings": [verdict.text for verdict in self.findings],
        }

    # ----------------------------------------------------------------------------------- document

    def document(self) -> doc.Document:
        """Return the report as blocks, which text, page and tables show."""
        first, *bullets = self.findings
        alone = len(self.models) == 1
        level = f"{100 * self.confidence_level:g} %"
        units = "" if self.n_groups is None else f" in {self.n_groups:,} groups"
        shared = (
            ""
            if self.n_calibration is None
            else f", predicted from {self.n_calibration:,} calibration samples"
        )
        heading = (
            f"{self._n} samples{units}{shared}; {level} intervals from {self.n_resamples:,} draws"
        )
        if alone:
            (model,) = self.models.values()
            table = tables.measures_in_rows(model, self.digits, self.confidence_level)
        else:
            table = tables.models_in_rows(
                self.models, self.order, self.may_be_best, self.recommended, self.digits
            )
        blocks: list[doc.Block] = [table, *self._legend()]
        blocks.append(
            figures.distribution_figures(
                {name: model.histogram for name, model in self.models.items()},
                {name: model.coverage for name, model in self.models.items()},
                self.reference,
                self.recommended,
                self._finding(),
            )
        )
        blocks.append(
            doc.Fold("How to read this", [tables.regression_definitions(self.confidence_level)])
        )
        titles = {
            key: info.title
            for key, info in MEASURES.items()
            if key in self.digits and key != "pit_distance"
        }
        measures = {name: model.measures for name, model in self.models.items()}
        numbers = page.all_numbers(measures, titles, self.digits, self.confidence_level)
        blocks.append(
            doc.Fold(
                "All numbers",
                [numbers, tables.sharpness_table(self.models)],
                "usual values, ranges, p-values",
            )
        )
        if self.differences:
            blocks.append(
                doc.Fold(
                    f"CRPS against {self.reference}",
                    [tables.crps_table(self.differences, self.reference, self.confidence_level)],
                )
            )
        blocks.append(page.notes_fold(self.notes))
        return doc.Document("Regression report", heading, blocks, first, bullets)

    @property
    def notes(self) -> list[str]:
        """How the numbers were computed, one sentence or two each."""
        unit = "samples" if self.n_groups is None else "groups"
        notes = [
            f"Intervals are over {unit}: of means from their moments, of errors by inversion of "
            "what chance adds.",
            "If calibrated: labels redrawn from the predicted distributions and measured again. "
            "A star marks a value outside the range that all measures of the report keep together "
            f"in {100 * self.confidence_level:g} % of redraws.",
            "The p-value of the integral transforms is that of the Kolmogorov-Smirnov test alone.",
        ]
        if self.n_calibration is not None:
            notes.append(
                f"Predictions share the error of {self.n_calibration:,} calibration samples: "
                "redrawn levels are ranks among as many levels, and the test has n m / (n + m) "
                "samples."
            )
        if self.n_groups is not None:
            notes.append("Redrawn labels are as correlated inside groups as the observed.")
        return notes

    def _finding(self) -> str:
        """Return what the figures show, as their title."""
        histogram = self.models[self.recommended].histogram
        density = histogram.density
        outside = int(((density < histogram.low) | (density > histogram.high)).sum())
        where = f"{outside} of {len(density)} bins" if outside else "No bin"
        verb = "lies" if outside <= 1 else "lie"
        return f"{where} of {self.recommended} {verb} outside the band of chance."

    def _legend(self) -> list[doc.Block]:
        level = f"{100 * self.confidence_level:g} %"
        stars = (
            f"* outside chance if calibrated, all numbers together, {level}."
            if self.is_judged
            else "No stars: too few draws."
        )
        grey = "Grey: what chance shows if calibrated. * and diamond: outside. "
        several = (
            "Bold: best; grey figures: clearly worse in CRPS."
            if len(self.models) > 1
            else "Each row has its own scale."
        )
        return [
            doc.Paragraph(
                f"Dot and line: value and {level} interval. {grey}{several}", "soft", "page"
            ),
            doc.Paragraph(
                f"{stars} QCE, ENCE, UCE: bias removed, 0 is chance only. report.details(): all "
                "numbers.",
                "soft",
                "terminal",
            ),
        ]

    def plot(self, ax: Any = None) -> Any:
        """Draw the coverage curves of all models into one pair of axes.

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
        from calib.evaluation.display.distributions import CoverageDisplay

        for name, model in self.models.items():
            display = CoverageDisplay(model.coverage, name=name)
            ax = display.plot(ax, band=len(self.models) == 1).ax_
        return ax

    def compare(self, model: str) -> Interval:
        """Return the CRPS of a model minus that of the first, of the same labels.

        Parameters
        ----------
        model : str

        Returns
        -------
        difference : Interval

        Raises
        ------
        ValueError
            If the report has no further model of that name.
        """
        check_option("model", model, tuple(self.differences))
        return self.differences[model]


def _verdict(case: str, **values: object) -> doc.Verdict:
    return doc.Verdict(case, SENTENCES[case], {key: str(value) for key, value in values.items()})


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _enumerated(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _numbers(key: str, measure: MeasureResult) -> Mapping[str, Any]:
    return {
        "value": measure.debiased,
        "low": measure.low,
        "high": measure.high,
        "usual": measure.value,
        "if_calibrated": measure.floor,
        "chance_low": measure.floor_low,
        "chance_high": measure.floor_high,
        "p": measure.p_value,
        "beyond_chance": measure.surprises(key),
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
