"""Pages that are made from the library: the reference, the tables, the copies of notebooks.

Files are written only where their text changes, so that a second build reads nothing anew.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tables
from public_names import FACADES, Name, by_room, members, public_names
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parents[1]
NOTEBOOKS, COPIES = HERE.parent / "notebooks", HERE / "notebooks"
REFERENCE = HERE / "reference" / "generated"


def write_all(app: Sphinx) -> None:
    """Write every made page and delete those that are made no more."""
    pages = {COPIES / path.name: path.read_text("utf-8") for path in NOTEBOOKS.glob("*.ipynb")}
    for facade in FACADES:
        pages[REFERENCE / f"{facade}.rst"] = "\n".join(list_of(facade))
    for entry in public_names():
        if not entry.is_warning:
            pages[REFERENCE / f"{entry.path}.rst"] = "\n".join(page_of(entry))
    for name, text in tables.TABLES.items():
        pages[REFERENCE / "tables" / f"{name}.md"] = text()
    for path in [*COPIES.glob("*.ipynb"), *REFERENCE.rglob("*.*")]:
        if path not in pages:
            path.unlink()
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")


def first_sentence(module: str) -> str:
    """Return what a module says it holds."""
    text = (inspect.getdoc(importlib.import_module(module)) or module).partition("\n")[0]
    return text.partition(";")[0].rstrip(".")


def list_of(facade: str) -> Iterator[str]:
    """Yield the page of a façade: its names by room."""
    yield from (facade, "=" * len(facade), "", first_sentence(facade) + ".", "")
    hidden = []
    for room, entries in by_room(facade):
        title = first_sentence(room)
        if room != facade:
            yield from (title, "-" * len(title), "")
        if all(entry.is_warning for entry in entries):
            for entry in entries:
                yield from (f".. autoclass:: {entry.path}", "")
            continue
        yield from (".. list-table::", "   :widths: 40 60", "   :class: names", "")
        for entry in entries:
            if entry.is_warning:
                continue
            yield from (f"   * - :py:obj:`{entry.name} <{entry.path}>`", f"     - {entry.summary}")
            hidden.append(entry.path)
        yield ""
        for entry in entries:
            if entry.is_warning:
                yield from (f".. autoclass:: {entry.path}", "")
    if hidden:
        yield from (".. toctree::", "   :hidden:", "")
        yield from (f"   {path.removeprefix(facade + '.')} <{path}>" for path in hidden)
    yield ""


def page_of(entry: Name) -> Iterator[str]:
    """Yield the page of a name."""
    yield from (entry.name, "=" * len(entry.name), "", f".. currentmodule:: {entry.facade}", "")
    if inspect.isclass(entry.value):
        yield from (f".. autoclass:: {entry.name}", "")
        own, inherited = members(entry.value)
        for kind, name in own:
            yield from (f"   .. auto{kind}:: {name}", "")
        for base, names in inherited.items():
            links = ", ".join(f":py:obj:`{name} <{base}.{name}>`" for name in sorted(names))
            short = base.rpartition(".")[2]
            yield from (f"   From :py:obj:`{short} <{base}>`: {links}.", "")
    elif inspect.isroutine(entry.value):
        yield from (f".. autofunction:: {entry.name}", "")
    else:
        if not entry.text:
            raise ValueError(f"{entry.path} has no comment '#:' above it in {entry.module}")
        yield from (f".. py:data:: {entry.name}", f"   :type: {type(entry.value).__name__}", "")
        yield from (f"   {entry.text}", "")
        shown = ", ".join(f"``{key!r}``" for key in entry.value)
        yield from (f"   Holds {shown}.", "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the step before the first page is read."""
    app.connect("builder-inited", write_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
