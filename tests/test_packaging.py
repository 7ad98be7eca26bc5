"""What is declared about the package agrees with itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import calib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


PINNED = {
    name_of(line): line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}


def test_version_and_name() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(dev|rc|a|b)\d*)?", calib.__version__)
    assert PROJECT["name"] == "calib-uq"


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_requirement_is_pinned(extra: str) -> None:
    for requirement in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        name = name_of(requirement)
        assert name == PROJECT["name"] or PINNED.get(name), f"{name} is not in constraints.txt"


def test_pins_are_plain_versions() -> None:
    for name, version in PINNED.items():
        assert re.fullmatch(r"[0-9][0-9A-Za-z.]*", version), f"{name}: {version}"


def test_all_names_every_extra_for_users() -> None:
    listed = re.search(r"\[(.*)\]", EXTRAS["all"][0])
    assert listed
    assert set(listed[1].split(",")) == set(EXTRAS) - {"all", "dev", "docs", "peers"}


def test_extras_named_in_error_texts_exist() -> None:
    for path in [*(ROOT / "calib").rglob("*.py"), *(ROOT / "uq").rglob("*.py")]:
        for extra in re.findall(r"extra=\"(\w+)\"", path.read_text(encoding="utf-8")):
            assert extra in EXTRAS, f"{path.name}: {extra}"


#: Import names that every installation with the tests has.
ALWAYS_THERE = {*sys.stdlib_module_names, "calib", "uq", "tests", "numpy", "scipy", "sklearn"}
ALWAYS_THERE |= {"mapie", "array_api_compat", "narwhals", "jinja2", "pytest", "hypothesis"}


def test_test_files_load_without_any_extra() -> None:
    """What an extra brings is imported after `pytest.importorskip`, or inside functions."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        asked_for: set[str] = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                asked_for.update(re.findall(r"importorskip\('([\w.]+)'", ast.unparse(node)))
            for name in names:
                needed = name.partition(".")[0]
                if needed not in ALWAYS_THERE | asked_for:
                    wrong.append(f"{path.name}:{node.lineno} imports {name}")
    assert not wrong


@pytest.mark.slow
def test_benchmarks_run() -> None:
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not part of the source distribution")
    command = ["-m", "benchmarks", "--quick", "--no-peers"]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    for name in calib.CALIBRATORS:
        assert f"\n{name} " in done.stdout
        assert f"\none_row_{name}" in done.stdout


def test_templates_are_in_the_repository_and_not_ignored() -> None:
    """What the version control ignores is left out of wheels as well."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    folder = ROOT / "calib" / "_documents" / "templates"
    command = ["git", "-C", str(ROOT), "ls-files", "--", str(folder)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {Path(name).name for name in listed} == {path.name for path in folder.iterdir()}
