"""What a monitor knows, in sentences, a table and a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from calib._border.optional import require
from calib._documents import document as doc
from calib._documents.digits import printed
from calib._documents.documented import Documented
from calib._documents.panels import Panel, Scale, signed

#: Sentences on top.
SENTENCES = {
    "none": "No row yet.",
    "clean": "No alarm after {rows} ({e}).",
    "alarm": "Alarm at row {row}{time}: {fault} ({e} after {rows}).",
    "impossible": "Alarm at row {row}{time}: what came there had probability 0 ({rows} in all).",
    "too_high": "probabilities too high between {where}",
    "too_low": "probabilities too low between {where}",
    "overall_high": "probabilities too high overall",
    "overall_low": "probabilities too low overall",
    "lately": "The last {n} rows: predicted {predicted} on average, happened {observed}.",
    "clean_range": "No bin of the scale stands out by itself.",
    "level": "Calibrated predictions raise an alarm with probability {alpha} at most, ever.",
    "stays": "An alarm stays; after a repair start a new monitor.",
    "waiting": "{n} predictions wait for their labels.",
}
#: Logarithm of an e-value beyond which a chart stops.
_MOST = 700.0


@dataclass(frozen=True)
class WatchedBin:
    """One bin of the scale in a stream.

    Attributes
    ----------
    low, high : float
        Its ends, in [0, 1].
    n : int
        Rows.
    predicted, observed : float
        Mean probability, and how often the event came, in [0, 1]; nan without rows.
    recent_gap : float
        Observed minus predicted over about the last 5,000 rows of the stream; nan without rows.
    e_value : float
        Evidence that this bin is off, after the last row.
    flagged : bool
        Whether it was beyond doubt at some time.
    """

    low: float
    high: float
    n: int
    predicted: float
    observed: float
    recent_gap: float
    e_value: float
    flagged: bool


@dataclass(frozen=True, eq=False, repr=False)
class MonitorReport(Documented):
    """What a `CalibrationMonitor` knows; printing it shows whether there was an alarm, and where.

    Attributes
    ----------
    n_rows : int
        Rows so far.
    log_e_value : float
        Logarithm of the e-value after the last row.
    p_value : float
        Valid at any time, in [0, 1].
    alarm_at : int or None
        Row of the alarm, counted from 1.
    alarm_time : str or None
        Its time stamp.
    impossible_at : int or None
        First row whose outcome had probability 0.
    bins : tuple of WatchedBin
        By probability.
    history : tuple of (int, float)
        Rows and logarithms of the e-value, at equal distances.
    n_recent : int
        Rows of the window.
    recent_predicted, recent_observed : float
        Mean probability and rate of the event in the window; nan without rows.
    n_waiting : int
        Predictions that wait for their labels.
    alpha : float
        Probability of a false alarm.
    tolerance : float
        How far probabilities may be off without one.
    average : {"binary", "top_label"}
        What is watched.
    """

    n_rows: int
    log_e_value: float
    p_value: float
    alarm_at: int | None
    alarm_time: str | None
    impossible_at: int | None
    bins: tuple[WatchedBin, ...]
    history: tuple[tuple[int, float], ...]
    n_recent: int
    recent_predicted: float
    recent_observed: float
    n_waiting: int
    alpha: float
    tolerance: float
    average: Literal["binary", "top_label"]

    @property
    def alarm(self) -> bool:
        """Whether there was an alarm."""
        return self.alarm_at is not None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries, strings and numbers; None stands for NaN and inf."""
        return {key: _finite(value) for key, value in asdict(self).items()}

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row per bin.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``low``, ``high``, ``n``, ``predicted``, ``observed``, ``recent_gap``,
            ``e_value`` and ``flagged``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="MonitorReport.to_frame")
        return pandas.DataFrame([asdict(row) for row in self.bins])

    def document(self) -> doc.Document:
        """Return the verdict, the path of the e-value and the bins as blocks."""
        what = "top label" if self.average == "top_label" else "probability of the second class"
        rows = _rows(self.n_rows)
        near = f", within {_number(self.tolerance)}" if self.tolerance else ""
        heading = f"{rows}, {what}{near}, alarm at e = {1.0 / self.alpha:,.3g}"
        blocks: list[doc.Block] = []
        if self.n_rows:
            blocks += [self._chart(), self._table()]
            blocks.append(
                doc.Paragraph(
                    "e: what 1 has become by betting against the served probabilities; Gap: "
                    "observed minus predicted over about the last 5,000 rows, in points. A bin "
                    "marked * is off beyond doubt: e has reached "
                    f"{len(self.bins) / self.alpha:,.4g} there, which happens to any bin of "
                    f"calibrated predictions with probability {_number(self.alpha)} at most.",
                    "soft",
                )
            )
        headline, *bullets = self._verdicts()
        return doc.Document("Calibration monitor", heading, blocks, headline, bullets)

    def _verdicts(self) -> list[doc.Verdict]:
        values = {
            "rows": _rows(self.n_rows),
            "e": f"e = {_e_text(self.log_e_value)}",
            "row": "" if self.alarm_at is None else f"{self.alarm_at:,}",
            "time": "" if self.alarm_time is None else f" ({self.alarm_time})",
            "n": f"{self.n_recent:,}",
            "predicted": _number(self.recent_predicted),
            "observed": _number(self.recent_observed),
            "alpha": _number(self.alpha),
        }
        cases = ["none"]
        if self.alarm:
            values["fault"] = self._fault()
            by_one = self.impossible_at is not None and self.impossible_at == self.alarm_at
            cases = ["impossible" if by_one else "alarm", "lately", "stays"]
        elif self.n_rows:
            cases = ["clean", "lately", "level"]
        verdicts = [doc.Verdict(case, SENTENCES[case], values) for case in cases]
        if self.n_waiting:
            told = {"n": f"{self.n_waiting:,}"}
            verdicts.append(doc.Verdict("waiting", SENTENCES["waiting"], told))
        return verdicts

    def _fault(self) -> str:
        """Return where probabilities are wrong, and to which side."""
        texts = []
        for case, side in (("too_high", -1.0), ("too_low", 1.0)):
            flags = [row.flagged and side * row.recent_gap > 0 for row in self.bins]
            where = [f"{_number(low)} and {_number(high)}" for low, high in self._ranges(flags)]
            if where:
                texts.append(SENTENCES[case].format(where=", ".join(where)))
        if texts:
            return ", ".join(texts)
        high = self.recent_predicted > self.recent_observed
        return SENTENCES["overall_high" if high else "overall_low"]

    def _ranges(self, flags: Sequence[bool]) -> list[tuple[float, float]]:
        """Return the ends of runs of bins."""
        ranges: list[tuple[float, float]] = []
        for row, flag in zip(self.bins, flags, strict=True):
            if flag and ranges and ranges[-1][1] == row.low:
                ranges[-1] = ranges[-1][0], row.high
            elif flag:
                ranges.append((row.low, row.high))
        return ranges

    def _chart(self) -> doc.Figures:
        """Return the path of the e-value."""
        at, path = (np.array(part, dtype=np.float64) for part in zip(*self.history, strict=True))
        if at[-1] < self.n_rows:
            at, path = np.append(at, self.n_rows), np.append(path, self.log_e_value)
        path = np.clip(path, -_MOST, _MOST) / math.log(10.0)
        limit = -math.log10(self.alpha)
        top = max(1.25 * limit, float(path.max()))
        panel = Panel(
            Scale(0.0, float(max(self.n_rows, 1))),
            Scale(min(-0.5, float(path.min())), top),
            "rows",
            "e-value, powers of ten",
            x_text=lambda row: f"{row:,.0f}",
        )
        panel.level(limit)
        panel.curve(at, path, "dot", "", 1.6)
        if self.alarm_at is not None:
            panel.point(self.alarm_at, min(limit, top), "dot", alarm=True)
        panel.note(upper=f"alarm from e = {1.0 / self.alpha:,.3g} on")
        ends = signed(f"{path[0]:.2f} to {path[-1]:.2f}")
        words = f"The decimal logarithm of the e-value goes from {ends} over {_rows(self.n_rows)}."
        drawing = panel.drawing("E-value", words)
        return doc.Figures("Evidence against calibration", [doc.Figure("E-value by row", drawing)])

    def _table(self) -> doc.Table:
        columns = [
            doc.Column("Between", kind="text"),
            doc.Column("Rows", essential=False),
            doc.Column("Predicted", "%"),
            doc.Column("Observed", "%"),
            doc.Column("Gap", "points", essential=False),
            doc.Column("e"),
        ]
        rows = [
            [
                doc.Cell(f"{_number(row.low)} and {_number(row.high)}"),
                doc.Cell(f"{row.n:,}"),
                doc.Cell(printed(100 * row.predicted, 1) if row.n else ""),
                doc.Cell(printed(100 * row.observed, 1) if row.n else ""),
                doc.Cell(printed(100 * row.recent_gap, 1) if row.n else ""),
                doc.Cell(
                    _e_text(math.log(row.e_value) if row.e_value else -math.inf),
                    mark="*" if row.flagged else "",
                    ink="alarm" if row.flagged else "plain",
                ),
            ]
            for row in self.bins
        ]
        return doc.Table(columns, [doc.Group(rows)], "Where")


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"


def _number(value: float) -> str:
    """Return a probability as printed."""
    return f"{value:.3g}"


def _e_text(log_e: float) -> str:
    """Return an e-value as printed, given its logarithm."""
    if math.isinf(log_e):
        return "infinite" if log_e > 0 else "0"
    exponent = math.floor(log_e / math.log(10.0))
    if -3 <= exponent <= 5:
        value = math.exp(log_e)
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
    return signed(f"{10 ** (log_e / math.log(10.0) - exponent):.1f}e{exponent}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
