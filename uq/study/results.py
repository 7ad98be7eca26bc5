"""What a study holds, and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.files import atomic_write
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import check_score_vector
from uq.selective.certainty_curves import SHARES, THRESHOLDS, TITLES, Cut
from uq.study.methods import CONFIDENCE, MAX_PROBABILITY, StudyPredictions
from uq.study.metrics import STUDY_METRICS, StudyRow, draw_weights, measure, summarise
from uq.study.reading import findings, notes
from uq.study.scores import Protocol
from uq.study.text import study_text

#: The method whose probabilities, and the one whose certainty, the recommended pair takes.
PAIR = ("venn_abers", "conformal")


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult:
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
        own = self.predictions[self.models[0], method][0].certainties()
        borrowed = (CONFIDENCE, "conformal_credibility") if "conformal" in self.methods else ()
        return tuple(dict.fromkeys((*own, *borrowed)))

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
        parts = _vector(shares, "shares")
        if any(not 0 < share <= 1 for share in parts):
            raise ValueError(f"shares must lie in (0, 1]; got {describe(parts)}")
        wanted: list[tuple[Cut, float]] = [("none", 0.0)]
        wanted += [("threshold", cut) for cut in cuts] + [("share", share) for share in parts]
        return [self._row(model, method, certainty, cut, at) for cut, at in wanted]

    def _row(self, model: str, method: str, certainty: str, cut: Cut, at: float) -> StudyRow:
        key = (model, method, certainty, cut, at)
        if key not in self._memory:
            self._memory[key] = self._measure(*key)
        return self._memory[key]

    def _measure(self, model: str, method: str, certainty: str, cut: Cut, at: float) -> StudyRow:
        seed, n_samples = self.protocol.random_state, len(self.codes)
        weight = draw_weights(self.groups, n_samples, self.n_resamples, seed)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xF1,)))
        draws, kept = [], []
        for repeat, found in enumerate(self.predictions[model, method]):
            metrics, what = measure(
                self.codes,
                found.y_prob,
                self._certainty(model, method, certainty, repeat),
                weight,
                cut=cut,
                at=at,
                min_kept=self.min_kept,
                uniform=rng.random((self.n_simulations, n_samples)),
            )
            draws.append(metrics)
            kept.append(what)
        mean = {name: _mean([one[name] for one in kept]) for name in kept[0]}
        return StudyRow(
            model,
            method,
            certainty,
            cut,
            at,
            n_repeats=sum(not np.isnan(one["auroc"][0]) for one in draws),
            metrics=summarise(draws, self.confidence_level),
            **mean,
        )

    def _certainty(self, model: str, method: str, certainty: str, repeat: int) -> Float64Array:
        own = self.predictions[model, method][repeat].certainties()
        if certainty in own:
            return own[certainty]
        return self.predictions[model, "conformal"][repeat].certainties()[certainty]

    def rows(self) -> list[StudyRow]:
        """Return the rows of the tables: every model and method at every cut.

        Returns
        -------
        rows : list of StudyRow
            By certainty ``"max_probability"``; conformal p-values and the recommended pair by
            ``"conformal_confidence"`` as well.
        """
        found = []
        for model in self.models:
            pairs = [(method, MAX_PROBABILITY) for method in self.methods]
            if "conformal" in self.methods:
                pairs.append(("conformal", CONFIDENCE))
            if self.recommended is not None:
                pairs.append(self.recommended)
            for method, certainty in pairs:
                found += self.evaluate(model, method, certainty, thresholds=self.thresholds)
        return found

    def findings(self) -> list[str]:
        """Return what the numbers of this study say about the methods, one statement each."""
        return findings(self)

    @property
    def notes(self) -> list[str]:
        """How to read the tables, and what they cannot show."""
        return notes(self)

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

    def __str__(self) -> str:
        return study_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from uq.study.views import fragment

        return fragment(self)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write findings, tables and curves as one self-contained HTML file.

        Parameters
        ----------
        path : str or path-like
            File to write; curves are left out where matplotlib is not installed.
        """
        from uq.study.views import page

        text = page(self)
        with atomic_write(path) as file:
            file.write(text)

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
            for name in STUDY_METRICS:
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
        check_option("metric", metric, STUDY_METRICS)
        check_option("against", against, ("share", "threshold"))
        plt = require("matplotlib.pyplot", extra="plot", purpose="StudyResult.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(5.5, 4.2), layout="constrained")
        pairs = [(method, MAX_PROBABILITY) for method in self.methods]
        if self.recommended is not None:
            pairs.append(self.recommended)
        for method, certainty in pairs:
            found = self.evaluate(
                model,
                method,
                certainty,
                thresholds=THRESHOLDS if against == "threshold" else (),
                shares=SHARES if against == "share" else (),
            )[1:]
            at = [row.at for row in found]
            name = method if certainty == MAX_PROBABILITY else f"{method} by {certainty}"
            last = (method, certainty) == pairs[-1]
            (line,) = ax.plot(
                at,
                [row.metrics[metric].value for row in found],
                marker="o",
                markersize=3,
                linewidth=2.2 if last else 1.2,
                label=name.replace("_", " "),
            )
            if last:
                low = [row.metrics[metric].low for row in found]
                high = [row.metrics[metric].high for row in found]
                ax.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        label = "Share of rows kept" if against == "share" else "Certainty at least"
        ax.set(xlabel=label, ylabel=TITLES[metric], title=model.replace("_", " "))
        ax.legend(fontsize="small")
        return ax


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _vector(values: ArrayLike, name: str) -> list[float]:
    if values is None or not np.size(values):
        return []
    found: list[float] = check_score_vector(np.atleast_1d(values), name).tolist()
    return found
