"""Tables for papers: what a comparison's signs are, and whole structure for any name."""

from __future__ import annotations

import re

from hypothesis import given, settings, strategies as st

from tests.support.internals.comparisons import COLUMNS, comparison, names
from tests.support.internals.documents import Cell, Column, Document, Group, Table, latex


def lines_of(table: Table) -> list[str]:
    return latex.latex_of(Document("T", "h", [table])).splitlines()


def test_comparison() -> None:
    lines = lines_of(comparison(["matrix_{s}", "[b] \\ <i>"]))
    assert lines == [
        "% intervals in brackets; bold: best; underlined: not distinguishable from the best; "
        r"\dag: more than chance shows if calibrated.",
        "% Log loss: lower is better; Brier score: lower is better; Accuracy: higher is better; "
        "ECE: bias removed; ACE: bias removed.",
        r"\begin{tabular}{lrrrrr}",
        r"\toprule",
        r"Method & Log loss & Brier score & Accuracy (\%) & ECE & ACE ($\times 10^{-3}$) \\",
        r"\midrule",
        r"matrix\_\{s\} & \textbf{0.1000}$^{\dag}$ {\scriptsize [0.090, 0.100]}"
        r" & \underline{0.1001} {\scriptsize [0.090, 0.101]} & 10.01 {\scriptsize [9.00, 11.00]}"
        r" & \underline{0.003} {\scriptsize [0, 0.010]}"
        r" & \textbf{0.0004} {\scriptsize [0, 0.0010]} \\",
        r"{}[b] \textbackslash{} \textless{}i\textgreater{} & \textbf{0.1010}$^{\dag}$"
        r" {\scriptsize [0.090, 0.101]}"
        r" & \underline{0.1011} {\scriptsize [0.090, 0.102]} & 10.11 {\scriptsize [9.00, 11.00]}"
        r" & \underline{0.013} {\scriptsize [0, 0.010]}"
        r" & \textbf{0.0014} {\scriptsize [0, 0.0010]} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_minus_is_a_minus() -> None:
    table = Table(
        [Column("a"), Column("b")], [Group([[Cell("-1"), Cell("-0.5")]])], kind="comparison"
    )
    assert r"-1 & $-$0.5 \\" in lines_of(table)
    cells = [Cell("a-1"), Cell("0", interval="-0.5 to 1e-3")]
    table = Table([Column("a"), Column("b")], [Group([cells])], kind="comparison")
    assert r"a-1 & 0 {\scriptsize [$-$0.5, 1e-3]} \\" in lines_of(table)


@settings(max_examples=200, deadline=None)
@given(names(), st.integers(0, 10**6), st.sampled_from(["plain", "comparison"]))
def test_structure_is_whole_for_any_name(models: list[str], seed: int, kind: str) -> None:
    compared = comparison(models, seed)
    table = Table(compared.columns, compared.groups, kind=kind)  # type: ignore[arg-type]
    code = [line for line in lines_of(table) if not line.startswith("%")]
    rows = [line for line in code if line.endswith(r" \\") and "multicolumn" not in line]
    assert len(rows) == len(models) + 1
    for row in rows:
        bare = re.sub(r"\\[&%$#_{}]", "", row)
        assert bare.count("&") == len(COLUMNS) - 1
        assert not re.search("[%#_]", bare)
        assert not row.startswith(("[", "*"))
        assert bare.count("$") % 2 == 0
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\[{}]", "", "\n".join(code))):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
