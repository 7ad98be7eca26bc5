"""How well an out-of-distribution score separates, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_fraction, check_integer, describe
from calib._border.labels import check_weight
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._border.validation import check_score_vector
from calib._border.warn import warn
from calib._documents.document import (
    Block,
    Cell,
    Column,
    Document,
    Fold,
    Group,
    Notes,
    Paragraph,
    Table,
    Verdict,
)
from calib._documents.documented import Documented
from calib.evaluation import Interval
from calib.evaluation.sampling.draws import unit_counts
from calib.evaluation.sampling.intervals import summarized
from calib.warnings import DegenerateScoresWarning
from uq.ood.ranking import auroc, false_positive_rate, precision_area, threshold_index

MEASURES = ("auroc", "aupr_in", "aupr_out", "fpr_at_tpr")
SENTENCES = {
    "separates": "The score separates{mean}: AUROC {area} ({low} to {high}); {passing} % of the "
    "others pass the threshold that keeps {kept} %.",
    "nothing": "No separation that these samples can show{mean}: AUROC {area} ({low} to {high}).",
    "turned": "The score points the other way{mean}: AUROC {area} ({low} to {high}), below 0.5.",
    "hardest": "Hardest to tell apart: {name} (AUROC {area}).",
    "blind": "No separation beyond chance from {names}.",
    "sign": "AUROC is below 0.5 for {names}: those samples score higher than the in-distribution "
    "ones; if the score is a doubt, pass its negative.",
}


@dataclass(frozen=True)
class OODMeasures:
    """Separation of in-distribution samples from one set of others.

    Attributes
    ----------
    auroc : Interval
        Probability that an in-distribution sample scores higher, ties counted half.
    aupr_in, aupr_out : Interval
        Average precision with in-distribution or with the others as the positive group; the level
        of a useless score is the share of the positive group.
    fpr_at_tpr : Interval
        Share of the others that pass the threshold that keeps the wanted share of
        in-distribution samples.
    n_out : int
        Number of others (of all sets for the mean).
    """

    auroc: Interval
    aupr_in: Interval
    aupr_out: Interval
    fpr_at_tpr: Interval
    n_out: int

    def items(self) -> list[tuple[str, Interval]]:
        """Return names and values of the four measures."""
        return [(name, getattr(self, name)) for name in MEASURES]


@dataclass(frozen=True, eq=False, repr=False)
class OODReport(Documented):
    """Result of `ood_report`; printing it shows the table.

    Attributes
    ----------
    sets : dict of str to OODMeasures
        Results per out-of-distribution set, in the order given.
    mean : OODMeasures
        Plain mean over the sets.
    threshold : float
        Highest observed score at or above which `true_positive_rate` of the in-distribution samples
        lie.
    n_in : int
        Number of in-distribution samples.
    true_positive_rate : float in (0, 1)
        Share of in-distribution samples to keep.
    confidence_level : float in (0, 1)
        Level of the intervals.
    n_resamples : int
        Number of bootstrap draws.
    scores_in : ndarray of shape (n_in,)
        Scores of in-distribution samples.
    scores_out : dict of str to ndarray
        Scores of the others.
    """

    sets: dict[str, OODMeasures]
    mean: OODMeasures
    threshold: float
    n_in: int
    true_positive_rate: float
    confidence_level: float
    n_resamples: int
    scores_in: Float64Array
    scores_out: dict[str, Float64Array]

    def _rows(self) -> dict[str, OODMeasures]:
        return {**self.sets, "mean": self.mean} if len(self.sets) > 1 else self.sets

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        others = sum(result.n_out for result in self.sets.values())
        return (
            f"{self.n_in:,} in-distribution samples and {others:,} others; "
            f"{100 * self.confidence_level:g} % intervals from {self.n_resamples:,} draws"
        )

    @property
    def answer(self) -> list[Verdict]:
        """Whether the score separates, how well, and where it does not."""
        area, passing = self.mean.auroc, self.mean.fpr_at_tpr
        case = "turned" if area.high < 0.5 else "separates" if area.low > 0.5 else "nothing"
        parts = {
            "area": f"{area.value:.3f}",
            "low": f"{area.low:.3f}",
            "high": f"{area.high:.3f}",
            "passing": f"{100 * passing.value:.1f}",
            "kept": f"{100 * self.true_positive_rate:g}",
            "mean": " on average" if len(self.sets) > 1 else "",
        }
        out = [Verdict(case, SENTENCES[case], parts)]
        ranked = sorted(self.sets, key=lambda name: self.sets[name].auroc.value)
        turned = [name for name in ranked if self.sets[name].auroc.high < 0.5]
        blind = [name for name in ranked if 0.5 in self.sets[name].auroc]
        if len(self.sets) > 1:
            areas = {"name": ranked[0], "area": f"{self.sets[ranked[0]].auroc.value:.3f}"}
            out.append(Verdict("hardest", SENTENCES["hardest"], areas))
            if blind:
                out.append(Verdict("blind", SENTENCES["blind"], {"names": ", ".join(blind)}))
        if turned:
            out.append(Verdict("sign", SENTENCES["sign"], {"names": ", ".join(turned)}))
        return out

    def document(self) -> Document:
        """Return the answer, the table of sets, and how to read it."""
        titles = ("AUROC", "AUPR in", "AUPR out", f"FPR at {100 * self.true_positive_rate:g} % TPR")
        rows = [
            [
                Cell(name),
                *(Cell(f"{m.value:.4f}", f"({m.low:.4f}-{m.high:.4f})") for _, m in result.items()),
            ]
            for name, result in self._rows().items()
        ]
        columns = [
            Column("Set", kind="text"),
            *(Column(title, terminal="all" if title == "AUROC" else "brief") for title in titles),
        ]
        notes = [
            f"Threshold {self.threshold:.6g}: the highest score at or above which "
            f"{100 * self.true_positive_rate:g} % of the in-distribution samples lie. A larger "
            f"score means more in-distribution. AUPR depends on the share of the positive group.",
            "AUROC: probability that an in-distribution sample scores higher than one of the "
            "others; 0.5 is what a score shows that separates nothing.",
        ]
        headline, *bullets = self.answer
        blocks: list[Block] = [
            Table(columns, [Group(rows)]),
            Paragraph(f"{self.heading}. {notes[0]}", "soft", "terminal"),
            Fold("How to read this", [Notes(notes)]),
        ]
        return Document("Out-of-distribution report", self.heading, blocks, headline, bullets)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the scores as dictionaries, strings and numbers, for JSON."""
        rows = {
            name: {
                "n_out": result.n_out,
                **{
                    key: {"value": m.value, "low": m.low, "high": m.high}
                    for key, m in result.items()
                },
            }
            for name, result in {**self.sets, "mean": self.mean}.items()
        }
        return {
            "n_in": self.n_in,
            "threshold": self.threshold,
            "true_positive_rate": self.true_positive_rate,
            "confidence_level": self.confidence_level,
            "n_resamples": self.n_resamples,
            "mean": rows.pop("mean"),
            "sets": rows,
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per set, and the mean of two or more.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``n_out`` and, per measure, its value, ``<measure>_low`` and ``<measure>_high``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="OODReport.to_frame")
        rows = {}
        for name, result in self._rows().items():
            row: dict[str, float] = {"n_out": result.n_out}
            for key, m in result.items():
                row.update({key: m.value, f"{key}_low": m.low, f"{key}_high": m.high})
            rows[name] = row
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("set")

    def plot(self, ax: Any = None, *, n_bins: int = 50) -> Any:
        """Draw histograms of the scores and the threshold.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        n_bins : int >= 1, default=50
            Number of bars over the common range.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ValueError
            If ``n_bins < 1``.
        ImportError
            If matplotlib is not installed.
        """
        check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
        plt = require("matplotlib.pyplot", extra="plot", purpose="OODReport.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
        every = {"in-distribution": self.scores_in, **self.scores_out}
        edges = np.histogram_bin_edges(np.concatenate(list(every.values())), bins=n_bins)
        for name, values in every.items():
            share = np.histogram(values, edges)[0] / len(values)
            ax.stairs(share, edges, fill=True, alpha=0.45, label=name)
        ax.axvline(self.threshold, color="black", linestyle=":", linewidth=1)
        ax.set(xlabel="Score (larger: more in-distribution)", ylabel="Share of samples")
        ax.legend()
        return ax


def ood_report(
    scores_in: ArrayLike,
    scores_out: ArrayLike | Mapping[str, ArrayLike],
    *,
    sample_weight: ArrayLike = None,
    true_positive_rate: float = 0.95,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = None,
) -> OODReport:
    """Measure how well a score separates in-distribution samples from others.

    Parameters
    ----------
    scores_in : array-like of shape (n_in,)
        Scores of in-distribution samples, larger for more in-distribution; the positive group.
    scores_out : array-like of shape (n_out,) or mapping of str to array-like
        Scores of the others; a mapping holds several sets, each compared with all of `scores_in`.
    sample_weight : array-like of shape (n_in,), default=None
        Weights of the in-distribution samples; an integer weight equals that many repetitions.
    true_positive_rate : float in (0, 1), default=0.95
        Share of in-distribution samples that the threshold has to keep.
    confidence_level : float in (0, 1), default=0.95
        Level of the percentile intervals.
    n_resamples : int >= 2, default=1000
        Number of bootstrap draws.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    report : OODReport
        Measures per set and their plain mean.

    Raises
    ------
    ValueError
        For NaN or inf, empty groups, other shapes, or an option out of range.

    Warns
    -----
    DegenerateScoresWarning
        If all scores of both groups are equal.

    Notes
    -----
    The false positive rate is read at the first point of the ROC curve whose true positive rate
    reaches the wanted share; there is no interpolation, and tied scores pass or fail together. The
    areas under precision and recall are average precisions (steps, no trapezoids). The bootstrap
    draws both groups separately and keeps their sizes; all sets of one call share the draws of
    the in-distribution samples, so the interval of the mean is right too. Cost:
    O(n log n + n_resamples n).

    References
    ----------
    .. [1] D. Hendrycks, K. Gimpel. A Baseline for Detecting Misclassified and Out-of-Distribution
       Examples in Neural Networks. ICLR 2017. arXiv:1610.02136
    .. [2] J. Davis, M. Goadrich. The Relationship between Precision-Recall and ROC Curves.
       ICML 2006. doi:10.1145/1143844.1143874

    Examples
    --------
    >>> from uq import ood_report
    >>> report = ood_report([3.0, 2.0, 1.0, 0.5], [0.0, 0.7, -1.0], random_state=0)
    >>> round(report.mean.auroc.value, 4), round(report.mean.fpr_at_tpr.value, 4)
    (0.9167, 0.3333)
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    true_positive_rate = check_fraction("true_positive_rate", true_positive_rate)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    inside = check_score_vector(scores_in, "scores_in")
    weight = check_weight(sample_weight, len(inside))
    named = scores_out if isinstance(scores_out, Mapping) else {"out": scores_out}
    if not named:
        raise ValueError("scores_out is an empty mapping; pass at least one set of scores")
    if "mean" in named:
        raise ValueError("scores_out has a set named 'mean', which is the row of the mean; rename")
    if len({str(name) for name in named}) != len(named):
        raise ValueError(
            f"scores_out has two sets of one name: {describe(list(named))}; rename one"
        )
    outside = {
        str(name): check_score_vector(
            scores, f"scores_out[{name!r}]" if len(named) > 1 else "scores_out"
        )
        for name, scores in named.items()
    }
    values, codes = np.unique(np.concatenate([inside, *outside.values()]), return_inverse=True)
    if len(values) == 1:
        warn(
            f"all scores are equal ({values[0]:.6g}); they separate nothing",
            DegenerateScoresWarning,
        )
    ends = np.cumsum([len(inside), *(len(scores) for scores in outside.values())])
    code_in, *code_out = np.split(codes, ends[:-1])

    def measure(times_in: Float64Array, times_out: list[Float64Array]) -> Float64Array:
        times_in = times_in if weight is None else times_in * weight
        positive = np.bincount(code_in, times_in, minlength=len(values)).astype(np.float64)
        if not positive.any():
            return np.full((len(code_out), len(MEASURES)), np.nan)
        table = []
        for code, times in zip(code_out, times_out, strict=True):
            negative = np.bincount(code, times, minlength=len(values)).astype(np.float64)
            table.append(
                [
                    auroc(positive, negative),
                    precision_area(positive, negative),
                    precision_area(negative[::-1], positive[::-1]),
                    false_positive_rate(positive, negative, true_positive_rate),
                ]
            )
        return np.array(table)

    def drawn(code: IntArray) -> Float64Array:
        return np.asarray(unit_counts(len(code), 1, rng)[0], dtype=np.float64)

    observed = measure(np.ones(len(code_in)), [np.ones(len(code)) for code in code_out])
    rng = generator(random_state)
    draws = np.empty((n_resamples, *observed.shape))
    for replicate in range(n_resamples):
        draws[replicate] = measure(drawn(code_in), [drawn(code) for code in code_out])
    draws = draws[np.isfinite(draws).all(axis=(1, 2))]  # a draw may hold zero weights alone

    def measures(value: Float64Array, replicates: Float64Array, n_out: int) -> OODMeasures:
        intervals = {
            name: _interval(float(value[column]), replicates[:, column], confidence_level)
            for column, name in enumerate(MEASURES)
        }
        return OODMeasures(**intervals, n_out=n_out)

    weights_in = np.bincount(code_in, weight, minlength=len(values)).astype(np.float64)
    return OODReport(
        sets={
            name: measures(observed[index], draws[:, index], len(scores))
            for index, (name, scores) in enumerate(outside.items())
        },
        mean=measures(
            observed.mean(axis=0), draws.mean(axis=1), sum(len(s) for s in outside.values())
        ),
        threshold=float(values[threshold_index(weights_in, true_positive_rate)]),
        n_in=len(inside),
        true_positive_rate=true_positive_rate,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        scores_in=inside,
        scores_out=outside,
    )


def _interval(value: float, draws: Float64Array, confidence_level: float) -> Interval:
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return summarized(value, low, high, confidence_level, draws)
