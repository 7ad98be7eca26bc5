"""Folders `calib` and `uq` of other distributions: a clear error wherever they meet ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import calib

ROOT = Path(calib.__file__).parents[1]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with both packages, as an installer leaves them."""
    for name in ("calib", "uq"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "site" / name, ignore=ignored)
    return tmp_path / "site"


def run(code: str, *folders: Path, alone: bool = False) -> tuple[int, str]:
    """Run code where the folders come first; return the exit code and what was printed.

    Alone, nothing else that is installed is seen: what fails has to fail before its first import.
    """
    path = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [sys.executable, *(["-S"] if alone else []), "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folders[0],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def overwrite(site: Path, name: str) -> Path:
    """Write the first file of another distribution's package over ours."""
    file = site / name / "__init__.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('"""A client of something else."""\n')
    return file


def assert_named(result: tuple[int, str], file: object) -> None:
    """The last line of the error names the file, the cause and the remedy."""
    status, text = result
    assert status != 0
    error = text.strip().splitlines()[-1]
    assert error.startswith("ImportError: ")
    for part in (str(file), "nother distribution", "pip uninstall calib-uq", "new environment"):
        assert part in error


def test_alone_it_imports(site: Path) -> None:
    status, text = run("import calib, uq, calib.cli; print(calib.__file__)", site)
    assert status == 0, text
    assert str(site) in text


@pytest.mark.parametrize("code", ["import calib", "import uq", "from calib.cli import main"])
def test_a_foreign_uq_over_ours(site: Path, code: str) -> None:
    file = overwrite(site, "uq")
    status, text = run(code, site)
    if code == "import uq":  # no line of ours runs
        assert status == 0, text
    else:
        assert_named((status, text), file)


@pytest.mark.parametrize("code", ["import uq", "from calib.cli import main"])
def test_a_foreign_calib_over_ours(site: Path, code: str) -> None:
    file = overwrite(site, "calib")
    assert_named(run(code, site, alone=True), file)


@pytest.mark.parametrize("code", ["import uq", "from calib.cli import main"])
def test_the_other_one_was_uninstalled_and_took_the_first_file_of_calib(
    site: Path, code: str
) -> None:
    (site / "calib" / "__init__.py").unlink()
    assert_named(run(code, site, alone=True), "calib")


@pytest.mark.parametrize("code", ["import calib", "from calib.cli import main"])
def test_the_other_one_was_uninstalled_and_took_the_first_file_of_uq(site: Path, code: str) -> None:
    (site / "uq" / "__init__.py").unlink()
    assert_named(run(code, site, alone=True), site / "uq" / "__init__.py")


def test_ours_over_the_foreign_ones_imports(tmp_path: Path) -> None:
    """Installed last, our first files stand; leftovers of the other one do no harm."""
    for name in ("calib", "uq"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "client.py").write_text("")
        shutil.copytree(ROOT / name, tmp_path / name, dirs_exist_ok=True)
    status, text = run("import calib, uq", tmp_path)
    assert status == 0, text


def test_a_foreign_calib_in_a_folder_before_ours(site: Path, tmp_path: Path) -> None:
    file = overwrite(tmp_path / "first", "calib")
    assert_named(run("import uq", file.parents[1], site), file)


def test_two_installations_do_not_mix(site: Path, tmp_path: Path) -> None:
    shutil.move(site / "uq", tmp_path / "old" / "uq")
    assert_named(run("import uq", tmp_path / "old", site), site / "calib" / "__init__.py")


def test_calib_without_uq_imports(site: Path) -> None:
    shutil.rmtree(site / "uq")
    status, text = run("import calib; print(calib.TemperatureCalibrator)", site)
    assert status == 0, text
