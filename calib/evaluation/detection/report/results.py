"""What a detection report holds and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from calib._border.optional import require
from calib._documents import document as doc
from calib._documents.documented import Documented
from calib.evaluation.detection.report import charts
from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionMeasure,
    DetectionModelReport,
    numbers_of,
    plain,
    plain_fields,
)
from calib.evaluation.detection.report.verdicts import PLAIN, pair, verdict
from calib.evaluation.report.records import ERROR_NOTE

#: Numbers of a model beside its measures.
_NUMBERS = ("coverage", "ap", "ap50", "ap75", "n_kept", "n_ignored", "n_skipped")
CLASS_NOTE = (
    "Raw \N{RIGHTWARDS ARROW} calibrated. Score, IoU (0 for false positives) and precision are "
    "means over the kept detections: a calibrated score should equal the IoU or the precision, "
    "whichever it was fitted to."
)


@dataclass(frozen=True, eq=False, repr=False)
class DetectionReport(Documented):
    """Result of `detection_report`; printing it shows the table.

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
        level = f"{100 * self.confidence_level:g} %"
        sampled = (
            f"{level} intervals from {self.n_resamples:,} draws of images"
            if self.n_resamples
            else "no intervals, because a single image cannot be resampled"
        )
        return (
            f"{self.n_detections:,} detections, {self.n_truth:,} boxes, {self.n_images:,} "
            f"image{'' if self.n_images == 1 else 's'}; {sampled}, floors from {self.n_floor:,} "
            f"simulated detectors"
        )

    @property
    def notes(self) -> list[str]:
        """What the columns mean, one sentence or two each."""
        several = len({model.baseline for model in self.models.values()} - {None}) > 1
        missing = any(model.position is None for model in self.models.values())
        out = [
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
            beyond = self.n_beyond_limit
            rest = (
                f"; {beyond:,} of {self.n_detections:,} detections stand beyond this limit, which "
                f"no other number has"
            )
            out.append(
                f"Average precision reads at most {self.max_detections:,} detections per image and "
                f"class{rest if beyond else ', all other numbers read every detection'}."
            )
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
        found = self.models[model]
        raw = None if found.baseline is None else self.models[found.baseline]
        return verdict(found, raw, self.per_class.get(model))

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
        blocks: list[doc.Block] = [
            *(doc.Remark(name, self.verdict(name)) for name in self.models),
            self._measures(),
            self._counts(),
            *self._diagrams(),
        ]
        for name, table in self.per_class.items():
            title = f"{name}: {len(table)} classes"
            blocks.append(doc.Fold(title, [doc.Paragraph(CLASS_NOTE, "soft"), _classes(table)]))
        return doc.Document("Detection report", self.heading, [*blocks, doc.Notes(self.notes)])

    def _measures(self) -> doc.Table:
        level = f"{100 * self.confidence_level:g} %"
        columns = [
            doc.Column("scores"),
            doc.Column("value", weight="strong"),
            doc.Column("debiased"),
            doc.Column(f"{level} interval"),
            doc.Column("if calibrated", f"({level} range)"),
            doc.Column("change from raw", weight="strong"),
        ]
        groups = []
        for key, title in self.titles.items():
            rows = [
                _measure_row(name, key, model.measures[key])
                for name, model in self.models.items()
                if key in model.measures
            ]
            groups.append(doc.Group(rows, title))
        return doc.Table(columns, groups)

    def _counts(self) -> doc.Table:
        columns = ("scores", "Kept", "Ignored", "Coverage", "AP", "AP50", "AP75")
        rows = []
        for name, model in self.models.items():
            shares = (model.coverage, model.ap, model.ap50, model.ap75)
            percent = ("n/a" if np.isnan(share) else f"{100 * share:.2f}" for share in shares)
            numbers = (name, f"{model.n_kept:,}", f"{model.n_ignored:,}", *percent)
            rows.append(numbers)
        title = "Counts at the operating point; shares and average precision of all detections in %"
        return doc.plain_table(columns, {"": rows}, title)

    def _diagrams(self) -> list[doc.Figures]:
        maps = {name: m.position for name, m in self.models.items() if m.position is not None}
        limit = charts.colour_range(list(maps.values()))
        both = (
            doc.Figures(
                "Score against outcome",
                [charts.detection_diagram(name, model) for name, model in self.models.items()],
                "A dot per bin of the score, all classes pooled, at mean score and mean outcome, "
                "larger for more detections: overlap (0 for false positives), and share of true "
                f"positives. Bars: {100 * self.confidence_level:g} % bootstrap intervals over "
                "images, each bin by itself. Below, the share of detections per bin.",
            ),
            doc.Figures(
                "Gap by position",
                [charts.position_diagram(name, found, limit) for name, found in maps.items()],
                "Mean score minus mean outcome by box centre, in points: red where scores promise "
                "too much, blue where too little, grey with fewer than "
                f"{charts.MIN_SAMPLES} detections. Small numbers: detections. A gap below twice "
                "40\N{THIN SPACE}/\N{THIN SPACE}\N{SQUARE ROOT}n points may be chance.",
            ),
        )
        return [block for block in both if block.figures]


def _overlaps(thresholds: list[float]) -> str:
    """Name the overlap of a true positive; several where models differ."""
    distinct = sorted(set(thresholds))
    if distinct == [0.0]:
        return "any overlap"
    return "overlap " + " or ".join(f"{tau:g}" if tau else "> 0" for tau in distinct)


def _measure_row(name: str, key: str, measure: DetectionMeasure) -> list[doc.Cell]:
    """Return the numbers of a measure; nothing where there is none."""
    scale, digits = (1.0, 4) if key in PLAIN else (100.0, 2)

    def show(value: float, sign: str = "") -> str:
        return "" if np.isnan(value) else f"{scale * value:{sign}.{digits}f}"

    def within(low: float, high: float, sign: str = "") -> str:
        ends = pair(show(low, sign), show(high, sign))
        return ends and f"({ends})"

    change, changed = measure.change, doc.Cell("")
    if change is not None and change.value == change.low == change.high == 0:
        changed = doc.Cell("none", ink="soft")
    elif change is not None and not np.isnan(change.value):
        mark = "!" if measure.is_changed else ""
        changed = doc.Cell(show(change.value, "+"), within(change.low, change.high, "+"), mark)
    return [
        doc.Cell(name),
        doc.Cell(show(measure.value) or "n/a", mark="*" if measure.is_beyond_floor else ""),
        doc.Cell(show(measure.debiased)),
        doc.Cell(pair(show(measure.low), show(measure.high))),
        doc.Cell(show(measure.floor), within(measure.floor_low, measure.floor_high)),
        changed,
    ]


def _classes(table: ClassTable) -> doc.Table:
    """Return one row per class, raw and calibrated."""
    columns = ["Class", "Boxes", "Kept", "Cutoff", "Score", "IoU", "Prec.", "LRP"]
    any_shared = any(table.map_fallback) or table.threshold_fallback.any()
    rows = []
    for k, name in enumerate(table.name):
        row = [
            name,
            f"{table.n_truth[k]:,}",
            _both(f"{table.n_raw[k]:,}", f"{table.n_kept[k]:,}"),
            _both(*map(_share, (table.threshold_raw[k], table.threshold_calibrated[k]))),
            _both(*map(_share, (table.score_raw[k], table.score_calibrated[k]))),
            _share(table.mean_iou[k]),
            _share(table.precision[k]),
            _both(*map(_share, (table.lrp_raw[k], table.lrp_calibrated[k]))),
        ]
        if any_shared:
            pooled = {"map": table.map_fallback[k], "threshold": table.threshold_fallback[k]}
            row.append(", ".join(what for what, shared in pooled.items() if shared))
        rows.append(row)
    columns += ["Pooled"] if any_shared else []
    return doc.plain_table(columns, {"": rows})


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _both(before: str, after: str) -> str:
    """Return both, or one if they are the same."""
    return before if before == after else f"{before} \N{RIGHTWARDS ARROW} {after}"
