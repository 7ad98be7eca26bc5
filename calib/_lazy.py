"""Packages whose public names are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_exports(
    package: str,
    module_of: Mapping[str, str],
    public: Sequence[str],
    subpackages: Sequence[str] = (),
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Name of the package.
    module_of : mapping of str to str
        Module in which each public name is defined.
    public : sequence of str
        The package's ``__all__``.
    subpackages : sequence of str
        Packages and modules inside it that are attributes without an import of their own.
    """

    def attribute(name: str) -> Any:
        if name in module_of:
            value = getattr(importlib.import_module(module_of[name]), name)
            vars(sys.modules[package])[name] = value
            return value
        if name in subpackages:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return attribute, listing(package, public, subpackages)


def listing(
    package: str, public: Sequence[str], subpackages: Sequence[str] = ()
) -> Callable[[], list[str]]:
    """Return the ``__dir__`` of a package, which lists what is public; see `lazy_exports`."""

    def names() -> list[str]:
        found = vars(sys.modules[package])
        return sorted({*public, *subpackages, *(name for name in found if name[:2] == "__")})

    return names
