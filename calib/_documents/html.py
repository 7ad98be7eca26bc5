"""Documents as pages: everything is inside one file, nothing is loaded and no script runs.

What the pages look like, every tag and every rule of style, stands in ``templates``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from os import PathLike
from typing import Any

from calib._border.files import atomic_write
from calib._documents.document import Document

_NO_BREAK = "\N{NO-BREAK SPACE}"


def fragment(document: Document) -> str:
    """Return a document as an element that can stand in a notebook."""
    return _rendered("document.html", document, unfold=False)


def write(document: Document, path: str | PathLike[str], *, unfold: bool = False) -> None:
    """Write a document as one self-contained file, its folds closed or open."""
    with atomic_write(path) as file:
        file.write(_rendered("page.html", document, unfold) + "\n")


def _rendered(template: str, document: Document, unfold: bool) -> str:
    text: str = _environment().get_template(template).render(document=document, unfold=unfold)
    return text.strip()


@cache
def _environment() -> Any:
    """Return the templates, which escape whatever a document says."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("calib._documents"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        kind=_kind, tied=_tied, capital=_capital, short=_short, points=_points
    )
    return environment


def _kind(block: object) -> str:
    """Return the name of the macro that shows a block or a mark."""
    return type(block).__name__.lower()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tied(text: str, *words: str) -> str:
    """Return a text where per cent signs stay with their numbers, words with what follows."""
    text = text.replace(" %", f"{_NO_BREAK}%")
    for word in words:
        text = text.replace(f" {word} ", f" {word}{_NO_BREAK}")
    return text


def _short(value: float) -> str:
    """Return a coordinate to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
