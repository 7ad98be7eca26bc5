"""What a study holds, and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.optional import require
from calib._border.typing import Float64Array
from calib._documents import document as doc
from calib._documents.charts import LineChart
from calib._documents.documented import Documented
from uq.selective.certainty_curves import SHARES, THRESHOLDS, TITLES
from uq.selective.kept_rows import METRICS
from uq.study.claims import StudyClaim, claims_of
from uq.study.findings import findings_of
from uq.study.methods import CONFIDENCE, MAX_PROBABILITY
from uq.study.numbers import StudyNumbers, StudyRow

#: Metrics of the tables, with their headings.
SHOWN = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "auprc_gain": "minus prev.",
    "ace": "ACE",
    "brier": "Brier",
}


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult(Documented, StudyNumbers):
    """Result of `leave_one_out_study`; printing it shows tables and what follows from them.

    Attributes
    ----------
    predictions : dict of (model, method) to list of StudyPredictions
        Left-out predictions, one entry per repetition.
    y_true : ndarray of shape (n_samples,)
        Labels as they were given.
    codes : ndarray of shape (n_samples,)
        0 and 1; 1 is the second of the sorted labels, whose probability is predicted.
    groups : ndarray of shape (n_samples,) or None
        Integer code of the group of each row.
    protocol : Protocol
        How scores were held out.
    thresholds : tuple of float
        Certainty cuts of the tables.
    min_kept : int
        Fewest rows that give a metric.
    confidence_level : float in (0, 1)
        Level of the intervals.
    n_resamples, n_simulations : int
        Bootstrap draws, and redrawn labels behind the floor of ACE.
    members : dict of str to (str, str or None)
        Per name in `models`, the model and the set of features it reads.
    software : dict of str to str
        Per model that was given, its class with the package and version that ran.
    """

    def rows(self) -> list[StudyRow]:
        """Return the rows of the tables: every model and method at every cut.

        Returns
        -------
        rows : list of StudyRow
            By certainty ``"max_probability"``; conformal p-values and the recommended pair by
            ``"conformal_confidence"`` as well.
        """
        rows = []
        for model in self.models:
            pairs = [(method, MAX_PROBABILITY) for method in self.methods]
            if "conformal" in self.methods:
                pairs.append(("conformal", CONFIDENCE))
            if self.recommended is not None:
                pairs.append(self.recommended)
            for method, certainty in pairs:
                rows += self.evaluate(model, method, certainty, thresholds=self.thresholds)
        return rows

    def findings(self) -> list[str]:
        """Return what to use, then what the numbers of this study say, one statement each.

        Returns
        -------
        findings : list of str
            The first is the headline. Differences are those on the same draws of rows; methods are
            compared with raw scores, as means over models.
        """
        return [sentence.text for sentence in findings_of(self)]

    def claims(self) -> list[StudyClaim]:
        """Return what published studies of this kind claim, and whether it holds on these data.

        Returns
        -------
        claims : list of StudyClaim
            Each with the verdict ``"true"``, ``"false"`` or ``"not decidable"`` and the change that
            it follows from.
        """
        return claims_of(self)

    @property
    def notes(self) -> list[str]:
        """How to read the tables, and what they cannot show."""
        unit = "patients (rows)" if self.groups is None else "groups"
        notes = [
            f"Interval: bootstrap over {unit} of the left-out predictions, models as they are; - "
            f"where fewer than {self.min_kept} rows or one class only are kept. AUROC of few kept "
            f"rows is unstable, and AUPRC depends on the prevalence among them, so read it minus "
            f"prevalence.",
            "Headline: the lowest Brier score. Pairs are not distinguishable from it where the "
            "difference is within chance, and the gain over always answering with the share of the "
            "class has an interval, for all pairs at once. Choosing and judging on the same rows "
            "flatters the winner.",
            "Claims and findings: differences on the same draws of rows, as means over models. "
            "Each interval stands for itself, so one of twenty misses by chance.",
            "SKCE: squared kernel calibration error, 0 on average for a calibrated model. "
            "Differences of ACE are no evidence on so few rows: its floor depends on the model.",
            "Floor: the ACE that a perfectly calibrated model with these probabilities would show "
            "on as many rows. It is far from 0 and rises where few rows are kept. The interval "
            "beside an ACE is that of the number without this chance part: it may lie below it.",
        ]
        if any(method.startswith("conformal") for method in self.methods):
            notes.append(
                "Conformal: p = P1 / (P0 + P1) of label-conditional p-values ranks rows; it is no "
                "calibrated probability and acts as if both classes were equally frequent. "
                "| confidence: rows are kept by conformal confidence, 1 - min(P0, P1)."
            )
        if self.protocol.outer_folds is None:
            notes.append(
                "Leaving out a row shifts the share of its class among the others the opposite "
                "way, which pulls the pooled AUROC down (a model that knows nothing shows 0, not "
                "0.5). Repeat with outer_folds=10 to see by how much."
            )
        if self.protocol.scheme == "pooled":
            notes.append(
                f"Calibrators are fitted on scores of models trained on "
                f"{1 - 1 / self.protocol.inner_folds:.0%} of the rows and applied to one trained "
                f"on all, so guarantees that need exchangeable scores hold approximately."
            )
        return [*notes, *self._protocol_notes()]

    def _protocol_notes(self) -> list[str]:
        """Return what was chosen inside the training parts, and which software ran."""
        notes = []
        if self.protocol.correlation_limit is not None:
            notes.append(
                f"Features whose rank correlation with a better one exceeds "
                f"{self.protocol.correlation_limit:g} are left out, anew in every training part."
            )
        if self.protocol.tuned:
            notes.append(
                f"Parameters of {', '.join(self.protocol.tuned)} are chosen by AUROC in inner "
                f"folds of every training part."
            )
        if self.software:
            notes.append("; ".join(f"{name}: {what}" for name, what in self.software.items()) + ".")
        return notes

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        units = "" if self.groups is None else f" in {int(self.groups.max()) + 1:,} groups"
        left = "leave-one-out" if self.protocol.outer_folds is None else "stratified folds"
        positive = describe(self.y_true[self.codes == 1][:1].tolist()[0])
        return (
            f"{len(self.codes):,} rows{units}, {int(self.codes.sum()):,} of class {positive}; "
            f"{left}, {self.protocol.n_repeats} repetition(s); "
            f"{100 * self.confidence_level:g} % intervals from {self.n_resamples:,} draws"
        )

    # ------------------------------------------------------------------------------------ outputs

    def page(self) -> doc.Document:
        """Return the document of a file, curves included."""
        return self.document(curves=True)

    def to_frame(self) -> Any:
        """Return the rows of the tables as a pandas DataFrame.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``model``, ``method``, ``certainty``, ``cut``, ``at``, ``share``, ``n_kept``,
            ``prevalence``, ``n_repeats``, ``ace_calibrated`` and per metric its value, ``_sd``
            (over repetitions), ``_low`` and ``_high`` (over patients).

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="StudyResult.to_frame")
        rows = []
        for row in self.rows():
            record: dict[str, Any] = {
                name: getattr(row, name)
                for name in (
                    *("model", "method", "certainty", "cut", "at", "share", "n_kept"),
                    *("prevalence", "n_repeats", "ace_calibrated"),
                )
            }
            for name in METRICS:
                number = row.metrics[name]
                record[name], record[f"{name}_sd"] = number.value, number.deviation
                record[f"{name}_low"], record[f"{name}_high"] = number.low, number.high
            rows.append(record)
        return pandas.DataFrame(rows)

    def plot(
        self,
        model: str,
        *,
        metric: Literal["auroc", "auprc", "auprc_gain", "ace", "brier", "accuracy"] = "auroc",
        against: Literal["share", "threshold"] = "share",
        ax: Any = None,
    ) -> Any:
        """Draw the certainty curves of one model: each method by its own certainty, and the pair.

        Parameters
        ----------
        model : str
            One of `models`.
        metric : {"auroc", "auprc", "auprc_gain", "ace", "brier", "accuracy"}, default="auroc"
            What to draw; the band is the bootstrap interval of the recommended pair, or of the
            last method if the study lacks it.
        against : {"share", "threshold"}, default="share"
            Horizontal axis; only shares compare different certainties fairly.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ValueError
            For an unknown model, metric or axis.
        ImportError
            If matplotlib is not installed.
        """
        check_option("model", model, self.models)
        check_option("metric", metric, METRICS)
        check_option("against", against, ("share", "threshold"))
        plt = require("matplotlib.pyplot", extra="plot", purpose="StudyResult.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(5.5, 4.2), layout="constrained")
        curves = self._curves(model, metric, against)
        for curve in curves:
            last = curve is curves[-1]
            (line,) = ax.plot(
                curve.at,
                curve.value,
                marker="o",
                markersize=3,
                linewidth=2.2 if last else 1.2,
                label=curve.name,
            )
            if last:
                colour = line.get_color()
                ax.fill_between(curve.at, *curve.band, color=colour, alpha=0.15, linewidth=0)
        label = "Share of rows kept" if against == "share" else "Certainty at least"
        ax.set(xlabel=label, ylabel=TITLES[metric], title=model.replace("_", " "))
        ax.legend(fontsize="small")
        return ax

    def _curves(self, model: str, metric: str, against: str) -> list[_Curve]:
        """Return each method by its own certainty, and the pair."""
        pairs = [(method, MAX_PROBABILITY) for method in self.methods]
        if self.recommended is not None:
            pairs.append(self.recommended)
        cuts = {"thresholds": THRESHOLDS} if against == "threshold" else {"shares": SHARES}
        curves = []
        for method, certainty in pairs:
            rows = self.evaluate(model, method, certainty, **cuts)[1:]
            numbers = [row.metrics[metric] for row in rows]
            name = method if certainty == MAX_PROBABILITY else f"{method} by {certainty}"
            curves.append(
                _Curve(
                    name.replace("_", " "),
                    np.array([row.at for row in rows]),
                    np.array([number.value for number in numbers]),
                    (
                        np.array([number.low for number in numbers]),
                        np.array([number.high for number in numbers]),
                    ),
                )
            )
        return curves

    # ----------------------------------------------------------------------------------- document

    def document(self, *, curves: bool = False) -> doc.Document:
        """Return the study as blocks, which the text, the page and the tables show.

        Parameters
        ----------
        curves : bool, default=False
            Add the certainty curves; they take the time of another ten cuts.

        Returns
        -------
        document : Document
        """
        rows, answer = self.rows(), findings_of(self)
        blocks: list[doc.Block] = [
            _table(
                "All rows", [r for r in rows if (r.cut, r.certainty) == ("none", MAX_PROBABILITY)]
            ),
            doc.Paragraph(f"{self.heading}. All rows and cuts: details().", "soft", "terminal"),
        ]
        claims = self.claims()
        if claims:
            blocks.insert(0, _claim_table(claims))
        if answer[1:]:
            blocks.insert(0, doc.Findings([sentence.text for sentence in answer[1:]]))
        for cut in self.thresholds:
            kept = [row for row in rows if row.cut == "threshold" and row.at == cut]
            title = f"Rows with certainty of at least {cut:g}"
            blocks.append(doc.Fold(title, [_table("", kept)]))
        if curves:
            note = (
                "AUROC of the rows that are kept, the most certain first; each method by its own "
                "certainty. The shaded range is the interval of the heavy line."
            )
            figures = [self._figure(model) for model in self.models]
            blocks.append(doc.Figures("Curves", figures, note))
        blocks.append(doc.Fold("How to read this", [doc.Notes(self.notes)]))
        headline = answer[0] if answer else None
        return doc.Document("Study of calibrators", self.heading, blocks, headline)

    def _figure(self, model: str) -> doc.Figure:
        curves = self._curves(model, "auroc", "share")
        chart = LineChart(
            {curve.name: (curve.at, curve.value) for curve in curves}, curves[-1].band
        )
        title = f"Certainty curves of {model}"
        return doc.Figure(model, chart.drawing(title, "Share of rows kept", TITLES["auroc"]))


class _Curve(NamedTuple):
    """A metric at several cuts, with its interval."""

    name: str
    at: Float64Array
    value: Float64Array
    band: tuple[Float64Array, Float64Array]


# ------------------------------------------------------------------------------------------ tables


def _table(title: str, rows: list[StudyRow]) -> doc.Table:
    """Return a table with one group per model."""
    repeated = any(not np.isnan(row.metrics["auroc"].deviation) for row in rows)
    columns = [doc.Column("method"), doc.Column("kept", terminal="brief")]
    for metric, heading in SHOWN.items():
        columns.append(doc.Column(heading, terminal="all" if metric == "auroc" else "brief"))
        columns += [doc.Column("SD")] * (repeated and metric == "auroc")
        columns += [doc.Column("floor")] * (metric == "ace")
    groups: dict[str, list[list[doc.Cell]]] = {}
    for row in rows:
        own_scale = row.certainty == MAX_PROBABILITY
        label = row.method if own_scale else f"{row.method} | {row.certainty.rpartition('_')[2]}"
        cells = [doc.Cell(label), doc.Cell(f"{row.n_kept:.4g}", f"({row.share:.0%})")]
        for metric in SHOWN:
            number = row.metrics[metric]
            ends = f"({number.low:.2f} to {number.high:.2f})"
            cells.append(doc.Cell(_shown(number.value), "" if np.isnan(number.low) else ends))
            if repeated and metric == "auroc":
                cells.append(doc.Cell(_shown(number.deviation, 2)))
            if metric == "ace":
                cells.append(doc.Cell(_shown(row.ace_calibrated)))
        groups.setdefault(row.model, []).append(cells)
    return doc.Table(columns, [doc.Group(cells, model) for model, cells in groups.items()], title)


def _claim_table(claims: list[StudyClaim]) -> doc.Table:
    rows = [
        [doc.Cell(claim.text), doc.Cell(claim.verdict), doc.Cell(claim.change)] for claim in claims
    ]
    columns = [doc.Column(title, kind="text") for title in ("claim", "verdict", "change")]
    return doc.Table(columns, [doc.Group(rows)], "Published claims on these data")


def _shown(value: float, digits: int = 3) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"
