"""What a study holds, and the forms it can be read in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.optional import require
from calib._border.random import stream
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import check_score_vector
from calib._documents import document as doc
from calib._documents.charts import LineChart
from calib._documents.documented import Documented
from calib.evaluation.sampling.draws import multinomial_counts
from uq.selective.certainty_curves import SHARES, THRESHOLDS, TITLES
from uq.selective.kept_rows import METRICS, Cut, kept_metrics
from uq.study.methods import CONFIDENCE, MAX_PROBABILITY, StudyPredictions
from uq.study.scores import Protocol

#: The method whose probabilities, and the one whose certainty, the recommended pair takes.
PAIR = ("venn_abers", "conformal")
#: Share at which certainties are compared, and threshold at which their scales are.
HALF, STRICT = 0.5, 0.8
_NAMES = {"venn_abers": "Venn-ABERS", "conformal": "conformal", "platt": "Platt", "raw": "raw"}
#: Metrics of the tables, with their headings.
SHOWN = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "auprc_gain": "minus prev.",
    "ace": "ACE",
    "brier": "Brier",
}


@dataclass(frozen=True)
class StudyNumber:
    """A metric of one method.

    Attributes
    ----------
    value : float
        Mean over repetitions; NaN where too few rows or one class only are kept.
    deviation : float
        Standard deviation over repetitions, that is over seeds, not over patients; NaN for one.
    low, high : float
        Bootstrap interval over patients (or groups), of the mean over repetitions. For ACE it is
        reflected about the value, because draws repeat its upward bias.
    """

    value: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class StudyRow:
    """One model and method, on all rows or on those it is certain about.

    Attributes
    ----------
    model, method, certainty : str
        Who predicts, how probabilities are made, and what decides which rows are kept.
    cut : {"none", "threshold", "share"}
        Keep everything, rows with at least a certainty, or a share of them, most certain first.
    at : float
        The threshold or share asked for; 0 for ``"none"``.
    share, n_kept, prevalence : float
        Share and number of rows kept, and share of the second class among them; means over
        repetitions.
    n_repeats : int
        Repetitions in which enough rows of both classes were kept; metrics average over these.
    metrics : dict of str to StudyNumber
        ``auroc``, ``auprc``, ``auprc_gain`` (minus prevalence), ``ace``, ``brier``, ``accuracy``.
    ace_calibrated : float
        Mean ACE of a perfectly calibrated model with these probabilities: the floor of ``ace``.
    """

    model: str
    method: str
    certainty: str
    cut: Cut
    at: float
    share: float
    n_kept: float
    prevalence: float
    n_repeats: int
    metrics: dict[str, StudyNumber]
    ace_calibrated: float


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult(Documented):
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
    """

    predictions: dict[tuple[str, str], list[StudyPredictions]]
    y_true: LabelArray
    codes: IntArray
    groups: IntArray | None
    protocol: Protocol
    thresholds: tuple[float, ...]
    min_kept: int
    confidence_level: float
    n_resamples: int
    n_simulations: int
    _memory: dict[tuple[str, str, str, Cut, float], StudyRow] = field(
        init=False, default_factory=dict
    )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order given."""
        return tuple(dict.fromkeys(model for model, _ in self.predictions))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order given."""
        return tuple(dict.fromkeys(method for _, method in self.predictions))

    @property
    def recommended(self) -> tuple[str, str] | None:
        """Method and certainty to begin with: Venn-ABERS probabilities by conformal confidence.

        None if the study lacks one of the two.
        """
        return (PAIR[0], CONFIDENCE) if set(PAIR) <= set(self.methods) else None

    def certainties_of(self, method: str) -> tuple[str, ...]:
        """Return the certainties that a method can be cut by.

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        names : tuple of str
            Those of its own predictions (see `StudyPredictions.certainties`), then conformal
            confidence and credibility, which every method may borrow.
        """
        check_option("method", method, self.methods)
        scales = self.predictions[self.models[0], method][0].certainties()
        borrowed = (CONFIDENCE, "conformal_credibility") if "conformal" in self.methods else ()
        return tuple(dict.fromkeys((*scales, *borrowed)))

    def evaluate(
        self,
        model: str,
        method: str,
        certainty: str = MAX_PROBABILITY,
        *,
        thresholds: ArrayLike = (),
        shares: ArrayLike = (),
    ) -> list[StudyRow]:
        """Measure one model and method without a cut, at thresholds and at shares.

        Parameters
        ----------
        model : str
            One of `models`.
        method : str
            One of `methods`: whose probabilities are measured.
        certainty : str, default="max_probability"
            One of ``certainties_of(method)``: what decides which rows are kept.
        thresholds : array-like of float, default=()
            Keep rows with at least this certainty.
        shares : array-like of float in (0, 1], default=()
            Keep this share of the rows, the most certain first; comparable between certainties.

        Returns
        -------
        rows : list of StudyRow
            First the row without a cut, then those of the thresholds and of the shares.

        Raises
        ------
        ValueError
            For unknown names or shares outside (0, 1].
        """
        check_option("model", model, self.models)
        check_option("certainty", certainty, self.certainties_of(method))
        cuts = _vector(thresholds, "thresholds")
        fractions = _vector(shares, "shares")
        if any(not 0 < share <= 1 for share in fractions):
            raise ValueError(f"shares must lie in (0, 1]; got {describe(fractions)}")
        wanted: list[tuple[Cut, float]] = [("none", 0.0)]
        wanted += [("threshold", cut) for cut in cuts] + [("share", share) for share in fractions]
        return [self._row(model, method, certainty, cut, at) for cut, at in wanted]

    def _row(self, model: str, method: str, certainty: str, cut: Cut, at: float) -> StudyRow:
        key = (model, method, certainty, cut, at)
        if key not in self._memory:
            self._memory[key] = self._measure(*key)
        return self._memory[key]

    def _measure(self, model: str, method: str, certainty: str, cut: Cut, at: float) -> StudyRow:
        seed, n_samples = self.protocol.random_state, len(self.codes)
        weight = draw_weights(self.groups, n_samples, self.n_resamples, seed)
        rng = stream(seed, 0xF1)
        draws, kept = [], []
        for repeat, predictions in enumerate(self.predictions[model, method]):
            metrics, counts = kept_metrics(
                self.codes,
                predictions.y_prob,
                self._certainty(model, method, certainty, repeat),
                weight,
                cut=cut,
                at=at,
                min_kept=self.min_kept,
                uniform=rng.random((self.n_simulations, n_samples)),
            )
            draws.append(metrics)
            kept.append(counts)
        mean = {name: _mean([counts[name] for counts in kept]) for name in kept[0]}
        return StudyRow(
            model,
            method,
            certainty,
            cut,
            at,
            n_repeats=sum(not np.isnan(metrics["auroc"][0]) for metrics in draws),
            metrics=summarise(draws, self.confidence_level),
            **mean,
        )

    def _certainty(self, model: str, method: str, certainty: str, repeat: int) -> Float64Array:
        scales = self.predictions[model, method][repeat].certainties()
        if certainty in scales:
            return scales[certainty]
        return self.predictions[model, "conformal"][repeat].certainties()[certainty]

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
        """Return what the numbers of this study say about the methods, one statement each."""
        return [text for text in (_calibration(self), _scale(self), _pair(self)) if text]

    @property
    def notes(self) -> list[str]:
        """How to read the tables, and what they cannot show."""
        unit = "patients (rows)" if self.groups is None else "groups"
        notes = [
            f"Interval: bootstrap over {unit} of the left-out predictions, models as they are; - "
            f"where fewer than {self.min_kept} rows or one class only are kept. AUROC of few kept "
            f"rows is unstable, and AUPRC depends on the prevalence among them, so read it minus "
            f"prevalence.",
            "Floor: the ACE that a perfectly calibrated model with these probabilities would show "
            "on as many rows. It is far from 0 and rises where few rows are kept.",
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
        rows = self.rows()
        answer = [doc.Verdict("finding", "{text}", {"text": text}) for text in self.findings()]
        blocks: list[doc.Block] = [
            _table(
                "All rows", [r for r in rows if (r.cut, r.certainty) == ("none", MAX_PROBABILITY)]
            ),
            doc.Paragraph(f"{self.heading}. All rows and cuts: details().", "soft", "terminal"),
        ]
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
        return doc.Document("Study of calibrators", self.heading, blocks, headline, answer[1:])

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


def _shown(value: float, digits: int = 3) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


# ---------------------------------------------------------------------------------------- findings


def _average(
    study: StudyResult,
    method: str,
    certainty: str,
    metric: str,
    *,
    thresholds: tuple[float, ...] = (),
    shares: tuple[float, ...] = (),
) -> float:
    """Return the mean over models of a metric, or of the share kept, at the last cut asked for."""
    values = []
    for model in study.models:
        row = study.evaluate(model, method, certainty, thresholds=thresholds, shares=shares)[-1]
        values.append(row.share if metric == "share" else row.metrics[metric].value)
    return float(np.mean(values))


def _listed(methods: list[str], value: Callable[[str], float], form: str) -> str:
    return ", ".join(f"{_NAMES.get(name, name)} {format(value(name), form)}" for name in methods)


def _calibration(study: StudyResult) -> str:
    if len(study.methods) < 2:
        return ""

    def brier(method: str) -> float:
        return _average(study, method, MAX_PROBABILITY, "brier")

    def ace(method: str) -> float:
        return _average(study, method, MAX_PROBABILITY, "ace")

    methods = list(study.methods)
    return (
        f"Probabilities, mean over models: Brier score {_listed(methods, brier, '.3f')}; ACE "
        f"{_listed(methods, ace, '.3f')}."
    )


def _scale(study: StudyResult) -> str:
    others = [name for name in ("raw", "platt", "venn_abers") if name in study.methods]
    if "conformal" not in study.methods or not others:
        return ""

    def share(method: str) -> float:
        return _average(study, method, MAX_PROBABILITY, "share", thresholds=(STRICT,))

    return (
        f"Thresholds are not comparable: a certainty of {STRICT:g} keeps "
        f"{_listed(['conformal', *others], share, '.0%')} of the rows. Compare at equal shares."
    )


def _pair(study: StudyResult) -> str:
    if study.recommended is None:
        return ""
    method, certainty = study.recommended

    def at_half(method: str, certainty: str, metric: str) -> float:
        return _average(study, method, certainty, metric, shares=(HALF,))

    gains = []
    for metric, name in (("auroc", "AUROC"), ("accuracy", "accuracy"), ("brier", "Brier score")):
        pair = at_half(method, certainty, metric)
        by_probability = at_half(method, MAX_PROBABILITY, metric)
        conformal = at_half("conformal", CONFIDENCE, metric)
        if np.isfinite([pair, by_probability, conformal]).all():
            gains.append(
                f"{name} {pair:.3f} against {by_probability:.3f} by its own and {conformal:.3f} "
                f"for conformal p by confidence"
            )
    measured = f" With the more certain half kept: {'; '.join(gains)}." if gains else ""
    prevalence = float(study.codes.mean())
    return (
        f"The default pair keeps rows by conformal confidence and reports Venn-ABERS "
        f"probabilities.{measured} Confidence treats both classes alike (share of the second "
        f"class: {prevalence:.0%}) and has few ties, so a wanted share can be kept; Venn-ABERS "
        f"keeps the meaning of a probability whatever that share."
    )


# ------------------------------------------------------------------------------------------ numbers


def draw_weights(
    groups: IntArray | None, n_samples: int, n_resamples: int, seed: int
) -> Float64Array:
    """Return how often every row is drawn: once in the first line, at random in the others.

    Returns
    -------
    weight : ndarray of shape (n_resamples + 1, n_samples)
        Rows of a group are drawn together.
    """
    n_units = n_samples if groups is None else int(groups.max()) + 1
    rng = stream(seed, 0x57D7)
    units = np.vstack([np.ones((1, n_units)), multinomial_counts(n_units, n_resamples, rng)])
    return units if groups is None else units[:, groups]


def summarise(
    draws: list[dict[str, Float64Array]], confidence_level: float
) -> dict[str, StudyNumber]:
    """Return mean and deviation over repetitions, and the interval over the draws."""
    out = {}
    for name in METRICS:
        table = np.array([repeat[name] for repeat in draws])
        table = table[~np.isnan(table[:, 0])]
        if not len(table):
            out[name] = StudyNumber(np.nan, np.nan, np.nan, np.nan)
            continue
        value = float(table[:, 0].mean())
        deviation = float(table[:, 0].std(ddof=1)) if len(table) > 1 else np.nan
        defined = ~np.isnan(table[:, 1:])
        count = defined.sum(axis=0)
        sums = np.where(defined, table[:, 1:], 0.0).sum(axis=0)
        replicates = sums[count > 0] / count[count > 0]
        low = high = np.nan
        if 2 * len(replicates) > table.shape[1] - 1:
            tail = (1 - confidence_level) / 2
            low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
            if name == "ace":
                low, high = max(2 * value - high, 0.0), min(2 * value - low, 1.0)
        out[name] = StudyNumber(value, deviation, low, high)
    return out


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _vector(values: ArrayLike, name: str) -> list[float]:
    if values is None or not np.size(values):
        return []
    numbers: list[float] = check_score_vector(np.atleast_1d(values), name).tolist()
    return numbers
