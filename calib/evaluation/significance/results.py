"""What a set of calibration tests found, and the forms it can be read in."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from calib._border.checks import check_fraction
from calib._border.optional import require
from calib._documents import text
from calib._documents.document import (
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

P_VALUE_NOTE = (
    "A p-value is the probability of a statistic at least as extreme if predictions are "
    "calibrated. A large one is no proof of calibration, and with enough samples every "
    "model is rejected: look at the size of the error as well. Settle on a test before "
    "looking; ecce_mad needs no choices."
)
#: What is said beside the table about laws that stand in for the normal ones.
LAW_NOTES = {
    "Poisson binomial, two-sided": "Few events are in doubt: {} takes the exact law of their "
    "number and rejects a little less often than its level.",
    "redrawn labels": "Few events are in doubt: {} take their p-values from redrawn labels.",
    "labels redrawn by group": "All p-values come from labels redrawn as dependent inside groups "
    "as the observed ones.",
}
#: Level of the tests in the headline.
_LEVEL = 0.05
SENTENCES = {
    "rejected": "Calibration is rejected by {k} of {m} tests ({names}).",
    "rejected_single": "Calibration is rejected by {names}.",
    "none": "No test rejects calibration ({m} computed).",
    "undefined": "No test can be computed on these data.",
    "level": "Each test alone rejects about 5 % of calibrated models; several may reject more.",
    "no_proof": "That is no proof of calibration: smaller faults would not show.",
    "missing": "Undefined on these data: {names}.",
}
ALWAYS_REDRAWN = ("t_cal", "ece", "skce")


@dataclass(frozen=True)
class CalibrationTest:
    """Outcome of one test.

    Attributes
    ----------
    statistic : float
        Value of the test statistic.
    p_value : float
        Probability of a statistic at least as extreme if predictions are calibrated, in [0, 1]; NaN
        where the test is undefined, which a note of the table explains.
    law : str
        Distribution of the statistic under calibration.
    question : str
        What the test looks at.
    estimates : dict of str to float
        What it estimates on the way, such as a slope.
    """

    statistic: float
    p_value: float
    law: str
    question: str
    estimates: dict[str, float]


@dataclass(frozen=True, repr=False)
class CalibrationTests(Documented):
    """Result of `calibration_tests`; printing it shows the table.

    Attributes
    ----------
    tests : dict of str to CalibrationTest
        Outcomes by name, in the order of the table.
    n_samples : int
        Number of samples (with positive weight).
    average : {"top_label", "binary"}
        What was tested: the largest probability, or that of the second of two classes.
    notes : tuple of str
        What makes a test blind or undefined on these data.
    n_groups : int or None
        Groups inside which labels were taken as dependent.
    """

    tests: dict[str, CalibrationTest]
    n_samples: int
    average: Literal["top_label", "binary"]
    notes: tuple[str, ...] = ()
    n_groups: int | None = None

    def __getitem__(self, name: str) -> CalibrationTest:
        """Return the outcome of one test."""
        return self.tests[name]

    def _laws(self) -> str:
        """Return where p-values come from that have no law in closed form."""
        by_law: dict[str, list[str]] = {}
        for name, test in self.tests.items():
            if test.law in LAW_NOTES and name not in ALWAYS_REDRAWN:
                by_law.setdefault(test.law, []).append(name)
        return " ".join(LAW_NOTES[law].format(", ".join(names)) for law, names in by_law.items())

    def rejected(self, confidence_level: float = 0.95) -> tuple[str, ...]:
        """Return the names of the tests whose p-value is at most ``1 - confidence_level``.

        Each test by itself: of calibrated models more than that share fail some test.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=0.95
            One minus the probability of rejecting calibrated predictions.

        Returns
        -------
        names : tuple of str

        Raises
        ------
        ValueError
            If `confidence_level` is not in (0, 1).
        """
        level = 1 - check_fraction("confidence_level", confidence_level)
        return tuple(name for name, test in self.tests.items() if test.p_value <= level)

    @property
    def heading(self) -> str:
        """What was tested, in one line."""
        what = "top label" if self.average == "top_label" else "probability of the second class"
        grouped = "" if self.n_groups is None else f" in {self.n_groups:,} groups"
        return f"{self.n_samples:,} samples{grouped}, {what}"

    def rows(self) -> str:
        """Return the tests as text, without the notes."""
        return text.text_of(Document("Calibration tests", self.heading, [table_of_tests(self)]))

    def document(self) -> Document:
        """Return the headline, the tests as a table, and how to read them."""
        measured = Paragraph(f"Tested: {self.heading}.", "soft", "terminal")
        blocks: list[Table | Paragraph | Notes | Fold] = [table_of_tests(self), measured]
        if self.notes:
            blocks.append(Notes(self.notes))
        reading = [note for note in (P_VALUE_NOTE, self._laws()) if note]
        blocks.append(Fold("How to read", [Notes(reading)]))
        headline, *bullets = self._verdicts()
        return Document("Calibration tests", self.heading, blocks, headline, bullets)

    def _verdicts(self) -> list[Verdict]:
        """Return the answer and its limits."""
        missing = [name for name, test in self.tests.items() if math.isnan(test.p_value)]
        rejected, m = self.rejected(1 - _LEVEL), len(self.tests) - len(missing)
        if rejected:
            cases = ["rejected" if m > 1 else "rejected_single", *(["level"] if m > 1 else [])]
        else:
            cases = ["none", "no_proof"] if m else ["undefined"]
        values = {"k": str(len(rejected)), "m": str(m), "names": ", ".join(rejected)}
        verdicts = [Verdict(case, SENTENCES[case], values) for case in cases]
        if missing and m:
            names = {"names": ", ".join(missing)}
            verdicts.append(Verdict("missing", SENTENCES["missing"], names))
        return verdicts

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries, strings and numbers; None stands for NaN and inf."""
        return {
            "n_samples": self.n_samples,
            "n_groups": self.n_groups,
            "average": self.average,
            "tests": {name: _finite(asdict(test)) for name, test in self.tests.items()},
            "notes": list(self.notes),
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per test.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``statistic``, ``p_value``, ``n_samples``, ``law`` and ``question``; the index
            holds the names.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="CalibrationTests.to_frame")
        rows = {
            name: (test.statistic, test.p_value, self.n_samples, test.law, test.question)
            for name, test in self.tests.items()
        }
        columns = ["statistic", "p_value", "n_samples", "law", "question"]
        frame = pandas.DataFrame.from_dict(rows, orient="index", columns=columns)
        return frame.rename_axis("test")


def table_of_tests(tests: CalibrationTests, title: str = "") -> Table:
    """Return the tests as a table; under a title it says what was tested."""
    columns = [
        Column("test"),
        Column("statistic"),
        Column("p-value", weight="strong"),
        Column("estimates", kind="text"),
        Column("question", kind="text", terminal="none"),
    ]
    rows = [
        [
            Cell(name),
            Cell(f"{test.statistic:.5g}"),
            Cell(f"{test.p_value:.3g}"),
            Cell(", ".join(f"{key} {value:.4g}" for key, value in test.estimates.items())),
            Cell(test.question),
        ]
        for name, test in tests.tests.items()
    ]
    return Table(columns, [Group(rows)], title, tests.heading if title else "")


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
