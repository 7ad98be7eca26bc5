"""The page of a document: what stands in it, what it weighs, and what a browser makes of it."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, executable
from tests.support.internals.documents import (
    ARABIC,
    HEBREW,
    LONG,
    SAMPLES,
    SIXTEEN,
    doc,
    html,
    of_methods,
)

CSS = Path(html.__file__).with_name("templates") / "report.css"
#: Least contrast with the background of every role, light and dark.
CONTRASTS = {
    "text": (15.8, 16.0),
    "muted": (6.1, 8.0),
    "alarm": (5.7, 9.2),
    "accent": (6.7, 9.1),
    "edge": (3.36, 4.88),
    "dot": (15.8, 16.0),
    **dict.fromkeys(("first", "second", "third", "fourth", "fifth", "sixth"), (4.5, 4.5)),
    "bar": (3.0, 3.0),
}


def parsed(document: doc.Document) -> ET.Element:
    return ET.fromstring(re.sub(r"<style>.*?</style>", "", html.fragment(document), flags=re.S))


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


# --------------------------------------------------------------------------------------- structure


def test_the_answer_is_the_heading() -> None:
    root = parsed(SAMPLES["sixteen"]())
    (headline,) = root.iter("h1")
    assert (
        words(headline) == "Use dirichlet: it leaves no miscalibration that 749 samples can show."
    )
    assert words(root.find("p[@class='kicker']")).startswith(
        "Calibration report · 749 test samples"
    )
    assert len(root.find("ul")) == 3
    assert "outside chance: the range" not in words(root)  # what only a terminal says


def test_numbers_of_a_picture_are_spoken() -> None:
    root = parsed(SAMPLES["sixteen"]())
    glyphs = [svg for svg in root.iter("svg") if svg.attrib.get("class") == "glyph"]
    assert len(glyphs) == 16 * 5
    assert all(svg.attrib["aria-hidden"] == "true" for svg in glyphs)
    cell = root.find(".//tr[@class='recommended']/td")
    assert words(cell) == "0.205, 0.12 to 0.20; chance 0.13 to 0.24"
    assert words(root.find(".//tr[@class='recommended']/th")).startswith("→ recommended: dirichlet")
    starred = [cell for cell in root.iter("td") if cell.find("svg") is not None]
    for cell in starred:  # no meaning by colour alone: a star where the picture is a diamond
        beyond = any("beyond" in part.attrib.get("class", "") for part in cell.iter())
        assert beyond is (cell.find("span[@class='mark']").text == "*")


def test_tables_name_their_rows_and_columns() -> None:
    root = parsed(SAMPLES["detection"]())
    for region in root.findall(".//div[@role='region']"):
        assert region.attrib["tabindex"] == "0"
        assert region.attrib["aria-label"] == words(region.find("table/caption"))
    assert {cell.attrib["scope"] for cell in root.iter("th")} == {"col", "row", "rowgroup"}
    svg = next(svg for svg in root.iter("svg") if svg.attrib.get("class") == "glyph")
    assert svg.attrib["viewBox"] == "0 0 72 32"
    assert "hollow" in next(part for part in svg if part.tag != "rect").attrib["class"]


@pytest.mark.parametrize(
    ("glyph", "parts"),
    [
        (doc.Glyph(0.5, (0.25, 0.75), (0.0, 1.0)), ["rect", "reach", "circle"]),
        (doc.Glyph(0.5, beyond=True), ["dot beyond"]),
        (doc.Glyph(1.5, (0.9, 2.0), (1.1, 2.0)), ["rect", "reach", "reach", "dot"]),
        (doc.Glyph(-0.5, beyond=True, hollow=True), ["dot beyond hollow"]),
        (doc.Glyph(float("nan"), (0.5, float("nan"))), ["reach"]),
    ],
)
def test_glyph(glyph: doc.Glyph, parts: list[str]) -> None:
    table = doc.Table(
        [doc.Column("a"), doc.Column("b")],
        [doc.Group([[doc.Cell("x"), doc.Cell("1", glyphs=[glyph])]])],
    )
    (svg,) = parsed(doc.Document("T", "h", [table])).iter("svg")
    names = [part.attrib.get("class", part.tag) if part.tag == "path" else part.tag for part in svg]
    assert names == parts


@pytest.mark.parametrize(("band", "left"), [((1.1, 2.0), 60), ((-2.0, -0.1), 4)])
def test_a_band_beyond_the_scale_leaves_a_stub_and_a_mark(
    band: tuple[float, float], left: float
) -> None:
    table = doc.Table(
        [doc.Column("a"), doc.Column("b")],
        [doc.Group([[doc.Cell("x"), doc.Cell("1", glyphs=[doc.Glyph(0.5, band=band)])]])],
    )
    (svg,) = parsed(doc.Document("T", "h", [table])).iter("svg")
    stub, mark, _ = svg
    start, width = float(stub.attrib["x"]), float(stub.attrib["width"])
    assert left <= start < start + width <= left + 8
    assert 1 <= width < 5
    tip = [float(number) for number in re.findall(r"-?[\d.]+", mark.attrib["d"])]
    assert abs(tip[0] - 36) == 32
    assert tip[2] == (3 if tip[0] > 36 else -3)
    assert 0 <= tip[0] + tip[2] <= 72
    numbers = [float(found) for part in svg for found in re.findall(r"[\d.]+", part.get("d", ""))]
    assert all(0 <= number <= 72 for number in numbers)


def test_names_are_escaped_and_keep_their_direction() -> None:
    page = html.fragment(SAMPLES["nasty"]())
    assert "<script" not in page
    for name in (ARABIC, HEBREW, LONG):
        assert f"<bdi>{name}</bdi>" in page
    assert f"\N{FIRST STRONG ISOLATE}{ARABIC}\N{POP DIRECTIONAL ISOLATE}" in page


def test_folds_are_open_on_request(tmp_path: Path) -> None:
    for unfold in (False, True):
        html.write(SAMPLES["four"](), tmp_path / "page.html", unfold=unfold)
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert page.count("<details open>") == (4 if unfold else 0)
        assert page.count("<details") == 4


# ------------------------------------------------------------------------------------------- style


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palettes() -> list[dict[str, str]]:
    light, dark = CSS.read_text(encoding="utf-8").split("prefers-color-scheme: dark", 1)
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part)) for part in (light, dark)]


def test_contrast() -> None:
    light, dark = palettes()
    assert set(light) == set(dark)
    for mode, palette in enumerate((light, dark)):
        for role, least in CONTRASTS.items():
            assert contrast(palette[role], palette["bg"]) >= least[mode], role
        assert contrast(palette["muted"], palette["band"]) >= (4.46, 4.69)[mode]
        for role in ("text", "muted", "alarm", "accent"):
            assert contrast(palette[role], palette["tint"]) >= 4.5


def test_size_and_time() -> None:
    document = of_methods(SIXTEEN, "dirichlet")
    page = html.fragment(document)
    assert len(page.encode()) <= 150_000
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        html.fragment(document)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) <= 0.1


# ----------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = executable()
    if path is None:
        pytest.skip("no Chromium is installed, which shows the pages")
    with Browser(path) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, build in SAMPLES.items():
        html.write(build(), folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in SAMPLES}


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_wider_than_a_phone(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], 390)
    browser.value("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    width = browser.value("document.documentElement.clientWidth")
    assert browser.value("document.documentElement.scrollWidth") <= width
    regions = "[...document.querySelectorAll('.comparison')].map(e => e.scrollWidth)"
    assert all(wide <= width for wide in browser.value(regions))
    hidden = "getComputedStyle(document.querySelector('.narrow')).display"
    assert browser.value(hidden) == "block"
    browser.open(pages[name], 1100)
    assert browser.value(hidden) == "none"
    assert browser.value("document.documentElement.scrollWidth") <= 1100


def test_the_answer_is_on_the_first_screen(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["sixteen"], 390)
    recommended = "document.querySelector('.recommended').getBoundingClientRect().bottom"
    assert browser.value("document.querySelector('h1').innerText").startswith("Use dirichlet:")
    assert browser.value(recommended) <= 844
    browser.open(pages["sixteen"], 1100)
    assert browser.value("document.documentElement.scrollHeight") <= 4 * 844


def test_folds_open_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["four"])
    browser.press("Tab")
    assert browser.value("document.activeElement.getAttribute('role')") == "region"
    for key, text in (("Enter", "\r"), (" ", " ")):
        browser.press("Tab")
        assert browser.value("document.activeElement.tagName") == "SUMMARY"
        outline = browser.value("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
        browser.press(key, text)
        assert browser.value("document.activeElement.parentElement.open")


@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_reader(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    browser.open(pages["four"], dark=dark)
    palette = palettes()[dark]
    for prop, role in (("backgroundColor", "bg"), ("color", "text")):
        shown = browser.value(f"getComputedStyle(document.querySelector('.calib-report')).{prop}")
        colour = "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", shown))
        assert colour == palette[role]


def test_print_is_light_and_unfolded(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["sixteen"], 718, dark=True)
    browser.print_preview()
    root = "getComputedStyle(document.querySelector('.calib-report')).backgroundColor"
    assert browser.value(root) == "rgb(255, 255, 255)"
    heights = "[...document.querySelectorAll('.inside')].map(e => e.getBoundingClientRect().height)"
    assert min(browser.value(heights)) > 20
    spare = "getComputedStyle(document.querySelector('.spare')).display"
    assert browser.value(spare) != "none"
    # paper is as wide as this window, and holds all columns
    table = "document.querySelector('.comparison').getBoundingClientRect().right"
    assert browser.value(table) <= 718


def test_nothing_is_loaded_and_no_script_runs(pages: dict[str, Path]) -> None:
    for path in pages.values():
        page = path.read_text(encoding="utf-8")
        assert not re.search(r"<script|<link|\bsrc=|url\(|@import|\son\w+=", page)


def test_a_star_in_a_sentence_has_its_colour() -> None:
    text = "* and diamond: outside. A star (*) too, not a*b or 2 ** 3."
    blocks = [doc.Paragraph(text, "soft"), doc.Notes([text]), doc.Definitions([("sign", text)])]
    root = parsed(doc.Document("T", "h", blocks))
    for element in (*root.findall("p[@class='soft']"), root.find(".//div/p"), root.find(".//dd")):
        assert words(element) == text
        assert [star.text for star in element.iter("span")] == ["*", "*"]
        assert {star.attrib["class"] for star in element.iter("span")} == {"mark"}


def test_what_a_name_stands_for_is_not_part_of_it() -> None:
    cells = [doc.Cell("raw", "words", mark="(before)"), doc.Cell("1")]
    table = doc.Table([doc.Column("a"), doc.Column("b")], [doc.Group([cells])], kind="comparison")
    page = html.fragment(doc.Document("T", "h", [table]))
    assert "<bdi>raw</bdi> (before)" in page


def test_long_words_may_end_a_line_at_their_seams() -> None:
    name = "resnet_50_trained_on_everything/with_mixup"
    verdict = doc.Verdict("use", f"Use {name}: it removes 50 % of a_b.")
    page = html.fragment(doc.Document("T", "h", [doc.Fold(name, [])], verdict, [verdict]))
    broken = "resnet_50_trained_<wbr/>on_<wbr/>everything/<wbr/>with_<wbr/>mixup"
    assert page.count(broken) == 3
    assert "50\N{NO-BREAK SPACE}% of a_b." in page
    assert words(parsed(doc.Document("T", "h", [], verdict)).find("h1")) == verdict.text
