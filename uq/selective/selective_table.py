"""What abstention gains for every model: accuracy at a coverage, coverage at a risk, areas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_fraction, describe
from calib._border.columns import class_name
from calib._border.labels import check_same_length, check_vector
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import check_score_vector
from calib._documents.charts import LineChart
from calib._documents.document import (
    Block,
    Cell,
    Column,
    Document,
    Figure,
    Figures,
    Fold,
    Group,
    Notes,
    Table,
    Verdict,
)
from calib._documents.documented import Documented
from uq.ood.ranking import auroc
from uq.selective.risk_coverage import RiskCoverageCurve, curve_of
from uq.selective.tied_risk import warn_if_reversed

#: Name of all answers together.
EVERYONE = "all answers"
#: Groups that a picture tells apart by colour, dash and a name beside the curve.
MOST_NAMED = 6
#: Groups that the chart of a page holds; of more, the best and the worst.
MOST_LINES = 10
#: Answers, and share of them, from which on a curve is drawn: the risk of fewer is mostly chance.
FEWEST_DRAWN, SHARE_DRAWN = 10, 0.01
#: Coverages below which no sentence is made of them.
WORTH_NAMING = 0.02
#: Dashes of the named curves, in turn.
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
#: Share of the width of the axes that names take at most, and of a letter's height its width.
MOST_WIDTH, LETTER = 0.45, 0.6
SENTENCES = {
    "gain": "Giving the {share} of the answers with the largest scores makes {kept} of them right "
    "instead of {all}.",
    "within": "At most {risk} of the answers given are wrong as long as {share} of all are given.",
    "never": "At most {risk} of the answers given are wrong only while fewer than {least} of all "
    "are given.",
    "span": "At that risk most can be given of {best} ({most}), least of {worst} ({least}).",
    "one": "No ranking can be measured for {names}: all answers are alike.",
}
#: What a reversed score means here, and what to do.
REVERSED = {
    "meaning": "what was wrong in the place of what was right, or scores may be a doubt",
    "cure": "pass 1 for right answers, or the negative of the doubt",
}


@dataclass(frozen=True)
class SelectiveRow:
    """What abstention gains for one group of answers.

    Attributes
    ----------
    name : str
        Name of the group, or "all answers".
    n : int
        Number of answers.
    accuracy : float
        Share that is right.
    auroc : float
        Probability that of a right and a wrong answer the right one has the larger score, ties
        counted half; nan for one kind.
    aurc : float
        Area under the risk-coverage curve, lower is better.
    excess_aurc : float
        The same minus that of a perfect ranking, which does not reward accuracy.
    accuracy_kept : float
        Share that is right at the coverage of the table.
    coverage_within : float
        Largest coverage at which the observed risk is within the limit of the table; 0 for none.
    threshold_within : float
        Score from which on answers are then given; inf for none.
    """

    name: str
    n: int
    accuracy: float
    auroc: float
    aurc: float
    excess_aurc: float
    accuracy_kept: float
    coverage_within: float
    threshold_within: float


@dataclass(frozen=True, eq=False, repr=False)
class SelectiveTable(Documented):
    """Result of `selective_table`; printing it shows the table.

    Attributes
    ----------
    rows : tuple of SelectiveRow
        All answers first, then the groups, the smallest area first.
    curves : mapping of str to RiskCoverageCurve
        Curve of every row by its name.
    coverage : float in (0, 1]
        Coverage at which accuracies are shown.
    risk : float in (0, 1)
        Limit of the share of wrong answers.
    """

    rows: tuple[SelectiveRow, ...]
    curves: Mapping[str, RiskCoverageCurve]
    coverage: float
    risk: float

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        everyone, *groups = self.rows
        return f"{everyone.n:,} answers" + (f" in {len(groups)} groups" if groups else "")

    def document(self) -> Document:
        """Return the table, what it says in words, and the curves.

        Returns
        -------
        document : Document
        """
        everyone, *groups = self.rows
        columns = [
            Column("", kind="text"),
            Column("n"),
            Column("right"),
            Column("AUROC"),
            Column("AURC"),
            Column("excess"),
            Column(
                f"right at {_percent(self.coverage)} coverage",
                short=f"at {_percent(self.coverage)}",
            ),
            Column(f"coverage at {_percent(self.risk)} risk", short=f"{_percent(self.risk)} risk"),
        ]
        table = [Group([_cells(everyone)])]
        if groups:
            table.append(Group([_cells(row) for row in groups], "by group"))
        notes = [
            "right: share of right answers; the last but one column shows it for the given share "
            "of answers with the largest scores.",
            "AUROC: probability that of a right and a wrong answer of the group the right one has "
            "the larger score. It does not depend on the accuracy of the group.",
            "AURC: mean share of wrong answers among the k with the largest scores, over all k; "
            "lower is better. excess: the same minus that of a perfect ranking.",
            "coverage at a risk: largest share of answers, taken from the largest score down, of "
            "which so few are wrong in these data. It is chosen on them and therefore too good on "
            "average; control_selective_risk gives a threshold with a guarantee.",
            "The row of all answers ranks answers of all groups by one score, so that it gives "
            "more answers of stronger groups.",
        ]
        headline, *bullets = self._sentences()
        blocks: list[Block] = [
            Table(columns, table),
            Figures("Risk against coverage", [self._figure()]),
            Fold("How to read this", [Notes(notes)]),
        ]
        return Document("Selective answers", self.heading, blocks, headline, bullets)

    def _sentences(self) -> list[Verdict]:
        everyone, *groups = self.rows
        risk = _percent(self.risk)

        def verdict(case: str, **words: str) -> Verdict:
            return Verdict(case, SENTENCES[case], words)

        said = [
            verdict(
                "gain",
                share=_percent(self.coverage),
                kept=_percent(everyone.accuracy_kept),
                all=_percent(everyone.accuracy),
            )
        ]
        if everyone.coverage_within >= WORTH_NAMING:
            said.append(verdict("within", risk=risk, share=_percent(everyone.coverage_within)))
        else:
            said.append(verdict("never", risk=risk, least=_percent(WORTH_NAMING)))
        if len(groups) > 1:
            best = max(groups, key=lambda row: row.coverage_within)
            worst = min(groups, key=lambda row: row.coverage_within)
            if best.coverage_within >= WORTH_NAMING:
                said.append(
                    verdict(
                        "span",
                        best=best.name,
                        most=_percent(best.coverage_within),
                        worst=worst.name,
                        least=_percent(worst.coverage_within),
                    )
                )
        alike = [row.name for row in self.rows if np.isnan(row.auroc)]
        if alike:
            more = "" if len(alike) <= 3 else f" and {len(alike) - 3} more"
            said.append(verdict("one", names=", ".join(alike[:3]) + more))
        return said

    def _figure(self) -> Figure:
        at = np.arange(1, 21) / 20
        names = [row.name for row in self.rows[1:]]
        if len(names) > MOST_LINES:
            names = [*names[: MOST_LINES // 2], *names[-MOST_LINES // 2 :]]
        lines = {
            name: (at, np.array([self.curves[name].at_coverage(float(share)) for share in at]))
            for name in (*names, EVERYONE)
        }
        pooled = lines[EVERYONE][1]
        chart = LineChart(lines, (pooled, pooled))
        drawing = chart.drawing("Risk against coverage", "Coverage", "Share of wrong answers")
        return Figure("all answers, and every group", drawing)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as dictionaries, strings and numbers, for JSON.

        Returns
        -------
        table : dict
            Numbers that do not exist are None.
        """
        rows = [
            {
                key: None if isinstance(value, float) and not np.isfinite(value) else value
                for key, value in asdict(row).items()
            }
            for row in self.rows
        ]
        return {"coverage": self.coverage, "risk": self.risk, "rows": rows}

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per group, all answers first.

        Returns
        -------
        frame : pandas.DataFrame
            Columns as the attributes of `SelectiveRow`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="SelectiveTable.to_frame")
        return pandas.DataFrame([asdict(row) for row in self.rows])

    def plot(self, ax: Any = None) -> Any:
        """Draw risk against coverage, a curve per group and a heavy one of all answers.

        Up to six groups differ by colour and dash and are named beside the ends of their curves;
        more are thin and grey. Curves begin where 10 answers, and 1 % of them, are given.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Everything stays inside of them.

        Returns
        -------
        ax : matplotlib Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from calib.evaluation.display.axes import inches, label_axes, make_room

        plt = require("matplotlib.pyplot", extra="plot", purpose="SelectiveTable.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
        named = len(self.rows) - 1 <= MOST_NAMED
        ends: list[tuple[str, Any]] = []
        top = 0.0
        for place, row in enumerate([*self.rows[1:], self.rows[0]]):
            curve = self.curves[row.name]
            fewest = max(FEWEST_DRAWN, SHARE_DRAWN * curve.n_kept[-1])
            shown = curve.n_kept >= min(fewest, curve.n_kept[-1])
            style: dict[str, Any] = {"color": "0.65", "linewidth": 0.8}
            if row.name == EVERYONE and place == len(self.rows) - 1:
                style = {"color": ax.xaxis.label.get_color(), "linewidth": 2.4, "zorder": 3}
            elif named:
                style = {"linestyle": DASHES[place], "linewidth": 1.4}
            (line,) = ax.plot(curve.coverage[shown], curve.risk[shown], label=row.name, **style)
            top = max(top, float(curve.risk[shown].max()))
            if named or row.name == EVERYONE:
                ends.append((row.name, line))
        ax.set(xlim=(0.0, 1.0), ylim=(0.0, max(1.05 * top, 0.01)))
        ax.set_xticks(np.linspace(0, 1, 6 if inches(ax)[0] > 2.5 else 3))
        label_axes(ax, "Coverage", "Risk: share of wrong answers")
        make_room(ax)
        _name_ends(ax, ends)
        return ax


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _cells(row: SelectiveRow) -> list[Cell]:
    return [
        Cell(row.name),
        Cell(f"{row.n:,}"),
        Cell(f"{row.accuracy:.3f}"),
        Cell("" if np.isnan(row.auroc) else f"{row.auroc:.3f}"),
        Cell(f"{row.aurc:.3f}"),
        Cell(f"{row.excess_aurc:.3f}"),
        Cell(f"{row.accuracy_kept:.3f}"),
        Cell(f"{row.coverage_within:.3f}" if row.coverage_within else "none"),
    ]


def _name_ends(ax: Any, ends: list[tuple[str, Any]]) -> None:
    """Write names beside the right ends of curves, inside the axes and apart from each other."""
    from calib.evaluation.display.axes import text_size

    figure = getattr(ax.figure, "figure", ax.figure)
    figure.draw_without_rendering()  # only now the layout of the figure is known
    box, per_point = ax.bbox, figure.dpi / 72
    size = min(text_size(ax), box.height / (1.3 * per_point * len(ends)))
    letters = max(4, int(MOST_WIDTH * box.width / (LETTER * size * per_point)))
    names = [name if len(name) <= letters else _shortened(name, letters) for name, _ in ends]
    texts = [
        ax.text(0, 0, name, color=line.get_color(), fontsize=size, va="center", clip_on=True)
        for name, (_, line) in zip(names, ends, strict=True)
    ]
    widest = max(text.get_window_extent().width for text in texts)
    gap = size * per_point
    right = 1.0 / (1.0 - min((widest + 1.5 * gap) / box.width, 0.7))
    right = max(
        [right, *(panel.get_xlim()[1] for panel in ax.get_shared_x_axes().get_siblings(ax))]
    )
    ax.set_xlim(0.0, right)
    _, top = ax.get_ylim()
    step = 1.25 * size * per_point / box.height * top
    heights = [float(line.get_ydata()[-1]) for _, line in ends]
    places = _apart(heights, step, step / 2, top - step / 2)
    begin = 1.0 + gap / box.width * right
    for text, (_, line), end, place in zip(texts, ends, heights, places, strict=True):
        text.set_position((begin, place))
        color = line.get_color()
        ax.plot([1.0, begin - 0.2 * (begin - 1)], [end, place], color=color, linewidth=0.6)


def _shortened(name: str, letters: int) -> str:
    """Return a name without its middle; beginnings and ends tell models apart."""
    return f"{name[: letters - letters // 2 - 1]}\u2026{name[len(name) - letters // 2 :]}"


def _apart(heights: list[float], step: float, low: float, high: float) -> list[float]:
    """Return places in the order of the heights, `step` apart and as near to them as can be."""
    order = np.argsort(heights, kind="stable")
    wanted = np.array(heights)[order] - step * np.arange(len(heights))
    # least squares under an order is isotonic; the ends keep everything inside
    from sklearn.isotonic import isotonic_regression

    most = max(low, high - step * (len(heights) - 1))
    placed = np.clip(isotonic_regression(wanted), low, most) + step * np.arange(len(heights))
    places = np.empty(len(heights))
    places[order] = placed
    return [float(place) for place in places]


def selective_table(
    correct: ArrayLike,
    confidence: ArrayLike,
    groups: ArrayLike = None,
    *,
    coverage: float = 0.5,
    risk: float = 0.1,
) -> SelectiveTable:
    """Measure for every model what is gained by giving only the answers with the largest scores.

    Parameters
    ----------
    correct : array-like of shape (n_answers,)
        1 (or True) for right answers, 0 for wrong ones.
    confidence : array-like of shape (n_answers,)
        Larger for answers to be given first, on any scale: probabilities of being right,
        confidences, log-odds.
    groups : array-like of shape (n_answers,), default=None
        Name of the model, or category, of every answer; missing names are a group "(missing)".
        None measures all answers alone.
    coverage : float in (0, 1], default=0.5
        Share of answers given, at which accuracies are shown.
    risk : float in (0, 1), default=0.1
        Share of wrong answers among those given, at which coverages are shown.

    Returns
    -------
    table : SelectiveTable
        Number of answers, accuracy, AUROC, area under the risk-coverage curve (AURC), its excess
        over a perfect ranking, accuracy at the coverage and coverage at the risk, for all answers
        and every group; ``plot`` draws the curves, ``to_frame`` gives numbers.

    Raises
    ------
    ValueError
        If `correct` holds other values than 0 and 1, confidences are not finite, lengths differ, or
        an option is out of range.

    Warns
    -----
    DegenerateScoresWarning
        If wrong answers come with larger scores beyond chance.

    See Also
    --------
    risk_coverage_curve : One curve, for any loss.
    control_selective_risk : A threshold with a guarantee.

    Notes
    -----
    The curves depend on the ranking alone, so that recalibration which keeps it changes nothing:
    show the table beside a proper score. A coverage at a risk is
    ``max {k / n : e_k <= risk}`` with e_k the share of wrong answers among the first k, whole ties
    at a time.

    References
    ----------
    .. [1] Y. Geifman, R. El-Yaniv. Selective Classification for Deep Neural Networks. NeurIPS
       2017. arXiv:1705.08500
    .. [2] Y. Geifman, G. Uziel, R. El-Yaniv. Bias-Reduced Uncertainty Estimation for Deep Neural
       Classifiers. ICLR 2019. arXiv:1805.08206

    Examples
    --------
    >>> from uq import selective_table
    >>> correct = [1, 1, 0, 1, 0, 1, 0, 0]
    >>> confidence = [0.9, 0.8, 0.7, 0.6, 0.9, 0.8, 0.4, 0.3]
    >>> table = selective_table(correct, confidence, ["large"] * 4 + ["small"] * 4)
    >>> for row in table.rows:
    ...     print(row.name, row.accuracy, round(row.aurc, 3), row.accuracy_kept)
    all answers 0.5 0.406 0.75
    large 0.75 0.146 1.0
    small 0.25 0.729 0.5
    """
    right = check_vector(correct, "correct")
    odd = [value for value in np.unique(right).tolist() if value not in (0, 1)]
    if odd:
        raise ValueError(
            f"correct must hold 1 (right) and 0 (wrong); got {describe(odd[0])}. Compare answers "
            f"with the solutions before"
        )
    ranks = check_score_vector(confidence, "confidence")
    check_same_length(len(right), len(ranks), "correct", "confidence")
    if isinstance(coverage, (bool, str)) or not 0 < coverage <= 1:
        raise ValueError(f"coverage must lie in (0, 1]; got {describe(coverage)}")
    limit = check_fraction("risk", risk)
    loss = 1.0 - right.astype(np.float64)
    warn_if_reversed(loss, ranks, "correct", **REVERSED)
    names = _names(groups, len(loss))
    curves: dict[str, RiskCoverageCurve] = {}
    everyone = np.arange(len(loss))
    rows = [_measured(EVERYONE, everyone, loss, ranks, coverage, limit, curves)]
    parts = [
        _measured(name, np.flatnonzero(names == name), loss, ranks, coverage, limit, curves)
        for name in (() if names is None else sorted(set(names.tolist())))
    ]
    parts.sort(key=lambda row: row.aurc)
    return SelectiveTable((*rows, *parts), curves, float(coverage), limit)


def _names(groups: ArrayLike, n_rows: int) -> Any:
    """Return names as an array of texts, None where there are none."""
    if groups is None:
        return None
    values = getattr(groups, "to_pylist", getattr(groups, "tolist", None))
    listed = list(groups) if values is None else values()
    check_same_length(n_rows, len(listed), "correct", "groups")
    texts = [
        "(missing)" if value is None or value != value or value == "" else class_name(value)
        for value in listed
    ]
    return np.array(
        [f"{name} (group)" if name == EVERYONE else name for name in texts], dtype=object
    )


def _measured(
    name: str,
    rows: Any,
    loss: Float64Array,
    scores: Float64Array,
    coverage: float,
    risk: float,
    curves: dict[str, RiskCoverageCurve],
) -> SelectiveRow:
    wrong, ranks = loss[rows], scores[rows]
    curve = curves[name] = curve_of(wrong, ranks, np.ones(len(rows)))
    ranking = np.nan
    if 0 < wrong.sum() < len(wrong):
        code = np.unique(ranks, return_inverse=True)[1]
        right, false = (np.bincount(code, part).astype(float) for part in (1 - wrong, wrong))
        ranking = float(auroc(right, false))
    within = curve.best_within(risk)
    return SelectiveRow(
        name=name,
        n=len(rows),
        accuracy=float(1 - wrong.mean()),
        auroc=ranking,
        aurc=curve.area,
        excess_aurc=curve.excess_area,
        accuracy_kept=1.0 - curve.at_coverage(coverage),
        coverage_within=within.coverage,
        threshold_within=within.threshold,
    )
