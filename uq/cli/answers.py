"""Logs of answers as records: which column is what, and texts of questions from a second file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.columns import class_name
from calib._border.typing import IntArray
from calib._border.words import did_you_mean
from calib.cli.files.columns import ColumnError, shorten, to_list, to_numbers
from calib.cli.files.readers import read_table
from calib.cli.files.tables import FileTable
from uq.correctness.model.model import CorrectnessModel
from uq.correctness.model.records import names_of

#: Usual names of columns by what they hold, the first that a file has is taken. A column ``answer``
#: beside one of responses holds the solutions in many files, so that it comes last.
USUAL: dict[str, tuple[str, ...]] = {
    "question": ("question", "prompt", "problem", "query", "input"),
    "answer": ("response", "completion", "generation", "output", "model_answer", "answer"),
    "model": ("model", "model_name", "model_id"),
    "group": ("question_id", "prompt_id", "problem_id", "qid"),
    "correct": ("correct", "is_correct", "right"),
}
#: Usual names of final answers, which a note proposes to compare.
FINAL_ANSWERS = ("pred", "prediction", "final_answer", "extracted_answer", "choice")
#: What takes no column where there is one of a usual name.
NOTHING = "none"
#: Words that say right and wrong, and numbers by themselves.
GRADES = {"true": 1, "false": 0, "yes": 1, "no": 0, "right": 1, "wrong": 0, "1": 1, "0": 0}
GRADES |= {"correct": 1, "incorrect": 0}


@dataclass(frozen=True)
class Roles:
    """Which column holds what.

    Attributes
    ----------
    question, answer : tuple of str
        Columns of texts.
    model, group, agreement : str or None
        Names of models, of questions, and final answers.
    confidence, numeric, categorical : tuple of str
        Further columns.
    """

    question: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    model: str | None = None
    group: str | None = None
    agreement: str | None = None
    confidence: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    @classmethod
    def of_model(cls, model: CorrectnessModel) -> Roles:
        """Return what a fitted model reads; its texts count as those of answers."""
        return cls(
            answer=tuple(model.text),
            model=model.model,
            group=model.group,
            agreement=model.agreement,
            confidence=tuple(model.confidence),
            numeric=tuple(model.numeric),
            categorical=tuple(model.categorical),
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns of texts, those of questions first."""
        return (*self.question, *self.answer)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers."""
        return (*self.confidence, *self.numeric)

    @property
    def names(self) -> list[str]:
        """All columns, each once."""
        single = [name for name in (self.model, self.group, self.agreement) if name is not None]
        return list(dict.fromkeys([*self.texts, *self.numbers, *self.categorical, *single]))

    def described(self) -> str:
        """Return which column was taken for what, in one line."""
        parts = {
            "question": ", ".join(self.question),
            "answer": ", ".join(self.answer),
            "model": self.model or "",
            "group": self.group or "",
            "agreement": self.agreement or "",
            "confidence": ", ".join(self.confidence),
            "numeric": ", ".join(self.numeric),
            "categorical": ", ".join(self.categorical),
        }
        return "; ".join(f"{role} = {columns}" for role, columns in parts.items() if columns)


class AnswerLog:
    """A table of answers, with columns of their questions where these stand in a second table.

    Parameters
    ----------
    path : Path
        Table with one row per answer.
    questions : Path or None
        Table with one row per question.
    """

    def __init__(self, path: Path, questions: Path | None = None) -> None:
        self.table = read_table(path)
        self.questions = None if questions is None else read_table(questions)
        self._rows: IntArray | None = None

    def own(self, option: str, given: str | None, role: str) -> str | None:
        """Return a single column of the answers: the one that is named, or of a usual name."""
        if given == NOTHING and NOTHING not in self.table.columns:
            return None
        if given is None:
            return next((name for name in USUAL.get(role, ()) if name in self.table.columns), None)
        self._check_own(option, given)
        return given

    def several(self, option: str, given: str | None, *, shared: bool) -> tuple[str, ...]:
        """Return columns that names and globs stand for; `shared` ones may be of the questions."""
        if given is None or given == NOTHING:
            return ()
        if self.questions is None or not shared:
            if not shared:
                for name in filter(None, map(str.strip, given.split(","))):
                    self._check_own(option, name)
            return tuple(self.table.select(given))
        both = {**self.questions.columns, **self.table.columns}
        return tuple(FileTable(self.table.path, self.table.kind, both).select(given))

    def texts(self, option: str, given: str | None, *, shared: bool) -> tuple[str, ...]:
        """Return columns of texts: those that are named, or the one of a usual name."""
        if given is not None:
            return self.several(option, given, shared=shared)
        tables = [self.table, *([self.questions] if shared and self.questions else [])]
        for name in USUAL[option.removeprefix("--")]:
            if any(name in table.columns for table in tables):
                return (name,)
        return ()

    def _check_own(self, option: str, name: str) -> None:
        if set(name) & set("*?[") or name in self.table.columns:
            return
        if self.questions is not None and name in self.questions.columns:
            raise ValueError(
                f"{option} {name}: this is a column of {self.questions.path.name} alone, the same "
                f"for all answers to a question; name one of {self.table.path.name}"
            )
        self.table.column(name)

    def match(self, name: str | None) -> None:
        """Find the question of every answer by a column that both files have."""
        if self.questions is None:
            return
        if name is None:
            raise ValueError(
                "--questions needs a column that both files have; name it with --group"
            )
        if name not in self.questions.columns:
            raise ValueError(
                f"{self.questions.path.name} lacks the column {name!r} that answers name their "
                f"questions by; it has: {shorten(list(self.questions.columns))}"
            )
        known = [class_name(value) for value in to_list(self.questions.column(name))]
        place = {value: row for row, value in enumerate(known)}
        if len(place) < len(known):
            twice = next(value for row, value in enumerate(known) if place[value] != row)
            raise ValueError(
                f"column {name!r} of {self.questions.path.name} has {twice!r} more than once; a "
                f"question has one row"
            )
        wanted = [class_name(value) for value in to_list(self.table.column(name))]
        lost = list(dict.fromkeys(value for value in wanted if value not in place))
        if lost:
            raise ValueError(
                f"{self.questions.path.name} lacks {len(lost)} of the questions of "
                f"{self.table.path.name}, such as {lost[0]!r} in column {name!r}"
            )
        self._rows = np.array([place[value] for value in wanted], dtype=np.intp)

    def records(self, roles: Roles) -> dict[str, list[Any]]:
        """Return the columns of some roles, as a correctness model reads them."""
        return {
            name: self.numbers(name) if name in roles.numbers else self.words(name)
            for name in roles.names
        }

    def words(self, name: str) -> list[Any]:
        """Return a column of texts or names; what is missing is empty."""
        table, rows = self._place(name)
        values = to_list(table.column(name))
        deep = next((value for value in values if isinstance(value, (list, dict))), None)
        if deep is not None:
            raise ValueError(
                f"column {name!r} of {table.path.name} holds {type(deep).__name__}s; name a column "
                f"of texts, names or numbers"
            )
        return _taken(names_of(values), rows)

    def numbers(self, name: str) -> list[Any]:
        """Return a column of numbers, nan where there is none."""
        table, rows = self._place(name)
        try:
            numbers = to_numbers(_without_blanks(table.column(name)))
        except ColumnError as error:
            raise ValueError(f"column {name!r} of {table.path.name} {error}") from None
        if numbers.ndim != 1:
            raise ValueError(
                f"column {name!r} of {table.path.name} holds several numbers a row; name columns "
                f"of one"
            )
        return _taken(numbers.tolist(), rows)

    def _place(self, name: str) -> tuple[FileTable, IntArray | None]:
        """Return the table that has a column, and its row of every answer, None for the same."""
        if name in self.table.columns:
            return self.table, None
        known = list(self.table.columns)
        if self.questions is None:
            where, hint = self.table.path.name, "; --questions adds columns of a table of questions"
        else:
            if name in self.questions.columns:
                return self.questions, self._rows
            known += [one for one in self.questions.columns if one not in known]
            where, hint = f"{self.table.path.name} and {self.questions.path.name}", ""
        near = did_you_mean(name, known)
        raise ValueError(f"no column {name!r} in {where}, which has: {shorten(known)}{hint}{near}")

    def grades(self, name: str | None) -> IntArray:
        """Return 1 for right answers and 0 for wrong ones."""
        if name is None:
            raise ValueError(
                f"name the column that says whether an answer is right with --correct; "
                f"{self.table.path.name} has: {shorten(list(self.table.columns))}"
            )
        self._check_own("--correct", name)
        values = self.table.labels(name)
        grades = np.zeros(len(values), dtype=np.intp)
        for value in np.unique(values).tolist():
            grade = GRADES.get(class_name(value).strip().lower())
            if grade is None:
                raise ValueError(
                    f"column {name!r} of {self.table.path.name} must hold 1 (right) and 0 (wrong); "
                    f"it has {value!r}. Grade answers by comparing them with the solution before"
                )
            grades[values == value] = grade
        return grades


def _taken(values: list[Any], rows: IntArray | None) -> list[Any]:
    return values if rows is None else [values[row] for row in rows.tolist()]


def _without_blanks(column: Any) -> Any:
    """Return a column of text without the cells that hold nothing, others as they are."""
    if not isinstance(column, list) and "string" not in str(getattr(column, "type", "")):
        return column
    blank = ("", "nan", "na", "n/a", "null", "none")
    return [
        None if text is None or text.strip().lower() in blank else text for text in to_list(column)
    ]


def marks_of(records: Mapping[str, Sequence[Any]], roles: Roles) -> Any:
    """Return one number per answer by which it is known again: of question, model and texts."""
    columns = [*roles.texts, *filter(None, (roles.model, roles.group))]
    rows = zip(*(names_of(list(records[name])) for name in sorted(set(columns))), strict=True)
    marks = [
        hashlib.blake2b("\x1f".join(row).encode("utf-8", "replace"), digest_size=8) for row in rows
    ]
    return np.array([int.from_bytes(mark.digest(), "big") for mark in marks], dtype=np.uint64)
