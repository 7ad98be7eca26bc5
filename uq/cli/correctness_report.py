"""A correctness model on graded answers: calibration, groups and abstention in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calib._border.typing import IntArray
from calib._documents.document import Block, Document, Findings, Fold, Heading
from calib._documents.documented import Documented
from calib.evaluation import calibration_report
from calib.progress import Progress
from uq.correctness.model.groups_table import GroupsTable
from uq.correctness.model.model import CorrectnessModel
from uq.correctness.model.records import Fields, read_records
from uq.selective.selective_table import SelectiveTable, selective_table


@dataclass(frozen=True, eq=False, repr=False)
class CorrectnessReport(Documented):
    """Probabilities of being right against what was right.

    Attributes
    ----------
    calibration : CalibrationReport
        In the binary view: the probability of being right against being right.
    groups : GroupsTable or None
        By model and category; None where nothing tells groups apart.
    selective : SelectiveTable
        What abstention gains, by model.
    """

    calibration: Any
    groups: GroupsTable | None
    selective: SelectiveTable

    def document(self) -> Document:
        """Return the report on calibration, and below it the groups and abstention.

        Returns
        -------
        document : Document
        """
        first = self.calibration.document()
        shown: list[Block] = [block for block in first.blocks if not isinstance(block, Fold)]
        folded: list[Block] = [block for block in first.blocks if isinstance(block, Fold)]
        parts = (("By group", self.groups), ("Abstention", self.selective))
        for title, result in parts:
            if result is None:
                continue
            document = result.document()
            said = [verdict for verdict in (document.headline, *document.bullets) if verdict]
            shown += [Heading(title), Findings([verdict.text for verdict in said])]
            for block in document.blocks:
                if isinstance(block, Fold):
                    folded.append(Fold(f"{block.title}: {title.lower()}", block.blocks, block.note))
                else:
                    shown.append(block)
        return Document(
            "Correctness report", first.heading, [*shown, *folded], first.headline, first.bullets
        )

    def to_latex(self) -> str:
        """Return the tables of the three parts for LaTeX.

        Returns
        -------
        tables : str
        """
        parts = (self.calibration, self.groups, self.selective)
        return "\n".join(part.to_latex() for part in parts if part is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return the three parts as dictionaries, for JSON.

        Returns
        -------
        report : dict
        """
        return {
            **self.calibration.to_dict(),
            "groups": None if self.groups is None else self.groups.to_dict(),
            "selective": self.selective.to_dict(),
        }


def correctness_report(
    model: CorrectnessModel,
    records: Mapping[str, Sequence[Any]],
    correct: IntArray,
    columns: Mapping[str, Sequence[Any]],
    among: Mapping[str, Sequence[Any]] | None,
    *,
    confidence_level: float,
    n_resamples: int,
    random_state: int,
    progress: Progress,
) -> CorrectnessReport:
    """Measure a fitted model on graded answers.

    Parameters
    ----------
    model : CorrectnessModel
    records : mapping of str to columns
        What the model reads.
    correct : ndarray of int, shape (n,)
        Grades.
    columns : mapping of str to columns
        Further columns whose values are groups; empty takes those of the model.
    among : mapping of str to columns, or None
        Further answers that agreement is counted among.
    confidence_level, n_resamples, random_state
        Of all intervals, which draw whole questions.
    progress : Progress
    """
    proba = model.score_samples(records, among)
    progress.step("resampling")
    resampling: dict[str, Any] = {
        "confidence_level": confidence_level,
        "n_resamples": n_resamples,
        "random_state": random_state,
    }
    text = tuple(model.text[:1]) if model.group is None else ()
    alone = Fields(text, None, model.group, (), (), (), None)
    units = read_records(records, alone).units if alone.names else None
    calibration = calibration_report(
        correct, {"p_correct": proba}, labels=[0, 1], groups=units, **resampling
    )
    by = list(columns) or [*([model.model] if model.model else []), *model.categorical]
    groups = None
    if by:
        everything = {**records, **columns}
        groups = model.explain_groups(everything, correct, by=by, among=among, **resampling)
    name = model.model or next(iter(by), None)
    names = None if name is None else {**records, **columns}[name]
    return CorrectnessReport(calibration, groups, selective_table(correct, proba, names))
