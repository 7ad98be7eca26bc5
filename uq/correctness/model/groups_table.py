"""How a correctness model does on every model and category: the table of `explain_groups`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from calib._border.optional import require
from calib._border.typing import Float64Array, IntArray
from calib._documents.digits import digits_of
from calib._documents.document import (
    Block,
    Cell,
    Column,
    Document,
    Fold,
    Group,
    Notes,
    Table,
    Verdict,
)
from calib._documents.documented import Documented
from calib.evaluation import Interval
from uq.ood.ranking import auroc

SENTENCES = {
    "level": "On average {mean} is promised and {rate} is right.",
    "farthest": "Clearest miss: {name}, promised {mean}, right {rate}.",
    "one": "No ranking can be measured for {names}: all answers are alike.",
}


@dataclass(frozen=True)
class GroupRow:
    """One group of answers.

    Attributes
    ----------
    by : str
        Column that the group is a value of; empty for all answers.
    name : str
        The value.
    n : int
        Number of answers.
    base_rate : float
        Share that is right.
    mean_proba : float
        Mean probability of being right.
    auroc : float
        Probability that a right answer has the larger one of a right and a wrong answer; nan for
        one class.
    ece : Interval
        Expected calibration error of the probability against being right.
    """

    by: str
    name: str
    n: int
    base_rate: float
    mean_proba: float
    auroc: float
    ece: Interval


@dataclass(frozen=True, eq=False, repr=False)
class GroupsTable(Documented):
    """Result of `CorrectnessModel.explain_groups`; printing it shows the table.

    Attributes
    ----------
    rows : tuple of GroupRow
        All answers first, then the groups column by column.
    confidence_level : float in (0, 1)
        Level of the intervals.
    """

    rows: tuple[GroupRow, ...]
    confidence_level: float

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        return (
            f"{self.rows[0].n:,} answers in {len(self.rows) - 1} groups; "
            f"{100 * self.confidence_level:g} % intervals"
        )

    def document(self) -> Document:
        """Return the table with a sentence on the level and one on the worst group.

        Returns
        -------
        document : Document
        """
        everyone, *groups = self.rows
        digits = digits_of([(row.ece.high - row.ece.low) / 2 for row in self.rows], error=True)
        columns = [
            Column("", kind="text"),
            Column("n"),
            Column("right"),
            Column("promised"),
            Column("AUROC"),
            Column(f"ECE {digits.scale}".strip(), aside="interval"),
        ]

        def cells(row: GroupRow) -> list[Cell]:
            return [
                Cell(row.name),
                Cell(f"{row.n:,}"),
                Cell(f"{row.base_rate:.3f}"),
                Cell(f"{row.mean_proba:.3f}"),
                Cell("" if np.isnan(row.auroc) else f"{row.auroc:.3f}"),
                Cell(
                    digits.value(row.ece.value),
                    aside=digits.range(row.ece.low, row.ece.high),
                ),
            ]

        titles = dict.fromkeys(row.by for row in groups)
        tables = [Group([cells(everyone)])]
        tables += [
            Group([cells(row) for row in groups if row.by == title], title) for title in titles
        ]
        notes = [
            "right: share of right answers; promised: mean probability of being right.",
            "AUROC: probability that of a right and a wrong answer of the group the right one has "
            "the larger probability.",
            "ECE: mean gap between probability and share of right answers in 15 bins of the "
            "probability, what chance adds taken off, with its interval.",
        ]
        headline, *bullets = self._sentences()
        blocks: list[Block] = [
            Table(columns, tables),
            Fold("How to read this", [Notes(notes)]),
        ]
        return Document("Correctness by group", self.heading, blocks, headline, bullets)

    def _sentences(self) -> list[Verdict]:
        everyone, *groups = self.rows

        def verdict(case: str, **words: str) -> Verdict:
            return Verdict(case, SENTENCES[case], words)

        def shares(row: GroupRow) -> dict[str, str]:
            return {"mean": f"{row.mean_proba:.3f}", "rate": f"{row.base_rate:.3f}"}

        said = [verdict("level", **shares(everyone))]
        if groups:
            worst = max(groups, key=_surprise)
            said.append(verdict("farthest", name=worst.name, **shares(worst)))
        one = [row.name for row in groups if np.isnan(row.auroc)]
        if one:
            more = "" if len(one) <= 3 else f" and {len(one) - 3} more"
            said.append(verdict("one", names=", ".join(one[:3]) + more))
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the table as dictionaries, strings and numbers, for JSON.

        Returns
        -------
        table : dict
        """
        return {
            "confidence_level": self.confidence_level,
            "rows": [_plain(row) for row in self.rows],
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per group, all answers first.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``by, name, n, base_rate, mean_proba, auroc, ece, ece_low, ece_high``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="GroupsTable.to_frame")
        return pandas.DataFrame([_plain(row) for row in self.rows])


def _surprise(row: GroupRow) -> float:
    """Return the gap of a group in standard errors of its share of right answers."""
    spread = max(row.mean_proba * (1.0 - row.mean_proba), 1e-9) / row.n
    return float(abs(row.mean_proba - row.base_rate) / np.sqrt(spread))


def _plain(row: GroupRow) -> dict[str, Any]:
    return {
        "by": row.by,
        "name": row.name,
        "n": row.n,
        "base_rate": row.base_rate,
        "mean_proba": row.mean_proba,
        "auroc": row.auroc,
        "ece": row.ece.value,
        "ece_low": row.ece.low,
        "ece_high": row.ece.high,
    }


def groups_table(
    columns: Mapping[str, Sequence[str]],
    correct: IntArray,
    proba: Float64Array,
    units: IntArray,
    *,
    confidence_level: float,
    n_resamples: int,
    random_state: int,
) -> GroupsTable:
    """Measure probabilities of being right on every value of some columns.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Names of the groups of every answer, by column.
    correct, proba, units : ndarray of shape (n,)
        Labels, probabilities, and questions, which are drawn whole.
    confidence_level, n_resamples, random_state
        Of the intervals.
    """

    def measured(by: str, name: str, rows: IntArray) -> GroupRow:
        right, g = correct[rows], proba[rows]
        ranking = np.nan
        if 0 < right.sum() < len(right):
            code = np.unique(g, return_inverse=True)[1]
            counts = [np.bincount(code[right == kind], minlength=len(g)) for kind in (1, 0)]
            ranking = float(auroc(counts[0].astype(float), counts[1].astype(float)))
        return GroupRow(
            by,
            name,
            len(rows),
            float(right.mean()),
            float(g.mean()),
            ranking,
            _ece_interval(right, g, units[rows], confidence_level, n_resamples, random_state),
        )

    rows = [measured("", "all answers", np.arange(len(correct)))]
    for by, values in columns.items():
        names = np.array(values, dtype=object)
        for name in sorted(set(values)):
            rows.append(measured(by, name or "(missing)", np.flatnonzero(names == name)))
    return GroupsTable(tuple(rows), confidence_level)


def _ece_interval(
    correct: IntArray,
    proba: Float64Array,
    units: IntArray,
    confidence_level: float,
    n_resamples: int,
    random_state: int,
) -> Interval:
    from calib.evaluation import expected_calibration_error, metric_interval

    ece = partial(expected_calibration_error, labels=[0, 1])
    if len(np.unique(units)) < 2:
        value = float(ece(correct, proba))
        return Interval(value, np.nan, np.nan, confidence_level, np.nan, np.nan, np.nan, 0)
    return metric_interval(
        ece,
        correct,
        proba,
        groups=units,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=random_state,
    )
