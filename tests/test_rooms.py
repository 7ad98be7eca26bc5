"""The docstring of every room says which module holds what."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import calib
import uq

#: The catalogue holds one method a file; the registry says which.
CATALOGUE = "calibrators"


def rooms() -> list[str]:
    """Return the public packages that list no names: users import theirs from the façades."""
    packages = [
        module.name
        for package in (calib, uq)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if module.ispkg and "._" not in module.name and module.name.rpartition(".")[2] != CATALOGUE
    ]
    return [name for name in packages if not hasattr(importlib.import_module(name), "__all__")]


def text_of(room: str) -> str:
    return str(importlib.import_module(room).__doc__)


@pytest.mark.parametrize("room", rooms())
def test_a_room_names_its_modules(room: str) -> None:
    modules = {name for _, name, _ in pkgutil.iter_modules(importlib.import_module(room).__path__)}
    missing = modules - set(re.findall(r"\w+", text_of(room)))
    assert not missing, f"the docstring of {room} does not say what they hold"


@pytest.mark.parametrize("room", rooms())
def test_a_room_names_no_module_that_is_gone(room: str) -> None:
    modules = {name for _, name, _ in pkgutil.iter_modules(importlib.import_module(room).__path__)}
    named = set(re.findall(r"^    (\w+)  ", text_of(room), flags=re.MULTILINE))
    assert named
    assert named <= modules


@pytest.mark.parametrize("room", rooms())
def test_a_room_names_what_can_be_imported(room: str) -> None:
    facades = [importlib.import_module(n) for n in ("calib", "calib.evaluation", "calib.detection")]
    for name in re.findall(r"`([A-Za-z_]{6,})`", text_of(room)):
        assert any(hasattr(facade, name) for facade in (*facades, uq)), name
