"""What a detection report holds and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from calib._border.optional import require
from calib._documents import document as doc, latex
from calib._documents.documented import Documented
from calib.evaluation.detection.report import answer, figures, page
from calib.evaluation.detection.report.answer import DetectorFacts
from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionModelReport,
    numbers_of,
    plain,
    plain_fields,
)
from calib.evaluation.report.ranking import Ranking
from calib.evaluation.report.records import ERROR_NOTE

#: Numbers of a model beside its measures.
_NUMBERS = ("coverage", "ap", "ap50", "ap75", "n_kept", "n_ignored", "n_skipped")


@dataclass(frozen=True, eq=False, repr=False)
class DetectionReport(Documented):
    """Result of `detection_report`; printing it says what to do and shows why.

    Attributes
    ----------
    models : dict of str to DetectionModelReport
        Results of raw scores and of every calibrator, in the order of the report.
    per_class : dict of str to ClassTable
        One table per calibrator.
    n_detections, n_images, n_truth : int
        Detections given, images, and boxes that can be missed.
    confidence_level : float in (0, 1)
        Level of all intervals.
    n_resamples, n_floor : int
        Draws of images behind each interval, and simulated detectors behind each floor.
    max_detections : int or None
        Limit per image and class of average precision, and of nothing else.
    n_beyond_limit : int
        Detections beyond it, which average precision does not read.
    rankings : dict of str to Ranking
        Per raw scores, its calibrators compared by the proper score of their target.
    """

    models: dict[str, DetectionModelReport]
    per_class: dict[str, ClassTable]
    n_detections: int
    n_images: int
    n_truth: int
    confidence_level: float
    n_resamples: int
    n_floor: int
    max_detections: int | None = 100
    n_beyond_limit: int = 0
    rankings: dict[str, Ranking] = field(default_factory=dict)

    @property
    def titles(self) -> dict[str, str]:
        """Heading of every measure, in reading order."""
        models = list(self.models.values())
        at = _overlaps([model.iou_threshold for model in models])
        hit = _overlaps([model.precision_iou for model in models])
        zero = "_0" if at == "any overlap" else ""
        names = {
            "localization_aware_calibration_error": (
                f"LaECE{zero}: localisation-aware calibration error, {at}, 25 bins per class, %"
            ),
            "localization_aware_absolute_error": (
                f"LaACE{zero}: mean absolute error of score against overlap, {at}, "
                f"class by class, %"
            ),
            "score_iou_squared_error": f"Squared error of score against overlap, {at}",
            "localization_recall_precision": (
                f"LRP: localisation recall precision error, {at}, mean over classes, %"
            ),
            "lrp_localization": "LRP, displacement of the boxes that are found, %",
            "lrp_false_positive": "LRP, false positives among detections, %",
            "lrp_false_negative": "LRP, missed boxes, %",
            "detection_calibration_error": f"D-ECE: detection calibration error, {hit}, 10 bins, %",
            "brier": f"Brier score: squared error of score against true positives, {hit}",
            "position_calibration_error": (
                f"D-ECE over score and position, {hit}, 5 bins each of score, centre and size, %"
            ),
        }
        shown = dict.fromkeys(key for model in models for key in model.measures)
        return {key: names[key] for key in shown}

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        images = f"{self.n_images:,} image{'' if self.n_images == 1 else 's'}"
        kept = self.models[self.recommended].n_kept
        return (
            f"{images}, {self.n_truth:,} boxes, {self.n_detections:,} detections, {kept:,} at the "
            "operating point"
        )

    @property
    def _limit(self) -> str:
        """What average precision does not read, in a sentence."""
        beyond = self.n_beyond_limit
        rest = (
            f"; {beyond:,} of {self.n_detections:,} detections stand beyond this limit, which no "
            "other number has"
            if beyond
            else ", all other numbers read every detection"
        )
        return (
            f"Average precision reads at most {self.max_detections:,} detections per image and "
            f"class{rest}."
        )

    @property
    def notes(self) -> list[str]:
        """What the columns mean, one sentence or two each."""
        several = len({model.baseline for model in self.models.values()} - {None}) > 1
        missing = any(model.position is None for model in self.models.values())
        level = f"{100 * self.confidence_level:g} %"
        sampled = (
            f"{level} intervals from {self.n_resamples:,} draws of images, the same before and "
            "after"
            if self.n_resamples
            else "No intervals, because a single image cannot be resampled"
        )
        out = [
            f"{sampled}; chance from {self.n_floor:,} simulated detectors whose scores are right.",
            "Raw: detections at or above the raw threshold of their class. Calibrated: of these, "
            "the ones at or above the calibrated threshold. The two squared errors take all "
            "detections that reach the raw threshold, so that every row judges the same boxes.",
            "Interval: bootstrap over images, the same draws for all rows, edges of the bins held "
            f"fixed. {ERROR_NOTE}",
            "If calibrated: what the same detections show on average if their scores are right, "
            "with targets redrawn as dependent inside images as the observed. For a calibration "
            "error this is the floor that even a perfect detector shows; for squared and absolute "
            "errors it is what the scores promise.",
            "* marks a value above what chance explains. The range in brackets allows for all "
            "numbers of the report together: a report on calibrated detectors has a star anywhere "
            f"in at most {100 * (1 - self.confidence_level):g} % of samples.",
            "Change: value minus that of the raw scores on the same draws of images; ! marks a "
            "change whose interval leaves 0 out.",
        ]
        if several:
            out.append(
                "Calibrators with different targets, overlaps or raw thresholds are compared each "
                "with raw scores of their own; numbers of different groups are not comparable."
            )
        if any(model.target == "iou" for model in self.models.values()):
            out.append(
                "Scores that are calibrated to overlaps are lower than the probability of being a "
                "true positive at a moderate overlap: their D-ECE stays above its floor by design."
            )
        if self.max_detections is not None:
            out.append(self._limit)
        if missing:
            out.append(
                "Image sizes are not known: the error over positions and the maps are left out."
            )
        else:
            out.append(
                "D-ECE over position counts the cells with 8 detections or more; the coverage is "
                "their share of all detections."
            )
        return out

    # ------------------------------------------------------------------------------------- answer

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """Calibrators by the name of the raw scores that they are compared with."""
        found: dict[str, list[str]] = {
            name: [] for name, model in self.models.items() if model.baseline is None
        }
        for name, model in self.models.items():
            if model.baseline is not None:
                found[model.baseline].append(name)
        return found

    @property
    def recommended(self) -> str:
        """Calibrator that the answer is about: of the first raw scores, the best by proper score.

        Of those that cannot be told from the best, one without an error beyond chance if any.
        """
        return self._best_of(next(iter(self.groups)))

    def _best_of(self, raw: str) -> str:
        names: list[str] = self.groups[raw]
        ranking = self.rankings.get(raw)
        if not names:
            return raw
        if ranking is None:
            return names[0]
        ranked: list[str] = [names[place] for place in ranking.order if ranking.may_be_best[place]]
        clean = [name for name in ranked if not self._facts(name).error.is_beyond_floor]
        return next(iter(clean), ranked[0])

    def _facts(self, name: str) -> DetectorFacts:
        after = self.models[name]
        before = None if after.baseline is None else self.models[after.baseline]
        return DetectorFacts(name, after, before, self.per_class.get(name), self.confidence_level)

    @property
    def answer(self) -> list[doc.Verdict]:
        """What to do, and its reasons: the headline and the bullets."""
        first, *rest = self.groups
        chosen = self._best_of(first)
        facts = self._facts(chosen)
        headline = answer.detector_headline(facts, len(self.groups[first]))
        found = answer.detector_bullets(facts)
        if facts.classes is not None:
            found[-1] = answer.as_one("kept", [found[-1], answer.thresholds(facts.classes)])
        beside = answer.others(
            self.rankings.get(first), self.groups[first], chosen, facts.after.target
        )
        beside += [answer.elsewhere(self._facts(self._best_of(raw))) for raw in rest]
        if beside:
            found.append(answer.as_one("others", beside))
        return [headline, *found]

    @property
    def findings(self) -> list[str]:
        """The answer as sentences."""
        return [verdict.text for verdict in self.answer]

    def verdict(self, model: str) -> str:
        """Say in a few sentences what the numbers of a model do and do not show.

        Parameters
        ----------
        model : str
            A key of `models`.

        Returns
        -------
        text : str
        """
        facts = self._facts(model)
        return " ".join(
            one.text for one in [answer.detector_headline(facts), *answer.detector_bullets(facts)]
        )

    # ------------------------------------------------------------------------------------ outputs

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries, lists, strings and numbers; None for NaN."""
        out: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "n_detections",
                "n_images",
                "n_truth",
                "confidence_level",
                "n_resamples",
                "n_floor",
                "max_detections",
                "n_beyond_limit",
                "titles",
            )
        }
        out["models"] = {
            name: {
                **plain_fields(model),
                "measures": {
                    key: {part: plain(number) for part, number in numbers_of(m).items()}
                    for key, m in model.measures.items()
                },
                "verdict": self.verdict(name),
            }
            for name, model in self.models.items()
        }
        out["answer"] = [
            {"case": verdict.case, "text": verdict.text, **verdict.parameters}
            for verdict in self.answer
        ]
        out["per_class"] = {name: plain_fields(table) for name, table in self.per_class.items()}
        return out

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per set of scores.

        Returns
        -------
        frame : pandas.DataFrame
            First the values, one column per measure, average precision, counts and coverage; then
            for each measure ``<measure>_debiased``, ``_low`` and ``_high`` (interval), ``_floor``,
            ``_floor_sd``, ``_floor_low``, ``_floor_high``, ``_excess`` (value minus floor), and
            ``_change``, ``_change_low``, ``_change_high`` (from raw scores).

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="DetectionReport.to_frame")
        rows = {}
        for name, model in self.models.items():
            row = {key: m.value for key, m in model.measures.items()}
            row.update({part: getattr(model, part) for part in _NUMBERS})
            for key, m in model.measures.items():
                parts = list(numbers_of(m).items())[1:]
                row.update({f"{key}_{part}": number for part, number in parts})
            rows[name] = row
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def per_class_frame(self) -> Any:
        """Return a pandas DataFrame with one row per calibrator and class.

        Returns
        -------
        frame : pandas.DataFrame
            Columns of `ClassTable`; index ``model`` and ``label``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="DetectionReport.per_class_frame")
        parts = []
        for model, table in self.per_class.items():
            columns = {one.name: getattr(table, one.name) for one in fields(table)}
            parts.append(pandas.DataFrame({"model": [model] * len(table), **columns}))
        return pandas.concat(parts, ignore_index=True).set_index(["model", "label"])

    def to_latex(self) -> str:
        """Return the tables of the report for LaTeX, all of them.

        Returns
        -------
        tables : str
            Each a ``tabular`` with the rules of the package booktabs.
        """
        document = self.document()
        tables = [page.paper_table(table) for table in document.tables()]
        return latex.latex_of(replace(document, blocks=tables))

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw score against outcome of all models into one pair of axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **options
            ``scale="logit"`` stretches both axes near 0 and 1; the others are passed to ``ax.plot``
            for the curves.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ValueError
            If `scale` is unknown.
        ImportError
            If matplotlib is not installed.

        See Also
        --------
        DetectionHeatmapDisplay : draws ``models[name].position``.
        """
        from calib.evaluation.display.detection import draw_reliability

        for name, model in self.models.items():
            bins = model.reliability[model.target]
            ax = draw_reliability(bins, model.target, name, ax, **options)
        return ax

    # ----------------------------------------------------------------------------------- document

    def document(self) -> doc.Document:
        """Return the report as blocks, which the text, the page and the tables show."""
        chosen = self.recommended
        facts = self._facts(chosen)
        headline, *bullets = self.answer
        table: list[doc.Block] = [page.answer_table(facts), *page.signs_of(facts)]
        several = len(self.per_class) > 1
        if several:
            ranked = page.calibrators_table(self.models, self.groups, self.rankings, chosen)
            table = [ranked, *page.signs_of(facts)[1:], doc.Fold(f"{chosen} against raw", table)]
        if self.n_beyond_limit:
            table.append(doc.Paragraph(self._limit, "soft"))
        pair = figures.outcome_panels(facts)
        blocks = [*table, *([] if pair is None else [pair])]
        blocks.append(doc.Fold("How to read this", [page.words_of(facts)]))
        numbers = page.numbers_table(self.titles, self.models, self.confidence_level)
        blocks.append(doc.Fold("All numbers", [numbers], "debiased, intervals, changes"))
        if several:
            remarks = [doc.Remark(name, self.verdict(name)) for name in self.models]
            blocks.append(doc.Fold("In words", remarks))
        counts = page.counts(self.models, self.per_class, self.n_detections)
        blocks.append(doc.Fold("Counts and average precision", counts))
        by_class = {name: self._class_folds(name) for name in self.per_class}
        blocks += by_class.pop(chosen, [])
        rest: list[doc.Block] = [fold for folds in by_class.values() for fold in folds]
        blocks += [doc.Fold("Classes and thresholds of the others", rest)] if rest else []
        maps = {name: m.position for name, m in self.models.items() if m.position is not None}
        if maps:
            blocks.append(doc.Fold("Gap by position", [figures.position_maps(maps)]))
        blocks.append(doc.Fold("How this was computed", [doc.Notes(self.notes)]))
        return doc.Document("Detection report", self.heading, blocks, headline, bullets)

    def _class_folds(self, name: str) -> list[doc.Fold]:
        classes, of = self.per_class[name], f" of {name}" if len(self.per_class) > 1 else ""
        return [
            page.score_gaps_fold(of, classes, self.models[name].target),
            page.thresholds_fold(of, classes),
        ]


def _overlaps(thresholds: list[float]) -> str:
    """Name the overlap of a true positive; several where models differ."""
    distinct = sorted(set(thresholds))
    if distinct == [0.0]:
        return "any overlap"
    return "overlap " + " or ".join(f"{tau:g}" if tau else "> 0" for tau in distinct)
