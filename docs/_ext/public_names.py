"""The public names of both packages: what the reference lists, and where a name leads to."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

#: Modules whose public names the reference lists. A name in several of them is documented in the
#: first one, warnings in the module of warnings.
FACADES = (
    "calib",
    "calib.evaluation",
    "calib.detection",
    "calib.views",
    "calib.distributed",
    "calib.export",
    "calib.datasets",
    "calib.warnings",
    "uq",
    "uq.warnings",
)
ROOTS = ("calib", "uq")


@dataclass(frozen=True)
class Name:
    """A public name, documented once.

    Attributes
    ----------
    facade, name : str
        Where it is documented.
    value : object
    module : str
        Where it is defined.
    """

    facade: str
    name: str
    value: Any
    module: str

    @property
    def path(self) -> str:
        """Dotted path under which it is documented."""
        return f"{self.facade}.{self.name}"

    @property
    def room(self) -> str:
        """Module or package, a step below the façade, that it is defined in."""
        depth = self.facade.count(".") + 1
        parts = self.module.split(".")
        inside = self.module.startswith(self.facade + ".")
        return ".".join(parts[: depth + 1] if inside else parts[:2])

    @property
    def is_warning(self) -> bool:
        """Whether it is a class of warnings."""
        return inspect.isclass(self.value) and issubclass(self.value, Warning)

    @property
    def text(self) -> str:
        """What its docstring says, or the comment above a constant."""
        if inspect.isclass(self.value) or inspect.isroutine(self.value):
            return inspect.getdoc(self.value) or ""
        return comment_of(self.module, self.name)

    @property
    def summary(self) -> str:
        """First sentence of the text."""
        paragraph = self.text.partition("\n\n")[0].replace("\n", " ")
        return re.split(r"(?<=[.:;])\s", paragraph, maxsplit=1)[0].rstrip(":;")


def listed(facade: ModuleType) -> list[str]:
    """Return ``__all__`` and the results beside it, or what a module without it defines.

    Results that functions return are importable, so that types can be named, but not listed; they
    are imported under their own name, ``X as X``.
    """
    if hasattr(facade, "__all__"):
        imports = [
            node
            for node in ast.parse(inspect.getsource(facade)).body
            if isinstance(node, ast.ImportFrom)
        ]
        results = [
            alias.name for node in imports for alias in node.names if alias.asname == alias.name
        ]
        unlisted = [name for name in results if name[0] != "_" and name not in facade.__all__]
        return [*facade.__all__, *unlisted]
    return [
        name
        for name, value in vars(facade).items()
        if name[0] != "_" and getattr(value, "__module__", "") == facade.__name__
    ]


def home_of(facade: str, name: str, value: Any) -> str:
    """Return the module that a value is defined in."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return str(value.__module__)
    return _assigned_in(facade, name)


@cache
def _assigned_in(module: str, name: str) -> str:
    """Follow the imports of a constant to the module that assigns it."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _assigned_in(str(node.module), name)
    return module


@cache
def comment_of(module: str, name: str) -> str:
    """Return the ``#:`` comment above the assignment of a constant."""
    lines = inspect.getsource(importlib.import_module(module)).splitlines()
    number = next(i for i, line in enumerate(lines) if re.match(rf"{name}\b[^=]*=", line))
    comment: list[str] = []
    while number and lines[number - 1].startswith("#:"):
        number -= 1
        comment.insert(0, lines[number][2:].strip())
    return " ".join(comment)


@cache
def public_names() -> tuple[Name, ...]:
    """Return every public name once, in the order of the façades."""
    order = sorted(FACADES, key=lambda facade: not facade.endswith(".warnings"))
    owner: dict[int, str] = {}
    names: dict[str, list[Name]] = {facade: [] for facade in FACADES}
    for facade in order:
        module = importlib.import_module(facade)
        for name in listed(module):
            value = getattr(module, name)
            if owner.setdefault(id(value), facade) == facade:
                names[facade].append(Name(facade, name, value, home_of(facade, name, value)))
    return tuple(entry for facade in FACADES for entry in names[facade])


@cache
def paths() -> dict[str, str]:
    """Return where every spelling of a public name leads: bare, from any façade, by module."""
    by_value = {id(entry.value): entry.path for entry in public_names()}
    found: dict[str, str] = {}
    for entry in public_names():
        found[f"{entry.module}.{entry.name}"] = entry.path
    for facade in FACADES:
        module = importlib.import_module(facade)
        for name in listed(module):
            path = by_value[id(getattr(module, name))]
            found[f"{facade}.{name}"] = path
            found.setdefault(name, path)
    return found


def members(value: type) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Return the methods and properties of a class that are documented with it, and elsewhere.

    Returns
    -------
    own : list of (str, str)
        Kind for autodoc and name, in the order of the source.
    inherited : dict of str to list of str
        Path of a public base class -> names that it documents.
    """
    by_value = {entry.value: entry.path for entry in public_names() if inspect.isclass(entry.value)}
    own: list[tuple[str, str]] = []
    inherited: dict[str, list[str]] = {}
    for owner in value.__mro__:
        if owner.__module__.partition(".")[0] not in ROOTS:
            continue
        for name, member in vars(owner).items():
            if name.startswith("_") or (kind := _kind(member)) is None:
                continue
            first = next(base for base in value.__mro__ if name in vars(base))
            if first is not owner or not inspect.getdoc(getattr(value, name)):
                continue
            if owner is value or owner not in by_value:
                own.append((kind, name))
            else:
                inherited.setdefault(by_value[owner], []).append(name)
    return own, inherited


def _kind(member: Any) -> str | None:
    if isinstance(member, property) or type(member).__name__ == "cached_property":
        return "property"
    if isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    if type(member).__name__ == "_AvailableIfDescriptor":
        member = member.fn
    if isinstance(member, FunctionType) and member.__module__.partition(".")[0] in ROOTS:
        return "method"
    return None


def by_room(facade: str) -> Iterator[tuple[str, list[Name]]]:
    """Yield the rooms of a façade with their names: classes before functions, by alphabet."""
    rooms: dict[str, list[Name]] = {}
    for entry in public_names():
        if entry.facade == facade:
            rooms.setdefault(entry.room, []).append(entry)
    for room, entries in rooms.items():
        yield (
            room,
            sorted(entries, key=lambda entry: (not entry.name[0].isupper(), entry.name.lower())),
        )
