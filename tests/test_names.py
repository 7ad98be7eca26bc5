"""Public names: one object each, whatever is imported first, and nothing else in the lists."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
import warnings
from types import ModuleType

import pytest

FACADES = ("calib", "calib.evaluation", "calib.detection", "uq")

#: Imports all public names in the given order and prints what each of them is.
LOOK = """
import importlib, json, sys
kinds, ids = {}, {}
for package, name in json.loads(sys.argv[1]):
    module = importlib.import_module(package)
    exec(f"from {package} import {name}")
    value = getattr(module, name)
    assert value is locals()[name], (package, name)
    kinds[f"{package}:{name}"] = [type(value).__name__, callable(value)]
    ids.setdefault(name, set()).add(id(value))
print(json.dumps([kinds, [name for name, found in ids.items() if len(found) > 1]]))
"""


def public_names() -> list[tuple[str, str]]:
    return [(f, name) for f in FACADES for name in importlib.import_module(f).__all__]


@pytest.mark.parametrize("seed", range(4))
def test_a_name_is_one_object_in_any_order_of_imports(seed: int) -> None:
    names = public_names()
    random.Random(seed).shuffle(names)
    found = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(names)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    kinds, several = json.loads(found.stdout)
    assert not several, f"one name, several objects: {several}"
    for name, (kind, is_callable) in kinds.items():
        constant = name.rpartition(":")[2].isupper()
        assert kind != "module", name
        assert is_callable or constant, f"{name} is a {kind}"


@pytest.mark.parametrize("facade", FACADES)
def test_no_public_name_is_a_module_of_its_package(facade: str) -> None:
    package = importlib.import_module(facade)
    for name in package.__all__:
        assert importlib.util.find_spec(f"{facade}.{name}") is None, name


@pytest.mark.parametrize("facade", FACADES)
def test_star_imports_hold_no_module(facade: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {facade} import *", names)
    modules = [name for name, value in names.items() if isinstance(value, ModuleType)]
    assert not modules


@pytest.mark.parametrize("facade", FACADES)
def test_dir_lists_public_names(facade: str) -> None:
    package = importlib.import_module(facade)
    listed = {name for name in dir(package) if not name.startswith("__")}
    assert set(package.__all__) <= listed
    for name in listed - set(package.__all__):
        assert isinstance(getattr(package, name), ModuleType), name
        assert getattr(package, name).__name__ == f"{facade}.{name}", name


@pytest.mark.parametrize(
    "module", ["evaluation", "detection", "datasets", "export", "distributed", "warnings"]
)
def test_subpackages_are_attributes(module: str) -> None:
    if module == "export":
        pytest.importorskip("torch", reason="an extra; without it the error names the extra")
    code = f"import calib; assert calib.{module}.__name__ == 'calib.{module}'"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_functions_are_no_modules_after_any_import() -> None:
    code = (
        "import uq\n"
        "from uq import ConformalClassifier, conformal_quantile, study_models\n"
        "assert callable(conformal_quantile) and callable(study_models)\n"
        "assert callable(uq.conformal_quantile) and callable(uq.study_models)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("facade", FACADES)
def test_an_unknown_name_is_an_attribute_error(facade: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module(facade).nothing  # noqa: B018


def test_every_warning_is_exported_and_has_one_base() -> None:
    import calib
    import uq

    for facade in (calib, uq):
        module = importlib.import_module(f"{facade.__name__}.warnings")
        classes = {
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        }
        assert classes <= set(facade.__all__)
        assert all(issubclass(getattr(facade, name), calib.CalibWarning) for name in classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", calib.CalibWarning)
        with pytest.raises(uq.ConformalWarning):
            warnings.warn("one filter reaches all", uq.PooledCategoryWarning, stacklevel=1)
