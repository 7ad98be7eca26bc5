"""Blocks and their three renderers: what each shows, hides and escapes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.support.internals.documents import (
    Cell,
    Circle,
    Column,
    Definitions,
    Document,
    Drawing,
    Figure,
    Figures,
    Findings,
    Fold,
    Group,
    Heading,
    Line,
    Notes,
    Paragraph,
    Polygon,
    Polyline,
    Rect,
    Remark,
    Table,
    Text,
    charts,
    document,
    html,
    latex,
    plain_table,
    text,
)

NASTY = "<script>alert('x')</script> & \"co\" 50 % _{}"
MARKS = [
    Line(0, 0, 1.26, 1, "grid", dash="2 1"),
    Polyline([(0, 0), (1, 2.04)], "first"),
    Polygon([(0, 0), (1, 1), (2, 0)], "band", 0.5),
    Rect(0, 0, 1, 1, "#aabbcc", "grid"),
    Circle(1, 2, 3, "first"),
    Text(1, 2, NASTY, turned=True),
]
TABLE = Table(
    [Column("model"), Column("value"), Column("floor", "(range)"), Column("why", kind="text")],
    [
        Group([[Cell("raw"), Cell("0.5", mark="*"), Cell("0.25", "(0 to 1)"), Cell("a")]], "One"),
        Group([[Cell("b | c"), Cell("10.5"), Cell(""), Cell(NASTY)]], "Two"),
    ],
    "Numbers",
    "A note.",
)
BLOCKS = [
    Findings([NASTY, "second"]),
    Remark("raw", "is bad."),
    Definitions([("word", "what it means")]),
    TABLE,
    Heading("More"),
    Paragraph("soft words", "soft"),
    Figures("Pictures", [Figure(NASTY, Drawing("A", NASTY, 10, 20, MARKS), "0.1")], "seen"),
    Fold("closed", [plain_table(["x", "y"], {"": [["p", "1"]]}), Paragraph("inside")]),
    Notes(["the end"]),
]
EVERYTHING = Document("Title", NASTY, BLOCKS)


def test_every_block_and_mark_is_tried() -> None:
    assert {type(block) for block in BLOCKS} == {
        getattr(document, kind.__forward_arg__) if hasattr(kind, "__forward_arg__") else kind
        for kind in get_args(document.Block)
    }
    assert {type(mark) for mark in MARKS} == set(get_args(document.Mark))


def test_terminal() -> None:
    lines = text.text_of(EVERYTHING).splitlines()
    assert lines[0].startswith("Title: <script>")
    start = lines.index("Numbers")
    assert lines[start : start + 7] == [
        "Numbers",
        "A note.",
        "model    value   floor          why",
        "One",
        "  raw      0.5*  0.25 (0 to 1)  a",
        "Two",
        f"  b | c   10.5{' ' * 18}{NASTY}",
    ]
    whole = "\n".join(lines)
    assert "- second" in whole
    assert "raw: is bad." in whole
    assert "More\nsoft words" in whole
    assert lines[-1] == "the end"
    for hidden in ("Pictures", "seen", "closed", "inside"):
        assert hidden not in whole


def test_terminal_shows_less_of_some_columns() -> None:
    cells = [Cell("a"), Cell("1", "(0 to 2)"), Cell("2", "(1 to 3)"), Cell("3")]
    columns = [
        Column("name"),
        Column("whole"),
        Column("brief", terminal="brief"),
        Column("hidden", terminal="none"),
    ]
    shown = text.text_of(Document("T", "h", [Table(columns, [Group([cells])])]))
    assert shown.splitlines()[2:] == ["name  whole       brief", "  a   1 (0 to 2)      2"]


@pytest.mark.parametrize(("n_columns", "gap"), [(8, 2), (10, 2)])
def test_wide_tables_stand_closer_where_that_helps(n_columns: int, gap: int) -> None:
    table = plain_table(["name"] * n_columns, {"": [["x" * 8] * n_columns]})
    row = text.text_of(Document("T", "h", [table])).splitlines()[-1]
    assert len(row) == 2 + 8 * n_columns + gap * (n_columns - 1)
    assert (len(row) <= text.WIDTH) is (n_columns < 9)


def test_page() -> None:
    fragment = html.fragment(EVERYTHING)
    assert "<script" not in fragment
    assert fragment.count("&lt;script&gt;") >= 5
    root = ET.fromstring(re.sub(r"<style>.*?</style>", "", fragment, flags=re.DOTALL))
    assert root.attrib["class"] == "calib-report"
    (figure,) = root.iter("svg")
    assert [child.tag for child in figure] == [
        "title", "desc", "line", "polyline", "polygon", "rect", "circle", "text",
    ]  # fmt: skip
    assert figure.find("line").attrib["x2"] == "1.3"
    assert figure.find("polyline").attrib["points"] == "0,0 1,2"
    assert figure.find("rect").attrib["fill"] == "#aabbcc"
    assert figure.find("circle").attrib["fill"] == "var(--first)"
    assert root.find("details/summary/h2").text == "closed"
    assert "open" not in root.find("details").attrib
    assert [row.text for row in root.iter("th") if row.attrib["scope"] == "rowgroup"] == [
        "One", "Two",
    ]  # fmt: skip
    rows = [row for row in root.iter("th") if row.attrib["scope"] == "row"]
    assert ["".join(row.itertext()).strip() for row in rows] == ["raw", "b | c", "p"]


@pytest.mark.parametrize(
    "ink", sorted({*"text muted line band edge alarm accent bg grid dot bar".split(), *charts.INKS})
)
def test_every_ink_has_a_colour(ink: str) -> None:
    assert f"--{ink}:" in html.fragment(Document("T", "h", []))


def test_file(tmp_path: Path) -> None:
    html.write(EVERYTHING, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert html.fragment(EVERYTHING) in page
    assert page.endswith("</html>\n")


def test_latex() -> None:
    tables = latex.latex_of(EVERYTHING)
    assert tables.count(r"\begin{tabular}") == tables.count(r"\bottomrule") == 2
    assert r"\multicolumn{4}{l}{\emph{One}} \\" in tables
    assert r"raw & 0.5$^{*}$ & 0.25 {\scriptsize (0 to 1)} & a \\" in tables
    assert r"b \textbar{} c & 10.5 &  & \textless{}script\textgreater{}" in tables
    assert r"50 \% \_\{\}" in tables


def test_line_chart_leaves_gaps_out() -> None:
    x = np.array([0.2, 0.4, 0.6])
    lines = {"a": (x, np.array([np.nan, 0.5, 0.7])), "b": (x, np.array([0.61, 0.62, 0.63]))}
    drawing = charts.LineChart(lines, (x, x + 0.1)).drawing("T", "across", "up")
    first, second = "a: 0.500 at 0.4 to 0.700 at 0.6.", "b: 0.610 at 0.2 to 0.630 at 0.6."
    assert drawing.description == f"{first} {second}"
    curves = [mark for mark in drawing.marks if isinstance(mark, Polyline)]
    assert [len(curve.points) for curve in curves] == [2, 3]
    inside = np.array([point for curve in curves for point in curve.points])
    assert ((inside >= 0) & (inside <= [drawing.width, drawing.height])).all()
    nothing = charts.LineChart({"a": (x, x * np.nan)}, (x * np.nan, x * np.nan))
    assert nothing.drawing("T", "across", "up").description == ""
