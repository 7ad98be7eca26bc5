"""Documents in a terminal: the answer first, nothing wider than 80 columns, nothing lost."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.internals.comparisons import COLUMNS, comparison, names
from tests.support.internals.documents import (
    Cell,
    Column,
    Definitions,
    Document,
    Drawing,
    Figure,
    Figures,
    Fold,
    Group,
    Paragraph,
    Table,
    Verdict,
    text,
)

HEADLINE = Verdict("clean", "Use b: it leaves nothing.")
BULLETS = [Verdict("one", "Error 0.05 before."), Verdict("two", "The other is behind.")]


def printed(table: Table, *more: object) -> list[str]:
    return text.text_of(Document("T", "h", [table, *more], HEADLINE, BULLETS)).splitlines()  # type: ignore[list-item]


def rows_of(table: Table) -> list[list[Cell]]:
    return [list(row) for group in table.groups for row in group.rows]


def test_four_rows_have_their_ranges_below() -> None:
    note = Paragraph("* outside chance.", "soft", "terminal")
    lines = printed(comparison(["a", "b"]), Paragraph("Dots.", "soft", "page"), note)
    assert lines == [
        "Use b: it leaves nothing.",
        "  Error 0.05 before. The other is behind.",
        "",
        "              log loss     Brier        acc %       ECE      ACE x 1e-3",
        "> a           0.1000*      0.1001       10.01       0.003    0.0004",
        "    interval  0.090-0.100  0.090-0.101  9.00-11.00  0-0.010  0-0.0010",
        "    chance    0.080-0.090  0.080-0.091  8.00-12.00  0-0.020  0-0.0020",
        "-- clearly behind --------------------------------------------------------------",
        "  b           0.1010*      0.1011       10.11       0.013    0.0014",
        "    interval  0.090-0.101  0.090-0.102  9.00-11.00  0-0.010  0-0.0010",
        "    chance    0.080-0.090  0.080-0.091  8.00-12.00  0-0.020  0-0.0020",
        "* outside chance.",
    ]


def test_more_rows_have_a_line_each() -> None:
    lines = printed(comparison(["a", "calibrated_resnet_50", *"cdefg"]))[3:]
    assert lines[:4] == [
        "                    log loss   acc %  ECE              ACE x 1e-3 miscalibrated",
        "> a                   0.1000*  10.01  0.003 (0-0.010)      0.0004 none seen",
        "-- clearly behind --------------------------------------------------------------",
        "  calibrated_resn.    0.1010*  10.11  0.013 (0-0.010)      0.0014 over and under",
    ]
    assert len(lines) == 9


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize(
    "name",
    [
        "model_trained_with_seed_{}",
        "{}_model_trained_with_seed",
        "a_model_trained_with_{}_as_its_seed_and_more_words_behind_it",
        "left_{0}_middle_of_the_same_words_as_all_{0}_right_of_the_same",
        "m" * 59 + "{}",
    ],
)
@pytest.mark.parametrize("n_rows", [2, 4, 6])
def test_rows_of_long_names_differ(
    columns: int, name: str, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    models = [name.format(sign) for sign in "abcdef"[:n_rows]]
    table = comparison(models)
    for rows in (group.rows for group in table.groups):
        for row in rows:
            row[0] = replace(row[0], mark="(before)" if row[0].text == models[1] else "")
    shown = printed(table)
    assert max(map(len, shown)) <= columns
    starts = [line[2:].split()[:2] for line in shown[3:] if re.match("[> ] [^ ]", line)]
    assert len({start[0] for start in starts}) == n_rows  # whatever the mark says
    assert ["(before)" in start for start in starts] == [k == 1 for k in range(n_rows)]


def test_names_that_differ_everywhere_are_numbered() -> None:
    models = [f"start_{k % 2}_{'x' * 30}_{k // 2 % 2}_{'y' * 30}_{k // 4}_end" for k in range(6)]
    shown = [line[2:18] for line in printed(comparison(models)) if line[2:7] == "start"]
    assert shown == [f"start_{k % 2}_{'x' * 5}.#{k + 1}" for k in range(6)]


@pytest.mark.parametrize("columns", [80, 70, 60, 20])
def test_words_of_rows_are_never_cut(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = comparison(["m" * 12 + c for c in "abcdef"])
    shown = printed(table)
    assert max(map(len, shown)) <= max(columns, text.NARROWEST)
    beside = columns == 80
    versions = ["over and under"] if beside else [table.groups[1].rows[0][0].aside]
    assert sum(line.endswith(versions[0]) for line in shown) == 5
    assert any("miscalibrated" in line for line in shown) is beside
    assert "..." not in "".join(shown)


def test_words_and_their_title_are_those_of_the_document() -> None:
    table = replace(comparison(list("abcdef")), words="state")
    rows = [[replace(row[0], aside="new words", briefs=()), *row[1:]] for row in rows_of(table)]
    shown = printed(replace(table, groups=[Group(rows)]))[3:]
    assert shown[0].endswith("  state")
    assert all(line.endswith("  new words") for line in shown[1:])
    told = Path(text.__file__).read_text(encoding="utf-8")
    assert not re.search("calibrated|confident|none seen", told)


def test_lines_are_as_wide_as_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in ((200, 80), (72, 72), (10, 60)):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = text.wrap("word " * 100).split("\n")
        assert width - 5 < max(map(len, lines)) <= width


def test_long_names_stand_above_the_numbers_of_a_wide_table() -> None:
    columns = [Column("Method"), *(Column(title) for title in ("one", "two", "three"))]
    names = ["a" * 60, "b"]
    rows = [[Cell(name), *(Cell(f"{k}.2345678") for k in range(3))] for name in names]
    shown = printed(Table(columns, [Group(rows, "Scores")]))[3:]
    assert shown == [
        "Method       one       two     three",
        "Scores",
        f"  {names[0]}",
        "       0.2345678 1.2345678 2.2345678",
        "  b    0.2345678 1.2345678 2.2345678",
    ]


def test_documents_without_an_answer_say_what_was_measured() -> None:
    assert text.text_of(Document("T", "h", [Paragraph("words")])) == "T: h\n\nwords"


def test_details() -> None:
    drawing = Drawing("title", "0.5 at 0.4.", 1, 1, [])
    fold = Fold(
        "Numbers",
        [
            Table(
                [Column("name"), Column("value", "mean", terminal="none")],
                [Group([[Cell("a"), Cell("1", interval="0 to 2")]])],
            ),
            Definitions([("ECE", "a mean gap")]),
        ],
        "all of them",
    )
    document = Document(
        "T", "h", [fold, Figures("Curves", [Figure("left", drawing)], "seen")], HEADLINE, BULLETS
    )
    assert text.text_of(document, folds=True).splitlines() == [
        "Use b: it leaves nothing.",
        "  Error 0.05 before. The other is behind.",
        "",
        "T: h",
        "",
        "Numbers (all of them)",
        "---------------------",
        "name  value",
        "      (mean)",
        "  a   1 (0 to 2)",
        "",
        "ECE: a mean gap",
        "",
        "Curves",
        "  left: 0.5 at 0.4.",
        "seen",
    ]
    assert text.text_of(document).splitlines()[2:] == []


def test_titles_with_their_unit() -> None:
    table = Table(
        [Column("Measure"), Column("If calibrated", short="chance")],
        [
            Group(
                [[Cell("Log loss", "lower is better, x 1e-3", short="Log loss x 1e-3"), Cell("1")]]
            )
        ],
    )
    assert printed(table)[3:] == ["Measure            chance", "  Log loss x 1e-3       1"]


@pytest.mark.parametrize(
    ("sign", "columns"), [("a", 1), ("\u6e29", 2), ("\u0301", 0), ("\u200f", 0), ("\u05d0", 1)]
)
def test_columns_of_signs(sign: str, columns: int) -> None:
    assert text.columns_of(sign + "\u6e29") == columns + 2


@settings(max_examples=200, deadline=None)
@given(names(), st.integers(0, 10**6))
def test_nothing_is_wider_than_a_terminal_and_no_number_is_lost(
    models: list[str], seed: int
) -> None:
    table = comparison(models, seed)
    shown = printed(table)
    assert max(map(text.columns_of, shown)) <= 80
    whole = "\n".join(shown)
    few = len(models) <= 4
    for row in (row for group in table.groups for row in group.rows):
        for column, cell in zip(COLUMNS[1:], row[1:], strict=True):
            if column.terminal == "none" and not (few and column.short in whole.split()):
                continue  # few rows leave it out only where their numbers are too wide
            if few or column.terminal != "none":
                assert cell.text.removesuffix(" %") + cell.mark in whole
            if few or column.terminal == "all":
                assert re.sub(" to ", "-", cell.interval) in whole
            if few:
                assert re.sub(" to ", "-", cell.chance) in whole


@given(st.text(), st.sampled_from(["", "  "]))
def test_sentences_keep_their_words(sentence: str, rest: str) -> None:
    shown = text.wrap(sentence, rest, rest)
    assert all(text.columns_of(line) <= 80 for line in shown.split("\n"))
    kept = "".join(text.wrap(sentence, rest, rest).split())
    assert kept == "".join(
        c for c in "".join(sentence.split()) if not (ord(c) < 32 or 127 <= ord(c) < 160)
    )
