"""What a detection report holds and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

from calib._border.files import atomic_write
from calib._border.optional import require
from calib.evaluation.detection.report.records import (
    ClassTable,
    DetectionModelReport,
    numbers_of,
    plain,
    plain_fields,
)

#: Numbers of a model beside its measures.
_NUMBERS = ("coverage", "ap", "ap50", "ap75", "n_kept", "n_ignored", "n_skipped")


@dataclass(frozen=True, eq=False, repr=False)
class DetectionReport:
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
        from calib.evaluation.detection.report.text import titles

        return titles(self)

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        from calib.evaluation.detection.report.text import heading

        return heading(self)

    @property
    def notes(self) -> list[str]:
        """What the columns mean, one sentence or two each."""
        from calib.evaluation.detection.report.text import notes

        return notes(self)

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
        from calib.evaluation.detection.report.text import verdict

        return verdict(self, model)

    # ------------------------------------------------------------------------------------ outputs

    def __str__(self) -> str:
        from calib.evaluation.detection.report.text import text

        return text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from calib.evaluation.detection.report.html import fragment

        return fragment(self)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write the report as one self-contained HTML file.

        Parameters
        ----------
        path : str or path-like
            File to write; tables, text and diagrams are inside it, nothing is loaded. An existing
            file is replaced when all is written, never left in part.
        """
        from calib.evaluation.detection.report.html import page

        text = page(self)
        with atomic_write(path) as file:
            file.write(text)

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

    def plot(self, ax: Any = None) -> Any:
        """Draw score against outcome of all models into one pair of axes.

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

        See Also
        --------
        DetectionHeatmapDisplay : draws ``models[name].position``.
        """
        from calib.evaluation.display.detection import draw_reliability

        for name, model in self.models.items():
            ax = draw_reliability(model.reliability[model.target], model.target, name, ax)
        return ax
