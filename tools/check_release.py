"""Check a release: build both files, look into them, install the wheel, test the source archive.

1. `build` makes the source archive, and the wheel from it.
2. Each holds the files under version control that belong to it, and nothing else.
3. `twine check --strict` reads the description as the package index will.
4. The wheel is installed in a new environment without extras, and used.
5. Tests run in the unpacked source archive: all are collected and a few run; with ``--all-tests``
   all run but the slow ones and the notebooks.

Needs the extra `dev`, git and a package index (for the build and the new environment).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SDIST = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"][
    "build"
]["targets"]["sdist"]
#: What the build adds to a source archive.
ADDED = {"PKG-INFO", "pyproject.toml", ".gitignore"}
#: Tests that show that an unpacked source archive is whole, in a minute.
FEW_TESTS = (
    "tests/test_packaging.py",
    "tests/test_names.py",
    "tests/test_readme.py",
    "tests/test_installation.py",
    "tests/calib/test_files_of_releases.py",
    "tests/calib/calibrators/test_temperature.py",
)
#: What a user does first, with nothing but the requirements of the package.
SMOKE = """
import importlib.util, sys
from pathlib import Path
import numpy as np
import calib, uq
from calib.evaluation import calibration_report

assert Path(calib.__file__).is_relative_to(sys.prefix), calib.__file__
assert calib.__version__ == VERSION
for extra in ("torch", "pandas", "matplotlib", "onnx", "numba", "dask", "rich"):
    assert importlib.util.find_spec(extra) is None, f"{extra} is installed: not a bare environment"
for facade in (calib, calib.evaluation, calib.detection, uq):
    for name in facade.__all__:
        getattr(facade, name)
rng = np.random.default_rng(0)
y = rng.integers(0, 3, 600)
logits = 4 * (np.eye(3)[y] + rng.normal(size=(600, 3)))
np.savetxt("scores.csv", np.column_stack([logits, y]), "%.9g", ",", header="z_0,z_1,z_2,y", comments="")
probabilities = {}
for name in ("temperature", "auto"):
    calibrator = calib.make_calibrator(name, input="logits").fit(logits[:300], y[:300])
    probabilities[name] = calibrator.transform(logits[300:])
    assert np.allclose(probabilities[name].sum(axis=1), 1)
    calib.save(calibrator, name + ".json")
    assert np.array_equal(calib.load(name + ".json").transform(logits[300:]), probabilities[name])
report = calibration_report(y[300:], probabilities, n_resamples=50)
assert "if calibrated" in str(report)
report.to_html("report.html")
"""  # noqa: E501
COMMANDS = (
    "methods",
    "report scores.csv --label y --logits z_* --html again.html",
    "fit scores.csv --label y --logits z_* --method temperature --out cal.json",
    "apply cal.json scores.csv --out calibrated.csv",
    "demo",
)


def call(*command: str | Path, folder: Path = ROOT, **environment: str) -> None:
    """Run a command; what it prints is shown only if it fails, and then the check ends."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=bare_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shown = " ".join(str(part) for part in command)[:200]
        raise SystemExit(f"{done.stdout}{done.stderr}\nfailed: {shown}")


def bare_environment() -> dict[str, str]:
    """Return the environment without what would lead to the checkout instead of the installed."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def tracked(*folders: str) -> set[str]:
    """Return the files under version control in folders."""
    command = ["git", "ls-files", "-z", "--", *folders]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in text.split("\0") if name and (ROOT / name).exists()}


def compare(what: str, held: set[str], expected: set[str]) -> None:
    """Check that an archive holds the expected files and no other."""
    if held != expected:
        missing, stray = sorted(expected - held), sorted(held - expected)
        raise SystemExit(f"{what}: missing {missing}, stray (or not committed) {stray}")


def check_lists(wheel: Path, source: Path) -> None:
    """Check which files the two archives hold."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    compare(wheel.name, names, tracked("calib", "uq"))
    with tarfile.open(source) as archive:
        files = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    included = tracked(*(name.lstrip("/") for name in SDIST["include"]))
    compare(source.name, files, included | ADDED)


def check_wheel(wheel: Path, work: Path) -> None:
    """Install the wheel in a new environment without extras and use it."""
    environment, folder = work / "venv", work / "use"
    folder.mkdir()
    call(sys.executable, "-m", "venv", environment)
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    call(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    version = wheel.name.split("-")[1]
    call(python, "-W", "error", "-c", f"VERSION = {version!r}\n{SMOKE}", folder=folder)
    for command in COMMANDS:
        call(binaries / "calib", *command.split(), folder=folder)


def check_source(source: Path, work: Path, *, all_tests: bool) -> None:
    """Run tests in the unpacked source archive, which has to be whole without the checkout."""
    with tarfile.open(source) as archive:
        archive.extractall(work / "source", filter="data")
    (folder,) = (work / "source").iterdir()
    pytest = (sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider")
    call(*pytest, "--collect-only", folder=folder, PYTHONPATH=str(folder))
    chosen = ("-n", "2", "-m", "not slow and not notebook") if all_tests else FEW_TESTS
    call(*pytest, *chosen, folder=folder, PYTHONPATH=str(folder))


def main() -> None:
    """Run all steps; the first that fails ends the check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all-tests", action="store_true", help="run all quick tests")
    parser.add_argument("--keep", type=Path, help="folder for the two files, if all is well")
    options = parser.parse_args()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        call(sys.executable, "-m", "build", "--outdir", work / "dist", ROOT)
        (wheel,), (source,) = (work / "dist").glob("*.whl"), (work / "dist").glob("*.tar.gz")
        say(f"built {wheel.name} ({wheel.stat().st_size // 1024} kB) and {source.name}")
        check_lists(wheel, source)
        say("both hold what is under version control, and nothing else")
        call(sys.executable, "-m", "twine", "check", "--strict", wheel, source)
        say("the description is valid")
        check_wheel(wheel, work)
        say("the wheel works in a new environment without extras")
        check_source(source, work, all_tests=options.all_tests)
        say("tests pass in the unpacked source archive")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for file in (wheel, source):
                shutil.copy2(file, options.keep)
            say(f"kept in {options.keep}")


if __name__ == "__main__":
    main()
