"""The built site: every link leads somewhere, questions are near, search and small windows work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

from tests.support.browser import Browser, executable

SITE = Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"
#: What a user asks, and the page that answers.
QUESTIONS = (
    "classifier logits detector language_model regressor which_calibrator which_measure "
    "real_difference ship what_the_library_notices floor"
).split()
#: Pages of every kind.
PAGES = [
    "index.html",
    "questions/classifier.html",
    "questions/ship.html",
    "questions/floor.html",
    "methods.html",
    "measures.html",
    "gallery.html",
    "notebooks/01_wrap_a_classifier.html",
    "papers/index.html",
    "coming_from/sklearn.html",
    "reference/generated/calib.TemperatureCalibrator.html",
    "project/names.html",
]

if not (SITE / "index.html").is_file():
    if os.environ.get("CALIB_REQUIRE_SITE"):
        pytest.fail("the site is not built: run `make docs`", pytrace=False)
    pytest.skip("the site is not built: make docs", allow_module_level=True)


pytestmark = pytest.mark.site


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values.get("id", ""), values.get("name", "")}
        for name in ("href", "src"):
            if name in values and tag in ("a", "img", "link", "script"):
                self.links.append(values[name])


@cache
def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def inside(path: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield the links of a page that stay on the site, with their file and anchor."""
    for link in page(path).links:
        target, anchor = urldefrag(link)
        parts = urlparse(link)
        if parts.scheme or parts.netloc:
            continue
        file = path if not target else (path.parent / unquote(urlparse(target).path)).resolve()
        yield link, file, unquote(anchor)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = executable()
    if found is None:
        pytest.skip("no browser is installed")
    with Browser(found) as window:
        yield window


def test_every_link_inside_leads_somewhere() -> None:
    broken = []
    for path in sorted(set(SITE.rglob("*.html")) - set((SITE / "_static").rglob("*.html"))):
        for link, file, anchor in inside(path):
            if not file.is_file():
                broken.append(f"{path.relative_to(SITE)}: {link}")
            elif anchor and file.suffix == ".html" and anchor not in page(file).anchors:
                broken.append(f"{path.relative_to(SITE)}: {link} (no such place)")
    assert not broken, "\n".join(sorted(set(broken))[:40])


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_two_clicks_from_the_first_page(question: str) -> None:
    wanted = SITE / "questions" / f"{question}.html"
    first = {file for _, file, _ in inside(SITE / "index.html")}
    assert wanted in first, "by a card, and by the list of questions"
    text = wanted.read_text(encoding="utf-8")
    assert "<img" in text or question == "what_the_library_notices", "a page has a picture"
    assert "When not" in text or question in ("what_the_library_notices", "ship"), "and limits"


def test_every_public_name_has_a_page() -> None:
    import calib
    import calib.evaluation
    import uq

    for package in (calib, calib.evaluation, uq):
        for name in package.__all__:
            if isinstance(getattr(package, name), type) and issubclass(
                getattr(package, name), Warning
            ):
                continue
            assert list((SITE / "reference" / "generated").glob(f"*.{name}.html")), name


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_and_a_dark_room(browser: Browser, name: str) -> None:
    browser.open(SITE / name, 390)
    wide = browser.value("document.documentElement.scrollWidth")
    assert wide <= 390, f"{wide} px wide"
    own = "[...document.querySelectorAll('h1')].filter(h => !h.closest('.calib-report')).length"
    assert browser.value(own) == 1
    light = browser.value("getComputedStyle(document.body).backgroundColor")
    browser.open(SITE / name, 1280, dark=True)
    assert browser.value("document.documentElement.dataset.theme") == "dark"
    assert browser.value("getComputedStyle(document.body).backgroundColor") != light
    assert brightness(browser.value("getComputedStyle(document.body).color")) > 150
    assert browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def brightness(colour: str) -> float:
    """Return the mean of the three parts of ``rgb(...)``."""
    return sum(map(float, colour.strip("rgba()").split(",")[:3])) / 3


@pytest.mark.parametrize(
    ("words", "page_of"),
    [
        ("temperature", "TemperatureCalibrator"),
        ("onnx", "ship"),
        ("brier_score", "brier_score"),
    ],
)
def test_the_search_finds(browser: Browser, words: str, page_of: str) -> None:
    browser.open(SITE / "search.html", query=words)
    found = browser.value(
        "new Promise(done => { const end = Date.now() + 15000; const look = () => {"
        "const links = [...document.querySelectorAll('ul.search li a')].map(a => a.href);"
        "if (links.length > 1 || Date.now() > end) done(links); else setTimeout(look, 200); };"
        "look(); })"
    )
    assert any(page_of in link for link in found), found[:10]
