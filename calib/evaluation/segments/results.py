"""What a report by segments holds and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from calib._border.checks import check_integer, check_option
from calib._border.optional import require
from calib._documents import document as doc
from calib._documents.digits import printed
from calib._documents.documented import Documented

Reason: TypeAlias = Literal["gap", "shape", ""]
State: TypeAlias = Literal["off", "fine", "undecided", "not judged"]
#: Segments that a table shows.
MOST_SHOWN = 20


@dataclass(frozen=True)
class SegmentResult:
    """Calibration of one segment for one model.

    Attributes
    ----------
    model, segment : str
    n : int
        Rows.
    predicted, observed : float
        Mean probability of the event, and how often it happened, in [0, 1].
    low, high : float
        Interval of the gap, for all judged segments together; nan if not judged.
    z : float
        Sum of residuals in standard deviations.
    sigma : float
        Range of the running sum of residuals in the order of the predictions, in standard
        deviations: large where gaps inside the segment cancel, too.
    p, adjusted_p : float
        p-value of gap and shape together, and the same for all judged segments together (Holm);
        nan if not judged.
    reason : {"gap", "shape", ""}
        ``"shape"`` where gaps inside the segment speak louder and the interval of the whole gap
        holds 0; empty if not judged.
    state : {"off", "fine", "undecided", "not judged"}
        Off beyond chance; within the tolerance; neither can be said; too few rows.
    """

    model: str
    segment: str
    n: int
    predicted: float
    observed: float
    low: float
    high: float
    z: float
    sigma: float
    p: float
    adjusted_p: float
    reason: Reason
    state: State

    @property
    def gap(self) -> float:
        """Observed minus predicted, in [-1, 1]."""
        return self.observed - self.predicted


@dataclass(frozen=True, eq=False, repr=False)
class SegmentReport(Documented):
    """Result of `segment_report`; printing it shows the verdict and the worst segments.

    Attributes
    ----------
    rows : tuple of SegmentResult
        All segments of all models: by adjusted p-value, then by the size of the gap; those that are
        not judged come last.
    models : tuple of str
        Names of the models, in the order given.
    n_samples : int
    event : str
        What the probabilities are of.
    tolerance : float
        Gap that does not matter.
    confidence_level : float
        One for all judged segments together.
    min_size : int
        Fewest rows of a judged segment.
    remarks : tuple of str
        What is to be said of the columns.
    """

    rows: tuple[SegmentResult, ...]
    models: tuple[str, ...]
    n_samples: int
    event: str
    tolerance: float
    confidence_level: float
    min_size: int
    remarks: tuple[str, ...] = ()

    def worst(self, k: int = 5, model: str | None = None) -> list[SegmentResult]:
        """Return the segments that are furthest off beyond chance, or nearest to it.

        Parameters
        ----------
        k : int, default=5
            How many, >= 1.
        model : str, default=None
            Of one model; None looks at all.

        Returns
        -------
        rows : list of SegmentResult
            Judged segments alone.
        """
        check_integer("k", k, low=1)
        return [row for row in self._of(model) if row.state != "not judged"][:k]

    def _of(self, model: str | None) -> list[SegmentResult]:
        if model is not None:
            check_option("model", model, self.models)
        return [row for row in self.rows if model in (None, row.model)]

    def _count(self, state: str, model: str | None = None) -> int:
        return sum(row.state == state for row in self._of(model))

    @property
    def n_judged(self) -> int:
        """Segments with enough rows, of all models."""
        return len(self.rows) - self.n_not_judged

    @property
    def n_off(self) -> int:
        """Segments that are off beyond chance, of all models."""
        return self._count("off")

    @property
    def n_fine(self) -> int:
        """Segments that are within the tolerance, of all models."""
        return self._count("fine")

    @property
    def n_undecided(self) -> int:
        """Segments of which neither can be said, of all models."""
        return self._count("undecided")

    @property
    def n_not_judged(self) -> int:
        """Segments with too few rows, of all models."""
        return self._count("not judged")

    @property
    def multicalibration_error(self) -> dict[str, float]:
        """Largest `sigma` of the judged segments of every model; nan where none is judged."""
        out = {}
        for model in self.models:
            judged = [row.sigma for row in self._of(model) if row.state != "not judged"]
            out[model] = max(judged, default=float("nan"))
        return out

    def verdict(self, model: str | None = None) -> str:
        """Say in a few sentences who is off, and what cannot be said.

        Parameters
        ----------
        model : str, default=None
            None is allowed where there is a single model.

        Returns
        -------
        text : str
        """
        if model is None and len(self.models) == 1:
            model = self.models[0]
        check_option("model", model, self.models)
        return verdict_of(self._of(model), self.tolerance, self.min_size)

    def summary(self, model: str) -> str:
        """Say in one sentence how many segments are off, and how far; empty where none is.

        Parameters
        ----------
        model : str

        Returns
        -------
        text : str
        """
        check_option("model", model, self.models)
        return summary_of(self._of(model))

    @property
    def findings(self) -> list[str]:
        """Verdicts of all models, and what is to be said of the columns."""
        several = len(self.models) > 1
        verdicts = [
            f"{model}: {self.verdict(model)}" if several else self.verdict(model)
            for model in self.models
        ]
        return [*verdicts, *self.remarks]

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row per model and segment.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``model``, ``segment``, ``n``, ``predicted``, ``observed``, ``gap``, ``low``,
            ``high``, ``z``, ``sigma``, ``p``, ``adjusted_p``, ``reason`` and ``state``, in the
            order of `rows`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="SegmentReport.to_frame")
        return pandas.DataFrame([{key: row[key] for key in _ORDER} for row in self.to_dicts()])

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as plain dictionaries."""
        return [{**asdict(row), "gap": row.gap} for row in self.rows]

    def document(self) -> doc.Document:
        """Return the report as blocks, which text, page and tables show."""
        level = f"{100 * self.confidence_level:g} %"
        heading = (
            f"{self.n_samples:,} samples, {self.n_judged:,} segments judged; one error rate of "
            f"{100 * (1 - self.confidence_level):g} % and {level} intervals for all together"
        )
        told = [text for part in self.findings for text in part.split(". ", 1)]
        first, *more = (
            doc.Verdict("segments", escaped(text if text.endswith(".") else f"{text}."))
            for text in told
        )
        return doc.Document("Calibration by segments", heading, self.blocks(), first, more)

    def blocks(self) -> list[doc.Block]:
        """Return the tables, for a document of its own or a part of a larger one."""
        out: list[doc.Block] = []
        for model in self.models:
            shown = self.worst(MOST_SHOWN, model) if self._of(model) else []
            title = model if len(self.models) > 1 else ""
            if shown:
                out.append(segments_table(shown, self.tolerance, title))
        out.append(
            doc.Paragraph(
                f"Event: {self.event}. Gap: observed minus predicted, in points, with the interval "
                f"that holds for all judged segments together; grey: +- {_points(self.tolerance)} "
                "points. Off: beyond chance, all together (Holm). Undecided: too few rows to call "
                "it off or within the tolerance. Shape: gaps inside the segment that cancel.",
                "soft",
            )
        )
        return out


#: Columns of frames.
_ORDER = (
    "model",
    "segment",
    "n",
    "predicted",
    "observed",
    "gap",
    "low",
    "high",
    "z",
    "sigma",
    "p",
    "adjusted_p",
    "reason",
    "state",
)


def escaped(text: str) -> str:
    """Return a text as a template that formats to itself."""
    return text.replace("{", "{{").replace("}", "}}")


def verdict_of(rows: Sequence[SegmentResult], tolerance: float, min_size: int) -> str:
    """Return the sentences about one model."""
    counts: Mapping[str, int] = {
        state: sum(row.state == state for row in rows)
        for state in ("off", "fine", "undecided", "not judged")
    }
    n_judged = len(rows) - counts["not judged"]
    small = _small(counts["not judged"])
    if not n_judged:
        return f"No segment of {min_size:,} rows; nothing was judged.{small}"
    points = f"{_points(tolerance)} points"
    if counts["off"]:
        text = f"Worst: {described(rows[0])}. {_off(counts['off'], n_judged)} beyond chance"
        if counts["undecided"]:
            text += f", {counts['undecided']:,} undecided"
        return f"{text}.{small}"
    if counts["undecided"]:
        return (
            f"None of {_segments(n_judged)} is off beyond chance; {counts['fine']:,} are within "
            f"{points}, {counts['undecided']:,} are undecided: too few rows to tell.{small}"
        )
    return f"All {_segments(n_judged)} are within {points} of what was predicted.{small}"


def summary_of(rows: Sequence[SegmentResult]) -> str:
    """Return how many segments of one model are off, and how far the worst is."""
    n_off = sum(row.state == "off" for row in rows)
    if not n_off:
        return ""
    n_judged = sum(row.state != "not judged" for row in rows)
    worst = (
        ""
        if rows[0].reason == "shape"
        else f", the worst by {_points(round(abs(rows[0].gap), 3))} points"
    )
    return f"{_off(n_off, n_judged)}{worst}."


def _off(n_off: int, n_judged: int) -> str:
    return f"{n_off:,} of {_segments(n_judged)} {'is' if n_off == 1 else 'are'} off"


def described(row: SegmentResult) -> str:
    """Return a segment with its numbers, in words."""
    text = (
        f"{row.segment}: predicted {printed(100 * row.predicted, 1)} %, observed "
        f"{printed(100 * row.observed, 1)} %, gap {_signed(row.gap)} points ({_signed(row.low)} to "
        f"{_signed(row.high)}, {row.n:,} rows)"
    )
    return f"{text}, by shape" if row.reason == "shape" else text


def segments_table(rows: Sequence[SegmentResult], tolerance: float, title: str = "") -> doc.Table:
    """Return segments with a dot and a line for the gap."""
    ends = [abs(end) for row in rows for end in (row.low, row.high)]
    reach = max([*ends, 1.5 * tolerance, 1e-9])
    columns = [
        doc.Column("Segment", kind="text"),
        doc.Column("Rows", essential=False),
        doc.Column("Predicted", "%", essential=False),
        doc.Column("Observed", "%", essential=False),
        doc.Column("Gap", "points", scale=(_signed(-reach), _signed(reach)), short="Gap in points"),
        doc.Column("Verdict", kind="text"),
    ]
    return doc.Table(
        columns, [doc.Group([_table_row(row, reach, tolerance) for row in rows])], title
    )


def _table_row(row: SegmentResult, reach: float, tolerance: float) -> list[doc.Cell]:
    def placed(gap: float) -> float:
        return 0.5 + 0.5 * gap / reach

    off = row.state == "off"
    glyph = doc.Glyph(
        dot=placed(row.gap),
        line=(placed(row.low), placed(row.high)),
        band=(placed(-tolerance), placed(tolerance)),
        beyond=off,
    )
    words = f"off ({row.reason})" if off and row.reason == "shape" else row.state
    return [
        doc.Cell(row.segment),
        doc.Cell(f"{row.n:,}"),
        doc.Cell(printed(100 * row.predicted, 1)),
        doc.Cell(printed(100 * row.observed, 1)),
        doc.Cell(
            _signed(row.gap),
            mark="*" if off else "",
            interval=f"{_signed(row.low)} to {_signed(row.high)}",
            glyphs=[glyph],
        ),
        doc.Cell(words, ink="alarm" if off else "soft" if row.state == "undecided" else "plain"),
    ]


def _small(n: int) -> str:
    if not n:
        return ""
    return f" {n:,} small segment{' was' if n == 1 else 's were'} not judged."


def _segments(n: int) -> str:
    return f"{n:,} segment{'' if n == 1 else 's'}"


def _points(share: float) -> str:
    return f"{100 * share:g}"


def _signed(share: float) -> str:
    text = printed(100 * share, 1)
    return f"+{text}" if share > 0 and not text.startswith("+") else text
